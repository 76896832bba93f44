"""What the report is told about one recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sast_ros.evaluation.detections import RecordedDetections
from sast_ros.evaluation.pairing import PairedRecording


@dataclass(frozen=True)
class ReportEntry:
    """
    One recording of a report.

    Parameters
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
    def start_us(self) -> int:
        """Start of the recording on the clock of the detections."""
        known = self.detected.start_us
        return self.paired.start_us if known is None else known
