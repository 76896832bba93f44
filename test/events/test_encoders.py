# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Messages of the simulation reach the decoder with the very events."""

from __future__ import annotations

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest
from sast_ros.errors import SettingError
from sast_ros.events import EventChunk, open_decoder
from sast_ros.events.codecs import open_payload_decoder
from sast_ros.events.encoders import (
    cut_packets,
    encode_evt3,
    EventArrayEncoder,
    EventPacketEncoder,
)

STAMP_NS = 1_700_000_000_123_456_789


def make_chunk(count: int = 20_000, span_us: int = 100_000) -> EventChunk:
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, span_us, count))
    # Bursts of one row at one time, as a sensor reads them out
    t[500:600], y = t[500], rng.integers(0, 240, count)
    y[500:600] = 7
    return EventChunk(
        rng.integers(0, 304, count), y, rng.integers(0, 2, count), t, width=304, height=240
    )


def join(chunks: list[EventChunk]) -> tuple[np.ndarray, ...]:
    return tuple(
        np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in ('x', 'y', 'p', 't')
    )


def test_packets_are_cut_at_multiples_of_four_milliseconds() -> None:
    chunk = make_chunk()
    packets = list(cut_packets(chunk))
    assert len(packets) == 25
    for sent, received in zip(join(packets), join([chunk]), strict=True):
        np.testing.assert_array_equal(sent, received)
    for index, packet in enumerate(packets):
        assert {int(packet.t[0]) // 4000, int(packet.t[-1]) // 4000} == {index}
        assert (packet.width, packet.height) == (304, 240)


def test_where_nothing_happened_there_is_no_packet() -> None:
    times = np.array([3_999, 4_000, 20_000])
    x = np.zeros(3, np.uint16)
    packets = list(cut_packets(EventChunk(x, x, x.astype(np.uint8), times)))
    assert [packet.t.tolist() for packet in packets] == [[3_999], [4_000], [20_000]]
    assert list(cut_packets(packets[0][:0])) == []


def test_packets_decode_to_the_very_events() -> None:
    chunks = list(cut_packets(make_chunk()))
    encode = EventPacketEncoder(304, 240, 'camera')
    decode = open_decoder('event_camera_msgs/msg/EventPacket')
    decoded = [decode(encode(chunk, STAMP_NS)) for chunk in chunks]
    for sent, received in zip(join(chunks), join(decoded), strict=True):
        np.testing.assert_array_equal(sent, received)
    last = decoded[-1]
    assert (last.width, last.height, last.frame_id, last.stamp_ns) == (
        304,
        240,
        'camera',
        STAMP_NS,
    )
    assert all(chunk.lost_packets == 0 and chunk.dropped == 0 for chunk in decoded)


def test_event_arrays_decode_to_the_very_events() -> None:
    chunks = list(cut_packets(make_chunk()))
    encode = EventArrayEncoder(304, 240, 'camera')
    decode = open_decoder('dvs_msgs/msg/EventArray')
    begin_ns = 1_700_000_000_000_000_000
    decoded = [decode(encode(chunk, begin_ns + 1000 * int(chunk.t[0]))) for chunk in chunks]
    for sent, received in zip(join(chunks)[:3], join(decoded)[:3], strict=True):
        np.testing.assert_array_equal(sent, received)
    np.testing.assert_array_equal(join(decoded)[3], begin_ns // 1000 + join(chunks)[3])
    assert (decoded[0].width, decoded[0].height, decoded[0].frame_id) == (304, 240, 'camera')


def test_the_clock_of_the_sensor_goes_on_where_its_24_bits_end() -> None:
    times = np.array([2**24 - 3000, 2**24 - 1, 2**24, 2**24 + 2500])
    x = np.zeros(1, np.uint16)
    encode = EventPacketEncoder(304, 240, 'camera')
    decode = open_decoder('event_camera_msgs/msg/EventPacket')
    decoded = [
        decode(encode(EventChunk(x, x, x.astype(np.uint8), times[[k]]), 0)) for k in range(4)
    ]
    np.testing.assert_array_equal(np.diff(join(decoded)[3]), np.diff(times))


def test_packets_are_what_ros_reads() -> None:
    serialization = pytest.importorskip('rclpy.serialization')
    messages = pytest.importorskip('event_camera_msgs.msg')
    encode = EventPacketEncoder(304, 240, 'front camera')
    one = np.ones(1, np.uint16)
    chunk = EventChunk(one, one, one.astype(np.uint8), one.astype(np.int64))
    encode(chunk, 0)
    message = serialization.deserialize_message(encode(chunk, 5_000_000_007), messages.EventPacket)
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (5, 7)
    assert (message.header.frame_id, message.width, message.height) == ('front camera', 304, 240)
    assert (message.seq, message.encoding, message.is_bigendian, len(message.events)) == (
        1,
        'evt3',
        False,
        8,
    )


def test_a_sensor_too_large_for_the_encoding_is_refused() -> None:
    with pytest.raises(ValueError, match='4096x240'):
        EventPacketEncoder(4096, 240, '')


_STEPS = st.one_of(
    st.integers(0, 5000),
    st.sampled_from([(1 << bits) + k for bits in (12, 22, 23, 24, 25, 40) for k in (-1, 0, 1)]),
)
_ROWS = st.lists(
    st.tuples(st.sampled_from([0, 1, 2047]), st.sampled_from([0, 2047]), st.integers(0, 1), _STEPS)
)


@hypothesis.settings(deadline=None)
@hypothesis.given(rows=_ROWS, start=st.integers(0, (1 << 24) - 1), cut=st.integers(0, 99))
def test_a_decoder_follows_the_clock_over_any_silence(
    rows: list[tuple[int, ...]], start: int, cut: int
) -> None:
    x, y, p, steps = (np.array([row[k] for row in rows], np.int64) for k in range(4))
    chunk = EventChunk(x, y, p, start + np.cumsum(steps) - (steps[0] if len(steps) else 0))
    first, second = chunk[:cut], chunk[cut:]
    decode = open_payload_decoder('evt3')
    decoded = [
        decode(encode_evt3(first)),
        decode(encode_evt3(second, int(first.t[-1]) if len(first) else None)),
    ]
    for name, sent in zip('xypt', (chunk.x, chunk.y, chunk.p, chunk.t), strict=True):
        np.testing.assert_array_equal(
            sent, np.concatenate([getattr(events, name) for events in decoded])
        )


@pytest.mark.parametrize('step', [-20_000_000, -(1 << 24), -(1 << 40)])
def test_a_decoder_follows_the_clock_back(step: int) -> None:
    begin, ones = 1 << 41, np.ones(3, np.int64)
    chunks = [
        EventChunk(ones, ones, ones, begin + first + np.array([0, 5000, 10_000]))
        for first in (0, step)
    ]
    decode = open_payload_decoder('evt3')
    decode(encode_evt3(chunks[0]))
    restarted = decode(encode_evt3(chunks[1], int(chunks[0].t[-1])))
    assert restarted.t.tolist() == [step, step + 5000, step + 10_000]


def test_a_jump_of_years_is_refused() -> None:
    zeros = np.zeros(2, np.int64)
    chunk = EventChunk(zeros, zeros, zeros, np.array([0, 1_700_000_000_000_000]))
    with pytest.raises(SettingError, match='814 days'):
        encode_evt3(chunk)


@pytest.mark.parametrize('encoder', [EventPacketEncoder, EventArrayEncoder])
def test_a_time_that_ros_cannot_hold_is_refused(encoder: type) -> None:
    one = np.ones(1, np.int64)
    chunk = EventChunk(one, one, one, one << 50)
    with pytest.raises(SettingError, match='stamps of ROS messages'):
        encoder(304, 240, '')(chunk, 1000 << 52)


def test_silence_between_packets_takes_no_memory() -> None:
    zeros = np.zeros(2, np.int64)
    chunk = EventChunk(zeros, zeros, zeros, np.array([5, 1 << 50]))
    assert [packet.t.tolist() for packet in cut_packets(chunk)] == [[5], [1 << 50]]
