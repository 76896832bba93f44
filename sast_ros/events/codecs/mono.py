"""``mono``: the deprecated encoding of event_camera_msgs, one 64-bit word an event."""

from __future__ import annotations

from typing import Literal

from sast_ros.events import _native
from sast_ros.events._native import DecodedEvents
from sast_ros.events.chunk import EventFormatError

WORD = 8


class Mono:
    """
    Codec for ``mono``.

    Bit 63 polarity, bits 48-62 y, bits 32-47 x, bits 0-31 nanoseconds since ``time_base``. Time is
    ROS time in microseconds, rounded down. Packets do not depend on each other.

    Raises
    ------
    EventFormatError: bytes that make no whole word, or an event outside the sensor.

    """

    clock: Literal['ros'] = 'ros'

    def __init__(self, height: int, width: int) -> None:
        self._height, self._width = height, width

    def reset(self) -> None:
        """Begin another stream: nothing to forget."""

    def resynchronise(self, elapsed_us: int = 0) -> None:
        """Go on after lost packets: nothing to distrust."""

    def __call__(self, payload: bytes, time_base_ns: int = 0) -> DecodedEvents:
        """Decode one payload."""
        if len(payload) % WORD:
            raise EventFormatError(
                f'mono payload of {len(payload)} bytes: events have {WORD} bytes; the packet was '
                'cut',
                field='events',
            )
        x, y, p, t = arrays = _native.empty_events(len(payload) // WORD)
        _native.mono(payload, len(t), time_base_ns, *_native.addresses(arrays))
        outside = _native.find_outside(x, y, self._width, self._height)
        if outside:
            raise _native.outside_error('mono', outside, x, y, self._width, self._height)
        return _native.settle(x, y, p, t)
