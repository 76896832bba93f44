# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Trails of tracked objects."""

from __future__ import annotations

from dataclasses import replace

from sast_ros.detections import Detections
from sast_ros.tracking import Trails
from tracking.windows import window


def objects(t_ms: int, **positions: tuple[float, float]) -> Detections:
    """Return boxes of 10 x 20 pixels; ``n7=(x, y)`` is the lower middle of object 7."""
    boxes = [(x, y - 10, 10, 20) for x, y in positions.values()]
    return window(t_ms, boxes, track_ids=[int(name[1:]) for name in positions])


def test_a_trail_holds_the_positions_of_its_length():
    trails = Trails()
    trails.update(objects(0, n7=(50, 100), n0=(200, 100)))
    trails.update(objects(500, n7=(60, 101), n8=(10, 30)))
    found = trails.update(objects(1200, n7=(70, 102)))
    assert set(found) == {7, 8}  # 0 is no object
    assert found[7].tolist() == [[60, 101], [70, 102]]
    assert found[8].tolist() == [[10, 30]]
    assert set(trails.update(objects(1600))) == {7}


def test_a_reset_and_detections_without_numbers():
    trails = Trails()
    trails.update(objects(0, n1=(50, 100)))
    untracked = replace(objects(50, n1=(60, 100)), track_ids=None)
    assert set(trails.update(untracked)) == {1}
    assert trails.update(replace(objects(100), reset='gap')) == {}


def test_a_time_that_goes_back_begins_new_trails():
    trails = Trails()
    trails.update(objects(200, n1=(50, 100)))
    found = trails.update(objects(150, n1=(10, 20)))
    assert found[1].tolist() == [[10, 20]]
