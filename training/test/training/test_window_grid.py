# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""One drive through windows of several lengths and strides."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from sast_ros.bags.detections import detection_boxes
from sast_ros.detector import StreamingDetector
from sast_ros.labels import BOX_DTYPE, CLASSES
from sast_ros.model import load_model
from sast_ros.pipeline import EventPipeline
from sast_ros_training.simulation.dataset import evaluation_boxes
from sast_ros_training.simulation.sequence import SimulatedSequence
from sast_ros_training.simulation.timing import WindowTiming
import window_grid
from window_grid import detect_grid, summarise_grid

TIMINGS = [WindowTiming.from_ms(*times) for times in ((50, 50), (20, 125), (100, 25))]


def make_drive():
    return SimulatedSequence((2026, 1), 0.4, motion='pan')


@pytest.fixture(scope='module')
def detector():
    return StreamingDetector(load_model('default'), score_threshold=0.01)


@pytest.fixture(scope='module')
def found(detector):
    return detect_grid(detector, make_drive(), TIMINGS)


@pytest.mark.parametrize('timing', TIMINGS, ids=str)
def test_detections_are_those_of_the_pipeline_of_the_node(found, timing, detector):
    parts = list(make_drive().record(TIMINGS))
    labels = {
        part.t_end: evaluation_boxes(part.labels[timing], 240)
        for part in parts
        if timing in part.labels
    }
    pipeline = EventPipeline(
        detector, (240, 304), timing.window_us / 1000, timing.stride_us / 1000
    )
    expected = [one for part in parts for one in pipeline.feed(part.chunk)]
    # The last window ends with the recording: no later event completes it
    frames = found[timing][: len(expected)]
    assert len(timing.ends(400_000)) == len(found[timing]) in (len(expected), len(expected) + 1)
    for (truth, boxes), detections in zip(frames, expected, strict=True):
        wanted = detection_boxes(detections)
        wanted['track_id'] = 0  # nothing is tracked where a grid is measured
        np.testing.assert_array_equal(boxes, wanted)
        np.testing.assert_array_equal(truth, labels[detections.t_end])
    assert sum(len(boxes) for _, boxes in frames) > 0
    assert sum(len(truth) for truth, _ in frames) > 0


def test_every_cell_is_judged_on_its_own_frames():
    box = np.zeros(1, BOX_DTYPE)
    box['t'], box['w'], box['h'], box['class_id'], box['class_confidence'] = 10**6, 40, 40, 2, 1
    right, wrong, small = box.copy(), box.copy(), box.copy()
    wrong['x'] = 200
    small['w'] = small['h'] = 20  # does not count
    first, second = TIMINGS[:2]
    drives = [{first: [(box, right)], second: [(box, right)]}]
    drives.append({first: [(box, right)], second: [(box, wrong), (small, right[:0])]})
    cells = summarise_grid(drives, CLASSES, (240, 304))
    assert [(cell['window_ms'], cell['stride_ms']) for cell in cells] == [(50, 50), (20, 125)]
    assert cells[0]['ap50'] == 1 and 0.4 < cells[1]['ap50'] < 0.6
    assert [cell['images'] for cell in cells] == [2, 3]
    assert [cell['labels']['car'] for cell in cells] == [2, 2]
    # Nor do larger ones of a larger sensor
    assert [cell['ap50'] for cell in summarise_grid(drives, CLASSES, (720, 1280))] == [None] * 2


def test_script_writes_a_table_and_json(tmp_path, monkeypatch, capsys):
    result = tmp_path / 'grid.json'
    options = [
        '--sequences=2',
        '--seconds=0.7',
        f'--json={result}',
        '--motion=driving',
        '--workers=1',
    ]
    grid = ['--windows', '20', '50', '--strides', '50', '100']
    monkeypatch.setattr(sys, 'argv', ['window_grid.py', *options, *grid])
    window_grid.main()
    content = json.loads(result.read_text())
    cells = {(cell['window_ms'], cell['stride_ms']): cell for cell in content['cells']}
    assert list(cells) == [(20, 50), (20, 100), (50, 50), (50, 100)]
    # From 0.5 s on, of two drives
    assert [cell['images'] for cell in cells.values()] == [8, 4, 8, 4]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ['AP50', 'stride', '50', 'stride', '100']
    shown = f'{cells[50, 100]["ap50"]:.3f}'
    assert lines[2].split() == ['window', '50', f'{cells[50, 50]["ap50"]:.3f}', shown]
