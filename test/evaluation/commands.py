# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""``sast-ros evaluate`` in a process of its own, and what it has written."""

from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
import select
import subprocess
import sys
import time
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def without_inputs(path: Path) -> dict[str, Any]:
    """Return the metrics in a JSON file, without what the inputs are called."""
    content = json.loads(path.read_text())
    del content['inputs'], content['failed']
    return content


class Command:
    """``sast-ros`` in a process of its own; what it says goes into a file."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self.log = log
        with log.open('wb') as stream:
            self.process = subprocess.Popen(
                [sys.executable, '-m', 'sast_ros', *arguments],
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=REPOSITORY,
            )

    def until(self, condition: Callable[[], Any], patience_s: float = 300) -> Any:
        """Wait for a condition while the process runs, and return what it gives."""
        limit = time.monotonic() + patience_s
        while not (value := condition()):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < limit, self.log.read_text()
            select.select([], [], [], 0.01)
        return value

    def children(self) -> list[int]:
        """Return the processes that it has started."""
        path = Path(f'/proc/{self.process.pid}/task/{self.process.pid}/children')
        if not path.exists():
            pytest.skip('the kernel does not list the children of a process')
        return [int(pid) for pid in path.read_text().split()]

    def wait(self, patience_s: float = 240) -> int:
        """Return the exit code."""
        return self.process.wait(patience_s)

    def __enter__(self) -> Command:
        """Return the command itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End it, if it has not ended."""
        self.process.kill()
        self.process.wait()


def summaries(out: Path) -> dict[str, tuple[int, int]]:
    """Return by name which replays are complete: file number and time of their summaries."""
    found = {}
    for path in out.glob('*/summary.json'):
        status = path.stat()
        found[path.parent.name] = (status.st_ino, status.st_mtime_ns)
    return found
