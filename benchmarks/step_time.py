# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Time of the network against threads, model size, event density and instruction set.

    python benchmarks/step_time.py [--models gen1-tiny gen1-base 1mpx-base] [--threads 1 2 3 4]
    [--active 0.2 2 8 20 40] [--instruction-sets avx512 avx2] [--seconds 4] [--json FILE]
    [--full]

Opponents take turns in one process, step by step, so that other work on the machine meets all
alike: `plain`, the network as PyTorch runs it; `engine`, what the detector runs; `dense`, the
same with every token selected; `bfloat16`, the engine in half precision where the processor has
instructions for it. Synthetic edge events, recipe weights, carried state. `network`
is everything from the histogram to the output of the head; minima, and medians in brackets. Each
instruction set has a process of its own, which is held to it (compiled loops, PyTorch, oneDNN and
MKL). Densities are compared with the first number of threads and threads at 8 % (or the density
nearest to it), unless --full asks for every pair. The table is Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
import json
from pathlib import Path
import subprocess
import sys
from typing import Any, TYPE_CHECKING

from sast_ros.output import write_file
from sast_ros.process import (
    hold_to_instruction_set,
    INSTRUCTION_SETS,
    keep_heap,
    limit_spinning,
    processor_extensions,
)

if TYPE_CHECKING:  # the instruction set must be chosen before torch is imported
    from sast_ros.model import SAST
    from torch import Tensor

USUAL_DENSITY = 8.0
COLUMNS = (
    *('instruction set', 'model', 'threads', 'active', 'tokens kept'),
    *('plain ms', 'engine ms', 'dense ms', 'plain / engine', 'dense / engine'),
    *('bfloat16 ms', 'engine / bfloat16'),
)


def main() -> None:
    """Measure in a child process for each instruction set, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--models', nargs='+', default=['gen1-tiny', 'gen1-base', '1mpx-base'])
    parser.add_argument('--threads', nargs='+', type=int, default=[1, 2, 3, 4])
    parser.add_argument('--active', nargs='+', type=float, default=[0.2, 2, 8, 20, 40])
    parser.add_argument(
        '--instruction-sets', nargs='+', choices=INSTRUCTION_SETS, default=available()
    )
    parser.add_argument('--seconds', type=float, default=4.0, help='of each row')
    parser.add_argument('--full', action='store_true')
    parser.add_argument('--json', type=Path)
    parser.add_argument('--child', action='store_true', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        measure(arguments)
        return
    hosts, rows = {}, []
    print(f'| {" | ".join(COLUMNS)} |\n{"|---" * len(COLUMNS)}|', flush=True)
    for name in arguments.instruction_sets:
        command = [sys.executable, *sys.argv, '--child', '--instruction-sets', name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            hosts[name] = json.loads(child.stdout.readline())
            for line in child.stdout:
                rows.append({'instruction_set': name, **json.loads(line)})
                print(markdown(rows[-1]), flush=True)
        if child.returncode:
            sys.exit(child.returncode)
    slower = [row for row in rows if row['engine']['min_ms'] > row['plain']['min_ms']]
    print(f'\nslower than plain: {len(slower)} of {len(rows)} rows')
    for name, host in hosts.items():
        print(f'{name}: ' + ', '.join(f'{key} {value}' for key, value in host.items()))
    if arguments.json is not None:
        result = {'benchmark': 'step time', 'hosts': hosts, 'results': rows}
        write_file(arguments.json, json.dumps(result, indent=1) + '\n')


def available() -> list[str]:
    """Return the instruction sets of this processor to compare."""
    extensions = processor_extensions()
    return [
        name
        for name, extension in (('avx512', 'avx512f'), ('avx2', 'avx2'), ('neon', 'asimd'))
        if extension in extensions
    ] or ['baseline']


def markdown(row: dict[str, Any]) -> str:
    """Return a line of the table."""
    plain, engine, dense = (row[name] for name in ('plain', 'engine', 'dense'))
    times = [f'{one["min_ms"]:.1f} ({one["median_ms"]:.1f})' for one in (plain, engine, dense)]
    ratios = [f'{one["min_ms"] / engine["min_ms"]:.2f}x' for one in (plain, dense)]
    if half := row.get('bfloat16'):
        ratios.append(f'{half["min_ms"]:.1f} ({half["median_ms"]:.1f})')
        ratios.append(f'{engine["min_ms"] / half["min_ms"]:.2f}x')
    else:
        ratios += ['-', '-']
    kept = ' '.join(f'{100 * share:.0f}' for share in row['kept_tokens'])
    cells = [row['instruction_set'], row['model'], row['threads'], f'{100 * row["active"]:.1f} %']
    return f'| {" | ".join(str(cell) for cell in [*cells, f"{kept} %", *times, *ratios])} |'


# ------------------------------------------------------------- in the process of the measurement


def measure(arguments: argparse.Namespace) -> None:
    """Print a line of JSON for the host, and one for each row."""
    hold_to_instruction_set(arguments.instruction_sets[-1])
    limit_spinning()
    keep_heap()
    from sast_ros.bench.parts import bench_model
    from sast_ros.bench.workload import active_share, windows_of_density
    from sast_ros.histogram import StackedHistogram
    from sast_ros.pipeline import default_sensor_size
    import torch
    from workload import host

    print(json.dumps(host()), flush=True)
    for name in arguments.models:
        model, _ = bench_model(name)
        size = default_sensor_size(model.config)
        histogram = StackedHistogram(*size, downsample=model.config.downsample)
        inputs = {
            density: windows_of_density(histogram, size, density / 100)
            for density in arguments.active
        }
        for threads, density in pairs(arguments):
            torch.set_num_threads(threads)
            row = compare(model, inputs[density], arguments.seconds)
            facts = {'model': name, 'threads': threads, 'active': active_share(inputs[density])}
            print(json.dumps({**facts, **row}), flush=True)


def pairs(arguments: argparse.Namespace) -> Iterator[tuple[int, float]]:
    """Yield threads and densities to measure together."""
    usual = min(arguments.active, key=lambda density: abs(density - USUAL_DENSITY))
    for threads in arguments.threads:
        for density in arguments.active:
            if arguments.full or density == usual or threads == arguments.threads[0]:
                yield threads, density


def compare(model: SAST, inputs: list[Tensor], seconds: float) -> dict[str, Any]:
    """Return the times of the opponents, and the shares of tokens that the engine keeps."""
    from dataclasses import asdict

    from sast_ros.bench.timing import time_actions
    from sast_ros.detector import StreamingDetector
    from sast_ros.model.inference import cpu
    import torch

    adaptive, dense = StreamingDetector(model), StreamingDetector(model)
    dense.configure_sparsity('dense')
    opponents = {
        'plain': stepping(model, inputs),
        'engine': stepping(adaptive.engine.step, inputs),
        'dense': stepping(dense.engine.step, inputs),
    }
    if cpu.has_bfloat16():
        half = StreamingDetector(model, precision='bfloat16')
        opponents['bfloat16'] = stepping(half.engine.step, inputs)
    with torch.inference_mode():
        times = time_actions(opponents, seconds)
    kept = adaptive.step(inputs[0]).kept
    return {
        **{name: asdict(timing) for name, timing in times.items()},
        'kept_tokens': [round(share.tokens, 4) for share in kept],
        'engine_facts': adaptive.engine.describe(),
    }


def stepping(step: Callable[..., Any], inputs: list[Tensor]) -> Callable[[], None]:
    """Return an action that makes one step with the next input and the state of the last."""
    states, count = None, 0

    def action() -> None:
        nonlocal states, count
        states = step(inputs[count % len(inputs)][None], states).states
        count += 1

    return action


if __name__ == '__main__':
    main()
