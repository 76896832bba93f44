# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""HDF5 files as the process sees them that calls the library; see ``hdf5_process``."""

from __future__ import annotations

from collections.abc import Collection
import math
from pathlib import Path
from typing import Any, TYPE_CHECKING

import numpy as np
from sast_ros.bags import columns
from sast_ros.bags.errors import RecordingError
from sast_ros.bags.hdf5_layout import find_sources, read_integer
from sast_ros.bags.hdf5_storage import (
    check_filters,
    check_pieces,
    check_place,
    max_piece,
    oversized,
    oversized_pieces,
    piece_size,
    stored_rows,
)

if TYPE_CHECKING:
    import h5py

#: Events read at a time; the upper limit applies where the file is compressed in larger pieces.
_MIN_SLICE, _MAX_SLICE = 1 << 17, 1 << 21

#: Bytes of decompressed data that HDF5 keeps for every column.
_CACHE = 1 << 25


def _open(path: Path) -> h5py.File:
    import h5py

    try:
        return h5py.File(path, 'r', rdcc_nbytes=_cache_size(path))
    except Exception as error:
        raise RecordingError(f'{path} cannot be read as HDF5 ({error}); copy it again') from error


def _cache_size(path: Path) -> int:
    return min(_CACHE, max_piece(path))


def _reading_memory(path: Path, datasets: Collection[h5py.Dataset], rows: int) -> int:
    """Return the bytes that reading takes: the cache, one piece in the filters, and values."""
    row = sum(each.dtype.itemsize * math.prod(each.shape[1:]) for each in datasets)
    pieces = 4 * max(map(piece_size, datasets))
    return len(datasets) * _cache_size(path) + pieces + 3 * rows * row


#: Number of rows that cannot be read, the first part of them, and why.
Lost = tuple[int, int, int, str]


class EventFile:
    """
    Columns of events.

    Parameters
    ----------
    path : Path
        The file.
    topic : str or None
        Group or data set with the events; ``None`` for the only one.

    Attributes
    ----------
    memory : int
        Bytes that reading takes.

    Raises
    ------
    RecordingError
        The file is of an unknown layout, needs too much memory or a compression that is not
        installed, or has no single group to read.

    """

    def __init__(self, path: Path, topic: str | None) -> None:
        self.path = path
        self._file = _open(path)
        self._select(topic)
        self._check()
        pieces = {each.chunks[0] for each in self._source.parts.values() if each.chunks}
        self._pieces = pieces
        self._step = min(max([_MIN_SLICE, *pieces]), _MAX_SLICE)
        self.memory = _reading_memory(path, set(self._source.parts.values()), self._step)

    def _select(self, wanted: str | None) -> None:
        """Choose the columns to read."""
        sources, content = find_sources(self._file)
        self._topics = [(each.name, each.layout, each.count) for each in sources]
        listing = ', '.join(f'{name} ({count} events)' for name, _, count in self._topics)
        if not sources:
            raise RecordingError(f'{self.path} {content}')
        chosen = sources
        if wanted is not None:
            chosen = [each for each in sources if each.name.strip('/') == wanted.strip('/')]
        if not chosen:
            raise RecordingError(
                f'{self.path} has no group {wanted} with events; choose with --topic: {listing}'
            )
        if len(chosen) > 1:
            raise RecordingError(
                f'{self.path} has {len(chosen)} groups with events; choose with --topic, once for '
                f'each camera: {listing}'
            )
        (self._source,) = chosen
        self._place = f'{self.path}: {self._source.name}'

    def _check(self) -> None:
        """Check the chosen columns before any value is read."""
        source = self._source
        source.check_rank()
        for name, dataset in source.parts.items():
            check_place(self.path, f'{self._place}: {name}', dataset)
            check_filters(self.path, dataset)
            columns.check_type(self._place, name, source.dtypes[name])
        #: Rows that are not read, and why.
        self._refused = [
            (first, first + dataset.chunks[0], oversized(dataset))
            for dataset in dict.fromkeys(source.parts.values())
            for first in oversized_pieces(self.path, dataset)
        ]
        lengths = {name: len(dataset) for name, dataset in source.parts.items()}
        if len(set(lengths.values())) > 1:
            listing = ', '.join(f'{name} {length}' for name, length in lengths.items())
            raise RecordingError(
                f'{self._place}: the columns are of different lengths ({listing}); export the '
                'recording anew'
            )

    def describe(self) -> dict[str, Any]:
        """
        Return what there is to know before reading.

        Returns
        -------
        dict
            ``topics`` (name, layout and count of each), ``topic``, ``type``, ``promised`` and
            ``count`` (events that the file states, and has), ``step`` (events to read at a time),
            ``unit`` of times, ``offset`` in microseconds, and ``size`` (height, width) or
            ``None``.

        """
        source = self._source
        # A file may promise more than is stored, and HDF5 gives zeros
        count = min(map(stored_rows, source.parts.values()))
        sample = self._read_sample(count)
        return {
            'topics': self._topics,
            'topic': source.name,
            'type': source.layout,
            'promised': source.count,
            'count': count,
            'step': self._step,
            'unit': source.unit() or columns.time_unit(sample['t']),
            'offset': read_integer(self._file, 't_offset') if source.layout == 'dsec' else 0,
            'size': source.sensor_size(),
        }

    def _read_sample(self, count: int) -> dict[str, np.ndarray]:
        """Return the first events that can be read."""
        arrays, lost = self.read(0, min(count, columns.SAMPLE))
        low = 0
        while lost and not len(arrays[0]):
            if low >= count:
                raise RecordingError(
                    f'{self._place}: all events are damaged ({lost[3]}); copy the file again'
                )
            arrays, lost = self.read(low, min(count, low + self._step))
            low += self._step
        return dict(zip(columns.FIELDS, arrays, strict=True))

    def read(self, low: int, high: int) -> tuple[list[np.ndarray], Lost | None]:
        """
        Return the columns x, y, p and t of the events from ``low`` to ``high`` that can be read.

        Pieces that are damaged are left out.
        """
        borders = {row for size in self._pieces for row in range(low - low % size, high, size)}
        edges = [low, *sorted(row for row in borders if row > low), high]
        parts: list[dict[str, np.ndarray]] = []
        lost = self._read_pieces(edges, parts)
        if len(parts) == 1:
            return [parts[0][name] for name in columns.FIELDS], lost
        dtypes = self._source.dtypes
        return [
            np.concatenate([np.empty(0, dtypes[name]), *(part[name] for part in parts)])
            for name in columns.FIELDS
        ], lost

    def _read_pieces(self, edges: list[int], parts: list[dict[str, np.ndarray]]) -> Lost | None:
        """Read the rows between edges into ``parts``, by halves where they cannot be read."""
        low, high = edges[0], edges[-1]
        reason = next((why for a, b, why in self._refused if a < high and b > low), '')
        if not reason:
            try:
                parts.append(self._source.read(low, high))
                return None
            except MemoryError:
                raise
            except Exception as error:  # whatever h5py raises for damaged files
                reason = str(error) or type(error).__name__
        if len(edges) == 2:
            return high - low, low, high, reason
        middle = len(edges) // 2
        first = self._read_pieces(edges[: middle + 1], parts)
        second = self._read_pieces(edges[middle:], parts)
        if first and second:
            return first[0] + second[0], *first[1:]
        return first or second


class RowsFile:
    """
    Rows of one data set.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        Name of the data set.

    Attributes
    ----------
    memory : int
        Bytes that reading a row takes.

    Raises
    ------
    RecordingError
        There is no such data set, it lies in another file, or it needs too much memory or a
        compression that is not installed.

    """

    def __init__(self, path: Path, name: str) -> None:
        import h5py

        self.path = path
        file = _open(path)
        link = file.get(name, getlink=True)
        if link is None or not isinstance(link, h5py.HardLink):
            where = 'holds no' if link is None else 'only refers to another file for its'
            raise RecordingError(f'{path}: it {where} {name}; copy the data into it')
        self._data = file[name]
        if not isinstance(self._data, h5py.Dataset) or not self._data.shape:
            raise RecordingError(f'{path}: {name} is no array')
        columns.check_type(str(path), name, self._data.dtype)
        check_place(path, f'{path}: {name}', self._data)
        check_filters(path, self._data)
        check_pieces(path, self._data)
        self.memory = _reading_memory(path, [self._data], 1)

    def describe(self) -> dict[str, Any]:
        """Return ``shape`` and ``dtype``."""
        return {'shape': self._data.shape, 'dtype': str(self._data.dtype)}

    def read(self, low: int, high: int) -> tuple[list[np.ndarray], Lost | None]:
        """Return the rows from ``low`` to ``high`` in one array."""
        return [self._data[low:high]], None
