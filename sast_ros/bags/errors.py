# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The errors of everything that reads recordings."""

from __future__ import annotations

import errno
from tempfile import gettempdir

from sast_ros.errors import SastError


class RecordingError(SastError, ValueError):
    """A recording that cannot be read, or whose topic is not unique; the text names the file."""


def is_of_system(error: BaseException) -> bool:
    """Return whether an error is of the system (open files, disk, network), not of a content."""
    return isinstance(error, OSError) and error.errno is not None


def system_problem(error: BaseException) -> str:
    """Return what is wrong with the system, and what to do; empty for other errors."""
    if not isinstance(error, OSError) or not is_of_system(error):
        return ''
    if isinstance(error, PermissionError):
        return 'permission denied; change its permissions'
    if error.errno == errno.ENOSPC:
        return (
            f'there is no space to decompress it in {gettempdir()}; make room, or set TMPDIR to '
            'another folder'
        )
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f'{error.strerror}; close other programs, or raise the limit (ulimit -n)'
    return f'it cannot be read: {error.strerror}; check the disk or network that holds it'
