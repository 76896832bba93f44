# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""HDF5 in the layout of DSEC."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from pathlib import Path
from typing import Any, IO, TYPE_CHECKING

import numpy as np
from sast_ros.bags.writers.base import BATCH, BatchWriter
from sast_ros.errors import SettingError

if TYPE_CHECKING:
    import h5py

_TYPES = {'x': np.uint16, 'y': np.uint16, 'p': np.uint8, 't': np.int64}


class Hdf5Writer(BatchWriter):
    """
    Write ``.h5``: data sets ``x``, ``y``, ``p``, ``t`` in the group ``events``.

    Times are microseconds of the recording's clock. ``events/width`` and ``events/height`` have
    the size of the sensor. The compression (gzip) is part of every HDF5 library.
    """

    name = 'HDF5'

    def __init__(
        self, path: Path, sensor_size: tuple[int, int] | None, *, force: bool = False
    ) -> None:
        try:
            import h5py
        except ImportError as error:
            raise SettingError(
                f'{path}: writing HDF5 needs {error.name}, which is not installed; pip install '
                'h5py'
            ) from error
        super().__init__(path, sensor_size, force=force)
        self._open = h5py.File
        self._file: h5py.File | None = None
        self._guarded = _GuardedStream(self._stream)

    def _begin(self) -> h5py.File:
        self._file = file = self._open(self._guarded, 'w')
        group = file.create_group('events')
        if self.width:
            group['width'], group['height'] = np.uint32(self.width), np.uint32(self.height)
        self._columns = [
            group.create_dataset(
                name,
                (0,),
                dtype,
                chunks=(BATCH,),
                maxshape=(None,),
                compression='gzip',
                compression_opts=1,
                shuffle=True,
            )
            for name, dtype in _TYPES.items()
        ]
        self._columns[3].attrs['unit'] = 'us'
        return file

    def _append(self, x: np.ndarray, y: np.ndarray, p: np.ndarray, t: np.ndarray) -> None:
        with self._guarded.errors():
            if self._file is None:
                self._begin()
            for column, values in zip(self._columns, (x, y, p, t)):
                written = len(column)
                column.resize(written + len(values), 0)
                column[written:] = values

    def _finish(self) -> None:
        super()._finish()
        with self._guarded.errors():
            (self._file or self._begin()).close()

    def __exit__(self, *exception: object) -> None:
        """Remove the file if it was not finished."""
        with contextlib.suppress(Exception):
            if self._file is not None:
                self._file.close()  # writes to the stream
        super().__exit__(*exception)


class _GuardedStream:
    """
    A file whose errors wait until ``errors`` ends; after the first one nothing is written.

    An exception inside the callbacks of HDF5, of a full disk for example, ends the process.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._error: OSError | None = None

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Raise the first error of the system at the end, rather than those that follow."""
        try:
            yield
        except Exception as error:
            raise (self._error or error) from None
        if self._error is not None:
            raise self._error

    def seek(self, offset: int, whence: int = 0) -> int:
        """Change the place of the next access."""
        return self._try(self._stream.seek, offset, whence, instead=offset)

    def tell(self) -> int:
        """Return the place of the next access."""
        return self._try(self._stream.tell, instead=0)

    def read(self, size: int) -> bytes:
        """Return that many bytes, zeros where there are none."""
        return self._try(self._stream.read, size, instead=b'').ljust(size, b'\0')

    def write(self, data: bytes) -> int:
        """Write all of the data."""
        return self._try(self._stream.write, data, instead=len(data))

    def truncate(self, size: int) -> int:
        """Set the size of the file."""
        return self._try(self._stream.truncate, size, instead=size)

    def flush(self) -> None:
        """Write what is in buffers."""
        self._try(self._stream.flush, instead=None)

    def _try(self, call: Callable[..., Any], *arguments: Any, instead: Any) -> Any:
        if self._error is None:
            try:
                return call(*arguments)
            except OSError as error:
                self._error = error
        return instead
