# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
How much a running node takes without a loss.

    python benchmarks/node_throughput.py [--rate 5] [--seconds 10] [--types EventPacket EventArray]
    [--model gen1-tiny] [--threads 0] [--json FILE]

What ``sast-ros bench --node`` does at one rate, for both types of messages: a publisher process
sends each message when its time has come (reliable, KeepLast deep) to the node as it is. Reported
per type: messages, events and windows, their order, step times, processor time and memory of the
node, and the latency of the detections. The exit code is 1 if anything was lost.
"""

from __future__ import annotations

import json
import sys

from sast_ros.bags.writers import MESSAGES
from sast_ros.bench.node import NodeOptions, run_stream
from sast_ros.bench.workload import synthetic_workload
from sast_ros.demo.processes import private_domain
from sast_ros.demo.run import load_observer
from sast_ros.model import model_config
from sast_ros.pipeline import default_sensor_size
from workload import host, new_parser, write_results


def main() -> int:
    """Measure and report."""
    parser = new_parser(__doc__)
    parser.add_argument('--rate', type=float, default=5.0, help='million events per second')
    parser.add_argument('--seconds', type=float, default=10.0)
    parser.add_argument('--types', nargs='+', choices=MESSAGES, default=[*MESSAGES])
    parser.add_argument('--model', default='gen1-tiny')
    parser.add_argument('--threads', type=int, default=0)
    arguments = parser.parse_args()
    options = NodeOptions(arguments.model, arguments.threads)
    size = default_sensor_size(model_config(arguments.model))
    results = {}
    for name in arguments.types:
        stream = synthetic_workload(size, arguments.seconds, 1e6 * arguments.rate, name)
        with private_domain():
            results[name] = run_stream(load_observer(), options, stream)
    report = {
        'host': host(),
        'rate_mev_s': arguments.rate,
        'seconds': arguments.seconds,
        'results': results,
    }
    print(json.dumps(report, indent=2))
    write_results(arguments.json, report)
    return 0 if all(one['loss'] == 0 and one['in_order'] for one in results.values()) else 1


if __name__ == '__main__':
    sys.exit(main())
