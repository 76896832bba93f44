# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Videos play in browsers, and their pictures are large enough."""

from __future__ import annotations

from pathlib import Path

from facts import facts
import numpy as np
from PIL import Image, ImageSequence
import pytest
from sast_ros.detections import Detections
from sast_ros.visualization import (
    OverlayGif,
    OverlayVideo,
    replay_video,
    Replayed,
    video_scale,
    VideoError,
)
from test_output import full_disk

HEIGHT, WIDTH = 240, 304


@pytest.mark.parametrize(
    ('size', 'scale'), [((240, 304), 3), ((260, 346), 2), ((480, 640), 1), ((720, 1280), 1)]
)
def test_videos_of_small_sensors_are_enlarged(size: tuple[int, int], scale: int) -> None:
    assert video_scale(*size) == scale


def read_video(path: Path) -> tuple[object, list[np.ndarray]]:
    av = pytest.importorskip('av')
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.codec_context, [
            frame.to_ndarray(format='rgb24') for frame in container.decode(stream)
        ]


def test_a_video_holds_every_picture_in_a_form_that_browsers_play(tmp_path: Path) -> None:
    pytest.importorskip('av')
    path = tmp_path / 'overlay.mp4'
    with OverlayVideo(path, WIDTH + 1, HEIGHT + 1, 20) as video:
        for level in (40, 120, 200):
            video.write(np.full((HEIGHT + 1, WIDTH + 1, 3), level, np.uint8))
    context, pictures = read_video(path)
    assert [round(float(picture.mean()), -1) for picture in pictures] == [40, 120, 200]
    assert pictures[0].shape == (HEIGHT, WIDTH, 3)
    assert context.pix_fmt == 'yuv420p'
    assert context.name in ('h264', 'mpeg4')
    content = path.read_bytes()
    assert content.index(b'moov') < content.index(b'mdat')  # plays before it is loaded
    assert [entry.name for entry in tmp_path.iterdir()] == ['overlay.mp4']


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    pytest.importorskip('av')
    path = tmp_path / 'overlay.mp4'
    with (
        pytest.raises(RuntimeError, match='camera fell off'),
        OverlayVideo(path, WIDTH, HEIGHT, 20) as video,
    ):
        video.write(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
        raise RuntimeError('the camera fell off')
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(('kind', 'ending'), [(OverlayVideo, '.mp4'), (OverlayGif, '.gif')])
@pytest.mark.parametrize('size', [0, 1000])
def test_a_full_disk_is_named_and_leaves_no_file(
    tmp_path: Path, kind: type, ending: str, size: int
) -> None:
    pytest.importorskip('av')
    random = np.random.default_rng(0)
    with (
        full_disk(size),
        pytest.raises(VideoError, match='overlay'),
        kind(tmp_path / f'overlay{ending}', WIDTH, HEIGHT, 20) as video,
    ):
        for _ in range(60):
            video.write(random.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_a_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    pytest.importorskip('av')
    with (
        pytest.raises(VideoError, match=facts('(10, 10, 3)')),
        OverlayVideo(tmp_path / 'overlay.mp4', WIDTH, HEIGHT, 20) as video,
    ):
        video.write(np.zeros((10, 10, 3), np.uint8))


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    pytest.importorskip('av')
    with pytest.raises(VideoError, match='nowhere'):
        OverlayVideo(tmp_path / 'nowhere' / 'overlay.mp4', WIDTH, HEIGHT, 20)


@pytest.mark.parametrize(('fps', 'duration'), [(20, 50), (5, 200)])
def test_a_gif_repeats_and_holds_every_picture_for_its_time(
    tmp_path: Path, fps: float, duration: int
) -> None:
    pytest.importorskip('av')
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (200, 3)).astype(np.uint8)
    pictures = [colours[rng.integers(0, 200, (31, 41))] for _ in range(4)]
    path = tmp_path / 'overlay.gif'
    with OverlayGif(path, 41, 31, fps) as gif:
        for picture in pictures:
            gif.write(picture)
    with Image.open(path) as file:
        assert file.info['loop'] == 0 and file.size == (41, 31)
        assert file.n_frames == len(pictures)
        for index, picture in enumerate(pictures):
            file.seek(index)
            assert file.info['duration'] == duration
            shown = np.asarray(file.convert('RGB')).astype(int)
            assert np.abs(shown - picture).mean() < 8
    assert [entry.name for entry in tmp_path.iterdir()] == ['overlay.gif']


def test_a_gif_has_one_picture_in_a_hundredth_of_a_second(tmp_path: Path) -> None:
    pytest.importorskip('av')
    path = tmp_path / 'overlay.gif'
    with OverlayGif(path, 16, 16, 400.0) as gif:
        for value in range(0, 240, 10):
            gif.write(np.full((16, 16, 3), value, np.uint8))
    with Image.open(path) as file:
        assert file.n_frames == 7  # of 60 ms, from 0 to 6 hundredths
        assert {frame.info['duration'] for frame in ImageSequence.Iterator(file)} == {10}


def test_what_ffmpeg_refuses_is_one_sentence(tmp_path: Path) -> None:
    av = pytest.importorskip('av')
    video = OverlayVideo(tmp_path / 'x.mp4', 64, 64, 20.0)
    with pytest.raises(VideoError, match='cannot be written'), video._named_errors():
        raise av.error.ArgumentError(22, 'Invalid argument')


def detected(width: int, height: int) -> Detections:
    one = np.array([0.9], np.float32)
    return Detections(
        boxes=np.array([[5, 5, 30, 30]], np.float32),
        scores=one,
        objectness=one,
        class_scores=one,
        class_ids=np.zeros(1, np.int64),
        class_names=('car',),
        width=width,
        height=height,
    )


def test_a_video_may_be_slowed(tmp_path: Path) -> None:
    av = pytest.importorskip('av')
    found = detected(WIDTH, HEIGHT)
    rates = []
    for speed in (1, 0.25):
        path = tmp_path / f'{speed}.mp4'
        with replay_video(path, Replayed(50, True, speed)) as draw:
            for _ in range(3):
                draw([], found)
        with av.open(str(path)) as container:
            rates.append(float(container.streams.video[0].average_rate))
    assert rates == [20, 5]


@pytest.mark.parametrize('name', ['overlay.mp4', 'overlay.gif'])
def test_a_video_keeps_its_size_where_that_of_the_sensor_changes(
    tmp_path: Path, name: str
) -> None:
    pytest.importorskip('av')
    sizes = [(WIDTH, HEIGHT), (64, 48), (1280, 720), (WIDTH, HEIGHT)]
    with replay_video(tmp_path / name, Replayed(50, True)) as draw:
        for size in sizes:
            draw([], detected(*size))
    _, pictures = read_video(tmp_path / name)
    assert len(pictures) == len(sizes)
    first, small, large, last = (picture.astype(int) for picture in pictures)
    assert np.abs(first - last).mean() < 1
    assert np.abs(first - small).max() > 100 and np.abs(first - large).max() > 100
