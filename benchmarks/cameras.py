# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Memory and losses of one node with several cameras.

    python benchmarks/cameras.py [--cameras 1 2] [--rate 1] [--seconds 10] [--model default]
    [--threads 0] [--json FILE]

For each number of cameras, a node and a publisher for each camera, in processes of their own; the
synthetic streams run in real time. Reported: resident memory of the node after the last window,
also without what it shares with other processes, and its windows. The environment variable
``SAST_ROS_INSTRUCTION_SET`` holds the node to an instruction set.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
import sys
import tempfile
import time
from typing import Any

from sast_ros.bench.node import memory_mb
from sast_ros.bench.records import write_records
from sast_ros.bench.workload import synthetic_workload, Workload
from sast_ros.demo.processes import Child, detector_process, private_domain
from sast_ros.model import choose_model
from sast_ros.pipeline import default_sensor_size
from workload import new_parser, report

PATIENCE_S = 120.0
COLUMNS = ['cameras', 'resident MB', 'anonymous MB', 'windows', 'done', 'dropped', 'p99 ms']


def main() -> int:
    """Measure and report; 1 if a window was lost."""
    parser = new_parser(__doc__)
    parser.add_argument('--cameras', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--rate', type=float, default=1.0, help='million events/s of each camera')
    parser.add_argument('--seconds', type=float, default=10.0)
    parser.add_argument('--model', default='default')
    parser.add_argument('--threads', type=int, default=0)
    arguments = parser.parse_args()
    size = default_sensor_size(choose_model(arguments.model)[0].config)
    stream = synthetic_workload(size, arguments.seconds, 1e6 * arguments.rate)
    rows = [measure(count, stream, arguments) for count in arguments.cameras]
    report('cameras of one node', COLUMNS, rows, arguments.json)
    return int(any(row[3] != row[4] for row in rows))


def measure(cameras: int, stream: Workload, arguments: argparse.Namespace) -> list[Any]:
    """Run a node with so many cameras and return a row of the table."""
    names = [''] if cameras == 1 else [f'camera_{index}' for index in range(cameras)]
    parameters = {
        'model.path': arguments.model,
        'model.threads': arguments.threads,
        'cameras': names,
    }
    windows = len(list(stream.windows()))
    with private_domain(), tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        write_records(folder / 'messages', stream.messages)
        node = detector_process(parameters, 'events', folder)
        stack.enter_context(node)
        for index, camera in enumerate(names):
            options = ['--topic', f'/{camera}/events' if camera else '/events']
            options += ['--type', stream.message_type, '--file', str(folder / 'messages')]
            log = folder / f'publisher_{index}.log'
            stack.enter_context(Child('a publisher', 'sast_ros.bench.publisher', options, log))
        status = final_status(node, len(names), windows, PATIENCE_S + arguments.seconds)
        memory = memory_mb(node.pid)
    done, dropped = (
        sum(int(values[f'windows {what}']) for values in status) for what in ('done', 'dropped')
    )
    p99 = max(float(values['step time p99 (ms)']) for values in status)
    return [
        *(cameras, memory['resident'], memory['anonymous']),
        *(cameras * windows, done, dropped, p99),
    ]


def final_status(
    node: Child, cameras: int, windows: int, patience_s: float
) -> list[dict[str, str]]:
    """Wait until every camera has its windows, and return the values of its diagnostics."""
    from diagnostic_msgs.msg import DiagnosticArray
    import rclpy

    rclpy.init()
    observer = rclpy.create_node('observer')
    latest: dict[str, dict[str, str]] = {}

    def note(array: DiagnosticArray) -> None:
        for status in array.status:
            latest[status.name] = {pair.key: pair.value for pair in status.values}

    observer.create_subscription(DiagnosticArray, '/diagnostics', note, 100)
    end = time.monotonic() + patience_s
    try:
        while time.monotonic() < end and node.exit_code() is None:
            rclpy.spin_once(observer, timeout_sec=0.2)
            counts = [
                int(values['windows done']) + int(values['windows dropped'])
                for values in latest.values()
            ]
            if len(counts) == cameras and min(counts) >= windows:
                return list(latest.values())
    finally:
        observer.destroy_node()
        rclpy.shutdown()
    raise SystemExit(f'{cameras} cameras: not all windows were reported{node.log_tail()}')


if __name__ == '__main__':
    sys.exit(main())
