# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""``sast-ros view``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
import contextlib
from dataclasses import replace
from pathlib import Path
import signal
import subprocess
import sys
from time import monotonic, perf_counter, sleep
from types import FrameType
from typing import Any, TYPE_CHECKING

from sast_ros.cli.arguments import (
    add_detector,
    add_overlay,
    detector_options,
    OPTIONS,
    whole_number,
)
from sast_ros.cli.terminal import (
    print_error,
    print_line,
    show_progress,
    step_logger,
    UNTRAINED_WARNING,
)
from sast_ros.errors import install_command, MissingPackageError, SettingError, UsageError
from sast_ros.process import handled_signals, is_loopback, limit_spinning

if TYPE_CHECKING:
    from sast_ros.bags import Recording
    from sast_ros.detections import Detections
    from sast_ros.visualization.foxglove_log import FoxgloveLog
    from sast_ros.visualization.window_log import WindowLog
    from sast_ros.windows import EventWindow

HOST = '127.0.0.1'
PAGE_PORT = 8090
FOXGLOVE_PORT = 8765
LOGS = Path('out/view')

#: Parameters of a node that the command plays a recording to which are not taken from a file.
_OF_COMMAND = ('autostart', 'cameras', 'page')

_WAIT_S = 0.2

#: Longest pause between two windows of a recording that is played, seconds.
_MAX_PAUSE_S = 2.0

_NO_BAR = contextlib.nullcontext(lambda done, total, unit: None)


class _ViewerClosed(Exception):
    """The user has closed the viewer."""


def add(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command to the parser and return its own parser."""
    command = commands.add_parser(
        'view',
        help='show events and detections, live or of a recording',
        description='Show events, boxes and measurements of a running node (--topic) or of a '
        'recording, in the viewer Rerun, in Foxglove (--foxglove) or on a page in the browser '
        '(--page).',
    )
    command.add_argument(
        'recording',
        nargs='?',
        metavar='RECORDING',
        help='recording of any format that "sast-ros replay" reads; "example" is the bundled one',
    )
    command.add_argument(
        '--topic',
        metavar='T',
        help='topic with the events, live or in the recording (default there: the only one)',
    )
    how = command.add_mutually_exclusive_group()
    how.add_argument(
        '--page',
        action='store_true',
        help='serve a page with pictures, charts and settings of the node; a recording is played '
        'in a loop through a node of its own',
    )
    how.add_argument('--save', type=Path, metavar='FILE', help='write an .rrd file for Rerun')
    how.add_argument(
        '--web',
        action='store_true',
        help='serve Rerun as a web page on 127.0.0.1 instead of opening a window',
    )
    how.add_argument(
        '--foxglove',
        action='store_true',
        help='serve the topics of the node to Foxglove by websocket; a recording is played in a '
        'loop',
    )
    command.add_argument(
        '--host',
        metavar='ADDRESS',
        help='address of --page and --foxglove. Other than loopback addresses require the printed '
        f'token for the page, and are open to everybody for Foxglove (default: {HOST})',
    )
    command.add_argument(
        '--port',
        type=whole_number(0, 65535),
        metavar='N',
        help=f'port of --page and --web (default: {PAGE_PORT}) or --foxglove (default: '
        f'{FOXGLOVE_PORT}); 0 for any free one',
    )
    add_detector(command)
    add_overlay(command, '; all with --foxglove')
    command.add_argument(
        '--ros-args',
        nargs=argparse.REMAINDER,
        default=[],
        metavar='...',
        help='the rest is for ROS, with a live --topic only: where its /diagnostics are remapped, '
        '-r /diagnostics:=/robot/diagnostics',
    )
    command.set_defaults(command=run)
    return command


def run(arguments: argparse.Namespace) -> int:
    """Show it until it is interrupted, and return the exit code."""
    if arguments.recording is None and arguments.topic is None:
        raise UsageError('there is nothing to view; name a recording, or a topic with --topic')
    if arguments.recording is None and (vars(arguments).get('given') or arguments.params):
        raise UsageError(
            'the node has its own settings; leave the options of detector and pictures out, or '
            'name a recording'
        )
    if arguments.recording is not None and arguments.ros_args:
        raise UsageError('--ros-args is of a live --topic; leave it out with a recording')
    served = arguments.page or arguments.foxglove
    if not served and {'layers', 'theme'} & vars(arguments).keys():
        raise UsageError(
            '--layers and --theme are of --page or --foxglove; give one of these, or leave them '
            'out and use the switches of Rerun'
        )
    if arguments.host is not None and not served:
        raise UsageError('--host is of --page or --foxglove; give one of them, or leave it out')
    if arguments.port is not None and not (served or arguments.web):
        raise UsageError(
            '--port is of --page, --foxglove or --web; give one of them, or leave it out'
        )
    arguments.host = arguments.host or HOST
    if arguments.port is None:
        arguments.port = FOXGLOVE_PORT if arguments.foxglove else PAGE_PORT
    view = _view_in_foxglove if arguments.foxglove else _view_in_rerun
    try:
        if arguments.page:
            _view_page(arguments)
        else:
            with _opened(arguments) as recording:  # before anything is started for it
                view(arguments, recording)
    except (KeyboardInterrupt, _ViewerClosed):  # the ways to end it
        pass
    return 0


@contextlib.contextmanager
def _opened(arguments: argparse.Namespace) -> Iterator[Recording | None]:
    """Yield the recording to view, ``None`` for a node."""
    if arguments.recording is None:
        yield None
        return
    from sast_ros.bags import open_recording

    with open_recording(arguments.recording, arguments.topic) as recording:
        yield recording


def _view_page(arguments: argparse.Namespace) -> None:
    if arguments.recording is None:
        _serve_page(arguments.topic, arguments)
        return
    from sast_ros.demo.live import EVENTS_TOPIC, playing

    parameters = _node_parameters(arguments)
    with playing(LOGS, arguments.recording, arguments.topic, parameters, step_logger()) as check:
        _serve_page(EVENTS_TOPIC, arguments, check)


def _serve_page(topic: str, arguments: argparse.Namespace, check: Any = None) -> None:
    from sast_ros.ros.page_node import PageNode

    with (
        _deferred_signals() as check_signals,
        PageNode(topic, arguments.host, arguments.port, arguments.ros_args) as node,
    ):
        print_line(f'live page of {node.topic}: {node.url}', sys.stdout)
        while True:
            check_signals()
            node.spin()
            if check is not None:
                check()


def _node_parameters(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options of the detector as parameters of the node."""
    from sast_ros.ros.parameter_file import read_parameter_file

    given = vars(arguments).get('given', ())
    parameters: dict[str, Any] = {}
    if arguments.params is not None:
        parameters |= {
            name: value
            for name, value in read_parameter_file(arguments.params).items()
            if name.partition('.')[0] not in _OF_COMMAND
        }
    parameters |= {
        name: getattr(arguments, field) for name, field in OPTIONS.items() if field in given
    }
    if 'sensor_size' in given:
        parameters['input.height'], parameters['input.width'] = arguments.sensor_size
    return {name: value for name, value in parameters.items() if value != []}


def _view_in_rerun(arguments: argparse.Namespace, recording: Recording | None) -> None:
    try:
        from sast_ros.visualization import rerun_log
    except ModuleNotFoundError as error:
        if not (error.name or '').startswith('rerun'):
            raise
        raise MissingPackageError(
            f'rerun is not installed; {install_command("rerun")}, or see it in a browser without '
            'Rerun: --page'
        ) from error
    log = rerun_log.RerunLog('ros' if recording is None else 'recording')
    with contextlib.ExitStack() as stack:
        check_signals = stack.enter_context(_deferred_signals())
        process: subprocess.Popen[bytes] | None = None
        if arguments.save is not None:
            log.save(arguments.save)
        else:
            web_port = (arguments.port or rerun_log.free_port()) if arguments.web else None
            port, process = stack.enter_context(rerun_log.viewer(web_port=web_port))
            log.connect(port)
            if web_port is not None:
                address = rerun_log.web_address(port, web_port)
                print_line(f'Rerun: {address}', sys.stdout)
        stack.callback(log.close)  # before the viewer ends

        def check() -> None:
            check_signals()
            if process is not None and process.poll() is not None:
                raise _ViewerClosed

        if recording is None:
            _log_live(arguments, log, check)
        else:
            _log_recording(recording, arguments, log, check)
            while process is not None:
                check()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_WAIT_S)
    if arguments.save is not None:
        print_line(f'in {arguments.save}', sys.stdout)


def _view_in_foxglove(arguments: argparse.Namespace, recording: Recording | None) -> None:
    from sast_ros.visualization.foxglove_log import FoxgloveLog, STYLE

    given = detector_options(arguments)
    style = replace(STYLE, **{name: given[name] for name in ('layers', 'theme') if name in given})
    log = FoxgloveLog(arguments.host, arguments.port, style)
    with _deferred_signals() as check, log:
        print_line(f'Foxglove: open a connection to {log.url}', sys.stdout)
        if not is_loopback(arguments.host):
            print_error('everybody who reaches this address can see the events and detections')
        if recording is None:
            _log_live(arguments, log, check)
            return
        playback = _Playback(log, check)
        while True:
            _log_recording(recording, arguments, log, check, playback)
            log.repeat()


class _Playback:
    """Windows of a recording at its speed, from when somebody looks."""

    def __init__(self, log: FoxgloveLog, check: Callable[[], None]) -> None:
        self._log, self._check = log, check
        self._began: float | None = None
        self.repeats = False

    def begin(self) -> None:
        """Wait until somebody looks."""
        while not self._log.watched:
            self._check()
            sleep(_WAIT_S)
        self._began = None

    def wait_for(self, window: EventWindow) -> None:
        """Wait until as much time has passed as in the recording."""
        self.repeats = True
        end, now = window.t_end / 1e6, monotonic()
        began = now - end if self._began is None else self._began
        # What comes late does not make the rest faster; a gap is shortened
        self._began = min(max(began, now - end), now - end + _MAX_PAUSE_S)
        while (left := self._began + end - monotonic()) > 0:
            self._check()
            sleep(min(left, _WAIT_S))


@contextlib.contextmanager
def _deferred_signals() -> Iterator[Callable[[], None]]:
    """
    Yield a function that ends the command if a signal has come.

    What a handler raises within a call of rclpy or of a kernel would become another error.
    """
    received: list[int] = []

    def keep(number: int, frame: FrameType | None) -> None:
        received.append(number)

    def check() -> None:
        if received:
            number = received.pop()
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    with handled_signals(keep, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        yield check


def _log_recording(
    recording: Recording,
    arguments: argparse.Namespace,
    log: WindowLog,
    check: Callable[[], None],
    playback: _Playback | None = None,
) -> None:
    """Run the detector over a recording, as replay does, and log every window."""
    limit_spinning()
    from sast_ros.replay import make_pipeline, replay, ReplayOptions

    repeated = playback is not None and playback.repeats
    pipeline, trained = make_pipeline(recording, ReplayOptions(**detector_options(arguments)))
    if not (trained or repeated):
        print_error(UNTRAINED_WARNING)
    if playback is not None:
        playback.begin()
    began = perf_counter()

    def write(window: EventWindow, detections: Detections) -> None:
        nonlocal began
        latency_ms = 1000 * (perf_counter() - began)
        if playback is not None:
            playback.wait_for(window)
        selected = pipeline.detector.selected
        tokens = None if selected is None else selected.token_map()
        log.log(window, detections, latency_ms, tokens)
        began = perf_counter()

    # What is played again and again has no end to tell
    bar = _NO_BAR if playback is not None else show_progress(f'view {recording.path.name}')
    with bar as show:

        def progress(done: int, total: int, unit: str) -> None:
            check()
            show(done, total, unit)

        summary = replay(recording, pipeline, progress=progress, on_window=write)
    if not summary['windows']:
        raise SettingError(
            f'{recording.path} is shorter than a window; choose a shorter one with --window-ms'
        )
    for warning in () if repeated else summary['warnings']:
        print_error(warning)


def _log_live(arguments: argparse.Namespace, log: WindowLog, check: Callable[[], None]) -> None:
    """Log what a node publishes, until ``check`` ends it."""
    from sast_ros.ros.view_node import ViewNode

    with ViewNode(arguments.topic, log, arguments.ros_args) as node:
        while True:
            check()
            node.spin()
