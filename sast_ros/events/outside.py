# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Events outside the sensor: some are damage, most of a stream mean that its size is wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from sast_ros.events.chunk import EventChunk, EventFormatError, OUTSIDE_SENSOR, SIZE_ADVICE

#: Share of all events of a stream outside the sensor above which its size is wrong: a sensor of
#: 346x260 pixels has a fifth outside 304x240, and is a warning; one of twice the width has half.
_WRONG_SIZE_SHARE = 1 / 3

#: Fewer events outside say nothing. So many are judged where none is inside.
MIN_OUTSIDE, _MAX_OUTSIDE = 16, 10_000


class SensorBounds:
    """
    Leave out the events of one camera that are outside the sensor.

    Parameters
    ----------
    default_size : tuple of int
        (height, width) in pixels where chunks do not state it; zeros if unknown.

    """

    def __init__(self, default_size: tuple[int, int]) -> None:
        self._events = self._outside = self._last_judged = 0
        self._begin: int | None = None
        self._is_due = False
        self._size = self._default_size = default_size

    def apply(self, chunk: EventChunk) -> EventChunk:
        """Return the events on the sensor, and count the others."""
        chunk = self._on_sensor(chunk)
        outside = chunk.left_out.get(OUTSIDE_SENSOR, 0)
        self._outside += outside
        self._events += outside + len(chunk)
        self._size = (chunk.height, chunk.width) if chunk.width else self._default_size
        if len(chunk):
            first, last = int(chunk.t[0]), int(chunk.t[-1])
            self._begin = first if self._begin is None else self._begin
            if not 0 <= last - self._begin < 1_000_000:
                self._begin, self._is_due = last, True
        elif self._begin is None and self._outside - self._last_judged > _MAX_OUTSIDE:
            self._is_due = True  # without an event inside there is no time
        return chunk

    def check(self, *, ended: bool = False) -> None:
        """
        Judge the stream, after each second of events and at its end.

        Raises
        ------
        EventFormatError
            More than a third of all its events so far were outside.

        """
        if not (self._is_due or ended):
            return
        self._is_due, self._last_judged = False, self._outside
        if self._outside >= MIN_OUTSIDE and self._outside > _WRONG_SIZE_SHARE * self._events:
            raise EventFormatError(f'{self._sentence()}; {SIZE_ADVICE}', field='x, y')

    @property
    def warning(self) -> str:
        """What to say of the stream, empty where hardly an event was outside."""
        if self._outside < MIN_OUTSIDE:
            return ''
        return f'{self._sentence()} and were left out; if its size is wrong, {SIZE_ADVICE}.'

    def _sentence(self) -> str:
        height, width = self._size
        return (
            f'{self._outside} of {self._events} events are outside the sensor of {width}x{height} '
            'pixels'
        )

    def _on_sensor(self, chunk: EventChunk) -> EventChunk:
        """Leave out the events outside the sensor where the chunk does not know its size."""
        height, width = self._default_size
        if chunk.width or not (height and len(chunk)):
            return chunk
        if int(chunk.x.max()) < width and int(chunk.y.max()) < height:
            return chunk
        inside = (chunk.x < width) & (chunk.y < height)
        left_out = Counter(chunk.left_out)
        left_out[OUTSIDE_SENSOR] += len(chunk) - int(np.count_nonzero(inside))
        x, y, p, t = (column[inside] for column in (chunk.x, chunk.y, chunk.p, chunk.t))
        return replace(chunk, x=x, y=y, p=p, t=t, left_out=left_out, checked=True)
