# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A fault that repeats is logged now and then, and hides no other."""

from __future__ import annotations

from sast_ros.ros.log_throttle import LogThrottle


def test_each_kind_once_in_a_period():
    now = 0.0
    throttle = LogThrottle(5.0, clock=lambda: now)
    assert throttle.is_due('message', 'x, y')
    assert throttle.is_due('message', 'width')
    assert not throttle.is_due('message', 'x, y')
    now = 4.9
    assert not throttle.is_due('message', 'x, y')
    now = 5.0
    assert throttle.is_due('message', 'x, y')
    assert not throttle.is_due('message', 'x, y')
    throttle.forget()
    assert throttle.is_due('message', 'x, y')


def test_kinds_without_end_take_no_memory():
    throttle = LogThrottle(5.0)
    assert all(throttle.is_due(kind) for kind in range(10_000))
    assert len(throttle._logged) <= 64
