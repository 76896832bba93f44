# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The rviz file of this package for the topics, the cameras and the frame of a node."""

from __future__ import annotations

from collections.abc import Sequence
import copy
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
