"""Pedestrians: adults and children who walk, run and stand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sast_ros_training.simulation import human_body
from sast_ros_training.simulation.human_body import Bones, Pose
from sast_ros_training.simulation.mesh import Body, box, loft, merge, Mesh, ring, tube
from sast_ros_training.simulation.rig import (
    Motion,
    motion,
    RiggedBody,
    rolling,
    Skin,
    Standstill,
    still,
)

PEDESTRIAN = 0

#: Postures in one cycle of two steps, and in one of standing about.
_STEPS = 48


class Walker(RiggedBody):
    """
    A person whose legs step by the distance and who stands when it does not change.

    Whether it stands follows from the earlier calls: their times must not run backwards.
    """

    def __init__(
        self,
        skin: Skin,
        gait: Motion,
        idle: Motion,
        others: list[Motion],
        speeds: tuple[float, float],
        size: tuple[float, float, float],
    ) -> None:
        self._gait, self._idle = gait, idle
        self._standstill = Standstill()
        super().__init__(skin, others, PEDESTRIAN, speeds, size)

    def _poses(self, distance: float, seconds: float) -> np.ndarray:
        walks = np.float32(self._standstill.walks(distance, seconds))
        if walks == 0:
            body = self._idle.at(distance, seconds)
        else:
            body = self._gait.at(distance, seconds)
            if walks < 1:
                body = body * walks + self._idle.at(distance, seconds) * (1 - walks)
        rest = [motion.at(distance, seconds) for motion in self._motions]
        return np.concatenate([body, *rest]) if rest else body


def make_pedestrian(rng: np.random.Generator) -> Body:
    """Return a random pedestrian: how it is built, what it wears and carries, how it walks."""
    child = rng.random() < 0.12
    height = float(rng.uniform(0.95, 1.5) if child else np.clip(rng.normal(1.71, 0.09), 1.5, 1.98))
    bones = human_body.make_bones(rng, height)
    clothes = human_body.make_clothes(rng)
    runs = rng.random() < 0.12
    burden = 'none' if runs else _burden(rng, child)
    if burden == 'pram':
        clothes = replace(clothes, back=None)
    prams = _Pram(rng, bones) if burden == 'pram' else None
    skin = Skin(human_body.PARTS + (5 if prams else 0))
    human_body.dress(skin, bones, clothes)
    others: list[Motion] = []
    if prams:
        others = prams.add(skin, human_body.PARTS)
    elif burden != 'none':
        piece, part = _carried(rng, burden, bones)
        skin.add(piece, part)
    stride = height * float(rng.uniform(1.05, 1.5) if runs else rng.uniform(0.68, 0.92))
    postures = _gait(rng, bones, stride, runs)
    resting = _idle(rng, bones)
    for each in (postures, resting):
        _hold(each, burden, bones, prams)
    gait = motion(human_body.pose(bones, postures), stride, offset=float(rng.random()))
    idle = motion(
        human_body.pose(bones, resting), float(rng.uniform(5, 11)), 'seconds', rng.random()
    )
    speeds = (2.0, 4.5) if runs else (0.7 * np.sqrt(height / 1.7), 1.9 * height / 1.7)
    length = 0.75 * stride if not prams else stride + 0.6
    size = (float(length), 3.4 * bones.shoulder_width, height)
    return Walker(skin, gait, idle, others, (float(speeds[0]), float(speeds[1])), size)


def _burden(rng: np.random.Generator, child: bool) -> str:
    kinds = ('none', 'bag', 'shopping', 'phone', 'umbrella', 'pram')
    share = (0.6, 0.12, 0.1, 0.1, 0.04, 0.04)
    kind = str(rng.choice(kinds, p=share))
    return 'none' if child and kind in ('pram', 'umbrella') else kind


def _carried(rng: np.random.Generator, burden: str, bones: Bones) -> tuple[Mesh, int]:
    """Return what is carried, in the rest pose, and the part that carries it."""
    side = int(rng.integers(2))
    y = bones.shoulder_width * (1 - 2 * side)
    wrist = bones.shoulder - bones.arm - bones.forearm
    shade = human_body.cloth(rng)
    part = human_body.FOREARM + side
    if burden == 'shopping':
        tall = float(rng.uniform(0.25, 0.4))
        middle = (0, y, wrist - 0.14 - tall / 2)
        return box((0.3, 0.12, tall), middle, shade, 0.0, 0.85), part
    if burden == 'bag':
        low = bones.hip - 0.05
        bag = box((0.3, 0.1, 0.24), (0, 1.65 * y, low), shade, 0.0, 0.9)
        strap = tube(
            [(0.02, 1.5 * y, low + 0.1), (0.06, -0.3 * y, bones.shoulder)], 0.018, 3, shade
        )
        return merge([bag, strap]), human_body.CHEST
    if burden == 'phone':
        return box(
            (0.02, 0.075, 0.15), (0.03, y, wrist - 0.08), 0.1, 0.1
        ), human_body.FOREARM + side
    # The umbrella is modelled along the forearm, which is held level: x is up then.
    handle = np.array((0.0, y, wrist - 0.05))
    top = handle + (0.95, 0, 0.1)
    sections = []
    for ahead, radius in ((-0.22, 0.52), (-0.08, 0.38), (0.0, 0.03)):
        angle = 2 * np.pi * np.arange(8) / 8
        sections.append(
            top + np.stack([np.full(8, ahead), radius * np.cos(angle), radius * np.sin(angle)], -1)
        )
    dark = np.where(np.arange(8) % 2, shade, shade * float(rng.uniform(0.4, 1)))
    return (
        merge(
            [tube([handle, top], 0.012, 4, 0.1), loft(sections, dark[None], caps=(False, True))]
        ),
        human_body.FOREARM + 0,
    )


class _Pram:
    """A pram in front of its pusher, with wheels that roll."""

    def __init__(self, rng: np.random.Generator, bones: Bones) -> None:
        self._shade, self._hood = human_body.cloth(rng), human_body.cloth(rng)
        self.handle = np.array((0.42 * bones.arm / 0.3, 0.18, 0.6 * bones.height))

    def add(self, skin: Skin, first: int) -> list[Motion]:
        """Add the pram; returns the motions of its five parts."""
        x, z = self.handle[0], self.handle[2]
        pieces = [
            box((0.75, 0.36, 0.26), (x + 0.55, 0, 0.66), self._shade, 0.0, 1.15),
            box((0.36, 0.38, 0.28), (x + 0.4, 0, 0.9), self._hood, 0.0, 0.6),
        ]
        for y in (0.2, -0.2):
            pieces.append(tube([(x, y, z), (x + 0.75, y, 0.2)], 0.014, 4, 0.3))
            pieces.append(tube([(x + 0.5, y, 0.55), (x + 0.2, y, 0.15)], 0.014, 4, 0.3))
        pieces.append(tube([(x, 0.2, z), (x, -0.2, z)], 0.016, 4, 0.05))
        skin.add(merge(pieces), first)
        centres = []
        for wheel, ahead in ((0, 0.8), (1, 0.8), (2, 0.2), (3, 0.2)):
            centre = (x + ahead, 0.23 if wheel % 2 else -0.23, 0.14)
            centres.append(centre)
            spokes = np.where(np.arange(8) % 2, 0.04, 0.5)[None]
            skin.add(ring(centre, (0, 1, 0), 0.02, 0.14, 8, spokes), first + 1 + wheel)
        return [still(), rolling(centres, 0.14)]


def _gait(rng: np.random.Generator, bones: Bones, stride: float, runs: bool) -> Pose:
    """
    Return the postures of one cycle of two steps.

    A foot on the ground moves back as fast as the body moves on, so it does not slide.
    """
    phase = np.arange(_STEPS) / _STEPS
    stance = float(rng.uniform(0.3, 0.38) if runs else rng.uniform(0.58, 0.64))
    made = human_body.standing(bones, _STEPS)
    lift = bones.height * float(rng.uniform(0.1, 0.16) if runs else rng.uniform(0.03, 0.06))
    toe_off = float(rng.uniform(0.8, 1.1) if runs else rng.uniform(0.6, 0.85))
    strike = float(rng.uniform(0.0, 0.15) if runs else rng.uniform(0.2, 0.35))
    width = bones.hip_width * float(rng.uniform(0.4, 1.0))
    front = 0.5 * stride * stance + bones.heel * 0.25
    for side in (0, 1):
        made.balls[side], made.pitch[side] = _foot(
            (phase + 0.5 * side) % 1, stride, stance, front, lift, strike, toe_off
        )
        made.balls[side, :, 1] = width * (1 - 2 * side)
    step = 4 * np.pi * phase
    made.hips[:, 2] = _hip_height(bones, made, stance, 0.97 if runs else 0.995)
    if runs:  # lowest over the standing leg, highest in flight
        made.hips[:, 2] = made.hips[:, 2].mean() - 0.022 * bones.height * np.cos(
            step - 2 * np.pi * stance
        )
    made.hips[:, 1] = -bones.height * 0.012 * np.sin(2 * np.pi * (phase - 0.05))
    made.lean[:] = float(rng.uniform(0.1, 0.25) if runs else rng.uniform(-0.02, 0.12))
    made.lean[:] += 0.02 * np.cos(step)
    turn = float(rng.uniform(0.05, 0.18))
    swing = np.cos(2 * np.pi * phase)
    made.hip_twist[:] = -0.5 * turn * swing
    made.twist[:] = turn * swing
    made.roll[:] = 0.02 * np.sin(2 * np.pi * phase)
    made.nod[:] = float(rng.uniform(-0.1, 0.25))
    reach = float(rng.uniform(0.5, 0.9) if runs else rng.choice((0.12, 0.35, 0.5)))
    bent = float(rng.uniform(1.3, 1.9) if runs else rng.uniform(0.15, 0.5))
    for side in (0, 1):
        forward = -(1 - 2 * side) * swing
        made.swing[side] = reach * forward - (0.35 if runs else 0.05)
        made.elbow[side] = bent + 0.3 * reach * forward
        made.spread[side] = float(rng.uniform(0.08, 0.18))
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


def _hip_height(bones: Bones, made: Pose, stance: float, straight: float) -> np.ndarray:
    """
    Return ``[K]`` heights of the hips at which the legs reach the feet that stand.

    straight: share of its length to which the leg stretches at most.
    """
    phase = np.arange(_STEPS) / _STEPS
    reach = straight * (bones.thigh + bones.shank)
    lowest = np.full(_STEPS, reach + bones.ankle)
    for side in (0, 1):
        pitch = made.pitch[side]
        x = made.balls[side, :, 0] - bones.heel * np.cos(pitch) - bones.ankle * np.sin(pitch)
        z = made.balls[side, :, 2] - bones.heel * np.sin(pitch) + bones.ankle * np.cos(pitch)
        limit = z + np.sqrt(np.maximum(reach**2 - x**2, 0.1))
        stands = (phase + 0.5 * side) % 1 <= stance
        lowest = np.where(stands, np.minimum(lowest, limit), lowest)
    # Hips rise and fall smoothly, twice in a cycle.
    wave = np.exp(4j * np.pi * phase)
    bounce = 2 * ((lowest * wave.conj()).mean() * wave).real
    return np.quantile(lowest - bounce, 0.1) + bounce


def _idle(rng: np.random.Generator, bones: Bones) -> Pose:
    """Return the postures of one round of standing about: weight shifts, arms and head move."""
    made = human_body.standing(bones, _STEPS)
    way = 2 * np.pi * np.arange(_STEPS) / _STEPS

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
    lively = float(rng.choice((0.05, 0.15, 0.5)))
    for side in (0, 1):
        made.balls[side, :, 0] += rng.uniform(-0.08, 0.08)
        made.swing[side] = rng.uniform(-0.1, 0.15) + wave(lively, 4)
        made.elbow[side] = np.abs(rng.uniform(0.1, 0.9) + wave(1.5 * lively, 4))
        made.spread[side] = np.maximum(0.1, rng.uniform(0.08, 0.25) + wave(0.5 * lively))
    return made


def _hold(made: Pose, burden: str, bones: Bones, pram: _Pram | None) -> None:
    """Keep the arms where what is carried wants them."""
    if pram is not None:
        hands = np.repeat(np.stack([pram.handle, pram.handle * (1, -1, 1)])[:, None], _STEPS, 1)
        made.hands = hands
    elif burden == 'umbrella':
        made.swing[0], made.elbow[0] = 0.25, 1.32
    elif burden == 'phone':
        made.swing *= 0.5
        made.swing[:, :] += 0.15
        made.elbow[0], made.elbow[1] = 1.7, 1.7
        made.nod += 0.25
    elif burden == 'shopping':
        made.swing *= 0.3
        made.elbow *= 0.3
