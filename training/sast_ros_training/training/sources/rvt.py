"""
Data sets that RVT has preprocessed, as training sequences.

A sequence is a folder with ``labels_v2/labels.npz`` (``labels``, boxes of the Prophesee layout,
and ``objframe_idx_2_label_idx``, the first label of each labelled frame) and, in a folder below
``event_representations_v2``, one ``event_representations*.h5`` (time x channels x height x width,
uint8), ``timestamps_us.npy`` and ``objframe_idx_2_repr_idx.npy``, the histogram of each labelled
frame. Source: what its authors say in https://github.com/uzh-rpg/RVT/issues/22.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sast_ros.model.config import ModelConfig
from sast_ros_training.training.cache import SequenceInfo, SequenceWriter
from sast_ros_training.training.errors import TrainingDataError
from sast_ros_training.training.sources.recordings import choose_classes, label_rows, LabelHistory

_HISTOGRAMS = 'event_representations_v2/*/event_representations*.h5'


def find_sequences(folder: Path) -> list[Path]:
    """Return the folders of the sequences of ``train`` or ``val``."""
    return sorted({path.parents[2] for path in folder.glob(f'*/{_HISTOGRAMS}')})


def convert_sequence(
    folder: Path, target: Path, *, config: ModelConfig, given: Sequence[str], stride_ms: float
) -> None:
    """
    Write a preprocessed sequence into the cache; see ``convert_recording``.

    Labels of halved histograms (``..._ds2_nearest.h5``) are taken to be in halved pixels, too.

    Raises
    ------
    TrainingDataError: a file is missing or of another layout, or h5py or hdf5plugin is not
        installed.

    """
    try:
        import h5py
        import hdf5plugin  # noqa: F401 - registers the compression
    except ImportError as error:
        raise TrainingDataError(
            f'{folder}: reading RVT data needs {error.name}, which is not installed; pip install '
            'h5py hdf5plugin'
        ) from error
    histograms = sorted(folder.glob(_HISTOGRAMS))[0]
    try:
        with np.load(folder / 'labels_v2' / 'labels.npz') as stored:
            labels = label_rows(stored['labels'], str(folder / 'labels_v2' / 'labels.npz'))
            first_label = stored['objframe_idx_2_label_idx'].astype(np.int64)
        times = np.load(histograms.parent / 'timestamps_us.npy').astype(np.int64)
        frame_window = np.load(histograms.parent / 'objframe_idx_2_repr_idx.npy').astype(np.int64)
        with h5py.File(histograms, 'r') as file:
            data = file['data']
            _convert(
                folder, target, config, given, stride_ms, data, times, labels, first_label,
                frame_window,
            )  # fmt: skip
    except (OSError, KeyError, ValueError) as error:
        raise TrainingDataError(
            f'{folder}: is no sequence as RVT prepares it ({error}); prepare it again'
        ) from error


def _convert(
    folder: Path,
    target: Path,
    config: ModelConfig,
    given: Sequence[str],
    stride_ms: float,
    data: Any,
    times: np.ndarray,
    labels: np.ndarray,
    first_label: np.ndarray,
    frame_window: np.ndarray,
) -> None:
    shape = tuple(data.shape[1:])
    # The boxes are in the pixels of the histograms, so these stand for the sensor
    info = SequenceInfo(folder.name, config.classes, shape[1:], 1, shape, '', stride_ms)
    writer = SequenceWriter(info)
    ends = np.append(first_label[1:], len(labels))
    for first, end, window in zip(first_label, ends, frame_window):
        labels['t'][first:end] = times[window]
    labels = choose_classes(labels, given, config.classes)
    noted = LabelHistory(labels, shape[1:], 1, round(1000 * stride_ms))
    for window, t_end in enumerate(times.tolist()):
        counts = np.ascontiguousarray(data[window])
        writer.add(counts, t_end, int(counts.sum()), noted.at(t_end, counts))
    writer.write(target)
