# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The bundled recording: a few seconds of a simulated street, with labels; see README.md."""

from __future__ import annotations

import os
from pathlib import Path

#: What users call it, wherever a recording is named.
EXAMPLE = 'example'


def recording_path(name: str | os.PathLike[str]) -> Path:
    """
    Return the path of a recording; ``'example'`` is the bundled one.

    A file or folder of that name in the working directory comes first.
    """
    path = Path(name)
    if str(path) == EXAMPLE and not path.exists():
        return Path(__file__).with_name(f'{EXAMPLE}.mcap')
    return path
