# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the launch files work out from the values of their arguments, without launch itself."""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from pathlib import Path
import tempfile
from typing import Any

from sast_ros.ros.parameter_file import NODE_NAME, values_of_node
import yaml

#: Arguments of detector.launch.py that each of several cameras has for itself, and their defaults.
OF_ONE_CAMERA = {'events': '/event_camera/events', 'detections': '', 'camera_info': ''}

#: Arguments that are parameters: those that are texts, and those that are YAML.
_TEXTS = {'model': 'model.path', 'device': 'model.device'}
_OTHER_PARAMETERS = ('cameras', 'autostart', 'autostart_required', 'use_sim_time')

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


def check_arguments(given: Mapping[str, str], cameras: list[str]) -> None:
    """Refuse arguments that a node with these cameras would ignore."""
    for name, default in OF_ONE_CAMERA.items():
        if cameras and given[name] != default:
            raise ValueError(
                f'{name}:={given[name]} is of a node with one camera; this one has '
                f'{", ".join(cameras)}: use SetRemap for {cameras[0]}/{name}, as '
                'stereo.launch.py does'
            )


def refuse_cameras(context: Any, reason: str) -> None:
    """
    Raise ``ValueError`` for the argument ``cameras`` in a launch file with cameras of its own.

    ``context``: launch's ``LaunchContext``.
    """
    if cameras := context.launch_configurations.get('cameras'):
        raise ValueError(f'cameras:={cameras}: {reason}; start others with detector.launch.py')


def failure_of(event: Any) -> RuntimeError:
    """
    Return an error for a process that has ended; raised, it ends the launch with exit code 1.

    ``event``: launch's ``ProcessExited``.
    """
    return RuntimeError(
        f'{event.process_name} ended with exit code {event.returncode}; its messages above have '
        'the reason'
    )


def camera_names(given: Mapping[str, str], namespace: str) -> list[str]:
    """
    Return the names of the cameras of the node, none where it has one without a name.

    Raises
    ------
    FileNotFoundError, SettingError
        The parameter file is none.
    ValueError
        ``cameras`` is no list.

    """
    path = Path(given['params_file'])
    if not path.is_file():  # launch_ros would ignore it
        what = 'is no file' if path.exists() else 'does not exist'
        raise FileNotFoundError(f'params_file:={path} {what}; give the path of a file')
    if text := given['cameras']:
        try:
            names = yaml.safe_load(text)
        except yaml.YAMLError:
            names = None
        if not isinstance(names, list):
            raise ValueError(f'cameras:={text} is no list of names, such as [left, right]')
    else:
        names = values_of_node(path, _full_name(given, namespace)).get('cameras')
    return [str(name) for name in names if name] if isinstance(names, list) else []


def _full_name(given: Mapping[str, str], namespace: str) -> str:
    return '/' + '/'.join(filter(None, f'{namespace}/{given["name"]}'.split('/')))


def parameters(given: Mapping[str, str], namespace: str) -> str:
    """
    Return the arguments as a parameter file of this node alone, empty where none is given.

    What is given by name (-p) would come before a section of the node in another file.
    """
    values = {name: given[key] for key, name in _TEXTS.items() if given[key]}
    values |= {name: yaml.safe_load(given[name]) for name in _OTHER_PARAMETERS if given[name]}
    node = _full_name(given, namespace)
    return yaml.safe_dump({node: {'ros__parameters': values}}) if values else ''


def remappings(given: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the names of topics and services: below the name of the node unless by default."""
    below = _below(given)
    detections = given['detections'] or f'{below}detections'
    return [
        *camera_remappings(given),
        ('detections', detections),
        ('detections/camera_info', f'{detections}/camera_info'),
        *((name, f'{below}{name}') for name in OTHERS),
    ]


def camera_remappings(given: Mapping[str, str], camera: str = '') -> list[tuple[str, str]]:
    """Return the names of the topics from a camera, of one with a name if there are several."""
    prefix, above = (f'{camera}_', f'{camera}/') if camera else ('', '')
    events = given[f'{prefix}events']
    # Of an image topic camera/image_raw it is camera/camera_info (image_transport)
    beside = ''.join(events.rpartition('/')[:2]) + 'camera_info'
    return [
        (f'{above}events', events),
        (f'{above}camera_info', given[f'{prefix}camera_info'] or beside),
    ]


def viewer_prefix(given: Mapping[str, str], namespace: str, cameras: list[str]) -> str:
    """Return what precedes the topics for viewers; camera names do not lie below the node."""
    return f'{namespace}/{"" if cameras else _below(given)}'


def _below(given: Mapping[str, str]) -> str:
    return '' if given['name'] == NODE_NAME else f'{given["name"]}/'


def temporary_file(suffix: str, text: str) -> Path:
    """Return a new file with a text; it is deleted when this process, that of launch, ends."""
    with tempfile.NamedTemporaryFile('w', prefix='sast_ros-', suffix=suffix, delete=False) as file:
        file.write(text)
    path = Path(file.name)
    atexit.register(path.unlink, missing_ok=True)
    return path
