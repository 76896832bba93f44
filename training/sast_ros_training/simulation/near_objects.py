# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What stands, lies, turns and glows on desks and in rooms, none of it with a label.

Origin: of what is held in a hand the middle, of what stands the middle of its underside, of what
hangs its top. The front is x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from sast_ros_training.simulation.body import Body, RiggedBody, Skin
from sast_ros_training.simulation.distractors import (
    make_animal,
    make_bird,
    make_bush,
    make_conifer,
    make_stone,
    make_tree,
    make_wedge,
)
from sast_ros_training.simulation.draws import log_uniform
from sast_ros_training.simulation.mesh import grid, merge, Mesh, Surface, textured
from sast_ros_training.simulation.near_textures import ALL, CLOTHS, KEYS, PRINTS, SCREENS
from sast_ros_training.simulation.rig import full_turn, Motion, motion, placed, rotation
from sast_ros_training.simulation.shapes import box, disc, ellipsoid, rectangle, ring, tube

Maker = Callable[[np.random.Generator], Body]

_STEPS = 48
_WAY = full_turn(_STEPS)


def _shade(rng: np.random.Generator) -> float:
    return rng.uniform(0.03, 0.9)


def _printed(rng: np.random.Generator, wide: float, high: float, x: float, texture: int) -> Mesh:
    """Return an upright rectangle at ``x`` that shows a texture, or a part of it, once."""
    face = rectangle(x, (-wide / 2, wide / 2), (-high / 2, high / 2), rng.uniform(0.5, 0.95))
    share = rng.uniform(0.4, 1.0) if rng.random() < 0.3 else 1.0
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float32) * share
    uv = corners[[[0, 1, 2], [0, 2, 3]]]
    return replace(face, texture=np.full(2, texture, np.int16), uv=uv)


def _any_texture(rng: np.random.Generator, piece: Mesh, chance: float = 0.5) -> Mesh:
    """Return the piece with a pattern on it, or as it is."""
    if rng.random() >= chance:
        return piece
    return textured(piece, int(rng.choice(ALL)), log_uniform(rng, 2, 20))


def board(rng: np.random.Generator) -> Mesh:
    """Return a sheet or board with print, a checker board, markers or a picture on its front."""
    wide = log_uniform(rng, 0.08, 0.5)
    high, deep = wide * rng.uniform(0.6, 1.5), rng.choice((0.001, 0.004, 0.02))
    back = box((deep, wide, high), (0, 0, 0), _shade(rng))
    front = _printed(rng, wide, high, deep / 2 + 0.001, int(rng.choice(PRINTS)))
    pieces = [back, front]
    if rng.random() < 0.3:
        pieces.append(_printed(rng, wide, high, -deep / 2 - 0.001, int(rng.choice(PRINTS))))
    return merge(pieces)


def book(rng: np.random.Generator) -> Mesh:
    """Return a book, box, packet or toy block with a printed front."""
    size = deep, wide, high = rng.uniform((0.01, 0.06, 0.06), (0.08, 0.22, 0.3))
    shades = [_shade(rng) if rng.random() < 0.5 else 0.85 for _ in range(6)]
    front = _printed(rng, wide, high, deep / 2 + 0.001, int(rng.choice(PRINTS)))
    return merge([box(size, (0, 0, 0), shades), front])


def tool(rng: np.random.Generator) -> Mesh:
    """Return a screwdriver, pen, hammer, spanner, stick or scissors, upright."""
    grip, shaft = _shade(rng), rng.choice((0.1, 0.4, 0.7))
    long, thick = rng.uniform(0.08, 0.35), rng.uniform(0.003, 0.018)
    pieces = [tube([(0, 0, -0.5 * long), (0, 0, 0)], (thick, 0.9 * thick), 7, grip)]
    pieces.append(tube([(0, 0, 0), (0, 0, 0.5 * long)], (0.6 * thick, 0.4 * thick), 6, shaft))
    kind = rng.integers(4)
    if kind == 0:
        head = rng.uniform((0.015, 0.05, 0.015), (0.04, 0.13, 0.04))
        pieces.append(box(head, (0, 0, 0.5 * long), shaft))
    elif kind == 1:
        pieces.append(ring((0, 0, 0.5 * long), (1, 0, 0), 0.6 * thick, 2 * thick, 8, shaft))
    elif kind == 2:
        for y in (-0.25, 0.25):
            pieces.append(tube([(0, 0, 0), (0, y * long, 0.5 * long)], 0.4 * thick, 4, shaft))
            place = (0, 1.2 * y * long, -0.4 * long)
            pieces.append(ring(place, (1, 0, 0), 0.015, 0.022, 8, grip))
    return merge(pieces)


def bottle(rng: np.random.Generator) -> Mesh:
    """Return a bottle, can, cup or mug, its label printed."""
    radius, high = rng.uniform(0.02, 0.05), rng.uniform(0.07, 0.28)
    shade = _shade(rng)
    low = -0.5 * high
    pieces = []
    if rng.random() < 0.5:
        heights = low + high * np.array((0, 0.6, 0.75, 0.8, 1.0))
        widths = radius * np.array((1, 1, 0.5, 0.35, 0.33))
        pieces.append(tube([(0, 0, z) for z in heights], widths, 12, shade))
    else:
        pieces.append(tube([(0, 0, low), (0, 0, -low)], (0.9 * radius, radius), 12, shade))
        if rng.random() < 0.5:
            handle = [(0, radius, 0.3 * low), (0, 1.7 * radius, 0), (0, radius, -0.4 * low)]
            pieces.append(tube(handle, 0.15 * radius, 5, shade))
    if rng.random() < 0.7:
        band = tube([(0, 0, 0.7 * low), (0, 0, 0.1 * high)], 1.02 * radius, 12, 0.8)
        pieces.append(textured(band, int(rng.choice(PRINTS)), rng.uniform(5, 15)))
    return merge(pieces)


def ball(rng: np.random.Generator) -> Mesh:
    """Return a ball or fruit: plain, patched or striped."""
    radius = log_uniform(rng, 0.015, 0.13)
    radii = radius * rng.uniform(0.85, 1.0, 3)
    cells = np.full((8, 12), _shade(rng))
    kind = rng.integers(3)
    if kind == 1:
        cells[::2] = _shade(rng)
    elif kind == 2:
        cells[rng.random(cells.shape) < 0.4] = _shade(rng)
    return _any_texture(rng, ellipsoid((0, 0, 0), radii, 12, 8, cells), 0.3)


def plush(rng: np.random.Generator) -> Mesh:
    """Return a toy of rounded pieces: a head with ears and eyes, a belly, stumps for limbs."""
    size, fur = rng.uniform(0.05, 0.2), _shade(rng)
    other, pieces = _shade(rng), []
    for centre, radii, tone in (
        ((0, 0, 0.75), (0.4, 0.45, 0.4), fur),
        ((0, 0, 0), (0.42, 0.5, 0.6), fur),
        ((0.2, 0, 0), (0.3, 0.3, 0.4), other),
        ((0.35, 0, 0.65), (0.2, 0.2, 0.15), other),
        *(((0.38, y, 0.85), (0.05, 0.06, 0.06), 0.03) for y in (-0.16, 0.16)),
        *(((0, y, 1.1), (0.1, 0.17, rng.uniform(0.15, 0.5)), fur) for y in (-0.33, 0.33)),
        *(((0.1, y, 0.2), (0.15, 0.4, 0.14), fur) for y in (-0.5, 0.5)),
        *(((0.25, y, -0.55), (0.35, 0.17, 0.16), other) for y in (-0.3, 0.3)),
    ):
        moved, scaled = size * np.array(centre), size * np.array(radii)
        pieces.append(ellipsoid(moved, scaled, 8, 5, tone))
    return _any_texture(rng, merge(pieces), 0.3)


def phone(rng: np.random.Generator) -> Mesh:
    """Return a telephone, tablet or remote control whose front may glow."""
    size = deep, wide, high = rng.uniform((0.007, 0.05, 0.1), (0.015, 0.2, 0.24))
    front = _printed(rng, 0.93 * wide, 0.93 * high, deep / 2 + 0.001, int(rng.choice(SCREENS)))
    glow = np.full(2, rng.choice((0.0, rng.uniform(0.1, 1.0))), np.float32)
    return merge([box(size, (0, 0, 0), _shade(rng)), replace(front, emission=glow)])


def lump(rng: np.random.Generator) -> Mesh:
    """Return something that is nothing in particular: boxes, tubes and balls joined."""
    size, pieces = rng.uniform(0.03, 0.15), []
    for _ in range(rng.integers(1, 6)):
        place, kind = size * rng.normal(0, 0.5, 3), rng.integers(3)
        if kind == 0:
            turn = rotation(int(rng.integers(3)), rng.uniform(0, np.pi))[0]
            sides = size * rng.uniform(0.1, 1, 3)
            piece = box(sides, (0, 0, 0), _shade(rng), 0.0, rng.uniform(0.2, 1))
            pieces.append(piece.rotated(turn).moved(place))
        elif kind == 1:
            end = place + size * rng.normal(0, 0.7, 3)
            pieces.append(tube([place, end], size * rng.uniform(0.02, 0.3), 7, _shade(rng)))
        else:
            pieces.append(ellipsoid(place, size * rng.uniform(0.2, 0.6, 3), 8, 5, _shade(rng)))
    return _any_texture(rng, merge(pieces))


#: Meshes of what is moved by hand, rolls, falls or lies about.
THINGS: tuple[Callable[[np.random.Generator], Mesh], ...] = (
    *(board, board, board, book, tool, tool, bottle),
    *(ball, plush, phone, lump),
)


#: Factor of a lamp's brightness at a time in seconds, and its frequency in Hz.
Lamp = tuple[Callable[[float], float], float]


class Glowing(RiggedBody):
    """
    A body whose emission changes with time, and whose textures may move.

    ``lamp``: factor of the emission at a time in seconds, and how often it changes; ``shift``:
    what is added to the texture coordinates then, ``[2]``.
    """

    def __init__(
        self,
        skin: Skin,
        motions: list[Motion],
        lamp: Lamp,
        shift: Callable[[float], np.ndarray] | None = None,
    ) -> None:
        super().__init__(skin, motions)
        self._gain, self.flicker_hz = lamp
        self._shift = shift

    def surface(self, seconds: float) -> Surface:
        """Return emission and texture coordinates at a time."""
        uv = self.mesh.uv
        if self._shift is not None:
            uv = uv + self._shift(seconds).astype(np.float32)
        return self.mesh.emission * np.float32(self._gain(seconds)), uv


def _always(seconds: float) -> float:
    return 1.0


_STEADY: Lamp = (_always, 0.0)


def blinking(rng: np.random.Generator) -> Lamp:
    """Return a lamp that is steady, ripples with the mains, is pulsed, blinks or flickers."""
    kind = rng.choice(5, p=(0.2, 0.3, 0.2, 0.2, 0.1))
    hertz = log_uniform(rng, 60, 600)
    duty, low, start = rng.uniform(0.15, 0.85), float(rng.choice((0.0, 0.1, 0.5))), rng.random()
    if kind == 0:
        return _STEADY
    if kind == 1:
        mains, depth = float(rng.choice((100, 120))), log_uniform(rng, 0.05, 1.0)

        def ripple(seconds: float) -> float:
            return float(1 - depth * (0.5 + 0.5 * np.cos(2 * np.pi * (mains * seconds + start))))

        return ripple, mains
    if kind == 4:
        numbers, base = rng.uniform(0.2, 1.2, 256), rng.uniform(5, 30)

        def candle(seconds: float) -> float:
            place = seconds * base
            return float(np.interp(place % 256, np.arange(256), numbers))

        return candle, base
    if kind == 3:
        hertz = log_uniform(rng, 0.7, 30)

    def square(seconds: float) -> float:
        return 1.0 if (hertz * seconds + start) % 1 < duty else low

    return square, hertz


def _turning(rng: np.random.Generator, axis: int, centre: np.ndarray) -> Motion:
    """Return turning about an axis, from slow to as fast as a fan."""
    period = 1 / log_uniform(rng, 0.4, 30)
    sign = rng.choice((-1, 1))
    return motion([placed(rotation(axis, sign * _WAY), centre)], period, 'seconds', rng.random())


def _still_part() -> Motion:
    return motion([np.tile(np.eye(4), (1, 1, 1))], 1.0, 'seconds')


def make_fan(rng: np.random.Generator) -> Body:
    """Return a fan or propeller on a stand, with or without a guard."""
    radius, high = rng.uniform(0.05, 0.25), rng.uniform(0.1, 0.35)
    middle = np.array((0.0, 0.0, high + 0.6 * radius))
    blades, width = int(rng.integers(2, 8)), rng.uniform(0.15, 0.45)
    shade, stand = _shade(rng), _shade(rng)
    pieces = []
    for angle in full_turn(blades):
        share = np.linspace(0.15, 1, 4)[:, None]
        side = np.array((-1, 1)) * radius * width * (0.4 + 0.6 * share)
        points = np.stack(
            [np.broadcast_to(0.35 * side, (4, 2)), side, np.broadcast_to(radius * share, (4, 2))],
            -1,
        )
        tone = np.array([[shade], [shade], [_shade(rng) if rng.random() < 0.3 else shade]])
        pieces.append(grid(points, tone).rotated(rotation(0, angle)[0]))
    hub = tube([(-0.02, 0, 0), (0.03, 0, 0)], 0.18 * radius, 8, _shade(rng))
    skin = Skin([_stand(high, middle, stand), merge([*pieces, hub]).moved(middle)])
    if rng.random() < 0.5:
        rings = [
            ring(middle + (0.04, 0, 0), (1, 0, 0), r, r + 0.004, 20, stand)
            for r in np.linspace(0.3, 1.08, rng.integers(3, 8)) * radius
        ]
        skin.add(merge(rings), 0)
    return RiggedBody(skin, [_still_part(), _turning(rng, 0, middle)])


def _stand(high: float, middle: np.ndarray, shade: float) -> Mesh:
    foot = disc((-0.03, 0, 0.005), (0, 0, 1), 0.4 * high, 10, shade)
    return merge([foot, tube([(-0.03, 0, 0), middle - (0.04, 0, 0)], 0.012, 6, shade)])


def make_spinner(rng: np.random.Generator) -> Body:
    """Return a turning disc with sectors, slots, dots or print, upright or lying."""
    radius = rng.uniform(0.03, 0.2)
    light, dark = _shade(rng), _shade(rng)
    count = int(rng.choice((2, 3, 4, 6, 8, 12, 24)))
    kind = rng.integers(4)
    if kind == 0:
        wheel = disc((0, 0, 0), (1, 0, 0), radius, 24, np.where(full_turn(24) < np.pi, 0.9, dark))
        if rng.random() < 0.7:
            tones = np.where(np.arange(2 * count) % 2, light, dark)
            wheel = disc((0, 0, 0), (1, 0, 0), radius, 2 * count, tones)
    elif kind == 1:  # slots
        tones = np.where(np.arange(2 * count) % 2, light, dark)[None]
        wheel = merge(
            [
                ring((0, 0, 0), (1, 0, 0), 0.5 * radius, 0.9 * radius, 2 * count, tones),
                ring((-0.01, 0, 0), (1, 0, 0), 0.05 * radius, radius, 24, light),
            ]
        )
    elif kind == 2:  # dots
        pieces = [disc((0, 0, 0), (1, 0, 0), radius, 24, light)]
        for angle in full_turn(count)[: int(rng.integers(1, count + 1))]:
            far = rng.uniform(0.3, 0.85) * radius
            place = (0.003, far * np.cos(angle), far * np.sin(angle))
            pieces.append(disc(place, (1, 0, 0), rng.uniform(0.05, 0.2) * radius, 8, dark))
        wheel = merge(pieces)
    else:
        wheel = textured(
            disc((0, 0, 0), (1, 0, 0), radius, 24, light),
            int(rng.choice(PRINTS)),
            rng.uniform(0.3, 1) / radius,
        )
    high = radius + rng.uniform(0.01, 0.15)
    middle, axis = np.array((0.0, 0.0, high)), 0
    if rng.random() < 0.3:
        wheel, axis, middle = wheel.rotated(rotation(1, -np.pi / 2)[0]), 2, middle * 0.3
    skin = Skin([_stand(float(middle[2]), middle, _shade(rng)), wheel.moved(middle)])
    return RiggedBody(skin, [_still_part(), _turning(rng, axis, middle)])


def make_spinning_light(rng: np.random.Generator) -> Body:
    """Return lights that turn about a middle, with the rays that a lens makes of them."""
    radius, high = rng.uniform(0.02, 0.12), rng.uniform(0.05, 0.25)
    middle = np.array((0.0, 0.0, high))
    glow = log_uniform(rng, 0.5, 8)
    pieces = []
    for angle in full_turn(int(rng.integers(1, 5))) + rng.uniform(0, 6.3):
        far = radius * rng.uniform(0.3, 1.0)
        place = (0.0, far * np.cos(angle), far * np.sin(angle))
        size = radius * rng.uniform(0.15, 0.6)
        pieces.append(ellipsoid(place, (size, size, 0.7 * size), 7, 4, 0.5, glow))
    rays = []
    for angle in rng.uniform(0, 2 * np.pi, rng.integers(0, 14)):
        far, half = radius * rng.uniform(1.0, 3.5), rng.uniform(0.0005, 0.003)
        points = [[(0.001, 0.2 * far, -half), (0.001, 0.2 * far, half)]]
        points.append([(0.001, far, -0.3 * half), (0.001, far, 0.3 * half)])
        ray = grid(points, 0.0, glow * rng.uniform(0.03, 0.3))
        rays.append(ray.rotated(rotation(0, angle)[0]))
    pieces.append(disc((-0.01, 0, 0), (1, 0, 0), radius * rng.uniform(0.1, 1), 12, _shade(rng)))
    stand = _stand(high, middle, _shade(rng)).moved((-0.02, 0, 0))
    rest = merge([stand, *(ray.moved(middle) for ray in rays)])
    skin = Skin([rest, merge(pieces).moved(middle)])
    lamp = blinking(rng) if rng.random() < 0.4 else _STEADY
    return Glowing(skin, [_still_part(), _turning(rng, 0, middle)], lamp)


def make_lamp(rng: np.random.Generator) -> Body:
    """Return a lamp, a bulb, a tube, a strip or a panel of light-emitting diodes."""
    glow, kind = log_uniform(rng, 0.2, 6), rng.integers(4)
    high, pieces = rng.uniform(0.02, 0.4), []
    if kind == 0:
        radius = rng.uniform(0.008, 0.06)
        pieces.append(ellipsoid((0, 0, high), (radius,) * 3, 10, 7, 0.6, glow))
        pieces.append(tube([(0, 0, 0), (0, 0, high - 0.8 * radius)], 0.4 * radius, 6, 0.2))
    elif kind == 1:
        long = rng.uniform(0.1, 0.8)
        rod = tube([(0, -long / 2, high), (0, long / 2, high)], rng.uniform(0.005, 0.02), 7, 0.7)
        pieces.append(replace(rod, emission=np.full(len(rod.triangles), glow, np.float32)))
    elif kind == 2:
        rows, columns = rng.integers(1, 9, 2)
        pitch = rng.uniform(0.008, 0.03)
        for row in range(rows):
            for column in range(columns):
                place = (0.0, (column - columns / 2) * pitch, 0.02 + row * pitch)
                on = glow if rng.random() < 0.8 else 0.0
                pieces.append(disc(place, (1, 0, 0), 0.3 * pitch, 6, 0.3, on))
        size = (0.01, pitch * (columns + 1), pitch * (rows + 1))
        pieces.append(box(size, (-0.01, 0, size[2] / 2), 0.1))
    else:
        wide, tall = rng.uniform(0.05, 0.4, 2)
        panel = rectangle(0.011, (-wide / 2, wide / 2), (0.02, tall), 0.5, glow)
        pieces += [panel, box((0.02, wide + 0.02, tall + 0.04), (0, 0, tall / 2), _shade(rng))]
    return Glowing(Skin([merge(pieces)]), [_still_part()], blinking(rng))


def make_screen(rng: np.random.Generator) -> Body:
    """Return a monitor, television or laptop with still, scrolling, panning or cut pictures."""
    wide = log_uniform(rng, 0.15, 1.0)
    high = wide * rng.uniform(0.5, 0.75)
    low = rng.uniform(0.01, 0.15)
    glow = log_uniform(rng, 0.15, 1.2)
    face = _printed(rng, wide, high, 0.016, int(rng.choice(SCREENS)))
    shades = np.full(2, 0.02, np.float32)
    face = replace(face, emission=np.full(2, glow, np.float32), albedo=shades)
    zoom = log_uniform(rng, 0.3, 1.0)
    face = replace(face, uv=face.uv * np.float32(zoom))
    lift = (0, 0, low + high / 2)
    frame = box((0.03, wide + 0.03, high + 0.03), lift, _shade(rng))
    foot = box((0.12, 0.3 * wide, 0.01), (0, 0, 0.005), _shade(rng))
    skin = Skin([merge([frame, foot, face.moved(lift)])])
    kind = rng.choice(4, p=(0.2, 0.35, 0.3, 0.15))
    speed = rng.uniform(-1, 1, 2) * rng.uniform(0.05, 1.5)
    jumps, rate = rng.random((64, 2)), rng.uniform(0.5, 12)

    def shift(seconds: float) -> np.ndarray:
        if kind == 0:
            return np.zeros(2)
        if kind == 3:  # cuts
            return jumps[int(seconds * rate) % 64]
        shown = np.floor(seconds * 60) / 60  # a picture of a screen stays for a sixtieth
        if kind == 1:
            return np.array((0.0, speed[1])) * shown
        return speed * np.sin(rate * shown)

    lamp = blinking(rng) if rng.random() < 0.4 else _STEADY
    return Glowing(skin, [_still_part()], lamp, shift)


def make_pendulum(rng: np.random.Generator) -> Body:
    """Return something that hangs on a string and swings: a ball, a tool, a toy."""
    long = rng.uniform(0.1, 0.8)
    thing = (ball, tool, plush, board, lump, bottle)[rng.integers(6)](rng)
    string = tube([(0, 0, 0), (0, 0, -long)], 0.002, 3, _shade(rng))
    pieces = merge([string, thing.moved((0, 0, -long - 0.04))])
    size = rng.uniform(0.05, 0.7)
    angle = size * np.sin(_WAY)
    other = rng.choice((0.0, 0.3)) * size * np.sin(_WAY + rng.uniform(0, 6.3))
    swing = placed(rotation(1, angle) @ rotation(0, other), (0, 0, 0))
    period = 2 * np.pi * np.sqrt(long / 9.81)
    turn = placed(rotation(2, np.full(_STEPS, rng.uniform(0, 6.3))), (0, 0, 0))
    swings = motion([turn @ swing], period, 'seconds', rng.random())
    return RiggedBody(Skin([pieces]), [swings])


def make_curtain(rng: np.random.Generator) -> Body:
    """Return a curtain, towel or cloth that hangs from its top and moves in the air."""
    wide, high, columns = rng.uniform(0.3, 1.5), rng.uniform(0.3, 1.8), 12
    y, z = np.linspace(-wide / 2, wide / 2, 4 * columns + 1), np.linspace(0, -high, 6)[:, None]
    folds = rng.uniform(0.005, 0.05) * np.sin(rng.uniform(15, 60) * y)
    points = np.stack(np.broadcast_arrays(folds + 0 * z, y, z), -1)
    piece = textured(grid(points, _shade(rng)), int(rng.choice(CLOTHS)), rng.uniform(1, 6))
    skin = Skin(more=columns + 2)
    number = 1 + np.rint((piece.vertices[:, 1] / wide + 0.5) * columns).astype(int)
    skin.add(piece, 0, number, (-piece.vertices[:, 2] / high) ** 1.5)
    size, parts = rng.uniform(0.01, 0.15), []
    along = rng.uniform(0.3, 1.5)
    for column in range(columns + 2):
        moves = np.tile(np.eye(4), (_STEPS, 1, 1))
        wave = np.sin(_WAY - along * column) + 0.4 * np.sin(2 * _WAY - 0.7 * along * column)
        moves[:, 0, 3] = size * wave * (column > 0)
        moves[:, 1, 3] = 0.3 * size * np.sin(_WAY - along * column + 1) * (column > 0)
        parts.append(moves)
    return RiggedBody(skin, [motion(parts, rng.uniform(0.6, 4), 'seconds', rng.random())])


class Scaled(Body):
    """Another body, smaller: a plant in a pot, a toy animal."""

    def __init__(self, body: Body, scale: float) -> None:
        super().__init__(body.mesh)
        self._body, self._scale = body, np.float32(scale)
        length, width, height = body.size
        self.size = length * scale, width * scale, height * scale

    def vertices(self, distance: float, seconds: float, walks: float = 1.0) -> np.ndarray:
        """Return the posed vertices; an animal walks on the spot."""
        return self._body.vertices(distance + seconds, seconds) * self._scale


def make_plant(rng: np.random.Generator) -> Body:
    """Return a plant in a pot, or a branch, whose leaves move."""
    body = (make_bush, make_tree, make_conifer)[rng.integers(3)](rng)
    return Scaled(body, rng.uniform(0.2, 0.7) / body.size[2])


def make_toy(rng: np.random.Generator) -> Body:
    """Return a small animal, bird, stone or tent."""
    body = (make_animal, make_bird, make_stone, make_wedge)[rng.integers(4)](rng)
    return Scaled(body, rng.uniform(0.05, 0.3) / max(body.size))


def make_thing(rng: np.random.Generator) -> Body:
    """Return a thing that stands, lies or leans; it does not move by itself."""
    piece = THINGS[rng.integers(len(THINGS))](rng)
    tilt = rotation(1, -rng.uniform(0, np.pi / 2) if rng.random() < 0.6 else 0.0)[0]
    piece = piece.rotated(tilt)
    return Body(piece.moved((0, 0, -float(piece.vertices[:, 2].min()))))


def make_keyboard(rng: np.random.Generator) -> Body:
    """Return a keyboard, a sheet or a mat that lies flat."""
    long, deep = rng.uniform(0.2, 0.5), rng.uniform(0.1, 0.35)
    high = rng.choice((0.002, 0.02))
    slab = box((deep, long, high), (0, 0, high / 2), _shade(rng))
    texture = KEYS if rng.random() < 0.4 else int(rng.choice(PRINTS))
    top = _printed(rng, long, deep, high + 0.001, texture).rotated(rotation(1, -np.pi / 2)[0])
    return Body(merge([slab, top]))


#: What stands on a desk or floor and moves, glows or sways where it is.
ACTIVE: tuple[Maker, ...] = (
    *(make_fan, make_spinner, make_spinning_light, make_lamp, make_lamp, make_screen, make_screen),
    *(make_plant, make_toy),
)
#: What turns or glows.
TURNING: tuple[Maker, ...] = (
    *(make_fan, make_spinner, make_spinner, make_lamp),
    *(make_spinning_light, make_spinning_light, make_spinning_light),
)
#: What hangs.
HANGING: tuple[Maker, ...] = (make_pendulum, make_curtain)
#: What stands still.
STILL: tuple[Maker, ...] = (
    *(make_thing, make_thing, make_thing, make_keyboard),
    *(make_plant, make_toy),
)
