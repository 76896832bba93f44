"""
The human figure: its bones, what it wears, and how it is posed by hips, feet and hands.

Walkers, riders and passengers are all made of it. In the rest pose the figure stands upright with
its arms hanging; every bone has one part of the rig.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sast_ros_training.simulation.mesh import box, disc, ellipsoid, loft, merge, Mesh, tube
from sast_ros_training.simulation.rig import bend, limb, placed, rotation, Skin

PELVIS, CHEST, HEAD = 0, 1, 2
#: Parts of the left limbs; the right ones follow.
THIGH, SHANK, FOOT, ARM, FOREARM = 3, 5, 7, 9, 11
PARTS = 13

_FORWARD = np.array([[1.0, 0.0, 0.0]])


@dataclass(frozen=True)
class Bones:
    """
    Lengths of a figure in metres.

    hip: height of the hip joints; ankle: of the ankles; thigh, shank, arm, forearm: lengths;
    hip_width, shoulder_width: half the distance between left and right joint; trunk: from hip to
    shoulder; heel: how far the ankle is behind the ball of the foot; head: radius of the head.
    """

    height: float
    hip: float
    ankle: float
    thigh: float
    shank: float
    arm: float
    forearm: float
    hip_width: float
    shoulder_width: float
    trunk: float
    heel: float
    head: float

    @property
    def shoulder(self) -> float:
        """Height of the shoulder joints in the rest pose."""
        return self.hip + self.trunk


def make_bones(rng: np.random.Generator, height: float) -> Bones:
    """Return the proportions of a person of this height; children have larger heads."""
    child = float(np.clip((1.6 - height) / 0.8, 0, 1))
    vary = lambda low, high: float(rng.uniform(low, high)) * height  # noqa: E731
    hip = vary(0.5, 0.535) * (1 - 0.08 * child)
    ankle = 0.045 * height
    thigh = 0.51 * (hip - ankle)
    return Bones(
        height=height,
        hip=hip,
        ankle=ankle,
        thigh=thigh,
        shank=hip - ankle - thigh,
        arm=vary(0.165, 0.185),
        forearm=vary(0.14, 0.155),
        hip_width=vary(0.05, 0.058),
        shoulder_width=vary(0.1, 0.122),
        trunk=0.82 * height - 0.06 * child * height - hip,
        heel=vary(0.075, 0.09),
        head=(0.062 + 0.022 * child) * height,
    )


@dataclass(frozen=True)
class Clothes:
    """
    What the figure wears.

    Albedo of skin, hair, top, sleeves, legs, shoes; ``stripe``: of every second ring of the top,
    ``front``: of a strip down the chest (open jacket, print), ``back``: of a rucksack or None;
    sleeve, leg: share of the limb that is covered; girth: thickness of everything, 1 is slim;
    skirt: height of the hem as a share of the hip's height, or None; hat: albedo or None;
    long_hair: hair to the shoulders; hood: no face is seen.
    """

    skin: float
    hair: float
    top: float
    sleeve_albedo: float
    legs: float
    shoes: float
    stripe: float | None
    front: float | None
    back: float | None
    sleeve: float
    leg: float
    girth: float
    skirt: float | None
    skirt_albedo: float
    hat: float | None
    helmet: float | None
    long_hair: bool
    hood: bool


def cloth(rng: np.random.Generator) -> float:
    """Return the albedo of a piece of clothing: black to white, dark more often."""
    return float(0.03 + 0.85 * rng.random() ** 1.8)


def make_clothes(rng: np.random.Generator, summer: float = 0.5) -> Clothes:
    """Return a random outfit; ``summer``: 0 covered, 1 short sleeves and trousers."""
    top, legs = cloth(rng), cloth(rng)
    if rng.random() < 0.12:
        legs = top
    warm = rng.random() < summer
    skirt = None
    skirt_albedo = top
    chance = rng.random()
    if chance < 0.14:  # coat or long jacket
        skirt = float(rng.uniform(0.35, 0.75))
        warm = False
    elif chance < 0.22:  # dress
        skirt = float(rng.uniform(0.2, 0.6))
    elif chance < 0.29:
        skirt, skirt_albedo = float(rng.uniform(0.2, 0.65)), cloth(rng)
    skin = float(rng.choice((0.12, 0.25, 0.4, 0.5)) * rng.uniform(0.8, 1.2))
    bare_legs = skirt is not None and warm
    return Clothes(
        skin=skin,
        hair=float(rng.choice((0.03, 0.06, 0.15, 0.35, 0.6)) * rng.uniform(0.8, 1.2)),
        top=top,
        sleeve_albedo=top if rng.random() < 0.8 else cloth(rng),
        legs=legs,
        shoes=float(rng.choice((0.03, 0.08, 0.3, 0.8)) * rng.uniform(0.8, 1.1)),
        stripe=cloth(rng) if rng.random() < 0.2 else None,
        front=cloth(rng) if rng.random() < 0.25 else None,
        back=cloth(rng) if rng.random() < 0.2 else None,
        sleeve=float(rng.uniform(0.25, 0.5)) if warm else 1.0,
        leg=0.0
        if bare_legs
        else float(rng.uniform(0.3, 0.6))
        if warm and rng.random() < 0.5
        else 1,
        girth=float(np.clip(rng.normal(1.12, 0.14), 0.9, 1.6)) * (1.0 if warm else 1.08),
        skirt=skirt,
        skirt_albedo=skirt_albedo,
        hat=cloth(rng) if rng.random() < 0.15 else None,
        helmet=None,
        long_hair=bool(rng.random() < 0.4),
        hood=bool(rng.random() < 0.07),
    )


def dress(skin: Skin, bones: Bones, clothes: Clothes, first: int = 0) -> None:
    """Add the figure in the rest pose to the skin; its parts begin at ``first``."""
    for side in (0, 1):
        _leg(skin, bones, clothes, first, side)
        _arm(skin, bones, clothes, first, side)
    _trunk(skin, bones, clothes, first)
    _head(skin, bones, clothes, first)
    if clothes.skirt is not None:
        _skirt(skin, bones, clothes, first)


def _leg(skin: Skin, bones: Bones, clothes: Clothes, first: int, side: int) -> None:
    y = bones.hip_width * (1 - 2 * side)
    unit = bones.height * clothes.girth
    knee = bones.hip - bones.thigh
    cut = bones.hip - clothes.leg * (bones.hip - bones.ankle)
    heights = np.array(
        [
            bones.hip + 0.02 * unit,
            bones.hip - 0.4 * bones.thigh,
            knee + 0.035 * bones.height,
            knee - 0.03 * bones.height,
            knee - 0.35 * bones.shank,
            bones.ankle,
        ]
    )
    widths = np.array((0.054, 0.046, 0.034, 0.031, 0.032, 0.02)) * unit
    if clothes.leg > 0.9:
        widths[3:] = np.maximum(widths[3:], np.array((0.033, 0.033, 0.03)) * unit)
    middle = (heights[:-1] + heights[1:]) / 2
    shades = np.where(middle > cut - 0.02, clothes.legs, clothes.skin)[:, None]
    piece = tube([(0, y, z) for z in heights], widths, 6, shades, caps=(False, False))
    # Rings just above and below the knee share the bend.
    share = np.interp(piece.vertices[:, 2], heights[::-1], (1, 1, 0.8, 0.2, 0, 0))
    skin.add(piece, first + THIGH + side, first + SHANK + side, share)
    skin.add(_shoe(bones, clothes, y), first + FOOT + side)


def _shoe(bones: Bones, clothes: Clothes, y: float) -> Mesh:
    long, wide = 0.15 * bones.height, 0.028 * bones.height
    back = -0.35 * long
    sections = []
    for share, half, high in ((0, 0.75, 1.0), (0.4, 0.95, 1.05), (1, 0.8, 0.35)):
        x = back + share * long
        w, z = wide * half, bones.ankle * high
        sections.append([(x, y - w, 0), (x, y + w, 0), (x, y + 0.7 * w, z), (x, y - 0.7 * w, z)])
    return loft(sections, clothes.shoes)


def _arm(skin: Skin, bones: Bones, clothes: Clothes, first: int, side: int) -> None:
    sign = 1 - 2 * side
    y = bones.shoulder_width * sign
    unit = bones.height * clothes.girth
    elbow = bones.shoulder - bones.arm
    wrist = elbow - bones.forearm
    heights = np.array(
        [
            bones.shoulder + 0.012 * unit,
            bones.shoulder - 0.3 * bones.arm,
            elbow + 0.02 * bones.height,
            elbow - 0.02 * bones.height,
            wrist,
        ]
    )
    widths = np.array((0.016, 0.028, 0.024, 0.022, 0.017)) * unit
    cut = bones.shoulder - clothes.sleeve * (bones.arm + bones.forearm)
    middle = (heights[:-1] + heights[1:]) / 2
    shades = np.where(middle > cut, clothes.sleeve_albedo, clothes.skin)[:, None]
    piece = tube([(0, y, z) for z in heights], widths, 5, shades, caps=(True, False))
    share = np.interp(piece.vertices[:, 2], heights[::-1], (1, 0.8, 0.2, 0, 0))
    skin.add(piece, first + ARM + side, first + FOREARM + side, share)
    hand = 0.05 * bones.height
    palm = box((0.75 * hand, 0.5 * hand, 1.6 * hand), (0, y, wrist - 0.7 * hand), clothes.skin)
    skin.add(palm, first + FOREARM + side)


def _trunk(skin: Skin, bones: Bones, clothes: Clothes, first: int) -> None:
    unit = bones.height * clothes.girth
    low, high = bones.hip - 0.05 * bones.height, bones.shoulder
    # Height above the hip as a share of the trunk, half width, half depth, offset to the front.
    rows = np.array(
        [
            (low - bones.hip, 0.055 * unit + 0.2 * bones.hip_width, 0.055 * unit, 0),
            (0.0, bones.hip_width + 0.045 * unit, 0.066 * unit, 0),
            (0.38 * bones.trunk, 0.082 * unit, 0.058 * unit, 0.0),
            (0.7 * bones.trunk, 0.093 * unit, 0.066 * unit, 0.005),
            (0.97 * bones.trunk, bones.shoulder_width + 0.002 * unit, 0.052 * unit, 0),
            (1.08 * bones.trunk, 0.6 * bones.shoulder_width, 0.04 * unit, 0),
            (high - bones.hip + 0.045 * bones.height, 0.032 * unit, 0.032 * unit, 0.01),
        ]
    )
    sides = 8
    angle = 2 * np.pi * (np.arange(sides) + 0.5) / sides
    sections = np.empty((len(rows), sides, 3))
    for section, (z, wide, deep, ahead) in zip(sections, rows, strict=True):
        # Flatter than an ellipse in front and at the back.
        section[:, 0] = ahead + deep * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.8
        section[:, 1] = wide * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.8
        section[:, 2] = bones.hip + z
    shades = np.full((len(rows) - 1, sides), clothes.top)
    shades[0] = clothes.legs
    if clothes.stripe is not None:
        shades[2::2] = clothes.stripe
    if clothes.front is not None:
        # The section begins left of the middle: its last gap is the one across the front.
        shades[1:5, -1] = clothes.front
    piece = loft(sections, shades, caps=(True, False))
    share = np.interp(piece.vertices[:, 2], (bones.hip, bones.hip + 0.4 * bones.trunk), (0, 1))
    skin.add(piece, first + PELVIS, first + CHEST, share)
    if clothes.back is not None:
        skin.add(_pack(bones, clothes.back), first + CHEST)


def _pack(bones: Bones, albedo: float) -> Mesh:
    tall, deep = 0.26 * bones.height, 0.085 * bones.height
    back, top = -0.05 * bones.height, bones.shoulder + 0.01 * bones.height
    wide = 0.085 * bones.height
    sections = []
    for share, size in ((0, 0.9), (0.6, 1.0), (1, 0.6)):
        z = top - tall + share * tall
        w, d = wide * (0.7 + 0.3 * size), deep * size
        sections.append(
            [(back, w, z), (back - d, 0.8 * w, z), (back - d, -0.8 * w, z), (back, -w, z)]
        )
    return loft(sections, np.array([[albedo], [albedo * 0.8]]))


def _head(skin: Skin, bones: Bones, clothes: Clothes, first: int) -> None:
    radius = bones.head
    middle = np.array((0.012 * bones.height, 0, bones.height - 1.22 * radius))
    neck = tube(
        [(0, 0, bones.shoulder), middle - (0.01, 0, 0.8 * radius)],
        0.5 * radius,
        5,
        clothes.skin,
        caps=(False, False),
    )
    cells = np.full((5, 8), clothes.skin)
    cells[4], cells[3, 1:7], cells[2, 2:6], cells[1, 2:6] = (clothes.hair,) * 4
    if clothes.hood:
        cells[:] = clothes.top
        cells[1:4, [0, 7]] = clothes.skin * 0.6
    cover = clothes.helmet if clothes.helmet is not None else None
    if cover is not None:
        cells[3:], cells[2, 2:6] = cover, cover
    scale = 1.12 if cover is not None else 1.0
    pieces = [
        neck,
        ellipsoid(
            middle,
            (1.02 * radius * scale, 0.8 * radius * scale, 1.22 * radius * scale),
            8,
            5,
            cells,
        ),
    ]
    if clothes.long_hair and not clothes.hood:
        top = middle + (-0.35 * radius, 0, 0.2 * radius)
        low = middle + (-0.6 * radius, 0, -1.9 * radius)
        pieces.append(tube([top, low], (0.85 * radius, 0.6 * radius), 5, clothes.hair))
    if clothes.hat is not None and cover is None:
        brim = middle + (0.15 * radius, 0, 0.55 * radius)
        pieces.append(disc(brim, (0, 0, 1), 1.45 * radius, 7, clothes.hat))
        pieces.append(
            tube(
                [brim - (0.15 * radius, 0, 0), brim + (-0.15 * radius, 0, 0.8 * radius)],
                (1.0 * radius, 0.8 * radius),
                7,
                clothes.hat,
                caps=(False, True),
            )
        )
    skin.add(merge(pieces), first + HEAD)


def _skirt(skin: Skin, bones: Bones, clothes: Clothes, first: int) -> None:
    assert clothes.skirt is not None
    unit = bones.height * clothes.girth
    top, hem = bones.hip + 0.3 * bones.trunk, clothes.skirt * bones.hip
    sides = 8
    angle = 2 * np.pi * (np.arange(sides) + 0.5) / sides
    sections = np.empty((4, sides, 3))
    for section, share in zip(sections, np.linspace(0, 1, 4), strict=True):
        wide = np.interp(share, (0, 0.35, 1), (0.085, 0.112, 0.135)) * unit
        deep = np.interp(share, (0, 0.35, 1), (0.066, 0.085, 0.115)) * unit
        section[:, 0], section[:, 1] = deep * np.cos(angle), wide * np.sin(angle)
        section[:, 2] = top + share * (hem - top)
    piece = loft(sections, clothes.skirt_albedo, caps=(False, False))
    share = np.interp(piece.vertices[:, 2], (hem, bones.hip), (0.75, 0.0))
    thigh = first + THIGH + (piece.vertices[:, 1] < 0)
    skin.add(piece, first + PELVIS, thigh, share)


@dataclass
class Pose:
    """
    K postures: hips, trunk, feet and hands.

    hips: ``[K, 3]`` middle of the hip joints. lean, twist, roll: ``[K]`` of the trunk, radians;
    lean is forward, twist and roll are to the left. hip_twist: ``[K]``. nod, look: of the head.
    balls: ``[2, K, 3]`` ball of the left and right foot; pitch: ``[2, K]`` toes up.
    knees: ``[2, K, 3]`` directions that the knees bend to.
    swing: ``[2, K]`` of the arms forward, spread: ``[2, K]`` to the side, elbow: ``[2, K]`` bend.
    hands: ``[2, K, 3]`` places of the wrists, which count instead of the three where given.
    """

    hips: np.ndarray
    lean: np.ndarray
    twist: np.ndarray
    roll: np.ndarray
    hip_twist: np.ndarray
    nod: np.ndarray
    look: np.ndarray
    balls: np.ndarray
    pitch: np.ndarray
    knees: np.ndarray
    swing: np.ndarray
    spread: np.ndarray
    elbow: np.ndarray
    hands: np.ndarray | None = None


def pose(bones: Bones, postures: Pose) -> list[np.ndarray]:
    """Return the matrices of the figure's parts, ``PARTS`` times ``[K, 4, 4]``."""
    count = len(postures.hips)
    matrices: list[np.ndarray] = [np.empty(0)] * PARTS
    hip = np.array((0, 0, bones.hip))
    pelvis = rotation(2, postures.hip_twist) @ rotation(0, -0.5 * postures.roll)
    chest = rotation(2, postures.twist) @ rotation(1, postures.lean) @ rotation(0, -postures.roll)
    half = rotation(1, 0.4 * postures.lean)
    matrices[PELVIS] = placed(pelvis @ half, hip, postures.hips)
    matrices[CHEST] = placed(chest, hip, postures.hips)
    neck = np.array((0, 0, bones.shoulder + 0.02 * bones.height))
    head = rotation(2, postures.twist + postures.look) @ rotation(1, postures.nod)
    matrices[HEAD] = placed(head, neck, _moved(matrices[CHEST], neck))
    for side in (0, 1):
        sign = 1 - 2 * side
        joint = np.array((0, sign * bones.hip_width, bones.hip))
        start = _moved(placed(pelvis, hip, postures.hips), joint)
        turn = rotation(1, -postures.pitch[side])
        ankle = postures.balls[side] + turn @ np.array((-bones.heel, 0, bones.ankle))
        knee, reached = bend(start, ankle, bones.thigh, bones.shank, postures.knees[side])
        matrices[THIGH + side] = limb(joint, start, knee, postures.knees[side])
        rest_knee = joint - (0, 0, bones.thigh)
        matrices[SHANK + side] = limb(rest_knee, knee, reached, postures.knees[side])
        foot = (0.0, sign * bones.hip_width, bones.ankle)
        matrices[FOOT + side] = placed(turn, foot, reached)
        joint = np.array((0, sign * bones.shoulder_width, bones.shoulder))
        start = _moved(matrices[CHEST], joint)
        elbow, wrist, front = _arm_pose(bones, postures, side, start, count)
        matrices[ARM + side] = limb(joint, start, elbow, front)
        matrices[FOREARM + side] = limb(joint - (0, 0, bones.arm), elbow, wrist, front)
    return matrices


def _moved(matrices: np.ndarray, point: np.ndarray) -> np.ndarray:
    return matrices[:, :3, :3] @ point + matrices[:, :3, 3]


def _arm_pose(
    bones: Bones, postures: Pose, side: int, start: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return elbow, wrist and the front of the arm, ``[K, 3]`` each."""
    sign = 1 - 2 * side
    if postures.hands is not None:
        # Elbows hang down and a little outwards.
        pole = np.tile((-0.6, 0.5 * sign, -0.8), (count, 1))
        elbow, wrist = bend(start, postures.hands[side], bones.arm, bones.forearm, pole)
        return elbow, wrist, np.tile((1.0, 0.0, 0.4), (count, 1))
    yaw = rotation(2, 0.7 * postures.twist)
    upper = yaw @ _hanging(postures.swing[side], sign * postures.spread[side])[..., None]
    lower = (
        yaw
        @ _hanging(
            postures.swing[side] + postures.elbow[side], 0.3 * sign * postures.spread[side]
        )[..., None]
    )
    elbow = start + bones.arm * upper[..., 0]
    wrist = elbow + bones.forearm * lower[..., 0]
    # At right angles to the forearm, so that the front never points along the bone.
    angle = postures.swing[side] + 0.5 * postures.elbow[side]
    return elbow, wrist, np.stack([np.cos(angle), np.zeros(count), np.sin(angle)], -1)


def _hanging(forward: np.ndarray, out: np.ndarray) -> np.ndarray:
    """``[K, 3]`` directions of a bone that hangs down, swung forward and out to the left."""
    return np.stack(
        [np.sin(forward) * np.cos(out), np.sin(out), -np.cos(forward) * np.cos(out)], -1
    )


def standing(bones: Bones, count: int) -> Pose:
    """Return ``count`` times the rest pose, with its own arrays to be changed."""
    balls = np.zeros((2, count, 3))
    balls[:, :, 0] = bones.heel
    balls[0, :, 1], balls[1, :, 1] = bones.hip_width, -bones.hip_width
    return Pose(
        hips=np.tile((0.0, 0.0, 0.985 * bones.hip), (count, 1)),
        lean=np.zeros(count),
        twist=np.zeros(count),
        roll=np.zeros(count),
        hip_twist=np.zeros(count),
        nod=np.zeros(count),
        look=np.zeros(count),
        balls=balls,
        pitch=np.zeros((2, count)),
        knees=np.tile(_FORWARD, (2, count, 1)),
        swing=np.zeros((2, count)),
        spread=np.full((2, count), 0.1),
        elbow=np.full((2, count), 0.15),
    )
