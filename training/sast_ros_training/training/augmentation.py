# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Augmentation of clips: zoom, shift, mirror image, polarities exchanged, windows left out, noise.

It is drawn once for a clip and holds for all its windows, so that motion stays consistent. It
works on the sparse histogram: zooming in repeats pixels, zooming out keeps the largest count of
those that meet. Noise is added to what has come out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sast_ros.histogram import COUNT_CUTOFF, sampling_offset
from sast_ros_training.kernels import library
from sast_ros_training.simulation.draws import log_uniform
from sast_ros_training.training.cache import SequenceInfo
from sast_ros_training.training.config import AugmentationConfig
from sast_ros_training.training.errors import TrainingDataError


@dataclass(frozen=True)
class Augmentation:
    """
    Map from the cells of a sequence to those of the network's frame.

    ``x' = zoom * x + left``, ``y' = zoom * y + top``, then the mirror image.
    """

    zoom: float = 1.0  # output cells per source cell
    top: float = 0.0
    left: float = 0.0
    mirrored: bool = False  # left and right exchanged
    inverted: bool = False  # ON and OFF exchanged
    noise_hz: float = 0.0  # events per second of a pixel that are added


def sample_augmentation(
    config: AugmentationConfig,
    source: tuple[int, int],
    frame: tuple[int, int],
    rng: np.random.Generator,
) -> Augmentation:
    """Draw one; ``source``, ``frame``: (height, width) of the histogram and of the network's."""
    chosen = rng.random()
    zoom = 1.0
    if chosen < config.zoom_in:
        zoom = float(rng.uniform(1, config.zoom_in_most))
    elif chosen < config.zoom_in + config.zoom_out:
        zoom = float(rng.uniform(config.zoom_out_least, 1))
    corner = []
    for length, side in zip(source, frame):
        # What is too large shows any part of itself, what is too small lies anywhere inside
        low, high = sorted((0.0, side - zoom * length))
        shift = config.translation * side
        corner.append(float(np.round(rng.uniform(low, high) + rng.uniform(-shift, shift))))
    mirrored, inverted = rng.random() < config.flip, rng.random() < config.invert
    return Augmentation(zoom, corner[0], corner[1], bool(mirrored), bool(inverted))


def sample_noise(config: AugmentationConfig, rng: np.random.Generator) -> float:
    """Draw the noise to add, in events per second of a pixel; 0 for none."""
    if rng.random() >= config.noise:
        return 0.0
    return log_uniform(rng, config.noise_least_hz, config.noise_most_hz)


def sample_step(
    config: AugmentationConfig, info: SequenceInfo, most: int, rng: np.random.Generator
) -> int:
    """
    Draw which windows of a sequence a clip shows: 1 for all, 2 for every second, and so on.

    It is ``most`` at most. The clip then is what a longer stride gives, and costs nothing to make.
    """
    most = min(most, int(config.skip_most_ms // info.stride_ms))
    if rng.random() >= config.skip or most < 2:
        return 1
    return int(rng.integers(2, most + 1))


class AugmentationMap:
    """
    An augmentation of one sequence into a frame of (height, width) cells.

    ``trained``: sensor pixels per cell of the network's design (``ModelConfig.downsample``).
    """

    def __init__(
        self,
        augmentation: Augmentation,
        info: SequenceInfo,
        frame: tuple[int, int],
        trained: int = 1,
    ) -> None:
        self._augmentation, self._info, self._frame = augmentation, info, frame
        self._offset = sampling_offset(info.downsample, trained)
        _, height, width = info.shape
        self._rows = _targets(height, frame[0], augmentation.zoom, augmentation.top)
        self._columns = _targets(width, frame[1], augmentation.zoom, augmentation.left)
        if augmentation.mirrored:
            self._columns = np.ascontiguousarray(frame[1] - self._columns[:, ::-1])

    def scatter(self, index: np.ndarray, count: np.ndarray, cells: np.ndarray) -> None:
        """
        Write a sparse window into ``uint8[channels, H, W]`` of zeros, not smaller than the frame.

        A ``TrainingDataError`` if an index lies outside the sequence's histogram, or the sequence
        has more channels than ``cells``.
        """
        channels, height, width = self._info.shape
        if index.shape != count.shape:
            raise TrainingDataError(
                f'{self._info.source}: a window has {index.size} cells but {count.size} counts; '
                'delete the sequence from the cache, and it will be made again'
            )
        offending = library.sast_scatter_counts(
            index,
            count,
            len(index),
            channels,
            height,
            width,
            self._rows,
            self._columns,
            channels // 2 if self._augmentation.inverted else 0,
            *cells.shape,
            cells,
        )
        if offending == -2:
            raise TrainingDataError(
                f'{self._info.source}: a histogram of {channels} x {height} x {width} cells does '
                f'not go into {cells.shape[0]} channels of {cells.shape[1]} x {cells.shape[2]}'
            )
        if offending >= 0:
            raise TrainingDataError(
                f'{self._info.source}: entry {offending} of a window lies outside the histogram; '
                'delete the sequence from the cache, and it will be made again'
            )

    def add_noise(self, cells: np.ndarray, rng: np.random.Generator) -> None:
        """Add its noise to a window in ``uint8[channels, H, W]``; cells are Poisson processes."""
        channels = self._info.shape[0]
        rows, columns = (
            slice(pairs[:, 0].min(), pairs[:, 1].max()) for pairs in (self._rows, self._columns)
        )
        seen = cells[:channels, rows, columns]
        seconds = self._info.window_ms / 1000
        count = rng.poisson(self._augmentation.noise_hz * seconds * seen[0].size)
        places, counts = np.unique(rng.integers(0, seen.size, count), return_counts=True)
        where = np.unravel_index(places, seen.shape)
        seen[where] = np.minimum(seen[where] + counts, COUNT_CUTOFF)

    def boxes(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Return the boxes of ``LABEL_DTYPE[N]`` in the frame, and the share of each inside it.

        ``float32[N, 4]`` x1, y1, x2, y2 in cells, clipped, and ``float32[N]``.
        """
        zoom = self._augmentation.zoom / self._info.downsample
        left = (labels['x'] - self._offset) * zoom + self._augmentation.left
        top = (labels['y'] - self._offset) * zoom + self._augmentation.top
        right, bottom = left + labels['w'] * zoom, top + labels['h'] * zoom
        height, width = self._frame
        if self._augmentation.mirrored:
            left, right = width - right, width - left
        whole = np.stack([left, top, right, bottom], axis=1).astype(np.float32)
        boxes = np.clip(whole, 0, np.array([width, height, width, height], np.float32))
        area = np.prod(whole[:, 2:] - whole[:, :2], axis=1)
        inside = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) / np.maximum(area, 1e-6)
        return boxes, inside


def _targets(length: int, side: int, zoom: float, offset: float) -> np.ndarray:
    """Return the first and behind the last output cell of every source cell, ``int32[N, 2]``."""
    if zoom >= 1:
        source = np.floor((np.arange(side) + 0.5 - offset) / zoom)
        cells = np.arange(length)
        first = np.searchsorted(source, cells, 'left')
        end = np.searchsorted(source, cells, 'right')
    else:
        first = np.floor((np.arange(length) + 0.5) * zoom + offset).astype(np.int64)
        end = np.where((first >= 0) & (first < side), first + 1, first)
    pairs = np.stack([first, end], axis=1).clip(0, side)
    return np.ascontiguousarray(pairs, np.int32)
