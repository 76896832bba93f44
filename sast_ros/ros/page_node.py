# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The node of the live page: what the detector publishes goes to the page, settings go back.

It subscribes to the picture while a page is open, and only then, so that the detector draws
nothing for a page that nobody sees. It runs in a process of its own: encoding pictures and
serving pages costs the detector no time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
import contextlib
import os
from time import monotonic
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
import numpy as np
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.clock import Clock, ClockType
from rclpy.parameter import Parameter as RosParameter
from rclpy.parameter import parameter_value_to_python
from rclpy.task import Future
from sast_ros.errors import escape_controls, format_error, SettingError
from sast_ros.page import PageServer
from sast_ros.ros.graph import DetectorTopics, SILENCE_S, topics_of, waiting_for
from sast_ros.ros.messages import ForeignMessageError
from sast_ros.ros.node_parameters import as_number
from sast_ros.ros.own_node import full_topic, own_node
from sast_ros.ros.parameters import PARAMETERS
from sast_ros.ros.qos import DIAGNOSTICS, SubscriptionQos
from sensor_msgs.msg import Image

#: Parameters that a page may change.
SETTINGS = tuple(
    name
    for name in (
        'detections.score_threshold',
        'sparsity.mode',
        'sparsity.amp',
        'sparsity.latency_budget_ms',
        'overlay.layers',
    )
    if name in PARAMETERS
)

#: Length of a list of texts, and of a text, that a page may set.
MAX_ITEMS = 20
MAX_TEXT = 100

#: Period of looking for the detector and reading its parameters while a page is open, seconds.
POLL_PERIOD_S = 1.0

#: Longest wait of the executor: signals are handled in between, seconds.
_WAIT_S = 0.2

#: Levels of a diagnostic status, as the page names them.
_LEVELS = {
    DiagnosticStatus.OK: 'ok',
    DiagnosticStatus.WARN: 'warn',
    DiagnosticStatus.ERROR: 'error',
    DiagnosticStatus.STALE: 'stale',
}

#: Counters of the status whose sum is what was lost.
_LOSSES = ('windows dropped', 'packets lost', 'format errors', 'step errors')


class PageNode:
    """
    Node ``sast_page_PID`` and its page, while a ``with`` block lasts.

    Parameters
    ----------
    topic : str
        Topic of the events, or of the detections, of the detector that is shown.
    host, port : str and int
        See ``PageServer``.
    ros_arguments : sequence of str
        See ``own_node``.

    Raises
    ------
    PageError, UsageError
        See ``PageServer``, ``own_node`` and ``full_topic``.

    """

    def __init__(
        self, topic: str, host: str, port: int, ros_arguments: Sequence[str] = ()
    ) -> None:
        self._given_topic, self._ros_arguments = topic, ros_arguments
        self._server = PageServer(host, port, self._on_watched, self._on_setting)
        self._requests: deque[Callable[[], None]] = deque()
        self._watching: list[Any] = []  # what exists while a page is open
        self._stated: DetectorTopics | None = None  # by its status, the last of which came then
        self._stated_at = 0.0
        self._detector: DetectorTopics | None = None
        self._of_detector = contextlib.ExitStack()  # what exists while there is a detector, too
        self._lost: int | None = None

    def __enter__(self) -> PageNode:
        """Create the node and start the server."""
        with contextlib.ExitStack() as stack:  # a server that cannot start leaves no node
            own = own_node(f'sast_page_{os.getpid()}', self._ros_arguments)
            self._node, self._executor = stack.enter_context(own)
            self._wake = self._node.create_guard_condition(self._handle_requests)
            self.topic = full_topic(self._node, self._given_topic)
            self._server.show_state({'topic': self.topic, **self._waiting()})
            stack.enter_context(self._server)
            self._closing = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop the server and destroy the node."""
        self._closing.close()

    @property
    def url(self) -> str:
        """Address of the page."""
        return self._server.url

    def spin(self) -> None:
        """Handle what arrives within a moment."""
        self._executor.spin_once(timeout_sec=_WAIT_S)

    # --------------------------------------------------------------- in the thread of the server

    def _on_watched(self, watched: bool) -> None:
        self._request(self._open if watched else self._close)

    def _on_setting(self, name: str, value: Any) -> None:
        self._request(lambda: self._set(name, value))

    def _request(self, function: Callable[[], None]) -> None:
        self._requests.append(function)
        self._wake.trigger()

    # ------------------------------------------------------------- in the thread of the executor

    def _handle_requests(self) -> None:
        while self._requests:
            self._requests.popleft()()

    def _waiting(self) -> dict[str, str]:
        return {'level': 'stale', 'message': waiting_for(self.topic)}

    def _open(self) -> None:
        """Begin to listen: a page is open."""
        node = self._node
        self._lost = None
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        subscription = node.create_subscription(
            DiagnosticArray, '/diagnostics', self._on_diagnostics, DIAGNOSTICS
        )
        timer = node.create_timer(POLL_PERIOD_S, self._poll, clock=steady)
        self._watching = [(node.destroy_timer, timer), (node.destroy_subscription, subscription)]
        self._poll()

    def _close(self) -> None:
        """Listen to nothing any more."""
        self._leave()
        self._stated = None
        for destroy, entity in self._watching:
            destroy(entity)
        self._watching = []

    def _poll(self) -> None:
        """Find the detector, and read its parameters."""
        if self._stated is not None and monotonic() - self._stated_at > SILENCE_S:
            self._stated = None
        detector = self._stated
        if detector is None:
            self._server.show_state(self._waiting())
        elif not self._node.count_publishers(detector.overlay):
            detector = None  # until it is configured
        if detector != self._detector:
            self._leave()
            if detector is not None:
                self._join(detector)
        if self._detector is not None and self._get.service_is_ready():
            self._get.call_async(GetParameters.Request(names=SETTINGS)).add_done_callback(
                self._on_values
            )

    def _join(self, detector: DetectorTopics) -> None:
        node, self._detector = self._node, detector
        publishers = node.get_publishers_info_by_topic(detector.overlay)
        picture = node.create_subscription(
            Image, detector.overlay, self._on_image, SubscriptionQos(depth=1).request(publishers)
        )
        self._get = node.create_client(GetParameters, f'{detector.node}/get_parameters')
        self._set_client = node.create_client(SetParameters, f'{detector.node}/set_parameters')
        self._of_detector.callback(node.destroy_subscription, picture)
        self._of_detector.callback(node.destroy_client, self._get)
        self._of_detector.callback(node.destroy_client, self._set_client)

    def _leave(self) -> None:
        self._detector = None
        self._of_detector.close()

    def _on_image(self, image: Image) -> None:
        try:
            self._server.show_picture(encode_jpeg(image))
        except ForeignMessageError as error:
            self._node.get_logger().warning(format_error(error), throttle_duration_sec=5.0)

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            found = topics_of(status, self.topic)
            if found is not None and self._stated in (None, found):
                self._stated, self._stated_at = found, monotonic()
                if self._detector is None:
                    self._poll()
                values = {pair.key: pair.value for pair in status.values}
                self._server.show_state(
                    {
                        'topic': found.input,
                        'level': _LEVELS.get(status.level, 'error'),
                        'message': escape_controls(status.message),
                        'sample': self._sample(values),
                    }
                )

    def _sample(self, values: dict[str, str]) -> dict[str, Any]:
        """Return the figures of a status."""

        def number(key: str) -> float | None:
            return float(values[key]) if key in values else None

        lost = sum(int(values.get(key, 0)) for key in _LOSSES)
        new = 0 if self._lost is None else max(0, lost - self._lost)
        self._lost = lost
        return {
            'rate': number('event rate (Mev/s)'),
            'p50': number('age p50 (ms)'),
            'p99': number('age p99 (ms)'),
            'tokens': [number(f'stage {stage} tokens kept (%)') for stage in range(1, 5)],
            'drops': new,
        }

    def _on_values(self, future: Future) -> None:
        """Show the parameters of the detector."""
        response = future.result()
        if response is not None and len(response.values) == len(SETTINGS):
            values = [parameter_value_to_python(value) for value in response.values]
            plain = [
                list(value) if isinstance(value, (list, tuple)) else value for value in values
            ]
            self._server.show_state({'settings': dict(zip(SETTINGS, plain))})

    def _set(self, name: str, value: Any) -> None:
        """Set a parameter of the detector, and show its refusal."""
        try:
            parameter = RosParameter(name, value=checked_setting(name, value))
        except SettingError as error:
            self._server.show_state({'notice': str(error)})
            return
        if self._detector is None or not self._set_client.service_is_ready():
            self._server.show_state({'notice': 'The detector does not answer.'})
            return
        request = SetParameters.Request(parameters=[parameter.to_parameter_msg()])
        self._set_client.call_async(request).add_done_callback(self._on_set)

    def _on_set(self, future: Future) -> None:
        response = future.result()
        refused = [result.reason for result in response.results if not result.successful]
        if refused:
            self._server.show_state({'notice': escape_controls(refused[0])})
        if self._watching:
            self._poll()


def checked_setting(name: str, value: Any) -> Any:
    """
    Return a value that a page has sent with the type of its parameter.

    Raises
    ------
    SettingError
        A parameter that no page may change, or a value of another type.

    """
    if name not in SETTINGS:
        raise SettingError(f'{name[:40]} cannot be set from the page')
    default = PARAMETERS[name].default
    if isinstance(default, str):
        accepted = value if _is_text(value) else None
    elif isinstance(default, list):
        items = value if isinstance(value, list) and len(value) <= MAX_ITEMS else []
        accepted = value if items and all(map(_is_text, items)) else None
    else:
        accepted = as_number(value, default) if type(value) in (int, float) else None
    if accepted is None:
        raise SettingError(f'{name} must be a {PARAMETERS[name].type_name}')
    return accepted


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT and value.isprintable()


def encode_jpeg(image: Image) -> bytes:
    """
    Return a picture of encoding ``rgb8`` as JPEG.

    Raises
    ------
    ForeignMessageError
        It is of another encoding, has no pixel, or is not complete.

    """
    from sast_ros.visualization import overlay

    height, width, step = image.height, image.width, image.step
    complete = 0 < 3 * width <= step and 0 < height * step <= len(image.data)
    if image.encoding != 'rgb8' or not complete:
        raise ForeignMessageError(
            f'an overlay is an image {width}x{height} {image.encoding!r} of {len(image.data)} '
            f'bytes, {step} a row, not rgb8'
        )
    rows = np.frombuffer(image.data, np.uint8, height * step).reshape(height, step)
    return overlay.encode_jpeg(rows[:, : 3 * width].reshape(height, width, 3))
