"""Pictures of a scene at any time: what stands still, who moves, and the camera that sees them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sast_ros_training.simulation.actors import Actor, View
from sast_ros_training.simulation.renderer import Renderer
from sast_ros_training.simulation.street import Light, Street

_IDENTITY = np.eye(3, 4, dtype=np.float32)
_MIN_STEPS, _MAX_STEPS = 8, 64
_LARGEST_SHADOW = 3.0  # metres beyond the body


class SceneRenderer:
    """
    Renders a scene frame by frame; a standing camera's background only once.

    Parameters
    ----------
    view: the camera.
    street: what stands still, with its textures.
    light: illumination.
    still: bodies that never move.
    moving: bodies that move, with and without owner.

    """

    def __init__(
        self,
        view: View,
        street: Street,
        light: Light,
        still: Sequence[Actor],
        moving: Sequence[Actor],
    ) -> None:
        self._view, self._light, self._street = view, light, street
        self._moving = list(moving)
        self._renderer = Renderer(view.height, view.width, view.focal, street.textures)
        self._renderer.light(light.sun, light.sun_strength, light.ambient)
        self._pieces = [(piece.mesh, piece.mesh.vertices, _IDENTITY) for piece in street.pieces]
        self._bodies = [(actor.body.mesh, *actor.pose(0.0)) for actor in still]
        spheres = [(*piece.centre, piece.radius) for piece in street.pieces]
        self._piece_spheres = np.array(spheres, np.float64)
        self._body_spheres = np.array([_sphere(actor, 0.0) for actor in still]).reshape(-1, 4)
        if not view.path.moves:
            self._draw_still(view.path.pose(0.0), 0.0)
            self._renderer.keep()

    def picture(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """
        Return the picture at a time.

        It is luminance ``float32[H, W]`` and owners ``uint8[H, W]``; the next picture may
        overwrite them.
        """
        renderer = self._renderer
        pose = self._view.path.pose(seconds)
        if self._view.path.moves:
            self._draw_still(pose, seconds)
        else:
            renderer.restore()
        posed = [(actor, *actor.pose(seconds)) for actor in self._seen(pose, seconds)]
        if self._light.sun_strength > 0:
            for actor, vertices, placement in posed:
                renderer.shade(vertices, actor.body.mesh.triangles, placement)
        for actor, vertices, placement in posed:
            renderer.draw(actor.body.mesh, vertices, placement, actor.owner)
        luminance, owners = renderer.finish()
        if self._light.flicker:
            luminance = luminance * np.float32(self._light.at(seconds))
        return luminance, owners

    def boxes(self, seconds: float) -> dict[int, tuple[Actor, np.ndarray]]:
        """Return actor and projected box (x1, y1, x2, y2 in pixels, not clipped) by owner."""
        pose = self._view.path.pose(seconds)
        self._renderer.view(pose)
        boxes = {}
        for actor in self._seen(pose, seconds):
            box = self._renderer.box(*actor.pose(seconds))
            if actor.owner and box is not None:
                boxes[actor.owner] = (actor, np.asarray(box))
        return boxes

    def visible(self) -> np.ndarray:
        """``int64[256]`` samples of the last picture that show each owner."""
        return self._renderer.visible()

    def covered(self, actor: Actor, seconds: float) -> int:
        """Return how many samples the body would cover if nothing hid it."""
        vertices, placement = actor.pose(seconds)
        return self._renderer.covered(vertices, actor.body.mesh.triangles, placement)

    def steps(self, start: float, end: float) -> int:
        """Return how many pictures a time needs so that little moves by more than a pixel."""
        limit = np.array([self._view.width, self._view.height] * 2, float)
        first, last = self.boxes(start), self.boxes(end)
        # Flicker wants five pictures a swing
        farthest = 5 * self._light.flicker_hz * (end - start) if self._light.flicker else 0.0
        for owner in first.keys() & last.keys():
            # Sides far outside the picture move fast but are not seen; limbs move faster than a
            # box.
            before, after = (
                np.clip(boxes[owner][1], -0.1 * limit, 1.1 * limit) for boxes in (first, last)
            )
            farthest = max(farthest, 1.3 * float(np.abs(before - after).max()))
        if self._view.path.moves:
            farthest = max(farthest, self._flow(start, end))
        return int(np.clip(np.ceil(farthest), _MIN_STEPS, _MAX_STEPS))

    def _draw_still(self, pose: np.ndarray, seconds: float) -> None:
        renderer = self._renderer
        renderer.view(pose)
        renderer.clear(self._light.sky)
        above = _IDENTITY.copy()
        above[:2, 3] = self._view.path.position(seconds)[:2]
        renderer.draw(self._street.sky.mesh, self._street.sky.mesh.vertices, above)
        for index in np.flatnonzero(self._inside(pose, self._piece_spheres)):
            renderer.draw(*self._pieces[index])
        bodies = [
            self._bodies[index] for index in np.flatnonzero(self._inside(pose, self._body_spheres))
        ]
        if self._light.sun_strength > 0:
            for mesh, vertices, placement in bodies:
                renderer.shade(vertices, mesh.triangles, placement)
        for body in bodies:
            renderer.draw(*body)

    def _seen(self, pose: np.ndarray, seconds: float) -> list[Actor]:
        spheres = np.array([_sphere(actor, seconds) for actor in self._moving]).reshape(-1, 4)
        return [self._moving[index] for index in np.flatnonzero(self._inside(pose, spheres))]

    def _inside(self, pose: np.ndarray, spheres: np.ndarray) -> np.ndarray:
        """Whether each sphere (``[N, 4]`` centre and radius) reaches into the field of view."""
        x, y, z = (spheres[:, :3] @ pose[:, :3].T + pose[:, 3]).T
        radius, focal = spheres[:, 3], self._view.focal
        inside = z > -radius
        # Distance of the centre from the planes through the borders of the picture
        for offset, side in ((x, self._view.width / 2), (y, self._view.height / 2)):
            inside &= np.abs(offset) * focal - z * side < radius * np.hypot(focal, side)
        return inside

    def _flow(self, start: float, end: float) -> float:
        """Return how far still things move in the picture, in pixels (upper part of them)."""
        before, after = (
            self._view.path.pose(seconds).astype(np.float64) for seconds in (start, end)
        )
        focal, height, width = self._view.focal, self._view.height, self._view.width
        columns, rows = np.meshgrid(np.linspace(0, width, 7), np.linspace(0, height, 7))
        rays = np.stack(
            [(columns - width / 2) / focal, (rows - height / 2) / focal, np.ones_like(rows)], -1
        ).reshape(-1, 3)
        directions = rays @ before[:, :3]
        camera = -before[:, :3].T @ before[:, 3]
        # Where a ray meets the ground or the fronts of the houses
        ground = np.where(
            directions[:, 2] < -1e-6, -camera[2] / np.minimum(directions[:, 2], -1e-6), np.inf
        )
        left, right = self._street.front
        across = directions[:, 1]
        wall = np.where(
            across > 0,
            (left - camera[1]) / np.maximum(across, 1e-6),
            (right + camera[1]) / np.maximum(-across, 1e-6),
        )
        depth = np.clip(np.minimum(ground, wall), 1.0, 600.0)
        points = (camera + depth[:, None] * directions) @ after[:, :3].T + after[:, 3]
        ahead = points[:, 2] > 0.1
        seen = focal * points[ahead, :2] / points[ahead, 2:]
        moved = np.abs(seen - focal * rays[ahead, :2]).max(axis=1)
        return float(np.quantile(moved, 0.9)) if len(moved) else 0.0


def _sphere(actor: Actor, seconds: float) -> tuple[float, float, float, float]:
    place, _, _ = actor.path.at(seconds)
    radius = 0.6 * float(np.linalg.norm(actor.body.size)) + _LARGEST_SHADOW
    return float(place[0]), float(place[1]), actor.body.size[2] / 2, radius
