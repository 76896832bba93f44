# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What tells recordings apart, wherever they lie."""

from __future__ import annotations

import hashlib
from pathlib import Path

#: As many bytes of a file are read at its beginning and at its end.
_EDGE = 1 << 20


def recording_digest(path: Path) -> str:
    """
    Return a digest of names and sizes of the files of a recording, and the edges of their content.

    It does not depend on the folder of the recording and the time of its files.

    Raises
    ------
    OSError
        If the recording cannot be read.

    """
    content = hashlib.sha256()
    for file in sorted(filter(Path.is_file, path.iterdir())) if path.is_dir() else [path]:
        size = file.stat().st_size
        content.update(f'{file.name} {size}\n'.encode(errors='surrogateescape'))
        with file.open('rb') as stream:
            content.update(stream.read(_EDGE))
            stream.seek(max(_EDGE, size - _EDGE))
            content.update(stream.read(_EDGE))
    return content.hexdigest()
