# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The errors of everything that reads recordings."""

from sast_ros.errors import SastError


class RecordingError(SastError, ValueError):
    """A recording that cannot be read, or whose topic is not unique; the text names the file."""


def is_of_system(error: BaseException) -> bool:
    """Return whether an error is of the system (open files, disk, network), not of a content."""
    return isinstance(error, OSError) and error.errno is not None
