# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Tracking of boxes: which detections of consecutive windows are one object.

A Kalman filter with constant velocity predicts each box (Bewley et al., "Simple Online and
Realtime Tracking", ICIP 2016), and detections are assigned to predictions in two stages, those of
high scores first (Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection
Box", ECCV 2022). Time is that of the window ends, so that strides may change and windows may be
missing. Nothing but the detections decides, so that node and replay give the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import itertools

import numpy as np
from sast_ros import defaults
from sast_ros.detections import Detections
from sast_ros.errors import SettingError
from sast_ros.tracking.assignment import assign

#: Standard deviations of a measured x, y, width and height, in sides of the box: the square root
#: of its area, as everywhere below.
MEASUREMENT_NOISE = np.array([0.06, 0.06, 0.1, 0.1])

#: Standard deviations of their first velocities, sides per second.
FIRST_VELOCITY = np.array([3.0, 3.0, 0.7, 0.7])

#: Square roots of the spectral densities of their accelerations, sides per second^1.5.
ACCELERATION = np.array([1.5, 1.5, 0.5, 0.5])

#: Microseconds for which they go on changing while the object is lost; then it stands.
MOVING_US = np.array([500_000, 500_000, 200_000, 200_000])

#: What the best association by distance and the poorest by overlap are worth, as IoU.
_NEAR, _OVERLAP = 0.1, 0.02


@dataclass(frozen=True)
class TrackingSettings:
    """
    Settings of a tracker.

    Attributes
    ----------
    high_score : float
        Detections from this score on begin tracks, and are assigned first.
    low_score : float
        Detections from this score on continue tracks.
    min_iou : float
        Minimum IoU of a detection and a predicted box.
    max_distance : float
        A detection without this overlap belongs to a predicted box whose centre is at most so many
        standard deviations away; 0 for overlap alone.
    min_hits : int
        Detections that confirm a track, which gives it its number.
    max_age_ms : float
        A track ends that had no detection for longer than this.
    lead_ms : float
        Time by which ``lead`` moves boxes on.

    """

    high_score: float = defaults.TRACK_HIGH_SCORE
    low_score: float = defaults.TRACK_LOW_SCORE
    min_iou: float = defaults.TRACK_MIN_IOU
    max_distance: float = defaults.TRACK_MAX_DISTANCE
    min_hits: int = defaults.TRACK_MIN_HITS
    max_age_ms: float = defaults.TRACK_MAX_AGE_MS
    lead_ms: float = defaults.TRACK_LEAD_MS


DEFAULT_TRACKING = TrackingSettings()

#: A confirmed track: number; class; age, time since its last detection in milliseconds; score of
#: that; box, x and y are its centre, in pixels; velocities of these in pixels per second.
TRACK_DTYPE = np.dtype(
    [
        ('id', '<u4'),
        ('class_id', '<u4'),
        *((name, '<f4') for name in ('age_ms', 'score', 'x', 'y', 'width', 'height')),
        *((f'velocity_{name}', '<f4') for name in ('x', 'y', 'width', 'height')),
    ]
)


class Tracker:
    """
    Tracks of the objects of one camera.

    Parameters
    ----------
    settings : TrackingSettings
        May be replaced between two windows.
    ids : iterator of int, optional
        Numbers of the next tracks; by default 1, 2, 3 and so on.

    """

    def __init__(
        self, settings: TrackingSettings = DEFAULT_TRACKING, ids: Iterator[int] | None = None
    ) -> None:
        self.settings = settings
        self._ids = itertools.count(1) if ids is None else ids
        self.reset()

    def reset(self) -> None:
        """End all tracks; their numbers do not return."""
        self._t = 0
        self._stride: int | None = None  # before the first window
        # Of each track: number (0 until it is confirmed), class, detections, time of the last one
        self._facts = np.zeros((0, 4), np.int64)
        self._scores = np.zeros(0)
        # Of x, y, width, height of each: mean and velocity, variances of both and covariance
        self._state = np.zeros((0, 5, 4))
        # Of each detection of the last window: its track, -1 for none
        self._track_of = np.zeros(0, np.int64)

    def step(self, detections: Detections) -> np.ndarray:
        """
        Add the detections of the next window.

        Parameters
        ----------
        detections : Detections
            With ``t_end``; in any order.

        Returns
        -------
        int64[N]
            Number of the track of each detection, 0 for none and for a track that is not
            confirmed yet.

        Raises
        ------
        SettingError
            The detections have no ``t_end``, or a box is not finite; the tracks are unchanged.

        """
        settings, t = self.settings, detections.t_end
        if t is None:
            raise SettingError(
                'Tracker: the detections have no t_end, the end of their window; give it by '
                'dataclasses.replace, or take the detections of an EventPipeline'
            )
        if not np.isfinite(detections.boxes).all():
            index = int(np.argmin(np.isfinite(detections.boxes).all(axis=1)))
            raise SettingError(
                f'Tracker: box {index} is {detections.boxes[index].tolist()}; it must be finite'
            )
        length = 0 if detections.t_start is None else t - detections.t_start
        usual = max(length, self._stride or 0)
        oldest = t - max(1000 * settings.max_age_ms, usual)
        self._keep(self._facts[:, 3] >= oldest)  # windows may be missing
        self._stride = 0 if self._stride is None else t - self._t
        self._predict(t, usual)
        corners = detections.boxes.astype(np.float64)
        low, high = corners[:, :2], corners[:, 2:]
        boxes = np.concatenate([(low + high) / 2, high - low], axis=1)
        track_of = np.full(len(boxes), -1)
        if len(self._facts) and len(boxes):
            affinity = self._affinity(boxes, detections.class_ids)
            first = detections.scores >= settings.high_score
            second = ~first & (detections.scores >= settings.low_score)
            confirmed = self._facts[:, 0] > 0
            for stage in (first, second):
                for tracks in (confirmed, ~confirmed):
                    _assign(affinity, tracks, stage, track_of)
        found = (track_of >= 0).nonzero()[0]
        self._correct(track_of[found], boxes[found], detections.scores[found])
        self._end(track_of, np.array([detections.width, detections.height]))
        new = ((track_of < 0) & (detections.scores >= settings.high_score)).nonzero()[0]
        track_of[new] = np.arange(len(self._facts), len(self._facts) + len(new))
        self._begin(boxes[new], detections.class_ids[new], detections.scores[new])
        self._track_of = track_of
        return self._number(track_of)

    def lead(self, detections: Detections) -> np.ndarray:
        """
        Return where the detections of the last ``step`` will be ``lead_ms`` later.

        Returns
        -------
        float32[N, 4]
            Their boxes, x1, y1, x2, y2 in pixels of the sensor. Those whose track is confirmed are
            moved on by its velocity and cut at the border of the picture; a pixel is left. Of an
            object that enters or leaves, the edge at the border stays, and the other one moves
            twice as fast as the centre of the visible part.

        """
        if not self.settings.lead_ms:
            return detections.boxes
        numbers, velocity = self._facts[:, 0], self._state[:, 1, :2]
        known = (self._track_of >= 0).nonzero()[0]
        known = known[numbers[self._track_of[known]] > 0]
        boxes = detections.boxes.copy()
        low, high = boxes[known, :2], boxes[known, 2:]
        ways = self.settings.lead_ms / 1000 * velocity[self._track_of[known]]
        size = np.array([detections.width, detections.height])
        cut_low, cut_high = low <= 1, high >= size - 1
        boxes[known, :2] = np.clip(low + ways * ~cut_low * (1 + cut_high), 0, size - 1)
        boxes[known, 2:] = np.clip(high + ways * ~cut_high * (1 + cut_low), 1, size)
        return boxes

    def tracks(self) -> np.ndarray:
        """Return the confirmed tracks at the end of the last window, ``TRACK_DTYPE[M]``."""
        chosen = (self._facts[:, 0] > 0).nonzero()[0]
        rows = np.zeros(len(chosen), TRACK_DTYPE)
        rows['id'], rows['class_id'] = self._facts[chosen, :2].T
        rows['age_ms'] = (self._t - self._facts[chosen, 3]) / 1000
        rows['score'] = self._scores[chosen]
        for index, name in enumerate(('x', 'y', 'width', 'height')):
            rows[name] = self._state[chosen, 0, index]
            rows[f'velocity_{name}'] = self._state[chosen, 1, index]
        return rows

    def _predict(self, t: int, usual: int) -> None:
        """
        Move all tracks on to a time: white noise acceleration in continuous time.

        Those that are lost for longer than ``MOVING_US``, and than the ``usual`` time between two
        windows, stand still, and their uncertainty does not grow either.
        """
        before, self._t = self._t, t
        if not len(self._facts):
            return
        mean, velocity, variance, covariance, spread = self._state.swapaxes(0, 1)
        end = self._facts[:, 3:] + np.maximum(MOVING_US, usual)
        seconds = np.maximum(np.minimum(end, t) - before, 0) / 1e6
        density = ACCELERATION**2 * _area(mean)
        mean += seconds * velocity
        np.maximum(mean[:, 2:], 1, out=mean[:, 2:])
        velocity[end < t] = 0
        seconds = seconds[:, :1]  # the uncertainty of all grows as long as positions move
        variance += seconds * (2 * covariance + seconds * (spread + seconds / 3 * density))
        covariance += seconds * (spread + seconds / 2 * density)
        spread += seconds * density

    def _affinity(self, boxes: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
        """Return how well tracks and boxes fit, ``float64[T, N]``, 0 where not at all."""
        settings, mean = self.settings, self._state[:, 0]
        gap = mean[:, None] - boxes[None]
        halves = (mean[:, None, 2:] + boxes[None, :, 2:]) / 2
        smaller = np.minimum(mean[:, None, 2:], boxes[None, :, 2:])
        sides = np.clip(halves - np.abs(gap[..., :2]), 0, smaller)
        shared = sides[..., 0] * sides[..., 1]
        areas = (mean[:, 2] * mean[:, 3])[:, None] + boxes[:, 2] * boxes[:, 3]
        iou = shared / (areas - shared)
        variance = (self._state[:, 2] + MEASUREMENT_NOISE**2 * _area(mean))[:, None, :2]
        ratio = gap[..., :2] ** 2 / variance
        distance = np.sqrt(ratio[..., 0] + ratio[..., 1])
        near = _NEAR * np.maximum(1 - distance / max(settings.max_distance, 1e-9), 0)
        # Beyond the minimum, so that two poor pairs are not better than a good one
        overlap = np.where(iou >= settings.min_iou, iou - settings.min_iou + _OVERLAP, 0)
        affinity = overlap + near
        affinity[self._facts[:, 1][:, None] != class_ids] = 0
        return affinity

    def _correct(self, tracks: np.ndarray, boxes: np.ndarray, scores: np.ndarray) -> None:
        """Update tracks by what was found of them."""
        if not len(tracks):
            return
        state = self._state[tracks]
        mean, velocity, variance, covariance, spread = state.swapaxes(0, 1)
        noise = MEASUREMENT_NOISE**2 * _area(boxes)
        gain, velocity_gain = variance / (variance + noise), covariance / (variance + noise)
        error = boxes - mean
        mean += gain * error
        velocity += velocity_gain * error
        spread -= velocity_gain * covariance
        variance -= gain * variance
        covariance -= gain * covariance
        self._state[tracks] = state
        self._facts[tracks, 2] += 1
        self._facts[tracks, 3] = self._t
        self._scores[tracks] = scores

    def _end(self, track_of: np.ndarray, size: np.ndarray) -> None:
        """Remove tracks that are too old, have left the picture or were not confirmed in time."""
        last, mean = self._facts[:, 3], self._state[:, 0]
        inside = (np.abs(2 * mean[:, :2] - size) < mean[:, 2:] + size).all(axis=1)
        kept = self._t - last <= 1000 * self.settings.max_age_ms
        kept &= (last == self._t) | ((self._facts[:, 0] > 0) & inside)
        place = np.where(kept, np.cumsum(kept) - 1, -1)
        found = track_of >= 0
        track_of[found] = place[track_of[found]]
        self._keep(kept)

    def _keep(self, kept: np.ndarray) -> None:
        """Remove the other tracks."""
        if not kept.all():
            self._facts, self._scores = self._facts[kept], self._scores[kept]
            self._state = self._state[kept]

    def _begin(self, boxes: np.ndarray, class_ids: np.ndarray, scores: np.ndarray) -> None:
        """Add a track for each of the boxes."""
        if not len(boxes):
            return
        facts = np.zeros((len(boxes), 4), np.int64)
        facts[:, 1], facts[:, 2], facts[:, 3] = class_ids, 1, self._t
        state = np.zeros((len(boxes), 5, 4))
        area = _area(boxes)
        state[:, 0], state[:, 2] = boxes, MEASUREMENT_NOISE**2 * area
        state[:, 4] = FIRST_VELOCITY**2 * area
        self._facts = np.concatenate([self._facts, facts])
        self._scores = np.concatenate([self._scores, scores])
        self._state = np.concatenate([self._state, state])

    def _number(self, track_of: np.ndarray) -> np.ndarray:
        """Return the numbers of tracks, and give one to those that are confirmed now."""
        confirmed = (self._facts[:, 0] == 0) & (self._facts[:, 2] >= self.settings.min_hits)
        for track in confirmed.nonzero()[0]:
            self._facts[track, 0] = next(self._ids)
        return np.append(self._facts[:, 0], 0)[track_of]  # -1 is the last


def _assign(
    affinity: np.ndarray, tracks: np.ndarray, boxes: np.ndarray, track_of: np.ndarray
) -> None:
    """Assign those of the boxes to those of the tracks, each ``bool``, that have no other yet."""
    column = (boxes & (track_of < 0)).nonzero()[0]
    if len(column):
        free = tracks.copy()
        free[track_of[track_of >= 0]] = False
        row = free.nonzero()[0]
        rows, columns = assign(affinity[row[:, None], column])
        track_of[column[columns]] = row[rows]


def _area(boxes: np.ndarray) -> np.ndarray:
    """Return the areas of boxes ``[N, 4]`` of centre and size, at least 1, as a column."""
    return np.maximum(boxes[:, 2:3] * boxes[:, 3:4], 1)
