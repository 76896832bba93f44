# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What a model finds, and what it takes for something.

    python benchmarks/detection_quality.py [--parts video empty drives grid] [--weights default]
    [--data ../shared/data] [--sequences 60] [--grid-sequences 12] [--seconds 5] [--seed 2026]
    [--geometries gen1 ...] [--filter FILTER ...] [--workers 2] [--json FILE] [--picture FILE]

video    real streets (`real_video`): average precision of the last window before each label, with
         all scores and those of `sast-ros replay`, with a stride of 25 ms, and of windows that
         end at the labels; with noise added; distances of the edges as shares of the label's size
empty    real recordings without road users: boxes of 0.3 and of 0.1 or more; --picture shows the
         windows with the most of them
drives   held-out simulated drives (simulated_quality.py)
grid     held-out simulated drives by length and stride of the windows (window_grid.py)

Precision, recall and the calibration error are those of scores of 0.3 and above. Recordings that
are not there are left out, and named. --filter is for the events of real streets and of recordings
without road users, as that of `sast-ros replay`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
import json
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
import real_quality
from sast_ros.evaluation.metrics.matching import OPERATING_SCORE
from sast_ros.output import write_file
from workload import host, REPOSITORY

#: Columns of the table of real streets, and how they are called.
COLUMNS = {
    'ap50': 'AP50',
    'ap75': 'AP75',
    'ap': 'AP',
    'precision': 'precision',
    'recall': 'recall',
    'calibration_error': 'calibration',
    'age_ms': 'age [ms]',
    'labels': 'labels',
}

#: Arguments that are of the machine alone.
OWN_FILES = ('data', 'json', 'picture')

#: Height in pixels of what is shown of each recording.
PICTURE_HEIGHT = 360


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=list(PARTS))
    parser.add_argument('--weights', default='default')
    parser.add_argument('--data', type=Path, default=REPOSITORY.parent / 'shared' / 'data')
    parser.add_argument('--sequences', type=int, default=60)
    parser.add_argument('--grid-sequences', type=int, default=12)
    parser.add_argument('--seconds', type=float, default=5.0)
    parser.add_argument('--seed', type=int, default=2026)
    parser.add_argument('--geometries', nargs='+', default=['gen1'])
    parser.add_argument('--filter', nargs='+', default=[])
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--json', type=Path)
    parser.add_argument('--picture', type=Path)
    arguments = parser.parse_args()
    command = vars(arguments) | {'weights': Path(arguments.weights).name}
    content: dict[str, Any] = {
        'command': {key: value for key, value in command.items() if key not in OWN_FILES},
        'host': host(),
    }
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(arguments.workers, mp_context=context) as pool:
        for part in arguments.parts:
            measure, show = PARTS[part]
            content[part] = measure(arguments, pool)
            print('\n'.join(show(content[part])), flush=True)
    if arguments.json:
        write_file(arguments.json, json.dumps(content, indent=1) + '\n')


def measure_video(arguments: argparse.Namespace, pool: ProcessPoolExecutor) -> dict[str, Any]:
    return _of_recordings(
        arguments,
        pool,
        real_quality.measure_video,
        {
            name: (arguments.data / 'real_video' / f'{name}_td.dat', classes, arguments.filter)
            for name, classes in real_quality.VIDEOS.items()
        },
    )


def measure_empty(arguments: argparse.Namespace, pool: ProcessPoolExecutor) -> dict[str, Any]:
    files = {
        name: (arguments.data / file, arguments.filter)
        for name, file in real_quality.EMPTY.items()
    }
    if arguments.picture:
        jobs = [
            pool.submit(real_quality.draw_worst, arguments.weights, *recording, PICTURE_HEIGHT)
            for recording in files.values()
            if recording[0].exists()
        ]
        pictures = [picture for job in jobs if (picture := job.result()) is not None]
        if pictures:
            whole = Image.fromarray(np.hstack(pictures))
            whole.quantize(64).save(arguments.picture, optimize=True)
    return _of_recordings(arguments, pool, real_quality.measure_empty, files)


def _of_recordings(
    arguments: argparse.Namespace,
    pool: ProcessPoolExecutor,
    function: Callable[..., Any],
    recordings: dict[str, tuple[Any, ...]],
) -> dict[str, Any]:
    """Call a function with the weights and each of the recordings that are there."""
    jobs = {
        name: pool.submit(function, arguments.weights, *values)
        for name, values in recordings.items()
        if values[0].exists()
    }
    return {
        name: jobs[name].result()
        if name in jobs
        else {'skipped': f'there is no {values[0].parent.name}/{values[0].name} in --data'}
        for name, values in recordings.items()
    }


def measure_drives(arguments: argparse.Namespace, pool: ProcessPoolExecutor) -> dict[str, Any]:
    import simulated_quality

    jobs = [
        (arguments.weights, (arguments.seed, index), arguments.seconds, geometry)
        for geometry in arguments.geometries
        for index in range(arguments.sequences)
    ]
    return simulated_quality.summarise(
        list(pool.map(simulated_quality.run, *zip(*jobs, strict=True)))
    )


def measure_grid(arguments: argparse.Namespace, pool: ProcessPoolExecutor) -> dict[str, Any]:
    import window_grid

    timings = window_grid.timings(window_grid.WINDOWS, window_grid.STRIDES)
    seeds = [(arguments.seed, index) for index in range(arguments.grid_sequences)]
    wanted = arguments.seconds, arguments.geometries[0], None
    return window_grid.measure(pool, arguments.weights, seeds, wanted, timings)


def show_video(result: dict[str, Any]) -> list[str]:
    lines = [f'{"":32}' + ''.join(f'{name:>12}' for name in COLUMNS.values())]
    for name, measured in result.items():
        if 'skipped' in measured:
            lines.append(f'{name}: left out, {measured["skipped"]}')
            continue
        for row, values in measured['rows'].items():
            cells = ''.join(f'{_number(values[key]):>12}' for key in COLUMNS)
            lines.append(f'{f"{name}, {row}":32}{cells}')
        for row, values in measured['localisation'].items():
            lines.append(f'{name}, {row}: ' + show_edges(values))
    return lines


def show_edges(values: dict[str, Any]) -> str:
    """Return where edges are, in percent of the label's size."""
    text = f'{values["matches"]} matches'
    for edge in ('left', 'top', 'right', 'bottom', 'leading', 'trailing'):
        if edge in values:
            cell = values[edge]
            text += f', {edge} {100 * cell["median"]:+.0f} % ({100 * cell["spread"]:.0f} %)'
    if 'along' in values:
        text += f', {values["along"]["constant_px"]:+.1f} px'
        text += f' and {values["along"]["lag_ms"]:.0f} ms behind'
    return text


def show_empty(result: dict[str, Any]) -> list[str]:
    lines = [
        f'{"without road users":32}{"windows":>12}{">= 0.3":>12}{">= 0.1":>12}{"a minute":>12}'
    ]
    for name, row in result.items():
        if 'skipped' in row:
            lines.append(f'{name}: left out, {row["skipped"]}')
            continue
        cells = (
            row['windows'],
            row['0.3']['per_window'],
            row['0.1']['per_window'],
            row['0.3']['per_minute'],
        )
        lines.append(f'{name:32}' + ''.join(f'{_number(cell):>14}' for cell in cells))
    return lines


def show_drives(result: dict[str, Any]) -> list[str]:
    rows = result['average_precision']
    classes = list(result['operating_point'])
    header = ''.join(f'{name:>22}' for name in (*classes, 'all'))
    lines = [f'{"":28}{header}   AP50 (labels); all: AP50 / AP']
    for name, row in rows.items():
        cells = [
            f'{_number(row["by_class"][c]["ap50"])} ({row["labels"][c]})'
            if row['by_class'][c]['ap50'] is not None
            else '-'
            for c in classes
        ]
        cells.append(f'{_number(row["ap50"])} / {_number(row["ap"])}')
        lines.append(f'{name:28}' + ''.join(f'{cell:>22}' for cell in cells))
    for name, values in result['operating_point'].items():
        lines.append(
            f'{name} at a score of {OPERATING_SCORE}: precision {_number(values["precision"])}, '
            f'recall {_number(values["recall"])}'
        )
    lines.append(f'calibration error {_number(result["calibration_error"])}')
    if result['without_road_users']:
        lines += show_empty({'drives without road users': result['without_road_users']})
    return [*lines, 'edges: ' + show_edges(result['localisation'])]


def show_grid(result: dict[str, Any]) -> list[str]:
    import window_grid

    return [
        window_grid.table(result['cells'], metric, name)
        for metric, name in (('ap50', 'AP50'), ('ap', 'AP'))
    ]


def _number(value: float | None) -> str:
    if value is None:
        return '-'
    return str(value) if isinstance(value, int) else f'{value:.3f}'


PARTS = {
    'video': (measure_video, show_video),
    'empty': (measure_empty, show_empty),
    'drives': (measure_drives, show_drives),
    'grid': (measure_grid, show_grid),
}


if __name__ == '__main__':
    main()
