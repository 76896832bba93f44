# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Jobs in worker processes, any of which may be killed.

A pool of the standard library breaks as a whole when one of its processes is killed. Here every
worker is a pool of its own, so that this costs one attempt at one job.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
import contextlib
from functools import partial
import multiprocessing
from multiprocessing.connection import Connection
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

from sast_ros.evaluation.batch.jobs import attempt, JobResult, supervise

#: Seconds that a job has to clean up when its worker is told to end.
_GRACE_S = 5.0

_job_running = threading.Event()


def run_in_processes(
    function: Callable[[Any], Any], jobs: Sequence[Any], workers: int, retries: int = 2
) -> Generator[JobResult, None, None]:
    """
    Run jobs in worker processes and yield their results in the order in which they end.

    The processes end with the iterator (close it), and with this process even if that is killed.

    Parameters
    ----------
    function : callable
        Runs a job; it and the jobs are sent to the workers by pickle.
    jobs : sequence
        The arguments of the function.
    workers : int
        Maximum number of processes.
    retries : int
        How often a job is repeated whose process was killed.

    Raises
    ------
    BatchError
        If the function raised it.

    """
    context = multiprocessing.get_context('spawn')
    watched, lifeline = context.Pipe(duplex=False)
    pools: dict[ProcessPoolExecutor, Future] = {}  # and the last job of each

    def submit(index: int) -> Future:
        task = partial(_work, function, index, jobs[index])
        for pool in [pool for pool, last in pools.items() if last.done()]:
            with contextlib.suppress(BrokenProcessPool):
                pools[pool] = pool.submit(task)
                return pools[pool]
            del pools[pool]
        pool = ProcessPoolExecutor(1, context, _start_worker, (watched,))
        pools[pool] = pool.submit(task)
        return pools[pool]

    try:
        yield from supervise(submit, len(jobs), workers, retries, (BrokenProcessPool,))
    finally:
        lifeline.close()
        for pool in pools:
            pool.shutdown()


def _start_worker(lifeline: Connection) -> None:
    # ^C reaches all processes of a terminal; only the parent handles it, and ends the workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()


def _end_with_parent(lifeline: Connection) -> None:
    """End this process when the other end of the pipe is closed, by its owner or by the kernel."""
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(1)


def _leave(number: int, frame: FrameType | None) -> None:
    """Leave a job through every ``with`` and ``finally``."""
    if _job_running.is_set():
        sys.exit(128 + number)
    os._exit(128 + number)


def _work(function: Callable[[Any], Any], index: int, job: Any) -> JobResult:
    _job_running.set()
    try:
        return attempt(function, index, job)
    except SystemExit:  # of _leave; the pool would catch it and wait for the next job
        os._exit(1)
    finally:
        _job_running.clear()
