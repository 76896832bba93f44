# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Mean average precision by the protocol of the Prophesee automotive data sets.

Every annotated time is an image of the COCO metric: average precision over 101 recall points, as
the mean over IoU .5 to .95 (``ap``), at .5 and at .75. The first half second of a recording and
small boxes, labels and detections alike, are left out. (E. Perot et al.: "Learning to Detect
Objects with a 1 Megapixel Event Camera", NeurIPS 2020; evaluation of its toolbox.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sast_ros.evaluation.box_filter import BOXES_GEN1, BoxFilter
from sast_ros.evaluation.metrics.coco import coco_metrics


def mean_average_precision(
    frames: Iterable[tuple[np.ndarray, np.ndarray]],
    classes: Sequence[str],
    boxes: BoxFilter = BOXES_GEN1,
) -> dict[str, Any]:
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

    Returns
    -------
    dict
        JSON-ready: ``ap``, ``ap50`` and ``ap75``, 0..1, ``None`` without labels; ``by_class`` with
        the same; ``labels``, number of labels of each class; ``images``, number of frames.

    """
    chosen: list[tuple[np.ndarray, np.ndarray]] = []
    for labels, detections in frames:
        times = np.concatenate([labels['t'], detections['t']])
        if not len(times) or int(times.min()) > boxes.skip_us:
            chosen.append((labels[boxes(labels)], detections[boxes(detections)]))
    metrics = coco_metrics(chosen, classes)

    def averages(class_id: int | None = None) -> dict[str, float | None]:
        values = metrics.averages(class_id)
        return {
            name.lower(): None if np.isnan(values[name]) else round(values[name], 4)
            for name in ('AP', 'AP50', 'AP75')
        }

    return {
        **averages(),
        'by_class': {name: averages(index) for index, name in enumerate(classes)},
        'labels': dict(zip(classes, metrics.labels.tolist())),
        'images': len(chosen),
    }
