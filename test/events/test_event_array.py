# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""EventArray of dvs_msgs, prophesee_event_msgs and dv_ros2_msgs from raw CDR."""

from __future__ import annotations

import struct

from allocation import peak_below
from events.encoders import event_array, random_events, STAMP_NS
from facts import facts
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from sast_ros.events import EventChunk, EventFormatError, open_decoder
from sast_ros.events.event_array import EVENT_ARRAY_TYPES

TYPE = 'dvs_msgs/msg/EventArray'


def make(count: int = 5, **options: object) -> bytes:
    x, y, p, t = random_events(count, 64, 48, start=10**15)
    return event_array(x, y, p, t * 1000, **options)


def place(event: int, field: str) -> int:
    """Byte offset of a field of an event in messages made with the frame_id 'camera'."""
    start = 4 + 8 + 4 + 8 + 12
    relative = {'x': 0, 'y': 2, 'sec': 4, 'nanosec': 8, 'polarity': 12}[field]
    return start + 16 * event + relative - (2 if event and field in 'xy' else 0)


@pytest.mark.parametrize('count', [0, 1, 2, 3, 1024, 1025, 1026, 5000])
@pytest.mark.parametrize('type_name', [*EVENT_ARRAY_TYPES, 'dvs_msgs/EventArray'])
def test_every_event_arrives_exactly(count: int, type_name: str) -> None:
    x, y, p, t = random_events(count, 64, 48, start=10**15)
    chunk = open_decoder(type_name)(event_array(x, y, p, t * 1000 + 999, width=64, height=48))
    for name, values, dtype in (
        ('x', x, np.uint16),
        ('y', y, np.uint16),
        ('p', p, np.uint8),
        ('t', t, np.int64),
    ):
        np.testing.assert_array_equal(getattr(chunk, name), values)
        assert getattr(chunk, name).dtype == dtype
    assert (chunk.width, chunk.height, chunk.clock) == (64, 48, 'ros')
    assert (chunk.stamp_ns, chunk.frame_id) == (STAMP_NS, 'camera')
    assert (chunk.reordered, chunk.dropped, chunk.lost_packets, chunk.discontinuity) == (
        0,
        0,
        0,
        False,
    )


@pytest.mark.parametrize('frame_id', ['', 'c', 'ca', 'cam', 'came', 'kämera/links'])
def test_alignment_behind_any_frame_id(frame_id: str) -> None:
    assert len(open_decoder(TYPE)(make(7, frame_id=frame_id))) == 7


def test_equals_the_message_that_rclpy_serialises() -> None:
    serialization = pytest.importorskip('rclpy.serialization', reason='ROS 2 is not installed')
    messages = pytest.importorskip('dvs_msgs.msg', reason='dvs_msgs is not built')
    x, y, p, t = random_events(100, 640, 480, start=10**15)
    message = messages.EventArray(height=480, width=640)
    message.header.frame_id = 'left'
    message.header.stamp.sec = -3
    message.header.stamp.nanosec = 7
    for column, row, polarity, time in zip(
        x.tolist(), y.tolist(), p.tolist(), t.tolist(), strict=True
    ):
        event = messages.Event(x=column, y=row, polarity=bool(polarity))
        event.ts.sec, event.ts.nanosec = time // 10**6, time % 10**6 * 1000
        message.events.append(event)
    chunk = open_decoder(TYPE)(serialization.serialize_message(message))
    for name, values in (('x', x), ('y', y), ('p', p), ('t', t)):
        np.testing.assert_array_equal(getattr(chunk, name), values)
    assert chunk.stamp_ns == -3 * 10**9 + 7
    assert chunk.frame_id == 'left'


@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview])
def test_any_buffer_is_read(kind: type) -> None:
    assert len(open_decoder(TYPE)(kind(make(9)))) == 9


def test_the_message_may_be_cut_at_no_byte() -> None:
    raw = make(3)
    decode = open_decoder(TYPE)
    for length in range(len(raw)):
        with pytest.raises(EventFormatError) as caught:
            decode(raw[:length])
        assert caught.value.field, length
        assert caught.value.offset is not None
    assert len(decode(raw)) == 3


def test_padding_is_accepted_but_no_more_bytes() -> None:
    decode = open_decoder(TYPE)
    for padding in range(8):
        assert len(decode(make(2) + b'\0' * padding)) == 2
    with pytest.raises(EventFormatError) as caught:
        decode(make(2) + b'\0' * 8)
    assert (caught.value.field, caught.value.offset) == ('events', len(make(2)))


@pytest.mark.parametrize('claimed', [4, 6, 2**16, 2**28, 2**31, 2**32 - 1])
def test_a_false_count_is_refused_without_allocation(claimed: int) -> None:
    raw = bytearray(make(5))
    struct.pack_into('<I', raw, place(0, 'x') - 4, claimed)
    decode = open_decoder(TYPE)
    with peak_below(1 << 20), pytest.raises(EventFormatError) as caught:
        decode(raw)
    assert caught.value.field == 'events'


@pytest.mark.parametrize('event', [0, 1, 2, 1024, 1025, 1999])
@pytest.mark.parametrize(
    ('field', 'layout', 'value', 'reason'),
    [
        ('x', '<H', 64, 'outside_sensor'),
        ('y', '<H', 48, 'outside_sensor'),
        ('y', '<H', 65535, 'outside_sensor'),
        ('nanosec', '<I', 10**9, 'invalid'),
        ('polarity', '<B', 2, 'invalid'),
        ('polarity', '<B', 255, 'invalid'),
    ],
)
def test_a_bad_event_costs_itself(
    event: int, field: str, layout: str, value: int, reason: str
) -> None:
    raw = bytearray(make(2000))
    struct.pack_into(layout, raw, place(event, field), value)
    whole, chunk = open_decoder(TYPE)(make(2000)), open_decoder(TYPE)(raw)
    assert chunk.left_out == {reason: 1}
    for name in 'xypt':
        np.testing.assert_array_equal(
            getattr(chunk, name), np.delete(getattr(whole, name), event), err_msg=name
        )


def test_a_message_of_impossible_events_is_refused() -> None:
    raw = bytearray(make(10))
    for event in range(6):
        assert len(open_decoder(TYPE)(raw)) == 10 - event
        struct.pack_into('<B', raw, place(event, 'polarity'), 7)
    with pytest.raises(EventFormatError, match=facts(6, 10, 'corrupt')) as caught:
        open_decoder(TYPE)(raw)
    assert caught.value.field == 'events'


def test_an_unknown_sensor_size_checks_no_coordinates() -> None:
    chunk = open_decoder(TYPE)(event_array([1000], [2000], [1], [0], width=0, height=0))
    assert (chunk.width, chunk.height, chunk.x[0], chunk.y[0]) == (0, 0, 1000, 2000)


@pytest.mark.parametrize(
    ('field', 'offset', 'value'), [('height', 24, 8193), ('width', 28, 2**32 - 1)]
)
def test_an_absurd_sensor_size_is_refused(field: str, offset: int, value: int) -> None:
    raw = bytearray(make())
    struct.pack_into('<I', raw, offset, value)
    with pytest.raises(EventFormatError) as caught:
        open_decoder(TYPE)(raw)
    assert (caught.value.field, caught.value.offset) == (field, offset)


@pytest.mark.parametrize(
    ('header', 'what'),
    [
        (b'\0\0', 'big-endian'),
        (b'\0\3', 'PL_CDR'),
        (b'\0\7', 'XCDR2'),
        (b'\0\x0b', 'XCDR2'),
        (b'\x12\x34', '0x1234'),
    ],
)
def test_other_encapsulations_are_refused(header: bytes, what: str) -> None:
    with pytest.raises(EventFormatError, match=what) as caught:
        open_decoder(TYPE)(header + make()[2:])
    assert caught.value.field == 'encapsulation'


@pytest.mark.parametrize(
    ('length', 'text'),
    [(2**32 - 1, b'camera\0'), (7, b'camerax'), (7, b'cam\0ra\0'), (7, b'c\xffmera\0')],
)
def test_a_bad_string_is_refused(length: int, text: bytes) -> None:
    raw = bytearray(make())
    struct.pack_into('<I', raw, 12, length)
    raw[16:23] = text
    with pytest.raises(EventFormatError) as caught:
        open_decoder(TYPE)(raw)
    assert caught.value.field == 'header.frame_id'


def test_a_bad_stamp_is_refused() -> None:
    raw = bytearray(make())
    struct.pack_into('<I', raw, 8, 10**9)
    with pytest.raises(EventFormatError, match=facts(10**9)) as caught:
        open_decoder(TYPE)(raw)
    assert (caught.value.field, caught.value.offset) == ('header.stamp.nanosec', 8)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.permutations(range(12)))
def test_events_are_sorted_by_time_and_equal_times_stay_in_their_order(order: list[int]) -> None:
    t = np.array([5, 5, 5, 90_000, 7, 7, 10**6, 0, 1, 2, 3, 3])[order]
    x, n = np.arange(12), np.zeros(12, int)
    chunk = open_decoder(TYPE)(event_array(x, n, n, t * 1000))
    expected = sorted(zip(t.tolist(), x.tolist()))
    assert list(zip(chunk.t.tolist(), chunk.x.tolist())) == expected
    behind = np.maximum.accumulate(t) - t
    assert (chunk.reordered, chunk.late_us) == (np.count_nonzero(behind), behind.max())
    assert not chunk.discontinuity


def test_times_before_1970_are_in_order() -> None:
    t_ns = np.array([-2 * 10**9, -(10**9) + 500, -1, 0])
    n = np.zeros(4, int)
    assert open_decoder(TYPE)(event_array(n, n, n, t_ns)).t.tolist() == [
        -2_000_000,
        -1_000_000,
        -1,
        0,
    ]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_corrupt_messages_are_refused_or_valid(data: st.DataObject) -> None:
    raw = bytearray(make(6))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw
    try:
        chunk = open_decoder(TYPE)(raw)
    except EventFormatError:
        return
    # All of its checks
    EventChunk(chunk.x, chunk.y, chunk.p, chunk.t, width=chunk.width, height=chunk.height)


def test_other_types_are_refused_by_name() -> None:
    with pytest.raises(EventFormatError, match='sensor_msgs/msg/Image'):
        open_decoder('sensor_msgs/msg/Image')
