# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The still part of a scene: ground, road, houses, trees, things on the pavement, sky, and the light.

The road runs along the x axis, its middle at y = 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sast_ros_training.simulation import textures as surface
from sast_ros_training.simulation.draws import log_uniform
from sast_ros_training.simulation.mesh import assemble, Mesh, Values


@dataclass(frozen=True)
class Light:
    """
    Illumination of a scene.

    ``sun``: unit vector to the sun; ``sun_strength``, ``ambient``: luminance that they give to a
    white surface; ``sky``: luminance of the sky; ``night``: lamps are lit; ``flicker``: share by
    which the light of lamps swings, ``flicker_hz`` times a second.
    """

    sun: np.ndarray
    sun_strength: float
    ambient: float
    sky: float
    night: bool
    flicker: float = 0.0
    flicker_hz: float = 100.0

    def at(self, seconds: float) -> float:
        """Return the factor of all luminances at a time."""
        return 1 + self.flicker * float(np.sin(2 * np.pi * self.flicker_hz * seconds))

    @property
    def changes(self) -> bool:
        """Whether the factor is not always 1."""
        return self.flicker > 0


@dataclass(frozen=True)
class Piece:
    """A part of the street with a sphere around it (centre ``float32[3]``, radius in metres)."""

    mesh: Mesh
    centre: np.ndarray
    radius: float


@dataclass(frozen=True)
class Street:
    """
    Everything that stands still.

    ``road``, ``kerb``, ``front``: distance of the road's edge, of the pavement's outer edge and of
    the houses from the middle, in metres (``front``: left and right); ``textures``: what the
    meshes' texture numbers mean; ``pieces``: its parts, in no special order; ``sky``: a cylinder
    that goes where the camera goes; ``near``: distance in metres at which most things are, None
    in a street, where ground and houses give it.
    """

    road: float
    kerb: float
    front: tuple[float, float]
    textures: list[np.ndarray]
    pieces: list[Piece]
    sky: Piece
    near: float | None = None


def make_light(rng: np.random.Generator) -> Light:
    """Draw a time of day: sun, clouds, dusk or night."""
    height, side = np.radians(rng.uniform(12, 75)), rng.uniform(0, 2 * np.pi)
    sun = np.array(
        [np.cos(height) * np.cos(side), np.cos(height) * np.sin(side), np.sin(height)], np.float32
    )
    kind = rng.choice(4, p=(0.42, 0.33, 0.13, 0.12))
    if kind == 0:
        strength, ambient = rng.uniform(0.5, 1.0), rng.uniform(0.15, 0.4)
        return Light(sun, strength, ambient, rng.uniform(0.5, 1), False)
    if kind == 1:
        return Light(sun, rng.uniform(0, 0.1), rng.uniform(0.2, 0.6), rng.uniform(0.4, 1), False)
    if kind == 2:
        ambient = rng.uniform(0.03, 0.12)
        return Light(sun, rng.uniform(0, 0.03), ambient, ambient * rng.uniform(1, 3), True)
    # A street lamp instead of the sun
    ambient = rng.uniform(0.004, 0.03)
    flicker = log_uniform(rng, 0.02, 0.2) if rng.random() < 0.25 else 0.0
    strength, sky = ambient * rng.uniform(0, 3), ambient * rng.uniform(0.1, 1)
    return Light(sun, strength, ambient, sky, True, float(flicker), rng.choice((100.0, 120.0)))


def make_street(rng: np.random.Generator, reach: float, light: Light) -> Street:
    """
    Draw a street, a square or an open field.

    ``reach``: how far along x it has details on both sides, in metres.
    """
    road = rng.uniform(2.8, 8)
    kerb = road + rng.uniform(1.2, 5)
    front = (kerb + rng.exponential(5.0) + 0.3, kerb + rng.exponential(5.0) + 0.3)
    images = [kind(rng) for kind in surface.KINDS]
    pieces = [_ground(rng, road, kerb, reach + 450), _markings(rng, road, reach)]
    sky = make_sky(rng, light)
    built_up = rng.choice([0.0, 0.5, 0.95], p=(0.15, 0.3, 0.55))
    for side, distance in zip((1, -1), front, strict=True):
        pieces += _row_of_houses(rng, side * distance, reach, built_up)
    return Street(road, kerb, front, images, pieces, sky)


def make_piece(quads: Values, albedo: Values, texture: Values, tiles: Values) -> Piece:
    """
    Make a piece of quads; albedo, texture and the size of its tile in metres for each.

    ``quads``: corners ``[4, 3]`` in order around each; texture coordinates follow the edges 0-1
    and 0-3.
    """
    corners = np.asarray(quads, np.float32)
    count = len(corners)
    first = 4 * np.arange(count)[:, None]
    tile = np.asarray(tiles, np.float32)
    along, across = (
        np.linalg.norm(corners[:, end] - corners[:, 0], axis=1) / tile for end in (1, 3)
    )
    u = np.stack([0 * along, along, along, 0 * along], axis=1)
    v = np.stack([0 * along, 0 * along, across, across], axis=1)
    order = [0, 1, 2, 0, 2, 3]
    mesh = assemble(
        corners,
        first + order,
        np.repeat(np.asarray(albedo, np.float32), 2),
        texture=np.repeat(np.asarray(texture), 2),
        uv=np.stack([u, v], -1)[:, order].reshape(-1, 3, 2),
    )
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    return Piece(mesh, (low + high) / 2, float(np.linalg.norm(high - low) / 2))


def _flat(boxes: Values, height: float) -> np.ndarray:
    """Return quads ``[N, 4, 3]`` from ``[N, 4]`` x1, y1, x2, y2 on the ground."""
    corners = np.asarray(boxes)[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    return np.concatenate([corners, np.full((len(corners), 4, 1), height)], axis=2)


def _ground(rng: np.random.Generator, road: float, kerb: float, far: float) -> Piece:
    outside = int(rng.choice([surface.GRASS, surface.PAVING, surface.ASPHALT]))
    edges = (-far, -kerb, -road, road, kerb, far)
    kinds = (outside, surface.PAVING, surface.ASPHALT, surface.PAVING, outside)
    tones = [rng.uniform(0.08, 0.5) for _ in kinds]
    if rng.random() < 0.5:
        tones[1] = tones[3]
    tones[4] = tones[0]
    boxes = [(-far, low, far, high) for low, high in zip(edges[:-1], edges[1:], strict=True)]
    return make_piece(_flat(boxes, 0.0), tones, kinds, [rng.uniform(3, 8) for _ in kinds])


def _markings(rng: np.random.Generator, road: float, reach: float) -> Piece:
    """Lines, zebra crossings and kerbs, 1 cm above the ground."""
    tone, boxes = rng.uniform(0.35, 0.9), []
    wide, dash, gap = rng.uniform(0.08, 0.15), rng.uniform(1, 6), rng.uniform(0, 8)
    lanes = [0.0] if road < 5 else [-road / 2, 0.0, road / 2]
    for lane in lanes:
        boxes += [(x, lane - wide, x + dash, lane + wide) for x in _steps(reach, dash + gap)]
    for side in (-1, 1):
        if rng.random() < 0.4:
            y = side * (road - 0.25)
            boxes.append((-reach, y - wide, reach, y + wide))
        boxes.append((-reach, side * road - 0.08, reach, side * road + 0.08))
    if rng.random() < 0.5:
        start = rng.uniform(-20, 30)
        boxes += [(start, y, start + 3.5, y + 0.5) for y in np.arange(-road + 0.3, road - 0.5, 1)]
    count = len(boxes)
    return make_piece(_flat(boxes, 0.01), [tone] * count, [surface.ASPHALT] * count, [4.0] * count)


def _steps(reach: float, step: float) -> np.ndarray:
    return np.arange(-reach, reach, max(step, 2 * reach / 60))


def make_sky(rng: np.random.Generator, light: Light) -> Piece:
    """Put a cylinder around everything."""
    sides, radius, high = 24, 580.0, 420.0
    turn = np.linspace(0, 2 * np.pi, sides + 1)
    low, top = (
        np.stack([radius * np.cos(turn), radius * np.sin(turn), np.full(sides + 1, z)], axis=1)
        for z in (-5.0, high)
    )
    quads = np.stack([low[:-1], low[1:], top[1:], top[:-1]], axis=1)
    piece = make_piece(quads, [0.0] * sides, [surface.SKY] * sides, [150.0] * sides)
    emission = np.full(2 * sides, light.sky, np.float32)
    bright = rng.integers(0, sides)  # one side of the sky is brighter
    shift = np.abs((np.arange(sides) - bright + sides // 2) % sides - sides // 2)
    emission *= np.repeat(1 + rng.uniform(0, 0.8) * np.exp(-shift / 5), 2).astype(np.float32)
    return replace(piece, mesh=replace(piece.mesh, emission=emission))


def _row_of_houses(
    rng: np.random.Generator, y: float, reach: float, built_up: float
) -> list[Piece]:
    """Fronts along one side, each with its own height and depth, walls and hedges between."""
    pieces = []
    side = np.sign(y)
    x = -reach
    while x < reach:
        wide = rng.uniform(6, 25)
        if rng.random() < built_up:
            back = y + side * rng.exponential(1.0)
            high, kind = rng.uniform(4, 22), rng.choice([surface.FACADE, surface.FACADE_2])
        elif rng.random() < 0.5:
            back = y + side * rng.uniform(0, 6)
            high, kind = rng.uniform(0.8, 4), rng.choice([surface.BRICKS, surface.HEDGE])
        else:
            x += wide
            continue
        pieces.append(_house(rng, x, x + wide, back, side * 10.0, high, int(kind)))
        x += wide + (rng.uniform(0, 6) if rng.random() < 0.3 else 0)
    return pieces


def _house(
    rng: np.random.Generator, x1: float, x2: float, y: float, deep: float, high: float, kind: int
) -> Piece:
    back = y + deep
    quads = [
        [[x1, y, 0], [x2, y, 0], [x2, y, high], [x1, y, high]],
        [[x1, back, 0], [x1, y, 0], [x1, y, high], [x1, back, high]],
        [[x2, y, 0], [x2, back, 0], [x2, back, high], [x2, y, high]],
        [[x1, y, high], [x2, y, high], [x2, back, high + 0.3], [x1, back, high + 0.3]],
    ]
    tone = rng.uniform(0.1, 0.75)
    other = surface.BRICKS if kind in (surface.FACADE, surface.FACADE_2) else kind
    scale = rng.uniform(7, 12) if other != kind else rng.uniform(2, 5)
    tones = [tone, tone * 0.9, tone * 0.9, 0.3]
    return make_piece(quads, tones, [kind, other, other, other], [scale, 4.0, 4.0, 4.0])
