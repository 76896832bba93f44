# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The loss on scores moves what is selected, and steps select as the configuration says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from moving_boxes import CLASSES
import pytest
from sast_ros.model import build_model, detection_loss, SAST
from sast_ros.model.selection_loss import selection_loss, SelectionLoss, token_targets
from sast_ros_training.training.config import SelectionConfig, TrainingConfig
from sast_ros_training.training.config_file import parse_config
from sast_ros_training.training.errors import TrainingConfigError
from sast_ros_training.training.hardware import attention_backend
from sast_ros_training.training.module import DetectionTraining
from sast_ros_training.training.selection import allowed_shares, draw_selection
from sast_ros_training.training.streams import Batch, StreamLoader
import torch


@pytest.fixture(autouse=True)
def random() -> None:
    torch.manual_seed(0)


@pytest.fixture
def batch(cache: Path) -> Batch:
    content = {'data': {'kind': 'cache', 'cache': str(cache)}, 'streams': {'streams': 2}}
    config = parse_config(content, 'x')
    return StreamLoader(cache / 'train', config, 0, 1).next_batch()


def loss_of(model: SAST, batch: Batch, budget: float) -> SelectionLoss:
    output = model.forward_windows(batch.histograms)
    targets = token_targets(batch.histograms.flatten(0, 1), batch.labels, batch.ignored)
    part = model.config.partitions(output.input_size)
    return selection_loss(output.scores, targets, part, 1e-3, (1.0,) * 4, (budget,) * 4)


def learned(model: SAST, batch: Batch, budget: float) -> tuple[SelectionLoss, SelectionLoss]:
    """Return the loss before and after some steps on one batch."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    before = loss = loss_of(model, batch, budget)
    for _ in range(12):
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        loss = loss_of(model, batch, budget)
    return before, loss


def test_a_few_steps_select_objects_rather_than_the_rest(batch):
    before, after = learned(build_model('gen1-tiny'), batch, budget=1.0)
    assert after.total < 0.6 * before.total
    ratios = after.kept_inside / after.kept_outside, before.kept_inside / before.kept_outside
    # Three stages are enough: from random weights the last one still takes all of its few tokens
    assert (ratios[0] > 1.5 * ratios[1])[:3].all()
    assert (after.kept_inside[:3] > before.kept_inside[:3]).all()
    assert (after.kept_outside[:2] < before.kept_outside[:2]).all()


def test_a_budget_lowers_what_is_selected_where_nothing_is(batch):
    batch = replace(batch, labels=batch.labels[:, :0], ignored=batch.ignored[:, :0])
    before, after = learned(build_model('gen1-tiny'), batch, budget=0.1)
    assert before.contrast == after.contrast == 0
    assert (after.kept_outside < 0.85 * before.kept_outside).all()
    assert after.budget < 0.7 * before.budget


def test_without_its_weight_loss_and_gradients_are_those_of_the_detections(cache, batch):
    config = parse_config({'data': {'kind': 'cache', 'cache': str(cache)}}, 'x')
    training = DetectionTraining(build_model('gen1-tiny', classes=CLASSES), config)
    with attention_backend():
        output = training.model.forward_windows(batch.histograms)
    assert len(batch.labelled) == len(output.head)
    expected = detection_loss(output.head, batch.labels, output.input_size, batch.ignored).total
    expected.backward()
    gradients = {name: weight.grad.clone() for name, weight in training.model.named_parameters()}
    training.model.zero_grad()
    found = training.training_step(batch, 0)
    found.backward()
    assert torch.equal(found, expected)
    for name, weight in training.model.named_parameters():
        assert torch.equal(weight.grad, gradients[name]), name


def steps(config: TrainingConfig, count: int) -> list[tuple[str, float]]:
    model, found = build_model('gen1-tiny'), []
    for step in range(count):
        published = draw_selection(config, step, model)
        found.append((model.control.mode, model.control.amp / model.config.amp))
        assert published == (found[-1] == ('adaptive', 1.0))
    return found


def test_steps_share_the_selections_and_depend_on_the_seed_alone():
    settings = SelectionConfig(dense_share=0.2, budget_share=0.3, budget_most=30)
    config = TrainingConfig(selection=settings)
    found = steps(config, 600)
    assert found == steps(config, 600) != steps(replace(config, seed=2), 600)
    dense = [step for step in found if step[0] == 'dense']
    fewer = [factor for mode, factor in found if mode == 'adaptive' and factor > 1]
    assert len(dense) == pytest.approx(120, abs=30)
    assert len(fewer) == pytest.approx(180, abs=36)
    assert 1 < min(fewer) < 2 < 15 < max(fewer) < 30
    assert set(steps(TrainingConfig(), 50)) == {('adaptive', 1.0)}


def test_the_budget_falls_from_all_tokens_to_its_end_and_stays_there():
    settings = SelectionConfig(budget=(0.25, 0.4, 0.6, 1.0), anneal=0.5)
    assert allowed_shares(settings, 0.0) == [1, 1, 1, 1]
    assert allowed_shares(settings, 0.25)[0] == pytest.approx(0.5)
    for progress in (0.5, 0.8, 1.2):
        assert allowed_shares(settings, progress) == [0.25, 0.4, 0.6, 1.0]
    assert allowed_shares(replace(settings, anneal=0.0), 0.0)[0] == 0.25


@pytest.mark.parametrize(('dense', 'fewer'), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
def test_every_weight_has_a_gradient_whatever_is_selected(cache, batch, dense, fewer):
    """Processes that train together wait for the gradients of all weights."""
    content = {
        'data': {'kind': 'cache', 'cache': str(cache)},
        'selection': {'loss_weight': 1, 'dense_share': dense, 'budget_share': fewer},
    }
    training = DetectionTraining(
        build_model('gen1-tiny', classes=CLASSES), parse_config(content, 'x')
    )
    training.training_step(batch, 0).backward()
    assert all(weight.grad is not None for weight in training.model.parameters())
    losses = training.take_losses()
    assert ('selection' in losses) == (dense == fewer == 0)


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('stages', [1, 1, -1, 1]),
        ('budget', [0.2, 0.3, 0, 1]),
        ('budget', [0.2, 0.3, 1.5, 1]),
        ('budget', [0.2]),
        ('budget_share', 0.9),
        ('anneal', 2),
    ],
)
def test_mistakes_are_named(key, value):
    with pytest.raises(TrainingConfigError, match=f'selection.{key}'):
        parse_config({'selection': {'dense_share': 0.2, key: value}}, 'x')
