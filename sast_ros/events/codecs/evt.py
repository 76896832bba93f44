# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Prophesee EVT 2.0, EVT 2.1 and EVT 3.0: words whose meaning depends on those before them.

Layouts: docs.prophesee.ai, "EVT 2.0 Format", "EVT 2.1 Format", "EVT 3.0 Format". All three send a
microsecond clock in two parts, TIME_HIGH for its upper bits and the rest with every event (2.0,
2.1) or as TIME_LOW (3.0). EVT 3.0 counts 24 bits (16.8 s), the others 34 bits (4.8 hours); the
clock is continued over its roll-over.

Real streams step back a little, so a new TIME_HIGH is taken as the one of all continuations that
lies nearest to the last. One that lies more than 4.2 s away, as a flipped bit makes it, holds for
the events behind it, but the next one is continued from the time before unless it follows the
far one; so it is with a wrong first one. Where a single TIME_HIGH does not fit between its
neighbours, and they leave room for one, the events behind it get the time between them (EVT 3.0,
where a TIME_HIGH holds for 4 ms). After lost packets, host time says how far to look
ahead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

import numpy as np
from sast_ros.events import _native
from sast_ros.events._native import DecodedEvents, EventArrays
from sast_ros.events.chunk import EventFormatError, UNSYNCHRONISED
from sast_ros.kernels import argument, library

#: Longer pauses of the host clock say nothing about the sensor's (a bag of another day, a clock
#: that was set).
_MAX_ELAPSED_US = 24 * 3_600_000_000

#: Elements of ``struct evt_state`` in kernels/evt.c that are used here.
_HIGH, _ANCHOR, _KNOWN, _UNPLACED = 0, 1, 2, 8
_STATE_SIZE = 11

#: Elements behind the last event that the loops write to.
_ROOM = 8

#: Smaller payloads are decoded into memory that is there, and copied: allocation and passing of
#: arrays would take longer than decoding.
_FEW_WORDS = 1 << 11


class _EvtDecoder(ABC):
    """
    Decoder of one stream of words.

    Events are dropped (and counted) until all has been received that places them; after lost
    packets the same holds again. Words that hold no pixel are skipped.
    """

    clock: Literal['sensor'] = 'sensor'
    name: str
    word_size: int
    max_events: int  # in a word
    period_us: int  # of the counter of the sensor

    def __init__(self) -> None:
        self._state = np.zeros(_STATE_SIZE, np.int64)
        self._state_at = argument(self._state)
        self._scratch = _native.empty_events(_FEW_WORDS * self.max_events, _ROOM)
        self._scratch_at = tuple(map(argument, self._scratch))
        self._result = np.zeros(4, np.int64)
        self._result_at = argument(self._result)

    def reset(self) -> None:
        """Begin another stream: time restarts with its first TIME_HIGH."""
        self._state[:] = 0

    def resynchronise(self, elapsed_us: int = 0) -> None:
        """Distrust row, column base and time until they are sent again; time continues."""
        self._state[_KNOWN] = 0
        if 0 < elapsed_us < _MAX_ELAPSED_US:
            self._state[[_HIGH, _ANCHOR]] += elapsed_us

    def __call__(
        self, payload: bytes, time_base_ns: int = 0, size: tuple[int, int] | None = None
    ) -> DecodedEvents:
        """
        Decode one payload; ``time_base`` is not defined for these encodings.

        Small payloads are checked here for a sensor of this width and height, which is faster.

        Raises
        ------
        EventFormatError
            Bytes that make no whole word, or more than ``max_message_events``; the whole payload
            is refused then.

        """
        words, rest = divmod(len(payload), self.word_size)
        if rest:
            self.resynchronise()
            raise EventFormatError(
                f'{self.name} payload of {len(payload)} bytes: words have {self.word_size} bytes; '
                'the packet was cut',
                field='events',
            )
        checked, counts = None, (0, 0)
        if words <= _FEW_WORDS:
            count = self._decode(payload, words, self._scratch_at)
            if size is not None:
                count = _native.check_events(self._scratch_at, count, *size, self._result_at)
                *counts, late, longest = self._result.tolist()
                checked = (*size, late, longest)
            x, y, p, t = [array[:count].copy() for array in self._scratch]
        else:
            try:
                arrays = _native.empty_events(self._capacity(payload, words), _ROOM)
            except EventFormatError:
                self.resynchronise()
                raise
            count = self._decode(payload, words, arrays)
            x, y, p, t = (array[:count] for array in arrays)
        left_out = {}
        if self._state[_UNPLACED]:
            left_out[UNSYNCHRONISED] = int(self._state[_UNPLACED])
            self._state[_UNPLACED] = 0
        if any(counts):
            left_out = _native.add_left_out(left_out, *counts)
        return DecodedEvents(x, y, p, t, left_out, checked)

    def _capacity(self, payload: bytes, words: int) -> int:
        """Return at least the number of events in the words."""
        return words

    @abstractmethod
    def _decode(self, payload: bytes, words: int, arrays: EventArrays | tuple[Any, ...]) -> int:
        """Write x, y, p, t of the events into arrays, or arguments of them; return how many."""


class Evt3(_EvtDecoder):
    """Decoder of ``evt3``."""

    name = 'evt3'
    word_size = 2
    max_events = 12
    period_us = 1 << 24

    def _capacity(self, payload: bytes, words: int) -> int:
        return library.sast_evt3_count(payload, words)

    def _decode(self, payload: bytes, words: int, arrays: EventArrays | tuple[Any, ...]) -> int:
        return library.sast_evt3(payload, words, self._state_at, *arrays)


class Evt2(_EvtDecoder):
    """Decoder of ``evt2``."""

    name = 'evt2'
    word_size = 4
    max_events = 1
    period_us = 1 << 34

    def _decode(self, payload: bytes, words: int, arrays: EventArrays | tuple[Any, ...]) -> int:
        return library.sast_evt2(payload, words, self._state_at, *arrays)


class Evt21(_EvtDecoder):
    """
    Decoder of ``evt21``.

    Parameters
    ----------
    high_word_first : bool
        Whether the upper 32 bits of a word come first, as IMX636 sends them ("legacy").

    """

    name = 'evt21'
    word_size = 8
    max_events = 32
    period_us = 1 << 34

    def __init__(self, *, high_word_first: bool = False) -> None:
        super().__init__()
        self._high_word_first = int(high_word_first)

    def _capacity(self, payload: bytes, words: int) -> int:
        return library.sast_evt21_count(payload, words, self._high_word_first)

    def _decode(self, payload: bytes, words: int, arrays: EventArrays | tuple[Any, ...]) -> int:
        return library.sast_evt21(payload, words, self._high_word_first, self._state_at, *arrays)
