# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Imports follow the data flow: from the training to the core, to the left, without circles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
import re

import pytest
from workspace import REPOSITORY

PACKAGES = {'sast_ros': REPOSITORY, 'sast_ros_training': REPOSITORY / 'training'}

#: Modules and folders of sast_ros along the data flow: each imports only what is before it.
ROOMS = (
    # What all may use
    *('version', 'defaults', 'errors', 'foreign_file', 'npy', 'output', 'process', 'yaml_file'),
    *('labels', 'example', 'kernels'),
    # Events in, detections out
    *('events', 'windows', 'histogram', 'model', 'detections', 'sparsity_budget', 'detector'),
    *('tracking', 'pipeline'),
    # What recordings need
    *('bags', 'visualization', 'replay', 'export', 'evaluation', 'labelling', 'page'),
    # With ROS: the node, and what starts, plays, measures or inspects it
    *('ros', 'demo', 'bench', 'doctor', 'cli', '__main__'),
)

#: From here on rclpy may be imported.
FIRST_WITH_ROS = ROOMS.index('ros')

#: What else no module of a folder (or file) may import, at whatever place in it.
FORBIDDEN = {
    'sast_ros': {'sast_ros_training'},
    'sast_ros/events': {'torch'},
    'sast_ros/model': {'sast_ros.events', 'sast_ros.windows', 'sast_ros.histogram'},
    'sast_ros/tracking': {'torch', 'sast_ros.events', 'sast_ros.model', 'sast_ros.detector'},
    'sast_ros/bags': {'torch', 'sast_ros.model', 'sast_ros.detector', 'sast_ros.pipeline'},
    'sast_ros/visualization': {'torch', 'sast_ros.model', 'sast_ros.detector'},
    'sast_ros/evaluation': {'torch', 'sast_ros.detector'},
    'training/sast_ros_training': {'rclpy'},
}


def list_modules(package: str) -> dict[str, Path]:
    """Return the modules of a package by name."""
    root = PACKAGES[package]
    found = {}
    for path in (root / package).rglob('*.py'):
        parts = path.relative_to(root).with_suffix('').parts
        found['.'.join(parts[:-1] if parts[-1] == '__init__' else parts)] = path
    return found


MODULES = {name: path for package in PACKAGES for name, path in list_modules(package).items()}


def imports(path: Path, *, inner: bool) -> set[str]:
    """Return the modules that a file imports, ``inner``: also those in functions."""

    def visit(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (name.name for name in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0 and child.module, f'{path}: relative import'
                for name in child.names:
                    full = f'{child.module}.{name.name}'
                    yield full if full in MODULES else child.module
            elif inner or not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from visit(child)

    return set(visit(ast.parse(path.read_text())))


def is_below(name: str, package: str) -> bool:
    return name == package or name.startswith(f'{package}.')


def room(module: str) -> str:
    """Return the room of a module of sast_ros; empty for the package itself."""
    return '.'.join(module.split('.')[1:2])


def test_every_room_has_a_place_in_the_data_flow():
    assert {room(name) for name in list_modules('sast_ros')} - {''} == set(ROOMS)


@pytest.mark.parametrize('place', range(len(ROOMS)), ids=ROOMS)
def test_imports_go_to_the_left(place):
    allowed = {'', *ROOMS[: place + 1]}
    wrong = [
        f'{name}: {other}'
        for name, path in list_modules('sast_ros').items()
        if room(name) == ROOMS[place]
        for other in imports(path, inner=True)
        if is_below(other, 'sast_ros') and room(other) not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize('folder', FORBIDDEN)
def test_a_room_knows_nothing_of_what_it_does_not_need(folder):
    wrong = [
        f'{path.relative_to(REPOSITORY)}: {name}'
        for path in sorted((REPOSITORY / folder).rglob('*.py'))
        for name in imports(path, inner=True)
        if any(is_below(name, package) for package in FORBIDDEN[folder])
    ]
    assert wrong == []


def test_only_the_node_and_its_commands_import_ros():
    wrong = [
        name
        for name, path in list_modules('sast_ros').items()
        if any(is_below(other, 'rclpy') for other in imports(path, inner=True))
        and room(name) not in ROOMS[FIRST_WITH_ROS:]
    ]
    assert wrong == []


def test_private_attributes_of_a_node_are_used_in_one_module():
    def owners(path: Path) -> Iterator[str]:
        for part in ast.walk(ast.parse(path.read_text())):
            if isinstance(part, ast.Attribute) and re.match('_(?!_)', part.attr):
                yield ast.unparse(part.value).rpartition('.')[2].lstrip('_')

    found = {
        name
        for name, path in list_modules('sast_ros').items()
        if any(is_below(other, 'rclpy') for other in imports(path, inner=True))
        and 'node' in owners(path)
    }
    assert found == {'sast_ros.ros.rclpy_compat'}


@pytest.mark.parametrize('package', PACKAGES)
def test_there_is_no_import_circle(package):
    """Imports for types alone count, imports in functions do not."""
    known = list_modules(package)
    graph = {name: imports(path, inner=False) & known.keys() for name, path in known.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f'import circle: {" <- ".join(error.args[1])}')
