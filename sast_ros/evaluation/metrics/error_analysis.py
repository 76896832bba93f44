# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Error analysis: the missed objects and false positives to look at first.

An error case is not one box in one frame but an object that stays missed, or a false positive that
stays: a car that is missed for two seconds is one case, not forty.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from sast_ros.evaluation.metrics.matching import (
    iou_matrix,
    MatchedFrame,
    MatchedRecording,
    MIN_IOU,
    OPERATING_SCORE,
)

#: Boxes with at least this IoU, and at most so far apart in time, belong together.
_SAME_PLACE = 0.3
_SAME_TIME_US = 1_000_000

#: IoU from which on a box is near another one.
_NEAR = 0.1

#: Score from which on a box below the operating score is named as the reason of a miss.
_MIN_LOW_SCORE = 0.1


@dataclass(frozen=True)
class ErrorCase:
    """
    A missed object, or a false positive, at the time that shows it best.

    Attributes
    ----------
    recording : str
        Name of the recording.
    t_end : int
        End of the window in microseconds on the clock of the detections.
    box : BOX_DTYPE
        The label or the detection.
    name : str
        Its class.
    duration_us : int
        For how long it was missed or detected.
    weight : float
        Rank, larger is worse; see ``worst_missed`` and ``worst_false_positives``.
    reason : str
        Probable reason in words.
    labels, detections : BOX_DTYPE[N]
        All labels and detections of that time.

    """

    recording: str
    t_end: int
    box: np.void
    name: str
    duration_us: int
    weight: float
    reason: str
    labels: np.ndarray
    detections: np.ndarray


def worst_missed(
    recordings: Iterable[MatchedRecording], limit: int
) -> tuple[list[ErrorCase], int]:
    """
    Return the worst missed objects, worst first, and the number of all.

    An object is a track of labels. Its weight is its size in pixels (the root of the area of its
    box, large objects are near) integrated over the seconds for which it was missed. It is shown
    where it was largest. Objects in the place of a worse one within a second (labels without
    tracks) are left out.
    """
    return _worst([case for one in recordings for case in _missed(one)], limit)


def worst_false_positives(
    recordings: Iterable[MatchedRecording], limit: int
) -> tuple[list[ErrorCase], int]:
    """
    Return the worst false positives, worst first, and the number of all.

    A false positive is a detection of at least the operating score that matches no label, also in
    intervals without labels. Boxes of one class that follow each other in one place are one case,
    shown at its highest score, which is its weight. Other classes in the place of a worse one
    within a second are left out.
    """
    return _worst([case for one in recordings for case in _false_positives(one)], limit)


def _missed(matched: MatchedRecording) -> list[ErrorCase]:
    recording, frames = matched.recording, matched.frames
    durations = _durations([frame.t for frame in recording.frames])
    tracks: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for number, frame in enumerate(frames):
        for row in frame.missed.tolist():
            label = frame.frame.labels[row]
            key = int(label['class_id']), int(label['track_id'])
            tracks.setdefault(key, []).append((number, row))
    cases = []
    for (class_id, _), sights in tracks.items():
        boxes = [frames[number].frame.labels[row] for number, row in sights]
        sizes = [float(np.sqrt(float(box['w']) * float(box['h']))) for box in boxes]
        lasts = [int(durations[number]) for number, _ in sights]
        number, row = sights[int(np.argmax(sizes))]
        shown = frames[number].frame
        reason, low_score = _explain_missed(frames[number], row, recording.classes)
        cases.append(
            ErrorCase(
                recording.name,
                shown.t_end,
                shown.labels[row],
                recording.classes[class_id],
                sum(lasts),
                sum(size * last for size, last in zip(sizes, lasts)) / 1e6,
                reason,
                shown.labels,
                np.concatenate([frames[number].reported, low_score]),
            )
        )
    return cases


def _explain_missed(
    matched: MatchedFrame, row: int, classes: tuple[str, ...]
) -> tuple[str, np.ndarray]:
    """Return a reason, and a box of the object with a low score if that is the reason."""
    labels, reported = matched.frame.labels, matched.reported
    scores = matched.frame.detections['class_confidence']
    low = matched.frame.detections[(scores >= _MIN_LOW_SCORE) & (scores < OPERATING_SCORE)]
    ious, low_ious = (iou_matrix(labels[[row]], boxes)[0] for boxes in (reported, low))
    unmatched = np.where(matched.reported_matches < 0, ious, 0)
    nearest = unmatched.max(initial=0)
    if nearest >= MIN_IOU:  # of another class, else it would match
        box = reported[unmatched.argmax()]
        name, score = classes[box['class_id']], box['class_confidence']
        return f'classified as {name} ({score:.2f})', low[:0]
    same = low[(low['class_id'] == labels['class_id'][row]) & (low_ious >= MIN_IOU)]
    if len(same):
        best = same[[same['class_confidence'].argmax()]]
        return f'score below the threshold: {best["class_confidence"][0]:.2f}', best
    if nearest >= _NEAR:
        return f'box not accurate enough: IoU {nearest:.2f}', low[:0]
    if ious.max(initial=0) >= _NEAR:
        name = classes[labels['class_id'][matched.reported_matches[ious.argmax()]]]
        return f'only another object ({name}) at this place was detected', low[:0]
    return 'no detection nearby', low[:0]


#: A false positive, the labels and the detections of its time; no labels in an interval without.
_Positive = tuple[np.void, 'np.ndarray | None', np.ndarray]


def _false_positives(matched: MatchedRecording) -> list[ErrorCase]:
    """Return the false positives; those that follow each other in one place are one case."""
    recording = matched.recording
    found: list[_Positive] = []
    for one in matched.frames:
        for box in one.reported[one.false_positives]:
            # In the legacy protocol a frame has those of three windows
            same_time = one.reported[one.reported['t'] == box['t']]
            found.append((box, one.frame.labels, same_time))
    rest = recording.unlabelled[recording.unlabelled['class_confidence'] >= OPERATING_SCORE]
    found += [(box, None, rest[rest['t'] == box['t']]) for box in rest]
    found.sort(key=lambda one: (int(one[0]['t']), -float(one[0]['class_confidence'])))
    durations = _durations([frame.t for frame in recording.frames])
    step = int(np.median(durations)) if len(durations) else 0
    cases = []
    for run in _runs(found):
        box, labels, detections = max(run, key=lambda one: one[0]['class_confidence'])
        reason = 'in an interval without labels'
        if labels is not None:
            reason = _explain_false_positive(box, labels, recording.classes)
        cases.append(
            ErrorCase(
                recording.name,
                int(box['t']),
                box,
                recording.classes[box['class_id']],
                int(run[-1][0]['t'] - run[0][0]['t']) + step,
                float(box['class_confidence']),
                reason,
                detections[:0] if labels is None else labels,
                detections,
            )
        )
    return cases


def _runs(found: Iterable[_Positive]) -> list[list[_Positive]]:
    """Group boxes of one class that follow each other in one place."""
    runs: list[list[_Positive]] = []
    active: list[list[_Positive]] = []
    for one in found:
        box = one[0]
        active = [run for run in active if box['t'] - run[-1][0]['t'] <= _SAME_TIME_US]
        fitting = [
            run
            for run in active
            if run[-1][0]['class_id'] == box['class_id'] and _iou(run[-1][0], box) >= _SAME_PLACE
        ]
        if fitting:
            fitting[-1].append(one)
        else:
            active.append([one])
            runs.append(active[-1])
    return runs


def _explain_false_positive(box: np.void, labels: np.ndarray, classes: tuple[str, ...]) -> str:
    ious = iou_matrix(np.array([box]), labels)[0]
    iou = ious.max(initial=0)
    if iou < _NEAR:
        return 'no label nearby'
    label = labels[ious.argmax()]
    name = classes[label['class_id']]
    if iou < MIN_IOU:
        return f'near a {name}, box not accurate enough: IoU {iou:.2f}'
    if label['class_id'] == box['class_id']:
        return f'duplicate of a {name}'
    return f'a {name} is labelled there'


def _worst(cases: list[ErrorCase], limit: int) -> tuple[list[ErrorCase], int]:
    chosen: list[ErrorCase] = []
    for one in sorted(cases, key=lambda one: (-one.weight, one.recording, one.t_end)):
        if len(chosen) == limit:
            break
        if not any(
            one.recording == other.recording
            and abs(one.t_end - other.t_end) <= _SAME_TIME_US
            and _iou(one.box, other.box) >= _SAME_PLACE
            for other in chosen
        ):
            chosen.append(one)
    return chosen, len(cases)


def _durations(times: list[int]) -> np.ndarray:
    """
    Return the microseconds that each annotated time stands for.

    Until the next one, but at most twice the usual step; a single one for a microsecond.
    """
    steps = np.diff(np.array(times, np.int64))
    usual = int(np.median(steps)) if len(steps) else 1
    return np.append(steps.clip(max=2 * usual), usual) if len(times) else steps


def _iou(one: np.void, other: np.void) -> float:
    return float(iou_matrix(np.array([one]), np.array([other]))[0, 0])
