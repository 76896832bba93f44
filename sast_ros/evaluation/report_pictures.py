"""The pictures of the report: events, labels and detections around a mistake."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
import io
from pathlib import Path
from typing import cast, TYPE_CHECKING

import numpy as np
from sast_ros.bags import open_recording
from sast_ros.evaluation.detected import Detected
from sast_ros.evaluation.mistakes import Mistake
from sast_ros.visualization import draw_overlay

if TYPE_CHECKING:
    from sast_ros.detector import Detections
    from sast_ros.events import EventChunk

#: Width and height in pixels.
PICTURE_SIZE = (400, 300)

# A picture shows at least this much more than the box, and this share of the sensor's width.
_AROUND = 2.2
_LEAST = 0.3

# Other boxes are drawn if this share of them is in the picture.
_PART = 0.25

# Room below the picture for the line that the overlay writes there, in pixels; it is cut off.
_STRIP = 40

# Neither a colour of classes nor of events.
_MARK = (0, 236, 255)
_QUALITY = 55


@dataclass(frozen=True)
class _Shown:
    """What ``draw_overlay`` asks of ``Detections``, without the network behind them."""

    boxes: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    class_names: tuple[str, ...]
    t_end: int | None = None
    events: int = 0
    kept: tuple[()] = ()
    reset: str | None = None


def read_events(
    path: Path, topic: str | None, detected: Detected, ends: Sequence[int]
) -> dict[int, list[EventChunk]]:
    """
    Return the events of windows of a recording, by their ends; the recording is read once.

    Parameters
    ----------
    path:
        of the recording.
    topic:
        in it, ``None`` for the only one.
    detected:
        what was detected in it; tells clock and length of the windows.
    ends:
        of the windows, microseconds on the clock of the detections.

    Raises
    ------
    RecordingError: no such recording, or it is damaged before the last window.

    """
    found: dict[int, list[EventChunk]] = {end: [] for end in ends}
    with open_recording(path, topic=topic) as recording:
        # What is before the first window need not be looked at. (A replay of a part began
        # ``start`` seconds after the first event of the whole.)
        lead = 0.0
        if detected.start_us is not None and detected.clock == 'recording':
            lead = (min(ends) - detected.duration_us - detected.start_us) / 1e6
            lead += float((detected.summary or {}).get('start') or 0)
        shift: int | None = 0 if detected.clock == 'recording' else None
        for chunk in recording.between(max(0.0, lead)):
            if not len(chunk):
                continue
            if shift is None:  # messages tell ROS time; the recording may have another one
                shift = int(chunk.t[0]) - (detected.start_us or 0)
            if chunk.t[0] > max(ends) + shift:
                break
            for end, parts in found.items():
                low, high = end + shift - detected.duration_us, end + shift
                if chunk.t[0] <= high and chunk.t[-1] >= low:
                    first = int(np.searchsorted(chunk.t, low, 'left'))
                    behind = int(np.searchsorted(chunk.t, high, 'right'))
                    parts.append(chunk[first:behind])
    return found


def draw_mistake(
    mistake: Mistake, events: Sequence[EventChunk], classes: tuple[str, ...], detected: Detected
) -> str:
    """
    Return the place of a mistake as ``data:`` URI of a WebP picture.

    Labels are white, detections in the colour of their class, corners stand around what it is
    about. classes: names of the class ids of its boxes.
    """
    from PIL import Image

    size = detected.sensor_size or _size_of(events)
    left, top, width, height = crop_around(mistake.box, size)
    scale = max(1, round(PICTURE_SIZE[0] / width))
    rows = -(-_STRIP // scale)
    parts = [_cut(chunk, left, top, width, height) for chunk in events]
    labels, found = (
        _moved(_inside(boxes, left, top, width, height), left, top)
        for boxes in (mistake.labels, mistake.found)
    )
    corners = np.stack(
        [found['x'], found['y'], found['x'] + found['w'], found['y'] + found['h']], axis=1
    )
    scores, ids = found['class_confidence'], found['class_id'].astype(np.int64)
    shown = cast('Detections', _Shown(corners, scores, ids, classes))
    picture = draw_overlay(parts, shown, height + rows, width, scale, labels=labels)
    picture = np.ascontiguousarray(picture[: height * scale])
    _mark(picture, _moved(np.array([mistake.box]), left, top)[0], scale)
    stream = io.BytesIO()
    made = Image.fromarray(picture)
    made.thumbnail(PICTURE_SIZE)
    made.save(stream, 'WEBP', quality=_QUALITY, method=4)
    return f'data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode("ascii")}'


def crop_around(box: np.void, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """
    Return left, top, width and height of the part of the sensor to show, in pixels.

    size: (height, width) of the sensor. The part has the shape of a picture where the sensor is
    large enough, and lies inside the sensor.
    """
    rows, columns = size
    shape = PICTURE_SIZE[0] / PICTURE_SIZE[1]
    width = max(_AROUND * max(float(box['w']), float(box['h']) * shape), _LEAST * columns)
    width = min(width, columns, rows * shape)
    height = width / shape
    left = float(box['x']) + float(box['w']) / 2 - width / 2
    top = float(box['y']) + float(box['h']) / 2 - height / 2
    return (
        round(min(max(left, 0), columns - width)),
        round(min(max(top, 0), rows - height)),
        max(1, int(width)),
        max(1, int(height)),
    )


def _size_of(events: Sequence[EventChunk]) -> tuple[int, int]:
    """Return (height, width) of a sensor that nobody has told."""
    for chunk in events:
        if chunk.width:
            return chunk.height, chunk.width
    limits = [(int(chunk.y.max()) + 1, int(chunk.x.max()) + 1) for chunk in events if len(chunk)]
    return max((y for y, _ in limits), default=240), max((x for _, x in limits), default=304)


def _cut(chunk: EventChunk, left: int, top: int, width: int, height: int) -> EventChunk:
    """Return the events inside a rectangle, counted from its corner."""
    from sast_ros.events import EventChunk

    x, y = chunk.x.astype(np.int64) - left, chunk.y.astype(np.int64) - top
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return EventChunk(
        x[inside].astype(np.uint16), y[inside].astype(np.uint16), chunk.p[inside], chunk.t[inside]
    )


def _inside(boxes: np.ndarray, left: int, top: int, width: int, height: int) -> np.ndarray:
    """Return the boxes of which a good part is inside a rectangle."""
    wide = np.minimum(boxes['x'] + boxes['w'], left + width) - np.maximum(boxes['x'], left)
    high = np.minimum(boxes['y'] + boxes['h'], top + height) - np.maximum(boxes['y'], top)
    return boxes[wide.clip(min=0) * high.clip(min=0) >= _PART * boxes['w'] * boxes['h']]


def _moved(boxes: np.ndarray, left: int, top: int) -> np.ndarray:
    moved = boxes.copy()
    moved['x'] -= left
    moved['y'] -= top
    return moved


def _mark(picture: np.ndarray, box: np.void, scale: int) -> None:
    """Draw four corners a little outside the box."""
    high, wide = picture.shape[:2]
    gap, line = 5, 3
    x1, y1 = (max(0, round(float(box[name]) * scale) - gap) for name in 'xy')
    x2 = min(wide, max(0, round(float(box['x'] + box['w']) * scale) + gap))
    y2 = min(high, max(0, round(float(box['y'] + box['h']) * scale) + gap))
    arm = max(6, min(x2 - x1, y2 - y1) // 4)
    sides = slice(x1, x1 + line), slice(max(0, x2 - line), x2)
    ends = slice(y1, y1 + line), slice(max(0, y2 - line), y2)
    for across in (slice(x1, x1 + arm), slice(max(0, x2 - arm), x2)):
        for rows in ends:
            picture[rows, across] = _MARK
    for along in (slice(y1, y1 + arm), slice(max(0, y2 - arm), y2)):
        for columns in sides:
            picture[along, columns] = _MARK
