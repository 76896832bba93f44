# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Jobs and their results; the loop that repeats jobs whose process was killed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
import logging
import traceback
from typing import Any

from sast_ros.errors import format_error, is_expected, SastError
from sast_ros.process import is_interruption

_LOGGER = logging.getLogger(__name__)


class BatchError(SastError, RuntimeError):
    """A condition that prevents every job, not only one."""


@dataclass(frozen=True)
class JobResult:
    """
    How a job ended.

    Attributes
    ----------
    index : int
        Number of the job.
    value : object
        What the function returned, ``None`` if it failed.
    reason : str
        Why it failed, in one sentence; empty if it did not.
    trace : str
        Traceback of an error that the user cannot correct.
    fatal : bool
        Whether the reason concerns all jobs.

    """

    index: int
    value: Any = None
    reason: str = ''
    trace: str = ''
    fatal: bool = False


def attempt(function: Callable[[Any], Any], index: int, job: Any) -> JobResult:
    """Run a job and return its result, whatever it raised except an interruption."""
    try:
        return JobResult(index, function(job))
    except BatchError as error:
        return JobResult(index, reason=str(error), fatal=True)
    except Exception as error:
        if is_interruption(error):
            raise KeyboardInterrupt from error
        trace = '' if is_expected(error) else traceback.format_exc()
        return JobResult(index, reason=format_error(error), trace=trace)


def run_serially(
    function: Callable[[Any], Any], jobs: Sequence[Any]
) -> Generator[JobResult, None, None]:
    """
    Run jobs in this process, one after the other, and yield their results.

    Raises
    ------
    BatchError
        If the function raised it.

    """
    for index, job in enumerate(jobs):
        yield _checked(attempt(function, index, job))


def supervise(
    submit: Callable[[int], Future],
    count: int,
    slots: int,
    retries: int,
    killed: tuple[type[Exception], ...],
) -> Generator[JobResult, None, None]:
    """
    Run jobs at the same time and yield their results in the order in which they end.

    Parameters
    ----------
    submit : callable
        Starts the job of a number; the future returns what ``attempt`` returns.
    count : int
        Number of jobs.
    slots : int
        Maximum number of jobs at the same time.
    retries : int
        How often a job is repeated whose process was killed.
    killed : tuple of exception types
        What the future raises if its process was killed.

    Raises
    ------
    BatchError
        If the function raised it.

    """
    waiting = deque((index, 1) for index in range(count))
    running: dict[Future, tuple[int, int]] = {}
    while waiting or running:
        while waiting and len(running) < slots:
            index, number = waiting.popleft()
            running[submit(index)] = index, number
        # Not ray.wait: it turns every signal into exit code 1
        future = next(iter(wait(running, return_when=FIRST_COMPLETED).done))
        index, number = running.pop(future)
        try:
            result = _checked(future.result())
        except killed:
            if number <= retries:
                waiting.appendleft((index, number + 1))
                continue
            reason = f'its process was killed in attempt {number}, possibly for lack of memory'
            result = JobResult(index, reason=reason)
        yield result


def _checked(result: JobResult) -> JobResult:
    if result.fatal:
        raise BatchError(result.reason)
    if result.trace:
        _LOGGER.error('job %d: unexpected exception\n%s', result.index, result.trace.rstrip())
    return result
