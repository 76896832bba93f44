# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Averages of weights and of batch statistics."""

from __future__ import annotations

from dataclasses import replace

from moving_boxes import CLASSES, write_sequence
import pytest
from sast_ros.model import model_config, untrained_model
from sast_ros.model.neck import ConvBlock
from sast_ros_training.training.averages import estimate_batch_norms, sample_windows, WeightAverage
from sast_ros_training.training.cache import CachedSequence
import torch


def windows(seed: int, steps: int = 1, streams: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    active = torch.rand(steps, streams, 20, 256, 320, generator=generator) < 0.02
    return active * torch.randint(1, 5, active.shape, generator=generator, dtype=torch.uint8)


def test_statistics_of_one_batch_make_evaluation_equal_to_training():
    """Estimated from the very windows, a batch norm does what it does in training."""
    model = untrained_model('gen1-tiny')
    batch = windows(0, steps=2, streams=1)
    estimate_batch_norms(model, [batch])
    assert not any(module.training for module in model.modules())
    with torch.no_grad():
        found = model.forward_windows(batch).head
        for module in model.modules():
            if isinstance(module, ConvBlock):
                module.bn.train()
        expected = model.forward_windows(batch).head
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_statistics_of_several_batches_are_those_of_all_together():
    model = untrained_model('gen1-tiny')
    norm = model.fpn.lateral_conv0
    seen = []
    hook = norm.conv.register_forward_hook(lambda module, inputs, x: seen.append(x.clone()))
    estimate_batch_norms(model, [windows(1), windows(2), windows(3)])
    hook.remove()
    everything = torch.cat(seen).double()
    mean = everything.mean(dim=(0, 2, 3))
    variance = everything.var(dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(norm.bn.running_mean.double(), mean, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(norm.bn.running_var.double(), variance, rtol=1e-4, atol=1e-8)


def test_without_windows_the_statistics_stay():
    model = untrained_model('gen1-tiny')
    before = {name: value.clone() for name, value in model.state_dict().items()}
    estimate_batch_norms(model, [])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_windows_are_spread_over_sequences_and_none_is_made_up(tmp_path):
    """Also of those that are shorter than a sample, or so few that each has several."""
    paths = [
        write_sequence(tmp_path / f'{seed}.safetensors', seed, windows)
        for seed, windows in enumerate((3, 45))
    ]
    network = replace(model_config('gen1-tiny'), classes=CLASSES)
    short, *others = sample_windows(paths, network, 40)
    assert len(short) == 3 and [len(cells) for cells in others] == [10, 10]
    for path, parts in zip(paths, ([short], others)):
        sequence = CachedSequence(path)
        known = [torch.from_numpy(sequence.dense(window)) for window in range(len(sequence))]
        found = [cells for part in parts for cells in part[:, 0]]
        places = [
            next(n for n, cells in enumerate(known) if torch.equal(cells, one[:, :240, :304]))
            for one in found
        ]
        assert len(set(places)) == len(places)  # no window twice
    assert list(sample_windows(paths, network, 0)) == []
    assert list(sample_windows([], network, 9)) == []
    empty = write_sequence(tmp_path / 'empty.safetensors', 2, 0)
    assert list(sample_windows([empty], network, 9)) == []


def test_the_average_follows_the_weights_faster_in_the_beginning():
    model = untrained_model('gen1-tiny')
    average = WeightAverage(model, 0.5)
    name, weight = next(iter(model.named_parameters()))
    start = weight.detach().clone()
    mine = dict(average.model.named_parameters())[name]
    with torch.no_grad():
        weight.add_(1)
    average.update(model)
    torch.testing.assert_close(mine, start + 9 / 11)
    for _ in range(25):
        average.update(model)
    torch.testing.assert_close(mine, start + 1)
    with torch.no_grad():
        weight.add_(1)
    average.update(model)
    torch.testing.assert_close(mine, start + 1.5)
    assert not mine.requires_grad


def test_the_average_comes_back():
    model = untrained_model('gen1-tiny')
    average, other = WeightAverage(model, 0.9), WeightAverage(model, 0.9)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.5)
    for _ in range(3):
        average.update(model)
    other.load_state_dict(average.state_dict())
    average.update(model)
    other.update(model)
    for a, b in zip(average.model.parameters(), other.model.parameters()):
        assert torch.equal(a, b)
    assert pytest.approx(0.9) == other._decay
