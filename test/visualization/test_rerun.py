# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A recording in Rerun: the file read back, and its viewer in a real browser."""

from __future__ import annotations

import os
from pathlib import Path
import signal
import subprocess
import time

from browser import Browser, CHROMIUM, NO_CHROMIUM
import numpy as np
from program import Program
import pytest
from sast_ros.cli import main
from sast_ros.detections import Detections, StageShare, TokenMap
from sast_ros.events import EventChunk
from sast_ros.example import EXAMPLE
from sast_ros.windows import EventWindow

pytest.importorskip('rerun', reason='rerun-sdk is not installed: make test-view')
Picture = pytest.importorskip('PIL.Image')
rerun_log = pytest.importorskip('sast_ros.visualization.rerun_log')

WIDTH, HEIGHT, WINDOW_US = 304, 240, 50_000


def window_of(number: int, count: int) -> tuple[EventWindow, Detections]:
    """Return a window with random events and ``number`` boxes."""
    random = np.random.default_rng(number)
    start = number * WINDOW_US
    events = EventChunk(
        random.integers(0, WIDTH, count).astype(np.uint16),
        random.integers(0, HEIGHT, count).astype(np.uint16),
        random.integers(0, 2, count).astype(np.uint8),
        np.sort(random.integers(start, start + WINDOW_US, count)),
        width=WIDTH,
        height=HEIGHT,
    )
    parts = (events,) if count else ()
    window = EventWindow(start, start + WINDOW_US, parts, WIDTH, HEIGHT, 1000 * start)
    corners = random.uniform(0, 100, (number, 2)).astype(np.float32)
    detections = Detections(
        boxes=np.hstack([corners, corners + 20]),
        scores=np.full(number, 0.5, np.float32),
        class_ids=np.arange(number) % 2,
        objectness=np.ones(number, np.float32),
        class_scores=np.ones(number, np.float32),
        class_names=('pedestrian', 'car'),
        width=WIDTH,
        height=HEIGHT,
        kept=tuple(StageShare(0.5, stage / 10) for stage in range(1, 5)),
        t_end=start + WINDOW_US,
    )
    return window, detections


def read(path: Path) -> dict[str, dict[str, list]]:
    """Return the columns of every entity of a file, chunk after chunk, without static ones."""
    try:
        from rerun.chunk import RrdReader
    except ImportError:  # before 0.41
        from rerun.experimental import RrdReader

    found: dict[str, dict[str, list]] = {}
    for chunk in RrdReader(path).stream():
        if chunk.is_static:
            continue
        columns = found.setdefault(chunk.entity_path, {})
        batch = chunk.to_record_batch()
        for name, values in zip(batch.schema.names, batch.columns):
            columns.setdefault(name, []).extend(values.to_pylist())
    return found


def test_a_file_holds_every_window_on_one_timeline(tmp_path):
    path = tmp_path / 'x.rrd'
    log = rerun_log.RerunLog()
    log.save(path)
    counts = [0, 1, 5 * rerun_log.MAX_POINTS + 1]
    for number, count in enumerate(counts):
        tokens = TokenMap(np.full((60, 76), number % 3, np.uint8), 4)
        log.log(*window_of(number, count), latency_ms=10.0 * number, tokens=tokens)
    log.close()
    found = read(path)
    assert found.keys() == {
        *('/camera/events', '/camera/detections', '/camera/tokens', '/events', '/rate/events'),
        *('/kept/stage_1', '/kept/stage_2', '/kept/stage_3', '/kept/stage_4', '/latency/step'),
    }
    for columns in found.values():
        assert [value.total_seconds() for value in columns['time']] == [0.05, 0.1, 0.15]
        assert not {'log_time', 'log_tick'} & columns.keys()
    assert found['/rate/events']['Scalars:scalars'] == [[c / 0.05 / 1e6] for c in counts]
    assert found['/kept/stage_3']['Scalars:scalars'] == [[pytest.approx(30.0)]] * 3
    assert found['/latency/step']['Scalars:scalars'] == [[0.0], [10.0], [20.0]]
    assert found['/camera/detections']['Boxes2D:labels'] == [
        [],
        ['pedestrian 0.50'],
        ['pedestrian 0.50', 'car 0.50'],
    ]
    boxes = window_of(2, counts[2])[1].boxes
    centres = np.array(found['/camera/detections']['Boxes2D:centers'][2])
    assert np.allclose(centres, boxes[:, :2] + 10)
    points = [len(value) for value in found['/events']['Points3D:positions']]
    assert points[:2] == [0, 1]
    assert rerun_log.MAX_POINTS / 2 < points[2] <= rerun_log.MAX_POINTS


def test_the_command_writes_the_windows_of_the_replay(tmp_path):
    path, replayed = tmp_path / 'x.rrd', tmp_path / 'replay'
    assert main(['view', str(EXAMPLE), '--save', str(path)]) == 0
    assert main(['replay', str(EXAMPLE), '--out', str(replayed)]) == 0
    found = read(path)
    windows = np.load(replayed / 'windows.npy')
    times = [round(1e6 * value.total_seconds()) for value in found['/camera/events']['time']]
    assert times == windows['t'].tolist()
    assert found['/camera/tokens']['time'] == found['/camera/events']['time']
    labels = [
        label for labels in found['/camera/detections']['Boxes2D:labels'] for label in labels
    ]
    assert len(labels) == len(np.load(replayed / 'detections.npy'))


def test_there_must_be_something_to_view(capsys):
    assert main(['view']) == 2
    assert '--topic' in capsys.readouterr().err
    assert main(['view', '--topic', '/events', '--model', 'default']) == 2
    assert 'node' in capsys.readouterr().err


URL = r'Rerun: (\S+)'


def serve(folder: Path) -> Program:
    """Start ``sast-ros view example --web``, for a ``with`` block."""
    return Program(folder, 'sast_ros', 'view', str(EXAMPLE), '--web', '--port', '0')


def viewers_of(process: subprocess.Popen) -> list[int]:
    """Return the processes that a process has started."""
    path = Path(f'/proc/{process.pid}/task/{process.pid}/children')
    return list(map(int, path.read_text().split()))


@pytest.mark.parametrize('when', [r'(Rerun: )', r'(100 %)'], ids=['at once', 'at the end'])
@pytest.mark.parametrize(
    ('request_to_end', 'code'), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
def test_it_ends_when_it_is_told_to(tmp_path, when, request_to_end, code):
    with serve(tmp_path) as view:
        view.wait_for(when)
        (viewer,) = viewers_of(view.process)
        view.process.send_signal(request_to_end)
        assert view.process.wait(60) == code
        assert 'Traceback' not in view.log and 'ERROR' not in view.log
        assert not Path(f'/proc/{viewer}').exists()


@pytest.mark.parametrize('when', [r'(Rerun: )', r'(100 %)'], ids=['at once', 'at the end'])
def test_it_ends_when_the_viewer_is_closed(tmp_path, when):
    with serve(tmp_path) as view:
        view.wait_for(when)
        (viewer,) = viewers_of(view.process)
        os.kill(viewer, signal.SIGTERM)
        assert view.process.wait(60) == 0
        assert 'Traceback' not in view.log and 'bug' not in view.log


@pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)
def test_the_web_viewer_shows_a_picture_that_moves(tmp_path):
    with serve(tmp_path) as view:
        flags = (
            *('--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist'),
            '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1',  # no internet
        )
        with Browser(tmp_path / 'profile', *flags) as browser:
            browser.show_as(1000, 700)
            browser.open(view.wait_for(URL))

            def picture() -> np.ndarray:
                shown = Picture.open(browser.screenshot(tmp_path / 'shown.png')).convert('RGB')
                return np.asarray(shown)[60:400, 10:590]  # the view with events and detections

            def wait_for(condition: object) -> np.ndarray:
                limit = time.monotonic() + 100
                while not condition(seen := picture()):
                    assert time.monotonic() < limit, browser.problems
                return seen

            def has_boxes(seen: np.ndarray) -> bool:
                spread = seen.max(axis=2).astype(int) - seen.min(axis=2)
                dark = (seen.max(axis=2) < 40).mean()
                return (spread > 90).sum() > 200 and dark > 0.2

            first = wait_for(has_boxes)
            wait_for(lambda seen: has_boxes(seen) and (seen != first).any(axis=2).mean() > 0.005)
