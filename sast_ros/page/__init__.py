# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The live page: a small web server that shows pictures and figures of a detector, without ROS."""

from sast_ros.page.server import PageError, PageServer

__all__ = ['PageError', 'PageServer']
