# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Events outside the sensor: a few are damage, many mean that its size is wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from sast_ros.events.chunk import EventChunk, EventFormatError, OUTSIDE_SENSOR, SIZE_ADVICE

#: Of a second of events so many may be outside the sensor; more mean that its size is wrong. Fewer
#: events than this say nothing.
_OUTSIDE_SHARE, _FEWEST_OUTSIDE, _MOST_OUTSIDE = 0.01, 16, 10_000


class SensorBounds:
    """
    Leave out the events of one camera that are outside the sensor.

    Parameters
    ----------
    default_size : tuple of int
        (height, width) in pixels where chunks do not state it; zeros if unknown.

    """

    def __init__(self, default_size: tuple[int, int]) -> None:
        self._events = self._outside = 0
        self._begin: int | None = None
        self._size = self._default_size = default_size

    def apply(self, chunk: EventChunk) -> EventChunk:
        """
        Return the events on the sensor, and count the others.

        Raises
        ------
        EventFormatError
            More than 1 % of a second of events were outside.

        """
        chunk = self._on_sensor(chunk)
        outside = chunk.left_out.get(OUTSIDE_SENSOR, 0)
        self._outside += outside
        self._events += outside + len(chunk)
        self._size = (chunk.height, chunk.width) if chunk.width else self._default_size
        if len(chunk):
            first, last = int(chunk.t[0]), int(chunk.t[-1])
            self._begin = first if self._begin is None else self._begin
            if not 0 <= last - self._begin < 1_000_000:
                self._begin = last
                self.check()
        if self._outside > _MOST_OUTSIDE and 2 * self._outside > self._events:
            self.check()  # time may stand still, because no event is inside
        return chunk

    def check(self) -> None:
        """Raise EventFormatError if too many events since the last check were outside."""
        events, outside = self._events, self._outside
        self._events = self._outside = 0
        if outside >= _FEWEST_OUTSIDE and outside > _OUTSIDE_SHARE * events:
            height, width = self._size
            raise EventFormatError(
                f'{outside} of {events} events of a second are outside the sensor of '
                f'{width}x{height} pixels; {SIZE_ADVICE}',
                field='x, y',
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
