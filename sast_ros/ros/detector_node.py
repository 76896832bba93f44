# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The managed node ``sast_detector``: event messages in, ``vision_msgs/Detection2DArray`` out.

Two threads share the work. The executor's thread takes the raw messages, decodes them and cuts
windows; the worker takes complete windows from bounded queues, runs the network and publishes:
both in ``Camera``, of which there may be several. Parameters and transitions are handled by the
executor, here; the worker applies a new ``Settings`` between two windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import itertools
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
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.parameter import Parameter as RosParameter
from sast_ros.errors import escape_controls, format_error, is_expected, SastError
from sast_ros.events import max_message_events
from sast_ros.process import HeapWatch, keep_heap, limit_spinning
from sast_ros.ros import messages, qos
from sast_ros.ros.camera import Camera, process_windows
from sast_ros.ros.detector_factory import load_detectors, set_threads
from sast_ros.ros.node_parameters import (
    declare_parameters,
    parameter_values,
    read_settings,
    refusal,
    with_declared_type,
)
from sast_ros.ros.page_process import PageProcess
from sast_ros.ros.parameter_file import NODE_NAME
from sast_ros.ros.parameters import with_advice
from sast_ros.ros.rclpy_compat import (
    after_parameters,
    initialize,
    lifecycle_state,
    logged_transition,
    RCLError,
    refuse_impossible_transitions,
    refuse_unknown_types,
    ros_refusals,
)
from sast_ros.ros.window_queue import WindowQueues
from sast_ros.ros.worker import Worker
from sast_ros.windows import EventWindow

if TYPE_CHECKING:  # torch takes seconds to import
    from sast_ros.model import ModelConfig

DIAGNOSTICS_PERIOD_S = 1.0
SWITCH_INTERVAL_S = 0.0002

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR


class StartError(SastError):
    """The node cannot do what it was started for."""


class DetectorNode(LifecycleNode):
    """The node, in the order of its life cycle."""

    def __init__(self, **options: Any) -> None:
        super().__init__(NODE_NAME, **options)
        self._settings = declare_parameters(self)
        self._track_ids: dict[str, Iterator[int]] = {}  # of each camera
        self._cameras = self._make_cameras()
        self._config: ModelConfig | None = None  # unless configured
        self._worker: Worker | None = None
        self._configurations = 0
        self._failure = ''
        refuse_impossible_transitions(self)
        refuse_unknown_types(self)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        after_parameters(self, self._after_set_parameters)
        self._diagnostics = qos.create_publisher(
            self.create_publisher, DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS
        )
        # Not the node's clock: with use_sim_time it may stop.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._publish_diagnostics, clock=steady)
        self._worker_failed = self.create_guard_condition(self._after_worker_failure)
        camera = self._settings.cameras[0]
        detections = f'{camera}/detections' if camera else 'detections'
        self._page = PageProcess(self, detections, self._settings.page)
        if self._settings.autostart:
            self._start_timer = self.create_timer(0.0, self._start, clock=steady)

    # ----------------------------------------------------------------------------------- lifecycle

    @logged_transition
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model, warm it up, and create the publishers."""
        self._failure = ''
        self._settings = read_settings(self)
        self._cameras = self._make_cameras()
        began = time.monotonic()
        try:
            max_message_events()  # an impossible value is no matter of the first publisher
            with _SIGNALS.interruptible():
                detectors, untrained = load_detectors(self._settings)
            for camera, detector in zip(self._cameras, detectors):
                camera.configure(self._settings, detector, untrained)
        # RuntimeError: of torch, memory
        except (SastError, RuntimeError, OSError, ModuleNotFoundError) as error:
            self._release()
            reason = format_error(error) if is_expected(error) else escape_controls(str(error))
            self.fail(f'cannot configure: {reason}')
            return FAILURE
        if untrained:
            self.get_logger().warning(
                f'{self._settings.model.path} has random, untrained weights: its detections are '
                'meaningless; set model.path to default or to a .safetensors file made by '
                '"sast-ros convert"'
            )
        self._configurations += 1
        engine, self._config = detectors[0].detector.engine, detectors[0].detector.config
        self._most_together = engine.most_together
        self.get_logger().info(
            f'{self._config.name} is ready after {time.monotonic() - began:.1f} s, run by {engine}'
        )
        return SUCCESS

    @logged_transition
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker, publish the labels, and subscribe to the events."""
        super().on_activate(state)
        self._failure = ''
        queues = WindowQueues(len(self._cameras), self._settings.overload)
        for camera, queue in zip(self._cameras, queues.queues):
            camera.activate(queue, self._configurations)
        self._heap = HeapWatch()
        self._worker = Worker(
            queues,
            self._most_together,
            self._prepare_worker,
            self._process,
            self._on_worker_failure,
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
        self._page.close()
        self._stop()
        self.destroy_node()

    # ------------------------------------------------------------ windows, in the worker's thread

    def _prepare_worker(self) -> None:
        """Set the number of threads here, because OpenMP keeps it per calling thread."""
        set_threads(self._settings.model.threads)

    def _process(self, windows: Sequence[tuple[int, EventWindow]]) -> None:
        """Detect in windows of some cameras; without one of which all fail, the others go on."""
        turn = [(self._cameras[number], window) for number, window in windows]
        for camera, error in process_windows(turn):
            others = [other for other in self._cameras if other is not camera]
            if not self.context.ok() or all(other.failure for other in others):
                raise error
            camera.give_up(_stopped(error))
            self._worker_failed.trigger()

    def _on_worker_failure(self, error: Exception) -> None:
        """Report an unexpected error; the executor then deactivates the node."""
        if not self.context.ok():
            return  # the process exits, and publishing failed because of that
        self.fail(_stopped(error), error)
        self._worker_failed.trigger()

    # ---------------------------------------------------------------------------------- parameters

    def set_parameters_atomically(self, parameter_list: list[RosParameter]) -> SetParametersResult:
        """
        Set parameters, as services do; a number may have another type.

        Raises
        ------
        ParameterNotDeclaredException
            There is no such parameter. rclpy would name none: its check uses up what it iterates.

        """
        unknown = [each.name for each in parameter_list if not self.has_parameter(each.name)]
        if unknown:
            raise ParameterNotDeclaredException(', '.join(map(with_advice, unknown)))
        return super().set_parameters_atomically(list(map(with_declared_type, parameter_list)))

    def _on_set_parameters(self, changes: list[RosParameter]) -> SetParametersResult:
        """Accept all changes of a request, or refuse all with a reason."""
        classes = self._config.classes if self._config else None
        sizes = {size for camera in self._cameras if (size := camera.sensor_size) is not None}
        configured = parameter_values(self) if self._config else None
        reason = refusal(changes, configured=configured, classes=classes, sizes=sizes)
        return SetParametersResult(successful=reason is None, reason=reason or '')

    def _after_set_parameters(self, changes: list[RosParameter]) -> None:
        """Hand accepted changes on."""
        self._settings = read_settings(self)
        names = {change.name for change in changes}
        for camera in self._cameras:
            camera.change_settings(self._settings, names)

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
        if lifecycle_state(self) != 'unconfigured':
            return
        active = self.trigger_configure() == SUCCESS and self.trigger_activate() == SUCCESS
        if self._settings.autostart_required and not active:
            raise StartError(f'the node ends, as autostart_required demands: {self._failure}')

    def _make_cameras(self) -> tuple[Camera, ...]:
        ids = self._track_ids
        return tuple(
            Camera(self, self._settings, ids.setdefault(name, itertools.count(1)), name)
            for name in self._settings.cameras
        )

    def _after_worker_failure(self) -> None:
        for camera in self._cameras:
            if camera.failure:
                camera.unsubscribe()
        if self._failure and lifecycle_state(self) == 'active':
            self.trigger_deactivate()

    def _stop(self) -> None:
        """End what on_activate began."""
        for camera in self._cameras:
            camera.unsubscribe()
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        for camera in self._cameras:
            camera.deactivate()

    def _release(self) -> None:
        """End what on_configure began."""
        for camera in self._cameras:
            camera.release()
        self._config = None

    def _publish_diagnostics(self) -> None:
        if self._worker is not None:
            self._heap.poll()
        self._page.poll()
        state, now = lifecycle_state(self), self.get_clock().now().nanoseconds
        status = [camera.status(state, self._failure) for camera in self._cameras]
        self._diagnostics.publish(DiagnosticArray(header=messages.header(now, ''), status=status))


def _stopped(error: Exception) -> str:
    return f'detection stopped: {escape_controls(str(error))}'


class _Signals:
    """
    SIGINT and SIGTERM end the process: where ``interruptible`` at once, else as rclpy does it.

    It shuts the context down, which the executor sees when it wakes next: a second later at most,
    for the diagnostics. An exception would become another error, or a crash, in what rclpy calls:
    the conversion of messages imports modules.
    """

    def __init__(self) -> None:
        self.came = False
        self._interrupts = False

    def take(self) -> None:
        """Be told of the signals, before rclpy installs handlers that then call this one."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, signum: int, frame: object) -> None:
        """Note the signal; further ones are ignored."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        self.came = True
        if self._interrupts:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let a signal raise ``KeyboardInterrupt``, even while a model is loaded."""
        self._interrupts = True
        try:
            if self.came:
                raise KeyboardInterrupt
            yield
        finally:
            self._interrupts = False


_SIGNALS = _Signals()


def main() -> int:
    """Run the node until SIGINT, SIGTERM or a shutdown of the context; return the exit code."""
    limit_spinning()  # torch is imported when the node is configured
    keep_heap()
    # The worker releases the interpreter lock at every operation of the network; it must get it
    # back immediately, not after 5 ms, when the executor is busy.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    _SIGNALS.take()
    node = None
    try:
        with _SIGNALS.interruptible():
            initialize()
            with ros_refusals():
                node = DetectorNode()
            executor = SingleThreadedExecutor()
            executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception as error:
        if _SIGNALS.came:  # what was under way found the context shut down
            return 0
        if not isinstance(error, (SastError, RCLError)):
            raise
        logger = node.get_logger() if node is not None else get_logger(NODE_NAME)
        logger.fatal(escape_controls(str(error)))
        return 1
    finally:
        if node is not None:
            node.close()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
