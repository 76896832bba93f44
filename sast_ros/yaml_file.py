# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""YAML files of others, read within bounds of depth and size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

#: The loader in C, where PyYAML was built with it, takes a tenth of the time.
_Loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)

#: Characters of a document, that of its aliases included each time; rosbag2 writes some kilobytes,
#: and a line for every file.
_MAX_SIZE = 1 << 24
_TOO_LARGE = f'more than {_MAX_SIZE} characters, aliases included'

#: Levels of lists and mappings; a recorder writes six. The loader in C overflows the stack, and
#: ends the process, where there are tens of thousands.
_MAX_DEPTH = 100

#: Characters of what may become a number: PyYAML takes a time that grows with the square of
#: those of a sexagesimal one (1:2:3).
_MAX_NUMBER = 1 << 12


def read_yaml(path: Path) -> Any:
    """
    Return the document of a YAML file.

    Raises
    ------
    ValueError
        Not YAML, or larger or deeper nested than any that people write. The text gives the reason.
    OSError
        The file cannot be read.

    """
    with path.open('rb') as file:
        data = file.read(_MAX_SIZE + 1)
    if len(data) > _MAX_SIZE:
        raise ValueError(_TOO_LARGE)
    try:
        text = data.decode('utf-8-sig')
        _check(text)
        return yaml.load(text, _Loader)  # noqa: S506 - a safe one
    except yaml.YAMLError as error:
        raise ValueError(f'no YAML: {" ".join(str(error).split())[:200]}') from error
    # Of values whose tag they do not fit
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        raise ValueError('a value does not fit its tag') from error


def _check(text: str) -> None:
    """Raise ValueError for a document that is nested too deeply, or expands to any size."""
    sizes: dict[str, int] = {}  # characters of what an anchor stands for
    open_parts = [('', 0)]
    for event in yaml.parse(text, _Loader):
        anchor, size = getattr(event, 'anchor', None) or '', 1
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            open_parts.append((anchor, size))
            if len(open_parts) - 1 > _MAX_DEPTH:
                raise ValueError(f'nested more than {_MAX_DEPTH} levels')
            continue
        if isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            anchor, size = open_parts.pop()
        elif isinstance(event, yaml.AliasEvent):
            if anchor not in sizes:
                raise ValueError('an alias stands for what it is in, or for nothing')
            size = sizes[anchor]
        elif isinstance(event, yaml.ScalarEvent):
            size += len(event.value)
            if size > _MAX_NUMBER and (not event.style or event.tag):
                raise ValueError(f'a value of {size - 1} characters without quotation marks')
        sizes[anchor] = size
        outer, total = open_parts[-1]
        open_parts[-1] = (outer, total + size)
        if total + size > _MAX_SIZE:
            raise ValueError(_TOO_LARGE)
