# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What metadata.yaml of a rosbag2 folder states, as far as it can be read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from sast_ros.yaml_file import read_yaml


@dataclass(frozen=True)
class Metadata:
    """
    Content of metadata.yaml.

    Attributes
    ----------
    files : tuple of str
        Names of the files without folders, in their order; empty if none are stated.
    counts : Counter of str
        Number of messages by topic; without the topics of which it is not stated.

    """

    files: tuple[str, ...] = ()
    counts: Counter[str] = field(default_factory=Counter)


def read_metadata(folder: Path) -> Metadata:
    """
    Read metadata.yaml of a folder, which a killed recorder does not write.

    Parameters
    ----------
    folder : Path
        Folder of a rosbag2.

    Returns
    -------
    Metadata
        Empty where the file is missing, damaged or of another kind.

    """
    try:
        content = read_yaml(folder / 'metadata.yaml')['rosbag2_bagfile_information']
        if not isinstance(content, dict):
            return Metadata()
    except (OSError, ValueError, KeyError, TypeError):
        return Metadata()
    files = _entries(content, 'relative_file_paths')
    counts: Counter[str] = Counter()
    for entry in _entries(content, 'topics_with_message_count'):
        try:
            name, count = entry['topic_metadata']['name'], entry['message_count']
        except (KeyError, TypeError):
            continue
        if isinstance(name, str) and isinstance(count, int):
            counts[name] += count
    names = (PurePath(name).name for name in files if isinstance(name, str))
    return Metadata(tuple(name for name in names if name), counts)


def _entries(content: dict[str, Any], key: str) -> list[Any]:
    entries = content.get(key)
    return entries if isinstance(entries, list) else []
