# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Pedestrians: adults and children who walk, run and stand."""

from __future__ import annotations

import numpy as np
from sast_ros_training.simulation.body import Body, RiggedBody, Size, Skin
from sast_ros_training.simulation.human_body import (
    CHEST,
    cloth,
    FOREARM,
    HumanBody,
    PARTS,
    Postures,
)
from sast_ros_training.simulation.mesh import loft, merge, Mesh
from sast_ros_training.simulation.rig import full_turn, Motion, motion, rolling, still
from sast_ros_training.simulation.shapes import box, circle, ring, tube

PEDESTRIAN = 0

#: Postures in one cycle of two steps, and in one of standing about.
_STEPS = 48
_PHASE = np.arange(_STEPS) / _STEPS


class Walker(RiggedBody):
    """A person whose legs step by the distance, or who stands, or a blend of both."""

    def __init__(
        self,
        skin: Skin,
        gait: Motion,
        idle: Motion,
        others: list[Motion],
        speeds: tuple[float, float],
        size: Size,
    ) -> None:
        self._gait, self._idle = gait, idle
        super().__init__(skin, others, PEDESTRIAN, speeds, size)

    def _poses(self, distance: float, seconds: float, walks: float) -> np.ndarray:
        if walks == 0:
            body = self._idle.at(distance, seconds)
        else:
            body = self._gait.at(distance, seconds)
            if walks < 1:
                share = np.float32(walks)
                body = body * share + self._idle.at(distance, seconds) * (1 - share)
        return np.concatenate([body, *(each.at(distance, seconds) for each in self._motions)])


def make_pedestrian(rng: np.random.Generator) -> Body:
    """Return a random pedestrian: how it is built, what it wears and carries, how it walks."""
    child = rng.random() < 0.12
    height = rng.uniform(0.95, 1.5) if child else np.clip(rng.normal(1.71, 0.09), 1.5, 1.98)
    person = HumanBody(rng, float(height))
    height, runs = person.height, rng.random() < 0.12
    carried = 'none' if runs else _draw_carried(rng, child)
    pram = _Pram(rng, person) if carried == 'pram' else None
    if pram:
        person.back = None
    skin = Skin(more=PARTS + (5 if pram else 0))
    person.add_to(skin)
    others: list[Motion] = []
    if pram:
        others = pram.add_to(skin, PARTS)
    elif carried != 'none':
        skin.add(*_make_carried(rng, carried, person))
    stride = height * (rng.uniform(1.05, 1.5) if runs else rng.uniform(0.68, 0.92))
    walking = _gait(rng, person, stride, runs)
    standing = _idle(rng, person)
    for postures in (walking, standing):
        _hold(postures, carried, pram)
    gait = motion(person.pose(walking), stride, offset=rng.random())
    idle = motion(person.pose(standing), rng.uniform(5, 11), 'seconds', rng.random())
    speeds = (2.0, 4.5) if runs else (0.7 * float(np.sqrt(height / 1.7)), 1.9 * height / 1.7)
    length = stride + 0.6 if pram else 0.75 * stride
    size = (length, 3.4 * person.shoulder_width, height)
    return Walker(skin, gait, idle, others, speeds, size)


def _draw_carried(rng: np.random.Generator, child: bool) -> str:
    kinds = ('none', 'bag', 'shopping', 'phone', 'umbrella', 'pram')
    kind = str(rng.choice(kinds, p=(0.6, 0.12, 0.1, 0.1, 0.04, 0.04)))
    return 'none' if child and kind in ('pram', 'umbrella') else kind


def _make_carried(rng: np.random.Generator, kind: str, person: HumanBody) -> tuple[Mesh, int]:
    """Return what is carried, in the rest pose, and the part that carries it."""
    side = int(rng.integers(2))
    y = person.shoulder_width * (1 - 2 * side)
    wrist = person.shoulder - person.arm - person.forearm
    shade = cloth(rng)
    if kind == 'shopping':
        tall = rng.uniform(0.25, 0.4)
        centre = (0, y, wrist - 0.14 - tall / 2)
        return box((0.3, 0.12, tall), centre, shade, 0.0, 0.85), FOREARM + side
    if kind == 'bag':
        low = person.hip - 0.05
        bag = box((0.3, 0.1, 0.24), (0, 1.65 * y, low), shade, 0.0, 0.9)
        strap = [(0.02, 1.5 * y, low + 0.1), (0.06, -0.3 * y, person.shoulder)]
        return merge([bag, tube(strap, 0.018, 3, shade)]), CHEST
    if kind == 'phone':
        return box((0.02, 0.075, 0.15), (0.03, y, wrist - 0.08), 0.1, 0.1), FOREARM + side
    # The umbrella is modelled along the forearm, which is held level: x is up then.
    handle = np.array((0.0, y, wrist - 0.05))
    top = handle + (0.95, 0, 0.1)
    sections = [
        circle(top + (ahead, 0, 0), (0, radius, 0), (0, 0, radius), 8)
        for ahead, radius in ((-0.22, 0.52), (-0.08, 0.38), (0.0, 0.03))
    ]
    dark = np.where(np.arange(8) % 2, shade, shade * rng.uniform(0.4, 1))
    canopy = loft(sections, dark[None], caps=(False, True))
    return merge([tube([handle, top], 0.012, 4, 0.1), canopy]), FOREARM


class _Pram:
    """A pram in front of its pusher, with wheels that roll."""

    def __init__(self, rng: np.random.Generator, person: HumanBody) -> None:
        self._shade, self._hood = cloth(rng), cloth(rng)
        self.handle = np.array((0.42 * person.arm / 0.3, 0.18, 0.6 * person.height))

    def add_to(self, skin: Skin, first: int) -> list[Motion]:
        """Add the pram; returns the motions of its five parts."""
        x, _, z = self.handle
        pieces = [
            box((0.75, 0.36, 0.26), (x + 0.55, 0, 0.66), self._shade, 0.0, 1.15),
            box((0.36, 0.38, 0.28), (x + 0.4, 0, 0.9), self._hood, 0.0, 0.6),
        ]
        for y in (0.2, -0.2):
            pieces.append(tube([(x, y, z), (x + 0.75, y, 0.2)], 0.014, 4, 0.3))
            pieces.append(tube([(x + 0.5, y, 0.55), (x + 0.2, y, 0.15)], 0.014, 4, 0.3))
        pieces.append(tube([(x, 0.2, z), (x, -0.2, z)], 0.016, 4, 0.05))
        skin.add(merge(pieces), first)
        centres = [(x + ahead, y, 0.14) for ahead in (0.8, 0.2) for y in (-0.23, 0.23)]
        spokes = np.where(np.arange(8) % 2, 0.04, 0.5)[None]
        for number, centre in enumerate(centres, first + 1):
            skin.add(ring(centre, (0, 1, 0), 0.02, 0.14, 8, spokes), number)
        return [still(), rolling(centres, 0.14)]


def _gait(rng: np.random.Generator, person: HumanBody, stride: float, runs: bool) -> Postures:
    """
    Return the postures of one cycle of two steps.

    A foot on the ground moves back as fast as the body moves on, so it does not slide.
    """

    def draw(running: tuple[float, float], walking: tuple[float, float]) -> float:
        return rng.uniform(*(running if runs else walking))

    stance = draw((0.3, 0.38), (0.58, 0.64))
    made = Postures(person, _STEPS)
    lift = person.height * draw((0.1, 0.16), (0.03, 0.06))
    toe_off, strike = draw((0.8, 1.1), (0.6, 0.85)), draw((0.0, 0.15), (0.2, 0.35))
    width = person.hip_width * rng.uniform(0.4, 1.0)
    front = 0.5 * stride * stance + person.heel * 0.25
    for side in (0, 1):
        made.balls[side], made.pitch[side] = _foot(
            (_PHASE + 0.5 * side) % 1, stride, stance, front, lift, strike, toe_off
        )
        made.balls[side, :, 1] = width * (1 - 2 * side)
    step = 4 * np.pi * _PHASE
    made.hips[:, 2] = _hip_height(person, made, stance, 0.97 if runs else 0.995)
    if runs:  # lowest over the standing leg, highest in flight
        bounce = 0.022 * person.height * np.cos(step - 2 * np.pi * stance)
        made.hips[:, 2] = made.hips[:, 2].mean() - bounce
    made.hips[:, 1] = -person.height * 0.012 * np.sin(2 * np.pi * (_PHASE - 0.05))
    made.lean[:] = draw((0.1, 0.25), (-0.02, 0.12))
    made.lean[:] += 0.02 * np.cos(step)
    turn = rng.uniform(0.05, 0.18)
    swing = np.cos(2 * np.pi * _PHASE)
    made.hip_twist[:], made.twist[:] = -0.5 * turn * swing, turn * swing
    made.roll[:] = 0.02 * np.sin(2 * np.pi * _PHASE)
    made.nod[:] = rng.uniform(-0.1, 0.25)
    reach = rng.uniform(0.5, 0.9) if runs else rng.choice((0.12, 0.35, 0.5))
    bent = draw((1.3, 1.9), (0.15, 0.5))
    for side in (0, 1):
        forward = -(1 - 2 * side) * swing
        made.swing[side] = reach * forward - (0.35 if runs else 0.05)
        made.elbow[side] = bent + 0.3 * reach * forward
        made.spread[side] = rng.uniform(0.08, 0.18)
    return made


def _foot(
    phase: np.ndarray,
    stride: float,
    stance: float,
    front: float,
    lift: float,
    strike: float,
    toe_off: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return place of the ball ``[K, 3]`` and pitch ``[K]`` of a foot that lands at phase 0."""
    back = front - stride * stance
    fly = np.clip((phase - stance) / (1 - stance), 0, 1)
    # Hermite: at both ends of the flight the foot moves as it does on the ground.
    slope = -stride * (1 - stance)
    swing = (
        (2 * fly**3 - 3 * fly**2 + 1) * back
        + (fly**3 - 2 * fly**2 + fly) * slope
        + (3 * fly**2 - 2 * fly**3) * front
        + (fly**3 - fly**2) * slope
    )
    ball = np.zeros((len(phase), 3))
    ball[:, 0] = np.where(phase < stance, front - stride * phase, swing)
    pitch = np.interp(
        phase,
        (0, 0.16 * stance, 0.6 * stance, stance, stance + 0.3 * (1 - stance), 0.9, 1),
        (strike, 0, 0, -toe_off, -0.6 * toe_off, strike, strike),
    )
    # A foot that lands on its heel has its ball in the air.
    heel = 2.0 * front * 0.16
    ball[:, 2] = lift * np.sin(np.pi * fly) ** 0.8 + heel * np.sin(np.maximum(pitch, 0))
    return ball, pitch


def _hip_height(person: HumanBody, made: Postures, stance: float, straight: float) -> np.ndarray:
    """Return ``[K]`` hip heights at which legs, straight up to a share, reach standing feet."""
    reach = straight * (person.thigh + person.shank)
    lowest = np.full(_STEPS, reach + person.ankle)
    for side in (0, 1):
        sine, cosine = np.sin(made.pitch[side]), np.cos(made.pitch[side])
        x = made.balls[side, :, 0] - person.heel * cosine - person.ankle * sine
        z = made.balls[side, :, 2] - person.heel * sine + person.ankle * cosine
        limit = z + np.sqrt(np.maximum(reach**2 - x**2, 0.1))
        stands = (_PHASE + 0.5 * side) % 1 <= stance
        lowest = np.where(stands, np.minimum(lowest, limit), lowest)
    # Hips rise and fall smoothly, twice in a cycle.
    wave = np.exp(4j * np.pi * _PHASE)
    bounce = 2 * ((lowest * wave.conj()).mean() * wave).real
    return np.quantile(lowest - bounce, 0.1) + bounce


def _idle(rng: np.random.Generator, person: HumanBody) -> Postures:
    """Return the postures of one round of standing about: weight shifts, arms and head move."""
    made, way = Postures(person, _STEPS), full_turn(_STEPS)

    def wave(size: float, most: int = 3) -> np.ndarray:
        number = np.arange(1, most + 1)[:, None]
        gain, turn = size * rng.uniform(0.4, 1, (most, 1)), rng.uniform(0, 6.3, (most, 1))
        return (gain / number * np.sin(number * way + turn)).sum(0)

    made.hips[:, 0] += wave(0.015)
    made.hips[:, 1] += wave(0.03)
    made.lean[:] = rng.uniform(-0.03, 0.08) + wave(0.02)
    made.twist[:] = wave(0.12)
    made.roll[:] = wave(0.03)
    made.nod[:] = rng.uniform(-0.05, 0.3) + wave(0.08)
    made.look[:] = wave(0.4)
    lively = rng.choice((0.05, 0.15, 0.5))
    for side in (0, 1):
        made.balls[side, :, 0] += rng.uniform(-0.08, 0.08)
        made.swing[side] = rng.uniform(-0.1, 0.15) + wave(lively, 4)
        made.elbow[side] = np.abs(rng.uniform(0.1, 0.9) + wave(1.5 * lively, 4))
        made.spread[side] = np.maximum(0.1, rng.uniform(0.08, 0.25) + wave(0.5 * lively))
    return made


def _hold(made: Postures, carried: str, pram: _Pram | None) -> None:
    """Keep the arms where what is carried wants them."""
    if pram is not None:
        both = np.stack([pram.handle, pram.handle * (1, -1, 1)])
        made.hands = np.repeat(both[:, None], _STEPS, 1)
    elif carried == 'umbrella':
        made.swing[0], made.elbow[0] = 0.25, 1.32
    elif carried == 'phone':
        made.swing = made.swing * 0.5 + 0.15
        made.elbow[:] = 1.7
        made.nod += 0.25
    elif carried == 'shopping':
        made.swing *= 0.3
        made.elbow *= 0.3
