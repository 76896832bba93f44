# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Small recordings made on the spot: events known in advance, in every kind of bag."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rosbags.rosbag1 import Writer as Rosbag1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Rosbag2Writer
from sast_ros.bags import open_recording
from sast_ros.bags.definitions import message_types
from sast_ros.events import EventChunk

EVENT_ARRAY = 'dvs_msgs/msg/EventArray'
EVENT_PACKET = 'event_camera_msgs/msg/EventPacket'
TOPIC = '/event_camera/events'
WIDTH, HEIGHT = 64, 48
START_NS = 1_700_000_000 * 10**9


def random_events(count: int, seed: int = 0, span_us: int = 1000) -> dict[str, np.ndarray]:
    """Events on a 64x48 sensor within ``span_us``; ``t`` counts from 0."""
    random = np.random.default_rng(seed)
    return {
        'x': random.integers(0, WIDTH, count).astype(np.uint16),
        'y': random.integers(0, HEIGHT, count).astype(np.uint16),
        'p': random.integers(0, 2, count).astype(np.uint8),
        't': np.sort(random.integers(0, span_us, count)),
    }


def _header(stamp_ns: int) -> object:
    types = message_types().types
    return types['std_msgs/msg/Header'](
        types['builtin_interfaces/msg/Time'](stamp_ns // 10**9, stamp_ns % 10**9), 'camera'
    )


def event_array(
    events: dict[str, np.ndarray], stamp_ns: int, type_name: str = EVENT_ARRAY
) -> bytes:
    """Serialise the events as EventArray; their times are ``stamp_ns`` plus ``t``."""
    types = message_types().types
    package = type_name.split('/')[0]
    listed = []
    for x, y, p, t in zip(events['x'], events['y'], events['p'], events['t'], strict=True):
        ns = stamp_ns + int(t) * 1000
        time = types['builtin_interfaces/msg/Time'](ns // 10**9, ns % 10**9)
        listed.append(types[f'{package}/msg/Event'](int(x), int(y), time, bool(p)))
    message = types[type_name](_header(stamp_ns), HEIGHT, WIDTH, listed)
    return bytes(message_types().serialize_cdr(message, type_name))


def event_packet(events: dict[str, np.ndarray], stamp_ns: int, seq: int = 0) -> bytes:
    """
    Serialise the events as EventPacket in the encoding 'mono'.

    Its times are ``stamp_ns`` plus ``t``.
    """
    words = (
        (events['p'].astype(np.uint64) << 63)
        | (events['y'].astype(np.uint64) << 48)
        | (events['x'].astype(np.uint64) << 32)
        | (events['t'].astype(np.uint64) * 1000)
    )
    message = message_types().types[EVENT_PACKET](
        _header(stamp_ns),
        HEIGHT,
        WIDTH,
        seq,
        stamp_ns,
        'mono',
        False,
        words.astype('<u8').view(np.uint8),
    )
    return bytes(message_types().serialize_cdr(message, EVENT_PACKET))


def event_messages(
    type_name: str, messages: int = 10, events: int = 20, period_ns: int = 1_000_000
) -> list:
    """``(receive time, message)`` of consecutive messages of events."""
    listed = []
    for index in range(messages):
        stamp = START_NS + index * period_ns
        chosen = random_events(events, seed=index, span_us=period_ns // 1000)
        serialise = (
            event_packet(chosen, stamp, index)
            if type_name == EVENT_PACKET
            else event_array(chosen, stamp)
        )
        listed.append((stamp + period_ns, serialise))
    return listed


def text_messages(count: int = 3) -> list:
    """``(receive time, message)`` of std_msgs/String."""
    text = message_types().types['std_msgs/msg/String']('no events')
    raw = bytes(message_types().serialize_cdr(text, 'std_msgs/msg/String'))
    return [(START_NS + index, raw) for index in range(count)]


def write_rosbag2(
    folder: Path,
    topics: dict[str, tuple[str, list]],
    storage: str = 'sqlite3',
    compression: CompressionMode = CompressionMode.NONE,
) -> Path:
    """Write ``{topic: (type, [(receive time, message)])}`` as rosbag2 folder."""
    plugin = StoragePlugin.MCAP if storage == 'mcap' else StoragePlugin.SQLITE3
    writer = Rosbag2Writer(folder, version=9, storage_plugin=plugin)
    writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        for topic, (type_name, messages) in topics.items():
            connection = writer.add_connection(topic, type_name, typestore=message_types())
            for time_ns, raw in messages:
                writer.write(connection, time_ns, raw)
    return folder


def write_rosbag1(path: Path, topics: dict[str, tuple[str, list]]) -> Path:
    """
    Write ``{topic: (type, [(receive time, message)])}`` as rosbag1 file.

    The messages are in ROS 1 serialisation.
    """
    with Rosbag1Writer(path) as writer:
        for topic, (type_name, messages) in topics.items():
            connection = writer.add_connection(topic, type_name, typestore=message_types())
            for time_ns, raw in messages:
                writer.write(
                    connection, time_ns, bytes(message_types().cdr_to_ros1(raw, type_name))
                )
    return path


def write_recording(folder: Path, kind: str, topics: dict[str, tuple[str, list]]) -> Path:
    """Write a recording of one kind ('sqlite3', 'mcap', 'rosbag1'); return what a user opens."""
    if kind == 'rosbag1':
        return write_rosbag1(folder / 'recording.bag', topics)
    return write_rosbag2(folder / 'recording', topics, kind)


def read(path: Path, topic: str | None = None) -> tuple[list, str]:
    """Return the messages of a recording, and what is missing of it."""
    with open_recording(path, topic) as recording:
        return list(recording.messages()), recording.missing


def is_truncated(path: Path) -> bool:
    """Return whether a recording says that it ends early, when its events have been read."""
    with open_recording(path) as recording:
        list(recording)
        return recording.truncated


def write_dat(path: Path, chunk: EventChunk) -> Path:
    """Write a Prophesee .dat file, return its path."""
    words = np.empty((len(chunk), 2), '<u4')
    words[:, 0] = chunk.t
    words[:, 1] = chunk.x | chunk.y.astype('<u4') << 14 | chunk.p.astype('<u4') << 28
    head = f'% Version 2\n% Width {chunk.width}\n% Height {chunk.height}\n% end\n'
    path.write_bytes(head.encode() + bytes((0x0C, 8)) + words.tobytes())
    return path


def random_chunk(start_us: int, span_us: int, count: int = 2000) -> EventChunk:
    """Events on a 304x240 sensor from a time on."""
    random = np.random.default_rng(1)
    times = np.sort(random.integers(start_us, start_us + span_us, count))
    x, y, p = (random.integers(0, limit, count) for limit in (304, 240, 2))
    return EventChunk(x, y, p, times, width=304, height=240)
