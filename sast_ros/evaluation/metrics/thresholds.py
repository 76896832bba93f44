# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Precision and recall at every threshold of the scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sast_ros.evaluation.metrics.calibration import ScoredDetections
from sast_ros.evaluation.metrics.matching import MatchCounts

#: Thresholds of the table.
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))


def threshold_table(
    detections: ScoredDetections, labels: Sequence[int], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """
    Return precision, recall and F1 at thresholds of the scores.

    Detections that are left out by a threshold are worse than those that stay, so that matching
    them in the order of their scores matches the same ones.

    Parameters
    ----------
    detections : ScoredDetections
        Of all scores.
    labels : sequence of int
        Number of labels of each class.
    classes : sequence of str
        Class names in class-id order.

    Returns
    -------
    list of dict
        JSON-ready: ``threshold``; ``precision``, ``recall`` and ``f1`` as means over the classes
        that have labels; ``per_class`` with the same; ``None`` where there are no detections.

    """
    rows: list[dict[str, Any]] = []
    for threshold in THRESHOLDS:
        chosen = detections[detections.scores >= threshold]
        found, correct = (
            np.bincount(ids, minlength=len(classes)).tolist()
            for ids in (chosen.class_ids, chosen.class_ids[chosen.correct])
        )
        per_class = {
            name: {'precision': each.precision, 'recall': each.recall, 'f1': each.f1}
            for name, count, *counts in zip(classes, labels, found, correct, strict=True)
            for each in [MatchCounts(int(count), *counts)]
            if count
        }
        rows.append(
            {
                'threshold': threshold,
                **{
                    key: _mean([row[key] for row in per_class.values()])
                    for key in ('precision', 'recall', 'f1')
                },
                'per_class': per_class,
            }
        )
    return rows


def best_threshold(rows: Sequence[dict[str, Any]]) -> float:
    """Return the threshold with the largest F1; of equal ones the lowest."""
    return float(max(rows, key=lambda row: (row['f1'] or 0.0, -row['threshold']))['threshold'])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
