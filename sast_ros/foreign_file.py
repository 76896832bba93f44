# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Files that stand where another one should be: pointers, pages of errors, nothing."""

from __future__ import annotations

from pathlib import Path

#: What pages of websites, and errors of file servers, have at their beginning.
_HTML, _XML = (b'<html', b'<!doctype'), (b'<?xml', b'<error')


def foreign_content(path: Path, wanted: str) -> str:
    """
    Return what a file is, and what to do, if it only stands for another one; else nothing.

    Parameters
    ----------
    path : Path
        The file.
    wanted : str
        What it should be, with its article.

    """
    with path.open('rb') as file:
        head = file.read(1024)
    if not head:
        return 'is empty; copy or download it again'
    if head.startswith(b'version https://git-lfs'):
        return f'is a git-lfs pointer instead of {wanted}; fetch the file with "git lfs pull"'
    text = head.replace(b'\0', b'').lstrip(b'\xef\xbb\xbf\xff\xfe\t\n\r ').lower()
    marks = _HTML if path.suffix.lower() == '.xml' else _HTML + _XML
    if text.startswith(b'<') and any(mark in text for mark in marks):
        return (
            f'is a web page (HTML), not {wanted}; download the file itself, for which the site '
            'may want a login or another link'
        )
    return ''
