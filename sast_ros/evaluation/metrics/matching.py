# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Matching of detections with labels at a fixed IoU: true and false positives.

Average precision measures how well scores order the detections; matching at the operating score
measures what a user gets who thresholds them there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from sast_ros.evaluation.pairing import Frame, PairedRecording

#: Score threshold of the detections that are counted and shown.
OPERATING_SCORE = 0.3

#: IoU from which on a detection matches a label.
MIN_IOU = 0.5

#: Match of a detection that is neither a true nor a false positive.
IGNORED = -2


@dataclass(frozen=True)
class MatchCounts:
    """
    Counts of one class.

    Attributes
    ----------
    labels, detections, matches : int
        Number of labels, of detections, and of matched pairs of both (true positives).

    """

    labels: int
    detections: int
    matches: int

    @property
    def precision(self) -> float | None:
        """Share of the detections that are true positives, ``None`` without detections."""
        return self.matches / self.detections if self.detections else None

    @property
    def recall(self) -> float | None:
        """Share of the labels that were detected, ``None`` without labels."""
        return self.matches / self.labels if self.labels else None

    @property
    def f1(self) -> float | None:
        """F1 score, ``None`` without labels and detections."""
        total = self.labels + self.detections
        return 2 * self.matches / total if total else None

    def as_dict(self) -> dict[str, Any]:
        """Return counts, precision and recall."""
        return {**asdict(self), 'precision': self.precision, 'recall': self.recall}


@dataclass(frozen=True)
class MatchedFrame:
    """
    A frame and the match of each of its detections.

    Attributes
    ----------
    frame : Frame
        Labels and detections.
    matched : int64[N]
        Row of the label that each detection matches, -1 for a false positive, ``IGNORED`` for one
        in an ignored region.

    """

    frame: Frame
    matched: np.ndarray

    @cached_property
    def reported(self) -> np.ndarray:
        """Detections with at least the operating score, no ignored ones, ``BOX_DTYPE[M]``."""
        return self.frame.detections[self._at_operating_score]

    @cached_property
    def reported_matches(self) -> np.ndarray:
        """``matched`` of these, ``int64[M]``."""
        return self.matched[self._at_operating_score]

    @cached_property
    def _at_operating_score(self) -> np.ndarray:
        scores = self.frame.detections['class_confidence']
        return (scores >= OPERATING_SCORE) & (self.matched != IGNORED)

    @property
    def missed(self) -> np.ndarray:
        """Rows of the labels without a reported detection, ``int64[K]``."""
        return np.setdiff1d(np.arange(len(self.frame.labels)), self.reported_matches)

    @property
    def false_positives(self) -> np.ndarray:
        """Rows of ``reported`` that match no label, ``int64[K]``."""
        return np.flatnonzero(self.reported_matches < 0)


@dataclass(frozen=True)
class MatchedRecording:
    """A recording and its matched frames."""

    recording: PairedRecording
    frames: tuple[MatchedFrame, ...]

    def counts(self) -> MatchCounts:
        """Return the counts of all classes together at the operating score."""
        return MatchCounts(
            sum(len(one.frame.labels) for one in self.frames),
            sum(len(one.reported) for one in self.frames),
            sum(int((one.reported_matches >= 0).sum()) for one in self.frames),
        )


def match_recording(recording: PairedRecording) -> MatchedRecording:
    """Match the detections of every frame, of all scores."""
    return MatchedRecording(recording, tuple(map(match_frame, recording.frames)))


def match_frame(frame: Frame) -> MatchedFrame:
    """Match the detections of a frame, and find those in ignored regions."""
    matched = match(frame.labels, frame.detections)
    if len(frame.regions):
        found = frame.detections
        inside = coverage(found, frame.regions)
        inside[found['class_id'][:, None] != frame.regions['class_id'][None, :]] = 0
        matched[(matched < 0) & (inside.max(axis=1) >= MIN_IOU)] = IGNORED
    return MatchedFrame(frame, matched)


def iou_matrix(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """
    Return the intersection over union of all pairs of boxes.

    ``first`` ``[N]`` and ``second`` ``[M]`` are structured arrays with the fields ``x``, ``y``,
    ``w``, ``h``; the result is ``float64[N, M]``, 0 if both have no area.
    """
    shared, areas, others = _intersection(first, second)
    union = areas[:, None] + others[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def coverage(boxes: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """
    Return the share of each box that lies in each region, ``float64[N, M]``, see ``iou_matrix``.

    It is what COCO takes instead of the IoU with a crowd.
    """
    shared, areas, _ = _intersection(boxes, regions)
    return np.divide(shared, areas[:, None], out=np.zeros_like(shared), where=areas[:, None] > 0)


def _intersection(
    first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the areas of the intersections ``[N, M]``, and those of both, ``[N]``, ``[M]``."""
    a, b = (
        np.stack([boxes[name].astype(np.float64) for name in 'xywh'], axis=1)
        for boxes in (first, second)
    )
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    return shared, a[:, 2:].prod(axis=1), b[:, 2:].prod(axis=1)


def match(labels: np.ndarray, detections: np.ndarray, iou: float = MIN_IOU) -> np.ndarray:
    """
    Return the row of the label that each detection of one frame matches, -1 for none.

    As in the metrics of Pascal VOC and COCO: in the order of their scores, each detection takes
    the label of its class with the largest IoU of those that are left. Of equals the first one is
    taken.

    Parameters
    ----------
    labels : BOX_DTYPE[M]
        Labels of the frame.
    detections : BOX_DTYPE[N]
        Detections of the frame.
    iou : float
        Minimum IoU of a match, above 0.

    Returns
    -------
    int64[N]
        Rows of ``labels``.

    """
    matched = np.full(len(detections), -1, np.int64)
    if not len(labels):
        return matched
    table = iou_matrix(detections, labels)
    table[detections['class_id'][:, None] != labels['class_id'][None, :]] = 0
    for index in np.argsort(-detections['class_confidence'], kind='stable'):
        best = int(table[index].argmax())
        if table[index, best] >= iou:
            matched[index] = best
            table[:, best] = 0
    return matched


def count_classes(
    matches: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], classes: Sequence[str]
) -> dict[str, MatchCounts]:
    """Return the counts of every class; ``matches``: labels, detections and their matches."""
    counts = np.zeros((3, len(classes)), np.int64)
    for labels, detections, matched in matches:
        for row, chosen in enumerate((labels, detections, detections[matched >= 0])):
            counts[row] += np.bincount(chosen['class_id'], minlength=len(classes))
    return {name: MatchCounts(*column) for name, column in zip(classes, counts.T.tolist())}
