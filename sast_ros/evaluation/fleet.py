"""
Jobs in several processes, of which any may die.

A pool of the standard library is broken as a whole when one of its processes is killed; here that
costs one attempt at one job.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
import contextlib
import ctypes
from dataclasses import dataclass
import multiprocessing
from multiprocessing.connection import Connection, wait
import os
import signal
import sys
from types import FrameType
from typing import Any

from sast_ros.errors import format_error, SastError

_PR_SET_PDEATHSIG = 1
_PATIENCE_S = 5.0


class JobError(Exception):
    """A job that cannot be done, while others can; the text says why, in one sentence."""


class FleetError(SastError, RuntimeError):
    """What keeps every job from being done; the text says what to do."""


@dataclass(frozen=True)
class Outcome:
    """
    How a job ended.

    Parameters
    ----------
    index: of the job.
    result: of the function, ``None`` if it failed.
    reason: why it failed, ``''`` if it did not.
    error: what the reason is of, if that happened in this process.

    """

    index: int
    result: Any = None
    reason: str = ''
    error: BaseException | None = None


def attempt(function: Callable[[Any], Any], job: Any) -> tuple[str, Any]:
    """
    Do a job and return ``'done'`` and its result, or else what kind of failure, and a sentence.

    A ``JobError`` concerns this job (``'failed'``), any other exception all of them (``'fatal'``).
    """
    try:
        return 'done', function(job)
    except JobError as error:
        return 'failed', str(error)
    except Exception as error:
        return 'fatal', format_error(error)


def run_here(function: Callable[[Any], Any], jobs: Sequence[Any]) -> Iterator[Outcome]:
    """Do jobs in this process, one after the other, and yield how each ended."""
    for index, job in enumerate(jobs):
        try:
            ended = Outcome(index, function(job))
        except JobError as error:
            ended = Outcome(index, reason=str(error), error=error.__cause__)
        yield ended


def run_in_processes(
    function: Callable[[Any], Any], jobs: Sequence[Any], workers: int, retries: int = 2
) -> Iterator[Outcome]:
    """
    Do jobs in processes of their own and yield how each ended, in the order of their ends.

    The processes end with the iterator (close it), and with this process even if that is killed.

    Parameters
    ----------
    function:
        does a job; it and the jobs are sent to the processes by pickle.
    jobs:
        its arguments.
    workers:
        how many processes at most.
    retries:
        how often a job is tried again whose process died.

    Raises
    ------
    FleetError: the function raised something else than ``JobError``.

    """
    waiting = deque((index, 1) for index in range(len(jobs)))
    pool: list[_Worker] = []
    try:
        for _ in range(min(workers, len(jobs))):
            pool.append(_Worker(function))
            pool[-1].give(*waiting.popleft(), jobs)
        while busy := [worker for worker in pool if worker.index is not None]:
            for ready in wait([worker.connection for worker in busy]):
                worker = next(one for one in busy if one.connection is ready)
                index, count = worker.index, worker.count
                assert index is not None
                answer = worker.answer()
                if answer is None:
                    worker.end()
                    pool[pool.index(worker)] = worker = _Worker(function)
                    if count <= retries:
                        waiting.appendleft((index, count + 1))
                    else:
                        yield Outcome(index, reason=died(count))
                else:
                    yield outcome(index, *answer)
                if waiting:
                    worker.give(*waiting.popleft(), jobs)
    finally:
        for worker in pool:
            worker.terminate()
        for worker in pool:
            worker.end()


def outcome(index: int, kind: str, content: Any) -> Outcome:
    """
    Return what an attempt came to.

    Raises
    ------
    FleetError: it was fatal.

    """
    if kind == 'fatal':
        raise FleetError(content)
    return Outcome(index, content) if kind == 'done' else Outcome(index, reason=content)


def died(count: int) -> str:
    """Return the reason of a job whose process died that often."""
    times = 'once' if count == 1 else f'{count} times'
    return f'its process died {times}, for lack of memory perhaps'


class _Worker:
    """One process, with at most one job at a time."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        context = multiprocessing.get_context('spawn')
        self.index: int | None = None
        self.count = 0
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, function), daemon=True)
        self._process.start()
        theirs.close()  # so that its end is the end of the pipe

    def give(self, index: int, count: int, jobs: Sequence[Any]) -> None:
        """Give it a job, at which it is the attempt number ``count``."""
        self.index, self.count = index, count
        with contextlib.suppress(OSError):  # it has died, as its answer will tell
            self.connection.send(jobs[index])

    def answer(self) -> tuple[str, Any] | None:
        """Return what it made of its job, ``None`` if it died."""
        self.index = None
        try:
            answer: tuple[str, Any] = self.connection.recv()
        except (EOFError, OSError):
            return None
        return answer

    def terminate(self) -> None:
        """Ask it to end; if it has no job, the end of the pipe does."""
        self.connection.close()
        if self.index is not None:
            self._process.terminate()

    def end(self) -> None:
        """Wait for its end, for a while."""
        self.connection.close()
        self._process.join(_PATIENCE_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()


def _serve(connection: Connection, function: Callable[[Any], Any]) -> None:
    """Do the jobs that come through the pipe, until it ends."""
    _end_with_parent()
    # ^C reaches all processes of a terminal; the parent alone answers it, and ends the others
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(attempt(function, job))


def _leave(number: int, frame: FrameType | None) -> None:
    """Leave through every ``with`` and ``finally``."""
    sys.exit(128 + number)


def _end_with_parent() -> None:
    """Ask the kernel to kill this process when its parent is gone, even killed (Linux)."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid != os.getppid():  # it was gone before
        os._exit(1)
