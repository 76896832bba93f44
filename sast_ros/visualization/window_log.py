# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a viewer is given, of a recording as of a running node."""

from __future__ import annotations

from typing import Protocol

from sast_ros.detections import Detections, TokenMap
from sast_ros.windows import EventWindow


class WindowLog(Protocol):
    """A viewer, into which windows are written one by one."""

    def log(
        self,
        window: EventWindow,
        detections: Detections,
        latency_ms: float | None = None,
        tokens: TokenMap | None = None,
    ) -> None:
        """
        Write a window with its detections.

        Parameters
        ----------
        window : EventWindow
            The events.
        detections : Detections
            What was detected in it.
        latency_ms : float, optional
            Time from the complete window to its detections, milliseconds.
        tokens : TokenMap, optional
            Which tokens of the first stage attended in it.

        """


def event_rate(window: EventWindow) -> float:
    """Return the events of a window, in millions a second."""
    duration_s = (window.t_end - window.t_start) / 1e6
    return len(window) / duration_s / 1e6
