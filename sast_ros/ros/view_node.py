# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The node that shows a running detector in a viewer: its events and what it publishes."""

from __future__ import annotations

from collections import deque
import contextlib
import itertools
import os

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from sast_ros.defaults import WINDOW_MS
from sast_ros.detections import StageShare
from sast_ros.errors import format_error
from sast_ros.events import EventDecoder, EventFormatError
from sast_ros.ros import messages, qos
from sast_ros.ros.diagnostics import kept_shares
from sast_ros.ros.event_subscription import EventSubscription
from sast_ros.ros.graph import DetectorTopics, find_detector
from sast_ros.ros.own_node import own_node
from sast_ros.ros.parameters import InputSettings
from sast_ros.visualization.window_log import WindowLog
from sast_ros.windows import EventWindow, WindowCutter
from vision_msgs.msg import Detection2DArray, LabelInfo

#: Events are kept in slices of this length; a picture is that of the slices before its stamp.
SLICE_US = 5000

#: Slices that are kept for detections still to come, and those of a window.
MAX_SLICES = 400
WINDOW_SLICES = round(1000 * WINDOW_MS / SLICE_US)

_POLL_PERIOD_S = 0.5
_WAIT_S = 0.2


class ViewNode:
    """
    Node ``sast_view_PID``, while a ``with`` block lasts.

    Parameters
    ----------
    topic : str
        Topic of the events.
    log : WindowLog
        Where they go, on the clock of ROS.

    """

    def __init__(self, topic: str, log: WindowLog) -> None:
        self._topic, self._log = topic, log
        self.windows = 0
        self._slices: deque[EventWindow] = deque(maxlen=MAX_SLICES)
        self._kept: tuple[StageShare, ...] = ()
        self._class_names: tuple[str, ...] = ()
        self._detector: DetectorTopics | None = None

    def __enter__(self) -> ViewNode:
        """Create the node and subscribe."""
        self._closing = contextlib.ExitStack()
        own = self._closing.enter_context(own_node(f'sast_view_{os.getpid()}'))
        self._node, self._executor = own
        node = self._node
        self._cutter = WindowCutter(SLICE_US, SLICE_US, now_ns=self._now_ns)
        self._events = EventSubscription(
            node,
            self._topic,
            InputSettings(),
            self._on_events,
            self._warn,
            lambda sentence: self._cutter.restart('start'),
        )
        node.create_subscription(
            DiagnosticArray, '/diagnostics', self._on_diagnostics, qos.DIAGNOSTICS
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(_POLL_PERIOD_S, self._find, clock=steady)
        return self

    def __exit__(self, *exception: object) -> None:
        """Destroy the node."""
        self._events.close()
        self._closing.close()

    def spin(self) -> None:
        """Handle what arrives within a moment."""
        self._executor.spin_once(timeout_sec=_WAIT_S)

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds

    def _warn(self, error: EventFormatError) -> None:
        self._node.get_logger().warning(format_error(error), throttle_duration_sec=5.0)

    def _find(self) -> None:
        """Subscribe to the detections of the first detector that reads the topic."""
        if self._detector is None:
            self._detector = find_detector(self._node, self._node.resolve_topic_name(self._topic))
            if self._detector is not None:
                subscribe, topic = self._node.create_subscription, self._detector.detections
                subscribe(Detection2DArray, topic, self._on_detections, qos.DETECTIONS)
                labels = topic.removesuffix('detections') + 'label_info'
                subscribe(LabelInfo, labels, self._on_labels, qos.LATCHED)

    def _on_events(self, raw: bytes, decoder: EventDecoder) -> None:
        try:
            self._slices.extend(self._cutter.cut(decoder(raw), MAX_SLICES))
        except EventFormatError as error:
            self._warn(error)

    def _on_labels(self, labels: LabelInfo) -> None:
        self._class_names = tuple(entry.class_name for entry in labels.class_map)

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if self._detector is not None and self._detector.is_status(status.name):
                self._kept = kept_shares({pair.key: pair.value for pair in status.values})

    def _on_detections(self, array: Detection2DArray) -> None:
        stamp_ns = messages.stamp_ns(array.header.stamp)
        window = self._window_at(stamp_ns)
        if window is None or not self._class_names:
            return
        detections = messages.detections_of(array, window, self._class_names, self._kept)
        self._log.log(window, detections, (self._now_ns() - stamp_ns) / 1e6)
        self.windows += 1

    def _window_at(self, stamp_ns: int) -> EventWindow | None:
        """Return the slices up to a stamp as one window, ``None`` without any."""
        before = [part for part in self._slices if part.stamp_ns <= stamp_ns + 500 * SLICE_US]
        parts = before[-WINDOW_SLICES:]
        if not parts:
            return None
        last = parts[-1]
        chunks = tuple(itertools.chain.from_iterable(part.parts for part in parts))
        return EventWindow(parts[0].t_start, last.t_end, chunks, last.width, last.height, stamp_ns)
