# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""All metrics of a set of recordings, as ``sast-ros evaluate --json`` writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
import math
from typing import Any

import numpy as np
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.metrics.breakdown import by_event_rate, by_speed
from sast_ros.evaluation.metrics.calibration import score_calibration, ScoredDetections
from sast_ros.evaluation.metrics.coco import coco_metrics, CocoMetrics, mark_ignored, RECALL_POINTS
from sast_ros.evaluation.metrics.latency import latency
from sast_ros.evaluation.metrics.matching import match_recording
from sast_ros.evaluation.metrics.operating_point import false_positives, operating_point
from sast_ros.evaluation.metrics.tracking import tracking_metrics, tracking_warnings
from sast_ros.evaluation.pairing import PairedRecording


def compute_metrics(recordings: Sequence[PairedRecording]) -> dict[str, Any]:
    """
    Compute the metrics of recordings together; they are taken in the order of their names.

    Returns
    -------
    dict
        JSON-ready, ``None`` for unknown values: ``AP``, ``AP50``, ``AP75``, ``AP_small``,
        ``AP_medium``, ``AP_large``, ``AR_100``, ``per_class`` with the same and the
        precision-recall curves, and the metrics of the other modules. Only where there are any:
        ``ignored_regions``, ``labels_clipped`` and ``labels_clipped_away`` (numbers),
        ``label_warnings``, and ``live`` with the windows that nodes ``published`` and ``dropped``
        and the ``frames_without_window``.

    Raises
    ------
    EvaluationError
        If there are no recordings, their classes differ, or no label passed the box filter.

    """
    recordings = sorted(recordings, key=lambda recording: recording.name)
    classes = common_classes(recordings)
    frames = [frame for recording in recordings for frame in recording.frames]
    coco = coco_metrics(
        ((mark_ignored(frame.labels, frame.regions), frame.detections) for frame in frames),
        classes,
    )
    if not coco.labels.any():
        raise EvaluationError(
            'no label is evaluated: there are none, or all are too small or in the first half '
            'second; give a recording with labels, or --boxes all to include small ones'
        )
    matched = [match_recording(recording) for recording in recordings]
    matched_frames = [one for whole in matched for one in whole.frames]
    point = operating_point(matched, classes)
    left_out = sum((Counter(recording.left_out) for recording in recordings), Counter())
    result: dict[str, Any] = _plain(
        {
            **coco.averages(),
            'classes': list(classes),
            'images': len(frames),
            'labels': int(coco.labels.sum()),
            'detections': sum(len(frame.detections) for frame in frames),
            'labels_left_out': dict(left_out),
            **_label_notes(recordings),
            'per_class': {
                name: _class_metrics(coco, index, point['per_class'][name])
                for index, name in enumerate(classes)
            },
            'operating_point': point,
            'false_positives': false_positives(recordings, classes),
            'latency': latency(matched),
            'by_event_rate': by_event_rate(frames, classes),
            'by_speed': by_speed(recordings, classes),
            'tracking': tracking_metrics(matched, classes),
            'calibration': score_calibration(ScoredDetections.of(matched_frames)),
            'recordings': [
                {
                    'name': recording.name,
                    'images': len(recording.frames),
                    'labels': sum(len(frame.labels) for frame in recording.frames),
                    'detections': sum(len(frame.detections) for frame in recording.frames),
                }
                for recording in recordings
            ],
        }
    )
    return result


def _label_notes(recordings: Sequence[PairedRecording]) -> dict[str, Any]:
    """Return what is special about the labels, only what there is."""
    notes: dict[str, Any] = {}
    regions = sum(len(frame.regions) for one in recordings for frame in one.frames)
    if regions:
        notes['ignored_regions'] = regions
    if any(one.clipped is not None for one in recordings):
        notes['labels_clipped'] = sum(one.clipped or 0 for one in recordings)
        notes['labels_clipped_away'] = sum(one.removed or 0 for one in recordings)
    live = [(one.live, one.without_window) for one in recordings if one.live is not None]
    if live:
        notes['live'] = {
            'published': sum(run.published for run, _ in live),
            'dropped': sum(run.dropped for run, _ in live),
            'frames_without_window': sum(frames for _, frames in live),
        }
    warnings = [warning for one in recordings for warning in one.warnings]
    warnings += tracking_warnings(recordings)
    if warnings:
        notes['label_warnings'] = list(dict.fromkeys(warnings))
    return notes


def common_classes(recordings: Sequence[PairedRecording]) -> tuple[str, ...]:
    """
    Return the classes of recordings.

    Raises
    ------
    EvaluationError
        If there are no recordings, or their classes differ.

    """
    if not recordings:
        raise EvaluationError('there is no recording to evaluate; name detections or recordings')
    first = recordings[0]
    for other in recordings:
        if other.classes != first.classes:
            raise EvaluationError(
                f'{other.name} has the classes {", ".join(other.classes)}, {first.name} has '
                f'{", ".join(first.classes)}; evaluate them one by one'
            )
    return first.classes


def _class_metrics(coco: CocoMetrics, class_id: int, point: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics of one class, with precision and score at each recall (IoU .5)."""
    labels = int(coco.labels[class_id])
    curve = {
        'recall': RECALL_POINTS,
        'precision': coco.precision[0, :, class_id, 0],
        'score': coco.scores[:, class_id],
    }
    return {
        **coco.averages(class_id),
        'labels': labels,
        'precision': point['precision'],
        'recall': point['recall'],
        'curve': {name: values.tolist() for name, values in curve.items()} if labels else None,
    }


def _plain(value: Any) -> Any:
    """Return the value with ``None`` for everything that is not finite, as JSON requires."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
