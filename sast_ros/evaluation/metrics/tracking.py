# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Metrics of tracks: do objects keep one number.

IDF1 (Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera
Tracking", ECCV workshops 2016) takes for each labelled object the one track that fits it best over
the whole recording. Identity switches and MOTA (Bernardin and Stiefelhagen, "Evaluating Multiple
Object Tracking Performance: The CLEAR MOT Metrics", 2008) count where the number changes. HOTA
(Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking", IJCV 2021) is
the geometric mean of detection and association accuracy, averaged over IoU thresholds.

F1 of the same boxes is what IDF1 would be with the right number at each of them.

Detections without a track are not part of a tracker's output and do not count. Objects are
compared within their class, in which a number is one object. Boxes that share their number with
another one of their class and time are as boxes without a number: labels are an object each,
detections do not count (TrackEval refuses the whole sequence). Sums over recordings and classes
are taken before ratios.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sast_ros.evaluation.metrics.matching import (
    IGNORED,
    iou_matrix,
    MatchedFrame,
    MatchedRecording,
    MIN_IOU,
)
from sast_ros.evaluation.pairing import PairedRecording
from sast_ros.labels import BOX_DTYPE
from sast_ros.tracking.assignment import assign

#: IoU thresholds of HOTA.
ALPHAS = np.arange(1, 20) / 20

_SMALLEST = np.finfo(np.float64).eps


@dataclass(frozen=True)
class TrackedFrame:
    """
    Objects and tracks of one time and class.

    Attributes
    ----------
    objects, tracks : int64[N], int64[M]
        Their numbers, from 0 and without gaps within a recording.
    iou : float64[N, M]
        Intersection over union of their boxes.

    """

    objects: np.ndarray
    tracks: np.ndarray
    iou: np.ndarray


@dataclass
class TrackCounts:
    """Sums from which the metrics follow; ``hota``: TP and summed association by threshold."""

    labels: int = 0
    detections: int = 0
    objects: int = 0
    tracks: int = 0
    identity_matches: int = 0
    matches: int = 0
    switches: int = 0
    hota: np.ndarray = field(default_factory=lambda: np.zeros((2, len(ALPHAS))))

    def __add__(self, other: TrackCounts) -> TrackCounts:
        return TrackCounts(*(getattr(self, n) + getattr(other, n) for n in self.__annotations__))

    def metrics(self) -> dict[str, Any]:
        """Return the metrics, JSON-ready, ``None`` without labels and detections."""
        total = self.labels + self.detections
        true, association = self.hota
        detection = np.divide(true, total - true, out=np.zeros_like(true), where=total > true)
        association = np.divide(association, true, out=np.zeros_like(true), where=true > 0)
        errors = total - 2 * self.matches + self.switches
        return {
            'IDF1': 2 * self.identity_matches / total if total else None,
            'F1': 2 * self.matches / total if total else None,
            'HOTA': float(np.sqrt(detection * association).mean()) if total else None,
            'DetA': float(detection.mean()) if total else None,
            'AssA': float(association.mean()) if total else None,
            'MOTA': 1 - errors / self.labels if self.labels else None,
            'id_switches': self.switches,
            'objects': self.objects,
            'tracks': self.tracks,
            'labels': self.labels,
            'detections': self.detections,
        }


def tracking_metrics(
    recordings: Sequence[MatchedRecording], classes: Sequence[str]
) -> dict[str, Any] | None:
    """
    Return the metrics of all classes together, and ``per_class``.

    ``None`` where no number of an object or no number of a detection comes twice: nothing was
    tracked there; and where frames pool several windows, each with a box of an object. Recordings
    whose labels have no numbers are left out; all tracks of one without labels are false.
    """
    if any(_pools_windows(frame) for one in recordings for frame in one.frames):
        return None
    known = [one for one in recordings if _has_tracks(_labels(one))]
    empty = [one for one in recordings if not any(map(len, _labels(one)))]
    chosen = [*known, *empty]
    if not known or not any(_has_tracks(map(_tracked, one.frames)) for one in chosen):
        return None
    sums = [TrackCounts() for _ in classes]
    for recording in chosen:
        for class_id in range(len(classes)):
            sums[class_id] += count_tracks(_frames(recording, class_id))
    return {
        **sum(sums, TrackCounts()).metrics(),
        'recordings': len(chosen),
        'per_class': {name: counts.metrics() for name, counts in zip(classes, sums)},
    }


def tracking_warnings(recordings: Iterable[PairedRecording]) -> list[str]:
    """Return a sentence for labels and for detections of a recording that share a number."""
    sentences = []
    for recording in recordings:
        for name, consequence in (
            ('labels', 'each is an object of its own'),
            ('detections', 'they do not count'),
        ):
            shared = [
                (frame.t, int(box['track_id']))
                for frame in recording.frames
                for boxes in [getattr(frame, name)]
                for box in boxes[_share_number(boxes) & (boxes['track_id'] > 0)]
            ]
            if shared:
                (t, number), count = shared[0], len(shared)
                sentences.append(
                    f'{recording.name}: {count} {name} share a track_id with another of their '
                    f'class and time, the first one {number} at {t / 1e6:.3f} s; in the metrics '
                    f'of tracks {consequence}'
                )
    return sentences


def _pools_windows(matched: MatchedFrame) -> bool:
    times = matched.frame.detections['t']
    return bool((times != times[:1]).any())


def _share_number(boxes: np.ndarray) -> np.ndarray:
    """Return which boxes have the number of another one of their class and time."""
    _, index, counts = np.unique(
        boxes[['t', 'class_id', 'track_id']], return_inverse=True, return_counts=True
    )
    return counts[index.reshape(len(boxes))] > 1


def _labels(recording: MatchedRecording) -> Iterable[np.ndarray]:
    return (one.frame.labels for one in recording.frames)


def _tracked(matched: MatchedFrame) -> np.ndarray:
    """Return the detections that belong to a track, without those in ignored regions."""
    found = matched.frame.detections
    counted = (found['track_id'] > 0) & ~_share_number(found)
    return found[counted & (matched.matched != IGNORED)]


def _has_tracks(frames: Iterable[np.ndarray]) -> bool:
    """Return whether numbers that are not shared come at several times."""
    whole = np.concatenate([np.zeros(0, BOX_DTYPE), *(one[~_share_number(one)] for one in frames)])
    # Frames may share a window, whose numbers are then no track
    different = np.unique(whole[whole['track_id'] > 0][['t', 'class_id', 'track_id']])
    return len(np.unique(different[['class_id', 'track_id']])) < len(different)


def _frames(recording: MatchedRecording, class_id: int) -> list[TrackedFrame]:
    pairs = [
        [rows[rows['class_id'] == class_id] for rows in (one.frame.labels, _tracked(one))]
        for one in recording.frames
    ]
    objects, tracks = (_numbers([pair[side] for pair in pairs]) for side in (0, 1))
    return [
        TrackedFrame(objects_there, tracks_there, iou_matrix(*pair))
        for objects_there, tracks_there, pair in zip(objects, tracks, pairs)
    ]


def _numbers(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the tracks of the boxes of each frame, counted from 0."""
    ends = np.cumsum([len(one) for one in frames], dtype=int)
    whole = np.concatenate([np.zeros(0, BOX_DTYPE), *frames])
    numbers = whole['track_id'].astype(np.int64)
    shared = np.concatenate([np.zeros(0, bool), *map(_share_number, frames)])
    numbers[shared] = -1 - np.arange(shared.sum())
    return np.split(np.unique(numbers, return_inverse=True)[1].reshape(-1), ends)[:-1]


def count_tracks(frames: Sequence[TrackedFrame]) -> TrackCounts:
    """Return the sums of one recording and class; frames in the order of time."""
    objects, tracks = (
        np.bincount(np.concatenate([*parts, np.zeros(0, np.int64)]))
        for parts in ([one.objects for one in frames], [one.tracks for one in frames])
    )
    together = np.zeros((len(objects), len(tracks)))  # frames in which both overlap
    alignment = np.zeros_like(together)
    for one in frames:
        cell = np.ix_(one.objects, one.tracks)
        together[cell] += one.iou >= MIN_IOU
        shared = one.iou.sum(axis=0) + one.iou.sum(axis=1)[:, None] - one.iou
        alignment[cell] += one.iou / np.maximum(shared, _SMALLEST)
    alignment /= np.maximum(objects[:, None] + tracks - alignment, _SMALLEST)
    matches, switches = _switches(frames, len(objects))
    return TrackCounts(
        labels=int(objects.sum()),
        detections=int(tracks.sum()),
        objects=len(objects),
        tracks=len(tracks),
        identity_matches=int(together[assign(together)].sum()),
        matches=matches,
        switches=switches,
        hota=_associations(frames, alignment, objects, tracks),
    )


def _switches(frames: Sequence[TrackedFrame], objects: int) -> tuple[int, int]:
    """
    Return the number of matches and of identity switches.

    An object keeps its track as long as both overlap enough; the others are assigned anew, for the
    most pairs and among these for the largest IoU.
    """
    last = np.full(objects, -1)
    matches = switches = 0
    for one in frames:
        weights = np.where(one.iou >= MIN_IOU, 1 + one.iou / 1000, 0)
        kept = last[one.objects][:, None] == one.tracks
        weights[kept & (weights > 0)] += 1000
        rows, columns = assign(weights)
        before, now = last[one.objects[rows]], one.tracks[columns]
        matches += len(rows)
        switches += int(((before >= 0) & (before != now)).sum())
        last[one.objects[rows]] = now
    return matches, switches


def _associations(
    frames: Sequence[TrackedFrame], alignment: np.ndarray, objects: np.ndarray, tracks: np.ndarray
) -> np.ndarray:
    """
    Return by threshold the number of matches, and the sum of the association scores of these.

    Matches prefer pairs that are together in the whole recording.
    """
    counts = np.zeros((len(ALPHAS), *alignment.shape))
    for one in frames:
        rows, columns = assign(alignment[np.ix_(one.objects, one.tracks)] * one.iou)
        reached = one.iou[rows, columns] >= ALPHAS[:, None] - _SMALLEST
        counts[:, one.objects[rows], one.tracks[columns]] += reached
    union = np.maximum(objects[:, None] + tracks - counts, 1)
    return np.stack([counts.sum(axis=(1, 2)), (counts * counts / union).sum(axis=(1, 2))])
