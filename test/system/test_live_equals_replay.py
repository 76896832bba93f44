# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The running node and the replay give the same detections, and the same scores."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from bags.recordings import write_rosbag2
import numpy as np
import pytest
from sast_ros.bags import DETECTIONS_TYPE, open_recording
from sast_ros.cli import main
from sast_ros.events.shift import shift_time
from workspace import REPOSITORY

EVENTS, PACKET, CLOCK = 'events', 'event_camera_msgs/msg/EventPacket', 'rosgraph_msgs/msg/Clock'
LABELS = REPOSITORY / 'sast_ros' / 'example' / 'example_bbox.npy'
START_NS = 1_700_000_000_123_456_789

#: Sensor time after which next to nothing is left of how the node began: its state, with these
#: weights, and the offset between the clocks, of the last two seconds.
SETTLED_NS = 2_500_000_000

PARAMETERS = """
/**:
  ros__parameters:
    model: {path: PATH, device: cpu, threads: 1}
    window: {align: ALIGN}
    detections: {score_threshold: SCORE, max_count: 20}
    overload: {queue_windows: 1000}
    tracking: {enabled: TRACKING}
"""


@pytest.fixture(scope='module')
def stored() -> list[tuple[int, bytes]]:
    """Messages of the bundled recording, stamped as a driver does: late by 1 to 6 ms."""
    random = np.random.default_rng(0)
    with open_recording('example') as recording:
        messages = list(recording.messages())
    late = START_NS + random.integers(1_000_000, 6_000_000, len(messages))
    return [
        (at + START_NS + 7_000_000, shift_time(raw, PACKET, shift))
        for (at, raw), shift in zip(messages, late.tolist())
    ]


@pytest.fixture
def play(bench, stored):
    """Play messages to the node at a rate, with the clock of the bag."""
    from rclpy.serialization import serialize_message
    from rosgraph_msgs.msg import Clock

    def do(rate: float, joined_ns: int = 0) -> None:
        begin, end = stored[0][0] + joined_ns, stored[-1][0]
        ticks = range(begin, end, 10_000_000)
        clock = []
        for now in ticks:
            message = Clock()
            message.clock.sec, message.clock.nanosec = divmod(now, 10**9)
            clock.append(serialize_message(message))
        chosen = [(at, raw) for at, raw in stored if at >= begin]
        time = bench.publisher(CLOCK, topic='/clock').start(
            clock, [round((now - begin) / rate) for now in ticks]
        )
        events = bench.publisher(PACKET).start(
            [raw for _, raw in chosen], [round((at - begin) / rate) for at, _ in chosen]
        )
        time.go()
        events.go()
        events.finish()
        time.finish()

    return do


def write_parameters(folder: Path, path: str, align: str, score: float, tracking: bool) -> Path:
    file = folder / 'detector.yaml'
    text = PARAMETERS.replace('PATH', path).replace('ALIGN', align)
    text = text.replace('TRACKING', str(tracking).lower())
    file.write_text(text.replace('SCORE', str(score)))
    return file


def replayed(folder: Path, stored, file: Path) -> dict[int, object]:
    """Return the detections of the replay by their stamps, with the parameter file of the node."""
    from rclpy.serialization import deserialize_message
    from sast_ros.bags.rosbag import topic_messages
    from sast_ros.bags.storage import open_storage
    from vision_msgs.msg import Detection2DArray

    bag = write_rosbag2(folder / 'example', {'/events': (PACKET, stored)}, 'mcap')
    out = folder / 'replay'
    assert main(['replay', str(bag), '--params', str(file), '--out', str(out)]) == 0
    with contextlib.ExitStack() as stack:
        files = open_storage(out / 'detections.mcap', stack).files
        arrays = [
            deserialize_message(message.cdr, Detection2DArray)
            for message in topic_messages(files, '/detections', DETECTIONS_TYPE)
        ]
    return {stamp_of(array): array for array in arrays}


def stamp_of(array) -> int:
    return array.header.stamp.sec * 10**9 + array.header.stamp.nanosec


def values_of(array) -> list[tuple[float, ...]]:
    """Return class, place, size and score of the detections, sorted."""
    rows = []
    for detection in array.detections:
        box, hypothesis = detection.bbox, detection.results[0].hypothesis
        centre = box.center.position
        number = ('pedestrian', 'two-wheeler', 'car').index(hypothesis.class_id)
        rows.append((number, centre.x, centre.y, box.size_x, box.size_y, hypothesis.score))
    return sorted(rows)


def ids_of(array) -> list[str]:
    return [detection.id for detection in array.detections]


@pytest.mark.parametrize('rate', [0.5, 1.0, 2.0])
def test_who_joins_late_publishes_what_the_replay_has(bench, play, stored, tmp_path, rate):
    # Who joins late counts the objects from another one on
    file = write_parameters(tmp_path, 'gen1-tiny', 'epoch', 0.0, tracking=False)
    expected = replayed(tmp_path, stored, file)
    bench.start_node_with(file, use_sim_time=True, overload__max_age_ms=3_600_000.0)
    observer = bench.observer
    observer.wait_for_state('active')
    play(rate, joined_ns=300_000_000)
    last = max(expected)
    observer.wait_for(
        lambda: observer.detections and stamp_of(observer.detections[-1]) >= last,
        what='for the last window',
    )
    settled = stored[0][0] + SETTLED_NS
    found = {stamp_of(array): array for array in observer.detections}
    both = [stamp for stamp in expected if stamp > settled]
    assert len(both) > 60
    assert [stamp for stamp in found if stamp > settled] == both
    # What is left of another beginning may be the last digit of a value, now and then
    other = [stamp for stamp in both if found[stamp] != expected[stamp]]
    assert len(other) < len(both) / 8
    for stamp in other:
        np.testing.assert_allclose(values_of(found[stamp]), values_of(expected[stamp]), rtol=1e-5)
    assert any(array.detections for array in found.values())


def test_live_detections_are_scored_as_those_of_the_replay(bench, play, stored, tmp_path):
    from rclpy.serialization import serialize_message

    file = write_parameters(tmp_path, 'default', 'first_event', 0.1, tracking=True)
    expected = replayed(tmp_path, stored, file)
    bench.start_node_with(file, use_sim_time=True, overload__max_age_ms=3_600_000.0)
    observer = bench.observer
    observer.wait_for_state('active')
    play(1.0)
    observer.wait_for(
        lambda: len(observer.detections) >= len(expected) and observer.labels,
        what='for all windows',
    )
    assert [stamp_of(array) for array in observer.detections] == list(expected)
    ids = [ids_of(array) for array in observer.detections]
    assert ids == [ids_of(array) for array in expected.values()]
    boxes = np.load(tmp_path / 'replay' / 'detections.npy')
    assert [int(text or 0) for window in ids for text in window] == boxes['track_id'].tolist()
    assert len(set(boxes['track_id'].tolist())) > 3
    topics = {
        '/events': (PACKET, stored),
        '/detections': (
            DETECTIONS_TYPE,
            [(stamp_of(array), serialize_message(array)) for array in observer.detections],
        ),
        '/label_info': (
            'vision_msgs/msg/LabelInfo',
            [(stored[0][0], serialize_message(observer.labels[0]))],
        ),
    }
    live = write_rosbag2(tmp_path / 'live', topics, 'mcap')
    scores = []
    for path, *options in ((live, '--detections-topic', '/detections'), (tmp_path / 'replay',)):
        words = ['--labels', str(LABELS), '--out', str(tmp_path / 'out'), '--params', str(file)]
        result = tmp_path / f'{path.name}.json'
        assert main(['evaluate', str(path), *words, '--json', str(result), *options]) == 0
        scores.append(json.loads(result.read_text()))
    run = scores[0].pop('live')
    assert run == {'published': len(expected), 'dropped': 0, 'frames_without_window': 0}
    for one in scores:
        del one['inputs'], one['recordings'][0]['name']
    assert scores[0] == scores[1]
    assert scores[0]['AP'] > 0.4
    assert scores[0]['tracking']['IDF1'] > 0.4
