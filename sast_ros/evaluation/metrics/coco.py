# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The COCO metrics of labels and detections, computed by faster-coco-eval.

Everything is evaluated; which boxes and frames count is decided before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import contextlib
from dataclasses import dataclass
import io
from typing import Any

import numpy as np
from numpy.lib.recfunctions import append_fields

#: IoU thresholds of the COCO metrics.
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10).round(2)

#: Recall points at which the precision is sampled.
RECALL_POINTS = np.linspace(0, 1, 101).round(2)

#: Areas in square pixels, as in COCO: all, up to 32 x 32, up to 96 x 96, larger.
AREAS = ('all', 'small', 'medium', 'large')


@dataclass(frozen=True)
class CocoMetrics:
    """
    Precision and recall of all classes, thresholds and areas.

    Attributes
    ----------
    labels : int64[classes]
        Number of labels that are not ignored.
    precision : float64[10, 101, classes, 4]
        Over IoU thresholds, recall points, classes and areas; -1 without labels.
    recall : float64[10, classes, 4]
        Maximum recall with at most 100 detections per frame and class.
    scores : float64[101, classes]
        Score at which each recall point is reached at an IoU of .5; 0 if it is not reached.

    """

    labels: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    scores: np.ndarray

    def averages(self, class_id: int | None = None) -> dict[str, float]:
        """
        Return the means over recall points and classes, or of one class, 0..1; NaN without labels.

        ``AP`` over all thresholds, ``AP50`` and ``AP75`` at one, ``AP_small``, ``AP_medium`` and
        ``AP_large`` by area, and ``AR_100``, the maximum recall.
        """
        classes = slice(None) if class_id is None else slice(class_id, class_id + 1)
        precision, recall = self.precision[:, :, classes], self.recall[:, classes]
        tables = {
            'AP': precision[..., 0],
            'AP50': precision[0, ..., 0],
            'AP75': precision[5, ..., 0],
            **{f'AP_{area}': precision[..., 1 + index] for index, area in enumerate(AREAS[1:])},
            'AR_100': recall[..., 0],
        }
        known = {name: table[table > -1] for name, table in tables.items()}
        return {name: float(v.mean()) if v.size else float('nan') for name, v in known.items()}


def coco_metrics(
    frames: Iterable[tuple[np.ndarray, np.ndarray]], classes: Sequence[str]
) -> CocoMetrics:
    """
    Compute the COCO metrics.

    Parameters
    ----------
    frames : iterable of (BOX_DTYPE[N], BOX_DTYPE[M])
        Labels and detections of one time each. Labels may have a field ``ignored``: a detection of
        this class there is neither a true nor a false positive. In a frame without labels every
        detection is a false positive.
    classes : sequence of str
        Class names in class-id order; there must be no other ids.

    """
    from faster_coco_eval import COCO, COCOeval_faster

    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    counts = np.zeros(len(classes), np.int64)
    number = 0
    for number, (labels, detections) in enumerate(frames, start=1):
        ignored = np.zeros(len(labels), bool)
        if 'ignored' in (labels.dtype.names or ()):
            ignored = labels['ignored']
        counts += np.bincount(labels['class_id'][~ignored], minlength=len(classes))
        for row, crowd in zip(_rows(labels, number), ignored.tolist()):
            area = row['bbox'][2] * row['bbox'][3]
            row |= {'id': len(annotations) + 1, 'iscrowd': int(crowd), 'area': area}
            annotations.append(row)
        scores = detections['class_confidence'].tolist()
        results.extend(row | {'score': s} for row, s in zip(_rows(detections, number), scores))
    if not counts.any():
        precision = np.full(
            (len(IOU_THRESHOLDS), len(RECALL_POINTS), len(classes), len(AREAS)), -1.0
        )
        return CocoMetrics(counts, precision, precision[:, 0], np.zeros(precision.shape[1:3]))
    if not results:  # which the library does not take; one false positive is worth as much
        results.append({'image_id': 1, 'category_id': 0, 'bbox': [-2, -2, 1, 1], 'score': 0.0})
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        truth = COCO(
            {
                'images': [{'id': n} for n in range(1, number + 1)],
                'categories': [{'id': i, 'name': name} for i, name in enumerate(classes)],
                'annotations': annotations,
            }
        )
        evaluator = COCOeval_faster(truth, truth.loadRes(results), 'bbox')
        evaluator.evaluate()
        evaluator.accumulate()
    # The last axis: at most 1, 10 and 100 detections
    precision, recall, scores = (
        np.asarray(evaluator.eval[name])[..., 2] for name in ('precision', 'recall', 'scores')
    )
    return CocoMetrics(counts, precision, recall, scores[0, :, :, 0].clip(min=0))


def mark_ignored(
    labels: np.ndarray, regions: np.ndarray, ignored: np.ndarray | None = None
) -> np.ndarray:
    """
    Return labels and ignored regions together, with the field ``ignored``.

    ``ignored``: which labels are ignored, too, ``bool[N]``. Without any of them the labels are
    returned as they are.
    """
    if ignored is None:
        if not len(regions):
            return labels
        ignored = np.zeros(len(labels), bool)
    every = np.append(ignored, np.ones(len(regions), bool))
    boxes = np.concatenate([labels, regions]) if len(regions) else labels
    marked: np.ndarray = append_fields(boxes, 'ignored', every, usemask=False)
    return marked


def _rows(boxes: np.ndarray, image: int) -> list[dict[str, Any]]:
    columns = [boxes[name].astype(np.float64).tolist() for name in 'xywh']
    return [
        {'image_id': image, 'category_id': category, 'bbox': list(box)}
        for category, *box in zip(boxes['class_id'].tolist(), *columns)
    ]
