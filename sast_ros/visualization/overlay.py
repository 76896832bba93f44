# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Draw the events of a window with its detections."""

from __future__ import annotations

from collections.abc import Iterable
import functools

import numpy as np
from sast_ros.detections import Detections
from sast_ros.events import EventChunk
from sast_ros.kernels import library
from sast_ros.visualization.text import Colour, draw_label, draw_strip, strip_height, text_size
from sast_ros.windows import EventWindow

# ON and OFF differ in brightness as well as in hue: they stay apart in print, for the
# colour-blind, and after a video codec has halved the resolution of the hue.
BACKGROUND = (13, 16, 24)
ON = (244, 241, 232)
OFF = (64, 126, 255)

#: ``note`` for networks without trained weights.
UNTRAINED_NOTE = 'UNTRAINED weights: the boxes are meaningless'

#: ``note`` where labels are drawn as well.
LABELS_NOTE = 'thick: detections   thin: labels'

# By name, so that a class has the same colour with every network.
_CLASS_COLOURS = {
    'car': (255, 184, 56),
    'pedestrian': (255, 92, 168),
    'two wheeler': (84, 222, 134),
}
_OTHER_COLOURS = ((84, 214, 228), (190, 140, 255), (214, 228, 84), (255, 122, 92))

#: Outlines of labels.
_LABEL = (255, 255, 255)
_TEXT = (226, 230, 238)
_WARNING = (255, 208, 84)


def draw_overlay(
    events: EventWindow | Iterable[EventChunk],
    detections: Detections,
    height: int,
    width: int,
    scale: int = 1,
    note: str = '',
    labels: np.ndarray | None = None,
) -> np.ndarray:
    """
    Draw the events of one window, its detections, and a line with time and numbers.

    Parameters
    ----------
    events : EventWindow or iterable of EventChunk
        The window, or its chunks. Events outside ``height`` x ``width`` are not drawn.
    detections : Detections
        Boxes in sensor pixels, drawn in the colour of the class with class name and score.
    height, width : int
        Size of the sensor in pixels.
    scale : int
        Side of a sensor pixel in pixels of the picture.
    note : str
        A sentence at the top edge; empty for none.
    labels : BOX_DTYPE[N], optional
        True boxes, drawn as thin white outlines.

    Returns
    -------
    uint8[height * scale, width * scale, 3]
        RGB: ON events white, OFF events blue, brighter with their number.

    Raises
    ------
    ValueError
        A size or scale below 1.

    """
    if min(height, width, scale) < 1:
        raise ValueError(
            f'no picture has {width}x{height} pixels at scale {scale}; each must be at least 1'
        )
    parts: Iterable[EventChunk] = getattr(events, 'parts', events)  # type: ignore[arg-type]
    picture = draw_events(parts, height, width, scale)
    size = text_size(picture.shape[0])
    line = max(1, round(size / 7))
    remarks = [note] if note else []
    if detections.reset:
        remarks.append(f'state reset: {detections.reset.replace("_", " ")}')
    for label in () if labels is None else labels:
        x, y, w, h = (label[name] for name in 'xywh')
        box = np.array([x, y, x + w, y + h])
        _draw_box(picture, box * scale, _LABEL, max(1, line // 3))
    ceiling = strip_height(size) if remarks else 0
    for index in np.argsort(detections.scores, kind='stable'):  # the best is drawn last
        _draw_detection(picture, detections, index, scale, size, ceiling)
    draw_strip(picture, _status(detections), size, at_top=False, colour=_TEXT)
    if remarks:
        draw_strip(picture, '   '.join(remarks), size, at_top=True, colour=_WARNING)
    return picture


def draw_events(
    parts: Iterable[EventChunk], height: int, width: int, scale: int = 1
) -> np.ndarray:
    """Draw events alone, ``uint8[height * scale, width * scale, 3]``, as ``draw_overlay`` does."""
    cells = np.zeros((height, width), np.uint8)
    for part in parts:
        x, y, p = (np.ascontiguousarray(values) for values in (part.x, part.y, part.p))
        library.sast_picture_count(x, y, p, len(x), width, height, cells)
    picture = np.empty((height * scale, width * scale, 3), np.uint8)
    library.sast_picture_colour(cells, width, height, scale, _colour_table(), picture)
    return picture


@functools.cache
def _colour_table() -> np.ndarray:
    """Return ``uint8[256, 3]``, colours of ``index & 15`` ON and ``index >> 4`` OFF events."""
    index = np.arange(256)
    on, off = index & 15, index >> 4
    count = on + off
    share_on = (on / np.maximum(count, 1))[:, None]
    full = share_on * np.array(ON) + (1 - share_on) * np.array(OFF)
    # One event has less than half the brightness of many, so that noise and edges differ.
    strength = np.where(count > 0, 1 - 0.62 * 0.6 ** np.maximum(count - 1, 0), 0)[:, None]
    return np.rint(strength * full + (1 - strength) * np.array(BACKGROUND)).astype(np.uint8)


def _status(detections: Detections) -> str:
    """Return time, number of events, and share of tokens kept in the four stages."""
    words = []
    if detections.t_end is not None:
        words.append(f'{detections.t_end / 1e6:.3f} s')
    words.append(f'{detections.events:,} events'.replace(',', ' '))
    if detections.kept:
        words.append(
            'tokens kept '
            + ' '.join(f'{100 * stage.tokens:.0f}' for stage in detections.kept)
            + ' %'
        )
    return '   '.join(words)


def _draw_detection(
    picture: np.ndarray, detections: Detections, index: int, scale: int, size: int, ceiling: int
) -> None:
    class_id, score = int(detections.class_ids[index]), float(detections.scores[index])
    names = detections.class_names
    name = names[class_id] if 0 <= class_id < len(names) else f'class {class_id}'
    colour = _CLASS_COLOURS.get(
        name.replace('_', ' ').replace('-', ' '), _OTHER_COLOURS[class_id % len(_OTHER_COLOURS)]
    )
    box = detections.boxes[index] * scale
    x, y = _draw_box(picture, box, colour, max(1, round(size / 7)))
    text = f'{name} {score:.2f}' if score >= 0.01 else f'{name} <0.01'
    draw_label(picture, text, x, y, colour, size, ceiling)


def _draw_box(picture: np.ndarray, box: np.ndarray, colour: Colour, line: int) -> tuple[int, int]:
    """Draw the part of the frame inside the picture and return its upper left corner (x, y)."""
    height, width = picture.shape[:2]
    limits = np.array([width, height, width, height])
    x1, y1, x2, y2 = (int(value) for value in np.clip(np.rint(np.nan_to_num(box)), 0, limits))
    inside = picture[y1:y2, x1:x2]
    inside[:line] = inside[-line:] = colour
    inside[:, :line] = inside[:, -line:] = colour
    return x1, y1
