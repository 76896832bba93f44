# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Start one detector of two event cameras, ``left`` and ``right``, which share the network.

``ros2 launch sast_ros stereo.launch.py left_events:=/cam_0/events right_events:=/cam_1/events``
"""

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import PathJoinSubstitution
from launch_ros.actions import SetRemap
from launch_ros.substitutions import FindPackageShare
from sast_ros.ros.launch_support import camera_remappings, refuse_cameras

CAMERAS = ('left', 'right')


def remap(context):
    """Return the names of the topics from the cameras."""
    refuse_cameras(context, f'those of stereo.launch.py are {", ".join(CAMERAS)}')
    given = context.launch_configurations
    return [SetRemap(*names) for camera in CAMERAS for names in camera_remappings(given, camera)]


def generate_launch_description():
    """Declare the topics of the cameras; the arguments of detector.launch.py are taken too."""
    detector = PathJoinSubstitution([FindPackageShare('sast_ros'), 'launch', 'detector.launch.py'])
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(
                    f'{camera}_events',
                    default_value=f'{camera}/events',
                    description=f'Topic with the events of the {camera} camera.',
                )
                for camera in CAMERAS
            ),
            *(
                DeclareLaunchArgument(
                    f'{camera}_camera_info',
                    default_value='',
                    description=f'Topic with the calibration of the {camera} camera; empty: '
                    'camera_info beside the events.',
                )
                for camera in CAMERAS
            ),
            GroupAction(
                [
                    OpaqueFunction(function=remap),
                    IncludeLaunchDescription(
                        PythonLaunchDescriptionSource(detector),
                        launch_arguments=[('cameras', f'[{", ".join(CAMERAS)}]')],
                    ),
                ]
            ),
        ]
    )
