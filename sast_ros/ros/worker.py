# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The thread that runs the network, so that the executor never waits for it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

from sast_ros.ros.window_queue import WindowQueue
from sast_ros.windows import EventWindow


class Worker:
    """
    Call ``work`` with every window of a queue, in a thread of its own, until the queue is closed.

    Parameters
    ----------
    queue : WindowQueue
        Source of the windows.
    prepare : callable
        Called once in the new thread, before the first window.
    work : callable
        Called with one window after the other.
    on_failure : callable
        Called in the thread, which then ends, with an exception that ``work`` did not handle.

    """

    def __init__(
        self,
        queue: WindowQueue,
        prepare: Callable[[], None],
        work: Callable[[EventWindow], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._queue = queue
        self._prepare = prepare
        self._work = work
        self._on_failure = on_failure
        self._thread = Thread(target=self._run, name='sast_worker', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the queue and wait for the current window, if any."""
        self._queue.close()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._prepare()
            while (window := self._queue.take()) is not None:
                self._work(window)
        except Exception as error:  # otherwise the thread would end silently
            self._on_failure(error)
