# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which topics of a detector viewers read, on a graph of real nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import time

import pytest

rclpy = pytest.importorskip('rclpy', reason='ROS 2 (rclpy) is not installed')

from rclpy.node import Node  # noqa: E402 - after the skip
from sast_ros.ros.graph import DetectorTopics, find_detector  # noqa: E402
from sast_ros.ros.viewers import TOPICS  # noqa: E402
from sensor_msgs.msg import PointCloud2  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

PATIENCE_S = 30.0


@pytest.fixture
def detector(ros_domain: str) -> Iterator[Callable[..., Node]]:
    """Return a function that makes a node with the topics of a detector; names may be remapped."""
    context = rclpy.Context()
    rclpy.init(context=context)
    made = []

    def make(cameras: tuple[str, ...] = ('',), **remapped: str) -> Node:
        arguments = [f'{old}:={new}' for old, new in remapped.items()]
        node = Node(
            'sast_detector',
            context=context,
            namespace='robot',
            cli_args=['--ros-args', *(part for one in arguments for part in ('-r', one))],
        )
        made.append(node)
        for camera in cameras:
            prefix = f'{camera}/' if camera else ''
            for topic, (message_class, _) in TOPICS.items():
                node.create_publisher(message_class, f'{prefix}{topic}', 1)
            node.create_publisher(Detection2DArray, f'{prefix}detections', 1)
            node.create_subscription(PointCloud2, f'{prefix}events', lambda message: None, 1)
        return node

    yield make
    for node in made:
        node.destroy_node()
    context.try_shutdown()


def found(node: Node, topic: str) -> DetectorTopics:
    """Return the detector, once the graph has all of it."""
    limit = time.monotonic() + PATIENCE_S
    while (detector := find_detector(node, topic)) is None:
        assert time.monotonic() < limit, f'no detector that reads {topic}'
    assert detector.node == '/robot/sast_detector'
    return detector


@pytest.mark.parametrize('topic', ['/robot/events', '/robot/detections'])
def test_the_picture_is_the_overlay_not_the_events_alone(detector, topic):
    topics = found(detector(), topic)
    assert (topics.detections, topics.overlay) == ('/robot/detections', '/robot/overlay')


def test_events_of_another_namespace(detector):
    topics = found(detector(events='/event_camera/events'), '/event_camera/events')
    assert (topics.detections, topics.overlay) == ('/robot/detections', '/robot/overlay')


def test_topics_with_other_names(detector):
    node = detector(overlay='/pictures/found', detections='/found')
    for topic in ('/robot/events', '/found'):
        topics = found(node, topic)
        assert (topics.detections, topics.overlay) == ('/found', '/pictures/found')


@pytest.mark.parametrize('camera', ['left', 'right', 'right/near'])
def test_topics_are_those_of_the_camera(detector, camera):
    node = detector(('left', 'right', 'right/near'))
    for topic in (f'/robot/{camera}/events', f'/robot/{camera}/detections'):
        topics = found(node, topic)
        assert topics.detections == f'/robot/{camera}/detections'
        assert topics.overlay == f'/robot/{camera}/overlay'


def test_without_a_detector_there_is_none(detector):
    assert find_detector(detector(), '/other/events') is None
