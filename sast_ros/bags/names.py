# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a recording is called: the name of its file without the suffixes of known formats."""

from __future__ import annotations

import os
from pathlib import Path

#: Of compressed files, and of those that rosbag1 is still writing.
_OUTER = ('.zstd', '.zst', '.gz', '.lz4', '.active')

_FORMATS = (
    *('.mcap', '.db3', '.bag', '.raw', '.dat', '.h5', '.hdf5', '.aedat4', '.es'),
    *('.txt', '.csv', '.npy', '.npz', '.zip'),
)

#: Of these two suffixes the file is converted from the format of the first one.
_CONVERTED = (('.raw', '.dat'), ('.h5', '.hdf5'))


def recording_stem(path: str | os.PathLike[str]) -> str:
    """
    Return the name of a recording without the suffixes of known formats, as they are nested.

    ``run_1.5.mcap.zstd`` and the folder ``run_1.5`` are ``run_1.5``, ``X_td.dat.h5`` is ``X_td``.
    """
    name = _without(Path(path).name, _OUTER)
    stem = _without(name, _FORMATS)
    if name.lower().endswith(_CONVERTED[1]):
        stem = _without(stem, _CONVERTED[0])
    return stem


def _without(name: str, suffixes: tuple[str, ...]) -> str:
    """Return the name without one of the suffixes, unless nothing else is left."""
    found = next((suffix for suffix in suffixes if name.lower().endswith(suffix)), '')
    return name[: len(name) - len(found)] or name
