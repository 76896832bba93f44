# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The rviz file of this package for the topics and the frame of a node."""

from __future__ import annotations

from pathlib import Path
import re
import tempfile

#: The frame that the file names.
FRAME = 'event_camera'

_TOPIC = re.compile(r'^(\s+Value: )/(\S+)$', re.MULTILINE)
_FIXED_FRAME = re.compile(rf'^(\s+Fixed Frame: ){FRAME}$', re.MULTILINE)


def rviz_config(text: str, prefix: str, frame: str) -> str:
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

    """
    path = '/'.join(filter(None, prefix.split('/')))
    text = _TOPIC.sub(lambda line: f'{line[1]}/{path}{"/" * bool(path)}{line[2]}', text)
    # Quoted, as YAML would read 1e3 or "no" as something else
    return _FIXED_FRAME.sub(lambda line: f"{line[1]}'{frame}'", text)


def write_rviz_config(template: Path, prefix: str, frame: str) -> Path:
    """Write ``rviz_config`` of a file into a new temporary one, and return its path."""
    text = rviz_config(template.read_text(), prefix, frame)
    with tempfile.NamedTemporaryFile(
        'w', prefix='sast_ros-', suffix='.rviz', delete=False
    ) as file:
        file.write(text)
    return Path(file.name)
