"""
The COCO metric on labels and detections of single times, computed by faster-coco-eval.

Nothing is left out here but what the metric itself leaves out; which boxes and times count is
decided before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import contextlib
from dataclasses import dataclass
import io
from typing import Any

import numpy as np
from sast_ros.errors import MissingPackageError

#: Overlaps at which the metric asks whether a detection is right.
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10).round(2)

#: Recall points at which a precision is known.
RECALL_POINTS = np.linspace(0, 1, 101).round(2)

#: Areas in square pixels, as in COCO: up to 32 x 32, up to 96 x 96, larger.
AREAS = ('all', 'small', 'medium', 'large')

#: Most detections of one time and class, those with the best scores.
MOST = 100


@dataclass(frozen=True)
class CocoFigures:
    """
    What the metric says.

    Parameters
    ----------
    classes: names in the order of the class ids.
    labels: ``int64[classes]``, labels that count.
    precision: ``float64[10, 101, classes, 4]`` over IoU thresholds, recall points, classes and
        areas; -1 where there are no labels.
    recall: ``float64[10, classes, 4]``, largest recall with at most 100 detections.
    scores: ``float64[101, classes]``, score at which each recall point is reached at IoU .5; 0
        where it is not reached.

    """

    classes: tuple[str, ...]
    labels: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    scores: np.ndarray

    def average_precision(
        self, iou: float | None = None, area: str = 'all', class_id: int | None = None
    ) -> float:
        """
        Return the mean precision over recall points and classes, 0..1; NaN without labels.

        iou: one threshold, or ``None`` for the mean over all ten; area: one of ``AREAS``.
        """
        table = self.precision[_thresholds(iou), :, _classes(class_id), AREAS.index(area)]
        return _mean(table)

    def average_recall(
        self, iou: float | None = None, area: str = 'all', class_id: int | None = None
    ) -> float:
        """Return the mean of the largest recalls, 0..1; NaN without labels."""
        return _mean(self.recall[_thresholds(iou), _classes(class_id), AREAS.index(area)])


def _thresholds(iou: float | None) -> slice:
    if iou is None:
        return slice(None)
    index = int(np.flatnonzero(np.isclose(IOU_THRESHOLDS, iou))[0])
    return slice(index, index + 1)


def _classes(class_id: int | None) -> slice:
    return slice(None) if class_id is None else slice(class_id, class_id + 1)


def _mean(table: np.ndarray) -> float:
    known = table[table > -1]
    return float(known.mean()) if known.size else float('nan')


def coco_figures(
    images: Iterable[tuple[np.ndarray, np.ndarray]], classes: Sequence[str]
) -> CocoFigures:
    """
    Judge detections.

    Parameters
    ----------
    images:
        labels and detections of one time each, as structured arrays with the fields ``x``, ``y``,
        ``w``, ``h`` (top left corner and size in pixels) and ``class_id``; detections also have
        ``class_confidence``, and labels may have ``ignored``: a detection of this class there is
        neither right nor wrong. A time without labels is an image too, on which every detection is
        wrong.
    classes:
        names in the order of the class ids; there must be no other ids.

    Raises
    ------
    ImportError: faster-coco-eval is not installed.

    """
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f'scoring needs {error.name}, which is not installed; pip install faster-coco-eval'
        ) from error
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    counted = np.zeros(len(classes), np.int64)
    number = 0
    for number, (labels, found) in enumerate(images, start=1):
        ignored = _ignored(labels)
        counted += np.bincount(labels['class_id'][~ignored], minlength=len(classes))
        for row, crowd in zip(_rows(labels, number), ignored.tolist()):
            row |= {'id': len(annotations) + 1, 'iscrowd': int(crowd)}
            row['area'] = row['bbox'][2] * row['bbox'][3]
            annotations.append(row)
        scores = found['class_confidence'].tolist()
        results.extend(row | {'score': s} for row, s in zip(_rows(found, number), scores))
    shape = (len(IOU_THRESHOLDS), len(RECALL_POINTS), len(classes), len(AREAS))
    if not (results and counted.any()):
        precision = np.where(counted > 0, 0.0, -1.0)[:, None] * np.ones(shape)
        return CocoFigures(
            tuple(classes), counted, precision, precision[:, 0], np.zeros(shape[1:3])
        )
    with contextlib.redirect_stdout(io.StringIO()):  # it talks
        truth = COCO(
            {
                'images': [{'id': n} for n in range(1, number + 1)],
                'categories': [{'id': i, 'name': name} for i, name in enumerate(classes)],
                'annotations': annotations,
            }
        )
        judge = COCOeval_faster(truth, truth.loadRes(results), 'bbox')
        judge.evaluate()
        judge.accumulate()
    # The last axis of all: limits of 1, 10 and 100 detections
    precision, recall, scores = (judge.eval[name] for name in ('precision', 'recall', 'scores'))
    return CocoFigures(
        tuple(classes),
        counted,
        np.asarray(precision)[..., 2],
        np.asarray(recall)[..., 2],
        np.asarray(scores)[0, :, :, 0, 2].clip(min=0),
    )


def mark_ignored(labels: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    """Return the labels with the field ``ignored``, ``bool[N]``."""
    marked = np.zeros(len(labels), np.dtype([*labels.dtype.descr, ('ignored', '?')]))
    for name in labels.dtype.names or ():
        marked[name] = labels[name]
    marked['ignored'] = ignored
    return marked


def _ignored(labels: np.ndarray) -> np.ndarray:
    if 'ignored' in (labels.dtype.names or ()):
        return np.asarray(labels['ignored'], bool)
    return np.zeros(len(labels), bool)


def _rows(boxes: np.ndarray, image: int) -> list[dict[str, Any]]:
    columns = [boxes[name].astype(np.float64).tolist() for name in 'xywh']
    return [
        {'image_id': image, 'category_id': category, 'bbox': list(box)}
        for category, *box in zip(boxes['class_id'].tolist(), *columns)
    ]
