# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a scene at any time: background, moving bodies, and the labels' projected boxes."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import NamedTuple

import numpy as np
from sast_ros_training.simulation.actors import Actor
from sast_ros_training.simulation.extent import extent_in_picture
from sast_ros_training.simulation.mesh import Mesh, Surface
from sast_ros_training.simulation.mirror import Mirror, MIRROR_OWNER
from sast_ros_training.simulation.motion import MovingCamera
from sast_ros_training.simulation.renderer import Renderer
from sast_ros_training.simulation.street import Light, Street
from sast_ros_training.simulation.weather import Effect

_IDENTITY = np.eye(3, 4, dtype=np.float32)
_MIN_STEPS, _MAX_STEPS = 8, 64  # pictures of 50 ms
_FLOW_STEP = 0.01  # seconds: a hand may shake there and back in a window
#: In near scenes: pixels between two pictures, most pictures of a moving camera, and the seconds
#: and the vertices from which the speed of bodies is taken.
_NEAR_PIXELS, _NEAR_MAX_STEPS, _NEAR_SECONDS, _NEAR_VERTICES = 1.5, 32, 0.002, 24


class Outline(NamedTuple):
    """
    Where a picture shows a body.

    ``box``: the extent (x1, y1, x2, y2) in pixels of the part in the picture; ``inside``: the
    share of the body's surface, seen from either side, that is there.
    """

    actor: Actor
    box: tuple[float, float, float, float]
    inside: float


class SceneRenderer:
    """
    Renders a scene frame by frame; a standing camera's background only once, unless it is jolted.

    ``still`` bodies never move, ``moving`` ones do, with and without owner. ``mirror`` reflects
    the others, ``effects`` change the pictures in their order.
    """

    def __init__(
        self,
        camera: MovingCamera,
        street: Street,
        light: Light,
        still: Sequence[Actor],
        moving: Sequence[Actor],
        effects: Sequence[Effect] = (),
        mirror: Mirror | None = None,
    ) -> None:
        self._camera, self._light, self._street = camera, light, street
        self._moving, self._effects, self._mirror = list(moving), tuple(effects), mirror
        self._renderer = self._make_renderer()
        self._mirrored = self._make_renderer() if mirror else None
        self._kept_pose: np.ndarray | None = None
        self._pieces = [(piece.mesh, piece.mesh.vertices, _IDENTITY) for piece in street.pieces]
        self._bodies = [(actor.body.mesh, *actor.pose(0.0)) for actor in still]
        self._piece_spheres = np.array([(*piece.centre, piece.radius) for piece in street.pieces])
        self._body_spheres = _spheres(still, 0.0)

    def _make_renderer(self) -> Renderer:
        camera, light = self._camera, self._light
        renderer = Renderer(camera.height, camera.width, camera.focal, self._street.textures)
        renderer.light(light.sun, light.sun_strength, light.ambient)
        return renderer

    def picture(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """
        Return the picture at a time.

        It is luminance ``float32[H, W]`` and owners ``uint8[H, W]``; the next picture may
        overwrite them.
        """
        pose = self._camera.pose(seconds)
        rests = not self._camera.moves_between(seconds, seconds)
        kept = rests and self._kept_pose is not None and np.array_equal(pose, self._kept_pose)
        if kept:
            self._renderer.restore()
            self._renderer.view(pose)
        else:
            self._draw_still(pose, seconds)
            self._kept_pose = pose if rests else None
            if rests:
                self._renderer.keep()
        actors = self._seen(pose, seconds)
        bodies = [(actor.body.mesh, *actor.pose(seconds)) for actor in actors]
        surfaces = [actor.body.surface(seconds) for actor in actors]
        self._draw_bodies(bodies, [actor.owner for actor in actors], surfaces)
        luminance, owners = self._renderer.finish()
        if self._mirror:
            luminance = self._reflected(luminance, owners, seconds, kept)
            owners = np.where(owners == MIRROR_OWNER, np.uint8(0), owners)
        if self._light.changes:
            luminance = luminance * np.float32(self._light.at(seconds))
        elif self._effects and not self._mirror:
            luminance = luminance.copy()
        for effect in self._effects:
            effect.apply(luminance, seconds)
        return luminance, owners

    def _reflected(
        self, picture: np.ndarray, owners: np.ndarray, seconds: float, kept: bool
    ) -> np.ndarray:
        """Return a copy of the picture with what the mirror shows."""
        mirror, renderer = self._mirror, self._mirrored
        assert mirror and renderer
        picture = picture.copy()
        pose = mirror.pose(self._camera.pose(seconds))
        if kept:
            renderer.restore()
        else:
            renderer.view(pose)
            renderer.clear(self._light.sky)
            self._draw_sky(renderer, seconds)
            seen = mirror.reflects(self._piece_spheres) & self._inside(pose, self._piece_spheres)
            for index in np.flatnonzero(seen):
                renderer.draw(*self._pieces[index])
            if self._kept_pose is not None:
                renderer.keep()
        spheres = _spheres(self._moving, seconds)
        for index in np.flatnonzero(mirror.reflects(spheres) & self._inside(pose, spheres)):
            actor = self._moving[index]
            renderer.draw(
                actor.body.mesh, *actor.pose(seconds), surface=actor.body.surface(seconds)
            )
        mirror.apply(picture, owners, renderer.finish()[0], seconds)
        return picture

    def outlines(self, seconds: float) -> dict[int, Outline]:
        """Return where bodies with an owner are in the picture, by owner, hidden or not."""
        pose = self._camera.pose(seconds)
        size = self._camera.height, self._camera.width
        outlines = {}
        for owner, (actor, box) in self._hulls(seconds).items():
            left, top, right, bottom = box.tolist()
            if left >= 0 and top >= 0 and right <= size[1] and bottom <= size[0]:
                outlines[owner] = Outline(actor, (left, top, right, bottom), 1.0)
                continue
            points, triangles = _in_camera(actor, pose, seconds), actor.body.mesh.triangles
            part = extent_in_picture(points, triangles, self._camera.focal, size)
            if part is not None:
                outlines[owner] = Outline(actor, part, self._share_inside(points[triangles]))
        return outlines

    def _hulls(self, seconds: float) -> dict[int, tuple[Actor, np.ndarray]]:
        """Return actor and projected box (x1, y1, x2, y2), not clipped, by owner."""
        pose = self._camera.pose(seconds)
        self._renderer.view(pose)
        hulls = {}
        for actor in self._seen(pose, seconds):
            box = self._renderer.box(*actor.pose(seconds)) if actor.owner else None
            if box is not None:
                hulls[actor.owner] = (actor, np.asarray(box))
        return hulls

    def visible(self) -> np.ndarray:
        """``int64[256]`` samples of the last picture that show each owner."""
        return self._renderer.visible()

    def covered(self, actor: Actor, seconds: float) -> int:
        """Return how many samples the body would cover if nothing hid it."""
        return self._renderer.covered(actor.body.mesh, *actor.pose(seconds))

    def _share_inside(self, corners: np.ndarray) -> float:
        """Return the share of triangles ``[T, 3, 3]`` in camera coordinates in the picture."""
        sides = corners[:, 1:] - corners[:, :1]
        areas = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1)
        x, y, depth = corners.mean(1).T
        size, focal = (self._camera.width, self._camera.height), self._camera.focal
        across, down = (
            2 * focal * np.abs(offset) < side * depth
            for offset, side in zip((x, y), size, strict=True)
        )
        return float(areas[across & down & (depth > 0.1)].sum() / areas.sum())

    def steps(self, start: float, end: float) -> int:
        """Return how many pictures a time needs so that little moves by more than a pixel."""
        limit = np.array([self._camera.width, self._camera.height] * 2, float)
        # Flicker wants five pictures a swing
        farthest = 5 * self._light.flicker_hz * (end - start) if self._light.flicker else 0.0
        for effect in self._effects:  # and so do streaks and shades
            farthest = max(farthest, effect.pictures_hz * (end - start))
        if self._street.near is not None:
            return self._near_steps(start, end, farthest)
        first, last = self._hulls(start), self._hulls(end)
        for owner in first.keys() & last.keys():
            # Sides far outside the picture move fast but are not seen; limbs move faster than a
            # box.
            before, after = (
                np.clip(boxes[owner][1], -0.1 * limit, 1.1 * limit) for boxes in (first, last)
            )
            farthest = max(farthest, 1.3 * float(np.abs(before - after).max()))
        farthest = max(farthest, self._moved(start, end))
        return _limited(farthest, end - start, _MAX_STEPS)

    def _near_steps(self, start: float, end: float, swings: float) -> int:
        """Return the same for near scenes, where what has no label is fast as well."""
        moved = self._moved(start, end)
        for seconds in (start, (start + end) / 2):
            pose = self._camera.pose(seconds)
            for actor in self._seen(pose, seconds):
                swings = max(swings, 5 * actor.body.flicker_hz * (end - start))
                moved = max(moved, self._speed(actor, pose, seconds) * (end - start))
        most = _NEAR_MAX_STEPS if self._camera.moves else _MAX_STEPS
        return _limited(max(moved / _NEAR_PIXELS, swings), end - start, most)

    def _speed(self, actor: Actor, pose: np.ndarray, seconds: float) -> float:
        """Return pixels per second of the fastest of some vertices that are in the picture."""
        seen = (_in_camera(actor, pose, when) for when in (seconds, seconds + _NEAR_SECONDS))
        before, after = (
            points[:, :2] / np.maximum(points[:, 2:], 0.1) * self._camera.focal for points in seen
        )
        sides = np.array((self._camera.width, self._camera.height)) * 0.6
        step = max(len(before) // _NEAR_VERTICES, 1)
        gaps = np.abs(after - before).max(1)[(np.abs(before) < sides).all(1)][::step]
        return float(gaps.max()) / _NEAR_SECONDS if len(gaps) else 0.0

    def _draw_still(self, pose: np.ndarray, seconds: float) -> None:
        renderer = self._renderer
        renderer.view(pose)
        renderer.clear(self._light.sky)
        self._draw_sky(renderer, seconds)
        for index in np.flatnonzero(self._inside(pose, self._piece_spheres)):
            renderer.draw(*self._pieces[index])
        if self._mirror:
            mesh = self._mirror.mesh
            renderer.draw(mesh, mesh.vertices, _IDENTITY, MIRROR_OWNER)
        seen = np.flatnonzero(self._inside(pose, self._body_spheres))
        nothing = [0] * len(seen), [None] * len(seen)
        self._draw_bodies([self._bodies[index] for index in seen], *nothing)

    def _draw_sky(self, renderer: Renderer, seconds: float) -> None:
        above = _IDENTITY.copy()
        above[:2, 3] = self._camera.position(seconds)[:2]
        renderer.draw(self._street.sky.mesh, self._street.sky.mesh.vertices, above)

    def _draw_bodies(
        self,
        bodies: list[tuple[Mesh, np.ndarray, np.ndarray]],
        owners: list[int],
        surfaces: Sequence[Surface | None],
    ) -> None:
        if self._light.sun_strength > 0:
            for body in bodies:
                self._renderer.shade(*body)
        for body, owner, surface in zip(bodies, owners, surfaces, strict=True):
            self._renderer.draw(*body, owner, surface)

    def _seen(self, pose: np.ndarray, seconds: float) -> list[Actor]:
        inside = self._inside(pose, _spheres(self._moving, seconds))
        return [self._moving[index] for index in np.flatnonzero(inside)]

    def _inside(self, pose: np.ndarray, spheres: np.ndarray) -> np.ndarray:
        """Whether each sphere (``[N, 4]`` centre and radius) reaches into the field of view."""
        x, y, z = (spheres[:, :3] @ pose[:, :3].T + pose[:, 3]).T
        radius, focal = spheres[:, 3], self._camera.focal
        inside = z > -radius
        # Distance of the centre from the planes through the borders of the picture
        for offset, side in ((x, self._camera.width / 2), (y, self._camera.height / 2)):
            inside &= np.abs(offset) * focal - z * side < radius * np.hypot(focal, side)
        return inside

    def _moved(self, start: float, end: float) -> float:
        """Return how far still things move in the picture in a time, there and back."""
        if not self._camera.moves_between(start, end):
            return 0.0
        moments = np.linspace(start, end, math.ceil((end - start) / _FLOW_STEP) + 1)
        return sum(map(self._flow, moments[:-1], moments[1:]))

    def _flow(self, start: float, end: float) -> float:
        """Return how far still things move in the picture, in pixels (upper part of them)."""
        before, after = (self._camera.pose(seconds).astype(float) for seconds in (start, end))
        focal, height, width = self._camera.focal, self._camera.height, self._camera.width
        columns, rows = np.meshgrid(np.linspace(0, width, 7), np.linspace(0, height, 7))
        rays = np.stack(
            [(columns - width / 2) / focal, (rows - height / 2) / focal, np.ones_like(rows)], -1
        ).reshape(-1, 3)
        directions = rays @ before[:, :3]
        camera = -before[:, :3].T @ before[:, 3]
        # Where a ray meets the ground or the fronts of the houses
        across, up = directions[:, 1], directions[:, 2]
        ground = np.where(up < -1e-6, -camera[2] / np.minimum(up, -1e-6), np.inf)
        left, right = self._street.front
        wall = np.where(
            across > 0,
            (left - camera[1]) / np.maximum(across, 1e-6),
            (right + camera[1]) / np.maximum(-across, 1e-6),
        )
        depth = np.clip(np.minimum(ground, wall), 1.0, 600.0)
        if self._street.near is not None:
            depth[:] = self._street.near
        points = (camera + depth[:, None] * directions) @ after[:, :3].T + after[:, 3]
        ahead = points[:, 2] > 0.1
        seen = focal * points[ahead, :2] / points[ahead, 2:]
        moved = np.abs(seen - focal * rays[ahead, :2]).max(axis=1)
        return float(np.quantile(moved, 0.9)) if len(moved) else 0.0


def _limited(wanted: float, seconds: float, most: int) -> int:
    """Return a number of pictures between the limits, which are those of 50 ms."""
    share = seconds / 0.05 - 1e-6
    return int(np.clip(np.ceil(wanted), np.ceil(_MIN_STEPS * share), np.ceil(most * share)))


def _in_camera(actor: Actor, pose: np.ndarray, seconds: float) -> np.ndarray:
    """Return the vertices of a body in camera coordinates, ``[V, 3]``."""
    vertices, placement = actor.pose(seconds)
    return (vertices @ placement[:, :3].T + placement[:, 3]) @ pose[:, :3].T + pose[:, 3]


def _spheres(actors: Sequence[Actor], seconds: float) -> np.ndarray:
    """Return ``[N, 4]`` centres and radii around bodies and their shadows."""
    return np.array([actor.sphere(seconds) for actor in actors]).reshape(-1, 4)
