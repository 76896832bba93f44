# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The part of an event stream in an interval of time since its first event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sast_ros.bags.errors import RecordingError
from sast_ros.errors import SettingError
from sast_ros.events.chunk import EventChunk


def iter_interval(
    chunks: Iterable[EventChunk], start: float, end: float | None, name: str
) -> Iterator[EventChunk]:
    """
    Yield the events of the half-open interval [start, end) of a stream.

    Time counts from the first event, and continues to count where the clock of the events jumps
    back (camera restarted, bag recorded in a loop). Times and ROS stamps of the events are
    unchanged. Nothing after ``end`` is read.

    Parameters
    ----------
    chunks : iterable of EventChunk
        The whole stream in order (``in_order``), from its first event.
    start : float
        Seconds since the first event.
    end : float or None
        Seconds since the first event, ``None`` for no end.
    name : str
        Name of the recording, for error messages.

    Raises
    ------
    SettingError
        A time that is not finite or below 0, or an end that is not after the start.
    RecordingError
        The stream ends at or before ``start``, or has no events in the interval.

    """
    _check_interval(start, end)
    begin = round(1e6 * start)
    stop = None if end is None else round(1e6 * end)
    zero = last = None
    begun = False
    for chunk in chunks:
        if len(chunk):
            first = int(chunk.t[0])
            if zero is None or last is None:
                zero = last = first
            elif chunk.discontinuity:
                zero, last = first - (last - zero), first
            low = 0 if begun or last - zero >= begin else _index(chunk, zero + begin)
            high = len(chunk)
            if stop is not None:
                high = 0 if last - zero >= stop else _index(chunk, zero + stop)
            last = max(last, int(chunk.t[-1]))
            if low < high:
                yield _part(chunk, low, high)
                begun = True
            if stop is not None and last - zero >= stop:
                break
        elif begun:
            yield chunk  # its counts
    # The caller reports a recording without any events
    if not begun and zero is not None and last is not None:
        raise _no_events(name, start, end, (last - zero) / 1e6)


def _no_events(name: str, start: float, end: float | None, length: float) -> RecordingError:
    if length < start:
        return RecordingError(
            f'{name} ends {length:.3f} s after its first event, before the start at {start:g} s; '
            'choose an earlier start'
        )
    return RecordingError(
        f'{name} has no events from {start:g} s to {end:g} s after its first one; choose another '
        'interval'
    )


def _check_interval(start: float, end: float | None) -> None:
    if not 0 <= start < float('inf'):
        raise SettingError(f'the start at {start:g} s must be finite and at least 0')
    if end is not None and not start < end < float('inf'):
        raise SettingError(
            f'the end at {end:g} s is not after the start at {start:g} s; give a later end'
        )


def _index(chunk: EventChunk, t: int) -> int:
    return int(chunk.t.searchsorted(t, 'left'))


def _part(chunk: EventChunk, low: int, high: int) -> EventChunk:
    part = chunk[low:high]
    if low == 0 or chunk.stamp_ns is None:
        return part
    # A stamp belongs to the first event of its chunk.
    elapsed_ns = 1000 * int(chunk.t[low] - chunk.t[0])
    return replace(part, stamp_ns=chunk.stamp_ns + elapsed_ns, checked=True)
