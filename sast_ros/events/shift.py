# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Messages of events moved in time: a recording played now, as its driver would send it now."""

from __future__ import annotations

import struct

import numpy as np
from sast_ros.events.cdr import Cursor, ORIGIN
from sast_ros.events.event_array import EVENT_ARRAY_TYPES, STRIDE, UNPADDED
from sast_ros.events.point_cloud import POINT_CLOUD

_TIME = np.dtype([('sec', '<i4'), ('nanosec', '<u4')])
_SEQUENCE = struct.Struct('<QQ')


def header_stamp_ns(raw: bytes, message_type: str) -> int:
    """Return ``header.stamp`` of a serialised message in nanoseconds."""
    return Cursor(raw, message_type).header()[0]


def shift_time(raw: bytes, message_type: str, shift_ns: int) -> bytes:
    """
    Return a message of events with all its ROS times moved; nothing else is changed.

    These are ``header.stamp``, the times of the events of an EventArray, and ``time_base`` of an
    EventPacket in the encoding ``mono``. Times on the clock of a sensor stay, and so do those of a
    PointCloud2: far from the stamp they count as such.

    Parameters
    ----------
    raw : bytes
        Serialised message.
    message_type : str
        One of the types that ``open_decoder`` knows.
    shift_ns : int
        Nanoseconds to add.

    Raises
    ------
    EventFormatError
        The message is damaged before the end of what has to be read.

    """
    message = bytearray(raw)
    cursor = Cursor(raw, message_type)
    cursor.header()
    _shift_times(message, ORIGIN, 1, shift_ns)
    if message_type == POINT_CLOUD:
        return bytes(message)
    cursor.sensor_size()
    if message_type in EVENT_ARRAY_TYPES:
        start, count = cursor.sequence('events', STRIDE, unpadded=UNPADDED)
        _shift_times(message, start + 4, count, shift_ns)
        return bytes(message)
    _, time_base = cursor.read(_SEQUENCE, 8, 'seq', 'time_base')
    at = cursor.offset - 8
    if cursor.string('encoding') == 'mono':
        struct.pack_into('<Q', message, at, time_base + shift_ns)
    return bytes(message)


def _shift_times(message: bytearray, start: int, count: int, shift_ns: int) -> None:
    """Move ``count`` times (builtin_interfaces/Time), a stride of events apart."""
    if not count:
        return
    times = np.ndarray((count,), _TIME, message, start, (STRIDE,))
    moved = 10**9 * times['sec'].astype(np.int64) + times['nanosec'] + shift_ns
    times['sec'], times['nanosec'] = moved // 10**9, moved % 10**9
