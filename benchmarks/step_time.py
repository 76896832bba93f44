# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Time of one detector step, and what each measure against it bought.

    python benchmarks/step_time.py [--models gen1-tiny gen1-base] [--threads 1 2] [--device cpu]
    [--json FILE]

Method of the table that the product is compared with: 9000 edge events in 50 ms on Gen1 (120 000
on 1 Mpx), recipe weights, carried state, 8 warm-up and 28 timed steps, wall clock. `network` is
backbone, FPN, head and sigmoid; `step` adds padding, boxes and NMS. `plain` is the same network as
PyTorch runs it without batch-norm folding, packed weights and heap settings, in the same run.
"""

from __future__ import annotations

import argparse
from itertools import cycle
from pathlib import Path

from sast_ros.detector import StreamingDetector
from sast_ros.histogram import StackedHistogram
from sast_ros.model import build_model, CONFIGS, SAST
from sast_ros.process import keep_heap
import torch
from workload import median_ms, outlines, recipe_weights, report


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--models', nargs='+', default=['gen1-tiny', 'gen1-base'], choices=list(CONFIGS)
    )
    parser.add_argument('--threads', nargs='+', type=int, default=[1, 2])
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    prepared = []
    for name in arguments.models:
        model = build_model(name).eval()
        model.load_state_dict(
            recipe_weights(model, gain=1.8 if 'base' in name or 'large' in name else 1.9)
        )
        model.to(arguments.device)
        sensor, events = ((240, 304), 9000) if name.startswith('gen1') else ((720, 1280), 120_000)
        histogram = StackedHistogram(
            *sensor, downsample=model.config.downsample, device=arguments.device
        )
        prepared.append(
            (name, model, [histogram(outlines(seed, *sensor, events)) for seed in range(4)])
        )
    rows = []
    plain = {}
    for tuned in (False, True):  # heap settings cannot be taken back: all plain runs come first
        if tuned:
            keep_heap()
        for name, model, inputs in prepared:
            for threads in arguments.threads:
                torch.set_num_threads(threads)
                if not tuned:
                    plain[name, threads] = _plain(model, inputs)
                    continue
                network, step, best, kept = _tuned(model, inputs)
                active = float((inputs[0] > 0).any(dim=0).float().mean())
                ratio = plain[name, threads] / network
                rows.append(
                    [
                        name,
                        threads,
                        f'{100 * active:.1f} %',
                        ' '.join(f'{share:.2f}' for share in kept),
                    ]
                    + [round(v, 1) for v in (plain[name, threads], network, step, best)]
                    + [f'{ratio:.2f}x']
                )
    columns = [
        'model',
        'threads',
        'active',
        'tokens kept',
        'plain ms',
        'network ms',
        'step ms',
        'best ms',
        'plain/network',
    ]
    report('step time', columns, rows, arguments.json)


def _tuned(model: SAST, inputs: list[torch.Tensor]) -> tuple[float, float, float, list[float]]:
    """Return the times of network and step, the best of the latter, and the shares of tokens."""
    detector = StreamingDetector(model, score_threshold=0.1)
    following = cycle(inputs)
    network, _ = median_ms(lambda: detector.raw_step(next(following))['head'].sum().item())
    step, best = median_ms(lambda: detector.step(next(following)))
    kept = detector.step(inputs[0]).kept
    return network, step, best, [share.tokens for share in kept]


def _plain(model: torch.nn.Module, inputs: list[torch.Tensor]) -> float:
    states = None

    def step() -> None:
        nonlocal states
        output = model(inputs[0][None], states)
        states = output.states
        output.head.sigmoid().sum().item()

    with torch.inference_mode():
        return median_ms(step)[0]


if __name__ == '__main__':
    main()
