# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The compiled loops of the network: the same results on every processor, never out of bounds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
import os
from pathlib import Path
import re
import subprocess
import sys

import numpy as np
import pytest
from sast_ros import kernels
from sast_ros.errors import SettingError
from sast_ros.kernels import library, pointer, read_structures
from sast_ros.model import build_model, load_model, untrained_model
from sast_ros.model.backbone import ConvLstm
from sast_ros.model.inference import cpu, Engine
from sast_ros.model.inference.packing import aligned, pack, Panel, winograd
from sast_ros.model.inference.plain import folded_copy
from sast_ros.model.inference.postprocess import probabilities, select_boxes
from sast_ros.model.inference.program import CONSTANTS, STRUCTURES
from sast_ros.model.sast import SAST
from sast_ros.model.selection import event_density
import torch
from torch import nn
import torch.nn.functional as F  # noqa: N812
from torch.testing import assert_close

#: Instruction sets that multiply and add in one operation, and give the same bits.
FUSED = {'avx2', 'avx512', 'neon'}

needs_bfloat16 = pytest.mark.skipif(not cpu.has_bfloat16(), reason='no AVX512-BF16')


@pytest.fixture(scope='module')
def inputs(reference_inputs):
    return reference_inputs('tiny')


@pytest.fixture
def engine_for(monkeypatch: pytest.MonkeyPatch):
    """Return a function that makes an engine for an instruction set and threads."""

    def make(
        model, instruction_set: str = '', threads: int = 1, precision: str = 'float32'
    ) -> Engine:
        monkeypatch.setenv(cpu.INSTRUCTION_SET, instruction_set)
        return Engine.for_model(model, threads=threads, precision=precision)

    return make


def run_steps(engine: Engine, histograms: torch.Tensor) -> list[list[torch.Tensor]]:
    """Return head, states and masks of each of the steps one after the other."""
    found, states = [], None
    for histogram in histograms:
        output = engine.step(histogram[None], states)
        states = output.states
        found.append([output.head, *(value for pair in states for value in pair)])
        found[-1] += [selection.mask for pair in output.selections for selection in pair]
    return found


def run(engine: Engine, histograms: torch.Tensor) -> list[torch.Tensor]:
    """Return everything that steps one after the other give."""
    return [value for step in run_steps(engine, histograms) for value in step]


@pytest.mark.parametrize('instruction_set', cpu.instruction_sets())
@pytest.mark.parametrize('name', ['gen1-tiny', 'gen1-small'])
def test_every_instruction_set_gives_the_results_of_the_reference(
    engine_for, instruction_set, name, inputs
):
    torch.manual_seed(0)
    model = build_model(name).eval()
    with torch.no_grad():
        for stage in model.backbone.stages:  # scores far enough apart that rounding flips none
            stage.att_blocks[0].att.to_scores.weight.mul_(30)
    engine = engine_for(model, instruction_set)
    assert engine.instruction_set == instruction_set
    states = None
    with torch.inference_mode():
        for histogram, (head, *rest) in zip(inputs, run_steps(engine, inputs)):
            expected = model(histogram[None], states)
            states = expected.states
            torch.testing.assert_close(head, expected.head, rtol=0, atol=1e-4)
            for value, wanted in zip(rest[:8], (v for pair in states for v in pair)):
                torch.testing.assert_close(value, wanted, rtol=0, atol=2e-5)
            wanted_masks = [s.mask for pair in expected.selections for s in pair]
            assert all(map(torch.equal, rest[8:], wanted_masks))


def test_results_depend_neither_on_threads_nor_on_the_instruction_set(
    engine_for, reference_model, inputs
):
    model = reference_model('tiny')
    for sets in (FUSED, set(cpu.instruction_sets()) - FUSED):
        results = [
            run(engine_for(model, name, threads), inputs)
            for name in cpu.instruction_sets()
            if name in sets
            for threads in (1, 2, 3)
        ]
        for other in results[1:]:
            assert all(map(torch.equal, results[0], other))


#: Prints the threads of a step of no operation in a process that loads OpenMP libraries, but not
#: PyTorch. The library after "limited" gives one thread only.
TEAM = """
import ctypes, os, sys
library, *openmp = sys.argv[1:]
for path in openmp:
    if path == 'limited':
        os.environ['OMP_THREAD_LIMIT'] = '1'
    else:
        ctypes.CDLL(path)
        os.environ.pop('OMP_THREAD_LIMIT', None)
run = ctypes.CDLL(library).sast_network_run
zero = ctypes.c_int64(0)
taken = (ctypes.c_int64 * 8)()
print(run(0, None, zero, None, ctypes.c_int64(2), None, zero, taken, None))
"""


@pytest.fixture(scope='module')
def openmp() -> bytes:
    """Return the OpenMP library of PyTorch under another SONAME than that of systems."""
    loaded = re.findall(r'/\S*/libgomp\S*', Path('/proc/self/maps').read_text())
    if not loaded:
        pytest.skip('PyTorch has loaded another OpenMP library')
    return Path(loaded[0]).read_bytes().replace(b'libgomp.so.1\0', b'libgomp-a.so\0')


@pytest.mark.parametrize(
    ('loaded', 'threads'),
    [
        ([], 1),
        (['other.libs/libgomp_tools.so'], 1),
        (['torch.libs/libgomp-d22c30c5.so.1.0.0'], 2),
        (['torch/lib/libgomp.so.1'], 2),
        (['lib/libgomp-1.so'], 2),
        (['limited', 'lib/libgomp-1.so'], 1),
        (['limited', 'other.libs/libgomp-1.so', 'torch.libs/libgomp-2.so'], 2),
        (['torch/lib/libgomp-2.so', 'limited', 'other.libs/libgomp-1.so'], 2),
        (['lib/libgomp-2.so', 'limited', 'torch.libs/libgomp-1.so'], 1),
    ],
    ids=str,
)
def test_threads_are_those_of_the_openmp_library_of_pytorch(tmp_path, openmp, loaded, threads):
    arguments = []
    for name in loaded:
        path = tmp_path / name
        arguments.append(name if name == 'limited' else str(path))
        if name != 'limited':
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(openmp)
    extension = next(Path(kernels.__file__).parent.glob('_kernels*.so'))
    command = [sys.executable, '-I', '-S', '-c', TEAM, str(extension), *arguments]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(found.stdout) == threads


def test_fewer_threads_than_wanted_are_reported_with_one_warning(
    engine_for, reference_model, inputs, monkeypatch
):
    class WithoutOpenMP:
        """The library, which does every step on one thread."""

        def __getattr__(self, name: str):
            return getattr(library, name)

        def sast_network_run(self, number, operations, count, step, threads, *rest):
            return library.sast_network_run(number, operations, count, step, 1, *rest)

    monkeypatch.setattr(cpu, 'library', WithoutOpenMP())
    engine = engine_for(reference_model('tiny'), threads=2)
    with pytest.warns(RuntimeWarning, match='one thread') as warned:
        for _ in range(3):
            engine.step(inputs[:1], None)
    assert len(warned) == 1
    assert engine.describe()['threads'] == engine.threads == 1
    assert '1 thread,' in str(engine)


def test_instruction_set_of_another_processor_is_refused(engine_for):
    known = ', '.join(cpu.instruction_sets())
    with pytest.raises(SettingError, match=f"SAST_ROS_INSTRUCTION_SET is 'sse9'.*has {known}"):
        engine_for(untrained_model('gen1-tiny'), 'sse9')


def test_calls_from_several_threads_do_not_mix(engine_for, reference_model, inputs):
    engine = engine_for(reference_model('tiny'))
    expected = [run(engine, inputs[[i]]) for i in range(len(inputs))]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            results = pool.map(lambda i: run(engine, inputs[[i]]), range(len(inputs)))
            for found, wanted in zip(results, expected):
                assert all(map(torch.equal, found, wanted))


def test_sizes_of_which_the_operations_were_forgotten_are_steps_like_any_other(
    engine_for, reference_model
):
    engine = engine_for(reference_model('tiny'))
    sizes = [(240, 304), (260, 346), (288, 352), (320, 384), (352, 416), (240, 304)]
    generator = torch.Generator().manual_seed(0)
    found = []
    for size in sizes:
        generator.manual_seed(0)
        histogram = torch.randint(0, 3, (1, 20, *size), generator=generator, dtype=torch.uint8)
        found.append(run(engine, histogram))
    assert all(map(torch.equal, found[0], found[-1]))


#: Steps of a network in arrays that are followed by ``SLACK`` bytes and a page without access.
GUARDED = """
import ctypes, mmap
import numpy as np
from sast_ros.model import untrained_model
from sast_ros.model.inference import cpu, Engine, packing, program
import torch

libc, kept = ctypes.CDLL(None), []

def guarded(shape, dtype=np.float32):
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    needed = -(-size // packing.LINE) * packing.LINE + packing.SLACK
    pages = -(-needed // mmap.PAGESIZE) * mmap.PAGESIZE
    kept.append(mmap.mmap(-1, pages + mmap.PAGESIZE))
    memory = np.frombuffer(kept[-1], np.uint8)
    guard = ctypes.c_void_p(memory.ctypes.data + pages)
    assert libc.mprotect(guard, ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    return memory[pages - needed :][:size].view(dtype).reshape(shape)

packing.aligned = program.aligned = cpu.aligned = guarded
torch.set_num_threads(1)
for dim_head in (1, 8, 16):
    model = untrained_model('gen1-tiny', embed_dim=16, dim_head=dim_head, frame=(32, 64))
    engine = Engine(model, 'cpu')
    engine.control.mode = 'dense'  # fills the memory of the attention
    engine.step(torch.ones(1, 20, 32, 64, dtype=torch.uint8), None)
"""


@pytest.mark.parametrize('instruction_set', cpu.instruction_sets())
def test_no_step_reads_far_beyond_its_arrays(instruction_set):
    environment = {**os.environ, cpu.INSTRUCTION_SET: instruction_set}
    subprocess.run([sys.executable, '-c', GUARDED], env=environment, check=True)


@pytest.mark.parametrize('size', [(32, 32), (64, 31), (7, 300), (96, 520), (1, 1), (33, 65)])
@pytest.mark.parametrize('share', [0.0, 0.003, 0.3, 1.0])
def test_density_of_any_size(size, share):
    height, width = size
    rng = np.random.default_rng(0)
    cells = (rng.random((20, height, width)) < share).astype(np.uint8) * 200
    padded_size = [-(-side // 32) * 32 for side in size]
    padded = torch.zeros(1, 20, *padded_size, dtype=torch.uint8)
    padded[0, :, :height, :width] = torch.from_numpy(cells)
    operation = aligned((1,), STRUCTURES['sast_op'])
    counts = aligned((4, 20), np.int32)
    lines = -(-padded_size[1] // 64)
    occupied = aligned((20, padded_size[0], lines), np.uint8)
    for name, value in {
        'kind': CONSTANTS['SAST_OCCUPANCY'],
        'channels': 20,
        'height': padded_size[0],
        'width': padded_size[1],
        'occupied': pointer(occupied),
        'counts': pointer(counts),
    }.items():
        operation[name] = value
    step = np.zeros((), STRUCTURES['sast_step'])
    step['histogram'], step['height'], step['width'] = cells.ctypes.data, height, width
    for number in range(len(cpu.instruction_sets())):
        each = library.sast_network_scratch(number, pointer(operation), 1)
        scratch, taken = aligned((each,)), aligned((8,), np.int64)
        library.sast_network_run(
            number, pointer(operation), 1, step.ctypes.data, 1, scratch, each, taken, None
        )
        density = torch.from_numpy(counts).float()
        for index, stride in enumerate((4, 8, 16, 32)):
            density[index] /= 20 * (padded_size[0] // stride) * (padded_size[1] // stride)
        torch.testing.assert_close(density[None], event_density(padded), rtol=1e-6, atol=0)


@pytest.mark.parametrize('stage', range(4))
@pytest.mark.parametrize('change', [(0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, -1), (1, 0, 0, 0)])
def test_a_state_of_another_shape_is_refused(stage, change):
    engine = Engine(untrained_model('gen1-tiny'), 'cpu')
    histogram = torch.zeros(1, 20, 240, 304, dtype=torch.uint8)
    states = list(engine.step(histogram, None).states)
    hidden, cell = states[stage]
    shape = [side + more for side, more in zip(cell.shape, change)]
    states[stage] = hidden, torch.zeros(shape)
    with pytest.raises(ValueError, match='^state has shape'):
        engine.step(histogram, states)


def test_states_of_any_layout_are_taken(reference_model, inputs):
    engine = Engine(reference_model('tiny'), 'cpu')
    states = engine.step(inputs[:1], None).states
    others = [(h.contiguous(), c.double()) for h, c in states]
    found, other = engine.step(inputs[1:2], states), engine.step(inputs[1:2], others)
    assert torch.equal(found.head, other.head)


def test_network_that_the_loops_cannot_run_is_slow_with_a_warning(inputs):
    model = untrained_model('gen1-tiny', embed_dim=24, dim_head=24)
    with pytest.warns(RuntimeWarning, match='embed_dim is 24; it must be a multiple of 16'):
        engine = Engine.for_model(model)
    assert engine.implementation == 'plain'
    assert engine.step(inputs[:1], None).head.shape == (1, 1680, 7)


def test_structures_of_a_header():
    header = """
        enum { SAST_ONE = 1, SAST_TWO = 2 }; /* SAST_NO = 3 */
struct pair {
  int64_t kind; /* of it; */
  const float *weights;
  double amp;
  void *slot[3];
};
"""
    structures, constants = read_structures(header)
    assert constants == {'SAST_ONE': 1, 'SAST_TWO': 2}
    assert structures['pair'] == np.dtype(
        [('kind', 'i8'), ('weights', 'i8'), ('amp', 'f8'), ('slot', 'i8', (3,))]
    )


@pytest.mark.parametrize('threshold', [0.0, 0.003, 0.05, 0.3, 0.9, 1.0])
def test_classes_are_left_out_only_where_no_score_can_reach_the_threshold(threshold, inputs):
    engine = Engine(load_model('default'), 'cpu')
    states = None
    boxes = 0
    for histogram in inputs:
        whole = engine.step(histogram[None], states)
        output, found = engine.detect(histogram[None], states, threshold, 0.45)
        states = output.states
        head = probabilities(whole.head[0])
        for one, two in zip(found.boxes, select_boxes(head, whole.input_size, threshold, 0.45)):
            assert np.array_equal(one, two)
        assert torch.equal(output.head[..., :5], whole.head[..., :5])
        likely = whole.head[..., 4].sigmoid() >= threshold
        assert torch.equal(output.head[likely], whole.head[likely])
        boxes += len(found.boxes[1])
        left_out = (output.head[..., 5:] == -100).float().mean()
        assert left_out == 0 if threshold == 0 else left_out > (0.5 if threshold >= 0.05 else 0)
    assert boxes > 0 or threshold >= 0.9


def rounded(value: torch.Tensor) -> torch.Tensor:
    """Return what bfloat16 leaves of float32."""
    return value.bfloat16().float()


@needs_bfloat16
@pytest.mark.parametrize('source', ['ROWS', 'PAIR', 'CONV'])
@pytest.mark.parametrize('rows', [1, 35])
def test_product_of_bfloat16_is_the_exact_one_of_rounded_operands(source, rows):
    number, inner, columns = len(cpu.instruction_sets()) - 1, 112, 80
    parts = {'ROWS': 1, 'PAIR': 2, 'CONV': 9}[source]
    generator = torch.Generator().manual_seed(0)
    a, a2 = torch.randn(2, rows, inner, generator=generator)
    b = torch.randn(parts * inner, columns, generator=generator)
    bias, y = torch.randn(columns, generator=generator), aligned((rows, columns))
    packed = pack(b, bias, Panel(library.sast_panel(number), half=True))
    operation = aligned((1,), STRUCTURES['sast_op'])
    for name, value in {
        'kind': CONSTANTS['SAST_PRODUCT'],
        'source': CONSTANTS[f'SAST_{source}'],
        'epilogue': CONSTANTS['SAST_BIAS'],
        **{'rows': rows, 'inner': inner, 'columns': columns, 'batch': 1, 'half': packed.half},
        **{'a': a.data_ptr(), 'a2': a2.data_ptr(), 'a_stride': inner},
        **{'b': pointer(packed.weight), 'bias': pointer(packed.bias)},
        **{'y': pointer(y), 'y_stride': columns},
        **{'height': rows, 'width': 1, 'out_height': rows, 'out_width': 1, 'step': 1},
    }.items():
        operation[name] = value
    each = library.sast_network_scratch(number, pointer(operation), 1)
    step, taken = aligned((1,), STRUCTURES['sast_step']), aligned((8,), np.int64)
    library.sast_network_run(
        number, pointer(operation), 1, pointer(step), 1, aligned((each,)), each, taken, None
    )
    if source == 'PAIR':
        a = torch.cat([a, a2], dim=1)
    elif source == 'CONV':  # of a map of one column: only the middle of each row of taps counts
        padded = F.pad(a, (0, 0, 1, 1))
        a = torch.cat([padded.narrow(0, i, rows) for i in range(3)], dim=1)
        b = b.view(3, 3, inner, columns)[:, 1].flatten(0, 1)
    wanted = rounded(a).double() @ rounded(b).double() + bias
    assert_close(torch.from_numpy(y), wanted.float(), rtol=0, atol=1e-4)
    assert (a.double() @ b.double() + bias - wanted).abs().max() > 1e-2


#: Transforms of tiles of F(4x4, 3x3).
INTO = torch.tensor(
    [
        *([4.0, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0]),
        *([0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]),
    ]
)
OUT_OF = torch.tensor(
    [[1.0, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
)


def rounded_winograd(conv: nn.Conv2d) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a 3x3 convolution of stride 1 whose products of tiles are of rounded operands."""
    columns, inner = conv.weight.shape[:2]
    points = winograd(conv.weight, conv.bias, Panel(columns)).weight[:, 0]
    weight = rounded(torch.from_numpy(points)).view(6, 6, inner, columns)

    def forward(x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[2:]
        padded = F.pad(x, (1, 1 + -width % 4, 1, 1 + -height % 4))
        tiles = INTO @ padded.unfold(2, 6, 4).unfold(3, 6, 4) @ INTO.T
        tiles = torch.einsum('bcyxij,ijcn->bnyxij', rounded(tiles), weight)
        found = (OUT_OF @ tiles @ OUT_OF.T).transpose(3, 4).flatten(4, 5).flatten(2, 3)
        return found[..., :height, :width] + conv.bias[:, None, None]

    return forward


def with_rounded_products(model: SAST) -> SAST:
    """Return a network whose products are of operands rounded to bfloat16, as in the engine."""
    network = folded_copy(model)

    def round_inputs(module: nn.Module, inputs: tuple) -> tuple:
        if isinstance(module, ConvLstm):
            x, state = inputs
            return rounded(x), state and (rounded(state[0]), state[1])
        return tuple(map(rounded, inputs))

    for name, module in network.named_modules():
        exact = 'to_' in name or '_preds' in name or name.startswith('backbone.stages.0.down')
        if isinstance(module, ConvLstm):
            module.register_forward_pre_hook(round_inputs)
        elif exact or not isinstance(module, (nn.Linear, nn.Conv2d)):
            continue
        elif module.weight.shape[2:] == (3, 3) and module.stride == (1, 1):
            module.forward = rounded_winograd(module)
        else:
            module.weight.data = rounded(module.weight)
            module.register_forward_pre_hook(round_inputs)
    return network


@needs_bfloat16
def test_half_precision_is_that_of_the_rounded_network(engine_for, reference_model, inputs):
    model = reference_model('tiny', selection='dense')  # no selection that rounding could flip
    half, emulated = engine_for(model, precision='bfloat16'), with_rounded_products(model)
    states = None
    with torch.inference_mode():
        for histogram in inputs:
            found, wanted, full = (
                (output.head, *(hidden for hidden, _ in output.states))
                for output in (n(histogram[None], states) for n in (half.step, emulated, model))
            )
            for one, other, exact in zip(found, wanted, full):
                # Beyond the first stage a last bit decides which way others are rounded, and so on
                error, rounding = ((v - exact).abs().mean() for v in (one, other))
                assert 0.8 < error / rounding < 1.25
            assert (found[1] - wanted[1]).abs().mean() < 0.1 * (wanted[1] - full[1]).abs().mean()
            states = model(histogram[None], states).states


@needs_bfloat16
def test_half_precision_selects_and_finds_nearly_the_same(engine_for, inputs):
    model = load_model('default')
    full, half = engine_for(model), engine_for(model, precision='bfloat16')
    states = None
    for histogram in inputs:
        wanted, found = full.step(histogram[None], states), half.step(histogram[None], states)
        states = wanted.states
        pairs = [
            (one.mask, other.mask)
            for stages in zip(wanted.selections, found.selections)
            for one, other in zip(*stages)
        ]
        flips = sum(int((one != other).sum()) for one, other in pairs)
        assert flips < 2e-3 * sum(one.numel() for one, _ in pairs)
        apart = probabilities(found.head) - probabilities(wanted.head)
        assert 0 < apart[..., 4:].abs().mean() < 2e-3


@needs_bfloat16
def test_half_precision_gives_the_same_bits_on_any_number_of_threads(
    engine_for, reference_model, inputs
):
    model = reference_model('tiny')
    results = [
        run(engine_for(model, threads=threads, precision='bfloat16'), inputs)
        for threads in (1, 2, 3)
    ]
    for other in results[1:]:
        assert all(map(torch.equal, results[0], other))
