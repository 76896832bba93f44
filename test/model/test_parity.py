# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The network against the output of the authors' own implementation (test/data/README.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from sast_ros.detector import Detections, StreamingDetector
from sast_ros.model import detection_loss, SAST, StepOutput
from sast_ros.model.inference import Engine
from sast_ros.model.inference.engine import IMPLEMENTATIONS
import torch
from torch import Tensor

SIZES = ('tiny', 'base')
STEPS = range(4)
#: Absolute tolerances; the features of the reference itself differ by 2e-6 in float64.
TOLERANCES = {'h': 2e-5, 'c': 5e-5, 'raw': 1e-4}

Step = Callable[[Tensor], dict[str, Any]]


@pytest.fixture(scope='module', params=SIZES)
def size(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope='module')
def model(size, reference_model) -> SAST:
    return reference_model(size)


@pytest.fixture(scope='module')
def expected(size, data_folder) -> Mapping[str, np.ndarray]:
    return np.load(data_folder / f'gen1_{size}_expected.npz')


def stepper(advance: Callable[..., StepOutput]) -> Step:
    """Return the step of a network or an engine, in the form of ``raw_step`` of a detector."""
    states = None

    def step(histogram: Tensor) -> dict[str, Any]:
        nonlocal states
        with torch.inference_mode():
            output = advance(histogram[None], states)
            states = output.states
            return {
                'states': states,
                'head': torch.cat([output.head[..., :4], output.head[..., 4:].sigmoid()], dim=-1),
                'selected': [
                    {'window': by_window.mask[0], 'grid': by_grid.mask[0]}
                    for by_window, by_grid in output.selections
                ],
            }

    return step


STEPPERS: dict[str, Callable[[SAST], Step]] = {
    'reference': stepper,
    **{
        name: lambda model, name=name: stepper(Engine(model, name).step)
        for name in IMPLEMENTATIONS
    },
    'detector': lambda model: StreamingDetector(model).raw_step,
}


def flips(selected: list[dict[str, Tensor]], expected: Mapping, prefix: str = '') -> int:
    """Count the token and window decisions that differ from the fixture."""
    count = 0
    for stage, masks in enumerate(selected, start=1):
        for kind, key in (('window', 'win'), ('grid', 'grid')):
            mask = masks[kind].numpy()
            stored = f'{prefix}s{stage}_{key}'
            tokens = np.unpackbits(expected[f'{stored}_tokens_packed'])[: mask.size]
            windows = np.zeros(len(mask), bool)
            windows[expected[f'{stored}_windows']] = True
            count += int((mask != tokens.astype(bool).reshape(mask.shape)).sum())
            count += int((mask.any(axis=1) != windows).sum())
    return count


def tensors(output: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the tensors of a step by their names in the fixtures, without the batch."""
    named = {'raw': output['head']}
    for stage, (h, c) in enumerate(output['states'], start=1):
        named |= {f'h{stage}': h, f'c{stage}': c}
    return {key: tensor[0].contiguous().numpy() for key, tensor in named.items()}


def visible(boxes: np.ndarray) -> np.ndarray:
    """Return the rows x1, y1, x2, y2, ... that show on the sensor, clipped to it."""
    clipped = np.concatenate(
        [np.clip(boxes[:, :4], 0, [304, 240, 304, 240]), boxes[:, 4:]], axis=1
    )
    return clipped[(clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])]


def assert_same_boxes(found: Detections, expected: np.ndarray) -> None:
    assert len(found) == len(expected)
    # Scores that are equal up to rounding may change places, so boxes are matched as a set;
    # two class probabilities of one box may be equal up to rounding too.
    rows = np.column_stack([found.boxes, found.objectness, found.class_scores])
    tolerance = [0.02] * 4 + [1e-4] * 2  # pixels: the sides of large boxes are exponentials
    close = (np.abs(rows[:, None] - expected[:, :6]) <= tolerance).all(axis=2)
    assert close.any(axis=0).all()
    assert close.any(axis=1).all()
    assert (found.class_ids[close.argmax(axis=0)] != expected[:, 6]).sum() <= 1
    assert (np.diff(found.scores) <= 0).all()


def test_recipe_gives_the_weights_of_the_reference(model, expected):
    weights = model.state_dict()
    names = [str(name) for name in expected['weight_names']]
    assert set(names) == {name for name in weights if not name.endswith('num_batches_tracked')}
    for name, total, absolute in zip(names, expected['weight_sum'], expected['weight_abssum']):
        value = weights[name].double()
        assert float(value.sum()) == pytest.approx(total, rel=1e-9, abs=1e-6)
        assert float(value.abs().sum()) == pytest.approx(absolute, rel=1e-9)


@pytest.mark.parametrize('count', [1, 2])
@pytest.mark.parametrize('stepper', STEPPERS)
def test_every_step_equals_the_reference(
    size, model, expected, reference_inputs, threads, stepper, count
):
    threads(count)
    step = STEPPERS[stepper](model)
    compared = 0
    for index, histogram in enumerate(reference_inputs(size)):
        output = step(histogram)
        assert flips(output['selected'], expected, f'step{index}_') == 0
        for key, values in tensors(output).items():
            name = f'step{index}_{key}'
            if f'{name}_idx' not in expected:
                continue
            tolerance = TOLERANCES[key.rstrip('1234')]
            np.testing.assert_allclose(
                values.reshape(-1)[expected[f'{name}_idx']],
                expected[f'{name}_val'],
                rtol=0,
                atol=tolerance,
                err_msg=name,
            )
            compared += 1
            if f'{name}_stats' in expected:  # of the whole tensor
                exact = values.astype(np.float64)
                np.testing.assert_allclose(
                    [exact.mean(), np.abs(exact).mean()],
                    expected[f'{name}_stats'][:2] / exact.size,
                    rtol=0,
                    atol=tolerance,
                    err_msg=name,
                )
    assert compared == {'tiny': 4 * 5 + 4, 'base': 4 * 9}[size]


def test_boxes_equal_the_reference(size, model, expected, reference_inputs):
    detector = StreamingDetector(model, score_threshold=float(expected['det_conf']))
    for index, histogram in enumerate(reference_inputs(size)):
        assert_same_boxes(detector.step(histogram), visible(expected[f'step{index}_det']))


def test_loss_and_gradients_equal_the_reference(reference_model, reference_inputs, data_folder):
    expected = np.load(data_folder / 'gen1_tiny_training.npz')
    model, inputs = reference_model('tiny'), reference_inputs('tiny')
    output = model.forward_windows(inputs[:2, None])
    labels = torch.from_numpy(expected['labels'])
    output.head.retain_grad()
    loss = detection_loss(output.head, labels, output.input_size)
    loss.total.backward()
    # Only anchors with an object have classes
    positive = (output.head.grad[..., 5:] != 0).any(dim=-1).sum() / (labels.sum(dim=-1) > 0).sum()
    values = [loss.total, loss.box, loss.objectness, loss.classes, torch.zeros(()), positive]
    np.testing.assert_allclose(
        [float(value.detach()) for value in values], expected['loss_values'], rtol=1e-3
    )
    gradients = {name: parameter.grad.double() for name, parameter in model.named_parameters()}
    assert set(gradients) == {str(n) for n in expected['grad_names']}
    for name, norm, total in zip(
        expected['grad_names'], expected['grad_l2'], expected['grad_sum']
    ):
        gradient = gradients[str(name)]
        assert float(gradient.norm()) == pytest.approx(norm, rel=1e-3), name
        # A sum cancels: its error is relative to the length of the gradient, not to itself.
        assert float(gradient.sum()) == pytest.approx(total, rel=1e-3, abs=1e-3 * norm), name


def test_tiny_equals_every_value_of_the_full_fixture(shared, reference_model, reference_inputs):
    parity = shared / 'parity'
    model = reference_model('tiny')
    weights = load_file(parity / 'gen1_tiny_weights_fp16.safetensors')
    for name, value in model.state_dict().items():
        if not name.endswith('num_batches_tracked'):
            assert torch.equal(value, weights[name].float()), name
    detector = StreamingDetector(model)
    for index, histogram in enumerate(reference_inputs('tiny')):
        expected = np.load(parity / f'gen1_tiny_expected_step{index}.npz')
        output = detector.raw_step(histogram)
        assert flips(output['selected'], expected) == 0
        found = tensors(output)
        found |= {'h1_sub': found['h1'][::4], 'h2_sub': found['h2'][::4]}
        for key in ('h1_sub', 'h2_sub', 'h3', 'h4', 'raw'):
            np.testing.assert_allclose(
                found[key], expected[key], rtol=0, atol=1e-4 if key == 'raw' else 2e-5
            )
    states = np.load(parity / 'gen1_tiny_states_last.npz')
    for key in states.files:
        np.testing.assert_allclose(found[key], states[key], rtol=0, atol=TOLERANCES[key[0]])
