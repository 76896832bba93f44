# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a street holds besides what is labelled: trees, signs, furniture, animals, litter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sast_ros_training.simulation.body import Body, RiggedBody, Skin
from sast_ros_training.simulation.mesh import assemble, fan, grid, merge, Mesh, quad, Values
from sast_ros_training.simulation.rig import full_turn, Motion, motion, placed, rolling, rotation
from sast_ros_training.simulation.shapes import box, disc, ellipsoid, rectangle, tube
from sast_ros_training.simulation.two_wheelers import make_parked_bicycle

#: Poses in one period of a motion.
_STEPS = 48
_WAY = full_turn(_STEPS)


def _shade(rng: np.random.Generator) -> float:
    return rng.uniform(0.03, 0.85)


def _unmoved() -> np.ndarray:
    """Return one period of poses, ``[K, 4, 4]``, to be changed."""
    return np.tile(np.eye(4), (_STEPS, 1, 1))


def _swaying(
    rng: np.random.Generator, height: float, size: float, period: tuple[float, float]
) -> Motion:
    """Return a slow lean of something that is rooted in the ground; ``size`` metres at the top."""
    matrices = _unmoved()
    for axis in (0, 1):
        wave = sum(
            rng.uniform(0.3, 1) / n * np.sin(n * _WAY + rng.uniform(0, 6.3)) for n in (1, 2, 3)
        )
        matrices[:, axis, 2] = size / height * wave
    return motion([matrices], rng.uniform(*period), 'seconds', rng.random())


def _tuft(rng: np.random.Generator, radii: np.ndarray, count: int, leaf: float) -> Mesh:
    """Return a cloud of leaf facets of random sizes and luminance around the origin."""
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    middle = direction * radii * rng.uniform(0.55, 1.0, (count, 1))
    corners = middle[:, None] + rng.normal(size=(count, 3, 3)) * leaf
    light = rng.uniform(0.06, 0.35) * rng.uniform(0.4, 1.6, count)
    return assemble(corners, np.arange(3 * count), np.clip(light, 0.03, 0.8))


def _cone(rim: np.ndarray, height: float, albedo: Values) -> Mesh:
    """Return the surface from a rim ``[N, 3]`` to a point above the origin; one albedo a side."""
    index = np.arange(len(rim))
    triangles = np.stack([index, np.roll(index, -1), np.full(len(rim), len(rim))], -1)
    return assemble(np.vstack([rim, (0, 0, height)]), triangles, albedo)


def _pole(height: float, thick: float, shade: float) -> Mesh:
    return tube([(0, 0, 0), (0, 0, height)], (thick, 0.7 * thick), 6, shade)


def make_tree(rng: np.random.Generator) -> Body:
    """Return a tree whose branches sway each in its own time; bare ones in one of six."""
    height = rng.uniform(3.0, 11.0)
    trunk = rng.uniform(0.2, 0.5) * height
    thick = rng.uniform(0.012, 0.03) * height
    bark = rng.uniform(0.05, 0.3)
    tufts = int(rng.integers(5, 10))
    skin = Skin(more=1 + tufts)
    top = np.array((rng.normal(0, 0.2), rng.normal(0, 0.2), 0.8 * height))
    skin.add(tube([(0, 0, 0), (0, 0, trunk), top], (thick, 0.8 * thick, 0.2 * thick), 6, bark), 0)
    motions = [_swaying(rng, height, 0.01 * height, (2, 5))]
    bare = rng.random() < 0.16
    wind = rng.choice((0.2, 1, 2))
    for number in range(1, tufts + 1):
        out, turn = rng.uniform(0.05, 0.22) * height, rng.uniform(0, 2 * np.pi)
        middle = np.array((out * np.cos(turn), out * np.sin(turn), rng.uniform(trunk, height)))
        middle[2] = max(middle[2], 0.5 * height)
        radii = np.array((1, 1, 0.8)) * rng.uniform(0.1, 0.2) * height
        branch = [(0, 0, min(trunk, middle[2] - 0.3)), middle]
        skin.add(tube(branch, (0.5 * thick, 0.02), 4, bark), 0)
        if bare:
            for _ in range(5):
                end = middle + rng.normal(0, 0.13 * height, 3)
                skin.add(tube([middle, end], (0.2 * thick, 0.01), 3, bark), number)
        else:
            leaf = 0.05 * height * rng.uniform(0.6, 1.3)
            skin.add(_tuft(rng, radii, int(rng.integers(25, 50)), leaf).moved(middle), number)
        motions.append(_swaying(rng, height, 0.012 * wind * height, (0.8, 3)))
    return RiggedBody(skin, motions)


def make_conifer(rng: np.random.Generator) -> Body:
    """Return a cone of drooping branches on a short trunk."""
    height = rng.uniform(1.5, 9.0)
    shade = rng.uniform(0.04, 0.2)
    pieces = [tube([(0, 0, 0), (0, 0, 0.2 * height)], 0.02 * height, 5, 0.1)]
    layers = int(rng.integers(3, 6))
    for layer in range(layers):
        low = (0.12 + 0.8 * layer / layers) * height
        ragged = 0.24 * height * (1 - layer / layers * 0.85) * rng.uniform(0.6, 1.1, 8)
        x, y = ragged * np.cos(full_turn(8)), ragged * np.sin(full_turn(8))
        rim = np.stack([x, y, np.full(8, low)], -1)
        pieces.append(
            _cone(rim, min(low + 0.4 * height, height), shade * rng.uniform(0.6, 1.4, 8))
        )
    sways = _swaying(rng, height, 0.015 * height, (1.5, 4))
    return RiggedBody(Skin([merge(pieces)]), [sways])


def make_bush(rng: np.random.Generator) -> Body:
    """Return a bush or a piece of hedge."""
    radii = rng.uniform((0.4, 0.4, 0.35), (1.6, 0.7, 0.9))
    tufts, motions = [], []
    for _ in range(2):
        middle = (rng.uniform(-0.3, 0.3), 0, 0.9 * radii[2])
        tufts.append(_tuft(rng, radii, 60, 0.16).moved(middle))
        motions.append(_swaying(rng, 2 * radii[2], 0.02, (0.8, 3)))
    return RiggedBody(Skin(tufts), motions)


def make_lamp(rng: np.random.Generator) -> Body:
    """Return a street lamp, with one arm, two, or a globe; some are on."""
    height, shade = rng.uniform(3.0, 8.0), _shade(rng)
    pieces = [_pole(height, rng.uniform(0.05, 0.1), shade)]
    glow = rng.choice((0.0, 0.0, 3.0))
    arms = int(rng.integers(3))
    if arms == 0:
        pieces.append(ellipsoid((0, 0, height + 0.2), (0.22, 0.22, 0.25), 8, 5, 0.7, glow))
    for sign in (1, -1)[:arms]:
        end = (sign * rng.uniform(0.6, 1.8), 0, height + 0.25)
        pieces.append(tube([(0, 0, height), end], 0.035, 4, shade))
        pieces.append(box((0.6, 0.22, 0.12), end, (0.3,) * 5 + (0.8,), (0,) * 5 + (glow,)))
    return Body(merge(pieces))


def make_pole(rng: np.random.Generator) -> Body:
    """Return a bare pole: for wires, flags or nothing."""
    return Body(_pole(rng.uniform(2, 9), rng.uniform(0.03, 0.16), _shade(rng)))


def make_bollard(rng: np.random.Generator) -> Body:
    """Return a bollard or a traffic cone, banded."""
    height, thick = rng.uniform(0.45, 1.1), rng.uniform(0.05, 0.15)
    shade, band = _shade(rng), _shade(rng)
    line = [(0, 0, share * height) for share in (0, 0.4, 0.6, 0.75, 0.9, 1)]
    cone = rng.random() < 0.4
    radii = thick * (np.array((1.3, 0.9, 0.7, 0.5, 0.35, 0.2)) if cone else np.ones(6))
    pieces = [tube(line, radii, 8, np.array([[shade], [band], [shade], [band], [shade]]))]
    if cone:
        pieces.append(box((3.4 * thick, 3.4 * thick, 0.03), (0, 0, 0.02), 0.05))
    return Body(merge(pieces))


def make_sign(rng: np.random.Generator) -> Body:
    """Return traffic signs on a post: discs, triangles, boards."""
    height = rng.uniform(2.0, 3.2)
    pieces = [_pole(height, 0.035, 0.4)]
    z = height - 0.3
    for _ in range(rng.integers(1, 3)):
        size = rng.uniform(0.25, 0.42)
        rim, inner = rng.choice((0.2, 0.8)), rng.choice((0.85, 0.15, 0.5))
        sides = rng.choice((3, 4, 8, 12))
        for scale, ahead, shade in ((1.0, 0.05, rim), (0.78, 0.06, inner)):
            pieces.append(disc((ahead, 0, z), (1, 0, 0), scale * size, sides, shade))
        symbol = (0.01, size * rng.uniform(0.2, 0.9), size * rng.uniform(0.1, 0.5))
        pieces.append(box(symbol, (0.07, 0, z), rim))
        z -= 2.1 * size
    return Body(merge(pieces))


def make_traffic_light(rng: np.random.Generator) -> Body:
    """Return a traffic light on a post."""
    z = rng.uniform(2.3, 3.0)
    pieces = [_pole(z + 0.4, 0.06, _shade(rng)), box((0.22, 0.32, 0.95), (0.08, 0, z), 0.04)]
    lit = rng.integers(3)
    for number in range(3):
        glow = rng.uniform(1, 3) if number == lit else 0.0
        centre = (0.2, 0, z + 0.3 - 0.3 * number)
        pieces.append(disc(centre, (1, 0, 0), 0.11, 8, 0.1, glow))
    if rng.random() < 0.5:
        pieces.append(rectangle(0.06, (-0.3, 0.3), (z - 0.6, z + 0.6), 0.05))
    return Body(merge(pieces))


def make_bin(rng: np.random.Generator) -> Body:
    """Return a litter bin, wheeled bin or skip."""
    shade = _shade(rng)
    kind = rng.integers(3)
    pieces = []
    if kind == 0:
        height = rng.uniform(0.7, 1.1)
        pieces.append(tube([(0, 0, 0), (0, 0, height)], (0.22, 0.27), 9, shade))
        pieces.append(tube([(0, 0, height), (0, 0, height + 0.08)], 0.29, 9, 0.1))
    elif kind == 1:
        for number in range(rng.integers(1, 4)):
            x, lid = 0.68 * number, _shade(rng)
            pieces.append(box((0.5, 0.55, 0.95), (x, 0, 0.55), shade, 0.0, 1.12))
            pieces.append(box((0.6, 0.66, 0.08), (x, 0, 1.07), lid, 0.0, 0.85))
            pieces.append(tube([(x, -0.3, 0.1), (x, 0.3, 0.1)], 0.1, 6, 0.04))
    else:
        size = rng.uniform((1.3, 1.0, 1.0), (3.5, 1.7, 1.5))
        pieces.append(box(size, (0, 0, size[2] / 2 + 0.1), shade, 0.0, 1.1))
    return Body(merge(pieces))


def make_bench(rng: np.random.Generator) -> Body:
    """Return a bench with slats."""
    long, shade = rng.uniform(1.2, 2.2), _shade(rng)
    pieces = [box((long, 0.09, 0.04), (0, y, 0.45), shade) for y in (-0.15, 0, 0.15)]
    if rng.random() < 0.7:
        pieces += [box((long, 0.03, 0.09), (0, 0.25, z), shade) for z in (0.62, 0.78)]
    pieces += [box((0.06, 0.45, 0.45), (x * long, 0.02, 0.22), 0.08) for x in (-0.42, 0.42)]
    return Body(merge(pieces))


def make_fence(rng: np.random.Generator) -> Body:
    """Return a length of fence or railing."""
    long, high, shade = rng.uniform(2, 6), rng.uniform(0.7, 1.6), _shade(rng)
    step = rng.uniform(0.15, 0.5)
    half = rng.uniform(0.02, 0.6) * step / 2
    count = min(int(long / step), 24)
    pieces = [
        rectangle((x - half, x + half), 0, (0, high), shade * rng.uniform(0.85, 1.1))
        for x in (np.arange(count) - (count - 1) / 2) * step
    ]
    for z in (0.2 * high, 0.92 * high):
        pieces.append(box((count * step, 0.05, 0.06), (0, 0.03, z), shade))
    return Body(merge(pieces))


def make_kiosk(rng: np.random.Generator) -> Body:
    """Return a kiosk, switch box, letter box or advertising column."""
    kind = rng.integers(3)
    shade = _shade(rng)
    if kind == 0:
        height = rng.uniform(2.2, 3.2)
        albedo = np.where(np.sin(np.arange(10) * 1.7) > 0, shade, _shade(rng))[None]
        pillar = tube([(0, 0, 0.3), (0, 0, height)], 0.65, 10, albedo)
        return Body(merge([pillar, tube([(0, 0, 0), (0, 0, 0.3)], 0.7, 10, 0.2)]))
    small = kind == 1
    ranges = ((0.5, 0.3, 0.9), (1.6, 0.5, 1.5)) if small else ((2.0, 1.6, 2.2), (4.0, 2.6, 2.8))
    size = x, y, z = rng.uniform(*ranges)
    front = -y / 2 - 0.01
    pieces = [box(size, (0, 0, z / 2), shade)]
    if small:
        pieces.append(rectangle((-0.01, 0.01), front, (0.1, z - 0.1), 0.5 * shade))
    else:
        pieces.append(box((x + 0.5, y + 0.7, 0.12), (0, -0.1, z), _shade(rng)))
        counter = (-0.35 * x, 0.35 * x), front, (1.0, 1.9)
        pieces.append(rectangle(*counter, rng.choice((0.05, 0.7))))
    return Body(merge(pieces))


def make_bus_stop(rng: np.random.Generator) -> Body:
    """Return a shelter of posts, glass and a roof."""
    long, glass = rng.uniform(2.5, 4.5), rng.uniform(0.05, 0.6)
    shade = _shade(rng)
    pieces = [box((long, 1.5, 0.12), (0, 0, 2.4), shade)]
    for x in np.linspace(-long / 2 + 0.1, long / 2 - 0.1, 4):
        pieces.append(box((0.07, 0.07, 2.4), (x, 0.65, 1.2), shade))
    step = (long - 0.2) / 3
    for number in range(3):
        x = -long / 2 + 0.18 + number * step
        pane = rectangle((x, x + step - 0.16), 0.65, (0.3, 2.1), glass * rng.uniform(0.7, 1.3))
        pieces.append(pane)
    shades, glow = (0.7, shade, 0.7, *[shade] * 3), (rng.choice((0, 0.6)), *[0] * 5)
    pieces.append(box((0.12, 1.3, 1.9), (long / 2, 0, 1.25), shades, glow))
    pieces.append(box((0.6 * long, 0.3, 0.06), (0, 0.45, 0.5), _shade(rng)))
    return Body(merge(pieces))


def _limb(start: Values, end: Values, radius: float, end_radius: float, albedo: float) -> Mesh:
    """Return a tapered tube with rounded ends."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    axis = (b - a) / np.linalg.norm(b - a)
    points = [a - axis * radius * 0.75, a, b, b + axis * end_radius * 0.75]
    return tube(points, (radius * 0.55, radius, end_radius, end_radius * 0.55), 5, albedo)


def make_animal(rng: np.random.Generator) -> Body:
    """Return a dog or cat that walks: four legs in diagonal pairs, a wagging tail."""
    size = rng.uniform(0.25, 0.7)
    coat = _shade(rng)
    step = np.arange(_STEPS) / _STEPS * 2 * np.pi
    pieces = [_animal_trunk(rng, size, coat)]
    bob = np.stack([0 * step, 0 * step, 0.015 * size * np.cos(2 * step)], -1)
    parts = [placed(rotation(1, 0.02 * np.sin(2 * step)), (0, 0, 0), bob)]
    legs = ((0.42, 0.1, 0.0), (0.42, -0.1, np.pi), (-0.48, 0.1, np.pi), (-0.48, -0.1, 0.0))
    for x, y, phase in legs:
        hip, thick = np.array((x * size, y * size, 0.78 * size)), 0.09 * size
        pieces.append(_limb(hip, hip - (0, 0, 0.74 * size), thick, 0.6 * thick, coat))
        swing = rotation(1, -0.45 * np.cos(step + phase))
        lift = 0.05 * size * np.maximum(0, -np.sin(step + phase))
        parts.append(placed(swing, hip, hip + np.stack([0 * step, 0 * step, lift], -1)))
    tail = np.array((-0.58 * size, 0, 0.88 * size))
    end = tail + size * np.array((-0.3, 0, rng.uniform(-0.2, 0.35)))
    pieces.append(tube([tail, end], (0.05 * size, 0.02 * size), 4, coat))
    wag = rotation(2, rng.uniform(0.1, 0.7) * np.sin(step))
    stride = 1.5 * (0.55 * size)
    wagging = motion([placed(wag, tail)], rng.uniform(0.3, 1.0), 'seconds')
    return RiggedBody(Skin(pieces), [motion(parts, stride), wagging], None, (0.5, 3.0))


def _animal_trunk(rng: np.random.Generator, size: float, coat: float) -> Mesh:
    """Return body, neck and head."""

    def at(*metres: float) -> tuple[float, ...]:
        return tuple(size * each for each in metres)

    flank = np.array([[coat], [coat * rng.uniform(0.6, 1)]])
    line = [at(-0.55, 0, 0.8), at(0, 0, 0.78), at(0.5, 0, 0.82)]
    return merge(
        [
            tube(line, at(0.16, 0.17, 0.2), 7, flank),
            tube([at(0.5, 0, 0.85), at(0.72, 0, 1.1)], at(0.13, 0.1), 5, coat),
            ellipsoid(at(0.78, 0, 1.16), at(0.15, 0.11, 0.12), 6, 4, coat),
            _limb(at(0.85, 0, 1.13), at(1.0, 0, 1.1), 0.07 * size, 0.05 * size, coat),
            box(at(0.04, 0.2, 0.1), at(0.7, 0, 1.28), 0.6 * coat, 0, 0.4),
        ]
    )


def make_bird(rng: np.random.Generator) -> Body:
    """Return a flying bird with beating wings, up in the air."""
    size = rng.uniform(0.15, 0.5)
    height = rng.uniform(1.0, 6.0)
    coat, wing = _shade(rng), _shade(rng)
    middle = np.array((0, 0, height))
    line = [(x * size, 0, z * size) for x, z in ((-0.5, 0), (-0.1, 0), (0.3, 0.02), (0.5, 0))]
    radii = [share * size for share in (0.03, 0.12, 0.1, 0.02)]
    tail = [(-0.45 * size, 0.03, 0), (-0.75 * size, 0.12 * size, 0)]
    tail += [(x, -y, z) for x, y, z in tail[::-1]]
    pieces = [merge([tube(line, radii, 5, coat), quad(tail, wing)])]
    parts = [_unmoved()]
    parts[0][:, 2, 3] = -0.06 * size * np.sin(_WAY)
    points = np.array(
        [
            [(0.2 * size, 0.08 * size, 0), (-0.2 * size, 0.08 * size, 0)],
            [(0.22 * size, 0.5 * size, 0), (-0.12 * size, 0.5 * size, 0)],
            [(0.0, 1.0 * size, 0), (-0.1 * size, 0.95 * size, 0)],
        ]
    )
    for sign in (1, -1):
        pieces.append(grid(points * (1, sign, 1), np.array([[wing], [0.8 * wing]])))
        parts.append(placed(rotation(0, sign * (0.1 + 0.7 * np.sin(_WAY))), middle))
    beats = motion(parts, rng.uniform(0.1, 0.35), 'seconds')
    skin = Skin([piece.moved(middle) for piece in pieces])
    return RiggedBody(skin, [beats], None, (4.0, 10.0), (size, 2 * size, height + size))


def make_flag(rng: np.random.Generator) -> Body:
    """Return a flag or banner that flaps on a pole."""
    height, wide, tall = rng.uniform(3, 7), rng.uniform(0.8, 2), rng.uniform(0.5, 1.4)
    columns = 7
    skin = Skin([_pole(height, 0.05, 0.6)], columns)
    x, z = np.linspace(0, wide, columns + 1), np.linspace(height, height - tall, 4)[:, None]
    albedo = [[_shade(rng)] for _ in range(3)]
    piece = grid(np.stack(np.broadcast_arrays(x, 0.0, z), -1), albedo)
    number = np.rint(piece.vertices[:, 0] / wide * columns).astype(int)
    skin.add(piece, 0, number, 1.0)
    parts = [_unmoved() for _ in range(columns + 1)]
    speed = rng.uniform(0.06, 0.2)
    for column in range(1, columns + 1):
        share, moves = column / columns, parts[column][:, :3, 3].T
        moves[0] = -0.08 * wide * share
        moves[1] = speed * wide * share**0.5 * np.sin(_WAY - 5 * share)
        moves[2] = 0.05 * wide * share * np.sin(_WAY - 5 * share + 1) - 0.1 * share
    return RiggedBody(skin, [motion(parts, rng.uniform(0.4, 1.2), 'seconds')])


def make_ball(rng: np.random.Generator) -> Body:
    """Return a ball that rolls along the ground."""
    radius = rng.uniform(0.06, 0.2)
    light, dark = _shade(rng), _shade(rng)
    cells = np.where((np.arange(5)[:, None] + np.arange(8)) % 2, light, dark)
    centre = (0.0, 0.0, radius)
    skin = Skin([ellipsoid(centre, (radius, radius, radius), 8, 5, cells)])
    return RiggedBody(skin, [rolling([centre], radius)], None, (1.0, 6.0))


def make_litter(rng: np.random.Generator) -> Body:
    """Return a bag, leaf or sheet of paper that the wind tumbles along."""
    size = rng.uniform(0.08, 0.35)
    points = rng.normal(0, 0.4 * size, (7, 3))
    triangles = np.stack([rng.permutation(7)[:3] for _ in range(9)])
    shade = rng.uniform(0.2, 0.9)
    middle = np.array((0.0, 0.0, 0.6 * size))
    skin = Skin([assemble(points + middle, triangles, shade * rng.uniform(0.7, 1, 9))])
    sine = np.sin(_WAY)
    turn = rotation(1, _WAY) @ rotation(0, 0.8 * sine) @ rotation(2, 0.5 * np.sin(2 * _WAY))
    hop = np.stack([0 * _WAY, 0.3 * size * sine, size * np.abs(sine) * 1.5], -1)
    tumble = motion([placed(turn, middle, middle + hop)], rng.uniform(0.8, 3))
    return RiggedBody(skin, [tumble], None, (0.5, 4.0))


def make_trolley(rng: np.random.Generator) -> Body:
    """Return a shopping trolley, hand cart or suitcase on wheels."""
    shade = rng.choice((0.5, 0.3, 0.1))
    if rng.random() < 0.5:
        pieces = [_trolley_frame(shade)]
    else:
        size = rng.uniform((0.3, 0.35, 0.5), (0.9, 0.6, 0.9))
        pieces = [box(size, (0, 0, 0.12 + size[2] / 2), _shade(rng))]
    centres = [(x, y, 0.07) for x, y in ((0.3, 0.2), (0.3, -0.2), (-0.3, 0.22), (-0.3, -0.22))]
    pieces += [tube([(x, y - 0.02, z), (x, y + 0.02, z)], 0.07, 6, 0.06) for x, y, z in centres]
    shakes = _unmoved()
    shakes[:, 2, 3] = 0.004 * np.sin(10 * np.pi * np.arange(_STEPS) / _STEPS)
    motions = [motion([shakes], 1.7), rolling(centres, 0.07)]
    return RiggedBody(Skin(pieces), motions, None, (0.6, 1.6))


def _trolley_frame(shade: float) -> Mesh:
    """Return the bars of a shopping trolley."""
    bars = []
    for sign in (1, -1):
        side = [(-0.35, 0.26, 1.0), (0.45, 0.2, 0.85), (0.38, 0.2, 0.5), (-0.3, 0.24, 0.45)]
        rods = [(side[i], side[(i + 1) % 4], 0.012) for i in range(4)]
        rods += [((x, 0.23, 0.93), (x, 0.22, 0.48), 0.008) for x in (-0.15, 0.05, 0.25)]
        rods.append(((-0.3, 0.24, 0.45), (0.35, 0.22, 0.15), 0.014))
        for start, end, thick in rods:
            bars.append(tube(np.array([start, end]) * (1, sign, 1), thick, 3, shade))
    bars.append(tube([(-0.4, 0.26, 1.02), (-0.4, -0.26, 1.02)], 0.02, 4, 0.6))
    bars.append(box((0.7, 0.42, 0.02), (0.05, 0, 0.47), shade))
    return merge(bars)


def make_parasol(rng: np.random.Generator) -> Body:
    """Return a parasol or a market stall's awning."""
    height, out = rng.uniform(2.1, 2.8), rng.uniform(0.9, 1.8)
    sides = rng.choice((4, 8))
    turn = full_turn(sides) + np.pi / 4
    rim = np.stack([out * np.cos(turn), out * np.sin(turn), np.full(sides, height - 0.5)], -1)
    light, dark = _shade(rng), _shade(rng)
    edge = np.vstack([rim, rim[:1]])
    pieces = [
        _cone(rim, height, np.where(np.arange(sides) % 2, light, dark)),
        grid(np.stack([edge, edge - (0, 0, 0.15)]), dark),
        _pole(height, 0.03, 0.4),
    ]
    return RiggedBody(Skin([merge(pieces)]), [_swaying(rng, height, 0.02, (1, 3))])


def make_board(rng: np.random.Generator) -> Body:
    """Return an A-board, poster wall or large sign with pieces of lettering."""
    size = rng.uniform((0.02, 0.5, 0.7), (0.1, 3.0, 2.0))
    lift = 0.0 if rng.random() < 0.5 else rng.uniform(0.6, 2.2)
    middle = lift + size[2] / 2
    pieces = [box(size, (0, 0, middle), _shade(rng))]
    if lift:
        for y in (-0.4, 0.4):
            pieces.append(tube([(0, y * size[1], 0), (0, y * size[1], lift)], 0.04, 4, 0.3))
    for _ in range(rng.integers(1, 5)):
        y, z = rng.uniform(-0.3, 0.3) * size[1], middle + rng.uniform(-0.3, 0.3) * size[2]
        wide, high = rng.uniform(0.05, 0.18, 2) * size[1:]
        shade, x = _shade(rng), size[0] / 2 + 0.01
        for face in (x, -x):
            pieces.append(rectangle(face, (y - wide, y + wide), (z - high, z + high), shade))
    return Body(merge(pieces))


def make_stone(rng: np.random.Generator) -> Body:
    """Return a boulder, a heap or a flower tub."""
    radii = rng.uniform((0.2, 0.2, 0.15), (0.9, 0.7, 0.6))
    piece = ellipsoid((0, 0, 0.6 * radii[2]), radii, 7, 4, rng.uniform(0.1, 0.6))
    points = piece.vertices + rng.normal(0, 0.07, piece.vertices.shape) * radii
    points[:, 2] = np.maximum(points[:, 2], 0)
    return Body(assemble(points, piece.triangles, piece.albedo))


def make_wedge(rng: np.random.Generator) -> Body:
    """Return a tent, pile of boards or other thing that is nothing in particular."""
    pieces = []
    for _ in range(rng.integers(3, 6)):
        size = rng.uniform(0.1, 1.0, 3) * (1, 1, 0.8)
        centre = (*rng.normal(0, 0.35, 2), size[2] / 2)
        turn = rotation(2, rng.uniform(0, np.pi))[0]
        piece = box(size, (0, 0, 0), _shade(rng), 0.0, rng.uniform(0.1, 1))
        pieces.append(piece.rotated(turn).moved(centre))
    low = [(x, y, 0.02) for x, y in ((-0.6, -0.4), (0.6, -0.4), (0.5, 0.5), (-0.5, 0.4))]
    return Body(merge([*pieces, fan(low, _shade(rng))]))


Maker = Callable[[np.random.Generator], Body]

_PLANTS = (make_tree, make_conifer, make_bush)
_POSTS = (make_lamp, make_pole, make_bollard, make_sign, make_traffic_light)
_FURNITURE = (make_bin, make_bench, make_fence, make_kiosk, make_bus_stop, make_flag, make_parasol)
_OBJECTS = (make_board, make_stone, make_wedge, make_parked_bicycle)

#: Makers of what stands somewhere, and of what moves through the scene.
STANDING: tuple[Maker, ...] = (*_PLANTS, *_POSTS, *_FURNITURE, *_OBJECTS)
MOVING: tuple[Maker, ...] = (make_animal, make_bird, make_ball, make_litter, make_trolley)
