# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""One recording of a report."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from sast_ros.bags.detections import WINDOW_DTYPE
from sast_ros.evaluation.detections import RecordedDetections
from sast_ros.evaluation.metrics.matching import match_recording, MatchCounts, MatchedRecording
from sast_ros.evaluation.pairing import PairedRecording


@dataclass(frozen=True)
class ReportEntry:
    """
    One recording of a report: its source, and its counts at the operating score.

    Attributes
    ----------
    paired : PairedRecording
        Its labels and detections, as they went into ``compute_metrics``.
    detected : RecordedDetections
        Source of the detections.
    recording : Path, optional
        File or folder with its events, for pictures.
    topic : str, optional
        Topic with its events; by default the only one.
    video : Path, optional
        ``overlay.mp4`` of its replay, for links.

    """

    paired: PairedRecording
    detected: RecordedDetections
    recording: Path | None = None
    topic: str | None = None
    video: Path | None = None

    @property
    def name(self) -> str:
        """Name of the recording."""
        return self.paired.name

    @cached_property
    def matched(self) -> MatchedRecording:
        """Detections and the labels that they match."""
        return match_recording(self.paired)

    @cached_property
    def counts(self) -> MatchCounts:
        """Labels, detections and true positives."""
        return self.matched.counts()

    @property
    def errors(self) -> int:
        """Number of missed labels and false positives."""
        return self.counts.labels + self.counts.detections - 2 * self.counts.matches

    @property
    def summary(self) -> dict[str, Any]:
        """Summary of the replay, empty if there is none."""
        return self.detected.summary or {}

    @property
    def windows(self) -> np.ndarray:
        """Windows with events and kept tokens, which messages do not contain; empty if unknown."""
        windows = self.detected.windows
        if windows is None or not self.detected.counts_events:
            return np.zeros(0, WINDOW_DTYPE)
        return windows

    @property
    def start_us(self) -> int:
        """Start of the recording on the clock of the detections."""
        known = self.detected.start_us
        return self.paired.start_us if known is None else known
