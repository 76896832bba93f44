# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""dvs_msgs and prophesee_event_msgs EventArray: one fixed-size record an event."""

from __future__ import annotations

import numpy as np
from sast_ros.events import _native
from sast_ros.events.cdr import Cursor
from sast_ros.events.chunk import EventChunk, EventFormatError
from sast_ros.kernels import library, pointer

#: Distance of two events on the wire, and the padding that the last one does not have.
STRIDE = 16
UNPADDED = 3

#: Message types of this layout.
EVENT_ARRAY_TYPES = ('dvs_msgs/msg/EventArray', 'prophesee_event_msgs/msg/EventArray')


class EventArrayDecoder:
    """
    Turn one serialised EventArray into an EventChunk.

    Time is ROS time in microseconds, rounded down.

    The message: ``std_msgs/Header header, uint32 height, uint32 width, Event[] events`` with
    ``Event = uint16 x, uint16 y, builtin_interfaces/Time ts, bool polarity``. In CDR, x and y of
    every event but the first lie in the padding behind the polarity of the event before (4-byte
    alignment of ``ts``, 2-byte alignment of ``x``).
    """

    def __init__(self, message_type: str = EVENT_ARRAY_TYPES[0]) -> None:
        self._message_type = message_type
        self._check = np.empty(2, np.int32)  # struct check: field, unordered
        self._check_at = pointer(self._check)

    def reset(self) -> None:
        """Do nothing: there is no stream state."""

    def __call__(self, raw: bytes | bytearray | memoryview) -> EventChunk:
        """
        Decode one message.

        Raises
        ------
        EventFormatError
            Truncated message, wrong count, coordinates outside the sensor, polarity other than 0
            and 1, nanoseconds of a second or more, or anything but little-endian CDR.

        """
        cursor = Cursor(raw, self._message_type)
        stamp_ns, frame_id = cursor.header()
        height, width = cursor.sensor_size()
        start, count = cursor.sequence('events', STRIDE, unpadded=UNPADDED)
        cursor.finish('events')
        x, y, p, t = _native.empty_events(count)
        if count:
            bad = library.sast_event_array(
                cursor.data,
                start,
                count,
                _native.limit(width),
                _native.limit(height),
                x,
                y,
                p,
                t,
                self._check_at,
            )
            if bad != _native.OK:
                raise self._error(cursor, start, bad, width, height)
        events = _native.settle(x, y, p, t, unordered=bool(count and self._check[1]))
        return events.chunk(
            width=width, height=height, clock='ros', stamp_ns=stamp_ns, frame_id=frame_id
        )

    def _error(
        self, cursor: Cursor, start: int, event: int, width: int, height: int
    ) -> EventFormatError:
        """Return the error for this event."""
        name = _native.FIELDS[self._check[0]]
        first = 2 if event else 0  # every event but the first begins two bytes before its stride
        offset, size = {
            'x': (0 - first, 2),
            'y': (2 - first, 2),
            'ts.nanosec': (8, 4),
            'polarity': (12, 1),
        }[name]
        at = start + STRIDE * event + offset
        end = at + size
        value = int.from_bytes(cursor.data[at:end], 'little')
        reason = {
            'ts.nanosec': 'not below one second',
            'polarity': 'neither 0 (OFF) nor 1 (ON)',
        }.get(name, f'outside the sensor of {width}x{height} pixels')
        return cursor.error(
            f'events[{event}].{name}', at, f'{value} is {reason}; the message is corrupt'
        )
