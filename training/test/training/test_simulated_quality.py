# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of detections on simulated drives: which drives and boxes a row has."""

from __future__ import annotations

import json
import sys

import detection_quality
import numpy as np
import pytest
from sast_ros.evaluation.metrics.coco import mark_ignored
from sast_ros.evaluation.metrics.matching import match_recording
from sast_ros.labels import BOX_DTYPE, CLASSES
import simulated_quality
import tracking_quality


def boxes(*rows, t=1_000_000):
    """Make boxes of rows (x, y, w, h, class id, score)."""
    return np.array([(t, *row[:5], 0, row[5]) for row in rows], BOX_DTYPE)


def marked(labels):
    """Give labels the field ``ignored``."""
    return mark_ignored(labels, labels[:0], np.zeros(len(labels), bool))


def drive(found_at, *, times=(500_000, 1_000_000, 1_050_000), size=40, **facts):
    """Make a drive with a car of a size in every window, found at a distance from it."""
    return {
        'classes': list(CLASSES),
        'motion': 'static',
        'scene': 'street',
        'light': 'day',
        'noise_hz': 0.01,
        'road_users': 1,
        'geometry': 'gen1',
        'images': [
            (
                marked(boxes((50, 50, size, size, 2, 1), t=t)),
                boxes((50 + found_at, 50, size, size, 2, 0.75), t=t),
                t // 1000,
            )
            for t in times
        ],
        **facts,
    }


def test_every_row_has_its_drives():
    drives = [
        drive(0),
        drive(0, motion='pan', light='night'),
        drive(100, scene='near', noise_hz=2.0),
        drive(100, geometry='vga'),
    ]
    result = simulated_quality.summarise(drives)
    rows = result['average_precision']
    # From 0.5 s on; those of the other sensor are apart
    assert {name: row['images'] for name, row in rows.items() if 'px' not in name} == {
        'all cameras': 6,
        'pan': 2,
        'static': 4,
        'near': 2,
        'street': 4,
        'day': 4,
        'night': 2,
        'noise 0 to 0.1 Hz': 4,
        'noise 1 Hz and more': 2,
        'sensor vga': 2,
        **{name: rows[name]['images'] for name in rows if 'Mev/s' in name},
    }
    assert sum(row['images'] for name, row in rows.items() if 'Mev/s' in name) == 6
    wrong = {name for name, row in rows.items() if row['ap50'] == 0}
    assert wrong == {'near', 'noise 1 Hz and more', 'sensor vga'}
    assert rows['pan']['ap50'] == rows['street']['ap50'] == 1
    assert result['operating_point']['car'] == {'precision': 2 / 3, 'recall': 2 / 3}
    assert result['calibration_error'] == pytest.approx(0.75 - 2 / 3)
    assert result['localisation']['matches'] == 4


def test_boxes_of_drives_without_road_users_are_counted_by_window():
    assert simulated_quality.in_empty_drives([]) is None
    empty = [drive(0, road_users=0), drive(0, road_users=0, times=(50_000,))]
    empty[1]['images'] = [(marked(boxes()), boxes(), 0)]
    result = simulated_quality.summarise([drive(0), *empty])['without_road_users']
    assert result['windows'] == 4
    # The scores are 0.75
    assert result['0.3'] == {'per_window': 0.75, 'per_minute': 900, 'windows_with_any': 0.75}


def test_objects_count_in_the_row_of_their_size():
    rows = simulated_quality.by_size([drive(0), drive(0, size=60), drive(200, size=120)], CLASSES)
    assert [row['labels']['car'] for row in rows.values()] == [2, 2, 2]
    assert [row['ap50'] for row in rows.values()] == [1, 1, 0]


def test_detections_of_ignored_objects_are_not_false():
    known, hidden = drive(0), drive(0)
    for labels, *_ in hidden['images']:
        labels['ignored'] = True
    result = simulated_quality.summarise([known, hidden])
    row = result['average_precision']['all cameras']
    assert (row['labels']['car'], row['ap50']) == (2, 1)
    assert result['operating_point']['car'] == {'precision': 1, 'recall': 1}


def test_detections_of_ignored_objects_that_are_small_are_not_false_either():
    hidden = drive(0, size=22)  # with a large enough diagonal, its label not
    for labels, *_ in hidden['images']:
        labels['ignored'], labels['w'], labels['h'] = True, 20, 20
    row = simulated_quality.judge([drive(0), hidden], CLASSES)
    assert (row['labels']['car'], row['ap50']) == (2, 1)
    for matched in (
        match_recording(simulated_quality.paired(hidden)),
        tracking_quality.match(hidden),
    ):
        assert not any(len(frame.reported) for frame in matched.frames)  # all are ignored
        assert [len(frame.frame.regions) for frame in matched.frames][-2:] == [1, 1]


def test_boxes_that_do_not_count_are_no_frames_of_their_own():
    large, small = drive(0, size=25), drive(0, size=25, geometry='1mpx')
    assert [len(frame.labels) for frame in simulated_quality.paired(large).frames] == [1, 1]
    # Twice as large ones count at 1 megapixel
    assert [len(frame.labels) for frame in simulated_quality.paired(small).frames] == [0, 0]


def test_script_measures_drives_and_the_grid(tmp_path, monkeypatch, capsys):
    written = tmp_path / 'quality.json'
    options = ['--sequences=2', '--grid-sequences=1', '--seconds=0.7', '--workers=1']
    monkeypatch.setattr(
        sys,
        'argv',
        ['detection_quality.py', '--parts', 'grid', 'drives', *options, f'--json={written}'],
    )
    detection_quality.main()
    result = json.loads(written.read_text())
    whole = result['drives']['average_precision']['all cameras']
    assert whole['images'] == 8 and set(whole['labels']) == set(CLASSES)
    assert [cell['window_ms'] for cell in result['grid']['cells']] == [20] * 5 + [50] * 5 + [
        100
    ] * 5
    assert [cell['stride_ms'] for cell in result['grid']['cells'][:5]] == [25, 50, 75, 100, 125]
    text = capsys.readouterr().out
    assert 'all cameras' in text and 'calibration error' in text
    assert text.index('stride 25') < text.index('all cameras')  # in the order of --parts
