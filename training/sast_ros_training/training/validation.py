# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Held-out sequences through the detector: average precision, and what the selection kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sast_ros.bags.detections import detection_boxes
from sast_ros.detector import StreamingDetector
from sast_ros.evaluation.box_filter import BOXES_GEN1
from sast_ros.evaluation.calibrate import fit_calibration
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.metrics.average_precision import mean_average_precision
from sast_ros.evaluation.metrics.calibration import ScoredDetections
from sast_ros.evaluation.metrics.matching import match_frame
from sast_ros.evaluation.pairing import Frame
from sast_ros.labels import BOX_DTYPE, MIN_VISIBILITY
from sast_ros.model import Calibration
from sast_ros_training.training.cache import CachedSequence

#: Bounds of the rows of the sparsity table, shares of the pixels that have events.
DENSITIES = (0.01, 0.02, 0.05, 0.10, 0.25)

_LABEL_DTYPE = np.dtype([*BOX_DTYPE.descr, ('ignored', '?')])
#: The best detections of a window, as many as the metric uses.
MAX_DETECTIONS = 100


@dataclass
class SequenceResult:
    """What was found in one sequence."""

    motion: str
    #: Length and stride of its windows, ``'50/50'`` in milliseconds.
    windows: str
    #: Labels and detections of every labelled frame, for ``mean_average_precision``. Boxes are in
    #: cells, so that the filter of small boxes does not depend on the sensor: training ignores
    #: objects by their cells, too.
    images: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    #: Share of the pixels with events, per window.
    active: list[float] = field(default_factory=list)
    #: ``[windows, 4, 2]``, share of windows and tokens that each stage attended to.
    kept: list[list[tuple[float, float]]] = field(default_factory=list)


def run_sequence(detector: StreamingDetector, sequence: CachedSequence) -> SequenceResult:
    """Run one sequence from a zero state, the state carried from window to window."""
    info = sequence.info
    detector.reset()
    detector.downsample, detector.sensor_size = info.downsample, info.sensor_size
    windows = f'{info.window_ms:g}/{info.stride_ms:g}'
    result = SequenceResult(info.motion, windows)
    for window in range(len(sequence)):
        detections = detector.step(sequence.dense(window))
        result.active.append(sequence.active_share(window))
        result.kept.append([(stage.windows, stage.tokens) for stage in detections.kept])
        if not sequence.labelled[window]:
            continue
        t = int(sequence.t_end[window])
        found = detection_boxes(replace(detections, t_end=t))
        truth = _truth(sequence.labels(window), t)
        for name in ('x', 'y', 'w', 'h'):
            for boxes in (truth, found):
                boxes[name] /= info.downsample
        result.images.append((truth, found))
    return result


def _truth(labels: np.ndarray, t: int) -> np.ndarray:
    """Return the labels; those that have never produced events are ignored."""
    labels = labels[labels['visibility'] > 0]
    truth = np.zeros(len(labels), _LABEL_DTYPE)
    for name in ('x', 'y', 'w', 'h', 'class_id', 'track_id'):
        truth[name] = labels[name]
    truth['t'] = t
    truth['ignored'] = ~labels['seen'] | (labels['visibility'] < MIN_VISIBILITY)
    return truth


def summarise(results: Iterable[SequenceResult], classes: tuple[str, ...]) -> dict[str, Any]:
    """
    Return the metrics of sequences, JSON-ready.

    ``all``: over everything; ``by_motion``: for each motion of the camera; ``by_windows``: for
    each length and stride of the windows; ``sparsity``: see ``sparsity_table``.
    """
    results = list(results)

    def metrics(chosen: list[SequenceResult]) -> dict[str, Any]:
        images = [image for result in chosen for image in result.images]
        return mean_average_precision(images, classes, BOXES_GEN1)

    motions = sorted({result.motion for result in results})
    timings = sorted({r.windows for r in results}, key=lambda w: [*map(float, w.split('/'))])
    return {
        'sequences': len(results),
        'all': metrics(results),
        'by_motion': {m: metrics([r for r in results if r.motion == m]) for m in motions if m},
        'by_windows': {w: metrics([r for r in results if r.windows == w]) for w in timings},
        'sparsity': sparsity_table(results),
    }


def calibrate_scores(
    results: Iterable[SequenceResult], classes: tuple[str, ...]
) -> Calibration | None:
    """
    Return the calibration of scores by sequences that were detected in without one.

    Small boxes and the first half second are left out as in ``summarise``; None if too little was
    found to calibrate with.
    """
    frames = []
    for result in results:
        for labels, found in result.images:
            labels, found = (
                given[BOXES_GEN1(given) & (given['t'] > BOXES_GEN1.skip_us)]
                for given in (labels, found)
            )
            ignored = labels['ignored']
            frames.append(match_frame(Frame(0, labels[~ignored], found, regions=labels[ignored])))
    try:
        return fit_calibration(ScoredDetections.of(frames), len(classes))
    except EvaluationError:
        return None


def sparsity_table(results: Iterable[SequenceResult]) -> list[dict[str, Any]]:
    """
    Return the shares that the four stages kept, by event density.

    ``least`` and ``most`` share of active pixels, number of ``windows``, mean share of windows and
    of tokens kept in stages 1 to 4.
    """
    results = list(results)
    active = np.array([share for result in results for share in result.active])
    kept = np.array([stages for result in results for stages in result.kept])
    rows = []
    for low, high, chosen in by_density(active):
        mean = kept[chosen].mean(axis=0).round(4)
        rows.append(
            {
                'least': low,
                'most': high,
                'windows': int(chosen.sum()),
                'kept_windows': mean[:, 0].tolist(),
                'kept_tokens': mean[:, 1].tolist(),
            }
        )
    return rows


def by_density(active: np.ndarray) -> Iterator[tuple[float, float, np.ndarray]]:
    """
    Yield the rows of the sparsity table that have windows: bounds, and ``bool[N]`` which windows.

    ``active``: share of active pixels of each window.
    """
    bounds = (0.0, *DENSITIES, 1.0)
    for low, high in zip(bounds, bounds[1:]):
        chosen = (active >= low) & ((active < high) | (high == 1))
        if chosen.any():
            yield low, high, chosen


def describe(metrics: dict[str, Any]) -> str:
    """Return mean average precision, and AP50 by class, in one line."""
    classes = ', '.join(f'{n} {_number(row["ap50"])}' for n, row in metrics['by_class'].items())
    return f'mAP {_number(metrics["ap"])}, AP50 {_number(metrics["ap50"])} ({classes})'


def _number(value: float | None) -> str:
    return '-' if value is None else f'{value:.3f}'
