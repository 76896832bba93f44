# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The managed node ``sast_detector``: event messages in, ``vision_msgs/Detection2DArray`` out.

Two threads share the work. The executor's thread takes the raw messages, decodes them and cuts
windows; the worker takes complete windows from a bounded queue, runs the network and publishes.
Parameters, services and transitions are handled by the executor; the worker applies a new
``Settings`` between two windows.
"""

from __future__ import annotations

import signal
import sys
import time
import traceback
from typing import Any, TYPE_CHECKING

try:
    import rclpy
except ImportError as error:
    from sast_ros.ros.start import end_program

    end_program(error, __name__)
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.parameter import Parameter as RosParameter
from sast_ros.detections import Detections, DetectorError
from sast_ros.errors import escape_controls, format_error, SastError, SettingError
from sast_ros.events import EventDecoder, EventFormatError
from sast_ros.process import keep_heap, limit_spinning
from sast_ros.ros import messages, qos
from sast_ros.ros.detector_factory import apply_settings, load_detector, make_cutter, set_threads
from sast_ros.ros.diagnostics import diagnostic_array, Monitor, NodeStatus
from sast_ros.ros.event_subscription import EventSubscription
from sast_ros.ros.log_throttle import LogThrottle
from sast_ros.ros.node_parameters import declare_parameters, make_filter, read_settings, refusal
from sast_ros.ros.parameters import Settings
from sast_ros.ros.rclpy_compat import (
    lifecycle_state,
    logged_transition,
    RCLError,
    refuse_impossible_transitions,
)
from sast_ros.ros.window_queue import WindowQueue
from sast_ros.ros.worker import Worker
from sast_ros.windows import EventWindow, WindowCutter
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from vision_msgs.msg import Detection2DArray, LabelInfo, VisionInfo

if TYPE_CHECKING:  # torch takes seconds to import
    from sast_ros.pipeline import WindowDetector

NODE_NAME = 'sast_detector'

#: Minimum time between two warnings of a kind that could occur with every message, seconds.
WARNING_PERIOD_S = 5.0

#: Windows in a row that may fail unexpectedly before the node gives up.
MAX_FAILURES = 10
DIAGNOSTICS_PERIOD_S = 1.0
SWITCH_INTERVAL_S = 0.0002

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR


class DetectorNode(LifecycleNode):
    """The node, in the order of its life cycle."""

    def __init__(self, **options: Any) -> None:
        super().__init__(NODE_NAME, **options)
        self._settings = declare_parameters(self)
        # None unless configured (cutter, detector) or active (queue), where they are used.
        self._cutter: WindowCutter = None  # type: ignore[assignment]
        self._detector: WindowDetector = None  # type: ignore[assignment]
        self._queue: WindowQueue = None  # type: ignore[assignment]
        self._subscription: EventSubscription | None = None
        self._worker: Worker | None = None
        self._configurations = 0
        self._failure = ''
        self._untrained = False
        self._monitor = Monitor()
        self._warnings = LogThrottle(WARNING_PERIOD_S)
        refuse_impossible_transitions(self)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self.add_post_set_parameters_callback(self._after_set_parameters)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        # Not the node's clock: with use_sim_time it may stop.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._publish_diagnostics, clock=steady)
        self._worker_failed = self.create_guard_condition(self._after_worker_failure)
        if self._settings.autostart:
            self._start_timer = self.create_timer(0.0, self._start, clock=steady)

    # ----------------------------------------------------------------------------------- lifecycle

    @logged_transition
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model, warm it up, and create the publishers."""
        self._failure = ''
        self._settings = read_settings(self)
        began = time.monotonic()
        try:
            self._detector, self._untrained = load_detector(self._settings)
            self._cutter = make_cutter(
                self._settings, self._detector.detector.config, self._now_ns, self._log_reset
            )
        except (SastError, RuntimeError, OSError) as error:  # RuntimeError: of torch, memory
            self.fail(f'cannot configure: {escape_controls(str(error))}')
            return FAILURE
        if self._untrained:
            self.get_logger().warning(
                f'{self._settings.model.path} has random, untrained weights: its detections are '
                'meaningless; set model.path to default or to a .safetensors file made by '
                '"sast-ros convert"'
            )
        self._monitor = Monitor()
        self._configurations += 1
        self._detections_pub = self.create_lifecycle_publisher(
            Detection2DArray, 'detections', qos.DETECTIONS
        )
        self._label_pub = self.create_lifecycle_publisher(LabelInfo, 'label_info', qos.LATCHED)
        self._vision_pub = self.create_lifecycle_publisher(VisionInfo, 'vision_info', qos.LATCHED)
        self._overlay_pub = self.create_lifecycle_publisher(Image, 'overlay', qos.OVERLAY)
        self._reset_service = self.create_service(Trigger, 'reset_state', self._on_reset_state)
        detector = self._detector.detector
        self.get_logger().info(
            f'{detector.config.name} is ready after {time.monotonic() - began:.1f} s, run by '
            f'{detector.engine}'
        )
        return SUCCESS

    @logged_transition
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker, publish the labels, and subscribe to the events."""
        super().on_activate(state)
        self._failure = ''
        self._cutter.restart('start')
        self._applied: Settings | None = None
        self._failures = self._failed_messages = 0
        self._warnings.forget()
        self._size_is_reported = False
        self._queue = WindowQueue(self._settings.overload.queue_windows)
        self._worker = Worker(
            self._queue, self._prepare_worker, self._process, self._on_worker_failure
        )
        self._publish_labels()
        self._monitor.received()
        self._subscription = EventSubscription(
            self, self._settings.input, self._on_events, self._on_new_stream
        )
        return SUCCESS

    @logged_transition
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe; the current window is finished and published."""
        self._stop()
        return super().on_deactivate(state)

    @logged_transition
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release the model and the publishers."""
        self._release()
        return SUCCESS

    @logged_transition
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything, from any state."""
        self._stop()
        self._release()
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything, so that the node is unconfigured and can be configured again."""
        try:
            self._stop()
            self._release()
        except Exception as error:  # the node is finalized
            self.fail(f'error handling failed: {error}', error)
            return ERROR
        return SUCCESS

    def close(self) -> None:
        """End the worker and destroy the node, when the process exits."""
        self._stop()
        self.destroy_node()

    # ------------------------------------------------------------ events, in the executor's thread

    def _on_events(self, raw: bytes, decoder: EventDecoder) -> None:
        """Decode one message, and queue the windows that it completes."""
        try:
            chunk = decoder(raw)
            if (chunk.height, chunk.width) != decoder.stated_size or not chunk.width:
                self._report_sensor_size(decoder.stated_size)
            for window in self._cutter.cut(chunk):
                self._queue_window(window)
        except EventFormatError as error:
            self._monitor.format_error(str(error))
            if self._warnings.is_due('message', error.field):
                self.get_logger().warning(
                    f'a message was not read ({self._monitor.format_errors} so far): {error}'
                )
            return
        except Exception as error:
            # A message costs itself; where it left decoder and cutter is not known
            sentence = _unexpected(error)
            trace = '' if self._failed_messages else _trace()
            self._failed_messages += 1
            self._monitor.format_error(sentence)
            if self._warnings.is_due('unexpected', type(error).__name__):
                self.get_logger().error(f'a message was not read: {sentence}{trace}')
            decoder.reset()
            self._cutter.restart('error')
            return
        self._monitor.received()

    def _queue_window(self, window: EventWindow) -> None:
        dropped = self._queue.put(window)
        if dropped:
            self._monitor.dropped(dropped)
            if self._warnings.is_due('slow'):
                self.get_logger().warning(
                    f'too slow: the oldest of {self._queue.capacity} waiting windows was dropped '
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
            self.get_logger().warning(
                f'the messages state a sensor of {stated[1]}x{stated[0]} pixels; '
                f'{wanted.width}x{wanted.height}, as input.width and input.height, are taken'
            )
            return
        from sast_ros.pipeline import default_sensor_size

        height, width = default_sensor_size(self._detector.detector.config)
        self.get_logger().warning(
            f'the messages do not state the size of the sensor; {width}x{height} pixels, those of '
            'the network, are taken; set input.width and input.height'
        )

    def _log_reset(self, reason: str) -> None:
        self.get_logger().info(f'state reset: {reason}')

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _on_new_stream(self, sentence: str) -> None:
        """Restart the stream when the publishers have changed to another type."""
        self._monitor.format_error(sentence)
        self._cutter.restart('start')

    def _on_reset_state(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        """Discard pending events now and the recurrent state before the next window."""
        if self._subscription is None:
            response.message = (
                'the node is not active; its state is reset whenever it is activated'
            )
            return response
        self._subscription.reset()
        self._cutter.restart('service')
        response.success = True
        response.message = 'the recurrent state is reset before the next window'
        return response

    # ------------------------------------------------------------- windows, in the worker's thread

    def _prepare_worker(self) -> None:
        """Set the number of threads here, because OpenMP keeps it per calling thread."""
        set_threads(self._settings.model.threads)

    def _process(self, window: EventWindow) -> None:
        """Detect in one window and publish."""
        settings = self._settings
        if settings is not self._applied:
            apply_settings(self._detector.detector, settings, self._applied)
            self._applied = settings
        try:
            self._detect(window, settings)
        except DetectorError as error:
            self._skip(str(error), error)
        except Exception as error:
            # A window costs itself; a fault in all of them is one of the node
            self._failures += 1
            if not self.context.ok() or self._failures >= MAX_FAILURES:
                raise
            trace = _trace() if self._failures == 1 else ''
            self._skip(f'{_unexpected(error)}{trace}', error)
            self._detector.detector.reset()
        else:
            self._failures = 0

    def _detect(self, window: EventWindow, settings: Settings) -> None:
        began = time.perf_counter()
        detections = self._detector.process(window)
        array = messages.detection_array(
            detections, window.stamp_ns, settings.detections.class_id_format
        )
        self._detections_pub.publish(array)
        self._monitor.step(time.perf_counter() - began, detections)
        if self._overlay_pub.get_subscription_count():
            self._publish_overlay(window, detections)

    def _skip(self, reason: str, error: Exception) -> None:
        """Count and report a window that gives no detections."""
        self._monitor.step_error(reason)
        if self._warnings.is_due('window', type(error).__name__):
            self.get_logger().error(f'a window was skipped: {reason}')

    def _publish_overlay(self, window: EventWindow, detections: Detections) -> None:
        try:
            from sast_ros.visualization import draw_overlay, UNTRAINED_NOTE
        except ModuleNotFoundError as error:
            self.get_logger().warning(f'no overlay: {format_error(error)}', once=True)
            return
        note = UNTRAINED_NOTE if self._untrained else ''
        picture = draw_overlay(window, detections, detections.height, detections.width, note=note)
        self._overlay_pub.publish(messages.image(picture, window.stamp_ns, detections.frame_id))

    def _on_worker_failure(self, error: Exception) -> None:
        """Report an unexpected error; the executor then deactivates the node."""
        if not self.context.ok():
            return  # the process exits, and publishing failed because of that
        self.fail(f'detection stopped: {escape_controls(str(error))}', error)
        self._worker_failed.trigger()

    # ---------------------------------------------------------------------------------- parameters

    def _on_set_parameters(self, changes: list[RosParameter]) -> SetParametersResult:
        """Accept all changes of a request, or refuse all with a reason."""
        classes = self._detector.detector.config.classes if self._detector else None
        reason = refusal(changes, configured=self._detector is not None, classes=classes)
        return SetParametersResult(successful=reason is None, reason=reason or '')

    def _after_set_parameters(self, changes: list[RosParameter]) -> None:
        """Apply accepted changes to cutter and queue; the worker reads the others itself."""
        before, self._settings = self._settings, read_settings(self)
        settings = self._settings
        if self._cutter is not None:
            self._cutter.set_timing(*settings.timing_us)
            self._cutter.timestamp_source = settings.window.timestamp_source
            if settings.input.filter != before.input.filter:
                self._change_filter(settings)
        if self._queue is not None:
            self._queue.capacity = settings.overload.queue_windows
        if (
            self._subscription is not None
            and settings.detections.score_threshold != before.detections.score_threshold
        ):
            self._publish_labels()

    def _change_filter(self, settings: Settings) -> None:
        try:
            self._cutter.set_filter(make_filter(settings.input.filter))
        except (SettingError, ImportError) as error:  # a mask that was removed after the check
            self.get_logger().error(f'the filter was not changed: {format_error(error)}')

    # ------------------------------------------------------------------------------------ plumbing

    def fail(self, sentence: str, error: Exception | None = None) -> None:
        """Report in log and diagnostics why the node cannot work."""
        self._failure = sentence
        self.get_logger().error(sentence)
        if error is not None:
            trace = ''.join(traceback.format_exception(error))
            self.get_logger().debug(escape_controls(trace))

    def _start(self) -> None:
        """Take the first two transitions, as a lifecycle manager would."""
        self.destroy_timer(self._start_timer)
        if lifecycle_state(self) == 'unconfigured' and self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    def _after_worker_failure(self) -> None:
        if lifecycle_state(self) == 'active':
            self.trigger_deactivate()

    def _stop(self) -> None:
        """End what on_activate began."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        self._queue = None  # type: ignore[assignment]

    def _release(self) -> None:
        """End what on_configure began."""
        if self._detector is None:
            return
        self._cutter = self._detector = None  # type: ignore[assignment]
        for publisher in (
            self._detections_pub,
            self._label_pub,
            self._vision_pub,
            self._overlay_pub,
        ):
            self.destroy_lifecycle_publisher(publisher)
        self.destroy_service(self._reset_service)

    def _publish_labels(self) -> None:
        """Publish the latched topics that describe the detections."""
        config = self._detector.detector.config
        now = self._now_ns()
        threshold = self._settings.detections.score_threshold
        self._label_pub.publish(messages.label_info(config.classes, threshold, now))
        method = f'SAST {config.name}' + (', untrained weights' if self._untrained else '')
        self._vision_pub.publish(
            messages.vision_info(
                method, self.resolve_topic_name('label_info'), self._configurations, now
            )
        )

    def _publish_diagnostics(self) -> None:
        topic, settings = self._subscription, self._settings
        facts: dict[str, object] = {'model': settings.model.path, 'untrained': self._untrained}
        if self._detector is not None:
            detector = self._detector.detector
            facts |= {
                'device': str(detector.device),
                'precision': detector.precision,
                'engine': str(detector.engine),
                'sparsity': settings.sparsity.mode,
                'filters': ' '.join(self._cutter.event_filter.texts),
            }
        if topic is not None:
            facts |= {
                'input topic': topic.name,
                'input type': topic.type,
                'input QoS': topic.qos,
                'input publishers': topic.publishers,
            }
        status = NodeStatus(
            state=lifecycle_state(self),
            failure=self._failure or (topic.problem if topic else ''),
            waiting=topic.waiting if topic else '',
            queued=len(self._queue) if self._queue is not None else 0,
            facts=facts,
        )
        statistics = self._cutter.statistics if self._cutter else None
        report = self._monitor.report(statistics, status)
        name = self.get_fully_qualified_name().lstrip('/') + ': detector'
        hardware_id = topic.name if topic else settings.model.path
        self._diagnostics.publish(diagnostic_array(report, name, hardware_id, self._now_ns()))


def _unexpected(error: Exception) -> str:
    return escape_controls(f'unexpected {type(error).__name__}: {error}')


def _trace() -> str:
    """Return the traceback of the present error, without control characters."""
    return '\n' + escape_controls(traceback.format_exc())


def _interrupt_once(signum: int, frame: object) -> None:
    """Interrupt the main thread, even while it loads a model; ignore further signals."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT, SIGTERM or a shutdown of the context; return the exit code."""
    limit_spinning()  # torch is imported when the node is configured
    keep_heap()
    # The worker releases the interpreter lock at every operation of the network; it must get it
    # back immediately, not after 5 ms, when the executor is busy.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # Before rclpy.init, which installs handlers that wake the executor and then call these.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt_once)
    node = None
    try:
        rclpy.init(args=args)
        node = DetectorNode()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (SastError, RCLError) as error:
        get_logger(NODE_NAME).fatal(escape_controls(str(error)))
        return 1
    finally:
        if node is not None:
            node.close()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
