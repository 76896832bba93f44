# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Options and types of arguments that several commands share; invalid values exit with 2."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
import contextlib
import math
from pathlib import Path
from typing import Any

from sast_ros import defaults
from sast_ros.errors import SastError, UsageError

MODEL_HELP = (
    'weights: "default" for the bundled ones, a .safetensors file, or the name of a configuration '
    '(gen1-tiny, 1mpx-base, ...) for untrained ones (default: %(default)s)'
)

DEVICE_HELP = 'auto, cpu, cuda or cuda:N (default: auto, the first GPU if there is one)'


class _IntervalBound(argparse.Action):
    """One of ``--start`` and ``--end``, which must be in this order."""

    def __call__(self, parser: Any, namespace: Any, value: Any, option: Any = None) -> None:
        setattr(namespace, self.dest, value)
        if namespace.end is not None and namespace.end <= namespace.start:
            raise argparse.ArgumentError(
                self,
                f'the end at {namespace.end:g} s is not after the start at {namespace.start:g} s',
            )


class _Given(argparse.Action):
    """An option that wins over the parameter file; repeated ones are listed."""

    def __call__(self, parser: Any, namespace: Any, value: Any, option: Any = None) -> None:
        given: tuple[str, ...] = getattr(namespace, 'given', ())
        if isinstance(self.default, list):
            value = [*(getattr(namespace, self.dest) if self.dest in given else ()), value]
        setattr(namespace, self.dest, value)
        namespace.given = (*given, self.dest)


class _Recording(argparse.Action):
    """The argument RECORDING, or the option of that name."""

    def __call__(self, parser: Any, namespace: Any, value: Any, option: Any = None) -> None:
        if option is None and value is self.default:
            return  # not given; namespace has the default, or the option
        if getattr(namespace, self.dest) is not self.default:
            raise argparse.ArgumentError(self, 'one recording only')
        setattr(namespace, self.dest, value)


def add_recording(command: argparse.ArgumentParser, default: Path | None, text: str) -> None:
    """Add the recording, which may be left out and be given as ``--recording`` as well."""
    options: Any = {'type': Path, 'metavar': 'RECORDING', 'default': default}
    command.add_argument('recording', nargs='?', action=_Recording, help=text, **options)
    text = 'the same as RECORDING'
    command.add_argument('--recording', action=_Recording, help=text, **options)


def add_interval(command: argparse.ArgumentParser) -> None:
    """Add ``--start`` and ``--end``, seconds since the first event of a recording."""
    for name, default, text in (
        ('--start', 0.0, 'begin this many seconds after the first event (default: 0)'),
        ('--end', None, 'stop this many seconds after the first event (default: at the end)'),
    ):
        command.add_argument(
            name,
            type=number_between(0, 1e9),
            default=default,
            action=_IntervalBound,
            metavar='S',
            help=text,
        )


def add_detector(
    command: argparse.ArgumentParser, score_threshold: float = defaults.SCORE_THRESHOLD
) -> None:
    """Add the options of the detector; ``score_threshold``: its default."""
    command.add_argument(
        '--params',
        type=Path,
        metavar='FILE',
        help='parameter file of the node (ROS 2 YAML); options override it',
    )
    command.add_argument('--model', default='default', action=_Given, metavar='M', help=MODEL_HELP)
    command.add_argument('--device', default='auto', action=_Given, metavar='D', help=DEVICE_HELP)
    milliseconds, share = number_between(1, 10_000), number_between(0, 1)
    for name, kind, default, metavar, text in (
        (
            '--window-ms',
            milliseconds,
            defaults.WINDOW_MS,
            'T',
            'time that a window covers, milliseconds',
        ),
        (
            '--stride-ms',
            milliseconds,
            defaults.STRIDE_MS,
            'T',
            'time from one window to the next, milliseconds',
        ),
        ('--score-threshold', share, score_threshold, 'P', 'minimum score of a detection'),
        (
            '--nms-iou',
            share,
            defaults.NMS_IOU,
            'P',
            'IoU threshold of non-maximum suppression per class',
        ),
    ):
        text += ' (default: %(default)g)'
        command.add_argument(
            name, type=kind, default=default, action=_Given, metavar=metavar, help=text
        )
    command.add_argument(
        '--align',
        choices=('first_event', 'epoch'),
        default='first_event',
        action=_Given,
        help='start of the windows: at the first event, or at multiples of the stride on the '
        'clock of the events (default: %(default)s)',
    )
    command.add_argument(
        '--sensor-size',
        type=sensor_size,
        action=_Given,
        metavar='WxH',
        help='sensor size WxH; overrides the recording, for example 640x480',
    )
    command.add_argument(
        '--filter',
        type=event_filter,
        action=_Given,
        default=[],
        dest='filters',
        metavar='F',
        help='filter of the events: hot-pixel, background-activity=10ms, roi=X,Y,WIDTH,HEIGHT, '
        'mask=FILE, flip=horizontal, flip=vertical or flip=rotate-180; repeat the option for '
        'several filters, applied in this order',
    )


def add_overlay(command: argparse.ArgumentParser, default: str = '') -> None:
    """
    Add what pictures show, ``--layers`` and ``--theme``, which ``arguments`` has only if given.

    ``default``: further defaults to name in the help.
    """
    shown = ' '.join(defaults.SHOWN_LAYERS)
    command.add_argument(
        '--layers',
        action=_Given,
        nargs='+',
        choices=defaults.OVERLAY_LAYERS,
        default=argparse.SUPPRESS,
        help=f'content of pictures (default: {shown}{default})',
    )
    command.add_argument(
        '--theme',
        action=_Given,
        choices=defaults.OVERLAY_THEMES,
        default=argparse.SUPPRESS,
        help='colours of pictures (default: dark)',
    )


#: Fields of ``ReplayOptions`` by the parameters of the node that they are.
OPTIONS = {
    'model.path': 'model',
    'model.device': 'device',
    'model.precision': 'precision',
    'model.partition_size': 'partition_size',
    'model.threads': 'threads',
    'window.duration_ms': 'window_ms',
    'window.stride_ms': 'stride_ms',
    'window.align': 'align',
    'window.timestamp_source': 'timestamp_source',
    'sparsity.mode': 'sparsity',
    'sparsity.amp': 'amp',
    'sparsity.bounce': 'bounce',
    'sparsity.latency_budget_ms': 'latency_budget_ms',
    'detections.score_threshold': 'score_threshold',
    'detections.nms_iou': 'nms_iou',
    'detections.max_count': 'max_detections',
    'detections.classes': 'classes',
    'detections.class_id_format': 'class_id_format',
    'input.time_unit': 'time_unit',
    'input.filter': 'filters',
    'state.max_gap_ms': 'max_gap_ms',
    'overlay.layers': 'layers',
    'overlay.theme': 'theme',
}


def detector_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """
    Return the options of ``add_detector`` as fields of ``ReplayOptions``.

    Given options win over the parameter file, and that over defaults.

    Raises
    ------
    SettingError, OSError
        A parameter file with mistakes, or that cannot be read.

    """
    names = 'model device window_ms stride_ms score_threshold nms_iou align sensor_size filters'
    names += ' layers theme'
    options = {
        name: getattr(arguments, name) for name in names.split() if hasattr(arguments, name)
    }
    if arguments.params is not None:
        given = {name: options[name] for name in getattr(arguments, 'given', ())}
        options |= _of_file(arguments.params) | given
    lists = {name: tuple(options[name]) for name in ('filters', 'layers') if name in options}
    return options | lists


def _of_file(path: Path) -> dict[str, Any]:
    """Return what a parameter file sets, with the token selection of the node."""
    from sast_ros.ros.parameter_file import read_parameter_file
    from sast_ros.ros.parameters import PARAMETERS, Settings

    values = read_parameter_file(path)
    # A model may have been trained with others; the node takes those of its parameters
    selection = {
        name: parameter.default
        for name, parameter in PARAMETERS.items()
        if name.startswith('sparsity.')
    }
    options = {
        OPTIONS[name]: tuple(filter(None, value)) if isinstance(value, list) else value
        for name, value in (selection | values).items()
        if name in OPTIONS
    }
    tracking = {name: value for name, value in values.items() if name.startswith('tracking.')}
    options['tracking'] = Settings.from_values(tracking).tracking.settings
    # 0 and [0, 0] leave these to the command and the model
    for name in ('threads', 'partition_size'):
        if not options.get(name):
            options.pop(name, None)
    size = values.get('input.height', 0), values.get('input.width', 0)
    return options | ({'sensor_size': size} if all(size) else {})


@contextlib.contextmanager
def wrong_usage() -> Iterator[None]:
    """Make an error about an argument one of wrong usage; its rule is that of the library."""
    try:
        yield
    except SastError as error:
        raise UsageError(str(error)) from error


def add_json(command: argparse.ArgumentParser, content: str) -> None:
    """Add ``--json``."""
    text = f'write the {content} as JSON, - for standard output'
    command.add_argument('--json', metavar='FILE', help=text)


def event_filter(text: str) -> str:
    """Check that there is such a filter of events."""
    from sast_ros.events.filters import check_filter

    try:
        return check_filter(text)
    except SastError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def number_between(low: float, high: float) -> Callable[[str], float]:
    """Return a type for numbers in this range, both ends included."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f'{text!r} is not a number from {low:g} to {high:g}')
        return value

    return number


def seed(text: str) -> int:
    """Read the seed of a random generator."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'{text!r} is not a whole number from 0')
    return int(text)


def sensor_size(text: str) -> tuple[int, int]:
    """Read WIDTHxHEIGHT and return (height, width) in pixels."""
    from sast_ros.events.chunk import refuse_sensor_size

    width, _, height = text.lower().partition('x')
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f'{text!r} is not WIDTHxHEIGHT, for example 640x480')
    if reason := refuse_sensor_size(int(height), int(width)):
        raise argparse.ArgumentTypeError(f'no sensor has the size {text!r}: {reason}')
    return int(height), int(width)


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Return a type for whole numbers in this range, both ends included."""

    def number(text: str) -> int:
        if not (text.isdecimal() and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(
                f'{text!r} is not a whole number from {low} to {high}'
            )
        return int(text)

    return number
