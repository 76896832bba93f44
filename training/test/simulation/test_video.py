# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Videos: frames at a fixed rate, and what is interpolated between them."""

import numpy as np
import pytest
from sast_ros_training.simulation.sequence import SimulatedSequence
from sast_ros_training.simulation.video import Video, VideoFrames

TIMES = []


def edge(seconds):
    """Return a bright half picture whose border moves one pixel in 10 ms; overwritten later."""
    TIMES.append(seconds)
    columns = np.arange(40)
    luminance = np.where(columns < 100 * seconds, 1.0, 0.1).astype(np.float32)
    return np.tile(luminance, (2, 1)), np.tile((columns < 100 * seconds).astype(np.uint8), (2, 1))


def test_pictures_at_the_times_of_frames_are_those_of_the_scene():
    film = VideoFrames(edge, Video(25.0, 0.0))
    for index in range(5):
        np.testing.assert_allclose(film(index / 25)[0], edge(index / 25)[0], rtol=1e-4)


def test_the_logarithm_changes_in_a_straight_line_between_frames():
    film = VideoFrames(edge, Video(25.0, 0.0))
    logs = np.log([film(0.08 + share * 0.04)[0][0] for share in (0.0, 0.25, 0.5, 0.75)])
    np.testing.assert_allclose(
        np.diff(logs, axis=0), np.tile(logs[1] - logs[0], (3, 1)), atol=2e-3
    )
    changing = np.flatnonzero(np.abs(logs[1] - logs[0]) > 0.1)
    assert changing.tolist() == [8, 9, 10, 11]  # all that the edge passes from frame to frame


def test_each_frame_is_taken_once_and_shows_the_mean_of_its_exposure():
    film = VideoFrames(edge, Video(25.0, 0.5))
    TIMES.clear()
    for seconds in np.linspace(0.08, 0.159, 9):
        luminance, owners = film(seconds)
    assert np.round(TIMES, 3).tolist() == [
        *(0.07, 0.09, 0.08), *(0.11, 0.13, 0.12), *(0.15, 0.17, 0.16)
    ]  # fmt: skip
    TIMES.clear()
    luminance, owners = film(0.16)
    # Two thirds and a third of the exposure were bright where the edge passed
    np.testing.assert_allclose(luminance[0, [14, 15, 16, 17]], [1, 0.7, 0.4, 0.1], rtol=1e-3)
    assert owners[0, [11, 19]].tolist() == [1, 1]  # of the frame that follows


def test_some_sequences_are_videos_and_the_seed_decides():
    drawn = [Video.sample(np.random.default_rng(seed)) for seed in range(400)]
    videos = [video for video in drawn if video]
    assert 0.08 < len(videos) / len(drawn) < 0.25
    assert {video.rate_hz for video in videos} == {25, 30, 50, 60}
    assert all(0 <= video.exposure <= 0.7 for video in videos)


@pytest.mark.parametrize('motion', ['static', 'driving'])
def test_a_sequence_of_a_video_has_events_between_its_frames(motion):
    seed = next(s for s in range(100) if SimulatedSequence(s, 0.3, motion=motion)._video)
    sequence = SimulatedSequence(seed, 0.3, motion=motion)
    assert sequence.describe()['video']['rate_hz'] in (25, 30, 50, 60)
    windows = list(sequence.windows())
    assert len(windows) == 6
    assert all((np.diff(window.chunk.t) >= 0).all() for window in windows)
    assert sum(len(window.chunk) for window in windows) > 100
