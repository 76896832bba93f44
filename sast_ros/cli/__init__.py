# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The ``sast-ros`` command, one module for each of its commands.

Exit codes: 0 done, 1 the work failed, 2 wrong usage, 130 interrupted. Results go to standard
output, progress and errors to standard error. A command imports what it needs when it runs, so
that help and version are fast.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import entry_points
import os
from pathlib import Path
import signal
import sys
import traceback
from types import FrameType
from typing import Any, NoReturn

from sast_ros.cli import (
    bench,
    calibrate,
    convert,
    demo,
    doctor,
    evaluate,
    export,
    label,
    replay,
    transcode,
    view,
)
from sast_ros.cli.terminal import (
    check_json,
    discard_output,
    open_closed_streams,
    print_error,
    print_line,
)
from sast_ros.errors import escape_controls, format_error, is_expected, UsageError
from sast_ros.process import handled_signals, is_interruption
from sast_ros.version import installed_version

_COMMANDS = (
    *(demo, view, replay, transcode, evaluate, label, calibrate, convert, export, bench),
    doctor,
)

#: Entry-point group of the commands that other packages add: modules with a function ``add``.
COMMAND_GROUP = 'sast_ros.commands'

#: Options that name a file for results.
_RESULT_FILES = ('json', 'save')

#: Commands of sast_ros_training and their help.
_TRAINING_COMMANDS = {
    'simulate': 'generate labelled recordings of simulated scenes',
    'train': 'train weights',
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    open_closed_streams()
    parser = _parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as stop:
        # argparse has printed help, version, or what is wrong with the usage
        return int(stop.code or 0)
    try:
        with handled_signals(_leave, signal.SIGTERM, signal.SIGHUP):
            check_json(getattr(arguments, 'json', None))
            _refuse_input_as_result(arguments)
            code = arguments.command(arguments)
            try:
                sys.stdout.flush()
            except BrokenPipeError:
                discard_output(sys.stdout)
            return code
    except BrokenPipeError:
        # Flushing at exit must not raise again
        discard_output(sys.stdout)
        return 1
    except (Exception, KeyboardInterrupt) as error:
        if is_interruption(error):
            print_error('interrupted; files that are not complete have "part" in their names')
            return 130
        wrong_usage = isinstance(error, UsageError)
        if arguments.debug and not wrong_usage:
            raise
        advice = ''
        if not is_expected(error):
            print_line(traceback.format_exc().rstrip(), sys.stderr)
            advice = '; this is a bug of sast_ros, please report it'
        print_error(format_error(error) + advice)
        return 2 if wrong_usage else 1


class _Parser(argparse.ArgumentParser):
    """Prints errors with the usage of their command, without control characters of arguments."""

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse what this command does not know; argparse leaves that to the main parser."""
        namespace, unknown = super().parse_known_args(*args, **kwargs)
        if unknown:
            self.error(f'unrecognized arguments: {" ".join(unknown)}')
        return namespace, unknown

    def error(self, message: str) -> NoReturn:
        super().error(escape_controls(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog='sast-ros',
        description='Event-camera object detection for ROS 2.',
        epilog='exit codes: 0 done, 1 the work failed, 2 wrong usage, 130 interrupted',
    )
    parser.add_argument('--version', action='version', version=f'sast-ros {installed_version()}')
    commands = parser.add_subparsers(title='commands', metavar='COMMAND', required=True)
    for module in _COMMANDS + _added_commands():
        command = module.add(commands)
        command.add_argument(
            '--debug', action='store_true', help='show the Python traceback of an error'
        )
    for name, text in _TRAINING_COMMANDS.items():
        if name not in commands.choices:
            command = commands.add_parser(name, help=text, add_help=False, prefix_chars='\0')
            command.add_argument('rest', nargs='*')
            command.set_defaults(command=_report_missing_package, debug=False, name=name)
    return parser


def _added_commands() -> tuple[Any, ...]:
    found = sorted(entry_points(group=COMMAND_GROUP), key=lambda point: point.name)
    return tuple(point.load() for point in found)


def _report_missing_package(arguments: argparse.Namespace) -> int:
    print_error(
        f'"sast-ros {arguments.name}" is part of the package sast_ros_training, which is not '
        'installed: pip install . ./training in the repository, or build training/ with colcon'
    )
    return 1


def _refuse_input_as_result(arguments: argparse.Namespace) -> None:
    """Raise an error if a file of results would replace one that the command reads."""
    given = vars(arguments)
    inputs = [
        path
        for name in given.keys() - {*_RESULT_FILES, 'out'}
        for path in (given[name] if isinstance(given[name], (list, tuple)) else [given[name]])
        if isinstance(path, (str, Path)) and os.path.isfile(path)
    ]
    for name in _RESULT_FILES:
        result = given.get(name)
        if result is None or not os.path.isfile(result):
            continue
        for path in inputs:
            if os.path.samefile(path, result):
                raise UsageError(
                    f'--{name} {result} would replace {path}, which this command reads; name '
                    'another file'
                )


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """Exit through every ``with`` and ``finally``, so that child processes end."""
    sys.exit(128 + number)
