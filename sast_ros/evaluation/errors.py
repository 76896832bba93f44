# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The error of an evaluation that the user can correct."""

from __future__ import annotations

from sast_ros.errors import SastError


class EvaluationError(SastError, ValueError):
    """Labels or detections that cannot be read, or that do not belong together."""
