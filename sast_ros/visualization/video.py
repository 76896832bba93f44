# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Write pictures into an MP4 that any browser plays, or into a GIF."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from sast_ros.detections import Detections, TokenMap
from sast_ros.errors import SastError
from sast_ros.output import create_file
from sast_ros.tracking import Trails
from sast_ros.visualization.overlay import (
    DEFAULT_STYLE,
    draw_overlay,
    LABELS_NOTE,
    OverlayStyle,
    UNTRAINED_NOTE,
)
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

    It is written as ``NAME.partial.mp4`` and renamed at the end. As a context manager it removes
    that file after an exception.

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
        self._width, self._height = self._fit(width), self._fit(height)
        self._pictures = 0
        self._av = av
        with contextlib.ExitStack() as stack:
            try:
                # FFmpeg opens it with the first picture only
                create_file(self.partial_path).close()
                stack.callback(self.partial_path.unlink, missing_ok=True)
                self._container: Any = av.open(
                    str(self.partial_path), 'w', options=self._options(fps)
                )
            except (OSError, self._av.error.FFmpegError) as error:
                raise VideoError(
                    f'the video {self.partial_path} cannot be opened: {error.strerror}'
                ) from error
            self._stream: Any = self._open_stream(fps)
            stack.pop_all()

    @staticmethod
    def _options(fps: float) -> dict[str, str]:
        # With the index at the front a browser starts before the download is complete
        return {'movflags': '+faststart'}

    @staticmethod
    def _fit(side: int) -> int:
        return side - side % 2

    def _open_stream(self, fps: float) -> Any:
        codec = video_encoder()
        stream = self._container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height = self._width, self._height
        stream.pix_fmt = 'yuv420p'
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1  # ITU-R BT.709
        context.color_range = 1  # limited, as players expect
        if codec == 'libx264':
            # Without mbtree, whose arithmetic is not deterministic
            stream.options = {'preset': 'veryfast', 'crf': '20', 'x264-params': 'mbtree=0'}
        else:
            stream.bit_rate = max(1_000_000, self._width * self._height * 8)
        return stream

    def write(self, picture: np.ndarray) -> None:
        """Append a picture, ``uint8[height, width, 3]`` RGB."""
        cut = np.ascontiguousarray(picture[: self._height, : self._width])
        if cut.shape != (self._height, self._width, 3) or cut.dtype != np.uint8:
            raise VideoError(
                f'a picture of shape {picture.shape} and type {picture.dtype} does not fit the '
                f'video {self.path}, which takes uint8 [{self._height}, {self._width}, 3]'
            )
        self._mux(self._frame(cut))
        self._pictures += 1

    def _frame(self, picture: np.ndarray) -> Any:
        frame = self._av.VideoFrame.from_ndarray(picture, format='rgb24')
        frame = frame.reformat(format='yuv420p', dst_colorspace='ITU709', dst_color_range='MPEG')
        frame.pts = self._pictures
        frame.time_base = 1 / self._stream.codec_context.framerate
        return frame

    def close(self) -> None:
        """Flush the encoder and rename the file."""
        if self._container is None:
            return
        self._mux(None)
        self._close_container()
        self.partial_path.replace(self.path)

    def _close_container(self) -> None:
        if self._container is None:
            return
        container, self._container = self._container, None
        with self._named_errors():
            container.close()

    def _mux(self, frame: object | None) -> None:
        with self._named_errors():
            self._container.mux(self._stream.encode(frame))

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, self._av.error.FFmpegError) as error:
            raise VideoError(
                f'the video {self.partial_path} cannot be written: {error}'
            ) from error

    def __enter__(self) -> OverlayVideo:
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            if exception[0] is None:
                self.close()
        finally:
            # Without flushing: after a header that could not be written FFmpeg would crash
            with contextlib.suppress(VideoError):  # the first exception is reported
                self._close_container()
            self.partial_path.unlink(missing_ok=True)  # unless it was renamed


class OverlayGif(OverlayVideo):
    """
    The same as a GIF that repeats; each picture has its own 256 colours.

    Its times are hundredths of a second; of several pictures in one it has the first.
    """

    @staticmethod
    def _options(fps: float) -> dict[str, str]:
        return {'loop': '0', 'final_delay': str(max(1, round(100 / fps)))}

    @staticmethod
    def _fit(side: int) -> int:
        return side

    def _open_stream(self, fps: float) -> Any:
        self._fps = fps
        stream = self._container.add_stream('gif', rate=100)
        stream.width, stream.height, stream.pix_fmt = self._width, self._height, 'pal8'
        return stream

    def write(self, picture: np.ndarray) -> None:
        """Append a picture as in a video, unless its hundredth of a second has one."""
        if self._pictures and self._time(self._pictures) == self._time(self._pictures - 1):
            self._pictures += 1
        else:
            super().write(picture)

    def _time(self, number: int) -> int:
        """Return when a picture is shown, in hundredths of a second."""
        return round(100 * number / self._fps)

    def _frame(self, picture: np.ndarray) -> Any:
        from PIL import Image

        # Without dithering, so that what does not change costs nothing
        small = Image.fromarray(picture).quantize(
            255, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
        )
        palette = np.full((256, 4), 255, np.uint8)  # alpha, red, green, blue
        colours = np.array(small.getpalette('RGB'), np.uint8).reshape(-1, 3)
        palette[: len(colours), 1:] = colours
        frame = self._av.VideoFrame.from_ndarray((np.asarray(small), palette), format='pal8')
        frame.pts = self._time(self._pictures)
        frame.time_base = Fraction(1, 100)
        return frame


def gif_scale(height: int, width: int) -> int:
    """Return the side of a sensor pixel in a GIF: 304x240 pixels become 608x480."""
    return max(1, min(480 // height, 640 // width))


@dataclass(frozen=True)
class Replayed:
    """
    What is drawn of a replay.

    Attributes
    ----------
    stride_ms : float
        Time from one window to the next.
    trained : bool
        Whether the weights are trained; if not, every picture has a note.
    speed : float
        Of the video: 1 for real time, 0.25 for a quarter of it.
    style : OverlayStyle
        Layers and colours.

    """

    stride_ms: float
    trained: bool
    speed: float = 1.0
    style: OverlayStyle = DEFAULT_STYLE


@contextlib.contextmanager
def replay_video(path: str | Path, replayed: Replayed) -> Iterator[Callable[..., None]]:
    """
    Yield a function that draws a window with detections into a video.

    It takes the window, its detections and, optionally, labels and the tokens that stage 1
    attends to. The file is created with the first window, when the size of the sensor is known;
    without windows there is no file. Where the size changes, later pictures have a place in the
    first one, or lose what is beyond it.

    Parameters
    ----------
    path : path-like
        The file to write, ending in ``.mp4`` or ``.gif``; its folder must exist.
    replayed : Replayed
        What is drawn.

    Raises
    ------
    VideoError
        See ``OverlayVideo``.

    """
    gif = Path(path).suffix == '.gif'
    kind, scale_of = (OverlayGif, gif_scale) if gif else (OverlayVideo, video_scale)
    video: OverlayVideo | None = None
    frame = np.zeros((0, 0, 3), np.uint8)
    trails = Trails()
    with contextlib.ExitStack() as stack:

        def draw(
            window: EventWindow,
            detections: Detections,
            labels: np.ndarray | None = None,
            tokens: TokenMap | None = None,
        ) -> None:
            nonlocal video, frame
            height, width = detections.height, detections.width
            if video is None:
                scale = scale_of(height, width)
                frame = np.empty((height * scale, width * scale, 3), np.uint8)
                fps = 1000 / replayed.stride_ms * replayed.speed
                video = stack.enter_context(kind(path, width * scale, height * scale, fps))
            scale = max(1, min(frame.shape[0] // height, frame.shape[1] // width))
            note = LABELS_NOTE if labels is not None else ''
            picture = draw_overlay(
                window,
                detections,
                height,
                width,
                scale,
                note if replayed.trained else UNTRAINED_NOTE,
                labels,
                style=replayed.style,
                tokens=tokens,
                trails=trails.update(detections),
            )
            if picture.shape != frame.shape:
                frame[:] = replayed.style.colours.background
                rows, columns = np.minimum(frame.shape, picture.shape)[:2]
                frame[:rows, :columns] = picture[:rows, :columns]
                picture = frame
            video.write(picture)

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
