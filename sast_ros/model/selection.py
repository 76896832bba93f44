# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Partitions of a map, and which windows and tokens of it are worth attention.

Source: SAST, sections 3.2 and 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
import math

from sast_ros.model.config import STRIDES
import torch
from torch import Tensor
import torch.nn.functional as F


@dataclass(slots=True)
class SelectionControl:
    """
    How the token selection works; may be changed between two steps.

    Attributes
    ----------
    mode : str
        ``'adaptive'`` or ``'dense'``.
    amp, bounce : float
        AMP and BOUNCE of docs/sast.md 4.4: a larger ``amp`` selects fewer tokens, a larger
        ``bounce`` more.

    """

    mode: str
    amp: float
    bounce: float


@dataclass(slots=True)
class PackedTokens:
    """
    Selected tokens of a batch, window after window.

    Attributes
    ----------
    token : torch.Tensor
        ``int64[n]`` token in the maps of the batch, one after the other.
    sample : torch.Tensor
        ``int64[n]`` sample of the batch that the token belongs to.
    lengths : torch.Tensor
        ``int64[windows]`` tokens of each window that has any.

    """

    token: Tensor
    sample: Tensor
    lengths: Tensor


@dataclass(slots=True)
class Selection:
    """
    Selected tokens of a map in one kind of partition.

    Attributes
    ----------
    mask : torch.Tensor
        ``bool[B, N, T]`` in partition-major order.
    order : torch.Tensor
        ``int64[N, T]`` token of the map at each place.

    """

    mask: Tensor
    order: Tensor

    def pack(self) -> PackedTokens:
        """Return the selected tokens, window after window."""
        tokens = self.order.numel()
        place = self.mask.flatten().nonzero().squeeze(1)
        sample = torch.div(place, tokens, rounding_mode='floor')
        token = self.order.flatten()[place - sample * tokens] + sample * tokens
        lengths = self.mask.sum(dim=2).flatten()
        return PackedTokens(token, sample, lengths[lengths > 0])


@lru_cache(maxsize=128)
@torch.inference_mode(False)  # kept for training steps too
def partition_order(
    kind: str, height: int, width: int, part: tuple[int, int], device: torch.device
) -> Tensor:
    """
    Return which token of the map is at each place of the partition-major order.

    Parameters
    ----------
    kind : str
        ``'window'`` cuts the map into tiles of ``part`` tokens; ``'grid'`` spreads each partition
        over the whole map with a stride (dilated). Partitions are in raster order, tokens inside
        a partition too (docs/sast.md 4.3).
    height, width : int
        Size of the map in tokens.
    part : tuple of int
        (height, width) of a partition in tokens.
    device : torch.device
        Of the result.

    Returns
    -------
    torch.Tensor
        ``int64[N, T]`` raster indices.

    """
    rows, columns = part
    index = torch.arange(height * width, device=device)
    if kind == 'window':
        tiles = index.view(height // rows, rows, width // columns, columns).permute(0, 2, 1, 3)
    else:
        tiles = index.view(rows, height // rows, columns, width // columns).permute(1, 3, 0, 2)
    return tiles.reshape(-1, rows * columns).contiguous()


@lru_cache(maxsize=32)
@torch.inference_mode(False)
def position_embedding(channels: int, height: int, width: int, device: torch.device) -> Tensor:
    """
    Return the fixed sine position embedding ``float32[height, width, channels]``.

    The first half of the channels is for y, the second for x (docs/sast.md 4.2).
    """
    half = channels // 2
    place = torch.arange(half, device='cpu')
    exponent = 2 * torch.div(place, 2, rounding_mode='floor').float() / half
    # Powers, sines and cosines of float32 differ between processors in their last bit
    frequency = (10000 ** exponent.double()).float()

    def axis(length: int) -> Tensor:
        index = torch.arange(length, dtype=torch.float32, device='cpu')
        value = 2 * math.pi * (index + 0.5) / (length + 1e-6)
        angle = (value[:, None] / frequency).double()
        embedding = torch.empty(length, half, dtype=torch.float32, device='cpu')
        embedding[:, 0::2] = angle[:, 0::2].sin()
        embedding[:, 1::2] = angle[:, 1::2].cos()
        return embedding

    rows = axis(height)[:, None, :].expand(height, width, half)
    columns = axis(width)[None, :, :].expand(height, width, half)
    return torch.cat([rows, columns], dim=-1).to(device)


def event_density(histogram: Tensor) -> Tensor:
    """
    Return for the four strides the share of occupied cells per channel (docs/sast.md 4.1).

    A cell of stride s is occupied if any of its pixels has an event. The published denominator
    includes the number of channels.

    Parameters
    ----------
    histogram : torch.Tensor
        ``uint8[B, channels, H, W]``, sides multiples of 32.

    Returns
    -------
    torch.Tensor
        ``float32[B, 4, channels]``.

    """
    channels, height, width = histogram.shape[1:]
    occupied = histogram > 0
    densities = []
    cell = 1
    for stride in STRIDES:
        while cell < stride:  # half the time of reductions, on a CPU
            occupied = occupied[..., ::2, :] | occupied[..., 1::2, :]
            occupied = occupied[..., ::2] | occupied[..., 1::2]
            cell *= 2
        cells = channels * (height // stride) * (width // stride)
        densities.append(occupied.sum(dim=(2, 3)).float() / cells)
    return torch.stack(densities, dim=1)


def score_gain(density: Tensor, controls: Tensor, amp: float | Tensor) -> tuple[Tensor, Tensor]:
    """
    Return the gain g of the scores and their scale AMP / g (docs/sast.md 4.4), ``[B, C]`` each.

    Parameters
    ----------
    density : torch.Tensor
        ``[B, channels]`` of one stride.
    controls : torch.Tensor
        ``[C, channels]`` weight of ``to_controls``.
    amp : float or torch.Tensor
        AMP, a number or a tensor of no dimension.

    """
    gain = (density + 1e-6) @ controls.exp().t()
    scale = amp * gain.detach().reciprocal()
    return gain, torch.where(torch.isinf(scale), 0.0, scale)


def score_tokens(x: Tensor, raw: Tensor, gain: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """
    Weight the tokens by their scores (docs/sast.md 4.4).

    Parameters
    ----------
    x, raw : torch.Tensor
        ``[B, tokens, C]`` tokens and their scores before the ReLU.
    gain, scale : torch.Tensor
        ``[B, C]`` of ``score_gain``.

    Returns
    -------
    weighted : torch.Tensor
        ``[B, tokens, C]``.
    scores : torch.Tensor
        ``[B, tokens]`` L1 norm of the scaled scores.

    """
    raw = F.relu(raw)
    scores = torch.einsum('btc,bc->bt', raw, scale)
    return torch.sigmoid(gain)[:, None, :] * torch.sigmoid(raw) * x, scores


def select(scores: Tensor, order: Tensor, bounce: float) -> Selection:
    """
    Select windows, and tokens in them, by their scores (docs/sast.md 4.4).

    Selected is what has a softmaxed score not below the uniform one / (1 + bounce).

    Parameters
    ----------
    scores : torch.Tensor
        ``float32[B, tokens]`` of the map in raster order, at least 0.
    order : torch.Tensor
        ``int64[N, T]`` of ``partition_order``.
    bounce : float
        BOUNCE.

    """
    return Selection(selected(scores[:, order], bounce), order)


def selected(scores: Tensor, bounce: float | Tensor) -> Tensor:
    """
    Return which tokens are selected, ``bool[B, N, T]``.

    Parameters
    ----------
    scores : torch.Tensor
        ``float32[B, N, T]``, partition-major.
    bounce : float or torch.Tensor
        BOUNCE, infinite to select everything.

    """
    windows, tokens = scores.shape[1:]
    window_share = torch.softmax(scores.sum(dim=2) / tokens, dim=1)
    token_share = torch.softmax(scores, dim=2)
    mask = token_share >= (1 / tokens) / (1 + bounce)
    return mask & (window_share >= (1 / windows) / (1 + bounce))[:, :, None]


def selection_margins(scores: Tensor, bounce: float) -> tuple[Tensor, Tensor]:
    """
    Return by how much tokens and partitions pass what ``selected`` compares, with gradients.

    A token is selected if its margin and that of its partition are at least 0. They are logarithms
    of softmaxed score / threshold, which are as large as differences between scores.

    Parameters
    ----------
    scores : torch.Tensor
        ``float32[B, N, T]``, partition-major.
    bounce : float
        BOUNCE.

    Returns
    -------
    tokens : torch.Tensor
        ``float32[B, N, T]``.
    partitions : torch.Tensor
        ``float32[B, N]``.

    """
    count, size = scores.shape[1:]
    tokens = torch.log_softmax(scores, dim=2) + math.log(size)
    partitions = torch.log_softmax(scores.mean(dim=2), dim=1) + math.log(count)
    return tokens + math.log1p(bounce), partitions + math.log1p(bounce)


def select_tokens(
    scores: Tensor, size: tuple[int, int], part: tuple[int, int], control: SelectionControl
) -> tuple[Selection, Selection]:
    """
    Return the selections by window and by grid.

    Parameters
    ----------
    scores : torch.Tensor
        ``float32[B, tokens]`` of the map in raster order.
    size, part : tuple of int
        (height, width) of the map and of a partition in tokens.
    control : SelectionControl
        Everything is selected in mode ``'dense'``.

    """
    by_window, by_grid = (
        partition_order(kind, *size, part, scores.device) for kind in ('window', 'grid')
    )
    if control.mode == 'dense':
        return _select_all(len(scores), by_window), _select_all(len(scores), by_grid)
    return select(scores, by_window, control.bounce), select(scores, by_grid, control.bounce)


def _select_all(batch: int, order: Tensor) -> Selection:
    return Selection(torch.ones(batch, *order.shape, dtype=torch.bool, device=order.device), order)
