# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Detections that a node published, recorded in one bag with the events.

A label is on the clock of the events, a message has a stamp in ROS time: that of the end of its
window, by the offset between the clocks that the node knew when it cut the window (windows.py).
The events of the bag give the same offsets, so that the end of every window follows from its stamp
to the microsecond, whenever the node joined. Where two ends are possible, because the offset had
just changed, or none, because the node knew events from before the bag, the distances of the
windows decide: they are multiples of the stride.

Between the windows of the messages those are found that the node dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
import math
from pathlib import Path

import numpy as np
from sast_ros.bags import open_recording, Recording
from sast_ros.bags.detections import WINDOW_DTYPE
from sast_ros.bags.names import recording_stem
from sast_ros.evaluation.detections import LiveRun, RecordedDetections
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.labels import canonical
from sast_ros.evaluation.topics import read_topic, TopicBoxes
from sast_ros.events.chunk import EventChunk, EventFormatError
from sast_ros.events.filters import FilterChain
from sast_ros.replay import ReplayOptions
from sast_ros.windows import EventWindow, microseconds, WindowCutter

#: Smallest number of windows at one distance from the others that are no accident.
_MIN_ALIKE = 2

#: Messages whose windows are not known to the microsecond are moved to the next end by this
#: much at most, microseconds: more than the delay of messages varies.
_MAX_JITTER_US = 20_000


def read_live(
    path: Path,
    topic: str | None,
    options: ReplayOptions,
    events_topic: str | None = None,
    *,
    timing_known: bool = False,
) -> RecordedDetections:
    """
    Read the detections on a topic, with times on the clock of the events in the same bag.

    Parameters
    ----------
    path : Path
        Rosbag2 folder, ``.mcap`` or ``.db3`` file.
    topic : str, optional
        Topic with the detections; by default the only one.
    options : ReplayOptions
        Timing, filters and size of the sensor, as the node had them.
    events_topic : str, optional
        Topic with the events; by default the only one.
    timing_known : bool
        Whether the stride of the options is that of the node; if not, it is taken from the
        messages.

    Raises
    ------
    EvaluationError
        No such topic, a bag that was played in a loop, detections of other events, or of another
        stride.
    RecordingError
        A damaged bag, or no single topic with events.

    """
    found = read_topic(path, topic, option='--detections-topic')
    if found.restarts:
        raise EvaluationError(
            f'{path}: the stamps of {found.topic} step back {found.restarts} times, so that times '
            'of labels are ambiguous; record one pass of a bag, by one node'
        )
    try:
        timing = microseconds(options.window_ms, options.stride_ms, options.max_gap_ms)
        with _open(path, events_topic, options) as recording:
            clock = _SensorClock(recording, timing)
        stride = clock.stride(found.stamps_ns, timing[1] if timing_known else None)
        ends, unsure = clock.ends(found.stamps_ns, stride)
        within = clock.first <= ends[-1] and ends[0] <= clock.last + timing[0]
        if not within or (np.diff(ends) <= 0).any():
            raise EvaluationError(
                f'{path}: the stamps of {found.topic} do not follow the events of '
                f'{recording.topic}; choose the topic that its node received with --topic'
            )
        with _open(path, events_topic, options) as recording:
            cut = _Cut(recording, options, (timing[0], stride, timing[2]), ends)
        return _detections(path, found, cut, clock, unsure)
    except EventFormatError as error:  # the size of the sensor is wrong
        raise EvaluationError(f'{path}: {error}') from error


def _open(path: Path, topic: str | None, options: ReplayOptions) -> Recording:
    recording = open_recording(path, topic)
    recording.given_size, recording.time_unit = options.sensor_size, options.time_unit
    return recording


class _SensorClock:
    """
    Times of the events by ROS time.

    Attributes
    ----------
    first, last : int
        Times of the first and last event.

    """

    def __init__(self, recording: Recording, timing: tuple[int, int, int]) -> None:
        self.first = self.last = 0
        #: For intervals of sensor time (first, end): the offset by which their windows were
        #: stamped, nanoseconds.
        spans: list[list[int]] = []
        duration, _, max_gap = timing
        last: int | None = None
        for chunk, offset in _with_offsets(recording, timing):
            first, end = int(chunk.t[0]), int(chunk.t[-1])
            if last is None:
                self.first = last = first
            if chunk.discontinuity or first - last > max_gap:
                spans[-1][1] = last + duration + 1  # the silence completes windows
                spans.append([first, end, offset])
            elif spans and spans[-1][2] == offset:
                spans[-1][1] = max(end, spans[-1][1])
            else:
                spans.append([last, end, offset])
            self.last = end
            last = end if chunk.discontinuity else max(last, end)
        if last is None:
            raise EvaluationError(
                f'{recording.path} has no events on {recording.topic}; choose another --topic'
            )
        self._begin, self._end, self._offset = np.array(spans, np.int64).T

    def _candidates(self, stamps_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the possible ends of windows: indices of the stamps, and times."""
        indices, times = [], []
        for begin, end, offset in zip(self._begin, self._end, self._offset):
            low, high = np.searchsorted(stamps_ns, [1000 * begin + offset, 1000 * end + offset])
            since = stamps_ns[low:high] - offset
            whole = since % 1000 == 0
            indices.append(np.arange(low, high)[whole])
            times.append(since[whole] // 1000)
        return np.concatenate(indices), np.concatenate(times)

    def stride(self, stamps_ns: np.ndarray, known: int | None) -> int:
        """
        Return the distance of the windows: the greatest of which all usual ones are multiples.

        Raises
        ------
        EvaluationError
            The known stride is another.

        """
        indices, times = self._candidates(stamps_ns)
        alone = np.bincount(indices, minlength=len(stamps_ns))[indices] == 1
        steps, counts = np.unique(np.diff(times[alone]), return_counts=True)
        usual = steps[(counts >= min(_MIN_ALIKE, max(counts, default=0))) & (steps > 0)]
        measured = math.gcd(*usual.tolist())
        if known is None or not measured:
            typical = int(np.median(np.diff(stamps_ns))) // 1000 if len(stamps_ns) > 1 else 0
            return known or measured or max(typical, 1)
        if measured % known:
            raise EvaluationError(
                f'the windows of the detections are {measured / 1000:g} ms apart, which is no '
                f'multiple of a stride of {known / 1000:g} ms; give the parameters that the node '
                'had'
            )
        return known

    def ends(self, stamps_ns: np.ndarray, stride: int) -> tuple[np.ndarray, int]:
        """Return the ends of the windows with these stamps, and how many are not sure."""
        indices, times = self._candidates(stamps_ns)
        _, phase, counts = np.unique(times % stride, return_inverse=True, return_counts=True)
        alike = counts[phase] if len(times) else counts
        # Where nothing else is known, by the offset at that time
        starts = np.maximum.accumulate(1000 * self._begin + self._offset)
        span = (np.searchsorted(starts, stamps_ns, 'right') - 1).clip(0)
        ends = (stamps_ns - self._offset[span]) // 1000
        sure = np.zeros(len(ends), bool)
        for index in np.argsort(alike, kind='stable'):  # what is most alike comes last
            ends[indices[index]] = times[index]
            sure[indices[index]] = alike[index] >= min(_MIN_ALIKE, len(stamps_ns))
        if not sure.all() and 2 * alike.max(initial=0) >= len(stamps_ns):
            usual = int(times[np.argmax(alike)]) % stride
            shift = (usual - ends + stride // 2) % stride - stride // 2
            near = ~sure & (np.abs(shift) <= _MAX_JITTER_US)
            ends[near] += shift[near]
            sure |= near
        return ends, int((~sure).sum())


def _with_offsets(
    recording: Recording, timing: tuple[int, int, int]
) -> Iterator[tuple[EventChunk, int]]:
    """Yield the events of messages, and the offset by which a window that they end is stamped."""
    cutter = WindowCutter(*timing)
    for chunk in recording:
        for _ in cutter.cut(chunk):
            pass
        offset = cutter.ros_offset_ns
        if len(chunk) and offset is not None:
            yield chunk, offset


class _Cut:
    """
    The windows of the node, cut from the events again.

    Attributes
    ----------
    ends, events : int64[W]
        Ends of the windows that were published, and their events.
    before, after : int
        Number of others before the first of these, and after the last.
    dropped : list of int
        Ends of the others between them.
    topic : str
        Topic of the events.
    duration_us, stride_us : int
        Timing of the windows.
    sensor_size : (int, int), optional
        Height and width in pixels.

    """

    def __init__(
        self,
        recording: Recording,
        options: ReplayOptions,
        timing: tuple[int, int, int],
        ends: np.ndarray,
    ) -> None:
        self.ends, self.topic = ends, recording.topic
        self.duration_us, self.stride_us, _ = timing
        self.sensor_size = options.sensor_size or recording.sensor_size
        self.events = np.zeros(len(ends), np.int64)
        self.before = self.after = 0
        self.dropped: list[int] = []
        cutter = WindowCutter(
            *timing,
            sensor_size=self.sensor_size,
            align='epoch',
            event_filter=FilterChain(options.filters),
        )
        coming = 0  # index of the next published window
        for chunk in recording:
            # A border is where the next published window begins
            border = int(ends[min(coming, len(ends) - 1)]) - timing[0]
            for window in cutter.cut(replace(chunk, epoch_us=-border, checked=True)):
                self._count(window)
                coming = int(np.searchsorted(ends, window.t_end, 'right'))

    def _count(self, window: EventWindow) -> None:
        index = int(np.searchsorted(self.ends, window.t_end))
        if index < len(self.ends) and self.ends[index] == window.t_end:
            self.events[index] = len(window)
        elif index == 0:
            self.before += 1
        elif index == len(self.ends):
            self.after += 1
        else:
            self.dropped.append(window.t_end)


def _detections(
    path: Path, found: TopicBoxes, cut: _Cut, clock: _SensorClock, unsure: int
) -> RecordedDetections:
    """Return the detections with the times of their windows on the clock of the events."""
    ends, stamps_us = cut.ends, found.stamps_ns // 1000
    boxes = found.detections
    boxes['t'] = ends[np.searchsorted(stamps_us, boxes['t'])]
    windows = np.zeros(len(ends), WINDOW_DTYPE)
    windows['t'], windows['stamp_ns'], windows['events'] = ends, found.stamps_ns, cut.events
    windows['detections'] = np.bincount(np.searchsorted(ends, boxes['t']), minlength=len(ends))
    warnings = []
    for number, what in (
        (cut.before, 'first windows of the events were not published: labels there are left out'),
        (cut.after, 'last windows of the events were not published: labels there are left out'),
        (unsure, 'windows are known to some milliseconds only: their stamps are not their ends'),
    ):
        if number:
            warnings.append(f'{path}, {found.topic}: {number} {what}')
    return RecordedDetections(
        name=recording_stem(path.resolve()),
        path=path,
        boxes=boxes,
        classes=tuple(canonical(name) for name in found.classes),
        windows=windows,
        start_us=int(ends[0]) - cut.duration_us if cut.before else clock.first,
        end_us=int(ends[-1]) if cut.after else clock.last,
        stride_us=cut.stride_us,
        duration_us=cut.duration_us,
        sensor_size=cut.sensor_size,
        live=LiveRun(len(ends), np.array(cut.dropped, np.int64), cut.topic, cut.after > 0),
        topic=found.topic,
        partial=found.partial,
        warnings=tuple(warnings),
    )
