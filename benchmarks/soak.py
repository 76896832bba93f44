# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Whether a node that runs for long stays as it is: memory, losses, latency.

    python benchmarks/soak.py [--minutes 30] [--load 0.6] [--rate 2] [--model default]
    [--json benchmarks/results/soak.json]

A process publishes EventPackets (EVT 3.0, reliable, every 4 ms) to the node as it is; the event
rate swings every minute between a tenth and 1.9 times ``--rate``. The stride is chosen such that a
step at this rate takes ``--load`` of it. Once a second resident memory and diagnostics are read.
Slopes are those of least squares after the warm-up, a quarter of the time and at most 5 minutes.
The latency is the age of a window's last instant when its detections are received: 4 ms until its
events are sent are in it. The exit code is 1 if memory grows by 1 MB a minute or more, a window
is lost, or the load was missed by more than a quarter.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
import contextlib
from dataclasses import dataclass, field, replace
from itertools import chain
import json
import math
import multiprocessing
from pathlib import Path
import struct
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
    processor_seconds,
    run_stream,
)
from sast_ros.bench.workload import edge_stream, synthetic_workload
from sast_ros.defaults import WINDOW_MS
from sast_ros.demo.processes import Child, DemoError, private_domain
from sast_ros.demo.run import load_observer
from sast_ros.events import EventChunk
from sast_ros.events.encoders import EventPacketEncoder
from sast_ros.model import load_model
from sast_ros.pipeline import default_sensor_size
from workload import host, new_parser, write_results

TOPIC = '/event_camera/events'
MAX_SLOPE_MB_MIN, MAX_LOAD_ERROR = 1.0, 0.25
WARM_UP_SHARE, MAX_WARM_UP_MIN = 0.25, 5.0
SCENE_S, SWING_S, SWING, STEPS = 0.2, 60.0, 0.9, 10
PATIENCE_S = 90.0
CALIBRATION_S = 10.0
STAMP = struct.Struct('<iI')  # of the header, after the encapsulation of the CDR


@dataclass
class Heard:
    """What has arrived: times of the wall clock and stamps in nanoseconds, diagnostics."""

    arrivals: array[int] = field(default_factory=lambda: array('q'))
    stamps: array[int] = field(default_factory=lambda: array('q'))
    status: dict[str, str] = field(default_factory=dict)
    level: bytes = b''


@dataclass(frozen=True)
class Sample:
    """The node at one time: minutes, resident MB, median step in ms."""

    minute: float
    resident_mb: float
    step_ms: float


def swinging_rate(second: float, mean: float) -> float:
    """Return the event rate at a time: it swings from a tenth to 1.9 times the mean, in steps."""
    swing = SWING * math.sin(2 * math.pi * second / SWING_S)
    return mean * (1 + round(STEPS * swing) / STEPS)


def varying_events(size: tuple[int, int], seconds: float, mean: float) -> Iterator[EventChunk]:
    """Yield packets of 4 ms; each scene of 0.2 s has the rate of its time."""
    starts = [SCENE_S * number for number in range(math.ceil(seconds / SCENE_S))]
    rates = [swinging_rate(start, mean) for start in starts]
    scenes = {rate: list(edge_stream(size, SCENE_S, rate)) for rate in set(rates)}
    for start, rate in zip(starts, rates):
        for packet in scenes[rate]:
            yield replace(packet, t=packet.t + round(1e6 * start), checked=True)


def publish(
    size: tuple[int, int], seconds: float, mean: float, facts: Any, subscribers: int = 1
) -> None:
    """
    Publish the events in real time, in a process of its own.

    Sends the wall-clock times of the first and the last event in ns, and the largest delay of a
    message in ms into the connection ``facts``.
    """
    from event_camera_msgs.msg import EventPacket
    import rclpy
    from rclpy.duration import Duration
    from rclpy.qos import QoSProfile

    rclpy.init()
    node = rclpy.create_node('event_source')
    publisher = node.create_publisher(EventPacket, TOPIC, QoSProfile(depth=5000))
    events = varying_events(size, seconds, mean)
    first_packet = next(events)
    while publisher.get_subscription_count() < subscribers:
        time.sleep(0.01)  # rclpy offers nothing to wait on for a match without an executor
    encode = EventPacketEncoder(size[1], size[0], 'camera')
    begin, late, first, last = time.time_ns(), 0, int(first_packet.t[0]), 0
    for packet in chain([first_packet], events):
        message = encode(packet, begin + 1000 * int(packet.t[0]))
        last = int(packet.t[-1])
        ahead = begin + 1000 * last - time.time_ns()
        if ahead > 0:
            time.sleep(ahead / 1e9)
        late = max(late, -ahead)
        publisher.publish(message)
    publisher.wait_for_all_acked(Duration(seconds=60))
    facts.send((begin + 1000 * first, begin + 1000 * last, late / 1e6))
    facts.recv()  # stays until the other end has heard all
    node.destroy_node()
    rclpy.try_shutdown()


class Listener:
    """The node of this process: it keeps stamps, arrival times and the last diagnostics."""

    def __init__(self) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from sast_ros.ros.own_node import own_node
        from vision_msgs.msg import Detection2DArray

        self.heard = Heard()
        self._closing = contextlib.ExitStack()
        node, self._executor = self._closing.enter_context(own_node('soak'))
        node.create_subscription(
            Detection2DArray, 'detections', self._on_detections, 1000, raw=True
        )
        node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 100)

    def _on_detections(self, raw: bytes) -> None:
        seconds, nanoseconds = STAMP.unpack_from(raw, 4)
        self.heard.arrivals.append(time.time_ns())
        self.heard.stamps.append(10**9 * seconds + nanoseconds)

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            self.heard.level = status.level
            self.heard.status = {pair.key: pair.value for pair in status.values}

    def spin_until(self, condition: Callable[[], object], patience_s: float, node: Child) -> bool:
        """Handle what arrives until the condition holds; return whether it does."""
        limit = time.monotonic() + patience_s
        while not condition():
            if node.exit_code() is not None:
                raise DemoError(node.failure())
            if time.monotonic() > limit:
                return False
            self._executor.spin_once(timeout_sec=0.2)
        return True

    def close(self) -> None:
        """Leave the graph."""
        self._closing.close()


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the slope of least squares, 0 for less than two points."""
    return float(np.polyfit(x, y, 1)[0]) if len(x) > 1 else 0.0


def lost_windows(stamps: Sequence[int], first_ns: int, last_ns: int, stride_ns: int) -> int:
    """
    Return how many windows are missing.

    Parameters
    ----------
    stamps : sequence of int
        Ends of the windows received, ns.
    first_ns, last_ns : int
        Times of the first and the last event; a window that ends at the latter is not complete.
    stride_ns : int
        From one end to the next.

    """
    expected = range(first_ns + round(1e6 * WINDOW_MS), last_ns, stride_ns)
    return len(set(expected) - set(stamps))


def summarize(
    heard: Heard, samples: list[Sample], first_ns: int, last_ns: int, stride_ns: int
) -> dict[str, Any]:
    """Return losses, memory and latency, the latter two after the warm-up."""
    minutes = (last_ns - first_ns) / 60e9
    warm = min(WARM_UP_SHARE * minutes, MAX_WARM_UP_MIN)
    stamps = np.asarray(heard.stamps, np.int64)
    at = (stamps - first_ns) / 60e9
    latency = (np.asarray(heard.arrivals, np.int64) - stamps) / 1e6
    late = at >= warm
    kept = [sample for sample in samples if sample.minute >= warm]
    times = [sample.minute for sample in kept]
    memory = [sample.resident_mb for sample in kept]
    quarter = (minutes - warm) / 4
    last_of_minute = {int(sample.minute): sample.resident_mb for sample in samples}
    return {
        'warm_up_minutes': round(warm, 2),
        'windows_received': len(stamps),
        'windows_lost': lost_windows(stamps.tolist(), first_ns, last_ns, stride_ns),
        'load': round(float(np.mean([s.step_ms for s in kept])) * 1e6 / stride_ns, 3),
        'memory_mb': {
            'first': memory[0],
            'last': memory[-1],
            'max': max(memory),
            'slope_per_minute': round(slope(times, memory), 3),
        },
        'latency_ms': {
            'all': percentiles(latency[late].tolist()),
            'first_quarter': percentiles(latency[late & (at < warm + quarter)].tolist()),
            'last_quarter': percentiles(latency[at >= minutes - quarter].tolist()),
            'slope_per_minute': round(slope(at[late].tolist(), latency[late].tolist()), 3),
        },
        'by_minute': [
            {
                'minute': minute + 1,
                'memory_mb': last_of_minute.get(minute),
                'latency_ms': percentiles(latency[at.astype(int) == minute].tolist()),
            }
            for minute in range(math.ceil(minutes))
        ],
    }


def soak(size: tuple[int, int], options: NodeOptions, seconds: float, rate: float) -> dict:
    """Let the node run, and return what became of it."""
    stride_ns = round(1e6 * options.parameters['window.stride_ms'])
    here, there = multiprocessing.Pipe()
    source = multiprocessing.get_context('spawn').Process(
        target=publish, args=(size, seconds, rate, there), daemon=True
    )
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as folder:
        node = node_process(Path(folder), options, TOPIC)
        listener = Listener()
        heard = listener.heard
        source.start()
        with node:
            if not listener.spin_until(lambda: heard.stamps, PATIENCE_S, node):
                raise DemoError(f'no detections after {PATIENCE_S:.0f} s{node.log_tail()}')
            begin_ns, began = time.time_ns(), processor_seconds(node.pid)
            while not here.poll() and source.is_alive():
                listener.spin_until(here.poll, 1.0, node)
                step = float(heard.status.get('step time p50 (ms)', 'nan'))
                minute = (time.time_ns() - begin_ns) / 60e9
                samples.append(Sample(minute, memory_mb(node.pid)['resident'], step))
            first_ns, last_ns, late_ms = here.recv()
            listener.spin_until(lambda: heard.stamps[-1] >= last_ns - stride_ns, 5.0, node)
            used = processor_seconds(node.pid) - began
            here.send('done')
        listener.close()
        source.join(PATIENCE_S)
        warnings = [line for line in node.log.read_text().splitlines() if '[WARN]' in line]
    return {
        'published_late_ms': round(late_ms, 1),
        'processor_share': round(used / seconds, 3),
        'windows_dropped': int(heard.status.get('windows dropped', 0)),
        'diagnostics_level': heard.level[0] if heard.level else None,
        'warnings': len(warnings),
        **summarize(heard, samples, first_ns, last_ns, stride_ns),
    }


def failures(result: dict[str, Any], load: float) -> list[str]:
    """Return which bars were missed."""
    missed = {
        'memory grows': result['memory_mb']['slope_per_minute'] >= MAX_SLOPE_MB_MIN,
        'windows were lost': bool(result['windows_lost'] or result['windows_dropped']),
        'not the load that was asked for': abs(result['load'] / load - 1) > MAX_LOAD_ERROR,
    }
    return [name for name, is_missed in missed.items() if is_missed]


def main(words: list[str] | None = None) -> int:
    """Measure and report."""
    parser = new_parser(__doc__)
    parser.add_argument('--minutes', type=float, default=30.0)
    parser.add_argument('--load', type=float, default=0.6, help='mean step over stride')
    parser.add_argument('--rate', type=float, default=2.0, help='mean, million events per second')
    parser.add_argument('--model', default='default')
    parser.add_argument('--threads', type=int, default=0)
    arguments = parser.parse_args(words)
    rate, seconds = 1e6 * arguments.rate, 60 * arguments.minutes
    size = default_sensor_size(load_model(arguments.model).config)
    with private_domain():
        alone = NodeOptions(arguments.model, arguments.threads)
        stream = synthetic_workload(size, CALIBRATION_S, rate)
        step_ms = run_stream(load_observer(), alone, stream)['step_ms']['p50']
        stride_ms = max(round(step_ms / arguments.load, 1), 1.0)
        options = replace(alone, parameters={'window.stride_ms': stride_ms})
        result = soak(size, options, seconds, rate)
    missed = failures(result, arguments.load)
    report = {
        'host': host(),
        'model': arguments.model,
        'minutes': arguments.minutes,
        'mean_rate_mev_s': arguments.rate,
        'wanted_load': arguments.load,
        'stride_ms': stride_ms,
        'missed': missed,
        **result,
    }
    print(json.dumps(report, indent=1))
    write_results(arguments.json, report)
    return 1 if missed else 0


if __name__ == '__main__':
    sys.exit(main())
