# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where an HDF5 file holds columns of events, and how they are stored there."""

from __future__ import annotations

from typing import Any, TYPE_CHECKING

import numpy as np
from sast_ros.bags import columns
from sast_ros.bags.errors import RecordingError

if TYPE_CHECKING:
    import h5py

#: Names of data sets with four columns of events.
_TABLES = ('events', 'event')

#: Attributes that may hold the unit of times, of their data set or its group.
_UNIT_ATTRIBUTES = ('unit', 'units', 'time_unit', 'timestamp_unit')

#: Objects of a file that are looked at, and groups inside groups.
_MAX_OBJECTS, _MAX_DEPTH = 20_000, 16

_LAYOUTS = (
    'a group with x, y, p and t (DSEC, M3ED, RVT) or xs, ys, ps and ts (E2VID), a compound data '
    'set with these fields (Metavision), or a data set events of four columns (v2e, MVSEC)'
)


class Source:
    """
    Columns of events in a file: four data sets, or fields or columns of one.

    Attributes
    ----------
    name : str
        Name of the group or data set, for the user.
    layout : str
        ``'dsec'``, ``'m3ed'``, ``'metavision'``, ``'columns'``, ``'compound'`` or ``'table'``.
    parts : dict of str to h5py.Dataset
        The data set of each column x, y, p, t.
    dtypes : dict of str to numpy.dtype
        The type of each column.

    """

    rank = 1

    def __init__(
        self, name: str, group: h5py.Group, parts: dict[str, h5py.Dataset], names: dict[str, str]
    ) -> None:
        self.name = name
        self.parts = parts
        self._group = group
        self._names = names
        self.layout = self._find_layout()
        self.dtypes = {field: self._dtype(field) for field in columns.FIELDS}

    def _dtype(self, field: str) -> np.dtype:
        return self.parts[field].dtype

    def _find_layout(self) -> str:
        file = self._group.file
        if self.name == '/events' and ('t_offset' in file or 'ms_to_idx' in file):
            return 'dsec'
        return 'm3ed' if self.name in ('/prophesee/left', '/prophesee/right') else 'columns'

    @property
    def count(self) -> int:
        """Number of events."""
        return min(int(part.shape[0]) if part.shape else 0 for part in self.parts.values())

    def check_rank(self) -> None:
        """Raise RecordingError if a column has several dimensions, or none."""
        for name, part in self.parts.items():
            if part.ndim != self.rank:
                raise RecordingError(
                    f'{part.file.filename}: {self.name}: {name} has shape {part.shape}; it must '
                    'have one value for each event'
                )

    def read(self, low: int, high: int) -> dict[str, np.ndarray]:
        """Return a part of the columns."""
        return {name: part[low:high] for name, part in self.parts.items()}

    def unit(self) -> str | None:
        """Return the unit of the times that attributes or name tell."""
        for holder in (self.parts['t'].attrs, self._group.attrs):
            for key in _UNIT_ATTRIBUTES:
                unit = columns.read_unit(_text(holder.get(key, '')))
                if unit:
                    return unit
        return columns.name_unit(self._names['t'])

    def sensor_size(self) -> tuple[int, int] | None:
        """Return the size ``(height, width)`` that the file states, in pixels."""
        if self.layout == 'metavision':
            width, _, height = _text(self._group.file.attrs.get('geometry', '')).partition('x')
            return _size(height, width)
        if self.layout == 'm3ed':
            resolution = self._group.get('calib/resolution')
            if getattr(resolution, 'shape', None) != (2,):
                return None
            width, height = resolution[:]
            return _size(height, width)
        for holder in (self.parts['t'], self._group, self._group.file):
            told = _told_size(holder)
            if told:
                return told
        return (480, 640) if self.layout == 'dsec' and 't_offset' in self._group.file else None


class _Compound(Source):
    """Fields of one data set."""

    def _dtype(self, field: str) -> np.dtype:
        return self.parts[field].dtype[self._names[field]]

    def _find_layout(self) -> str:
        return 'metavision' if self.name == '/CD' else 'compound'

    def read(self, low: int, high: int) -> dict[str, np.ndarray]:
        """Return a part of the fields, read at once."""
        rows = self.parts['t'].fields(list(self._names.values()))[low:high]
        return {field: rows[name] for field, name in self._names.items()}


class _Table(Source):
    """Four columns of one data set, in one of the usual orders."""

    rank = 2

    def _find_layout(self) -> str:
        self._order = ''
        return 'table'

    def read(self, low: int, high: int) -> dict[str, np.ndarray]:
        """Return a part of the columns; the first events decide about their order."""
        rows = self.parts['t'][low:high]
        self._order = self._order or columns.column_order(rows[: columns.SAMPLE])
        return {field: rows[:, self._order.index(field)] for field in columns.FIELDS}


def find_sources(file: h5py.File) -> tuple[list[Source], str]:
    """
    Return the columns of events in a file, and the end of a sentence on a file without any.

    Links to other files are not followed.
    """
    search = _Search()
    search.visit(file, 0)
    return search.sources, search.describe()


class _Search:
    """A walk through the groups of a file."""

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self._external: list[str] = []
        self._held: list[str] = []
        self._seen: set[int] = set()

    def visit(self, group: h5py.Group, depth: int) -> None:
        """Add the sources of a group and of those inside it."""
        import h5py

        datasets: dict[str, h5py.Dataset] = {}
        groups = []
        for name in group:
            link = group.get(name, getlink=True)
            path = f'{group.name.rstrip("/")}/{name}'
            if isinstance(link, h5py.ExternalLink):
                self._external.append(path)
            # What a soft link names is found at its own place, or lies in another file
            if not isinstance(link, h5py.HardLink) or len(self._seen) >= _MAX_OBJECTS:
                continue
            self._held.append(path[1:])
            entry = group[name]
            address = h5py.h5o.get_info(entry.id).addr
            if isinstance(entry, h5py.Dataset):
                datasets[name] = entry
            elif isinstance(entry, h5py.Group) and address not in self._seen:
                groups.append(entry)
            self._seen.add(address)
        self._add(group, datasets)
        for entry in groups if depth < _MAX_DEPTH else ():
            self.visit(entry, depth + 1)

    def _add(self, group: h5py.Group, datasets: dict[str, h5py.Dataset]) -> None:
        """Add the sources among the data sets of a group."""
        names = columns.find_fields(datasets)
        if names:
            parts = {field: datasets[name] for field, name in names.items()}
            self.sources.append(Source(group.name, group, parts, names))
        for name, dataset in datasets.items():
            parts = dict.fromkeys(columns.FIELDS, dataset)
            names = columns.find_fields(dataset.dtype.names or ())
            if names:
                title = '/CD' if dataset.name == '/CD/events' else dataset.name
                self.sources.append(_Compound(title, group, parts, names))
            elif name in _TABLES and dataset.ndim == 2 and dataset.shape[1] == 4:
                self.sources.append(_Table(dataset.name, group, parts, {'t': 't'}))

    def describe(self) -> str:
        """Return the end of a sentence on a file without sources."""
        if self._external:
            return (
                f'refers to another file ({_listing(self._external)}); only what the file itself '
                'holds is read, so copy the events into it'
            )
        held = _listing(self._held) or 'nothing'
        return f'holds {held}, but no events in a layout that is read; convert it to {_LAYOUTS}'


def _listing(names: list[str]) -> str:
    texts = [repr(name)[1:-1] for name in names[:8]]
    return ', '.join(texts) + (f' and {len(names) - 8} more' if len(names) > 8 else '')


def read_integer(holder: h5py.Group | h5py.Dataset, name: str) -> int:
    """Return an integer, an attribute or a data set of a group; 0 if there is none."""
    import h5py

    value: Any = holder.attrs.get(name)
    if (
        value is None
        and isinstance(holder, h5py.Group)
        and isinstance(holder.get(name, getlink=True), h5py.HardLink)
    ):
        entry = holder[name]
        if not isinstance(entry, h5py.Dataset) or entry.size != 1:
            return 0
        if entry.external or entry.is_virtual:
            return 0
        value = entry[()]
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in 'iuf':
        return 0
    number = array.reshape(-1)[0]
    return int(number) if abs(float(number)) < 2**60 else 0


def _told_size(holder: h5py.Group | h5py.Dataset) -> tuple[int, int] | None:
    """Return the size by ``height`` and ``width``, or ``sensor_resolution`` of E2VID."""
    resolution = np.asarray(holder.attrs.get('sensor_resolution', ()))
    if resolution.size >= 2 and resolution.dtype.kind in 'iu':
        return _size(*resolution.reshape(-1)[:2])
    return _size(*(read_integer(holder, side) for side in ('height', 'width')))


def _size(height: Any, width: Any) -> tuple[int, int] | None:
    try:
        size = int(height), int(width)
    except ValueError:
        return None
    return size if all(side > 0 for side in size) else None


def _text(value: object) -> str:
    return value.decode('latin-1') if isinstance(value, bytes) else str(value)
