# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Recordings as sequences of the training cache, without labels and then with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
import itertools
import os
from pathlib import Path
import shutil

import numpy as np
from sast_ros.bags import open_recording, Recording
from sast_ros.defaults import MAX_GAP_MS
from sast_ros.detector import StreamingDetector
from sast_ros.labels import MIN_VISIBILITY
from sast_ros.pipeline import default_sensor_size
from sast_ros.windows import microseconds, WindowCutter
from sast_ros_training.training.cache import (
    CachedSequence,
    histogram_writer,
    list_sequences,
    SequenceWriter,
    SUFFIX,
)
from sast_ros_training.training.config import TrainingConfig
from sast_ros_training.training.errors import TrainingDataError
from sast_ros_training.training.self_training.labelling import label_run, LabellingSettings, Run
from sast_ros_training.training.sources.labels import LabelHistory
from sast_ros_training.training.sources.recordings import cut_windows

#: Length of a sequence of the cache; memory does not grow with a recording.
_SEQUENCE_US = 3_000_000


def cut_recording(
    path: Path,
    folder: Path,
    config: TrainingConfig,
    topic: str | None = None,
    sensor_size: tuple[int, int] | None = None,
) -> list[str]:
    """
    Write the windows of a recording into a folder, as sequences without labels.

    ``SequenceInfo.source`` has the number of the run: what lies between two zero states. Returns
    sentences about what could not be read.

    Raises
    ------
    RecordingError
        The recording cannot be read, or its events lie outside the sensor.
    TrainingDataError
        It has no complete window.

    """
    part = folder.with_name(f'{folder.name}.part')
    shutil.rmtree(part, ignore_errors=True)
    count = 0
    try:
        with open_recording(path, topic) as recording:
            recording.given_size = sensor_size
            for count, writer in enumerate(_sequences(recording, config), start=1):
                writer.write(part / f'{count:06d}{SUFFIX}')
            warnings: list[str] = recording.summary()['warnings']
        if not count:
            raise TrainingDataError(
                f'{path}: has no complete window of {config.data.window_ms:g} ms; leave it out'
            )
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)  # unless it was renamed
    return warnings


def _sequences(recording: Recording, config: TrainingConfig) -> Iterator[SequenceWriter]:
    network, data = config.network(), config.data
    size = recording.given_size or recording.sensor_size or default_sensor_size(network)
    length = max(1, round(_SEQUENCE_US / (1000 * data.stride_ms)))
    run, writer = 0, None
    times = microseconds(data.window_ms, data.stride_ms, MAX_GAP_MS)
    cutter = WindowCutter(*times, sensor_size=size)
    for window in cut_windows(recording.path, recording, cutter):
        if writer is None or window.reset or len(writer) == length:
            if writer is not None:
                yield writer
            run += window.reset is not None
            histogram, writer = histogram_writer(
                network,
                (window.height, window.width),
                source=f'{recording.path.name}, run {run}',
                classes=network.classes,
                stride_ms=data.stride_ms,
                window_ms=data.window_ms,
            )
        writer.add(histogram(window.parts).numpy(), window.t_end, len(window), None)
    if writer is not None:
        yield writer


def label_recording(
    source: Path, target: Path, name: str, detector: StreamingDetector, settings: LabellingSettings
) -> Counter[str]:
    """
    Write the sequences of ``cut_recording`` into the folder ``target`` with labels.

    Returns the numbers of ``windows``, ``targets``, ``tracks`` with any, and ``ignored`` boxes.
    """
    totals: Counter[str] = Counter()
    sequences = (CachedSequence(path) for path in list_sequences(source))
    for _, group in itertools.groupby(sequences, lambda sequence: sequence.info.source):
        run = Run(list(group))
        labels = label_run(detector, run, settings)
        everything = np.concatenate(labels)
        info = run.info
        # Nothing to see is a fact as well: all windows are labelled
        history = LabelHistory(
            everything, info.sensor_size, info.downsample, info.stride_ms, run.t_end
        )
        seen = everything['visibility'] >= MIN_VISIBILITY
        totals.update(
            windows=len(run),
            targets=int(seen.sum()),
            tracks=len(np.unique(everything['track_id'][seen])),
            ignored=int((~seen).sum()),
        )
        for path in run.paths:
            sequence = CachedSequence(path)
            writer = SequenceWriter(info)
            for window, t_end in enumerate(sequence.t_end.tolist()):
                counts = sequence.dense(window)
                events = int(sequence.events[window])
                writer.add(counts, t_end, events, history.at(t_end, counts))
            writer.write(target / f'{name}_{path.name}')
    return totals
