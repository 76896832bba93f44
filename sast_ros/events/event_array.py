# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""dvs_msgs, prophesee_event_msgs and dv_ros2_msgs EventArray: a fixed-size record an event."""

from __future__ import annotations

from sast_ros.events import _native
from sast_ros.events.cdr import Cursor
from sast_ros.events.chunk import EventChunk, INVALID
from sast_ros.kernels import library

#: Distance of two events on the wire, and the padding that the last one does not have.
STRIDE = 16
UNPADDED = 3

#: Message types of this layout.
EVENT_ARRAY_TYPES = (
    'dvs_msgs/msg/EventArray',
    'prophesee_event_msgs/msg/EventArray',
    'dv_ros2_msgs/msg/EventArray',
)


class EventArrayDecoder:
    """
    Turn one serialised EventArray into an EventChunk.

    Time is ROS time in microseconds, rounded down.

    The message: ``std_msgs/Header header, uint32 height, uint32 width, Event[] events`` with
    ``Event = uint16 x, uint16 y, builtin_interfaces/Time ts, bool polarity``. In CDR, x and y of
    every event but the first lie in the padding behind the polarity of the event before (4-byte
    alignment of ``ts``, 2-byte alignment of ``x``).

    Parameters
    ----------
    message_type : str
        Name for error messages.
    sensor_size : tuple of int, optional
        (height, width) in pixels instead of those that messages state.

    """

    def __init__(
        self,
        message_type: str = EVENT_ARRAY_TYPES[0],
        *,
        sensor_size: tuple[int, int] | None = None,
    ) -> None:
        self._message_type = message_type
        self._sensor_size = sensor_size
        self.stated_size = (0, 0)

    def reset(self) -> None:
        """Do nothing: there is no stream state."""

    def __call__(self, raw: bytes | bytearray | memoryview) -> EventChunk:
        """
        Decode one message.

        Events outside the sensor, or with a polarity other than 0 and 1 or nanoseconds of a second
        or more, are left out.

        Raises
        ------
        EventFormatError
            Truncated message, wrong count, anything but little-endian CDR, or more than half of
            the events are invalid.

        """
        cursor = Cursor(raw, self._message_type)
        stamp_ns, frame_id = cursor.header()
        self.stated_size = cursor.sensor_size(checked=self._sensor_size is None)
        height, width = self._sensor_size or self.stated_size
        start, count = cursor.sequence('events', STRIDE, unpadded=UNPADDED)
        cursor.finish('events')
        arrays = _native.empty_events(count)
        if count:
            library.sast_event_array(cursor.data, start, count, *arrays)
        chunk = _native.DecodedEvents(*arrays).chunk(
            width=width, height=height, clock='ros', stamp_ns=stamp_ns, frame_id=frame_id
        )
        cursor.check_share('events', start, chunk.left_out.get(INVALID, 0), count)
        return chunk
