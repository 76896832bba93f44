# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The files of a ROS bag: found, decompressed, opened, and what is missing of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import NamedTuple

from sast_ros.bags.bag_file import BagFile, Connection
from sast_ros.bags.compression import decompress_file, ExpansionError, max_expansion
from sast_ros.bags.errors import RecordingError, system_problem
from sast_ros.bags.mcap_file import McapFile
from sast_ros.bags.metadata import Metadata, read_metadata
from sast_ros.bags.names import compression_problem
from sast_ros.bags.rosbag1_file import Rosbag1File
from sast_ros.bags.sqlite_file import SqliteFile
from sast_ros.foreign_file import foreign_content

STORAGE_SUFFIXES = ('.db3', '.mcap')

#: rosbag2 adds the first where it compresses whole files; the second is that of zstd itself.
COMPRESSED_SUFFIXES = ('.zstd', '.zst')

_FORMATS: dict[str, type[BagFile]] = {'.bag': Rosbag1File, '.db3': SqliteFile, '.mcap': McapFile}

#: Serialisations that can be read; mcap may hold JSON or protobuf as well.
_ENCODINGS = ('cdr', 'ros1')

_NOT_LISTED = 'metadata.yaml does not list it'

#: Characters of the text of another library in an error.
_REASON = 200


@dataclass(frozen=True, slots=True)
class StorageFile:
    """
    One file of a bag, opened.

    Attributes
    ----------
    path : Path
        The file as the user named it.
    reader : BagFile
        What reads it.
    note : str
        What is missing of it beside ``reader.missing``, a clause.

    """

    path: Path
    reader: BagFile
    note: str = ''

    @property
    def truncated(self) -> bool:
        """Whether the file ends early."""
        return bool(self.note) or self.reader.truncated

    @property
    def missing(self) -> str:
        """What is missing of the file, a clause; empty if it is whole."""
        return '; '.join(filter(None, (self.note, self.reader.missing)))

    def connections(self) -> Iterator[Connection]:
        """Yield the topics in ROS serialisation."""
        for connection in self.reader.connections:
            if connection.encoding in _ENCODINGS:
                yield connection

    @property
    def content(self) -> tuple[int, frozenset[tuple[str, str]]] | None:
        """Time of the first message, and topics; the same for two copies of a recording."""
        if not self.reader.message_count:
            return None
        topics = frozenset((one.topic, one.msgtype) for one in self.reader.connections)
        return self.reader.start_time, topics

    @property
    def rank(self) -> tuple[bool, int]:
        """What is larger for the better of two copies."""
        return not self.missing, self.reader.message_count


class Storage(NamedTuple):
    """
    The files of a bag.

    ``files`` in the order of their times; in ``missing``, a clause, those that are missing,
    damaged or left out, but not what is missing inside of them; in ``lost`` whether any of the
    recording is missing or damaged.
    """

    files: list[StorageFile]
    missing: str = ''
    lost: bool = False


def plain_name(name: str) -> str:
    """Return the name of a file without the suffix of its compression."""
    suffix = PurePath(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in COMPRESSED_SUFFIXES else name


def storage_suffix(path: Path) -> str:
    """Return ``'.bag'``, ``'.db3'`` or ``'.mcap'`` for a file of a bag, by its name, or ``''``."""
    name = PurePath(plain_name(path.name).lower().removesuffix('.active'))
    return name.suffix if name.suffix in _FORMATS else ''


def is_storage_file(path: Path) -> bool:
    """Return whether a file is one of rosbag2, by its name."""
    return storage_suffix(path) in STORAGE_SUFFIXES


def open_storage(path: Path, stack: ExitStack, metadata: Metadata | None = None) -> Storage:
    """
    Open all files of a bag.

    Everything is read from the files themselves. metadata.yaml serves to choose among the files of
    a folder: a killed recorder writes none, others leave the list of files empty.

    Parameters
    ----------
    path : Path
        Rosbag2 folder, or single file.
    stack : ExitStack
        What closes the files.
    metadata : Metadata, optional
        Content of metadata.yaml if it was read already.

    Raises
    ------
    RecordingError
        No files, or none of them can be read.

    """
    max_expansion()  # a wrong setting is no damage of a file
    if path.is_file():
        return Storage([_open(path, stack)])
    names = sorted(file for file in path.iterdir() if is_storage_file(file) and file.is_file())
    if not names:
        for file in sorted(path.iterdir()):
            if problem := compression_problem(file):
                raise RecordingError(f'{file} {problem}')
        raise RecordingError(
            f'{path} is no rosbag2 folder: there is no {" or ".join(STORAGE_SUFFIXES)} file in '
            'it; name the folder that holds them, or a single recording'
        )
    return _Folder(metadata or read_metadata(path), names, stack).chosen()


class _Folder:
    """
    The files of a folder, and which of them are the recording.

    Parameters
    ----------
    metadata : Metadata
        What metadata.yaml states.
    paths : list of Path
        All storage files.
    stack : ExitStack
        What closes the files.

    """

    def __init__(self, metadata: Metadata, paths: list[Path], stack: ExitStack) -> None:
        self._listed = {plain_name(name) for name in metadata.files}
        self._notes: list[str] = []
        self._errors: list[UnreadableError] = []
        self._opened: list[StorageFile] = []
        names = {plain_name(path.name) for path in paths}
        # What is listed first: where it is whole, nothing else is opened
        for name in sorted(names, key=lambda name: (name not in self._listed, name)):
            twins = [path for path in paths if plain_name(path.name) == name]
            if name not in self._listed and self._is_whole():
                self._notes += [f'{path.name} is left out: {_NOT_LISTED}' for path in twins]
            else:
                self._open_best(twins, stack)

    def _is_whole(self) -> bool:
        """Return whether all files are open that metadata.yaml lists, and nothing is missing."""
        there = {plain_name(file.path.name) for file in self._opened if not file.missing}
        return bool(self._listed) and self._listed <= there

    def chosen(self) -> Storage:
        """Return the files to read."""
        self._leave_out_copies()
        there = {plain_name(file.path.name): file for file in self._opened}
        for error in self._errors:
            self._notes.append(f'{error.path.name} cannot be read ({error.reason})')
        unreadable = {plain_name(error.path.name) for error in self._errors}
        lost = sorted(self._listed - set(there) - unreadable)
        others = sorted(set(there) - self._listed)
        # As many as are listed, under other names: they were renamed.
        renamed = len(there) == len(self._listed) or not self._listed & set(there)
        if self._listed and not renamed:
            for name in others:
                self._leave_out(there[name], _NOT_LISTED)
        elif self._listed & set(there) and others:
            self._notes.append(f'{", ".join(others)} is read, but {_NOT_LISTED}')
        if len(self._opened) + len(unreadable) >= len(self._listed):
            lost = []
        self._notes += [f'{name}, which metadata.yaml lists, is missing' for name in lost]
        if not self._opened:
            raise self._errors[0]
        # By time: names may be in another order (_10 sorts before _9).
        self._opened.sort(key=lambda file: file.reader.start_time)
        return Storage(self._opened, '; '.join(self._notes), bool(lost or self._errors))

    def _open_best(self, twins: list[Path], stack: ExitStack) -> None:
        """Open one of the files that differ only in their compression, a whole one if there is."""
        found: list[StorageFile] = []
        errors: list[UnreadableError] = []
        # The plain file first: what is whole need not be decompressed
        for path in sorted(twins, key=lambda path: len(path.name)):
            if any(not file.missing for file in found):
                self._notes.append(f'{path.name} is left out: it is {found[-1].path.name} again')
                continue
            try:
                found.append(_open(path, stack))
            except UnreadableError as error:
                errors.append(error)
        if found:
            best = max(found, key=lambda file: file.rank)
            self._opened.append(best)
            copies = [file.path for file in found if file is not best]
            copies += [error.path for error in errors]
            for path in copies:
                self._notes.append(f'{path.name} is left out: {best.path.name} is more complete')
        else:
            self._errors += errors

    def _leave_out_copies(self) -> None:
        """Keep one of the files that begin at the same time with the same topics."""
        groups: dict[object, list[StorageFile]] = {}
        for file in self._opened:
            groups.setdefault(file.content or file, []).append(file)
        for files in groups.values():
            listed = [file for file in files if plain_name(file.path.name) in self._listed]
            if len(files) == 1 or len(listed) > 1:
                continue
            # The listed one where both are equally good
            best = max(files, key=lambda file: (*file.rank, file in listed))
            if best not in listed:
                self._listed -= {plain_name(file.path.name) for file in listed}
                self._listed |= {plain_name(best.path.name)} if listed else set()
            for file in files:
                if file is not best:
                    self._leave_out(file, f'it is the same recording as {best.path.name}')

    def _leave_out(self, file: StorageFile, reason: str) -> None:
        self._opened = [one for one in self._opened if one is not file]
        self._notes.append(f'{file.path.name} is left out: {reason}')


class UnreadableError(RecordingError):
    """
    A file of a bag that cannot be read.

    Parameters
    ----------
    path : Path
        The file.
    reason : str
        What is wrong, a clause.
    text : str
        The sentence for the user.

    """

    def __init__(self, path: Path, reason: str, text: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(text)


class DamagedError(UnreadableError):
    """A file that cannot be read to its end; the text names what may repair it."""

    def __init__(self, path: Path, reason: str) -> None:
        text = ' '.join(reason.split()).rstrip('.') or 'unreadable'
        text = text if len(text) <= _REASON else f'{text[:_REASON]}...'
        advice = _REPAIR_ADVICE.get(storage_suffix(path), 'copy it again')
        super().__init__(path, text, f'{path} is damaged or no such recording ({text}); {advice}')


_REPAIR_ADVICE = {
    '.bag': 'repair it with "rosbag reindex", or copy it again',
    '.mcap': 'repair it with "mcap recover", or copy it again',
    '.db3': 'repair it with "sqlite3 FILE .recover", or copy it again',
}


def reading_error(path: Path, plain: Path, error: Exception, place: str = '') -> RecordingError:
    """
    Return what is raised for an error of the libraries that read a file.

    Parameters
    ----------
    path : Path
        The file as the user named it.
    plain : Path
        The file that was read, decompressed.
    error : Exception
        Any error of reading.
    place : str
        Where it happened, with a colon and a space behind.

    """
    if isinstance(error, RecordingError):
        return error
    problem = system_problem(error)
    if problem:
        return RecordingError(f'{path}: {problem}')
    reason = f'{place}{str(error) or type(error).__name__}'.replace(str(plain), path.name)
    if isinstance(error, ExpansionError):
        return UnreadableError(path, reason, f'{path}: {reason}')
    return DamagedError(path, reason)


def _open(path: Path, stack: ExitStack) -> StorageFile:
    plain, note = path, ''
    try:
        log = _unread_log(path)
        problem = '' if log else foreign_content(path, 'the recording')
        if problem:
            raise UnreadableError(path, f'it {problem}', f'{path} {problem}')
        if plain_name(path.name) != path.name:
            folder = stack.enter_context(TemporaryDirectory(prefix='sast_ros_'))
            plain = Path(folder) / plain_name(path.name)
            if not decompress_file(path, plain):
                note = f'{path.name} is truncated'
        reader = _FORMATS[storage_suffix(path)](plain)
    except Exception as error:
        found = reading_error(path, plain, error)
        if log and isinstance(found, UnreadableError):
            found = UnreadableError(path, log, f'{path} holds no messages: {log}')
        raise found from error
    stack.callback(reader.close)
    if log and not reader.message_count:
        raise UnreadableError(path, log, f'{path} holds no messages: {log}')
    return StorageFile(path, reader, log or note)


def _unread_log(path: Path) -> str:
    """Return the hint to the write-ahead log of a database; empty if there is none."""
    log = path.with_name(f'{path.name}-wal')
    if storage_suffix(path) != '.db3' or not log.is_file() or not log.stat().st_size:
        return ''
    return (
        f'{log.name}, messages that a killed recorder left beside {path.name}, is not read '
        f'(sqlite3 {path.name} "PRAGMA wal_checkpoint" moves them into the file)'
    )
