"""``sast-ros doctor``."""

from __future__ import annotations

import argparse

from sast_ros.cli.terminal import open_console, write_json


def add(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command to the parser and return its own parser."""
    command = commands.add_parser(
        'doctor',
        help='what is installed, what is missing, what to do',
        description='Look at Python, torch, GPU, ROS 2, message packages and network settings. '
        'Exit code 1 if something needed is missing.',
    )
    command.add_argument(
        '--json', metavar='FILE', help='write the report as JSON, - for standard output'
    )
    command.set_defaults(command=run)
    return command


def run(arguments: argparse.Namespace) -> int:
    """Do it and return the exit code."""
    from sast_ros.doctor import as_json, examine, overall, print_report

    checks = examine()
    if not write_json(as_json(checks), arguments.json):
        print_report(checks, open_console())
    return 1 if overall(checks) == 'FAIL' else 0
