# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a file with boxes holds, and how its times are read."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
import json
import math
from pathlib import Path
import re
from typing import Any

import numpy as np
from sast_ros.evaluation.boxes import reading
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.labels import BOX_DTYPE

#: Names of times, without and with a unit.
_TIMES = ('t', 'ts', 'time', 'timestamp')
_UNITS = {'us': 1.0, 'ms': 1e3, 's': 1e6, 'ns': 1e-3}

#: Names of frame numbers.
FRAME_KEYS = ('frame', 'frame_id', 'frame_index', 'frame_number')

#: Names of what tells the recording of a row.
RECORDING_KEYS = ('recording', 'sequence', 'video')

_MAX_TIME = 1 << 62


def no_boxes() -> np.ndarray:
    """Return ``BOX_DTYPE[0]``."""
    return np.zeros(0, BOX_DTYPE)


@dataclass(frozen=True)
class BoxFile:
    """
    The content of a file with boxes.

    Attributes
    ----------
    boxes : BOX_DTYPE[N]
        Sorted by time.
    times : int64[T]
        Times that the file lists, with or without boxes, sorted.
    listed : bool
        Whether these are all that were looked at. If not, they are only those with boxes.
    classes : tuple of str
        Class names in class-id order; empty if the file does not name them.
    partial : bool
        Whether the classes are only those of the boxes, and there may be others.
    regions : BOX_DTYPE[R]
        Regions in which detections of the class are ignored (crowds of COCO), sorted by time.
    relative : bool
        Whether times count from the start of the recording.
    sensor_size : (int, int), optional
        Height and width of the images.
    warnings : tuple of str
        What was left out, sentences.

    """

    boxes: np.ndarray
    times: np.ndarray
    classes: tuple[str, ...] = ()
    regions: np.ndarray = field(default_factory=no_boxes)
    relative: bool = False
    sensor_size: tuple[int, int] | None = None
    warnings: tuple[str, ...] = ()
    partial: bool = False
    listed: bool = False


def lists_empty(times: np.ndarray, boxes: np.ndarray) -> bool:
    """
    Return whether any of the times (``int64[T]``, each once) has no box.

    Of sources with one entry for each picture, where those of pictures without objects may be
    missing: if one of them is there, all are.
    """
    return len(times) > len(np.unique(boxes['t']))


def time_key(names: Iterable[str]) -> tuple[str, str] | None:
    """
    Return which of the names is that of a time, and its unit; empty if the name has none.

    Such names are ``t``, ``ts``, ``time`` and ``timestamp``, optionally with ``_s``, ``_ms``,
    ``_us`` or ``_ns``.
    """
    known = {name.lower(): name for name in names}
    for unit in ('', *_UNITS):
        for plain in _TIMES:
            name = known.get(f'{plain}_{unit}' if unit else plain)
            if name is not None:
                return name, unit
    return None


def microseconds(values: Sequence[Any], unit: str = '') -> list[int]:
    """
    Return times in microseconds.

    Without a unit, whole numbers are microseconds; if one of them has a fraction, all of them are
    seconds.

    Parameters
    ----------
    values : sequence of int, float or str
        The times.
    unit : {'', 's', 'ms', 'us', 'ns'}
        Their unit.

    Raises
    ------
    ValueError
        If one of them is no number, or too large.

    """
    numbers = [_number(value) for value in values]
    if not unit:
        unit = 'us' if all(isinstance(one, int) for one in numbers) else 's'
    if unit == 'ns':
        times = [round(one) // 1000 for one in numbers]
    else:
        times = [round(one * _UNITS[unit]) if unit != 'us' else round(one) for one in numbers]
    for time, value in zip(times, values):
        if abs(time) > _MAX_TIME:
            raise ValueError(f'the time {value} is too large')
    return times


def _number(value: Any) -> int | float:
    """Return a number, as ``int`` where it is whole."""
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f'{value!r} is no time')
    return int(value) if isinstance(value, int) or value.is_integer() else value


@dataclass(frozen=True)
class FrameClock:
    """
    The times of numbered frames: by their rate from the start of the recording, or by a list.

    Attributes
    ----------
    fps : float, optional
        Frames per second; frame 0 is at the start of the recording.
    times : Path, optional
        Text file with the time of each frame, a line each, on the clock of the recording.

    """

    fps: float | None = None
    times: Path | None = None

    @property
    def is_known(self) -> bool:
        """Whether there is a rate or a list."""
        return self.fps is not None or self.times is not None

    @property
    def relative(self) -> bool:
        """Whether times count from the start of the recording."""
        return self.times is None

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        """
        Return the time of each frame in microseconds.

        Numbers that begin at 1 or higher and end at the number of lines count from 1.

        Raises
        ------
        EvaluationError
            If the list cannot be read or is too short.

        """
        if self.times is None:
            assert self.fps is not None
            return [round(number * 1e6 / self.fps) for number in numbers]
        listed = read_times(self.times)
        first = int(bool(numbers) and max(numbers) == len(listed) and min(numbers) >= 1)
        for number in numbers:
            if not first <= number < len(listed) + first:
                raise EvaluationError(
                    f'{self.times}: has {len(listed)} times, but there is a frame {number}; give '
                    'the times of all frames'
                )
        return [listed[number - first] for number in numbers]


#: Where neither rate nor list is given.
NO_CLOCK = FrameClock()


def read_times(path: Path) -> list[int]:
    """
    Read a text file with one time per line, see ``microseconds``; ``#`` begins a comment.

    Raises
    ------
    EvaluationError
        If it cannot be read, or a line is no time.

    """
    with reading(path, 'give a text file with one time per line'):
        text = path.read_text(encoding=text_encoding(path))
        rows = [row for line in text.splitlines() if (row := line.partition('#')[0].strip())]
        return microseconds(rows)


def stems(name: str) -> list[str]:
    """Return the names that the label file of a recording can have."""
    return [name, *(name.removesuffix(s) for s in ('_td', '_events') if name.endswith(s))]


def trailing_number(name: str) -> int | None:
    """Return the number at the end of a file name without suffix, ``None`` without one."""
    found = re.search(r'([0-9]{1,18})$', name)
    return int(found[1]) if found else None


def text_encoding(path: Path) -> str:
    """Return the encoding of a text: UTF-16 with a byte order mark as on Windows, else UTF-8."""
    with path.open('rb') as file:
        mark = file.read(2)
    return 'utf-16' if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else 'utf-8-sig'


def load_json(path: Path, advice: str) -> Any:
    """
    Return the content of a JSON file.

    Raises
    ------
    EvaluationError
        If it cannot be read.

    """
    with reading(path, advice):
        return json.loads(path.read_text(encoding=text_encoding(path)))


def left_out(path: Path, counts: dict[str, int]) -> tuple[str, ...]:
    """Return a sentence for each reason with a count above 0."""
    return tuple(f'{path}: {count} {reason}' for reason, count in counts.items() if count)
