# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The whole node, as a robot has it: another process publishes, this one receives the detections.

The latency of a window is the time from the publication of the message with its last event to the
reception of its detections. It contains the wait for a later event, by which the node knows that
the window is complete.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
import json
import os
from pathlib import Path
import tempfile
import time
from types import ModuleType
from typing import Any, TYPE_CHECKING

import numpy as np
from sast_ros.bench.records import write_records
from sast_ros.bench.workload import synthetic_workload, Workload
from sast_ros.demo.processes import Child, detector_process, private_domain
from sast_ros.demo.run import load_observer
from sast_ros.events import open_decoder

if TYPE_CHECKING:  # needs ROS 2
    from sast_ros.demo.observer import DemoSession

#: Share of the windows or events that may be lost at the highest rate.
MAX_LOSS = 0.01

#: The search for the highest rate begins here, doubles it at most to the latter, and ends when two
#: rates, of which one is too high, are this near; events a second.
FIRST_RATE, LAST_RATE, NEAR = 4e6, 32e6, 1.15

#: Detections of a window that take longer count as lost in the search: otherwise the queue of the
#: node would hide for a second that it is too slow. Milliseconds.
MAX_AGE_MS = 500.0

#: Rate of the stream in which the node is started, and how long it lasts at most.
_START_RATE, _START_S = 2e5, 90.0

#: Minimum length of a stream, seconds.
_MIN_S = 1.0

#: The node has lost what has not come this long after the publisher has ended, and the last
#: window before; seconds.
_SILENCE_S = 5.0

#: A message that is published so much too late was not sent at the rate, milliseconds.
_MAX_LATE_MS = 250.0


@dataclass(frozen=True)
class NodeOptions:
    """
    Settings of the node that is measured.

    Attributes
    ----------
    model : str
        As ``model.path``.
    threads : int
        As ``model.threads``.
    parameters : dict of str to object
        Further parameters.

    """

    model: str
    threads: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)


def bench_node(
    options: NodeOptions,
    sensor_size: tuple[int, int],
    rate: float,
    seconds: float,
    *,
    recorded: Workload | None = None,
    search: bool = True,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """
    Measure start, latency and highest rate.

    Parameters
    ----------
    options : NodeOptions
        The node.
    sensor_size : tuple of int
        (height, width) of the synthetic streams.
    rate : float
        Events a second of the stream whose latency is measured.
    seconds : float
        Its length; half of it is that of each stream of the search; a second at least.
    recorded : Workload, optional
        Measure the latency with this stream instead.
    search : bool, optional
        Whether to search for the highest rate.
    progress : callable, optional
        Called with a sentence whenever a new step begins.

    Returns
    -------
    dict
        ``start``, ``latency`` and, if searched for, ``highest_rate``.

    Raises
    ------
    DemoError
        A process failed or fell silent, or ROS 2 is not there.

    """
    observing = load_observer()
    seconds, search_s = max(seconds, _MIN_S), max(seconds / 2, _MIN_S)
    with private_domain():
        progress('starting the node while events are published')
        start = measure_start(observing, options, sensor_size)
        stream = recorded or synthetic_workload(sensor_size, seconds, rate)
        progress(f'latency with {stream.name}')
        result = {'start': start, 'latency': run_stream(observing, options, stream)}
        if search:
            result['highest_rate'] = _search(observing, options, sensor_size, search_s, progress)
    return result


def _search(
    observing: ModuleType,
    options: NodeOptions,
    sensor_size: tuple[int, int],
    seconds: float,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Search for the highest rate and return it with all trials."""
    trials: list[dict[str, Any]] = []

    def passes(rate: float) -> bool:
        progress(f'trying {rate / 1e6:.2f} Mev/s')
        stream = synthetic_workload(sensor_size, seconds, rate)
        trial = run_stream(observing, options, stream)
        trials.append({'mev_s': round(rate / 1e6, 2), **trial})
        lost = trial['loss'] + trial['late']
        return lost < MAX_LOSS and trial['published_late_ms'] < _MAX_LATE_MS

    highest = find_highest(passes, FIRST_RATE, LAST_RATE)
    return {
        'mev_s': round(highest / 1e6, 2),
        'max_loss': MAX_LOSS,
        'limited_by_publisher': any(one['published_late_ms'] >= _MAX_LATE_MS for one in trials),
        'trials': trials,
    }


def find_highest(
    passes: Callable[[float], bool], first: float, last: float, near: float = NEAR
) -> float:
    """
    Return the highest value that passes, by doubling or halving and then by bisection.

    Parameters
    ----------
    passes : callable
        Tells whether a value passes; true below some value and false above it.
    first, last : float
        Where to begin, and the highest value to try; the lowest is a 64th of the first.
    near : float, optional
        The result is at most by this factor too low.

    Returns
    -------
    float
        A value that has passed, 0 if none has.

    """
    low, high, value = 0.0, 0.0, first
    while not (low and high):
        if passes(value):
            low = value
            if value >= last:
                return low
            value = min(2 * value, last)
        else:
            high = value
            if value <= first / 64:
                return 0.0
            value /= 2
    while high / low > near:
        middle = (low * high) ** 0.5
        if passes(middle):
            low = middle
        else:
            high = middle
    return low


def measure_start(
    observing: ModuleType, options: NodeOptions, sensor_size: tuple[int, int]
) -> dict[str, float]:
    """Start the node while a camera is running; return the seconds to its first detections."""
    workload = synthetic_workload(sensor_size, _START_S, _START_RATE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        publisher = publisher_process(folder, workload, observing.EVENTS_TOPIC, subscribers=0)
        node = node_process(folder, options, observing.EVENTS_TOPIC)
        with observing.Observer(node, publisher) as observer, publisher:
            while 'begin' not in publisher.log.read_text():
                observer.spin()
            began = time.time_ns()
            with node:
                session = observer.session
                observer.wait_until(
                    lambda: bool(session.detections), _START_S, node, 'has detected nothing'
                )
                arrived, _ = session.detections[0]
    return {'first_detection_s': round((arrived - began) / 1e9, 2)}


def run_stream(
    observing: ModuleType,
    options: NodeOptions,
    workload: Workload,
    arrivals: list[tuple[int, float]] | None = None,
) -> dict[str, Any]:
    """
    Send a stream to a node of its own and return what became of it.

    Parameters
    ----------
    observing : module
        Of ``load_observer``.
    options : NodeOptions
        Of the node.
    workload : Workload
        The stream.
    arrivals : list, optional
        Is filled with the arrival of each window's detections in nanoseconds of the wall clock,
        and its latency in milliseconds.

    Returns
    -------
    dict
        Windows and events sent and received, ``loss`` (the larger share of those missing),
        ``late`` (share of the windows that took more than ``MAX_AGE_MS``), ``latency_ms`` (p50,
        p95, p99, max), step time, processor time, and memory of the node.

    """
    expected = {window.stamp_ns: message for window, message in workload.windows()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        publisher = publisher_process(folder, workload, observing.EVENTS_TOPIC)
        node = node_process(folder, options, observing.EVENTS_TOPIC)
        with node, observing.Observer(node, publisher) as observer:
            observer.wait_for_detector()
            before = processor_seconds(node.pid)
            with publisher:
                patience_s = 2 * workload.messages[-1][0] / 1e9 + _START_S
                observer.wait_until(
                    lambda: publisher.exit_code() == 0, patience_s, publisher, 'has not finished'
                )
            _wait_for_windows(observer, len(expected))
            observer.wait_for_report()
            used = processor_seconds(node.pid) - before
            memory = memory_mb(node.pid)
        published = json.loads((folder / 'published.json').read_text())['published_ns']
    found = _latencies(observer.session, expected, published)
    if arrivals is not None:
        arrivals += found
    return _summarize(workload, observer.session, expected, published, found) | {
        'processor_s': round(used, 2),
        'memory_mb': memory,
    }


def _latencies(
    session: DemoSession, expected: dict[int, int], published: list[int]
) -> list[tuple[int, float]]:
    """Return arrival (ns) and latency (ms) of each window that was ``expected``."""
    from sast_ros.ros.messages import stamp_ns

    received = [(at, stamp_ns(array.header.stamp)) for at, array in session.detections]
    return [
        (at, (at - published[expected[stamp]]) / 1e6)
        for at, stamp in received
        if stamp in expected
    ]


def _summarize(
    workload: Workload,
    session: DemoSession,
    expected: dict[int, int],
    published: list[int],
    arrivals: list[tuple[int, float]],
) -> dict[str, Any]:
    """
    Compare what was received with what was sent.

    ``expected`` has the message of each window by the window's stamp, ``published`` the time of
    each message; ``arrivals`` as ``_latencies`` returns them.
    """
    from sast_ros.ros.messages import stamp_ns

    status = {pair.key: pair.value for pair in session.diagnostics[-1][1].values}
    stamps = [stamp_ns(array.header.stamp) for _, array in session.detections]
    latencies = [latency for _, latency in arrivals]
    due = [published[0] + after - workload.messages[0][0] for after, _ in workload.messages]
    late = max(at - planned for at, planned in zip(published, due))
    decode = open_decoder(workload.message_type)
    sent = sum(len(decode(raw)) for _, raw in workload.messages)
    read = int(status.get('events', 0))
    return {
        'messages': len(workload.messages),
        'published_late_ms': round(late / 1e6, 1),
        'events_sent': sent,
        'events_read': read,
        'windows_expected': len(expected),
        'windows_received': len(latencies),
        'in_order': all(earlier < later for earlier, later in pairwise(stamps)),
        'loss': round(max(1 - read / sent, 1 - len(latencies) / len(expected)), 4),
        'late': round(sum(one > MAX_AGE_MS for one in latencies) / len(expected), 4),
        'latency_ms': percentiles(latencies),
        'step_ms': {
            name: float(status[f'step time {name} (ms)'])
            for name in ('p50', 'p99')
            if f'step time {name} (ms)' in status
        },
    }


def node_process(folder: Path, options: NodeOptions, topic: str) -> Child:
    """Return the node, to be started; its log is in the folder."""
    parameters = {'autostart': True, 'model.path': options.model, 'model.threads': options.threads}
    return detector_process({**parameters, **options.parameters}, topic, folder)


def publisher_process(folder: Path, workload: Workload, topic: str, subscribers: int = 1) -> Child:
    """Return the process that sends a stream, to be started; its report is in the folder."""
    write_records(folder / 'messages', workload.messages)
    arguments = [
        *('--topic', topic, '--type', workload.message_type),
        *('--file', str(folder / 'messages'), '--report', str(folder / 'published.json')),
        *('--subscribers', str(subscribers)),
    ]
    return Child('the publisher', 'sast_ros.bench.publisher', arguments, folder / 'publisher.log')


def _wait_for_windows(observer: Any, count: int) -> None:
    """Wait for so many detections, as long as some come."""
    received, seen, limit = observer.session.detections, -1, 0.0
    while len(received) < count:
        if len(received) != seen:
            seen, limit = len(received), time.monotonic() + _SILENCE_S
        elif time.monotonic() > limit:
            break
        observer.spin()


def percentiles(values: list[float]) -> dict[str, float] | None:
    """Return p50, p95, p99 and maximum."""
    if not values:
        return None
    found = np.percentile(values, (50, 95, 99, 100)).round(1).tolist()
    return dict(zip(('p50', 'p95', 'p99', 'max'), found))


def processor_seconds(process: int) -> float:
    """Return the processor time that a process has used so far (Linux)."""
    fields = Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def memory_mb(process: int) -> dict[str, float]:
    """
    Return the resident memory of a process in MB (Linux).

    It is the sum of what the process holds for itself, of files (mostly libraries, which others
    may share), and of shared memory (the middleware's).
    """
    lines = Path(f'/proc/{process}/status').read_text().splitlines()
    values = dict(line.split(':', 1) for line in lines)
    names = {'resident': 'VmRSS', 'anonymous': 'RssAnon', 'files': 'RssFile', 'shared': 'RssShmem'}
    return {
        name: round(int(values[field].split()[0]) * 1024 / 1e6, 1) for name, field in names.items()
    }
