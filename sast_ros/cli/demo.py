# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""``sast-ros demo``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
import shlex
import shutil
import sys
from typing import Any, TYPE_CHECKING

from sast_ros.cli.arguments import add_recording, MODEL_HELP, number_between
from sast_ros.cli.terminal import (
    kept_text,
    new_table,
    print_error,
    print_line,
    show_results,
    step_logger,
    thousands,
    UNTRAINED_WARNING,
)
from sast_ros.example import EXAMPLE

if TYPE_CHECKING:
    from rich.table import Table

_FILES = ('overlay.mp4', 'report.html', 'summary.json', 'detections.mcap', 'detections.npy')


def add(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command to the parser and return its own parser."""
    command = commands.add_parser(
        'demo',
        help='run the detector node on a recording over ROS 2',
        description='Play a recording over real ROS 2 topics through the detector node and show '
        'the detections that come back.',
    )
    add_recording(
        command,
        Path(EXAMPLE),
        f'recording of any format that "sast-ros replay" reads (default: "{EXAMPLE}", the '
        'bundled one)',
    )
    for name, kind, default, metavar, text in (
        ('--topic', str, None, 'T', 'topic with events (default: the only one)'),
        (
            '--labels',
            Path,
            None,
            'FILE',
            'file with labels (default: NAME_bbox.npy beside the recording)',
        ),
        (
            '--seconds',
            number_between(0.05, 3600),
            None,
            'S',
            'play only the first S seconds (default: all)',
        ),
        ('--model', str, 'default', 'M', MODEL_HELP),
        ('--out', Path, Path('out/demo'), 'DIR', 'folder for the results (default: %(default)s)'),
    ):
        command.add_argument(name, type=kind, default=default, metavar=metavar, help=text)
    command.set_defaults(command=run)
    return command


def run(arguments: argparse.Namespace) -> int:
    """Do it and return the exit code."""
    from sast_ros.demo import run_demo

    summary = run_demo(
        arguments.out,
        arguments.recording,
        topic=arguments.topic,
        labels=arguments.labels,
        seconds=arguments.seconds,
        model=arguments.model,
        progress=step_logger(),
    )
    table = _table(summary)
    files = [name for name in _FILES if name not in summary['not_written']]
    if 'report.html' in files:
        table.add_row('report', f'{arguments.out / "report.html"}: curves and pictures of errors')
    show_results(table, '' if summary['trained'] else UNTRAINED_WARNING, arguments.out, files)
    print_line(f'see boxes move in a browser: {_program()} {_view(arguments)}', sys.stdout)
    for name, reason in summary['not_written'].items():
        print_error(f'{name} was not written: {reason}')
    if not summary['complete']:
        windows = summary['windows']
        print_error(
            f'{windows["lost"]} of {windows["sent"]} windows did not come back or came out of '
            f'order; the machine may be too slow, see {arguments.out / "node.log"}'
        )
    return 0 if summary['complete'] else 1


def _program() -> str:
    """Return how this program is called: by its path where its folder is not on the PATH."""
    program = Path(sys.argv[0])
    if program.name != 'sast-ros' or shutil.which(program.name):
        return 'sast-ros'
    return os.path.relpath(program)


def _view(arguments: argparse.Namespace) -> str:
    """Return the arguments that show the same recording on a page."""
    words = ['view', str(arguments.recording), '--page']
    if arguments.topic is not None:
        words += ['--topic', arguments.topic]
    if arguments.model != 'default':
        words += ['--model', arguments.model]
    return shlex.join(words)


def _table(summary: dict[str, Any]) -> Table:
    """Return what was sent, what came back and when, and how well it matches the labels."""
    messages, windows, latency = summary['messages'], summary['windows'], summary['latency_ms']
    table = new_table(f'demo: {summary["recording"]} -> ROS 2 -> detector node -> ROS 2')
    table.add_row('event messages', f'{messages["sent"]} sent, {messages["received"]} received')
    rate = summary['events_per_second'] / 1e6
    table.add_row('events', f'{thousands(summary["events"])} ({rate:.2f} million per second)')
    table.add_row(
        'windows',
        f'{windows["sent"]} sent, {windows["received"]} came back, {windows["lost"]} lost, '
        f'{"in order" if windows["in_order"] else "NOT in order"}',
    )
    if latency:
        times = f'median {latency["median"]:.0f} ms, p99 {latency["p99"]:.0f} ms'
        table.add_row('latency', f'{times} (end of window -> detections here)')
    steps = [summary['node'].get(f'step time {name} (ms)') for name in ('p50', 'p99')]
    if None not in steps:
        table.add_row('network', 'median {:.0f} ms, p99 {:.0f} ms of it'.format(*steps))
    if summary['kept_tokens']:
        table.add_row('kept in stages 1-4', kept_text(summary))
    table.add_row('detections', str(summary['detections']))
    if summary['accuracy']:
        accuracy = summary['accuracy']
        table.add_row('', f'with a score of at least {accuracy["score"]:g}, against the labels:')
        for name, values in accuracy['per_class'].items():
            shares = [
                '-' if values[share] is None else f'{values[share]:.2f}'
                for share in ('precision', 'recall')
            ]
            table.add_row(
                name,
                'precision {}, recall {} '.format(*shares)
                + f'({values["matches"]} matched of {values["detections"]} detections and '
                f'{values["labels"]} labels)',
            )
    table.add_row('took', f'{summary["wall_seconds"]:.0f} s')
    return table
