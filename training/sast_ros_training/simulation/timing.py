# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Lengths of windows and distances between them, single ones and shares of them to draw from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import re

import numpy as np
from sast_ros.errors import SettingError
from sast_ros_training.simulation.draws import draw_name

#: Of both times, microseconds. A camera needs one picture at least for each border of a window.
MIN_US, MAX_US = 5_000, 10_000_000

#: Drawn times are multiples of this.
_GRID_US = 5_000

_NUMBER = r'([0-9]{1,6}(?:\.[0-9]+)?)'
_RANGE = rf'{_NUMBER}(?:-{_NUMBER})?'


@dataclass(frozen=True, order=True)
class WindowTiming:
    """
    How a stream is cut: ``window.duration_ms`` and ``window.stride_ms`` of the node.

    Attributes
    ----------
    window_us, stride_us : int
        Length of a window, and time from one window to the next, microseconds. Windows overlap if
        the stride is shorter, and leave out events if it is longer.

    Raises
    ------
    SettingError
        A time below 5 ms or above 10 s.

    """

    window_us: int = 50_000
    stride_us: int = 50_000

    def __post_init__(self) -> None:
        for name, value in (('window', self.window_us), ('stride', self.stride_us)):
            if not MIN_US <= value <= MAX_US:
                raise SettingError(
                    f'a {name} of {value / 1000:g} ms cannot be simulated; give {MIN_US // 1000} '
                    f'to {MAX_US // 1000} ms'
                )

    @classmethod
    def from_ms(cls, window_ms: float, stride_ms: float) -> WindowTiming:
        """Return the timing of so many milliseconds, rounded to microseconds."""
        return cls(round(1000 * window_ms), round(1000 * stride_ms))

    def __str__(self) -> str:
        return f'{self.window_us / 1000:g}/{self.stride_us / 1000:g}'

    def ends(self, length_us: int) -> range:
        """Return the ends of the windows within so much time: one at least."""
        last = max(length_us, self.window_us)
        return range(self.window_us, last + 1, self.stride_us)

    def covers(self, t_us: int) -> bool:
        """Whether the events directly after a time are in a window, given that windows go on."""
        return t_us % self.stride_us < self.window_us


#: The windows of the node by default.
DEFAULT_TIMING = WindowTiming()


def parse_timings(text: str) -> tuple[WindowTiming, WindowTiming]:
    """
    Return the smallest and the largest timing of ``WINDOW/STRIDE`` in milliseconds.

    Each of both is a number or a range: ``50/50``, ``50/25-125``, ``20-100/25-125``.

    Raises
    ------
    SettingError
        Another text, a range whose end is before its start, or a time that cannot be simulated.

    """
    match = re.fullmatch(f'{_RANGE}/{_RANGE}', text)
    if match is None:
        raise SettingError(
            f'{text!r} is no window and stride; write both in milliseconds, such as 50/50, or '
            'ranges of them, such as 20-100/25-125'
        )
    window, window_end, stride, stride_end = match.groups()
    low = WindowTiming.from_ms(float(window), float(stride))
    high = WindowTiming.from_ms(float(window_end or window), float(stride_end or stride))
    if low.window_us > high.window_us or low.stride_us > high.stride_us:
        raise SettingError(f'{text!r} has a range that ends before it starts; exchange its ends')
    return low, high


def draw_timing(shares: Mapping[str, float], rng: np.random.Generator) -> WindowTiming:
    """
    Draw a timing; times of a range are drawn evenly, in steps of 5 ms from its start.

    Parameters
    ----------
    shares : mapping of str to float
        How often each text of ``parse_timings`` is drawn.
    rng : numpy.random.Generator
        To draw with.

    Raises
    ------
    SettingError
        What ``parse_timings`` refuses.

    """
    low, high = parse_timings(draw_name(rng, shares))
    return WindowTiming(
        _draw(rng, low.window_us, high.window_us), _draw(rng, low.stride_us, high.stride_us)
    )


def _draw(rng: np.random.Generator, low: int, high: int) -> int:
    return low + _GRID_US * int(rng.integers((high - low) // _GRID_US + 1))
