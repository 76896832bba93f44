# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Detections out: the three files of a run hold the same boxes, complete or not at all."""

from __future__ import annotations

import json
from pathlib import Path

from bags.recordings import START_NS
from mcap.reader import make_reader
import numpy as np
import pytest
from rosbags.rosbag2 import Reader as Rosbag2Reader
from sast_ros.bags import DETECTIONS_TOPIC, DETECTIONS_TYPE, DetectionWriter
from sast_ros.bags.definitions import message_types
from sast_ros.detector import Detections
from sast_ros.labels import BOX_DTYPE


def detections_of_window(index: int, count: int, stamp_ns: int | None = START_NS) -> Detections:
    """Make detections with numbers that tell where they belong."""
    random = np.random.default_rng(index)
    corner = random.uniform(0, 100, (count, 2)).astype(np.float32)
    size = random.uniform(1, 100, (count, 2)).astype(np.float32)
    scores = random.uniform(0.1, 1, count).astype(np.float32)
    return Detections(
        boxes=np.concatenate([corner, corner + size], axis=1),
        scores=scores,
        class_ids=random.integers(0, 2, count),
        objectness=scores,
        class_scores=np.ones(count, np.float32),
        t_start=50_000 * index,
        t_end=50_000 * (index + 1),
        class_names=('car', 'pedestrian'),
        stamp_ns=None if stamp_ns is None else stamp_ns + 50_000_000 * (index + 1),
        frame_id='camera',
        width=304,
        height=240,
        events=7,
        reset='start' if index == 0 else None,
        kept=[],
    )


def write_detections(
    folder: Path, counts: tuple[int, ...], stamp_ns: int | None = START_NS
) -> list[Detections]:
    written = [detections_of_window(index, count, stamp_ns) for index, count in enumerate(counts)]
    with DetectionWriter(folder) as writer:
        for detections in written:
            writer.write(detections)
        writer.finish({'windows': len(written)})
    return written


def test_boxes_are_written_in_the_prophesee_layout(tmp_path):
    written = write_detections(tmp_path / 'out', (3, 0, 2))
    boxes = np.load(tmp_path / 'out' / 'detections.npy')
    assert boxes.dtype == BOX_DTYPE
    assert boxes.dtype.names == (
        't',
        'x',
        'y',
        'w',
        'h',
        'class_id',
        'track_id',
        'class_confidence',
    )
    assert boxes['t'].tolist() == [50_000] * 3 + [150_000] * 2
    assert not boxes['track_id'].any()
    expected = np.concatenate([detections.boxes for detections in written])
    np.testing.assert_array_equal(np.stack([boxes['x'], boxes['y']], 1), expected[:, :2])
    np.testing.assert_array_equal(
        np.stack([boxes['w'], boxes['h']], 1), expected[:, 2:] - expected[:, :2]
    )
    np.testing.assert_array_equal(
        boxes['class_confidence'], np.concatenate([d.scores for d in written])
    )


def test_no_boxes_are_a_valid_file_too(tmp_path):
    write_detections(tmp_path, (0, 0))
    assert np.load(tmp_path / 'detections.npy').shape == (0,)
    with Rosbag2Reader(tmp_path / 'detections.mcap') as reader:
        assert reader.message_count == 2


def test_mcap_holds_one_message_per_window_with_the_boxes_of_the_npy(tmp_path):
    written = write_detections(tmp_path, (3, 0, 2))
    boxes = np.load(tmp_path / 'detections.npy')
    with Rosbag2Reader(tmp_path / 'detections.mcap') as reader:
        assert [(c.topic, c.msgtype, c.ext.serialization_format) for c in reader.connections] == [
            (DETECTIONS_TOPIC, DETECTIONS_TYPE, 'cdr')
        ]
        stored = [
            (time, message_types().deserialize_cdr(raw, DETECTIONS_TYPE))
            for _, time, raw in reader.messages()
        ]
    assert [len(message.detections) for _, message in stored] == [3, 0, 2]
    row = 0
    for (time, message), detections in zip(stored, written, strict=True):
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        assert time == stamp == detections.stamp_ns
        assert message.header.frame_id == 'camera'
        for item in message.detections:
            box = boxes[row]
            row += 1
            assert item.header == message.header
            assert item.id == ''
            (result,) = item.results
            assert result.hypothesis.class_id == ('car', 'pedestrian')[box['class_id']]
            assert result.hypothesis.score == box['class_confidence']
            assert item.bbox.center.theta == 0
            assert item.bbox.center.position.x == pytest.approx(box['x'] + box['w'] / 2)
            assert item.bbox.center.position.y == pytest.approx(box['y'] + box['h'] / 2)
            assert item.bbox.size_x == pytest.approx(box['w'])
            assert item.bbox.size_y == pytest.approx(box['h'])
    assert row == len(boxes)


def test_log_times_continue_where_time_jumps_back(tmp_path):
    runs = 2 * [detections_of_window(index, 1, None) for index in range(4)]
    with DetectionWriter(tmp_path) as writer:
        for detections in runs:
            writer.write(detections)
            writer.write_beside(detections, '/beside', DETECTIONS_TYPE, b'\0\1\0\0')
        writer.finish({})
    with Rosbag2Reader(tmp_path / 'detections.mcap') as reader:
        stored = [(connection.topic, time) for connection, time, _ in reader.messages()]
    for topic in (DETECTIONS_TOPIC, '/beside'):
        times = [time for name, time in stored if name == topic]
        assert times == [50_000_000 * number for number in range(1, 9)]
    assert np.load(tmp_path / 'windows.npy')['t'].tolist() == 2 * [
        50_000 * number for number in range(1, 5)
    ]


def test_mcap_is_readable_by_foxglove_own_library(tmp_path):
    write_detections(tmp_path, (3, 0, 2))
    with (tmp_path / 'detections.mcap').open('rb') as stream:
        reader = make_reader(stream, validate_crcs=True)
        assert reader.get_header().profile == 'ros2'
        stored = list(reader.iter_messages())
    assert len(stored) == 3
    schema, channel, message = stored[0]
    assert (schema.name, schema.encoding, channel.message_encoding) == (
        DETECTIONS_TYPE,
        'ros2msg',
        'cdr',
    )
    assert b'MSG: vision_msgs/BoundingBox2D' in schema.data
    assert message.log_time == message.publish_time


def test_recording_without_ros_time_is_stamped_by_its_own_clock(tmp_path):
    write_detections(tmp_path, (1, 1), stamp_ns=None)
    with Rosbag2Reader(tmp_path / 'detections.mcap') as reader:
        assert [time for _, time, _ in reader.messages()] == [50_000_000, 100_000_000]


def test_detections_message_is_read_by_ros_itself(tmp_path):
    serialization = pytest.importorskip('rclpy.serialization')
    vision = pytest.importorskip('vision_msgs.msg')
    write_detections(tmp_path, (3, 0))
    with Rosbag2Reader(tmp_path / 'detections.mcap') as reader:
        for _, _, raw in reader.messages():
            again = serialization.serialize_message(
                serialization.deserialize_message(raw, vision.Detection2DArray)
            )
            # ROS leaves any bytes in the padding; all that has a meaning is equal
            assert len(again) == len(raw)
            assert repr(message_types().deserialize_cdr(again, DETECTIONS_TYPE)) == repr(
                message_types().deserialize_cdr(raw, DETECTIONS_TYPE)
            )


def test_same_detections_give_the_same_bytes(tmp_path):
    for name in ('a', 'b'):
        write_detections(tmp_path / name, (3, 0, 2))
    for name in ('detections.npy', 'detections.mcap', 'windows.npy', 'summary.json'):
        assert (tmp_path / 'a' / name).read_bytes() == (tmp_path / 'b' / name).read_bytes()


def test_interrupted_run_leaves_nothing_that_looks_complete(tmp_path):
    with pytest.raises(KeyboardInterrupt), DetectionWriter(tmp_path) as writer:
        writer.write(detections_of_window(0, 3))
        assert not (tmp_path / 'detections.npy').exists()  # what a killed process would leave
        assert not (tmp_path / 'detections.mcap').exists()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_results_of_an_earlier_run_stay_until_the_new_ones_are_complete(tmp_path):
    write_detections(tmp_path, (3, 0, 2))
    with pytest.raises(KeyboardInterrupt), DetectionWriter(tmp_path) as writer:
        writer.write(detections_of_window(0, 1))
        raise KeyboardInterrupt
    assert len(np.load(tmp_path / 'detections.npy')) == 5
    write_detections(tmp_path, (1,))
    assert len(np.load(tmp_path / 'detections.npy')) == 1
    assert json.loads((tmp_path / 'summary.json').read_text()) == {'windows': 1}
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        'detections.mcap',
        'detections.npy',
        'summary.json',
        'windows.npy',
    ]
