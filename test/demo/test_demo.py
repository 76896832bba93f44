# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The demonstration on real topics, shortened.

Also what it says when one of its processes fails.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import time

from bags.recordings import random_chunk, write_dat
from facts import facts
import numpy as np
from program import wait_for
import pytest

pytest.importorskip('rclpy', reason='the demonstration needs ROS 2')
pytest.importorskip(
    'vision_msgs.msg', reason='the demonstration needs the message packages of msg/'
)

from sast_ros.bags import open_recording, RecordingError  # noqa: E402 - after the skips
from sast_ros.cli import main  # noqa: E402 - after the skips
from sast_ros.demo import DemoError, run_demo  # noqa: E402 - after the skips
from sast_ros.demo.processes import private_domain  # noqa: E402 - after the skips
from sast_ros.evaluation.box_filter import BOXES_GEN1  # noqa: E402 - after the skips
from sast_ros.evaluation.metrics.matching import match_recording  # noqa: E402 - after the skips
from sast_ros.evaluation.metrics.operating_point import operating_point  # noqa: E402
from sast_ros.evaluation.pairing import Frame, PairedRecording  # noqa: E402 - after the skips
from sast_ros.labels import BOX_DTYPE  # noqa: E402 - after the skips
from sast_ros.windows import WindowCutter  # noqa: E402 - after the skips


def test_every_window_of_the_bundled_recording_comes_back_in_order(
    tmp_path: Path, ros_domain: str, sure_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    av = pytest.importorskip('av')
    mcap_reader = pytest.importorskip('mcap.reader')
    arguments = ['--seconds', '1.5', '--model', str(sure_weights), '--out', str(tmp_path)]
    assert main(['demo', *arguments]) == 0
    said = capsys.readouterr().out
    assert 'sast-ros view example --page' in said
    assert 'UNTRAINED' not in said
    assert '0 lost, in order' in said
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert summary['complete']
    assert summary['trained']
    assert summary['classes'] == ['pedestrian', 'two-wheeler', 'car']
    sent = summary['windows']['sent']
    assert sent == 30
    assert summary['windows'] == {'sent': sent, 'received': sent, 'lost': 0, 'in_order': True}
    assert summary['messages']['sent'] == summary['messages']['received'] > 300
    assert 0 < summary['latency_ms']['median'] <= summary['latency_ms']['p99']
    assert len(summary['kept_tokens']) == 4
    assert all(0 < share <= 1 for share in summary['kept_tokens'])
    assert summary['node']['windows done'] == sent
    check_accuracy(tmp_path, summary, said)
    check_windows(tmp_path, sent)
    with av.open(str(tmp_path / 'overlay.mp4')) as video:
        assert sum(1 for _ in video.decode(video=0)) == sent
    with (tmp_path / 'detections.mcap').open('rb') as stream:
        assert sum(1 for _ in mcap_reader.make_reader(stream).iter_messages()) == sent
    if summary['not_written']:  # matplotlib or faster-coco-eval is missing
        assert 'pip install' in summary['not_written']['report.html']
    else:
        page = (tmp_path / 'report.html').read_text(encoding='utf-8')
        assert 'href="overlay.mp4#t=' in page and 'src="data:image/webp' in page
        assert 'report.html' in said
    assert os.environ['ROS_DOMAIN_ID'] == ros_domain


def check_accuracy(folder: Path, summary: dict, said: str) -> None:
    """See that precision and recall are those of the files that were written."""
    accuracy = summary['accuracy']
    with open_recording('example') as recording:
        labels = np.load(recording.path.with_name('example_bbox.npy'))
    found = np.load(folder / 'detections.npy')
    assert found.dtype == BOX_DTYPE
    assert summary['detections'] == len(found) > 0
    times = 50_000 * np.arange(1, summary['windows']['sent'] + 1)
    truth, large = labels[BOXES_GEN1(labels)], found[BOXES_GEN1(found)]
    frames = tuple(
        Frame(t, truth[truth['t'] == t], large[large['t'] == t])
        for t in times.tolist()
        if t > BOXES_GEN1.skip_us and t in truth['t']
    )
    classes = tuple(summary['classes'])
    paired = PairedRecording('example', classes, frames, found[:0], 0)
    assert accuracy == operating_point([match_recording(paired)], classes)
    assert accuracy['labels'] > 0
    assert re.search(r'car +precision \d\.\d\d, recall \d\.\d\d .*matched', said)


def check_windows(folder: Path, count: int) -> None:
    """See that the windows are those of a replay, on the clock of the recording."""
    cutter = WindowCutter(50_000, 50_000)
    with open_recording('example') as recording:
        expected = [window for chunk in recording for window in cutter.cut(chunk)][:count]
    rows = np.load(folder / 'windows.npy')
    for name, values in (
        ('t', [window.t_end for window in expected]),
        ('stamp_ns', [window.stamp_ns for window in expected]),
        ('events', [len(window) for window in expected]),
    ):
        np.testing.assert_array_equal(rows[name], values)


def test_a_file_without_messages_and_labels_is_played_by_untrained_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_dat(tmp_path / 'drive.dat', random_chunk(30_000_000, 520_000, 5000))
    arguments = [str(path), '--model', 'gen1-tiny', '--out', str(tmp_path)]
    assert main(['demo', *arguments]) == 0
    said = capsys.readouterr()
    assert 'UNTRAINED' in said.out
    assert f'view {path} --page --model gen1-tiny' in said.out
    assert 'report.html was not written' in said.err and '--labels' in said.err
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert summary['complete'] and not summary['trained']
    assert summary['accuracy'] is None
    assert summary['windows']['received'] == 10
    rows = np.load(tmp_path / 'windows.npy')
    with open_recording(path) as recording:
        first = int(next(iter(recording)).t[0])
    assert rows['t'].tolist() == [first + 50_000 * (index + 1) for index in range(10)]
    assert rows['stamp_ns'].tolist() == (1000 * rows['t']).tolist()
    assert (tmp_path / 'overlay.mp4').exists()


def test_a_node_that_cannot_start_says_why(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(DemoError, match=facts('detector', 'missing.safetensors')):
        run_demo(tmp_path, seconds=1, model=str(tmp_path / 'missing.safetensors'))
    assert time.monotonic() - began < 60
    assert not (tmp_path / 'summary.json').exists()


def test_what_cannot_be_played_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=facts('no_such_bag')):
        run_demo(tmp_path, tmp_path / 'no_such_bag')
    with pytest.raises(DemoError, match=facts('no_such_labels')):
        run_demo(tmp_path, labels=tmp_path / 'no_such_labels')
    assert not list(tmp_path.glob('*.log'))


def test_the_domain_is_not_the_one_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))
    before = dict(os.environ)
    with private_domain():
        assert os.environ['ROS_DOMAIN_ID'] != before['ROS_DOMAIN_ID']
        assert 1 <= int(os.environ['ROS_DOMAIN_ID']) <= 100
        assert os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'
    assert dict(os.environ) == before


def test_no_process_is_left_when_the_demo_is_terminated(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [sys.executable, '-m', 'sast_ros', 'demo', '--out', str(tmp_path)],
        cwd=Path(__file__).resolve().parents[2],
        stderr=subprocess.PIPE,
        text=True,
    )
    children = Path(f'/proc/{demo.pid}/task/{demo.pid}/children')
    if not children.exists():
        demo.kill()
        pytest.skip('the kernel does not list the children of a process')
    wait_for(lambda: len(children.read_text().split()) == 2)
    pids = children.read_text().split()
    # Whatever the node logs first, it runs then
    wait_for(lambda: (tmp_path / 'node.log').read_text())
    demo.send_signal(signal.SIGTERM)
    assert demo.wait(40) == 143
    assert not any(Path(f'/proc/{pid}').exists() for pid in pids)
    assert 'Traceback' not in demo.stderr.read()
