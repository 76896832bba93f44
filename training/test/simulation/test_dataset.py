# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""``sast-ros simulate``: files that the rest of the package reads, the same for the same seed."""

import json
import os
from pathlib import Path
import resource
import shutil
import signal

import numpy as np
from program import is_gone, Program, wait_for
import pytest
from sast_ros.bags import open_recording
from sast_ros.cli import main
from sast_ros.labels import BOX_DTYPE, CLASSES, LABEL_DTYPE
from sast_ros.output import lock_folder
from sast_ros.windows import WindowCutter
from sast_ros_training.simulation import dataset
from sast_ros_training.simulation.dataset import evaluation_boxes, labelled_boxes
from sast_ros_training.simulation.models import ModelError
from sast_ros_training.simulation.sequence import SimulatedSequence

_ENDINGS = ('.mcap', '.mp4', '_bbox.npy', '_bbox_times.npy')


def simulate(folder, *more):
    arguments = ['--out', str(folder), '--seconds', '0.4', '--seed', '6', '--workers', '1', *more]
    assert main(['simulate', *arguments]) == 0
    return json.loads((folder / 'dataset.json').read_text())


@pytest.fixture(scope='module')
def two_drives(tmp_path_factory):
    """Return the folder of a data set, and what describes it."""
    folder = tmp_path_factory.mktemp('two')
    return folder, simulate(folder, '--sequences', '2')


@pytest.mark.parametrize('format_name', ['evt3', 'dvs'])
def test_the_recording_holds_the_events_of_the_drive(two_drives, tmp_path, format_name):
    folder, content = two_drives
    if format_name != 'evt3':  # the default
        folder, content = tmp_path, simulate(tmp_path, '--format', format_name, '--no-video')
    sequence = SimulatedSequence((6, 0), 0.4)
    expected = [window.chunk for window in sequence.windows()] + [sequence.tail]
    with open_recording(folder / 'drive_0000.mcap') as recording:
        assert recording.sensor_size == (240, 304)
        chunks = list(recording)
    for name in 'xypt':
        one, two = (
            np.concatenate([getattr(chunk, name) for chunk in parts])
            for parts in (chunks, expected)
        )
        np.testing.assert_array_equal(one, two)
    assert content['sequences'][0]['events'] == sum(len(chunk) for chunk in expected)


def test_boxes_are_those_of_the_windows_that_a_replay_cuts(two_drives):
    folder, content = two_drives
    for entry in content['sequences']:
        boxes = np.load(folder / f'{entry["name"]}_bbox.npy')
        assert boxes.dtype == BOX_DTYPE
        cutter = WindowCutter(50_000, 50_000)
        with open_recording(folder / f'{entry["name"]}.mcap') as recording:
            ends = {window.t_end for chunk in recording for window in cutter.cut(chunk)}
        assert len(ends) == entry['windows'] == 8
        assert set(boxes['t']) <= ends
        # Also of windows without boxes, which are labelled, too
        listed = np.load(folder / f'{entry["name"]}_bbox_times.npy')
        assert listed.dtype == np.int64 and listed.tolist() == sorted(ends)
        for index, name in enumerate(content['classes']):
            assert entry['boxes'][name] == (boxes['class_id'] == index).sum()


def test_objects_without_a_box_in_the_file_are_ignored_by_an_evaluation():
    labels = np.zeros(5, LABEL_DTYPE)
    labels['track_id'], labels['w'], labels['h'] = range(5), 20, 30
    labels['visibility'], labels['seen'] = 1, True
    labels['visibility'][1], labels['seen'][2], labels['w'][3] = 0.2, False, 7
    boxes = evaluation_boxes(labels, 240)
    assert boxes['ignored'].tolist() == [False, True, True, True, False]
    kept = labelled_boxes(labels, 240)
    assert kept.dtype == BOX_DTYPE
    for name in BOX_DTYPE.names:
        np.testing.assert_array_equal(boxes[name][~boxes['ignored']], kept[name])


@pytest.mark.parametrize(('window', 'stride'), [(100, 50), (20, 75)])
def test_boxes_are_those_of_other_windows_if_these_are_wanted(tmp_path, window, stride):
    content = simulate(tmp_path, '--window-ms', str(window), '--stride-ms', str(stride))
    assert (content['window_us'], content['label_period_us']) == (1000 * window, 1000 * stride)
    boxes = np.load(tmp_path / 'drive_0000_bbox.npy')
    cutter = WindowCutter(1000 * window, 1000 * stride)
    with open_recording(tmp_path / 'drive_0000.mcap') as recording:
        ends = {cut.t_end for chunk in recording for cut in cutter.cut(chunk)}
    assert ends == set(range(1000 * window, 400_001, 1000 * stride))
    assert content['sequences'][0]['windows'] == len(ends)
    assert len(boxes) and set(boxes['t']) <= ends


def test_the_same_arguments_give_the_same_bytes(two_drives, tmp_path):
    folder, _ = two_drives
    simulate(tmp_path, '--sequences', '2', '--workers', '2')
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(
        [f'drive_000{i}{end}' for i in (0, 1) for end in _ENDINGS] + ['dataset.json']
    )
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()


def test_a_longer_data_set_begins_with_the_shorter_one(two_drives, tmp_path):
    _, two = two_drives
    one = simulate(tmp_path, '--no-video')
    assert two['sequences'][0] == one['sequences'][0]


def test_what_is_left_of_an_earlier_simulation_is_named(two_drives, tmp_path, capsys):
    folder, _ = two_drives
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    one = simulate(tmp_path, '--no-video')
    assert 'drive_0001.mcap' in capsys.readouterr().out
    assert [entry['name'] for entry in one['sequences']] == ['drive_0000']
    # It would show another drive
    assert [path.name for path in tmp_path.glob('*.mp4')] == ['drive_0001.mp4']


@pytest.mark.parametrize('workers', [1, 2])
def test_a_stopped_simulation_lists_what_is_complete(tmp_path, workers):
    plans = [
        dataset.SequencePlan(6, index, 0.1, 'gen1', None, models, 'evt3', video=False)
        for index, models in enumerate((None, tmp_path / 'missing'))
    ]
    with pytest.raises(ModelError):
        dataset.write_dataset(tmp_path, plans, workers)
    content = json.loads((tmp_path / 'dataset.json').read_text())
    assert content['classes'] == [*CLASSES]
    assert [entry['name'] for entry in content['sequences']] == ['drive_0000']


def _killed(folder, plan):
    (folder / f'{plan.name}.mcap.part').touch()
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_is_told_and_leaves_no_part(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(dataset, '_write_and_count', _killed)
    arguments = ['--out', str(tmp_path), '--sequences', '2', '--workers', '2']
    assert main(['simulate', *arguments]) == 1
    assert 'lower --workers' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
def test_a_long_simulation_ends_at_once_with_all_its_processes(tmp_path, number):
    out = tmp_path / 'out'
    options = ['--out', str(out), '--sequences', '4', '--workers', '2', '--seconds', '60']
    with Program(tmp_path, 'sast_ros', 'simulate', *options, '--no-video') as program:
        wait_for(lambda: len([*out.glob('*.mcap.part')]) == 2)
        children = Path(f'/proc/{program.process.pid}/task/{program.process.pid}/children')
        workers = [int(pid) for pid in children.read_text().split()]
        program.end(number)
    wait_for(lambda: all(map(is_gone, workers)))
    if number == signal.SIGTERM:
        assert program.process.returncode == 143, program.log
        assert [*out.iterdir()] == []


def test_a_folder_that_another_process_writes_into_is_refused(tmp_path, capsys):
    with lock_folder(tmp_path):
        before = sorted(tmp_path.iterdir())
        assert main(['simulate', '--out', str(tmp_path), '--seconds', '0.4']) == 1
        assert sorted(tmp_path.iterdir()) == before
    assert f'process {os.getpid()}' in capsys.readouterr().err


@pytest.mark.parametrize('arguments', [[], ['--no-video']])
@pytest.mark.parametrize('size', [0, 1000])
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, capsys, size, arguments):
    arguments = ['--out', str(tmp_path), '--seconds', '0.4', *arguments]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        assert main(['simulate', *arguments]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(tmp_path / 'drive_0000') in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('sequences', [1, 2])
def test_progress_is_shown_before_the_end(tmp_path, capsys, monkeypatch, sequences):
    lines = []
    write = dataset.write_file

    def note(path, content):
        lines.extend(capsys.readouterr().err.splitlines())
        write(path, content)

    monkeypatch.setattr(dataset, 'write_file', note)
    simulate(tmp_path, '--no-video', '--sequences', str(sequences), '--workers', str(sequences))
    total = 8 * sequences
    assert len(lines) > 1 and all(line.endswith(f' of {total} windows)') for line in lines)


def test_json_on_standard_output(tmp_path, capsys):
    content = simulate(tmp_path, '--no-video', '--json', '-', '--motion', 'driving')
    assert json.loads(capsys.readouterr().out) == content
    assert content['sequences'][0]['motion'] == 'driving'


@pytest.mark.parametrize(
    'arguments',
    [
        ['--sequences', '0'],
        ['--seconds', '0'],
        ['--geometry', 'x'],
        ['--seed', '-1'],
        ['--window-ms', '4'],
        ['--stride-ms', '10001'],
    ],
)
def test_wrong_usage(arguments, tmp_path):
    assert main(['simulate', '--out', str(tmp_path / 'out'), *arguments]) == 2
    assert not (tmp_path / 'out').exists()
