# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Options and types of arguments that several commands share; invalid values exit with 2."""

from __future__ import annotations

import argparse
from collections.abc import Callable
import math
from typing import Any

from sast_ros import defaults
from sast_ros.errors import SastError

MODEL_HELP = (
    '"default", the bundled weights, or a .safetensors file, or a configuration (gen1-tiny, '
    '1mpx-base, ...) with untrained weights (default: %(default)s)'
)

DEVICE_HELP = 'auto, cpu, cuda or cuda:N (default: auto, a GPU if there is one)'


class _IntervalBound(argparse.Action):
    """One of ``--start`` and ``--end``, which must be in this order."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        value: Any,
        option: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, value)
        if namespace.end is not None and namespace.end <= namespace.start:
            raise argparse.ArgumentError(
                self,
                f'the end at {namespace.end:g} s is not after the start at {namespace.start:g} s',
            )


def add_interval(command: argparse.ArgumentParser) -> None:
    """Add ``--start`` and ``--end``, seconds since the first event of a recording."""
    for name, default, text in (
        ('--start', 0.0, 'start of the interval, seconds since the first event (default: 0)'),
        ('--end', None, 'end of the interval, exclusive, seconds since the first event'),
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
    command.add_argument('--model', default='default', metavar='M', help=MODEL_HELP)
    command.add_argument('--device', default='auto', metavar='D', help=DEVICE_HELP)
    milliseconds, share = number_between(1, 10_000), number_between(0, 1)
    for name, kind, default, metavar, text in (
        ('--window-ms', milliseconds, defaults.WINDOW_MS, 'T', 'integration time'),
        ('--stride-ms', milliseconds, defaults.STRIDE_MS, 'T', 'time from window to window'),
        ('--score-threshold', share, score_threshold, 'P', 'minimum score'),
        ('--nms-iou', share, defaults.NMS_IOU, 'P', 'IoU threshold of per-class NMS'),
    ):
        text += ' (default: %(default)g)'
        command.add_argument(name, type=kind, default=default, metavar=metavar, help=text)
    command.add_argument(
        '--sensor-size',
        type=sensor_size,
        metavar='WxH',
        help='of recordings that do not contain it, or state a wrong one, for example 640x480',
    )
    command.add_argument(
        '--filter',
        type=event_filter,
        action='append',
        default=[],
        dest='filters',
        metavar='F',
        help='filter of the events: hot-pixel, background-activity=10ms, roi=X,Y,WIDTH,HEIGHT, '
        'mask=FILE, flip=horizontal, flip=vertical or flip=rotate-180; repeat it for several, '
        'which are applied in this order',
    )


def detector_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options of ``add_detector`` as fields of ``ReplayOptions``."""
    names = 'model device window_ms stride_ms score_threshold nms_iou sensor_size'
    options = {name: getattr(arguments, name) for name in names.split()}
    return {**options, 'filters': tuple(arguments.filters)}


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
    width, _, height = text.lower().partition('x')
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f'{text!r} is not WIDTHxHEIGHT, for example 640x480')
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
