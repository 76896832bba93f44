# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The rviz file of this package for the topics, the cameras and the frame of a node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import copy
from pathlib import Path
import tempfile
from typing import Any

import yaml


def rviz_config(text: str, prefix: str, frame: str, cameras: Sequence[str] = ()) -> str:
    """
    Return the text of an rviz file for other topics and another frame.

    Parameters
    ----------
    text : str
        Content of ``config/rviz/detections.rviz``, with topics ``/overlay`` and so on.
    prefix : str
        What precedes the names of the topics, such as ``robot/left``; empty for nothing.
    frame : str
        The ``frame_id`` of the events.
    cameras : sequence of str
        Names of the cameras of the node, each of which gets displays of its own; empty for a node
        with one camera without a name.

    """
    content = yaml.safe_load(text)
    manager = content['Visualization Manager']
    manager['Global Options']['Fixed Frame'] = frame
    manager['Displays'] = [
        _display_of(display, prefix, camera)
        for camera in cameras or ('',)
        for display in manager['Displays']
    ]
    return yaml.safe_dump(content, sort_keys=False)


def _display_of(display: dict[str, Any], prefix: str, camera: str) -> dict[str, Any]:
    """Return a copy of a display with the topic of a camera and a name that says so."""
    display = copy.deepcopy(display)
    topic = display['Topic']
    parts = f'{prefix}/{camera}/{topic["Value"]}'.split('/')
    topic['Value'] = '/' + '/'.join(filter(None, parts))
    display['Name'] = f'{display["Name"]} {camera}'.rstrip()
    return display


def camera_names(given: str, params_file: Path) -> list[str]:
    """
    Return the names of the cameras of a node, none where it has one without a name.

    Parameters
    ----------
    given : str
        Value of the parameter ``cameras`` as YAML; empty for that in the file.
    params_file : Path
        Parameter file of the node.

    """
    content = yaml.safe_load(given or params_file.read_text())
    found = [content] if given else list(_values_of('cameras', content))
    names = found[-1] if found else []
    return [str(name) for name in names if name] if isinstance(names, list) else []


def _values_of(parameter: str, content: Any) -> Iterator[Any]:
    """Yield the values of a parameter in a parameter file, of whatever node."""
    for name, value in content.items() if isinstance(content, dict) else ():
        if name == 'ros__parameters' and isinstance(value, dict):
            yield from (value[key] for key in value if key == parameter)
        else:
            yield from _values_of(parameter, value)


def write_rviz_config(
    template: Path, prefix: str, frame: str, cameras: Sequence[str] = ()
) -> Path:
    """Write ``rviz_config`` of a file into a new temporary one, and return its path."""
    text = rviz_config(template.read_text(), prefix, frame, cameras)
    with tempfile.NamedTemporaryFile(
        'w', prefix='sast_ros-', suffix='.rviz', delete=False
    ) as file:
        file.write(text)
    return Path(file.name)
