# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Mean average precision by the Prophesee protocol, against cases computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sast_ros.evaluation.box_filter import BOXES_1MPX, BOXES_GEN1
from sast_ros.evaluation.metrics.average_precision import mean_average_precision
from sast_ros.evaluation.metrics.coco import coco_metrics
from sast_ros.labels import BOX_DTYPE

CLASSES = ('pedestrian', 'car')
LABEL_DTYPE = np.dtype([*BOX_DTYPE.descr, ('ignored', '?')])


def boxes(*rows, t: int = 1_000_000, dtype=BOX_DTYPE) -> np.ndarray:
    """Rows x, y, w, h, class id and, of detections, the score or, of labels, ignored."""
    made = np.zeros(len(rows), dtype)
    made['t'] = t
    for box, row in zip(made, rows):
        box['x'], box['y'], box['w'], box['h'], box['class_id'] = row[:5]
        if len(row) > 5:
            box['ignored' if dtype is LABEL_DTYPE else 'class_confidence'] = row[5]
    return made


def test_perfect_detections_are_worth_one():
    labels = boxes((10, 10, 40, 40, 0), (100, 50, 60, 30, 1))
    found = boxes((10, 10, 40, 40, 0, 0.9), (100, 50, 60, 30, 1, 0.8))
    result = mean_average_precision([(labels, found)], CLASSES)
    assert (result['ap'], result['ap50'], result['ap75']) == (1, 1, 1)
    assert result['labels'] == {'pedestrian': 1, 'car': 1}
    assert result['images'] == 1


def test_a_box_that_is_a_little_off_counts_up_to_its_overlap():
    labels, found = boxes((0, 0, 100, 100, 0)), boxes((0, 0, 100, 72, 0, 0.9))
    result = mean_average_precision([(labels, found)], CLASSES)
    assert result['ap50'] == 1
    assert result['ap75'] == 0
    assert result['ap'] == pytest.approx(0.5)  # .50, .55, .60, .65, .70 of ten
    assert result['by_class']['car']['ap'] is None


def test_a_better_false_positive_halves_the_precision():
    labels = boxes((0, 0, 50, 50, 0))
    found = boxes((200, 100, 50, 50, 0, 0.9), (0, 0, 50, 50, 0, 0.5))
    assert mean_average_precision([(labels, found)], CLASSES)['ap50'] == pytest.approx(0.5)


def test_a_false_positive_where_nothing_is_counts_too():
    images = [
        (boxes((0, 0, 50, 50, 0)), boxes((0, 0, 50, 50, 0, 0.5))),
        (boxes(), boxes((0, 0, 50, 50, 0, 0.9), t=1_050_000)),
    ]
    result = mean_average_precision(images, CLASSES)
    assert result['images'] == 2
    assert result['ap50'] == pytest.approx(0.5)


def test_the_first_half_second_and_small_boxes_are_left_out():
    labels = boxes((0, 0, 50, 50, 0), (100, 100, 20, 20, 1), (100, 100, 9, 60, 1))
    found = boxes((0, 0, 50, 50, 0, 0.5), (150, 100, 20, 20, 0, 0.9), (20, 100, 9, 60, 0, 0.9))
    early = boxes((0, 0, 50, 50, 0), t=500_000), boxes(t=500_000)
    result = mean_average_precision([early, (labels, found)], CLASSES)
    assert result['labels'] == {'pedestrian': 1, 'car': 0}
    assert result['images'] == 1
    assert result['ap50'] == 1
    assert mean_average_precision([(labels, found)], CLASSES, BOXES_1MPX)['ap'] is not None
    small = boxes((0, 0, 19, 70, 0))
    assert BOXES_GEN1(small).all() and not BOXES_1MPX(small).any()


def test_a_detection_on_an_ignored_label_is_neither_right_nor_wrong():
    labels = boxes((0, 0, 50, 50, 0, False), (100, 0, 80, 80, 0, True), dtype=LABEL_DTYPE)
    found = boxes((100, 0, 80, 80, 0, 0.9), (110, 10, 40, 40, 0, 0.8), (0, 0, 50, 50, 0, 0.7))
    result = mean_average_precision([(labels, found)], CLASSES)
    assert result['ap50'] == 1
    assert result['labels']['pedestrian'] == 1
    another = boxes((100, 0, 80, 80, 1, 0.9), (0, 0, 50, 50, 0, 0.7))
    result = mean_average_precision([(labels, another)], CLASSES)
    assert result['by_class']['pedestrian']['ap50'] == 1


def test_a_detection_on_a_small_ignored_label_is_not_wrong_either():
    labels = boxes((0, 0, 50, 50, 0, False), (200, 100, 20, 20, 0, True), dtype=LABEL_DTYPE)
    found = boxes((0, 0, 50, 50, 0, 0.5), (200, 100, 22, 22, 0, 0.9))
    result = mean_average_precision([(labels, found)], CLASSES)
    assert (result['labels']['pedestrian'], result['ap50']) == (1, 1)


def test_nothing_found_is_worth_nothing_and_nothing_asked_is_unknown():
    labels = boxes((0, 0, 50, 50, 0))
    assert mean_average_precision([(labels, boxes())], CLASSES)['ap'] == 0
    result = mean_average_precision([(boxes(), boxes((0, 0, 50, 50, 0, 0.9)))], CLASSES)
    assert result['ap'] is None
    assert mean_average_precision([], CLASSES)['images'] == 0


def test_without_detections_a_size_without_labels_is_unknown():
    frames = [(boxes((0, 0, 50, 50, 0)), boxes())]
    found = coco_metrics(frames, CLASSES).averages()
    assert (found['AP'], found['AP_medium'], found['AR_100']) == (0, 0, 0)
    assert np.isnan([found['AP_small'], found['AP_large']]).all()
