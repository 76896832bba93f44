# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Prophesee EVT 2.0 (32-bit words) and EVT 2.1 (64-bit words with 32 pixels of a row each).

Layouts: docs.prophesee.ai, "EVT 2.0 Format" and "EVT 2.1 Format". Both send bits 6..33 of a
microsecond clock as TIME_HIGH and bits 0..5 with every event; the clock rolls over after 4.77
hours and is continued.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
from sast_ros.events import _native
from sast_ros.events._native import DecodedEvents, EventArrays
from sast_ros.events.chunk import EventFormatError
from sast_ros.kernels import library, pointer

_MAX_ELAPSED_US = 24 * 3_600_000_000


class _TimeHighStream(ABC):
    """What EVT 2.0 and 2.1 share: the state and the order of the steps."""

    clock: Literal['sensor'] = 'sensor'
    name: str
    word_size: int

    def __init__(self, height: int, width: int) -> None:
        self._height, self._width = height, width
        self._state = np.zeros(4, np.int64)  # struct word_state: high, known, dropped, started

    def reset(self) -> None:
        """Begin another stream: time restarts with its first TIME_HIGH."""
        self._state[:] = 0

    def resynchronise(self, elapsed_us: int = 0) -> None:
        """Distrust the time until TIME_HIGH is sent again; time continues."""
        self._state[1] = 0
        if 0 < elapsed_us < _MAX_ELAPSED_US:
            self._state[0] += elapsed_us

    def __call__(self, payload: bytes, time_base_ns: int = 0) -> DecodedEvents:
        """
        Decode one payload; ``time_base`` is not defined for this encoding.

        Raises
        ------
        EventFormatError
            Bytes that make no whole word, or an event outside the sensor.

        """
        if len(payload) % self.word_size:
            self.resynchronise()
            raise EventFormatError(
                f'{self.name} payload of {len(payload)} bytes: words have {self.word_size} bytes; '
                'the packet was cut',
                field='events',
            )
        self._state[2] = 0
        before = self._state.copy()
        x, y, p, t = self._events(payload, len(payload) // self.word_size)
        outside = _native.find_outside(x, y, self._width, self._height)
        if outside:
            self._state[:] = before  # the time in a corrupt packet is not to be believed
            self.resynchronise()
            raise _native.outside_error(self.name, outside, x, y, self._width, self._height)
        return _native.settle(x, y, p, t, dropped=int(self._state[2]))

    @abstractmethod
    def _events(self, payload: bytes, words: int) -> EventArrays:
        """Return x, y, p, t of the events in a payload."""


class Evt2(_TimeHighStream):
    """
    Codec for ``evt2``.

    Time is the sensor's clock; events before the first TIME_HIGH are dropped and counted.
    """

    name = 'evt2'
    word_size = 4

    def _events(self, payload: bytes, words: int) -> EventArrays:
        x, y, p, t = arrays = _native.empty_events(words)
        count = library.sast_evt2(payload, words, pointer(self._state), *arrays)
        return x[:count], y[:count], p[:count], t[:count]


class Evt21(_TimeHighStream):
    """
    Codec for ``evt21``.

    ``high_word_first``: the upper 32 bits come first, as IMX636 sends them ("legacy").
    """

    name = 'evt21'
    word_size = 8

    def __init__(self, height: int, width: int, *, high_word_first: bool = False) -> None:
        super().__init__(height, width)
        self._high_word_first = int(high_word_first)

    def _events(self, payload: bytes, words: int) -> EventArrays:
        x, y, p, t = arrays = _native.empty_events(
            library.sast_evt21_count(payload, words, self._high_word_first)
        )
        count = library.sast_evt21(
            payload, words, self._high_word_first, pointer(self._state), *arrays
        )
        return x[:count], y[:count], p[:count], t[:count]
