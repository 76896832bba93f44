# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The network with shapes that do not depend on the events, for CUDA graphs and for export.

All tokens of a partition attend, to the selected ones only (a mask of the keys), and what is not
selected keeps its layer norm by a choice per element. So no operator has an output whose size
depends on data, and a step never waits for the device. It costs the arithmetic of dense attention.
"""

from __future__ import annotations

from typing import cast, NamedTuple

from sast_ros.model import attention, backbone
from sast_ros.model.attention import dot_product
from sast_ros.model.backbone import State
from sast_ros.model.config import STRIDES
from sast_ros.model.sast import pad, SAST, StepOutput
from sast_ros.model.selection import (
    partition_order,
    position_embedding,
    score_gain,
    score_tokens,
    selected,
    Selection,
    SelectionControl,
)
import torch
from torch import nn, Tensor
import torch.nn.functional as F

#: Logit of a key that is not selected: its weight is exactly 0 beside any that is selected, and a
#: partition without any stays finite. float16 holds it.
_MASKED_LOGIT = -1e4

_KINDS = ('window', 'grid')


class Thresholds(NamedTuple):
    """
    AMP and BOUNCE of a selection, as numbers or as tensors of no dimension on the device.

    Attributes
    ----------
    amp, bounce : float or torch.Tensor
        As in ``SelectionControl``; an infinite ``bounce`` selects everything.

    """

    amp: float | Tensor
    bounce: float | Tensor

    @classmethod
    def of(cls, control: SelectionControl) -> Thresholds:
        """Return those of a control, as numbers."""
        return cls(control.amp, effective_bounce(control))


def effective_bounce(control: SelectionControl) -> float:
    """Return BOUNCE, infinite in mode ``'dense'``."""
    return float('inf') if control.mode == 'dense' else control.bounce


class MaskedNetwork(nn.Module):
    """
    A network with the results of ``SAST`` up to rounding, on any device.

    Parameters
    ----------
    model : SAST
        A network of ``folded_copy``, which is used up: its layers become those of this one.
    dtype : torch.dtype
        Of the matrix products and convolutions behind the selection. Down-sampling, scores and
        selections are computed in float32, and so are the states.

    """

    def __init__(self, model: SAST, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.config, self.control, self.dtype = model.config, model.control, dtype
        self.stages = nn.ModuleList(
            Stage(cast(backbone.Stage, stage), dtype) for stage in model.backbone.stages
        )
        self.fpn, self.yolox_head = model.fpn.to(dtype), model.yolox_head.to(dtype)

    def forward(self, histogram: Tensor, states: list[State] | None = None) -> StepOutput:
        """Advance by one window and detect; see ``SAST.forward``."""
        return self.advance(histogram, states, Thresholds.of(self.control))

    def advance(
        self, histogram: Tensor, states: list[State] | None, thresholds: Thresholds
    ) -> StepOutput:
        """Advance by one window with these thresholds instead of those of ``control``."""
        x = histogram = pad(histogram, self.config)
        height, width = histogram.shape[2:]
        density = event_density(histogram)
        part = self.config.partitions((height, width))
        new_states, selections = [], []
        for index, stage in enumerate(self.stages):
            state = states[index] if states else None
            state, pair = stage(x, density[:, index], state, part, thresholds)
            x = state[0]
            new_states.append(state)
            selections.append(pair)
        head = self.yolox_head(self.fpn(*(h.to(self.dtype) for h, _ in new_states[1:])))
        return StepOutput(head.float(), new_states, selections, (height, width))


class Stage(nn.Module):
    """``backbone.Stage`` for one window."""

    def __init__(self, stage: backbone.Stage, dtype: torch.dtype) -> None:
        super().__init__()
        block = cast(backbone.AttentionBlock, stage.att_blocks[0]).att
        self.downsample = stage.downsample_cf2cl
        self.controls: Tensor = block.to_controls.weight
        self.to_scores = block.to_scores
        self.win_attn = Attention(block.win_attn, 'window', dtype)
        self.grid_attn = Attention(block.grid_attn, 'grid', dtype)
        self.lstm = stage.lstm.to(dtype)

    def forward(
        self,
        x: Tensor,
        density: Tensor,
        state: State | None,
        part: tuple[int, int],
        thresholds: Thresholds,
    ) -> tuple[State, tuple[Selection, Selection]]:
        """Return the new (h, c) and the selections; see ``backbone.Stage``."""
        x = self.downsample(x)
        _, height, width, channels = x.shape
        x = x + position_embedding(channels, height, width, x.device)
        # Half precision would flip a few per cent of the selections
        with torch.autocast(x.device.type, enabled=False):
            gain, scale = score_gain(density, self.controls, thresholds.amp)
            tokens = x.flatten(1, 2)
            tokens, scores = score_tokens(tokens, self.to_scores(tokens), gain, scale)
            x, scores = (tensor.unflatten(1, (height, width)) for tensor in (tokens, scores))
            masks = [selected(split(scores, kind, part), thresholds.bounce) for kind in _KINDS]
        x = self.grid_attn(self.win_attn(x, masks[0], part), masks[1], part)
        by_window, by_grid = (
            Selection(mask, partition_order(kind, height, width, part, x.device))
            for mask, kind in zip(masks, _KINDS)
        )
        return self.lstm(x, state), (by_window, by_grid)


class Attention(nn.Module):
    """``attention.SparseAttention`` of all tokens, with a mask of the keys."""

    def __init__(
        self, reference: attention.SparseAttention, kind: str, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.kind, self.dtype, self.heads = kind, dtype, reference.heads
        self.context_broadcasting = reference.context_broadcasting
        self.norm1, self.norm2 = reference.norm1, reference.norm2
        self.qkv, self.proj = reference.qkv.to(dtype), reference.proj.to(dtype)
        self.mlp = reference.mlp.to(dtype)

    def forward(self, x: Tensor, mask: Tensor, part: tuple[int, int]) -> Tensor:
        """
        Attend.

        Parameters
        ----------
        x : torch.Tensor
            ``float32[B, H, W, C]``.
        mask : torch.Tensor
            ``bool[B, N, T]`` the selected tokens in partition-major order.
        part : tuple of int
            (height, width) of a partition in tokens.

        Returns
        -------
        torch.Tensor
            Of the shape of ``x``.

        """
        normed = split(self.norm1(x), self.kind, part)
        selected = mask[..., None]
        z = self.norm2(normed)
        qkv = self.qkv(z.to(self.dtype)).flatten(0, 1)
        logits = torch.where(mask, 0.0, _MASKED_LOGIT).to(qkv.dtype)
        attended = dot_product(qkv, self.heads, logits.flatten(0, 1)[:, None, None, :])
        y = z + self.proj(attended).unflatten(0, mask.shape[:2])
        m = self.mlp(y.to(self.dtype))
        if self.context_broadcasting:
            mean = torch.where(selected, m, 0.0).sum(dim=(1, 2), keepdim=True) / mask[0].numel()
            m = 0.5 * m + 0.5 * mean
        return join(
            torch.where(selected, y + m, normed), self.kind, (x.shape[1], x.shape[2]), part
        )


def split(x: Tensor, kind: str, part: tuple[int, int]) -> Tensor:
    """
    Lay a map out by partitions; see ``selection.partition_order``.

    Parameters
    ----------
    x : torch.Tensor
        ``[B, H, W, ...]``.
    kind : str
        ``'window'`` or ``'grid'``.
    part : tuple of int
        (height, width) of a partition in tokens.

    Returns
    -------
    torch.Tensor
        ``[B, N, T, ...]``, partition-major.

    """
    (rows, columns), (height, width) = part, x.shape[1:3]
    if kind == 'window':
        tiles = x.unflatten(2, (width // columns, columns)).unflatten(1, (height // rows, rows))
    else:
        tiles = x.unflatten(2, (columns, width // columns)).unflatten(1, (rows, height // rows))
        tiles = tiles.transpose(1, 2).transpose(3, 4)
    return tiles.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def join(x: Tensor, kind: str, size: tuple[int, int], part: tuple[int, int]) -> Tensor:
    """Lay partitions out as the map ``[B, H, W, ...]`` of this size that ``split`` was given."""
    (rows, columns), (height, width) = part, size
    tiles = x.unflatten(2, (rows, columns)).unflatten(1, (height // rows, width // columns))
    tiles = tiles.transpose(2, 3)
    if kind == 'grid':
        tiles = tiles.transpose(3, 4).transpose(1, 2)
    return tiles.flatten(3, 4).flatten(1, 2)


def event_density(histogram: Tensor) -> Tensor:
    """Do what ``selection.event_density`` does with fewer, larger operations."""
    channels, height, width = histogram.shape[1:]
    occupied = (histogram > 0).float()
    densities = []
    for index, stride in enumerate(STRIDES):
        occupied = F.max_pool2d(occupied, 2 if index else stride)
        cells = channels * (height // stride) * (width // stride)
        densities.append(occupied.sum(dim=(2, 3)) / cells)
    return torch.stack(densities, dim=1)
