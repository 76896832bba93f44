# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Bounded queue between the executor, which cuts windows, and the worker."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from threading import Condition

from sast_ros.windows import EventWindow


class WindowQueue:
    """
    Queue of complete windows that drops the oldest when it is full.

    The first window of a stream carries the reason for the reset. If it is dropped, the next one
    inherits the reason, so that the recurrent state is reset all the same.

    Parameters
    ----------
    capacity : int
        Maximum number of windows; may be changed at any time.

    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._windows: deque[EventWindow] = deque()
        self._inherited: str | None = None
        self._changed = Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._windows)

    def put(self, window: EventWindow) -> int:
        """Append a window without waiting and return how many older ones were dropped."""
        dropped = 0
        with self._changed:
            if self._closed:
                return 0
            self._windows.append(window)
            while len(self._windows) > self.capacity:
                oldest = self._windows.popleft()
                self._inherited = oldest.reset or self._inherited
                dropped += 1
            self._changed.notify()
        return dropped

    def take(self) -> EventWindow | None:
        """Wait for the oldest window and remove it; ``None`` once the queue is closed."""
        with self._changed:
            while not self._windows and not self._closed:
                self._changed.wait()
            if self._closed:
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
        """Discard all windows; every current and later ``take`` returns ``None``."""
        with self._changed:
            self._closed = True
            self._windows.clear()
            self._changed.notify_all()
