# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Compressed numpy archives."""

from __future__ import annotations

import contextlib
from pathlib import Path
import shutil
import tempfile
import zipfile

import numpy as np
from sast_ros.bags.writers.base import BatchWriter

_TYPES = {'x': '<u2', 'y': '<u2', 'p': '|u1', 't': '<i8'}


class NpzWriter(BatchWriter):
    """
    Write ``.npz`` with the arrays ``x``, ``y``, ``p``, ``t`` (us), ``width`` and ``height``.

    A member of an archive is written in one piece, so the columns grow in unnamed files of the
    same folder first.
    """

    name = 'npz'

    def __init__(
        self, path: Path, sensor_size: tuple[int, int] | None, *, force: bool = False
    ) -> None:
        super().__init__(path, sensor_size, force=force)
        self._files = contextlib.ExitStack()
        self._columns = []
        for _ in _TYPES:
            column = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 - in the stack
            self._columns.append(self._files.enter_context(column))

    def _append(self, x: np.ndarray, y: np.ndarray, p: np.ndarray, t: np.ndarray) -> None:
        for column, values, dtype in zip(self._columns, (x, y, p, t), _TYPES.values()):
            column.write(values.astype(dtype, copy=False).tobytes())

    def _finish(self) -> None:
        super()._finish()
        with zipfile.ZipFile(self._stream, 'w', zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for (name, kind), column in zip(_TYPES.items(), self._columns):
                dtype = np.dtype(kind)
                shape = (column.tell() // dtype.itemsize,)
                column.seek(0)
                with archive.open(f'{name}.npy', 'w', force_zip64=True) as member:
                    np.lib.format.write_array_header_1_0(
                        member,
                        {
                            'descr': np.lib.format.dtype_to_descr(dtype),
                            'fortran_order': False,
                            'shape': shape,
                        },
                    )
                    shutil.copyfileobj(column, member, 1 << 20)
            if self.width:
                for name, side in (('width', self.width), ('height', self.height)):
                    with archive.open(f'{name}.npy', 'w') as member:
                        np.lib.format.write_array(member, np.array(side), allow_pickle=False)

    def __exit__(self, *exception: object) -> None:
        """Remove the columns, and the file if it was not finished."""
        with contextlib.suppress(OSError):  # of what is still in buffers
            self._files.close()
        super().__exit__(*exception)
