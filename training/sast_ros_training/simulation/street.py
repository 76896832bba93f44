"""
The still part of a scene: ground, road, houses, trees, things on the pavement, sky, and the light.

The road runs along the x axis, its middle at y = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sast_ros_training.simulation import textures as surface
from sast_ros_training.simulation.mesh import Mesh, Values


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
    that goes where the camera goes.
    """

    road: float
    kerb: float
    front: tuple[float, float]
    textures: list[np.ndarray]
    pieces: list[Piece]
    sky: Piece


def make_light(rng: np.random.Generator) -> Light:
    """Draw a time of day: sun, clouds, dusk or night."""
    height, side = np.radians(rng.uniform(12, 75)), rng.uniform(0, 2 * np.pi)
    sun = np.array(
        [np.cos(height) * np.cos(side), np.cos(height) * np.sin(side), np.sin(height)], np.float32
    )
    kind = rng.choice(4, p=(0.42, 0.33, 0.13, 0.12))
    if kind == 0:
        return Light(
            sun, rng.uniform(0.5, 1.0), rng.uniform(0.15, 0.4), rng.uniform(0.5, 1), False
        )
    if kind == 1:
        return Light(sun, rng.uniform(0, 0.1), rng.uniform(0.2, 0.6), rng.uniform(0.4, 1), False)
    if kind == 2:
        ambient = rng.uniform(0.03, 0.12)
        return Light(sun, rng.uniform(0, 0.03), ambient, ambient * rng.uniform(1, 3), True)
    # A street lamp instead of the sun
    ambient = rng.uniform(0.004, 0.03)
    flicker = np.exp(rng.uniform(np.log(0.02), np.log(0.2))) if rng.random() < 0.25 else 0.0
    return Light(
        sun,
        ambient * rng.uniform(0, 3),
        ambient,
        ambient * rng.uniform(0.1, 1),
        True,
        float(flicker),
        float(rng.choice((100.0, 120.0))),
    )


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
    sky = _sky(rng, light)
    built_up = rng.choice([0.0, 0.5, 0.95], p=(0.15, 0.3, 0.55))
    for side, distance in zip((1, -1), front, strict=True):
        pieces += _row_of_houses(rng, side * distance, reach, built_up)
    return Street(road, kerb, front, images, pieces, sky)


def _piece(quads: Values, albedo: Values, texture: Values, tiles: Values) -> Piece:
    """
    Make a piece of quads.

    ``quads``: corners ``[4, 3]`` in order around each; ``tiles``: size in metres of one tile of
    the texture, for each; texture coordinates follow the edges 0-1 and 0-3.
    """
    corners = np.asarray(quads, np.float32)
    count = len(corners)
    first = 4 * np.arange(count, dtype=np.int32)[:, None]
    triangles = np.concatenate([first + [0, 1, 2], first + [0, 2, 3]], axis=1).reshape(-1, 3)
    tile = np.asarray(tiles, np.float32)
    along = np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1) / tile
    across = np.linalg.norm(corners[:, 3] - corners[:, 0], axis=1) / tile
    zero = np.zeros_like(along)
    a, b, c, d = (
        np.stack(pair, axis=1)
        for pair in ((zero, zero), (along, zero), (along, across), (zero, across))
    )
    uv = np.stack([a, b, c, a, c, d], axis=1).reshape(-1, 3, 2)
    vertices = corners.reshape(-1, 3)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    mesh = Mesh(
        vertices,
        triangles.astype(np.int32),
        np.repeat(np.asarray(albedo, np.float32), 2),
        np.zeros(2 * count, np.float32),
        np.repeat(np.asarray(texture, np.int16), 2),
        uv.astype(np.float32),
    )
    return Piece(mesh, (low + high) / 2, float(np.linalg.norm(high - low) / 2))


def _ground(rng: np.random.Generator, road: float, kerb: float, far: float) -> Piece:
    outside = int(rng.choice([surface.GRASS, surface.PAVING, surface.ASPHALT]))
    edges = (-far, -kerb, -road, road, kerb, far)
    kinds = (outside, surface.PAVING, surface.ASPHALT, surface.PAVING, outside)
    tones = [rng.uniform(0.08, 0.5) for _ in kinds]
    if rng.random() < 0.5:
        tones[1] = tones[3]
    tones[4] = tones[0]
    quads = [
        [[-far, low, 0], [far, low, 0], [far, high, 0], [-far, high, 0]]
        for low, high in zip(edges[:-1], edges[1:], strict=True)
    ]
    return _piece(quads, tones, list(kinds), [rng.uniform(3, 8) for _ in kinds])


def _markings(rng: np.random.Generator, road: float, reach: float) -> Piece:
    """Lines, zebra crossings and kerbs, a finger's breadth above the ground."""
    height, tone = 0.01, rng.uniform(0.35, 0.9)
    boxes = []
    wide, dash, gap = rng.uniform(0.08, 0.15), rng.uniform(1, 6), rng.uniform(0, 8)
    lanes = [0.0] if road < 5 else [-road / 2, 0.0, road / 2]
    for lane in lanes:
        boxes += [(x, lane - wide, x + dash, lane + wide) for x in _steps(reach, dash + gap)]
    for side in (-1, 1):
        if rng.random() < 0.4:
            place = side * (road - 0.25)
            boxes.append((-reach, place - wide, reach, place + wide))
        place = side * road
        boxes.append((-reach, place - 0.08, reach, place + 0.08))
    if rng.random() < 0.5:
        start = rng.uniform(-20, 30)
        boxes += [(start, y, start + 3.5, y + 0.5) for y in np.arange(-road + 0.3, road - 0.5, 1)]
    quads = [
        [[x1, y1, height], [x2, y1, height], [x2, y2, height], [x1, y2, height]]
        for x1, y1, x2, y2 in boxes
    ]
    count = len(quads)
    return _piece(quads, [tone] * count, [surface.ASPHALT] * count, [4.0] * count)


def _steps(reach: float, step: float) -> np.ndarray:
    return np.arange(-reach, reach, max(step, 2 * reach / 60))


def _sky(rng: np.random.Generator, light: Light) -> Piece:
    """Put a cylinder around everything."""
    sides, radius, high = 24, 580.0, 420.0
    turn = np.linspace(0, 2 * np.pi, sides + 1)
    ring = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)
    quads = [
        [[*ring[i], -5.0], [*ring[i + 1], -5.0], [*ring[i + 1], high], [*ring[i], high]]
        for i in range(sides)
    ]
    piece = _piece(quads, [0.0] * sides, [surface.SKY] * sides, [150.0] * sides)
    emission = np.full(2 * sides, light.sky, np.float32)
    bright = rng.integers(0, sides)  # one side of the sky is brighter
    shift = np.abs((np.arange(sides) - bright + sides // 2) % sides - sides // 2)
    emission *= np.repeat(1 + rng.uniform(0, 0.8) * np.exp(-shift / 5), 2).astype(np.float32)
    mesh = piece.mesh
    mesh = Mesh(mesh.vertices, mesh.triangles, mesh.albedo, emission, mesh.texture, mesh.uv)
    return Piece(mesh, piece.centre, piece.radius)


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
    return _piece(quads, tones, [kind, other, other, other], [scale, 4.0, 4.0, 4.0])
