# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The files of a ROS bag: found, decompressed, opened, and what is missing of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

from rosbags.interfaces import Connection
from rosbags.rosbag1 import Reader as Rosbag1Reader
from rosbags.rosbag2 import Reader as Rosbag2Reader
from sast_ros.bags.errors import RecordingError
from sast_ros.bags.truncated import is_short_database, TRUNCATED_BAGS, TruncatedBag
import yaml
import zstandard

STORAGE_SUFFIXES = ('.db3', '.mcap')

#: rosbag2 adds it where it compresses whole files.
COMPRESSED_SUFFIX = '.zstd'

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class StorageFile:
    """
    One file of a bag, opened.

    Attributes
    ----------
    path : Path
        The file as the user named it.
    reader : rosbags reader or TruncatedBag
        What reads it.
    missing : str
        What is missing of it, a clause; empty if the file is whole.

    """

    path: Path
    reader: Rosbag1Reader | Rosbag2Reader | TruncatedBag
    missing: str = ''

    def connections(self) -> Iterator[Connection]:
        """Yield the connections in ROS serialisation; mcap may hold JSON or protobuf as well."""
        for connection in self.reader.connections:
            # rosbag1 has one serialisation only
            if getattr(connection.ext, 'serialization_format', 'cdr') == 'cdr':
                yield connection


def is_storage_file(path: Path) -> bool:
    """Return whether a file is one of rosbag2, by its name."""
    name = PurePath(path.name.removesuffix(COMPRESSED_SUFFIX))
    return name.suffix in STORAGE_SUFFIXES


def open_storage(path: Path, stack: ExitStack) -> tuple[list[StorageFile], str]:
    """
    Open all files of a bag and return them in the order of their times, and what is missing.

    Everything is read from the files themselves. metadata.yaml is used only for the names of
    files that are missing: a killed recorder writes none, others leave the storage identifier or
    the list of files empty.

    Parameters
    ----------
    path : Path
        Rosbag2 folder, or single file.
    stack : ExitStack
        What closes the files.

    Raises
    ------
    RecordingError
        No files, or none of them can be read.

    """
    if path.is_file():
        storage = _open(path, stack)
        return [storage], storage.missing
    names = sorted(file for file in path.iterdir() if is_storage_file(file) and file.is_file())
    if not names:
        raise RecordingError(
            f'{path} is no rosbag2 folder: there is no {" or ".join(STORAGE_SUFFIXES)} file in '
            'it; name the folder that holds them, or a single recording'
        )
    opened, errors = [], []
    for name in names:
        try:
            opened.append(_open(name, stack))
        except DamagedError as error:
            errors.append(error)
    if not opened:
        raise errors[0]
    missing = [storage.missing for storage in opened if storage.missing]
    missing += [f'{error.path.name} cannot be read ({error.reason})' for error in errors]
    lost = _lost_files(path, [file.name for file in names])
    missing += [f'{name}, which metadata.yaml lists, is missing' for name in lost]
    # By time: names may be in another order (_10 sorts before _9).
    opened.sort(key=lambda storage: storage.reader.start_time)
    return opened, '; '.join(missing)


class DamagedError(RecordingError):
    """A file that cannot be read to its end; the text names what may repair it."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason.rstrip('.') or 'unreadable'
        advice = _REPAIR_ADVICE.get(path.suffix, 'copy it again')
        super().__init__(f'{path} is damaged or no such recording ({self.reason}); {advice}')


_REPAIR_ADVICE = {
    '.bag': 'repair it with "rosbag reindex", or copy it again',
    '.mcap': 'repair it with "mcap recover", or copy it again',
    '.db3': 'repair it with "sqlite3 FILE .recover", or copy it again',
}


def _open(path: Path, stack: ExitStack) -> StorageFile:
    plain, missing = path, ''
    try:
        if path.suffix == COMPRESSED_SUFFIX:
            folder = stack.enter_context(TemporaryDirectory(prefix='sast_ros_'))
            plain = Path(folder) / path.stem
            if not _decompress(path, plain):
                missing = f'{path.name} is truncated'
        if plain.suffix == '.db3' and is_short_database(plain):
            raise ValueError('it is shorter than its header states')  # sqlite notices too late
        reader = (Rosbag1Reader if plain.suffix == '.bag' else Rosbag2Reader)(plain)
        reader.open()
    except PermissionError as error:
        raise RecordingError(f'{path}: permission denied; change its permissions') from error
    except Exception as error:
        cut = _open_truncated(plain)
        if cut is None:
            reason = str(error).replace(str(plain), path.name)
            raise DamagedError(path, reason) from error
        missing = f'{path.name} is truncated: its {cut.message_count} complete messages are read'
        return StorageFile(path, cut, missing)
    stack.callback(reader.close)
    log = plain.with_name(f'{plain.name}-wal')
    if log.is_file() and log.stat().st_size:
        missing = (
            f'{log.name}, messages that a killed recorder left beside {path.name}, is not read '
            f'(sqlite3 {path.name} "PRAGMA wal_checkpoint" moves them into the file)'
        )
    return StorageFile(path, reader, missing)


def _open_truncated(path: Path) -> TruncatedBag | None:
    """Return the complete messages of a truncated file, ``None`` if there are none."""
    try:
        bag = TRUNCATED_BAGS[path.suffix](path)
    except Exception:
        return None  # not even the first record is complete
    return bag if bag.truncated and bag.message_count else None


def _decompress(source: Path, target: Path) -> bool:
    """Decompress a file, which may be truncated; return whether it is complete."""
    frame = zstandard.ZstdDecompressor().decompressobj()
    with source.open('rb') as compressed, target.open('wb') as plain:
        while block := compressed.read(_BLOCK):
            while block:
                plain.write(frame.decompress(block))
                block = b''
                if frame.eof and frame.unused_data:  # more than one frame
                    block = frame.unused_data
                    frame = zstandard.ZstdDecompressor().decompressobj()
    return bool(frame.eof)


def _lost_files(folder: Path, names: list[str]) -> list[str]:
    """Return the names of files that metadata.yaml lists and the folder does not contain."""
    try:
        document = yaml.safe_load((folder / 'metadata.yaml').read_text())
        listed = document['rosbag2_bagfile_information']['relative_file_paths']
        known = {PurePath(name).name.removesuffix(COMPRESSED_SUFFIX) for name in listed}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return []
    there = {name.removesuffix(COMPRESSED_SUFFIX) for name in names}
    # As many as are listed, under other names: they were renamed.
    return sorted(known - there) if len(known) > len(there) else []
