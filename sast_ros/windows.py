# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Event stream in, windows out.

This decides which events belong to a window, when and why the recurrent state is reset, and the
ROS time of a window. Time is sensor time throughout. Window ``k`` after a (re)start is
``[t0 + k * stride, t0 + k * stride + duration]`` with both ends inclusive (an event exactly on an
edge belongs to two windows, as in the published preprocessing), and it is complete when an event
later than its end has arrived. A filter decides which events are in a window, not which windows
there are. Windows therefore depend on the events alone, not on messages or the wall clock: the
node and the replay of its recording have the same windows. Which events belong to the stream at
all, and where it restarts, is decided by ``StreamOrder`` (events/order.py).

Where the first window begins (``t0``) is the alignment. ``'first_event'``: at the first event, so
that nothing is left out. ``'epoch'``: at the first multiple of the stride from the first event on,
in the time on which all agree who receive the stream (``t + EventChunk.epoch_us``). Those who
joined at different times then have the same windows. This time is

* ROS time where events carry it (EventArray, ``mono``, PointCloud2 with times near
  ``header.stamp``): several cameras have the same windows and stamps, too;
* for ``libcaer`` the clock of the camera, whose zero the driver has set to ROS time when it
  started; for EVT the counter of the sensor, in that of its periods that is nearest to ROS time:
  several cameras have the same windows if their clocks are synchronised by cable;
* the clock of the file in recordings without ROS messages.

Events are kept as views of the decoded chunks until their last window is cut: the edges of the
histogram bins depend on the *last* event of the window (histogram.py), so the bin of an event is
unknown until the window is complete. This takes 13 bytes an event and is bounded
(``MAX_PENDING_EVENTS``).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
import copy
from dataclasses import dataclass, field, replace
import math
from typing import get_args, Literal

import numpy as np
from sast_ros.errors import SettingError
from sast_ros.events.chunk import EventChunk
from sast_ros.events.filters import FilterChain
from sast_ros.events.order import StreamOrder
from sast_ros.events.outside import SensorBounds

#: Stamp of a window: its end in ROS time, the stamp of the message that completed it, or the time
#: at which that message was taken.
TimestampSource = Literal['auto', 'header', 'receive']

#: Where windows begin: at the first event, or at multiples of the stride.
Alignment = Literal['first_event', 'epoch']

#: Maximum events kept for incomplete windows: 16.8 million are 218 MB, and more than any sensor
#: sends in 100 ms. Beyond it new chunks are dropped and counted.
MAX_PENDING_EVENTS = 1 << 24

#: Arrival jitter is removed by taking the smallest (header.stamp - event time) of this much sensor
#: time, microseconds.
CLOCK_MEMORY_US = 2_000_000

#: Reasons in ``StreamStatistics.left_out``: more events than ``MAX_PENDING_EVENTS``; a chunk
#: longer than ``cut`` was to take.
MEMORY_LIMIT = 'memory_limit'
LONG_MESSAGE = 'long_message'

#: Maximum windows without an event in a row. A longer silence is one fact: a recurrent state that
#: has seen so many empty windows hardly changes with more of them.
MAX_EMPTY_WINDOWS = 1000

#: A longer step back of the stamps is a change of the ROS clock; shorter ones are jitter.
CLOCK_STEP_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class EventWindow:
    """
    The events of one complete window, with the facts that the detector needs.

    Attributes
    ----------
    t_start, t_end : int
        Start and end, both inclusive, in microseconds on the clock of the events.
    parts : tuple of EventChunk
        The events in time order, as views of the received chunks; may be empty.
    width, height : int
        Sensor size in pixels, 0 if unknown.
    stamp_ns : int
        ROS time of the window in nanoseconds; ``1000 * t_end`` for events from outside ROS.
    reset : str or None
        Why the recurrent state must be zeroed before this window; ``None`` to keep it.
    frame_id : str
        ``frame_id`` of the events.

    """

    t_start: int
    t_end: int
    parts: tuple[EventChunk, ...]
    width: int
    height: int
    stamp_ns: int
    reset: str | None = None
    frame_id: str = ''

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)


@dataclass(slots=True)
class StreamStatistics:
    """
    Counters of a WindowCutter.

    Attributes
    ----------
    events, windows : int
        Events received, windows cut.
    resets : collections.Counter
        Number of resets of the recurrent state by reason.
    reordered : int
        Events that were behind a later one in their message or file, and were sorted.
    clamped : int
        Events that arrived after their window was cut; they count in the next one if it has begun,
        else in none.
    left_out : collections.Counter
        Events that are in no window, by reason: those of ``EventChunk.left_out``, those of the
        filters, ``'memory_limit'`` and ``'long_message'``.
    unused_events : int
        Events of windows that were incomplete when the stream restarted, and events before the
        first window.
    lost_packets : int
        Messages missing in the sequence of the source.
    skipped_windows : int
        Windows of a silence that were not cut (``MAX_EMPTY_WINDOWS``).

    """

    events: int = 0
    windows: int = 0
    resets: Counter[str] = field(default_factory=Counter)
    reordered: int = 0
    clamped: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    unused_events: int = 0
    lost_packets: int = 0
    skipped_windows: int = 0

    @property
    def dropped_events(self) -> int:
        """Sum of ``left_out``."""
        return self.left_out.total()


class WindowCutter:
    """
    Cut the event stream of one camera into windows.

    Parameters
    ----------
    duration_us, stride_us : int
        Length of a window and distance from one to the next, microseconds.
    max_gap_us : int
        A longer silence between two events ends the stream; the next event starts a new one.
    sensor_size : tuple of int, optional
        (height, width) in pixels of a camera whose events do not carry it; events outside are left
        out.
    align : {'first_event', 'epoch'}
        Where windows begin, see above; may be changed at any time, and holds for the next window.
    timestamp_source : {'auto', 'header', 'receive'}
        What ``EventWindow.stamp_ns`` is.
    now_ns : callable, optional
        ROS time in nanoseconds, for windows whose events have no ROS time.
    on_reset : callable, optional
        Called with the reason of every reset, when the first window after it is cut, or the stream
        ends without one.
    event_filter : FilterChain, optional
        Removes events before they are in windows.

    Raises
    ------
    SettingError
        A time below 1 microsecond, or an alignment or source of stamps that does not exist.

    """

    def __init__(
        self,
        duration_us: int,
        stride_us: int,
        max_gap_us: int = 1_000_000,
        *,
        sensor_size: tuple[int, int] | None = None,
        align: Alignment = 'first_event',
        timestamp_source: TimestampSource = 'auto',
        now_ns: Callable[[], int] | None = None,
        on_reset: Callable[[str], None] | None = None,
        event_filter: FilterChain | None = None,
    ) -> None:
        self.align = align
        self.timestamp_source = timestamp_source
        self.statistics = StreamStatistics()
        self.set_filter(event_filter or FilterChain(()))
        self._default_size = sensor_size or (0, 0)
        self._now_ns = now_ns
        self._on_reset = on_reset
        self._order = StreamOrder()
        self._bounds = SensorBounds(self._default_size)
        self._clear()
        self.set_timing(duration_us, stride_us, max_gap_us)
        self._pending_reset: str | None = 'start'

    def set_timing(self, duration_us: int, stride_us: int, max_gap_us: int) -> None:
        """
        Change the timing, from the next window on and without a reset.

        The next window ends later than the one before it.

        Raises
        ------
        SettingError
            A time below 1 microsecond; nothing is changed.

        """
        times = {'duration_us': duration_us, 'stride_us': stride_us, 'max_gap_us': max_gap_us}
        for name, value in times.items():
            if not 1 <= value < math.inf:
                raise SettingError(
                    f'WindowCutter: {name} is {value}; it must be at least 1 microsecond, and '
                    'finite'
                )
        self.duration_us, self.stride_us, self.max_gap_us = map(int, times.values())
        if self._previous_end is not None:
            self._skip_to(self._previous_end + 1)

    @property
    def align(self) -> Alignment:
        """Where windows begin."""
        return self._align

    @align.setter
    def align(self, value: Alignment) -> None:
        _check_choice('align', value, Alignment)
        self._align = value

    @property
    def timestamp_source(self) -> TimestampSource:
        """What the stamps of windows are."""
        return self._timestamp_source

    @timestamp_source.setter
    def timestamp_source(self, value: TimestampSource) -> None:
        _check_choice('timestamp_source', value, TimestampSource)
        self._timestamp_source = value

    def set_filter(self, event_filter: FilterChain) -> None:
        """Change the filters to such ones, from the next events on and without a reset."""
        # State and counters of a chain are those of one stream
        self.event_filter = copy.deepcopy(event_filter)
        self.event_filter.reset()
        self.event_filter.removed = self.statistics.left_out

    @property
    def sensor_size(self) -> tuple[int, int]:
        """(height, width) in pixels of the latest events, (0, 0) before the first ones."""
        return self._size

    def _clear(self) -> None:
        self._chunks: deque[EventChunk] = deque()
        self._pending = 0
        self._first_late: int | None = None  # of the events in the chunks that are not in order
        self._last: int | None = None
        self._next_start = self._epoch_us = 0
        self._previous_end: int | None = None
        self._empty_windows = 0
        self._size = (0, 0)
        self._message_stamp_ns: int | None = None
        self._frame_id = ''
        self._clock = _RosClock()
        self.event_filter.reset()

    @property
    def ros_offset_ns(self) -> int | None:
        """Nanoseconds to add to the time of the events for ROS time, ``None`` if unknown."""
        return self._clock.offset_ns

    def restart(self, reason: str) -> None:
        """
        Discard all pending events; the next event starts a new stream.

        Its first window carries the reason.
        """
        self._order.restart()
        self._restart(reason)

    def _restart(self, reason: str) -> None:
        self.statistics.unused_events += self._count_unused()
        if self._last is not None:
            self._count_reset()  # of a stream without a window
        self._clear()
        self._pending_reset = reason

    def _count_reset(self) -> None:
        """Count and report the pending reset, if there is one."""
        reason, self._pending_reset = self._pending_reset, None
        if reason is not None:
            self.statistics.resets[reason] += 1
            if self._on_reset is not None:
                self._on_reset(reason)

    def cut(self, chunk: EventChunk, max_windows: int | None = None) -> Iterator[EventWindow]:
        """
        Add the next events and return the windows that they complete, in order.

        Parameters
        ----------
        chunk : EventChunk
            The events.
        max_windows : int, optional
            Of a chunk that is longer than so many windows, only the last events are taken: for
            those who must not be busy with one message for long. A silence before it may complete
            ``MAX_EMPTY_WINDOWS`` more.

        Raises
        ------
        EventFormatError
            More than a third of all events were outside the sensor, raised behind the windows;
            or a filter does not fit it (``FilterSizeError``, a ``SettingError`` too), the chunk is
            discarded. The stream continues with the next one.

        """
        chunk = self._bounds.apply(chunk)
        if len(chunk):
            self.event_filter.check(self._size_of(chunk))
        return self._cut(chunk, max_windows)

    def finish(self) -> Iterator[EventWindow]:
        """
        Return the windows that are complete when no more events follow.

        Raises
        ------
        EventFormatError
            As ``cut``, for their number.

        """
        yield from self._cut_all(self._order.flush())
        self._bounds.check(ended=True)

    @property
    def warning(self) -> str:
        """What to say of the events outside the sensor, empty where there are hardly any."""
        return self._bounds.warning

    def _cut(self, chunk: EventChunk, max_windows: int | None) -> Iterator[EventWindow]:
        chunks = self._order.feed(chunk)
        if max_windows is not None:
            span_us = self.duration_us + max_windows * self.stride_us
            # What is far from the others may be a stray, which is no long message
            chunks = self._last_events(list(chunks), span_us)
        yield from self._cut_all(chunks)
        self._bounds.check()

    def _last_events(self, chunks: list[EventChunk], span_us: int) -> Iterator[EventChunk]:
        """Yield the chunks without the events that the last ones follow by more than so long."""
        begins = [0] * len(chunks)
        after: int | None = None
        for number in reversed(range(len(chunks))):
            t = chunks[number].t
            if len(t) == 0:
                continue
            if after is not None:
                span_us -= max(0, after - int(t[-1]))
            begins[number] = int(np.searchsorted(t, int(t[-1]) - span_us, 'left'))
            if span_us < 0:
                begins[number] = len(t)
            else:
                span_us -= int(t[-1] - t[begins[number]])
            after = None if chunks[number].discontinuity else int(t[0])
        for chunk, begin in zip(chunks, begins):
            if begin:
                self.statistics.events += begin
                self.statistics.left_out[LONG_MESSAGE] += begin
                yield chunk[:0]  # its counts
            yield chunk[begin:] if begin else chunk

    def _cut_all(self, chunks: Iterable[EventChunk]) -> Iterator[EventWindow]:
        part = MAX_PENDING_EVENTS // 2
        for chunk in chunks:
            # A whole recording: windows are cut before more is kept. Messages are never so long
            while len(chunk) > part and chunk.stamp_ns is None:
                yield from self._cut_in_order(chunk[:part])
                chunk = chunk[part:]
            yield from self._cut_in_order(chunk)

    def _cut_in_order(self, chunk: EventChunk) -> Iterator[EventWindow]:
        statistics = self.statistics
        statistics.reordered += chunk.reordered
        statistics.left_out.update(chunk.left_out)
        statistics.lost_packets += chunk.lost_packets
        self._restart_for_another_stream(chunk)
        if len(chunk) == 0:
            return
        statistics.events += len(chunk)
        if self._last is not None and chunk.t[0] < self._last:
            chunk = self._insert_late(chunk)
        for segment, gap in self._split_at_gaps(chunk):
            if gap:
                yield from self._windows_before_gap(int(segment.t[0]))
                self._restart('gap')
            yield from self._append(segment)

    # ----------------------------------------------------------------------------- joining streams

    def _restart_for_another_stream(self, chunk: EventChunk) -> None:
        if self._last is None:
            return
        if len(chunk) and self._size_of(chunk) != self._size:
            self._restart('sensor_size')
        elif len(chunk) and chunk.frame_id != self._frame_id:
            self._restart('frame_id')
        elif chunk.discontinuity:
            self._restart('time_jump_back')

    def _insert_late(self, chunk: EventChunk) -> EventChunk:
        """Add the late events of a chunk to the pending ones; return the others."""
        assert self._last is not None
        count = int(np.searchsorted(chunk.t, self._last, 'left'))
        late, others = self.event_filter(chunk[:count], self._size), chunk[count:]
        too_late = in_time = int(np.searchsorted(late.t, self._next_start, 'left'))
        if self._previous_end is not None:  # those behind it are between two windows
            too_late = min(in_time, int(np.searchsorted(late.t, self._previous_end, 'right')))
        elif self._next_start > self._last:
            self.statistics.unused_events += len(late)
            return others
        self.statistics.clamped += too_late
        count = len(late)
        kept = np.r_[:too_late, in_time:count]
        if self._next_start > self._last or not len(kept):
            return others
        x, y, p, t = (getattr(late, name)[kept] for name in 'xypt')
        t = np.maximum(t, self._next_start)
        if self._keep(replace(late, x=x, y=y, p=p, t=t, checked=True)):
            first = int(t[0])
            self._first_late = first if self._first_late is None else min(first, self._first_late)
        return others

    def _keep(self, chunk: EventChunk) -> bool:
        """Keep events until their windows are complete; return whether there is room for them."""
        if self._pending + len(chunk) > MAX_PENDING_EVENTS:
            self.statistics.left_out[MEMORY_LIMIT] += len(chunk)
            return False
        self._chunks.append(chunk)
        self._pending += len(chunk)
        return True

    def _sort_pending(self) -> None:
        """
        Put late events in their places, before a window is cut.

        Not when they arrive: where time begins anew with every message, all are late, and no
        window is ever complete.
        """
        first, self._first_late = self._first_late, None
        if first is None:
            return
        chunks = list(self._chunks)
        begin = next(number for number, chunk in enumerate(chunks) if chunk.t[-1] >= first)
        x, y, p, t = (
            np.concatenate([getattr(chunk, name) for chunk in chunks[begin:]]) for name in 'xypt'
        )
        by_time = t.argsort(kind='stable')
        x, y, p, t = (column[by_time] for column in (x, y, p, t))
        self._chunks = deque(chunks[:begin])
        self._chunks.append(replace(chunks[-1], x=x, y=y, p=p, t=t, checked=True))

    def _size_of(self, chunk: EventChunk) -> tuple[int, int]:
        if chunk.width:
            return chunk.height, chunk.width
        return self._size if self._size[1] else self._default_size

    def _split_at_gaps(self, chunk: EventChunk) -> Iterator[tuple[EventChunk, bool]]:
        """Split the chunk at every gap; yield each part and whether a gap precedes it."""
        if len(chunk) == 0:
            return
        before = chunk.t[0] if self._last is None else self._last
        # No gap can be longer than the whole: the usual case, at no cost
        if chunk.t[-1] - before <= self.max_gap_us:
            yield chunk, False
            return
        begins = np.flatnonzero(np.diff(chunk.t, prepend=before) > self.max_gap_us).tolist()
        if not begins or begins[0] > 0:
            yield chunk[: begins[0] if begins else len(chunk)], False
        for begin, end in zip(begins, [*begins[1:], len(chunk)]):
            yield chunk[begin:end], True

    # --------------------------------------------------------------------------------- cutting one

    def _append(self, segment: EventChunk) -> Iterator[EventWindow]:
        self._epoch_us = segment.epoch_us
        if self._last is None:
            first = int(segment.t[0])
            self._next_start = first if self.align == 'first_event' else self._border(first)
        self._size = self._size_of(segment)
        self._message_stamp_ns = segment.stamp_ns
        self._frame_id = segment.frame_id
        self._last = int(segment.t[-1])
        self._clock.observe(segment)
        segment = self.event_filter(segment, self._size)
        if self._previous_end is None and len(segment) and segment.t[0] < self._next_start:
            early = int(np.searchsorted(segment.t, self._next_start, 'left'))
            self.statistics.unused_events += early
            segment = segment[early:]
        # Otherwise between two windows whose stride is longer than their duration
        if len(segment) and segment.t[-1] >= self._next_start:
            self._keep(segment)
        while self._next_start + self.duration_us < self._last:
            if self._empty_windows < MAX_EMPTY_WINDOWS or not self._skip_silence(self._last):
                yield self._window()

    def _skip_silence(self, last: int) -> int:
        """Go to the first window of the grid that may hold an event; return how many it skips."""
        self._sort_pending()
        event = last
        for chunk in self._chunks:
            first = int(np.searchsorted(chunk.t, self._next_start, 'left'))
            if first < len(chunk):
                event = int(chunk.t[first])
                break
        silent = self._skip_to(event)
        self.statistics.skipped_windows += silent
        assert self._previous_end is not None
        self._previous_end += silent * self.stride_us
        return silent

    def _skip_to(self, t: int) -> int:
        """Go to the first window that ends at a time or later; return how many it skips."""
        skipped = max(0, -(-(t - self.duration_us - self._next_start) // self.stride_us))
        self._next_start += skipped * self.stride_us
        return skipped

    def _windows_before_gap(self, resumed: int) -> Iterator[EventWindow]:
        """Yield the windows that the gap completes, without those entirely inside it."""
        last = self._last
        if last is None:
            return
        while self._next_start <= last and self._next_start + self.duration_us < resumed:
            yield self._window()

    def _window(self) -> EventWindow:
        self._sort_pending()
        start, end = self._next_start, self._next_start + self.duration_us
        parts = tuple(
            part for part in (_between(chunk, start, end) for chunk in self._chunks) if len(part)
        )
        window = EventWindow(
            t_start=start,
            t_end=end,
            parts=parts,
            width=self._size[1],
            height=self._size[0],
            stamp_ns=self._stamp_ns(end),
            reset=self._pending_reset,
            frame_id=self._frame_id,
        )
        self._count_reset()
        self.statistics.windows += 1
        self._empty_windows = 0 if parts else self._empty_windows + 1
        self._previous_end = end
        self._next_start = (
            start + self.stride_us if self.align == 'first_event' else self._border(start + 1)
        )
        while self._chunks and self._chunks[0].t[-1] < self._next_start:
            self._pending -= len(self._chunks.popleft())
        return window

    def _border(self, t: int) -> int:
        """Return the first multiple of the stride from a time on."""
        return t + -(t + self._epoch_us) % self.stride_us

    def _stamp_ns(self, end: int) -> int:
        if self.timestamp_source == 'header' and self._message_stamp_ns is not None:
            return self._message_stamp_ns
        stamp = None if self.timestamp_source == 'receive' else self._clock.stamp_ns(end)
        if stamp is None:
            stamp = self._now_ns() if self._now_ns is not None else 1000 * end
        return stamp

    def _count_unused(self) -> int:
        """Return the number of pending events that were in no window."""
        if self._previous_end is None:
            return self._pending
        self._sort_pending()
        return sum(
            len(c) - int(np.searchsorted(c.t, self._previous_end, 'right')) for c in self._chunks
        )


def _check_choice(name: str, value: str, choices: object) -> None:
    if value not in get_args(choices):
        raise SettingError(
            f'WindowCutter: {name} is {value!r}; it must be one of {", ".join(get_args(choices))}'
        )


def microseconds(window_ms: float, stride_ms: float, max_gap_ms: float) -> tuple[int, int, int]:
    """
    Return the timing of a WindowCutter in microseconds.

    Raises
    ------
    SettingError
        A time that is no finite number.

    """
    times = {'window_ms': window_ms, 'stride_ms': stride_ms, 'max_gap_ms': max_gap_ms}
    for name, value in times.items():
        if not math.isfinite(value):
            raise SettingError(f'{name} is {value}; it must be a finite number of milliseconds')
    return round(1000 * window_ms), round(1000 * stride_ms), round(1000 * max_gap_ms)


def _between(chunk: EventChunk, start: int, end: int) -> EventChunk:
    """Return the events with start <= t <= end; the chunk itself if all are."""
    t = chunk.t
    if t[0] >= start and t[-1] <= end:
        return chunk
    first, behind = int(np.searchsorted(t, start, 'left')), int(np.searchsorted(t, end, 'right'))
    return chunk[first:behind]


class _RosClock:
    """
    ROS time of an instant of sensor time.

    The ``header.stamp`` of a message is the time when its first data reached the host: sensor time
    plus a transport delay with a jitter of milliseconds. The smallest difference of the last
    seconds is the best estimate of the offset between the clocks; older ones are discarded because
    the clocks drift. Stamps never step back by this jitter. One message with another offset has a
    wrong stamp; two in a row mean that a clock was set.
    """

    def __init__(self) -> None:
        # (event time us, offset ns), both increasing
        self._offsets: deque[tuple[int, int]] = deque()
        self._odd: int | None = None  # offset of the last message, if it was another one
        self._ros = False
        self._previous: int | None = None

    def observe(self, chunk: EventChunk) -> None:
        self._ros = chunk.clock == 'ros'
        if self._ros or not chunk.stamp_ns:  # 0: not set
            return
        t = int(chunk.t[0])
        offset = chunk.stamp_ns - 1000 * t
        if self._offsets and abs(offset - self._offsets[-1][1]) > CLOCK_STEP_NS:
            before, self._odd = self._odd, offset
            if before is None or abs(offset - before) > CLOCK_STEP_NS:
                return
            self._offsets.clear()
        self._odd = None
        while self._offsets and self._offsets[-1][1] >= offset:
            self._offsets.pop()
        self._offsets.append((t, offset))
        while self._offsets[0][0] < t - CLOCK_MEMORY_US:
            self._offsets.popleft()

    @property
    def offset_ns(self) -> int | None:
        if self._ros:
            return 0
        return self._offsets[0][1] if self._offsets else None

    def stamp_ns(self, t: int) -> int | None:
        offset = self.offset_ns
        if self._ros or offset is None:
            return None if offset is None else 1000 * t
        stamp = 1000 * t + offset
        if self._previous is not None and 0 < self._previous - stamp < CLOCK_STEP_NS:
            stamp = self._previous
        self._previous = stamp
        return stamp
