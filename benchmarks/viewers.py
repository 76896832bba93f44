# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What a viewer costs the detections: their latency with and without each of them attached.

    python benchmarks/viewers.py [--rate 1] [--seconds 10] [--rounds 3]
    [--viewers overlay overlay/compressed event_image markers event_cloud tracks] [--json FILE]

In each round the same stream goes to a new node once without a viewer and once with each of them,
in changing order: a process that subscribes to the topic and throws its messages away, on the same
cores. Reported: latency of the detections, p50 and p99 as medians of the rounds, the difference to
no viewer, and how many messages the viewer got.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import contextlib
import json
from pathlib import Path
import signal
import statistics
import subprocess
import sys
from typing import Any

from rich.console import Console
from sast_ros.bench.node import NodeOptions, run_stream
from sast_ros.bench.workload import synthetic_workload
from sast_ros.cli.terminal import columns_table
from sast_ros.demo.processes import private_domain
from sast_ros.demo.run import load_observer
from sast_ros.model import model_config
from sast_ros.pipeline import default_sensor_size
from workload import host

#: Types of the topics.
VIEWERS = {
    'overlay': 'sensor_msgs/msg/Image',
    'overlay/compressed': 'sensor_msgs/msg/CompressedImage',
    'event_image': 'sensor_msgs/msg/Image',
    'markers': 'visualization_msgs/msg/MarkerArray',
    'event_cloud': 'sensor_msgs/msg/PointCloud2',
    'tracks': 'sensor_msgs/msg/PointCloud2',
}


def watch(topic: str) -> None:
    """Subscribe until interrupted, and print the number of messages."""
    import rclpy
    from sast_ros.ros.event_subscription import find_message_class

    received = 0

    def count(message: bytes) -> None:
        nonlocal received
        received += 1

    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    node = rclpy.create_node('viewer')
    node.create_subscription(find_message_class(VIEWERS[topic]), topic, count, 1, raw=True)
    with contextlib.suppress(KeyboardInterrupt):
        while True:  # a signal is handled between two waits
            rclpy.spin_once(node, timeout_sec=0.1)
    print(received)


@contextlib.contextmanager
def attached(topic: str | None) -> Iterator[list[int]]:
    """Let a viewer run; afterwards the list has the number of its messages."""
    received: list[int] = []
    if topic is None:
        yield received
        return
    command = [sys.executable, __file__, '--watch', topic]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield received
        finally:
            process.send_signal(signal.SIGINT)
            received.append(int(process.communicate(timeout=30)[0]))


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--rate', type=float, default=1.0, help='million events per second')
    parser.add_argument('--seconds', type=float, default=10.0)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--viewers', nargs='+', choices=VIEWERS, default=[*VIEWERS])
    parser.add_argument('--model', default='default')
    parser.add_argument('--json', type=Path, help='write the results into this file')
    parser.add_argument('--watch', choices=VIEWERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.watch:
        watch(arguments.watch)
        return 0
    size = default_sensor_size(model_config('gen1-tiny'))
    stream = synthetic_workload(size, arguments.seconds, 1e6 * arguments.rate, 'EventPacket')
    ways: list[str | None] = [None, *arguments.viewers]
    found: dict[str | None, list[dict[str, Any]]] = {way: [] for way in ways}
    for number in range(arguments.rounds):
        for way in ways[:: 1 if number % 2 else -1]:
            with private_domain(), attached(way) as received:
                result = run_stream(load_observer(), NodeOptions(arguments.model), stream)
            found[way].append(result | {'received': sum(received)})
    rows = {way or 'none': summary(results, found[None]) for way, results in found.items()}
    names = ['viewer', *rows['none']]
    Console().print(
        columns_table(
            f'latency of detections with a viewer, {arguments.rate:g} Mev/s',
            names,
            [[name, *map(str, row.values())] for name, row in rows.items()],
        )
    )
    about = host()
    print(', '.join(f'{name} {value}' for name, value in about.items()))
    if arguments.json:
        content = {'host': about, 'rate_mev_s': arguments.rate, 'rows': rows}
        arguments.json.write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')
    return 0


def summary(results: list[dict[str, Any]], without: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians of the rounds."""

    def median(rows: list[dict[str, Any]], name: str) -> float:
        return statistics.median(row['latency_ms'][name] for row in rows)

    p50, p99 = median(results, 'p50'), median(results, 'p99')
    return {
        'p50 ms': round(p50, 2),
        'p99 ms': round(p99, 2),
        'p99 difference ms': round(p99 - median(without, 'p99'), 2),
        'loss': max(row['loss'] for row in results),
        'messages': round(statistics.median(row['received'] for row in results)),
    }


if __name__ == '__main__':
    sys.exit(main())
