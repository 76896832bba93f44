"""
A process that behaves like the driver of an event camera; its drive is simulated.

It talks to its parent in JSON lines: ``simulating`` now and then while it makes the drive, which
may take longer than the drive itself; ``ready`` once that is done, the labels are on the disk and
everyone listens. Then it waits for a line on standard input, publishes in real time, and says
``done`` with its counts. It ends when standard input is closed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
import sys
import time

from event_camera_msgs.msg import EventPacket
import numpy as np
import rclpy
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sast_ros.events.chunk import EventChunk
from sast_ros.events.encoders import cut_packets, EventPacketEncoder
from sast_ros.windows import WindowCutter
from sast_ros_training.simulation.dataset import FRAME_ID, labelled_boxes
from sast_ros_training.simulation.sequence import SimulatedSequence

#: What drivers of event cameras use, but reliable: the demo counts every message.
_QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=1000, reliability=ReliabilityPolicy.RELIABLE
)


def main() -> int:
    """Publish one drive; return 0 when it has all been delivered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--topic', required=True)
    parser.add_argument('--seconds', type=float, required=True)
    parser.add_argument('--seed', type=int, required=True)
    parser.add_argument('--motion', required=True)
    parser.add_argument('--labels', type=Path, required=True, help='file for the boxes')
    parser.add_argument(
        '--window-us', type=int, required=True, help='length of the windows to count'
    )
    parser.add_argument('--listeners', type=int, required=True, help='subscriptions to wait for')
    parser.add_argument('--patience', type=float, required=True, help='seconds to wait for them')
    arguments = parser.parse_args()

    rclpy.init()
    node = Node('event_camera')
    publisher = node.create_publisher(EventPacket, arguments.topic, _QOS)
    # The first sequence of "sast-ros simulate" with this seed
    drive = SimulatedSequence((arguments.seed, 0), arguments.seconds, motion=arguments.motion)
    chunks, labels = _simulate(drive)
    np.save(arguments.labels, labels)
    cutter = WindowCutter(arguments.window_us, arguments.window_us)
    sent = {
        'messages': len(chunks),
        'events': sum(len(chunk) for chunk in chunks),
        'windows': sum(1 for chunk in chunks for _ in cutter.cut(chunk)),
    }
    limit = time.monotonic() + arguments.patience
    while publisher.get_subscription_count() < arguments.listeners:
        if time.monotonic() > limit:
            _say(
                state='failed',
                reason=(
                    f'{publisher.get_subscription_count()} of {arguments.listeners} listeners came'
                ),
            )
            return 1
        time.sleep(0.01)
    _say(state='ready')
    if sys.stdin.readline():
        late = _publish_in_real_time(publisher, chunks)
        delivered = publisher.wait_for_all_acked(Duration(seconds=10))
        _say(state='done', **sent, late_ms=round(late, 1), delivered=delivered)
        sys.stdin.readline()
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


def _simulate(drive: SimulatedSequence) -> tuple[list[EventChunk], np.ndarray]:
    """Return the events of the drive, message by message, and its labels, ``BOX_DTYPE[N]``."""
    chunks: list[EventChunk] = []
    labels = []
    for window in drive.windows():
        chunks.extend(cut_packets(window.chunk))
        labels.append(labelled_boxes(window.labels, drive.height))
        _say(state='simulating', windows=len(labels))
    chunks.extend(cut_packets(drive.tail))  # completes the last window
    return chunks, np.concatenate(labels)


def _publish_in_real_time(publisher: object, chunks: list[EventChunk]) -> float:
    """
    Send every chunk when its last event has happened.

    Return by how many milliseconds the worst one was late.
    """
    encode = EventPacketEncoder(chunks[0].width, chunks[0].height, FRAME_ID)
    begin_ns = time.time_ns()
    worst = 0.0
    for chunk in chunks:
        # Stamped as a driver does: the host's time at which the first data of the message arrived.
        message = encode(chunk, begin_ns + 1000 * int(chunk.t[0]))
        ahead = begin_ns + 1000 * int(chunk.t[-1]) - time.time_ns()
        if ahead > 0:
            time.sleep(ahead / 1e9)
        else:
            worst = max(worst, -ahead / 1e6)
        publisher.publish(message)
    return worst


def _say(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


if __name__ == '__main__':
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
