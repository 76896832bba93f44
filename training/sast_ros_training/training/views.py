"""
Augmentation: how a stretch of a sequence is looked at.

A view is drawn once for a stretch and holds for all its windows, so that what moves keeps moving
alike. It works on the sparse histogram: zooming in repeats pixels, zooming out keeps the largest
count of those that meet.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
from sast_ros.kernels import pointer
from sast_ros_training.kernels import library
from sast_ros_training.training.cache import SequenceInfo
from sast_ros_training.training.config import AugmentationConfig
from sast_ros_training.training.errors import TrainingDataError

_scatter = library.sast_scatter_counts
_scatter.restype = ctypes.c_int64
_scatter.argtypes = [
    *[ctypes.c_void_p] * 2,
    ctypes.c_int64,
    *[ctypes.c_int32] * 3,
    *[ctypes.c_void_p] * 2,
    ctypes.c_int32,
    *[ctypes.c_int64] * 2,
    ctypes.c_void_p,
]


@dataclass(frozen=True)
class View:
    """
    Map from the cells of a sequence to those of the network's frame.

    ``x' = zoom * x + left``, ``y' = zoom * y + top``, then the mirror.

    Parameters
    ----------
    zoom: output cells per source cell.
    top, left: where the source's corner comes to lie.
    mirrored: left and right exchanged.
    inverted: ON and OFF exchanged.

    """

    zoom: float = 1.0
    top: float = 0.0
    left: float = 0.0
    mirrored: bool = False
    inverted: bool = False


def draw_view(
    config: AugmentationConfig,
    source: tuple[int, int],
    frame: tuple[int, int],
    rng: np.random.Generator,
) -> View:
    """
    Return a random view.

    ``source``, ``frame``: (height, width) of the sequence's histogram and of the network's frame.
    """
    chosen = rng.random()
    zoom = 1.0
    if chosen < config.zoom_in:
        zoom = float(rng.uniform(1, config.zoom_in_most))
    elif chosen < config.zoom_in + config.zoom_out:
        zoom = float(rng.uniform(config.zoom_out_least, 1))
    corner = []
    for length, side in zip(source, frame):
        # What is too large shows any part of itself, what is too small lies anywhere inside.
        low, high = sorted((0.0, side - zoom * length))
        shift = config.translation * side
        corner.append(float(np.round(rng.uniform(low, high) + rng.uniform(-shift, shift))))
    mirrored, inverted = rng.random() < config.flip, rng.random() < config.invert
    return View(zoom, corner[0], corner[1], bool(mirrored), bool(inverted))


class ViewMap:
    """
    A view of one sequence, ready to be applied to its windows.

    Parameters
    ----------
    view: what is shown.
    info: of the sequence.
    frame: (height, width) in cells that is shown.

    """

    def __init__(self, view: View, info: SequenceInfo, frame: tuple[int, int]) -> None:
        self.view, self.info, self.frame = view, info, frame
        _, height, width = info.shape
        self._rows = _targets(height, frame[0], view.zoom, view.top)
        self._columns = _targets(width, frame[1], view.zoom, view.left)
        if view.mirrored:
            self._columns = np.ascontiguousarray(frame[1] - self._columns[:, ::-1])

    def show(self, index: np.ndarray, count: np.ndarray, cells: np.ndarray) -> None:
        """
        Write a window into ``cells``, ``uint8[channels, H, W]`` of zeros.

        It is at least as large as the frame. ``index``, ``count``: of ``CachedSequence.sparse``.

        Raises
        ------
        TrainingDataError: an index outside the sequence's histogram.

        """
        channels, height, width = self.info.shape
        offending = _scatter(
            pointer(index),
            pointer(count),
            len(index),
            channels,
            height,
            width,
            pointer(self._rows),
            pointer(self._columns),
            channels // 2 if self.view.inverted else 0,
            *cells.shape[1:],
            pointer(cells),
        )
        if offending >= 0:
            raise TrainingDataError(
                f'{self.info.source}: entry {offending} of a window lies outside the histogram; '
                'delete the sequence from the cache, and it will be made again'
            )

    def boxes(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Return the boxes of labels in cells of the frame, and how much of each is inside it.

        They are ``float32[N, 4]`` x1, y1, x2, y2, clipped, and ``float32[N]`` in 0..1.
        """
        zoom = self.view.zoom / self.info.downsample
        left, top = labels['x'] * zoom + self.view.left, labels['y'] * zoom + self.view.top
        right, bottom = left + labels['w'] * zoom, top + labels['h'] * zoom
        height, width = self.frame
        if self.view.mirrored:
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
