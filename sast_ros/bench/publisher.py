# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
A process that publishes serialised messages, as a driver or a bag player would.

Reads a file of ``sast_ros.bench.records``, waits for subscribers and a line on standard input,
publishes each record when its time has come, waits until all are acknowledged, says ``done``, and
stays until standard input is closed. A benchmark reads in a report (JSON) when each message was
published.
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
import sys
import time

import rclpy
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sast_ros.bench.records import read_records


def publish_in_time(publisher: Publisher, records: list[tuple[int, bytes]]) -> list[int]:
    """Publish every record when its time has come; return the times, ns of the wall clock."""
    begin = time.time_ns()
    published = []
    for after_ns, message in records:
        ahead_ns = begin + after_ns - time.time_ns()
        if ahead_ns > 0:
            time.sleep(ahead_ns / 1e9)
        published.append(time.time_ns())
        publisher.publish(message)
    return published


def main() -> int:
    """Publish one file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--topic', required=True)
    parser.add_argument('--type', required=True)
    parser.add_argument('--file', required=True, type=Path)
    parser.add_argument('--node', default='event_source', help='name of the node')
    parser.add_argument('--subscribers', type=int, default=1)
    parser.add_argument('--best-effort', action='store_true')
    parser.add_argument('--latched', action='store_true')
    parser.add_argument('--report', type=Path)
    arguments = parser.parse_args()
    package, _, name = arguments.type.split('/')
    reliability = (
        ReliabilityPolicy.BEST_EFFORT if arguments.best_effort else ReliabilityPolicy.RELIABLE
    )
    durability = (
        DurabilityPolicy.TRANSIENT_LOCAL if arguments.latched else DurabilityPolicy.VOLATILE
    )
    records = list(read_records(arguments.file))
    rclpy.init()
    node = Node(arguments.node)
    publisher = node.create_publisher(
        getattr(importlib.import_module(f'{package}.msg'), name),
        arguments.topic,
        QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=5000,
            reliability=reliability,
            durability=durability,
        ),
    )
    print('here', flush=True)
    while publisher.get_subscription_count() < arguments.subscribers:
        time.sleep(0.01)  # rclpy offers nothing to wait on for a match without an executor
    sys.stdin.readline()
    print('begin', flush=True)
    published = publish_in_time(publisher, records)
    acknowledged = publisher.wait_for_all_acked(Duration(seconds=60))
    if arguments.report:
        report = {'acknowledged': acknowledged, 'published_ns': published}
        arguments.report.write_text(json.dumps(report))
    print(f'done {acknowledged}', flush=True)
    sys.stdin.read()
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
