# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a training."""

from __future__ import annotations

from sast_ros.errors import SastError


class TrainingConfigError(SastError, ValueError):
    """A training configuration with an unknown key, a wrong type or an impossible value."""


class TrainingDataError(SastError, ValueError):
    """Training data that is missing, damaged or not what the configuration says."""


class TrainingDivergedError(SastError, RuntimeError):
    """Step after step has no finite gradient: nothing is learned any more."""


class TrainingProcessError(SastError, RuntimeError):
    """Another process of the training has ended in the middle of it."""
