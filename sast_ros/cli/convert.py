# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""``sast-ros convert``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sast_ros.cli.arguments import add_json, wrong_usage
from sast_ros.cli.terminal import new_table, open_console, print_error, thousands, write_json
from sast_ros.errors import SettingError

#: Endings of checkpoints.
_ENDINGS = ('.ckpt', '.pt', '.pth')


def add(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command to the parser and return its own parser."""
    command = commands.add_parser(
        'convert',
        help='convert an official checkpoint to .safetensors',
        description='Convert an official Lightning checkpoint to .safetensors. Names and shapes '
        'are checked strictly, and nothing but tensors is read from it.',
    )
    command.add_argument(
        'checkpoint', type=Path, metavar='CKPT', help='official checkpoint (.ckpt)'
    )
    command.add_argument(
        '--out',
        type=Path,
        metavar='FILE',
        help='.safetensors file to write (default: named as CKPT, if there is no such file)',
    )
    command.add_argument(
        '--name',
        metavar='NAME',
        help='configuration, such as gen1-base (default: by the shapes and classes of CKPT)',
    )
    command.add_argument(
        '--classes',
        metavar='A,B,...',
        help='class names in class-id order (default: as published)',
    )
    command.add_argument('--half', action='store_true', help='store float16: half the size')
    add_json(command, 'summary')
    command.set_defaults(command=run)
    return command


def run(arguments: argparse.Namespace) -> int:
    """Convert the checkpoint and return the exit code."""
    from sast_ros.model import convert_checkpoint
    from sast_ros.model.checkpoint import require_ending, same_shapes
    from sast_ros.model.config import model_config

    source = arguments.checkpoint
    with wrong_usage():
        if arguments.name is not None:
            model_config(arguments.name)
        if arguments.out is not None:
            require_ending(arguments.out)
    # Other dots than that of an ending belong to the name
    stem = source.stem if source.suffix.lower() in _ENDINGS else source.name
    target = arguments.out or source.with_name(f'{stem}.safetensors')
    if arguments.out is None and target.exists():  # with a calibration, or of other weights
        raise SettingError(f'{target}: exists; name it with --out to replace it')
    classes = (
        tuple(name.strip() for name in arguments.classes.split(',')) if arguments.classes else None
    )
    done = convert_checkpoint(
        arguments.checkpoint, target, name=arguments.name, classes=classes, half=arguments.half
    )
    summary: dict[str, Any] = {
        'path': str(done.path),
        'sha256': done.sha256,
        'bytes': done.path.stat().st_size,
        'name': done.config.name,
        'classes': list(done.config.classes),
        'tensors': done.tensors,
        'parameters': done.parameters,
        'precision': 'float16' if arguments.half else 'float32',
    }
    if not write_json(summary, arguments.json):
        table = new_table(f'convert: {arguments.checkpoint.name}')
        size = f'{summary["bytes"] / 1e6:.1f} MB, {summary["precision"]}'
        table.add_row('written', f'{done.path} ({size})')
        table.add_row('sha256', done.sha256)
        table.add_row('configuration', done.config.name)
        table.add_row('classes', ', '.join(done.config.classes))
        contents = f'{thousands(done.parameters)} parameters, {done.tensors} tensors'
        table.add_row('contents', contents)
        open_console().print(table)
    if arguments.name is None:
        (other,) = set(same_shapes(done.config.name)) - {done.config.name}
        print_error(
            f'{done.config.name} is taken for the {len(done.config.classes)} classes; {other} has '
            f'the same shapes: if the weights are a variant of that, give --name {other}'
        )
    return 0
