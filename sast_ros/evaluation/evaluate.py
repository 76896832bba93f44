"""Everything that is said about the detections of recordings, from files to figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
from pathlib import Path
from typing import Any

import numpy as np
from sast_ros.evaluation import figures
from sast_ros.evaluation.average_precision import BOXES_1MPX, BOXES_GEN1, BoxFilter
from sast_ros.evaluation.coco import coco_figures, CocoFigures, RECALL_POINTS
from sast_ros.evaluation.detected import Detected
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.labels import find_labels, Labels, read_labels, stems
from sast_ros.evaluation.pairing import pair, PairedRecording, pool

#: By name, which detections a label is compared with.
PROTOCOLS = {'last-window': pair, 'prophesee-legacy': pool}

#: By name, which boxes count; ``auto`` goes by the sensor.
BOX_FILTERS = {'gen1': BOXES_GEN1, '1mpx': BOXES_1MPX, 'all': BoxFilter(0, 0)}

#: Rows from which a sensor has the box filter of the 1 megapixel data set.
_LARGE = 720


@dataclass(frozen=True)
class Protocol:
    """
    How detections are judged.

    Parameters
    ----------
    name: one of ``PROTOCOLS``.
    boxes: one of ``BOX_FILTERS``, or ``'auto'``.
    label_classes: class names of the labels in class-id order; ``None`` where they tell.
    label_topic: topic of labels in a bag, ``None`` for the only one.

    """

    name: str = 'last-window'
    boxes: str = 'auto'
    label_classes: tuple[str, ...] | None = None
    label_topic: str | None = None

    def box_filter(self, sensor_size: tuple[int, int] | None) -> BoxFilter:
        """Return which boxes count on a sensor of (height, width) pixels."""
        if self.boxes != 'auto':
            return BOX_FILTERS[self.boxes]
        return BOXES_1MPX if sensor_size is not None and sensor_size[0] >= _LARGE else BOXES_GEN1


def pair_recording(detected: Detected, labels_path: Path, protocol: Protocol) -> PairedRecording:
    """
    Find the labels of a recording and pair them with its detections.

    Raises
    ------
    EvaluationError: there are no labels, or they do not belong to the detections.

    """
    path = find_labels(labels_path, detected.name)
    _check_name(path, labels_path, detected)
    labels: Labels = read_labels(
        path,
        detected.name,
        protocol.label_classes,
        detected.sensor_size,
        detected.classes,
        protocol.label_topic,
    )
    return PROTOCOLS[protocol.name](labels, detected, protocol.box_filter(detected.sensor_size))


def _check_name(path: Path, given: Path, detected: Detected) -> None:
    """Refuse the labels of one recording for another one."""
    if given.is_dir() or detected.summary is None or not path.name.endswith('_bbox.npy'):
        return
    stem = path.name.removesuffix('_bbox.npy')
    if stem not in stems(detected.name):
        raise EvaluationError(
            f'{path} has the labels of {stem}, {detected.path} the detections of '
            f'{detected.name}; name the labels of the same recording'
        )


def evaluate(recordings: Sequence[PairedRecording]) -> dict[str, Any]:
    """
    Judge recordings together; they are taken in the order of their names.

    Returns
    -------
    JSON-ready figures, ``None`` where there is nothing to be judged: ``AP``, ``AP50``, ``AP75``,
    ``AP_small``, ``AP_medium``, ``AP_large``, ``AR_100``, ``per_class`` with the same and the
    curves, and what ``figures`` adds.

    Raises
    ------
    EvaluationError: no recordings, recordings with other classes, or no label that counts.

    """
    recordings = sorted(recordings, key=lambda recording: recording.name)
    if not recordings:
        raise EvaluationError('there is no recording to judge; name detections or recordings')
    classes = recordings[0].classes
    for recording in recordings:
        if recording.classes != classes:
            raise EvaluationError(
                f'{recording.name} has the classes {", ".join(recording.classes)}, '
                f'{recordings[0].name} has {", ".join(classes)}; judge them one by one'
            )
    images = [(one.labels, one.found) for recording in recordings for one in recording.pairs]
    coco = coco_figures(images, classes)
    if not coco.labels.any():
        raise EvaluationError(
            'no label counts: all are too small or in the first half second; take --boxes all for '
            'small ones'
        )
    matches = figures.matched(recordings)
    point = figures.operating_point(matches, classes)
    left_out: dict[str, int] = {}
    for recording in recordings:
        for name, count in recording.left_out.items():
            left_out[name] = left_out.get(name, 0) + count
    content = {
        **_averages(coco, None),
        'classes': list(classes),
        'images': len(images),
        'labels': int(coco.labels.sum()),
        'detections': sum(len(found) for _, found in images),
        'labels_left_out': left_out,
        'per_class': {
            name: {
                **_averages(coco, index),
                'labels': int(coco.labels[index]),
                'precision': point['per_class'][name]['precision'],
                'recall': point['per_class'][name]['recall'],
                'curve': _curve(coco, index),
            }
            for index, name in enumerate(classes)
        },
        'operating_point': point,
        'false_positives': figures.false_positives(recordings, classes),
        'latency': figures.latency(matches),
        'by_event_rate': figures.by_event_rate(matches, classes),
        'by_speed': figures.by_speed(matches, classes),
        'calibration': figures.calibration(matches),
        'recordings': [
            {
                'name': recording.name,
                'images': len(recording.pairs),
                'labels': sum(len(one.labels) for one in recording.pairs),
                'detections': sum(len(one.found) for one in recording.pairs),
            }
            for recording in recordings
        ],
    }
    plain: dict[str, Any] = _plain(content)
    return plain


def _averages(coco: CocoFigures, class_id: int | None) -> dict[str, float]:
    return {
        'AP': coco.average_precision(class_id=class_id),
        'AP50': coco.average_precision(0.5, class_id=class_id),
        'AP75': coco.average_precision(0.75, class_id=class_id),
        **{
            f'AP_{area}': coco.average_precision(area=area, class_id=class_id)
            for area in ('small', 'medium', 'large')
        },
        'AR_100': coco.average_recall(class_id=class_id),
    }


def _curve(coco: CocoFigures, class_id: int) -> dict[str, list[float]] | None:
    """Return precision and score at every recall point, IoU .5."""
    if not coco.labels[class_id]:
        return None
    return {
        'recall': RECALL_POINTS.tolist(),
        'precision': coco.precision[0, :, class_id, 0].tolist(),
        'score': coco.scores[:, class_id].tolist(),
    }


def _plain(value: Any) -> Any:
    """Return the value with ``None`` for everything that is not finite, which JSON cannot say."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
