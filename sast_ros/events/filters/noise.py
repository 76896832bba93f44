# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Filters of noise: hot pixels and background activity."""

from __future__ import annotations

import re

import numpy as np
from sast_ros.errors import SettingError
from sast_ros.events._native import EventArrays
from sast_ros.events.filters.event_filter import compact, EventFilter
from sast_ros.kernels import library

#: Events of a pixel are counted over periods of this length, microseconds of sensor time.
HOT_PERIOD_US = 500_000

#: Minimum events of a hot pixel in a period: 20 a second. A hot pixel with less than half of it is
#: quiet.
HOT_MIN_EVENTS = 10

#: A hot pixel is one no longer after so many quiet periods, that is 2 s.
HOT_QUIET_PERIODS = 4

#: Default of ``background-activity``, microseconds.
BACKGROUND_ACTIVITY_US = 10_000

_UNITS_US = {'us': 1, 'ms': 1_000, 's': 1_000_000}


class HotPixelFilter(EventFilter):
    """
    Remove the events of hot pixels: those that are active without their neighbours.

    At the end of every ``HOT_PERIOD_US`` since the first event of the stream, a pixel becomes hot
    if it had at least ``HOT_MIN_EVENTS`` events in it and at most one of its eight neighbours had
    more than a quarter of them. Its events are removed from then on, until it has had less than
    half of ``HOT_MIN_EVENTS`` in each of ``HOT_QUIET_PERIODS`` periods in a row. An edge, moving
    or flickering, is at least two pixels long and as active at one as at the next.
    """

    form = 'hot-pixel'
    reason = 'hot_pixel'

    def __init__(self, text: str) -> None:
        super().__init__(text)
        _refuse_value(text)

    def begin(self, height: int, width: int) -> None:
        """Forget all hot pixels."""
        self._height, self._width = height, width
        self._start: np.ndarray | None = None
        self._counts, self._hot = _map(height, width, np.uint16), _map(height, width, np.uint8)

    def __call__(self, events: EventArrays) -> EventArrays:
        """Return the events of the other pixels."""
        x, y, _, t = events
        if self._start is None:
            self._start = t[:1].copy()
        keep = np.empty(len(t), np.uint8)
        kept = library.sast_filter_hot_pixel(
            x,
            y,
            t,
            len(t),
            HOT_PERIOD_US,
            HOT_MIN_EVENTS,
            HOT_QUIET_PERIODS,
            self._width,
            self._height,
            self._start,
            self._counts,
            self._hot,
            keep,
        )
        return compact(events, keep, kept)


class BackgroundActivityFilter(EventFilter):
    """
    Remove events without a predecessor in their neighbourhood.

    An event stays if its pixel or one of the eight around it had an event of any polarity, also
    one that was removed, at most a time T before (the nearest-neighbour filter of Delbruck,
    Frame-free dynamic digital vision, 2008).
    """

    form = 'background-activity=TIME'
    reason = 'background_activity'

    def __init__(self, text: str) -> None:
        super().__init__(text)
        value = text.partition('=')[2]
        self.time_us = _microseconds(text, value) if '=' in text else BACKGROUND_ACTIVITY_US

    def begin(self, height: int, width: int) -> None:
        """Forget all events."""
        self._width = width
        self._start: int | None = None
        self._last = _map(height, width, np.uint64)

    def __call__(self, events: EventArrays) -> EventArrays:
        """Return the events with a predecessor."""
        x, y, _, t = events
        if self._start is None:
            self._start = int(t[0])
        keep = np.empty(len(t), np.uint8)
        kept = library.sast_filter_background(
            x, y, t, len(t), self._start, self.time_us, self._width, self._last, keep
        )
        return compact(events, keep, kept)


def _refuse_value(text: str) -> None:
    if '=' in text:
        name = text.partition('=')[0]
        raise SettingError(f'filter {text!r} takes no value; write {name}')


def _microseconds(text: str, value: str) -> int:
    """Return a time with its unit in microseconds."""
    found = re.fullmatch(r'(\d{1,9}(?:\.\d{1,9})?) ?(us|ms|s)', value)
    time_us = round(float(found[1]) * _UNITS_US[found[2]]) if found else 0
    if not 1 <= time_us <= 10_000_000:
        raise SettingError(
            f'filter {text!r} needs a time from 1us to 10s with its unit (us, ms or s), for '
            'example background-activity=5ms'
        )
    return time_us


def _map(height: int, width: int, dtype: type[np.generic]) -> np.ndarray:
    """Return zeros for a sensor with a border of one pixel, as kernels/filters.c wants them."""
    return np.zeros((height + 2, width + 2), dtype)
