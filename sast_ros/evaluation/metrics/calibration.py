# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Calibration: whether a score is the share of detections that are true positives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sast_ros.evaluation.metrics.matching import IGNORED, MatchedFrame, OPERATING_SCORE

_BINS = 10


@dataclass(frozen=True)
class ScoredDetections:
    """
    Detections of many frames, without the ignored ones.

    Attributes
    ----------
    scores : float32[N]
        In [0, 1].
    class_ids : int64[N]
        Index of the class.
    correct : bool[N]
        Whether each matches a label.

    """

    scores: np.ndarray
    class_ids: np.ndarray
    correct: np.ndarray

    @classmethod
    def of(cls, frames: Sequence[MatchedFrame]) -> ScoredDetections:
        """Return the detections of frames."""
        matched = np.concatenate([np.zeros(0, np.int64), *(one.matched for one in frames)])
        scores, class_ids = (
            np.concatenate([np.zeros(0, kind), *(one.frame.detections[name] for one in frames)])
            for name, kind in (('class_confidence', np.float32), ('class_id', np.int64))
        )
        used = matched != IGNORED
        return cls(scores[used], class_ids[used], matched[used] >= 0)

    def __getitem__(self, chosen: np.ndarray) -> ScoredDetections:
        return ScoredDetections(self.scores[chosen], self.class_ids[chosen], self.correct[chosen])


def score_calibration(detections: ScoredDetections) -> dict[str, Any]:
    """
    Return the precision of ten intervals of scores, and the expected calibration error.

    ``reported``: the error of the detections that have at least the operating score.
    """
    scores, correct = detections.scores, detections.correct
    which = np.minimum((scores * _BINS).astype(np.int64), _BINS - 1).clip(min=0)
    rows: list[dict[str, Any]] = []
    for index in range(_BINS):
        chosen = which == index
        count = int(chosen.sum())
        rows.append(
            {
                'least': index / _BINS,
                'most': (index + 1) / _BINS,
                'detections': count,
                'mean_score': float(scores[chosen].mean()) if count else None,
                'precision': float(correct[chosen].mean()) if count else None,
            }
        )
    reported = [row for row in rows if row['least'] >= OPERATING_SCORE]
    return {
        'expected_error': _expected_error(rows),
        'reported': {
            'score': OPERATING_SCORE,
            'detections': sum(row['detections'] for row in reported),
            'expected_error': _expected_error(reported),
        },
        'bins': rows,
    }


def _expected_error(rows: Sequence[dict[str, Any]]) -> float | None:
    """Return the mean difference of score and precision over the detections of intervals."""
    rows = [row for row in rows if row['detections']]
    count = sum(row['detections'] for row in rows)
    if not count:
        return None
    return float(
        sum(row['detections'] * abs(row['mean_score'] - row['precision']) for row in rows) / count
    )
