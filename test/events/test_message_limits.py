# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A message costs a bounded amount of memory, whatever its words expand to."""

from __future__ import annotations

from collections.abc import Iterator

from allocation import peak_below
from events.encoders import event_array, event_packet, Evt3, point_cloud, words16
import numpy as np
import pytest
from sast_ros.errors import SettingError
from sast_ros.events import _native, EventFormatError, open_decoder, POINT_CLOUD

PACKET = 'event_camera_msgs/msg/EventPacket'
ARRAY = 'dvs_msgs/msg/EventArray'
#: Vectors of 12 events, in 2 bytes each.
FULL_VECTOR = 0x4FFF


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Set the smallest limit that the variable takes."""
    monkeypatch.setenv(_native.MAX_EVENTS_VARIABLE, str(_native.MIN_MESSAGE_EVENTS))
    _native.max_message_events.cache_clear()
    yield _native.MIN_MESSAGE_EVENTS
    _native.max_message_events.cache_clear()


def vectors(encoding: str, events: int) -> bytes:
    """Payload of vectors with at least that many events on a sensor of any size."""
    if encoding == 'evt3':
        start = words16(Evt3.high(0), Evt3.low(0), Evt3.y(0), Evt3.base(0))
        return start + words16(Evt3.base(0), FULL_VECTOR) * -(-events // 12)
    if encoding == 'evt21':
        return (0x8 << 60).to_bytes(8, 'little') + bytes([255] * 4 + [0] * 4) * -(-events // 32)
    return words16(2 << 12, 4 << 12) + words16(4 << 12, 5 << 12 | 0xFF) * -(-events // 8)


@pytest.mark.parametrize('encoding', ['evt3', 'evt21', 'libcaer_cmp'])
def test_a_packet_of_too_many_events_is_refused_before_they_are_allocated(
    limit: int, encoding: str
) -> None:
    raw = event_packet(vectors(encoding, 8 * limit), encoding, width=0, height=0)
    decode = open_decoder(PACKET)
    refused = pytest.raises(EventFormatError, match=_native.MAX_EVENTS_VARIABLE)
    with peak_below(3 * len(raw)), refused as caught:
        decode(raw)
    assert caught.value.field == 'events'


@pytest.mark.parametrize('encoding', ['evt3', 'evt21', 'libcaer_cmp'])
def test_a_packet_of_almost_as_many_events_decodes(limit: int, encoding: str) -> None:
    raw = event_packet(vectors(encoding, limit - 32), encoding, width=0, height=0)
    assert limit - 32 <= len(open_decoder(PACKET)(raw)) <= limit


def test_after_a_refused_packet_the_state_is_distrusted_and_the_next_decodes(limit: int) -> None:
    decode = open_decoder(PACKET)
    start = words16(Evt3.high(4096), Evt3.low(5), Evt3.y(7), Evt3.x(3))
    assert len(decode(event_packet(start, 'evt3', seq=0))) == 1
    with pytest.raises(EventFormatError):
        decode(event_packet(vectors('evt3', 2 * limit), 'evt3', seq=1))
    assert len(decode(event_packet(words16(Evt3.x(3)), 'evt3', seq=2))) == 0
    assert decode(event_packet(start, 'evt3', seq=3)).t.tolist() == [4101]


def test_arrays_and_point_clouds_have_the_same_limit(limit: int) -> None:
    with pytest.raises(EventFormatError, match=str(limit + 1)):
        raw = event_array([0], [0], [0], [0], width=0, height=0)
        raw = raw[:-17] + (limit + 1).to_bytes(4, 'little') + bytes(16 * (limit + 1) - 3)
        open_decoder(ARRAY)(raw)
    with pytest.raises(EventFormatError, match=str(limit + 1)):
        kinds = [('x', 'u1'), ('y', 'u1'), ('t', 'u1'), ('p', 'u1')]
        open_decoder(POINT_CLOUD)(point_cloud(np.zeros(limit + 1, kinds)))


def test_another_limit_holds(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    raw = event_packet(vectors('evt3', 2 * limit), 'evt3', width=0, height=0)
    monkeypatch.setenv(_native.MAX_EVENTS_VARIABLE, str(3 * limit))
    _native.max_message_events.cache_clear()
    assert len(open_decoder(PACKET)(raw)) >= 2 * limit


@pytest.mark.parametrize('value', ['many', '-1', '1e7', '1000'])
def test_an_impossible_limit_is_refused_when_a_decoder_is_opened(
    monkeypatch: pytest.MonkeyPatch, limit: int, value: str
) -> None:
    monkeypatch.setenv(_native.MAX_EVENTS_VARIABLE, value)
    _native.max_message_events.cache_clear()
    with pytest.raises(SettingError, match=_native.MAX_EVENTS_VARIABLE):
        open_decoder(PACKET)
