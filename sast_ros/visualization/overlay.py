"""The one drawing function: a window's events with the detections of that window on top."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import functools
from typing import Any, TYPE_CHECKING

import numpy as np
from sast_ros.kernels import library

if TYPE_CHECKING:
    from sast_ros.detector import Detections
    from sast_ros.events import EventChunk
    from sast_ros.windows import EventWindow

# ON and OFF differ in brightness as well as in hue: they stay apart in print, for the
# colour-blind, and after a video codec has halved the resolution of the hue.
BACKGROUND = (13, 16, 24)
ON = (244, 241, 232)
OFF = (64, 126, 255)

#: ``note`` for networks without trained weights.
UNTRAINED_NOTE = 'UNTRAINED weights: the boxes mean nothing'

#: ``note`` where labels are drawn as well.
LABELS_NOTE = 'thick: detections   thin: labels'

# By name, so that a car keeps its colour whichever network found it.
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
_INK = (16, 18, 24)


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
    Draw the events of one window, the boxes found in it, and a line that says when and how much.

    Parameters
    ----------
    events:
        the window, or the chunks that it consists of. Events outside ``height`` x ``width`` are
        left out.
    detections:
        boxes in sensor pixels; each is drawn in the colour of its class with class name and score.
    height, width:
        size of the sensor in pixels.
    scale:
        side of a sensor pixel in pixels of the picture.
    note:
        a sentence at the top edge, for what a viewer must know to read the boxes; empty for none.
    labels:
        where objects really are, structured array ``[N]`` with the fields ``x``, ``y``, ``w``,
        ``h`` in sensor pixels; thin white outlines, so that right and wrong boxes can be told.

    Returns
    -------
    ``uint8[height * scale, width * scale, 3]`` RGB. A pixel without events is dark, ON events are
    white, OFF events blue, brighter with their number.

    Raises
    ------
    ValueError: a size or scale below 1.

    """
    if min(height, width, scale) < 1:
        raise ValueError(
            f'no picture has {width}x{height} pixels at scale {scale}; each must be at least 1'
        )
    parts: Iterable[EventChunk] = getattr(events, 'parts', events)  # type: ignore[arg-type]
    picture = _draw_events(parts, height, width, scale)
    size = _text_size(picture.shape[0])
    line = max(1, round(size / 7))
    remarks = [note] if note else []
    if detections.reset:
        remarks.append(f'state reset: {detections.reset.replace("_", " ")}')
    ceiling = _strip_height(size) if remarks else 0
    for label in () if labels is None else labels:
        corner = np.array([label['x'], label['y']])
        box = np.concatenate([corner, corner + (label['w'], label['h'])])
        _draw_box(picture, box * scale, _LABEL, max(1, line // 3))
    order = np.argsort(detections.scores, kind='stable')  # the most certain box lies on top
    for index in order:
        class_id = int(detections.class_ids[index])
        name = _class_name(detections.class_names, class_id)
        colour = _class_colour(name, class_id)
        corners = _draw_box(picture, detections.boxes[index] * scale, colour, line)
        score = float(detections.scores[index])
        label = f'{name} {score:.2f}' if score >= 0.01 else f'{name} <0.01'
        _draw_label(picture, label, corners, colour, size, ceiling)
    _draw_strip(picture, _status(detections), size, at_top=False, colour=_TEXT)
    if remarks:
        _draw_strip(picture, '   '.join(remarks), size, at_top=True, colour=_WARNING)
    return picture


def _draw_events(parts: Iterable[EventChunk], height: int, width: int, scale: int) -> np.ndarray:
    cells = np.zeros((height, width), np.uint8)
    for part in parts:
        x, y, p = (np.ascontiguousarray(values) for values in (part.x, part.y, part.p))
        library.sast_picture_count(x, y, p, len(x), width, height, cells)
    picture = np.empty((height * scale, width * scale, 3), np.uint8)
    library.sast_picture_colour(cells, width, height, scale, _colour_table(), picture)
    return picture


@functools.cache
def _colour_table() -> np.ndarray:
    """``uint8[256, 3]``: colour of a cell with ``index & 15`` ON and ``index >> 4`` OFF events."""
    index = np.arange(256)
    on, off = index & 15, index >> 4
    count = on + off
    share_on = (on / np.maximum(count, 1))[:, None]
    full = share_on * np.array(ON) + (1 - share_on) * np.array(OFF)
    # One event is half as bright as many: the noise stays visible as noise, three events on an
    # edge already shine.
    strength = np.where(count > 0, 1 - 0.62 * 0.6 ** np.maximum(count - 1, 0), 0)[:, None]
    return np.rint(strength * full + (1 - strength) * np.array(BACKGROUND)).astype(np.uint8)


def _class_name(class_names: Sequence[str], class_id: int) -> str:
    return class_names[class_id] if 0 <= class_id < len(class_names) else f'class {class_id}'


def _class_colour(name: str, class_id: int) -> tuple[int, int, int]:
    return _CLASS_COLOURS.get(
        name.replace('_', ' ').replace('-', ' '), _OTHER_COLOURS[class_id % len(_OTHER_COLOURS)]
    )


def _status(detections: Detections) -> str:
    """
    Line at the bottom.

    Time, number of events, share of tokens that the network looked at in its four stages.
    """
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


def _text_size(picture_height: int) -> int:
    """
    Height of the letters in pixels.

    Small on a 240-line picture so that it fits, comfortable on a 720-line one.
    """
    return int(np.clip(picture_height / 36, 10, 28))


def _draw_box(
    picture: np.ndarray, box: np.ndarray, colour: tuple[int, int, int], line: int
) -> tuple[int, int, int, int]:
    """
    Draw the frame inside the picture and return its corners (x1, y1, x2, y2).

    All are in pixels of the picture.
    """
    height, width = picture.shape[:2]
    limits = np.array([width, height, width, height])
    x1, y1, x2, y2 = (int(value) for value in np.clip(np.rint(np.nan_to_num(box)), 0, limits))
    inside = picture[y1:y2, x1:x2]
    inside[:line] = inside[-line:] = colour
    inside[:, :line] = inside[:, -line:] = colour
    return x1, y1, x2, y2


def _draw_label(
    picture: np.ndarray,
    text: str,
    corners: tuple[int, int, int, int],
    colour: tuple[int, int, int],
    size: int,
    ceiling: int,
) -> None:
    """
    Put the text on a plate of the box's colour.

    It is on the box, or below its upper side where there is no room above.
    """
    x1, y1, _, _ = corners
    mask = _text_mask(text, size)
    high, wide = mask.shape[0] + 2, mask.shape[1] + 4
    top = y1 - high if y1 - high >= ceiling else max(y1, ceiling)
    left = max(0, min(x1, picture.shape[1] - wide))
    bottom, right = top + high, left + wide
    picture[top:bottom, left:right] = colour
    _blend(picture, mask, top + 1, left + 2, _INK)


def _draw_strip(
    picture: np.ndarray, text: str, size: int, *, at_top: bool, colour: tuple[int, int, int]
) -> None:
    """
    Write a line along an edge of the picture.

    The ground is darkened so that events do not drown it.
    """
    margin = size // 4
    mask = _fitting_mask(text, size, picture.shape[1] - 2 * margin)
    high = _strip_height(size)
    top = 0 if at_top else max(0, picture.shape[0] - high)
    bottom = top + high
    picture[top:bottom] //= 4
    _blend(picture, mask, top + (high - mask.shape[0]) // 2, margin, colour)


def _strip_height(size: int) -> int:
    return _text_mask('', size).shape[0] + size // 4


def _blend(
    picture: np.ndarray, mask: np.ndarray, top: int, left: int, colour: tuple[int, int, int]
) -> None:
    bottom, right = top + mask.shape[0], left + mask.shape[1]
    region = picture[top:bottom, left:right]
    cover = mask[: region.shape[0], : region.shape[1], None].astype(np.uint16)
    ink = np.array(colour, np.uint16)
    region[:] = (region * (255 - cover) + ink * cover + 127) // 255


def _fitting_mask(text: str, size: int, room: int) -> np.ndarray:
    """
    Return the text in the largest size up to ``size`` that fits the room.

    At 8 pixels it is cut.
    """
    for smaller in range(size, 8, -1):
        mask = _text_mask(text, smaller)
        if mask.shape[1] <= room:
            return mask
    return _text_mask(text, 8)


@functools.lru_cache(maxsize=512)
def _text_mask(text: str, size: int) -> np.ndarray:
    """
    ``uint8[h, w]`` coverage of the text by its letters.

    The height h depends on the size alone, so that lines do not jump.
    """
    from PIL import Image, ImageDraw

    font = _font(size)
    ascent, descent = font.getmetrics()
    canvas = Image.new('L', (max(1, int(np.ceil(font.getlength(text)))), ascent + descent), 0)
    ImageDraw.Draw(canvas).text((0, 0), text, font=font, fill=255)
    return np.asarray(canvas)


@functools.cache
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)
