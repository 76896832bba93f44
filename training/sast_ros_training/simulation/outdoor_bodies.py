# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What moves or blinks out of doors by itself: foliage, cloth, flocks, lamps, signals, screens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from sast_ros_training.simulation.body import Body, RiggedBody, Skin
from sast_ros_training.simulation.draws import log_uniform
from sast_ros_training.simulation.mesh import assemble, grid, merge, Mesh, quad
from sast_ros_training.simulation.rig import full_turn, Motion, motion, placed, rotation
from sast_ros_training.simulation.shapes import box, disc, ellipsoid, rectangle, tube

#: Poses in one period of a motion.
_STEPS = 48
_WAY = full_turn(_STEPS)


class BlinkingBody(Body):
    """
    A body with parts that are lit, or shown at all, at some times only.

    Parameters
    ----------
    frame : Mesh
        What is always there.
    parts : sequence of Mesh
        Shown in turn; a part that is not shown has no extent.
    until : float[N]
        Seconds of a period at which each part is taken away again, rising; part i is shown from
        ``until[i - 1]`` (0 for the first) on.
    offset : float
        Seconds of the period that have passed at the start.

    """

    def __init__(
        self, frame: Mesh, parts: Sequence[Mesh], until: np.ndarray, offset: float = 0.0
    ) -> None:
        super().__init__(merge([frame, *parts]))
        self.size = (*self.size[:2], float(self.mesh.vertices[:, 2].max()))
        ends = np.cumsum([len(piece.vertices) for piece in (frame, *parts)])
        self._ranges = [slice(*pair) for pair in zip(ends[:-1], ends[1:], strict=True)]
        self._until, self._offset = np.asarray(until, float), offset

    def vertices(self, distance: float, seconds: float, walks: float = 1.0) -> np.ndarray:
        """Return the vertices with all parts but one drawn together to a point."""
        now = (seconds + self._offset) % self._until[-1]
        shown = int(np.searchsorted(self._until, now, 'right'))
        points = self.mesh.vertices.copy()
        for number, part in enumerate(self._ranges):
            if number != shown:
                points[part] = points[part.start]
        return points


class RaisedBody(Body):
    """Another body, lifted by some metres."""

    def __init__(self, body: Body, lift: float) -> None:
        length, width, height = body.size
        super().__init__(body.mesh, None, body.speeds, (length, width, height + max(lift, 0.0)))
        self._body, self._lift = body, np.array((0, 0, lift), np.float32)

    def vertices(self, distance: float, seconds: float, walks: float = 1.0) -> np.ndarray:
        """Return the posed vertices, see ``Body.vertices``."""
        return self._body.vertices(distance, seconds, walks) + self._lift


def _tall(body: Body) -> Body:
    """Return the body with its height counted from the ground."""
    body.size = (*body.size[:2], float(body.vertices(0.0, 0.0)[:, 2].max()))
    return body


def _wave(rng: np.random.Generator) -> np.ndarray:
    """Return one period of an irregular swing, about -1 to 1, ``[K]``."""
    size, phase = rng.uniform(0.3, 1, (3, 1)), rng.uniform(0, 2 * np.pi, (3, 1))
    order = np.array([[1], [2], [5]])
    return (size / order * np.sin(order * _WAY + phase)).sum(0)


def _leaves(
    rng: np.random.Generator, stem: Sequence[np.ndarray], count: int, leaf: float, wide: float
) -> Mesh:
    """Return pointed leaves, ``wide`` times as wide as long, along a twig (its two ends)."""
    along = rng.uniform(0.1, 1.0, (count, 1))
    foot = stem[0] + along * (stem[1] - stem[0])
    out = rng.normal(size=(count, 3))
    out *= leaf * rng.uniform(0.6, 1.4, (count, 1)) / np.linalg.norm(out, axis=1, keepdims=True)
    side = np.cross(out, rng.normal(size=(count, 3)))
    side *= 0.5 * wide * leaf / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-6)
    corners = np.stack([foot, foot + 0.5 * out + side, foot + out, foot + 0.5 * out - side], 1)
    triangles = 4 * np.arange(count)[:, None, None] + np.array([[0, 1, 2], [0, 2, 3]])
    light = np.clip(rng.uniform(0.08, 0.4) * rng.uniform(0.5, 1.7, count), 0.03, 0.8)
    return assemble(corners, triangles, np.repeat(light, 2))


def make_foliage(rng: np.random.Generator) -> Body:
    """Return a branch with leaves, grass or reed, 0.4 to 1.6 m high, each twig in its own wind."""
    tall, twigs = rng.uniform(0.4, 1.6), int(rng.integers(5, 12))
    hangs, grass = rng.random() < 0.4, rng.random() < 0.35
    leaf, wide = rng.uniform(0.03, 0.14) * tall**0.5, rng.uniform(0.2, 0.8)
    count = int(rng.integers(15, 60))
    wind = log_uniform(rng, 0.01, 0.12) * tall
    skin, motions = Skin(more=twigs), []
    for number in range(twigs):
        foot = rng.normal(0, 0.25 * tall, 3) * (1, 1, 0)
        tip = foot + rng.normal(0, 0.3 * tall, 3) * (1, 1, 0.3) + (0, 0, 0.8 * tall)
        if hangs:
            foot, tip = foot + (0, 0, tall), tip - (0, 0, 0.7 * tall)
        if grass:
            blade = foot, foot + (tip - foot) * 0.1
            piece = _leaves(rng, blade, count // 2, 0.7 * tall, 0.04)
        else:
            twig = tube([foot, tip], (0.007 * tall, 0.002 * tall), 3, 0.15)
            piece = merge([twig, _leaves(rng, (foot, tip), count, leaf, wide)])
        skin.add(piece, number)
        matrices = np.tile(np.eye(4), (_STEPS, 1, 1))
        for axis in (0, 1):
            lean = wind / tall * _wave(rng)
            matrices[:, axis, 2] = lean
            matrices[:, axis, 3] = -lean * foot[2]
        motions.append(motion([matrices], rng.uniform(0.5, 3.0), 'seconds', rng.random()))
    return _tall(RiggedBody(skin, motions))


def make_cloth(rng: np.random.Generator) -> Body:
    """Return a banner, washing line or tarpaulin between two poles, with ripples."""
    wide, tall = rng.uniform(0.8, 4.0), rng.uniform(0.5, 1.8)
    low = rng.uniform(0.3, 2.5)
    columns, rows = 12, 4
    x, z = np.linspace(0, wide, columns + 1), np.linspace(low + tall, low, rows + 1)[:, None]
    points = np.stack(np.broadcast_arrays(x, 0.0, z), -1)
    shades = (
        rng.uniform(0.05, 0.9, (rows, columns))
        if rng.random() < 0.5
        else rng.uniform(0.1, 0.9, (rows, 1))
    )
    poles = [tube([(x, 0, 0), (x, 0, low + tall)], 0.03, 5, 0.3) for x in (0, wide)]
    skin = Skin([merge(poles)], columns + 1)
    piece = grid(points, shades)
    skin.add(piece, 0, 1 + np.rint(piece.vertices[:, 0] / wide * columns).astype(int), 1.0)
    size, wavelength = rng.uniform(0.02, 0.12) * tall, rng.uniform(0.5, 3.0)
    parts = [np.tile(np.eye(4), (_STEPS, 1, 1)) for _ in range(columns + 2)]
    for column, moves in enumerate(parts[1:]):
        share = column / columns
        swing = np.sin(np.pi * share) if rng.random() < 0.5 else 1.0
        phase = 2 * np.pi * share * wide / wavelength
        # A shear: the upper edge is held, the lower one moves most
        lean = size * swing * (np.sin(_WAY - phase) + 0.4 * np.sin(3 * _WAY - 2 * phase)) / tall
        moves[:, 1, 2] = -lean
        moves[:, 1, 3] = lean * (low + tall)
    cycle = motion(parts, rng.uniform(0.4, 2.0), 'seconds', rng.random())
    return _tall(RiggedBody(skin, [cycle]))


def make_flock(rng: np.random.Generator) -> Body:
    """Return 4 to 14 birds that fly together, each beating its wings in its own time."""
    size, height = rng.uniform(0.12, 0.4), rng.uniform(2.0, 9.0)
    coat = rng.uniform(0.03, 0.5)
    birds = int(rng.integers(4, 15))
    skin, motions = Skin(more=3 * birds), []
    spread = size * rng.uniform(2, 6)
    for bird in range(birds):
        middle = rng.normal(0, 1, 3) * (spread, spread, 0.4 * spread) + (0, 0, height)
        skin.add(ellipsoid(middle, np.array((0.5, 0.11, 0.1)) * size, 5, 4, coat), 3 * bird)
        bob = np.tile(np.eye(4), (_STEPS, 1, 1))
        bob[:, 2, 3] = 0.06 * size * np.sin(_WAY)
        parts = [bob]
        for sign in (1, -1):
            wing = [(0.2, 0.05 * sign, 0), (0.05, 0.9 * sign, 0), (-0.1, 0.85 * sign, 0)]
            wing.append((-0.2, 0.05 * sign, 0))
            number = 3 * bird + len(parts)
            skin.add(quad(np.array(wing) * size + middle, 0.8 * coat), number)
            parts.append(placed(rotation(0, sign * (0.1 + 0.8 * np.sin(_WAY))), middle))
        motions.append(motion(parts, rng.uniform(0.1, 0.3), 'seconds', rng.random()))
    body = RiggedBody(skin, motions, None, (4.0, 11.0))
    return _tall(body)


def make_swinging_lamp(rng: np.random.Generator) -> Body:
    """Return a lamp, sign or lantern that hangs from a wire and swings."""
    height, rope = rng.uniform(2.0, 4.5), rng.uniform(0.3, 1.2)
    glow = rng.choice((0.0, 1.0, 4.0))
    top = np.array((0, 0, height))
    if rng.random() < 0.6:
        size = rng.uniform(0.08, 0.25)
        thing = ellipsoid(top - (0, 0, rope), (size, size, 1.2 * size), 8, 5, 0.6, glow)
    else:
        sides = rng.uniform((0.3, 0.03, 0.2), (0.9, 0.06, 0.6))
        thing = box(sides, top - (0, 0, rope), rng.uniform(0.1, 0.9), 0.3 * glow)
    wire = tube([top, top - (0, 0, rope)], 0.01, 4, 0.1)
    span = rng.uniform(2, 5)
    rail = tube([top - (0, span, -0.1), top + (0, span, 0.1)], 0.012, 4, 0.1)
    skin = Skin([rail, merge([wire, thing])])
    swings = [
        rng.uniform(0.05, 0.5) * np.sin(_WAY + rng.uniform(0, 6.3)) * share for share in (1, 0.5)
    ]
    turn = rotation(0, swings[0]) @ rotation(1, swings[1])
    still = np.tile(np.eye(4), (_STEPS, 1, 1))
    period = 2 * np.pi * np.sqrt(rope / 9.81)
    return _tall(RiggedBody(skin, [motion([still, placed(turn, top)], period, 'seconds')]))


def make_beacon(rng: np.random.Generator) -> Body:
    """Return a warning light or direction arrow on a post that blinks 0.7 to 8 times a second."""
    height, size = rng.uniform(0.8, 3.5), rng.uniform(0.06, 0.25)
    glow, tone = rng.uniform(1.0, 6.0), rng.uniform(0.05, 0.6)
    period = log_uniform(rng, 0.12, 1.4)
    pieces = [tube([(0, 0, 0), (0, 0, height)], 0.04, 5, tone)]
    pieces.append(box((0.1, 2.4 * size, 2.4 * size), (0, 0, height), tone))
    lights = []
    for shade in (glow, 0.0):
        faces = [disc((x, 0, height), (1, 0, 0), size, 10, 0.15, shade) for x in (0.06, -0.06)]
        lights.append(merge(faces))
    until = np.array((rng.uniform(0.08, 0.6), 1.0)) * period
    return BlinkingBody(merge(pieces), lights, until, rng.uniform(0, period))


def make_signals(rng: np.random.Generator) -> Body:
    """Return a traffic light that changes during the sequence, in short phases."""
    z = rng.uniform(2.0, 3.2)
    pieces = [tube([(0, 0, 0), (0, 0, z + 0.4)], 0.06, 6, rng.uniform(0.05, 0.6))]
    pieces.append(box((0.22, 0.32, 0.95), (0.08, 0, z), 0.04))
    glow = rng.uniform(1, 4)
    lights = []
    for lit in ((0,), (0, 1), (2,), (1,)):
        discs = [
            disc((0.2, 0, z + 0.3 - 0.3 * n), (1, 0, 0), 0.11, 10, 0.1, glow * (n in lit))
            for n in range(3)
        ]
        lights.append(merge(discs))
    until = np.cumsum(rng.uniform((0.5, 0.3, 0.5, 0.3), (2.0, 0.8, 2.0, 0.8)))
    return BlinkingBody(merge(pieces), lights, until, rng.uniform(0, until[-1]))


def make_screen(rng: np.random.Generator) -> Body:
    """Return an advertisement screen whose picture changes 1 to 25 times a second."""
    wide, tall = rng.uniform(0.7, 3.5), rng.uniform(0.6, 2.4)
    low, glow = rng.uniform(0.3, 2.0), rng.uniform(0.3, 1.6)
    columns, rows = int(rng.integers(2, 9)), int(rng.integers(2, 9))
    pictures = int(rng.integers(3, 9))
    y, z = np.linspace(-wide / 2, wide / 2, columns + 1), np.linspace(low, low + tall, rows + 1)
    points = np.stack(np.broadcast_arrays(0.06, y, z[:, None]), -1)
    light = rng.uniform(0.0, 1.0, (rows, columns)) ** 2
    scrolls = rng.random() < 0.4
    shown = []
    for number in range(pictures):
        if not scrolls:
            light = np.where(rng.random((rows, columns)) < 0.5, light, rng.random(light.shape))
        emission = glow * (np.roll(light, number, int(rows > columns)) if scrolls else light)
        shown.append(grid(points, 0.05, emission))
    frame = merge(
        [
            box((0.1, wide + 0.12, tall + 0.12), (0, 0, low + tall / 2), 0.05),
            rectangle(0.0, (-0.1, 0.1), (0.0, low), 0.2),
        ]
    )
    until = log_uniform(rng, 0.04, 1.0) * np.arange(1, pictures + 1)
    return BlinkingBody(frame, shown, until, rng.uniform(0, until[-1]))


def make_wires(rng: np.random.Generator) -> Body:
    """Return some wires or ropes across the view that the wind lifts and drops."""
    height, long = rng.uniform(2.5, 6.0), rng.uniform(8, 20)
    wires = int(rng.integers(2, 6))
    skin, motions = Skin(more=wires), []
    x = np.linspace(-long / 2, long / 2, 9)
    for number in range(wires):
        sag = rng.uniform(0.1, 0.8)
        line = np.stack([x, 0 * x, height + sag * ((2 * x / long) ** 2 - 1)], -1)
        line += (0, rng.uniform(-1, 1), rng.uniform(-0.5, 0.5))
        skin.add(tube(line, rng.uniform(0.008, 0.03), 3, rng.uniform(0.02, 0.3)), number)
        motions.append(_lifting(rng, rng.uniform(0.02, 0.2)))
    return _tall(RiggedBody(skin, motions))


def _lifting(rng: np.random.Generator, size: float) -> Motion:
    matrices = np.tile(np.eye(4), (_STEPS, 1, 1))
    for axis in (1, 2):
        matrices[:, axis, 3] = size * _wave(rng)
    return motion([matrices], rng.uniform(0.6, 3.0), 'seconds', rng.random())


Maker = Callable[[np.random.Generator], Body]

#: Those of ``OUTDOOR`` that hang or fly: at any height.
FLOATING = frozenset({'foliage', 'flock', 'swinging lamp', 'wires'})

#: Maker, how many at least and at most, and nearest and farthest distance in metres, by name.
OUTDOOR: dict[str, tuple[Maker, tuple[int, int], tuple[float, float]]] = {
    'foliage': (make_foliage, (1, 6), (1.1, 7.0)),
    'cloth': (make_cloth, (1, 3), (2.5, 15.0)),
    'flock': (make_flock, (1, 3), (6.0, 35.0)),
    'swinging lamp': (make_swinging_lamp, (1, 3), (3.0, 12.0)),
    'beacon': (make_beacon, (1, 4), (2.5, 25.0)),
    'signals': (make_signals, (1, 3), (4.0, 25.0)),
    'screen': (make_screen, (1, 2), (2.5, 18.0)),
    'wires': (make_wires, (1, 1), (3.0, 12.0)),
}
