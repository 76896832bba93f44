# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Measures of detections beside average precision; of detection_quality.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sast_ros.evaluation.metrics.matching import iou_matrix, match, OPERATING_SCORE
from sast_ros.evaluation.pairing import Frame

#: IoU of the matches whose edges are compared.
MATCH_IOU = 0.4

#: Pixels per second from which on something has a leading edge.
MIN_SPEED = 20.0


def localisation(recordings: Iterable[Sequence[Frame]]) -> dict[str, Any]:
    """
    Return how far the edges of detections are from those of the labels that they match.

    Detections of the operating score and above count.

    Parameters
    ----------
    recordings : iterable of sequence of Frame
        The frames of each recording in order.

    Returns
    -------
    dict
        ``matches``; ``left``, ``top``, ``right`` and ``bottom``: ``median`` of the difference as
        share of the label's width or height, right and down positive, and its ``spread`` (1.48
        times the median distance from the median); ``x`` and ``y``: the same of the centre in
        pixels. ``moving``, number of matches of what moves by ``MIN_SPEED`` or more; of these,
        along the axis on which they move faster, ``leading`` and ``trailing``: the same as share,
        positive outside of the label, and ``along``: least squares of the distance of the centres
        in the direction of motion, ``constant_px`` - ``lag_ms`` x speed.

    """
    edges, centres, moving = [], [], []
    for frames in recordings:
        for frame, speeds in zip(frames, label_speeds(frames)):
            found = frame.detections[frame.detections['class_confidence'] >= OPERATING_SCORE]
            for box, row in zip(found, match(frame.labels, found, MATCH_IOU)):
                if row < 0:
                    continue
                label = frame.labels[row]
                difference = _corners(box) - _corners(label)
                edges.append(difference / np.array([label['w'], label['h']] * 2))
                centres.append((difference[:2] + difference[2:]) / 2)
                axis = int(np.abs(speeds[row]).argmax())
                speed, side = speeds[row][axis], float(label['wh'[axis]])
                if abs(speed) >= MIN_SPEED:
                    low, high = difference[axis], difference[2 + axis]
                    lead, trail = (high, -low) if speed > 0 else (-low, high)
                    moving.append((lead / side, trail / side, (lead - trail) / 2, abs(speed)))
    result: dict[str, Any] = {'matches': len(edges)}
    if edges:
        columns = np.hstack([edges, centres]).T
        for name, column in zip(('left', 'top', 'right', 'bottom', 'x', 'y'), columns):
            result[name] = _spread(column)
    result['moving'] = len(moving)
    if moving:
        lead, trail, ahead, speed = np.array(moving).T
        result.update(leading=_spread(lead), trailing=_spread(trail))
        if np.ptp(speed) > MIN_SPEED:
            slope, constant = np.polyfit(speed, ahead, 1)
            result['along'] = {
                'constant_px': round(float(constant), 2),
                'lag_ms': round(-1000 * float(slope), 1),
            }
    return result


def label_speeds(frames: Sequence[Frame]) -> list[np.ndarray]:
    """
    Return the speed of every label's centre in pixels per second, ``float64[N, 2]`` per frame.

    It is that between the frames before and after, in which it is the label with the largest IoU,
    of 0.5 at least; zero if there is none. Numbers of tracks are not relied upon.
    """
    result = []
    for index, frame in enumerate(frames):
        boxes = frame.labels
        speeds = np.zeros((len(boxes), 2))
        if 0 < index < len(frames) - 1 and len(boxes):
            span = (frames[index + 1].t - frames[index - 1].t) / 1e6
            before, after = (_partners(boxes, frames[index + step].labels) for step in (-1, 1))
            known = ~np.isnan(before[:, 0]) & ~np.isnan(after[:, 0])
            speeds[known] = (after - before)[known] / span
        result.append(speeds)
    return result


def _partners(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the centres of those of other boxes that are the same objects, NaN for none."""
    centres = np.full((len(boxes), 2), np.nan)
    if len(others):
        overlap = iou_matrix(boxes, others)
        overlap[boxes['class_id'][:, None] != others['class_id'][None, :]] = 0
        same, best = overlap.max(axis=1) >= 0.5, overlap.argmax(axis=1)
        chosen = others[best[same]]
        centres[same] = np.stack(
            [chosen['x'] + chosen['w'] / 2, chosen['y'] + chosen['h'] / 2], axis=1
        )
    return centres


def _corners(box: np.ndarray) -> np.ndarray:
    x, y, w, h = (float(box[name]) for name in 'xywh')
    return np.array([x, y, x + w, y + h])


def _spread(values: np.ndarray) -> dict[str, float]:
    middle = float(np.median(values))
    return {
        'median': round(middle, 4),
        'spread': round(1.4826 * float(np.median(np.abs(values - middle))), 4),
    }


def false_boxes(
    times: np.ndarray,
    scores: np.ndarray,
    windows: np.ndarray,
    stride_us: int,
    thresholds: Iterable[float],
) -> dict[str, Any]:
    """Return boxes per window and per minute, and the share of windows with any."""
    result: dict[str, Any] = {'windows': len(windows)}
    for threshold in thresholds:
        chosen = scores >= np.float32(threshold)
        per_window = float(chosen.sum()) / len(windows)
        result[f'{threshold:g}'] = {
            'per_window': round(per_window, 4),
            'per_minute': round(per_window * 60e6 / stride_us, 1),
            'windows_with_any': round(len(np.unique(times[chosen])) / len(windows), 4),
        }
    return result
