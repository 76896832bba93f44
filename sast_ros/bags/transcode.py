# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
A recording in one format to a file in another.

What is kept exactly: x, y, polarity and time in microseconds of every event, their order, the size
of the sensor, and whether time is that of the sensor or of ROS where the file holds messages; from
messages to messages also the stamp and frame of each. What a format cannot hold is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
import os
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from sast_ros.bags.errors import RecordingError
from sast_ros.bags.recording import Recording
from sast_ros.bags.writers import open_writer
from sast_ros.bags.writers.rosbag import DEFAULT_TOPIC
from sast_ros.events import EventChunk, EventFormatError
from sast_ros.events.order import MAX_LATE_US
from sast_ros.events.outside import SensorBounds

#: Called with ``(done, total, unit)``.
Progress = Callable[[int, int, str], None]


def transcode(
    recording: Recording,
    path: str | os.PathLike,
    *,
    message: str = 'EventPacket',
    sensor_size: tuple[int, int] | None = None,
    start: float = 0,
    end: float | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """
    Write the events of a recording into a file; its extension selects the format.

    Parameters
    ----------
    recording : Recording
        Source of the events.
    path : path-like
        File to write, ``.mcap``, ``.raw``, ``.dat``, ``.h5`` or ``.npz``; its folder is created if
        needed.
    message : {'EventPacket', 'EventArray'}
        Messages in ``.mcap``.
    sensor_size : tuple of int, optional
        (height, width) in pixels instead of what the recording states.
    start, end : float
        Interval [start, end) in seconds since the first event; ``None`` is no end.
    force : bool
        Whether to replace a file that exists.
    progress : callable, optional
        Called after every chunk of events.

    Returns
    -------
    dict
        Names, sizes and counts, as ``sast-ros transcode --json`` writes them.

    Raises
    ------
    RecordingError
        The recording is damaged, has no events in the interval, or the size of its sensor changes
        or is wrong.
    SettingError
        An impossible interval, a file that exists, or events that the format cannot hold.
    OSError
        The file cannot be written.

    """
    began = perf_counter()
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    recording.given_size = sensor_size
    size = sensor_size or recording.sensor_size
    options = {'message': message, 'log_offset_ns': recording.log_offset_ns}
    options['topic'] = recording.topic if recording.topics else DEFAULT_TOPIC
    totals, bounds = _Totals(), SensorBounds(size or (0, 0))
    with open_writer(path, size, force=force, **options) as writer:
        chunks = recording.between(start, end) if start or end is not None else recording
        for chunk in _without_overlap(_on_sensor(chunks, recording, size, bounds)):
            totals.count(chunk)
            writer.write(chunk)
            if progress is not None:
                progress(*recording.progress)
        writer.finish()
    summary = recording.summary()
    if bounds.warning:
        summary['warnings'].append(bounds.warning)
    return {
        **summary,
        'path': os.fspath(path),
        'bytes': path.stat().st_size,
        'sensor_size': {'height': size[0], 'width': size[1]} if size else None,
        'first_event_us': totals.first,
        'last_event_us': totals.last,
        'events': totals.events,
        'events_left_out': dict(totals.left_out),
        'reordered': totals.reordered,
        'lost_packets': totals.lost_packets,
        'wall_seconds': round(perf_counter() - began, 3),
    }


class _Totals:
    """Sums over the chunks of a recording."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.last: int | None = None
        self.events = self.reordered = self.lost_packets = 0
        self.left_out: Counter[str] = Counter()

    def count(self, chunk: EventChunk) -> None:
        self.events += len(chunk)
        self.reordered += chunk.reordered
        self.lost_packets += chunk.lost_packets
        self.left_out.update(chunk.left_out)
        if len(chunk):
            self.first = int(chunk.t[0]) if self.first is None else self.first
            self.last = int(chunk.t[-1])


def _on_sensor(
    chunks: Iterable[EventChunk],
    recording: Recording,
    size: tuple[int, int] | None,
    bounds: SensorBounds,
) -> Iterator[EventChunk]:
    """Yield the events on the sensor."""
    try:
        for chunk in chunks:
            if chunk.width and (chunk.height, chunk.width) != size:
                height, width = size or (0, 0)
                raise RecordingError(
                    f'{recording.path}: the sensor of {width}x{height} pixels has '
                    f'{chunk.width}x{chunk.height} later; choose one part with --start and --end'
                )
            yield bounds.apply(chunk)
            bounds.check()
        bounds.check(ended=True)
    except EventFormatError as error:
        raise RecordingError(f'{recording.path}: {error}') from error


def _without_overlap(chunks: Iterable[EventChunk]) -> Iterator[EventChunk]:
    """
    Sort late events in among those of the chunks before; messages stay as they are.

    The chunks of a file end anywhere, so that others would read the events in another order.
    """
    held: list[EventChunk] = []
    for chunk in chunks:
        if chunk.stamp_ns is not None or not len(chunk):
            yield chunk
            continue
        if chunk.discontinuity:
            yield from held
            held = []
        late = [other for other in held if other.t[-1] > chunk.t[0]]
        if late:
            chunk = _merge([*late, chunk])
        held = [*held[: len(held) - len(late)], chunk]
        # Nothing is late by more
        edge = int(chunk.t[-1]) - MAX_LATE_US
        while held and held[0].t[-1] <= edge:
            yield held.pop(0)
        if len(held) == 1 and (count := int(np.searchsorted(held[0].t, edge))):
            yield held[0][:count]
            held = [held[0][count:]]
    yield from held


def _merge(chunks: list[EventChunk]) -> EventChunk:
    """Return the events of overlapping chunks in one."""
    t = np.concatenate([chunk.t for chunk in chunks])
    by_time = t.argsort(kind='stable')
    x, y, p = (
        np.concatenate([getattr(chunk, name) for chunk in chunks])[by_time] for name in 'xyp'
    )
    left_out: Counter[str] = Counter()
    for chunk in chunks:
        left_out.update(chunk.left_out)
    return replace(
        chunks[0],
        x=x,
        y=y,
        p=p,
        t=t[by_time],
        reordered=sum(chunk.reordered for chunk in chunks),
        left_out=left_out,
        checked=True,
    )
