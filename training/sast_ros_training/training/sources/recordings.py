"""Recordings with boxes as training sequences: Prophesee files and ROS bags with ``_bbox.npy``."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from sast_ros.bags import open_recording
from sast_ros.bags.prophesee import PROPHESEE_SUFFIXES
from sast_ros.bags.storage import STORAGE_SUFFIXES
from sast_ros.evaluation import boxes as evaluation
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.events import EventChunk
from sast_ros.histogram import StackedHistogram
from sast_ros.labels import LABEL_DTYPE, MIN_EVENT_DENSITY, MIN_EVENTS
from sast_ros.model.config import ModelConfig
from sast_ros.windows import WindowCutter
from sast_ros_training.training.cache import SequenceInfo, SequenceWriter
from sast_ros_training.training.errors import TrainingDataError

_BOXES = '_bbox.npy'
_SECOND_US = 1_000_000


def downsampling(config: ModelConfig, sensor_size: tuple[int, int]) -> int:
    """Return the sensor pixels per cell, as ``EventPipeline`` takes them."""
    from sast_ros.pipeline import sensor_geometry

    return sensor_geometry(config, sensor_size).downsample


def choose_classes(labels: np.ndarray, given: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """Return the labels of the wanted classes, with their ids instead of the given ones."""
    ids = np.array([wanted.index(name) if name in wanted else -1 for name in given])
    if len(labels) and int(labels['class_id'].max()) >= len(given):
        raise TrainingDataError(
            f'a label has class id {int(labels["class_id"].max())}, but only {len(given)} class '
            f'names are known ({", ".join(given)}); name them all in data.source_classes'
        )
    new = ids[labels['class_id']]
    chosen = labels[new >= 0].copy()
    chosen['class_id'] = new[new >= 0]
    return chosen


def find_recordings(folder: Path, kind: str) -> list[tuple[Path, Path]]:
    """
    Return the recordings of a folder that have boxes beside them, each with its boxes.

    ``kind``: ``'prophesee'`` or ``'bags'``. The boxes of ``NAME.mcap``, of the folder ``NAME``, of
    ``NAME.dat`` or of ``NAME_td.dat`` are in ``NAME_bbox.npy``.
    """
    suffixes = PROPHESEE_SUFFIXES if kind == 'prophesee' else ('.bag', *STORAGE_SUFFIXES)
    pairs = []
    for boxes in sorted(folder.glob(f'*{_BOXES}')):
        name = boxes.name.removesuffix(_BOXES)
        candidates = [folder / f'{name}{end}{s}' for s in suffixes for end in ('', '_td')]
        if kind == 'bags':
            candidates.append(folder / name)
        pairs.extend([(path, boxes) for path in candidates if path.exists()][:1])
    return pairs


def convert_recording(
    recording: Path,
    boxes: Path,
    target: Path,
    *,
    config: ModelConfig,
    given: Sequence[str],
    window_ms: float,
    stride_ms: float,
) -> None:
    """
    Write a recording and its boxes into the cache.

    Windows end where boxes are. A window without boxes counts as one that nobody has looked at.

    Parameters
    ----------
    recording:
        as ``open_recording`` takes it.
    boxes:
        array of the Prophesee layout, ``t`` on the clock of the recording.
    target:
        file to write.
    config:
        of the network.
    given:
        class names in the order of the boxes' class ids.
    window_ms, stride_ms:
        of the windows.

    Raises
    ------
    RecordingError: the recording cannot be read.
    TrainingDataError: the boxes cannot be read.

    """
    labels = choose_classes(read_boxes(boxes), given, config.classes)
    with open_recording(recording) as opened:
        # Decoders that learn the size from the stream know it behind the first chunk
        chunks = iter(opened)
        first = next((chunk for chunk in chunks if len(chunk)), None)
        if first is None:
            raise TrainingDataError(f'{recording}: holds no events; leave it out')
        size = opened.sensor_size or (first.height, first.width)
        if not all(size):
            size = config.frame[0] * config.downsample, config.frame[1] * config.downsample
        downsample = downsampling(config, size)
        histogram = StackedHistogram(*size, bins=config.bins, downsample=downsample)
        writer = SequenceWriter(
            SequenceInfo(
                source=recording.name,
                classes=config.classes,
                sensor_size=size,
                downsample=downsample,
                shape=histogram.shape,
                stride_ms=stride_ms,
            )
        )
        stride = round(1000 * stride_ms)
        cutter = WindowCutter(round(1000 * window_ms), stride)
        noted = LabelHistory(labels, size, downsample, stride)
        for chunk in _aligned(first, chunks, labels, cutter):
            for window in cutter.cut(chunk):
                counts = histogram(window.parts).numpy()
                found = noted.at(window.t_end, counts)
                writer.add(counts, window.t_end, len(window), found)
    writer.write(target)


def _aligned(
    first: EventChunk, rest: Iterable[EventChunk], labels: np.ndarray, cutter: WindowCutter
) -> Iterator[EventChunk]:
    """Yield the events from where windows begin that end at the times of the labels."""
    begin = int(first.t[0])
    if len(labels):
        ahead = int(labels['t'].min()) - cutter.duration_us - begin
        begin += ahead % cutter.stride_us
    begun = False
    for chunk in itertools.chain([first], rest):
        if not begun:  # only until then: time may jump back later on
            start = int(np.searchsorted(chunk.t, begin, 'left'))
            chunk = chunk[start:]
            begun = len(chunk) > 0
        yield chunk


def read_boxes(path: Path) -> np.ndarray:
    """
    Return boxes of the Prophesee layout as ``LABEL_DTYPE[N]``, sorted by time.

    Raises
    ------
    TrainingDataError: no such file, another layout, or rows that are no boxes.

    """
    return _labels(evaluation.read_boxes, path)


def label_rows(rows: np.ndarray, where: str) -> np.ndarray:
    """Return boxes of the Prophesee layout as ``LABEL_DTYPE[N]``; see ``read_boxes``."""
    return _labels(evaluation.box_rows, rows, where)


def _labels(read: Callable[..., np.ndarray], *arguments: Any) -> np.ndarray:
    try:
        boxes = read(*arguments)
    except EvaluationError as error:
        raise TrainingDataError(str(error)) from error
    labels = np.zeros(len(boxes), LABEL_DTYPE)
    for name in ('t', 'x', 'y', 'w', 'h', 'class_id', 'track_id'):
        labels[name] = boxes[name]
    labels['visibility'] = 1
    return labels


class LabelHistory:
    """
    The labels of one window after the other, with what the events say about them.

    Foreign data do not tell which objects have moved, so the events in an object's box stand for
    its own: ``recent`` if one window of the last second has enough of them.

    Parameters
    ----------
    labels: ``LABEL_DTYPE[N]`` sorted by time.
    size: (height, width) of the sensor; boxes are clipped to it.
    downsample: sensor pixels per cell.
    stride_us: from window to window; a label belongs to the window whose end is nearest.

    """

    def __init__(
        self, labels: np.ndarray, size: tuple[int, int], downsample: int, stride_us: int
    ) -> None:
        self._labels, self._size = labels, size
        self._downsample, self._stride = downsample, stride_us
        self._sums: deque[np.ndarray] = deque(maxlen=max(1, _SECOND_US // stride_us))
        self._seen: set[int] = set()

    def at(self, t_end: int, counts: np.ndarray) -> np.ndarray | None:
        """
        Return the labels of the window that ends here, ``None`` if it has none.

        ``counts``: its histogram ``uint8[channels, H, W]``. Windows must come in order.
        """
        image = counts.sum(axis=0, dtype=np.int64)
        self._sums.append(np.pad(image, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1))
        since = t_end - self._stride // 2
        first, end = np.searchsorted(self._labels['t'], [since, since + self._stride])
        if first == end:
            return None
        found = self._labels[first:end].copy()
        found = found[np.abs(found['t'] - t_end) == np.abs(found['t'] - t_end).min()]
        height, width = self._size
        right = (found['x'] + found['w']).clip(0, width)
        bottom = (found['y'] + found['h']).clip(0, height)
        found['x'], found['y'] = found['x'].clip(0, width), found['y'].clip(0, height)
        found['w'], found['h'] = right - found['x'], bottom - found['y']
        found = found[(found['w'] > 0) & (found['h'] > 0)]
        for label in found:
            self._judge(label)
        return found

    def _judge(self, label: np.void) -> None:
        cells = [label['y'], label['y'] + label['h'], label['x'], label['x'] + label['w']]
        top, bottom, left, right = (int(round(float(v) / self._downsample)) for v in cells)
        inside = [s[bottom, right] - s[top, right] - s[bottom, left] + s[top, left]
                  for s in self._sums]  # fmt: skip
        enough = max(MIN_EVENTS, MIN_EVENT_DENSITY * (bottom - top) * (right - left))
        label['events'] = inside[-1]
        label['recent'] = max(inside) >= enough
        track = int(label['track_id'])
        if label['recent']:
            self._seen.add(track)
        label['seen'] = track in self._seen
