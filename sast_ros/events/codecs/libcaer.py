"""
``libcaer`` and ``libcaer_cmp``: iniVation cameras through libcaer_driver.

``time_base`` of a packet is the host's ROS time when the driver started plus elapsed camera time
(all of it for ``libcaer_cmp``, the part above 31 bits for ``libcaer``), so that times are near ROS
time but run on the camera's clock.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from sast_ros.events import _native
from sast_ros.events._native import DecodedEvents
from sast_ros.events.chunk import EventFormatError

EVENT = 8
WORD = 2


class Libcaer:
    """
    Codec for ``libcaer``: libcaer's polarity events, {uint32 data, int32 microseconds}.

    In ``data``, bit 0 marks a valid event, bit 1 is polarity, bits 2-16 y, bits 17-31 x. The
    microseconds have 31 bits and may roll over within a packet. Events that are marked invalid are
    dropped and counted.

    Raises
    ------
    EventFormatError: bytes that make no whole event, or an event outside the sensor.

    """

    clock: Literal['sensor'] = 'sensor'

    def __init__(self, height: int, width: int) -> None:
        self._height, self._width = height, width

    def reset(self) -> None:
        """Begin another stream: packets do not depend on each other."""

    def resynchronise(self, elapsed_us: int = 0) -> None:
        """Go on after lost packets: packets do not depend on each other."""

    def __call__(self, payload: bytes, time_base_ns: int = 0) -> DecodedEvents:
        """Decode one payload."""
        if len(payload) % EVENT:
            raise EventFormatError(
                f'libcaer payload of {len(payload)} bytes: events have {EVENT} bytes; the packet '
                'was cut',
                field='events',
            )
        total = len(payload) // EVENT
        arrays = _native.empty_events(total)
        count = _native.libcaer(payload, total, time_base_ns // 1000, *_native.addresses(arrays))
        x, y, p, t = (array[:count] for array in arrays)
        outside = _native.find_outside(x, y, self._width, self._height)
        if outside:
            raise _native.outside_error('libcaer', outside, x, y, self._width, self._height)
        return _native.settle(x, y, p, t, dropped=total - count)


class LibcaerCompressed:
    """
    Codec for ``libcaer_cmp``: 16-bit words, type in the upper 4 bits.

    0 TIME_HIGH (bits 12-23 of microseconds since ``time_base``), 1 TIME_LOW (bits 0-11), 2 ADDR_X
    (x), 3 ADDR_Y (one event: bit 11 polarity, y), 4 VECT_BASE_Y (bit 11 polarity, y), 5 VECT_8 (an
    event at y + index of each set bit). Every packet begins with time 0 and an ADDR_X.

    Raises
    ------
    EventFormatError: odd number of bytes, a word of another type, or an event outside the sensor.

    """

    clock: Literal['sensor'] = 'sensor'

    def __init__(self, height: int, width: int) -> None:
        self._height, self._width = height, width

    def reset(self) -> None:
        """Begin another stream: packets do not depend on each other."""

    def resynchronise(self, elapsed_us: int = 0) -> None:
        """Go on after lost packets: packets do not depend on each other."""

    def __call__(self, payload: bytes, time_base_ns: int = 0) -> DecodedEvents:
        """Decode one payload."""
        if len(payload) % WORD:
            raise EventFormatError(
                f'libcaer_cmp payload of {len(payload)} bytes: words have {WORD} bytes; the '
                'packet was cut',
                field='events',
            )
        words = len(payload) // WORD
        total = _native.libcaer_cmp_count(payload, words)
        if total < 0:
            index = -1 - total
            kind = payload[WORD * index + 1] >> 4
            raise EventFormatError(
                f'libcaer_cmp payload: word {index} has the undefined type {kind}; the packet is '
                'corrupt',
                field='events',
                offset=WORD * index,
            )
        arrays = _native.empty_events(total)
        dropped = np.zeros(1, np.int64)
        count = _native.libcaer_cmp(
            payload,
            words,
            time_base_ns // 1000,
            *_native.addresses(arrays),
            _native.address(dropped),
        )
        x, y, p, t = (array[:count] for array in arrays)
        outside = _native.find_outside(x, y, self._width, self._height)
        if outside:
            raise _native.outside_error('libcaer_cmp', outside, x, y, self._width, self._height)
        return _native.settle(x, y, p, t, dropped=int(dropped[0]))
