# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a recording is called: the name of its file without the suffixes of known formats."""

from __future__ import annotations

import os
from pathlib import Path
import shlex

#: Of compressed files, and of those that rosbag1 is still writing.
_OUTER = ('.zstd', '.zst', '.gz', '.lz4', '.active')

#: Of recordings; text and arrays, which may be something else, come last.
RECORDING_SUFFIXES = (
    *('.mcap', '.db3', '.bag', '.raw', '.dat', '.h5', '.hdf5', '.aedat4', '.es'),
    *('.txt', '.csv', '.npy', '.npz', '.zip'),
)

#: Names of compressions, and the commands that undo them.
_COMPRESSIONS = {
    '.gz': ('gzip', 'gunzip {name}'),
    '.zst': ('zstd', 'zstd -d {name} -o {plain}'),
    '.zstd': ('zstd', 'zstd -d {name} -o {plain}'),
    '.lz4': ('lz4', 'lz4 -d {name} {plain}'),
    '.bz2': ('bzip2', 'bunzip2 {name}'),
    '.xz': ('xz', 'unxz {name}'),
}

#: Of these two suffixes the file is converted from the format of the first one.
_CONVERTED = (('.raw', '.dat'), ('.h5', '.hdf5'))


def recording_stem(path: str | os.PathLike[str]) -> str:
    """
    Return the name of a recording without the suffixes of known formats, as they are nested.

    ``run_1.5.mcap.zstd`` and the folder ``run_1.5`` are ``run_1.5``, ``X_td.dat.h5`` is ``X_td``.
    """
    name = _without(Path(path).name, _OUTER)
    stem = _without(name, RECORDING_SUFFIXES)
    if name.lower().endswith(_CONVERTED[1]):
        stem = _without(stem, _CONVERTED[0])
    return stem


def recording_suffix(path: str | os.PathLike[str]) -> str:
    """Return which of ``RECORDING_SUFFIXES`` a file has, compressed or not; else nothing."""
    name = _without(Path(path).name, _OUTER).lower()
    return next((suffix for suffix in RECORDING_SUFFIXES if name.endswith(suffix)), '')


def compression_problem(path: Path) -> str:
    """
    Return what is wrong with a compressed recording that is not read, and what to do.

    Empty for a file that is not called like a recording with a suffix of a compression.
    """
    method, command = _COMPRESSIONS.get(path.suffix.lower(), ('', ''))
    inner = path.stem.lower().removesuffix('.active')
    if not method or not inner.endswith(RECORDING_SUFFIXES):
        return ''
    command = command.format(name=shlex.quote(path.name), plain=shlex.quote(path.stem))
    return f'is compressed with {method}; decompress it first ({command})'


def _without(name: str, suffixes: tuple[str, ...]) -> str:
    """Return the name without one of the suffixes, unless nothing else is left."""
    found = next((suffix for suffix in suffixes if name.lower().endswith(suffix)), '')
    return name[: len(name) - len(found)] or name
