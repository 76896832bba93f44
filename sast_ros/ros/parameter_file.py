# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The parameters of the node in a ROS 2 parameter file, read without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import re
from typing import Any

from sast_ros.errors import SettingError
from sast_ros.ros.node_parameters import as_number
from sast_ros.ros.parameters import (
    misspelt,
    Parameter,
    PARAMETERS,
    ParameterValueError,
    unknown_parameters,
    with_advice,
)
from sast_ros.yaml_file import read_yaml

NODE_NAME = 'sast_detector'

_KEY = 'ros__parameters'
_WILDCARDS = ('*', '**')

#: Parameters by which a node of another name is recognised; another may have "cameras", too.
_TELLING = {name for name in PARAMETERS if '.' in name}


def read_parameter_file(path: Path) -> dict[str, Any]:
    """
    Return the parameters that a file sets for the node, by their full names.

    Of all nodes (``/**``) and of the node itself, ``sast_detector`` in any namespace or the only
    other one with ``model.path`` or the like. The later in the file wins, as a node reads them.
    What all nodes are given and this one does not have is left out.

    Raises
    ------
    SettingError
        Not a parameter file, parameters of no or several such nodes, unknown or misspelt
        parameters, or a value that a parameter cannot take.
    OSError
        The file cannot be read.

    """
    sections = _chosen(path, _sections(path))
    unknown = [
        name
        for node, section in sections
        for name in (misspelt if _is_of_all(node) else unknown_parameters)(section)
    ]
    if unknown:
        raise SettingError(
            f'{path}: the node has no parameter {", ".join(map(with_advice, unknown))}; '
            'config/detector.yaml lists all of them'
        )
    try:
        return {name: _value(PARAMETERS[name], value) for name, value in _merge(sections).items()}
    except ParameterValueError as error:
        raise SettingError(f'{path}: {error}') from error


def values_of_node(path: Path, node: str) -> dict[str, Any]:
    """
    Return the parameters that a file sets for the node with a full name, as they stand there.

    Raises
    ------
    SettingError
        Not a parameter file.
    OSError
        The file cannot be read.

    """
    return _merge([one for one in _sections(path) if _names(one[0], node)])


def _merge(sections: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    return {
        name: value
        for _, section in sections
        for name, value in section.items()
        if name in PARAMETERS
    }


def _names(section: str, node: str) -> bool:
    """Return whether a section is of a node: ``*`` is any name, ``**`` any number of them."""
    pattern = re.escape(section).replace(r'/\*\*', '(/[^/]+)*').replace(r'\*', '[^/]+')
    return re.fullmatch(pattern, node) is not None


def _sections(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the names of nodes, with their namespaces, and their parameters."""
    try:
        return list(_found(read_yaml(path)))
    except ValueError as error:
        raise SettingError(f'{path} is no parameter file: {error}') from error


def _found(document: Any, prefix: str = '') -> Iterator[tuple[str, dict[str, Any]]]:
    for key, content in document.items() if isinstance(document, dict) else ():
        name = f'{prefix}/{str(key).strip("/")}'
        if isinstance(content, dict) and isinstance(content.get(_KEY), dict):
            yield name, dict(_flatten(content[_KEY]))
        else:
            yield from _found(content, name)


def _flatten(values: dict[Any, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}', value


def _is_of_all(node: str) -> bool:
    return node.split('/')[-1] in _WILDCARDS


def _chosen(
    path: Path, sections: list[tuple[str, dict[str, Any]]]
) -> list[tuple[str, dict[str, Any]]]:
    """Return the sections of all nodes, and that of the detector."""
    of_all = [one for one in sections if _is_of_all(one[0])]
    named = [one for one in sections if one not in of_all]
    own = [one for one in named if one[0].split('/')[-1] == NODE_NAME]
    own = own or [one for one in named if one[1].keys() & _TELLING]
    if len(own) > 1:
        raise SettingError(
            f'{path} has parameters of {len(own)} detectors ({", ".join(one[0] for one in own)}); '
            'give a file with those of one'
        )
    if not of_all + own:
        raise SettingError(
            f'{path} has no parameters of the node; it must hold "/**:" or "{NODE_NAME}:" with '
            f'"{_KEY}:" below'
        )
    return [one for one in sections if one in of_all or one in own]


def _value(parameter: Parameter, value: Any) -> Any:
    """Return a value of a file as the node takes it."""
    default = parameter.default
    if value == [] and isinstance(default, list):
        return default  # without a type, which the node reads as not set
    if not _has_type_of(value, default):
        number = as_number(value, default)
        if number is None:
            raise ParameterValueError(
                f'{parameter.name} is {value!r}; it must be of the type {parameter.type_name}'
            )
        value = number
    parameter.validate(value)
    return value


def _has_type_of(value: Any, default: Any) -> bool:
    if isinstance(default, list):
        return isinstance(value, list) and all(type(one) is type(default[0]) for one in value)
    return type(value) is type(default)
