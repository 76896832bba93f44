# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The error cases of the report: their pictures and their moments in the videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sast_ros.errors import SastError
from sast_ros.evaluation.metrics.error_analysis import ErrorCase
from sast_ros.evaluation.report.entry import ReportEntry
from sast_ros.evaluation.report.pictures import draw_case, read_events

#: Seconds of the recording before an error that its link plays.
_LEAD_S = 1.0

_UNKNOWN = (
    'only their detections were given; give sast-ros evaluate the recordings themselves to see '
    'the events'
)


def collect_cases(
    cases: Sequence[ErrorCase], total: int, entries: Mapping[str, ReportEntry]
) -> dict[str, Any]:
    """
    Return what a section of the page shows.

    Parameters
    ----------
    cases : sequence of ErrorCase
        The cases to show.
    total : int
        Number of all cases.
    entries : mapping of str to ReportEntry
        The recordings by name.

    Returns
    -------
    dict
        ``cases`` with picture, time and video of each; ``total``; ``without_pictures``, names of
        recordings by the reason.

    """
    pictures, without = _draw(cases, entries)
    shown = []
    for number, case in enumerate(cases):
        entry = entries[case.recording]
        at = _time_at_full_speed(entry, case.t_end)
        speed = float(entry.summary.get('video_speed') or 1)
        shown.append(
            {
                'case': case,
                'picture': pictures.get(number),
                'seconds': (case.t_end - entry.start_us) / 1e6,
                'video': entry.video,
                'interval': (max(0.0, at - _LEAD_S) / speed, at / speed),
            }
        )
    return {'cases': shown, 'total': total, 'without_pictures': without}


def _draw(
    cases: Sequence[ErrorCase], entries: Mapping[str, ReportEntry]
) -> tuple[dict[int, str], dict[str, list[str]]]:
    """Return the pictures by number, and names of recordings without by the reason."""
    pictures: dict[int, str] = {}
    without: dict[str, list[str]] = {}
    for name in dict.fromkeys(case.recording for case in cases):
        entry = entries[name]
        if entry.recording is None:
            without.setdefault(_UNKNOWN, []).append(name)
            continue
        own = {number: case for number, case in enumerate(cases) if case.recording == name}
        ends = sorted({case.t_end for case in own.values()})
        try:
            events = read_events(entry, ends)
        except (SastError, OSError) as error:
            without.setdefault(str(error), []).append(name)
            continue
        for number, case in own.items():
            pictures[number] = draw_case(case, events[case.t_end], entry)
    return pictures, without


def _time_at_full_speed(entry: ReportEntry, at: int) -> float:
    """Return where a video in real time shows a window, the middle of its frame, in seconds."""
    detected = entry.detected
    if detected.windows is not None:
        frame = int(np.searchsorted(detected.windows['t'], at, 'left'))
        frame = min(frame, len(detected.windows) - 1)
    else:
        frame = round((at - entry.start_us - detected.duration_us) / detected.stride_us)
    return (max(0, frame) + 0.5) * detected.stride_us / 1e6
