# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Scenes near the camera: what moves makes events, and only people get labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sast_ros_training.simulation import near, near_objects, near_stage, near_textures
from sast_ros_training.simulation.actors import Actor
from sast_ros_training.simulation.body import Body
from sast_ros_training.simulation.extent import extent_in_picture
from sast_ros_training.simulation.hands import make_hand
from sast_ros_training.simulation.mesh import textured
from sast_ros_training.simulation.motion import make_path, MOTIONS
from sast_ros_training.simulation.near import make_near_scene
from sast_ros_training.simulation.near_people import make_person
from sast_ros_training.simulation.near_room import NearLight
from sast_ros_training.simulation.renderer import Renderer
from sast_ros_training.simulation.scene_renderer import SceneRenderer
from sast_ros_training.simulation.sequence import _MIN_INSIDE, SimulatedSequence
from sast_ros_training.simulation.shapes import box, rectangle

MAKERS = {
    maker.__name__: maker
    for maker in (make_hand, *near_objects.ACTIVE, *near_objects.HANGING, *near_objects.STILL)
}


@pytest.mark.parametrize('name', MAKERS)
def test_bodies_are_finite_small_and_without_class(name: str) -> None:
    for seed in range(12):
        body, again = (MAKERS[name](np.random.default_rng(seed)) for _ in range(2))
        assert body.class_id is None
        assert len(body.mesh.triangles) < 4000
        assert 0.01 < max(body.size) < 2.5
        for seconds in (0.0, 0.3, 40.0):
            posed = body.vertices(0.0, seconds)
            assert posed.shape == body.mesh.vertices.shape
            assert np.isfinite(posed).all()
            assert posed.tobytes() == again.vertices(0.0, seconds).tobytes()
        assert set(np.unique(body.mesh.texture)) <= set(range(-1, len(near_textures.KINDS)))
        assert body.mesh.emission.min() >= 0


@pytest.mark.parametrize('maker', near_objects.THINGS)
def test_things_have_their_middle_at_the_origin(maker) -> None:
    for seed in range(12):
        piece = maker(np.random.default_rng(seed))
        assert np.isfinite(piece.vertices).all()
        assert np.linalg.norm(piece.vertices, axis=1).max() < 0.6


def test_fingers_move_and_the_forearm_does_not() -> None:
    for gesture in ('wave', 'grasp', 'type', 'point', 'loose'):
        body = make_hand(np.random.default_rng(1), gesture=gesture)
        poses = np.array([body.vertices(0.0, t) for t in np.linspace(0, 2, 40)])
        moved = np.ptp(poses, axis=0).max(1)
        assert moved.max() > 0.005
        assert moved.max() < 0.3
        assert moved[poses[0][:, 0] < -0.12].max() < 1e-6


@pytest.mark.parametrize('kind', near_textures.KINDS)
def test_textures_can_multiply_luminance(kind) -> None:
    for seed in range(6):
        image = kind(np.random.default_rng(seed))
        assert image.shape == (256, 256)
        assert image.dtype == np.float32
        assert 0 < image.min() <= image.max() < 20
        assert image.tobytes() == kind(np.random.default_rng(seed)).tobytes()


def test_people_are_pedestrians_of_their_height() -> None:
    seated = 0
    for seed in range(30):
        body, chair = make_person(np.random.default_rng(seed))
        assert body.class_id == 0
        posed = np.array([body.vertices(0.2 * t, t) for t in np.linspace(0, 3, 7)])
        assert np.isfinite(posed).all()
        low, high = posed[..., 2].min(), posed[..., 2].max()
        assert -0.12 < low < 0.1
        assert (1.0 if chair else 0.9) < high < 2.6
        seated += chair is not None
    assert 1 <= seated < 15


def test_in_some_places_only_a_light_a_fan_or_a_disc_moves_small_or_large(monkeypatch) -> None:
    monkeypatch.setattr(near, '_PEOPLE_SHARE', 0.0)
    monkeypatch.setattr(near_stage, '_ALONE_SHARE', 1.0)
    sizes = []
    for seed in range(40):
        scene = make_near_scene(np.random.default_rng(seed), 'static', (240, 304), 2.0)
        camera = scene.camera
        assert scene.actors == []
        assert len(scene.moving) in (1, 2)
        for actor in scene.moving:
            middle = actor.flight.place + (0, 0, 0.5 * actor.body.size[2])
            x, y, depth = camera.pose(0.0).astype(float)[:, :3] @ (middle - camera.position(0.0))
            assert abs(x) < 0.5 * camera.width * depth / camera.focal
            assert abs(y) < 0.5 * camera.height * depth / camera.focal
            sizes.append(max(actor.body.size[1:]) / depth * camera.focal)
    assert np.quantile(sizes, 0.1) < 30
    assert np.quantile(sizes, 0.9) > 150


def test_in_some_places_only_arms_move_many_of_them_hanging_from_above(monkeypatch) -> None:
    monkeypatch.setattr(near, '_PEOPLE_SHARE', 0.0)
    monkeypatch.setattr(near_stage, '_ALONE_SHARE', 0.0)
    monkeypatch.setattr(near_stage, '_ARMS_SHARE', 1.0)
    down, long = [], []
    for seed in range(40):
        scene = make_near_scene(np.random.default_rng(seed), 'static', (240, 304), 2.0)
        assert scene.actors == []
        assert len(scene.moving) in (1, 2)
        pose = scene.camera.pose(0.0).astype(float)[:, :3]
        for arm in scene.moving:
            down.append((pose @ arm.flight.turned[:, 0])[1] > 0.8)
            long.append(arm.body.size[0])
    assert 0.2 < np.mean(down) < 0.6
    assert min(long) < 0.6
    assert max(long) > 0.8


def test_a_texture_covers_what_faces_any_side_evenly() -> None:
    piece = textured(box((2.0, 1.0, 0.5)), 3, 4.0)
    assert (piece.texture == 3).all()
    corners = piece.vertices[piece.triangles]
    for a, b in ((0, 1), (1, 2)):
        metres = np.linalg.norm(corners[:, a] - corners[:, b], axis=1)
        tiles = np.linalg.norm(piece.uv[:, a] - piece.uv[:, b], axis=1)
        np.testing.assert_allclose(tiles, 4.0 * metres, rtol=1e-5)


def test_a_surface_replaces_emission_and_texture_coordinates_for_one_drawing() -> None:
    image = np.repeat(np.array([[1.0, 3.0]], np.float32), 2, 0)
    renderer = Renderer(16, 16, 8.0, [image])
    face = rectangle((-9, 9), (-9, 9), 2.0, 0.0, 0.5)
    face = replace(face, texture=np.zeros(2, np.int16))
    quarter = np.full((2, 3, 2), 0.25, np.float32)
    middle = []
    for gain, uv in ((1, quarter), (2, quarter), (1, quarter + np.float32((0.5, 0)))):
        renderer.clear(0.0)
        surface = face.emission * np.float32(gain), uv
        renderer.draw(face, face.vertices, np.eye(3, 4), 0, surface)
        middle.append(float(renderer.finish()[0][8, 8]))
    assert middle == pytest.approx([0.5, 1.0, 1.5], rel=0.01)
    renderer.clear(0.0)
    renderer.draw(face, face.vertices, np.eye(3, 4))
    assert renderer.finish()[0][8, 8] > 0
    with pytest.raises(ValueError, match='surface'):
        renderer.draw(face, face.vertices, np.eye(3, 4), 0, (face.emission[:1], quarter))


def test_lamps_go_on_and_off_at_their_frequency() -> None:
    light = NearLight(np.array((0, 0, 1.0)), 0, 1, 1, False, 0.5, 100.0, duty=0.25)
    factors = np.array([light.at(t) for t in np.arange(0, 0.1, 1e-4)])
    assert set(factors) == {0.5, 1.0}
    assert np.mean(factors == 1) == pytest.approx(0.25, abs=0.01)
    assert np.count_nonzero(np.diff(factors)) == pytest.approx(20, abs=1)
    switched = replace(light, flicker=0.0, duty=0.0, switch=1.0, switched=0.2)
    assert [switched.at(t) for t in (0.9, 1.5)] == pytest.approx([1.0, 0.2])
    assert switched.changes


def test_blinking_lamps_stay_between_off_and_bright() -> None:
    for seed in range(40):
        gain, hertz = near_objects.blinking(np.random.default_rng(seed))
        values = [gain(t) for t in np.arange(0, 3, 0.003)]
        assert 0 <= min(values) <= max(values) <= 1.2
        assert (max(values) > min(values)) == (hertz > 0)


@pytest.mark.parametrize('motion', MOTIONS)
def test_a_camera_stays_between_the_walls_and_above_the_ground(motion) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        scene = make_near_scene(rng, motion, (240, 304), 3.0)
        points = np.concatenate([piece.mesh.vertices for piece in scene.street.pieces])
        for seconds in np.linspace(0, 3, 16):
            place = scene.camera.position(seconds)
            assert (place > points.min(0)).all() and (place < points.max(0)).all()
        assert scene.camera.moves == (motion != 'static')


def test_two_scenes_in_three_hold_no_road_user_and_only_people_are_labelled() -> None:
    scenes = [
        make_near_scene(np.random.default_rng(seed), 'static', (240, 304), 1.0)
        for seed in range(60)
    ]
    empty = sum(not scene.actors for scene in scenes)
    assert 0.5 < empty / 60 < 0.85
    for scene in scenes:
        assert {actor.body.class_id for actor in scene.actors} <= {0}
        assert [actor.owner for actor in scene.actors] == list(range(1, len(scene.actors) + 1))
        assert not any(actor.owner for actor in (*scene.still, *scene.moving))


def test_fast_things_and_lamps_get_more_pictures() -> None:
    class Blinker(Body):
        flicker_hz = 200.0

    counts = {}
    for seed in range(40):
        scene = make_near_scene(np.random.default_rng(seed), 'static', (240, 304), 1.0)
        light = replace(scene.light, flicker=0.0)
        if scene.actors or len(scene.moving) != 1:
            continue
        camera, street, _, still, moving = scene[2], scene[1], *scene[3:]
        renderer = SceneRenderer(camera, street, light, still, moving)
        quick = replace(moving[0], body=Blinker(moving[0].body.mesh))
        blinking = SceneRenderer(camera, street, light, still, [quick])
        counts[seed] = renderer.steps(0.5, 0.55), blinking.steps(0.5, 0.55)
    assert min(min(pair) for pair in counts.values()) >= 8
    assert max(first for first, _ in counts.values()) > 20
    assert any(second >= 50 for _, second in counts.values())


def test_the_same_seed_gives_the_same_near_scene() -> None:
    for motion in ('static', 'handheld'):
        first, second = (
            list(SimulatedSequence((6, 2), 0.15, motion=motion, scene='near').windows())
            for _ in range(2)
        )
        for a, b in zip(first, second, strict=True):
            for name in 'xypt':
                assert getattr(a.chunk, name).tobytes() == getattr(b.chunk, name).tobytes()
            assert a.labels.tobytes() == b.labels.tobytes()


def test_the_extent_is_that_of_the_part_in_the_picture() -> None:
    # 20 pixels wide above, 80 below the border of a picture of 40 x 100 pixels
    corners = np.array([(-1, -1), (1, -1), (1, 2), (-1, 2), (4, 2), (-4, 2), (4, 9), (-4, 9)])
    points = np.concatenate([corners, np.ones((8, 1))], 1)
    triangles = np.array([(0, 1, 2), (0, 2, 3), (5, 4, 6), (5, 6, 7)])
    assert extent_in_picture(points, triangles, 10.0, (30, 100)) == pytest.approx((40, 5, 60, 30))
    whole = extent_in_picture(points, triangles, 10.0, (220, 100))
    assert whole == pytest.approx((10, 100, 90, 200))
    assert extent_in_picture(points - (0, 0, 5), triangles, 10.0, (30, 100)) is None
    assert extent_in_picture(points + (99, 0, 0), triangles, 10.0, (30, 100)) is None
    # Only one edge is in the picture, but the triangles cover its lower right corner
    wall = np.array([(1.0, -90, 1), (1.0, 90, 1), (99.0, 90, 1), (99.0, -90, 1)])
    sides = np.array([(0, 1, 2), (0, 2, 3)])
    assert extent_in_picture(wall, sides, 10.0, (30, 100)) == pytest.approx((60, 0, 100, 30))
    everywhere = extent_in_picture(wall - (60, 0, 0), sides, 10.0, (30, 100))
    assert everywhere == pytest.approx((0, 0, 100, 30))
    assert extent_in_picture(-wall, sides, 10.0, (30, 100)) is None
    # A body that begins behind the camera
    tilted = np.array([(0.0, 1.0, -1.0), (0.0, 1.0, 9.0), (1.0, 1.0, 9.0)])
    x1, y1, x2, y2 = extent_in_picture(tilted, np.array([(0, 1, 2)]), 10.0, (40, 40))
    assert y2 == 40
    assert y1 == pytest.approx(20 + 10 / 9)


def test_boxes_enclose_what_the_picture_shows_of_people() -> None:
    compared = 0
    for seed in range(30):
        scene = make_near_scene(np.random.default_rng(seed), 'static', (240, 304), 1.0)
        if not scene.actors:
            continue
        light, street, camera, actors, *_ = scene
        for actor in actors:  # alone: nothing hides it
            renderer = SceneRenderer(
                camera, replace(street, pieces=[street.sky]), light, [], [actor]
            )
            owners = renderer.picture(0.5)[1]
            rows, columns = np.nonzero(owners)
            if len(rows) < 200:
                continue
            x1, y1, x2, y2 = renderer.outlines(0.5)[actor.owner].box
            shown = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            np.testing.assert_allclose((x1, y1, x2, y2), shown, atol=1.6)
            compared += 1
    assert compared > 5


def test_a_hand_in_the_picture_is_not_yet_a_person_but_head_and_shoulders_are() -> None:
    rng = np.random.default_rng(4)
    scene = make_near_scene(rng, 'static', (240, 304), 1.0)
    light, street, camera, *_ = scene
    shares = {'all': [], 'bust': [], 'hand': []}
    for seed in range(12):
        body, chair = make_person(np.random.default_rng(seed))
        if chair is not None or body.speeds[1] > 0:
            continue
        still = make_path(rng, np.zeros(2), 0.0, 0.0, 0.0, 1.0)
        actor = Actor(body, still, 1)
        highest = float(body.vertices(0, 0)[:, 2].max())
        x, y, z = body.vertices(0, 0)[body.vertices(0, 0)[:, 1].argmax()]
        # From the front: the whole, the upper 60 cm, 25 cm around what is farthest to the left
        for name, place, focal in (
            ('all', (4.0, 0.0, 1.0), 250.0),
            ('bust', (1.0, 0.0, highest - 0.12), 250.0),
            ('hand', (x + 2.0, y + 0.1, z), 2400.0),
        ):
            view = replace(camera, start=np.array(place), angles=(np.pi, 0.0, 0.0), focal=focal)
            renderer = SceneRenderer(view, street, light, [], [actor])
            shares[name].append(renderer.outlines(0.0)[1].inside)
    assert len(shares['all']) >= 3
    assert min(shares['all']) > 0.9
    assert min(shares['bust']) > _MIN_INSIDE
    assert max(shares['hand']) < _MIN_INSIDE


def test_hardly_any_of_a_person_in_the_picture_is_no_visible_person() -> None:
    cut = 0
    for seed in range(30):
        sequence = SimulatedSequence((seed, 9), 0.05, scene='near')
        for window in sequence.windows():
            for label in window.labels:
                assert 0 < label['visibility'] <= 1
                cut += label['visibility'] < _MIN_INSIDE
    assert cut > 0
