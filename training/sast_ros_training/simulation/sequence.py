# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""One simulated recording: a street, traffic, a camera, its events and their labels."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from sast_ros.errors import SettingError
from sast_ros.events.chunk import EventChunk
from sast_ros.labels import CLASSES, LABEL_DTYPE, MIN_EVENT_DENSITY, MIN_EVENTS, NOTICE_US
from sast_ros.windows import EventWindow, WindowCutter
from sast_ros_training.simulation.actors import Actor, PEDESTRIAN, Traffic
from sast_ros_training.simulation.camera import CameraSettings, EventCamera
from sast_ros_training.simulation.disturbances import draw_disturbances, INDOOR, SHARES
from sast_ros_training.simulation.models import ModelLibrary
from sast_ros_training.simulation.motion import make_camera, MOTIONS
from sast_ros_training.simulation.near import make_near_scene
from sast_ros_training.simulation.scene import Scene
from sast_ros_training.simulation.scene_renderer import SceneRenderer
from sast_ros_training.simulation.street import make_light, make_street
from sast_ros_training.simulation.timing import DEFAULT_TIMING, WindowTiming
from sast_ros_training.simulation.video import Picture, Video, VideoFrames

#: Raised when the same seed gives other events or labels; caches of other versions are refused.
SIMULATOR_VERSION = 3

#: (height, width) in pixels of the sensors that can be simulated.
GEOMETRIES = {'gen1': (240, 304), 'davis346': (260, 346), 'vga': (480, 640), '1mpx': (720, 1280)}

#: How often each camera motion is drawn.
MOTION_SHARES = {'static': 0.5, 'pan': 0.13, 'handheld': 0.17, 'driving': 0.2}

#: How often each kind of scene is drawn.
SCENE_SHARES = {'street': 0.7, 'near': 0.3}

WINDOW_US = 50_000
_STEP_US = 5_000
_MAX_SPEED = 16.0  # metres per second of a camera
#: Share of a body's surface in the picture below which it is an ignored region.
_MIN_INSIDE = 0.12
_MAX_WAIT_US = 1_000_000  # for the first event, and for one after the last window
_NEVER_US = 1 << 60


@dataclass(frozen=True)
class SequenceWindow:
    """
    The time of a sequence from the end of one window to that of the next.

    Attributes
    ----------
    chunk : EventChunk
        The events after the end of the window before, up to and including ``t_end``. With windows
        of another length than the stride they are not those of the window (``cut`` has these).
    t_end : int
        End of a window, microseconds since the start.
    labels : LABEL_DTYPE[N]
        The objects in the picture at ``t_end``: box of the part in the picture, share of the
        object's samples that nothing hides (of its surface that is in the picture if that is less
        than 12 %), its own events in this window (if that is shorter than 50 ms, in all windows of
        the last 50 ms), and whether these were max(12, 0.03 x area) or more at
        the end of one window of the last second (``recent``) or ever (``seen``).

    """

    chunk: EventChunk
    t_end: int
    labels: np.ndarray


class RecordedPart(NamedTuple):
    """Events ``chunk`` until ``t_end``, and the labels of the timings whose windows end there."""

    chunk: EventChunk
    t_end: int
    labels: dict[WindowTiming, np.ndarray]


def cut_windows(
    parts: Iterable[RecordedPart], timing: WindowTiming
) -> Iterator[tuple[EventWindow, np.ndarray]]:
    """
    Yield the windows of a recorded sequence as the node cuts them, each with its labels.

    ``parts``: at least one, all that ``SimulatedSequence.record`` gives, with this timing.
    """
    cutter = WindowCutter(timing.window_us, timing.stride_us, _NEVER_US)
    labels: dict[int, np.ndarray] = {}

    def windows() -> Iterator[EventWindow]:
        for part in parts:
            if timing in part.labels:
                labels[part.t_end] = part.labels[timing]
            yield from cutter.cut(part.chunk)
        # An event behind the last window completes it
        yield from cutter.cut(_mark(part.t_end + 1, part.chunk.height, part.chunk.width))
        yield from cutter.finish()

    for window in windows():
        if window.t_end in labels:  # longer windows of other timings may go on
            yield window, labels.pop(window.t_end)


def sequence_length_us(seconds: float) -> int:
    """Return the length of a sequence in microseconds, a multiple of 50 ms."""
    return max(1, round(seconds * 1e6 / WINDOW_US)) * WINDOW_US


class SimulatedSequence:
    """
    A simulated sequence, decided by its seed.

    Parameters
    ----------
    seed : int or tuple of int
        Chooses all that is not given: scene, traffic, light, camera.
    seconds : float
        Length, above 0; rounded to 50 ms, and not shorter than a window.
    geometry : str, optional
        One of ``GEOMETRIES``.
    motion : str or None, optional
        One of ``MOTIONS``, or None to draw it.
    models : ModelLibrary or None, optional
        Further 3D models (``load_models``), for streets.
    timing : WindowTiming, optional
        The windows; does not change the scene.
    scene : str or None, optional
        One of ``SCENE_SHARES``, or None to draw it.

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
        When the geometry, the motion or the scene is unknown, or the length is not positive.

    """

    tail: EventChunk

    def __init__(
        self,
        seed: int | tuple[int, ...],
        seconds: float,
        geometry: str = 'gen1',
        motion: str | None = None,
        models: ModelLibrary | None = None,
        timing: WindowTiming = DEFAULT_TIMING,
        scene: str | None = None,
    ) -> None:
        if geometry not in GEOMETRIES:
            raise SettingError(
                f'no sensor geometry is called {geometry!r}; choose one of {", ".join(GEOMETRIES)}'
            )
        if motion not in (None, *MOTIONS):
            raise SettingError(
                f'no camera motion is called {motion!r}; choose one of {", ".join(MOTIONS)}'
            )
        if scene not in (None, *SCENE_SHARES):
            raise SettingError(
                f'no scene is called {scene!r}; choose one of {", ".join(SCENE_SHARES)}'
            )
        if not seconds > 0:
            raise SettingError(f'a sequence cannot have {seconds} s; give a length above 0')
        self.seed = (seed,) if isinstance(seed, int) else tuple(seed)
        # The length goes in as well: (1,) and (1, 0) are different seeds
        rng = np.random.default_rng([len(self.seed), *self.seed])
        self.geometry = geometry
        self.height, self.width = self.size = size = GEOMETRIES[geometry]
        drawn = str(rng.choice(list(MOTION_SHARES), p=list(MOTION_SHARES.values())))
        self.motion = motion or drawn
        self.timing = timing
        self.length_us = sequence_length_us(seconds)
        self.count = len(timing.ends(self.length_us))
        duration = max(self.length_us, timing.window_us) / 1e6 + 0.2
        drawn = str(rng.choice(list(SCENE_SHARES), p=list(SCENE_SHARES.values())))
        self.scene = scene or drawn
        if self.scene == 'near':
            made = make_near_scene(rng, self.motion, size, duration)
        else:
            made = _make_street_scene(rng, self.motion, size, duration, models)
        self._light, self._street, view, self._actors, self._still, self._moving = made
        kinds = INDOOR if self.scene == 'near' else tuple(SHARES)
        self._disturbances = draw_disturbances(rng, view, self._street, duration, kinds)
        self._view = self._disturbances.camera
        self.settings = CameraSettings.sample(rng, self._light.ambient < 0.05)
        self._camera = EventCamera(*size, self.settings, int(rng.integers(2**31)))
        self._video = Video.sample(rng)

    def describe(self) -> dict[str, Any]:
        """Return the facts of the sequence, ready for JSON."""
        light = self._light
        return {
            'seed': list(self.seed),
            'scene': self.scene,
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
            'disturbances': list(self._disturbances.names),
            'sensor': asdict(self.settings),
            'video': self._video and asdict(self._video),
        }

    def windows(self) -> Iterator[SequenceWindow]:
        """
        Yield the sequence from its start, window by window.

        It can be asked for once: the camera keeps its state. The first event is at time 0, so that
        windows which are cut from the stream end at the times of the labels.
        """
        for part in self.record([self.timing]):
            yield SequenceWindow(part.chunk, part.t_end, part.labels[self.timing])

    def cut(self) -> Iterator[tuple[EventWindow, np.ndarray]]:
        """Yield windows as the node cuts them, each with its labels; instead of ``windows``."""
        return cut_windows(self.record([self.timing]), self.timing)

    def record(self, timings: Sequence[WindowTiming]) -> Iterator[RecordedPart]:
        """
        Yield the sequence from its start, instead of ``windows``, with the labels of many windows.

        At every end of a window of any timing: the events since the last one, the time, and the
        labels of the timings with a window that ends there (``cut_windows`` has the windows of one
        of them). What is simulated depends a little on the timings, because the camera has a
        picture at every border of a window.
        """
        scene = SceneRenderer(
            self._view,
            self._street,
            self._light,
            self._still,
            (*self._moving, *self._disturbances.actors, *self._actors),
            self._disturbances.effects,
            self._disturbances.mirror,
        )
        picture: Picture = scene.picture
        if self._video:
            picture = VideoFrames(picture, self._video)
        first, now = self._first_event(picture)
        zero = int(first.t[0])
        chunks = [first]
        histories = {timing: _History(timing) for timing in timings}
        ends = {timing: timing.ends(self.length_us) for timing in timings}
        for border in _borders(ends):
            chunks += self._advance(scene, picture, now, zero + border)
            # A border may lie within the step of the first event
            now = max(now, zero + border)
            own = self._camera.take_owner_events()
            due = [timing for timing in timings if border in ends[timing]]
            for history in histories.values():
                history.add(border, own)
            if due:
                places = self._places(scene, now)
                labels = {}
                for timing in due:
                    labels[timing] = self._labels(places, border, now, histories[timing])
                yield RecordedPart(_joined(chunks, zero), border, labels)
                chunks = []
        self.tail = _joined(self._watch(picture, now, now + _MAX_WAIT_US), zero)

    def _advance(
        self, scene: SceneRenderer, picture: Picture, start: int, end: int
    ) -> Iterator[EventChunk]:
        """Yield what the camera gives in a time, in pictures between which little moves."""
        while start < end:
            until = min(start + WINDOW_US, end)
            steps = scene.steps(start / 1e6, until / 1e6)
            for moment in np.linspace(start, until, steps + 1).astype(np.int64)[1:]:
                luminance, owners = picture(moment / 1e6)
                yield self._camera.advance(luminance, int(moment), owners)
            start = until

    def _first_event(self, picture: Picture) -> tuple[EventChunk, int]:
        """Watch until something happens; return the last event so far and the time."""
        self._camera.start(picture(0.0)[0], 0)
        chunks = self._watch(picture, 0, _MAX_WAIT_US)
        now = len(chunks) * _STEP_US
        if len(chunks[-1]):
            self._camera.take_owner_events()
            return chunks[-1][-1:], now
        # Nothing ever happens: one event marks the start
        return _mark(now, *self.size), now

    def _watch(self, picture: Picture, start: int, end: int) -> list[EventChunk]:
        """Return what the camera gives after ``start`` up to the first step with any event."""
        chunks = []
        for now in range(start + _STEP_US, end, _STEP_US):
            chunks.append(self._camera.advance(picture(now / 1e6)[0], now))
            if len(chunks[-1]):
                break
        return chunks

    def _places(self, scene: SceneRenderer, now: int) -> list[_Place]:
        """Return where objects are in the picture at a time, that of the last one."""
        if self._video:  # the last picture may be that of a frame to come
            scene.picture(now / 1e6)
        visible = scene.visible()
        limit = np.array([self.width, self.height] * 2, float)
        places = []
        for owner, (actor, box, inside) in scene.outlines(now / 1e6).items():
            x1, y1, x2, y2 = np.clip(box, 0, limit)
            if visible[owner] == 0 or x2 - x1 < 1 or y2 - y1 < 1:
                continue
            share = min(visible[owner] / max(scene.covered(actor, now / 1e6), 1), 1.0)
            if inside < _MIN_INSIDE:  # a foot is not yet a person, nor a bumper a car
                share = min(share, max(inside, 1e-3))
            places.append(_Place(owner, actor, (x1, y1, x2 - x1, y2 - y1), share))
        return places

    def _labels(self, places: list[_Place], t_end: int, now: int, history: _History) -> np.ndarray:
        """``LABEL_DTYPE`` array of the window that ends now."""
        own = history.events(t_end)
        rows = []
        for owner, actor, box, share in places:
            # What a passer-by uncovers of a parked car is not the car's doing, nor is rain
            start = max(0, now - history.span_us)
            still = history.rests(owner, box) and bool(self._disturbances.effects)
            events = int(own[owner]) if self._stirs(actor, start, now, still) else 0
            recent, seen = history.note(owner, events, box[2] * box[3], t_end)
            rows.append((t_end, *box, actor.body.class_id, owner, share, events, recent, seen))
        return np.array(rows, LABEL_DTYPE)

    def _stirs(self, actor: Actor, start: int, end: int, still: bool) -> bool:
        """Whether a body has moved in the picture in a time; ``still``: its box has not."""
        if self._view.moves_between(start / 1e6, end / 1e6):
            return True
        if actor.body.class_id == PEDESTRIAN:  # may stand and move its arms
            return not still
        before, now = (actor.path.at(t / 1e6)[2] for t in (start, end))
        return abs(now - before) > 1e-4


def _make_street_scene(
    rng: np.random.Generator,
    motion: str,
    size: tuple[int, int],
    seconds: float,
    models: ModelLibrary | None,
) -> Scene:
    light = make_light(rng)
    street = make_street(rng, 130 + _MAX_SPEED * seconds, light)
    camera = make_camera(rng, motion, size, seconds, street.road, street.front)
    traffic = Traffic(rng, camera, street, seconds)
    actors = traffic.make_actors(models.makers if models else {}, light.night)
    return Scene(light, street, camera, actors, *traffic.make_distractors())


class _Place(NamedTuple):
    """An object in a picture; ``box``: x, y, w, h in pixels, ``share``: the visible one."""

    owner: int
    actor: Actor
    box: tuple[float, float, float, float]
    share: float


class _History:
    """
    What the windows of a timing have shown of each object.

    An object is noticed by its events in a window or, where windows are shorter, in the windows of
    the last 50 ms, so that a detector which keeps a state notices as much in short windows.
    """

    def __init__(self, timing: WindowTiming) -> None:
        self.span_us = max(timing.window_us, NOTICE_US)
        self._timing = timing
        self._parts: deque[tuple[int, int, np.ndarray]] = deque()
        self._now = 0
        self._noticed: dict[int, int] = {}
        self._boxes: dict[int, np.ndarray] = {}

    def add(self, now: int, own: np.ndarray) -> None:
        """Add the events ``int64[256]`` of every owner since the time of the last call."""
        if self._timing.covers(self._now):
            self._parts.append((self._now, now, own))
        self._now = now

    def events(self, t_end: int) -> np.ndarray:
        """Return the events ``int64[256]`` of every owner by which it may be noticed now."""
        while self._parts and self._parts[0][0] < t_end - self.span_us:
            self._parts.popleft()
        return np.array([own for *_, own in self._parts]).sum(axis=0)

    def rests(self, owner: int, box: tuple[float, float, float, float]) -> bool:
        """Remember the box of an object; return whether it is where the last one was."""
        now = np.array(box)
        before, self._boxes[owner] = self._boxes.get(owner), now
        return before is not None and bool(np.abs(now - before).max() < 0.2)

    def note(self, owner: int, events: int, area: float, now: int) -> tuple[bool, bool]:
        """Count a window; return whether the object was noticeable lately, and ever."""
        if events >= max(MIN_EVENTS, MIN_EVENT_DENSITY * area):
            self._noticed[owner] = now
        last = self._noticed.get(owner)
        return last is not None and now - last <= 1_000_000, last is not None


def _borders(ends: dict[WindowTiming, range]) -> list[int]:
    """Return the times at which a camera has to stop: where windows, and what counts, begin."""
    borders: set[int] = set()
    for timing, times in ends.items():
        for end in times:
            spans = (end, end - timing.window_us, end - max(timing.window_us, NOTICE_US))
            borders.update(time for time in spans if time > 0)
    return sorted(borders)


def _mark(t: int, height: int, width: int) -> EventChunk:
    """Return a single event."""
    zero = np.zeros(1, np.uint16)
    times = np.array([t], np.int64)
    return EventChunk(zero, zero, zero.astype(np.uint8), times, width=width, height=height)


def _joined(chunks: list[EventChunk], zero: int) -> EventChunk:
    """Return one chunk of several, with ``zero`` as the start of time."""
    x, y, p, t = (np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in 'xypt')
    height, width = chunks[-1].height, chunks[-1].width
    # A few events long before the others are no strays: the first one decides where windows end
    return EventChunk(x, y, p, t - zero, width, height, checked=True, ordered=True)
