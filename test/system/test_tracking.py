# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Numbers and velocities of objects that a running node publishes."""

from __future__ import annotations

from typing import Any

import numpy as np
from sensor_msgs.msg import PointCloud2
from system.streams import ARRAY, as_array, batches

#: Boxes in every window of untrained weights, each a track at once.
EVERYTHING = {
    'detections__score_threshold': 0.0,
    'detections__max_count': 3,
    'overload__queue_windows': 1000,
    'tracking__high_score': 0.0,
    'tracking__low_score': 0.0,
    'tracking__min_hits': 1,
}


def numbers(array: Any) -> list[int]:
    return [int(detection.id) for detection in array.detections]


def play(node: Any, part: int, windows: int = 2) -> list[Any]:
    """Publish 100 ms of events and return the detections of the windows that they complete."""
    observer, before = node.observer, len(node.observer.detections)
    node.publish(ARRAY, as_array(batches(4, start_us=part * 100_000)).messages)
    observer.wait_for(lambda: len(observer.detections) == before + windows)
    return observer.detections[before:]


def test_ids_are_numbers_that_never_come_back(node):
    observer = node.observer
    assert observer.set_parameters(**EVERYTHING) == []
    assert observer.change_state('configure')
    assert observer.change_state('activate')
    (first,) = play(node, 0, windows=1)
    assert numbers(first) == [1, 2, 3]
    last = max(n for array in play(node, 1) for n in numbers(array))
    # Off, and on again between two windows
    assert observer.set_parameters(tracking__enabled=False) == []
    assert {d.id for array in play(node, 2) for d in array.detections} == {''}
    assert observer.set_parameters(tracking__enabled=True) == []
    resumed = [n for array in play(node, 3) for n in numbers(array)]
    assert min(resumed) == last + 1
    # A reset of the state ends the tracks
    assert observer.reset_state().success
    (after,) = play(node, 4, windows=1)
    assert numbers(after) == [max(resumed) + number for number in (1, 2, 3)]
    # The numbers go on in the next configuration
    for transition in ('deactivate', 'cleanup', 'configure', 'activate'):
        assert observer.change_state(transition)
    (again,) = play(node, 0, windows=1)
    assert numbers(again) == [max(resumed) + number for number in (4, 5, 6)]
    assert 'tracking.min_iou' in observer.set_parameters(tracking__min_iou=0.0)[0]


def test_tracks_are_published_while_someone_listens(node):
    observer = node.observer
    clouds: list[PointCloud2] = []
    assert observer.set_parameters(**EVERYTHING) == []
    assert observer.change_state('configure')
    observer.subscribe(PointCloud2, 'tracks', clouds.append, 100)
    observer.wait_for(lambda: observer.node.count_publishers('tracks') == 1)
    assert observer.change_state('activate')
    (first,) = play(node, 0, windows=1)
    observer.wait_for(lambda: clouds)
    assert clouds[0].header == first.header
    names = [field.name for field in clouds[0].fields]
    assert {'x', 'y', 'z', 'id', 'velocity_x', 'velocity_y', 'age_ms'} <= set(names)
    assert clouds[0].width == 3
    words = np.frombuffer(bytes(clouds[0].data), '<u4').reshape(3, -1)
    assert words[:, names.index('id')].tolist() == numbers(first)
    x = words.view('<f4')[:, names.index('x')]
    np.testing.assert_allclose(x, [d.bbox.center.position.x for d in first.detections], rtol=1e-5)
