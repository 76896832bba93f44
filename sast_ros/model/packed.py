"""Layers for inference on a CPU: products by oneDNN, compiled loops between them."""

from __future__ import annotations

import ctypes

from sast_ros.kernels import library
import torch
from torch import nn, Tensor

_network_input = library.sast_network_input
_network_input.restype = None
_network_input.argtypes = [ctypes.c_void_p, *[ctypes.c_int64] * 4, ctypes.c_void_p]
_count_occupied = library.sast_count_occupied
_count_occupied.restype = None
_count_occupied.argtypes = [ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]
_lstm_cell = library.sast_lstm_cell
_lstm_cell.restype = None
_lstm_cell.argtypes = [*[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 2, *[ctypes.c_void_p] * 2]
_weigh_tokens = library.sast_weigh_tokens
_weigh_tokens.restype = None
_weigh_tokens.argtypes = [*[ctypes.c_void_p] * 4, *[ctypes.c_int64] * 2, ctypes.c_void_p]


class PackedLinear(nn.Module):
    """Linear layer with a weight in oneDNN's own layout."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        pack = torch.ops.mkldnn._reorder_linear_weight
        self.weight = pack(weight.detach().contiguous(), None)
        self.bias = bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, 'none', [], '')


class PackedConvBlock(nn.Module):
    """Convolution with bias and SiLU in one oneDNN operation."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.arguments = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        pack = torch.ops.mkldnn._reorder_convolution_weight
        self.weight = pack(conv.weight.detach(), *self.arguments, None)
        self.bias = None if conv.bias is None else conv.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        return torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, *self.arguments, 'swish', [], ''
        )


class PackedLstm(nn.Module):
    """ConvLSTM cell: one packed product, then all gates in one pass."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.gates = PackedLinear(weight, bias)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        """Return the new (h, c); shapes as in ``ConvLstm``."""
        channels = x.shape[-1]
        if state is None:
            before = cell_before = torch.zeros_like(x)
        else:
            before, cell_before = (s.permute(0, 2, 3, 1).contiguous() for s in state)
        gates = self.gates(torch.cat([x, before], dim=-1)).contiguous()
        hidden, cell = torch.empty_like(cell_before), torch.empty_like(cell_before)
        _lstm_cell(
            gates.data_ptr(),
            cell_before.data_ptr(),
            cell.numel() // channels,
            channels,
            hidden.data_ptr(),
            cell.data_ptr(),
        )
        return hidden.permute(0, 3, 1, 2), cell.permute(0, 3, 1, 2)


def weigh_tokens(x: Tensor, raw: Tensor, gain: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """
    Weight tokens by their scores in one pass; see ``ScoredAttention.weigh``.

    ``x``: overwritten with the result.
    """
    x, raw, scale = x.contiguous(), raw.contiguous(), scale.contiguous()
    gate = torch.sigmoid(gain)
    batch, tokens, channels = x.shape
    scores = torch.empty(batch, tokens)
    for sample in range(batch):
        _weigh_tokens(
            x[sample].data_ptr(),
            raw[sample].data_ptr(),
            gate[sample].data_ptr(),
            scale[sample].data_ptr(),
            tokens,
            channels,
            scores[sample].data_ptr(),
        )
    return x, scores


def event_density(histogram: Tensor) -> Tensor:
    """Return the share of occupied cells; see ``selection.event_density``."""
    batch, channels, height, width = histogram.shape
    histogram = histogram.contiguous()
    counts = torch.empty(batch, 4, channels, dtype=torch.int32)
    for sample, target in zip(histogram, counts):
        _count_occupied(sample.data_ptr(), channels, height, width, target.data_ptr())
    cells = [channels * (height // stride) * (width // stride) for stride in (4, 8, 16, 32)]
    return counts.float() / torch.tensor(cells, dtype=torch.float32)[:, None]


class StemInput:
    """
    Prepare a sparse histogram for the stem in one pass, into a buffer that is used again.

    It replicates the borders, changes the layout and converts to float.
    """

    def __init__(self, padding: int) -> None:
        self.padding = padding
        self._buffer = torch.empty(0)

    def __call__(self, x: Tensor) -> Tensor:
        """
        Return ``float32[B, H + 2 padding, W + 2 padding, C]``, valid until the next call.

        ``x``: ``uint8[B, H, W, C]``, a view of ``[B, C, H, W]``.
        """
        batch, height, width, channels = x.shape
        shape = (batch, height + 2 * self.padding, width + 2 * self.padding, channels)
        if self._buffer.shape != shape:
            self._buffer = torch.empty(shape)
        planes = x.permute(0, 3, 1, 2).contiguous()
        for sample, target in zip(planes, self._buffer):
            _network_input(
                sample.data_ptr(), channels, height, width, self.padding, target.data_ptr()
            )
        return self._buffer
