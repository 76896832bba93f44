# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Fit of the calibration of scores to detections with labels.

By maximum likelihood, with two slopes for the curve, which is that of the network, and an offset
for each class: few numbers, because the share of correct boxes depends on how many objects of a
class there are, which differs from place to place. An offset follows such a change of the prior,
and is fitted to few recordings; a step function (isotonic regression) with tens of levels fits the
recordings at hand.
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

#: A class with fewer correct or wrong detections has the offset of all classes together.
_FEWEST = 30

#: Recordings are held out in so many groups.
_FOLDS = 5

#: Detections below are so many that they would decide the curve, and are hardly ever shown.
_LOWEST_SCORE = 0.05

_ITERATIONS, _TOLERANCE = 100, 1e-6

#: Bounds of the slopes.
_LOWEST_SLOPE, _HIGHEST_SLOPE = 0.1, 20.0

#: Precisions of the normal priors of slopes, around 1, and of offsets, around 0.
_SLOPE_PRECISION, _OFFSET_PRECISION = 4.0, 0.04


def fit_calibration(detections: ScoredDetections, classes: int) -> Calibration:
    """
    Return the calibration that makes the matches of detections most likely.

    Parameters
    ----------
    detections : ScoredDetections
        With raw scores.
    classes : int
        Number of classes. One with few detections or none has the offset of all together.

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
    own = [used.class_ids == class_id for class_id in range(classes)]
    known = [
        class_id
        for class_id, rows in enumerate(own)
        if min(int(used.correct[rows].sum()), int((~used.correct[rows]).sum())) >= _FEWEST
    ]
    scores = used.scores.astype(np.float64).clip(1e-7, 1 - 1e-7)
    curve = np.stack([np.log(scores), -np.log1p(-scores)], axis=1)
    others = ~np.isin(used.class_ids, known)
    columns = [own[class_id] for class_id in known] + [others] * bool(others.any())
    slopes, offsets = _fit_curve(curve, np.stack(columns, axis=1), used.correct)
    _, together = _fit_curve(curve, np.ones((len(scores), 1)), used.correct, slopes)
    by_class = dict(zip(known, offsets.tolist()))
    low, high = slopes.tolist()
    shifts = [by_class.get(class_id, float(together[0])) for class_id in range(classes)]
    return Calibration(low, high, tuple(shifts))


def _fit_curve(
    curve: np.ndarray, groups: np.ndarray, correct: np.ndarray, slopes: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the slopes, unless they are given, and the offset of each group."""
    inputs = np.concatenate([curve, groups], axis=1).astype(np.float64)
    values = np.concatenate([np.ones(2), np.zeros(groups.shape[1])])
    free = np.ones(len(values), bool)
    if slopes is not None:
        values[:2], free[:2] = slopes, False
    while True:
        found = _newton(inputs, correct, values, free)
        bounded = found[:2].clip(_LOWEST_SLOPE, _HIGHEST_SLOPE)
        outside = bounded != found[:2]
        if not (outside & free[:2]).any():
            return found[:2], found[2:]
        values[:2][outside], free[:2] = bounded[outside], free[:2] & ~outside


def _newton(
    inputs: np.ndarray, correct: np.ndarray, start: np.ndarray, free: np.ndarray
) -> np.ndarray:
    """Return the values of the largest posterior, by Newton's method with shorter steps."""
    center = np.where(np.arange(len(start)) < 2, 1.0, 0.0)
    prior = np.where(center == 1, _SLOPE_PRECISION, _OFFSET_PRECISION)

    def loss(values: np.ndarray) -> float:
        odds = inputs @ values
        fit = (np.logaddexp(0, odds) - correct * odds).sum()
        return float(fit + (prior * (values - center) ** 2).sum() / 2)

    values = start
    for _ in range(_ITERATIONS):
        share = np.exp(-np.logaddexp(0, -inputs @ values))
        gradient = inputs.T @ (share - correct) + prior * (values - center)
        curvature = (inputs * (share * (1 - share))[:, None]).T @ inputs + np.diag(prior)
        step = np.zeros(len(values))
        step[free] = np.linalg.solve(curvature[np.ix_(free, free)], gradient[free])
        while loss(values - step) > loss(values) and np.abs(step).max() > _TOLERANCE:
            step /= 2
        if np.abs(step).max() <= _TOLERANCE:
            break
        values = values - step
    return values


def apply_calibration(detections: ScoredDetections, calibration: Calibration) -> ScoredDetections:
    """Return detections with calibrated scores."""
    scores = calibration(detections.scores, detections.class_ids)
    return replace(detections, scores=scores)


def calibrate_recordings(
    recordings: Sequence[MatchedRecording],
    names: Sequence[str],
    present: Calibration | None = None,
) -> tuple[Calibration, dict[str, Any]]:
    """
    Fit a calibration to recordings, and find out how good such a fit is on others.

    Parameters
    ----------
    recordings : sequence of MatchedRecording
        With raw scores.
    names : sequence of str
        Class of the recordings that each class of the weights is, in class-id order.
    present : Calibration, optional
        That of the weights, if they have one. Where several classes of theirs are one of the
        recordings, the offset of the first is taken.

    Returns
    -------
    calibration : Calibration
        Of the classes of the weights, by all recordings.
    report : dict
        JSON-ready. ``classes`` of the recordings; ``low``, ``high`` and ``offsets``, those of
        the classes of the weights; ``before``, with ``present``, and ``after``: see
        ``score_calibration``, the latter of recordings that were held out of the fit
        (``held_out`` is false where there is only one, or the others have too few detections for
        a fit); ``thresholds``: see ``threshold_table``; ``best_threshold``: that with the largest
        F1.

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
    calibration = replace(fit, offsets=tuple(fit.offsets[index] for index in chosen))
    held_out = _held_out(parts, len(classes))
    old = parts
    if present is not None:
        offsets = tuple(present.offsets[list(names).index(name)] for name in classes)
        old = [apply_calibration(part, replace(present, offsets=offsets)) for part in parts]
    tested = held_out or [apply_calibration(part, fit) for part in parts]
    labels = np.zeros(len(classes), np.int64)
    for each in recordings:
        for one in each.frames:
            labels += np.bincount(one.frame.labels['class_id'], minlength=len(classes))
    rows = threshold_table(_joined(tested), labels.tolist(), classes)
    return calibration, {
        'classes': list(classes),
        **calibration.as_dict(),
        'recordings': len(recordings),
        'held_out': bool(held_out),
        'before': score_calibration(_joined(old)),
        'after': score_calibration(_joined(tested)),
        'thresholds': rows,
        'best_threshold': best_threshold(rows),
    }


def _held_out(parts: Sequence[ScoredDetections], classes: int) -> list[ScoredDetections]:
    """Return all parts, calibrated by fits to others; none if the others are too few for a fit."""
    folds, tested = min(_FOLDS, len(parts)), []
    for fold in range(folds if folds > 1 else 0):
        others = [part for number, part in enumerate(parts) if number % folds != fold]
        try:
            fit = fit_calibration(_joined(others), classes)
        except EvaluationError:
            return []
        tested += [apply_calibration(part, fit) for part in parts[fold::folds]]
    return tested


def _joined(parts: Sequence[ScoredDetections]) -> ScoredDetections:
    return ScoredDetections(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ('scores', 'class_ids', 'correct')
        )
    )
