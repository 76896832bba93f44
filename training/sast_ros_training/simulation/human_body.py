# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The human body: its bones, what it wears, and how it is posed by hips, feet and hands.

Walkers, riders and passengers are all made of it. In the rest pose the body stands upright with
its arms hanging; every bone has one part of the rig.
"""

from __future__ import annotations

import numpy as np
from sast_ros_training.simulation.body import Skin
from sast_ros_training.simulation.mesh import loft, merge, Mesh
from sast_ros_training.simulation.rig import bend, limb, placed, rotation
from sast_ros_training.simulation.shapes import box, disc, ellipsoid, tube

PELVIS, CHEST, HEAD = 0, 1, 2
#: Parts of the left limbs; the right ones follow.
THIGH, SHANK, FOOT, ARM, FOREARM = 3, 5, 7, 9, 11
PARTS = 13

#: Angles of the sections of trunk and skirt; none lies in the middle of front or back.
_AROUND = 2 * np.pi * (np.arange(8) + 0.5) / 8


def cloth(rng: np.random.Generator) -> float:
    """Return the albedo of a piece of clothing: black to white, dark more often."""
    return 0.03 + 0.85 * rng.random() ** 1.8


class HumanBody:
    """
    A person of random proportions in a random outfit; ``summer``: 0 covered, 1 short clothes.

    Lengths are in metres; ``hip``, ``shoulder`` and ``ankle`` are heights of joints in the rest
    pose, ``hip_width`` and ``shoulder_width`` half the distance between left and right joint,
    ``heel`` is how far the ankle is behind the ball of the foot, ``head`` a radius. Clothes are
    given by their albedo, by None where they are missing: ``stripe`` is that of every second ring
    of the top, ``front`` of a strip down the chest (open jacket, print), ``back`` of a rucksack.
    ``sleeve`` and ``leg`` are the share of the limb that is covered, ``skirt`` the height of the
    hem as a share of the hip's; a ``hood`` hides the face.
    """

    def __init__(self, rng: np.random.Generator, height: float, summer: float = 0.5) -> None:
        self.height = height
        child = float(np.clip((1.6 - height) / 0.8, 0, 1))
        self.hip = rng.uniform(0.5, 0.535) * height * (1 - 0.08 * child)
        self.ankle = 0.045 * height
        self.thigh = 0.51 * (self.hip - self.ankle)
        self.shank = self.hip - self.ankle - self.thigh
        ranges = ((0.165, 0.185), (0.14, 0.155), (0.05, 0.058), (0.1, 0.122), (0.075, 0.09))
        self.arm, self.forearm, self.hip_width, self.shoulder_width, self.heel = (
            rng.uniform(low, high) * height for low, high in ranges
        )
        self.trunk = 0.82 * height - 0.06 * child * height - self.hip
        self.shoulder = self.hip + self.trunk
        self.head = (0.062 + 0.022 * child) * height
        self._draw_clothes(rng, summer)

    def _draw_clothes(self, rng: np.random.Generator, summer: float) -> None:
        def perhaps(chance: float) -> float | None:
            return cloth(rng) if rng.random() < chance else None

        self.top, self.legs = cloth(rng), cloth(rng)
        if rng.random() < 0.12:
            self.legs = self.top
        warm = rng.random() < summer
        self.skirt: float | None = None
        self.skirt_albedo = self.top
        chance = rng.random()
        if chance < 0.14:  # coat or long jacket
            self.skirt = rng.uniform(0.35, 0.75)
            warm = False
        elif chance < 0.22:  # dress
            self.skirt = rng.uniform(0.2, 0.6)
        elif chance < 0.29:
            self.skirt, self.skirt_albedo = rng.uniform(0.2, 0.65), cloth(rng)
        self.skin = rng.choice((0.12, 0.25, 0.4, 0.5)) * rng.uniform(0.8, 1.2)
        self.hair = rng.choice((0.03, 0.06, 0.15, 0.35, 0.6)) * rng.uniform(0.8, 1.2)
        self.sleeve_albedo = self.top if rng.random() < 0.8 else cloth(rng)
        self.shoes = rng.choice((0.03, 0.08, 0.3, 0.8)) * rng.uniform(0.8, 1.1)
        self.stripe, self.front, self.back = (perhaps(chance) for chance in (0.2, 0.25, 0.2))
        self.sleeve = rng.uniform(0.25, 0.5) if warm else 1.0
        self.leg = 1.0
        if self.skirt is not None and warm:
            self.leg = 0.0
        elif warm and rng.random() < 0.5:
            self.leg = rng.uniform(0.3, 0.6)
        self.girth = float(np.clip(rng.normal(1.12, 0.14), 0.9, 1.6)) * (1.0 if warm else 1.08)
        self.hat = perhaps(0.15)
        self.helmet: float | None = None
        self.long_hair = rng.random() < 0.4
        self.hood = rng.random() < 0.07

    def add_to(self, skin: Skin, first: int = 0) -> None:
        """Add the body in the rest pose to the skin; its parts begin at ``first``."""
        for side in (0, 1):
            self._add_leg(skin, first + side, 1 - 2 * side)
            self._add_arm(skin, first + side, 1 - 2 * side)
        self._add_trunk(skin, first)
        skin.add(merge(self._head_pieces()), first + HEAD)
        if self.skirt is not None:
            self._add_skirt(skin, first, self.skirt)

    def _add_leg(self, skin: Skin, first: int, sign: int) -> None:
        y, unit, knee = self.hip_width * sign, self.height * self.girth, self.hip - self.thigh
        upper = self.hip + 0.02 * unit, self.hip - 0.4 * self.thigh, knee + 0.035 * self.height
        lower = knee - 0.03 * self.height, knee - 0.35 * self.shank, self.ankle
        heights = np.array(upper + lower)
        widths = np.array((0.054, 0.046, 0.034, 0.031, 0.032, 0.02)) * unit
        if self.leg > 0.9:
            widths[3:] = np.maximum(widths[3:], np.array((0.033, 0.033, 0.03)) * unit)
        cut = self.hip - self.leg * (self.hip - self.ankle) - 0.02
        # Rings just above and below the knee share the bend.
        piece, share = self._limb(
            heights, y, widths, 6, (cut, self.legs), (1, 1, 0.8, 0.2, 0, 0), (False, False)
        )
        skin.add(piece, first + THIGH, first + SHANK, share)
        long, wide = 0.15 * self.height, 0.028 * self.height
        sections = []
        for ahead, half, high in ((0, 0.75, 1.0), (0.4, 0.95, 1.05), (1, 0.8, 0.35)):
            x, w, z = -0.35 * long + ahead * long, wide * half, self.ankle * high
            sections.append([(x, y + s * w, h) for s, h in ((-1, 0), (1, 0), (0.7, z), (-0.7, z))])
        skin.add(loft(sections, self.shoes), first + FOOT)

    def _add_arm(self, skin: Skin, first: int, sign: int) -> None:
        y, unit = self.shoulder_width * sign, self.height * self.girth
        elbow = self.shoulder - self.arm
        wrist = elbow - self.forearm
        upper = self.shoulder + 0.012 * unit, self.shoulder - 0.3 * self.arm
        heights = np.array((*upper, elbow + 0.02 * self.height, elbow - 0.02 * self.height, wrist))
        widths = np.array((0.016, 0.028, 0.024, 0.022, 0.017)) * unit
        cut = self.shoulder - self.sleeve * (self.arm + self.forearm)
        piece, share = self._limb(
            heights, y, widths, 5, (cut, self.sleeve_albedo), (1, 0.8, 0.2, 0, 0), (True, False)
        )
        skin.add(piece, first + ARM, first + FOREARM, share)
        hand = 0.05 * self.height
        size = 0.75 * hand, 0.5 * hand, 1.6 * hand
        skin.add(box(size, (0, y, wrist - 0.7 * hand), self.skin), first + FOREARM)

    def _limb(
        self,
        heights: np.ndarray,
        y: float,
        widths: np.ndarray,
        sides: int,
        cover: tuple[float, float],
        shares: tuple[float, ...],
        caps: tuple[bool, bool],
    ) -> tuple[Mesh, np.ndarray]:
        """Return a tube, covered (albedo) above a height, and how much its lower bone moves it."""
        middle = (heights[:-1] + heights[1:]) / 2
        shades = np.where(middle > cover[0], cover[1], self.skin)[:, None]
        piece = tube([(0, y, z) for z in heights], widths, sides, shades, caps)
        return piece, np.interp(piece.vertices[:, 2], heights[::-1], shares)

    def _add_trunk(self, skin: Skin, first: int) -> None:
        unit, trunk, low = self.height * self.girth, self.trunk, self.hip - 0.05 * self.height
        # Height above the hip, half width, half depth, offset to the front.
        rows = [
            (low - self.hip, 0.055 * unit + 0.2 * self.hip_width, 0.055 * unit, 0),
            (0.0, self.hip_width + 0.045 * unit, 0.066 * unit, 0),
            (0.38 * trunk, 0.082 * unit, 0.058 * unit, 0.0),
            (0.7 * trunk, 0.093 * unit, 0.066 * unit, 0.005),
            (0.97 * trunk, self.shoulder_width + 0.002 * unit, 0.052 * unit, 0),
            (1.08 * trunk, 0.6 * self.shoulder_width, 0.04 * unit, 0),
            (self.shoulder - self.hip + 0.045 * self.height, 0.032 * unit, 0.032 * unit, 0.01),
        ]
        # Flatter than an ellipse in front and at the back.
        along, across = (
            np.sign(wave) * np.abs(wave) ** 0.8 for wave in (np.cos(_AROUND), np.sin(_AROUND))
        )
        sections = [
            np.stack([ahead + deep * along, wide * across, np.full(8, self.hip + z)], -1)
            for z, wide, deep, ahead in rows
        ]
        shades = np.full((len(rows) - 1, 8), self.top)
        shades[0] = self.legs
        if self.stripe is not None:
            shades[2::2] = self.stripe
        if self.front is not None:
            # The section begins left of the middle: its last gap is the one across the front.
            shades[1:5, -1] = self.front
        piece = loft(sections, shades, caps=(True, False))
        share = np.interp(piece.vertices[:, 2], (self.hip, self.hip + 0.4 * trunk), (0, 1))
        skin.add(piece, first + PELVIS, first + CHEST, share)
        if self.back is not None:
            skin.add(self._rucksack(self.back), first + CHEST)

    def _rucksack(self, albedo: float) -> Mesh:
        tall, deep, wide = 0.26 * self.height, 0.085 * self.height, 0.085 * self.height
        back, top = -0.05 * self.height, self.shoulder + 0.01 * self.height
        sections = []
        for share, size in ((0, 0.9), (0.6, 1.0), (1, 0.6)):
            z, w, end = top - tall + share * tall, wide * (0.7 + 0.3 * size), back - deep * size
            sections.append([(back, w, z), (end, 0.8 * w, z), (end, -0.8 * w, z), (back, -w, z)])
        return loft(sections, np.array([[albedo], [albedo * 0.8]]))

    def _head_pieces(self) -> list[Mesh]:
        """Return neck, head, hair and what is worn on it."""
        radius = self.head
        middle = np.array((0.012 * self.height, 0, self.height - 1.22 * radius))
        neck = [(0, 0, self.shoulder), middle - (0.01, 0, 0.8 * radius)]
        cells = np.full((5, 8), self.skin)
        cells[4] = cells[3, 1:7] = cells[1:3, 2:6] = self.hair
        if self.hood:
            cells[:] = self.top
            cells[1:4, [0, 7]] = self.skin * 0.6
        if self.helmet is not None:
            cells[3:] = cells[2, 2:6] = self.helmet
        scale = 1.12 if self.helmet is not None else 1.0
        radii = [share * radius * scale for share in (1.02, 0.8, 1.22)]
        pieces = [
            tube(neck, 0.5 * radius, 5, self.skin, caps=(False, False)),
            ellipsoid(middle, radii, 8, 5, cells),
        ]
        if self.long_hair and not self.hood:
            hair = [middle + (-0.35 * radius, 0, 0.2 * radius)]
            hair.append(middle + (-0.6 * radius, 0, -1.9 * radius))
            pieces.append(tube(hair, (0.85 * radius, 0.6 * radius), 5, self.hair))
        if self.hat is not None and self.helmet is None:
            brim = middle + (0.15 * radius, 0, 0.55 * radius)
            crown = [brim - (0.15 * radius, 0, 0), brim + (-0.15 * radius, 0, 0.8 * radius)]
            pieces.append(disc(brim, (0, 0, 1), 1.45 * radius, 7, self.hat))
            pieces.append(tube(crown, (radius, 0.8 * radius), 7, self.hat, caps=(False, True)))
        return pieces

    def _add_skirt(self, skin: Skin, first: int, length: float) -> None:
        unit = self.height * self.girth
        top, hem = self.hip + 0.3 * self.trunk, length * self.hip
        sections = []
        for share in np.linspace(0, 1, 4):
            wide = np.interp(share, (0, 0.35, 1), (0.085, 0.112, 0.135)) * unit
            deep = np.interp(share, (0, 0.35, 1), (0.066, 0.085, 0.115)) * unit
            z = np.full(8, top + share * (hem - top))
            sections.append(np.stack([deep * np.cos(_AROUND), wide * np.sin(_AROUND), z], -1))
        piece = loft(sections, self.skirt_albedo, caps=(False, False))
        share = np.interp(piece.vertices[:, 2], (hem, self.hip), (0.75, 0.0))
        skin.add(piece, first + PELVIS, first + THIGH + (piece.vertices[:, 1] < 0), share)

    def pose(self, postures: Postures) -> list[np.ndarray]:
        """Return the matrices of the body's parts, ``PARTS`` times ``[K, 4, 4]``."""
        matrices: list[np.ndarray] = [np.empty(0)] * PARTS
        hip, twist, lean = np.array((0, 0, self.hip)), rotation(2, postures.twist), postures.lean
        pelvis = rotation(2, postures.hip_twist) @ rotation(0, -0.5 * postures.roll)
        chest = twist @ rotation(1, lean) @ rotation(0, -postures.roll)
        matrices[PELVIS] = placed(pelvis @ rotation(1, 0.4 * lean), hip, postures.hips)
        matrices[CHEST] = placed(chest, hip, postures.hips)
        neck = np.array((0, 0, self.shoulder + 0.02 * self.height))
        head = rotation(2, postures.twist + postures.look) @ rotation(1, postures.nod)
        matrices[HEAD] = placed(head, neck, _moved(matrices[CHEST], neck))
        for side in (0, 1):
            sign, forward = 1 - 2 * side, postures.knees[side]
            joint = np.array((0, sign * self.hip_width, self.hip))
            start = _moved(placed(pelvis, hip, postures.hips), joint)
            turn = rotation(1, -postures.pitch[side])
            ankle = postures.balls[side] + turn @ np.array((-self.heel, 0, self.ankle))
            knee, reached = bend(start, ankle, self.thigh, self.shank, forward)
            matrices[THIGH + side] = limb(joint, start, knee, forward)
            matrices[SHANK + side] = limb(joint - (0, 0, self.thigh), knee, reached, forward)
            foot = (0.0, sign * self.hip_width, self.ankle)
            matrices[FOOT + side] = placed(turn, foot, reached)
            joint = np.array((0, sign * self.shoulder_width, self.shoulder))
            start = _moved(matrices[CHEST], joint)
            elbow, wrist, front = self._arm_pose(postures, side, start)
            matrices[ARM + side] = limb(joint, start, elbow, front)
            matrices[FOREARM + side] = limb(joint - (0, 0, self.arm), elbow, wrist, front)
        return matrices

    def _arm_pose(
        self, postures: Postures, side: int, start: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return elbow, wrist and the front of the arm, ``[K, 3]`` each."""
        sign, count = 1 - 2 * side, len(start)
        if postures.hands is not None:
            # Elbows hang down and a little outwards.
            pole = np.tile((-0.6, 0.5 * sign, -0.8), (count, 1))
            elbow, wrist = bend(start, postures.hands[side], self.arm, self.forearm, pole)
            return elbow, wrist, np.tile((1.0, 0.0, 0.4), (count, 1))
        yaw = rotation(2, 0.7 * postures.twist)
        swing, spread = postures.swing[side], sign * postures.spread[side]
        upper = yaw @ _hanging(swing, spread)[..., None]
        lower = yaw @ _hanging(swing + postures.elbow[side], 0.3 * spread)[..., None]
        elbow = start + self.arm * upper[..., 0]
        wrist = elbow + self.forearm * lower[..., 0]
        # At right angles to the forearm, so that the front never points along the bone.
        angle = swing + 0.5 * postures.elbow[side]
        return elbow, wrist, np.stack([np.cos(angle), np.zeros(count), np.sin(angle)], -1)


def _moved(matrices: np.ndarray, point: np.ndarray) -> np.ndarray:
    return matrices[:, :3, :3] @ point + matrices[:, :3, 3]


def _hanging(forward: np.ndarray, out: np.ndarray) -> np.ndarray:
    """``[K, 3]`` directions of a bone that hangs down, swung forward and out to the left."""
    return np.stack(
        [np.sin(forward) * np.cos(out), np.sin(out), -np.cos(forward) * np.cos(out)], -1
    )


class Postures:
    """
    K postures: hips, trunk, feet and hands; at first all are the rest pose.

    ``hips`` is the middle of the hip joints; the trunk leans forward, twists and rolls to the
    left; ``balls`` are those of the left and right foot, ``pitch`` lifts the toes, ``knees`` are
    the directions that they bend to. Arms are given by their angles forward (``swing``), to the
    side (``spread``) and of the ``elbow``, or by the places of the wrists (``hands``).
    """

    def __init__(self, body: HumanBody, count: int) -> None:
        self.hips = np.tile((0.0, 0.0, 0.985 * body.hip), (count, 1))
        self.lean, self.twist, self.roll, self.hip_twist = np.zeros((4, count))
        self.nod, self.look = np.zeros((2, count))
        self.balls = np.zeros((2, count, 3))
        self.balls[:, :, 0] = body.heel
        self.balls[0, :, 1], self.balls[1, :, 1] = body.hip_width, -body.hip_width
        self.knees = np.tile((1.0, 0.0, 0.0), (2, count, 1))
        self.pitch, self.swing = np.zeros((2, 2, count))
        self.spread = np.full((2, count), 0.1)
        self.elbow = np.full((2, count), 0.15)
        self.hands: np.ndarray | None = None
