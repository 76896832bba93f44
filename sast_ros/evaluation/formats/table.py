# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Boxes as text with a header that names the columns (CSV)."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from sast_ros.bags.names import recording_stem
from sast_ros.evaluation.boxes import check_boxes, reading, sort_by_time, track_ids
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.formats.box_file import (
    BoxFile,
    FRAME_KEYS,
    FrameClock,
    left_out,
    microseconds,
    RECORDING_KEYS,
    stems,
    text_encoding,
    time_key,
)
from sast_ros.foreign_file import foreign_content
from sast_ros.labels import BOX_DTYPE

#: Names of the columns, in small letters, by what they are.
_COLUMNS = {
    'x1': ('x', 'x1', 'xmin', 'x_min', 'left'),
    'y1': ('y', 'y1', 'ymin', 'y_min', 'top'),
    'x2': ('x2', 'xmax', 'x_max', 'right'),
    'y2': ('y2', 'ymax', 'y_max', 'bottom'),
    'cx': ('cx', 'x_center', 'xc'),
    'cy': ('cy', 'y_center', 'yc'),
    'w': ('w', 'width'),
    'h': ('h', 'height'),
    'class': ('class', 'class_id', 'class_name', 'label', 'category', 'category_id', 'name'),
    'track': ('track', 'track_id', 'object_id', 'id'),
    'score': ('score', 'confidence', 'class_confidence', 'conf'),
    'frame': FRAME_KEYS,
    'recording': RECORDING_KEYS,
}

_ADVICE = (
    'give a header that names the time (t, or frame with --label-fps), the box (x, y, w, h or x1, '
    'y1, x2, y2) and class'
)


def read_header(path: Path) -> list[str]:
    """
    Return the column names of a text file in small letters; empty without a header.

    Raises
    ------
    EvaluationError
        If it is no text.

    """
    with reading(path, _ADVICE), path.open(encoding=text_encoding(path), newline='') as stream:
        line = stream.readline(1 << 16)
    names = [name.strip().strip('"\'').lower() for name in line.split(_delimiter(line))]
    return [] if any(_is_number(name) for name in names) else names


def names_boxes(header: list[str]) -> bool:
    """Return whether columns of these names are boxes."""
    known = {key for key, names in _COLUMNS.items() if set(names).intersection(header)}
    return any(known.issuperset(pair) for pair in (('w', 'h'), ('x2', 'y2')))


def read_table(path: Path, name: str, clock: FrameClock, *, detections: bool = False) -> BoxFile:
    """
    Read the boxes of a recording.

    The delimiter is a comma, a semicolon or a tab. Rows belong to the recording in their column
    ``recording``, if there is one. Times are those of ``microseconds``, or those of ``clock`` if
    there is a column ``frame``. ``detections``: whether boxes without a track have ``track_id`` 0,
    as in ``box_rows``.

    Raises
    ------
    EvaluationError
        If a column is missing, a value is no number, or all rows are of other recordings.

    """
    header = read_header(path)
    columns = {
        key: next(header.index(one) for one in names if one in header)
        for key, names in _COLUMNS.items()
        if set(names).intersection(header)
    }
    time = time_key(header)
    numbered = 'frame' in columns and clock.is_known
    corners = {'x1', 'y1', 'x2', 'y2'}, {'x1', 'y1', 'w', 'h'}, {'cx', 'cy', 'w', 'h'}
    if not ((numbered or time) and 'class' in columns and any(c <= set(columns) for c in corners)):
        if problem := foreign_content(path, 'the boxes'):
            raise EvaluationError(f'{path}: {problem}')
        raise EvaluationError(
            f'{path}: the columns {", ".join(header[:12]) or "have no names"}'
            f'{" are not those of boxes" if header else ""}; {_ADVICE}'
        )
    rows, foreign = _read_rows(path, len(header), columns, name)
    if foreign and not rows:
        raise EvaluationError(f'{path}: holds no boxes of {name}; name a file with its boxes')
    texts = {key: [row[index].strip() for row in rows] for key, index in columns.items()}
    boxes = np.zeros(len(rows), BOX_DTYPE)
    with reading(path, _ADVICE):
        if numbered:
            boxes['t'] = clock([int(text) for text in texts['frame']])
        else:
            assert time is not None
            index = header.index(time[0])
            boxes['t'] = microseconds([row[index].strip() for row in rows], time[1])
        _set_boxes(boxes, texts)
        classes = _set_classes(boxes, texts['class'])
        boxes['class_confidence'] = (
            [float(text) for text in texts['score']] if 'score' in texts else 1
        )
    tracks = np.array(texts['track'] if 'track' in texts else [''] * len(rows), str)
    boxes['track_id'] = track_ids(tracks, str(path), detections=detections)
    check_boxes(boxes, str(path))
    boxes = sort_by_time(boxes)
    return BoxFile(
        boxes,
        np.unique(boxes['t']),
        classes,
        relative=numbered and clock.relative,
        partial=bool(classes) or not rows,
        warnings=left_out(path, {f'boxes of other recordings than {name} are left out': foreign}),
    )


def _read_rows(
    path: Path, width: int, columns: dict[str, int], name: str
) -> tuple[list[list[str]], int]:
    """Return the rows of a recording, and the number of those of others."""
    own, foreign, wanted = [], 0, set(stems(name))
    with reading(path, _ADVICE), path.open(encoding=text_encoding(path), newline='') as stream:
        first = stream.readline()
        for number, row in enumerate(csv.reader(stream, delimiter=_delimiter(first)), 2):
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != width:
                raise EvaluationError(
                    f'{path}: row {number} has {len(row)} cells, the header {width}; correct it'
                )
            if 'recording' in columns:
                value = row[columns['recording']].strip()
                if value not in wanted and recording_stem(value) not in wanted:
                    foreign += 1
                    continue
            own.append(row)
    return own, foreign


def _set_boxes(boxes: np.ndarray, texts: dict[str, list[str]]) -> None:
    """Set corner and size, computed in float64."""
    values: dict[str, np.ndarray] = {
        key: np.array([float(text) for text in texts[key]])
        for key in ('x1', 'y1', 'x2', 'y2', 'cx', 'cy', 'w', 'h')
        if key in texts
    }
    for low, size, high, middle in (('x1', 'w', 'x2', 'cx'), ('y1', 'h', 'y2', 'cy')):
        extent = values[size] if size in values else values[high] - values[low]
        begin = values[low] if low in values else values[middle] - extent / 2
        with np.errstate(over='ignore'):
            boxes[low[0]], boxes[size] = begin, extent


def _set_classes(boxes: np.ndarray, texts: list[str]) -> tuple[str, ...]:
    """Set class ids, and return the names if the column holds names."""
    if all(text.isdecimal() for text in texts):
        boxes['class_id'] = [int(text) for text in texts]
        return ()
    names, ids = np.unique(np.array(texts), return_inverse=True)
    boxes['class_id'] = ids.reshape(len(texts))
    return tuple(names.tolist())


def _delimiter(line: str) -> str:
    return max(',;\t', key=line.count)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
