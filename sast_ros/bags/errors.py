# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The error of everything that reads recordings."""

from sast_ros.errors import SastError


class RecordingError(SastError, ValueError):
    """A recording that cannot be read, or whose topic is not unique; the text names the file."""
