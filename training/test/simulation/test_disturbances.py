# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What disturbs a sequence: how often, that time alone decides it, and what it leaves alone."""

from dataclasses import replace

import numpy as np
import pytest
from sast_ros_training.simulation import disturbances, mirror, outdoor_bodies, weather
from sast_ros_training.simulation.motion import make_camera
from sast_ros_training.simulation.scene_renderer import SceneRenderer
from sast_ros_training.simulation.sequence import SimulatedSequence
from sast_ros_training.simulation.street import make_light, make_street

SIZE = 60, 80


@pytest.fixture(scope='module')
def scene():
    rng = np.random.default_rng(4)
    light = make_light(rng)
    return light, make_street(rng, 100.0, light)


def camera(street, motion='static', seed=1, size=SIZE):
    rng = np.random.default_rng(seed)
    return make_camera(rng, motion, size, 2.0, street.road, street.front)


def draw(street, seed, motion='static'):
    rng = np.random.default_rng(seed)
    return disturbances.draw_disturbances(rng, camera(street, motion), street, 2.0)


def effects(seed=0):
    rng = np.random.default_rng(seed)
    return [
        weather.Rain(rng, SIZE, 70.0),
        weather.Snow(rng, SIZE, 70.0),
        weather.Insects(rng, SIZE),
        weather.PassingShade(rng, SIZE),
        weather.Flashes(rng, 2.0),
        weather.MainsFlicker(rng, SIZE),
    ]


def test_a_fifth_has_none_and_most_have_one_or_two(scene):
    counts = np.bincount([len(draw(scene[1], seed).names) for seed in range(300)], minlength=4)
    assert counts[0] / 300 == pytest.approx(0.2, abs=0.06)
    assert counts[1:3].sum() / 300 == pytest.approx(0.7, abs=0.08)
    assert len(counts) == 4


def test_every_kind_is_drawn_and_some_for_standing_cameras_only(scene):
    standing, moving = (
        {name for seed in range(300) for name in draw(scene[1], seed, motion).names}
        for motion in ('static', 'pan')
    )
    assert standing == set(disturbances.SHARES)
    assert moving < standing
    assert not moving & {'knocks', 'vibration', 'mains flicker', 'wet ground', 'water', 'windows'}


def test_indoors_there_is_no_weather_and_nothing_of_a_street(scene):
    view = camera(scene[1])
    found = [
        disturbances.draw_disturbances(
            np.random.default_rng(seed), view, scene[1], 2.0, disturbances.INDOOR
        )
        for seed in range(60)
    ]
    assert {name for each in found for name in each.names} == disturbances.INDOOR
    assert not any(each.actors or each.mirror for each in found)


def test_one_value_is_taken_from_the_generator_whatever_is_drawn(scene):
    view = camera(scene[1])
    for seed in range(5):
        rng, other = np.random.default_rng(seed), np.random.default_rng(seed)
        disturbances.draw_disturbances(rng, view, scene[1], 2.0)
        other.integers(2**63)
        assert rng.random() == other.random()


def test_sequences_name_what_they_hold():
    names = [SimulatedSequence((4, seed), 0.05).describe()['disturbances'] for seed in range(8)]
    assert any(names)
    assert {name for each in names for name in each} <= set(disturbances.SHARES)


@pytest.mark.parametrize('kind', range(6))
def test_an_effect_depends_on_time_alone_and_leaves_luminances(kind):
    moments = np.arange(0, 1.5, 0.004)

    def pictures(effect, moments):
        found = {}
        for moment in moments:
            picture = np.full(SIZE, 0.3, np.float32)
            effect.apply(picture, moment)
            found[moment] = picture
        return found

    changes = 0
    for seed in range(3):
        first = pictures(effects(seed)[kind], moments)
        again = pictures(effects(seed)[kind], moments[::-1])
        for moment in moments:
            assert np.array_equal(first[moment], again[moment])
            assert np.isfinite(first[moment]).all()
            assert (first[moment] >= 0).all()
        changes += np.std(list(first.values()), axis=0).max() > 0.003
    assert changes >= 2


def test_rain_moves_down_the_picture():
    rows = []
    effect = effects()[0]
    for moment in (0.5, 0.505):
        picture = np.full(SIZE, 0.3, np.float32)
        effect.apply(picture, moment)
        changed = np.abs(picture - 0.3) > 1e-3
        assert 0 < changed.mean() < 0.5
        rows.append(changed)
    assert (rows[0] != rows[1]).any()


def test_a_mirrored_pose_shows_what_the_mirror_shows(scene):
    rng = np.random.default_rng(2)
    pose = camera(scene[1]).pose(0.3).astype(float)
    for make in mirror.MIRRORS.values():
        surface = make(rng, SIZE, scene[1])
        points = rng.normal(0, 5, (20, 3))
        away = points @ surface.normal - surface.offset
        reflected = points - 2 * away[:, None] * surface.normal
        found = surface.pose(pose)
        np.testing.assert_allclose(
            points @ found[:, :3].T + found[:, 3],
            reflected @ pose[:, :3].T + pose[:, 3],
            atol=1e-4,
        )
        lying = surface.mesh.vertices @ surface.normal - surface.offset
        assert np.abs(lying).max() < 0.02


def test_a_mirror_changes_only_its_surface_and_is_nobody(scene):
    light, street = scene
    view = camera(street, size=(120, 160))
    surface = mirror.make_wet_ground(np.random.default_rng(3), (120, 160), street)
    surface = replace(surface, strength=0.5)
    dull = SceneRenderer(view, street, light, [], [], mirror=replace(surface, strength=0.0))
    wet = SceneRenderer(view, street, light, [], [], mirror=surface)
    (plain, _), (shiny, owners) = dull.picture(0.1), wet.picture(0.1)
    assert not owners.any()
    changed = plain != shiny
    assert 0 < changed.mean() < 0.9
    assert not changed[:5].any()


def test_a_knocked_camera_comes_back_to_where_it_was(scene):
    light, street = scene
    view = camera(street)
    jolt = np.array([[0.2, 0.1, -0.15, 0.05, 9.0, 0.03]])
    knocked = replace(view, jolts=jolt)
    before, during, after = (knocked.pose(seconds) for seconds in (0.1, 0.22, 0.5))
    assert np.array_equal(before, view.pose(0.1))
    assert np.array_equal(after, view.pose(0.5))
    assert np.abs(during - view.pose(0.22)).max() > 0.005
    assert knocked.moves_between(0.15, 0.25)
    assert not knocked.moves_between(0.0, 0.2)
    assert not knocked.moves_between(0.45, 0.5)
    still, shaken = (SceneRenderer(each, street, light, [], []) for each in (view, knocked))
    expected = still.picture(0.0)[0].copy()
    assert np.array_equal(shaken.picture(0.1)[0], expected)
    assert not np.array_equal(shaken.picture(0.22)[0], expected)
    assert shaken.steps(0.2, 0.25) > shaken.steps(0.0, 0.05)
    assert np.array_equal(shaken.picture(0.5)[0], expected)


@pytest.mark.parametrize('name', outdoor_bodies.OUTDOOR)
def test_bodies_keep_their_mesh_move_or_blink_and_have_no_class(name):
    rng = np.random.default_rng(5)
    make, _, _ = outdoor_bodies.OUTDOOR[name]
    for _ in range(3):
        body = make(rng)
        assert body.class_id is None
        shapes = [body.vertices(0.0, seconds) for seconds in np.arange(0, 5, 0.05)]
        assert all(shape.shape == body.mesh.vertices.shape for shape in shapes)
        assert np.ptp(shapes, axis=0).max() > 0.003
        assert np.ptp(shapes, axis=0).max() < 25


def test_a_blinking_body_shows_one_of_its_parts_at_a_time():
    body = outdoor_bodies.make_screen(np.random.default_rng(1))
    frame = body.mesh.vertices[: body._ranges[0].start]
    seen = set()
    for seconds in np.arange(0, float(body._until[-1]), float(body._until[0]) / 3):
        points = body.vertices(0.0, seconds)
        np.testing.assert_array_equal(points[: len(frame)], frame)
        shown = [
            number for number, part in enumerate(body._ranges) if np.ptp(points[part], 0).max() > 0
        ]
        assert len(shown) == 1
        seen.update(shown)
    assert len(seen) == len(body._ranges)


def test_bodies_are_put_into_the_field_of_view(scene):
    view = camera(scene[1])
    hits = total = 0
    for name in outdoor_bodies.OUTDOOR:
        for seed in range(6):
            rng = np.random.default_rng(seed)
            for actor in disturbances._make_actors(rng, name, view, 2.0):
                vertices, placement = actor.pose(1.0)
                points = vertices @ placement[:, :3].T + placement[:, 3]
                seen = points @ view.pose(1.0)[:, :3].T + view.pose(1.0)[:, 3]
                seen = seen[seen[:, 2] > 0.1]
                place = np.abs(seen[:, :2] / seen[:, 2:]) * view.focal
                hits += bool((place < (SIZE[1] / 2, SIZE[0] / 2)).all(1).any())
                total += 1
    assert hits > 0.6 * total
