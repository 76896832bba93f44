# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The protocol of an evaluation: how the labels of a recording are found, read and paired."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sast_ros.evaluation.box_filter import choose_box_filter
from sast_ros.evaluation.detections import RecordedDetections
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.label_files import find_labels, stems
from sast_ros.evaluation.labels import read_labels
from sast_ros.evaluation.pairing import pair_last_window, pair_pooled, PairedRecording

#: By name, which detections a label is compared with.
PROTOCOLS = {'last-window': pair_last_window, 'prophesee-legacy': pair_pooled}


@dataclass(frozen=True)
class Protocol:
    """
    How detections are compared with labels.

    Attributes
    ----------
    name : str
        Key of ``PROTOCOLS``.
    boxes : str
        Key of ``BOX_FILTERS``, or ``'auto'``.
    label_classes : tuple of str, optional
        Class names of the labels in class-id order, for files that do not name them.
    label_topic : str, optional
        Topic of labels in a bag; by default the only one.

    """

    name: str = 'last-window'
    boxes: str = 'auto'
    label_classes: tuple[str, ...] | None = None
    label_topic: str | None = None


def pair_recording(
    detected: RecordedDetections, labels_path: Path, protocol: Protocol
) -> PairedRecording:
    """
    Find the labels of a recording and pair them with its detections.

    Raises
    ------
    EvaluationError
        If there are no labels, or they do not belong to the detections.

    """
    path = find_labels(labels_path, detected.name)
    stem = path.name.removesuffix('_bbox.npy')
    named = not labels_path.is_dir() and detected.summary is not None and stem != path.name
    if named and stem not in stems(detected.name):
        raise EvaluationError(
            f'{path} has the labels of {stem}, {detected.path} the detections of '
            f'{detected.name}; name the labels of the same recording'
        )
    labels = read_labels(
        path,
        detected.name,
        protocol.label_classes,
        detected.sensor_size,
        detected.classes,
        protocol.label_topic,
    )
    boxes = choose_box_filter(protocol.boxes, detected.sensor_size)
    return PROTOCOLS[protocol.name](labels, detected, boxes)
