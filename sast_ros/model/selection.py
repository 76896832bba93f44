"""
Partitions of a map, and which windows and tokens of it are worth attention.

Source: SAST, sections 3.2 and 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
import math

import torch
from torch import Tensor


@lru_cache(maxsize=128)
@torch.inference_mode(False)  # kept for training steps too
def partition_order(
    kind: str, height: int, width: int, part: tuple[int, int], device: torch.device
) -> Tensor:
    """
    Return which map token stands at each place of the partition-major order.

    The tokens are ``int64[N, T]`` raster indices. ``kind``: ``'window'`` cuts the map into tiles
    of ``part`` tokens; ``'grid'`` spreads each partition over the whole map with a stride
    (dilated). Partitions are in raster order, tokens inside a partition too.
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

    The first half of the channels is for y, the second for x.
    """
    half = channels // 2
    frequency = 10000 ** (2 * torch.div(torch.arange(half), 2, rounding_mode='floor') / half)

    def axis(length: int) -> Tensor:
        value = 2 * math.pi * (torch.arange(length, dtype=torch.float32) + 0.5) / (length + 1e-6)
        angle = value[:, None] / frequency
        embedding = torch.empty(length, half)
        embedding[:, 0::2] = angle[:, 0::2].sin()
        embedding[:, 1::2] = angle[:, 1::2].cos()
        return embedding

    rows = axis(height)[:, None, :].expand(height, width, half)
    columns = axis(width)[None, :, :].expand(height, width, half)
    return torch.cat([rows, columns], dim=-1).to(device)


def event_density(histogram: Tensor) -> Tensor:
    """
    Return for the four strides the share of occupied cells per channel (spec 4.1).

    Its shape is ``float32[B, 4, channels]``. ``histogram``: ``uint8[B, channels, H, W]``, sides
    multiples of 32. A cell of stride s is occupied if any of its pixels has an event. The
    published denominator includes the number of channels.
    """
    batch, channels, height, width = histogram.shape
    # A row of four uint8 counts is nonzero as one int32 word is: no max-pool on floats.
    words = histogram.contiguous().view(torch.int32)
    occupied = (words.view(batch, channels, height // 4, 4, width // 4) != 0).any(dim=3)
    densities = []
    for stride in (4, 8, 16, 32):
        if stride > 4:
            rows, columns = height // stride, width // stride
            occupied = occupied.view(batch, channels, rows, 2, columns, 2).any(dim=5).any(dim=3)
        cells = channels * (height // stride) * (width // stride)
        densities.append(occupied.sum(dim=(2, 3), dtype=torch.int32).to(torch.float32) / cells)
    return torch.stack(densities, dim=1)


@dataclass(slots=True)
class Selection:
    """
    Selected tokens of a map in one kind of partition.

    ``mask``: ``bool[B, N, T]`` in partition-major order; ``order``: ``int64[N, T]`` map token of
    each place.
    """

    mask: Tensor
    order: Tensor

    def windows(self) -> Tensor:
        """Return which partitions are selected, ``bool[B, N]``."""
        return self.mask.any(dim=2)


def select(scores: Tensor, order: Tensor, bounce: float) -> Selection:
    """
    Select windows, and tokens in them, by their scores (spec 4.4).

    Selected is what has a softmaxed score not below the uniform one / (1 + bounce). ``scores``:
    ``float32[B, tokens]`` of the map in raster order, at least 0.
    """
    windows, tokens = order.shape
    arranged = scores[:, order]  # B, N, T
    window_share = torch.softmax(arranged.sum(dim=2) / tokens, dim=1)
    token_share = torch.softmax(arranged, dim=2)
    mask = token_share >= (1 / tokens) / (1 + bounce)
    return Selection(mask & (window_share >= (1 / windows) / (1 + bounce))[:, :, None], order)


def select_all(batch: int, order: Tensor) -> Selection:
    """Select every token of every window."""
    return Selection(torch.ones(batch, *order.shape, dtype=torch.bool, device=order.device), order)
