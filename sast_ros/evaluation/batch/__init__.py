# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Replays of many recordings: in this process, in worker processes, or on a Ray cluster."""
