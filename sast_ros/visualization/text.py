# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Text on pictures; all functions draw in place, ``uint8[height, width, 3]`` RGB."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

Colour = tuple[int, int, int]

_INK = (16, 18, 24)
_LIGHT_INK = (255, 255, 255)


def text_size(picture_height: int) -> int:
    """Return the height of letters in pixels: 10 on a 240-line picture, 20 on a 720-line one."""
    return int(np.clip(picture_height / 36, 10, 28))


def strip_height(size: int) -> int:
    """Return the height of a strip with text of this size."""
    return _text_mask('', size).shape[0] + size // 4


def draw_strip(
    picture: np.ndarray, text: str, size: int, *, at_top: bool, colour: Colour, light: bool = False
) -> None:
    """Write a line along an edge of the picture, on a darkened or ``light`` ground."""
    margin = size // 4
    mask = _fitting_mask(text, size, picture.shape[1] - 2 * margin)
    high = strip_height(size)
    top = 0 if at_top else max(0, picture.shape[0] - high)
    bottom = top + high
    strip = picture[top:bottom]
    strip >>= 2
    if light:
        strip += 255 - 255 // 4
    _blend(picture, mask, top + (high - mask.shape[0]) // 2, margin, colour)


def draw_label(
    picture: np.ndarray,
    text: str,
    box: tuple[int, int, int, int],
    colour: Colour,
    size: int,
    rows: tuple[int, int],
    taken: np.ndarray,
) -> None:
    """
    Write text on a plate at a box, where none is yet; nowhere if there is no such place.

    It is above the box, else below, else inside at the upper or lower edge, and within ``rows``,
    first and behind the last. ``box``: x1, y1, x2, y2; ``taken``: ``bool[height, width]``.
    """
    mask = _text_mask(text, size)
    high, wide = mask.shape[0] + 2, mask.shape[1] + 4
    x, upper, _, lower = box
    left = max(0, min(x, picture.shape[1] - wide))
    for wanted in (upper - high, lower, upper, lower - high):
        top = max(rows[0], min(wanted, rows[1] - high))
        place = slice(top, top + high), slice(left, left + wide)
        if not taken[place].any():
            taken[place] = True
            picture[place] = colour
            _blend(picture, mask, top + 1, left + 2, ink(colour))
            return


def ink(ground: Colour) -> Colour:
    """Return the colour of letters that stands out."""
    red, green, blue = ground
    return _INK if 0.299 * red + 0.587 * green + 0.114 * blue > 115 else _LIGHT_INK


def _blend(picture: np.ndarray, mask: np.ndarray, top: int, left: int, colour: Colour) -> None:
    bottom, right = top + mask.shape[0], left + mask.shape[1]
    region = picture[top:bottom, left:right]
    cover = mask[: region.shape[0], : region.shape[1], None].astype(np.uint16)
    ink = np.array(colour, np.uint16)
    region[:] = (region * (255 - cover) + ink * cover + 127) // 255


def _fitting_mask(text: str, size: int, width: int) -> np.ndarray:
    """Return the text in the largest size up to ``size`` that fits; at 8 pixels it is clipped."""
    for smaller in range(size, 8, -1):
        mask = _text_mask(text, smaller)
        if mask.shape[1] <= width:
            return mask
    return _text_mask(text, 8)


@functools.lru_cache(maxsize=512)
def _text_mask(text: str, size: int) -> np.ndarray:
    """Return the coverage of the text, ``uint8[h, w]``; h depends on the size alone."""
    return np.concatenate([_glyph(letter, size) for letter in text or ' '], axis=1)


@functools.lru_cache(maxsize=2048)
def _glyph(letter: str, size: int) -> np.ndarray:
    """Return the coverage of a letter: rendered once, because every picture has other numbers."""
    from PIL import Image, ImageDraw

    font = _font(size)
    ascent, descent = font.getmetrics()
    width = max(1, round(font.getlength(letter))) + (letter == ' ')
    canvas = Image.new('L', (width, ascent + descent), 0)
    ImageDraw.Draw(canvas).text((0, 0), letter, font=font, fill=255)
    return np.asarray(canvas)


@functools.cache
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)
