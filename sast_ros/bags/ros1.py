# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Messages of rosbag1 in the serialisation of ROS 2."""

from __future__ import annotations

import numpy as np
from sast_ros.bags.definitions import message_types
from sast_ros.events import EventFormatError
from sast_ros.events.event_array import EVENT_ARRAY_TYPES

_EVENT = np.dtype([('x', '<u2'), ('y', '<u2'), ('ts', '<u8'), ('polarity', 'u1')])

#: x and y of an event behind the first one in CDR, see sast_ros.events.event_array.
_CDR_EVENT = np.dtype(
    {'names': ['x', 'y'], 'formats': ['<u2', '<u2'], 'offsets': [0, 2], 'itemsize': 16}
)


def ros1_to_cdr(raw: bytes, type_name: str) -> bytes:
    """
    Convert a message from ROS 1 to ROS 2 serialisation.

    The wire formats differ in alignment, in the NUL behind strings and in ``Header.seq``, which
    ROS 2 does not have.

    Parameters
    ----------
    raw : bytes
        Message in ROS 1 serialisation.
    type_name : str
        Message type in ROS 2 spelling.

    Raises
    ------
    EventFormatError
        The length of an EventArray does not fit its number of events.
    rosbags.serde.SerdeError
        The length of another message does not fit its content.

    """
    if type_name not in EVENT_ARRAY_TYPES:
        return bytes(message_types().ros1_to_cdr(raw, type_name))

    # rosbags converts event by event in Python, 0.3 Mev/s; here the events are moved by columns.
    # ROS 1: seq, secs, nsecs (u4 each), frame_id (u4 length, bytes), height, width, count (u4
    # each), 13 bytes an event.
    if len(raw) < 28:
        raise EventFormatError(
            f'{type_name}: {len(raw)} bytes are too short for an EventArray', field='header'
        )
    name_end = 16 + int.from_bytes(raw[12:16], 'little')
    count_at, start = name_end + 8, name_end + 12
    count = int.from_bytes(raw[count_at:start], 'little')
    if len(raw) != start + 13 * count:
        raise EventFormatError(
            f'{type_name}: {len(raw)} bytes do not hold {count} events of 13 bytes',
            field='events',
            offset=count_at,
        )
    frame_id = raw[16:name_end] + b'\0'
    head = b'\0\1\0\0' + raw[4:12] + len(frame_id).to_bytes(4, 'little') + frame_id
    head += bytes(-len(head) % 4) + raw[name_end:start]
    if count == 0:
        return head
    # The first event is shifted, the last is not padded.
    first, behind = len(head), len(head) + 4
    message = np.zeros(first + 16 * count, np.uint8)
    message[:first] = np.frombuffer(head, np.uint8)
    message[first:behind] = np.frombuffer(raw, np.uint8, 4, start)
    source = np.frombuffer(raw, _EVENT, count, start)
    later = np.frombuffer(message, _CDR_EVENT, count - 1, first + 14)
    for field in ('x', 'y'):
        later[field] = source[field][1:]
    for field, offset in (('ts', 4), ('polarity', 12)):
        column = np.ndarray(count, _EVENT[field], message.data, first + offset, (16,))
        column[:] = source[field]
    return message[:-3].tobytes()
