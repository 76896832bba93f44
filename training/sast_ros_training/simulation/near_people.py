# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
People near the camera: with faces, fingers and patterned clothes, who walk, gesture or sit.

They are labelled as all pedestrians are, with the box of the whole body.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sast_ros_training.simulation.body import Body, RiggedBody, Skin
from sast_ros_training.simulation.draws import log_uniform
from sast_ros_training.simulation.human_body import FOREARM, HEAD, HumanBody, PARTS, Postures
from sast_ros_training.simulation.mesh import merge, Mesh, textured
from sast_ros_training.simulation.near_textures import CLOTHS, PRINTS
from sast_ros_training.simulation.people import make_pedestrian, PEDESTRIAN
from sast_ros_training.simulation.rig import full_turn, motion
from sast_ros_training.simulation.shapes import box, ellipsoid, ring, tube

_STEPS = 48
_WAY = full_turn(_STEPS)


def make_person(rng: np.random.Generator) -> tuple[Body, Body | None]:
    """Return a person who walks past or stands about, gestures, or sits, and then a chair."""
    kind = rng.choice(3, p=(0.45, 0.35, 0.2))
    if kind == 0:
        body = make_pedestrian(rng)
        body.mesh = _patterned(rng, body.mesh)
        return body, None
    if kind == 1:
        return _make_posed(rng, None), None
    high = rng.uniform(0.42, 0.55)
    return _make_posed(rng, high), make_chair(rng, high - 0.08)


def _make_posed(rng: np.random.Generator, seat: float | None) -> Body:
    """Return a person on the spot; ``seat``: height of the hips of one who sits."""
    height = float(np.clip(rng.normal(1.71, 0.09), 1.2, 1.98))
    person = HumanBody(rng, height)
    person.skirt = person.skirt if seat is None else None
    skin = Skin(more=PARTS)
    person.add_to(skin)
    skin.add(merge(_face(rng, person)), HEAD)
    for side in (0, 1):
        skin.add(merge(_fingers(person, side)), FOREARM + side)
    postures = _gestures(rng, person, seat)
    moves = motion(person.pose(postures), rng.uniform(1.0, 6.0), 'seconds', rng.random())
    size = (0.5, 3.6 * person.shoulder_width, float(postures.hips[0, 2]) + height - person.hip)
    body = RiggedBody(skin, [moves], PEDESTRIAN, (0.0, 0.0), size)
    body.mesh = _patterned(rng, body.mesh)
    return body


def _patterned(rng: np.random.Generator, mesh: Mesh) -> Mesh:
    """Return the mesh with cloth below the head: a tone is a piece of clothing."""
    texture, uv = mesh.texture.copy(), mesh.uv.copy()
    below = mesh.vertices[mesh.triangles][..., 2].max(1) < 0.85 * mesh.vertices[:, 2].max()
    for tone in np.unique(mesh.albedo):
        if rng.random() < 0.35:
            chosen = (mesh.albedo == tone) & below
            print_on = rng.random() < 0.15
            kind = int(rng.choice(PRINTS if print_on else CLOTHS))
            whole = textured(mesh, kind, rng.uniform(1, 5))
            texture[chosen], uv[chosen] = whole.texture[chosen], whole.uv[chosen]
    return replace(mesh, texture=texture, uv=uv)


def _face(rng: np.random.Generator, person: HumanBody) -> list[Mesh]:
    """Return eyes, brows, nose, mouth, ears and now and then glasses, in the rest pose."""
    radius, skin = person.head, person.skin
    middle = np.array((0.012 * person.height, 0, person.height - 1.22 * radius))
    dark = min(0.5 * skin, 0.08)
    pieces = []

    def put(place: tuple[float, float, float], radii: tuple[float, ...], tone: float) -> None:
        scaled = radius * np.array(radii)
        pieces.append(ellipsoid(middle + radius * np.array(place), scaled, 6, 4, tone))

    for y in (-0.32, 0.32):
        put((0.84, y, 0.12), (0.08, 0.13, 0.07), min(1.6 * skin, 0.85))
        put((0.9, y, 0.12), (0.05, 0.06, 0.06), 0.02)
        put((0.86, y, 0.32), (0.06, 0.17, 0.04), person.hair)
        put((0.0, 2.4 * y, 0.05), (0.15, 0.06, 0.22), skin * 0.9)
    put((1.0, 0, -0.12), (0.16, 0.12, 0.22), skin * 1.05)
    put((0.87, 0, -0.5), (0.06, 0.25, 0.06), dark + 0.5 * skin)
    if rng.random() < 0.3:
        rim = rng.choice((0.03, 0.3))
        for y in (-0.33, 0.33):
            lens = middle + radius * np.array((0.98, y, 0.1))
            pieces.append(ring(lens, (1, 0, 0), 0.22 * radius, 0.28 * radius, 9, rim))
            ends = middle + radius * np.array([(0.98, 1.8 * y, 0.12), (0.0, 2.4 * y, 0.15)])
            pieces.append(tube(ends, 0.03 * radius, 3, rim))
    if rng.random() < 0.2:  # a beard
        put((0.55, 0, -0.75), (0.4, 0.5, 0.35), person.hair)
    return pieces


def _fingers(person: HumanBody, side: int) -> list[Mesh]:
    """Return the fingers of a hand, in the rest pose."""
    y = person.shoulder_width * (1 - 2 * side)
    wrist = person.shoulder - person.arm - person.forearm
    unit = 0.05 * person.height
    pieces = []
    for number in range(4):
        x = (number - 1.5) * 0.19 * unit
        line = [(x, y, wrist - 1.4 * unit), (1.15 * x, 0.98 * y, wrist - 2.2 * unit)]
        pieces.append(tube(line, 0.085 * unit, 5, person.skin))
    thumb = [(0.3 * unit, y, wrist - 0.4 * unit), (0.75 * unit, 0.95 * y, wrist - 1.3 * unit)]
    pieces.append(tube(thumb, 0.1 * unit, 5, person.skin))
    return pieces


def _gestures(rng: np.random.Generator, person: HumanBody, seat: float | None) -> Postures:
    """Return one round of talking with hands, waving, reaching or keeping nearly still."""
    made = Postures(person, _STEPS)

    def wave(size: float, most: int = 3) -> np.ndarray:
        number = np.arange(1, most + 1)[:, None]
        gain, turn = size * rng.uniform(0.3, 1, (most, 1)), rng.uniform(0, 6.3, (most, 1))
        return (gain / number * np.sin(number * _WAY + turn)).sum(0)

    lively = log_uniform(rng, 0.05, 1.0)
    if seat is not None:
        made.hips[:, 2] = seat
        made.balls[:, :, 0] += person.thigh * rng.uniform(0.7, 1.2)
    made.hips[:, 0] += wave(0.02)
    made.hips[:, 1] += wave(0.05 if seat is None else 0.02)
    made.lean[:] = rng.uniform(-0.1, 0.3) + wave(0.1 * lively)
    made.twist[:] = wave(0.3 * lively)
    made.roll[:] = wave(0.06)
    made.nod[:] = rng.uniform(-0.15, 0.3) + wave(0.2 * lively)
    made.look[:] = rng.normal(0, 0.2) + wave(0.6 * lively)
    kind = rng.integers(3)
    if kind == 0:  # arms swing from the shoulder
        for side in (0, 1):
            made.swing[side] = rng.uniform(0, 0.9) + wave(lively, 4)
            made.elbow[side] = np.abs(rng.uniform(0.2, 1.8) + wave(lively, 4))
            made.spread[side] = np.maximum(0.1, rng.uniform(0.1, 0.5) + wave(0.5 * lively))
        return made
    # Hands at places in front, at the side or above
    shoulder = made.hips[:, 2] + person.trunk
    hands = np.zeros((2, _STEPS, 3))
    for side in (0, 1):
        sign = 1 - 2 * side
        ahead, aside = rng.uniform(0.2, 0.6), rng.uniform(0.0, 0.45)
        above = rng.uniform(-0.45, 0.1) if kind == 1 or side else rng.uniform(0.0, 0.45)
        hands[side, :, 0] = made.hips[:, 0] + ahead + wave(0.15 * lively, 4)
        hands[side, :, 1] = sign * aside + wave(0.3 * lively, 4)
        hands[side, :, 2] = shoulder + above + wave(0.2 * lively, 4)
    made.hands = hands
    return made


def make_chair(rng: np.random.Generator, high: float) -> Body:
    """Return a chair or stool with its seat at a height; the front is x."""
    seat, shade = rng.uniform(0.38, 0.5), rng.uniform(0.03, 0.8)
    pieces = [box((seat, seat, 0.05), (0, 0, high - 0.03), shade)]
    for x in (-0.45, 0.45):
        for y in (-0.45, 0.45):
            foot, top = (x * seat, y * seat, 0), (0.9 * x * seat, 0.9 * y * seat, high - 0.05)
            pieces.append(tube([foot, top], 0.018, 5, rng.uniform(0.05, 0.5)))
    if rng.random() < 0.75:
        tall = rng.uniform(0.3, 0.6)
        pieces.append(box((0.04, seat, tall), (-0.5 * seat, 0, high + 0.1 + tall / 2), shade))
    return Body(merge(pieces))
