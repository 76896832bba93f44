# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which labelled objects are targets of the loss, and which are ignored."""

from __future__ import annotations

import numpy as np
from sast_ros.labels import MIN_EVENT_DENSITY, MIN_EVENTS, MIN_SIDE, MIN_VISIBILITY
from sast_ros_training.training.augmentation import AugmentationMap

#: A target has at least this share of its box inside the frame. What is left of the box does not
#: fit what is left of an object that is cut further, so that it is ignored.
MIN_INSIDE = 0.7

#: So far back ``recent`` looks, as it is stored.
_LOOKBACK_MS = 1000


class LabelMemory:
    """
    Remembers which objects a clip has shown moving, since the network's state was zero.

    An object that has stood still for longer than a second is still there: a recurrent network
    learns to keep it, if it has had the chance to see it move. ``recent``, as it is stored, looks
    back by a second: before the clip began, and at windows that the clip leaves out. It counts
    where the clip has shown every window of that second.

    Parameters
    ----------
    stride_ms : float
        From window to window of the sequence.
    step : int
        The clip shows every ``step``-th window.

    """

    def __init__(self, stride_ms: float, step: int) -> None:
        self._noticed: set[int] = set()
        self._shown_ms = 0.0
        self._stride_ms, self._complete = stride_ms, step == 1

    def note(self, labels: np.ndarray) -> np.ndarray:
        """Return ``LABEL_DTYPE[N]`` of the next window, what the clip has shown as ``recent``."""
        enough = np.maximum(MIN_EVENTS, MIN_EVENT_DENSITY * labels['w'] * labels['h'])
        moves = labels['recent'] & (labels['events'] >= enough)
        self._noticed.update(labels['track_id'][moves].tolist())
        self._shown_ms += self._stride_ms
        remembered = labels.copy()
        known = self._complete and self._shown_ms > _LOOKBACK_MS
        remembered['recent'] &= known
        remembered['recent'] |= np.isin(labels['track_id'], list(self._noticed))
        return remembered


def split_labels(
    labels: np.ndarray, augmentation: AugmentationMap
) -> tuple[np.ndarray, np.ndarray]:
    """
    Return targets and ignored regions.

    An object is a target if enough of it is visible and inside the frame, it is large enough, and
    it produced events lately (``recent``; ``LabelMemory`` decides how far back that reaches): an
    event camera does not see what never moved, and such targets would teach the network to guess.
    Other labelled objects that are visible at all are ignored.

    Returns
    -------
    targets : numpy.ndarray
        ``float32[T, 5]`` class, cx, cy, w, h, in cells.
    ignored : numpy.ndarray
        ``float32[I, 4]`` x1, y1, x2, y2, in cells.

    """
    boxes, inside = augmentation.boxes(labels)
    sides = boxes[:, 2:] - boxes[:, :2]
    wanted = (
        (labels['visibility'] >= MIN_VISIBILITY)
        & labels['recent']
        & (sides.min(axis=1, initial=np.inf) >= MIN_SIDE)
        & (inside >= MIN_INSIDE)
    )
    shown = (labels['visibility'] > 0) & (sides > 0).all(axis=1)
    centers = (boxes[wanted, :2] + boxes[wanted, 2:]) / 2
    targets = np.column_stack([labels['class_id'][wanted], centers, sides[wanted]])
    return targets.astype(np.float32), boxes[shown & ~wanted]
