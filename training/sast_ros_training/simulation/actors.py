"""Who is on the street: bodies and their ways, chosen so that the camera gets to see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sast_ros_training.simulation import buses_trucks, people, two_wheelers, vehicles
from sast_ros_training.simulation.mesh import Body
from sast_ros_training.simulation.motion import CameraPath, make_path, Path
from sast_ros_training.simulation.street import Street

PEDESTRIAN, TWO_WHEELER, CAR = range(3)

Maker = Callable[..., Body]

#: How often each class and, in it, each kind of body is drawn.
_SHARES = {PEDESTRIAN: 0.34, TWO_WHEELER: 0.32, CAR: 0.34}
_KINDS: dict[int, list[tuple[Maker, float]]] = {
    PEDESTRIAN: [(people.make_pedestrian, 1.0)],
    TWO_WHEELER: [
        (two_wheelers.make_cyclist, 0.6),
        (two_wheelers.make_motorcyclist, 0.25),
        (two_wheelers.make_scooter, 0.15),
    ],
    CAR: [
        (vehicles.make_car, 0.72),
        (vehicles.make_van, 0.14),
        (buses_trucks.make_bus, 0.07),
        (buses_trucks.make_truck, 0.07),
    ],
}
_MOST = 60


@dataclass(frozen=True)
class Actor:
    """A body with its way; ``owner``: its number from 1 on, 0 for those that have no label."""

    body: Body
    path: Path
    owner: int

    def pose(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """
        Return vertices and placement at a time.

        They are ``float32[V, 3]`` in body coordinates and ``float32[3, 4]`` body to world.
        """
        place, heading, distance = self.path.at(seconds)
        cosine, sine = np.cos(heading), np.sin(heading)
        placement = np.array(
            [[cosine, -sine, 0, place[0]], [sine, cosine, 0, place[1]], [0, 0, 1, 0]], np.float32
        )
        return self.body.vertices(distance, seconds), placement


@dataclass(frozen=True)
class View:
    """The camera: its path, focal length in pixels, and picture size in pixels."""

    path: CameraPath
    focal: float
    height: int
    width: int


def make_actors(
    rng: np.random.Generator,
    view: View,
    street: Street,
    seconds: float,
    makers: dict[int, Sequence[Maker]],
    night: bool,
) -> list[Actor]:
    """
    Draw the traffic of a sequence.

    Every body is in sight of the camera at some time of the sequence, from 12 pixels high to
    larger than the picture, and none drives through another. ``makers``: more makers by class,
    which take a third of that class; ``night``: cars have their lights on.
    """
    busy = rng.uniform(1.0, 4.5)
    count = min(_MOST, 1 + rng.poisson(busy * (0.6 + seconds / 5)))
    kind = rng.random()
    quiet = not view.path.moves and kind < 0.3  # one or two far away, or nobody at all
    if quiet:
        count = 0 if kind < 0.04 else int(rng.integers(1, 3))
    largest = 0.3 if quiet else 1.1
    classes = list(_SHARES)
    chances = np.array([_SHARES[key] for key in classes]) * rng.dirichlet([2.0] * len(classes))
    chances /= chances.sum()
    actors: list[Actor] = []
    for _ in range(count):
        class_id = int(rng.choice(classes, p=chances))
        body = _make_body(rng, class_id, makers.get(class_id, ()), night)
        path = _find_path(rng, body, view, street, seconds, actors, largest)
        if path is None:
            continue
        actors.append(Actor(body, path, len(actors) + 1))
        if class_id == PEDESTRIAN and rng.random() < 0.25 and len(actors) < _MOST:
            friend = _make_body(rng, class_id, makers.get(class_id, ()), night)
            beside = _beside(path, rng)
            actors.append(Actor(friend, beside, len(actors) + 1))
    return [*actors, *_parked(rng, view, street, seconds, actors, night)]


def _parked(
    rng: np.random.Generator,
    view: View,
    street: Street,
    seconds: float,
    actors: list[Actor],
    night: bool,
) -> list[Actor]:
    """Return cars along the kerb; a standing camera sees hardly anything of them."""
    parked: list[Actor] = []
    if rng.random() < 0.45:
        return parked
    middle = view.path.position(seconds / 2)[0]
    for _ in range(int(rng.poisson(5.0 if view.path.moves else 2.0))):
        body = _make_body(rng, CAR, (), False)
        side = rng.choice((-1, 1))
        place = np.array(
            [middle + rng.normal(0, 22), side * (street.road - body.size[1] / 2 - 0.2)]
        )
        path = make_path(
            rng, place, 0.0 if side < 0 else np.pi, 0.0, 0.0, seconds, 0.0, stops=False
        )
        if _free(path, body, view, [*actors, *parked]):
            parked.append(Actor(body, path, len(actors) + len(parked) + 1))
    return parked


def _make_body(
    rng: np.random.Generator, class_id: int, more: Sequence[Maker], night: bool
) -> Body:
    if more and rng.random() < 1 / 3:
        return more[int(rng.integers(len(more)))](rng)
    kinds = _KINDS[class_id]
    maker = kinds[int(rng.choice(len(kinds), p=[share for _, share in kinds]))][0]
    return maker(rng) if class_id == PEDESTRIAN else maker(rng, lights=night)


def _beside(path: Path, rng: np.random.Generator) -> Path:
    """Return the way of somebody who walks along with another."""
    side = rng.choice((-1, 1)) * rng.uniform(0.55, 0.9)
    ahead = rng.normal(0, 0.25)
    across = np.stack([-np.sin(path.headings), np.cos(path.headings)], axis=1)
    along = np.stack([np.cos(path.headings), np.sin(path.headings)], axis=1)
    places = path.places + side * across + ahead * along
    return Path(path.times, places, path.headings, path.distances + rng.uniform(0, 1))


def _find_path(
    rng: np.random.Generator,
    body: Body,
    view: View,
    street: Street,
    seconds: float,
    others: list[Actor],
    largest: float,
) -> Path | None:
    """
    Try a few ways that pass the camera's field of view; None if all of them collide.

    ``largest``: height in the picture that the body has at most at first, as share of the picture.
    """
    for _ in range(12):
        when = rng.uniform(0, seconds)
        place = _place_in_sight(rng, body, view, when, largest)
        heading, place, bend = _direction(rng, body, place, street)
        if not -street.front[1] + 0.3 < place[1] < street.front[0] - 0.3:
            continue
        low, high = body.speeds
        speed = 0.0 if rng.random() < 0.06 else rng.uniform(low, high)
        if rng.random() < 0.6:  # hardly anybody rushes past right in front of a camera
            gap = float(np.linalg.norm(place - view.path.position(when)[:2]))
            speed = min(speed, 1.6 * view.width / view.focal * gap)
        path = make_path(
            rng, place, heading, speed, when, seconds, bend, stops=bool(rng.random() < 0.18)
        )
        if _free(path, body, view, others):
            return path
    return None


def _place_in_sight(
    rng: np.random.Generator, body: Body, view: View, when: float, largest: float
) -> np.ndarray:
    """``float64[2]``: a place on the ground where the body is in the picture at that time."""
    pose = view.path.pose(when).astype(np.float64)
    rotation, camera = pose[:, :3], view.path.position(when)
    most = min(largest, 0.75 if body.class_id == CAR else 1.1) * view.height
    smallest = (12 if body.class_id == CAR else 16) * max(1.0, view.height / 240)
    place = camera[:2]
    for _ in range(20):
        high = np.exp(rng.uniform(np.log(smallest), np.log(most)))
        depth = float(np.clip(view.focal * body.size[2] / high, 1.0, 110.0))
        column = rng.uniform(-0.05, 1.05) * view.width
        forward, right = rotation[2, :2], rotation[0, :2]
        forward = forward / np.linalg.norm(forward)
        place = (
            camera[:2] + depth * forward + (column - view.width / 2) / view.focal * depth * right
        )
        middle = rotation @ (np.array([*place, body.size[2] / 2]) - camera)
        row = view.height / 2 + view.focal * middle[1] / max(middle[2], 0.1)
        if 0 <= row <= view.height:
            break
    return place


def _direction(
    rng: np.random.Generator, body: Body, place: np.ndarray, street: Street
) -> tuple[float, np.ndarray, float]:
    """Return heading, place (moved to a lane where there is one) and curvature."""
    if body.class_id == PEDESTRIAN:
        kind = rng.random()
        base = rng.choice((0.0, np.pi)) if kind < 0.45 else rng.choice((-1, 1)) * np.pi / 2
        if kind > 0.75:
            base = rng.uniform(0, 2 * np.pi)
        return float(base + rng.normal(0, 0.15)), place, 0.0
    if rng.random() < 0.22:  # crossing, turning, leaving a car park
        return float(rng.uniform(0, 2 * np.pi)), place, float(rng.normal(0, 0.06))
    lane = street.road * (0.5 if body.class_id == CAR else rng.uniform(0.5, 0.95))
    side = -1 if place[1] < 0 else 1
    if rng.random() < 0.7 and abs(place[1]) < street.kerb:
        place = np.array([place[0], side * lane + rng.normal(0, 0.25)])
    against = rng.random() < 0.1
    heading = 0.0 if (side < 0) != against else np.pi
    return float(heading + rng.normal(0, 0.03)), place, float(rng.normal(0, 0.004))


def _free(path: Path, body: Body, view: View, others: list[Actor]) -> bool:
    """Whether the way keeps clear of the camera and of the other bodies."""
    moments = slice(None, None, 5)
    camera = np.array([view.path.position(t)[:2] for t in path.times[moments]])
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
