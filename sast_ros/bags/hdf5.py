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

from sast_ros.bags import columns
from sast_ros.bags.blocks import BlockRecording, Columns
from sast_ros.bags.errors import RecordingError
from sast_ros.bags.hdf5_layout import find_sources, read_integer, Source
from sast_ros.bags.hdf5_storage import check_filters, check_pieces, check_place, stored_rows
from sast_ros.bags.recording import EventTopic

HDF5_SUFFIXES = ('.h5', '.hdf5')

#: Events read at a time; the upper limit applies where the file is compressed in larger pieces.
_MIN_SLICE, _MAX_SLICE = 1 << 17, 1 << 21

#: Bytes of decompressed data that HDF5 keeps for every column.
_CACHE = 1 << 25


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
            check_place(f'{self._place}: {name}', dataset)
            check_filters(self.path, dataset)
            columns.check_type(self._place, name, source.dtypes[name])
        for dataset in dict.fromkeys(source.parts.values()):
            check_pieces(self.path, dataset)
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
        count = min(map(stored_rows, source.parts.values()))
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
