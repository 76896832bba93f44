# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The filters by name, and several of them one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from sast_ros.errors import SettingError
from sast_ros.events._native import EventArrays
from sast_ros.events.chunk import EventChunk, EventFormatError, refuse_sensor_size
from sast_ros.events.filters.event_filter import EventFilter, FilterSizeError
from sast_ros.events.filters.noise import BackgroundActivityFilter, HotPixelFilter
from sast_ros.events.filters.place import FlipFilter, MaskFilter, RegionFilter

_FILTERS: dict[str, type[EventFilter]] = {
    kind.form.partition('=')[0]: kind
    for kind in (HotPixelFilter, BackgroundActivityFilter, RegionFilter, MaskFilter, FlipFilter)
}

#: Reasons under which removed events are counted.
FILTER_REASONS = tuple(kind.reason for kind in _FILTERS.values() if kind.reason)

#: How the filters are written, in words.
FORMS = ', '.join(kind.form for kind in _FILTERS.values())


class FilterChain:
    """
    Filters in the order in which they are applied.

    Parameters
    ----------
    texts : iterable of str
        The filters; empty texts are left out.

    Attributes
    ----------
    texts : tuple of str
        The filters as they were given.
    removed : collections.Counter
        Number of removed events by reason: ``'hot_pixel'``, ``'background_activity'``,
        ``'region_of_interest'``, ``'mask'``.

    Raises
    ------
    SettingError
        An unknown filter, an impossible value, or a picture that cannot be read.

    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = tuple(text for text in texts if text)
        self.removed: Counter[str] = Counter()
        self._filters = [_parse(text) for text in self.texts]
        self._size: tuple[int, int] | None = None
        self._checked_size: tuple[int, int] | None = None

    def __bool__(self) -> bool:
        return bool(self._filters)

    @property
    def identity(self) -> list[str]:
        """Texts that are the same if and only if the filters do the same."""
        return [each.identity for each in self._filters]

    def reset(self) -> None:
        """Begin another stream with the next events."""
        self._size = None

    def check(self, size: tuple[int, int]) -> None:
        """
        Check that the filters fit a sensor of this size.

        Parameters
        ----------
        size : tuple of int
            (height, width) in pixels.

        Raises
        ------
        FilterSizeError
            A region or a mask does not fit this size, or the size is unknown (0).

        """
        if size == self._checked_size or not self._filters:
            return
        height, width = size
        if refuse_sensor_size(height, width):
            raise FilterSizeError(
                f'filters need the size of the sensor, which is {width}x{height} pixels here; '
                'give the sensor size of the camera'
            )
        for each in self._filters:
            each.check(height, width)
        self._checked_size = size

    def __call__(self, chunk: EventChunk, size: tuple[int, int] | None = None) -> EventChunk:
        """
        Return the events that all filters keep; the others are counted in its ``left_out``.

        Parameters
        ----------
        chunk : EventChunk
            The next events; ``discontinuity`` begins a new stream.
        size : tuple of int, optional
            (height, width) in pixels of the sensor, by default that of the chunk.

        Raises
        ------
        FilterSizeError
            See ``check``.
        EventFormatError
            An event outside the sensor.

        """
        if not self._filters:
            return chunk
        size = size or (chunk.height, chunk.width)
        self.check(size)
        self._check_inside(chunk, *size)
        if chunk.discontinuity or size != self._size:
            for each in self._filters:
                each.begin(*size)
            self._size = size
        events: EventArrays = (chunk.x, chunk.y, chunk.p, chunk.t)
        left_out = dict(chunk.left_out)
        for each in self._filters:
            before = len(events[0])
            if before == 0:
                break
            events = each(events)
            removed = before - len(events[0])
            if removed:
                self.removed[each.reason] += removed
                left_out[each.reason] = left_out.get(each.reason, 0) + removed
        x, y, p, t = events
        if len(t) == len(chunk) and x is chunk.x and y is chunk.y:
            return chunk
        return replace(chunk, x=x, y=y, p=p, t=t, left_out=left_out, checked=True)

    @staticmethod
    def _check_inside(chunk: EventChunk, height: int, width: int) -> None:
        """Raise an error for an event outside the sensor; the loops rely on it."""
        for axis, values, size in (('x', chunk.x, width), ('y', chunk.y, height)):
            if len(values) and np.maximum.reduce(values) >= size:
                index = int((values >= size).argmax())
                raise EventFormatError(
                    f'event {index} has {axis} = {int(values[index])}, outside the sensor of '
                    f'{width}x{height} pixels; give the sensor size of the camera',
                    field=axis,
                    offset=index,
                )


def check_filter(text: str) -> str:
    """
    Return the text of a filter if there is such a filter.

    Raises
    ------
    SettingError
        An unknown filter, an impossible value, or a picture that cannot be read.

    """
    _parse(text)
    return text


def with_absolute_paths(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the same filters for processes with another working directory."""
    return tuple(
        f'mask={Path(text[5:]).absolute()}' if text.startswith('mask=') else text for text in texts
    )


def _parse(text: str) -> EventFilter:
    kind = _FILTERS.get(text.partition('=')[0])
    if kind is None:
        raise SettingError(f'there is no filter {text!r}; the filters are {FORMS}')
    return kind(text)
