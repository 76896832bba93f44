# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The one rule about ``seq`` of EventPackets: what continues a stream, is a stray, or restarts it.

Networks and relays lose, repeat and reorder packets, drivers restart, bags loop, and two drivers
may publish on one topic. A packet alone says little about which it is. The rule:

- A packet of the same source (frame, sensor size, encoding) with the next ``seq`` continues the
  stream. So does one with the same ``seq`` where a source does not count.
- Every other packet is set aside. If the missing ones arrive, it is passed on behind them.
- If nothing has continued the stream for 16 packets, or 50 ms of their stamps, it has moved to
  where these packets are: packets were lost, or the source restarted.
- A packet that is still set aside when the stream has continued by 16 packets is refused: it was
  repeated, came late, or another source sends on the topic.

Streams without any of this are passed on at once. The result depends on the packets alone.

Messages without a count are passed on as they arrive. One that is the same as one of the last 8
was repeated by a bridge, a relay or a second player, and is refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
import struct
from typing import Protocol

from sast_ros.events.cdr import Cursor, ORIGIN
from sast_ros.events.chunk import EventFormatError
from sast_ros.events.event_packet import TRIGGER

#: Packets, and time between their stamps, after which a missing one is not waited for.
HORIZON_PACKETS = 16
HORIZON_NS = 50_000_000

#: Consecutive packets of a stream that has moved are within so many counts of each other.
_NEIGHBOURS = 16

#: Packets without which a stream has not moved, however long it takes; a loss needs one.
_FEW_MOVED = 3

#: Packets set aside at a time; the oldest gives way. Where they hold more bytes, none is.
_MAX_ASIDE = 64
_MAX_ASIDE_BYTES = 1 << 26

#: Field of the errors about packets that do not continue the stream.
SEQUENCE_FIELD = 'seq'

_COUNTS = struct.Struct('<QQ')
_TAIL = 16

#: Messages, without a count or before the last packet, that are known when they are repeated.
_REMEMBERED = HORIZON_PACKETS // 2

#: Two messages without a count are the same if they share length, stamp, end and so many bytes of
#: their content, in odd steps: in even ones they might all be padding of points.
_STAMP_BYTES = slice(ORIGIN, ORIGIN + 8)
_SAMPLES = 256


class MessageOrder(Protocol):
    """Order of the messages of one topic."""

    def feed(self, raw: bytes) -> Sequence[bytes]:
        """Add the next message and return those whose place is known now, in order."""

    def flush(self) -> Sequence[bytes]:
        """Return what is set aside and believed now that no more messages follow."""

    def restart(self) -> None:
        """Forget the stream; the next message begins a new one."""


class ArrivalOrder:
    """
    Order of messages without a count: as they arrive, each of them once.

    Parameters
    ----------
    message_type : str
        Name for error messages.
    on_refused : callable
        Called with an ``EventFormatError`` for each message that is left out.

    """

    def __init__(self, message_type: str, on_refused: Callable[[EventFormatError], None]) -> None:
        self._message_type = message_type
        self._on_refused = on_refused
        self.restart()

    def feed(self, raw: bytes) -> Sequence[bytes]:
        """Return the message, unless it was repeated."""
        stamp = raw[_STAMP_BYTES]
        key = len(raw), stamp, raw[-_TAIL:], raw[:: len(raw) // _SAMPLES | 1]
        if key in self._keys and any(stamp):  # without a stamp, equal messages may hold nothing
            self._on_refused(
                EventFormatError(
                    f'{self._message_type}: a message of {len(raw)} bytes was repeated, with its '
                    'stamp; let one bridge, relay or player publish on this topic',
                    field=SEQUENCE_FIELD,
                )
            )
            return ()
        self._keys.append(key)
        return (raw,)

    def flush(self) -> Sequence[bytes]:
        """Return nothing: no message is set aside."""
        return ()

    def restart(self) -> None:
        """Forget the stream; the next message begins a new one."""
        self._keys: deque[tuple[int, bytes, bytes, bytes]] = deque(maxlen=_REMEMBERED)


@dataclass(slots=True, eq=False)
class _Packet:
    raw: bytes
    source: tuple[str, tuple[int, int], str]
    seq: int
    stamp_ns: int
    repeated: bool = False
    passed: int = 0  # packets passed on since it was set aside

    @property
    def key(self) -> tuple[int, int, int, bytes]:
        """What two packets share that are the same."""
        return self.seq, self.stamp_ns, len(self.raw), self.raw[-_TAIL:]


class PacketOrder:
    """
    Put EventPackets of one topic in the order of ``seq``.

    Parameters
    ----------
    message_type : str
        Name for error messages.
    on_refused : callable
        Called with an ``EventFormatError`` for each packet that is left out.

    """

    def __init__(self, message_type: str, on_refused: Callable[[EventFormatError], None]) -> None:
        self._message_type = message_type
        self._on_refused = on_refused
        self.restart()

    def restart(self) -> None:
        """Forget the stream; the next packet begins a new one."""
        self._last: _Packet | None = None
        self._counting = False
        self._aside: list[_Packet] = []
        self._unreadable = 0  # messages without events since the last packet
        self._keys: deque[tuple[int, int, int, bytes]] = deque(maxlen=_REMEMBERED)

    def feed(self, raw: bytes) -> Sequence[bytes]:
        """Add the next packet and return those whose place is known now, in order."""
        try:
            packet = self._read(raw)
        except EventFormatError:  # its decoder refuses it
            self._unreadable += 1
            return (raw,)
        if packet.source[2] == TRIGGER:  # no events; it may have a count of its own
            last = self._last
            self._unreadable += last is not None and packet.seq == last.seq + 1 + self._unreadable
            return (raw,)
        if self._last is None or self._continues(packet, self._last):
            self._pass_on(packet)
            return [raw, *self._catch_up()] if self._aside else (raw,)
        packet.repeated = packet.key in self._keys
        self._aside.append(packet)
        if len(self._aside) > _MAX_ASIDE:
            self._refuse(self._aside.pop(0))
        return self._move(ended=False)

    def flush(self) -> Sequence[bytes]:
        """Return what is set aside and believed now that no more packets follow."""
        passed = self._move(ended=True)
        for packet in self._aside:
            self._refuse(packet)
        self._aside = []
        return passed

    def _read(self, raw: bytes) -> _Packet:
        cursor = Cursor(raw, self._message_type)
        stamp_ns, frame_id = cursor.header()
        size = cursor.sensor_size(checked=False)
        seq, _ = cursor.read(_COUNTS, 8, 'seq', 'time_base')
        return _Packet(raw, (frame_id, size, cursor.string('encoding')), seq, stamp_ns)

    def _continues(self, packet: _Packet, last: _Packet) -> bool:
        if packet.source != last.source:
            return False
        if packet.seq == last.seq:
            return not self._counting and packet.key != last.key
        # Messages that cannot be read, or have a wrong head, were the packets between
        missing = packet.seq - last.seq - 1
        return missing == 0 or 0 < missing <= self._unreadable + self._strangers(last)

    def _strangers(self, last: _Packet) -> int:
        """Return how many packets since the last may be damaged ones of the stream."""
        return sum(
            not packet.passed
            and not (self._is_ahead(packet, last) and packet.seq - last.seq <= HORIZON_PACKETS)
            for packet in self._aside
        )

    def _pass_on(self, packet: _Packet) -> None:
        last = self._last
        self._counting |= last is not None and packet.seq != last.seq
        self._last, self._unreadable = packet, 0
        self._keys.append(packet.key)
        for each in self._aside:
            each.passed += 1

    def _catch_up(self) -> list[bytes]:
        """Pass on what was set aside and follows now; refuse what has been there for too long."""
        passed = []
        while True:
            assert self._last is not None
            for packet in self._aside:
                if packet.source == self._last.source and packet.seq == self._last.seq + 1:
                    break
            else:
                break
            self._aside.remove(packet)
            self._pass_on(packet)
            passed.append(packet.raw)
        for packet in [each for each in self._aside if each.passed >= HORIZON_PACKETS]:
            self._aside.remove(packet)
            self._refuse(packet)
        return passed

    def _move(self, *, ended: bool) -> Sequence[bytes]:
        """Continue the stream with what was set aside since it last continued, if believed."""
        run = [packet for packet in self._aside if packet.passed == 0]
        if not run:
            return ()
        newest, last = run[-1], self._last
        assert last is not None
        lost = self._is_ahead(newest, last)
        run = [
            packet
            for packet in run
            if packet.source == newest.source and self._is_ahead(packet, last) == lost
        ]
        run = _neighbours(run, newest)
        if not self._is_believed(run, lost, ended):
            return ()
        if lost:  # those that came while others were still found are among the lost
            ahead = [packet for packet in self._aside if self._is_ahead(packet, last)]
            run = _neighbours(ahead, newest)
            run = [packet for packet in ahead if _is_between(last, packet, run[0])] + run
        self._aside = [packet for packet in self._aside if packet not in run]
        self._counting &= lost
        for packet in run:
            self._pass_on(packet)
        return [packet.raw for packet in run]

    @staticmethod
    def _is_ahead(packet: _Packet, last: _Packet) -> bool:
        return packet.source == last.source and packet.seq > last.seq

    def _is_believed(self, run: list[_Packet], lost: bool, ended: bool) -> bool:
        last = self._last
        assert last is not None
        few = 1 if lost and run[-1].seq - last.seq <= _NEIGHBOURS else _FEW_MOVED
        if len(run) < few:
            return False
        stamps = [packet.stamp_ns for packet in run]
        lasting = max(stamps) - min(stamps) > HORIZON_NS
        large = sum(len(packet.raw) for packet in run) > _MAX_ASIDE_BYTES
        return ended or lasting or large or len(run) >= HORIZON_PACKETS

    def _refuse(self, packet: _Packet) -> None:
        last = self._last
        assert last is not None
        frame_id, (height, width), encoding = packet.source
        what = 'it came late, or two publishers interleave on this topic'
        if packet.repeated:
            what = 'it was repeated'
        elif packet.source != last.source:
            what = (
                f'{encoding} of {width}x{height} pixels in frame {frame_id!r} between packets of '
                f'{last.source[2]} of {last.source[1][1]}x{last.source[1][0]} pixels in frame '
                f'{last.source[0]!r}; two publishers interleave on this topic'
            )
        self._on_refused(
            EventFormatError(
                f'{self._message_type}: packet {packet.seq} does not continue the stream, which '
                f'is at packet {last.seq}: {what}',
                field=SEQUENCE_FIELD,
            )
        )


def _is_between(last: _Packet, packet: _Packet, first: _Packet) -> bool:
    """Return whether a packet was sent after the last one and before the first that is found."""
    return packet.seq < first.seq and last.stamp_ns <= packet.stamp_ns <= first.stamp_ns


def _neighbours(packets: list[_Packet], newest: _Packet) -> list[_Packet]:
    """Return the packets around the newest, in the order of their counts."""
    packets = sorted(packets, key=lambda packet: packet.seq)
    begin = end = packets.index(newest)
    while begin and packets[begin].seq - packets[begin - 1].seq <= _NEIGHBOURS:
        begin -= 1
    end += 1
    while end < len(packets) and packets[end].seq - packets[end - 1].seq <= _NEIGHBOURS:
        end += 1
    return packets[begin:end]
