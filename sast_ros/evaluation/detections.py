# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Detections of a recording, as ``sast-ros replay`` or another tool has written them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sast_ros.bags.detections import WINDOW_DTYPE
from sast_ros.bags.names import recording_stem
from sast_ros.bags.storage import is_storage_file
from sast_ros.evaluation.boxes import box_rows, has_scores, load_rows, sort_by_time
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.formats.box_file import BoxFile, FrameClock, load_json, NO_CLOCK
from sast_ros.evaluation.formats.coco import read_coco_results
from sast_ros.evaluation.formats.table import names_boxes, read_header, read_table
from sast_ros.evaluation.label_files import find_labels, holds_events
from sast_ros.evaluation.labels import canonical
from sast_ros.evaluation.topics import find_topics, read_topic

_STRIDE_US = 50_000


@dataclass(frozen=True)
class LiveRun:
    """
    The run of a node that published the detections.

    Attributes
    ----------
    published : int
        Number of windows for which there is a message.
    dropped_us : int64[D]
        Ends of the windows between them for which there is none, in order.
    events_topic : str
        Topic with the events in the same bag.
    ended_early : bool
        Whether the node published nothing for the last windows of the events.

    """

    published: int
    dropped_us: np.ndarray
    events_topic: str
    ended_early: bool

    @property
    def dropped(self) -> int:
        """Number of windows between those with messages for which there is none."""
        return len(self.dropped_us)


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
    warnings : tuple of str
        What was left out or assumed, sentences.
    live : LiveRun, optional
        The run of the node, for messages that were recorded with the events.
    topic : str, optional
        Topic of the bag that the detections are from.
    partial : bool
        Whether the classes are only those of the boxes, and there may be others.

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
    warnings: tuple[str, ...] = ()
    live: LiveRun | None = None
    topic: str | None = None
    partial: bool = False

    @property
    def is_part(self) -> bool:
        """Whether a part of the recording was replayed, as ``--start`` or ``--end`` asked."""
        summary = self.summary or {}
        return bool(summary.get('start')) or summary.get('end') is not None

    @property
    def origin_us(self) -> int | None:
        """
        Start of the recording on the clock of the events, of a part of it too.

        Of a part it is later than that by the time from its start to its first event.
        """
        start = (self.summary or {}).get('start') or 0
        return None if self.start_us is None else self.start_us - round(1e6 * start)

    @property
    def counts_events(self) -> bool:
        """Whether the windows are known with the number of their events."""
        known = self.summary is not None or self.live is not None
        return known and self.windows is not None


def is_detections(path: Path) -> bool:
    """
    Return whether a path names detections, not a recording of events.

    Detections are a ``.npy`` file, if its columns are not those of events, COCO results, a text
    file with a header that names columns of boxes, the folder of a replay, or a bag (folder or
    file) with a topic of detections and none of events.
    """
    suffix = path.suffix.lower()
    if suffix == '.json' or (path / 'detections.npy').is_file():
        return True
    if suffix == '.npy':
        return not holds_events(path)
    if suffix == '.csv' and path.is_file():
        return names_boxes(read_header(path))
    if not holds_messages(path):
        return False
    detections, events = find_topics(path)
    return bool(detections) and not events


def holds_messages(path: Path) -> bool:
    """Return whether a path is a file of rosbag2, or a folder with such files."""
    if path.is_dir():
        return any(is_storage_file(file) for file in path.iterdir())
    return path.is_file() and is_storage_file(path)


def read_detections(
    path: Path, labels: Path | None = None, frames: FrameClock = NO_CLOCK, topic: str | None = None
) -> RecordedDetections:
    """
    Read detections.

    Parameters
    ----------
    path : Path
        Folder that ``sast-ros replay`` wrote, ``.npy`` file in the Prophesee layout, COCO
        results, CSV, or rosbag2 folder, ``.mcap`` or ``.db3`` file with a topic of
        ``vision_msgs/msg/Detection2DArray``.
    labels : Path, optional
        Folder or file with labels, for COCO results, which name images and categories of theirs.
    frames : FrameClock, optional
        Times of numbered frames.
    topic : str, optional
        Topic of a bag with several of this type.

    Raises
    ------
    EvaluationError
        If they cannot be read, are invalid, or do not fit their summary.
    RecordingError
        If a bag is damaged.

    """
    if not (path / 'detections.npy').is_file() and holds_messages(path):
        return _read_bag(path, topic)
    if path.suffix.lower() == '.json':
        return _read_coco(path, labels, frames)
    if path.suffix.lower() == '.csv':
        name = _plain_name(path)
        return _from_file(path, name, read_table(path, name, frames, detections=True))
    file = path / 'detections.npy' if path.is_dir() else path
    rows = load_rows(file)
    boxes = box_rows(rows, str(file), detections=True)
    in_folder = file.name == 'detections.npy'
    summary = _read_summary(file.with_name('summary.json')) if in_folder else None
    if summary is None:
        if not len(boxes):
            raise EvaluationError(f'{file}: holds no detections; name a file with boxes')
        name = _plain_name(file.resolve().parent if in_folder else file)
        warnings = () if has_scores(rows) else (f'{file}: has no scores; each is taken as 1',)
        return RecordedDetections(name, file, boxes, warnings=warnings)
    if summary.get('detections', len(boxes)) != len(boxes):
        raise EvaluationError(
            f'{file}: holds {len(boxes)} detections, but its summary.json counts '
            f'{summary["detections"]}; replay the recording again'
        )
    size = summary.get('sensor_size') or {}
    return RecordedDetections(
        name=recording_stem(str(summary.get('recording', file.resolve().parent.name))),
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


def _read_bag(path: Path, topic: str | None) -> RecordedDetections:
    found = read_topic(path, topic, option='--detections-topic')
    stamps = found.stamps_ns // 1000
    windows = np.zeros(len(stamps), WINDOW_DTYPE)
    windows['t'], windows['stamp_ns'] = stamps, found.stamps_ns
    steps = np.diff(stamps)
    return RecordedDetections(
        name=recording_stem(path.resolve()).removesuffix('_detections'),
        path=path,
        boxes=found.detections,
        classes=tuple(canonical(name) for name in found.classes),
        windows=windows,
        start_us=int(stamps[0]) - _STRIDE_US,
        end_us=int(stamps[-1]),
        stride_us=max(int(np.median(steps)), 1) if len(steps) else _STRIDE_US,
        clock='ros',
        topic=found.topic,
        partial=found.partial,
    )


def _read_coco(path: Path, labels: Path | None, frames: FrameClock) -> RecordedDetections:
    """Read results; the windows are those of the images, so that empty ones are known."""
    name, images = _plain_name(path), path
    if isinstance(load_json(path, 'give a list of COCO results'), list):
        if labels is None:
            raise EvaluationError(f'{path}: a list of COCO results needs its labels, with images')
        images = find_labels(labels, name, path)
        if images.is_dir() or not isinstance(load_json(images, _COCO_ADVICE), dict):
            raise EvaluationError(f'{images}: is no COCO file; {_COCO_ADVICE}')
    sole = labels is None or labels.is_file() or images == path
    content = read_coco_results(path, images, name, frames, sole=sole)
    detected = _from_file(path, name, content)
    windows = np.zeros(len(content.times), WINDOW_DTYPE)
    windows['t'] = content.times
    return replace(detected, windows=windows)


_COCO_ADVICE = (
    'COCO results name images by their ids: give --labels the COCO file that lists these images'
)


def _from_file(path: Path, name: str, content: BoxFile) -> RecordedDetections:
    if not len(content.boxes):
        raise EvaluationError(f'{path}: holds no detections; name a file with boxes')
    return RecordedDetections(
        name,
        path,
        content.boxes,
        tuple(canonical(one) for one in content.classes),
        sensor_size=content.sensor_size,
        warnings=content.warnings,
        partial=content.partial,
    )


def _plain_name(path: Path) -> str:
    """Return the name of the recording that a file of detections is called after."""
    name = path.name[: -len(path.suffix)] if path.suffix in _BOX_SUFFIXES else path.name
    for end in ('_detections', '_results', '_bbox'):
        name = name.removesuffix(end)
    return recording_stem(name)


_BOX_SUFFIXES = ('.npy', '.npz', '.json', '.csv')


def _read_summary(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    content = load_json(path, 'replay the recording again')
    if not isinstance(content, dict):
        raise EvaluationError(f'{path}: is no summary of a replay; replay the recording again')
    return content


def _read_windows(path: Path) -> np.ndarray | None:
    if not path.is_file():
        return None
    windows = load_rows(path, 'replay the recording again')
    if windows.dtype != WINDOW_DTYPE or windows.ndim != 1:
        raise EvaluationError(
            f'{path}: has other columns than this version writes; replay the recording again'
        )
    return sort_by_time(windows)
