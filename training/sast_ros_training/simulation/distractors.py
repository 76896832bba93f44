"""What a street holds besides what is labelled: trees, signs, furniture, animals, litter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sast_ros_training.simulation.mesh import (
    assemble,
    Body,
    box,
    capsule,
    cylinder,
    disc,
    ellipsoid,
    fan,
    grid,
    merge,
    Mesh,
    quad,
    tube,
)
from sast_ros_training.simulation.rig import (
    Motion,
    motion,
    placed,
    RiggedBody,
    rolling,
    rotation,
    Skin,
)
from sast_ros_training.simulation.two_wheelers import make_parked_bicycle

_WAVES = 48

Maker = Callable[[np.random.Generator], Body]


def _shade(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.03, 0.85))


def _swaying(
    rng: np.random.Generator, height: float, size: float, period: tuple[float, float]
) -> Motion:
    """Return a slow lean of something that is rooted in the ground; ``size`` metres at the top."""
    way = 2 * np.pi * np.arange(_WAVES) / _WAVES
    matrices = np.tile(np.eye(4), (_WAVES, 1, 1))
    for axis in (0, 1):
        wave = sum(
            rng.uniform(0.3, 1) / n * np.sin(n * way + rng.uniform(0, 6.3)) for n in (1, 2, 3)
        )
        matrices[:, axis, 2] = size / height * wave
    return motion([matrices], float(rng.uniform(*period)), 'seconds', float(rng.random()))


def _tuft(rng: np.random.Generator, radii: np.ndarray, count: int, leaf: float) -> Mesh:
    """Return a cloud of leaf facets of random sizes and luminance around the origin."""
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    middle = direction * radii * rng.uniform(0.55, 1.0, (count, 1))
    corners = middle[:, None] + rng.normal(size=(count, 3, 3)) * leaf
    light = float(rng.uniform(0.06, 0.35)) * rng.uniform(0.4, 1.6, count)
    return assemble(corners, np.arange(3 * count), np.clip(light, 0.03, 0.8))


def make_tree(rng: np.random.Generator) -> Body:
    """Return a tree whose branches sway each in its own time; bare ones in one of six."""
    height = float(rng.uniform(3.0, 11.0))
    trunk = float(rng.uniform(0.2, 0.5)) * height
    thick = float(rng.uniform(0.012, 0.03)) * height
    bark = float(rng.uniform(0.05, 0.3))
    tufts = int(rng.integers(5, 10))
    skin = Skin(1 + tufts)
    top = np.array((rng.normal(0, 0.2), rng.normal(0, 0.2), 0.8 * height))
    skin.add(tube([(0, 0, 0), (0, 0, trunk), top], (thick, 0.8 * thick, 0.2 * thick), 6, bark), 0)
    motions = [_swaying(rng, height, 0.01 * height, (2, 5))]
    bare = rng.random() < 0.16
    wind = float(rng.choice((0.2, 1, 2)))
    for number in range(tufts):
        out = rng.uniform(0.05, 0.22) * height
        turn = rng.uniform(0, 2 * np.pi)
        middle = np.array((out * np.cos(turn), out * np.sin(turn), rng.uniform(trunk, height)))
        middle[2] = max(middle[2], 0.5 * height)
        radii = np.array((1, 1, 0.8)) * rng.uniform(0.1, 0.2) * height
        skin.add(
            tube([(0, 0, min(trunk, middle[2] - 0.3)), middle], (0.5 * thick, 0.02), 4, bark), 0
        )
        if bare:
            for _ in range(5):
                end = middle + rng.normal(0, 0.13 * height, 3)
                skin.add(tube([middle, end], (0.2 * thick, 0.01), 3, bark), 1 + number)
        else:
            leaf = 0.05 * height * float(rng.uniform(0.6, 1.3))
            skin.add(_tuft(rng, radii, int(rng.integers(25, 50)), leaf).moved(middle), 1 + number)
        motions.append(_swaying(rng, height, 0.012 * wind * height, (0.8, 3)))
    return RiggedBody(skin, motions)


def make_conifer(rng: np.random.Generator) -> Body:
    """Return a cone of drooping branches on a short trunk."""
    height = float(rng.uniform(1.5, 9.0))
    shade = float(rng.uniform(0.04, 0.2))
    skin = Skin(1)
    skin.add(cylinder((0, 0, 0), (0, 0, 0.2 * height), 0.02 * height, 5, 0.1), 0)
    layers = int(rng.integers(3, 6))
    for layer in range(layers):
        low = (0.12 + 0.8 * layer / layers) * height
        high = min(low + 0.4 * height, height)
        out = 0.24 * height * (1 - layer / layers * 0.85)
        sides = 8
        turn = 2 * np.pi * np.arange(sides) / sides
        ragged = out * rng.uniform(0.6, 1.1, sides)
        rim = np.stack([ragged * np.cos(turn), ragged * np.sin(turn), np.full(sides, low)], -1)
        points = np.vstack([rim, (0, 0, high)])
        index = np.arange(sides)
        triangles = np.stack([index, (index + 1) % sides, np.full(sides, sides)], -1)
        skin.add(assemble(points, triangles, shade * rng.uniform(0.6, 1.4, sides)), 0)
    return RiggedBody(skin, [_swaying(rng, height, 0.015 * height, (1.5, 4))])


def make_bush(rng: np.random.Generator) -> Body:
    """Return a bush or a piece of hedge."""
    radii = rng.uniform((0.4, 0.4, 0.35), (1.6, 0.7, 0.9))
    skin = Skin(2)
    motions = []
    for part in (0, 1):
        middle = (rng.uniform(-0.3, 0.3), 0, 0.9 * radii[2])
        skin.add(_tuft(rng, radii, 60, 0.16).moved(middle), part)
        motions.append(_swaying(rng, 2 * radii[2], 0.02, (0.8, 3)))
    return RiggedBody(skin, motions)


def _pole(height: float, thick: float, shade: float, sides: int = 6) -> Mesh:
    return tube([(0, 0, 0), (0, 0, height)], (thick, 0.7 * thick), sides, shade)


def make_lamp(rng: np.random.Generator) -> Body:
    """Return a street lamp, with one arm, two, or a globe; some are on."""
    height, shade = float(rng.uniform(3.0, 8.0)), _shade(rng)
    pieces = [_pole(height, float(rng.uniform(0.05, 0.1)), shade)]
    glow = float(rng.choice((0.0, 0.0, 3.0)))
    kind = int(rng.integers(3))
    if kind == 0:
        pieces.append(ellipsoid((0, 0, height + 0.2), (0.22, 0.22, 0.25), 8, 5, 0.7, glow))
    else:
        for sign in (1, -1)[:kind]:
            end = (sign * float(rng.uniform(0.6, 1.8)), 0, height + 0.25)
            pieces.append(tube([(0, 0, height), end], 0.035, 4, shade))
            pieces.append(box((0.6, 0.22, 0.12), end, (0.3,) * 5 + (0.8,), (0,) * 5 + (glow,)))
    return Body(merge(pieces))


def make_pole(rng: np.random.Generator) -> Body:
    """Return a bare pole: for wires, flags or nothing."""
    return Body(_pole(float(rng.uniform(2, 9)), float(rng.uniform(0.03, 0.16)), _shade(rng)))


def make_bollard(rng: np.random.Generator) -> Body:
    """Return a bollard or a traffic cone, banded."""
    height = float(rng.uniform(0.45, 1.1))
    thick = float(rng.uniform(0.05, 0.15))
    shade, band = _shade(rng), _shade(rng)
    line = [(0, 0, share * height) for share in (0, 0.4, 0.6, 0.75, 0.9, 1)]
    cone = rng.random() < 0.4
    radii = thick * (np.array((1.3, 0.9, 0.7, 0.5, 0.35, 0.2)) if cone else np.ones(6))
    albedo = np.array([[shade], [band], [shade], [band], [shade]])
    pieces = [tube(line, radii, 8, albedo)]
    if cone:
        pieces.append(box((3.4 * thick, 3.4 * thick, 0.03), (0, 0, 0.02), 0.05))
    return Body(merge(pieces))


def make_sign(rng: np.random.Generator) -> Body:
    """Return traffic signs on a post: discs, triangles, boards."""
    height = float(rng.uniform(2.0, 3.2))
    pieces = [_pole(height, 0.035, 0.4)]
    z = height - 0.3
    for _ in range(int(rng.integers(1, 3))):
        size = float(rng.uniform(0.25, 0.42))
        rim, inner = float(rng.choice((0.2, 0.8))), float(rng.choice((0.85, 0.15, 0.5)))
        sides = int(rng.choice((3, 4, 8, 12)))
        for scale, ahead, shade in ((1.0, 0.05, rim), (0.78, 0.06, inner)):
            pieces.append(disc((ahead, 0, z), (1, 0, 0), scale * size, sides, shade))
        pieces.append(
            box(
                (0.01, size * rng.uniform(0.2, 0.9), size * rng.uniform(0.1, 0.5)),
                (0.07, 0, z),
                rim,
            )
        )
        z -= 2.1 * size
    return Body(merge(pieces))


def make_traffic_light(rng: np.random.Generator) -> Body:
    """Return a traffic light on a post."""
    z = float(rng.uniform(2.3, 3.0))
    pieces = [_pole(z + 0.4, 0.06, _shade(rng)), box((0.22, 0.32, 0.95), (0.08, 0, z), 0.04)]
    lit = int(rng.integers(3))
    for number in range(3):
        glow = float(rng.uniform(1, 3)) if number == lit else 0.0
        centre = (0.2, 0, z + 0.3 - 0.3 * number)
        pieces.append(disc(centre, (1, 0, 0), 0.11, 8, 0.1, glow))
    if rng.random() < 0.5:
        pieces.append(
            quad(
                [
                    (0.06, y, w)
                    for y, w in ((-0.3, z - 0.6), (0.3, z - 0.6), (0.3, z + 0.6), (-0.3, z + 0.6))
                ],
                0.05,
            )
        )
    return Body(merge(pieces))


def make_bin(rng: np.random.Generator) -> Body:
    """Return a litter bin, wheeled bin or skip."""
    shade = _shade(rng)
    kind = int(rng.integers(3))
    if kind == 0:
        height = float(rng.uniform(0.7, 1.1))
        body = tube([(0, 0, 0), (0, 0, height)], (0.22, 0.27), 9, shade)
        return Body(merge([body, tube([(0, 0, height), (0, 0, height + 0.08)], 0.29, 9, 0.1)]))
    if kind == 1:
        pieces = []
        for number in range(int(rng.integers(1, 4))):
            x, lid = 0.68 * number, _shade(rng)
            pieces.append(box((0.5, 0.55, 0.95), (x, 0, 0.55), shade, 0.0, 1.12))
            pieces.append(box((0.6, 0.66, 0.08), (x, 0, 1.07), lid, 0.0, 0.85))
            pieces.append(cylinder((x, -0.3, 0.1), (x, 0.3, 0.1), 0.1, 6, 0.04))
        return Body(merge(pieces))
    size = rng.uniform((1.3, 1.0, 1.0), (3.5, 1.7, 1.5))
    return Body(box(size, (0, 0, size[2] / 2 + 0.1), shade, 0.0, 1.1))


def make_bench(rng: np.random.Generator) -> Body:
    """Return a bench with slats."""
    long, shade = float(rng.uniform(1.2, 2.2)), _shade(rng)
    pieces = [box((long, 0.09, 0.04), (0, y, 0.45), shade) for y in (-0.15, 0, 0.15)]
    if rng.random() < 0.7:
        pieces += [box((long, 0.03, 0.09), (0, 0.25, z), shade) for z in (0.62, 0.78)]
    pieces += [box((0.06, 0.45, 0.45), (x * long, 0.02, 0.22), 0.08) for x in (-0.42, 0.42)]
    return Body(merge(pieces))


def make_fence(rng: np.random.Generator) -> Body:
    """Return a length of fence or railing."""
    long, high, shade = float(rng.uniform(2, 6)), float(rng.uniform(0.7, 1.6)), _shade(rng)
    step = float(rng.uniform(0.15, 0.5))
    wide = float(rng.uniform(0.02, 0.6)) * step
    count = min(int(long / step), 24)
    x = (np.arange(count) - (count - 1) / 2) * step
    pieces = [
        quad(
            [
                (at - wide / 2, 0, 0),
                (at + wide / 2, 0, 0),
                (at + wide / 2, 0, high),
                (at - wide / 2, 0, high),
            ],
            shade * float(rng.uniform(0.85, 1.1)),
        )
        for at in x
    ]
    for z in (0.2 * high, 0.92 * high):
        pieces.append(box((count * step, 0.05, 0.06), (0, 0.03, z), shade))
    return Body(merge(pieces))


def make_kiosk(rng: np.random.Generator) -> Body:
    """Return a kiosk, switch box, letter box or advertising column."""
    kind = int(rng.integers(3))
    shade = _shade(rng)
    if kind == 0:
        height = float(rng.uniform(2.2, 3.2))
        turn = 0.5 + 0.5 * np.sign(np.sin(np.arange(10) * 1.7))
        albedo = np.where(turn > 0.5, shade, _shade(rng))[None]
        pillar = tube([(0, 0, 0.3), (0, 0, height)], 0.65, 10, albedo)
        return Body(merge([pillar, cylinder((0, 0, 0), (0, 0, 0.3), 0.7, 10, 0.2)]))
    if kind == 1:
        size = rng.uniform((0.5, 0.3, 0.9), (1.6, 0.5, 1.5))
        middle = size[2] / 2
        seam = [
            (0.01 * s, -size[1] / 2 - 0.01, z)
            for s, z in ((-1, 0.1), (1, 0.1), (1, size[2] - 0.1), (-1, size[2] - 0.1))
        ]
        return Body(merge([box(size, (0, 0, middle), shade), quad(seam, 0.5 * shade)]))
    size = rng.uniform((2.0, 1.6, 2.2), (4.0, 2.6, 2.8))
    x, y, z = size
    counter = [
        (s * 0.35 * x, -y / 2 - 0.01, h) for s, h in ((-1, 1.0), (1, 1.0), (1, 1.9), (-1, 1.9))
    ]
    pieces = [
        box(size, (0, 0, z / 2), shade),
        box((x + 0.5, y + 0.7, 0.12), (0, -0.1, z), _shade(rng)),
    ]
    return Body(merge([*pieces, quad(counter, float(rng.choice((0.05, 0.7))))]))


def make_bus_stop(rng: np.random.Generator) -> Body:
    """Return a shelter of posts, glass and a roof."""
    long, glass = float(rng.uniform(2.5, 4.5)), float(rng.uniform(0.05, 0.6))
    shade = _shade(rng)
    pieces = [box((long, 1.5, 0.12), (0, 0, 2.4), shade)]
    for x in np.linspace(-long / 2 + 0.1, long / 2 - 0.1, 4):
        pieces.append(box((0.07, 0.07, 2.4), (x, 0.65, 1.2), shade))
    step = (long - 0.2) / 3
    for number in range(3):
        x1 = -long / 2 + 0.18 + number * step
        pane = [
            (x1, 0.65, 0.3),
            (x1 + step - 0.16, 0.65, 0.3),
            (x1 + step - 0.16, 0.65, 2.1),
            (x1, 0.65, 2.1),
        ]
        pieces.append(quad(pane, glass * float(rng.uniform(0.7, 1.3))))
    poster = box(
        (0.12, 1.3, 1.9),
        (long / 2, 0, 1.25),
        (0.7, shade, 0.7, shade, shade, shade),
        (float(rng.choice((0, 0.6))), 0, 0, 0, 0, 0),
    )
    pieces += [poster, box((0.6 * long, 0.3, 0.06), (0, 0.45, 0.5), _shade(rng))]
    return Body(merge(pieces))


def make_animal(rng: np.random.Generator) -> Body:
    """Return a dog or cat that walks: four legs in diagonal pairs, a wagging tail."""
    size = float(rng.uniform(0.25, 0.7))
    coat = _shade(rng)
    legs, thick = 0.55 * size, 0.09 * size
    skin = Skin(6)
    body = tube(
        [(-0.55 * size, 0, 0.8 * size), (0, 0, 0.78 * size), (0.5 * size, 0, 0.82 * size)],
        (0.16 * size, 0.17 * size, 0.2 * size),
        7,
        np.array([[coat], [coat * float(rng.uniform(0.6, 1))]]),
    )
    neck = tube(
        [(0.5 * size, 0, 0.85 * size), (0.72 * size, 0, 1.1 * size)],
        (0.13 * size, 0.1 * size),
        5,
        coat,
    )
    head = ellipsoid(
        (0.78 * size, 0, 1.16 * size), (0.15 * size, 0.11 * size, 0.12 * size), 6, 4, coat
    )
    muzzle = capsule(
        (0.85 * size, 0, 1.13 * size),
        (1.0 * size, 0, 1.1 * size),
        0.07 * size,
        0.05 * size,
        5,
        coat,
    )
    ears = box(
        (0.04 * size, 0.2 * size, 0.1 * size), (0.7 * size, 0, 1.28 * size), 0.6 * coat, 0, 0.4
    )
    skin.add(merge([body, neck, head, muzzle, ears]), 0)
    step = np.arange(_WAVES) / _WAVES * 2 * np.pi
    stride = 1.5 * legs
    amplitude = 0.45
    feet = []
    for number, (x, y, phase) in enumerate(
        ((0.42, 0.1, 0.0), (0.42, -0.1, np.pi), (-0.48, 0.1, np.pi), (-0.48, -0.1, 0.0))
    ):
        hip = np.array((x * size, y * size, 0.78 * size))
        skin.add(capsule(hip, hip - (0, 0, 0.74 * size), thick, 0.6 * thick, 5, coat), 1 + number)
        swing = rotation(1, -amplitude * np.cos(step + phase))
        lift = np.stack(
            [0 * step, 0 * step, 0.05 * size * np.maximum(0, -np.sin(step + phase))], -1
        )
        feet.append(placed(swing, hip, hip + lift))
    tail = np.array((-0.58 * size, 0, 0.88 * size))
    end = tail + size * np.array((-0.3, 0, float(rng.uniform(-0.2, 0.35))))
    skin.add(tube([tail, end], (0.05 * size, 0.02 * size), 4, coat), 5)
    wag = rotation(2, float(rng.uniform(0.1, 0.7)) * np.sin(step))
    bob = motion(
        [
            placed(
                rotation(1, 0.02 * np.sin(2 * step)),
                (0, 0, 0),
                np.stack([0 * step, 0 * step, 0.015 * size * np.cos(2 * step)], -1),
            ),
            *feet,
        ],
        stride,
    )
    tails = motion([placed(wag, tail, tail)], float(rng.uniform(0.3, 1.0)), 'seconds')
    return RiggedBody(skin, [bob, tails], None, (0.5, 3.0))


def make_bird(rng: np.random.Generator) -> Body:
    """Return a flying bird with beating wings, up in the air."""
    size = float(rng.uniform(0.15, 0.5))
    height = float(rng.uniform(1.0, 6.0))
    coat, wing = _shade(rng), _shade(rng)
    middle = np.array((0, 0, height))
    skin = Skin(3)
    body = tube(
        [
            (-0.5 * size, 0, 0),
            (-0.1 * size, 0, 0),
            (0.3 * size, 0, 0.02 * size),
            (0.5 * size, 0, 0),
        ],
        (0.03 * size, 0.12 * size, 0.1 * size, 0.02 * size),
        5,
        coat,
    )
    tail = quad(
        [
            (-0.45 * size, 0.03, 0),
            (-0.75 * size, 0.12 * size, 0),
            (-0.75 * size, -0.12 * size, 0),
            (-0.45 * size, -0.03, 0),
        ],
        wing,
    )
    skin.add(merge([body, tail]).moved(middle), 0)
    beat = 2 * np.pi * np.arange(_WAVES) / _WAVES
    motions = [np.tile(np.eye(4), (_WAVES, 1, 1))]
    motions[0][:, 2, 3] = -0.06 * size * np.sin(beat)
    for part, sign in ((1, 1), (2, -1)):
        points = [
            [(0.2 * size, 0.08 * size, 0), (-0.2 * size, 0.08 * size, 0)],
            [(0.22 * size, 0.5 * size, 0), (-0.12 * size, 0.5 * size, 0)],
            [(0.0, 1.0 * size, 0), (-0.1 * size, 0.95 * size, 0)],
        ]
        half = grid(np.array(points) * (1, sign, 1), np.array([[wing], [0.8 * wing]]))
        skin.add(half.moved(middle), part)
        turn = rotation(0, sign * (0.1 + 0.7 * np.sin(beat)))
        motions.append(placed(turn, middle, middle))
    return RiggedBody(
        skin, [motion(motions, float(rng.uniform(0.1, 0.35)), 'seconds')], None, (4.0, 10.0)
    )


def make_flag(rng: np.random.Generator) -> Body:
    """Return a flag or banner that flaps on a pole."""
    height, wide, tall = (
        float(rng.uniform(3, 7)),
        float(rng.uniform(0.8, 2)),
        float(rng.uniform(0.5, 1.4)),
    )
    columns = 7
    skin = Skin(columns + 1)
    skin.add(_pole(height, 0.05, 0.6), 0)
    x = np.linspace(0, wide, columns + 1)
    rows = np.linspace(height, height - tall, 4)
    albedo = np.broadcast_to([[_shade(rng)] for _ in range(3)], (3, columns))
    points = np.stack(np.broadcast_arrays(x[None], 0.0, rows[:, None]), -1)
    piece = grid(points, albedo)
    number = np.rint(piece.vertices[:, 0] / wide * columns).astype(int)
    skin.add(piece, 0, number, 1.0)
    way = 2 * np.pi * np.arange(_WAVES) / _WAVES
    matrices = [np.tile(np.eye(4), (_WAVES, 1, 1)) for _ in range(columns + 1)]
    speed = float(rng.uniform(0.06, 0.2))
    for column in range(1, columns + 1):
        share = column / columns
        matrices[column][:, 1, 3] = speed * wide * share**0.5 * np.sin(way - 5 * share)
        matrices[column][:, 2, 3] = 0.05 * wide * share * np.sin(way - 5 * share + 1) - 0.1 * share
        matrices[column][:, 0, 3] = -0.08 * wide * share
    return RiggedBody(skin, [motion(matrices, float(rng.uniform(0.4, 1.2)), 'seconds')])


def make_ball(rng: np.random.Generator) -> Body:
    """Return a ball that rolls along the ground."""
    radius = float(rng.uniform(0.06, 0.2))
    light, dark = _shade(rng), _shade(rng)
    cells = np.where((np.arange(5)[:, None] + np.arange(8)) % 2, light, dark)
    skin = Skin(1)
    centre = (0.0, 0.0, radius)
    skin.add(ellipsoid(centre, (radius, radius, radius), 8, 5, cells), 0)
    return RiggedBody(skin, [rolling([centre], radius)], None, (1.0, 6.0))


def make_litter(rng: np.random.Generator) -> Body:
    """Return a bag, leaf or sheet of paper that the wind tumbles along."""
    size = float(rng.uniform(0.08, 0.35))
    points = rng.normal(0, 0.4 * size, (7, 3))
    triangles = np.stack([rng.permutation(7)[:3] for _ in range(9)])
    shade = float(rng.uniform(0.2, 0.9))
    middle = np.array((0.0, 0.0, 0.6 * size))
    skin = Skin(1)
    skin.add(assemble(points + middle, triangles, shade * rng.uniform(0.7, 1, 9)), 0)
    way = 2 * np.pi * np.arange(_WAVES) / _WAVES
    turn = rotation(1, way) @ rotation(0, 0.8 * np.sin(way)) @ rotation(2, 0.5 * np.sin(2 * way))
    hop = np.stack([0 * way, 0.3 * size * np.sin(way), size * np.abs(np.sin(1.0 * way)) * 1.5], -1)
    tumble = motion([placed(turn, middle, middle + hop)], float(rng.uniform(0.8, 3)))
    return RiggedBody(skin, [tumble], None, (0.5, 4.0))


def make_trolley(rng: np.random.Generator) -> Body:
    """Return a shopping trolley, hand cart or suitcase on wheels."""
    shade = float(rng.choice((0.5, 0.3, 0.1)))
    skin = Skin(5)
    if rng.random() < 0.5:
        bars = []
        for sign in (1, -1):
            side = [
                (-0.35, sign * 0.26, 1.0),
                (0.45, sign * 0.2, 0.85),
                (0.38, sign * 0.2, 0.5),
                (-0.3, sign * 0.24, 0.45),
            ]
            bars += [tube([side[i], side[(i + 1) % 4]], 0.012, 3, shade) for i in range(4)]
            bars += [
                tube([(x, sign * 0.23, 0.93), (x, sign * 0.22, 0.48)], 0.008, 3, shade)
                for x in (-0.15, 0.05, 0.25)
            ]
            bars.append(
                tube([(-0.3, sign * 0.24, 0.45), (0.35, sign * 0.22, 0.15)], 0.014, 3, shade)
            )
        bars.append(tube([(-0.4, 0.26, 1.02), (-0.4, -0.26, 1.02)], 0.02, 4, 0.6))
        bars.append(box((0.7, 0.42, 0.02), (0.05, 0, 0.47), shade))
        body = merge(bars)
    else:
        size = rng.uniform((0.3, 0.35, 0.5), (0.9, 0.6, 0.9))
        body = box(size, (0, 0, 0.12 + size[2] / 2), _shade(rng))
    skin.add(body, 0)
    centres = []
    for number, (x, y) in enumerate(((0.3, 0.2), (0.3, -0.2), (-0.3, 0.22), (-0.3, -0.22))):
        centre = (x, y, 0.07)
        centres.append(centre)
        skin.add(cylinder((x, y - 0.02, 0.07), (x, y + 0.02, 0.07), 0.07, 6, 0.06), 1 + number)
    still = np.tile(np.eye(4), (_WAVES, 1, 1))
    still[:, 2, 3] = 0.004 * np.sin(10 * np.pi * np.arange(_WAVES) / _WAVES)
    return RiggedBody(skin, [motion([still], 1.7), rolling(centres, 0.07)], None, (0.6, 1.6))


def make_parasol(rng: np.random.Generator) -> Body:
    """Return a parasol or a market stall's awning."""
    height, out = float(rng.uniform(2.1, 2.8)), float(rng.uniform(0.9, 1.8))
    sides = int(rng.choice((4, 8)))
    turn = 2 * np.pi * np.arange(sides) / sides + np.pi / 4
    rim = np.stack([out * np.cos(turn), out * np.sin(turn), np.full(sides, height - 0.5)], -1)
    skirt = rim - (0, 0, 0.15)
    light, dark = _shade(rng), _shade(rng)
    index = np.arange(sides)
    top = assemble(
        np.vstack([rim, (0, 0, height)]),
        np.stack([index, (index + 1) % sides, np.full(sides, sides)], -1),
        np.where(index % 2, light, dark),
    )
    edge = grid(np.stack([np.vstack([rim, rim[:1]]), np.vstack([skirt, skirt[:1]])]), dark)
    skin = Skin(1)
    skin.add(merge([top, edge, _pole(height, 0.03, 0.4)]), 0)
    return RiggedBody(skin, [_swaying(rng, height, 0.02, (1, 3))])


def make_board(rng: np.random.Generator) -> Body:
    """Return an A-board, poster wall or large sign with pieces of lettering."""
    size = rng.uniform((0.02, 0.5, 0.7), (0.1, 3.0, 2.0))
    lift = 0.0 if rng.random() < 0.5 else float(rng.uniform(0.6, 2.2))
    middle = lift + size[2] / 2
    pieces = [box(size, (0, 0, middle), _shade(rng))]
    if lift:
        for y in (-0.4, 0.4):
            pieces.append(tube([(0, y * size[1], 0), (0, y * size[1], lift)], 0.04, 4, 0.3))
    for _ in range(int(rng.integers(1, 5))):
        y, z = rng.uniform(-0.3, 0.3) * size[1], middle + rng.uniform(-0.3, 0.3) * size[2]
        half = rng.uniform(0.05, 0.18, 2) * size[1:]
        corners = [
            (0, y - half[0], z - half[1]),
            (0, y + half[0], z - half[1]),
            (0, y + half[0], z + half[1]),
            (0, y - half[0], z + half[1]),
        ]
        shade = _shade(rng)
        for sign in (1, -1):
            pieces.append(quad(np.array(corners) + (sign * (size[0] / 2 + 0.01), 0, 0), shade))
    return Body(merge(pieces))


def make_stone(rng: np.random.Generator) -> Body:
    """Return a boulder, a heap or a flower tub."""
    radii = rng.uniform((0.2, 0.2, 0.15), (0.9, 0.7, 0.6))
    piece = ellipsoid((0, 0, 0.6 * radii[2]), radii, 7, 4, float(rng.uniform(0.1, 0.6)))
    jolt = rng.normal(0, 0.07, piece.vertices.shape) * radii
    points = piece.vertices + jolt
    points[:, 2] = np.maximum(points[:, 2], 0)
    mesh = assemble(points, piece.triangles, piece.albedo)
    return Body(mesh)


def make_wedge(rng: np.random.Generator) -> Body:
    """Return a tent, pile of boards or other thing that is nothing in particular."""
    count = int(rng.integers(3, 6))
    pieces = []
    for _ in range(count):
        size = rng.uniform(0.1, 1.0, 3) * (1, 1, 0.8)
        centre = (*rng.normal(0, 0.35, 2), size[2] / 2)
        turn = rotation(2, rng.uniform(0, np.pi))[0]
        piece = box(size, (0, 0, 0), _shade(rng), 0.0, float(rng.uniform(0.1, 1)))
        pieces.append(piece.transformed(turn).moved(centre))
    low = [(x, y, 0.02) for x, y in ((-0.6, -0.4), (0.6, -0.4), (0.5, 0.5), (-0.5, 0.4))]
    return Body(merge([*pieces, fan(low, _shade(rng))]))


#: Every distractor: its maker, and whether it moves through the scene (else it stands somewhere).
DISTRACTORS: dict[str, tuple[Maker, bool]] = {
    'tree': (make_tree, False),
    'conifer': (make_conifer, False),
    'bush': (make_bush, False),
    'lamp': (make_lamp, False),
    'pole': (make_pole, False),
    'bollard': (make_bollard, False),
    'sign': (make_sign, False),
    'traffic_light': (make_traffic_light, False),
    'bin': (make_bin, False),
    'bench': (make_bench, False),
    'fence': (make_fence, False),
    'kiosk': (make_kiosk, False),
    'bus_stop': (make_bus_stop, False),
    'flag': (make_flag, False),
    'parasol': (make_parasol, False),
    'board': (make_board, False),
    'stone': (make_stone, False),
    'wedge': (make_wedge, False),
    'parked_bicycle': (make_parked_bicycle, False),
    'animal': (make_animal, True),
    'bird': (make_bird, True),
    'ball': (make_ball, True),
    'litter': (make_litter, True),
    'trolley': (make_trolley, True),
}
