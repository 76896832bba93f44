# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Events to files: one writer for each format, selected by the extension of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sast_ros.bags.writers.arrays import NpzWriter
from sast_ros.bags.writers.base import EventWriter
from sast_ros.bags.writers.hdf5 import Hdf5Writer
from sast_ros.bags.writers.prophesee import DatWriter, RawWriter
from sast_ros.bags.writers.rosbag import McapWriter, MESSAGES
from sast_ros.bags.writers.text import TextWriter
from sast_ros.errors import SettingError

__all__ = ['MESSAGES', 'WRITERS', 'EventWriter', 'McapWriter', 'find_writer', 'open_writer']

#: Writers by the extension of the file.
WRITERS: dict[str, type[EventWriter]] = {
    '.mcap': McapWriter,
    '.raw': RawWriter,
    '.dat': DatWriter,
    '.h5': Hdf5Writer,
    '.hdf5': Hdf5Writer,
    '.npz': NpzWriter,
    '.csv': TextWriter,
    '.txt': TextWriter,
}


def open_writer(
    path: Path, sensor_size: tuple[int, int] | None, *, force: bool = False, **options: Any
) -> EventWriter:
    """
    Return the writer of a file; its extension selects the format.

    Parameters
    ----------
    path : Path
        The file to write.
    sensor_size : tuple of int or None
        (height, width) in pixels, ``None`` if unknown.
    force : bool
        Whether to replace a file that exists.
    **options : Any
        Keyword arguments of ``McapWriter``.

    Raises
    ------
    SettingError
        No format has this extension, the file exists, or the format cannot hold the sensor.

    """
    make = find_writer(path)
    if make is not McapWriter:
        options = {}
    return make(path, sensor_size, force=force, **options)


def find_writer(path: Path) -> type[EventWriter]:
    """
    Return the writer of files with this extension.

    Raises
    ------
    SettingError
        No format has it.

    """
    make = WRITERS.get(path.suffix.lower())
    if make is None:
        if path.is_dir():
            raise SettingError(f'{path} is a folder; name a file in it, or the format with --to')
        raise SettingError(
            f'{path}: no format is written under the extension {path.suffix!r}; choose one of '
            f'{", ".join(WRITERS)}'
        )
    return make
