# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What self-training gains on simulated drives of another domain.

    python benchmarks/self_training.py [--model default] [--recordings 16] [--seconds 4]
    [--held-out 20] [--steps 200] [--rounds 1] [--threshold 0.5] [--noise 5] [--night] [--keep DIR]
    [--json FILE]

The domain: drives whose camera has other contrast thresholds and more noise than those that the
weights have seen; with --night at night only. The weights are trained on recordings of it without
labels, as `sast-ros train --self-train` does, and measured on drives of other seeds before and
after. `norms` are the weights before with the statistics of batch norms of the new domain, which
costs no training. `labels`: of the targets that the recordings got, the share that is right (IoU
.5 and class), and the share of the true objects that are targets.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
import json
from pathlib import Path
import tempfile
from time import perf_counter
from typing import Any

import numpy as np
from sast_ros.detector import StreamingDetector
from sast_ros.evaluation.metrics.matching import iou_matrix
from sast_ros.histogram import StackedHistogram
from sast_ros.labels import CLASSES, MIN_VISIBILITY
from sast_ros.model import load_model, SAST
from sast_ros.process import limit_spinning
from sast_ros_training.simulation.camera import EventCamera
from sast_ros_training.simulation.sequence import SequenceWindow, SimulatedSequence
from sast_ros_training.training.averages import estimate_batch_norms
from sast_ros_training.training.cache import (
    CachedSequence,
    list_sequences,
    SequenceInfo,
    SequenceWriter,
)
from sast_ros_training.training.self_training.rounds import (
    default_config,
    self_train,
    SelfTraining,
)
from sast_ros_training.training.validation import describe, run_sequence, summarise
import torch
from workload import host, new_parser, write_results

#: First seeds of the recordings and of the held-out drives; no training uses them.
SEEDS = {'recording': 70_000_000, 'held-out': 80_000_000}


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument('--model', default='default')
    parser.add_argument('--recordings', type=int, default=16)
    parser.add_argument('--seconds', type=float, default=4.0)
    parser.add_argument('--held-out', type=int, default=20)
    parser.add_argument('--steps', type=int, default=200)
    parser.add_argument('--learning-rate', type=float, default=2e-4)
    parser.add_argument('--rounds', type=int, default=1)
    parser.add_argument('--threshold', type=float, default=0.5)
    parser.add_argument('--noise', type=float, default=5.0)
    parser.add_argument('--night', action='store_true')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--keep', type=Path, help='folder of drives and weights; kept and reused')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(arguments, arguments.keep or Path(folder))
    command = vars(arguments) | {'json': None, 'keep': None}
    write_results(arguments.json, {'command': command, 'host': host(), **result})


def run(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Simulate, measure, train, measure."""
    limit_spinning()
    torch.set_num_threads(arguments.threads)
    recordings = []
    for kind, count in (('recording', arguments.recordings), ('held-out', arguments.held_out)):
        for number, seed in zip(range(count), seeds(SEEDS[kind], arguments)):
            path = folder / kind / f'{number:04d}.safetensors'
            if not path.exists():
                write_drive(path, seed, arguments)
            recordings.append(path.with_suffix('.npz'))
    recordings = recordings[: arguments.recordings]
    held_out = list_sequences(folder / 'held-out')[: arguments.held_out]
    print(f'{len(recordings)} recordings and {len(held_out)} held-out drives', flush=True)
    model = load_model(arguments.model)
    rows = {'before': measure(model, held_out, 'before')}
    began = perf_counter()
    init = [Path(arguments.model)]
    config = default_config(init)
    config = replace(
        config,
        optimizer=replace(
            config.optimizer, max_steps=arguments.steps, learning_rate=arguments.learning_rate
        ),
        hardware=replace(config.hardware, devices=1, threads=arguments.threads),
        log_every=10,
    )
    settings = SelfTraining(tuple(recordings), arguments.rounds, labelled_share=0)
    summary = self_train(
        settings,
        config,
        folder / 'training',
        init,
        log=lambda text: print(text, flush=True),
        report=lambda step, total, values: print(f'step {step}: {values}', flush=True),
    )
    seconds = perf_counter() - began
    estimate_batch_norms(model, windows_of(list_sequences(folder / 'recording')))
    rows['norms'] = measure(model, held_out, 'norms')
    for number in range(1, arguments.rounds + 1):
        trained = load_model(folder / 'training' / f'round-{number}' / 'model.safetensors')
        rows[f'round {number}'] = measure(trained, held_out, f'round {number}')
    labels = {
        f'round {number}': judge(folder, folder / 'training' / f'round-{number}' / 'cache/train')
        for number in range(1, arguments.rounds + 1)
    }
    print(json.dumps(labels))
    return {
        'average_precision': rows,
        'labels': labels,
        'rounds': summary['rounds'],
        'training_seconds': round(seconds, 1),
    }


def seeds(first: int, arguments: argparse.Namespace) -> Iterator[int]:
    """Yield the seeds of drives, with --night of those at night."""
    for seed in range(first, first + 10_000_000):
        if not arguments.night or drive_of(seed, arguments).describe()['night']:
            yield seed


def drive_of(seed: int, arguments: argparse.Namespace) -> SimulatedSequence:
    drive = SimulatedSequence(seed, arguments.seconds)
    lean = (drive.settings.threshold_on / drive.settings.threshold_off) ** 0.5
    settings = replace(
        drive.settings,
        threshold_on=arguments.threshold * lean,
        threshold_off=arguments.threshold / lean,
        noise_hz=arguments.noise,
    )
    drive._camera = EventCamera(drive.height, drive.width, settings, seed)
    return drive


def write_drive(path: Path, seed: int, arguments: argparse.Namespace) -> None:
    """Write a drive with its labels as sequence of the cache, and its events as recording."""
    drive = drive_of(seed, arguments)
    histogram = StackedHistogram(drive.height, drive.width)
    size = drive.height, drive.width
    info = SequenceInfo(f'drive {seed}', CLASSES, size, 1, histogram.shape, drive.motion)
    writer, windows = SequenceWriter(info), []
    for window in drive.windows():
        counts = histogram(window.chunk).numpy()
        writer.add(counts, window.t_end, len(window.chunk), window.labels)
        windows.append(window)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_events(path.with_suffix('.npz'), drive, windows)
    writer.write(path)


def save_events(path: Path, drive: SimulatedSequence, windows: list[SequenceWindow]) -> None:
    chunks = [*(window.chunk for window in windows), drive.tail]
    columns = {name: np.concatenate([getattr(c, name) for c in chunks]) for name in 'xypt'}
    np.savez(path, **columns, height=drive.height, width=drive.width)


def measure(model: SAST, paths: list[Path], name: str) -> dict[str, Any]:
    detector = StreamingDetector(model, score_threshold=0.01, max_detections=100)
    results = [run_sequence(detector, CachedSequence(path)) for path in paths]
    found = summarise(results, model.config.classes)['all']
    print(f'{name}: {describe(found)}', flush=True)
    return found


def windows_of(paths: list[Path]) -> Iterator[torch.Tensor]:
    """Yield ten windows of each sequence, ``uint8[10, 1, channels, H, W]``, padded."""
    for path in paths:
        sequence = CachedSequence(path)
        channels, height, width = sequence.info.shape
        cells = torch.zeros(10, 1, channels, 256, 320, dtype=torch.uint8)
        for step in range(10):
            cells[step, 0, :, :height, :width] = torch.from_numpy(sequence.dense(step + 10))
        yield cells


def judge(folder: Path, labelled: Path) -> dict[str, float]:
    """Compare the labels of the recordings with the truth."""
    right = targets = found = objects = 0
    for path in list_sequences(folder / 'recording'):
        true = CachedSequence(path)
        by_time = {int(t): true.labels(window) for window, t in enumerate(true.t_end)}
        for part in labelled.glob(f'*_{path.stem}_*'):
            sequence = CachedSequence(part)
            for window, t in enumerate(sequence.t_end.tolist()):
                truth, own = by_time.get(t), sequence.labels(window)
                if truth is None:
                    continue
                own = own[own['visibility'] >= MIN_VISIBILITY]
                known = truth[truth['seen'] & (truth['visibility'] >= MIN_VISIBILITY)]
                same = iou_matrix(own, truth) >= 0.5
                same &= own['class_id'][:, None] == truth['class_id'][None]
                right += int(same.any(axis=1).sum())
                targets += len(own)
                same = iou_matrix(known, own) >= 0.5
                same &= known['class_id'][:, None] == own['class_id'][None]
                found += int(same.any(axis=1).sum())
                objects += len(known)
    return {
        'precision': round(right / max(1, targets), 3),
        'recall': round(found / max(1, objects), 3),
        'targets': targets,
        'objects': objects,
    }


if __name__ == '__main__':
    main()
