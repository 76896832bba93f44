# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Recordings with boxes, ``NAME_bbox.npy`` beside them, as training sequences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
import glob
import itertools
from pathlib import Path

import numpy as np
from sast_ros.bags import open_recording, RecordingError
from sast_ros.bags.names import recording_stem, recording_suffix, RECORDING_SUFFIXES
from sast_ros.bags.prophesee import PROPHESEE_SUFFIXES
from sast_ros.defaults import MAX_GAP_MS
from sast_ros.evaluation.boxes import read_boxes, read_labelled_times
from sast_ros.events import EventChunk
from sast_ros.events.chunk import EventFormatError
from sast_ros.pipeline import default_sensor_size
from sast_ros.windows import EventWindow, microseconds, WindowCutter
from sast_ros_training.training.cache import histogram_writer, SequenceWriter, SUFFIX
from sast_ros_training.training.config import TrainingConfig
from sast_ros_training.training.errors import TrainingDataError
from sast_ros_training.training.sources.labels import (
    boxes_to_labels,
    choose_classes,
    label_classes,
    LabelHistory,
)

BOXES = '_bbox.npy'


def find_recordings(folder: Path, kind: str) -> list[tuple[Path, Path]]:
    """
    Return the recordings of a folder that have boxes beside them, each with its boxes.

    ``kind``: ``'prophesee'`` for Prophesee files, ``'bags'`` for all that ``open_recording``
    reads. The boxes of ``NAME.mcap``, of the folder ``NAME``, of ``NAME.dat`` or of
    ``NAME_td.dat`` are in ``NAME_bbox.npy``. Of several recordings with this name the first kind
    in ``RECORDING_SUFFIXES`` is taken, and a folder last.
    """
    suffixes = PROPHESEE_SUFFIXES if kind == 'prophesee' else (*RECORDING_SUFFIXES, '')
    recordings = defaultdict(list)
    for path in sorted(folder.glob('*')):
        suffix = recording_suffix(path)
        if suffix in suffixes and (suffix or path.is_dir()):
            recordings[recording_stem(path)].append((suffixes.index(suffix), path))
    pairs = []
    for boxes in sorted(folder.glob(f'*{BOXES}')):
        name = boxes.name.removesuffix(BOXES)
        candidates = sorted(recordings[name] + recordings[f'{name}_td'])
        pairs.extend([(path, boxes) for _, path in candidates[:1]])
    return pairs


def convert_recording(
    recording: Path, boxes: Path, target: Path, config: TrainingConfig
) -> list[str]:
    """
    Write a recording and its boxes, on the clock of the recording, into the cache.

    Windows end where boxes are. A window without boxes counts as not labelled, unless its time is
    listed beside the boxes (``times_path``). Where the state is reset, another sequence begins:
    ``target`` is the last one, and is written last. Returns sentences about what was left out.

    Raises
    ------
    RecordingError, EvaluationError
        The recording or the boxes cannot be read.
    TrainingDataError
        There are no events, or none of the boxes is in a window.
    TrainingConfigError
        See ``choose_classes``.

    """
    network, data = config.network(), config.data
    rows = read_boxes(boxes)
    times = read_labelled_times(boxes, rows)
    classes = label_classes(boxes, config)
    labels = choose_classes(boxes_to_labels(rows), classes, network.classes)
    with open_recording(recording, data.topic) as opened:
        # Decoders that learn the size from the stream know it behind the first chunk
        chunks = iter(opened)
        first = next((chunk for chunk in chunks if len(chunk)), None)
        if first is None:
            raise TrainingDataError(f'{recording}: holds no events; leave it out')
        size = opened.sensor_size or (first.height, first.width)
        if not all(size):
            size = default_sensor_size(network)
        histogram, writer = histogram_writer(
            network,
            size,
            source=recording.name,
            classes=network.classes,
            stride_ms=data.stride_ms,
            window_ms=data.window_ms,
            source_classes=classes,
            topic=opened.topic.strip('/'),
        )
        runs = [writer]
        timing = microseconds(data.window_ms, data.stride_ms, MAX_GAP_MS)
        cutter = WindowCutter(*timing, sensor_size=size)
        history = LabelHistory(labels, size, writer.info.downsample, data.stride_ms, times)
        times = labels['t'] if times is None else times
        aligned = _aligned(first, chunks, times, cutter)
        for window in cut_windows(recording, aligned, cutter):
            if window.reset and len(runs[-1]):
                runs.append(SequenceWriter(writer.info))
                history.restart()
            counts = histogram(window.parts).numpy()
            runs[-1].add(counts, window.t_end, len(window), history.at(window.t_end, counts))
        left_out = history.left_out(boxes)
        warnings = [*opened.warnings, *filter(None, [cutter.warning]), *left_out]
    _write(runs, target)
    return warnings


def _write(runs: list[SequenceWriter], target: Path) -> None:
    """Write the sequences of a recording, ``target`` last: that it is there says that all are."""
    name = target.name.removesuffix(SUFFIX)
    for earlier in target.parent.glob(f'{glob.escape(name)}, run [0-9]*{SUFFIX}'):
        earlier.unlink()
    *others, last = runs
    for number, run in enumerate(others, start=1):
        run.write(target.with_name(f'{name}, run {number}{SUFFIX}'))
    last.write(target)


def cut_windows(
    recording: Path, chunks: Iterable[EventChunk], cutter: WindowCutter
) -> Iterator[EventWindow]:
    """Yield all windows; a ``RecordingError`` if the sensor has another size."""
    try:
        for chunk in chunks:
            yield from cutter.cut(chunk)
        yield from cutter.finish()
    except EventFormatError as error:
        raise RecordingError(
            f'{recording}: {error}; "sast-ros transcode" writes it with --sensor-size'
        ) from error


def _aligned(
    first: EventChunk, rest: Iterable[EventChunk], times: np.ndarray, cutter: WindowCutter
) -> Iterator[EventChunk]:
    """Yield the events from where windows begin that end at the first of the labelled times."""
    begin = int(first.t[0])
    if len(times):
        ahead = int(times.min()) - cutter.duration_us - begin
        begin += ahead % cutter.stride_us
    begun = False
    for chunk in itertools.chain([first], rest):
        if not begun:  # only until then: time may jump back later on
            start = int(np.searchsorted(chunk.t, begin, 'left'))
            chunk = chunk[start:]
            begun = len(chunk) > 0
        yield chunk
