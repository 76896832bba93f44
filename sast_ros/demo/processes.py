"""Child processes that cannot outlive their parent, hang it, or fail without a word."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import ctypes
import json
from pathlib import Path
import queue
import signal
import subprocess
import sys
import threading
from types import TracebackType
from typing import Any

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)  # loaded here, because little is safe between fork and exec


class Child:
    """
    A Python module that runs as a child process while a ``with`` block lasts.

    Parameters
    ----------
    name: what it is, for messages to the user.
    module: module to run with ``python -m``.
    arguments: its command line.
    environment: its environment variables.
    log: file for what it writes to standard error, and to standard output unless that is JSON
        lines.

    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: list[str],
        environment: Mapping[str, str],
        log: Path,
    ) -> None:
        self.name = name
        self.log = log
        self.patience_s = 8.0  # between two requests to end, each harder than the one before
        self._command = [sys.executable, '-m', module, *arguments]
        self._environment = dict(environment)
        self._messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def __enter__(self) -> Child:
        """Start the process."""
        self._log_stream = self.log.open('wb')
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log_stream,
            preexec_fn=_end_with_parent if sys.platform == 'linux' else None,
            # ^C reaches the parent alone, which then ends its children in order
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def tell(self) -> None:
        """Send the process an empty line: go on."""
        with contextlib.suppress(OSError):  # it has ended; whoever asks for its state learns so
            self._process.stdin.write(b'\n')
            self._process.stdin.flush()

    def message(self) -> dict[str, Any] | None:
        """Return the next JSON line that the process has written, ``None`` if there is none."""
        try:
            return self._messages.get_nowait()
        except queue.Empty:
            return None

    def failure(self) -> str | None:
        """Return a sentence if the process has ended, ``None`` while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        how = (
            f'was killed by {signal.Signals(-code).name}'
            if code < 0
            else f'ended with exit code {code}'
        )
        return f'{self.name} {how}{self.last_words()}'

    def last_words(self) -> str:
        """Return where the log is and its last line, as the end of a sentence."""
        lines = self.log.read_text(errors='replace').strip().splitlines()
        return (
            f'; the end of its log {self.log} is: {lines[-1].strip()}'
            if lines
            else f'; its log {self.log} is empty'
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process: politely, then by force."""
        process = self._process
        with contextlib.suppress(OSError):
            process.stdin.close()
        for request in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if process.poll() is not None:
                break
            process.send_signal(request)
            try:
                process.wait(self.patience_s)
            except subprocess.TimeoutExpired:
                continue
        self._reader.join(1)
        process.stdout.close()
        self._log_stream.close()

    def _read(self) -> None:
        for line in self._process.stdout:
            try:
                fields = json.loads(line)
            except ValueError:
                fields = None
            if isinstance(fields, dict):
                self._messages.put(fields)
            else:
                self._log_stream.write(line)
                self._log_stream.flush()


def _end_with_parent() -> None:
    """Ask the kernel to interrupt this process when its parent is gone, even killed (Linux)."""
    # A shell starts jobs in the background with interruption ignored, which children inherit.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
