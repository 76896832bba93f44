# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Buses and lorries with random proportions; of the class car."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sast_ros_training.simulation.body import Body
from sast_ros_training.simulation.car_body import glass, on_wheels, paint, wheel
from sast_ros_training.simulation.mesh import both_sides, fan, grid, merge, Mesh, quad, Values
from sast_ros_training.simulation.shapes import box, rectangle, tube


def make_bus(rng: np.random.Generator, lights: bool = False) -> Body:
    """Return a random city bus, coach or small bus, some with two decks."""
    return _Bus(rng, lights).body()


def make_truck(rng: np.random.Generator, lights: bool = False) -> Body:
    """Return a random lorry: cab and box, tarpaulin, flat bed, tipper, tank or container."""
    return _Truck(rng, lights).body()


class _HeavyVehicle:
    """
    What buses and lorries have in common: dimensions in metres, albedo, front, wheels.

    low, top: lower and upper edge of the front; belt: lower edge of its windscreen; lean: how far
    the front leans back above the belt.
    """

    length: float
    width: float
    radius: float
    axles: list[float]
    low: float
    belt: float
    top: float
    lean: float

    def __init__(self, rng: np.random.Generator, lights: bool) -> None:
        self.rng, self.draw, self.lights = rng, rng.uniform, lights

    def _draw_livery(self) -> None:
        rng = self.rng
        self.paint = paint(rng)
        self.lower = self.paint if rng.random() < 0.5 else paint(rng)
        self.upper = self.paint if rng.random() < 0.6 else paint(rng)
        self.roof = self.paint if rng.random() < 0.5 else rng.uniform(0.3, 0.85)
        self.trim = rng.uniform(0.02, 0.08)
        self.screen, self.pane = glass(rng), glass(rng)
        self.pillar = self.trim if rng.random() < 0.6 else self.paint
        self.lamp = rng.choice((0.9, 0.5, 0.2))
        self.plate = rng.choice((0.8, 0.6, 0.1), p=(0.7, 0.2, 0.1))

    def _shade(self) -> float:
        """Return any albedo between black and white."""
        return self.draw(0.03, 0.85)

    def _wall(self, x: Values, y: Values, z: np.ndarray) -> np.ndarray:
        """``[rows, columns, 3]`` points at heights ``[rows]``; the body narrows upwards."""
        narrow = np.interp(z, (self.low, self.top), (1.0, 0.97))[:, None]
        return np.stack(np.broadcast_arrays(x, np.asarray(y) * narrow, z[:, None]), -1)

    def _lean(self, z: np.ndarray) -> np.ndarray:
        """Return how far the front leans back at heights."""
        return np.interp(z, (self.belt, self.top), (0.0, self.lean))

    def _plate(self, x: float, low: float, high: float) -> Mesh:
        return rectangle(x, (0.26, -0.26), (low, high), self.plate)

    def _front(self, x: float, bus: bool) -> Mesh:
        """Return the face of a bus or lorry's cab, a little bowed."""
        rng, low, belt, top = self.rng, self.low, self.belt, self.top
        glass_top = min(top - 0.15, belt + (1.5 if bus else 1.0))
        z = np.array([low, low + 0.3, low + 0.52, belt - 0.08, belt, glass_top, top])
        cells = np.full((6, 6), self.paint)
        emission = np.zeros_like(cells)
        cells[0] = self.lower if rng.random() < 0.5 else self.trim
        cells[1, [1, 4]] = self.lamp
        emission[1, [1, 4]] = self.draw(2, 8) if self.lights else 0.0
        cells[4] = (self.pillar, *[self.screen] * 4, self.pillar)
        cells[5] = self.upper
        if bus:
            cells[5, 1:5] = self.trim
            emission[5, 2:4] = rng.choice((0.0, 0.15, 0.5))
        else:
            cells[1, 2:4] = cells[2, 1:5] = self.trim
        bow = self.draw(0.08, 0.25)
        across = np.array((1, 0.94, 0.6, 0, -0.6, -0.94, -1))
        ahead = x - self._lean(z)[:, None] + bow * (1 - across**2)
        face = grid(self._wall(ahead, self.width / 2 * across, z), cells, emission)
        return merge([face, self._plate(x + bow + 0.02, low + 0.1, low + 0.21)])

    def _mirrors(self, out: float, high: float, x: float, z: float) -> list[Mesh]:
        y = self.width / 2 + out
        return [box((0.1, 0.2, high), (x, side * y, z), self.trim) for side in (1, -1)]

    def _arches(self, axles: Sequence[float]) -> list[Mesh]:
        """Return the dark wheel arches, drawn on the walls."""
        out, y, pieces = 1.16 * self.radius, self.width / 2 + 0.012, []
        for axle in axles:
            angle = np.linspace(0, np.pi, 7)
            points = [(axle + out * np.cos(a), y, self.radius + out * np.sin(a)) for a in angle]
            points += [(axle - out, y, 0.26), (axle + out, y, 0.26)]
            pieces.append(both_sides(fan(points, 0.02)))
        return pieces

    def _on_wheels(self, pieces: list[Mesh]) -> Body:
        rng, tread = self.rng, 0.3
        spokes, tyre = rng.choice((5, 6)), self.draw(0.02, 0.06)
        albedo = tyre, rng.choice((0.7, 0.4, 0.15)), self.draw(0.03, 0.3)
        rim = wheel(self.radius, tread, spokes, albedo, self.draw(0.5, 0.62))
        track, shell = self.width / 2 + 0.025 - tread / 2, merge(pieces)
        return on_wheels(rng, shell, rim, self.axles, track, self.radius, self.length, 1.5, 14.0)


class _Bus(_HeavyVehicle):
    """A bus; height: of the roof; rows: heights of the lines along its sides."""

    def __init__(self, rng: np.random.Generator, lights: bool) -> None:
        super().__init__(rng, lights)
        draw = self.draw
        lengths = ((6.5, 8.5), (9.5, 12.5), (11.5, 13.5))
        self.length = length = draw(*lengths[rng.choice(3, p=(0.2, 0.5, 0.3))])
        self.double = length > 9 and rng.random() < 0.12
        self.width = draw(2.3, 2.55)
        self.height = draw(4.0, 4.3) if self.double else draw(2.8, 3.5)
        self.top = self.height - 0.12
        self.radius = draw(0.42, 0.52)
        front, rear = draw(0.16, 0.25) * length, draw(0.2, 0.28) * length
        self.axles = [length / 2 - front, -length / 2 + rear]
        self._draw_livery()
        self.low, self.belt = draw(0.25, 0.4), draw(0.95, 1.5)
        decks = [self.belt + draw(0.85, 1.1)]
        if self.double:
            decks = [self.belt + 0.95, self.belt + 1.35, self.belt + 2.2]
        self.rows = np.array([self.low, self.belt - 0.25, self.belt, *decks, self.top])
        self.lean = draw(0.0, 0.3)

    def body(self) -> Body:
        """Return the bus."""
        half, draw = self.length / 2, self.draw
        pieces = [
            self._sides(),
            self._front(half, bus=True),
            self._rear(-half),
            self._roof(half),
            *self._arches(self.axles),
            box((self.length - 0.4, self.width - 0.5, 0.3), (0, 0, self.low), 0.02),
            *self._mirrors(0.2, 0.4, half + 0.1, self.belt + 0.6),
        ]
        if self.rng.random() < 0.5:
            size = (draw(1.5, 3.5), 1.6, draw(0.15, 0.35))
            pieces.append(box(size, (draw(-2, 1), 0, self.height + size[2] / 2), self.roof))
        return self._on_wheels(pieces)

    def _sides(self) -> Mesh:
        """Return both walls: panes between pillars, doors on the right."""
        rng, half, rows = self.rng, self.length / 2, self.rows
        count = int(rng.integers(4, 8))
        span = (self.length - 0.5) / count
        edges = [half, half - 0.12]
        for _ in range(count):
            edges += [edges[-1] - span + 0.09, edges[-1] - span]
        edges.append(-half)
        # Between the edges: posts, with a pane before each but the last two.
        kinds = ['post', *['pane', 'post'] * (count - 1), 'pane', 'end', 'end']
        doors = {0} if rng.random() < 0.3 else {0, int(rng.integers(count // 2, count))}
        x = np.tile(edges, (len(rows), 1))
        x[:, 0] -= self._lean(rows)
        meshes = []
        for sign in (1, -1):
            columns = []
            for number, kind in enumerate(kinds):
                glazed = self.pane * self.draw(0.7, 1.3)
                shade = {'pane': glazed, 'post': self.pillar}.get(kind, self.paint)
                decks = [shade, self.upper] * (2 if self.double else 1)
                walls = [self.lower, self.paint, *decks]
                if sign < 0 and kind == 'pane' and number // 2 in doors:
                    walls[:3] = [self.pane * 0.9, self.pane, self.pane]
                columns.append(walls)
            cells = np.clip(np.transpose(columns), 0.02, 0.95)
            meshes.append(grid(self._wall(x, sign * self.width / 2, rows), cells))
        if rng.random() < 0.35:  # an advertisement or a stripe
            ends = sorted(rng.uniform(-0.45, 0.45, 2) * self.length)
            shares = self.draw(0.5, 0.7), self.draw(0.75, 0.95)
            z = [rows[0] + share * (rows[1] - rows[0]) for share in shares]
            stripe = rectangle(ends, self.width / 2 + 0.01, z, paint(rng))
            meshes.append(both_sides(stripe))
        return merge(meshes)

    def _rear(self, x: float) -> Mesh:
        low, belt = self.low, self.belt
        z = np.array([low, low + 0.35, low + 0.65, belt + 0.1, belt + 0.9, self.top])
        cells = np.full((5, 3), self.paint)
        cells[0] = self.lower
        emission = np.zeros_like(cells)
        cells[1, ::2] = self.draw(0.08, 0.3)
        emission[1, ::2] = self.draw(0.3, 1.0) if self.lights else 0.0
        cells[1:3, 1] = self.trim if self.rng.random() < 0.5 else self.paint
        cells[3, 1] = self.pane
        across = np.array((1, 0.8, -0.8, -1))
        points = self._wall(x - 0.06 * (1 - across**2), self.width / 2 * across, z)
        return merge([grid(points, cells, emission), self._plate(x - 0.1, low + 0.15, low + 0.26)])

    def _roof(self, half: float) -> Mesh:
        """Return a roof with rounded edges."""
        y = 0.97 * self.width / 2 * np.array((1, 0.88, -0.88, -1))
        z = np.array((self.top, self.height, self.height, self.top))
        rows = [np.stack([np.full(4, x), y, z], -1) for x in (half - self.lean, -half)]
        return merge([grid(rows, self.roof), *(fan(row, self.roof) for row in rows)])


class _Truck(_HeavyVehicle):
    """A lorry; cab: length of the cab; frame: height of the frame."""

    def __init__(self, rng: np.random.Generator, lights: bool) -> None:
        super().__init__(rng, lights)
        draw = self.draw
        heavy = rng.random() < 0.6
        self.length = draw(7.5, 12.0) if heavy else draw(5.5, 7.5)
        self.width = draw(2.3, 2.55) if heavy else draw(1.95, 2.3)
        self.radius = draw(0.45, 0.52) if heavy else draw(0.36, 0.42)
        self.cab_height = draw(2.6, 3.7) if heavy else draw(2.1, 2.6)
        self.top = self.cab_height - 0.12
        self.cab = draw(1.6, 2.3)
        self._draw_livery()
        self.low, self.belt = draw(0.3, 0.5), draw(0.48, 0.56) * self.cab_height
        half = self.length / 2
        self.axles = [half - draw(1.0, 1.4), -half + draw(0.9, 2.2)]
        if heavy and rng.random() < 0.5:
            self.axles.append(self.axles[1] + 2.4 * self.radius)
        self.frame = 2 * self.radius + 0.05
        self.lean = draw(0.0, 0.3)

    def body(self) -> Body:
        """Return the lorry."""
        half = self.length / 2
        pieces = [
            self._front(half - 0.25, bus=False),
            self._cab(half - 0.25, half - self.cab),
            box((self.length - 0.6, 0.9, 0.25), (-0.2, 0, self.frame - 0.12), 0.04),
            *self._load(half - self.cab - 0.15, -half),
            *self._arches(self.axles[:1]),
            self._tail_board(-half),
            *self._mirrors(0.17, 0.45, half - 0.2, self.belt + 0.4),
            *self._between_axles(),
        ]
        return self._on_wheels(pieces)

    def _between_axles(self) -> list[Mesh]:
        """Return guards on the sides, tanks, or nothing."""
        start = self.axles[0] - 1.5 * self.radius
        end = self.axles[1] + (4.5 if len(self.axles) > 2 else 1.6) * self.radius
        if start - end <= 0.8:
            return []
        chance = self.rng.random()
        if chance < 0.4:
            centre = ((start + end) / 2, self.width / 2 - 0.1, 0.7)
            return [both_sides(box((start - end, 0.06, 0.3), centre, self._shade()))]
        if chance < 0.8:
            return [both_sides(tube([(start, 0.8, 0.65), (start - 0.8, 0.8, 0.65)], 0.28, 7))]
        return []

    def _cab(self, front: float, back: float) -> Mesh:
        """Return the walls, side windows and roof of a cab."""
        half, low, belt, top = self.width / 2, self.low, self.belt, self.top
        z = np.array((low, belt - 0.35, belt, min(belt + 0.8, top - 0.1), top))
        x = np.tile((front, front - 0.12, front - 0.95, back), (5, 1))
        x[:, 0] -= self._lean(z)
        x[:, 1] = np.minimum(x[:, 1], x[:, 0] - 0.08)
        cells = np.full((4, 3), self.paint)
        cells[0] = self.lower
        cells[2, 1] = self.pane
        cells[3] = self.upper
        at, y = front - 0.95, np.array((1, 0.985)) * self.width / 2 + 0.01
        seam = [(at, y[0], low), (at - 0.02, y[0], low), (at - 0.02, y[1], belt), (at, y[1], belt)]
        across = np.array((1, 0.85, -0.85, -1)) * 0.97 * self.width / 2
        height = (top, self.cab_height, self.cab_height, top)
        roof = [np.stack([np.full(4, end), across, height], -1) for end in (front, back)]
        return merge(
            [
                both_sides(grid(self._wall(x, half, z), cells)),
                both_sides(quad(seam, 0.5 * self.paint)),
                grid(roof, self.roof),
                rectangle(back, (half, -half), (low, top), self.paint),
                fan(roof[0], self.paint),
            ]
        )

    def _tail_board(self, x: float) -> Mesh:
        z, half = self.frame - 0.2, self.width / 2
        bar = box((0.08, self.width - 0.2, 0.12), (x + 0.05, 0, z - 0.1), 0.3)
        glow = 0.6 if self.lights else 0.0
        lamps = both_sides(box((0.06, 0.35, 0.14), (x + 0.02, half - 0.3, z), 0.2, glow))
        return merge([bar, lamps, self._plate(x - 0.02, z - 0.06, z + 0.06)])

    def _load(self, front: float, back: float) -> list[Mesh]:
        """Return what stands on the frame between two x."""
        kinds = ('box', 'tarpaulin', 'flat', 'tipper', 'tank')
        kind = self.rng.choice(kinds, p=(0.4, 0.2, 0.15, 0.15, 0.1))
        shade, frame, width = self._shade(), self.frame, self.width
        long, middle = front - back, (front + back) / 2
        if kind in ('box', 'tarpaulin'):
            return self._closed_load(front, back, shade, kind == 'tarpaulin')
        if kind == 'tipper':
            tall = self.draw(0.6, 1.3)
            z = frame + tall / 2
            walls = box((long, width, tall), (middle, 0, z), shade, 0.0, 1.03)
            ribs = [
                both_sides(box((0.12, 0.08, tall), (x, width / 2 + 0.03, z), 0.7 * shade))
                for x in np.linspace(back + 0.3, front - 0.3, 5)
            ]
            return [walls, *ribs]
        floor = box((long, width, 0.15), (middle, 0, frame + 0.07), 0.15)
        if kind == 'tank':
            radius = min(0.48 * width, 1.05)
            z = frame + radius + 0.05
            return [floor, tube([(front - 0.1, 0, z), (back + 0.2, 0, z)], radius, 10, shade)]
        pieces = [floor, box((0.08, width, 0.7), (front, 0, frame + 0.35), 0.1)]
        x = back + 0.2
        while x < front - 0.6:
            size = self.draw((0.5, 0.6, 0.3), (1.6, 0.95, 1.5))
            size[0] = min(size[0], front - 0.15 - x)
            size[1] *= width
            if self.rng.random() < 0.75:
                centre = (x + size[0] / 2, 0, frame + 0.15 + size[2] / 2)
                pieces.append(box(size, centre, self._shade(), 0.0, self.draw(0.8, 1)))
            x += size[0] + 0.15
        return pieces

    def _closed_load(self, front: float, back: float, shade: float, tarpaulin: bool) -> list[Mesh]:
        """Return a box or a tarpaulin with ribs, lettering and a door."""
        frame, draw, y = self.frame, self.draw, self.width / 2
        tall = draw(0.85, 1.25) * self.cab_height - frame + 0.3
        long, middle, top = front - back, (front + back) / 2, frame + tall
        shades = (*[shade] * 4, min(1.1 * shade, 0.9), 0.03)
        pieces = [box((long, self.width, tall), (middle, 0, frame + tall / 2), shades)]
        if tarpaulin or self.rng.random() < 0.3:  # ribs
            for x in np.linspace(back + 0.05, front - 0.05, self.rng.integers(4, 9)):
                rib = rectangle((x - 0.03, x + 0.03), y + 0.01, (frame, top), 0.6 * shade)
                pieces.append(both_sides(rib))
        if self.rng.random() < 0.6:  # lettering
            half, high = draw(0.3, 0.8) * long / 2, draw(0.15, 0.5) * tall / 2
            x, z = (middle - half, middle + half), frame + 0.5 * tall
            text = rectangle(x, y + 0.015, (z - high, z + high), self._shade())
            pieces.append(both_sides(text))
        pieces.append(rectangle(back - 0.01, (0.02, -0.02), (frame, top), 0.4 * shade))
        return pieces
