"""
The managed node ``sast_detector``: event messages in, ``vision_msgs/Detection2DArray`` out.

Two threads share the work. The executor's thread takes the raw messages, decodes them and cuts
windows; the worker takes complete windows from a bounded queue, runs the network and publishes.
Parameters, services and transitions are handled by the executor; what concerns the network is
handed to the worker as a new ``Settings`` and applied between two windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
import functools
import os
import signal
import sys
import time
import traceback
from typing import Any, TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter
from sast_ros.errors import SettingError
from sast_ros.events import EventDecoder, EventFormatError
from sast_ros.kernels import keep_heap
from sast_ros.ros import messages, qos
from sast_ros.ros.diagnostics import diagnostic_array, Monitor, Situation
from sast_ros.ros.event_topic import EventTopic
from sast_ros.ros.parameters import (
    declare_parameters,
    ParameterValueError,
    read_settings,
    refusal,
    Settings,
    unknown_classes,
)
from sast_ros.ros.window_queue import WindowQueue
from sast_ros.ros.worker import Worker
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from vision_msgs.msg import Detection2DArray, LabelInfo, VisionInfo

if TYPE_CHECKING:
    from sast_ros.detector import Detections, StreamingDetector
    from sast_ros.pipeline import EventPipeline
    from sast_ros.windows import EventWindow

NODE_NAME = 'sast_detector'

#: A complaint that could come with every message is logged at most this often, seconds.
COMPLAINT_PERIOD_S = 5.0
DIAGNOSTICS_PERIOD_S = 1.0
WARM_UP_STEPS = 3
SWITCH_INTERVAL_S = 0.0002
MAX_THREADS = 4

RCLError = rclpy_implementation.RCLError
SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR


def _transition(
    callback: Callable[..., TransitionCallbackReturn],
) -> Callable[..., TransitionCallbackReturn]:
    """Log what a transition callback raises; rclpy turns it into an error state without a word."""

    @functools.wraps(callback)
    def logged(node: DetectorNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return callback(node, state)
        except Exception as error:
            # The node goes through on_error to unconfigured, and can be configured again.
            node.fail(f'{callback.__name__[3:]} failed: {error}', error)
            return ERROR

    return logged


class DetectorNode(LifecycleNode):
    """The node; its life reads from top to bottom."""

    def __init__(self, **options: Any) -> None:
        super().__init__(NODE_NAME, **options)
        self._settings = declare_parameters(self)
        self._pipeline: EventPipeline | None = None
        self._topic: EventTopic | None = None
        self._queue: WindowQueue | None = None
        self._worker: Worker | None = None
        self._configurations = 0
        self._failure = ''
        self._untrained = False
        self._monitor = Monitor()
        self._refuse_impossible_transitions()
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self.add_post_set_parameters_callback(self._after_set_parameters)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        # Not the node's clock: with use_sim_time that may stand still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._publish_diagnostics, clock=steady)
        self._worker_failed = self.create_guard_condition(self._after_worker_failure)
        if self._settings.autostart:
            self._start_timer = self.create_timer(0.0, self._start, clock=steady)

    # ----------------------------------------------------------------------------------- lifecycle

    @_transition
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model, warm it up, and create what is published."""
        self._failure = ''
        self._settings = read_settings(self)
        began = time.monotonic()
        try:
            detector = self._make_detector(self._settings)
            self._pipeline = self._make_pipeline(detector, self._settings)
        except (ValueError, RuntimeError, OSError) as error:
            self.fail(f'cannot configure: {error}')
            return FAILURE
        self._monitor = Monitor()
        self._configurations += 1
        self._detections_pub = self.create_lifecycle_publisher(
            Detection2DArray, 'detections', qos.DETECTIONS
        )
        self._label_pub = self.create_lifecycle_publisher(LabelInfo, 'label_info', qos.LATCHED)
        self._vision_pub = self.create_lifecycle_publisher(VisionInfo, 'vision_info', qos.LATCHED)
        self._overlay_pub = self.create_lifecycle_publisher(Image, 'overlay', qos.OVERLAY)
        self._reset_service = self.create_service(Trigger, 'reset_state', self._on_reset_state)
        self.get_logger().info(
            f'{detector.config.name} is ready on {detector.device} after '
            f'{time.monotonic() - began:.1f} s'
        )
        return SUCCESS

    @_transition
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker, say who is here, and listen to the events."""
        super().on_activate(state)
        self._failure = ''
        self._pipeline.reset('start')
        self._applied: Settings | None = None
        self._queue = WindowQueue(self._settings.overload.queue_windows)
        self._worker = Worker(
            self._queue, self._prepare_worker, self._process, self._on_worker_failure
        )
        self._publish_labels()
        self._monitor.started()
        self._topic = EventTopic(self, self._settings.input, self._on_events, self._on_new_stream)
        return SUCCESS

    @_transition
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening, and let the window in work be finished and published."""
        self._stop()
        return super().on_deactivate(state)

    @_transition
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release the model and what was published."""
        self._release()
        return SUCCESS

    @_transition
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything, from whatever state."""
        self._stop()
        self._release()
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything, so that the node is unconfigured and can be configured again."""
        try:
            self._stop()
            self._release()
        except Exception as error:  # nothing is left to be undone; the node is finalized
            self.fail(f'error handling failed: {error}', error)
            return ERROR
        return SUCCESS

    def close(self) -> None:
        """End the worker and destroy the node, when the process leaves."""
        self._stop()
        self.destroy_node()

    # ------------------------------------------------------------ events, in the executor's thread

    def _on_events(self, raw: bytes, decoder: EventDecoder) -> None:
        """Decode one message, and queue the windows that it completes."""
        try:
            chunk = decoder(raw)
            windows = self._pipeline.cut(chunk)
        except EventFormatError as error:
            self._monitor.format_error(str(error))
            self.get_logger().warning(
                f'a message was not read ({self._monitor.format_errors} so far): {error}',
                throttle_duration_sec=COMPLAINT_PERIOD_S,
            )
            return
        self._monitor.received()
        for window in windows:
            if window.reset is not None:
                self.get_logger().info(f'state reset: {window.reset}')
            dropped = self._queue.put(self._stamped(window, chunk.stamp_ns))
            if dropped:
                self._monitor.dropped(dropped)
                self.get_logger().warning(
                    f'too slow: the oldest of {self._queue.capacity} waiting windows was dropped '
                    f'({self._monitor.windows_dropped} so far); use a smaller model, a GPU or a '
                    'longer stride',
                    throttle_duration_sec=COMPLAINT_PERIOD_S,
                )

    def _stamped(self, window: EventWindow, message_stamp_ns: int | None) -> EventWindow:
        """Give the window the stamp that ``window.timestamp_source`` asks for."""
        source = self._settings.window.timestamp_source
        if source == 'header' and message_stamp_ns is not None:
            return replace(window, stamp_ns=message_stamp_ns)
        if source == 'receive' or window.stamp_ns is None:
            return replace(window, stamp_ns=self.get_clock().now().nanoseconds)
        return window

    def _on_new_stream(self, sentence: str) -> None:
        """Begin anew when the publishers have changed to another type."""
        self._monitor.format_error(sentence)
        self._pipeline.reset('start')

    def _on_reset_state(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        """Forget pending events now and the recurrent state before the next window."""
        if self._topic is None:
            response.message = (
                'the node is not active; its state is reset whenever it is activated'
            )
            return response
        self._topic.reset()
        self._pipeline.reset('service')
        response.success = True
        response.message = 'the recurrent state is reset before the next window'
        return response

    # ------------------------------------------------------------- windows, in the worker's thread

    def _prepare_worker(self) -> None:
        """Set the number of threads here, because OpenMP keeps it per calling thread."""
        _use_threads(self._settings.model.threads)

    def _process(self, window: EventWindow) -> None:
        """Detect in one window and publish."""
        from sast_ros.detector import DetectorError

        settings = self._settings
        if settings is not self._applied:
            self._apply(settings)
        began = time.perf_counter()
        try:
            detections = self._pipeline.process(window)
        except DetectorError as error:
            self._monitor.step_error(str(error))
            self.get_logger().error(
                f'a window was skipped: {error}', throttle_duration_sec=COMPLAINT_PERIOD_S
            )
            return
        array = messages.detection_array(
            detections, detections.stamp_ns, settings.detections.class_id_format
        )
        self._detections_pub.publish(array)
        self._monitor.step(time.perf_counter() - began, detections)
        if self._overlay_pub.get_subscription_count():
            self._publish_overlay(window, detections)

    def _apply(self, settings: Settings) -> None:
        """Take over changed parameters, between two windows."""
        detector, before = self._pipeline.detector, self._applied
        _configure_detector(detector, settings, before)
        self._applied = settings

    def _publish_overlay(self, window: EventWindow, detections: Detections) -> None:
        from sast_ros.visualization import draw_overlay, UNTRAINED_NOTE

        note = UNTRAINED_NOTE if self._untrained else ''
        picture = draw_overlay(window, detections, detections.height, detections.width, note=note)
        self._overlay_pub.publish(
            messages.image(picture, detections.stamp_ns, detections.frame_id)
        )

    def _on_worker_failure(self, error: Exception) -> None:
        """Hand an unexpected error to the executor, which deactivates the node."""
        if not self.context.ok():
            return  # the process is leaving, and publishing failed because of that
        self.fail(f'detection stopped: {error}', error)
        self._worker_failed.trigger()

    # ---------------------------------------------------------------------------------- parameters

    def _on_set_parameters(self, changes: list[RosParameter]) -> SetParametersResult:
        """Accept all changes of a request, or refuse all with one sentence."""
        classes = self._pipeline.detector.config.classes if self._pipeline else None
        reason = refusal(changes, configured=self._pipeline is not None, classes=classes)
        return SetParametersResult(successful=reason is None, reason=reason or '')

    def _after_set_parameters(self, changes: list[RosParameter]) -> None:
        """Apply accepted changes to the cutting of windows; the worker sees them by itself."""
        before, self._settings = self._settings, read_settings(self)
        settings = self._settings
        if self._pipeline is not None and (settings.window, settings.state) != (
            before.window,
            before.state,
        ):
            self._pipeline.set_timing(
                settings.window.duration_ms, settings.window.stride_ms, settings.state.max_gap_ms
            )
        if self._queue is not None:
            self._queue.capacity = settings.overload.queue_windows
        if (
            self._topic is not None
            and settings.detections.score_threshold != before.detections.score_threshold
        ):
            self._publish_labels()

    # ------------------------------------------------------------------------------------ plumbing

    def fail(self, sentence: str, error: Exception | None = None) -> None:
        """Say, in the log and in the diagnostics, why the node cannot work."""
        self._failure = sentence
        self.get_logger().error(sentence)
        if error is not None:
            self.get_logger().debug(''.join(traceback.format_exception(error)))

    @property
    def state(self) -> str:
        """Label of the lifecycle state."""
        return self._state_machine.current_state[1]

    def _start(self) -> None:
        """Take the first two transitions, as a lifecycle manager would."""
        self.destroy_timer(self._start_timer)
        if self.state == 'unconfigured' and self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    def _after_worker_failure(self) -> None:
        if self.state == 'active':
            self.trigger_deactivate()

    def _make_detector(self, settings: Settings) -> StreamingDetector:
        """Return the detector of ``model.*``, warm."""
        # Here, because torch takes seconds to import: the node is visible before.
        from sast_ros.detector import StreamingDetector
        from sast_ros.model import choose_model
        import torch

        wanted = settings.model
        _use_threads(wanted.threads)
        overrides = {}
        if any(wanted.partition_size):
            overrides['partition_size'] = tuple(wanted.partition_size)
        model, trained = choose_model(wanted.path, wanted.device, **overrides)
        self._untrained = not trained
        if self._untrained:
            self.get_logger().warning(
                f'{wanted.path} has random, untrained weights: its detections mean nothing; set '
                'model.path to default or to a .safetensors file made by "sast-ros convert"'
            )
        reason = unknown_classes(settings.detections.classes, model.config.classes)
        if reason:
            raise SettingError(reason)
        detector = StreamingDetector(model, precision=wanted.precision)
        _configure_detector(detector, settings, None)
        shape = (detector.config.channels, *detector.config.frame)
        for step in range(WARM_UP_STEPS):
            detector.step(torch.full(shape, step, dtype=torch.uint8))
        detector.reset()
        return detector

    def _make_pipeline(self, detector: StreamingDetector, settings: Settings) -> EventPipeline:
        from sast_ros.pipeline import EventPipeline

        size = (settings.input.height, settings.input.width)
        return EventPipeline(
            detector,
            sensor_size=size if all(size) else None,
            window_ms=settings.window.duration_ms,
            stride_ms=settings.window.stride_ms,
            max_gap_ms=settings.state.max_gap_ms,
        )

    def _stop(self) -> None:
        """End what on_activate began."""
        if self._topic is not None:
            self._topic.close()
            self._topic = None
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        self._queue = None

    def _release(self) -> None:
        """End what on_configure began."""
        if self._pipeline is None:
            return
        self._pipeline = None
        for publisher in (
            self._detections_pub,
            self._label_pub,
            self._vision_pub,
            self._overlay_pub,
        ):
            self.destroy_lifecycle_publisher(publisher)
        self.destroy_service(self._reset_service)

    def _publish_labels(self) -> None:
        """Publish the latched topics that explain the detections."""
        config = self._pipeline.detector.config
        now = self.get_clock().now().nanoseconds
        threshold = self._settings.detections.score_threshold
        self._label_pub.publish(messages.label_info(config.classes, threshold, now))
        method = f'SAST {config.name}' + (', untrained weights' if self._untrained else '')
        self._vision_pub.publish(
            messages.vision_info(
                method, self.resolve_topic_name('label_info'), self._configurations, now
            )
        )

    def _publish_diagnostics(self) -> None:
        topic, pipeline, settings = self._topic, self._pipeline, self._settings
        facts: dict[str, object] = {'model': settings.model.path, 'untrained': self._untrained}
        if pipeline is not None:
            detector = pipeline.detector
            facts['device'] = str(detector.device)
            facts['precision'] = detector.precision
            facts['sparsity'] = settings.sparsity.mode
        if topic is not None:
            facts['input topic'] = topic.name
            facts['input type'] = topic.type
            facts['input QoS'] = topic.qos
            facts['input publishers'] = topic.publishers
        situation = Situation(
            state=self.state,
            failure=self._failure or (topic.problem if topic else ''),
            waiting=topic.waiting if topic else '',
            queued=len(self._queue) if self._queue is not None else 0,
            facts=facts,
        )
        report = self._monitor.report(pipeline.statistics if pipeline else None, situation)
        name = self.get_fully_qualified_name().lstrip('/') + ': detector'
        hardware_id = topic.name if topic else settings.model.path
        self._diagnostics.publish(
            diagnostic_array(report, name, hardware_id, self.get_clock().now().nanoseconds)
        )

    def _refuse_impossible_transitions(self) -> None:
        """
        Answer a request for a transition that the state does not have with a refusal.

        rclpy (Jazzy) raises RCLError from its service callback instead, which ends the executor
        and with it the node.
        """
        service = self._service_change_state
        answer = service.callback

        def refuse_or_answer(request: Any, response: Any) -> Any:
            try:
                return answer(request, response)
            except RCLError:
                wanted = request.transition.label or request.transition.id
                self.get_logger().warning(
                    f'transition {wanted} does not exist in state {self.state}; nothing was done'
                )
                response.success = False
                return response

        service.callback = refuse_or_answer


def _use_threads(count: int) -> None:
    """Set the number of CPU threads; 0 is all cores but that of the executor, at most four."""
    import torch

    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    )
    torch.set_num_threads(count or min(max(cores - 1, 1), MAX_THREADS))


def _configure_detector(
    detector: StreamingDetector, settings: Settings, before: Settings | None
) -> None:
    """Apply ``detections.*`` and ``sparsity.*`` where they differ from before."""
    if before is None or settings.detections != before.detections:
        wanted = settings.detections
        detector.configure_detections(
            wanted.score_threshold, wanted.nms_iou, wanted.max_count, wanted.class_filter
        )
    if (
        before is None or settings.sparsity != before.sparsity
    ):  # the closed loop of mode budget begins anew
        sparsity = settings.sparsity
        detector.configure_sparsity(
            sparsity.mode, sparsity.amp, sparsity.bounce, sparsity.latency_budget_ms
        )


def _interrupt_once(signum: int, frame: object) -> None:
    """Leave the main thread wherever it is, even loading a model; ignore further signals."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT, SIGTERM or a shutdown of the context; return the exit code."""
    # torch, imported when the node is configured, must not let its threads spin long while they
    # wait for each other: where all cores are busy, a spinning thread keeps the one that it waits
    # for from running. Measured on 2 busy cores: a step of 60 ms took 500 ms.
    os.environ.setdefault('GOMP_SPINCOUNT', '10000')
    keep_heap()
    # The worker gives the interpreter lock away at every operation of the network; it must get it
    # back at once, not after 5 ms, when the executor has something to do.
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
    except (ParameterValueError, RCLError) as error:
        print(f'sast_detector: {error}', file=sys.stderr)
        return 1
    finally:
        if node is not None:
            node.close()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
