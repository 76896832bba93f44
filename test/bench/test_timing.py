# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Measuring: actions take turns, and the search for the highest rate finds it."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
import pytest
from sast_ros.bench.node import find_highest, percentiles
from sast_ros.bench.timing import summarize, time_actions


def test_actions_take_turns_and_the_warm_up_does_not_count():
    calls = []
    actions = {name: lambda name=name: calls.append(name) for name in 'abc'}
    times = time_actions(actions, seconds=0, warm_up=2)
    assert [timing.runs for timing in times.values()] == [3, 3, 3]
    assert ''.join(calls) == 'abc' * 5
    assert all(0 <= timing.min_ms <= timing.median_ms for timing in times.values())


def test_minimum_and_median_are_those_of_the_runs():
    timing = summarize([5.0, 1.0, 3.0])
    assert (timing.min_ms, timing.median_ms, timing.runs) == (1.0, 3.0, 3)


def test_percentiles_of_nothing_are_none():
    assert percentiles([]) is None
    assert percentiles([float(n) for n in range(101)]) == {
        'p50': 50.0,
        'p95': 95.0,
        'p99': 99.0,
        'max': 100.0,
    }


@given(limit=st.floats(0.1, 200), near=st.floats(1.05, 2))
def test_the_highest_rate_is_found(limit, near):
    tried = []

    def passes(value):
        tried.append(value)
        return value <= limit

    found = find_highest(passes, first=4, last=32, near=near)
    if limit >= 32:
        assert found == 32
    else:
        assert found <= limit < found * near * 1.0001
    assert len(tried) < 12 + math.log2(math.log(2) / math.log(near))


@pytest.mark.parametrize('first', [1, 4])
def test_nothing_passes(first):
    assert find_highest(lambda value: False, first, 32) == 0
