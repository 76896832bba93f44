# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The demonstration: a recording over ROS 2 topics through the node, and what came back.

Three processes take part, as on a robot: a player in place of the camera (``player.py``), the
detector node, and this one, which listens to both and draws. They meet in a ROS domain of their
own that does not leave the machine.
"""

from sast_ros.demo.processes import DemoError
from sast_ros.demo.run import run_demo

__all__ = ['DemoError', 'run_demo']
