# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Average precision by event rate and by the speed of the objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sast_ros.evaluation.metrics.coco import coco_metrics, mark_ignored
from sast_ros.evaluation.pairing import Frame, PairedRecording

#: Limits in pixels per second between standing, slow and fast objects.
SPEEDS = (10.0, 60.0)


def by_event_rate(frames: Sequence[Frame], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the average precision in windows of few, some and many events, a third each."""
    rates = np.array([frame.event_rate for frame in frames])
    known = rates[np.isfinite(rates)]
    if not len(known):
        return []
    edges = [0.0, *np.quantile(known, [1 / 3, 2 / 3]).tolist(), float(known.max()) + 1]
    rows = []
    for low, high in zip(edges[:-1], edges[1:]):
        chosen = [
            (mark_ignored(frame.labels, frame.regions), frame.detections)
            for frame in frames
            if low <= frame.event_rate < high
        ]
        rows.append(
            {
                'least_mev_per_s': low / 1e6,
                'most_mev_per_s': high / 1e6,
                'images': len(chosen),
                **_averages(chosen, classes),
            }
        )
    return rows


def by_speed(
    recordings: Sequence[PairedRecording], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """
    Return the average precision of standing, slow and fast objects.

    The speed is that of the box centre between the labels before and after. Detections of objects
    of other speeds are ignored; false positives count for every speed.
    """
    frames = [frame for recording in recordings for frame in recording.frames]
    speeds = [speed for recording in recordings for speed in _speeds(recording)]
    if not any(np.isfinite(values).any() for values in speeds):
        return []
    edges = (0.0, *SPEEDS, float('inf'))
    rows = []
    for name, low, high in zip(('standing', 'slow', 'fast'), edges[:-1], edges[1:]):
        chosen = []
        for frame, values in zip(frames, speeds):
            others = ~((values >= low) & (values < high))
            truth = mark_ignored(frame.labels, frame.regions, others)
            chosen.append((truth, frame.detections))
        rows.append(
            {
                'name': name,
                'least_px_per_s': low,
                'most_px_per_s': None if high == float('inf') else high,
                **_averages(chosen, classes),
            }
        )
    return rows


def _averages(
    frames: Iterable[tuple[np.ndarray, np.ndarray]], classes: Sequence[str]
) -> dict[str, Any]:
    metrics = coco_metrics(frames, classes)
    averages = metrics.averages()
    return {'labels': int(metrics.labels.sum()), 'AP': averages['AP'], 'AP50': averages['AP50']}


def _speeds(recording: PairedRecording) -> list[np.ndarray]:
    """Return the speed of every label in pixels per second, NaN for tracks with only one."""
    tracks: dict[tuple[int, int], list[tuple[int, int, int, float, float]]] = {}
    for number, frame in enumerate(recording.frames):
        for row, label in enumerate(frame.labels):
            x, y = label['x'] + label['w'] / 2, label['y'] + label['h'] / 2
            sight = frame.t, number, row, float(x), float(y)
            track = int(label['class_id']), int(label['track_id'])
            tracks.setdefault(track, []).append(sight)
    speeds = [np.full(len(frame.labels), np.nan) for frame in recording.frames]
    for sights in tracks.values():
        times, numbers, rows, x, y = (np.array(column) for column in zip(*sights))
        # Two boxes of one id in one frame are not a track
        if len(sights) < 2 or (np.diff(times) <= 0).any():
            continue
        values = np.hypot(np.gradient(x, times / 1e6), np.gradient(y, times / 1e6))
        for number, row, value in zip(numbers, rows, values):
            speeds[number][row] = value
    return speeds
