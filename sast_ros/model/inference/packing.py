# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Weights as the compiled loops read them: in panels, gates side by side, Winograd points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import DTypeLike
from sast_ros.model.attention import GatedLinear, SparseAttention
from sast_ros.model.neck import ConvBlock
import torch
from torch import nn, Tensor

#: Channels that belong together in interleaved columns: WIDE of vector.h.
WIDE = 16
#: Points of a tile of F(4x4, 3x3).
POINTS = 36
#: Bytes of a line of the cache.
LINE = 64
#: Bytes after an array that products may read: the widest panel, from its last column on.
SLACK = 2 * LINE

_WINOGRAD = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    dtype=torch.float64,
    device='cpu',
)


def aligned(shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> np.ndarray:
    """Return zeros that begin at a line of the cache, with ``SLACK`` bytes after them."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + LINE + SLACK, np.uint8)
    offset = -memory.ctypes.data % LINE
    past = offset + size
    return memory[offset:past].view(dtype).reshape(shape)


@dataclass(frozen=True, slots=True)
class Panel:
    """
    How a matrix is packed.

    Attributes
    ----------
    columns : int
        Of a panel.
    half : bool
        Rounded to bfloat16, two of a column in the place of a float.

    """

    columns: int
    half: bool = False

    @property
    def exact(self) -> Panel:
        """Return the same in float32."""
        return Panel(self.columns)


@dataclass(slots=True)
class Packed:
    """
    A matrix, or several, in panels, and its bias.

    Attributes
    ----------
    weight : numpy.ndarray
        ``float32[batch, panels, inner, panel]``, ``inner / 2`` of pairs of bfloat16.
    bias : numpy.ndarray or None
        ``float32[columns]``.
    inner, columns : int
        Rows and columns of the matrix.
    half : bool
        Whether the weights are pairs of bfloat16.

    """

    weight: np.ndarray
    bias: np.ndarray | None
    inner: int
    columns: int
    half: bool = False

    @property
    def batch_size(self) -> int:
        """Floats from one matrix to the next."""
        return self.weight[0].size


def as_array(tensor: Tensor) -> np.ndarray:
    """Return an aligned copy as float32."""
    source = tensor.detach().float().numpy()
    copy = aligned(source.shape)
    copy[...] = source
    return copy


def pack(matrix: Tensor, bias: Tensor | None, panel: Panel) -> Packed:
    """
    Pack a matrix.

    Parameters
    ----------
    matrix : torch.Tensor
        ``[inner, columns]`` or ``[batch, inner, columns]``.
    bias : torch.Tensor or None
        ``[columns]``.
    panel : Panel
        How to pack it.

    """
    source = matrix.detach().float().reshape(-1, *matrix.shape[-2:]).numpy()
    batch, inner, columns = source.shape
    panels = -(-columns // panel.columns)
    weight = aligned((batch, panels, inner, panel.columns))
    for index in range(panels):
        first, past = index * panel.columns, (index + 1) * panel.columns
        part = source[:, :, first:past]
        weight[:, index, :, : part.shape[2]] = part
    if panel.half:
        weight = _in_pairs(weight)
    return Packed(weight, None if bias is None else as_array(bias), inner, columns, panel.half)


def _in_pairs(weight: np.ndarray) -> np.ndarray:
    """Round ``[..., inner, panel]`` to bfloat16, rows 2k and 2k + 1 in the places of a float."""
    *before, inner, columns = weight.shape
    rounded = torch.from_numpy(weight).bfloat16().view(torch.int16).numpy()
    pairs = aligned((*before, inner // 2, columns))
    pairs.view(np.int16).reshape(*before, inner // 2, columns, 2)[...] = rounded.reshape(
        *before, inner // 2, 2, columns
    ).swapaxes(-1, -2)
    return pairs


def linear(layer: nn.Linear, panel: Panel) -> Packed:
    """Pack a linear layer."""
    return pack(layer.weight.t(), layer.bias, panel)


def interleaved(weight: Tensor, bias: Tensor, groups: int, panel: Panel) -> Packed:
    """Pack ``[groups * C, inner]`` so that sixteen columns of each group follow each other."""
    channels = weight.shape[0] // groups
    order = torch.arange(groups * channels, device=weight.device)
    order = order.view(groups, channels // WIDE, WIDE).transpose(0, 1).flatten()
    return pack(weight[order].t(), bias[order], panel)


def neighbourhoods(weight: Tensor, bias: Tensor | None, panel: Panel) -> Packed:
    """Pack a 3x3 convolution ``[N, C, 3, 3]``: tap by tap, channel by channel."""
    packed = pack(weight.permute(2, 3, 1, 0).flatten(0, 2), bias, panel)
    packed.inner = weight.shape[1]
    return packed


def winograd(weight: Tensor, bias: Tensor, panel: Panel) -> Packed:
    """Pack a 3x3 convolution ``[N, C, 3, 3]`` of stride 1 as the 36 matrices of F(4x4, 3x3)."""
    points = torch.einsum('ij,ncjk,lk->ilcn', _WINOGRAD, weight.detach().double(), _WINOGRAD)
    return pack(points.flatten(0, 1), bias, panel)


def pointwise(block: ConvBlock, panel: Panel) -> Packed:
    """Pack a folded 1x1 convolution."""
    return pack(block.conv.weight.flatten(1).t(), block.conv.bias, panel)


def stem_table(weight: Tensor) -> np.ndarray:
    """
    Return a 7x7 convolution ``[N, C, 7, 7]`` as ``float32[C, 8, 8, N]``.

    The eighth row and column are the sums of the first four: those of a pixel at the border, which
    stands for its three replicas too.
    """
    table = weight.detach().double().permute(1, 2, 3, 0)
    table = torch.cat([table, table[:, :4].sum(dim=1, keepdim=True)], dim=1)
    table = torch.cat([table, table[:, :, :4].sum(dim=2, keepdim=True)], dim=2)
    return as_array(table)


class Norm:
    """Layer norm; both vectors as arrays."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        self.gamma, self.beta = as_array(norm.weight), as_array(norm.bias)


class AttentionWeights:
    """A sparse attention with folded LayerScale."""

    def __init__(self, attention: SparseAttention, panel: Panel) -> None:
        self.heads = attention.heads
        self.norm1, self.norm2 = Norm(attention.norm1), Norm(attention.norm2)
        self.qkv, self.proj = linear(attention.qkv, panel), linear(attention.proj, panel)
        gated = cast(GatedLinear, attention.mlp.net[0]).proj
        self.gated = interleaved(gated.weight, gated.bias, 2, panel)
        self.out = linear(cast(nn.Linear, attention.mlp.net[2]), panel)
