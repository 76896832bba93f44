# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What annotation files hold, whatever their format."""

from __future__ import annotations

from dataclasses import dataclass, field
import math
from typing import Any

import numpy as np
from sast_ros.errors import SastError

_MAX_TRACK = np.iinfo(np.uint32).max

#: Why a box cannot be taken.
ROTATED = 'is rotated, which labels cannot be; turn it back'


class LabelError(SastError, ValueError):
    """Labels that cannot be exported, or edited ones that cannot be taken back."""


@dataclass(frozen=True)
class Picture:
    """A picture to annotate: its file name, its time in microseconds, its ``BOX_DTYPE[N]``."""

    name: str
    t: int
    boxes: np.ndarray


@dataclass(frozen=True)
class Export:
    """What was exported: the recording's name, (height, width) of its pictures, class names."""

    recording: str
    size: tuple[int, int]
    classes: tuple[str, ...]
    #: Times of the pictures in microseconds, by their file names.
    times: dict[str, int]


@dataclass(frozen=True)
class Shape:
    """
    A box that an annotation tool has written.

    ``picture``: file name, without folders; ``box``: x, y, w, h in pixels; ``track`` and
    ``score`` are ``None`` for boxes that the tool has added.
    """

    picture: str
    label: str
    box: tuple[float, float, float, float]
    track: int | None = None
    score: float | None = None


@dataclass
class Annotations:
    """The content of an annotation file."""

    #: File names of the pictures that it lists, without folders.
    pictures: list[str] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    #: What was left out, counted.
    left_out: dict[str, int] = field(default_factory=dict)

    def leave_out(self, reason: str) -> None:
        """Count something that is no box."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


def file_name(path: Any) -> str:
    """Return the name of a picture without the folders that tools put before it."""
    return str(path).replace('\\', '/').rpartition('/')[2]


def track_number(value: Any, where: str) -> int | None:
    """
    Return the number of a track, ``None`` if there is none.

    Raises
    ------
    LabelError
        It is no whole number that fits.

    """
    if value in (None, ''):
        return None
    try:
        # Attributes that are numbers are written with decimals by some tools
        number = int(value) if isinstance(value, float) and value.is_integer() else int(str(value))
    except ValueError:
        number = -1
    if not 0 <= number <= _MAX_TRACK:
        raise LabelError(
            f'{where}: the track_id {str(value)[:50]!r} is no whole number from 0 to '
            f'{_MAX_TRACK}; correct it, or leave it empty for a new object'
        )
    return number


def real_number(value: Any, name: str, where: str) -> float:
    """
    Return a finite number.

    Raises
    ------
    LabelError
        It is none.

    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise LabelError(f'{where}: {name} is {str(value)[:50]!r}; it must be a number')
    return number
