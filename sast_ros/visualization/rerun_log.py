# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Events, detections and figures of a run for the viewer Rerun (rerun.io, package ``rerun-sdk``).

All of it lies on one timeline, ``time``. The viewer runs in a process of its own that listens on
127.0.0.1 only: the server that ``rerun-sdk`` would start in this process listens on all addresses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import os
from pathlib import Path
import socket
import subprocess
import time

import numpy as np
import rerun
import rerun.blueprint as layout
import rerun_cli
from sast_ros.detections import Detections, TokenMap
from sast_ros.errors import SastError
from sast_ros.process import tied_command
from sast_ros.visualization.overlay import detection_text, draw_events, THEMES, TINT
from sast_ros.visualization.window_log import event_rate
from sast_ros.windows import EventWindow

APPLICATION = 'sast_ros'
THEME = THEMES['dark']
TIMELINE = 'time'

#: Events of a window in x-y-t; more cost time and are not seen.
MAX_POINTS = 2000

#: Height of a window of points, in pixels a second: 50 ms are 40 pixels.
POINTS_PER_SECOND = 800.0

JPEG_QUALITY = 90
_START_PATIENCE_S = 30.0


class RerunError(SastError, RuntimeError):
    """The viewer cannot be started, or a file not be written."""


class RerunLog:
    """
    A recording of Rerun, into which windows are written one by one.

    Parameters
    ----------
    clock : {'recording', 'ros'}
        Whether time is that of the recording (``t_end``) or ROS time (``stamp_ns``).

    """

    def __init__(self, clock: str = 'recording') -> None:
        self._clock = clock
        self.stream = rerun.RecordingStream(APPLICATION)
        self.stream.set_log_time_enabled(False)
        self.stream.set_log_tick_enabled(False)
        self._to_viewer = False

    def save(self, path: Path) -> None:
        """
        Write everything from now on into a file ``.rrd``.

        Raises
        ------
        RerunError
            The file cannot be created.

        """
        try:
            self.stream.save(path, default_blueprint=blueprint())
        except (OSError, RuntimeError) as error:
            raise RerunError(f'{path} cannot be written: {error}') from error
        self._begin()

    def connect(self, port: int) -> None:
        """Send everything from now on to the viewer on this port of this machine."""
        self.stream.connect_grpc(
            f'rerun+http://127.0.0.1:{port}/proxy', default_blueprint=blueprint()
        )
        self._to_viewer = True
        self._begin()

    def close(self) -> None:
        """
        Write what is still in memory.

        Raises
        ------
        RerunError
            The file cannot be written. That a viewer was closed is no error.

        """
        try:
            self.stream.flush()
        except (OSError, RuntimeError) as error:
            if not self._to_viewer:
                raise RerunError(f'the end of the file cannot be written: {error}') from error
        self.stream.disconnect()

    def _begin(self) -> None:
        """Write what does not change: the colours of the kinds of attention."""
        colours = [(*THEME.token, round(255 * TINT * kinds / 2)) for kinds in range(3)]
        names = ('not attended', 'attended by window or by grid', 'attended by both')
        context = rerun.AnnotationContext(list(zip(range(3), names, colours)))
        self.stream.log('camera/tokens', context, static=True)

    def log(
        self,
        window: EventWindow,
        detections: Detections,
        latency_ms: float | None = None,
        tokens: TokenMap | None = None,
    ) -> None:
        """Write a window with its detections, see ``WindowLog``."""
        self._set_time(window)
        height, width = detections.height, detections.width
        picture = draw_events(window.parts, height, width)
        log = self.stream.log
        log('camera/events', rerun.Image(picture).compress(jpeg_quality=JPEG_QUALITY))
        log('camera/detections', _boxes(detections))
        log('events', _points(window))
        log('rate/events', rerun.Scalars([event_rate(window)]))
        for stage, share in enumerate(detections.kept, start=1):
            log(f'kept/stage_{stage}', rerun.Scalars([100 * share.tokens]))
        if latency_ms is not None:
            log('latency/step', rerun.Scalars([latency_ms]))
        if tokens is not None:
            mask = tokens.mask(height, width)
            log('camera/tokens', rerun.SegmentationImage(mask, opacity=1.0))

    def _set_time(self, window: EventWindow) -> None:
        if self._clock == 'ros':
            self.stream.set_time(TIMELINE, timestamp=np.datetime64(window.stamp_ns, 'ns'))
        else:
            self.stream.set_time(TIMELINE, duration=np.timedelta64(window.t_end, 'us'))


def blueprint() -> layout.Blueprint:
    """Return the layout of the views."""
    return layout.Blueprint(
        layout.Horizontal(
            layout.Vertical(
                layout.Spatial2DView(
                    origin='camera', name='events and detections', background=THEME.background
                ),
                layout.Spatial3DView(
                    origin='events', name='events in x, y, t', background=THEME.background
                ),
                row_shares=[3, 2],
            ),
            layout.Vertical(
                layout.TimeSeriesView(origin='rate', name='event rate (Mev/s)'),
                layout.TimeSeriesView(origin='kept', name='kept tokens (%)'),
                layout.TimeSeriesView(origin='latency', name='latency (ms)'),
            ),
            column_shares=[3, 2],
        ),
        layout.TimePanel(timeline=TIMELINE, state='collapsed'),
        layout.SelectionPanel(state='collapsed'),
        layout.BlueprintPanel(state='collapsed'),
    )


def _boxes(detections: Detections) -> rerun.Boxes2D:
    ids = detections.track_ids
    ids = np.zeros(len(detections), int) if ids is None else ids
    texts = [detection_text(detections, index, THEME, ids) for index in range(len(detections))]
    return rerun.Boxes2D(
        array=detections.boxes,
        array_format=rerun.Box2DFormat.XYXY,
        class_ids=detections.class_ids,
        colors=np.array([colour for _, colour in texts], np.uint8).reshape(-1, 3),
        labels=[text for text, _ in texts],
        show_labels=True,
    )


def _points(window: EventWindow) -> rerun.Points3D:
    """Return a sample of the events, the same for the same window; time goes upwards."""
    count = len(window)
    step = max(1, -(-count // MAX_POINTS))
    x, y, p, t = (
        np.concatenate([getattr(part, name) for part in window.parts] or [np.empty(0)])[::step]
        for name in 'xypt'
    )
    z = (t - window.t_start) * (POINTS_PER_SECOND / 1e6)
    positions = np.stack([x, window.height - y.astype(np.float64), z], axis=1)
    colours = np.where(p[:, None] > 0, np.array(THEME.on, np.uint8), np.array(THEME.off, np.uint8))
    return rerun.Points3D(positions, colors=colours, radii=0.6)


@contextlib.contextmanager
def viewer(*, web_port: int | None = None) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """
    Run the viewer of the wheel while a ``with`` block lasts.

    Parameters
    ----------
    web_port : int, optional
        Serve it as a web page on this port of 127.0.0.1 instead of opening a window.

    Yields
    ------
    tuple of int and Popen
        Port for ``RerunLog.connect``, and the process.

    Raises
    ------
    RerunError
        It ended, or did not listen, as where the port is in use.

    """
    port = free_port()
    command: list[str] = [
        str(Path(rerun_cli.__file__).with_name('rerun')),
        *('--bind', '127.0.0.1', '--port', str(port)),
    ]
    if web_port is not None:
        command += ['--serve-web', '--web-viewer-port', str(web_port)]
    process = subprocess.Popen(
        tied_command(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={'RUST_LOG': 'warn', **os.environ},
        # ^C reaches this process alone, which then ends the viewer
        start_new_session=True,
    )
    try:
        _wait_for(process, [port] if web_port is None else [port, web_port])
        yield port, process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def web_address(port: int, web_port: int) -> str:
    """Return the address of the web page of the viewer."""
    return f'http://127.0.0.1:{web_port}/?url=rerun%2Bhttp%3A%2F%2F127.0.0.1%3A{port}%2Fproxy'


def _wait_for(process: subprocess.Popen[bytes], ports: Sequence[int]) -> None:
    limit = time.monotonic() + _START_PATIENCE_S
    for port in ports:
        while True:
            if process.poll() is not None or time.monotonic() > limit:
                raise RerunError(
                    f'the viewer of Rerun does not listen on port {port}; its reason is above, '
                    'and --port chooses another'
                )
            with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), 1):
                break
            time.sleep(0.05)


def free_port() -> int:
    """Return a port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])
