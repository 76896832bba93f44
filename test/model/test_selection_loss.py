# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The loss of the scores counts the tokens that it should, by what the selection compares."""

from __future__ import annotations

import pytest
from sast_ros.model import build_model
from sast_ros.model.selection import partition_order, selected, selection_margins
from sast_ros.model.selection_loss import selection_loss, token_targets, TokenTargets
import torch
from torch import Tensor

PART = (4, 5)


def scores_of(seed: int, size: tuple[int, int] = (8, 10)) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, size[0] * size[1], generator=generator).requires_grad_()


def loss_of(scores: Tensor, targets: TokenTargets, budget: float = 1.0):
    return selection_loss([scores], [targets], PART, 1e-3, [1.0], [budget])


def targets_of(seed: int, size: tuple[int, int] = (8, 10)) -> TokenTargets:
    drawn = torch.rand(2, *size, generator=torch.Generator().manual_seed(seed))
    return TokenTargets(drawn > 0.8, drawn < 0.6)


@pytest.mark.parametrize('seed', range(20))
@pytest.mark.parametrize('scale', [1e-3, 1.0, 30.0])
def test_margins_decide_as_the_selection(seed, scale):
    scores = scale * scores_of(seed)[:, partition_order('grid', 8, 10, PART, torch.device('cpu'))]
    tokens, partitions = selection_margins(scores, 1e-3)
    found = (tokens >= 0) & (partitions >= 0)[:, :, None]
    clear = (tokens.abs() > 1e-5) & (partitions.abs() > 1e-5)[:, :, None]
    assert clear.float().mean() > 0.9
    assert torch.equal(found[clear], selected(scores, 1e-3)[clear])


def test_tokens_of_objects_have_events_and_others_touch_no_box():
    histograms = torch.zeros(1, 20, 64, 64, dtype=torch.uint8)
    histograms[0, 3, 8:24, 8:20] = 1
    histograms[0, 17, 50, 50] = 2
    # x 6 to 30, y 8 to 32; events in part of it
    labels = torch.tensor([[[1.0, 18, 20, 24, 24], [0, 0, 0, 0, 0]]])
    ignored = torch.tensor([[[40.0, 40, 56, 49], [0, 0, 0, 0]]])
    stage = token_targets(histograms, labels, ignored)
    objects = torch.zeros(16, 16, dtype=torch.bool)
    objects[2:6, 2:5] = True
    others = torch.ones(16, 16, dtype=torch.bool)
    others[2:8, 1:8] = False
    others[10:13, 10:14] = False
    assert torch.equal(stage[0].objects[0], objects)
    assert torch.equal(stage[0].others[0], others)
    assert [t.objects.shape[1] for t in stage] == [16, 8, 4, 2]
    # At stride 32 the box covers 3/4 x 3/4 of a token, which has events
    assert stage[3].objects[0].tolist() == [[True, False], [False, False]]
    assert stage[3].others[0].tolist() == [[False, True], [True, False]]


def test_a_box_smaller_than_half_a_token_has_the_one_around_its_centre():
    histograms = torch.ones(1, 20, 64, 64, dtype=torch.uint8)
    stage = token_targets(histograms, torch.tensor([[[0.0, 32.5, 20, 3, 6]]]))
    assert stage[3].objects[0].tolist() == [[False, True], [False, False]]
    assert stage[3].others[0].tolist() == [[False, False], [True, True]]


@pytest.mark.parametrize('seed', range(10))
def test_scores_that_do_not_count_have_no_gradient(seed):
    scores, targets = scores_of(seed), targets_of(seed + 100)
    loss_of(scores, targets, budget=0.1).total.backward()
    counted = (targets.objects | targets.others).flatten(1)
    assert (scores.grad[~counted] == 0).all()
    assert scores.grad[targets.objects.flatten(1)].mean() < 0
    assert scores.grad[targets.others.flatten(1)].mean() > 0


def test_the_budget_has_a_weight():
    scores, targets = scores_of(1), targets_of(101)
    losses = [
        selection_loss([scores], [targets], PART, 1e-3, [1.0], [0.1], weight)
        for weight in (0.0, 1.0, 6.0)
    ]
    assert losses[0].budget > 0
    for loss, weight in zip(losses, (0.0, 1.0, 6.0)):
        torch.testing.assert_close(loss.total, loss.contrast + weight * loss.budget)


def test_without_labels_only_the_budget_counts():
    scores, targets = scores_of(0), targets_of(1)
    targets.objects[:] = False
    assert loss_of(scores, targets).total == 0
    targets.others[:] = True
    found = loss_of(scores, targets, budget=0.05)
    assert found.contrast == 0 and found.budget > 0.05
    assert found.budget.item() == pytest.approx(found.kept_outside[0].item() - 0.05, abs=1e-6)
    targets.others[:] = False
    ignored = loss_of(scores, targets, budget=0.05)
    ignored.total.backward()
    assert ignored.total == 0 and (scores.grad == 0).all()


def test_the_budget_never_costs_an_object():
    scores, targets = scores_of(2), targets_of(3)
    targets.others[:] = False
    assert loss_of(scores, targets, budget=0.01).budget == 0


def test_the_network_returns_the_scores_that_it_selects_by():
    torch.manual_seed(0)
    model = build_model('gen1-tiny')
    histograms = torch.randint(0, 3, (1, 2, 20, 240, 304), dtype=torch.uint8)
    output = model.forward_windows(histograms)
    for stage, (scores, (by_window, by_grid)) in enumerate(zip(output.scores, output.selections)):
        assert scores.shape == (2, by_window.order.numel()) and scores.requires_grad, stage
        for selection in (by_window, by_grid):
            expected = selected(scores[:, selection.order], model.config.bounce)
            assert torch.equal(selection.mask, expected), stage
