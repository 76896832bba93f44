# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Inputs, weights and measuring that the benchmarks (and the parity tests) share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from importlib.metadata import version
import json
import os
from pathlib import Path
import platform
import sys
import time
from typing import Any
import zlib

import numpy as np
from sast_ros.events import EventChunk
import torch

REPOSITORY = Path(__file__).resolve().parent.parent


def recipe_weights(model: torch.nn.Module, gain: float) -> dict[str, torch.Tensor]:
    """
    Weights made from the name of each tensor.

    Selections depend on the scene (those of untrained weights hardly do). ``gain``: factor of the
    weights of FPN and head: 1.9 for tiny, 1.8 for base.
    """
    made = {}
    for name, tensor in model.state_dict().items():
        if name.endswith('num_batches_tracked'):
            continue
        shape = tuple(tensor.shape)
        u = 2 * np.random.RandomState(zlib.crc32(name.encode('ascii'))).random_sample(shape) - 1
        leaf = name.rsplit('.', 1)[-1]
        norm = '.norm' in name or '.bn.' in name
        if leaf == 'running_mean':
            value = 0.1 * u
        elif leaf == 'running_var':
            value = 1 + 0.3 * u
        elif norm:
            value = 1 + 0.2 * u if leaf == 'weight' else 0.1 * u
        elif leaf == 'gamma':
            value = 0.5 + 0.2 * u
        elif 'to_controls' in name:
            value = 1 + 0.2 * u
        elif leaf == 'weight':
            factor = gain if name.startswith('fpn.') or 'yolox_head.' in name else 1
            for part, special in (
                ('to_scores', 4),
                ('cls_preds.', 3),
                ('obj_preds.', 3),
                ('reg_preds.', 0.8),
            ):
                factor = special if part in name else factor
            value = factor * np.sqrt(3 / np.prod(shape[1:])) * u
        else:
            value = 0.1 * u - 1.5 * ('cls_preds' in name) - 2.5 * ('obj_preds' in name)
        made[name] = torch.from_numpy(
            value.astype(np.float32).astype(np.float16).astype(np.float32)
        )
    return made


def outlines(
    seed: int, height: int, width: int, count: int, duration_us: int = 50_000
) -> EventChunk:
    """
    Events on the edges of a few moving rectangles, plus 4 % noise.

    About 8 % of the pixels are active at 9000 events on Gen1.
    """
    random = np.random.default_rng(seed)
    noise = count // 25
    edge = count - noise
    boxes = random.uniform([0, 0, 0.06, 0.06], [0.8, 0.8, 0.3, 0.3], (8, 4)) * [
        width,
        height,
        width,
        height,
    ]
    left, top, w, h = boxes[random.integers(0, 8, edge)].T
    along, side = random.random(edge), random.integers(0, 4, edge)
    x = np.where(side < 2, left + w * (side % 2), left + w * along) + random.normal(0, 1.5, edge)
    y = np.where(side < 2, top + h * along, top + h * (side % 2)) + random.normal(0, 1.5, edge)
    return EventChunk(
        np.concatenate([np.clip(x, 0, width - 1), random.integers(0, width, noise)]).astype(
            np.uint16
        ),
        np.concatenate([np.clip(y, 0, height - 1), random.integers(0, height, noise)]).astype(
            np.uint16
        ),
        random.integers(0, 2, count).astype(np.uint8),
        np.sort(random.integers(0, duration_us, count)),
        width=width,
        height=height,
    )


def median_ms(
    action: Callable[[], object], warm_up: int = 8, runs: int = 28
) -> tuple[float, float]:
    """Wall-clock milliseconds of an action: (median, best)."""
    times = []
    for index in range(warm_up + runs):
        start = time.perf_counter()
        action()
        if index >= warm_up:
            times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times)), min(times)


def host() -> dict[str, Any]:
    """Return what a result must be read with: processor, cores, load, versions."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.exists():
        names = [
            line.split(':', 1)[1].strip()
            for line in cpuinfo.read_text().splitlines()
            if 'model name' in line
        ]
        model = names[0] if names else model
    return {
        'date': datetime.now(timezone.utc).date().isoformat(),
        'processor': model,
        'cores': len(os.sched_getaffinity(0)),
        'load_1min': round(os.getloadavg()[0], 2),
        'gpu': torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        'python': platform.python_version(),
        'instruction_set': torch.backends.cpu.get_cpu_capability(),
        **{name: version(name) for name in ('torch', 'numpy')},
    }


def report(title: str, columns: list[str], rows: list[list[Any]], json_path: Path | None) -> None:
    """Print a table with the host below it, and write both as JSON if a path is given."""
    widths = [max(len(str(row[i])) for row in [columns, *rows]) for i in range(len(columns))]
    print(title)
    for row in [columns, *rows]:
        print('  '.join(str(value).ljust(width) for value, width in zip(row, widths)).rstrip())
    print(', '.join(f'{key} {value}' for key, value in host().items()), file=sys.stdout)
    if json_path is not None:
        result = {
            'benchmark': title,
            'host': host(),
            'results': [dict(zip(columns, row)) for row in rows],
        }
        json_path.write_text(json.dumps(result, indent=1) + '\n')
