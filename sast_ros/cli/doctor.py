# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""``sast-ros doctor``."""

from __future__ import annotations

import argparse
from collections import Counter
import itertools
from typing import TYPE_CHECKING

from sast_ros.cli.arguments import add_json
from sast_ros.cli.terminal import open_console, write_json

if TYPE_CHECKING:  # rich takes time to import
    from rich.console import Console
    from sast_ros.doctor import Check


def add(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command to the parser and return its own parser."""
    command = commands.add_parser(
        'doctor',
        help='check the installation',
        description='Examine Python, torch, GPU, ROS 2, message packages and network settings. '
        'Exit code 1 if something needed is missing.',
    )
    add_json(command, 'report')
    command.set_defaults(command=run)
    return command


def run(arguments: argparse.Namespace) -> int:
    """Examine the machine and return the exit code."""
    from sast_ros import doctor

    checks = doctor.examine()
    if not write_json(doctor.as_json(checks), arguments.json):
        print_report(checks, open_console())
    return 1 if doctor.overall(checks) == 'FAIL' else 0


def print_report(checks: list[Check], console: Console) -> None:
    """Print the report as a table, with advice below the line that it belongs to."""
    from rich.table import Table
    from rich.text import Text

    colours = {'OK': 'green', 'WARN': 'yellow', 'FAIL': 'bold red'}
    for group, lines in itertools.groupby(checks, key=lambda check: check.group):
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(width=4)
        table.add_column(width=17, no_wrap=True)
        table.add_column(overflow='fold')
        for check in lines:
            table.add_row(
                Text(check.status, style=colours[check.status]), check.name, Text(check.value)
            )
            if check.advice:
                style = 'dim' if check.status == 'OK' else colours[check.status]
                table.add_row('', '', Text(f'-> {check.advice}', style=style))
        console.print(Text(group, style='bold'))
        console.print(table)
        console.print()
    counts = Counter(check.status for check in checks)
    warnings = f'{counts["WARN"]} warning(s)'
    if counts['FAIL']:
        text = f'{counts["FAIL"]} needed thing(s) missing, {warnings}'
        console.print(Text(text, style='bold red'))
    elif counts['WARN']:
        console.print(Text(f'ready, with {warnings}', style='yellow'))
    else:
        console.print(Text('ready', style='green'))
