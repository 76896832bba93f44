# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""``sast-ros train``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
import contextlib
from dataclasses import replace
from pathlib import Path
import sys
from typing import Any, TYPE_CHECKING

from sast_ros.cli.arguments import add_json, number_between, sensor_size, whole_number
from sast_ros.cli.terminal import (
    new_table,
    open_console,
    print_line,
    progress_bar,
    show_results,
    write_json,
)
from sast_ros.errors import MissingPackageError, SettingError, UsageError
from sast_ros.output import lock_folder
from sast_ros.process import limit_spinning

if TYPE_CHECKING:
    from rich.table import Table
    from sast_ros_training.training.config_file import CurriculumPart

#: Options that need --self-train, by the names of their values.
_OF_SELF_TRAINING = {
    'rounds': '--rounds',
    'labelled_share': '--labelled-share',
    'target_score': '--target-score',
    'mirror': '--no-mirror',
    'sensor_size': '--sensor-size',
}


def add(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command to the parser and return its own parser."""
    command = commands.add_parser(
        'train',
        help='train weights',
        description='Train the network, through all parts of the curriculum if the configuration '
        'has one. Writes model.safetensors (the best weights by validation), last.ckpt, '
        'validation.json and curves for TensorBoard; with a curriculum into a folder for each '
        'part. The same command again goes on where the last one was stopped or killed.',
    )
    command.add_argument(
        '--config',
        type=Path,
        metavar='F',
        help='configuration; training/config/default.yaml explains every key; may be left out '
        'with --self-train',
    )
    command.add_argument(
        '--out',
        type=Path,
        metavar='DIR',
        help='folder for the results (default: out/train/NAME-OF-CONFIG)',
    )
    command.add_argument(
        '--init',
        type=Path,
        nargs='+',
        default=(),
        metavar='CHECKPOINT',
        help='weights to start from: "default", the bundled ones, .safetensors, an official '
        '.ckpt, or last.ckpt of a training (its average weights); of several files the mean; '
        'classes of other names start anew',
    )
    command.add_argument(
        '--resume',
        choices=('auto', 'never'),
        default='auto',
        help='auto goes on from last.ckpt in DIR if there is one, never begins anew (default: '
        '%(default)s)',
    )
    command.add_argument(
        '--topic',
        metavar='T',
        help='topic with events of the recordings of --self-train; without that, of the data of '
        '--config (default: data.topic there, else the only one)',
    )
    _add_self_training(command)
    add_json(command, 'summary')
    command.set_defaults(command=run)
    return command


def _add_self_training(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group(
        'self-training',
        'Train on recordings without labels: the weights detect in them, forwards and backwards '
        'in time, and are trained on what they found.',
    )
    group.add_argument(
        '--self-train',
        type=Path,
        nargs='+',
        default=(),
        metavar='RECORDING',
        help='recordings that "sast-ros replay" reads; without --init training starts from the '
        'bundled weights',
    )
    group.add_argument(
        '--rounds',
        type=whole_number(1, 100),
        metavar='N',
        help='rounds of labelling and training (default: 1)',
    )
    group.add_argument(
        '--labelled-share',
        type=number_between(0, 0.99),
        metavar='P',
        help='share of the sequences that come from the data of --config (default: 0.25; without '
        '--config 0)',
    )
    group.add_argument(
        '--target-score',
        type=number_between(0, 1),
        metavar='P',
        help='minimum mean score of an object that is a target; others are ignored (default: 0.3)',
    )
    group.add_argument(
        '--no-mirror',
        dest='mirror',
        action='store_const',
        const=False,
        help='do not detect in mirrored recordings: half the time, fewer labels',
    )
    group.add_argument(
        '--sensor-size',
        type=sensor_size,
        metavar='WxH',
        help='sensor size WxH; overrides the recordings',
    )


def run(arguments: argparse.Namespace) -> int:
    """Train and return the exit code."""
    limit_spinning()  # the environment goes to the processes that Lightning starts as well
    from sast_ros_training.training.config_file import load_config

    if arguments.config is None and not arguments.self_train:
        raise UsageError(
            'neither --config nor --self-train is given; give a training configuration, such as '
            'training/config/default.yaml, or recordings'
        )
    if not arguments.self_train and (given := _given(arguments, *_OF_SELF_TRAINING)):
        option = _OF_SELF_TRAINING[next(iter(given))]
        raise UsageError(f'{option} is of --self-train; leave it out, or name recordings there')
    # The configuration first: its errors need not wait for torch.
    parts = load_config(arguments.config) if arguments.config else ()
    if not arguments.self_train and arguments.topic:
        parts = _with_topic(parts, arguments.topic)
    name = arguments.config.stem if arguments.config else 'self'
    out = arguments.out or Path('out/train') / name
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
    lock = lock_folder(out) if is_main_process() else contextlib.nullcontext()
    with lock, _progress(out.name) as (log, report):
        common = {'resume': arguments.resume == 'auto', 'log': log, 'report': report}
        if arguments.self_train:
            summary = _self_train(arguments, parts, out, common)
        else:
            summary = train(parts, out, init=arguments.init, **common)
    if is_main_process() and not write_json(summary, arguments.json):
        names = [path.name for path in sorted(out.iterdir())]
        show_results(_summary_table(summary, out.name), '', out, names)
    return 0


def _given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return those of the options that were given; they have no default."""
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


def _with_topic(parts: Sequence[CurriculumPart], topic: str) -> tuple[CurriculumPart, ...]:
    """Return the parts, with the topic in those that are trained on recordings."""
    kinds = ('prophesee', 'bags')
    if not any(part.config.data.kind in kinds for part in parts):
        raise UsageError(
            f'--topic {topic} is of recordings, but data.kind is nowhere bags or prophesee in '
            '--config; leave it out'
        )
    return tuple(
        replace(part, config=replace(part.config, data=replace(part.config.data, topic=topic)))
        if part.config.data.kind in kinds
        else part
        for part in parts
    )


def _self_train(
    arguments: argparse.Namespace,
    parts: Sequence[CurriculumPart],
    out: Path,
    common: dict[str, Any],
) -> dict[str, Any]:
    from sast_ros_training.training.self_training.labelling import LabellingSettings
    from sast_ros_training.training.self_training.rounds import (
        default_config,
        self_train,
        SelfTraining,
    )

    if len(parts) > 1:
        raise SettingError(
            f'{arguments.config}: has a curriculum, but --self-train needs the settings of one '
            'training; leave the key curriculum out'
        )
    init = arguments.init or (Path('default'),)
    settings = SelfTraining(
        tuple(arguments.self_train),
        labelling=LabellingSettings(**_given(arguments, 'target_score', 'mirror')),
        **_given(arguments, 'rounds', 'labelled_share', 'topic', 'sensor_size'),
    )
    if not parts:
        settings = replace(settings, labelled_share=0)
    config = parts[0].config if parts else default_config(init)
    return self_train(settings, config, out, init, **common)


def _summary_table(summary: dict[str, Any], name: str) -> Table:
    from sast_ros_training.training.validation import describe

    table = new_table(f'train: {name}')
    table.add_row('steps', str(summary['steps']))
    for number, counts in enumerate(summary.get('rounds', ()), start=1):
        table.add_row(
            f'labels of round {number}',
            f'{counts["targets"]} targets of {counts["tracks"]} objects, {counts["ignored"]} '
            f'ignored boxes in {counts["windows"]} windows',
        )
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
