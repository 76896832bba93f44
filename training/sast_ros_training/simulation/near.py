# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Scenes near the camera: a desk, a room, a courtyard, with what moves 0.2 to 6 m away.

Two thirds of them hold nothing that has a label: hands, boards, toys, fans, lamps, screens. In the
others people stand, sit and walk close by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from sast_ros_training.simulation import near_objects, near_textures
from sast_ros_training.simulation.actors import Actor
from sast_ros_training.simulation.body import Body
from sast_ros_training.simulation.draws import log_uniform, log_uniforms
from sast_ros_training.simulation.hands import make_hand
from sast_ros_training.simulation.mesh import merge, Mesh, textured
from sast_ros_training.simulation.motion import make_path, MovingCamera, Path
from sast_ros_training.simulation.near_people import make_person
from sast_ros_training.simulation.rig import rotation
from sast_ros_training.simulation.scene import Scene
from sast_ros_training.simulation.shapes import box, rectangle, tube
from sast_ros_training.simulation.street import Light, make_light, Piece, Street

#: How often each place is drawn without and with people. The top of a desk, the floor of a room
#: and of a courtyard is z = 0.
_PLACES = {False: {'desk': 0.65, 'room': 0.27, 'court': 0.08}, True: {'room': 0.75, 'court': 0.25}}
_PEOPLE_SHARE = 1 / 3
#: Of those without people: where nothing moves but what turns or glows somewhere in the picture.
_ALONE_SHARE = 0.2
_DESK = 0.75  # metres above the floor
#: Metres at which most of what is seen is.
_DEPTHS = {'desk': 0.5, 'room': 1.5, 'court': 2.5}
#: Where a wall is along x and along y: a number and a range, in metres.
_Side = tuple[float | tuple[float, float], float | tuple[float, float]]
_NO_WAVES = (np.zeros((1, 3)),) * 3
_NO_PATH = Path(np.array([0.0, 1.0]), np.zeros((2, 2)), np.zeros(2), np.zeros(2))


@dataclass(frozen=True)
class NearLight(Light):
    """
    Light of a room: its lamps swing or are dimmed by pulses, and may be switched.

    ``duty``: share of a period for which the lamps are on, 0 if they swing like a sine;
    ``switch``: from this second on, over a few milliseconds, the light is ``switched`` times as
    strong.
    """

    duty: float = 0.0
    switch: float = np.inf
    switched: float = 1.0

    def at(self, seconds: float) -> float:
        """Return the factor of all luminances at a time."""
        if self.duty:
            on = (self.flicker_hz * seconds) % 1 < self.duty
            factor = 1.0 if on else 1 - self.flicker
        else:
            factor = super().at(seconds)
        share = float(np.clip((seconds - self.switch) / 0.03, 0, 1))
        return factor * (1 + share * (self.switched - 1))

    @property
    def changes(self) -> bool:
        """Whether the factor is not always 1."""
        return super().changes or self.switch < np.inf


@dataclass(frozen=True)
class NearCamera(MovingCamera):
    """A camera in a hand, on a stand or on a vehicle: ``sways`` are waves of its place, in m."""

    sways: Sequence[np.ndarray] = _NO_WAVES

    def position(self, seconds: float) -> np.ndarray:
        """``float64[3]`` metres."""
        return super().position(seconds) + _sum_of_waves(self.sways, seconds)


def _sum_of_waves(waves: Sequence[np.ndarray], seconds: float) -> np.ndarray:
    """Return the values of several ``[N, 3]`` sums of sines (amplitude, Hz, phase) at a time."""
    return np.array(
        [float(np.sum(w[:, 0] * np.sin(2 * np.pi * w[:, 1] * seconds + w[:, 2]))) for w in waves]
    )


@dataclass(frozen=True)
class Flight:
    """
    How a thing moves that a hand holds, that is thrown or that hangs.

    It is at ``place`` ``[3]`` with the orientation ``turned`` ``[3, 3]`` (body to world), comes
    from ``entry`` beside it within the seconds ``times[0]`` to ``times[1]`` and goes back between
    ``times[2]`` and ``times[3]``. To that come ``sways`` of its place, ``turns`` about its own
    axes (waves as of a camera), and a throw: at the second ``since`` it is in its place, with a
    ``velocity`` (m/s), a ``spin`` (rad/s) and a ``fall`` (m/s2).
    """

    place: np.ndarray
    turned: np.ndarray
    entry: np.ndarray
    times: tuple[float, float, float, float]
    sways: Sequence[np.ndarray]
    turns: Sequence[np.ndarray]
    velocity: np.ndarray
    spin: np.ndarray
    since: float
    fall: float

    def at(self, seconds: float) -> np.ndarray:
        """Return the placement ``float32[3, 4]``, body to world."""
        start, here, leaves, gone = self.times
        come = float(np.clip((seconds - start) / max(here - start, 1e-3), 0, 1))
        go = float(np.clip((seconds - leaves) / max(gone - leaves, 1e-3), 0, 1))
        away = 1 - come * come * (3 - 2 * come) + go * go * (3 - 2 * go)
        passed = seconds - self.since
        place = self.place + away * self.entry + _sum_of_waves(self.sways, seconds)
        place = place + self.velocity * passed
        place[2] -= 0.5 * self.fall * passed * passed
        angles = _sum_of_waves(self.turns, seconds) + self.spin * passed
        turned = self.turned
        for axis in (2, 1, 0):
            turned = turned @ rotation(axis, angles[axis])[0]
        return np.concatenate([turned, place[:, None]], axis=1).astype(np.float32)


@dataclass(frozen=True)
class FlyingActor(Actor):
    """A body without label that moves, or stands, in space instead of going over the ground."""

    flight: Flight

    @cached_property
    def _reach(self) -> float:
        vertices = self.body.vertices(0.0, 0.0)
        return 1.3 * float(np.linalg.norm(vertices, axis=1).max()) + 0.1

    def pose(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """Return vertices and placement at a time, as ``Actor.pose`` does."""
        return self.body.vertices(0.0, seconds), self.flight.at(seconds)

    def sphere(self, seconds: float) -> tuple[float, float, float, float]:
        """Return centre and radius in metres of a sphere around the body."""
        x, y, z = self.flight.at(seconds)[:, 3].tolist()
        return x, y, z, self._reach


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
    light = make_light(rng) if place == 'court' else _make_room_light(rng, seconds)
    walls = _draw_walls(rng, place, people)
    camera = _make_camera(rng, place, people, motion, size, seconds, walls)
    street = _make_room(rng, place, walls, light, images)
    stage = _Stage(rng, place, camera, walls, seconds)
    actors, still = stage.make_people() if people else ([], [])
    still += stage.make_still(people)
    moving = stage.make_moving(people)
    meshes = [piece.mesh for piece in street.pieces]
    meshes += [actor.body.mesh for actor in (*actors, *still, *moving)]
    used = np.unique(np.concatenate([mesh.texture for mesh in meshes]))
    images += near_textures.make(int(rng.integers(2**31)), used)
    return Scene(light, street, camera, actors, still, moving)


def _make_room_light(rng: np.random.Generator, seconds: float) -> NearLight:
    """Draw lamps or a window: bright, usual or dim; some flicker, some are switched."""
    height, side = np.radians(rng.uniform(25, 85)), rng.uniform(0, 2 * np.pi)
    level = np.cos(height)
    sun = np.array([level * np.cos(side), level * np.sin(side), np.sin(height)], np.float32)
    ambient = log_uniform(rng, 0.02, 0.7)
    strength = ambient * float(rng.choice((0.0, 0.5, 1.0, 2.0)) * rng.uniform(0.3, 1.0))
    light = NearLight(sun, strength, ambient, ambient, bool(ambient < 0.1))
    kind = rng.random()
    if kind < 0.3:
        depth = log_uniform(rng, 0.005, 0.09)
        light = replace(light, flicker=depth, flicker_hz=float(rng.choice((100, 120))))
    elif kind < 0.32:
        light = replace(
            light,
            flicker=float(rng.uniform(0.1, 0.9)),
            flicker_hz=float(rng.uniform(90, 400)),
            duty=float(rng.uniform(0.2, 0.8)),
        )
    if rng.random() < 0.08:
        when, factor = rng.uniform(0, seconds), np.exp(rng.choice((-1, 1)) * rng.uniform(0.2, 1.5))
        light = replace(light, switch=float(when), switched=float(factor))
    return light


@dataclass(frozen=True)
class _Walls:
    """Distances in metres from the camera to walls, floor and ceiling."""

    ahead: float
    back: float
    left: float
    right: float
    floor: float
    ceiling: float

    def distance(self, yaw: float) -> float:
        """Return how far the nearest wall in that direction is."""
        x, y = np.cos(yaw), np.sin(yaw)
        along = (self.ahead if x > 0 else self.back) / max(abs(x), 1e-6)
        across = (self.left if y > 0 else self.right) / max(abs(y), 1e-6)
        return float(min(along, across))


def _draw_walls(rng: np.random.Generator, place: str, people: bool) -> _Walls:
    low, high = {'desk': (0.5, 4.0), 'room': (1.5, 6.0), 'court': (4.0, 20.0)}[place]
    if people:
        low = max(low, 2.5)
    ahead, back, left, right = log_uniforms(rng, low, high, 4).tolist()
    floor = -_DESK if place == 'desk' else 0.0
    return _Walls(ahead, back, left, right, floor, floor + rng.uniform(2.3, 4.0))


def _waves(rng: np.random.Generator, size: float, slow: float, fast: float) -> np.ndarray:
    """Return ``float64[3, 3]`` amplitude (together about ``size``), Hz and phase of sines."""
    hertz = log_uniforms(rng, slow, fast, 3)
    gain = size * rng.uniform(0.2, 0.6, 3) * (slow / hertz) ** 0.5
    return np.stack([gain, hertz, rng.uniform(0, 2 * np.pi, 3)], 1)


def _make_camera(
    rng: np.random.Generator,
    place: str,
    people: bool,
    motion: str,
    size: tuple[int, int],
    seconds: float,
    walls: _Walls,
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
    waves, sways = list(_NO_WAVES), list(_NO_WAVES)
    if motion == 'pan':
        if rng.random() < 0.5:
            waves[0] = _waves(rng, rng.uniform(0.05, 0.8), 0.1, 0.8)
        else:
            turn = rng.choice((-1, 1)) * rng.uniform(0.05, 1.0)
        waves[1] = _waves(rng, rng.uniform(0, 0.15), 0.1, 0.8)
    elif motion == 'handheld':
        if rng.random() < 0.7:
            shake = log_uniform(rng, 0.003, 0.05)
            waves = [_waves(rng, shake * share, 0.4, 4.0) for share in (1, 0.8, 0.6)]
        else:  # shaken
            shake, beat = log_uniform(rng, 0.03, 0.3), rng.uniform(1.0, 7.0)
            shares = rng.uniform(0.1, 1, 3)
            waves = [_waves(rng, shake * share, beat, 1.2 * beat) for share in shares]
        far = _DEPTHS[place] * log_uniform(rng, 0.003, 0.06)
        sways = [_waves(rng, far * share, 0.3, 4.0) for share in (1, 1, 1)]
        if place != 'desk' and rng.random() < 0.3:
            heading, speed, bob = yaw, rng.uniform(0.2, 0.8), rng.uniform(0.005, 0.02)
    elif motion == 'driving':
        heading = yaw + rng.choice((0.0, 0.0, np.pi, np.pi / 2, -np.pi / 2))
        speed = rng.uniform(0.05, 1.2) * (0.4 if place == 'desk' else 1.0)
        waves = [_waves(rng, 0.006, 0.8, 6.0) for _ in range(3)]
        sways[2] = _waves(rng, 0.3 * height * rng.random(), 0.1, 0.5)
    speed = min(speed, 0.5 * walls.distance(heading) / seconds)
    angles = float(yaw), float(pitch), float(rng.normal(0, 0.08))
    start = np.array([0.0, 0.0, height])
    return NearCamera(
        *(motion, *size, focal, start, heading, speed, (0.0, 0.0), turn, angles, waves, bob),
        sways=sways,
    )


def _solid(mesh: Mesh) -> Piece:
    """Return a mesh as a part of the place."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    return Piece(mesh, (low + high) / 2, float(np.linalg.norm(high - low) / 2))


def _make_room(
    rng: np.random.Generator, place: str, walls: _Walls, light: Light, images: list[np.ndarray]
) -> Street:
    """Return floor, walls and what hangs on them; a desk; the ceiling or the sky."""
    x1, x2, y1, y2 = -walls.back, walls.ahead, -walls.right, walls.left
    floor, top = walls.floor, walls.ceiling
    if place == 'court':
        top = rng.uniform(2.0, 12.0)
    pieces = [_surface(rng, (x1, x2), (y1, y2), floor, near_textures.FLOORS)]
    sky = replace(pieces[0], mesh=merge([]))
    if place == 'court':
        far = 400.0
        sky = _solid(box((far, far, far), (0, 0, 0.2 * far), 0.0, light.sky))
    else:
        pieces.append(_surface(rng, (x1, x2), (y1, y2), top, near_textures.WALLS))
    same = rng.integers(2**31)
    walls_around: list[_Side] = [(x1, (y1, y2)), (x2, (y1, y2)), ((x1, x2), y1), ((x1, x2), y2)]
    for side in walls_around:
        chosen = np.random.default_rng(same) if rng.random() < 0.7 else rng
        pieces.append(_surface(chosen, side[0], side[1], (floor, top), near_textures.WALLS))
        pieces += _on_wall(rng, side, floor, top, light)
    if place == 'desk':
        deep, wide = rng.uniform(0.5, 1.2, 2)
        ends = (-min(deep, walls.back), min(deep, walls.ahead))
        sides = (-min(wide, walls.right), min(wide, walls.left))
        pieces.append(_surface(rng, ends, sides, 0.0, near_textures.FLOORS))
    return Street(*(0.0, 0.0, (walls.left, walls.right), images, pieces, sky), near=_DEPTHS[place])


def _surface(
    rng: np.random.Generator,
    x: float | tuple[float, float],
    y: float | tuple[float, float],
    z: float | tuple[float, float],
    kinds: Sequence[int],
) -> Piece:
    tone = float(np.clip(rng.normal(0.5, 0.25), 0.04, 0.9))
    piece = rectangle(x, y, z, tone)
    return _solid(textured(piece, int(rng.choice(kinds)), log_uniform(rng, 0.3, 3.0)))


def _on_wall(
    rng: np.random.Generator, side: _Side, floor: float, top: float, light: Light
) -> list[Piece]:
    """Return posters, windows, shelves with books, doors and cupboards on one wall."""
    pieces = []
    along = 1 if np.ndim(side[1]) else 0
    ends, across = np.asarray(side[along]), float(np.asarray(side[1 - along]))
    into = -0.01 * np.sign(across)
    for _ in range(rng.poisson(2.5)):
        wide, high = rng.uniform(0.2, 1.2), rng.uniform(0.2, 1.2)
        middle, low = rng.uniform(*ends), rng.uniform(floor + 0.1, max(top - high, floor + 0.2))
        span, rise, kind = (middle - wide / 2, middle + wide / 2), (low, low + high), rng.random()
        if kind < 0.25:  # a shelf
            made = []
            place = span[0]
            while place < span[1]:
                thick, tall = rng.uniform(0.015, 0.06), rng.uniform(0.15, 0.32)
                book = box((0.18, thick, tall), (0, 0, 0), rng.uniform(0.03, 0.9))
                made.append(book.moved((0, place + thick / 2, low + tall / 2)))
                place += thick * (1 if rng.random() < 0.9 else 3)
            made.append(box((0.2, wide, 0.02), (0, middle, low - 0.01), rng.uniform(0.1, 0.8)))
            mesh = merge(made)
            if along == 0:
                mesh = mesh.rotated([(0, 1, 0), (1, 0, 0), (0, 0, 1)])
            offset = np.zeros(3)
            offset[1 - along] = across + 10 * into
            pieces.append(_solid(mesh.moved(offset)))
            continue
        glow = 0.0
        if kind < 0.4:
            glow = light.ambient * log_uniform(rng, 0.5, 6.0)
        elif kind < 0.6:  # a door or cupboard
            rise = (floor, min(floor + rng.uniform(0.6, 2.1), top))
        wall, tone = across + into, rng.uniform(0.05, 0.9)
        x, y = (wall, span) if along else (span, wall)
        face = rectangle(x, y, rise, tone, glow)
        if kind >= 0.6:
            tiles = 1 / max(wide, high)
            face = textured(face, int(rng.choice(near_textures.PRINTS)), tiles)
        pieces.append(_solid(face))
    return pieces


class _Stage:
    """Draws the bodies of a near scene so that the camera sees them."""

    def __init__(
        self,
        rng: np.random.Generator,
        place: str,
        camera: NearCamera,
        walls: _Walls,
        seconds: float,
    ) -> None:
        self._rng, self._place, self._camera = rng, place, camera
        self._walls, self._seconds = walls, seconds
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
        return [FlyingActor(body, _NO_PATH, 0, self._standing(body)) for body in bodies]

    def make_moving(self, people: bool) -> list[Actor]:
        """Return hands, things in motion, and what turns, glows or sways."""
        rng = self._rng
        if not people and rng.random() < _ALONE_SHARE:
            return self._make_alone()
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
        return [FlyingActor(body, _NO_PATH, 0, flight) for body, flight in made]

    def _make_alone(self) -> list[Actor]:
        """Return a fan, disc or light, rarely two, near or so far that they are small."""
        rng, makers = self._rng, near_objects.TURNING
        actors: list[Actor] = []
        for _ in range(1 + int(rng.random() < 0.25)):
            body = makers[rng.integers(len(makers))](rng)
            place = self._seen_at(self._near(6.0, 0.3)) - (0, 0, 0.5 * body.size[2])
            flight = _rest(place, self._towards_camera(place, 0.4))
            actors.append(FlyingActor(body, _NO_PATH, 0, flight))
        return actors

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
        return _rest(place, turned)

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
        sways = [_waves(rng, far * lively * rng.random(), beat, 2 * beat) for _ in range(3)]
        turns = [_waves(rng, 2 * lively * rng.random(), beat, 2 * beat) for _ in range(3)]
        comes = rng.uniform(-0.5, self._seconds) if rng.random() < 0.35 else -2.0
        goes = rng.uniform(0.3, self._seconds + 1) if rng.random() < 0.35 else self._seconds + 5
        goes = max(goes, comes + 0.5)
        takes = rng.uniform(0.2, 0.9, 2)
        times = (comes, comes + takes[0], goes, goes + takes[1])
        rest = _rest(place, turned)
        return replace(rest, entry=entry, times=times, sways=sways, turns=turns)

    def _arm(self, body: Body) -> tuple[Body, Flight]:
        """Put a hand into the picture whose arm comes from beyond its border."""
        rng = self._rng
        place = self._seen_at(self._near(1.0 if self._place == 'desk' else 1.8))
        pose = self._camera.pose(0.0).astype(float)[:, :3]
        angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.5 else rng.normal(-np.pi / 2, 0.7)
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
        flight = _rest(place, self._towards_camera(place, 2.0))
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
        return body, _rest(place, rotation(2, towards + rng.normal(0, 0.5))[0])


def _rest(place: np.ndarray, turned: np.ndarray) -> Flight:
    """Return standing still."""
    zero = np.zeros(3)
    times = (-2.0, -1.0, 1e9, 2e9)
    return Flight(place, turned, zero, times, _NO_WAVES, _NO_WAVES, zero, zero, 0.0, 0.0)
