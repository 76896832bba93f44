"""Conduct the demonstration: start the processes, wait for conditions, collect, judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, ExitStack
from dataclasses import dataclass, field
import os
from pathlib import Path
import time
from typing import Any, TYPE_CHECKING

from sast_ros.demo.processes import Child
from sast_ros.errors import SastError

if TYPE_CHECKING:
    from diagnostic_msgs.msg import DiagnosticStatus
    from vision_msgs.msg import Detection2DArray

EVENTS_TOPIC = '/event_camera/events'
EVENTS_TYPE = 'event_camera_msgs/msg/EventPacket'
DETECTIONS_TOPIC = '/detections'
LABELS_TOPIC = '/label_info'
NODE_NAME = 'sast_detector'

#: Length of the node's windows, one following the other (its default).
WINDOW_US = 50_000

#: A good show: with a static camera people, riders and cars from 20 to 200 pixels pass, some in
#: front of others, and a bus stops for three seconds, during which it makes no events.
DRIVE_SEED = 51

#: The labels of the drive: the boxes of its objects at the end of every window.
LABELS_FILE = 'labels_bbox.npy'

#: What the camera published, as a recording.
EVENTS_FILE = 'events.mcap'

REPORT_FILE = 'report.html'

# An answer is lost where the node has found this process before it has found where answers go.
_ANSWER_PATIENCE_S = 2.0
_START_PATIENCE_S = 90.0  # a cold import of torch from a slow disk takes most of a minute
_SILENCE_PATIENCE_S = 15.0
_REPORT_PATIENCE_S = 3.0  # the node reports once a second


class DemoError(SastError, RuntimeError):
    """
    The demonstration could not be carried through.

    The text says which process stopped it, and what to read.
    """


@dataclass
class Catch:
    """
    Everything that this process has received.

    ``events``: serialised EventPackets; ``detections``: arrival time in ns of the wall clock and
    message, in order of arrival; ``diagnostics``: arrival time and status of the node;
    ``class_names``: from its label_info; ``camera``: what the camera process says it sent.
    """

    events: list[bytes] = field(default_factory=list)
    detections: list[tuple[int, Detection2DArray]] = field(default_factory=list)
    diagnostics: list[tuple[int, DiagnosticStatus]] = field(default_factory=list)
    class_names: tuple[str, ...] = ()
    camera: dict[str, Any] = field(default_factory=dict)


def run_demo(
    out: str | Path,
    seconds: float = 10.0,
    seed: int = DRIVE_SEED,
    motion: str = 'static',
    model: str = 'default',
    domain_id: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """
    Run the demonstration and write its results.

    The files are ``overlay.mp4``, ``report.html``, ``events.mcap``, ``detections.mcap``,
    ``detections.npy``, ``windows.npy``, ``labels_bbox.npy`` and ``summary.json``.

    Parameters
    ----------
    out:
        folder for the results and the logs of the processes; it is made if needed.
    seconds:
        length of the simulated drive.
    seed:
        seed of the simulated drive.
    motion:
        of its camera, one of ``sast_ros_training.simulation.motion.MOTIONS``.
    model:
        as ``model.path`` of the node.
    domain_id:
        ROS domain to use; by default one that follows from the process id and is not the user's
        own.
    progress:
        called with a sentence whenever a new step begins.

    Returns
    -------
    The summary, as written into ``summary.json``. ``complete`` is true if every window came back,
    in order.

    Raises
    ------
    DemoError: a process failed or fell silent, or ROS 2 is not there.

    """
    began = time.monotonic()
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    # Of an earlier run: without a summary the folder is incomplete
    (folder / 'summary.json').unlink(missing_ok=True)
    environment = _ros_environment(domain_id)
    with _environment(environment):
        catch = _drive(folder, seconds, seed, motion, model, progress)
    progress('drawing the overlay, judging the detections')
    # Imports torch: not while latencies are measured
    from sast_ros.demo.results import write_results

    return write_results(folder, catch, model, began)


def _ros_environment(domain_id: int | None) -> dict[str, str]:
    """Variables of a ROS domain that is neither the user's nor leaves this machine."""
    if domain_id is None:
        # 1 to 100: the ports of higher domains reach into the ephemeral range of Linux
        domain_id = 1 + os.getpid() % 100
        if str(domain_id) == os.environ.get('ROS_DOMAIN_ID', '0'):
            domain_id = 1 + domain_id % 100
    return {
        'ROS_DOMAIN_ID': str(domain_id),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'ROS_STATIC_PEERS': '',
    }


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _drive(
    folder: Path,
    seconds: float,
    seed: int,
    motion: str,
    model: str,
    progress: Callable[[str], None],
) -> Catch:
    """Run the three processes until every message has come back, and return what was received."""
    progress('starting the detector node, and simulating what the camera will see')
    node_arguments = ['--ros-args', '-r', f'events:={EVENTS_TOPIC}', '-p', 'autostart:=true']
    # A machine that is too slow shall show it in the latency, not in windows that were dropped.
    node_arguments += ['-p', f'model.path:={model}', '-p', 'overload.queue_windows:=1000']
    camera_arguments = [
        f'--topic={EVENTS_TOPIC}',
        f'--seconds={seconds}',
        f'--seed={seed}',
        f'--motion={motion}',
        f'--labels={folder / LABELS_FILE}',
        '--listeners=2',
    ]
    camera_arguments += [f'--patience={_START_PATIENCE_S}', f'--window-us={WINDOW_US}']
    environment = {**os.environ, 'PYTHONUNBUFFERED': '1'}
    with ExitStack() as stack:
        node = stack.enter_context(
            Child(
                'the detector node',
                'sast_ros.ros.detector_node',
                node_arguments,
                environment,
                folder / 'node.log',
            )
        )
        camera = stack.enter_context(
            Child(
                'the simulated camera',
                'sast_ros.demo.camera',
                camera_arguments,
                environment,
                folder / 'camera.log',
            )
        )
        listener = stack.enter_context(_Listener([node, camera]))
        listener.wait_for_node(node)
        listener.wait_for_camera(camera)
        progress(
            f'driving for {seconds:g} s: camera -> {EVENTS_TOPIC} -> {NODE_NAME} -> '
            f'{DETECTIONS_TOPIC}'
        )
        camera.tell()
        listener.wait_for_end_of_drive(camera, seconds)
        waiting = listener.catch.camera['windows'] - len(listener.catch.detections)
        if waiting > 1:
            progress(
                f'waiting for {waiting} windows: the node is slower than real time on this machine'
            )
        listener.wait_for_all()
        camera.tell()
        return listener.catch


class _Listener:
    """
    The ROS node of this process.

    It only collects; decoding and drawing come when nothing is timed any more.
    """

    def __init__(self, children: list[Child]) -> None:
        self.catch = Catch()
        self._children = children

    def __enter__(self) -> _Listener:
        try:
            from diagnostic_msgs.msg import DiagnosticArray
            from event_camera_msgs.msg import EventPacket
            import rclpy
            from rclpy.executors import SingleThreadedExecutor
            from rclpy.node import Node
            from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
            from vision_msgs.msg import Detection2DArray, LabelInfo
        except ImportError as error:
            raise DemoError(
                f'ROS 2 or its message packages are not installed ({error}); run "make setup", or '
                'source ROS 2 and build the repository with colcon; "sast-ros doctor" tells more'
            ) from error
        deep = QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=5000, reliability=ReliabilityPolicy.RELIABLE
        )
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = Node('sast_demo', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        catch = self.catch
        self._node.create_subscription(
            EventPacket, EVENTS_TOPIC, catch.events.append, deep, raw=True
        )
        self._detections = self._node.create_subscription(
            Detection2DArray,
            DETECTIONS_TOPIC,
            lambda array: catch.detections.append((time.time_ns(), array)),
            deep,
        )
        self._node.create_subscription(
            DiagnosticArray, '/diagnostics', self._keep_diagnostics, 100
        )
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._node.create_subscription(LabelInfo, LABELS_TOPIC, self._keep_labels, latched)
        return self

    def __exit__(self, *exception: object) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    def wait_for_node(self, node: Child) -> None:
        """Wait until the node is active and its detections would reach this process."""
        from diagnostic_msgs.msg import DiagnosticStatus
        from lifecycle_msgs.msg import State
        from lifecycle_msgs.srv import GetState

        client = self._node.create_client(GetState, f'/{NODE_NAME}/get_state')
        limit = time.monotonic() + _START_PATIENCE_S
        state = 'not there'
        request, asked = None, 0.0
        while (
            state != 'active'
            or self._detections.get_publisher_count() == 0
            or not self.catch.class_names
        ):
            self._turn(limit, f'{node.name} is {state} after {_START_PATIENCE_S:.0f} s', node)
            for _, status in self.catch.diagnostics[-1:]:
                if status.level == DiagnosticStatus.ERROR:
                    raise DemoError(f'{node.name} cannot start: {status.message}')
            if request is None and client.service_is_ready():
                request, asked = client.call_async(GetState.Request()), time.monotonic()
            elif request is not None and request.done():
                current = request.result().current_state
                state = 'active' if current.id == State.PRIMARY_STATE_ACTIVE else current.label
                request = None
            elif request is not None and time.monotonic() > asked + _ANSWER_PATIENCE_S:
                client.remove_pending_request(request)
                request = None

    def wait_for_camera(self, camera: Child) -> None:
        """Wait until the camera has simulated its drive and sees both listeners."""
        limit = time.monotonic() + _START_PATIENCE_S
        while (message := camera.message()) is None or message['state'] == 'simulating':
            if message is not None:
                limit = time.monotonic() + _START_PATIENCE_S  # it is at work
                continue
            self._turn(limit, f'{camera.name} said nothing for {_START_PATIENCE_S:.0f} s', camera)
        if message['state'] != 'ready':
            raise DemoError(f'{camera.name} gave up: {message["reason"]}')

    def wait_for_end_of_drive(self, camera: Child, seconds: float) -> None:
        """Wait until the camera has published everything."""
        limit = time.monotonic() + 2 * seconds + _SILENCE_PATIENCE_S
        while not self.catch.camera:
            self._turn(
                limit,
                f'{camera.name} did not finish in {2 * seconds + _SILENCE_PATIENCE_S:.0f} s',
                camera,
            )
            self.catch.camera = camera.message() or {}

    def wait_for_all(self) -> None:
        """Wait for the messages of the camera and for the detections of its last window."""
        catch = self.catch
        limit = time.monotonic() + _SILENCE_PATIENCE_S
        received = 0
        while time.monotonic() < limit:
            if (
                len(catch.events) >= catch.camera['messages']
                and len(catch.detections) >= catch.camera['windows']
            ):
                break
            self._check_children()
            self._spin()
            if received < len(catch.events) + len(catch.detections):
                received = len(catch.events) + len(catch.detections)
                limit = time.monotonic() + _SILENCE_PATIENCE_S
        # What is missing is not an error of the demonstration but its result: the table says so.
        last = time.time_ns()
        limit = time.monotonic() + _REPORT_PATIENCE_S
        while time.monotonic() < limit and not any(at > last for at, _ in catch.diagnostics):
            self._spin()

    def _turn(self, limit: float, complaint: str, child: Child) -> None:
        """Handle what has arrived; give up if a process has ended or the time is over."""
        self._spin()
        self._check_children()
        if time.monotonic() > limit:
            raise DemoError(f'{complaint}{child.last_words()}')

    def _check_children(self) -> None:
        for process in self._children:
            failure = process.failure()
            if failure is not None:
                raise DemoError(failure)

    def _spin(self) -> None:
        self._executor.spin_once(timeout_sec=0.05)

    def _keep_labels(self, labels: Any) -> None:
        self.catch.class_names = tuple(entry.class_name for entry in labels.class_map)

    def _keep_diagnostics(self, array: Any) -> None:
        for status in array.status:
            if NODE_NAME in status.name:
                self.catch.diagnostics.append((time.time_ns(), status))
