"""Boxes in numpy files, as the Prophesee data sets keep them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.labels import BOX_DTYPE

_NEEDED = ('x', 'y', 'w', 'h', 'class_id')


def read_boxes(path: Path) -> np.ndarray:
    """
    Return the boxes of a ``.npy`` file as ``BOX_DTYPE[N]``, sorted by time.

    Raises
    ------
    EvaluationError: no such file, or no boxes in it; see ``box_rows``.

    """
    try:
        rows = np.load(path)
    except FileNotFoundError as error:
        raise EvaluationError(f'{path} does not exist; name a file with boxes') from error
    except (OSError, ValueError, EOFError) as error:
        raise EvaluationError(
            f'{path}: cannot be read ({error}); give boxes as numpy saves them'
        ) from error
    return box_rows(rows, str(path))


def box_rows(rows: np.ndarray, where: str) -> np.ndarray:
    """
    Return rows with the fields of the Prophesee layout as ``BOX_DTYPE[N]``, sorted by time.

    The time is called ``t``, or ``ts`` in files of the first data set. Boxes without
    ``class_confidence`` get 1; boxes without ``track_id`` get an id each.

    Raises
    ------
    EvaluationError: another layout, or boxes that are none; see ``check_boxes``.

    """
    names = rows.dtype.names or ()
    time = 't' if 't' in names else 'ts'
    missing = [name for name in (time, *_NEEDED) if name not in names]
    if missing or rows.ndim != 1:
        raise EvaluationError(
            f'{where}: has no field {", ".join(missing)}; give boxes in the Prophesee layout '
            '(t, x, y, w, h, class_id, ...)'
            if missing
            else f'{where}: has the shape {rows.shape}; give one row for each box'
        )
    boxes = np.zeros(len(rows), BOX_DTYPE)
    boxes['t'] = rows[time]
    for name in _NEEDED:
        boxes[name] = rows[name]
    boxes['class_confidence'] = rows['class_confidence'] if 'class_confidence' in names else 1
    boxes['track_id'] = rows['track_id'] if 'track_id' in names else np.arange(len(rows))
    check_boxes(boxes, where)
    return boxes[np.argsort(boxes['t'], kind='stable')]


def check_boxes(boxes: np.ndarray, where: str) -> None:
    """
    Refuse numbers that are no box.

    Raises
    ------
    EvaluationError: a coordinate, size or score that is not finite, or a negative size; the text
        names the row.

    """
    for name in ('x', 'y', 'w', 'h', 'class_confidence'):
        wrong = ~np.isfinite(boxes[name])
        if name in 'wh':
            wrong |= boxes[name] < 0
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise EvaluationError(
                f'{where}: {name} of row {row} (t = {boxes["t"][row]} us) is {boxes[name][row]}; '
                f'{int(wrong.sum())} of {len(boxes)} rows are like that; correct the file'
            )
