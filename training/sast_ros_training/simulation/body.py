# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Bodies, rigid or with parts that move.

Body coordinates: metres, x forward, y to the left, z up, origin on the ground below the middle.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sast_ros_training.simulation.mesh import merge, Mesh, Surface, Values
from sast_ros_training.simulation.rig import Motion

Size = tuple[float, float, float]


class Body:
    """
    An object in the world; this class is rigid, ``RiggedBody`` moves.

    ``class_id``: 0 pedestrian, 1 two-wheeler, 2 car, None for what has no label; ``speeds``:
    slowest and fastest usual speed in m/s; ``size``: length, width and height in metres, those of
    the vertices if left out. Its light changes ``flicker_hz`` times a second, 0 if it does not.
    """

    flicker_hz = 0.0

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

    def vertices(self, distance: float, seconds: float, walks: float = 1.0) -> np.ndarray:
        """
        Return the posed vertices in body coordinates, ``float32[V, 3]``.

        Wheels turn and legs step by ``distance``, the metres moved along the heading so far; sway,
        flutter and arms of those who stand by the time in ``seconds``. ``walks``: see
        ``Path.walks``.
        """
        return self.mesh.vertices

    def surface(self, seconds: float) -> Surface | None:
        """Return emission and texture coordinates at a time; None if they are the mesh's."""
        return None


def _extent(vertices: np.ndarray) -> Size:
    length, width, height = np.ptp(vertices, axis=0).tolist()
    return length, width, height


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
        self, piece: Mesh, part: int, other: int | np.ndarray | None = None, share: Values = 0.0
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

    def vertices(self, distance: float, seconds: float, walks: float = 1.0) -> np.ndarray:
        """Return the posed vertices, see ``Body.vertices``."""
        return self._weights @ self._poses(distance, seconds, walks)

    def _poses(self, distance: float, seconds: float, walks: float) -> np.ndarray:
        poses = [motion.at(distance, seconds) for motion in self._motions]
        return poses[0] if len(poses) == 1 else np.concatenate(poses)
