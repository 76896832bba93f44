# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Bodies from a folder of glTF 2.0 models, for training with more shapes than our own.

A model becomes a maker as those of the parametric bodies: it draws size and luminance at random.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import functools
import json
import logging
from pathlib import Path
import re
from typing import Any

import numpy as np
from sast_ros.errors import escape_controls
from sast_ros_training.simulation.body import Body, RiggedBody, Skin
from sast_ros_training.simulation.car_body import springs
from sast_ros_training.simulation.gltf import DAMAGE, Document, ModelError, Surface
from sast_ros_training.simulation.mesh import assemble
from sast_ros_training.simulation.rig import interpolate, Motion, rolling

_LOG = logging.getLogger(__name__)

#: A model with more triangles would cost more time than the rest of a scene.
MAX_TRIANGLES = 20_000

#: Words in names of folders and files that determine the class of a model; the first match counts.
_WORDS = {
    1: 'bicycle bike motorcycle motorbike scooter moped cyclist',
    0: 'pedestrian person people human man woman male female child boy girl',
    2: 'car cars suv taxi bus truck lorry van vehicle sedan pickup wagon',
}
_WHEEL_FILES = {'wheel', 'tire', 'tyre'}
_WHEELS = {*_WHEEL_FILES, 'wheels'}
_CLASSES = {'pedestrian': 0, 'two-wheeler': 1, 'car': 2}
#: Metres between which the length is drawn, and the greatest height.
_SIZES: dict[str, tuple[float, float, float]] = {
    'bus': (9.0, 12.5, 3.5),
    'truck': (4.9, 6.5, 2.6),
    'lorry': (6.0, 9.0, 3.8),
    'van': (4.6, 5.8, 2.6),
    'suv': (4.2, 4.9, 1.9),
    'bicycle': (1.65, 1.8, 1.2),
    'bike': (1.65, 1.8, 1.2),
    'scooter': (1.1, 1.8, 1.3),
    'motorcycle': (2.0, 2.3, 1.4),
}
#: The same for a class; of pedestrians the height is drawn.
_USUAL_SIZES = {0: (1.5, 1.95, 2.0), 1: (1.7, 2.2, 1.4), 2: (3.8, 4.9, 1.8)}
_SPEEDS = {0: (0.7, 1.8), 1: (2.0, 9.0), 2: (2.0, 18.0)}


@dataclass(frozen=True)
class Model:
    """
    A model of the library; calling it with a random generator gives a body.

    ``name`` is the path within the folder; ``size`` gives the metres between which the length (the
    height of a person) is drawn, and the greatest height. Vertices and the postures of the clips
    ``walk`` and ``idle``, ``float32[K, V, 3]`` or None, are in body coordinates and the model's
    own unit; ``wheels`` is 0 for a vertex of the body, else the number of its wheel; ``stride`` is
    the length of one walking cycle.
    """

    name: str
    class_id: int
    size: tuple[float, float, float]
    vertices: np.ndarray
    triangles: np.ndarray
    albedo: np.ndarray
    materials: np.ndarray
    wheels: np.ndarray
    walk: np.ndarray | None
    idle: np.ndarray | None
    stride: float
    idle_seconds: float

    @property
    def speeds(self) -> tuple[float, float]:
        """Slowest and fastest usual speed in m/s."""
        return _SPEEDS[self.class_id]

    def __call__(self, rng: np.random.Generator) -> Body:
        """Return the model with random size, proportions and luminance of its materials."""
        extent = np.ptp(self.vertices, axis=0)
        low, high, tallest = self.size
        size = rng.uniform(low, high) / float(extent[2 if self.class_id == 0 else 0])
        # Toy models are short for their height.
        size = min(size, tallest / float(extent[2]))
        scale = size * rng.uniform(0.94, 1.06, 3)
        albedo = _repainted(rng, self.materials, self.albedo)
        if self.walk is not None:
            scale[1] = scale[0]
            return _Animated(self, self.walk, scale.astype(np.float32), albedo, rng.random())
        scale[2] = scale[0]  # wheels stay round
        return self._on_wheels(rng, scale, albedo)

    def _on_wheels(self, rng: np.random.Generator, scale: np.ndarray, albedo: np.ndarray) -> Body:
        vertices, wheels = (self.vertices * scale).astype(np.float32), self.wheels
        count = int(wheels.max()) + 1
        skin = Skin(more=count)
        piece = assemble(vertices, self.triangles, albedo)
        skin.add(piece, 0, wheels, np.where(wheels > 0, 1.0, 0.0))
        motions: list[Motion] = [springs(rng, float(np.ptp(vertices[:, 0])))]
        for number in range(1, count):
            points = vertices[wheels == number]
            low, high = points.min(0), points.max(0)
            motions.append(rolling([(low + high) / 2], float(high[2] - low[2]) / 2))
        return RiggedBody(skin, motions, self.class_id, self.speeds)


@dataclass(frozen=True)
class ModelLibrary:
    """The usable models of a folder, by name."""

    models: tuple[Model, ...]

    @property
    def makers(self) -> dict[int, Sequence[Callable[..., Body]]]:
        """The models of each class that has any."""
        listed = {k: [model for model in self.models if model.class_id == k] for k in range(3)}
        return {class_id: makers for class_id, makers in listed.items() if makers}


class _Animated(Body):
    """A person that walks by the distance, or stands as its idle clip shows."""

    def __init__(
        self, model: Model, walk: np.ndarray, scale: np.ndarray, albedo: np.ndarray, offset: float
    ) -> None:
        self._model, self._walk, self._scale, self._offset = model, walk, scale, offset
        mesh = assemble(model.vertices * scale, model.triangles, albedo)
        super().__init__(mesh, model.class_id, model.speeds)

    def vertices(self, distance: float, seconds: float, walks: float = 1.0) -> np.ndarray:
        """Return the posed vertices, see ``Body.vertices``."""
        model = self._model
        period = model.stride * float(self._scale[0])
        posed = interpolate(self._walk, distance / period + self._offset)
        if model.idle is not None and walks < 1:
            idle = interpolate(model.idle, seconds / model.idle_seconds + self._offset)
            posed = idle + np.float32(walks) * (posed - idle)
        return posed * self._scale


def _repainted(rng: np.random.Generator, materials: np.ndarray, albedo: np.ndarray) -> np.ndarray:
    """Return the albedo after every material has been made lighter or darker at random."""
    count = int(materials.max()) + 1
    gain = np.exp(rng.normal(0, 0.35, count))
    new = 0.03 + 0.85 * rng.random(count) ** 1.4
    # Black rubber and windows stay dark in most cases.
    mean = np.bincount(materials, albedo, count) / np.maximum(np.bincount(materials), 1)
    fresh = rng.random(count) < np.where(mean < 0.03, 0.15, 0.5)
    gain = np.where(fresh, new / np.maximum(mean, 0.01), gain)
    return np.clip(albedo * gain[materials], 0.02, 0.95).astype(np.float32)


def load_models(folder: str | Path) -> ModelLibrary:
    """
    Read every ``.glb`` and ``.gltf`` below a folder.

    What a model is follows from the words in its name (``car``, ``woman``, ``bicycle``...), its
    front from the names of its wheels or from the way its feet go, its size from its class. A file
    ``models.json`` in the folder overrides this: it maps paths to objects with any of ``class``
    (pedestrian, two-wheeler or car), ``height`` or ``length`` in metres, ``forward`` (one of +x -x
    +y -y +z -z in the model's axes; up is y, or z for a front along y) and ``skip``.

    Models of more than 20 000 triangles, those whose wheels lie in other files, and those that no
    word describes are left out with a warning.

    Raises
    ------
    ModelError
        When there is no such folder, nothing usable in it, a file that is not glTF 2.0, or a
        wrong table.

    """
    root = Path(folder)
    if not root.is_dir():
        raise ModelError(f'{root} is not a folder; give one that holds .glb or .gltf files')
    table = _read_table(root / 'models.json')
    models = []
    for path in sorted(root.rglob('*')):
        name = path.relative_to(root).as_posix()
        entry, wheel = table.get(name, {}), _words(name) & _WHEEL_FILES  # a part of another model
        if path.suffix.lower() not in ('.glb', '.gltf') or entry.get('skip') or wheel:
            continue
        try:
            models.append(_load(path, name, entry))
        except _LeftOut as reason:
            _LOG.warning('%s is left out: %s', escape_controls(str(path)), reason)
    if not models:
        raise ModelError(f'{root} holds no usable model; put .glb or .gltf files there')
    return ModelLibrary(tuple(models))


#: The same for a process that makes many sequences.
load_models_once = functools.cache(load_models)


def _read_table(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    try:
        table = json.loads(path.read_text('utf-8'))
    except (ValueError, RecursionError) as error:
        raise ModelError(f'{path} is not JSON: {error}; correct it') from error
    known = {'class', 'height', 'length', 'forward', 'skip'}
    for name, entry in table.items() if isinstance(table, dict) else [('it', None)]:
        if not isinstance(entry, dict) or not set(entry) <= known:
            raise ModelError(f'{path}: {name} must be an object with some of {sorted(known)}')
        if entry.get('class', 'car') not in [*_CLASSES]:
            raise ModelError(
                f'{path}: class of {name} must be one of {[*_CLASSES]}; "skip": true leaves it out'
            )
        if entry.get('forward', '+z') not in ('+x', '-x', '+y', '-y', '+z', '-z'):
            raise ModelError(f'{path}: forward of {name} must be one of +x -x +y -y +z -z')
        for side in ('height', 'length'):
            if not _is_length(entry.get(side, 1)):
                raise ModelError(f'{path}: {side} of {name} must be a number of metres above 0')
    return dict(table)


def _is_length(value: Any) -> bool:
    try:
        return 0 < float(value) < np.inf
    except (TypeError, ValueError, OverflowError):
        return False


def _words(name: str) -> set[str]:
    """Return the words of a path: ``people/Old_ManSuit.glb`` gives people, old, man, suit."""
    return {word.lower() for word in re.findall(r'[A-Z]?[a-z]+|[A-Z]+(?![a-z])', name)}


class _LeftOut(Exception):
    """Why a model cannot be used, although its file is as it should be."""


def _load(path: Path, name: str, entry: dict[str, Any]) -> Model:
    words = _words(name)
    fitting = [number for number, known in _WORDS.items() if words & set(known.split())]
    if 'class' not in entry and not fitting:
        raise _LeftOut('no word of its name describes it; add it to models.json')
    class_id = _CLASSES[entry['class']] if 'class' in entry else fitting[0]
    if any(_words(other.stem) & _WHEEL_FILES for other in path.parent.glob('*.gl*')):
        raise _LeftOut('its wheels lie in other files; join them')
    size = next((span for word, span in _SIZES.items() if word in words), _USUAL_SIZES[class_id])
    metres = entry.get('height' if class_id == 0 else 'length')
    if metres:
        size = 0.95 * float(metres), 1.05 * float(metres), np.inf
    try:
        document = Document(path)
        count = document.count_triangles()
        if count > MAX_TRIANGLES:
            raise _LeftOut(f'it has {count} triangles, more than {MAX_TRIANGLES}')
        return _read_model(document, name, class_id, size, entry.get('forward'))
    except ModelError:
        raise
    except DAMAGE as error:
        raise ModelError(
            f'{path} cannot be read as glTF 2.0 ({error}); export it again'
        ) from error


def _read_model(
    document: Document,
    name: str,
    class_id: int,
    size: tuple[float, float, float],
    forward: str | None,
) -> Model:
    surfaces = document.surfaces()
    if not surfaces:
        raise ModelError(f'{document.path} shows no triangles; export its meshes')
    rest = document.posed(surfaces)
    walk, idle, seconds = _read_clips(document, surfaces) if class_id == 0 else (None, None, 1.0)
    counts = [len(surface.rows) for surface in surfaces]
    starts = np.cumsum([0, *counts[:-1]])
    triangles = [surface.triangles + start for surface, start in zip(surfaces, starts)]
    wheels = np.repeat(_wheel_numbers(surfaces), counts)
    # glTF repeats a vertex for every normal; here those of a place, and of a wheel, are one.
    every = [rest] if walk is None else [rest, walk[0], walk[len(walk) // 2]]
    extent = float(np.ptp(rest, axis=0).max())
    places = [np.rint(points / extent * 1e5) for points in every]
    keys = np.concatenate([*places, wheels[:, None]], 1)
    _, chosen, where = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    turn = _turn(surfaces, rest, walk, forward)
    vertices = _settled((rest[chosen] @ turn.T)[None])[0]
    walk, idle = (
        None if clip is None else _settled(clip[:, chosen] @ turn.T) for clip in (walk, idle)
    )
    numbers = np.repeat([s.material for s in surfaces], [len(s.triangles) for s in surfaces])
    return Model(
        name,
        class_id,
        size,
        vertices,
        where.ravel()[np.concatenate(triangles)].astype(np.int32),
        np.concatenate([surface.albedo for surface in surfaces]),
        np.unique(numbers, return_inverse=True)[1],
        wheels[chosen],
        walk,
        idle,
        1.0 if walk is None else _stride(walk),
        seconds,
    )


def _read_clips(
    document: Document, surfaces: list[Surface]
) -> tuple[np.ndarray | None, np.ndarray | None, float]:
    """Return the postures of walking and of standing, and the seconds of the latter."""
    clips = document.clips
    walking = [clip for name, clip in clips.items() if 'walk' in name]
    standing = [clip for name, clip in clips.items() if 'idle' in name or 'standing' in name]
    if not walking and len(clips) == 1:
        walking = [*clips.values()]
    if not walking:
        return None, None, 1.0
    walk, _ = document.postures(surfaces, walking[0])
    return (walk, *(document.postures(surfaces, standing[0]) if standing else (None, 1.0)))


def _settled(postures: np.ndarray) -> np.ndarray:
    """Return postures ``[K, V, 3]`` on the ground above the origin."""
    middle = postures.mean(1, keepdims=True)
    if len(postures) == 1:
        middle = (postures.min(1, keepdims=True) + postures.max(1, keepdims=True)) / 2
    middle[..., 2] = postures[..., 2].min()
    return np.ascontiguousarray(postures - middle, np.float32)


def _wheel_numbers(surfaces: list[Surface]) -> list[int]:
    """Return 0 for a part of the body, else which wheel the surface of this name belongs to."""
    numbers: dict[str, int] = {}
    return [
        numbers.setdefault(surface.name, len(numbers) + 1) if _words(surface.name) & _WHEELS else 0
        for surface in surfaces
    ]


def _turn(
    surfaces: list[Surface], rest: np.ndarray, walk: np.ndarray | None, forward: str | None
) -> np.ndarray:
    """Return the ``[3, 3]`` matrix from the model's axes to body coordinates."""
    if forward is not None:
        direction = np.eye(3)['xyz'.index(forward[1])] * (1.0 if forward[0] == '+' else -1.0)
    else:
        direction = _found_front(surfaces, rest, walk)
    # Only quarter turns: what looks elsewhere was not modelled along its axes.
    axis = int(np.argmax(np.abs(direction)))
    front = np.eye(3)[axis] * np.sign(direction[axis])
    # A model that goes along y was exported with z up, against the format's convention.
    up = np.eye(3)[2 if axis == 1 else 1]
    return np.stack([front, np.cross(up, front), up])


def _found_front(surfaces: list[Surface], rest: np.ndarray, walk: np.ndarray | None) -> np.ndarray:
    """Return the direction to the front: wheels' names, else feet's way, else z or the length."""
    front, back = [], []
    ends = np.cumsum([len(surface.rows) for surface in surfaces])
    for surface, points in zip(surfaces, np.split(rest, ends[:-1]), strict=True):
        words = _words(surface.name)
        if words & _WHEELS and words & {'front'}:
            front.append(points.mean(0))
        if words & _WHEELS and words & {'back', 'rear'}:
            back.append(points.mean(0))
    if front and back:
        return np.mean(front, 0) - np.mean(back, 0)
    if walk is not None:
        return -_ground_way(walk - walk.mean(1, keepdims=True), 1)
    long = np.ptp(rest, axis=0)
    return np.array((1.0, 0, 0)) if long[0] > 1.3 * long[2] else np.array((0, 0, 1.0))


def _ground_way(postures: np.ndarray, up: int) -> np.ndarray:
    """Return how far ``[3]`` that which touches the ground moves in one cycle."""
    height = postures[..., up]
    low = height.min() + 0.03 * np.ptp(height)
    way = []
    for now, then in zip(postures, np.roll(postures, -1, 0), strict=True):
        touching = (now[:, up] < low) & (then[:, up] < low)
        if touching.any():
            way.append(np.median(then[touching] - now[touching], axis=0))
    return len(postures) * np.median(way, axis=0) if way else np.zeros(3)


def _stride(walk: np.ndarray) -> float:
    """Return the way of one cycle, so that standing feet stay where they are."""
    way = -float(_ground_way(walk, 2)[0])
    height = float(np.ptp(walk[0, :, 2]))
    # A clip without usable feet gets a usual stride.
    return way if 0.3 * height < way < 2.0 * height else 0.8 * height
