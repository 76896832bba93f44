# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Sequences of the cache come back as they were."""

from __future__ import annotations

from moving_boxes import CLASSES, window, write_sequence
import numpy as np
import pytest
from sast_ros.histogram import StackedHistogram
from sast_ros_training.training.cache import CachedSequence, list_sequences, SequenceWriter
from sast_ros_training.training.errors import TrainingDataError


def test_windows_and_labels_come_back(tmp_path):
    sequence = CachedSequence(write_sequence(tmp_path / 'a.safetensors', 3, windows=4))
    assert len(sequence) == 4
    assert sequence.info.classes == CLASSES
    assert sequence.info.motion == 'static'
    assert sequence.t_end.tolist() == [50_000, 100_000, 150_000, 200_000]
    for number in range(4):
        chunk, labels = window(3, number, 240, 304)
        np.testing.assert_array_equal(
            sequence.dense(number), StackedHistogram(240, 304)(chunk).numpy()
        )
        np.testing.assert_array_equal(sequence.labels(number), labels)
        assert sequence.events[number] == len(chunk)
        active = len(np.unique(chunk.y.astype(int) * 304 + chunk.x))
        assert sequence.active_share(number) == active / (240 * 304)


def test_an_empty_window_without_labels(tmp_path):
    info = CachedSequence(write_sequence(tmp_path / 'a.safetensors', 3, windows=1)).info
    writer = SequenceWriter(info)
    writer.add(np.zeros(info.shape, np.uint8), 50_000, 0, None)
    writer.write(tmp_path / 'b.safetensors')
    sequence = CachedSequence(tmp_path / 'b.safetensors')
    assert not sequence.labelled[0] and len(sequence.labels(0)) == 0
    assert not sequence.dense(0).any()


def test_the_same_windows_give_the_same_bytes_and_no_leftovers(tmp_path):
    first = write_sequence(tmp_path / 'a.safetensors', 3).read_bytes()
    assert write_sequence(tmp_path / 'a.safetensors', 3).read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ['a.safetensors']
    assert list_sequences(tmp_path) == [tmp_path / 'a.safetensors']


def test_a_damaged_file_is_named(tmp_path):
    path = write_sequence(tmp_path / 'a.safetensors', 3)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TrainingDataError, match=r'a\.safetensors: .*intact'):
        CachedSequence(path)


def test_another_shape_is_refused(tmp_path):
    info = CachedSequence(write_sequence(tmp_path / 'a.safetensors', 3, windows=1)).info
    with pytest.raises(ValueError, match='must be uint8'):
        SequenceWriter(info).add(np.zeros((20, 5, 5), np.uint8), 0, 0, None)
