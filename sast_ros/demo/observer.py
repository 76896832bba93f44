# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The ROS node of the demonstration: it waits for the other two and collects what they publish."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
from dataclasses import dataclass, field
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from sast_ros.demo.playback import Content, Playback
from sast_ros.demo.player import QOS
from sast_ros.demo.processes import Child, DemoError
from sast_ros.process import paused_collector
from sast_ros.ros.detector_node import NODE_NAME
from sast_ros.ros.event_subscription import find_message_class
from sast_ros.ros.own_node import own_node
from sast_ros.ros.qos import LATCHED
from vision_msgs.msg import Detection2DArray, LabelInfo

EVENTS_TOPIC = '/event_camera/events'
DETECTIONS_TOPIC = '/detections'

_START_PATIENCE_S = 90.0  # a cold import of torch from a slow disk takes most of a minute
_SILENCE_PATIENCE_S = 15.0
_REPORT_PATIENCE_S = 3.0  # the node reports once a second


@dataclass
class DemoSession:
    """What has been received, with arrival times in nanoseconds of the wall clock."""

    arrivals_ns: list[int] = field(default_factory=list)  # of the messages with events
    first_message: bytes = b''  # of these
    detections: list[tuple[int, Detection2DArray]] = field(default_factory=list)
    diagnostics: list[tuple[int, DiagnosticStatus]] = field(default_factory=list)  # of the node
    class_names: tuple[str, ...] = ()
    began: float = field(default_factory=time.monotonic)


class Observer:
    """
    Node ``sast_demo``, while a ``with`` block lasts.

    It only collects; decoding and drawing come when nothing is timed any more.

    Parameters
    ----------
    detector, player : Child
        The other processes; it is an error if one of them fails meanwhile.

    """

    def __init__(self, detector: Child, player: Child) -> None:
        self.session = DemoSession()
        self._detector, self._player = detector, player

    def __enter__(self) -> Observer:
        """
        Create the node and everything but the subscription to events.

        Until the end of the block there is no garbage collection in this process: one of 0.1 to
        0.3 s would count as latency of the messages that come meanwhile.
        """
        self._closing = contextlib.ExitStack()
        self._closing.enter_context(paused_collector())
        self._node, self._executor = self._closing.enter_context(own_node('sast_demo'))
        subscribe = self._node.create_subscription
        subscribe(Detection2DArray, DETECTIONS_TOPIC, self._on_detections, QOS)
        subscribe(DiagnosticArray, '/diagnostics', self._on_diagnostics, 100)
        subscribe(LabelInfo, '/label_info', self._on_labels, LATCHED)
        return self

    def __exit__(self, *exception: object) -> None:
        """Destroy the node."""
        self._closing.close()

    def wait_for_detector(self) -> None:
        """Wait until the node is active, as its labels show, and its detections would arrive."""

        def ready() -> bool:
            for _, status in self.session.diagnostics[-1:]:
                if status.level == DiagnosticStatus.ERROR:
                    raise DemoError(f'{self._detector.name} cannot start: {status.message}')
            publishers = self._node.count_publishers(DETECTIONS_TOPIC)
            return bool(publishers and self.session.class_names)

        self.wait_until(ready, _START_PATIENCE_S, self._detector, 'is not active')

    def collect(self, playback: Playback) -> None:
        """Subscribe to the events, for which the player waits, until it has sent them all."""
        kind = find_message_class(playback.recording.message_type)
        self._node.create_subscription(kind, EVENTS_TOPIC, self._on_events, QOS, raw=True)
        player, arrivals = self._player, self.session.arrivals_ns
        self.wait_until(lambda: bool(arrivals), _START_PATIENCE_S, player, 'has sent nothing')
        patience_s = 2 * playback.content.seconds + _SILENCE_PATIENCE_S
        self.wait_until(lambda: player.exit_code() == 0, patience_s, player, 'has not finished')

    def wait_for_rest(self, content: Content) -> None:
        """
        Wait for what is still on its way, as long as something comes, and for a last report.

        What is missing then is not an error of the demonstration but its result.
        """
        session, seen, limit = self.session, (-1, -1), 0.0
        while True:
            received = (len(session.arrivals_ns), len(session.detections))
            if received[0] >= content.messages and received[1] >= content.windows:
                break
            if received != seen:
                seen, limit = received, time.monotonic() + _SILENCE_PATIENCE_S
            elif time.monotonic() > limit:
                break
            self.spin()
        self.wait_for_report()

    def wait_for_report(self) -> None:
        """Wait for a report that the node makes from now on, but not for long."""
        last, limit = time.time_ns(), time.monotonic() + _REPORT_PATIENCE_S
        while time.monotonic() < limit:
            if any(at > last for at, _ in self.session.diagnostics):
                break
            self.spin()

    def wait_until(
        self, condition: Callable[[], bool], patience_s: float, child: Child, state: str
    ) -> None:
        """Handle what arrives until the condition holds; after the time is over, give up."""
        limit = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > limit:
                raise DemoError(f'{child.name} {state} after {patience_s:.0f} s{child.log_tail()}')
            self.spin()

    def spin(self) -> None:
        """Handle what arrives within a moment; DemoError if a process has failed."""
        self._executor.spin_once(timeout_sec=0.05)
        for child in (self._detector, self._player):
            code = child.exit_code()
            if code or (code == 0 and child is self._detector):  # a player that is done has ended
                raise DemoError(child.failure())

    def _on_events(self, raw: bytes) -> None:
        self.session.first_message = self.session.first_message or raw
        self.session.arrivals_ns.append(time.time_ns())

    def _on_detections(self, array: Detection2DArray) -> None:
        self.session.detections.append((time.time_ns(), array))

    def _on_labels(self, labels: LabelInfo) -> None:
        self.session.class_names = tuple(entry.class_name for entry in labels.class_map)

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        self.session.diagnostics += [
            (time.time_ns(), status) for status in array.status if NODE_NAME in status.name
        ]
