# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How many windows a step of the network covers under overload (``overload.policy: reduce``)."""

from __future__ import annotations

import math

#: The load is measured over this long before the stride becomes shorter again, seconds.
PERIOD_S = 1.0

#: Share of its time that the network may take after the stride became longer, and before it
#: becomes shorter. The distance between them is the hysteresis.
WIDE_LOAD, NARROW_LOAD = 0.9, 0.75


class StrideControl:
    """
    The stride in windows: the network sees the last one of so many, which keep their length.

    The load is the time that the network would need for all windows of a second: their rate times
    the mean time of a step. It is known all the time, since windows arrive at their rate whatever
    the stride is.

    Longer windows instead, with all events, are worse: on the bundled recording AP is 63.6 with
    windows of 50 ms every 50 ms, 58.9 with 50 ms every 100 ms, and 52.2 with 100 ms every 100 ms
    (``sast-ros evaluate`` with ``--window-ms`` and ``--stride-ms``, 2026-11-26, AVX-512).

    A single burst, as after a silence, changes nothing: the stride becomes longer when windows
    become too old for a second time without the network having been idle in between.

    Parameters
    ----------
    now : float
        Steady time in seconds.

    Attributes
    ----------
    multiple : int
        The stride in windows.

    """

    def __init__(self, now: float) -> None:
        self.multiple = 1
        self._was_late = False
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._begun = now
        self._idle_s = 0.0
        self._arrivals = self._steps = 0

    def arrived(self) -> None:
        """Count a window that was completed."""
        self._arrivals += 1

    def served(self) -> None:
        """Count a step."""
        self._steps += 1

    def idle(self, seconds: float) -> None:
        """Add time that the network had nothing to do."""
        self._idle_s += seconds
        self._was_late = False

    def load(self, now: float) -> float:
        """Return the load since the last change, 0 if there was no step."""
        elapsed = now - self._begun
        if not self._steps or elapsed <= 0:
            return 0.0
        return self._arrivals * (elapsed - self._idle_s) / self._steps / elapsed

    def late(self, now: float, most: int) -> None:
        """Take note of windows that became too old; lengthen the stride, up to ``most``."""
        if self._was_late:
            wanted = max(self.multiple + 1, math.ceil(self.load(now) / WIDE_LOAD))
            self.multiple = max(1, min(wanted, most))
            self._begin(now)
        self._was_late = True

    def review(self, now: float) -> None:
        """Shorten the stride if there has been room for a while; call it between two steps."""
        if now - self._begun >= PERIOD_S:
            wanted = math.ceil(self.load(now) / NARROW_LOAD)
            self.multiple = max(1, min(self.multiple, wanted))
            self._begin(now)
