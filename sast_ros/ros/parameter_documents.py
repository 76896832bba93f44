# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The parameters as Markdown table and as YAML file."""

from __future__ import annotations

import textwrap

from sast_ros.ros.parameters import PARAMETERS, When

_FILE_HEAD = """\
# Parameters of the node sast_detector, all at their defaults. Copy this file, keep the lines that
# you change, and start
#
#   ros2 launch sast_ros detector.launch.py params_file:=/path/to/my.yaml
#   ros2 run sast_ros detector --ros-args --params-file /path/to/my.yaml
#
# In parentheses: type; allowed values; when a change takes effect. "any time" means between two
# windows of a running node (ros2 param set); "before configure" means that the node must be
# unconfigured (ros2 lifecycle set NODE cleanup).
/**:
  ros__parameters:"""

_CHANGE: dict[When, str] = {
    'live': 'any time',
    'configure': 'before configure',
    'start': 'at start only',
}


def markdown_table() -> str:
    """Return the parameters as a Markdown table, for docs/node.md."""
    rows = [
        '| parameter | type | default | allowed | change | meaning |',
        '|---|---|---|---|---|---|',
    ]
    for p in PARAMETERS.values():
        unit = f' {p.unit}' if p.unit else ''
        rows.append(
            f'| `{p.name}` | {p.type_name} | `{_literal(p.default)}`{unit} | {p.allowed} '
            f'| {_CHANGE[p.when]} | {p.description} |'
        )
    return '\n'.join(rows) + '\n'


def parameter_file() -> str:
    """Return the text of ``config/detector.yaml``: all parameters, described, at defaults."""
    lines = [_FILE_HEAD]
    group = ''
    for p in PARAMETERS.values():
        indent = ' ' * 4
        head, _, leaf = p.name.rpartition('.')
        if head:
            if head != group:
                lines += ['', f'{indent}{head}:']
                group = head
            indent += '  '
        allowed = f'{p.allowed} {p.unit}'.rstrip() if p.limits else p.allowed
        facts = [p.type_name, allowed, '' if p.limits else p.unit, _CHANGE[p.when]]
        comment = f'{p.description} ({"; ".join(filter(None, facts))})'
        lines += [
            f'{indent}# {line}'
            for line in textwrap.wrap(comment, 99 - len(indent) - 2, break_on_hyphens=False)
        ]
        lines.append(f'{indent}{leaf}: {_literal(p.default)}')
    return '\n'.join(lines) + '\n'


def _literal(value: object) -> str:
    return repr(value).lower() if isinstance(value, bool) else repr(value)
