# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Play a recording to the detector, in place of a camera.

``ros2 launch sast_ros demo.launch.py loop:=true`` and, in another terminal,
``ros2 topic echo /detections``
"""

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare
from sast_ros.ros.launch_support import failure_of, refuse_cameras

ARGUMENTS = {
    'recording': (
        'example',
        'Recording to play: "example", the bundled one, or the path of another one.',
    ),
    'recording_topic': ('', 'Topic in the recording; empty: the only one with events.'),
    'loop': (
        'false',
        'Play the recording again and again, until ^C.',
        ('true', 'false', 'True', 'False'),
    ),
    'subscriptions': (
        '1',
        'Number of subscriptions that the player waits for; the detector is one.',
    ),
    'events': ('/event_camera/events', 'Topic for the events.'),
    'namespace': ('', 'Namespace of player and detector, and of their topics.'),
}


def end(event, context):
    """End all with exit code 1 when the player or the detector fails."""
    if event.returncode and not context.is_shutdown:
        raise failure_of(event)


def generate_launch_description():
    """Declare the player and the detector; the arguments of detector.launch.py are taken too."""
    argument = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    detector = PathJoinSubstitution([FindPackageShare('sast_ros'), 'launch', 'detector.launch.py'])
    player = Node(
        package='sast_ros',
        executable='player',
        namespace=argument['namespace'],
        parameters=[
            {
                'recording': ParameterValue(argument['recording'], value_type=str),
                'recording_topic': ParameterValue(argument['recording_topic'], value_type=str),
                'loop': argument['loop'],
                'subscriptions': argument['subscriptions'],
            }
        ],
        remappings=[('events', argument['events'])],
        output='screen',
    )

    def is_ours(action):
        return action is player or isinstance(action, LifecycleNode)

    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(
                    name,
                    default_value=default,
                    description=description,
                    choices=choices[0] if choices else None,
                )
                for name, (default, description, *choices) in ARGUMENTS.items()
            ),
            OpaqueFunction(function=refuse_cameras, args=['demo.launch.py plays to one camera']),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(detector),
                launch_arguments=[
                    ('autostart_required', 'true'),
                    *((name, argument[name]) for name in ('events', 'namespace')),
                ],
            ),
            # Launch leaves behind a process whose start it has begun when an argument is refused
            player,
            RegisterEventHandler(OnProcessExit(target_action=is_ours, on_exit=end)),
        ]
    )
