# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Events of the camera: times, places, rates and owners follow its model."""

from __future__ import annotations

from dataclasses import fields
import hashlib

import numpy as np
import pytest
from sast_ros.events import EventChunk
from sast_ros_training.simulation.camera import CameraSettings, EventCamera

# A sensor without any of its imperfections.
IDEAL = {
    'threshold_on': 0.25,
    'threshold_off': 0.25,
    'mismatch': 0.0,
    'bandwidth_hz': 1e9,
    'dark_bandwidth_hz': 1e9,
    'dark_luminance': 1e-9,
    'refractory_us': 0.0,
    'noise_hz': 0.0,
}


def make_camera(
    height: int = 8, width: int = 10, seed: int = 0, **settings: float
) -> tuple[EventCamera, np.ndarray]:
    """Return a camera that has been looking at a grey picture, and that picture, at time 0."""
    camera = EventCamera(height, width, CameraSettings(**{**IDEAL, **settings}), seed)
    picture = np.full((height, width), 0.2, np.float32)
    camera.start(picture, 0)
    return camera, picture


def brighter(picture: np.ndarray, contrast: float) -> np.ndarray:
    return (picture * np.exp(contrast)).astype(np.float32)


def of_pixel(chunk: EventChunk, x: int, y: int) -> tuple[np.ndarray, np.ndarray]:
    chosen = (chunk.x == x) & (chunk.y == y)
    return chunk.t[chosen], chunk.p[chosen]


def content(chunk: EventChunk) -> bytes:
    return b''.join(array.tobytes() for array in (chunk.x, chunk.y, chunk.p, chunk.t))


def busy_run(seed: int, height: int = 48, width: int = 150) -> list[EventChunk]:
    """Texture that slides over a sensor with every imperfection."""
    texture = np.random.default_rng(1).uniform(0.02, 1, (height, width + 40)).astype(np.float32)
    settings = CameraSettings(
        noise_hz=2.0, leak_hz=0.5, hot_pixels=0.01, refractory_us=3000.0, max_rate=2e6
    )
    camera = EventCamera(height, width, settings, seed)
    camera.start(texture[:, :width], 1_000_000)
    return [
        camera.advance(np.roll(texture, -step, 1)[:, :width], 1_000_000 + step * 2_300)
        for step in range(1, 40)
    ]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    first, again, other = ([content(chunk) for chunk in busy_run(seed)] for seed in (3, 3, 4))
    assert first == again
    assert all(one != two for one, two in zip(first, other, strict=True))


def test_a_seed_gives_the_same_bytes_on_every_processor() -> None:
    # The digest of x86-64 (baseline, AVX2, AVX-512) and aarch64 (make test-arm).
    digest = hashlib.sha256(b''.join(map(content, busy_run(5)))).hexdigest()
    assert digest[:16] == '8d69a85ea0ba98c8'


def test_chunks_are_sound_and_follow_one_another() -> None:
    before = 1_000_000
    for step, chunk in enumerate(busy_run(0), 1):
        # Verifies types, coordinates, polarity and order
        EventChunk(chunk.x, chunk.y, chunk.p, chunk.t, width=chunk.width, height=chunk.height)
        assert (chunk.width, chunk.height, chunk.clock) == (150, 48, 'sensor')
        assert len(chunk) > 100
        assert before < chunk.t[0]
        before = 1_000_000 + step * 2_300
        assert chunk.t[-1] <= before


@pytest.mark.parametrize(('sign', 'polarity'), [(1, 1), (-1, 0)])
def test_a_steady_change_gives_evenly_spaced_events_of_its_polarity(
    sign: int, polarity: int
) -> None:
    camera, picture = make_camera()
    chunk = camera.advance(brighter(picture, sign * 2.0), 8_000)
    for y in range(8):
        for x in range(10):
            t, p = of_pixel(chunk, x, y)
            assert len(t) in (6, 7, 8)  # the first one may lie a whole dead zone away
            assert set(p) == {polarity}
            assert np.abs(np.diff(t) - 1_000).max() <= 1


def test_on_and_off_have_thresholds_of_their_own() -> None:
    camera, picture = make_camera(threshold_on=0.2, threshold_off=0.4)
    chunk = camera.advance(brighter(picture, 2.0), 10_000)
    assert set(np.diff(of_pixel(chunk, 3, 3)[0])) <= {999, 1_000, 1_001}
    chunk = camera.advance(picture, 20_000)
    assert set(chunk.p) == {0}
    assert set(np.diff(of_pixel(chunk, 3, 3)[0])) <= {1_999, 2_000, 2_001}


def test_thresholds_differ_between_pixels_as_much_as_asked() -> None:
    camera, picture = make_camera(100, 100, mismatch=0.05)
    camera.advance(brighter(picture, 1.0), 1_000)
    chunk = camera.advance(brighter(picture, 9.0), 1_000_000)
    count = np.zeros((100, 100))
    np.add.at(count, (chunk.y, chunk.x), 1)
    thresholds = 8.0 / count
    assert thresholds.mean() == pytest.approx(0.25, rel=0.02)
    assert thresholds.std() / 0.25 == pytest.approx(0.05, rel=0.15)


def test_levels_lie_anywhere_inside_the_dead_zone_at_the_start() -> None:
    camera, picture = make_camera(100, 100, threshold_on=0.2, threshold_off=0.3)
    chunk = camera.advance(brighter(picture, 0.1), 1_000)
    assert len(chunk) / picture.size == pytest.approx(0.2, abs=0.02)
    assert chunk.t.mean() == pytest.approx(500, abs=40)


def test_events_do_not_depend_on_how_finely_a_steady_change_is_cut() -> None:
    whole_camera, picture = make_camera()
    whole = whole_camera.advance(brighter(picture, 1.5), 30_000)
    camera, _ = make_camera()
    parts = [
        camera.advance(brighter(picture, 1.5 * step / 30), step * 1_000) for step in range(1, 31)
    ]
    assert sum(map(len, parts)) == len(whole)
    assert np.abs(np.concatenate([part.t for part in parts]) - whole.t).max() <= 1


def test_a_still_picture_gives_nothing() -> None:
    camera, picture = make_camera()
    camera.advance(brighter(picture, 3.0), 1_000)
    assert [len(camera.advance(brighter(picture, 3.0), t)) for t in (2_000, 3_000, 9_000)] == [
        0,
        0,
        0,
    ]


def test_a_held_pixel_starts_again_from_the_intensity_at_the_end_of_its_hold() -> None:
    camera, picture = make_camera(refractory_us=500.0)
    chunk = camera.advance(brighter(picture, 2.0), 8_000)
    # 0.25 of contrast take 1000 us, after 500 us of blindness.
    t, _ = of_pixel(chunk, 4, 4)
    assert len(t) >= 4
    assert np.abs(np.diff(t) - 1_500).max() <= 1


def test_a_hold_outlasts_pictures() -> None:
    camera, picture = make_camera(refractory_us=4_300.0)
    chunks = [
        camera.advance(brighter(picture, 0.25 * step), step * 1_000) for step in range(1, 31)
    ]
    t, _ = (np.concatenate(parts) for parts in zip(*[of_pixel(c, 4, 4) for c in chunks]))
    assert len(t) >= 5
    assert np.abs(np.diff(t) - 5_300).max() <= 2


def test_the_photoreceptor_follows_a_step_as_a_low_pass_does() -> None:
    bandwidth = 20.0
    camera, picture = make_camera(
        60,
        60,
        threshold_on=0.05,
        threshold_off=0.05,
        bandwidth_hz=bandwidth,
        dark_bandwidth_hz=bandwidth,
    )
    camera.advance(picture, 1_000)
    bright = brighter(picture, 1.5)
    seen = 0.025  # at the start half an event is missing in the mean
    for step in range(1, 41):
        chunk = camera.advance(bright, 1_000 + step * 1_000)
        seen += len(chunk) / picture.size * 0.05
        expected = 1.5 * (1 - np.exp(-2 * np.pi * bandwidth * step * 1e-3))
        assert seen == pytest.approx(expected, abs=0.01)


def test_dim_pixels_are_slower_down_to_the_floor() -> None:
    def answer(light: float, floor: float) -> float:
        camera = EventCamera(
            40,
            40,
            CameraSettings(**{**IDEAL, 'bandwidth_hz': 100.0, 'dark_bandwidth_hz': floor}),
            0,
        )
        picture = np.full((40, 40), light, np.float32)
        camera.start(picture, 0)
        return len(camera.advance(picture * np.float32(2), 1_000)) / picture.size

    assert answer(0.4, 0.1) > 3 * answer(0.04, 0.1) > 0
    assert answer(0.04, 20.0) == pytest.approx(answer(0.004, 20.0), rel=0.05)


def test_contrast_fades_in_the_dark() -> None:
    camera = EventCamera(20, 20, CameraSettings(**{**IDEAL, 'dark_luminance': 0.01}), 0)
    picture = np.full((20, 20), 1e-5, np.float32)
    camera.start(picture, 0)
    assert len(camera.advance(picture * np.float32(20), 1_000)) < 0.1 * picture.size
    assert len(camera.advance(np.zeros_like(picture), 2_000)) < 0.1 * picture.size


def test_pictures_that_are_no_luminance_do_no_harm() -> None:
    camera, picture = make_camera()
    bad = picture.copy()
    bad.flat[:4] = -1.0, np.nan, np.inf, 1e-40
    camera.advance(bad, 1_000)
    assert len(camera.advance(picture, 2_000)) <= 4 * 64
    assert len(camera.advance(picture, 3_000)) == 0


def test_noise_has_the_rate_that_was_asked_for_and_differs_between_pixels() -> None:
    camera, picture = make_camera(100, 100, noise_hz=2.0, noise_on=0.3)
    chunks = [camera.advance(picture, 500_000 * step) for step in range(1, 21)]
    x, y, p = (
        np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in ('x', 'y', 'p')
    )
    assert len(x) / picture.size / 10 == pytest.approx(2.0, rel=0.05)
    assert p.mean() == pytest.approx(0.3, abs=0.02)
    count = np.zeros((100, 100))
    np.add.at(count, (y, x), 1)
    # Poisson alone would give the square root of the mean.
    assert count.std() > 2.5 * np.sqrt(count.mean())
    assert (count > 0).mean() > 0.95


def test_dark_places_make_more_noise_and_the_mean_stays() -> None:
    settings = CameraSettings(noise_hz=2.0, noise_dark=0.5, mismatch=0.0, dark_luminance=1e-6)
    camera = EventCamera(100, 100, settings, 1)
    picture = np.full((100, 100), 0.9, np.float32)
    picture[:, :50] = 0.1
    camera.start(picture, 0)
    chunks = [camera.advance(picture, 500_000 * step) for step in range(1, 21)]
    x = np.concatenate([chunk.x for chunk in chunks])
    assert len(x) / picture.size / 10 == pytest.approx(2.0, rel=0.05)
    # Nine times the light to the power of a half
    assert (x < 50).sum() / (x >= 50).sum() == pytest.approx(3.0, rel=0.05)


def test_the_darkest_places_are_eight_times_as_noisy_as_the_mean_at_most() -> None:
    settings = CameraSettings(noise_hz=2.0, noise_dark=4.0, dark_luminance=1e-6)
    camera = EventCamera(100, 100, settings, 1)
    picture = np.full((100, 100), 1.0, np.float32)
    picture[:, :2] = 1e-5
    camera.start(picture, 0)
    x = camera.advance(picture, 1_000_000).x
    assert (x < 2).sum() / 200 == pytest.approx(16.0, rel=0.15)
    assert (x >= 2).sum() == 0


def test_leak_gives_on_events_at_its_rate() -> None:
    camera, picture = make_camera(100, 100, leak_hz=0.5)
    owners = np.ones(picture.shape, np.uint8)
    chunks = [camera.advance(picture, 100_000 * step, owners) for step in range(1, 101)]
    assert sum(map(len, chunks)) / picture.size / 10 == pytest.approx(0.5, rel=0.05)
    assert all(chunk.p.all() for chunk in chunks)
    assert camera.take_owner_events().sum() == 0


def test_hot_pixels_fire_with_one_polarity_each() -> None:
    camera, picture = make_camera(100, 100, hot_pixels=0.01, hot_hz=100.0)
    chunk = camera.advance(picture, 1_000_000)
    pixel = chunk.y.astype(int) * 100 + chunk.x
    assert 60 < len(np.unique(pixel)) < 140
    assert len(chunk) / len(np.unique(pixel)) == pytest.approx(100, rel=0.4)
    assert len(np.unique(pixel)) == len(np.unique(pixel * 2 + chunk.p))
    assert 0.2 < chunk.p.mean() < 0.8


def test_hot_lines_are_whole_rows_and_columns_with_the_rate_that_was_asked_for() -> None:
    camera, picture = make_camera(200, 300, hot_lines=0.02, hot_line_hz=40.0)
    chunk = camera.advance(picture, 1_000_000)
    count = np.zeros(picture.shape)
    np.add.at(count, (chunk.y, chunk.x), 1)
    rows, columns = np.median(count, 1) > 0, np.median(count, 0) > 0
    assert 1 <= rows.sum() <= 12
    assert 1 <= columns.sum() <= 15
    assert count[~rows][:, ~columns].sum() == 0
    assert count[rows].mean() == pytest.approx(40, rel=0.8)


def test_a_bus_that_reads_rows_loses_whole_rows_of_a_busy_millisecond() -> None:
    camera, picture = make_camera(60, 80, max_rate=1e6, lost_rows=1)
    chunk = camera.advance(brighter(picture, 2.0), 10_000)
    before = set()
    for millisecond in range(1, 9):
        busy = chunk.t // 1_000 == millisecond
        assert busy.sum() == 1_000
        counts = np.bincount(chunk.y[busy], minlength=60)
        assert np.count_nonzero(counts) <= 20  # all of 80 pixels fire, or the last row in part
        before.add(tuple(counts > 0))
    assert len(before) > 4  # others each time
    assert camera.dropped == chunk.dropped > 20_000


def test_after_a_flash_the_sensor_is_silent_for_its_recovery() -> None:
    camera, picture = make_camera(20, 30, recovery_us=20_000.0)
    assert len(camera.advance(brighter(picture, 1.0), 5_000)) > picture.size
    assert len(camera.advance(picture, 10_000)) == 0
    assert len(camera.advance(brighter(picture, 1.0), 24_000)) == 0
    assert len(camera.advance(brighter(picture, 3.0), 35_000)) > picture.size


def test_the_rate_limit_thins_busy_milliseconds_evenly() -> None:
    free, picture = make_camera(60, 80)
    limited, _ = make_camera(60, 80, max_rate=1e6)
    everything = free.advance(brighter(picture, 2.0), 10_500)
    chunk = limited.advance(brighter(picture, 2.0), 10_500)
    per_millisecond = np.bincount(chunk.t // 1_000)
    assert per_millisecond.max() <= 1_001
    assert per_millisecond[1:10].min() >= 999
    assert limited.dropped == chunk.dropped == len(everything) - len(chunk) > 20_000
    kept = len(chunk) / len(everything)
    for half in (chunk.x < 40, chunk.y < 30):
        assert half.mean() == pytest.approx(0.5, abs=0.03)
    assert kept == pytest.approx(1e6 * 10.5e-3 / len(everything), rel=0.01)
    assert set(zip(chunk.t, chunk.x, chunk.y)) <= set(
        zip(everything.t, everything.x, everything.y)
    )


def test_quiet_milliseconds_lose_nothing() -> None:
    camera, picture = make_camera(max_rate=1e6)
    assert len(camera.advance(brighter(picture, 2.0), 10_000)) >= 6 * picture.size
    assert camera.dropped == 0


def test_a_flash_makes_room_for_all_its_events() -> None:
    camera, picture = make_camera(40, 50)
    chunk = camera.advance(brighter(picture, 12.0), 1_000)
    assert len(chunk) == pytest.approx(47.5 * picture.size, rel=0.01)


def test_noise_makes_room_for_all_its_events() -> None:
    camera, picture = make_camera(2, 2, noise_hz=1_000.0)
    chunks = [camera.advance(picture, 1_000_000 * step) for step in range(1, 5)]
    assert len({len(chunk) for chunk in chunks}) > 1
    rates = [len(chunk) / 4 for chunk in chunks]
    assert np.std(rates) < 0.1 * np.mean(rates)


def test_an_event_belongs_to_the_owner_of_its_pixel_now_or_else_just_before() -> None:
    camera, picture = make_camera()
    owners = np.zeros(picture.shape, np.uint8)
    owners[:, 2:5] = 7
    camera.advance(picture, 1_000, owners)
    owners[:] = 0
    owners[:, 4:6] = 9
    chunk = camera.advance(brighter(picture, 1.0), 2_000, owners)
    columns = np.bincount(chunk.x, minlength=10)
    counts = camera.take_owner_events()
    assert counts.dtype == np.int64
    assert counts[7] == columns[2:4].sum() > 0
    assert counts[9] == columns[4:6].sum()
    assert counts.sum() == len(chunk)
    assert camera.take_owner_events().sum() == 0
    camera.advance(picture, 3_000)
    assert camera.take_owner_events()[9] > 0  # 9 owned pixels just before
    camera.advance(brighter(picture, 1.0), 4_000)
    assert camera.take_owner_events()[1:].sum() == 0


def test_only_what_the_scene_causes_and_the_limit_lets_pass_counts_for_an_owner() -> None:
    camera, picture = make_camera(60, 80, noise_hz=50.0, hot_pixels=0.05, max_rate=5e5)
    owners = np.full(picture.shape, 3, np.uint8)
    still = camera.advance(picture, 20_000, owners)
    assert len(still) > 1_000
    assert camera.take_owner_events().sum() == 0
    chunk = camera.advance(brighter(picture, 2.0), 40_000, owners)
    assert 0.8 * len(chunk) < camera.take_owner_events()[3] < len(chunk)


def test_large_sensors_fit() -> None:
    camera, picture = make_camera(720, 1280, noise_hz=0.1)
    chunk = camera.advance(brighter(picture, 0.3), 5_000)
    assert (chunk.x.max(), chunk.y.max()) == (1279, 719)


def test_sampled_settings_are_valid_and_night_is_noisier() -> None:
    rng = np.random.default_rng(0)
    drawn = [CameraSettings.sample(rng) for _ in range(800)]
    for settings in drawn:
        assert 0.1 < settings.threshold_on < 0.51
        assert 0.1 < settings.threshold_off < 0.51
        assert 0.001 <= settings.noise_hz <= 10.0
        assert 0.0 <= settings.noise_dark <= 1.0
    # A quarter of the sensors above 1 Hz, a tenth above 4 Hz
    noise = np.array([settings.noise_hz for settings in drawn])
    assert (noise > 1).mean() == pytest.approx(0.25, abs=0.04)
    assert (noise > 4).mean() == pytest.approx(0.1, abs=0.03)
    assert {settings.lost_rows for settings in drawn} == {0, 1}
    for field in fields(CameraSettings):
        if field.name != 'lost_rows':
            assert len({getattr(settings, field.name) for settings in drawn}) > 50
    day, night = (
        [CameraSettings.sample(np.random.default_rng(seed), night) for seed in range(50)]
        for night in (False, True)
    )
    for light, dark in zip(day, night, strict=True):
        assert light.noise_hz < dark.noise_hz
        assert light.threshold_on == dark.threshold_on
        assert light.bandwidth_hz > dark.bandwidth_hz
    assert day[0] == CameraSettings.sample(np.random.default_rng(0), night=False)


@pytest.mark.parametrize(
    ('name', 'value'),
    [('threshold_on', 0.0), ('mismatch', -0.1), ('noise_hz', float('nan')), ('noise_on', 1.5)],
)
def test_impossible_settings_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f'{name} is {value}; it must lie between'):
        CameraSettings(**{name: value})


def test_what_the_camera_cannot_use_is_refused() -> None:
    with pytest.raises(ValueError, match='no sensor has 0x4 pixels'):
        EventCamera(4, 0, CameraSettings(), 0)
    with pytest.raises(RuntimeError, match=r'before start\(\)'):
        EventCamera(4, 4, CameraSettings(), 0).advance(np.zeros((4, 4), np.float32), 1)
    camera, picture = make_camera()
    for late in (0, -5, 1_000_001):
        with pytest.raises(ValueError, match='give pictures 1 to 1000000 us apart'):
            camera.advance(picture, late)
    with pytest.raises(ValueError, match=r'float64\[8, 10\]; give float32\[8, 10\]'):
        camera.advance(picture.astype(np.float64), 1_000)
    with pytest.raises(ValueError, match=r'uint8\[4, 10\]; give uint8\[8, 10\]'):
        camera.advance(picture, 1_000, np.zeros((4, 10), np.uint8))
    assert len(camera.advance(picture, 1_000)) == 0
