# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Regions where the loss asks for nothing, the assignment on few anchors, and the divisor."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

import pytest
from sast_ros.model import detection_loss
from sast_ros.model.head import anchor_grid
import torch
import torch.distributed as distributed

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
    gradient = torch.autograd.grad(detection_loss(head, labels, SIZE).total, head)[0]
    _, stride = anchor_grid(*SIZE, torch.device('cpu'))
    distance = (labels[:, :, None, 1:3] - centres()).abs().amax(dim=-1)
    near = (distance < 1.5 * stride[:, 0]).any(dim=1)
    positive = gradient[..., 5:].abs().sum(dim=-1) > 0
    assert not positive[~near].any()
    assert positive.sum() >= 0.75 * 8  # an anchor may serve one of several objects only


def test_the_score_term_is_the_cross_entropy_of_objectness_times_class():
    head = random_head()
    labels = torch.tensor([[[2, 100.0, 90, 60, 40]], [[1, 220, 150, 20, 50]]])
    ignore = torch.zeros(2, 1, 4)
    ignore[0, 0] = torch.tensor([50, 50, 320, 130])
    plain = detection_loss(head, labels, SIZE, ignore)
    found = detection_loss(head, labels, SIZE, ignore, score_weight=0.5)
    assert float(plain.scores) == 0
    assert torch.equal(found.total, plain.total + 0.5 * found.scores)
    # The overlap is what the gradient of the published terms draws the classes to
    gradient = torch.autograd.grad(plain.classes, head, retain_graph=True)[0][..., 5:]
    positive = (gradient != 0).any(dim=-1)
    count = max(int(positive.sum()), 2)
    target = torch.where(
        positive[..., None], head[..., 5:].sigmoid() - gradient * count, torch.zeros(())
    ).double()
    x, y = centres().T
    counted = positive.clone()
    counted[0] |= ~((x >= 50) & (y >= 50) & (y < 130))
    counted[1] = True
    score = (head[..., 4:5].double().sigmoid() * head[..., 5:].double().sigmoid())[counted]
    target = target[counted]
    expected = -(target * score.log() + (1 - target) * (1 - score).log()).sum() / count
    assert float(found.scores.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)


def test_the_score_term_is_finite_for_logits_of_any_size():
    head = torch.zeros(1, ANCHORS, 8)
    head[:, ::2, 4:], head[:, 1::2, 4:] = 300, -300
    head.requires_grad_()
    labels = torch.tensor([[[2, 100.0, 90, 60, 40]]])
    loss = detection_loss(head, labels, SIZE, score_weight=1)
    assert loss.scores.isfinite()
    assert torch.autograd.grad(loss.scores, head)[0].isfinite().all()


# ---------------------------------------------------------------------------------------- divisor


def objects_in(*windows: int, batch: int = 8) -> torch.Tensor:
    """Return labels of an object in each of these windows of a batch."""
    labels = torch.zeros(batch, 1, 5)
    labels[list(windows)] = torch.tensor([2.0, 100, 90, 60, 40])
    return labels


def summed(head: torch.Tensor) -> torch.Tensor:
    """Return the objectness of a head without objects, before the division."""
    return torch.nn.functional.softplus(head[..., 4]).sum()


def test_a_batch_without_objects_is_divided_by_its_windows():
    head = random_head(batch=8)
    loss = detection_loss(head, objects_in(), SIZE)
    assert float(loss.total.detach()) == pytest.approx(float(summed(head).detach()) / 8)


def test_a_batch_with_few_objects_is_divided_by_its_windows():
    """With as many positive anchors as windows and more, the divisor is that of the paper."""
    head = random_head(batch=8)
    for labels, least in ((objects_in(3), 8), (objects_in(*range(8)), 8)):
        loss = detection_loss(head, labels, SIZE)
        gradient = torch.autograd.grad(loss.objectness, head)[0][..., 4]
        positive = int((gradient < 0).sum())  # only an object pulls its objectness up
        expected = head[..., 4].sigmoid() - (gradient < 0).float()
        assert torch.allclose(gradient, expected / max(positive, least), rtol=1e-4, atol=1e-9)


def test_no_windows_have_no_loss_and_a_gradient():
    head = random_head()
    loss = detection_loss(head[:0], torch.zeros(0, 2, 5), SIZE, torch.zeros(0, 1, 4))
    assert float(loss.total.detach()) == 0
    assert not torch.autograd.grad(loss.total, head)[0].any()


def train(folder: str, rank: int) -> None:
    """Process 0 has objects, process 1 windows without any, process 2 no labelled windows."""
    distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/meeting', rank=rank, world_size=3
    )
    torch.set_num_threads(1)
    batch = (4, 2, 0)[rank]
    labels = objects_in(*range(4), batch=4) if rank == 0 else objects_in(batch=batch)
    head = random_head(rank, batch)
    total = detection_loss(head, labels, SIZE).total
    torch.save((torch.autograd.grad(total, head)[0], total.detach()), f'{folder}/{rank}')
    distributed.destroy_process_group()


def test_processes_share_the_divisor_so_that_their_mean_is_that_of_one_batch(tmp_path: Path):
    command = [sys.executable, __file__, str(tmp_path)]
    running = [subprocess.Popen([*command, str(rank)]) for rank in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    found = [torch.load(tmp_path / str(rank), weights_only=True) for rank in range(3)]
    head = torch.cat([random_head(0, 4), random_head(1, 2)]).detach().requires_grad_()
    loss = detection_loss(head, objects_in(*range(4), batch=6), SIZE)
    gradient = torch.autograd.grad(loss.total, head)[0]
    assert torch.allclose(torch.cat([part for part, _ in found]) / 3, gradient, atol=1e-9)
    mean = sum(float(total) for _, total in found) / 3
    assert mean == pytest.approx(float(loss.total.detach()), rel=1e-5)


if __name__ == '__main__':
    train(sys.argv[1], int(sys.argv[2]))
