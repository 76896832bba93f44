# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
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
from sast_ros.events.chunk import EventFormatError, INVALID, UNSYNCHRONISED
from sast_ros.events.codecs.independent import IndependentPackets
from sast_ros.kernels import library


class Libcaer(IndependentPackets):
    """
    Codec for ``libcaer``: libcaer's polarity events, {uint32 data, int32 microseconds}.

    In ``data``, bit 0 marks a valid event, bit 1 is polarity, bits 2-16 y, bits 17-31 x. The
    microseconds have 31 bits and may roll over within a packet. Events that are marked invalid are
    dropped and counted.
    """

    clock: Literal['sensor'] = 'sensor'
    name = 'libcaer'
    word_size = 8

    def _events(self, payload: bytes, words: int, time_base_ns: int) -> DecodedEvents:
        x, y, p, t = arrays = _native.empty_events(words)
        count = library.sast_libcaer(payload, words, time_base_ns // 1000, *arrays)
        left_out = {INVALID: words - count} if count < words else {}
        return DecodedEvents(x[:count], y[:count], p[:count], t[:count], left_out)


class LibcaerCompressed(IndependentPackets):
    """
    Codec for ``libcaer_cmp``: 16-bit words, type in the upper 4 bits.

    0 TIME_HIGH (bits 12-23 of microseconds since ``time_base``), 1 TIME_LOW (bits 0-11), 2 ADDR_X
    (x), 3 ADDR_Y (one event: bit 11 polarity, y), 4 VECT_BASE_Y (bit 11 polarity, y), 5 VECT_8 (an
    event at y + index of each set bit). Every packet begins with time 0 and an ADDR_X. A word of
    another type is an EventFormatError.
    """

    clock: Literal['sensor'] = 'sensor'
    name = 'libcaer_cmp'
    word_size = 2

    def _events(self, payload: bytes, words: int, time_base_ns: int) -> DecodedEvents:
        total = library.sast_libcaer_cmp_count(payload, words)
        if total < 0:
            index = -1 - total
            kind = payload[self.word_size * index + 1] >> 4
            raise EventFormatError(
                f'libcaer_cmp payload: word {index} has the undefined type {kind}; the packet is '
                'corrupt',
                field='events',
                offset=self.word_size * index,
            )
        x, y, p, t = arrays = _native.empty_events(total)
        dropped = np.zeros(1, np.int64)
        count = library.sast_libcaer_cmp(payload, words, time_base_ns // 1000, *arrays, dropped)
        left_out = {UNSYNCHRONISED: int(dropped[0])} if dropped[0] else {}
        return DecodedEvents(x[:count], y[:count], p[:count], t[:count], left_out)
