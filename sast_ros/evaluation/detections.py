# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Detections of a recording, as ``sast-ros replay`` or another tool has written them."""

from __future__ import annotations

from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

import numpy as np
from sast_ros.bags.detections import WINDOW_DTYPE
from sast_ros.bags.storage import is_storage_file
from sast_ros.evaluation.boxes import read_boxes, reading, sort_by_time
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.labels import canonical
from sast_ros.evaluation.topics import holds_only_detections, read_topic

_STRIDE_US = 50_000


@dataclass(frozen=True)
class RecordedDetections:
    """
    The detections of one recording.

    Attributes
    ----------
    name : str
        Name of the recording without suffix.
    path : Path
        Source of the detections.
    boxes : BOX_DTYPE[N]
        Sorted by time, on the clock of the recording.
    classes : tuple of str
        Class names in class-id order; empty if unknown.
    windows : WINDOW_DTYPE[W], optional
        In order of time; ``None`` if only boxes are known, so that a window without detections
        cannot be told from a missing one.
    start_us, end_us : int, optional
        First and last event of the recording.
    stride_us, duration_us : int
        Stride and integration time of the windows.
    sensor_size : (int, int), optional
        Height and width in pixels.
    summary : dict, optional
        Summary of the replay.
    clock : {'recording', 'ros'}
        Clock of all times; ``'ros'`` for detections that were read from messages.

    """

    name: str
    path: Path
    boxes: np.ndarray
    classes: tuple[str, ...] = ()
    windows: np.ndarray | None = None
    start_us: int | None = None
    end_us: int | None = None
    stride_us: int = _STRIDE_US
    duration_us: int = _STRIDE_US
    sensor_size: tuple[int, int] | None = None
    summary: dict[str, Any] | None = None
    clock: str = 'recording'


def is_detections(path: Path) -> bool:
    """
    Return whether a path names detections, not a recording of events.

    Detections are a ``.npy`` file, the folder of a replay, or a bag with a topic of detections and
    none of events.
    """
    if path.suffix == '.npy' or (path / 'detections.npy').is_file():
        return True
    return path.exists() and is_storage_file(path) and holds_only_detections(path)


def read_detections(path: Path) -> RecordedDetections:
    """
    Read detections.

    Parameters
    ----------
    path : Path
        Folder that ``sast-ros replay`` wrote, ``.npy`` file in the Prophesee layout, or ``.mcap``
        or ``.db3`` file with a topic of ``vision_msgs/msg/Detection2DArray``.

    Raises
    ------
    EvaluationError
        If they cannot be read, are invalid, or do not fit their summary.
    RecordingError
        If a bag is damaged.

    """
    if is_storage_file(path):
        return _read_bag(path)
    file = path / 'detections.npy' if path.is_dir() else path
    boxes = read_boxes(file)
    in_folder = file.name == 'detections.npy'
    summary = _read_summary(file.with_name('summary.json')) if in_folder else None
    if summary is None:
        if not len(boxes):
            raise EvaluationError(f'{file}: holds no detections; name a file with boxes')
        name = file.resolve().parent.name if in_folder else file.stem
        name = name.removesuffix('_detections').removesuffix('_bbox')
        return RecordedDetections(name, file, boxes)
    if summary.get('detections', len(boxes)) != len(boxes):
        raise EvaluationError(
            f'{file}: holds {len(boxes)} detections, but its summary.json counts '
            f'{summary["detections"]}; replay the recording again'
        )
    size = summary.get('sensor_size') or {}
    return RecordedDetections(
        name=Path(str(summary['recording'])).stem if 'recording' in summary else file.parent.name,
        path=file,
        boxes=boxes,
        classes=tuple(canonical(str(name)) for name in summary.get('classes', ())),
        windows=_read_windows(file.with_name('windows.npy')),
        start_us=summary.get('first_event_us'),
        end_us=summary.get('last_event_us'),
        stride_us=round(1000 * summary.get('stride_ms', 50)),
        duration_us=round(1000 * summary.get('window_ms', 50)),
        sensor_size=(size['height'], size['width']) if size else None,
        summary=summary,
    )


def _read_bag(path: Path) -> RecordedDetections:
    boxes, stamps, classes = read_topic(path)
    windows = np.zeros(len(stamps), WINDOW_DTYPE)
    windows['t'], windows['stamp_ns'] = stamps, 1000 * stamps
    steps = np.diff(stamps)
    return RecordedDetections(
        name=path.stem.removesuffix('_detections'),
        path=path,
        boxes=boxes,
        classes=tuple(canonical(name) for name in classes),
        windows=windows,
        start_us=int(stamps[0]) - _STRIDE_US,
        end_us=int(stamps[-1]),
        stride_us=max(int(np.median(steps)), 1) if len(steps) else _STRIDE_US,
        clock='ros',
    )


def _read_summary(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    with reading(path, 'replay the recording again'):
        return dict(json.loads(path.read_text(encoding='utf-8')))


def _read_windows(path: Path) -> np.ndarray | None:
    if not path.is_file():
        return None
    with reading(path, 'replay the recording again'):
        windows = np.load(path)
    if windows.dtype != WINDOW_DTYPE:
        raise EvaluationError(
            f'{path}: has other columns than this version writes; replay the recording again'
        )
    return sort_by_time(windows)
