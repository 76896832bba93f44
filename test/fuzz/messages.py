# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Decoders of messages as targets: their inputs by grammar, from valid streams, and changed."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
from random import Random
import struct
from typing import NamedTuple

from events import encoders
from fuzz.engine import check_chunk, Input
from fuzz.mutation import mutate
import numpy as np
from sast_ros.bags.ros1 import ros1_to_cdr
from sast_ros.events import _native, codecs, EventFormatError, open_decoder, POINT_CLOUD
from sast_ros.events.codecs import evt
from sast_ros.events.order import StreamOrder

PACKET = 'event_camera_msgs/msg/EventPacket'
ARRAY = 'dvs_msgs/msg/EventArray'

_SIZES = ((0, 0), (0, 0), (64, 48), (304, 240), (640, 480), (1280, 720), (2048, 2048), (640, 0))
_LENGTHS = (0, 1, 2, 3, 7, 8, 9, 16, 30, 64, 100, 256, 1000)
_TIME_BASES = (0, 1, 10**9, encoders.STAMP_NS, 2**31, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
_POPULATION = np.array([byte.bit_count() for byte in range(256)], np.int64)


def _bits(values: np.ndarray) -> int:
    """Return how many bits are set in the values."""
    return int(_POPULATION[values.view(np.uint8)].sum())


def _count_evt3(payload: bytes) -> int:
    words = np.frombuffer(payload, '<u2')
    kind = words >> 12
    single = int(np.count_nonzero(kind == 2))
    return single + _bits(words[kind == 4] & 0xFFF) + _bits(words[kind == 5] & 0xFF)


def _count_evt2(payload: bytes) -> int:
    return int(np.count_nonzero(np.frombuffer(payload, '<u4') >> 28 < 2))


def _count_evt21(payload: bytes) -> int:
    words = np.frombuffer(payload, '<u8')
    return _bits((words & 0xFFFFFFFF)[words >> 60 < 2])


def _count_evt21_legacy(payload: bytes) -> int:
    return _count_evt21(np.frombuffer(payload, '<u4').reshape(-1, 2)[:, ::-1].tobytes())


def _count_libcaer_cmp(payload: bytes) -> int:
    words = np.frombuffer(payload, '<u2')
    return int(np.count_nonzero(words >> 12 == 3)) + _bits(words[words >> 12 == 5] & 0xFF)


def _count_words(payload: bytes) -> int:
    return len(payload) // 8


class Encoding(NamedTuple):
    """
    Encoding of EventPacket payloads.

    Attributes
    ----------
    encode : callable
        Makes a payload of x, y, p and t in microseconds.
    word : int
        Bytes of a word.
    kind_at : int
        Byte of a word whose upper half is its type, -1 if words have no types.
    kinds : bytes
        Types by frequency.
    count : callable
        Returns the number of events in a payload, placed or not.

    """

    encode: Callable[..., bytes]
    word: int
    kind_at: int
    kinds: bytes
    count: Callable[[bytes], int]


def _evt3(x: np.ndarray, y: np.ndarray, p: np.ndarray, t: np.ndarray) -> bytes:
    return encoders.words16(*encoders.Evt3.stream(x, y, p, t))


def _evt21_legacy(x: np.ndarray, y: np.ndarray, p: np.ndarray, t: np.ndarray) -> bytes:
    return encoders.evt21(x, y, p, t, legacy=True)


def _mono(x: np.ndarray, y: np.ndarray, p: np.ndarray, t: np.ndarray) -> bytes:
    return encoders.mono(x, y, p, 1000 * t)


_EVT2_KINDS = bytes((0, 1, 0, 1, 0, 1, 0, 1, 8, 8, 8, 10, 14, 15, 5, 0))

ENCODINGS = {
    'evt3': Encoding(
        _evt3, 2, 1, bytes((0, 2, 2, 2, 3, 4, 4, 5, 6, 6, 8, 8, 10, 14, 7, 15)), _count_evt3
    ),
    'evt2': Encoding(encoders.evt2, 4, 3, _EVT2_KINDS, _count_evt2),
    'evt21': Encoding(encoders.evt21, 8, 7, _EVT2_KINDS, _count_evt21),
    'evt21;endianness=legacy': Encoding(_evt21_legacy, 8, 3, _EVT2_KINDS, _count_evt21_legacy),
    'mono': Encoding(_mono, 8, -1, b'', _count_words),
    'libcaer': Encoding(encoders.libcaer, 8, -1, b'', _count_words),
    'libcaer_cmp': Encoding(
        encoders.libcaer_cmp, 2, 1, bytes((0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5, 5, 5, 1, 0)),
        _count_libcaer_cmp,
    ),
}  # fmt: skip


class PayloadGenerator:
    """Payloads of one encoding: words by their frequency, parts of valid streams, or both."""

    def __init__(self, encoding: str) -> None:
        self.encoding = ENCODINGS[encoding]
        self._kinds = bytes(
            self.encoding.kinds[byte >> 4] << 4 | byte & 15 if self.encoding.kinds else byte
            for byte in range(256)
        )
        spans = (5_000, 200_000, 40_000_000)
        self.streams = [
            self.encoding.encode(*encoders.random_events(400, 64, 48, span=span, seed=seed))
            for seed, span in enumerate(spans)
        ]

    def words(self, random: Random) -> bytes:
        """Return words of random content, with the types of the encoding."""
        data = bytearray(random.randbytes(self.encoding.word * random.choice(_LENGTHS)))
        at, step = self.encoding.kind_at, self.encoding.word
        if at >= 0:
            data[at::step] = data[at::step].translate(self._kinds)
        return bytes(data)

    def part(self, random: Random) -> bytes:
        """Return whole words of a valid stream."""
        stream, word = random.choice(self.streams), self.encoding.word
        begin = word * random.randrange(len(stream) // word)
        return stream[begin:][: word * random.choice(_LENGTHS)]

    def __call__(self, random: Random) -> bytes:
        """Return a payload."""
        roll = random.random()
        if roll < 0.3:
            return self.words(random)
        if roll < 0.5:
            return self.part(random)
        if roll < 0.6:
            return self.part(random) + self.words(random) + self.part(random)
        if roll < 0.9:
            return mutate(random, self.part(random), self.streams)
        if roll < 0.92:
            return self.words(random) * random.choice((10, 60))
        return random.randbytes(random.choice(_LENGTHS))

    def count(self, payload: bytes) -> int | None:
        """Return the number of events, ``None`` where words are incomplete."""
        if len(payload) % self.encoding.word:
            return None
        return self.encoding.count(payload)


_PACKET_HEAD = struct.Struct('<4siII8sIIIQQ')


def packet(
    payload: bytes, encoding: str, seq: int, time_base: int, size: tuple[int, int]
) -> bytes:
    """Serialise EventPacket: ``encoders.event_packet`` at the speed of fuzzing."""
    name = encoding.encode() + b'\0'
    width, height = size
    head = _PACKET_HEAD.pack(
        b'\0\1\0\0', 1_700_000_000, 5, 7, b'camera\0\0', height, width, 0, seq, time_base
    )
    head += struct.pack('<I', len(name)) + name + b'\0'
    return head + bytes(-len(head) % 4) + struct.pack('<I', len(payload)) + payload


class MessageTarget:
    """What the targets of this file have in common; see ``Target``."""

    errors = EventFormatError
    share = 1.0
    seconds = 0.1


class PacketTarget(MessageTarget):
    """EventPacket in one encoding: sessions of packets with losses, restarts and damage."""

    def __init__(self, encoding: str) -> None:
        self.name = f'EventPacket {encoding}'
        self._encoding = encoding
        self._payloads = PayloadGenerator(encoding)
        x, y, p, t = (np.array([value]) for value in (3, 5, 1, 7))
        self._probe = packet(ENCODINGS[encoding].encode(x, y, p, t), encoding, 5, 0, (64, 48))

    def valid(self) -> list[Input]:
        """Return streams in one packet."""
        return [
            Input(packet(stream, self._encoding, 0, 0, (64, 48)), self._payloads.count(stream))
            for stream in self._payloads.streams
        ]

    def session(self, random: Random) -> list[Input]:
        """Return packets of a stream."""
        size, seq = random.choice(_SIZES), random.choice((0, 0, 1, 2**63, 2**64 - 2))
        inputs = []
        for _ in range(random.randint(1, 8)):
            payload = self._payloads(random)
            raw = packet(payload, self._encoding, seq, random.choice(_TIME_BASES), size)
            if random.random() < 0.15:
                inputs.append(Input(mutate(random, raw, self._payloads.streams)))
            else:
                inputs.append(Input(raw, self._payloads.count(payload)))
            seq = (seq + random.choice((1, 1, 1, 1, 0, 2, 1000, -3))) % 2**64
        return inputs

    def start(self) -> Callable[[Input], int]:
        """Return a decoder that has to decode a valid packet after each that it refused."""
        decode = open_decoder(PACKET)

        def execute(item: Input) -> int:
            try:
                chunk = decode(item.data)
            except EventFormatError:
                after = decode(self._probe)
                assert len(after) == 1, 'the decoder does not work after a refused packet'
                assert (after.x[0], after.y[0], after.p[0]) == (3, 5, 1)
                if item.events is None:
                    with contextlib.suppress(EventFormatError):
                        open_decoder(PACKET)(item.data)
                        raise AssertionError('refused, but not as a first packet') from None
                raise
            if item.events is None:  # the header may be damaged: no packet before it may matter
                alone = open_decoder(PACKET)(item.data)
                for name in ('width', 'height', 'clock', 'stamp_ns', 'frame_id'):
                    assert getattr(chunk, name) == getattr(alone, name), name
                assert len(chunk) + chunk.dropped == len(alone) + alone.dropped
            # In 2 bytes of a message are up to 12 events
            assert len(chunk) + chunk.dropped <= 6 * len(item.data)
            return check_chunk(chunk, item.events)

        return execute


class ExactTarget(MessageTarget):
    """
    The loops of EVT into arrays of exactly the size that they need.

    Sanitizers find what is written behind them; the codec, which decodes small payloads into
    larger memory, must give the same events.
    """

    share = 0.5

    def __init__(self, encoding: str) -> None:
        self.name = f'loop of {encoding}'
        self._encoding = encoding
        self._payloads = PayloadGenerator(encoding)

    def valid(self) -> list[Input]:
        """Return streams."""
        return [Input(stream) for stream in self._payloads.streams]

    def session(self, random: Random) -> list[Input]:
        """Return payloads of whole words."""
        word, inputs = self._payloads.encoding.word, []
        for _ in range(random.randint(1, 8)):
            payload = self._payloads(random)
            inputs.append(Input(payload[: len(payload) // word * word]))
        return inputs

    def start(self) -> Callable[[Input], int]:
        """Return a function that decodes with both."""
        codec, exact = (codecs.open_payload_decoder(self._encoding) for _ in range(2))
        assert isinstance(exact, evt._EvtDecoder)

        def execute(item: Input) -> int:
            payload = item.data
            expected = codec(payload)
            words = len(payload) // exact.word_size
            arrays = _native.empty_events(exact._capacity(payload, words), evt._ROOM)
            count = exact._decode(payload, words, arrays)
            for array, wanted in zip(arrays, expected):
                assert np.array_equal(array[:count], wanted)
            return count

        return execute


class OrderTarget(MessageTarget):
    """``StreamOrder`` on decoded packets of wild times: every event comes out or is counted."""

    name = 'StreamOrder'
    share = 0.3

    def __init__(self) -> None:
        self._payloads = PayloadGenerator('evt2')

    def valid(self) -> list[Input]:
        """Return streams in one packet."""
        return [Input(packet(stream, 'evt2', 0, 0, (64, 48))) for stream in self._payloads.streams]

    def session(self, random: Random) -> list[Input]:
        """Return packets of a stream."""
        return [
            Input(packet(self._payloads(random), 'evt2', seq, 0, (0, 0)))
            for seq in range(random.randint(1, 12))
        ]

    def start(self) -> Callable[[Input], int]:
        """Return a decoder with a ``StreamOrder`` behind it."""
        decode, order = open_decoder(PACKET), StreamOrder()
        taken = given = 0

        def execute(item: Input) -> int:
            nonlocal taken, given
            chunk = decode(item.data)
            taken += len(chunk) + chunk.dropped
            out = list(order.feed(chunk))
            given += sum(check_chunk(each, None) + each.dropped for each in out)
            assert given <= taken, 'more events than there were'
            return sum(len(each) for each in out)

        return execute


class ArrayTarget(MessageTarget):
    """dvs_msgs/EventArray, in the serialisation of ROS 2 or ROS 1."""

    def __init__(self, ros1: bool) -> None:
        self.name = 'EventArray of ROS 1' if ros1 else 'EventArray'
        self._ros1 = ros1
        x, y, p, t = encoders.random_events(400, 64, 48, span=100_000)
        message = encoders.event_array(x, y, p, encoders.STAMP_NS + 1000 * t)
        # 16 bytes an event
        first = len(message) + 3 - 16 * 400
        self._events = message[first:] + bytes(3)

    def _message(self, random: Random, count: int, size: tuple[int, int]) -> tuple[bytes, bytes]:
        """Return the message before the events, and events."""
        width, height = size
        begin = 16 * random.randrange(400)
        events = (self._events[begin:] + self._events * 3)[: 16 * count]
        name = random.choice((b'', b'camera', b'x' * 30))
        if not self._ros1:
            head = struct.pack('<4siII', b'\0\1\0\0', 1_700_000_000, 5, len(name) + 1) + name
            head += bytes(1 + -(len(head) + 1) % 4) + struct.pack('<III', height, width, count)
            return head, events[: 16 * count - 3] if count else b''
        head = struct.pack('<IIII', 1, 1_700_000_000, 5, len(name)) + name
        records = np.frombuffer(events, np.uint8).reshape(-1, 16)[:, :13]
        return head + struct.pack('<III', height, width, count), records.tobytes()

    def valid(self) -> list[Input]:
        """Return messages of valid events."""
        return [Input(b''.join(self._message(Random(seed), 50, (0, 0))), 50) for seed in range(3)]

    def session(self, random: Random) -> list[Input]:
        """Return one message."""
        count = random.choice(_LENGTHS)
        head, events = self._message(random, count, random.choice(_SIZES))
        roll = random.random()
        if roll < 0.3:
            return [Input(mutate(random, head + events, [self._events]))]
        if roll < 0.4:
            events = random.randbytes(len(events))
        elif roll < 0.9 and events:
            changed = mutate(random, events, [self._events])
            events = (changed + events)[: len(events)]
        return [Input(head + events, count)]

    def start(self) -> Callable[[Input], int]:
        """Return the decoder."""
        decode = open_decoder(ARRAY)

        def execute(item: Input) -> int:
            chunk = decode(ros1_to_cdr(item.data, ARRAY) if self._ros1 else item.data)
            assert 13 * (len(chunk) + chunk.dropped) <= len(item.data) + 4
            return check_chunk(chunk, item.events)

        return execute


class PointCloudTarget(MessageTarget):
    """PointCloud2 with fields of every type, order and place."""

    name = 'PointCloud2'

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        kinds = [order + kind for order in '<>' for kind in encoders.POINT_DATATYPES]
        self._clouds: list[tuple[bytes, int]] = []
        for seed in range(48):
            x, y, p, t = encoders.random_events(24, 64, 48, start=1, span=100, seed=seed)
            order = '<>'[seed % 2]
            names = [('x', 'y', 'p', 't'), ('x', 'y', 'polarity', 'ts')][seed // 2 % 2]
            chosen = [kind for kind in kinds if kind[0] == order]
            types = [str(random.choice(chosen)) for _ in names]
            points = encoders.points((x, y, p, t), **dict(zip(names, types)))
            raw = encoders.point_cloud(
                points, rows=(1, 1, 3)[seed % 3], row_padding=(0, 5)[seed // 3 % 2]
            )
            self._clouds.append((raw, len(raw) - raw.rindex(points[:1].tobytes())))
        self._others = [raw for raw, _ in self._clouds]

    def valid(self) -> list[Input]:
        """Return the clouds."""
        return [Input(raw, 24) for raw, _ in self._clouds]

    def session(self, random: Random) -> list[Input]:
        """Return clouds of one topic."""
        inputs = []
        for _ in range(random.randint(1, 4)):
            raw, size = random.choice(self._clouds)
            head, data = raw[:-size], raw[-size:-1]
            roll = random.random()
            if roll < 0.5:
                changed = mutate(random, data, self._others)
                inputs.append(Input(head + (changed + data)[: len(data)] + b'\1', 24))
            elif roll < 0.6:
                inputs.append(Input(head + random.randbytes(len(data)) + b'\1', 24))
            else:
                inputs.append(Input(mutate(random, raw, self._others)))
        return inputs

    def start(self) -> Callable[[Input], int]:
        """Return the decoder."""
        decode = open_decoder(POINT_CLOUD)

        def execute(item: Input) -> int:
            chunk = decode(item.data)
            assert len(chunk) + chunk.dropped <= len(item.data)
            return check_chunk(chunk, item.events)

        return execute


def message_targets() -> list:
    """Return all targets of this module."""
    return [
        *map(PacketTarget, ENCODINGS),
        *(ExactTarget(encoding) for encoding in ENCODINGS if encoding.startswith('evt')),
        OrderTarget(),
        ArrayTarget(ros1=False),
        ArrayTarget(ros1=True),
        PointCloudTarget(),
    ]
