# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
How old detections are while the node gets more windows than it can process.

    python benchmarks/overload.py [--seconds 60] [--factor 2] [--policy drop] [--max-age 150]
    [--model gen1-tiny] [--threads 0] [--rate 0.3] [--json FILE]

A first stream finds how many windows a second the node can process. The stride of the second
stream is chosen so that it has ``factor`` times as many. It is sent in slow motion for 5 s (a
quarter of the speed), then in time for ``seconds``, then in slow motion again for 10 s. The
publisher is a process of its own.

Reported: windows offered and processed; in each part of the second stream the age of the
detections (from the publication of the message with the last event of the window to the reception
of the detections, and, as the node states it, from the completion of the window to the publication
of its detections); resident memory; and how long after the overload the median of five detections
is as fresh as 95 % of those before. The exit code is 1 if a bar is missed: p99 of the node's age
at most ``max-age`` and one step; memory within 50 MB; recovery within 1 s.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
import json
import math
import os
from pathlib import Path
import sys
import tempfile
import time
from typing import Any

import numpy as np
from sast_ros.bench.node import (
    memory_mb,
    node_process,
    NodeOptions,
    percentiles,
    publisher_process,
)
from sast_ros.bench.workload import BEGIN_NS, synthetic_workload, Workload
from sast_ros.demo.processes import private_domain
from sast_ros.demo.run import load_observer
from sast_ros.events import open_decoder
from sast_ros.model import model_config
from sast_ros.pipeline import default_sensor_size
from sast_ros.ros.messages import stamp_ns
from workload import host, new_parser, write_results

MEMORY_BAR_MB, RECOVERY_BAR_S = 50.0, 1.0

_CALM_S, _AFTER_S, _SLOW = 5.0, 10.0, 4
_TRIAL_S = 8.0
_TRIAL_STRIDE_MS = 2.0
_SILENCE_S = 2.0


def slow_down(workload: Workload, seconds: float) -> Workload:
    """Return the stream with a slow beginning and a slow end, and ``seconds`` in time."""
    begin_ns = round(1e9 * _CALM_S / _SLOW)
    end_ns = begin_ns + round(1e9 * seconds)
    messages = []
    for after_ns, raw in workload.messages:
        early, late = min(after_ns, begin_ns), max(after_ns - end_ns, 0)
        in_time = min(after_ns, end_ns) - early
        messages.append((_SLOW * (early + late) + in_time, raw))
    return replace(workload, messages=messages)


def run(options: NodeOptions, workload: Workload) -> dict[str, Any]:
    """Send a stream to a node of its own; return what came back, and the node's memory."""
    observing = load_observer()
    memory: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as name, private_domain():
        folder = Path(name)
        publisher = publisher_process(folder, workload, observing.EVENTS_TOPIC)
        node = node_process(folder, options, observing.EVENTS_TOPIC)
        with node, observing.Observer(node, publisher) as observer:
            observer.wait_for_detector()
            with publisher:
                patience_s = workload.messages[-1][0] / 1e9 + 60
                end = time.monotonic() + patience_s
                while publisher.exit_code() is None and time.monotonic() < end:
                    if not memory or time.time_ns() - memory[-1][0] > 2e8:
                        memory.append((time.time_ns(), memory_mb(node.pid)['resident']))
                    observer.spin()
            end = time.monotonic() + _SILENCE_S
            while time.monotonic() < end:
                observer.spin()
            log = node.log.read_text()
        published = json.loads((folder / 'published.json').read_text())['published_ns']
    return {
        'detections': [(at, stamp_ns(a.header.stamp)) for at, a in observer.session.detections],
        'diagnostics': [
            (at, {pair.key: pair.value for pair in status.values})
            for at, status in observer.session.diagnostics
        ],
        'published': published,
        'memory': memory,
        'log': [line for line in log.splitlines() if 'too slow' in line or 'stride' in line],
    }


def measure_capacity(options: NodeOptions, workload: Workload) -> float:
    """Return how many windows a second the node processes if it is never idle."""
    parameters = {**options.parameters, 'window.stride_ms': _TRIAL_STRIDE_MS}
    parameters['overload.policy'] = 'drop'
    seen = run(replace(options, parameters=parameters), workload)
    begin, end = seen['published'][0] + 3e9, seen['published'][-1]
    return sum(begin < at < end for at, _ in seen['detections']) / (end - begin) * 1e9


def summarize(seen: dict[str, Any], workload: Workload, seconds: float) -> dict[str, Any]:
    """Return the results of the parts of the stream."""
    decode = open_decoder(workload.message_type)
    firsts = [int(decode(raw).t[0]) for _, raw in workload.messages]
    begin = seen['published'][0]
    parts = {
        'before': (begin, begin + round(1e9 * _CALM_S)),
        'overload': (begin + round(1e9 * _CALM_S), begin + round(1e9 * (_CALM_S + seconds))),
        'after': (begin + round(1e9 * (_CALM_S + seconds + RECOVERY_BAR_S)), 1 << 62),
    }
    ages = []
    for at, stamp in seen['detections']:
        last = bisect_right(firsts, (stamp - BEGIN_NS) / 1000) - 1
        ages.append((at, (at - seen['published'][last]) / 1e6))
    result: dict[str, Any] = {}
    for name, (low, high) in parts.items():
        inside = [age for at, age in ages if low <= at < high]
        reports = [values for at, values in seen['diagnostics'] if low < at < high]
        memory = [size for at, size in seen['memory'] if low <= at < high]
        counts = {
            key: int(reports[-1][key]) - int(reports[0][key]) if reports else None
            for key in ('windows done', 'windows dropped', 'windows skipped by stride')
        }
        stated = reports[-1] if reports else {}
        result[name] = {
            **counts,
            'end_to_end_ms': percentiles(inside),
            'node_age_p99_ms': float(stated.get('age p99 (ms)', 'nan')),
            'step_p99_ms': float(stated.get('step time p99 (ms)', 'nan')),
            'stride_ms': float(stated.get('stride (ms)', 'nan')),
            'memory_mb': [min(memory), max(memory), memory[-1]] if memory else None,
        }
    fresh, end = result['before']['end_to_end_ms']['p95'], parts['overload'][1]
    later = [(at, age) for at, age in ages if at > end]
    recovered = [
        at
        for number, (at, _) in enumerate(later)
        if np.median([age for _, age in later[number:][:5]]) <= fresh
    ]
    result['recovery_s'] = round((recovered[0] - end) / 1e9, 2) if recovered else math.inf
    return result


def main() -> int:
    """Measure and report."""
    parser = new_parser(__doc__)
    parser.add_argument('--seconds', type=float, default=60.0, help='length of the overload')
    parser.add_argument('--factor', type=float, default=2.0, help='windows to those processed')
    parser.add_argument('--policy', default='drop', choices=('drop', 'reduce'))
    parser.add_argument('--max-age', type=float, default=150.0, help='milliseconds')
    parser.add_argument('--model', default='gen1-tiny')
    parser.add_argument('--threads', type=int, default=0)
    parser.add_argument('--rate', type=float, default=0.3, help='million events per second')
    arguments = parser.parse_args()
    size = default_sensor_size(model_config(arguments.model))
    parameters = {'overload.policy': arguments.policy, 'overload.max_age_ms': arguments.max_age}
    options = NodeOptions(arguments.model, arguments.threads, parameters)
    rate = 1e6 * arguments.rate
    capacity = measure_capacity(options, synthetic_workload(size, _TRIAL_S, rate))
    stride_ms = max(1.0, round(1000 / capacity / arguments.factor, 2))
    length = arguments.seconds + (_CALM_S + _AFTER_S) / _SLOW
    stream = slow_down(synthetic_workload(size, length, rate), arguments.seconds)
    parameters['window.stride_ms'] = stride_ms
    seen = run(replace(options, parameters=parameters), stream)
    parts = summarize(seen, stream, arguments.seconds)
    during, before, after = parts['overload'], parts['before'], parts['after']
    offered = 1000 * arguments.seconds / stride_ms
    memory = max(part['memory_mb'][1] for part in (before, during, after))
    bars = {
        'age': during['node_age_p99_ms'] <= arguments.max_age + during['step_p99_ms'],
        'memory': memory - before['memory_mb'][1] <= MEMORY_BAR_MB,
        'recovery': parts['recovery_s'] <= RECOVERY_BAR_S,
    }
    report = {
        'host': host(),
        'load_average': np.round(os.getloadavg(), 1).tolist(),
        'arguments': {key: str(value) for key, value in vars(arguments).items() if key != 'json'},
        'capacity_windows_s': round(capacity, 1),
        'stride_ms': stride_ms,
        'offered_to_processed': round(offered / max(during['windows done'] or 1, 1), 2),
        **parts,
        'bars_met': bars,
        'log': seen['log'],
    }
    print(json.dumps(report, indent=2))
    write_results(arguments.json, report)
    return 0 if all(bars.values()) else 1


if __name__ == '__main__':
    sys.exit(main())
