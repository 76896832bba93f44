"""
A simple event camera.

Its pixels remember a log intensity and fire when it has changed enough.
"""

from __future__ import annotations

import numpy as np
from sast_ros.events.chunk import EventChunk


class SensorModel:
    """
    Turns a series of log-intensity pictures into events.

    Every pixel holds the level of its last event. While the intensity moves in a straight line
    from one picture to the next, an ON event falls where it has risen by the pixel's ON threshold
    above that level, and an OFF event where it has sunk by the OFF threshold; the level follows in
    the same steps. Thresholds differ from pixel to pixel as those of a real chip do, and a Poisson
    process adds background noise.

    Parameters
    ----------
    picture: ``float32[H, W]`` log intensity at time 0.
    rng: source of thresholds and noise.
    threshold: mean contrast (difference of log intensities) of an event.
    mismatch: standard deviation of the thresholds over the pixels, in the same unit.
    noise_hz: background events per pixel and second.

    """

    def __init__(
        self,
        picture: np.ndarray,
        rng: np.random.Generator,
        threshold: float = 0.2,
        mismatch: float = 0.03,
        noise_hz: float = 1.0,
    ) -> None:
        self._height, self._width = picture.shape
        self._rng = rng
        self._noise_hz = noise_hz
        self._now_us = 0
        self._last = picture.astype(np.float32).ravel()
        thresholds = rng.normal(threshold, mismatch, (2, picture.size)).astype(np.float32)
        self._off, self._on = np.maximum(thresholds, threshold / 4)
        # A sensor that has been watching for a while holds levels anywhere inside the dead zone.
        self._level = self._last + rng.uniform(-1, 1, picture.size).astype(
            np.float32
        ) * np.minimum(self._off, self._on)

    def advance(self, picture: np.ndarray, end_us: int) -> EventChunk:
        """
        Return the events up to ``end_us`` (included).

        At that time the intensities are those of the picture.
        """
        now = picture.astype(np.float32).ravel()
        pixels, shares, polarities = [], [], []
        for polarity, threshold in ((1, self._on), (0, self._off)):
            sign = np.float32(1 if polarity else -1)
            steps = np.floor(sign * (now - self._level) / threshold)
            fired = np.flatnonzero(steps > 0)
            count = steps[fired].astype(np.int64)
            pixel = np.repeat(fired, count)
            nth = np.arange(len(pixel)) - np.repeat(np.cumsum(count) - count, count) + 1
            crossing = self._level[pixel] + sign * threshold[pixel] * nth
            # A level that rounding has put beyond a pixel at rest fires at the end of the step.
            change = now[pixel] - self._last[pixel]
            at_rest = change == 0
            shares.append(
                np.where(at_rest, 1, (crossing - self._last[pixel]) / np.where(at_rest, 1, change))
            )
            pixels.append(pixel)
            polarities.append(np.full(len(pixel), polarity, np.uint8))
            self._level[fired] += sign * threshold[fired] * count
        noise = self._rng.poisson(self._noise_hz * now.size * (end_us - self._now_us) / 1e6)
        pixels.append(self._rng.integers(0, now.size, noise))
        shares.append(self._rng.random(noise))
        polarities.append(self._rng.integers(0, 2, noise, dtype=np.uint8))
        chunk = self._chunk(
            np.concatenate(pixels), np.concatenate(shares), np.concatenate(polarities), end_us
        )
        self._last, self._now_us = now, end_us
        return chunk

    def _chunk(
        self, pixel: np.ndarray, share: np.ndarray, polarity: np.ndarray, end_us: int
    ) -> EventChunk:
        span = end_us - self._now_us
        t = self._now_us + np.clip(np.ceil(share * span), 1, span).astype(np.int64)
        order = np.argsort(t, kind='stable')
        y, x = np.divmod(pixel[order], self._width)
        return EventChunk(
            x.astype(np.uint16),
            y.astype(np.uint16),
            polarity[order],
            t[order],
            width=self._width,
            height=self._height,
        )
