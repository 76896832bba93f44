# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Static shapes: no operator depends on data, and a step on fixed buffers is like any other."""

from __future__ import annotations

from collections.abc import Callable
import warnings

import numpy as np
import pytest
from sast_ros.model import SAST
from sast_ros.model.inference import cuda
from sast_ros.model.inference.cuda import GraphNetwork
from sast_ros.model.inference.masked import join, MaskedNetwork, split
from sast_ros.model.inference.plain import folded_copy
from sast_ros.model.inference.postprocess import Boxes, probabilities, select_boxes
from sast_ros.model.selection import partition_order, selected
from sast_ros.model.selection import select as select_in_map
import torch
from torch.utils._python_dispatch import TorchDispatchMode

#: Operators whose output has a size that depends on data, or that return data to the host.
DATA_DEPENDENT = (
    'nonzero',
    'masked_select',
    'unique',
    '_local_scalar_dense',
    'is_nonzero',
    'equal',
    'repeat_interleave',
    'bincount',
)


class DataDependent(TorchDispatchMode):
    """Collects the operators that depend on data."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.__name__.split('.')[0]
        if name.startswith(DATA_DEPENDENT):
            self.found.add(name)
        if name.startswith('index') and any(
            isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8)
            for argument in args
            for index in (argument if isinstance(argument, (list, tuple)) else ())
        ):
            self.found.add(f'{name} with bool')
        return function(*args, **(kwargs or {}))


def data_dependent(step: Callable[[], object]) -> set[str]:
    with torch.inference_mode(), DataDependent() as mode:
        step()
    return mode.found


@pytest.fixture(scope='module')
def model(reference_model) -> SAST:
    return reference_model('tiny')


@pytest.fixture(scope='module')
def inputs(reference_inputs) -> torch.Tensor:
    return reference_inputs('tiny')[:, None]


def assert_same_boxes(found: Boxes, expected: Boxes) -> None:
    """Compare boxes of the device with those of the host, whose exponential is another one."""
    for one, two in zip(found, expected):
        np.testing.assert_allclose(one, two, rtol=2e-6, atol=1e-4)


@pytest.mark.parametrize('options', [{}, {'context_broadcasting': True}], ids=str)
def test_no_operator_of_a_step_depends_on_data(reference_model, inputs, options):
    model = reference_model('tiny', **options)
    network = MaskedNetwork(folded_copy(model))
    assert data_dependent(lambda: network(inputs[0], None)) == set()
    assert 'nonzero' in data_dependent(lambda: model(inputs[0], None))


def test_no_operator_of_a_step_with_its_boxes_depends_on_data(model, inputs):
    network = GraphNetwork(folded_copy(model))
    output = network(inputs[0])
    assert data_dependent(lambda: network(inputs[1], output.states)) == set()


@pytest.mark.parametrize('kind', ['window', 'grid'])
@pytest.mark.parametrize(
    'size, part', [((32, 40), (8, 10)), ((24, 40), (6, 10)), ((8, 10), (8, 10)), ((6, 4), (3, 1))]
)
def test_layout_of_partitions_is_that_of_the_reference(kind, size, part):
    x = torch.randperm(2 * size[0] * size[1] * 3).view(2, *size, 3)
    laid_out = split(x, kind, part)
    order = partition_order(kind, *size, part, x.device)
    assert torch.equal(laid_out, x.flatten(1, 2)[:, order])
    assert torch.equal(join(laid_out, kind, size, part), x)


@pytest.mark.parametrize('as_tensor', [False, True])
@pytest.mark.parametrize('bounce', [0.0, 1e-3, 0.3, float('inf')])
def test_selection_is_that_of_the_reference(bounce, as_tensor):
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(3, 16, 20, generator=generator)
    scores[0] = 1.0  # every share is the uniform one
    order = partition_order('grid', 16, 20, (8, 10), scores.device)
    expected = select_in_map(scores.flatten(1), order, bounce).mask
    if as_tensor:
        bounce = torch.tensor(bounce, dtype=torch.float64)
    assert torch.equal(selected(split(scores, 'grid', (8, 10)), bounce), expected)


@pytest.mark.parametrize('dtype, error', [(torch.bfloat16, 0.15), (torch.float16, 0.02)])
def test_half_precision_keeps_selections_and_states_in_float32(model, inputs, dtype, error):
    network, states = MaskedNetwork(folded_copy(model), dtype), None
    decided = flipped = 0
    with torch.inference_mode():
        for histogram in inputs:
            expected = model(histogram, states)  # of the same states
            found = network(histogram, states)
            states = expected.states
            assert all(t.dtype == torch.float32 for pair in found.states for t in pair)
            assert found.head.dtype == torch.float32
            assert (found.head - expected.head).abs().mean() < error
            for pair, expected_pair in zip(found.selections, expected.selections):
                for one, two in zip(pair, expected_pair):
                    decided += one.mask.numel()
                    flipped += int((one.mask != two.mask).sum())
    assert flipped <= 0.002 * decided


class TestGraphNetwork:
    """A step on fixed buffers; a graph of it is captured where there is a GPU."""

    def test_results_are_not_overwritten_by_the_next_step(self, model, inputs):
        network = GraphNetwork(folded_copy(model))
        first = network(inputs[0])
        kept = [tensor.clone() for pair in first.states for tensor in pair]
        masks = [s.mask.clone() for pair in first.selections for s in pair]
        head = first.head.clone()
        network(inputs[1], first.states)
        assert torch.equal(first.head, head)
        assert all(torch.equal(a, b) for a, b in zip(kept, (t for p in first.states for t in p)))
        found = [s.mask for pair in first.selections for s in pair]
        assert all(torch.equal(a, b) for a, b in zip(masks, found))

    def test_two_streams_share_a_network(self, model, inputs):
        network = GraphNetwork(folded_copy(model))
        alone = []
        for stream in (inputs[:2], inputs[2:]):
            output = network(stream[1], network(stream[0]).states)
            alone.append(output.head)
        first, second = network(inputs[0]), network(inputs[2])
        assert torch.equal(network(inputs[1], first.states).head, alone[0])
        assert torch.equal(network(inputs[3], second.states).head, alone[1])

    def test_buffers_are_kept_for_each_size_and_batch_up_to_a_number(
        self, model, inputs, monkeypatch
    ):
        monkeypatch.setattr(cuda, '_MOST_PROGRAMS', 3)
        network = GraphNetwork(folded_copy(model))

        def program_of(histogram: torch.Tensor) -> object:
            network(histogram)
            return network._program

        one, two, narrow = (
            program_of(histogram) for histogram in (inputs[0], inputs[:2, 0], inputs[0][..., :200])
        )
        assert len({one, two, narrow}) == 3
        assert program_of(inputs[1]) is one
        assert program_of(inputs[:2, 0]) is two
        # The fourth takes the place of the one that was not used for the longest time
        fourth = program_of(inputs[0][..., :100])
        assert program_of(inputs[0]) is one and program_of(inputs[0][..., :100]) is fourth
        assert program_of(inputs[0][..., :200]) is not narrow
        assert len(network._programs) == 3
        assert not network.captured

    @pytest.mark.parametrize('stage', range(4))
    @pytest.mark.parametrize('change', [(0, 1, 0, 0), (0, 0, -1, 0), (1, 0, 0, 0)])
    def test_a_state_of_another_shape_is_refused(self, model, inputs, stage, change):
        network = GraphNetwork(folded_copy(model))
        states = list(network(inputs[0]).states)
        hidden, cell = states[stage]
        shape = [side + more for side, more in zip(cell.shape, change)]
        states[stage] = hidden, torch.zeros(shape)
        with pytest.raises(ValueError, match='^state has shape'):
            network(inputs[1], states)

    def test_boxes_are_those_of_the_host_and_follow_the_thresholds(self, model, inputs):
        network, states, counts = GraphNetwork(folded_copy(model)), None, []
        thresholds = 0.05, 0.02, 0.06, 0.03
        for histogram, threshold, iou in zip(inputs, thresholds, (0.45, 0.3, 0.9, 0.0)):
            network.box_control.score_threshold = threshold
            network.box_control.nms_iou = iou
            output = network(histogram, states)
            states = output.states
            head = probabilities(output.head[0])
            expected = select_boxes(head, output.input_size, threshold, iou)
            found = network.download().boxes
            assert_same_boxes(found, expected)
            counts.append(len(found[1]))
        assert min(counts) > 0

    def test_shares_are_those_of_the_masks(self, model, inputs):
        network = GraphNetwork(folded_copy(model))
        output = network(inputs[:2, 0])
        for sample in range(2):
            shares = network.download(sample).shares
            assert len(shares) == 4
            for pair, (windows, tokens) in zip(output.selections, shares):
                masks = [s.mask[sample].float() for s in pair]
                assert tokens == pytest.approx(sum(float(m.mean()) for m in masks) / 2, abs=1e-6)
                chosen = [float(m.amax(dim=1).mean()) for m in masks]
                assert windows == pytest.approx(sum(chosen) / 2, abs=1e-6)

    def test_boxes_of_every_sample(self, model, inputs):
        network = GraphNetwork(folded_copy(model))
        network.box_control.score_threshold = 0.04
        output = network(inputs[:, 0])
        for sample, head in enumerate(probabilities(output.head)):
            expected = select_boxes(head, output.input_size, 0.04, 0.45)
            assert len(expected[1]) > 0
            assert_same_boxes(network.download(sample).boxes, expected)

    def test_more_boxes_than_candidates_are_found_on_the_host(self, model, inputs):
        network = GraphNetwork(folded_copy(model))
        network.box_control.score_threshold, network.box_control.nms_iou = 0.0, 1.0
        output = network(inputs[0])
        expected = select_boxes(probabilities(output.head[0]), output.input_size, 0.0, 1.0)
        found = network.download().boxes
        assert len(found[1]) == output.head.shape[1]
        assert_same_boxes(found, expected)

    def test_output_that_is_not_finite_is_refused(self, reference_model, inputs):
        model = reference_model('tiny')
        with torch.no_grad():
            model.yolox_head.reg_preds[1].bias.fill_(float('nan'))
        network = GraphNetwork(folded_copy(model))
        network(inputs[0])
        with pytest.raises(ValueError, match='not finite'):
            network.download()

    def test_boxes_without_a_step_are_refused(self, model):
        with pytest.raises(ValueError, match='no step'):
            GraphNetwork(folded_copy(model)).download()

    def test_a_capture_that_fails_warns_once_and_the_steps_go_on(self, model, inputs, monkeypatch):
        def fail(compute, device):
            compute()
            raise RuntimeError('operation not permitted when stream is capturing')

        monkeypatch.setattr(cuda, '_captured', fail)
        network = GraphNetwork(folded_copy(model))
        expected = network(inputs[0])
        network = GraphNetwork(folded_copy(model))
        network._capture = True  # as on a GPU
        with pytest.warns(RuntimeWarning, match='runs slower: operation not permitted'):
            found = network(inputs[0])
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            network(inputs[1], found.states)
            network(inputs[:2, 0])
        assert not network.captured
        assert torch.equal(found.head, expected.head)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
    @pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
    def test_graph_on_a_gpu_equals_the_steps_on_the_cpu(self, model, inputs, dtype):
        network = GraphNetwork(folded_copy(model.to('cuda')), dtype)
        model.to('cpu')
        states = found_states = None
        for index, histogram in enumerate(inputs):
            with torch.inference_mode():
                expected = model(histogram, states)
            found = network(histogram, found_states)
            assert network.captured
            states, found_states = expected.states, found.states
            if dtype == torch.float32:
                torch.testing.assert_close(found.head.cpu(), expected.head, rtol=0, atol=1e-4)
                for pair, expected_pair in zip(found.selections, expected.selections):
                    for one, two in zip(pair, expected_pair):
                        assert torch.equal(one.mask.cpu(), two.mask), index
            head = probabilities(found.head[0])
            boxes = select_boxes(head, found.input_size, 0.1, 0.45)
            network.box_control.score_threshold = 0.1
            assert len(network.download().boxes[1]) > 0 or len(boxes[1]) == 0
