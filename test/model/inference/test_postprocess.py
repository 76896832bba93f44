# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which of several overlapping boxes stay."""

from __future__ import annotations

import numpy as np
import pytest
from sast_ros.model.inference.postprocess import non_maximum_suppression


def test_lower_box_of_the_same_class_goes_and_of_another_class_stays():
    boxes = np.array(
        [[0, 0, 10, 10], [1, 0, 11, 10], [1, 0, 11, 10], [30, 30, 40, 40]], np.float32
    )
    kept = non_maximum_suppression(
        boxes, np.array([0.5, 0.9, 0.8, 0.7], np.float32), np.array([0, 0, 1, 0]), 0.45
    )
    assert kept.tolist() == [1, 2, 3]


def test_overlap_equal_to_the_threshold_stays():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5]], np.float32)  # IoU exactly 0.5
    assert len(non_maximum_suppression(boxes, np.array([0.9, 0.8]), np.array([0, 0]), 0.5)) == 2
    assert len(non_maximum_suppression(boxes, np.array([0.9, 0.8]), np.array([0, 0]), 0.49)) == 1


def test_equal_scores_keep_their_order_and_nothing_gives_nothing():
    boxes = np.array([[0, 0, 1, 1], [5, 5, 6, 6], [9, 9, 10, 10]], np.float32)
    assert non_maximum_suppression(boxes, np.ones(3), np.zeros(3), 0.5).tolist() == [0, 1, 2]
    assert non_maximum_suppression(np.empty((0, 4)), np.empty(0), np.empty(0), 0.5).tolist() == []


def test_against_the_definition():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 60, (120, 2))
    boxes = np.hstack([corner, corner + rng.uniform(5, 40, (120, 2))]).astype(np.float32)
    scores, classes = rng.permutation(120) / 120, rng.integers(0, 2, 120)
    expected: list[int] = []
    for i in np.argsort(-scores):
        overlaps = []
        for j in expected:
            low, high = (
                np.maximum(boxes[i, :2], boxes[j, :2]),
                np.minimum(boxes[i, 2:], boxes[j, 2:]),
            )
            inside = np.prod(np.maximum(high - low, 0))
            areas = np.prod(boxes[i, 2:] - boxes[i, :2]) + np.prod(boxes[j, 2:] - boxes[j, :2])
            overlaps.append(inside / (areas - inside) if classes[i] == classes[j] else 0)
        if not any(o > 0.45 for o in overlaps):
            expected.append(int(i))
    assert non_maximum_suppression(boxes, scores, classes, 0.45).tolist() == expected


@pytest.mark.parametrize(
    'boxes, scores, classes',
    [
        ((3, 3), (3,), (3,)),
        ((12,), (3,), (3,)),
        ((2, 4), (3,), (3,)),
        ((4, 4), (3,), (3,)),
        ((3, 4), (3,), (2,)),
        ((3, 4), (3,), (3, 1)),
        ((3, 4), (3, 1), (3,)),
    ],
)
def test_arrays_of_other_shapes_are_refused(boxes, scores, classes):
    with pytest.raises(ValueError, match=r'must be \[N, 4\], \[N\] and \[N\]'):
        non_maximum_suppression(np.zeros(boxes), np.zeros(scores), np.zeros(classes), 0.5)
