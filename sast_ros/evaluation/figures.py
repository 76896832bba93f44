"""
What a vehicle team asks beyond the mean average precision.

All of it is about detections of at least the operating score, but for the calibration, which is
about all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sast_ros.evaluation.coco import coco_figures, mark_ignored
from sast_ros.evaluation.matching import match, MatchCounts, MIN_IOU, OPERATING_SCORE
from sast_ros.evaluation.pairing import Pair, PairedRecording

#: Borders in pixels per second between standing, slow and fast objects.
SPEEDS = (10.0, 60.0)

_BINS = 10


@dataclass(frozen=True)
class Matched:
    """
    A pair and what became of it.

    ``choice``: ``int64[N]`` label of each detection, -1 for none.
    """

    recording: str
    pair: Pair
    choice: np.ndarray


def matched(recordings: Iterable[PairedRecording]) -> list[Matched]:
    """Match the detections of every pair, of all scores, at IoU .5."""
    return [
        Matched(recording.name, pair, match(pair.labels, pair.found))
        for recording in recordings
        for pair in recording.pairs
    ]


def operating_point(matches: Sequence[Matched], classes: Sequence[str]) -> dict[str, Any]:
    """Return precision and recall at the operating score, together and for each class."""
    counts = np.zeros((3, len(classes)), np.int64)
    for one in matches:
        sure = one.pair.found['class_confidence'] >= OPERATING_SCORE
        right = sure & (one.choice >= 0)
        for row, ids in enumerate(
            (
                one.pair.labels['class_id'],
                one.pair.found['class_id'][sure],
                one.pair.found['class_id'][right],
            )
        ):
            counts[row] += np.bincount(ids, minlength=len(classes))

    def facts(numbers: np.ndarray) -> dict[str, Any]:
        count = MatchCounts(*numbers.tolist())
        return {**asdict(count), 'precision': count.precision, 'recall': count.recall}

    return {
        'score': OPERATING_SCORE,
        'iou': MIN_IOU,
        **facts(counts.sum(axis=1)),
        'per_class': {name: facts(column) for name, column in zip(classes, counts.T)},
    }


def false_positives(
    recordings: Sequence[PairedRecording], classes: Sequence[str]
) -> dict[str, Any]:
    """Return false alarms per minute in the intervals without labels; see ``pairing``."""
    minutes = sum(recording.free_us for recording in recordings) / 60e6
    counts = np.zeros(len(classes), np.int64)
    for recording in recordings:
        sure = recording.free['class_confidence'] >= OPERATING_SCORE
        counts += np.bincount(recording.free['class_id'][sure], minlength=len(classes))
    return {
        'minutes_without_labels': minutes,
        'detections': int(counts.sum()),
        'per_minute': float(counts.sum() / minutes) if minutes else None,
        'per_class': {
            name: float(count / minutes) if minutes else None
            for name, count in zip(classes, counts)
        },
    }


def latency(matches: Sequence[Matched]) -> dict[str, Any]:
    """
    Return how long it takes until an object is found for the first time.

    From the first label of a track to the first of its labels with a detection; tracks that are
    there from the first label on may have come before and do not count.
    """
    tracks: dict[tuple[str, int], list[tuple[int, bool]]] = {}
    first: dict[str, int] = {}
    for one in matches:
        first.setdefault(one.recording, one.pair.t)
        sure = one.choice[one.pair.found['class_confidence'] >= OPERATING_SCORE]
        hit = np.isin(np.arange(len(one.pair.labels)), sure)
        for track, found in zip(one.pair.labels['track_id'].tolist(), hit.tolist()):
            tracks.setdefault((one.recording, track), []).append((one.pair.t, found))
    waits, never = [], 0
    for (recording, _), sights in tracks.items():
        if sights[0][0] == first[recording] or len(sights) < 2:
            continue
        times = [t for t, found in sights if found]
        if times:
            waits.append((times[0] - sights[0][0]) / 1000)
        else:
            never += 1
    quantiles = np.percentile(waits, (50, 90, 100)).tolist() if waits else [None] * 3
    return {
        'tracks': len(waits) + never,
        'never_found': never,
        'median_ms': quantiles[0],
        'p90_ms': quantiles[1],
        'max_ms': quantiles[2],
        'waits_ms': sorted(waits),
    }


def calibration(matches: Sequence[Matched]) -> dict[str, Any]:
    """Return how often detections of each score are right, and the expected calibration error."""
    scores = np.concatenate(
        [np.zeros(0, np.float32), *(one.pair.found['class_confidence'] for one in matches)]
    )
    right = np.concatenate([np.zeros(0, bool), *(one.choice >= 0 for one in matches)])
    which = np.minimum((scores * _BINS).astype(np.int64), _BINS - 1).clip(min=0)
    rows, error = [], 0.0
    for index in range(_BINS):
        chosen = which == index
        count = int(chosen.sum())
        score = float(scores[chosen].mean()) if count else None
        share = float(right[chosen].mean()) if count else None
        rows.append(
            {
                'least': index / _BINS,
                'most': (index + 1) / _BINS,
                'detections': count,
                'mean_score': score,
                'precision': share,
            }
        )
        if score is not None and share is not None:
            error += count / len(scores) * abs(score - share)
    return {'expected_error': error if len(scores) else None, 'bins': rows}


def by_event_rate(matches: Sequence[Matched], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the average precision in windows of few, some and many events, a third each."""
    rates = np.array([one.pair.events for one in matches])
    known = rates[np.isfinite(rates)]
    if not len(known):
        return []
    borders = [0.0, *np.quantile(known, [1 / 3, 2 / 3]).tolist(), float(known.max()) + 1]
    rows = []
    for least, most in zip(borders[:-1], borders[1:]):
        chosen = [
            (one.pair.labels, one.pair.found) for one in matches if least <= one.pair.events < most
        ]
        figures = coco_figures(chosen, classes)
        rows.append(
            {
                'least_mev_per_s': least / 1e6,
                'most_mev_per_s': most / 1e6,
                'images': len(chosen),
                'labels': int(figures.labels.sum()),
                'AP': figures.average_precision(),
                'AP50': figures.average_precision(0.5),
            }
        )
    return rows


def by_speed(matches: Sequence[Matched], classes: Sequence[str]) -> list[dict[str, Any]]:
    """
    Return the average precision of standing, slow and fast objects.

    The speed is that of the box's middle between the labels before and behind. Detections of
    objects of other speeds are neither right nor wrong; false alarms count everywhere.
    """
    speeds = _speeds(matches)
    if not any(np.isfinite(values).any() for values in speeds):
        return []
    borders = (0.0, *SPEEDS, float('inf'))
    rows = []
    for name, least, most in zip(('standing', 'slow', 'fast'), borders[:-1], borders[1:]):
        images = []
        for one, values in zip(matches, speeds):
            others = ~((values >= least) & (values < most))
            images.append((mark_ignored(one.pair.labels, others), one.pair.found))
        figures = coco_figures(images, classes)
        rows.append(
            {
                'name': name,
                'least_px_per_s': least,
                'most_px_per_s': None if most == float('inf') else most,
                'labels': int(figures.labels.sum()),
                'AP': figures.average_precision(),
                'AP50': figures.average_precision(0.5),
            }
        )
    return rows


def _speeds(matches: Sequence[Matched]) -> list[np.ndarray]:
    """Return the speed of every label in pixels per second, NaN where a track has only one."""
    tracks: dict[tuple[str, int], list[tuple[int, int, int, float, float]]] = {}
    for number, one in enumerate(matches):
        for row, label in enumerate(one.pair.labels):
            middle = label['x'] + label['w'] / 2, label['y'] + label['h'] / 2
            key = one.recording, int(label['track_id'])
            sight = one.pair.t, number, row, float(middle[0]), float(middle[1])
            tracks.setdefault(key, []).append(sight)
    speeds = [np.full(len(one.pair.labels), np.nan) for one in matches]
    for sights in tracks.values():
        if len(sights) < 2:
            continue
        times, numbers, rows, x, y = (np.array(column) for column in zip(*sights))
        if (np.diff(times) <= 0).any():  # two boxes with one id at a time: no track
            continue
        values = np.hypot(np.gradient(x, times / 1e6), np.gradient(y, times / 1e6))
        for number, row, value in zip(numbers, rows, values):
            speeds[number][row] = value
    return speeds
