# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
How well objects keep their numbers in held-out simulated drives, and what the tracker takes.

    python benchmarks/tracking_quality.py [--model default] [--sequences 30] [--seconds 5]
    [--seed 2026] [--workers 2] [--objects 20] [--json FILE]

The drives and what counts in them are those of simulated_quality.py, by the cameras of which
results are printed. F1 is what IDF1 would be if each of the boxes that have a number had the right
one: the rest is missed, or is no labelled object. `--sequences 0` measures the time alone: a step
of the tracker with so many objects that move, each detected, and with none detected.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
import multiprocessing
from typing import Any

import numpy as np
from sast_ros.bench.timing import time_actions, Timing
from sast_ros.detections import Detections
from sast_ros.evaluation.box_filter import BOXES_GEN1
from sast_ros.evaluation.metrics.matching import match_recording, MatchedRecording
from sast_ros.evaluation.metrics.tracking import tracking_metrics
from sast_ros.evaluation.pairing import PairedRecording
from sast_ros.tracking import Tracker
from simulated_quality import make_frame, run
from workload import host, new_parser, write_results

SHOWN = ('IDF1', 'F1', 'HOTA', 'AssA', 'id_switches', 'objects', 'tracks')


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument('--model', default='default')
    parser.add_argument('--sequences', type=int, default=30)
    parser.add_argument('--seconds', type=float, default=5.0)
    parser.add_argument('--seed', type=int, default=2026)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--objects', type=int, default=20)
    arguments = parser.parse_args()
    times = measure(arguments.objects)
    for name, timing in times.items():
        print(f'{name}: {timing.median_ms:.3f} ms (median), {timing.min_ms:.3f} ms (minimum)')
    rows = simulate(arguments) if arguments.sequences else {}
    for name, row in rows.items():
        print(f'{name}: ' + ', '.join(f'{key} {row[key]:.4g}' for key in SHOWN))
    content = {
        'command': vars(arguments) | {'json': None},
        'host': host(),
        'step': {name: asdict(timing) for name, timing in times.items()},
        'drives': rows,
    }
    write_results(arguments.json, content)


def measure(count: int) -> dict[str, Timing]:
    """Time steps of a tracker with this many objects."""
    random = np.random.default_rng(0)
    starts, speeds = random.uniform(0, 1000, (count, 2)), random.uniform(-100, 100, (count, 2))
    sizes = random.uniform(20, 100, (count, 2))
    trackers = {True: Tracker(), False: Tracker()}
    windows = dict.fromkeys(trackers, 0)

    def step(detected: bool) -> None:
        windows[detected] += 1
        at = windows[detected] // 4 if not detected else windows[detected]
        low = starts + speeds * 0.05 * at % 2000 + random.normal(0, 1, (count, 2))
        boxes = np.hstack([low, low + sizes]).astype(np.float32)
        if not detected and windows[detected] % 4:
            boxes = boxes[:0]
        trackers[detected].step(_window(boxes, 50_000 * windows[detected]))

    return time_actions(
        {
            f'{count} objects, all detected': lambda: step(True),
            f'{count} objects, a quarter of the windows': lambda: step(False),
        },
        3,
    )


def _window(boxes: np.ndarray, t: int) -> Detections:
    ones = np.ones(len(boxes), np.float32)
    classes = np.arange(len(boxes)) % 3
    names = ('pedestrian', 'two-wheeler', 'car')
    return Detections(boxes, ones, classes, ones, ones, names, 1280, 720, t_end=t)


def simulate(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return the metrics by camera and of all drives."""
    jobs = [
        (arguments.model, (arguments.seed, index), arguments.seconds, 'gen1')
        for index in range(arguments.sequences)
    ]
    with ProcessPoolExecutor(
        arguments.workers, mp_context=multiprocessing.get_context('spawn')
    ) as pool:
        drives = list(pool.map(run, *zip(*jobs, strict=True)))
    groups: dict[str, list[MatchedRecording]] = {'all cameras': list(map(match, drives))}
    for drive, matched in zip(drives, groups['all cameras']):
        groups.setdefault(drive['motion'], []).append(matched)
    rows = {name: tracking_metrics(found, drives[0]['classes']) for name, found in groups.items()}
    return {name: row for name, row in rows.items() if row is not None}


def match(drive: dict[str, Any]) -> MatchedRecording:
    frames = []
    for *image, _ in drive['images']:
        labels, found = (
            boxes[BOXES_GEN1(boxes) & (boxes['t'] > BOXES_GEN1.skip_us)] for boxes in image
        )
        frames.append(make_frame(0, labels, found))
    classes = tuple(drive['classes'])
    return match_recording(
        PairedRecording('drive', classes, tuple(frames), frames[0].labels[:0], 0)
    )


if __name__ == '__main__':
    main()
