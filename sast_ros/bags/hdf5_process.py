# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Reading an HDF5 file in a process of its own, which is limited in time and memory.

The HDF5 library believes what a file says. On damaged ones it walks in circles, allocates what
they state, or crashes, and no call of it can be interrupted. That holds for attributes as for the
trees and filters through which every value is read, so that checks beforehand cannot help: all
calls of the library are made in the child. The child puts blocks of columns into shared memory,
while the parent works on the block before. (Through a pipe, three times fewer events per second.)

The system ends the child when an answer takes more processor time than a limit that grows with the
file, be the parent there or not; the parent ends it after several times that limit, which a busy
machine or a slow disk does not reach. The child limits its memory (``hdf5_child``). It ends when
the parent does, and is in a session of its own, so that Ctrl-C reaches the parent only.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import math
import mmap
import os
from pathlib import Path
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any, IO, NoReturn
import weakref

import numpy as np
from sast_ros.bags.errors import RecordingError

#: Processor time in seconds for each answer about a small file, and how much longer it may take.
_SECONDS, _PATIENCE = 10, 6

#: Bytes of a file for each further second.
_BYTES_PER_SECOND = 1 << 22

#: Bytes of an answer.
_MAX_ANSWER = 1 << 24

#: The modules are those that the parent would import, not those in the working directory.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv.pop(1).split('\\n'); "
    'from sast_ros.bags.hdf5_child import main; main()'
)


class Hdf5Process:
    """
    A child that reads one HDF5 file.

    Parameters
    ----------
    path : Path
        The file.
    opener : str
        Class of ``sast_ros.bags.hdf5_files``, which reads the file in the child.
    argument : str, optional
        Second argument of that class.

    Attributes
    ----------
    description : dict
        What the class tells about the file.
    lost : list or None
        What of the last rows could not be read, see ``hdf5_files.Lost``.

    Raises
    ------
    RecordingError
        What the class raises; or the library came to no end, crashed, or needed too much memory.

    """

    def __init__(self, path: Path, opener: str, argument: str | None = None) -> None:
        for name in ('h5py', 'hdf5plugin'):
            if importlib.util.find_spec(name) is None:
                raise RecordingError(
                    f'{path}: reading HDF5 needs {name}, which is not installed; pip install h5py '
                    'hdf5plugin'
                )
        self._path = path
        self._failure = 'is closed'
        self.lost: list[Any] | None = None
        self._lock = threading.Lock()
        self._pending: tuple[int, int] | None = None
        self._slot = 0
        self._seconds = _SECONDS + math.ceil(path.stat().st_size / _BYTES_PER_SECOND)
        self._shared = _open_memory()
        shared = self._shared.fileno()
        task = json.dumps([opener, os.fspath(path), argument, self._seconds, shared])
        process = subprocess.Popen(
            [sys.executable, '-c', _PROGRAM, '\n'.join(map(str, sys.path)), task],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            pass_fds=(shared,),
            start_new_session=True,
            env={**os.environ, 'OPENBLAS_NUM_THREADS': '1'},
        )
        self._process = process
        self._end = weakref.finalize(self, _end, process, self._shared, os.getpid())
        assert process.stdin is not None and process.stdout is not None
        self._requests, self._answers = process.stdin.fileno(), process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._answers, select.POLLIN)
        try:
            for _ in ('start', 'open'):
                self.description = self._receive()
                if 'error' in self.description:
                    raise RecordingError(self.description['error'])
        except BaseException:
            self.close()
            raise

    def reserve(self, size: int) -> None:
        """
        Set the maximum size of all arrays of rows that are read at once.

        Parameters
        ----------
        size : int
            Bytes.

        """
        self._size = max(size + -size % mmap.PAGESIZE, mmap.PAGESIZE)
        os.ftruncate(self._shared.fileno(), 2 * self._size)
        self._memory = mmap.mmap(self._shared.fileno(), 2 * self._size, access=mmap.ACCESS_READ)

    def read(
        self, low: int, high: int, following: tuple[int, int] | None = None
    ) -> list[np.ndarray]:
        """
        Return the arrays of the rows from ``low`` to ``high``.

        Parameters
        ----------
        low, high : int
            First row, and that behind the last one.
        following : tuple of int, optional
            Rows that the child may read now, because they will be asked for next.

        Raises
        ------
        RecordingError
            The rows are damaged, the library came to no end or crashed, or the child is closed.

        """
        with self._lock:
            if self._pending not in (None, (low, high)):
                self._receive()
                self._pending = None
            if self._pending is None:
                self._request(low, high)
            self._pending = None
            answer, start = self._receive(), self._slot
            if 'error' in answer:
                raise RecordingError(answer['error'])
            if following is not None:
                self._slot = self._size - self._slot
                self._request(*following)
                self._pending = following
            self.lost = answer['lost']
            return self._copy(answer['arrays'], start)

    def _request(self, low: int, high: int) -> None:
        place = self._slot, self._slot + self._size
        if self._end.alive:
            with contextlib.suppress(OSError):  # it is gone: the answer tells
                os.write(self._requests, b'%d %d %d %d\n' % (low, high, *place))

    def _copy(self, kinds: list[tuple[str, list[int]]], start: int) -> list[np.ndarray]:
        """Return the arrays of an answer, which later ones and the child do not change."""
        arrays = []
        end = start + self._size
        for name, shape in kinds:
            dtype, count = np.dtype(name), math.prod(shape)
            if start + dtype.itemsize * count > end:
                self._fail('the HDF5 library gives more values than were asked for')
            values = np.frombuffer(self._memory, dtype, count, start)
            arrays.append(values.reshape(shape).copy())
            start += values.nbytes
        return arrays

    def _receive(self) -> dict[str, Any]:
        """Return the next answer."""
        if not self._end.alive:
            raise RecordingError(f'{self._path} {self._failure}')
        deadline = time.monotonic() + _PATIENCE * self._seconds
        try:
            size = int.from_bytes(self._take(4, deadline), 'little')
            if size > _MAX_ANSWER:
                self._fail('it has more names and numbers than a recording has')
            return json.loads(self._take(size, deadline))
        except TimeoutError:
            self._fail(f'the HDF5 library came to no end within {_PATIENCE * self._seconds} s')
        except (EOFError, ValueError, RecursionError):
            self._fail(self._ending())
        except BaseException:  # the rest of the answer would be taken for the next one
            self.close()
            raise

    def _take(self, size: int, deadline: float) -> bytes:
        """Return that many bytes of the pipe."""
        data = bytearray()
        while len(data) < size:
            if not self._poll.poll(1000 * max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            part = os.read(self._answers, min(size - len(data), 1 << 16))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def _ending(self) -> str:
        """Return how the child ended."""
        try:
            code = self._process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            return 'the HDF5 library damaged the process that reads it'
        if code == -signal.SIGXCPU:
            return f'the HDF5 library came to no end within {self._seconds} s of processor time'
        with contextlib.suppress(ValueError):
            return f'the HDF5 library ended with {signal.Signals(-code).name}'
        return f'the process that reads it ended with code {code}'

    def _fail(self, reason: str) -> NoReturn:
        self.close()
        self._failure = f'cannot be read, because {reason}; it is damaged, so copy it again'
        raise RecordingError(f'{self._path} {self._failure}')

    def close(self) -> None:
        """End the child."""
        self._end()


def _open_memory() -> IO[bytes]:
    """Return a file in memory; on other systems than Linux, a temporary one."""
    if not hasattr(os, 'memfd_create'):
        return tempfile.TemporaryFile()
    # Not one of the standard streams, which may be closed here, but not in the child
    with os.fdopen(os.memfd_create('hdf5'), 'r+b') as file:
        return os.fdopen(fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 3), 'r+b')


def _end(process: subprocess.Popen[bytes], shared: IO[bytes], owner: int) -> None:
    """End a child of this process, not that of a process of which this one is a copy."""
    if os.getpid() != owner:
        return
    process.terminate()
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:  # a handler that cannot run while the library hangs
        process.kill()
        process.wait()
    for file in (process.stdin, process.stdout, shared):
        if file is not None:
            file.close()
