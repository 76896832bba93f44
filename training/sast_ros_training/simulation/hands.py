# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Hands with moving fingers, on a forearm or a whole arm.

Body coordinates: metres, x from the elbow to the fingers, the origin in the middle of the palm, y
to the side of the thumb, z out of the back of the hand.
"""

from __future__ import annotations

import numpy as np
from sast_ros_training.simulation.body import Body, RiggedBody, Skin
from sast_ros_training.simulation.human_body import cloth
from sast_ros_training.simulation.mesh import grid, loft, merge, Mesh, textured
from sast_ros_training.simulation.near_textures import CLOTHS
from sast_ros_training.simulation.rig import full_turn, Motion, motion, placed, rotation
from sast_ros_training.simulation.shapes import ellipsoid, tube

PALM = 1
_STEPS = 48
_WAY = full_turn(_STEPS)
#: Per finger, thumb first: place of the knuckle, direction to the side, lengths of the bones.
_FINGERS = (
    ((-0.015, 0.038, -0.008), 0.75, (0.040, 0.032, 0.026)),
    ((0.045, 0.030, 0.0), 0.12, (0.042, 0.026, 0.022)),
    ((0.048, 0.010, 0.0), 0.03, (0.046, 0.029, 0.023)),
    ((0.045, -0.010, 0.0), -0.05, (0.042, 0.027, 0.022)),
    ((0.036, -0.029, 0.0), -0.18, (0.033, 0.020, 0.020)),
)
_PARTS = 2 + 3 * len(_FINGERS)


class _Pose:
    """How the hand moves in one period: angles ``[K]`` of wrist and fingers."""

    def __init__(self, rng: np.random.Generator, gesture: str) -> None:
        zero = np.zeros(_STEPS)
        self.bend, self.yaw = zero + rng.normal(0, 0.25), zero + rng.normal(0, 0.15)
        self.curl = np.tile(np.abs(rng.normal(0.3, 0.25, (5, 1))), (1, _STEPS))
        beat = rng.uniform(0, 2 * np.pi)
        wave = np.sin(_WAY + beat)
        if gesture == 'wave':
            self.yaw = rng.uniform(0.3, 0.7) * wave
            self.curl *= 0.4
        elif gesture == 'grip':
            self.curl[:] = rng.uniform(0.8, 1.2)
            self.curl[0] *= 0.5
        elif gesture == 'grasp':  # opens and closes
            share = 0.5 + 0.5 * wave
            self.curl[:] = 0.1 + rng.uniform(0.7, 1.3) * share
        elif gesture == 'point':
            self.curl[:] = rng.uniform(0.9, 1.3)
            self.curl[1] = 0.05 + 0.1 * wave
            self.yaw = 0.2 * np.sin(_WAY) + self.yaw
        elif gesture == 'type':  # one finger after the other
            for finger in range(5):
                lag = rng.uniform(0, 2 * np.pi)
                times = rng.integers(1, 4)
                self.curl[finger] = 0.5 + 0.35 * np.sin(times * _WAY + lag)
            self.bend = self.bend + 0.1 * np.sin(2 * _WAY)
        else:  # 'loose': everything moves a little
            self.bend = self.bend + 0.3 * np.sin(_WAY + beat)
            self.curl = np.abs(self.curl + 0.2 * np.sin(_WAY + rng.uniform(0, 6.3, (5, 1))))
        self.spread = rng.uniform(0.5, 1.4)


_GESTURES = ('wave', 'grip', 'grasp', 'point', 'type', 'loose')


def make_hand(
    rng: np.random.Generator, held: Mesh | None = None, gesture: str | None = None
) -> Body:
    """
    Return a left or right hand on its arm, which may hold a thing.

    ``held``: what it holds, its middle at the origin; ``gesture``: one of a fixed set, drawn if
    left out.
    """
    if gesture is None:
        gesture = 'grip' if held is not None else str(rng.choice(_GESTURES))
    size = rng.uniform(0.8, 1.12)
    tone = float(rng.choice((0.12, 0.25, 0.4, 0.5)) * rng.uniform(0.8, 1.2))
    if rng.random() < 0.06:  # a glove
        tone = cloth(rng)
    pose, skin = _Pose(rng, gesture), Skin(more=_PARTS)
    turned = rotation(2, pose.yaw) @ rotation(1, pose.bend)
    wrist = np.array((-0.05, 0.0, 0.0))
    palm = placed(turned, wrist)
    parts = [np.tile(np.eye(4), (_STEPS, 1, 1)), palm]
    skin.add(_arm(rng, tone), 0)
    skin.add(_palm(tone), PALM)
    for number, finger in enumerate(_FINGERS):
        pieces, bones = _finger(finger, pose, number, tone)
        for offset, (piece, bone) in enumerate(zip(pieces, bones, strict=True)):
            skin.add(piece, 2 + 3 * number + offset)
            parts.append(palm @ bone)
    if held is not None:
        skin.add(held.moved((0.05, 0.0, -0.03)), PALM)
    mirror = rng.random() < 0.5
    scale = np.diag((size, -size if mirror else size, size, 1.0))
    matrices = [scale @ part for part in parts]
    period = rng.uniform(0.3, 1.6) if gesture != 'grip' else rng.uniform(1.0, 3.0)
    moves: list[Motion] = [motion(matrices, period, 'seconds', rng.random())]
    return RiggedBody(skin, moves)


def _palm(tone: float) -> Mesh:
    """Return the back and the flat of the hand."""
    sections = []
    for x, half, deep in (
        (-0.055, 0.026, 0.018),
        (-0.02, 0.038, 0.016),
        (0.03, 0.042, 0.013),
        (0.048, 0.036, 0.009),
    ):
        angle = full_turn(8)
        across, up = half * np.cos(angle), deep * np.sin(angle)
        sections.append(np.stack([np.full(8, x), across, up], -1))
    return loft(sections, np.array([[tone], [0.95 * tone], [0.9 * tone]]))


def _arm(rng: np.random.Generator, tone: float) -> Mesh:
    """Return a forearm, some with the upper arm, bare or in a sleeve, with or without watch."""
    long = rng.uniform(0.3, 0.55)
    line = [(-0.045, 0, 0), (-0.12, 0, 0), (-0.05 - 0.55 * long, 0, 0), (-0.05 - long, 0, 0)]
    radii = [0.026, 0.029, 0.042, 0.048]
    if rng.random() < 0.5:
        long += rng.uniform(0.25, 0.4)
        line.append((-0.05 - long, *rng.normal(0, 0.03, 2)))
        radii.append(0.055)
    pieces = [tube(line, radii, 9, tone)]
    chance = rng.random()
    if chance < 0.7:
        start = -0.06 - rng.uniform(0, 0.7 * long)
        thick = rng.uniform(0.042, 0.06)
        ends = [(start, 0, 0), (start - 0.02, 0, 0), (-0.06 - long, *line[-1][1:])]
        sleeve = tube(ends, (thick, 1.05 * thick, 1.35 * thick), 10, cloth(rng))
        pieces.append(textured(sleeve, int(rng.choice(CLOTHS)), rng.uniform(2, 12)))
    if chance < 0.2 or chance > 0.85:
        pieces.append(tube([(-0.075, 0, 0), (-0.1, 0, 0)], 0.031, 9, rng.uniform(0.03, 0.8)))
        pieces.append(ellipsoid((-0.088, 0, 0.03), (0.018, 0.018, 0.006), 8, 3, 0.6))
    return merge(pieces)


def _finger(
    finger: tuple[tuple[float, float, float], float, tuple[float, float, float]],
    pose: _Pose,
    number: int,
    tone: float,
) -> tuple[list[Mesh], list[np.ndarray]]:
    """Return the three bones along x from the origin, and where the palm's rest pose has them."""
    knuckle, aside, lengths = finger
    thick = 0.0095 if number in (0, 2) else 0.0085
    turn = rotation(2, np.full(_STEPS, aside * pose.spread))
    here = placed(turn, (0, 0, 0), knuckle)
    pieces, bones = [], []
    for bone, long in enumerate(lengths):
        gain = (0.8, 1.0, 0.7)[bone] * (0.6 if number == 0 else 1.0)
        here = here @ placed(rotation(1, gain * pose.curl[number]), (0, 0, 0))
        wide = thick * (1.0, 0.92, 0.85)[bone]
        line = [(-0.4 * wide, 0, 0), (0.5 * long, 0, 0), (long, 0, 0), (long + 0.6 * wide, 0, 0)]
        piece = tube(line, (wide, wide, 0.95 * wide, 0.5 * wide), 6, tone)
        if bone == 2:  # the nail
            z, half = 0.9 * wide, 0.6 * wide
            corners = [[(0.5 * long, -half, z), (0.5 * long, half, z)]]
            corners.append([(long, -half, 0.9 * z), (long, half, 0.9 * z)])
            piece = merge([piece, grid(corners, min(1.35 * tone, 0.9))])
        pieces.append(piece)
        bones.append(here)
        here = here @ placed(np.tile(np.eye(3), (_STEPS, 1, 1)), (0, 0, 0), (long, 0, 0))
    return pieces, bones
