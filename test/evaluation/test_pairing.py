# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which detections a label is compared with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sast_ros.bags.detections import WINDOW_DTYPE
from sast_ros.evaluation.box_filter import BOXES_GEN1
from sast_ros.evaluation.detections import LiveRun, RecordedDetections
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.labels import Labels
from sast_ros.evaluation.metrics.summary import compute_metrics
from sast_ros.evaluation.pairing import clip_labels, pair_last_window, pair_pooled
from sast_ros.labels import BOX_DTYPE

STEP = 50_000


def boxes(times, classes=0, score=0.9, x=10.0) -> np.ndarray:
    made = np.zeros(len(times), BOX_DTYPE)
    made['t'], made['x'], made['y'], made['w'], made['h'] = times, x, 20, 40, 50
    made['class_id'], made['class_confidence'] = classes, score
    return made


def labels(times, classes=('car',), looked_at=None, **options) -> Labels:
    """Make labels at ``times``; without ``looked_at`` no other times are known."""
    annotated = np.unique(times if looked_at is None else looked_at)
    listed = looked_at is not None
    return Labels(Path('labels'), boxes(times, **options), annotated, classes, listed=listed)


def detected(times, windows=None, classes=('car',), **options) -> RecordedDetections:
    """Make detections at ``times``, and windows that end at ``windows``."""
    table = None
    if windows is not None:
        table = np.zeros(len(windows), WINDOW_DTYPE)
        table['t'], table['events'] = windows, 5000
        table['stamp_ns'] = 1000 * (np.asarray(windows) + 7_000_000_000)
    known = {key: options.pop(key) for key in ('start_us', 'sensor_size') if key in options}
    known['summary'] = None if windows is None else {}
    return RecordedDetections('a', Path('found'), boxes(times, **options), classes, table, **known)


def seen(recording) -> list[tuple[int, list[int]]]:
    return [(one.t, one.detections['t'].tolist()) for one in recording.frames]


class TestLastWindow:
    """The detections that were known at the time of the label."""

    def test_one_window_for_each_label(self):
        found = detected(np.arange(1, 40) * STEP)
        result = pair_last_window(labels([700_000, 749_999, 750_000]), found, BOXES_GEN1)
        assert seen(result) == [(700_000, [700_000]), (749_999, [700_000]), (750_000, [750_000])]

    def test_a_window_without_detections_is_not_replaced_by_an_older_one(self):
        found = detected([700_000], windows=np.arange(1, 40) * STEP)
        result = pair_last_window(labels([700_000, 750_000]), found, BOXES_GEN1)
        assert seen(result) == [(700_000, [700_000]), (750_000, [])]
        assert result.frames[0].event_rate == 5000 / 0.05

    def test_nor_where_windows_are_unknown(self):
        result = pair_last_window(labels([750_000]), detected([700_000]), BOXES_GEN1)
        assert seen(result) == [(750_000, [])]

    def test_the_first_half_second_counts_from_the_start_of_the_recording(self):
        times = 90_000_000 + np.arange(1, 40) * STEP
        found = detected(times, windows=times, start_us=90_000_000)
        result = pair_last_window(labels([90_500_000, 90_500_001]), found, BOXES_GEN1)
        assert seen(result) == [(500_001, [90_500_000])]

    def test_small_boxes_do_not_count(self):
        found = detected(np.arange(1, 40) * STEP)
        found.boxes['w'] = 9
        result = pair_last_window(labels([700_000]), found, BOXES_GEN1)
        assert seen(result) == [(700_000, [])]

    def test_times_that_were_looked_at_count_without_objects(self):
        truth = labels([700_000], looked_at=[700_000, 800_000])
        found = detected(np.arange(1, 40) * STEP)
        assert [t for t, _ in seen(pair_last_window(truth, found, BOXES_GEN1))] == [
            700_000,
            800_000,
        ]

    def test_whether_small_objects_are_all_does_not_depend_on_an_empty_time(self):
        found = detected(np.arange(1, 40) * STEP)
        for looked_at, expected in (
            (None, [700_000]),
            ([700_000, 800_000], [700_000, 800_000]),
            ([700_000, 800_000, 900_000], [700_000, 800_000, 900_000]),
        ):
            truth = labels([700_000, 800_000], looked_at=looked_at)
            truth.boxes['w'][1] = 9
            frames = pair_last_window(truth, found, BOXES_GEN1).frames
            assert [frame.t for frame in frames] == expected

    def test_the_start_is_unknown_but_not_after_what_was_looked_at(self):
        times = 90_000_000 + np.arange(20) * STEP
        found = detected(times[-1:])
        result = pair_last_window(labels(times[-1:], looked_at=times), found, BOXES_GEN1)
        assert [frame.t for frame in result.frames] == (times[11:] - times[0]).tolist()

    def test_labels_in_ros_time_find_the_window_by_its_stamp(self):
        windows = np.arange(1, 40) * STEP
        truth = labels(7_000_000_000 + np.array([700_020, 750_000]))
        truth = Labels(truth.path, truth.boxes, truth.times, truth.classes, 'ros')
        found = detected([700_000, 750_000], windows, start_us=0)
        result = pair_last_window(truth, found, BOXES_GEN1)
        assert seen(result) == [(700_020, [700_000]), (750_000, [750_000])]
        with pytest.raises(EvaluationError, match='have different clocks'):
            pair_last_window(truth, detected([700_000]), BOXES_GEN1)

    def test_where_a_node_dropped_windows_the_one_before_them_was_known(self):
        published = np.array([600_000, 1_000_000])
        found = detected(published, windows=published)
        dropped = np.arange(650_000, 850_000, STEP)
        found = replace(found, live=LiveRun(2, dropped, '/events', ended_early=False))
        result = pair_last_window(labels([800_000, 960_000]), found, BOXES_GEN1)
        # Sensor and node were silent from 0.8 s on
        assert seen(result) == [(800_000, [600_000]), (960_000, [])]
        assert result.without_window == 2


class TestPool:
    """The protocol of the toolbox."""

    def test_fifty_milliseconds_before_and_after_both_ends_included(self):
        found = detected([649_999, 650_000, 700_000, 750_000, 750_001])
        result = pair_pooled(labels([700_000]), found, BOXES_GEN1)
        assert seen(result) == [(700_000, [650_000, 700_000, 750_000])]


class TestClasses:
    """Class ids of two files mean what their names say."""

    def test_ids_are_translated_by_name(self):
        truth = Labels(
            Path('labels'),
            boxes([700_000] * 2, classes=[0, 1]),
            np.array([700_000]),
            ('car', 'pedestrian'),
        )
        found = RecordedDetections(
            'a',
            Path('found'),
            boxes([700_000] * 3, classes=[0, 1, 2]),
            ('pedestrian', 'two-wheeler', 'car'),
        )
        result = pair_last_window(truth, found, BOXES_GEN1)
        # In the order of the detector: that of the labels may be another one in each file
        assert result.classes == ('pedestrian', 'car')
        assert result.frames[0].labels['class_id'].tolist() == [1, 0]
        assert result.frames[0].detections['class_id'].tolist() == [0, 1]
        some = replace(found, classes=('car', 'bus', 'pedestrian'), partial=True)
        other = replace(found, classes=('pedestrian', 'car', 'tram'), partial=True)
        results = [pair_last_window(truth, one, BOXES_GEN1) for one in (some, other)]
        assert [one.classes for one in results] == [('car', 'pedestrian')] * 2

    def test_labels_of_unknown_classes_are_counted_and_left_out(self):
        truth = Labels(
            Path('labels'),
            boxes([700_000] * 3, classes=[0, 1, 1]),
            np.array([700_000]),
            ('car', 'truck'),
        )
        result = pair_last_window(truth, detected([700_000]), BOXES_GEN1)
        assert result.left_out == {'truck': 2}
        assert len(result.frames[0].labels) == 1

    @pytest.mark.parametrize('pair', [pair_last_window, pair_pooled])
    def test_several_classes_of_one_name_are_one_class(self, pair):
        times = [700_000] * 4
        truth = labels(times, ('car', 'bus', 'car', 'bus'))
        truth.boxes['class_id'] = range(4)
        found = detected([700_000] * 2, classes=('car', 'car'))
        found.boxes['class_id'] = [0, 1]
        result = pair(truth, found, BOXES_GEN1)
        assert result.classes == ('car',)
        assert result.left_out == {'bus': 2}
        assert result.frames[0].labels['class_id'].tolist() == [0, 0]
        assert result.frames[0].detections['class_id'].tolist() == [0, 0]
        metrics = compute_metrics([result])
        assert metrics['per_class']['car']['labels'] == metrics['labels'] == 2
        assert metrics['per_class']['car']['AP'] == metrics['AP'] == 1

    def test_no_common_class(self):
        with pytest.raises(EvaluationError, match='no class in common: labels of bear'):
            pair_last_window(labels([700_000], ('bear',)), detected([700_000]), BOXES_GEN1)

    def test_a_detection_of_an_unknown_class(self):
        found = RecordedDetections('a', Path('found'), boxes([700_000], classes=5), ('car',))
        with pytest.raises(EvaluationError, match='1 detections have the class id 5'):
            pair_last_window(labels([700_000]), found, BOXES_GEN1)


class TestOtherRecordings:
    """Labels that cannot be of this recording."""

    @pytest.mark.parametrize('protocol', [pair_last_window, pair_pooled])
    def test_another_clock(self, protocol):
        found = detected(np.arange(1, 40) * STEP)
        with pytest.raises(EvaluationError, match='another recording or on another clock'):
            protocol(labels([1_700_000_000_000_000]), found, BOXES_GEN1)

    def test_another_sensor(self):
        found = detected([700_000], sensor_size=(240, 304))
        with pytest.raises(EvaluationError, match='outside the 304x240 pixels'):
            pair_last_window(labels([700_000], x=900), found, BOXES_GEN1)


class TestClipping:
    """Labels that reach beyond the frame."""

    def test_what_is_inside_stays_and_the_rest_is_cut(self):
        truth = labels([1, 2, 3, 4, 5])
        truth.boxes['x'] = [10, -20, 290, 400, 274]
        truth.boxes['w'] = [40, 60, 60, 40, 60]
        result, clipped, removed = clip_labels(truth, (240, 304))
        # 14 x 50 is large enough, nothing is left of that at 400
        assert (clipped, removed) == (4, 1)
        assert result.boxes['x'].tolist() == [10, 0, 290, 274]
        assert result.boxes['w'].tolist() == [40, 40, 14, 30]
        assert result.times.tolist() == [1, 2, 3, 5]

    def test_a_rest_that_is_too_small_is_removed(self):
        truth = labels([1, 2])
        truth.boxes['x'] = [-33, -29]
        assert clip_labels(truth, (240, 304))[1:] == (2, 1)  # 7 and 11 pixels are left
        assert clip_labels(truth, (720, 1280))[1:] == (2, 0)
        truth.boxes['x'] = [-36, -35]
        assert clip_labels(truth, (720, 1280))[1:] == (2, 1)  # 4 and 5

    @pytest.mark.parametrize('seed', range(5))
    def test_boxes_inside_keep_every_bit(self, seed):
        random = np.random.default_rng(seed)
        truth = labels(np.arange(500))
        for name, limit in (('x', 260), ('y', 180), ('w', 44), ('h', 60)):
            truth.boxes[name] = random.uniform(0, limit, 500)
        result, clipped, removed = clip_labels(truth, (240, 304))
        assert np.array_equal(result.boxes, truth.boxes) and (clipped, removed) == (0, 0)
        truth.boxes['x'] += random.uniform(-80, 80, 500).astype(np.float32)
        result, clipped, removed = clip_labels(truth, (240, 304))
        assert len(result.boxes) == 500 - removed and 0 < removed < clipped < 500
        assert (result.boxes['x'] >= 0).all()
        assert (result.boxes['x'] + result.boxes['w'] <= 304 + 1e-4).all()

    def test_times_that_were_looked_at_stay(self):
        truth = labels([700_000, 800_000], looked_at=[700_000, 800_000, 900_000])
        truth.boxes['x'][0] = 999
        result = clip_labels(truth, (240, 304))[0]
        assert result.times.tolist() == [700_000, 800_000, 900_000]
        truth = replace(truth, times=np.array([700_000, 800_000]))
        assert clip_labels(truth, (240, 304))[0].times.tolist() == [700_000, 800_000]

    def test_labels_of_another_sensor(self):
        with pytest.raises(EvaluationError, match='none of 1 labels is in the frame of 304x240'):
            clip_labels(labels([1], x=900), (240, 304))


class TestIntervalsWithoutLabels:
    """Where every detection is a false alarm."""

    def test_gaps_longer_than_usual_count_but_for_their_ends(self):
        times = np.concatenate([np.arange(20, 40), np.arange(80, 100)]) * STEP
        windows = np.arange(1, 100) * STEP
        found = detected([1_950_000, 2_000_000, 2_050_000, 3_000_000], windows, start_us=0)
        result = pair_last_window(labels(times), found, BOXES_GEN1)
        # From 0.5 to 0.95 s, and from 2.0 to 3.95 s
        assert result.unlabelled_us == 450_000 + 1_950_000
        assert result.unlabelled['t'].tolist() == [2_050_000, 3_000_000]

    @pytest.mark.parametrize('classes', [('car',), ()])
    @pytest.mark.parametrize('known', [{'start_us': 0, 'sensor_size': (240, 304)}, {}])
    def test_without_any_label_the_whole_recording_counts(self, classes, known):
        found = detected([700_000, 800_000], np.arange(1, 41) * STEP, **known)
        result = pair_last_window(labels([], classes), found, BOXES_GEN1)
        assert result.frames == () and result.classes == ('car',)
        assert result.unlabelled_us == 1_500_000
        assert result.unlabelled['t'].tolist() == [700_000, 800_000]
        assert pair_pooled(labels([], classes), found, BOXES_GEN1).frames == ()

    def test_without_any_label_the_clock_does_not_matter(self):
        found = replace(detected([700_000], np.arange(1, 41) * STEP, start_us=0), clock='ros')
        assert len(pair_last_window(labels([]), found, BOXES_GEN1).unlabelled) == 1

    def test_sparse_labels_leave_no_gaps(self):
        windows = np.arange(1, 200) * STEP
        found = detected(windows, windows, start_us=0)
        result = pair_last_window(labels(np.arange(1, 10) * 1_000_000), found, BOXES_GEN1)
        assert result.unlabelled_us == 0
        assert len(result.unlabelled) == 0

    @pytest.mark.parametrize('with_objects', [[], range(100, 120)])
    @pytest.mark.parametrize('looked_at', [range(1, 201), range(1, 1201)])
    def test_there_are_none_where_all_that_was_looked_at_is_listed(self, with_objects, looked_at):
        """Empty times are frames, in which detections count once; of others nothing is known."""
        windows = np.arange(1, 1201) * STEP
        times, listed = (STEP * np.array(one, int) for one in (with_objects, looked_at))
        found = detected(windows, windows, start_us=0)
        result = pair_last_window(labels(times, looked_at=listed), found, BOXES_GEN1)
        assert [frame.t for frame in result.frames] == listed[10:].tolist()
        assert result.unlabelled_us == 0 and len(result.unlabelled) == 0
