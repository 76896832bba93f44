# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Executions of decoders and readers on generated inputs, and what must hold for each of them.

An execution decodes one input. A session is a list of inputs that one decoder gets in order; its
seed reproduces it. Every execution must end with valid events or with one error of ours, in
bounded time and memory.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
import contextlib
from dataclasses import dataclass, field
import json
from pathlib import Path
from random import Random
import re
import resource
import time
import traceback
from typing import NamedTuple, Protocol

import numpy as np
from sast_ros.errors import format_error, SastError
from sast_ros.events import EventChunk
from sast_ros.events.chunk import MAX_SENSOR_SIDE

#: Maximum processor time of a message.
MAX_SECONDS = 0.1

#: Memory that an execution may take beside four times its input: the events of a message up to
#: their limit (SAST_ROS_MAX_MESSAGE_EVENTS).
MAX_EXTRA_BYTES = 1 << 26


class Input(NamedTuple):
    """
    One input.

    Attributes
    ----------
    data : bytes
        What is decoded.
    events : int or None
        Events in it, valid or not; ``None`` if unknown.

    """

    data: bytes
    events: int | None = None


class Target(Protocol):
    """One decoder or reader."""

    name: str
    #: Errors that it may raise.
    errors: type[Exception] | tuple[type[Exception], ...]
    #: Executions of a campaign, relative to those of a decoder of messages.
    share: float
    #: Maximum processor time of an execution, seconds.
    seconds: float

    def valid(self) -> list[Input]:
        """Return inputs that must decode to events."""

    def session(self, random: Random) -> list[Input]:
        """Return the inputs of one session."""

    def start(self) -> Callable[[Input], int]:
        """Return a new decoder, which checks its result and returns the number of events."""


class Finding(NamedTuple):
    """An execution that broke a rule; ``inputs`` are those of its session so far."""

    target: str
    kind: str
    text: str
    inputs: list[Input]

    def save(self, folder: Path) -> Path:
        """Write the finding to a file of its own and return the path."""
        folder.mkdir(parents=True, exist_ok=True)
        content = self._asdict() | {
            'inputs': [
                {'data': base64.b64encode(each.data).decode(), 'events': each.events}
                for each in self.inputs
            ]
        }
        path = folder / f'{file_name(self.target)}-{len(list(folder.iterdir()))}.json'
        path.write_text(json.dumps(content, indent=1))
        return path


def file_name(target: str) -> str:
    """Return the name of a target as part of a file name."""
    return re.sub(r'\W+', '_', target).strip('_')


def load_inputs(path: Path) -> tuple[str, list[Input]]:
    """Return target and inputs of a saved finding."""
    content = json.loads(path.read_text())
    inputs = [Input(base64.b64decode(each['data']), each['events']) for each in content['inputs']]
    return content['target'], inputs


@dataclass
class Statistics:
    """What the executions of a target did."""

    executions: int = 0
    refused: int = 0
    events: int = 0
    size: int = 0
    slowest: float = 0.0
    findings: list[Finding] = field(default_factory=list)


def session_of(target: Target, seed: int, index: int) -> list[Input]:
    """Return the inputs of the session with this number."""
    return target.session(Random(f'{seed}/{target.name}/{index}'))


def run(
    target: Target,
    seed: int,
    *,
    executions: int,
    seconds: float = float('inf'),
    first: int = 0,
    report: Callable[[int, int], object] = lambda session, executions: None,
) -> Statistics:
    """
    Run sessions until there are as many executions, or the time is over.

    Parameters
    ----------
    target : Target
        What decodes.
    seed : int
        Of all sessions.
    executions : int
        Minimum number.
    seconds : float
        Maximum time.
    first : int
        Number of the first session.
    report : callable
        Called with session and executions before each session.

    """
    statistics = Statistics()
    end = time.monotonic() + seconds
    index = first
    while statistics.executions < executions and time.monotonic() < end:
        report(index, statistics.executions)
        run_session(target, session_of(target, seed, index), statistics)
        index += 1
    return statistics


def run_session(target: Target, inputs: list[Input], statistics: Statistics) -> None:
    """Decode the inputs in order with a new decoder; stop at the first finding."""
    execute = target.start()
    for count, item in enumerate(inputs, 1):
        finding, seconds = _execute(target, execute, item, statistics)
        if not finding and seconds > target.seconds:
            seconds = min(seconds, *_repeat(target, inputs[:count]))
            if seconds > target.seconds:
                finding = ('slow', f'{seconds:.3f} s of processor time')
        statistics.slowest = max(statistics.slowest, seconds)
        if finding:
            statistics.findings.append(Finding(target.name, *finding, inputs[:count]))
            return


def _execute(
    target: Target, execute: Callable[[Input], int], item: Input, statistics: Statistics
) -> tuple[tuple[str, str] | None, float]:
    statistics.executions += 1
    statistics.size += len(item.data)
    finding = None
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.thread_time()
    try:
        statistics.events += execute(item)
    except target.errors as error:
        statistics.refused += 1
        if not is_sentence(error):
            finding = ('text of an error', repr(error))
    except AssertionError:
        finding = ('broken promise', traceback.format_exc())
    except Exception:
        finding = ('untyped error', traceback.format_exc())
    seconds = time.thread_time() - begin
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory)
    if not finding and grown > 4 * len(item.data) + MAX_EXTRA_BYTES:
        finding = ('memory', f'{grown} bytes more for an input of {len(item.data)}')
    return finding, seconds


def _repeat(target: Target, inputs: list[Input]) -> Iterator[float]:
    """Yield the time that the last input takes in further runs of its session."""
    for _ in range(3):
        execute = target.start()
        for item in inputs:
            begin = time.thread_time()
            with contextlib.suppress(target.errors):
                execute(item)
            seconds = time.thread_time() - begin
        yield seconds


def is_sentence(error: Exception) -> bool:
    """Return whether an error has a text, and not one without end."""
    return 0 < len(format_error(error)) < 10_000


def check_chunk(chunk: EventChunk, events: int | None) -> int:
    """
    Assert what ``EventChunk`` promises.

    Parameters
    ----------
    chunk : EventChunk
        Result of a decoder.
    events : int or None
        Events in the input; ``None`` if unknown.

    """
    x, y, p, t = chunk.x, chunk.y, chunk.p, chunk.t
    assert x.dtype == y.dtype == np.uint16 and p.dtype == np.uint8 and t.dtype == np.int64
    assert x.ndim == 1 and x.shape == y.shape == p.shape == t.shape
    assert 0 <= chunk.width <= MAX_SENSOR_SIDE and 0 <= chunk.height <= MAX_SENSOR_SIDE
    assert all(count > 0 for count in chunk.left_out.values())
    if len(t):
        assert x.max() < (chunk.width or MAX_SENSOR_SIDE), 'x outside the sensor'
        assert y.max() < (chunk.height or MAX_SENSOR_SIDE), 'y outside the sensor'
        assert p.max() <= 1
        assert (t[1:] >= t[:-1]).all(), 'time decreases'
    if events is not None:
        assert len(chunk) + chunk.dropped == events, (
            f'{len(chunk)} events and {dict(chunk.left_out)} left out of {events}'
        )
    return len(chunk)


def check_valid(target: Target) -> None:
    """Assert that the valid inputs decode to events: what refuses everything passes all rules."""
    for item in target.valid():
        try:
            count = target.start()(item)
        except SastError as error:
            raise AssertionError(f'{target.name} refuses a valid input: {error}') from error
        assert count > 0, f'{target.name}: no events in a valid input'
