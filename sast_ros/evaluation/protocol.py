# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The protocol of an evaluation: how the labels of a recording are found, read and paired."""

from __future__ import annotations

from dataclasses import dataclass, replace
import math
from pathlib import Path

import numpy as np
from sast_ros.evaluation.box_filter import choose_box_filter
from sast_ros.evaluation.detections import RecordedDetections
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.formats.box_file import FrameClock, left_out, NO_CLOCK, stems
from sast_ros.evaluation.label_files import find_label_source, names_recording
from sast_ros.evaluation.labels import Labels, name_classes, read_labels
from sast_ros.evaluation.pairing import clip_labels, pair_last_window, pair_pooled, PairedRecording
from sast_ros.evaluation.topics import find_topics

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
    label_classes, detection_classes : tuple of str, optional
        Class names of labels and detections in class-id order, or changes of names; see
        ``name_classes``.
    label_topic : str, optional
        Topic of labels in a bag; by default the only one.
    label_frames : FrameClock
        Times of labels that have frame numbers.
    clip_labels : bool
        Whether labels are clipped to the frame.
    sensor_size : (int, int), optional
        Height and width in pixels, for detections that do not tell them.

    """

    name: str = 'last-window'
    boxes: str = 'auto'
    label_classes: tuple[str, ...] | None = None
    label_topic: str | None = None
    detection_classes: tuple[str, ...] | None = None
    label_frames: FrameClock = NO_CLOCK
    clip_labels: bool = False
    sensor_size: tuple[int, int] | None = None


def pair_recording(
    detected: RecordedDetections, labels_path: Path, protocol: Protocol, *, sole: bool = True
) -> PairedRecording:
    """
    Find the labels of a recording and pair them with its detections.

    Parameters
    ----------
    detected : RecordedDetections
        The detections.
    labels_path : Path
        File or folder with labels.
    protocol : Protocol
        How they are compared.
    sole : bool
        Whether no other recording is evaluated by these labels.

    Raises
    ------
    EvaluationError
        If there are no labels, or they do not belong to the detections.

    """
    unlabelled = None if _has_labels(detected, protocol.label_topic) else detected.path
    source = find_label_source(labels_path, detected.name, unlabelled)
    if not labels_path.is_dir() and detected.summary is not None:
        other = names_recording(source.path)
        if other is not None and other not in stems(detected.name):
            raise EvaluationError(
                f'{source.path} has the labels of {other}, {detected.path} the detections of '
                f'{detected.name}; name the labels of the same recording'
            )
    size = detected.sensor_size or protocol.sensor_size
    detected = replace(
        detected,
        classes=name_classes(
            protocol.detection_classes, detected.classes, partial=detected.partial
        ),
        sensor_size=size,
    )
    labels = read_labels(
        source.path,
        detected.name,
        protocol.label_classes,
        size,
        detected.classes,
        protocol.label_topic,
        protocol.label_frames,
        sole=sole and not labels_path.is_dir(),
    )
    notes = _odd_labels(labels, detected)
    if detected.is_part:
        labels = _in_the_part(labels, detected)
    clipped = removed = None
    if protocol.clip_labels:
        if size is None:
            raise EvaluationError(
                f'{detected.path}: --clip-labels needs the size of the sensor, which is unknown; '
                'give --sensor-size'
            )
        labels, clipped, removed = clip_labels(labels, size)
    paired = PROTOCOLS[protocol.name](labels, detected, choose_box_filter(protocol.boxes, size))
    if paired.left_out and detected.partial and not protocol.detection_classes:
        notes += (
            f'{detected.path}: only classes with detections are known, so that labels of '
            f'{", ".join(paired.left_out)} are left out; name all classes with '
            '--detection-classes, or record the LabelInfo with the messages',
        )
    return replace(
        paired,
        clipped=clipped,
        removed=removed,
        warnings=(*source.warnings, *labels.warnings, *notes, *detected.warnings),
    )


def _has_labels(detected: RecordedDetections, label_topic: str | None) -> bool:
    """Return whether the source of the detections is a bag that has labels on another topic."""
    if detected.topic is None:
        return False
    others = set(find_topics(detected.path)[0]) - {detected.topic}
    return label_topic in others if label_topic is not None else bool(others)


def _odd_labels(labels: Labels, detected: RecordedDetections) -> tuple[str, ...]:
    """Return how many labels can not be detected: without area, or outside the recording."""
    labels = labels.on_clock(detected.origin_us, detected.clock)
    boxes = labels.boxes
    notes = {'labels have no area': int(((boxes['w'] == 0) | (boxes['h'] == 0)).sum())}
    if detected.clock == 'recording':
        what = f'lie before or after {detected.name}'
        if detected.is_part:
            what = f'were left out: they lie before or after the part of {detected.name}'
        begin, end = _span(labels, detected)
        notes[f'labels {what}'] = int(((boxes['t'] < begin) | (boxes['t'] > end)).sum())
    return left_out(labels.path, notes)


def _span(labels: Labels, detected: RecordedDetections) -> tuple[float, float]:
    """Return begin and end of a recording on the clock of labels, infinite if unknown."""
    windows, shift = detected.windows, 0
    if labels.clock != detected.clock:
        if windows is None or not len(windows):
            return -math.inf, math.inf
        shift = int(windows['stamp_ns'][0] // 1000 - windows['t'][0])
    begin, end = detected.start_us, detected.end_us
    return (
        -math.inf if begin is None else begin + shift,
        math.inf if end is None else end + detected.stride_us + shift,
    )


def _in_the_part(labels: Labels, detected: RecordedDetections) -> Labels:
    """
    Return the labels of the part that was replayed.

    Raises
    ------
    EvaluationError
        If there are labels, but none of this part, which says nothing about objects in it.

    """
    labels = labels.on_clock(detected.origin_us, detected.clock)
    begin, end = _span(labels, detected)

    def kept(times: np.ndarray) -> np.ndarray:
        return (times >= begin) & (times <= end)

    times = labels.times[kept(labels.times)]
    if len(labels.times) and not len(times):
        raise EvaluationError(
            f'{labels.path} has labels from {labels.times[0] / 1e6:.3f} to '
            f'{labels.times[-1] / 1e6:.3f} s, none of the part of {detected.name} that was '
            f'replayed, {begin / 1e6:.3f} to {end / 1e6:.3f} s; replay a part with labels'
        )
    boxes, regions = (rows[kept(rows['t'])] for rows in (labels.boxes, labels.regions))
    return replace(labels, boxes=boxes, regions=regions, times=times)
