# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Sequences on disk: sparse histograms, as the network sees them, and labels.

Every data source ends in this format, so that an epoch costs no simulation and no decoding. One
file a sequence, safetensors: ``index`` uint32 and ``count`` uint8 of all cells that are not zero,
``offsets`` int64 of each window in them, ``t_end`` int64, ``events`` int64 per window,
``label_offsets`` int64 of each window in the ``label.*`` columns (the fields of ``LABEL_DTYPE``,
sensor pixels), ``labelled`` bool per window, and one JSON text with ``SequenceInfo``.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import asdict, dataclass
import json
import os
from pathlib import Path

import numpy as np
from safetensors import safe_open, SafetensorError
from safetensors.numpy import save
from sast_ros.labels import LABEL_DTYPE
from sast_ros_training.training.errors import TrainingDataError

SUFFIX = '.safetensors'
_INFO_KEY = 'sast_ros.sequence'


@dataclass(frozen=True)
class SequenceInfo:
    """
    What a sequence is.

    ``sensor_size`` is (height, width) in pixels, ``downsample`` sensor pixels per cell, ``shape``
    (channels, height, width) of a histogram, ``motion`` that of the camera, ``''`` if unknown.
    """

    source: str
    classes: tuple[str, ...]
    sensor_size: tuple[int, int]
    downsample: int
    shape: tuple[int, int, int]
    motion: str = ''
    stride_ms: float = 50.0

    def __post_init__(self) -> None:
        for name in ('classes', 'sensor_size', 'shape'):  # JSON has lists only
            object.__setattr__(self, name, tuple(getattr(self, name)))


class SequenceWriter:
    """Collects the windows of one sequence, and writes them at once."""

    def __init__(self, info: SequenceInfo) -> None:
        self.info = info
        self._index: list[np.ndarray] = []
        self._count: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []
        self._labelled: list[bool] = []
        self._times: list[int] = []
        self._events: list[int] = []

    def add(
        self, histogram: np.ndarray, t_end: int, events: int, labels: np.ndarray | None
    ) -> None:
        """
        Add the next window.

        ``histogram``: ``uint8[channels, H, W]``; ``labels``: ``LABEL_DTYPE[N]``, or None for a
        window that is not labelled. A ``ValueError`` if the histogram has another shape.
        """
        if histogram.shape != self.info.shape or histogram.dtype != np.uint8:
            raise ValueError(
                f'SequenceWriter: the histogram is {histogram.dtype} {histogram.shape}; it must '
                f'be uint8 {self.info.shape}'
            )
        index = np.flatnonzero(histogram)
        self._index.append(index.astype(np.uint32))
        self._count.append(histogram.ravel()[index])
        self._labels.append(np.zeros(0, LABEL_DTYPE) if labels is None else labels)
        self._labelled.append(labels is not None)
        self._times.append(t_end)
        self._events.append(events)

    def __len__(self) -> int:
        return len(self._times)

    def write(self, path: Path) -> None:
        """Write the file; an existing one is replaced."""
        labels = np.concatenate([np.zeros(0, LABEL_DTYPE), *self._labels])
        tensors = {
            'index': np.concatenate([np.empty(0, np.uint32), *self._index]),
            'count': np.concatenate([np.empty(0, np.uint8), *self._count]),
            'offsets': _offsets(self._index),
            't_end': np.array(self._times, np.int64),
            'events': np.array(self._events, np.int64),
            'labelled': np.array(self._labelled, bool),
            'label_offsets': _offsets(self._labels),
            **{f'label.{name}': labels[name].copy() for name in LABEL_DTYPE.names or ()},
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f'{path.name}.{os.getpid()}.part')
        content = save(tensors, {_INFO_KEY: json.dumps(asdict(self.info))})
        partial.write_bytes(content)  # save_file would deny it to other users
        partial.replace(path)


def _offsets(windows: Items[np.ndarray]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum([len(rows) for rows in windows])]).astype(np.int64)


class CachedSequence:
    """
    A sequence of the cache; windows are read on demand.

    Raises
    ------
    TrainingDataError
        No such file, or another kind of file.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = safe_open(path, framework='np')
            self.info = SequenceInfo(**json.loads((self._file.metadata() or {})[_INFO_KEY]))
            self.t_end = self._file.get_tensor('t_end')
            self.events = self._file.get_tensor('events')
            self.labelled = self._file.get_tensor('labelled')
            self._offsets = self._file.get_tensor('offsets')
            self._label_offsets = self._file.get_tensor('label_offsets')
            self._labels = np.zeros(int(self._label_offsets[-1]), LABEL_DTYPE)
            for name in LABEL_DTYPE.names or ():
                self._labels[name] = self._file.get_tensor(f'label.{name}')
            self._index, self._count = (self._file.get_slice(n) for n in ('index', 'count'))
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise TrainingDataError(
                f'{path}: is not an intact sequence of the training cache ({error}); delete it, '
                'and it will be made again'
            ) from error

    def __len__(self) -> int:
        return len(self.t_end)

    def sparse(self, window: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the cells that are not zero: flat index ``uint32[N]`` and count ``uint8[N]``."""
        first, end = int(self._offsets[window]), int(self._offsets[window + 1])
        if first == end:  # safetensors refuses such a slice
            return np.empty(0, np.uint32), np.empty(0, np.uint8)
        return self._index[first:end], self._count[first:end]

    def dense(self, window: int) -> np.ndarray:
        """Return the histogram ``uint8[channels, H, W]``."""
        index, count = self.sparse(window)
        cells = np.zeros(self.info.shape, np.uint8)
        cells.reshape(-1)[index] = count
        return cells

    def labels(self, window: int) -> np.ndarray:
        """Return the objects ``LABEL_DTYPE[N]``, in sensor pixels."""
        first, end = self._label_offsets[window], self._label_offsets[window + 1]
        return self._labels[first:end]

    def active_share(self, window: int) -> float:
        """Return the share of the cells of the frame (0..1) that have any event."""
        index, _ = self.sparse(window)
        active = np.zeros(int(np.prod(self.info.shape[1:])), bool)
        active[index % active.size] = True
        return np.count_nonzero(active) / active.size


def list_sequences(folder: Path) -> list[Path]:
    """Return the complete sequences of a folder in the order of their names."""
    return sorted(folder.glob(f'*{SUFFIX}'))
