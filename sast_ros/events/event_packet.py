# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
event_camera_msgs/msg/EventPacket: a payload in one of several stateful encodings.

The state of a codec goes on from packet to packet.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from sast_ros.events import _native
from sast_ros.events.cdr import Cursor, MAX_PADDING, ORIGIN
from sast_ros.events.chunk import EventChunk, EventFormatError
from sast_ros.events.codecs import open_payload_decoder, PayloadDecoder

_STAMP = struct.Struct('<iI')
_SEQUENCE = struct.Struct('<QQ')
_FLAG = struct.Struct('<B')
_COUNT = struct.Struct('<I')

#: Encoding of external triggers, which are no events (event_camera_msgs, README).
TRIGGER = 'trigger'

_LITTLE_ENDIAN = b'\0\1\0\0'
_FRAME_ID_AT = ORIGIN + _STAMP.size

#: A gap in ``seq`` is another count, not a loss, where a source would have sent more than one
#: packet in this time on the host's clock, nanoseconds; except for a few packets.
MIN_PACKET_NS = 10_000
FEW_MISSING = 16


class _Packet(NamedTuple):
    """What is the same in every packet of a stream, with the places of encoding and payload."""

    frame_id: str
    height: int
    width: int
    encoding: str
    encoding_at: int
    start: int
    head: slice  # frame_id and sensor size
    tail: slice  # encoding and byte order


#: ``header.stamp`` and ``time_base`` in nanoseconds around ``seq``, and the end of the payload.
_Times = tuple[int, int, int, int]


#: Like no other: the constant parts of a header are never empty.
_NONE = _Packet('', 0, 0, '', 1 << 62, 1 << 62, slice(0), slice(0))


class EventPacketDecoder:
    """
    Turn serialised EventPackets of one camera, in order, into EventChunks.

    The message: ``std_msgs/Header header``, ``uint32 height``, ``uint32 width``, ``uint64 seq``,
    ``uint64 time_base``, ``string encoding``, ``bool is_bigendian``, ``uint8[] events``.
    ``seq`` counts packets: a gap is counted in ``lost_packets`` and the codec re-synchronises;
    where ``seq`` decreases (driver restarted, bag loops) or is ahead by more packets than there
    was time for, and where encoding or sensor size change, a new stream begins
    (``discontinuity``). With a constant ``seq`` no loss is detected. ``PacketOrder`` puts packets
    in order before. Packets with the encoding ``trigger`` hold no events and change nothing;
    their payload is not read.

    Times of EVT count from a roll-over of the sensor's counter (every 16.8 s in EVT 3.0, 4.8 hours
    in the others), that before the first packet received. ``EventChunk.epoch_us`` moves them by
    whole periods to where they are nearest to ``header.stamp``, so that decoders agree that began
    in different periods, while the clocks of sensor and host drift apart by less than half a
    period.

    Parameters
    ----------
    message_type : str
        Name for error messages.
    sensor_size : tuple of int, optional
        (height, width) in pixels instead of those that messages state.

    """

    def __init__(
        self,
        message_type: str = 'event_camera_msgs/msg/EventPacket',
        *,
        sensor_size: tuple[int, int] | None = None,
    ) -> None:
        self._message_type = message_type
        self._sensor_size = sensor_size
        self.stated_size = (0, 0)
        self.reset()

    def reset(self) -> None:
        """Forget codec state, packet count and time: the next packet is the first of a stream."""
        self._codec: PayloadDecoder | None = None
        self._kind: tuple[str, int, int] | None = None
        self._seq = 0
        self._stamp_ns = 0
        self._packet, self._constant = _NONE, (b'', b'')
        self._epoch_us: int | None = None  # unknown before the first event of a stream
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
        times = self._like_the_last(data)
        codec = self._codec
        if times is not None and times[1] == self._seq + 1 and codec is not None:
            stamp_ns, seq, time_base_ns, end = times  # the usual case
            packet = self._packet
            self._seq, self._stamp_ns = seq, stamp_ns
        else:
            if times is None:
                packet, times = self._parse(data)
                if packet.encoding == TRIGGER:
                    return self._skip_trigger(packet, times)
                self._remember(packet, data)
            packet = self._packet
            stamp_ns, seq, time_base_ns, end = times
            codec = self._codec_of(packet, seq, stamp_ns)
        start, width, height = packet.start, packet.width, packet.height
        try:
            events = codec(data[start:end], time_base_ns, (width, height))
        except EventFormatError as error:
            what = f'{error} (packet {seq}, offset {error.offset} in the payload)'
            raise Cursor(data, self._message_type).error('events', start, what) from None
        lost, self._lost = self._lost, 0
        restarted, self._restarted = self._restarted, False
        epoch_us = self._epoch_us
        if epoch_us is None:
            epoch_us = self._find_epoch(codec.period_us, events.t, stamp_ns)
        if events.checked == (width, height, 0, 0):  # valid and in order: the usual case
            x, y, p, t, left_out, _ = events
            # By position, which takes a microsecond less than what is below
            return EventChunk(
                *(x, y, p, t, width, height, codec.clock, stamp_ns, packet.frame_id),
                *(0, 0, left_out, lost, restarted, False, True, epoch_us),
            )
        return events.check(width, height).chunk(
            width=width,
            height=height,
            clock=codec.clock,
            stamp_ns=stamp_ns,
            frame_id=packet.frame_id,
            lost_packets=lost,
            discontinuity=restarted,
            epoch_us=epoch_us,
        )

    def _find_epoch(self, period_us: int, t: np.ndarray, stamp_ns: int) -> int:
        """Return the whole periods from the first times of a stream to that of the host."""
        if not len(t):
            return 0
        periods = 0
        if period_us:
            behind = stamp_ns // 1000 - int(t[len(t) // 2])  # the first may be a stray
            periods = (2 * behind + period_us) // (2 * period_us)
        self._epoch_us = periods * period_us
        return self._epoch_us

    def _parse(self, data: bytes) -> tuple[_Packet, _Times]:
        cursor = Cursor(data, self._message_type)
        stamp_ns, frame_id = cursor.header()
        stated = cursor.sensor_size(checked=self._sensor_size is None)
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
        if encoding != TRIGGER:
            self.stated_size = stated
        height, width = self._sensor_size or stated
        head = slice(_FRAME_ID_AT, encoding_at - _SEQUENCE.size)
        tail = slice(encoding_at, start - _COUNT.size)
        packet = _Packet(frame_id, height, width, encoding, encoding_at, start, head, tail)
        return packet, (stamp_ns, seq, time_base_ns, start + count)

    def _remember(self, packet: _Packet, data: bytes) -> None:
        self._packet, self._constant = packet, (data[packet.head], data[packet.tail])

    def _skip_trigger(self, packet: _Packet, times: _Times) -> EventChunk:
        """Return no events; the packet counts where triggers share the count of the events."""
        stamp_ns, seq, _, _ = times
        if self._codec is not None and seq == self._seq + 1:
            self._seq = seq
        return EventChunk(
            *_native.empty_events(0),
            width=packet.width,
            height=packet.height,
            clock=self._codec.clock if self._codec is not None else 'ros',
            stamp_ns=stamp_ns,
            frame_id=packet.frame_id,
            checked=True,
        )

    def _like_the_last(self, data: bytes) -> _Times | None:
        """Return the times of a packet whose header differs from the last in them only."""
        last, start = self._packet, self._packet.start
        if len(data) < start or not data.startswith(_LITTLE_ENDIAN):
            return None
        if (data[last.head], data[last.tail]) != self._constant:
            return None
        seconds, nanoseconds = _STAMP.unpack_from(data, ORIGIN)
        end = start + _COUNT.unpack_from(data, start - _COUNT.size)[0]
        if nanoseconds >= 1_000_000_000 or not 0 <= len(data) - end <= MAX_PADDING:
            return None
        seq, time_base_ns = _SEQUENCE.unpack_from(data, last.encoding_at - _SEQUENCE.size)
        return seconds * 1_000_000_000 + nanoseconds, seq, time_base_ns, end

    def _codec_of(self, packet: _Packet, seq: int, stamp_ns: int) -> PayloadDecoder:
        """Return the codec in the state for this packet."""
        try:
            return self._follow((packet.encoding, packet.height, packet.width), seq, stamp_ns)
        except EventFormatError as error:
            self._packet = _NONE
            cursor = Cursor(b'\0\1\0\0', self._message_type)
            raise cursor.error('encoding', packet.encoding_at, str(error)) from None

    def _follow(self, kind: tuple[str, int, int], seq: int, stamp_ns: int) -> PayloadDecoder:
        """Return the codec in the state for this packet."""
        codec = self._codec
        if codec is None or kind != self._kind:
            codec = open_payload_decoder(kind[0])
            self._epoch_us = None
            self._restarted |= self._codec is not None
            self._codec, self._kind = codec, kind
        elif seq > self._seq + 1 and _is_loss(seq - self._seq - 1, stamp_ns - self._stamp_ns):
            self._lost += seq - self._seq - 1
            codec.resynchronise((stamp_ns - self._stamp_ns) // 1000)
        elif not self._seq <= seq <= self._seq + 1:
            self._restarted, self._epoch_us = True, None
            codec.reset()
        self._seq, self._stamp_ns = seq, stamp_ns
        return codec


def _is_loss(missing: int, elapsed_ns: int) -> bool:
    """Return whether so many packets may have been sent in this time."""
    # A clock that stands still tells nothing
    return missing <= FEW_MISSING or not elapsed_ns or missing * MIN_PACKET_NS <= elapsed_ns
