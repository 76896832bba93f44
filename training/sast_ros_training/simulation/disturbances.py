# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which weather, reflections, knocks and restless things a sequence has that are no road users."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np
from sast_ros_training.simulation import outdoor_bodies as bodies
from sast_ros_training.simulation import weather
from sast_ros_training.simulation.actors import Actor
from sast_ros_training.simulation.draws import log_uniform, log_uniforms
from sast_ros_training.simulation.mirror import Mirror, MIRRORS
from sast_ros_training.simulation.motion import make_path, make_waves, MovingCamera
from sast_ros_training.simulation.street import Street

#: How often a sequence has none, one, two or three kinds.
COUNTS = (0.2, 0.42, 0.28, 0.1)

#: How often each kind is drawn, relative to the others.
SHARES = {
    'rain': 0.09,
    'snow': 0.05,
    'insects': 0.08,
    'passing shade': 0.08,
    'flashes': 0.05,
    'mains flicker': 0.05,
    'foliage': 0.16,
    'cloth': 0.06,
    'flock': 0.05,
    'swinging lamp': 0.06,
    'beacon': 0.05,
    'signals': 0.04,
    'screen': 0.08,
    'wires': 0.05,
    'wet ground': 0.05,
    'water': 0.04,
    'windows': 0.04,
    'knocks': 0.05,
    'vibration': 0.03,
}

#: Kinds that are met indoors and on desks as well.
INDOOR = frozenset({'insects', 'passing shade', 'flashes', 'mains flicker', 'knocks', 'vibration'})

#: Kinds that make sense, or are affordable, for a camera that stands only.
_STANDING_ONLY = frozenset({'mains flicker', 'knocks', 'vibration', *MIRRORS})


@dataclass(frozen=True)
class Disturbances:
    """
    What a sequence holds besides road users and what stands in every street.

    ``names``: kinds, of ``SHARES``; ``camera``: the camera, perhaps knocked; ``actors``: bodies
    that move or blink, without owner; ``effects``: what changes pictures; ``mirror``: a surface
    that reflects.
    """

    names: tuple[str, ...]
    camera: MovingCamera
    actors: list[Actor] = field(default_factory=list)
    effects: list[weather.Effect] = field(default_factory=list)
    mirror: Mirror | None = None


def draw_disturbances(
    rng: np.random.Generator,
    camera: MovingCamera,
    street: Street,
    seconds: float,
    kinds: Collection[str] = tuple(SHARES),
) -> Disturbances:
    """
    Draw the disturbances of a sequence of some seconds in a street, some of ``kinds``.

    One value is taken from ``rng``, whatever is drawn.
    """
    rng = np.random.default_rng(rng.integers(2**63))
    impossible = _STANDING_ONLY if camera.moves else frozenset()
    names = [name for name in SHARES if name in kinds and name not in impossible]
    chances = np.array([SHARES[name] for name in names])
    count = int(rng.choice(len(COUNTS), p=COUNTS))
    drawn = rng.choice(len(names), count, replace=False, p=chances / chances.sum())
    found = Disturbances(tuple(names[index] for index in sorted(drawn)), camera)
    size = camera.height, camera.width
    for name in found.names:
        if name in MIRRORS:
            found = replace(found, mirror=MIRRORS[name](rng, size, street))
        elif name in bodies.OUTDOOR:
            found.actors.extend(_make_actors(rng, name, camera, seconds))
        elif name in ('knocks', 'vibration'):
            found = replace(found, camera=_shaken(rng, name, found.camera, seconds))
        else:
            found.effects.append(_make_effect(rng, name, camera, seconds))
    return found


def _make_effect(
    rng: np.random.Generator, name: str, camera: MovingCamera, seconds: float
) -> weather.Effect:
    size = camera.height, camera.width
    if name == 'rain':
        return weather.Rain(rng, size, camera.focal)
    if name == 'snow':
        return weather.Snow(rng, size, camera.focal)
    if name == 'insects':
        return weather.Insects(rng, size)
    if name == 'passing shade':
        return weather.PassingShade(rng, size)
    if name == 'flashes':
        return weather.Flashes(rng, seconds)
    return weather.MainsFlicker(rng, size)


def _shaken(
    rng: np.random.Generator, name: str, camera: MovingCamera, seconds: float
) -> MovingCamera:
    """Return the camera on a pole that is knocked, or that vibrates all the time."""
    pixel = 1 / camera.focal
    if name == 'vibration':
        size = log_uniform(rng, 0.15, 1.5) * pixel
        slow = rng.uniform(2, 12)
        waves = [make_waves(rng, size * part, slow, 2 * slow) for part in (0.6, 1.0, 0.4)]
        return replace(camera, waves=waves)
    count = 1 + rng.poisson(0.4 * seconds)
    sizes = log_uniforms(rng, 1.0, 25.0, (count, 1)) * pixel
    jolts = np.concatenate(
        [
            rng.uniform(0, seconds, (count, 1)),
            sizes * rng.normal(0, (0.6, 1.0, 0.5), (count, 3)),
            log_uniforms(rng, 3, 18, (count, 1)),
            log_uniforms(rng, 0.03, 0.3, (count, 1)),
        ],
        axis=1,
    )
    return replace(camera, jolts=jolts)


def _make_actors(
    rng: np.random.Generator, name: str, camera: MovingCamera, seconds: float
) -> list[Actor]:
    """Return bodies of a kind in the field of view of the camera, at a time of the sequence."""
    make, counts, (nearest, farthest) = bodies.OUTDOOR[name]
    actors = []
    for _ in range(rng.integers(counts[0], counts[1] + 1)):
        body = make(rng)
        when = rng.uniform(0, seconds)
        depth = log_uniform(rng, nearest, farthest)
        rotation, eye = camera.pose(when)[:, :3].astype(float), camera.position(when)
        aside = rng.uniform(-0.45, 0.45) * camera.width / camera.focal * depth
        down = rng.uniform(-0.45, 0.45) * camera.height / camera.focal * depth
        place = eye + rotation.T @ (aside, down, depth)
        if name in bodies.FLOATING:
            low, high = _heights(body)
            body = bodies.RaisedBody(body, float(place[2] - (low + high) / 2))
        # Screens and lamps face the camera more or less
        heading = np.arctan2(*(eye - place)[1::-1]) + rng.normal(0, 0.6)
        if name in ('cloth', 'wires'):
            heading += np.pi / 2
        speed = rng.uniform(*body.speeds)
        if speed:
            heading = rng.uniform(0, 2 * np.pi)
        path = make_path(rng, place[:2], float(heading), speed, when, seconds, 0.0)
        actors.append(Actor(body, path, 0))
    return actors


def _heights(body: bodies.Body) -> tuple[float, float]:
    z = body.vertices(0.0, 0.0)[:, 2]
    return float(z.min()), float(z.max())
