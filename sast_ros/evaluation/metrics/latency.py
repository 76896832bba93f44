# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Latency of detection: the time until a new object is detected for the first time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from sast_ros.evaluation.metrics.matching import MatchedRecording


def latency(recordings: Iterable[MatchedRecording]) -> dict[str, Any]:
    """
    Return the time from the first label of a track to the first label with a detection.

    Tracks that exist from the first frame on may have begun before and are not counted, neither
    are those with a single label.
    """
    waits: list[float] = []
    missed = 0
    for recording in recordings:
        tracks: dict[tuple[int, int], list[tuple[int, bool]]] = {}
        for one in recording.frames:
            detected = np.isin(np.arange(len(one.frame.labels)), one.reported_matches)
            ids = one.frame.labels[['class_id', 'track_id']].tolist()
            for track, hit in zip(ids, detected.tolist()):
                tracks.setdefault(track, []).append((one.frame.t, hit))
        for sights in tracks.values():
            begin = sights[0][0]
            if begin == recording.frames[0].frame.t or len(sights) < 2:
                continue
            times = [t for t, hit in sights if hit]
            waits += [(t - begin) / 1000 for t in times[:1]]
            missed += not times
    median, p90, longest = np.percentile(waits, (50, 90, 100)).tolist() if waits else [None] * 3
    return {
        'tracks': len(waits) + missed,
        'never_found': missed,
        'median_ms': median,
        'p90_ms': p90,
        'max_ms': longest,
        'waits_ms': sorted(waits),
    }
