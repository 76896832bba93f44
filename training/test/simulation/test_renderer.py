# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Pictures of the simulation's renderer against geometry worked out by hand or by ray casting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sast_ros_training.simulation.mesh import assemble, Mesh
from sast_ros_training.simulation.renderer import Renderer

IDENTITY = np.eye(3, 4)
SUN = np.array([0.48, -0.36, 0.8])
SAMPLES = np.array([(0.375, 0.125), (0.875, 0.375), (0.125, 0.625), (0.625, 0.875)])
#: Camera five metres above the ground, looking straight down; east is right, north is up.
OVERHEAD = np.array([[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 5]])


def polygons(corners, uv=None, texture=-1, albedo=0.0, emission=0.0) -> Mesh:
    """Build a mesh of convex polygons: corners [N, K, 3], uv [K, 2]."""
    corners = np.asarray(corners, np.float32)
    number, sides = corners.shape[:2]
    fan = np.array([(0, k, k + 1) for k in range(1, sides - 1)])
    triangles = (np.arange(number)[:, None, None] * sides + fan).reshape(-1, 3)
    count = len(triangles)
    uv = np.zeros((sides, 2)) if uv is None else np.asarray(uv)
    return Mesh(
        vertices=corners.reshape(-1, 3),
        triangles=triangles.astype(np.int32),
        albedo=np.full(count, albedo, np.float32),
        emission=np.full(count, emission, np.float32),
        texture=np.full(count, texture, np.int16),
        uv=np.tile(uv[fan], (number, 1, 1)).astype(np.float32),
    )


def rectangle(x, y, z, **material) -> Mesh:
    """Build a rectangle that faces the camera at ``IDENTITY``, z metres away."""
    (x0, x1), (y0, y1) = x, y
    return polygons([[(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)]], **material)


def ground(size=50.0, tiles=1.0, **material) -> Mesh:
    """Build a square of ground around the origin of the world."""
    corners = [(-size, -size, 0), (size, -size, 0), (size, size, 0), (-size, size, 0)]
    uv = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * tiles
    return polygons([corners], uv=uv, **material)


def street_pose(x=0.0, height=1.5, pitch=0.1, yaw=0.2) -> np.ndarray:
    """Pose of a camera over the ground that looks along x, a little down and to the left."""
    forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0])
    rotation = np.stack([right, np.cross(forward, right), forward])
    return np.c_[rotation, -rotation @ (x, 0, height)]


def rays(height, width, focal, pose, offsets):
    """Origin [3] and directions [len(offsets), H, W, 3] of rays in the world."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([columns, rows], -1) + np.asarray(offsets)[:, None, None]
    across = (pixels - (width / 2, height / 2)) / focal
    directions = np.concatenate([across, np.ones((*across.shape[:-1], 1))], -1)
    rotation = pose[:, :3]
    return -rotation.T @ pose[:, 3], directions @ rotation


def ball(rng, triangles=80) -> Mesh:
    """Build a rough ball, half textured."""
    around = rng.normal(size=(triangles, 1, 3))
    around /= np.linalg.norm(around, axis=-1, keepdims=True)
    mesh = polygons(
        around * 0.5 + rng.normal(size=(triangles, 3, 3)) * 0.12 + (0, 0, 0.6),
        uv=rng.uniform(0, 3, (3, 2)),
        albedo=0.6,
    )
    mesh.texture[::2] = 0
    return mesh


def at(x, y, yaw=0.0) -> np.ndarray:
    """Return a placement on the ground."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0, x], [s, c, 0, y], [0, 0, 1, 0]])


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(5).random((64, 64)).astype(np.float32)


def test_square_covers_the_pixels_that_it_projects_to():
    renderer = Renderer(20, 30, 100.0)
    renderer.clear(0.25)
    square = rectangle((-0.5, 0.5), (-0.3, 0.2), 10.0, emission=0.75)
    renderer.draw(square, square.vertices, IDENTITY, owner=7)
    luminance, owners = renderer.finish()
    expected = np.full((20, 30), 0.25, np.float32)
    expected[7:12, 10:20] = 0.75
    np.testing.assert_array_equal(luminance, expected)
    np.testing.assert_array_equal(owners, np.where(expected == 0.75, 7, 0))
    assert renderer.visible()[7] == renderer.visible().sum() - renderer.visible()[0] == 4 * 50


@pytest.mark.parametrize('axis', [0, 1])
def test_edges_move_through_a_pixel_in_four_equal_steps(axis):
    renderer = Renderer(16, 16, 100.0)
    square = rectangle((-0.5, 0.5), (-0.5, 0.5), 10.0, emission=1.0)
    profiles = []
    for step in range(9):
        placement = IDENTITY.copy()
        placement[axis, 3] = (step / 4 + 0.01) / 10  # the pixel's size is 0.1 m
        renderer.clear(0.0)
        renderer.draw(square, square.vertices, placement)
        luminance = renderer.finish()[0].copy()
        profiles.append(luminance[8] if axis == 0 else luminance[:, 8])
    leading, trailing = np.array(profiles)[:, 13], np.array(profiles)[:, 3]
    np.testing.assert_allclose(leading, np.clip(np.arange(9) / 4, 0, 1))
    np.testing.assert_allclose(trailing, 1 - np.clip(np.arange(9) / 4, 0, 1))


def test_thin_pole_is_seen_in_every_row():
    renderer = Renderer(40, 40, 100.0)
    pole = rectangle((-0.013, 0.013), (-1, 1), 10.0, emission=1.0)  # 0.26 pixels wide
    for shift in np.linspace(0, 0.1, 13):
        placement = IDENTITY.copy()
        placement[0, 3] = shift
        renderer.clear(0.0)
        renderer.draw(pole, pole.vertices, placement)
        rows = renderer.finish()[0][12:28].sum(1)
        assert rows.min() >= 0.25 and rows.max() <= 0.5


def test_triangles_of_a_surface_leave_no_gap_and_share_no_sample():
    rng = np.random.default_rng(2)
    renderer = Renderer(60, 80, 50.0)
    side = 9
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side)), -1)
    grid[1:-1, 1:-1] += rng.normal(size=(side - 2, side - 2, 2)) * 0.04
    vertices = np.c_[grid.reshape(-1, 2), np.full(side * side, 3.0)].astype(np.float32)
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    triangles = np.concatenate(
        [corner[:, None] + (0, 1, side + 1), corner[:, None] + (0, side + 1, side)]
    ).astype(np.int32)
    edge = np.array([(0, side - 1, side * side - 1), (0, side * side - 1, side * (side - 1))])
    whole, outline, *apart = (
        renderer.covered(assemble(vertices, each, 0.5), vertices, IDENTITY)
        for each in (triangles, edge, *triangles[:, None])
    )
    assert whole == sum(apart) == outline > 4000


def test_texture_is_perspective_correct():
    height, width, focal = 60, 80, 70.0
    steps = (np.arange(128) + 0.5) / 128 * 2 * np.pi
    wave = 0.5 + 0.3 * np.sin(steps)[None] * np.cos(steps)[:, None]
    renderer = Renderer(height, width, focal, [wave.astype(np.float32)])
    pose = street_pose(pitch=0.5)
    renderer.view(pose)
    renderer.clear(0.0)
    plane = ground(tiles=10.0, texture=0, emission=1.0)  # a tile is 10 m
    renderer.draw(plane, plane.vertices, IDENTITY)
    luminance = renderer.finish()[0]
    eye, directions = rays(height, width, focal, pose, [(0.5, 0.5)])
    hit = eye + directions[0] * (-eye[2] / directions[0, ..., 2:])
    phase = (hit[..., :2] + 50) / 10 * 2 * np.pi
    expected = 0.5 + 0.3 * np.sin(phase[..., 0]) * np.cos(phase[..., 1])
    near = np.linalg.norm(hit[..., :2], axis=-1) < 7  # where the footprint is small in the wave
    assert near.mean() > 0.6
    np.testing.assert_allclose(luminance[near], expected[near], atol=0.01)


def test_texture_repeats_far_from_its_origin(noise):
    renderer = Renderer(32, 32, 40.0, [noise])
    pictures = []
    for shift in (0, 3, 4000):
        uv = np.array([(0, 0), (2, 0), (2, 2), (0, 2)]) + (shift, -shift)
        square = rectangle((-1, 1), (-1, 1), 3.0, uv=uv, texture=0, emission=1.0)
        renderer.clear(0.0)
        renderer.draw(square, square.vertices, IDENTITY)
        pictures.append(renderer.finish()[0].copy())
    assert pictures[0].std() > 0.05
    np.testing.assert_allclose(pictures[1], pictures[0], atol=1e-4)
    np.testing.assert_allclose(pictures[2], pictures[0], atol=0.02)


@pytest.mark.parametrize('shape', [(1, 1), (8, 32), (64, 4)])
def test_texture_of_any_power_of_two_is_averaged_in_the_distance(shape):
    texture = np.random.default_rng(1).random(shape).astype(np.float32)
    renderer = Renderer(8, 8, 10.0, [texture])
    uv = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * 1000
    wall = rectangle((-9, 9), (-9, 9), 5.0, uv=uv, texture=0, emission=1.0)
    renderer.clear(0.0)
    renderer.draw(wall, wall.vertices, IDENTITY)
    np.testing.assert_allclose(renderer.finish()[0], texture.mean(), rtol=1e-3)


def test_texture_that_is_not_square_fills_its_unit():
    texture = np.random.default_rng(1).random((8, 32)).astype(np.float32)
    renderer = Renderer(16, 64, 20.0, [texture])
    uv = [(0, 0), (2, 0), (2, 2), (0, 2)]  # two tiles in 64 columns and 16 rows: a texel a pixel
    wall = rectangle((-3.2, 3.2), (-0.8, 0.8), 2.0, uv=uv, texture=0, emission=1.0)
    renderer.clear(0.0)
    renderer.draw(wall, wall.vertices, IDENTITY)
    same = np.isclose(renderer.finish()[0], np.tile(texture, (2, 2)), atol=1e-3)
    assert np.mean(same) > 0.96  # pixels that the wall's two triangles share are means of two


@pytest.mark.parametrize('behind', [1, 2])
def test_what_is_behind_the_near_plane_is_cut_off_exactly(behind):
    height, width, focal = 48, 64, 40.0
    corners = np.array([(-3.0, 1, 4), (2.5, 0.8, 6), (0.4, 0.5, 5)])
    corners[:behind, 2] -= 7
    renderer = Renderer(height, width, focal)
    triangle = polygons([corners], emission=1.0)
    renderer.clear(0.0)
    renderer.draw(triangle, triangle.vertices, IDENTITY)
    eye, directions = rays(height, width, focal, IDENTITY, SAMPLES)
    weights = np.linalg.solve(corners.T, directions.reshape(-1, 3).T)
    scale = 1 / weights.sum(0)  # distance along the ray, whose z is 1
    inside = ((weights * scale) >= 0).all(0) & (scale > 0.1)
    expected = inside.reshape(4, height, width).mean(0)
    assert 0.05 < expected.mean() < 0.95
    difference = np.abs(renderer.finish()[0] - expected)
    assert difference.max() <= 0.25 and np.count_nonzero(difference) <= 2


def test_nearer_surfaces_hide_farther_ones_in_any_order():
    near = rectangle((-0.1, 0.1), (-0.1, 0.1), 2.0, emission=0.2)
    far = rectangle((-1, 1), (-1, 1), 5.0, emission=0.8)
    pictures = []
    for order in ((near, far), (far, near)):
        renderer = Renderer(24, 24, 50.0)
        renderer.clear(0.5)
        for owner, mesh in enumerate(order):
            renderer.draw(mesh, mesh.vertices, IDENTITY, 1 + owner)
        pictures.append(renderer.finish()[0])
    np.testing.assert_array_equal(*pictures)
    assert pictures[0][12, 12] == np.float32(0.2) and pictures[0][3, 3] == np.float32(0.8)


def test_surfaces_that_cross_are_cut_where_they_cross():
    renderer = Renderer(40, 40, 40.0)
    front = rectangle((-5, 5), (-5, 5), 4.0, emission=0.5)
    slanted = polygons([[(-4, -9, 8.0), (4, -9, 0.5), (4, 9, 0.5), (-4, 9, 8.0)]], emission=1.0)
    renderer.clear(0.0)
    for mesh in (front, slanted):
        renderer.draw(mesh, mesh.vertices, IDENTITY)
    # The slanted wall is at z = 4 where x = 0.267, that is column 20 + 40 * 0.267 / 4 = 22.7.
    row = renderer.finish()[0][20]
    assert np.all(row[:22] == 0.5) and np.all(row[23:30] == 1.0) and 0.5 < row[22] < 1.0


def test_light_follows_the_cosine_and_reaches_both_sides():
    renderer = Renderer(8, 8, 10.0)
    renderer.light(SUN, 0.7, 0.2)
    renderer.view(OVERHEAD)
    plane = ground(albedo=0.5)
    renderer.clear(0.0)
    renderer.draw(plane, plane.vertices, IDENTITY)
    np.testing.assert_allclose(renderer.finish()[0], 0.5 * (0.2 + 0.7 * 0.8), rtol=1e-6)
    below = OVERHEAD * [[1], [-1], [-1]]  # from under the ground its dark side is seen
    renderer.view(below + [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 10]])
    renderer.clear(0.0)
    renderer.draw(plane, plane.vertices, IDENTITY)
    np.testing.assert_allclose(renderer.finish()[0], 0.5 * 0.2, rtol=1e-6)


def overhead_renderer() -> Renderer:
    """Look down on sunlit ground: a pixel is 5 cm wide on it."""
    renderer = Renderer(80, 80, 100.0)
    renderer.light(SUN, 0.7, 0.2)
    renderer.view(OVERHEAD)
    renderer.clear(0.0)
    plane = ground(albedo=0.5)
    renderer.draw(plane, plane.vertices, IDENTITY)
    return renderer


def test_shadow_falls_where_the_sun_throws_it():
    renderer = overhead_renderer()
    plate = polygons([[(-0.5, -0.5, 1), (0.5, -0.5, 1), (0.5, 0.5, 1), (-0.5, 0.5, 1)]])
    renderer.shade(plate, plate.vertices, at(0.0, 0.5))
    luminance = renderer.finish()[0]
    lit, dark = 0.5 * (0.2 + 0.7 * 0.8), 0.5 * 0.2
    # One metre up moves the shadow by -SUN / 0.8 = 0.6 m west and 0.45 m north of (0, 0.5).
    expected = np.full((80, 80), lit, np.float32)
    expected[11:31, 18:38] = dark
    np.testing.assert_allclose(luminance, expected, rtol=1e-6)


def test_shadows_that_overlap_darken_once():
    renderer = overhead_renderer()
    plate = polygons([[(-0.5, -0.5, 1), (0.5, -0.5, 1), (0.5, 0.5, 1), (-0.5, 0.5, 1)]])
    renderer.shade(plate, plate.vertices, IDENTITY)
    renderer.shade(plate, plate.vertices, at(0.1, 0.1))
    assert np.unique(renderer.finish()[0]).tolist() == pytest.approx([0.1, 0.38])


def test_shadow_spares_what_stands_above_the_ground_and_what_is_drawn_later():
    renderer = overhead_renderer()
    raised = polygons([[(-0.6, 0, 0.2), (0, 0, 0.2), (0, 1, 0.2), (-0.6, 1, 0.2)]], emission=0.9)
    renderer.draw(raised, raised.vertices, IDENTITY)
    before = renderer.finish()[0].copy()
    plate = polygons([[(-0.5, -0.5, 1), (0.5, -0.5, 1), (0.5, 0.5, 1), (-0.5, 0.5, 1)]])
    renderer.shade(plate, plate.vertices, IDENTITY)
    after = renderer.finish()[0]
    np.testing.assert_array_equal(after[before == 0.9], before[before == 0.9])
    assert (after == np.float32(0.1)).sum() > 50
    later = polygons([[(-2, -2, 0.1), (2, -2, 0.1), (2, 2, 0.1), (-2, 2, 0.1)]], emission=0.7)
    renderer.draw(later, later.vertices, IDENTITY)
    assert not np.any(renderer.finish()[0] < 0.3)


def test_there_is_no_shadow_without_a_sun_above_the_horizon():
    renderer = overhead_renderer()
    before = renderer.finish()[0].copy()
    renderer.light((0.6, 0.0, -0.8), 0.7, 0.2)
    plate = polygons([[(-0.5, -0.5, 1), (0.5, -0.5, 1), (0.5, 0.5, 1), (-0.5, 0.5, 1)]])
    renderer.shade(plate, plate.vertices, IDENTITY)
    np.testing.assert_array_equal(renderer.finish()[0], before)


def draw_street(renderer) -> None:
    renderer.light(SUN, 0.7, 0.2)
    renderer.view(street_pose())
    renderer.clear(0.9)
    plane = ground(tiles=100.0, texture=0, albedo=0.4)
    renderer.draw(plane, plane.vertices, IDENTITY)
    wall = polygons(
        [[(2, 4, 0), (30, 4, 0), (30, 4, 5), (2, 4, 5)]],
        uv=[(0, 0), (14, 0), (14, 3), (0, 3)],
        texture=0,
        albedo=0.7,
    )
    renderer.draw(wall, wall.vertices, IDENTITY, 3)


def draw_bodies(renderer, bodies, step) -> None:
    places = [at(4 + 3 * k - 0.3 * step, 0.4 * step - k, 0.1 * step) for k in range(len(bodies))]
    for body, place in zip(bodies, places):
        renderer.shade(body, body.vertices, place)
    for owner, (body, place) in enumerate(zip(bodies, places), 10):
        renderer.draw(body, body.vertices, place, owner)


@pytest.mark.parametrize('size', [(1, 1), (5, 7), (33, 17), (60, 80), (240, 304), (96, 130)])
def test_restored_background_equals_a_full_redraw_bit_for_bit(size, noise):
    rng = np.random.default_rng(11)
    bodies = [ball(rng) for _ in range(4)]
    kept, full = (Renderer(*size, 0.8 * size[1], [noise]) for _ in range(2))
    draw_street(kept)
    kept.keep()
    for step in range(6):
        kept.restore()
        draw_street(full)
        if step != 3:  # one frame without bodies
            draw_bodies(kept, bodies, step)
            draw_bodies(full, bodies, step)
        for mine, other in zip(kept.finish(), full.finish()):
            np.testing.assert_array_equal(mine, other)
        np.testing.assert_array_equal(kept.visible(), full.visible())


def test_same_drawing_gives_the_same_bytes(noise):
    rng = np.random.default_rng(3)
    bodies = [ball(rng) for _ in range(8)]
    results = []
    for _ in range(2):
        renderer = Renderer(120, 160, 120.0, [noise])
        draw_street(renderer)
        draw_bodies(renderer, bodies, 2)
        results.append(b''.join(array.tobytes() for array in renderer.finish()))
    assert results[0] == results[1]


def test_more_triangles_than_there_was_room_for_are_drawn():
    rng = np.random.default_rng(4)
    renderer = Renderer(100, 100, 100.0)
    renderer.clear(0.0)
    cells = np.stack(np.meshgrid(np.arange(100), np.arange(100)), -1).reshape(-1, 1, 2) / 50 - 1
    corners = np.array([(0, 0), (0.02, 0), (0.02, 0.02), (0, 0.02)])
    quads = np.concatenate([cells + corners, np.full((10000, 4, 1), 2.0)], -1)
    values = rng.random(10000).astype(np.float32)
    mesh = polygons(quads)
    mesh.emission[:] = np.repeat(values, 2)
    renderer.draw(mesh, mesh.vertices, IDENTITY)
    np.testing.assert_array_equal(renderer.finish()[0], values.reshape(100, 100))


def test_fine_texture_does_not_flicker_under_a_moving_camera():
    texture = (np.random.default_rng(6).random((256, 256)) > 0.5).astype(np.float32) + 0.1
    renderer = Renderer(120, 160, 130.0, [texture])
    plane = ground(size=400.0, tiles=400.0, texture=0, emission=1.0)  # texels of 8 mm
    frames = []
    for step in range(40):
        renderer.view(street_pose(x=0.013 * step, pitch=0.0))
        renderer.clear(0.6)
        renderer.draw(plane, plane.vertices, IDENTITY)
        frames.append(np.log(renderer.finish()[0]))
    flicker = np.std(frames, axis=0)
    assert flicker[62:75].max() < 0.02  # beyond 15 m a pixel's footprint is 100 texels deep
    assert flicker[75:].max() < 0.25
    assert np.abs(np.diff(frames, axis=0)).max() < 0.4


def test_mip_levels_blend_without_a_step(noise):
    renderer = Renderer(32, 32, 60.0, [noise])
    wall = rectangle((-9, 9), (-9, 9), 1.0, texture=0, emission=1.0)
    wall.uv[:] = wall.vertices[wall.triangles][..., :2]
    placement = IDENTITY.copy()
    previous, steps, contrasts = None, [], []
    for distance in np.geomspace(0.9, 8, 4000):  # levels 0 to 3
        placement[2, 3] = distance - 1
        renderer.clear(0.0)
        renderer.draw(wall, wall.vertices, placement)
        picture = renderer.finish()[0].copy()
        steps.append(0 if previous is None else np.abs(picture - previous).max())
        contrasts.append(picture.std())
        previous = picture
    assert contrasts[0] > 3 * contrasts[-1]
    assert max(steps) < 0.02


def test_visible_and_covered_tell_how_much_is_hidden():
    renderer = Renderer(40, 40, 100.0)
    renderer.clear(0.0)
    back = rectangle((-1, 1), (-1, 1), 10.0, emission=1.0)  # 20 x 20 pixels
    front = rectangle((0, 0.5), (-1, 1), 5.0, emission=0.5)  # 10 x 40 pixels, half of it on back
    renderer.draw(back, back.vertices, IDENTITY, 1)
    renderer.draw(front, front.vertices, IDENTITY, 2)
    assert renderer.covered(back, back.vertices, IDENTITY) == 4 * 400
    assert renderer.visible()[:3].tolist() == [4 * (1600 - 200 - 400), 4 * 200, 4 * 400]
    aside = np.array([[1.0, 0, 0, 2], [0, 1, 0, 0], [0, 0, 1, 0]])
    assert renderer.covered(back, back.vertices, aside) == 4 * 20 * 10
    aside[0, 3] = 4
    assert renderer.covered(back, back.vertices, aside) == 0


def test_pixel_belongs_to_the_highest_owner_among_its_samples():
    renderer = Renderer(10, 10, 100.0)
    renderer.clear(0.0)
    left = rectangle((-1, 0.05), (-1, 1), 10.0, emission=1.0)  # ends within column 5
    right = rectangle((0.05, 1), (-1, 1), 10.0, emission=1.0)
    renderer.draw(left, left.vertices, IDENTITY, 9)
    renderer.draw(right, right.vertices, IDENTITY, 4)
    assert renderer.finish()[1][5].tolist() == [9] * 6 + [4] * 4


def test_box_is_the_projected_extent():
    renderer = Renderer(40, 60, 100.0)
    mesh = polygons([[(-1, -2, 10), (3, 1, 20), (0, 0, 5), (-9, 0, 10)]])
    assert renderer.box(mesh.vertices, IDENTITY) == pytest.approx((-60, 0, 45, 25))
    behind = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -30]])
    assert renderer.box(mesh.vertices, behind) is None


def test_box_of_a_body_beside_the_camera_ends_at_the_near_plane():
    renderer = Renderer(40, 60, 100.0)
    line = np.array([(1.0, 0.5, 4.1), (1.0, 0.5, -3.9)], np.float32)
    left, top, right, bottom = renderer.box(line, IDENTITY)
    assert (left, top) == pytest.approx((30 + 100 / 4.1, 20 + 50 / 4.1))
    assert (right, bottom) == pytest.approx((30 + 1000, 20 + 500))


def test_box_is_that_of_the_hull_cut_at_the_near_plane():
    renderer = Renderer(40, 60, 100.0)
    for seed in range(20):
        points = np.random.default_rng(seed).normal(size=(40, 3)).astype(np.float32)
        ahead, behind = (points[select].astype(float) for select in _sides(points))
        share = (0.1 - ahead[:, None, 2]) / (behind[None, :, 2] - ahead[:, None, 2])
        cut = ahead[:, None] + share[..., None] * (behind[None] - ahead[:, None])
        outline = np.concatenate([ahead, cut.reshape(-1, 3)])
        projected = outline[:, :2] / outline[:, 2:] * 100 + (30, 20)
        expected = (*projected.min(0), *projected.max(0))
        assert renderer.box(points, IDENTITY) == pytest.approx(expected, rel=1e-6)


def _sides(points):
    """Select the points ahead of the near plane, and those that are not."""
    return points[:, 2] > 0.1, points[:, 2] <= 0.1


def test_geometry_beyond_all_measure_does_no_harm():
    renderer = Renderer(30, 50, 40.0, [np.ones((4, 4), np.float32)])
    renderer.light(SUN, 1.0, 0.1)
    rng = np.random.default_rng(8)
    corners = rng.normal(size=(300, 3, 3)) * 10.0 ** rng.integers(-6, 9, (300, 1, 1))
    corners[::7, 0] = np.nan
    corners[::11, 1] = np.inf
    corners[::13, 2] = corners[::13, 1]
    mesh = polygons(corners, uv=rng.normal(size=(3, 2)) * 1e6, texture=0, albedo=0.5)
    renderer.clear(0.0)
    renderer.shade(mesh, mesh.vertices, IDENTITY)
    renderer.draw(mesh, mesh.vertices, IDENTITY, 255)
    luminance, owners = renderer.finish()
    assert luminance.min() >= 0 and luminance.max() <= 0.56
    assert renderer.visible().sum() == 4 * 30 * 50
    assert renderer.covered(mesh, mesh.vertices, IDENTITY) <= 4 * 30 * 50


def test_nothing_to_draw_changes_nothing():
    renderer = Renderer(4, 4, 10.0)
    renderer.clear(0.5)
    empty = polygons(np.zeros((0, 3, 3)))
    renderer.draw(empty, empty.vertices, IDENTITY)
    renderer.shade(empty, empty.vertices, IDENTITY)
    assert renderer.box(empty.vertices, IDENTITY) is None
    assert np.all(renderer.finish()[0] == 0.5)


def test_wrong_input_is_refused(noise):
    with pytest.raises(ValueError, match='height is 0'):
        Renderer(0, 10, 10.0)
    with pytest.raises(ValueError, match='focal'):
        Renderer(10, 10, 0.0)
    with pytest.raises(ValueError, match='power of two'):
        Renderer(10, 10, 10.0, [noise[:, :60]])
    with pytest.raises(ValueError, match='below 0'):
        Renderer(10, 10, 10.0, [noise - 0.5])
    renderer = Renderer(10, 10, 10.0)
    square = rectangle((-1, 1), (-1, 1), 2.0)
    with pytest.raises(ValueError, match=r'keep\(\)'):
        renderer.restore()
    with pytest.raises(ValueError, match='vertices'):
        renderer.draw(square, square.vertices[:3], IDENTITY)
    with pytest.raises(ValueError, match='vertices'):
        renderer.shade(square, square.vertices[:3], IDENTITY)
    with pytest.raises(ValueError, match='pose'):
        renderer.draw(square, square.vertices, np.eye(3))
    with pytest.raises(ValueError, match='owner is 256'):
        renderer.draw(square, square.vertices, IDENTITY, 256)
    with pytest.raises(ValueError, match='vertices'):
        renderer.covered(square, square.vertices[:3], IDENTITY)
    textured = rectangle((-1, 1), (-1, 1), 2.0, texture=0)
    with pytest.raises(ValueError, match='texture 0'):
        renderer.draw(textured, textured.vertices, IDENTITY)


@pytest.mark.parametrize('count', [0, 1, 2])
@pytest.mark.parametrize('texture', [-(2**15), -2, 2, 2**15 - 1, 2**16, -(2**16) + 1])
def test_textures_that_were_not_handed_over_are_refused(noise, count, texture):
    """Also numbers that become those of other textures as int16."""
    renderer = Renderer(10, 10, 10.0, [noise] * count)
    square = rectangle((-1, 1), (-1, 1), 2.0)
    square = replace(square, texture=np.array([-1, texture], np.int32))
    with pytest.raises(ValueError, match=f'texture {texture}, but there are {count}'):
        renderer.draw(square, square.vertices, IDENTITY)
