# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Wall-clock times of actions that take turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
import time

import numpy as np

#: Runs of each action before the first that counts.
WARM_UP = 3

#: Runs that count at least.
MIN_RUNS = 3


@dataclass(frozen=True)
class Timing:
    """
    Times of one action in milliseconds.

    Attributes
    ----------
    min_ms, median_ms : float
        Of all runs that count; the minimum is what other work on the machine changes least.
    runs : int
        How many they were.

    """

    min_ms: float
    median_ms: float
    runs: int


def time_actions(
    actions: Mapping[str, Callable[[], object]], seconds: float, warm_up: int = WARM_UP
) -> dict[str, Timing]:
    """
    Run actions in turn and return their times by name.

    Other work on the machine, and its clock, then change all of them alike.

    Parameters
    ----------
    actions : mapping of str to callable
        What to measure.
    seconds : float
        Time for all of them together, after the warm-up; each runs at least three times.
    warm_up : int, optional
        Runs of each that do not count.

    """
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(warm_up):
        for action in actions.values():
            action()
    end = time.perf_counter() + seconds
    runs = 0
    while runs < MIN_RUNS or time.perf_counter() < end:
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            times[name].append(1e3 * (time.perf_counter() - start))
        runs += 1
    return {name: summarize(values) for name, values in times.items()}


def summarize(times_ms: list[float]) -> Timing:
    """Return the timing of these runs."""
    return Timing(min(times_ms), float(np.median(times_ms)), len(times_ms))
