"""
ROS bags, read through ``rosbags``.

These are rosbag2 (sqlite3, mcap, compressed, split, cut off, without usable metadata.yaml) and
rosbag1.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
import re

import numpy as np
from rosbags.interfaces import Connection
from sast_ros.bags.definitions import message_types
from sast_ros.bags.errors import RecordingError
from sast_ros.bags.recording import EventTopic, Recording
from sast_ros.bags.storage import DamagedError, open_storage, StorageFile
from sast_ros.events import EVENT_TYPES, EventChunk, EventFormatError, open_decoder, POINT_CLOUD
from sast_ros.events.event_array import EVENT_ARRAY_TYPES
import zstandard

#: Stamp and time of receipt differ by less where both are on one clock.
_SAME_CLOCK_NS = 1_000_000_000


class RosBag(Recording):
    """
    Events on one topic of a ROS bag.

    Parameters
    ----------
    path: rosbag2 folder, ``.db3`` or ``.mcap`` file (also with ``.zstd``), or rosbag1 ``.bag``
        file.
    topic: topic to read; by default the only one of an event type. ``PointCloud2`` topics are
        chosen by themselves only where there is no other candidate, because most of them are no
        events.

    Raises
    ------
    RecordingError: not a bag, damaged, or no single topic to read.

    """

    def __init__(self, path: Path, topic: str | None = None) -> None:
        self.path = path
        self.format = 'rosbag1' if path.suffix == '.bag' else 'rosbag2'
        self._files: list[StorageFile] = []
        self._stack = ExitStack()
        try:
            self._files, self.missing = open_storage(path, self._stack)
            self.topics = _event_topics(self._files)
            chosen = _choose_topic(path, self._files, self.topics, topic)
        except BaseException:
            self.close()
            raise
        self.topic, self.message_count = chosen.name, chosen.message_count
        self.type = self.message_type = chosen.type
        self.byte_size = sum(file.path.stat().st_size for file in self._files)
        if self.message_count:
            filled = [file.reader for file in self._files if file.reader.message_count]
            self.duration = (
                max(r.end_time for r in filled) - min(r.start_time for r in filled)
            ) / 1e9
        else:
            self.duration = 0.0
        self.progress = (0, self.message_count, 'messages')

    @cached_property
    def sensor_size(self) -> tuple[int, int] | None:
        """
        Sensor size as ``(height, width)`` in pixels, or ``None``.

        It is that of the first message that can be decoded.
        """
        decoder = open_decoder(self.type)
        for _, raw in self.messages():
            try:
                chunk = decoder(raw)
            except EventFormatError:
                return None  # reading the events will report it, with its place
            return (chunk.height, chunk.width) if chunk.height and chunk.width else None
        return None

    @cached_property
    def log_offset_ns(self) -> int:
        """
        Nanoseconds from the stamps of the events to the clock of the bag.

        A bag orders its messages by the time at which the recorder received them, usually moments
        after they were stamped, on the same clock. Where the first message says otherwise
        (simulated time, recorder and driver on two computers), it tells the difference.
        """
        decoder = open_decoder(self.type)
        for time_ns, raw in self.messages():
            try:
                chunk = decoder(raw)
            except EventFormatError:
                return 0  # reading the events will report it, with its place
            if len(chunk) and chunk.clock == 'ros':
                offset = time_ns - 1000 * int(chunk.t[0])
            elif chunk.stamp_ns is not None:
                offset = time_ns - chunk.stamp_ns
            else:
                return 0
            return offset if abs(offset) > _SAME_CLOCK_NS else 0
        return 0

    def __iter__(self) -> Iterator[EventChunk]:
        """Yield one chunk per message."""
        decoder = open_decoder(self.type)
        total = self.message_count or 0
        self.progress = (0, total, 'messages')
        for index, (_, raw) in enumerate(self.messages()):
            try:
                chunk = decoder(raw)
            except EventFormatError as error:
                raise RecordingError(
                    f'{self.path}: message {index} of {self.topic} is damaged: {error}'
                ) from error
            self.progress = (index + 1, total, 'messages')
            yield chunk

    def messages(self) -> Iterator[tuple[int, bytes]]:
        """Yield ``(receive time in ns, serialised ROS 2 message)`` of the topic in that order."""
        return topic_messages(self._files, self.topic, self.type)

    def close(self) -> None:
        """Close the files."""
        self._files = []
        self._stack.close()


def topic_messages(
    files: list[StorageFile], topic: str, type_name: str
) -> Iterator[tuple[int, bytes]]:
    """
    Yield ``(receive time in ns, serialised ROS 2 message)`` of a topic in that order.

    Raises
    ------
    RecordingError: a file is damaged; the text says behind how many messages.

    """
    for file in files:
        connections = [c for c in file.connections() if (c.topic, c.msgtype) == (topic, type_name)]
        if not connections:
            continue  # an empty list would mean every topic
        convert = ros1_to_cdr if file.path.suffix == '.bag' else _decompressed
        stored = file.reader.messages(connections)
        index = 0
        while True:
            # Damage shows in many ways below rosbags (struct.error, AssertionError, apsw.Error,
            # zstd, lz4, ...); to the reader of the message they are one thing. Only the
            # third-party call stands in the try block.
            try:
                _, time_ns, raw = next(stored)
                message = convert(raw, type_name)
            except StopIteration:
                break
            except Exception as error:
                raise DamagedError(
                    file.path, f'after {index} messages of {topic}: {error}'
                ) from error
            index += 1
            yield time_ns, message


def ros1_to_cdr(raw: bytes, type_name: str) -> bytes:
    """
    Convert a message from ROS 1 to ROS 2 serialisation.

    The wire formats differ in alignment, in the NUL behind strings and in ``Header.seq``, which
    ROS 2 does not have.

    Parameters
    ----------
    raw:
        message in ROS 1 serialisation.
    type_name:
        message type in ROS 2 spelling.

    Raises
    ------
    EventFormatError: the length of an EventArray does not fit its number of events.
    rosbags.serde.SerdeError: another message whose length does not fit its content.

    """
    if type_name not in EVENT_ARRAY_TYPES:
        return bytes(message_types().ros1_to_cdr(raw, type_name))

    # rosbags converts event by event in Python, 0.3 Mev/s; here the events are moved by columns.
    # ROS 1: seq, secs, nsecs (u4 each), frame_id (u4 length, bytes), height, width, count (u4
    # each), 13 bytes an event.
    if len(raw) < 28:
        raise EventFormatError(
            f'{type_name}: {len(raw)} bytes are too short for an EventArray', field='header'
        )
    name_end = 16 + int.from_bytes(raw[12:16], 'little')
    count_at, start = name_end + 8, name_end + 12
    count = int.from_bytes(raw[count_at:start], 'little')
    if len(raw) != start + 13 * count:
        raise EventFormatError(
            f'{type_name}: {len(raw)} bytes do not hold {count} events of 13 bytes',
            field='events',
            offset=count_at,
        )
    frame_id = raw[16:name_end] + b'\0'
    head = b'\0\1\0\0' + raw[4:12] + len(frame_id).to_bytes(4, 'little') + frame_id
    head += bytes(-len(head) % 4) + raw[name_end:start]
    if count == 0:
        return head
    # Layout of the events in ROS 2 serialisation: see sast_ros.events; the first is shifted, the
    # last is not padded.
    first, behind = len(head), len(head) + 4
    message = np.zeros(first + 16 * count, np.uint8)
    message[:first] = np.frombuffer(head, np.uint8)
    message[first:behind] = np.frombuffer(raw, np.uint8, 4, start)
    source = np.frombuffer(raw, _ROS1_EVENT, count, start)
    later = np.frombuffer(message, _CDR_EVENT, count - 1, first + 14)
    for field in ('x', 'y'):
        later[field] = source[field][1:]
    for field, offset in (('ts', 4), ('polarity', 12)):
        column = np.ndarray(count, _ROS1_EVENT[field], message.data, first + offset, (16,))
        column[:] = source[field]
    return message[:-3].tobytes()


_ROS1_EVENT = np.dtype([('x', '<u2'), ('y', '<u2'), ('ts', '<u8'), ('polarity', 'u1')])
_CDR_EVENT = np.dtype(
    {'names': ['x', 'y'], 'formats': ['<u2', '<u2'], 'offsets': [0, 2], 'itemsize': 16}
)


def _decompressed(raw: bytes, type_name: str) -> bytes:
    """
    Return a message as ROS 2 serialises it.

    Every such message begins with a byte of 0, so those that rosbag2 has compressed one by one
    tell themselves, whatever became of the metadata.yaml that should.
    """
    if raw[:4] == zstandard.FRAME_HEADER:
        return zstandard.ZstdDecompressor().decompressobj().decompress(raw)
    return raw


def _event_topics(files: list[StorageFile]) -> tuple[EventTopic, ...]:
    counts: dict[tuple[str, str], int] = {}
    for connection in _connections(files):
        if connection.msgtype in EVENT_TYPES:
            key = (connection.topic, connection.msgtype)
            counts[key] = counts.get(key, 0) + connection.msgcount
    return tuple(
        EventTopic(name, type_name, count) for (name, type_name), count in sorted(counts.items())
    )


def _connections(files: list[StorageFile]) -> Iterator[Connection]:
    for file in files:
        yield from file.connections()


def _choose_topic(
    path: Path,
    files: list[StorageFile],
    topics: tuple[EventTopic, ...],
    wanted: str | None,
) -> EventTopic:
    listing = ', '.join(
        f'{topic.name} ({topic.type}, {topic.message_count} messages)' for topic in topics
    )
    if wanted is not None:
        name = '/' + wanted.strip('/')
        found = [topic for topic in topics if '/' + topic.name.strip('/') == name]
        if found:
            # One name with two types is a bag of two runs; the one with more messages is the
            # recording.
            return max(found, key=lambda topic: topic.message_count)
        others = {c.topic: c.msgtype for c in _connections(files)}
        if wanted in others:
            raise RecordingError(
                f'{path}: topic {wanted} is of type {others[wanted]}, which holds no events; '
                + (
                    f'choose with --topic: {listing}'
                    if topics
                    else f'events come as {_type_names()}'
                )
            )
        raise RecordingError(
            f'{path} has no topic {wanted}; '
            + (
                f'choose with --topic: {listing}'
                if topics
                else f'nor any other of type {_type_names()}'
            )
        )
    if not topics:
        held = (
            ', '.join(sorted({f'{c.topic} ({c.msgtype})' for c in _connections(files)}))
            or 'no topics at all'
        )
        raise RecordingError(f'{path} has no topic of type {_type_names()}; it holds {held}')
    candidates = [topic for topic in topics if topic.type != POINT_CLOUD] or list(topics)
    # A camera driver that was advertised and never published must not stand in the way of the one
    # that did.
    candidates = [topic for topic in candidates if topic.message_count] or candidates
    if len(candidates) > 1:
        raise RecordingError(
            f'{path} has {len(candidates)} topics with events; choose with --topic, '
            f'once for each camera: {listing}'
        )
    return candidates[0]


def _type_names() -> str:
    return re.sub(r', ([^,]*)$', r' or \1', ', '.join(EVENT_TYPES))
