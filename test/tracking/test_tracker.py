# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Rules of the tracker, on objects whose motion is known."""

from __future__ import annotations

from dataclasses import replace
import itertools
from pathlib import Path
import re
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sast_ros.errors import SettingError
from sast_ros.tracking import Tracker, TrackingSettings
from tracking.windows import HEIGHT, WIDTH, window

SETTINGS = TrackingSettings(
    high_score=0.5, low_score=0.1, min_iou=0.2, max_distance=3, min_hits=2, max_age_ms=500
)


@pytest.fixture
def tracker() -> Tracker:
    return Tracker(SETTINGS)


def at(t_ms: float, x_per_s: float = 60, y_per_s: float = 0, x: float = 40, y: float = 100):
    """Return the box of an object of 20 x 40 pixels with constant velocity."""
    return [x + x_per_s * t_ms / 1000, y + y_per_s * t_ms / 1000, 20, 40]


def ids(tracker: Tracker, *arguments, **options) -> list[int]:
    return tracker.step(window(*arguments, **options)).tolist()


def test_an_object_keeps_the_number_that_its_second_window_gives_it(tracker):
    assert ids(tracker, 0, [at(0)]) == [0]
    assert [ids(tracker, t, [at(t)]) for t in range(50, 1000, 50)] == [[1]] * 19


def test_numbers_follow_the_detections_in_whatever_order(tracker):
    near, far = at(0), at(0, x=200)
    ids(tracker, 0, [near, far])
    assert ids(tracker, 50, [at(50), at(50, x=200)]) == [1, 2]
    assert ids(tracker, 100, [at(100, x=200), at(100)]) == [2, 1]


def test_velocity_is_that_of_the_object(tracker):
    for t in range(0, 1500, 50):
        ids(tracker, t, [at(t, x_per_s=100, y_per_s=-20)])
    (track,) = tracker.tracks()
    assert track['id'] == 1 and track['class_id'] == 0 and track['age_ms'] == 0
    assert track['velocity_x'] == pytest.approx(100, rel=0.02)
    assert track['velocity_y'] == pytest.approx(-20, rel=0.1)
    assert abs(track['velocity_width']) < 1 and abs(track['velocity_height']) < 1
    assert track['x'] == pytest.approx(at(1450, x_per_s=100)[0], abs=1)


def test_an_object_that_comes_nearer_is_known_by_its_size():
    """It grows by 30 % in a second, with the noise of real detections."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(5):
        tracker = Tracker(SETTINGS)
        for t in range(0, 2000, 50):
            height = 40 * np.exp(0.3 * t / 1000)
            noise = random.normal(0, (0.05, 0.03, 0.08, 0.08)) * height / np.sqrt(2)
            ids(tracker, t, [np.array([150, 120, height / 2, height]) + noise])
            if t >= 500:
                (track,) = tracker.tracks()
                found.append(track['velocity_height'] / track['height'] / 0.3)
    ratios = np.array(found)
    assert (ratios > 0).mean() > 0.98
    assert ((ratios > 0.5) & (ratios < 2)).mean() > 0.9


def test_the_example_of_the_page_knows_the_time_to_contact(monkeypatch, capsys):
    page = Path(__file__).resolve().parents[2] / 'docs' / 'how_to' / 'track.md'
    (example,) = re.findall(r'^```python\n(.*?)^```', page.read_text('utf-8'), re.M | re.S)
    # Of a ROS installation
    stub = SimpleNamespace(point_cloud2=SimpleNamespace(read_points=lambda cloud: cloud))
    monkeypatch.setitem(sys.modules, 'sensor_msgs_py', stub)
    names: dict[str, Any] = {}
    exec(compile(example, page.name, 'exec'), names)
    tracker = Tracker(replace(SETTINGS, min_hits=1))
    for t in range(0, 1000, 50):
        height = 40 + 20 * t / 1000  # 59 at the end
        ids(tracker, t, [[60, 100, 20, 40], [200, 120, height / 2, height]])
        with np.errstate(all='raise'):
            names['on_tracks'](tracker.tracks())
        if t == 0:  # nothing is known of a new track
            assert capsys.readouterr().out == ''
    *_, last = capsys.readouterr().out.splitlines()
    number, seconds = re.fullmatch(r'(\d+): contact in (.*) s', last).groups()
    assert number == '2' and float(seconds) == pytest.approx(59 / 20, rel=0.1)


def test_boxes_are_moved_on_by_the_motion_of_their_object():
    tracker = Tracker(replace(SETTINGS, lead_ms=50))
    for t in range(0, 1500, 50):
        moving, resting = at(t, x_per_s=100, y_per_s=-20), [200, 100, 30, 30]
        found = window(t, [moving, resting, [250, 10, 20, 20]], scores=[0.9, 0.9, 0.05])
        numbers = tracker.step(found)
        moved = tracker.lead(found) - found.boxes
        if t == 0:  # no object has a number yet
            assert not moved.any()
    assert numbers.tolist() == [1, 2, 0]
    np.testing.assert_allclose(moved[0], [5, -1, 5, -1], atol=0.1)
    np.testing.assert_allclose(moved[1:], 0, atol=1e-3)
    tracker.settings = SETTINGS
    assert tracker.lead(found) is found.boxes


@pytest.mark.parametrize('axis', [0, 1])
@pytest.mark.parametrize('far', [False, True])
def test_the_edge_at_the_border_stays_when_an_object_enters(axis, far):
    """60 pixels with 200 pixels a second: after 200 ms 40 of them are seen."""
    tracker = Tracker(replace(SETTINGS, lead_ms=100))
    size = np.array([WIDTH, HEIGHT])[axis]
    for t in range(50, 250, 50):
        seen = 200 * t / 1000
        box = [150, 120, 40, 40]
        box[axis], box[2 + axis] = (size - seen / 2 if far else seen / 2), seen
        found = window(t, [box])
        tracker.step(found)
        low, high = tracker.lead(found)[0].reshape(2, 2).T[axis]
    inside, edge = (size - low, size - high) if far else (high, low)
    assert edge == 0 and inside == pytest.approx(60, abs=3)


def test_no_box_is_moved_out_of_the_picture():
    tracker = Tracker(replace(SETTINGS, lead_ms=1000))
    for t in range(0, 1000, 50):
        x = max(280 - 0.25 * t, 0)
        found = window(t, [[x, 100, 20, 40]])
        tracker.step(found)
        x1, y1, x2, y2 = tracker.lead(found)[0]
        assert 0 <= x1 < x2 <= found.width and y2 - y1 == 40
    assert x2 - x1 == 1  # a pixel at the border is left


def test_velocity_carries_a_track_through_a_gap(tracker):
    """400 ms at 120 pixels/s are more than two widths: without it nothing would overlap."""
    for t in range(0, 1000, 50):
        ids(tracker, t, [at(t, x_per_s=120)])
    assert [ids(tracker, t, []) for t in range(1000, 1350, 50)] == [[]] * 7
    (track,) = tracker.tracks()
    assert track['age_ms'] == 350
    assert track['x'] == pytest.approx(at(1300, x_per_s=120)[0], abs=3)
    assert ids(tracker, 1350, [at(1350, x_per_s=120)]) == [1]


def test_a_gap_without_windows_is_the_same_gap(tracker):
    other = Tracker(SETTINGS)
    for t in range(0, 1000, 50):
        ids(tracker, t, [at(t)]), ids(other, t, [at(t)])
    for t in range(1000, 1300, 50):
        ids(other, t, [])
    assert ids(tracker, 1300, [at(1300)]) == ids(other, 1300, [at(1300)]) == [1]
    for name in tracker.tracks().dtype.names:
        np.testing.assert_allclose(tracker.tracks()[name], other.tracks()[name], rtol=1e-3)


def test_irregular_time_steps_give_the_velocity_of_real_time(tracker):
    random = np.random.default_rng(0)
    times = np.cumsum(random.uniform(5, 200, 60))
    found = [ids(tracker, t, [at(t, x_per_s=30)]) for t in times.tolist()]
    assert found == [[0]] + [[1]] * 59
    assert tracker.tracks()['velocity_x'][0] == pytest.approx(30, rel=0.1)


def test_a_track_ends_after_its_maximum_age(tracker):
    for t in range(0, 500, 50):
        ids(tracker, t, [at(0)])
    assert ids(tracker, 950, []) == [] and len(tracker.tracks()) == 1
    assert ids(tracker, 951, []) == [] and len(tracker.tracks()) == 0
    assert ids(tracker, 1000, [at(0)]) == [0]
    assert ids(tracker, 1050, [at(0)]) == [2]


@pytest.mark.parametrize('direction', [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_a_track_ends_when_it_has_left_the_picture(tracker, direction):
    size, way, half = np.array([WIDTH, HEIGHT]), np.array(direction), 15
    lost = 0
    for t in range(0, 2000, 50):
        centre = size / 2 + way * 200 * t / 1000
        low, high = np.maximum(centre - half, 0), np.minimum(centre + half, size)
        seen = (high - low).min() >= 10
        ids(tracker, t, [[*((low + high) / 2), *(high - low)]] if seen else [])
        lost += not seen
        for track in tracker.tracks():
            centre = np.array([track['x'], track['y']])
            halves = np.array([track['width'], track['height']]) / 2
            assert (centre + halves > 0).all() and (centre - halves < size).all()
        if seen or lost == 10:
            assert len(tracker.tracks()) == (seen and t > 0)


@pytest.mark.parametrize('hole', [600, 10_000])
@pytest.mark.parametrize('windows', [1, 10])
@pytest.mark.parametrize('reset', [False, True])
def test_a_track_does_not_outlive_a_hole_in_the_windows(hole, windows, reset):
    tracker = Tracker(replace(SETTINGS, min_hits=1))
    if reset:
        ids(tracker, 0, [at(0)])
        tracker.reset()
    begin = 60_000
    found = [ids(tracker, begin + 50 * i, [at(0)]) for i in range(windows)]
    assert found == [[1 + reset]] * windows
    assert ids(tracker, begin + 50 * (windows - 1) + hole, [at(0)]) == [2 + reset]
    assert tracker.tracks()['id'].tolist() == [2 + reset]


@pytest.mark.parametrize('windows', [True, False])
@pytest.mark.parametrize(('sides', 'number'), [(0, 1), (0.5, 1), (2, 0), (5, 0)])
def test_a_stranger_does_not_get_the_number_of_an_object_that_rested(sides, number, windows):
    tracker = Tracker(replace(SETTINGS, max_age_ms=3000))
    for t in range(0, 1000, 50):
        ids(tracker, t, [[40, 100, 30, 30]])
    for t in range(1000, 3000, 50) if windows else ():
        ids(tracker, t, [])
    assert ids(tracker, 3000, [[40 + 30 * sides, 100, 30, 30]]) == [number]


def test_an_object_that_stopped_is_found_where_it_stopped():
    tracker = Tracker(replace(SETTINGS, max_age_ms=3000))
    for t in range(0, 1000, 50):
        ids(tracker, t, [at(t)])
    for t in range(1000, 3000, 50):
        ids(tracker, t, [])
    (track,) = tracker.tracks()
    assert track['x'] == pytest.approx(at(1450)[0], abs=1) and track['velocity_x'] == 0
    assert ids(tracker, 3000, [at(950)]) == [1]


@pytest.mark.parametrize('growth', [-60, 60])
def test_the_size_of_a_lost_object_does_not_run_away(tracker, growth):
    for t in range(0, 500, 50):
        size = 60 + growth * t / 1000
        ids(tracker, t, [[150, 100, size, size]])
    for t in range(500, 1000, 50):
        ids(tracker, t, [])
    (track,) = tracker.tracks()
    assert 0.6 < track['width'] / size < 1.5 and track['velocity_width'] == 0
    assert ids(tracker, 950, [[150, 100, size, size]]) == [1]


def test_without_an_age_a_track_lasts_from_each_window_to_the_next():
    tracker = Tracker(replace(SETTINGS, max_age_ms=0.0))
    found = [ids(tracker, t, [at(t)]) for t in (0, 50, 100, 150)]
    assert found == [[0], [0], [1], [1]]  # what a stride is, the second window tells
    assert ids(tracker, 200, []) == [] and ids(tracker, 250, [at(250)]) == [0]


def test_objects_that_cross_keep_their_numbers(tracker):
    """They meet in the middle and overlap wholly; only the velocities tell them apart."""
    for t in range(0, 2050, 50):
        right, left = at(t, x_per_s=60), at(t, x_per_s=-60, x=160)
        found = ids(tracker, t, [left, right] if t % 100 else [right, left])
        if t > 0:
            assert found == ([2, 1] if t % 100 else [1, 2]), t


def test_low_scores_continue_a_track_and_begin_none(tracker):
    for t in range(0, 300, 50):
        ids(tracker, t, [at(t)])
    for t in range(300, 900, 50):
        assert ids(tracker, t, [at(t), at(t, x=250)], [0.15, 0.45]) == [1, 0]
    assert ids(tracker, 900, [at(900)], [0.05]) == [0]


def test_high_scores_choose_first(tracker):
    """A low score that fits better does not take the track of a high one."""
    for t in range(0, 300, 50):
        ids(tracker, t, [at(0)])
    box = at(0)
    shifted = [box[0] + 4, *box[1:]]
    assert ids(tracker, 300, [shifted, box], [0.9, 0.2]) == [1, 0]


def test_a_track_without_a_number_chooses_last(tracker):
    """A second box of an object, seen once, does not take the object from its track."""
    for t in range(0, 500, 50):
        ids(tracker, t, [[100, 100, 40, 40]])
    assert ids(tracker, 500, [[100, 100, 40, 40], [118, 100, 40, 40]]) == [1, 0]
    assert ids(tracker, 550, [[113, 100, 40, 40]]) == [1]


def test_one_good_pair_is_better_than_two_poor_ones(tracker):
    """Of two neighbours one is missed, and a new one appears: not both numbers move on."""
    for t in range(0, 500, 50):
        ids(tracker, t, [[100, 100, 20, 40], [111, 100, 20, 40]])
    assert ids(tracker, 500, [[103, 100, 20, 40], [92, 100, 20, 40]]) == [1, 0]


def test_a_track_has_one_class(tracker):
    for t in range(0, 300, 50):
        ids(tracker, t, [at(t), at(t)], class_ids=[0, 2])
    assert ids(tracker, 300, [at(300), at(300)], class_ids=[2, 0]) == [2, 1]
    assert ids(tracker, 350, [at(350)], class_ids=[1]) == [0]


def test_what_is_seen_once_has_no_number(tracker):
    assert ids(tracker, 0, [at(0)]) == [0]
    assert ids(tracker, 50, []) == []
    assert ids(tracker, 100, [at(100)]) == [0]
    assert ids(tracker, 150, [at(150)]) == [1]


def test_min_hits_of_one_gives_a_number_at_once():
    tracker = Tracker(replace(SETTINGS, min_hits=1))
    assert ids(tracker, 0, [at(0), at(0, x=200)]) == [1, 2]


def test_a_small_fast_object_is_followed_without_overlap():
    """Without an overlap the distance decides; 0 forbids that."""
    small = [[40 + 9 * step, 100, 8, 8] for step in range(4)]  # 45 pixels a second
    for distance, expected in ((3, [[0], [1], [1], [1]]), (0, [[0], [0], [0], [0]])):
        tracker = Tracker(replace(SETTINGS, max_distance=distance))
        assert [ids(tracker, 200 * i, [box]) for i, box in enumerate(small)] == expected


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        ({'t_end': None}, 't_end'),
        ({'boxes': np.array([[0, 0, 9, 9], [0, 0, np.nan, 9]], np.float32)}, 'box 1 .*nan'),
        ({'boxes': np.array([[0, 0, np.inf, 9], [0, 0, 9, 9]], np.float32)}, 'box 0 .*inf'),
    ],
)
def test_what_cannot_be_tracked_is_refused_and_costs_no_track(tracker, change, named):
    boxes = [at(0), at(0, x=200)]
    before = [ids(tracker, t, boxes) for t in (0, 50)][-1]
    with pytest.raises(SettingError, match=named):
        tracker.step(replace(window(100, boxes), **change))
    assert ids(tracker, 150, boxes) == before == [1, 2]


def test_numbers_go_on_after_a_reset(tracker):
    for t in (0, 50):
        ids(tracker, t, [at(t)])
    tracker.reset()
    assert len(tracker.tracks()) == 0
    assert ids(tracker, 10, [at(0)]) == [0]  # time may have jumped back
    assert ids(tracker, 60, [at(50)]) == [2]


def test_two_trackers_may_share_the_source_of_numbers():
    numbers = itertools.count(1)
    found = []
    for tracker in (Tracker(SETTINGS, numbers), Tracker(SETTINGS, numbers)):
        found += [ids(tracker, t, [at(t)]) for t in (0, 50)]
    assert found == [[0], [1], [0], [2]]


def test_settings_change_between_two_windows(tracker):
    for t in (0, 50):
        ids(tracker, t, [at(t)])
    tracker.settings = replace(SETTINGS, max_age_ms=100, min_hits=1)
    assert ids(tracker, 100, [at(100), at(100, x=200)]) == [1, 2]
    ids(tracker, 201, [])
    assert len(tracker.tracks()) == 0


def test_the_same_windows_give_the_same_numbers():
    def crowd(seed: int) -> list[list[int]]:
        random = np.random.default_rng(seed)
        tracker, found = Tracker(SETTINGS), []
        centres = random.uniform(0, 300, (30, 2))
        for step in range(40):
            seen = random.random(30) < 0.8
            boxes = np.hstack([centres + random.normal(0, 3, (30, 2)), np.full((30, 2), 30)])
            scores = random.random(30)
            found.append(ids(tracker, 50 * step, boxes[seen], scores[seen]))
        return found

    assert crowd(0) == crowd(0) != crowd(1)


def test_a_number_is_never_at_two_boxes_and_never_comes_back():
    """Random boxes for a long time; the tracks of the tracker are those that it has numbered."""
    random = np.random.default_rng(5)
    tracker, ended, before = Tracker(SETTINGS), set(), set()
    for step in range(300):
        count = int(random.integers(0, 12))
        boxes = np.hstack([random.uniform(0, 240, (count, 2)), random.uniform(1, 90, (count, 2))])
        numbers = ids(tracker, 40 * step, boxes, random.random(count))
        given = [number for number in numbers if number]
        alive = set(tracker.tracks()['id'].tolist())
        assert len(set(given)) == len(given) and set(given) <= alive
        ended |= before - alive
        assert not ended & alive
        before = alive
        for name in tracker.tracks().dtype.names:
            assert np.isfinite(tracker.tracks()[name]).all()
    assert len(ended) > 20
