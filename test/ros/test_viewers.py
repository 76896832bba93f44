# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What fails while pictures are made costs pictures only."""

from __future__ import annotations

from collections.abc import Callable
import threading
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy', reason='ROS 2 (rclpy) is not installed')

from sast_ros.ros import viewers  # noqa: E402 - after the skip


class Publisher:
    """Has a subscriber; asked in the thread of the viewers, it fails."""

    def __init__(self, failing: Callable[[], bool]) -> None:
        self._failing = failing

    def get_subscription_count(self) -> int:
        if threading.current_thread().name == 'sast_viewers' and self._failing():
            raise RuntimeError('the context is invalid')
        return 1

    def publish(self, message: object) -> None:
        pass


@pytest.mark.parametrize('running', [True, False])
@pytest.mark.parametrize('trails_fail', [True, False])
def test_a_failure_ends_no_thread_and_is_told_while_the_program_runs(
    monkeypatch, running, trails_fail
):
    failing, told, failed, made = [True], [], threading.Event(), threading.Event()
    logger = SimpleNamespace(warning=told.append)

    def update(self, detections):
        if failing[0] and trails_fail:
            failed.set()
            raise RuntimeError('no trail')

    monkeypatch.setattr(viewers.Trails, 'update', update)
    monkeypatch.setattr(viewers, 'TOPICS', {'overlay': (object, lambda view: made.set())})

    def fails():
        if failing[0] and not trails_fail:
            failed.set()
        return failing[0] and not trails_fail

    publisher = Publisher(fails)
    shown = viewers.Viewers(lambda *_: publisher, logger, lambda: running)
    shown.show(*5 * [None])
    assert failed.wait(10)
    failing[0] = False
    shown.show(*5 * [None])
    assert made.wait(10)
    shown.stop()
    assert len(told) == running and all('unexpected RuntimeError' in text for text in told)
