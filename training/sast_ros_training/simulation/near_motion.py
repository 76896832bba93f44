# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How the camera of a near scene moves, and what no path over the ground describes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sast_ros_training.simulation.actors import Actor
from sast_ros_training.simulation.draws import log_uniforms
from sast_ros_training.simulation.motion import MovingCamera, NO_WAVES, Path, sum_of_waves
from sast_ros_training.simulation.rig import rotation

NO_PATH = Path(np.array([0.0, 1.0]), np.zeros((2, 2)), np.zeros(2), np.zeros(2))


def make_waves(rng: np.random.Generator, size: float, slow: float, fast: float) -> np.ndarray:
    """Return ``float64[3, 3]`` amplitude (together about ``size``), Hz and phase of sines."""
    hertz = log_uniforms(rng, slow, fast, 3)
    gain = size * rng.uniform(0.2, 0.6, 3) * (slow / hertz) ** 0.5
    return np.stack([gain, hertz, rng.uniform(0, 2 * np.pi, 3)], 1)


@dataclass(frozen=True)
class NearCamera(MovingCamera):
    """A camera in a hand, on a stand or on a vehicle: ``sways`` are waves of its place, in m."""

    sways: Sequence[np.ndarray] = NO_WAVES

    def position(self, seconds: float) -> np.ndarray:
        """``float64[3]`` metres."""
        return super().position(seconds) + sum_of_waves(self.sways, seconds)


@dataclass(frozen=True)
class Flight:
    """
    How a thing moves that a hand holds, that is thrown or that hangs.

    It is at ``place`` ``[3]`` with the orientation ``turned`` ``[3, 3]`` (body to world), comes
    from ``entry`` beside it within the seconds ``times[0]`` to ``times[1]`` and goes back between
    ``times[2]`` and ``times[3]``. To that come ``sways`` of its place, ``turns`` about its own
    axes (waves as of a camera), and a throw: at the second ``since`` it is in its place, with a
    ``velocity`` (m/s), a ``spin`` (rad/s) and a ``fall`` (m/s2).
    """

    place: np.ndarray
    turned: np.ndarray
    entry: np.ndarray
    times: tuple[float, float, float, float]
    sways: Sequence[np.ndarray]
    turns: Sequence[np.ndarray]
    velocity: np.ndarray
    spin: np.ndarray
    since: float
    fall: float

    def at(self, seconds: float) -> np.ndarray:
        """Return the placement ``float32[3, 4]``, body to world."""
        start, here, leaves, gone = self.times
        come = float(np.clip((seconds - start) / max(here - start, 1e-3), 0, 1))
        go = float(np.clip((seconds - leaves) / max(gone - leaves, 1e-3), 0, 1))
        away = 1 - come * come * (3 - 2 * come) + go * go * (3 - 2 * go)
        passed = seconds - self.since
        place = self.place + away * self.entry + sum_of_waves(self.sways, seconds)
        place = place + self.velocity * passed
        place[2] -= 0.5 * self.fall * passed * passed
        angles = sum_of_waves(self.turns, seconds) + self.spin * passed
        turned = self.turned
        for axis in (2, 1, 0):
            turned = turned @ rotation(axis, angles[axis])[0]
        return np.concatenate([turned, place[:, None]], axis=1).astype(np.float32)


@dataclass(frozen=True)
class FlyingActor(Actor):
    """A body without label that moves, or stands, in space instead of going over the ground."""

    flight: Flight

    @cached_property
    def _reach(self) -> float:
        vertices = self.body.vertices(0.0, 0.0)
        return 1.3 * float(np.linalg.norm(vertices, axis=1).max()) + 0.1

    def pose(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """Return vertices and placement at a time, as ``Actor.pose`` does."""
        return self.body.vertices(0.0, seconds), self.flight.at(seconds)

    def sphere(self, seconds: float) -> tuple[float, float, float, float]:
        """Return centre and radius in metres of a sphere around the body."""
        x, y, z = self.flight.at(seconds)[:, 3].tolist()
        return x, y, z, self._reach


def at_rest(place: np.ndarray, turned: np.ndarray) -> Flight:
    """Return standing still."""
    zero = np.zeros(3)
    times = (-2.0, -1.0, 1e9, 2e9)
    return Flight(place, turned, zero, times, NO_WAVES, NO_WAVES, zero, zero, 0.0, 0.0)
