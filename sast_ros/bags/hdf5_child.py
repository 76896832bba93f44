# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The process that reads an HDF5 file for ``hdf5_process``.

It answers when it has started, then about the file, then for each line ``LOW HIGH START END`` of
its standard input with the rows from LOW to HIGH, whose arrays it puts one after the other into
the shared memory between START and END. An answer is JSON, behind its length in four bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
import json
import mmap
import os
from pathlib import Path
import resource
import sys
import time
from typing import Any

import numpy as np
from sast_ros.bags import hdf5_files
from sast_ros.bags.errors import RecordingError

#: Bytes for what the library keeps of any file, beside the size of the file.
_MEMORY = 1 << 26


class Hdf5Child:
    """
    Answers about one file.

    Parameters
    ----------
    kind : str
        Class in ``hdf5_files``.
    path : str
        The file.
    argument : str or None
        Second argument of the class.
    seconds : int
        Processor time of an answer, after which the system ends the process.
    shared : int
        File descriptor of the shared memory.

    """

    def __init__(
        self, kind: str, path: str, argument: str | None, seconds: int, shared: int
    ) -> None:
        self._kind, self._path, self._argument = kind, Path(path), argument
        self._seconds, self._shared = seconds, shared
        self._memory: mmap.mmap | None = None
        self._limit = 0
        # Only answers go into the pipe, whatever libraries print
        self._pipe = os.fdopen(os.dup(1), 'wb')
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)

    def run(self) -> None:
        """Answer until there are no more requests."""
        if not self._answer(self._start) or not self._answer(self._open):
            return
        for line in sys.stdin.buffer:
            self._answer(partial(self._read, *map(int, line.split())))

    def _answer(self, call: Callable[[], dict[str, Any]]) -> bool:
        """Send what a call returns, or its error; return whether there was none."""
        _limit(resource.RLIMIT_CPU, int(time.process_time()) + self._seconds + 1)
        try:
            answer = call()
        except RecordingError as error:
            answer = {'error': str(error)}
        except Exception as error:  # whatever h5py raises for damaged files
            reason = ' '.join(str(error).split()) or type(error).__name__
            answer = {
                'error': f'{self._path} is damaged or no event recording ({reason}); copy it again'
            }
        text = json.dumps(answer).encode()
        self._pipe.write(len(text).to_bytes(4, 'little') + text)
        self._pipe.flush()
        return 'error' not in answer

    def _start(self) -> dict[str, Any]:
        """Import the library; what the process holds then is not counted as memory of the file."""
        try:
            import h5py  # noqa: F401
            import hdf5plugin  # noqa: F401 - registers the compressions
        except ImportError as error:
            raise RecordingError(
                f'{self._path}: reading HDF5 needs h5py and hdf5plugin, which cannot be imported '
                f'({error}); install them again: pip install --force-reinstall h5py hdf5plugin'
            ) from error
        _limit(resource.RLIMIT_CORE, 0)  # the system ends what comes to no end with SIGXCPU
        status = Path('/proc/self/status')
        if status.exists():  # on Linux; others do not limit it
            used = next(line for line in status.read_text().split('\n') if 'VmData:' in line)
            self._limit = 1024 * int(used.split()[1]) + _MEMORY + self._path.stat().st_size
            _limit(resource.RLIMIT_DATA, self._limit)
        return {}

    def _open(self) -> dict[str, Any]:
        """Open the file."""
        self._file = getattr(hdf5_files, self._kind)(self._path, self._argument)
        if self._limit:
            _limit(resource.RLIMIT_DATA, self._limit + self._file.memory)
        return self._file.describe()

    def _read(self, low: int, high: int, start: int, end: int) -> dict[str, Any]:
        """Read rows into the shared memory."""
        if self._memory is None:
            self._memory = mmap.mmap(self._shared, 0)
        arrays, lost = self._file.read(low, high)
        for each in arrays:
            if start + each.nbytes > end:
                raise RecordingError(f'{self._path}: a row has more values than are read')
            place = np.frombuffer(self._memory, each.dtype, each.size, start)
            place.reshape(each.shape)[...] = each
            start += each.nbytes
        return {'arrays': [(each.dtype.str, each.shape) for each in arrays], 'lost': lost}


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def main() -> None:
    """Answer about the file that the first argument names."""
    Hdf5Child(*json.loads(sys.argv[1])).run()
