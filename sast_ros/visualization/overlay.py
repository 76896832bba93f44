# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Draw the events of a window with its detections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
import functools
import io

import numpy as np
from sast_ros.defaults import OVERLAY_LAYERS, SHOWN_LAYERS
from sast_ros.detections import Detections, TokenMap
from sast_ros.events import EventChunk
from sast_ros.kernels import library
from sast_ros.visualization.text import Colour, draw_label, draw_strip, strip_height, text_size
from sast_ros.windows import EventWindow


@dataclass(frozen=True, eq=False)
class Theme:
    """
    Colours of a picture.

    ON and OFF differ in brightness as well as in hue: they stay apart in print, for the
    colour-blind, and after a video codec has halved the resolution of the hue. So do the classes
    for whoever lacks a kind of cones.

    Attributes
    ----------
    background, on, off : tuple of int
        RGB of a pixel without events, and with many of a polarity.
    token : tuple of int
        Tint of what both kinds of attention take; half of it where one does.
    classes : mapping of str to tuple of int
        By name, so that a class has the same colour with every network.
    others : tuple
        Of further classes, in turn.
    label : tuple of int
        Outlines of labels.
    text, warning : tuple of int
        Letters of the strips.

    """

    background: Colour
    on: Colour
    off: Colour
    token: Colour
    classes: Mapping[str, Colour]
    others: tuple[Colour, ...]
    label: Colour
    text: Colour
    warning: Colour

    def class_colour(self, name: str, class_id: int) -> Colour:
        """Return the colour of a class."""
        plain = name.replace('_', ' ').replace('-', ' ')
        return self.classes.get(plain, self.others[class_id % len(self.others)])

    @functools.cached_property
    def table(self) -> np.ndarray:
        """
        Colours of the pixels, ``uint8[3, 256, 3]``.

        First how many kinds of attention take the token; then ``n_on + 16 * n_off`` events.
        """
        index = np.arange(256)
        on, off = index & 15, index >> 4
        count = on + off
        share_on = (on / np.maximum(count, 1))[:, None]
        full = share_on * np.array(self.on) + (1 - share_on) * np.array(self.off)
        # One event has less than half the strength of many, so that noise and edges differ.
        strength = np.where(count > 0, 1 - 0.62 * 0.6 ** np.maximum(count - 1, 0), 0)[:, None]
        colours = []
        for kinds in range(3):
            tint = TINT * kinds / 2
            ground = (1 - tint) * np.array(self.background) + tint * np.array(self.token)
            colours.append(strength * full + (1 - strength) * ground)
        return np.rint(colours).astype(np.uint8)


#: Share of the colour of tokens that both kinds of attention take.
TINT = 0.34

THEMES = {
    'dark': Theme(
        background=(13, 16, 24),
        on=(244, 241, 232),
        off=(64, 126, 255),
        token=(46, 196, 182),
        classes={
            'car': (255, 184, 56),
            'pedestrian': (255, 92, 168),
            'two wheeler': (84, 222, 134),
        },
        others=((84, 214, 228), (190, 140, 255), (214, 228, 84), (255, 122, 92)),
        label=(255, 255, 255),
        text=(226, 230, 238),
        warning=(255, 208, 84),
    ),
    'light': Theme(
        background=(250, 250, 247),
        on=(28, 31, 40),
        off=(46, 100, 249),
        token=(0, 150, 140),
        classes={
            'car': (168, 122, 14),
            'pedestrian': (182, 26, 138),
            'two wheeler': (26, 160, 104),
        },
        others=((0, 128, 150), (118, 72, 214), (128, 136, 0), (206, 74, 40)),
        label=(0, 0, 0),
        text=(36, 40, 52),
        warning=(150, 60, 0),
    ),
}

BACKGROUND, ON, OFF = (getattr(THEMES['dark'], name) for name in ('background', 'on', 'off'))

#: ``note`` for networks without trained weights.
UNTRAINED_NOTE = 'UNTRAINED weights: the boxes are meaningless'

#: ``note`` where labels are drawn as well.
LABELS_NOTE = 'thick: detections   thin: labels'


@dataclass(frozen=True)
class OverlayStyle:
    """
    What a picture shows, and how.

    Attributes
    ----------
    layers : tuple of str
        Of ``OVERLAY_LAYERS``: ``'events'``; ``'boxes'`` with class and score; ``'ids'``, the
        numbers of tracked objects and their trails; ``'tokens'``, those that stage 1 attends to;
        ``'status'``, a strip with time and numbers.
    theme : str
        One of ``THEMES``.

    Raises
    ------
    ValueError
        No such layer or theme.

    """

    layers: tuple[str, ...] = SHOWN_LAYERS
    theme: str = 'dark'

    def __post_init__(self) -> None:
        """Refuse what does not exist."""
        unknown = set(self.layers).difference(OVERLAY_LAYERS)
        if unknown or self.theme not in THEMES:
            raise ValueError(
                f'an overlay has the layers {", ".join(OVERLAY_LAYERS)} and the themes '
                f'{", ".join(THEMES)}, not {", ".join(unknown) or self.theme}'
            )

    @property
    def colours(self) -> Theme:
        """The theme itself."""
        return THEMES[self.theme]


DEFAULT_STYLE = OverlayStyle()

#: ``format`` of a ``CompressedImage``, as of image_transport.
JPEG_FORMAT = 'rgb8; jpeg compressed bgr8'


def draw_overlay(
    events: EventWindow | Iterable[EventChunk],
    detections: Detections,
    height: int,
    width: int,
    scale: int = 1,
    note: str = '',
    labels: np.ndarray | None = None,
    *,
    style: OverlayStyle = DEFAULT_STYLE,
    tokens: TokenMap | None = None,
    trails: Mapping[int, np.ndarray] | None = None,
) -> np.ndarray:
    """
    Draw the events of one window, its detections, and a line with time and numbers.

    Parameters
    ----------
    events : EventWindow or iterable of EventChunk
        The window, or its chunks. Events outside ``height`` x ``width`` are not drawn.
    detections : Detections
        Boxes in sensor pixels, drawn in the colour of the class with class name and score; without
        these where labels of better ones leave no room.
    height, width : int
        Size of the sensor in pixels.
    scale : int
        Side of a sensor pixel in pixels of the picture.
    note : str
        A sentence at the top edge; empty for none.
    labels : BOX_DTYPE[N], optional
        True boxes, drawn as thin white outlines.
    style : OverlayStyle
        Layers and colours.
    tokens : TokenMap, optional
        Of the layer ``'tokens'``, which shows nothing without.
    trails : mapping of int to numpy.ndarray, optional
        Where tracked objects have been, ``float[K, 2]`` x and y in sensor pixels, oldest first; of
        the layer ``'ids'``.

    Returns
    -------
    uint8[height * scale, width * scale, 3]
        RGB: ON events white, OFF events blue, brighter with their number; on light ground black
        and blue.

    Raises
    ------
    ValueError
        A size or scale below 1.

    """
    if min(height, width, scale) < 1:
        raise ValueError(
            f'no picture has {width}x{height} pixels at scale {scale}; each must be at least 1'
        )
    layers, theme = style.layers, style.colours
    parts: Iterable[EventChunk] = getattr(events, 'parts', events)  # type: ignore[arg-type]
    picture = draw_events(
        parts if 'events' in layers else (),
        height,
        width,
        scale,
        theme=theme,
        tokens=tokens if 'tokens' in layers else None,
    )
    size = text_size(picture.shape[0])
    line = max(1, round(size / 7))
    remarks = [note] if note else []
    if detections.reset and 'status' in layers:
        remarks.append(f'state reset: {detections.reset.replace("_", " ")}')
    for label in () if labels is None else labels:
        x, y, w, h = (label[name] for name in 'xywh')
        box = np.array([x, y, x + w, y + h])
        _draw_box(picture, box * scale, theme.label, max(1, line // 3))
    strip = strip_height(size)
    rows = (strip if remarks else 0, len(picture) - (strip if 'status' in layers else 0))
    pen = _Pen(picture, theme, scale, size, line, rows)
    order = np.argsort(detections.scores, kind='stable').tolist()  # the best is drawn last
    track_ids = detections.track_ids if 'ids' in layers else None
    if track_ids is not None and trails:
        for index in order:
            trail = trails.get(int(track_ids[index]))
            if trail is not None:
                pen.draw_trail(trail, detection_text(detections, index, theme)[1])
    if 'boxes' in layers:
        pen.draw_detections(detections, order, track_ids)
    light = style.theme == 'light'
    if 'status' in layers:
        status = _status(detections)
        draw_strip(picture, status, size, at_top=False, colour=theme.text, light=light)
    if remarks:
        remark = '   '.join(remarks)
        draw_strip(picture, remark, size, at_top=True, colour=theme.warning, light=light)
    return picture


def draw_events(
    parts: Iterable[EventChunk],
    height: int,
    width: int,
    scale: int = 1,
    *,
    theme: Theme = THEMES['dark'],
    tokens: TokenMap | None = None,
) -> np.ndarray:
    """
    Draw events alone, ``uint8[height * scale, width * scale, 3]``, as ``draw_overlay`` does.

    Raises
    ------
    ValueError
        The tokens do not cover the picture.

    """
    cells = np.zeros((height, width), np.uint8)
    for part in parts:
        x, y, p = (np.ascontiguousarray(values) for values in (part.x, part.y, part.p))
        library.sast_picture_count(x, y, p, len(x), width, height, cells)
    picture = np.empty((height * scale, width * scale, 3), np.uint8)
    kinds, columns, side = None, 0, 0
    if tokens is not None:
        (rows, columns), side = tokens.kinds.shape, tokens.side
        if rows * side < height or columns * side < width:
            raise ValueError(
                f'{columns}x{rows} tokens of {side} pixels do not cover {width}x{height} pixels'
            )
        kinds = np.ascontiguousarray(np.minimum(tokens.kinds, 2), np.uint8)
    library.sast_picture_colour(
        cells, width, height, scale, theme.table, kinds, columns, side, picture
    )
    return picture


def encode_jpeg(picture: np.ndarray) -> bytes:
    """Return ``uint8[height, width, 3]`` RGB as JPEG."""
    from PIL import Image  # the node draws without it

    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, 'JPEG', quality=85)
    return stream.getvalue()


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


def detection_text(
    detections: Detections, index: int, theme: Theme, track_ids: np.ndarray | None = None
) -> tuple[str, Colour]:
    """Return number, class and score of a detection, and the colour of its class."""
    class_id, names = int(detections.class_ids[index]), detections.class_names
    name = names[class_id] if 0 <= class_id < len(names) else f'class {class_id}'
    score = float(detections.scores[index])
    text = f'{name} {score:.2f}' if score >= 0.01 else f'{name} <0.01'
    if track_ids is not None and track_ids[index] > 0:
        text = f'#{track_ids[index]} {text}'
    return text, theme.class_colour(name, class_id)


@dataclass(frozen=True, eq=False)
class _Pen:
    """Draws detections into a picture; sizes in its pixels."""

    picture: np.ndarray
    theme: Theme
    scale: int
    letters: int
    line: int
    rows: tuple[int, int]  # first one for labels, and behind the last

    def draw_detections(
        self, detections: Detections, order: list[int], track_ids: np.ndarray | None
    ) -> None:
        """Draw boxes, the last on top, then labels, of which the last has the first choice."""
        labels = []
        for index in order:
            text, colour = detection_text(detections, index, self.theme, track_ids)
            box = detections.boxes[index] * self.scale
            labels.append((text, _draw_box(self.picture, box, colour, self.line), colour))
        taken = np.zeros(self.picture.shape[:2], bool)
        for text, corners, colour in reversed(labels):
            draw_label(self.picture, text, corners, colour, self.letters, self.rows, taken)

    def draw_trail(self, trail: np.ndarray, colour: Colour) -> None:
        """Draw a line through the points that fades to the oldest."""
        points = trail[np.isfinite(trail).all(axis=1)] * self.scale
        if len(points) < 2:
            return
        height, width = self.picture.shape[:2]
        steps = np.abs(np.diff(points, axis=0)).max(axis=1)
        along = np.concatenate([[0.0], np.cumsum(steps)])
        count = int(min(along[-1], 4 * (height + width))) + 1
        place = np.linspace(0, along[-1], count)
        half = self.line // 2
        x, y = (np.interp(place, along, points[:, axis]).astype(int) - half for axis in (0, 1))
        strength = np.linspace(0.25, 1, count)[:, None]
        for down in range(self.line):
            for right in range(self.line):
                row, column = y + down, x + right
                inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
                row, column, share = row[inside], column[inside], strength[inside]
                before = self.picture[row, column]
                self.picture[row, column] = (1 - share) * before + share * np.array(colour)


def _draw_box(
    picture: np.ndarray, box: np.ndarray, colour: Colour, line: int
) -> tuple[int, int, int, int]:
    """Draw the part of the frame inside the picture and return its corners x1, y1, x2, y2."""
    height, width = picture.shape[:2]
    limits = np.array([width, height, width, height])
    x1, y1, x2, y2 = (int(value) for value in np.clip(np.rint(np.nan_to_num(box)), 0, limits))
    inside = picture[y1:y2, x1:x2]
    inside[:line] = inside[-line:] = colour
    inside[:, :line] = inside[:, -line:] = colour
    return x1, y1, x2, y2
