# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Triangles, materials, skins and clips of glTF 2.0 files, posed and in linear luminance.

Format: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html. Read here rather than by a
library, because skins, clips and accessors would have to be evaluated by hand all the same.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
import io
import json
from pathlib import Path
import struct
from typing import Any
from urllib.parse import unquote

import numpy as np
from PIL import Image
from sast_ros.errors import SastError

#: Postures that are kept of a clip.
_PHASES = 24

#: What reading a file raises that is not glTF, or refers to what is not there.
DAMAGE = (
    *(LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError, MemoryError),
    *(RecursionError, struct.error, Image.DecompressionBombError),
)

_COMPONENTS = {5120: 'i1', 5121: 'u1', 5122: '<i2', 5123: '<u2', 5125: '<u4', 5126: '<f4'}
_WIDTHS = {'SCALAR': 1, 'VEC2': 2, 'VEC3': 3, 'VEC4': 4, 'MAT4': 16}

#: Translation, rotation or scale of some nodes, instead of those in the file.
_Pose = dict[int, dict[str, np.ndarray]]


class ModelError(SastError, ValueError):
    """A model, or the table that describes it, cannot be used; the message names the file."""


@dataclass(frozen=True)
class Surface:
    """
    One primitive of a mesh before posing.

    ``rows`` ``float32[V, J * 4]`` times the transposed matrices of a ``skin``'s J joints (or of
    the ``node``, J = 1) gives the posed vertices; ``albedo`` is that of each of the ``triangles``
    ``int64[T, 3]``, ``name`` that of the node.
    """

    rows: np.ndarray
    triangles: np.ndarray
    albedo: np.ndarray
    material: int
    node: int
    skin: int | None
    name: str


class Document:
    """
    A ``.glb`` or ``.gltf`` file.

    Raises
    ------
    ModelError
        When the file has another version, or its accessors are sparse.
    errors of DAMAGE
        When the file is not glTF, or refers to what is not there.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        data, chunk = path.read_bytes(), b''
        if data[:4] == b'glTF':
            (length,) = struct.unpack_from('<I', data, 12)
            end, binary = 20 + length, 28 + length
            data, chunk = data[20:end], data[binary:]
        self._json: dict[str, Any] = json.loads(data)
        version = self._json['asset']['version']
        if not str(version).startswith('2'):
            raise ModelError(f'{path} is glTF {version}; convert it to 2.0')
        self._buffers = [
            self._resource(buffer['uri']) if 'uri' in buffer else chunk
            for buffer in self._json.get('buffers', [])
        ]
        self._nodes: list[dict[str, Any]] = self._json['nodes']
        self._parents = {
            child: number
            for number, node in enumerate(self._nodes)
            for child in node.get('children', [])
        }
        self._pictures: dict[int, np.ndarray] = {}
        #: Animations by their names in lower case.
        self.clips: dict[str, dict[str, Any]] = {
            clip.get('name', '').lower(): clip for clip in self._json.get('animations', [])
        }

    def _resource(self, uri: str) -> bytes:
        if uri.startswith('data:'):
            return base64.b64decode(uri.split(',', 1)[1])
        return (self.path.parent / unquote(uri)).read_bytes()

    def count_triangles(self) -> int:
        """Return the number of triangles of all meshes that a node shows."""
        numbers = (
            part.get('indices', part['attributes']['POSITION']) for _, part in self._primitives()
        )
        return sum(self._json['accessors'][number]['count'] // 3 for number in numbers)

    def _primitives(self) -> list[tuple[int, dict[str, Any]]]:
        """Return number of the node and primitive of everything that is shown."""
        return [
            (number, part)
            for number, node in enumerate(self._nodes)
            if 'mesh' in node
            for part in self._json['meshes'][node['mesh']]['primitives']
        ]

    def _array(self, number: int) -> np.ndarray:
        """Return an accessor's elements ``[count, width]``; integers as stored or normalised."""
        accessor = self._json['accessors'][number]
        kind = np.dtype(_COMPONENTS[accessor['componentType']])
        count, width = accessor['count'], _WIDTHS[accessor['type']]
        if 'bufferView' not in accessor or 'sparse' in accessor:
            raise ModelError(f'{self.path} has sparse accessors; export it without')
        view = self._json['bufferViews'][accessor['bufferView']]
        start = view.get('byteOffset', 0) + accessor.get('byteOffset', 0)
        strides = view.get('byteStride', width * kind.itemsize), kind.itemsize
        data = self._buffers[view['buffer']]
        values = np.ndarray((count, width), kind, data, start, strides)
        if accessor.get('normalized') and kind.kind in 'iu':
            return np.maximum(values / np.float32(np.iinfo(kind).max), -1)
        return values

    def _picture(self, texture: int) -> np.ndarray:
        """Return the luminance of a texture's picture, linear, ``float32[H, W]``."""
        if texture not in self._pictures:
            source = self._json['images'][self._json['textures'][texture]['source']]
            if 'uri' in source:
                data = self._resource(source['uri'])
            else:
                view = self._json['bufferViews'][source['bufferView']]
                start = view.get('byteOffset', 0)
                end = start + view['byteLength']
                data = self._buffers[view['buffer']][start:end]
            with Image.open(io.BytesIO(data)) as picture:
                colour = np.asarray(picture.convert('RGB'), np.float32) / 255
            linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
            self._pictures[texture] = _luminance(linear)
        return self._pictures[texture]

    def surfaces(self) -> list[Surface]:
        """Return all triangles that a node shows."""
        surfaces = []
        for number, part in self._primitives():
            if part.get('mode', 4) != 4:
                continue
            node, attributes = self._nodes[number], part['attributes']
            points = self._array(attributes['POSITION']).astype(float)
            index = np.arange(len(points))
            if 'indices' in part:
                index = self._array(part['indices']).ravel()
            triangles = index[: len(index) // 3 * 3].reshape(-1, 3).astype(np.int64)
            skin = node.get('skin') if 'JOINTS_0' in attributes else None
            surfaces.append(
                Surface(
                    self._rows(points, attributes, skin),
                    triangles,
                    self._albedo(part, triangles),
                    part.get('material', -1),
                    number,
                    skin,
                    node.get('name', ''),
                )
            )
        return surfaces

    def _rows(
        self, points: np.ndarray, attributes: dict[str, int], skin: int | None
    ) -> np.ndarray:
        points = np.concatenate([points, np.ones((len(points), 1))], 1).astype(np.float32)
        if skin is None:
            return points
        joints = self._array(attributes['JOINTS_0']).astype(int)
        weights = self._array(attributes['WEIGHTS_0']).astype(np.float32)
        weights = weights / weights.sum(1, keepdims=True)
        rows = np.zeros((len(points), len(self._json['skins'][skin]['joints']), 4), np.float32)
        for joint, weight in zip(joints.T, weights.T, strict=True):
            rows[np.arange(len(points)), joint] += weight[:, None] * points
        return rows.reshape(len(points), -1)

    def _albedo(self, part: dict[str, Any], triangles: np.ndarray) -> np.ndarray:
        """Return the material's albedo times its texture in the middle of each triangle."""
        material = self._json['materials'][part['material']] if 'material' in part else {}
        rough = material.get('pbrMetallicRoughness', {})
        glossy = material.get('extensions', {}).get('KHR_materials_pbrSpecularGlossiness', {})
        factor = glossy.get('diffuseFactor', rough.get('baseColorFactor', (1.0, 1.0, 1.0, 1.0)))
        texture = glossy.get('diffuseTexture', rough.get('baseColorTexture'))
        albedo = np.full(len(triangles), _luminance(np.asarray(factor, float)), np.float32)
        if texture is not None:
            picture = self._picture(texture['index'])
            key = f'TEXCOORD_{texture.get("texCoord", 0)}'
            if key in part['attributes']:
                uv = self._array(part['attributes'][key]).astype(float)
                shift = texture.get('extensions', {}).get('KHR_texture_transform', {})
                uv = uv * shift.get('scale', (1, 1)) + shift.get('offset', (0, 0))
                size = picture.shape[::-1]
                column, row = ((uv[triangles].mean(1) % 1.0 * size).astype(int) % size).T
                albedo = albedo * picture[row, column]
        return np.clip(albedo, 0.02, 0.95)

    def posed(self, surfaces: list[Surface], pose: _Pose | None = None) -> np.ndarray:
        """Return all vertices in the world, ``[V, 3]``, in the order of the surfaces."""
        world = self._world(pose or {})
        bones: dict[int, np.ndarray] = {}
        posed = []
        for surface in surfaces:
            number = surface.skin
            if number is None:
                matrices = world[surface.node][None]
            else:
                if number not in bones:
                    skin = self._json['skins'][number]
                    inverse = self._array(skin['inverseBindMatrices']).astype(float)
                    inverse = inverse.reshape(-1, 4, 4).transpose(0, 2, 1)
                    bones[number] = np.stack([world[joint] for joint in skin['joints']]) @ inverse
                matrices = bones[number]
            poses = matrices[:, :3].transpose(0, 2, 1).reshape(-1, 3)
            posed.append(surface.rows @ poses.astype(np.float32))
        return np.concatenate(posed)

    def _world(self, pose: _Pose) -> list[np.ndarray]:
        """Return the ``[4, 4]`` matrix of every node to the world, in this pose."""
        found: dict[int, np.ndarray] = {}

        def world(number: int) -> np.ndarray:
            if number not in found:
                own = _matrix(self._nodes[number], pose.get(number, {}))
                parent = self._parents.get(number)
                found[number] = own if parent is None else world(parent) @ own
            return found[number]

        return [world(number) for number in range(len(self._nodes))]

    def postures(self, surfaces: list[Surface], clip: dict[str, Any]) -> tuple[np.ndarray, float]:
        """Return the vertices ``[K, V, 3]`` of a clip at equal times, and its seconds."""
        tracks = []
        for channel in clip['channels']:
            target = channel['target']
            if 'node' not in target or target['path'] == 'weights':
                continue
            sampler = clip['samplers'][channel['sampler']]
            times = self._array(sampler['input']).ravel().astype(float)
            values = self._array(sampler['output']).astype(float)
            if sampler.get('interpolation') == 'CUBICSPLINE':
                values = values[1::3]  # without the tangents
            tracks.append((target['node'], target['path'], times, values))
        start = min(float(times[0]) for _, _, times, _ in tracks)
        end = max(float(times[-1]) for _, _, times, _ in tracks)
        moments = start + (end - start) * np.arange(_PHASES) / _PHASES
        poses: list[_Pose] = [{} for _ in moments]
        for node, path, times, values in tracks:
            sampled = _sampled(times, values, moments, path == 'rotation')
            for pose, value in zip(poses, sampled, strict=True):
                pose.setdefault(node, {})[path] = value
        return np.stack([self.posed(surfaces, pose) for pose in poses]), max(end - start, 0.1)


def _luminance(colour: np.ndarray) -> np.ndarray:
    """Return the luminance of linear colours ``[..., 3]`` (Rec. 709)."""
    return (colour[..., :3] @ np.array((0.2126, 0.7152, 0.0722))).astype(np.float32)


def _matrix(node: dict[str, Any], pose: dict[str, np.ndarray]) -> np.ndarray:
    """Return a node's ``[4, 4]`` matrix; ``pose`` replaces its translation, rotation or scale."""
    if 'matrix' in node and not pose:
        return np.asarray(node['matrix'], float).reshape(4, 4).T
    node = {**node, **pose}
    x, y, z, w = np.asarray(node.get('rotation', (0, 0, 0, 1)), float)
    matrix = np.eye(4)
    matrix[:3, :3] = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    matrix[:3, :3] *= np.asarray(node.get('scale', (1, 1, 1)), float)
    matrix[:3, 3] = node.get('translation', (0, 0, 0))
    return matrix


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
