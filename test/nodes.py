# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What tests need that take part in a ROS graph themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def ros_node(name: str) -> Iterator[Any]:
    """Yield a node in a context of its own; ``node.executor`` spins it."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node(name, context=context)
    executor = SingleThreadedExecutor(context=context)  # the node has a weak reference only
    executor.add_node(node)
    try:
        yield node
    finally:
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()


def score_of(detection: Any) -> float:
    """Return the score of a ``vision_msgs/Detection2D``."""
    return detection.results[0].hypothesis.score
