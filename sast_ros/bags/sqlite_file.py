# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Sqlite databases of rosbag2, whole, truncated or damaged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
import errno
from itertools import islice
from pathlib import Path
import sqlite3
from typing import Any

from sast_ros.bags.bag_file import BagFile, Connection, Stored

_MAGIC = b'SQLite format 3\0'

#: Texts of those errors of sqlite that are of the system: SQLITE_IOERR, SQLITE_CANTOPEN and
#: SQLITE_FULL. The codes themselves need Python 3.11.
_OF_SYSTEM = ('disk I/O error', 'unable to open database file', 'database or disk is full')

#: Instructions of sqlite between two checks of the budget.
_CHECK = 10_000

#: Topic, receive time in ns, content.
_Message = tuple[int, int, bytes]

#: Fewest bytes of a message and its entry in the index of times.
_SHORTEST = 8


class SqliteFile(BagFile):
    """
    A database of rosbag2.

    It is opened as it is on the disk: no other file is read or made.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    ValueError
        It is no database of rosbag2, or none of its messages can be read.
    sqlite3.Error
        It is damaged.
    OSError
        The system cannot read it.

    """

    counted_by = 'table of messages'

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.truncated = _is_truncated(path)
        self._types: dict[int, tuple[str, str, str]] = {}  # key -> (topic, type, encoding)
        with self._connect() as database:
            self._open(database)

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        """Open the file while it is read: a bag may have more files than a process may open."""
        self.path.open('rb').close()  # sqlite does not say why it cannot open a file
        uri = self.path.resolve().as_uri() + '?mode=ro&immutable=1'
        with (
            _system_errors(),
            closing(sqlite3.connect(uri, uri=True, check_same_thread=False)) as database,
        ):
            database.execute('PRAGMA trusted_schema = OFF')
            database.text_factory = _text
            if self.truncated:
                database.execute('PRAGMA writable_schema = ON')  # else sqlite refuses the file
            yield database

    def _open(self, database: sqlite3.Connection) -> None:
        for table in ('topics', 'messages'):
            self._check_table(database, table)
        self._types = {
            key: tuple(names)
            for key, *names in self._query(
                database, 'SELECT id, name, type, serialization_format FROM topics ORDER BY id'
            )
        }
        if not all(isinstance(name, str) for names in self._types.values() for name in names):
            raise ValueError('a topic has no name or type')
        problem = 'truncated' if self.truncated else ''
        try:
            counts = {} if problem else self._count(database)
        except sqlite3.DatabaseError as error:
            problem = self._damage(error)
        if problem:
            counts = self._count_readable(database)
        self.connections = tuple(
            Connection(key, *names, counts.get(key, 0)) for key, names in self._types.items()
        )
        self.message_count = sum(one.message_count for one in self.connections)
        if problem:
            if not self.message_count:
                raise ValueError(f'{problem} before its first message')
            stated = self._count_indexed(database)
            of = f' of its {stated}' if stated >= self.message_count else ''
            self.add_missing(
                f'{self.path.name} is {problem}: {self.message_count}{of} messages are read'
            )
        elif self.message_count != sum(counts.values()):
            self.add_missing(
                f'{sum(counts.values()) - self.message_count} messages of {self.path.name} are of '
                'no known topic'
            )

    def _check_table(self, database: sqlite3.Connection, name: str) -> None:
        """Raise ``ValueError`` if there is no such table, or it is computed instead of stored."""
        found = self._query(
            database, "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", name
        )
        statement = next((str(row[0]) for row in found), None)
        if statement is None:
            raise ValueError(f'it has no table "{name}"')
        columns = list(self._query(database, f'PRAGMA table_xinfo({name})'))
        if 'VIRTUAL' in statement.upper().split() or any(column[6] for column in columns):
            raise ValueError(f'its table "{name}" is computed')

    def _count(self, database: sqlite3.Connection) -> dict[int, int]:
        counts = {}
        for key, count, first, last in self._query(
            database,
            'SELECT topic_id, COUNT(*), MIN(timestamp), MAX(timestamp) FROM messages '
            'GROUP BY topic_id',
        ):
            counts[key] = count
            self._add_time(first)
            self._add_time(last)
        # By the index of times, by which the messages are read
        ((indexed,),) = self._query(database, 'SELECT COUNT(*) FROM messages')
        if indexed != sum(counts.values()):
            raise sqlite3.DatabaseError(f'an index of {indexed} messages')
        return counts

    def _count_indexed(self, database: sqlite3.Connection) -> int:
        """Return the number of messages by the index of times, 0 if it is damaged, too."""
        try:
            ((count,),) = self._query(database, 'SELECT COUNT(timestamp) FROM messages')
        except sqlite3.DatabaseError:
            return 0
        return int(count)

    def _damage(self, error: sqlite3.DatabaseError) -> str:
        """Take note of damaged pages, return what is wrong; raise any other error."""
        if isinstance(error, sqlite3.OperationalError):
            raise error
        self.truncated = True
        return f'damaged ({error})'

    def _count_readable(self, database: sqlite3.Connection) -> dict[int, int]:
        counts: dict[int, int] = {}
        for key, time, _ in self._rows(database, self._types):
            counts[key] = counts.get(key, 0) + 1
            self._add_time(time)
        return counts

    def _add_time(self, time: Any) -> None:
        if not isinstance(time, int):
            raise sqlite3.DatabaseError(f'a message has the time {time!r:.40}')
        self.start_time = min(self.start_time, time)

    def _rows(
        self, database: sqlite3.Connection, keys: Mapping[int, object]
    ) -> Iterator[_Message]:
        """Yield the messages of some topics, of a damaged file those that can be read."""
        if self.truncated:
            yield from self._readable(database, keys)
            return
        count = 0
        try:
            for row in self._query(database, _select(keys) + 'ORDER BY timestamp', *keys):
                if not _is_message(row):
                    raise sqlite3.DatabaseError('a message without time or content')
                count += 1
                yield row[:3]
            return
        except sqlite3.DatabaseError as error:
            self.add_missing(f'{self.path.name} is {self._damage(error)}')
        yield from islice(self._by_index(database, keys), count, None)

    def _readable(
        self, database: sqlite3.Connection, keys: Mapping[int, object]
    ) -> Iterator[_Message]:
        """Yield the messages before the first damaged page, then those behind it."""
        last = -1
        try:
            for row in self._query(database, _select(keys) + 'ORDER BY rowid', *keys):
                last = row[3]
                if _is_message(row):
                    yield row[:3]
        except sqlite3.OperationalError:
            return  # pages that refer to each other
        except sqlite3.DatabaseError:
            yield from self._by_index(database, keys, last)

    def _by_index(
        self, database: sqlite3.Connection, keys: Mapping[int, object], last: int = -1
    ) -> Iterator[_Message]:
        """Yield the messages behind ``last`` that the index of times names, one by one."""
        most = self.path.stat().st_size // _SHORTEST
        wanted = _select(keys) + 'AND rowid = ? AND timestamp = ?'
        try:
            for key, time in self._query(
                database, 'SELECT rowid, timestamp FROM messages ORDER BY timestamp LIMIT ?', most
            ):
                row = _look_up(database, wanted, *keys, key, time) if key > last else None
                if row is not None and _is_message(row):
                    yield row[:3]
        except sqlite3.DatabaseError:
            return  # from here on the index is damaged, too

    def _stored(self, wanted: Mapping[int, Connection]) -> Iterator[Stored]:
        count = 0
        with self._connect() as database:
            for key, time, raw in self._rows(database, wanted):
                count += 1
                yield wanted[key], time, raw
        if self.truncated and not count and any(one.message_count for one in wanted.values()):
            raise ValueError('it is damaged before its first message')

    def _query(
        self, database: sqlite3.Connection, statement: str, *values: object
    ) -> Iterator[Any]:
        """
        Yield the rows of a query.

        Pages of a damaged or hostile file may refer to each other so that a query does not end.
        Each of its rows takes some bytes of the file and some dozens of instructions.
        """
        budget = 10**6 + 50 * self.path.stat().st_size

        def spend() -> bool:
            nonlocal budget
            budget -= _CHECK
            return budget < 0

        database.set_progress_handler(spend, _CHECK)
        with _system_errors():
            # Not "yield from", which closes the cursor, also when the database is closed already
            for row in database.execute(statement, values):  # noqa: UP028
                yield row


def _text(raw: bytes) -> str:
    return raw.decode(errors='replace')


def _select(keys: Mapping[int, object]) -> str:
    places = ', '.join('?' * len(keys))
    return f'SELECT topic_id, timestamp, data, rowid FROM messages WHERE topic_id IN ({places}) '


def _is_message(row: Sequence[object]) -> bool:
    return isinstance(row[1], int) and isinstance(row[2], bytes)


def _look_up(database: sqlite3.Connection, statement: str, *values: object) -> Any:
    """Return the row of a query, ``None`` if there is none or its page is damaged."""
    try:
        with _system_errors():
            return database.execute(statement, values).fetchone()
    except sqlite3.DatabaseError:
        return None


@contextmanager
def _system_errors() -> Iterator[None]:
    """Raise errors of the system as such, not as damage, after which the rest is left out."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if str(error) in _OF_SYSTEM:
            raise OSError(errno.EIO, str(error)) from error
        raise


def _is_truncated(path: Path) -> bool:
    """Return whether a file is an sqlite database shorter than its first page states."""
    with path.open('rb') as file:
        head = file.read(100)
    # www.sqlite.org/fileformat.html, 1.3
    page, pages = int.from_bytes(head[16:18], 'big'), int.from_bytes(head[28:32], 'big')
    size = (65536 if page == 1 else page) * pages
    return head.startswith(_MAGIC) and path.stat().st_size < size
