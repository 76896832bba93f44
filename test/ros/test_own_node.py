# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A node of its own ends with its block, however that ends."""

from __future__ import annotations

from sast_ros.ros.own_node import own_node


def test_an_executor_that_the_collector_has_finalised_first_is_shut_down(ros_domain):
    own = own_node('left_open')
    node, executor = own.__enter__()
    executor.__del__()
    own.__exit__(None, None, None)
    assert not node.context.ok()
    executor._sigint_gc = None  # the collector calls it only once
