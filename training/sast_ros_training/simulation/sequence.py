"""One simulated recording: a street, traffic, a camera, its events and their labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, TYPE_CHECKING

import numpy as np
from sast_ros.errors import SettingError
from sast_ros.events.chunk import EventChunk
from sast_ros.labels import CLASSES, LABEL_DTYPE, MIN_EVENT_DENSITY, MIN_EVENTS
from sast_ros_training.simulation.actors import (
    Actor,
    make_actors,
    PEDESTRIAN,
    View,
)
from sast_ros_training.simulation.camera import CameraSettings, EventCamera
from sast_ros_training.simulation.distractors import DISTRACTORS
from sast_ros_training.simulation.motion import make_camera_path, make_path, MOTIONS
from sast_ros_training.simulation.scene_renderer import SceneRenderer
from sast_ros_training.simulation.street import make_light, make_street, Street

if TYPE_CHECKING:
    from sast_ros_training.simulation.gltf import ModelLibrary

#: (height, width) in pixels of the sensors that can be simulated.
GEOMETRIES = {'gen1': (240, 304), 'davis346': (260, 346), 'vga': (480, 640), '1mpx': (720, 1280)}

#: How often each camera motion is drawn.
MOTION_SHARES = {'static': 0.5, 'pan': 0.13, 'handheld': 0.17, 'driving': 0.2}

WINDOW_US = 50_000
_STEP_US = 5_000
_FASTEST = 16.0  # metres per second of a camera
_PATIENCE_US = 1_000_000


@dataclass(frozen=True)
class SequenceWindow:
    """
    50 ms of a sequence.

    ``chunk``: the events of (t_end - 50 ms, t_end]; ``t_end``: microseconds since the start;
    ``labels``: ``LABEL_DTYPE`` array of the objects in the picture at ``t_end``: box clipped to
    the picture, share of the object's samples that nothing hides, its own events in this window,
    whether it made at least max(12, 0.03 x area) of them in one window of the last second
    (``recent``) or ever (``seen``).
    """

    chunk: EventChunk
    t_end: int
    labels: np.ndarray


class SimulatedSequence:
    """
    A simulated sequence, decided by its seed.

    Parameters
    ----------
    seed: number or numbers that choose all that is not given: scene, traffic, light, camera.
    seconds: length, above 0; whole windows of 50 ms.
    geometry: one of ``GEOMETRIES``.
    motion: one of ``MOTIONS``, or None to draw it.
    models: further 3D models (``load_models``).

    Raises
    ------
    ValueError: unknown geometry or motion, length not positive.

    """

    def __init__(
        self,
        seed: int | tuple[int, ...],
        seconds: float,
        geometry: str = 'gen1',
        motion: str | None = None,
        models: ModelLibrary | None = None,
    ) -> None:
        if geometry not in GEOMETRIES:
            raise SettingError(
                f'no sensor geometry is called {geometry!r}; choose one of {", ".join(GEOMETRIES)}'
            )
        if motion is not None and motion not in MOTIONS:
            raise SettingError(
                f'no camera motion is called {motion!r}; choose one of {", ".join(MOTIONS)}'
            )
        if not seconds > 0:
            raise SettingError(
                f'a sequence of {seconds} s cannot be simulated; give a length above 0'
            )
        self.seed = (seed,) if isinstance(seed, int) else tuple(seed)
        # The length goes in as well: (1,) and (1, 0) are different seeds
        rng = np.random.default_rng([len(self.seed), *self.seed])
        self.geometry = geometry
        self.height, self.width = GEOMETRIES[geometry]
        drawn = str(rng.choice(list(MOTION_SHARES), p=list(MOTION_SHARES.values())))
        self.motion = motion or drawn
        self.count = max(1, round(seconds * 1e6 / WINDOW_US))
        duration = self.count * WINDOW_US / 1e6 + 0.2
        self._light = make_light(rng)
        self._street = make_street(rng, 130 + _FASTEST * duration, self._light)
        path = make_camera_path(rng, self.motion, duration, self._street.road, self._street.front)
        focal = self.width / 2 / np.tan(np.radians(rng.uniform(32, 78)) / 2)
        self._view = View(path, float(focal), self.height, self.width)
        makers = models.makers if models else {}
        self._actors = make_actors(
            rng, self._view, self._street, duration, makers, self._light.night
        )
        self._still, self._moving = _distractors(rng, self._view, self._street, duration)
        self.settings = CameraSettings.sample(rng, self._light.ambient < 0.05)
        self._camera = EventCamera(
            self.height, self.width, self.settings, int(rng.integers(2**31))
        )

    def describe(self) -> dict[str, Any]:
        """Return the facts of the sequence, ready for JSON."""
        light = self._light
        return {
            'seed': list(self.seed),
            'motion': self.motion,
            'night': light.night,
            'focal_px': round(self._view.focal, 2),
            'camera_height_m': round(float(self._view.path.start[2]), 2),
            'ambient': round(light.ambient, 4),
            'sun': round(light.sun_strength, 4),
            'actors': {
                name: sum(actor.body.class_id == index for actor in self._actors)
                for index, name in enumerate(CLASSES)
            },
            'sensor': asdict(self.settings),
        }

    def windows(self) -> Iterator[SequenceWindow]:
        """
        Yield the sequence from its start, window by window.

        It can be asked for once: the camera keeps its state. The first event is at time 0, so that
        windows which are cut from the stream end at the times of the labels. ``tail`` then holds
        the first events after the last window.
        """
        scene = SceneRenderer(
            self._view, self._street, self._light, self._still, (*self._moving, *self._actors)
        )
        first, now = self._first_event(scene)
        zero = int(first.t[0])
        history = _History()
        for index in range(self.count):
            end = zero + (index + 1) * WINDOW_US
            chunks = [first] if index == 0 else []
            steps = scene.steps(now / 1e6, end / 1e6)
            moments = np.linspace(now, end, steps + 1).astype(np.int64)[1:]
            for moment in moments:
                luminance, owners = scene.picture(moment / 1e6)
                chunks.append(self._camera.advance(luminance, int(moment), owners))
            now = end
            labels = self._labels(scene, end, history)
            labels['t'] -= zero
            yield SequenceWindow(_joined(chunks, zero), end - zero, labels)
        self.tail = self._tail(scene, now, zero)

    def _stirs(self, actor: Actor, end: int) -> bool:
        """Whether a body has moved in the picture in the window that ends now."""
        if self._view.path.moves or actor.body.class_id == PEDESTRIAN:
            return True
        before, now = (actor.path.at(t / 1e6)[2] for t in (end - WINDOW_US, end))
        return abs(now - before) > 1e-4

    def _first_event(self, scene: SceneRenderer) -> tuple[EventChunk, int]:
        """Watch until something happens; return the last event so far and the time."""
        self._camera.start(scene.picture(0.0)[0], 0)
        for now in range(_STEP_US, _PATIENCE_US, _STEP_US):
            chunk = self._camera.advance(scene.picture(now / 1e6)[0], now)
            if len(chunk):
                self._camera.take_owner_events()
                return chunk[-1:], now
        # Nothing ever happens: one event marks the start
        zero = np.zeros(1, np.uint16)
        return EventChunk(zero, zero, zero.astype(np.uint8), np.array([now], np.int64)), now

    def _tail(self, scene: SceneRenderer, now: int, zero: int) -> EventChunk:
        chunks = []
        for moment in range(now + _STEP_US, now + _PATIENCE_US, _STEP_US):
            chunks.append(self._camera.advance(scene.picture(moment / 1e6)[0], moment))
            if len(chunks[-1]):
                break
        return _joined(chunks, zero)

    def _labels(self, scene: SceneRenderer, end: int, history: _History) -> np.ndarray:
        """``LABEL_DTYPE`` array of the objects that the last picture shows."""
        visible, own = scene.visible(), self._camera.take_owner_events()
        limit = np.array([self.width, self.height] * 2, float)
        rows = []
        for owner, (actor, box) in scene.boxes(end / 1e6).items():
            x1, y1, x2, y2 = np.clip(box, 0, limit)
            if visible[owner] == 0 or x2 - x1 < 1 or y2 - y1 < 1:
                continue
            # What a passer-by uncovers of a parked car is not the car's doing
            events = int(own[owner]) if self._stirs(actor, end) else 0
            recent, seen = history.note(owner, events, (x2 - x1) * (y2 - y1), end)
            share = min(visible[owner] / max(scene.covered(actor, end / 1e6), 1), 1.0)
            place = (x1, y1, x2 - x1, y2 - y1)
            rows.append((end, *place, actor.body.class_id, owner, share, events, recent, seen))
        return np.array(rows, LABEL_DTYPE)


class _History:
    """Remembers when each object has last made enough events to be noticed."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}

    def note(self, owner: int, events: int, area: float, now: int) -> tuple[bool, bool]:
        """Count a window; return whether the object was noticeable lately, and ever."""
        if events >= max(MIN_EVENTS, MIN_EVENT_DENSITY * area):
            self._last[owner] = now
        last = self._last.get(owner)
        return last is not None and now - last <= 1_000_000, last is not None


def _joined(chunks: list[EventChunk], zero: int) -> EventChunk:
    """Return one chunk of several, with ``zero`` as the start of time."""
    x, y, p, t = (
        np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in ('x', 'y', 'p', 't')
    )
    last = chunks[-1]
    return EventChunk(x, y, p, t - zero, width=last.width, height=last.height, checked=True)


def _distractors(
    rng: np.random.Generator, view: View, street: Street, seconds: float
) -> tuple[list[Actor], list[Actor]]:
    """Return unlabelled things that stand (trees in still air, poles, bins) and that move."""
    still: list[Actor] = []
    moving: list[Actor] = []
    windy = rng.random() < 0.4
    reach = 60.0
    for maker, moves in DISTRACTORS.values():
        if moves:
            if rng.random() < 0.12:
                body = maker(rng)
                low, high = body.speeds
                place = view.path.position(seconds / 2)[:2] + rng.normal(0, 8, 2)
                path = make_path(
                    rng,
                    place,
                    rng.uniform(0, 2 * np.pi),
                    rng.uniform(low, high),
                    seconds / 2,
                    seconds,
                    float(rng.normal(0, 0.05)),
                    stops=False,
                )
                moving.append(Actor(body, path, 0))
            continue
        for _ in range(int(rng.poisson(0.8))):
            body = maker(rng)
            side = rng.choice((-1, 1))
            limit = street.front[0] if side > 0 else street.front[1]
            y = side * rng.uniform(street.road + 0.3, max(limit, street.road + 0.5))
            place = np.array([rng.uniform(-reach, reach), y])
            gap = np.linalg.norm(place - view.path.position(0.0)[:2])
            if gap < max(body.size[:2]) / 2 + 1.5:
                continue
            path = make_path(rng, place, rng.uniform(0, 2 * np.pi), 0.0, 0.0, seconds, 0.0, False)
            target = moving if windy and rng.random() < 0.3 and len(moving) < 6 else still
            target.append(Actor(body, path, 0))
    return still, moving
