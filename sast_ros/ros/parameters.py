"""
Every parameter of the node, declared once.

Declarations, validation, YAML file and the table of docs/node.md follow from it. A parameter is a
field of one of the dataclasses below: ``window.duration_ms`` is ``WindowSettings.duration_ms``.
The node works with a frozen ``Settings``; a change makes a new one, so that no thread ever sees
half of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, Field, field, fields
import math
import re
import textwrap
from typing import Any, get_args, Literal, TYPE_CHECKING

from sast_ros import defaults
from sast_ros.errors import SastError
from sast_ros.events import EVENT_TYPES
from sast_ros.windows import microseconds, TimestampSource

if TYPE_CHECKING:
    from rcl_interfaces.msg import ParameterDescriptor
    from rclpy.node import Node

#: When a new value takes effect: between two windows; at the next configure transition; only at
#: the start of the node.
When = Literal['live', 'configure', 'start']

AUTO = 'auto'


class ParameterValueError(SastError, ValueError):
    """A value that a parameter cannot take; the text is one sentence for the person who set it."""


@dataclass(frozen=True)
class Parameter:
    """
    Declaration of one parameter.

    Parameters
    ----------
    name: full name, for example ``'window.duration_ms'``.
    default: its type is the type of the parameter: bool, int, float, str, list of int or list of
        str.
    description: what it does, one or two sentences, for ``ros2 param describe`` and the tables.
    unit: of a number; empty if it has none.
    low, high: inclusive limits of a number.
    choices: the only values that a text may have; empty for any.
    check: further condition; returns the end of "... is <value>; it must be <this>", or ``None``
        if it holds.
    when: when a change takes effect.

    """

    name: str
    default: Any
    description: str
    unit: str = ''
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    check: Callable[[Any], str | None] | None = field(default=None, repr=False)
    when: When = 'live'

    @property
    def type_name(self) -> str:
        """Name of the type as ROS users write it."""
        if isinstance(self.default, list):
            return f'{_TYPE_NAMES[type(self.default[0])]} array'
        return _TYPE_NAMES[type(self.default)]

    @property
    def allowed(self) -> str:
        """What values are allowed, in words."""
        if self.choices:
            return ', '.join(f"'{choice}'" for choice in self.choices)
        if self.low is not None:
            return f'{_number(self.low)} to {_number(self.high)}'
        return ''

    def validate(self, value: Any) -> None:
        """Raise ``ParameterValueError`` if the parameter cannot take the value; its type fits."""
        must = None
        if self.choices and value not in self.choices:
            must = f'one of {self.allowed}'
        elif self.low is not None and not (
            math.isfinite(value) and self.low <= value <= self.high
        ):
            must = f'between {self.allowed}'.replace(' to ', ' and ')
        elif self.check is not None:
            must = self.check(value)
        if must is not None:
            raise ParameterValueError(f'{self.name} is {value!r}; it must be {must}')


_TYPE_NAMES = {bool: 'bool', int: 'integer', float: 'double', str: 'string'}


def _number(value: float | None) -> str:
    return f'{value:g}' if value is None or abs(value) < 1e6 else str(int(value))


def _parameter(default: Any, description: str, **details: Any) -> Any:
    """Dataclass field with the declaration of its parameter."""
    metadata = {'description': description, **details}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def _is_device(value: str) -> str | None:
    return (
        None
        if re.fullmatch(r'auto|cpu|cuda(:\d+)?', value)
        else "'auto', 'cpu', 'cuda' or 'cuda:N'"
    )


def _is_partition(value: list[int]) -> str | None:
    fits = len(value) == 2 and (value == [0, 0] or all(1 <= side <= 1024 for side in value))
    return None if fits else '[height, width] in tokens, or [0, 0] for that of the model'


@dataclass(frozen=True)
class ModelSettings:
    """``model.*``."""

    path: str = _parameter(
        'default',
        "Weights: 'default' for the bundled ones (pedestrian, two-wheeler, car), or a "
        '.safetensors file made by "sast-ros convert" or "sast-ros train". The name of a '
        'configuration (gen1-tiny, gen1-small, gen1-base, gen1-large, 1mpx-...) gives that '
        'network with random, untrained weights.',
        check=lambda value: (
            None if value else "'default', a .safetensors file or the name of a configuration"
        ),
        when='configure',
    )
    device: str = _parameter(
        AUTO,
        "Where the network runs: 'cpu', 'cuda', 'cuda:N', or 'auto' for the first GPU if there "
        'is one.',
        check=_is_device,
        when='configure',
    )
    precision: str = _parameter(
        'float32',
        'Arithmetic of the matrix products; scoring and selection always use float32.',
        choices=('float32', 'bfloat16'),
        when='configure',
    )
    partition_size: list[int] = _parameter(
        [0, 0],
        'Height and width of the attention partitions; [0, 0] takes those of the model.',
        unit='tokens',
        check=_is_partition,
        when='configure',
    )
    threads: int = _parameter(
        0,
        'CPU threads of the network; 0 takes all cores but one, at most 4, and leaves the last '
        'to the messages.',
        low=0,
        high=256,
        when='configure',
    )


@dataclass(frozen=True)
class WindowSettings:
    """``window.*``."""

    duration_ms: float = _parameter(
        defaults.WINDOW_MS,
        'Sensor time that one histogram integrates.',
        unit='ms',
        low=1.0,
        high=10_000.0,
    )
    stride_ms: float = _parameter(
        defaults.STRIDE_MS,
        'Sensor time from one window to the next, that is between two detections. The bundled '
        'weights were trained with 50, official Gen1 ones with 125.',
        unit='ms',
        low=1.0,
        high=10_000.0,
    )
    timestamp_source: TimestampSource = _parameter(
        AUTO,
        "What stamps the detections: 'auto' is the end of the window in ROS time (event times "
        'of a sensor clock are shifted by the smallest recent difference between header.stamp '
        "and event time), 'header' the header.stamp of the message that completed the window, "
        "'receive' the time of the node's clock when that message was taken.",
        choices=(AUTO, 'header', 'receive'),
    )


@dataclass(frozen=True)
class SparsitySettings:
    """``sparsity.*``."""

    mode: str = _parameter(
        'adaptive',
        "Which tokens the attention looks at: 'adaptive' selects by score, as published; "
        "'dense' takes all; 'budget' selects fewer while a step takes longer than "
        'latency_budget_ms.',
        choices=('adaptive', 'dense', 'budget'),
    )
    amp: float = _parameter(
        defaults.AMP,
        'AMP of the selection: larger selects fewer tokens where little moves.',
        low=1e-9,
        high=1e9,
    )
    bounce: float = _parameter(
        defaults.BOUNCE,
        'BOUNCE of the selection: threshold on the scores.',
        low=0.0,
        high=1e9,
    )
    latency_budget_ms: float = _parameter(
        40.0, 'Step time that sparsity.mode budget aims at.', unit='ms', low=0.1, high=10_000.0
    )


@dataclass(frozen=True)
class DetectionSettings:
    """``detections.*``."""

    score_threshold: float = _parameter(
        defaults.SCORE_THRESHOLD,
        'Detections with a lower score (objectness x class probability) are not published.',
        low=0.0,
        high=1.0,
    )
    nms_iou: float = _parameter(defaults.NMS_IOU, 'IoU threshold of per-class NMS.', low=0, high=1)
    max_count: int = _parameter(
        defaults.MAX_DETECTIONS,
        'Maximum detections per window, best scores first.',
        low=1,
        high=10_000,
    )
    classes: list[str] = _parameter(
        [''],
        "Names of the classes to publish; [''] for all.",
        check=lambda names: (
            None if len(set(names)) == len(names) else 'a list without repetitions'
        ),
    )
    class_id_format: Literal['name', 'index'] = _parameter(
        'name',
        "Content of hypothesis.class_id: the class 'name', or its 'index' as in label_info.",
        choices=('name', 'index'),
    )

    @property
    def class_filter(self) -> tuple[str, ...] | None:
        """Names of the classes to publish, ``None`` for all."""
        return tuple(name for name in self.classes if name) or None


@dataclass(frozen=True)
class InputSettings:
    """``input.*``."""

    type: str = _parameter(  # noqa: A003 - the name of the parameter input.type
        AUTO,
        "Message type of the topic events; 'auto' takes that of the publisher and waits until "
        'there is one.',
        choices=(AUTO, *EVENT_TYPES),
        when='configure',
    )
    queue_depth: int = _parameter(
        1000,
        'Depth of the subscription (KeepLast).',
        unit='messages',
        low=1,
        high=100_000,
        when='configure',
    )
    width: int = _parameter(
        0,
        'Width of the sensor where messages do not carry it (PointCloud2); 0 is that of the '
        'design size.',
        unit='pixels',
        low=0,
        high=8192,
        when='configure',
    )
    height: int = _parameter(
        0,
        'Height of the sensor where messages do not carry it (PointCloud2); 0 is that of the '
        'design size.',
        unit='pixels',
        low=0,
        high=8192,
        when='configure',
    )
    time_unit: str = _parameter(
        AUTO,
        "Unit of the time field of PointCloud2; 'auto' concludes it from the type of the field.",
        choices=(AUTO, 's', 'ms', 'us', 'ns'),
        when='configure',
    )


@dataclass(frozen=True)
class OverloadSettings:
    """``overload.*``."""

    queue_windows: int = _parameter(
        20,
        'Complete windows that may wait for the network; beyond it the oldest is dropped, '
        'counted and reported. The end of a silence completes its empty windows at once: let '
        'this be at least max_gap_ms / stride_ms.',
        unit='windows',
        low=1,
        high=1000,
    )


@dataclass(frozen=True)
class StateSettings:
    """``state.*``."""

    max_gap_ms: float = _parameter(
        defaults.MAX_GAP_MS,
        'A longer silence between two events resets the recurrent state; shorter ones give '
        'empty windows.',
        unit='ms',
        low=1.0,
        high=3_600_000.0,
    )


@dataclass(frozen=True)
class Settings:
    """Values of all parameters at one moment."""

    autostart: bool = _parameter(
        True,
        'Configure and activate by itself after the start. Set it to false where a lifecycle '
        'manager does that.',
        when='start',
    )
    model: ModelSettings = field(default_factory=ModelSettings)
    window: WindowSettings = field(default_factory=WindowSettings)
    sparsity: SparsitySettings = field(default_factory=SparsitySettings)
    detections: DetectionSettings = field(default_factory=DetectionSettings)
    input: InputSettings = field(default_factory=InputSettings)  # noqa: A003 - input.*
    overload: OverloadSettings = field(default_factory=OverloadSettings)
    state: StateSettings = field(default_factory=StateSettings)

    @property
    def timing_us(self) -> tuple[int, int, int]:
        """Window, stride and longest gap in microseconds."""
        window = self.window
        return microseconds(window.duration_ms, window.stride_ms, self.state.max_gap_ms)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Settings:
        """Make settings of ``{full parameter name: value}``; what is missing takes its default."""
        groups: dict[str, Any] = {}
        for name, group in _GROUPS.items():
            given = {
                f.name: values[f'{name}.{f.name}']
                for f in fields(group)
                if f'{name}.{f.name}' in values
            }
            groups[name] = group(**given)
        top = {f.name: values[f.name] for f in fields(cls) if f.metadata and f.name in values}
        return cls(**top, **groups)


_GROUPS: dict[str, type] = {
    'model': ModelSettings,
    'window': WindowSettings,
    'sparsity': SparsitySettings,
    'detections': DetectionSettings,
    'input': InputSettings,
    'overload': OverloadSettings,
    'state': StateSettings,
}


def _table() -> dict[str, Parameter]:
    settings = Settings()
    declared: list[tuple[str, object, Field]]
    declared = [(f.name, settings, f) for f in fields(settings) if f.metadata]
    for group in _GROUPS:
        values = getattr(settings, group)
        declared += [(f'{group}.{f.name}', values, f) for f in fields(values)]
    return {
        name: Parameter(name, getattr(values, f.name), **f.metadata)
        for name, values, f in declared
    }


#: All parameters by full name, in the order in which they are documented.
PARAMETERS: dict[str, Parameter] = _table()


def declare_parameters(node: Node) -> Settings:
    """
    Declare every parameter on the node and return the values that it was started with.

    Raises
    ------
    ParameterValueError: a start value of the wrong type or outside its limits; the node cannot
        start with it.

    """
    from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
    from rclpy.parameter import Parameter as RosParameter

    for parameter in PARAMETERS.values():
        try:
            declared = node.declare_parameter(
                parameter.name, parameter.default, _descriptor(parameter)
            )
            if (
                declared.type_ == RosParameter.Type.NOT_SET
            ):  # an empty list in a YAML file has no type
                node.set_parameters([RosParameter(parameter.name, value=parameter.default)])
            parameter.validate(_plain(node.get_parameter(parameter.name).value))
        except InvalidParameterTypeException as error:
            hint = (
                f' (write {parameter.default!r}, with the point)'
                if isinstance(parameter.default, float)
                else ''
            )
            raise ParameterValueError(
                f'parameter {parameter.name} has the wrong type; it must be '
                f'{parameter.type_name}{hint}: {error}'
            ) from None
        except InvalidParameterValueException as error:
            raise ParameterValueError(
                f'parameter {parameter.name} must be between {parameter.allowed}: {error}'.replace(
                    ' to ', ' and ', 1
                )
            ) from None
        except ParameterValueError as error:
            raise ParameterValueError(f'parameter {error}') from None
    return read_settings(node)


def read_settings(node: Node, changes: Iterable[Any] = ()) -> Settings:
    """Return the values of the parameters, with changes that are about to come in place."""
    values = {name: node.get_parameter(name).value for name in PARAMETERS}
    values.update({change.name: change.value for change in changes if change.name in PARAMETERS})
    return Settings.from_values({name: _plain(value) for name, value in values.items()})


def refusal(
    changes: Iterable[Any], *, configured: bool, classes: Iterable[str] | None
) -> str | None:
    """
    Return one sentence that says why these parameters cannot be set, ``None`` if they can.

    ``changes``: all ``rclpy`` parameters of one request; ``configured``: whether the node has
    passed its configure transition; ``classes``: class names of the network, ``None`` while there
    is none.
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
        if configured and parameter.when == 'configure':
            return (
                f'{parameter.name} is read when the node is configured; deactivate and clean up '
                'the node, set it, and configure again'
            )
        if parameter.name == 'detections.classes' and classes is not None:
            reason = unknown_classes(value, classes)
            if reason:
                return reason
    return None


def unknown_classes(wanted: Iterable[str], known: Iterable[str]) -> str | None:
    """Return a sentence if ``detections.classes`` names a class that the network does not know."""
    unknown = [name for name in wanted if name and name not in set(known)]
    if not unknown:
        return None
    return (
        f'detections.classes names {", ".join(unknown)}, which the network does not know; '
        f'it knows {", ".join(known)}'
    )


def markdown_table() -> str:
    """Return the parameters as a Markdown table, for docs/node.md."""
    rows = [
        '| parameter | type | default | allowed | change | meaning |',
        '|---|---|---|---|---|---|',
    ]
    for p in PARAMETERS.values():
        unit = f' {p.unit}' if p.unit else ''
        default = repr(p.default).lower() if isinstance(p.default, bool) else repr(p.default)
        rows.append(
            f'| `{p.name}` | {p.type_name} | `{default}`{unit} | {p.allowed} | {_CHANGE[p.when]} '
            f'| {p.description} |'
        )
    return '\n'.join(rows) + '\n'


def parameter_file() -> str:
    """Return the text of ``config/detector.yaml``: all parameters, described, at defaults."""
    lines = [_FILE_HEAD]
    group = ''
    for p in PARAMETERS.values():
        indent = ' ' * 4
        head, _, leaf = p.name.rpartition('.')
        if head:
            if head != group:
                lines += ['', f'{indent}{head}:']
                group = head
            indent += '  '
        facts = [p.allowed, p.unit if p.low is None else '', _CHANGE[p.when]]
        if p.low is not None and p.unit:
            facts[0] += f' {p.unit}'
        comment = f'{p.description} ({p.type_name}; {"; ".join(fact for fact in facts if fact)})'
        lines += [
            f'{indent}# {line}'
            for line in textwrap.wrap(comment, 99 - len(indent) - 2, break_on_hyphens=False)
        ]
        lines.append(f'{indent}{leaf}: {_yaml(p.default)}')
    return '\n'.join(lines) + '\n'


_FILE_HEAD = """\
# Parameters of the node sast_detector, all at their defaults. Copy this file, keep the lines that
# you change, and start
#
#   ros2 launch sast_ros detector.launch.py params_file:=/path/to/my.yaml
#   ros2 run sast_ros detector --ros-args --params-file /path/to/my.yaml
#
# In parentheses: type; allowed values; when a change takes effect. "any time" means between two
# windows of a running node (ros2 param set); "before configure" means that the node must be
# unconfigured (ros2 lifecycle set NODE cleanup).
/**:
  ros__parameters:"""


def _yaml(value: Any) -> str:
    return repr(value).lower() if isinstance(value, bool) else repr(value)


_CHANGE: dict[When, str] = {
    'live': 'any time',
    'configure': 'before configure',
    'start': 'at start only',
}
assert set(_CHANGE) == set(get_args(When))


def _plain(value: Any) -> Any:
    """Turn what rclpy stores arrays in into a list."""
    return (
        list(value)
        if value is not None and not isinstance(value, (str, bool, int, float))
        else value
    )


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
    if parameter.low is not None and parameter.high is not None:
        if isinstance(parameter.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(
                    from_value=float(parameter.low), to_value=float(parameter.high), step=0.0
                )
            ]
        else:
            descriptor.integer_range = [
                IntegerRange(from_value=int(parameter.low), to_value=int(parameter.high), step=1)
            ]
    return descriptor
