# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The repository is a proper ROS 2 package: manifests, what colcon installs, and where."""

from __future__ import annotations

from importlib import metadata
import os
from pathlib import Path
import re
import subprocess
import sys
from xml.etree import ElementTree

from packaging.requirements import Requirement
import pytest
from workspace import colcon_build, REPOSITORY, without_coverage

MANIFESTS = [REPOSITORY / 'package.xml', *sorted((REPOSITORY / 'msg').glob('*/package.xml'))]

# What launch files and the tools around them need, beyond the imports of the code.
LAUNCHING = {'launch', 'launch_ros', 'ros2bag', 'ros2launch', 'rosbag2_storage_mcap'}

# In no distribution of ROS 2, so that rosdep would fail. It is loaded by name where it is built.
UNRELEASED = 'dvs_msgs'

# Imported where it is installed.
OPTIONAL = {'foxglove_msgs'}


@pytest.mark.parametrize('manifest', MANIFESTS, ids=lambda path: path.parent.name)
def test_manifest_is_accepted_by_the_ros_tools(manifest):
    package_format = pytest.importorskip('catkin_pkg.package')
    warnings: list[str] = []
    package = package_format.parse_package(str(manifest), warnings=warnings)
    package.validate(warnings=warnings)
    assert not warnings
    assert package.package_format == 3
    assert package.licenses == ['Apache-2.0']


def test_manifest_declares_every_ros_package_that_is_imported():
    declared = {
        element.text
        for element in ElementTree.parse(REPOSITORY / 'package.xml').iter('exec_depend')
    }
    assert declared >= LAUNCHING
    assert UNRELEASED not in declared
    sources = [*(REPOSITORY / 'sast_ros').rglob('*.py'), *(REPOSITORY / 'launch').glob('*.py')]
    pattern = re.compile(
        r'^\s*(?:from|import) ([a-z_]+_(?:msgs|srvs|interfaces|py)|rclpy|launch|launch_ros)\b',
        re.M,
    )
    imported = {name for path in sources for name in pattern.findall(path.read_text())}
    assert 'rclpy' in imported
    assert imported - declared == OPTIONAL


def test_message_packages_list_every_message_that_they_hold():
    for folder in (path.parent for path in MANIFESTS[1:]):
        listed = set(re.findall(r'"(msg/\w+\.msg)"', (folder / 'CMakeLists.txt').read_text()))
        assert listed == {f'msg/{path.name}' for path in (folder / 'msg').iterdir()}


def test_the_version_has_one_source():
    version = ElementTree.parse(REPOSITORY / 'package.xml').findtext('version')
    assert metadata.version('sast_ros') == version


def named(path: str) -> set[str]:
    """Return the names of the packages in a file of requirements."""
    lines = (REPOSITORY / path).read_text().splitlines()
    return {re.split('[<>=;]', line)[0] for line in lines if re.match('[a-z]', line)}


def test_every_requirement_is_pinned():
    pinned = named('constraints.txt') | {'numpy'}
    assert named('tools/requirements.txt') <= pinned
    assert named('tools/ros_requirements.txt') <= pinned
    runtime = {re.split('[<>=;]', name)[0].strip() for name in metadata.requires('sast_ros') or []}
    assert runtime <= pinned


def test_numpy_is_pinned_for_the_set_up_and_left_alone_on_a_ros_installation():
    numpy = re.findall(
        r'^numpy\b.*$', (REPOSITORY / 'tools' / 'requirements.txt').read_text(), re.M
    )
    assert numpy
    assert all(line.startswith('numpy==') for line in numpy)
    for path in ('constraints.txt', 'tools/ros_requirements.txt'):
        assert 'numpy' not in named(path)


def test_a_ros_installation_gets_what_rosdep_does_not_install():
    keys = {element.text for element in ElementTree.parse(REPOSITORY / 'package.xml').iter()}
    modules = {'numpy': 'python3-numpy', 'pyyaml': 'python3-yaml', 'rich': 'python3-rich'}
    wanted = {
        re.split('[<>=;]', name)[0].strip()
        for name in metadata.requires('sast_ros') or []
        if 'extra' not in name or "extra == 'replay'" in name or 'extra == "replay"' in name
    }
    by_rosdep = {name for name, key in modules.items() if key in keys}
    assert wanted == by_rosdep | named('tools/ros_requirements.txt')
    assert not by_rosdep & named('tools/ros_requirements.txt')


def test_known_malicious_releases_are_excluded():
    setup = (REPOSITORY / 'training' / 'setup.py').read_text()
    (wanted,) = map(Requirement, re.findall(r"'(lightning[^']*)'", setup))
    (pinned,) = re.findall(
        r'^lightning==(\S+)$', (REPOSITORY / 'constraints.txt').read_text(), re.M
    )
    assert pinned in wanted.specifier
    assert not {'2.6.2', '2.6.3'} & set(wanted.specifier.filter(['2.6.1', '2.6.2', '2.6.3']))


def check_installation(prefix: Path) -> None:
    for name in ('detector', 'player', 'sast-ros'):
        script = prefix / 'lib' / 'sast_ros' / name
        assert script.is_file()
        assert os.access(script, os.X_OK)
    share = prefix / 'share' / 'sast_ros'
    assert (share / 'package.xml').is_file()
    for folder in ('launch', 'config'):
        files = [
            path
            for path in (REPOSITORY / folder).rglob('[!._]*')
            if path.is_file() and path.suffix != '.pyc'
        ]
        assert files
        assert not [path for path in files if not (share / path.relative_to(REPOSITORY)).is_file()]
    assert (prefix / 'share' / 'ament_index' / 'resource_index' / 'packages' / 'sast_ros').exists()


def test_colcon_build_installs_what_ros_looks_for(tmp_path):
    prefix = colcon_build(tmp_path)
    check_installation(prefix)
    (packages,) = prefix.glob('lib/python3*/site-packages/sast_ros')
    for folder in ('model/weights', 'example'):
        bundled = {path.name for path in (REPOSITORY / 'sast_ros' / folder).glob('*.*')}
        assert bundled <= {path.name for path in (packages / folder).iterdir()}
    (library,) = prefix.glob('lib/python3*/site-packages/sast_ros/kernels/_kernels*.so')
    # The installed copy works by itself, away from the repository.
    program = 'import sast_ros.kernels as k, sys; print(k.__file__)'
    environment = {**without_coverage(), 'PYTHONPATH': str(library.parents[2])}
    shown = subprocess.run(
        [sys.executable, '-c', program],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert shown.stdout.strip() == str(library.parent / '__init__.py')


def test_colcon_build_with_symlink_install_does_the_same(tmp_path):
    check_installation(colcon_build(tmp_path, '--symlink-install'))
