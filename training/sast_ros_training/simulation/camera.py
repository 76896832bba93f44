# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
An event camera.

It turns pictures of linear luminance into the events that a sensor would send. The model is the
usual one of event pixels (Lichtsteiner, Posch, Delbruck 2008; its noise as described by Hu, Liu,
Delbruck 2021): logarithmic photoreceptor with limited bandwidth, comparators with thresholds of
their own, reset, leak, shot noise, hot pixels, and a bus that carries only so much.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
import math

import numpy as np
from sast_ros.events.chunk import EventChunk, MAX_SENSOR_SIDE
from sast_ros.kernels import pointer
from sast_ros_training.kernels import library
from sast_ros_training.simulation.draws import log_uniform

#: Maximum step between two pictures in microseconds.
MAX_STEP_US = 1_000_000

#: Maximum events of a pixel in one step; the kernel needs room for them for a row of pixels.
_MAX_PER_PIXEL = 64

#: Standard deviation over the pixels of the logarithm of their shot noise rate.
_NOISE_SPREAD = 0.8

#: How many times noisier than the mean a dark pixel can be.
_MAX_NOISE_RATIO = 8.0

#: Limits of the noise that ``CameraSettings.sample`` draws.
_MIN_NOISE_HZ, _MAX_NOISE_HZ = 1e-3, 10.0


def _setting(default: float, low: float = 0.0, high: float = 1e9) -> float:
    """Declare a field of ``CameraSettings`` and the values it may have."""
    return field(default=default, metadata={'range': (low, high)})


@dataclass(frozen=True)
class CameraSettings:
    """
    A sensor and how its biases are set.

    Raises
    ------
    ValueError
        When a value is outside the possible.

    """

    #: Share of a pixel's light that the lens leaves in its row, and in its column; the rest goes
    #: to the neighbours. 1 is perfectly sharp.
    focus: float = _setting(1.0, 0.34, 1.0)
    #: Mean contrast (difference of natural logarithms) of an event.
    threshold_on: float = _setting(0.25, 0.05, 10.0)
    threshold_off: float = _setting(0.25, 0.05, 10.0)
    #: Standard deviation of a pixel's thresholds, relative to their mean.
    mismatch: float = _setting(0.03, 0.0, 0.3)
    #: Cutoff of the photoreceptor at luminance 1; it falls in proportion to luminance.
    bandwidth_hz: float = _setting(1000.0)
    #: Minimum cutoff.
    dark_bandwidth_hz: float = _setting(30.0, 0.1)
    #: What dark current and stray light add to every luminance; contrasts fade below.
    dark_luminance: float = _setting(1e-3, 1e-9, 1e3)
    #: Time that a pixel is held in reset after an event; it then starts from the intensity of
    #: that moment.
    refractory_us: float = _setting(200.0)
    #: Shot noise, events per second of a pixel in the mean; the rates of the pixels are
    #: distributed log-normally.
    noise_hz: float = _setting(0.01)
    #: Share of ON events in it.
    noise_on: float = _setting(0.5, 0.0, 1.0)
    #: How much noisier dark places are: the rate goes with intensity to the power of minus this,
    #: up to 8 times the mean; 0 = everywhere the same. The mean holds for the first picture. Hot
    #: pixels follow as well.
    noise_dark: float = _setting(0.0, 0.0, 4.0)
    #: ON events per second of a pixel that sees nothing change.
    leak_hz: float = _setting(0.0)
    #: Share of pixels that fire all the time, half of them ON, half OFF.
    hot_pixels: float = _setting(0.0, 0.0, 1.0)
    #: Events per second of a hot pixel in the mean; exponential over the hot pixels.
    hot_hz: float = _setting(50.0)
    #: Share of rows, and of columns, all of whose pixels are hot.
    hot_lines: float = _setting(0.0, 0.0, 1.0)
    #: Events per second of a pixel of a hot line in the mean; exponential over the lines.
    hot_line_hz: float = _setting(20.0)
    #: Events per second that the sensor can send; 0 = no limit.
    max_rate: float = _setting(0.0, 0.0, 1e12)
    #: Whether what is above the limit is lost in whole rows (read-out row by row, 1) or anywhere
    #: (0).
    lost_rows: int = field(default=0, metadata={'range': (0, 1)})
    #: Microseconds for which every pixel is held after a step in which they have fired more than
    #: once in the mean: a flash, a knock.
    recovery_us: float = _setting(0.0, 0.0, 1e6)

    def __post_init__(self) -> None:
        for each in fields(self):
            (low, high), value = each.metadata['range'], getattr(self, each.name)
            if not low <= value <= high:
                raise ValueError(
                    f'CameraSettings: {each.name} is {value}; it must lie between {low:g} and '
                    f'{high:g}'
                )

    @classmethod
    def sample(cls, rng: np.random.Generator, night: bool | None = None) -> CameraSettings:
        """
        Draw a realistic sensor, biased for the light.

        Thresholds 0.1 to 0.5 with up to 60 % between ON and OFF, 2 to 6 % mismatch; 0.15 to 8 ms
        refractory; dark current and stray light of 0.003 to 0.05 by day, a tenth of it by night.
        A third of the sensors is limited to 2 to 20 million events per second, half of these lose
        whole rows; half have a leak of 0.003 to 0.3 Hz. One pixel in 500 000 to 1000 is hot (5 to
        200 Hz), in one sensor of eight also some rows and columns. A quarter is silent for 2 to
        50 ms after a flash.

        Noise is 0.001 to 10 Hz a pixel, above 1 Hz in a quarter of the sensors and above 4 Hz in
        a tenth, 10 to 90 % of it ON; more by night. The bandwidth at luminance 1 is 300 to 3000
        Hz by day and a fifth of it by night. Three lenses in four are not quite sharp, and three
        sensors in four noisier in the dark, by a power of up to 1.

        Parameters
        ----------
        rng : numpy.random.Generator
            All is drawn from it, always the same number of values.
        night : bool or None
            Which of the two; ``None`` draws night once in five.

        """
        dark = bool(rng.random() < 0.2)
        dark = dark if night is None else night
        mean, lean = rng.uniform(0.13, 0.4), math.sqrt(log_uniform(rng, 0.6, 1.6))
        limited, leaking = rng.random() < 1 / 3, rng.random() < 0.5
        limit, leak = log_uniform(rng, 2e6, 2e7), log_uniform(rng, 0.003, 0.3)
        slope, noise = rng.uniform(-1 / 3, 1.0), rng.random()
        noise = 0.5 + 0.5 * noise if dark else noise**1.385
        lines, recovers = rng.random() < 1 / 8, rng.random() < 0.25
        line_share, recovery = log_uniform(rng, 2e-3, 1.5e-2), log_uniform(rng, 2e3, 5e4)
        return cls(
            focus=min(rng.uniform(0.45, 1.15), 1.0),
            threshold_on=mean * lean,
            threshold_off=mean / lean,
            mismatch=rng.uniform(0.02, 0.06),
            bandwidth_hz=log_uniform(rng, 300, 3000) * (0.2 if dark else 1.0),
            dark_bandwidth_hz=log_uniform(rng, 20, 100),
            dark_luminance=log_uniform(rng, 3e-3, 5e-2) * (0.1 if dark else 1.0),
            refractory_us=log_uniform(rng, 150, 8000),
            noise_hz=_MIN_NOISE_HZ * (_MAX_NOISE_HZ / _MIN_NOISE_HZ) ** noise,
            noise_on=rng.uniform(0.1, 0.9),
            noise_dark=max(slope, 0.0),
            leak_hz=leak if leaking else 0.0,
            hot_pixels=log_uniform(rng, 2e-6, 1e-3),
            hot_hz=log_uniform(rng, 5, 200),
            hot_lines=line_share if lines else 0.0,
            hot_line_hz=log_uniform(rng, 2, 60),
            max_rate=limit if limited else 0.0,
            lost_rows=int(rng.random() < 0.5),
            recovery_us=recovery if recovers else 0.0,
        )


class EventCamera:
    """
    Pixels that watch a luminance and fire when its logarithm has changed enough.

    Between two pictures the filtered log intensity of a pixel moves in a straight line, so one
    pixel can fire several times per step, and at any microsecond.

    Parameters
    ----------
    height, width : int
        Sensor size in pixels.
    settings : CameraSettings
        The sensor.
    seed : int
        Chooses thresholds, rates and noise; the same pictures give the same events.

    Attributes
    ----------
    dropped : int
        Events that the rate limit has cost since the start.

    Raises
    ------
    ValueError
        When no sensor has the size, a picture has another size or type, or time does not go on,
        or goes on by more than a second at once.
    RuntimeError
        When ``advance`` is called before ``start``.

    """

    def __init__(self, height: int, width: int, settings: CameraSettings, seed: int) -> None:
        if not (0 < height <= MAX_SENSOR_SIDE and 0 < width <= MAX_SENSOR_SIDE):
            raise ValueError(
                f'EventCamera: no sensor has {width}x{height} pixels; each side is 1 to '
                f'{MAX_SENSOR_SIDE}'
            )
        self.height, self.width = height, width
        self.settings = settings
        self.dropped = 0
        pixels = height * width
        rng = np.random.default_rng(seed)
        spread = np.maximum(1 + settings.mismatch * rng.standard_normal((2, pixels)), 0.3)
        self._on = (settings.threshold_on * spread[0]).astype(np.float32)
        self._off = (settings.threshold_off * spread[1]).astype(np.float32)
        self._start_place = rng.random(pixels, np.float32)
        self._set_up_noise(rng)
        self._random = rng.integers(0, 2**64, 1, np.uint64)
        self._photoreceptor = np.empty(pixels, np.float32)
        self._level = np.empty(pixels, np.float32)
        self._hold = np.empty(pixels, np.float32)
        self._owners_now = np.zeros(pixels, np.uint8)
        self._owners_before = np.zeros(pixels, np.uint8)
        self._by_owner = np.zeros(256, np.int64)
        self._count = np.zeros(1, np.int64)
        self._events = np.empty(2 * _MAX_PER_PIXEL * width + pixels // 4, np.uint64)
        self._table = np.empty(0, np.int32)
        self._row_counts = np.zeros(height * settings.lost_rows, np.int64)
        self._now_us: int | None = None
        self._noise_scale = 1.0
        self._sharp = settings.focus == 1
        self._picture = np.empty((height, width), np.float32)
        self._rows = np.empty(3 * width, np.float32)

    def _set_up_noise(self, rng: np.random.Generator) -> None:
        """Rates of the pixels as tables to draw them from, and the time of the first event."""
        settings, pixels = self.settings, self.height * self.width
        rates = settings.noise_hz * np.exp(
            _NOISE_SPREAD * rng.standard_normal(pixels) - _NOISE_SPREAD**2 / 2
        )
        hot = rng.random(pixels) < settings.hot_pixels
        rates[hot] += settings.hot_hz * rng.standard_exponential(np.count_nonzero(hot))
        self._on_share = np.full(pixels, round(settings.noise_on * 255), np.uint8)
        self._on_share[hot] = rng.integers(0, 2, np.count_nonzero(hot)) * 255
        if settings.hot_lines > 0:
            self._add_hot_lines(rng, rates)
        total = float(rates.sum())
        if settings.noise_dark > 0:  # candidates, of which the kernel takes one in eight
            total *= _MAX_NOISE_RATIO
        self._interval_us = 1e6 / total if total > 0 else math.inf
        self._next = np.array([self._interval_us * rng.standard_exponential()])
        self._share, self._other = np.empty(pixels, np.float32), np.empty(pixels, np.int32)
        scaled = rates / rates.mean() if total > 0 else rates
        order = np.empty(pixels, np.int32)
        library.sast_camera_noise_tables(scaled, pixels, self._share, self._other, order)

    def _add_hot_lines(self, rng: np.random.Generator, rates: np.ndarray) -> None:
        """Give hot rows and columns their rates, and each an ON share of its own."""
        settings, shape = self.settings, (self.height, self.width)
        rate, on = rates.reshape(shape), self._on_share.reshape(shape)
        for lines, on_lines in ((rate, on), (rate.T, on.T)):
            hot = np.flatnonzero(rng.random(len(lines)) < settings.hot_lines)
            lines[hot] += settings.hot_line_hz * rng.standard_exponential((len(hot), 1))
            on_lines[hot] = rng.choice((0, 64, 128, 192, 255), (len(hot), 1))

    def start(self, luminance: np.ndarray, t_us: int) -> None:
        """
        Look at a picture ``float32[height, width]`` (1.0 = white in daylight) until ``t_us``.

        Nothing has moved for long: photoreceptors have settled, and the level of a pixel lies
        anywhere in its dead zone.
        """
        picture = self._seen(luminance)
        library.sast_camera_log(
            picture, picture.size, self.settings.dark_luminance, self._photoreceptor
        )
        mean = library.sast_camera_noisiness(
            self._photoreceptor, self._photoreceptor.size, self.settings.noise_dark
        )
        self._noise_scale = 1 / (_MAX_NOISE_RATIO * mean)
        # A leak lowers every level, and only the ON event that it ends in raises it again.
        dead = self._on if self.settings.leak_hz > 0 else self._on + self._off
        self._level[:] = self._photoreceptor - self._on + self._start_place * dead
        self._hold.fill(0)
        self._owners_now.fill(0)
        self._now_us = int(t_us)

    def advance(
        self, luminance: np.ndarray, t_us: int, owners: np.ndarray | None = None
    ) -> EventChunk:
        """
        Return the events after the last picture up to and including ``t_us``.

        Parameters
        ----------
        luminance : float32[height, width]
            Picture at ``t_us``; may be overwritten afterwards.
        t_us : int
            Later than the last picture, by a second at most.
        owners : uint8[height, width] or None
            Objects whose events ``take_owner_events`` counts, 0 for none; may be overwritten
            afterwards.

        """
        if self._now_us is None:
            raise RuntimeError('EventCamera: advance() before start(); give it a first picture')
        t_us = int(t_us)
        span = t_us - self._now_us
        if not 0 < span <= MAX_STEP_US:
            raise ValueError(
                f'EventCamera: the picture of {t_us} us follows one of {self._now_us} us; '
                f'give pictures 1 to {MAX_STEP_US} us apart'
            )
        picture = self._seen(luminance)
        self._owners_now, self._owners_before = self._owners_before, self._owners_now
        if owners is None:
            self._owners_now.fill(0)
        else:
            self._owners_now[:] = self._checked(owners, np.uint8).reshape(-1)
        self._count[0] = 0
        self._watch(picture, span)
        fired = self._count[0] > picture.size
        self._add_noise(span)
        chunk = self._sorted(span)
        self._now_us = t_us
        if fired and self.settings.recovery_us > 0:
            self._level.fill(np.nan)  # as of a pixel in reset
            np.maximum(self._hold, self.settings.recovery_us, out=self._hold)
        return chunk

    def _seen(self, luminance: np.ndarray) -> np.ndarray:
        """Return the picture behind the lens."""
        picture = self._checked(luminance, np.float32)
        if self._sharp:
            return picture
        library.sast_camera_blur(
            picture, self.height, self.width, self.settings.focus, self._rows, self._picture
        )
        return self._picture

    def take_owner_events(self) -> np.ndarray:
        """
        Return ``int64[256]``: events of every owner since the last call.

        An event belongs to the owner of its pixel at the end of the step, or if that is 0 to the
        one at its beginning. Noise, leak and events that the rate limit has dropped do not count.
        """
        counts = self._by_owner.copy()
        self._by_owner.fill(0)
        return counts

    def _watch(self, picture: np.ndarray, span: int) -> None:
        """Let the photoreceptors see the picture, and the pixels fire."""
        settings = self.settings
        cycle = 2e-6 * math.pi * span
        row = 0
        while True:
            row = library.sast_camera_advance(
                picture,
                self.height,
                self.width,
                row,
                settings.dark_luminance,
                cycle * settings.bandwidth_hz,
                cycle * settings.dark_bandwidth_hz,
                settings.leak_hz * settings.threshold_on * span * 1e-6,
                span,
                settings.refractory_us,
                self._on,
                self._off,
                self._photoreceptor,
                self._level,
                self._hold,
                pointer(self._events),
                self._count,
                len(self._events),
            )
            if row == self.height:
                return
            self._grow()

    def _add_noise(self, span: int) -> None:
        while self._next[0] <= span:
            library.sast_camera_noise(
                self._share,
                self._other,
                self._on_share,
                self._photoreceptor,
                self._other.size,
                self.width,
                self._interval_us,
                self.settings.noise_dark,
                self._noise_scale,
                span,
                self._random,
                self._next,
                pointer(self._events),
                self._count,
                len(self._events),
            )
            if self._next[0] <= span:
                self._grow()
        self._next -= span

    def _grow(self) -> None:
        self._events = np.concatenate([self._events, np.empty_like(self._events)])

    def _sorted(self, span: int) -> EventChunk:
        count = int(self._count[0])
        if len(self._table) < span + 2:
            self._table = np.empty(span + 2, np.int32)
        x, y, t = np.empty(count, np.uint16), np.empty(count, np.uint16), np.empty(count, np.int64)
        p = np.empty(count, np.uint8)
        kept = library.sast_camera_sort(
            pointer(self._events),
            count,
            self._now_us,
            span,
            self.settings.max_rate * 1e-6,
            self._row_counts,
            len(self._row_counts),
            self._random,
            self._table,
            self._owners_now,
            self._owners_before,
            self.width,
            self._by_owner,
            x,
            y,
            p,
            t,
        )
        self.dropped += count - kept
        return EventChunk(
            x[:kept],
            y[:kept],
            p[:kept],
            t[:kept],
            width=self.width,
            height=self.height,
            left_out={'readout_limit': count - kept} if kept < count else {},
            checked=True,
        )

    def _checked(self, picture: np.ndarray, dtype: type[np.generic]) -> np.ndarray:
        if picture.shape != (self.height, self.width) or picture.dtype != dtype:
            raise ValueError(
                f'EventCamera: a picture is {picture.dtype}{list(picture.shape)}; give '
                f'{np.dtype(dtype).name}[{self.height}, {self.width}]'
            )
        return np.ascontiguousarray(picture)
