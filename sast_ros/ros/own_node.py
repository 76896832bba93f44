# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A node for programs that have other work besides it."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sast_ros.errors import UsageError


@contextlib.contextmanager
def own_node(name: str) -> Iterator[tuple[Node, SingleThreadedExecutor]]:
    """
    Create a node in a context of its own, which the caller spins, for the length of a block.

    Signals are left to the program. The node has neither parameter services nor ``/rosout``.

    Parameters
    ----------
    name : str
        Of the node.

    Yields
    ------
    node : rclpy.node.Node
    executor : rclpy.executors.SingleThreadedExecutor

    """
    with contextlib.ExitStack() as stack:
        context = rclpy.Context()
        rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
        stack.callback(context.try_shutdown)
        node = Node(name, context=context, start_parameter_services=False, enable_rosout=False)
        stack.callback(node.destroy_node)
        executor = SingleThreadedExecutor(context=context)
        stack.callback(executor.shutdown)
        executor.add_node(node)
        yield node, executor


def full_topic(node: Node, topic: str) -> str:
    """
    Return the full name of a topic as the user has given it.

    Raises
    ------
    UsageError
        No topic can have this name.

    """
    try:
        return str(node.resolve_topic_name(topic))
    except RuntimeError as error:  # the one of rcl has no public name
        reason = str(error).partition(': ')[2].partition(', at ')[0] or error
        raise UsageError(f'no topic is called {topic!r}: {reason}') from error
