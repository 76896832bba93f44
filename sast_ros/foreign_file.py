# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Files that stand where a recording should be: pointers, error pages, nothing."""

from __future__ import annotations

from pathlib import Path

from sast_ros.bags.errors import RecordingError

_HTML = (b'<!doctype html', b'<html')


def foreign_content(path: Path) -> str:
    """
    Return what a file holds instead of a recording, and what to do; empty if nothing is known.

    Parameters
    ----------
    path : Path
        The file.

    """
    with path.open('rb') as file:
        head = file.read(1024)
    if not head:
        return 'is empty; record, copy or download it again'
    if head.startswith(b'version https://git-lfs'):
        return 'is a git-lfs pointer, not the recording itself; fetch it with "git lfs pull"'
    if head.removeprefix(b'\xef\xbb\xbf').lstrip().lower().startswith(_HTML):
        return 'is an HTML page, not a recording; download the file behind the page'
    return ''


def check_content(path: Path) -> None:
    """
    Refuse a file that is known to be something else than a recording.

    Raises
    ------
    RecordingError
        It is empty, a git-lfs pointer or an HTML page.

    """
    problem = foreign_content(path)
    if problem:
        raise RecordingError(f'{path} {problem}')
