# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Truncated ROS bags: the recorder was killed, the disk was full, the copy stopped.

Such files lack the index that every reader begins with. Here they are read from their start to
the first incomplete message. Messages are yielded in the order of the file, inside an mcap or
rosbag1 chunk in that of their times.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing
from io import BufferedReader, BytesIO
from operator import itemgetter
from pathlib import Path
import sqlite3

from mcap.records import Channel, Chunk, Footer, Header, Message, Schema
from mcap.stream_reader import breakup_chunk, StreamReader
from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag1,
    ConnectionExtRosbag2,
    MessageDefinition,
    MessageDefinitionFormat,
)
from rosbags.rosbag1 import reader as rosbag1
from rosbags.typesys.msg import normalize_msgtype

#: ``(key of the connection, receive time in ns, serialised message)``.
_Stored = tuple[int, int, bytes]


class TruncatedBag(ABC):
    """
    The complete messages of one bag file; the same interface as the readers of ``rosbags``.

    Parameters
    ----------
    path : Path
        The file.

    Attributes
    ----------
    truncated : bool
        Whether the file ends too early; if not, something else is wrong with it.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.truncated = False
        self._topics: dict[int, tuple[str, str, str]] = {}  # key -> (topic, type, encoding)
        counts: Counter[int] = Counter()
        self.start_time, self.end_time = 2**63 - 1, 0
        for key, time_ns, _ in self._messages():
            counts[key] += 1
            self.start_time = min(self.start_time, time_ns)
            self.end_time = max(self.end_time, time_ns + 1)
        self.message_count = counts.total()
        nowhere = MessageDefinition(MessageDefinitionFormat.NONE, '')
        self.connections = [
            Connection(key, topic, kind, nowhere, '', counts[key], self._extension(encoding), self)
            for key, (topic, kind, encoding) in sorted(self._topics.items())
        ]

    def messages(
        self, connections: Collection[Connection]
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Yield ``(connection, receive time in ns, serialised message)``."""
        wanted = {connection.id: connection for connection in connections}
        for key, time_ns, raw in self._messages():
            if key in wanted:
                yield wanted[key], time_ns, raw

    def close(self) -> None:  # noqa: B027 - the file is open only while it is read
        """Do nothing."""

    @abstractmethod
    def _messages(self) -> Iterator[_Stored]:
        """Yield the complete messages; set ``_topics`` and ``truncated``."""

    def _extension(self, encoding: str) -> ConnectionExtRosbag1 | ConnectionExtRosbag2:
        return ConnectionExtRosbag2(encoding, [])


class TruncatedMcap(TruncatedBag):
    """An mcap file without its footer."""

    def _messages(self) -> Iterator[_Stored]:
        schemas: dict[int, str] = {}
        with self.path.open('rb') as file:
            # Besides those of mcap there are the errors of what it calls (struct, zstandard, lz4);
            # all of them mean that a record is incomplete.
            records = StreamReader(file, emit_chunks=True).records
            try:
                header = next(records)
                if not isinstance(header, Header) or header.profile != 'ros2':
                    return
            except Exception:
                return
            while True:
                try:
                    record = next(records)
                    inner = breakup_chunk(record, True) if isinstance(record, Chunk) else [record]
                except StopIteration:
                    return
                except Exception:
                    self.truncated = True
                    return
                messages: list[_Stored] = []
                for item in inner:
                    if isinstance(item, Schema):
                        schemas[item.id] = item.name
                    elif isinstance(item, Channel):
                        kind = schemas.get(item.schema_id, '')
                        self._topics[item.id] = (item.topic, kind, item.message_encoding)
                    elif isinstance(item, Message) and item.channel_id in self._topics:
                        messages.append((item.channel_id, item.log_time, item.data))
                    elif isinstance(item, Footer):
                        break
                yield from sorted(messages, key=itemgetter(1))


class TruncatedSqlite(TruncatedBag):
    """A database of rosbag2 that is shorter than its first page states."""

    def _messages(self) -> Iterator[_Stored]:
        self.truncated = is_short_database(self.path)
        if not self.truncated:
            return
        uri = self.path.resolve().as_uri() + '?mode=ro&immutable=1'
        with closing(sqlite3.connect(uri, uri=True)) as database:
            try:
                # Without it sqlite refuses a file that is too short.
                database.execute('PRAGMA writable_schema = ON')
                for key, *topic in database.execute(
                    'SELECT id, name, type, serialization_format FROM topics'
                ):
                    self._topics[key] = tuple(topic)
                for key, time_ns, raw in database.execute(
                    'SELECT topic_id, timestamp, data FROM messages ORDER BY id'
                ):
                    if key in self._topics and isinstance(raw, bytes):
                        yield key, time_ns, raw
            except sqlite3.Error:
                return


def is_short_database(path: Path) -> bool:
    """Return whether a file is an sqlite database shorter than its first page states."""
    with path.open('rb') as file:
        head = file.read(100)
    # www.sqlite.org/fileformat.html, 1.3
    page, pages = int.from_bytes(head[16:18], 'big'), int.from_bytes(head[28:32], 'big')
    size = (65536 if page == 1 else page) * pages
    return head.startswith(b'SQLite format 3\0') and path.stat().st_size < size


class TruncatedRosbag1(TruncatedBag):
    """A rosbag1 file without its index."""

    def _messages(self) -> Iterator[_Stored]:
        with self.path.open('rb') as file:
            if file.readline() != b'#ROSBAG V2.0\n':
                return
            self.truncated = True  # a file with its index is read by rosbags
            try:
                yield from self._records(file)
            except (rosbag1.ReaderError, ValueError):
                return

    def _records(self, file: BufferedReader) -> Iterator[_Stored]:
        while file.peek(1):
            header = rosbag1.Header.read(file)
            kind = header.get_uint8('op')
            size = rosbag1.read_uint32(file)
            if kind != rosbag1.RecordType.CHUNK:
                # The recorder writes the size of a chunk when the chunk is complete. Before, it
                # is 0, and the content of the chunk follows here.
                yield from self._message(kind, header, rosbag1.read_bytes(file, size))
                continue
            data = file.read(size)
            compression = header.get_string('compression')
            complete = len(data) == size
            if not complete and compression != 'none':
                return
            try:
                content = BytesIO(rosbag1.decompressors[compression](data))
            except Exception as error:  # of lz4 or bz2
                raise rosbag1.ReaderError(str(error)) from error
            messages: list[_Stored] = []
            try:
                while content.tell() < len(content.getbuffer()):
                    header = rosbag1.Header.read(content)
                    data = rosbag1.read_bytes(content, rosbag1.read_uint32(content))
                    messages += self._message(header.get_uint8('op'), header, data)
            except rosbag1.ReaderError:
                if complete:
                    raise
            yield from sorted(messages, key=itemgetter(1))

    def _message(self, kind: int, header: rosbag1.Header, data: bytes) -> Iterator[_Stored]:
        if kind == rosbag1.RecordType.CONNECTION:
            details = rosbag1.Header.read(BytesIO(len(data).to_bytes(4, 'little') + data))
            self._topics[header.get_uint32('conn')] = (
                rosbag1.normalize(header.get_string('topic')),
                normalize_msgtype(details.get_string('type')),
                'ros1',
            )
        elif kind == rosbag1.RecordType.MSGDATA and header.get_uint32('conn') in self._topics:
            yield header.get_uint32('conn'), header.get_time('time'), data

    def _extension(self, encoding: str) -> ConnectionExtRosbag1 | ConnectionExtRosbag2:
        return ConnectionExtRosbag1(None, None)


#: By the ending of the file's name.
TRUNCATED_BAGS: dict[str, type[TruncatedBag]] = {
    '.bag': TruncatedRosbag1,
    '.db3': TruncatedSqlite,
    '.mcap': TruncatedMcap,
}
