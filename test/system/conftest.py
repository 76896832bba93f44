# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Real processes on real topics: publishers, the node, and this process, which manages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from sast_ros.bench.records import write_records

pytest.importorskip('rclpy', reason='ROS 2 (rclpy) is not installed')

PATIENCE_S = 60.0
ANSWER_PATIENCE_S = 15.0
#: Model of nodes whose boxes do not matter.
UNTRAINED = 'gen1-tiny'
#: Parameters of nodes unless a test names others: windows become as old as they need to on a busy
#: machine.
PARAMETERS_OF_TESTS = {'model__path': UNTRAINED, 'overload__max_age_ms': 3_600_000.0}
PUBLISHER = 'sast_ros.bench.publisher'


class NodeProcess:
    """The detector node as its own process; what it logs goes into a file."""

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        *arguments: str,
        program: Sequence[str] = (),
    ) -> None:
        self.path = folder / f'node_{len(list(folder.glob("node_*")))}.log'
        self._stream = self.path.open('wb')
        program = program or ('-m', 'sast_ros.ros.detector_node')
        command = [sys.executable, *program, '--ros-args', *arguments]
        self.process = subprocess.Popen(
            command, env=environment, stdout=self._stream, stderr=subprocess.STDOUT
        )

    @property
    def log(self) -> str:
        """Everything logged so far."""
        return self.path.read_text(errors='replace')

    def end(self, request: int = signal.SIGINT, patience: float = PATIENCE_S) -> int:
        """Ask the process to end and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(request)
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self._stream.close()


class PublisherProcess:
    """A process that publishes serialised messages; see sast_ros/bench/publisher.py."""

    def __init__(
        self, folder: Path, environment: dict[str, str], topic: str, type_name: str, *options: str
    ) -> None:
        self._file = folder / f'messages_{len(list(folder.glob("messages_*")))}'
        self._command = [
            sys.executable,
            '-m',
            PUBLISHER,
            '--topic',
            topic,
            '--type',
            type_name,
            *options,
        ]
        self._environment = environment
        self.process: subprocess.Popen[str] | None = None

    def start(
        self, messages: Sequence[bytes], times_ns: Sequence[int] | None = None
    ) -> PublisherProcess:
        """Advertise the topic; nothing is published before ``go``."""
        write_records(self._file, zip(times_ns or [0] * len(messages), messages))
        command = [*self._command, '--file', str(self._file)]
        self.process = subprocess.Popen(
            command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._hear('here')
        return self

    def _hear(self, word: str) -> list[str]:
        """Return the line that begins with a word; the middleware writes lines of its own."""
        for line in self.process.stdout:
            if line.split()[:1] == [word]:
                return line.split()
        raise AssertionError(f'the publisher has ended without saying {word!r}')

    def go(self) -> None:
        """Publish as soon as there are subscribers."""
        self.process.stdin.write('\n')
        self.process.stdin.flush()

    def finish(self) -> None:
        """Wait until everything has been acknowledged."""
        self._hear('begin')
        assert self._hear('done')[1] == 'True'

    def end(self) -> None:
        """Leave the graph."""
        if self.process is not None:
            self.process.stdin.close()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
            finally:
                self.process.stdout.close()
                self.process = None


class Observer:
    """This process on the graph: hears what the node says, and does what a manager does."""

    def __init__(self, node_name: str) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from lifecycle_msgs.msg import TransitionEvent
        from lifecycle_msgs.srv import ChangeState, GetState
        from rcl_interfaces.srv import (
            DescribeParameters,
            GetParameters,
            SetParameters,
            SetParametersAtomically,
        )
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from sast_ros.ros.own_node import own_node
        from vision_msgs.msg import Detection2DArray, LabelInfo, VisionInfo

        self._graph = ExitStack()
        self.node, self.executor = self._graph.enter_context(own_node('observer'))
        self.detections: list[Any] = []
        self.labels: list[Any] = []
        self.infos: list[Any] = []
        self.diagnostics: list[Any] = []
        self.transitions: list[tuple[str, str]] = []
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.subscribe(Detection2DArray, 'detections', self.detections.append, 5000)
        self.subscribe(LabelInfo, 'label_info', self.labels.append, latched)
        self.subscribe(VisionInfo, 'vision_info', self.infos.append, latched)
        self.subscribe(
            DiagnosticArray,
            '/diagnostics',
            lambda array: self.diagnostics.extend(array.status),
            100,
        )
        self.subscribe(
            TransitionEvent,
            f'{node_name}/transition_event',
            lambda event: self.transitions.append(
                (event.start_state.label, event.goal_state.label)
            ),
            100,
        )
        create = self.node.create_client
        self._change_state = create(ChangeState, f'{node_name}/change_state')
        self._get_state = create(GetState, f'{node_name}/get_state')
        self._set = create(SetParameters, f'{node_name}/set_parameters')
        self._set_atomically = create(
            SetParametersAtomically, f'{node_name}/set_parameters_atomically'
        )
        self._get = create(GetParameters, f'{node_name}/get_parameters')
        self._describe = create(DescribeParameters, f'{node_name}/describe_parameters')

    def subscribe(
        self, message_class: type, topic: str, keep: Callable[[Any], None], qos: Any
    ) -> Any:
        """Hear a topic."""
        return self.node.create_subscription(message_class, topic, keep, qos)

    def wait_for(
        self, condition: Callable[[], object], patience: float = PATIENCE_S, what: str = ''
    ) -> None:
        """Handle what arrives until the condition holds."""
        limit = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < limit, f'waited {patience:.0f} s in vain {what}'
            self.executor.spin_once(timeout_sec=0.05)

    def call(self, client: Any, request: Any, once: bool = False) -> Any:
        """
        Call a service and return its answer.

        A service may match before the way back does, and its answer is lost then: unless the
        request may be made only ``once``, it is made again.
        """
        self.wait_for(client.service_is_ready, what=f'for the service {client.srv_name}')
        future, asked = client.call_async(request), time.monotonic()

        def answered() -> bool:
            nonlocal future, asked
            if not once and not future.done() and time.monotonic() > asked + ANSWER_PATIENCE_S:
                client.remove_pending_request(future)
                future, asked = client.call_async(request), time.monotonic()
            return future.done()

        self.wait_for(answered, what=f'for an answer of {client.srv_name}')
        return future.result()

    def change_state(self, transition: str) -> bool:
        """Request a lifecycle transition by its label."""
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        numbers = {
            'configure': Transition.TRANSITION_CONFIGURE,
            'activate': Transition.TRANSITION_ACTIVATE,
            'deactivate': Transition.TRANSITION_DEACTIVATE,
            'cleanup': Transition.TRANSITION_CLEANUP,
            'unconfigured_shutdown': Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
            'inactive_shutdown': Transition.TRANSITION_INACTIVE_SHUTDOWN,
            'active_shutdown': Transition.TRANSITION_ACTIVE_SHUTDOWN,
        }
        request = ChangeState.Request(transition=Transition(id=numbers[transition]))
        return self.call(self._change_state, request, once=True).success

    def state(self) -> str:
        """Label of the node's lifecycle state."""
        from lifecycle_msgs.srv import GetState

        return self.call(self._get_state, GetState.Request()).current_state.label

    def wait_for_state(self, label: str) -> None:
        """Wait until the node is in the state."""
        limit = time.monotonic() + PATIENCE_S
        while (state := self.state()) != label:
            assert time.monotonic() < limit, f'the node is {state}, not {label}'

    def set_parameters(self, **values: Any) -> list[str]:
        """Set parameters (``window__stride_ms``: ``window.stride_ms``); return refusals."""
        from rcl_interfaces.srv import SetParameters

        results = self.call(
            self._set, SetParameters.Request(parameters=_parameters(values))
        ).results
        return [result.reason for result in results if not result.successful]

    def set_atomically(self, **values: Any) -> str:
        """Set parameters in one step; return the reason of refusal, empty if there is none."""
        from rcl_interfaces.srv import SetParametersAtomically

        result = self.call(
            self._set_atomically, SetParametersAtomically.Request(parameters=_parameters(values))
        ).result
        return '' if result.successful else result.reason

    def parameter(self, name: str) -> Any:
        """Value of a parameter of the node."""
        from rcl_interfaces.srv import GetParameters
        from rclpy.parameter import parameter_value_to_python

        return parameter_value_to_python(
            self.call(self._get, GetParameters.Request(names=[name])).values[0]
        )

    def describe(self, name: str) -> Any:
        """Descriptor of a parameter of the node."""
        from rcl_interfaces.srv import DescribeParameters

        return self.call(self._describe, DescribeParameters.Request(names=[name])).descriptors[0]

    def reset_state(self, name: str = 'reset_state') -> Any:
        """Call the service ``reset_state``."""
        from std_srvs.srv import Trigger

        client = self.node.create_client(Trigger, name)
        return self.call(client, Trigger.Request(), once=True)

    def status(self, condition: Callable[[Any, dict[str, str]], object]) -> dict[str, str]:
        """Wait for a new diagnostic status of which the condition holds, and return its values."""
        self.diagnostics.clear()
        found: list[dict[str, str]] = []

        def look() -> bool:
            for status in self.diagnostics:
                values = {entry.key: entry.value for entry in status.values}
                if 'sast_detector' in status.name and condition(status, values):
                    found.append(
                        {'message': status.message, 'hardware_id': status.hardware_id, **values}
                    )
                    return True
            return False

        self.wait_for(look, what=f'for a status; the last was {self.diagnostics[-1:]}')
        return found[0]

    def forget(self) -> None:
        """Empty the lists of what has been heard."""
        for heard in (
            self.detections,
            self.labels,
            self.infos,
            self.diagnostics,
            self.transitions,
        ):
            heard.clear()

    def close(self) -> None:
        """Leave the graph."""
        self._graph.close()


def _parameters(values: dict[str, Any]) -> list[Any]:
    from rclpy.parameter import Parameter

    return [
        Parameter(name.replace('__', '.'), value=value).to_parameter_msg()
        for name, value in values.items()
    ]


class Bench:
    """Everything that one system test needs, in a ROS domain of its own."""

    def __init__(self, folder: Path, domain: str) -> None:
        self.folder = folder
        self.program: Sequence[str] = ()
        self.environment = {
            **os.environ,
            'ROS_DOMAIN_ID': domain,
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
            'PYTHONUNBUFFERED': '1',
        }
        self.nodes: list[NodeProcess] = []
        self.publishers: list[PublisherProcess] = []
        self._observer: Observer | None = None

    @property
    def observer(self) -> Observer:
        """The listener and manager; it joins the graph at the first use."""
        if self._observer is None:
            self._observer = Observer('sast_detector')
        return self._observer

    def start_node(self, *arguments: str, **parameters: object) -> NodeProcess:
        """
        Start the node with ROS arguments and parameters (``model__path``).

        Unless others are named, they are ``PARAMETERS_OF_TESTS``.
        """
        return self._start(arguments, {**PARAMETERS_OF_TESTS, **parameters})

    def start_node_with(self, file: Path, **parameters: object) -> NodeProcess:
        """Start the node with a parameter file, and further parameters."""
        return self._start(('--params-file', str(file)), parameters)

    def _start(self, arguments: tuple[str, ...], parameters: dict[str, object]) -> NodeProcess:
        for name, value in parameters.items():
            arguments += ('-p', f'{name.replace("__", ".")}:={value}')
        self.nodes.append(
            NodeProcess(self.folder, self.environment, *arguments, program=self.program)
        )
        return self.nodes[-1]

    def publisher(self, type_name: str, *options: str, topic: str = 'events') -> PublisherProcess:
        """Prepare a publisher of the type."""
        self.publishers.append(
            PublisherProcess(self.folder, self.environment, topic, type_name, *options)
        )
        return self.publishers[-1]

    def publish(
        self, type_name: str, messages: Sequence[bytes], *options: str
    ) -> PublisherProcess:
        """Publish messages to whoever subscribes, from a process that stays until ``end``."""
        publisher = self.publisher(type_name, *options).start(messages)
        publisher.go()
        return publisher

    def end_publishers(self) -> None:
        """End all publishers."""
        while self.publishers:
            self.publishers.pop().end()

    def close(self) -> None:
        """End everything."""
        self.end_publishers()
        for node in self.nodes:
            node.end()
        if self._observer is not None:
            self._observer.close()


def _open_bench(
    folder: Path, next_domain: Callable[[], AbstractContextManager[str]]
) -> Iterator[Bench]:
    with next_domain() as domain, pytest.MonkeyPatch.context() as patch:
        patch.setenv('ROS_DOMAIN_ID', domain)
        patch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        bench = Bench(folder, domain)
        try:
            yield bench
        finally:
            bench.close()


@pytest.fixture
def bench(
    tmp_path: Path, next_domain: Callable[[], AbstractContextManager[str]]
) -> Iterator[Bench]:
    """Bench for one test, without a node."""
    yield from _open_bench(tmp_path, next_domain)


@pytest.fixture(scope='module')
def shared_bench(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    next_domain: Callable[[], AbstractContextManager[str]],
) -> Iterator[Bench]:
    """
    Bench with one unconfigured node for a module, because starting one takes seconds.

    The module may name another ``PROGRAM`` that runs the node.
    """
    for bench in _open_bench(tmp_path_factory.mktemp('bench'), next_domain):
        bench.program = getattr(request.module, 'PROGRAM', ())
        bench.start_node(autostart='false')
        yield bench


@pytest.fixture
def node(shared_bench: Bench) -> Iterator[Bench]:
    """Hand out the module's bench; leave its node unconfigured, with default parameters."""
    from sast_ros.ros.parameters import PARAMETERS

    yield shared_bench
    observer = shared_bench.observer
    state = observer.state()
    for label, transition in (('active', 'deactivate'), ('inactive', 'cleanup')):
        if state == label:
            assert observer.change_state(transition)
            state = observer.state()
    shared_bench.end_publishers()
    # The goodbye of a process may be lost; it counts as gone when its lease has run out
    graph = observer.node
    observer.wait_for(lambda: not graph.get_publishers_info_by_topic('events'))
    defaults = {
        p.name.replace('.', '__'): p.default for p in PARAMETERS.values() if p.when != 'start'
    }
    assert observer.set_parameters(**{**defaults, **PARAMETERS_OF_TESTS}) == []
    observer.forget()
