# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What makes the network fast changes nothing that it computes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from sast_ros import model as model_package
from sast_ros.errors import SettingError
from sast_ros.model import load_model, SAST, untrained_model
from sast_ros.model.head import anchor_grid
from sast_ros.model.inference import cpu, Engine
from sast_ros.model.inference.engine import IMPLEMENTATIONS
from sast_ros.model.selection import partition_order, position_embedding
import torch

#: As in the parity tests.
TOLERANCES = {'head': 1e-4, 'h': 2e-5, 'c': 5e-5}


@pytest.fixture(scope='module')
def inputs(reference_inputs):
    return reference_inputs('tiny')


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest) -> str:
    return request.param


def assert_same_steps(model: SAST, engine: Engine, histograms: torch.Tensor) -> None:
    """Compare steps on ``[T, B, channels, H, W]`` with those of the reference."""
    states = other = None
    with torch.inference_mode():
        for histogram in histograms:
            expected, found = model(histogram, states), engine.step(histogram, other)
            states, other = expected.states, found.states
            assert found.input_size == expected.input_size
            torch.testing.assert_close(found.head, expected.head, rtol=0, atol=TOLERANCES['head'])
            for pair, expected_pair in zip(found.states, expected.states):
                for name, one, two in zip('hc', pair, expected_pair):
                    torch.testing.assert_close(one, two, rtol=0, atol=TOLERANCES[name])
            for pair, expected_pair in zip(found.selections, expected.selections):
                for one, two in zip(pair, expected_pair):
                    assert torch.equal(one.mask, two.mask)
                    assert torch.equal(one.order, two.order)


@pytest.mark.parametrize(
    'options', [{}, {'selection': 'dense'}, {'context_broadcasting': True}], ids=str
)
def test_steps_equal_those_of_the_reference(implementation, reference_model, inputs, options):
    model = reference_model('tiny', **options)
    assert_same_steps(model, Engine(model, implementation), inputs[:, None])


def test_batch_equals_that_of_the_reference(implementation, reference_model, inputs):
    model = reference_model('tiny')
    assert_same_steps(model, Engine(model, implementation), inputs.unflatten(0, (2, 2)))


def test_another_size_and_no_events_are_steps_like_any_other(implementation, reference_model):
    model = reference_model('tiny')
    engine = Engine(model, implementation)
    for size in ((480, 640), (240, 304)):
        assert_same_steps(model, engine, torch.zeros(2, 1, 20, *size, dtype=torch.uint8))


def test_batch_gives_every_sample_what_it_gets_alone(implementation, reference_model, inputs):
    engine = Engine(reference_model('tiny'), implementation)
    together = engine.step(inputs, None)
    for sample in range(len(inputs)):
        alone = engine.step(inputs[[sample]], None)
        torch.testing.assert_close(together.head[sample], alone.head[0], rtol=0, atol=1e-4)
        for (a, b), (c, d) in zip(together.selections, alone.selections):
            assert torch.equal(a.mask[sample], c.mask[0])
            assert torch.equal(b.mask[sample], d.mask[0])


def test_selection_follows_the_control_from_the_next_step_on(
    implementation, reference_model, inputs
):
    engine = Engine(reference_model('tiny'), implementation)

    def kept() -> float:
        selections = engine.step(inputs[:1], None).selections
        return sum(float(s.mask.float().mean()) for pair in selections for s in pair)

    published = kept()
    engine.control.amp *= 10
    assert kept() < published
    engine.control.mode = 'dense'
    assert kept() == 8


def test_scores_that_are_not_numbers_select_nothing(implementation):
    model = untrained_model('gen1-tiny')
    with torch.no_grad():
        model.backbone.stages[3].att_blocks[0].att.to_scores.bias.fill_(float('nan'))
    output = Engine(model, implementation).step(torch.zeros(1, 20, 240, 304).byte(), None)
    assert not output.selections[3][0].mask.any()
    assert output.selections[2][0].mask.any()


OTHER_DEFAULTS = [(torch.bfloat16, 'cpu'), (torch.float64, 'cpu'), (torch.float32, 'meta')]


@contextmanager
def other_defaults(dtype: torch.dtype, device: str) -> Iterator[None]:
    """Change the defaults of PyTorch; nothing is cached then, nor afterwards."""
    before = torch.get_default_dtype()
    cached = (anchor_grid, partition_order, position_embedding)
    for function in cached:
        function.cache_clear()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)
        for function in cached:
            function.cache_clear()


@pytest.mark.parametrize(('dtype', 'device'), OTHER_DEFAULTS, ids=str)
def test_random_weights_depend_on_the_seed_only(dtype, device):
    expected = untrained_model('gen1-tiny', seed=3).state_dict()
    with other_defaults(dtype, device):
        found = untrained_model('gen1-tiny', seed=3).state_dict()
        assert torch.get_default_dtype() == dtype
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(('dtype', 'device'), OTHER_DEFAULTS, ids=str)
def test_weights_are_loaded_as_float32_whatever_the_defaults_are(dtype, device):
    expected = load_model('default').state_dict()
    with other_defaults(dtype, device):
        found = load_model('default').state_dict()
    assert {name: value.dtype for name, value in found.items()} == {
        name: value.dtype for name, value in expected.items()
    }
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(('dtype', 'device'), OTHER_DEFAULTS, ids=str)
def test_defaults_of_the_process_change_nothing(
    implementation, reference_model, inputs, dtype, device
):
    model = reference_model('tiny')

    def run() -> list[np.ndarray]:
        engine, states, found = Engine(model, implementation), None, []
        for histogram in inputs[:2]:
            output, boxes = engine.detect(histogram[None], states, 0.05, 0.45)
            states = output.states
            masks = [selection.mask for pair in output.selections for selection in pair]
            values = [output.head, *(value for pair in states for value in pair), *masks]
            found += [*(value.numpy() for value in values), *boxes.boxes, boxes.shares]
        return found

    expected = run()
    with other_defaults(dtype, device):
        found = run()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other, strict=not isinstance(other, tuple))


def test_the_given_network_is_not_changed(implementation, reference_model, inputs):
    model = reference_model('tiny')
    before = {name: value.clone() for name, value in model.state_dict().items()}
    layers = [type(module) for module in model.modules()]
    Engine(model, implementation).step(inputs[:1], None)
    assert [type(module) for module in model.modules()] == layers
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class TestChoice:
    """Which implementation runs."""

    def test_compiled_loops_run_float32_on_a_cpu(self):
        engine = Engine.for_model(untrained_model('gen1-tiny'), (240, 304), 'cpu', 2)
        assert engine.implementation == 'cpu'
        assert engine.device == torch.device('cpu')
        assert engine.describe() == {
            'implementation': 'cpu',
            'device': 'cpu',
            'instruction_set': engine.instruction_set,
            'threads': 2,
            'precision': 'float32',
        }
        assert str(engine) == f'cpu ({engine.instruction_set}, 2 threads, float32)'

    @pytest.mark.skipif(not cpu.has_bfloat16(), reason='no AVX512-BF16')
    def test_compiled_loops_run_half_precision_where_it_is_native(self):
        engine = Engine.for_model(untrained_model('gen1-tiny'), None, 'cpu', 1, 'bfloat16')
        assert engine.describe()['precision'] == 'bfloat16'
        assert str(engine) == 'cpu (avx512, 1 thread, bfloat16)'

    @pytest.mark.parametrize('options', [{}, {'embed_dim': 24, 'dim_head': 24}], ids=str)
    def test_half_precision_is_refused_where_it_is_slower(self, monkeypatch, options):
        monkeypatch.setenv(cpu.INSTRUCTION_SET, cpu.instruction_sets()[0])
        model = untrained_model('gen1-tiny', **options)
        wanted = 'bfloat16 .* AVX512-BF16, .* slower than float32; use precision float32'
        with pytest.raises(SettingError, match=wanted):
            Engine.for_model(model, precision='bfloat16')
        with pytest.raises(SettingError, match=wanted):
            Engine(model, 'cpu', 'bfloat16')

    def test_unknown_precision_is_refused(self):
        with pytest.raises(SettingError, match="'int8'; it must be one of float32, bfloat16"):
            Engine.for_model(untrained_model('gen1-tiny'), precision='int8')

    def test_threads_are_chosen_among_those_allowed(self, reference_model, inputs):
        engine = Engine.for_model(reference_model('tiny'))
        expected = engine.step(inputs[:1], None).head
        engine.choose_threads(3, (240, 304))
        assert 1 <= engine.network.threads <= 3
        assert torch.equal(engine.step(inputs[:1], None).head, expected)

    def test_threads_follow_pytorch_unless_they_are_given(self, threads):
        engine = Engine.for_model(untrained_model('gen1-tiny'))
        threads(3)
        assert engine.threads == 3
        engine.network.threads = 1
        assert engine.threads == 1


def test_the_reference_imports_nothing_that_makes_it_faster():
    folder = Path(model_package.__file__).parent
    for path in folder.glob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in getattr(node, 'names', [])]
            names.append(getattr(node, 'module', None) or getattr(node, 'attr', ''))
            faster = [n for n in names if 'kernels' in n or 'inference.' in n or n == 'ops']
            assert not faster, f'{path.name}: {faster}'
