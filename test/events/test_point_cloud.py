# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/PointCloud2 with an event a point."""

from __future__ import annotations

import contextlib
import struct

from allocation import peak_below
from events.encoders import Events, point_cloud, random_events, STAMP_NS
from facts import facts
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from sast_ros.events import EventChunk, EventFormatError, open_decoder

TYPE = 'sensor_msgs/msg/PointCloud2'
STAMP_US = STAMP_NS // 1000
PLAIN = {'x': 'u2', 'y': 'u2', 't': 'u4', 'p': 'u1'}


def cloud(events: Events, kinds: dict[str, str] = PLAIN, **options: object) -> bytes:
    """
    Message with these fields.

    Any name of time or polarity gets those values, others get rubbish.
    """
    made = np.zeros(len(events[0]), list(kinds.items()))
    x, y, p, t = events
    values = {'x': x, 'y': y, 'p': p, 'polarity': p, 't': t, 'ts': t, 'timestamp': t, 'time': t}
    for name in kinds:
        made[name] = values.get(name, 77)
    return point_cloud(made, **options)


def same(chunk: EventChunk, events: Events) -> None:
    for name, values, dtype in zip(
        'xypt', events, (np.uint16, np.uint16, np.uint8, np.int64), strict=True
    ):
        np.testing.assert_array_equal(getattr(chunk, name), values)
        assert getattr(chunk, name).dtype == dtype


@pytest.mark.parametrize('kind', ['u1', 'i1', 'u2', 'i2', 'u4', 'i4', 'f4', 'f8'])
@pytest.mark.parametrize('order', ['<', '>'])
def test_any_numeric_type_in_either_byte_order(kind: str, order: str) -> None:
    events = random_events(500, 64, 48, start=1000)
    raw = cloud(
        events, {'x': order + kind, 'y': order + kind, 't': order + 'u4', 'p': order + kind}
    )
    chunk = open_decoder(TYPE, sensor_size=(48, 64))(raw)
    same(chunk, events)
    assert (chunk.width, chunk.height, chunk.stamp_ns, chunk.frame_id) == (
        64,
        48,
        STAMP_NS,
        'camera',
    )


@pytest.mark.parametrize('time', ['t', 'ts', 'timestamp', 'time'])
@pytest.mark.parametrize('polarity', ['p', 'polarity'])
def test_fields_by_any_of_their_names_in_any_order_among_others(time: str, polarity: str) -> None:
    events = random_events(100, 64, 48)
    kinds = {'z': 'f4', polarity: 'u1', 'y': 'i4', 'intensity': 'f8', time: 'i4', 'x': 'u2'}
    same(open_decoder('sensor_msgs/PointCloud2')(cloud(events, kinds)), events)


@pytest.mark.parametrize(('rows', 'padding'), [(1, 0), (1, 5), (10, 0), (10, 3), (100, 1)])
def test_rows_with_padding(rows: int, padding: int) -> None:
    events = random_events(100, 64, 48)
    same(open_decoder(TYPE)(cloud(events, rows=rows, row_padding=padding)), events)


def test_polarity_may_be_minus_one() -> None:
    x, y, p, t = random_events(100, 64, 48)
    raw = cloud((x, y, p.astype(np.int8) * 2 - 1, t), {**PLAIN, 'p': 'i1'})
    same(open_decoder(TYPE)(raw), (x, y, p, t))


def test_without_a_sensor_size_it_is_unknown() -> None:
    chunk = open_decoder(TYPE)(cloud(random_events(10, 2000, 1000)))
    assert (chunk.width, chunk.height) == (0, 0)


@pytest.mark.parametrize(
    ('kind', 'factor', 'unit'),
    [
        ('f8', 1e-6, 'auto'),
        ('f8', 1.0, 'auto'),
        ('u4', 1, 'auto'),
        ('i4', 1, 'us'),
        ('f8', 1e-6, 's'),
        ('f8', 1e-3, 'ms'),
        ('f8', 1e3, 'ns'),
        ('u4', 1000, 'ns'),
    ],
)
def test_units_of_time(kind: str, factor: float, unit: str) -> None:
    x, y, p, t = random_events(100, 64, 48, start=2_000_000)
    raw = cloud((x, y, p, t * factor), {**PLAIN, 't': kind})
    same(open_decoder(TYPE, time_unit=unit)(raw), (x, y, p, t))


@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize(('kind', 'limit'), [('u4', 1 << 32), ('i4', 1 << 31)])
@pytest.mark.parametrize(('unit', 'divisor'), [('auto', 1), ('us', 1), ('ns', 1000)])
def test_times_continue_over_roll_overs(
    order: str, kind: str, limit: int, unit: str, divisor: int
) -> None:
    x, y, p, _ = random_events(1000, 64, 48)
    t = limit - 10**9 + np.arange(10_000) * 10**6  # rolls over two or three times
    t[4000] += 10**9  # a stray changes nothing for those after it
    decode = open_decoder(TYPE, time_unit=unit)
    kinds = {name: order + each for name, each in {**PLAIN, 't': kind}.items()}

    def times(low: int) -> list[int]:
        part = t[slice(low, low + 1000)].astype(np.int64).astype(kind)
        chunk = decode(cloud((x, y, p, part), kinds))
        return chunk.t.tolist()

    found = [times(low) for low in range(0, 10_000, 1000)]
    assert found == [sorted(part.tolist()) for part in (t // divisor).reshape(10, 1000)]
    decode.reset()
    assert times(9000)[0] == int(t[9000].astype(kind)) // divisor


def test_decoders_that_began_in_different_periods_agree_on_the_epoch() -> None:
    x, y, p, _ = random_events(100, 64, 48)
    raws = []
    for second in range(1000, 20_000, 1000):
        t = second * 10**6 + np.arange(100) * 100
        stamp_ns = (STAMP_US + int(t[-1])) * 1000
        raws.append(cloud((x, y, p, t % (1 << 32)), stamp_ns=stamp_ns))
    early = open_decoder(TYPE)
    for one, other in [(early(raw), open_decoder(TYPE)(raw)) for raw in raws]:
        assert (one.t + one.epoch_us).tolist() == (other.t + other.epoch_us).tolist()
    assert one.t[0] > other.t[0]


def test_times_that_are_not_set_yet_do_not_decide_on_roll_overs() -> None:
    n, decode = np.zeros(2, int), open_decoder(TYPE)
    for times in ([0, 0], [3_500_000_000, 3_500_000_001]):
        assert decode(cloud((n, n, n, np.array(times)))).t.tolist() == times


def test_any_times_of_32_bits_are_read() -> None:
    """Times that only seem to roll over at every event add up to no end."""
    x, y, p, _ = random_events(100_000, 64, 48)
    decode = open_decoder(TYPE, time_unit='s')
    raw = cloud((x, y, p, np.arange(100_000) * ((1 << 31) - 1) % (1 << 32)))
    for _ in range(4):
        with contextlib.suppress(EventFormatError):
            assert np.abs(decode(raw).t).max() <= 1 << 58


def test_nanoseconds_since_1970_are_recognised() -> None:
    x, y, p, t = random_events(100, 64, 48)
    raw = cloud((x, y, p, (STAMP_US + t) * 1000.0), {**PLAIN, 't': 'f8'})
    chunk = open_decoder(TYPE)(raw)
    assert np.abs(chunk.t - STAMP_US - t).max() <= 1  # float64 holds these to 256 ns
    assert chunk.clock == 'ros'


def test_the_unit_is_kept_once_it_was_seen() -> None:
    n = np.zeros(2, int)
    seconds = {**PLAIN, 't': 'f8'}
    decode = open_decoder(TYPE)
    assert decode(cloud((n, n, n, np.zeros(2)), seconds)).t.tolist() == [0, 0]
    assert decode(cloud((n, n, n, np.array([1.25, 1.5])), seconds)).t.tolist() == [
        1_250_000,
        1_500_000,
    ]
    assert decode(cloud((n, n, n, np.array([2.0, 3.0])), seconds)).t.tolist() == [
        2_000_000,
        3_000_000,
    ]
    decode.reset()
    assert decode(cloud((n, n, n, np.array([2.0, 3.0])), seconds)).t.tolist() == [2, 3]


@pytest.mark.parametrize(
    ('first', 'clock'),
    [(STAMP_US / 1e6 + 0.5, 'ros'), (STAMP_US / 1e6 - 11, 'sensor'), (5.5, 'sensor')],
)
def test_the_clock_is_ros_time_near_the_stamp(first: float, clock: str) -> None:
    n = np.zeros(1, int)
    decode = open_decoder(TYPE)
    assert decode(cloud((n, n, n, np.array([first])), {**PLAIN, 't': 'f8'})).clock == clock
    empty = np.zeros(0, int)
    assert decode(cloud((empty, empty, empty, empty))).clock == clock


def test_a_stamp_of_zero_is_near_no_clock() -> None:
    n = np.zeros(1, int)
    points = cloud((n, n, n, np.array([5.5])), {**PLAIN, 't': 'f8'}, stamp_ns=0)
    assert open_decoder(TYPE)(points).clock == 'sensor'


def test_events_are_sorted_by_time() -> None:
    n = np.zeros(5, int)
    times = np.array([50_000, 20_000, 19_000, 20_000, 21_000])
    chunk = open_decoder(TYPE)(cloud((np.arange(5), n, n, times)))
    assert chunk.t.tolist() == [19_000, 20_000, 20_000, 21_000, 50_000]
    assert chunk.x.tolist() == [2, 1, 3, 4, 0]
    assert (chunk.reordered, chunk.late_us, chunk.dropped) == (4, 31_000, 0)


@pytest.mark.parametrize(
    ('missing', 'accepted'), [('x', 'x'), ('y', 'y'), ('t', 'timestamp'), ('p', 'polarity')]
)
def test_a_missing_field_is_named(missing: str, accepted: str) -> None:
    kinds = {('z' if name == missing else name): kind for name, kind in PLAIN.items()}
    with pytest.raises(EventFormatError, match=facts(accepted)) as caught:
        open_decoder(TYPE)(cloud(random_events(3, 64, 48), kinds))
    assert caught.value.field == f'fields.{missing}'


@pytest.mark.parametrize(
    ('name', 'value', 'reason'),
    [
        ('x', 1.5, 'invalid'),
        ('x', -1, 'outside_sensor'),
        ('x', np.nan, 'invalid'),
        ('y', np.inf, 'outside_sensor'),
        ('x', 64, 'outside_sensor'),
        ('y', 48, 'outside_sensor'),
        ('y', 1e30, 'outside_sensor'),
        ('p', 2, 'invalid'),
        ('p', np.nan, 'invalid'),
        ('p', 0.5, 'invalid'),
        ('t', np.nan, 'invalid'),
        ('t', np.inf, 'invalid'),
        ('t', 1e300, 'invalid'),
        ('t', -1e25, 'invalid'),
    ],
)
def test_a_bad_value_costs_its_event(name: str, value: float, reason: str) -> None:
    events = dict(
        zip('xypt', (part.astype(float) for part in random_events(8, 64, 48)), strict=True)
    )
    events[name][3] = value
    raw = cloud(tuple(events.values()), dict.fromkeys('xytp', 'f8'))
    decode = open_decoder(TYPE, sensor_size=(48, 64))
    chunk = decode(raw)
    assert chunk.left_out == {reason: 1}
    same(chunk, tuple(np.delete(part, 3) for part in random_events(8, 64, 48)))
    if reason == 'invalid':
        events[name][:] = value
        with pytest.raises(EventFormatError, match=facts(value)) as caught:
            decode(cloud(tuple(events.values()), dict.fromkeys('xytp', 'f8')))
        assert caught.value.field == f'data.{name}'
    same(decode(cloud(random_events(3, 64, 48))), random_events(3, 64, 48))


def test_the_message_may_be_cut_at_no_byte() -> None:
    raw = cloud(random_events(3, 64, 48))
    decode = open_decoder(TYPE)
    for length in range(len(raw)):
        with pytest.raises(EventFormatError) as caught:
            decode(raw[:length])
        assert caught.value.field, length
        assert caught.value.offset is not None
    assert len(decode(raw)) == 3


@pytest.mark.parametrize('count', [4, 2**31, 2**32 - 1])
def test_a_false_size_is_refused_without_allocation(count: int) -> None:
    raw = cloud(random_events(3, 64, 48), count=count)
    with peak_below(1 << 20), pytest.raises(EventFormatError) as caught:
        open_decoder(TYPE)(raw)
    assert caught.value.field == 'data'


def test_an_absurd_number_of_fields_is_refused() -> None:
    raw = bytearray(cloud(random_events(3, 64, 48)))
    struct.pack_into('<I', raw, 32, 2**32 - 1)
    with pytest.raises(EventFormatError, match=facts(2**32 - 1)) as caught:
        open_decoder(TYPE)(raw)
    assert caught.value.field == 'fields'


def test_a_wrong_option_is_refused() -> None:
    with pytest.raises(ValueError, match='time_unit'):
        open_decoder(TYPE, time_unit='minutes')
    with pytest.raises(TypeError):
        open_decoder('dvs_msgs/msg/EventArray', time_unit='s')


def test_equals_the_message_that_rclpy_serialises() -> None:
    serialization = pytest.importorskip('rclpy.serialization', reason='ROS 2 is not installed')
    messages = pytest.importorskip('sensor_msgs.msg')
    x, y, p, t = random_events(50, 64, 48)
    made = np.zeros(50, [('x', '<f4'), ('y', '<f4'), ('t', '<f8'), ('p', 'u1')])
    made['x'], made['y'], made['p'], made['t'] = x, y, p, t / 1e6 + 12
    message = messages.PointCloud2(
        height=1, width=50, point_step=17, row_step=850, data=made.tobytes(), is_dense=True
    )
    message.header.stamp.sec = 12
    for name, offset, kind in (('x', 0, 7), ('y', 4, 7), ('t', 8, 8), ('p', 16, 2)):
        message.fields.append(
            messages.PointField(name=name, offset=offset, datatype=kind, count=1)
        )
    chunk = open_decoder(TYPE)(serialization.serialize_message(message))
    same(chunk, (x, y, p, t + 12_000_000))
    assert chunk.clock == 'ros'


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_corrupt_messages_are_refused_or_valid(data: st.DataObject) -> None:
    kinds = {**PLAIN, 't': data.draw(st.sampled_from(['f8', 'u4', 'f4']))}
    raw = bytearray(cloud(random_events(4, 64, 48), kinds))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw
    try:
        chunk = open_decoder(TYPE, sensor_size=(48, 64))(raw)
    except EventFormatError:
        return
    # All of its checks
    EventChunk(chunk.x, chunk.y, chunk.p, chunk.t, width=chunk.width, height=chunk.height)
