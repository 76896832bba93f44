# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What mcap and rosbag1 have in common: records one behind the other, messages in chunks.

Both formats end with an index that a killed recorder did not write and that may contradict the
messages. Therefore the index is never what messages are read by. Opening walks over the records
from head to head, without reading the messages; reading goes through the chunks in the order of
their first times, and merges those whose times overlap.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from pathlib import Path
import struct
from typing import BinaryIO, NamedTuple

from sast_ros.bags.bag_file import BagFile, Connection, Stored
from sast_ros.bags.compression import ExpansionError
from sast_ros.bags.errors import is_of_system

#: Messages outside chunks are sorted in runs of as many bytes.
_RUN = 1 << 22

#: Messages wait for their turn in memory up to as many bytes.
_WAITING = 1 << 28

#: What a waiting message takes beside its bytes.
_OVERHEAD = 256

#: Problems that are named.
_NAMED = 3

#: Content of a record, with its start and its end in the data.
Content = tuple[memoryview, int, int]


class Segment(NamedTuple):
    """A chunk, or a run of records outside chunks; in the order in which they are read."""

    start_time: int
    offset: int
    size: int


class _Waiting(NamedTuple):
    """A message, in the order in which messages are yielded."""

    time: int
    segment: int
    place: int
    key: int
    data: bytes


class RecordError(ValueError):
    """A record that is not what its head states."""


class ChunkedFile(BagFile):
    """
    A file of records, whole, truncated, or still being recorded.

    What is complete when it is opened is read. It is open only while it is read: a bag may have
    more files than a process may open.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    ValueError
        It has another format, or none of its messages can be read.
    ExpansionError
        A chunk expands beyond the limit.

    """

    #: First bytes of a file.
    magic: bytes

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._segments: list[Segment] = []
        self._problems: list[str] = []
        self._run_end = 0
        self._file: BinaryIO | None = None
        self._size = path.stat().st_size
        try:
            if self._read(0, min(self._size, len(self.magic))) != self.magic:
                raise ValueError('it does not begin as such files do')
            self._open()
        finally:
            self.close()

    def close(self) -> None:
        """Close the file until it is read again."""
        if self._file is not None:
            self._file.close()
        self._file = None

    @abstractmethod
    def _open(self) -> None:
        """Walk over the records and call ``_finish_opening``."""

    @abstractmethod
    def _messages(self, segment: Segment) -> Iterator[tuple[int, int, Content]]:
        """
        Yield ``(key, receive time in ns, content)`` of the messages of a segment.

        Topics that are declared in the segment are registered. Raises whatever the libraries for
        decompression raise, and ``RecordError``.
        """

    @abstractmethod
    def _topics(self, counts: Mapping[int, int]) -> Iterator[Connection]:
        """Yield the topics that are declared, with their numbers of messages."""

    def _read(self, at: int, size: int) -> bytes:
        if self._file is None:
            self._file = self.path.open('rb')
        self._file.seek(min(at, self._size))
        data = self._file.read(max(0, min(size, self._size - at)))
        if len(data) != size:
            raise RecordError(f'the file ends at byte {at + len(data)}')
        return data

    def _add_message(self, time: int, at: int, size: int) -> None:
        """Add a message outside chunks, at an offset, to the segments."""
        if self._run_end == at and self._segments[-1].size + size <= _RUN:
            last = self._segments[-1]
            self._segments[-1] = Segment(min(time, last.start_time), last.offset, last.size + size)
        else:
            self._segments.append(Segment(time, at, size))
        self._run_end = at + size

    def _count(self) -> Counter[int]:
        """Count the messages by key, and take the times of the segments from them."""
        counts: Counter[int] = Counter()
        self.start_time = BagFile.start_time
        for index, segment in enumerate(self._segments):
            first = BagFile.start_time
            for key, time, _ in self._readable(segment):
                counts[key] += 1
                first = min(first, time)
            self._segments[index] = segment._replace(start_time=first)
            self.start_time = min(self.start_time, first)
        return counts

    def _readable(self, segment: Segment) -> Iterator[tuple[int, int, Content]]:
        """Yield the messages of a segment, of a damaged one those before the damage."""
        try:
            yield from self._messages(segment)
        except Exception as error:  # of lz4, zstandard, bz2
            if isinstance(error, ExpansionError) or is_of_system(error):
                raise
            problem = f'{error} in the chunk at byte {segment.offset}'
            if problem not in self._problems:
                self._problems.append(problem)

    def _finish_opening(self, counts: Mapping[int, int], stated: int | None) -> None:
        """
        Set the attributes of a bag file.

        Parameters
        ----------
        counts : mapping of int to int
            Numbers of messages, by key.
        stated : int or None
            Number of all messages that the file states.

        """
        self._segments.sort()
        self.connections = tuple(self._topics(counts))
        self.message_count = sum(one.message_count for one in self.connections)
        unknown = sum(counts.values()) - self.message_count
        if unknown:
            self._problems.append(f'{unknown} messages are of no known topic')
        if not self.message_count and (self._problems or self.truncated):
            raise ValueError('; '.join(self._problems[:1]) or 'it ends before its first message')
        name, count = self.path.name, self.message_count
        if self._problems:
            self.add_missing(f'{count} of its messages are read')
        elif self.truncated:
            self.add_missing(
                f'{name} is truncated, or still being recorded: its {count} complete messages are '
                'read'
            )
        if stated is not None and stated != count:
            self.add_missing(
                f'{name} holds {count} messages, but its {self.counted_by} states {stated}'
            )

    @property
    def missing(self) -> str:
        """As of any bag file; damage may be found while it is read."""
        clauses = [*self._clauses]
        if self._problems:
            problems = '; '.join(self._problems[:_NAMED])
            problems += '; ...' * (len(self._problems) > _NAMED)
            clauses.insert(0, f'{self.path.name} is damaged ({problems})')
        return '; '.join(clauses)

    def _stored(self, wanted: Mapping[int, Connection]) -> Iterator[Stored]:
        try:
            yield from self._merged(wanted)
        finally:
            self.close()

    def _merged(self, wanted: Mapping[int, Connection]) -> Iterator[Stored]:
        """Yield the messages of all segments in the order of time."""
        waiting: list[_Waiting] = []
        size = count = 0
        starts = [segment.start_time for segment in self._segments[1:]]
        for segment, following in zip(self._segments, [*starts, float('inf')], strict=True):
            for key, time, (data, start, end) in self._readable(segment):
                if key in wanted:
                    raw = bytes(data[start:end])
                    heappush(waiting, _Waiting(time, segment.offset, start, key, raw))
                    size += len(raw) + _OVERHEAD
            # What no later segment can precede, and what does not fit in memory
            while waiting and (waiting[0].time < following or size > _WAITING):
                message = heappop(waiting)
                size -= len(message.data) + _OVERHEAD
                count += 1
                yield wanted[message.key], message.time, message.data
        if self._problems and not count and any(one.message_count for one in wanted.values()):
            raise RecordError(self._problems[0])


#: What damaged records raise below.
UNREADABLE = (ValueError, KeyError, IndexError, OverflowError, MemoryError, struct.error)
