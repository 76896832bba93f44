# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Metrics of tracks, on cases whose results follow from their definitions."""

from __future__ import annotations

from math import sqrt
import re

from facts import facts
import numpy as np
import pytest
from sast_ros.evaluation.metrics.matching import match_recording, MatchedRecording
from sast_ros.evaluation.metrics.tracking import tracking_metrics, tracking_warnings
from sast_ros.evaluation.pairing import Frame, PairedRecording
from sast_ros.labels import BOX_DTYPE

CLASSES = ('pedestrian', 'car')

#: Boxes of 20 x 20 pixels by the place that a case names.
PLACES = {'a': 0, 'b': 50, 'c': 100, 'd': 150}


def rows(text: str, t: int, class_id: int = 0) -> np.ndarray:
    """Return boxes of ``'a1 b2'``: track 1 at place a, track 2 at b; ``'a1+5'``: 5 px aside."""
    words = text.split()
    boxes = np.zeros(len(words), BOX_DTYPE)
    for box, word in zip(boxes, words):
        place, _, shift = word.partition('+')
        box['x'], box['track_id'] = PLACES[place[0]] + float(shift or 0), int(place[1:])
    boxes['t'], boxes['w'], boxes['h'] = t, 20, 20
    boxes['class_id'], boxes['class_confidence'] = class_id, 0.9
    return boxes


def recording(*frames: tuple[str, str], class_id: int = 0) -> MatchedRecording:
    """Return a recording of pairs of labels and detections."""
    paired = tuple(
        Frame(t, rows(labels, t, class_id), rows(found, t, class_id))
        for t, (labels, found) in enumerate(frames)
    )
    return match_recording(PairedRecording('one', CLASSES, paired, np.zeros(0, BOX_DTYPE), 0))


def metrics(*frames: tuple[str, str]) -> dict:
    return tracking_metrics([recording(*frames)], CLASSES)


def test_perfect_tracks():
    found = metrics(*[('a1 b2', 'b7 a9')] * 5)
    for name in ('IDF1', 'HOTA', 'DetA', 'AssA', 'MOTA'):
        assert found[name] == pytest.approx(1), name
    assert (found['id_switches'], found['objects'], found['tracks']) == (0, 2, 2)
    assert found['per_class']['car']['IDF1'] is None
    assert found['per_class']['pedestrian']['IDF1'] == 1


def test_a_number_that_changes_in_the_middle():
    """10 boxes, all found: 5 belong to the best track; each match is half associated."""
    found = metrics(*[('a1', 'a1')] * 5, *[('a1', 'a2')] * 5)
    assert found['id_switches'] == 1
    assert found['MOTA'] == pytest.approx(1 - 1 / 10)
    assert found['IDF1'] == pytest.approx(2 * 5 / 20) and found['F1'] == 1
    assert found['DetA'] == pytest.approx(1)
    assert found['AssA'] == pytest.approx(5 / 10)
    assert found['HOTA'] == pytest.approx(sqrt(0.5))


def test_a_late_change_costs_less():
    found = metrics(*[('a1', 'a1')] * 9, ('a1', 'a2'))
    assert found['IDF1'] == pytest.approx(2 * 9 / 20)
    assert found['AssA'] == pytest.approx((9 * 9 / 10 + 1 / 10) / 10)


def test_missed_and_false_boxes():
    """4 of 8 labels found, 2 false ones: TP 4, FN 4, FP 2."""
    found = metrics(*[('a1', 'a1')] * 4, *[('a1', '')] * 2, *[('a1', 'd5')] * 2)
    assert found['DetA'] == pytest.approx(4 / 10)
    assert found['AssA'] == pytest.approx(4 / 8)
    assert found['HOTA'] == pytest.approx(sqrt(0.2))
    assert found['MOTA'] == pytest.approx(1 - 6 / 8)
    assert found['IDF1'] == found['F1'] == pytest.approx(2 * 4 / (8 + 6))
    assert found['id_switches'] == 0


def test_two_objects_that_exchange_their_numbers():
    found = metrics(*[('a1 b2', 'a1 b2')] * 6, *[('a1 b2', 'a2 b1')] * 2)
    assert found['id_switches'] == 2
    assert found['IDF1'] == pytest.approx(12 / 16)
    # Each of 16 matches: pairs of 6 with a union of 10, pairs of 2 with one of 14
    assert found['AssA'] == pytest.approx((12 * 6 / 10 + 4 * 2 / 14) / 16)


def test_boxes_aside_match_up_to_their_overlap():
    """5 of 20 pixels aside are an IoU of 0.6: 12 of the 19 thresholds (.05 to .60)."""
    found = metrics(*[('a1', 'a1+5')] * 4)
    assert found['IDF1'] == 1
    assert found['HOTA'] == found['DetA'] == found['AssA'] == pytest.approx(12 / 19)


def test_an_object_keeps_its_track_beside_a_better_box():
    """Track 1 still overlaps enough; that another one overlaps more is no switch."""
    frames = [('a1', 'a1')] * 3 + [('a1', 'a1+5 a2')] * 3
    assert metrics(*frames)['id_switches'] == 0


def test_a_gap_is_no_switch_but_another_number_after_it_is():
    frames = [('a1', 'a1')] * 2, [('a1', '')] * 2
    assert metrics(*frames[0], *frames[1], *frames[0])['id_switches'] == 0
    assert metrics(*frames[0], *frames[1], ('a1', 'a2'), ('a1', 'a2'))['id_switches'] == 1


def test_detections_without_a_track_do_not_count():
    found = metrics(*[('a1', 'a1 c0 d0')] * 4)
    assert found['detections'] == 4 and found['MOTA'] == 1


def test_sums_are_taken_over_recordings_and_classes():
    whole = recording(*[('a1', 'a1')] * 4)
    half = recording(*[('a1', 'a1')] * 2, *[('a1', 'a2')] * 2, class_id=1)
    found = tracking_metrics([whole, half], CLASSES)
    assert found['recordings'] == 2
    assert found['IDF1'] == pytest.approx(2 * (4 + 2) / 16)
    assert found['AssA'] == pytest.approx((4 + 4 * 0.5) / 8)
    assert found['per_class']['car']['IDF1'] == pytest.approx(0.5)
    assert found['objects'] == 2 and found['tracks'] == 3


@pytest.mark.parametrize(
    'frames',
    [
        [('a1', 'a0')] * 3,  # nothing is tracked
        [('a1', 'a1'), ('a2', 'a1'), ('a3', 'a1')],  # labels without tracks, numbered each
        [('a0 b0', 'a1 b2')] * 3,  # labels without numbers
        [('a1', 'a1'), ('a1', 'a2'), ('a1', 'a3')],  # boxes of a file without track_id
    ],
)
def test_without_tracks_there_are_no_metrics(frames):
    assert metrics(*frames) is None
    assert tracking_metrics([], CLASSES) is None


def test_a_window_that_several_frames_share_is_no_track():
    found = rows('a1', 0)
    frames = tuple(Frame(t, rows('a1', t), found, t_end=0) for t in range(3))
    shared = PairedRecording('one', CLASSES, frames, np.zeros(0, BOX_DTYPE), 0)
    assert tracking_metrics([match_recording(shared)], CLASSES) is None


def test_frames_that_pool_windows_have_no_metrics():
    frames = tuple(
        Frame(t, rows('a1', t), np.concatenate([rows('a1', t - 1), rows('a1', t)]))
        for t in range(4)
    )
    pooled = PairedRecording('one', CLASSES, frames, np.zeros(0, BOX_DTYPE), 0)
    assert tracking_metrics([match_recording(pooled)], CLASSES) is None
    assert tracking_warnings([pooled]) == []


def test_a_number_is_one_of_its_class():
    frames = tuple(
        Frame(t, *(np.concatenate([rows(one, t), rows(two, t, 1)]) for one, two in sides))
        for t, sides in enumerate([(('a7', 'b7'), ('a1', 'b1'))] * 3)
    )
    both = PairedRecording('one', CLASSES, frames, np.zeros(0, BOX_DTYPE), 0)
    found = tracking_metrics([match_recording(both)], CLASSES)
    assert found['IDF1'] == 1 and found['objects'] == found['tracks'] == 2
    assert tracking_warnings([both]) == []


def test_labels_that_share_a_number_are_an_object_each():
    one = recording(*[('a7 b8', 'a1 b2')] * 9, ('a7 b7', 'a1 b2'))
    found = tracking_metrics([one], CLASSES)
    assert found['F1'] == 1 and found['IDF1'] == pytest.approx(2 * 18 / 40)
    assert (found['objects'], found['labels'], found['id_switches']) == (4, 20, 0)
    (warning,) = tracking_warnings([one.recording])
    assert re.search(facts('one', '2 labels', 'track_id', 7, '0.000 s'), warning)


def test_detections_that_share_a_number_do_not_count():
    one = recording(*[('a7 b8', 'a1 b2')] * 9, ('a7 b8', 'a1 b1'))
    whole = recording(*[('a7 b8', 'a1 b2')] * 9, ('a7 b8', ''))
    assert tracking_metrics([one], CLASSES) == tracking_metrics([whole], CLASSES)
    (warning,) = tracking_warnings([one.recording])
    assert re.search(facts('one', '2 detections', 'track_id', 1, '0.000 s'), warning)


def test_one_shared_number_leaves_no_recording_out():
    whole = recording(*[('a7 b8', 'a1 b2')] * 9)
    for last in (('a7 b7', 'a1 b2'), ('a7 b8', 'a1 b1')):
        one = recording(*[('a7 b8', 'a1 b2')] * 9, last)
        assert tracking_metrics([whole, one], CLASSES)['recordings'] == 2


def test_numbers_that_are_always_shared_are_no_tracks_and_said():
    one = recording(*[('a1 b1', 'a1 b2')] * 4)
    assert tracking_metrics([one], CLASSES) is None
    (warning,) = tracking_warnings([one.recording])
    assert re.search(facts('8 labels'), warning)


def test_recordings_without_numbers_are_left_out():
    tracked = recording(*[('a1', 'a1')] * 4)
    numbered = recording(*[('a0 b0', 'a1 b2')] * 3)
    assert tracking_metrics([tracked, numbered], CLASSES)['labels'] == 4


def test_tracks_in_a_recording_without_labels_are_false():
    tracked, empty = recording(*[('a1', 'a1')] * 4), recording(*[('', 'b1')] * 4)
    found = tracking_metrics([tracked, empty], CLASSES)
    assert found['IDF1'] == found['F1'] == pytest.approx(8 / 12)
    assert found['MOTA'] == 0 and found['recordings'] == 2
