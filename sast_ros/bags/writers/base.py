# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The interface of every writer of events, and how its file comes into being."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
import contextlib
import os
from pathlib import Path
import secrets

import numpy as np
from sast_ros.errors import SettingError
from sast_ros.events import EventChunk
from sast_ros.events._native import EventArrays

#: Events that are written at a time.
BATCH = 1 << 16


class EventWriter(ABC):
    """
    Write the events of one camera into a file, in their order; memory does not grow.

    The file grows under another name in the same folder and gets its own in ``finish``; without
    ``finish``, leaving the ``with`` block removes it.

    Parameters
    ----------
    path : Path
        The file to write.
    sensor_size : tuple of int or None
        (height, width) in pixels, ``None`` if unknown.
    force : bool
        Whether to replace a file that exists.

    Raises
    ------
    SettingError
        The file exists, or the format cannot hold such a sensor.
    OSError
        The file cannot be written; the error names it.

    """

    #: Name of the format in messages.
    name: str
    #: Maximum pixels on a side.
    max_side = 1 << 16

    def __init__(
        self, path: Path, sensor_size: tuple[int, int] | None, *, force: bool = False
    ) -> None:
        self.path = path
        self.height, self.width = sensor_size or (0, 0)
        self._check_side(max(self.height, self.width) - 1)
        self._force = force
        self._check_target()
        # Random, so that nobody can plant a link under this name
        self._part = path.with_name(f'{path.name}.{secrets.token_hex(4)}.part')
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._stream = os.fdopen(os.open(self._part, flags, 0o666), 'w+b')

    def write(self, chunk: EventChunk) -> None:
        """Append the events."""
        if not len(chunk):
            return
        if not self.width:
            self._check_side(int(max(chunk.x.max(), chunk.y.max())))
        with self._named_errors():
            self._write(chunk)

    def finish(self) -> None:
        """Complete the file and give it its name."""
        with self._named_errors():
            self._finish()
            self._stream.close()
        self._check_target()
        os.replace(self._part, self.path)

    def __enter__(self) -> EventWriter:
        """Return the writer itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Remove the file if it was not finished."""
        with contextlib.suppress(OSError):  # of what is still in buffers
            self._stream.close()
        self._part.unlink(missing_ok=True)

    @abstractmethod
    def _write(self, chunk: EventChunk) -> None:
        """Append the events, which are one or more."""

    @abstractmethod
    def _finish(self) -> None:
        """Write what is left."""

    def _check_side(self, largest: int) -> None:
        if largest >= self.max_side:
            raise SettingError(
                f'{self.path}: {self.name} holds coordinates up to {self.max_side - 1}, but the '
                f'recording has {largest}; choose another format'
            )

    def _check_target(self) -> None:
        if self.path.exists() and not self._force:
            raise SettingError(f'{self.path} exists; choose another name, or replace it (--force)')

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Name the file in errors of the system, such as a full disk."""
        try:
            yield
        except OSError as error:
            if error.filename is None and error.errno is not None:
                error.filename = os.fspath(self.path)
            raise


class BatchWriter(EventWriter):
    """Writer of columns, which get ``BATCH`` events at a time, at the end fewer."""

    def __init__(
        self, path: Path, sensor_size: tuple[int, int] | None, *, force: bool = False
    ) -> None:
        super().__init__(path, sensor_size, force=force)
        self._waiting: list[EventArrays] = []
        self._count = 0

    @abstractmethod
    def _append(self, x: np.ndarray, y: np.ndarray, p: np.ndarray, t: np.ndarray) -> None:
        """Append events; time may step back where a stream restarts."""

    def _write(self, chunk: EventChunk) -> None:
        self._waiting.append((chunk.x, chunk.y, chunk.p, chunk.t))
        self._count += len(chunk)
        if self._count >= BATCH:
            self._flush(self._count // BATCH * BATCH)

    def _finish(self) -> None:
        if self._count:
            self._flush(self._count)

    def _flush(self, count: int) -> None:
        """Hand over that many of the waiting events."""
        x, y, p, t = (np.concatenate(columns) for columns in zip(*self._waiting))
        for low in range(0, count, BATCH):
            part = slice(low, min(low + BATCH, count))
            self._append(x[part], y[part], p[part], t[part])
        rest = slice(count, None)
        self._waiting = [(x[rest].copy(), y[rest].copy(), p[rest].copy(), t[rest].copy())]
        self._count -= count
