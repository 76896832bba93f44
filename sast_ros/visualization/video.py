# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Write pictures into an MP4 that any browser plays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from sast_ros.detections import Detections
from sast_ros.errors import SastError
from sast_ros.output import create_file
from sast_ros.visualization.overlay import draw_overlay, LABELS_NOTE, UNTRAINED_NOTE
from sast_ros.windows import EventWindow


class VideoError(SastError, RuntimeError):
    """A video that cannot be written: no PyAV, no encoder, or the disk is full."""


def video_scale(height: int, width: int) -> int:
    """
    Return the side of a sensor pixel in a video, so that small sensors are enlarged.

    304x240 pixels become 912x720, 346x260 becomes 692x520, sensors from 640x480 on keep their
    size.
    """
    return max(1, min(720 // height, 1280 // width))


class OverlayVideo:
    """
    An MP4 file that grows by one picture at a time; memory does not grow with its length.

    It is written as ``NAME.partial.mp4`` and renamed at the end. As a context manager, an
    exception leaves the playable part under the partial name.

    Parameters
    ----------
    path : path-like
        The file to write, ending in ``.mp4``; its folder must exist.
    width, height : int
        Size of the pictures in pixels. An odd side loses its last column or row, which H.264
        cannot encode.
    fps : float
        Pictures per second of the video.

    Raises
    ------
    VideoError
        The encoder or the file cannot be opened, or a picture cannot be written.

    """

    def __init__(self, path: str | Path, width: int, height: int, fps: float) -> None:
        try:
            import av
        except ImportError as error:
            raise VideoError(
                f'a video needs PyAV ({error}); install it with "pip install av"'
            ) from error
        self.path = Path(path)
        self.partial_path = self.path.with_name(f'{self.path.stem}.partial{self.path.suffix}')
        self.codec = video_encoder()
        self._width, self._height = width - width % 2, height - height % 2
        self._pictures = 0
        self._av = av
        try:
            create_file(self.partial_path).close()  # FFmpeg opens it with the first picture only
            # With the index at the front a browser starts before the download is complete.
            self._container: Any = av.open(
                str(self.partial_path), 'w', options={'movflags': '+faststart'}
            )
        except OSError as error:
            raise VideoError(
                f'the video {self.partial_path} cannot be opened: {error.strerror}'
            ) from error
        rate = Fraction(fps).limit_denominator(1000)
        self._stream: Any
        self._stream = self._container.add_stream(self.codec, rate=rate)
        self._stream.width, self._stream.height = self._width, self._height
        self._stream.pix_fmt = 'yuv420p'
        context = self._stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1  # ITU-R BT.709
        context.color_range = 1  # limited, as players expect
        if self.codec == 'libx264':
            # Without mbtree, whose arithmetic is not deterministic
            options = {'preset': 'veryfast', 'crf': '20', 'x264-params': 'mbtree=0'}
            self._stream.options = options
        else:
            self._stream.bit_rate = max(1_000_000, self._width * self._height * 8)

    def write(self, picture: np.ndarray) -> None:
        """Append a picture, ``uint8[height, width, 3]`` RGB."""
        cut = np.ascontiguousarray(picture[: self._height, : self._width])
        if cut.shape != (self._height, self._width, 3) or cut.dtype != np.uint8:
            raise VideoError(
                f'a picture of shape {picture.shape} and type {picture.dtype} does not fit the '
                f'video {self.path}, which takes uint8 [{self._height}, {self._width}, 3]'
            )
        frame = self._av.VideoFrame.from_ndarray(cut, format='rgb24')
        frame = frame.reformat(format='yuv420p', dst_colorspace='ITU709', dst_color_range='MPEG')
        frame.pts = self._pictures
        frame.time_base = 1 / self._stream.codec_context.framerate
        self._pictures += 1
        self._mux(frame)

    def close(self) -> None:
        """Flush the encoder and rename the file."""
        if self._finish():
            self.partial_path.replace(self.path)

    def _finish(self) -> bool:
        if self._container is None:
            return False
        try:
            self._mux(None)
        finally:
            container, self._container = self._container, None
            with self._named_errors():
                container.close()
        return True

    def _mux(self, frame: object | None) -> None:
        with self._named_errors():
            self._container.mux(self._stream.encode(frame))

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise VideoError(
                f'the video {self.partial_path} cannot be written: {error}'
            ) from error

    def __enter__(self) -> OverlayVideo:
        return self

    def __exit__(self, *exception: object) -> None:
        if exception[0] is None:
            self.close()
            return
        with contextlib.suppress(VideoError):  # the first exception is reported
            self._finish()


@contextlib.contextmanager
def replay_video(
    path: str | Path, stride_ms: float, trained: bool
) -> Iterator[Callable[..., None]]:
    """
    Yield a function that draws a window with detections and, optionally, labels into a video.

    The file is created with the first window, when the size of the sensor is known; without
    windows there is no file.

    Parameters
    ----------
    path : path-like
        The file to write, ending in ``.mp4``; its folder must exist.
    stride_ms : float
        Time from one window to the next; the video runs in real time.
    trained : bool
        Whether the weights are trained; if not, every frame has a note.

    Raises
    ------
    VideoError
        See ``OverlayVideo``.

    """
    video: OverlayVideo | None = None
    with contextlib.ExitStack() as stack:

        def draw(
            window: EventWindow, detections: Detections, labels: np.ndarray | None = None
        ) -> None:
            nonlocal video
            height, width = detections.height, detections.width
            scale = video_scale(height, width)
            if video is None:
                video = stack.enter_context(
                    OverlayVideo(path, width * scale, height * scale, 1000 / stride_ms)
                )
            note = UNTRAINED_NOTE if not trained else LABELS_NOTE if labels is not None else ''
            video.write(draw_overlay(window, detections, height, width, scale, note, labels))

        yield draw


def video_encoder() -> str:
    """Return the best encoder of PyAV: H.264 for browsers, else MPEG-4 for desktop players."""
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    for name in ('libx264', 'mpeg4'):
        try:
            Codec(name, 'w')
        except UnknownCodecError:
            continue
        return name
    raise VideoError(
        'PyAV was built without an H.264 or MPEG-4 encoder; install the wheel with "pip install '
        'av"'
    )
