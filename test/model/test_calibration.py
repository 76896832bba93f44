# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Calibrated scores: monotone, inside the file, and the same wherever boxes are found."""

from __future__ import annotations

import json

from facts import facts
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sast_ros.detector import Detections, StreamingDetector
from sast_ros.errors import SettingError
from sast_ros.model import (
    add_calibration,
    Calibration,
    CheckpointError,
    load_model,
    SAST,
    save_model,
    untrained_model,
)
from sast_ros.model.inference.engine import Engine, IMPLEMENTATIONS
import torch

#: Of two classes that change their order.
CALIBRATION = Calibration(0.7, 1.6, (2.5, -1.0))

slopes = st.floats(0.05, 20)
offsets = st.floats(-10, 10)
shares = st.floats(0, 1, width=32)


@pytest.fixture(scope='module')
def model() -> SAST:
    return untrained_model('gen1-tiny', seed=1)


def calibrated(model: SAST, calibration: Calibration | None = CALIBRATION) -> SAST:
    """Return the network with a calibration, which shares the weights."""
    other = untrained_model('gen1-tiny', seed=1)
    other.load_state_dict(model.state_dict())
    other.calibration = calibration
    return other


def histogram(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * (torch.rand(20, 240, 304, generator=generator) < 0.02).byte()


def test_scores_follow_the_curve_with_the_offset_of_the_class():
    scores = CALIBRATION(np.array([0.2, 0.2], np.float32), np.array([0, 1]))
    odds = 0.7 * np.log(0.2) - 1.6 * np.log(0.8)
    np.testing.assert_allclose(scores, 1 / (1 + np.exp([-odds - 2.5, -odds + 1])), rtol=1e-6)
    assert scores.dtype == np.float32
    raw = np.linspace(0, 1, 99, dtype=np.float32)
    np.testing.assert_allclose(Calibration(1.0, 1.0, (0.0,))(raw, np.zeros(99, int)), raw, 1e-6)


@given(low=slopes, high=slopes, offset=offsets, scores=st.lists(shares, min_size=1))
def test_scores_of_a_class_keep_their_order_and_range(low, high, offset, scores):
    before = np.sort(np.array(scores, np.float32))
    after = Calibration(low, high, (0.0, offset))(before, np.ones(len(scores), np.int64))
    assert (np.diff(after) >= 0).all()
    assert ((after >= 0) & (after <= 1)).all()
    assert (after[before == 0] == 0).all() and (after[before == 1] == 1).all()


@given(
    low=slopes,
    high=slopes,
    values=st.lists(offsets, min_size=1, max_size=3),
    score=shares,
    threshold=st.floats(0, 1),
)
def test_no_score_below_the_lowest_raw_one_reaches_the_threshold(
    low, high, values, score, threshold
):
    calibration = Calibration(low, high, tuple(values))
    every = calibration(np.full(len(values), score, np.float32), np.arange(len(values)))
    if np.float32(score) < np.float32(calibration.lowest_raw(threshold)):
        assert (every < np.float32(threshold)).all()


@pytest.mark.parametrize(
    ('low', 'high', 'offsets', 'named'),
    [
        (0.0, 1.0, (0.0,), 'low is 0.0'),
        (1.0, float('nan'), (0.0,), 'high is nan'),
        ('1', 1.0, (0.0,), 'low'),
        (True, 1.0, (0.0,), 'low'),
        (1.0, 1.0, (float('inf'),), 'offsets'),
        (1.0, 1.0, (), 'offsets'),
        (1.0, 1.0, 0.0, 'offsets'),
    ],
)
def test_impossible_values_are_refused(low, high, offsets, named):
    with pytest.raises(SettingError, match=named):
        Calibration(low, high, offsets)


def by_hand(raw: Detections, threshold: float, most: int | None = None) -> Detections:
    """Return what the detections without calibration become, all of them given."""
    scores = CALIBRATION(raw.scores, raw.class_ids)
    order = np.argsort(-scores, kind='stable')
    order = order[scores[order] >= np.float32(threshold)][:most]
    names = ('boxes', 'class_ids', 'objectness', 'class_scores')
    return Detections(
        scores=scores[order],
        **{name: getattr(raw, name)[order] for name in names},
        class_names=raw.class_names,
        width=raw.width,
        height=raw.height,
    )


@pytest.mark.parametrize('implementation', IMPLEMENTATIONS)
def test_boxes_stay_and_the_threshold_is_one_of_calibrated_scores(model, implementation):
    """In every engine: within a class nothing changes but the scores and where they end."""

    def run(calibration: Calibration | None, threshold: float) -> Detections:
        detector = StreamingDetector(calibrated(model, calibration), threshold)
        detector.engine = Engine(model, implementation)
        detector.step(histogram(0))
        return detector.step(histogram(1))

    raw = run(None, 0.0)
    threshold = float(np.quantile(CALIBRATION(raw.scores, raw.class_ids), 0.7))
    found, expected = run(CALIBRATION, threshold), by_hand(raw, threshold)
    assert 20 < len(found) < len(raw) and len(set(found.class_ids)) == 2
    for name in ('boxes', 'scores', 'class_ids', 'objectness', 'class_scores'):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert (np.diff(found.scores) <= 0).all() and found.scores.min() >= threshold
    assert (np.diff(found.objectness * found.class_scores) > 0).any()  # classes changed places


def test_the_best_calibrated_detections_are_kept(model):
    detector = StreamingDetector(calibrated(model), 0.0, max_detections=9)
    raw = StreamingDetector(model, 0.0).step(histogram(0))
    expected = by_hand(raw, 0.0, 9)
    np.testing.assert_array_equal(detector.step(histogram(0)).boxes, expected.boxes)
    detector.reset()
    detector.calibration = None
    np.testing.assert_array_equal(detector.step(histogram(0)).scores, raw.scores[:9])


def test_weights_without_calibration_are_written_and_read_as_before(model, tmp_path):
    save_model(model, tmp_path / 'a.safetensors')
    with safe_open(tmp_path / 'a.safetensors', 'pt') as file:
        assert not any('calibration' in key for key in file.metadata())
    assert load_model(tmp_path / 'a.safetensors').calibration is None


@pytest.mark.parametrize('half', [False, True])
def test_calibration_is_in_the_file_and_the_tensors_stay(model, tmp_path, half):
    source, target = tmp_path / 'a.safetensors', tmp_path / 'b.safetensors'
    save_model(model, source, half=half, metadata={'author': 'someone'})
    add_calibration(source, target, CALIBRATION)
    assert load_model(target).calibration == CALIBRATION
    before, after = load_file(source), load_file(target)
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    with safe_open(source, 'pt') as first, safe_open(target, 'pt') as second:
        assert first.metadata().items() < second.metadata().items()
    save_model(load_model(target), tmp_path / 'c.safetensors')
    assert load_model(tmp_path / 'c.safetensors').calibration == CALIBRATION
    add_calibration(target, target, None)
    with safe_open(source, 'pt') as first, safe_open(target, 'pt') as second:
        assert first.metadata() == second.metadata()


def edit(path, **changes: str) -> None:
    with safe_open(path, 'pt') as file:
        metadata = file.metadata()
    save_file(
        load_file(path), path, {**metadata, **{f'sast_ros.{k}': changes[k] for k in changes}}
    )


def test_damaged_calibrations_and_those_of_other_weights_are_refused(model, tmp_path):
    path, other = tmp_path / 'a.safetensors', tmp_path / 'b.safetensors'
    save_model(calibrated(model), path)
    block = json.dumps({'low': 1.0, 'high': 1.0, 'offsets': [3.0, 0.0]})
    edit(path, calibration=block)
    with pytest.raises(CheckpointError, match=facts('a.safetensors', 'sast-ros calibrate')):
        load_model(path)
    save_model(untrained_model('gen1-tiny', seed=2), other)
    save_model(calibrated(model), path)
    with safe_open(path, 'pt') as file:
        stolen = file.metadata()
    names = ('calibration', 'calibration_sha256')
    edit(other, **{name: stolen[f'sast_ros.{name}'] for name in names})
    with pytest.raises(CheckpointError, match=facts('b.safetensors', 'not that of these tensors')):
        load_model(other)


@pytest.mark.parametrize(
    'calibration', [Calibration(1.0, 1.0, (0.0,)), Calibration(1.0, 1.0, (0.0,) * 3)]
)
def test_a_calibration_of_other_classes_is_not_written(model, tmp_path, calibration):
    path = tmp_path / 'a.safetensors'
    save_model(model, path)
    with pytest.raises(CheckpointError, match=facts('a.safetensors', len(calibration.offsets), 2)):
        add_calibration(path, tmp_path / 'b.safetensors', calibration)
    assert not (tmp_path / 'b.safetensors').exists()
