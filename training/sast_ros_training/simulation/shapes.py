# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Shapes to build bodies from: rectangles, boxes, tubes, discs, ellipsoids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sast_ros_training.simulation.mesh import assemble, cell_values, loft, Mesh, quad, Values
from sast_ros_training.simulation.rig import full_turn


def rectangle(x: Values, y: Values, z: Values, albedo: float = 0.5, emission: float = 0.0) -> Mesh:
    """
    Return a rectangle at right angles to an axis: one coordinate is a number, two are ranges.

    Its corners run from the start of the first range to its end, then along the second one.
    """
    first, second = [0, 1, 1, 0], [0, 0, 1, 1]
    orders = (first, second if np.ndim(x) else first, second)
    ends = (np.broadcast_to(np.asarray(value, float), 2) for value in (x, y, z))
    corners = [end[order] for end, order in zip(ends, orders, strict=True)]
    return quad(np.stack(corners, -1), albedo, emission)


def box(
    size: Values,
    centre: Values = (0.0, 0.0, 0.0),
    albedo: Values = 0.5,
    emission: Values = 0.0,
    top: float = 1.0,
) -> Mesh:
    """
    Return a cuboid: ``size`` and ``centre`` are ``[3]`` metres.

    The upper face is ``top`` times as long and wide as the lower one. Albedo and emission: one,
    or one for each of front, left, back, right, top, bottom.
    """
    signs = np.array(
        [(x, y, z) for z in (-1, 1) for x, y in ((1, -1), (1, 1), (-1, 1), (-1, -1))], np.float32
    )
    signs[4:, :2] *= top
    faces = [(0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7), (4, 5, 6, 7), (0, 1, 2, 3)]
    triangles = np.array(faces)[:, [0, 1, 2, 0, 2, 3]]
    vertices = signs * (np.asarray(size, np.float32) / 2) + np.asarray(centre, np.float32)
    return assemble(vertices, triangles, *cell_values((1, 6), albedo, emission))


def perpendicular(direction: Values) -> tuple[np.ndarray, np.ndarray]:
    """Return two unit vectors at right angles to ``direction`` ([3]) and to one another."""
    axis = np.asarray(direction, float)
    axis = axis / np.linalg.norm(axis)
    helper = (0.0, 1.0, 0.0) if abs(axis[1]) < 0.9 else (1.0, 0.0, 0.0)
    first = np.cross(helper, axis)
    first /= np.linalg.norm(first)
    return first, np.cross(axis, first)


def circle(centre: Values, first: Values, second: Values, sides: int) -> np.ndarray:
    """Return ``[sides, 3]`` points of an ellipse with the half axes ``first`` and ``second``."""
    angle = full_turn(sides)[:, None]
    half_axes = np.cos(angle) * np.asarray(first, float), np.sin(angle) * np.asarray(second, float)
    return np.asarray(centre, float) + half_axes[0] + half_axes[1]


def wheel_circle(sides: int) -> np.ndarray:
    """Return ``[sides, 3]`` points of the unit circle about the y axis."""
    angle = full_turn(sides)
    return np.stack([np.cos(angle), np.zeros(sides), np.sin(angle)], -1)


def tube(
    points: Sequence[Any] | np.ndarray,
    radii: Values,
    sides: int = 6,
    albedo: Values = 0.5,
    caps: tuple[bool, bool] = (True, True),
) -> Mesh:
    """
    Return a round tube along points ``[N, 3]`` with a radius (or one for each point, ``[N]``).

    Albedo as for ``loft``. The tube does not twist where it bends.
    """
    line = np.asarray(points, float)
    ends = np.vstack([2 * line[0] - line[1], line, 2 * line[-1] - line[-2]])
    steps = [step / (np.linalg.norm(step) + 1e-9) for step in np.diff(ends, axis=0)]
    widths = np.broadcast_to(np.asarray(radii, float), len(line))
    sections = []
    first, _ = perpendicular(line[-1] - line[0])
    for before, after, here, width in zip(steps[:-1], steps[1:], line, widths, strict=True):
        tangent = after + before
        tangent /= np.linalg.norm(tangent) + 1e-9
        first = first - tangent * (first @ tangent)
        first /= np.linalg.norm(first)
        sections.append(circle(here, first * width, np.cross(tangent, first) * width, sides))
    return loft(np.array(sections), albedo, caps=caps)


def disc(
    centre: Values,
    normal: Values,
    radius: float,
    sides: int = 10,
    albedo: Values = 0.5,
    emission: Values = 0.0,
) -> Mesh:
    """Return a flat disc of ``sides`` wedges; albedo: one, or one for each wedge."""
    first, second = perpendicular(normal)
    rim = circle(centre, first * radius, second * radius, sides)
    index = np.arange(sides)
    triangles = np.stack([np.full(sides, sides), index, (index + 1) % sides], -1)
    return assemble(np.vstack([rim, np.asarray(centre, float)]), triangles, albedo, emission)


def ring(
    centre: Values,
    normal: Values,
    inner: float,
    outer: float,
    sides: int = 12,
    albedo: Values = 0.5,
) -> Mesh:
    """Return a flat ring; albedo: one, or one for each sector ``[1, sides]``."""
    first, second = perpendicular(normal)
    rims = [circle(centre, first * radius, second * radius, sides) for radius in (inner, outer)]
    return loft(rims, albedo, caps=(False, False))


def ellipsoid(
    centre: Values,
    radii: Values,
    sides: int = 8,
    rings: int = 5,
    albedo: Values = 0.5,
    emission: Values = 0.0,
) -> Mesh:
    """
    Return an ellipsoid with an upright axis.

    Albedo: one value, or one for each cell ``[rings, sides]`` from bottom to top; the first
    column begins at the front and goes to the left.
    """
    middle, (long, wide, high) = np.asarray(centre, float), np.asarray(radii, float)
    latitude = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)
    # Poles of a tenth of the width keep all cells four-sided at two triangles' cost.
    shares = np.maximum(np.cos(latitude), 0.1)
    sections = [
        circle(middle + (0, 0, z), (long * share, 0, 0), (0, wide * share, 0), sides)
        for z, share in zip(high * np.sin(latitude), shares, strict=True)
    ]
    return loft(sections, albedo, emission, caps=(False, True))
