# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What a model finds with windows of other lengths and strides.

    python benchmarks/window_grid.py [--model default] [--sequences 20] [--seconds 5]
    [--seed 2026] [--geometry gen1] [--motion static] [--windows 20 50 100]
    [--strides 25 50 75 100 125] [--workers 2] [--json FILE]

Each drive is simulated once, and goes through the detector once for every length of the windows
(`window.duration_ms` of the node) and stride (`window.stride_ms`): the same events and objects,
labelled at the ends of the windows. Labels, protocol and seeds are those of
benchmarks/detection_quality.py. The tables have a row for each length and a column for each
stride.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
import multiprocessing
from typing import Any

import numpy as np
from sast_ros.bags.detections import detection_boxes
from sast_ros.detector import StreamingDetector
from sast_ros.evaluation.box_filter import choose_box_filter
from sast_ros.evaluation.metrics.average_precision import mean_average_precision
from sast_ros.model import load_model
from sast_ros.pipeline import WindowDetector
from sast_ros.process import keep_heap
from sast_ros_training.simulation.dataset import evaluation_boxes
from sast_ros_training.simulation.sequence import cut_windows, SimulatedSequence
from sast_ros_training.simulation.timing import WindowTiming
import torch
from workload import host, new_parser, write_results

#: Lengths and strides in milliseconds.
WINDOWS = (20.0, 50.0, 100.0)
STRIDES = (25.0, 50.0, 75.0, 100.0, 125.0)

#: Labels and detections ``BOX_DTYPE`` of every window of a drive.
Frames = list[tuple[np.ndarray, np.ndarray]]


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument('--model', default='default')
    parser.add_argument('--sequences', type=int, default=20)
    parser.add_argument('--seconds', type=float, default=5.0)
    parser.add_argument('--seed', type=int, default=2026)
    parser.add_argument('--geometry', default='gen1')
    parser.add_argument('--motion')
    parser.add_argument('--windows', type=float, nargs='+', default=WINDOWS)
    parser.add_argument('--strides', type=float, nargs='+', default=STRIDES)
    parser.add_argument('--workers', type=int, default=2)
    arguments = parser.parse_args()
    seeds = [(arguments.seed, index) for index in range(arguments.sequences)]
    wanted = arguments.seconds, arguments.geometry, arguments.motion
    with ProcessPoolExecutor(
        arguments.workers, mp_context=multiprocessing.get_context('spawn')
    ) as pool:
        result = measure(
            pool, arguments.model, seeds, wanted, timings(arguments.windows, arguments.strides)
        )
    for metric, name in (('ap50', 'AP50'), ('ap', 'AP')):
        print(table(result['cells'], metric, name))
    content = {'command': vars(arguments) | {'json': None}, 'host': host(), **result}
    write_results(arguments.json, content)


def timings(windows: Sequence[float], strides: Sequence[float]) -> list[WindowTiming]:
    """Return all pairs of lengths and strides, both in milliseconds."""
    return [WindowTiming.from_ms(window, stride) for window in windows for stride in strides]


def measure(
    pool: ProcessPoolExecutor,
    model_name: str,
    seeds: Sequence[tuple[int, int]],
    wanted: tuple[float, str, str | None],
    timings: Sequence[WindowTiming],
) -> dict[str, Any]:
    """Return classes and metrics of every timing; ``wanted``: seconds, geometry and motion."""
    jobs = [(model_name, seed, *wanted, timings) for seed in seeds]
    classes, sizes, drives = zip(*pool.map(run, *zip(*jobs, strict=True)), strict=True)
    return {'classes': list(classes[0]), 'cells': summarise_grid(drives, classes[0], sizes[0])}


def run(
    model_name: str,
    seed: tuple[int, int],
    seconds: float,
    geometry: str,
    motion: str | None,
    timings: Sequence[WindowTiming],
) -> tuple[tuple[str, ...], tuple[int, int], dict[WindowTiming, Frames]]:
    """Simulate a drive and detect in it; return classes, size of the sensor and what was found."""
    torch.set_num_threads(1)
    keep_heap()
    model = load_model(model_name)
    detector = StreamingDetector(model, score_threshold=0.01, max_detections=100)
    drive = SimulatedSequence(seed, seconds, geometry, motion)
    return model.config.classes, drive.size, detect_grid(detector, drive, timings)


def detect_grid(
    detector: StreamingDetector, drive: SimulatedSequence, timings: Sequence[WindowTiming]
) -> dict[WindowTiming, Frames]:
    """
    Simulate a drive once, and detect in it with windows of every timing.

    Parameters
    ----------
    detector : StreamingDetector
        Its state is reset before each timing.
    drive : SimulatedSequence
        One that has not been simulated yet; its own timing does not matter.
    timings : sequence of WindowTiming
        The windows; they are those of the node, from the first event on.

    Returns
    -------
    dict
        For each timing, every window's labels, with the field ``ignored``, and what was found in
        it.

    """
    parts = list(drive.record(timings))
    found: dict[WindowTiming, Frames] = {}
    for timing in timings:
        windows = WindowDetector(detector)
        detector.reset()
        found[timing] = [
            (evaluation_boxes(labels, drive.height), detection_boxes(windows.process(window)))
            for window, labels in cut_windows(parts, timing)
        ]
    return found


def summarise_grid(
    drives: Iterable[Mapping[WindowTiming, Frames]],
    classes: Sequence[str],
    sensor_size: tuple[int, int],
) -> list[dict[str, Any]]:
    """
    Return the metrics of every timing over all drives, ready for JSON.

    Parameters
    ----------
    drives : iterable of dict
        What ``detect_grid`` returns, all with the same timings.
    classes : sequence of str
        Class names in class-id order.
    sensor_size : tuple of int
        (height, width) in pixels; decides which small boxes are left out.

    Returns
    -------
    list of dict
        ``window_ms``, ``stride_ms`` and the keys of ``mean_average_precision``.

    """
    drives = list(drives)
    boxes = choose_box_filter('auto', sensor_size)
    return [
        {
            'window_ms': timing.window_us / 1000,
            'stride_ms': timing.stride_us / 1000,
            **mean_average_precision(
                [frame for drive in drives for frame in drive[timing]], classes, boxes
            ),
        }
        for timing in (drives[0] if drives else ())
    ]


def table(cells: Sequence[dict[str, Any]], metric: str, name: str) -> str:
    """Return a metric of all cells as text: a row for each window, a column for each stride."""
    windows, strides = (
        sorted({cell[key] for cell in cells}) for key in ('window_ms', 'stride_ms')
    )
    values = {(cell['window_ms'], cell['stride_ms']): cell[metric] for cell in cells}
    lines = [f'{name:>14}' + ''.join(f'{f"stride {stride:g}":>12}' for stride in strides)]
    for window in windows:
        row = [values[window, stride] for stride in strides]
        lines.append(
            f'{f"window {window:g}":>14}'
            + ''.join(f'{"-" if value is None else f"{value:.3f}":>12}' for value in row)
        )
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
