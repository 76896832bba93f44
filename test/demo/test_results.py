# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What is made of the messages that came back."""

from __future__ import annotations

from pathlib import Path
import sys

from bags.recordings import (
    EVENT_ARRAY,
    event_array,
    EVENT_PACKET,
    event_packet,
    random_events,
    START_NS,
    TOPIC,
    write_recording,
)
from events.encoders import point_cloud, points
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='the demonstration needs ROS 2')
pytest.importorskip(
    'vision_msgs.msg', reason='the demonstration needs the message packages of msg/'
)

from sast_ros.bags import open_recording, Recording  # noqa: E402 - after the skips
from sast_ros.demo.observer import DemoSession  # noqa: E402 - after the skips
from sast_ros.demo.playback import Playback  # noqa: E402 - after the skips
from sast_ros.demo.results import _answered_windows, write_results  # noqa: E402 - after the skips
from sast_ros.detector import Detections  # noqa: E402 - after the skips
from sast_ros.events import POINT_CLOUD  # noqa: E402 - after the skips
from sast_ros.example import recording_path  # noqa: E402 - after the skips
from sast_ros.ros.messages import detection_array  # noqa: E402 - after the skips
from sast_ros.windows import WindowCutter  # noqa: E402 - after the skips

CLASSES = ('pedestrian', 'two-wheeler', 'car')
SHIFT_NS = 50_000_000 * 10**9
BOX = (10.0, 20.0, 50.0, 80.0)


def session_of(playback: Playback) -> DemoSession:
    """Return what a node sends that finds a car of the same size in every window."""
    session = DemoSession(class_names=CLASSES)
    for due_ns, raw in playback.messages(SHIFT_NS):
        session.first_message = session.first_message or raw
        session.arrivals_ns.append(due_ns)
    cutter = WindowCutter(50_000, 50_000)
    for chunk in playback.chunks(SHIFT_NS):
        for window in cutter.cut(chunk):
            found = Detections(
                np.array([BOX], np.float32),
                *(np.full(1, value, kind) for value, kind in ((0.5, 'f4'), (2, 'i8'))),
                *(np.ones(1, np.float32) for _ in range(2)),
                CLASSES,
                width=window.width,
                height=window.height,
            )
            array = detection_array(found, window.stamp_ns)
            session.detections.append((window.stamp_ns + 7_000_000, array))
    return session


def bag(folder: Path, type_name: str) -> Path:
    """Write 300 ms of events, a message every 10 ms."""
    messages = []
    for index in range(30):
        stamp = START_NS + 10_000_000 * index
        events = random_events(200, index, 10_000)
        if type_name == POINT_CLOUD:
            values = (*(events[name] for name in 'xyp'), stamp / 1e9 + events['t'] / 1e6)
            raw = point_cloud(points(values, x='u2', y='u2', p='u1', t='f8'), stamp_ns=stamp)
        else:
            encode = event_packet if type_name == EVENT_PACKET else event_array
            raw = encode(events, stamp)
        messages.append((stamp + 10_000_000, raw))
    return write_recording(folder, 'mcap', {TOPIC: (type_name, messages)})


@pytest.mark.parametrize('type_name', [EVENT_PACKET, EVENT_ARRAY, POINT_CLOUD])
def test_windows_are_those_of_a_replay_on_the_clock_of_the_recording(
    tmp_path: Path, type_name: str
) -> None:
    with open_recording(bag(tmp_path, type_name)) as recording:
        check_windows(
            recording, cut(recording), tolerance_ns=0 if type_name != POINT_CLOUD else 2e6
        )


def test_windows_of_the_bundled_recording_are_those_of_a_replay() -> None:
    with open_recording('example') as recording:
        check_windows(recording, cut(recording))


def cut(recording: Recording) -> list:
    cutter = WindowCutter(50_000, 50_000)
    return [window for chunk in recording for window in cutter.cut(chunk)]


def check_windows(recording: Recording, expected: list, tolerance_ns: float = 0) -> None:
    playback = Playback(recording)
    session = session_of(playback)
    answered = list(_answered_windows(playback, session))
    assert len(expected) == len(answered) == playback.content.windows >= 5
    for (window, found), right in zip(answered, expected, strict=True):
        assert (found.t_start, found.t_end) == (right.t_start, right.t_end)
        assert (window.t_end, len(window)) == (right.t_end, len(right))
        assert abs(found.stamp_ns - right.stamp_ns) <= tolerance_ns
        np.testing.assert_array_equal(found.boxes, [BOX])
        assert (found.class_ids.tolist(), found.scores.tolist()) == ([2], [0.5])


def test_lost_windows_and_late_messages_are_counted(tmp_path: Path) -> None:
    with open_recording('example') as recording:
        playback = Playback(recording, 0.6)
        session = session_of(playback)
        del session.detections[4]
        session.arrivals_ns[-1] += 30_000_000
        summary = write_results(tmp_path, playback, session, 'default', None)
    assert not summary['complete']
    assert summary['windows'] == {'sent': 12, 'received': 11, 'lost': 1, 'in_order': True}
    assert summary['latency_ms'] == {'median': 7, 'p99': 7, 'max': 7}
    assert summary['messages_late_ms'] == 30
    assert summary['messages']['sent'] == summary['messages']['received']


def test_without_any_answer_there_are_a_summary_and_reasons(tmp_path: Path) -> None:
    with open_recording('example') as recording:
        summary = write_results(tmp_path, Playback(recording, 0.6), DemoSession(), 'default', None)
    assert not summary['complete']
    assert summary['windows']['lost'] == 12
    assert 'no window' in summary['not_written']['report.html']
    assert summary['accuracy'] is summary['latency_ms'] is None


@pytest.mark.parametrize('missing', ['matplotlib', 'faster_coco_eval'])
def test_without_plots_or_metrics_there_is_no_report_and_it_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    (tmp_path / 'report.html').write_text('of an earlier run')
    monkeypatch.setitem(sys.modules, missing, None)
    with open_recording('example') as recording:
        playback = Playback(recording, 0.8)
        summary = write_results(tmp_path, playback, session_of(playback), 'default', None)
    assert 'pip install' in summary['not_written']['report.html']
    assert not (tmp_path / 'report.html').exists()
    assert summary['accuracy']['per_class']['car']['detections'] > 0


def test_labels_may_be_named(tmp_path: Path) -> None:
    car = np.load(recording_path('example').with_name('example_bbox.npy'))[:1]
    car['t'], car['class_id'] = 770_000, 0  # 20 ms after the end of a window; id of 'car' in Gen1
    car['x'], car['y'], car['w'], car['h'] = BOX[0], BOX[1], BOX[2] - BOX[0], BOX[3] - BOX[1]
    np.save(tmp_path / 'example_bbox.npy', car)
    with open_recording('example') as recording:
        playback = Playback(recording, 0.9)
        summary = write_results(tmp_path, playback, session_of(playback), 'default', tmp_path)
    assert summary['accuracy']['per_class']['car']['matches'] == 1
    assert summary['accuracy']['recall'] == 1


def test_labels_without_objects_are_labels(tmp_path: Path) -> None:
    """Of what was looked at, which ``NAME_bbox_times.npy`` lists."""
    boxes = np.load(recording_path('example').with_name('example_bbox.npy'))
    np.save(tmp_path / 'example_bbox.npy', boxes[:0])
    np.save(tmp_path / 'example_bbox_times.npy', [770_000])
    with open_recording('example') as recording:
        playback = Playback(recording, 0.9)
        summary = write_results(tmp_path, playback, session_of(playback), 'default', tmp_path)
    assert summary['accuracy']['labels'] == 0 and summary['accuracy']['precision'] == 0
