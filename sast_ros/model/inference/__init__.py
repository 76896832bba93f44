# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What advances the network fast.

The only place with private operators of PyTorch and compiled loops; the reference in
``sast_ros.model`` imports nothing from here.
"""

from sast_ros.model.inference.engine import Engine

__all__ = ['Engine']
