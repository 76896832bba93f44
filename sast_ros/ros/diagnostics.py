# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Status of the node on /diagnostics, once a second."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field
from threading import Lock
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
import numpy as np
from sast_ros.detections import Detections, StageShare
from sast_ros.events.chunk import OTHER_FRAME, OTHER_SIZE, OUTSIDE_SENSOR, SIZE_ADVICE, STRAY_TIME
from sast_ros.events.outside import MIN_OUTSIDE
from sast_ros.windows import StreamStatistics

#: Step times are reported over this many of the last steps.
STEP_HISTORY = 512

#: Without an event for this long the status is STALE, seconds.
SILENCE_S = 2.0

#: More resets of the stream between two reports, or a larger share of its events with another
#: time, sensor size or frame, are a warning.
MANY_RESETS = 3
MANY_STRAYS = 0.05

#: Reasons for which events are left out that may be those of another publisher.
_OF_OTHERS = (STRAY_TIME, OTHER_SIZE, OTHER_FRAME)

#: A larger share of its events outside the sensor is a warning.
MANY_OUTSIDE = 0.01


@dataclass
class Report:
    """One status: level as in DiagnosticStatus, message, and the values in order."""

    level: bytes
    message: str
    values: dict[str, str]


@dataclass
class NodeStatus:
    """
    State of the node at the time of a report, beside the counters.

    Attributes
    ----------
    state : str
        Lifecycle state.
    failure : str
        Why the node cannot work, empty if it can.
    waiting : str
        What the subscription waits for, empty if it is connected.
    enabled : bool
        Whether the service has not switched the detection off.
    queued : int
        Windows that wait for the network.
    stride_ms : float
        Sensor time between two detections at present; overload may have made it longer.
    facts : mapping
        Constant values such as model and device.
    publishers : tuple of str
        Names of the nodes that publish on it.
    period_s : float
        Time from the first event of a stream to its first window, and from one window to the next,
        at most.

    """

    state: str
    failure: str = ''
    waiting: str = ''
    enabled: bool = True
    queued: int = 0
    stride_ms: float = 0.0
    facts: Mapping[str, object] = field(default_factory=dict)
    publishers: tuple[str, ...] = ()
    period_s: float = 0.0


class Monitor:
    """
    Counters of the node.

    The worker and the executor write, the diagnostics timer reads; a lock protects them.

    Parameters
    ----------
    now : callable
        Monotonic clock in seconds.

    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = Lock()
        self.windows_done = 0
        self.windows_dropped = 0
        self.windows_skipped = 0
        self.format_errors = 0
        self.step_errors = 0
        self._strangers = 0
        self._last_error = ''
        self._step_ms: deque[float] = deque(maxlen=STEP_HISTORY)
        self._age_ms: deque[float] = deque(maxlen=STEP_HISTORY)
        self._kept: tuple[Any, ...] = ()
        self.begin()
        self._previous = _Counts(now())

    def begin(self) -> None:
        """Begin the clocks of messages, events and windows: the subscription began."""
        self._last_message = self._last_events = self._last_step = self._now()
        self._has_detected = False

    def received(self, events: int = 1) -> None:
        """Restart the clock of the silence: a message with so many events was received."""
        self._last_message = self._now()
        if events:
            self._last_events = self._last_message

    def step(self, seconds: float, detections: Detections, age_s: float) -> None:
        """Count one processed window; its age is the time since it was complete."""
        with self._lock:
            self.windows_done += 1
            self._step_ms.append(1e3 * seconds)
            self._age_ms.append(1e3 * age_s)
            self._kept = detections.kept
            self._last_step, self._has_detected = self._now(), True

    def overloaded(self, dropped: int, skipped: int) -> None:
        """Count windows that were dropped, or left out by a longer stride, for lack of time."""
        with self._lock:
            self.windows_dropped += dropped
            self.windows_skipped += skipped

    def format_error(self, sentence: str, *, stranger: bool = False) -> None:
        """Count a message that could not be read, or does not belong to the stream."""
        with self._lock:
            self.format_errors += 1
            self._strangers += stranger
            self._last_error = sentence

    def step_error(self, sentence: str) -> None:
        """Count a window for which the network gave no usable output."""
        with self._lock:
            self.step_errors += 1
            self._last_error = sentence

    def report(self, stream: StreamStatistics | None, status: NodeStatus) -> Report:
        """Return the status since the last report; ``stream``: counters of the pipeline."""
        now = self._now()
        with self._lock:
            counts = _Counts(
                now,
                events=stream.events if stream else 0,
                done=self.windows_done,
                dropped=self.windows_dropped,
                skipped=self.windows_skipped,
                lost=stream.lost_packets if stream else 0,
                format_errors=self.format_errors,
                step_errors=self.step_errors,
                strangers=self._strangers,
                strays=sum(stream.left_out[each] for each in _OF_OTHERS) if stream else 0,
                outside=stream.left_out[OUTSIDE_SENSOR] if stream else 0,
                resets=sum(stream.resets.values()) if stream else 0,
            )
            new, self._previous = counts.since(self._previous), counts
            step_ms, age_ms = list(self._step_ms), list(self._age_ms)
            kept, last_error = self._kept, self._last_error
        level, message = self._summarize(new, status, now, last_error)
        values: dict[str, object] = {'state': status.state, **status.facts}
        values['event rate (Mev/s)'] = f'{new.events / new.time / 1e6:.3f}'
        values['window rate (1/s)'] = f'{new.done / new.time:.1f}'
        values['windows done'] = counts.done
        values['windows dropped'] = counts.dropped
        values['windows skipped by stride'] = counts.skipped
        values['windows queued'] = status.queued
        values['stride (ms)'] = f'{status.stride_ms:g}'
        if step_ms:
            p50, p99 = np.percentile(step_ms, (50, 99))
            values['step time p50 (ms)'] = f'{p50:.2f}'
            values['step time p99 (ms)'] = f'{p99:.2f}'
            p50, p99 = np.percentile(age_ms, (50, 99))
            values['age p50 (ms)'] = f'{p50:.2f}'
            values['age p99 (ms)'] = f'{p99:.2f}'
        for stage, share in enumerate(kept, start=1):
            values[f'stage {stage} windows kept (%)'] = f'{100 * share.windows:.1f}'
            values[f'stage {stage} tokens kept (%)'] = f'{100 * share.tokens:.1f}'
        if stream is not None:
            values['events'] = stream.events
            for reason, count in sorted(stream.resets.items()):
                values[f'resets: {reason}'] = count
            values['events reordered'] = stream.reordered
            values['events clamped'] = stream.clamped
            values['events left out'] = stream.dropped_events
            for reason, count in sorted(stream.left_out.items()):
                values[f'events left out: {reason}'] = count
            values['events unused'] = stream.unused_events
            values['packets lost'] = stream.lost_packets
            values['windows skipped in silence'] = stream.skipped_windows
        values['format errors'] = counts.format_errors
        values['step errors'] = counts.step_errors
        if last_error:
            values['last error'] = last_error
        return Report(level, message, {key: str(value) for key, value in values.items()})

    def _summarize(
        self, new: _Counts, status: NodeStatus, now: float, last_error: str
    ) -> tuple[bytes, str]:
        """Return the level and the most important message."""
        if status.failure:
            return DiagnosticStatus.ERROR, status.failure
        if status.state != 'active':
            return DiagnosticStatus.OK, status.state
        if not status.enabled:
            return DiagnosticStatus.WARN, 'detection is off; the service enable switches it on'
        if new.step_errors:
            return DiagnosticStatus.ERROR, last_error
        trouble = self._trouble_of_the_stream(new, status, last_error)
        if trouble:
            detecting = now - self._last_step <= SILENCE_S + status.period_s
            detecting &= self._has_detected
            at_work = detecting or status.queued
            return (DiagnosticStatus.WARN if at_work else DiagnosticStatus.ERROR), trouble
        if new.dropped:
            return DiagnosticStatus.WARN, f'too slow: {new.dropped} windows dropped'
        if new.skipped:
            return DiagnosticStatus.WARN, f'too slow: the stride is {status.stride_ms:g} ms'
        if new.lost:
            return DiagnosticStatus.WARN, f'{new.lost} event packets lost on the way'
        if status.waiting:
            return DiagnosticStatus.STALE, status.waiting
        return self._summarize_silence(status, now)

    @staticmethod
    def _trouble_of_the_stream(new: _Counts, status: NodeStatus, last_error: str) -> str:
        """Return what is wrong with the messages since the last report, empty if nothing is."""
        restarts = new.resets > MANY_RESETS
        strays = new.strays > MANY_STRAYS * (new.events + new.strays)
        if len(status.publishers) > 1 and (new.strangers or strays or restarts):
            names = ', '.join(status.publishers)
            return (
                f'two publishers interleave on this topic: {names}; {new.strangers} messages and '
                f'{new.strays} events were left out, the state was reset {new.resets} times'
            )
        if new.format_errors:
            return f'{new.format_errors} messages could not be read: {last_error}'
        if strays:
            return (
                f'{new.strays} events have another time or sensor size, or another frame, than '
                'those around them'
            )
        all_events = new.events + new.outside
        if new.outside >= MIN_OUTSIDE and new.outside > MANY_OUTSIDE * all_events:
            what = f'{new.outside} of {all_events} events are outside the sensor'
            return f'{what}; if its size is wrong, {SIZE_ADVICE}'
        return f'the state was reset {new.resets} times' if restarts else ''

    def _summarize_silence(self, status: NodeStatus, now: float) -> tuple[bytes, str]:
        """Return whether detections come out, if nothing else is wrong."""
        since_message, since_events, since_step = (
            now - time for time in (self._last_message, self._last_events, self._last_step)
        )
        if since_message > SILENCE_S:
            return DiagnosticStatus.STALE, f'no events for {since_message:.0f} s'
        if since_events > SILENCE_S:
            return DiagnosticStatus.WARN, f'messages without events for {since_events:.0f} s'
        if since_step > SILENCE_S + status.period_s:
            if status.queued:
                return DiagnosticStatus.WARN, f'the network is busy for {since_step:.0f} s'
            return DiagnosticStatus.WARN, (
                f'events, but no complete window for {since_step:.0f} s; do their times stand '
                'still, or begin anew with every message?'
            )
        if not self._has_detected:
            return DiagnosticStatus.STALE, 'no complete window yet'
        return DiagnosticStatus.OK, 'detecting'


@dataclass
class _Counts:
    """Values of the counters at one time, or their differences between two times."""

    time: float
    events: int = 0
    done: int = 0
    dropped: int = 0
    skipped: int = 0
    lost: int = 0
    format_errors: int = 0
    step_errors: int = 0
    strangers: int = 0
    strays: int = 0
    outside: int = 0
    resets: int = 0

    def since(self, earlier: _Counts) -> _Counts:
        pairs = zip(astuple(self)[1:], astuple(earlier)[1:])
        return _Counts(
            max(self.time - earlier.time, 1e-9), *(max(0, now - before) for now, before in pairs)
        )


def diagnostic_status(report: Report, name: str, hardware_id: str) -> DiagnosticStatus:
    """Return a report as message."""
    return DiagnosticStatus(
        level=report.level,
        name=name,
        message=report.message,
        hardware_id=hardware_id,
        values=[KeyValue(key=key, value=value) for key, value in report.values.items()],
    )


def kept_shares(values: Mapping[str, str]) -> tuple[StageShare, ...]:
    """Return what the values of a status say was kept, stage by stage; none before a window."""
    return tuple(
        StageShare(
            float(values[f'stage {stage} windows kept (%)']) / 100,
            float(values[f'stage {stage} tokens kept (%)']) / 100,
        )
        for stage in range(1, 5)
        if f'stage {stage} tokens kept (%)' in values
    )
