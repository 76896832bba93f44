# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Boxes of foreign data sets as labels of windows."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sast_ros.evaluation.labels import canonical, DATASET, read_class_list, with_tracks
from sast_ros.labels import LABEL_DTYPE, MIN_EVENT_DENSITY, MIN_EVENTS
from sast_ros_training.training.config import TrainingConfig
from sast_ros_training.training.errors import TrainingConfigError, TrainingDataError

_SECOND_US = 1_000_000


def label_classes(boxes: Path, config: TrainingConfig) -> tuple[str, ...]:
    """
    Return the class names of a file or folder of boxes, in class-id order.

    Those of the configuration, of the index beside the boxes, which ``sast-ros label`` and
    ``sast-ros simulate`` write, or of the published network.

    Raises
    ------
    EvaluationError
        The index names no classes.

    """
    index = boxes.with_name(DATASET)
    if config.data.source_classes is None and index.is_file():
        return read_class_list(index)
    return config.source_classes()


def choose_classes(labels: np.ndarray, given: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """
    Return the labels of the wanted classes, with their ids instead of the given ones.

    Names are compared as ``evaluate`` compares them.

    Raises
    ------
    TrainingConfigError
        None of the wanted classes is given, or a label has a class without a name.

    """
    names = [canonical(name) for name in wanted]
    ids = np.array([names.index(n) if n in names else -1 for n in map(canonical, given)])
    if (ids < 0).all():
        raise TrainingConfigError(
            f'none of the classes of the labels ({", ".join(given)}) is in model.classes '
            f'({", ".join(wanted)}); name them alike in model.classes or data.source_classes'
        )
    if len(labels) and int(labels['class_id'].max()) >= len(given):
        raise TrainingConfigError(
            f'a label has class id {int(labels["class_id"].max())}, but only {len(given)} class '
            f'names are known ({", ".join(given)}); name them all in data.source_classes'
        )
    new = ids[labels['class_id']]
    chosen = labels[new >= 0].copy()
    chosen['class_id'] = new[new >= 0]
    return chosen


def boxes_to_labels(boxes: np.ndarray) -> np.ndarray:
    """Return ``BOX_DTYPE[N]`` as ``LABEL_DTYPE[N]``."""
    boxes = with_tracks(boxes)
    labels = np.zeros(len(boxes), LABEL_DTYPE)
    for name in ('t', 'x', 'y', 'w', 'h', 'class_id', 'track_id'):
        labels[name] = boxes[name]
    labels['visibility'] = 1
    return labels


class LabelHistory:
    """
    The labels of one window after the other, with the events in their boxes.

    Foreign data do not tell which objects have moved, so the events in an object's box count as
    its own: ``recent`` if one window of the last second has enough of them. Those of pixels that
    are not sampled are taken to be as many: ``events`` are those of the whole sensor.

    Parameters
    ----------
    labels : numpy.ndarray
        ``LABEL_DTYPE[N]`` sorted by time.
    size : tuple of int
        (height, width) of the sensor; boxes are clipped to it.
    downsample : int
        Sensor pixels per cell.
    stride_ms : float
        From window to window; a label belongs to the window whose end is nearest.
    times : numpy.ndarray, optional
        ``int64[T]`` sorted, all labelled times, also without objects; by default those of the
        labels.

    """

    def __init__(
        self,
        labels: np.ndarray,
        size: tuple[int, int],
        downsample: int,
        stride_ms: float,
        times: np.ndarray | None = None,
    ) -> None:
        self._labels, self._size = labels, size
        self._times = labels['t'] if times is None else times
        self._downsample, self._stride = downsample, round(1000 * stride_ms)
        self._sums: deque[np.ndarray] = deque(maxlen=max(1, _SECOND_US // self._stride))
        self._seen: set[int] = set()
        self._met = np.zeros(len(labels), bool)
        self._used = self._outside = 0

    def restart(self) -> None:
        """Forget the events of the windows before, as a network whose state is reset."""
        self._sums.clear()
        self._seen.clear()

    def at(self, t_end: int, counts: np.ndarray) -> np.ndarray | None:
        """
        Return the labels ``LABEL_DTYPE[N]`` of the next window, None if it is not labelled.

        ``counts``: its histogram ``uint8[channels, H, W]``.
        """
        image = counts.sum(axis=0, dtype=np.int64)
        self._sums.append(np.pad(image, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1))
        since = t_end - self._stride // 2
        first, end = np.searchsorted(self._times, [since, since + self._stride])
        if first == end:
            return None
        distance = np.abs(self._times[first:end] - t_end).min()
        first, end = np.searchsorted(self._labels['t'], [since, since + self._stride])
        self._met[first:end] = True
        found = self._labels[first:end].copy()
        found = found[np.abs(found['t'] - t_end) == distance]
        height, width = self._size
        right = (found['x'] + found['w']).clip(0, width)
        bottom = (found['y'] + found['h']).clip(0, height)
        found['x'], found['y'] = found['x'].clip(0, width), found['y'].clip(0, height)
        found['w'], found['h'] = right - found['x'], bottom - found['y']
        inside = (found['w'] > 0) & (found['h'] > 0)
        self._outside += int((~inside).sum())
        found = found[inside]
        self._used += len(found)
        for label in found:
            self._count_events(label)
        return found

    def left_out(self, boxes: Path) -> list[str]:
        """
        Return which of the labels in ``boxes`` are in no window, behind the last, in sentences.

        Raises
        ------
        TrainingDataError
            None of them is.

        """
        missed, (height, width) = self._labels[~self._met], self._size
        found = []
        if len(missed):
            found.append(
                f'{len(missed)} of {len(self._labels)} boxes, from {missed["t"][0]} to '
                f'{missed["t"][-1]} us, are at times without a window'
            )
        if self._outside:
            found.append(
                f'{self._outside} boxes are outside the sensor of {width}x{height} pixels'
            )
        if len(self._labels) and not self._used:
            raise TrainingDataError(
                f'{boxes}: {" and ".join(found)}: they are of another recording, clock or sensor'
            )
        return found

    def _count_events(self, label: np.void) -> None:
        """Set ``events``, ``recent`` and ``seen``."""
        cells = [label['y'], label['y'] + label['h'], label['x'], label['x'] + label['w']]
        # An odd sensor ends within a cell that the histogram does not have
        rows, columns = (side - 1 for side in self._sums[-1].shape)
        top, bottom, left, right = (
            min(int(round(float(value) / self._downsample)), end)
            for value, end in zip(cells, (rows, rows, columns, columns))
        )
        inside = [
            s[bottom, right] - s[top, right] - s[bottom, left] + s[top, left] for s in self._sums
        ]
        enough = max(MIN_EVENTS, MIN_EVENT_DENSITY * (bottom - top) * (right - left))
        label['events'] = inside[-1] * self._downsample**2
        label['recent'] = max(inside) >= enough
        track = int(label['track_id'])
        if label['recent']:
            self._seen.add(track)
        label['seen'] = track in self._seen
