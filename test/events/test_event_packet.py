# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
event_camera_msgs/EventPacket, decoded.

Real recordings, packet loss, roll-over, and every encoding from its definition.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
import sqlite3
import struct

from allocation import peak_below
from events import encoders
from events.encoders import event_packet, Evt3, random_events, STAMP_NS, words16
from facts import facts
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from sast_ros.events import EventChunk, EventFormatError, open_decoder
from sast_ros.events.codecs import open_payload_decoder

TYPE = 'event_camera_msgs/msg/EventPacket'
ENCODINGS = ['evt3', 'evt2', 'evt21', 'mono', 'libcaer', 'libcaer_cmp']


def recorded(path: Path) -> list[bytes]:
    """Messages of a rosbag2 database, as they were recorded."""
    with closing(sqlite3.connect(f'file:{path}?mode=ro&immutable=1', uri=True)) as bag:
        return [
            data for (data,) in bag.execute('SELECT data FROM messages ORDER BY timestamp, id')
        ]


def joined(chunks: list[EventChunk], name: str) -> np.ndarray:
    return np.concatenate([getattr(chunk, name) for chunk in chunks])


def payload_of(encoding: str, count: int = 20, seed: int = 0) -> bytes:
    """Payload of an encoding with that many events on a 64x48 sensor."""
    x, y, p, t = random_events(count, 64, 48, start=5000, span=20_000, seed=seed)
    if encoding == 'evt3':
        return words16(*Evt3.stream(x, y, p, t))
    if encoding == 'mono':
        return encoders.mono(x, y, p, t * 1000)
    return getattr(encoders, encoding)(x, y, p, t)


def dense_evt3(seed: int) -> list[int]:
    """Words of EVT 3.0 with single events and vectors of 12 and 8, on a 640x480 sensor."""
    random = np.random.default_rng(seed)
    words = []
    for time_us in range(10_000 * seed, 10_000 * (seed + 1), 100):
        column, row = int(random.integers(600)), int(random.integers(480))
        vectors = random.integers(1 << 12, size=3).tolist()
        words += [Evt3.high(time_us), Evt3.low(time_us), Evt3.y(row), Evt3.x(column, 1)]
        words += [Evt3.base(column), *(0x4000 | bits for bits in vectors[:2])]
        words += [0x5000 | vectors[2] & 0xFF]
    return words


def assert_losses_cost_only_their_events(raws: list[bytes]) -> None:
    decode = open_decoder(TYPE)
    full = [decode(raw) for raw in raws]
    decode = open_decoder(TYPE)
    kept = [k for k in range(len(raws)) if k % 10 not in (3, 4, 8)]
    thin = {k: decode(raws[k]) for k in kept}
    for k, chunk in thin.items():
        assert chunk.lost_packets == (k - kept[kept.index(k) - 1] - 1 if k else 0)
        assert len(chunk) + chunk.dropped == len(full[k])
        for name in 'xypt':
            expected = getattr(full[k], name)[slice(chunk.dropped, None)]
            np.testing.assert_array_equal(getattr(chunk, name), expected)
        assert not chunk.discontinuity
    assert any(chunk.dropped for chunk in thin.values())


# ---- real recordings


def test_evt3_recording_has_exactly_its_events(shared: Path) -> None:
    decode = open_decoder(TYPE)
    chunks = [
        decode(raw)
        for raw in recorded(shared / 'data/ecp_evt3_vga/test_events_1/test_events_1.db3')
    ]
    assert len(chunks) == 517
    assert np.bincount(joined(chunks, 'p')).tolist() == [218_291, 125_183]
    t = joined(chunks, 't')
    assert t[0] == 7_139_845
    assert t.sum() == 2_851_601_611_994
    assert (np.diff(t) >= 0).all()
    assert all(
        (chunk.width, chunk.height, chunk.clock) == (640, 480, 'sensor') for chunk in chunks
    )
    assert not any(c.reordered or c.dropped or c.lost_packets or c.discontinuity for c in chunks)
    assert {chunk.frame_id for chunk in chunks} == {'0293'}


def test_evt3_recording_with_triggers(shared: Path) -> None:
    decode = open_decoder(TYPE)
    folder = shared / 'data/codecs_edge_cases/test_data_evt3_trigger'
    chunks = [decode(raw) for raw in recorded(folder / 'test_data_evt3_trigger_0.db3')]
    assert sum(map(len, chunks)) == 82_469
    t = joined(chunks, 't')
    assert (t[0], t[-1]) == (14_224_870, 15_476_187)


def test_libcaer_recording_goes_on_over_the_roll_over(shared: Path) -> None:
    decode = open_decoder(TYPE)
    raws = recorded(
        shared / 'data/codecs_edge_cases/test_data_libcaer_rollover/libcaer_rollover_0.db3'
    )
    chunks = [decode(raw) for raw in raws]
    assert sum(map(len, chunks)) == 334_331
    t = joined(chunks, 't')
    steps = np.diff(t)
    assert steps.min() >= 0
    assert steps.max() < 1000
    assert t[-1] - t[0] == 1_999_986
    # The driver puts host time at its start into time_base, so that camera time stays near the
    # header's.
    assert all(abs(chunk.t[0] * 1000 - chunk.stamp_ns) < 10**9 for chunk in chunks)


def test_mono_recording_under_the_former_name_of_the_type(shared: Path) -> None:
    decode = open_decoder('event_array_msgs/msg/EventArray')
    raws = recorded(shared / 'data/codecs_edge_cases/test_data_mono_cd/test_data_mono_cd_0.db3')
    chunks = [decode(raw) for raw in raws]
    assert sum(map(len, chunks)) == 100
    assert chunks[0].x[:3].tolist() == [320, 321, 322]
    assert chunks[0].y[:3].tolist() == [240, 241, 242]
    assert chunks[0].p[:3].tolist() == [0, 1, 0]
    assert chunks[0].t[:3].tolist() == [0, 1, 2]
    assert chunks[0].clock == 'ros'


def test_lost_packets_of_a_recording_cost_only_their_events(shared: Path) -> None:
    assert_losses_cost_only_their_events(
        recorded(shared / 'data/ecp_evt3_vga/test_events_1/test_events_1.db3')
    )


# ---- EVT 3.0


def feed_evt3(
    *payloads: list[int], width: int = 64, height: int = 48
) -> list[tuple[list[int], int, int]]:
    decode = open_payload_decoder('evt3')
    chunks = (decode(words16(*words)).chunk(width=width, height=height) for words in payloads)
    return [(chunk.t.tolist(), chunk.reordered, chunk.dropped) for chunk in chunks]


@pytest.mark.parametrize('step', [2, 3, 7])
def test_evt3_may_be_cut_at_any_word(step: int) -> None:
    payload = words16(*dense_evt3(1))
    whole = open_payload_decoder('evt3')(payload)
    decode = open_payload_decoder('evt3')
    cuts = [*range(0, len(payload), 2 * step), len(payload)]
    parts = [decode(payload[start:end]) for start, end in zip(cuts, cuts[1:])]
    assert len(whole.t) > 1000
    for k, name in enumerate('xypt'):
        np.testing.assert_array_equal(
            np.concatenate([part[k] for part in parts]), whole[k], err_msg=name
        )


def test_lost_packets_cost_only_their_events() -> None:
    words = [word for seed in range(10) for word in dense_evt3(seed)]
    edges = [*range(0, len(words), 101), len(words)]
    assert_losses_cost_only_their_events(
        [
            event_packet(words16(*words[start:end]), 'evt3', width=640, height=480, seq=seq)
            for seq, (start, end) in enumerate(zip(edges, edges[1:]))
        ]
    )


def test_evt3_step_back_within_a_time_high_is_no_roll_over() -> None:
    high, low, y, x = Evt3.high(4096), Evt3.low, Evt3.y(1), Evt3.x(2)
    assert feed_evt3([high, low(100), y, x, low(89), x, low(101), x]) == [
        ([4185, 4196, 4197], 1, 0)
    ]


def test_evt3_step_back_of_time_high_is_no_roll_over() -> None:
    words = [
        Evt3.high(8192),
        Evt3.low(5),
        Evt3.y(1),
        Evt3.x(2),
        Evt3.high(4096),
        Evt3.low(4090),
        Evt3.x(2),
    ]
    words += [Evt3.high(8192), Evt3.low(9), Evt3.x(2)]
    assert feed_evt3(words) == [([8186, 8197, 8201], 1, 0)]


def test_evt3_jitter_across_the_roll_over_counts_it_once() -> None:
    end = (1 << 24) - 10
    words = [
        Evt3.high(end),
        Evt3.low(end),
        Evt3.y(1),
        Evt3.x(1),
        Evt3.high(0),
        Evt3.low(3),
        Evt3.x(2),
    ]
    words += [Evt3.high(end), Evt3.low(end + 4), Evt3.x(3), Evt3.high(0), Evt3.low(8), Evt3.x(4)]
    expected = [end, end + 4, (1 << 24) + 3, (1 << 24) + 8]
    assert feed_evt3(words) == [(expected, 1, 0)]
    # The same, a packet for every word: sorting is then left to StreamOrder.
    times = [t for times, _, _ in feed_evt3(*([word] for word in words)) for t in times]
    assert times == [end, (1 << 24) + 3, end + 4, (1 << 24) + 8]


def test_evt3_time_continues_over_many_roll_overs() -> None:
    x, y, p, t = random_events(3000, 64, 48, start=7_000_000, span=100_000_000)
    words = Evt3.stream(x, y, p, t)
    decode = open_payload_decoder('evt3')
    got = decode(words16(*words))
    for have, want in zip(got[:4], (x, y, p, t), strict=True):
        np.testing.assert_array_equal(have, want)


def test_evt3_roll_over_within_lost_packets_is_found() -> None:
    decode = open_decoder(TYPE)
    words = [Evt3.high(16_000_000), Evt3.low(16_000_000), Evt3.y(1), Evt3.x(1)]
    first = decode(event_packet(words16(*words), 'evt3', seq=1))
    words = [
        Evt3.low(7),
        Evt3.x(1),
        Evt3.high(200_000),
        Evt3.low(200_000),
        Evt3.x(2),
        Evt3.y(3),
        Evt3.x(4),
    ]
    second = decode(event_packet(words16(*words), 'evt3', seq=5, stamp_ns=STAMP_NS + 977_216_000))
    assert first.t.tolist() == [16_000_000]
    assert second.t.tolist() == [(1 << 24) + 200_000]
    assert second.x.tolist() == [4]
    assert (second.lost_packets, second.dropped, second.discontinuity) == (3, 2, False)


@pytest.mark.parametrize('gap_s', [5, 20, 61.3, 3600])
def test_evt3_host_time_bridges_long_losses(gap_s: float) -> None:
    decode = open_decoder(TYPE)
    start, later = 3_000_000, 3_000_000 + int(gap_s * 10**6)
    for seq, sensor_us in ((1, start), (100, later)):
        words = [Evt3.high(sensor_us), Evt3.low(sensor_us), Evt3.y(1), Evt3.x(1)]
        # The host's clock is late by up to 100 ms at random; what matters is far less than half a
        # period.
        stamp_ns = STAMP_NS + sensor_us * 1000 + seq * 10**6
        chunk = decode(event_packet(words16(*words), 'evt3', seq=seq, stamp_ns=stamp_ns))
    assert chunk.t.tolist() == [later]
    assert chunk.lost_packets == 98


@pytest.mark.parametrize(('encoding', 'bits'), [('evt3', 24), ('evt2', 34), ('evt21', 34)])
def test_evt_decoders_that_began_in_different_periods_agree_on_the_epoch(encoding, bits) -> None:
    period, raws = 1 << bits, []
    # Of the sensor in ROS time, not half a period from a multiple of the period
    zero_ns = (STAMP_NS // (1000 * period) * period + period // 5) * 1000
    for seq in range(12):
        sensor_us = 5_000_000 + seq * period // 5
        x, y, p, t = random_events(20, 64, 48, start=sensor_us % period, span=2000, seed=seq)
        payload = getattr(encoders, encoding)(x, y, p, t) if bits == 34 else b''
        payload = payload or words16(*Evt3.stream(x, y, p, t))
        late_ns = 1_000_000 * (seq % 3)
        stamp_ns = zero_ns + 1000 * sensor_us + late_ns
        raws.append(event_packet(payload, encoding, seq=seq, stamp_ns=stamp_ns))
    early = open_decoder(TYPE)
    began_first = [early(raw) for raw in raws]
    began_later = [open_decoder(TYPE)(raw) for raw in raws]
    for one, other in zip(began_first, began_later):
        assert (one.t + one.epoch_us).tolist() == (other.t + other.epoch_us).tolist()
    assert [int(a.t[0] - b.t[0]) // period for a, b in zip(began_first, began_later)] == [
        (5_000_000 + seq * period // 5) // period for seq in range(12)
    ]
    assert abs(int(began_later[0].t[0]) + began_later[0].epoch_us - zero_ns // 1000) <= period
    assert early(raws[0]).epoch_us == began_first[0].epoch_us  # restarted


def test_evt3_after_a_loss_vectors_wait_for_their_base() -> None:
    decode = open_payload_decoder('evt3')
    state = [Evt3.high(0), Evt3.low(1), Evt3.y(1)]
    assert decode(words16(*state, Evt3.base(8, 1), 0x4003)).x.tolist() == [8, 9]
    decode.resynchronise()
    events = decode(words16(*state, 0x4FFF, 0x50F0, Evt3.x(3), Evt3.base(16), 0x5081))
    assert events.x.tolist() == [3, 16, 23]
    assert events.left_out == {'unsynchronised': 12 + 4}


def test_evt3_start_in_the_middle_drops_and_counts() -> None:
    words = [
        Evt3.x(1),
        Evt3.y(2),
        Evt3.low(9),
        Evt3.x(1),
        Evt3.high(4096),
        Evt3.x(1),
        Evt3.low(9),
        Evt3.x(5),
    ]
    assert feed_evt3(words) == [([4105], 0, 3)]


def test_evt3_vectors_continue_into_the_next_packet() -> None:
    decode = open_payload_decoder('evt3')
    first = decode(words16(Evt3.high(0), Evt3.low(1), Evt3.y(7), Evt3.base(10, 1), 0x4FFF))
    second = decode(words16(0x50FF, 0x5081))
    assert first.x.tolist() == list(range(10, 22))
    assert second.x.tolist() == [*range(22, 30), 30, 37]
    assert set(second.p.tolist()) == {1}
    assert set(second.y.tolist()) == {7}


def test_evt3_words_without_pixels_are_skipped() -> None:
    strange = [0x1123, 0x7001, 0x9123, 0xA101, 0xB000, 0xC000, 0xD000, 0xE016, 0xF123]
    words = [Evt3.high(0), Evt3.low(1), *strange, Evt3.y(7), *strange, Evt3.x(1), *strange]
    assert feed_evt3(words) == [([1], 0, 0)]


@pytest.mark.parametrize('kind', [0x1, 0x7, 0x9, 0xA, 0xB, 0xC, 0xD, 0xE, 0xF])
def test_evt3_padding_at_any_place_changes_no_event(kind: int) -> None:
    random = np.random.default_rng(kind)
    for seed in range(8):
        words = dense_evt3(seed)
        padded = []
        for word in words:  # runs of them too, as sensors fill up their buffers
            fill = random.integers(0, 4) * random.integers(0, 6)
            padded += [kind << 12 | int(low) for low in random.integers(0, 1 << 12, fill)]
            padded.append(word)
        plain, other = (open_payload_decoder('evt3')(words16(*each)) for each in (words, padded))
        for one, two in zip(plain[:4], other[:4]):
            np.testing.assert_array_equal(one, two)
        assert len(plain.t) and plain.left_out == other.left_out


def test_evt3_odd_payload_is_refused_and_the_next_packet_decodes() -> None:
    decode = open_decoder(TYPE)
    payload = payload_of('evt3')
    with pytest.raises(EventFormatError, match=facts(len(payload) - 1, 2)) as caught:
        decode(event_packet(payload[:-1], 'evt3', seq=0))
    assert caught.value.field == 'events'
    assert len(decode(event_packet(payload, 'evt3', seq=1))) == 20


def test_evt3_corrupt_time_moves_no_epoch() -> None:
    decode = open_decoder(TYPE)
    good = [Evt3.high(4096), Evt3.low(4096), Evt3.y(1), Evt3.x(1)]
    bad = [
        Evt3.high(8_000_000),
        Evt3.x(1),
        Evt3.high(15_000_000),
        Evt3.x(1),
        Evt3.high(4096),
        Evt3.x(2000),
    ]
    assert decode(event_packet(words16(*good), 'evt3', seq=0)).t.tolist() == [4096]
    assert decode(event_packet(words16(*bad), 'evt3', seq=1)).left_out == {'outside_sensor': 1}
    assert decode(event_packet(words16(*good), 'evt3', seq=2)).t.tolist() == [4096]


@pytest.mark.parametrize('others', range(8))
def test_evt3_first_time_high_that_is_repeated_is_right_wherever_it_is(others: int) -> None:
    """A silence longer than 4.2 s behind it is no step back, however words lie in memory."""
    words = [Evt3.high(14_000_000), Evt3.low(14_000_000), Evt3.y(1), *[Evt3.x(1)] * others]
    words += [Evt3.high(14_000_000), *[Evt3.x(1)] * 20]
    words += [Evt3.high(19_000_000), Evt3.low(19_000_000), Evt3.x(2)]
    decode = open_payload_decoder('evt3')
    parts = [decode(words16(word)).t for word in words]
    whole = open_payload_decoder('evt3')(words16(*words)).t
    assert whole[-1] == 19_000_000
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_evt3_time_that_only_wraps_has_no_events() -> None:
    """It costs as little as other words: a payload of them once took minutes."""
    words = [
        Evt3.y(1),
        Evt3.low(0),
        *[Evt3.high(0), Evt3.high(8_000_000), Evt3.high(16_000_000)] * 200_000,
    ]
    events = open_payload_decoder('evt3')(words16(*words))
    assert len(events.t) == 0


def test_evt3_one_wrong_time_high_holds_for_the_events_behind_it_alone() -> None:
    """A flipped highest bit moves time by half a period; the next word is continued as before."""
    before = [Evt3.high(4096 * 10), Evt3.low(1), Evt3.y(1), Evt3.x(1)]
    wrong = [Evt3.high(4096 * (10 ^ 0x800)), Evt3.low(2), Evt3.x(2)]
    after = [Evt3.high(4096 * 11), Evt3.low(3), Evt3.x(3), Evt3.high(4096 * 12), Evt3.x(4)]
    decode = open_payload_decoder('evt3')
    first, second = decode(words16(*before)), decode(words16(*wrong))
    third = decode(words16(*after))
    assert first.t.tolist() == [4096 * 10 + 1]
    assert abs(int(second.t[0]) - 4096 * 10) > 8_000_000
    assert third.t.tolist() == [4096 * 11 + 3, 4096 * 12]


# ---- other encodings


@pytest.mark.parametrize('encoding', ['evt2', 'EVT2', 'evt2.0'])
def test_evt2_round_trip(encoding: str) -> None:
    x, y, p, t = random_events(2000, 1280, 720, start=10**9, span=10**6)
    payload = encoders.evt2(x, y, p, t)
    decode = open_payload_decoder(encoding)
    cuts = [0, 400, 404, 4000, len(payload)]
    parts = [decode(payload[a:b]) for a, b in zip(cuts, cuts[1:], strict=False)]
    for k, want in enumerate((x, y, p, t)):
        np.testing.assert_array_equal(np.concatenate([part[k] for part in parts]), want)


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('dense', [False, True])
def test_evt21_round_trip(legacy: bool, dense: bool) -> None:
    if dense:  # whole rows fire: full vectors
        t, y, x = (
            part.ravel()
            for part in np.meshgrid(range(100, 1100, 50), range(48), range(64), indexing='ij')
        )
        p = y % 2
    else:
        x, y, p, t = random_events(2000, 64, 48, start=10**9, span=10**6)
    payload = encoders.evt21(x, y, p, t, legacy=legacy)
    decode = open_payload_decoder('evt21;endianness=legacy' if legacy else 'evt21')
    cuts = [0, 8, 16, 8000, len(payload)]
    parts = [decode(payload[a:b]) for a, b in zip(cuts, cuts[1:], strict=False)]
    for k, want in enumerate((x, y, p, t)):
        np.testing.assert_array_equal(np.concatenate([part[k] for part in parts]), want)


@pytest.mark.parametrize(('encode', 'name'), [(encoders.evt2, 'evt2'), (encoders.evt21, 'evt2.1')])
def test_evt2_time_continues_over_the_roll_over(encode: object, name: str) -> None:
    x, y, p, t = random_events(500, 64, 48, start=(1 << 34) - 5000, span=10_000)
    events = open_payload_decoder(name)(encode(x, y, p, t))
    np.testing.assert_array_equal(events.t, t)


@pytest.mark.parametrize(
    ('encode', 'name', 'size'), [(encoders.evt2, 'evt2', 4), (encoders.evt21, 'evt21', 8)]
)
def test_evt2_events_before_the_first_time_high_are_dropped(
    encode: object, name: str, size: int
) -> None:
    x, y, p, t = random_events(100, 64, 48, start=64, span=64)
    decode = open_payload_decoder(name)
    events = decode(encode(x, y, p, t)[size:])
    assert (len(events.t), events.left_out) == (0, {'unsynchronised': 100})
    assert len(decode(encode(x, y, p, t)).t) == 100
    decode.resynchronise()
    assert decode(encode(x, y, p, t)[size:]).left_out == {'unsynchronised': 100}


def test_mono_is_ros_time_rounded_down() -> None:
    x, y, p, dt = random_events(1000, 640, 480, span=10**9)
    base = STAMP_NS + 999
    raw = event_packet(encoders.mono(x, y, p, dt), 'mono', width=640, height=480, time_base=base)
    chunk = open_decoder(TYPE)(raw)
    np.testing.assert_array_equal(chunk.t, (base + dt) // 1000)
    np.testing.assert_array_equal(chunk.x, x)
    np.testing.assert_array_equal(chunk.y, y)
    np.testing.assert_array_equal(chunk.p, p)


def test_libcaer_rolls_over_within_a_packet_and_jitters() -> None:
    t = np.array([(1 << 31) - 3, (1 << 31) - 1, (1 << 31), (1 << 31) - 2, (1 << 31) + 5])
    n = np.zeros(5, int)
    base = 1_700_000_000_000_000
    raw = event_packet(
        encoders.libcaer(n + 3, n + 4, n + 1, t), 'libcaer', time_base=base * 1000 + 17
    )
    chunk = open_decoder(TYPE)(raw)
    assert (chunk.t - base - (1 << 31)).tolist() == [-3, -2, -1, 0, 5]
    assert (chunk.reordered, chunk.late_us) == (1, 2)
    assert (chunk.x[0], chunk.y[0], chunk.p[0]) == (3, 4, 1)


def test_libcaer_skips_events_marked_invalid() -> None:
    n = np.arange(4)
    payload = encoders.libcaer(n, n, n * 0, n) + encoders.libcaer(n, n, n * 0, n + 9, valid=0)
    events = open_payload_decoder('libcaer')(payload, 0)
    assert (len(events.t), events.left_out) == (4, {'invalid': 4})


@pytest.mark.parametrize('dense', [False, True])
def test_libcaer_cmp_round_trip(dense: bool) -> None:
    if dense:  # columns of neighbours: vectors
        t, x, y = (
            part.ravel()
            for part in np.meshgrid(range(0, 40_000_000, 999_983), range(64), range(48))
        )
        order = np.lexsort((y, x, t))
        x, y, t = x[order], y[order], t[order]
        p = x % 2
    else:
        x, y, p, t = random_events(2000, 64, 48, span=10**5)
    base = 1_700_000_000_000_000
    for _ in range(2):  # packets do not depend on each other
        decode = open_payload_decoder('libcaer_cmp')
        events = decode(encoders.libcaer_cmp(x, y, p, t), base * 1000)
        for have, want in zip(events[:4], (x, y, p, t + base), strict=True):
            np.testing.assert_array_equal(have, want)


def test_libcaer_cmp_unknown_word_is_named() -> None:
    with pytest.raises(EventFormatError, match=facts('libcaer_cmp', 1, 9)) as caught:
        open_payload_decoder('libcaer_cmp')(words16(2 << 12, 9 << 12), 0)
    assert (caught.value.field, caught.value.offset) == ('events', 2)


def test_libcaer_cmp_without_column_or_base_drops() -> None:
    events = open_payload_decoder('libcaer_cmp')(
        words16(3 << 12 | 5, 5 << 12 | 7, 2 << 12 | 4, 5 << 12 | 1), 0
    )
    assert (len(events.t), events.left_out) == (0, {'unsynchronised': 5})


# ---- the message around the payload


def test_equals_the_message_that_rclpy_serialises() -> None:
    serialization = pytest.importorskip('rclpy.serialization', reason='ROS 2 is not installed')
    messages = pytest.importorskip(
        'event_camera_msgs.msg', reason='event_camera_msgs is not built'
    )
    message = messages.EventPacket(height=48, width=64, seq=2**63, time_base=5000, encoding='mono')
    message.header.frame_id = 'left'
    message.header.stamp.sec, message.header.stamp.nanosec = 12, 34
    payload = payload_of('mono')
    message.events = payload
    chunk = open_decoder(TYPE)(serialization.serialize_message(message))
    want = open_payload_decoder('mono')(payload, 5000)
    for have, expected in zip((chunk.x, chunk.y, chunk.p, chunk.t), want[:4], strict=True):
        np.testing.assert_array_equal(have, expected)
    assert (chunk.stamp_ns, chunk.frame_id) == (12_000_000_034, 'left')


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_the_message_may_be_cut_at_no_byte(encoding: str) -> None:
    raw = event_packet(payload_of(encoding, 5), encoding)
    decode = open_decoder(TYPE)
    for length in range(len(raw)):
        with pytest.raises(EventFormatError) as caught:
            decode(raw[:length])
        assert caught.value.field, length
        assert caught.value.offset is not None
    assert len(decode(raw)) == 5


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_a_payload_may_be_cut_at_no_byte(encoding: str) -> None:
    payload = payload_of(encoding, 5)
    unit = {'evt3': 2, 'evt2': 4, 'evt21': 8, 'mono': 8, 'libcaer': 8, 'libcaer_cmp': 2}[encoding]
    decode = open_decoder(TYPE)
    for length in range(len(payload)):
        raw = event_packet(payload[:length], encoding)
        if length % unit:
            with pytest.raises(EventFormatError, match=facts(length, unit)) as caught:
                decode(raw)
            assert caught.value.field == 'events'
        else:
            assert len(decode(raw)) <= 5


@pytest.mark.parametrize('encoding', ENCODINGS)
@pytest.mark.parametrize('side', ['width', 'height'])
def test_events_outside_the_sensor_are_left_out_and_counted(encoding: str, side: str) -> None:
    payload = payload_of(encoding)
    x, y, _, _ = random_events(20, 64, 48, start=5000, span=20_000)
    values = x if side == 'width' else y
    outside = int(np.count_nonzero(values == values.max()))
    size = {'width': 64, 'height': 48, side: int(values.max())}
    decode = open_decoder(TYPE)
    chunk = decode(event_packet(payload, encoding, seq=1, **size))
    assert (len(chunk), chunk.left_out) == (20 - outside, {'outside_sensor': outside})
    assert len(decode(event_packet(payload, encoding, seq=2))) == 20


@pytest.mark.parametrize('side', ['width', 'height'])
def test_a_sensor_with_one_side_is_refused_unless_its_size_is_given(side: str) -> None:
    message = event_packet(payload_of('evt3'), 'evt3', **{side: 0})
    with pytest.raises(EventFormatError, match=facts('--sensor-size', f'input.{side}')) as caught:
        open_decoder(TYPE)(message)
    assert caught.value.field == side
    decode = open_decoder(TYPE, sensor_size=(48, 64))
    chunk = decode(message)
    assert (len(chunk), chunk.height, chunk.width) == (20, 48, 64)
    assert 0 in decode.stated_size


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_an_unknown_sensor_size_checks_no_coordinates(encoding: str) -> None:
    chunk = open_decoder(TYPE)(event_packet(payload_of(encoding), encoding, width=0, height=0))
    assert (len(chunk), chunk.width, chunk.height) == (20, 0, 0)


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_an_empty_payload_is_an_empty_chunk(encoding: str) -> None:
    chunk = open_decoder(TYPE)(event_packet(b'', encoding))
    assert len(chunk) == 0
    assert chunk.t.dtype == np.int64


@pytest.mark.parametrize('encoding', ['', 'EVT', 'triggers', 'x' * 1000])
def test_an_unknown_encoding_is_refused(encoding: str) -> None:
    decode = open_decoder(TYPE)
    with pytest.raises(EventFormatError, match=facts(repr(encoding))) as caught:
        decode(event_packet(b'', encoding))
    assert caught.value.field == 'encoding'
    assert len(decode(event_packet(payload_of('mono'), 'mono'))) == 20


@pytest.mark.parametrize('encoding', ['evt4', 'EVT4', 'evt4.0'])
def test_evt4_is_named_as_not_supported(encoding: str) -> None:
    with pytest.raises(
        EventFormatError, match=facts(repr(encoding), 'EVT 4.0', 'EVT 3.0')
    ) as caught:
        open_decoder(TYPE)(event_packet(b'', encoding))
    assert caught.value.field == 'encoding'


@pytest.mark.parametrize('encoding', ENCODINGS)
@pytest.mark.parametrize('shared_count', [False, True])
def test_packets_of_triggers_change_nothing(encoding: str, shared_count: bool) -> None:
    """Triggers may share the count of the packets with events, or have one of their own."""
    payloads = [payload_of(encoding, seed=seed) for seed in range(4)]
    alone, mixed = open_decoder(TYPE), open_decoder(TYPE)
    expected = [
        alone(event_packet(payload, encoding, seq=10 + number))
        for number, payload in enumerate(payloads)
    ]
    seq = 10
    for number, (payload, chunk) in enumerate(zip(payloads, expected)):
        found = mixed(event_packet(payload, encoding, seq=seq))
        for name in 'xypt':
            np.testing.assert_array_equal(getattr(found, name), getattr(chunk, name))
        assert not (found.lost_packets or found.discontinuity)
        own = seq + 1 if shared_count else 1000 * number
        trigger = event_packet(bytes(range(16)), 'trigger', seq=own, width=0, height=0)
        nothing = mixed(trigger)
        assert (len(nothing), nothing.lost_packets, nothing.discontinuity) == (0, 0, False)
        assert mixed.stated_size == (chunk.height, chunk.width)
        seq += 2 if shared_count else 1


def test_triggers_before_the_first_events_change_nothing() -> None:
    decode = open_decoder(TYPE)
    assert len(decode(event_packet(b'abc', 'trigger', seq=7))) == 0
    chunk = decode(event_packet(payload_of('evt3'), 'evt3', seq=90))
    assert (len(chunk), chunk.lost_packets, chunk.discontinuity) == (20, 0, False)


@pytest.mark.parametrize('value', [1, 2])
def test_a_big_endian_payload_is_refused(value: int) -> None:
    with pytest.raises(EventFormatError) as caught:
        open_decoder(TYPE)(event_packet(b'', 'evt3', big_endian=value))
    assert caught.value.field == 'is_bigendian'


def test_a_false_count_is_refused_without_allocation() -> None:
    payload = payload_of('mono')
    raw = bytearray(event_packet(payload, 'mono'))
    struct.pack_into('<I', raw, len(raw) - len(payload) - 4, 2**32 - 1)
    with peak_below(1 << 20), pytest.raises(EventFormatError) as caught:
        open_decoder(TYPE)(raw)
    assert caught.value.field == 'events'


def test_a_count_that_goes_back_is_a_new_stream() -> None:
    decode = open_decoder(TYPE)
    late = [Evt3.high(10_000_000), Evt3.low(10_000_000), Evt3.y(1), Evt3.x(1)]
    early = [Evt3.high(1_000_000), Evt3.low(1_000_000), Evt3.y(1), Evt3.x(1)]
    first = decode(event_packet(words16(*late), 'evt3', seq=90))
    again = decode(event_packet(words16(*early), 'evt3', seq=3))
    assert (first.discontinuity, again.discontinuity) == (False, True)
    assert again.t.tolist() == [1_000_000]
    assert again.lost_packets == 0


def test_a_constant_count_is_no_loss() -> None:
    decode = open_decoder(TYPE)
    chunks = [decode(event_packet(payload_of('evt3'), 'evt3', seq=0)) for _ in range(3)]
    assert not any(chunk.lost_packets or chunk.discontinuity for chunk in chunks)


@pytest.mark.parametrize('change', [{'width': 65}, {'height': 49}])
def test_another_sensor_size_is_a_new_stream(change: dict[str, int]) -> None:
    decode = open_decoder(TYPE)
    assert not decode(event_packet(payload_of('evt3'), 'evt3', seq=0)).discontinuity
    assert decode(event_packet(payload_of('evt3'), 'evt3', seq=1, **change)).discontinuity


def test_losses_before_a_refused_packet_are_not_forgotten() -> None:
    decode = open_decoder(TYPE)
    decode(event_packet(payload_of('evt3'), 'evt3', seq=0))
    with pytest.raises(EventFormatError):
        decode(event_packet(payload_of('evt3')[:-1], 'evt3', seq=4))
    assert decode(event_packet(payload_of('evt3'), 'evt3', seq=5)).lost_packets == 3


def test_reset_begins_a_new_stream() -> None:
    decode = open_decoder(TYPE)
    decode(
        event_packet(
            words16(Evt3.high(16_000_000), Evt3.low(0), Evt3.y(1), Evt3.x(1)), 'evt3', seq=5
        )
    )
    decode.reset()
    chunk = decode(
        event_packet(words16(Evt3.high(0), Evt3.low(0), Evt3.y(1), Evt3.x(1)), 'evt3', seq=1)
    )
    assert chunk.t.tolist() == [0]
    assert not chunk.discontinuity


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.data())
def test_corrupt_messages_are_refused_or_valid(data: st.DataObject) -> None:
    decode = open_decoder(TYPE)
    encoding = data.draw(st.sampled_from(ENCODINGS))
    for seq in range(2):
        raw = bytearray(
            event_packet(payload_of(encoding, 6), encoding, seq=seq, time_base=STAMP_NS)
        )
        for _ in range(data.draw(st.integers(0, 4))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        raw = raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw
        try:
            chunk = decode(raw)
        except EventFormatError:
            continue
        # All of its checks
        EventChunk(chunk.x, chunk.y, chunk.p, chunk.t, width=chunk.width, height=chunk.height)
    # Whatever has happened: the stream goes on, at the latest with the second good packet.
    decode(event_packet(payload_of('mono'), 'mono', seq=8))
    assert len(decode(event_packet(payload_of('mono'), 'mono', seq=9))) == 20


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from(['evt3', 'evt2', 'evt21', 'libcaer', 'libcaer_cmp', 'mono']),
    st.binary(max_size=400),
)
def test_random_payloads_are_refused_or_valid(encoding: str, payload: bytes) -> None:
    decode = open_payload_decoder(encoding)
    for _ in range(2):
        try:
            chunk = decode(payload[: len(payload) // 8 * 8], 0).chunk(width=0, height=0)
        except EventFormatError:
            continue
        EventChunk(chunk.x, chunk.y, chunk.p, chunk.t)


@pytest.mark.parametrize('bit', range(12))
@pytest.mark.parametrize('number', [3, 50, 90])
def test_evt3_wrong_bit_in_time_high_costs_no_event(bit: int, number: int) -> None:
    x, y, p, t = random_events(20_000, 304, 240, start=30_000_000, span=400_000)
    words = np.frombuffer(words16(*Evt3.stream(x, y, p, t)), '<u2').copy()
    words[np.flatnonzero(words >> 12 == 8)[number]] ^= 1 << bit
    chunk = open_payload_decoder('evt3')(words.tobytes()).chunk(width=304, height=240)
    assert len(chunk) == 20_000
    # One or two steps may be jitter of the sensor
    shift = np.abs(chunk.t - chunk.t[0] - (np.sort(t) - t.min()))
    assert shift.max() <= (0 if bit > 1 else 2 * 4096)


def test_each_packet_is_read_by_the_codec_of_its_encoding() -> None:
    decode = open_decoder(TYPE)
    packets = [(0, 'evt3'), (1, 'evt3'), (2, 'evt9'), (3, 'evt9'), (4, 'evt3'), (5, 'mono')]
    found = []
    for seq, encoding in packets:
        raw = event_packet(
            payload_of('evt3' if encoding == 'evt9' else encoding), encoding, seq=seq
        )
        try:
            found.append(len(decode(raw)))
        except EventFormatError as error:
            assert error.field == 'encoding'
            found.append(-1)
    assert found == [20, 20, -1, -1, 20, 20]
