# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Layout of boxes and labels in files, the bundled classes, and which labels count."""

from __future__ import annotations

import numpy as np

#: Classes of the bundled weights and of simulated sequences, in class_id order.
CLASSES = ('pedestrian', 'two-wheeler', 'car')

#: One box per row, in the layout of the Prophesee data sets: t = window end in microseconds on the
#: recording's own clock; x, y = top-left corner, w, h = size, in sensor pixels; class_confidence =
#: score (``Detections.scores``).
BOX_DTYPE = np.dtype(
    [
        ('t', '<i8'),
        ('x', '<f4'),
        ('y', '<f4'),
        ('w', '<f4'),
        ('h', '<f4'),
        ('class_id', '<u4'),
        ('track_id', '<u4'),
        ('class_confidence', '<f4'),
    ]
)

#: One labelled object per row: box as above, visible share of the object, its events in the
#: window (see NOTICE_US), whether they made it detectable (see MIN_EVENTS) in one window of the
#: last second (recent) or ever (seen).
LABEL_DTYPE = np.dtype(
    [
        *BOX_DTYPE.descr[:-1],
        ('visibility', '<f4'),
        ('events', '<u4'),
        ('recent', '?'),
        ('seen', '?'),
    ]
)

#: An object is detectable in a window with at least this many of its events, and this many per
#: square pixel of its box.
MIN_EVENTS, MIN_EVENT_DENSITY = 12, 0.03

#: In simulated sequences the events of windows that are shorter than this, microseconds, are
#: counted together: those of all windows of so much time.
NOTICE_US = 50_000

#: A label counts if at least this share of the object is visible.
MIN_VISIBILITY = 0.25

#: A label counts if both of its sides have at least this many cells of the network's input (pixels
#: of a Gen1 sensor).
MIN_SIDE = 8
