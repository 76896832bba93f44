# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Detections meet labels one to one, best score first; the counts say what was right."""

from __future__ import annotations

import numpy as np
from sast_ros.evaluation.metrics.matching import count_classes, iou_matrix, match, MatchCounts
from sast_ros.labels import BOX_DTYPE

CLASSES = ('pedestrian', 'two-wheeler', 'car')


def boxes(*rows: tuple[float, ...], t: int = 1_000_000) -> np.ndarray:
    """Make boxes of rows (x, y, w, h, class id, score)."""
    made = np.zeros(len(rows), BOX_DTYPE)
    for box, (x, y, w, h, class_id, score) in zip(made, rows):
        box['t'], box['x'], box['y'], box['w'], box['h'] = t, x, y, w, h
        box['class_id'], box['class_confidence'] = class_id, score
    return made


def test_overlap_is_intersection_over_union() -> None:
    square = boxes((0, 0, 10, 10, 0, 1))
    others = boxes(
        (0, 0, 10, 10, 0, 1),  # the same
        (5, 0, 10, 10, 0, 1),  # half of it
        (2, 2, 5, 5, 0, 1),  # inside
        (10, 0, 10, 10, 0, 1),  # touches
        (0, 0, 0, 0, 0, 1),  # a point
    )
    np.testing.assert_allclose(iou_matrix(square, others), [[1, 50 / 150, 0.25, 0, 0]])
    np.testing.assert_allclose(iou_matrix(others, square), iou_matrix(square, others).T)
    point = boxes((3, 3, 0, 0, 0, 1))
    assert iou_matrix(point, point) == 0


def test_a_detection_matches_a_label_of_its_class_that_it_overlaps_enough() -> None:
    labels = boxes((0, 0, 20, 20, 2, 1), (100, 0, 20, 20, 0, 1))
    found = boxes(
        (101, 0, 20, 20, 0, 0.9),  # the person
        (100, 0, 20, 20, 2, 0.8),  # the person, taken for a car
        (0, 0, 20, 10.1, 2, 0.7),  # half of the car and a little more
    )
    assert match(labels, found).tolist() == [1, -1, 0]
    assert match(labels, found, iou=0.6).tolist() == [1, -1, -1]


def test_half_an_overlap_is_enough() -> None:
    assert match(boxes((0, 0, 20, 20, 2, 1)), boxes((0, 0, 20, 10, 2, 0.7))).tolist() == [0]


def test_the_best_score_chooses_first_and_a_second_box_on_an_object_is_wrong() -> None:
    label = boxes((0, 0, 20, 20, 2, 1))
    found = boxes((0, 0, 20, 20, 2, 0.4), (1, 0, 20, 20, 2, 0.6))
    assert match(label, found).tolist() == [-1, 0]


def test_a_detection_chooses_the_label_that_it_overlaps_most_of_those_left() -> None:
    labels = boxes((0, 0, 20, 20, 2, 1), (4, 0, 20, 20, 2, 1))
    found = boxes((4, 0, 20, 20, 2, 0.5), (4, 0, 20, 20, 2, 0.9))
    assert match(labels, found).tolist() == [0, 1]


def test_of_equal_scores_and_overlaps_the_first_counts() -> None:
    twins = boxes((0, 0, 20, 20, 2, 0.5), (0, 0, 20, 20, 2, 0.5))
    assert match(twins, twins).tolist() == [0, 1]
    assert match(twins[:1], twins).tolist() == [0, -1]


def test_nothing_matches_nothing() -> None:
    some, none = boxes((0, 0, 20, 20, 2, 0.5)), boxes()
    assert match(none, none).tolist() == []
    assert match(some, none).tolist() == []
    assert match(none, some).tolist() == [-1]


def test_no_label_is_matched_twice_and_every_match_is_of_the_class_and_overlaps() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        labels, found = (
            boxes(
                *(
                    (
                        *rng.uniform(0, 40, 2),
                        *rng.uniform(20, 40, 2),
                        rng.integers(2),
                        rng.random(),
                    )
                    for _ in range(rng.integers(8))
                )
            )
            for _ in range(2)
        )
        matched = match(labels, found, 0.4)
        pairs = [(i, j) for i, j in enumerate(matched) if j >= 0]
        assert len({j for _, j in pairs}) == len(pairs)
        table = iou_matrix(found, labels)
        for i, j in pairs:
            assert table[i, j] >= 0.4
            assert found['class_id'][i] == labels['class_id'][j]
        # Whoever is left has no free label that it could have had
        free = np.setdiff1d(np.arange(len(labels)), matched)
        for i in np.flatnonzero(matched < 0):
            same = labels['class_id'][free] == found['class_id'][i]
            assert not (table[i, free] >= 0.4)[same].any()


def test_counts_of_several_frames_add_up_by_class() -> None:
    first = (
        boxes((0, 0, 30, 30, 2, 1), (100, 0, 20, 40, 0, 1)),
        boxes((0, 0, 30, 30, 2, 0.9), (200, 0, 30, 30, 2, 0.5)),
    )
    second = (boxes(), boxes((100, 0, 20, 40, 0, 0.3)))
    matched = [(labels, found, match(labels, found)) for labels, found in (first, second)]
    counts = count_classes(matched, CLASSES)
    assert counts == {
        'pedestrian': MatchCounts(labels=1, detections=1, matches=0),
        'two-wheeler': MatchCounts(labels=0, detections=0, matches=0),
        'car': MatchCounts(labels=1, detections=2, matches=1),
    }
    assert (counts['car'].precision, counts['car'].recall) == (0.5, 1.0)
    assert (counts['pedestrian'].precision, counts['pedestrian'].recall) == (0.0, 0.0)
    assert (counts['two-wheeler'].precision, counts['two-wheeler'].recall) == (None, None)
    assert count_classes([], CLASSES)['car'] == MatchCounts(0, 0, 0)
