# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""One simulated recording: a street, traffic, a camera, its events and their labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sast_ros.errors import SettingError
from sast_ros.events.chunk import EventChunk
from sast_ros.labels import CLASSES, LABEL_DTYPE, MIN_EVENT_DENSITY, MIN_EVENTS
from sast_ros_training.simulation.actors import Actor, PEDESTRIAN, Traffic
from sast_ros_training.simulation.camera import CameraSettings, EventCamera
from sast_ros_training.simulation.models import ModelLibrary
from sast_ros_training.simulation.motion import make_camera, MOTIONS
from sast_ros_training.simulation.scene_renderer import SceneRenderer
from sast_ros_training.simulation.street import make_light, make_street

#: (height, width) in pixels of the sensors that can be simulated.
GEOMETRIES = {'gen1': (240, 304), 'davis346': (260, 346), 'vga': (480, 640), '1mpx': (720, 1280)}

#: How often each camera motion is drawn.
MOTION_SHARES = {'static': 0.5, 'pan': 0.13, 'handheld': 0.17, 'driving': 0.2}

WINDOW_US = 50_000
_STEP_US = 5_000
_MAX_SPEED = 16.0  # metres per second of a camera
_MAX_WAIT_US = 1_000_000  # for the first event, and for one after the last window


@dataclass(frozen=True)
class SequenceWindow:
    """
    50 ms of a sequence.

    Attributes
    ----------
    chunk : EventChunk
        The events of (t_end - 50 ms, t_end].
    t_end : int
        Microseconds since the start.
    labels : LABEL_DTYPE[N]
        The objects in the picture at ``t_end``: box clipped to the picture, share of the object's
        samples that nothing hides, its own events in this window, and whether it made at least
        max(12, 0.03 x area) of them in one window of the last second (``recent``) or ever
        (``seen``).

    """

    chunk: EventChunk
    t_end: int
    labels: np.ndarray


class SimulatedSequence:
    """
    A simulated sequence, decided by its seed.

    Parameters
    ----------
    seed : int or tuple of int
        Chooses all that is not given: scene, traffic, light, camera.
    seconds : float
        Length, above 0; whole windows of 50 ms.
    geometry : str, optional
        One of ``GEOMETRIES``.
    motion : str or None, optional
        One of ``MOTIONS``, or None to draw it.
    models : ModelLibrary or None, optional
        Further 3D models (``load_models``).

    Attributes
    ----------
    height, width : int
        Size of the sensor in pixels.
    count : int
        Number of windows.
    tail : EventChunk
        The first events after the last window, once ``windows`` has ended.

    Raises
    ------
    SettingError
        When the geometry or the motion is unknown, or the length is not positive.

    """

    tail: EventChunk

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
        if motion not in (None, *MOTIONS):
            raise SettingError(
                f'no camera motion is called {motion!r}; choose one of {", ".join(MOTIONS)}'
            )
        if not seconds > 0:
            raise SettingError(f'a sequence cannot have {seconds} s; give a length above 0')
        self.seed = (seed,) if isinstance(seed, int) else tuple(seed)
        # The length goes in as well: (1,) and (1, 0) are different seeds
        rng = np.random.default_rng([len(self.seed), *self.seed])
        self.geometry = geometry
        self.height, self.width = size = GEOMETRIES[geometry]
        drawn = str(rng.choice(list(MOTION_SHARES), p=list(MOTION_SHARES.values())))
        self.motion = motion or drawn
        self.count = max(1, round(seconds * 1e6 / WINDOW_US))
        duration = self.count * WINDOW_US / 1e6 + 0.2
        self._light = make_light(rng)
        self._street = street = make_street(rng, 130 + _MAX_SPEED * duration, self._light)
        self._view = make_camera(rng, self.motion, size, duration, street.road, street.front)
        traffic = Traffic(rng, self._view, street, duration)
        self._actors = traffic.make_actors(models.makers if models else {}, self._light.night)
        self._still, self._moving = traffic.make_distractors()
        self.settings = CameraSettings.sample(rng, self._light.ambient < 0.05)
        self._camera = EventCamera(*size, self.settings, int(rng.integers(2**31)))

    def describe(self) -> dict[str, Any]:
        """Return the facts of the sequence, ready for JSON."""
        light = self._light
        return {
            'seed': list(self.seed),
            'motion': self.motion,
            'night': light.night,
            'focal_px': round(self._view.focal, 2),
            'camera_height_m': round(float(self._view.start[2]), 2),
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
        windows which are cut from the stream end at the times of the labels.
        """
        scene = SceneRenderer(
            self._view, self._street, self._light, self._still, (*self._moving, *self._actors)
        )
        first, now = self._first_event(scene)
        zero = int(first.t[0])
        chunks, history = [first], _History()
        for index in range(self.count):
            end = zero + (index + 1) * WINDOW_US
            steps = scene.steps(now / 1e6, end / 1e6)
            for moment in np.linspace(now, end, steps + 1).astype(np.int64)[1:]:
                luminance, owners = scene.picture(moment / 1e6)
                chunks.append(self._camera.advance(luminance, int(moment), owners))
            now = end
            labels = self._labels(scene, end, history)
            labels['t'] -= zero
            yield SequenceWindow(_joined(chunks, zero), end - zero, labels)
            chunks = []
        self.tail = _joined(self._watch(scene, now, now + _MAX_WAIT_US), zero)

    def _first_event(self, scene: SceneRenderer) -> tuple[EventChunk, int]:
        """Watch until something happens; return the last event so far and the time."""
        self._camera.start(scene.picture(0.0)[0], 0)
        chunks = self._watch(scene, 0, _MAX_WAIT_US)
        now = len(chunks) * _STEP_US
        if len(chunks[-1]):
            self._camera.take_owner_events()
            return chunks[-1][-1:], now
        # Nothing ever happens: one event marks the start
        zero = np.zeros(1, np.uint16)
        return EventChunk(zero, zero, zero.astype(np.uint8), np.array([now], np.int64)), now

    def _watch(self, scene: SceneRenderer, start: int, end: int) -> list[EventChunk]:
        """Return what the camera gives after ``start`` up to the first step with any event."""
        chunks = []
        for now in range(start + _STEP_US, end, _STEP_US):
            chunks.append(self._camera.advance(scene.picture(now / 1e6)[0], now))
            if len(chunks[-1]):
                break
        return chunks

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

    def _stirs(self, actor: Actor, end: int) -> bool:
        """Whether a body has moved in the picture in the window that ends now."""
        if self._view.moves or actor.body.class_id == PEDESTRIAN:
            return True
        before, now = (actor.path.at(t / 1e6)[2] for t in (end - WINDOW_US, end))
        return abs(now - before) > 1e-4


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
    x, y, p, t = (np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in 'xypt')
    last = chunks[-1]
    return EventChunk(x, y, p, t - zero, width=last.width, height=last.height, checked=True)
