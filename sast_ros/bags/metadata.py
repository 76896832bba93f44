# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What metadata.yaml of a rosbag2 folder states, as far as it can be read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import yaml

#: The loader in C, where PyYAML was built with it, takes a tenth of the time.
_Loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)

#: Bytes that are read; it has some kilobytes, and a line for every file.
_MAX_SIZE = 1 << 24

#: Levels of lists and mappings; a recorder writes six. The loader in C overflows the stack, and
#: ends the process, where there are tens of thousands.
_MAX_DEPTH = 100


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
        with (folder / 'metadata.yaml').open('rb') as file:
            document = _load(file.read(_MAX_SIZE).decode())
        content = document['rosbag2_bagfile_information']
        if not isinstance(content, dict):
            return Metadata()
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, RecursionError):
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


def _load(text: str) -> Any:
    """Return the document; ``ValueError`` where it is nested deeper than any metadata."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        depth += isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent))
        depth -= isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent))
        if depth > _MAX_DEPTH:
            raise ValueError(f'nested more than {_MAX_DEPTH} levels')
    return yaml.load(text, _Loader)  # noqa: S506


def _entries(content: dict[str, Any], key: str) -> list[Any]:
    entries = content.get(key)
    return entries if isinstance(entries, list) else []
