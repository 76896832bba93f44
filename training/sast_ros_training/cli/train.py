# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""``sast-ros train``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
import contextlib
from pathlib import Path
import sys
from typing import Any, TYPE_CHECKING

from sast_ros.cli.terminal import (
    new_table,
    open_console,
    print_line,
    progress_bar,
    show_results,
    write_json,
)
from sast_ros.errors import MissingPackageError
from sast_ros.process import limit_spinning

if TYPE_CHECKING:
    from rich.table import Table


def add(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command to the parser and return its own parser."""
    command = commands.add_parser(
        'train',
        help='training data -> weights',
        description='Train the network, through all parts of the curriculum if the configuration '
        'has one. Writes model.safetensors (the best weights by validation), last.ckpt, '
        'validation.json and curves for TensorBoard; with a curriculum into a folder for each '
        'part. The same command again goes on where the last one was stopped or killed.',
    )
    command.add_argument(
        '--config',
        type=Path,
        required=True,
        metavar='F',
        help='configuration; training/config/default.yaml explains every key',
    )
    command.add_argument(
        '--out', type=Path, metavar='DIR', help='results (default: out/train/NAME-OF-CONFIG)'
    )
    command.add_argument(
        '--init',
        type=Path,
        nargs='+',
        default=(),
        metavar='CHECKPOINT',
        help='weights to start from: .safetensors, an official .ckpt, or last.ckpt of a training '
        '(its average weights); of several files the mean; classes of other names start anew',
    )
    command.add_argument(
        '--resume',
        choices=('auto', 'never'),
        default='auto',
        help='auto goes on from last.ckpt in DIR if there is one, never begins anew (default: '
        '%(default)s)',
    )
    command.add_argument(
        '--json', metavar='FILE', help='write the summary as JSON, - for standard output'
    )
    command.set_defaults(command=run)
    return command


def run(arguments: argparse.Namespace) -> int:
    """Train and return the exit code."""
    limit_spinning()  # the environment goes to the processes that Lightning starts as well
    from sast_ros_training.training.config_file import load_config

    # The configuration first: its errors need not wait for torch.
    parts = load_config(arguments.config)
    out = arguments.out or Path('out/train') / arguments.config.stem
    try:
        from sast_ros_training.training.fit import train
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f'training needs {error.name}, which is not installed; pip install lightning '
            'tensorboard faster-coco-eval'
        ) from error
    from sast_ros.process import keep_heap
    from sast_ros_training.training.processes import is_main_process

    keep_heap()
    with _progress(out.name) as (log, report):
        summary = train(
            parts,
            out,
            init=arguments.init,
            resume=arguments.resume == 'auto',
            log=log,
            report=report,
        )
    if is_main_process() and not write_json(summary, arguments.json):
        names = [path.name for path in sorted(out.iterdir())]
        show_results(_summary_table(summary, out.name), '', out, names)
    return 0


def _summary_table(summary: dict[str, Any], name: str) -> Table:
    from sast_ros_training.training.validation import describe

    table = new_table(f'train: {name}')
    table.add_row('steps', str(summary['steps']))
    validation = summary['validation']
    if validation is None:
        table.add_row('validation', 'none: there are no held-out sequences')
        return table
    table.add_row('validation', f'{validation["sequences"]} sequences')
    for motion, metrics in {'all': validation['all'], **validation['by_motion']}.items():
        table.add_row(motion, describe(metrics))
    by_windows = validation.get('by_windows', {})  # not in those of older trainings
    for windows, metrics in by_windows.items() if len(by_windows) > 1 else ():
        table.add_row(f'windows of {windows} ms', describe(metrics))
    for row in validation['sparsity']:
        kept = ', '.join(f'{100 * share:.0f}' for share in row['kept_tokens'])
        table.add_row(
            f'{100 * row["least"]:g} - {100 * row["most"]:g} % active pixels',
            f'{kept} % of the tokens kept in stages 1 to 4, {row["windows"]} windows',
        )
    return table


@contextlib.contextmanager
def _progress(
    name: str,
) -> Iterator[tuple[Callable[[str], None], Callable[[int, int, dict[str, float]], None]]]:
    """Show a bar with the latest values on a terminal, elsewhere a line of them."""
    console = open_console(stderr=True)
    if not console.is_terminal:

        def log(sentence: str) -> None:
            print_line(sentence, sys.stderr)

        def report(step: int, total: int, values: dict[str, float]) -> None:
            log(f'step {step} of {total}: {_values(values)}')

        yield log, report
        return
    from rich.text import Text

    with progress_bar(console, 'values') as bar:
        task = bar.add_task(f'train {name}', total=None, values='')
        yield (
            lambda sentence: bar.console.print(Text(sentence)),
            lambda step, total, values: bar.update(
                task, completed=step, total=total, values=_values(values)
            ),
        )


def _values(values: dict[str, float]) -> str:
    return ', '.join(f'{name.replace("_", " ")} {value:.4g}' for name, value in values.items())
