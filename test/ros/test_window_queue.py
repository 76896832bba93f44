# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The queue between executor and worker."""

from __future__ import annotations

from threading import Event, Thread

from sast_ros.ros.window_queue import WindowQueue
from sast_ros.ros.worker import Worker
from sast_ros.windows import EventWindow


def window(number: int, reset: str | None = None) -> EventWindow:
    return EventWindow(number, number + 1, (), 4, 4, 0, reset=reset)


def test_windows_come_out_in_order():
    queue = WindowQueue(3)
    assert [queue.put(window(number)) for number in range(3)] == [0, 0, 0]
    assert len(queue) == 3
    assert [queue.take().t_start for _ in range(3)] == [0, 1, 2]


def test_a_full_queue_drops_the_oldest():
    queue = WindowQueue(2)
    assert [queue.put(window(number)) for number in range(5)] == [0, 0, 1, 1, 1]
    assert [queue.take().t_start for _ in range(2)] == [3, 4]


def test_a_smaller_capacity_takes_effect_with_the_next_window():
    queue = WindowQueue(5)
    for number in range(5):
        queue.put(window(number))
    queue.capacity = 1
    assert queue.put(window(5)) == 5
    assert queue.take().t_start == 5


def test_the_reset_of_a_dropped_window_is_inherited():
    queue = WindowQueue(1)
    queue.put(window(0, 'start'))
    queue.put(window(1))
    queue.put(window(2))
    assert queue.take().reset == 'start'
    queue.put(window(3))
    assert queue.take().reset is None


def test_a_window_with_a_reset_of_its_own_keeps_it():
    queue = WindowQueue(1)
    queue.put(window(0, 'gap'))
    queue.put(window(1, 'service'))
    assert queue.take().reset == 'service'
    queue.put(window(2))
    assert queue.take().reset is None


def test_closing_discards_and_wakes():
    queue = WindowQueue(2)
    queue.put(window(0))
    taken = []
    queue.close()
    thread = Thread(target=lambda: taken.append(queue.take()))
    thread.start()
    thread.join(10)
    assert taken == [None]
    assert queue.put(window(1)) == 0 and len(queue) == 0


def test_the_worker_prepares_works_in_order_and_ends_with_the_queue():
    queue, done, seen = WindowQueue(10), Event(), []

    def work(item: EventWindow) -> None:
        seen.append(item.t_start)
        if item.t_start == 2:
            done.set()

    worker = Worker(queue, lambda: seen.append('prepared'), work, seen.append)
    for number in range(3):
        queue.put(window(number))
    assert done.wait(10)
    worker.stop()
    assert seen == ['prepared', 0, 1, 2]


def test_an_error_in_the_worker_is_handed_on_and_ends_it():
    queue, failed, errors = WindowQueue(10), Event(), []

    def work(item: EventWindow) -> None:
        raise ZeroDivisionError('no')

    def on_failure(error: Exception) -> None:
        errors.append(error)
        failed.set()

    worker = Worker(queue, lambda: None, work, on_failure)
    queue.put(window(0))
    queue.put(window(1))
    assert failed.wait(10)
    worker.stop()
    assert [type(error) for error in errors] == [ZeroDivisionError]
