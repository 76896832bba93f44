# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
event_camera_msgs/msg/EventPacket: a payload in one of several stateful encodings.

The state of a codec goes on from packet to packet.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from sast_ros.events.cdr import Cursor, MAX_PADDING, ORIGIN
from sast_ros.events.chunk import EventChunk, EventFormatError
from sast_ros.events.codecs import open_payload_decoder, PayloadDecoder

_STAMP = struct.Struct('<iI')
_SEQUENCE = struct.Struct('<QQ')
_FLAG = struct.Struct('<B')
_COUNT = struct.Struct('<I')

_LITTLE_ENDIAN = b'\0\1\0\0'
_FRAME_ID_AT = ORIGIN + _STAMP.size


class _Packet(NamedTuple):
    """Header of a message, with the places of encoding and payload."""

    stamp_ns: int
    frame_id: str
    height: int
    width: int
    seq: int
    time_base_ns: int
    encoding: str
    encoding_at: int
    start: int
    size: int


def _constant_parts(data: bytes, packet: _Packet) -> tuple[bytes, bytes]:
    """Return frame_id and sensor size, encoding and byte order."""
    encoding_at = packet.encoding_at
    sequence_at, count_at = encoding_at - _SEQUENCE.size, packet.start - _COUNT.size
    return data[_FRAME_ID_AT:sequence_at], data[encoding_at:count_at]


#: Like no other: the constant parts of a header are never empty.
_NONE = _Packet(0, '', 0, 0, 0, 0, '', 1 << 62, 1 << 62, 0)


class EventPacketDecoder:
    """
    Turn serialised EventPackets of one camera, in order, into EventChunks.

    The message: ``std_msgs/Header header``, ``uint32 height``, ``uint32 width``, ``uint64 seq``,
    ``uint64 time_base``, ``string encoding``, ``bool is_bigendian``, ``uint8[] events``.
    ``seq`` counts packets: a gap is counted in ``lost_packets`` and the codec re-synchronises;
    where ``seq`` decreases (driver restarted, bag loops), and where encoding or sensor size
    change, a new stream begins (``discontinuity``). With a constant ``seq`` no loss is detected.
    """

    def __init__(self, message_type: str = 'event_camera_msgs/msg/EventPacket') -> None:
        self._message_type = message_type
        self.reset()

    def reset(self) -> None:
        """Forget codec state, packet count and time: the next packet is the first of a stream."""
        self._codec: PayloadDecoder | None = None
        self._kind: tuple[str, int, int] | None = None
        self._seq = 0
        self._stamp_ns = 0
        self._packet, self._constant = _NONE, (b'', b'')
        # Since the last chunk, because refused packets give none
        self._lost = 0
        self._restarted = False

    def __call__(self, raw: bytes | bytearray | memoryview) -> EventChunk:
        """
        Decode one message.

        Raises
        ------
        EventFormatError
            Truncated message, wrong count, unknown encoding, big-endian message or payload, or a
            payload that its codec refuses. The decoder stays usable: the codec re-synchronises
            with the next packet.

        """
        data = raw if isinstance(raw, bytes) else bytes(raw)
        packet = self._like_the_last(data) or self._parse(data)
        codec = self._codec_of(packet)
        start, end = packet.start, packet.start + packet.size
        try:
            events = codec(data[start:end], packet.time_base_ns)
        except EventFormatError as error:
            what = f'{error} (packet {packet.seq}, offset {error.offset} in the payload)'
            raise Cursor(data, self._message_type).error('events', start, what) from None
        lost, self._lost = self._lost, 0
        restarted, self._restarted = self._restarted, False
        return events.chunk(
            width=packet.width,
            height=packet.height,
            clock=codec.clock,
            stamp_ns=packet.stamp_ns,
            frame_id=packet.frame_id,
            lost_packets=lost,
            discontinuity=restarted,
        )

    def _parse(self, data: bytes) -> _Packet:
        cursor = Cursor(data, self._message_type)
        stamp_ns, frame_id = cursor.header()
        height, width = cursor.sensor_size()
        seq, time_base_ns = cursor.read(_SEQUENCE, 8, 'seq', 'time_base')
        encoding_at = cursor.offset
        encoding = cursor.string('encoding')
        (big_endian,) = cursor.read(_FLAG, 1, 'is_bigendian')
        if big_endian:
            what = f'{big_endian} is no boolean'
            if big_endian == 1:
                what = 'big-endian payloads are not read'
            raise cursor.error('is_bigendian', cursor.offset - 1, what)
        start, count = cursor.sequence('events', 1)
        cursor.finish('events')
        packet = _Packet(
            stamp_ns,
            frame_id,
            height,
            width,
            seq,
            time_base_ns,
            encoding,
            encoding_at,
            start,
            count,
        )
        self._constant = _constant_parts(data, packet)
        self._packet = packet
        return packet

    def _like_the_last(self, data: bytes) -> _Packet | None:
        """Return the header of a packet that differs from the last in time and length only."""
        last, start = self._packet, self._packet.start
        if len(data) < start or data[: len(_LITTLE_ENDIAN)] != _LITTLE_ENDIAN:
            return None
        constant = _constant_parts(data, last)
        seconds, nanoseconds = _STAMP.unpack_from(data, ORIGIN)
        (count,) = _COUNT.unpack_from(data, start - _COUNT.size)
        complete = 0 <= len(data) - start - count <= MAX_PADDING
        if constant != self._constant or nanoseconds >= 1_000_000_000 or not complete:
            return None
        seq, time_base_ns = _SEQUENCE.unpack_from(data, last.encoding_at - _SEQUENCE.size)
        stamp_ns = seconds * 1_000_000_000 + nanoseconds
        return last._replace(stamp_ns=stamp_ns, seq=seq, time_base_ns=time_base_ns, size=count)

    def _codec_of(self, packet: _Packet) -> PayloadDecoder:
        """Return the codec in the state for this packet."""
        try:
            return self._follow(
                (packet.encoding, packet.height, packet.width), packet.seq, packet.stamp_ns
            )
        except EventFormatError as error:
            cursor = Cursor(b'\0\1\0\0', self._message_type)
            raise cursor.error('encoding', packet.encoding_at, str(error)) from None

    def _follow(self, kind: tuple[str, int, int], seq: int, stamp_ns: int) -> PayloadDecoder:
        """Return the codec in the state for this packet."""
        codec = self._codec
        if codec is None or kind != self._kind:
            codec = open_payload_decoder(kind[0])
            self._restarted |= self._codec is not None
            self._codec, self._kind = codec, kind
        elif seq > self._seq + 1:
            self._lost += seq - self._seq - 1
            codec.resynchronise((stamp_ns - self._stamp_ns) // 1000)
        elif seq < self._seq:
            self._restarted = True
            codec.reset()
        self._seq, self._stamp_ns = seq, stamp_ns
        return codec
