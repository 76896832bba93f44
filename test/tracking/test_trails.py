# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Trails of tracked objects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sast_ros.detections import Detections
from sast_ros.tracking import Trails


def window(t_ms: int, **positions: tuple[float, float]) -> Detections:
    """Return boxes of 10 x 20 pixels; ``n7=(x, y)`` is the lower middle of object 7."""
    boxes = [(x - 5, y - 20, x + 5, y) for x, y in positions.values()]
    count = len(boxes)
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.ones(count, np.float32),
        class_ids=np.zeros(count, np.int64),
        objectness=np.ones(count, np.float32),
        class_scores=np.ones(count, np.float32),
        class_names=('car',),
        width=304,
        height=240,
        t_end=1000 * t_ms,
        track_ids=np.array([int(name[1:]) for name in positions], np.int64),
    )


def test_a_trail_holds_the_positions_of_its_length():
    trails = Trails(length_ms=100)
    trails.update(window(0, n7=(50, 100), n0=(200, 100)))
    trails.update(window(50, n7=(60, 101), n8=(10, 30)))
    found = trails.update(window(120, n7=(70, 102)))
    assert set(found) == {7, 8}  # 0 is no object
    assert found[7].tolist() == [[60, 101], [70, 102]]
    assert found[8].tolist() == [[10, 30]]
    assert set(trails.update(window(160))) == {7}


def test_a_reset_and_detections_without_numbers():
    trails = Trails()
    trails.update(window(0, n1=(50, 100)))
    untracked = replace(window(50, n1=(60, 100)), track_ids=None)
    assert set(trails.update(untracked)) == {1}
    assert trails.update(replace(window(100), reset='gap')) == {}
