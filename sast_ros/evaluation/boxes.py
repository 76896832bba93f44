# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Boxes in NumPy files, in the layout of the Prophesee data sets."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import csv
from pathlib import Path
import re
import shutil
import struct
import tempfile
import tokenize
import warnings
import zipfile
import zlib

import numpy as np
from sast_ros.errors import SastError
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.foreign_file import foreign_content
from sast_ros.labels import BOX_DTYPE
from sast_ros.npy import check_npy_header

#: Both names of the fields that the layout has renamed, the present one first.
_TIME = ('t', 'ts')
_SCORE = ('class_confidence', 'confidence')

_REQUIRED = ('x', 'y', 'w', 'h', 'class_id')

#: Arrays of an archive with boxes, if it has several.
_MEMBERS = ('labels.npy', 'boxes.npy', 'detections.npy')

#: Maximum size of an array of an archive when decompressed, about six million boxes.
_MAX_MEMBER = 1 << 28

#: A whole number as text, ``1.0`` too, as tools write columns with missing numbers.
_WHOLE_NUMBER = re.compile(r'([+-]?[0-9]{1,40})(?:\.0*)?')


def read_boxes(path: Path) -> np.ndarray:
    """
    Return the boxes of a ``.npy`` or ``.npz`` file as ``BOX_DTYPE[N]``, sorted by time.

    Raises
    ------
    EvaluationError
        If the file does not exist or does not hold boxes; see ``box_rows``.

    """
    return box_rows(load_rows(path), str(path))


def times_path(boxes: Path) -> Path:
    """
    Return where the labelled times beside ``NAME_bbox.npy`` are, if there are any.

    The layout has no place for times at which nothing is; ``NAME_bbox_times.npy``, ``int64[T]``,
    lists all that were looked at.
    """
    return boxes.with_name(f'{boxes.stem}_times.npy')


def read_labelled_times(path: Path, boxes: np.ndarray) -> np.ndarray | None:
    """
    Return all labelled times of the file ``path`` with these boxes, ``None`` if it lists none.

    ``int64[T]``, each once, sorted; see ``times_path``.

    Raises
    ------
    EvaluationError
        If they cannot be read, or are not those of the boxes.

    """
    listed = times_path(path)
    if not path.name.endswith('_bbox.npy') or not listed.is_file():
        return None
    advice = f'remove it, or import {path.name} again'
    with reading(listed, advice):
        rows = map_array(listed)
        if rows.ndim != 1 or rows.dtype.kind not in 'iu':
            raise EvaluationError(
                f'{listed}: is {rows.dtype}{list(rows.shape)}, not a list of times in '
                f'microseconds; {advice}'
            )
        times = np.unique(rows).astype(np.int64)
    if not np.isin(boxes['t'], times).all():
        raise EvaluationError(
            f'{listed}: does not list all times of the boxes in {path.name}; {advice}'
        )
    return times


def load_rows(path: Path, advice: str = 'give boxes as .npy file') -> np.ndarray:
    """
    Return the array of a ``.npy`` file, or the one of a ``.npz`` file that holds boxes.

    What the header promises is compared with the size of the file before anything is allocated.

    Raises
    ------
    EvaluationError
        If it cannot be read, or holds Python objects, which are not read.

    """
    with reading(path, advice):
        if not zipfile.is_zipfile(path):
            return np.array(map_array(path))
        with zipfile.ZipFile(path) as archive:
            return read_member(archive, _choose_member(archive, path), path)


def read_member(archive: zipfile.ZipFile, name: str, path: Path) -> np.ndarray:
    """
    Return an array of the ``.npz`` file ``path``; use it inside of ``reading``.

    Raises
    ------
    EvaluationError
        If it is longer than any labels are when decompressed.

    """
    member = archive.getinfo(name)
    if member.file_size > _MAX_MEMBER:
        raise EvaluationError(
            f'{path}: {member.filename} would take {member.file_size:,} bytes, more than '
            f'{_MAX_MEMBER:,}; save the boxes as .npy file'
        )
    with tempfile.NamedTemporaryFile() as copy:
        with archive.open(member) as stream:
            shutil.copyfileobj(stream, copy)
        copy.flush()
        return np.array(map_array(Path(copy.name)))


def map_array(path: Path) -> np.ndarray:
    """
    Return the array of a ``.npy`` file without reading it; use it inside of ``reading``.

    A file that is shorter than its header promises cannot be mapped.
    """
    with path.open('rb') as file:
        check_npy_header(file, path.stat().st_size)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of headers that are read in spite of faults
        array: np.ndarray = np.load(path, mmap_mode='r', allow_pickle=False)
    return array


def _choose_member(archive: zipfile.ZipFile, path: Path) -> str:
    names = [name for name in archive.namelist() if name.endswith('.npy')]
    chosen = [name for name in _MEMBERS if name in names] or names
    if len(chosen) == 1 or chosen[:1] == [_MEMBERS[0]]:
        return chosen[0]
    raise EvaluationError(
        f'{path}: holds the arrays {", ".join(names[:5]) or "(none)"}; call the one with boxes '
        'labels, or save it as .npy file'
    )


def has_scores(rows: np.ndarray) -> bool:
    """Return whether the rows have a field with scores, under one of its two names."""
    return any(name in (rows.dtype.names or ()) for name in _SCORE)


@contextlib.contextmanager
def reading(path: Path, advice: str) -> Iterator[None]:
    """Raise an ``EvaluationError`` that names the file if its content cannot be used."""
    try:
        yield
    except SastError:
        raise
    except FileNotFoundError as error:
        raise EvaluationError(f'{path} does not exist; {advice}') from error
    except (RecursionError, MemoryError) as error:
        reason = 'nested too deeply' if isinstance(error, RecursionError) else 'too large'
        raise EvaluationError(f'{path}: cannot be read ({reason}); {advice}') from error
    except _UNREADABLE as error:
        if not isinstance(error, OSError) and (problem := foreign_content(path, 'the boxes')):
            raise EvaluationError(f'{path}: {problem}') from error
        reason = f'{type(error).__name__}: {error}'.rstrip('.')
        raise EvaluationError(f'{path}: cannot be read ({reason}); {advice}') from error


#: What the readers of NumPy, JSON, CSV and zip raise for damaged files.
_UNREADABLE = (
    *(OSError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, AttributeError),
    *(RuntimeError, SyntaxError, tokenize.TokenError, struct.error),
    *(csv.Error, zipfile.BadZipFile, zlib.error),
)


def box_rows(rows: np.ndarray, where: str, *, detections: bool = False) -> np.ndarray:
    """
    Return rows with the fields of the Prophesee layout as ``BOX_DTYPE[N]``, sorted by time.

    The fields have their present names or those of the first data set: the time is called ``t``
    or ``ts``, the score ``class_confidence`` or ``confidence``. The default of the score is 1.
    Other fields are not read. The columns may have any dtype that holds the same numbers.

    Parameters
    ----------
    rows : structured array[N]
        The rows.
    where : str
        Where they are from, for error messages.
    detections : bool
        Whether boxes without a track have ``track_id`` 0; if not, they have one each.

    Raises
    ------
    EvaluationError
        If a field is missing, a time or class id is no whole number, or a box is invalid; see
        ``check_boxes``.

    """
    names = rows.dtype.names or ()
    time, score = (next((n for n in pair if n in names), pair[0]) for pair in (_TIME, _SCORE))
    missing = [name for name in (time, *_REQUIRED) if name not in names]
    if missing:
        raise EvaluationError(
            f'{where}: has no field {", ".join(missing)}; give boxes in the Prophesee layout '
            '(t, x, y, w, h, class_id, ...)'
        )
    if rows.ndim != 1:
        raise EvaluationError(f'{where}: has the shape {rows.shape}; give one row for each box')
    boxes = np.zeros(len(rows), BOX_DTYPE)
    boxes['t'] = _whole_numbers(rows, time, where, 'int64')
    boxes['class_id'] = _whole_numbers(rows, 'class_id', where, 'uint32')
    for name in 'xywh':
        boxes[name] = _numbers(rows, name, where)
    boxes['class_confidence'] = _numbers(rows, score, where) if score in names else 1
    tracks = rows['track_id'] if 'track_id' in names else np.full(len(rows), -1)
    boxes['track_id'] = track_ids(tracks, where, detections=detections)
    check_boxes(boxes, where)
    return sort_by_time(boxes)


def _numbers(rows: np.ndarray, name: str, where: str) -> np.ndarray:
    """Return a column of real numbers; those too large for float32 become infinite."""
    values = rows[name]
    if values.ndim != 1 or values.dtype.kind not in 'biuf':
        raise EvaluationError(
            f'{where}: the field {name} is of type {rows.dtype[name]}; give a number for each box'
        )
    with np.errstate(over='ignore'):
        return values if values.dtype.kind != 'f' else values.astype(np.float32)


def _whole_numbers(rows: np.ndarray, name: str, where: str, dtype: str) -> np.ndarray:
    """Return a column as integers, exactly."""
    _numbers(rows, name, where)  # checks the type
    values, limits = rows[name], np.iinfo(dtype)
    valid = np.ones(len(values), bool)
    if values.dtype.kind == 'f':
        valid = np.isfinite(values) & (values == np.rint(values))
        valid &= (values >= float(limits.min)) & (values < float(limits.max))
    elif values.dtype.kind in 'iu' and len(values):
        valid = (values >= limits.min) & (values <= limits.max)
    if not valid.all():
        row = int(np.flatnonzero(~valid)[0])
        wanted = 'whole microseconds' if dtype == 'int64' else 'whole numbers from 0'
        raise EvaluationError(
            f'{where}: {name} of row {row} is {values[row]}, {int((~valid).sum())} of '
            f'{len(values)} rows are invalid; give {wanted}'
        )
    return values.astype(dtype)


def track_ids(values: np.ndarray, where: str, *, detections: bool) -> np.ndarray:
    """
    Return ids of tracks as ``uint32[N]``: numbers that fit as they are, others numbered from 1.

    An empty or negative one is none: detections without a track have 0, labels a number each,
    above those of the others. 0 stays 0.

    Raises
    ------
    EvaluationError
        If they are neither numbers nor texts.

    """
    if values.ndim != 1 or values.dtype.kind not in 'biufSU':
        raise EvaluationError(
            f'{where}: track_id is of type {values.dtype}; give a number for each box'
        )
    largest = np.iinfo(np.uint32).max
    if values.dtype.kind in 'biu' and ((values >= 0) & (values <= largest)).all():
        return values.astype(np.uint32)
    if values.dtype.kind == 'S':
        values = np.char.decode(values, 'latin-1')
    different, index = np.unique(values, return_inverse=True)
    tracks = [_track(value) for value in different.tolist()]
    names = [track for track in dict.fromkeys(tracks) if track]
    numbers: dict[int | str, int] = {name: number for number, name in enumerate(names, 1)}
    limit = largest - len(values)
    if all(track is None or (isinstance(track, int) and track <= limit) for track in tracks):
        numbers = {track: track for track in tracks if isinstance(track, int)}
    found = np.array([numbers.get(track or '', 0) for track in tracks], np.int64)
    index = index.reshape(len(values))
    ids, without = found[index], np.array([track is None for track in tracks], bool)[index]
    if not detections:
        ids[without] = found.max(initial=0) + np.arange(1, without.sum() + 1)
    return ids.astype(np.uint32)


def _track(value: float | str) -> int | str | None:
    """Return what tells a track from others, a number where it is one; ``None`` for no track."""
    text = str(value).strip()
    number = _WHOLE_NUMBER.fullmatch(text)
    if number is None:
        return text if text not in ('', 'nan') else None
    return int(number[1]) if int(number[1]) >= 0 else None


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
