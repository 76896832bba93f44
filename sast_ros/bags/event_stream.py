# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Event Stream files (``.es``) as recordings: DVS events of version 2.

The format: github.com/neuromorphic-paris/event_stream. After the name of the format, version, type
and sensor size, each event is five bytes: the microseconds since the event before it and the
polarity, x and y. Single bytes 0xFF add 127 us, single bytes 0xFE do nothing. Rows count from the
bottom, as in the software of its authors (sepia, faery).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import struct

import numpy as np
from sast_ros.bags.blocks import BlockRecording, Columns
from sast_ros.bags.errors import RecordingError
from sast_ros.events._native import empty_events
from sast_ros.kernels import library

EVENT_STREAM_SUFFIXES = ('.es',)

_MAGIC = b'Event Stream'
_HEADER = 20
_BLOCK = 1 << 20
_EVENT = 5
_DVS = 1

_TYPES = {0: 'generic', _DVS: 'DVS', 2: 'ATIS', 3: 'display', 4: 'colour'}


class EventStreamRecording(BlockRecording):
    """
    Events of an ``.es`` file; time counts from the start of the file.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    RecordingError
        No such file, or of another version or type of events.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.format = 'es'
        self.type = 'dvs'
        self.byte_size = path.stat().st_size
        self.progress = (0, self.byte_size, 'bytes')
        with path.open('rb') as file:
            header = file.read(_HEADER)
        if len(header) < _HEADER or not header.startswith(_MAGIC):
            raise RecordingError(
                f'{path} is no Event Stream file: it does not begin with a whole header; copy it '
                'again'
            )
        major, minor, patch, kind, self._width, self._height = struct.unpack('<4B2H', header[12:])
        if major != 2:
            raise RecordingError(
                f'{path} is of version {major}.{minor}.{patch} of Event Stream; convert it to '
                'version 2'
            )
        if kind != _DVS:
            raise RecordingError(
                f'{path} holds {_TYPES.get(kind, "unknown")} events (type {kind}); only DVS '
                'events (type 1) are read, so export these'
            )
        if not (self._width and self._height):
            raise RecordingError(
                f'{path} states a sensor of {self._width}x{self._height} pixels; copy it again'
            )

    @property
    def sensor_size(self) -> tuple[int, int]:
        """Sensor size ``(height, width)`` from the header."""
        return self._height, self._width

    def _blocks(self) -> Iterator[Columns]:
        """Yield the events of a part of the file at a time."""
        self.progress, self.missing = (0, self.byte_size, 'bytes'), ''
        time, used = np.zeros(1, np.int64), np.zeros(1, np.int64)
        height = (self.given_size or self.sensor_size)[0]
        rest = b''
        with self.path.open('rb') as file:
            file.seek(_HEADER)
            while part := file.read(_BLOCK):
                part = rest + part
                block = empty_events(len(part) // _EVENT)
                count = library.sast_event_stream(part, len(part), time, used, *block)
                rest = part[slice(int(used[0]), None)]
                self.progress = (file.tell(), self.byte_size, 'bytes')
                x, y, p, t = (column[:count] for column in block)
                yield x, height - 1 - y.astype(np.int32), p, t
        if rest:
            self.missing = f'{self.path.name} is truncated: its last event is incomplete'
