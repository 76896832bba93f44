# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Filters of places: regions, masks, orientation."""

from __future__ import annotations

from abc import abstractmethod
import hashlib
from pathlib import Path
import re

import numpy as np
from sast_ros.errors import SettingError
from sast_ros.events._native import EventArrays
from sast_ros.events.filters.event_filter import compact, EventFilter, FilterSizeError
from sast_ros.events.filters.mask import read_mask
from sast_ros.kernels import library


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
        return compact(events, keep, kept)


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
            raise FilterSizeError(
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
            raise FilterSizeError(
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
