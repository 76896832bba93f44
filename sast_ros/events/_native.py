# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What every decoder does with the results of the C loops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from sast_ros.events.chunk import EventChunk, INVALID, MAX_SENSOR_SIDE, OUTSIDE_SENSOR
from sast_ros.kernels import library

#: Polarity of an event with a value that its format does not allow, as in kernels/decode.c.
INVALID_POLARITY = 2

#: x, y, p, t of some events.
EventArrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class DecodedEvents(NamedTuple):
    """
    Events as their source has them, neither checked nor sorted.

    ``uint16[N]``, ``uint16[N]``, ``uint8[N]``, ``int64[N]`` us, and how many of the source are not
    among them, by reason. A polarity above 1 marks an invalid event.
    """

    x: np.ndarray
    y: np.ndarray
    p: np.ndarray
    t: np.ndarray
    left_out: Mapping[str, int] = {}

    def chunk(self, *, width: int, height: int, **fields: Any) -> EventChunk:
        """Return what ``check`` leaves of the events, in the order of time."""
        return self.check(width, height).chunk(width=width, height=height, **fields)

    def check(self, width: int, height: int) -> CheckedEvents:
        """
        Remove, in place, events that are invalid or outside a sensor of this size.

        Parameters
        ----------
        width, height : int
            Pixels, 0 if unknown.

        """
        x, y, p, t, left_out = self
        result = np.empty(4, np.int64)
        count = library.sast_check_events(
            x, y, p, t, len(t), width or MAX_SENSOR_SIDE, height or MAX_SENSOR_SIDE, result
        )
        outside, invalid, late, longest = result.tolist()
        if count < len(t):
            left_out = dict(left_out)
            for reason, number in ((OUTSIDE_SENSOR, outside), (INVALID, invalid)):
                if number:
                    left_out[reason] = left_out.get(reason, 0) + number
            x, y, p, t = x[:count], y[:count], p[:count], t[:count]
        return CheckedEvents(x, y, p, t, left_out, late, longest)


class CheckedEvents(NamedTuple):
    """
    Valid events on the sensor in the order of their source.

    As ``DecodedEvents``, and how many are behind a later one, and by how many microseconds at
    most.
    """

    x: np.ndarray
    y: np.ndarray
    p: np.ndarray
    t: np.ndarray
    left_out: Mapping[str, int]
    late: int
    longest: int

    def chunk(self, **fields: Any) -> EventChunk:
        """Return the events in the order of time; equal times stay in their order."""
        x, y, p, t, left_out, late, longest = self
        if late:
            by_time = t.argsort(kind='stable')
            x, y, p, t = x[by_time], y[by_time], p[by_time], t[by_time]
        return EventChunk(
            x, y, p, t, reordered=late, late_us=longest, left_out=left_out, checked=True, **fields
        )


def empty_events(count: int) -> EventArrays:
    """Return arrays x, y, p, t for that many events, not initialised."""
    return (
        np.empty(count, np.uint16),
        np.empty(count, np.uint16),
        np.empty(count, np.uint8),
        np.empty(count, np.int64),
    )


def pixels(values: np.ndarray) -> np.ndarray:
    """Return coordinates as ``uint16``; what is beyond every sensor becomes the largest."""
    with np.errstate(invalid='ignore'):
        return np.where((values >= 0) & (values < 65535), values, 65535).astype(np.uint16)
