# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What a viewer costs the detections: their latency while one is attached, and while none is.

    python benchmarks/viewers.py [--rate 1] [--seconds 60]
    [--viewers overlay overlay/compressed event_image token_mask markers event_cloud tracks]
    [--json FILE]

For each viewer a node of its own gets one stream. A process on the same cores subscribes to the
topic for two seconds, throws the messages away, leaves it for two seconds, and so on: both states
are compared on the same node at the same time, as machines are slower in one minute than in the
next. Reported: latency of the detections, p50 and p99 of the windows with and without the viewer,
the difference of p99 with its standard error (bootstrap over the intervals), and how many messages
the viewer got.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import contextlib
import json
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
from rich.console import Console
from sast_ros.bench.node import NodeOptions, run_stream
from sast_ros.bench.workload import synthetic_workload
from sast_ros.cli.terminal import columns_table
from sast_ros.demo.processes import private_domain
from sast_ros.demo.run import load_observer
from sast_ros.model import model_config
from sast_ros.pipeline import default_sensor_size
from workload import host, new_parser, write_results

#: Types of the topics.
VIEWERS = {
    'overlay': 'sensor_msgs/msg/Image',
    'overlay/compressed': 'sensor_msgs/msg/CompressedImage',
    'event_image': 'sensor_msgs/msg/Image',
    'token_mask': 'sensor_msgs/msg/Image',
    'markers': 'visualization_msgs/msg/MarkerArray',
    'event_cloud': 'sensor_msgs/msg/PointCloud2',
    'tracks': 'sensor_msgs/msg/PointCloud2',
}


#: Length of an interval with the viewer or without, and what is left out at its beginning.
INTERVAL_S, SETTLING_S = 2.0, 0.3


def watch(topic: str) -> None:
    """Come and go until interrupted; print when, in ns, and the number of messages each time."""
    import rclpy
    from sast_ros.ros.event_subscription import find_message_class

    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    intervals: list[tuple[int, int, int]] = []
    message_class = find_message_class(VIEWERS[topic])
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    node = rclpy.create_node('viewer')

    def spin() -> None:
        end = time.monotonic() + INTERVAL_S
        while time.monotonic() < end:  # a signal is handled between two waits
            rclpy.spin_once(node, timeout_sec=0.1)

    with contextlib.suppress(KeyboardInterrupt):
        while True:
            received: list[None] = []
            began = time.time_ns()
            subscription = node.create_subscription(
                message_class, topic, lambda _, to=received: to.append(None), 1, raw=True
            )
            spin()
            node.destroy_subscription(subscription)
            intervals.append((began, time.time_ns(), len(received)))
            spin()
    print(json.dumps(intervals))


@contextlib.contextmanager
def attached(topic: str) -> Iterator[list[tuple[int, int, int]]]:
    """Let a viewer come and go; afterwards the list has what ``watch`` prints."""
    intervals: list[tuple[int, int, int]] = []
    command = [sys.executable, __file__, '--watch', topic]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield intervals
        finally:
            process.send_signal(signal.SIGINT)
            intervals += json.loads(process.communicate(timeout=30)[0])


def main() -> int:
    """Measure and report."""
    parser = new_parser(__doc__)
    parser.add_argument('--rate', type=float, default=1.0, help='million events per second')
    parser.add_argument('--seconds', type=float, default=60.0)
    parser.add_argument('--viewers', nargs='+', choices=VIEWERS, default=[*VIEWERS])
    parser.add_argument('--model', default='default')
    parser.add_argument('--watch', choices=VIEWERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.watch:
        watch(arguments.watch)
        return 0
    size = default_sensor_size(model_config('gen1-tiny'))
    stream = synthetic_workload(size, arguments.seconds, 1e6 * arguments.rate, 'EventPacket')
    rows = {}
    for viewer in arguments.viewers:
        arrivals: list[tuple[int, float]] = []
        with private_domain(), attached(viewer) as intervals:
            options = NodeOptions(arguments.model)
            result = run_stream(load_observer(), options, stream, arrivals)
        rows[viewer] = compare(arrivals, intervals)
        assert result['loss'] == 0, result
    title = f'latency of detections in ms, with a viewer and without, {arguments.rate:g} Mev/s'
    names = ['viewer', *next(iter(rows.values()))]
    cells = [[name, *map(str, row.values())] for name, row in rows.items()]
    Console().print(columns_table(title, names, cells))
    about = host()
    print(', '.join(f'{name} {value}' for name, value in about.items()))
    write_results(arguments.json, {'host': about, 'rate_mev_s': arguments.rate, 'rows': rows})
    return 0


def compare(
    arrivals: list[tuple[int, float]], intervals: list[tuple[int, int, int]]
) -> dict[str, Any]:
    """Return the latencies inside the intervals and between them, and how they differ."""
    at, latency = np.array(arrivals).T
    settling = 1e9 * SETTLING_S
    inside, between = [], []
    ends = [began for began, _, _ in intervals[1:]] + [int(at[-1]) + 1]
    for (began, left, _), end in zip(intervals, ends, strict=True):
        inside.append(latency[(at >= began + settling) & (at < left)])
        between.append(latency[(at >= left + settling) & (at < end)])
    inside, between = ([part for part in parts if len(part)] for parts in (inside, between))
    rng = np.random.default_rng(0)

    def p99(parts: list[np.ndarray], chosen: Any) -> float:
        return float(np.percentile(np.concatenate([parts[index] for index in chosen]), 99))

    differences = [
        p99(inside, rng.integers(len(inside), size=len(inside)))
        - p99(between, rng.integers(len(between), size=len(between)))
        for _ in range(500)
    ]
    all_inside, all_between = np.concatenate(inside), np.concatenate(between)
    (p50, high), (p50_without, high_without) = (
        np.percentile(values, (50, 99)) for values in (all_inside, all_between)
    )
    return {
        'windows': len(all_inside),
        'p50': round(p50, 2),
        'without': round(p50_without, 2),
        'p99': round(high, 2),
        'without it': round(high_without, 2),
        'difference': f'{high - high_without:.2f} +- {np.std(differences):.2f}',
        'messages': sum(received for _, _, received in intervals),
    }


if __name__ == '__main__':
    sys.exit(main())
