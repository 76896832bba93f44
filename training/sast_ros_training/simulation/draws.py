# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Random values whose orders of magnitude are equally likely."""

from __future__ import annotations

import numpy as np


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a value whose logarithm is uniform between those of two positive ones."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def log_uniforms(
    rng: np.random.Generator, low: float, high: float, shape: int | tuple[int, ...]
) -> np.ndarray:
    """Return an array of them, ``float64[shape]``."""
    return np.exp(rng.uniform(np.log(low), np.log(high), shape))
