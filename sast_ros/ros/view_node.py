# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The node that shows a running detector in a viewer: its events and what it publishes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
import contextlib
import itertools
import os
from time import monotonic
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import GetParameters
from rclpy.client import Client
from rclpy.parameter import Parameter as RosParameter
from rclpy.parameter import parameter_value_to_python
from rclpy.task import Future
from sast_ros.detections import StageShare, TokenMap
from sast_ros.errors import format_error, SettingError
from sast_ros.events import EventDecoder, EventFormatError
from sast_ros.events.filters import FilterChain
from sast_ros.ros import messages, qos
from sast_ros.ros.diagnostics import kept_shares
from sast_ros.ros.event_subscription import EventSubscription
from sast_ros.ros.graph import DetectorTopics, SILENCE_S, topics_of, waiting_for
from sast_ros.ros.own_node import full_topic, own_node
from sast_ros.ros.parameters import InputSettings
from sast_ros.visualization.window_log import WindowLog
from sast_ros.windows import EventWindow, WindowCutter
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray, LabelInfo

#: Events are kept in slices of this length; a picture is that of the slices before its stamp.
SLICE_US = 5000

#: Slices that are kept for detections still to come.
MAX_SLICES = 400

#: Parameters of the detector that tell how it reads the events.
_INPUT = ('type', 'width', 'height', 'time_unit', 'filter')
_READ = (*(f'input.{name}' for name in _INPUT), 'window.duration_ms', 'use_sim_time')

_WAIT_S = 0.2


class ViewNode:
    """
    Node ``sast_view_PID``, while a ``with`` block lasts.

    Parameters
    ----------
    topic : str
        Topic of the events, or of the detections, of the detector that is shown.
    log : WindowLog
        Where they go, on the clock of ROS.
    ros_arguments : sequence of str
        See ``own_node``.

    Raises
    ------
    UsageError
        See ``own_node`` and ``full_topic``.

    """

    def __init__(self, topic: str, log: WindowLog, ros_arguments: Sequence[str] = ()) -> None:
        self._topic, self._log, self._ros_arguments = topic, log, ros_arguments
        self.windows = 0
        self._slices: deque[EventWindow] = deque(maxlen=MAX_SLICES)
        self._kept: tuple[StageShare, ...] = ()
        self._class_names: tuple[str, ...] = ()
        self._waiting: tuple[Detection2DArray, float] | None = None  # with its age on arrival, ms
        self._waits_until = 0.0
        self._mask: Image | None = None
        self._detector: DetectorTopics | None = None
        self._of_detector = contextlib.ExitStack()  # what exists while there is a detector
        self._get: Client | None = None
        self._stated_size = ''
        self._read: dict[str, Any] = {}
        self._events: EventSubscription | None = None

    def __enter__(self) -> ViewNode:
        """Create the node and subscribe."""
        with contextlib.ExitStack() as stack:
            own = own_node(f'sast_view_{os.getpid()}', self._ros_arguments)
            self._node, self._executor = stack.enter_context(own)
            self._full_topic = full_topic(self._node, self._topic)
            self._node.create_subscription(
                DiagnosticArray, '/diagnostics', self._on_diagnostics, qos.DIAGNOSTICS
            )
            self._closing = stack.pop_all()
        self._alone_since: float | None = monotonic()  # None: it has been said
        return self

    def __exit__(self, *exception: object) -> None:
        """Write what has come, and destroy the node."""
        with self._closing as closing:
            if self._events is not None:
                closing.callback(self._events.close)
            self._write_waiting()

    def spin(self) -> None:
        """Handle what arrives within a moment."""
        self._executor.spin_once(timeout_sec=_WAIT_S)
        if monotonic() > self._waits_until:
            self._write_waiting()
        if self._detector is not None and monotonic() - self._stated_at > SILENCE_S:
            self._leave()
        since = self._alone_since
        if self._detector is None and since is not None and monotonic() - since > SILENCE_S:
            self._alone_since = None
            self._node.get_logger().info(waiting_for(self._full_topic))

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds

    def _warn(self, error: Exception) -> None:
        self._node.get_logger().warning(format_error(error), throttle_duration_sec=5.0)

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        """Follow the first detector of the topic, as long as it has a status."""
        for status in array.status:
            found = topics_of(status, self._full_topic)
            if found is None or self._detector not in (None, found):
                continue
            self._stated_at = monotonic()
            values = {pair.key: pair.value for pair in status.values}
            self._kept = kept_shares(values)
            self._stated_size = values.get('sensor size unless stated', '')
            if self._detector is None:
                self._join(found)
            if self._get is not None and self._get.service_is_ready():
                request = GetParameters.Request(names=_READ)
                self._get.call_async(request).add_done_callback(self._on_values)

    def _join(self, detector: DetectorTopics) -> None:
        """Subscribe to what the detector publishes, once it does."""
        node = self._node
        topics = (
            (Detection2DArray, detector.detections, self._on_detections, qos.DETECTIONS),
            (LabelInfo, detector.label_info, self._on_labels, qos.LATCHED),
            (Image, detector.token_mask, self._on_token_mask, qos.VIEWERS),
        )
        publishers = [node.get_publishers_info_by_topic(topic) for _, topic, *_ in topics]
        if not all(publishers):
            return
        self._detector = detector
        for (message_class, topic, receive, profile), of_topic in zip(topics, publishers):
            requested = qos.SubscriptionQos(profile.depth).request(of_topic)
            made = node.create_subscription(message_class, topic, receive, requested)
            self._of_detector.callback(node.destroy_subscription, made)
        self._get = node.create_client(GetParameters, f'{detector.node}/get_parameters')
        self._of_detector.callback(node.destroy_client, self._get)

    def _leave(self) -> None:
        self._write_waiting()
        self._detector = self._get = None
        self._alone_since = monotonic()
        self._of_detector.close()

    def _on_values(self, future: Future) -> None:
        """Read the events as the detector does, from now on."""
        response = future.result()
        if self._detector is None or response is None or len(response.values) != len(_READ):
            return
        read = dict(zip(_READ, map(parameter_value_to_python, response.values)))
        read |= {'topic': self._detector.input, 'size': self._stated_size}
        if read == self._read:
            return
        self._read = read
        simulated = bool(read['use_sim_time'])
        self._node.set_parameters([RosParameter('use_sim_time', value=simulated)])
        if self._events is not None:
            self._events.close()
        settings = InputSettings(**{name: read[f'input.{name}'] for name in _INPUT})
        width, _, height = self._stated_size.partition('x')
        self._cutter = WindowCutter(
            SLICE_US,
            SLICE_US,
            sensor_size=(int(height), int(width)) if height else None,
            now_ns=self._now_ns,
            event_filter=self._filter(settings.filter),
        )
        self._events = EventSubscription(
            self._node,
            read['topic'],
            settings,
            self._on_events,
            self._warn,
            lambda sentence: self._cutter.restart('start'),
        )

    def _filter(self, texts: Sequence[str]) -> FilterChain:
        """Return the filters of the detector, without those that need a file of its machine."""
        chosen = []
        for text in texts:
            try:
                FilterChain([text])
                chosen.append(text)
            except SettingError as error:
                self._warn(error)
        return FilterChain(chosen)

    def _on_events(self, raw: bytes, decoder: EventDecoder) -> None:
        try:
            self._slices.extend(self._cutter.cut(decoder(raw), MAX_SLICES))
        except EventFormatError as error:
            self._warn(error)

    def _on_labels(self, labels: LabelInfo) -> None:
        self._class_names = tuple(entry.class_name for entry in labels.class_map)

    def _on_detections(self, array: Detection2DArray) -> None:
        """Keep it until its token mask comes, which is made after it, or is left out."""
        self._write_waiting()
        age_ns = self._now_ns() - messages.stamp_ns(array.header.stamp)
        self._waiting, self._waits_until = (array, age_ns / 1e6), monotonic() + _WAIT_S
        self._write_if_complete()

    def _on_token_mask(self, mask: Image) -> None:
        self._mask = mask
        self._write_if_complete()

    def _write_if_complete(self) -> None:
        if self._waiting is None or self._mask is None:
            return
        if self._waiting[0].header.stamp == self._mask.header.stamp:
            self._write_waiting(self._mask)

    def _write_waiting(self, mask: Image | None = None) -> None:
        """Write the detections that wait, if there are some."""
        if self._waiting is None:
            return
        (array, age_ms), self._waiting = self._waiting, None
        stamp_ns = messages.stamp_ns(array.header.stamp)
        window = self._window_at(stamp_ns, array.header.frame_id)
        if window is None or not window.width or not self._class_names:
            return
        try:
            detections = messages.detections_of(array, window, self._class_names, self._kept)
        except messages.ForeignMessageError as error:  # or of weights of before
            self._warn(error)
            return
        tokens = None if mask is None else self._tokens(mask, window)
        self._log.log(window, detections, age_ms, tokens)
        self.windows += 1

    def _tokens(self, mask: Image, window: EventWindow) -> TokenMap | None:
        try:
            return messages.tokens_of(mask, window.height, window.width)
        except messages.ForeignMessageError as error:  # or of another sensor
            self._warn(error)
            return None

    def _window_at(self, stamp_ns: int, frame_id: str) -> EventWindow | None:
        """Return the slices up to a stamp as one window, ``None`` without any."""
        before = [part for part in self._slices if part.stamp_ns <= stamp_ns + 500 * SLICE_US]
        if not before:  # until it is known how the detector reads them, too
            return None
        count = max(1, round(1000 * self._read['window.duration_ms'] / SLICE_US))
        parts = before[-count:]
        last = parts[-1]
        chunks = tuple(itertools.chain.from_iterable(part.parts for part in parts))
        return EventWindow(
            parts[0].t_start,
            last.t_end,
            chunks,
            last.width,
            last.height,
            stamp_ns,
            frame_id=frame_id,
        )
