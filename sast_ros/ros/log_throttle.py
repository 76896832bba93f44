# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
How often a sentence that could come with every message is logged.

``throttle_duration_sec`` of rclpy counts per line of source: there, one fault hides every other
one that the same line reports.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
import time

_MOST_KINDS = 64


class LogThrottle:
    """
    Let each kind of sentence through once in a period; safe to use from two threads.

    Parameters
    ----------
    period_s : float
        Least time between two sentences of a kind, seconds.
    clock : callable
        Steady time in seconds.

    """

    def __init__(self, period_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._period_s = period_s
        self._clock = clock
        self._logged: dict[Hashable, float] = {}

    def is_due(self, *kind: Hashable) -> bool:
        """Return whether a sentence of the kind is to be logged now."""
        now = self._clock()
        if now - self._logged.get(kind, -self._period_s) < self._period_s:
            return False
        if len(self._logged) >= _MOST_KINDS:
            self._logged.clear()
        self._logged[kind] = now
        return True

    def forget(self) -> None:
        """Let every kind through again."""
        self._logged.clear()
