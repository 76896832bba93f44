# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Arrays of numpy as recordings: ``.npy`` and ``.npz``.

A ``.npy`` file holds ``[N, 4]`` values or a structured array; a ``.npz`` archive holds such an
array, or arrays ``x``, ``y``, ``p``, ``t``, and may state ``width`` and ``height``. ``columns.py``
has the rules of names, units and polarities. The files are read in parts; nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
import warnings
import zipfile
import zlib

import numpy as np
from sast_ros.bags import columns
from sast_ros.bags.blocks import BlockRecording, Columns
from sast_ros.bags.errors import RecordingError, system_problem
from sast_ros.npy import check_npy_header

ARRAY_SUFFIXES = ('.npy', '.npz')

#: Events read at a time, and bytes of one event, all its fields included.
_BLOCK, _MAX_ITEM = 1 << 18, 1024

_DAMAGES = (EOFError, OSError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, slots=True)
class _Array:
    """
    An array in a file: how to open it, and what its header states.

    Attributes
    ----------
    open : callable
        Returns a new stream of the file.
    size, start : int
        Bytes of the file, and of the header in it.

    """

    open: Callable[[], BinaryIO]  # noqa: A003 - what it is called everywhere
    size: int
    start: int
    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool

    @property
    def rows(self) -> int:
        """Number of events by the header."""
        return self.shape[0] if self.shape else 0

    @property
    def is_table(self) -> bool:
        """Whether the array has the four columns of events."""
        named = self.dtype.names and columns.find_fields(self.dtype.names)
        return bool(named) if self.dtype.names else self.shape[1:] == (4,)


class ArrayRecording(BlockRecording):
    """
    Events of a ``.npy`` or ``.npz`` file, time as in the file.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    RecordingError
        The file is damaged, or holds no such arrays.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.format = path.suffix[1:].lower()
        self.byte_size = path.stat().st_size
        self._files = ExitStack()
        try:
            self._open()
        except RecordingError:
            self.close()
            raise
        except _DAMAGES as error:
            self.close()
            reason = system_problem(error) or (
                f'it is damaged or holds no arrays ({error}); copy it again'
            )
            raise RecordingError(f'{path}: {reason}') from error
        self.progress = (0, self._count, 'events')

    def _open(self) -> None:
        arrays = self._read_headers()
        self._size = self._read_size(arrays)
        tables = {name: array for name, array in arrays.items() if array.is_table}
        names = columns.find_fields(arrays)
        if names:
            self._parts = {field: arrays[name] for field, name in names.items()}
            unit = columns.name_unit(names['t'])
            self.type = 'columns'
        elif len(tables) == 1:
            (table,) = tables.values()
            self._parts = dict.fromkeys(columns.FIELDS, table)
            fields = columns.find_fields(table.dtype.names or ())
            unit = columns.name_unit(fields['t']) if fields else None
            self.type = 'compound' if fields else 'table'
        else:
            held = ', '.join(
                f'{name!r} {array.dtype} {array.shape}' for name, array in arrays.items()
            )
            raise RecordingError(
                f'{self.path} holds {held[:200] or "nothing"}; one array of shape (N, 4), one '
                'structured array, or x, y, p and t are read'
            )
        self._check()
        sample = next(self._read(columns.SAMPLE), None)
        self._unit = unit or ('us' if sample is None else columns.time_unit(sample['t']))

    def _read_headers(self) -> dict[str, _Array]:
        """Return the arrays of the file by name."""
        if self.format == 'npy':
            return {'events': self._read_header('', lambda: self.path.open('rb'), self.byte_size)}
        archive = self._files.enter_context(zipfile.ZipFile(self.path))
        arrays = {}
        for entry in archive.infolist():
            if not entry.filename.endswith('.npy'):
                continue
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise RecordingError(
                    f'{self.path} is not compressed as numpy does; save it with savez_compressed'
                )

            def open_entry(entry: zipfile.ZipInfo = entry) -> Any:
                return archive.open(entry)

            name = entry.filename[: -len('.npy')]
            arrays[name] = self._read_header(f': {name}', open_entry, entry.file_size)
        return arrays

    def _read_header(self, name: str, open_array: Callable[[], BinaryIO], size: int) -> _Array:
        place = f'{self.path}{name}'
        with open_array() as file:
            try:
                read = np.lib.format.read_array_header_1_0
                if check_npy_header(file, size) != (1, 0):
                    read = np.lib.format.read_array_header_2_0
                with warnings.catch_warnings():  # that Python 2 wrote it is of no interest
                    warnings.simplefilter('ignore')
                    shape, fortran, dtype = read(file)
            except Exception as error:  # of Python source, which numpy parses
                reason = str(error).partition('\n')[0]
                raise RecordingError(
                    f'{place} has no valid header of an array ({reason[:100]}); save it again '
                    'with numpy.save'
                ) from error
            start = file.tell()
        if dtype.hasobject:
            raise RecordingError(
                f'{place} holds Python objects, which are not read because they can run programs; '
                'save numbers'
            )
        if any(side < 0 for side in shape) or dtype.itemsize > _MAX_ITEM:
            raise RecordingError(
                f'{place} has values of {dtype.itemsize} bytes and the shape {shape}; save numbers'
            )
        return _Array(open_array, size, start, dtype, shape, fortran and len(shape) > 1)

    def _read_size(self, arrays: dict[str, _Array]) -> tuple[int, int] | None:
        """Return the size ``(height, width)`` that an archive may state."""
        sides = []
        for name in ('height', 'width'):
            array = arrays.get(name)
            if array is None or array.shape not in ((), (1,)) or array.dtype.kind not in 'iu':
                return None
            with array.open() as file:
                file.seek(array.start)
                (side,) = np.frombuffer(file.read(array.dtype.itemsize), array.dtype)
            sides.append(int(side))
        return (sides[0], sides[1]) if min(sides) > 0 else None

    def _check(self) -> None:
        """Raise RecordingError for columns of other types or lengths; count the events."""
        for field, array in self._parts.items():
            dtype, rank = array.dtype, 1
            if dtype.names:
                dtype = dtype[columns.find_fields(dtype.names)[field]]
            elif self.type == 'table':
                rank = 2
            columns.check_type(str(self.path), field, dtype)
            if len(array.shape) != rank:
                raise RecordingError(
                    f'{self.path}: {field} has shape {array.shape}; it must have one value for '
                    'each event'
                )
        rows = {field: array.rows for field, array in self._parts.items()}
        if len(set(rows.values())) > 1:
            listing = ', '.join(f'{field} {count}' for field, count in rows.items())
            raise RecordingError(
                f'{self.path}: the columns are of different lengths ({listing}); save them again'
            )
        array = self._parts['t']
        size = array.dtype.itemsize * (4 if self.type == 'table' else 1)
        self._count = min(array.rows, (array.size - array.start) // size)

    @property
    def sensor_size(self) -> tuple[int, int] | None:
        """Sensor size ``(height, width)`` if the archive states it."""
        return self._size

    def _blocks(self) -> Iterator[Columns]:
        """Yield the events in runs of bounded size."""
        self.progress, self.missing = (0, self._count, 'events'), ''
        done, rows = 0, self._parts['t'].rows
        count = columns.RowCount()
        try:
            for raw in self._read(_BLOCK):
                block = columns.convert(raw, self._unit, str(self.path), done, count)
                done += len(block[3])
                self.progress = (done, self._count, 'events')
                yield block
        except RecordingError:
            raise
        except _DAMAGES as error:
            reason = system_problem(error)
            if reason or not done:
                reason = reason or f'it is damaged ({error}); copy it again'
                raise RecordingError(f'{self.path}: {reason}') from error
            self.missing = (
                f'{self.path.name} is damaged ({error}): {done} of its {rows} events can be read'
            )
        else:
            if done < rows:
                self.missing = (
                    f'{self.path.name} is truncated: it holds {done} of its {rows} events'
                )

    def _read(self, step: int) -> Iterator[dict[str, np.ndarray]]:
        """Yield columns of at most that many events, up to the end of the file."""
        order = ''
        table, rows = self._parts['t'], self._parts['t'].rows
        with ExitStack() as stack:
            streams = [stack.enter_context(each) for each in self._open_streams()]
            for low in range(0, rows, step):
                count = min(step, rows - low)
                arrays = [stream.read(count) for stream in streams]
                found = min(map(len, arrays))
                arrays = [array[:found] for array in arrays]
                if self.type == 'columns':
                    raw = dict(zip(columns.FIELDS, arrays, strict=True))
                elif table.dtype.names:
                    names = columns.find_fields(table.dtype.names)
                    raw = {field: arrays[0][names[field]] for field in columns.FIELDS}
                else:
                    values = arrays[0] if len(arrays) == 1 else np.stack(arrays, 1)
                    order = order or columns.column_order(values[: columns.SAMPLE])
                    raw = {field: values[:, order.index(field)] for field in columns.FIELDS}
                if found:
                    yield raw
                if found < count:
                    return

    def _open_streams(self) -> Iterator[_Stream]:
        """Open the streams of the columns, in the order of the fields or of the table."""
        if self.type == 'columns':
            for array in self._parts.values():
                yield _Stream(array, 0, 1)
            return
        table = self._parts['t']
        if self.type == 'table' and table.fortran:
            for column in range(4):
                yield _Stream(table, column * table.rows, 1)
        else:
            yield _Stream(table, 0, 4 if self.type == 'table' else 1)

    def close(self) -> None:
        """Close the file."""
        self._files.close()


class _Stream:
    """Values of an array from an index on, of which ``columns`` make a row."""

    def __init__(self, array: _Array, first: int, columns: int) -> None:
        self._dtype, self._columns = array.dtype, columns
        self._file = array.open()
        self._file.seek(min(array.start + first * array.dtype.itemsize, array.size))

    def read(self, rows: int) -> np.ndarray:
        """Return the next rows, fewer at the end of the file."""
        size = self._dtype.itemsize * self._columns
        data = self._file.read(rows * size)
        values = np.frombuffer(data[: len(data) // size * size], self._dtype)
        return values if self._columns == 1 else values.reshape(-1, self._columns)

    def __enter__(self) -> _Stream:
        """Return the stream itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the file."""
        self._file.close()
