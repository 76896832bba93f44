# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Every parameter of the node, declared once.

Declarations, validation, YAML file and the table of docs/node.md are derived from it. A parameter
is a field of one of the dataclasses below: ``window.duration_ms`` is
``WindowSettings.duration_ms``. The node works with a frozen ``Settings``; a change makes a new
one, so that no thread ever sees half of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
import difflib
import math
import re
from typing import Any, Literal

from sast_ros import defaults
from sast_ros.errors import SastError
from sast_ros.events import EVENT_TYPES
from sast_ros.tracking import TrackingSettings
from sast_ros.windows import Alignment, microseconds, TimestampSource

#: When a new value takes effect: between two windows; at the next configure transition; only at
#: the start of the node.
When = Literal['live', 'configure', 'start']

AUTO = 'auto'

_TYPE_NAMES = {bool: 'bool', int: 'integer', float: 'double', str: 'string'}


class ParameterValueError(SastError, ValueError):
    """A value that a parameter cannot take."""


@dataclass(frozen=True)
class Parameter:
    """
    Declaration of one parameter.

    Attributes
    ----------
    name : str
        Full name, for example ``'window.duration_ms'``.
    default : bool, int, float, str or list
        Its type is the type of the parameter.
    description : str
        One or two sentences, for ``ros2 param describe`` and the tables.
    unit : str
        Unit of a number; empty if it has none.
    limits : tuple of float, optional
        Inclusive limits of a number.
    choices : tuple of str
        The only values of a text; empty for any.
    check : callable, optional
        Further condition of the value.
    must : str
        The values that ``check`` accepts, in words.
    when : {'live', 'configure', 'start'}
        When a change takes effect.

    """

    name: str
    default: Any
    description: str
    unit: str = ''
    limits: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    check: Callable[[Any], object] | None = field(default=None, repr=False)
    must: str = ''
    when: When = 'live'

    @property
    def type_name(self) -> str:
        """Name of the type as ROS users write it."""
        if isinstance(self.default, list):
            return f'{_TYPE_NAMES[type(self.default[0])]} array'
        return _TYPE_NAMES[type(self.default)]

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        if self.limits:
            return ' to '.join(f'{x:g}' if abs(x) < 1e6 else str(int(x)) for x in self.limits)
        return ', '.join(f"'{choice}'" for choice in self.choices)

    def validate(self, value: Any) -> None:
        """Raise ``ParameterValueError`` if the parameter cannot take the value; its type fits."""
        must = ''
        if self.choices and value not in self.choices:
            must = f'one of {self.allowed}'
        elif self.limits:
            low, high = self.limits
            if not (math.isfinite(value) and low <= value <= high):
                must = f'between {self.allowed}'.replace(' to ', ' and ')
        elif self.check is not None and not self.check(value):
            must = self.must
        if must:
            raise ParameterValueError(f'{self.name} is {value!r}; it must be {must}')


def _parameter(
    default: Any,
    description: str,
    unit: str = '',
    limits: tuple[float, float] | None = None,
    **details: Any,
) -> Any:
    """Return a dataclass field with the declaration of its parameter."""
    metadata = {'description': description, 'unit': unit, 'limits': limits, **details}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def _is_partition(value: list[int]) -> bool:
    return len(value) == 2 and (value == [0, 0] or all(1 <= side <= 1024 for side in value))


_CAMERA = re.compile(r'[A-Za-z]\w*(/[A-Za-z]\w*)*', re.ASCII)


def _are_cameras(names: list[str]) -> bool:
    return names == [''] or bool(
        names and len(set(names)) == len(names) and all(map(_CAMERA.fullmatch, names))
    )


@dataclass(frozen=True)
class ModelSettings:
    """``model.*``."""

    path: str = _parameter(
        'default',
        "Weights: 'default' for the bundled ones (pedestrian, two-wheeler, car), a .safetensors "
        'file made by "sast-ros convert" or "sast-ros train", or the name of a configuration '
        '(gen1-tiny, gen1-small, gen1-base, gen1-large, 1mpx-...) for that network with random, '
        'untrained weights.',
        check=bool,
        must="'default', a .safetensors file or the name of a configuration",
        when='configure',
    )
    device: str = _parameter(
        AUTO,
        "Device of the network: 'cpu', 'cuda', 'cuda:N', or 'auto' for the first GPU if there is "
        'one.',
        check=re.compile(r'auto|cpu|cuda(:\d+)?').fullmatch,
        must="'auto', 'cpu', 'cuda' or 'cuda:N'",
        when='configure',
    )
    precision: str = _parameter(
        'float32',
        'Arithmetic of the matrix products; scoring and selection always use float32. bfloat16 on '
        'a CPU needs AVX512-BF16.',
        choices=('float32', 'bfloat16'),
        when='configure',
    )
    partition_size: list[int] = _parameter(
        [0, 0],
        'Height and width of the attention partitions; [0, 0]: those of the model.',
        'tokens',
        check=_is_partition,
        must='[height, width] in tokens, or [0, 0] for that of the model',
        when='configure',
    )
    threads: int = _parameter(
        0,
        'CPU threads of the network; 0: all cores but one, which receives messages, at most 4.',
        limits=(0, defaults.MAX_THREADS),
        when='configure',
    )


@dataclass(frozen=True)
class WindowSettings:
    """``window.*``."""

    duration_ms: float = _parameter(
        defaults.WINDOW_MS,
        'Integration time of a histogram, sensor time. Official weights were trained with 50, the '
        'bundled ones mostly with 50 (20 to 100).',
        'ms',
        (1, 10_000),
    )
    stride_ms: float = _parameter(
        defaults.STRIDE_MS,
        'Sensor time from one window to the next, that is between two detections. Official Gen1 '
        'weights were trained with 125, the bundled ones mostly with 50 (25 to 125).',
        'ms',
        (1, 10_000),
    )
    align: Alignment = _parameter(
        'first_event',
        "Start of the windows: 'first_event', or 'epoch': multiples of stride_ms on the clock of "
        'the events, so that nodes and cameras that start at different times have the same '
        'windows.',
        choices=('first_event', 'epoch'),
    )
    timestamp_source: TimestampSource = _parameter(
        AUTO,
        "Stamp of the detections: 'auto': end of the window in ROS time (times of a sensor clock "
        'are shifted by the smallest recent difference between header.stamp and event time; where '
        "that stamp is 0, not set, as 'receive'); "
        "'header': header.stamp of the message that completed the window; 'receive': time on the "
        'clock of the node when it received that message.',
        choices=(AUTO, 'header', 'receive'),
    )


@dataclass(frozen=True)
class SparsitySettings:
    """``sparsity.*``."""

    mode: str = _parameter(
        'adaptive',
        "Token selection of the attention: 'adaptive': by score, as published; 'dense': all; "
        "'budget': fewer while a step takes longer than latency_budget_ms.",
        choices=('adaptive', 'dense', 'budget'),
    )
    amp: float = _parameter(
        defaults.AMP,
        'AMP of the selection: larger values select fewer tokens in scenes with little motion.',
        limits=defaults.AMP_LIMITS,
    )
    bounce: float = _parameter(
        defaults.BOUNCE,
        'BOUNCE of the selection: threshold of the scores of tokens.',
        limits=defaults.BOUNCE_LIMITS,
    )
    latency_budget_ms: float = _parameter(
        40.0, "Target step time of sparsity.mode 'budget'.", 'ms', (0.1, 10_000)
    )


@dataclass(frozen=True)
class DetectionSettings:
    """``detections.*``."""

    score_threshold: float = _parameter(
        defaults.SCORE_THRESHOLD,
        'Minimum score of published detections. Of calibrated weights a score of 0.3 means that '
        '30 % of such boxes are correct; otherwise it is objectness x class probability.',
        limits=(0, 1),
    )
    nms_iou: float = _parameter(defaults.NMS_IOU, 'IoU threshold of per-class NMS.', limits=(0, 1))
    max_count: int = _parameter(
        defaults.MAX_DETECTIONS,
        'Maximum detections per window, best scores first.',
        limits=(1, 10_000),
    )
    classes: list[str] = _parameter(
        [''],
        "Names of the classes to publish; [''] for all.",
        check=lambda names: len(set(names)) == len(names),
        must='a list without repetitions',
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


def _sensor_side(name: str) -> Any:
    return _parameter(
        0,
        f'{name} of the sensor in pixels; 0: as stated by the messages, else the design size of '
        'the network. If both sides are set, they override the messages.',
        'pixels',
        (0, 8192),
        when='configure',
    )


@dataclass(frozen=True)
class InputSettings:
    """``input.*``."""

    type: str = _parameter(  # noqa: A003 - the name of the parameter input.type
        AUTO,
        "Message type of the topic events; 'auto': that of the publisher, once there is one.",
        choices=(AUTO, *EVENT_TYPES),
        when='configure',
    )
    queue_depth: int = _parameter(
        1000, 'Depth of the subscription (KeepLast).', 'messages', (1, 100_000), when='configure'
    )
    width: int = _sensor_side('Width')
    height: int = _sensor_side('Height')
    time_unit: str = _parameter(
        AUTO,
        "Unit of the time field of PointCloud2; 'auto' derives it from the type of the field.",
        choices=(AUTO, 's', 'ms', 'us', 'ns'),
        when='configure',
    )
    filter: list[str] = _parameter(  # noqa: A003 - the name of the parameter input.filter
        [''],
        'Filters of the events, applied in this order: hot-pixel, background-activity=TIME, '
        'roi=X,Y,WIDTH,HEIGHT, mask=FILE, flip=horizontal, flip=vertical, flip=rotate-180; '
        "[''] for none.",
    )


@dataclass(frozen=True)
class OverloadSettings:
    """``overload.*``."""

    policy: Literal['drop', 'reduce'] = _parameter(
        'drop',
        "What to do when windows come faster than the network can process: 'drop': drop those "
        "older than max_age_ms; 'reduce': lengthen the stride to a multiple of stride_ms for that "
        'time, so that the recurrent state is updated regularly and detections are fresher.',
        choices=('drop', 'reduce'),
    )
    max_age_ms: float = _parameter(
        150.0,
        'Older windows are dropped when the network becomes free, except the newest. Age: real '
        'time since the last event of the window was received.',
        'ms',
        (1, 3_600_000),
    )
    queue_windows: int = _parameter(
        20,
        'Maximum windows that wait for the network, which limits memory; the oldest are dropped.',
        'windows',
        (1, 1000),
    )


@dataclass(frozen=True)
class StateSettings:
    """``state.*``."""

    max_gap_ms: float = _parameter(
        defaults.MAX_GAP_MS,
        'A longer time without events resets the recurrent state; a shorter one gives empty '
        'windows.',
        'ms',
        (1, 3_600_000),
    )


def _are_layers(names: list[str]) -> bool:
    known = len(set(names)) == len(names) and set(names) <= set(defaults.OVERLAY_LAYERS)
    return names == [''] or known


@dataclass(frozen=True)
class OverlaySettings:
    """``overlay.*``."""

    layers: list[str] = _parameter(
        list(defaults.SHOWN_LAYERS),
        "What the topic overlay shows: 'events', 'boxes' with class and score, 'ids' (numbers of "
        "tracked objects and their trails), 'tokens' (tint of the tokens that stage 1 selects) "
        "and 'status' (line with time and measurements); [''] for an empty picture.",
        check=_are_layers,
        must=f'a list without repetitions of {", ".join(defaults.OVERLAY_LAYERS)}',
    )
    theme: str = _parameter(
        'dark',
        'Colours of the topics overlay and event_image, distinct for colour-blind viewers too.',
        choices=defaults.OVERLAY_THEMES,
    )


@dataclass(frozen=True)
class TrackingParameters:
    """``tracking.*``."""

    enabled: bool = _parameter(
        True,
        'Track objects: detections of an object have the same id in all windows. If false, ids '
        'are empty; the detections are the same.',
    )
    high_score: float = _parameter(
        defaults.TRACK_HIGH_SCORE,
        'Minimum score to begin a track; such detections are also matched to tracks before those '
        'of lower score.',
        limits=(0, 1),
    )
    low_score: float = _parameter(
        defaults.TRACK_LOW_SCORE,
        'Minimum score to continue a track; no effect below detections.score_threshold.',
        limits=(0, 1),
    )
    min_iou: float = _parameter(
        defaults.TRACK_MIN_IOU,
        'Minimum IoU of a detection and the predicted box of the track that it continues.',
        limits=(0.01, 1),
    )
    max_distance: float = _parameter(
        defaults.TRACK_MAX_DISTANCE,
        'If the overlap is smaller, a detection may still continue a track whose predicted centre '
        'is within this many standard deviations; 0: overlap only.',
        limits=(0, 100),
    )
    min_hits: int = _parameter(
        defaults.TRACK_MIN_HITS,
        'Detections in consecutive windows until a track has an id; 1: at once.',
        limits=(1, 100),
    )
    max_age_ms: float = _parameter(
        defaults.TRACK_MAX_AGE_MS,
        'A track ends when its object has not been detected for this time, sensor time.',
        'ms',
        (0, 3_600_000),
    )
    lead_ms: float = _parameter(
        defaults.TRACK_LEAD_MS,
        'Extrapolate boxes of tracked objects by this time, to compensate latency; 0: position at '
        'the stamp.',
        'ms',
        (0, 1000),
    )

    @property
    def settings(self) -> TrackingSettings | None:
        """Settings of the tracker, ``None`` where nothing is tracked."""
        values = {field.name: getattr(self, field.name) for field in fields(TrackingSettings)}
        return TrackingSettings(**values) if self.enabled else None


@dataclass(frozen=True)
class PageSettings:
    """``page.*``."""

    port: int = _parameter(
        0,
        'Port of the live page with pictures, charts and settings of the (first) camera; 0: no '
        'page.',
        limits=(0, 65535),
        when='start',
    )
    host: str = _parameter(
        '127.0.0.1',
        'Address that the page is served on. Other than loopback addresses require the token that '
        'is logged.',
        check=bool,
        must='an address of this machine',
        when='start',
    )


@dataclass(frozen=True)
class Settings:
    """Values of all parameters."""

    autostart: bool = _parameter(
        True,
        'Configure and activate at the start; false: a lifecycle manager does it.',
        when='start',
    )
    autostart_required: bool = _parameter(
        False,
        'Exit with code 1 if autostart cannot configure and activate the node; false: keep '
        'running, for others to configure it.',
        when='start',
    )
    cameras: list[str] = _parameter(
        [''],
        'Names of the cameras, which share the network: [left, right] reads left/events and '
        'right/events and publishes left/detections, right/detections and so on. The other '
        "parameters apply to every camera. [''] for one camera, with events and detections.",
        check=_are_cameras,
        must="[''], or different names of letters, digits and underscores, such as [left, right]",
        when='configure',
    )
    model: ModelSettings = field(default_factory=ModelSettings)
    window: WindowSettings = field(default_factory=WindowSettings)
    sparsity: SparsitySettings = field(default_factory=SparsitySettings)
    detections: DetectionSettings = field(default_factory=DetectionSettings)
    input: InputSettings = field(default_factory=InputSettings)  # noqa: A003 - input.*
    overload: OverloadSettings = field(default_factory=OverloadSettings)
    state: StateSettings = field(default_factory=StateSettings)
    tracking: TrackingParameters = field(default_factory=TrackingParameters)
    overlay: OverlaySettings = field(default_factory=OverlaySettings)
    page: PageSettings = field(default_factory=PageSettings)

    @property
    def timing_us(self) -> tuple[int, int, int]:
        """Window, stride and longest gap in microseconds."""
        window = self.window
        return microseconds(window.duration_ms, window.stride_ms, self.state.max_gap_ms)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Settings:
        """Return settings of ``{full parameter name: value}``; missing ones take the default."""
        groups: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            group, _, leaf = name.rpartition('.')
            groups.setdefault(group, {})[leaf] = value
        top = groups.pop('', {})
        return cls(**top, **{name: _GROUPS[name](**given) for name, given in groups.items()})


_DEFAULTS = Settings()
_GROUPS: dict[str, Any] = {
    f.name: type(getattr(_DEFAULTS, f.name)) for f in fields(Settings) if not f.metadata
}


def _table() -> dict[str, Parameter]:
    parameters = [
        Parameter(f.name, getattr(_DEFAULTS, f.name), **f.metadata)
        for f in fields(Settings)
        if f.metadata
    ]
    for group, settings in _GROUPS.items():
        values = getattr(_DEFAULTS, group)
        parameters += [
            Parameter(f'{group}.{f.name}', getattr(values, f.name), **f.metadata)
            for f in fields(settings)
        ]
    return {parameter.name: parameter for parameter in parameters}


#: All parameters by full name, in the order in which they are documented.
PARAMETERS = _table()

#: Names of parameters that every node has.
OF_ROS = re.compile(r'use_sim_time|start_type_description_service|qos_overrides\..*')


#: Similarity (difflib) from which a name is a misspelt one of the node's. Those without a dot are
#: short, and often those of drivers: device, width, camera_name.
_SIMILAR, _SIMILAR_WITHOUT_DOT = 0.6, 0.8


def with_advice(name: str, parameters: Iterable[str] = PARAMETERS) -> str:
    """Return the name of an unknown parameter, with that of the most similar one."""
    close = difflib.get_close_matches(name, [*parameters], 1, _SIMILAR)
    return f'{name} (did you mean {close[0]}?)' if close else name


def unknown_parameters(names: Iterable[str], parameters: Iterable[str] = PARAMETERS) -> list[str]:
    """Return those names that are no parameters of the node."""
    known = {*parameters}
    return [name for name in names if name not in known and not OF_ROS.fullmatch(name)]


def misspelt(names: Iterable[str], parameters: Iterable[str] = PARAMETERS) -> list[str]:
    """
    Return those names that are meant for the node and are no parameters of it.

    What is in no group of the node's and similar to none is of another node.
    """
    known = [*parameters]
    groups = {name.partition('.')[0] for name in known if '.' in name}

    def is_meant(name: str) -> bool:
        group, dot, _ = name.partition('.')
        if dot and group in groups:
            return True
        similarity = _SIMILAR if dot else _SIMILAR_WITHOUT_DOT
        return bool(difflib.get_close_matches(name, known, 1, similarity))

    return [name for name in unknown_parameters(names, known) if is_meant(name)]
