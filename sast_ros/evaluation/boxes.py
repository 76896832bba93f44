# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Boxes in NumPy files, in the layout of the Prophesee data sets."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from pathlib import Path

import numpy as np
from sast_ros.errors import SastError
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.labels import BOX_DTYPE

_REQUIRED = ('x', 'y', 'w', 'h', 'class_id')


def read_boxes(path: Path) -> np.ndarray:
    """
    Return the boxes of a ``.npy`` file as ``BOX_DTYPE[N]``, sorted by time.

    Raises
    ------
    EvaluationError
        If the file does not exist or does not hold boxes; see ``box_rows``.

    """
    with reading(path, 'give boxes as .npy file'):
        rows = np.load(path)
    return box_rows(rows, str(path))


@contextlib.contextmanager
def reading(path: Path, advice: str) -> Iterator[None]:
    """Raise an ``EvaluationError`` that names the file if its content cannot be used."""
    try:
        yield
    except SastError:
        raise
    except FileNotFoundError as error:
        raise EvaluationError(f'{path} does not exist; {advice}') from error
    except (OSError, ValueError, EOFError, LookupError, TypeError, OverflowError) as error:
        reason = f'{type(error).__name__}: {error}'
        raise EvaluationError(f'{path}: cannot be read ({reason}); {advice}') from error


def box_rows(rows: np.ndarray, where: str) -> np.ndarray:
    """
    Return rows with the fields of the Prophesee layout as ``BOX_DTYPE[N]``, sorted by time.

    The time is called ``t``, or ``ts`` in files of the first data set. The default of
    ``class_confidence`` is 1; boxes without ``track_id`` get an id each.

    Raises
    ------
    EvaluationError
        If a field is missing, or a box is invalid; see ``check_boxes``.

    """
    names = rows.dtype.names or ()
    time = 't' if 't' in names else 'ts'
    missing = [name for name in (time, *_REQUIRED) if name not in names]
    if missing:
        raise EvaluationError(
            f'{where}: has no field {", ".join(missing)}; give boxes in the Prophesee layout '
            '(t, x, y, w, h, class_id, ...)'
        )
    if rows.ndim != 1:
        raise EvaluationError(f'{where}: has the shape {rows.shape}; give one row for each box')
    boxes = np.zeros(len(rows), BOX_DTYPE)
    boxes['t'] = rows[time]
    for name in _REQUIRED:
        boxes[name] = rows[name]
    boxes['class_confidence'] = rows['class_confidence'] if 'class_confidence' in names else 1
    boxes['track_id'] = rows['track_id'] if 'track_id' in names else np.arange(len(rows))
    check_boxes(boxes, where)
    return sort_by_time(boxes)


def check_boxes(boxes: np.ndarray, where: str) -> None:
    """
    Raise an error for boxes with invalid numbers.

    Raises
    ------
    EvaluationError
        If a coordinate, size or score is not finite, or a size is negative; it names the row.

    """
    for name in ('x', 'y', 'w', 'h', 'class_confidence'):
        invalid = ~np.isfinite(boxes[name])
        if name in 'wh':
            invalid |= boxes[name] < 0
        if invalid.any():
            row = int(np.flatnonzero(invalid)[0])
            raise EvaluationError(
                f'{where}: {name} of row {row} (t = {boxes["t"][row]} us) is {boxes[name][row]}; '
                f'{int(invalid.sum())} of {len(boxes)} rows are invalid; correct the file'
            )


def sort_by_time(boxes: np.ndarray) -> np.ndarray:
    """Return the boxes in the order of ``t``; boxes of one time keep their order."""
    return boxes[np.argsort(boxes['t'], kind='stable')]
