# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Child processes that cannot outlive their parent or hang it, and whose failure is reported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import json
import os
from pathlib import Path
import signal
import socket
import subprocess
import sys
from typing import Any

from sast_ros.errors import SastError
from sast_ros.output import create_file
from sast_ros.process import tied_command

#: Domains from 1 on; the ports of higher ones reach into the ephemeral range of Linux.
_DOMAINS = 100


class DemoError(SastError, RuntimeError):
    """
    The demonstration could not be carried through.

    The text says which process stopped it, and what to read.
    """


class Child:
    """
    A Python module that runs as a child process while a ``with`` block lasts.

    Parameters
    ----------
    name : str
        What it is, for messages to the user.
    module : str
        Module to run with ``python -m``.
    arguments : list of str
        Its command line.
    log : Path
        File for its output.

    """

    def __init__(self, name: str, module: str, arguments: list[str], log: Path) -> None:
        self.name = name
        self.log = log
        self.patience_s = 8.0  # between two requests to end, each harder than the one before
        self._command = [sys.executable, '-m', module, *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Child:
        """Start the process."""
        with create_file(self.log) as log:
            self._process = subprocess.Popen(
                tied_command(self._command),
                env={**os.environ, 'PYTHONUNBUFFERED': '1'},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # ^C reaches the parent alone, which then ends its children in order
                start_new_session=True,
            )
        return self

    @property
    def pid(self) -> int:
        """Number of the process, 0 before it is started."""
        return self._process.pid if self._process else 0

    def exit_code(self) -> int | None:
        """
        Return the exit code, negative for a signal.

        It is ``None`` before the process is started and while it runs.
        """
        return self._process.poll() if self._process else None

    def failure(self) -> str:
        """Return how the process has ended, and the last line of its log."""
        code = self.exit_code() or 0
        how = f'ended with exit code {code}'
        if code < 0:
            how = f'was killed by {signal.Signals(-code).name}'
        return f'{self.name} {how}{self.log_tail()}'

    def log_tail(self) -> str:
        """Return where the log is and its last line, as the end of a sentence."""
        lines = self.log.read_text(errors='replace').strip().splitlines()
        return (
            f'; the end of its log {self.log} is: {lines[-1].strip()}'
            if lines
            else f'; its log {self.log} is empty'
        )

    def __exit__(self, *exception: object) -> None:
        """End the process: politely, then by force."""
        for request in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self._process is None or self.exit_code() is not None:
                break
            self._process.send_signal(request)
            try:
                self._process.wait(self.patience_s)
            except subprocess.TimeoutExpired:
                continue


@contextmanager
def private_domain() -> Iterator[None]:
    """Set a ROS domain that is not the user's and does not leave this machine."""
    before = dict(os.environ)
    with claimed_domain(os.getpid()) as domain_id:
        os.environ['ROS_DOMAIN_ID'] = domain_id
        os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
        os.environ['ROS_STATIC_PEERS'] = ''
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


@contextmanager
def claimed_domain(first: int) -> Iterator[str]:
    """
    Hold a ROS domain that no other process holds, and that is not the present one.

    Parameters
    ----------
    first : int
        The domain to try first, modulo their number.

    Raises
    ------
    DemoError
        All are held.

    """
    present = os.environ.get('ROS_DOMAIN_ID', '0')
    for number in range(first, first + _DOMAINS):
        domain_id = str(1 + number % _DOMAINS)
        claim = _claim(domain_id) if domain_id != present else None
        if claim is not None:
            with claim:
                yield domain_id
            return
    raise DemoError(f'all ROS domains from 1 to {_DOMAINS} are in use; end other demonstrations')


def _claim(domain_id: str) -> socket.socket | None:
    """Return what holds a domain until it is closed; None if another process has it."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        if sys.platform == 'linux':  # an abstract name, which ends with its process
            claim.bind(f'\0sast_ros/domain/{domain_id}')
    except OSError:
        claim.close()
        return None
    return claim


def ros_arguments(parameters: dict[str, Any], events: str) -> list[str]:
    """Return the command line of a node; values are YAML, of which JSON is a part."""
    pairs = [f'{name}:={json.dumps(value)}' for name, value in parameters.items()]
    return ['--ros-args', '-r', f'events:={events}', *(word for p in pairs for word in ('-p', p))]


def detector_process(parameters: dict[str, Any], events: str, folder: Path) -> Child:
    """Return the detector node, to be started; its log is ``node.log`` in the folder."""
    arguments = ros_arguments(parameters, events)
    return Child('the detector node', 'sast_ros.ros.detector_node', arguments, folder / 'node.log')


def player_process(parameters: dict[str, Any], events: str, folder: Path) -> Child:
    """Return the player, to be started; its log is ``player.log`` in the folder."""
    arguments = ros_arguments(parameters, events)
    return Child('the player', 'sast_ros.demo.player', arguments, folder / 'player.log')
