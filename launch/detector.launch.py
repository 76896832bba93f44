# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Start the detector of one event camera.

``ros2 launch sast_ros detector.launch.py events:=/event_camera/events``
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.substitutions import FindPackageShare
from launch_ros.utilities import prefix_namespace
from sast_ros.ros import launch_support
from sast_ros.ros.parameter_file import NODE_NAME
from sast_ros.ros.rviz_config import rviz_config

SWITCH = ('true', 'false', 'True', 'False')
SWITCH_OR_FILE = ('', *SWITCH)

#: Default, description and, where there are few, the possible values.
ARGUMENTS = {
    'events': (
        launch_support.OF_ONE_CAMERA['events'],
        'Topic with the events: EventPacket, EventArray or PointCloud2. Several cameras have '
        'topics of their own, NAME/events.',
    ),
    'detections': (
        '',
        'Topic for the detections; empty: detections, or NAME/detections of a node with a name.',
    ),
    'camera_info': (
        '',
        'Topic with the calibration of the camera, passed on beside the detections; empty: '
        'camera_info beside the events, as of image topics.',
    ),
    'params_file': (
        PathJoinSubstitution([FindPackageShare('sast_ros'), 'config', 'detector.yaml']),
        'Parameters of the node; config/detector.yaml of this package lists them all.',
    ),
    'namespace': ('', 'Namespace of the node and its topics.'),
    'name': (
        NODE_NAME,
        'Name of the node. With another name than this one, topics and services are NAME/..., so '
        'that several nodes in a namespace do not collide; those of several cameras are '
        'CAMERA/...',
    ),
    'autostart': (
        '',
        'Let the node configure and activate itself; false leaves that to a lifecycle manager. '
        'Empty: as in the parameter file.',
        SWITCH_OR_FILE,
    ),
    'autostart_required': (
        '',
        'Exit with code 1 if the node cannot configure and activate itself; empty: as in the '
        'parameter file.',
        SWITCH_OR_FILE,
    ),
    'respawn': ('false', 'Restart the node 2 s after it exits.', SWITCH),
    'cameras': (
        '',
        'Names of several cameras, [left, right] for example; empty: as in the parameter file.',
    ),
    'model': (
        '',
        'Weights: default, a .safetensors file or a configuration; empty: as in the parameter '
        'file.',
    ),
    'device': ('', 'Device: auto, cpu, cuda or cuda:N; empty: as in the parameter file.'),
    'use_sim_time': (
        '',
        'Take the time from /clock, as with ros2 bag play --clock; empty: as in the parameter '
        'file.',
        SWITCH_OR_FILE,
    ),
    'log_level': ('info', 'Minimum log severity.', ('debug', 'info', 'warn', 'error', 'fatal')),
    'rviz': ('false', 'Start rviz2 and show the topics of the node.', SWITCH),
    'frame': ('event_camera', 'Fixed frame of rviz2: the frame_id of the events.'),
}


def start_detector(context):
    """Return the node, and rviz2 where that is wanted."""
    given = context.launch_configurations
    # Below that of PushRosNamespace around this file
    namespace = prefix_namespace(given.get('ros_namespace'), given['namespace'])
    cameras = launch_support.camera_names(given, namespace)
    launch_support.check_arguments(given, cameras)
    files = [Path(given['params_file'])]
    if text := launch_support.parameters(given, namespace):  # read after the other
        files.append(launch_support.temporary_file('.yaml', text))
    node = LifecycleNode(
        package='sast_ros',
        executable='detector',
        name=given['name'],
        namespace=given['namespace'],
        parameters=files,
        remappings=launch_support.remappings(given),
        ros_arguments=['--log-level', given['log_level']],
        respawn=LaunchConfiguration('respawn'),
        respawn_delay=2.0,
        output='screen',
    )
    return [*start_rviz(context, namespace, cameras), node]


def start_rviz(context, namespace, cameras):
    """Return rviz2 with the file of this package for the topics and the frame of the node."""
    given = context.launch_configurations
    if given['rviz'] not in ('true', 'True'):
        return []
    template = Path(FindPackageShare('sast_ros').perform(context), 'config/rviz/detections.rviz')
    text = rviz_config(
        template.read_text(),
        launch_support.viewer_prefix(given, namespace, cameras),
        given['frame'],
        cameras,
    )
    return [
        Node(
            package='rviz2',
            executable='rviz2',
            arguments=['-d', str(launch_support.temporary_file('.rviz', text))],
            parameters=[{'use_sim_time': given['use_sim_time'] in ('true', 'True')}],
            output='screen',
        )
    ]


def generate_launch_description():
    """Declare the arguments and the node."""
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
            OpaqueFunction(function=start_detector),
        ]
    )
