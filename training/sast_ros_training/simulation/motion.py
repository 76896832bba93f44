# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How cameras and bodies move: poses and paths as functions of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from sast_ros_training.simulation.draws import log_uniform, log_uniforms

#: Decay times after which a jolt is over: its swing is then below a tenth of a pixel.
_JOLT_SPAN = 7.0

#: Speed in m/s below which a walker stands, and the seconds between walking and standing.
_MIN_WALKING, _SETTLE_SECONDS = 0.05, 0.35

#: Of a camera that keeps its direction: no yaw, no pitch, no roll.
NO_WAVES = (np.zeros((1, 3)),) * 3

#: The four ways in which a camera is held.
MOTIONS = ('static', 'pan', 'handheld', 'driving')


@dataclass(frozen=True)
class MovingCamera:
    """
    A pinhole camera with its pose at any time of a sequence.

    Picture and ``focal`` length in pixels. From ``start`` (metres) it moves along ``heading``
    (radians) with ``speed`` (m/s) and the yaw rate ``turn``, but not between the two seconds of
    ``stop``; someone who walks lifts it by ``bob`` metres. To yaw (to the left), pitch (upwards)
    and roll, the ``angles`` in radians, come ``waves``: sines ``[N, 3]`` of amplitude, Hz, phase;
    and ``jolts`` ``[N, 6]``, swings that die away: second, amplitudes in yaw, pitch and roll,
    Hz, and the seconds in which they fall to a third.
    """

    motion: str
    height: int
    width: int
    focal: float
    start: np.ndarray
    heading: float
    speed: float
    stop: tuple[float, float]
    turn: float
    angles: tuple[float, float, float]
    waves: Sequence[np.ndarray]
    bob: float
    jolts: np.ndarray = field(default_factory=lambda: np.zeros((0, 6)))

    @property
    def moves(self) -> bool:
        """Whether the picture of still things changes all the time."""
        return self.motion != 'static' or any(wave[:, 0].any() for wave in self.waves)

    def moves_between(self, start: float, end: float) -> bool:
        """Return whether the picture of still things changes between two times."""
        first, over = self.jolts[:, 0], self.jolts[:, 0] + _JOLT_SPAN * self.jolts[:, 5]
        return self.moves or bool(((first < end) & (over > start)).any())

    def position(self, seconds: float) -> np.ndarray:
        """``float64[3]`` metres."""
        moving = self._moving_time(seconds)
        yaw = self.heading + 0.5 * self.turn * moving  # the chord of a constant turn
        place = self.start + self.speed * moving * np.array([np.cos(yaw), np.sin(yaw), 0.0])
        if self.bob:
            place[2] += self.bob * np.sin(2 * np.pi * 1.9 * seconds)
        return place

    def pose(self, seconds: float) -> np.ndarray:
        """Return the transform from world to camera coordinates, ``float32[3, 4]``."""
        angles = self.angles + sum_of_waves(self.waves, seconds)
        angles[0] += self.turn * self._moving_time(seconds)
        if len(self.jolts):
            angles += self._jolted(seconds)
        yaw, pitch, roll = angles.tolist()
        level = np.cos(pitch)
        forward = np.array([np.cos(yaw) * level, np.sin(yaw) * level, np.sin(pitch)])
        right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
        down = np.cross(forward, right)
        cosine, sine = np.cos(roll), np.sin(roll)
        rotation = np.stack([cosine * right + sine * down, cosine * down - sine * right, forward])
        shift = -(rotation @ self.position(seconds))
        return np.concatenate([rotation, shift[:, None]], axis=1).astype(np.float32)

    def _jolted(self, seconds: float) -> np.ndarray:
        """Return what the jolts add to yaw, pitch and roll."""
        passed, decay = seconds - self.jolts[:, 0], self.jolts[:, 5]
        lasts = (passed > 0) & (passed < _JOLT_SPAN * decay)
        swing = np.sin(2 * np.pi * self.jolts[:, 4] * passed) * np.exp(-np.abs(passed) / decay)
        return (lasts * swing) @ self.jolts[:, 1:4]

    def _moving_time(self, seconds: float) -> float:
        """Return the time so far without the stop."""
        return seconds - float(np.clip(seconds - self.stop[0], 0, self.stop[1] - self.stop[0]))


def sum_of_waves(waves: Sequence[np.ndarray], seconds: float) -> np.ndarray:
    """Return the values of several ``[N, 3]`` sums of sines (amplitude, Hz, phase) at a time."""
    return np.array(
        [float(np.sum(w[:, 0] * np.sin(2 * np.pi * w[:, 1] * seconds + w[:, 2]))) for w in waves]
    )


def make_camera(
    rng: np.random.Generator,
    motion: str,
    size: tuple[int, int],
    seconds: float,
    road: float,
    front: tuple[float, float],
) -> MovingCamera:
    """
    Draw a camera for a street.

    ``size``: height and width of the picture; ``road``: half the width of the road, ``front``:
    distance of the houses to the left and the right, in metres.
    """
    speed = turn = heading = bob = 0.0
    stop = (0.0, 0.0)
    waves = list(NO_WAVES)
    height = rng.uniform(1.0, 2.2) if rng.random() < 0.65 else rng.uniform(2.2, 9.0)
    if motion == 'driving':
        height = rng.uniform(0.9, 2.2)
        y = -rng.uniform(0.2, 0.7) * road
        yaw = rng.normal(0, 0.06)
        speed = rng.uniform(1, 8) if rng.random() < 0.5 else rng.uniform(4, 16)
        if rng.random() < 0.2:
            start = rng.uniform(0, seconds)
            stop = (start, start + rng.uniform(0.5, 3))
        if rng.random() < 0.35:
            turn = rng.normal(0, 0.12)
        waves = [make_waves(rng, size, 0.8, 4.0) for size in (0.002, 0.003, 0.002)]
    else:
        side = rng.choice((-1, 1))
        wall = front[0] if side > 0 else front[1]
        y = side * rng.uniform(0.1, max(wall - 0.5, 0.2))
        # Across the road, or along it in one of the two directions
        if rng.random() < 0.5:
            yaw = -side * np.pi / 2 + rng.normal(0, 0.45)
        else:
            yaw = rng.choice((0.0, np.pi)) + rng.normal(0, 0.3)
    if motion == 'pan':
        if rng.random() < 0.5:
            waves[0] = make_waves(rng, rng.uniform(0.03, 0.35), 0.05, 0.35)
        else:
            turn = rng.choice((-1, 1)) * rng.uniform(0.02, 0.4)
        waves[1] = make_waves(rng, rng.uniform(0, 0.03), 0.1, 0.4)
    elif motion == 'handheld':
        shake = log_uniform(rng, 0.002, 0.016)
        waves = [make_waves(rng, shake * share, 0.4, 3.5) for share in (1, 0.8, 0.5)]
        if rng.random() < 0.15:  # by a quick hand, or on a machine
            shake = log_uniform(rng, 0.002, 0.02)
            fast = [make_waves(rng, shake * share, 3.5, 11.0) for share in (1, 1, 0.7)]
            waves = [np.concatenate(pair) for pair in zip(waves, fast, strict=True)]
        if rng.random() < 0.5:
            heading, speed, bob = yaw, rng.uniform(0.3, 1.6), rng.uniform(0.005, 0.02)
    pitch = -rng.uniform(0, 0.12) - max(height - 2, 0) * rng.uniform(0.02, 0.09)
    angles = float(yaw), float(pitch), float(rng.normal(0, 0.02))
    focal = float(size[1] / 2 / np.tan(np.radians(rng.uniform(32, 78)) / 2))
    place = np.array([0.0, y, height])
    return MovingCamera(
        motion, *size, focal, place, heading, speed, stop, turn, angles, waves, bob
    )


def make_waves(rng: np.random.Generator, size: float, slow: float, fast: float) -> np.ndarray:
    """Return ``float64[4, 3]``: amplitude in radians, Hz from ``slow`` to ``fast``, phase."""
    frequency = log_uniforms(rng, slow, fast, 4)
    amplitude = size * rng.uniform(0.3, 1, 4) * (slow / frequency) ** 0.7
    return np.stack([amplitude, frequency, rng.uniform(0, 2 * np.pi, 4)], axis=1)


@dataclass(frozen=True)
class Path:
    """
    The path of a body over the ground, sampled in time.

    ``times`` in seconds, ``places`` ``float64[N, 2]`` and ``distances`` along the path in metres,
    ``headings`` in radians.
    """

    times: np.ndarray
    places: np.ndarray
    headings: np.ndarray
    distances: np.ndarray

    def at(self, seconds: float) -> tuple[np.ndarray, float, float]:
        """Return place, heading and distance at a time."""
        low, share = self._sample(seconds)
        place, heading, distance = (
            values[low] + share * (values[low + 1] - values[low])
            for values in (self.places, self.headings, self.distances)
        )
        return place, float(heading), float(distance)

    def walks(self, seconds: float) -> float:
        """Return how much of the pose is a walker's: 1 walks, 0 stands, between them a blend."""
        low, share = self._sample(seconds)
        before, after = self._walking[low], self._walking[low + 1]
        walks = before + share * (after - before)
        return walks * walks * (3 - 2 * walks)

    def _sample(self, seconds: float) -> tuple[int, float]:
        """Return the sample before a time, and which share of the way to the next has passed."""
        step = self.times[1] - self.times[0]
        index = min(max(float((seconds - self.times[0]) / step), 0.0), len(self.times) - 1.001)
        return int(index), index - int(index)

    @cached_property
    def _walking(self) -> list[float]:
        """At each time, how far the change from standing (0) to walking (1) has gone."""
        steps = np.diff(self.times)
        moving = np.abs(np.diff(self.distances)) > _MIN_WALKING * steps
        changes = np.where(moving, steps, -steps) / _SETTLE_SECONDS
        walking = [float(moving[0])]
        for change in changes.tolist():
            walking.append(min(max(walking[-1] + change, 0.0), 1.0))
        return walking


def make_path(
    rng: np.random.Generator,
    place: np.ndarray,
    heading: float,
    speed: float,
    when: float,
    seconds: float,
    bend: float = 0.0,
    stops: bool = False,
) -> Path:
    """
    Draw the path of a body that is at ``place`` at the time ``when``.

    ``speed``: metres per second; ``bend``: curvature per metre; ``stops``: it comes to a halt for
    a while, or starts from one.
    """
    step = 0.02
    times = np.arange(-step, seconds + 2 * step, step)
    rate = np.full(len(times), speed * 1.0)
    if stops:
        start = rng.uniform(-0.5, seconds)
        end = start + rng.uniform(0.5, 4)
        ramp = max(0.35, speed / 4)  # seconds to brake or to accelerate
        outside = np.maximum(start - times, times - end) / ramp
        rate *= np.clip(outside, 0, 1)
    else:
        sway = rng.uniform(0, 0.15)
        rate *= 1 + sway * np.sin(2 * np.pi * rng.uniform(0.1, 0.5) * times + rng.uniform(0, 6))
    distances = np.concatenate([[0.0], np.cumsum(rate[:-1]) * step])
    distances -= np.interp(when, times, distances)
    headings = heading + bend * distances
    ways = np.diff(distances, prepend=distances[0])[:, None]
    directions = np.stack([np.cos(headings), np.sin(headings)], axis=1)
    places = np.cumsum(directions * ways, axis=0)
    places += place - np.array([np.interp(when, times, column) for column in places.T])
    return Path(times, places, headings, distances)
