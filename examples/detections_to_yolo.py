# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Convert ``detections`` to ``yolo_msgs/DetectionArray``, on ``detections_yolo``."""

from contextlib import suppress
import sys

import rclpy
from rclpy.executors import ExternalShutdownException
from vision_msgs.msg import Detection2DArray, LabelInfo

try:
    from yolo_msgs.msg import Detection, DetectionArray
except ImportError:
    sys.exit('yolo_msgs is not installed; build it from github.com/mgonzs13/yolo_ros with colcon')

numbers = {}  # of the classes by name


def convert(array):
    """Publish a message with the same header, boxes, scores, classes and numbers of objects."""
    made = DetectionArray(header=array.header)
    for detection in array.detections:
        hypothesis, box, one = detection.results[0].hypothesis, detection.bbox, Detection()
        one.class_name, one.score, one.id = hypothesis.class_id, hypothesis.score, detection.id
        one.class_id = numbers.get(hypothesis.class_id, -1)
        one.bbox.center.position.x = box.center.position.x
        one.bbox.center.position.y = box.center.position.y
        one.bbox.size.x, one.bbox.size.y = box.size_x, box.size_y
        made.detections.append(one)
    publisher.publish(made)


rclpy.init()
node = rclpy.create_node('detections_to_yolo')
publisher = node.create_publisher(DetectionArray, 'detections_yolo', 100)
node.create_subscription(Detection2DArray, 'detections', convert, 100)
latched = rclpy.qos.QoSProfile(depth=1, durability=rclpy.qos.DurabilityPolicy.TRANSIENT_LOCAL)
node.create_subscription(
    LabelInfo,
    'label_info',
    lambda labels: numbers.update({one.class_name: one.class_id for one in labels.class_map}),
    latched,
)
with suppress(KeyboardInterrupt, ExternalShutdownException):
    rclpy.spin(node)
