# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Bounded queues between the executor, which cuts windows, and the worker."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from threading import Condition

from sast_ros.windows import EventWindow


class WindowQueue:
    """
    Queue of complete windows of one camera that drops the oldest when it is full.

    The first window of a stream carries the reason for the reset. If it is dropped, the next one
    inherits the reason, so that the recurrent state is reset all the same.

    Parameters
    ----------
    capacity : int
        Maximum number of windows; may be changed at any time.
    changed : Condition, optional
        Notified of every window and of the end; queues of one worker share it.

    """

    def __init__(self, capacity: int, changed: Condition | None = None) -> None:
        self.capacity = capacity
        self._windows: deque[EventWindow] = deque()
        self._inherited: str | None = None
        self._changed = changed or Condition()
        self.closed = False

    def __len__(self) -> int:
        return len(self._windows)

    def put(self, window: EventWindow) -> int:
        """Append a window without waiting and return how many older ones were dropped."""
        dropped = 0
        with self._changed:
            if self.closed:
                return 0
            self._windows.append(window)
            while len(self._windows) > self.capacity:
                oldest = self._windows.popleft()
                self._inherited = oldest.reset or self._inherited
                dropped += 1
            self._changed.notify()
        return dropped

    def take(self) -> EventWindow | None:
        """Remove the oldest window without waiting; ``None`` if there is none."""
        with self._changed:
            if not self._windows:
                return None
            window = self._windows.popleft()
            inherited, self._inherited = self._inherited, None
        if inherited is not None and window.reset is None:
            return replace(window, reset=inherited)
        return window

    def clear(self) -> None:
        """Discard all windows."""
        with self._changed:
            self._windows.clear()
            self._inherited = None

    def close(self) -> None:
        """Discard all windows, and those that follow."""
        with self._changed:
            self.closed = True
            self._windows.clear()
            self._changed.notify_all()


class WindowQueues:
    """
    A queue for each camera; those in which windows wait take turns.

    Parameters
    ----------
    cameras : int
        Number of queues.
    capacity : int
        Maximum number of windows of each.

    Attributes
    ----------
    queues : tuple of WindowQueue
        In the order of the cameras.

    """

    def __init__(self, cameras: int, capacity: int) -> None:
        self._changed = Condition()
        self.queues = tuple(WindowQueue(capacity, self._changed) for _ in range(cameras))
        self._first = 0

    def take(self, most: int = 1) -> list[tuple[int, EventWindow]]:
        """
        Wait for a window; remove the oldest of each of the next cameras, up to ``most``.

        Returns
        -------
        list of tuple
            Numbers of cameras and their windows; empty once all queues are closed.

        """
        with self._changed:
            while True:
                taken: list[tuple[int, EventWindow]] = []
                for number in self._in_turn():
                    window = self.queues[number].take() if len(taken) < most else None
                    if window is not None:
                        taken.append((number, window))
                if taken:
                    self._first = (taken[-1][0] + 1) % len(self.queues)
                    return taken
                if all(queue.closed for queue in self.queues):
                    return []
                self._changed.wait()

    def close(self) -> None:
        """Close all queues."""
        for queue in self.queues:
            queue.close()

    def _in_turn(self) -> list[int]:
        """Return the numbers of the cameras, the one that waits longest for its turn first."""
        count = len(self.queues)
        return [(self._first + step) % count for step in range(count)]
