# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Fit of the calibration of scores to detections with labels.

Two numbers a class, by maximum likelihood: few, because the share of correct boxes depends on how
many objects there are, which differs from place to place. An offset follows such a change of the
prior exactly, and is fitted to few recordings; a step function (isotonic regression) with tens of
levels fits the recordings at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.metrics.calibration import score_calibration, ScoredDetections
from sast_ros.evaluation.metrics.matching import MatchedRecording
from sast_ros.evaluation.metrics.summary import common_classes
from sast_ros.evaluation.metrics.thresholds import best_threshold, threshold_table
from sast_ros.model.calibration import Calibration

#: A class with fewer correct or wrong detections has the values of all classes together.
_FEWEST = 30

#: Recordings are held out in so many groups.
_FOLDS = 5

#: Detections below are so many that they would decide the line, and are hardly ever shown.
_LOWEST_SCORE = 0.05

_ITERATIONS, _TOLERANCE = 100, 1e-6

#: Bounds of slopes, and the precision of their prior: a standard deviation of 0.5.
_SLOPES, _SLOPE_PRECISION = (0.1, 10.0), 4.0


def fit_calibration(detections: ScoredDetections, classes: int) -> Calibration:
    """
    Return the calibration that makes the matches of detections most likely.

    Parameters
    ----------
    detections : ScoredDetections
        With raw scores.
    classes : int
        Number of classes. One with few detections or none has the values of all together.

    Raises
    ------
    EvaluationError
        There are too few correct or wrong detections of all classes together.

    """
    used = detections[detections.scores >= _LOWEST_SCORE]
    correct, count = int(used.correct.sum()), len(used.scores)
    if min(correct, count - correct) < _FEWEST:
        raise EvaluationError(
            f'{correct} correct and {count - correct} wrong detections with a score of at least '
            f'{_LOWEST_SCORE} are too few to calibrate with; give recordings with {_FEWEST} of '
            'each or more'
        )
    together, lines = _fit_line(used), []
    for class_id in range(classes):
        own = used[used.class_ids == class_id]
        correct = int(own.correct.sum())
        enough = min(correct, len(own.scores) - correct) >= _FEWEST
        lines.append(_fit_line(own) if enough else together)
    slopes, offsets = zip(*lines)
    return Calibration(slopes, offsets)


def _fit_line(detections: ScoredDetections) -> tuple[float, float]:
    """
    Return slope and offset of the log odds.

    As Platt does, the targets are those of one more correct and one more wrong detection; and the
    slope has a normal prior around 1. So scores that separate right from wrong, or are all the
    same, have a line, too.
    """
    scores = detections.scores.astype(np.float64).clip(1e-7, 1 - 1e-7)
    odds = np.log(scores) - np.log1p(-scores)
    positive = int(detections.correct.sum())
    negative = len(scores) - positive
    target = np.where(detections.correct, (positive + 1) / (positive + 2), 1 / (negative + 2))
    slope, offset = _newton(odds, target, 1.0, fixed_slope=False)
    low, high = _SLOPES
    if not low <= slope <= high:
        slope, offset = _newton(odds, target, min(max(slope, low), high), fixed_slope=True)
    return slope, offset


def _newton(
    odds: np.ndarray, target: np.ndarray, slope: float, *, fixed_slope: bool
) -> tuple[float, float]:
    """Return slope and offset of the largest posterior, by Newton's method with shorter steps."""
    inputs = np.stack([odds, np.ones(len(odds))], axis=1)
    prior = np.array([_SLOPE_PRECISION, 0.0])
    free = slice(1 if fixed_slope else 0, None)

    def loss(line: np.ndarray) -> float:
        logits = inputs @ line
        fit = (np.logaddexp(0, logits) - target * logits).sum()
        return float(fit + (prior * (line - 1) ** 2).sum() / 2)

    line = np.array([slope, 0.0])
    for _ in range(_ITERATIONS):
        share = np.exp(-np.logaddexp(0, -inputs @ line))
        gradient = inputs.T @ (share - target) + prior * (line - 1)
        curvature = (inputs * (share * (1 - share))[:, None]).T @ inputs + np.diag(prior + 1e-9)
        step = np.zeros(2)
        step[free] = np.linalg.solve(curvature[free, free], gradient[free])
        while loss(line - step) > loss(line) and np.abs(step).max() > _TOLERANCE:
            step /= 2
        if np.abs(step).max() <= _TOLERANCE:
            break
        line = line - step
    return float(line[0]), float(line[1])


def apply_calibration(detections: ScoredDetections, calibration: Calibration) -> ScoredDetections:
    """Return detections with calibrated scores."""
    scores = calibration(detections.scores, detections.class_ids)
    return replace(detections, scores=scores)


def calibrate_recordings(
    recordings: Sequence[MatchedRecording], names: Sequence[str]
) -> tuple[Calibration, dict[str, Any]]:
    """
    Fit a calibration to recordings, and find out how good such a fit is on others.

    Parameters
    ----------
    recordings : sequence of MatchedRecording
        With raw scores.
    names : sequence of str
        Class of the recordings that each class of the weights is, in class-id order.

    Returns
    -------
    calibration : Calibration
        Of the classes of the weights, by all recordings.
    report : dict
        JSON-ready. ``classes`` of the recordings; ``slopes`` and ``offsets`` of those of the
        weights; ``before`` and ``after``: see ``score_calibration``, the latter of recordings that
        were held out of the fit (``held_out`` is false where there is only one); ``thresholds``:
        see ``threshold_table``; ``best_threshold``: that with the largest F1.

    Raises
    ------
    EvaluationError
        There are too few detections, or the classes of the recordings differ.

    """
    classes = common_classes([each.recording for each in recordings])
    recordings = sorted(recordings, key=lambda each: each.recording.name)
    parts = [ScoredDetections.of(each.frames) for each in recordings]
    fit = fit_calibration(_joined(parts), len(classes) + 1)  # the last one: all together
    chosen = [classes.index(name) if name in classes else -1 for name in names]
    calibration = Calibration(*(tuple(v[i] for i in chosen) for v in (fit.slopes, fit.offsets)))
    folds = min(_FOLDS, len(parts))
    tested = []
    for fold in range(folds):
        others = [part for number, part in enumerate(parts) if number % folds != fold]
        own = fit_calibration(_joined(others), len(classes)) if others else fit
        tested += [apply_calibration(part, own) for part in parts[fold::folds]]
    labels = np.zeros(len(classes), np.int64)
    for each in recordings:
        for one in each.frames:
            labels += np.bincount(one.frame.labels['class_id'], minlength=len(classes))
    rows = threshold_table(_joined(tested), labels.tolist(), classes)
    return calibration, {
        'classes': list(classes),
        **calibration.as_dict(),
        'recordings': len(recordings),
        'held_out': folds > 1,
        'before': score_calibration(_joined(parts)),
        'after': score_calibration(_joined(tested)),
        'thresholds': rows,
        'best_threshold': best_threshold(rows),
    }


def _joined(parts: Sequence[ScoredDetections]) -> ScoredDetections:
    return ScoredDetections(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ('scores', 'class_ids', 'correct')
        )
    )
