"""What can be wrong with a training."""

from __future__ import annotations


class TrainingConfigError(ValueError):
    """A training configuration with an unknown key, a wrong type or an impossible value."""


class TrainingDataError(ValueError):
    """Training data that is missing, damaged or not what the configuration says."""
