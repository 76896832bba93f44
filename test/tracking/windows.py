# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Windows with known boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sast_ros.detections import Detections

WIDTH, HEIGHT = 304, 240


def window(
    t_ms: float,
    boxes: Sequence[Sequence[float]],
    scores: Sequence[float] | None = None,
    class_ids: Sequence[int] | None = None,
    track_ids: Sequence[int] | None = None,
) -> Detections:
    """Return detections at a time; boxes are centre x, centre y, width, height in pixels."""
    centred = np.array(boxes, np.float64).reshape(-1, 4)
    half = centred[:, 2:] / 2
    count = len(centred)
    chosen = np.array([0.9] * count if scores is None else scores, np.float32)
    return Detections(
        boxes=np.hstack([centred[:, :2] - half, centred[:, :2] + half]).astype(np.float32),
        scores=chosen,
        class_ids=np.array([0] * count if class_ids is None else class_ids, np.int64),
        objectness=chosen,
        class_scores=np.ones(count, np.float32),
        class_names=('pedestrian', 'two-wheeler', 'car'),
        width=WIDTH,
        height=HEIGHT,
        t_end=round(1000 * t_ms),
        track_ids=None if track_ids is None else np.array(track_ids, np.int64),
    )
