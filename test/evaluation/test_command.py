# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The command ``sast-ros evaluate`` from recordings and from detections to metrics."""

from __future__ import annotations

import json
import shutil

from evaluation.labelled_recordings import write_labelled_recordings
import numpy as np
import pytest
from sast_ros.cli import main
from sast_ros.evaluation.detections import read_detections
from sast_ros.labels import BOX_DTYPE


@pytest.fixture(scope='module')
def drives(tmp_path_factory):
    """Two recordings with their labels."""
    folder = tmp_path_factory.mktemp('drives')
    write_labelled_recordings(folder, ['drive_0000', 'drive_0001'], 1.5)
    return folder


@pytest.fixture(scope='module')
def replayed(drives, tmp_path_factory):
    """Replay both; return the metrics and the folder with the replays."""
    out = tmp_path_factory.mktemp('replayed')
    bags = [str(drives / f'drive_000{index}.mcap') for index in range(2)]
    json_file = out / 'metrics.json'
    arguments = ['--labels', str(drives), '--out', str(out), '--json', str(json_file)]
    assert main(['evaluate', *bags, *arguments]) == 0
    return json.loads(json_file.read_text()), out


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Let reports of commands without --out go there."""
    monkeypatch.chdir(tmp_path)


def test_recordings_are_replayed_and_evaluated(replayed):
    metrics, out = replayed
    assert set(metrics) >= {
        'AP',
        'AP50',
        'AP75',
        'AP_small',
        'AP_medium',
        'AP_large',
        'AR_100',
        'per_class',
    }
    assert [one['name'] for one in metrics['recordings']] == ['drive_0000', 'drive_0001']
    assert metrics['labels'] > 0
    assert 0 <= metrics['AP'] <= metrics['AP50'] <= 1
    assert metrics['by_event_rate']


def test_labels_are_found_beside_the_recordings(replayed, drives, tmp_path):
    metrics, out = replayed
    bags = [str(drives / f'drive_000{index}.mcap') for index in range(2)]
    json_file = tmp_path / 'metrics.json'
    assert main(['evaluate', *bags, '--out', str(out), '--json', str(json_file)]) == 0
    again = json.loads(json_file.read_text())
    assert again['per_class'] == metrics['per_class']
    assert again['labels_from'] == str(drives)


def test_its_replays_can_be_evaluated_again(replayed, drives, capsys):
    metrics, out = replayed
    folders = [str(out / name) for name in ('drive_0001', 'drive_0000')]
    assert main(['evaluate', *folders, '--labels', str(drives), '--json', '-']) == 0
    again = json.loads(capsys.readouterr().out)
    assert {**again, 'inputs': None} == {**metrics, 'inputs': None}


def test_a_replay_knows_its_windows_and_its_start(replayed):
    detected = read_detections(replayed[1] / 'drive_0000')
    assert detected.start_us == 0
    assert len(detected.windows) == 30
    assert detected.windows['t'].tolist() == list(range(50_000, 1_500_001, 50_000))
    assert detected.windows['events'].sum() <= detected.summary['events']
    assert detected.windows['detections'].sum() == len(detected.boxes)
    assert 0 < detected.windows['kept_tokens'].mean() <= 1


def test_perfect_detections_are_worth_one(drives, tmp_path, capsys):
    """The labels themselves as detections, in the file layout of other tools."""
    boxes = np.load(drives / 'drive_0000_bbox.npy')
    np.save(tmp_path / 'drive_0000.npy', boxes)
    arguments = ['--labels', str(drives), '--boxes', 'all', '--json', '-']
    assert main(['evaluate', str(tmp_path / 'drive_0000.npy'), *arguments]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics['AP'] == pytest.approx(1)
    assert metrics['AR_100'] == pytest.approx(1)
    # The pool of three windows makes false positives of two of them
    assert main(['evaluate', str(tmp_path / 'drive_0000.npy'), *arguments,
                 '--protocol', 'prophesee-legacy']) == 0  # fmt: skip
    assert json.loads(capsys.readouterr().out)['AP'] < 0.9


def test_labels_and_detections_may_be_messages(replayed, drives, tmp_path, capsys):
    """What a replay has found, as messages in ROS time, taken for labels of the same replay."""
    replay = replayed[1] / 'drive_0000'
    shutil.copy(replay / 'detections.mcap', tmp_path / 'drive_0000_labels.mcap')
    for found in (replay, tmp_path / 'drive_0000.mcap'):
        if not found.exists():
            shutil.copy(replay / 'detections.mcap', found)
        arguments = ['--labels', str(tmp_path), '--boxes', 'all', '--json', '-']
        assert main(['evaluate', str(found), *arguments]) == 0
        metrics = json.loads(capsys.readouterr().out)
        assert metrics['AP'] == pytest.approx(1)
        assert metrics['labels'] == metrics['detections'] > 0
    assert bool(metrics['by_event_rate']) is False  # messages do not contain the events
    labels = drives / 'drive_0000_bbox.npy'
    assert main(['evaluate', str(found), '--labels', str(labels)]) == 1
    assert 'different clocks' in capsys.readouterr().err


def test_the_class_score_orders_if_that_is_wanted(drives, tmp_path, capsys):
    bag = str(drives / 'drive_0000.mcap')
    common = ['--labels', str(drives), '--out', str(tmp_path), '--score', 'class']
    assert main(['evaluate', bag, *common]) == 0
    assert 'class probability' in capsys.readouterr().out
    np.save(tmp_path / 'drive_0000.npy', np.load(drives / 'drive_0000_bbox.npy'))
    others = [str(tmp_path / 'drive_0000.npy'), '--labels', str(drives), '--score', 'class']
    assert main(['evaluate', *others]) == 0
    # Detections that were scored one way are not evaluated the other way
    assert main(['evaluate', str(tmp_path / 'drive_0000'), '--labels', str(drives)]) == 1
    assert '--score class' in capsys.readouterr().err


def test_the_older_layout_gives_the_same_metrics(replayed, drives, tmp_path):
    boxes = np.load(replayed[1] / 'drive_0000' / 'detections.npy')
    np.save(tmp_path / 'drive_0000.npy', boxes)
    older = boxes[[*boxes.dtype.names[1:], 't']].astype(
        [(name, '<f8') for name in boxes.dtype.names[1:]] + [('t', '<u8')]
    )
    older.dtype.names = (*'xywh', 'class_id', 'track_id', 'confidence', 'ts')
    (tmp_path / 'older').mkdir()
    np.save(tmp_path / 'older' / 'drive_0000.npy', older)
    found = []
    for folder in (tmp_path, tmp_path / 'older'):
        json_file = folder / 'metrics.json'
        inputs = [str(folder / 'drive_0000.npy'), '--labels', str(drives)]
        assert main(['evaluate', *inputs, '--json', str(json_file)]) == 0
        found.append(json.loads(json_file.read_text()) | {'inputs': None})
    assert found[0] == found[1]


def test_names_of_recordings_keep_their_dots(replayed, drives, tmp_path):
    for name, source in (('run_1.5', 'drive_0000'), ('run_1.7', 'drive_0001')):
        shutil.copy(drives / f'{source}.mcap', tmp_path / f'{name}.mcap')
        shutil.copy(drives / f'{source}_bbox.npy', tmp_path / f'{name}_bbox.npy')
    shutil.copy(drives / 'dataset.json', tmp_path)
    bags = [str(tmp_path / f'run_1.{end}.mcap') for end in '57']
    out = tmp_path / 'out'
    assert main(['evaluate', *bags, '--out', str(out), '--json', str(out / 'm.json')]) == 0
    metrics = json.loads((out / 'm.json').read_text())
    assert [one['name'] for one in metrics['recordings']] == ['run_1.5', 'run_1.7']
    assert metrics['per_class'] == replayed[0]['per_class']
    folders = [str(out / f'run_1.{end}') for end in '57']
    common = ['--labels', str(tmp_path), '--json', str(tmp_path / 'again.json')]
    assert main(['evaluate', *folders, *common]) == 0
    again = json.loads((tmp_path / 'again.json').read_text())
    assert again['per_class'] == metrics['per_class']


def test_a_label_file_may_have_any_name(replayed, drives, tmp_path):
    labels = tmp_path / 'final_bbox.npy'
    shutil.copy(drives / 'drive_0000_bbox.npy', labels)
    shutil.copy(drives / 'dataset.json', tmp_path)
    found = str(replayed[1] / 'drive_0000')
    assert main(['evaluate', found, '--labels', str(labels)]) == 0


def test_clipped_labels_are_counted_in_result_and_report(drives, tmp_path, capsys):
    boxes = np.load(drives / 'drive_0000_bbox.npy')
    np.save(tmp_path / 'drive_0000.npy', boxes)
    wide = boxes.copy()
    reaching = boxes['x'] + boxes['w'] >= 304
    wide['w'][reaching] += 50
    (tmp_path / 'labels').mkdir()
    np.save(tmp_path / 'labels' / 'drive_0000_bbox.npy', wide)
    shutil.copy(drives / 'dataset.json', tmp_path / 'labels')
    inputs = [str(tmp_path / 'drive_0000.npy'), '--labels', str(tmp_path / 'labels')]
    inputs += ['--boxes', 'all', '--clip-labels', '--out', str(tmp_path)]
    assert main(['evaluate', *inputs]) == 1
    assert '--sensor-size' in capsys.readouterr().err
    inputs += ['--sensor-size', '304x240']
    assert main(['evaluate', *inputs, '--json', str(tmp_path / 'm.json')]) == 0
    metrics = json.loads((tmp_path / 'm.json').read_text())
    assert metrics['labels_clipped'] == reaching.sum() > metrics['labels_clipped_away'] > 0
    assert f'{metrics["labels_clipped"]} labels to the frame' in capsys.readouterr().out
    assert 'clipped to the frame' in (tmp_path / 'report.html').read_text()
    late = boxes[~reaching | (boxes['w'] >= 10)]
    assert metrics['labels'] == (late['t'] > 500_000).sum()
    assert metrics['AP'] == pytest.approx(1, abs=0.2)


def test_several_classes_become_one_by_name(drives, tmp_path):
    np.save(tmp_path / 'drive_0000.npy', np.load(drives / 'drive_0000_bbox.npy'))
    found, target = str(tmp_path / 'drive_0000.npy'), tmp_path / 'm.json'
    common = ['--labels', str(drives), '--boxes', 'all', '--json', str(target)]
    for options in (
        ['--label-classes', 'human,vehicle,vehicle'],
        ['--label-classes', 'pedestrian=human,two-wheeler=vehicle,car=vehicle',
         '--detection-classes', 'human,vehicle,vehicle'],
    ):  # fmt: skip
        assert main(['evaluate', found, *common, *options]) == 0
        metrics = json.loads(target.read_text())
        assert metrics['classes'] == ['human', 'vehicle']
        assert metrics['AP'] == pytest.approx(1)
        counts = {name: one['labels'] for name, one in metrics['per_class'].items()}
        assert sum(counts.values()) == metrics['labels'] and counts['vehicle'] > 0


def test_a_recording_without_objects_counts_false_positives(replayed, drives, tmp_path):
    for name in ('dataset.json', 'drive_0000_bbox.npy'):
        shutil.copy(drives / name, tmp_path)
    np.save(tmp_path / 'drive_0001_bbox.npy', np.zeros(0, BOX_DTYPE))
    folders = [str(replayed[1] / f'drive_000{index}') for index in range(2)]
    arguments = ['--labels', str(tmp_path), '--out', str(tmp_path), '--boxes', 'all']
    assert main(['evaluate', *folders, *arguments, '--json', str(tmp_path / 'm.txt')]) == 0
    metrics = json.loads((tmp_path / 'm.txt').read_text())
    assert [one['images'] for one in metrics['recordings']][1] == 0
    seconds = 60 * metrics['false_positives']['minutes_without_labels']
    assert seconds == pytest.approx(1, abs=0.1)  # of 1.5 s without the first half


def test_a_stray_file_beside_the_labels_is_named(replayed, drives, tmp_path, capsys):
    boxes = np.load(drives / 'drive_0000_bbox.npy')
    coco = {
        'images': [{'id': t, 't': t} for t in np.unique(boxes['t']).tolist()],
        'categories': [{'id': i, 'name': name} for i, name in enumerate('abc')],
        'annotations': [
            {'image_id': int(b['t']), 'category_id': int(b['class_id']), 'bbox': b.tolist()[1:5]}
            for b in boxes
        ],
    }
    (tmp_path / 'truth.json').write_text(json.dumps(coco))
    (tmp_path / 'stray.json').write_text('[' * 100_000)
    arguments = ['--labels', str(tmp_path), '--out', str(tmp_path)]
    names = ['--label-classes', 'pedestrian,two-wheeler,car', '--json', str(tmp_path / 'm.txt')]
    assert main(['evaluate', str(replayed[1] / 'drive_0000'), *arguments, *names]) == 0
    assert 'stray.json: cannot be read (nested too deeply)' in capsys.readouterr().err
    metrics = json.loads((tmp_path / 'm.txt').read_text())
    assert 'stray.json' in metrics['label_warnings'][0]
    assert 'stray.json' in (tmp_path / 'report.html').read_text()


def test_the_table_names_every_class(replayed, drives, capsys):
    assert main(['evaluate', str(replayed[1] / 'drive_0000'), '--labels', str(drives)]) == 0
    shown = capsys.readouterr().out
    for text in ('pedestrian', 'two-wheeler', 'car', 'mAP', 'precision at 0.3', 'last-window'):
        assert text in shown


class TestErrors:
    """One sentence each, exit code 1."""

    def fails(self, capsys, *arguments) -> str:
        assert main(['evaluate', *map(str, arguments)]) == 1
        lines = capsys.readouterr().err.strip().splitlines()
        assert len([line for line in lines if not line.startswith('replay ')]) == 1
        return lines[-1]

    def test_labels_of_another_recording(self, replayed, drives, capsys):
        found, other = replayed[1] / 'drive_0000', drives / 'drive_0001_bbox.npy'
        assert 'the labels of drive_0001' in self.fails(capsys, found, '--labels', other)

    def test_no_labels(self, replayed, tmp_path, capsys):
        found = replayed[1] / 'drive_0000'
        assert 'no labels of' in self.fails(capsys, found, '--labels', tmp_path)

    def test_another_clock(self, replayed, drives, tmp_path, capsys):
        boxes = np.load(drives / 'drive_0000_bbox.npy')
        boxes['t'] += 1_700_000_000_000_000
        np.save(tmp_path / 'drive_0000_bbox.npy', boxes)
        shutil.copy(drives / 'dataset.json', tmp_path)
        sentence = self.fails(capsys, replayed[1] / 'drive_0000', '--labels', tmp_path)
        assert 'another clock' in sentence

    @pytest.mark.parametrize(
        ('change', 'expected'),
        [
            (lambda boxes: boxes[:0], 'no label is evaluated: there are none'),
            (lambda boxes: boxes.__setitem__(('x', 3)[0], np.nan) or boxes, 'is nan'),
            (lambda boxes: boxes.__setitem__('class_id', 40) or boxes, 'class id 40'),
        ],
    )
    def test_labels_that_are_none(self, replayed, drives, tmp_path, capsys, change, expected):
        shutil.copy(drives / 'dataset.json', tmp_path)
        np.save(tmp_path / 'drive_0000_bbox.npy', change(np.load(drives / 'drive_0000_bbox.npy')))
        assert expected in self.fails(capsys, replayed[1] / 'drive_0000', '--labels', tmp_path)

    def test_no_detections(self, drives, tmp_path, capsys):
        np.save(tmp_path / 'drive_0000.npy', np.zeros(0, BOX_DTYPE))
        sentence = self.fails(capsys, tmp_path / 'drive_0000.npy', '--labels', drives)
        assert 'holds no detections' in sentence

    def test_detections_that_are_no_numbers(self, replayed, drives, tmp_path, capsys):
        boxes = np.load(replayed[1] / 'drive_0000' / 'detections.npy')
        boxes['class_confidence'][0] = np.nan
        np.save(tmp_path / 'drive_0000.npy', boxes)
        sentence = self.fails(capsys, tmp_path / 'drive_0000.npy', '--labels', drives)
        assert 'class_confidence of row 0' in sentence

    def test_a_bag_without_labels(self, replayed, drives, capsys):
        sentence = self.fails(
            capsys, replayed[1] / 'drive_0000', '--labels', drives / 'drive_0000.mcap'
        )
        assert 'has 0 topics of type vision_msgs/msg/Detection2DArray' in sentence
        messages = replayed[1] / 'drive_0000' / 'detections.mcap'
        sentence = self.fails(
            capsys, replayed[1] / 'drive_0000', '--labels', messages, '--label-topic', '/x'
        )
        assert 'no topic /x' in sentence and '/detections' in sentence

    def test_the_same_recording_twice(self, replayed, drives, capsys):
        found = replayed[1] / 'drive_0000'
        assert 'are called drive_0000' in self.fails(capsys, found, found, '--labels', drives)

    def test_files_that_do_not_fit_each_other(self, replayed, drives, tmp_path, capsys):
        shutil.copytree(replayed[1] / 'drive_0000', tmp_path / 'drive_0000')
        file = tmp_path / 'drive_0000' / 'detections.npy'
        np.save(file, np.load(file)[1:])
        sentence = self.fails(capsys, tmp_path / 'drive_0000', '--labels', drives)
        assert 'its summary.json counts' in sentence
