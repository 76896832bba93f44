# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What every decoder does with the results of the C loops of kernels/decode.c."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np
from sast_ros.events.chunk import EventChunk, EventFormatError, MAX_SENSOR_SIDE, TIME_JUMP_BACK_US
from sast_ros.kernels import library

#: Fields by the number that the loops return for an invalid value.
FIELDS = ('x', 'y', 'polarity', 'ts.nanosec')

#: What a loop returns when all values are valid.
OK = -1


class DecodedEvents(NamedTuple):
    """
    Events of one payload.

    ``uint16[N]``, ``uint16[N]``, ``uint8[N]``, ``int64[N]`` us non-decreasing, and counts.
    """

    x: np.ndarray
    y: np.ndarray
    p: np.ndarray
    t: np.ndarray
    clamped: int = 0
    dropped: int = 0
    restarted: bool = False

    def chunk(self, restarted: bool = False, **fields: Any) -> EventChunk:
        """Return the events with their counts as a chunk with these further fields."""
        x, y, p, t, clamped, dropped, jumped = self
        return EventChunk(
            x,
            y,
            p,
            t,
            clamped=clamped,
            dropped=dropped,
            discontinuity=restarted or jumped,
            checked=True,
            **fields,
        )


#: x, y, p, t of some events.
EventArrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def empty_events(count: int) -> EventArrays:
    """Return arrays x, y, p, t for that many events, not initialised."""
    return (
        np.empty(count, np.uint16),
        np.empty(count, np.uint16),
        np.empty(count, np.uint8),
        np.empty(count, np.int64),
    )


def limit(size: int) -> int:
    """Return the first coordinate outside a sensor side of that size (0 = unknown)."""
    return size or MAX_SENSOR_SIDE


def steps_back(t: np.ndarray) -> bool:
    """Return whether time ever steps back."""
    return bool(library.sast_steps_back(t, len(t)))


def find_outside(x: np.ndarray, y: np.ndarray, width: int, height: int) -> tuple[int, str] | None:
    """Return index and field of the first event outside the sensor, ``None`` if there is none."""
    check = (ctypes.c_int32 * 2)()
    index = library.sast_outside(
        x, y, len(x), limit(width), limit(height), ctypes.addressof(check)
    )
    return None if index == OK else (index, FIELDS[check[0]])


def settle(
    x: np.ndarray,
    y: np.ndarray,
    p: np.ndarray,
    t: np.ndarray,
    unordered: bool | None = None,
    dropped: int = 0,
) -> DecodedEvents:
    """Clamp small steps back of time in place, and drop what is before the last long one."""
    if unordered is None:
        unordered = steps_back(t)
    if not unordered:
        return DecodedEvents(x, y, p, t, 0, dropped)
    result = np.empty(2, np.int64)
    library.sast_settle_time(t, len(t), TIME_JUMP_BACK_US, result)
    start, clamped = result.tolist()
    if start == 0:
        return DecodedEvents(x, y, p, t, clamped, dropped)
    return DecodedEvents(
        x[start:], y[start:], p[start:], t[start:], clamped, dropped + start, restarted=True
    )


def outside_error(
    name: str, found: tuple[int, str], x: np.ndarray, y: np.ndarray, width: int, height: int
) -> EventFormatError:
    """Return the error for an event that ``find_outside`` has found."""
    index, axis = found
    value = int((x if axis == 'x' else y)[index])
    return EventFormatError(
        f'{name} payload: {axis} of event {index} is {value}, outside the sensor of '
        f'{width}x{height} pixels; the packet is corrupt',
        field='events',
        offset=index,
    )
