# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Work-arounds for rclpy, and all uses of its private interface.

Each names the upstream issue; where rclpy has changed, the fallback is its public behaviour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import functools
import os
import re
from typing import Any, Protocol

from rcl_interfaces.msg import SetParametersResult
import rclpy
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.subscription import Subscription
from rclpy.utilities import remove_ros_args
from sast_ros.errors import escape_controls, SettingError, UsageError
from sast_ros.process import is_interruption

RCLError = rclpy_implementation.RCLError

#: What ROS raises while it starts; the last one because of use_sim_time.
_REFUSALS = (
    RCLError,
    rclpy_implementation.UnknownROSArgsError,
    NameValidationException,
    ParameterException,
)

#: Kind and text of an argument of which rcl says that it cannot parse it. Why, it tells in terms
#: of its parser, or not at all.
_UNPARSED = re.compile(r"Couldn't parse ([\w ]+): '(.*)'\. Error: ", re.DOTALL)

_NAMES = (
    'a name has letters, digits and underscores, in parts of which none begins with a digit, with '
    'single slashes between them and at most one before them'
)
_FORMS = {
    'remap rule': f'give -r FROM:=TO; {_NAMES}, as that of a namespace must',
    'parameter override rule': 'give -p NAME:=VALUE, the value as in a parameter file',
}


def initialize(**options: Any) -> None:
    """
    Initialize rclpy with the arguments of the program.

    rclpy ignores those outside ``--ros-args``, among them parameters of whoever has forgotten it.

    Raises
    ------
    SettingError
        An argument that is none of ROS, or what ``ros_refusals`` raises.

    """
    with ros_refusals():
        try:
            unknown = ' '.join(remove_ros_args()[1:])
        except rclpy_implementation.UnknownROSArgsError as error:
            unknown = str(error)
        if unknown:
            raise SettingError(
                f'{escape_controls(unknown)} is no argument of ROS; give parameters as '
                '"--ros-args -p NAME:=VALUE" or "--ros-args --params-file FILE"'
            )
        rclpy.init(**options)


@contextlib.contextmanager
def ros_refusals(arguments: Sequence[str] = ()) -> Iterator[None]:
    """
    Raise what ROS refuses while it starts as an error with a text for the user.

    Parameters
    ----------
    arguments : sequence of str
        What the user has given after ``--ros-args``.

    Raises
    ------
    UsageError
        ROS does not take these arguments.
    SettingError
        ROS does not take the environment, or the arguments of the program.

    """
    try:
        yield
    except _REFUSALS as error:
        reason = rcl_reason(error)
        unparsed = _UNPARSED.search(reason)
        if unparsed is not None:
            if unparsed[1] in _FORMS:
                reason = f'{unparsed[2]} is not understood; {_FORMS[unparsed[1]]}'
        elif isinstance(error, NameValidationException) or 'invalid node name' in reason:
            reason += f'; {_NAMES}'
        elif 'log directory' in reason:
            reason += '; set ROS_LOG_DIR to a folder that can be written'
            arguments = ()
        elif isinstance(error, RCLError) and os.environ.get('ROS_SECURITY_ENABLE') == 'true':
            reason += (
                '; security is on (ROS_SECURITY_ENABLE): check that the middleware has it, and '
                'the keystore and enclave'
            )
            arguments = ()
        if arguments:
            raise UsageError(f'--ros-args {" ".join(arguments)}: {reason}') from error
        raise SettingError(f'ROS 2 cannot start: {reason}') from error


def rcl_reason(error: Exception) -> str:
    """Return the text of an error of rcl in one line, without places in its source."""
    text = re.sub(r', at \S+:\d+', '', str(error))
    return ' '.join(text.split()).removesuffix(' ^')  # it marks a place in a name


class _FailingNode(Protocol):
    """Node with the method that ``logged_transition`` calls."""

    def fail(self, sentence: str, error: Exception) -> None:
        """Report why the node cannot work."""


def logged_transition(
    callback: Callable[..., TransitionCallbackReturn],
) -> Callable[..., TransitionCallbackReturn]:
    """
    Report what a transition callback raises through ``node.fail`` and go to error processing.

    rclpy does the latter without a log message (ros2/rclpy#1673, #1696).
    """

    @functools.wraps(callback)
    def logged(node: _FailingNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return callback(node, state)
        except Exception as error:
            if is_interruption(error):
                raise KeyboardInterrupt from error
            node.fail(f'{callback.__name__[3:]} failed: {error}', error)
            return TransitionCallbackReturn.ERROR

    return logged


def refuse_impossible_transitions(node: LifecycleNode) -> None:
    """
    Answer a request for a transition that the state does not have with a refusal.

    rclpy raises RCLError from its service callback instead, which ends the executor and with it
    the node (ros2/rclpy#1209).
    """
    service = getattr(node, '_service_change_state', None)
    if service is None:
        return
    answer = service.callback

    def refuse_or_answer(request: Any, response: Any) -> Any:
        try:
            return answer(request, response)
        except RCLError:
            wanted = request.transition.label or request.transition.id
            node.get_logger().warning(
                f'transition {wanted} does not exist in state {lifecycle_state(node)}; nothing '
                'was done'
            )
            response.success = False
            return response

    service.callback = refuse_or_answer


def refuse_unknown_types(node: Node) -> None:
    """
    Answer a request for parameters of a type that does not exist with a refusal.

    rclpy raises ValueError from its service callback instead, which ends the node.
    """
    for service in node.services:
        if service.srv_name.endswith(('/set_parameters', '/set_parameters_atomically')):
            service.callback = functools.partial(_refuse_unknown_types, service.callback)


def _refuse_unknown_types(answer: Callable[..., Any], request: Any, response: Any) -> Any:
    known = {kind.value for kind in Parameter.Type}
    unknown = [each.name for each in request.parameters if each.value.type not in known]
    if not unknown:
        return answer(request, response)
    reason = f'{", ".join(unknown)}: no type of rcl_interfaces/ParameterType; nothing was set'
    result = SetParametersResult(successful=False, reason=reason)
    if hasattr(response, 'result'):
        response.result = result
    else:
        response.results = [result for _ in request.parameters]
    return response


def after_parameters(node: Node, callback: Callable[[list[Parameter]], None]) -> None:
    """
    Call back with the parameters of every accepted request, when the node has their new values.

    ``add_post_set_parameters_callback`` does that since Iron; rclpy of Humble has only the one
    that is called before.
    """
    try:
        node.add_post_set_parameters_callback(callback)
    except AttributeError:
        set_parameters = node._set_parameters_atomically

        def set_and_call(parameters: list[Parameter], *rest: Any, **options: Any) -> Any:
            result = set_parameters(parameters, *rest, **options)
            if result.successful:
                callback(parameters)
            return result

        node._set_parameters_atomically = set_and_call  # type: ignore[assignment,method-assign]


def start_values(node: Node) -> Mapping[str, Parameter]:
    """
    Return the parameters that a node was started with by name, undeclared ones too.

    Empty where rclpy does not tell; it offers only those that the node has declared.
    """
    return getattr(node, '_parameter_overrides', {})


def lifecycle_state(node: LifecycleNode) -> str:
    """Return the label of a node's lifecycle state; rclpy offers it as a service only."""
    return node._state_machine.current_state[1]


def take_serialized(subscription: Subscription) -> bytes | None:
    """
    Take the next message of a raw subscription without the executor, ``None`` if there is none.

    The executor builds its wait set anew for every message (ros2/rclcpp#1637 for C++,
    ros2/rclpy#1452), which takes 0.3 ms of the interpreter lock that other threads need as well.
    """
    with subscription.handle:
        taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
    return None if taken is None else taken[0]


class GatedCallbackGroup(MutuallyExclusiveCallbackGroup):
    """
    Callback group of a subscription; while it is closed the executor does not wait for messages.

    It also does not wait for its QoS events: they share a DDS condition with the data, so that
    waiting for one returns at once, again and again, while the other is available.
    """

    closed = False

    def can_execute(self, entity: Any) -> bool:
        """Return whether the executor may wait for, and execute, the entity."""
        return not self.closed and super().can_execute(entity)
