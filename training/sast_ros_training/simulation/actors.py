# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Traffic: bodies and their paths, chosen so that they pass the field of view of the camera."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sast_ros_training.simulation import buses_trucks, people, two_wheelers, vehicles
from sast_ros_training.simulation.body import Body
from sast_ros_training.simulation.distractors import MOVING, STANDING
from sast_ros_training.simulation.draws import log_uniform
from sast_ros_training.simulation.motion import make_path, MovingCamera, Path
from sast_ros_training.simulation.street import Street

PEDESTRIAN, TWO_WHEELER, CAR = range(3)

Maker = Callable[..., Body]

#: How often each class and, in it, each kind of body is drawn.
_SHARES = {PEDESTRIAN: 0.34, TWO_WHEELER: 0.32, CAR: 0.34}
_KINDS: dict[int, dict[Maker, float]] = {
    PEDESTRIAN: {people.make_pedestrian: 1.0},
    TWO_WHEELER: {
        two_wheelers.make_cyclist: 0.6,
        two_wheelers.make_motorcyclist: 0.25,
        two_wheelers.make_scooter: 0.15,
    },
    CAR: {
        vehicles.make_car: 0.72,
        vehicles.make_van: 0.14,
        buses_trucks.make_bus: 0.07,
        buses_trucks.make_truck: 0.07,
    },
}
_MAX_ACTORS = 60
_MAX_SHADOW = 3.0  # metres beyond the body
#: Share of streets without road users, and how often each kind of moving distractor is drawn.
_EMPTY_SHARE = 0.1
_MOVING_CHANCE, _MOVING_CHANCE_EMPTY = 0.12, 0.6


@dataclass(frozen=True)
class Actor:
    """A body with its path; ``owner``: its number from 1 on, 0 for those that have no label."""

    body: Body
    path: Path
    owner: int

    def pose(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """
        Return vertices and placement at a time.

        They are ``float32[V, 3]`` in body coordinates and ``float32[3, 4]`` body to world.
        """
        (x, y), heading, distance = self.path.at(seconds)
        cosine, sine = np.cos(heading), np.sin(heading)
        placement = [[cosine, -sine, 0, x], [sine, cosine, 0, y], [0, 0, 1, 0]]
        vertices = self.body.vertices(distance, seconds, self.path.walks(seconds))
        return vertices, np.array(placement, np.float32)

    def sphere(self, seconds: float) -> tuple[float, float, float, float]:
        """Return centre and radius in metres of a sphere around the body and its shadow."""
        (x, y), _, _ = self.path.at(seconds)
        radius = 0.6 * float(np.linalg.norm(self.body.size)) + _MAX_SHADOW
        return float(x), float(y), self.body.size[2] / 2, radius


class Traffic:
    """Draws the bodies of a sequence from a random generator."""

    def __init__(
        self, rng: np.random.Generator, camera: MovingCamera, street: Street, seconds: float
    ) -> None:
        self._rng, self._camera, self._street = rng, camera, street
        self._seconds = seconds
        self._empty = rng.random() < _EMPTY_SHARE

    def make_actors(self, makers: Mapping[int, Sequence[Maker]], night: bool) -> list[Actor]:
        """
        Draw what gets a label.

        Every body is in sight of the camera at some time of the sequence, from 12 pixels high to
        larger than the picture, and none drives through another. ``makers``: more makers by class,
        which take a third of that class; ``night``: cars have their lights on. One street in ten
        is empty.
        """
        rng = self._rng
        if self._empty:
            return []
        busy = rng.uniform(1.0, 4.5)
        count = min(_MAX_ACTORS, 1 + rng.poisson(busy * (0.6 + self._seconds / 5)))
        quiet = not self._camera.moves and rng.random() < 0.25  # one or two far away
        if quiet:
            count = int(rng.integers(1, 3))
        classes = list(_SHARES)
        chances = np.array(list(_SHARES.values())) * rng.dirichlet([2.0] * len(classes))
        chances /= chances.sum()
        actors: list[Actor] = []
        for _ in range(count):
            class_id = int(rng.choice(classes, p=chances))
            body = self._make_body(class_id, makers.get(class_id, ()), night)
            path = self._find_path(body, actors, 0.3 if quiet else 1.1)
            if path is None:
                continue
            actors.append(Actor(body, path, len(actors) + 1))
            if class_id == PEDESTRIAN and rng.random() < 0.25 and len(actors) < _MAX_ACTORS:
                friend = self._make_body(class_id, makers.get(class_id, ()), night)
                actors.append(Actor(friend, self._beside(path), len(actors) + 1))
        if rng.random() >= 0.45:
            self._park(actors)
        return actors

    def _park(self, actors: list[Actor]) -> None:
        """Add cars along the kerb; to a static camera they are almost invisible."""
        rng, street = self._rng, self._street
        middle = self._camera.position(self._seconds / 2)[0]
        for _ in range(rng.poisson(5.0 if self._camera.moves else 2.0)):
            body = self._make_body(CAR, (), False)
            side = rng.choice((-1, 1))
            y = side * (street.road - body.size[1] / 2 - 0.2)
            place, heading = np.array([middle + rng.normal(0, 22), y]), 0.0 if side < 0 else np.pi
            path = make_path(rng, place, heading, 0.0, 0.0, self._seconds)
            if self._is_free(path, body, actors):
                actors.append(Actor(body, path, len(actors) + 1))

    def make_distractors(self) -> tuple[list[Actor], list[Actor]]:
        """Draw what has no label: what stands (trees in still air, poles, bins), what moves."""
        rng, street = self._rng, self._street
        still: list[Actor] = []
        moving: list[Actor] = []
        windy = rng.random() < 0.4
        for maker in STANDING:
            for _ in range(rng.poisson(0.8)):
                body = maker(rng)
                side = rng.choice((-1, 1))
                limit = street.front[0] if side > 0 else street.front[1]
                y = side * rng.uniform(street.road + 0.3, max(limit, street.road + 0.5))
                place = np.array([rng.uniform(-60, 60), y])
                gap = np.linalg.norm(place - self._camera.position(0.0)[:2])
                if gap < max(body.size[:2]) / 2 + 1.5:
                    continue
                path = make_path(rng, place, rng.uniform(0, 2 * np.pi), 0.0, 0.0, self._seconds)
                sways = windy and rng.random() < 0.3 and len(moving) < 6
                (moving if sways else still).append(Actor(body, path, 0))
        half = self._seconds / 2
        chance = _MOVING_CHANCE_EMPTY if self._empty else _MOVING_CHANCE
        for maker in MOVING:
            if rng.random() < chance:
                body = maker(rng)
                place = self._camera.position(half)[:2] + rng.normal(0, 8, 2)
                heading, speed = rng.uniform(0, 2 * np.pi), rng.uniform(*body.speeds)
                bend = rng.normal(0, 0.05)
                path = make_path(rng, place, heading, speed, half, self._seconds, bend)
                moving.append(Actor(body, path, 0))
        return still, moving

    def _make_body(self, class_id: int, more: Sequence[Maker], night: bool) -> Body:
        rng, kinds = self._rng, _KINDS[class_id]
        if more and rng.random() < 1 / 3:
            return more[int(rng.integers(len(more)))](rng)
        maker = list(kinds)[rng.choice(len(kinds), p=list(kinds.values()))]
        return maker(rng) if class_id == PEDESTRIAN else maker(rng, lights=night)

    def _beside(self, path: Path) -> Path:
        """Return the path of somebody who walks along with another."""
        rng = self._rng
        side = rng.choice((-1, 1)) * rng.uniform(0.55, 0.9)
        ahead = rng.normal(0, 0.25)
        along = np.stack([np.cos(path.headings), np.sin(path.headings)], axis=1)
        across = np.stack([-along[:, 1], along[:, 0]], axis=1)
        places = path.places + side * across + ahead * along
        return Path(path.times, places, path.headings, path.distances + rng.uniform(0, 1))

    def _find_path(self, body: Body, others: list[Actor], largest: float) -> Path | None:
        """
        Try a few paths that pass the camera's field of view; None if all of them collide.

        ``largest``: height in the picture that the body has at most at first, as share of it.
        """
        rng, camera, front = self._rng, self._camera, self._street.front
        for _ in range(12):
            when = rng.uniform(0, self._seconds)
            place = self._place_in_sight(body, when, largest)
            heading, place, bend = self._direction(body, place)
            if not -front[1] + 0.3 < place[1] < front[0] - 0.3:
                continue
            speed = 0.0 if rng.random() < 0.06 else rng.uniform(*body.speeds)
            if rng.random() < 0.6:  # few bodies pass fast right in front of a camera
                gap = float(np.linalg.norm(place - camera.position(when)[:2]))
                speed = min(speed, 1.6 * camera.width / camera.focal * gap)
            stops = rng.random() < 0.18
            path = make_path(rng, place, heading, speed, when, self._seconds, bend, stops)
            if self._is_free(path, body, others):
                return path
        return None

    def _place_in_sight(self, body: Body, when: float, largest: float) -> np.ndarray:
        """``float64[2]``: a place on the ground where the body is in the picture at that time."""
        rng, view = self._rng, self._camera
        rotation, eye = view.pose(when).astype(np.float64)[:, :3], view.position(when)
        car = body.class_id == CAR
        most = min(largest, 0.75 if car else 1.1) * view.height
        smallest = (12 if car else 16) * max(1.0, view.height / 240)
        forward, right = rotation[2, :2], rotation[0, :2]
        forward = forward / np.linalg.norm(forward)
        for _ in range(20):
            high = log_uniform(rng, smallest, most)
            depth = float(np.clip(view.focal * body.size[2] / high, 1.0, 110.0))
            column = rng.uniform(-0.05, 1.05) * view.width
            aside = (column - view.width / 2) / view.focal * depth
            place = eye[:2] + depth * forward + aside * right
            middle = rotation @ (np.array([*place, body.size[2] / 2]) - eye)
            row = view.height / 2 + view.focal * middle[1] / max(middle[2], 0.1)
            if 0 <= row <= view.height:
                break
        return place

    def _direction(self, body: Body, place: np.ndarray) -> tuple[float, np.ndarray, float]:
        """Return heading, place (moved to a lane where there is one) and curvature."""
        rng, street = self._rng, self._street
        if body.class_id == PEDESTRIAN:
            kind = rng.random()
            base = rng.choice((0.0, np.pi)) if kind < 0.45 else rng.choice((-1, 1)) * np.pi / 2
            if kind > 0.75:
                base = rng.uniform(0, 2 * np.pi)
            return float(base + rng.normal(0, 0.15)), place, 0.0
        if rng.random() < 0.22:  # crossing, turning, leaving a car park
            return rng.uniform(0, 2 * np.pi), place, rng.normal(0, 0.06)
        lane = street.road * (0.5 if body.class_id == CAR else rng.uniform(0.5, 0.95))
        side = -1 if place[1] < 0 else 1
        if rng.random() < 0.7 and abs(place[1]) < street.kerb:
            place = np.array([place[0], side * lane + rng.normal(0, 0.25)])
        against = rng.random() < 0.1
        heading = 0.0 if (side < 0) != against else np.pi
        return heading + rng.normal(0, 0.03), place, rng.normal(0, 0.004)

    def _is_free(self, path: Path, body: Body, others: list[Actor]) -> bool:
        """Whether the path keeps clear of the camera and of the other bodies."""
        moments = slice(None, None, 5)
        camera = np.array([self._camera.position(t)[:2] for t in path.times[moments]])
        space = max(body.size[:2]) / 2
        if np.linalg.norm(path.places[moments] - camera, axis=1).min() < space + 0.7:
            return False
        for other in others:
            gap = np.linalg.norm(path.places[moments] - other.path.places[moments], axis=1).min()
            long = max(other.body.size[:2]) / 2
            wide = (body.size[1] + other.body.size[1]) / 2
            if gap < max(0.55 * (space + long), wide):
                return False
        return True
