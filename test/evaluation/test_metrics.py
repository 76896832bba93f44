# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Metrics beside the average precision, on cases worked out by hand."""

from __future__ import annotations

import json
import re

from facts import facts
import numpy as np
import pytest
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.metrics.breakdown import by_event_rate, by_speed
from sast_ros.evaluation.metrics.calibration import score_calibration, ScoredDetections
from sast_ros.evaluation.metrics.latency import latency
from sast_ros.evaluation.metrics.matching import match_recording, MatchedRecording
from sast_ros.evaluation.metrics.operating_point import false_positives, operating_point
from sast_ros.evaluation.metrics.summary import compute_metrics
from sast_ros.evaluation.pairing import Frame, PairedRecording
from sast_ros.labels import BOX_DTYPE

CLASSES = ('car', 'pedestrian')


def boxes(*rows) -> np.ndarray:
    """Rows x, class id, score, track id; 40 x 50 pixels each."""
    made = np.zeros(len(rows), BOX_DTYPE)
    made['y'], made['w'], made['h'] = 20, 40, 50
    for box, row in zip(made, rows):
        box['x'], box['class_id'], box['class_confidence'], box['track_id'] = row
    return made


def recording(*pairs, name='a', free=(), free_us=0, left_out=None) -> PairedRecording:
    """Pairs t in seconds, labels (x, class, track), detections (x, class, score), events/s."""
    made = []
    for t, labels, found, *events in pairs:
        truth = boxes(*((x, c, 1, track) for x, c, track in labels))
        seen = boxes(*((x, c, score, 0) for x, c, score in found))
        made.append(Frame(round(t * 1e6), truth, seen, *events))
    return PairedRecording(name, CLASSES, tuple(made), boxes(*free), free_us, left_out or {})


def matched(*recordings: PairedRecording) -> list[MatchedRecording]:
    return [match_recording(one) for one in recordings]


def test_precision_and_recall_at_the_operating_score():
    one = recording(
        (1, [(10, 0, 1), (100, 1, 2)], [(10, 0, 0.9), (100, 1, 0.29), (200, 0, 0.5)]),
        (2, [(10, 0, 1)], [(12, 0, 0.3)]),
    )
    point = operating_point(matched(one), CLASSES)
    assert (point['labels'], point['detections'], point['matches']) == (3, 3, 2)
    assert point['per_class']['car']['precision'] == pytest.approx(2 / 3)
    assert point['per_class']['pedestrian'] == {
        'labels': 1,
        'detections': 0,
        'matches': 0,
        'precision': None,
        'recall': 0,
    }


def test_false_positives_per_minute():
    free = [(0, 0, 0.9, 0), (50, 0, 0.29, 0), (90, 1, 0.3, 0)]
    result = false_positives([recording(free=free, free_us=30_000_000)], CLASSES)
    assert result['minutes_without_labels'] == 0.5
    assert result['per_minute'] == 4
    assert result['per_class'] == {'car': 2, 'pedestrian': 2}
    assert false_positives([recording()], CLASSES)['per_minute'] is None


def test_latency_is_from_the_first_label_to_the_first_detection():
    sights = [
        (1.0, [(10, 0, 1)], []),
        (1.1, [(10, 0, 1), (100, 0, 2)], [(10, 0, 0.9)]),
        (1.2, [(10, 0, 1), (100, 0, 2), (200, 0, 3)], [(100, 0, 0.2)]),
        (1.3, [(100, 0, 2), (200, 0, 3)], [(100, 0, 0.8)]),
    ]
    result = latency(matched(recording(*sights)))
    # Track 1 was there at the start, track 2 is found after 0.2 s, track 3 never
    assert result['tracks'] == 2
    assert result['never_found'] == 1
    assert result['waits_ms'] == [200]
    twice = latency(matched(recording(*sights), recording(*sights, name='b')))
    assert twice['tracks'] == 4  # track 2 of another recording is another object


def test_a_number_is_an_object_of_its_class():
    """Number 1 is a car that stands and is found late, and a pedestrian who moves."""
    pairs = [(1, [], [])] + [
        (t / 10, [(200, 0, 1), (10 * t, 1, 1)], [(200, 0, 0.9 * (t > 15)), (10 * t, 1, 0.9)])
        for t in range(11, 19)
    ]
    one = recording(*pairs)
    assert latency(matched(one))['waits_ms'] == [0, 500]
    assert [row['labels'] for row in by_speed([one], CLASSES)] == [8, 0, 8]


def test_calibration_compares_scores_with_shares():
    pairs = [(t, [(10, 0, 1)], [(10 if t % 2 else 200, 0, 0.85)]) for t in range(1, 11)]
    result = score_calibration(ScoredDetections.of(matched(recording(*pairs))[0].frames))
    assert result['bins'][8]['detections'] == 10
    assert result['bins'][8]['precision'] == 0.5
    assert result['expected_error'] == pytest.approx(0.35)
    assert score_calibration(ScoredDetections.of([]))['expected_error'] is None


def test_windows_of_few_and_of_many_events():
    pairs = [(t, [(10, 0, 1)], [(10 if t < 3 else 200, 0, 0.9)], t * 1e6) for t in range(1, 7)]
    rows = by_event_rate(recording(*pairs).frames, CLASSES)
    assert [row['images'] for row in rows] == [2, 2, 2]
    assert [row['AP50'] for row in rows] == [1, 0, 0]
    unknown = [(1, [(10, 0, 1)], [])]
    assert by_event_rate(recording(*unknown).frames, CLASSES) == []


def test_objects_that_stand_and_objects_that_move():
    """A standing car that is never found, and one of 100 pixels a second that always is."""
    pairs = [(t / 10, [(200, 0, 1), (10 * t, 0, 2)], [(10 * t, 0, 0.9)]) for t in range(5, 12)]
    rows = by_speed([recording(*pairs)], CLASSES)
    assert {row['name']: (row['labels'], row['AP50']) for row in rows} == {
        'standing': (7, 0),
        'slow': (0, pytest.approx(float('nan'), nan_ok=True)),
        'fast': (7, 1),
    }


class TestComputeMetrics:
    """All metrics together."""

    def test_several_recordings_are_one(self):
        a = recording((1, [(10, 0, 1)], [(10, 0, 0.9)]), name='a', left_out={'bus': 2})
        b = recording((1, [(10, 0, 1)], [(200, 0, 0.95)]), name='b', left_out={'bus': 1})
        result = compute_metrics([b, a])
        assert result == compute_metrics([a, b])
        assert result['AP50'] == pytest.approx(0.5 * 51 / 101)
        assert result['per_class']['pedestrian']['AP'] is None
        assert result['labels_left_out'] == {'bus': 3}
        assert [r['name'] for r in result['recordings']] == ['a', 'b']
        assert result['AP_medium'] == pytest.approx(0.5 * 51 / 101)
        assert result['AP_small'] is None
        assert result['AR_100'] == pytest.approx(0.5)
        assert result['per_class']['car']['curve']['precision'][0] == 0.5
        json.dumps(result, allow_nan=False)

    def test_a_shared_number_is_a_warning(self):
        labels = [(10, 0, 7), (100, 0, 7)]
        result = compute_metrics([recording((1, labels, [(10, 0, 0.9)]))])
        (warning,) = result['label_warnings']
        assert re.search(facts('a', '2 labels', 7, '1.000 s'), warning)

    def test_nothing_to_evaluate(self):
        with pytest.raises(EvaluationError, match='no recording'):
            compute_metrics([])
        with pytest.raises(EvaluationError, match='no label is evaluated'):
            compute_metrics([recording((1, [], [(10, 0, 0.9)]))])

    def test_recordings_with_other_classes_are_not_mixed(self):
        other = PairedRecording('b', ('bear',), (), boxes(), 0)
        with pytest.raises(EvaluationError, match='b has the classes bear, a has car, pedestrian'):
            compute_metrics([recording((1, [(10, 0, 1)], [])), other])
