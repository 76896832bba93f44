# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Simulated event cameras in simulated streets; see ``sequence.SimulatedSequence``."""
