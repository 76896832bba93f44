# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What continues a stream, what is a stray, and what restarts it."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from sast_ros.events import EventChunk, EventFormatError, order
from sast_ros.events._native import DecodedEvents
from sast_ros.events.order import in_order, sort_blocks, StreamOrder
from sast_ros.windows import WindowCutter

RATES = [3_000, 60_000]  # events a second


def stream(seed: int, count: int, rate: float, start: int = 10**9) -> DecodedEvents:
    """Return events with their number in x and y, to recognise them."""
    generator = np.random.default_rng(seed)
    t = start + np.cumsum(generator.exponential(1e6 / rate, count)).astype(np.int64)
    number = np.arange(count)
    return DecodedEvents(
        (number & 0xFFF).astype(np.uint16),
        (number >> 12).astype(np.uint16),
        (number & 1).astype(np.uint8),
        t,
    )


def take(events: DecodedEvents, which: object) -> DecodedEvents:
    return DecodedEvents(*(np.array(column[which]) for column in events[:4]))


def insert(events: DecodedEvents, at: list[int], times: list[int]) -> DecodedEvents:
    """Return the events with others of these times before those with these numbers."""
    x, y, p, t = events[:4]
    return DecodedEvents(
        np.insert(x, at, 5), np.insert(y, at, 5), np.insert(p, at, 1), np.insert(t, at, times)
    )


def messages(events: DecodedEvents, size: int) -> list[EventChunk]:
    return [
        take(events, slice(low, low + size)).chunk(width=0, height=0)
        for low in range(0, len(events.t), size)
    ]


def blocks(events: DecodedEvents, size: int) -> list[EventChunk]:
    """Return the chunks of a file with these events."""
    parts = (take(events, slice(low, low + size)) for low in range(0, len(events.t), size))
    return list(in_order(sort_blocks(parts, 0, 0, 'some.dat')))


def windows_of(chunks: list[EventChunk]) -> tuple[list[tuple], WindowCutter]:
    cutter = WindowCutter(50_000, 50_000)
    found = [window for chunk in chunks for window in cutter.cut(chunk)]
    found += cutter.finish()
    rows = []
    for window in found:
        columns = [
            np.concatenate([getattr(part, name) for part in window.parts] or [np.empty(0, int)])
            for name in 'xypt'
        ]
        by_time = np.lexsort(columns)  # equal times in one order
        rows.append((window.t_start, window.reset, *(c[by_time].tobytes() for c in columns)))
    return rows, cutter


def of_sensor(
    width: int, seed: int, start: int = 10**9, frame_id: str = 'left'
) -> list[EventChunk]:
    """Return live messages of a sensor, of 2 ms each."""
    events = stream(seed, 4000, 50_000, start)
    return [
        take(events, slice(low, low + 100)).chunk(
            width=width, height=4, stamp_ns=low, frame_id=frame_id
        )
        for low in range(0, 4000, 100)
    ]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(0, 3), min_size=39, max_size=39),
    st.sampled_from([(5000, 'left', 'other_size'), (4096, 'right', 'other_frame')]),
)
def test_a_few_messages_of_another_sensor_move_no_stream(between, other):
    width, frame_id, reason = other
    own, strangers = of_sensor(4096, 1), iter(4 * of_sensor(width, 2, frame_id=frame_id))
    arrived = own[:1]
    for message, count in zip(own[1:], between):
        arrived += [next(strangers) for _ in range(count)] + [message]
    found, cutter = windows_of(arrived)
    assert found == windows_of(own)[0]
    assert cutter.statistics.resets == {'start': 1}
    assert cutter.statistics.left_out[reason] == 100 * sum(between)


@pytest.mark.parametrize('count', [2, 3, 4, 40])
@pytest.mark.parametrize('start', [0, 2 * 10**9])
@pytest.mark.parametrize(
    'width, frame_id, reason', [(5000, 'left', 'sensor_size'), (4096, 'right', 'frame_id')]
)
def test_a_change_of_the_sensor_loses_nothing(count, start, width, frame_id, reason):
    own = of_sensor(4096, 1)
    after = of_sensor(width, 2, start=start, frame_id=frame_id)[:count]
    _, cutter = windows_of(own + after)
    assert cutter.statistics.events == 100 * (len(own) + count)
    assert not cutter.statistics.left_out
    assert not cutter.statistics.clamped
    assert cutter.statistics.resets['start'] == 1
    assert cutter.statistics.resets[reason] == (count == 40)  # the others complete no window


displacements = st.one_of(
    st.integers(1_100_000, 10**10), st.integers(-(10**9), -110_000), st.sampled_from([5_000_000])
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(0, 99),
    st.sampled_from(RATES),
    st.lists(st.tuples(st.integers(300, 5_900), displacements), min_size=1, max_size=5),
    # Messages of 33 and 3 ms: a stray in the time of its message is in another order only
    st.sampled_from([(messages, 1 / 30), (messages, 1 / 300), (blocks, 0.1), (blocks, 10)]),
)
def test_windows_with_strays_are_those_of_the_stream_without_them(seed, rate, strays, source):
    events = stream(seed, 6000, rate)
    cut, size = source[0], round(rate * source[1])
    clean, _ = windows_of(cut(events, size))
    at = [number for number, _ in strays]
    times = [int(events.t[number]) + displacement for number, displacement in strays]
    found, cutter = windows_of(cut(insert(events, at, times), size))
    assert found == clean
    assert cutter.statistics.left_out == {'stray_time': len(strays)}
    assert cutter.statistics.events == 6000
    assert cutter.statistics.resets == {'start': 1}


@pytest.mark.parametrize('displacement', [-99_000, 99_000])
@pytest.mark.parametrize(('cut', 'size'), [(messages, 600), (blocks, 1 << 17)])
def test_strays_are_found_beyond_the_horizon_of_a_dense_stream(displacement, cut, size):
    events = stream(1, 60_000, 60_000)
    at = [1000, 20_000, 59_000]
    clean, _ = windows_of(cut(events, size))
    found, cutter = windows_of(
        cut(insert(events, at, [int(events.t[number]) + displacement for number in at]), size)
    )
    assert found == clean
    assert cutter.statistics.left_out == {'stray_time': 3}


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 99), st.sampled_from(RATES), st.sampled_from([1, 7, 100, 3000]))
def test_any_order_inside_of_messages_gives_the_same_windows(seed, rate, size):
    events = stream(seed, 4500, rate)
    generator = np.random.default_rng(seed)
    mixed = np.arange(4500)
    for low in range(0, 4500, size):
        high = low + size
        generator.shuffle(mixed[low:high])
    clean, _ = windows_of(messages(events, size))
    found, cutter = windows_of(messages(take(events, mixed), size))
    assert found == clean
    assert cutter.statistics.resets == {'start': 1}
    assert not cutter.statistics.left_out


@pytest.mark.parametrize('rate', RATES)
@pytest.mark.parametrize(('cut', 'size'), [(messages, 100), (messages, 5000), (blocks, 1 << 17)])
@pytest.mark.parametrize('back', [150_000, 10**9])
def test_a_restart_loses_nothing_on_either_side(rate, cut, size, back):
    before = stream(3, 10_000, rate)
    after = stream(4, 10_000, rate, start=int(before.t[-1]) - back)
    both = DecodedEvents(*(np.concatenate(pair) for pair in list(zip(before, after))[:4]))
    found, cutter = windows_of(cut(both, size))
    (first, _), (second, _) = windows_of(cut(before, size)), windows_of(cut(after, size))
    second[0] = (second[0][0], 'time_jump_back', *second[0][2:])
    assert found == first + second
    assert cutter.statistics.events == 20_000
    assert not cutter.statistics.left_out


@pytest.mark.parametrize(('cut', 'size'), [(messages, 100), (blocks, 1 << 17)])
@pytest.mark.parametrize('silence', [30_000, 900_000, 5_000_000])
def test_a_silence_costs_no_events(cut, size, silence):
    events = stream(5, 10_000, 60_000)
    events.t[5000:] += silence
    _, cutter = windows_of(cut(events, size))
    assert cutter.statistics.events == 10_000
    assert not cutter.statistics.left_out
    assert set(cutter.statistics.resets) == ({'start', 'gap'} if silence > 10**6 else {'start'})


@pytest.mark.parametrize('count', [2, 5, 400])
@pytest.mark.parametrize('silence', [30_000, 900_000, 5_000_000])
@pytest.mark.parametrize(('cut', 'size'), [(messages, 100), (blocks, 1 << 17)])
def test_the_end_of_a_stream_after_a_silence_is_kept(count, silence, cut, size):
    events = stream(5, 2000 + count, 100_000)
    events.t[2000:] += silence
    _, cutter = windows_of(cut(events, size))
    assert cutter.statistics.events == 2000 + count
    assert not cutter.statistics.left_out


def join(*parts: DecodedEvents) -> DecodedEvents:
    return DecodedEvents(*(np.concatenate(each) for each in list(zip(*parts))[:4]))


def live(events: DecodedEvents, size: int) -> list[EventChunk]:
    return [replace(chunk, stamp_ns=0) for chunk in messages(events, size)]


@pytest.mark.parametrize('far', [-5_000_000, -2_000_000, -99_000, 99_000, 5_000_000])
@pytest.mark.parametrize(('cut', 'size'), [(live, 200), (messages, 200), (blocks, 1 << 17)])
def test_a_stray_that_begins_a_stream_costs_itself(far, cut, size):
    """At the start, after a reset, and where the camera restarts."""
    events = stream(1, 4000, 60_000)
    clean, _ = windows_of(cut(events, size))
    spoiled = cut(insert(events, [0], [int(events.t[0]) + far]), size)
    assert windows_of(spoiled)[0] == clean
    cutter = WindowCutter(50_000, 50_000)
    for chunk in cut(events, size):
        list(cutter.cut(chunk))
    cutter.restart('service')
    again = [window for chunk in spoiled for window in cutter.cut(chunk)]
    assert [window.t_start for window in again] == [row[0] for row in clean][: len(again)]
    after = stream(3, 4000, 60_000, start=5 * 10**8)
    bad = insert(after, [0], [int(after.t[0]) + far])
    found, cutter = windows_of(cut(join(events, bad), size))
    assert found == windows_of(cut(join(events, after), size))[0]
    assert cutter.statistics.left_out == {'stray_time': 1}
    assert cutter.statistics.resets == {'start': 1, 'time_jump_back': 1}


@pytest.mark.parametrize('period', [2_000, 5_000, 10_000, 33_000, 45_000])
@pytest.mark.parametrize('stamp', [0, -1])
def test_messages_that_change_places_are_used(period, stamp):
    events = stream(1, 60_000, 200 / period * 1e6)
    number = (events.t - events.t[0]) // period
    sent = []
    for each in range(int(number[-1]) + 1):
        chunk = take(events, number == each).chunk(width=0, height=0)
        sent.append(replace(chunk, stamp_ns=1000 * int(chunk.t[stamp])))
    for each in range(5, len(sent) - 5, 20):
        sent[each], sent[each + 1] = sent[each + 1], sent[each]
    _, cutter = windows_of(sent)
    assert cutter.statistics.events == 60_000
    assert not cutter.statistics.left_out
    assert cutter.statistics.resets == {'start': 1}
    wrong = replace(sent[50], t=sent[50].t - 70_000, stamp_ns=sent[50].stamp_ns + 7)
    _, cutter = windows_of([*sent[:51], wrong, *sent[51:]])  # no late message by its stamp
    assert cutter.statistics.left_out == {'stray_time': len(wrong)}


@pytest.mark.parametrize('size', [2, 5, 10, 40, 200])
@pytest.mark.parametrize('far', [-5_000_000, -99_000, -30_000])
def test_a_stray_that_begins_a_stream_of_any_messages_costs_no_others(size, far):
    events = stream(1, 4000, 60_000)
    found = list(in_order(live(insert(events, [0], [int(events.t[0]) + far]), size)))
    assert sum(map(len, found)) >= 4000
    assert not any(chunk.discontinuity for chunk in found)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 5_000_000), min_size=1, max_size=12), st.integers(1, 12))
def test_nothing_of_a_few_events_in_order_is_left_out(distances, size):
    t = 10**9 + np.cumsum(distances)
    number = np.arange(len(t))
    events = DecodedEvents(
        number.astype(np.uint16), number.astype(np.uint16), (number & 1).astype(np.uint8), t
    )
    for cut in (messages, blocks):
        assert sum(map(len, in_order(cut(events, size)))) == len(t)


def test_bursts_with_silences_between_them_are_a_stream():
    bursts = [stream(seed, 5, 10_000, start=200_000 * seed) for seed in range(1, 30)]
    dense = stream(30, 1000, 100_000, start=30 * 200_000)
    chunks = [burst.chunk(width=0, height=0) for burst in (dense, *bursts)]
    for chunk in chunks[1:]:
        chunk.t[:] += 31 * 200_000
    _, cutter = windows_of(chunks)
    assert cutter.statistics.events == 1000 + 29 * 5
    assert not cutter.statistics.left_out
    assert cutter.statistics.resets == {'start': 1}


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 99), st.integers(1, 2000))
def test_what_was_placed_once_is_placed_again(seed, size):
    events = stream(seed, 4000, 60_000)
    generator = np.random.default_rng(seed)
    events.t[generator.integers(0, 4000, 20)] += generator.integers(-(10**7), 10**7, 20)
    events.t[3000:] -= 10**8
    once = list(in_order(messages(events, size)))
    again = list(in_order(once))
    assert [(c.t.tolist(), c.left_out, c.discontinuity) for c in again] == [
        (c.t.tolist(), c.left_out, c.discontinuity) for c in once
    ]


def test_counts_of_chunks_that_turn_out_to_be_strays_are_kept():
    placed = StreamOrder()
    zeros = np.zeros(1, int)
    chunks = [*messages(stream(0, 500, 60_000), 100)]
    chunks.insert(
        4, EventChunk(zeros, zeros, zeros, zeros, lost_packets=3, left_out={'invalid': 2})
    )
    found = [part for chunk in chunks for part in placed.feed(chunk)]
    assert sum(map(len, found)) == 500
    assert sum(chunk.lost_packets for chunk in found) == 3
    assert {reason: n for chunk in found for reason, n in chunk.left_out.items()} == {
        'invalid': 2,
        'stray_time': 1,
    }


@pytest.mark.parametrize('empty', [1, 2])
def test_a_restart_comes_with_the_first_events_of_the_new_stream(empty):
    """A driver restarts with packets without events."""
    first = messages(stream(0, 500, 60_000), 100)
    none = first[0][:0]
    restarts = [replace(none, discontinuity=True), replace(none, lost_packets=2), none]
    chunks = list(in_order([*first, *restarts[:empty], *first]))
    restarted = [bool(len(chunk)) for chunk in chunks if chunk.discontinuity]
    assert restarted == [True]
    assert sum(map(len, chunks)) == 1000
    assert sum(chunk.lost_packets for chunk in chunks) == 2 * (empty - 1)


def test_frames_written_row_by_row_are_sorted():
    """An event file of a frame-based tool: the events of 33 ms in the order of the rows."""
    events = stream(7, 60_000, 500_000)
    row = np.random.default_rng(7).integers(0, 240, 60_000)
    frame = (events.t - events.t[0]) // 33_000
    mixed = take(events, np.lexsort((row, frame)))
    clean, _ = windows_of(blocks(events, 1 << 14))
    found, cutter = windows_of(blocks(mixed, 1 << 14))
    assert found == clean
    assert cutter.statistics.reordered > 10_000
    assert cutter.statistics.resets == {'start': 1}


@pytest.mark.parametrize('size', [700, 1 << 13])
def test_a_file_in_no_order_is_sorted_or_refused(monkeypatch, size):
    events = stream(8, 30_000, 100_000)
    mixed = take(events, np.random.default_rng(8).permutation(30_000))
    clean, _ = windows_of(blocks(events, size))
    found, _ = windows_of(blocks(mixed, size))
    assert found == clean
    monkeypatch.setattr(order, 'MAX_SORTED_EVENTS', 20_000)
    with pytest.raises(EventFormatError, match=r'some\.dat.*20000.*sort'):
        blocks(mixed, size)


@pytest.mark.parametrize('displacement', [-4_200_000, 4_200_000])
@pytest.mark.parametrize('size', [1, 20, 100])
def test_a_stray_in_a_quiet_part_of_a_file_is_left_out(monkeypatch, displacement, size):
    """Few events in a block do not show that the file is in no order."""
    monkeypatch.setattr(order, 'MAX_SORTED_EVENTS', 20_000)
    quiet = stream(9, 200, 50)
    busy = stream(10, 30_000, 60_000, start=int(quiet.t[-1]))
    quiet.t[50] += displacement
    parts = [take(quiet, slice(low, low + size)) for low in range(0, 200, size)]
    parts += [take(busy, slice(low, low + 5000)) for low in range(0, 30_000, 5000)]
    chunks = list(in_order(sort_blocks(parts, 0, 0, 'some.raw')))
    assert sum(map(len, chunks)) == 30_199
    assert sum(chunk.left_out.get('stray_time', 0) for chunk in chunks) == 1
    assert not any(chunk.discontinuity for chunk in chunks)


@pytest.mark.parametrize('count', [60, 3000])
def test_events_in_no_order_before_damage_are_kept(count):
    events = stream(8, count, 1000)
    mixed = take(events, np.random.default_rng(8).permutation(count))

    def damaged():
        yield take(mixed, slice(0, 40))
        yield take(mixed, slice(40, None))
        raise EventFormatError('damaged')

    found = []
    with pytest.raises(EventFormatError, match='damaged'):
        for chunk in in_order(sort_blocks(damaged(), 0, 0, 'some.raw')):
            found += chunk.t.tolist()
    assert found == events.t.tolist()
