# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
How much a running node takes without a loss.

Events come from another process, over DDS, at a given rate.

    python benchmarks/node_throughput.py [--rate 5] [--seconds 10] [--type packet|array|both]
    [--json FILE]

The publisher process holds all messages serialised and sends each when its time has come
(reliable, KeepLast deep); the node is the product as it is; this process listens to the
detections. Reported per type: messages sent and read, windows expected and received, their order,
step times, processor time, and how long after its end a window's detections arrive. The exit code
is 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
import platform
import signal
import struct
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parent
PUBLISHER = FOLDER / 'publish_file.py'
WIDTH, HEIGHT = 304, 240
WINDOW_US = 50_000
PATIENCE_S = 120.0
TYPES = {'packet': 'event_camera_msgs/msg/EventPacket', 'array': 'dvs_msgs/msg/EventArray'}


def moving_edges(rate: float, seconds: float, message_us: int, seed: int = 0) -> list[Any]:
    """Events of vertical edges that cross the sensor, one chunk per message, ``rate`` in Mev/s."""
    from sast_ros.events import EventChunk

    random = np.random.default_rng(seed)
    count = int(rate * message_us)
    chunks = []
    for index in range(int(seconds * 1e6 / message_us)):
        t = np.sort(random.integers(0, message_us, count)) + index * message_us
        edge = random.integers(0, 8, count)
        x = (edge * 38 + (t * 0.0002).astype(np.int64) + random.integers(0, 4, count)) % WIDTH
        y = random.integers(0, HEIGHT, count)
        p = edge & 1
        chunks.append(
            EventChunk(
                x.astype(np.uint16),
                y.astype(np.uint16),
                p.astype(np.uint8),
                t,
                width=WIDTH,
                height=HEIGHT,
            )
        )
    return chunks


def serialise_arrays(chunks: list[Any], begin_ns: int) -> list[bytes]:
    """Return one dvs_msgs/EventArray per chunk."""
    messages = []
    for chunk in chunks:
        stamp = begin_ns + 1000 * int(chunk.t[0])
        head = struct.pack('<4xiI', stamp // 10**9, stamp % 10**9)
        head = head[:1] + b'\1' + head[2:] + struct.pack('<I7s', 7, b'camera\0') + b'\0'
        head += struct.pack('<III', chunk.height, chunk.width, len(chunk))
        # All events but the first: x and y slide into the padding behind the previous polarity
        # (spec/WIRE_FORMATS.md).
        body = np.zeros((len(chunk), 16), np.uint8)
        time_ns = begin_ns + 1000 * chunk.t
        body[:, 4:8] = (time_ns // 10**9).astype('<i4')[:, None].view(np.uint8)
        body[:, 8:12] = (time_ns % 10**9).astype('<u4')[:, None].view(np.uint8)
        body[:, 12] = chunk.p
        position = np.stack([chunk.x, chunk.y], axis=1).astype('<u2').view(np.uint8)
        body[:-1, 14:16] = position[1:, :2]
        body[1:, 0:2] = position[1:, 2:]
        body[0, 0:4] = position[0]
        messages.append(head + body.tobytes()[: 16 * len(chunk) - 3])
    return messages


def serialise_packets(chunks: list[Any], begin_ns: int) -> list[bytes]:
    """Return one event_camera_msgs/EventPacket (evt3) per chunk."""
    from sast_ros.events.encoders import EventPacketEncoder

    encode = EventPacketEncoder(WIDTH, HEIGHT, 'camera')
    return [encode(chunk, begin_ns + 1000 * int(chunk.t[0])) for chunk in chunks]


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--rate', type=float, default=5.0, help='million events per second')
    parser.add_argument('--seconds', type=float, default=10.0)
    parser.add_argument('--message-ms', type=float, default=2.0, help='sensor time in one message')
    parser.add_argument('--type', choices=[*TYPES, 'both'], default='both')
    parser.add_argument('--model', default='gen1-tiny')
    parser.add_argument(
        '--parameter',
        action='append',
        default=[],
        help='further parameter of the node, NAME:=VALUE',
    )
    parser.add_argument('--json', type=Path, help='write the results into this file')
    arguments = parser.parse_args()
    os.environ['ROS_DOMAIN_ID'] = str(1 + os.getpid() % 100)
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    chunks = moving_edges(arguments.rate, arguments.seconds, int(1000 * arguments.message_ms))
    results = {
        name: measure(name, chunks, arguments)
        for name in (TYPES if arguments.type == 'both' else [arguments.type])
    }
    report = {
        'host': host(),
        'rate_mev_s': arguments.rate,
        'seconds': arguments.seconds,
        'results': results,
    }
    text = json.dumps(report, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + '\n')
    return 0 if all(result['passed'] for result in results.values()) else 1


def measure(name: str, chunks: list[Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the node once with messages of one type."""
    from diagnostic_msgs.msg import DiagnosticArray
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from vision_msgs.msg import Detection2DArray

    begin_ns = 1_700_000_000 * 10**9
    messages = (serialise_packets if name == 'packet' else serialise_arrays)(chunks, begin_ns)
    last_us = int(chunks[-1].t[-1])
    expected = list(range(int(chunks[0].t[0]) + WINDOW_US, last_us, WINDOW_US))
    detections: list[tuple[float, int]] = []
    statuses: list[dict[str, str]] = []
    context = rclpy.Context()
    rclpy.init(context=context)
    listener = rclpy.create_node('listener', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(listener)

    def keep(array: Any) -> None:
        stamp = array.header.stamp
        detections.append((time.monotonic(), stamp.sec * 10**9 + stamp.nanosec))

    def keep_status(array: Any) -> None:
        for status in array.status:
            statuses.append({entry.key: entry.value for entry in status.values})

    listener.create_subscription(Detection2DArray, 'detections', keep, 5000)
    listener.create_subscription(DiagnosticArray, '/diagnostics', keep_status, 100)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'messages'
        with file.open('wb') as stream:
            for index, message in enumerate(messages):
                stream.write(
                    struct.pack('<QI', int((index + 1) * arguments.message_ms * 1e6), len(message))
                    + message
                )
        more = [part for value in arguments.parameter for part in ('-p', value)]
        node = subprocess.Popen(
            [
                sys.executable,
                '-m',
                'sast_ros.ros.detector_node',
                '--ros-args',
                '-p',
                f'model.path:={arguments.model}',
                *more,
            ]
        )
        publisher = subprocess.Popen(
            [
                sys.executable,
                str(PUBLISHER),
                '--topic',
                'events',
                '--type',
                TYPES[name],
                '--file',
                str(file),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert publisher.stdout.readline() == 'here\n'
            publisher.stdin.write('\n')
            publisher.stdin.flush()
            assert publisher.stdout.readline() == 'begin\n'
            began = time.monotonic()
            before = {
                'node': processor_seconds(node.pid),
                'publisher': processor_seconds(publisher.pid),
            }
            limit = began + arguments.seconds + PATIENCE_S
            while len(detections) < len(expected) and time.monotonic() < limit:
                executor.spin_once(timeout_sec=0.1)
                if statuses and detections and time.monotonic() - detections[-1][0] > 5:
                    break
            _, acknowledged, late_ms = publisher.stdout.readline().split()
            used = {
                name: processor_time(process.pid, before[name])
                for name, process in (('node', node), ('publisher', publisher))
            }
            done = statuses[-1].get('windows done') if statuses else None
            while (
                statuses and statuses[-1].get('windows done') == done and time.monotonic() < limit
            ):
                executor.spin_once(timeout_sec=0.1)
                if int(done or 0) >= len(detections):
                    break
        finally:
            publisher.stdin.close()
            publisher.wait(30)
            publisher.stdout.close()
            node.send_signal(signal.SIGINT)
            node.wait(30)
            executor.shutdown()
            listener.destroy_node()
            context.try_shutdown()
    stamps = [stamp for _, stamp in detections]
    # Sensor time 0 is sent at `began`; the clocks of stamps differ by a constant that the first
    # window tells.
    lags = [1e3 * (at - began) - (stamp - begin_ns) / 1e6 for at, stamp in detections]
    status = statuses[-1] if statuses else {}
    events = sum(len(chunk) for chunk in chunks)
    in_order = stamps == sorted(set(stamps))
    result = {
        'messages': len(messages),
        'bytes_per_message': len(messages[0]),
        'messages_per_second': round(1e3 / arguments.message_ms),
        'publisher_late_ms': float(late_ms),
        'acknowledged': acknowledged == 'True',
        'events_sent': events,
        'events_read': int(status.get('events', 0)),
        'windows_expected': len(expected),
        'windows_received': len(stamps),
        'windows_dropped': int(status.get('windows dropped', 0)),
        'in_order': in_order,
        'processor_s': used,
        'lag_ms_p50': round(float(np.median(lags)), 1) if lags else None,
        'lag_ms_max': round(max(lags), 1) if lags else None,
        'status': status,
    }
    result['passed'] = (
        in_order and len(stamps) == len(expected) and result['events_read'] == events
    )
    return result


def processor_seconds(process: int) -> dict[int, float]:
    """
    Return the processor time that each thread of a process has used so far (Linux).

    The keys are the thread ids.
    """
    used = {}
    for thread in Path(f'/proc/{process}/task').iterdir():
        fields = (thread / 'stat').read_text().rpartition(')')[2].split()
        used[int(thread.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
    return used


def processor_time(process: int, before: dict[int, float]) -> dict[str, float]:
    """Return what the main thread and all others together have used since ``before``, seconds."""
    used = {
        thread: time - before.get(thread, 0.0)
        for thread, time in processor_seconds(process).items()
    }
    main = used.pop(process)
    return {'main_thread': round(main, 2), 'other_threads': round(sum(used.values()), 2)}


def host() -> dict[str, Any]:
    """Return what the numbers depend on."""
    import torch

    model = ''
    if Path('/proc/cpuinfo').exists():
        model = next(
            (
                line
                for line in Path('/proc/cpuinfo').read_text().splitlines()
                if 'model name' in line
            ),
            '',
        )
    return {
        'cpu': model.partition(':')[2].strip() or platform.processor(),
        'cores': len(os.sched_getaffinity(0)),
        'python': platform.python_version(),
        'torch': torch.__version__,
        'load_before': os.getloadavg()[0],
    }


if __name__ == '__main__':
    sys.exit(main())
