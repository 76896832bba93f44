# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
A network and an input size as the list of operations that the compiled loops carry out.

``sast_ros/kernels/engine/engine.h`` says what each operation does. Activations are token by token,
``[tokens, channels]``; a convolution is a product of their neighbourhoods.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from sast_ros import kernels
from sast_ros.kernels import library, pointer, read_structures
from sast_ros.model import backbone
from sast_ros.model.config import ModelConfig, STRIDES
from sast_ros.model.head import HEAD_STRIDES, YoloxHead
from sast_ros.model.inference import packing
from sast_ros.model.inference.packing import (
    aligned,
    as_array,
    AttentionWeights,
    Norm,
    Packed,
    Panel,
)
from sast_ros.model.neck import Bottleneck, ConvBlock, CspLayer, Pafpn
from sast_ros.model.sast import SAST
from sast_ros.model.selection import partition_order, position_embedding
import torch
from torch import nn, Tensor

STRUCTURES, CONSTANTS = read_structures(
    (Path(kernels.__file__).parent / 'engine' / 'engine.h').read_text()
)

#: Slots of ``struct sast_step``: the states of the stages, and the levels of the head.
HIDDEN_IN, CELL_IN, HIDDEN_OUT, CELL_OUT, HEAD = 1, 5, 9, 13, 17


@dataclass(slots=True)
class Map:
    """
    Activations: an address, floats from one token to the next, and channels.

    Attributes
    ----------
    address : int
        Of the first token, or a slot of the step.
    stride, channels : int
        Floats from one token to the next, and those of this map.

    """

    address: int
    stride: int
    channels: int

    def part(self, first: int, channels: int) -> Map:
        """Return channels of the map."""
        return Map(self.address + 4 * first, self.stride, channels)


class StageWeights:
    """Packed weights of a stage of the backbone."""

    def __init__(self, stage: backbone.Stage, panel: Panel) -> None:
        downsample = stage.downsample_cf2cl
        block = cast(backbone.AttentionBlock, stage.att_blocks[0]).att
        weight = downsample.conv.weight
        self.stem = packing.stem_table(weight) if downsample.padding > 1 else None
        self.conv = None if downsample.padding > 1 else packing.neighbourhoods(weight, None, panel)
        self.norm = Norm(downsample.norm)
        self.channels = weight.shape[0]
        self.controls = as_array(block.to_controls.weight.double().exp())
        self.to_scores = packing.linear(block.to_scores, panel.exact)
        self.attentions = [
            AttentionWeights(attention, panel) for attention in (block.win_attn, block.grid_attn)
        ]
        gates = stage.lstm.conv1x1
        self.lstm = packing.interleaved(
            gates.weight.flatten(1), cast(Tensor, gates.bias), 4, panel
        )
        self.lstm.inner //= 2


class CspWeights:
    """
    Packed weights of a cross-stage partial block: both entries as one product.

    Where the input is a map of half the resolution beside a skip connection, the product of the
    first is taken at its own resolution (``below``).
    """

    def __init__(self, block: CspLayer, panel: Panel, *, upsampled: bool) -> None:
        entries = [entry.conv for entry in (block.conv1, block.conv2)]
        weight = torch.cat([conv.weight.flatten(1) for conv in entries]).t()
        bias = torch.cat([cast(Tensor, conv.bias) for conv in entries])
        half = len(weight) // 2 if upsampled else 0
        self.below = packing.pack(weight[:half], None, panel) if upsampled else None
        self.entry = packing.pack(weight[half:], bias, panel)
        self.bottlenecks = [
            (packing.pointwise(bottleneck.conv1, panel), _winograd(bottleneck.conv2, panel))
            for bottleneck in cast(Sequence[Bottleneck], block.m)
        ]
        self.last = packing.pointwise(block.conv3, panel)


def _winograd(block: ConvBlock, panel: Panel) -> Packed:
    return packing.winograd(block.conv.weight, cast(Tensor, block.conv.bias), panel)


class LevelWeights:
    """Packed weights of one level of the head: of the box branch, then of the class branch."""

    def __init__(self, head: YoloxHead, level: int, panel: Panel) -> None:
        self.stem = packing.pointwise(cast(ConvBlock, head.stems[level]), panel)
        self.branches = [
            [_winograd(cast(ConvBlock, block), panel) for block in cast(nn.Sequential, b[level])]
            for b in (head.reg_convs, head.cls_convs)
        ]
        by_class, by_box, by_object = (
            cast(nn.Conv2d, p[level]) for p in (head.cls_preds, head.reg_preds, head.obj_preds)
        )
        weight, bias = _stacked([by_box, by_object])
        self.boxes = packing.pack(weight.flatten(1).t(), bias, panel.exact)
        self.classes = as_array(by_class.weight.flatten(1))
        self.classes_bias = as_array(cast(Tensor, by_class.bias))


def _stacked(layers: Sequence[nn.Conv2d]) -> tuple[Tensor, Tensor]:
    return (
        torch.cat([layer.weight for layer in layers]),
        torch.cat([cast(Tensor, layer.bias) for layer in layers]),
    )


class NetworkWeights:
    """Packed weights of a folded network, for one instruction set."""

    def __init__(self, model: SAST, panel: Panel) -> None:
        self.stages = [
            StageWeights(cast(backbone.Stage, stage), panel) for stage in model.backbone.stages
        ]
        fpn: Pafpn = model.fpn
        self.lateral = packing.pointwise(fpn.lateral_conv0, panel)
        self.reduce = packing.pointwise(fpn.reduce_conv1, panel)
        self.top_down = [
            CspWeights(block, panel, upsampled=True) for block in (fpn.C3_p4, fpn.C3_p3)
        ]
        self.bottom_up = [
            CspWeights(block, panel, upsampled=False) for block in (fpn.C3_n3, fpn.C3_n4)
        ]
        self.down = [
            packing.neighbourhoods(block.conv.weight, block.conv.bias, panel)
            for block in (fpn.bu_conv2, fpn.bu_conv1)
        ]
        self.levels = [
            LevelWeights(model.yolox_head, level, panel) for level in range(len(HEAD_STRIDES))
        ]


@dataclass(slots=True)
class SelectedTokens:
    """
    What a selection writes: ``mask`` in partition-major order, tokens, windows, counts.

    ``order``: of the partitions, as in ``Selection``.
    """

    order: Tensor
    mask: np.ndarray
    index: np.ndarray
    first: np.ndarray
    count: np.ndarray = field(default_factory=lambda: aligned((2,), np.int64))


class MarkedTiles:
    """Tiles of a map that a convolution is limited to: ``index`` and how many, ``count``."""

    def __init__(self, tiles: int) -> None:
        self.index, self.count = aligned((tiles,), np.int32), aligned((1,), np.int64)


class Program:
    """
    The operations for one input size, with the memory that they need.

    Parameters
    ----------
    weights : NetworkWeights
        Of the network.
    config : ModelConfig
        Of the network.
    size : tuple of int
        Padded (height, width) of the input.
    instruction_set : int
        Number of the instruction set.

    Attributes
    ----------
    operations : numpy.ndarray
        ``struct sast_op[count]``.
    labels : list of str
        Part of the network that each operation belongs to.
    selections : list of tuple of SelectedTokens
        By window and by grid, of the four stages.
    anchors : int
        Rows of the output.

    """

    def __init__(
        self,
        weights: NetworkWeights,
        config: ModelConfig,
        size: tuple[int, int],
        instruction_set: int,
    ) -> None:
        self.config, self.size = config, size
        self.selections: list[tuple[SelectedTokens, SelectedTokens]] = []
        self.labels: list[str] = []
        self._records: list[dict[str, int]] = []
        self._kept: list[np.ndarray] = []
        self._rooms: dict[str, np.ndarray] = {}
        self._part = ''
        self._add_histogram(weights)
        for index, stage in enumerate(weights.stages):
            self._part = f'stage {index + 1}'
            self._add_stage(index, stage)
        self._part = 'neck'
        features = self._add_neck(weights)
        self._part = 'head'
        self._add_head(weights.levels, features)
        self.operations = aligned((len(self._records),), STRUCTURES['sast_op'])
        for operation, record in zip(self.operations, self._records):
            for name, value in record.items():
                operation[name] = value
        self.anchors = sum(self.tokens(stride) for stride in HEAD_STRIDES)
        self.taken = aligned((len(self.operations), packing.LINE // 8), np.int64)
        self.scratch_each = library.sast_network_scratch(
            instruction_set, pointer(self.operations), len(self.operations)
        )

    def side(self, stride: int) -> tuple[int, int]:
        """Return (height, width) of the maps of a stride."""
        return self.size[0] // stride, self.size[1] // stride

    def tokens(self, stride: int) -> int:
        """Return the number of tokens of a map of a stride."""
        height, width = self.side(stride)
        return height * width

    # -------------------------------------------------------------------------------- building

    def _keep(self, array: np.ndarray) -> int:
        """Return the address of an array that lives as long as the program."""
        self._kept.append(array)
        return pointer(array)

    def _map(self, rows: int, channels: int) -> Map:
        return Map(self._keep(aligned((rows, channels))), channels, channels)

    def _room(self, name: str, rows: int, channels: int) -> Map:
        """Return memory that holds until a later operation takes the same name."""
        size = rows * channels
        room = self._rooms.get(name)
        if room is None or room.size < size:
            room = self._rooms[name] = aligned((size,))
        return Map(self._keep(room), channels, channels)

    def _add(self, kind: str, **fields: Any) -> None:
        """Append an operation; arrays stand for their addresses, names for their numbers."""
        record = {'kind': CONSTANTS[f'SAST_{kind}']}
        for name, value in fields.items():
            if isinstance(value, str):
                value = CONSTANTS[f'SAST_{value}']
            record[name] = self._keep(value) if isinstance(value, np.ndarray) else int(value)
        self._records.append(record)
        self.labels.append(self._part)

    def _product(
        self, weights: Packed, a: Map, y: Map, rows: int, epilogue: str, **fields: Any
    ) -> None:
        if weights.bias is not None:
            fields.setdefault('bias', weights.bias)
        self._add(
            'PRODUCT',
            epilogue=epilogue,
            rows=rows,
            inner=weights.inner,
            columns=weights.columns,
            a=a.address,
            a_stride=a.stride,
            b=weights.weight,
            half=weights.half,
            y=y.address,
            y_stride=y.stride,
            **{'batch': 1, **fields},
        )

    def _convolution(self, weights: Packed, a: Map, y: Map, stride: int, **fields: Any) -> None:
        """Append a 3x3 convolution of stride 2, from maps of half the given stride."""
        (height, width), (out_height, out_width) = self.side(stride // 2), self.side(stride)
        self._product(
            weights,
            a,
            y,
            out_height * out_width,
            source='CONV',
            step=2,
            height=height,
            width=width,
            out_height=out_height,
            out_width=out_width,
            **fields,
        )

    # ------------------------------------------------------------------------------- backbone

    def _add_histogram(self, weights: NetworkWeights) -> None:
        self._part = 'histogram'
        height, width = self.size
        channels = self.config.channels
        self._occupied = aligned((channels, height, -(-width // 64)), np.uint8)
        self._counts = aligned((len(STRIDES), channels), np.int32)
        self._add(
            'OCCUPANCY',
            channels=channels,
            height=height,
            width=width,
            occupied=self._occupied,
            counts=self._counts,
        )
        self._gains = []
        for index, stage in enumerate(weights.stages):
            self._gains.append((aligned((stage.channels,)), aligned((stage.channels,))))
            self._add(
                'GAIN',
                joined=index > 0,
                columns=stage.channels,
                channels=channels,
                counts=self._counts[index],
                tokens=channels * self.tokens(STRIDES[index]),
                controls=stage.controls,
                gate=self._gains[index][0],
                scale=self._gains[index][1],
            )

    def _add_stage(self, index: int, stage: StageWeights) -> None:
        stride, channels = STRIDES[index], stage.channels
        height, width = self.side(stride)
        tokens = height * width
        x = self._map(tokens, channels)
        position = as_array(position_embedding(channels, height, width, torch.device('cpu')))
        after = {'gamma': stage.norm.gamma, 'beta': stage.norm.beta, 'extra': position}
        if stage.stem is not None:
            self._add(
                'STEM',
                joined=True,
                columns=channels,
                channels=self.config.channels,
                height=self.size[0],
                width=self.size[1],
                out_height=height,
                out_width=width,
                occupied=self._occupied,
                b=stage.stem,
                y=x.address,
                **after,
            )
        elif stage.conv is not None:
            before = Map(HIDDEN_OUT + index - 1, stage.conv.inner, stage.conv.inner)
            self._convolution(
                stage.conv, before, x, stride, epilogue='NORM_POSITION', replicate=True, **after
            )
        scores = aligned((tokens,))
        gate, scale = self._gains[index]
        norm = stage.attentions[0].norm1
        self._product(
            stage.to_scores,
            x,
            x,
            tokens,
            'SCORE',
            y2=scores,
            gate=gate,
            scale=scale,
            gamma=norm.gamma,
            beta=norm.beta,
        )
        by_window = self._select('window', scores, (height, width))
        by_grid = self._select('grid', scores, (height, width))
        self.selections.append((by_window, by_grid))
        room = self._attention_room(tokens, stage)
        self._attention(stage.attentions[0], by_window, x, tokens, room)
        norm = stage.attentions[1].norm1
        self._add(
            'NORM', rows=tokens, columns=channels, y=x.address, gamma=norm.gamma, beta=norm.beta
        )
        self._attention(stage.attentions[1], by_grid, x, tokens, room)
        self._product(
            stage.lstm,
            x,
            Map(HIDDEN_OUT + index, channels, channels),
            tokens,
            'LSTM',
            source='PAIR',
            a2=HIDDEN_IN + index,
            extra=CELL_IN + index,
            y2=CELL_OUT + index,
        )

    def _select(self, kind: str, scores: np.ndarray, size: tuple[int, int]) -> SelectedTokens:
        part = self.config.partitions(self.size)
        order = partition_order(kind, *size, part, torch.device('cpu'))
        windows, tokens = order.shape
        selected = SelectedTokens(
            order,
            aligned((windows, tokens), np.uint8),
            aligned((windows * tokens,), np.int32),
            aligned((windows + 1,), np.int32),
        )
        self._add(
            'SELECT',
            joined=kind == 'grid',
            a=scores,
            windows=windows,
            tokens=tokens,
            order=order.numpy().astype(np.int32),
            mask=selected.mask,
            index=selected.index,
            first=selected.first,
            count=selected.count,
        )
        return selected

    def _attention_room(self, tokens: int, stage: StageWeights) -> list[Map]:
        """Return memory for z, qkv, the heads' output and the inner layer of the MLP."""
        channels, inner = stage.channels, stage.attentions[0].out.inner
        return [
            self._room(name, tokens, n)
            for name, n in zip(
                ('z', 'qkv', 'heads', 'inner'), (channels, 3 * channels, channels, inner)
            )
        ]

    def _attention(
        self,
        weights: AttentionWeights,
        selected: SelectedTokens,
        x: Map,
        tokens: int,
        room: list[Map],
    ) -> None:
        z, qkv, heads, inner = room
        channels = x.channels
        rows: dict[str, Any] = {'rows': tokens, 'count': selected.count}
        norm = {'gamma': weights.norm2.gamma, 'beta': weights.norm2.beta}
        self._add(
            'GATHER',
            a=x.address,
            y=z.address,
            columns=channels,
            index=selected.index,
            count=selected.count,
            **norm,
        )
        self._product(weights.qkv, z, qkv, epilogue='BIAS', **rows)
        self._add(
            'ATTEND',
            a=qkv.address,
            a_stride=qkv.stride,
            y=heads.address,
            columns=channels,
            heads=weights.heads,
            head_channels=channels // weights.heads,
            tokens=selected.mask.shape[1],
            first=selected.first,
            count=selected.count,
        )
        residual: dict[str, Any] = {'extra': z.address, 'extra_stride': z.stride}
        self._product(weights.proj, heads, z, epilogue='RESIDUAL', **residual, **rows)
        self._product(weights.gated, z, inner, epilogue='GEGLU', **rows)
        if not self.config.context_broadcasting:
            scatter = {'index': selected.index, **residual}
            self._product(weights.out, inner, x, epilogue='RESIDUAL', **scatter, **rows)
            return
        self._product(weights.out, inner, heads, epilogue='BIAS', **rows)
        self._add(
            'CONTEXT',
            a=heads.address,
            extra=z.address,
            y=x.address,
            rows=tokens,
            columns=channels,
            index=selected.index,
            count=selected.count,
        )

    # --------------------------------------------------------------------------- neck and head

    def _add_neck(self, weights: NetworkWeights) -> list[Map]:
        """Append the feature pyramid; return its maps of strides 8, 16 and 32."""
        c2, c1, c0 = self.config.stage_dims[1:]
        x2, x1, x0 = (
            Map(HIDDEN_OUT + stage, channels, channels)
            for stage, channels in zip((1, 2, 3), (c2, c1, c0))
        )
        into_32, into_16 = (self._map(self.tokens(32), 2 * c1), self._map(self.tokens(16), 2 * c2))
        p0, p1 = into_32.part(c1, c1), into_16.part(c2, c2)
        self._product(weights.lateral, x0, p0, self.tokens(32), 'SILU')
        f0 = self._csp(weights.top_down[0], x1, 16, below=p0)
        self._product(weights.reduce, f0, p1, self.tokens(16), 'SILU')
        out8 = self._csp(weights.top_down[1], x2, 8, below=p1)
        self._convolution(weights.down[0], out8, into_16, 16, epilogue='SILU')
        out16 = self._csp(weights.bottom_up[0], into_16, 16)
        self._convolution(weights.down[1], out16, into_32, 32, epilogue='SILU')
        out32 = self._csp(weights.bottom_up[1], into_32, 32)
        return [out8, out16, out32]

    def _csp(self, weights: CspWeights, a: Map, stride: int, below: Map | None = None) -> Map:
        rows, width = self.tokens(stride), self.side(stride)[1]
        entry = self._map(rows, weights.entry.columns)
        hidden = entry.channels // 2
        if below is None or weights.below is None:
            self._product(weights.entry, a, entry, rows, 'SILU')
        else:
            coarse = self._map(self.tokens(2 * stride), entry.channels)
            self._product(weights.below, below, coarse, self.tokens(2 * stride), 'PLAIN')
            self._product(
                weights.entry,
                a,
                entry,
                rows,
                'UPSAMPLED_SILU',
                extra=coarse.address,
                extra_stride=coarse.stride,
                out_width=width,
            )
        through = entry.part(0, hidden)
        between = self._map(rows, hidden)
        for pointwise, spatial in weights.bottlenecks:
            self._product(pointwise, through, between, rows, 'SILU')
            self._winograd(spatial, between, through, stride)
        out = self._map(rows, weights.last.columns)
        self._product(weights.last, entry, out, rows, 'SILU')
        return out

    def _winograd(self, weights: Packed, a: Map, y: Map, stride: int) -> None:
        """Append a 3x3 convolution of stride 1, SiLU after it."""
        for operation in self._winograd_parts(weights, a, y, stride):
            operation(False)

    def _winograd_parts(
        self, weights: Packed, a: Map, y: Map, stride: int, tiles: MarkedTiles | None = None
    ) -> tuple[Callable[[bool], None], ...]:
        """Return the three parts of a convolution; each is appended, joined or not, by a call."""
        height, width = self.side(stride)
        count = _tiles(height) * _tiles(width)
        inner, columns = weights.inner, weights.columns
        # Points a power of two apart would all be in the same places of the cache
        into, out_of = (count * channels + packing.WIDE for channels in (inner, columns))
        # The levels of the head are at work side by side
        points = self._room(f'points {stride}', packing.POINTS, into)
        results = self._room(f'results {stride}', packing.POINTS, out_of)
        some: dict[str, Any] = {'height': height, 'width': width}
        if tiles is not None:
            some |= {'index': tiles.index, 'count': tiles.count}
        products: dict[str, Any] = {} if tiles is None else {'count': tiles.count}

        def enter(joined: bool) -> None:
            self._add(
                'WINOGRAD_IN',
                joined=joined,
                a=a.address,
                a_stride=a.stride,
                y=points.address,
                y_batch=into,
                columns=inner,
                **some,
            )

        def multiply(joined: bool) -> None:
            self._product(
                weights,
                Map(points.address, inner, inner),
                Map(results.address, columns, columns),
                count,
                'PLAIN',
                joined=joined,
                bias=0,
                batch=packing.POINTS,
                a_batch=into,
                b_batch=weights.batch_size,
                y_batch=out_of,
                **products,
            )

        def leave(joined: bool) -> None:
            self._add(
                'WINOGRAD_OUT',
                joined=joined,
                a=results.address,
                a_batch=out_of,
                bias=weights.bias,
                y=y.address,
                y_stride=y.stride,
                columns=columns,
                **some,
            )

        return enter, multiply, leave

    def _add_head(self, levels: Sequence[LevelWeights], features: Sequence[Map]) -> None:
        """Append the head: the same part of all levels together, as none needs another."""
        parts = [
            self._level(weights, feature, HEAD + level, HEAD_STRIDES[level])
            for level, (weights, feature) in enumerate(zip(levels, features))
        ]
        for part in zip(*parts):
            for level, operation in enumerate(part):
                operation(level > 0)

    def _level(
        self, weights: LevelWeights, feature: Map, output: int, stride: int
    ) -> list[Callable[[bool], None]]:
        """
        Return the parts of a level of the head.

        Boxes and objectness come first; the class branch looks only where the objectness lets the
        score reach the threshold.
        """
        rows, hidden = self.tokens(stride), weights.stem.columns
        height, width = self.side(stride)
        stem, first, second = (self._map(rows, hidden) for _ in range(3))
        columns = weights.boxes.columns + len(weights.classes_bias)
        y = Map(output, columns, columns)
        marked, around = (MarkedTiles(_tiles(height) * _tiles(width)) for _ in range(2))
        mask = aligned((_tiles(height) * _tiles(width),), np.uint8)
        cells: dict[str, Any] = {'height': height, 'width': width, 'mask': mask}

        def mark(joined: bool) -> None:
            self._add(
                'MARK',
                joined=joined,
                a=y.address,
                a_stride=y.stride,
                index=marked.index,
                count=marked.count,
                around=around.index,
                around_count=around.count,
                **cells,
            )

        def classify(joined: bool) -> None:
            self._add(
                'CLASSES',
                joined=joined,
                a=second.address,
                a_stride=second.stride,
                inner=hidden,
                b=weights.classes,
                bias=weights.classes_bias,
                columns=len(weights.classes_bias),
                y=y.address,
                y_stride=y.stride,
                **cells,
            )

        boxes, classes = weights.branches
        return [
            lambda joined: self._product(weights.stem, feature, stem, rows, 'SILU', joined=joined),
            *self._winograd_parts(boxes[0], stem, first, stride),
            *self._winograd_parts(boxes[1], first, second, stride),
            lambda joined: self._product(weights.boxes, second, y, rows, 'BIAS', joined=joined),
            mark,
            *self._winograd_parts(classes[0], stem, first, stride, around),
            *self._winograd_parts(classes[1], first, second, stride, marked),
            classify,
        ]


def _tiles(side: int) -> int:
    """Return the number of Winograd tiles along a side."""
    return -(-side // 4)
