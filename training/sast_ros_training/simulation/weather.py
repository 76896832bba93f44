# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What lies between the scene and the sensor, and what changes the light: in picture space.

An effect changes a picture of linear luminance ``float32[H, W]`` in place. It is a function of
time alone, so that pictures may be asked for in any order. Sizes are drawn for a picture of 240
rows and scale with it.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from sast_ros_training.simulation.draws import log_uniform, log_uniforms


class Effect(Protocol):
    """Changes pictures; ``pictures_hz``: how many a second it needs to look smooth."""

    pictures_hz: float

    def apply(self, picture: np.ndarray, seconds: float) -> None:
        """Change the picture of a time in place."""


def _unit(size: tuple[int, int]) -> float:
    return max(1.0, size[0] / 240)


def _place(start: np.ndarray, cycle: np.ndarray) -> np.ndarray:
    """Return shares of the picture that differ from cycle to cycle, evenly spread."""
    return (start + 0.6180339887 * cycle + 0.3 * start * cycle) % 1.0


class Rain:
    """
    Drops that fall past the lens as streaks, brighter or darker than what is behind them.

    They are 0.4 to 5.4 m away, between a few and several hundred in the picture at a time.
    """

    pictures_hz = 250.0

    def __init__(self, rng: np.random.Generator, size: tuple[int, int], focal: float) -> None:
        self._size, unit = size, _unit(size)
        count = int(log_uniform(rng, 30, 500))
        depth = 0.4 + 5 * rng.random(count)
        self._speed = rng.uniform(4, 9) * focal / depth
        self._slant = rng.normal(0, 0.15) + rng.normal(0, 0.03, count)
        self._offset, self._start = rng.random((2, count))
        self._wide = np.clip(np.rint(0.0035 * focal / depth), 1, 4 * unit).astype(int)
        contrast = rng.uniform(0.3, 1.2) * rng.uniform(0.3, 1.0, count)
        self._alpha = np.clip(contrast * np.minimum(1, 2 / depth), 0.03, 0.9)
        self._tone = rng.choice((0.4, 1.6, 2.5), p=(0.3, 0.5, 0.2))
        self._exposed = 1 / self.pictures_hz

    def apply(self, picture: np.ndarray, seconds: float) -> None:
        """Draw the streaks of the last few milliseconds."""
        height, width = self._size
        long = np.minimum(self._speed * self._exposed, 0.3 * height)
        way = height + long
        fallen = self._speed * seconds / way + self._offset
        cycle = np.floor(fallen)
        foot = (fallen - cycle) * way
        left = _place(self._start, cycle) * 1.2 * width - 0.1 * width
        target = np.float32(self._tone * picture[::8, ::8].mean())
        points = np.arange(int(long.max()) + 1)[:, None]
        inside = points <= long
        for thick in range(int(self._wide.max())):
            rows = (foot - points).astype(int)
            columns = (left + self._slant * (foot - points) + thick).astype(int)
            seen = inside & (thick < self._wide) & (rows >= 0) & (rows < height)
            seen &= (columns >= 0) & (columns < width)
            place = rows[seen], columns[seen]
            alpha = np.broadcast_to(self._alpha, seen.shape)[seen].astype(np.float32)
            picture[place] += alpha * (target - picture[place])


def _draw_discs(
    picture: np.ndarray,
    centre: tuple[np.ndarray, np.ndarray],
    radius: np.ndarray,
    alpha: np.ndarray,
    tone: float,
    soft: float,
) -> None:
    """Mix round spots at ``centre`` (x, y in pixels) into a picture; ``soft``: width of edges."""
    height, width = picture.shape
    for reach in np.unique(np.ceil(radius + soft).astype(int)):
        chosen = np.ceil(radius + soft).astype(int) == reach
        x, y = (values[chosen, None, None] for values in centre)
        span = np.arange(-reach, reach + 1)
        columns = np.floor(x).astype(int) + span
        rows = np.floor(y).astype(int) + span[:, None]
        distance = np.hypot(columns + 0.5 - x, rows + 0.5 - y)
        share = np.clip((radius[chosen, None, None] - distance) / (2 * soft) + 0.5, 0, 1)
        seen = (share > 0) & (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        share = (share * alpha[chosen, None, None])[seen].astype(np.float32)
        place = np.broadcast_to(rows, seen.shape)[seen], np.broadcast_to(columns, seen.shape)[seen]
        picture[place] += share * (np.float32(tone) - picture[place])


class Snow:
    """Flakes that sink and drift in front of the scene, near ones large and not sharp."""

    pictures_hz = 180.0

    def __init__(self, rng: np.random.Generator, size: tuple[int, int], focal: float) -> None:
        self._size, unit = size, _unit(size)
        count = int(log_uniform(rng, 20, 250))
        depth = 0.35 + 6 * rng.random(count) ** 0.7
        self._radius = np.clip(0.004 * focal / depth, 0.5, 7 * unit)
        self._alpha = np.clip(0.2 + 0.5 * self._radius / unit, 0.2, 0.9) * rng.uniform(0.4, 1)
        fall, wind = rng.uniform(0.6, 2.0), rng.normal(0, 1.0)
        self._down, self._aside = fall * focal / depth, wind * focal / depth
        self._swirl = rng.uniform(0.01, 0.08, count) * focal / depth
        self._rate, self._phase = rng.uniform(1, 8, count), rng.uniform(0, 6.3, count)
        self._offset, self._start = rng.random((2, count))
        self._tone = rng.uniform(1.2, 2.5)

    def apply(self, picture: np.ndarray, seconds: float) -> None:
        """Draw the flakes."""
        height, width = self._size
        margin = 2 * float(self._radius.max())
        high, wide = height + 2 * margin, width + 2 * margin
        fallen = self._down * seconds / high + self._offset
        cycle = np.floor(fallen)
        aside = self._aside * seconds + self._swirl * np.sin(self._rate * seconds + self._phase)
        x = (_place(self._start, cycle) * wide + aside) % wide - margin
        y = (fallen - cycle) * high - margin
        tone = self._tone * float(picture[::8, ::8].mean())
        _draw_discs(picture, (x, y), self._radius, self._alpha, tone, 0.6)


class Insects:
    """Insects close to the lens: dark or bright spots that dart through the picture."""

    pictures_hz = 250.0

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        height, width = size
        unit, count = _unit(size), int(rng.integers(1, 7))
        self._radius = log_uniforms(rng, 1.2, 14, count) * unit
        self._soft = float(rng.uniform(0.5, 3.0)) * unit
        self._alpha, self._beat = rng.uniform(0.3, 0.95, count), rng.uniform(40, 120, count)
        # One or more passages of each through the middle of its way at a time of its own
        speed = log_uniforms(rng, 60, 900, count) * unit
        heading = rng.uniform(0, 2 * np.pi, count)
        self._velocity = speed * np.array((np.cos(heading), np.sin(heading)))
        self._way = 2.2 * np.hypot(height, width) * rng.uniform(1, 2.5, count)
        self._speed = speed
        self._middle = rng.uniform(0.1, 0.9, (2, count)) * np.array([[width], [height]])
        self._offset = rng.random(count)
        self._swing = rng.uniform(3, 40, (2, 2, count)) * unit
        self._rates = rng.uniform(3, 22, (2, 2, count))
        self._tone = float(rng.choice((0.1, 0.3, 2.5)))

    def apply(self, picture: np.ndarray, seconds: float) -> None:
        """Draw the insects."""
        passed = (self._speed * seconds / self._way + self._offset) % 1.0 - 0.5
        along = passed * self._way / self._speed
        x, y = self._middle + self._velocity * along
        swing = (self._swing * np.sin(self._rates * seconds)).sum(0)
        # The wings: twice as wide at one end of a beat
        beat = 1 + 0.35 * np.sin(2 * np.pi * self._beat * seconds)
        tone = self._tone * float(picture[::8, ::8].mean())
        radius = self._radius * beat
        near = (np.abs(x + swing[0] - picture.shape[1] / 2) < picture.shape[1]) & (
            np.abs(y + swing[1] - picture.shape[0] / 2) < picture.shape[0]
        )
        place = (x + swing[0])[near], (y + swing[1])[near]
        _draw_discs(picture, place, radius[near], self._alpha[near], tone, self._soft)


class PassingShade:
    """
    Shadows that pass over the whole picture: of clouds slowly, of trees beside the way faster.

    Their edges are soft; between them the light also swells and fades everywhere.
    """

    pictures_hz = 120.0

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        height, width = size
        angle, diagonal = rng.uniform(0, 2 * np.pi), np.hypot(height, width)
        self._fast = bool(rng.random() < 0.4)
        across = np.cos(angle) * np.arange(width) + np.sin(angle) * np.arange(height)[:, None]
        self._across = (across / diagonal).astype(np.float32)
        low, high = (0.6, 6.0) if self._fast else (0.05, 0.5)
        self._speed = log_uniform(rng, low, high) * rng.choice((-1, 1))
        self._edge = log_uniform(rng, 0.02, 0.6)
        self._gaps = rng.uniform(0.3, 2.0, 7)
        self._dark = 1 - rng.uniform(0.1, 0.75, 7)
        self._swell = rng.uniform(0, 0.3), rng.uniform(0.1, 3.0), rng.uniform(0, 6.3)

    def apply(self, picture: np.ndarray, seconds: float) -> None:
        """Darken what lies in a shadow now."""
        size, rate, phase = self._swell
        ends = np.cumsum(np.concatenate([self._gaps, self._gaps]))
        place = self._across + np.float32(self._speed * seconds % ends[6] + ends[6])
        place %= np.float32(ends[6])
        # Light at knots; soft edges between a gap and the next
        knots, light = [], []
        tones = np.where(np.arange(7) % 2, self._dark, 1.0)
        tones[6] = (tones[5] + tones[0]) / 2
        starts = np.concatenate([[0.0], np.cumsum(self._gaps)])
        for number in range(7):
            soft = min(self._edge, 0.45 * self._gaps[number])
            knots += [starts[number] + soft, starts[number + 1] - 1e-3]
            light += [tones[number]] * 2
        table = np.interp(np.linspace(0, ends[6], 512), knots, light, period=ends[6])
        index = (place * np.float32(511 / ends[6])).astype(np.int16)
        factor = np.float32(1 + size * np.sin(rate * 2 * np.pi * seconds + phase))
        picture *= table.astype(np.float32)[index] * factor


class Flashes:
    """Lightning, camera flashes, headlights that sweep past: short, over all of the picture."""

    pictures_hz = 200.0

    def __init__(self, rng: np.random.Generator, seconds: float) -> None:
        count = 1 + rng.poisson(0.5 * seconds)
        self._times = rng.uniform(0, seconds, count)
        self._strength = log_uniforms(rng, 0.3, 8, count)
        self._rise = log_uniforms(rng, 0.002, 0.05, count)
        self._fall = self._rise * rng.uniform(1, 8, count)

    def apply(self, picture: np.ndarray, seconds: float) -> None:
        """Brighten the picture."""
        since = seconds - self._times
        level = np.exp(-np.where(since > 0, since / self._fall, (since / self._rise) ** 2))
        gain = float(np.sum(self._strength * np.where(level > 1e-3, level, 0.0)))
        if gain:
            picture *= np.float32(1 + gain)


class MainsFlicker:
    """Lamps on the mains, or pulsed LEDs, that light a part of the picture; for still cameras."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        height, width = size
        self._rate = float(rng.choice((100.0, 120.0, rng.uniform(40, 140))))
        self.pictures_hz = 5 * self._rate
        self._size = log_uniform(rng, 0.02, 0.35)
        self._pulsed = bool(rng.random() < 0.25)
        self._phase = rng.uniform(0, 1)
        x = np.arange(width) - rng.uniform(0, width)
        y = np.arange(height)[:, None] - rng.uniform(0, height)
        long, wide = rng.uniform(0.05, 0.35, 2) * width
        angle = rng.uniform(0, np.pi)
        first = (np.cos(angle) * x + np.sin(angle) * y) / long
        second = (np.cos(angle) * y - np.sin(angle) * x) / wide
        edge = rng.uniform(0.05, 0.8)
        share = np.clip((1 - np.hypot(first, second)) / edge, 0, 1)
        rows, columns = (np.flatnonzero(share.any(axis)) for axis in (1, 0))
        self._part = slice(0, 0), slice(0, 0)
        if len(rows):
            self._part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        self._share = share[self._part].astype(np.float32)

    def apply(self, picture: np.ndarray, seconds: float) -> None:
        """Brighten and darken the lit part."""
        wave = np.sin(2 * np.pi * (self._rate * seconds + self._phase))
        swing = (np.sign(wave) if self._pulsed else wave) * self._size
        picture[self._part] *= 1 + np.float32(swing) * self._share
