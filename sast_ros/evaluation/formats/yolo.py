# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Labels as YOLO text: a folder with one file for each frame, called by its number.

A line is an object: class id, centre, width and height as shares of the picture, and optionally a
score, which labels do not need. (Ultralytics documentation, "Object Detection Datasets".)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sast_ros.evaluation.boxes import check_boxes, reading, sort_by_time
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.formats.box_file import (
    BoxFile,
    FrameClock,
    left_out,
    lists_empty,
    NO_CLOCK,
    text_encoding,
    trailing_number,
)
from sast_ros.labels import BOX_DTYPE

_ADVICE = 'give class id, centre x, centre y, width and height (shares of the picture) in a line'

#: Largest share that a box may have; those that leave the picture are a little larger than 1.
_MAX_SHARE = 2.0

_CLASS_LISTS = ('classes.txt', 'obj.names')
_TIME_LISTS = ('timestamps.txt', 'times.txt')


def frame_files(folder: Path) -> dict[Path, int]:
    """Return the text files of a folder that are called by a number, with it, in its order."""
    numbers = {path: trailing_number(path.stem) for path in folder.glob('*.txt')}
    known = {path: number for path, number in numbers.items() if number is not None}
    return dict(sorted(known.items(), key=lambda item: (item[1], item[0].name)))


def yolo_folder(folder: Path) -> Path | None:
    """Return the folder, or ``labels`` in it, that holds files of frames; ``None`` for neither."""
    for one in (folder, folder / 'labels'):
        if one.is_dir() and frame_files(one):
            return one
    return None


def read_yolo(folder: Path, clock: FrameClock, sensor_size: tuple[int, int] | None) -> BoxFile:
    """
    Read the labels of one recording; every file is an annotated time.

    Pictures without objects need no file (Ultralytics); all are listed if one of them has one.

    Parameters
    ----------
    folder : Path
        Folder with the files, see ``yolo_folder``. Names of the classes are in ``classes.txt``
        or ``data.yaml`` in it or in its parent.
    clock : FrameClock
        Times of the frames; if it knows none, those of ``timestamps.txt`` in these folders.
    sensor_size : (int, int), optional
        Height and width in pixels.

    Raises
    ------
    EvaluationError
        If the times or the size are unknown, or a line is none of YOLO.

    """
    files = frame_files(folder)
    clock = clock if clock.is_known else _find_clock(folder)
    if not clock.is_known:
        raise EvaluationError(
            f'{folder}: the files of YOLO text have numbers, but no times; give the rate of the '
            'frames with --label-fps, or their times with --label-times'
        )
    if sensor_size is None:
        raise EvaluationError(
            f'{folder}: boxes of YOLO text are shares of the picture, whose size is unknown; give '
            'it with --sensor-size'
        )
    times = clock(list(files.values()))
    rows = [(time, *row) for path, time in zip(files, times) for row in _read_frame(path)]
    table = np.array(rows, np.float64).reshape(len(rows), 6)
    height, width = sensor_size
    boxes = np.zeros(len(rows), BOX_DTYPE)
    boxes['t'], boxes['class_id'] = [row[0] for row in rows], table[:, 1]
    boxes['x'], boxes['w'] = (table[:, 2] - table[:, 4] / 2) * width, table[:, 4] * width
    boxes['y'], boxes['h'] = (table[:, 3] - table[:, 5] / 2) * height, table[:, 5] * height
    boxes['class_confidence'], boxes['track_id'] = 1, np.arange(len(rows))
    check_boxes(boxes, str(folder))
    texts = {path.name for path in folder.glob('*.txt')} - {path.name for path in files}
    others = texts.difference(_CLASS_LISTS, _TIME_LISTS)
    annotated = np.unique(np.array(times, np.int64))
    return BoxFile(
        sort_by_time(boxes),
        annotated,
        _read_classes(folder),
        relative=clock.relative,
        listed=lists_empty(annotated, boxes),
        warnings=left_out(
            folder,
            {
                f'files without a number are not read ({", ".join(sorted(others)[:3])})': len(
                    others
                )
            },
        ),
    )


def _find_clock(folder: Path) -> FrameClock:
    lists = (place / name for place in (folder, folder.parent) for name in _TIME_LISTS)
    return next((FrameClock(times=path) for path in lists if path.is_file()), NO_CLOCK)


def _read_frame(path: Path) -> list[tuple[int, float, float, float, float]]:
    """Return class id, centre and size of every object."""
    rows = []
    with reading(path, _ADVICE):
        text = path.read_text(encoding=text_encoding(path))
        for number, line in enumerate(text.splitlines(), 1):
            parts = line.split()
            if not parts:
                continue
            values = [float(part) for part in parts]
            reason = ''
            if len(values) not in (5, 6):
                reason = f'{len(values)} numbers, as of a polygon or a rotated box'
            elif not (values[0].is_integer() and 0 <= values[0] < 1 << 31):
                reason = f'the class id {parts[0]}'
            elif not all(abs(value) <= _MAX_SHARE for value in values[1:5]):
                reason = 'coordinates that are no shares of the picture'
            if reason:
                raise EvaluationError(f'{path}: line {number} has {reason}; {_ADVICE}')
            x, y, w, h = values[1:5]
            rows.append((int(values[0]), x, y, w, h))
    return rows


def _read_classes(folder: Path) -> tuple[str, ...]:
    """Return the class names, none if there is no list of them."""
    for place in (folder, folder.parent):
        for path in (place / name for name in _CLASS_LISTS):
            if path.is_file():
                with reading(path, 'give one class name per line, or --label-classes'):
                    lines = path.read_text(encoding=text_encoding(path)).splitlines()
                    return tuple(line.strip() for line in lines if line.strip())
        for path in (*sorted(place.glob('data.y*ml')), *sorted(place.glob('dataset.y*ml'))):
            names = _read_yaml_names(path)
            if names:
                return names
    return ()


def _read_yaml_names(path: Path) -> tuple[str, ...]:
    from sast_ros.yaml_file import read_yaml

    with reading(path, 'give its names as a list, or --label-classes'):
        content = read_yaml(path)
        names = content.get('names') if isinstance(content, dict) else None
        if isinstance(names, dict):
            last = max(map(int, names), default=-1)
            if last >= 1 << 16:
                raise ValueError(f'the class id {last}')
            known = {int(number): str(name) for number, name in names.items()}
            return tuple(known.get(number, f'class {number}') for number in range(last + 1))
        return tuple(str(name) for name in names or ())
