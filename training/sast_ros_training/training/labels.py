"""Which labelled objects the network shall find, and which it may."""

from __future__ import annotations

import numpy as np
from sast_ros.labels import MIN_EVENT_DENSITY, MIN_EVENTS, MIN_SIDE, MIN_VISIBILITY
from sast_ros_training.training.views import ViewMap

#: Of a box, after a view has cut it.
MIN_INSIDE = 0.25


class LabelMemory:
    """
    Remembers which objects have been noticed since the network's state was zero.

    What has stood still for longer than a second is still there: a recurrent network shall keep
    it, if it has had the chance to see it move.
    """

    def __init__(self) -> None:
        self._noticed: set[int] = set()

    def note(self, labels: np.ndarray) -> np.ndarray:
        """
        Return the labels of the next window with every object noticed so far as ``recent``.

        labels: ``LABEL_DTYPE[N]``.
        """
        enough = np.maximum(MIN_EVENTS, MIN_EVENT_DENSITY * labels['w'] * labels['h'])
        self._noticed.update(labels['track_id'][labels['events'] >= enough].tolist())
        remembered = labels.copy()
        remembered['recent'] |= np.isin(labels['track_id'], list(self._noticed))
        return remembered


def split_labels(labels: np.ndarray, view: ViewMap) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the objects to be found and the regions where nothing is asked.

    An object is to be found if enough of it is visible, it is large enough, and it produced events
    lately (``recent``; ``LabelMemory`` says how far back that reaches): what never moved cannot be
    seen by an event camera, and asking for it teaches to guess. The other labelled objects that
    show at all are neither right nor wrong.

    Parameters
    ----------
    labels:
        ``LABEL_DTYPE[N]``.
    view:
        the view in which they are seen.

    Returns
    -------
    ``float32[P, 5]`` class, cx, cy, w, h and ``float32[I, 4]`` x1, y1, x2, y2, in cells.

    """
    boxes, inside = view.boxes(labels)
    sides = boxes[:, 2:] - boxes[:, :2]
    wanted = (
        (labels['visibility'] >= MIN_VISIBILITY)
        & labels['recent']
        & (sides.min(axis=1, initial=np.inf) >= MIN_SIDE)
        & (inside >= MIN_INSIDE)
    )
    shown = (labels['visibility'] > 0) & (sides > 0).all(axis=1)
    rows = np.empty((int(wanted.sum()), 5), np.float32)
    rows[:, 0] = labels['class_id'][wanted]
    rows[:, 1:3] = (boxes[wanted, :2] + boxes[wanted, 2:]) / 2
    rows[:, 3:] = sides[wanted]
    return rows, boxes[shown & ~wanted]
