# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What a model finds in the recordings of ``../shared/data``; parts of detection_quality.py.

``real_video`` has real streets, filmed, and their labels; in the others there is no road user.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sast_ros import defaults
from sast_ros.bags import detection_boxes, open_recording
from sast_ros.bags.detections import window_row
from sast_ros.detector import StreamingDetector
from sast_ros.evaluation.box_filter import choose_box_filter
from sast_ros.evaluation.detections import RecordedDetections
from sast_ros.evaluation.labels import Labels, read_labels
from sast_ros.evaluation.metrics.matching import iou_matrix, match, OPERATING_SCORE
from sast_ros.evaluation.metrics.summary import compute_metrics
from sast_ros.evaluation.pairing import Frame, pair_last_window, PairedRecording
from sast_ros.events import EventChunk
from sast_ros.model import SAST
from sast_ros.pipeline import EventPipeline
from sast_ros.process import keep_heap

#: Recordings of real_video: class names of the labels, and seconds of them that noise is added to.
VIDEOS = {'highway': (('x', 'car'), 8.0), 'pedestrian': (('pedestrian',), 8.0)}

#: Recordings without road users.
EMPTY = {
    'light, imx636 1280x720': 'faery_imx636/imx636_evt3.raw',
    'hand, 640x480': 'ecp_evt3_vga/test_events_1',
    'noise, 1280x720': 'codecs_edge_cases/test_data_evt3_trigger',
    'noise, 640x480': 'codecs_edge_cases/test_data_libcaer_rollover',
}

#: Hz a pixel that are added.
NOISE = (1.0, 5.0, 10.0)

#: Minimum score that is computed, and the maximum number of detections of a window.
MIN_SCORE, MAX_DETECTIONS = 0.01, 100

#: IoU of the matches whose edges are compared.
MATCH_IOU = 0.4

#: Pixels per second from which on something has a leading edge.
MIN_SPEED = 20.0


def read_events(path: Path, seconds: float | None = None) -> EventChunk:
    """Return the events of a recording as one chunk."""
    with open_recording(path) as recording:
        chunks = list(recording.between(0.0, seconds))
        size = recording.sensor_size
    columns = {name: np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in 'xypt'}
    height, width = size or (chunks[0].height, chunks[0].width)
    return EventChunk(**columns, width=width, height=height, checked=True)


def add_noise(events: EventChunk, hertz: float, seed: int = 0) -> EventChunk:
    """Return the events with others at random: a Poisson process in each pixel, half of it ON."""
    rng = np.random.default_rng(seed)
    first, last = int(events.t[0]), int(events.t[-1])
    pixels = events.width * events.height
    count = int(rng.poisson(hertz * pixels * (last - first) / 1e6))
    place = rng.integers(0, pixels, count)
    t = np.concatenate([events.t, rng.integers(first, last + 1, count)])
    order = np.argsort(t, kind='stable')
    x, y, p = (
        np.concatenate([old, new.astype(old.dtype)])[order]
        for old, new in (
            (events.x, place % events.width),
            (events.y, place // events.width),
            (events.p, rng.integers(0, 2, count)),
        )
    )
    return replace(events, x=x, y=y, p=p, t=t[order], checked=True)


def detect(
    model: SAST, events: EventChunk, end_us: int | None = None, **settings: Any
) -> RecordedDetections:
    """
    Return the detections of a recording, as ``sast-ros replay`` does but of all scores.

    Windows begin at the first event, or so that one of them ends at a time. ``settings`` of
    ``EventPipeline``.
    """
    detector = StreamingDetector(model, MIN_SCORE, max_detections=MAX_DETECTIONS)
    if end_us is not None:
        settings['align'] = 'epoch'
        events = replace(events, epoch_us=-end_us, checked=True)
    pipeline = EventPipeline(detector, (events.height, events.width), **settings)
    boxes, windows = [], []

    def run() -> Iterator[Any]:
        yield from pipeline.steps(events)
        yield from pipeline.finish()

    for _, detections in run():
        boxes.append(detection_boxes(detections))
        windows.append(window_row(detections))
    return RecordedDetections(
        name='recording',
        path=Path('recording'),
        boxes=np.concatenate(boxes),
        classes=tuple(model.config.classes),
        windows=np.concatenate(windows),
        start_us=int(events.t[0]),
        end_us=int(events.t[-1]),
        stride_us=pipeline.cutter.stride_us,
        duration_us=pipeline.cutter.duration_us,
        sensor_size=(events.height, events.width),
    )


def detect_at(model: SAST, events: EventChunk, times: np.ndarray) -> RecordedDetections:
    """Return the detections of windows that end at the times: a run for each phase of them."""
    runs = [
        detect(model, events, int(phase))
        for phase in np.unique(times % (1000 * defaults.STRIDE_MS))
    ]
    boxes, windows = (
        np.concatenate([getattr(run, name) for run in runs]) for name in ('boxes', 'windows')
    )
    chosen = np.isin(windows['t'], times)
    return replace(
        runs[0],
        boxes=boxes[np.isin(boxes['t'], times)][_by_time(boxes[np.isin(boxes['t'], times)])],
        windows=windows[chosen][_by_time(windows[chosen])],
    )


def _by_time(rows: np.ndarray) -> np.ndarray:
    return np.argsort(rows['t'], kind='stable')


def at_least(detected: RecordedDetections, score: float) -> RecordedDetections:
    """Return the detections of a minimum score."""
    boxes = detected.boxes
    return replace(detected, boxes=boxes[boxes['class_confidence'] >= np.float32(score)])


def pair(labels: Labels, detected: RecordedDetections) -> PairedRecording:
    """Pair labels with the last window before them."""
    return pair_last_window(labels, detected, choose_box_filter('auto', detected.sensor_size))


def summarise(paired: PairedRecording) -> dict[str, Any]:
    """Return the numbers of a recording that the table has."""
    metrics = compute_metrics([paired])
    point = metrics['operating_point']
    return {
        'ap50': metrics['AP50'],
        'ap75': metrics['AP75'],
        'ap': metrics['AP'],
        'labels': metrics['labels'],
        'frames': metrics['images'],
        'precision': point['precision'],
        'recall': point['recall'],
        'calibration_error': calibration_error(metrics['calibration']['bins']),
    }


def calibration_error(bins: Sequence[dict[str, Any]], score: float = OPERATING_SCORE) -> Any:
    """
    Return the expected calibration error of detections from a score on.

    It is the mean difference of mean score and precision of ``calibration``'s bins, by their
    numbers of detections; ``None`` without detections.
    """
    chosen = [row for row in bins if row['least'] >= score - 1e-9 and row['detections']]
    count = sum(row['detections'] for row in chosen)
    if not count:
        return None
    return sum(
        row['detections'] / count * abs(row['mean_score'] - row['precision']) for row in chosen
    )


# ------------------------------------------------------------------------------------ localisation


def localisation(frames: Sequence[Frame], score: float = OPERATING_SCORE) -> dict[str, Any]:
    """
    Return how far the edges of detections are from those of the labels that they match.

    Returns
    -------
    dict
        ``matches``; ``left``, ``top``, ``right`` and ``bottom``: ``median`` of the difference as
        share of the label's width or height, right and down positive, and its ``spread`` (1.48
        times the median distance from the median). ``leading`` and ``trailing`` of what moves by
        ``MIN_SPEED`` or more, along the axis on which it moves faster: the same, positive outside
        of the label, and in pixels; ``lag_ms``: median distance outside over speed.

    """
    edges, outside = [], []
    for frame, speeds in zip(frames, label_speeds([frame.labels for frame in frames], frames)):
        found = frame.detections[frame.detections['class_confidence'] >= score]
        for index, row in enumerate(match(frame.labels, found, MATCH_IOU)):
            if row < 0:
                continue
            label, corners = frame.labels[row], _corners(found[index])
            difference = corners - _corners(label)
            edges.append(difference / np.array([label['w'], label['h']] * 2))
            if np.abs(speeds[row]).max() >= MIN_SPEED:
                axis = int(np.abs(speeds[row]).argmax())
                low, high = -difference[axis], difference[2 + axis]
                pair_ = (high, low) if speeds[row][axis] > 0 else (low, high)
                side = float(label['w'] if axis == 0 else label['h'])
                outside.append((*pair_, side, abs(speeds[row][axis])))
    result: dict[str, Any] = {'matches': len(edges), 'moving': len(outside)}
    if edges:
        for name, column in zip(('left', 'top', 'right', 'bottom'), np.array(edges).T):
            result[name] = _spread(column)
    if outside:
        lead, trail, side, speed = np.array(outside).T
        for name, column in (('leading', lead), ('trailing', trail)):
            result[name] = _spread(column / side) | {
                'pixels': round(float(np.median(column)), 2),
                'lag_ms': round(float(np.median(column / speed)) * 1000, 1),
            }
    return result


def label_speeds(labels: Sequence[np.ndarray], frames: Sequence[Frame]) -> list[np.ndarray]:
    """
    Return the speed of every label's centre in pixels per second, ``float64[N, 2]`` per frame.

    It is that between the frames before and after, in which it is the label with the largest IoU,
    of 0.5 at least; zero if there is none. Numbers of tracks are not relied upon.
    """
    result = []
    for index, boxes in enumerate(labels):
        speeds = np.zeros((len(boxes), 2))
        if 0 < index < len(labels) - 1 and len(boxes):
            span = (frames[index + 1].t - frames[index - 1].t) / 1e6
            before, after = (_partners(boxes, labels[index + step]) for step in (-1, 1))
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


# ------------------------------------------------------------------------------------------- parts


def real_video(model: SAST, folder: Path) -> dict[str, Any]:
    """Measure on the labelled recordings."""
    keep_heap()
    result: dict[str, Any] = {}
    for name, (classes, seconds) in VIDEOS.items():
        path = folder / 'real_video' / f'{name}_td.dat'
        events = read_events(path)
        size = (events.height, events.width)
        labels = read_labels(path.with_name(f'{name}_bbox.npy'), f'{name}_td', classes, size)
        last = detect(model, events)
        aligned = pair(labels, detect_at(model, events, labels.times))
        result[name] = {
            'last window': summarise(pair(labels, at_least(last, defaults.SCORE_THRESHOLD))),
            'last window, all scores': summarise(pair(labels, last)),
            'age 0, all scores': summarise(aligned),
            'localisation': {
                'last window': localisation(pair(labels, last).frames),
                'age 0': localisation(aligned.frames),
            },
            'noise': noise(model, events, labels, seconds),
        }
    return result


def noise(model: SAST, events: EventChunk, labels: Labels, seconds: float) -> dict[str, Any]:
    """Return the recall at the operating score in the first seconds, by noise."""
    end = int(events.t[0]) + round(1e6 * seconds)
    events = events[: int(np.searchsorted(events.t, end))]
    labels = replace(
        labels, boxes=labels.boxes[labels.boxes['t'] < end], times=labels.times[labels.times < end]
    )
    rows = {}
    for hertz in (0.0, *NOISE):
        noisy = add_noise(events, hertz) if hertz else events
        paired = pair(labels, detect(model, noisy))
        row = summarise(paired)
        rows[f'{hertz:g} Hz'] = {name: row[name] for name in ('recall', 'precision', 'ap50')}
    return rows


def empty_recordings(model: SAST, folder: Path) -> dict[str, Any]:
    """Count boxes where there is no road user."""
    keep_heap()
    rows = {}
    for name, file in EMPTY.items():
        detected = detect(model, read_events(folder / file))
        scores, windows = detected.boxes['class_confidence'], detected.windows
        assert windows is not None
        rows[name] = false_boxes(
            detected.boxes['t'], scores, windows['t'], detected.stride_us, (OPERATING_SCORE, 0.1)
        )
    return rows


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
