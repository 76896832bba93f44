# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Filters between the decoder and the windows: noise, regions, orientation.

A filter is written as a text, ``NAME`` or ``NAME=VALUE``; docs/how_to/filters.md describes them.
What a filter does depends on the events of the stream alone, not on how they are packed into
chunks, so that the node and a replay of its recording keep the same events.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
import hashlib
import os
from pathlib import Path
import re
import tokenize
from typing import ClassVar

import numpy as np
from sast_ros.errors import SettingError
from sast_ros.events._native import EventArrays
from sast_ros.events.chunk import EventChunk, EventFormatError, refuse_sensor_size
from sast_ros.kernels import library
from sast_ros.npy import check_npy_header

#: Events of a pixel are counted over periods of this length, microseconds of sensor time.
HOT_PERIOD_US = 500_000

#: Minimum events of a hot pixel in a period: 20 a second. A hot pixel with less than half of it is
#: quiet.
HOT_MIN_EVENTS = 10

#: A hot pixel is one no longer after so many quiet periods, that is 2 s.
HOT_QUIET_PERIODS = 4

#: Default of ``background-activity``, microseconds.
BACKGROUND_ACTIVITY_US = 10_000

#: What NumPy and Pillow raise for damaged files.
_DAMAGE = (
    *(OSError, ValueError, SyntaxError, EOFError, OverflowError, tokenize.TokenError),
    *(MemoryError, RecursionError),  # of headers that are nested deeply
)

_UNITS_US = {'us': 1, 'ms': 1_000, 's': 1_000_000}


class EventFilter(ABC):
    """
    One filter with its state.

    Attributes
    ----------
    form : str
        How it is written.
    reason : str
        Name under which the events that it removes are counted; empty if it removes none.
    text : str
        The filter as the user wrote it.

    """

    form: ClassVar[str]
    reason: ClassVar[str] = ''

    def __init__(self, text: str) -> None:
        self.text = text

    @property
    def identity(self) -> str:
        """The filter as a text that is the same if and only if it does the same."""
        return self.text

    def check(self, height: int, width: int) -> None:  # noqa: B027 - most fit every sensor
        """
        Check that the filter fits a sensor of this size.

        Raises
        ------
        EventFormatError
            It does not.

        """

    @abstractmethod
    def begin(self, height: int, width: int) -> None:
        """Begin a stream of a sensor of this size, which was checked."""

    @abstractmethod
    def __call__(self, events: EventArrays) -> EventArrays:
        """Return the events to keep; there are any, and all are inside the sensor."""


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
        return _compact(events, keep, kept)


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
        return _compact(events, keep, kept)


class _PixelFilter(EventFilter):
    """Keep the events of some pixels."""

    @abstractmethod
    def begin(self, height: int, width: int) -> None:
        """Set ``_pixels``, uint8[height, width], 1 at the pixels to keep."""
        self._pixels: np.ndarray

    def __call__(self, events: EventArrays) -> EventArrays:
        """Return the events at these pixels."""
        x, y, _, _ = events
        keep = np.empty(len(x), np.uint8)
        kept = library.sast_filter_mask(x, y, len(x), self._pixels, self._pixels.shape[1], keep)
        return _compact(events, keep, kept)


class RegionFilter(_PixelFilter):
    """Keep the events in a rectangle; their coordinates stay as they are."""

    form = 'roi=X,Y,WIDTH,HEIGHT'
    reason = 'region_of_interest'

    def __init__(self, text: str) -> None:
        super().__init__(text)
        value = text.partition('=')[2]
        found = re.fullmatch(r' *(\d{1,5}) *, *(\d{1,5}) *, *(\d{1,5}) *, *(\d{1,5}) *', value)
        self.region = tuple(map(int, found.groups())) if found else (0, 0, 0, 0)
        if not (self.region[2] and self.region[3]):
            raise SettingError(
                f'filter {text!r} must be roi=X,Y,WIDTH,HEIGHT in pixels, for example '
                'roi=10,20,300,200'
            )

    def check(self, height: int, width: int) -> None:
        """Check that the rectangle is inside."""
        x, y, w, h = self.region
        if x + w > width or y + h > height:
            raise EventFormatError(
                f'filter {self.text!r} reaches outside the sensor of {width}x{height} pixels; '
                'give a region inside it'
            )

    def begin(self, height: int, width: int) -> None:
        """Draw the rectangle."""
        x, y, w, h = self.region
        self._pixels = np.zeros((height, width), np.uint8)
        rows, columns = slice(y, y + h), slice(x, x + w)
        self._pixels[rows, columns] = 1


class MaskFilter(_PixelFilter):
    """Keep the events at the pixels of a picture that are not black."""

    form = 'mask=FILE'
    reason = 'mask'

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.path = Path(text.partition('=')[2])
        self._mask = read_mask(self.path)

    @property
    def identity(self) -> str:
        """Digest of size and pixels, whatever the file is called."""
        content = f'{self._mask.shape} '.encode() + self._mask.tobytes()
        return f'mask={hashlib.sha256(content).hexdigest()}'

    def check(self, height: int, width: int) -> None:
        """Check the size of the picture."""
        if self._mask.shape != (height, width):
            rows, columns = self._mask.shape
            raise EventFormatError(
                f'mask {self.path} has {columns}x{rows} pixels and the sensor {width}x{height}; '
                'give a picture of the size of the sensor'
            )

    def begin(self, height: int, width: int) -> None:
        """Take the picture."""
        self._pixels = self._mask


class FlipFilter(EventFilter):
    """Mirror or turn the coordinates, for a camera that is mounted so."""

    form = 'flip=horizontal, flip=vertical, flip=rotate-180'

    def __init__(self, text: str) -> None:
        super().__init__(text)
        value = text.partition('=')[2]
        if value not in ('horizontal', 'vertical', 'rotate-180'):
            raise SettingError(
                f'filter {text!r} must be flip=horizontal (left and right are exchanged), '
                'flip=vertical (top and bottom) or flip=rotate-180 (both)'
            )
        self._columns, self._rows = value != 'vertical', value != 'horizontal'

    def begin(self, height: int, width: int) -> None:
        """Remember the size."""
        self._last_row, self._last_column = np.uint16(height - 1), np.uint16(width - 1)

    def __call__(self, events: EventArrays) -> EventArrays:
        """Return all events at their new places."""
        x, y, p, t = events
        x = self._last_column - x if self._columns else x
        y = self._last_row - y if self._rows else y
        return x, y, p, t


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
        EventFormatError
            A region or a mask does not fit this size, or the size is unknown (0).

        """
        if size == self._checked_size or not self._filters:
            return
        height, width = size
        if refuse_sensor_size(height, width):
            raise EventFormatError(
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
        EventFormatError
            See ``check``, or an event outside the sensor.

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


def read_mask(path: str | os.PathLike) -> np.ndarray:
    """
    Return uint8[height, width] of a PNG, PBM, PGM, PPM or .npy picture: 1 unless it is black.

    Pixels that are entirely transparent count as black; NaN counts as not black.

    Raises
    ------
    SettingError
        There is no such picture, or it is damaged or has no usable size.

    """
    path = Path(path)
    try:
        values = _read_array(path) if path.suffix.lower() == '.npy' else _read_picture(path)
    except _DAMAGE as error:
        text = getattr(error, 'strerror', None) or str(error) or type(error).__name__
        reason = ' '.join(text.split())
        raise SettingError(
            f'mask {path} cannot be read as a PNG, PGM or .npy picture: {reason}'
        ) from error
    return np.ascontiguousarray(values, np.uint8)


def _read_array(path: Path) -> np.ndarray:
    with path.open('rb') as file:
        check_npy_header(file, path.stat().st_size)
    # Mapped, since a damaged header may name any size
    values = np.lib.format.open_memmap(path, mode='r')
    if values.ndim != 2 or values.dtype.kind not in 'biuf':
        raise ValueError('it is not one array of numbers with two dimensions')
    _check_size(*values.shape[::-1])
    return values != 0


def _read_picture(path: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path, formats=('PNG', 'PPM')) as image:
            _check_size(*image.size)
            if image.mode.startswith(('I', 'F')):  # conversion would cut off the lower byte
                return np.asarray(image) != 0
            pixels = np.asarray(image.convert('RGBA'))
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
    return (pixels[..., :3] != 0).any(axis=2) & (pixels[..., 3] != 0)


def _check_size(width: int, height: int) -> None:
    reason = refuse_sensor_size(height, width)
    if reason:
        raise ValueError(f'it has {width}x{height} pixels; {reason}')


def _parse(text: str) -> EventFilter:
    kind = _FILTERS.get(text.partition('=')[0])
    if kind is None:
        raise SettingError(f'there is no filter {text!r}; the filters are {FORMS}')
    return kind(text)


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


def _compact(events: EventArrays, keep: np.ndarray, kept: int) -> EventArrays:
    """Return the events with ``keep`` 1; the arrays themselves if these are all."""
    count = len(keep)
    if kept == count:
        return events
    # Not empty_events: that limits messages, and a chunk may be a whole recording
    x, y, p, t = (np.empty(kept + 1, values.dtype) for values in events)
    library.sast_compact(*events, keep, count, x, y, p, t)
    return x[:kept], y[:kept], p[:kept], t[:kept]
