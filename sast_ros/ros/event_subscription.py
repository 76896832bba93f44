# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The subscription to the events; type and QoS follow the publishers."""

from __future__ import annotations

from collections.abc import Callable
import importlib
import time
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from sast_ros.events import (
    EventDecoder,
    EventFormatError,
    MessageOrder,
    open_decoder,
    open_message_order,
    POINT_CLOUD,
)
from sast_ros.ros.parameters import AUTO, InputSettings
from sast_ros.ros.qos import (
    as_volatile,
    choose_type,
    describe,
    is_satisfied,
    read_subscription_qos,
    same_requests,
)
from sast_ros.ros.rclpy_compat import GatedCallbackGroup, take_serialized

#: Period of polling the publishers while there is none, and afterwards, seconds.
SEARCH_PERIOD_S = 0.1
WATCH_PERIOD_S = 1.0

#: While messages arrive, they are taken together this often, seconds. It costs no accuracy, as
#: windows are cut in sensor time, and delays a detection by half of it on average. Nor does taking
#: them last longer, as other cameras wait meanwhile.
DRAIN_PERIOD_S = 0.01

#: After a silence of this length, a second subscription shows whether messages are published that
#: the first one does not receive, seconds.
SUSPICION_S = 2.0


class EventSubscription:
    """
    Raw subscription to events.

    It exists from the start where the type of the messages is given, else as soon as a publisher
    does. All methods run in the executor's thread.

    Parameters
    ----------
    node : Node
        Node to subscribe with.
    topic : str
        Name of the topic.
    settings : InputSettings
        Type, history depth, and what PointCloud2 does not carry.
    on_message : callable
        Called with every serialized message, in order, and the decoder for it.
    on_refused : callable
        Called with an error for every message that does not continue the stream.
    on_new_stream : callable
        Called with a sentence when the publishers change to another type.

    Attributes
    ----------
    type : str
        Type of the messages, empty while unknown.
    waiting, problem : str
        Sentences about what is missing or wrong, empty if nothing is.
    publishers : tuple of str
        Names of the nodes that publish on the topic.
    replaced : int
        How often the subscription was made anew because it received nothing more.

    """

    def __init__(
        self,
        node: Node,
        topic: str,
        settings: InputSettings,
        on_message: Callable[[bytes, EventDecoder], None],
        on_refused: Callable[[EventFormatError], None],
        on_new_stream: Callable[[str], None],
    ) -> None:
        self._node = node
        self._topic = topic
        self._settings = settings
        self._on_message = on_message
        self._on_refused = on_refused
        self._on_new_stream = on_new_stream
        self._subscription: Subscription | None = None
        self._decoder: EventDecoder
        self._order: MessageOrder
        self._wanted_qos = read_subscription_qos(node, topic, settings.queue_depth)
        self._qos: QoSProfile | None = None
        self._last_logged = ''
        self._last_taken: float | None = None  # monotonic time, None before the first message
        self._probe: _Probe | None = None
        self.replaced = 0
        self.type = ''
        self.waiting = ''
        self.problem = ''
        self.publishers: tuple[str, ...] = ()
        self._callback_group = GatedCallbackGroup()
        # Not the node's clock: with use_sim_time that may stand still.
        self._clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._drain_timer: Timer = self._create_timer(DRAIN_PERIOD_S, self._drain)
        self._drain_timer.cancel()
        self._timer: Timer = self._create_timer(SEARCH_PERIOD_S, self.poll_publishers)
        self.poll_publishers()

    @property
    def name(self) -> str:
        """Resolved name of the topic."""
        return self._node.resolve_topic_name(self._topic)

    @property
    def qos(self) -> str:
        """Quality of service of the subscription in words, empty while there is none."""
        return describe(self._qos) if self._qos is not None else ''

    def reset(self) -> None:
        """Forget the stream; the next message begins a new one."""
        if self._subscription is not None:
            self._decoder.reset()
            self._order.restart()

    def poll_publishers(self) -> None:
        """Subscribe, and again when the publishers change type or QoS."""
        # Remaps the name: that of a resolved one would be remapped twice
        publishers = self._node.get_publishers_info_by_topic(self._topic)
        self.publishers = tuple(
            sorted(f'{p.node_namespace.rstrip("/")}/{p.node_name}' for p in publishers)
        )
        chosen = choose_type(self._settings.type, publishers, self.type)
        if chosen is None:
            self._end_probe()
            if self._settings.type != AUTO and not self.type:
                self._change_type(self._settings.type, self._wanted_qos.request(()))
            if self._settings.type == AUTO or self.type:
                self._report_no_publisher({publisher.topic_type for publisher in publishers})
            return
        self.waiting = self.problem = ''
        matching = [publisher for publisher in publishers if publisher.topic_type == chosen]
        if len(matching) < len(publishers):
            others = sorted({publisher.topic_type for publisher in publishers} - {chosen})
            self._log_problem(
                f'{self.name} also carries {", ".join(others)}, which is not read; {chosen} is'
            )
        qos = self._wanted_qos.request(matching)
        if chosen != self.type:
            self._change_type(chosen, qos)
        elif self._qos is not None and not self._receives(qos):
            self._node.get_logger().info(
                f'the publishers of {self.name} now offer {describe(qos)}; subscribing again'
            )
            self._subscribe(qos)
        if self._timer.timer_period_ns < 1e9 * WATCH_PERIOD_S:
            self._node.destroy_timer(self._timer)
            self._timer = self._create_timer(WATCH_PERIOD_S, self.poll_publishers)
        self._watch()

    def _receives(self, offered: QoSProfile) -> bool:
        """Return whether the subscription need not be made anew for publishers of this QoS."""
        assert self._qos is not None
        if self._last_taken is None:  # nothing is lost, and what is latched is won
            return same_requests(offered, self._qos)
        return is_satisfied(self._qos, offered)

    def _watch(self) -> None:
        """
        Make the subscription anew if only another one receives messages.

        A message of no bytes ends a reliable reader of Fast DDS (RELIABLE, in another process).
        """
        last, now = self._last_taken, time.monotonic()
        if self._probe is None:
            if last is not None and now - last > SUSPICION_S:
                assert self._qos is not None
                self._probe = _Probe(self._node, self._message_class, self._topic, self._qos)
        elif last is not None and last > self._probe.began:
            self._end_probe()
        elif self._probe.heard is not None and now - self._probe.heard > WATCH_PERIOD_S / 2:
            assert self._qos is not None and last is not None
            self.replaced += 1
            self._node.get_logger().error(
                f'{self.name} carries messages, but the subscription has received none for '
                f'{now - last:.0f} s, as after a message of 0 bytes; subscribing again '
                f'({self.replaced} so far)'
            )
            self._end_probe()
            # What is latched holds the message that ended the reader
            self._subscribe(as_volatile(self._qos))

    def _end_probe(self) -> None:
        if self._probe is not None:
            self._probe.close()
            self._probe = None

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_timer(self._drain_timer)
        self._end_probe()
        self._unsubscribe()

    def _change_type(self, chosen: str, qos: QoSProfile) -> None:
        message_class = find_message_class(chosen)
        if message_class is None:
            package = chosen.partition('/')[0]
            found = f'{self.name} carries' if self._settings.type == AUTO else 'input.type is'
            self._log_problem(
                f'{found} {chosen}, but the package {package} is not installed; install it'
            )
            return
        if self.type:
            sentence = f'the publishers of {self.name} changed from {self.type} to {chosen}'
            self._node.get_logger().error(f'{sentence}; a new stream begins')
            self._on_new_stream(sentence)
        size = (self._settings.height, self._settings.width)
        options: dict[str, Any] = {'sensor_size': size if all(size) else None}
        if chosen == POINT_CLOUD:
            options['time_unit'] = self._settings.time_unit
        self._message_class = message_class
        self._decoder = open_decoder(chosen, **options)
        self._order = open_message_order(chosen, self._on_refused)
        self.type = chosen
        self._end_probe()
        self._last_taken = None
        self._subscribe(qos)
        self._node.get_logger().info(f'listening to {self.name} ({chosen}; {describe(qos)})')

    def _subscribe(self, qos: QoSProfile) -> None:
        self._unsubscribe()
        self._qos = qos
        self._subscription = self._node.create_subscription(
            self._message_class,
            self._topic,
            self._on_serialized,
            qos,
            raw=True,
            callback_group=self._callback_group,
        )
        self._listen()

    def _unsubscribe(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _on_serialized(self, raw: bytes) -> None:
        """Take a message from the executor; the timer takes the next, until there are none."""
        self._callback_group.closed = True
        self._drain_timer.reset()
        self._last_taken = time.monotonic()
        self._hand_on(raw)

    def _hand_on(self, raw: bytes) -> None:
        for message in self._order.feed(raw):
            self._on_message(message, self._decoder)

    def _drain(self) -> None:
        """Take the messages received since the last time; there may be 1000 a second."""
        subscription = self._subscription
        taken, end = 0, time.monotonic() + DRAIN_PERIOD_S
        while (
            subscription is not None
            and subscription is self._subscription
            and time.monotonic() < end
        ):
            message = take_serialized(subscription)
            if message is None:
                break
            taken += 1
            self._hand_on(message)
        if taken == 0:
            self._listen()
        else:
            self._last_taken = time.monotonic()

    def _listen(self) -> None:
        """Let the executor wait for the next message."""
        self._drain_timer.cancel()
        self._callback_group.closed = False

    def _report_no_publisher(self, offered: set[str]) -> None:
        wanted = 'events' if self._settings.type == AUTO else self._settings.type
        if offered:
            self._log_problem(
                f'{self.name} carries {", ".join(sorted(offered))}, but {wanted} is expected; '
                f'remap the topic {self._topic}, or set input.type'
            )
            return
        self.problem = ''
        self.waiting = f'waiting for a publisher of {wanted} on {self.name}'
        if self._last_taken is None and self._is_news(self.waiting):
            self._node.get_logger().info(self.waiting)

    # A line that logs keeps its severity: rclpy raises ValueError where it changes.
    def _log_problem(self, sentence: str) -> None:
        self.problem = sentence
        if self._is_news(sentence):
            self._node.get_logger().error(sentence)

    def _is_news(self, sentence: str) -> bool:
        before, self._last_logged = self._last_logged, sentence
        return sentence != before

    def _create_timer(self, period_s: float, callback: Callable[[], None]) -> Timer:
        return self._node.create_timer(period_s, callback, clock=self._clock)


class _Probe:
    """
    Second subscription, which lasts until its first message.

    Attributes
    ----------
    began, heard : float
        Monotonic times of its beginning and of its message, ``None`` before that.

    """

    def __init__(self, node: Node, message_class: type, topic: str, qos: QoSProfile) -> None:
        self._node = node
        self.began = time.monotonic()
        self.heard: float | None = None
        self._subscription: Subscription | None = node.create_subscription(
            message_class, topic, self._on_message, as_volatile(qos, depth=1), raw=True
        )

    def close(self) -> None:
        """Unsubscribe."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _on_message(self, raw: bytes) -> None:
        if self.heard is None:
            self.heard = time.monotonic()
        self.close()


def find_message_class(type_name: str) -> type | None:
    """Return the class of a message type, ``None`` if its package is not installed."""
    package, _, name = type_name.split('/')
    try:
        return getattr(importlib.import_module(f'{package}.msg'), name)
    except (ImportError, AttributeError):
        return None
