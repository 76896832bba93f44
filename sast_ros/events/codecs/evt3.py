# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Prophesee EVT 3.0: 16-bit words whose meaning depends on those before, decoded by PyPI ``evt3``.

The package turns words into events. What it leaves to its caller is done here, in two thin passes
of C (kernels/decode.c): time beyond the 24 bits of the sensor, start and re-start in the middle of
a stream, and checks.

Time. The sensor sends the upper and lower 12 bits of a 24-bit microsecond clock apart, as
TIME_HIGH and TIME_LOW. Real streams step back a little: TIME_LOW within one TIME_HIGH, and
TIME_HIGH itself. So a new TIME_HIGH is taken as the one of all continuations that lies nearest to
the last (within 8.4 s), whatever its sign: a step back is never a roll-over, and a roll-over is
found even if the words around it are lost. After lost packets, host time says how far to look
ahead.
"""

from __future__ import annotations

from typing import Literal

import evt3
import numpy as np
from sast_ros.events import _native
from sast_ros.events._native import DecodedEvents
from sast_ros.events.chunk import EventFormatError
from sast_ros.kernels import library, pointer

#: The sensor's clock has 24 bits; the C pass stops where a payload crosses into another period.
PERIOD_BITS = 24

#: Longer pauses of the host clock say nothing about the sensor's (a bag of another day, a clock
#: that was set).
_MAX_ELAPSED_US = 24 * 3_600_000_000

#: More changes of period than any packet or block of a file has, jitter around a roll-over
#: included.
_MAX_PERIODS = 1000


class Evt3:
    """
    Codec for ``evt3``. Time is the sensor's clock, continued over its roll-over every 16.777 s.

    Events are dropped (and counted) until TIME_HIGH, TIME_LOW and ADDR_Y have been seen, vectors
    also until VECT_BASE_X; after lost packets the same holds again. Words of types that hold no
    pixel are skipped.

    Raises
    ------
    EventFormatError
        Odd number of bytes, or an event outside the sensor; the whole payload is refused then.

    """

    clock: Literal['sensor'] = 'sensor'

    def __init__(self, height: int, width: int) -> None:
        self._height, self._width = height, width
        self._limits = _native.limit(width), _native.limit(height)
        self._decoder = evt3.Decoder(sensor_width=width or 1280, sensor_height=height or 720)
        self._state = np.zeros(4, np.int64)  # struct word_state: high, known, dropped, started
        self._state_at = pointer(self._state)
        self._check = np.zeros(2, np.int32)  # struct check: field, unordered
        self._check_at = pointer(self._check)

    def reset(self) -> None:
        """Begin another stream: time restarts with its first TIME_HIGH."""
        self._decoder.reset()
        self._state[:] = 0

    def resynchronise(self, elapsed_us: int = 0) -> None:
        """Distrust row, column base and time until they are sent again; time continues."""
        self._decoder.reset()
        self._state[1] = 0
        if 0 < elapsed_us < _MAX_ELAPSED_US:
            self._state[0] += elapsed_us

    def __call__(self, payload: bytes, time_base_ns: int = 0) -> DecodedEvents:
        """Decode one payload; ``time_base`` is not defined for this encoding."""
        if len(payload) % 2:
            self.resynchronise()
            raise EventFormatError(
                f'evt3 payload of {len(payload)} bytes: words have 2 bytes; the packet was cut',
                field='events',
            )
        before = self._state.copy()
        try:
            return self._decode(payload)
        except EventFormatError:
            self._state[:] = before  # the time in a corrupt packet is not to be believed
            self.resynchronise()
            raise

    def _decode(self, payload: bytes) -> DecodedEvents:
        words = len(payload) // 2
        stop, payload = self._scan(payload, 0, words)
        if stop == words:
            x, y, p, t, unordered = self._feed(payload, 0)
        else:
            parts = [self._feed(payload[: 2 * stop], 0)]
            count = len(parts[0][0])
            while stop < words:
                if len(parts) > _MAX_PERIODS:
                    raise EventFormatError(
                        f'evt3 payload: the clock goes round more than {_MAX_PERIODS} times; the '
                        'packet is corrupt',
                        field='events',
                        offset=2 * stop,
                    )
                start = 2 * stop
                stop, payload = self._scan(payload, stop, words)
                end = 2 * stop
                parts.append(self._feed(payload[start:end], count))
                count += len(parts[-1][0])
            x, y, p, t = (np.concatenate([part[k] for part in parts]) for k in range(4))
            unordered = None
        dropped = int(self._state[2])
        if dropped:
            self._state[2] = 0
        return _native.settle(x, y, p, t, unordered, dropped)

    def _scan(self, payload: bytes, start: int, words: int) -> tuple[int, bytes]:
        """
        Follow the state up to the next change of period.

        Returns its word, and the payload without unplaceable events.
        """
        stop = library.sast_evt3_scan(payload, start, words, self._state_at, None)
        if stop == _native.OK:
            clean = np.frombuffer(payload, np.uint16).copy()
            stop = library.sast_evt3_scan(payload, start, words, self._state_at, clean)
            payload = clean.tobytes()
        return stop, payload

    def _feed(
        self, payload: bytes, before: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, bool]:
        """Decode a payload that lies in one period of the sensor's clock."""
        events = self._decoder.feed(payload)
        x, y, t = events.x, events.y, events.t.view(np.int64)
        if not len(t):
            return x, y, events.p, t, False
        high = int(self._state[0])
        bad = library.sast_evt3_finish(
            x, y, t, len(t), high >> PERIOD_BITS << PERIOD_BITS, *self._limits, self._check_at
        )
        if bad != _native.OK:
            name = _native.FIELDS[self._check[0]]
            value = int((x if name == 'x' else y)[bad])
            raise EventFormatError(
                f'evt3 payload: {name} of event {before + bad} is {value}, outside the sensor of '
                f'{self._width}x{self._height} pixels; the packet is corrupt',
                field='events',
                offset=before + bad,
            )
        return x, y, events.p, t, bool(self._check[1])
