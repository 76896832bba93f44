# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Start one detector of two event cameras, ``left`` and ``right``, which share the network.

``ros2 launch sast_ros stereo.launch.py left_events:=/cam_0/events right_events:=/cam_1/events``
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.actions import SetRemap
from launch_ros.substitutions import FindPackageShare

CAMERAS = ('left', 'right')

BESIDE = "'.rpartition('/')[:2]) + 'camera_info'"


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
                    # Of an image topic camera/image_raw it is camera/camera_info (image_transport)
                    default_value=PythonExpression(
                        ["''.join('", LaunchConfiguration(f'{camera}_events'), BESIDE]
                    ),
                    description=f'Topic with the calibration of the {camera} camera; by default '
                    'camera_info beside the events.',
                )
                for camera in CAMERAS
            ),
            GroupAction(
                [
                    *(
                        SetRemap(f'{camera}/{topic}', LaunchConfiguration(f'{camera}_{topic}'))
                        for camera in CAMERAS
                        for topic in ('events', 'camera_info')
                    ),
                    IncludeLaunchDescription(
                        PythonLaunchDescriptionSource(detector),
                        launch_arguments=[('cameras', f'[{", ".join(CAMERAS)}]')],
                    ),
                ]
            ),
        ]
    )
