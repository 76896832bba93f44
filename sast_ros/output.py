# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Files and folders that commands write.

They may lie where others can write, too: a link that lies at the name of a new file is replaced,
never followed. Every error names its file.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import errno
import fcntl
import io
import os
from pathlib import Path
import platform
from typing import Any, BinaryIO

from sast_ros.errors import SastError

_LOCK = '.sast_ros.lock'


class OutputError(SastError, RuntimeError):
    """An output folder that another process writes into."""


class _NamedFile(io.FileIO):
    """A new file whose write errors have its name (a full disk is reported without one)."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        super().__init__(
            path, 'x', opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o666)
        )
        self._path = str(path)

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._path) from error


def create_file(path: Path) -> BinaryIO:
    """
    Open a new file for binary writing, instead of what lies there.

    Raises
    ------
    OSError
        It cannot be created, or another process creates it at the same time. So does writing,
        where the disk is full; the error names the file.

    """
    return io.BufferedWriter(_NamedFile(path), 1 << 16)


def discard_file(file: BinaryIO) -> None:
    """Close a file whose content does not matter any more, even if the disk is full."""
    with contextlib.suppress(OSError):
        file.close()


def write_file(path: Path, content: str | bytes) -> None:
    """
    Write a file as a whole, text in UTF-8: it is there with all of its content or not at all.

    Its folder is created if needed. Devices and pipes, such as /dev/stdout, are written to.

    Raises
    ------
    OSError
        As ``create_file`` and ``check_place``.

    """
    # Bytes of file names that are no text are written as they are printed
    data = content.encode(errors='backslashreplace') if isinstance(content, str) else content
    check_place(path)
    if _is_stream(path):
        path.write_bytes(data)
        return
    part = path.with_name(f'{path.name}.{os.getpid()}.part')
    file = create_file(part)
    try:
        file.write(data)
        file.close()
        os.replace(part, path)
    except BaseException:
        discard_file(file)
        part.unlink(missing_ok=True)
        raise


def check_place(path: Path) -> None:
    """
    Create the folder of a file to write; for those who work long before they write it.

    Raises
    ------
    OSError
        A folder lies at its name, or its own cannot be created or written to.

    """
    if _is_stream(path):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    number = errno.EISDIR if path.is_dir() and not path.is_symlink() else 0
    if not os.access(path.parent, os.W_OK | os.X_OK):
        number = errno.EACCES
    if number:
        raise OSError(number, os.strerror(number), str(path))


def _is_stream(path: Path) -> bool:
    """Return whether it is a device or pipe, such as /dev/stdout, which no file may replace."""
    # /dev/stdout is a file where the output goes to one; /dev/shm is a disk in memory
    there = path.exists() and not (path.is_file() or path.is_dir())
    return there or path.parent in (Path('/dev'), Path('/dev/fd'))


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """
    Create a folder and keep other processes from writing into it in the ``with`` block.

    Raises
    ------
    OutputError
        Another process has the lock; it is named.

    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _LOCK
    while True:
        with open(path, 'r+', opener=_open_lock) as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OutputError(
                    f'{stream.read().strip() or "another process"} is writing into {folder}; wait '
                    'for it, or give another --out'
                ) from error
            if not _is_at(stream.fileno(), path):
                continue  # the process that had it has removed the file meanwhile
            try:
                with contextlib.suppress(OSError):  # a full disk: the name is for others only
                    os.ftruncate(stream.fileno(), 0)
                    os.write(
                        stream.fileno(), f'process {os.getpid()} on {platform.node()}'.encode()
                    )
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _open_lock(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_CREAT | os.O_NOFOLLOW, 0o666)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False
