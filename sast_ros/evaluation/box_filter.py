# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which boxes are evaluated: the filters of the Prophesee automotive data sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BoxFilter:
    """
    Filter of boxes by size.

    Attributes
    ----------
    diagonal : float
        Minimum diagonal in sensor pixels.
    side : float
        Minimum width and height in sensor pixels.
    skip_us : int
        Microseconds at the start of a recording that are not evaluated.

    """

    diagonal: float
    side: float
    skip_us: int = 500_000

    def __call__(self, boxes: np.ndarray) -> np.ndarray:
        """
        Return which boxes (with fields ``w`` and ``h``) are large enough, ``bool[N]``.

        Of labels with the field ``ignored`` those with it are kept, too: a detection that is large
        enough may be of one.
        """
        kept = (
            (boxes['w'] ** 2 + boxes['h'] ** 2 >= self.diagonal**2)
            & (boxes['w'] >= self.side)
            & (boxes['h'] >= self.side)
        )
        return kept | boxes['ignored'] if 'ignored' in (boxes.dtype.names or ()) else kept


#: The filters of the two data sets.
BOXES_GEN1 = BoxFilter(diagonal=30, side=10)
BOXES_1MPX = BoxFilter(diagonal=60, side=20)

#: Filters by name; ``auto`` selects one by the sensor.
BOX_FILTERS = {'gen1': BOXES_GEN1, '1mpx': BOXES_1MPX, 'all': BoxFilter(0, 0)}

#: Minimum sensor height for the filter of the 1 megapixel data set.
_MIN_HEIGHT_1MPX = 720


def choose_box_filter(name: str, sensor_size: tuple[int, int] | None) -> BoxFilter:
    """Return a filter by name; ``'auto'`` depends on the sensor size (height, width)."""
    if name != 'auto':
        return BOX_FILTERS[name]
    large = sensor_size is not None and sensor_size[0] >= _MIN_HEIGHT_1MPX
    return BOXES_1MPX if large else BOXES_GEN1
