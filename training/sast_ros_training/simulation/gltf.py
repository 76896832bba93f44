"""
Bodies from a folder of glTF 2.0 models, for training with more shapes than our own.

A model becomes a maker as those of the parametric bodies: it draws size and luminance at random.
Format: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html. Read here rather than by a
library, because skins, clips and accessors would have to be evaluated by hand all the same.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
import io
import json
import logging
from pathlib import Path
import re
import struct
from typing import Any
from urllib.parse import unquote

import numpy as np
from PIL import Image
from sast_ros.errors import SastError
from sast_ros_training.simulation.car_body import springs
from sast_ros_training.simulation.mesh import assemble, Body
from sast_ros_training.simulation.rig import Motion, RiggedBody, rolling, Skin, Standstill

_LOG = logging.getLogger(__name__)

#: A model with more triangles would cost more time than the rest of a scene.
MAX_TRIANGLES = 20_000
#: Postures that are kept of a walking cycle.
_PHASES = 24

_COMPONENTS = {5120: 'i1', 5121: 'u1', 5122: '<i2', 5123: '<u2', 5125: '<u4', 5126: '<f4'}
_WIDTHS = {'SCALAR': 1, 'VEC2': 2, 'VEC3': 3, 'VEC4': 4, 'MAT4': 16}
#: Words in names of folders and files that say what a model is; the first that fits counts.
_WORDS: tuple[tuple[int, str], ...] = (
    (1, 'bicycle bike motorcycle motorbike scooter moped cyclist'),
    (0, 'pedestrian person people human man woman male female child boy girl'),
    (2, 'car cars suv taxi bus truck lorry van vehicle sedan pickup wagon'),
)
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
_USUAL_SIZES = {
    0: (1.5, 1.95, 2.0),
    1: (1.7, 2.2, 1.4),
    2: (3.8, 4.9, 1.8),
    None: (0.5, 1.5, 3.0),
}
_SPEEDS = {0: (0.7, 1.8), 1: (2.0, 9.0), 2: (2.0, 18.0), None: (0.0, 0.0)}


class ModelError(SastError, ValueError):
    """A model, or the table that describes it, cannot be used; the message names the file."""


@dataclass(frozen=True)
class Model:
    """
    A model of the library; calling it with a random generator gives a body.

    name: path within the folder. class_id: as of ``Body``. speeds: m/s.
    size: metres between which the length (the height of a person) is drawn, greatest height.
    """

    name: str
    class_id: int | None
    size: tuple[float, float, float]
    speeds: tuple[float, float]
    shape: _Shape

    def __call__(self, rng: np.random.Generator) -> Body:
        """Return the model with random size, proportions and luminance of its materials."""
        shape = self.shape
        extent = np.ptp(shape.vertices, axis=0)
        low, high, tallest = self.size
        scale = float(rng.uniform(low, high)) / float(extent[2 if self.class_id == 0 else 0])
        # Toy models are short for their height.
        scale = min(scale, tallest / float(extent[2]))
        stretch = scale * rng.uniform(0.94, 1.06, 3)
        albedo = _repainted(rng, shape.materials, shape.albedo)
        if shape.walk is not None:
            stretch[0] = stretch[1] = float(stretch[0])
            return _Animated(shape, stretch.astype(np.float32), albedo, self, float(rng.random()))
        # Wheels stay round.
        stretch[2] = stretch[0]
        return _rolling_body(rng, shape, stretch, albedo, self)


@dataclass(frozen=True)
class ModelLibrary:
    """The usable models of a folder, by name."""

    models: tuple[Model, ...]

    @property
    def makers(self) -> dict[int, Sequence[Callable[..., Body]]]:
        """The models of each labelled class that has any."""
        ids = {model.class_id for model in self.models if model.class_id is not None}
        return {
            class_id: [model for model in self.models if model.class_id == class_id]
            for class_id in sorted(ids)
        }

    @property
    def distractors(self) -> Sequence[Callable[..., Body]]:
        """The models that get no label."""
        return [model for model in self.models if model.class_id is None]


@dataclass(frozen=True)
class _Shape:
    """
    A model in body coordinates and its own unit.

    vertices: ``[V, 3]`` at rest; triangles ``[T, 3]``; albedo ``[T]``; materials: number ``[T]``.
    wheels: ``[V]``, 0 for the body, else the number of the wheel.
    walk, idle: ``float32[K, V, 3]`` postures or None; stride: way of one walking cycle;
    idle_seconds: length of the idle clip.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    albedo: np.ndarray
    materials: np.ndarray
    wheels: np.ndarray
    walk: np.ndarray | None
    idle: np.ndarray | None
    stride: float
    idle_seconds: float


class _Animated(Body):
    """A person that walks by the distance, and idles where it does not change."""

    def __init__(
        self, shape: _Shape, stretch: np.ndarray, albedo: np.ndarray, model: Model, offset: float
    ) -> None:
        self._shape, self._stretch, self._offset = shape, stretch, offset
        self._standstill = Standstill()
        mesh = assemble(shape.vertices * stretch, shape.triangles, albedo)
        super().__init__(mesh, model.class_id, model.speeds)

    def vertices(self, distance: float, seconds: float) -> np.ndarray:
        """Return the posed vertices, see ``Body.vertices``."""
        shape = self._shape
        walks = self._standstill.walks(distance, seconds)
        assert shape.walk is not None
        period = shape.stride * float(self._stretch[0])
        posed = _between(shape.walk, distance / period + self._offset)
        if shape.idle is not None and walks < 1:
            idle = _between(shape.idle, seconds / shape.idle_seconds + self._offset)
            posed = idle + np.float32(walks) * (posed - idle)
        return posed * self._stretch


def _between(postures: np.ndarray, phase: float) -> np.ndarray:
    count = len(postures)
    place = phase % 1.0 * count
    step = int(place)
    now, then = postures[step % count], postures[(step + 1) % count]
    return now + np.float32(place - step) * (then - now)


def _rolling_body(
    rng: np.random.Generator, shape: _Shape, stretch: np.ndarray, albedo: np.ndarray, model: Model
) -> Body:
    vertices = (shape.vertices * stretch).astype(np.float32)
    count = int(shape.wheels.max()) + 1
    skin = Skin(count)
    piece = assemble(vertices, shape.triangles, albedo)
    skin.add(piece, 0, shape.wheels, np.where(shape.wheels > 0, 1.0, 0.0))
    motions: list[Motion] = [springs(rng, float(np.ptp(vertices[:, 0])))]
    for number in range(1, count):
        points = vertices[shape.wheels == number]
        low, high = points.min(0), points.max(0)
        x, y, z = ((low + high) / 2).tolist()
        motions.append(rolling([(x, y, z)], float(high[2] - low[2]) / 2))
    return RiggedBody(skin, motions, model.class_id, model.speeds)


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
    ``models.json`` in the folder may say otherwise: it maps paths to objects with any of ``class``
    (pedestrian, two-wheeler, car or null), ``height`` or ``length`` in metres, ``forward`` (one of
    +x -x +y -y +z -z in the model's axes; up is y, or z for a front along y) and ``skip``.

    Models of more than 20 000 triangles, those whose wheels lie in other files, and those that no
    word describes are left out with a warning.

    Raises
    ------
    ModelError: no such folder, nothing usable in it, a file that is not glTF 2.0, a wrong table.

    """
    root = Path(folder)
    if not root.is_dir():
        raise ModelError(f'{root} is not a folder; give one that holds .glb or .gltf files')
    table = _read_table(root / 'models.json')
    models = []
    for path in sorted(root.rglob('*')):
        if path.suffix.lower() not in ('.glb', '.gltf'):
            continue
        name = path.relative_to(root).as_posix()
        model = _load(path, name, table.get(name, {}))
        if model is not None:
            models.append(model)
    if not models:
        raise ModelError(f'{root} holds no usable model; put .glb or .gltf files there')
    return ModelLibrary(tuple(models))


def _read_table(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    try:
        table = json.loads(path.read_text('utf-8'))
    except ValueError as error:
        raise ModelError(f'{path} is not JSON: {error}; correct it') from error
    known = {'class', 'height', 'length', 'forward', 'skip'}
    for name, entry in table.items() if isinstance(table, dict) else [('it', None)]:
        if not isinstance(entry, dict) or not set(entry) <= known:
            raise ModelError(f'{path}: {name} must be an object with some of {sorted(known)}')
        if entry.get('class') not in (None, *_CLASSES):
            raise ModelError(f'{path}: class of {name} must be one of {[*_CLASSES]} or null')
        if entry.get('forward', '+z') not in ('+x', '-x', '+y', '-y', '+z', '-z'):
            raise ModelError(f'{path}: forward of {name} must be one of +x -x +y -y +z -z')
    return dict(table)


def _words(name: str) -> set[str]:
    """Return the words of a path: ``people/Old_ManSuit.glb`` gives people, old, man, suit."""
    return {word.lower() for word in re.findall(r'[A-Z]?[a-z]+|[A-Z]+(?![a-z])', name)}


def _load(path: Path, name: str, entry: dict[str, Any]) -> Model | None:
    words = _words(name)
    if entry.get('skip'):
        return None
    if words & {'tire', 'tyre', 'wheel'}:
        return None  # a part of another model
    fitting = [number for number, known in _WORDS if words & set(known.split())]
    if 'class' in entry:
        class_id = None if entry['class'] is None else _CLASSES[entry['class']]
    elif fitting:
        class_id = fitting[0]
    else:
        _LOG.warning(
            '%s is left out: no word of its name says what it is; add it to models.json', path
        )
        return None
    if any(_words(other.stem) & {'tire', 'tyre', 'wheel'} for other in path.parent.glob('*.gl*')):
        _LOG.warning('%s is left out: its wheels lie in other files; join them', path)
        return None
    try:
        document = _Document(path)
        count = document.count_triangles()
        if count > MAX_TRIANGLES:
            _LOG.warning(
                '%s is left out: it has %d triangles, more than %d', path, count, MAX_TRIANGLES
            )
            return None
        shape = _read_shape(document, class_id, entry.get('forward'))
    except (KeyError, IndexError, TypeError, ValueError, OSError, struct.error) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f'{path} cannot be read as glTF 2.0 ({error}); export it again'
        ) from error
    size = next((span for word, span in _SIZES.items() if word in words), _USUAL_SIZES[class_id])
    metres = entry.get('height' if class_id == 0 else 'length')
    if metres:
        size = 0.95 * float(metres), 1.05 * float(metres), np.inf
    return Model(name, class_id, size, _SPEEDS[class_id], shape)


class _Document:
    """A glTF file: its JSON, and its accessors as arrays."""

    def __init__(self, path: Path) -> None:
        self.path = path
        data = path.read_bytes()
        chunk = b''
        if data[:4] == b'glTF':
            (length,) = struct.unpack_from('<I', data, 12)
            end, binary = 20 + length, 28 + length
            text = data[20:end]
            chunk = data[binary:]
        else:
            text = data
        self.json: dict[str, Any] = json.loads(text)
        if not str(self.json['asset']['version']).startswith('2'):
            raise ModelError(f'{path} is glTF {self.json["asset"]["version"]}; convert it to 2.0')
        self._buffers = [
            self._resource(buffer['uri']) if 'uri' in buffer else chunk
            for buffer in self.json.get('buffers', [])
        ]
        self.nodes: list[dict[str, Any]] = self.json['nodes']
        self.parents = {
            child: number
            for number, node in enumerate(self.nodes)
            for child in node.get('children', [])
        }

    def _resource(self, uri: str) -> bytes:
        if uri.startswith('data:'):
            return base64.b64decode(uri.split(',', 1)[1])
        return (self.path.parent / unquote(uri)).read_bytes()

    def count_triangles(self) -> int:
        """Return the number of triangles of all meshes that a node shows."""
        total = 0
        for node in self.nodes:
            if 'mesh' in node:
                for part in self.json['meshes'][node['mesh']]['primitives']:
                    number = part.get('indices', part['attributes']['POSITION'])
                    total += self.json['accessors'][number]['count'] // 3
        return total

    def array(self, number: int) -> np.ndarray:
        """Return an accessor's elements ``[count, width]``; integers as stored or normalised."""
        accessor = self.json['accessors'][number]
        kind = np.dtype(_COMPONENTS[accessor['componentType']])
        count, width = accessor['count'], _WIDTHS[accessor['type']]
        if 'bufferView' not in accessor or 'sparse' in accessor:
            raise ModelError(f'{self.path} has sparse accessors; export it without')
        view = self.json['bufferViews'][accessor['bufferView']]
        start = view.get('byteOffset', 0) + accessor.get('byteOffset', 0)
        stride = view.get('byteStride', width * kind.itemsize)
        values = np.ndarray(
            (count, width), kind, self._buffers[view['buffer']], start, (stride, kind.itemsize)
        )
        if accessor.get('normalized') and kind.kind in 'iu':
            return np.maximum(values / np.float32(np.iinfo(kind).max), -1)
        return values

    def image(self, texture: int) -> np.ndarray:
        """Return the luminance of a texture's picture, linear, ``float32[H, W]``."""
        source = self.json['images'][self.json['textures'][texture]['source']]
        if 'uri' in source:
            data = self._resource(source['uri'])
        else:
            view = self.json['bufferViews'][source['bufferView']]
            start = view.get('byteOffset', 0)
            end = start + view['byteLength']
            data = self._buffers[view['buffer']][start:end]
        with Image.open(io.BytesIO(data)) as picture:
            colour = np.asarray(picture.convert('RGB'), np.float32) / 255
        linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
        return _luminance(linear)


def _luminance(colour: np.ndarray) -> np.ndarray:
    """Return the luminance of linear colours ``[..., 3]`` (Rec. 709)."""
    return (colour[..., :3] @ np.array((0.2126, 0.7152, 0.0722))).astype(np.float32)


@dataclass(frozen=True)
class _Surface:
    """
    One primitive before posing.

    rows: ``float32[V, J * 4]``, times the transposed matrices of a skin's J joints (or of the
    node, J = 1) gives the posed vertices.
    """

    rows: np.ndarray
    triangles: np.ndarray
    albedo: np.ndarray
    material: int
    node: int
    skin: int | None


def _read_shape(document: _Document, class_id: int | None, forward: str | None) -> _Shape:
    surfaces = _surfaces(document)
    if not surfaces:
        raise ModelError(f'{document.path} shows no triangles; export its meshes')
    rest = _posed(document, surfaces, _globals(document, {}))
    walk, idle, seconds = None, None, 1.0
    clips = {clip.get('name', '').lower(): clip for clip in document.json.get('animations', [])}
    if class_id == 0 and clips:
        walking = [clip for name, clip in clips.items() if 'walk' in name]
        standing = [clip for name, clip in clips.items() if 'idle' in name or 'standing' in name]
        if walking or len(clips) == 1:
            walk, _ = _clip(document, surfaces, walking[0] if walking else [*clips.values()][0])
        if standing and walk is not None:
            idle, seconds = _clip(document, surfaces, standing[0])
    starts = np.cumsum([0] + [len(surface.rows) for surface in surfaces[:-1]])
    triangles = np.concatenate(
        [surface.triangles + start for surface, start in zip(surfaces, starts, strict=True)]
    )
    names = [document.nodes[surface.node].get('name', '') for surface in surfaces]
    wheels = np.concatenate(
        [np.full(len(s.rows), k) for s, k in zip(surfaces, _wheel_numbers(names), strict=True)]
    )
    # glTF repeats a vertex for every normal; here those of a place, and of a wheel, are one.
    every = [rest] if walk is None else [rest, walk[0], walk[len(walk) // 2]]
    size = float(np.ptp(rest, axis=0).max())
    keys = np.concatenate(
        [np.rint(points / size * 1e5) for points in every] + [wheels[:, None]], 1
    )
    _, chosen, where = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    triangles = where.ravel()[triangles].astype(np.int32)
    turn = _turn(document, surfaces, rest, walk, forward)
    settle = _settle(rest[chosen] @ turn.T)
    postures = [
        None if clip is None else settle(clip[:, chosen] @ turn.T) for clip in (walk, idle)
    ]
    numbers = np.concatenate([np.full(len(s.triangles), s.material) for s in surfaces])
    _, materials = np.unique(numbers, return_inverse=True)
    return _Shape(
        settle((rest[chosen] @ turn.T)[None])[0],
        triangles,
        np.concatenate([surface.albedo for surface in surfaces]),
        materials,
        wheels[chosen],
        postures[0],
        postures[1],
        1.0 if postures[0] is None else _stride(postures[0]),
        seconds,
    )


def _settle(rest: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return what puts postures ``[K, V, 3]`` on the ground above the origin."""

    def settled(postures: np.ndarray) -> np.ndarray:
        middle = postures.mean(1, keepdims=True)
        if len(postures) == 1:
            middle = (postures.min(1, keepdims=True) + postures.max(1, keepdims=True)) / 2
        middle[..., 2] = postures[..., 2].min()
        return np.ascontiguousarray(postures - middle, np.float32)

    return settled


def _wheel_numbers(names: list[str]) -> list[int]:
    """Return 0 for a part of the body, else which wheel the surface of this name belongs to."""
    numbers: dict[str, int] = {}
    return [
        numbers.setdefault(name, len(numbers) + 1)
        if _words(name) & {'wheel', 'wheels', 'tire', 'tyre'}
        else 0
        for name in names
    ]


def _surfaces(document: _Document) -> list[_Surface]:
    surfaces = []
    pictures: dict[int, np.ndarray] = {}
    for number, node in enumerate(document.nodes):
        if 'mesh' not in node:
            continue
        for part in document.json['meshes'][node['mesh']]['primitives']:
            if part.get('mode', 4) != 4:
                continue
            attributes = part['attributes']
            points = document.array(attributes['POSITION']).astype(float)
            index = (
                document.array(part['indices']).ravel()
                if 'indices' in part
                else np.arange(len(points))
            )
            triangles = index[: len(index) // 3 * 3].reshape(-1, 3).astype(np.int64)
            skin = node.get('skin') if 'JOINTS_0' in attributes else None
            surfaces.append(
                _Surface(
                    _rows(document, points, attributes, skin),
                    triangles,
                    _albedo(document, part, triangles, pictures),
                    part.get('material', -1),
                    number,
                    skin,
                )
            )
    return surfaces


def _rows(
    document: _Document, points: np.ndarray, attributes: dict[str, int], skin: int | None
) -> np.ndarray:
    points = np.concatenate([points, np.ones((len(points), 1))], 1).astype(np.float32)
    if skin is None:
        return points
    joints = document.array(attributes['JOINTS_0']).astype(int)
    weights = document.array(attributes['WEIGHTS_0']).astype(np.float32)
    weights = weights / weights.sum(1, keepdims=True)
    rows = np.zeros((len(points), len(document.json['skins'][skin]['joints']), 4), np.float32)
    for joint, weight in zip(joints.T, weights.T, strict=True):
        rows[np.arange(len(points)), joint] += weight[:, None] * points
    return rows.reshape(len(points), -1)


def _albedo(
    document: _Document,
    part: dict[str, Any],
    triangles: np.ndarray,
    pictures: dict[int, np.ndarray],
) -> np.ndarray:
    """Return the albedo of each triangle: material times its texture in the triangle's middle."""
    material = document.json['materials'][part['material']] if 'material' in part else {}
    rough = material.get('pbrMetallicRoughness', {})
    glossy = material.get('extensions', {}).get('KHR_materials_pbrSpecularGlossiness', {})
    factor = glossy.get('diffuseFactor', rough.get('baseColorFactor', (1.0, 1.0, 1.0, 1.0)))
    texture = glossy.get('diffuseTexture', rough.get('baseColorTexture'))
    albedo = np.full(len(triangles), _luminance(np.asarray(factor, float)), np.float32)
    if texture is not None:
        number = texture['index']
        if number not in pictures:
            pictures[number] = document.image(number)
        picture = pictures[number]
        key = f'TEXCOORD_{texture.get("texCoord", 0)}'
        if key in part['attributes']:
            uv = document.array(part['attributes'][key]).astype(float)
            shift = texture.get('extensions', {}).get('KHR_texture_transform', {})
            uv = uv * shift.get('scale', (1, 1)) + shift.get('offset', (0, 0))
            middle = uv[triangles].mean(1) % 1.0
            height, width = picture.shape
            column = (middle[:, 0] * width).astype(int) % width
            row = (middle[:, 1] * height).astype(int) % height
            albedo = albedo * picture[row, column]
    return np.clip(albedo, 0.02, 0.95)


def _matrix(node: dict[str, Any], pose: dict[str, np.ndarray]) -> np.ndarray:
    """Return a node's ``[4, 4]`` matrix; ``pose`` replaces its translation, rotation or scale."""
    if 'matrix' in node and not pose:
        return np.asarray(node['matrix'], float).reshape(4, 4).T
    x, y, z, w = pose.get('rotation', np.asarray(node.get('rotation', (0, 0, 0, 1)), float))
    matrix = np.eye(4)
    matrix[:3, :3] = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    matrix[:3, :3] *= pose.get('scale', np.asarray(node.get('scale', (1, 1, 1)), float))
    matrix[:3, 3] = pose.get('translation', node.get('translation', (0, 0, 0)))
    return matrix


def _globals(document: _Document, pose: dict[int, dict[str, np.ndarray]]) -> list[np.ndarray]:
    """Return the ``[4, 4]`` matrix of every node to the world, in this pose."""
    found: dict[int, np.ndarray] = {}

    def world(number: int) -> np.ndarray:
        if number not in found:
            own = _matrix(document.nodes[number], pose.get(number, {}))
            parent = document.parents.get(number)
            found[number] = own if parent is None else world(parent) @ own
        return found[number]

    return [world(number) for number in range(len(document.nodes))]


def _posed(document: _Document, surfaces: list[_Surface], world: list[np.ndarray]) -> np.ndarray:
    """Return all vertices in the world, ``[V, 3]``, in the order of the surfaces."""
    posed = []
    bones: dict[int, np.ndarray] = {}
    for surface in surfaces:
        number = surface.skin
        if number is None:
            matrices = world[surface.node][None]
        else:
            if number not in bones:
                skin = document.json['skins'][number]
                inverse = document.array(skin['inverseBindMatrices']).astype(float)
                inverse = inverse.reshape(-1, 4, 4).transpose(0, 2, 1)
                bones[number] = np.stack([world[joint] for joint in skin['joints']]) @ inverse
            matrices = bones[number]
        poses = matrices[:, :3].transpose(0, 2, 1).reshape(-1, 3)
        posed.append(surface.rows @ poses.astype(np.float32))
    return np.concatenate(posed)


def _clip(
    document: _Document, surfaces: list[_Surface], clip: dict[str, Any]
) -> tuple[np.ndarray, float]:
    """Return the postures ``[K, V, 3]`` of a clip at equal times, and its seconds."""
    tracks = []
    for channel in clip['channels']:
        target = channel['target']
        if 'node' not in target or target['path'] == 'weights':
            continue
        sampler = clip['samplers'][channel['sampler']]
        times = document.array(sampler['input']).ravel().astype(float)
        values = document.array(sampler['output']).astype(float)
        if sampler.get('interpolation') == 'CUBICSPLINE':
            values = values[1::3]  # without the tangents
        tracks.append((target['node'], target['path'], times, values))
    start = min(float(times[0]) for _, _, times, _ in tracks)
    end = max(float(times[-1]) for _, _, times, _ in tracks)
    moments = start + (end - start) * np.arange(_PHASES) / _PHASES
    sampled = [
        (node, path, _sampled(times, values, moments, path == 'rotation'))
        for node, path, times, values in tracks
    ]
    postures = []
    for number in range(_PHASES):
        pose: dict[int, dict[str, np.ndarray]] = {}
        for node, path, values in sampled:
            pose.setdefault(node, {})[path] = values[number]
        postures.append(_posed(document, surfaces, _globals(document, pose)))
    return np.stack(postures), max(end - start, 0.1)


def _sampled(
    times: np.ndarray, values: np.ndarray, moments: np.ndarray, rotation: bool
) -> np.ndarray:
    """Return a track's values at moments ``[K]``; quaternions go the short way round."""
    if len(times) == 1:
        return np.repeat(values, len(moments), 0)
    after = np.clip(np.searchsorted(times, moments), 1, len(times) - 1)
    first, second = values[after - 1], values[after]
    if rotation:
        second = np.where((first * second).sum(1, keepdims=True) < 0, -second, second)
    share = np.clip((moments - times[after - 1]) / (times[after] - times[after - 1]), 0, 1)
    blended = first + share[:, None] * (second - first)
    return blended / np.linalg.norm(blended, axis=1, keepdims=True) if rotation else blended


def _turn(
    document: _Document,
    surfaces: list[_Surface],
    rest: np.ndarray,
    walk: np.ndarray | None,
    forward: str | None,
) -> np.ndarray:
    """Return the ``[3, 3]`` matrix from the model's axes to body coordinates."""
    if forward is not None:
        direction = np.zeros(3)
        direction['xyz'.index(forward[1])] = 1.0 if forward[0] == '+' else -1.0
    else:
        direction = _found_front(document, surfaces, rest, walk)
    # Only quarter turns: what looks elsewhere was not modelled along its axes.
    axis = int(np.argmax(np.abs(direction)))
    front = np.eye(3)[axis] * np.sign(direction[axis])
    # A model that goes along y was exported with z up, against the format's convention.
    up = np.eye(3)[2 if axis == 1 else 1]
    return np.stack([front, np.cross(up, front), up])


def _found_front(
    document: _Document, surfaces: list[_Surface], rest: np.ndarray, walk: np.ndarray | None
) -> np.ndarray:
    """Return the direction to the front: wheels' names, else feet's way, else z or the length."""
    ends = np.cumsum([len(surface.rows) for surface in surfaces])
    middles: dict[str, list[np.ndarray]] = {'front': [], 'back': []}
    for surface, end in zip(surfaces, ends, strict=True):
        words = _words(document.nodes[surface.node].get('name', ''))
        if words & {'wheel', 'wheels', 'tire', 'tyre'}:
            start = end - len(surface.rows)
            points = rest[start:end]
            for side, known in (('front', {'front'}), ('back', {'back', 'rear'})):
                if words & known:
                    middles[side].append(points.mean(0))
    if middles['front'] and middles['back']:
        return np.mean(middles['front'], 0) - np.mean(middles['back'], 0)
    if walk is not None:
        centred = walk - walk.mean(1, keepdims=True)
        return -_ground_way(centred, 1)
    long = np.ptp(rest, axis=0)
    return np.array((1.0, 0, 0)) if long[0] > 1.3 * long[2] else np.array((0, 0, 1.0))


def _ground_way(postures: np.ndarray, up: int) -> np.ndarray:
    """Return how far ``[3]`` that which touches the ground moves in one cycle."""
    height = postures[..., up]
    low = height.min() + 0.03 * np.ptp(height)
    then = np.roll(postures, -1, 0)
    way = []
    for now, after in zip(postures, then, strict=True):
        touching = (now[:, up] < low) & (after[:, up] < low)
        if touching.any():
            way.append(np.median(after[touching] - now[touching], axis=0))
    return len(postures) * np.median(way, axis=0) if way else np.zeros(3)


def _stride(walk: np.ndarray) -> float:
    """Return the way of one cycle, so that standing feet stay where they are."""
    way = -float(_ground_way(walk, 2)[0])
    height = float(np.ptp(walk[0, :, 2]))
    # A clip whose feet tell nothing gets a usual stride.
    return way if 0.3 * height < way < 2.0 * height else 0.8 * height
