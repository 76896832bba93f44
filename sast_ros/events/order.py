# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The one rule about the time of events: what continues a stream, is a stray, or restarts it.

Sensors, drivers and disks give single events a wrong time; cameras restart and bags loop. Both
look alike at the first wrong event. The rule:

- The events of a message are sorted by time, equal times in their order.
- Events within the *horizon* of the last one continue the stream. The horizon is 10 ms, in a
  sparse stream 20 mean distances of its events, but at most 1 s forwards and 100 ms backwards.
- Events further away are kept back. If the stream then continues where it was, they were strays
  and are left out (counted as ``'stray_time'``). If at least 16 events in a row (fewer in
  the first 240 of a stream) are at the new place, over at least 10 ms, the stream has moved:
  forwards it continues after a gap, backwards it restarts (``discontinuity``). So has one that
  ends with more than one later event, one in the first 256. One message alone does not move a
  stream, as all its events may have one wrong time: the next one has to be at the new place or
  behind it.
- A stream begins with its first event. Fewer than 16 events before a distance longer than the
  horizon are strays where at least 16 times as many follow without one in the same message.
- A message may be late by as much as its ``header.stamp`` is behind the newest one, up to 50 ms.
- Messages of another source, which is a frame and a sensor size, are kept back in the same way,
  until the fourth in a row: two publishers on one topic do not always take turns.

The result depends on the events in the order of their arrival alone, and nothing of a stream is
lost when it moves.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
from sast_ros.errors import SastError
from sast_ros.events._native import CheckedEvents, DecodedEvents, empty_events
from sast_ros.events.chunk import EventChunk, EventFormatError, OTHER_FRAME, OTHER_SIZE, STRAY_TIME

#: Smallest and largest horizon, and the largest backwards, microseconds.
MIN_HORIZON_US = 10_000
MAX_HORIZON_US = 1_000_000
MAX_LATE_US = 100_000

#: A message with an older stamp than the newest one came late, or has a wrong stamp.
MAX_LATE_STAMP_NS = 50_000_000

#: The horizon in mean distances of events.
_HORIZON_DISTANCES = 20

#: Events that have to be at a new place before the stream moves there.
MIN_MOVED = 16

#: Events from which the mean distance is known.
_RECENT = 256

#: Places at which events are kept back at a time; the oldest gives way.
_MAX_PLACES = 32

#: More events at one place are not kept back, even where time stands still.
_MAX_KEPT_BACK = 1 << 20

#: Messages in a row of another source, after which it is that of the stream; at its end.
_SOURCE_HAS_CHANGED, _SOURCE_HAD_CHANGED = 4, 2

#: Events of a run, the smallest part of a block that is placed on its own.
_RUN = 64

#: Fewer events of a file do not show whether it is in no order of time.
_FEWEST_TO_JUDGE = 16 * _RUN

#: Maximum events of a chunk of a file.
CHUNK = 100_000

#: A file in no order of time is sorted as a whole up to this many events (900 MB).
MAX_SORTED_EVENTS = 1 << 25


class UnsortedError(EventFormatError):
    """Events of a file in no order of time, and too many to sort them."""


@dataclass(slots=True)
class _Place:
    """Events kept back that follow each other."""

    last: int
    fed: int  # number of the last message at it
    messages: int = 1
    chunks: list[EventChunk] = field(default_factory=list)
    events: int = 0


class StreamOrder:
    """
    Put the events of one camera in the order of time, without strays.

    Chunks that were already placed (``EventChunk.ordered``) pass unchanged.
    """

    def __init__(self) -> None:
        self._counts = _Counts()
        self.restart()

    def restart(self) -> None:
        """Forget the stream; the next events begin a new one."""
        self._last: int | None = None
        self._source = ('', 0, 0)
        self._accepted = 0
        self._newest: tuple[int, int] | None = None  # a message's stamp in ns, and its first time
        self._recent: deque[np.ndarray] = deque(maxlen=_RECENT)
        self._places: list[_Place] = []
        self._latest: _Place | None = None  # the place of the events that arrived last, if known
        self._fed = 0
        self._others: list[EventChunk] = []  # the last messages, of another source

    def feed(self, chunk: EventChunk) -> Iterator[EventChunk]:
        """Add the next events and return those whose place is known now, in order."""
        source = _source(chunk)
        other = len(chunk) > 0 and self._last is not None and source != self._source
        if chunk.discontinuity or other:
            before: list[EventChunk] = []
            if other and not chunk.discontinuity:
                if not self._has_changed_source(chunk):
                    self._others.append(self._counts.take_from(chunk))
                    return
                before, self._others = self._others, []
            yield from self.flush()
            self.restart()
            for each in before:
                yield from self.feed(each)
        if len(chunk) == 0:
            yield self._counts.add_to(chunk)
            return
        self._source = source
        self._fed += 1
        self._leave_out_others()
        if chunk.ordered or self._continues(chunk):
            yield self._accept(chunk)
            return
        # Parts are further apart than the smallest horizon
        in_order = chunk.late_us <= MIN_HORIZON_US
        chunk = self._counts.take_from(chunk)
        horizon = self._horizon(chunk.t if self._last is None else None)
        parts = _split(chunk, horizon)
        if self._last is None:
            sizes = [len(part) for part in parts]
            begin = _begin(parts, horizon) if in_order else sizes.index(max(sizes))
            yield self._accept(replace(parts.pop(begin), ordered=True, checked=True))
        for group in [[part] for part in parts] if in_order else [parts]:
            yield from self._place(group, horizon, in_order)

    def flush(self) -> Iterator[EventChunk]:
        """Return what is kept back and believed now that no more events follow, and the counts."""
        latest, last = self._latest, self._last
        if (
            latest is not None
            and last is not None
            and int(latest.chunks[0].t[0]) > last
            and (latest.events > 1 or self._accepted < _RECENT)
        ):
            yield from self._move(latest)  # the end of the stream
        yield from self._move_if_believed(ended=True)
        self._leave_out(self._places)
        if len(self._others) < _SOURCE_HAD_CHANGED:
            self._leave_out_others()
        if self._counts:
            _, height, width = self._source
            nothing = EventChunk(*empty_events(0), width=width, height=height, checked=True)
            yield self._counts.add_to(nothing)
        if self._others:
            others = self._others
            self.restart()
            for chunk in others:
                yield from self.feed(chunk)
            yield from self.flush()

    def _has_changed_source(self, chunk: EventChunk) -> bool:
        """Return whether the stream has the source of this chunk now, which is another one."""
        if chunk.stamp_ns is None:
            return True
        if self._others and _source(chunk) != _source(self._others[0]):
            self._leave_out_others()
        events = sum(map(len, self._others)) + len(chunk)
        return len(self._others) + 1 >= _SOURCE_HAS_CHANGED or events > _MAX_KEPT_BACK

    def _leave_out_others(self) -> None:
        """Leave out what was kept back because of its source."""
        if self._others:
            of_size = _source(self._others[0])[1:] == self._source[1:]
            reason = OTHER_FRAME if of_size else OTHER_SIZE
            self._counts.left_out[reason] += sum(map(len, self._others))
            self._others = []

    def _continues(self, chunk: EventChunk) -> bool:
        """Return whether all events obviously continue the stream: the usual case."""
        last, t = self._last, chunk.t
        if last is None or self._places:
            return False
        first, end = int(t[0]), int(t[-1])
        if not last - MIN_HORIZON_US <= first <= last + MIN_HORIZON_US:
            return False
        return end - first <= MIN_HORIZON_US or int(np.diff(t).max()) <= MIN_HORIZON_US

    def _horizon(self, first: np.ndarray | None) -> int:
        columns = [*self._recent, *([] if first is None else [first])]
        if self._accepted < MIN_MOVED:  # so that a stray that was first does not decide
            columns += [chunk.t for place in self._places for chunk in place.chunks]
        t = np.concatenate(columns)
        if first is None:
            t = t[-_RECENT:]
        if len(t) < 2:
            return MAX_HORIZON_US
        # The middle half, which strays and the borders of silences do not reach
        low, high = (len(t) - 1) // 4, -(-3 * (len(t) - 1) // 4)
        t = np.sort(t)
        horizon = _HORIZON_DISTANCES * int(t[high] - t[low]) // (high - low)
        return min(max(MIN_HORIZON_US, horizon), MAX_HORIZON_US)

    def _place(
        self, parts: list[EventChunk], horizon: int, in_order: bool
    ) -> Iterator[EventChunk]:
        """Place parts of a chunk that arrived together."""
        last = self._last
        assert last is not None
        near: list[EventChunk] = []
        far: list[EventChunk] = []
        late = max([min(horizon, MAX_LATE_US), *map(self._lateness_of, parts)])
        for part in parts:
            first = int(part.t[0])
            # Where the order of arrival is unknown, some events may be late by more
            begin = first if in_order else int(part.t[len(part) // 2])
            here = first <= last + horizon and begin >= last - late
            (near if here else far).append(part)
        overtaken: list[_Place] = []
        if near:
            overtaken = [place for place in self._places if _has_overtaken(place, near[0])]
            self._places = [place for place in self._places if place not in overtaken]
            self._leave_out(self._places)
        elif far and (place := self._confirmed_by(far[0])) is not None:
            yield from self._move(place)
            yield from self._place(parts, horizon, in_order)
            return
        for part in near:
            yield self._accept(part)
        for place in overtaken:
            for chunk in place.chunks:
                yield from self._place([chunk], horizon, in_order=True)
        for part in far:
            # Late events of a message may be strays near its others; a sparse stream that has
            # moved forwards continues within the longest horizon
            place = self._keep_back(part, horizon, MAX_HORIZON_US if in_order else horizon)
            self._latest = place if in_order else None
        if not near:
            yield from self._move_if_believed()

    def _lateness_of(self, part: EventChunk) -> int:
        """Return how far behind the last event a message may be by its stamp, microseconds."""
        if part.stamp_ns is None or self._newest is None or self._last is None:
            return 0
        behind_ns = self._newest[0] - part.stamp_ns
        if not 0 < behind_ns <= MAX_LATE_STAMP_NS:
            return 0
        return self._last - self._newest[1] + behind_ns // 1000 + MIN_HORIZON_US

    def _keep_back(self, part: EventChunk, horizon: int, reach: int) -> _Place:
        first, last = int(part.t[0]), int(part.t[-1])
        reached = []
        for place in self._places:
            # Not from behind the stream to ahead of it, unless without a break
            side = self._last is None or (place.last > self._last) == (last > self._last)
            ahead = place.last + (reach if side else horizon)
            if place.last - horizon <= last and first <= ahead:
                reached.append(place)
        if reached:
            place = min(reached, key=lambda each: abs(first - each.last))
        else:
            if len(self._places) == _MAX_PLACES:
                self._leave_out(self._places[:1])
            place = _Place(last, self._fed)
            self._places.append(place)
        place.messages += place.fed != self._fed
        place.fed = self._fed
        place.chunks.append(part)
        place.events += len(part)
        place.last = max(place.last, last)
        return place

    def _leave_out(self, places: list[_Place]) -> None:
        """Count the events kept back at these places as strays."""
        self._counts.add_strays(sum(place.events for place in places))
        self._places = [place for place in self._places if place not in places]

    def _is_believed(self, place: _Place) -> bool:
        if self._accepted < MIN_MOVED:
            return True
        enough = min(MIN_MOVED, 1 + self._accepted // MIN_MOVED)
        lasting = place.last - int(place.chunks[0].t[0]) >= MIN_HORIZON_US
        return place.events >= enough and (lasting or place.events > _MAX_KEPT_BACK)

    def _confirmed_by(self, part: EventChunk) -> _Place | None:
        """Return a place that is believed because the next message is behind it."""
        first, last = int(part.t[0]), self._last
        assert last is not None
        for place in self._places:
            # Where the stream continues after a silence, an earlier place is a stray
            behind = first > place.last and (place.last > last or first < last)
            if behind and place.fed < self._fed and self._is_believed(place):
                return place
        return None

    def _move_if_believed(self, *, ended: bool = False) -> Iterator[EventChunk]:
        """Continue the stream at another place, if enough events are there."""
        for place in self._places:
            one_message = place.messages == 1 and place.chunks[0].stamp_ns is not None
            if self._is_believed(place) and (ended or not one_message):
                yield from self._move(place)
                break

    def _move(self, place: _Place) -> Iterator[EventChunk]:
        """Continue the stream at another place."""
        self._leave_out([each for each in self._places if each is not place])
        self._places = []
        if self._last is not None and int(place.chunks[0].t[0]) < self._last:
            self._counts.discontinuity = True
            source = self._source
            self.restart()
            self._source = source
            times = np.concatenate([chunk.t for chunk in place.chunks])
            begin = _begin(place.chunks, self._horizon(times))
            self._counts.add_strays(sum(map(len, place.chunks[:begin])))
            del place.chunks[:begin]
        for chunk in place.chunks:
            yield replace(self._accept(chunk), ordered=True, checked=True)

    def _accept(self, chunk: EventChunk) -> EventChunk:
        last = int(chunk.t[-1])
        self._last = last if self._last is None else max(self._last, last)
        self._accepted += len(chunk)
        self._latest = None
        if chunk.stamp_ns is not None:
            stamp, first = self._newest or (None, 0)
            if stamp is None or (chunk.stamp_ns != stamp and chunk.t[0] >= first):
                self._newest = chunk.stamp_ns, int(chunk.t[0])
        self._recent.append(chunk.t[-_RECENT:].copy())
        return self._counts.add_to(chunk)


@dataclass(slots=True)
class _Counts:
    """Counts of events that are yet to be reported, with the next chunk."""

    left_out: Counter[str] = field(default_factory=Counter)
    reordered: int = 0
    late_us: int = 0
    lost_packets: int = 0
    discontinuity: bool = False

    def __bool__(self) -> bool:
        return bool(self.left_out or self.reordered or self.lost_packets or self.discontinuity)

    def add_strays(self, count: int) -> None:
        if count:
            self.left_out[STRAY_TIME] += count

    def take_from(self, chunk: EventChunk) -> EventChunk:
        """Take the counts of a chunk over, because its first events may be strays."""
        self.left_out.update(chunk.left_out)
        self.reordered += chunk.reordered
        self.late_us = max(self.late_us, chunk.late_us)
        self.lost_packets += chunk.lost_packets
        self.discontinuity |= chunk.discontinuity
        return replace(chunk, checked=True, **_Counts()._fields())

    def add_to(self, chunk: EventChunk) -> EventChunk:
        """Return the chunk with the counts, which are reported then; a restart with events."""
        if not self and not chunk.discontinuity:
            return chunk
        self.take_from(chunk)
        kept = _Counts(discontinuity=self.discontinuity and not len(chunk))
        self.discontinuity &= len(chunk) > 0
        result = replace(chunk, checked=True, **self._fields())
        for name, value in kept._fields().items():
            setattr(self, name, value)
        return result

    def _fields(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}


def _source(chunk: EventChunk) -> tuple[str, int, int]:
    return chunk.frame_id, chunk.height, chunk.width


def _split(chunk: EventChunk, horizon: int) -> list[EventChunk]:
    """Cut a chunk where its events are further apart than the horizon."""
    edges = [0, *(np.flatnonzero(np.diff(chunk.t) > horizon) + 1).tolist(), len(chunk)]
    return [chunk[low:high] for low, high in zip(edges[:-1], edges[1:])]


def _has_overtaken(place: _Place, part: EventChunk) -> bool:
    """Return whether what was kept back is of messages that were sent shortly after this one."""
    stamp_ns = part.stamp_ns
    return stamp_ns is not None and all(
        chunk.stamp_ns is not None and 0 < chunk.stamp_ns - stamp_ns <= MAX_LATE_STAMP_NS
        for chunk in place.chunks
    )


def _begin(chunks: list[EventChunk], horizon: int) -> int:
    """Return the number of the chunk in order with which a stream begins, behind strays."""
    begins = [0]
    for number, (before, chunk) in enumerate(pairwise(chunks), start=1):
        if chunk.t[0] - before.t[-1] > horizon:
            begins.append(number)
    strays = 0
    for low, high in pairwise([*begins, len(chunks)]):
        events = sum(map(len, chunks[low:high]))
        if events >= MIN_MOVED * max(1, strays):
            return low
        strays += events
        if strays >= MIN_MOVED:  # a sparse stream
            break
    return 0


def in_order(chunks: Iterable[EventChunk]) -> Iterator[EventChunk]:
    """Yield the events of one camera in the order of time, without strays."""
    order = StreamOrder()
    try:
        for chunk in chunks:
            yield from order.feed(chunk)
    except (SastError, OSError):  # the source is damaged from here on
        yield from order.flush()
        raise
    yield from order.flush()


def sort_blocks(
    blocks: Iterable[DecodedEvents], width: int, height: int, name: str
) -> Iterator[EventChunk]:
    """
    Yield the valid events of a file in chunks that are each in the order of time.

    A block has no borders of messages, inside of which events may be sorted. So it is sorted as a
    whole where nothing is late by more than the smallest horizon. Elsewhere it is cut around the
    runs with strays or restarts, for ``StreamOrder`` to place them. Where every run is out of
    order, so is the file, and it is sorted as a whole. Blocks with too few events to show that are
    joined with the next ones.

    Parameters
    ----------
    blocks : iterable of DecodedEvents
        In the order of the file.
    width, height : int
        Sensor size in pixels, 0 if unknown.
    name : str
        Name of the file, for error messages.

    Raises
    ------
    UnsortedError
        More than ``MAX_SORTED_EVENTS`` in no order of time.

    """
    damage: list[Exception] = []
    checked = _until_damage((block.check(width, height) for block in blocks), damage)
    for events in checked:
        if events.longest > MIN_HORIZON_US:
            events = _join(events, checked, _FEWEST_TO_JUDGE)
        if events.longest <= MIN_HORIZON_US:
            parts = [events]
        elif _is_unsorted(events.t):
            events = _join(events, checked, MAX_SORTED_EVENTS + 1)
            if len(events.t) > MAX_SORTED_EVENTS:
                raise UnsortedError(
                    f'{name}: the events are in no order of time, and more than '
                    f'{MAX_SORTED_EVENTS} are not sorted in memory; sort the file by time'
                )
            # In one piece: that it is out of order has been found
            parts = [events._replace(longest=0)]
        else:
            parts = list(_cut_around_strays(events))
        for part in parts:
            chunk = part.chunk(width=width, height=height)
            # An empty block is a chunk where events were left out
            for start in range(0, max(len(chunk), int(chunk.dropped > 0)), CHUNK):
                yield chunk[slice(start, start + CHUNK)]
    if damage:
        raise damage[0]


def _until_damage(
    blocks: Iterable[CheckedEvents], damage: list[Exception]
) -> Iterator[CheckedEvents]:
    """Yield the blocks before the first error, which is added to ``damage``."""
    try:
        yield from blocks
    except (SastError, OSError) as error:
        damage.append(error)


def _quartiles(t: np.ndarray) -> np.ndarray:
    """Return the quartiles of all whole runs, ``int64[runs, 2]``."""
    runs = t[: len(t) // _RUN * _RUN].reshape(-1, _RUN)
    return np.partition(runs, (_RUN // 4, 3 * _RUN // 4), axis=1)[:, [_RUN // 4, 3 * _RUN // 4]]


def _is_unsorted(t: np.ndarray) -> bool:
    """Return whether events are out of order everywhere, rather than a few of them strays."""
    quartiles = _quartiles(t)
    if len(quartiles) < 2:
        return True
    back = quartiles[:-1, 1] - quartiles[1:, 0] > MIN_HORIZON_US
    return 4 * int(np.count_nonzero(back)) > len(back)


def _cut_around_strays(events: CheckedEvents) -> Iterator[CheckedEvents]:
    """Cut a block so that each run with strays, or at a restart, is on its own."""
    t = events.t
    quartiles = _quartiles(t)
    count = len(quartiles)
    runs = t[: count * _RUN].reshape(-1, _RUN)
    spread = np.maximum(MIN_HORIZON_US, 4 * (quartiles[:, 1] - quartiles[:, 0]))
    alone = (runs.min(1) < quartiles[:, 0] - spread) | (runs.max(1) > quartiles[:, 1] + spread)
    back = quartiles[:-1, 1] - quartiles[1:, 0] > MIN_HORIZON_US
    alone[1:] |= back
    alone[:-1] |= back
    borders = np.flatnonzero(alone[1:] | alone[:-1]) + 1
    edges = [0, *(_RUN * borders).tolist(), count * _RUN, len(t)]
    left_out = events.left_out
    for low, high in zip(edges[:-1], edges[1:]):
        if low == high:
            continue
        x, y, p, times = (column[low:high] for column in events[:4])
        yield CheckedEvents(x, y, p, times, left_out, *_lateness(times))
        left_out = {}


def _join(first: CheckedEvents, others: Iterator[CheckedEvents], enough: int) -> CheckedEvents:
    """Return a block and the next ones as one, up to that many events or the end of the file."""
    blocks, count = [first], len(first.t)
    while count < enough and (block := next(others, None)) is not None:
        # A copy, because the arrays of a block may have room for many more events
        x, y, p, t = (column.copy() for column in block[:4])
        blocks.append(block._replace(x=x, y=y, p=p, t=t))
        count += len(t)
    if len(blocks) == 1:
        return first
    left_out: Counter[str] = Counter()
    for block in blocks:
        left_out.update(block.left_out)
    x, y, p, t = (np.concatenate(columns) for columns in list(zip(*blocks))[:4])
    return CheckedEvents(x, y, p, t, left_out, *_lateness(t))


def _lateness(t: np.ndarray) -> tuple[int, int]:
    """Return how many events are behind a later one, and the longest distance."""
    behind = np.maximum.accumulate(t) - t
    return int(np.count_nonzero(behind)), int(behind.max(initial=0))
