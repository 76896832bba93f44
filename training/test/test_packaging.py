# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""sast_ros_training is a package of its own: manifest, what colcon and pip install, and where."""

from __future__ import annotations

from importlib import metadata
import os
from pathlib import Path
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from workspace import colcon_build, REPOSITORY, without_coverage

TRAINING = REPOSITORY / 'training'
PACKAGES = ('sast_ros_training', 'sast_ros')

#: Prints the files of the commands that the core finds, and of the kernels.
COMMANDS = """
from importlib.metadata import distribution
from sast_ros.cli import COMMAND_GROUP
import sast_ros_training.kernels
for point in distribution('sast_ros_training').entry_points.select(group=COMMAND_GROUP):
    print(point.load().__file__)
print(sast_ros_training.kernels.__file__)
"""


def test_manifest_is_accepted_by_the_ros_tools():
    package_format = pytest.importorskip('catkin_pkg.package')
    warnings: list[str] = []
    package = package_format.parse_package(str(TRAINING / 'package.xml'), warnings=warnings)
    package.validate(warnings=warnings)
    assert not warnings
    assert 'sast_ros' in {dependency.name for dependency in package.exec_depends}


def test_both_packages_have_one_version_and_the_training_needs_the_core_of_it():
    version = ElementTree.parse(TRAINING / 'package.xml').findtext('version')
    assert version == ElementTree.parse(REPOSITORY / 'package.xml').findtext('version')
    assert metadata.version('sast_ros_training') == version
    required = metadata.requires('sast_ros_training') or []
    assert [name for name in required if re.match(rf'sast[_-]ros(\[.*\])?=={version}', name)]


def test_pip_is_told_where_the_core_is():
    advising = [REPOSITORY / 'sast_ros/cli/__init__.py', *REPOSITORY.glob('docs/**/*.md')]
    text = ' '.join(' '.join(path.read_text() for path in advising).split())
    commands = re.findall(r'pip install ((?:[^\s`]+ ){,4}?)\./training', text)
    assert len(commands) == 2 and set(commands) == {'. '}  # alone, pip would ask PyPI for it


def test_every_requirement_is_pinned():
    pinned = set(re.findall(r'^([\w.-]+)==', (REPOSITORY / 'constraints.txt').read_text(), re.M))
    required = metadata.requires('sast_ros_training') or []
    names = {re.split(r'[\[<>=!;]', name)[0].strip() for name in required}
    assert names - {'numpy', 'sast_ros'} <= pinned


def test_colcon_build_installs_commands_and_configurations(tmp_path):
    prefix = colcon_build(tmp_path, package='sast_ros_training')
    share = prefix / 'share'
    assert (share / 'sast_ros_training' / 'package.xml').is_file()
    assert (share / 'ament_index/resource_index/packages/sast_ros_training').exists()
    configurations = {path.name for path in (TRAINING / 'config').iterdir()}
    assert {path.name for path in (share / 'sast_ros_training/config').iterdir()} == configurations
    # Both installed copies work together, away from the repository
    sites = [next((prefix.parent / name).glob('lib/python3*/site-packages')) for name in PACKAGES]
    shown = subprocess.run(
        [sys.executable, '-c', COMMANDS],
        cwd=tmp_path,
        env={**without_coverage(), 'PYTHONPATH': os.pathsep.join(map(str, sites))},
        check=True,
        capture_output=True,
        text=True,
    )
    files = [Path(line) for line in shown.stdout.splitlines()]
    assert [file.stem for file in files] == ['simulate', 'train', '__init__']
    assert all(file.is_relative_to(sites[0]) for file in files)
