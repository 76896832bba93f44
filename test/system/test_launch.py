# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The launch files, under the real launch and launch_ros.

Skips where they are absent: there are no wheels of them, only ROS installations have them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
import os
from pathlib import Path
import re
import shutil
import signal
import subprocess
import sys
import time

from bags.recordings import event_messages, EVENT_PACKET, TOPIC, write_recording
import pytest
import sast_ros
from workspace import colcon_build, without_coverage
import yaml

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
# Not `launch` itself: the folder launch/ of this repository passes for a package of that name.
pytest.importorskip('launch.actions', reason='launch is not installed: there is no wheel of it')
pytest.importorskip(
    'launch_ros.actions', reason='launch_ros is not installed: there is no wheel of it'
)

CLEAN = 'process has finished cleanly'

# `ros2 launch` needs ros2cli; this is what it does with a file and arguments.
# Noninteractive: launch passes SIGINT on to its processes. Otherwise it takes for granted that a
# terminal has interrupted them too, and sends them SIGTERM after 5 s.
PROGRAM = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

arguments = [argument.split(':=') for argument in sys.argv[2:]]
service = LaunchService(noninteractive=True)
source = PythonLaunchDescriptionSource(sys.argv[1])
included = IncludeLaunchDescription(source, launch_arguments=arguments)
service.include_launch_description(LaunchDescription([included]))
sys.exit(service.run())
"""


@pytest.fixture(scope='module')
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Installation of this repository in a colcon workspace."""
    return colcon_build(tmp_path_factory.mktemp('workspace'))


@pytest.fixture
def observer(ros_domain) -> Iterator[object]:
    """Node of the test itself, spun by ``wait_until``."""
    from sast_ros.ros.own_node import own_node

    with own_node('observer') as (node, _):
        yield node


def installed(prefix: Path, log: Path) -> dict[str, str]:
    """Return the environment of a process that uses the installation."""
    environment = without_coverage()
    packages = next(prefix.glob('lib/python3*/site-packages'))
    for name, path in (('AMENT_PREFIX_PATH', prefix), ('PYTHONPATH', packages)):
        environment[name] = ':'.join(filter(None, [str(path), environment.get(name)]))
    environment['ROS_LOG_DIR'] = str(log.parent / 'ros_log')
    return environment


def start(
    prefix: Path, log: Path, *arguments: str, file_name: str | Path = 'detector'
) -> subprocess.Popen:
    """Launch an installed file."""
    environment = installed(prefix, log)
    folder = prefix / 'share' / 'sast_ros' / 'launch'
    file = folder / f'{file_name}.launch.py'  # a path of its own stays that
    with log.open('w') as output:
        return subprocess.Popen(
            [sys.executable, '-c', PROGRAM, str(file), *arguments],
            cwd=log.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@contextmanager
def launched(
    prefix: Path, log: Path, *arguments: str, file_name: str | Path = 'detector', last: str = CLEAN
) -> Iterator[subprocess.Popen]:
    """Launch an installed file; at the end interrupt it as Ctrl-C does, insisting on exit 0."""
    process = start(prefix, log, *arguments, file_name=file_name)
    try:
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0, log.read_text()
    finally:
        if process.poll() is None:  # a kill would leave the nodes behind
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    assert last in log.read_text(), log.read_text()


def require_end(process: subprocess.Popen, log: Path, reason: str) -> None:
    """Insist on a launch that ends by itself with exit code 1, and on why."""
    try:
        assert process.wait(timeout=60) == 1
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
    assert re.search(reason, log.read_text()), log.read_text()


@pytest.fixture
def patient(tmp_path: Path) -> str:
    """Argument for a node whose windows become as old as they need to on a busy machine."""
    file = tmp_path / 'patient.yaml'
    file.write_text('/**: {ros__parameters: {overload.max_age_ms: 3600000.0}}\n')
    return f'params_file:={file}'


def wait_until(
    node, condition: Callable[[], bool], what: str, log: Path, seconds: float = 90.0
) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, (
            f'{what} did not happen within {seconds:g} s\n{log.read_text()}'
        )
        node.executor.spin_once(timeout_sec=0.05)


def call(node, kind, name: str, request, log: Path):
    client = node.create_client(kind, name)
    try:
        wait_until(node, client.service_is_ready, f'service {name}', log)
        future = client.call_async(request)
        wait_until(node, future.done, f'answer of {name}', log)
        return future.result()
    finally:
        node.destroy_client(client)


def state(node, name: str, log: Path) -> str:
    from lifecycle_msgs.srv import GetState

    return call(node, GetState, f'{name}/get_state', GetState.Request(), log).current_state.label


def test_launch_file_brings_the_node_up_with_its_arguments(prefix, observer, tmp_path):
    from event_camera_msgs.msg import EventPacket
    from rcl_interfaces.srv import GetParameters
    from sensor_msgs.msg import CameraInfo

    log = tmp_path / 'launch.txt'
    observer.create_publisher(EventPacket, '/dvs/events', 10)
    arguments = [
        'events:=/dvs/events',
        'detections:=objects',
        'namespace:=camera',
        'model:=gen1-tiny',
        'device:=cpu',
    ]
    with launched(prefix, log, *arguments):
        name = '/camera/sast_detector'
        wait_until(observer, lambda: state(observer, name, log) == 'active', 'activation', log)
        wait_until(
            observer, lambda: observer.count_subscribers('/dvs/events') == 1, 'subscription', log
        )
        wait_until(
            observer, lambda: observer.count_publishers('/camera/objects') == 1, 'publisher', log
        )
        # The calibration comes from beside the events, and goes beside the detections
        info = observer.create_publisher(CameraInfo, '/dvs/camera_info', 1)
        wait_until(observer, lambda: info.get_subscription_count() == 1, 'camera_info', log)
        assert observer.count_publishers('/camera/objects/camera_info') == 1
        request = GetParameters.Request(
            names=['model.path', 'model.device', 'autostart', 'use_sim_time']
        )
        values = call(observer, GetParameters, f'{name}/get_parameters', request, log).values
        assert [values[0].string_value, values[1].string_value] == ['gen1-tiny', 'cpu']
        assert [values[2].bool_value, values[3].bool_value] == [True, False]


SECTIONS = """
/**: {ros__parameters: {use_sim_time: true, model.device: cpu}}
sast_detector: {ros__parameters: {autostart: false, model.path: gen1-small, window.stride_ms: 25}}
"""


def parameters_of(observer, log: Path, *names: str) -> list[object]:
    from rcl_interfaces.srv import GetParameters
    from rclpy.parameter import parameter_value_to_python

    request = GetParameters.Request(names=names)
    values = call(observer, GetParameters, 'sast_detector/get_parameters', request, log).values
    return [parameter_value_to_python(value) for value in values]


def test_arguments_override_the_parameter_file_and_nothing_else_does(prefix, observer, tmp_path):
    log, file = tmp_path / 'launch.txt', tmp_path / 'own.yaml'
    file.write_text(SECTIONS)
    names = ('use_sim_time', 'autostart', 'model.path', 'window.stride_ms', 'cameras')
    with launched(prefix, log, f'params_file:={file}'):
        found = parameters_of(observer, log, *names)
        assert found == [True, False, 'gen1-small', 25.0, ['']]
        assert state(observer, 'sast_detector', log) == 'unconfigured'
    arguments = ['model:=gen1-tiny', 'use_sim_time:=false', 'cameras:=[left, right]']
    with launched(prefix, log, f'params_file:={file}', *arguments):
        found = parameters_of(observer, log, *names)
        assert found == [False, False, 'gen1-tiny', 25.0, ['left', 'right']]


def test_stereo_has_two_cameras_in_one_node(prefix, observer, tmp_path, patient):
    from event_camera_msgs.msg import EventPacket
    from sensor_msgs.msg import CameraInfo
    from vision_msgs.msg import Detection2DArray

    log = tmp_path / 'launch.txt'
    messages = event_messages(EVENT_PACKET, messages=60, period_ns=10_000_000)
    detections = {'left': [], 'right': []}
    for name, kept in detections.items():
        topic = f'/car/{name}/detections'
        observer.create_subscription(Detection2DArray, topic, kept.append, 100)
    # The calibration comes from beside the events
    infos = [
        observer.create_publisher(CameraInfo, topic, 1)
        for topic in ('/car/left/camera_info', '/cam_1/camera_info')
    ]
    publishers = [
        observer.create_publisher(EventPacket, topic, 100)
        for topic in ('/car/left/events', '/cam_1/events')
    ]
    arguments = ['namespace:=car', 'right_events:=/cam_1/events', 'model:=gen1-tiny', patient]
    with launched(prefix, log, *arguments, file_name='stereo'):
        wait_until(
            observer,
            lambda: all(each.get_subscription_count() for each in [*publishers, *infos]),
            'subscriptions',
            log,
        )
        assert state(observer, '/car/sast_detector', log) == 'active'
        assert log.read_text().count('process started') == 1
        for publisher in publishers:
            for _, message in messages:
                publisher.publish(message)
        wait_until(
            observer,
            lambda: all(len(kept) == 11 for kept in detections.values()),
            'all detections',
            log,
        )


def test_player_and_detector_of_the_demo_meet_below_namespace_and_name(
    prefix, observer, tmp_path, patient
):
    from vision_msgs.msg import Detection2DArray

    log = tmp_path / 'launch.txt'
    messages = event_messages(EVENT_PACKET, messages=60, period_ns=10_000_000)
    bag = write_recording(tmp_path, 'mcap', {TOPIC: (EVENT_PACKET, messages)})
    detections = []
    observer.create_subscription(
        Detection2DArray, '/robot/left/detections', detections.append, 100
    )
    file = Path(patient.partition(':=')[2])
    settings = yaml.safe_load(file.read_text())
    settings['/**']['ros__parameters']['model.path'] = 'gen1-tiny'  # the file's, not a default
    file.write_text(yaml.safe_dump(settings))
    arguments = [f'recording:={bag}', 'loop:=true', patient]
    arguments += ['events:=events', 'namespace:=robot', 'name:=left']
    with launched(prefix, log, *arguments, file_name='demo'):
        wait_until(observer, lambda: bool(detections), 'detections', log)
    assert 'gen1-tiny has random, untrained weights' in log.read_text()


def test_demo_plays_a_recording_to_the_detector(prefix, observer, tmp_path, patient):
    from event_camera_msgs.msg import EventPacket
    from vision_msgs.msg import Detection2DArray

    log = tmp_path / 'launch.txt'
    messages = event_messages(EVENT_PACKET, messages=60, period_ns=10_000_000)
    bag = write_recording(tmp_path, 'mcap', {TOPIC: (EVENT_PACKET, messages)})
    events, detections = [], []
    observer.create_subscription(EventPacket, '/left/events', events.append, 100)
    observer.create_subscription(Detection2DArray, '/objects', detections.append, 100)
    arguments = [f'recording:={bag}', 'subscriptions:=2', 'model:=gen1-tiny']
    arguments += ['events:=/left/events', 'detections:=/objects', patient]
    with launched(prefix, log, *arguments, file_name='demo'):
        wait_until(observer, lambda: len(events) == 60, 'all messages', log)
        wait_until(observer, lambda: len(detections) == 11, 'all detections', log)
        wait_until(observer, lambda: 'sent 60 messages' in log.read_text(), 'end', log)
    events.clear()
    with launched(prefix, log, *arguments, 'loop:=true', file_name='demo'):
        wait_until(observer, lambda: len(events) > 120, 'the third time', log)


def commands_of(prefix: Path, **arguments: str) -> list[list[str]]:
    """Return the commands of rosbag2 that replay.launch.py would run, as launch makes them."""
    from launch import LaunchContext
    from launch.actions import ExecuteProcess
    from launch.launch_description_sources import PythonLaunchDescriptionSource
    from launch.utilities import perform_substitutions

    context = LaunchContext()
    context.launch_configurations.update(arguments)
    file = prefix / 'share' / 'sast_ros' / 'launch' / 'replay.launch.py'
    description = PythonLaunchDescriptionSource(str(file)).get_launch_description(context)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('AMENT_PREFIX_PATH', str(prefix))
        for declared in description.get_launch_arguments():
            if declared.default_value is not None:
                default = perform_substitutions(context, declared.default_value)
                context.launch_configurations.setdefault(declared.name, default)
    return [
        [perform_substitutions(context, word) for word in action.cmd]
        for action in description.entities
        if isinstance(action, ExecuteProcess)
        and (action.condition is None or action.condition.evaluate(context))
    ]


def test_replay_plays_once_or_in_a_loop_and_records_where_that_is_wanted(prefix):
    play = ['ros2', 'bag', 'play', '/my bag', '--clock', '--rate', '0.5', '--delay', '5.0']
    play += ['--topics', '/dvs/events']
    arguments = {'bag': '/my bag', 'rate': '0.5', 'events': '/dvs/events'}
    assert commands_of(prefix, **arguments) == [play]
    assert commands_of(prefix, **arguments, loop='true') == [[*play, '--loop']]
    record, once = commands_of(prefix, **arguments, record="/rob's bag")
    assert once == play
    assert record[:5] == ['ros2', 'bag', 'record', '--output', "/rob's bag"]
    assert '--use-sim-time' in record


@pytest.mark.parametrize('names', [('/dvs/events', '/detections'), ('dvs/events', 'detections')])
def test_replay_records_events_detections_and_classes_and_nothing_else(prefix, names):
    arguments = {'bag': '/bag', 'record': '/new', 'events': names[0], 'detections': names[1]}
    record, _ = commands_of(prefix, **arguments)
    option, pattern = record[-2:]  # no positional topics: rosbag2 #2328
    assert option == '--regex'
    others = ['/tf', '/label_info/more', '/left/detections', '/dvs/events_2', '/dvs/x/events']
    wanted = ['/dvs/events', '/detections', '/label_info']
    assert [name for name in [*wanted, *others] if re.search(pattern, name)] == wanted


@pytest.mark.parametrize(
    ('given', 'wanted', 'others'),
    [
        ({}, '/label_info', '/left/label_info'),
        ({'name': 'left'}, '/left/label_info', '/right/label_info'),
        ({'namespace': 'robot'}, '/robot/label_info', '/left/label_info'),
        ({'namespace': '/robot', 'name': 'left'}, '/robot/left/label_info', '/car/label_info'),
        ({'namespace': 'robot', 'events': 'events'}, '/robot/events', '/left/events'),
        ({'namespace': 'robot', 'detections': 'found'}, '/robot/found', '/left/found'),
    ],
)
def test_replay_records_the_topics_of_a_detector_with_a_namespace_or_a_name(
    prefix, given, wanted, others
):
    record, _ = commands_of(prefix, bag='/bag', record='/new', **given)
    assert re.search(record[-1], wanted)
    assert not re.search(record[-1], others)


# In the place of `ros2 bag`: the verb that FAILING names ends at once, the others play on
ROS2 = """#!{python}
import os, signal, sys
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
if sys.argv[2] == os.environ['FAILING']:
    sys.exit('there is a folder of that name')
signal.pause()
"""


@pytest.mark.parametrize('failing', ['play', 'record', 'detector'])
def test_replay_ends_when_one_of_its_processes_fails(prefix, tmp_path, monkeypatch, failing):
    log, program = tmp_path / 'launch.txt', tmp_path / 'ros2'
    program.write_text(ROS2.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv('FAILING', failing)
    model = 'model:=/nowhere' if failing == 'detector' else 'model:=gen1-tiny'
    ended = 'detector' if failing == 'detector' else 'ros2'
    process = start(prefix, log, 'bag:=/bag', 'record:=/new', model, file_name='replay')
    require_end(process, log, rf'{ended}-\d+ ended with exit code 1')


@pytest.mark.parametrize(
    ('failing', 'argument'), [('detector', 'model:=/nowhere'), ('player', 'recording:=/nowhere')]
)
def test_demo_ends_when_one_of_its_processes_fails(prefix, tmp_path, failing, argument):
    log = tmp_path / 'launch.txt'
    process = start(prefix, log, 'model:=gen1-tiny', argument, file_name='demo')
    require_end(process, log, rf'{failing}-\d+ ended with exit code 1')


@pytest.mark.skipif(
    shutil.which('ros2') is None or find_spec('ros2bag') is None,
    reason='ros2 bag is not installed',
)
def test_replay_records_what_evaluate_reads(prefix, tmp_path):
    from sast_ros.cli import main

    log, record = tmp_path / 'launch.txt', tmp_path / 'live'
    file = prefix / 'share' / 'sast_ros' / 'launch' / 'replay.launch.py'
    example = Path(sast_ros.__file__).parent / 'example'
    arguments = [f'bag:={example / "example.mcap"}', f'record:={record}', 'delay:=20']
    with log.open('w') as output:
        command = [sys.executable, '-c', PROGRAM, str(file), *arguments]
        subprocess.run(command, env=installed(prefix, log), stdout=output, timeout=120)
    labels = str(example / 'example_bbox.npy')
    options = ['--detections-topic', '/detections', '--labels', labels, '--json', '-']
    assert main(['evaluate', str(record), *options]) == 0


def test_launch_file_leaves_an_unstarted_node_to_others(prefix, observer, tmp_path):
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState

    log = tmp_path / 'launch.txt'
    with launched(prefix, log, 'autostart:=false', 'name:=left_eye'):
        assert state(observer, '/left_eye', log) == 'unconfigured'
        for transition, reached in (
            (Transition.TRANSITION_CONFIGURE, 'inactive'),
            (Transition.TRANSITION_ACTIVATE, 'active'),
        ):
            request = ChangeState.Request(transition=Transition(id=transition))
            assert call(observer, ChangeState, '/left_eye/change_state', request, log).success
            assert state(observer, '/left_eye', log) == reached


def test_topics_and_services_of_a_node_with_a_name_lie_below_it(prefix, observer, tmp_path):
    log = tmp_path / 'launch.txt'
    with launched(prefix, log, 'namespace:=robot', 'name:=left', 'model:=gen1-tiny'):
        wait_until(observer, lambda: state(observer, '/robot/left', log) == 'active', '', log)
        node = ('left', '/robot')
        wait_until(observer, lambda: node in observer.get_node_names_and_namespaces(), '', log)
        published = dict(observer.get_publisher_names_and_types_by_node(*node))
        offered = dict(observer.get_service_names_and_types_by_node(*node))
        # Those of all nodes
        names = {*published, *offered} - {'/rosout', '/parameter_events', '/diagnostics'}
        below = {name.removeprefix('/robot/left/') for name in names}
        assert below >= {'detections', 'label_info', 'overlay', 'reset_state', 'get_state'}
        assert not any(name.startswith('/') for name in below), names


# In the place of rviz2: keeps its file, and waits to be interrupted
RVIZ2 = """#!{python}
import pathlib, shutil, signal, sys
shutil.copy(sys.argv[sys.argv.index('-d') + 1], '{kept}.part')
pathlib.Path('{kept}.part').rename('{kept}')
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
signal.pause()
"""

# As of a robot that includes detector.launch.py
FLEET = """
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import PushRosNamespace


def generate_launch_description():
    detector = IncludeLaunchDescription(PythonLaunchDescriptionSource({file!r}))
    return LaunchDescription([PushRosNamespace('fleet'), detector])
"""


@pytest.mark.parametrize(
    ('file_name', 'arguments', 'above'),
    [
        ('detector', [], ['/']),
        ('detector', ['namespace:=robot', 'name:=left'], ['/robot/left/']),
        ('detector', ['name:=eyes', 'cameras:=[left, right]'], ['/left/', '/right/']),
        ('stereo', ['namespace:=/car'], ['/car/left/', '/car/right/']),
        ('fleet', ['namespace:=robot'], ['/fleet/robot/']),
    ],
)
def test_rviz2_gets_the_topics_of_the_node(
    prefix, observer, tmp_path, monkeypatch, file_name, arguments, above
):
    log, kept, peers = tmp_path / 'launch.txt', tmp_path / 'kept.rviz', tmp_path / 'peers'
    program = peers / 'lib' / 'rviz2' / 'rviz2'
    marker = peers / 'share' / 'ament_index' / 'resource_index' / 'packages' / 'rviz2'
    for file in (program, marker):
        file.parent.mkdir(parents=True)
        file.touch(mode=0o755)
    program.write_text(RVIZ2.format(python=sys.executable, kept=kept))
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(peers), prepend=os.pathsep)
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    folder = prefix / 'share' / 'sast_ros' / 'launch'
    if file_name == 'fleet':
        included = folder / 'detector.launch.py'
        folder = tmp_path
        (folder / 'fleet.launch.py').write_text(FLEET.format(file=str(included)))
    arguments = [*arguments, 'rviz:=true', 'frame:=no', 'model:=gen1-tiny']
    with launched(prefix, log, *arguments, file_name=folder / file_name):
        wait_until(observer, kept.exists, 'rviz2', log)
        content = yaml.safe_load(kept.read_text())['Visualization Manager']
        assert content['Global Options']['Fixed Frame'] == 'no'
        topics = {display['Topic']['Value'] for display in content['Displays']}
        names = ('overlay', 'markers', 'event_cloud')
        assert topics == {f'{start}{name}' for start in above for name in names}
        for topic in topics:
            wait_until(observer, lambda of=topic: observer.count_publishers(of), topic, log)


@pytest.mark.parametrize(
    ('file_name', 'arguments', 'named'),
    [
        ('detector', ['params_file:=/nowhere/a.yaml'], ['/nowhere/a.yaml', 'does not exist']),
        ('detector', ['respawn:=maybe'], ['respawn', 'maybe', 'true', 'false']),
        ('detector', ['log_level:=verbose'], ['log_level', 'verbose', 'debug']),
        (
            'detector',
            ['cameras:=[left, right]', 'events:=/dvs/events'],
            ['events', '/dvs/events', 'left'],
        ),
        ('detector', ['cameras:=[left'], ['cameras:=[left']),
        ('stereo', ['cameras:=[front, rear]'], ['cameras:=[front, rear]', 'detector.launch.py']),
        ('demo', ['cameras:=[left, right]'], ['cameras:=[left, right]', 'one camera']),
        ('demo', ['params_file:=/nowhere/a.yaml'], ['/nowhere/a.yaml', 'does not exist']),
        ('demo', ['log_level:=verbose'], ['log_level', 'verbose', 'debug']),
        (
            'replay',
            ['bag:=/bag', 'cameras:=[left, right]'],
            ['cameras:=[left, right]', 'one camera'],
        ),
    ],
)
def test_an_argument_that_cannot_be_is_named_in_one_line(
    prefix, ros_domain, tmp_path, file_name, arguments, named
):
    log = tmp_path / 'launch.txt'
    process = start(prefix, log, *arguments, file_name=file_name)
    try:
        assert process.wait(timeout=60) == 1
    finally:
        process.kill()
    # None of its processes is left behind
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    lines = [line for line in log.read_text().splitlines() if '[ERROR] [launch]:' in line]
    assert len(lines) == 1, log.read_text()
    assert all(fact in lines[0] for fact in named), lines


def test_a_node_that_must_start_and_cannot_is_respawned(prefix, observer, tmp_path):
    log = tmp_path / 'launch.txt'
    arguments = ['model:=gen7-tiny', 'autostart_required:=true', 'respawn:=true']
    with launched(prefix, log, *arguments, last='exit code 1'):
        started = 'process started with pid'
        wait_until(observer, lambda: log.read_text().count(started) >= 2, 'respawn', log)
    assert 'autostart_required' in log.read_text()
