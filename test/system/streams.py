# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Streams of events, serialised in every format, with the ROS times at which their windows end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from events import encoders
import numpy as np

ARRAY = 'dvs_msgs/msg/EventArray'
PACKET = 'event_camera_msgs/msg/EventPacket'
CLOUD = 'sensor_msgs/msg/PointCloud2'

WIDTH, HEIGHT = 304, 240
START_NS = 1_700_000_000_000_000_000
MESSAGE_US = 25_000
EVENTS_PER_MESSAGE = 300
DELAY_NS = 3_000_000


@dataclass
class Stream:
    """Messages, and the ROS times at which the windows in them end."""

    messages: list[bytes]
    stamps_ns: list[int]


def batches(
    count: int, start_us: int = 0, width: int = WIDTH, height: int = HEIGHT
) -> list[encoders.Events]:
    """Events of ``count`` messages of 25 ms each; the first event of all comes at ``start_us``."""
    made = []
    for index in range(count):
        begin = start_us + index * MESSAGE_US
        x, y, p, t = encoders.random_events(
            EVENTS_PER_MESSAGE, width, height, start=begin, span=MESSAGE_US, seed=index
        )
        t[0] = begin if index == 0 else t[0]
        made.append((x, y, p, t))
    return made


def window_ends_us(
    made: list[encoders.Events], duration_us: int = 50_000, stride_us: int = 50_000
) -> list[int]:
    """Return the ends of the windows that an event later than the end completes."""
    begin, last = int(made[0][3][0]), int(made[-1][3][-1])
    return [end for end in range(begin + duration_us, last, stride_us) if end < last]


def as_array(
    made: list[encoders.Events], width: int = WIDTH, height: int = HEIGHT, frame_id: str = 'camera'
) -> Stream:
    """As EventArray: the events carry ROS time."""
    messages = [
        encoders.event_array(
            x,
            y,
            p,
            START_NS + 1000 * t,
            width=width,
            height=height,
            stamp_ns=START_NS + 1000 * int(t[0]),
            frame_id=frame_id,
        )
        for x, y, p, t in made
    ]
    return Stream(messages, [START_NS + 1000 * end for end in window_ends_us(made)])


def as_evt3(made: list[encoders.Events], **options: Any) -> Stream:
    """As EventPacket evt3: sensor time; stamps are late by at least 3 ms, the first exactly."""
    return _as_packets(made, 'evt3', _words, **options)


def as_evt2(made: list[encoders.Events], **options: Any) -> Stream:
    """As EventPacket evt2, else as evt3."""
    return _as_packets(made, 'evt2', encoders.evt2, **options)


def _words(*xypt: np.ndarray) -> bytes:
    return encoders.words16(*encoders.Evt3.stream(*xypt))


def _as_packets(
    made: list[encoders.Events],
    encoding: str,
    encode: Callable[..., bytes],
    *,
    first_seq: int = 0,
    width: int = WIDTH,
    height: int = HEIGHT,
    frame_id: str = 'camera',
) -> Stream:
    messages = []
    for number, (x, y, p, t) in enumerate(made):
        late_ns = DELAY_NS + (number % 5) * 1_000_000
        messages.append(
            encoders.event_packet(
                encode(x, y, p, t),
                encoding,
                width=width,
                height=height,
                seq=first_seq + number,
                stamp_ns=START_NS + 1000 * int(t[0]) + late_ns,
                frame_id=frame_id,
            )
        )
    return Stream(messages, [START_NS + 1000 * end + DELAY_NS for end in window_ends_us(made)])


def as_mono(made: list[encoders.Events]) -> Stream:
    """As EventPacket mono: ROS time is time_base + dt."""
    messages = []
    for seq, (x, y, p, t) in enumerate(made):
        base = int(t[0])
        messages.append(
            encoders.event_packet(
                encoders.mono(x, y, p, 1000 * (t - base)),
                'mono',
                width=WIDTH,
                height=HEIGHT,
                seq=seq,
                time_base=START_NS + 1000 * base,
                stamp_ns=START_NS + 1000 * base,
            )
        )
    return Stream(messages, [START_NS + 1000 * end for end in window_ends_us(made)])


def as_cloud(made: list[encoders.Events]) -> Stream:
    """As PointCloud2 with sensor time in integer microseconds."""
    messages = []
    for events in made:
        points = encoders.points(events, x='<u2', y='<u2', p='u1', t='<u4')
        messages.append(
            encoders.point_cloud(points, stamp_ns=START_NS + 1000 * int(events[3][0]) + DELAY_NS)
        )
    return Stream(messages, [START_NS + 1000 * end + DELAY_NS for end in window_ends_us(made)])


def stamps_of(detections: Sequence[Any]) -> list[int]:
    """Stamps of the arrays in nanoseconds."""
    return [array.header.stamp.sec * 10**9 + array.header.stamp.nanosec for array in detections]


def score_of(detection: Any) -> float:
    """Score of a ``vision_msgs/Detection2D``."""
    return detection.results[0].hypothesis.score


def activate(node: Any, **parameters: Any) -> None:
    """Bring the node into the active state with room for all windows of a test."""
    assert node.observer.set_parameters(**{'overload__queue_windows': 1000, **parameters}) == []
    assert node.observer.change_state('configure')
    assert node.observer.change_state('activate')
