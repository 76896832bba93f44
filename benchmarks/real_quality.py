# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What a model finds in the recordings of ``../shared/data``; parts of detection_quality.py.

``real_video`` has real streets, filmed, and their labels; in the others there is no road user.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from quality_measures import false_boxes, localisation
from sast_ros import defaults
from sast_ros.bags import detection_boxes, open_recording
from sast_ros.bags.detections import window_row
from sast_ros.detector import StreamingDetector
from sast_ros.evaluation.box_filter import choose_box_filter
from sast_ros.evaluation.detections import RecordedDetections
from sast_ros.evaluation.labels import Labels, read_labels
from sast_ros.evaluation.metrics.matching import OPERATING_SCORE
from sast_ros.evaluation.metrics.summary import compute_metrics
from sast_ros.evaluation.pairing import pair_last_window, PairedRecording
from sast_ros.events import EventChunk
from sast_ros.events.filters import FilterChain
from sast_ros.model import load_model, SAST
from sast_ros.pipeline import EventPipeline
from sast_ros.process import keep_heap
from sast_ros.tracking import DEFAULT_TRACKING
from sast_ros.visualization.overlay import draw_overlay
import torch

#: Recordings of real_video: class names of the labels.
VIDEOS = {'highway': ('x', 'car'), 'pedestrian': ('pedestrian',)}

#: Recordings without road users.
EMPTY = {
    'light, imx636 1280x720': 'faery_imx636/imx636_evt3.raw',
    'hand, 640x480': 'ecp_evt3_vga/test_events_1',
    'noise, 1280x720': 'codecs_edge_cases/test_data_evt3_trigger',
    'noise, 640x480': 'codecs_edge_cases/test_data_libcaer_rollover',
}

#: Hz a pixel that are added.
NOISE = (1.0, 5.0, 10.0)

#: By as much as labels are younger than the windows that they are compared with.
LEADING = replace(DEFAULT_TRACKING, lead_ms=30.0)

#: Minimum score that is computed, and the maximum number of detections of a window.
MIN_SCORE, MAX_DETECTIONS = 0.01, 100


def read_events(path: Path) -> EventChunk:
    """Return the events of a recording as one chunk."""
    with open_recording(path) as recording:
        chunks = list(recording)
        size = recording.sensor_size
    columns = {name: np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in 'xypt'}
    height, width = size or (chunks[0].height, chunks[0].width)
    return EventChunk(**columns, width=width, height=height, checked=True)


def add_noise(events: EventChunk, hertz: float) -> EventChunk:
    """Return the events with others at random: a Poisson process in each pixel, half of it ON."""
    rng = np.random.default_rng(0)
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
    model: SAST,
    events: EventChunk,
    end_us: int | None = None,
    filters: Sequence[str] = (),
    **settings: Any,
) -> RecordedDetections:
    """
    Return the detections of a recording, as ``sast-ros replay`` does but of all scores.

    Windows begin at the first event, or so that one of them ends at a time. ``filters`` of
    ``FilterChain``, ``settings`` of ``EventPipeline``.
    """
    detector = StreamingDetector(model, MIN_SCORE, max_detections=MAX_DETECTIONS)
    if end_us is not None:
        settings['align'] = 'epoch'
        events = replace(events, epoch_us=-end_us, checked=True)
    settings['event_filter'] = FilterChain(filters)
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


def detect_at(
    model: SAST, events: EventChunk, times: np.ndarray, filters: Sequence[str] = ()
) -> RecordedDetections:
    """Return the detections of windows that end at the times: a run for each phase of them."""
    runs = [
        detect(model, events, int(phase), filters)
        for phase in np.unique(times % (1000 * defaults.STRIDE_MS))
    ]
    rows = {}
    for name in ('boxes', 'windows'):
        chosen = np.concatenate([getattr(run, name) for run in runs])
        chosen = chosen[np.isin(chosen['t'], times)]
        rows[name] = chosen[np.argsort(chosen['t'], kind='stable')]
    return replace(runs[0], **rows)


def pair(labels: Labels, detected: RecordedDetections) -> PairedRecording:
    """Pair labels with the last window before them."""
    return pair_last_window(labels, detected, choose_box_filter('auto', detected.sensor_size))


def summarise(paired: PairedRecording) -> dict[str, Any]:
    """Return the numbers of a recording that the table has."""
    metrics = compute_metrics([paired])
    point = metrics['operating_point']
    ages = [frame.t + paired.start_us - frame.t_end for frame in paired.frames]
    row = {
        'ap50': metrics['AP50'],
        'ap75': metrics['AP75'],
        'ap': metrics['AP'],
        'precision': point['precision'],
        'recall': point['recall'],
        'calibration_error': metrics['calibration']['reported']['expected_error'],
        'age_ms': float(np.mean(ages)) / 1000,
        'frames': metrics['images'],
        'labels': metrics['labels'],
    }
    return {key: round(one, 4) if isinstance(one, float) else one for key, one in row.items()}


def measure_video(
    weights: str, path: Path, classes: tuple[str, ...], filters: Sequence[str] = ()
) -> dict[str, Any]:
    """
    Measure on a recording ``NAME_td.dat`` with the labels ``NAME_bbox.npy``, filtered.

    Returns
    -------
    dict
        ``rows``: metrics of the detections of ``sast-ros replay``, of those of all scores, with
        twice the windows, with `tracking.lead_ms`, with windows that end at the times of the
        labels, and with noise added; ``localisation``.

    """
    model = _load(weights)
    events = read_events(path)
    size = (events.height, events.width)
    stem = path.stem
    labels = read_labels(path.with_name(stem.replace('_td', '_bbox.npy')), stem, classes, size)
    last = detect(model, events, filters=filters)
    above = last.boxes['class_confidence'] >= np.float32(defaults.SCORE_THRESHOLD)
    paired = {
        'sast-ros replay': pair(labels, replace(last, boxes=last.boxes[above])),
        'all scores': pair(labels, last),
        'stride 25 ms': pair(labels, detect(model, events, None, filters, stride_ms=25.0)),
        'lead 30 ms': pair(labels, detect(model, events, None, filters, tracking=LEADING)),
        'age 0': pair(labels, detect_at(model, events, labels.times, filters)),
        **{
            f'{hertz:g} Hz': pair(labels, detect(model, add_noise(events, hertz), filters=filters))
            for hertz in NOISE
        },
    }
    return {
        'rows': {name: summarise(one) for name, one in paired.items()},
        'localisation': {
            name: localisation([paired[name].frames]) for name in ('all scores', 'age 0')
        },
    }


def measure_empty(weights: str, path: Path, filters: Sequence[str] = ()) -> dict[str, Any]:
    """Count boxes where there is no road user."""
    detected = detect(_load(weights), read_events(path), filters=filters)
    assert detected.windows is not None
    return false_boxes(
        detected.boxes['t'],
        detected.boxes['class_confidence'],
        detected.windows['t'],
        detected.stride_us,
        (OPERATING_SCORE, 0.1),
    )


def draw_worst(weights: str, path: Path, filters: Sequence[str], height: int) -> np.ndarray | None:
    """Return a picture ``uint8[height, W, 3]`` of the window with the most boxes, if any."""
    detector = StreamingDetector(_load(weights), OPERATING_SCORE, max_detections=MAX_DETECTIONS)
    events = read_events(path)
    size = events.height, events.width
    steps = EventPipeline(detector, size, event_filter=FilterChain(filters)).steps(events)
    window, detections = max(steps, key=lambda step: len(step[1]))
    if not len(detections):
        return None
    picture = Image.fromarray(draw_overlay(window, detections, *size))
    width = round(height * events.width / events.height)
    return np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))


def _load(weights: str) -> SAST:
    torch.set_num_threads(1)
    keep_heap()
    return load_model(weights)
