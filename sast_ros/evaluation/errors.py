"""What can be wrong with an evaluation."""

from __future__ import annotations

from sast_ros.errors import SastError


class EvaluationError(SastError, ValueError):
    """
    Labels or detections that cannot be read, or that do not belong together.

    The text names the file and says what is wrong and what to do.
    """
