"""
Bodies, rigid or with parts whose poses repeat over a distance or a time.

Body coordinates: metres, x forward, y to the left, z up, origin on the ground below the middle.
All poses of one period are computed in advance; a posed body then costs one interpolation and one
small matrix product, whatever its number of joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from sast_ros_training.simulation.mesh import full_turn, merge, Mesh, Values

Clock = Literal['distance', 'seconds']
Size = tuple[float, float, float]

#: In which a walker comes to stand, and the other way round.
_SETTLE_SECONDS = 0.35


class Body:
    """
    An object in the world; this class is rigid, ``RiggedBody`` moves.

    Parameters
    ----------
    mesh : Mesh
        Topology and materials; ``vertices`` gives the pose.
    class_id : int or None
        0 pedestrian, 1 two-wheeler, 2 car, None for what has no label.
    speeds : tuple of float
        Slowest and fastest usual speed in m/s; (0, 0) stands still.
    size : tuple of float, optional
        Length, width and height in metres; those of the vertices if left out.

    """

    def __init__(
        self,
        mesh: Mesh,
        class_id: int | None = None,
        speeds: tuple[float, float] = (0.0, 0.0),
        size: Size | None = None,
    ) -> None:
        self.mesh = mesh
        self.class_id = class_id
        self.speeds = speeds
        self.size = size or _extent(mesh.vertices)

    def vertices(self, distance: float, seconds: float) -> np.ndarray:
        """
        Return the posed vertices in body coordinates, ``float32[V, 3]``.

        Parameters
        ----------
        distance : float
            Metres moved along the heading so far: wheels turn and legs step by it.
        seconds : float
            Time for everything else: sway, flutter, arms of those who stand.

        """
        return self.mesh.vertices


def _extent(vertices: np.ndarray) -> Size:
    length, width, height = np.ptp(vertices, axis=0).tolist()
    return length, width, height


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


class Skin:
    """
    Collects pieces of mesh and the part, or the two parts, that each vertex follows.

    Those that are given at once are the first parts, ``more`` is the number of further parts.
    ``finish`` gives the mesh and the matrix that poses it.
    """

    def __init__(self, pieces: Sequence[Mesh] = (), more: int = 0) -> None:
        self._parts = len(pieces) + more
        self._pieces: list[Mesh] = []
        self._rows: list[np.ndarray] = []
        for part, piece in enumerate(pieces):
            self.add(piece, part)

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
        size: Size | None = None,
    ) -> None:
        mesh, self._weights = skin.finish()
        self._motions = tuple(motions)
        super().__init__(mesh, class_id, speeds, size)
        self.size = size or _extent(self.vertices(0.0, 0.0))

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

    def __init__(self) -> None:
        self._share = 1.0
        self._last: tuple[float, float] | None = None

    def walks(self, distance: float, seconds: float) -> float:
        """Return how much of the pose is a walker's: 1 walks, 0 stands, between them a blend."""
        if self._last is not None:
            passed = seconds - self._last[1]
            if passed > 0:
                moving = abs(distance - self._last[0]) > 0.05 * passed
                change = passed / _SETTLE_SECONDS * (1 if moving else -1)
                self._share = min(max(self._share + change, 0.0), 1.0)
        self._last = distance, seconds
        return self._share * self._share * (3 - 2 * self._share)


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
