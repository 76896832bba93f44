# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Parameters on the node: declared, read, and changes refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TYPE_CHECKING

from sast_ros.errors import format_error, SettingError
from sast_ros.events.filters import FilterChain
from sast_ros.ros.parameters import (
    misspelt,
    Parameter,
    PARAMETERS,
    ParameterValueError,
    Settings,
    with_advice,
)

if TYPE_CHECKING:  # validation works without ROS
    from rcl_interfaces.msg import ParameterDescriptor
    from rclpy.node import Node
    from rclpy.parameter import Parameter as RosParameter


def declare_parameters(node: Node) -> Settings:
    """
    Declare every parameter of the detector and return the values that it was started with.

    Raises
    ------
    ParameterValueError
        A start value of the wrong type or outside its limits; the node cannot start with it.

    """
    declare(node, PARAMETERS)
    return read_settings(node)


def declare(node: Node, parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """
    Declare parameters on a node and return the values that it was started with, by name.

    Start values of misspelt ones are named in the log.

    Raises
    ------
    ParameterValueError
        A start value of the wrong type or outside its limits; the node cannot start with it.

    """
    from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
    from rclpy.parameter import Parameter as RosParameter
    from sast_ros.ros import rclpy_compat

    for p in parameters.values():
        try:
            declared = _declare(node, p)
            # An empty list in a YAML file has no type
            if declared.type_ == RosParameter.Type.NOT_SET:
                node.set_parameters([RosParameter(p.name, value=p.default)])
            p.validate(_plain(node.get_parameter(p.name).value))
        except InvalidParameterTypeException as error:
            raise ParameterValueError(
                f'parameter {p.name} has the wrong type; it must be {p.type_name}: {error}'
            ) from None
        except InvalidParameterValueException as error:
            limits = p.allowed.replace(' to ', ' and ')
            raise ParameterValueError(
                f'parameter {p.name} must be between {limits}: {error}'
            ) from None
        except ParameterValueError as error:
            raise ParameterValueError(f'parameter {error}') from None
    unknown = misspelt(rclpy_compat.start_values(node), parameters)
    if text := ', '.join(with_advice(name, parameters) for name in unknown):
        node.get_logger().warning(
            f'the node has no parameter {text}; what was given for it is ignored'
        )
    return parameter_values(node, parameters)


def _declare(node: Node, parameter: Parameter) -> RosParameter:
    """Declare a parameter; a start value that is a number, but of another type, is converted."""
    from rcl_interfaces.msg import ParameterDescriptor
    from rclpy.exceptions import InvalidParameterTypeException

    name, default = parameter.name, parameter.default
    try:
        return node.declare_parameter(name, default, _descriptor(parameter))
    except InvalidParameterTypeException:
        anything = ParameterDescriptor(dynamic_typing=True)
        value = as_number(_plain(node.declare_parameter(name, default, anything).value), default)
        node.undeclare_parameter(name)
        if value is None:
            raise
        return node.declare_parameter(name, value, _descriptor(parameter), ignore_override=True)


def as_number(value: Any, default: Any) -> Any:
    """
    Return a number, text of a number or list of them with the type of a default.

    Returns
    -------
    int, float, list or None
        ``None`` where the value or the default is no number, or a type cannot hold it.

    """
    if isinstance(default, list):
        items = [as_number(item, default[0]) for item in value] if type(value) is list else [None]
        return None if None in items else items
    kind = type(default)
    if kind not in (int, float) or type(value) not in (int, float, str):
        return None
    try:
        number = kind(value)
    except (ValueError, OverflowError):
        return None
    if kind is int and (abs(number) >= 1 << 63 or isinstance(value, float) and number != value):
        return None
    return number


def with_declared_type(change: RosParameter) -> RosParameter:
    """
    Return a change in the type that was declared, where it is a number, text of one or a list.

    An empty list of texts becomes ``['']``, which a parameter file can hold: ``ros2 param set``
    sends it as one of bool, and ``[]`` of a file (or of ``ros2 param dump``) has no type.
    """
    from rclpy.parameter import Parameter as RosParameter

    declared = PARAMETERS.get(change.name)
    if declared is None:
        return change
    value = _plain(change.value)
    if value == []:
        empty = declared.type_name == 'string array'
        return RosParameter(change.name, value=['']) if empty else change
    number = as_number(value, declared.default)
    return change if number is None else RosParameter(change.name, value=number)


def read_settings(node: Node) -> Settings:
    """Return the values of the parameters."""
    return Settings.from_values(parameter_values(node))


def parameter_values(node: Node, names: Iterable[str] = PARAMETERS) -> dict[str, Any]:
    """Return the values of the parameters by name."""
    return {name: _plain(node.get_parameter(name).value) for name in names}


def refusal(
    changes: Iterable[Any],
    *,
    configured: Mapping[str, Any] | None,
    classes: Iterable[str] | None,
    sizes: Iterable[tuple[int, int]] = (),
) -> str | None:
    """
    Return why these parameters cannot be set, in one sentence, ``None`` if they can.

    Parameters
    ----------
    changes : iterable of rclpy.parameter.Parameter
        All parameters of one request.
    configured : mapping of str, optional
        The values that the node was configured with, ``None`` before its configure transition.
        What equals them may be set, so that ``ros2 param load`` takes what was dumped.
    classes : iterable of str, optional
        Class names of the network, ``None`` while there is none.
    sizes : iterable of tuple of int
        (height, width) in pixels of the sensors that are known, which filters must fit.

    """
    for change in changes:
        parameter = PARAMETERS.get(change.name)
        if parameter is None:
            continue  # use_sim_time and the like belong to rclpy
        value = _plain(change.value)
        if value is None:
            return f'{parameter.name} cannot be removed'
        try:
            parameter.validate(value)
        except ParameterValueError as error:
            return str(error)
        if (
            configured is not None
            and parameter.when == 'configure'
            and value != configured.get(parameter.name)
        ):
            return (
                f'{parameter.name} is read when the node is configured; deactivate and clean up '
                'the node, set it, and configure again'
            )
        if parameter.name == 'detections.classes' and classes is not None:
            reason = unknown_classes(value, classes)
            if reason:
                return reason
        if parameter.name == 'input.filter':
            try:
                make_filter(value, sizes)
            except (SettingError, ImportError) as error:
                return format_error(error)
    return None


def make_filter(texts: Iterable[str], sizes: Iterable[tuple[int, int]] = ()) -> FilterChain:
    """
    Return the filters of ``input.filter``, for sensors of these sizes.

    Raises
    ------
    SettingError
        A filter that does not exist, an impossible value, a mask that cannot be read, or a region
        or mask that does not fit a sensor.

    """
    try:
        event_filter = FilterChain(texts)
        for size in sizes:
            event_filter.check(size)
        return event_filter
    except SettingError as error:
        raise SettingError(f'input.filter: {error}') from error


def unknown_classes(wanted: Iterable[str], known: Iterable[str]) -> str | None:
    """Return a sentence if ``detections.classes`` names a class that the network does not have."""
    unknown = [name for name in wanted if name and name not in set(known)]
    if not unknown:
        return None
    return (
        f'detections.classes names {", ".join(unknown)}, which the network does not know; '
        f'it knows {", ".join(known)}'
    )


def _plain(value: Any) -> Any:
    """Return arrays of rclpy as lists, other values as they are."""
    return value if value is None or isinstance(value, (str, bool, int, float)) else list(value)


def _descriptor(parameter: Parameter) -> ParameterDescriptor:
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

    unit = f' [{parameter.unit}]' if parameter.unit else ''
    constraints = [f'One of {parameter.allowed}.'] if parameter.choices else []
    if parameter.when == 'configure':
        constraints.append('Takes effect at the next configure transition.')
    descriptor = ParameterDescriptor(
        description=parameter.description + unit,
        additional_constraints=' '.join(constraints),
        read_only=parameter.when == 'start',
    )
    if parameter.limits and isinstance(parameter.default, float):
        low, high = map(float, parameter.limits)
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    elif parameter.limits:
        first, last = map(int, parameter.limits)
        descriptor.integer_range = [IntegerRange(from_value=first, to_value=last, step=1)]
    return descriptor
