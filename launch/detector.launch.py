# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Start the detector of one event camera.

``ros2 launch sast_ros detector.launch.py events:=/event_camera/events``
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, NotEqualsSubstitution, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, SetParameter, SetParametersFromFile
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = {
    'events': (
        '/event_camera/events',
        'Topic with the events: EventPacket, EventArray or PointCloud2.',
    ),
    'detections': ('detections', 'Topic for the detections, relative to the namespace.'),
    'params_file': (
        PathJoinSubstitution([FindPackageShare('sast_ros'), 'config', 'detector.yaml']),
        'Parameters of the node; config/detector.yaml of this package lists them all.',
    ),
    'namespace': ('', 'Namespace of the node and its topics.'),
    'name': ('sast_detector', 'Name of the node.'),
    'autostart': (
        'true',
        'Let the node configure and activate itself; false leaves that to a lifecycle manager.',
    ),
    'model': (
        '',
        'default, a .safetensors file or a configuration; empty: as in the parameter file.',
    ),
    'device': ('', 'auto, cpu, cuda or cuda:N; empty: as in the parameter file.'),
    'use_sim_time': ('false', 'Take the time from /clock, as with ros2 bag play --clock.'),
    'log_level': ('info', 'debug, info, warn, error or fatal.'),
}

MODEL_PARAMETERS = {'model': 'model.path', 'device': 'model.device'}


def generate_launch_description():
    """Declare the arguments and the node."""
    argument = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=description)
                for name, (default, description) in ARGUMENTS.items()
            ),
            # The group limits these parameters to this node. Later ones win: a given argument
            # overrides the parameter file.
            GroupAction(
                [
                    SetParametersFromFile(argument['params_file']),
                    SetParameter('autostart', argument['autostart']),
                    SetParameter('use_sim_time', argument['use_sim_time']),
                    *(
                        SetParameter(
                            parameter,
                            argument[name],
                            condition=IfCondition(NotEqualsSubstitution(argument[name], '')),
                        )
                        for name, parameter in MODEL_PARAMETERS.items()
                    ),
                    LifecycleNode(
                        package='sast_ros',
                        executable='detector',
                        name=argument['name'],
                        namespace=argument['namespace'],
                        remappings=[
                            ('events', argument['events']),
                            ('detections', argument['detections']),
                        ],
                        ros_arguments=['--log-level', argument['log_level']],
                        output='screen',
                    ),
                ]
            ),
        ]
    )
