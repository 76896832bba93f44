# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Play a bag with rosbag2 to the detector, and record what it publishes.

``ros2 launch sast_ros replay.launch.py bag:=/path/to/bag record:=/path/to/new_bag``
"""

from launch import Condition, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    TimerAction,
)
from launch.conditions import IfCondition, UnlessCondition
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.substitutions import FindPackageShare
from sast_ros.ros.launch_support import failure_of, refuse_cameras
from sast_ros.ros.parameter_file import NODE_NAME

ARGUMENTS = {
    'bag': (None, 'Rosbag2 folder or file to play.'),
    'rate': ('1.0', 'Speed of the playback.'),
    'loop': ('false', 'true: play in a loop. Recordings for evaluate need one pass.'),
    'delay': ('5.0', 'Seconds to wait before playback, while the detector loads its weights.'),
    'record': (
        '',
        'New folder for a bag with events, detections and classes; empty: do not record.',
    ),
    'events': ('/event_camera/events', 'Topic with the events in the bag.'),
    'detections': ('/detections', 'Topic for the detections.'),
    'params_file': (
        PathJoinSubstitution([FindPackageShare('sast_ros'), 'config', 'detector.yaml']),
        'Parameters of the detector.',
    ),
    'namespace': ('', 'Namespace of the detector and its topics.'),
    'name': (NODE_NAME, 'Name of the detector.'),
}

#: Seconds from the end of the bag to that of the others.
END_S = 3.0

PASSED_ON = ('events', 'detections', 'params_file', 'namespace', 'name')


def is_recorded(context):
    """Return whether a bag is to be recorded; NotEqualsSubstitution does not exist in Humble."""
    return context.launch_configurations['record'] != ''


def end(event, context):
    """End all after the bag; at once, with exit code 1, when another process ends or one fails."""
    if context.is_shutdown:
        return None
    if 'play' in event.cmd and event.returncode == 0:
        # What is on its way when the bag ends is still published and recorded
        return TimerAction(period=END_S, actions=[EmitEvent(event=Shutdown())])
    raise failure_of(event)


def generate_launch_description():
    """
    Declare the detector on simulated time, the player and the recorder.

    The arguments of detector.launch.py are taken too.
    """
    argument = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    share = FindPackageShare('sast_ros')
    command = [
        *('ros2', 'bag', 'play', argument['bag'], '--clock', '--rate', argument['rate']),
        *('--delay', argument['delay'], '--topics', argument['events']),
    ]
    once = ExecuteProcess(
        cmd=command, condition=UnlessCondition(argument['loop']), output='screen'
    )
    again = ExecuteProcess(
        cmd=[*command, '--loop'], condition=IfCondition(argument['loop']), output='screen'
    )
    record = ExecuteProcess(
        cmd=[
            *('ros2', 'bag', 'record', '--output', argument['record'], '--use-sim-time'),
            # The only choice of topics from Humble (no --topics) to Rolling (no positional ones:
            # rosbag2 #2328); it is searched in full names
            *(
                '--regex',
                [
                    *('^/?(', argument['namespace'], '/)?(', argument['events'], '|'),
                    *(argument['detections'], '|(', argument['name'], '/)?label_info)$'),
                ],
            ),
        ],
        condition=Condition(predicate=is_recorded),
        output='screen',
    )
    detector = PathJoinSubstitution([share, 'launch', 'detector.launch.py'])

    def is_ours(action):
        return action in (once, again, record) or isinstance(action, LifecycleNode)

    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=description)
                for name, (default, description) in ARGUMENTS.items()
            ),
            OpaqueFunction(function=refuse_cameras, args=['replay.launch.py plays to one camera']),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(detector),
                launch_arguments=[
                    ('use_sim_time', 'true'),
                    ('autostart_required', 'true'),
                    *((name, argument[name]) for name in PASSED_ON),
                ],
            ),
            record,
            once,
            again,
            RegisterEventHandler(OnProcessExit(target_action=is_ours, on_exit=end)),
        ]
    )
