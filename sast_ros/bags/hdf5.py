# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
HDF5 files of the public data sets as recordings.

Three layouts are read: that of DSEC (group ``events`` with ``x``, ``y``, ``p``, ``t``, and
``t_offset`` beside it), that of M3ED (the same four in ``prophesee/left`` and
``prophesee/right``), and that of Metavision (compound ``CD/events``).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TYPE_CHECKING

import numpy as np
from sast_ros.bags.blocks import BlockRecording, Columns
from sast_ros.bags.errors import RecordingError
from sast_ros.bags.recording import EventTopic

if TYPE_CHECKING:
    import h5py

HDF5_SUFFIXES = ('.h5', '.hdf5')

#: Group of the events, by layout.
_LAYOUTS = {
    'CD': 'metavision',
    'events': 'dsec',
    'prophesee/left': 'm3ed',
    'prophesee/right': 'm3ed',
}

_FIELDS = ('x', 'y', 'p', 't')

#: Events read at a time; the upper limit applies where the file is compressed in larger pieces.
_MIN_SLICE, _MAX_SLICE = 1 << 17, 1 << 21

#: Bytes of decompressed data that HDF5 keeps for every column.
_CACHE = 1 << 25

#: Registered by Prophesee for its Event Compression Format.
_ECF = 0x8ECF


class Hdf5Recording(BlockRecording):
    """
    Events of one camera in an HDF5 file; time is that of the data set, microseconds.

    Parameters
    ----------
    path : Path
        The file.
    topic : str, optional
        Group with the events, for example ``'/prophesee/left'``; by default the only one.

    Raises
    ------
    RecordingError
        h5py or a compression is not installed, the file is damaged or of an unknown layout, or no
        single group to read.

    """

    def __init__(self, path: Path, topic: str | None = None) -> None:
        self.path = path
        self.format = 'hdf5'
        try:
            import h5py
            import hdf5plugin  # noqa: F401 - registers the compressions
        except ImportError as error:
            raise RecordingError(
                f'{path}: reading HDF5 needs {error.name}, which is not installed; pip install '
                'h5py hdf5plugin'
            ) from error
        try:
            self._file = h5py.File(path, 'r', rdcc_nbytes=_CACHE)
        except OSError as error:
            raise RecordingError(
                f'{path} cannot be read as HDF5 ({error}); copy it again'
            ) from error
        try:
            self._select_group(topic)
        except (OSError, KeyError, ValueError) as error:
            self.close()
            if isinstance(error, RecordingError):
                raise
            raise RecordingError(
                f'{path} is damaged or no event recording ({error}); copy it again'
            ) from error
        self.byte_size = path.stat().st_size
        self.progress = (0, len(self._columns['t']), 'events')

    def _select_group(self, wanted: str | None) -> None:
        groups = [name for name in _LAYOUTS if name in self._file]
        self.topics = tuple(
            EventTopic(f'/{name}', _LAYOUTS[name], len(_columns(self._file[name])['t']))
            for name in groups
        )
        listing = ', '.join(f'{each.name} ({each.message_count} events)' for each in self.topics)
        if not groups:
            held = ', '.join(self._file) or 'nothing'
            raise RecordingError(
                f'{self.path} holds {held}, but no events in the layout of DSEC (events/x), M3ED '
                '(prophesee/left/x) or Metavision (CD/events); convert it to one of them'
            )
        if wanted is not None:
            groups = [name for name in groups if name == wanted.strip('/')]
        if not groups:
            raise RecordingError(
                f'{self.path} has no group {wanted} with events; choose with --topic: {listing}'
            )
        if len(groups) > 1:
            raise RecordingError(
                f'{self.path} has {len(groups)} groups with events; choose with --topic, once for '
                f'each camera: {listing}'
            )
        (name,) = groups
        self.topic, self.type = f'/{name}', _LAYOUTS[name]
        self._columns = _columns(self._file[name])
        for column in self._columns.values():
            _check_filters(self.path, column)
        times = self._columns['t']
        if times.dtype.kind not in 'iu':
            raise RecordingError(
                f'{self.path}: {self.topic} has times of type {times.dtype}; they must be '
                'microseconds as integers'
            )
        self._offset = int(self._file['t_offset'][()]) if 't_offset' in self._file else 0
        count = len(times)
        self.duration = float(int(times[count - 1]) - int(times[0])) / 1e6 if count else 0.0

    @property
    def sensor_size(self) -> tuple[int, int] | None:
        """Sensor size ``(height, width)`` from the file; the cameras of DSEC have 640x480."""
        if self.type == 'dsec':
            return (480, 640) if 't_offset' in self._file else None
        if self.type == 'm3ed':
            resolution = self._file.get(f'{self.topic}/calib/resolution')
            width, height = (0, 0) if resolution is None else map(int, resolution[:2])
        else:
            geometry = self._file.attrs.get('geometry', '')
            text = geometry.decode() if isinstance(geometry, bytes) else str(geometry)
            width, height = (
                int(side) if side.isdecimal() else 0 for side in text.partition('x')[::2]
            )
        return (height, width) if height and width else None

    def _blocks(self) -> Iterator[Columns]:
        total = len(self._columns['t'])
        self.progress = (0, total, 'events')
        pieces = [column.chunks[0] for column in self._columns.values() if column.chunks]
        step = min(max([_MIN_SLICE, *pieces]), _MAX_SLICE)
        for low in range(0, total, step):
            high = min(low + step, total)
            try:
                x, y, p, t = (self._columns[name][low:high] for name in _FIELDS)
            except OSError as error:
                raise RecordingError(
                    f'{self.path}: events {low} to {high} of {self.topic} are damaged: {error}; '
                    'copy it again'
                ) from error
            self.progress = (high, total, 'events')
            # Some write -1 for OFF
            yield x, y, (p > 0).astype(np.uint8), t.astype(np.int64) + self._offset

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _columns(group: h5py.Group) -> dict[str, Any]:
    """Return the data sets, or fields of one, with x, y, p and t."""
    if 'events' in group:
        compound = group['events']
        return {name: _Field(compound, name) for name in _FIELDS}
    return {name: group[name] for name in _FIELDS}


class _Field:
    """One field of a compound data set, sliced like a data set of its own."""

    def __init__(self, compound: h5py.Dataset, name: str) -> None:
        self.dtype = compound.dtype[name]
        self.chunks = compound.chunks
        self.id = compound.id
        self._compound = compound.fields(name)

    def __len__(self) -> int:
        return self.id.shape[0]

    def __getitem__(self, part: int | slice) -> np.ndarray:
        return self._compound[part]


def _check_filters(path: Path, column: Any) -> None:
    """Raise RecordingError if a compression of the file is not installed."""
    from h5py import h5z

    properties = column.id.get_create_plist()
    for index in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(index)
        if h5z.filter_avail(code):
            continue
        if code == _ECF:
            raise RecordingError(
                f'{path} is compressed with ECF of Prophesee, which is not installed; build the '
                'plugin from github.com/prophesee-ai/hdf5_ecf and set HDF5_PLUGIN_PATH to its '
                'folder, or export the recording as .raw'
            )
        raise RecordingError(
            f'{path} is compressed with the HDF5 filter {code} ({name.decode() or "no name"}), '
            'which is not installed; install its plugin and set HDF5_PLUGIN_PATH to the folder'
        )
