# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A node for programs that have other work besides it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib

import rclpy
from rclpy.exceptions import InvalidHandle
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sast_ros.errors import UsageError
from sast_ros.ros.rclpy_compat import rcl_reason, RCLError, ros_refusals


@contextlib.contextmanager
def own_node(
    name: str, ros_arguments: Sequence[str] = ()
) -> Iterator[tuple[Node, SingleThreadedExecutor]]:
    """
    Create a node in a context of its own, which the caller spins, for the length of a block.

    Signals are left to the program. The node has neither parameter services nor ``/rosout``.

    Parameters
    ----------
    name : str
        Of the node.
    ros_arguments : sequence of str
        What follows ``--ros-args``, such as ``-r /diagnostics:=/robot/diagnostics``.

    Yields
    ------
    node : rclpy.node.Node
    executor : rclpy.executors.SingleThreadedExecutor

    Raises
    ------
    UsageError, SettingError
        See ``ros_refusals``.

    """
    with contextlib.ExitStack() as stack:
        context = rclpy.Context()
        arguments = ['--ros-args', *ros_arguments] if ros_arguments else None
        with ros_refusals(ros_arguments):
            rclpy.init(
                args=arguments, context=context, signal_handler_options=SignalHandlerOptions.NO
            )
            stack.callback(context.try_shutdown)
            node = Node(name, context=context, start_parameter_services=False, enable_rosout=False)
        stack.callback(node.destroy_node)
        executor = SingleThreadedExecutor(context=context)
        stack.callback(_shut_down, executor)
        executor.add_node(node)
        yield node, executor


def _shut_down(executor: SingleThreadedExecutor) -> None:
    # Of a block that is left open the garbage collector may finalise the executor first (PEP 442)
    with contextlib.suppress(InvalidHandle):
        executor.shutdown()


def full_topic(node: Node, topic: str) -> str:
    """
    Return the full name of a topic as the user has given it.

    Raises
    ------
    UsageError
        No topic can have this name.

    """
    return _full_name(node.resolve_topic_name, 'topic', topic)


def full_service(node: Node, service: str) -> str:
    """
    Return the full name of a service.

    Raises
    ------
    UsageError
        No service can have this name; rclpy would end in an error of its own.

    """
    return _full_name(node.resolve_service_name, 'service', service)


def _full_name(resolve: Callable[[str], str], kind: str, name: str) -> str:
    try:
        return str(resolve(name))
    except RCLError as error:
        reason = rcl_reason(error).partition(': ')[2] or error
        raise UsageError(
            f'no {kind} is called {name!r}, as it is given or remapped: {reason}'
        ) from error
