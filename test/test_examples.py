# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The scripts of examples/ run and print what they promise."""

from __future__ import annotations

import json
from pathlib import Path
import re
import shutil
import subprocess
import sys

from bags.recordings import event_messages, EVENT_PACKET, TOPIC, write_recording
import numpy as np
import pytest
from sast_ros.bags import open_recording
from sast_ros.bags.names import recording_stem
from sast_ros.cli import main
from sast_ros.evaluation.boxes import read_boxes

EXAMPLES = Path(__file__).resolve().parent.parent / 'examples'
MESSAGES, EVENTS = 24, 50  # in 240 ms


def run(name: str, *arguments: object) -> list[str]:
    """Run a script and return the lines that it prints."""
    command = [sys.executable, EXAMPLES / name, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    """Give a recording of 24 messages of 50 events, 10 ms each."""
    messages = event_messages(EVENT_PACKET, MESSAGES, EVENTS, period_ns=10_000_000)
    topics = {TOPIC: (EVENT_PACKET, messages)}
    return write_recording(tmp_path_factory.mktemp('bag'), 'mcap', topics)


def test_every_example_is_run_here():
    source = Path(__file__).read_text()
    # Which have a network, or the node, for it
    for other in ('test_export.py', 'system/test_detections_to_3d.py'):
        source += Path(__file__).parent.joinpath(other).read_text()
    assert [path.name for path in EXAMPLES.glob('*.py') if f"'{path.name}'" not in source] == []


@pytest.mark.parametrize(
    'script', [path for path in sorted(EXAMPLES.glob('*.py')) if 'sys.argv[' in path.read_text()]
)
def test_without_its_arguments_an_example_prints_its_usage(script):
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 1
    assert f'python {script.name} ' in done.stderr
    assert 'Traceback' not in done.stderr


def test_replay_recording_prints_a_line_for_each_window(bag):
    lines = run('replay_recording.py', bag)
    assert len(lines) == 4  # of 50 ms, the fifth is never complete
    times = [int(line.split()[0]) for line in lines]
    assert [late - early for early, late in zip(times, times[1:])] == [50_000] * 3


def test_replay_recording_reads_a_real_recording(shared):
    lines = run('replay_recording.py', shared / 'data' / 'ecp_evt3_vga' / 'test_events_1.bag')
    assert len(lines) == 41
    assert lines[0].startswith('7189845 ')


def test_detect_in_arrays_prints_windows_and_boxes():
    windows = [line for line in run('detect_in_arrays.py') if ' us: ' in line]
    assert len(windows) == 5
    events = sum(int(re.search(r'us: (\d+) events', line).group(1)) for line in windows)
    assert 190_000 < events < 200_000  # those after 250 ms are in no complete window


def test_decode_messages_prints_a_line_for_each_message(bag):
    lines = run('decode_messages.py', bag)
    assert len(lines) == MESSAGES
    assert all(line.startswith(f'{EVENTS} events, ') for line in lines)


def test_read_detections_prints_what_the_replay_has_written(bag, tmp_path, capsys):
    assert main(['replay', str(bag), '--out', str(tmp_path)]) == 0
    capsys.readouterr()
    summary = json.loads((tmp_path / 'summary.json').read_text())
    lines = run('read_detections.py', tmp_path)
    counts = [int(number) for number in re.findall(r'\d+', lines[0])]
    assert counts == [summary['windows'], summary['events'], summary['detections']]
    assert [line.split(':')[0] for line in lines[1:-1]] == summary['classes']


@pytest.mark.parametrize('frames', [False, True])
def test_labels_to_npy_writes_what_a_training_reads(bag, tmp_path, frames):
    path = tmp_path / bag.name
    shutil.copytree(bag, path) if bag.is_dir() else shutil.copy(bag, path)
    with open_recording(path) as recording:
        first = next(int(chunk.t[0]) for chunk in recording if len(chunk))
    times = [first, first + 50_000, first + 100_000]
    source = tmp_path / 'labels.json'
    images = [
        {'id': number, 'file_name': f'{number}.png'} | ({} if frames else {'t': t})
        for number, t in enumerate(times)
    ]
    box = {'id': 1, 'image_id': 1, 'category_id': 7, 'bbox': [1, 2, 30, 40]}
    categories = [{'id': 7, 'name': 'car'}]
    source.write_text(
        json.dumps({'images': images, 'annotations': [box], 'categories': categories})
    )
    stem, fps = recording_stem(path), [20] if frames else []
    times_file = path.with_name(f'{stem}_bbox_times.npy')
    index = path.with_name('dataset.json')
    index.write_text('{"classes": ["Person"]}')
    with pytest.raises(AssertionError, match='classes car'):
        run('labels_to_npy.py', path, source, *fps)
    index.write_text('{"classes": ["Person", "Car"]}')
    lines = run('labels_to_npy.py', path, source, *fps)
    assert lines == ['1 boxes at 3 times', 'classes: Person, Car']
    (row,) = read_boxes(path.with_name(f'{stem}_bbox.npy'))
    assert row['class_id'] == 1
    with pytest.raises(AssertionError, match='_bbox.npy: exists'):
        run('labels_to_npy.py', path, source, *fps)
    for file in (path.with_name(f'{stem}_bbox.npy'), index):
        file.unlink()
    np.save(times_file, [7])
    lines = run('labels_to_npy.py', path, source, *fps)
    assert lines == ['1 boxes at 3 times', 'classes: car']
    assert json.loads(index.read_text()) == {'classes': ['car']}
    (row,) = read_boxes(path.with_name(f'{stem}_bbox.npy'))
    assert (row['t'], row['class_id'], row['w']) == (times[1], 0, 30)
    np.testing.assert_array_equal(np.load(times_file), times)
