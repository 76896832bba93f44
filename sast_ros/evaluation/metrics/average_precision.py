"""
Mean average precision by the protocol of the Prophesee automotive data sets.

Every annotated time is an image of the COCO metric: average precision over 101 recall points, as
the mean over IoU .5 to .95 (``ap``), at .5 and at .75. The first half second of a recording and
small boxes, labels and detections alike, are left out. (E. Perot et al.: "Learning to Detect
Objects with a 1 Megapixel Event Camera", NeurIPS 2020; evaluation of its toolbox.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sast_ros.evaluation.box_filter import BOXES_GEN1, BoxFilter
from sast_ros.evaluation.metrics.coco import coco_metrics


@dataclass(frozen=True)
class AveragePrecision:
    """
    Average precision of detections, each 0..1, NaN without labels.

    Parameters
    ----------
    ap, ap50, ap75 : float
        Mean over the classes that have labels.
    by_class : dict of str to (float, float, float)
        The same three of each class.
    labels : dict of str to int
        Number of labels of each class that were evaluated.
    images : int
        Number of frames that were evaluated.

    """

    ap: float
    ap50: float
    ap75: float
    by_class: dict[str, tuple[float, float, float]]
    labels: dict[str, int]
    images: int

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; ``None`` stands for NaN."""

        def named(values: tuple[float, float, float]) -> dict[str, float | None]:
            rounded = (None if np.isnan(value) else round(value, 4) for value in values)
            return dict(zip(('ap', 'ap50', 'ap75'), rounded))

        return {
            **named((self.ap, self.ap50, self.ap75)),
            'by_class': {name: named(values) for name, values in self.by_class.items()},
            'labels': self.labels,
            'images': self.images,
        }


def mean_average_precision(
    frames: Iterable[tuple[np.ndarray, np.ndarray]],
    classes: Sequence[str],
    boxes: BoxFilter = BOXES_GEN1,
) -> AveragePrecision:
    """
    Return the mean average precision of detections.

    Parameters
    ----------
    frames : iterable of (BOX_DTYPE[N], BOX_DTYPE[M])
        Labels and detections of one annotated time each, with ``t`` in microseconds since the
        start of the recording; see ``coco_metrics``.
    classes : sequence of str
        Class names in class-id order.
    boxes : BoxFilter
        Which boxes are evaluated, and from when on.

    Raises
    ------
    MissingPackageError
        If faster-coco-eval is not installed.

    """
    chosen: list[tuple[np.ndarray, np.ndarray]] = []
    for labels, detections in frames:
        times = np.concatenate([labels['t'], detections['t']])
        if not len(times) or int(times.min()) > boxes.skip_us:
            chosen.append((labels[boxes(labels)], detections[boxes(detections)]))
    metrics = coco_metrics(chosen, classes)

    def triple(class_id: int | None = None) -> tuple[float, float, float]:
        ap, ap50, ap75 = (
            metrics.average_precision(iou, class_id=class_id) for iou in (None, 0.5, 0.75)
        )
        return ap, ap50, ap75

    return AveragePrecision(
        *triple(),
        {name: triple(index) for index, name in enumerate(classes)},
        dict(zip(classes, metrics.labels.tolist())),
        len(chosen),
    )
