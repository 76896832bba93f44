# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""``sast-ros export``."""

from __future__ import annotations

import argparse
from pathlib import Path
import sys
from typing import Any

from sast_ros.cli.arguments import add_json, MODEL_HELP, sensor_size, wrong_usage
from sast_ros.cli.terminal import (
    new_table,
    open_console,
    print_line,
    step_logger,
    UNTRAINED_WARNING,
    write_json,
)

#: Formats that are written, as ``sast_ros.export`` knows them.
FORMATS = ('onnx', 'torch')


def add(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command to the parser and return its own parser."""
    command = commands.add_parser(
        'export',
        help='write a network for other runtimes: ONNX or torch.export',
        description='Write a network as one file for ONNX Runtime, TensorRT or torch.export.load, '
        'with its recurrent state as inputs and outputs and all that is needed to run it as '
        'metadata. It takes about a minute.',
    )
    command.add_argument(
        'out', type=Path, metavar='OUT', help='file to write: .onnx, or .pt2 with --format torch'
    )
    command.add_argument(
        '--format', choices=FORMATS, default='onnx', help='file format (default: %(default)s)'
    )
    command.add_argument('--model', default='default', metavar='M', help=MODEL_HELP)
    command.add_argument(
        '--sensor-size',
        type=sensor_size,
        metavar='WxH',
        help='sensor size of the exported network (default: its design size, 304x240 or 1280x720)',
    )
    add_json(command, 'metadata')
    command.set_defaults(command=run)
    return command


def run(arguments: argparse.Namespace) -> int:
    """Export the network and return the exit code."""
    from sast_ros.export import export_network, require_ending
    from sast_ros.model.choice import choose_model

    with wrong_usage():
        require_ending(arguments.out, arguments.format)
    model, trained = choose_model(arguments.model, 'cpu')
    metadata = export_network(
        model,
        arguments.out,
        arguments.format,
        arguments.sensor_size,
        trained=trained,
        progress=step_logger(),
    )
    size = arguments.out.stat().st_size
    summary: dict[str, Any] = {'path': str(arguments.out), 'bytes': size, **metadata}
    if not write_json(summary, arguments.json):
        table = new_table(f'export: {arguments.model}')
        table.add_row('written', f'{arguments.out} ({size / 1e6:.1f} MB, {arguments.format})')
        table.add_row('network', f'{metadata["model"]}, {", ".join(metadata["classes"])}')
        for name in ('sensor', 'histogram', 'input'):
            height, width = metadata[f'{name}_size']
            table.add_row(name, f'{width}x{height}')
        open_console().print(table)
    if not trained:
        print_line(UNTRAINED_WARNING, sys.stderr)
    return 0
