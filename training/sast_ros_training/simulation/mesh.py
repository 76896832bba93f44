"""
Triangle meshes, the shapes to build them from, and the bodies that wear them.

Body coordinates: metres, x forward, y to the left, z up, origin on the ground below the middle.
The order of a triangle's corners means nothing: the renderer draws both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from sast_ros.errors import SastError

Values = npt.ArrayLike


class MeshError(SastError, ValueError):
    """Arrays that do not make a mesh; the message names the one that is wrong."""


@dataclass(frozen=True)
class Mesh:
    """
    A triangle mesh and what it is made of.

    vertices: ``float32[V, 3]`` in metres.
    triangles: ``int32[T, 3]`` corners, indices of vertices.
    albedo: ``float32[T]`` reflectance, 0 to 1.
    emission: ``float32[T]`` luminance that the triangle radiates, 1 is a white sunlit surface.
    texture: ``int16[T]`` index into the renderer's textures, -1 for none.
    uv: ``float32[T, 3, 2]`` texture coordinates of the corners, 1.0 is one repetition.

    Raises
    ------
    MeshError: an array of another shape, or a triangle with a vertex that does not exist.

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
        shapes = {
            'vertices': (len(self.vertices), 3),
            'triangles': (count, 3),
            'albedo': (count,),
            'emission': (count,),
            'texture': (count,),
            'uv': (count, 3, 2),
        }
        for name, shape in shapes.items():
            found = getattr(self, name).shape
            if found != shape:
                raise MeshError(f'{name} of a mesh has the shape {found}; make it {shape}')
        if count and not 0 <= self.triangles.min() <= self.triangles.max() < len(self.vertices):
            raise MeshError(
                f'a triangle uses vertex {self.triangles.max()} of a mesh of '
                f'{len(self.vertices)} vertices; use 0 to {len(self.vertices) - 1}'
            )

    def moved(self, offset: Values) -> Mesh:
        """Return the mesh shifted by ``offset`` ([3] metres)."""
        return replace(self, vertices=self.vertices + np.asarray(offset, np.float32))

    def transformed(self, matrix: Values) -> Mesh:
        """Return the mesh with every vertex multiplied by a ``[3, 3]`` or ``[3, 4]`` matrix."""
        matrix = np.asarray(matrix, np.float32)
        vertices = self.vertices @ matrix[:, :3].T
        if matrix.shape[1] == 4:
            vertices = vertices + matrix[:, 3]
        return replace(self, vertices=vertices.astype(np.float32))

    def mirrored(self) -> Mesh:
        """Return the mesh of the other side: y changes its sign."""
        return replace(self, vertices=self.vertices * np.array((1, -1, 1), np.float32))

    def painted(self, albedo: Values, emission: Values | None = None) -> Mesh:
        """Return the mesh with another albedo (and emission), one for all or one per triangle."""
        count = len(self.triangles)
        return replace(
            self,
            albedo=_each(albedo, count),
            emission=self.emission if emission is None else _each(emission, count),
        )


class Body:
    """
    A thing in the world; this one is rigid, ``rig.RiggedBody`` moves.

    class_id: 0 pedestrian, 1 two-wheeler, 2 car, None for a thing that no label names.
    mesh: topology and materials; ``vertices`` gives the pose.
    size: length, width and height in metres.
    speeds: slowest and fastest usual speed in m/s; (0, 0) stands still.
    """

    def __init__(
        self,
        mesh: Mesh,
        class_id: int | None = None,
        speeds: tuple[float, float] = (0.0, 0.0),
        size: tuple[float, float, float] | None = None,
    ) -> None:
        self.mesh = mesh
        self.class_id = class_id
        self.speeds = speeds
        self.size = extent(mesh.vertices) if size is None else size

    def vertices(self, distance: float, seconds: float) -> np.ndarray:
        """
        Return the posed vertices in body coordinates, ``float32[V, 3]``.

        Parameters
        ----------
        distance:
            metres moved along the heading so far: wheels turn and legs step by it.
        seconds:
            time for everything else: sway, flutter, arms of those who stand.

        """
        return self.mesh.vertices


def extent(vertices: np.ndarray) -> tuple[float, float, float]:
    """Return length, width and height of a cloud of vertices ``[V, 3]``."""
    length, width, height = np.ptp(vertices, axis=0).tolist()
    return length, width, height


def _each(values: Values, count: int) -> np.ndarray:
    """``float32[count]`` from one value for all or one for each."""
    return np.ascontiguousarray(np.broadcast_to(np.asarray(values, np.float32), (count,)))


def assemble(
    vertices: Values,
    triangles: Values,
    albedo: Values,
    emission: Values = 0.0,
    texture: int = -1,
    uv: np.ndarray | None = None,
) -> Mesh:
    """
    Make a mesh from vertices ``[V, 3]`` and triangles ``[T, 3]``.

    ``albedo`` and ``emission`` are one value or one per triangle; ``uv`` is ``[T, 3, 2]``.
    """
    corners = np.ascontiguousarray(np.asarray(triangles, np.int32).reshape(-1, 3))
    count = len(corners)
    return Mesh(
        np.ascontiguousarray(np.asarray(vertices, np.float32).reshape(-1, 3)),
        corners,
        _each(albedo, count),
        _each(emission, count),
        np.full(count, texture, np.int16),
        np.zeros((count, 3, 2), np.float32) if uv is None else np.asarray(uv, np.float32),
    )


def merge(meshes: Iterable[Mesh]) -> Mesh:
    """Return one mesh of many, their vertices and triangles in the given order."""
    pieces = list(meshes)
    if not pieces:
        return assemble(np.zeros((0, 3)), np.zeros((0, 3)), 0.0)
    starts = np.cumsum([0] + [len(piece.vertices) for piece in pieces[:-1]])
    return Mesh(
        np.concatenate([piece.vertices for piece in pieces]),
        np.concatenate(
            [
                piece.triangles + np.int32(start)
                for piece, start in zip(pieces, starts, strict=True)
            ]
        ),
        np.concatenate([piece.albedo for piece in pieces]),
        np.concatenate([piece.emission for piece in pieces]),
        np.concatenate([piece.texture for piece in pieces]),
        np.concatenate([piece.uv for piece in pieces]),
    )


def grid(
    points: Values,
    albedo: Values = 0.5,
    emission: Values = 0.0,
    keep: npt.ArrayLike | None = None,
    texture: int = -1,
    repeat: tuple[float, float] = (1.0, 1.0),
) -> Mesh:
    """
    Return the surface through rows and columns of points: two triangles a cell.

    Parameters
    ----------
    points:
        ``[R, C, 3]`` metres.
    albedo, emission:
        one value, or one per cell ``[R - 1, C - 1]``.
    keep:
        ``bool[R - 1, C - 1]``: cells to make; all if left out.
    texture, repeat:
        a texture of the renderer and how often it repeats along the columns and the rows.

    """
    points = np.asarray(points, np.float32)
    rows, columns = points.shape[0] - 1, points.shape[1] - 1
    corner = np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)
    a, b, c, d = corner, corner + 1, corner + columns + 2, corner + columns + 1
    cells = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], 2)
    chosen = np.ones((rows, columns), bool) if keep is None else np.asarray(keep, bool)
    light, glow = (
        np.repeat(np.broadcast_to(np.asarray(value, np.float32), (rows, columns))[chosen], 2)
        for value in (albedo, emission)
    )
    triangles = cells[chosen].reshape(-1, 3)
    uv = None
    if texture >= 0:
        u, v = np.meshgrid(
            np.linspace(0, repeat[0], columns + 1), np.linspace(repeat[1], 0, rows + 1)
        )
        uv = np.stack([u.ravel(), v.ravel()], -1)[triangles].astype(np.float32)
    return assemble(points, triangles, light, glow, texture, uv)


def quad(
    corners: Values,
    albedo: float = 0.5,
    emission: float = 0.0,
    texture: int = -1,
    repeat: tuple[float, float] = (1.0, 1.0),
) -> Mesh:
    """Return a four-sided face; corners ``[4, 3]`` in order around it."""
    a, b, c, d = np.asarray(corners, np.float32)
    return grid([[a, b], [d, c]], albedo, emission, None, texture, repeat)


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
    half = np.asarray(size, np.float32) / 2
    signs = np.array(
        [(x, y, z) for z in (-1, 1) for x, y in ((1, -1), (1, 1), (-1, 1), (-1, -1))], np.float32
    )
    signs[4:, :2] *= top
    faces = [(0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7), (4, 5, 6, 7), (0, 1, 2, 3)]
    triangles = [(f[i], f[j], f[k]) for f in faces for i, j, k in ((0, 1, 2), (0, 2, 3))]
    albedo, emission = (
        np.repeat(np.broadcast_to(np.asarray(value, np.float32), 6), 2)
        for value in (albedo, emission)
    )
    return assemble(signs * half + np.asarray(centre, np.float32), triangles, albedo, emission)


def across(direction: Values) -> tuple[np.ndarray, np.ndarray]:
    """Return two unit vectors at right angles to ``direction`` ([3]) and to one another."""
    axis = np.asarray(direction, float)
    axis = axis / np.linalg.norm(axis)
    helper = (0.0, 1.0, 0.0) if abs(axis[1]) < 0.9 else (1.0, 0.0, 0.0)
    first = np.cross(helper, axis)
    first /= np.linalg.norm(first)
    return first, np.cross(axis, first)


def circle(
    centre: Values, first: Values, second: Values, sides: int, turn: float = 0.0
) -> np.ndarray:
    """Return ``[sides, 3]`` points of an ellipse with the half axes ``first`` and ``second``."""
    angle = turn + 2 * np.pi * np.arange(sides) / sides
    return (
        np.asarray(centre, float)
        + np.cos(angle)[:, None] * np.asarray(first, float)
        + np.sin(angle)[:, None] * np.asarray(second, float)
    )


def loft(
    sections: Values,
    albedo: Values = 0.5,
    emission: Values = 0.0,
    caps: tuple[bool, bool] = (True, True),
    cap_albedo: float | None = None,
) -> Mesh:
    """
    Return the closed skin around cross-sections ``[N, M, 3]``.

    Albedo and emission: one value, one per gap between sections ``[N - 1, 1]``, or one per cell
    ``[N - 1, M]``. ``caps`` closes the first and last section with fans.
    """
    sections = np.asarray(sections, np.float32)
    count, around = sections.shape[:2]
    here = np.arange(around) + around * np.arange(count - 1)[:, None]
    then = np.roll(here, -1, 1)
    cells = np.stack([here, then, then + around, here, then + around, here + around], -1)
    shades, glow = (
        np.broadcast_to(np.asarray(value, np.float32), (count - 1, around))
        for value in (albedo, emission)
    )
    light, shine = np.repeat(shades.ravel(), 2), np.repeat(glow.ravel(), 2)
    pieces = [assemble(sections, cells, light, shine)]
    for end, wanted in ((0, caps[0]), (-1, caps[1])):
        if wanted:
            shade = float(shades[end].mean()) if cap_albedo is None else cap_albedo
            pieces.append(fan(sections[end], shade))
    return merge(pieces)


def fan(points: Values, albedo: Values = 0.5, emission: Values = 0.0) -> Mesh:
    """Return the convex polygon with these corners ``[M, 3]``."""
    points = np.asarray(points, np.float32)
    index = np.arange(1, len(points) - 1)
    triangles = np.stack([np.zeros_like(index), index, index + 1], -1)
    return assemble(points, triangles, albedo, emission)


def tube(
    points: Sequence[Values],
    radii: Values,
    sides: int = 6,
    albedo: Values = 0.5,
    emission: Values = 0.0,
    caps: tuple[bool, bool] = (True, True),
) -> Mesh:
    """
    Return a round tube along points ``[N, 3]`` with a radius (or one per point, ``[N]``).

    Albedo as for ``loft``. The tube does not twist where it bends.
    """
    line = np.asarray(points, float)
    ends = np.vstack([2 * line[0] - line[1], line, 2 * line[-1] - line[-2]])
    widths = np.broadcast_to(np.asarray(radii, float), len(line))
    sections = []
    first, _ = across(line[-1] - line[0])
    for before, here, after, width in zip(ends[:-2], line, ends[2:], widths, strict=True):
        tangent = (after - here) / (np.linalg.norm(after - here) + 1e-9) + (here - before) / (
            np.linalg.norm(here - before) + 1e-9
        )
        tangent /= np.linalg.norm(tangent) + 1e-9
        first = first - tangent * (first @ tangent)
        first /= np.linalg.norm(first)
        sections.append(circle(here, first * width, np.cross(tangent, first) * width, sides))
    return loft(np.array(sections), albedo, emission, caps)


def capsule(
    start: Values,
    end: Values,
    radius: float,
    end_radius: float | None = None,
    sides: int = 6,
    albedo: Values = 0.5,
) -> Mesh:
    """Return a limb: a tapered tube from ``start`` to ``end`` with rounded ends."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    axis = (b - a) / np.linalg.norm(b - a)
    last = radius if end_radius is None else end_radius
    points = [a - axis * radius * 0.75, a, b, b + axis * last * 0.75]
    return tube(points, (radius * 0.55, radius, last, last * 0.55), sides, albedo)


def cylinder(
    start: Values, end: Values, radius: float, sides: int = 8, albedo: Values = 0.5
) -> Mesh:
    """Return a cylinder between the middles of its two flat ends."""
    return tube([start, end], radius, sides, albedo)


def disc(
    centre: Values,
    normal: Values,
    radius: float,
    sides: int = 10,
    albedo: Values = 0.5,
    emission: Values = 0.0,
) -> Mesh:
    """Return a flat disc of ``sides`` wedges; albedo: one, or one per wedge."""
    first, second = across(normal)
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
    """Return a flat ring; albedo: one, or one per sector ``[1, sides]``."""
    first, second = across(normal)
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

    Albedo: one value, or one per cell ``[rings, sides]`` from bottom to top; the first column
    begins at the front and goes to the left.
    """
    latitude = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)
    # Poles of a tenth of the width keep all cells four-sided at two triangles' cost.
    width = np.maximum(np.cos(latitude), 0.1)
    half = np.asarray(radii, float)
    sections = [
        circle(
            np.asarray(centre, float) + (0, 0, half[2] * np.sin(angle)),
            (half[0] * share, 0, 0),
            (0, half[1] * share, 0),
            sides,
        )
        for angle, share in zip(latitude, width, strict=True)
    ]
    return loft(sections, albedo, emission, caps=(False, True))
