# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The network on a CPU in float32: products by oneDNN, compiled loops between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sast_ros.kernels import library
from sast_ros.model import attention, backbone
from sast_ros.model.attention import broadcast_context, dot_product
from sast_ros.model.backbone import State
from sast_ros.model.config import STRIDES
from sast_ros.model.inference.onednn import pack, packed_operators_work, PackedLinear
from sast_ros.model.sast import pad, SAST, StepOutput
from sast_ros.model.selection import (
    position_embedding,
    score_gain,
    select_tokens,
    Selection,
    SelectionControl,
)
import torch
from torch import nn, Tensor


def supports(model: SAST) -> bool:
    """Return whether ``CpuNetwork`` can run a network on this machine."""
    weight = model.yolox_head.cls_preds[0].weight
    return (
        weight.device.type == 'cpu' and weight.dtype == torch.float32 and packed_operators_work()
    )


class CpuNetwork(nn.Module):
    """
    A network with the results of ``SAST`` up to rounding.

    Parameters
    ----------
    model : SAST
        A network of ``folded_copy``, which is used up: its layers become those of this one.

    """

    def __init__(self, model: SAST) -> None:
        super().__init__()
        self.config, self.control = model.config, model.control
        self.stages = nn.ModuleList(
            Stage(cast(backbone.Stage, stage)) for stage in model.backbone.stages
        )
        self.fpn, self.yolox_head = pack(model.fpn), pack(model.yolox_head)

    def forward(self, histogram: Tensor, states: list[State] | None = None) -> StepOutput:
        """Advance by one window and detect; see ``SAST.forward``."""
        x = histogram = pad(histogram, self.config)
        height, width = histogram.shape[2:]
        density = event_density(histogram)
        part = self.config.partitions((height, width))
        outputs = []
        for index, stage in enumerate(self.stages):
            state = states[index] if states else None
            outputs.append(stage(x, density[:, index], state, part, self.control))
            x = outputs[-1][0][0]
        new_states, selections = (list(parts) for parts in zip(*outputs))
        head = self.yolox_head(self.fpn(*(h for h, _ in new_states[1:])))
        return StepOutput(head, new_states, selections, (height, width))


class Stage(nn.Module):
    """``backbone.Stage`` for one window."""

    def __init__(self, stage: backbone.Stage) -> None:
        super().__init__()
        downsample = stage.downsample_cf2cl
        block = cast(backbone.AttentionBlock, stage.att_blocks[0]).att
        self.downsample = Stem(downsample) if downsample.padding > 1 else downsample
        self.controls: Tensor = block.to_controls.weight
        self.to_scores = pack(block.to_scores)
        self.win_attn = SparseAttention(block.win_attn)
        self.grid_attn = SparseAttention(block.grid_attn)
        self.lstm = ConvLstm(stage.lstm)

    def forward(
        self,
        x: Tensor,
        density: Tensor,
        state: State | None,
        part: tuple[int, int],
        control: SelectionControl,
    ) -> tuple[State, tuple[Selection, Selection]]:
        """Return the new (h, c) and the selections; see ``backbone.Stage``."""
        x = self.downsample(x)
        _, height, width, channels = x.shape
        x = (x + position_embedding(channels, height, width, x.device)).flatten(1, 2)
        gain, scale = score_gain(density, self.controls, control.amp)
        x, scores = score_tokens(x, self.to_scores(x), gain, scale)
        selections = select_tokens(scores, (height, width), part, control)
        x = self.grid_attn(self.win_attn(x, selections[0]), selections[1])
        return self.lstm(x.unflatten(1, (height, width)), state), selections


class Stem(nn.Module):
    """
    ``backbone.Downsample`` of a sparse histogram.

    Its input is prepared in one pass: border, layout and type, into a buffer that is used again.
    """

    def __init__(self, downsample: backbone.Downsample) -> None:
        super().__init__()
        self.padding, self.conv, self.norm = downsample.padding, downsample.conv, downsample.norm
        self._buffer = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[B, H / factor, W / factor, C]`` of ``uint8[B, channels, H, W]``."""
        batch, channels, height, width = x.shape
        shape = (batch, height + 2 * self.padding, width + 2 * self.padding, channels)
        if self._buffer.shape != shape:
            self._buffer = torch.empty(shape)
        for sample, target in zip(x.contiguous(), self._buffer):
            library.sast_stem_input(sample, channels, height, width, self.padding, target)
        return self.norm(self.conv(self._buffer.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))


class SparseAttention(nn.Module):
    """
    ``attention.SparseAttention`` with packed products.

    oneDNN prepares a product anew for every shape, so the number of tokens is rounded up: sixteen
    shapes instead of one a step. The last token stands for those that are added; what becomes of
    them is cut off.
    """

    def __init__(self, reference: attention.SparseAttention) -> None:
        super().__init__()
        self.heads, self.context_broadcasting = reference.heads, reference.context_broadcasting
        self.norm1, self.norm2 = reference.norm1, reference.norm2
        self.qkv, self.proj = pack(reference.qkv), pack(reference.proj)
        self.mlp = pack(reference.mlp)

    def forward(self, x: Tensor, selection: Selection) -> Tensor:
        """Attend; see ``attention.SparseAttention``."""
        batch, tokens, _ = x.shape
        packed = selection.pack()
        count = len(packed.token)
        normed = self.norm1(x).flatten(0, 1)
        if count == 0:
            return normed.view_as(x)
        added = -count % max(16, batch * tokens // 16)
        z = self.norm2(normed[_repeat_last(packed.token, added)])
        y = z + self.proj(self._attend(self.qkv(z), packed.lengths, count))
        m = self.mlp(y)[:count]
        if self.context_broadcasting:
            m = broadcast_context(m, packed.sample, batch, tokens)
        return normed.index_copy(0, packed.token, y[:count] + m).view_as(x)

    def _attend(self, qkv: Tensor, lengths: Tensor, count: int) -> Tensor:
        """Let each of the first ``count`` tokens attend to those of its own window."""
        added = len(qkv) - count
        longest = int(lengths.max())
        present = torch.arange(longest) < lengths[:, None]
        slot = present.flatten().nonzero().squeeze(1)
        padded, mask = qkv[:count], None
        if count < present.numel():
            padded = qkv.new_zeros(present.numel(), qkv.shape[1]).index_copy(0, slot, padded)
            mask = present[:, None, None, :]
        out = dot_product(padded.unflatten(0, present.shape), self.heads, mask).flatten(0, 1)
        return out[_repeat_last(slot, added)]


def _repeat_last(index: Tensor, count: int) -> Tensor:
    return torch.cat([index, index[-1:].expand(count)])


class ConvLstm(nn.Module):
    """``backbone.ConvLstm`` with one packed product, then all gates in one pass."""

    def __init__(self, reference: backbone.ConvLstm) -> None:
        super().__init__()
        conv = reference.conv1x1
        self.gates = PackedLinear(conv.weight.flatten(1), cast(Tensor, conv.bias))

    def forward(self, x: Tensor, state: State | None) -> State:
        """Return the new (h, c); see ``backbone.ConvLstm``."""
        channels = x.shape[-1]
        if state is None:
            before = cell_before = torch.zeros_like(x)
        else:
            before, cell_before = (s.permute(0, 2, 3, 1).contiguous() for s in state)
        gates = self.gates(torch.cat([x, before], dim=-1)).contiguous()
        _require('state', cell_before, x.shape)
        _require('gates', gates, (*x.shape[:-1], 4 * channels))
        hidden, cell = torch.empty_like(cell_before), torch.empty_like(cell_before)
        tokens = cell.numel() // channels
        library.sast_lstm_cell(gates, cell_before, tokens, channels, hidden, cell)
        return hidden.permute(0, 3, 1, 2), cell.permute(0, 3, 1, 2)


def _require(name: str, value: Tensor, shape: Sequence[int]) -> None:
    """Refuse a tensor that the compiled loops would read outside of."""
    if value.shape != tuple(shape):
        raise ValueError(f'{name} has shape {list(value.shape)}; it must be {list(shape)}')


def score_tokens(x: Tensor, raw: Tensor, gain: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Do what ``selection.score_tokens`` does in one pass; ``x`` is overwritten."""
    x, raw, scale = x.contiguous(), raw.contiguous(), scale.contiguous()
    batch, tokens, channels = x.shape
    _require('raw', raw, x.shape)
    _require('gain', gain, (batch, channels))
    _require('scale', scale, (batch, channels))
    scores = torch.empty(batch, tokens)
    for row in zip(x, raw, torch.sigmoid(gain), scale, scores):
        library.sast_score_tokens(*row[:4], tokens, channels, row[4])
    return x, scores


def event_density(histogram: Tensor) -> Tensor:
    """Do what ``selection.event_density`` does in one pass."""
    batch, channels, height, width = histogram.shape
    if height % STRIDES[-1] or width % STRIDES[-1]:
        raise ValueError(
            f'event_density: a histogram of {width}x{height} cells; its sides must be multiples '
            f'of {STRIDES[-1]}'
        )
    counts = torch.empty(batch, len(STRIDES), channels, dtype=torch.int32)
    for sample, target in zip(histogram.contiguous(), counts):
        library.sast_count_occupied(sample, channels, height, width, target)
    cells = [channels * (height // stride) * (width // stride) for stride in STRIDES]
    return counts.float() / torch.tensor(cells, dtype=torch.float32)[:, None]
