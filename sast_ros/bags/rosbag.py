# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
ROS bags: rosbag2 (sqlite3, mcap) and rosbag1.

They may be compressed, split, truncated, without index or usable metadata.yaml; mcap may hold
messages of ROS 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import cached_property
from itertools import groupby, islice
from pathlib import Path
import re
from typing import NamedTuple

from sast_ros.bags.bag_file import Connection
from sast_ros.bags.compression import decompress, ExpansionError, ZSTD_MAGIC
from sast_ros.bags.errors import RecordingError
from sast_ros.bags.mcap_topic import read_clock, StreamClock
from sast_ros.bags.metadata import read_metadata
from sast_ros.bags.recording import EventTopic, Recording
from sast_ros.bags.ros1 import ros1_to_cdr
from sast_ros.bags.storage import open_storage, reading_error, storage_suffix, StorageFile
from sast_ros.events import (
    EVENT_TYPES,
    EventChunk,
    EventDecoder,
    EventFormatError,
    open_decoder,
    open_message_order,
    POINT_CLOUD,
)
from sast_ros.events.order import in_order

#: So many messages, none of which can be read, are enough to refuse a recording.
_MAX_REFUSED = 100

#: Stamp and time of receipt differ by less where both are on one clock.
_SAME_CLOCK_NS = 1_000_000_000


class RosBag(Recording):
    """
    Events on one topic of a ROS bag.

    Parameters
    ----------
    path : Path
        Rosbag2 folder, ``.db3`` or ``.mcap`` file, or rosbag1 ``.bag`` file; files also with
        ``.zst`` or ``.zstd`` behind.
    topic : str, optional
        Topic to read; by default the only one of an event type. ``PointCloud2`` topics are chosen
        automatically only where there is no other candidate, because few of them hold events.

    Raises
    ------
    RecordingError
        Not a bag, damaged, or no single topic to read.

    """

    def __init__(self, path: Path, topic: str | None = None) -> None:
        self.path = path
        self.format = 'rosbag1' if storage_suffix(path) == '.bag' else 'rosbag2'
        self._files: list[StorageFile] = []
        self._stack = ExitStack()
        try:
            metadata = read_metadata(path)
            self._storage = open_storage(path, self._stack, metadata)
            self._files = self._storage.files
            self.topics = _event_topics(self._files)
            chosen = _choose_topic(path, self._files, self.topics, topic)
        except BaseException:
            self.close()
            raise
        self.topic, self.message_count = chosen.name, chosen.message_count
        self._stated = metadata.counts.get(self.topic)
        self.missing = self._all_missing()
        self.type = self.message_type = chosen.type
        self.byte_size = sum(file.path.stat().st_size for file in self._files)
        self.progress = (0, self.message_count, 'messages')

    @cached_property
    def _begin(self) -> tuple[tuple[int, EventChunk] | None, tuple[int, int] | None]:
        """Receive time and events of the first readable message, and the size stated first."""
        first = None
        stored = topic_messages(self._files, self.topic, self.type)
        for message in islice(stored, _MAX_REFUSED):
            try:
                decoder = self._open_decoder()
                chunk = decoder(message.cdr)
                chunk = message.clock.apply(chunk) if message.clock else chunk
            except EventFormatError:
                continue  # reading the events reports it, with its place
            first = first or (message.time_ns, chunk)
            if all(decoder.stated_size):
                return first, decoder.stated_size
        return first, None

    @cached_property
    def sensor_size(self) -> tuple[int, int] | None:
        """Sensor size ``(height, width)`` in pixels that a message states first, or ``None``."""
        return self._begin[1]

    @property
    def log_offset_ns(self) -> int:
        """
        Nanoseconds from the stamps of the events to the clock of the bag.

        A bag orders its messages by the time at which the recorder received them, usually on the
        same clock as the stamps. Where it is another clock (simulated time, recorder and driver on
        two computers), the first message gives the difference.
        """
        first, _ = self._begin
        if first is None:
            return 0
        time_ns, chunk = first
        if len(chunk) and chunk.clock == 'ros':
            offset = time_ns - 1000 * int(chunk.t[0])
        elif chunk.stamp_ns is not None:
            offset = time_ns - chunk.stamp_ns
        else:
            return 0
        return offset if abs(offset) > _SAME_CLOCK_NS else 0

    def __iter__(self) -> Iterator[EventChunk]:
        """Yield the events in the order of time, without strays; one chunk per message."""
        return in_order(self._chunks())

    def _chunks(self) -> Iterator[EventChunk]:
        for (clock, _), messages in groupby(self._convertible(), lambda each: each.stream):
            decoder = self._open_decoder()
            for raw in self._in_order(messages):
                try:
                    chunk = decoder(raw)
                except EventFormatError as error:
                    self._refuse(error)
                    continue
                yield clock.apply(chunk) if clock else chunk
        if 2 * self.refused > self.progress[0]:
            raise self._refused_error()

    def _in_order(self, messages: Iterable[TopicMessage]) -> Iterator[bytes]:
        """Yield messages in the order in which they were sent."""
        order = open_message_order(self.type, self._refuse)
        for message in messages:
            yield from order.feed(message.cdr)
        yield from order.flush()

    def _refuse(self, error: EventFormatError) -> None:
        count = self.progress[0]
        if not self.refused:
            self.first_refused = f'message {count - 1} of {self.topic} is left out: {error}'
        self.refused += 1
        if self.refused > _MAX_REFUSED and self.refused == count:
            raise self._refused_error()

    def _refused_error(self) -> RecordingError:
        return RecordingError(
            f'{self.path}: {self.refused} of {self.progress[0]} messages cannot be read; the '
            f'first: {self.first_refused}'
        )

    def _open_decoder(self) -> EventDecoder:
        options = {'time_unit': self.time_unit} if self.type == POINT_CLOUD else {}
        return open_decoder(self.type, sensor_size=self.given_size, **options)

    def messages(self) -> Iterator[tuple[int, bytes]]:
        """
        Yield ``(receive time in ns, serialised ROS 2 message)`` of the topic in that order.

        Those that cannot be converted to ROS 2 are left out and counted in ``refused``.
        """
        for message in self._convertible():
            yield message.time_ns, message.cdr

    def _convertible(self) -> Iterator[TopicMessage]:
        """Yield the messages that can be converted to ROS 2, refuse the others."""
        total = self.message_count or 0
        self.progress, self.refused = (0, total, 'messages'), 0
        stored = topic_messages(self._files, self.topic, self.type)
        for count, message in enumerate(stored, start=1):
            self.progress = (count, total, 'messages')
            if isinstance(message.converted, EventFormatError):
                self._refuse(message.converted)
            else:
                yield message
        self.missing = self._all_missing()

    @property
    def truncated(self) -> bool:
        """Whether a file ends early, is missing or damaged."""
        return self._storage.lost or any(file.truncated for file in self._storage.files)

    def _all_missing(self) -> str:
        clauses = [self._storage.missing, *(file.missing for file in self._files)]
        if self._stated not in (None, self.message_count):
            truncated = len(self._files) == 1 and self._files[0].reader.truncated
            there = f'there are {self.message_count} messages of {self.topic}, but '
            clauses.append(f'{there * (not truncated)}metadata.yaml states {self._stated}')
        return '; '.join(filter(None, clauses))

    def close(self) -> None:
        """Close the files."""
        self._files = []
        self._stack.close()


class TopicMessage(NamedTuple):
    """
    A message of a topic, of ``connection``; ``converted`` may hold why it cannot be read.

    ``clock`` is that of its events, if the file states it.
    """

    connection: Connection
    clock: StreamClock | None
    time_ns: int
    converted: bytes | EventFormatError

    @property
    def stream(self) -> tuple[StreamClock | None, int]:
        """Clock and key of its stream; transcoded files have each their own."""
        return self.clock, id(self.connection) if self.clock else 0

    @property
    def cdr(self) -> bytes:
        """
        The message as ROS 2 serialises it.

        Raises
        ------
        EventFormatError
            It is damaged; those behind it may be read all the same.

        """
        if isinstance(self.converted, EventFormatError):
            raise self.converted
        return self.converted


def topic_messages(files: list[StorageFile], topic: str, type_name: str) -> Iterator[TopicMessage]:
    """
    Yield the messages of a topic in the order of their receive times.

    Raises
    ------
    RecordingError
        A file is damaged; the message contains the number of messages before the damage.

    """
    for file in files:
        connections = [c for c in file.connections() if (c.topic, c.msgtype) == (topic, type_name)]
        if not connections:
            continue  # an empty list would mean every topic
        clocks = {one.key: read_clock(one.metadata) for one in connections}
        count = 0
        # Damage raises many types in the libraries (struct.error, sqlite3.Error, zstd, lz4, ...).
        # What is wrong with a message alone is not raised here.
        try:
            for connection, time_ns, raw in file.reader.messages(connections):
                converted = _convert(connection, raw)
                yield TopicMessage(connection, clocks[connection.key], time_ns, converted)
                count += 1
        except Exception as error:
            place = f'after {count} messages of {topic}: '
            raise reading_error(file.path, file.reader.path, error, place) from error


def _convert(connection: Connection, raw: bytes) -> bytes | EventFormatError:
    """
    Return a message as ROS 2 serialises it, or why that is not possible.

    Every such message begins with a byte of 0, so those that rosbag2 has compressed one by one are
    recognised without metadata.yaml.
    """
    try:
        if connection.encoding == 'ros1':
            return ros1_to_cdr(raw, connection.msgtype)
        return bytes(decompress(raw, 'zstd')) if raw[:4] == ZSTD_MAGIC else raw
    except EventFormatError as error:
        return error
    except ExpansionError:  # no damage
        raise
    except Exception as error:  # of rosbags or zstandard
        reason = str(error).rstrip('.') or type(error).__name__
        return EventFormatError(
            f'{connection.msgtype}: a message of {len(raw)} bytes is damaged: {reason}'
        )


def _event_topics(files: list[StorageFile]) -> tuple[EventTopic, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    for file in files:
        for connection in file.connections():
            if connection.msgtype in EVENT_TYPES:
                counts[connection.topic, connection.msgtype] += connection.message_count
    return tuple(EventTopic(*key, count) for key, count in sorted(counts.items()))


def _choose_topic(
    path: Path, files: list[StorageFile], topics: tuple[EventTopic, ...], wanted: str | None
) -> EventTopic:
    """Return the wanted topic, by default the only one with events."""
    event_types = re.sub(r', ([^,]*)$', r' or \1', ', '.join(EVENT_TYPES))
    listing = ', '.join(
        f'{topic.name} ({topic.type}, {topic.message_count} messages)' for topic in topics
    )
    held = [(c.topic, c.msgtype) for file in files for c in file.connections()]
    if wanted is not None:
        name = '/' + wanted.strip('/')
        found = [topic for topic in topics if '/' + topic.name.strip('/') == name]
        if found:
            # One name with two types is a bag of two runs; the one with more messages is the
            # recording.
            return max(found, key=lambda topic: topic.message_count)
        problem = f'{path} has no topic {wanted}'
        if wanted in dict(held):
            kind = dict(held)[wanted] or 'unknown (the file does not state it)'
            problem = f'{path}: topic {wanted} is of type {kind}, without events'
        advice = f'choose with --topic: {listing}' if topics else f'event types: {event_types}'
        raise RecordingError(f'{problem}; {advice}')
    if not topics:
        names = ', '.join(sorted({f'{name} ({kind or "unknown type"})' for name, kind in held}))
        raise RecordingError(
            f'{path} has no topic of type {event_types}; it holds {names or "no topics at all"}'
        )
    candidates = [topic for topic in topics if topic.type != POINT_CLOUD] or list(topics)
    # A topic that was advertised and never published is no alternative to one that was.
    candidates = [topic for topic in candidates if topic.message_count] or candidates
    if len(candidates) > 1:
        raise RecordingError(
            f'{path} has {len(candidates)} topics with events; choose with --topic, once for each '
            f'camera: {listing}'
        )
    return candidates[0]
