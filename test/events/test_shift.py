# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Messages moved in time equal those that a driver would have sent at that time."""

from __future__ import annotations

from collections.abc import Callable

from events import encoders
from events.encoders import random_events, STAMP_NS
import pytest
from sast_ros.events import EventFormatError, POINT_CLOUD
from sast_ros.events.shift import header_stamp_ns, shift_time

PACKET = 'event_camera_msgs/msg/EventPacket'
X, Y, P, T = random_events(50, 64, 48, span=2_500_000)


def packet(encoding: str, stamp_ns: int) -> bytes:
    if encoding == 'mono':
        payload = encoders.mono(X, Y, P, 1000 * T)
        return encoders.event_packet(payload, 'mono', stamp_ns=stamp_ns, time_base=stamp_ns + 5)
    payload = encoders.evt2(X, Y, P, T)
    return encoders.event_packet(payload, 'evt2', stamp_ns=stamp_ns, seq=7, time_base=99)


def array(count: int, stamp_ns: int) -> bytes:
    rows = (X[:count], Y[:count], P[:count], stamp_ns + 1000 * T[:count])
    return encoders.event_array(*rows, stamp_ns=stamp_ns, frame_id='left')


def cloud(stamp_ns: int) -> bytes:
    return encoders.point_cloud(
        encoders.points((X, Y, P, T), x='u2', y='u2', p='u1', t='u4'), stamp_ns=stamp_ns
    )


@pytest.mark.parametrize('shift_ns', [1, -1, 10**9, 3 * 10**16 + 987_654_321, -STAMP_NS])
@pytest.mark.parametrize(
    ('kind', 'message'),
    [
        (PACKET, lambda stamp: packet('evt2', stamp)),
        ('event_array_msgs/msg/EventArray', lambda stamp: packet('mono', stamp)),
        ('dvs_msgs/msg/EventArray', lambda stamp: array(50, stamp)),
        ('prophesee_event_msgs/msg/EventArray', lambda stamp: array(1, stamp)),
        ('dvs_msgs/msg/EventArray', lambda stamp: array(0, stamp)),
        (POINT_CLOUD, cloud),
    ],
)
def test_a_moved_message_is_that_of_the_other_time(
    kind: str, message: Callable[[int], bytes], shift_ns: int
) -> None:
    assert shift_time(message(STAMP_NS), kind, shift_ns) == message(STAMP_NS + shift_ns)
    assert header_stamp_ns(message(STAMP_NS + shift_ns), kind) == STAMP_NS + shift_ns


@pytest.mark.parametrize(
    ('kind', 'message'),
    [(PACKET, packet('mono', STAMP_NS)), ('dvs_msgs/msg/EventArray', array(50, STAMP_NS))],
)
def test_a_damaged_message_is_an_error_that_names_the_place(kind: str, message: bytes) -> None:
    with pytest.raises(EventFormatError) as caught:
        shift_time(message[:40], kind, 1)
    assert caught.value.field
    assert caught.value.offset is not None
