# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What a model finds in held-out simulated drives; a part of detection_quality.py.

The drives are those of ``sast-ros simulate --seed K --sequences N --seconds S``, their labels
those of the ``_bbox.npy`` files; objects without a box there are ignored. No seed of that command
is ever trained on. Protocol of the Prophesee data sets (sast_ros.evaluation): from 0.5 s on, boxes
of a diagonal of 30 and a side of 10 pixels or more, twice as much at 1 megapixel, the detections
of a label's window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from quality_measures import false_boxes, localisation
from sast_ros import defaults
from sast_ros.bags.detections import detection_boxes
from sast_ros.detector import StreamingDetector
from sast_ros.evaluation.box_filter import BoxFilter, choose_box_filter
from sast_ros.evaluation.metrics.average_precision import mean_average_precision
from sast_ros.evaluation.metrics.calibration import score_calibration, ScoredDetections
from sast_ros.evaluation.metrics.matching import match_recording, OPERATING_SCORE
from sast_ros.evaluation.metrics.operating_point import operating_point
from sast_ros.evaluation.pairing import Frame, PairedRecording
from sast_ros.labels import BOX_DTYPE
from sast_ros.model import load_model
from sast_ros.pipeline import EventPipeline
from sast_ros.process import keep_heap
from sast_ros_training.simulation.dataset import evaluation_boxes
from sast_ros_training.simulation.sequence import GEOMETRIES, SimulatedSequence
import torch

#: Sides of squares in sensor pixels between small, medium and large objects.
SIZES = (48, 96)

#: Events of noise per second of a pixel between rows.
NOISE = (0.1, 1.0)


def run(weights: str, seed: tuple[int, int], seconds: float, geometry: str) -> dict[str, Any]:
    """Simulate a drive and detect in it; return labels and detections of every window."""
    torch.set_num_threads(1)
    keep_heap()
    model = load_model(weights)
    drive = SimulatedSequence(seed, seconds, geometry)
    detector = StreamingDetector(model, score_threshold=0.01, max_detections=100)
    pipeline = EventPipeline(detector, (drive.height, drive.width))
    labels, found, events = {}, {}, {}

    def note(detections: Any) -> None:
        found[detections.t_end] = detection_boxes(detections)
        events[detections.t_end] = detections.events

    for window in drive.windows():
        labels[window.t_end] = evaluation_boxes(window.labels, drive.height)
        for detections in pipeline.feed(window.chunk):
            note(detections)
    for detections in pipeline.feed(drive.tail):
        note(detections)
    if set(labels) != set(found):
        raise RuntimeError(f'drive {seed}: windows and labels do not belong together')
    facts = drive.describe()
    return {
        'classes': list(model.config.classes),
        'motion': drive.motion,
        'scene': drive.scene,
        'road_users': sum(facts['actors'].values()),
        'light': 'night' if facts['night'] else 'day',
        'noise_hz': facts['sensor']['noise_hz'],
        'geometry': geometry,
        'images': [(labels[t], found[t], events[t]) for t in sorted(labels)],
    }


def summarise(drives: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """
    Return the measures of drives of one or several sensors.

    Returns
    -------
    dict
        ``average_precision``: of the first sensor, by motion, scene, light, noise, size and event
        rate, and of each of the others; of the first sensor, ``operating_point`` of every class,
        ``calibration_error``, ``localisation`` and ``without_road_users``, the boxes in drives
        that have none.

    """
    classes, geometry = drives[0]['classes'], drives[0]['geometry']
    own = [drive for drive in drives if drive['geometry'] == geometry]
    rows = {'all cameras': judge(own, classes)}
    for key in ('motion', 'scene', 'light'):
        values = sorted({drive[key] for drive in own})
        if len(values) > 1:
            for value in values:
                rows[value] = judge([drive for drive in own if drive[key] == value], classes)
    rows.update(by_noise(own, classes))
    rows.update(by_size(own, classes))
    rows.update(by_rate(own, classes))
    for other in dict.fromkeys(drive['geometry'] for drive in drives):
        if other != geometry:
            chosen = [drive for drive in drives if drive['geometry'] == other]
            rows[f'sensor {other}'] = judge(chosen, classes)
    recordings = [paired(drive) for drive in own]
    matched = [match_recording(recording) for recording in recordings]
    frames = [frame for recording in matched for frame in recording.frames]
    scores = score_calibration(ScoredDetections.of(frames))
    point = operating_point(matched, classes)['per_class']
    return {
        'average_precision': rows,
        'operating_point': {
            name: {'precision': row['precision'], 'recall': row['recall']}
            for name, row in point.items()
        },
        'calibration_error': scores['reported']['expected_error'],
        'localisation': localisation(recording.frames for recording in recordings),
        'without_road_users': in_empty_drives(drive for drive in own if not drive['road_users']),
    }


def in_empty_drives(drives: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """Count boxes where there is no road user, None without such drives."""
    windows = [found for drive in drives for _, found, _ in drive['images']]
    if not windows:
        return None
    found = np.concatenate(windows)
    # The same times come in several drives
    numbers = np.repeat(np.arange(len(windows)), [len(one) for one in windows])
    return false_boxes(
        numbers,
        found['class_confidence'],
        np.arange(len(windows)),
        round(1000 * defaults.STRIDE_MS),
        (OPERATING_SCORE, 0.1),
    )


def judge(drives: Sequence[dict[str, Any]], classes: Sequence[str]) -> dict[str, Any]:
    """Return the average precision in drives of one sensor."""
    return _average(drives, classes, lambda labels, found, _: (labels, found))


def by_noise(
    drives: Sequence[dict[str, Any]], classes: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Drives by the noise of their sensors."""
    rows = {}
    borders = (0.0, *NOISE, float('inf'))
    for least, most in zip(borders[:-1], borders[1:], strict=True):
        chosen = [drive for drive in drives if least <= drive['noise_hz'] < most]
        if chosen:
            upper = f' to {most:g} Hz' if most < borders[-1] else ' Hz and more'
            rows[f'noise {least:g}{upper}'] = judge(chosen, classes)
    return rows


def by_size(drives: Sequence[dict[str, Any]], classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Objects of one size; those of other sizes are neither right nor wrong."""
    rows = {}
    borders = (0, *SIZES, 10_000)
    for least, most in zip(borders[:-1], borders[1:], strict=True):

        def select(labels: Any, found: Any, _: int, least: int = least, most: int = most) -> Any:
            side = np.sqrt(labels['w'] * labels['h'])
            labels = labels.copy()
            labels['ignored'] |= (side < least) | (side >= most)
            side = np.sqrt(found['w'] * found['h'])
            # A detection of another size may belong to an object of this size, but not if far
            return labels, found[(side >= 0.7 * least) & (side < 1.4 * most)]

        name = f'side {least} to {most} px' if most < 10_000 else f'side over {least} px'
        rows[name] = _average(drives, classes, select)
    return rows


def by_rate(drives: Sequence[dict[str, Any]], classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Windows of few, some and many events, a third each."""
    counts = np.array([events for drive in drives for *_, events in drive['images']])
    borders = [0, *np.quantile(counts, [1 / 3, 2 / 3]).astype(int).tolist(), 1 << 60]
    rows = {}
    for least, most in zip(borders[:-1], borders[1:], strict=True):

        def select(labels: Any, found: Any, events: int, span: Any = (least, most)) -> Any:
            return (labels, found) if span[0] <= events < span[1] else None

        upper = f' to {20 * most / 1e6:.2f}' if most < 1 << 60 else ' and more'
        rows[f'{20 * least / 1e6:.2f}{upper} Mev/s'] = _average(drives, classes, select)
    return rows


def paired(drive: dict[str, Any]) -> PairedRecording:
    """Return the windows of a drive that are evaluated, with boxes that are large enough."""
    boxes = _boxes(drive)
    frames = []
    for labels, found, _ in drive['images']:
        times = np.concatenate([labels['t'], found['t']])
        if len(times) and times.min() > boxes.skip_us:
            kept = labels[boxes(labels)], found[boxes(found)]
            frames.append(make_frame(int(times[0]), *kept))
    none = drive['images'][0][0][:0]
    return PairedRecording('drive', tuple(drive['classes']), tuple(frames), none, 0)


def make_frame(t: int, labels: np.ndarray, found: np.ndarray) -> Frame:
    """Return labels with the field ``ignored``, and detections, as a frame with regions."""
    boxes, ignored = labels[list(BOX_DTYPE.names or ())], labels['ignored']
    return Frame(t, boxes[~ignored], found, regions=boxes[ignored])


def _average(
    drives: Sequence[dict[str, Any]], classes: Sequence[str], select: Callable[..., Any]
) -> dict[str, Any]:
    chosen = (select(*image) for drive in drives for image in drive['images'])
    images = [image for image in chosen if image is not None]
    return mean_average_precision(images, classes, _boxes(drives[0]))


def _boxes(drive: dict[str, Any]) -> BoxFilter:
    return choose_box_filter('auto', GEOMETRIES[drive['geometry']])
