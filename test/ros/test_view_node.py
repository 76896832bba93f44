# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What ``sast-ros view --topic`` does with detections that come before it can draw them."""

from __future__ import annotations

import pytest

pytest.importorskip('rclpy', reason='ROS 2 (rclpy) is not installed')

from sast_ros.ros import messages  # noqa: E402 - after the skip
from sast_ros.ros.view_node import ViewNode  # noqa: E402 - after the skip
from sast_ros.windows import EventWindow  # noqa: E402 - after the skip
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose  # noqa: E402


class Log:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.logged: list[object] = []

    def log(self, *window: object) -> None:
        self.logged.append(window)


@pytest.mark.parametrize('detections', [[], [Detection2D()]])
def test_detections_before_the_parameters_of_the_node_are_not_drawn(ros_domain, detections):
    log = Log()
    with ViewNode('/events', log) as node:
        node._class_names = ('car',)
        node._on_detections(Detection2DArray(detections=detections))
        node.spin()
    assert log.logged == []


def detection(*class_ids: str) -> Detection2D:
    made = Detection2D()
    for class_id in class_ids:
        made.results.append(ObjectHypothesisWithPose())
        made.results[-1].hypothesis.class_id = class_id
    return made


@pytest.mark.parametrize('class_ids', [(), ('tram',), ('2',), ('9' * 30,), ('',)])
def test_detections_of_another_publisher_are_refused(class_ids):
    array = Detection2DArray(detections=[detection('car'), detection(*class_ids)])
    window = EventWindow(0, 50_000, (), 304, 240, 0)
    with pytest.raises(ValueError, match='a detection'):
        messages.detections_of(array, window, ('pedestrian', 'car'))


def test_classes_are_names_or_numbers():
    array = Detection2DArray(detections=[detection('car'), detection('0')])
    window = EventWindow(0, 50_000, (), 304, 240, 0)
    found = messages.detections_of(array, window, ('pedestrian', 'car'))
    assert found.class_ids.tolist() == [1, 0]
