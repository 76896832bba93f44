# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which errors a person is shown first, on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sast_ros.evaluation.metrics.error_analysis import worst_false_positives, worst_missed
from sast_ros.evaluation.metrics.matching import match_recording
from sast_ros.evaluation.pairing import Frame, PairedRecording
from sast_ros.labels import BOX_DTYPE

CLASSES = ('car', 'pedestrian')


def boxes(t: int, rows) -> np.ndarray:
    """Rows x, class, score, track and, if not 40, width; all are 50 pixels high."""
    made = np.zeros(len(rows), BOX_DTYPE)
    made['t'], made['y'], made['w'], made['h'] = t, 20, 40, 50
    for box, (x, class_id, score, track, *width) in zip(made, rows):
        box['x'], box['class_id'], box['class_confidence'], box['track_id'] = (
            x, class_id, score, track,
        )  # fmt: skip
        if width:
            box['w'] = width[0]
    return made


def recording(*pairs, name='a', free=()) -> PairedRecording:
    """Pairs t in seconds, labels (x, class, track[, width]), detections (x, class, score)."""
    made = []
    for seconds, labels, found in pairs:
        t = round(seconds * 1e6)
        truth = boxes(t, [(x, c, 1, track, *width) for x, c, track, *width in labels])
        seen = boxes(t, [(x, c, score, 0) for x, c, score in found])
        made.append(Frame(t, truth, seen, t_end=t))
    rest = [boxes(round(t * 1e6), [(x, c, score, 0)]) for t, x, c, score in free]
    return PairedRecording(
        name, CLASSES, tuple(made), np.concatenate([boxes(0, []), *rest]), 1_000_000
    )


def misses(*recordings, most=12):
    return worst_missed([match_recording(one) for one in recordings], most)


def false_positives(*recordings, most=12):
    return worst_false_positives([match_recording(one) for one in recordings], most)


def test_an_object_is_one_miss_however_often_it_is_missed():
    times = np.arange(10, 20) / 10
    one = recording(*((t, [(10, 0, 1), (200, 1, 2)], [(200, 1, 0.9)]) for t in times))
    (miss,), count = misses(one)
    assert count == 1
    assert (miss.name, miss.duration_us) == ('car', 1_000_000)
    assert miss.weight == pytest.approx(np.sqrt(40 * 50))


def test_time_and_size_make_a_miss_worse():
    long = recording(*((t / 10, [(10, 0, 1)], []) for t in range(10, 30)), name='long')
    short = recording(*((t / 10, [(10, 0, 1)], []) for t in range(10, 12)), name='short')
    large = recording(*((t / 10, [(10, 0, 1, 200)], []) for t in range(10, 30)), name='large')
    worst, count = misses(short, long, large, most=2)
    assert [one.recording for one in worst] == ['large', 'long']
    assert count == 3


def test_a_miss_is_shown_where_it_was_largest():
    sights = [(t / 10, [(10, 0, 1, 40 + t)], []) for t in (10, 12, 11)]
    (miss,), _ = misses(recording(*sorted(sights)))
    assert miss.t_end == 1_200_000
    assert miss.box['w'] == 52


def test_a_gap_between_labels_is_not_time_in_which_an_object_was_missed():
    times = (1.0, 1.1, 1.2, 61.2)
    (miss,), _ = misses(recording(*((t, [(10, 0, 1)], []) for t in times)))
    assert miss.duration_us == 100_000 + 100_000 + 200_000 + 100_000


def test_labels_without_tracks_do_not_fill_the_page():
    """Files without track ids give every box an id of its own."""
    one = recording(*((t / 10, [(10, 0, t)], []) for t in range(10, 15)))
    worst, count = misses(one)
    assert (len(worst), count) == (1, 5)


@pytest.mark.parametrize(
    ('found', 'expected'),
    [
        ([], 'no detection nearby'),
        ([(12, 0, 0.2)], 'score below the threshold: 0.20'),
        ([(12, 0, 0.05)], 'no detection nearby'),
        ([(12, 1, 0.8)], 'classified as pedestrian (0.80)'),
        ([(30, 0, 0.8)], 'box not accurate enough: IoU 0.33'),
    ],
)
def test_a_miss_has_a_reason(found, expected):
    (miss,), _ = misses(recording((1, [(10, 0, 1)], found)))
    assert miss.reason == expected


def test_a_miss_behind_another_object_is_told():
    """The one box there is stands for the other car."""
    (miss,), _ = misses(recording((1, [(10, 0, 1), (18, 0, 2)], [(10, 0, 0.9)])))
    assert miss.box['x'] == 18
    assert miss.reason == 'only another object (car) at this place was detected'


def test_a_box_that_stays_is_one_false_positive_with_its_best_score():
    scores = (0.4, 0.8, 0.5)
    one = recording(*((1 + t / 10, [(200, 0, 1)], [(10 + t, 0, s)]) for t, s in enumerate(scores)))
    (false_positive,), count = false_positives(one)
    assert count == 1
    assert false_positive.weight == pytest.approx(0.8)
    assert false_positive.t_end == 1_100_000
    assert false_positive.duration_us == 300_000
    assert false_positive.reason == 'no label nearby'


def test_false_positives_of_other_places_and_later_times_are_others():
    one = recording(
        (1, [(200, 0, 1)], [(10, 0, 0.6), (100, 0, 0.5), (200, 0, 0.9)]),
        (4, [(200, 0, 1)], [(10, 0, 0.7), (50, 0, 0.29)]),
    )
    worst, count = false_positives(one)
    assert count == 3
    assert [round(one.weight, 2) for one in worst] == [0.7, 0.6, 0.5]


def test_boxes_in_intervals_without_labels_are_false_positives():
    one = recording((1, [(10, 0, 1)], [(10, 0, 0.9)]), free=[(5, 60, 1, 0.6), (5.1, 60, 1, 0.2)])
    (false_positive,), _ = false_positives(one)
    assert (false_positive.name, false_positive.t_end) == ('pedestrian', 5_000_000)
    assert false_positive.reason == 'in an interval without labels'


@pytest.mark.parametrize(
    ('found', 'expected'),
    [
        ([(10, 0, 0.9), (14, 0, 0.8)], 'duplicate of a car'),
        ([(12, 1, 0.8)], 'a car is labelled there'),
        ([(30, 0, 0.8)], 'near a car, box not accurate enough: IoU 0.33'),
    ],
)
def test_a_false_positive_has_a_reason(found, expected):
    (false_positive,), _ = false_positives(recording((1, [(10, 0, 1)], found)))
    assert false_positive.reason == expected
