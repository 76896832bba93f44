# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Rosbag1 files, read without trust in their index.

Format: http://wiki.ros.org/Bags/Format/2.0
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
import struct

import numpy as np
from rosbags.typesys.msg import normalize_msgtype
from sast_ros.bags.bag_file import Connection
from sast_ros.bags.chunked_file import ChunkedFile, Content, RecordError, Segment, UNREADABLE
from sast_ros.bags.compression import decompress

_UINT32 = struct.Struct('<I')
_UINT64 = struct.Struct('<Q')
_TIME = struct.Struct('<II')

_MESSAGE, _BAG_HEADER, _INDEX, _CHUNK, _CHUNK_INFO, _CONNECTION = range(2, 8)

#: An entry of the index: time of a message and its offset in the chunk.
_ENTRY = np.dtype([('sec', '<u4'), ('nsec', '<u4'), ('offset', '<u4')])


class Rosbag1File(ChunkedFile):
    """A rosbag1 file."""

    magic = b'#ROSBAG V2.0\n'

    def _open(self) -> None:
        self._names: dict[int, tuple[str, str]] = {}  # key -> (topic, type)
        self._partial = -1
        indexed, counts = self._walk()
        if self._problems or indexed < len(self._segments) or set(counts) - set(self._names):
            counts = self._count()
        self._finish_opening(counts, None)

    def _walk(self) -> tuple[int, Counter[int]]:
        """Find the segments; return how many of them have an index, and what it counts."""
        at, chunks, infos = len(self.magic), 0, 0
        counts: Counter[int] = Counter()
        indexed: set[int] = set()
        self.truncated = True
        while at < self._size:
            try:
                fields, content, end = self._record(at)
                code = fields[b'op'][0]
            except UNREADABLE:
                self._add_partial_chunk(at)
                break
            try:
                if code == _BAG_HEADER:
                    if fields.get(b'encryptor'):
                        raise ValueError(f'encrypted by {fields[b"encryptor"].decode()}')
                    (chunks,) = _UINT32.unpack(fields[b'chunk_count'])
                    (position,) = _UINT64.unpack(fields[b'index_pos'])
                    self.truncated = not len(self.magic) < position <= self._size
                elif code == _CHUNK and end > content:
                    self._segments.append(Segment(2**63 - 1, at, end - at))
                elif code == _INDEX and self._segments:
                    self._add_index(fields, self._read(content, end - content), counts)
                    indexed.add(self._segments[-1].offset)
                elif code == _MESSAGE:
                    self._add_message(_time(fields), at, end - at)
                elif code == _CONNECTION:
                    self._register(fields, memoryview(self._read(content, end - content)))
                elif code == _CHUNK_INFO:
                    infos += 1
            except UNREADABLE as error:
                self._problems.append(f'{error} in the record at byte {at}')
            at = end
        else:
            self.truncated |= infos < chunks
            return len(indexed), counts
        self.truncated = True
        return len(indexed), counts

    def _record(self, at: int) -> tuple[dict[bytes, bytes], int, int]:
        """Return the header of a record at an offset, and where its content begins and ends."""
        (length,) = _UINT32.unpack(self._read(at, 4))
        header = memoryview(self._read(at + 4, length + 4))
        (size,) = _UINT32.unpack_from(header, length)
        content = at + 8 + length
        if content + size > self._size:
            raise RecordError(f'the record at byte {at} is incomplete')
        return _fields(header[:length]), content, content + size

    def _add_partial_chunk(self, at: int) -> None:
        """Add a last chunk of which only the beginning was written or copied."""
        try:
            (length,) = _UINT32.unpack(self._read(at, 4))
            fields = _fields(memoryview(self._read(at + 4, length)))
            if fields[b'op'][0] == _CHUNK and fields[b'compression'] == b'none':
                self._partial = at
                self._segments.append(Segment(2**63 - 1, at, self._size - at))
        except UNREADABLE:
            pass

    def _add_index(
        self, fields: Mapping[bytes, bytes], content: bytes, counts: Counter[int]
    ) -> None:
        """Take the times of messages of the last chunk from its index."""
        entries = np.frombuffer(content, _ENTRY)
        (key,) = _UINT32.unpack(fields[b'conn'])
        counts[key] += len(entries)
        if not len(entries):
            return
        times = entries['sec'].astype(np.int64) * 10**9 + entries['nsec']
        first = int(times.min())
        segment = self._segments[-1]
        self._segments[-1] = segment._replace(start_time=min(first, segment.start_time))
        self.start_time = min(first, self.start_time)

    def _register(self, fields: Mapping[bytes, bytes], content: memoryview) -> None:
        (key,) = _UINT32.unpack(fields[b'conn'])
        if key not in self._names:
            topic = fields[b'topic'].decode()
            name = '/' * topic.startswith('/') + '/'.join(filter(None, topic.split('/')))
            self._names[key] = (name, normalize_msgtype(_fields(content)[b'type'].decode()))

    def _topics(self, counts: Mapping[int, int]) -> Iterator[Connection]:
        for key, (topic, kind) in self._names.items():
            yield Connection(key, topic, kind, 'ros1', counts.get(key, 0))

    def _messages(self, segment: Segment) -> Iterator[tuple[int, int, Content]]:
        data = memoryview(self._read(segment.offset, segment.size))
        fields, content, _ = _split(data, 0)
        if fields[b'op'][0] == _CHUNK:
            data = memoryview(decompress(data[content:], fields[b'compression'].decode()))
        at = 0
        while at < len(data):
            try:
                fields, content, at = _split(data, at)
                if at > len(data):
                    raise RecordError('an incomplete record')
            except UNREADABLE:
                if segment.offset == self._partial:
                    return
                raise
            if fields[b'op'][0] == _MESSAGE:
                (key,) = _UINT32.unpack(fields[b'conn'])
                yield key, _time(fields), (data, content, at)
            elif fields[b'op'][0] == _CONNECTION:
                self._register(fields, data[content:at])


def _split(data: memoryview, at: int) -> tuple[dict[bytes, bytes], int, int]:
    """Return the header of a record in data, and where its content begins and ends."""
    (length,) = _UINT32.unpack_from(data, at)
    (size,) = _UINT32.unpack_from(data, at + 4 + length)
    start, end = at + 4, at + 4 + length
    return _fields(data[start:end]), end + 4, end + 4 + size


def _fields(header: memoryview) -> dict[bytes, bytes]:
    """Return the fields of a header by their names."""
    text = bytes(header)
    fields, at = {}, 0
    while at < len(text):
        (length,) = _UINT32.unpack_from(text, at)
        at += 4
        end = at + length
        name, equals, value = text[at:end].partition(b'=')
        if not equals or end > len(text):
            raise RecordError('no header')
        fields[name] = value
        at = end
    return fields


def _time(fields: Mapping[bytes, bytes]) -> int:
    seconds, nanoseconds = _TIME.unpack(fields[b'time'])
    return int(seconds * 10**9 + nanoseconds)
