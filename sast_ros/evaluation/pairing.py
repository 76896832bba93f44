"""
Which detections are compared with which labels.

A label is compared with the detections of one window, the last one that had ended at the time of
the label: what a vehicle would have known then. (The evaluator of the Prophesee toolbox pools all
detections within 50 ms before and after; three windows of a 20 Hz detector are then compared with
one label, two of them count as false alarms, and a perfect detector is worth 0.83. ``pool`` does
it that way.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from sast_ros.evaluation.average_precision import BoxFilter
from sast_ros.evaluation.detected import Detected
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.labels import Labels

#: Half the width of the pool of the Prophesee evaluator in microseconds.
POOL_US = 50_000


@dataclass(frozen=True)
class Pair:
    """
    Labels and detections of one time.

    ``t``: microseconds since the start of the recording; ``labels``, ``found``: ``BOX_DTYPE``
    arrays of what counts, class ids those of ``PairedRecording.classes``; ``events``: of the
    window per second, NaN if nobody tells; ``at``: the time on the clock of the detections in
    microseconds, the end of the window where one is meant.
    """

    t: int
    labels: np.ndarray
    found: np.ndarray
    events: float = float('nan')
    at: int = 0


@dataclass(frozen=True)
class PairedRecording:
    """
    One recording, ready to be judged.

    Parameters
    ----------
    name: of the recording.
    classes: common class names; class ids count in them.
    pairs: of every labelled time that counts, in order.
    free: boxes of the detections in intervals without labels, ``BOX_DTYPE[N]``.
    free_us: length of these intervals together.
    left_out: labels of classes that the detector does not know, by name.
    start_us: start of the recording on the clock of the detections.

    """

    name: str
    classes: tuple[str, ...]
    pairs: tuple[Pair, ...]
    free: np.ndarray
    free_us: int
    left_out: dict[str, int] = field(default_factory=dict)
    start_us: int = 0


def pair(labels: Labels, detected: Detected, boxes: BoxFilter) -> PairedRecording:
    """
    Pair every labelled time with the last window that had ended then.

    Raises
    ------
    EvaluationError: the two do not belong together: no common class, no common time.

    """
    classes, truth, found, left_out = _common_classes(labels, detected)
    windows = detected.windows
    ends = np.unique(detected.boxes['t']) if windows is None else windows['t']
    times = ends
    if labels.clock != detected.clock:
        if windows is None or labels.clock != 'ros':
            raise EvaluationError(
                f'{labels.path} and {detected.path} have different clocks, one of them ROS time, '
                'and nothing tells the difference; replay the recording, which notes both'
            )
        times = windows['stamp_ns'] // 1000
    start = _start(labels, detected, times, ends)
    shift = int(times[0] - ends[0]) if len(times) else 0
    _check_times(labels, detected, times)
    # What had ended before the label; where windows without detections are unknown, only the
    # window that must have ended last can be meant
    index = np.searchsorted(times, labels.times, 'right') - 1
    age = labels.times - times[index.clip(min=0)]
    limit = 2 * detected.stride_us if windows is not None else detected.stride_us - 1
    valid = (index >= 0) & (age <= limit)
    counted = truth[boxes(truth)]
    reported = found[boxes(found)]
    asked = _asked(labels, counted)
    pairs = []
    for time, which, known in zip(labels.times, index, valid):
        if time - start <= boxes.skip_us or not asked(time):
            continue
        rows = _at(counted, time).copy()
        rows['t'] -= start
        seen = _at(reported, ends[which]) if known else reported[:0]
        rate = float('nan')
        if windows is not None and known and detected.summary is not None:
            rate = float(windows['events'][which]) / detected.duration_us * 1e6
        at = int(ends[which] if known else time - shift)
        pairs.append(Pair(int(time - start), rows, seen, rate, at))
    free, free_us = _free(labels, detected, reported, times, ends, start, boxes)
    return PairedRecording(
        detected.name, classes, tuple(pairs), free, free_us, left_out, start - shift
    )


def pool(labels: Labels, detected: Detected, boxes: BoxFilter) -> PairedRecording:
    """
    Pair as the evaluator of the Prophesee toolbox does.

    Every labelled time with all detections within 50 ms before and after. Times count from the
    zero of the clock.

    Raises
    ------
    EvaluationError: the two do not belong together: no common class, no common time.

    """
    classes, truth, found, left_out = _common_classes(labels, detected)
    if labels.clock != detected.clock:
        raise EvaluationError(
            f'{labels.path} and {detected.path} have different clocks, one of them ROS time; the '
            'legacy protocol takes only labels on the clock of the recording'
        )
    _check_times(labels, detected, detected.boxes['t'])
    truth = truth[boxes(truth) & (truth['t'] > boxes.skip_us)]
    found = found[boxes(found) & (found['t'] > boxes.skip_us)]
    pairs = []
    for time in np.unique(truth['t']):
        low, high = np.searchsorted(found['t'], [time - POOL_US, time + POOL_US + 1])
        pairs.append(Pair(int(time), _at(truth, time), found[low:high], at=int(time)))
    return PairedRecording(detected.name, classes, tuple(pairs), found[:0], 0, left_out)


def _at(boxes: np.ndarray, time: int) -> np.ndarray:
    low, high = np.searchsorted(boxes['t'], [time, time + 1])
    return boxes[low:high]


def _common_classes(
    labels: Labels, detected: Detected
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, dict[str, int]]:
    """Return the common classes, the boxes of both with ids in them, and what is left out."""
    theirs = detected.classes or labels.classes
    common = tuple(name for name in labels.classes if name in theirs)
    if not common:
        raise EvaluationError(
            f'{labels.path} and {detected.path} have no class in common: labels of '
            f'{", ".join(labels.classes)}, detections of {", ".join(theirs)}; give the names of '
            'the labels with --label-classes'
        )
    unknown = detected.boxes['class_id'] >= len(theirs)
    if unknown.any():
        raise EvaluationError(
            f'{detected.path}: {int(unknown.sum())} detections have the class id '
            f'{int(detected.boxes["class_id"][unknown][0])}, but only {len(theirs)} classes are '
            f'known ({", ".join(theirs)}); give all names with --label-classes'
        )
    counts = np.bincount(labels.boxes['class_id'], minlength=len(labels.classes))
    left_out = {
        name: int(count)
        for name, count in zip(labels.classes, counts)
        if name not in common and count
    }
    truth = _renumber(labels.boxes, labels.classes, common)
    if not len(truth):
        raise EvaluationError(
            f'{labels.path}: all {len(labels.boxes)} labels are of classes that the detector does '
            f'not know ({", ".join(left_out)}; it knows {", ".join(theirs)}); give the names of '
            'the labels with --label-classes'
        )
    return common, truth, _renumber(detected.boxes, theirs, common), left_out


def _renumber(boxes: np.ndarray, old: tuple[str, ...], new: tuple[str, ...]) -> np.ndarray:
    table = np.array([new.index(name) if name in new else -1 for name in old], np.int64)
    ids = table[boxes['class_id']]
    kept = boxes[ids >= 0].copy()
    kept['class_id'] = ids[ids >= 0]
    return kept


def _start(labels: Labels, detected: Detected, times: np.ndarray, ends: np.ndarray) -> int:
    """
    Return the start of the recording on the clock of the labels.

    Where nobody tells it, recordings start at 0, as those of the Prophesee data sets do, or at
    the first box if that is more than a minute after 0.
    """
    if detected.start_us is not None:
        shift = int(times[0] - ends[0]) if len(times) else 0
        return detected.start_us + shift
    first = min(int(boxes['t'][0]) for boxes in (labels.boxes, detected.boxes) if len(boxes))
    return 0 if first < 60_000_000 else first


def _check_times(labels: Labels, detected: Detected, times: np.ndarray) -> None:
    """Refuse labels that lie wholly outside the time of the detections."""
    if not len(times):
        return
    _check_place(labels, detected)
    first, last = int(times[0]), int(times[-1]) + 10 * detected.stride_us
    if labels.clock == 'recording':
        if detected.start_us is not None:
            first = min(first, detected.start_us)
        if detected.end_us is not None:
            last = max(last, detected.end_us)
    begin, end = int(labels.times[0]), int(labels.times[-1])
    if begin > last or end < first:
        raise EvaluationError(
            f'{labels.path} has labels from {begin / 1e6:.3f} to {end / 1e6:.3f} s, '
            f'{detected.path} is of {first / 1e6:.3f} to {last / 1e6:.3f} s; they are of another '
            'recording or on another clock'
        )


def _check_place(labels: Labels, detected: Detected) -> None:
    """Refuse labels that lie outside the sensor of the recording."""
    if detected.sensor_size is None:
        return
    height, width = detected.sensor_size
    boxes = labels.boxes
    middle_x, middle_y = boxes['x'] + boxes['w'] / 2, boxes['y'] + boxes['h'] / 2
    outside = (middle_x < 0) | (middle_x > width) | (middle_y < 0) | (middle_y > height)
    if outside.mean() > 0.01:  # a track that leaves the picture is followed a little too far
        raise EvaluationError(
            f'{labels.path}: {int(outside.sum())} of {len(boxes)} labels lie outside the '
            f'{width}x{height} pixels of {detected.path}; they are of another recording or sensor'
        )


def _asked(labels: Labels, counted: np.ndarray) -> Callable[[int], bool]:
    """
    Return a function that says whether a time is judged.

    A file of boxes names only times with objects; of these, as in the evaluator of the data sets,
    times count that have a box which counts. A source that names its times counts with all.
    """
    if len(labels.times) > len(np.unique(labels.boxes['t'])):
        return lambda time: True
    known = set(np.unique(counted['t']).tolist())
    return lambda time: int(time) in known


def _free(
    labels: Labels,
    detected: Detected,
    found: np.ndarray,
    times: np.ndarray,
    ends: np.ndarray,
    start: int,
    boxes: BoxFilter,
) -> tuple[np.ndarray, int]:
    """
    Return detections in intervals without labels, and the length of these in microseconds.

    Such an interval lies between labelled times, or before the first or behind the last one; it is
    longer than three of the usual steps from one label to the next and than half a second, of
    which one step at each labelled end does not count.
    """
    if not len(times):
        return found[:0], 0
    labelled = np.unique(labels.boxes['t'])
    step = int(np.median(np.diff(labelled))) if len(labelled) > 1 else detected.stride_us
    shift = int(times[0] - ends[0])
    last = int(times[-1])
    if detected.end_us is not None:
        last = max(last, detected.end_us + shift)
    first = start + boxes.skip_us
    borders = np.concatenate([[first - step], labelled[labelled > first - step], [last + step]])
    length, chosen = 0, np.zeros(len(found), bool)
    when = found['t'] + shift
    for low, high in zip(borders[:-1], borders[1:]):
        if high - low <= max(3 * step, 500_000):
            continue
        length += int(high - low - 2 * step)
        chosen |= (when > low + step) & (when <= high - step)
    return found[chosen], length
