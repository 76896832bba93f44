# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Bodies look as their class does, move as they should, and are the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
import json
from pathlib import Path
import struct
import time

import numpy as np
import pytest
from sast_ros_training.simulation.actors import Actor
from sast_ros_training.simulation.body import Body
from sast_ros_training.simulation.buses_trucks import make_bus, make_truck
from sast_ros_training.simulation.distractors import MOVING, STANDING
from sast_ros_training.simulation.gltf import ModelError
from sast_ros_training.simulation.human_body import FOOT, HumanBody, Postures
from sast_ros_training.simulation.mesh import assemble, merge, Mesh, MeshError, quad
from sast_ros_training.simulation.models import load_models
from sast_ros_training.simulation.motion import make_path
from sast_ros_training.simulation.motion import Path as WalkedPath
from sast_ros_training.simulation.people import make_pedestrian
from sast_ros_training.simulation.rig import rolling
from sast_ros_training.simulation.shapes import box, disc, ellipsoid, rectangle, ring, tube
from sast_ros_training.simulation.two_wheelers import make_cyclist, make_motorcyclist, make_scooter
from sast_ros_training.simulation.vehicles import make_car, make_van

Maker = Callable[[np.random.Generator], Body]

#: Maker, class, and the minimum and maximum length, width and height in metres.
LABELLED: dict[str, tuple[Maker, int, tuple[float, ...], tuple[float, ...]]] = {
    'car': (make_car, 2, (3.2, 1.4, 1.1), (5.6, 2.6, 2.6)),
    'van': (make_van, 2, (3.8, 1.4, 1.6), (6.6, 2.7, 3.3)),
    'bus': (make_bus, 2, (6.0, 2.2, 2.6), (14.5, 3.3, 4.9)),
    'truck': (make_truck, 2, (5.0, 1.9, 1.9), (13.0, 3.4, 5.4)),
    'pedestrian': (make_pedestrian, 0, (0.3, 0.2, 0.9), (3.6, 1.1, 2.0)),
    'cyclist': (make_cyclist, 1, (1.0, 0.3, 1.0), (2.3, 1.0, 2.1)),
    'motorcyclist': (make_motorcyclist, 1, (1.7, 0.5, 1.2), (2.6, 1.2, 1.9)),
    'scooter': (make_scooter, 1, (0.7, 0.3, 1.0), (2.3, 1.2, 2.3)),
}
MAKERS: dict[str, Maker] = {
    **{name: entry[0] for name, entry in LABELLED.items()},
    **{maker.__name__.removeprefix('make_'): maker for maker in (*STANDING, *MOVING)},
}


def make(name: str, seed: int) -> Body:
    return MAKERS[name](np.random.default_rng(seed))


@pytest.mark.parametrize('name', MAKERS)
def test_the_same_seed_gives_the_same_body_and_another_seed_another(name: str) -> None:
    first, again, other = (make(name, seed) for seed in (3, 3, 4))
    for field in ('vertices', 'triangles', 'albedo', 'emission', 'texture', 'uv'):
        assert getattr(first.mesh, field).tobytes() == getattr(again.mesh, field).tobytes()
    assert first.vertices(1.5, 0.7).tobytes() == again.vertices(1.5, 0.7).tobytes()
    assert first.mesh.vertices.tobytes() != other.mesh.vertices.tobytes()


@pytest.mark.parametrize('name', MAKERS)
def test_poses_fit_the_mesh_and_are_finite(name: str) -> None:
    for seed in range(8):
        body = make(name, seed)
        mesh = body.mesh
        for distance, seconds in ((0.0, 0.0), (0.37, 0.2), (-2.0, 0.4), (1234.5, 60.0)):
            posed = body.vertices(distance, seconds)
            assert posed.shape == mesh.vertices.shape
            assert posed.dtype == np.float32
            assert np.isfinite(posed).all()
        assert mesh.albedo.min() >= 0.0
        assert mesh.albedo.max() <= 1.0
        assert mesh.emission.min() >= 0.0


@pytest.mark.parametrize('name', LABELLED)
def test_labelled_bodies_have_their_class_and_a_plausible_size(name: str) -> None:
    maker, class_id, smallest, largest = LABELLED[name]
    for seed in range(30):
        body = maker(np.random.default_rng(seed))
        assert body.class_id == class_id
        assert (np.array(body.size) >= smallest).all(), (seed, body.size)
        assert (np.array(body.size) <= largest).all(), (seed, body.size)
        assert 0 < body.speeds[0] < body.speeds[1]
        assert len(body.mesh.triangles) < 1200
        # Origin on the ground below the middle.
        posed = body.vertices(0.0, 0.0)
        assert abs(posed[:, 2].min()) < 0.06
        assert abs(posed[:, 1].min() + posed[:, 1].max()) < 0.4 * body.size[1] + 0.2


@pytest.mark.parametrize('maker', [*STANDING, *MOVING])
def test_distractors_have_no_class(maker: Maker) -> None:
    body = maker(np.random.default_rng(0))
    assert body.class_id is None
    assert (body.speeds[1] > 0) == (maker in MOVING)


@pytest.mark.parametrize('name', ['car', 'pedestrian', 'cyclist'])
def test_luminance_varies_within_and_between_bodies(name: str) -> None:
    """A detector that is to find every car must see black ones, white ones and all between."""
    areas = []
    for seed in range(60):
        mesh = make(name, seed).mesh
        edges = mesh.vertices[mesh.triangles]
        area = np.linalg.norm(
            np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0]), axis=1
        )
        mean = float(np.average(mesh.albedo, weights=area))
        areas.append(mean)
        assert np.average(abs(mesh.albedo - mean), weights=area) > 0.004
    assert min(areas) < 0.15
    assert max(areas) > 0.3
    assert np.std(areas) > 0.06


def test_wheels_roll_without_slipping() -> None:
    radius = 0.3
    motion = rolling([(1.0, 0.5, radius)], radius)
    lowest = np.array((1.0, 0.5, 0.0, 1.0))
    step = 1e-3
    before, after = (lowest @ motion.at(way, 0.0).reshape(4, 3) for way in (0.0, step))
    # The point on the ground goes back by what the body goes on.
    assert after[0] - before[0] == pytest.approx(-step, rel=0.02)
    quarter = lowest @ motion.at(np.pi * radius / 2, 0.0).reshape(4, 3)
    np.testing.assert_allclose(quarter, (1.0 - radius, 0.5, radius), atol=1e-3)


@pytest.mark.parametrize('seed', range(10))
def test_feet_of_walkers_do_not_slide(seed: int) -> None:
    body = make_pedestrian(np.random.default_rng(seed))
    step = 0.01
    slides = []
    for distance in np.arange(0.0, 2.0, step):
        now = body.vertices(distance, distance)
        then = body.vertices(distance + step, distance + step)
        touching = (now[:, 2] < 0.004) & (then[:, 2] < 0.004)
        if touching.any():
            slides.append(np.abs(then[touching, 0] - now[touching, 0] + step).min())
    assert len(slides) > 40
    assert np.median(slides) < 0.15 * step


@pytest.mark.parametrize('seed', range(10))
def test_feet_of_walkers_stay_on_the_ground(seed: int) -> None:
    body = make_pedestrian(np.random.default_rng(seed))
    lowest = [float(body.vertices(way, way)[:, 2].min()) for way in np.arange(0, 3, 0.05)]
    assert min(lowest) > -0.06
    assert max(lowest) < 0.25


def stopping_walker(seed: int) -> Actor:
    """Return a pedestrian who walks at 1.4 m/s and comes to a halt from 0.75 to 0.8 s."""
    times = np.arange(-0.02, 3.04, 0.02)
    speeds = 1.4 * np.clip((0.8 - times) / 0.05, 0, 1)
    distances = np.concatenate([[0.0], np.cumsum(speeds[:-1]) * 0.02])
    places = np.stack([distances, np.zeros_like(times)], 1)
    body = make_pedestrian(np.random.default_rng(seed))
    return Actor(body, WalkedPath(times, places, np.zeros_like(times), distances), 1)


def test_a_walker_who_stops_stands_and_only_sways() -> None:
    walker = stopping_walker(5)
    stopped = [walker.pose(seconds)[0] for seconds in np.arange(0.8, 3, 0.01)]
    first, last = stopped[100], stopped[-1]
    feet = first[:, 2] < 0.05
    assert np.abs(last - first)[feet].max() < 0.01
    assert 0.0005 < np.abs(last - first).max() < 0.5
    # No jump on the way from walking to standing.
    assert max(np.abs(b - a).max() for a, b in pairwise(stopped)) < 0.03


def test_the_pose_of_a_walker_does_not_depend_on_what_was_asked_before() -> None:
    times = [0.0, 0.9, 0.95, 0.7, 1.1, 0.8, 2.0, 0.9]
    walker = stopping_walker(3)
    for seconds in times:
        alone = stopping_walker(3).pose(seconds)[0]
        np.testing.assert_array_equal(walker.pose(seconds)[0], alone)


def test_one_who_never_moves_stands_from_the_start() -> None:
    path = make_path(np.random.default_rng(1), np.zeros(2), 0.0, 0.0, 0.0, 2.0)
    assert [path.walks(seconds) for seconds in (-1.0, 0.0, 0.1, 5.0)] == [0.0] * 4
    path = make_path(np.random.default_rng(1), np.zeros(2), 0.0, 1.4, 0.0, 2.0)
    assert [path.walks(seconds) for seconds in (-1.0, 0.0, 0.1, 5.0)] == [1.0] * 4


def test_pedals_carry_the_riders_feet() -> None:
    body = make_cyclist(np.random.default_rng(2))
    span = np.ptp([body.vertices(way, 0.0) for way in np.arange(0, 6, 0.1)], axis=0)
    assert (span[:, 2] > 0.2).any()
    height = body.mesh.vertices[:, 2]
    assert span[height > 0.95 * height.max()].max() < 0.1


def test_posing_is_fast_enough_for_two_hundred_frames_a_second() -> None:
    for name in LABELLED:
        body = make(name, 1)
        costs = []
        for _ in range(5):
            start = time.perf_counter()
            for tick in range(100):
                body.vertices(0.01 * tick, 0.005 * tick)
            costs.append((time.perf_counter() - start) / 100)
        assert min(costs) < 150e-6, name


def test_legs_reach_their_feet_without_stretching() -> None:
    person = HumanBody(np.random.default_rng(0), 1.75)
    matrices = person.pose(Postures(person, 3))
    for part in matrices:
        np.testing.assert_allclose(
            part[:, :3, :3] @ part[:, :3, :3].transpose(0, 2, 1),
            np.broadcast_to(np.eye(3), (3, 3, 3)),
            atol=1e-9,
        )
    ankle = np.array((0.0, person.hip_width, person.ankle, 1.0))
    np.testing.assert_allclose((matrices[FOOT] @ ankle)[:, 2], person.ankle, atol=1e-3)


@pytest.mark.parametrize(
    'mesh',
    [
        box((1, 2, 3)),
        disc((0, 0, 0), (1, 0, 0), 0.5),
        ellipsoid((0, 0, 0), (1, 1, 1)),
        ring((0, 0, 0), (0, 1, 0), 0.1, 0.2),
        tube([(0, 0, 0), (0, 0, 1), (1, 0, 2)], 0.1),
    ],
    ids=['box', 'disc', 'ellipsoid', 'ring', 'tube'],
)
def test_shapes_have_no_triangle_without_area(mesh: Mesh) -> None:
    corners = mesh.vertices[mesh.triangles]
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    assert area.min() > 0


@pytest.mark.parametrize(
    ('ranges', 'corners'),
    [
        ((2, (0.2, -0.2), (1, 3)), [(2, 0.2, 1), (2, -0.2, 1), (2, -0.2, 3), (2, 0.2, 3)]),
        (((0, 1), 2, (3, 4)), [(0, 2, 3), (1, 2, 3), (1, 2, 4), (0, 2, 4)]),
        (((0, 1), (2, 3), 4), [(0, 2, 4), (1, 2, 4), (1, 3, 4), (0, 3, 4)]),
    ],
    ids=['x', 'y', 'z'],
)
def test_a_rectangle_lies_at_right_angles_to_an_axis(ranges: tuple, corners: list) -> None:
    mesh, expected = rectangle(*ranges, albedo=0.3), quad(corners, albedo=0.3)
    np.testing.assert_array_equal(mesh.vertices, expected.vertices)
    np.testing.assert_array_equal(mesh.triangles, expected.triangles)
    np.testing.assert_array_equal(mesh.albedo, expected.albedo)


def test_merging_keeps_pieces_in_order() -> None:
    both = merge([box((1, 1, 1), albedo=0.2), quad(np.eye(4, 3), albedo=0.7)])
    assert both.albedo.tolist() == pytest.approx([0.2] * 12 + [0.7] * 2)
    assert both.triangles[12:].min() == 8
    assert len(merge([]).triangles) == 0


def test_moving_and_rotating_leave_the_mesh_itself_alone() -> None:
    mesh = box((1, 1, 1), albedo=0.2)
    assert mesh.moved((0, 0, 5)).vertices[:, 2].min() == pytest.approx(4.5)
    turned = mesh.moved((2, 0, 0)).rotated([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    assert turned.vertices.mean(0).tolist() == pytest.approx([0.0, 2.0, 0.0])
    assert turned.albedo.tolist() == pytest.approx([0.2] * 12)
    assert mesh.vertices.mean(0).tolist() == pytest.approx([0.0, 0.0, 0.0])


def test_arrays_that_make_no_mesh_are_refused() -> None:
    with pytest.raises(MeshError, match='uses vertex 3'):
        assemble(np.zeros((3, 3)), [[0, 1, 3]], 0.5)
    whole = box((1, 1, 1))
    with pytest.raises(MeshError, match='albedo'):
        Mesh(whole.vertices, whole.triangles, np.zeros(3), whole.emission, whole.texture, whole.uv)


# Models ------------------------------------------------------------------------------------------


def write_glb(path: Path, document: dict, chunk: bytes) -> None:
    text = json.dumps(document).encode()
    text += b' ' * (-len(text) % 4)
    chunk += b'\0' * (-len(chunk) % 4)
    path.write_bytes(
        struct.pack('<4sII', b'glTF', 2, 28 + len(text) + len(chunk))
        + struct.pack('<I4s', len(text), b'JSON')
        + text
        + struct.pack('<I4s', len(chunk), b'BIN\0')
        + chunk
    )


class Builder:
    """Collects arrays and gives a glTF document."""

    def __init__(self) -> None:
        self.chunk = b''
        self.document: dict = {
            'asset': {'version': '2.0'},
            'accessors': [],
            'bufferViews': [],
            'nodes': [],
            'meshes': [],
            'materials': [],
        }

    def array(self, values: np.ndarray, kind: str) -> int:
        codes = {'f': 5126, 'u': 5125, 'B': 5121}
        views, accessors = self.document['bufferViews'], self.document['accessors']
        data = values.tobytes()
        views.append({'buffer': 0, 'byteOffset': len(self.chunk), 'byteLength': len(data)})
        accessors.append(
            {
                'bufferView': len(views) - 1,
                'componentType': codes[values.dtype.kind if values.itemsize > 1 else 'B'],
                'count': len(values),
                'type': kind,
            }
        )
        self.chunk += data
        return len(accessors) - 1

    def mesh(self, mesh: Mesh, colour: float, **attributes: int) -> int:
        materials = self.document['materials']
        factor = [colour, colour, colour, 1.0]
        materials.append({'pbrMetallicRoughness': {'baseColorFactor': factor}})
        position = self.array(mesh.vertices.astype(np.float32), 'VEC3')
        index = self.array(mesh.triangles.astype(np.uint32).ravel(), 'SCALAR')
        self.document['meshes'].append(
            {
                'primitives': [
                    {
                        'attributes': {'POSITION': position, **attributes},
                        'indices': index,
                        'material': len(materials) - 1,
                    }
                ]
            }
        )
        return len(self.document['meshes']) - 1

    def write(self, path: Path) -> None:
        self.document['buffers'] = [{'byteLength': len(self.chunk)}]
        write_glb(path, self.document, self.chunk)


def write_car(path: Path) -> None:
    """Write a box with two axles that looks along x, in centimetres, y up."""
    builder = Builder()
    shell = builder.mesh(box((400, 100, 160), (0, 80, 0)), 0.5)
    wheels = builder.mesh(tube([(0, 0, -70), (0, 0, 70)], 30), 0.01)
    builder.document['nodes'] = [
        {'name': 'Shell', 'mesh': shell},
        {'name': 'Car_FrontWheels', 'mesh': wheels, 'translation': [120, 30, 0]},
        {'name': 'Car_BackWheels', 'mesh': wheels, 'translation': [-120, 30, 0]},
    ]
    builder.write(path)


def write_walker(path: Path) -> None:
    """Write a trunk on a leg that swings about its hip; the front is z, y is up."""
    builder = Builder()
    leg, trunk = box((0.1, 1.0, 0.1), (0, 0.5, 0)), box((0.3, 0.8, 0.2), (0, 1.4, 0))
    both = merge([leg, trunk])
    joints = np.zeros((len(both.vertices), 4), np.uint8)
    rest = len(leg.vertices)
    joints[rest:, 0] = 1
    weights = np.zeros((len(both.vertices), 4), np.float32)
    weights[:, 0] = 1
    mesh = builder.mesh(
        both, 0.3, JOINTS_0=builder.array(joints, 'VEC4'), WEIGHTS_0=builder.array(weights, 'VEC4')
    )
    inverse = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    inverse[0, 3, 1] = -1.0  # column-major: the hip is one metre up
    phase = np.linspace(0, 1, 9)
    # On the ground the foot goes from front (+z) to back; it comes back faster, bent upwards.
    angle = np.interp(phase, (0, 0.6, 1), (-0.4, 0.4, -0.4))
    zero = np.zeros(9)
    turns = np.stack([np.sin(angle / 2), zero, zero, np.cos(angle / 2)], 1).astype(np.float32)
    lifts = np.stack([zero, 1 + np.where(phase > 0.65, 0.3, 0.0), zero], 1).astype(np.float32)
    times = builder.array(phase.astype(np.float32), 'SCALAR')
    builder.document.update(
        nodes=[
            {'name': 'Body', 'mesh': mesh, 'skin': 0},
            {'name': 'Leg', 'translation': [0, 1, 0]},
            {'name': 'Trunk'},
        ],
        skins=[
            {
                'joints': [1, 2],
                'inverseBindMatrices': builder.array(inverse.reshape(2, 16), 'MAT4'),
            }
        ],
        animations=[
            {
                'name': 'Human|Walk',
                'channels': [
                    {'sampler': 0, 'target': {'node': 1, 'path': 'rotation'}},
                    {'sampler': 1, 'target': {'node': 1, 'path': 'translation'}},
                ],
                'samplers': [
                    {'input': times, 'output': builder.array(turns, 'VEC4')},
                    {'input': times, 'output': builder.array(lifts, 'VEC3')},
                ],
            }
        ],
    )
    builder.write(path)


def test_a_model_gets_class_size_and_front_from_its_names(tmp_path: Path) -> None:
    write_car(tmp_path / 'SportsCar.glb')
    library = load_models(tmp_path)
    assert list(library.makers) == [2]
    (model,) = library.makers[2]
    for seed in range(5):
        body = model(np.random.default_rng(seed))
        assert body.class_id == 2
        length, width, height = body.size
        assert 3.5 < length < 5.3
        assert 0.3 < width / length < 0.5
        assert height < 2
    posed = body.vertices(0.3, 0.0)
    assert abs(posed[:, 2].min()) < 0.05


def test_wheels_of_a_model_turn(tmp_path: Path) -> None:
    write_car(tmp_path / 'car.glb')
    body = load_models(tmp_path).models[0](np.random.default_rng(0))
    moved = np.abs(body.vertices(0.2, 0.0) - body.vertices(0.0, 0.0)).max(1)
    assert (moved > 0.1).any()
    assert (moved < 0.03).any()


def test_a_skinned_model_walks_with_its_feet_on_the_ground(tmp_path: Path) -> None:
    write_walker(tmp_path / 'woman.glb')
    body = load_models(tmp_path).models[0](np.random.default_rng(1))
    assert body.class_id == 0
    assert 1.4 < body.size[2] < 2.1
    slides = []
    for way in np.arange(0, 1.5, 0.01):
        now, then = body.vertices(way, way), body.vertices(way + 0.01, way + 0.01)
        foot = now[:, 2] < 0.08
        slides.append((then - now)[foot, 0].mean() if foot.any() else np.nan)
    # Most of the time the foot goes back by what the body goes on.
    assert np.nanmedian(slides) == pytest.approx(-0.01, rel=0.3)


def test_the_table_overrules_the_names(tmp_path: Path) -> None:
    write_car(tmp_path / 'thing.glb')
    write_car(tmp_path / 'car_old.glb')
    table = {
        'thing.glb': {'class': 'two-wheeler', 'length': 2.0, 'forward': '-x'},
        'car_old.glb': {'skip': True},
    }
    (tmp_path / 'models.json').write_text(json.dumps(table))
    library = load_models(tmp_path)
    assert [model.name for model in library.models] == ['thing.glb']
    assert list(library.makers) == [1]
    body = library.models[0](np.random.default_rng(0))
    assert body.class_id == 1
    assert 1.7 < body.size[0] < 2.3


def test_models_that_cannot_serve_are_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_car(tmp_path / 'car.glb')
    write_car(tmp_path / 'mystery.glb')
    (tmp_path / 'parts').mkdir()
    write_car(tmp_path / 'parts' / 'vehicle.glb')
    write_car(tmp_path / 'parts' / 'left_tire.glb')
    assert [model.name for model in load_models(tmp_path).models] == ['car.glb']
    assert 'mystery.glb is left out: no word of its name describes it' in caplog.text
    assert 'vehicle.glb is left out: its wheels' in caplog.text
    monkeypatch.setattr('sast_ros_training.simulation.models.MAX_TRIANGLES', 10)
    with pytest.raises(ModelError, match='no usable model'):
        load_models(tmp_path)
    assert 'more than 10' in caplog.text


@pytest.mark.parametrize(
    ('table', 'message'),
    [
        ('{', 'not JSON'),
        ('[' * 100_000, 'not JSON'),
        ('[]', 'must be an object'),
        ('{"a.glb": {"colour": 1}}', 'must be an object with some of'),
        ('{"a.glb": {"class": "tram"}}', 'must be one of'),
        ('{"a.glb": {"class": null}}', 'must be one of .*skip'),
        ('{"a.glb": {"class": []}}', 'must be one of'),
        ('{"a.glb": {"forward": "up"}}', 'must be one of'),
        ('{"a.glb": {"height": "tall"}}', 'height of a.glb must be a number'),
        ('{"a.glb": {"length": [4]}}', 'length of a.glb must be a number'),
        ('{"a.glb": {"length": NaN}}', 'length of a.glb must be a number'),
        ('{"a.glb": {"height": -1}}', 'height of a.glb must be a number'),
        (f'{{"a.glb": {{"height": {"9" * 400}}}}}', 'height of a.glb must be a number'),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / 'models.json').write_text(table)
    with pytest.raises(ModelError, match=message):
        load_models(tmp_path)


def test_files_that_are_not_gltf_2_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match='not a folder'):
        load_models(tmp_path / 'absent')
    path = tmp_path / 'car.gltf'
    path.write_text('{"asset": {"version": "1.0"}}')
    with pytest.raises(ModelError, match='convert it to 2.0'):
        load_models(tmp_path)
    path.write_text('{"asset": {"version": "2.0"}, "nodes": [{"mesh": 7}], "meshes": []}')
    with pytest.raises(ModelError, match=r'car\.gltf cannot be read'):
        load_models(tmp_path)
    for damage in (
        '[' * 100_000,
        '{"asset": {"version": "2.0"}, "nodes": [{"children": [0]}]}',
        '{"asset": {"version": "2.0"}, "nodes": [], "animations": [7]}',
        '{"asset": {"version": "2.0"}, "nodes": [1]}',
    ):
        path.write_text(damage)
        with pytest.raises(ModelError, match=r'car\.gltf '):
            load_models(tmp_path)
    path.write_bytes(b'no model at all')
    with pytest.raises(ModelError, match='export it again'):
        load_models(tmp_path)
