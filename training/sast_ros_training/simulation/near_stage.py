# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The bodies of a near scene: people, things that stand, hands, what moves or turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from sast_ros_training.simulation import near_objects
from sast_ros_training.simulation.actors import Actor
from sast_ros_training.simulation.body import Body
from sast_ros_training.simulation.draws import log_uniform
from sast_ros_training.simulation.hands import make_hand
from sast_ros_training.simulation.mesh import merge
from sast_ros_training.simulation.motion import make_path, Path
from sast_ros_training.simulation.near_motion import (
    at_rest,
    Flight,
    FlyingActor,
    make_waves,
    NearCamera,
    NO_PATH,
)
from sast_ros_training.simulation.near_people import make_person
from sast_ros_training.simulation.near_room import Walls
from sast_ros_training.simulation.rig import rotation
from sast_ros_training.simulation.shapes import tube

#: Of those without people: where nothing moves but what turns or glows somewhere in the picture,
#: and nothing but arms.
_ALONE_SHARE, _ARMS_SHARE = 0.2, 0.2


class Stage:
    """Draws the bodies of a near scene so that the camera sees them."""

    def __init__(
        self,
        rng: np.random.Generator,
        place: str,
        camera: NearCamera,
        walls: Walls,
        seconds: float,
    ) -> None:
        self._rng, self._place, self._camera = rng, place, camera
        self._seconds = seconds
        self._far = 0.9 * walls.distance(camera.angles[0])

    def make_people(self) -> tuple[list[Actor], list[Actor]]:
        """Return people 0.7 to 6 m away, who may hide each other, and what they sit on."""
        rng = self._rng
        actors: list[Actor] = []
        chairs: list[Actor] = []
        for _ in range(1 + min(int(rng.poisson(1.2)), 5)):
            body, chair = make_person(rng)
            path = self._find_path(body, actors)
            if path is None:
                continue
            actors.append(Actor(body, path, len(actors) + 1))
            if chair is not None:
                chairs.append(Actor(chair, path, 0))
        return actors, chairs

    def _find_path(self, body: Body, others: list[Actor]) -> Path | None:
        rng, camera = self._rng, self._camera
        for _ in range(10):
            when = rng.uniform(0, self._seconds)
            eye, pose = camera.position(when), camera.pose(when).astype(float)
            yaw = np.arctan2(pose[2, 1], pose[2, 0])
            depth = min(log_uniform(rng, 0.7, 6.0), max(self._far, 0.8))
            aside = rng.uniform(-0.6, 0.6) * camera.width / camera.focal * depth
            ahead, right = (
                np.array((np.cos(yaw), np.sin(yaw))),
                np.array((np.sin(yaw), -np.cos(yaw))),
            )
            place = eye[:2] + depth * ahead + aside * right
            heading = yaw + np.pi + rng.normal(0, 0.8)
            speed = 0.0
            if body.speeds[1] > 0 and rng.random() < 0.8:
                speed = min(rng.uniform(*body.speeds), 0.5 + depth)
                heading = yaw + rng.choice((-1, 1)) * np.pi / 2 + rng.normal(0, 0.5)
            path = make_path(
                *(rng, place, heading, speed, when, self._seconds, rng.normal(0, 0.1)),
                stops=bool(rng.random() < 0.2),
            )
            places = path.places[::5]
            eyes = np.array([camera.position(t)[:2] for t in path.times[::5]])
            if np.linalg.norm(places - eyes, axis=1).min() < 0.5:
                continue
            if all(
                np.linalg.norm(places - other.path.places[::5], axis=1).min() > 0.45
                for other in others
            ):
                return path
        return None

    def make_still(self, people: bool) -> list[Actor]:
        """Return what stands about."""
        rng, makers = self._rng, near_objects.STILL
        count = rng.poisson(1.5 if people else 5.0)
        bodies = [makers[rng.integers(len(makers))](rng) for _ in range(count)]
        return [FlyingActor(body, NO_PATH, 0, self._standing(body)) for body in bodies]

    def make_moving(self, people: bool) -> list[Actor]:
        """Return hands, things in motion, and what turns, glows or sways."""
        rng = self._rng
        chance = 1.0 if people else rng.random()
        if chance < _ALONE_SHARE:
            return self._make_alone()
        if chance < _ALONE_SHARE + _ARMS_SHARE:
            return self._make_arms()
        kinds: dict[Callable[[], tuple[Body, Flight]], float] = {
            self._hand: 0.3,
            self._hand_with_thing: 0.22,
            self._held: 0.1,
            self._thrown: 0.08,
            self._active: 0.22,
            self._hanging: 0.08,
        }
        count = rng.poisson(0.4) if people else 1 + rng.poisson(1.0)
        if self._camera.moves and rng.random() < 0.15:
            count = 0  # only still things in a moving picture
        chosen = rng.choice(len(kinds), count, p=list(kinds.values()))
        made = [list(kinds)[index]() for index in chosen]
        return [FlyingActor(body, NO_PATH, 0, flight) for body, flight in made]

    def _make_alone(self) -> list[Actor]:
        """Return a fan, disc or light, rarely two, near or so far that they are small."""
        rng, makers = self._rng, near_objects.TURNING
        actors: list[Actor] = []
        for _ in range(1 + int(rng.random() < 0.25)):
            body = makers[rng.integers(len(makers))](rng)
            place = self._seen_at(self._near(6.0, 0.3)) - (0, 0, 0.5 * body.size[2])
            flight = at_rest(place, self._towards_camera(place, 0.4))
            actors.append(FlyingActor(body, NO_PATH, 0, flight))
        return actors

    def _make_arms(self) -> list[Actor]:
        """Return an arm, sometimes two, of which one in five holds a thing."""
        rng = self._rng
        made = [
            self._hand_with_thing() if rng.random() < 0.2 else self._hand()
            for _ in range(1 + int(rng.random() < 0.25))
        ]
        return [FlyingActor(body, NO_PATH, 0, flight) for body, flight in made]

    def _seen_at(self, depth: float, margin: float = 0.45) -> np.ndarray:
        """Return a place at a depth that is in the middle part of the picture at some time."""
        rng, camera = self._rng, self._camera
        when = rng.uniform(0, self._seconds)
        pose = camera.pose(when).astype(float)
        column, row = rng.uniform(-margin, margin, 2) * (camera.width, camera.height)
        ray = np.array((column / camera.focal, row / camera.focal, 1.0))
        return camera.position(when) + depth * (ray @ pose[:, :3])

    def _near(self, most: float, least: float = 0.18) -> float:
        """Return a distance in metres, not behind the wall."""
        return min(log_uniform(self._rng, least, max(most, 1.2 * least)), max(self._far, least))

    def _standing(self, body: Body) -> Flight:
        """Return a place on the desk or floor, or in a room as often on something in the air."""
        rng = self._rng
        most = 2.0 if self._place == 'desk' else 3.5
        place = self._seen_at(self._near(most, 0.15 + max(body.size)))
        if self._place == 'desk' or rng.random() < 0.3:
            eye = self._camera.start
            if place[2] < eye[2] - 0.02:  # along the ray to the ground, but not too far
                share = min((eye[2] - 0.0) / (eye[2] - place[2]), 3.0)
                place = eye + share * (place - eye)
            gap = np.linalg.norm(place[:2] - eye[:2])
            least = 0.12 + 0.5 * max(body.size[:2])
            if gap < least:
                place[:2] += (least - gap) * np.array(
                    (np.cos(self._camera.angles[0]), np.sin(self._camera.angles[0]))
                )
            place[2] = 0.0
        else:
            place[2] -= 0.5 * body.size[2]
        towards = np.arctan2(*(self._camera.start - place)[[1, 0]])
        turned = rotation(2, towards + rng.normal(0, 0.6))[0]
        return at_rest(place, turned)

    def _towards_camera(self, place: np.ndarray, spread: float) -> np.ndarray:
        """Return an orientation whose x points to the camera but for some angle."""
        rng = self._rng
        ahead = self._camera.start - place
        ahead = ahead / np.linalg.norm(ahead)
        side = np.cross((0.0, 0.0, 1.0), ahead)
        side = side / max(np.linalg.norm(side), 1e-6)
        turned = np.stack([ahead, side, np.cross(ahead, side)], 1)
        for axis in range(3):
            turned = turned @ rotation(axis, rng.normal(0, spread))[0]
        return turned

    def _motion(self, place: np.ndarray, turned: np.ndarray, entry: np.ndarray) -> Flight:
        """Return coming, going and moving about as a hand does it."""
        rng, far = self._rng, float(np.linalg.norm(place - self._camera.start))
        lively = log_uniform(rng, 0.02, 0.5)
        beat = log_uniform(rng, 0.4, 4.0)
        sways = [make_waves(rng, far * lively * rng.random(), beat, 2 * beat) for _ in range(3)]
        turns = [make_waves(rng, 2 * lively * rng.random(), beat, 2 * beat) for _ in range(3)]
        comes = rng.uniform(-0.5, self._seconds) if rng.random() < 0.35 else -2.0
        goes = rng.uniform(0.3, self._seconds + 1) if rng.random() < 0.35 else self._seconds + 5
        goes = max(goes, comes + 0.5)
        takes = rng.uniform(0.2, 0.9, 2)
        times = (comes, comes + takes[0], goes, goes + takes[1])
        rest = at_rest(place, turned)
        return replace(rest, entry=entry, times=times, sways=sways, turns=turns)

    def _arm(self, body: Body) -> tuple[Body, Flight]:
        """Put a hand into the picture whose arm comes from beyond its border."""
        rng = self._rng
        place = self._seen_at(self._near(1.0 if self._place == 'desk' else 2.4), 0.35)
        pose = self._camera.pose(0.0).astype(float)[:, :3]
        angle = float(  # from the bottom, hanging from the top, from anywhere
            rng.choice(
                (
                    rng.normal(-np.pi / 2, 0.7),
                    rng.normal(np.pi / 2, 0.3),
                    rng.uniform(0, 2 * np.pi),
                ),
                p=(0.3, 0.3, 0.4),
            )
        )
        inwards = np.array((np.cos(angle), np.sin(angle), rng.normal(0, 0.5))) @ pose
        inwards /= np.linalg.norm(inwards)
        side = np.cross(inwards, rng.normal(size=3))
        side /= np.linalg.norm(side)
        turned = np.stack([inwards, side, np.cross(inwards, side)], 1)
        return body, self._motion(place, turned, -inwards * rng.uniform(0.4, 0.9))

    def _hand(self) -> tuple[Body, Flight]:
        return self._arm(make_hand(self._rng))

    def _hand_with_thing(self) -> tuple[Body, Flight]:
        rng = self._rng
        thing = near_objects.THINGS[rng.integers(len(near_objects.THINGS))](rng)
        turn = rotation(int(rng.integers(3)), rng.uniform(0, 2 * np.pi))[0]
        turn = turn @ rotation(int(rng.integers(3)), rng.uniform(0, 2 * np.pi))[0]
        return self._arm(make_hand(rng, thing.rotated(turn)))

    def _held(self) -> tuple[Body, Flight]:
        """Return a board or thing whose front looks to the camera, held from behind."""
        rng = self._rng
        makers = near_objects.THINGS
        maker = near_objects.board if rng.random() < 0.6 else makers[rng.integers(len(makers))]
        pieces = [maker(rng)]
        if rng.random() < 0.4:
            end = (-0.1, *rng.normal(0, 0.2, 2))
            arm = tube([(-0.02, 0, 0), np.array(end) - (0, 0, 0.4)], (0.02, 0.04), 8, 0.4)
            pieces.append(arm)
        place = self._seen_at(self._near(1.5), 0.35)
        turned = self._towards_camera(place, 0.4)
        entry = rng.normal(size=3)
        entry *= rng.uniform(0.5, 1.0) / np.linalg.norm(entry)
        return Body(merge(pieces)), self._motion(place, turned, entry)

    def _thrown(self) -> tuple[Body, Flight]:
        """Return a thing that falls, flies or rolls by."""
        rng = self._rng
        body = Body(near_objects.THINGS[rng.integers(len(near_objects.THINGS))](rng))
        if rng.random() < 0.5:
            body = Body(near_objects.ball(rng))
        place = self._seen_at(self._near(3.0), 0.3)
        flight = at_rest(place, self._towards_camera(place, 2.0))
        falls = 9.81 if rng.random() < 0.6 else 0.0
        velocity = rng.normal(0, 0.8, 3) * (1, 1, 0)
        since = rng.uniform(0.1, max(self._seconds - 0.3, 0.2))
        if falls:
            velocity[2] = rng.uniform(-0.5, 2.5)
        spin = rng.normal(0, 5, 3)
        return body, replace(flight, velocity=velocity, spin=spin, since=since, fall=falls)

    def _active(self) -> tuple[Body, Flight]:
        rng = self._rng
        body = near_objects.ACTIVE[rng.integers(len(near_objects.ACTIVE))](rng)
        return body, self._standing(body)

    def _hanging(self) -> tuple[Body, Flight]:
        rng = self._rng
        body = near_objects.HANGING[rng.integers(len(near_objects.HANGING))](rng)
        place = self._seen_at(self._near(3.0), 0.35) + (0, 0, 0.7 * body.size[2])
        towards = np.arctan2(*(self._camera.start - place)[[1, 0]])
        return body, at_rest(place, rotation(2, towards + rng.normal(0, 0.5))[0])
