# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Bounded queues between the executor, which cuts windows, and the worker."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Condition
import time
from typing import NamedTuple

from sast_ros.ros.parameters import OverloadSettings
from sast_ros.ros.stride_control import StrideControl
from sast_ros.windows import EventWindow

#: Events that may wait in a queue beside the newest window: 4.2 million are 55 MB.
MAX_WAITING_EVENTS = 1 << 22


@dataclass(slots=True)
class Losses:
    """
    What overload has cost.

    Attributes
    ----------
    dropped, skipped : int
        Windows that were dropped, and those left out because the stride is longer.
    age_s : float
        Age of the oldest one that was dropped, seconds.

    """

    dropped: int = 0
    skipped: int = 0
    age_s: float = 0.0


class _Waiting(NamedTuple):
    """A window, the number of its events, and when it was completed."""

    window: EventWindow
    events: int
    since: float


class WindowQueue:
    """
    Queue of complete windows of one camera that bounds their age, number and events.

    A window that is too old when the worker is free is dropped, or left out by a longer stride,
    but never the newest one. The first window of a stream carries the reason for the reset: if it
    is dropped, the next one inherits it, so that the recurrent state is reset all the same.

    The age is the time since the window was completed, on a steady clock. It is what waiting costs
    a robot, which moves on meanwhile. ROS time does not tell: with ``use_sim_time`` it stands
    still, jumps, or runs at the rate of a bag, at which the same wait would be ten times as long
    or none at all. Nor does the wall clock, which NTP sets.

    Parameters
    ----------
    settings : OverloadSettings
        May be replaced at any time.
    control : StrideControl, optional
        Number of windows that a step covers.
    changed : Condition, optional
        Notified of every window and of the end; queues of one worker share it.
    clock : callable
        Steady time in seconds.

    Attributes
    ----------
    completed : float
        When the window that was taken last had been completed.

    """

    def __init__(
        self,
        settings: OverloadSettings,
        control: StrideControl | None = None,
        changed: Condition | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._control = control or StrideControl(clock())
        self._changed = changed or Condition()
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._events = 0
        self._inherited: str | None = None
        self._losses = Losses()
        self.completed = clock()
        self.closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def multiple(self) -> int:
        """The stride at present, in windows."""
        if self.settings.policy != 'reduce':
            return 1
        return min(self._control.multiple, self._most)

    def losses(self) -> Losses:
        """Return what has been lost since the last call."""
        with self._changed:
            losses, self._losses = self._losses, Losses()
        return losses

    def put(self, window: EventWindow) -> None:
        """Append a window without waiting; drop the oldest where there are too many."""
        with self._changed:
            if self.closed:
                return
            now, events = self._clock(), len(window)
            self._waiting.append(_Waiting(window, events, now))
            self._events += events
            self._control.arrived()
            while len(self._waiting) > 1 and (
                len(self._waiting) > self.settings.queue_windows
                or self._events - events > MAX_WAITING_EVENTS
            ):
                self._drop(now)
            self._changed.notify()

    def take(self) -> EventWindow | None:
        """Remove the next window without waiting; ``None`` if there is none."""
        with self._changed:
            now = self._clock()
            reduces = self.settings.policy == 'reduce'
            count = self._stride_count(now) if reduces else self._drop_old(now)
            if not count:
                return None
            for _ in range(count - 1):
                self._remove()
            self._losses.skipped += count - 1
            window, _, self.completed = self._remove()
            self._control.served()
            inherited, self._inherited = self._inherited, None
        return window if window.reset else replace(window, reset=inherited)

    def due_in(self) -> float | None:
        """Return after how many seconds ``take`` will wait for no more windows of its stride."""
        with self._changed:
            if not self._waiting:
                return None
            return max(0.0, self._waiting[-1].since + self._max_age_s - self._clock())

    def clear(self) -> None:
        """Discard all windows."""
        with self._changed:
            self._waiting.clear()
            self._events, self._inherited = 0, None

    def close(self) -> None:
        """Discard all windows, and those that follow."""
        with self._changed:
            self.closed = True
            self._waiting.clear()
            self._events = 0
            self._changed.notify_all()

    # ------------------------------------------------------------------------- with the lock held

    @property
    def _max_age_s(self) -> float:
        return self.settings.max_age_ms / 1000

    @property
    def _most(self) -> int:
        """Longest stride in windows, which have to fit into the queue."""
        return max(1, self.settings.queue_windows // 2)

    def _remove(self) -> _Waiting:
        oldest = self._waiting.popleft()
        self._events -= oldest.events
        self._inherited = oldest.window.reset or self._inherited
        return oldest

    def _drop(self, now: float) -> None:
        oldest = self._remove()
        self._losses.dropped += 1
        self._losses.age_s = max(self._losses.age_s, now - oldest.since)

    def _drop_old(self, now: float) -> int:
        """Drop what is too old; return whether a window is left."""
        while len(self._waiting) > 1 and now - self._waiting[0].since > self._max_age_s:
            self._drop(now)
        return min(1, len(self._waiting))

    def _stride_count(self, now: float) -> int:
        """Return how many windows the next step covers, of which it sees the last; 0 to wait."""
        waiting, multiple = self._waiting, self.multiple
        stream = self._of_one_stream()
        while stream < len(waiting) and now - waiting[stream - 1].since > self._max_age_s:
            for _ in range(stream):  # a later stream needs no state of this one
                self._drop(now)
            stream = self._of_one_stream()
        if stream < multiple:
            # The rest of a stream is not held back for ever, nor beyond the bounds
            is_rest = stream < len(waiting) or self._events > MAX_WAITING_EVENTS // 2
            is_late = waiting and now - waiting[-1].since >= self._max_age_s
            return stream if is_rest or is_late else 0
        most = self.settings.queue_windows
        is_old = now - waiting[multiple - 1].since > self._max_age_s
        if stream > multiple and (is_old or stream > most - most // 4):
            self._control.late(now, self._most)
            return stream
        return multiple

    def _of_one_stream(self) -> int:
        """Return how many windows a step can cover, because only the first begins a stream."""
        for number, one in enumerate(self._waiting):
            if number and one.window.reset is not None:
                return number
        return len(self._waiting)


class WindowQueues:
    """
    A queue for each camera; those in which windows wait take turns.

    Parameters
    ----------
    cameras : int
        Number of queues.
    settings : OverloadSettings
        At the beginning, of each.

    Attributes
    ----------
    queues : tuple of WindowQueue
        In the order of the cameras.

    """

    def __init__(self, cameras: int, settings: OverloadSettings) -> None:
        self._changed = Condition()
        self._control = StrideControl(time.monotonic())
        self.queues = tuple(
            WindowQueue(settings, self._control, self._changed) for _ in range(cameras)
        )
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
            self._control.review(time.monotonic())
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
                self._wait()

    def _wait(self) -> None:
        began = time.monotonic()
        due = [seconds for queue in self.queues if (seconds := queue.due_in()) is not None]
        self._changed.wait(min(due, default=None))
        self._control.idle(time.monotonic() - began)

    def close(self) -> None:
        """Close all queues."""
        for queue in self.queues:
            queue.close()

    def _in_turn(self) -> list[int]:
        """Return the numbers of the cameras, the one that waits longest for its turn first."""
        count = len(self.queues)
        return [(self._first + step) % count for step in range(count)]
