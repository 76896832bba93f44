# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
HDF5 files as recordings: the columns x, y, p and t wherever the file holds them.

They are four data sets of one group (DSEC, M3ED, RVT, E2VID), fields of a compound data set
(Metavision), or a data set ``events`` of four columns (v2e, MVSEC). ``columns.py`` has the rules
of names, units and polarities. Nothing is read from other files that a file may refer to.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sast_ros.bags import columns
from sast_ros.bags.blocks import BlockRecording, Columns
from sast_ros.bags.errors import RecordingError
from sast_ros.bags.hdf5_layout import find_sources, read_integer, Source
from sast_ros.bags.recording import EventTopic

HDF5_SUFFIXES = ('.h5', '.hdf5')

#: Events read at a time; the upper limit applies where the file is compressed in larger pieces.
_MIN_SLICE, _MAX_SLICE = 1 << 17, 1 << 21

#: Bytes of decompressed data that HDF5 keeps for every column.
_CACHE = 1 << 25

#: Bytes of a piece that is compressed on its own; HDF5 allocates it on the word of the file.
_MAX_PIECE = 1 << 28

#: Registered by Prophesee for its Event Compression Format.
_ECF = 0x8ECF


class Hdf5Recording(BlockRecording):
    """
    Events of one camera in an HDF5 file; time is that of the data set.

    Parameters
    ----------
    path : Path
        The file.
    topic : str, optional
        Group or data set with the events, for example ``'/prophesee/left'``; by default the only
        one.

    Raises
    ------
    RecordingError
        h5py or a compression is not installed, the file is damaged or of an unknown layout, or no
        single group to read.

    """

    def __init__(self, path: Path, topic: str | None = None) -> None:
        self.path = path
        self.format = 'hdf5'
        try:
            import h5py
            import hdf5plugin  # noqa: F401 - registers the compressions
        except ImportError as error:
            raise RecordingError(
                f'{path}: reading HDF5 needs {error.name}, which is not installed; pip install '
                'h5py hdf5plugin'
            ) from error
        try:
            self._file = h5py.File(path, 'r', rdcc_nbytes=_CACHE)
        except Exception as error:
            raise RecordingError(
                f'{path} cannot be read as HDF5 ({error}); copy it again'
            ) from error
        try:
            self._select(topic)
            self._prepare()
        except RecordingError:
            self.close()
            raise
        except Exception as error:  # whatever h5py raises for damaged files
            self.close()
            raise RecordingError(
                f'{path} is damaged or no event recording ({error}); copy it again'
            ) from error
        self.byte_size = path.stat().st_size
        self.progress = (0, self._count, 'events')

    def _select(self, wanted: str | None) -> None:
        """Choose the columns to read."""
        sources, content = find_sources(self._file)
        self.topics = tuple(EventTopic(each.name, each.layout, each.count) for each in sources)
        listing = ', '.join(f'{each.name} ({each.message_count} events)' for each in self.topics)
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
        self.topic, self.type = self._source.name, self._source.layout
        self._place = f'{self.path}: {self.topic}'

    def _prepare(self) -> None:
        """Check the chosen columns; read their unit, number and duration, and the sensor size."""
        source = self._source
        source.check_rank()
        for name, dataset in source.parts.items():
            _check_place(f'{self._place}: {name}', dataset)
            _check_filters(self.path, dataset)
            columns.check_type(self._place, name, source.dtypes[name])
        self._count = self._count_stored(source)
        sample = source.read(0, min(self._count, columns.SAMPLE))
        self._unit = source.unit() or columns.time_unit(sample['t'])
        self._offset = read_integer(self._file, 't_offset') if self.type == 'dsec' else 0
        self.duration = self._read_duration()
        self._size = source.sensor_size()

    def _read_duration(self) -> float | None:
        """Return the seconds from first to last event, ``None`` if they cannot be read."""
        if self._count == 0:
            return 0.0
        try:
            first, last = (
                int(self._convert(index, index + 1)[3][0]) for index in (0, self._count - 1)
            )
        except RecordingError:
            return None  # the events before the damage can be read
        return (last - first) / 1e6

    def _count_stored(self, source: Source) -> int:
        """Return how many events are stored: a file may promise more, and HDF5 gives zeros."""
        lengths = {name: len(dataset) for name, dataset in source.parts.items()}
        if len(set(lengths.values())) > 1:
            listing = ', '.join(f'{name} {length}' for name, length in lengths.items())
            raise RecordingError(
                f'{self._place}: the columns are of different lengths ({listing}); export the '
                'recording anew'
            )
        count = min(map(_stored_rows, source.parts.values()))
        if count < source.count:
            self.missing = (
                f'{self.path.name} is truncated: {source.count - count} of its {source.count} '
                'events are not stored'
            )
        return count

    @property
    def sensor_size(self) -> tuple[int, int] | None:
        """Sensor size ``(height, width)`` from the file; the cameras of DSEC have 640x480."""
        return self._size

    def _blocks(self) -> Iterator[Columns]:
        """Yield the events in runs of bounded size."""
        total = self._count
        self.progress = (0, total, 'events')
        pieces = [each.chunks[0] for each in self._source.parts.values() if each.chunks]
        step = min(max([_MIN_SLICE, *pieces]), _MAX_SLICE)
        for low in range(0, total, step):
            high = min(low + step, total)
            block = self._convert(low, high)
            self.progress = (high, total, 'events')
            yield block

    def _convert(self, low: int, high: int) -> Columns:
        """Return the events from ``low`` to ``high``."""
        try:
            raw = self._source.read(low, high)
        except Exception as error:  # whatever h5py raises for damaged files
            raise RecordingError(
                f'{self.path}: events {low} to {high} of {self.topic} are damaged: {error}; '
                'copy it again'
            ) from error
        x, y, p, t = columns.convert(raw, self._unit, self._place, low)
        return x, y, p, t + self._offset

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _check_place(place: str, dataset: Any) -> None:
    """Raise RecordingError if the values may lie in other files, or need much memory at once."""
    if dataset.is_virtual or dataset.external:
        kind = 'a virtual data set' if dataset.is_virtual else 'stored outside the file'
        raise RecordingError(
            f'{place} is {kind}; only values of the file itself are read, so copy them into it '
            '(h5repack)'
        )
    size = dataset.dtype.itemsize * int(np.prod(dataset.chunks or (0,), dtype=object))
    if size > _MAX_PIECE:
        raise RecordingError(
            f'{place} is stored in pieces of {size / 2**20:.0f} MiB, more than the '
            f'{_MAX_PIECE >> 20} MiB that are read at once; store it in smaller ones '
            '(h5repack -l CHUNK=100000)'
        )


def _stored_rows(dataset: Any) -> int:
    """Return the number of rows from the first one on that the file holds values for."""
    rows = len(dataset)
    if rows == 0 or dataset.shape[-1] == 0:
        return 0
    if not dataset.chunks:
        stored = dataset.id.get_storage_size()
        compact = dataset.id.get_create_plist().get_layout() == 0
        return rows if compact else min(rows, stored // (dataset.nbytes // rows))
    step, number = dataset.chunks[0], dataset.id.get_num_chunks()
    if number * step >= rows and dataset.chunks[1:] == dataset.shape[1:]:
        return rows
    wanted = int(np.prod([-(-n // k) for n, k in zip(dataset.shape[1:], dataset.chunks[1:])]))
    if number >= -(-rows // step) * wanted:
        return rows
    found: dict[int, int] = {}
    for index in range(number):
        offset = dataset.id.get_chunk_info(index).chunk_offset[0]
        found[offset] = found.get(offset, 0) + 1
    end = 0
    while found.get(end, 0) >= wanted:
        end += step
    return min(rows, end)


def _check_filters(path: Path, column: Any) -> None:
    """Raise RecordingError if a compression of the file is not installed."""
    from h5py import h5z

    properties = column.id.get_create_plist()
    for index in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(index)
        if h5z.filter_avail(code):
            continue
        if code == _ECF:
            raise RecordingError(
                f'{path} is compressed with ECF of Prophesee, which is not installed; build the '
                'plugin from github.com/prophesee-ai/hdf5_ecf and set HDF5_PLUGIN_PATH to its '
                'folder, or export the recording as .raw'
            )
        raise RecordingError(
            f'{path} is compressed with the HDF5 filter {code} '
            f'({name.decode("latin-1") or "no name"}), which is not installed; install its plugin '
            'and set HDF5_PLUGIN_PATH to the folder'
        )
