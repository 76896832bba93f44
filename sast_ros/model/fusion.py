"""A copy of a network for inference: equal results, fewer and faster operations."""

from __future__ import annotations

import copy
import ctypes
from typing import cast

from sast_ros.kernels import library
from sast_ros.model.attention import SparseAttention
from sast_ros.model.backbone import ConvLstm, Stage
from sast_ros.model.pafpn import ConvBlock
from sast_ros.model.sast import SAST
import torch
from torch import nn, Tensor
from torch.nn.utils.fusion import fuse_conv_bn_eval

_network_input = library.sast_network_input
_network_input.restype = None
_network_input.argtypes = [ctypes.c_void_p, *[ctypes.c_int64] * 4, ctypes.c_void_p]


def inference_copy(model: SAST, *, pack: bool = True) -> SAST:
    """
    Return a copy in evaluation mode without gradients.

    Batch norms are folded into their convolutions and LayerScale into the projection before it.
    With ``pack``, a float32 network on a CPU computes its matrix products and convolutions with
    weights laid out for oneDNN, about twice as fast as PyTorch's own choice
    (benchmarks/step_time.py); where this build of PyTorch lacks oneDNN, its own products remain.
    """
    fused = copy.deepcopy(model).eval().requires_grad_(False)
    for module in list(fused.modules()):
        if isinstance(module, ConvBlock):
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            module.add_module('bn', nn.Identity())
        elif isinstance(module, SparseAttention):
            _fold_scale(module.proj, module.ls1.gamma)
            _fold_scale(cast(nn.Linear, module.mlp.net[2]), module.ls2.gamma)
            module.add_module('ls1', nn.Identity())
            module.add_module('ls2', nn.Identity())
    fused.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch lacks it
    weight = fused.yolox_head.cls_preds[0].weight
    if pack and weight.device.type == 'cpu' and weight.dtype == torch.float32:
        stem = cast(Stage, fused.backbone.stages[0]).downsample_cf2cl
        stem.pad = StemInput(stem.padding)  # type: ignore[method-assign]  # of this copy alone
        if _can_pack():
            _pack(fused)
    return fused


def _fold_scale(linear: nn.Linear, gamma: Tensor) -> None:
    linear.weight.mul_(gamma[:, None])
    linear.bias.mul_(gamma)


def _can_pack() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, '_linear_pointwise')


def _pack(model: nn.Module) -> None:
    """
    Replace what can be packed below a module by its packed form.

    That is every linear layer, fused convolution block and LSTM product.
    """
    for name, child in list(model.named_children()):
        if isinstance(child, nn.Linear):
            if child.bias is not None:
                setattr(model, name, PackedLinear(child.weight, child.bias))
        elif isinstance(child, ConvBlock):
            setattr(model, name, PackedConvBlock(child.conv))
        elif isinstance(child, ConvLstm) and child.conv1x1.bias is not None:
            weight = child.conv1x1.weight.flatten(1)
            child.add_module('conv1x1', PackedLinear(weight, child.conv1x1.bias))
        else:
            if isinstance(child, SparseAttention):
                child.fixed_shapes = True
            _pack(child)


class StemInput:
    """
    Border replication, change of layout and conversion to float of a sparse histogram.

    All in one pass; the buffer is re-used.
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


class PackedLinear(nn.Module):
    """Linear layer with a weight in oneDNN's own layout."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), None)
        self.bias = bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, 'none', [], '')


class PackedConvBlock(nn.Module):
    """Convolution with bias and SiLU in one oneDNN operation."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.arguments = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(
            conv.weight.detach(), *self.arguments, None
        )
        self.bias = None if conv.bias is None else conv.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        return torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, *self.arguments, 'swish', [], ''
        )
