# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Detections, labels and pictures as messages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('vision_msgs', reason='vision_msgs is not installed')

from rclpy.serialization import serialize_message  # noqa: E402
from sast_ros.bags import detection_message  # noqa: E402
from sast_ros.detector import Detections  # noqa: E402
from sast_ros.events import EventChunk  # noqa: E402
from sast_ros.ros import messages  # noqa: E402
from sast_ros.tracking import TRACK_DTYPE  # noqa: E402

STAMP_NS = 1_700_000_000_123_456_789


def detections(count: int) -> Detections:
    random = np.random.default_rng(count)
    corners = np.sort(random.uniform(0, 200, (count, 2, 2)), axis=1).astype(np.float32)
    return Detections(
        boxes=corners.transpose(0, 1, 2).reshape(count, 4),
        scores=random.random(count).astype(np.float32),
        class_ids=np.arange(count, dtype=np.int64) % 2,
        objectness=np.ones(count, np.float32),
        class_scores=np.ones(count, np.float32),
        class_names=('car', 'pedestrian'),
        width=304,
        height=240,
        t_end=5,
        stamp_ns=STAMP_NS,
        frame_id='camera',
    )


def test_every_element_has_the_header_of_the_array():
    array = messages.detection_array(detections(3), STAMP_NS)
    assert (array.header.stamp.sec, array.header.stamp.nanosec) == (1_700_000_000, 123_456_789)
    assert array.header.frame_id == 'camera'
    assert all(element.header == array.header and element.id == '' for element in array.detections)


def test_the_id_is_the_number_of_the_track():
    tracked = replace(detections(3), track_ids=np.array([12, 0, 7]))
    array = messages.detection_array(tracked, STAMP_NS)
    assert [element.id for element in array.detections] == ['12', '', '7']


def test_tracks_are_points_with_named_fields():
    tracks = np.zeros(2, TRACK_DTYPE)
    tracks['id'], tracks['class_id'], tracks['x'] = [3, 2**32 - 1], [0, 2], [10.5, 300]
    tracks['velocity_y'] = [-4.25, 1e6]
    cloud = messages.track_cloud(tracks, STAMP_NS, 'camera')
    assert (cloud.header.frame_id, cloud.width, cloud.height) == ('camera', 2, 1)
    read = np.dtype(
        {
            'names': [field.name for field in cloud.fields],
            'formats': [{6: '<u4', 7: '<f4'}[field.datatype] for field in cloud.fields],
            'offsets': [field.offset for field in cloud.fields],
            'itemsize': cloud.point_step,
        }
    )
    points = np.frombuffer(bytes(cloud.data), read)
    assert {'x', 'y', 'z'} <= set(read.names) and not points['z'].any()
    for name in TRACK_DTYPE.names:
        assert points[name].tolist() == tracks[name].tolist(), name
    empty = messages.track_cloud(tracks[:0], STAMP_NS, 'camera')
    assert empty.width == 0 and empty.fields == cloud.fields
    assert len(serialize_message(empty)) < len(serialize_message(cloud))


def test_clouds_are_read_by_the_reader_of_ros():
    point_cloud2 = pytest.importorskip('sensor_msgs_py.point_cloud2')
    tracks = np.zeros(2, TRACK_DTYPE)
    tracks['id'], tracks['x'], tracks['velocity_y'] = [3, 2**32 - 1], [10.5, 300], [-4.25, 1e6]
    read = point_cloud2.read_points(messages.track_cloud(tracks, STAMP_NS, 'camera'))
    for name in TRACK_DTYPE.names:
        assert read[name].tolist() == tracks[name].tolist(), name
    chunk = EventChunk(*np.array([[3, 8], [4, 9], [0, 1]]), t=[0, 50_000], width=9, height=10)
    read = point_cloud2.read_points(messages.event_cloud([chunk], 50_000, STAMP_NS, 'camera'))
    assert read.dtype.names == ('x', 'y', 'z', 'polarity')
    np.testing.assert_allclose(
        read.tolist(), [(0.0035, 0.0045, -0.25, 0), (0.0085, 0.0095, 0, 1)], rtol=1e-6
    )


def test_boxes_are_centre_and_size():
    found = detections(2)
    array = messages.detection_array(found, STAMP_NS)
    x1, y1, x2, y2 = found.boxes[1].astype(float)
    box = array.detections[1].bbox
    assert (box.center.position.x, box.center.position.y) == ((x1 + x2) / 2, (y1 + y2) / 2)
    assert (box.size_x, box.size_y, box.center.theta) == (x2 - x1, y2 - y1, 0)


@pytest.mark.parametrize(
    ('class_id_format', 'expected'), [('name', ['car', 'pedestrian']), ('index', ['0', '1'])]
)
def test_class_ids(class_id_format, expected):
    array = messages.detection_array(detections(2), STAMP_NS, class_id_format)
    assert [element.results[0].hypothesis.class_id for element in array.detections] == expected


def test_an_empty_window_is_an_empty_array_with_a_stamp():
    array = messages.detection_array(detections(0), STAMP_NS)
    assert len(array.detections) == 0
    assert messages.stamp_ns(array.header.stamp) == STAMP_NS


@pytest.mark.parametrize('count', [0, 1, 4])
def test_the_node_and_the_replay_say_the_same(count):
    from rclpy.serialization import deserialize_message
    from vision_msgs.msg import Detection2DArray

    found = detections(count)
    replayed = deserialize_message(detection_message(found), Detection2DArray)
    assert replayed == messages.detection_array(found, STAMP_NS)


def test_label_and_vision_info():
    label = messages.label_info(('car', 'pedestrian'), 0.25, STAMP_NS)
    assert [(entry.class_id, entry.class_name) for entry in label.class_map] == [
        (0, 'car'),
        (1, 'pedestrian'),
    ]
    assert label.threshold == 0.25
    info = messages.vision_info('SAST gen1-tiny', '/label_info', 3, STAMP_NS)
    assert (info.method, info.database_location, info.database_version) == (
        'SAST gen1-tiny',
        '/label_info',
        3,
    )


def test_a_picture_keeps_every_pixel():
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    message = messages.image(picture, STAMP_NS, 'camera')
    assert (message.height, message.width, message.step, message.encoding) == (5, 7, 21, 'rgb8')
    assert np.array_equal(np.frombuffer(bytes(message.data), np.uint8).reshape(5, 7, 3), picture)
    assert picture.tobytes() in serialize_message(message)
