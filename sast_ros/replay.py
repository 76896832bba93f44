"""Recording in, detections out: the event pipeline without a middleware around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any, TYPE_CHECKING

import numpy as np
from sast_ros.bags import DetectionWriter, Recording, RecordingError
from sast_ros.events.chunk import EventChunk, EventFormatError, TIME_JUMP_BACK_US

if TYPE_CHECKING:
    from sast_ros.detector import Detections
    from sast_ros.pipeline import EventPipeline
    from sast_ros.windows import EventWindow


def replay(
    recording: Recording,
    pipeline: EventPipeline,
    writer: DetectionWriter | None = None,
    *,
    start: float = 0,
    end: float | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    on_window: Callable[[EventWindow, Detections], None] | None = None,
) -> dict[str, Any]:
    """
    Run a recording, or a part of it, through the pipeline.

    Windows, events and state are those of the live node, so the detections are the same; nothing
    depends on the wall clock, so a second run gives the same again. Of a recording that was cut
    off everything that is whole is run, and the summary says what is missing.

    Parameters
    ----------
    recording:
        what to read.
    pipeline:
        what to run; it is used as it is, so give a new one for every recording.
    writer:
        where to write detections and summary; it is finished here. ``None`` writes nothing.
    start:
        seconds since the first event of the recording; the detector sees no earlier event, and
        the first window begins at the first one from here on.
    end:
        seconds since the first event of the recording, exclusive; ``None`` runs to its end.
    progress:
        called after every chunk of events with ``(done, total, unit)``.
    on_window:
        called with every window and its detections, in order; for the video.

    Returns
    -------
    The summary, as written into ``summary.json``.

    Raises
    ------
    RecordingError: the recording is damaged, holds no events at all or none between start and end,
        or has events outside its sensor.
    ValueError: a start or end that cannot be.

    """
    began = perf_counter()
    totals = _Totals()
    for chunk in recording.between(start, end) if start or end is not None else recording:
        totals.count_events(chunk)
        for window, detections in _steps(recording, pipeline, chunk):
            totals.count_detections(detections)
            if writer is not None:
                writer.write(detections)
            if on_window is not None:
                on_window(window, detections)
        if progress is not None:
            progress(*recording.progress)
    if totals.sensor_size is None:
        raise RecordingError(
            f'{recording.path} holds no events{" on " * bool(recording.topic)}{recording.topic}'
        )
    pipeline.reset('end')  # counts the events of the last, incomplete window
    summary = _summarise(recording, pipeline, totals, perf_counter() - began, (start, end))
    if writer is not None:
        writer.finish(summary)
    return summary


def _steps(
    recording: Recording, pipeline: EventPipeline, chunk: EventChunk
) -> Iterator[tuple[EventWindow, Detections]]:
    try:
        for window in pipeline.cut(chunk):
            yield window, pipeline.process(window)
    except EventFormatError as error:  # a sensor of unknown size, or events outside it
        raise RecordingError(f'{recording.path}: {error}') from error


class _Totals:
    """What a replay adds up on its way."""

    def __init__(self) -> None:
        self.sensor_size: tuple[int, int] | None = None
        self.detections = 0
        self.microseconds = 0
        self.first: int | None = None
        self.last: int | None = None
        self._windows = 0
        self._kept = np.zeros((4, 2))

    def count_events(self, chunk: EventChunk) -> None:
        if len(chunk) == 0:
            return
        self.sensor_size = (chunk.height, chunk.width)
        first, last = int(chunk.t[0]), int(chunk.t[-1])
        # Where time jumps back (a bag that holds two runs), each run counts with its own length.
        if self.first is None:
            self.first = first
        if self.last is not None and first >= self.last - TIME_JUMP_BACK_US:
            first = self.last
        self.microseconds += max(0, last - first)
        self.last = last

    def count_detections(self, detections: Detections) -> None:
        self.sensor_size = (detections.height, detections.width)
        self.detections += len(detections)
        self._windows += 1
        self._kept += [(stage.windows, stage.tokens) for stage in detections.kept]

    def kept(self, column: int) -> list[float]:
        return [round(float(share), 6) for share in self._kept[:, column] / max(1, self._windows)]


def _summarise(
    recording: Recording,
    pipeline: EventPipeline,
    totals: _Totals,
    wall_seconds: float,
    interval: tuple[float, float | None],
) -> dict[str, Any]:
    """
    Return what ``summary.json`` holds.

    ``classes`` in the order of ``class_id``, shares stage by stage, ``start`` and ``end`` as they
    were asked for.
    """
    statistics, detector = pipeline.statistics, pipeline.detector
    seconds = totals.microseconds / 1e6
    height, width = totals.sensor_size or (0, 0)
    # The zero state that every recording begins with is no event of the recording.
    resets = {reason: count for reason, count in statistics.resets.items() if reason != 'start'}
    return {
        'recording': recording.path.name,
        'format': recording.format,
        'topic': recording.topic,
        'type': recording.type,
        'truncated': bool(recording.missing),
        'warnings': [recording.missing] if recording.missing else [],
        'start': interval[0],
        'end': interval[1],
        'model': detector.config.name,
        'classes': list(detector.config.classes),
        'score_threshold': detector.score_threshold,
        'nms_iou': detector.nms_iou,
        'sensor_size': {'height': height, 'width': width},
        'window_ms': pipeline.window_ms,
        'stride_ms': pipeline.stride_ms,
        'first_event_us': totals.first,
        'last_event_us': totals.last,
        'events': statistics.events,
        'windows': statistics.windows,
        'detections': totals.detections,
        'seconds': seconds,
        'resets': sum(resets.values()),
        'resets_by_reason': resets,
        'drops': statistics.dropped_events,
        'lost_packets': statistics.lost_packets,
        'unused_events': statistics.unused_events,
        'clamped': statistics.clamped,
        'kept_windows': totals.kept(0),
        'kept_tokens': totals.kept(1),
        'wall_seconds': round(wall_seconds, 3),
        'realtime_factor': round(seconds / wall_seconds, 3) if wall_seconds else 0.0,
    }
