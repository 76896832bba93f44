# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The pictures of the report: events, labels and detections around an error."""

from __future__ import annotations

import base64
from collections.abc import Sequence
import io
import math
from types import SimpleNamespace
from typing import Any, TYPE_CHECKING

import numpy as np
from sast_ros.bags import open_recording
from sast_ros.evaluation.metrics.error_analysis import ErrorCase
from sast_ros.evaluation.report.entry import ReportEntry
from sast_ros.events.chunk import EventChunk
from sast_ros.events.filters import FilterChain
from sast_ros.visualization import draw_overlay

if TYPE_CHECKING:
    from PIL.Image import Image

#: Width and height in pixels.
PICTURE_SIZE = (400, 300)

# Minimum width of a picture, as a multiple of the box and as a share of the sensor.
_MIN_BOXES = 2.2
_MIN_SENSOR = 0.3

# Other boxes are drawn if this share of them is in the picture.
_MIN_INSIDE = 0.25

# Height of the text that the overlay draws below the picture, in pixels; it is cut off.
_STRIP = 40

# A colour that neither classes nor events have.
_MARK = (0, 236, 255)
_QUALITY = 55


def read_events(entry: ReportEntry, ends: Sequence[int]) -> dict[int, list[EventChunk]]:
    """
    Return the events of windows of a recording, by their ends; the recording is read once.

    The filters of the replay are applied, but those with a memory begin with the first window.

    Parameters
    ----------
    entry : ReportEntry
        A recording with known events.
    ends : sequence of int
        Ends of the windows, microseconds on the clock of the detections.

    Raises
    ------
    RecordingError
        If there is no such recording, or it is damaged before the last window.

    """
    assert entry.recording is not None
    detected = entry.detected
    found: dict[int, list[EventChunk]] = {end: [] for end in ends}
    event_filter = FilterChain(entry.summary.get('filters', ()))
    with open_recording(entry.recording, topic=entry.topic) as recording:
        recording.given_size = detected.sensor_size
        # Start at the first window. (A replay of a part began ``start`` seconds after the first
        # event of the whole.)
        lead = 0.0
        if detected.start_us is not None and detected.clock == 'recording':
            lead = (min(ends) - detected.duration_us - detected.start_us) / 1e6
            lead += float(entry.summary.get('start') or 0)
        shift: int | None = 0 if detected.clock == 'recording' else None
        for chunk in recording.between(max(0.0, lead)):
            if not len(chunk):
                continue
            if shift is None:  # messages have ROS time; the recording may have another one
                shift = int(chunk.t[0]) - (detected.start_us or 0)
            if chunk.t[0] > max(ends) + shift:
                break
            chunk = event_filter(chunk, detected.sensor_size)
            if not len(chunk):
                continue
            for end, parts in found.items():
                low, high = end + shift - detected.duration_us, end + shift
                if chunk.t[0] <= high and chunk.t[-1] >= low:
                    first = int(np.searchsorted(chunk.t, low, 'left'))
                    behind = int(np.searchsorted(chunk.t, high, 'right'))
                    parts.append(chunk[first:behind])
    return found


def draw_case(case: ErrorCase, events: Sequence[EventChunk], entry: ReportEntry) -> str:
    """
    Return the place of an error as ``data:`` URI of a WebP picture.

    Labels are white, detections in the colour of their class; corners mark the box of the error.
    """
    from PIL import Image as images

    detected = entry.detected
    left, top, width, height = crop_around(case.box, detected.sensor_size or _size_of(events))
    area = left, top, width, height
    scale = max(1, round(PICTURE_SIZE[0] / width))
    labels, found = (
        _moved(_inside(boxes, *area), left, top) for boxes in (case.labels, case.detections)
    )
    # The fields of Detections that are drawn, without importing torch
    shown: Any = SimpleNamespace(
        track_ids=found['track_id'].astype(np.int64),
        boxes=np.stack(
            [found['x'], found['y'], found['x'] + found['w'], found['y'] + found['h']], axis=1
        ),
        scores=found['class_confidence'],
        class_ids=found['class_id'].astype(np.int64),
        class_names=entry.paired.classes,
        t_end=None,
        events=0,
        kept=(),
        reset=None,
    )
    picture = draw_overlay(
        [_crop(chunk, *area) for chunk in events],
        shown,
        height + math.ceil(_STRIP / scale),
        width,
        scale,
        labels=labels,
    )
    image = images.fromarray(picture[: height * scale])
    _mark(image, _moved(np.array([case.box]), left, top)[0], scale)
    stream = io.BytesIO()
    image.thumbnail(PICTURE_SIZE)
    image.save(stream, 'WEBP', quality=_QUALITY, method=4)
    return f'data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode("ascii")}'


def crop_around(box: np.void, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """
    Return left, top, width and height of the part of the sensor to show, in pixels.

    ``size``: (height, width) of the sensor. The part has the aspect ratio of a picture and lies
    inside the sensor.
    """
    rows, columns = size
    ratio = PICTURE_SIZE[0] / PICTURE_SIZE[1]
    width = max(_MIN_BOXES * max(float(box['w']), float(box['h']) * ratio), _MIN_SENSOR * columns)
    width = min(width, columns, rows * ratio)
    height = width / ratio
    left = float(box['x']) + float(box['w']) / 2 - width / 2
    top = float(box['y']) + float(box['h']) / 2 - height / 2
    return (
        round(min(max(left, 0), columns - width)),
        round(min(max(top, 0), rows - height)),
        max(1, int(width)),
        max(1, int(height)),
    )


def _size_of(events: Sequence[EventChunk]) -> tuple[int, int]:
    """Return (height, width) of a sensor of unknown size."""
    for chunk in events:
        if chunk.width:
            return chunk.height, chunk.width
    limits = [(int(chunk.y.max()) + 1, int(chunk.x.max()) + 1) for chunk in events if len(chunk)]
    return max((y for y, _ in limits), default=240), max((x for _, x in limits), default=304)


def _crop(chunk: EventChunk, left: int, top: int, width: int, height: int) -> EventChunk:
    """Return the events inside a rectangle, relative to its corner."""
    x, y = chunk.x.astype(np.int64) - left, chunk.y.astype(np.int64) - top
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return EventChunk(
        x[inside].astype(np.uint16), y[inside].astype(np.uint16), chunk.p[inside], chunk.t[inside]
    )


def _inside(boxes: np.ndarray, left: int, top: int, width: int, height: int) -> np.ndarray:
    """Return the boxes of which a large part is inside a rectangle."""
    wide = np.minimum(boxes['x'] + boxes['w'], left + width) - np.maximum(boxes['x'], left)
    high = np.minimum(boxes['y'] + boxes['h'], top + height) - np.maximum(boxes['y'], top)
    return boxes[wide.clip(min=0) * high.clip(min=0) >= _MIN_INSIDE * boxes['w'] * boxes['h']]


def _moved(boxes: np.ndarray, left: int, top: int) -> np.ndarray:
    moved = boxes.copy()
    moved['x'] -= left
    moved['y'] -= top
    return moved


def _mark(image: Image, box: np.void, scale: int) -> None:
    """Draw four corners a little outside the box."""
    from PIL import ImageDraw

    x1, y1 = (max(1, round(float(box[name]) * scale) - 4) for name in 'xy')
    x2 = min(image.width - 2, max(1, round(float(box['x'] + box['w']) * scale) + 3))
    y2 = min(image.height - 2, max(1, round(float(box['y'] + box['h']) * scale) + 3))
    arm = max(6, min(x2 - x1, y2 - y1) // 4)
    draw = ImageDraw.Draw(image)
    for x, dx in ((x1, arm), (x2, -arm)):
        for y, dy in ((y1, arm), (y2, -arm)):
            draw.line([(x + dx, y), (x, y), (x, y + dy)], _MARK, width=3)
