# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Random values of any order of magnitude, and names of which some are more likely."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a value whose logarithm is uniform between those of two positive ones."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def log_uniforms(
    rng: np.random.Generator, low: float, high: float, shape: int | tuple[int, ...]
) -> np.ndarray:
    """Return an array of them, ``float64[shape]``."""
    return np.exp(rng.uniform(np.log(low), np.log(high), shape))


def draw_name(rng: np.random.Generator, shares: Mapping[str, float]) -> str:
    """Return a name, each as often as its share; their order in the mapping does not matter."""
    names = sorted(shares)
    weights = np.array([shares[name] for name in names])
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]
