# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
event_camera_msgs/msg/EventPacket: a payload in one of several stateful encodings.

The state of a codec goes on from packet to packet.
"""

from __future__ import annotations

import struct

from sast_ros.events.cdr import Cursor
from sast_ros.events.chunk import EventChunk, EventFormatError
from sast_ros.events.codecs import open_payload_decoder, PayloadDecoder

_SEQUENCE = struct.Struct('<QQ')
_FLAG = struct.Struct('<B')


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
        cursor = Cursor(raw, self._message_type)
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

        try:
            codec = self._follow((encoding, height, width), seq, stamp_ns)
        except EventFormatError as error:
            raise cursor.error('encoding', encoding_at, str(error)) from None
        end = start + count
        try:
            events = codec(cursor.data[start:end], time_base_ns)
        except EventFormatError as error:
            what = f'{error} (packet {seq}, offset {error.offset} in the payload)'
            raise cursor.error('events', start, what) from None
        lost, self._lost = self._lost, 0
        restarted, self._restarted = self._restarted, False
        return events.chunk(
            discontinuity=restarted,
            width=width,
            height=height,
            clock=codec.clock,
            stamp_ns=stamp_ns,
            frame_id=frame_id,
            lost_packets=lost,
        )

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
