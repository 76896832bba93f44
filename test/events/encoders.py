# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Encoders written from the formats' definitions, independent of the decoders that they test."""

from __future__ import annotations

from collections.abc import Iterable
import struct

import numpy as np

STAMP_NS = 1_700_000_000_123_456_789
Events = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def random_events(
    count: int, width: int, height: int, *, start: int = 0, span: int = 10_000, seed: int = 0
) -> Events:
    """x, y, p and non-decreasing t in microseconds."""
    random = np.random.default_rng(seed)
    return (
        random.integers(0, width, count).astype(np.uint16),
        random.integers(0, height, count).astype(np.uint16),
        random.integers(0, 2, count).astype(np.uint8),
        np.sort(random.integers(start, start + span, count)),
    )


class CdrWriter:
    """Little-endian CDR, one field after the other."""

    def __init__(self) -> None:
        self.body = bytearray()

    def add(self, kind: str, *values: float) -> CdrWriter:
        """Append numbers of one struct type, each aligned to its size."""
        size = struct.calcsize('<' + kind)
        for value in values:
            self.body += b'\0' * (-len(self.body) % size) + struct.pack('<' + kind, value)
        return self

    def text(self, value: str) -> CdrWriter:
        """Append a string."""
        self.add('I', len(value.encode()) + 1)
        self.body += value.encode() + b'\0'
        return self

    def blob(self, value: bytes) -> CdrWriter:
        """Append a sequence of bytes."""
        self.add('I', len(value))
        self.body += value
        return self

    def header(self, stamp_ns: int, frame_id: str) -> CdrWriter:
        """Append std_msgs/Header."""
        return self.add('i', stamp_ns // 10**9).add('I', stamp_ns % 10**9).text(frame_id)

    def message(self) -> bytes:
        """Return the bytes with the encapsulation header."""
        return b'\0\1\0\0' + bytes(self.body)


def event_array(
    x: Iterable[int],
    y: Iterable[int],
    p: Iterable[int],
    t_ns: Iterable[int],
    *,
    width: int = 64,
    height: int = 48,
    stamp_ns: int = STAMP_NS,
    frame_id: str = 'camera',
) -> bytes:
    """Serialise dvs_msgs/EventArray."""
    rows = list(zip(x, y, p, t_ns, strict=True))
    writer = CdrWriter().header(stamp_ns, frame_id).add('I', height, width, len(rows))
    for column, row, polarity, time in rows:
        time = int(time)
        writer.add('H', column, row).add('i', time // 10**9).add('I', time % 10**9).add(
            'B', polarity
        )
    return writer.message()


def event_packet(
    payload: bytes,
    encoding: str,
    *,
    width: int = 64,
    height: int = 48,
    seq: int = 0,
    time_base: int = 0,
    stamp_ns: int = STAMP_NS,
    frame_id: str = 'camera',
    big_endian: int = 0,
) -> bytes:
    """Serialise event_camera_msgs/EventPacket."""
    writer = (
        CdrWriter().header(stamp_ns, frame_id).add('I', height, width).add('Q', seq, time_base)
    )
    return writer.text(encoding).add('B', big_endian).blob(payload).message()


POINT_DATATYPES = {'i1': 1, 'u1': 2, 'i2': 3, 'u2': 4, 'i4': 5, 'u4': 6, 'f4': 7, 'f8': 8}


def point_cloud(
    points: np.ndarray,
    *,
    rows: int = 1,
    row_padding: int = 0,
    stamp_ns: int = STAMP_NS,
    count: int | None = None,
) -> bytes:
    """Serialise sensor_msgs/PointCloud2 of a structured array."""
    big_endian = any(points.dtype[name].byteorder == '>' for name in points.dtype.names)
    columns = len(points) // rows
    row_step = columns * points.dtype.itemsize + row_padding
    data = b''.join(
        line.tobytes() + b'\xee' * row_padding for line in points.reshape(rows, columns)
    )
    writer = (
        CdrWriter().header(stamp_ns, 'camera').add('I', rows, columns if count is None else count)
    )
    writer.add('I', len(points.dtype.names))
    for name in points.dtype.names:
        kind, offset = points.dtype.fields[name]
        writer.text(name).add('I', offset).add('B', POINT_DATATYPES[kind.str[1:]]).add('I', 1)
    writer.add('B', big_endian).add('I', points.dtype.itemsize, row_step).blob(data).add('B', 1)
    return writer.message()


def points(events: Events, **kinds: str) -> np.ndarray:
    """
    Structured array of events.

    Keywords give name and numpy type of the fields for x, y, p, t, in this order.
    """
    made = np.zeros(len(events[0]), list(kinds.items()))
    for name, values in zip(kinds, events, strict=True):
        made[name] = values
    return made


def words16(*words: int) -> bytes:
    """Pack 16-bit words."""
    return struct.pack(f'<{len(words)}H', *words)


class Evt3:
    """Words of EVT 3.0."""

    @staticmethod
    def high(time: int) -> int:
        """TIME_HIGH for a time in microseconds."""
        return 0x8000 | (time >> 12) & 0xFFF

    @staticmethod
    def low(time: int) -> int:
        """TIME_LOW for a time in microseconds."""
        return 0x6000 | time & 0xFFF

    @staticmethod
    def y(row: int) -> int:
        """ADDR_Y."""
        return row

    @staticmethod
    def x(column: int, polarity: int = 0) -> int:
        """ADDR_X."""
        return 0x2000 | polarity << 11 | column

    @staticmethod
    def base(column: int, polarity: int = 0) -> int:
        """VECT_BASE_X."""
        return 0x3000 | polarity << 11 | column

    @classmethod
    def stream(cls, x: np.ndarray, y: np.ndarray, p: np.ndarray, t: np.ndarray) -> list[int]:
        """Words of single events, each part of the state sent when it changes."""
        words: list[int] = []
        state: dict[str, int] = {}

        def send(part: str, word: int) -> None:
            if state.get(part) != word:
                state[part] = word
                words.append(word)

        for column, row, polarity, time in zip(
            x.tolist(), y.tolist(), p.tolist(), t.tolist(), strict=True
        ):
            if state.get('high') != cls.high(time):
                state.pop('low', None)
            send('high', cls.high(time))
            send('low', cls.low(time))
            send('y', cls.y(row))
            words.append(cls.x(column, polarity))
        return words


def evt2(x: np.ndarray, y: np.ndarray, p: np.ndarray, t: np.ndarray) -> bytes:
    """EVT 2.0: 32-bit words, TIME_HIGH when it changes."""
    words, high = [], None
    for column, row, polarity, time in zip(
        x.tolist(), y.tolist(), p.tolist(), t.tolist(), strict=True
    ):
        if time >> 6 != high:
            high = time >> 6
            words.append(0x8 << 28 | high & 0xFFFFFFF)
        words.append(polarity << 28 | (time & 0x3F) << 22 | column << 11 | row)
    return struct.pack(f'<{len(words)}I', *words)


def evt21(
    x: np.ndarray, y: np.ndarray, p: np.ndarray, t: np.ndarray, *, legacy: bool = False
) -> bytes:
    """
    EVT 2.1: 64-bit words, neighbours of equal time, row and polarity in one vector.

    Events are in ascending x there.
    """
    words, high = [], None
    at, count = 0, len(x)
    events = list(zip(x.tolist(), y.tolist(), p.tolist(), t.tolist(), strict=True))
    while at < count:
        column, row, polarity, time = events[at]
        if time >> 6 != high:
            high = time >> 6
            words.append(0x8 << 60 | (high & 0xFFFFFFF) << 32)
        first, valid, previous = column & ~31, 0, -1
        while (
            at < count
            and events[at][1:] == (row, polarity, time)
            and previous < events[at][0] < first + 32
        ):
            previous = events[at][0]
            valid |= 1 << (previous - first)
            at += 1
        words.append(polarity << 60 | (time & 0x3F) << 54 | first << 43 | row << 32 | valid)
    if legacy:
        words = [(word >> 32) | (word & 0xFFFFFFFF) << 32 for word in words]
    return struct.pack(f'<{len(words)}Q', *words)


def dat(x: np.ndarray, y: np.ndarray, p: np.ndarray, t: np.ndarray) -> bytes:
    """Events of a Prophesee .dat file, version 2."""
    made = np.empty((len(x), 2), '<u4')
    made[:, 0] = t & 0xFFFFFFFF
    made[:, 1] = x.astype('<u4') | y.astype('<u4') << 14 | p.astype('<u4') << 28
    return made.tobytes()


def mono(x: np.ndarray, y: np.ndarray, p: np.ndarray, dt_ns: np.ndarray) -> bytes:
    """``mono``: one 64-bit word an event."""
    words = (
        p.astype('<u8') << 63 | y.astype('<u8') << 48 | x.astype('<u8') << 32 | dt_ns.astype('<u8')
    )
    return words.tobytes()


def libcaer(x: np.ndarray, y: np.ndarray, p: np.ndarray, t: np.ndarray, valid: int = 1) -> bytes:
    """``libcaer``: data word and the lower 31 bits of the time."""
    made = np.empty((len(x), 2), '<u4')
    made[:, 0] = x.astype('<u4') << 17 | y.astype('<u4') << 2 | p.astype('<u4') << 1 | valid
    made[:, 1] = t & 0x7FFFFFFF
    return made.tobytes()


def libcaer_cmp(x: np.ndarray, y: np.ndarray, p: np.ndarray, dt: np.ndarray) -> bytes:
    """
    ``libcaer_cmp``.

    Runs of equal time, column, polarity and y // 8 become vectors, lone events ADDR_Y.
    """
    words = [2 << 12 | int(x[0])]
    high, low, column = 0, 0, int(x[0])
    at, count = 0, len(x)
    events = list(zip(x.tolist(), y.tolist(), p.tolist(), dt.tolist(), strict=True))
    while at < count:
        first, row, polarity, time = events[at]
        if time >> 12 != high:
            high = time >> 12
            words.append(0 << 12 | high & 0xFFF)
        if time & 0xFFF != low:
            low = time & 0xFFF
            words.append(1 << 12 | low)
        if first != column:
            column = first
            words.append(2 << 12 | column)
        valid, previous = 0, -1
        while at < count:
            same = (
                events[at][0] == first
                and events[at][2:] == (polarity, time)
                and events[at][1] >> 3 == row >> 3
            )
            if not same or events[at][1] <= previous:
                break
            previous = events[at][1]
            valid |= 1 << (previous & 7)
            at += 1
        if valid & (valid - 1):
            words += [4 << 12 | polarity << 11 | row & ~7, 5 << 12 | valid]
        else:
            words.append(3 << 12 | polarity << 11 | row)
    return struct.pack(f'<{len(words)}H', *words)
