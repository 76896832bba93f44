"""
ROS bags, read through ``rosbags``.

These are rosbag2 (sqlite3, mcap, split, without usable metadata.yaml) and rosbag1.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
import re

import numpy as np
from rosbags.interfaces import Connection, ConnectionExtRosbag2
from rosbags.rosbag1 import Reader as Rosbag1Reader
from rosbags.rosbag2 import Reader as Rosbag2Reader
from sast_ros.bags.definitions import message_types
from sast_ros.bags.recording import EventTopic, Recording, RecordingError
from sast_ros.events import EventChunk, EventFormatError, open_decoder
import yaml

STORAGE_SUFFIXES = ('.db3', '.mcap')

_POINT_CLOUD = 'sensor_msgs/msg/PointCloud2'
_EVENT_ARRAYS = ('dvs_msgs/msg/EventArray', 'prophesee_event_msgs/msg/EventArray')

#: Message types that ``open_decoder`` turns into events.
EVENT_TYPES = (
    *_EVENT_ARRAYS,
    'event_camera_msgs/msg/EventPacket',
    'event_array_msgs/msg/EventArray',
    _POINT_CLOUD,
)


class RosBag(Recording):
    """
    Events on one topic of a ROS bag.

    Parameters
    ----------
    path: rosbag2 folder, ``.db3`` or ``.mcap`` file, or rosbag1 ``.bag`` file.
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
        files = [path] if path.is_file() else _storage_files(path)
        self._readers: list[Rosbag1Reader | Rosbag2Reader] = []
        try:
            for file in files:
                self._readers.append(_open_reader(file))
            # Files of a split bag follow each other; their names need not tell the order, their
            # times do.
            self._readers.sort(key=lambda reader: reader.start_time)
            self.topics = _event_topics(self._readers)
            chosen = _choose_topic(path, self._readers, self.topics, topic)
        except BaseException:
            self.close()
            raise
        self.topic, self.type, self.message_count = chosen.name, chosen.type, chosen.message_count
        self.byte_size = sum(_byte_size(file) for file in files)
        if self.message_count:
            filled = [reader for reader in self._readers if reader.message_count]
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
        for reader in self._readers:
            connections = [
                c for c in reader.connections if (c.topic, c.msgtype) == (self.topic, self.type)
            ]
            if not connections:
                continue  # an empty list would mean every topic
            convert = ros1_to_cdr if isinstance(reader, Rosbag1Reader) else _as_it_is
            stored = reader.messages(connections)
            index = 0
            while True:
                # Damage shows in many ways below rosbags (struct.error, AssertionError,
                # apsw.Error, zstd, lz4, ...); to the reader of the message they are one thing.
                # Only the third-party call stands in the try block.
                try:
                    _, time_ns, raw = next(stored)
                    message = convert(raw, self.type)
                except StopIteration:
                    break
                except Exception as error:
                    raise _damaged(
                        Path(str(reader.path)), f'after {index} messages of {self.topic}: {error}'
                    ) from error
                index += 1
                yield time_ns, message

    def close(self) -> None:
        """Close the files."""
        while self._readers:
            self._readers.pop().close()


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
    if type_name not in _EVENT_ARRAYS:
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


def _as_it_is(raw: bytes, type_name: str) -> bytes:
    return raw


def _storage_files(folder: Path) -> list[Path]:
    """
    Files of a rosbag2 folder that are to be opened; the folder itself if it is compressed.

    Everything but the compression is found in the storage files, so metadata.yaml is read for
    nothing else: recordings of a recorder that was killed have none, others leave the storage
    identifier or the list of files empty.
    """
    if _is_compressed(folder / 'metadata.yaml'):
        return [folder]
    files = [
        file for file in folder.iterdir() if file.suffix in STORAGE_SUFFIXES and file.is_file()
    ]
    if not files:
        raise RecordingError(
            f'{folder} is no rosbag2 folder: there is no {" or ".join(STORAGE_SUFFIXES)} file in '
            'it; name the folder that holds them, or a single recording'
        )
    return sorted(files)


def _is_compressed(metadata: Path) -> bool:
    try:
        document = yaml.safe_load(metadata.read_text())
        mode = document['rosbag2_bagfile_information']['compression_mode']
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return False
    return isinstance(mode, str) and mode.lower() in ('file', 'message')


def _open_reader(file: Path) -> Rosbag1Reader | Rosbag2Reader:
    reader = (Rosbag1Reader if file.suffix == '.bag' else Rosbag2Reader)(file)
    try:
        reader.open()
    except PermissionError as error:
        raise RecordingError(f'{file} may not be read; give yourself the permission to') from error
    except Exception as error:
        raise _damaged(file, str(error)) from error
    return reader


_MENDING = {
    '.bag': 'mend it with "rosbag reindex", or copy it again',
    '.mcap': 'mend it with "mcap recover", or copy it again',
    '.db3': 'mend it with "sqlite3 FILE .recover", or copy it again',
}


def _damaged(file: Path, reason: str) -> RecordingError:
    advice = _MENDING.get(file.suffix, 'copy it again')
    return RecordingError(
        f'{file} is damaged or no such recording ({reason.rstrip(".") or "unreadable"}); {advice}'
    )


def _event_topics(readers: list[Rosbag1Reader | Rosbag2Reader]) -> tuple[EventTopic, ...]:
    counts: dict[tuple[str, str], int] = {}
    for connection in _connections(readers):
        if connection.msgtype in EVENT_TYPES:
            key = (connection.topic, connection.msgtype)
            counts[key] = counts.get(key, 0) + connection.msgcount
    return tuple(
        EventTopic(name, type_name, count) for (name, type_name), count in sorted(counts.items())
    )


def _connections(readers: list[Rosbag1Reader | Rosbag2Reader]) -> Iterator[Connection]:
    """
    Yield connections with messages as ROS serialises them.

    An mcap file may hold JSON or protobuf as well.
    """
    for reader in readers:
        for connection in reader.connections:
            if (
                not isinstance(connection.ext, ConnectionExtRosbag2)
                or connection.ext.serialization_format == 'cdr'
            ):
                yield connection


def _choose_topic(
    path: Path,
    readers: list[Rosbag1Reader | Rosbag2Reader],
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
        others = {c.topic: c.msgtype for c in _connections(readers)}
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
            ', '.join(sorted({f'{c.topic} ({c.msgtype})' for c in _connections(readers)}))
            or 'no topics at all'
        )
        raise RecordingError(f'{path} has no topic of type {_type_names()}; it holds {held}')
    candidates = [topic for topic in topics if topic.type != _POINT_CLOUD] or list(topics)
    # A camera driver that was advertised and never published must not stand in the way of the one
    # that did.
    candidates = [topic for topic in candidates if topic.message_count] or candidates
    if len(candidates) > 1:
        raise RecordingError(
            f'{path} has {len(candidates)} topics with events; choose one with --topic: {listing}'
        )
    return candidates[0]


def _type_names() -> str:
    return re.sub(r', ([^,]*)$', r' or \1', ', '.join(EVENT_TYPES))


def _byte_size(path: Path) -> int:
    return (
        sum(file.stat().st_size for file in path.iterdir() if file.is_file())
        if path.is_dir()
        else path.stat().st_size
    )
