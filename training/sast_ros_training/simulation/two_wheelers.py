# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Two-wheelers with their riders: bicycles, motorcycles, mopeds and kick scooters."""

from __future__ import annotations

import numpy as np
from sast_ros_training.simulation.body import Body, RiggedBody, Skin
from sast_ros_training.simulation.car_body import springs
from sast_ros_training.simulation.human_body import cloth, HumanBody, PARTS, Postures
from sast_ros_training.simulation.mesh import grid, loft, merge, Mesh, quad, Values
from sast_ros_training.simulation.rig import Clock, full_turn, motion, placed, rolling, rotation
from sast_ros_training.simulation.shapes import box, disc, ellipsoid, ring, tube, wheel_circle

TWO_WHEELER = 1

_STEPS = 48
_MIRROR = np.array((1, -1, 1))


def make_cyclist(rng: np.random.Generator, lights: bool = False) -> Body:
    """Return a bicycle and its rider: city, trekking, racing, mountain or child's bicycle."""
    rider = _make_rider(rng, 0.6, 0.45)
    rider.skirt = None
    bike = _Bicycle(rng, rider.hip)
    skin = Skin(more=4 + PARTS)
    bike.add_to(skin, lights)
    rider.add_to(skin, 4)
    sways = springs(rng, 4.0, 0.7)
    rolls = [rolling([centre], bike.radius, rng.random()) for centre in bike.axles]
    cadence = bike.radius * 2 * np.pi * rng.uniform(1.6, 3.0)
    if rng.random() < 0.15:  # freewheeling
        cadence = 1e6
    offset = rng.random()
    crank = placed(rotation(1, full_turn(_STEPS)), bike.bracket)
    motions = [sways, *rolls, motion([crank], cadence, offset=offset)]
    motions.append(motion(rider.pose(bike.postures(rng, rider)), cadence, offset=offset))
    return RiggedBody(skin, motions, TWO_WHEELER, (2.0, 8.0))


def make_parked_bicycle(rng: np.random.Generator) -> Body:
    """Return a bicycle without a rider, as a distractor."""
    bike = _Bicycle(rng, rng.uniform(0.8, 0.95))
    skin = Skin(more=4)
    bike.add_to(skin, False)
    return Body(skin.finish()[0])


def make_motorcyclist(rng: np.random.Generator, lights: bool = False) -> Body:
    """Return a motorcycle and its rider: naked, sports, touring or off-road machine."""
    return _ridden(rng, lights, _Motorcycle(rng))


def make_scooter(rng: np.random.Generator, lights: bool = False) -> Body:
    """Return a moped (motor scooter) or a kick scooter, electric or pushed, and its rider."""
    return _ridden(rng, lights, _Moped(rng)) if rng.random() < 0.45 else _kick_scooter(rng, lights)


def _make_rider(rng: np.random.Generator, summer: float, helmets: float) -> HumanBody:
    child = rng.random() < 0.1
    height = rng.uniform(1.15, 1.5) if child else np.clip(rng.normal(1.73, 0.08), 1.52, 1.95)
    rider = HumanBody(rng, float(height), summer)
    if rng.random() < helmets:
        rider.helmet = cloth(rng)
    return rider


def _hold_grips(
    rng: np.random.Generator, postures: Postures, rider: HumanBody, grip: np.ndarray
) -> None:
    """Lean the trunk so that the arms reach the grips a little bent, and hold them."""
    reach = rng.uniform(0.86, 0.95) * (rider.arm + rider.forearm)
    lean = np.linspace(0.0, 1.3, 60)
    hip = postures.hips[0]
    shoulder = hip[[0, 2]] + rider.trunk * np.stack([np.sin(lean), np.cos(lean)], -1)
    wide = grip[1] - rider.shoulder_width
    distance = np.sqrt(((shoulder - grip[[0, 2]]) ** 2).sum(-1) + wide**2)
    postures.lean[:] = lean[np.argmin(np.abs(distance - reach))]
    postures.nod[:] = 0.35 * postures.lean + rng.uniform(-0.1, 0.2)
    postures.look[:] = rng.uniform(-0.3, 0.3)
    hand = grip + (-0.02, 0, 0.05)
    postures.hands = np.repeat(np.stack([hand, hand * _MIRROR])[:, None], len(postures.hips), 1)


def _spokes(middle: np.ndarray, ends: np.ndarray, half_width: float, albedo: float) -> list[Mesh]:
    """Return spokes from the middle to ends ``[N, 3]`` that divide the turn evenly."""
    angle = full_turn(len(ends))
    across = np.stack([-np.sin(angle), 0 * angle, np.cos(angle)], -1) * half_width
    return [
        quad([middle - side, middle + side, end + side, end - side], albedo)
        for side, end in zip(across, ends, strict=True)
    ]


def _handlebar(grip: np.ndarray, middle: Values, thick: float, albedo: float) -> Mesh:
    return tube([grip, middle, grip * _MIRROR], thick, 4, albedo)


def _mudguard(
    axle: tuple[float, float, float], out: float, half: float, span: tuple, albedo: float
) -> Mesh:
    """Return an arc around a wheel: radius, half width, angles ``(start, end, points)``."""
    turn = np.linspace(*span)
    x, _, z = axle
    arc = np.stack([x + out * np.cos(turn), 0 * turn, z + out * np.sin(turn)], -1)
    return grid(np.stack([arc + (0, half, 0), arc - (0, half, 0)], 1), albedo)


class _Bicycle:
    """
    A bicycle: where its wheels, pedals, saddle and grips are, and its mesh.

    hip: height of the rider's hip joints when standing, which the frame is made for.
    """

    def __init__(self, rng: np.random.Generator, hip: float) -> None:
        draw = rng.uniform
        self._rng = rng
        self.kind = rng.choice(('city', 'race', 'mountain'), p=(0.5, 0.25, 0.25))
        small = float(np.clip(hip / 0.9, 0.6, 1.05))
        self.radius = draw(0.32, 0.36) * min(1.0, 0.25 + 0.75 * small)
        base = draw(1.0, 1.12) * small
        self.axles = [(base * 0.56, 0.0, self.radius), (-base * 0.44, 0.0, self.radius)]
        self.bracket = (-0.02, 0.0, self.radius - 0.05)
        self.arm = 0.17 * small
        rise = draw(0.9, 1.02) * hip * 0.78
        angle = draw(1.22, 1.32)
        x, _, z = self.bracket
        self.saddle = np.array((x - rise * np.cos(angle) * 0.9, 0, z + rise * np.sin(angle)))
        reach, up, half = {
            'city': ((0.42, 0.5), (0.12, 0.28), 0.28),
            'race': ((0.62, 0.72), (-0.08, 0.02), 0.2),
            'mountain': ((0.52, 0.6), (0.0, 0.08), 0.33),
        }[self.kind]
        self.grip = self.saddle + (draw(*reach) * small, half * small, draw(*up))

    def add_to(self, skin: Skin, lights: bool) -> None:
        """Add the bicycle: frame on part 0, wheels on 1 and 2, cranks on 3."""
        rng = self._rng
        paint, tyre = cloth(rng), rng.uniform(0.02, 0.06)
        shade = rng.choice((0.7, 0.4, 0.06))
        wall = tyre if rng.random() < 0.65 else shade
        thick = 0.026 if self.kind == 'mountain' else rng.uniform(0.013, 0.02)
        for number, centre in enumerate(self.axles, 1):
            skin.add(_bicycle_wheel(centre, self.radius, (tyre, wall, shade), thick), number)
        skin.add(merge(self._frame(paint, lights)), 0)
        x, _, z = self.bracket
        cranks = [ring(self.bracket, (0, 1, 0), 0.03, 0.09, 8, rng.choice((0.05, 0.5)))]
        for sign in (1, -1):
            end = (x + sign * self.arm, sign * 0.12, z)
            cranks.append(tube([(x, sign * 0.08, z), end], 0.012, 3, 0.4))
            cranks.append(box((0.09, 0.09, 0.025), (end[0], sign * 0.15, z), 0.06))
        skin.add(merge(cranks), 3)

    def _frame(self, paint: float, lights: bool) -> list[Mesh]:
        rng = self._rng
        (fx, _, fz), (rx, _, rz) = self.axles
        bracket, saddle, grip = np.array(self.bracket), self.saddle, self.grip
        head = np.array((0.0, 0.0, max(fz + self.radius + 0.12, saddle[2] - 0.2)))
        head[0] = fx - 0.17 - 0.3 * (head[2] - fz - self.radius)
        low_head = head + (0.04, 0, -0.13)
        seat = saddle + 0.25 * (bracket - saddle)
        step = rng.random() < (0.4 if self.kind == 'city' else 0.05)
        thick = rng.uniform(0.014, 0.024)
        top = bracket + 0.45 * (seat - bracket) if step else seat
        tubes: list[tuple[Values, Values, float, int]] = [
            (head, low_head, thick, 4),
            (top, low_head if step else head, thick, 4),
            (bracket, low_head, thick, 4),
            (bracket, saddle - (0, 0, 0.06), thick, 4),
        ]
        for y in (0.05, -0.05):
            tubes.append((low_head, (fx, y, fz), 0.6 * thick, 3))
            tubes.append((bracket, (rx, y, rz), 0.5 * thick, 3))
            tubes.append((seat, (rx, y, rz), 0.5 * thick, 3))
        pieces = [
            tube([start, end], radius, sides, paint, caps=(False, False))
            for start, end, radius, sides in tubes
        ]
        dark = rng.uniform(0.02, 0.1)
        pieces.append(box((0.26, 0.15, 0.06), saddle - (0.0, 0, 0.03), dark, 0.0, 0.8))
        stem = np.array((grip[0] - 0.02, 0.0, grip[2]))
        pieces.append(tube([head, stem], 0.015, 4, rng.choice((0.05, 0.5))))
        middle = stem + (0.04, 0, 0) if self.kind == 'race' else stem
        pieces.append(_handlebar(grip, middle, 0.014, dark))
        if self.kind == 'city':
            pieces += self._fittings()
        if lights:
            pieces.append(box((0.03, 0.06, 0.06), (head[0] + 0.1, 0, head[2]), 0.9, 3.0))
        return pieces

    def _fittings(self) -> list[Mesh]:
        """Mudguards, carrier, basket, child seat."""
        rng, shade = self._rng, cloth(self._rng)
        pieces = [
            _mudguard(axle, self.radius + 0.025, 0.03, (*span, 5), shade)
            for axle, span in zip(self.axles, ((0.2, 2.2), (0.9, 3.1)), strict=True)
        ]
        rx, _, rz = self.axles[1]
        top = rz + self.radius + 0.06
        chance = rng.random()
        pieces.append(box((0.38, 0.12, 0.02), (rx + 0.05, 0, top), 0.1))
        if chance < 0.2:
            size = rng.uniform((0.3, 0.25, 0.2), (0.4, 0.4, 0.35))
            pieces.append(box(size, (rx, 0, top + size[2] / 2), cloth(rng), 0.0, 1.1))
        elif chance < 0.35:
            for y in (0.17, -0.17):
                pieces.append(box((0.32, 0.13, 0.33), (rx, y, top - 0.18), cloth(rng)))
        elif chance < 0.42:
            pieces.append(box((0.2, 0.28, 0.5), (rx - 0.05, 0, top + 0.3), cloth(rng)))
            pieces.append(ellipsoid((rx + 0.06, 0, top + 0.58), (0.12, 0.1, 0.13), 6, 4, 0.5))
        if rng.random() < 0.25:
            x, z = self.grip[0] + 0.2, self.grip[2] - 0.1
            pieces.append(box((0.26, 0.34, 0.24), (x, 0, z), cloth(rng), 0.0, 1.15))
        return pieces

    def postures(self, rng: np.random.Generator, rider: HumanBody) -> Postures:
        """Return the rider's postures over one turn of the pedals."""
        made = Postures(rider, _STEPS)
        turn = full_turn(_STEPS)
        x, _, z = self.bracket
        for side, sign in enumerate((1, -1)):
            made.balls[side, :, 0] = x + sign * self.arm * np.cos(turn)
            made.balls[side, :, 1] = sign * 0.13
            # Clockwise seen from the right: the pedal in front goes down.
            made.balls[side, :, 2] = z - sign * self.arm * np.sin(turn) + 0.02
            made.pitch[side] = -0.25 - 0.2 * np.sin(turn) * sign
        made.hips[:] = self.saddle + (0.02, 0, 0.06 * rider.height / 1.7 + 0.02)
        made.hips[:, 1] += 0.008 * np.sin(turn)
        _hold_grips(rng, made, rider, self.grip)
        return made


def _bicycle_wheel(
    centre: Values, radius: float, albedo: tuple[float, float, float], thick: float
) -> Mesh:
    """Return a wheel about the y axis; albedo of the tyre's tread and wall, and of the spokes."""
    middle, around = np.asarray(centre, float), wheel_circle(14)
    tyre, wall, shade = albedo
    left, right, inner = (
        middle + around * (radius - inside) + (0, y, 0)
        for inside, y in ((0.3 * thick, thick), (0.3 * thick, -thick), (2 * thick, 0))
    )
    ends = middle + wheel_circle(7) * (radius - 1.6 * thick)
    return merge(
        [
            loft([inner, left, right], np.array([[wall], [tyre]]), caps=(False, False)),
            loft([inner, right], wall, caps=(False, False)),
            *_spokes(middle, ends, 0.006, shade),
            disc(middle, (0, 1, 0), 0.035, 6, shade),
        ]
    )


def _thick_wheel(
    rng: np.random.Generator, centre: Values, radius: float, width: float, tyre_share: float
) -> Mesh:
    """Return a motorcycle's wheel about the y axis: fat tyre, spokes, brake disc."""
    middle, around, half = np.asarray(centre, float), wheel_circle(12), width / 2
    inner = tyre_share * radius
    sections = [
        middle + around * r + (0, y * half, 0)
        for r, y in ((inner, 0.8), (radius, 0.55), (radius, -0.55), (inner, -0.8))
    ]
    rim = rng.choice((0.65, 0.35, 0.06))
    return merge(
        [
            loft(sections, rng.uniform(0.02, 0.05), caps=(False, False)),
            ring(middle, (0, 1, 0), 0.85 * tyre_share * radius, inner, 12, rim),
            *_spokes(middle, middle + wheel_circle(5) * 0.9 * tyre_share * radius, 0.02, rim),
            ring(middle + (0, half, 0), (0, 1, 0), 0.04, 0.42 * radius, 8, 0.5),
        ]
    )


def _ridden(rng: np.random.Generator, lights: bool, machine: _Motorcycle | _Moped) -> Body:
    """Return a machine with its rider."""
    rider = HumanBody(rng, float(np.clip(rng.normal(1.75, 0.07), 1.55, 1.95)), 0.3)
    rider.skirt, rider.leg, rider.helmet = None, 1.0, cloth(rng)
    rider.girth = max(1.1, rider.girth)
    if isinstance(machine, _Motorcycle):
        rider.skin = 0.05  # gloves
    skin = Skin([merge(machine.pieces(lights)), *machine.wheels()], PARTS)
    rider.add_to(skin, 3)
    made = Postures(rider, 24)
    way = full_turn(24)
    made.hips[:] = machine.hips + (0, 0, 0.05)
    made.hips[:, 1] += 0.01 * np.sin(way)
    made.balls[0], made.balls[1] = machine.foot, machine.foot * _MIRROR
    made.knees[0], made.knees[1] = (1, 0.3, 0.2), (1, -0.3, 0.2)
    _hold_grips(rng, made, rider, machine.grip)
    made.look += 0.15 * np.sin(way + 1)
    sits = motion(rider.pose(made), rng.uniform(2, 5), 'seconds', rng.random())
    rolls = [
        rolling([centre], radius, rng.random())
        for centre, radius in zip(machine.axles, machine.radii, strict=True)
    ]
    motions = [springs(rng, 4.0), *rolls, sits]
    return RiggedBody(skin, motions, TWO_WHEELER, (2.0, 16.0))


class _Motorcycle:
    """
    Tank, seat and engine between two large wheels.

    axles, radii: of the two wheels; hips, grip, foot: where hips, left hand and left foot are.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        draw = rng.uniform
        self._rng = rng
        self.kind = rng.choice(('naked', 'sports', 'touring', 'enduro'))
        base = draw(1.36, 1.55)
        self.radii = front, back = draw(0.29, 0.33), draw(0.29, 0.32)
        self.axles = [(0.52 * base, 0.0, front), (-0.48 * base, 0.0, back)]
        seat = draw(0.76, 0.9) + (0.05 if self.kind == 'enduro' else 0)
        self.hips = np.array((-0.18, 0.0, seat))
        rise, reach, foot = {
            'naked': (0.24, 0.6, 0.0),
            'sports': (0.05, 0.68, -0.22),
            'touring': (0.3, 0.55, 0.15),
            'enduro': (0.3, 0.58, -0.02),
        }[self.kind]
        self.grip = np.array((-0.18 + reach, 0.34, seat + rise + draw(-0.03, 0.05)))
        self.foot = np.array((foot + 0.05, 0.17, 0.36))

    def wheels(self) -> list[Mesh]:
        """Return front and rear wheel."""
        width = self._rng.uniform(0.1, 0.14)
        wide = width * self._rng.uniform(1, 1.5)
        return [
            _thick_wheel(self._rng, centre, radius, each, 0.72)
            for centre, radius, each in zip(self.axles, self.radii, (width, wide), strict=True)
        ]

    def pieces(self, lights: bool) -> list[Mesh]:
        """Return everything but the wheels."""
        rng = self._rng
        paint, dark = cloth(rng), rng.uniform(0.02, 0.08)
        metal = rng.choice((0.08, 0.4, 0.6))
        (fx, _, fz), (rx, _, rz) = self.axles
        seat, grip = self.hips[2] - 0.02, self.grip
        head = np.array((fx - 0.28, 0.0, seat + 0.08))
        plate = [(-0.8, 0.1, 0.55), (-0.8, -0.1, 0.55), (-0.76, -0.1, 0.7), (-0.76, 0.1, 0.7)]
        pieces = [
            box((0.5, 0.34, 0.36), (0.08, 0, 0.45), metal, 0.0, 0.85),
            box((0.36, 0.24, 0.16), (0.1, 0, 0.27), dark),
            self._tank(paint, seat),
            box((0.6, 0.26, 0.08), (-0.28, 0, seat - 0.03), dark, 0.0, 0.85),
            box((0.42, 0.18, 0.13), (-0.5, 0, seat - 0.1), paint, 0.0, 1.1),
            box((0.06, 0.14, 0.07), (-0.74, 0, seat - 0.08), 0.2, 0.5 if lights else 0.0),
            quad(plate, 0.7),
        ]
        for y in (0.1, -0.1):
            pieces.append(tube([head + (0, y, 0.05), (fx, y, fz)], 0.028, 4, metal))
            pieces.append(tube([(0.0, y, 0.36), (rx, y, rz)], 0.035, 4, dark))
            pieces.append(tube([(-0.1, y, seat - 0.1), (0.05, y, 0.4)], 0.025, 3, dark))
        pipe = [(0.25, -0.14, 0.3), (-0.2, -0.16, 0.26), (rx - 0.1, -0.18, rz + 0.14)]
        pieces.append(tube(pipe, (0.03, 0.04, 0.06), 5, rng.choice((0.6, 0.3, 0.05))))
        pieces.append(_handlebar(grip, (grip[0] + 0.06, 0, grip[2] - 0.04), 0.018, dark))
        pieces += [
            _mudguard(axle, radius + 0.03, half, (0.35, 2.3, 4), paint)
            for axle, radius, half in zip(self.axles, self.radii, (0.07, 0.09), strict=True)
        ]
        lamp = np.array((fx - 0.12, 0.0, seat + 0.05))
        glow = 4.0 if lights or rng.random() < 0.5 else 0.0
        if self.kind in ('sports', 'touring'):
            pieces += self._fairing(paint, lamp, glow)
        else:
            pieces.append(ellipsoid(lamp, (0.09, 0.1, 0.1), 6, 4, dark))
            pieces.append(box((0.03, 0.15, 0.15), lamp + (0.09, 0, 0), 0.8, glow))
        mirror = grip[0] + 0.1, grip[2] + 0.16
        pieces += [box((0.03, 0.13, 0.08), (mirror[0], y, mirror[1]), dark) for y in (0.32, -0.32)]
        if self.kind == 'touring' or rng.random() < 0.15:
            pieces.append(box((0.4, 0.45, 0.32), (-0.68, 0, seat + 0.18), paint, 0.0, 0.85))
        if self.kind == 'touring' and rng.random() < 0.6:
            pieces += [box((0.5, 0.18, 0.32), (-0.6, y, seat - 0.22), paint) for y in (0.3, -0.3)]
        return pieces

    def _tank(self, paint: float, seat: float) -> Mesh:
        sections = []
        for x, half, low, high in (
            (-0.05, 0.1, -0.05, 0.03),
            (0.1, 0.16, -0.1, 0.16),
            (0.3, 0.17, -0.1, 0.2),
            (0.46, 0.1, -0.02, 0.1),
        ):
            low, high = seat + low, seat + high
            left = [(x, half, low), (x, half, 0.4 * low + 0.6 * high), (x, 0.4 * half, high)]
            sections.append(left + [(x, -y, z) for x, y, z in left[::-1]])
        return loft(sections, paint)

    def _fairing(self, paint: float, lamp: np.ndarray, glow: float) -> list[Mesh]:
        x, _, z = lamp
        nose = [
            [(x + 0.2, 0.07, z - 0.02), (x + 0.22, 0.0, z - 0.02), (x + 0.2, -0.07, z - 0.02)],
            [(x - 0.02, 0.2, z + 0.1), (x + 0.12, 0.0, z + 0.12), (x - 0.02, -0.2, z + 0.1)],
            [(x - 0.15, 0.19, z + 0.34), (x - 0.05, 0.0, z + 0.36), (x - 0.15, -0.19, z + 0.34)],
        ]
        side = [
            [(x + 0.2, 0.08, z - 0.02), (x - 0.02, 0.21, z + 0.1), (x - 0.3, 0.2, z)],
            [(x - 0.02, 0.13, z - 0.3), (x - 0.2, 0.2, z - 0.45), (x - 0.5, 0.19, z - 0.4)],
        ]
        cheek, glass = grid(side, paint), self._rng.choice((0.1, 0.5))
        light = box((0.03, 0.24, 0.07), (x + 0.17, 0, z + 0.03), 0.8, glow)
        return [grid(nose, np.array([[paint], [glass]])), cheek, cheek.mirrored(), light]


class _Moped:
    """A shield in front of the legs, small wheels; attributes as of ``_Motorcycle``."""

    def __init__(self, rng: np.random.Generator) -> None:
        draw = rng.uniform
        self._rng = rng
        radius, base = draw(0.2, 0.27), draw(1.2, 1.4)
        self.radii = radius, radius
        self.axles = [(0.52 * base, 0.0, radius), (-0.48 * base, 0.0, radius)]
        seat = draw(0.72, 0.8)
        self.hips = np.array((-0.3, 0.0, seat))
        self.grip = np.array((0.52 * base - 0.33, 0.31, seat + draw(0.22, 0.32)))
        self.foot = np.array((0.2, 0.13, 0.31))

    def wheels(self) -> list[Mesh]:
        """Return front and rear wheel."""
        return [_thick_wheel(self._rng, axle, self.radii[0], 0.11, 0.62) for axle in self.axles]

    def pieces(self, lights: bool) -> list[Mesh]:
        """Return everything but the wheels."""
        rng = self._rng
        paint, dark = cloth(rng), rng.uniform(0.02, 0.08)
        (fx, _, fz), (rx, _, rz) = self.axles
        seat, grip = self.hips[2] - 0.02, self.grip
        head = np.array((grip[0] + 0.05, 0.0, grip[2] - 0.1))
        x, z = head[0] + 0.02, head[2] - 0.03
        shield = [
            [(x, 0.12, z), (head[0] + 0.1, 0, z), (x, -0.12, z)],
            [(fx - 0.24, 0.22, 0.62), (fx - 0.1, 0, 0.64), (fx - 0.24, -0.22, 0.62)],
            [(fx - 0.34, 0.17, 0.28), (fx - 0.28, 0, 0.28), (fx - 0.34, -0.17, 0.28)],
        ]
        tail = [
            [(x, half, low), (x, 0.8 * half, high), (x, -0.8 * half, high), (x, -half, low)]
            for x, half, low, high in (
                (-0.05, 0.15, 0.3, seat - 0.1),
                (-0.3, 0.2, 0.32, seat - 0.06),
                (-0.6, 0.19, 0.4, seat - 0.04),
                (-0.82, 0.08, 0.55, seat - 0.08),
            )
        ]
        plate = [(-0.86, 0.1, 0.4), (-0.86, -0.1, 0.4), (-0.84, -0.1, 0.54), (-0.84, 0.1, 0.54)]
        glow = 3.0 if lights or rng.random() < 0.4 else 0.0
        pieces = [
            grid(shield, paint),
            loft(tail, paint),
            box((0.62, 0.32, 0.08), (0.2, 0, 0.27), dark),
            box((0.68, 0.28, 0.1), (-0.4, 0, seat), rng.choice((0.03, 0.3)), 0.0, 0.85),
            tube([head, (fx, 0.08, fz)], 0.035, 4, dark),
            box((0.36, 0.16, 0.1), (fx + 0.02, 0, fz + self.radii[0] + 0.04), paint, 0.0, 0.6),
            _handlebar(grip, head + (0.02, 0, 0.08), 0.02, dark),
            box((0.14, 0.2, 0.16), head + (0.06, 0, 0.06), paint, 0.0, 0.8),
            box((0.02, 0.13, 0.1), head + (0.13, 0, 0.05), 0.85, glow),
            box((0.04, 0.16, 0.08), (-0.84, 0, seat - 0.18), 0.15, 0.5 if lights else 0.0),
            quad(plate, 0.75),
            tube([(-0.2, -0.17, 0.22), (rx - 0.15, -0.19, rz + 0.05)], 0.05, 5, 0.15),
        ]
        for y in (0.28, -0.28):
            pieces.append(box((0.03, 0.11, 0.1), grip * (1, 0, 1) + (0.05, y, 0.2), dark))
        if rng.random() < 0.3:
            size = rng.uniform((0.35, 0.38, 0.28), (0.5, 0.5, 0.5))
            pieces.append(box(size, (-0.8, 0, seat + 0.08 + size[2] / 2), cloth(rng)))
        return pieces


def _kick_scooter(rng: np.random.Generator, lights: bool) -> Body:
    rider = _make_rider(rng, 0.5, 0.3)
    electric = rider.height > 1.5 and rng.random() < 0.75
    radius = rng.uniform(0.1, 0.14) if electric else rng.uniform(0.07, 0.1)
    half = rng.uniform(0.4, 0.48) * (rider.height / 1.73) ** 0.5
    axles = [(half + 0.05, 0.0, radius), (-half, 0.0, radius)]
    deck = radius + 0.05
    top = deck + 0.55 * rider.height
    paint, dark = cloth(rng), rng.uniform(0.02, 0.08)
    grip = np.array((half - 0.12, 0.24, top))
    pieces = [
        box((1.5 * half, 0.16, 0.06), (-0.1 * half, 0, deck - 0.03), dark),
        tube([(half, 0, radius + 0.06), (half - 0.1, 0, top)], 0.025, 5, paint),
        tube([grip, grip * _MIRROR], 0.017, 4, dark),
        box((0.3, 0.1, 0.02), (-half, 0, 2 * radius + 0.02), paint),
        box((0.12, 0.08, 0.02), (half + 0.05, 0, 2 * radius + 0.02), paint),
        box((0.03, 0.05, 0.05), (half - 0.06, 0, top - 0.1), 0.8, 3.0 if lights else 0.0),
    ]
    wheels = [_thick_wheel(rng, centre, radius, 0.06, 0.6) for centre in axles]
    skin = Skin([merge(pieces), *wheels], PARTS)
    rider.add_to(skin, 3)
    made, period, clock = (_riding if electric else _kicking)(rng, rider, deck)
    _hold_grips(rng, made, rider, grip)
    rides = motion(rider.pose(made), period, clock, rng.random())
    motions = [springs(rng, 1.5, 0.5), *(rolling([axle], radius) for axle in axles), rides]
    return RiggedBody(skin, motions, TWO_WHEELER, (2.0, 6.0) if electric else (1.5, 3.5))


def _riding(
    rng: np.random.Generator, rider: HumanBody, deck: float
) -> tuple[Postures, float, Clock]:
    """Return postures on an electric scooter: both feet on the deck, swaying; and their period."""
    made, way = Postures(rider, 24), full_turn(24)
    made.balls[0] = (0.2, 0.04, deck)
    made.balls[1] = (-0.12, -0.05, deck)
    made.hips[:, 0] = -0.05 + 0.015 * np.sin(way)
    made.hips[:, 1] = 0.02 * np.sin(2 * way + 1)
    made.hips[:, 2] += deck - 0.02 - 0.02 * np.abs(np.sin(way))
    return made, rng.uniform(2, 5), 'seconds'


def _kicking(
    rng: np.random.Generator, rider: HumanBody, deck: float
) -> tuple[Postures, float, Clock]:
    """Return postures on a kick scooter: one leg pushes the ground back, then swings ahead."""
    made, phase = Postures(rider, _STEPS), np.arange(_STEPS) / _STEPS
    period = rng.uniform(1.6, 2.6) * rider.height / 1.5
    made.balls[0] = (0.12, 0.0, deck)
    x = np.interp(phase, (0, 0.3, 0.45, 0.95, 1), (0.35, 0.35 - 0.3 * period, -0.35, 0.3, 0.35))
    z = np.interp(phase, (0, 0.3, 0.45, 0.7, 0.95, 1), (0, 0, 0.25, 0.2, 0.08, 0))
    made.balls[1] = np.stack([x, np.full(_STEPS, -0.13), z], -1)
    made.pitch[1] = np.interp(phase, (0, 0.15, 0.3, 0.45, 0.9, 1), (0, 0, -0.7, -0.5, 0.1, 0))
    made.hips[:, 0] = 0.02
    wave = np.cos(2 * np.pi * (phase - 0.65))
    made.hips[:, 2] += deck - 0.05 * rider.height * (0.7 - 0.5 * wave)
    return made, period, 'distance'
