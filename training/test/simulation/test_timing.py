# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Windows by their texts: single ones, ranges, and shares of them."""

from collections import Counter

import numpy as np
import pytest
from sast_ros.errors import SettingError
from sast_ros_training.simulation.timing import draw_timing, parse_timings, WindowTiming


@pytest.mark.parametrize(
    ('text', 'low', 'high'),
    [
        ('50/50', (50, 50), (50, 50)),
        ('12.5/25', (12.5, 25), (12.5, 25)),
        ('50/25-125', (50, 25), (50, 125)),
        ('20-100/25-125', (20, 25), (100, 125)),
    ],
)
def test_a_text_is_a_timing_or_a_range_of_them(text, low, high):
    assert parse_timings(text) == (WindowTiming.from_ms(*low), WindowTiming.from_ms(*high))


@pytest.mark.parametrize('timing', [WindowTiming(), WindowTiming.from_ms(12.5, 125)])
def test_a_timing_is_written_as_it_is_read(timing):
    assert parse_timings(str(timing)) == (timing, timing)


@pytest.mark.parametrize(
    'text',
    ['', '50', '50/', '50/50/50', '-5/50', 'a/b', '50/25-', '1e3/50', '50 / 50',
     '100-20/50', '50/125-25', '4/50', '50/4.9', '50/10001', '0/0', '9' * 400 + '/50'],
)  # fmt: skip
def test_what_is_no_timing_is_refused(text):
    with pytest.raises(SettingError):
        parse_timings(text)


def test_times_are_drawn_evenly_within_their_range_and_by_their_shares():
    shares = {'50/50': 3, '20-40/25-125': 1, '7/7': 0}
    rng = np.random.default_rng(0)
    drawn = Counter(draw_timing(shares, rng) for _ in range(4000))
    usual = drawn.pop(WindowTiming())
    assert 0.72 < usual / 4000 < 0.78
    windows, strides = Counter(), Counter()
    for timing, count in drawn.items():
        windows[timing.window_us] += count
        strides[timing.stride_us] += count
    assert sorted(windows) == list(range(20_000, 40_001, 5_000))
    assert sorted(strides) == list(range(25_000, 125_001, 5_000))
    assert min(windows.values()) > 0.7 * max(windows.values())


def test_the_same_seed_draws_the_same():
    shares = {'50/50': 0.5, '20-100/25-125': 0.5}
    first, second = (
        [draw_timing(given, np.random.default_rng(seed)) for seed in range(20)]
        for given in (shares, dict(reversed(shares.items())))
    )
    assert first == second


@pytest.mark.parametrize('window', range(5, 60, 7))
@pytest.mark.parametrize('stride', range(5, 60, 9))
def test_ends_and_covered_times_are_those_of_windows_one_by_one(window, stride):
    timing = WindowTiming.from_ms(window, stride)
    windows = [(k * stride, k * stride + window) for k in range(100)]
    assert list(timing.ends(300_000)) == [
        1000 * end for _, end in windows if end <= max(300, window)
    ]
    for t in range(300):
        inside = any(start <= t < end for start, end in windows)
        assert timing.covers(1000 * t) == inside
