# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Mcap files of ROS 2 and ROS 1, read without trust in their summary.

Of an mcap file only the magic, the channels and the messages are mandatory; header, profile, chunk
index, message index, statistics, repeated channels and footer are not. A summary that is complete
and consistent saves counting the messages when the file is opened; what is read is compared with
it. The index of chunks serves to find the next chunk behind damage.

Format: https://mcap.dev/spec
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
import struct
import zlib

from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, ChunkIndex, Footer, Schema, Statistics
from rosbags.typesys.msg import normalize_msgtype
from sast_ros.bags.bag_file import Connection
from sast_ros.bags.chunked_file import ChunkedFile, Content, RecordError, Segment, UNREADABLE
from sast_ros.bags.compression import decompress, ExpansionError, max_size

#: Operation code and length of a record.
_HEAD = struct.Struct('<BQ')
_HEAD_SIZE = _HEAD.size

#: Channel, sequence, log time, publish time.
_MESSAGE = struct.Struct('<HIQQ')

#: First and last log time, size and CRC of the records, length of the name of the compression.
_CHUNK = struct.Struct('<QQQII')

_SIZE = struct.Struct('<Q')

#: Bytes of the footer and the magic at the end of a file.
_END = _HEAD_SIZE + 20 + 8

#: Operation codes from here on are not of the specification, and skipped.
_FIRST_PRIVATE = 0x80

_UNREADABLE = (*UNREADABLE, McapError)

#: Serialisation of the messages by that of the schema, where the channel does not state it.
_ENCODINGS = {'ros1msg': 'ros1', 'ros2msg': 'cdr', 'ros2idl': 'cdr', 'omgidl': 'cdr'}


class McapFile(ChunkedFile):
    """An mcap file."""

    magic = b'\x89MCAP0\r\n'
    counted_by = 'statistics record'

    def _open(self) -> None:
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, Channel] = {}
        self._statistics: Statistics | None = None
        self._indexed: list[int] = []  # offsets of chunks
        self.truncated = self._read(self._size - len(self.magic), len(self.magic)) != self.magic
        self._walk(self._read_summary())
        statistics = self._statistics
        if statistics is not None and not self._problems and self._is_consistent(statistics):
            counts: Mapping[int, int] = statistics.channel_message_counts
            if statistics.message_count:
                self.start_time = statistics.message_start_time
        else:
            counts = self._count()
        self._finish_opening(counts, None if statistics is None else statistics.message_count)

    def _read_summary(self) -> bool:
        """Read the summary as far as it is where the footer states it; return whether it is."""
        try:
            tail = self._read(self._size - _END, _END)
            at = Footer.read(_stream(tail[_HEAD_SIZE:])).summary_start
            if self.truncated or tail[0] != Opcode.FOOTER or not at:
                return False
            while at < self._size - _END:
                code, size = self._head(at)
                self._note(code, at, size)
                at += _HEAD_SIZE + size
        except _UNREADABLE:
            return False
        finally:
            self._indexed.sort()
            self._segments.clear()
        return self._statistics is not None and at == self._size - _END

    def _is_consistent(self, statistics: Statistics) -> bool:
        """Return whether the statistics can be true, and all that they count is described."""
        counts = statistics.channel_message_counts
        return (
            sum(counts.values()) == statistics.message_count
            and statistics.channel_count <= len(self._channels)
            and set(counts) <= set(self._channels)
            and {channel.schema_id for channel in self._channels.values()} <= {0, *self._schemas}
            and statistics.message_start_time <= statistics.message_end_time
        )

    def _walk(self, has_summary: bool) -> None:
        """
        Find the segments, and the channels that are declared outside chunks.

        Where no record is, it continues at the next chunk that the index states.

        Parameters
        ----------
        has_summary : bool
            Whether to stop at the end of the data.

        """
        chunks = iter(self._indexed if has_summary else [])
        at, end = len(self.magic), self._size - len(self.magic) * (not self.truncated)
        while at < end:
            try:
                code, size = self._head(at)
            except RecordError as error:
                following = next((offset for offset in chunks if self._is_chunk(offset, at)), None)
                if following is None:
                    if not self.truncated:
                        self._problems.append(str(error))
                    break
                self._problems.append(f'no records at bytes {at} to {following}')
                at = following
                continue
            if code == Opcode.DATA_END and has_summary:
                break
            try:
                self._note(code, at, size)
            except _UNREADABLE as error:
                self._problems.append(f'{error} in the record at byte {at}')
            at += _HEAD_SIZE + size

    def _head(self, at: int) -> tuple[int, int]:
        """Return operation code and size of the content of the record at an offset."""
        code, size = _HEAD.unpack(self._read(at, _HEAD_SIZE))
        if code == 0 or Opcode.DATA_END < code < _FIRST_PRIVATE:
            raise RecordError(f'no record at byte {at}')
        if size > self._size - at - _HEAD_SIZE:
            raise RecordError(f'the record at byte {at} is incomplete')
        return code, size

    def _is_chunk(self, offset: int, behind: int) -> bool:
        """Return whether there is a chunk at an offset, behind another offset."""
        try:
            return offset > behind and self._head(offset)[0] == Opcode.CHUNK
        except _UNREADABLE:
            return False

    def _note(self, code: int, at: int, size: int) -> None:
        """Take a record outside chunks into account."""
        content = at + _HEAD_SIZE
        if code in (Opcode.SCHEMA, Opcode.CHANNEL):
            self._register(code, self._read(content, size))
        elif code == Opcode.CHUNK:
            start, *_ = _CHUNK.unpack(self._read(content, _CHUNK.size))
            self._segments.append(Segment(start, at, _HEAD_SIZE + size))
        elif code == Opcode.MESSAGE:
            if size < _MESSAGE.size:
                raise RecordError('a message shorter than its head')
            _, _, time, _ = _MESSAGE.unpack(self._read(content, _MESSAGE.size))
            self._add_message(time, at, _HEAD_SIZE + size)
        elif code == Opcode.CHUNK_INDEX:
            index = ChunkIndex.read(_stream(self._read(content, size)))
            self._indexed.append(index.chunk_start_offset)
        elif code == Opcode.STATISTICS:
            self._statistics = Statistics.read(_stream(self._read(content, size)))

    def _register(self, code: int, content: bytes | memoryview) -> None:
        if code == Opcode.SCHEMA:
            schema = Schema.read(_stream(content))
            self._schemas.setdefault(schema.id, schema)
        else:
            channel = Channel.read(_stream(content))
            self._channels.setdefault(channel.id, channel)

    def _topics(self, counts: Mapping[int, int]) -> Iterator[Connection]:
        for key, channel in self._channels.items():
            schema = self._schemas.get(channel.schema_id)
            kind, stated = (schema.name, schema.encoding) if schema is not None else ('', '')
            if kind.count('/') == 1:  # as ROS 1 writes it
                kind = normalize_msgtype(kind)
            encoding = channel.message_encoding.lower() or _ENCODINGS.get(stated, '')
            count = counts.get(key, 0)
            yield Connection(key, channel.topic, kind, encoding, count, channel.metadata)

    def _messages(self, segment: Segment) -> Iterator[tuple[int, int, Content]]:
        data = memoryview(self._read(segment.offset, segment.size))
        if data[0] == Opcode.CHUNK:
            data = _chunk_content(data[_HEAD_SIZE:])
        at, total = 0, len(data)
        while at < total:
            if total - at < _HEAD_SIZE:
                raise RecordError('an incomplete record')
            code, size = _HEAD.unpack_from(data, at)
            at += _HEAD_SIZE
            end = at + size
            if code == 0 or end > total:
                raise RecordError('an invalid record')
            if code == Opcode.MESSAGE:
                if size < _MESSAGE.size:
                    raise RecordError('a message shorter than its head')
                key, _, time, _ = _MESSAGE.unpack_from(data, at)
                yield key, time, (data, at + _MESSAGE.size, end)
            elif code in (Opcode.SCHEMA, Opcode.CHANNEL):
                self._register(code, data[at:end])
            at = end


def _chunk_content(chunk: memoryview) -> memoryview:
    """Return the records of a chunk, decompressed."""
    _, _, size, crc, length = _CHUNK.unpack_from(chunk)
    name, at = _CHUNK.size, _CHUNK.size + length
    method = bytes(chunk[name:at]).decode()
    (compressed,) = _SIZE.unpack_from(chunk, at)
    start = at + _SIZE.size
    data = chunk[start:][:compressed]
    if len(data) != compressed:
        raise RecordError('a size beyond the end')
    if size > max_size(len(data)):
        raise ExpansionError(len(data), max_size(len(data)))
    content = memoryview(decompress(data, method))
    if len(content) != size:
        raise RecordError(f'{len(content)} bytes instead of {size}')
    if crc and zlib.crc32(content) != crc:
        raise RecordError('a wrong checksum')
    return content


def _stream(content: bytes | memoryview) -> ReadDataStream:
    return ReadDataStream(BytesIO(content))
