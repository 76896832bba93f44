"""
Bodies that move: meshes on parts whose poses repeat over a distance or a time.

All poses of one period are computed in advance; a posed body then costs one interpolation and one
small matrix product, whatever its number of joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from sast_ros_training.simulation.mesh import Body, extent, merge, Mesh, Values


@dataclass(frozen=True)
class Motion:
    """
    The poses of some parts over one period.

    poses: ``float32[K, P, 4, 3]`` at K equal steps for P parts; a vertex ``[x, y, z, 1]`` times
        such a matrix is where the vertex of the mesh has moved to.
    period: metres or seconds after which the poses repeat.
    clock: which of the two.
    offset: share of the period that has passed at the start.
    """

    poses: np.ndarray
    period: float
    clock: Literal['distance', 'seconds'] = 'distance'
    offset: float = 0.0

    def at(self, distance: float, seconds: float) -> np.ndarray:
        """Return the poses then, ``float32[P * 4, 3]``, interpolated between two steps."""
        count = len(self.poses)
        passed = distance if self.clock == 'distance' else seconds
        phase = (passed / self.period + self.offset) % 1.0 * count
        step = int(phase)
        share = np.float32(phase - step)
        now, then = self.poses[step % count], self.poses[(step + 1) % count]
        return (now + share * (then - now)).reshape(-1, 3)


def still(count: int = 1) -> Motion:
    """Return the motion of parts that stay as they are modelled."""
    pose = np.eye(4, 3, dtype=np.float32)
    return Motion(np.broadcast_to(pose, (1, count, 4, 3)), 1.0)


def motion(
    matrices: Sequence[np.ndarray],
    period: float,
    clock: Literal['distance', 'seconds'] = 'distance',
    offset: float = 0.0,
) -> Motion:
    """Make a motion of one ``[K, 4, 4]`` array of (column vector) matrices for each part."""
    poses = np.stack(matrices, 1)[:, :, :3].transpose(0, 1, 3, 2)
    return Motion(np.ascontiguousarray(poses, np.float32), period, clock, offset)


class Skin:
    """
    Collects pieces of mesh and the part, or the two parts, that each vertex follows.

    ``finish`` gives the mesh and the matrix that poses it.
    """

    def __init__(self, parts: int) -> None:
        self._parts = parts
        self._pieces: list[Mesh] = []
        self._rows: list[np.ndarray] = []

    def add(
        self,
        piece: Mesh,
        part: int,
        other: int | np.ndarray | None = None,
        share: Values = 0.0,
    ) -> None:
        """Add a piece; its vertices follow ``part``, by ``share`` ([V] or one) ``other``."""
        count = len(piece.vertices)
        points = np.concatenate([piece.vertices, np.ones((count, 1), np.float32)], 1)
        rows = np.zeros((count, self._parts, 4), np.float32)
        shares = np.broadcast_to(np.asarray(share, np.float32), count)
        rows[:, part] = (1 - shares)[:, None] * points
        if other is not None:
            rows[np.arange(count), other] += shares[:, None] * points
        self._pieces.append(piece)
        self._rows.append(rows.reshape(count, -1))

    def finish(self) -> tuple[Mesh, np.ndarray]:
        """Return the mesh and ``float32[V, 4 * parts]``: times the poses it gives vertices."""
        return merge(self._pieces), np.concatenate(self._rows)


class RiggedBody(Body):
    """
    A body whose parts move.

    The motions in their order make up the parts that the skin refers to.
    """

    def __init__(
        self,
        skin: Skin,
        motions: Sequence[Motion],
        class_id: int | None = None,
        speeds: tuple[float, float] = (0.0, 0.0),
        size: tuple[float, float, float] | None = None,
    ) -> None:
        mesh, self._weights = skin.finish()
        self._motions = tuple(motions)
        super().__init__(mesh, class_id, speeds, size)
        if size is None:
            self.size = extent(self.vertices(0.0, 0.0))

    def vertices(self, distance: float, seconds: float) -> np.ndarray:
        """Return the posed vertices, see ``Body.vertices``."""
        return self._weights @ self._poses(distance, seconds)

    def _poses(self, distance: float, seconds: float) -> np.ndarray:
        poses = [motion.at(distance, seconds) for motion in self._motions]
        return poses[0] if len(poses) == 1 else np.concatenate(poses)


class Standstill:
    """
    Tells whether a walker walks or stands, from the distances it has gone at what times.

    The times of the calls must not run backwards.
    """

    #: Seconds in which a walker comes to stand, and the other way round.
    SETTLE = 0.35

    def __init__(self) -> None:
        self._share = 1.0
        self._last: tuple[float, float] | None = None

    def walks(self, distance: float, seconds: float) -> float:
        """Return how much of the pose is a walker's: 1 walks, 0 stands, between them a blend."""
        if self._last is not None:
            passed = seconds - self._last[1]
            if passed > 0:
                moving = abs(distance - self._last[0]) > 0.05 * passed
                change = passed / self.SETTLE * (1 if moving else -1)
                self._share = min(max(self._share + change, 0.0), 1.0)
        self._last = distance, seconds
        return self._share * self._share * (3 - 2 * self._share)


def placed(rotation: np.ndarray, pivot: Values, now: Values) -> np.ndarray:
    """
    Return ``[K, 4, 4]`` matrices that turn around ``pivot`` and move it to ``now``.

    rotation: ``[K, 3, 3]``; pivot: ``[3]``; now: ``[3]`` or ``[K, 3]``.
    """
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


def rolling(
    centres: Sequence[tuple[float, float, float]], radius: float, offset: float = 0.0
) -> Motion:
    """Return the motion of wheels of one radius with these axles, which roll with the body."""
    turns = rotation(1, 2 * np.pi * np.arange(48) / 48)
    matrices = [placed(turns, centre, centre) for centre in centres]
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
