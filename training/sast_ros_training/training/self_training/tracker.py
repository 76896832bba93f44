# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A tracker of boxes for recordings that are known as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sast_ros.evaluation.metrics.matching import iou_matrix
from sast_ros.tracking.assignment import assign

#: Smallest overlap of a box and a prediction.
_MIN_IOU = 0.3


@dataclass
class _Track:
    """``box``: the last one, a row; ``speed``: of x and y, pixels per microsecond."""

    number: int
    box: np.ndarray
    speed: np.ndarray | None = None
    missed: int = 0


class IouTracker:
    """
    Give boxes of consecutive windows the numbers of objects.

    A box continues a track of its class whose predicted box (the last one, moved on at constant
    speed) it overlaps; of all pairs those with the largest sum of overlaps (``assign``).

    Parameters
    ----------
    max_missed : int
        A track ends after so many windows without a box.

    """

    def __init__(self, max_missed: int = 2) -> None:
        self._max_missed = max_missed
        self._tracks: list[_Track] = []
        self._next = 0

    def step(self, boxes: np.ndarray) -> np.ndarray:
        """
        Return the number of the track of each box of the next window, ``int64[N]``.

        ``boxes``: structured array with t, x, y, w, h and class_id; all of one time, which may
        also go backwards from window to window.
        """
        numbers = np.full(len(boxes), -1, np.int64)
        for track, row in self._pairs(boxes):
            box = boxes[[row]]
            span = float(box['t'][0] - track.box['t'][0])
            moved = _centre(box) - _centre(track.box)
            now = moved / span if span else np.zeros(2)
            track.speed = now if track.speed is None else 0.5 * (track.speed + now)
            track.box, track.missed = box, -1  # none, once this window is counted
            numbers[row] = track.number
        for track in self._tracks:
            track.missed += 1
        self._tracks = [track for track in self._tracks if track.missed <= self._max_missed]
        for row in np.flatnonzero(numbers < 0).tolist():
            self._tracks.append(_Track(self._next, boxes[[row]]))
            numbers[row] = self._next
            self._next += 1
        return numbers

    def _pairs(self, boxes: np.ndarray) -> list[tuple[_Track, int]]:
        if not self._tracks or not len(boxes):
            return []
        predicted = np.concatenate([track.box for track in self._tracks]).copy()
        for row, track in enumerate(self._tracks):
            if track.speed is not None:
                shift = track.speed * float(boxes['t'][0] - predicted['t'][row])
                predicted['x'][row] += shift[0]
                predicted['y'][row] += shift[1]
        iou = iou_matrix(predicted, boxes)
        iou[predicted['class_id'][:, None] != boxes['class_id'][None]] = 0
        iou[iou < _MIN_IOU] = 0
        pairs = zip(*(part.tolist() for part in assign(iou)))
        return [(self._tracks[index], row) for index, row in pairs]


def _centre(box: np.ndarray) -> np.ndarray:
    return np.array([box['x'][0] + box['w'][0] / 2, box['y'][0] + box['h'][0] / 2], np.float64)
