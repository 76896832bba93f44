# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Speed of the message decoders on one core.

Serialised CDR to EventChunk, in millions of events a second.

    python benchmarks/decode.py [--json FILE]

Every number is the best of several runs of the same messages, in processor time, so that other
work on the machine counts as little as possible; chunks are dropped as they come, as in the node.
The typed path of rclpy (deserialize_message, then arrays from the fields of its event objects) is
measured in the same run, and skipped with a word where ROS 2 or dvs_msgs is absent. Recordings of
../shared are used where they are beside the repository; all else is made on the spot.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
import os
from pathlib import Path
import sqlite3
import struct
import sys
import time

import numpy as np
from sast_ros.events import open_decoder
from workload import host, new_parser, write_results

REPOSITORY = Path(__file__).resolve().parent.parent
EVENT_ARRAY = 'dvs_msgs/msg/EventArray'
EVENT_PACKET = 'event_camera_msgs/msg/EventPacket'
EVENT_TYPE = np.dtype(
    [('x', '<u2'), ('y', '<u2'), ('sec', '<i4'), ('nanosec', '<u4'), ('p', 'u1')]
)


def best_time(action: Callable[[], object], seconds: float = 1.0, most: int = 200) -> float:
    """
    Processor seconds (all threads) of the fastest run.

    As many runs as fit into the time are made, at least three.
    """
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or (time.perf_counter() < end and len(times) < most):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)


def header(frame_id: str = 'camera') -> bytes:
    """CDR encapsulation and std_msgs/Header."""
    text = frame_id.encode() + b'\0'
    body = struct.pack('<iII', 1_700_000_000, 0, len(text)) + text
    return b'\0\1\0\0' + body + b'\0' * (-len(body) % 4)


def event_array(count: int, width: int, height: int) -> bytes:
    """Serialise an EventArray of random events within 10 ms."""
    random = np.random.default_rng(count)
    padded = np.zeros(
        count + 1,
        np.dtype(
            {
                'names': ['x', 'y', 'sec', 'nanosec', 'p'],
                'offsets': [0, 2, 6, 10, 14],
                'formats': ['<u2', '<u2', '<i4', '<u4', 'u1'],
                'itemsize': 16,
            }
        ),
    )
    padded['x'], padded['y'] = (
        random.integers(0, width, count + 1),
        random.integers(0, height, count + 1),
    )
    padded['sec'] = 1_700_000_000
    padded['nanosec'] = np.sort(random.integers(0, 10_000_000, count + 1))
    padded['p'] = random.integers(0, 2, count + 1)
    # From the second on, events lie 16 bytes apart, x and y in the padding before the time; the
    # first has no such gap.
    first, rest = padded[:1], padded[1:count]
    events = (
        first['x'].tobytes() + first['y'].tobytes() + first.tobytes()[6:14] + first['p'].tobytes()
    )
    if count > 1:
        events += b'\0' + rest.tobytes()[:-1]
    return header() + struct.pack('<III', height, width, count) + events


def event_packet(payload: bytes, encoding: str, width: int, height: int, seq: int) -> bytes:
    """Serialise an EventPacket around a payload."""
    start = header() + struct.pack('<II', height, width)
    start += b'\0' * ((4 - len(start)) % 8) + struct.pack('<QQ', seq, 1_700_000_000_000_000_000)
    start += struct.pack('<I', len(encoding) + 1) + encoding.encode() + b'\0\0'
    start += b'\0' * (-len(start) % 4)
    return start + struct.pack('<I', len(payload)) + payload


def point_cloud(count: int, width: int, height: int) -> bytes:
    """PointCloud2 with x, y, t, p of 2, 2, 8 and 1 bytes."""
    random = np.random.default_rng(count)
    points = np.zeros(count, [('x', '<u2'), ('y', '<u2'), ('t', '<f8'), ('p', 'u1')])
    points['x'], points['y'] = random.integers(0, width, count), random.integers(0, height, count)
    points['t'] = 1_700_000_000 + np.sort(random.integers(0, 10_000, count)) / 1e6
    points['p'] = random.integers(0, 2, count)
    raw = header() + struct.pack('<III', 1, count, 4)
    for name, kind in (('x', 4), ('y', 4), ('t', 8), ('p', 2)):
        raw += struct.pack('<I', 2) + name.encode() + b'\0\0\0'
        raw += struct.pack('<IB3xI', points.dtype.fields[name][1], kind, 1)
    data = points.tobytes()
    return raw + struct.pack('<B3xIII', 0, points.itemsize, len(data), len(data)) + data + b'\1'


def evt3_words(count: int, width: int, height: int, per_time: int) -> bytes:
    """EVT 3.0 of about ``count`` single events, ``per_time`` in each microsecond step."""
    random = np.random.default_rng(count)
    words = np.empty((count // per_time, 2 + 2 * per_time), '<u2')
    clock = 20 * np.arange(len(words))
    words[:, 0] = 0x8000 | (clock >> 12) & 0xFFF
    words[:, 1] = 0x6000 | clock & 0xFFF
    words[:, 2::2] = random.integers(0, height, (len(words), per_time))
    polarity = random.integers(0, 2, (len(words), per_time))
    words[:, 3::2] = 0x2000 | polarity << 11 | random.integers(0, width, (len(words), per_time))
    return words.tobytes()


def evt2_words(count: int, width: int, height: int) -> bytes:
    """EVT 2.0 with 48 events in every 64 us."""
    random = np.random.default_rng(count)
    words = np.empty((count // 48, 49), '<u4')
    words[:, 0] = 8 << 28 | np.arange(len(words))
    shape = (len(words), 48)
    low = np.sort(random.integers(0, 64, shape), axis=1)
    x, y = random.integers(0, width, shape), random.integers(0, height, shape)
    words[:, 1:] = random.integers(0, 2, shape) << 28 | low << 22 | x << 11 | y
    return words.tobytes()


def words64(kind: str, count: int, width: int, height: int) -> bytes:
    """Payload of ``mono``, ``libcaer`` or ``evt21`` (32 pixels a word) with ``count`` events."""
    random = np.random.default_rng(count)
    if kind == 'evt21':
        words = np.empty((count // 32, 2), '<u8')
        clock = np.arange(len(words), dtype='<u8')
        words[:, 0] = np.uint64(8 << 60) | (clock >> 6) << 32
        row = random.integers(0, height, len(words)).astype('<u8')
        column = 32 * random.integers(0, width // 32, len(words)).astype('<u8')
        words[:, 1] = 1 << 60 | (clock & 63) << 54 | column << 43 | row << 32 | 0xFFFFFFFF
        return words.tobytes()
    x, y = (
        random.integers(0, width, count).astype('<u8'),
        random.integers(0, height, count).astype('<u8'),
    )
    p, t = (
        random.integers(0, 2, count).astype('<u8'),
        np.sort(random.integers(0, 10_000, count)).astype('<u8'),
    )
    words = (
        p << 63 | y << 48 | x << 32 | t * 1000
        if kind == 'mono'
        else t << 32 | x << 17 | y << 2 | p << 1 | 1
    )
    return words.astype('<u8').tobytes()


def recording(*parts: str) -> list[bytes]:
    """Messages of a recording of ../shared, none if it is not there."""
    folder = Path(os.environ.get('SAST_ROS_SHARED', REPOSITORY.parent / 'shared')) / 'data'
    path = folder.joinpath(*parts)
    if not path.exists():
        return []
    with closing(sqlite3.connect(f'file:{path}?mode=ro&immutable=1', uri=True)) as bag:
        return [
            data for (data,) in bag.execute('SELECT data FROM messages ORDER BY timestamp, id')
        ]


def measure(name: str, type_name: str, messages: list[bytes]) -> dict[str, object]:
    """Decode the messages in turn with one decoder."""
    decode = open_decoder(type_name)
    events = sum(len(decode(raw)) for raw in messages)

    def run() -> None:
        decode.reset()
        for raw in messages:
            decode(raw)

    seconds = best_time(run)
    return {
        'name': name,
        'messages': len(messages),
        'events': events,
        'events_per_message': round(events / len(messages)),
        'mev_per_s': round(events / seconds / 1e6, 2),
        'us_per_message': round(seconds / len(messages) * 1e6, 2),
    }


def measure_typed(raw: bytes, events: int) -> list[dict[str, object]]:
    """Decode an EventArray as rclpy does, without and with arrays of it; empty without ROS 2."""
    try:
        from dvs_msgs.msg import EventArray
        from rclpy.serialization import deserialize_message
    except ImportError as problem:
        print(f'typed path of rclpy not measured: {problem}', file=sys.stderr)
        return []

    def message() -> object:
        return deserialize_message(raw, EventArray)

    def arrays() -> object:
        rows = [(e.x, e.y, e.ts.sec, e.ts.nanosec, e.polarity) for e in message().events]
        return np.array(rows, EVENT_TYPE)

    results = []
    for name, action in (('rclpy: message object', message), ('rclpy: object to arrays', arrays)):
        seconds = best_time(action, seconds=2.0, most=20)
        results.append(
            {
                'name': name,
                'messages': 1,
                'events': events,
                'events_per_message': events,
                'mev_per_s': round(events / seconds / 1e6, 4),
                'us_per_message': round(seconds * 1e6, 2),
            }
        )
    return results


def main() -> int:
    """Measure, print the table, write the JSON file."""
    arguments = new_parser(__doc__).parse_args()
    if hasattr(os, 'sched_setaffinity'):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

    packets = [
        event_packet(evt3_words(50_000, 1280, 720, 4), 'evt3', 1280, 720, seq) for seq in range(4)
    ]
    small = [
        event_packet(evt3_words(400, 1280, 720, 4), 'evt3', 1280, 720, seq) for seq in range(100)
    ]
    cases = [
        ('EventArray, 50 000 events', EVENT_ARRAY, [event_array(50_000, 304, 240)]),
        ('EventArray, 1 000 events', EVENT_ARRAY, [event_array(1_000, 304, 240)] * 50),
        ('EventArray, 1 000 000 events', EVENT_ARRAY, [event_array(1_000_000, 1280, 720)]),
        ('evt3, 50 000 events', EVENT_PACKET, packets),
        ('evt3, 400 events', EVENT_PACKET, small),
        (
            'evt3, recorded VGA',
            EVENT_PACKET,
            recording('ecp_evt3_vga', 'test_events_1', 'test_events_1.db3'),
        ),
        (
            'libcaer, recorded VGA',
            EVENT_PACKET,
            recording('codecs_edge_cases', 'test_data_libcaer_rollover', 'libcaer_rollover_0.db3'),
        ),
        (
            'PointCloud2, 50 000 events',
            'sensor_msgs/msg/PointCloud2',
            [point_cloud(50_000, 304, 240)],
        ),
    ]
    payloads = {kind: words64(kind, 48_000, 640, 480) for kind in ('mono', 'libcaer', 'evt21')}
    payloads['evt2'] = evt2_words(48_000, 640, 480)
    halves = np.frombuffer(payloads['evt21'], '<u4').reshape(-1, 2)
    payloads['evt21;endianness=legacy'] = halves[:, ::-1].tobytes()
    for kind, payload in payloads.items():
        cases.append(
            (f'{kind}, 48 000 events', EVENT_PACKET, [event_packet(payload, kind, 640, 480, 0)])
        )
    results = [
        measure(name, type_name, messages) for name, type_name, messages in cases if messages
    ]
    results += measure_typed(event_array(50_000, 304, 240), 50_000)

    speed = {str(result['name']): float(str(result['mev_per_s'])) for result in results}
    ours = speed['EventArray, 50 000 events']
    for result in results:
        if str(result['name']).startswith('rclpy'):
            result['event_array_is_faster_by'] = round(ours / speed[str(result['name'])], 1)

    report = {'host': host(), 'results': results}
    print(' | '.join(f'{key} {value}' for key, value in report['host'].items()))
    print(
        f'{"one core, best of repeats":<40}{"events/message":>15}{"us/message":>13}'
        f'{"Mev/s":>10}{"EventArray is":>16}'
    )
    for result in results:
        ratio = result.get('event_array_is_faster_by')
        print(
            f'{result["name"]:<40}{result["events_per_message"]:>15}{result["us_per_message"]:>13}'
            f'{result["mev_per_s"]:>10}{f"{ratio} x faster" if ratio else "":>16}'
        )
    write_results(arguments.json, report)
    return 0


if __name__ == '__main__':
    sys.exit(main())
