# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What a network detects in recordings, as labels to train on.

It looks at a recording forwards and backwards in time, and at mirror images of both. What it sees
from both directions, for long enough, is a target of the loss. What it sees from one direction
only, for a moment, or with a low score is ignored: neither object nor background. Wu et al. 2024
(LEOD, CVPR) label event recordings in this way.

A window backwards in time has its bins in the opposite order and its polarities exchanged: where
a pixel became brighter (ON), it becomes darker (OFF) when time runs backwards. The channels of a
histogram are ``polarity * bins + bin``, so that both together are the channels in the opposite
order. The edges of the bins are rounded to microseconds, and an event may thus be in the
neighbouring bin of the one in which events cut backwards would have it.

The network has then seen all that follows the start of the window, and reports where objects are
at that start. It lags behind their motion; the mean of both directions does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sast_ros.bags.detections import detection_boxes
from sast_ros.detector import StreamingDetector
from sast_ros.evaluation.metrics.matching import iou_matrix
from sast_ros.histogram import sampling_offset
from sast_ros.labels import BOX_DTYPE, LABEL_DTYPE, MIN_VISIBILITY
from sast_ros_training.training.cache import CachedSequence
from sast_ros_training.training.self_training.tracker import IouTracker

#: Boxes of two views are of one object if they overlap by this much; those of two classes then
#: are, too.
_SAME_IOU = 0.5

#: Visibility of what is ignored: below that of targets, above that of what nobody can see.
_IGNORED = MIN_VISIBILITY / 2

#: A box of several views: its best score, and the directions that have it.
_MERGED_DTYPE = np.dtype([*BOX_DTYPE.descr, ('forwards', '?'), ('backwards', '?')])


@dataclass(frozen=True)
class LabellingSettings:
    """
    Which detections become targets.

    Attributes
    ----------
    min_score : float
        What has a lower score in each view is background.
    target_score : float
        Minimum score of a track, in the mean over its windows.
    min_ms : float
        Minimum length of a track.
    min_share : float
        Minimum share of the windows of a track in which both directions have it.
    mirror : bool
        Whether mirror images are looked at, too, which takes twice the time.

    """

    min_score: float = 0.03
    target_score: float = 0.3
    min_ms: float = 300.0
    min_share: float = 0.5
    mirror: bool = True


@dataclass
class View:
    """What one look at a run has found: boxes ``BOX_DTYPE[N]`` at each time, in their order."""

    backwards: bool
    times: np.ndarray
    found: list[np.ndarray]


class Run:
    """The windows of consecutive sequences of one stream, between two zero states."""

    def __init__(self, sequences: Sequence[CachedSequence]) -> None:
        self.info = sequences[0].info
        self.t_end = np.concatenate([sequence.t_end for sequence in sequences])
        self.t_start = self.t_end - round(1000 * self.info.window_ms)
        self.paths = [sequence.path for sequence in sequences]
        self._first = np.cumsum([0, *(len(sequence) for sequence in sequences)])
        self._open = sequences[0]

    def __len__(self) -> int:
        return len(self.t_end)

    def dense(self, window: int) -> np.ndarray:
        """Return the histogram of a window, ``uint8[channels, H, W]``."""
        number = int(np.searchsorted(self._first, window, 'right')) - 1
        if self._open.path != self.paths[number]:  # one at a time: there may be thousands
            self._open = CachedSequence(self.paths[number])
        return self._open.dense(window - int(self._first[number]))


def label_run(
    detector: StreamingDetector, run: Run, settings: LabellingSettings
) -> list[np.ndarray]:
    """
    Return the labels of each window of a run, ``LABEL_DTYPE[N]``.

    ``visibility`` is 1 for targets and below ``MIN_VISIBILITY`` for what is ignored; ``events``,
    ``recent`` and ``seen`` are not set. ``track_id`` is unique in the run.
    """
    views = [
        look(detector, run, backwards, mirrored)
        for backwards in (False, True)
        for mirrored in (False, True)[: 1 + settings.mirror]
    ]
    views = [view if not view.backwards else _at(view, run.t_end) for view in views]
    merged = []
    for window, t in enumerate(run.t_end.tolist()):
        rows = merge([view.found[window] for view in views], [view.backwards for view in views])
        rows['t'] = t
        merged.append(rows)
    return choose(merged, run.t_end, settings)


def look(detector: StreamingDetector, run: Run, backwards: bool, mirrored: bool) -> View:
    """Detect in all windows of a run, from a zero state."""
    info = run.info
    detector.reset()
    detector.downsample, detector.sensor_size = info.downsample, info.sensor_size
    # The boxes of a mirror image are moved to where pixels are sampled, too, but the wrong way
    offset = sampling_offset(info.downsample, detector.config.downsample)
    mirror = info.shape[2] * info.downsample + 2 * offset
    found = []
    order = range(len(run))[::-1] if backwards else range(len(run))
    times = run.t_start if backwards else run.t_end
    for window in order:
        cells = run.dense(window)
        if backwards:
            cells = cells[::-1]
        if mirrored:
            cells = cells[:, :, ::-1]
        detections = detector.step(np.ascontiguousarray(cells))
        boxes = detection_boxes(replace(detections, t_end=int(times[window])))
        if mirrored:
            boxes['x'] = mirror - boxes['x'] - boxes['w']
        found.append(boxes)
    return View(backwards, times, found[::-1] if backwards else found)


def _at(view: View, times: np.ndarray) -> View:
    """
    Return a view at other times.

    Boxes at such a time are taken as they are; between two times of the view, those of one object
    in both are interpolated.
    """
    tracker = IouTracker(max_missed=0)
    tracks = [tracker.step(boxes) for boxes in view.found]
    found = []
    for t in times.tolist():
        after = int(np.searchsorted(view.times, t, 'left'))
        if after == len(view.times):
            found.append(np.zeros(0, BOX_DTYPE))
        elif view.times[after] == t:
            found.append(view.found[after].copy())
        elif after == 0:
            found.append(np.zeros(0, BOX_DTYPE))
        else:
            _, first, second = np.intersect1d(
                tracks[after - 1], tracks[after], assume_unique=True, return_indices=True
            )
            pair = view.found[after - 1][first], view.found[after][second]
            share = (t - view.times[after - 1]) / (view.times[after] - view.times[after - 1])
            found.append(_between(*pair, share))
    return View(view.backwards, times, found)


def _between(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """Return the boxes at this share of the way from those of ``a`` to those of ``b``."""
    rows = a.copy()
    for name in ('x', 'y', 'w', 'h', 'class_confidence'):
        rows[name] = a[name] + share * (b[name] - a[name])
    return rows


def merge(found: Sequence[np.ndarray], backwards: Sequence[bool]) -> np.ndarray:
    """
    Return the objects that several views have found at one time, ``_MERGED_DTYPE[N]``.

    A box is the mean of those of the views, weighted by their scores; its score is the best of
    them. With the mean of the scores, simulated drives of another domain had half as many targets
    of the same quality: a network that is unsure finds an object in one view of four.
    """
    boxes = np.concatenate(list(found))
    view = np.repeat(np.arange(len(found)), [len(rows) for rows in found])
    iou = iou_matrix(boxes, boxes)
    iou[boxes['class_id'][:, None] != boxes['class_id'][None]] = 0
    free = np.ones(len(boxes), bool)
    merged = []
    for first in np.argsort(-boxes['class_confidence'], kind='stable'):
        if not free[first]:
            continue
        chosen = [first]
        for number in range(len(found)):
            near = np.flatnonzero(free & (view == number) & (iou[first] >= _SAME_IOU))
            if number != view[first] and len(near):
                chosen.append(near[np.argmax(iou[first][near])])
        free[chosen] = False
        scores = boxes['class_confidence'][chosen].astype(np.float64)
        row = np.zeros((), _MERGED_DTYPE)
        for name in ('x', 'y', 'w', 'h'):
            row[name] = np.average(boxes[name][chosen], weights=np.maximum(scores, 1e-9))
        row['class_id'] = boxes['class_id'][first]
        row['class_confidence'] = scores.max()
        directions = np.array(backwards)[view[chosen]]
        row['forwards'], row['backwards'] = not directions.all(), directions.any()
        merged.append(row)
    return np.array(merged, _MERGED_DTYPE)


def choose(
    merged: Sequence[np.ndarray], times: np.ndarray, settings: LabellingSettings
) -> list[np.ndarray]:
    """Return of the objects of each window which are targets, and which are ignored."""
    tracker = IouTracker()
    tracks = [tracker.step(rows) for rows in merged]
    rows, numbers = np.concatenate(list(merged)), np.concatenate(tracks)
    window = np.repeat(np.arange(len(merged)), [len(part) for part in merged])
    both, scores = rows['forwards'] & rows['backwards'], rows['class_confidence']
    trusted = _trusted(numbers, rows['t'], both, scores, settings)
    target = trusted[numbers] & both & (scores >= settings.target_score / 2)
    labels = np.zeros(len(rows), LABEL_DTYPE)
    for name in ('t', 'x', 'y', 'w', 'h', 'class_id'):
        labels[name] = rows[name]
    labels['track_id'] = numbers
    labels['visibility'] = np.where(target, 1, _IGNORED)
    gaps = _gaps(labels, window, trusted, times)
    begins = np.searchsorted(window, np.arange(len(merged) + 1))
    result = []
    for number, (begin, end) in enumerate(zip(begins[:-1], begins[1:])):
        own = _without_rivals(labels[begin:end], scores[begin:end])
        result.append(np.concatenate([own, *gaps.get(number, ())]))
    return result


def _trusted(
    numbers: np.ndarray,
    t: np.ndarray,
    both: np.ndarray,
    scores: np.ndarray,
    settings: LabellingSettings,
) -> np.ndarray:
    """Return for each track whether its boxes are targets, ``bool[tracks]``."""
    count = np.bincount(numbers)
    first = np.full(len(count), np.iinfo(np.int64).max)
    last = np.full(len(count), np.iinfo(np.int64).min)
    np.minimum.at(first, numbers, t)
    np.maximum.at(last, numbers, t)
    share = np.bincount(numbers, both) / count
    score = np.bincount(numbers, scores) / count
    return (
        (last - first >= 1000 * settings.min_ms)
        & (share >= settings.min_share)
        & (score >= settings.target_score)
    )


def _gaps(
    labels: np.ndarray, window: np.ndarray, trusted: np.ndarray, times: np.ndarray
) -> dict[int, list[np.ndarray]]:
    """Return, by window, what is ignored where a trusted track has no box for a moment."""
    found: dict[int, list[np.ndarray]] = {}
    mine = np.flatnonzero(trusted[labels['track_id']])
    mine = mine[np.argsort(labels['track_id'][mine], kind='stable')]
    for before, after in zip(mine, mine[1:]):
        if labels['track_id'][before] != labels['track_id'][after]:
            continue
        steps = int(window[after] - window[before])
        for step in range(1, steps):
            row = labels[[before]]
            for name in ('x', 'y', 'w', 'h'):
                row[name] += step / steps * (labels[name][after] - row[name])
            row['t'], row['visibility'] = times[window[before] + step], _IGNORED
            found.setdefault(int(window[before]) + step, []).append(row)
    return found


def _without_rivals(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Ignore a target that lies on a better one, as of another class: it is one object."""
    iou = iou_matrix(labels, labels)
    kept: list[int] = []
    for row in np.argsort(-scores, kind='stable'):
        if labels['visibility'][row] < MIN_VISIBILITY:
            continue
        if any(iou[row, other] >= _SAME_IOU for other in kept):
            labels['visibility'][row] = _IGNORED
        else:
            kept.append(int(row))
    return labels
