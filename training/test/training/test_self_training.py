# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Recordings without labels: what becomes a target, what is ignored, and a training on both."""

from __future__ import annotations

from dataclasses import replace
import json
from pathlib import Path
import resource

from moving_boxes import CLASSES, STEP_US, window, write_cache, write_sequence
import numpy as np
import pytest
from sast_ros.bags import RecordingError
from sast_ros.cli import main
from sast_ros.detector import StreamingDetector
from sast_ros.evaluation.metrics.matching import iou_matrix
from sast_ros.events import EventChunk
from sast_ros.histogram import StackedHistogram
from sast_ros.labels import BOX_DTYPE, MIN_VISIBILITY
from sast_ros.model import load_model
from sast_ros_training.training.augmentation import Augmentation, AugmentationMap
from sast_ros_training.training.averages import sample_windows
from sast_ros_training.training.cache import CachedSequence, list_sequences
from sast_ros_training.training.config_file import parse_config
from sast_ros_training.training.errors import TrainingConfigError, TrainingDataError
from sast_ros_training.training.labels import LabelMemory, split_labels
from sast_ros_training.training.self_training import rounds
from sast_ros_training.training.self_training.labelling import (
    _at,
    choose,
    LabellingSettings,
    look,
    merge,
    Run,
    View,
)
from sast_ros_training.training.self_training.recordings import cut_recording
from sast_ros_training.training.self_training.rounds import (
    default_config,
    self_train,
    SelfTraining,
)
from sast_ros_training.training.self_training.tracker import IouTracker

SETTINGS = LabellingSettings(mirror=False)


def boxes(*rows: tuple[float, ...], t: int = 0) -> np.ndarray:
    """Return boxes of (x, y, w, h, class, score)."""
    found = np.zeros(len(rows), BOX_DTYPE)
    found['t'] = t
    for index, row in enumerate(rows):
        for name, value in zip(('x', 'y', 'w', 'h', 'class_id', 'class_confidence'), row):
            found[name][index] = value
    return found


# -------------------------------------------------------------------------------- time backwards


@pytest.mark.parametrize('seed', range(5))
def test_a_window_backwards_has_its_channels_in_the_opposite_order(seed):
    """
    As if its events had happened in the opposite order, darker instead of brighter.

    Between the edges of bins, which are rounded to microseconds and of which one side includes
    them: times are drawn so that none lies on one.
    """
    rng = np.random.default_rng(seed)
    count = 5000
    t = np.sort(rng.integers(0, 50_000, count))
    t = t[(t % 5000 > 0) & (t > 0)]
    t = np.concatenate([[0], t, [50_000]])
    x, y = rng.integers(0, 64, len(t)).astype(np.uint16), rng.integers(0, 48, len(t))
    p = rng.integers(0, 2, len(t)).astype(np.uint8)
    y = y.astype(np.uint16)
    forwards = EventChunk(x, y, p, t, width=64, height=48)
    backwards = EventChunk(x[::-1], y[::-1], 1 - p[::-1], 50_000 - t[::-1], width=64, height=48)
    histogram = StackedHistogram(48, 64)
    assert np.array_equal(histogram(backwards).numpy(), histogram(forwards).numpy()[::-1])


@pytest.mark.parametrize(('downsample', 'mirror'), [(1, 320), (2, 641), (3, 960)])
def test_views_are_mirror_images_of_each_other(tmp_path, downsample, mirror):
    """
    Of a symmetrical recording, the views have mirrored boxes at mirrored times.

    Of two pixels the second is sampled: the axis lies half a pixel right of the middle.
    """
    sequence = CachedSequence(write_sequence(tmp_path / 'a.safetensors', 1, 6, (240, 320)))
    detector = StreamingDetector(load_model('default'), 0.01, max_detections=20)

    class Doubled(Run):
        """Each window with its mirror image on top, and then the same backwards in time."""

        def __init__(self) -> None:
            super().__init__([sequence])
            cells = [sequence.dense(number) for number in range(3)]
            cells = [np.maximum(one, one[:, :, ::-1]) for one in cells]
            sensor = 240 * downsample, 320 * downsample
            self.info = replace(self.info, downsample=downsample, sensor_size=sensor)
            self.cells = [*cells, *(one[::-1] for one in cells[::-1])]

        def dense(self, window: int) -> np.ndarray:
            return self.cells[window]

    run = Doubled()
    forwards = look(detector, run, backwards=False, mirrored=False)
    backwards = look(detector, run, backwards=True, mirrored=False)
    assert sum(map(len, forwards.found)) > 0
    for a, b in zip(forwards.found, backwards.found[::-1]):
        assert np.array_equal(a[['x', 'y', 'w', 'h']], b[['x', 'y', 'w', 'h']])
    assert (run.t_end - backwards.times == STEP_US).all()
    mirrored = look(detector, run, backwards=False, mirrored=True)
    for a, b in zip(forwards.found, mirrored.found):
        assert np.allclose(mirror - a['x'] - a['w'], b['x'], atol=1e-3)


def test_backward_boxes_are_taken_at_the_times_of_the_labels():
    times = np.array([0, 50, 100])
    moving = [boxes((x, 0, 10, 10, 0, x / 10), t=t) for x, t in ((0, 0), (4, 50), (8, 100))]
    same = _at(View(True, times, moving), np.array([50, 100, 150]))
    assert [rows['x'].tolist() for rows in same.found] == [[4], [8], []]
    between = _at(View(True, times, moving), np.array([-1, 25, 75]))
    assert [rows['x'].tolist() for rows in between.found] == [[], [2], [6]]


# ---------------------------------------------------------------------------------------- tracks


@pytest.mark.parametrize('step', [STEP_US, -STEP_US])
def test_tracks_follow_objects_that_move_cross_and_disappear_for_a_moment(step):
    tracker, numbers = IouTracker(), []
    for index in range(12):
        rows = [(5 * index, 0, 20, 20, 0, 1), (60 - 5 * index, 4, 20, 20, 1, 1)]
        if index in (6, 7):
            rows = rows[1:]
        found = tracker.step(boxes(*rows, t=step * index))
        numbers.append(found.tolist())
    assert numbers == [[0, 1]] * 6 + [[1]] * 2 + [[0, 1]] * 4


def test_a_track_ends_when_its_object_is_away_for_longer():
    tracker = IouTracker(max_missed=1)
    steps = [boxes((0, 0, 9, 9, 0, 1)), *[boxes()] * 2, boxes((0, 0, 9, 9, 0, 1))]
    assert [tracker.step(rows).tolist() for rows in steps] == [[0], [], [], [1]]


@pytest.mark.parametrize('seed', range(10))
def test_numbers_of_tracks_are_unique_in_a_window(seed):
    rng, tracker = np.random.default_rng(seed), IouTracker()
    for index in range(20):
        rows = rng.uniform(0, 30, (rng.integers(0, 12), 6)) + [0, 0, 5, 5, 0, 0]
        rows[:, 4] = rng.integers(0, 2, len(rows))
        numbers = tracker.step(boxes(*rows, t=index))
        assert len(np.unique(numbers)) == len(rows)


def test_overlaps_of_known_boxes():
    a = boxes((0, 0, 10, 10, 0, 1), (50, 50, 1, 1, 0, 1))
    b = boxes((0, 0, 10, 10, 0, 1), (5, 0, 10, 10, 0, 1))
    assert np.allclose(iou_matrix(a, b), [[1, 1 / 3], [0, 0]])


# ---------------------------------------------------------------------------------------- labels


def test_the_mean_of_both_directions_is_merged():
    merged = merge(
        [boxes((0, 0, 10, 10, 2, 0.6)), boxes((2, 0, 10, 10, 2, 0.2), (0, 0, 10, 10, 1, 0.5))],
        [False, True],
    )
    first, second = merged
    assert first['x'] == pytest.approx(0.5) and first['class_confidence'] == pytest.approx(0.6)
    assert first['forwards'] and first['backwards'] and first['class_id'] == 2
    assert second['class_confidence'] == pytest.approx(0.5)
    assert second['backwards'] and not second['forwards']


def scene(score: float = 0.6, windows: int = 12, backwards: float = 1.0, gap: int = -1):
    """Return merged objects: one that moves, seen backwards in this share of the windows."""
    merged, times = [], STEP_US * np.arange(1, windows + 1)
    for index in range(windows):
        seen = boxes((3 * index, 0, 20, 20, 2, score)) if index != gap else boxes()
        back = seen.copy() if index < backwards * windows else boxes()
        found = merge([seen, back], [False, True])
        found['t'] = times[index]
        merged.append(found)
    return merged, times


def shown(labels: list[np.ndarray]) -> list[bool | None]:
    """Return of each window whether its only label is a target, ``None`` without a label."""
    assert all(len(rows) <= 1 for rows in labels)
    return [
        bool(rows['visibility'][0] >= MIN_VISIBILITY) if len(rows) else None for rows in labels
    ]


def test_an_object_that_both_directions_see_for_long_is_a_target():
    assert shown(choose(*scene(), SETTINGS)) == [True] * 12


@pytest.mark.parametrize(
    'case', [{'score': 0.2}, {'windows': 6}, {'backwards': 0.3}, {'backwards': 0}]
)
def test_others_are_ignored_and_never_background(case):
    labels = shown(choose(*scene(**case), SETTINGS))
    assert labels == [False] * len(labels)


def test_what_only_one_direction_sees_in_a_window_is_ignored_there():
    assert shown(choose(*scene(backwards=0.75), SETTINGS)) == [True] * 9 + [False] * 3


def test_a_gap_in_a_track_is_ignored():
    labels = choose(*scene(gap=5), SETTINGS)
    assert shown(labels) == [True] * 5 + [False] + [True] * 6
    assert labels[5]['x'][0] == pytest.approx(15) and labels[5]['t'][0] == 6 * STEP_US


def test_of_two_classes_of_one_object_the_better_one_is_the_target():
    merged = []
    for index in range(12):
        seen = boxes((3 * index, 0, 20, 20, 2, 0.6), (3 * index, 1, 20, 20, 1, 0.5))
        found = merge([seen, seen], [False, True])
        found['t'] = STEP_US * (index + 1)
        merged.append(found)
    for rows in choose(merged, STEP_US * np.arange(1, 13), SETTINGS):
        targets = rows[rows['visibility'] >= MIN_VISIBILITY]
        assert targets['class_id'].tolist() == [2] and len(rows) == 2


def test_nothing_at_all_has_no_labels():
    empty = merge([boxes(), boxes()], [False, True])
    assert [len(rows) for rows in choose([empty] * 3, np.arange(3), SETTINGS)] == [0] * 3


# -------------------------------------------------------------------------------------- training


def write_recording(path: Path, seed: int, windows: int = 20) -> Path:
    """Write the events of moving boxes as recording, with a second of silence in its middle."""
    chunks = [window(seed, number, 240, 304)[0] for number in range(windows)]
    columns = {name: np.concatenate([getattr(c, name) for c in chunks]) for name in 'xypt'}
    columns['t'] = columns['t'] + 2_000_000 * (columns['t'] > 500_000)
    np.savez(path, **columns, height=240, width=304)
    return path


def small_config(**data):
    return parse_config(
        {
            'data': {'kind': 'cache', **data},
            'streams': {'streams': 2, 'random_windows': [3, 4]},
            'optimizer': {'max_steps': 2},
            'hardware': {'devices': 1, 'accelerator': 'cpu'},
            'validation': {'batch_norm_windows': 6},
        },
        'x',
    )


def test_a_recording_is_cut_into_runs_as_the_replay_cuts_it(tmp_path):
    path = write_recording(tmp_path / 'r.npz', 3)
    cut_recording(path, tmp_path / 'cut', small_config())
    sequences = [CachedSequence(p) for p in list_sequences(tmp_path / 'cut')]
    assert [s.info.source for s in sequences] == ['r.npz, run 1', 'r.npz, run 2']
    assert main(['replay', str(path), '--out', str(tmp_path / 'replay')]) == 0
    windows = np.load(tmp_path / 'replay' / 'windows.npy')
    assert np.concatenate([s.t_end for s in sequences]).tolist() == windows['t'].tolist()
    assert np.concatenate([s.events for s in sequences]).tolist() == windows['events'].tolist()
    assert not any(s.labelled.any() for s in sequences)


def test_windows_for_batch_norms_are_spread_over_the_recording(tmp_path):
    path = write_recording(tmp_path / 'r.npz', 3)
    cut_recording(path, tmp_path / 'cut', small_config())
    paths, network = list_sequences(tmp_path / 'cut'), small_config().network()
    first, second = sample_windows(paths, network, 18)
    assert first.shape[1:] == second.shape[1:] == (1, 20, 256, 320)
    sequence = CachedSequence(paths[0])
    begin = (len(sequence) - len(first)) // 2
    assert np.array_equal(first[0, 0, :, :240, :304], sequence.dense(begin))
    assert not first[:, :, :, 240:].any() and not first[..., 304:].any()
    assert list(sample_windows(paths, network, 0)) == []


def test_a_recording_without_a_window_is_named(tmp_path):
    chunk = window(1, 0, 240, 304)[0]
    t = chunk.t // 10
    np.savez(tmp_path / 'short.npz', x=chunk.x, y=chunk.y, p=chunk.p, t=t, height=240, width=304)
    with pytest.raises(TrainingDataError, match=r'short\.npz'):
        cut_recording(tmp_path / 'short.npz', tmp_path / 'cut', small_config())
    assert not (tmp_path / 'cut').exists()


def test_a_full_disk_leaves_no_part_of_a_recording(tmp_path):
    path = write_recording(tmp_path / 'r.npz', 3)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match='cut'):
            cut_recording(path, tmp_path / 'cut', small_config())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == [path]


def test_rounds_label_train_and_continue(tmp_path, monkeypatch):
    recordings = tuple(write_recording(tmp_path / f'{seed}.npz', seed) for seed in range(2))
    write_cache(tmp_path / 'labelled', train=3, validation=1)
    config = small_config(cache=str(tmp_path / 'labelled'))
    low = LabellingSettings(0.02, 0.02, 100, 0.3)
    settings = SelfTraining(recordings, 2, 0.5, labelling=low)
    out, init = tmp_path / 'out', (Path('default'),)
    summary = self_train(settings, config, out, init)
    assert len(summary['rounds']) == 2 and summary['steps'] == 2
    # Three labelled sequences, and the four of the recordings
    names = [path.name for path in list_sequences(out / 'round-1/cache/train')]
    assert len(names) == 7 and sum('~' in name for name in names) == 3
    assert (out / 'model.safetensors').read_bytes() == (
        out / 'round-2/model.safetensors'
    ).read_bytes()
    labelled = [CachedSequence(out / 'round-1/cache/train' / n) for n in names if '~' not in n]
    assert all(sequence.labelled.all() for sequence in labelled)
    # Only what is a target by its visibility can be one, however many events it has
    found, targets = summary['rounds'][0], 0
    for sequence in labelled:
        memory = LabelMemory(sequence.info.stride_ms, 1)
        mapping = AugmentationMap(Augmentation(), sequence.info, (240, 304))
        for number in range(len(sequence)):
            rows = memory.note(sequence.labels(number))
            wanted, ignored = split_labels(rows, mapping)
            hidden = rows['visibility'] < MIN_VISIBILITY
            assert len(wanted) <= (~hidden).sum() and len(ignored) >= hidden.sum()
            targets += len(wanted)
    assert 0 < targets <= found['targets']

    def fail(*_):
        raise AssertionError

    monkeypatch.setattr(rounds, 'label_recording', fail)
    monkeypatch.setattr(rounds, 'cut_recording', fail)
    assert self_train(settings, config, out, init)['rounds'] == summary['rounds']
    other = SelfTraining(recordings[:1], 2, 0.5, labelling=low)
    with pytest.raises(TrainingConfigError, match='--resume never'):
        self_train(other, config, out, init)


@pytest.mark.parametrize('place', ['round-1/model.safetensors', 'recordings/r.npz'])
def test_what_to_begin_with_is_not_removed(tmp_path, place):
    path = tmp_path / 'out' / place
    path.parent.mkdir(parents=True)
    path.touch()
    init, recording = (path, Path('example')) if 'round' in place else (Path('default'), path)
    settings = SelfTraining((recording,))
    with pytest.raises(TrainingConfigError, match=rf'{path.name}: .*--resume never'):
        self_train(settings, small_config(), tmp_path / 'out', (init,), resume=False)
    assert path.exists()


def test_weights_that_find_nothing_are_refused(tmp_path):
    path = write_recording(tmp_path / 'r.npz', 3)
    settings = SelfTraining((path,), labelled_share=0, labelling=LabellingSettings(0.9, 1.0))
    with pytest.raises(TrainingDataError, match='--init'):
        self_train(settings, small_config(), tmp_path / 'out', (Path('default'),))


def test_without_any_recording_that_can_be_read_there_is_nothing_to_train_on(tmp_path):
    paths = tmp_path / 'broken.npz', tmp_path / 'missing.npz'
    paths[0].write_bytes(b'no archive')
    with pytest.raises(RecordingError, match=r'broken\.npz'):
        self_train(SelfTraining(paths), small_config(), tmp_path / 'out', (Path('default'),))


def test_a_name_of_a_recording_may_be_corrected(tmp_path):
    path, out, init = write_recording(tmp_path / 'r.npz', 3), tmp_path / 'out', (Path('default'),)
    with pytest.raises(RecordingError):
        self_train(SelfTraining((tmp_path / 'rr.npz',)), small_config(), out, init)
    none = LabellingSettings(0.9, 1.0)
    with pytest.raises(TrainingDataError, match='is detected'):
        self_train(SelfTraining((path,), labelling=none), small_config(), out, init)


def test_without_a_configuration_the_network_is_that_of_the_weights():
    config = default_config([Path('default')])
    assert config.network() == load_model('default').config


def test_the_command(tmp_path, capsys):
    path = tmp_path / 'r.npz'
    assert main(['transcode', 'example', str(path), '--end', '1.6']) == 0
    assert main(['train', '--out', str(tmp_path / 'a')]) == 2
    assert '--self-train' in capsys.readouterr().err
    curriculum = tmp_path / 'c.yaml'
    curriculum.write_text('curriculum: [{name: a}, {name: b}]')
    broken = tmp_path / 'broken.npz'
    broken.write_bytes(path.read_bytes()[:1000])
    recordings = [str(broken), str(path)]
    command = ['train', '--self-train', *recordings, '--out', str(tmp_path / 'out')]
    assert main([*command, '--config', str(curriculum)]) == 1
    assert 'curriculum' in capsys.readouterr().err
    config = tmp_path / 'c.yaml'
    config.write_text(json.dumps(small_config().as_dict()))
    command += ['--config', str(config), '--labelled-share', '0', '--target-score', '0.2']
    capsys.readouterr()
    assert main([*command, '--no-mirror', '--json', '-']) == 0
    output = capsys.readouterr()
    assert f'left out: {broken}' in output.err and f'left out: {path}' not in output.err
    summary = json.loads(output.out)
    assert summary['rounds'][0]['windows'] == 31
    assert load_model(tmp_path / 'out' / 'model.safetensors').config.classes == CLASSES
