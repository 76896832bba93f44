# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The network on a GPU: is it right, and how long does a step take.

    python benchmarks/gpu.py [--models gen1-tiny gen1-base 1mpx-base] [--device cuda] [--json FILE]

One file, one call, under eight minutes; it needs PyTorch with safetensors and this repository, and
builds the compiled loops (a C compiler, some seconds) where they are missing.

Ways to run a step, in changing order in one process, state carried:

* plain: the reference in PyTorch, operator by operator, then boxes on the host.
* masked: static shapes, operator by operator, boxes on the device.
* graph: the same, captured as one CUDA graph.

`step` is wall clock from a histogram in host memory to boxes in host memory, `network` from a
histogram on the device to a device that has finished. float32 is IEEE (no TF32); with float16 and
bfloat16 plain runs under autocast, the others compute all behind the selection in it. `flips`:
decisions of the selection that differ from plain float32 on the CPU given the same states, in all
windows; `error`: largest difference of the head's raw output. Weights are those of the parity
tests; the inputs of gen1 are theirs too, whose selections keep a distance from their thresholds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import nullcontext
from importlib.machinery import EXTENSION_SUFFIXES
from itertools import cycle
from pathlib import Path
import subprocess
import sys
import time
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / 'benchmarks')]

MODELS = ('gen1-tiny', 'gen1-base', '1mpx-base')
PRECISIONS = ('float32', 'float16', 'bfloat16')
WAYS = ('plain', 'masked', 'graph')
SCORE_THRESHOLD, NMS_IOU = 0.05, 0.45
#: Of raw outputs in float32; flips are allowed in half precision only, up to this share.
MAX_ERROR, MAX_FLIPS = 2e-4, 0.005


def build_kernels() -> None:
    """Build the compiled loops where they are missing; end with one sentence if that fails."""
    folder = REPOSITORY / 'sast_ros' / 'kernels'
    if any((folder / f'_kernels{suffix}').exists() for suffix in EXTENSION_SUFFIXES):
        return
    command = [sys.executable, 'setup.py', '-q', 'build_ext', '--inplace']
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ['no output'])[-1]
        sys.exit(f'gpu.py: the compiled loops cannot be built ({reason}); install gcc, setuptools')


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--models', nargs='+', choices=MODELS, default=MODELS)
    parser.add_argument('--precisions', nargs='+', choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument('--device', default='cuda', help='cuda, cuda:N, or cpu to try the script')
    parser.add_argument('--runs', type=int, default=60, help='timed steps of each way')
    parser.add_argument('--seconds', type=float, default=420, help='start nothing new after them')
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    build_kernels()
    import torch
    from workload import report

    if arguments.device.startswith('cuda') and not torch.cuda.is_available():
        sys.exit('gpu.py: PyTorch finds no GPU; --device cpu tries the script without one')
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision('highest')
    started, rows, wrong = time.perf_counter(), [], []
    columns: list[str] = []
    for name in arguments.models:
        case = Case(name, arguments.device)
        for precision in arguments.precisions:
            if time.perf_counter() - started > arguments.seconds:
                print(f'no time left for {name} {precision}')
                continue
            for row in case.measure(precision, arguments.runs):
                rows.append([name, precision, *row.values()])
                columns = ['model', 'precision', *row]
                if not acceptable(precision, row):
                    wrong.append(f'{name} {precision} {row["way"]}')
    if not rows:
        print('nothing was measured')
        return 1
    report('network on a GPU', columns, rows, arguments.json)
    if arguments.device != 'cpu':
        histogram_times(arguments.device)
    print(f'parity: {"; ".join(wrong) + " IS WRONG" if wrong else "right"}')
    return 1 if wrong else 0


def acceptable(precision: str, row: dict[str, Any]) -> bool:
    """Return whether the results are those of the reference, as far as the precision allows."""
    if row['boxes'] != 'equal':
        return False
    if precision == 'float32':
        return row['flips'] == 0 and row['error'] <= MAX_ERROR
    return row['flips'] <= MAX_FLIPS * row['decisions']


class Case:
    """One network on one device with its inputs, and what plain PyTorch gives on the CPU."""

    def __init__(self, name: str, device: str) -> None:
        from sast_ros.model import build_model
        import torch
        from workload import recipe_weights

        self.name, self.device = name, device
        model = build_model(name).eval()
        model.load_state_dict(recipe_weights(model, gain=1.9 if 'tiny' in name else 1.8))
        self.inputs = self._inputs(model.config)
        self.expected, states = [], None
        with torch.inference_mode():
            for histogram in self.inputs:
                before, output = states, model(histogram, states)
                states = output.states
                self.expected.append((histogram, before, output))
        self.model = model.to(device)

    def _inputs(self, config: Any) -> list[Any]:
        """Return ``uint8[1, channels, H, W]`` histograms of consecutive windows."""
        import numpy as np
        from sast_ros.histogram import StackedHistogram
        import torch
        from workload import outlines

        stored = REPOSITORY / 'test' / 'data' / f'{self.name.replace("-", "_")}_inputs.npz'
        if stored.exists():
            with np.load(stored) as arrays:
                dense = np.zeros(arrays['shape'], np.uint8)
                dense.reshape(-1)[arrays['index']] = arrays['value']
            return list(torch.from_numpy(dense)[:, None])
        sensor = [side * config.downsample for side in config.frame]
        histogram = StackedHistogram(*sensor, downsample=config.downsample)
        return [histogram(outlines(seed, *sensor, 120_000))[None] for seed in range(2)]

    def measure(self, precision: str, runs: int) -> list[dict[str, Any]]:
        """Return a row for each way to run a step."""
        import torch

        ways, networks = {}, {}
        for way in WAYS:
            if way == 'graph' and self.device == 'cpu':
                continue
            networks[way] = self.network(way, precision)
            ways[way] = self.parity(networks[way])
        times: dict[str, list[list[float]]] = {way: [[], []] for way in ways}
        rounds = max(runs // 10, 1)
        for index in range(rounds):
            for way in list(ways)[:: 1 if index % 2 else -1]:
                for part, measured in enumerate(self.times(networks[way], runs // rounds)):
                    times[way][part] += measured
        rows = []
        for way, found in ways.items():
            step, network = (sorted(values) for values in times[way])
            rows.append(
                {
                    'way': way,
                    'step ms': round(step[len(step) // 2], 2),
                    'best': round(step[0], 2),
                    'network ms': round(network[len(network) // 2], 2),
                    'network best': round(network[0], 2),
                    **found,
                }
            )
        if self.device != 'cpu':
            torch.cuda.empty_cache()
        return rows

    def network(self, way: str, precision: str) -> Network:
        from sast_ros.model.inference.cuda import GraphNetwork
        from sast_ros.model.inference.plain import folded_copy
        import torch

        dtype, folded = getattr(torch, precision), folded_copy(self.model)
        if way == 'plain':
            return Network(folded, self.device, dtype)
        network = GraphNetwork(folded, dtype, capture=way == 'graph')
        network.box_control.score_threshold = SCORE_THRESHOLD
        network.box_control.nms_iou = NMS_IOU
        return Network(network, self.device)

    def parity(self, network: Network) -> dict[str, Any]:
        """Compare every step with that of plain PyTorch on the CPU from the same states."""
        import numpy as np
        from sast_ros.model.inference.postprocess import probabilities, select_boxes

        flips, decisions, error, equal = 0, 0, 0.0, True
        for histogram, before, expected in self.expected:
            states = before and [(h.to(self.device), c.to(self.device)) for h, c in before]
            output, boxes = network.step(histogram, states)
            for pair, expected_pair in zip(output.selections, expected.selections):
                for one, two in zip(pair, expected_pair):
                    decisions += two.mask.numel()
                    flips += int((one.mask.cpu() != two.mask).sum())
            error = max(error, float((output.head.cpu() - expected.head).abs().max()))
            head = probabilities(output.head[0].float())
            wanted = select_boxes(head, output.input_size, SCORE_THRESHOLD, NMS_IOU)
            # The exponential of the host is another one
            equal &= all(
                a.shape == b.shape and np.allclose(a, b, rtol=2e-6, atol=1e-4)
                for a, b in zip(boxes, wanted)
            )
        return {
            'flips': flips,
            'decisions': decisions,
            'error': float(f'{error:.1e}'),
            'boxes': 'equal' if equal else 'OTHER',
        }

    def times(self, network: Network, runs: int) -> tuple[list[float], list[float]]:
        """Return milliseconds of whole steps, and of the network alone."""
        on_device = cycle([histogram.to(self.device) for histogram in self.inputs])
        on_host = cycle(self.inputs)
        states = None

        def step() -> None:
            nonlocal states
            states = network.step(next(on_host), states)[0].states

        def advance() -> None:
            nonlocal states
            states = network.advance(next(on_device), states).states
            network.wait()

        return timed(step, runs), timed(advance, runs)


class Network:
    """A way to run a step; ``dtype``: of autocast, for the plain network."""

    def __init__(self, network: Any, device: str, dtype: Any = None) -> None:
        import torch

        self.network, self.device, self.plain = network, device, dtype is not None
        half = self.plain and dtype != torch.float32
        kind = torch.device(device).type
        self.autocast = (lambda: torch.autocast(kind, dtype=dtype)) if half else nullcontext

    def advance(self, histogram: Any, states: Any) -> Any:
        import torch

        with torch.inference_mode(), self.autocast():
            return self.network(histogram.to(self.device) if self.plain else histogram, states)

    def step(self, histogram: Any, states: Any) -> tuple[Any, Any]:
        """Return the output, and the boxes in host memory."""
        from sast_ros.model.inference.postprocess import probabilities, select_boxes

        output = self.advance(histogram, states)
        if not self.plain:
            return output, self.network.download().boxes
        head = probabilities(output.head[0].float())
        return output, select_boxes(head, output.input_size, SCORE_THRESHOLD, NMS_IOU)

    def wait(self) -> None:
        import torch

        if self.device != 'cpu':
            torch.cuda.synchronize(self.device)


def timed(action: Callable[[], None], runs: int) -> list[float]:
    """Return the milliseconds of every run after two others."""
    times = []
    for index in range(2 + runs):
        start = time.perf_counter()
        action()
        if index >= 2:
            times.append(1e3 * (time.perf_counter() - start))
    return times


def histogram_times(device: str) -> None:
    """Print how long a histogram takes: counted on the device, or on the host and uploaded."""
    from sast_ros.histogram import StackedHistogram
    import torch
    from workload import outlines

    for sensor, downsample, count in (((240, 304), 1, 9000), ((720, 1280), 2, 120_000)):
        events = outlines(0, *sensor, count)
        there = StackedHistogram(*sensor, downsample=downsample, device=device)
        here = StackedHistogram(*sensor, downsample=downsample)
        assert torch.equal(there(events).cpu(), here(events))

        def on_device(count=there, events=events) -> None:
            count(events)
            torch.cuda.synchronize(device)

        def on_host(count=here, events=events) -> None:
            count(events).to(device)
            torch.cuda.synchronize(device)

        best = [min(timed(action, 30)) for action in (on_device, on_host)]
        print(
            f'histogram of {count} events, {sensor[1]}x{sensor[0]}: {best[0]:.2f} ms on the '
            f'device, {best[1]:.2f} ms on the host and uploaded'
        )


if __name__ == '__main__':
    sys.exit(main())
