# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The node needs torch, numpy, safetensors and the ROS packages, nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

# Distributions that ROS itself brings: rclpy and launch import yaml.
OPTIONAL = (
    *('av', 'lz4', 'mcap', 'PIL', 'rich', 'rosbags', 'zstandard', 'h5py', 'hdf5plugin'),
    *(
        'matplotlib',
        'ray',
        'jinja2',
        'faster_coco_eval',
        'onnx',
        'onnxscript',
        'onnxruntime',
        'aiohttp',
        'rerun',
        'foxglove',
        'pyarrow',
        'lightning',
        'scipy',
        'sast_ros_training',
    ),
)

PROGRAM = f"""
import importlib.abc, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        # torch looks for optional packages of its own
        if name.partition('.')[0] in {OPTIONAL} and not importer().startswith('torch'):
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)

def importer():
    frame = sys._getframe()
    while frame is not None:
        name = frame.f_globals.get('__name__', '')
        if name.partition('.')[0] in ('torch', 'sast_ros', '__main__') and name != __name__:
            return name
        frame = frame.f_back
    return ''

sys.meta_path.insert(0, Blocked())
import rclpy
from sast_ros.ros.detector_node import DetectorNode
from rclpy.lifecycle import TransitionCallbackReturn
rclpy.init()
node = DetectorNode(parameter_overrides=[rclpy.parameter.Parameter('autostart', value=False)])
assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
node.close()
print('ready')
"""


def test_the_node_starts_without_any_optional_package(ros_domain):
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip().endswith('ready'), done.stderr


@pytest.mark.parametrize('missing', ['numpy', 'safetensors', 'torch'])
def test_a_package_that_it_needs_is_named_with_what_to_do(ros_domain, missing):
    """As after ``colcon build`` with another Python than that with the packages."""
    program = (
        f'import sys; sys.modules[{missing!r}] = None; '
        'sys.argv[1:] = ["--ros-args", "-p", "autostart_required:=true"]; '
        'from sast_ros.ros.start import detector; sys.exit(detector())'
    )
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, timeout=120
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert f'{missing} is not installed' in said
    assert 'Traceback' not in said
