# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Car bodies from a side profile and a plan: panels, glass, lights, wheels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from sast_ros_training.simulation.body import Body, RiggedBody, Skin
from sast_ros_training.simulation.mesh import assemble, both_sides, grid, merge, Mesh
from sast_ros_training.simulation.rig import Motion, motion, placed, rolling, rotation
from sast_ros_training.simulation.shapes import box, rectangle, wheel_circle

CAR = 2

#: Rows of the side of a body: sill, shoulder, upper edge (the middle is between the first two).
_SILL, _SHOULDER, _EDGE = 0, 2, 3


class CarBody:
    """
    The sheet metal, glass and lamps of a car: proportions, albedo and emission, and its meshes.

    Metres, x from the middle of the car, z from the ground; parts are given by their albedo.
    ``sky`` is the light of the sky that roof, lids and shoulders reflect, ``dusk`` how much darker
    the lower half of the sides is than the upper one.

    Proportions are drawn from ``ranges``. In metres: ``length``, ``height``, ``radius`` of the
    wheels, ``clearance`` of the sills, ``arc``, by which the ends of the roof are lower than its
    highest place, ``bow``, by which the middle of the windscreen is ahead of its sides. As shares
    of the length: ``width``, distance of ``front_axle`` and ``rear_axle`` from the end, and of the
    edges of the windscreen (``cowl``, ``screen_top``) and the rear window (``roof_end``,
    ``rear_base``) from the front. ``belt``, lower edge of the side windows: of the height;
    ``nose``, ``tail``, front of the bonnet and rear edge of the boot lid: of the belt's height;
    width of nose, tail and roof: ``front_taper``, ``rear_taper``, ``tumble``. There are 1 to 3
    ``doors`` on a side; two may be drawn as one.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        ranges: Mapping[str, tuple[float, float]],
        doors: int,
        lights: bool,
    ) -> None:
        def draw(name: str) -> float:
            return rng.uniform(*ranges[name])

        self.length = length = draw('length')
        half = length / 2
        self.height, self.radius = draw('height'), draw('radius')
        self.belt = draw('belt') * self.height
        self.axles = half - draw('front_axle') * length, -half + draw('rear_axle') * length
        self.width = float(np.clip(draw('width') * length, 1.5, 2.1))
        self.nose, self.tail = self.belt * draw('nose'), self.belt * draw('tail')
        self.cowl, self.screen_top, self.roof_end, self.rear_base = (
            half - draw(name) * length for name in ('cowl', 'screen_top', 'roof_end', 'rear_base')
        )
        self.clearance = draw('clearance')
        self.taper = draw('front_taper'), draw('rear_taper')
        self.tumble, self.arc, self.bow = draw('tumble'), draw('arc'), draw('bow')
        doors = 1 if doors == 2 and rng.random() >= 0.8 else doors
        start, end = self.screen_top - 0.1, self.roof_end + 0.25
        shares = {1: (0.62,), 2: (0.42,), 3: (0.28, 0.64)}[doors]
        self.pillars = [start + (end - start) * share for share in shares]
        self._draw_finish(rng, doors + 1, lights)

    def _draw_finish(self, rng: np.random.Generator, panes: int, lights: bool) -> None:
        """Draw the albedo of the parts and the emission of the lamps."""
        self.paint = paint(rng)
        self.trim = rng.uniform(0.02, 0.07)
        side = glass(rng)
        alike = rng.random() < 0.6
        self.roof = self.paint if rng.random() < 0.85 else paint(rng)
        self.bumper = self.trim if rng.random() < 0.15 else self.paint
        self.joint = max(0.02, self.paint * rng.uniform(0.1, 0.5))
        self.screen = glass(rng)
        self.rear_screen = glass(rng)
        self.panes = [side * rng.uniform(0.8, 1.2) if alike else glass(rng) for _ in range(panes)]
        self.pillar = self.paint if rng.random() < 0.4 else self.trim
        self.grille = self.trim if rng.random() < 0.7 else rng.uniform(0.1, 0.7)
        self.headlight = rng.choice((0.9, 0.6, 0.35, 0.12)) * rng.uniform(0.8, 1.05)
        self.tail_light = rng.uniform(0.06, 0.35)
        self.plate = rng.choice((0.85, 0.75, 0.55, 0.1), p=(0.55, 0.2, 0.2, 0.05))
        self.sky = rng.choice((0.0, 1.0)) * rng.uniform(0.02, 0.3)
        self.dusk = rng.uniform(0.6, 1.0)
        self.head_emission = rng.uniform(2, 8) if lights else 0.0
        self.tail_emission = rng.uniform(0.3, 1.2) if lights else 0.0

    def section(self, x: float) -> np.ndarray:
        """Return the left side at ``x`` as ``[4, 3]``: sill, middle, shoulder, upper edge."""
        end = abs(2 * x / self.length)
        narrow = self.taper[0] if x > 0 else self.taper[1]
        half = self.width / 2 * (1 - (1 - narrow) * max(0.0, (end - 0.55) / 0.45) ** 2.2)
        top = self.top(x)
        # The bumpers are higher above the ground than the sills.
        sill = self.clearance + 0.05 * max(0.0, (end - 0.8) / 0.2)
        arch = 1.13 * self.radius
        for axle in self.axles:
            if abs(x - axle) < arch * 0.99:
                sill = max(sill, self.radius + np.sqrt(arch**2 - (x - axle) ** 2))
        middle = max(sill + 0.03, self.clearance + 0.52 * (top - self.clearance))
        shoulder = max(middle + 0.03, top - 0.09 * (top - self.clearance) - 0.03)
        top = max(top, shoulder + 0.02)
        cabin = self.rear_base - 0.05 < x < self.cowl + 0.05
        widths = np.array((0.945, 1.0, 0.975, 0.93 if cabin else 0.87)) * half
        return np.stack([np.full(4, x), widths, (sill, middle, shoulder, top)], -1)

    def top(self, x: float) -> float:
        """Return the height of bonnet, belt or boot lid at ``x``."""
        front, back = self.length / 2, -self.length / 2
        if x > self.cowl:
            share = (front - x) / (front - self.cowl)
            return self.nose + (self.belt - self.nose) * (1 - (1 - share) ** 1.7)
        if x < self.rear_base:
            share = (x - back) / max(self.rear_base - back, 1e-3)
            return self.tail + (self.belt - self.tail) * share**0.6
        return self.belt

    def rail(self, x: np.ndarray) -> np.ndarray:
        """Return the height of the roof's edge at ``x`` ([N])."""
        # The highest place is a little ahead of the middle.
        share = np.clip((self.screen_top - x) / (self.screen_top - self.roof_end), 0, 1)
        fall = np.where(share < 0.4, (0.4 - share) / 0.4, (share - 0.4) / 0.6)
        return self.height - 0.06 - self.arc * fall**2

    def stations(self) -> np.ndarray:
        """Return the x, front to back, where the side panels have their edges."""
        half, arch = self.length / 2, 1.13 * self.radius
        found = [half, half - 0.1, half - 0.28, self.cowl, 0.0]
        found += [-half, -half + 0.08, -half + 0.25, self.rear_base]
        for axle in self.axles:
            found += [axle + arch * share for share in (-1, -0.85, -0.38, 0.38, 0.85, 1)]
        ordered: list[float] = []
        for x in sorted((x for x in found if abs(x) <= half), reverse=True):
            if not ordered or ordered[-1] - x > 0.035:
                ordered.append(x)
        return np.array(ordered)

    def sides(self, band: float | None) -> Mesh:
        """Return the panels from sill to belt; ``band``: albedo of the lower half."""
        x, half = self.stations(), self.length / 2
        cells = np.full((len(x) - 1, 3), self.paint)
        cells[:, 0] = self.paint * self.dusk if band is None else band
        cells[:, 2] = min(self.paint + 0.6 * self.sky, 0.92)
        emission = np.zeros_like(cells)
        middle = (x[:-1] + x[1:]) / 2
        cells[(middle > half - 0.3) | (middle < -half + 0.27), 0] = self.bumper
        lamp, tail = middle > half - 0.2, middle < -half + 0.14
        cells[lamp, 1], emission[lamp, 1] = self.headlight, 0.5 * self.head_emission
        cells[tail, 1], emission[tail, 1] = self.tail_light, self.tail_emission
        return both_sides(grid([self.section(at) for at in x], cells, emission))

    def lids(self, albedo: float, bed: float | None) -> Mesh:
        """Return bonnet and boot lid; ``bed``: albedo of a load area instead of the lid."""
        pieces = []
        for first, last, shade in (
            (self.length / 2, self.cowl, albedo),
            (self.rear_base, -self.length / 2, albedo if bed is None else bed),
        ):
            if first - last < 0.03:
                continue
            rows = []
            for x in np.linspace(first, last, 3):
                edge = self.section(x)[_EDGE]
                crown = edge[2] + (0.035 if bed is None else 0.0)
                lid = [(x, share * edge[1], crown) for share in (0.45, -0.45)]
                rows.append([edge, *lid, edge * (1, -1, 1)])
            pieces.append(grid(rows, shade))
        return merge(pieces)

    def _end(self, x: float, bulge: float, rows: tuple[float, ...]) -> np.ndarray:
        """``[rows, 4, 3]`` points of the front or rear face, which bulges in the middle."""
        section, levels = self.section(x), np.array(rows)[:, None]
        height = section[_SILL, 2] + levels * (section[_EDGE, 2] - section[_SILL, 2])
        across = np.array((1, 0.58, -0.58, -1))
        ahead = x + bulge * (1 - across**2) * np.sin(np.pi * (0.25 + 0.5 * levels))
        width = np.interp(height, section[:, 2], section[:, 1]) * across
        return np.stack(np.broadcast_arrays(ahead, width, height), -1)

    def front(self, intake: bool, slim: float) -> Mesh:
        """Return bumper, grille, lamps and plate; ``slim``: height of the lamps, 0.1 to 0.3."""
        x = self.length / 2
        points = self._end(x, 0.09, (0.0, 0.14, 0.4, 0.86 - slim, 0.88, 1.0))
        cells = np.full((5, 3), self.paint)
        cells[:3] = self.bumper
        cells[1, 1] = self.trim if intake else self.bumper
        cells[3] = self.headlight, self.grille, self.headlight
        emission = np.zeros_like(cells)
        emission[3, ::2] = self.head_emission
        face = grid(points, cells, emission)
        return merge([face, self._plate(x + 0.1, points[2, 0, 2] + 0.03)])

    def rear(self, tall: float, plate_low: bool) -> Mesh:
        """Return bumper, lamps, lid and plate; ``tall``: height of the lamps, 0.15 to 0.4."""
        x = -self.length / 2
        points = self._end(x, -0.07, (0.0, 0.16, 0.45, 0.92 - tall, 0.92, 1.0))
        cells = np.full((5, 3), self.paint)
        cells[0], cells[1] = self.trim, self.bumper
        cells[3, ::2] = self.tail_light
        emission = np.zeros_like(cells)
        emission[3, ::2] = self.tail_emission
        low, high = points[1, 0, 2], points[4, 0, 2]
        z = low + (0.15 if plate_low else 0.65) * (high - low)
        return merge([grid(points, cells, emission), self._plate(x - 0.08, z)])

    def _plate(self, x: float, z: float) -> Mesh:
        return rectangle(x, (0.26, -0.26), (z, z + 0.115), self.plate)

    def greenhouse(self, last: float, rear_glass: tuple[float, float], blind: int) -> Mesh:
        """
        Return pillars, panes and roof.

        ``last``: width of the pillar at the rear end in metres; ``rear_glass``: share of the
        height of the rear face where its glass begins and ends; ``blind``: number of side panes
        that are sheet metal, counted from the rear.
        """
        points, cells = self._columns(last, blind)
        shades = np.tile(cells, (4, 1))
        shades[0] = np.where(cells == self.paint, self.paint, self.trim)
        # The upper half of a pane reflects more of the sky than the lower one.
        shades[2] = np.where(cells == self.paint, self.paint, cells * 1.25)
        shades[3] = self.roof
        start, end = points[[0, -1], 0], points[[0, -1], -1]
        windscreen = self.screen, self.paint, self.trim
        rear_screen = self.rear_screen, self.paint, self.paint
        return merge(
            [
                both_sides(grid(points, np.clip(shades, 0.02, 0.95))),
                _screen(start, self.bow, windscreen, (0.06, 0.94)),
                _screen(end, -0.07, rear_screen, rear_glass),
                self._roof(start[1], end[1], min(self.roof + self.sky, 0.92)),
            ]
        )

    def _columns(self, last: float, blind: int) -> tuple[np.ndarray, np.ndarray]:
        """Return points ``[5, N, 3]`` of the left side above the belt, and albedo ``[N - 1]``."""
        base_x = [self.cowl, self.cowl - 0.07]
        roof_x = [self.screen_top, self.screen_top - 0.07]
        cells = [self.paint]
        panes = np.resize(self.panes, len(self.pillars) + 1)
        panes[np.arange(len(panes)) >= len(panes) - blind] = self.paint
        for x, pane in zip(self.pillars, panes):
            base_x += [x + 0.045, x - 0.045]
            roof_x += [x + 0.015, x - 0.065]
            cells += [pane, self.pillar]
        lean = min(0.3, 0.6 * abs(self.roof_end - self.rear_base))
        base_x += [max(self.rear_base + last - lean, self.rear_base + 0.05), self.rear_base]
        roof_x += [self.roof_end + last, self.roof_end]
        cells += [panes[-1], self.paint]
        # Whatever was drawn, the columns run from front to back.
        base, roof = np.minimum.accumulate(base_x), np.minimum.accumulate(roof_x)
        edge = np.array([self.section(x)[_EDGE] for x in base])
        level = np.array((0.0, 0.07, 0.55, 0.9, 1.0))[:, None]
        width = edge[:, 1] * (1 + (self.tumble - 1) * level**1.4)
        width[-1] *= 0.95  # rounds the edge of the roof
        height = edge[:, 2] + (self.rail(roof) - edge[:, 2]) * level
        return np.stack([base + (roof - base) * level, width, height], -1), np.array(cells)

    def _roof(self, start: np.ndarray, end: np.ndarray, albedo: float) -> Mesh:
        across = np.array((1, 0.5, -0.5, -1))
        rows = []
        for share, crown, bow in ((0, 0.05, 0.45 * self.bow), (0.4, 0.06, 0.0), (1, 0.05, -0.03)):
            edge = start + (end - start) * share
            edge[2] = self.rail(edge[:1])[0]
            rows.append(_bowed(edge, bow, crown, across))
        return grid(rows, albedo)

    def seam(self, x: float, albedo: float) -> Mesh:
        """Return the gap beside a door at ``x``: a line down both sides."""
        lines = [self.section(at) + (0, 0.006, 0) for at in (x + 0.008, x - 0.008)]
        return both_sides(grid(lines, albedo))

    def handle(self, x: float, albedo: float) -> Mesh:
        """Return a door handle on both sides."""
        _, y, z = self.section(x)[_SHOULDER] + (0, 0.012, -0.03)
        return both_sides(rectangle((x + 0.1, x - 0.1), y, (z, z + 0.035), albedo))

    def strip(self, x: tuple[float, float], height: float, wide: float, albedo: float) -> Mesh:
        """Return a moulding along both sides between two x at a height (share of the side)."""
        points = []
        for at in np.linspace(*x, 3):
            section = self.section(at)
            z = section[_SILL, 2] + height * (section[_EDGE, 2] - section[_SILL, 2])
            zs = np.array((z - wide / 2, z + wide / 2))
            ys = np.interp(zs, section[:, 2], section[:, 1]) + 0.01
            points.append(np.stack([(at, at), ys, zs], -1))
        return both_sides(grid(points, albedo))

    def underbody(self) -> Mesh:
        """Return the dark tub that closes the body below and behind the wheels."""
        x = np.array((0.5 * self.length - 0.2, self.cowl - 0.1, -0.5 * self.length + 0.2))
        high = np.array([self.top(at) - 0.12 for at in x])
        low = np.full(3, self.clearance + 0.02)
        wall = [np.stack([x, np.full(3, self.width / 2 - 0.24), z], -1) for z in (high, low)]
        return merge([both_sides(grid(wall, 0.02)), grid([wall[1], wall[1] * (1, -1, 1)], 0.02)])

    def mirrors(self, albedo: float) -> Mesh:
        """Return the two outside mirrors."""
        x = self.cowl - 0.22
        centre = x, self.section(x)[_EDGE, 1] + 0.11, self.belt + 0.1
        return both_sides(box((0.12, 0.2, 0.14), centre, albedo))


def _bowed(corner: np.ndarray, bow: float, crown: float, across: np.ndarray) -> np.ndarray:
    """``[columns, 3]`` from the left corner to its mirror image, bowed in the middle."""
    x, y, z = corner
    bulge = 1 - across**2
    return np.stack([x + bow * bulge, y * across, z + crown * bulge], -1)


def _screen(
    edge: np.ndarray, bow: float, shades: tuple[float, float, float], span: tuple[float, float]
) -> Mesh:
    """Return a window from its left edge ``[2, 3]``; shades: glass, frame and foot."""
    across = np.array((1, 0.9, 0.4, -0.4, -0.9, -1))
    low = _bowed(edge[0], bow, 0.0, across)
    high = _bowed(edge[1], 0.45 * bow, 0.05, across)
    cells = np.full((3, 5), shades[1])
    cells[0] = shades[2]
    cells[1, 1:4] = shades[0]
    return grid([low + (high - low) * share for share in (0.0, *span, 1.0)], cells)


def wheel(
    radius: float, width: float, spokes: int, albedo: tuple[float, float, float], rim_share: float
) -> Mesh:
    """
    Return a wheel about the y axis, its outer face at y = width / 2.

    albedo: of the rubber, of the spokes and of what is seen between them; rim_share: radius of the
    rim as a share of the wheel's.
    """
    sides = 2 * spokes
    around = wheel_circle(sides) * radius
    out = np.array((0.0, width / 2, 0.0))
    points = np.concatenate([around - out, around + out, around * rim_share + out, [out * 0.8]])
    here = np.arange(sides)
    then = (here + 1) % sides
    tread = np.stack([(here, then, sides + then), (here, sides + then, sides + here)])
    hub = [(2 * sides + here, 2 * sides + then, np.full(sides, 3 * sides))]
    corners = np.concatenate([tread, tread + sides, hub]).transpose(0, 2, 1)
    tyre, rim, gap = albedo
    shades = np.concatenate([np.full(4 * sides, tyre), np.where(here % 2 == 0, rim, gap)])
    return assemble(points, corners, shades)


def on_wheels(
    rng: np.random.Generator,
    shell: Mesh,
    rim: Mesh,
    axles: Sequence[float],
    track: float,
    radius: float,
    length: float,
    sway: float,
    speed: float,
) -> Body:
    """
    Return a car of a shell and its wheels.

    rim: a left wheel at the origin; axles: their x; track: y of the left wheels; length, sway: see
    ``springs``; speed: the fastest.
    """
    centres = [(x, y, radius) for x in axles for y in (track, -track)]
    wheels = [(rim if y > 0 else rim.mirrored()).moved((x, y, z)) for x, y, z in centres]
    motions = [springs(rng, length, sway), rolling(centres, radius)]
    return RiggedBody(Skin([shell, *wheels]), motions, CAR, (2.0, speed))


def paint(rng: np.random.Generator) -> float:
    """Return the albedo of a car, as often as such cars are seen: black, greys, white."""
    ranges = ((0.02, 0.06), (0.06, 0.16), (0.16, 0.4), (0.4, 0.65), (0.7, 0.92))
    return rng.uniform(*ranges[rng.choice(5, p=(0.2, 0.2, 0.2, 0.2, 0.2))])


def glass(rng: np.random.Generator) -> float:
    """Return the albedo of a pane: mostly dark, else it reflects the sky or a wall."""
    return rng.uniform(0.02, 0.12) if rng.random() < 0.7 else rng.uniform(0.12, 0.75)


def springs(rng: np.random.Generator, length: float, sway: float = 1.0) -> Motion:
    """
    Return how the road shakes a body on its springs: heave, pitch and roll over the distance.

    Without it horizontal edges, which move along themselves, would be invisible to the camera.
    """
    way = np.linspace(0, 2 * np.pi, 97)[:-1]
    heave, pitch, roll = (
        sum(
            scale * sway / number * np.sin(number * way + rng.uniform(0, 2 * np.pi))
            for number in (1, 2, 3, 5)
        )
        for scale in (0.008, 0.004, 0.004)
    )
    now = np.stack([np.zeros(96), np.zeros(96), 0.4 + heave], -1)
    turn = rotation(1, pitch) @ rotation(0, roll)
    return motion([placed(turn, (0, 0, 0.4), now)], rng.uniform(5, 8) * length)
