# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Rooms, desks and courtyards: their light, their walls and what hangs on these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sast_ros_training.simulation import near_textures
from sast_ros_training.simulation.draws import log_uniform, log_uniforms
from sast_ros_training.simulation.mesh import merge, Mesh, textured
from sast_ros_training.simulation.shapes import box, rectangle
from sast_ros_training.simulation.street import Light, Piece, Street

_DESK = 0.75  # metres above the floor
#: Metres at which most of what is seen is.
DEPTHS = {'desk': 0.5, 'room': 1.5, 'court': 2.5}
#: Where a wall is along x and along y: a number and a range, in metres.
_Side = tuple[float | tuple[float, float], float | tuple[float, float]]


@dataclass(frozen=True)
class NearLight(Light):
    """
    Light of a room: its lamps swing or are dimmed by pulses, and may be switched.

    ``duty``: share of a period for which the lamps are on, 0 if they swing like a sine;
    ``switch``: from this second on, over a few milliseconds, the light is ``switched`` times as
    strong.
    """

    duty: float = 0.0
    switch: float = np.inf
    switched: float = 1.0

    def at(self, seconds: float) -> float:
        """Return the factor of all luminances at a time."""
        if self.duty:
            on = (self.flicker_hz * seconds) % 1 < self.duty
            factor = 1.0 if on else 1 - self.flicker
        else:
            factor = super().at(seconds)
        share = float(np.clip((seconds - self.switch) / 0.03, 0, 1))
        return factor * (1 + share * (self.switched - 1))

    @property
    def changes(self) -> bool:
        """Whether the factor is not always 1."""
        return super().changes or self.switch < np.inf


def make_room_light(rng: np.random.Generator, seconds: float) -> NearLight:
    """Draw lamps or a window: bright, usual or dim; some flicker, some are switched."""
    height, side = np.radians(rng.uniform(25, 85)), rng.uniform(0, 2 * np.pi)
    level = np.cos(height)
    sun = np.array([level * np.cos(side), level * np.sin(side), np.sin(height)], np.float32)
    ambient = log_uniform(rng, 0.02, 0.7)
    strength = ambient * float(rng.choice((0.0, 0.5, 1.0, 2.0)) * rng.uniform(0.3, 1.0))
    light = NearLight(sun, strength, ambient, ambient, bool(ambient < 0.1))
    kind = rng.random()
    if kind < 0.3:
        depth = log_uniform(rng, 0.005, 0.09)
        light = replace(light, flicker=depth, flicker_hz=float(rng.choice((100, 120))))
    elif kind < 0.32:
        light = replace(
            light,
            flicker=float(rng.uniform(0.1, 0.9)),
            flicker_hz=float(rng.uniform(90, 400)),
            duty=float(rng.uniform(0.2, 0.8)),
        )
    if rng.random() < 0.08:
        when, factor = rng.uniform(0, seconds), np.exp(rng.choice((-1, 1)) * rng.uniform(0.2, 1.5))
        light = replace(light, switch=float(when), switched=float(factor))
    return light


@dataclass(frozen=True)
class Walls:
    """Distances in metres from the camera to walls, floor and ceiling."""

    ahead: float
    back: float
    left: float
    right: float
    floor: float
    ceiling: float

    def distance(self, yaw: float) -> float:
        """Return how far the nearest wall in that direction is."""
        x, y = np.cos(yaw), np.sin(yaw)
        along = (self.ahead if x > 0 else self.back) / max(abs(x), 1e-6)
        across = (self.left if y > 0 else self.right) / max(abs(y), 1e-6)
        return float(min(along, across))


def draw_walls(rng: np.random.Generator, place: str, people: bool) -> Walls:
    low, high = {'desk': (0.5, 4.0), 'room': (1.5, 6.0), 'court': (4.0, 20.0)}[place]
    if people:
        low = max(low, 2.5)
    ahead, back, left, right = log_uniforms(rng, low, high, 4).tolist()
    floor = -_DESK if place == 'desk' else 0.0
    return Walls(ahead, back, left, right, floor, floor + rng.uniform(2.3, 4.0))


def _solid(mesh: Mesh) -> Piece:
    """Return a mesh as a part of the place."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    return Piece(mesh, (low + high) / 2, float(np.linalg.norm(high - low) / 2))


def make_room(
    rng: np.random.Generator, place: str, walls: Walls, light: Light, images: list[np.ndarray]
) -> Street:
    """Return floor, walls and what hangs on them; a desk; the ceiling or the sky."""
    x1, x2, y1, y2 = -walls.back, walls.ahead, -walls.right, walls.left
    floor, top = walls.floor, walls.ceiling
    if place == 'court':
        top = rng.uniform(2.0, 12.0)
    pieces = [_surface(rng, (x1, x2), (y1, y2), floor, near_textures.FLOORS)]
    sky = replace(pieces[0], mesh=merge([]))
    if place == 'court':
        far = 400.0
        sky = _solid(box((far, far, far), (0, 0, 0.2 * far), 0.0, light.sky))
    else:
        pieces.append(_surface(rng, (x1, x2), (y1, y2), top, near_textures.WALLS))
    same = rng.integers(2**31)
    walls_around: list[_Side] = [(x1, (y1, y2)), (x2, (y1, y2)), ((x1, x2), y1), ((x1, x2), y2)]
    for side in walls_around:
        chosen = np.random.default_rng(same) if rng.random() < 0.7 else rng
        pieces.append(_surface(chosen, side[0], side[1], (floor, top), near_textures.WALLS))
        pieces += _on_wall(rng, side, floor, top, light)
    if place == 'desk':
        deep, wide = rng.uniform(0.5, 1.2, 2)
        ends = (-min(deep, walls.back), min(deep, walls.ahead))
        sides = (-min(wide, walls.right), min(wide, walls.left))
        pieces.append(_surface(rng, ends, sides, 0.0, near_textures.FLOORS))
    return Street(*(0.0, 0.0, (walls.left, walls.right), images, pieces, sky), near=DEPTHS[place])


def _surface(
    rng: np.random.Generator,
    x: float | tuple[float, float],
    y: float | tuple[float, float],
    z: float | tuple[float, float],
    kinds: Sequence[int],
) -> Piece:
    tone = float(np.clip(rng.normal(0.5, 0.25), 0.04, 0.9))
    piece = rectangle(x, y, z, tone)
    return _solid(textured(piece, int(rng.choice(kinds)), log_uniform(rng, 0.3, 3.0)))


def _on_wall(
    rng: np.random.Generator, side: _Side, floor: float, top: float, light: Light
) -> list[Piece]:
    """Return posters, windows, shelves with books, doors and cupboards on one wall."""
    pieces = []
    along = 1 if np.ndim(side[1]) else 0
    ends, across = np.asarray(side[along]), float(np.asarray(side[1 - along]))
    into = -0.01 * np.sign(across)
    for _ in range(rng.poisson(2.5)):
        wide, high = rng.uniform(0.2, 1.2), rng.uniform(0.2, 1.2)
        middle, low = rng.uniform(*ends), rng.uniform(floor + 0.1, max(top - high, floor + 0.2))
        span, rise, kind = (middle - wide / 2, middle + wide / 2), (low, low + high), rng.random()
        if kind < 0.25:  # a shelf
            made = []
            place = span[0]
            while place < span[1]:
                thick, tall = rng.uniform(0.015, 0.06), rng.uniform(0.15, 0.32)
                book = box((0.18, thick, tall), (0, 0, 0), rng.uniform(0.03, 0.9))
                made.append(book.moved((0, place + thick / 2, low + tall / 2)))
                place += thick * (1 if rng.random() < 0.9 else 3)
            made.append(box((0.2, wide, 0.02), (0, middle, low - 0.01), rng.uniform(0.1, 0.8)))
            mesh = merge(made)
            if along == 0:
                mesh = mesh.rotated([(0, 1, 0), (1, 0, 0), (0, 0, 1)])
            offset = np.zeros(3)
            offset[1 - along] = across + 10 * into
            pieces.append(_solid(mesh.moved(offset)))
            continue
        glow = 0.0
        if kind < 0.4:
            glow = light.ambient * log_uniform(rng, 0.5, 6.0)
        elif kind < 0.6:  # a door or cupboard
            rise = (floor, min(floor + rng.uniform(0.6, 2.1), top))
        wall, tone = across + into, rng.uniform(0.05, 0.9)
        x, y = (wall, span) if along else (span, wall)
        face = rectangle(x, y, rise, tone, glow)
        if kind >= 0.6:
            tiles = 1 / max(wide, high)
            face = textured(face, int(rng.choice(near_textures.PRINTS)), tiles)
        pieces.append(_solid(face))
    return pieces
