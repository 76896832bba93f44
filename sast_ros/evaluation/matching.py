"""
Right and wrong boxes at one score: precision and recall.

Average precision asks how well all scores are ordered; this asks what a user of the detections
gets at the score that they cut at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from sast_ros.evaluation.average_precision import BOXES_GEN1, BoxFilter

#: Detections with at least this score are taken for true where boxes are shown or counted.
OPERATING_SCORE = 0.3

#: Overlap (IoU) from which on a detection and a label mean the same object.
MIN_IOU = 0.5


@dataclass(frozen=True)
class MatchCounts:
    """
    Counts of one class.

    ``labels``: objects that were there; ``detections``: boxes that were reported; ``matches``:
    pairs of the two.
    """

    labels: int
    detections: int
    matches: int

    @property
    def precision(self) -> float | None:
        """Share of the detections that are right, ``None`` if there are none."""
        return self.matches / self.detections if self.detections else None

    @property
    def recall(self) -> float | None:
        """Share of the objects that were found, ``None`` if there are none."""
        return self.matches / self.labels if self.labels else None


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """
    Return the intersection over union of all pairs of boxes.

    ``first`` ``[N]`` and ``second`` ``[M]`` are structured arrays with the fields ``x``, ``y``,
    ``w``, ``h``; the result is ``float64[N, M]``, 0 where both are without area.
    """
    a, b = (
        np.stack([boxes[name].astype(np.float64) for name in 'xywh'], axis=1)
        for boxes in (first, second)
    )
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    union = a[:, None, 2:].prod(axis=2) + b[None, :, 2:].prod(axis=2) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def match(labels: np.ndarray, detections: np.ndarray, iou: float = MIN_IOU) -> np.ndarray:
    """
    Return which label each detection of one time stands for, ``int64[N]``, -1 for none.

    As in the metrics of Pascal VOC and COCO: the detections choose in the order of their scores,
    each the label of its class that it overlaps most (by at least ``iou``) among those which
    nobody has chosen. Of equals the first one counts.

    Parameters
    ----------
    labels:
        structured array ``[M]`` with the fields ``x``, ``y``, ``w``, ``h``, ``class_id``.
    detections:
        the same, ``[N]``, with ``class_confidence`` too.
    iou:
        least overlap, above 0.

    """
    matched = np.full(len(detections), -1, np.int64)
    if not len(labels):
        return matched
    table = overlaps(detections, labels)
    table[detections['class_id'][:, None] != labels['class_id'][None, :]] = 0
    for index in np.argsort(-detections['class_confidence'], kind='stable'):
        best = int(table[index].argmax())
        if table[index, best] >= iou:
            matched[index] = best
            table[:, best] = 0
    return matched


def count_matches(
    images: Iterable[tuple[np.ndarray, np.ndarray]],
    classes: Sequence[str],
    score: float = OPERATING_SCORE,
    boxes: BoxFilter = BOXES_GEN1,
    iou: float = MIN_IOU,
) -> dict[str, MatchCounts]:
    """
    Return the counts of every class over all labelled times of a recording.

    Parameters
    ----------
    images:
        labels and detections of one time each, ``BOX_DTYPE`` arrays; ``t`` counts from the start
        of the recording.
    classes:
        names in the order of the class ids; other ids are not counted.
    score:
        detections with a lower one are left out.
    boxes:
        which boxes count, of labels and detections alike, and from when on.
    iou:
        least overlap.

    """
    counts = np.zeros((3, len(classes)), np.int64)
    for labels, detections in images:
        labels = labels[boxes(labels) & (labels['t'] > boxes.skip_us)]
        detections = detections[
            boxes(detections)
            & (detections['t'] > boxes.skip_us)
            & (detections['class_confidence'] >= score)
        ]
        right = detections[match(labels, detections, iou) >= 0]
        for row, found in enumerate((labels, detections, right)):
            ids = found['class_id'][found['class_id'] < len(classes)]
            counts[row] += np.bincount(ids.astype(np.int64), minlength=len(classes))
    return {
        name: MatchCounts(*(int(count) for count in column))
        for name, column in zip(classes, counts.T, strict=True)
    }
