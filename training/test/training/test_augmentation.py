# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Augmentation moves events and boxes alike."""

from __future__ import annotations

from dataclasses import replace

from moving_boxes import write_sequence
import numpy as np
import pytest
from sast_ros.histogram import COUNT_CUTOFF
from sast_ros.labels import LABEL_DTYPE
from sast_ros_training.training.augmentation import (
    Augmentation,
    AugmentationMap,
    sample_augmentation,
    sample_noise,
)
from sast_ros_training.training.cache import CachedSequence
from sast_ros_training.training.config import AugmentationConfig
from sast_ros_training.training.errors import TrainingDataError
from sast_ros_training.training.labels import LabelMemory, split_labels

FRAME = (240, 304)


@pytest.fixture(scope='module')
def sequence(tmp_path_factory):
    return CachedSequence(
        write_sequence(tmp_path_factory.mktemp('augmentation') / 'a.safetensors', 1, windows=2)
    )


def shown(sequence, augmentation: Augmentation, frame=FRAME) -> np.ndarray:
    cells = np.zeros((20, *frame), np.uint8)
    AugmentationMap(augmentation, sequence.info, frame).scatter(*sequence.sparse(0), cells)
    return cells


def test_without_augmentation_nothing_changes(sequence):
    np.testing.assert_array_equal(shown(sequence, Augmentation()), sequence.dense(0))


def test_the_mirror_image(sequence):
    np.testing.assert_array_equal(
        shown(sequence, Augmentation(mirrored=True)), sequence.dense(0)[:, :, ::-1]
    )


def test_polarities_exchanged(sequence):
    dense = sequence.dense(0)
    expected = np.concatenate([dense[10:], dense[:10]])
    np.testing.assert_array_equal(shown(sequence, Augmentation(inverted=True)), expected)


def test_a_shift(sequence):
    expected = np.zeros((20, *FRAME), np.uint8)
    expected[:, 7:, :-5] = sequence.dense(0)[:, :-7, 5:]
    np.testing.assert_array_equal(shown(sequence, Augmentation(top=7, left=-5)), expected)


def test_zooming_in_repeats_cells(sequence):
    dense = sequence.dense(0)
    expected = dense.repeat(2, axis=1).repeat(2, axis=2)[:, 100:340, 50:354]
    np.testing.assert_array_equal(shown(sequence, Augmentation(2.0, -100, -50)), expected)


def test_zooming_out_keeps_the_largest_count(sequence):
    dense = sequence.dense(0)
    pooled = dense.reshape(20, 120, 2, 152, 2).max(axis=(2, 4))
    expected = np.zeros((20, *FRAME), np.uint8)
    expected[:, 30:150, 40:192] = pooled
    np.testing.assert_array_equal(shown(sequence, Augmentation(0.5, 30, 40)), expected)


@pytest.mark.parametrize('zoom', [0.5, 0.73, 1.0, 1.37, 1.9])
@pytest.mark.parametrize('mirrored', [False, True])
def test_boxes_stay_around_their_events(sequence, zoom, mirrored):
    """A block of events is shown exactly where its box is, but for the rounding of cells."""
    augmentation = AugmentationMap(Augmentation(zoom, -9, 4, mirrored), sequence.info, FRAME)
    dense = np.zeros((20, *FRAME), np.uint8)
    dense[3, 60:101, 80:131] = 4
    index = np.flatnonzero(dense).astype(np.uint32)
    cells = np.zeros((20, *FRAME), np.uint8)
    augmentation.scatter(index, dense.reshape(-1)[index], cells)
    labels = np.zeros(1, LABEL_DTYPE)
    labels['x'], labels['y'], labels['w'], labels['h'] = 80, 60, 51, 41
    boxes, inside = augmentation.boxes(labels)
    rows, columns = np.flatnonzero(cells[3].any(axis=1)), np.flatnonzero(cells[3].any(axis=0))
    left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    assert np.abs(boxes[0] - [left, top, right, bottom]).max() <= 1
    assert inside[0] == pytest.approx(1, abs=1e-5)
    assert cells[3, top:bottom, left:right].all()


@pytest.mark.parametrize('mirrored', [False, True])
def test_boxes_of_a_sensor_that_is_sampled_lie_where_its_events_are(sequence, mirrored):
    """Of two pixels the second is kept: what covers it lies a quarter of a cell farther right."""
    info = replace(sequence.info, downsample=2)
    labels = np.zeros(1, LABEL_DTYPE)
    labels['x'], labels['y'], labels['w'], labels['h'] = 80.5, 60.5, 50, 40
    for trained, x, y in ((1, 40.0, 30.0), (2, 40.25, 30.25)):
        view = AugmentationMap(Augmentation(mirrored=mirrored), info, FRAME, trained)
        ((left, top, right, bottom),), _ = view.boxes(labels)
        if mirrored:
            left, right = FRAME[1] - right, FRAME[1] - left
        np.testing.assert_allclose((left, top, right, bottom), (x, y, x + 25, y + 20))


@pytest.mark.parametrize('mirrored', [False, True])
def test_noise_is_a_poisson_process_in_each_pixel_that_the_sensor_has(sequence, mirrored):
    """Of both polarities and all times alike, and nowhere else in the frame."""
    augmentation = Augmentation(0.5, 30, 40, mirrored, noise_hz=8.0)
    view = AugmentationMap(augmentation, sequence.info, FRAME)
    total = np.zeros((20, *FRAME))
    for seed in range(20):
        cells = np.zeros((20, *FRAME), np.uint8)
        view.add_noise(cells, np.random.default_rng(seed))
        total += cells
    columns = slice(112, 264) if mirrored else slice(40, 192)
    seen = total[:, 30:150, columns]
    assert seen.sum() == total.sum()
    expected = 8.0 * sequence.info.window_ms / 1000 * 20  # events of a pixel
    assert seen.sum(axis=0).mean() == pytest.approx(expected, rel=0.02)
    assert seen.sum(axis=0).var() == pytest.approx(expected, rel=0.05)
    np.testing.assert_allclose(seen.mean(axis=(1, 2)), expected / 20, rtol=0.05)


def test_noise_leaves_events_and_stops_at_the_cutoff(sequence):
    cells = np.full((20, *FRAME), 9, np.uint8)
    augmentation = AugmentationMap(Augmentation(noise_hz=400.0), sequence.info, FRAME)
    augmentation.add_noise(cells, np.random.default_rng(0))
    assert set(np.unique(cells)) == {9, COUNT_CUTOFF}


def test_noise_is_drawn_as_often_and_as_much_as_asked_for():
    config = AugmentationConfig(noise=0.4, noise_least_hz=0.5, noise_most_hz=8)
    drawn = np.array([sample_noise(config, np.random.default_rng(s)) for s in range(1000)])
    noisy = drawn[drawn > 0]
    assert 0.35 < len(noisy) / 1000 < 0.45
    assert 0.5 <= noisy.min() < 0.6 and 7 < noisy.max() <= 8
    assert np.median(noisy) == pytest.approx(2, rel=0.15)  # orders of magnitude alike


def test_the_same_generator_draws_the_same_within_the_bounds():
    config = AugmentationConfig()
    drawn = [
        sample_augmentation(config, FRAME, FRAME, np.random.default_rng(s)) for s in range(300)
    ]
    assert drawn == [
        sample_augmentation(config, FRAME, FRAME, np.random.default_rng(s)) for s in range(300)
    ]
    zooms = np.array([augmentation.zoom for augmentation in drawn])
    assert config.zoom_out_least <= zooms.min() < 0.6
    assert 1.4 < zooms.max() <= config.zoom_in_most
    assert 0.35 < np.mean(zooms == 1) < 0.65
    assert 0.4 < np.mean([augmentation.mirrored for augmentation in drawn]) < 0.6


def test_a_larger_sensor_is_cut_to_the_frame():
    config = AugmentationConfig(zoom_in=0, zoom_out=0, translation=0)
    for seed in range(50):
        augmentation = sample_augmentation(config, (260, 346), FRAME, np.random.default_rng(seed))
        assert -20 <= augmentation.top <= 0 and -42 <= augmentation.left <= 0


def test_an_index_outside_the_histogram_is_refused(sequence):
    augmentation = AugmentationMap(Augmentation(), sequence.info, FRAME)
    index = np.array([3, 20 * 240 * 304], np.uint32)
    with pytest.raises(TrainingDataError, match='entry 1'):
        augmentation.scatter(index, np.ones(2, np.uint8), np.zeros((20, *FRAME), np.uint8))


class TestLabels:
    """Which objects are targets, and which are ignored."""

    def split(self, sequence, **fields):
        labels = np.zeros(1, LABEL_DTYPE)
        labels['x'], labels['y'], labels['w'], labels['h'] = 50, 60, 40, 30
        labels['class_id'], labels['visibility'], labels['recent'] = 2, 1, True
        augmentation = fields.pop('augmentation', Augmentation())
        for name, value in fields.items():
            labels[name] = value
        return split_labels(labels, AugmentationMap(augmentation, sequence.info, FRAME))

    def test_what_is_seen_is_a_target(self, sequence):
        rows, ignored = self.split(sequence)
        assert rows.tolist() == [[2, 70, 75, 40, 30]]
        assert len(ignored) == 0

    @pytest.mark.parametrize(
        'fields',
        [
            {'recent': False},
            {'visibility': 0.2},
            {'w': 7},
            {'h': 7},
            {'augmentation': Augmentation(left=-82)},  # a fifth is left
            {'augmentation': Augmentation(left=-64)},  # of its 40 columns 26
            {'augmentation': Augmentation(top=160)},  # of its 30 rows 20
        ],
    )
    def test_what_can_hardly_be_seen_is_ignored(self, sequence, fields):
        rows, ignored = self.split(sequence, **fields)
        assert len(rows) == 0
        assert len(ignored) == 1

    def test_what_is_hidden_or_outside_is_nothing(self, sequence):
        for fields in (
            {'visibility': 0, 'recent': False},
            {'augmentation': Augmentation(left=-200)},
        ):
            rows, ignored = self.split(sequence, **fields)
            assert len(rows) == len(ignored) == 0


class TestLabelMemory:
    """An object that once moved remains a target as long as the state lasts."""

    @staticmethod
    def note(memory, *objects):
        """Return the target tracks among (track, own events, recent)."""
        labels = np.zeros(len(objects), LABEL_DTYPE)
        labels['w'], labels['h'] = 20, 30
        for label, (track, events, recent) in zip(labels, objects):
            label['track_id'], label['events'], label['recent'] = track, events, recent
        return labels['track_id'][memory.note(labels)['recent']].tolist()

    def test_what_moved_is_remembered_when_it_has_stopped_for_long(self):
        memory = LabelMemory(50, 1)
        assert self.note(memory, (1, 18, True), (2, 17, False)) == [1]
        assert self.note(memory, (1, 0, False), (2, 0, False)) == [1]

    def test_what_moved_before_the_state_began_is_forgotten(self):
        self.note(LabelMemory(50, 1), (1, 50, True))
        assert self.note(LabelMemory(50, 1), (1, 0, False)) == []

    def test_what_moved_lately_but_before_the_clip_began_is_no_target(self):
        memory = LabelMemory(50, 1)  # it has stood still for half a second
        for _ in range(10):
            assert self.note(memory, (1, 0, True)) == []
        assert self.note(memory, (1, 50, True)) == [1]

    @pytest.mark.parametrize('stride_ms', [20, 50, 100])
    def test_lately_counts_once_the_clip_has_shown_all_of_that_time(self, stride_ms):
        """As of an object that has labels in few windows, and moved in another one."""
        memory = LabelMemory(stride_ms, 1)
        for _ in range(1000 // stride_ms):
            assert self.note(memory, (1, 0, True)) == []
        assert self.note(memory, (1, 0, True)) == [1]
        assert self.note(memory, (1, 0, False)) == []  # it is not remembered

    def test_what_moved_in_windows_that_the_clip_leaves_out_is_no_target(self):
        memory = LabelMemory(50, 2)
        for _ in range(30):
            assert self.note(memory, (1, 0, True)) == []

    def test_the_labels_themselves_stay_as_they_are(self):
        memory, labels = LabelMemory(50, 1), np.zeros(1, LABEL_DTYPE)
        self.note(memory, (0, 50, True))
        assert memory.note(labels)['recent'].all()
        assert not labels['recent'].any()


@pytest.mark.parametrize('planes', [(19, *FRAME), (20, FRAME[0] - 1, FRAME[1]), (20, FRAME[0], 3)])
def test_no_cell_is_written_outside_the_output(sequence, planes):
    """A guard of bytes behind the output stays as it was."""
    size = int(np.prod(planes))
    memory = np.zeros(size + 4096, np.uint8)
    with pytest.raises(TrainingDataError, match=f'{planes[0]} channels of {planes[1]}'):
        AugmentationMap(Augmentation(), sequence.info, FRAME).scatter(
            *sequence.sparse(0), memory[:size].reshape(planes)
        )
    assert not memory.any()


def test_fewer_counts_than_cells_are_refused(sequence):
    index, count = sequence.sparse(0)
    with pytest.raises(TrainingDataError, match='counts'):
        AugmentationMap(Augmentation(), sequence.info, FRAME).scatter(
            index, count[:-1], np.zeros((20, *FRAME), np.uint8)
        )
