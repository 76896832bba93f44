# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Triangle meshes and the surfaces to build them from.

The order of a triangle's corners has no meaning: the renderer draws both sides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
from sast_ros.errors import SastError

Values = npt.ArrayLike

#: Emission ``float32[T]`` and texture coordinates ``float32[T, 3, 2]`` instead of those of a mesh.
Surface = tuple[np.ndarray, np.ndarray]


class MeshError(SastError, ValueError):
    """Arrays that do not make a mesh; the message names the one that is wrong."""


@dataclass(frozen=True)
class Mesh:
    """
    A triangle mesh and its materials.

    ``vertices`` ``float32[V, 3]`` are in metres, ``triangles`` ``int32[T, 3]`` indices of them.
    Each triangle has an ``albedo`` (0 to 1), an ``emission`` (luminance that it radiates; a white
    sunlit surface has 1), the index of the renderer's ``texture`` (``int16``, -1 for none) and the
    texture coordinates ``uv`` ``float32[T, 3, 2]`` of its corners, of which 1.0 is one repetition.

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


def textured(piece: Mesh, texture: int, tiles: float) -> Mesh:
    """
    Return the piece with a texture, of which ``tiles`` repetitions cover a metre.

    It is laid on from the side to which each triangle faces most.
    """
    corners = piece.vertices[piece.triangles]
    normal = np.abs(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    plane = np.array([(1, 2), (0, 2), (0, 1)])[normal.argmax(1)]
    uv = np.take_along_axis(corners, np.repeat(plane[:, None], 3, 1), 2) * np.float32(tiles)
    return replace(piece, texture=_each(texture, len(corners), np.int16), uv=uv)


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
    return assemble(points, cells, *cell_values((rows, columns), albedo, emission))


def cell_values(shape: tuple[int, int], *values: Values) -> list[np.ndarray]:
    """Return the values of cells for each of their two triangles."""
    return [
        np.repeat(np.broadcast_to(np.asarray(value, np.float32), shape).ravel(), 2)
        for value in values
    ]


def quad(corners: Values, albedo: float = 0.5, emission: float = 0.0) -> Mesh:
    """Return a four-sided face; corners ``[4, 3]`` in order around it."""
    a, b, c, d = np.asarray(corners, np.float32)
    return grid([[a, b], [d, c]], albedo, emission)


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
    pieces = [assemble(sections, cells, *cell_values(shape, shades, emission))]
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
