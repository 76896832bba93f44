# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""``mono``: the deprecated encoding of event_camera_msgs, one 64-bit word an event."""

from __future__ import annotations

from typing import Literal

from sast_ros.events import _native
from sast_ros.events._native import DecodedEvents
from sast_ros.events.codecs.independent import IndependentPackets
from sast_ros.kernels import library


class Mono(IndependentPackets):
    """
    Codec for ``mono``.

    Bit 63 polarity, bits 48-62 y, bits 32-47 x, bits 0-31 nanoseconds since ``time_base``. Time is
    ROS time in microseconds, rounded down.
    """

    clock: Literal['ros'] = 'ros'
    name = 'mono'
    word_size = 8

    def _events(self, payload: bytes, words: int, time_base_ns: int) -> DecodedEvents:
        arrays = _native.empty_events(words)
        library.sast_mono(payload, words, time_base_ns, *arrays)
        return DecodedEvents(*arrays)
