# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Events that are made from a video.

Converters of videos (v2e: Hu, Liu, Delbruck 2021; ESIM: Rebecq et al. 2018) interpolate between
frames. A moving edge is then not at one place at a time: what it covers and what it uncovers
between two frames changes all the while. A network that has only seen continuous motion takes the
place that an object has left for a part of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: Returns luminance ``float32[H, W]`` and owners ``uint8[H, W]`` at a time in seconds.
Picture = Callable[[float], tuple[np.ndarray, np.ndarray]]

#: Share of sequences that are made from a video, and its frames per second with their shares.
_VIDEO_SHARE = 0.15
_RATES = {25.0: 0.4, 30.0: 0.35, 50.0: 0.1, 60.0: 0.15}
#: Half an exposure, as share of the time between frames, that leaves no trace.
_SHARP = 0.05
#: Added to luminance before its logarithm.
_DARK = 1e-4


@dataclass(frozen=True)
class Video:
    """
    A video camera.

    Attributes
    ----------
    rate_hz : float
        Frames per second.
    exposure : float
        Share of the time between two frames in which a frame is exposed.

    """

    rate_hz: float
    exposure: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Video | None:
        """Draw one, or None for events of a sensor; always the same number of values."""
        chosen, exposure = rng.random(2)
        rate = float(rng.choice(list(_RATES), p=list(_RATES.values())))
        return cls(rate, 0.7 * float(exposure)) if chosen < _VIDEO_SHARE else None


class VideoFrames:
    """
    Pictures in between the frames of a video: their logarithms change in a straight line.

    Parameters
    ----------
    picture : Picture
        The scene.
    video : Video
        How it is filmed. A frame shows the mean of its exposure, which is in the middle of it at
        the time of the frame.

    """

    def __init__(self, picture: Picture, video: Video) -> None:
        self._picture, self._video = picture, video
        self._index = -2  # of the frame before
        self._frames: list[tuple[np.ndarray, np.ndarray]] = []

    def __call__(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """Return luminance and owners at a time; those of the frame that follows."""
        place = seconds * self._video.rate_hz
        index = int(np.floor(place))
        if index != self._index:
            kept = self._frames[1:] if index == self._index + 1 else [self._frame(index)]
            self._frames, self._index = [*kept, self._frame(index + 1)], index
        (before, _), (after, owners) = self._frames
        share = np.float32(place - index)
        return np.exp(before + share * (after - before)) - np.float32(_DARK), owners

    def _frame(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the logarithm of a frame, and the owners at its time."""
        half = 0.5 * self._video.exposure
        # The middle comes last: the owners, and what the scene tells about its last picture
        offsets = (-half, half, 0.0) if half > _SHARP else (0.0,)
        total = np.float32(_DARK)
        for offset in offsets:
            luminance, owners = self._picture(max(0.0, (index + offset) / self._video.rate_hz))
            total = total + luminance / np.float32(len(offsets))
        return np.log(total), owners.copy()
