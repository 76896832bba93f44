"""
Windows per second of a training step, and what the compiled loops buy.

    python benchmarks/train_step.py [--model gen1-tiny] [--sequences 8] [--windows 2]
    [--processes 1 2] [--steps 12] [--json FILE]

A step is forwards, loss, backwards, clipping and AdamW on edge events of various rates, with
carried state, bfloat16 autocast and untrained weights. Every process has one thread and its own
network (what they would send to each other is not measured); their rates are added up. `plain` is
the same step by PyTorch's own operations, window by window, in the same run. Best step of each
process.
"""

from __future__ import annotations

import argparse
from functools import partial
import gc
import multiprocessing
from pathlib import Path
import time

from sast_ros.histogram import StackedHistogram
from sast_ros.labels import CLASSES
from sast_ros.model import build_model, CONFIGS, detection_loss, SAST
from sast_ros.process import keep_heap
from sast_ros_training.training.cpu_autograd import forward_windows
import torch
from workload import outlines, report

RATES = (500, 2000, 4000, 9000, 20_000, 3000, 6000, 1000)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--model', default='gen1-tiny', choices=list(CONFIGS))
    parser.add_argument('--sequences', type=int, default=8, help='per step and process')
    parser.add_argument('--windows', type=int, default=2, help='of each sequence in a step')
    parser.add_argument('--processes', nargs='+', type=int, default=[1, 2])
    parser.add_argument('--steps', type=int, default=12)
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    context = multiprocessing.get_context('spawn')
    rows = []
    for count in arguments.processes:
        rates = {}
        for plain in (True, False):
            barrier, results = context.Barrier(count), context.Queue()
            workers = [
                context.Process(
                    target=_work,
                    args=(arguments.model, arguments.sequences, arguments.windows),
                    kwargs={
                        'steps': arguments.steps,
                        'plain': plain,
                        'barrier': barrier,
                        'results': results,
                    },
                )
                for _ in range(count)
            ]
            for worker in workers:
                worker.start()
            rates[plain] = sum(results.get() for _ in workers)
            for worker in workers:
                worker.join()
        shape = f'{arguments.sequences} x {arguments.windows}'
        ratio = f'{rates[False] / rates[True]:.2f}x'
        rows.append(
            [arguments.model, count, shape, *(round(rates[p], 1) for p in (True, False)), ratio]
        )
    columns = ['model', 'processes', 'sequences x windows', 'plain /s', 'windows/s', 'ratio']
    report('training step', columns, rows, arguments.json)


def _work(name: str, sequences: int, windows: int, *, steps, plain, barrier, results) -> None:
    """Put this process's windows per second."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    keep_heap()
    torch.manual_seed(0)
    model = build_model(name, classes=CLASSES).to(memory_format=torch.channels_last)
    forward = model.forward_windows if plain else partial(forward_windows, model)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)
    batches = [_batch(model, seed, sequences, windows) for seed in range(3)]
    gc.freeze()
    gc.disable()
    barrier.wait()
    states, best = None, float('inf')
    for index in range(steps):
        histograms, labels = batches[index % len(batches)]
        start = time.perf_counter()
        with torch.autocast('cpu', torch.bfloat16):
            output = forward(histograms, states)
        loss = detection_loss(output.head, labels, output.input_size)
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        best = min(best, time.perf_counter() - start)
        states = [(h.detach(), c.detach()) for h, c in output.states]
    results.put(sequences * windows / best)


def _batch(model: SAST, seed: int, sequences: int, windows: int):
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
