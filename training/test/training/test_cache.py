# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Sequences of the cache come back as they were."""

from __future__ import annotations

from dataclasses import asdict, replace
import json

from moving_boxes import CLASSES, window, write_sequence
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from sast_ros.histogram import StackedHistogram
from sast_ros.model import model_config
from sast_ros_training.training.cache import (
    CachedSequence,
    list_sequences,
    SequenceInfo,
    SequenceWriter,
)
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


def changed(path, tensors=None, **info):
    """Rewrite a sequence with other tensors or another description."""
    with safe_open(path, framework='np') as file:
        before = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        key, text = next(iter(file.metadata().items()))
    content = {
        **before,
        **{name: change(before[name]) for name, change in (tensors or {}).items()},
    }
    save_file(content, path, {key: json.dumps({**json.loads(text), **info})})
    return path


@pytest.mark.parametrize(
    'tensors',
    [
        {'index': lambda a: a.astype(np.uint16)},
        {'index': lambda a: a.astype(np.int64)},
        {'index': lambda a: a[: a.size // 2 * 2].reshape(-1, 2)},
        {'index': lambda a: a[:-1]},
        {'count': lambda a: a.astype(np.uint32)},
        {'count': lambda a: a[: len(a) // 2]},
        {'offsets': lambda a: a * 2},
        {'offsets': lambda a: a[::-1].copy()},
        {'offsets': lambda a: a - 1},
        {'offsets': lambda a: a[:1]},
        {'offsets': lambda a: a.astype(np.float64)},
        {'t_end': lambda a: a[:-1]},
        {'t_end': lambda a: a.astype(np.float32)},
        {'labelled': lambda a: a.astype(np.uint8)},
        {'events': lambda a: a[:0]},
        {'label_offsets': lambda a: np.append(a[:-1], 10**9)},
        {'label_offsets': lambda a: np.append(a[:-1], -1)},
        {'label.class_id': lambda a: a + np.uint32(200)},
        {'label.class_id': lambda a: a.astype(np.int64)},
        {'label.x': lambda a: np.full_like(a, np.nan)},
        {'label.w': lambda a: a[:-1]},
    ],
)
def test_a_column_of_another_type_shape_or_content_is_refused(tmp_path, tensors):
    path = changed(write_sequence(tmp_path / 'a.safetensors', 3, windows=2), tensors)
    with pytest.raises(TrainingDataError, match=r'a\.safetensors: .*made again'):
        CachedSequence(path)


@pytest.mark.parametrize(
    'info',
    [
        {'shape': [20, 0, 0]},
        {'shape': [-20, 240, 304]},
        {'shape': [20, 240]},
        {'shape': [20.0, 240, 304]},
        {'shape': [20, 10**6, 10**6]},
        {'shape': [8000, 8000, 8000]},
        {'shape': 'abc'},
        {'sensor_size': [0, 304]},
        {'sensor_size': [240]},
        {'downsample': 0},
        {'downsample': True},
        {'stride_ms': 0},
        {'stride_ms': 'x'},
        {'window_ms': 0},
        {'window_ms': float('inf')},
        {'classes': [1, 2, 3]},
        {'source': None},
        {'source_classes': [1]},
    ],
)
def test_an_impossible_description_is_refused(tmp_path, info):
    path = changed(write_sequence(tmp_path / 'a.safetensors', 3, windows=1), **info)
    with pytest.raises(TrainingDataError, match=r'a\.safetensors: .*made again'):
        CachedSequence(path)


def test_a_cell_outside_the_histogram_is_refused(tmp_path):
    def outside(index):
        return np.append(index[:-1], np.uint32(20 * 240 * 304)).astype(np.uint32)

    path = changed(write_sequence(tmp_path / 'a.safetensors', 3, windows=1), {'index': outside})
    with pytest.raises(TrainingDataError, match=r'a\.safetensors: .*outside'):
        CachedSequence(path).dense(0)


def test_other_channels_than_those_of_the_network_are_refused(tmp_path):
    sequence = CachedSequence(write_sequence(tmp_path / 'a.safetensors', 3, windows=1))
    network = model_config('gen1-tiny', classes=CLASSES)
    sequence.require(network)
    with pytest.raises(TrainingDataError, match=r'a\.safetensors: .*20 channels, not the 10'):
        sequence.require(replace(network, bins=5))


def test_a_sequence_that_would_be_made_differently_is_refused(tmp_path):
    path = write_sequence(tmp_path / 'a.safetensors', 3, windows=1)
    network = model_config('gen1-tiny', classes=CLASSES)
    sequence = CachedSequence(changed(path, source_classes=['car', 'bus']))
    same = {'window_ms': 50, 'stride_ms': 50, 'source_classes': ('car', 'bus')}
    sequence.require_settings(network, **same)
    for name, wanted in (
        ('window_ms', 20),
        ('stride_ms', 12.5),
        ('source_classes', ('bus', 'car')),
    ):
        with pytest.raises(TrainingDataError, match=rf'a\.safetensors: .*data\.{name} now'):
            sequence.require_settings(network, **{**same, name: wanted})


def test_a_sequence_of_another_downsample_than_that_of_its_sensor_is_refused(tmp_path):
    path = write_sequence(tmp_path / 'a.safetensors', 3, windows=1, size=(480, 640))
    network = model_config('gen1-tiny', classes=CLASSES)
    with pytest.raises(TrainingDataError, match=r'downsample 1, but model\.name .* 2;'):
        CachedSequence(path).require_settings(network)
    CachedSequence(path).require_settings(model_config('1mpx-tiny', classes=CLASSES))


def test_classes_of_a_source_that_are_unknown_are_not_compared(tmp_path):
    sequence = CachedSequence(write_sequence(tmp_path / 'a.safetensors', 3, windows=1))
    network = model_config('gen1-tiny', classes=CLASSES)
    sequence.require_settings(network, source_classes=('bus',))
    older = {k: v for k, v in asdict(sequence.info).items() if k != 'source_classes'}
    assert SequenceInfo(**older) == sequence.info
