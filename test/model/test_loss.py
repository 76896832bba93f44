# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Regions where the loss asks for nothing, and the assignment on few anchors."""

from __future__ import annotations

import pytest
from sast_ros.model import detection_loss
from sast_ros.model.head import anchor_grid
import torch

SIZE = (256, 320)
ANCHORS = 1680


def random_head(seed: int = 0, batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, ANCHORS, 8, generator=generator).requires_grad_()


def centres() -> torch.Tensor:
    cell, stride = anchor_grid(*SIZE, torch.device('cpu'))
    return (cell + 0.5) * stride


def test_nothing_to_ignore_is_the_loss_as_it_was():
    head = random_head()
    labels = torch.tensor([[[2, 100.0, 90, 60, 40]], [[1, 220, 150, 20, 50]]])
    plain = detection_loss(head, labels, SIZE).total
    for ignore in (None, torch.zeros(2, 0, 4), torch.zeros(2, 3, 4)):
        assert torch.equal(detection_loss(head, labels, SIZE, ignore).total, plain)


def test_anchors_in_an_ignored_region_learn_nothing_unless_they_have_an_object():
    head = random_head()
    labels = torch.tensor([[[2, 100.0, 90, 60, 40]], [[0, 0, 0, 0, 0]]])
    ignore = torch.zeros(2, 2, 4)
    ignore[0, 0] = torch.tensor([50, 50, 200, 130])  # around the object
    ignore[1, 1] = torch.tensor([0, 0, 64, 256])
    plain = torch.autograd.grad(detection_loss(head, labels, SIZE).total, head)[0]
    found = torch.autograd.grad(detection_loss(head, labels, SIZE, ignore).total, head)[0]
    x, y = centres().T
    inside = torch.stack([(x >= 50) & (x < 200) & (y >= 50) & (y < 130), x < 64])
    positive = (plain[..., 5:] != 0).any(dim=-1)  # only those with an object have classes
    assert positive[0].any() and not positive[1].any()
    assert (found[..., 4] == 0)[inside & ~positive].all()
    kept = ~inside | positive
    assert torch.equal(found[kept], plain[kept])


@pytest.mark.parametrize('seed', range(5))
def test_only_anchors_near_an_object_become_responsible(seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(2, 4, 5, generator=generator)
    labels *= torch.tensor([2.99, 320, 256, 120, 120])
    labels[..., 0].floor_()
    labels[..., 3:] += 4
    head = random_head(seed)
    loss = detection_loss(head, labels, SIZE)
    gradient = torch.autograd.grad(loss.total, head)[0]
    _, stride = anchor_grid(*SIZE, torch.device('cpu'))
    distance = (labels[:, :, None, 1:3] - centres()).abs().amax(dim=-1)
    near = (distance < 1.5 * stride[:, 0]).any(dim=1)
    assert not (gradient[..., 5:].abs().sum(dim=-1) > 0)[~near].any()
    assert loss.positives_per_object >= 0.75  # an anchor may serve one of several only
