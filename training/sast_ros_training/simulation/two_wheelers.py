"""Two-wheelers with their riders: bicycles, motorcycles, mopeds and kick scooters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Literal

import numpy as np
from sast_ros_training.simulation import human_body
from sast_ros_training.simulation.car_body import springs
from sast_ros_training.simulation.human_body import Bones
from sast_ros_training.simulation.mesh import (
    Body,
    box,
    disc,
    ellipsoid,
    grid,
    loft,
    merge,
    Mesh,
    quad,
    ring,
    tube,
    Values,
)
from sast_ros_training.simulation.rig import motion, placed, RiggedBody, rolling, rotation, Skin

TWO_WHEELER = 1

_STEPS = 48

#: Postures, after how much of what they repeat.
_Ride = tuple[human_body.Pose, float, Literal['distance', 'seconds']]


def make_cyclist(rng: np.random.Generator, lights: bool = False) -> Body:
    """Return a bicycle and its rider: city, trekking, racing, mountain or child's bicycle."""
    bones = _rider_bones(rng)
    clothes = human_body.make_clothes(rng, 0.6)
    if rng.random() < 0.45:
        clothes = replace(clothes, helmet=human_body.cloth(rng))
    if clothes.skirt is not None:
        clothes = replace(clothes, skirt=None)
    bike = _Bicycle(rng, bones.hip)
    skin = Skin(4 + human_body.PARTS)
    bike.add(skin, lights)
    human_body.dress(skin, bones, clothes, 4)
    sways = springs(rng, 4.0, 0.7)
    rolls = [rolling([centre], bike.radius, float(rng.random())) for centre in bike.axles]
    cadence = bike.radius * 2 * np.pi * float(rng.uniform(1.6, 3.0))
    if rng.random() < 0.15:  # freewheeling
        cadence = 1e6
    offset = float(rng.random())
    crank = rotation(1, 2 * np.pi * np.arange(_STEPS) / _STEPS)
    cranks = motion([placed(crank, bike.bracket, bike.bracket)], cadence, offset=offset)
    rider = motion(human_body.pose(bones, bike.seat(rng, bones)), cadence, offset=offset)
    return RiggedBody(skin, [sways, *rolls, cranks, rider], TWO_WHEELER, (2.0, 8.0))


def make_parked_bicycle(rng: np.random.Generator, class_id: int | None = None) -> Body:
    """Return a bicycle without a rider, as a distractor or with the class that is given."""
    bike = _Bicycle(rng, float(rng.uniform(0.8, 0.95)))
    skin = Skin(4)
    bike.add(skin, False)
    mesh, _ = skin.finish()
    return Body(mesh, class_id)


def _rider_bones(rng: np.random.Generator) -> Bones:
    child = rng.random() < 0.1
    height = float(
        rng.uniform(1.15, 1.5) if child else np.clip(rng.normal(1.73, 0.08), 1.52, 1.95)
    )
    return human_body.make_bones(rng, height)


def _spoked(
    centre: Values, radius: float, tyre: float, wall: float, shade: float, thick: float
) -> Mesh:
    """Return a bicycle wheel about the y axis: tread and wall of the tyre, rim, a few spokes."""
    middle = np.asarray(centre, float)
    sides = 14
    angle = 2 * np.pi * np.arange(sides) / sides
    around = np.stack([np.cos(angle), 0 * angle, np.sin(angle)], -1)
    left, right, inner = (
        middle + around * (radius - inside) + (0, y, 0)
        for inside, y in ((0.3 * thick, thick), (0.3 * thick, -thick), (2 * thick, 0))
    )
    pieces = [
        loft([inner, left, right], np.array([[wall], [tyre]]), caps=(False, False)),
        loft([inner, right], wall, caps=(False, False)),
    ]
    for number in range(7):
        turn = 2 * np.pi * number / 7
        out = np.array((np.cos(turn), 0, np.sin(turn)))
        side = np.array((-np.sin(turn), 0, np.cos(turn))) * 0.006
        far = middle + out * (radius - 1.6 * thick)
        pieces.append(quad([middle - side, middle + side, far + side, far - side], shade))
    pieces.append(disc(middle, (0, 1, 0), 0.035, 6, shade))
    return merge(pieces)


class _Bicycle:
    """
    A bicycle: where its wheels, pedals, saddle and grips are, and its mesh.

    hip: height of the rider's hip joints when standing, which the frame is made for.
    """

    def __init__(self, rng: np.random.Generator, hip: float) -> None:
        draw = rng.uniform
        self._rng = rng
        self.kind = str(rng.choice(('city', 'race', 'mountain'), p=(0.5, 0.25, 0.25)))
        small = float(np.clip(hip / 0.9, 0.6, 1.05))
        self.radius = float(draw(0.32, 0.36)) * min(1.0, 0.25 + 0.75 * small)
        base = float(draw(1.0, 1.12)) * small
        self.axles = [(base * 0.56, 0.0, self.radius), (-base * 0.44, 0.0, self.radius)]
        self.bracket = (-0.02, 0.0, self.radius - 0.05)
        self.arm = 0.17 * small
        rise = float(draw(0.9, 1.02)) * hip * 0.78
        angle = float(draw(1.22, 1.32))
        self.saddle = np.array(
            (
                self.bracket[0] - rise * np.cos(angle) * 0.9,
                0,
                self.bracket[2] + rise * np.sin(angle),
            )
        )
        reach = {'city': (0.42, 0.5), 'race': (0.62, 0.72), 'mountain': (0.52, 0.6)}[self.kind]
        up = {'city': (0.12, 0.28), 'race': (-0.08, 0.02), 'mountain': (0.0, 0.08)}[self.kind]
        half = {'city': 0.28, 'race': 0.2, 'mountain': 0.33}[self.kind]
        self.grip = self.saddle + (float(draw(*reach)) * small, half * small, float(draw(*up)))

    def add(self, skin: Skin, lights: bool) -> None:
        """Add the bicycle: frame on part 0, wheels on 1 and 2, cranks on 3."""
        rng = self._rng
        paint = human_body.cloth(rng)
        tyre = float(rng.uniform(0.02, 0.06))
        shade = float(rng.choice((0.7, 0.4, 0.06)))
        wall = tyre if rng.random() < 0.65 else shade
        thick = 0.026 if self.kind == 'mountain' else float(rng.uniform(0.013, 0.02))
        for number, centre in enumerate(self.axles):
            skin.add(_spoked(centre, self.radius, tyre, wall, shade, thick), 1 + number)
        skin.add(merge(self._frame(paint, lights)), 0)
        x, _, z = self.bracket
        cranks = [ring(self.bracket, (0, 1, 0), 0.03, 0.09, 8, float(rng.choice((0.05, 0.5))))]
        for sign in (1, -1):
            end = (x + sign * self.arm, sign * 0.12, z)
            cranks.append(tube([(x, sign * 0.08, z), end], 0.012, 3, 0.4))
            cranks.append(box((0.09, 0.09, 0.025), (end[0], sign * 0.15, z), 0.06))
        skin.add(merge(cranks), 3)

    def _frame(self, paint: float, lights: bool) -> list[Mesh]:
        rng = self._rng
        (fx, _, fz), (rx, _, rz) = self.axles
        bracket, saddle, grip = np.array(self.bracket), self.saddle, self.grip
        head = np.array(
            (grip[0] - 0.06 + 0.02, 0.0, max(fz + self.radius + 0.12, saddle[2] - 0.2))
        )
        head[0] = fx - 0.17 - 0.3 * (head[2] - fz - self.radius)
        low_head = head + (0.04, 0, -0.13)
        seat = saddle + 0.25 * (bracket - saddle)
        step = rng.random() < (0.4 if self.kind == 'city' else 0.05)
        thick = float(rng.uniform(0.014, 0.024))
        top = bracket + 0.45 * (seat - bracket) if step else seat
        bars = [
            (head, low_head),
            (top, head if not step else low_head),
            (bracket, low_head),
            (bracket, saddle - (0, 0, 0.06)),
        ]
        pieces = [tube(bar, thick, 4, paint, caps=(False, False)) for bar in bars]
        for y in (0.05, -0.05):
            pieces.append(
                tube([low_head, (fx, y, fz)], 0.6 * thick, 3, paint, caps=(False, False))
            )
            pieces.append(tube([bracket, (rx, y, rz)], 0.5 * thick, 3, paint, caps=(False, False)))
            pieces.append(tube([seat, (rx, y, rz)], 0.5 * thick, 3, paint, caps=(False, False)))
        dark = float(rng.uniform(0.02, 0.1))
        pieces.append(box((0.26, 0.15, 0.06), saddle - (0.0, 0, 0.03), dark, 0.0, 0.8))
        stem = np.array((grip[0] - 0.02, 0.0, grip[2]))
        pieces.append(tube([head, stem], 0.015, 4, float(rng.choice((0.05, 0.5)))))
        half = grip[1]
        middle = stem + (0.04, 0, 0) if self.kind == 'race' else stem
        pieces.append(
            tube([(grip[0], half, grip[2]), middle, (grip[0], -half, grip[2])], 0.014, 4, dark)
        )
        if self.kind == 'city':
            pieces += self._fittings(lights)
        if lights:
            pieces.append(box((0.03, 0.06, 0.06), (head[0] + 0.1, 0, head[2]), 0.9, 3.0))
        return pieces

    def _fittings(self, lights: bool) -> list[Mesh]:
        """Mudguards, carrier, basket, child seat."""
        rng = self._rng
        pieces = []
        shade = human_body.cloth(rng)
        for (x, _, z), span in zip(self.axles, ((0.2, 2.2), (0.9, 3.1)), strict=True):
            turn = np.linspace(*span, 5)
            out = self.radius + 0.025
            arc = np.stack([x + out * np.cos(turn), 0 * turn, z + out * np.sin(turn)], -1)
            points = np.stack([arc + (0, 0.03, 0), arc - (0, 0.03, 0)], 1)
            pieces.append(grid(points, shade))
        rx, _, rz = self.axles[1]
        top = rz + self.radius + 0.06
        chance = rng.random()
        pieces.append(box((0.38, 0.12, 0.02), (rx + 0.05, 0, top), 0.1))
        if chance < 0.2:
            size = rng.uniform((0.3, 0.25, 0.2), (0.4, 0.4, 0.35))
            pieces.append(box(size, (rx, 0, top + size[2] / 2), human_body.cloth(rng), 0.0, 1.1))
        elif chance < 0.35:
            for y in (0.17, -0.17):
                pieces.append(box((0.32, 0.13, 0.33), (rx, y, top - 0.18), human_body.cloth(rng)))
        elif chance < 0.42:
            pieces.append(box((0.2, 0.28, 0.5), (rx - 0.05, 0, top + 0.3), human_body.cloth(rng)))
            pieces.append(ellipsoid((rx + 0.06, 0, top + 0.58), (0.12, 0.1, 0.13), 6, 4, 0.5))
        if rng.random() < 0.25:
            x, z = self.grip[0] + 0.2, self.grip[2] - 0.1
            pieces.append(box((0.26, 0.34, 0.24), (x, 0, z), human_body.cloth(rng), 0.0, 1.15))
        return pieces

    def seat(self, rng: np.random.Generator, bones: Bones) -> human_body.Pose:
        """Return the rider's postures over one turn of the pedals."""
        made = human_body.standing(bones, _STEPS)
        turn = 2 * np.pi * np.arange(_STEPS) / _STEPS
        x, _, z = self.bracket
        for side in (0, 1):
            sign = 1 - 2 * side
            made.balls[side, :, 0] = x + sign * self.arm * np.cos(turn)
            made.balls[side, :, 1] = sign * 0.13
            # Clockwise seen from the right: the pedal in front goes down.
            made.balls[side, :, 2] = z - sign * self.arm * np.sin(turn) + 0.02
            made.pitch[side] = -0.25 - 0.2 * np.sin(turn) * sign
        made.hips[:] = self.saddle + (0.02, 0, 0.06 * bones.height / 1.7 + 0.02)
        made.hips[:, 1] += 0.008 * np.sin(turn)
        _ride(rng, made, bones, self.grip)
        return made


def _ride(rng: np.random.Generator, made: human_body.Pose, bones: Bones, grip: np.ndarray) -> None:
    """Lean the trunk so that the arms reach the grips a little bent, and hold them."""
    reach = float(rng.uniform(0.86, 0.95)) * (bones.arm + bones.forearm)
    lean = np.linspace(0.0, 1.3, 60)
    hip = made.hips[0]
    shoulder = hip[[0, 2]] + bones.trunk * np.stack([np.sin(lean), np.cos(lean)], -1)
    wide = grip[1] - bones.shoulder_width
    distance = np.sqrt(((shoulder - grip[[0, 2]]) ** 2).sum(-1) + wide**2)
    made.lean[:] = lean[np.argmin(np.abs(distance - reach))]
    made.nod[:] = 0.35 * made.lean + float(rng.uniform(-0.1, 0.2))
    made.look[:] = float(rng.uniform(-0.3, 0.3))
    hand = grip + (-0.02, 0, 0.05)
    made.hands = np.repeat(np.stack([hand, hand * (1, -1, 1)])[:, None], len(made.hips), 1)


def make_motorcyclist(rng: np.random.Generator, lights: bool = False) -> Body:
    """Return a motorcycle and its rider: naked, sports, touring or off-road machine."""
    return _motor(rng, lights, _Motorcycle(rng))


def make_scooter(rng: np.random.Generator, lights: bool = False) -> Body:
    """Return a moped (motor scooter) or a kick scooter, electric or pushed, and its rider."""
    if rng.random() < 0.45:
        return _motor(rng, lights, _Moped(rng))
    return _kick_scooter(rng, lights)


def _thick_wheel(
    rng: np.random.Generator, centre: Values, radius: float, width: float, tyre_share: float
) -> Mesh:
    """Return a motorcycle's wheel about the y axis: fat tyre, spokes, brake disc."""
    middle = np.asarray(centre, float)
    sides = 12
    angle = 2 * np.pi * np.arange(sides) / sides
    around = np.stack([np.cos(angle), 0 * angle, np.sin(angle)], -1)
    half = width / 2
    sections = [
        middle + around * r + (0, y, 0)
        for r, y in (
            (tyre_share * radius, 0.8 * half),
            (radius, 0.55 * half),
            (radius, -0.55 * half),
            (tyre_share * radius, -0.8 * half),
        )
    ]
    rim = float(rng.choice((0.65, 0.35, 0.06)))
    pieces = [loft(sections, float(rng.uniform(0.02, 0.05)), caps=(False, False))]
    pieces.append(
        ring(middle, (0, 1, 0), 0.85 * tyre_share * radius, tyre_share * radius, 12, rim)
    )
    for number in range(5):
        turn = 2 * np.pi * number / 5
        out = np.array((np.cos(turn), 0, np.sin(turn)))
        side = np.array((-np.sin(turn), 0, np.cos(turn))) * 0.02
        far = middle + out * 0.9 * tyre_share * radius
        pieces.append(quad([middle - side, middle + side, far + side, far - side], rim))
    pieces.append(ring(middle + (0, half, 0), (0, 1, 0), 0.04, 0.42 * radius, 8, 0.5))
    return merge(pieces)


class _Machine(ABC):
    """
    What a motor two-wheeler offers its rider.

    axles, radii: of the two wheels; hips, grip, foot: where hips, left hand and left foot are.
    """

    axles: list[tuple[float, float, float]]
    radii: tuple[float, float]
    hips: np.ndarray
    grip: np.ndarray
    foot: np.ndarray

    @abstractmethod
    def pieces(self, lights: bool) -> list[Mesh]:
        """Return everything but the wheels."""

    @abstractmethod
    def wheels(self) -> list[Mesh]:
        """Return front and rear wheel."""


def _motor(rng: np.random.Generator, lights: bool, machine: _Machine) -> Body:
    bones = human_body.make_bones(rng, float(np.clip(rng.normal(1.75, 0.07), 1.55, 1.95)))
    clothes = human_body.make_clothes(rng, 0.3)
    clothes = replace(
        clothes,
        skirt=None,
        helmet=human_body.cloth(rng),
        skin=clothes.skin if isinstance(machine, _Moped) else 0.05,
        girth=max(1.1, clothes.girth),
        leg=1.0,
    )
    skin = Skin(3 + human_body.PARTS)
    skin.add(merge(machine.pieces(lights)), 0)
    for number, wheel in enumerate(machine.wheels()):
        skin.add(wheel, 1 + number)
    human_body.dress(skin, bones, clothes, 3)
    made = human_body.standing(bones, 24)
    way = 2 * np.pi * np.arange(24) / 24
    made.hips[:] = machine.hips + (0, 0, 0.05)
    made.hips[:, 1] += 0.01 * np.sin(way)
    made.balls[0] = machine.foot
    made.balls[1] = machine.foot * (1, -1, 1)
    made.knees[0], made.knees[1] = (1, 0.3, 0.2), (1, -0.3, 0.2)
    _ride(rng, made, bones, machine.grip)
    made.look += 0.15 * np.sin(way + 1)
    rider = motion(human_body.pose(bones, made), float(rng.uniform(2, 5)), 'seconds', rng.random())
    rolls = [
        rolling([centre], radius, float(rng.random()))
        for centre, radius in zip(machine.axles, machine.radii, strict=True)
    ]
    motions = [springs(rng, 4.0), *rolls, rider]
    return RiggedBody(skin, motions, TWO_WHEELER, (2.0, 16.0))


class _Motorcycle(_Machine):
    """Tank, seat and engine between two large wheels."""

    def __init__(self, rng: np.random.Generator) -> None:
        draw = rng.uniform
        self._rng = rng
        self.kind = str(rng.choice(('naked', 'sports', 'touring', 'enduro')))
        base = float(draw(1.36, 1.55))
        front, back = float(draw(0.29, 0.33)), float(draw(0.29, 0.32))
        self.radii = front, back
        self.axles = [(0.52 * base, 0.0, front), (-0.48 * base, 0.0, back)]
        seat = float(draw(0.76, 0.9)) + (0.05 if self.kind == 'enduro' else 0)
        self.hips = np.array((-0.18, 0.0, seat))
        rise = {'naked': 0.24, 'sports': 0.05, 'touring': 0.3, 'enduro': 0.3}[self.kind]
        reach = {'naked': 0.6, 'sports': 0.68, 'touring': 0.55, 'enduro': 0.58}[self.kind]
        self.grip = np.array((-0.18 + reach, 0.34, seat + rise + float(draw(-0.03, 0.05))))
        back_set = {'naked': 0.0, 'sports': -0.22, 'touring': 0.15, 'enduro': -0.02}[self.kind]
        self.foot = np.array((back_set + 0.05, 0.17, 0.36))

    def wheels(self) -> list[Mesh]:
        width = float(self._rng.uniform(0.1, 0.14))
        wide = width * float(self._rng.uniform(1, 1.5))
        share = 0.72
        return [
            _thick_wheel(self._rng, centre, radius, each, share)
            for centre, radius, each in zip(self.axles, self.radii, (width, wide), strict=True)
        ]

    def pieces(self, lights: bool) -> list[Mesh]:
        rng = self._rng
        paint, dark = human_body.cloth(rng), float(rng.uniform(0.02, 0.08))
        metal = float(rng.choice((0.08, 0.4, 0.6)))
        (fx, _, fz), (rx, _, rz) = self.axles
        seat, grip = self.hips[2] - 0.02, self.grip
        head = np.array((fx - 0.28, 0.0, seat + 0.08))
        pieces = [
            box((0.5, 0.34, 0.36), (0.08, 0, 0.45), metal, 0.0, 0.85),
            box((0.36, 0.24, 0.16), (0.1, 0, 0.27), dark),
            self._tank(paint, seat),
            box((0.6, 0.26, 0.08), (-0.28, 0, seat - 0.03), dark, 0.0, 0.85),
            box((0.42, 0.18, 0.13), (-0.5, 0, seat - 0.1), paint, 0.0, 1.1),
            box((0.06, 0.14, 0.07), (-0.74, 0, seat - 0.08), 0.2, 0.5 if lights else 0.0),
            quad(
                [(-0.8, 0.1, 0.55), (-0.8, -0.1, 0.55), (-0.76, -0.1, 0.7), (-0.76, 0.1, 0.7)], 0.7
            ),
        ]
        for y in (0.1, -0.1):
            pieces.append(tube([head + (0, y, 0.05), (fx, y, fz)], 0.028, 4, metal))
            pieces.append(tube([(0.0, y, 0.36), (rx, y, rz)], 0.035, 4, dark))
            pieces.append(tube([(-0.1, y, seat - 0.1), (0.05, y, 0.4)], 0.025, 3, dark))
        pipe = [(0.25, -0.14, 0.3), (-0.2, -0.16, 0.26), (rx - 0.1, -0.18, rz + 0.14)]
        pieces.append(tube(pipe, (0.03, 0.04, 0.06), 5, float(rng.choice((0.6, 0.3, 0.05)))))
        pieces.append(
            tube([grip, (grip[0] + 0.06, 0, grip[2] - 0.04), grip * (1, -1, 1)], 0.018, 4, dark)
        )
        turn = np.linspace(0.35, 2.3, 4)
        for (x, _, z), radius, half in zip(self.axles, self.radii, (0.07, 0.09), strict=True):
            out = radius + 0.03
            arc = np.stack([x + out * np.cos(turn), 0 * turn, z + out * np.sin(turn)], -1)
            pieces.append(grid(np.stack([arc + (0, half, 0), arc - (0, half, 0)], 1), paint))
        lamp = np.array((fx - 0.12, 0.0, seat + 0.05))
        glow = 4.0 if lights or rng.random() < 0.5 else 0.0
        if self.kind in ('sports', 'touring'):
            pieces += self._fairing(paint, lamp, glow)
        else:
            pieces.append(ellipsoid(lamp, (0.09, 0.1, 0.1), 6, 4, dark))
            pieces.append(box((0.03, 0.15, 0.15), lamp + (0.09, 0, 0), 0.8, glow))
        for y in (0.32, -0.32):
            pieces.append(box((0.03, 0.13, 0.08), (grip[0] + 0.1, y, grip[2] + 0.16), dark))
        if self.kind == 'touring' or rng.random() < 0.15:
            pieces.append(box((0.4, 0.45, 0.32), (-0.68, 0, seat + 0.18), paint, 0.0, 0.85))
        if self.kind == 'touring' and rng.random() < 0.6:
            for y in (0.3, -0.3):
                pieces.append(box((0.5, 0.18, 0.32), (-0.6, y, seat - 0.22), paint))
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
            sections.append(
                [(x, half, low), (x, half, 0.4 * low + 0.6 * high), (x, 0.4 * half, high)]
                + [(x, -0.4 * half, high), (x, -half, 0.4 * low + 0.6 * high), (x, -half, low)]
            )
        return loft(sections, paint)

    def _fairing(self, paint: float, lamp: np.ndarray, glow: float) -> list[Mesh]:
        x, _, z = lamp
        nose = [
            [(x + 0.2, 0.07, z - 0.02), (x + 0.22, 0.0, z - 0.02), (x + 0.2, -0.07, z - 0.02)],
            [(x - 0.02, 0.2, z + 0.1), (x + 0.12, 0.0, z + 0.12), (x - 0.02, -0.2, z + 0.1)],
            [(x - 0.15, 0.19, z + 0.34), (x - 0.05, 0.0, z + 0.36), (x - 0.15, -0.19, z + 0.34)],
        ]
        glass = float(self._rng.choice((0.1, 0.5)))
        pieces = [grid(nose, np.array([[paint], [glass]]))]
        side = [
            [(x + 0.2, 0.08, z - 0.02), (x - 0.02, 0.21, z + 0.1), (x - 0.3, 0.2, z)],
            [(x - 0.02, 0.13, z - 0.3), (x - 0.2, 0.2, z - 0.45), (x - 0.5, 0.19, z - 0.4)],
        ]
        cheek = grid(side, paint)
        pieces += [cheek, cheek.mirrored()]
        pieces.append(box((0.03, 0.24, 0.07), (x + 0.17, 0, z + 0.03), 0.8, glow))
        return pieces


class _Moped(_Machine):
    """A shield in front of the legs, small wheels."""

    def __init__(self, rng: np.random.Generator) -> None:
        draw = rng.uniform
        self._rng = rng
        radius = float(draw(0.2, 0.27))
        base = float(draw(1.2, 1.4))
        self.radii = radius, radius
        self.axles = [(0.52 * base, 0.0, radius), (-0.48 * base, 0.0, radius)]
        seat = float(draw(0.72, 0.8))
        self.hips = np.array((-0.3, 0.0, seat))
        self.grip = np.array((0.52 * base - 0.33, 0.31, seat + float(draw(0.22, 0.32))))
        self.foot = np.array((0.2, 0.13, 0.31))

    def wheels(self) -> list[Mesh]:
        return [_thick_wheel(self._rng, axle, self.radii[0], 0.11, 0.62) for axle in self.axles]

    def pieces(self, lights: bool) -> list[Mesh]:
        rng = self._rng
        paint, dark = human_body.cloth(rng), float(rng.uniform(0.02, 0.08))
        (fx, _, fz), (rx, _, rz) = self.axles
        seat, grip = self.hips[2] - 0.02, self.grip
        head = np.array((grip[0] + 0.05, 0.0, grip[2] - 0.1))
        shield = [
            [
                (head[0] + 0.02, 0.12, head[2] - 0.03),
                (head[0] + 0.1, 0, head[2] - 0.03),
                (head[0] + 0.02, -0.12, head[2] - 0.03),
            ],
            [(fx - 0.24, 0.22, 0.62), (fx - 0.1, 0, 0.64), (fx - 0.24, -0.22, 0.62)],
            [(fx - 0.34, 0.17, 0.28), (fx - 0.28, 0, 0.28), (fx - 0.34, -0.17, 0.28)],
        ]
        tail = []
        for x, half, low, high in (
            (-0.05, 0.15, 0.3, seat - 0.1),
            (-0.3, 0.2, 0.32, seat - 0.06),
            (-0.6, 0.19, 0.4, seat - 0.04),
            (-0.82, 0.08, 0.55, seat - 0.08),
        ):
            tail.append(
                [(x, half, low), (x, 0.8 * half, high), (x, -0.8 * half, high), (x, -half, low)]
            )
        glow = 3.0 if lights or rng.random() < 0.4 else 0.0
        pieces = [
            grid(shield, paint),
            loft(tail, paint),
            box((0.62, 0.32, 0.08), (0.2, 0, 0.27), dark),
            box((0.68, 0.28, 0.1), (-0.4, 0, seat), float(rng.choice((0.03, 0.3))), 0.0, 0.85),
            tube([head, (fx, 0.08, fz)], 0.035, 4, dark),
            box((0.36, 0.16, 0.1), (fx + 0.02, 0, fz + self.radii[0] + 0.04), paint, 0.0, 0.6),
            tube([grip, head + (0.02, 0, 0.08), grip * (1, -1, 1)], 0.02, 4, dark),
            box((0.14, 0.2, 0.16), head + (0.06, 0, 0.06), paint, 0.0, 0.8),
            box((0.02, 0.13, 0.1), head + (0.13, 0, 0.05), 0.85, glow),
            box((0.04, 0.16, 0.08), (-0.84, 0, seat - 0.18), 0.15, 0.5 if lights else 0.0),
            quad(
                [(-0.86, 0.1, 0.4), (-0.86, -0.1, 0.4), (-0.84, -0.1, 0.54), (-0.84, 0.1, 0.54)],
                0.75,
            ),
            tube([(-0.2, -0.17, 0.22), (rx - 0.15, -0.19, rz + 0.05)], 0.05, 5, 0.15),
        ]
        for y in (0.28, -0.28):
            pieces.append(box((0.03, 0.11, 0.1), grip * (1, 0, 1) + (0.05, y, 0.2), dark))
        if rng.random() < 0.3:
            size = rng.uniform((0.35, 0.38, 0.28), (0.5, 0.5, 0.5))
            pieces.append(box(size, (-0.8, 0, seat + 0.08 + size[2] / 2), human_body.cloth(rng)))
        return pieces


def _kick_scooter(rng: np.random.Generator, lights: bool) -> Body:
    bones = _rider_bones(rng)
    clothes = human_body.make_clothes(rng, 0.5)
    if rng.random() < 0.3:
        clothes = replace(clothes, helmet=human_body.cloth(rng))
    electric = bones.height > 1.5 and rng.random() < 0.75
    radius = float(rng.uniform(0.1, 0.14) if electric else rng.uniform(0.07, 0.1))
    half = float(rng.uniform(0.4, 0.48)) * (bones.height / 1.73) ** 0.5
    axles = [(half + 0.05, 0.0, radius), (-half, 0.0, radius)]
    deck = radius + 0.05
    top = deck + 0.55 * bones.height
    paint, dark = human_body.cloth(rng), float(rng.uniform(0.02, 0.08))
    grip = np.array((half - 0.12, 0.24, top))
    pieces = [
        box((1.5 * half, 0.16, 0.06), (-0.1 * half, 0, deck - 0.03), dark),
        tube([(half, 0, radius + 0.06), (half - 0.1, 0, top)], 0.025, 5, paint),
        tube([grip, grip * (1, -1, 1)], 0.017, 4, dark),
        box((0.3, 0.1, 0.02), (-half, 0, 2 * radius + 0.02), paint),
        box((0.12, 0.08, 0.02), (half + 0.05, 0, 2 * radius + 0.02), paint),
        box((0.03, 0.05, 0.05), (half - 0.06, 0, top - 0.1), 0.8, 3.0 if lights else 0.0),
    ]
    skin = Skin(3 + human_body.PARTS)
    skin.add(merge(pieces), 0)
    for number, centre in enumerate(axles):
        skin.add(_thick_wheel(rng, centre, radius, 0.06, 0.6), 1 + number)
    human_body.dress(skin, bones, clothes, 3)
    made, period, clock = _kicking(rng, bones, deck) if not electric else _riding(rng, bones, deck)
    _ride(rng, made, bones, grip)
    rider = motion(human_body.pose(bones, made), period, clock, rng.random())
    motions = [springs(rng, 1.5, 0.5), *(rolling([axle], radius) for axle in axles), rider]
    speeds = (2.0, 6.0) if electric else (1.5, 3.5)
    return RiggedBody(skin, motions, TWO_WHEELER, speeds)


def _riding(rng: np.random.Generator, bones: Bones, deck: float) -> _Ride:
    """Return postures on an electric scooter: both feet on the deck, swaying."""
    made = human_body.standing(bones, 24)
    way = 2 * np.pi * np.arange(24) / 24
    made.balls[0] = (0.2, 0.04, deck)
    made.balls[1] = (-0.12, -0.05, deck)
    made.hips[:, 0] = -0.05 + 0.015 * np.sin(way)
    made.hips[:, 1] = 0.02 * np.sin(2 * way + 1)
    made.hips[:, 2] += deck - 0.02 - 0.02 * np.abs(np.sin(way))
    return made, float(rng.uniform(2, 5)), 'seconds'


def _kicking(rng: np.random.Generator, bones: Bones, deck: float) -> _Ride:
    """Return postures on a kick scooter: one leg pushes the ground back, then swings ahead."""
    made = human_body.standing(bones, _STEPS)
    phase = np.arange(_STEPS) / _STEPS
    period = float(rng.uniform(1.6, 2.6)) * bones.height / 1.5
    made.balls[0] = (0.12, 0.0, deck)
    x = np.interp(phase, (0, 0.3, 0.45, 0.95, 1), (0.35, 0.35 - 0.3 * period, -0.35, 0.3, 0.35))
    z = np.interp(phase, (0, 0.3, 0.45, 0.7, 0.95, 1), (0, 0, 0.25, 0.2, 0.08, 0))
    made.balls[1] = np.stack([x, np.full(_STEPS, -0.13), z], -1)
    made.pitch[1] = np.interp(phase, (0, 0.15, 0.3, 0.45, 0.9, 1), (0, 0, -0.7, -0.5, 0.1, 0))
    made.hips[:, 0] = 0.02
    made.hips[:, 2] += deck - 0.05 * bones.height * (
        0.7 - 0.5 * np.cos(2 * np.pi * (phase - 0.65))
    )
    return made, period, 'distance'
