# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Random surfaces of rooms and of what lies on desks.

Every texture is ``float32[256, 256]`` and multiplies the albedo or the emission of what it covers.
"""

from __future__ import annotations

import numpy as np
from sast_ros_training.simulation.draws import log_uniform
from sast_ros_training.simulation.textures import bricks, cloudy, grass, hedge, SIDE, sky, Texture


def _span(start: int, length: int) -> slice:
    return slice(start, start + length)


def plaster(rng: np.random.Generator) -> np.ndarray:
    """Return a wall, a table top or a floor of nearly one tone."""
    return cloudy(rng, rng.uniform(0.8, 2.5), log_uniform(rng, 0.004, 0.15))


def wood(rng: np.random.Generator) -> np.ndarray:
    """Return boards with a grain that runs along the rows."""
    grain = cloudy(rng, rng.uniform(1.0, 2.0), rng.uniform(0.05, 0.3))
    stretch = int(rng.choice((8, 16, 32)))
    grain = np.repeat(grain[:, _span(0, SIDE // stretch)], stretch, axis=1)
    if rng.random() < 0.5:
        high = int(SIDE // rng.integers(2, 9))
        for row in range(0, SIDE, high):
            grain[_span(row, 2)] *= rng.uniform(0.4, 1.1)
            grain[_span(row, high)] *= rng.normal(1, 0.08)
    return np.maximum(grain, 0.05)


def weave(rng: np.random.Generator) -> np.ndarray:
    """Return cloth: folds, with stripes or checks on it."""
    cloth = cloudy(rng, rng.uniform(1.5, 3.0), rng.uniform(0.05, 0.3))
    wave = 2 * np.pi * np.arange(SIDE) / SIDE
    kind, gain = rng.integers(4), rng.uniform(0.2, 0.6)
    rows, columns = (np.sign(np.sin(rng.integers(2, 40) * wave + 0.1)) for _ in range(2))
    if kind in (1, 3):
        cloth *= 1 + gain * rows[:, None]
    if kind in (2, 3):
        cloth *= 1 + gain * columns
    return np.maximum(cloth, 0.05)


def text(rng: np.random.Generator) -> np.ndarray:
    """Return lines of print in words of letter-like strokes, now and then a heading or figure."""
    page = np.full((SIDE, SIDE), 1.0, np.float32)
    ink, row = rng.uniform(0.03, 0.4), int(rng.integers(4, 16))
    while row < SIDE - 8:
        high = int(rng.choice((5, 6, 7, 8, 14, 24), p=(0.25, 0.25, 0.2, 0.15, 0.1, 0.05)))
        _print_line(page, rng, row, high, ink)
        row += int(high * rng.uniform(1.3, 2.0)) + (int(rng.integers(20)) if high > 10 else 0)
    if rng.random() < 0.4:
        top, left = rng.integers(10, SIDE - 100, 2)
        high, wide = rng.integers(30, 90, 2)
        page[_span(top, high), _span(left, wide)] = cloudy(rng, 2.2, 0.5)[:high, :wide] * 0.6
    page = page[::-1] if rng.random() < 0.75 else 1.05 - page
    return np.maximum(page, 0.03).astype(np.float32)


def _print_line(
    page: np.ndarray, rng: np.random.Generator, row: int, high: int, ink: float
) -> None:
    wide = max(int(0.6 * high), 3)
    end = min(row + high, SIDE)
    column, limit = int(rng.integers(6, 20)), SIDE - int(rng.integers(6, 120))
    bold = max(high // 6, 1)
    while column < limit - wide:
        if rng.random() < 0.17:
            column += wide
            continue
        low = row if rng.random() < 0.4 else row + high // 3
        for _ in range(rng.integers(1, 4)):
            if rng.random() < 0.6:
                x = column + int(rng.integers(wide - 1))
                page[low:end, _span(x, bold)] = ink
            else:
                y = int(rng.integers(low, end))
                page[_span(y, bold), _span(column, wide - 1)] = ink
        column += wide


def checker(rng: np.random.Generator) -> np.ndarray:
    """Return a checker board or a grid of dots with a white border."""
    count = int(rng.choice((4, 6, 7, 9, 12)))
    dark = rng.uniform(0.02, 0.2)
    rows, columns = np.indices((SIDE, SIDE)) * (count + 1.0) / SIDE - 0.5
    if rng.random() < 0.75:
        black = (np.floor(rows) + np.floor(columns)) % 2 == 0
    else:
        radius = rng.uniform(0.2, 0.4)
        black = np.hypot(rows % 1 - 0.5, columns % 1 - 0.5) < radius
    inside = (rows >= 0) & (rows < count) & (columns >= 0) & (columns < count)
    return np.where(black & inside, dark, 1.0).astype(np.float32)


def tags(rng: np.random.Generator) -> np.ndarray:
    """Return square markers: random bits within a black frame, one or several."""
    count, bits = int(rng.choice((1, 1, 2, 3, 4))), int(rng.choice((4, 5, 6)))
    board = np.ones((SIDE, SIDE), np.float32)
    side = SIDE // count
    cell = max(int(side * rng.uniform(0.7, 0.92)) // (bits + 2), 1)
    gap = (side - cell * (bits + 2)) // 2
    for row in range(count):
        for column in range(count):
            marker = np.zeros((bits + 2, bits + 2), np.float32)
            marker[1:-1, 1:-1] = rng.random((bits, bits)) < 0.5
            marker = np.repeat(np.repeat(marker, cell, 0), cell, 1)
            top, left = row * side + gap, column * side + gap
            board[_span(top, len(marker)), _span(left, len(marker))] = marker
    return np.maximum(board, rng.uniform(0.02, 0.15)).astype(np.float32)


def keys(rng: np.random.Generator) -> np.ndarray:
    """Return a keyboard, a grille or a perforated plate."""
    rows, columns = int(rng.integers(4, 9)), int(rng.integers(8, 20))
    light, dark = rng.uniform(0.5, 1.0), rng.uniform(0.05, 0.5)
    y, x = np.indices((SIDE, SIDE)) / SIDE
    shift = np.floor(y * rows) * rng.choice((0.0, 0.3, 0.5))
    inside = ((y * rows) % 1 > 0.2) & ((x * columns + shift) % 1 > 0.2)
    mark = inside & (np.abs((y * rows) % 1 - 0.5) < 0.1) & (np.abs((x * columns) % 1 - 0.5) < 0.1)
    plate = np.where(mark, light, np.where(inside, dark, light * rng.uniform(0.2, 1)))
    return (plate * cloudy(rng, 1.5, 0.03)).astype(np.float32)


def picture(rng: np.random.Generator) -> np.ndarray:
    """Return a poster, photograph or book cover: soft tones with shapes and lettering on them."""
    image = cloudy(rng, rng.uniform(1.8, 3.0), rng.uniform(0.2, 0.6)) * 0.6
    y, x = np.indices((SIDE, SIDE)) / SIDE
    for _ in range(rng.integers(1, 9)):
        middle, size = rng.random(2), rng.uniform(0.03, 0.35, 2)
        down, across = np.abs(y - middle[0]) / size[0], np.abs(x - middle[1]) / size[1]
        round_one = rng.random() < 0.5
        inside = np.hypot(down, across) < 1 if round_one else np.maximum(down, across) < 1
        image[inside] = rng.uniform(0.03, 1.1) * rng.uniform(0.8, 1.0, (SIDE, SIDE))[inside]
    for _ in range(rng.integers(0, 4)):
        row, high = int(rng.integers(SIDE - 40)), int(rng.integers(6, 36))
        _print_line(image, rng, row, high, rng.uniform(0.03, 1.1))
    return np.maximum(image, 0.03).astype(np.float32)


def desktop(rng: np.random.Generator) -> np.ndarray:
    """Return what a screen shows: windows with print in them on a background."""
    image = picture(rng) if rng.random() < 0.5 else np.full((SIDE, SIDE), rng.uniform(0.05, 0.9))
    for _ in range(rng.integers(1, 5)):
        page = text(rng) if rng.random() < 0.7 else picture(rng)
        high, wide = rng.integers(60, 200, 2)
        top, left = rng.integers(SIDE - high), rng.integers(SIDE - wide)
        image[_span(top, high), _span(left, wide)] = page[:high, :wide] * rng.uniform(0.5, 1)
        image[_span(top, 8), _span(left, wide)] = rng.uniform(0.05, 1)
    return np.maximum(image, 0.02).astype(np.float32)


#: Kinds of texture in the order in which a near scene holds them.
KINDS: tuple[Texture, ...] = (
    *(plaster, plaster, wood, wood, bricks, hedge, grass, sky),
    *(weave, weave, text, text, checker, tags, keys, picture, picture, desktop, desktop),
)
SKY = KINDS.index(sky)
WALLS = (0, 1, 4, 2, 5)
FLOORS = (0, 1, 2, 3, 6, 9)
CLOTHS = (8, 9)
PRINTS = (10, 11, 12, 13, 15, 16)
KEYS = KINDS.index(keys)
SCREENS = (17, 18, 15, 10)
#: All that may be on an object.
ALL = (1, 3, 5, 8, 9, 10, 12, 13, 14, 15, 16)


def make(seed: int, used: np.ndarray) -> list[np.ndarray]:
    """Return the textures of a scene; of those whose numbers are not ``used``, one white texel."""
    white = np.ones((1, 1), np.float32)
    return [
        kind(np.random.default_rng([seed, number])) if number in used else white
        for number, kind in enumerate(KINDS)
    ]
