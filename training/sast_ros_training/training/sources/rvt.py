# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Data sets that RVT has preprocessed, as training sequences.

A sequence is a folder with ``labels_v2/labels.npz`` (``labels``, boxes of the Prophesee layout,
and ``objframe_idx_2_label_idx``, the first label of each labelled frame) and, in a folder below
``event_representations_v2``, one ``event_representations*.h5`` (time x channels x height x width,
uint8), ``timestamps_us.npy`` and ``objframe_idx_2_repr_idx.npy``, the histogram of each labelled
frame. Source: its authors in https://github.com/uzh-rpg/RVT/issues/22.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
import zipfile

import numpy as np
from sast_ros.bags import RecordingError
from sast_ros.bags.hdf5_process import Hdf5Process
from sast_ros.evaluation.boxes import box_rows, map_array, read_member, reading
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.events.chunk import refuse_sensor_size
from sast_ros_training.training.cache import SequenceInfo, SequenceWriter
from sast_ros_training.training.config import TrainingConfig
from sast_ros_training.training.errors import TrainingConfigError, TrainingDataError
from sast_ros_training.training.sources.labels import (
    boxes_to_labels,
    choose_classes,
    label_classes,
    LabelHistory,
)

_ADVICE = 'prepare the sequence again'

_HISTOGRAMS = 'event_representations_v2/*/event_representations*.h5'


def find_sequences(folder: Path) -> list[Path]:
    """Return the folders of the sequences of ``train`` or ``val``."""
    return sorted({path.parents[2] for path in folder.glob(f'*/{_HISTOGRAMS}')})


def convert_sequence(folder: Path, target: Path, config: TrainingConfig) -> list[str]:
    """
    Write a preprocessed sequence into the cache; see ``convert_recording``.

    Labels of halved histograms (``..._ds2_nearest.h5``) are taken to be in halved pixels, too.

    Raises
    ------
    TrainingDataError
        A file is missing or of another layout, or h5py or hdf5plugin is not installed.

    """
    histograms = sorted(folder.glob(_HISTOGRAMS))[0]
    boxes = folder / 'labels_v2' / 'labels.npz'
    try:
        times = _integers(histograms.parent / 'timestamps_us.npy')
        frame_window = _integers(histograms.parent / 'objframe_idx_2_repr_idx.npy')
        with reading(boxes, _ADVICE), zipfile.ZipFile(boxes) as stored:
            rows = read_member(stored, 'labels.npy', boxes)
            labels = boxes_to_labels(box_rows(rows, str(boxes)))
            first_label = read_member(stored, 'objframe_idx_2_label_idx.npy', boxes)
            first_label = first_label.astype(np.int64)
        for first, end, window in zip(
            first_label, np.append(first_label[1:], len(labels)), frame_window
        ):
            labels['t'][first:end] = times[window]
        with contextlib.closing(Hdf5Process(histograms, 'RowsFile', 'data')) as file:
            shape = _checked_shape(file, histograms, config)
            writer, history = _read_windows(file, shape, times, labels, folder, config)
            left_out = history.left_out(boxes)
    except (TrainingConfigError, TrainingDataError):
        raise
    except RecordingError as error:
        raise TrainingDataError(str(error)) from error
    except EvaluationError as error:
        raise TrainingDataError(f'{folder}: {error}') from error
    except (OSError, KeyError, IndexError, ValueError, TypeError, MemoryError) as error:
        raise TrainingDataError(
            f'{folder}: is not a sequence as RVT prepares it ({error}); prepare it again'
        ) from error
    writer.write(target)
    return left_out


def _integers(path: Path) -> np.ndarray:
    with reading(path, _ADVICE):
        return map_array(path).astype(np.int64)


def _checked_shape(
    file: Hdf5Process, path: Path, config: TrainingConfig
) -> tuple[int, int, int, int]:
    """Return the shape of the histograms; refuse what the network cannot take."""
    shape, dtype = file.description['shape'], file.description['dtype']
    if len(shape) != 4 or dtype != 'uint8':
        raise TrainingDataError(
            f'{path}: its histograms are {dtype}{shape}; they must be uint8[time, channels, '
            'height, width]'
        )
    channels = config.network().channels
    if shape[1] != channels:
        raise TrainingDataError(
            f'{path}: its histograms have {shape[1]} channels, not the {channels} of the '
            f'network; prepare the data with {channels // 2} time bins'
        )
    if refuse_sensor_size(*shape[2:]):
        raise TrainingDataError(
            f'{path}: its histograms are {shape[3]}x{shape[2]} cells, which no event sensor has'
        )
    return (shape[0], shape[1], shape[2], shape[3])


def _read_windows(
    file: Hdf5Process,
    stored: tuple[int, int, int, int],
    times: np.ndarray,
    labels: np.ndarray,
    folder: Path,
    config: TrainingConfig,
) -> tuple[SequenceWriter, LabelHistory]:
    total, shape, stride_ms = stored[0], stored[1:], config.data.stride_ms
    file.reserve(math.prod(shape))
    classes = config.model.classes
    # The boxes are in the pixels of the histograms, so these stand for the sensor
    window_ms, given = config.data.window_ms, label_classes(folder, config)
    info = SequenceInfo(folder.name, classes, shape[1:], 1, shape, '', stride_ms, window_ms, given)
    writer = SequenceWriter(info)
    labels = choose_classes(labels, given, classes)
    history = LabelHistory(labels, shape[1:], 1, stride_ms)
    if len(times) > total:
        raise IndexError(f'{len(times)} times of {total} histograms')
    for window, t_end in enumerate(times.tolist()):
        following = (window + 1, window + 2) if window + 1 < len(times) else None
        ((counts,),) = file.read(window, window + 1, following)
        writer.add(counts, t_end, int(counts.sum()), history.at(t_end, counts))
    return writer, history
