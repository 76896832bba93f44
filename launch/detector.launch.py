# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Start the detector of one event camera.

``ros2 launch sast_ros detector.launch.py events:=/event_camera/events``
"""

from pathlib import Path
import tempfile

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.actions import LifecycleNode, Node, SetParametersFromFile
from launch_ros.substitutions import FindPackageShare
from launch_ros.utilities import prefix_namespace
import yaml

NODE_NAME = 'sast_detector'
SWITCH = ('true', 'false', 'True', 'False')
SWITCH_OR_FILE = ('', *SWITCH)
EVENTS = '/event_camera/events'

#: Default, description and, where there are few, the possible values.
ARGUMENTS = {
    'events': (
        EVENTS,
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
        'Name of the node. Topics and services of a node with another name than this one lie '
        'below it, so that several in a namespace do not collide; those of several cameras lie '
        'below the names of these.',
    ),
    'autostart': (
        '',
        'Let the node configure and activate itself; false leaves that to a lifecycle manager. '
        'Empty: as in the parameter file.',
        SWITCH_OR_FILE,
    ),
    'autostart_required': (
        '',
        'End the node with exit code 1 where it cannot configure and activate itself; empty: as '
        'in the parameter file.',
        SWITCH_OR_FILE,
    ),
    'respawn': ('false', 'Start the node anew 2 s after it ended.', SWITCH),
    'cameras': (
        '',
        'Names of several cameras, [left, right] for example; empty: as in the parameter file.',
    ),
    'model': (
        '',
        'default, a .safetensors file or a configuration; empty: as in the parameter file.',
    ),
    'device': ('', 'auto, cpu, cuda or cuda:N; empty: as in the parameter file.'),
    'use_sim_time': (
        '',
        'Take the time from /clock, as with ros2 bag play --clock; empty: as in the parameter '
        'file.',
        SWITCH_OR_FILE,
    ),
    'log_level': (
        'info',
        'Least severity that is logged.',
        ('debug', 'info', 'warn', 'error', 'fatal'),
    ),
    'rviz': ('false', 'Start rviz2 with the topics of the node.', SWITCH),
    'frame': ('event_camera', 'The frame_id of the events, fixed frame of rviz2.'),
}

#: Parameters that are texts, and those that are YAML.
TEXTS = {'model': 'model.path', 'device': 'model.device'}
OTHER_PARAMETERS = ('cameras', 'autostart', 'autostart_required', 'use_sim_time')

#: Topics that each of several cameras has for itself.
OF_ONE_CAMERA = {'events': EVENTS, 'detections': '', 'camera_info': ''}

#: Topics and services beside ``events``, ``detections`` and their ``camera_info``.
OTHERS = (
    'label_info',
    'vision_info',
    'tracks',
    'overlay',
    'overlay/compressed',
    'event_image',
    'token_mask',
    'markers',
    'event_cloud',
    'annotations',
    'reset_state',
    'enable',
)


def check_arguments(context):
    """Refuse what launch_ros or the node would ignore."""
    given = context.launch_configurations
    path = Path(given['params_file'])
    if not path.is_file():
        raise FileNotFoundError(f'params_file:={path} does not exist; give the path of a file')
    from sast_ros.ros.rviz_config import camera_names

    cameras = camera_names(given['cameras'], path)
    for name, default in OF_ONE_CAMERA.items():
        if cameras and given[name] != default:
            raise ValueError(
                f'{name}:={given[name]} is of a node with one camera; this one has '
                f'{", ".join(cameras)}: use SetRemap for {cameras[0]}/{name}, as '
                'stereo.launch.py does'
            )


def namespace_of(given):
    """Return the namespace of the node, below that of PushRosNamespace around this file."""
    return prefix_namespace(given.get('ros_namespace'), given['namespace'])


def given_parameters(context):
    """
    Return the arguments as parameters of this node alone, in a file, which the node reads last.

    What is given by name (-p) would come before a section of the node in another file.
    """
    given = context.launch_configurations
    values = {TEXTS[name]: given[name] for name in TEXTS if given[name]}
    values |= {name: yaml.safe_load(given[name]) for name in OTHER_PARAMETERS if given[name]}
    if not values:
        return []
    name = '/'.join(filter(None, f'{namespace_of(given)}/{given["name"]}'.split('/')))
    with tempfile.NamedTemporaryFile(
        'w', prefix='sast_ros-', suffix='.yaml', delete=False
    ) as file:
        yaml.safe_dump({f'/{name}': {'ros__parameters': values}}, file)
    return [SetParametersFromFile(file.name)]


def start_rviz(context):
    """Return rviz2 with the file of this package for the topics and the frame of the node."""
    given = context.launch_configurations
    if given['rviz'] not in ('true', 'True'):
        return []
    from sast_ros.ros.rviz_config import camera_names, write_rviz_config

    template = Path(FindPackageShare('sast_ros').perform(context), 'config/rviz/detections.rviz')
    cameras = camera_names(given['cameras'], Path(given['params_file']))
    # The topics of cameras with names do not lie below the name of the node, see remappings()
    below = '' if given['name'] == NODE_NAME or cameras else given['name']
    path = write_rviz_config(template, f'{namespace_of(given)}/{below}', given['frame'], cameras)
    return [
        Node(
            package='rviz2',
            executable='rviz2',
            arguments=['-d', str(path)],
            parameters=[{'use_sim_time': given['use_sim_time'] in ('true', 'True')}],
            output='screen',
        )
    ]


def remappings(argument):
    """Return the names of topics and services: below the name of the node unless by default."""
    prefix = ["'' if '", argument['name'], f"' == '{NODE_NAME}' else '", argument['name'], "/'"]
    detections = ["('", argument['detections'], "' or (", *prefix, ") + 'detections')"]
    # Of an image topic camera/image_raw it is camera/camera_info (image_transport)
    beside = ["'", argument['events'], "'.rpartition('/')"]
    info = ["'", argument['camera_info'], "' or ''.join(", *beside, "[:2]) + 'camera_info'"]
    return [
        ('events', argument['events']),
        ('camera_info', PythonExpression(info)),
        ('detections', PythonExpression(detections)),
        ('detections/camera_info', PythonExpression([*detections, " + '/camera_info'"])),
        *((name, [PythonExpression(prefix), name]) for name in OTHERS),
    ]


def generate_launch_description():
    """Declare the arguments and the node."""
    argument = {name: LaunchConfiguration(name) for name in ARGUMENTS}
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
            OpaqueFunction(function=check_arguments),
            OpaqueFunction(function=start_rviz),
            # The group limits these parameters to this node
            GroupAction(
                [
                    SetParametersFromFile(argument['params_file']),
                    OpaqueFunction(function=given_parameters),
                    LifecycleNode(
                        package='sast_ros',
                        executable='detector',
                        name=argument['name'],
                        namespace=argument['namespace'],
                        remappings=remappings(argument),
                        ros_arguments=['--log-level', argument['log_level']],
                        respawn=argument['respawn'],
                        respawn_delay=2.0,
                        output='screen',
                    ),
                ]
            ),
        ]
    )
