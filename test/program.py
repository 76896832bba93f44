# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A command that runs beside a test, and what it prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
import re
import signal
import subprocess
import sys
import time

PATIENCE_S = 60.0


class Program:
    """
    ``python -m MODULE ...`` in a folder; killed at the end of a ``with`` block.

    Parameters
    ----------
    folder : Path
        Working directory, also for the log.
    *command : str
        Module and arguments.
    environment : mapping, optional
        Of the process; by default that of this one.

    """

    def __init__(
        self, folder: Path, *command: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self._path = folder / f'{len(list(folder.glob("*_program.log")))}_program.log'
        with self._path.open('wb') as stream:
            self.process = subprocess.Popen(
                [sys.executable, '-m', *command],
                env=environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=folder,
            )

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)

    @property
    def log(self) -> str:
        """All that it has printed."""
        return self._path.read_text(errors='replace')

    def wait_for(self, text: str) -> str:
        """Wait until it has printed this, and return the first group of it."""
        return wait_for_text(lambda: self.log, text, lambda: self.process.poll() is None)

    def end(self, request: int = signal.SIGTERM) -> int:
        """Ask it to end, unless it has, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(request)
        return self.process.wait(PATIENCE_S)


def wait_for_text(
    log: Callable[[], str], text: str, running: Callable[[], bool] = lambda: True
) -> str:
    """Wait until a log has this, and return the first group of it."""
    limit = time.monotonic() + PATIENCE_S
    while not (found := re.search(text, log())):
        assert time.monotonic() < limit and running(), log()
        time.sleep(0.05)
    return found.group(1)


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    limit = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Return whether a process has ended."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] == 'Z'
    except OSError:
        return True
