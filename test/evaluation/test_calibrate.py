# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Scores become shares of correct boxes: the fit, its error, thresholds, the command."""

from __future__ import annotations

import json
from pathlib import Path
import sys

from evaluation.labelled_recordings import write_labelled_recordings
from facts import facts
import numpy as np
import pytest
from sast_ros.bags import open_recording
from sast_ros.cli import main
from sast_ros.evaluation.calibrate import apply_calibration, calibrate_recordings, fit_calibration
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.metrics.calibration import score_calibration, ScoredDetections
from sast_ros.evaluation.metrics.matching import match_recording, MatchedRecording
from sast_ros.evaluation.metrics.thresholds import best_threshold, threshold_table
from sast_ros.evaluation.pairing import Frame, PairedRecording
from sast_ros.labels import BOX_DTYPE
from sast_ros.model import Calibration, load_model
from sast_ros.replay import replay_to_folder, ReplayOptions

TRUE = Calibration(0.6, 1.4, (-1.0, -0.8, -0.5))


def drawn(seed: int, count: int = 40_000) -> ScoredDetections:
    """Return detections whose true shares are those of ``TRUE``."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(0.7, 1.2, count).astype(np.float32)
    class_ids = rng.integers(0, 3, count)
    return ScoredDetections(scores, class_ids, rng.random(count) < TRUE(scores, class_ids))


@pytest.mark.parametrize('seed', range(3))
def test_the_curve_behind_the_matches_is_found(seed):
    found = fit_calibration(drawn(seed), 3)
    assert found.low == pytest.approx(TRUE.low, abs=0.08)
    assert found.high == pytest.approx(TRUE.high, abs=0.12)
    np.testing.assert_allclose(found.offsets, TRUE.offsets, atol=0.15)
    other = drawn(seed + 100)
    before, after = score_calibration(other), score_calibration(apply_calibration(other, found))
    assert after['reported']['expected_error'] < 0.02 < before['reported']['expected_error']


def test_a_class_with_few_detections_has_the_offset_of_all_together():
    many = drawn(0)
    chosen = (many.class_ids != 2) | (np.cumsum(many.class_ids == 2) <= 20)
    found = fit_calibration(many[chosen], 4)
    assert found.offsets[2] == found.offsets[3] not in found.offsets[:2]


@pytest.mark.parametrize('correct', [True, False])
def test_too_few_detections_are_refused(correct):
    some = drawn(0, 500)
    chosen = (some.correct == correct) | (np.cumsum(some.correct != correct) <= 10)
    with pytest.raises(EvaluationError, match=facts('too few')):
        fit_calibration(some[chosen], 3)


def test_scores_that_separate_right_from_wrong_have_a_calibration():
    scores = np.repeat(np.array([0.2, 0.9], np.float32), 100)
    some = ScoredDetections(scores, np.zeros(200, np.int64), scores > 0.5)
    low, high = fit_calibration(some, 1)(np.array([0.2, 0.9], np.float32), np.zeros(2, np.int64))
    assert low < 0.05 and high > 0.95


@pytest.mark.parametrize('scores', [[0.2, 0.9], [0.5, 0.5]])
def test_scores_that_say_nothing_or_the_opposite_become_the_share(scores):
    given = np.repeat(np.array(scores, np.float32), 1000)
    correct = np.repeat([True, False], 1000)
    found = fit_calibration(ScoredDetections(given, np.zeros(2000, np.int64), correct), 1)
    after = found(given, np.zeros(2000, np.int64))
    assert after.mean() == pytest.approx(0.5, abs=0.02) and np.ptp(after) < 0.1


def recording(name: str, correct: int, wrong: int) -> MatchedRecording:
    """Return a recording of frames with one detection each."""
    frames = []
    for number in range(correct + wrong):
        boxes = np.zeros(1, BOX_DTYPE)
        boxes['w'] = boxes['h'] = 50
        boxes['class_confidence'] = 0.5
        frames.append(Frame(number, boxes if number < correct else boxes[:0], boxes))
    return match_recording(PairedRecording(name, ('car',), tuple(frames), boxes[:0], 0))


@pytest.mark.parametrize(('counts', 'held_out'), [((10, 40), False), ((50, 50), True)])
def test_recordings_with_few_boxes_are_calibrated_with_the_others(counts, held_out):
    recordings = [recording('a', 100, 100), recording('b', *counts)]
    calibration, report = calibrate_recordings(recordings, ['car'])
    assert report['held_out'] is held_out
    share = (100 + counts[0]) / (200 + sum(counts))
    assert calibration(np.float32([0.5]), np.zeros(1, int))[0] == pytest.approx(share, abs=0.02)
    assert report['after']['reported']['expected_error'] < 0.05 + held_out


def test_the_error_before_is_that_of_the_weights_as_they_are():
    recordings = [recording('a', 150, 50), recording('b', 150, 50)]
    errors = [
        calibrate_recordings(recordings, ['bus', 'car'], present)[1]['before']['expected_error']
        for present in (None, Calibration(1, 1, (0, np.log(3))))  # 0.5 becomes 0.75
    ]
    assert errors == pytest.approx([0.25, 0.0], abs=1e-6)


def test_a_recording_without_labels_changes_no_calibration():
    recordings = [recording('a', 100, 100), recording('b', 50, 50)]
    boxes = np.zeros(0, BOX_DTYPE)
    empty = match_recording(PairedRecording('c', ('car',), (), boxes, 60_000_000))
    calibration, report = calibrate_recordings([*recordings, empty], ['car'])
    assert calibration == calibrate_recordings(recordings, ['car'])[0]
    assert report['recordings'] == 3


def test_precision_and_recall_at_each_threshold():
    scores = np.array([0.9, 0.6, 0.4, 0.2, 0.8], np.float32)
    some = ScoredDetections(
        scores, np.array([0, 0, 0, 0, 1]), np.array([True, True, False, True, True])
    )
    rows = {row['threshold']: row for row in threshold_table(some, (4, 2, 0), ('a', 'b', 'c'))}
    assert rows[0.3]['per_class']['a'] == {
        'precision': pytest.approx(2 / 3), 'recall': 0.5, 'f1': pytest.approx(4 / 7)
    }  # fmt: skip
    assert rows[0.3]['recall'] == 0.5 and 'c' not in rows[0.3]['per_class']
    assert rows[0.85]['per_class']['b']['precision'] is None
    assert best_threshold(list(rows.values())) == 0.05


@pytest.fixture(scope='module')
def labelled_by_model(tmp_path_factory, sure_weights) -> tuple[list[Path], Path, float]:
    """Return recordings, the folder of labels that a share of the boxes match, and the share."""
    folder, share = tmp_path_factory.mktemp('by_model'), 0.3
    recordings = write_labelled_recordings(folder, [f'bag_{number}' for number in range(3)], 1.0)
    rng = np.random.default_rng(0)
    for path in recordings:
        with open_recording(path) as recording:
            options = ReplayOptions(model=str(sure_weights), score_threshold=0.01, threads=1)
            replay_to_folder(recording, folder / path.stem, options)
        boxes = np.load(folder / path.stem / 'detections.npy')
        boxes = boxes[rng.random(len(boxes)) < share]
        boxes['track_id'] = np.arange(len(boxes))
        np.save(folder / f'{path.stem}_bbox.npy', boxes)
    return recordings, folder, share


def test_the_command_writes_weights_whose_scores_are_shares(
    labelled_by_model, sure_weights, tmp_path, capsys, monkeypatch
):
    """Labels are drawn so that a known share of the boxes of the weights is correct."""
    monkeypatch.setitem(sys.modules, 'matplotlib', None)  # no reports, which take a second each
    recordings, labels, share = labelled_by_model
    out, summary = tmp_path / 'new.safetensors', tmp_path / 'summary.json'
    common = [*map(str, recordings), '--labels', str(labels), '--boxes', 'all']
    options = ['--model', str(sure_weights), '--replays', str(tmp_path / 'r')]
    arguments = ['calibrate', *common, *options, '--out', str(out)]
    assert main([*arguments, '--json', str(summary)]) == 0
    report = json.loads(summary.read_text())
    assert report['held_out'] and report['recordings'] == len(recordings)
    before, after = (report[name]['reported']['expected_error'] for name in ('before', 'after'))
    assert after < 0.1 < before
    assert load_model(out).calibration == Calibration(
        report['low'], report['high'], report['offsets']
    )
    # What the calibrated weights detect is what was promised, and the order stays
    metrics = {}
    for name, weights, *more in (
        ('raw', sure_weights),
        ('new', out),
        ('undone', out, '--score', 'uncalibrated'),
    ):
        target = tmp_path / f'{name}.json'
        paths = ['--out', str(tmp_path / name), '--json', str(target)]
        assert main(['evaluate', *common, '--model', str(weights), *paths, *more]) == 0
        metrics[name] = json.loads(target.read_text())
    for key in ('per_class', 'calibration', 'operating_point', 'detections'):
        assert metrics['undone'][key] == metrics['raw'][key]
    assert metrics['new']['calibration']['reported']['expected_error'] < 0.1
    boxes = metrics['new']['calibration']['bins']
    mean = sum(b['detections'] * (b['mean_score'] or 0) for b in boxes)
    assert mean / sum(b['detections'] for b in boxes) == pytest.approx(share, abs=0.1)
    # Again: replays are found, and calibrated weights are calibrated from their raw scores
    again = tmp_path / 'again.safetensors'
    capsys.readouterr()
    assert main([*arguments[:-1], str(again)]) == 0
    said = capsys.readouterr()
    assert 'were replayed before' in said.err and 'best threshold' in said.out
    arguments[arguments.index(str(sure_weights))] = str(out)
    assert main([*arguments[:-1], str(again), '--json', str(summary)]) == 0
    assert json.loads(summary.read_text())['before'] == metrics['new']['calibration']
    np.testing.assert_allclose(load_model(again).calibration.offsets, report['offsets'])


def test_detections_are_no_recordings(labelled_by_model, sure_weights, tmp_path, capsys):
    recordings, labels, _ = labelled_by_model
    found = sorted(labels.glob('*_bbox.npy'))[0]
    stranger = tmp_path / found.name.replace('_bbox', '')
    stranger.write_bytes(found.read_bytes())
    options = ['--labels', str(labels), '--model', str(sure_weights)]
    arguments = ['calibrate', str(stranger), *options, '--out', str(tmp_path / 'x.safetensors')]
    assert main(arguments) == 1
    assert 'give the recording instead' in capsys.readouterr().err
    assert not (tmp_path / 'x.safetensors').exists()


@pytest.mark.parametrize(('name', 'code'), [('folder.safetensors', 1), ('weights.pt', 2)])
def test_a_wrong_output_is_refused_before_the_work(tmp_path, capsys, monkeypatch, name, code):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'folder.safetensors').mkdir()
    assert main(['calibrate', 'example', '--out', name]) == code
    assert f'{name}: ' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()
