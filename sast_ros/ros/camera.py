# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What belongs to one event camera: its subscription, windows, recurrent state and topics.

The executor's thread takes the raw messages, decodes them and cuts windows; the worker takes
complete windows from the queue, runs the network and publishes. The network is that of all
cameras.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
import time
import traceback
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.qos import QoSProfile
from rclpy.service import Service
from sast_ros.detections import Detections, DetectorError
from sast_ros.errors import escape_controls, format_error, SettingError
from sast_ros.events import EventDecoder, EventFormatError
from sast_ros.events.sequence import SEQUENCE_FIELD
from sast_ros.process import is_interruption
from sast_ros.ros import camera_info, messages, qos
from sast_ros.ros.camera_info import CameraInfoRelay
from sast_ros.ros.detector_factory import (
    apply_settings,
    apply_tracking,
    make_cutter,
    sensor_size,
    stated_size,
)
from sast_ros.ros.diagnostics import diagnostic_status, Monitor, NodeStatus
from sast_ros.ros.event_subscription import EventSubscription
from sast_ros.ros.log_throttle import LogThrottle
from sast_ros.ros.node_parameters import make_filter
from sast_ros.ros.own_node import full_service
from sast_ros.ros.parameters import Settings
from sast_ros.ros.viewers import Viewers
from sast_ros.ros.window_queue import WindowQueue
from sast_ros.tracking import Tracker
from sast_ros.windows import EventWindow, LONG_MESSAGE, WindowCutter
from sensor_msgs.msg import CameraInfo, PointCloud2
from std_srvs.srv import SetBool, Trigger
from vision_msgs.msg import Detection2DArray, LabelInfo, VisionInfo

if TYPE_CHECKING:  # torch takes seconds to import
    from sast_ros.pipeline import WindowDetector

#: Minimum time between two warnings of a kind that could occur with every message, seconds.
WARNING_PERIOD_S = 5.0

#: Windows in a row that may fail unexpectedly before the camera gives up.
MAX_FAILURES = 10

#: Windows that one message may complete; of a longer one the last events are taken. 50 s of the
#: default stride, at no noticeable cost.
MAX_WINDOWS_PER_MESSAGE = 1000


class Camera:
    """
    One camera of the node, in the order of the node's life cycle.

    Parameters
    ----------
    node : LifecycleNode
        Owner of the topics.
    settings : Settings
        Parameters until ``configure``.
    track_ids : iterator of int
        Numbers of tracks, which go on from one configuration to the next.
    name : str
        Of ``NAME/events``, ``NAME/detections`` and so on; empty for ``events``, ``detections``.

    Attributes
    ----------
    failure : str
        Why the camera was given up, empty if it was not.

    """

    def __init__(
        self, node: LifecycleNode, settings: Settings, track_ids: Iterator[int], name: str = ''
    ) -> None:
        self._node = node
        self._name, self._prefix = name, f'{name}/' if name else ''
        self._settings = settings
        # None unless configured (cutter, detector) or active (queue), where they are used.
        self._cutter: WindowCutter = None  # type: ignore[assignment]
        self._detector: WindowDetector = None  # type: ignore[assignment]
        self._queue: WindowQueue = None  # type: ignore[assignment]
        self._subscription: EventSubscription | None = None
        self._viewers: Viewers = None  # type: ignore[assignment]
        self._camera_info: CameraInfoRelay = None  # type: ignore[assignment]
        self._publishers: list[LifecyclePublisher] = []
        self._services: list[Service] = []
        self._enabled = True
        self._untrained = False
        self._tracker = Tracker(ids=track_ids)
        self._monitor = Monitor()
        self._warnings = LogThrottle(WARNING_PERIOD_S)
        self._logger = node.get_logger().get_child(name) if name else node.get_logger()
        self.failure = ''

    @property
    def sensor_size(self) -> tuple[int, int] | None:
        """(height, width) in pixels, once configured as stated, or while active of the events."""
        if self._cutter is None:
            return None
        size = stated_size(self._settings)
        if size is None and self._queue is not None:
            size = self._cutter.sensor_size
        return size if size and all(size) else None

    # ----------------------------------------------------------------------------------- lifecycle

    def configure(self, settings: Settings, detector: WindowDetector, untrained: bool) -> None:
        """
        Create the window cutter, the publishers and the services.

        Raises
        ------
        SettingError
            A sensor size that does not fit the network, a filter that does not exist, an
            impossible QoS, or a name that no topic or service can have.

        """
        self._cutter = make_cutter(
            settings, detector.detector.config, self._now_ns, self._log_reset
        )
        self._settings, self._detector, self._untrained = settings, detector, untrained
        self._monitor = Monitor()
        prefix = self._prefix
        qos.read_subscription_qos(self._node, f'{prefix}events', settings.input.queue_depth)
        self._detections_pub = self._publisher(Detection2DArray, 'detections', qos.DETECTIONS)
        self._label_pub = self._publisher(LabelInfo, 'label_info', qos.LATCHED)
        self._vision_pub = self._publisher(VisionInfo, 'vision_info', qos.LATCHED)
        self._tracks_pub = self._publisher(PointCloud2, 'tracks', qos.DETECTIONS)
        info_pub = self._publisher(CameraInfo, camera_info.OUTPUT, qos.DETECTIONS)
        info_topic = f'{prefix}{camera_info.INPUT}'
        self._camera_info = CameraInfoRelay(self._node, info_topic, info_pub, self._logger)
        self._viewers = Viewers(self._publisher, self._logger, self._node.context.ok)
        for kind, name, answer in (
            (SetBool, f'{prefix}enable', self._on_enable),
            (Trigger, f'{prefix}reset_state', self._on_reset_state),
        ):
            full_service(self._node, name)
            self._services.append(self._node.create_service(kind, name, answer))

    def activate(self, queue: WindowQueue, version: int) -> None:
        """Publish the labels and the number of the configuration, subscribe to the events."""
        self.failure = ''
        self._cutter.restart('start')
        self._version = version
        self._applied: Settings | None = None
        self._failures = self._failed_messages = 0
        self._left_out = self._cutter.statistics.left_out[LONG_MESSAGE]
        self._warnings.forget()
        self._size_is_reported = False
        self._queue, self._multiple = queue, 1
        self._publish_labels()
        if self._enabled:
            self._subscribe()

    def _publisher(
        self, message_class: type, topic: str, profile: QoSProfile
    ) -> LifecyclePublisher:
        create = self._node.create_lifecycle_publisher
        self._publishers.append(
            qos.create_publisher(create, message_class, f'{self._prefix}{topic}', profile)
        )
        return self._publishers[-1]

    def _subscribe(self) -> None:
        self._monitor.begin()
        self._subscription = EventSubscription(
            self._node,
            f'{self._prefix}events',
            self._settings.input,
            self._on_events,
            self._refuse,
            self._on_new_stream,
        )
        self._camera_info.listen()

    def unsubscribe(self) -> None:
        """Take no more events."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
            self._camera_info.close()

    def deactivate(self) -> None:
        """Discard the queue, when the worker has ended."""
        self._queue = None  # type: ignore[assignment]
        if self._viewers is not None:
            self._viewers.stop()

    def release(self) -> None:
        """End what ``configure`` began."""
        if self._detector is None:
            return
        self._cutter = self._detector = self._viewers = None  # type: ignore[assignment]
        self._camera_info = None  # type: ignore[assignment]
        while self._publishers:
            self._node.destroy_lifecycle_publisher(self._publishers.pop())
        while self._services:
            self._node.destroy_service(self._services.pop())

    # ------------------------------------------------------------ events, in the executor's thread

    def _on_events(self, raw: bytes, decoder: EventDecoder) -> None:
        """Decode one message, and queue the windows that it completes."""
        try:
            chunk = decoder(raw)
            size = (chunk.height, chunk.width)
            if len(chunk) and (size != decoder.stated_size or not chunk.width):
                self._report_sensor_size(decoder.stated_size)
            for window in self._cutter.cut(chunk, MAX_WINDOWS_PER_MESSAGE):
                self._queue_window(window)
        except EventFormatError as error:
            self._refuse(error)
            return
        except Exception as error:
            if is_interruption(error):
                raise KeyboardInterrupt from error
            # A message costs itself; where it left decoder and cutter is not known
            sentence = _unexpected(error)
            trace = '' if self._failed_messages else _trace()
            self._failed_messages += 1
            self._monitor.format_error(sentence)
            if self._warnings.is_due('unexpected', type(error).__name__):
                self._logger.error(f'a message was not read: {sentence}{trace}')
            decoder.reset()
            self._cutter.restart('error')
            return
        self._monitor.received(len(chunk))
        self._report_long_message()

    def _report_long_message(self) -> None:
        left_out = self._cutter.statistics.left_out[LONG_MESSAGE]
        if left_out > self._left_out and self._warnings.is_due(LONG_MESSAGE):
            self._logger.warning(
                f'a message covered more than {MAX_WINDOWS_PER_MESSAGE} windows: only its last '
                f'events were taken ({left_out} events left out so far); its times may be wrong'
            )
        self._left_out = left_out

    def _refuse(self, error: EventFormatError) -> None:
        """Count and report a message that costs itself."""
        self._monitor.format_error(str(error), stranger=error.field == SEQUENCE_FIELD)
        if self._warnings.is_due('message', error.field):
            self._logger.warning(
                f'a message was not read ({self._monitor.format_errors} so far): {error}'
            )

    def _queue_window(self, window: EventWindow) -> None:
        self._queue.put(window)
        self._report_losses()

    def _report_losses(self) -> None:
        """Count and report what overload has cost; in either thread."""
        losses = self._queue.losses()
        if not (losses.dropped or losses.skipped):
            return
        self._monitor.overloaded(losses.dropped, losses.skipped)
        if losses.dropped and self._warnings.is_due('slow'):
            self._logger.warning(
                f'too slow: dropped windows that had waited for up to {1e3 * losses.age_s:.0f} ms '
                f'({self._monitor.windows_dropped} so far); use a smaller model, a GPU or a '
                'longer stride'
            )

    def _report_sensor_size(self, stated: tuple[int, int]) -> None:
        """Say which size is taken where messages state none, or not that of the parameters."""
        wanted = self._settings.input
        given = wanted.height and wanted.width
        if self._size_is_reported or (given and not any(stated)):
            return
        self._size_is_reported = True
        if given:
            self._logger.warning(
                f'the messages state a sensor of {stated[1]}x{stated[0]} pixels; '
                f'{wanted.width}x{wanted.height}, as input.width and input.height, are taken'
            )
            return
        from sast_ros.pipeline import default_sensor_size

        height, width = default_sensor_size(self._detector.detector.config)
        self._logger.warning(
            f'the messages do not state the size of the sensor; {width}x{height} pixels, those of '
            'the network, are taken; set input.width and input.height'
        )

    def _log_reset(self, reason: str) -> None:
        if self._warnings.is_due('reset', reason):
            count = self._cutter.statistics.resets[reason]
            self._logger.info(f'state reset: {reason}' + f' ({count} so far)' * (count > 1))

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds

    def _on_new_stream(self, sentence: str) -> None:
        """Restart the stream when the publishers have changed to another type."""
        self._monitor.format_error(sentence)
        self._cutter.restart('start')

    def _on_reset_state(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        """Discard pending events now and the recurrent state before the next window."""
        if self._queue is None:
            response.message = (
                'the node is not active; its state is reset whenever it is activated'
            )
            return response
        if self._subscription is None:
            response.message = self.failure or (
                'detection is off; its state is reset when the service enable switches it on'
            )
            return response
        self._subscription.reset()
        self._cutter.restart('service')
        response.success = True
        response.message = 'the recurrent state is reset before the next window'
        return response

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """Stop detection, or begin it again with a new state, without a transition."""
        if request.data and self.failure and self._queue is not None:
            self._enabled = True
            response.message = f'{self.failure}; deactivate and activate the node'
            return response
        response.success = True
        response.message = f'detection is {"on" if request.data else "off"}'
        if request.data == self._enabled:
            response.message += ' already'
            return response
        self._enabled = request.data
        self._logger.info(f'{response.message}, as the service enable was told')
        if self._queue is None:
            response.message += ' as soon as the node is active' if request.data else ''
        elif request.data:
            self._cutter.restart('enable')
            self._subscribe()
        else:
            self.unsubscribe()
            self._queue.clear()
        return response

    # ------------------------------------------------------------- windows, in the worker's thread

    def give_up(self, sentence: str) -> None:
        """Take no more windows, for the reason that log and diagnostics give."""
        self.failure = sentence
        self._logger.error(sentence)
        self._queue.close()

    def _apply_settings(self) -> None:
        settings = self._settings
        if settings is not self._applied:
            apply_settings(self._detector.detector, settings, self._applied)
            apply_tracking(self._detector, self._tracker, settings)
            self._applied = settings

    def _begin(self) -> None:
        """Report what has been lost before the window, and apply the settings."""
        self._report_losses()
        self._report_stride()
        self._apply_settings()

    def _report_stride(self) -> None:
        """Log the stride where overload has changed it."""
        before, self._multiple = self._multiple, self._queue.multiple
        if self._multiple == before:
            return
        stride_ms = self._stride_ms()
        if self._multiple == 1:
            self._logger.info(f'the stride is {stride_ms:g} ms again')
        elif self._warnings.is_due('stride', self._multiple > before):
            self._logger.warning(
                f'too slow: the stride is {stride_ms:g} ms, {self._multiple} times '
                'window.stride_ms, until there is room'
            )

    def _stride_ms(self) -> float:
        multiple = self._queue.multiple if self._queue is not None else 1
        return multiple * self._settings.window.stride_ms

    def _finish(self, window: EventWindow, result: Detections | Exception, began: float) -> None:
        """
        Publish the detections of a window, or count and report why there are none.

        Raises
        ------
        Exception
            The result, if it was unexpected and so were those of the windows before.

        """
        try:
            if isinstance(result, Exception):
                raise result
            self._publish(window, result, began)
        except DetectorError as error:
            self._skip(str(error), error)
        except Exception as error:
            # A window costs itself; a fault in all of them is one of the node
            self._failures += 1
            if not self._node.context.ok() or self._failures >= MAX_FAILURES:
                raise
            trace = _trace() if self._failures == 1 else ''
            self._skip(f'{_unexpected(error)}{trace}', error)
            self._detector.reset()
        else:
            self._failures = 0

    def _publish(self, window: EventWindow, detections: Detections, began: float) -> None:
        assert self._applied is not None
        array = messages.detection_array(
            detections, window.stamp_ns, self._applied.detections.class_id_format
        )
        self._detections_pub.publish(array)
        age = time.monotonic() - self._queue.completed
        self._monitor.step(time.perf_counter() - began, detections, age)
        if self._tracks_pub.get_subscription_count():
            tracks = self._tracker.tracks()
            cloud = messages.track_cloud(tracks, window.stamp_ns, detections.frame_id)
            self._tracks_pub.publish(cloud)
        self._camera_info.publish(array.header, detections.width, detections.height)
        self._viewers.show(
            window,
            detections,
            self._detector.detector.selected,  # type: ignore[arg-type]  # a step was done
            self._applied.overlay,
            self._untrained,
        )

    def _skip(self, reason: str, error: Exception) -> None:
        """Count and report a window that gives no detections."""
        self._monitor.step_error(reason)
        if self._warnings.is_due('window', type(error).__name__):
            self._logger.error(f'a window was skipped: {reason}')

    # ---------------------------------------------------------------------------------- parameters

    def change_settings(self, settings: Settings, names: Container[str]) -> None:
        """
        Apply accepted changes to cutter and queue; the worker reads the others itself.

        Parameters
        ----------
        settings : Settings
            All parameters.
        names : container of str
            Those that were set, also to the value that they had.

        """
        before, self._settings = self._settings, settings
        if self._cutter is not None:
            self._cutter.set_timing(*settings.timing_us)
            self._cutter.align = settings.window.align
            self._cutter.timestamp_source = settings.window.timestamp_source
            if 'input.filter' in names:
                self._change_filter(settings)
        if self._queue is not None:
            self._queue.settings = settings.overload
        if (
            self._queue is not None
            and settings.detections.score_threshold != before.detections.score_threshold
        ):
            self._publish_labels()

    def _change_filter(self, settings: Settings) -> None:
        try:
            chain = make_filter(settings.input.filter)
        except (SettingError, ImportError) as error:  # a mask that was removed after the check
            self._logger.error(f'the filter was not changed: {format_error(error)}')
            return
        present = self._cutter.event_filter
        # The identity, since a mask of the same name may be another picture
        if (chain.texts, chain.identity) != (present.texts, present.identity):
            self._cutter.set_filter(chain)

    # ------------------------------------------------------------------------------ labels, status

    def _publish_labels(self) -> None:
        """Publish the latched topics that describe the detections."""
        config = self._detector.detector.config
        now = self._now_ns()
        threshold = self._settings.detections.score_threshold
        self._label_pub.publish(messages.label_info(config.classes, threshold, now))
        method = f'SAST {config.name}' + (', untrained weights' if self._untrained else '')
        self._vision_pub.publish(
            messages.vision_info(method, self._resolved('label_info'), self._version, now)
        )

    def status(self, state: str, failure: str) -> DiagnosticStatus:
        """
        Return the status since the last one, for /diagnostics.

        Parameters
        ----------
        state : str
            Lifecycle state of the node.
        failure : str
            Why the node cannot work, empty if it can.

        """
        topic = self._subscription
        status = NodeStatus(
            state=state,
            failure=failure or self.failure or (topic.problem if topic else ''),
            waiting=topic.waiting if topic else '',
            enabled=self._enabled,
            queued=len(self._queue) if self._queue is not None else 0,
            stride_ms=self._stride_ms(),
            publishers=topic.publishers if topic else (),
            period_s=sum(self._settings.timing_us[:2]) / 1e6,
            facts=self._facts(),
        )
        statistics = self._cutter.statistics if self._cutter else None
        report = self._monitor.report(statistics, status)
        task = f'detector {self._name}'.rstrip()
        name = f'{self._node.get_fully_qualified_name().lstrip("/")}: {task}'
        hardware_id = topic.name if topic else self._settings.model.path
        return diagnostic_status(report, name, hardware_id)

    def _resolved(self, topic: str) -> str:
        """Return the full name of a topic of the camera."""
        return self._node.resolve_topic_name(f'{self._prefix}{topic}')

    def _facts(self) -> dict[str, object]:
        topic, settings = self._subscription, self._settings
        facts: dict[str, object] = {
            'model': settings.model.path,
            'untrained': self._untrained,
            'input topic': self._resolved('events'),
            'detections topic': self._resolved('detections'),
            'label_info topic': self._resolved('label_info'),
            'overlay topic': self._resolved('overlay'),
            'token_mask topic': self._resolved('token_mask'),
        }
        if self._detector is not None:
            detector = self._detector.detector
            height, width = sensor_size(settings, detector.config)
            facts |= {
                'device': str(detector.device),
                'precision': detector.precision,
                'engine': str(detector.engine),
                'sparsity': settings.sparsity.mode,
                'sensor size unless stated': f'{width}x{height}',
                'filters': ' '.join(self._cutter.event_filter.texts),
                'messages for viewers': self._viewers.published,
                'camera_info published': self._camera_info.published,
            }
        if topic is not None:
            facts |= {
                'input type': topic.type,
                'input QoS': topic.qos,
                'input publishers': len(topic.publishers),
                'input subscriptions replaced': topic.replaced,
            }
        return facts


def process_windows(turn: Sequence[tuple[Camera, EventWindow]]) -> list[tuple[Camera, Exception]]:
    """
    Detect in a window of each of some cameras, and publish.

    Returns
    -------
    list of tuple
        Cameras of which too many windows failed in a row, and why the last one did.

    """
    from sast_ros.pipeline import process_together

    began = time.perf_counter()
    for camera, _ in turn:
        camera._begin()
    results = process_together(
        [camera._detector for camera, _ in turn], [window for _, window in turn]
    )
    failed = []
    for (camera, window), result in zip(turn, results):
        try:
            camera._finish(window, result, began)
        except Exception as error:
            failed.append((camera, error))
    return failed


def _unexpected(error: Exception) -> str:
    return escape_controls(f'unexpected {type(error).__name__}: {error}')


def _trace() -> str:
    """Return the traceback of the present error, without control characters."""
    return '\n' + escape_controls(traceback.format_exc())
