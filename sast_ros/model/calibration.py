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

#: Of a search for a probability, to the last bit of a double.
_HALVINGS = 64


@dataclass(frozen=True, slots=True)
class Calibration:
    """
    Calibration of scores: one curve for all classes, shifted in the log odds of each.

    The calibrated score of a box of class k with the raw score p, objectness x class probability,
    is ``sigmoid(low * log(p) - high * log(1 - p) + offsets[k])``: beta calibration. (M. Kull, T.
    Silva Filho, P. Flach: "Beta calibration", AISTATS 2017.)

    Attributes
    ----------
    low, high : float
        Slopes of the log odds of scores near 0 and near 1, both positive, so that the order of
        the boxes of a class stays. With both at 1 the curve is that of the raw scores.
    offsets : tuple of float
        Of each class, in class-id order.

    Raises
    ------
    SettingError
        A value that is no number, or out of range.

    """

    low: float
    high: float
    offsets: tuple[float, ...]

    def __post_init__(self) -> None:
        if isinstance(self.offsets, list):  # JSON has lists only
            object.__setattr__(self, 'offsets', tuple(self.offsets))
        for name in ('low', 'high'):
            if not _is_number(getattr(self, name), *_SLOPES):
                raise SettingError(
                    f'Calibration: {name} is {getattr(self, name)!r}; it must be a number from '
                    f'{_SLOPES[0]:g} to {_SLOPES[1]:g}'
                )
        offsets = self.offsets
        if (
            not isinstance(offsets, tuple)
            or not offsets
            or not all(_is_number(value, *_OFFSETS) for value in offsets)
        ):
            raise SettingError(
                f'Calibration: offsets are {offsets!r}; they must be numbers from '
                f'{_OFFSETS[0]:g} to {_OFFSETS[1]:g}, one for each class'
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
        scores = scores.astype(np.float64)
        with np.errstate(divide='ignore', over='ignore'):
            odds = self.low * np.log(scores) - self.high * np.log1p(-scores)
            odds += np.array(self.offsets)[class_ids]
            calibrated: np.ndarray = (1 / (1 + np.exp(-odds))).astype(np.float32)
        return calibrated

    def lowest_raw(self, score: float) -> float:
        """Return a bound below all raw scores that become at least this one, in any class."""
        score = score - _ROUNDING
        if score <= 0:
            return 0.0
        odds = math.log(score) - math.log1p(-score) - max(self.offsets)
        below, above = 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = (below + above) / 2
            if not below < middle < above:
                break
            if self.low * math.log(middle) - self.high * math.log1p(-middle) < odds:
                below = middle
            else:
                above = middle
        return max(below - _ROUNDING, 0.0)

    def as_dict(self) -> dict[str, Any]:
        """Return the values as JSON-ready ones; ``Calibration(**values)`` restores them."""
        return {**asdict(self), 'offsets': list(self.offsets)}


def _is_number(value: object, low: float, high: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
