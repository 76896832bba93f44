# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Calibration: whether a score is the share of detections that are true positives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sast_ros.evaluation.metrics.matching import IGNORED, MatchedFrame

_BINS = 10


def calibration(frames: Sequence[MatchedFrame]) -> dict[str, Any]:
    """Return the precision of ten intervals of scores, and the expected calibration error."""
    scores = np.concatenate(
        [np.zeros(0, np.float32), *(one.frame.detections['class_confidence'] for one in frames)]
    )
    matched = np.concatenate([np.zeros(0, np.int64), *(one.matched for one in frames)])
    scores, positive = scores[matched != IGNORED], matched[matched != IGNORED] >= 0
    which = np.minimum((scores * _BINS).astype(np.int64), _BINS - 1).clip(min=0)
    rows, error = [], 0.0
    for index in range(_BINS):
        chosen = which == index
        count = int(chosen.sum())
        score = float(scores[chosen].mean()) if count else None
        share = float(positive[chosen].mean()) if count else None
        if score is not None and share is not None:
            error += count / len(scores) * abs(score - share)
        rows.append(
            {
                'least': index / _BINS,
                'most': (index + 1) / _BINS,
                'detections': count,
                'mean_score': score,
                'precision': share,
            }
        )
    return {'expected_error': error if len(scores) else None, 'bins': rows}
