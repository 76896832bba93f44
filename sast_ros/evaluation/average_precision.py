"""
Mean average precision by the protocol of the Prophesee automotive data sets.

Every labelled time is an image of the COCO metric: average precision over 101 recall points, as
the mean over IoU .5 to .95 (``ap``), at .5 and at .75. Left out of labels and detections alike:
the first half second of a recording, and boxes that are too small. (E. Perot et al.: "Learning to
Detect Objects with a 1 Megapixel Event Camera", NeurIPS 2020; evaluation of its toolbox.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from sast_ros.evaluation.coco import coco_figures


@dataclass(frozen=True)
class BoxFilter:
    """
    Which boxes count.

    Parameters
    ----------
    diagonal: least diagonal in sensor pixels.
    side: least width and height in sensor pixels.
    skip_us: what happens up to this time of a recording is left out.

    """

    diagonal: float
    side: float
    skip_us: int = 500_000

    def __call__(self, boxes: np.ndarray) -> np.ndarray:
        """Return which boxes (with fields ``w`` and ``h``) are large enough, ``bool[N]``."""
        return (
            (boxes['w'] ** 2 + boxes['h'] ** 2 >= self.diagonal**2)
            & (boxes['w'] >= self.side)
            & (boxes['h'] >= self.side)
        )


#: The filters of the two data sets.
BOXES_GEN1 = BoxFilter(diagonal=30, side=10)
BOXES_1MPX = BoxFilter(diagonal=60, side=20)


@dataclass(frozen=True)
class AveragePrecision:
    """
    What detections are worth, each 0..1, NaN where there are no labels.

    Parameters
    ----------
    ap, ap50, ap75: mean over the classes that have labels.
    by_class: the three for each class name.
    labels: number of labels of each class name that counted.
    images: number of times that counted.

    """

    ap: float
    ap50: float
    ap75: float
    by_class: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    images: int = 0

    def as_dict(self) -> dict:
        """Return JSON-ready values; ``None`` stands for NaN."""

        def plain(value: float) -> float | None:
            return None if np.isnan(value) else round(value, 4)

        return {
            'ap': plain(self.ap),
            'ap50': plain(self.ap50),
            'ap75': plain(self.ap75),
            'by_class': {
                name: dict(zip(('ap', 'ap50', 'ap75'), map(plain, values)))
                for name, values in self.by_class.items()
            },
            'labels': self.labels,
            'images': self.images,
        }


def mean_average_precision(
    images: Iterable[tuple[np.ndarray, np.ndarray]],
    classes: Sequence[str],
    boxes: BoxFilter = BOXES_GEN1,
) -> AveragePrecision:
    """
    Return the mean average precision of detections.

    Parameters
    ----------
    images:
        labels and detections of one time of a recording each, as structured arrays with the fields
        ``t`` (microseconds since the start of the recording), ``x``, ``y``, ``w``, ``h`` (top left
        corner and size in sensor pixels) and ``class_id``; detections also have
        ``class_confidence``, and labels may have ``ignored``: a detection of this class there is
        neither right nor wrong. Which times have labels at all is the caller's knowledge; one
        without objects is an image too, on which every detection is wrong.
    classes:
        names in the order of the class ids.
    boxes:
        which boxes count, and from when on.

    """
    chosen: list[tuple[np.ndarray, np.ndarray]] = []
    for labels, found in images:
        times = np.concatenate([labels['t'], found['t']])
        if len(times) and int(times.min()) <= boxes.skip_us:
            continue
        chosen.append((labels[boxes(labels)], found[boxes(found)]))
    figures = coco_figures(chosen, classes)

    def triple(class_id: int | None = None) -> tuple[float, float, float]:
        ap, ap50, ap75 = (
            figures.average_precision(iou, class_id=class_id) for iou in (None, 0.5, 0.75)
        )
        return ap, ap50, ap75

    return AveragePrecision(
        *triple(),
        {name: triple(index) for index, name in enumerate(classes)},
        labels={name: int(count) for name, count in zip(classes, figures.labels)},
        images=len(chosen),
    )
