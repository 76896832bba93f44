"""Car bodies from a side profile and a plan: panels, glass, lights, wheels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sast_ros_training.simulation.mesh import assemble, box, grid, merge, Mesh, quad
from sast_ros_training.simulation.rig import Motion, motion, placed, rotation

#: The class of everything that has a body of sheet metal.
CAR = 2

#: Rows of the side of a body: sill, middle, shoulder, upper edge.
_SILL, _MIDDLE, _SHOULDER, _EDGE = range(4)


@dataclass(frozen=True)
class Profile:
    """
    The proportions of a car; metres, x from the middle of the car, z from the ground.

    wheels: x of the front and rear axle; radius: of the wheels.
    nose, tail: height of the bonnet's front and of the boot lid's rear edge.
    cowl, screen_top: x of the lower and upper edge of the windscreen, at the sides.
    roof_end, rear_base: x of the upper and lower edge of the rear window, at the sides.
    belt: height of the lower edge of the side windows.
    clearance: height of the sills.
    taper: width of nose and tail as a share of the greatest width.
    tumble: width of the roof as a share of the width at the belt.
    arc: how much lower the ends of the roof are than its highest place.
    bow: how far the middle of the windscreen is ahead of its sides.
    """

    length: float
    width: float
    height: float
    wheels: tuple[float, float]
    radius: float
    nose: float
    tail: float
    cowl: float
    screen_top: float
    roof_end: float
    rear_base: float
    belt: float
    clearance: float
    taper: tuple[float, float]
    tumble: float
    arc: float
    bow: float

    def ring(self, x: float) -> np.ndarray:
        """Return the left side at ``x`` as ``[4, 3]``: sill, middle, shoulder, upper edge."""
        end = abs(2 * x / self.length)
        narrow = self.taper[0] if x > 0 else self.taper[1]
        plan = 1 - (1 - narrow) * max(0.0, (end - 0.55) / 0.45) ** 2.2
        top = self.top(x)
        # The bumpers are higher above the ground than the sills.
        sill = self.clearance + 0.05 * max(0.0, (end - 0.8) / 0.2)
        for axle in self.wheels:
            arch = 1.13 * self.radius
            if abs(x - axle) < arch * 0.99:
                sill = max(sill, self.radius + np.sqrt(arch**2 - (x - axle) ** 2))
        middle = max(sill + 0.03, self.clearance + 0.52 * (top - self.clearance))
        shoulder = max(middle + 0.03, top - 0.09 * (top - self.clearance) - 0.03)
        top = max(top, shoulder + 0.02)
        cabin = self.rear_base - 0.05 < x < self.cowl + 0.05
        widths = (0.945, 1.0, 0.975, 0.93 if cabin else 0.87)
        half = self.width / 2 * plan
        return np.array(
            [
                (x, share * half, z)
                for share, z in zip(widths, (sill, middle, shoulder, top), strict=True)
            ]
        )

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
        length = self.screen_top - self.roof_end
        # The highest place is a little ahead of the middle.
        share = np.clip((self.screen_top - x) / length, 0, 1)
        fall = np.where(share < 0.4, (0.4 - share) / 0.4, (share - 0.4) / 0.6)
        return self.height - 0.06 - self.arc * fall**2

    def stations(self) -> np.ndarray:
        """Return the x, front to back, where the side panels have their edges."""
        half = self.length / 2
        found = [half, half - 0.1, half - 0.28, self.cowl, 0.0]
        found += [-half, -half + 0.08, -half + 0.25, self.rear_base]
        arch = 1.13 * self.radius
        for axle in self.wheels:
            found += [axle + arch * share for share in (-1, -0.85, -0.38, 0.38, 0.85, 1)]
        ordered: list[float] = []
        for x in sorted((x for x in found if abs(x) <= half), reverse=True):
            if not ordered or ordered[-1] - x > 0.035:
                ordered.append(x)
        return np.array(ordered)


@dataclass(frozen=True)
class Finish:
    """
    The luminance of a car's parts: albedo, and emission of its lamps.

    panes: albedo of the side windows, front to back. sky: what roof, lids and shoulders mirror of
    the sky; dusk: how much darker the lower half of the sides is than the upper one.
    """

    paint: float
    roof: float
    trim: float
    bumper: float
    seam: float
    screen: float
    rear_screen: float
    panes: tuple[float, ...]
    pillar: float
    grille: float
    headlight: float
    tail_light: float
    plate: float
    sky: float = 0.0
    dusk: float = 1.0
    head_emission: float = 0.0
    tail_emission: float = 0.0


def both(piece: Mesh) -> Mesh:
    """Return the piece and its mirror image on the other side."""
    return merge([piece, piece.mirrored()])


def sides(profile: Profile, finish: Finish, band: float | None) -> Mesh:
    """Return the panels between the wheels and the belt; ``band``: albedo of the lower half."""
    x = profile.stations()
    points = np.array([profile.ring(float(value)) for value in x])
    cells = np.full((len(x) - 1, 3), finish.paint)
    cells[:, 0] *= finish.dusk
    cells[:, 2] = min(finish.paint + 0.6 * finish.sky, 0.92)
    emission = np.zeros_like(cells)
    if band is not None:
        cells[:, 0] = band
    middle = (x[:-1] + x[1:]) / 2
    half = profile.length / 2
    cells[middle > half - 0.3, 0] = finish.bumper
    cells[middle < -half + 0.27, 0] = finish.bumper
    lamp, tail = middle > half - 0.2, middle < -half + 0.14
    cells[lamp, 1], emission[lamp, 1] = finish.headlight, 0.5 * finish.head_emission
    cells[tail, 1], emission[tail, 1] = finish.tail_light, finish.tail_emission
    return both(grid(points, cells, emission))


def lids(profile: Profile, albedo: float, bed: float | None) -> Mesh:
    """Return bonnet and boot lid; ``bed``: albedo of a pick-up's load area instead of the lid."""
    pieces = []
    for first, last, shade in (
        (profile.length / 2, profile.cowl, albedo),
        (profile.rear_base, -profile.length / 2, albedo if bed is None else bed),
    ):
        if first - last < 0.03:
            continue
        rows = []
        for x in np.linspace(first, last, 3):
            edge = profile.ring(float(x))[_EDGE]
            crown = edge[2] + (0.035 if bed is None else 0.0)
            rows.append([edge, (x, 0.45 * edge[1], crown), (x, -0.45 * edge[1], crown), edge])
            rows[-1][3] = edge * (1, -1, 1)
        pieces.append(grid(np.array(rows), shade))
    return merge(pieces)


def _end(profile: Profile, x: float, bulge: float, rows: tuple[float, ...]) -> np.ndarray:
    """``[rows, 4, 3]`` points of the front or rear face, which bulges in the middle."""
    ring = profile.ring(x)
    height = ring[_SILL, 2] + np.array(rows) * (ring[_EDGE, 2] - ring[_SILL, 2])
    width = np.interp(height, ring[:, 2], ring[:, 1])
    across = np.array((1, 0.58, -0.58, -1))
    points = np.empty((len(rows), 4, 3))
    points[..., 0] = (
        x + bulge * (1 - across**2) * np.sin(np.pi * (0.25 + 0.5 * np.array(rows)))[:, None]
    )
    points[..., 1] = width[:, None] * across
    points[..., 2] = height[:, None]
    return points


def front(profile: Profile, finish: Finish, intake: bool, slim: float) -> Mesh:
    """Return bumper, grille, lamps and plate; ``slim``: height of the lamps, 0.1 to 0.3."""
    x = profile.length / 2
    rows = (0.0, 0.14, 0.4, 0.86 - slim, 0.88, 1.0)
    points = _end(profile, x, 0.09, rows)
    cells = np.full((5, 3), finish.paint)
    cells[:3] = finish.bumper
    cells[1, 1] = finish.trim if intake else finish.bumper
    cells[3] = finish.headlight, finish.grille, finish.headlight
    emission = np.zeros_like(cells)
    emission[3, ::2] = finish.head_emission
    z = float(points[2, 0, 2] + 0.03)
    return merge([grid(points, cells, emission), _plate(x + 0.1, z, 0.52, finish.plate)])


def rear(profile: Profile, finish: Finish, tall: float, plate_low: bool) -> Mesh:
    """Return bumper, lamps, lid and plate; ``tall``: height of the lamps, 0.15 to 0.4."""
    x = -profile.length / 2
    rows = (0.0, 0.16, 0.45, 0.92 - tall, 0.92, 1.0)
    points = _end(profile, x, -0.07, rows)
    cells = np.full((5, 3), finish.paint)
    cells[0], cells[1] = finish.trim, finish.bumper
    cells[3, ::2] = finish.tail_light
    emission = np.zeros_like(cells)
    emission[3, ::2] = finish.tail_emission
    low, high = points[1, 0, 2], points[4, 0, 2]
    z = float(low + (0.15 if plate_low else 0.65) * (high - low))
    return merge([grid(points, cells, emission), _plate(x - 0.08, z, 0.52, finish.plate)])


def _plate(x: float, z: float, wide: float, albedo: float) -> Mesh:
    half = wide / 2
    low, high = z, z + 0.115
    return quad([(x, half, low), (x, -half, low), (x, -half, high), (x, half, high)], albedo)


def greenhouse(
    profile: Profile,
    finish: Finish,
    pillars: tuple[float, ...],
    last: float,
    rear_glass: tuple[float, float],
    blind: int,
) -> Mesh:
    """
    Return pillars, panes and roof.

    Parameters
    ----------
    profile, finish:
        proportions and luminance.
    pillars:
        x of the upright pillars behind the front doors, front to back.
    last:
        width of the pillar at the rear end in metres.
    rear_glass:
        share of the height of the rear face where its glass begins and ends.
    blind:
        number of side panes that are sheet metal, counted from the rear.

    """
    base_x, roof_x, cells = [profile.cowl], [profile.screen_top], []
    base_x.append(profile.cowl - 0.07)
    roof_x.append(profile.screen_top - 0.07)
    cells.append(finish.paint)
    panes = list(finish.panes)
    for number, x in enumerate([*pillars, None]):
        glass = panes[number % len(panes)]
        if number >= len(pillars) + 1 - blind:
            glass = finish.paint
        cells.append(glass)
        if x is None:
            lean = min(0.3, 0.6 * abs(profile.roof_end - profile.rear_base))
            base_x += [max(profile.rear_base + last - lean, profile.rear_base + 0.05)]
            roof_x += [profile.roof_end + last]
        else:
            base_x += [x + 0.045, x - 0.045]
            roof_x += [x + 0.015, x - 0.065]
            cells.append(finish.pillar)
    cells.append(finish.paint)
    base_x.append(profile.rear_base)
    roof_x.append(profile.roof_end)
    levels = np.array((0.0, 0.07, 0.55, 0.9, 1.0))
    base, roof = np.array(base_x), np.array(roof_x)
    # Whatever was drawn, the columns run from front to back.
    base, roof = np.minimum.accumulate(base), np.minimum.accumulate(roof)
    edge = np.array([profile.ring(float(x))[_EDGE] for x in base])
    rail = profile.rail(roof)
    points = np.empty((len(levels), len(base), 3))
    for row, level in enumerate(levels):
        points[row, :, 0] = base + (roof - base) * level
        width = edge[:, 1] * (1 + (profile.tumble - 1) * level**1.4)
        if level == 1.0:  # rounds the edge of the roof
            width = 0.95 * width
        points[row, :, 1] = width
        points[row, :, 2] = edge[:, 2] + (rail - edge[:, 2]) * level
    shades = np.tile(np.array(cells), (4, 1))
    shades[0] = np.where(np.isin(cells, (finish.paint,)), finish.paint, finish.trim)
    shades[3] = finish.roof
    # The upper half of a pane mirrors more of the sky than the lower one.
    shades[2] = np.where(shades[2] == finish.paint, finish.paint, shades[2] * 1.25)
    pieces = [both(grid(points, np.clip(shades, 0.02, 0.95)))]
    left = points[[0, -1]]
    pieces.append(
        _screen(left[:, 0], profile.bow, finish.screen, finish.paint, finish.trim, (0.06, 0.94))
    )
    pieces.append(
        _screen(left[:, -1], -0.07, finish.rear_screen, finish.paint, finish.paint, rear_glass)
    )
    pieces.append(_roof(profile, left[1, 0], left[1, -1], min(finish.roof + finish.sky, 0.92)))
    return merge(pieces)


def _bowed(corner: np.ndarray, bow: float, crown: float, across: np.ndarray) -> np.ndarray:
    """``[columns, 3]`` from the left corner to its mirror image, bowed in the middle."""
    return np.stack(
        [
            corner[0] + bow * (1 - across**2),
            corner[1] * across,
            corner[2] + crown * (1 - across**2),
        ],
        -1,
    )


def _screen(
    edge: np.ndarray,
    bow: float,
    glass: float,
    frame: float,
    foot: float,
    span: tuple[float, float],
) -> Mesh:
    """Return windscreen or rear window between the left edge ``[2, 3]`` and its mirror image."""
    across = np.array((1, 0.9, 0.4, -0.4, -0.9, -1))
    low = _bowed(edge[0], bow, 0.0, across)
    high = _bowed(edge[1], 0.45 * bow, 0.05, across)
    rows = np.array([low + (high - low) * share for share in (0.0, *span, 1.0)])
    cells = np.full((3, 5), frame)
    cells[0] = foot
    cells[1, 1:4] = glass
    return grid(rows, cells)


def _roof(profile: Profile, start: np.ndarray, end: np.ndarray, albedo: float) -> Mesh:
    across = np.array((1, 0.5, -0.5, -1))
    rows = []
    for share, crown, bow in ((0, 0.05, 0.45 * profile.bow), (0.4, 0.06, 0.0), (1, 0.05, -0.03)):
        edge = start + (end - start) * share
        edge[2] = float(profile.rail(edge[:1])[0])
        rows.append(_bowed(edge, bow, crown, across))
    return grid(np.array(rows), albedo)


def seam(profile: Profile, x: float, albedo: float, width: float = 0.016) -> Mesh:
    """Return the gap beside a door at ``x``: a line down both sides."""
    rings = []
    for place in (x + width / 2, x - width / 2):
        ring = profile.ring(place)[[_SILL, _MIDDLE, _SHOULDER, _EDGE]]
        ring[:, 1] += 0.006
        rings.append(ring)
    return both(grid(np.array(rings), albedo))


def handle(profile: Profile, x: float, albedo: float) -> Mesh:
    """Return a door handle on both sides."""
    ring = profile.ring(x)
    y, z = ring[_SHOULDER, 1] + 0.012, ring[_SHOULDER, 2] - 0.03
    corners = [(x + 0.1, y, z), (x - 0.1, y, z), (x - 0.1, y, z + 0.035), (x + 0.1, y, z + 0.035)]
    return both(quad(corners, albedo))


def strip(
    profile: Profile, start: float, end: float, height: float, wide: float, albedo: float
) -> Mesh:
    """Return a moulding along both sides between two x at a height (share of the side)."""
    points = []
    for x in np.linspace(start, end, 3):
        ring = profile.ring(float(x))
        z = ring[_SILL, 2] + height * (ring[_EDGE, 2] - ring[_SILL, 2])
        zs = np.array((z - wide / 2, z + wide / 2))
        ys = np.interp(zs, ring[:, 2], ring[:, 1]) + 0.01
        points.append([(x, ys[0], zs[0]), (x, ys[1], zs[1])])
    return both(grid(np.array(points), albedo))


def underbody(profile: Profile, albedo: float = 0.02) -> Mesh:
    """Return the dark tub that closes the body below and behind the wheels."""
    x = np.array((0.5 * profile.length - 0.2, profile.cowl - 0.1, -0.5 * profile.length + 0.2))
    half = profile.width / 2 - 0.24
    low = profile.clearance + 0.02
    high = np.array([profile.top(float(at)) - 0.12 for at in x])
    rows = [np.stack([x, np.full(3, half), z], -1) for z in (high, np.full(3, low))]
    floor = [rows[1], rows[1] * (1, -1, 1)]
    return merge([both(grid(np.array(rows), albedo)), grid(np.array(floor), albedo)])


def mirrors(profile: Profile, albedo: float) -> Mesh:
    """Return the two outside mirrors."""
    x, y = profile.cowl - 0.22, profile.ring(profile.cowl - 0.22)[_EDGE, 1]
    return both(box((0.12, 0.2, 0.14), (x, y + 0.11, profile.belt + 0.1), albedo))


def wheel(
    radius: float,
    width: float,
    spokes: int,
    tyre: float,
    rim: float,
    gap: float,
    rim_share: float = 0.68,
) -> Mesh:
    """
    Return a wheel about the y axis, its outer face at y = width / 2.

    tyre, rim, gap: albedo of the rubber, of the spokes and of what is seen between them.
    """
    sides = 2 * spokes
    angle = 2 * np.pi * np.arange(sides) / sides
    round_ = np.stack([np.cos(angle), np.zeros(sides), np.sin(angle)], -1)
    out = np.array((0.0, width / 2, 0.0))
    points = np.concatenate(
        [
            round_ * radius - out,
            round_ * radius + out,
            round_ * radius * rim_share + out,
            [out * 0.8],
        ]
    )
    here = np.arange(sides)
    then = (here + 1) % sides
    quads = []
    for first, second in ((0, sides), (sides, 2 * sides)):
        quads += [
            np.stack([first + here, first + then, second + then], -1),
            np.stack([first + here, second + then, second + here], -1),
        ]
    hub = np.stack([2 * sides + here, 2 * sides + then, np.full(sides, 3 * sides)], -1)
    albedo = np.concatenate([np.full(4 * sides, tyre), np.where(here % 2 == 0, rim, gap)])
    return assemble(points, np.concatenate([*quads, hub]), albedo)


def paint(rng: np.random.Generator) -> float:
    """Return the albedo of a car as often as such cars are seen: black, greys, white."""
    low, high = ((0.02, 0.06), (0.06, 0.16), (0.16, 0.4), (0.4, 0.65), (0.7, 0.92))[
        rng.choice(5, p=(0.2, 0.2, 0.2, 0.2, 0.2))
    ]
    return float(rng.uniform(low, high))


def glass(rng: np.random.Generator) -> float:
    """Return the albedo of a pane: mostly dark, else it mirrors the sky or a wall."""
    if rng.random() < 0.7:
        return float(rng.uniform(0.02, 0.12))
    return float(rng.uniform(0.12, 0.75))


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
    return motion([placed(turn, (0, 0, 0.4), now)], float(rng.uniform(5, 8)) * length)
