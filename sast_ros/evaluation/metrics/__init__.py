# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Metrics of paired recordings, one subject per module; ``summary`` computes all of them."""
