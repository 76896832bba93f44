# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The queues between executor and worker."""

from __future__ import annotations

from threading import Event, Thread

import numpy as np
from sast_ros.ros.window_queue import WindowQueue, WindowQueues
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


def test_an_empty_queue_has_no_window():
    assert WindowQueue(1).take() is None


def test_closing_discards_what_waits_and_what_follows():
    queue = WindowQueue(2)
    queue.put(window(0))
    queue.close()
    assert queue.take() is None
    assert queue.put(window(1)) == 0 and len(queue) == 0


def taken(queues: WindowQueues, most: int = 1) -> list[tuple[int, int]]:
    return [(number, item.t_start) for number, item in queues.take(most)]


def test_cameras_take_turns():
    queues = WindowQueues(3, 10)
    for number in range(4):
        queues.queues[0].put(window(number))
    for number in range(2):
        queues.queues[2].put(window(10 + number))
    assert taken(queues) + taken(queues) + taken(queues) == [(0, 0), (2, 10), (0, 1)]
    queues.queues[1].put(window(20))
    assert [taken(queues) for _ in range(4)] == [[(1, 20)], [(2, 11)], [(0, 2)], [(0, 3)]]


def test_windows_of_several_cameras_are_taken_at_once_in_turn():
    queues = WindowQueues(3, 10)
    for camera, queue in enumerate(queues.queues):
        for number in range(2):
            queue.put(window(10 * camera + number))
    assert taken(queues, 2) == [(0, 0), (1, 10)]
    assert taken(queues, 2) == [(2, 20), (0, 1)]
    assert taken(queues, 4) == [(1, 11), (2, 21)]


def test_a_camera_waits_for_no_more_than_one_window_of_each_other():
    generator = np.random.default_rng(0)
    for _ in range(50):
        cameras = int(generator.integers(2, 6))
        most = int(generator.integers(1, cameras + 1))
        rates = generator.random(cameras) * 3
        queues = WindowQueues(cameras, 100)
        served = [0] * cameras  # windows of others since the camera has been waiting
        for _ in range(100):
            for camera, count in enumerate(generator.poisson(rates)):
                for number in range(count):
                    queues.queues[camera].put(window(number))
            waiting = [camera for camera in range(cameras) if len(queues.queues[camera])]
            if not waiting:
                continue
            turn = [camera for camera, _ in taken(queues, most)]
            assert len(set(turn)) == len(turn) == min(most, len(waiting))
            for camera in waiting:
                served[camera] = 0 if camera in turn else served[camera] + len(turn)
                assert served[camera] < cameras


def test_a_closed_queue_holds_up_none_and_all_closed_ones_end_the_wait():
    queues, ended = WindowQueues(2, 10), []
    queues.queues[0].put(window(0))
    queues.queues[0].close()
    queues.queues[1].put(window(1))
    assert taken(queues) == [(1, 1)]
    thread = Thread(target=lambda: ended.append(queues.take()))
    thread.start()
    queues.queues[1].put(window(2))
    thread.join(10)
    assert [(number, item.t_start) for number, item in ended.pop()] == [(1, 2)]
    thread = Thread(target=lambda: ended.append(queues.take()))
    thread.start()
    queues.close()
    thread.join(10)
    assert ended == [[]]


def test_the_worker_prepares_works_in_order_and_ends_with_the_queues():
    queues, done, seen = WindowQueues(1, 10), Event(), []

    def work(items: list[tuple[int, EventWindow]]) -> None:
        seen.extend(item.t_start for _, item in items)
        if seen[-1] == 2:
            done.set()

    worker = Worker(queues, 1, lambda: seen.append('prepared'), work, seen.append)
    for number in range(3):
        queues.queues[0].put(window(number))
    assert done.wait(10)
    worker.stop()
    assert seen == ['prepared', 0, 1, 2]


def test_an_error_in_the_worker_is_handed_on_and_ends_it():
    queues, failed, errors = WindowQueues(1, 10), Event(), []

    def work(items: list[tuple[int, EventWindow]]) -> None:
        raise ZeroDivisionError('no')

    def on_failure(error: Exception) -> None:
        errors.append(error)
        failed.set()

    worker = Worker(queues, 1, lambda: None, work, on_failure)
    queues.queues[0].put(window(0))
    queues.queues[0].put(window(1))
    assert failed.wait(10)
    worker.stop()
    assert [type(error) for error in errors] == [ZeroDivisionError]
