# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
A process that publishes serialised messages, as a driver or a bag player would.

Reads a file of records (``uint64`` nanoseconds since the first one, ``uint32`` length, the bytes;
little-endian), waits for subscribers and a line on standard input, publishes each record when its
time has come, waits until all are acknowledged, says ``done``, and stays until standard input is
closed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import importlib
from pathlib import Path
import struct
import sys
import time

import rclpy
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

_RECORD = struct.Struct('<QI')


def read_records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (nanoseconds since the first message, message)."""
    content = path.read_bytes()
    at = 0
    while at < len(content):
        after_ns, length = _RECORD.unpack_from(content, at)
        at += _RECORD.size
        end = at + length
        yield after_ns, content[at:end]
        at = end


def publish_in_time(publisher: Publisher, records: list[tuple[int, bytes]]) -> float:
    """
    Publish every record when its time has come.

    Return by how many seconds the worst one was late.
    """
    begin = time.monotonic()
    worst = 0.0
    for after_ns, message in records:
        ahead = begin + after_ns / 1e9 - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        else:
            worst = max(worst, -ahead)
        publisher.publish(message)
    return worst


def main() -> int:
    """Publish one file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--topic', required=True)
    parser.add_argument('--type', required=True)
    parser.add_argument('--file', required=True, type=Path)
    parser.add_argument('--subscribers', type=int, default=1)
    parser.add_argument('--best-effort', action='store_true')
    parser.add_argument('--latched', action='store_true')
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
    node = Node('event_source')
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
    late = publish_in_time(publisher, records)
    acknowledged = publisher.wait_for_all_acked(Duration(seconds=60))
    print(f'done {acknowledged} {1e3 * late:.1f}', flush=True)
    sys.stdin.read()
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
