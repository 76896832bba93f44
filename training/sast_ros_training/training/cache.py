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
import math
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open, SafetensorError
from safetensors.numpy import save
from sast_ros.events.chunk import MAX_SENSOR_SIDE
from sast_ros.histogram import StackedHistogram
from sast_ros.labels import LABEL_DTYPE
from sast_ros.model import ModelConfig
from sast_ros.output import write_file
from sast_ros.pipeline import sensor_geometry
from sast_ros_training.training.errors import TrainingDataError

SUFFIX = '.safetensors'
_INFO_KEY = 'sast_ros.sequence'

#: Cells of a histogram; 20 channels of 4096 x 2160 pixels have fewer.
_MAX_CELLS = 2**28


@dataclass(frozen=True)
class SequenceInfo:
    """
    What a sequence is.

    ``sensor_size`` is (height, width) in pixels, ``downsample`` sensor pixels per cell, ``shape``
    (channels, height, width) of a histogram, ``motion`` that of the camera, ``''`` if unknown,
    ``window_ms`` the length of a window, ``stride_ms`` the time from one to the next. Sequences of
    a folder may differ in both; the network is not told. ``source_classes`` are those of the
    labels that it was made from, in class-id order, ``()`` if unknown. ``topic`` is that of the
    events, without slashes at its ends, ``''`` if unknown or none.
    """

    source: str
    classes: tuple[str, ...]
    sensor_size: tuple[int, int]
    downsample: int
    shape: tuple[int, int, int]
    motion: str = ''
    stride_ms: float = 50.0
    window_ms: float = 50.0
    source_classes: tuple[str, ...] = ()
    topic: str = ''

    def __post_init__(self) -> None:
        for name in ('classes', 'sensor_size', 'shape', 'source_classes'):  # JSON has lists only
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def check(self) -> None:
        """Raise a ``ValueError`` for a value that no sequence has."""
        numbers = (*self.sensor_size, self.downsample, *self.shape)
        if not all(type(number) is int and number >= 1 for number in numbers):
            raise ValueError('a size below 1, or one that is no integer')
        if len(self.sensor_size) != 2 or len(self.shape) != 3:
            raise ValueError(f'sensor_size {self.sensor_size}, shape {self.shape}')
        if max(*self.sensor_size, *self.shape) > MAX_SENSOR_SIDE:
            raise ValueError(f'a side above {MAX_SENSOR_SIDE} cells')
        if math.prod(self.shape) > _MAX_CELLS:
            raise ValueError(f'shape {self.shape} has more than {_MAX_CELLS} cells')
        names = (self.source, self.motion, self.topic, *self.classes, *self.source_classes)
        if not all(isinstance(name, str) for name in names):
            raise ValueError('a name that is no text')
        for name in ('stride_ms', 'window_ms'):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise ValueError(f'{name} {value}')


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
        # save_file would deny it to other users
        write_file(path, save(tensors, {_INFO_KEY: json.dumps(asdict(self.info))}))


def histogram_writer(
    network: ModelConfig, size: tuple[int, int], **facts: Any
) -> tuple[StackedHistogram, SequenceWriter]:
    """
    Return the histogram of a sensor for a network, and what collects a sequence of it.

    ``size``: (height, width) of the sensor in pixels; ``facts``: the other fields of
    ``SequenceInfo``.
    """
    downsample = sensor_geometry(network, size).downsample
    histogram = StackedHistogram(*size, bins=network.bins, downsample=downsample)
    info = SequenceInfo(sensor_size=size, downsample=downsample, shape=histogram.shape, **facts)
    return histogram, SequenceWriter(info)


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
            self.info.check()
            self._read()
        except (
            SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError
        ) as error:  # fmt: skip
            raise TrainingDataError(
                f'{path}: is not an intact sequence of the training cache ({error}); delete it, '
                'and it will be made again'
            ) from error

    def _read(self) -> None:
        """Read all but the cells, and check every number that they are taken by."""
        self.t_end = self._column('t_end', np.int64)
        windows = len(self.t_end)
        self.events = self._column('events', np.int64, windows)
        self.labelled = self._column('labelled', bool, windows)
        self._index, self._count = self._slice('index', 'U32'), self._slice('count', 'U8')
        cells = self._index.get_shape()[0]
        if self._count.get_shape()[0] != cells:
            raise ValueError('index and count have different lengths')
        self._offsets = self._borders('offsets', windows, cells)
        columns = {
            name: self._column(f'label.{name}', LABEL_DTYPE[name])
            for name in LABEL_DTYPE.names or ()
        }
        lengths = {len(column) for column in columns.values()}
        if len(lengths) != 1:
            raise ValueError('the columns of the labels have different lengths')
        self._labels = np.zeros(lengths.pop(), LABEL_DTYPE)
        for name, column in columns.items():
            self._labels[name] = column
        self._label_offsets = self._borders('label_offsets', windows, len(self._labels))
        if (self._labels['class_id'] >= len(self.info.classes)).any():
            raise ValueError('a label with a class_id that has no class')
        if not all(np.isfinite(self._labels[name]).all() for name in ('x', 'y', 'w', 'h')):
            raise ValueError('a label whose box is not finite')

    def _column(self, name: str, dtype: Any, length: int | None = None) -> np.ndarray:
        values = self._file.get_tensor(name)
        if values.dtype != np.dtype(dtype) or values.ndim != 1:
            raise ValueError(f'{name} is {values.dtype}{list(values.shape)}')
        if length is not None and len(values) != length:
            raise ValueError(f'{name} has {len(values)} entries for {length} windows')
        return values

    def _slice(self, name: str, dtype: str) -> Any:
        """Return a tensor that is read window by window."""
        values = self._file.get_slice(name)
        if values.get_dtype() != dtype or len(values.get_shape()) != 1:
            raise ValueError(f'{name} is {values.get_dtype()}{values.get_shape()}')
        return values

    def _borders(self, name: str, windows: int, end: int) -> np.ndarray:
        """Return where windows begin and end in a column of ``end`` rows."""
        values = self._column(name, np.int64, windows + 1)
        if values[0] != 0 or values[-1] != end or (np.diff(values) < 0).any():
            raise ValueError(f'{name} does not divide the {end} rows')
        return values

    def require(self, network: ModelConfig) -> None:
        """Raise a ``TrainingDataError`` unless the sequence can be shown to this network."""
        if self.info.shape[0] != network.channels:
            raise TrainingDataError(
                f'{self.path}: its histograms have {self.info.shape[0]} channels, not the '
                f'{network.channels} of the network ({network.bins} time bins of 2 polarities); '
                'take another folder for data.cache'
            )
        if self.info.classes != network.classes:
            raise TrainingDataError(
                f'{self.path}: its classes are {", ".join(self.info.classes)}, not the '
                f'{", ".join(network.classes)} of model.classes; take another folder for '
                'data.cache'
            )

    def require_settings(self, network: ModelConfig, **settings: Any) -> None:
        """
        Raise a ``TrainingDataError`` unless the sequence would be made as it is.

        ``settings``: what fields of ``SequenceInfo`` would be, ``downsample`` that of the sensor
        and the network by default. ``source_classes`` and a ``topic`` that are unknown are not
        compared.
        """
        self.require(network)
        usual = sensor_geometry(network, self.info.sensor_size).downsample
        for name, wanted in {'downsample': usual, **settings}.items():
            found = getattr(self.info, name)
            if found not in (wanted, (), ''):
                key = 'model.name' if name == 'downsample' else f'data.{name}'
                raise TrainingDataError(
                    f'{self.path}: was made with {name} {_shown(found)}, but {key} now asks for '
                    f'{_shown(wanted)}; take another folder for data.cache'
                )

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
        if index.size and int(index.max()) >= cells.size:
            raise TrainingDataError(
                f'{self.path}: a cell of window {window} lies outside the histogram; delete the '
                'file, and it will be made again'
            )
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


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return ', '.join(value) if isinstance(value, tuple) else f'{value:g}'


def list_sequences(folder: Path) -> list[Path]:
    """Return the complete sequences of a folder in the order of their names."""
    return sorted(folder.glob(f'*{SUFFIX}'))
