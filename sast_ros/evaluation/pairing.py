# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Pairing in time: which detections are compared with which labels.

``pair_last_window`` compares a label with the detections of the last window that had ended at its
time, which is what was known then. ``pair_pooled`` pools all detections within 50 ms before and
after, as the evaluator of the Prophesee toolbox does. Three windows of a 20 Hz detector are then
compared with one label, two of them count as false positives, and a perfect detector has an AP of
0.83.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from sast_ros.evaluation.box_filter import BOXES_GEN1, BoxFilter, choose_box_filter
from sast_ros.evaluation.detections import LiveRun, RecordedDetections
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.formats.box_file import no_boxes
from sast_ros.evaluation.labels import Labels

#: Half the width of the pool of the Prophesee evaluator in microseconds.
POOL_US = 50_000

#: Share of labels outside the sensor above which they are of another recording; a track that
#: leaves the picture is often labelled a little too far.
_MAX_OUTSIDE = 0.01

#: Labels of the 1 megapixel data set that the preprocessing of published results keeps.
_SMALLEST_1MPX = BoxFilter(diagonal=0, side=5)


@dataclass(frozen=True)
class Frame:
    """
    Labels and detections of one annotated time.

    Attributes
    ----------
    t : int
        Microseconds since the start of the recording.
    labels, detections : BOX_DTYPE[N]
        What passed the box filter; class ids refer to ``PairedRecording.classes``.
    event_rate : float
        Events of the window per second, NaN if unknown.
    t_end : int
        End of the window, else the annotated time, on the clock of the detections (microseconds).
    regions : BOX_DTYPE[R]
        Regions in which detections of the class are ignored, of every size.

    """

    t: int
    labels: np.ndarray
    detections: np.ndarray
    event_rate: float = float('nan')
    t_end: int = 0
    regions: np.ndarray = field(default_factory=no_boxes)


@dataclass(frozen=True)
class PairedRecording:
    """
    One recording, ready for the metrics.

    Attributes
    ----------
    name : str
        Name of the recording.
    classes : tuple of str
        Classes of labels and detections in class-id order.
    frames : tuple of Frame
        All annotated times that are evaluated, in order.
    unlabelled : BOX_DTYPE[N]
        Detections in intervals without labels.
    unlabelled_us : int
        Total length of these intervals.
    left_out : dict of str to int
        Number of labels of each class that the detector does not have.
    start_us : int
        Start of the recording on the clock of the detections.
    clipped, removed : int, optional
        Number of labels that were clipped to the frame, and of those that were removed because
        too little of them was left; ``None`` without clipping.
    warnings : tuple of str
        What was left out of the files, sentences.
    live : LiveRun, optional
        The run of the node that published the detections.
    without_window : int
        Frames for which it published no window that had ended within a stride.

    """

    name: str
    classes: tuple[str, ...]
    frames: tuple[Frame, ...]
    unlabelled: np.ndarray
    unlabelled_us: int
    left_out: dict[str, int] = field(default_factory=dict)
    start_us: int = 0
    clipped: int | None = None
    removed: int | None = None
    warnings: tuple[str, ...] = ()
    live: LiveRun | None = None
    without_window: int = 0


def pair_last_window(
    labels: Labels, detected: RecordedDetections, boxes: BoxFilter
) -> PairedRecording:
    """
    Pair every annotated time with the last window that had ended then.

    Raises
    ------
    EvaluationError
        If labels and detections have no class or no time in common.

    """
    labels = labels.on_clock(detected.origin_us, detected.clock)
    classes, truth, regions, found, left_out = _common_classes(labels, detected)
    windows = detected.windows
    ends = np.unique(detected.boxes['t']) if windows is None else windows['t']
    times = ends  # of the windows, on the clock of the labels
    if labels.clock != detected.clock:
        if windows is None or labels.clock != 'ros':
            raise EvaluationError(
                f'{labels.path} and {detected.path} have different clocks, one of them ROS time, '
                'with an unknown offset; give a bag that holds the events too, with '
                '--detections-topic, or replay the recording'
            )
        times = windows['stamp_ns'] // 1000
    shift = int(times[0] - ends[0]) if len(times) else 0
    start = _start(labels, detected, shift)
    _check_times(labels, detected, times)
    # If windows without detections are unknown, only the window that must have ended last counts
    index = np.searchsorted(times, labels.times, 'right') - 1
    age = labels.times - times[index.clip(min=0)]
    limit = 2 * detected.stride_us if windows is not None else detected.stride_us - 1
    recent = age <= limit
    if detected.live is not None and detected.live.dropped:
        # Of a node that dropped windows the one before them is what was known
        dropped = detected.live.dropped_us + shift
        before = np.searchsorted(dropped, labels.times, 'right') - 1
        recent |= (before >= 0) & (labels.times - dropped[before] <= limit)
    valid = (index >= 0) & recent
    truth, found = truth[boxes(truth)], found[boxes(found)]
    evaluated = labels.times - start > boxes.skip_us
    if detected.live is not None and detected.live.ended_early:
        evaluated &= labels.times < times[-1] + detected.stride_us
    if not labels.listed:
        # Only times with objects are known; as in the evaluator of the data sets,
        # those with a box that passes the filter are evaluated
        evaluated &= np.isin(labels.times, truth['t'])
    missing = evaluated & ((index < 0) | (age >= detected.stride_us))
    frames = []
    for time, window, known in zip(
        labels.times[evaluated].tolist(), index[evaluated], valid[evaluated]
    ):
        rows = _at(truth, time).copy()
        rows['t'] -= start
        seen = _at(found, ends[window]) if known else found[:0]
        rate = float('nan')
        if windows is not None and known and detected.counts_events:
            rate = float(windows['events'][window]) / detected.duration_us * 1e6
        end = int(ends[window]) if known else time - shift
        frames.append(Frame(time - start, rows, seen, rate, end, _at(regions, time)))
    chosen, length = _unlabelled(labels, detected, found['t'] + shift, times, shift, start, boxes)
    paired = PairedRecording(
        detected.name, classes, tuple(frames), found[chosen], length, left_out, start - shift
    )
    return replace(paired, live=detected.live, without_window=int(missing.sum()))


def pair_pooled(labels: Labels, detected: RecordedDetections, boxes: BoxFilter) -> PairedRecording:
    """
    Pair every time with labels with all detections within 50 ms before and after.

    Times count from the zero of the clock. As in the toolbox those without labels do not count,
    even if they are listed.

    Raises
    ------
    EvaluationError
        If labels and detections have no class or no time in common.

    """
    labels = labels.on_clock(detected.origin_us, detected.clock)
    classes, truth, regions, found, left_out = _common_classes(labels, detected)
    if labels.clock != detected.clock:
        raise EvaluationError(
            f'{labels.path} and {detected.path} have different clocks, one of them ROS time; the '
            'legacy protocol takes only labels on the clock of the recording'
        )
    _check_times(labels, detected, detected.boxes['t'])
    truth = truth[boxes(truth) & (truth['t'] > boxes.skip_us)]
    found = found[boxes(found) & (found['t'] > boxes.skip_us)]
    frames = []
    for time in np.unique(truth['t']).tolist():
        low, high = np.searchsorted(found['t'], [time - POOL_US, time + POOL_US + 1])
        seen = found[low:high]
        frames.append(Frame(time, _at(truth, time), seen, t_end=time, regions=_at(regions, time)))
    return PairedRecording(detected.name, classes, tuple(frames), found[:0], 0, left_out)


def _at(boxes: np.ndarray, time: int) -> np.ndarray:
    low, high = np.searchsorted(boxes['t'], [time, time + 1])
    return boxes[low:high]


def _common_classes(
    labels: Labels, detected: RecordedDetections
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray, dict[str, int]]:
    """
    Return the common classes, each once, and how many labels of others are left out.

    Between them labels, ignored regions and detections with ids of these classes.
    """
    theirs = detected.classes or labels.classes
    mine = labels.classes or theirs  # those of a file without boxes may be unknown
    # In an order that does not depend on the recording: that of the detector
    names = sorted(theirs) if detected.partial else theirs
    common = tuple(dict.fromkeys(name for name in names if name in mine))
    if not common:
        raise EvaluationError(
            f'{labels.path} and {detected.path} have no class in common: labels of '
            f'{", ".join(mine) or "unknown names"}, detections of '
            f'{", ".join(theirs) or "unknown names"}; give the names of '
            'the labels with --label-classes, or those of the detections with --detection-classes'
        )
    unknown = detected.boxes['class_id'] >= len(theirs)
    if unknown.any():
        raise EvaluationError(
            f'{detected.path}: {int(unknown.sum())} detections have the class id '
            f'{int(detected.boxes["class_id"][unknown][0])}, but only {len(theirs)} classes are '
            f'known ({", ".join(theirs)}); give all names with --detection-classes'
        )
    counts = np.bincount(labels.boxes['class_id'], minlength=len(labels.classes)).tolist()
    left_out: dict[str, int] = {}
    for name, count in zip(labels.classes, counts):
        if name not in common and count:
            left_out[name] = left_out.get(name, 0) + count
    truth = _renumber(labels.boxes, labels.classes, common)
    if len(labels.boxes) and not len(truth):
        raise EvaluationError(
            f'{labels.path}: all {len(labels.boxes)} labels are of classes that the detector does '
            f'not have ({", ".join(left_out)}; it has {", ".join(theirs)}); give the names of '
            'the labels with --label-classes'
        )
    regions = _renumber(labels.regions, labels.classes, common)
    return common, truth, regions, _renumber(detected.boxes, theirs, common), left_out


def clip_labels(labels: Labels, sensor_size: tuple[int, int]) -> tuple[Labels, int, int]:
    """
    Return the labels clipped to the frame, how many were, and how many of these are removed.

    As the preprocessing of the published results crops them: a clipped box is removed if it is
    smaller than labels of these data sets may be, sides of 10 and a diagonal of 30 pixels, or
    sides of 5 pixels if the sensor is as large as that of the 1 megapixel data set. Boxes inside
    the frame stay as they are.

    Raises
    ------
    EvaluationError
        If no label is in the frame.

    """
    height, width = sensor_size
    boxes = labels.boxes.copy()
    for low, size, limit in (('x', 'w', width), ('y', 'h', height)):
        begin = labels.boxes[low].astype(np.float64)
        end = (begin + labels.boxes[size]).clip(0, limit)
        outside = (begin < 0) | (begin + labels.boxes[size] > limit)
        boxes[low][outside] = begin.clip(0, limit)[outside]
        boxes[size][outside] = (end - begin.clip(0, limit))[outside]
    clipped = boxes != labels.boxes
    smallest = choose_box_filter('auto', sensor_size)
    if smallest is not BOXES_GEN1:
        smallest = _SMALLEST_1MPX
    kept = ~clipped | ((boxes['w'] > 0) & (boxes['h'] > 0) & smallest(boxes))
    if len(boxes) and not kept.any():
        raise EvaluationError(
            f'{labels.path}: none of {len(boxes)} labels is in the frame of {width}x{height} '
            'pixels; they are of another recording or sensor'
        )
    times = labels.times if labels.listed else np.unique(boxes['t'][kept])
    clear = replace(labels, boxes=boxes[kept], times=times)
    return clear, int(clipped.sum()), int((~kept).sum())


def _renumber(boxes: np.ndarray, old: tuple[str, ...], new: tuple[str, ...]) -> np.ndarray:
    table = np.array([new.index(name) if name in new else -1 for name in old], np.int64)
    ids = table[boxes['class_id']]
    kept = boxes[ids >= 0]
    kept['class_id'] = ids[ids >= 0]
    return kept


def _start(labels: Labels, detected: RecordedDetections, shift: int) -> int:
    """
    Return the start of the recording on the clock of the labels.

    If it is unknown, it is 0, as in the Prophesee data sets, or the first annotated time or
    detection if that is more than a minute after 0.
    """
    if detected.start_us is not None:
        return detected.start_us + shift
    times = (int(one[0]) for one in (labels.times, detected.boxes['t']) if len(one))
    first = min(times, default=0)
    return 0 if first < 60_000_000 else first


def _check_times(labels: Labels, detected: RecordedDetections, times: np.ndarray) -> None:
    """Raise an error for labels that lie wholly outside the detections in time or space."""
    if not len(times) or not len(labels.times):
        return
    boxes = labels.boxes
    if len(boxes) and detected.sensor_size is not None:
        height, width = detected.sensor_size
        x, y = boxes['x'] + boxes['w'] / 2, boxes['y'] + boxes['h'] / 2
        outside = (x < 0) | (x > width) | (y < 0) | (y > height)
        if outside.mean() > _MAX_OUTSIDE:
            raise EvaluationError(
                f'{labels.path}: {int(outside.sum())} of {len(boxes)} labels lie outside the '
                f'{width}x{height} pixels of {detected.path}; they are of another recording or '
                'sensor, or need --clip-labels'
            )
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


def _unlabelled(
    labels: Labels,
    detected: RecordedDetections,
    found: np.ndarray,
    times: np.ndarray,
    shift: int,
    start: int,
    boxes: BoxFilter,
) -> tuple[np.ndarray, int]:
    """
    Return which detections are in intervals without labels, and the total length of these.

    ``found``: times of the detections; all times are on the clock of the labels. Such an interval
    lies between annotated times, or before the first or after the last one. It is longer than half
    a second and than three of the usual steps between annotated times, of which one step at each
    annotated end is not counted. There is none in labels that list all times that were looked at:
    those without objects are frames, and of others nothing is known.
    """
    chosen, length = np.zeros(len(found), bool), 0
    if not len(times) or labels.listed:
        return chosen, length
    annotated = labels.times
    step = int(np.median(np.diff(annotated))) if len(annotated) > 1 else detected.stride_us
    last = int(times[-1])
    if detected.end_us is not None:
        last = max(last, detected.end_us + shift)
    first = start + boxes.skip_us - step
    edges = np.concatenate([[first], annotated[annotated > first], [last + step]])
    for low, high in zip(edges[:-1], edges[1:]):
        if high - low > max(3 * step, 500_000):
            length += int(high - low - 2 * step)
            chosen |= (found > low + step) & (found <= high - step)
    return chosen, length
