# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Flat surfaces that reflect: wet roads, puddles, water, shop windows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from sast_ros_training.simulation.draws import log_uniform, log_uniforms
from sast_ros_training.simulation.mesh import assemble, merge, Mesh
from sast_ros_training.simulation.shapes import rectangle
from sast_ros_training.simulation.street import Street

#: Owner of what reflects while a picture is drawn; none of the pictures handed out has it.
MIRROR_OWNER = 255


@dataclass(frozen=True)
class Mirror:
    """
    A plane and the surface in it that reflects.

    ``normal`` (unit vector, towards the side that is reflected) and ``offset`` (metres) of the
    plane; ``mesh``: the surface, drawn with ``MIRROR_OWNER``; ``strength``: share of its light
    that is reflected. ``ripples`` ``float64[N, 4]``: pixels, rad/pixel along rows, rad/pixel along
    columns, rad/s by which waves move the reflection up and down.
    """

    normal: np.ndarray
    offset: float
    mesh: Mesh
    strength: float
    ripples: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))

    def pose(self, pose: np.ndarray) -> np.ndarray:
        """Return the pose ``float32[3, 4]`` from which the camera would see the mirrored world."""
        flip = np.eye(3) - 2 * np.outer(self.normal, self.normal)
        shift = 2 * self.offset * self.normal
        rotation = pose[:, :3] @ flip
        return np.concatenate(
            [rotation, (pose[:, :3] @ shift + pose[:, 3])[:, None]], axis=1
        ).astype(np.float32)

    def reflects(self, spheres: np.ndarray) -> np.ndarray:
        """Whether the centre of each sphere ``[N, 4]`` is on the side that is reflected."""
        return spheres[:, :3] @ self.normal > self.offset + 0.05

    def apply(
        self, picture: np.ndarray, owners: np.ndarray, mirrored: np.ndarray, seconds: float
    ) -> None:
        """Mix the mirrored picture into a picture where it shows the surface, in place."""
        height, width = picture.shape
        rows, columns = np.nonzero(owners == MIRROR_OWNER)
        if not len(rows):
            return
        source, bright = rows.astype(np.float32), np.ones(len(rows), np.float32)
        for size, along_rows, along_columns, rate in self.ripples.astype(np.float32):
            wave = np.sin(along_rows * rows + along_columns * columns + np.float32(rate * seconds))
            source += size * wave
            bright += np.float32(0.04) * size * wave
        seen = mirrored[np.clip(np.rint(source), 0, height - 1).astype(np.intp), columns]
        share = np.float32(self.strength)
        kept = picture[rows, columns]
        picture[rows, columns] = kept + share * (np.maximum(bright, 0.2) * seen - kept)


def _ripples(rng: np.random.Generator, size: tuple[int, int], largest: float) -> np.ndarray:
    """Return waves of 3 to 40 pixels that run downwards or upwards in the picture."""
    count, unit = int(rng.integers(2, 5)), max(1.0, size[0] / 240)
    length = log_uniforms(rng, 3, 40, count) * unit
    amplitude = rng.uniform(0.1, 1.0, count) * largest * unit
    slope = rng.normal(0, 0.3, count)
    rates = rng.uniform(2, 14, count) * rng.choice((-1, 1), count)
    wave = 2 * np.pi / length
    return np.stack([amplitude, wave, wave * slope, rates], -1)


def make_wet_ground(rng: np.random.Generator, size: tuple[int, int], street: Street) -> Mirror:
    """Return puddles on and beside the road, or all of it wet."""
    if rng.random() < 0.4:
        meshes = [rectangle((-400, 400), (-street.kerb, street.kerb), 0.004)]
        strength = rng.uniform(0.08, 0.35)
    else:
        strength = rng.uniform(0.2, 0.7)
        meshes = []
        for _ in range(rng.integers(4, 25)):
            angle = np.linspace(0, 2 * np.pi, 13)[:12]
            rim = rng.uniform(0.6, 1.2, 12) * log_uniform(rng, 0.3, 2.5)
            x, y = rng.uniform(-25, 25), rng.uniform(-street.kerb, street.kerb)
            points = np.stack(
                [x + 1.8 * rim * np.cos(angle), y + rim * np.sin(angle), np.full(12, 0.006)], -1
            )
            turn = [(12, k, (k + 1) % 12) for k in range(12)]
            meshes.append(assemble(np.vstack([points, (x, y, 0.006)]), turn, 0.1))
    waves = _ripples(rng, size, rng.uniform(0, 1.5))
    mesh = merge(meshes)
    return Mirror(np.array((0.0, 0.0, 1.0)), 0.0, mesh, float(strength), waves)


def make_water(rng: np.random.Generator, size: tuple[int, int], street: Street) -> Mirror:
    """Return a canal, pond or basin along one side of the road, with ripples."""
    side, start = rng.choice((-1, 1)), rng.uniform(-30, 10)
    near = street.road + rng.uniform(0.3, 1.5)
    far = near + rng.uniform(2, 40)
    long = (start, start + rng.uniform(10, 120))
    mesh = rectangle(long, (side * near, side * far), 0.012, rng.uniform(0.03, 0.2))
    waves = _ripples(rng, size, rng.uniform(0.5, 4.0))
    return Mirror(np.array((0.0, 0.0, 1.0)), 0.0, mesh, float(rng.uniform(0.3, 0.8)), waves)


def make_windows(rng: np.random.Generator, size: tuple[int, int], street: Street) -> Mirror:
    """Return panes of glass, those of shops or of a bus stop, along one side of the road."""
    side = int(rng.choice((-1, 1)))
    front = street.front[0] if side > 0 else street.front[1]
    y = side * max(front - 0.3, street.road + 0.5)
    wide, gap = rng.uniform(1.0, 4.0), rng.uniform(0.1, 1.0)
    low, high = rng.uniform(0.1, 0.9), rng.uniform(1.8, 4.0)
    shade = rng.uniform(0.03, 0.25)
    panes = [
        rectangle((x, x + wide), y, (low, high), shade) for x in np.arange(-30, 30, wide + gap)
    ]
    normal = np.array((0.0, -float(side), 0.0))
    strength = float(rng.uniform(0.15, 0.6))
    return Mirror(normal, -side * y, merge(panes), strength, np.zeros((0, 4)))


MIRRORS = {'wet ground': make_wet_ground, 'water': make_water, 'windows': make_windows}
