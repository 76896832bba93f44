# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Windows per second of a training step, by precision.

    python benchmarks/train_step.py [--model gen1-tiny] [--sequences 8] [--windows 2]
    [--processes 1 2] [--steps 12] [--instruction-sets native avx2] [--json FILE]

A step is forwards, loss, backwards, clipping and AdamW on edge events of various rates, with
carried state and untrained weights. Every process has one thread and its own network (what they
would send to each other is not measured); their rates are added up. The median step of each
process: every batch has selections of other sizes, and in bfloat16 new sizes take longer.
`avx2` makes PyTorch, oneDNN and MKL do without AVX-512.
"""

from __future__ import annotations

import gc
from itertools import product
import multiprocessing
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
import os
import statistics
import time
from unittest import mock

from sast_ros.histogram import StackedHistogram
from sast_ros.labels import CLASSES
from sast_ros.model import build_model, CONFIGS, detection_loss, SAST
from sast_ros.process import keep_heap
from sast_ros_training.training.hardware import attention_backend
import torch
from torch import Tensor
from workload import new_parser, outlines, report

ENVIRONMENTS = {
    'native': {},
    'avx2': {
        'ATEN_CPU_CAPABILITY': 'avx2',
        'ONEDNN_MAX_CPU_ISA': 'AVX2',
        'MKL_ENABLE_INSTRUCTIONS': 'AVX2',
    },
}
RATES = (500, 2000, 4000, 9000, 20_000, 3000, 6000, 1000)


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument('--model', default='gen1-tiny', choices=list(CONFIGS))
    parser.add_argument('--sequences', type=int, default=8, help='per step and process')
    parser.add_argument('--windows', type=int, default=2, help='of each sequence in a step')
    parser.add_argument('--processes', nargs='+', type=int, default=[1, 2])
    parser.add_argument('--steps', type=int, default=20)
    parser.add_argument(
        '--instruction-sets', nargs='+', default=list(ENVIRONMENTS), choices=list(ENVIRONMENTS)
    )
    arguments = parser.parse_args()
    context = multiprocessing.get_context('spawn')
    shape = f'{arguments.sequences} x {arguments.windows}'
    rows = []
    for name, count, precision in product(
        arguments.instruction_sets, arguments.processes, ('fp32', 'bf16')
    ):
        barrier, results = context.Barrier(count), context.Queue()
        work = (arguments.model, arguments.sequences, arguments.windows, precision)
        workers = [
            context.Process(target=_work, args=(*work, arguments.steps, barrier, results))
            for _ in range(count)
        ]
        with mock.patch.dict(os.environ, ENVIRONMENTS[name]):  # read when PyTorch is loaded
            for worker in workers:
                worker.start()
        found = [results.get() for _ in workers]
        for worker in workers:
            worker.join()
        rate = sum(rate for rate, _ in found)
        rows.append([arguments.model, found[0][1], count, shape, precision, round(rate, 1)])
    columns = [
        'model',
        'instruction set',
        'processes',
        'sequences x windows',
        'precision',
        'windows/s',
    ]
    report('training step', columns, rows, arguments.json)


def _work(
    name: str,
    sequences: int,
    windows: int,
    precision: str,
    steps: int,
    barrier: Barrier,
    results: Queue[tuple[float, str]],
) -> None:
    """Put this process's windows per second and its instruction set."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    keep_heap()
    torch.manual_seed(0)
    model = build_model(name, classes=CLASSES)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)
    batches = [_batch(model, seed, sequences, windows) for seed in range(6)]
    gc.freeze()
    gc.disable()
    barrier.wait()
    states, seconds = None, []
    for index in range(steps):
        histograms, labels = batches[index % len(batches)]
        start = time.perf_counter()
        with (
            torch.autocast('cpu', torch.bfloat16, enabled=precision == 'bf16'),
            attention_backend(),
        ):
            output = model.forward_windows(histograms, states)
        loss = detection_loss(output.head, labels, output.input_size)
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        seconds.append(time.perf_counter() - start)
        states = [(h.detach(), c.detach()) for h, c in output.states]
    rate = sequences * windows / statistics.median(seconds[2:])
    results.put((rate, torch.backends.cpu.get_cpu_capability()))


def _batch(model: SAST, seed: int, sequences: int, windows: int) -> tuple[Tensor, Tensor]:
    """Return histograms ``[windows, sequences, channels, H, W]`` and labels of all of them."""
    gen1 = model.config.name.startswith('gen1')
    height, width = (240, 304) if gen1 else (720, 1280)
    histogram = StackedHistogram(height, width, downsample=model.config.downsample)
    images = [
        histogram(outlines(seed * 1000 + k, height, width, RATES[k % 8] * (1 if gen1 else 13)))
        for k in range(windows * sequences)
    ]
    histograms = torch.stack(images).unflatten(0, (windows, sequences))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.zeros(windows * sequences, 4, 5)
    for sample, rows in enumerate(labels):
        count = 1 + sample % 4
        rows[:count, 0] = torch.arange(count) % 3
        low, span = torch.tensor([40.0, 30, 15, 15]), torch.tensor([200.0, 160, 60, 40])
        rows[:count, 1:] = low + span * torch.rand(count, 4, generator=generator)
    return histograms, labels


if __name__ == '__main__':
    main()
