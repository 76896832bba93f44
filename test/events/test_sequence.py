# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Packets of one topic in the order of their count, whatever a network does to them."""

from __future__ import annotations

from events.encoders import event_array, event_packet, point_cloud, STAMP_NS
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from sast_ros.events import EventFormatError, open_message_order, POINT_CLOUD
from sast_ros.events.sequence import HORIZON_PACKETS

TYPE = 'event_camera_msgs/msg/EventPacket'
ARRAY = 'dvs_msgs/msg/EventArray'


def packet(
    seq: int,
    *,
    frame_id: str = 'camera',
    after: int = 0,
    period_ms: int = 1,
    encoding: str = 'evt3',
) -> bytes:
    """Packet that tells its count by its stamp, too."""
    stamp_ns = STAMP_NS + (after + seq) * period_ms * 10**6
    return event_packet(b'', encoding, seq=seq, stamp_ns=stamp_ns, frame_id=frame_id)


def order(messages: list[bytes], kind: str = TYPE) -> tuple[list[bytes], list[EventFormatError]]:
    refused: list[EventFormatError] = []
    sequence = open_message_order(kind, refused.append)
    passed = [found for message in messages for found in sequence.feed(message)]
    return [*passed, *sequence.flush()], refused


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 10**9), st.lists(st.integers(0, 5), min_size=1, max_size=80))
def test_packets_that_are_late_by_a_few_are_put_in_order(first, late):
    messages = [packet(first + number) for number in range(1 + len(late))]
    arrival = sorted(range(1, len(messages)), key=lambda number: number + late[number - 1])
    passed, refused = order([messages[0], *(messages[number] for number in arrival)])
    assert passed == messages and not refused


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.booleans(), min_size=1, max_size=120))
def test_a_stream_with_losses_is_passed_on_whole(kept):
    messages = [packet(0), *(packet(1 + n) for n, keep in enumerate(kept) if keep)]
    assert order(messages) == (messages, [])


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=40))
def test_losses_of_any_length_cost_nothing_else(steps):
    found_again = [1] * HORIZON_PACKETS
    messages = [packet(int(seq)) for seq in np.cumsum([0, *steps, *found_again])]
    assert order(messages) == (messages, [])


@pytest.mark.parametrize('shared', [True, False])
def test_packets_of_triggers_are_left_to_the_decoder_and_hide_no_loss(shared):
    events, triggers = range(0, 120, 2), range(1, 120, 2)
    if not shared:
        events, triggers = range(60), range(7000, 7060)
    pairs = [
        each
        for seq, trigger in zip(events, triggers)
        for each in (packet(seq), packet(trigger, encoding='trigger'))
    ]
    sequence = open_message_order(TYPE, pytest.fail)
    for message in pairs:
        assert list(sequence.feed(message)) == [message]
    late = packet(events[-1] + 4)
    assert list(sequence.feed(late)) == []


def test_a_stream_without_faults_is_passed_on_at_once():
    sequence = open_message_order(TYPE, pytest.fail)
    for seq in range(100):
        assert list(sequence.feed(packet(seq))) == [packet(seq)]


@pytest.mark.parametrize('times', [2, 3])
def test_repeated_packets_are_refused(times):
    messages = [packet(seq) for seq in range(60)]
    passed, refused = order([message for message in messages for _ in range(times)])
    assert passed == messages and len(refused) == (times - 1) * 60
    assert all(error.field == 'seq' and 'repeated' in str(error) for error in refused)


def array(number: int, stamp_ns: int | None = None) -> bytes:
    """Message of 200 events, at one pixel but for the last."""
    t_ns = STAMP_NS + 10**6 * number + np.arange(200)
    x = [0] * 199 + [number % 64]
    stamp_ns = STAMP_NS + 10**6 * number if stamp_ns is None else stamp_ns
    return event_array(x, [0] * 200, [1] * 200, t_ns.tolist(), stamp_ns=stamp_ns)


def cloud(number: int, stamp_ns: int | None = None) -> bytes:
    """PointCloud2 of as many points always, each of which ends with padding of zeros."""
    made = np.zeros(100, [('x', '<u2'), ('y', '<u2'), ('p', '<u2'), ('t', '<u4'), ('z', 'V22')])
    made['x'] = np.arange(100) * (number + 1) % 64
    points = made[['x', 'y', 'p', 't']]  # the padding stays
    stamp_ns = STAMP_NS + 10**6 * number if stamp_ns is None else stamp_ns
    return point_cloud(points, stamp_ns=stamp_ns)


@pytest.mark.parametrize('kind, make', [(ARRAY, array), (POINT_CLOUD, cloud)])
@pytest.mark.parametrize('later', [0, 5])
def test_repeated_messages_without_a_count_are_refused(kind, make, later):
    messages = [make(number) for number in range(60)]
    pairs = zip(messages, [messages[0]] * later + messages)
    passed, refused = order([each for pair in pairs for each in pair], kind)
    assert passed == messages and len(refused) == 60
    assert all(error.field == 'seq' and 'repeated' in str(error) for error in refused)


@pytest.mark.parametrize('kind, make', [(ARRAY, array), (POINT_CLOUD, cloud)])
def test_messages_that_differ_or_tell_no_time_are_no_repetitions(kind, make):
    of_one_stamp = [make(number, STAMP_NS) for number in range(60)]
    assert order(of_one_stamp, kind) == (of_one_stamp, [])
    without_a_stamp = [make(0, 0)] * 5
    assert order(without_a_stamp, kind) == (without_a_stamp, [])
    loop = [make(number) for number in range(20)] * 3
    assert order(loop, kind) == (loop, [])


@pytest.mark.parametrize('other', [{'frame_id': 'right'}, {'after': 0}])
def test_of_two_interleaved_publishers_the_first_is_followed(other):
    left = [packet(seq) for seq in range(60)]
    right = [packet(5000 + seq, **other) for seq in range(60)]
    passed, refused = order([each for pair in zip(left, right) for each in pair])
    assert passed == left and len(refused) == 60
    assert all('two publishers interleave' in str(error) for error in refused)


@pytest.mark.parametrize('first', [0, 70])
@pytest.mark.parametrize('period_ms', [1, 25])
def test_nothing_of_a_restart_is_lost(first, period_ms):
    before = [packet(100 + seq, period_ms=period_ms) for seq in range(50)]
    after = [packet(first + seq, after=500, period_ms=period_ms) for seq in range(50)]
    assert order(before + after) == (before + after, [])


def test_a_count_that_stands_still_is_none():
    messages = [
        event_packet(bytes(2 * number), 'evt3', stamp_ns=STAMP_NS) for number in range(1, 40)
    ]
    assert order(messages) == (messages, [])


def test_one_packet_with_a_wrong_count_is_refused():
    messages = [packet(seq) for seq in range(60)]
    wrong = event_packet(b'', 'evt3', seq=20 ^ 1 << 40, stamp_ns=STAMP_NS + 20 * 10**6)
    passed, refused = order([*messages[:20], wrong, *messages[21:]])
    assert passed == messages[:20] + messages[21:] and len(refused) == 1


def test_a_late_packet_beyond_the_horizon_is_refused():
    messages = [packet(seq) for seq in range(100)]
    late = messages[:10] + messages[11:60] + messages[10:11] + messages[60:]
    passed, refused = order(late)
    assert passed == messages[:10] + messages[11:] and len(refused) == 1
    assert len(messages[60:]) > HORIZON_PACKETS


def test_what_cannot_be_read_is_left_to_the_decoder():
    messages = [packet(0), b'\0\1\0\0', packet(2), packet(3)]
    assert order(messages) == (messages, [])
