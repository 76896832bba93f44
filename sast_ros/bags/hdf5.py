# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
HDF5 files as recordings: the columns x, y, p and t wherever the file holds them.

They are four data sets of one group (DSEC, M3ED, RVT, E2VID), fields of a compound data set
(Metavision), or a data set ``events`` of four columns (v2e, MVSEC). ``columns.py`` has the rules
of names, units and polarities. Nothing is read from other files that a file may refer to. The
library runs in a process of its own (``hdf5_process``).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sast_ros.bags import columns
from sast_ros.bags.blocks import BlockRecording, Columns
from sast_ros.bags.errors import RecordingError
from sast_ros.bags.hdf5_process import Hdf5Process
from sast_ros.bags.recording import EventTopic

HDF5_SUFFIXES = ('.h5', '.hdf5')

#: Bytes of an event: four numbers of 64 bits.
_MAX_EVENT = 32


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
        self._reader = Hdf5Process(path, 'EventFile', topic)
        told = self._reader.description
        self.topics = tuple(EventTopic(*each) for each in told['topics'])
        self.topic, self.type = told['topic'], told['type']
        self._place = f'{path}: {self.topic}'
        self._count, self._step = told['count'], told['step']
        self._unit, self._offset = told['unit'], told['offset']
        self._reader.reserve(_MAX_EVENT * min(self._count, self._step))
        self._size = tuple(told['size']) if told['size'] else None
        self._cut = ''
        if self._count < told['promised']:
            self._cut = (
                f'{path.name} is truncated: {told["promised"] - self._count} of its '
                f'{told["promised"]} events are not stored'
            )
        self.missing = self._cut
        self.byte_size = path.stat().st_size
        self.progress = (0, self._count, 'events')

    @property
    def sensor_size(self) -> tuple[int, int] | None:
        """Sensor size ``(height, width)`` from the file; the cameras of DSEC have 640x480."""
        return self._size

    @property
    def truncated(self) -> bool:
        """Whether the file ends early; one with damaged pieces does not."""
        return bool(self._cut)

    def _blocks(self) -> Iterator[Columns]:
        """Yield the events in runs of bounded size, without those of damaged pieces."""
        total, lost, first = self._count, 0, ''
        rows = columns.RowCount()
        self.progress, self.missing = (0, total, 'events'), self._cut
        for low in range(0, total, self._step):
            high = min(low + self._step, total)
            block = self._convert(low, high, rows)
            if self._reader.lost:
                count, start, end, reason = self._reader.lost
                lost += count
                first = first or f'events {start} to {end} of {self.topic}: {reason}'
            self.progress = (high, total, 'events')
            yield block
        if lost and lost == total:
            raise RecordingError(f'{self.path}: all events are damaged ({first}); copy it again')
        if lost:
            damage = f'{self.path.name} is damaged: {lost} of its {total} events cannot be read'
            self.missing = '; '.join(filter(None, (self._cut, f'{damage} ({first})')))

    def _convert(self, low: int, high: int, rows: columns.RowCount) -> Columns:
        """Return the events from ``low`` to ``high``; those behind them are read meanwhile."""
        behind = min(high + self._step, self._count)
        following = (high, behind) if high - low > 1 and behind > high else None
        arrays = self._reader.read(low, high, following)
        raw = dict(zip(columns.FIELDS, arrays, strict=True))
        x, y, p, t = columns.convert(raw, self._unit, self._place, low, rows)
        return x, y, p, t + self._offset

    def close(self) -> None:
        """End the process that reads the file."""
        self._reader.close()
