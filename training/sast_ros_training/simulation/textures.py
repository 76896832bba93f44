# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Random surfaces of a street.

Every texture is ``float32[256, 256]``, periodic in both directions, and multiplies the albedo of
what it covers; its mean is about one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

SIDE = 256

Texture = Callable[[np.random.Generator], np.ndarray]


def cloudy(rng: np.random.Generator, exponent: float, contrast: float) -> np.ndarray:
    """
    Return noise with a power spectrum that falls as frequency ** -exponent.

    ``contrast``: standard deviation; values stay above 0.05.
    """
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None, :])
    frequency[0, 0] = 1
    shape = frequency.shape
    spectrum = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    spectrum *= frequency ** (-exponent / 2)
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, (SIDE, SIDE))
    return np.maximum(1 + noise * (contrast / noise.std()), 0.05).astype(np.float32)


def asphalt(rng: np.random.Generator) -> np.ndarray:
    """Return a road surface: grain, patches and cracks; one tile is about 6 m."""
    surface = cloudy(rng, rng.uniform(0.8, 2.2), rng.uniform(0.04, 0.25))
    for _ in range(rng.integers(0, 3)):
        _crack(surface, rng, rng.uniform(0.4, 0.8))
    if rng.random() < 0.4:
        row, column = rng.integers(0, SIDE, 2)
        high, wide = rng.integers(30, 120, 2)
        rows, columns = (row + np.arange(high)) % SIDE, (column + np.arange(wide)) % SIDE
        surface[np.ix_(rows, columns)] *= rng.uniform(0.6, 1.4)
    return surface


def paving(rng: np.random.Generator) -> np.ndarray:
    """Return slabs or cobbles with joints; one tile is about 4 m."""
    surface = cloudy(rng, 1.5, rng.uniform(0.03, 0.15))
    high, wide = (int(SIDE / rng.integers(3, 14)) for _ in range(2))
    joint = rng.uniform(0.5, 1.2)
    offset = rng.integers(0, wide) if rng.random() < 0.5 else 0
    for index, row in enumerate(range(0, SIDE - high // 2, high)):
        line, end = row + 2, row + high
        surface[row:line] *= joint
        for column in range(0, SIDE - wide // 2, wide):
            place = (column + offset * (index % 2)) % SIDE
            side, gap = place + wide, place + 2
            surface[row:end, place:side] *= rng.normal(1, 0.05)
            surface[row:end, place:gap] *= joint
    return surface


def grass(rng: np.random.Generator) -> np.ndarray:
    """Return a meadow, earth or leaves."""
    return cloudy(rng, rng.uniform(0.5, 1.8), rng.uniform(0.15, 0.5))


def facade(rng: np.random.Generator) -> np.ndarray:
    """Return a wall with rows of windows; one tile is about 10 m."""
    wall = cloudy(rng, rng.uniform(1, 2.5), rng.uniform(0.03, 0.2))
    rows, columns = rng.integers(2, 5, 2)
    high, wide = SIDE // rows, SIDE // columns
    tall, broad = int(high * rng.uniform(0.35, 0.75)), int(wide * rng.uniform(0.3, 0.8))
    top, left = (high - tall) // 2, (wide - broad) // 2
    frame = rng.uniform(0.5, 1.8)
    if rng.random() < 0.4:  # storeys set off by a band
        for row in range(rows):
            y = row * high
            end = y + rng.integers(3, 9)
            wall[y:end] *= rng.uniform(0.6, 1.5)
    for row in range(rows):
        for column in range(columns):
            if rng.random() < 0.06:
                continue
            y, x = row * high + top, column * wide + left
            bottom, right, middle = y + tall, x + broad, broad // 2
            window = wall[y:bottom, x:right]
            window[:] = rng.uniform(0.1, 0.7) if rng.random() < 0.75 else rng.uniform(0.8, 1.9)
            if rng.random() < 0.5:  # something is reflected
                window[: rng.integers(3, tall)] *= rng.uniform(0.5, 2.0)
            window[:3] = window[-3:] = frame
            window[:, :3] = window[:, -3:] = frame
            if rng.random() < 0.6:
                bar = middle + 2
                window[:, middle:bar] = frame
    return wall


def bricks(rng: np.random.Generator) -> np.ndarray:
    """Return a wall without windows: bricks, boards or concrete."""
    wall = cloudy(rng, 1.5, rng.uniform(0.05, 0.25))
    high = int(rng.integers(6, 40))
    for row in range(0, SIDE, high):
        joint, end = row + 2, row + high
        wall[row:joint] *= rng.uniform(0.6, 1.3)
        wall[row:end] *= rng.normal(1, 0.06)
    for _ in range(rng.integers(0, 5)):  # posters, doors, signs
        y, x = rng.integers(0, SIDE - 80, 2)
        tall, broad = rng.integers(20, 80, 2)
        bottom, left, right = y + tall, x + 4, x + broad
        wall[y:bottom, x:right] = rng.uniform(0.15, 2.0)
        right -= 4
        for line in range(rng.integers(0, 5)):
            first, end = y + 4 + 8 * line, y + 7 + 8 * line
            wall[first:end, left:right] = rng.uniform(0.2, 2)
    return wall


def hedge(rng: np.random.Generator) -> np.ndarray:
    """Return leaves and branches against the light."""
    return cloudy(rng, rng.uniform(0.8, 1.6), rng.uniform(0.3, 0.6))


def sky(rng: np.random.Generator) -> np.ndarray:
    """Return clouds, or a nearly even sky."""
    return cloudy(rng, 3.0, rng.uniform(0.01, 0.18))


#: Kinds of texture in the order in which a street holds them (``Street.textures``).
KINDS: tuple[Texture, ...] = (asphalt, paving, grass, facade, facade, bricks, hedge, sky)
ASPHALT, PAVING, GRASS, FACADE, FACADE_2, BRICKS, HEDGE, SKY = range(len(KINDS))


def _crack(surface: np.ndarray, rng: np.random.Generator, tone: float) -> None:
    row, column = rng.uniform(0, SIDE, 2)
    heading = rng.uniform(0, 2 * np.pi)
    for _ in range(rng.integers(50, 300)):
        heading += rng.normal(0, 0.3)
        row, column = row + np.sin(heading), column + np.cos(heading)
        surface[int(row) % SIDE, int(column) % SIDE] *= tone
