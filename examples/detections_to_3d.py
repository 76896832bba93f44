# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Locate detections in space: ``python detections_to_3d.py --ros-args -p ground_height:=1.2``.

Pairs ``detections`` with ``detections/camera_info`` by equal stamps, and with the nearest image on
``depth``, registered to the event camera. With ``ground_height`` (metres from a level camera down
to the ground) there is no depth image: objects stand on the ground at the lower edge of the box.
"""

from collections import deque
from contextlib import suppress

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image
from vision_msgs.msg import Detection2DArray, Detection3D, Detection3DArray

DEPTH_TYPES = {'16UC1': ('u2', 0.001), '32FC1': ('f4', 1.0)}  # REP 118: millimetres, metres


def seconds(message):
    """Return the stamp of a message in seconds."""
    return message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec


def metres(image):
    """Return a depth image as ``float64[height, width]``, NaN where it has none."""
    letters, unit = DEPTH_TYPES[image.encoding]
    dtype = np.dtype('<>'[image.is_bigendian] + letters)
    rows = np.frombuffer(image.data, np.uint8).reshape(image.height, image.step)
    row_bytes = image.width * dtype.itemsize
    depth = unit * rows[:, :row_bytes].copy().view(dtype).astype(float)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.nan)


def depth_in(box, depth):
    """Return the median depth in the middle of a box, where the background is rarely seen."""
    x, y = box.center.position.x, box.center.position.y
    columns = slice(max(0, round(x - box.size_x / 4)), max(0, round(x + box.size_x / 4)) + 1)
    rows = slice(max(0, round(y - box.size_y / 4)), max(0, round(y + box.size_y / 4)) + 1)
    values = depth[rows, columns]
    return np.median(values[np.isfinite(values)]) if np.isfinite(values).any() else np.nan


def depth_on_ground(box, info, height):
    """Return the distance of the ground where the lower edge of a box meets it, else NaN."""
    below_horizon = box.center.position.y + box.size_y / 2 - info.k[5]
    return height * info.k[4] / below_horizon if below_horizon > 0 else np.nan


def locate(detection, info, z):
    """Return a detection at depth ``z``, in the optical frame: x right, y down, z forward."""
    located = Detection3D(header=detection.header, results=detection.results, id=detection.id)
    box, made = detection.bbox, located.bbox
    made.center.position.x = (box.center.position.x - info.k[2]) * z / info.k[0]
    made.center.position.y = (box.center.position.y - info.k[5]) * z / info.k[4]
    made.center.position.z = z
    made.size.x, made.size.y = box.size_x * z / info.k[0], box.size_y * z / info.k[4]
    for result in located.results:  # size.z stays 0: the far side is not seen
        result.pose.pose = made.center
    return located


class DetectionsTo3D(Node):
    """Two topics of the detector and a depth image in, ``vision_msgs/Detection3DArray`` out."""

    def __init__(self):
        super().__init__('detections_to_3d')
        self._height = self.declare_parameter('ground_height', 0.0).value
        self._tolerance = self.declare_parameter('tolerance_s', 0.1).value
        self._arrays, self._infos, self._depths = (deque(maxlen=20) for _ in range(3))
        self._publisher = self.create_publisher(Detection3DArray, 'detections_3d', 10)
        for kind, topic, kept, qos in (
            (Detection2DArray, 'detections', self._arrays, 100),
            (CameraInfo, 'detections/camera_info', self._infos, 100),
            (Image, 'depth', self._depths, qos_profile_sensor_data),
        ):
            self.create_subscription(kind, topic, self._keeper(kept), qos)

    def _keeper(self, kept):
        def keep(message):
            kept.append(message)
            for array in list(self._arrays):
                self._combine(array)

        return keep

    def _combine(self, array):
        """Publish what is located of an array, once everything for it is there."""
        infos = [info for info in self._infos if info.header == array.header]
        near = [d for d in self._depths if abs(seconds(d) - seconds(array)) <= self._tolerance]
        if not infos or not (near or self._height):
            return
        self._arrays.remove(array)
        if not infos[0].k[0] * infos[0].k[4]:
            self.get_logger().warning('camera_info is that of a camera without calibration')
            return
        if self._height:
            depths = [depth_on_ground(d.bbox, infos[0], self._height) for d in array.detections]
        else:
            image = metres(min(near, key=lambda image: abs(seconds(image) - seconds(array))))
            depths = [depth_in(d.bbox, image) for d in array.detections]
        located = [
            locate(detection, infos[0], float(z))
            for detection, z in zip(array.detections, depths)
            if np.isfinite(z)
        ]
        self._publisher.publish(Detection3DArray(header=array.header, detections=located))


rclpy.init()
with suppress(KeyboardInterrupt, ExternalShutdownException):
    rclpy.spin(DetectionsTo3D())
