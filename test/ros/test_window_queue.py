# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The queues between executor and worker."""

from __future__ import annotations

from threading import Event, Thread

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
import numpy as np
import pytest
from sast_ros.events.chunk import EventChunk
from sast_ros.ros import window_queue
from sast_ros.ros.parameters import OverloadSettings
from sast_ros.ros.stride_control import StrideControl
from sast_ros.ros.window_queue import WindowQueue, WindowQueues
from sast_ros.ros.worker import Worker
from sast_ros.windows import EventWindow


def window(number: int, reset: str | None = None) -> EventWindow:
    return EventWindow(number, number + 1, (), 4, 4, 0, reset=reset)


def limits(windows: int) -> OverloadSettings:
    return OverloadSettings(queue_windows=windows)


def test_windows_come_out_in_order():
    queue = WindowQueue(limits(3))
    for number in range(3):
        queue.put(window(number))
    assert queue.losses().dropped == 0
    assert len(queue) == 3
    assert [queue.take().t_start for _ in range(3)] == [0, 1, 2]


def test_a_full_queue_drops_the_oldest():
    queue = WindowQueue(limits(2))
    for number in range(5):
        queue.put(window(number))
    assert queue.losses().dropped == 3
    assert queue.losses().dropped == 0  # since the last call
    assert [queue.take().t_start for _ in range(2)] == [3, 4]


def test_a_smaller_capacity_takes_effect_with_the_next_window():
    queue = WindowQueue(limits(5))
    for number in range(5):
        queue.put(window(number))
    queue.settings = limits(1)
    queue.put(window(5))
    assert queue.losses().dropped == 5
    assert queue.take().t_start == 5


def test_the_reset_of_a_dropped_window_is_inherited():
    queue = WindowQueue(limits(1))
    queue.put(window(0, 'start'))
    queue.put(window(1))
    queue.put(window(2))
    assert queue.take().reset == 'start'
    queue.put(window(3))
    assert queue.take().reset is None


def test_a_window_with_a_reset_of_its_own_keeps_it():
    queue = WindowQueue(limits(1))
    queue.put(window(0, 'gap'))
    queue.put(window(1, 'service'))
    assert queue.take().reset == 'service'
    queue.put(window(2))
    assert queue.take().reset is None


def test_an_empty_queue_has_no_window():
    assert WindowQueue(limits(1)).take() is None


def test_closing_discards_what_waits_and_what_follows():
    queue = WindowQueue(limits(2))
    queue.put(window(0))
    queue.close()
    assert queue.take() is None
    queue.put(window(1))
    assert len(queue) == queue.losses().dropped == 0


def full_window(number: int, events: int) -> EventWindow:
    zeros = np.zeros(events, np.uint8)
    chunk = EventChunk(zeros, zeros, zeros, zeros.astype(np.int64) + number, width=4, height=4)
    return EventWindow(number, number + 1, (chunk,), 4, 4, 0)


@pytest.mark.parametrize('policy', ['drop', 'reduce'])
def test_the_events_that_wait_are_bounded_and_the_newest_window_is_served(monkeypatch, policy):
    monkeypatch.setattr(window_queue, 'MAX_WAITING_EVENTS', 1000)
    queue = WindowQueue(OverloadSettings(policy=policy, queue_windows=1000))
    for number in range(100):
        queue.put(full_window(number, 300))
    assert len(queue) == 4 and queue.losses().dropped == 96
    queue.put(full_window(100, 5000))
    assert len(queue) == 4  # it does not count beside the others
    queue.put(full_window(101, 5000))
    assert len(queue) == 1
    assert queue.take().t_start == 101


class Simulation:
    """
    A queue, a camera that completes a window every ``period`` and a network, on a made-up clock.

    Attributes
    ----------
    served : list of tuple
        Windows, their age when they were taken, whether a newer one waited, and how many were
        skipped at the time.

    """

    def __init__(self, settings: OverloadSettings) -> None:
        self.now = 0.0
        self.control = StrideControl(0.0)
        self.queue = WindowQueue(settings, self.control, clock=lambda: self.now)
        self.put = self.dropped = self.skipped = 0
        self.served: list[tuple[EventWindow, float, bool, int]] = []
        self._next = 0.0

    def run(self, seconds: float, period: float, step: float, resets: frozenset = frozenset()):
        """Let time pass."""
        end, self._next = self.now + seconds, max(self._next, self.now)
        while self.now < end:
            self.control.review(self.now)
            window = self.queue.take()
            self._collect()
            if window is None:
                due = self.queue.due_in()
                until = self._next if due is None else min(self._next, self.now + due)
                idle = max(until - self.now, 1e-6)
                self._pass(idle, period, resets)
                self.control.idle(idle)
                continue
            age = self.now - self.queue.completed
            self.served.append((window, age, len(self.queue) > 0, self.queue.multiple))
            self._pass(step, period, resets)
        self._collect()

    def _collect(self) -> None:
        losses = self.queue.losses()
        self.dropped += losses.dropped
        self.skipped += losses.skipped

    def _pass(self, seconds: float, period: float, resets: frozenset) -> None:
        end = self.now + seconds
        while self._next <= end:
            self.now = self._next
            reset = f'reset {self.put}' if self.put in resets or not self.put else None
            self.queue.put(window(self.put, reset))
            self.put += 1
            self._next += period
        self.now = end


@examples(max_examples=60, deadline=None)
@given(
    st.sampled_from(['drop', 'reduce']),
    st.floats(0.001, 0.2),
    st.floats(0.1, 8),
    st.floats(20, 400),
    st.integers(1, 50),
    st.frozensets(st.integers(0, 400), max_size=20),
)
def test_what_is_served_is_fresh_in_order_and_reset(policy, step, load, age_ms, most, resets):
    settings = OverloadSettings(policy=policy, max_age_ms=age_ms, queue_windows=most)
    made = Simulation(settings)
    made.run(200 * step, step / load, step, resets)
    waiting = len(made.queue)
    assert made.put == len(made.served) + made.dropped + made.skipped + waiting  # none is lost
    seen = -1
    for served, age, newer, _ in made.served:
        assert age <= age_ms / 1000 + 1e-9 or not newer
        assert served.t_start > seen
        last = served.t_start
        due = [number for number in {0, *resets} if seen < number <= last]
        # The reason is the one of the stream that the window belongs to
        assert served.reset == (f'reset {max(due)}' if due else None)
        seen = last
    if load < 0.9 and age_ms / 1000 > step:
        assert made.dropped == made.skipped == 0


@pytest.mark.parametrize('load', [1.3, 2.0, 3.7, 8.0])
def test_reduce_keeps_a_steady_stride_and_returns_when_there_is_room(load):
    settings = OverloadSettings(policy='reduce', max_age_ms=150, queue_windows=40)
    made = Simulation(settings)
    made.run(10, 0.020 / load, 0.020)
    assert made.dropped == 0
    starts = [served.t_start for served, *_ in made.served]
    multiples = [multiple for *_, multiple in made.served]
    steady = len(made.served) // 2
    assert len(set(multiples[steady:])) == 1
    assert set(np.diff(starts[steady:])) == {multiples[-1]}
    # Windows do not wait
    assert max(age for _, age, *_ in made.served[steady:]) < 0.025
    assert load <= multiples[-1] <= load / 0.75 + 1
    recovered = made.now + 2.0  # a period that begins, and one of low load
    made.run(4, 0.050, 0.020)
    assert made.queue.multiple == 1 and made.dropped == 0
    late = [w.t_start for w, *_ in made.served if w.t_start > starts[-1] + 2.0 / 0.050]
    assert len(late) > 30 and set(np.diff(late)) == {1}
    assert made.now > recovered


@pytest.mark.parametrize('most', [1, 4])
def test_a_shorter_queue_shortens_a_stride_that_does_not_fit_into_it(most):
    queues = WindowQueues(1, OverloadSettings(policy='reduce', queue_windows=20))
    queues._control.multiple = 8
    queue = queues.queues[0]
    queue.settings = OverloadSettings(policy='reduce', queue_windows=most)
    served = []
    for number in range(40):
        queue.put(window(number))
        served += [one.t_start for one in [queue.take()] if one is not None]
    assert queue.multiple == max(1, most // 2)
    assert set(np.diff(served)) == {queue.multiple}
    assert queue.losses().dropped == 0


def test_a_burst_after_a_silence_does_not_change_the_stride():
    settings = OverloadSettings(policy='reduce')
    made = Simulation(settings)
    made.run(2, 0.050, 0.020)
    for number in range(18):
        made.queue.put(window(1000 + number))
    made.run(2, 0.050, 0.020)
    assert {multiple for *_, multiple in made.served} == {1}
    assert made.skipped > 0 and made.dropped == 0


def test_windows_do_not_wait_for_the_rest_of_their_stride_for_ever():
    now = 10.0
    control = StrideControl(now)
    control.multiple = 4
    queue = WindowQueue(OverloadSettings(policy='reduce'), control, clock=lambda: now)
    queue.put(window(0))
    queue.put(window(1))
    assert queue.take() is None and queue.due_in() == pytest.approx(0.15)
    now += 0.16
    assert queue.due_in() == 0
    assert queue.take().t_start == 1
    # Nor where another stream begins
    queue.put(window(2))
    queue.put(window(3, 'gap'))
    assert queue.take().t_start == 2
    assert queue.take() is None


def test_the_worker_wakes_for_windows_that_wait_for_the_rest_of_their_stride():
    queues = WindowQueues(1, OverloadSettings(policy='reduce', max_age_ms=1.0))
    queues._control.multiple = 3
    queues.queues[0].put(window(0))
    assert taken(queues) == [(0, 0)]  # in real time


def taken(queues: WindowQueues, most: int = 1) -> list[tuple[int, int]]:
    return [(number, item.t_start) for number, item in queues.take(most)]


def test_cameras_take_turns():
    queues = WindowQueues(3, limits(10))
    for number in range(4):
        queues.queues[0].put(window(number))
    for number in range(2):
        queues.queues[2].put(window(10 + number))
    assert taken(queues) + taken(queues) + taken(queues) == [(0, 0), (2, 10), (0, 1)]
    queues.queues[1].put(window(20))
    assert [taken(queues) for _ in range(4)] == [[(1, 20)], [(2, 11)], [(0, 2)], [(0, 3)]]


def test_windows_of_several_cameras_are_taken_at_once_in_turn():
    queues = WindowQueues(3, limits(10))
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
        queues = WindowQueues(cameras, limits(100))
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
    queues, ended = WindowQueues(2, limits(10)), []
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
    queues, done, seen = WindowQueues(1, limits(10)), Event(), []

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
    queues, failed, errors = WindowQueues(1, limits(10)), Event(), []

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
