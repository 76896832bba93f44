"""
Triangle meshes and the shapes to build them from.

The order of a triangle's corners has no meaning: the renderer draws both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sast_ros.errors import SastError

Values = npt.ArrayLike


class MeshError(SastError, ValueError):
    """Arrays that do not make a mesh; the message names the one that is wrong."""


@dataclass(frozen=True)
class Mesh:
    """
    A triangle mesh and its materials.

    Attributes
    ----------
    vertices : float32[V, 3]
        Positions in metres.
    triangles : int32[T, 3]
        Corners as indices of vertices.
    albedo : float32[T]
        Reflectance, 0 to 1.
    emission : float32[T]
        Luminance that the triangle radiates; a white sunlit surface has 1.
    texture : int16[T]
        Index of the renderer's texture, -1 for none.
    uv : float32[T, 3, 2]
        Texture coordinates of the corners; 1.0 is one repetition.

    Raises
    ------
    MeshError
        When an array has another shape, or a corner is not one of the vertices.

    """

    vertices: np.ndarray
    triangles: np.ndarray
    albedo: np.ndarray
    emission: np.ndarray
    texture: np.ndarray
    uv: np.ndarray

    def __post_init__(self) -> None:
        """Check the arrays against one another."""
        count = len(self.triangles)
        shapes = ((len(self.vertices), 3), (count, 3), (count,), (count,), (count,), (count, 3, 2))
        for field, shape in zip(fields(self), shapes, strict=True):
            found = getattr(self, field.name).shape
            if found != shape:
                raise MeshError(f'{field.name} of a mesh has the shape {found}; make it {shape}')
        if count and not 0 <= self.triangles.min() <= self.triangles.max() < len(self.vertices):
            raise MeshError(
                f'a triangle uses vertex {self.triangles.max()} of a mesh of '
                f'{len(self.vertices)} vertices; use 0 to {len(self.vertices) - 1}'
            )

    def moved(self, offset: Values) -> Mesh:
        """Return the mesh shifted by ``offset`` ([3] metres)."""
        return replace(self, vertices=self.vertices + np.asarray(offset, np.float32))

    def rotated(self, matrix: Values) -> Mesh:
        """Return the mesh with every vertex multiplied by a ``[3, 3]`` matrix."""
        return replace(self, vertices=self.vertices @ np.asarray(matrix, np.float32).T)

    def mirrored(self) -> Mesh:
        """Return the mesh of the other side: y changes its sign."""
        return replace(self, vertices=self.vertices * np.array((1, -1, 1), np.float32))


def _each(values: Values, count: int, dtype: npt.DTypeLike = np.float32) -> np.ndarray:
    """Return ``[count]`` values from one for all or one for each."""
    return np.ascontiguousarray(np.broadcast_to(np.asarray(values, dtype), (count,)))


def assemble(
    vertices: Values,
    triangles: Values,
    albedo: Values,
    emission: Values = 0.0,
    texture: Values = -1,
    uv: np.ndarray | None = None,
) -> Mesh:
    """
    Make a mesh from vertices ``[V, 3]`` and triangles ``[T, 3]``.

    ``albedo``, ``emission`` and ``texture`` are one value or one for each triangle.
    """
    corners = np.ascontiguousarray(np.asarray(triangles, np.int32).reshape(-1, 3))
    count = len(corners)
    return Mesh(
        np.ascontiguousarray(np.asarray(vertices, np.float32).reshape(-1, 3)),
        corners,
        _each(albedo, count),
        _each(emission, count),
        _each(texture, count, np.int16),
        np.zeros((count, 3, 2), np.float32) if uv is None else np.asarray(uv, np.float32),
    )


def merge(meshes: Iterable[Mesh]) -> Mesh:
    """Return one mesh of many, their vertices and triangles in the given order."""
    pieces = list(meshes)
    if not pieces:
        return assemble(np.zeros((0, 3)), np.zeros((0, 3)), 0.0)
    joined = {
        field.name: np.concatenate([getattr(piece, field.name) for piece in pieces])
        for field in fields(Mesh)
    }
    starts = np.cumsum([0] + [len(piece.vertices) for piece in pieces[:-1]], dtype=np.int32)
    joined['triangles'] += np.repeat(starts, [len(piece.triangles) for piece in pieces])[:, None]
    return Mesh(**joined)


def both_sides(piece: Mesh) -> Mesh:
    """Return the piece and its mirror image on the other side."""
    return merge([piece, piece.mirrored()])


def grid(points: Values, albedo: Values = 0.5, emission: Values = 0.0) -> Mesh:
    """
    Return the surface through rows and columns of points ``[R, C, 3]``: two triangles a cell.

    Albedo and emission: one value, one for each row of cells ``[R - 1, 1]``, or one for each cell.
    """
    points = np.asarray(points, np.float32)
    rows, columns = points.shape[0] - 1, points.shape[1] - 1
    a = np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)
    b, c, d = a + 1, a + columns + 2, a + columns + 1
    cells = np.stack([a, b, c, a, c, d], -1)
    return assemble(points, cells, *_cell_values((rows, columns), albedo, emission))


def _cell_values(shape: tuple[int, int], *values: Values) -> list[np.ndarray]:
    """Return the values of cells for each of their two triangles."""
    return [
        np.repeat(np.broadcast_to(np.asarray(value, np.float32), shape).ravel(), 2)
        for value in values
    ]


def quad(corners: Values, albedo: float = 0.5, emission: float = 0.0) -> Mesh:
    """Return a four-sided face; corners ``[4, 3]`` in order around it."""
    a, b, c, d = np.asarray(corners, np.float32)
    return grid([[a, b], [d, c]], albedo, emission)


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
    return assemble(vertices, triangles, *_cell_values((1, 6), albedo, emission))


def perpendicular(direction: Values) -> tuple[np.ndarray, np.ndarray]:
    """Return two unit vectors at right angles to ``direction`` ([3]) and to one another."""
    axis = np.asarray(direction, float)
    axis = axis / np.linalg.norm(axis)
    helper = (0.0, 1.0, 0.0) if abs(axis[1]) < 0.9 else (1.0, 0.0, 0.0)
    first = np.cross(helper, axis)
    first /= np.linalg.norm(first)
    return first, np.cross(axis, first)


def full_turn(count: int) -> np.ndarray:
    """Return ``float64[count]`` angles that divide a full turn evenly, from 0."""
    return 2 * np.pi * np.arange(count) / count


def circle(centre: Values, first: Values, second: Values, sides: int) -> np.ndarray:
    """Return ``[sides, 3]`` points of an ellipse with the half axes ``first`` and ``second``."""
    angle = full_turn(sides)[:, None]
    half_axes = np.cos(angle) * np.asarray(first, float), np.sin(angle) * np.asarray(second, float)
    return np.asarray(centre, float) + half_axes[0] + half_axes[1]


def wheel_circle(sides: int) -> np.ndarray:
    """Return ``[sides, 3]`` points of the unit circle about the y axis."""
    angle = full_turn(sides)
    return np.stack([np.cos(angle), np.zeros(sides), np.sin(angle)], -1)


def loft(
    sections: Values,
    albedo: Values = 0.5,
    emission: Values = 0.0,
    caps: tuple[bool, bool] = (True, True),
) -> Mesh:
    """
    Return the closed skin around cross-sections ``[N, M, 3]``.

    Albedo and emission: one value, one for each gap between sections ``[N - 1, 1]``, or one for
    each cell ``[N - 1, M]``. ``caps`` closes the first and last section with fans.
    """
    sections = np.asarray(sections, np.float32)
    count, around = sections.shape[:2]
    here = np.arange(around) + around * np.arange(count - 1)[:, None]
    then = np.roll(here, -1, 1)
    cells = np.stack([here, then, then + around, here, then + around, here + around], -1)
    shape = count - 1, around
    shades = np.broadcast_to(np.asarray(albedo, np.float32), shape)
    pieces = [assemble(sections, cells, *_cell_values(shape, shades, emission))]
    pieces += [
        fan(sections[end], float(shades[end].mean()))
        for end, wanted in zip((0, -1), caps, strict=True)
        if wanted
    ]
    return merge(pieces)


def fan(points: Values, albedo: Values = 0.5) -> Mesh:
    """Return the convex polygon with these corners ``[M, 3]``."""
    points = np.asarray(points, np.float32)
    index = np.arange(1, len(points) - 1)
    return assemble(points, np.stack([np.zeros_like(index), index, index + 1], -1), albedo)


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
