# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of detections on real recordings: its arithmetic, and what it compares."""

from __future__ import annotations

import json
from pathlib import Path
import sys

import detection_quality
import numpy as np
from PIL import Image
import pytest
from quality_measures import false_boxes, label_speeds, localisation
import real_quality
from sast_ros.bags import open_recording
from sast_ros.bags.transcode import transcode
from sast_ros.evaluation.pairing import Frame
from sast_ros.events import EventChunk
from sast_ros.example import recording_path
from sast_ros.labels import BOX_DTYPE, CLASSES
from sast_ros.model import load_model

#: Of the bundled recording.
SECONDS = 1.5


def boxes(*rows: tuple[float, ...], t: int = 0) -> np.ndarray:
    """Make boxes of rows (x, y, w, h, class id, score)."""
    return np.array([(t, *row[:5], 0, row[5]) for row in rows], BOX_DTYPE)


@pytest.fixture(scope='module')
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a recording and labels with the names that those of real streets have."""
    folder = tmp_path_factory.mktemp('data') / 'real_video'
    folder.mkdir()
    path = folder / 'street_td.dat'
    example = recording_path('example')
    with open_recording(example) as recording:
        transcode(recording, path, end=SECONDS + 0.02)
    labels = np.load(example.with_name('example_bbox.npy'))
    np.save(folder / 'street_bbox.npy', labels[labels['t'] <= 1e6 * SECONDS])
    return path


# ------------------------------------------------------------------------------------- arithmetic


def test_edges_are_shares_of_the_size_of_the_label() -> None:
    label = boxes((100, 50, 40, 80, 2, 1))
    found = boxes((98, 42, 46, 88, 2, 0.9), (98, 42, 46, 88, 1, 0.9), (98, 42, 46, 88, 2, 0.2))
    result = localisation([[Frame(0, label, found)]])
    assert (result['matches'], result['moving']) == (1, 0)  # neither another class nor a low score
    medians = {name: result[name]['median'] for name in ('left', 'top', 'right', 'bottom')}
    assert medians == {'left': -0.05, 'top': -0.1, 'right': 0.1, 'bottom': 0}
    assert [result[axis]['median'] for axis in 'xy'] == [1, -4]
    assert 'leading' not in result


def test_spread_is_that_of_a_normal_distribution() -> None:
    offsets = np.random.default_rng(0).normal(4, 2, 4000)
    frames = [
        Frame(i, boxes((0, 0, 100, 50, 0, 1)), boxes((offset, 0, 100, 50, 0, 0.5)))
        for i, offset in enumerate(offsets)
    ]
    left = localisation([frames])['left']
    assert left['median'] == pytest.approx(0.04, abs=0.002)
    assert left['spread'] == pytest.approx(0.02, abs=0.002)


@pytest.mark.parametrize('direction', [1, -1])
@pytest.mark.parametrize('axis', [0, 1])
def test_lag_is_told_from_a_constant_distance(direction: int, axis: int) -> None:
    recordings = []
    for speed in (40, 80, 160, 240):
        frames = []
        for number in range(6):
            place, ahead = direction * speed * 0.05 * number + 100, 1.5 - 0.02 * speed
            row = [60.0, 60.0, 50.0, 50.0, 0, 1.0]
            row[axis] = place
            truth = boxes(tuple(row))
            # One pixel larger on both sides
            row[axis], row[2 + axis] = place + direction * ahead - 1, 52.0
            frames.append(Frame(50_000 * number, truth, boxes(tuple(row))))
        recordings.append(frames)
    result = localisation(recordings)
    assert (result['matches'], result['moving']) == (24, 16)  # no speed in first and last frames
    assert result['along'] == {'constant_px': 1.5, 'lag_ms': 20.0}
    ahead = np.array([1.5 - 0.02 * speed for speed in (40, 80, 160, 240)])
    assert result['leading']['median'] == pytest.approx(np.median(1 + ahead) / 50, abs=1e-4)
    assert result['trailing']['median'] == pytest.approx(np.median(1 - ahead) / 50, abs=1e-4)


def test_speed_is_that_of_the_same_object_in_the_frames_around() -> None:
    rows = [
        [(10, 10, 40, 40, 2, 1), (200, 10, 40, 40, 0, 1)],
        [(200, 14, 40, 40, 0, 1), (14, 10, 40, 40, 2, 1)],  # in another order
        [(18, 10, 40, 40, 2, 1), (200, 18, 40, 40, 1, 1)],  # the second has another class
    ]
    frames = [Frame(40_000 * i, boxes(*some), boxes()) for i, some in enumerate(rows)]
    speeds = label_speeds(frames)
    np.testing.assert_allclose(speeds[1], [[0, 0], [100, 0]])
    assert not speeds[0].any() and not speeds[2].any()


def test_boxes_per_window_and_minute() -> None:
    windows = np.arange(1, 11) * 50_000
    times = np.array([50_000, 50_000, 100_000, 450_000])
    scores = np.array([0.3, 0.9, 0.29, 0.11], np.float32)
    result = false_boxes(times, scores, windows, 50_000, (0.3, 0.1))
    assert result['windows'] == 10
    assert result['0.3'] == {'per_window': 0.2, 'per_minute': 240, 'windows_with_any': 0.1}
    assert result['0.1'] == {'per_window': 0.4, 'per_minute': 480, 'windows_with_any': 0.3}


def test_noise_is_added_and_nothing_lost() -> None:
    t = np.arange(0, 1_000_000, 1000)
    x = (np.arange(1000) % 40).astype(np.uint16)
    events = EventChunk(x, x, (x % 2).astype(np.uint8), t, width=60, height=50)
    noisy = real_quality.add_noise(events, 5.0)
    assert len(noisy) - 1000 == pytest.approx(5 * 60 * 50, rel=0.05)
    assert (np.diff(noisy.t) >= 0).all() and noisy.t[-1] == t[-1]
    added = ~np.isin(noisy.t, t)
    assert noisy.x.max() == 59 and noisy.y.max() == 49
    assert noisy.p[added].mean() == pytest.approx(0.5, abs=0.03)
    # Of equal times the old event comes first
    old = np.searchsorted(noisy.t, t, 'left')
    for name in 'xypt':
        np.testing.assert_array_equal(getattr(noisy, name)[old], getattr(events, name))


# ------------------------------------------------------------------------------------- recordings


def test_windows_end_at_the_times_asked_for(video: Path) -> None:
    model, events = load_model('default'), real_quality.read_events(video)
    times = np.array([510_000, 620_000, 760_000, 1_010_000])  # two phases of 50 ms
    found = real_quality.detect_at(model, events, times)
    assert found.windows['t'].tolist() == times.tolist()
    whole = real_quality.detect(model, events, 10_000)
    shared = np.isin(whole.boxes['t'], [510_000, 760_000, 1_010_000])
    np.testing.assert_array_equal(found.boxes[found.boxes['t'] != 620_000], whole.boxes[shared])
    assert shared.any() and (found.boxes['t'] == 620_000).any()


def test_windows_that_end_at_the_labels_are_the_last_ones_before_them(video: Path) -> None:
    result = real_quality.measure_video('default', video, CLASSES)
    rows = result['rows']
    # The labels of the example are of the ends of its windows
    assert rows['age 0'] == rows['all scores']
    assert rows['all scores']['age_ms'] == 0 and rows['all scores']['ap50'] > 0.5
    assert result['localisation']['age 0'] == result['localisation']['all scores']
    assert result['localisation']['age 0']['matches'] > 20
    assert rows['10 Hz']['recall'] < rows['all scores']['recall']
    assert rows['sast-ros replay']['recall'] == rows['all scores']['recall']


def test_labels_between_windows_are_older_than_the_detections(video: Path, tmp_path: Path) -> None:
    path = tmp_path / video.name
    path.symlink_to(video)
    labels = np.load(video.with_name('street_bbox.npy'))
    labels['t'] -= 20_000
    np.save(tmp_path / 'street_bbox.npy', labels)
    rows = real_quality.measure_video('default', path, CLASSES)['rows']
    assert rows['all scores']['age_ms'] == 30
    assert rows['stride 25 ms']['age_ms'] == 5
    assert rows['age 0']['age_ms'] == 0


def test_script_measures_what_is_there_and_names_what_is_not(
    video: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        real_quality, 'EMPTY', {'made': 'real_video/street_td.dat', 'hand': 'none/hand.raw'}
    )
    monkeypatch.setattr(real_quality, 'VIDEOS', {'street': CLASSES, 'alley': CLASSES})
    written, picture = tmp_path / 'quality.json', tmp_path / 'worst.png'
    data = f'--data={video.parent.parent}'
    options = ['--parts', 'video', 'empty', data, '--workers=1', f'--json={written}']
    options.append(f'--picture={picture}')
    monkeypatch.setattr(sys, 'argv', ['detection_quality.py', *options])
    detection_quality.main()
    result = json.loads(written.read_text())
    made = result['empty']['made']
    assert made['windows'] == SECONDS * 20 and made['0.1']['per_window'] >= 0.5
    assert made['0.1']['per_window'] >= made['0.3']['per_window'] > 0
    assert result['empty']['hand'] == {'skipped': 'there is no none/hand.raw in --data'}
    assert 'real_video/alley_td.dat' in result['video']['alley']['skipped']
    assert result['command']['parts'] == ['video', 'empty']
    assert str(tmp_path) not in written.read_text()
    assert Image.open(picture).size == (round(360 * 304 / 240), 360)
    text = capsys.readouterr().out
    assert 'hand: left out, there is no none/hand.raw' in text
    shown = f'{result["video"]["street"]["rows"]["age 0"]["ap50"]:.3f}'
    assert next(line for line in text.splitlines() if 'age 0' in line).split()[3] == shown
