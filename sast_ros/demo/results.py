# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""From what was received to the files and numbers that the demonstration leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
import itertools
import json
from pathlib import Path
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
import numpy as np
from sast_ros.bags import DetectionWriter
from sast_ros.demo.observer import DemoSession
from sast_ros.demo.playback import Playback, WINDOW_US
from sast_ros.detections import Detections, StageShare
from sast_ros.errors import format_error
from sast_ros.evaluation.box_filter import choose_box_filter
from sast_ros.evaluation.detections import read_detections, RecordedDetections
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.label_files import find_labels, labels_beside
from sast_ros.evaluation.labels import Labels, read_labels
from sast_ros.evaluation.metrics.matching import match_recording, OPERATING_SCORE
from sast_ros.evaluation.metrics.operating_point import operating_point
from sast_ros.evaluation.metrics.summary import compute_metrics
from sast_ros.evaluation.pairing import pair_last_window, PairedRecording
from sast_ros.evaluation.report.entry import ReportEntry
from sast_ros.evaluation.report.page import write_report
from sast_ros.events.shift import header_stamp_ns
from sast_ros.output import write_file
from sast_ros.ros.diagnostics import kept_shares
from sast_ros.ros.messages import detections_of, stamp_ns
from sast_ros.visualization import replay_video, Replayed, VideoError
from sast_ros.windows import EventWindow, WindowCutter

VIDEO_FILE = 'overlay.mp4'
REPORT_FILE = 'report.html'

#: What the summary repeats of the last report of the node.
_NODE_VALUES = (
    'windows done',
    'windows dropped',
    'packets lost',
    'step time p50 (ms)',
    'step time p99 (ms)',
)


def write_results(
    folder: Path, playback: Playback, session: DemoSession, model: str, labels: Path | None
) -> dict[str, Any]:
    """
    Pair every window with the message that came back for it, write the files, return the summary.

    Its ``not_written`` tells why files are missing, by their names; ``model`` and ``labels`` are
    those of ``run_demo``, which holds the lock of the folder.
    """
    for name in (VIDEO_FILE, REPORT_FILE):
        (folder / name).unlink(missing_ok=True)  # of an earlier run
    windows = count = 0
    log_offset_ns = playback.recording.log_offset_ns
    with DetectionWriter(folder, log_offset_ns=log_offset_ns, locked=True) as writer:
        for _, detections in _answered_windows(playback, session):
            writer.write(detections)
            windows += 1
            count += len(detections)
        summary = _summary(playback, session, windows, count, model)
        writer.finish(summary)
    truth, not_written = None, {}
    try:
        if not windows:
            raise EvaluationError('no window came back')
        detected = read_detections(folder)
        truth, paired = _pair_labels(playback, detected, labels)
        summary['accuracy'] = operating_point([match_recording(paired)], paired.classes)
        recording = playback.recording
        entry = ReportEntry(
            paired, detected, recording.path, recording.topic or None, folder / VIDEO_FILE
        )
        write_report(folder / REPORT_FILE, compute_metrics([paired]), [entry])
    except (EvaluationError, ModuleNotFoundError) as error:
        not_written[REPORT_FILE] = format_error(error)
    try:
        _write_video(folder / VIDEO_FILE, playback, session, truth, summary['trained'])
    except VideoError as error:
        not_written[VIDEO_FILE] = str(error)
    summary['not_written'] = not_written
    summary['wall_seconds'] = round(time.monotonic() - session.began, 1)
    write_file(folder / 'summary.json', json.dumps(summary, indent=2) + '\n')
    return summary


def _answered_windows(
    playback: Playback, session: DemoSession
) -> Iterator[tuple[EventWindow, Detections]]:
    """Cut the windows as the node does, and yield those for which detections came back."""
    if not session.first_message:
        return
    arrays = {stamp_ns(array.header.stamp): array for _, array in session.detections}
    kind, (_, first) = playback.recording.message_type, next(playback.messages())
    shift_ns = header_stamp_ns(session.first_message, kind) - header_stamp_ns(first, kind)
    cutter, clock_us = WindowCutter(WINDOW_US, WINDOW_US), None
    for chunk in playback.chunks(shift_ns):
        if clock_us is None and len(chunk):
            clock_us = playback.content.start_us - int(chunk.t[0])
        for window in cutter.cut(chunk):
            array = arrays.get(window.stamp_ns)
            if array is not None and clock_us is not None:
                window = replace(
                    window,
                    t_start=window.t_start + clock_us,
                    t_end=window.t_end + clock_us,
                    stamp_ns=window.stamp_ns - shift_ns,
                )
                kept = _kept_at(session, stamp_ns(array.header.stamp))
                yield window, detections_of(array, window, session.class_names, kept)


def _summary(
    playback: Playback, session: DemoSession, received: int, detections: int, model: str
) -> dict[str, Any]:
    """Return what is known without labels; the keys of a replay mean the same here."""
    content = playback.content
    height, width = playback.recording.sensor_size or (0, 0)
    stamps = [stamp_ns(array.header.stamp) for _, array in session.detections]
    in_order = all(earlier < later for earlier, later in itertools.pairwise(stamps))
    latencies = [(at - stamp) / 1e6 for stamp, (at, _) in zip(stamps, session.detections)]
    due = [time_ns for time_ns, _ in playback.messages()]
    late = [(at - planned) / 1e6 for at, planned in zip(session.arrivals_ns, due)]
    status = _values(session.diagnostics[-1][1]) if session.diagnostics else {}
    trained = status.get('untrained') != 'True'
    shares = [kept for _, one in session.diagnostics if (kept := kept_shares(_values(one)))]
    return {
        'complete': bool(received and received == content.windows == len(stamps) and in_order),
        'recording': playback.recording.path.name,
        'model': model,
        'weights': model if trained else 'untrained',
        'trained': trained,
        'classes': list(session.class_names),
        'sensor_size': {'height': height, 'width': width},
        'window_ms': WINDOW_US / 1000,
        'stride_ms': WINDOW_US / 1000,
        'first_event_us': content.start_us,
        'last_event_us': content.end_us,
        'seconds': round(content.seconds, 3),
        'messages': {'sent': content.messages, 'received': len(session.arrivals_ns)},
        'messages_late_ms': round(max(late) - late[0], 1) if late else None,
        'events': content.events,
        'events_per_second': round(content.events / content.seconds) if content.seconds else 0,
        'windows': {
            'sent': content.windows,
            'received': received,
            'lost': content.windows - received,
            'in_order': in_order,
        },
        'detections': detections,
        'latency_ms': _percentiles(latencies),
        'node': {name: float(status[name]) for name in _NODE_VALUES if name in status},
        'kept_windows': _means([[stage.windows for stage in kept] for kept in shares]),
        'kept_tokens': _means([[stage.tokens for stage in kept] for kept in shares]),
        'accuracy': None,
    }


def _pair_labels(
    playback: Playback, detected: RecordedDetections, given: Path | None
) -> tuple[Labels, PairedRecording]:
    """Find the labels and pair them with the detections, as ``sast-ros evaluate`` does."""
    path = find_labels(given, detected.name) if given else labels_beside(playback.recording.path)
    if path is None:
        raise EvaluationError('the recording comes without labels; name them with --labels')
    labels = read_labels(path, detected.name, None, detected.sensor_size, detected.classes)
    labels = labels.on_clock(detected.start_us, detected.clock)
    end_us = playback.content.end_us
    if detected.windows is not None and labels.clock != detected.clock:
        end_us += int(detected.windows['stamp_ns'][0] // 1000 - detected.windows['t'][0])
    boxes, times = labels.boxes[labels.boxes['t'] <= end_us], labels.times[labels.times <= end_us]
    if not len(times):
        raise EvaluationError(f'{path} has no labels in what was played')
    labels = replace(labels, boxes=boxes, times=times)
    box_filter = choose_box_filter('auto', detected.sensor_size)
    return labels, pair_last_window(labels, detected, box_filter)


def _write_video(
    path: Path, playback: Playback, session: DemoSession, labels: Labels | None, trained: bool
) -> None:
    """Draw the detections of at least the operating score, and the labels."""
    with replay_video(path, Replayed(WINDOW_US / 1000, trained)) as draw:
        for window, detections in _answered_windows(playback, session):
            draw(window, detections.with_score(OPERATING_SCORE), _labels_of(labels, window))


def _labels_of(labels: Labels | None, window: EventWindow) -> np.ndarray | None:
    """Return the labels that are compared with a window: the first from its end on."""
    if labels is None:
        return None
    end_us = window.t_end if labels.clock == 'recording' else window.stamp_ns // 1000
    times = labels.boxes['t']
    first, behind = np.searchsorted(times, (end_us, end_us + WINDOW_US))
    rows = labels.boxes[first:behind]
    return rows[rows['t'] == rows['t'][:1]]


def _values(status: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


def _kept_at(session: DemoSession, time_ns: int) -> tuple[StageShare, ...]:
    """Return the shares of the first report after that time; messages do not carry them."""
    later = (status for at, status in session.diagnostics if at >= time_ns)
    return next(filter(None, (kept_shares(_values(status)) for status in later)), ())


def _means(shares: list[list[float]]) -> list[float]:
    return [round(float(np.mean(stage)), 4) for stage in zip(*shares)]


def _percentiles(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    median, p99, largest = np.percentile(values, (50, 99, 100)).round(1).tolist()
    return {'median': median, 'p99': p99, 'max': largest}
