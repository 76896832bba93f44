# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Start of the detector node by part: processor time, wall clock, and resident memory after it.

    python benchmarks/start.py [--model default] [--threads 1] [--instruction-set avx2] [--runs 5]
    [--json FILE]

A process for each run does what the node does, in its order, and notes the time of each part;
without ROS 2 the parts of rclpy are left out. Minima of all runs; the memory is the median. The
time from the start of the process to the first detection on real topics is that of
``sast-ros bench --node``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import contextlib
import json
import os
from pathlib import Path
import subprocess
import sys
import time
from typing import Any

from sast_ros.process import (
    hold_to_instruction_set,
    INSTRUCTION_SETS,
    keep_heap,
    limit_spinning,
    paused_collector,
    resident_bytes,
    return_heap,
)

STEPS = 3  # of the warm-up


def main() -> None:
    """Measure in child processes and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--model', default='default')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--instruction-set', choices=INSTRUCTION_SETS)
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--json', type=Path)
    parser.add_argument('--child', action='store_true', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        json.dump(list(measure(arguments)), sys.stdout)
        return
    command = [sys.executable, *sys.argv, '--child']
    runs = [json.loads(subprocess.check_output(command)) for _ in range(arguments.runs)]
    from workload import report

    rows = []
    for parts in zip(*runs):
        memory = sorted(part['resident_mb'] for part in parts)
        times = [min(part[name] for part in parts) for name in ('processor_ms', 'wall_ms')]
        rows.append([parts[0]['part'], *map(round, times), round(memory[len(memory) // 2])])
    rows.append(['all', *(sum(row[column] for row in rows) for column in (1, 2)), rows[-1][3]])
    report(
        'start by part', ['part', 'processor ms', 'wall ms', 'MB after it'], rows, arguments.json
    )


def measure(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Start as the node does and yield the parts."""
    if arguments.instruction_set:
        hold_to_instruction_set(arguments.instruction_set)
    limit_spinning()
    keep_heap()
    wall, processor = time.perf_counter(), 0.0  # with the start of the interpreter

    def part(name: str) -> dict[str, Any]:
        nonlocal wall, processor
        now, used = time.perf_counter(), time.process_time()
        done = {
            'part': name,
            'processor_ms': 1e3 * (used - processor),
            'wall_ms': 1e3 * (now - wall),
            'resident_mb': resident_bytes() / 1e6,
        }
        wall, processor = now, used
        return done

    yield part('interpreter')
    node = None
    with contextlib.suppress(ImportError):
        import rclpy
        from sast_ros.ros.detector_node import DetectorNode

        yield part('import of rclpy, messages, node')
        os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'OFF'
        rclpy.init()
        node = DetectorNode()
        yield part('node')
    with paused_collector():
        import torch

        yield part('import of torch')
        from sast_ros.detector import StreamingDetector
        from sast_ros.model import choose_model

        yield part('import of the detector')
        torch.set_num_threads(arguments.threads)
        model, _ = choose_model(arguments.model)
        yield part('model')
        detector = StreamingDetector(model)
        del model
        yield part('engine')
        shape = (detector.config.channels, *detector.config.frame)
        for step in range(STEPS):
            detector.step(torch.full(shape, step, dtype=torch.uint8))
        yield part('warm-up')
    return_heap()
    yield part('memory returned')
    if node is not None:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == '__main__':
    main()
