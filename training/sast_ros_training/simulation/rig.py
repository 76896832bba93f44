# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Poses of moving parts that repeat over a distance or a time.

All poses of one period are computed in advance; a posed body then costs one interpolation and one
small matrix product, whatever its number of joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike as Values

Clock = Literal['distance', 'seconds']


def full_turn(count: int) -> np.ndarray:
    """Return ``float64[count]`` angles that divide a full turn evenly, from 0."""
    return 2 * np.pi * np.arange(count) / count


@dataclass(frozen=True)
class Motion:
    """
    The poses of some parts over one period.

    ``poses`` are ``float32[K, P, 4, 3]``, those of P parts at K equal steps: a vertex
    ``[x, y, z, 1]`` times such a matrix is where it has moved to. They repeat after ``period``
    metres or seconds (``clock``), of which the share ``offset`` has passed at the start.
    """

    poses: np.ndarray
    period: float
    clock: Clock = 'distance'
    offset: float = 0.0

    def at(self, distance: float, seconds: float) -> np.ndarray:
        """Return the poses then, ``float32[P * 4, 3]``, interpolated between two steps."""
        passed = distance if self.clock == 'distance' else seconds
        return interpolate(self.poses, passed / self.period + self.offset).reshape(-1, 3)


def interpolate(cycle: np.ndarray, phase: float) -> np.ndarray:
    """Return a cycle's value at a phase (1.0 is one turn) between its equal steps ``[K, ...]``."""
    count = len(cycle)
    place = phase % 1.0 * count
    step = int(place)
    now, then = cycle[step % count], cycle[(step + 1) % count]
    return now + np.float32(place - step) * (then - now)


def still() -> Motion:
    """Return the motion of a part that stays as it is modelled."""
    return Motion(np.eye(4, 3, dtype=np.float32)[None, None], 1.0)


def motion(
    matrices: Sequence[np.ndarray], period: float, clock: Clock = 'distance', offset: float = 0.0
) -> Motion:
    """Make a motion of one ``[K, 4, 4]`` array of (column vector) matrices for each part."""
    poses = np.stack(matrices, 1)[:, :, :3].transpose(0, 1, 3, 2)
    return Motion(np.ascontiguousarray(poses, np.float32), period, clock, offset)


def placed(rotation: np.ndarray, pivot: Values, now: Values | None = None) -> np.ndarray:
    """
    Return ``[K, 4, 4]`` matrices that turn by ``rotation`` ([K, 3, 3]) around ``pivot`` ([3]).

    ``now``: where the pivot moves to, ``[3]`` or ``[K, 3]``; it stays if left out.
    """
    now = pivot if now is None else now
    matrices = np.zeros((len(rotation), 4, 4))
    matrices[:, :3, :3] = rotation
    matrices[:, :3, 3] = np.asarray(now, float) - rotation @ np.asarray(pivot, float)
    matrices[:, 3, 3] = 1
    return matrices


def rotation(axis: int, angle: Values) -> np.ndarray:
    """Return ``[K, 3, 3]`` right-handed rotations by ``angle`` ([K]) about x (0), y or z (2)."""
    angle = np.atleast_1d(np.asarray(angle, float))
    one, two = (axis + 1) % 3, (axis + 2) % 3
    turned = np.zeros((len(angle), 3, 3))
    turned[:, axis, axis] = 1
    turned[:, one, one] = turned[:, two, two] = np.cos(angle)
    turned[:, two, one] = np.sin(angle)
    turned[:, one, two] = -np.sin(angle)
    return turned


def rolling(centres: Sequence[Values], radius: float, offset: float = 0.0) -> Motion:
    """Return the motion of wheels of one radius with these axles, which roll with the body."""
    turns = rotation(1, full_turn(48))
    matrices = [placed(turns, centre) for centre in centres]
    return motion(matrices, 2 * np.pi * radius, offset=offset)


def limb(pivot: Values, start: np.ndarray, end: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """
    Return ``[K, 4, 4]`` for a bone that is modelled hanging down from ``pivot``.

    It is moved to ``start`` ([K, 3]), points to ``end`` and keeps its front towards ``forward``.
    """
    up = start - end
    up = up / np.linalg.norm(up, axis=-1, keepdims=True)
    front = forward - up * (forward * up).sum(-1, keepdims=True)
    front = front / np.linalg.norm(front, axis=-1, keepdims=True)
    return placed(np.stack([front, np.cross(up, front), up], -1), pivot, start)


def bend(
    start: np.ndarray, end: np.ndarray, upper: float, lower: float, pole: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    Return where the joint between two bones is, and the end that they reach, ``[K, 3]`` each.

    The bones of lengths ``upper`` and ``lower`` go from ``start`` to ``end`` ([K, 3]); the joint
    bends towards ``pole`` ([K, 3]). What is out of reach is approached on the straight line.
    """
    reach = end - start
    distance = np.linalg.norm(reach, axis=-1, keepdims=True)
    direction = reach / distance
    distance = np.clip(distance, abs(upper - lower) * 1.02 + 1e-3, (upper + lower) * 0.999)
    side = pole - direction * (pole * direction).sum(-1, keepdims=True)
    side = side / np.linalg.norm(side, axis=-1, keepdims=True)
    along = (upper**2 + distance**2 - lower**2) / (2 * distance)
    out = np.sqrt(np.maximum(upper**2 - along**2, 0))
    return start + along * direction + out * side, start + distance * direction
