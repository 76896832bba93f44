# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Software renderer of the simulation: triangles to luminance and owners of pixels.

Made for event cameras: four samples a pixel on a rotated grid, so that edges move through pixels
in small steps, trilinear mip-maps, so that textures do not flicker while the camera moves, and a
kept background, so that a picture of a static camera costs only what moves in it. The same calls
give the same bytes on every machine. The loops are in kernels/render.c.

World coordinates are metres, z up; camera coordinates x right, y down, z forward; pixel (c, r)
covers [c, c + 1) x [r, r + 1) of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
import ctypes
from typing import NamedTuple

import numpy as np
from sast_ros.kernels import pointer
from sast_ros_training.kernels import library
from sast_ros_training.simulation.mesh import Mesh, Surface

_LANES = 16  # LANES in render.c
_ROWS = 8  # ROWS in render.c
_MAX_SIDE = 4096  # of a texture
_SAMPLE_X = (0.375, 0.875, 0.125, 0.625)  # sample_x in render.c
_INT64 = ctypes.c_int64


_RECORD = np.dtype((np.void, 64))
_TEXTURE = np.dtype([('log_size', 'i4'), ('base', 'i4'), ('scale', 'f4'), ('tile', 'f4', 2)])


def _allocate(height: int, width: int) -> dict[str, np.ndarray]:
    """Return the arrays that ``struct picture`` of render.c points to, in its order."""
    stride = -(-width // _LANES) * _LANES
    blocks = stride // _LANES
    samples = 4 * height * stride + _LANES  # the last span may reach beyond the last row
    rows = 4 * height + _ROWS
    return {
        'depth': np.zeros(samples, np.float32),
        'numbers': np.zeros(samples, np.uint32),
        'kept_depth': np.zeros(samples, np.float32),
        'kept_numbers': np.zeros(samples, np.uint32),
        'records': np.zeros(4096, _RECORD),
        'owners': np.zeros(4096, np.uint8),
        'touched': np.zeros((height, blocks), np.uint8),
        'stale': np.zeros((height, blocks), np.uint8),
        'luminance': np.zeros((height, width), np.float32),
        'shown': np.zeros((height, width), np.uint8),
        'kept_luminance': np.zeros((height, width), np.float32),
        'kept_shown': np.zeros((height, width), np.uint8),
        'textures': np.zeros(0, _TEXTURE),
        'texels': np.zeros(1, np.uint32),
        'sample_columns': np.resize(_SAMPLE_X, rows),
        'first': np.zeros(rows, np.int32),
        'end': np.zeros(rows, np.int32),
        'base': np.zeros(rows, np.float32),
        'vertices': np.zeros((1024, 3), np.float32),
        'points': np.zeros((6, 1024), np.float64),
        'kind': np.zeros(stride + 1, np.uint8),
        'cover': np.zeros((4 * height, stride // 64 + 1), np.uint64),
    }


class _Picture(ctypes.Structure):
    """Mirror of ``struct picture`` in render.c."""

    _fields_ = [
        *((name, _INT64) for name in ('height', 'width', 'stride', 'blocks')),
        ('focal', ctypes.c_double),
        ('camera', ctypes.c_double * 12),
        ('body', ctypes.c_double * 12),
        ('sun', ctypes.c_double * 3),
        *((name, ctypes.c_double) for name in ('sun_strength', 'ambient')),
        *((name, _INT64) for name in ('count', 'kept_count')),
        *((name, ctypes.c_void_p) for name in _allocate(1, 1)),
    ]


class _Material(NamedTuple):
    """What a mesh hands to ``sast_render_draw``; holds the mesh so that its id stays taken."""

    mesh: Mesh
    arrays: tuple[np.ndarray, ...]
    triangle_count: int
    pointers: tuple[int, ...]


class Renderer:
    """
    A picture of ``height`` x ``width`` pixels that triangles are drawn into.

    Not to be used by two threads at once.

    Parameters
    ----------
    height, width : int
        Size of the picture in pixels.
    focal : float
        Focal length of the pinhole camera in pixels; its axis meets the middle of the picture.
    textures : sequence of float32[2^a, 2^b]
        Row 0 is at v = 0; they repeat, and one tile is one unit of u and of v. A texture
        multiplies the luminance of the surface.

    Raises
    ------
    ValueError
        When a size, a texture or a mesh cannot be drawn.

    """

    def __init__(
        self, height: int, width: int, focal: float, textures: Sequence[np.ndarray] = ()
    ) -> None:
        for name, value in (('height', height), ('width', width)):
            if not 1 <= value <= 8192:
                raise ValueError(f'Renderer: {name} is {value}; it must lie between 1 and 8192')
        if not focal > 0:
            raise ValueError(f'Renderer: focal is {focal}; it must be positive')
        self.height, self.width, self.focal = height, width, float(focal)
        self._arrays = _allocate(height, width)
        self._arrays['textures'], self._arrays['texels'] = _pyramids(textures)
        self._luminance, self._owners = self._arrays['luminance'], self._arrays['shown']
        self._texture_count = len(textures)
        blocks = self._arrays['touched'].shape[1]
        self._picture = _Picture(
            height=height,
            width=width,
            stride=blocks * _LANES,
            blocks=blocks,
            focal=self.focal,
            **{name: pointer(array) for name, array in self._arrays.items()},
        )
        self._address = ctypes.addressof(self._picture)
        self._camera_pose = _view(self._picture, 'camera')
        self._body_pose = _view(self._picture, 'body')
        self._materials: dict[int, _Material] = {}
        self._kept = False
        self.view(np.eye(3, 4))
        self.light((0.0, 0.0, 1.0), 1.0, 0.0)
        self.clear(0.0)

    def light(
        self, sun: Sequence[float] | np.ndarray, sun_strength: float, ambient: float
    ) -> None:
        """
        Set the light for what is drawn from now on.

        ``sun`` is the unit vector towards the sun. A surface's luminance is ``(albedo * (ambient +
        sun_strength * max(0, cosine)) + emission) * texture``.
        """
        self._picture.sun[:] = [float(value) for value in sun]
        self._picture.sun_strength = sun_strength
        self._picture.ambient = ambient

    def view(self, world_to_camera: np.ndarray) -> None:
        """Look from the pose ``world_to_camera`` (float[3, 4], rigid) from now on."""
        if np.shape(world_to_camera) != (3, 4):
            raise ValueError(
                f'Renderer: a pose has shape {np.shape(world_to_camera)}; it must be [3, 4]'
            )
        self._camera_pose[...] = world_to_camera

    def clear(self, sky: float) -> None:
        """Begin an empty picture of luminance ``sky``; a kept background is forgotten."""
        self._kept = False
        library.sast_render_clear(self._address, sky)

    def draw(
        self,
        mesh: Mesh,
        vertices: np.ndarray,
        body_to_world: np.ndarray,
        owner: int = 0,
        surface: Surface | None = None,
    ) -> None:
        """
        Draw the triangles of a mesh, both sides, where nothing nearer was drawn.

        ``vertices`` are ``float32[V, 3]`` in metres in the body's coordinates (the posed vertices
        of ``mesh``), ``body_to_world`` is ``float[3, 4]``, ``owner`` 0..255. Materials are taken
        from the mesh when it is first drawn, but for those of a ``surface`` that is given. What is
        nearer than 0.1 m is cut off.
        """
        if not 0 <= owner <= 255:
            raise ValueError(f'Renderer: owner is {owner}; it must lie between 0 and 255')
        material, count = self._place(mesh, vertices, body_to_world)
        self._reserve_records(self._picture.count + material.triangle_count + 1)
        triangles, albedo, emission, texture, uv = material.pointers
        if surface is not None:
            shapes = (material.triangle_count,), (material.triangle_count, 3, 2)
            if tuple(array.shape for array in surface) != shapes:
                raise ValueError(
                    f'Renderer: a surface has shapes {[array.shape for array in surface]}; make '
                    f'them {list(shapes)}'
                )
            light, place = (np.ascontiguousarray(array, np.float32) for array in surface)
            emission, uv = pointer(light), pointer(place)
        library.sast_render_draw(
            self._address,
            count,
            triangles,
            material.triangle_count,
            albedo,
            emission,
            texture,
            uv,
            owner,
        )

    def shade(self, mesh: Mesh, vertices: np.ndarray, body_to_world: np.ndarray) -> None:
        """
        Cast the shadow of a mesh on the ground.

        It falls on what has been drawn so far within 3 cm of the plane z = 0, which then shows
        its ambient light only; shadows that overlap darken no more than one. A sun below the
        horizon casts none.
        """
        if self._picture.sun[2] <= 0:
            return
        material, count = self._place(mesh, vertices, body_to_world)
        library.sast_render_shade(
            self._address, count, material.pointers[0], material.triangle_count
        )

    def keep(self) -> None:
        """Remember the picture so far as the background, for a camera that does not move."""
        self._kept = True
        library.sast_render_keep(self._address)

    def restore(self) -> None:
        """Take away what was drawn since ``keep``; costs as much as was touched."""
        if not self._kept:
            raise ValueError('Renderer: there is no background to restore; call keep() first')
        library.sast_render_restore(self._address)

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """
        Return luminance ``float32[H, W]`` and owners ``uint8[H, W]`` of the picture so far.

        Luminance is linear; an owner is the highest of those that the pixel's samples show. Both
        arrays are used again by the next call.
        """
        library.sast_render_finish(self._address)
        return self._luminance, self._owners

    def visible(self) -> np.ndarray:
        """Return how many samples (four a pixel) each owner shows now, ``int64[256]``."""
        counts = np.empty(256, np.int64)
        library.sast_render_visible(self._address, counts)
        return counts

    def covered(self, mesh: Mesh, vertices: np.ndarray, body_to_world: np.ndarray) -> int:
        """Count the samples that a mesh would cover in the picture if nothing else were there."""
        material, count = self._place(mesh, vertices, body_to_world)
        return library.sast_render_covered(
            self._address, count, material.pointers[0], material.triangle_count
        )

    def box(
        self, vertices: np.ndarray, body_to_world: np.ndarray
    ) -> tuple[float, float, float, float] | None:
        """
        Return the extent (x1, y1, x2, y2) of a body in pixels, not clipped to the picture.

        It is that of the part of the vertices' convex hull that is more than 0.1 m ahead; ``None``
        if there is no such part.
        """
        count = self._place_vertices(vertices, body_to_world)
        extent = np.empty(4)
        if not library.sast_render_box(self._address, count, extent):
            return None
        left, top, right, bottom = extent.tolist()
        return left, top, right, bottom

    def _place(
        self, mesh: Mesh, vertices: np.ndarray, body_to_world: np.ndarray
    ) -> tuple[_Material, int]:
        """Hand vertices and their pose to the kernels; return material and number of vertices."""
        material = self._materials.get(id(mesh)) or self._material(mesh)
        count = self._place_vertices(vertices, body_to_world)
        if count != len(mesh.vertices):
            raise ValueError(
                f'Renderer: there are {count} vertices for a mesh of {len(mesh.vertices)}; hand '
                'over the posed vertices of the mesh'
            )
        return material, count

    def _material(self, mesh: Mesh) -> _Material:
        strange = (mesh.texture < -1) | (mesh.texture >= self._texture_count)
        if strange.any():
            raise ValueError(
                f'Renderer: a mesh uses texture {mesh.texture[strange][0]}, but there are '
                f'{self._texture_count}; hand all textures to the constructor'
            )
        arrays = (
            np.ascontiguousarray(mesh.triangles, np.int32),
            np.ascontiguousarray(mesh.albedo, np.float32),
            np.ascontiguousarray(mesh.emission, np.float32),
            np.ascontiguousarray(mesh.texture, np.int16),
            np.ascontiguousarray(mesh.uv, np.float32),
        )
        pointers = tuple(pointer(array) for array in arrays)
        material = _Material(mesh, arrays, len(arrays[0]), pointers)
        self._materials[id(mesh)] = material
        return material

    def _place_vertices(self, vertices: np.ndarray, body_to_world: np.ndarray) -> int:
        shape = np.shape(vertices)
        if len(shape) != 2 or shape[1] != 3:
            raise ValueError(f'Renderer: vertices have shape {shape}; it must be [V, 3]')
        if np.shape(body_to_world) != (3, 4):
            raise ValueError(
                f'Renderer: a pose has shape {np.shape(body_to_world)}; it must be [3, 4]'
            )
        count = shape[0]
        if len(self._arrays['vertices']) < count:
            self._replace('vertices', np.zeros((2 * count, 3), np.float32))
            self._replace('points', np.zeros((6, 2 * count)))
        # Copied into the picture: cheaper than to ask numpy for an array's address.
        self._arrays['vertices'][:count] = vertices
        self._body_pose[...] = body_to_world
        return count

    def _reserve_records(self, count: int) -> None:
        for name in ('records', 'owners'):
            array = self._arrays[name]
            if len(array) < count:
                larger = np.zeros(2 * count, array.dtype)
                larger[: len(array)] = array
                self._replace(name, larger)

    def _replace(self, name: str, array: np.ndarray) -> None:
        self._arrays[name] = array
        setattr(self._picture, name, pointer(array))


def _view(picture: _Picture, name: str) -> np.ndarray:
    """Pose ``name`` of the picture as ``float64[3, 4]``."""
    offset = getattr(_Picture, name).offset
    return np.ndarray((3, 4), np.float64, buffer=picture, offset=offset)  # type: ignore[arg-type]


def _pyramids(textures: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mip pyramids of all textures: ``struct texture`` and texels."""
    shapes = np.zeros(len(textures), _TEXTURE)
    parts: list[np.ndarray] = []
    base = 0
    for index, texture in enumerate(textures):
        level = np.ascontiguousarray(texture, np.float32)
        if level.ndim != 2 or any(
            side < 1 or side & (side - 1) or side > _MAX_SIDE for side in level.shape
        ):
            raise ValueError(
                f'Renderer: texture {index} has shape {level.shape}; it must be [rows, columns], '
                f'each a power of two up to {_MAX_SIDE}'
            )
        highest = float(level.max())
        if not (level.min() >= 0 and np.isfinite(highest)):
            raise ValueError(
                f'Renderer: texture {index} has values below 0 or not finite; it must multiply '
                'luminances'
            )
        side = max(level.shape)
        scale = highest / 65535 if highest else 1.0
        shapes[index] = (side.bit_length() - 1, base, scale, level.shape[::-1])
        level = np.tile(level, (side // level.shape[0], side // level.shape[1]))
        levels = [level]
        while len(level) > 1:
            level = level.reshape(len(level) // 2, 2, len(level) // 2, 2).mean((1, 3))
            levels.append(level)
        for level in reversed(levels):
            halves = np.rint(level / scale).astype(np.uint32)
            rows = halves | np.roll(halves, -1, 0) << 16
            parts.append(np.concatenate([rows, rows[:, :1]], 1).ravel())
            base += parts[-1].size
    return shapes, np.concatenate(parts) if parts else np.zeros(1, np.uint32)
