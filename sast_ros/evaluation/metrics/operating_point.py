# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Precision, recall and false positives per minute at the operating score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sast_ros.evaluation.metrics.matching import (
    count_classes,
    MatchCounts,
    MatchedRecording,
    MIN_IOU,
    OPERATING_SCORE,
)
from sast_ros.evaluation.pairing import PairedRecording


def operating_point(
    recordings: Sequence[MatchedRecording], classes: Sequence[str]
) -> dict[str, Any]:
    """Return precision and recall at the operating score, together and for each class."""
    counts = count_classes(
        (
            (one.frame.labels, one.reported, one.reported_matches)
            for recording in recordings
            for one in recording.frames
        ),
        classes,
    )
    rows = counts.values()
    total = MatchCounts(
        sum(row.labels for row in rows),
        sum(row.detections for row in rows),
        sum(row.matches for row in rows),
    )
    return {
        'score': OPERATING_SCORE,
        'iou': MIN_IOU,
        **total.as_dict(),
        'per_class': {name: row.as_dict() for name, row in counts.items()},
    }


def false_positives(
    recordings: Sequence[PairedRecording], classes: Sequence[str]
) -> dict[str, Any]:
    """Return the false positives per minute in the intervals without labels."""
    minutes = sum(recording.unlabelled_us for recording in recordings) / 60e6
    counts = np.zeros(len(classes), np.int64)
    for recording in recordings:
        boxes = recording.unlabelled
        reported = boxes['class_confidence'] >= OPERATING_SCORE
        counts += np.bincount(boxes['class_id'][reported], minlength=len(classes))

    def rate(count: int) -> float | None:
        return count / minutes if minutes else None

    return {
        'minutes_without_labels': minutes,
        'detections': int(counts.sum()),
        'per_minute': rate(int(counts.sum())),
        'per_class': dict(zip(classes, map(rate, counts.tolist()))),
    }
