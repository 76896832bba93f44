"""
Mean average precision by the protocol of the Prophesee automotive data sets.

Every labelled time is an image of the COCO metric: average precision over 101 recall points, as
the mean over IoU .5 to .95 (``ap``), at .5 and at .75. Left out of labels and detections alike:
the first half second of a recording, and boxes that are too small. (E. Perot et al.: "Learning to
Detect Objects with a 1 Megapixel Event Camera", NeurIPS 2020; evaluation of its toolbox.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import contextlib
from dataclasses import dataclass, field
import io

import numpy as np


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
    from faster_coco_eval import COCO, COCOeval_faster

    annotations: list[dict] = []
    results: list[dict] = []
    numbers: list[int] = []
    counted = np.zeros(len(classes), np.int64)
    for number, (labels, found) in enumerate(images, start=1):
        times = np.concatenate([labels['t'], found['t']])
        if len(times) and int(times.min()) <= boxes.skip_us:
            continue
        numbers.append(number)
        for row in labels[boxes(labels)]:
            ignored = 'ignored' in (labels.dtype.names or ()) and bool(row['ignored'])
            annotations.append(
                {
                    'id': len(annotations) + 1,
                    'image_id': number,
                    'category_id': int(row['class_id']),
                    'bbox': [float(row[name]) for name in 'xywh'],
                    'area': float(row['w']) * float(row['h']),
                    'iscrowd': int(ignored),
                }
            )
            counted[int(row['class_id'])] += not ignored
        results.extend(
            {
                'image_id': number,
                'category_id': int(row['class_id']),
                'bbox': [float(row[name]) for name in 'xywh'],
                'score': float(row['class_confidence']),
            }
            for row in found[boxes(found)]
        )
    nothing = (float('nan'),) * 3
    by_class = dict.fromkeys(classes, nothing)
    if counted.any():
        categories = [{'id': i, 'name': name} for i, name in enumerate(classes)]
        with contextlib.redirect_stdout(io.StringIO()):  # it talks
            truth = COCO(
                {
                    'images': [{'id': number} for number in numbers],
                    'categories': categories,
                    'annotations': annotations,
                }
            )
            if results:
                judge = COCOeval_faster(truth, truth.loadRes(results), 'bbox')
                judge.evaluate()
                judge.accumulate()
                # IoU thresholds x recall x classes x area ranges (0: all) x limits (2: 100)
                table = judge.eval['precision'][:, :, :, 0, 2]
            else:
                table = np.zeros((10, 101, len(classes)))
        for index, name in enumerate(classes):
            if counted[index]:
                column = table[:, :, index].clip(min=0)
                by_class[name] = (
                    float(column.mean()),
                    float(column[0].mean()),
                    float(column[5].mean()),
                )
    judged = [values for name, values in by_class.items() if not np.isnan(values[0])]
    ap, ap50, ap75 = np.mean(judged, axis=0).tolist() if judged else nothing
    return AveragePrecision(
        ap,
        ap50,
        ap75,
        by_class,
        labels={name: int(count) for name, count in zip(classes, counted)},
        images=len(numbers),
    )
