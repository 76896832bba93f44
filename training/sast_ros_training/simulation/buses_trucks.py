"""Buses and lorries with random proportions; of the class car."""

from __future__ import annotations

import numpy as np
from sast_ros_training.simulation.car_body import both, CAR, glass, paint, springs, wheel
from sast_ros_training.simulation.mesh import (
    Body,
    box,
    cylinder,
    fan,
    grid,
    merge,
    Mesh,
    quad,
    tube,
)
from sast_ros_training.simulation.rig import RiggedBody, rolling, Skin

Point = tuple[float, float, float]


def make_bus(rng: np.random.Generator, lights: bool = False) -> Body:
    """Return a random city bus, coach or small bus, some with two decks."""
    draw = rng.uniform
    length = float(
        draw(*((6.5, 8.5), (9.5, 12.5), (11.5, 13.5))[rng.choice(3, p=(0.2, 0.5, 0.3))])
    )
    double = length > 9 and rng.random() < 0.12
    width = float(draw(2.3, 2.55))
    height = float(draw(4.0, 4.3) if double else draw(2.8, 3.5))
    radius = float(draw(0.42, 0.52))
    half = length / 2
    axles = [half - float(draw(0.16, 0.25)) * length, -half + float(draw(0.2, 0.28)) * length]
    look = _Livery(rng)
    low, belt = float(draw(0.25, 0.4)), float(draw(0.95, 1.5))
    rows = [low, belt - 0.25, belt, belt + float(draw(0.85, 1.1)), height - 0.12]
    if double:
        rows[3:4] = [belt + 0.95, belt + 1.35, belt + 2.2]
    lean = float(draw(0.0, 0.3))
    pieces = [
        _bus_sides(rng, length, width, rows, look, lean, double),
        _face(rng, half, width, height, low, belt, look, lights, lean, bus=True),
        _bus_rear(rng, -half, width, height, low, belt, look, lights),
        _top(half, lean, width, height, look.roof),
        *_arches(axles, radius, width),
        box((length - 0.4, width - 0.5, 0.3), (0, 0, low), 0.02),
    ]
    for y in (width / 2 + 0.2, -width / 2 - 0.2):
        pieces.append(box((0.1, 0.2, 0.4), (half + 0.1, y, belt + 0.6), look.trim))
    if rng.random() < 0.5:
        size = (float(draw(1.5, 3.5)), 1.6, float(draw(0.15, 0.35)))
        pieces.append(box(size, (float(draw(-2, 1)), 0, height + size[2] / 2), look.roof))
    return _on_wheels(rng, merge(pieces), axles, radius, width, length)


class _Livery:
    """The luminance of a bus or lorry."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.paint = paint(rng)
        self.lower = self.paint if rng.random() < 0.5 else paint(rng)
        self.upper = self.paint if rng.random() < 0.6 else paint(rng)
        self.roof = self.paint if rng.random() < 0.5 else float(rng.uniform(0.3, 0.85))
        self.trim = float(rng.uniform(0.02, 0.08))
        self.screen = glass(rng)
        self.pane = glass(rng)
        self.pillar = self.trim if rng.random() < 0.6 else self.paint
        self.lamp = float(rng.choice((0.9, 0.5, 0.2)))
        self.plate = float(rng.choice((0.8, 0.6, 0.1), p=(0.7, 0.2, 0.1)))


def _bus_sides(
    rng: np.random.Generator,
    length: float,
    width: float,
    rows: list[float],
    look: _Livery,
    lean: float,
    double: bool,
) -> Mesh:
    """Return both walls: panes between pillars, doors on the right."""
    half = length / 2
    count = int(rng.integers(4, 8))
    edges, kinds = [half], ['post']
    edges.append(half - 0.12)
    span = (length - 0.5) / count
    for number in range(count):
        edges += [edges[-1] - span + 0.09, edges[-1] - span]
        kinds += ['pane', 'post' if number < count - 1 else 'end']
    edges.append(-half)
    kinds.append('end')
    edges_x = np.array(edges)
    doors = {0} if rng.random() < 0.3 else {0, int(rng.integers(count // 2, count))}
    meshes = []
    for sign in (1, -1):
        cells = np.empty((len(rows) - 1, len(kinds)))
        for column, kind in enumerate(kinds):
            shade = {'pane': look.pane * float(rng.uniform(0.7, 1.3)), 'post': look.pillar}.get(
                kind, look.paint
            )
            walls = [look.lower, look.paint, shade, look.upper]
            if double:
                walls = [look.lower, look.paint, shade, look.upper, shade, look.upper]
            if sign < 0 and kind == 'pane' and column // 2 in doors:
                walls[:3] = [look.pane * 0.9, look.pane, look.pane]
            cells[:, column] = walls
        points = np.empty((len(rows), len(edges_x), 3))
        points[..., 0] = edges_x
        points[:, 0, 0] -= np.interp(rows, (rows[2], rows[-1]), (0.0, lean))
        points[..., 1] = (
            sign * width / 2 * np.interp(rows, (rows[0], rows[-1]), (1.0, 0.97))[:, None]
        )
        points[..., 2] = np.array(rows)[:, None]
        meshes.append(grid(points, np.clip(cells, 0.02, 0.95)))
    if rng.random() < 0.35:  # an advertisement or a stripe
        x = sorted(rng.uniform(-0.45, 0.45, 2) * length)
        z = float(rng.uniform(0.5, 0.7)), float(rng.uniform(0.75, 0.95))
        zs = [rows[0] + share * (rows[1] - rows[0]) for share in z]
        y = width / 2 + 0.01
        meshes.append(
            both(
                quad(
                    [(x[0], y, zs[0]), (x[1], y, zs[0]), (x[1], y, zs[1]), (x[0], y, zs[1])],
                    paint(rng),
                )
            )
        )
    return merge(meshes)


def _face(
    rng: np.random.Generator,
    x: float,
    width: float,
    height: float,
    low: float,
    belt: float,
    look: _Livery,
    lights: bool,
    lean: float,
    bus: bool,
) -> Mesh:
    """Return the front of a bus or lorry's cab, a little bowed; it leans back above the belt."""
    top = height - 0.12
    glass_top = min(top - 0.15, belt + (1.5 if bus else 1.0))
    z = np.array([low, low + 0.3, low + 0.52, belt - 0.08, belt, glass_top, top])
    across = np.array((1, 0.94, 0.6, 0, -0.6, -0.94, -1))
    cells = np.full((6, 6), look.paint)
    emission = np.zeros_like(cells)
    cells[0] = look.lower if rng.random() < 0.5 else look.trim
    cells[1, [1, 4]] = look.lamp
    emission[1, [1, 4]] = float(rng.uniform(2, 8)) if lights else 0.0
    if not bus:
        cells[1:3, 2:4] = look.trim
    cells[2] = look.paint if bus else np.where(np.arange(6) % 5 == 0, look.paint, look.trim)
    cells[4, 1:5] = look.screen
    cells[4, [0, 5]] = look.pillar
    cells[5] = look.upper
    if bus:
        cells[5, 1:5] = look.trim
        emission[5, 2:4] = float(rng.choice((0.0, 0.15, 0.5)))
    bow = float(rng.uniform(0.08, 0.25))
    slope = -np.interp(z, (belt, top), (0.0, lean))
    points = np.empty((7, 7, 3))
    points[..., 0] = x + slope[:, None] + bow * (1 - across**2)
    points[..., 1] = width / 2 * across * np.interp(z, (low, top), (1.0, 0.97))[:, None]
    points[..., 2] = z[:, None]
    front = x + bow + 0.02
    number = [(front, 0.26, low + 0.1), (front, -0.26, low + 0.1)]
    number += [(front, -0.26, low + 0.21), (front, 0.26, low + 0.21)]
    pieces = [grid(points, cells, emission), quad(number, look.plate)]
    return merge(pieces)


def _bus_rear(
    rng: np.random.Generator,
    x: float,
    width: float,
    height: float,
    low: float,
    belt: float,
    look: _Livery,
    lights: bool,
) -> Mesh:
    top = height - 0.12
    z = np.array([low, low + 0.35, low + 0.65, belt + 0.1, belt + 0.9, top])
    across = np.array((1, 0.8, -0.8, -1))
    cells = np.full((5, 3), look.paint)
    cells[0] = look.lower
    emission = np.zeros_like(cells)
    cells[1, ::2] = float(rng.uniform(0.08, 0.3))
    emission[1, ::2] = float(rng.uniform(0.3, 1.0)) if lights else 0.0
    cells[1:3, 1] = look.trim if rng.random() < 0.5 else look.paint
    cells[3, 1] = look.pane
    points = np.empty((6, 4, 3))
    points[..., 0] = x - 0.06 * (1 - across**2)
    points[..., 1] = width / 2 * across * np.interp(z, (low, top), (1.0, 0.97))[:, None]
    points[..., 2] = z[:, None]
    back = x - 0.1
    number = [(back, 0.26, low + 0.15), (back, -0.26, low + 0.15)]
    number += [(back, -0.26, low + 0.26), (back, 0.26, low + 0.26)]
    return merge([grid(points, cells, emission), quad(number, look.plate)])


def _top(half: float, lean: float, width: float, height: float, albedo: float) -> Mesh:
    """Return a roof with rounded edges."""
    across = np.array((1, 0.88, -0.88, -1))
    z = np.array((height - 0.12, height, height, height - 0.12))
    rows = [
        np.stack([np.full(4, x), 0.97 * width / 2 * across, z], -1) for x in (half - lean, -half)
    ]
    return merge([grid(rows, albedo), fan(rows[0], albedo), fan(rows[1], albedo)])


def _arches(axles: list[float], radius: float, width: float) -> list[Mesh]:
    """Return the dark wheel houses, drawn on the walls."""
    angle = np.linspace(0, np.pi, 7)
    pieces = []
    for axle in axles:
        out = 1.16 * radius
        points = [
            (axle + out * np.cos(a), width / 2 + 0.012, radius + out * np.sin(a)) for a in angle
        ]
        points += [(axle - out, width / 2 + 0.012, 0.26), (axle + out, width / 2 + 0.012, 0.26)]
        pieces.append(both(fan(points, 0.02)))
    return pieces


def _on_wheels(
    rng: np.random.Generator,
    shell: Mesh,
    axles: list[float],
    radius: float,
    width: float,
    length: float,
) -> Body:
    """Return the body on its wheels; ``axles``: their x."""
    skin = Skin(1 + 2 * len(axles))
    skin.add(shell, 0)
    tread = 0.3
    rim = wheel(
        radius,
        tread,
        int(rng.choice((5, 6))),
        float(rng.uniform(0.02, 0.06)),
        float(rng.choice((0.7, 0.4, 0.15))),
        float(rng.uniform(0.03, 0.3)),
        float(rng.uniform(0.5, 0.62)),
    )
    centres: list[Point] = []
    for x in axles:
        for sign in (1, -1):
            centre = (x, sign * (width / 2 + 0.025 - tread / 2), radius)
            centres.append(centre)
            skin.add((rim if sign > 0 else rim.mirrored()).moved(centre), len(centres))
    return RiggedBody(
        skin, [springs(rng, length, 1.5), rolling(centres, radius)], CAR, (2.0, 14.0)
    )


def make_truck(rng: np.random.Generator, lights: bool = False) -> Body:
    """Return a random lorry: cab and box, tarpaulin, flat bed, tipper, tank or container."""
    draw = rng.uniform
    heavy = rng.random() < 0.6
    length = float(draw(7.5, 12.0) if heavy else draw(5.5, 7.5))
    width = float(draw(2.3, 2.55) if heavy else draw(1.95, 2.3))
    radius = float(draw(0.45, 0.52) if heavy else draw(0.36, 0.42))
    cab_height = float(draw(2.6, 3.7) if heavy else draw(2.1, 2.6))
    cab = float(draw(1.6, 2.3))
    half = length / 2
    look = _Livery(rng)
    low, belt = float(draw(0.3, 0.5)), float(draw(0.48, 0.56)) * cab_height
    front, rear = half - float(draw(1.0, 1.4)), -half + float(draw(0.9, 2.2))
    axles = [front, rear]
    if heavy and rng.random() < 0.5:
        axles.append(rear + 2.4 * radius)
    frame = 2 * radius + 0.05
    lean = float(draw(0.0, 0.3))
    pieces = [
        _face(rng, half - 0.25, width, cab_height, low, belt, look, lights, lean, bus=False),
        _cab(half - 0.25, half - cab, width, cab_height, low, belt, look, lean),
        box((length - 0.6, 0.9, 0.25), (-0.2, 0, frame - 0.12), 0.04),
        *_load(rng, half - cab - 0.15, -half, width, frame, cab_height, look),
        *_arches([front], radius, width),
        _tail_board(-half, width, frame, look, lights),
    ]
    for y in (width / 2 + 0.17, -width / 2 - 0.17):
        pieces.append(box((0.1, 0.2, 0.45), (half - 0.2, y, belt + 0.4), look.trim))
    between = (front - 1.5 * radius, rear + (4.5 if len(axles) > 2 else 1.6) * radius)
    if between[0] - between[1] > 0.8:
        middle = (between[0] + between[1]) / 2
        guard = box((between[0] - between[1], 0.06, 0.3), (middle, width / 2 - 0.1, 0.7), 0.3)
        chance = rng.random()
        if chance < 0.4:
            pieces.append(both(guard.painted(_shade(rng))))
        elif chance < 0.8:
            tank = cylinder((between[0], 0.8, 0.65), (between[0] - 0.8, 0.8, 0.65), 0.28, 7, 0.5)
            pieces.append(both(tank))
    return _on_wheels(rng, merge(pieces), axles, radius, width, length)


def _shade(rng: np.random.Generator) -> float:
    """Return any albedo between black and white."""
    return float(rng.uniform(0.03, 0.85))


def _cab(
    front: float,
    back: float,
    width: float,
    height: float,
    low: float,
    belt: float,
    look: _Livery,
    lean: float,
) -> Mesh:
    """Return the walls, side windows and roof of a cab."""
    top = height - 0.12
    x = np.array((front, front - 0.12, front - 0.95, back))
    z = np.array((low, belt - 0.35, belt, min(belt + 0.8, top - 0.1), top))
    cells = np.full((4, 3), look.paint)
    cells[0] = look.lower
    cells[2, 1] = look.pane
    cells[3] = look.upper
    points = np.empty((5, 4, 3))
    points[..., 0] = x
    points[:, 0, 0] -= np.interp(z, (belt, top), (0.0, lean))
    points[:, 1, 0] = np.minimum(points[:, 1, 0], points[:, 0, 0] - 0.08)
    points[..., 1] = width / 2 * np.interp(z, (low, top), (1.0, 0.97))[:, None]
    points[..., 2] = z[:, None]
    seam = [(x[2], width / 2 + 0.01, low), (x[2] - 0.02, width / 2 + 0.01, low)]
    seam += [(x[2] - 0.02, 0.985 * width / 2 + 0.01, belt), (x[2], 0.985 * width / 2 + 0.01, belt)]
    across = np.array((1, 0.85, -0.85, -1)) * 0.97 * width / 2
    roof = [
        np.stack([np.full(4, at), across, (top, height, height, top)], -1) for at in (front, back)
    ]
    wall = [
        (back, sign * width / 2, at) for sign, at in ((1, low), (-1, low), (-1, top), (1, top))
    ]
    pieces = [both(grid(points, cells)), both(quad(seam, 0.5 * look.paint)), grid(roof, look.roof)]
    return merge([*pieces, quad(wall, look.paint), fan(roof[0], look.paint)])


def _tail_board(x: float, width: float, frame: float, look: _Livery, lights: bool) -> Mesh:
    z = frame - 0.2
    half = width / 2
    bar = box((0.08, width - 0.2, 0.12), (x + 0.05, 0, z - 0.1), 0.3)
    lamps = box((0.06, 0.35, 0.14), (x + 0.02, half - 0.3, z), 0.2, 0.6 if lights else 0.0)
    plate = [(x - 0.02, 0.26, z - 0.06), (x - 0.02, -0.26, z - 0.06)]
    plate += [(x - 0.02, -0.26, z + 0.06), (x - 0.02, 0.26, z + 0.06)]
    return merge([bar, both(lamps), quad(plate, look.plate)])


def _load(
    rng: np.random.Generator,
    front: float,
    back: float,
    width: float,
    frame: float,
    cab_height: float,
    look: _Livery,
) -> list[Mesh]:
    """Return what stands on the frame between two x."""
    draw = rng.uniform
    kind = str(
        rng.choice(('box', 'tarpaulin', 'flat', 'tipper', 'tank'), p=(0.4, 0.2, 0.15, 0.15, 0.1))
    )
    long, middle = front - back, (front + back) / 2
    shade = _shade(rng)
    if kind in ('box', 'tarpaulin'):
        tall = float(draw(0.85, 1.25)) * cab_height - frame + 0.3
        pieces = [
            box(
                (long, width, tall),
                (middle, 0, frame + tall / 2),
                (shade, shade, shade, shade, min(1.1 * shade, 0.9), 0.03),
            )
        ]
        if kind == 'tarpaulin' or rng.random() < 0.3:  # ribs
            for x in np.linspace(back + 0.05, front - 0.05, int(rng.integers(4, 9))):
                pieces.append(
                    both(
                        quad(
                            [
                                (x - 0.03, width / 2 + 0.01, frame),
                                (x + 0.03, width / 2 + 0.01, frame),
                                (x + 0.03, width / 2 + 0.01, frame + tall),
                                (x - 0.03, width / 2 + 0.01, frame + tall),
                            ],
                            0.6 * shade,
                        )
                    )
                )
        if rng.random() < 0.6:  # lettering
            wide, high = float(draw(0.3, 0.8)) * long, float(draw(0.15, 0.5)) * tall
            z = frame + 0.5 * tall
            y = width / 2 + 0.015
            pieces.append(
                both(
                    quad(
                        [
                            (middle - wide / 2, y, z - high / 2),
                            (middle + wide / 2, y, z - high / 2),
                            (middle + wide / 2, y, z + high / 2),
                            (middle - wide / 2, y, z + high / 2),
                        ],
                        _shade(rng),
                    )
                )
            )
        y = width / 2 - 0.04
        frame_line = [
            (back - 0.01, sign * 0.02, z)
            for sign, z in ((1, frame), (-1, frame), (-1, frame + tall), (1, frame + tall))
        ]
        pieces.append(quad(frame_line, 0.4 * shade))
        return pieces
    floor = box((long, width, 0.15), (middle, 0, frame + 0.07), 0.15)
    if kind == 'tank':
        radius = min(0.48 * width, 1.05)
        z = frame + radius + 0.05
        return [floor, tube([(front - 0.1, 0, z), (back + 0.2, 0, z)], radius, 10, shade)]
    if kind == 'tipper':
        tall = float(draw(0.6, 1.3))
        walls = box((long, width, tall), (middle, 0, frame + tall / 2), shade, 0.0, 1.03)
        ribs = [
            both(box((0.12, 0.08, tall), (x, width / 2 + 0.03, frame + tall / 2), 0.7 * shade))
            for x in np.linspace(back + 0.3, front - 0.3, 5)
        ]
        return [walls, *ribs]
    pieces = [floor, box((0.08, width, 0.7), (front, 0, frame + 0.35), 0.1)]
    x = back + 0.2
    while x < front - 0.6:
        size = rng.uniform((0.5, 0.6, 0.3), (1.6, 0.95, 1.5))
        size[0] = min(size[0], front - 0.15 - x)
        size[1] *= width
        if rng.random() < 0.75:
            centre = (x + size[0] / 2, 0, frame + 0.15 + size[2] / 2)
            pieces.append(box(size, centre, _shade(rng), 0.0, float(draw(0.8, 1))))
        x += size[0] + 0.15
    return pieces
