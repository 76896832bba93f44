"""Training steps by the compiled loops against those by PyTorch's own operations."""

from __future__ import annotations

import pytest
from sast_ros.histogram import StackedHistogram
from sast_ros.model import build_model, SAST
from sast_ros.model.selection import partition_order, select
from sast_ros_training.training import cpu_autograd
import torch
from workload import outlines, recipe_weights

CLASSES = ('pedestrian', 'two-wheeler', 'car')


@pytest.fixture(scope='module')
def histograms() -> torch.Tensor:
    """Two windows of two sequences, one sparse and one dense, with events at the borders."""
    histogram = StackedHistogram(240, 304)
    windows = [
        [histogram(outlines(10 * window + events, 240, 304, events)) for events in (2000, 9000)]
        for window in range(2)
    ]
    stacked = torch.stack([torch.stack(window) for window in windows])
    stacked[..., :4, [0, 0, 120, 239], [0, 150, 303, 7]] = 3
    return stacked


def network(**overrides) -> SAST:
    model = build_model('gen1-tiny', classes=CLASSES, **overrides)
    # selections that depend on the scene, and not at the noise of float32
    model.load_state_dict(recipe_weights(model, gain=1.0), strict=False)
    return model.to(memory_format=torch.channels_last)


def states(model: SAST, batch: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(4)
    return [
        tuple(torch.rand(2, batch, c, 256 // s, 320 // s, generator=generator) - 0.5)
        for c, s in zip(model.config.stage_dims, (4, 8, 16, 32))
    ]


def step(model: SAST, histograms: torch.Tensor, half: bool = False, plain: bool = False):
    """Return output, gradients and buffers after one step with an arbitrary smooth loss."""
    with torch.autocast('cpu', torch.bfloat16, enabled=half):
        before = states(model, histograms.shape[1])
        if plain:
            output = model.forward_windows(histograms, before)
        else:
            output = cpu_autograd.forward_windows(model, histograms, before)
    generator = torch.Generator().manual_seed(5)
    tensors = [output.head.float(), *(part for state in output.states for part in state)]
    total = sum(
        (tensor * torch.randn(tensor.shape, generator=generator)).sum() / tensor.numel() ** 0.5
        for tensor in tensors
    )
    total.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return output, gradients, dict(model.named_buffers())


@pytest.mark.parametrize('selection', ['adaptive', 'dense'])
def test_loops_give_the_results_and_gradients_of_the_modules(histograms, selection):
    found, gradients, buffers = step(network(selection=selection), histograms)
    expected, expected_gradients, expected_buffers = step(
        network(selection=selection), histograms, plain=True
    )
    for pair, expected_pair in zip(found.selections, expected.selections):
        for chosen, other in zip(pair, expected_pair):
            # decisions at the noise of float32 may differ (spec 13.6)
            assert (chosen.mask != other.mask).float().mean() < 1e-4
            assert torch.equal(chosen.order, other.order)
    torch.testing.assert_close(found.head, expected.head, rtol=0, atol=1e-3)
    for state, other in zip(found.states, expected.states):
        torch.testing.assert_close(state, other, rtol=0, atol=1e-4)
    for name, value in expected_buffers.items():
        torch.testing.assert_close(buffers[name], value, rtol=1e-3, atol=1e-5, msg=name)
    errors = []
    for name, expected_gradient in expected_gradients.items():
        error = float((gradients[name] - expected_gradient).norm() / expected_gradient.norm())
        assert error < 1e-2, name  # one score at the kink of the ReLU makes 2e-3
        errors.append(error)
    assert sorted(errors)[len(errors) // 2] < 1e-4


def test_bfloat16_leaves_the_selections_of_float32(histograms):
    exact, _, _ = step(network(), histograms)
    found, gradients, _ = step(network(), histograms, half=True)
    assert found.head.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    for pair, expected_pair in zip(found.selections, exact.selections):
        for chosen, expected in zip(pair, expected_pair):
            assert (chosen.mask != expected.mask).float().mean() < 0.02


def test_selected_tokens_are_listed_by_window():
    generator = torch.Generator().manual_seed(1)
    order = partition_order('grid', 16, 20, (8, 10), torch.device('cpu'))
    scores = torch.rand(3, 320, generator=generator)
    selection, chosen = cpu_autograd.select(scores, order, 1e-3)
    expected = select(scores, order, 1e-3)
    assert torch.equal(selection.mask, expected.mask)
    rows = torch.arange(3)[:, None, None] * 320 + order
    assert torch.equal(chosen.rows.long(), rows[expected.mask])
    lengths = expected.mask.flatten(0, 1).sum(dim=1)
    assert torch.equal(chosen.starts.diff().long(), lengths[lengths > 0])


def test_network_that_the_loops_do_not_know_goes_step_by_step(histograms):
    model = build_model('gen1-small', classes=CLASSES).eval()  # 24 channels a head
    assert not cpu_autograd.can_fuse(model.backbone)
    with torch.no_grad():
        found = cpu_autograd.forward_windows(model, histograms)
        first = model(histograms[0])
        second = model(histograms[1], first.states)
    torch.testing.assert_close(found.head, torch.cat([first.head, second.head]))
    torch.testing.assert_close(found.states, second.states)
    assert torch.equal(found.selections[0][1].mask[2:], second.selections[0][1].mask)


def test_scores_that_are_not_numbers_select_nothing(histograms):
    model = network()
    with torch.no_grad():
        model.backbone.stages[3].att_blocks[0].att.to_scores.bias.fill_(float('nan'))
        output = cpu_autograd.forward_windows(model, histograms)
    assert not output.selections[3][0].mask.any()
