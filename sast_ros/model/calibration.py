# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""From the scores of a network to shares of correct detections (docs/sast.md 8)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
import math
from typing import Any

import numpy as np
from sast_ros.errors import SettingError

#: What no fit gives: slopes are near 1, offsets a few units.
_SLOPES, _OFFSETS = (0.01, 100.0), (-50.0, 50.0)

#: Scores are float32, and are compared with thresholds as such.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Calibration:
    """
    Calibration of scores: a line on the log odds for each class (Platt scaling).

    The calibrated score of a box of class k with the raw score p, objectness x class probability,
    is ``sigmoid(slopes[k] * logit(p) + offsets[k])``. (J. Platt: "Probabilistic Outputs for
    Support Vector Machines", 1999; temperature scaling is the case of one slope and no offset.)

    Attributes
    ----------
    slopes, offsets : tuple of float
        Of each class, in class-id order. Slopes are positive, so that the order of the boxes of a
        class stays.

    Raises
    ------
    SettingError
        A value that is no number, or out of range, or not as many slopes as offsets.

    """

    slopes: tuple[float, ...]
    offsets: tuple[float, ...]

    def __post_init__(self) -> None:
        for name, (low, high) in (('slopes', _SLOPES), ('offsets', _OFFSETS)):
            values = getattr(self, name)
            if isinstance(values, list):  # JSON has lists only
                values = tuple(values)
                object.__setattr__(self, name, values)
            if not isinstance(values, tuple) or not all(
                isinstance(value, (int, float))
                and not isinstance(value, bool)
                and low <= value <= high
                for value in values
            ):
                raise SettingError(
                    f'Calibration: {name} are {values!r}; they must be numbers from {low:g} to '
                    f'{high:g}, one for each class'
                )
        if not self.slopes or len(self.slopes) != len(self.offsets):
            raise SettingError(
                f'Calibration: {len(self.slopes)} slopes and {len(self.offsets)} offsets; there '
                'must be one of each for every class'
            )

    def __call__(self, scores: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
        """
        Return calibrated scores.

        Parameters
        ----------
        scores : float32[N]
            Raw ones, in [0, 1].
        class_ids : int64[N]
            Index of the class of each.

        Returns
        -------
        float32[N]
            In [0, 1]; 0 and 1 stay what they are.

        """
        slopes, offsets = np.array(self.slopes), np.array(self.offsets)
        odds = slopes[class_ids] * _logit(scores) + offsets[class_ids]
        with np.errstate(over='ignore'):
            calibrated: np.ndarray = (1 / (1 + np.exp(-odds))).astype(np.float32)
        return calibrated

    def lowest_raw(self, score: float) -> float:
        """Return a bound below all raw scores that become at least this one, in any class."""
        odds = float(_logit(np.array(max(score - _ROUNDING, 0.0))))
        lowest = min((odds - b) / a for a, b in zip(self.slopes, self.offsets))
        if lowest < -700:  # exp would overflow
            return 0.0
        return max(1 / (1 + math.exp(-lowest)) - _ROUNDING, 0.0)

    def as_dict(self) -> dict[str, Any]:
        """Return the values as JSON-ready ones; ``Calibration(**values)`` restores them."""
        return {name: list(values) for name, values in asdict(self).items()}


def _logit(scores: np.ndarray) -> np.ndarray:
    """Return the log odds of probabilities, float64; infinite ones of 0 and 1."""
    scores = np.asarray(scores, np.float64)
    with np.errstate(divide='ignore'):
        odds: np.ndarray = np.log(scores) - np.log1p(-scores)
    return odds
