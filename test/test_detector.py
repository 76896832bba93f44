# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Streaming detector: state, boxes in sensor pixels, live settings, guards."""

from __future__ import annotations

import copy
from dataclasses import astuple
import os
import subprocess
import sys

from facts import facts
import numpy as np
import pytest
from sast_ros.detector import Detections, DetectorError, step_together, StreamingDetector
from sast_ros.errors import SettingError
from sast_ros.model import untrained_model
from sast_ros.model.inference.engine import Engine, has_native_bfloat16
from sast_ros.sparsity_budget import SparsityBudget
import torch


@pytest.fixture(scope='module')
def model():
    return untrained_model('gen1-tiny', seed=1)


def histogram(seed: int, height: int = 240, width: int = 304) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    active = torch.rand(20, height, width, generator=generator) < 0.02
    return active.to(torch.uint8) * 3


def assert_same(a: Detections, b: Detections) -> None:
    for name in ('boxes', 'scores', 'class_ids', 'objectness', 'class_scores'):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_detections_have_the_documented_types(model):
    found = StreamingDetector(model, score_threshold=1e-5, max_detections=7).step(histogram(0))
    assert len(found) == 7
    assert (found.boxes.dtype, found.boxes.shape) == (np.float32, (7, 4))
    assert found.scores.dtype == found.objectness.dtype == found.class_scores.dtype == np.float32
    assert found.class_ids.dtype == np.int64
    np.testing.assert_array_equal(found.scores, found.objectness * found.class_scores)
    assert (np.diff(found.scores) <= 0).all()
    assert found.class_names == ('car', 'pedestrian')
    assert len(found.kept) == 4
    assert all(0 < share.tokens <= share.windows <= 1 for share in found.kept)
    assert {type(side) for share in found.kept for side in astuple(share)} == {float}


def test_state_is_carried_and_reset(model):
    detector = StreamingDetector(model, score_threshold=1e-5)
    first, second = detector.step(histogram(0)), detector.step(histogram(0))
    assert not np.array_equal(first.scores, second.scores)
    detector.reset()
    assert_same(detector.step(histogram(0)), first)
    assert_same(detector.step(histogram(0)), second)


def test_the_given_network_is_not_changed(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    StreamingDetector(model).step(histogram(0))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_boxes_are_in_sensor_pixels_and_clipped(model):
    plain = StreamingDetector(model, score_threshold=1e-5).step(histogram(0))
    scaled = StreamingDetector(model, score_threshold=1e-5, downsample=2).step(histogram(0))
    assert (plain.width, plain.height, scaled.width, scaled.height) == (304, 240, 608, 480)
    # Of two pixels the second is kept, half a pixel behind the middle of both
    expected = np.minimum(2 * plain.boxes + 0.5, [608, 480, 608, 480])
    np.testing.assert_allclose(scaled.boxes[:, 2:], expected[:, 2:], rtol=1e-6)
    inside = plain.boxes[:, :2] > 0
    np.testing.assert_allclose(scaled.boxes[:, :2][inside], expected[:, :2][inside], rtol=1e-6)
    assert plain.boxes.min() >= 0
    assert (plain.boxes <= [304, 240, 304, 240]).all()
    assert (plain.boxes[:, 2:] > plain.boxes[:, :2]).all()


def test_class_filter_and_threshold(model):
    detector = StreamingDetector(model, score_threshold=1e-5)
    everything = detector.step(histogram(0))
    detector.reset()
    detector.configure_detections(1e-5, 0.45, classes=['pedestrian'])
    only = detector.step(histogram(0))
    assert set(only.class_ids) == {1}
    np.testing.assert_array_equal(only.scores, everything.scores[everything.class_ids == 1])
    detector.reset()
    limit = float(np.median(everything.scores))
    detector.configure_detections(limit, 0.45)
    assert detector.step(histogram(0)).scores.min() >= limit


@pytest.mark.parametrize(
    ('arguments', 'named'),
    [
        ({'score_threshold': 1.5}, 'score_threshold'),
        ({'score_threshold': 0.1, 'nms_iou': -0.1}, 'nms_iou'),
        ({'max_detections': 0}, 'max_detections'),
        ({'max_detections': 2.5}, 'max_detections'),
        ({'classes': ['dog']}, 'dog'),
        ({'precision': 'int8'}, 'precision'),
        ({'threads': -3}, 'threads'),
        ({'threads': 1.5}, 'threads'),
        ({'threads': 100_000}, 'threads'),
        ({'downsample': -2}, 'downsample'),
        ({'downsample': 0}, 'downsample'),
        ({'downsample': 1.5}, 'downsample'),
    ],
)
def test_impossible_settings_are_refused(model, arguments, named):
    with pytest.raises(ValueError, match=named):
        StreamingDetector(model, **arguments)


@pytest.mark.parametrize(
    'settings',
    [
        {'mode': 'random'},
        {'amp': 0},
        {'bounce': -1},
        {'bounce': float('nan')},
        {'amp': float('inf')},
        {'amp': 1e38},  # whose product with a score is infinite
        {'bounce': 1e300},
        {'mode': 'budget'},
        {'mode': 'budget', 'latency_budget_ms': 0},
        {'mode': 'budget', 'latency_budget_ms': float('inf')},
        {'mode': 'budget', 'latency_budget_ms': float('nan')},
    ],
)
def test_impossible_sparsity_is_refused(model, settings):
    with pytest.raises(ValueError, match='StreamingDetector'):
        StreamingDetector(model).configure_sparsity(**settings)


def test_dense_mode_keeps_everything_and_adaptive_less(model):
    detector = StreamingDetector(model)
    adaptive = detector.step(histogram(0)).kept
    detector.configure_sparsity('dense')
    dense = detector.step(histogram(1)).kept
    assert all(share.tokens == share.windows == 1 for share in dense)
    assert adaptive[0].tokens < 1


def test_budget_mode_drops_tokens_until_the_step_fits(model):
    detector = StreamingDetector(model)
    plain = detector.step(histogram(0)).kept[0].tokens
    # Never reached: AMP must keep rising
    detector.configure_sparsity('budget', latency_budget_ms=0.01)
    for seed in range(8):
        kept = detector.step(histogram(seed)).kept[0].tokens
    assert kept < 0.5 * plain
    detector.configure_sparsity('budget', latency_budget_ms=60_000)
    detector.reset()
    assert detector.step(histogram(0)).kept[0].tokens == plain


def test_budget_loop_rises_above_the_budget_and_falls_back_to_the_published_value():
    loop = SparsityBudget(budget_ms=10, amp=2e-4)
    rising = [loop.update(20) for _ in range(10)]
    assert rising == sorted(rising)
    assert rising[0] > 2e-4
    for _ in range(100):
        last = loop.update(5)
    assert last == 2e-4


@pytest.mark.skipif(
    not has_native_bfloat16('cpu'), reason='this processor has no instructions for bfloat16'
)
def test_half_precision_selects_nearly_the_same_tokens(model):
    full, half = (
        StreamingDetector(model, precision=p).raw_step(histogram(0))
        for p in ('float32', 'bfloat16')
    )
    for one, two in zip(full['selected'], half['selected']):
        assert float((one['window'] != two['window']).float().mean()) < 0.02
    assert half['states'][0][1].dtype == torch.float32


@pytest.mark.parametrize(
    'wrong',
    [
        torch.zeros(20, 240, 304),
        torch.zeros(10, 240, 304, dtype=torch.uint8),
        torch.zeros(240, 304, dtype=torch.uint8),
        np.zeros((20, 240, 304)),
        np.zeros((20, 240, 304), object),
        np.zeros((20, 240, 304), np.dtype('>u2')),
        np.zeros((20, 240, 304), np.uint8)[:, 0],
        np.zeros((20, 0, 304), np.uint8),
        torch.zeros(20, 240, 0, dtype=torch.uint8),
    ],
    ids=lambda wrong: f'{wrong.dtype} {tuple(wrong.shape)}',
)
def test_other_tensors_than_histograms_are_refused(model, wrong):
    with pytest.raises(ValueError, match=facts('torch.uint8', wrong.dtype)):
        StreamingDetector(model).step(wrong)


def test_arrays_of_any_strides_are_histograms(model):
    detector = StreamingDetector(model, score_threshold=1e-5)
    for cells in (histogram(0).flip(0), histogram(0).transpose(1, 2), histogram(0, 480)[:, ::2]):
        detector.reset()
        expected = detector.step(cells)
        backwards = np.ascontiguousarray(cells.numpy()[::-1, ::-1, ::-1])
        detector.reset()
        assert_same(detector.step(backwards[::-1, ::-1, ::-1]), expected)


@pytest.mark.filterwarnings('error')
def test_an_array_that_cannot_be_written_to_is_a_histogram(model):
    cells = histogram(0).numpy()
    expected = StreamingDetector(model).step(cells)
    cells.setflags(write=False)
    assert_same(StreamingDetector(model).step(cells), expected)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.filterwarnings('error')
def test_weights_of_any_precision_run_as_float32(model, dtype):
    other = copy.deepcopy(model).to(dtype)
    detector = StreamingDetector(other, score_threshold=1e-5)
    expected = StreamingDetector(other.float(), score_threshold=1e-5)
    assert_same(detector.step(histogram(0)), expected.step(histogram(0)))


def test_other_size_needs_a_reset(model):
    detector = StreamingDetector(model)
    detector.step(histogram(0))
    with pytest.raises(ValueError, match='reset'):
        detector.step(histogram(0, 480, 640))
    detector.reset()
    assert detector.step(histogram(0, 480, 640)).width == 640


def test_damaged_weights_raise_and_leave_a_clean_state(model):
    detector = StreamingDetector(model)
    healthy = detector.step(histogram(0))
    bias = detector.engine.network._weights.lateral.bias
    before = bias[0]
    bias[0] = float('nan')
    with pytest.raises(DetectorError):
        detector.step(histogram(0))
    bias[0] = before
    assert_same(detector.step(histogram(0)), healthy)


def test_histogram_of_no_events_is_a_step_like_any_other(model):
    found = StreamingDetector(model).step(torch.zeros(20, 240, 304, dtype=torch.uint8))
    assert np.isfinite(found.scores).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device here')
def test_cuda_equals_cpu(model):
    on_cpu = StreamingDetector(model)
    on_gpu = StreamingDetector(model.to('cuda'))
    model.to('cpu')
    for seed in range(3):
        a, b = on_cpu.raw_step(histogram(seed)), on_gpu.raw_step(histogram(seed))
        torch.testing.assert_close(a['head'], b['head'].cpu(), rtol=0, atol=2e-3)


def on_graph(model) -> StreamingDetector:
    """Return a detector whose network takes batches, as on a GPU."""
    detector = StreamingDetector(model, score_threshold=1e-5)
    detector.engine = Engine(model, 'cuda')
    return detector


def streams(count: int, steps: int) -> list[list[torch.Tensor]]:
    return [[histogram(100 * stream + step) for step in range(steps)] for stream in range(count)]


def test_streams_that_share_a_network_do_not_know_of_each_other(model):
    first = StreamingDetector(model, score_threshold=1e-5)
    second = first.new_stream()
    assert second.engine is first.engine
    second.configure_detections(1e-4, 0.3, max_detections=5)
    second.configure_sparsity('dense')
    left, right = streams(2, 3)
    alone = StreamingDetector(model, score_threshold=1e-5)
    dense = StreamingDetector(model, score_threshold=1e-4, nms_iou=0.3, max_detections=5)
    dense.configure_sparsity('dense')
    for step in range(3):
        for detector, reference, stream in ((first, alone, left), (second, dense, right)):
            found, expected = detector.step(stream[step]), reference.step(stream[step])
            assert_same(found, expected)
            assert found.kept == expected.kept
    second.reset()
    assert_same(first.step(left[0]), alone.step(left[0]))


def test_a_new_stream_has_a_budget_of_its_own(model):
    first = StreamingDetector(model)
    first.configure_sparsity('budget', latency_budget_ms=0.01)
    second = first.new_stream()
    for seed in range(8):
        hurried = first.step(histogram(seed)).kept[0].tokens
    assert second.step(histogram(7)).kept[0].tokens > 2 * hurried


def test_on_a_cpu_steps_together_are_those_of_each_alone(model):
    detectors = [StreamingDetector(model, score_threshold=1e-5)]
    detectors += [detectors[0].new_stream() for _ in range(2)]
    alone = [StreamingDetector(model, score_threshold=1e-5) for _ in range(3)]
    for windows in zip(*streams(3, 2)):
        for found, reference, window in zip(step_together(detectors, windows), alone, windows):
            assert_same(found, reference.step(window))


def test_streams_share_a_step_where_the_network_takes_batches(model, monkeypatch):
    shapes, step = [], Engine.step

    def noted(self, histograms, states):
        shapes.append(len(histograms))
        return step(self, histograms, states)

    monkeypatch.setattr(Engine, 'step', noted)
    detectors = [on_graph(model)]
    detectors += [detectors[0].new_stream() for _ in range(4)]
    alone = [on_graph(model)]
    alone += [alone[0].new_stream() for _ in range(4)]
    for windows in zip(*streams(5, 3)):
        found = step_together(detectors, windows)
        assert shapes == [4, 1]
        expected = [detector.step(window) for detector, window in zip(alone, windows)]
        shapes.clear()
        for one, other in zip(found, expected):
            # Of the same tokens; a batch is rounded differently
            assert one.kept == other.kept
            np.testing.assert_array_equal(one.class_ids[:5], other.class_ids[:5])
            np.testing.assert_allclose(one.scores[:5], other.scores[:5], rtol=1e-4)
        # One that begins anew beside others that do not
        detectors[1].reset()
        alone[1].reset()
    # Another threshold, size or selection is another step
    detectors[1].configure_detections(0.5, 0.45)
    detectors[2].configure_sparsity('dense')
    detectors[3].reset()
    windows = [histogram(seed) for seed in range(3)]
    windows += [histogram(3, 120, 152), histogram(4)]
    found = step_together(detectors, windows)
    assert sorted(shapes) == [1, 1, 1, 2]
    assert [len(detections) > 0 for detections in found] == [True, False, True, True, True]


def test_a_fault_of_one_stream_costs_the_others_nothing(model):
    detectors = [on_graph(model)]
    detectors += [detectors[0].new_stream() for _ in range(3)]
    step_together(detectors, [histogram(seed) for seed in range(4)])
    hidden, cell = detectors[1]._states[3]
    detectors[1]._states[3] = hidden, torch.full_like(cell, float('nan'))
    windows = [histogram(0), histogram(1), histogram(2).numpy(), histogram(3)[:7]]
    found = step_together(detectors, windows)
    assert [type(result) for result in found] == [
        Detections,
        DetectorError,
        Detections,
        SettingError,
    ]
    assert detectors[1]._states is None and detectors[3]._states is not None


def test_the_token_map_has_the_selected_tokens_in_place(model):
    detector = StreamingDetector(model, downsample=2)
    assert detector.selected is None
    raw = detector.raw_step(histogram(5, 240, 304))
    rows, columns = (side // 4 for side in model.config.padded_size((240, 304)))
    height, width = model.config.partitions((4 * rows, 4 * columns))
    kinds = np.zeros((rows, columns), int)
    window, grid = (raw['selected'][0][kind].numpy() for kind in ('window', 'grid'))
    down, across = rows // height, columns // width
    for number in range(down * across):
        y, x = divmod(number, across)
        tile = window[number].reshape(height, width)
        down_here = slice(y * height, (y + 1) * height)
        kinds[down_here, slice(x * width, (x + 1) * width)] += tile
        kinds[y::down, x::across] += grid[number].reshape(height, width)
    found = detector.selected.token_map()
    assert found.side == 8
    assert 0 < (kinds > 0).mean() < 1
    np.testing.assert_array_equal(found.kinds, kinds)
    share = detector.step(histogram(5, 240, 304)).kept[0].tokens
    assert detector.selected.token_map().kinds.mean() / 2 == pytest.approx(share)
    detector.reset()
    assert detector.selected is None


@pytest.mark.parametrize('size', [(0, 0), (240, 0), (-1, 304), (240, 1 << 20)])
def test_a_size_that_no_sensor_has_is_refused(model, size):
    with pytest.raises(SettingError, match=r'sensor_size \(height, width\) is '):
        StreamingDetector(model, sensor_size=size)


FORKED = """
import multiprocessing, sys, numpy as np
from sast_ros.detector import StreamingDetector
from sast_ros.model import untrained_model
model = untrained_model('gen1-tiny', seed=1)
detector = StreamingDetector(model, threads=int(sys.argv[1]))
histogram = np.ones((20, 240, 304), np.uint8)
detector.step(histogram)
def step():
    try:
        print(len(detector.step(histogram)) >= 0)
    except Exception as error:
        print(type(error).__name__, error)
child = multiprocessing.get_context('fork').Process(target=step)
child.start()
child.join()
"""


@pytest.mark.parametrize(
    ('threads', 'said'), [(1, 'True'), (2, 'SettingError this process was forked')]
)
def test_a_forked_process_does_not_wait_for_threads_that_it_does_not_have(threads, said):
    variables = {**os.environ, 'OMP_NUM_THREADS': str(threads)}
    done = subprocess.run(
        [sys.executable, '-c', FORKED, str(threads)],
        capture_output=True,
        text=True,
        env=variables,
        timeout=120,
    )
    assert done.stdout.startswith(said), done.stderr
