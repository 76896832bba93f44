# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The executable ``player``: publishes a recording in real time, as the driver of a camera would.

``ros2 run sast_ros player --ros-args -p recording:=example -r events:=/event_camera/events``

It waits for subscriptions, sends every message as recorded, but stamped as it would be now, waits
until all are acknowledged, and ends. Recordings without ROS messages are sent as EventPackets.
"""

from __future__ import annotations

import math
import signal
import sys
import time

try:
    import rclpy
except ImportError as error:
    from sast_ros.ros.start import end_program

    end_program(error, __name__)
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sast_ros.bags import open_recording, RecordingError
from sast_ros.demo.playback import Playback
from sast_ros.errors import format_error, is_expected, MissingPackageError, SettingError
from sast_ros.events.chunk import MAX_SENSOR_SIDE
from sast_ros.example import EXAMPLE
from sast_ros.process import is_interruption
from sast_ros.ros.event_subscription import find_message_class
from sast_ros.ros.node_parameters import declare
from sast_ros.ros.parameters import Parameter
from sast_ros.ros.rclpy_compat import initialize, ros_refusals

_NAME = 'event_player'

#: What drivers of event cameras use, but reliable: no message is lost on the way.
QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=1000, reliability=ReliabilityPolicy.RELIABLE
)

#: Parameters by name.
PARAMETERS = {
    parameter.name: parameter
    for parameter in (
        Parameter(
            'recording', EXAMPLE, 'Recording to play: "example", the bundled one, or a path.'
        ),
        Parameter(
            'recording_topic', '', 'Topic in the recording; empty: the only one with events.'
        ),
        Parameter(
            'seconds',
            0.0,
            'Play only so much of the recording; 0 is all of it.',
            check=lambda seconds: 0 <= seconds < math.inf,
            must='0 or more',
        ),
        Parameter('subscriptions', 1, 'Subscriptions to wait for.', limits=(0, 1000)),
        Parameter(
            'height',
            0,
            'Height of the sensor in pixels; 0 takes that of the recording.',
            limits=(0, MAX_SENSOR_SIDE),
        ),
        Parameter(
            'width',
            0,
            'Width of the sensor in pixels; 0 takes that of the recording.',
            limits=(0, MAX_SENSOR_SIDE),
        ),
        Parameter('loop', False, 'Play the recording again and again.'),
    )
}

_POLL_S = 0.02
_LEAD_NS = 100_000_000  # until the first message, for the recording to be read
_DELIVERY_S = 10


def play(node: Node) -> None:
    """Play the recording that the parameters of the node name."""
    recording_name, topic, seconds, subscriptions, height, width, loop = declare(
        node, PARAMETERS
    ).values()
    if bool(height) != bool(width):
        raise SettingError(
            f'height is {height} and width {width}; give both sides of the sensor, or none'
        )
    with open_recording(recording_name, topic or None) as recording:
        if height:
            recording.given_size = height, width
        kind = find_message_class(recording.message_type)
        if kind is None:
            package = recording.message_type.partition('/')[0]
            raise MissingPackageError(
                f'{recording.path} holds {recording.message_type}, but the package {package} is '
                'not installed; install it'
            )
        publisher = node.create_publisher(kind, 'events', QOS)
        node.get_logger().info(
            f'{recording.path} waits for {subscriptions} subscriptions of {publisher.topic_name}'
        )
        while publisher.get_subscription_count() < subscriptions:
            time.sleep(_POLL_S)
        node.get_logger().info(f'playing {recording.path} on {publisher.topic_name}')
        playback = Playback(recording, seconds or None)
        count, late_ms = _publish_in_real_time(publisher, playback)
        for warning in recording.warnings:
            node.get_logger().warning(warning)
        while loop:
            count, late_ms = _publish_in_real_time(publisher, playback)
        publisher.wait_for_all_acked(Duration(seconds=_DELIVERY_S))
    node.get_logger().info(f'sent {count} messages, at most {late_ms:.1f} ms late')


def _publish_in_real_time(publisher: Publisher, playback: Playback) -> tuple[int, float]:
    """Return the number of messages, and by how many milliseconds the latest one was late."""
    first = next(playback.messages(), None)
    if first is None:
        raise RecordingError(f'{playback.recording.path} holds no messages with events')
    # Whole microseconds: windows are then cut between the same events as in the recording
    shift_ns = (time.time_ns() + _LEAD_NS - first[0]) // 1000 * 1000
    count, late_ns = 0, 0
    for due_ns, message in playback.messages(shift_ns):
        ahead_ns = due_ns - time.time_ns()
        if ahead_ns > 0:
            time.sleep(ahead_ns / 1e9)
        late_ns = max(late_ns, -ahead_ns)
        publisher.publish(message)
        count += 1
    return count, late_ns / 1e6


def main() -> int:
    """Play one recording; return 0 when it has been sent or the process is told to end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    node = None
    try:
        initialize(signal_handler_options=SignalHandlerOptions.NO)
        with ros_refusals():
            node = Node(_NAME, start_parameter_services=False)
        play(node)
    except (Exception, KeyboardInterrupt) as error:
        if is_interruption(error):
            return 0
        if not is_expected(error):
            raise
        # What reads recordings gives the option of sast-ros
        get_logger(_NAME).fatal(format_error(error).replace('--topic', 'recording_topic'))
        return 1
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
