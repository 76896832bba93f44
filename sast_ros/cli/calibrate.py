# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""``sast-ros calibrate``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, TYPE_CHECKING

from sast_ros.cli.arguments import add_detector, add_json, detector_options, wrong_usage
from sast_ros.cli.evaluate import (
    add_batch,
    add_protocol,
    make_protocol,
    run_replays,
    SCORE_THRESHOLD,
    show_finished,
)
from sast_ros.cli.terminal import decimal, new_table, open_console, print_error, write_json
from sast_ros.example import recording_path
from sast_ros.output import check_place
from sast_ros.process import limit_spinning

if TYPE_CHECKING:
    from rich.table import Table
    from sast_ros.evaluation.inputs import EvaluationInputs


def add(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command to the parser and return its own parser."""
    command = commands.add_parser(
        'calibrate',
        help='turn scores into probabilities',
        description='Fit the calibration of the scores of weights to recordings with labels, and '
        'write the weights with it. A calibrated score of 0.3 says that 30 % of such boxes match '
        'a label of their class with an IoU of at least 0.5. Take recordings that were not '
        'trained on. Boxes, their order within a class and the tensors of the file stay the '
        'same.',
    )
    command.add_argument(
        'inputs',
        nargs='+',
        type=recording_path,
        metavar='RECORDING',
        help='recording with labels; "example" is the bundled one',
    )
    command.add_argument(
        '--out', type=Path, required=True, metavar='FILE', help='.safetensors file to write'
    )
    add_protocol(command)
    command.add_argument('--topic', metavar='T', help='topic with events of the recordings')
    add_detector(command, SCORE_THRESHOLD)
    add_batch(command)
    command.add_argument(
        '--replays',
        type=Path,
        default=Path('out/calibrate'),
        metavar='DIR',
        help='folder for the replays; the same command reuses them (default: %(default)s)',
    )
    add_json(command, 'summary')
    command.set_defaults(command=run)
    return command


def run(arguments: argparse.Namespace) -> int:
    """Calibrate the weights and return the exit code."""
    limit_spinning()
    from sast_ros.evaluation.calibrate import calibrate_recordings
    from sast_ros.evaluation.errors import EvaluationError
    from sast_ros.evaluation.labels import name_classes
    from sast_ros.model import add_calibration, load_model
    from sast_ros.model.checkpoint import require_ending

    with wrong_usage():
        require_ending(arguments.out)
    check_place(arguments.out)
    inputs = _inputs(arguments)
    model = load_model(arguments.model)
    own = model.config.classes
    protocol = make_protocol(arguments)
    inputs.replay(lambda replays: run_replays(arguments, replays), show_finished)
    entries = inputs.pair(protocol)
    for reason in inputs.failed.values():
        print_error(f'left out: {reason}')
    for entry in entries:
        if entry.recording is None:
            raise EvaluationError(
                f'{entry.detected.path}: may be the detections of other weights; give the '
                'recording instead'
            )
    if not entries:
        raise EvaluationError(f'none of the {len(arguments.inputs)} recordings can be used')
    calibration, report = calibrate_recordings(
        [entry.matched for entry in entries],
        name_classes(protocol.detection_classes, own) or own,
        model.calibration,
    )
    add_calibration(arguments.model, arguments.out, calibration)
    summary = {'path': str(arguments.out), 'model_classes': list(own), **report}
    if not write_json(summary, arguments.json):
        _show(summary)
    return 1 if inputs.failed else 0


def _inputs(arguments: argparse.Namespace) -> EvaluationInputs:
    from sast_ros.evaluation.inputs import EvaluationInputs
    from sast_ros.replay import ReplayOptions

    wanted = detector_options(arguments)
    arguments.threads = arguments.threads or wanted.get('threads', 1)
    arguments.model, arguments.device = wanted['model'], wanted['device']
    arguments.sensor_size = wanted['sensor_size']
    options = ReplayOptions(**wanted | {'threads': arguments.threads}, score='uncalibrated')
    return EvaluationInputs(
        arguments.inputs, arguments.labels, arguments.replays, options, arguments.topic
    )


def _show(summary: dict[str, Any]) -> None:
    console = open_console()
    table = new_table('calibrate')
    table.add_row('written', summary['path'])
    table.add_row('fitted to', f'{summary["recordings"]} recordings')
    table.add_row('curve', f'slopes {summary["low"]:.2f} and {summary["high"]:.2f} near 0 and 1')
    for name, offset in zip(summary['model_classes'], summary['offsets']):
        table.add_row(name, f'offset of the log odds {offset:+.2f}')
    before, after = (summary[key]['reported']['expected_error'] for key in ('before', 'after'))
    score = summary['before']['reported']['score']
    of = 'recordings held out of the fit' if summary['held_out'] else 'the recordings of the fit'
    table.add_row(
        'calibration error', f'{decimal(before)}, then {decimal(after)}, at {score:g} and above'
    )
    table.add_row('', f'the second one of {of}')
    table.add_row('best threshold', f'{summary["best_threshold"]:g} by the mean F1 of the classes')
    console.print()
    console.print(table)
    console.print(_thresholds(summary['thresholds']))


def _thresholds(rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title_justify='left')
    names = ('precision', 'recall', 'f1')
    for column in ('score', *names):
        table.add_column(column, justify='right')
    for row in rows:
        table.add_row(f'{row["threshold"]:.2f}', *(decimal(row[name]) for name in names))
    return table
