# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What every decoder does with the results of the C loops."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
import os
from typing import Any, NamedTuple

import numpy as np
from sast_ros.errors import SettingError
from sast_ros.events.chunk import (
    EventChunk,
    EventFormatError,
    INVALID,
    MAX_SENSOR_SIDE,
    OUTSIDE_SENSOR,
)
from sast_ros.kernels import library

#: Polarity of an event with a value that its format does not allow, as in kernels/decode.c.
INVALID_POLARITY = 2

#: Elements of ``struct clock`` in kernels/bytes.h.
CLOCK_SIZE = 4

#: Maximum events of a message: vectors of EVT 3.0 expand 78-fold in memory. These are 100 ms at
#: 42 Mev/s; the largest message of the real recordings has 2 586 events. MAX_EVENTS_VARIABLE sets
#: another maximum, not below that of a block of a file.
MAX_MESSAGE_EVENTS = 1 << 22
MIN_MESSAGE_EVENTS = 1 << 21
MAX_EVENTS_VARIABLE = 'SAST_ROS_MAX_MESSAGE_EVENTS'

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
    #: Width and height for which the events were checked, how many are late, and by how much.
    checked: tuple[int, int, int, int] | None = None

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
        x, y, p, t, left_out, checked = self
        if checked is not None and checked[:2] == (width, height):
            return CheckedEvents(x, y, p, t, left_out, *checked[2:])
        result = np.empty(4, np.int64)
        count = check_events((x, y, p, t), len(t), width, height, result)
        outside, invalid, late, longest = result.tolist()
        if count < len(t):
            left_out = add_left_out(left_out, outside, invalid)
            x, y, p, t = x[:count], y[:count], p[:count], t[:count]
        return CheckedEvents(x, y, p, t, left_out, late, longest)


def check_events(
    arrays: EventArrays | tuple[Any, ...], count: int, width: int, height: int, result: Any
) -> int:
    """
    Remove, in place, invalid events and those outside a sensor; return how many remain.

    Parameters
    ----------
    arrays : tuple
        Columns x, y, p, t, or ``argument`` of them.
    count : int
        Number of events.
    width, height : int
        Pixels, 0 if unknown.
    result : int64[4], or ``argument`` of it
        Receives the numbers of events outside, invalid and late, and the longest lateness in us.

    """
    return library.sast_check_events(
        *arrays, count, width or MAX_SENSOR_SIDE, height or MAX_SENSOR_SIDE, result
    )


def add_left_out(left_out: Mapping[str, int], outside: int, invalid: int) -> dict[str, int]:
    """Return the counts with those of ``check_events``."""
    counts = dict(left_out)
    for reason, number in ((OUTSIDE_SENSOR, outside), (INVALID, invalid)):
        if number:
            counts[reason] = counts.get(reason, 0) + number
    return counts


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
            by_time = _sort_order(t, late)
            x, y, p, t = x[by_time], y[by_time], p[by_time], t[by_time]
        return EventChunk(
            x, y, p, t, reordered=late, late_us=longest, left_out=left_out, checked=True, **fields
        )


@cache
def max_message_events() -> int:
    """
    Return the maximum number of events of a message.

    Raises
    ------
    SettingError
        The environment variable holds no such number.

    """
    text = os.environ.get(MAX_EVENTS_VARIABLE) or str(MAX_MESSAGE_EVENTS)
    if not text.isdecimal() or int(text) < MIN_MESSAGE_EVENTS:
        raise SettingError(
            f'{MAX_EVENTS_VARIABLE} is {text!r}; give the maximum events of a message, at least '
            f'{MIN_MESSAGE_EVENTS}'
        )
    return int(text)


def check_count(count: int) -> None:
    """
    Refuse more events than a message may hold, before anything is allocated for them.

    Raises
    ------
    EventFormatError
        More than ``max_message_events``.

    """
    if count > max_message_events():
        raise EventFormatError(
            f'{count} events in one message; more than {max_message_events()} are refused; let '
            f'the driver send shorter messages, or raise {MAX_EVENTS_VARIABLE}',
            field='events',
        )


def _sort_order(t: np.ndarray, late: int) -> np.ndarray:
    """Return the indices that sort the events by time; equal times stay in their order."""
    number_bits = len(t).bit_length()
    first = int(t.min())
    span_bits = (int(t.max()) - first).bit_length()
    if 8 * late < len(t) or number_bits + span_bits > 63:
        return t.argsort(kind='stable')  # a merge sort: fast where little is out of order
    # Time and number in one integer: NumPy sorts values several times faster than it finds indices
    keys = (t - first) << number_bits
    keys |= np.arange(len(t))
    keys.sort()
    return keys & ((1 << number_bits) - 1)


def clock_at(time: int) -> tuple[int, ...]:
    """Return the state of a ``struct clock`` that runs and is at a time."""
    return time, time, 0, 2


def empty_events(count: int, room: int = 0) -> EventArrays:
    """
    Return arrays x, y, p, t for the events of a message, not initialised.

    Parameters
    ----------
    count : int
        Events, see ``check_count``.
    room : int
        Further elements that the loop may write to.

    """
    check_count(count)
    size = count + room
    return (
        np.empty(size, np.uint16),
        np.empty(size, np.uint16),
        np.empty(size, np.uint8),
        np.empty(size, np.int64),
    )


def pixels(values: np.ndarray) -> np.ndarray:
    """Return coordinates as ``uint16``; what is beyond every sensor becomes the largest."""
    if values.dtype == np.uint16:
        return values.copy()
    with np.errstate(invalid='ignore'):
        return np.where((values >= 0) & (values < 65535), values, 65535).astype(np.uint16)
