# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The thread that runs the network, so that the executor never waits for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Thread

from sast_ros.ros.window_queue import WindowQueues
from sast_ros.windows import EventWindow


class Worker:
    """
    Call ``work`` with every window of some queues, in a thread of its own, until they are closed.

    Parameters
    ----------
    queues : WindowQueues
        Source of the windows.
    most : int
        Windows of different cameras that ``work`` takes at once.
    prepare : callable
        Called once in the new thread, before the first window.
    work : callable
        Called with numbers of cameras and a window of each, time after time.
    on_failure : callable
        Called in the thread, which then ends, with an exception that ``work`` did not handle.

    """

    def __init__(
        self,
        queues: WindowQueues,
        most: int,
        prepare: Callable[[], None],
        work: Callable[[Sequence[tuple[int, EventWindow]]], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._queues, self._most = queues, most
        self._prepare = prepare
        self._work = work
        self._on_failure = on_failure
        self._thread = Thread(target=self._run, name='sast_worker', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the queues and wait for the current windows, if any."""
        self._queues.close()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._prepare()
            while windows := self._queues.take(self._most):
                self._work(windows)
        except Exception as error:  # otherwise the thread would end silently
            self._on_failure(error)
