# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The calibration of a camera, published anew with the stamp and frame of each detection message.

Nodes that locate objects in space pair the two by equal stamps. The executor's thread keeps the
newest message, serialised; the worker's thread reads and publishes it, while somebody listens.
"""

from __future__ import annotations

from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from sast_ros.errors import escape_controls
from sast_ros.ros.qos import read_subscription_qos, same_requests
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

#: Name of the input, and of the output beside the detections.
INPUT, OUTPUT = 'camera_info', 'detections/camera_info'

_TYPE = 'sensor_msgs/msg/CameraInfo'

#: Period of looking for publishers, seconds.
_WATCH_PERIOD_S = 1.0


class CameraInfoRelay:
    """
    What passes the calibration of one camera on.

    Parameters
    ----------
    node : LifecycleNode
        Node to subscribe with.
    topic : str
        Name of the input.
    publisher : Publisher
        Of the output.
    logger : object
        Logger of the camera.

    Attributes
    ----------
    published : int
        Messages that were made.

    Raises
    ------
    SettingError
        An impossible QoS of the subscription.

    """

    def __init__(self, node: LifecycleNode, topic: str, publisher: Publisher, logger: Any) -> None:
        self._node, self._topic, self._publisher, self._logger = node, topic, publisher, logger
        self._wanted_qos = read_subscription_qos(node, topic, depth=1)
        self._subscription: Subscription | None = None
        self._qos: QoSProfile | None = None
        self._timer: Timer | None = None
        self._newest: bytes | None = None  # set by the executor's thread, read by the worker's
        self._read: bytes | None = None
        self._message: CameraInfo | None = None  # what _read contains
        self._warned: set[str] = set()
        self.published = 0

    # ---------------------------------------------------------------------- the executor's thread

    def listen(self) -> None:
        """Subscribe as soon as there is a publisher, with its QoS."""
        self._warned.clear()
        # Not the node's clock: with use_sim_time that may stand still.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self._node.create_timer(_WATCH_PERIOD_S, self._watch, clock=clock)
        self._watch()

    def close(self) -> None:
        """Unsubscribe; the newest message is kept."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None
        self._unsubscribe()

    def _watch(self) -> None:
        """Subscribe, and again where the publishers offer another QoS."""
        publishers = self._node.get_publishers_info_by_topic(self._topic)
        publishers = [each for each in publishers if each.topic_type == _TYPE]
        if not publishers:
            return
        wanted = self._wanted_qos.request(publishers)
        if self._qos is not None and same_requests(wanted, self._qos):
            return
        self._unsubscribe()
        self._qos = wanted
        self._subscription = self._node.create_subscription(
            CameraInfo, self._topic, self._keep, wanted, raw=True
        )

    def _unsubscribe(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._qos = None

    def _keep(self, raw: bytes) -> None:
        self._newest = raw

    # ------------------------------------------------------------------------ the worker's thread

    def publish(self, header: Header, width: int, height: int) -> None:
        """
        Publish the newest message, if there is one and somebody listens.

        Parameters
        ----------
        header : Header
            That of the detections.
        width, height : int
            Size of the sensor in pixels.

        """
        if not self._publisher.get_subscription_count():
            return
        newest = self._newest
        if newest is not None and newest is not self._read:
            self._read, self._message = newest, self._deserialize(newest)
        message = self._message
        if message is None:
            return
        if (message.width, message.height) != (width, height):
            self._warn(
                'size',
                f'camera_info is that of a picture of {message.width}x{message.height} pixels, '
                f'but the sensor has {width}x{height}; it is passed on, check its topic',
            )
        message.header = header
        self._publisher.publish(message)
        self.published += 1

    def _deserialize(self, raw: bytes) -> CameraInfo | None:
        try:
            return deserialize_message(raw, CameraInfo)
        except Exception as error:  # a message costs itself
            self._warn('content', f'a camera_info was not read: {escape_controls(str(error))}')
            return None

    def _warn(self, kind: str, sentence: str) -> None:
        """Warn once for each activation, as every message may have the same fault."""
        if kind not in self._warned:
            self._warned.add(kind)
            self._logger.warning(sentence)
