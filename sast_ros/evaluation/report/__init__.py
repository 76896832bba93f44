# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The report: one page with metrics, plots and pictures of the worst errors."""
