# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Compiled inner loops (C) of the simulator and of the training."""

from pathlib import Path

from sast_ros.kernels import load_library

library = load_library(Path(__file__).parent)
