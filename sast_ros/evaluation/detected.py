"""Detections of recordings, as ``sast-ros replay`` or somebody else has written them."""

from __future__ import annotations

from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

import numpy as np
from sast_ros.bags.detections import WINDOW_DTYPE
from sast_ros.bags.storage import is_storage_file
from sast_ros.evaluation.boxes import read_boxes
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.labels import canonical
from sast_ros.evaluation.topics import holds_only_detections, read_topic

_STRIDE_US = 50_000


@dataclass(frozen=True)
class Detected:
    """
    The detections of one recording.

    Parameters
    ----------
    name: of the recording, without suffix.
    path: where they come from.
    boxes: ``BOX_DTYPE[N]`` sorted by time, on the clock of the recording.
    classes: class names in class-id order; empty if nobody tells.
    windows: ``WINDOW_DTYPE[W]`` in order of time, or ``None`` where only boxes are known; then a
        window without detections cannot be told from none.
    start_us: first event of the recording, ``None`` if nobody tells.
    end_us: last event, ``None`` if nobody tells.
    stride_us: from window to window.
    duration_us: integration time of a window.
    sensor_size: (height, width) in pixels, ``None`` if nobody tells.
    summary: of the replay, if there is one.
    clock: of all times, ``'recording'`` or, where messages are all there is, ``'ros'``.

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
    Return whether a path names detections and not a recording of events.

    Detections are a ``.npy`` file, the folder of a replay, or a bag with a topic of detections and
    none of events.
    """
    if path.suffix == '.npy' or (path / 'detections.npy').is_file():
        return True
    return path.exists() and is_storage_file(path) and holds_only_detections(path)


def read_detected(path: Path) -> Detected:
    """
    Read detections.

    Parameters
    ----------
    path:
        folder that ``sast-ros replay`` wrote, ``.npy`` file in the Prophesee layout, or ``.mcap``
        or ``.db3`` file with a topic of ``vision_msgs/msg/Detection2DArray``.

    Raises
    ------
    EvaluationError: they cannot be read, are no boxes, or do not fit their summary.
    RecordingError: a damaged bag.

    """
    if is_storage_file(path):
        return _from_topic(path)
    file = path / 'detections.npy' if path.is_dir() else path
    boxes = read_boxes(file)
    folder = file.parent if file.name == 'detections.npy' else None
    summary = _read_summary(folder / 'summary.json') if folder is not None else None
    if summary is None:
        if not len(boxes):
            raise EvaluationError(f'{file}: holds no detections; name a file with boxes')
        name = file.resolve().parent.name if folder is not None else file.stem
        return Detected(name.removesuffix('_detections').removesuffix('_bbox'), file, boxes)
    if summary.get('detections', len(boxes)) != len(boxes):
        raise EvaluationError(
            f'{file}: holds {len(boxes)} detections, but its summary.json counts '
            f'{summary["detections"]}; replay the recording again'
        )
    windows = _read_windows(file.with_name('windows.npy'))
    size = summary.get('sensor_size') or {}
    stride, duration = summary.get('stride_ms', 50), summary.get('window_ms', 50)
    return Detected(
        name=Path(str(summary['recording'])).stem if 'recording' in summary else file.parent.name,
        path=file,
        boxes=boxes,
        classes=tuple(canonical(str(name)) for name in summary.get('classes', ())),
        windows=windows,
        start_us=summary.get('first_event_us'),
        end_us=summary.get('last_event_us'),
        stride_us=round(1000 * stride),
        duration_us=round(1000 * duration),
        sensor_size=(size['height'], size['width']) if size else None,
        summary=summary,
    )


def _from_topic(path: Path) -> Detected:
    boxes, stamps, classes = read_topic(path)
    windows = np.zeros(len(stamps), WINDOW_DTYPE)
    windows['t'], windows['stamp_ns'] = stamps, 1000 * stamps
    steps = np.diff(stamps)
    stride = int(np.median(steps)) if len(steps) else _STRIDE_US
    return Detected(
        name=path.stem.removesuffix('_detections'),
        path=path,
        boxes=boxes,
        classes=tuple(canonical(name) for name in classes),
        windows=windows,
        start_us=int(stamps[0]) - _STRIDE_US,
        end_us=int(stamps[-1]),
        stride_us=max(stride, 1),
        clock='ros',
    )


def _read_summary(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise EvaluationError(
            f'{path}: cannot be read ({error}); replay the recording again'
        ) from error
    if not isinstance(content, dict):
        raise EvaluationError(f'{path}: is no summary of a replay; replay the recording again')
    return content


def _read_windows(path: Path) -> np.ndarray | None:
    if not path.is_file():
        return None
    try:
        windows = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise EvaluationError(
            f'{path}: cannot be read ({error}); replay the recording again'
        ) from error
    if windows.dtype != WINDOW_DTYPE:
        raise EvaluationError(
            f'{path}: has other columns than this version writes; replay the recording again'
        )
    return windows[np.argsort(windows['t'], kind='stable')]
