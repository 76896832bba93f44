# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Scenes near the camera: a desk, a room, a courtyard, with what moves 0.2 to 6 m away.

Two thirds of them hold nothing that has a label: hands, boards, toys, fans, lamps, screens. In the
others people stand, sit and walk close by.
"""

from __future__ import annotations

import numpy as np
from sast_ros_training.simulation import near_textures
from sast_ros_training.simulation.draws import log_uniform
from sast_ros_training.simulation.motion import NO_WAVES
from sast_ros_training.simulation.near_motion import make_waves, NearCamera
from sast_ros_training.simulation.near_room import (
    DEPTHS,
    draw_walls,
    make_room,
    make_room_light,
    Walls,
)
from sast_ros_training.simulation.near_stage import Stage
from sast_ros_training.simulation.scene import Scene
from sast_ros_training.simulation.street import make_light

#: How often each place is drawn without and with people. The top of a desk, the floor of a room
#: and of a courtyard is z = 0.
_PLACES = {False: {'desk': 0.65, 'room': 0.27, 'court': 0.08}, True: {'room': 0.75, 'court': 0.25}}
_PEOPLE_SHARE = 1 / 3


def make_near_scene(
    rng: np.random.Generator, motion: str, size: tuple[int, int], seconds: float
) -> Scene:
    """
    Draw a scene near the camera.

    ``motion``: one of ``MOTIONS``, of which driving is to come nearer, go away or pass by;
    ``size``: height and width of the picture in pixels; ``seconds``: length of the sequence.
    """
    people = bool(rng.random() < _PEOPLE_SHARE)
    places = _PLACES[people]
    place = str(rng.choice(list(places), p=list(places.values())))
    images: list[np.ndarray] = []
    light = make_light(rng) if place == 'court' else make_room_light(rng, seconds)
    walls = draw_walls(rng, place, people)
    camera = _make_camera(rng, place, people, motion, size, seconds, walls)
    street = make_room(rng, place, walls, light, images)
    stage = Stage(rng, place, camera, walls, seconds)
    actors, still = stage.make_people() if people else ([], [])
    still += stage.make_still(people)
    moving = stage.make_moving(people)
    meshes = [piece.mesh for piece in street.pieces]
    meshes += [actor.body.mesh for actor in (*actors, *still, *moving)]
    used = np.unique(np.concatenate([mesh.texture for mesh in meshes]))
    images += near_textures.make(int(rng.integers(2**31)), used)
    return Scene(light, street, camera, actors, still, moving)


def _make_camera(
    rng: np.random.Generator,
    place: str,
    people: bool,
    motion: str,
    size: tuple[int, int],
    seconds: float,
    walls: Walls,
) -> NearCamera:
    """Draw how the camera is held and where it looks."""
    yaw = rng.uniform(0, 2 * np.pi)
    for _ in range(8 if people else 0):  # people need room
        if walls.distance(yaw) > 2.5:
            break
        yaw = rng.uniform(0, 2 * np.pi)
    if place == 'desk':
        height = log_uniform(rng, 0.08, 1.0)
        steep = rng.uniform(0.9, 1.5) if rng.random() < 0.3 else rng.uniform(0.0, 0.9)
        pitch = -steep if height > 0.25 else -0.4 * steep
    else:
        height = rng.uniform(0.7, 1.75) if rng.random() < 0.85 else rng.uniform(0.2, 2.2)
        pitch = rng.normal(0, 0.12) - 0.25 * (height - 1.2)
    focal = float(size[1] / 2 / np.tan(np.radians(rng.uniform(25, 90)) / 2))
    speed = turn = heading = bob = 0.0
    waves, sways = list(NO_WAVES), list(NO_WAVES)
    if motion == 'pan':
        if rng.random() < 0.5:
            waves[0] = make_waves(rng, rng.uniform(0.05, 0.8), 0.1, 0.8)
        else:
            turn = rng.choice((-1, 1)) * rng.uniform(0.05, 1.0)
        waves[1] = make_waves(rng, rng.uniform(0, 0.15), 0.1, 0.8)
    elif motion == 'handheld':
        if rng.random() < 0.7:
            shake = log_uniform(rng, 0.003, 0.05)
            waves = [make_waves(rng, shake * share, 0.4, 4.0) for share in (1, 0.8, 0.6)]
        else:  # shaken
            shake, beat = log_uniform(rng, 0.03, 0.3), rng.uniform(1.0, 7.0)
            shares = rng.uniform(0.1, 1, 3)
            waves = [make_waves(rng, shake * share, beat, 1.2 * beat) for share in shares]
        far = DEPTHS[place] * log_uniform(rng, 0.003, 0.06)
        sways = [make_waves(rng, far * share, 0.3, 4.0) for share in (1, 1, 1)]
        if place != 'desk' and rng.random() < 0.3:
            heading, speed, bob = yaw, rng.uniform(0.2, 0.8), rng.uniform(0.005, 0.02)
    elif motion == 'driving':
        heading = yaw + rng.choice((0.0, 0.0, np.pi, np.pi / 2, -np.pi / 2))
        speed = rng.uniform(0.05, 1.2) * (0.4 if place == 'desk' else 1.0)
        waves = [make_waves(rng, 0.006, 0.8, 6.0) for _ in range(3)]
        sways[2] = make_waves(rng, 0.3 * height * rng.random(), 0.1, 0.5)
    speed = min(speed, 0.5 * walls.distance(heading) / seconds)
    angles = float(yaw), float(pitch), float(rng.normal(0, 0.08))
    start = np.array([0.0, 0.0, height])
    return NearCamera(
        *(motion, *size, focal, start, heading, speed, (0.0, 0.0), turn, angles, waves, bob),
        sways=sways,
    )
