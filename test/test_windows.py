# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Windows: cut by sensor time alone, whatever the packaging; restarts where the stream breaks."""

from __future__ import annotations

from allocation import peak_below
from facts import facts
from hypothesis import example, given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from sast_ros import windows
from sast_ros.bags.mcap_topic import StreamClock
from sast_ros.errors import SettingError
from sast_ros.events.chunk import EventChunk, EventFormatError
from sast_ros.events.filters import FilterChain
from sast_ros.windows import WindowCutter

MS = 1000


def chunk_at(times, **fields) -> EventChunk:
    times = np.asarray(times, np.int64)
    zeros = np.zeros(len(times), np.uint16)
    return EventChunk(zeros, zeros, zeros.astype(np.uint8), times, **fields)


def times_of(window) -> list[int]:
    return [int(t) for part in window.parts for t in part.t]


def cut_all(cutter, chunks):
    return [window for chunk in chunks for window in cutter.cut(chunk)]


@pytest.mark.parametrize('name', ['duration_us', 'stride_us', 'max_gap_us'])
@pytest.mark.parametrize('value', [0, -1, float('nan'), float('inf')])
def test_impossible_times_are_refused(name, value):
    with pytest.raises(SettingError, match=facts(name, value)):
        WindowCutter(**{'duration_us': 1, 'stride_us': 1, name: value})


@pytest.mark.parametrize('name', ['window_ms', 'stride_ms', 'max_gap_ms'])
@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_times_that_are_no_numbers_are_refused(name, value):
    with pytest.raises(SettingError, match=facts(name, value)):
        windows.microseconds(**{'window_ms': 50, 'stride_ms': 50, 'max_gap_ms': 50, name: value})


@pytest.mark.parametrize('name', ['align', 'timestamp_source'])
def test_an_unknown_choice_is_refused_whenever_it_is_made(name):
    with pytest.raises(SettingError, match=facts(name, 'start')):
        WindowCutter(MS, MS, **{name: 'start'})
    cutter = WindowCutter(MS, MS)
    before = getattr(cutter, name)
    with pytest.raises(SettingError, match=facts(name, 'start')):
        setattr(cutter, name, 'start')
    assert getattr(cutter, name) == before


def test_first_window_starts_at_the_first_event_and_both_borders_belong_to_it():
    cutter = WindowCutter(50 * MS, 50 * MS)
    times = [7, 50_007, 50_008, 100_007, 100_008]
    first, second = cut_all(cutter, [chunk_at(times)])
    assert (first.t_start, first.t_end, times_of(first)) == (7, 50_007, [7, 50_007])
    assert (second.t_start, second.t_end, times_of(second)) == (
        50_007,
        100_007,
        [50_007, 50_008, 100_007],
    )
    assert first.reset == 'start'
    assert second.reset is None


def test_window_is_not_complete_before_an_event_later_than_its_end():
    cutter = WindowCutter(50 * MS, 50 * MS)
    assert cut_all(cutter, [chunk_at([0, 50_000]), chunk_at([50_000])]) == []
    (window,) = cut_all(cutter, [chunk_at([50_001])])
    assert times_of(window) == [0, 50_000, 50_000]


def test_stride_longer_than_the_window_skips_events_and_keeps_none_of_them():
    cutter = WindowCutter(50 * MS, 125 * MS)
    found = cut_all(cutter, [chunk_at([t]) for t in range(0, 400_000, 10_000)])
    assert [(w.t_start, w.t_end) for w in found] == [
        (0, 50_000),
        (125_000, 175_000),
        (250_000, 300_000),
    ]
    assert times_of(found[1]) == [130_000, 140_000, 150_000, 160_000, 170_000]
    cutter.restart('service')
    # 380 and 390 ms, inside the window that starts at 375 ms
    assert cutter.statistics.unused_events == 2


def test_stride_shorter_than_the_window_gives_events_to_several_windows():
    cutter = WindowCutter(50 * MS, 25 * MS)
    found = cut_all(cutter, [chunk_at(range(0, 101_000, 5000))])
    assert [w.t_end for w in found] == [50_000, 75_000]
    assert times_of(found[1])[0] == 25_000


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(0, 30_000), min_size=2, max_size=200),
    st.lists(st.integers(0, 200), max_size=20),
    st.sampled_from([(50, 50), (50, 125), (50, 20), (10, 10)]),
)
@example([0] * 12 + [4001, 0, 0, 0, 10_001], [2], (10, 10))  # the last may be a stray: it waits
def test_windows_do_not_depend_on_how_events_were_packed(steps, borders, timing):
    times = np.cumsum(steps)
    duration, stride = timing
    edges = [0, *sorted(min(b, len(times)) for b in borders), len(times)]
    whole, packed = (
        cut_all(cutter, chunks) + list(cutter.finish())
        for cutter, chunks in (
            (WindowCutter(duration * MS, stride * MS), [chunk_at(times)]),
            (
                WindowCutter(duration * MS, stride * MS),
                [chunk_at(times[a:b]) for a, b in zip(edges, edges[1:])],
            ),
        )
    )
    described = [
        [(w.t_start, w.t_end, times_of(w), w.reset) for w in found] for found in (whole, packed)
    ]
    assert described[0] == described[1]
    for window in whole:
        assert times_of(window) == [t for t in times if window.t_start <= t <= window.t_end]


TIMINGS = [(50, 10), (20, 10), (20, 15), (50, 50), (20, 20), (20, 50), (10, 125)]


@pytest.mark.parametrize('align', ['first_event', 'epoch'])
@pytest.mark.parametrize('after', TIMINGS)
@pytest.mark.parametrize('before', TIMINGS)
def test_time_goes_on_whatever_the_timing_is_changed_to(before, after, align):
    times = np.arange(0, 600 * MS, MS)
    chunks = [
        chunk_at(part, clock='ros', stamp_ns=1000 * int(part[0])) for part in np.split(times, 100)
    ]
    cutter = WindowCutter(*(MS * time for time in before), align=align)
    found = cut_all(cutter, chunks[:50])
    cutter.set_timing(*(MS * time for time in after), 1000 * MS)
    found += cut_all(cutter, chunks[50:])
    ends = np.array([window.t_end for window in found])
    assert (np.diff(ends) > 0).all()
    assert [window.stamp_ns for window in found] == (1000 * ends).tolist()
    for window in found:
        assert times_of(window) == [t for t in times if window.t_start <= t <= window.t_end]
    in_windows = np.unique(np.concatenate([times_of(window) for window in found]))
    if all(stride <= duration for duration, stride in (before, after)):
        np.testing.assert_array_equal(in_windows, times[times <= ends[-1]])
    if all(stride >= duration for duration, stride in (before, after)) and align == 'first_event':
        assert all(a.t_end <= b.t_start for a, b in zip(found, found[1:]))
    assert cutter.statistics.events == len(times)
    assert cutter.statistics.clamped == cutter.statistics.unused_events == 0


def test_a_shorter_window_repeats_no_stamp_of_a_sensor_clock():
    cutter = WindowCutter(50 * MS, 10 * MS)
    chunks = [
        chunk_at(range(t, t + 5 * MS, MS), stamp_ns=1000 * t) for t in range(0, 400 * MS, 5 * MS)
    ]
    stamps = [window.stamp_ns for window in cut_all(cutter, chunks[:40])]
    cutter.set_timing(20 * MS, 10 * MS, 1000 * MS)
    stamps += [window.stamp_ns for window in cut_all(cutter, chunks[40:])]
    assert set(np.diff(stamps)) == {10 * MS * 1000}


def test_quiet_time_gives_empty_windows():
    cutter = WindowCutter(50 * MS, 50 * MS, max_gap_us=1000 * MS)
    found = cut_all(cutter, [chunk_at([0]), chunk_at([260_000])])
    assert [len(w) for w in found] == [1, 0, 0, 0, 0]
    assert [w.reset for w in found] == ['start', None, None, None, None]


class TestAlignedToTheEpoch:
    """Borders are multiples of the stride in the time on which all listeners agree."""

    def cutter(self, duration=50, stride=50, **options) -> WindowCutter:
        return WindowCutter(duration * MS, stride * MS, align='epoch', **options)

    @settings(max_examples=100, deadline=None, derandomize=True)
    @given(
        st.lists(st.integers(0, 30_000), min_size=2, max_size=200),
        st.integers(0, 199),
        st.integers(-(2**60), 2**60),
        st.integers(-(2**40), 2**40),
        st.sampled_from([(50, 50), (50, 125), (50, 20), (10, 10)]),
    )
    def test_who_joins_late_has_the_same_windows(self, steps, joined, zero, other_zero, timing):
        times = np.cumsum(steps) - zero % 10**12
        first = self.cutter(*timing, max_gap_us=10**9)
        whole = cut_all(first, [chunk_at(times, epoch_us=zero)])
        joined = min(joined, len(times) - 1)
        rest = times[joined:] - other_zero
        late = self.cutter(*timing, max_gap_us=10**9)
        found = cut_all(late, [chunk_at(rest, epoch_us=zero + other_zero)])
        stride = timing[1] * MS
        assert all((window.t_start + zero) % stride == 0 for window in whole)
        expected = [window for window in whole if window.t_start >= rest[0] + other_zero]
        assert [(w.t_start + other_zero, times_of(w)) for w in found] == [
            (w.t_start, [t - other_zero for t in times_of(w)]) for w in expected
        ]

    def test_events_before_the_first_window_are_counted(self):
        cutter = self.cutter()
        chunks = [
            chunk_at([30_000, 40_000]),
            chunk_at([39_000, 45_000, 50_000]),
            chunk_at([100_001]),
        ]
        (window,) = cut_all(cutter, chunks)
        assert (window.t_start, times_of(window)) == (50_000, [50_000])
        assert cutter.statistics.unused_events == 4

    def test_cameras_in_ros_time_share_stamps(self):
        stamps = []
        for begin in (1_700_000_000_012_345, 1_700_000_000_043_210):
            chunk = chunk_at(range(begin, begin + 300_000, 1000), clock='ros', stamp_ns=5)
            stamps.append({window.stamp_ns for window in self.cutter().cut(chunk)})
        assert len(stamps[0] & stamps[1]) >= 4
        assert stamps[1] <= stamps[0] or stamps[0] <= stamps[1]

    def test_a_new_stream_is_aligned_too(self):
        cutter = self.cutter(max_gap_us=500 * MS)
        found = cut_all(cutter, [chunk_at([0, 60_000, 70_000]), chunk_at([610_000, 710_000])])
        assert [(w.t_start, w.reset) for w in found] == [
            (0, 'start'),
            (50_000, None),
            (650_000, 'gap'),
        ]

    def test_alignment_and_stride_can_change_without_a_reset(self):
        cutter = WindowCutter(50 * MS, 50 * MS)
        chunks = [chunk_at([t]) for t in range(7_000, 700_000, 10_000)]
        starts = [w.t_start for w in cut_all(cutter, chunks[:20])]
        cutter.align = 'epoch'
        starts += [w.t_start for w in cut_all(cutter, chunks[20:40])]
        cutter.set_timing(50 * MS, 80 * MS, 1000 * MS)
        starts += [w.t_start for w in cut_all(cutter, chunks[40:])]
        assert starts[:3] == [7_000, 57_000, 107_000]
        assert starts[4:8] == [200_000, 250_000, 300_000, 350_000]
        assert starts[8:] == [400_000, 480_000, 560_000, 640_000]
        assert cutter.statistics.resets == {'start': 1}

    def test_a_recording_has_the_windows_of_its_messages(self):
        clock = StreamClock('sensor', 12_345)
        chunk = chunk_at(range(0, 300_000, 1000), epoch_us=1 << 24)
        live, recorded = (cut_all(self.cutter(), [c]) for c in (chunk, clock.apply(chunk)))
        assert [w.t_start + 12_345 for w in live] == [w.t_start for w in recorded]


@pytest.mark.parametrize('packing', ['one chunk', 'two chunks'])
def test_long_silence_completes_what_was_begun_and_restarts(packing):
    cutter = WindowCutter(50 * MS, 50 * MS, max_gap_us=500 * MS)
    before, after = [0, 60_000, 70_000], [600_000, 640_000, 660_000]
    chunks = (
        [chunk_at(before + after)]
        if packing == 'one chunk'
        else [chunk_at(before), chunk_at(after)]
    )
    found = cut_all(cutter, chunks)
    assert [(w.t_start, w.t_end, w.reset) for w in found] == [
        (0, 50_000, 'start'),
        (50_000, 100_000, None),
        (600_000, 650_000, 'gap'),
    ]
    assert cutter.statistics.resets == {'start': 1, 'gap': 1}
    assert cutter.statistics.unused_events == 0


def test_late_events_are_sorted_into_their_window():
    cutter = WindowCutter(50 * MS, 50 * MS)
    found = cut_all(cutter, [chunk_at([0, 1000]), chunk_at([989, 995, 1001]), chunk_at([60_000])])
    assert times_of(found[0]) == [0, 989, 995, 1000, 1001]
    assert cutter.statistics.clamped == 0
    assert cutter.statistics.resets == {'start': 1}


def test_events_too_late_for_their_window_count_in_the_next_one():
    cutter = WindowCutter(50 * MS, 50 * MS)
    chunks = [
        chunk_at([0, 49_000, 50_500]),
        chunk_at([49_990, 50_400, 51_000]),
        chunk_at([101_000]),
    ]
    first, second = cut_all(cutter, chunks)
    assert times_of(first) == [0, 49_000]
    assert times_of(second) == [50_000, 50_400, 50_500, 51_000]
    assert cutter.statistics.clamped == 1


@pytest.mark.parametrize(
    ('late', 'clamped', 'in_next'),
    [
        ([11_000, 10_000, 9_000, 12_000], 2, []),  # the next window has not begun
        ([11_000, 10_500, 12_000], 0, []),
        ([11_000, 19_000, 20_400, 19_500, 20_200], 0, [20_200, 20_400]),
        ([11_000, 19_000, 20_400, 9_500, 12_000, 20_200], 1, [20_000, 20_200, 20_400]),
    ],
)
def test_events_late_between_two_windows_are_in_none_and_late_for_one_are_counted(
    late, clamped, in_next
):
    cutter = WindowCutter(10 * MS, 20 * MS)
    chunks = [chunk_at([t], ordered=True) for t in [0, *late, 30_001]]
    window, *others = cut_all(cutter, chunks)
    assert times_of(window) == [0]
    assert [times_of(other) for other in others] == [in_next]
    assert cutter.statistics.clamped == clamped
    assert cutter.statistics.events == len(late) + 2


@pytest.mark.parametrize(('stride', 'clamped'), [(50, 8), (125, 9)])  # 50 ms is in the next, too
def test_late_events_are_counted_whatever_the_stride(stride, clamped):
    cutter = WindowCutter(50 * MS, stride * MS)
    cut_all(cutter, [chunk_at(range(0, 55 * MS, 500)), chunk_at(range(46 * MS, 57 * MS, 500))])
    assert cutter.statistics.clamped == clamped


def test_late_events_of_windows_that_a_silence_skipped_count_in_the_next_one(monkeypatch):
    monkeypatch.setattr(windows, 'MAX_EMPTY_WINDOWS', 2)
    cutter = WindowCutter(10 * MS, 10 * MS, HOUR_US)
    chunks = [chunk_at([t], ordered=True) for t in (0, 205_000, 150_000, 206_000, 211_000)]
    found = cut_all(cutter, chunks)
    assert cutter.statistics.skipped_windows > 0 and found[-1].t_start == 200_000
    assert times_of(found[-1]) == [200_000, 205_000, 206_000]
    assert cutter.statistics.clamped == 1


@pytest.mark.parametrize('fields', [{}, {'discontinuity': True}])
def test_jump_back_restarts(fields):
    cutter = WindowCutter(50 * MS, 50 * MS)
    cut_all(cutter, [chunk_at([1_000_000, 1_020_000, 1_060_000, 1_070_000])])
    found = cut_all(cutter, [chunk_at([500_000, 560_000], **fields)])
    assert [(w.t_start, w.reset) for w in found] == [(500_000, 'time_jump_back')]
    assert cutter.statistics.unused_events == 2


def test_other_sensor_size_restarts():
    cutter = WindowCutter(50 * MS, 50 * MS)
    cut_all(cutter, [chunk_at([0, 10], width=640, height=480)])
    (window,) = cut_all(cutter, [chunk_at([20, 60_000], width=346, height=260)])
    assert (window.t_start, window.width, window.height, window.reset) == (
        20,
        346,
        260,
        'sensor_size',
    )
    assert cutter.statistics.unused_events == 2


@pytest.mark.parametrize(('default', 'resets'), [((480, 640), 0), ((240, 304), 1)])
def test_a_size_that_comes_later_than_the_first_events_restarts_if_it_is_another(default, resets):
    cutter = WindowCutter(50 * MS, 50 * MS, sensor_size=default)
    windows = cut_all(
        cutter, [chunk_at([0, 60_000]), chunk_at([70_000, 160_000], width=640, height=480)]
    )
    assert (windows[0].height, windows[0].width) == default
    assert (windows[-1].height, windows[-1].width) == (480, 640)
    assert cutter.statistics.resets['sensor_size'] == resets


def test_each_reset_is_reported_once_with_its_reason():
    reasons = []
    cutter = WindowCutter(50 * MS, 50 * MS, max_gap_us=500 * MS, on_reset=reasons.append)
    for times in ([0, 60_000], [900_000, 1_000_000], [100_000, 200_000, 300_000]):
        cut_all(cutter, [chunk_at(times)])
    cutter.restart('service')
    cut_all(cutter, [chunk_at([400_000, 500_000])])
    assert reasons == ['start', 'gap', 'time_jump_back', 'service']
    assert cutter.statistics.resets == dict.fromkeys(reasons, 1)


def test_restart_on_request_carries_its_reason():
    cutter = WindowCutter(50 * MS, 50 * MS)
    cut_all(cutter, [chunk_at([0, 60_000])])
    cutter.restart('service')
    (window,) = cut_all(cutter, [chunk_at([70_000, 130_000])])
    assert (window.t_start, window.reset) == (70_000, 'service')


def test_memory_is_bounded_when_time_stands_still(monkeypatch):
    monkeypatch.setattr(windows, 'MAX_PENDING_EVENTS', 1000)
    cutter = WindowCutter(50 * MS, 50 * MS)
    cut_all(cutter, [chunk_at([5] * 300) for _ in range(10)])
    cutter.restart('service')
    assert cutter.statistics.unused_events == 900
    assert cutter.statistics.dropped_events == 7 * 300


def begin_anew(count: int) -> list[EventChunk]:
    """Messages whose times count from the beginning of each, as some drivers write them."""
    return [chunk_at([number % 7, *range(10, 310)], stamp_ns=1) for number in range(count)]


def test_memory_is_bounded_when_time_begins_anew_with_every_message(monkeypatch):
    cutter = WindowCutter(50 * MS, 50 * MS)
    with peak_below(20_000_000):  # 300 times 301 events of 13 bytes are 1.2 MB
        assert cut_all(cutter, begin_anew(300)) == []
    cutter.restart('service')
    assert cutter.statistics.unused_events == 300 * 301
    monkeypatch.setattr(windows, 'MAX_PENDING_EVENTS', 1000)
    cutter = WindowCutter(50 * MS, 50 * MS)
    cut_all(cutter, begin_anew(100))
    cutter.restart('service')
    unused, left_out = cutter.statistics.unused_events, cutter.statistics.left_out['memory_limit']
    assert unused <= 1000
    assert unused + left_out == 100 * 301


def test_a_window_holds_late_events_in_the_order_of_time():
    cutter = WindowCutter(50 * MS, 50 * MS)
    (window,) = cut_all(cutter, [*begin_anew(20), chunk_at(range(300, 60 * MS, MS), stamp_ns=2)])
    times = times_of(window)
    assert times == sorted(times)
    assert len(times) == 20 * 301 + 50


def test_a_chunk_of_more_events_than_are_kept_loses_none(monkeypatch):
    times = [100 * k for k in range(5000)]
    expected = cut_all(WindowCutter(50 * MS, 50 * MS), [chunk_at(times)])
    monkeypatch.setattr(windows, 'MAX_PENDING_EVENTS', 1200)
    cutter = WindowCutter(50 * MS, 50 * MS)
    found = cut_all(cutter, [chunk_at(times, left_out={'invalid': 3})])
    assert [len(window) for window in found] == [len(window) for window in expected]
    assert cutter.statistics.left_out == {'invalid': 3}
    assert cutter.statistics.events == 5000


def test_counts_of_decoders_are_added_up():
    cutter = WindowCutter(50 * MS, 50 * MS)
    cut_all(
        cutter,
        [
            chunk_at([0], reordered=2, left_out={'invalid': 3}, lost_packets=1),
            chunk_at([], left_out={'invalid': 1, 'unsynchronised': 1}, lost_packets=4),
        ],
    )
    statistics = cutter.statistics
    assert (
        statistics.events,
        statistics.reordered,
        statistics.left_out,
        statistics.dropped_events,
        statistics.lost_packets,
    ) == (1, 2, {'invalid': 4, 'unsynchronised': 1}, 5, 5)


class TestRosTime:
    """Stamps of windows, by the clock that the events are on."""

    def test_ros_clock_is_the_stamp(self):
        cutter = WindowCutter(50 * MS, 50 * MS)
        (window,) = cut_all(
            cutter,
            [chunk_at([1_700_000_000_000_000, 1_700_000_000_060_000], clock='ros', stamp_ns=5)],
        )
        assert window.stamp_ns == 1_700_000_000_050_000_000

    def test_sensor_clock_is_mapped_by_the_smallest_delay(self):
        cutter = WindowCutter(50 * MS, 50 * MS)
        offset = 1_700_000_000_000_000_000
        delays = [4_000_000, 1_000_000, 9_000_000, 3_000_000]
        chunks = [
            chunk_at([20_000 * i], stamp_ns=offset + 20_000_000 * i + d)
            for i, d in enumerate(delays)
        ]
        (window,) = cut_all(cutter, chunks)
        assert window.stamp_ns == offset + 50_000_000 + 1_000_000

    def test_stamps_never_step_back_by_jitter(self):
        cutter = WindowCutter(10 * MS, 10 * MS)
        chunks = [
            chunk_at([5000 * i], stamp_ns=5_000_000 * i + (50_000_000 - 1_000_000 * i))
            for i in range(40)
        ]
        stamps = [w.stamp_ns for w in cut_all(cutter, chunks)]
        assert stamps == sorted(stamps)

    def test_without_ros_time_the_stamp_is_the_time_of_the_events(self):
        (window,) = cut_all(WindowCutter(10, 10), [chunk_at([0, 11])])
        assert window.stamp_ns == 10_000

    def test_without_ros_time_a_node_stamps_with_its_clock(self):
        cutter = WindowCutter(10, 10, now_ns=lambda: 77)
        (window,) = cut_all(cutter, [chunk_at([0, 11])])
        assert window.stamp_ns == 77

    def test_a_stamp_of_zero_is_none(self):
        cutter = WindowCutter(10 * MS, 10 * MS, now_ns=lambda: 77)
        chunks = [chunk_at([5 * MS * i], stamp_ns=0) for i in range(1, 9)]
        assert {window.stamp_ns for window in cut_all(cutter, chunks)} == {77}

    def test_the_source_of_the_stamp_can_change_between_two_windows(self):
        cutter = WindowCutter(10, 10, now_ns=lambda: 77)
        chunks = [chunk_at([20 * i, 20 * i + 11], stamp_ns=1000 + i) for i in range(3)]
        stamps = []
        for source, chunk in zip(('header', 'receive', 'auto'), chunks):
            cutter.timestamp_source = source
            stamps.append([window.stamp_ns for window in cutter.cut(chunk)][-1])
        assert stamps[:2] == [1000, 77]
        assert stamps[2] not in (77, 1002)


class TestFilter:
    """Filters decide which events are in a window, not which windows there are."""

    def chunk(self, times, columns, **fields) -> EventChunk:
        zeros = np.zeros(len(times), np.uint8)
        return EventChunk(columns, zeros, zeros, times, width=8, height=1, **fields)

    def described(self, found):
        return [(w.t_start, w.t_end, w.reset) for w in found]

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(
        st.lists(st.tuples(st.integers(0, 400_000), st.integers(0, 7)), min_size=2, max_size=100),
        st.lists(st.integers(0, 100), max_size=10),
        st.sampled_from([(50, 50), (50, 125), (50, 20)]),
    )
    def test_windows_are_those_without_it_whatever_the_packing(self, events, borders, timing):
        times, columns = np.array(events).T
        chunk = self.chunk(times.cumsum(), columns)
        edges = [0, *sorted(min(b, len(chunk)) for b in borders), len(chunk)]
        timing = [MS * time for time in timing]
        plain = cut_all(WindowCutter(*timing), [chunk])
        texts = ['background-activity=300ms', 'roi=0,0,7,1']
        whole, packed = (WindowCutter(*timing, event_filter=FilterChain(texts)) for _ in range(2))
        found = cut_all(whole, [chunk])
        again = cut_all(packed, [chunk[a:b] for a, b in zip(edges, edges[1:])])
        assert self.described(found) == self.described(again) == self.described(plain)
        assert [times_of(w) for w in found] == [times_of(w) for w in again]
        assert whole.statistics.left_out == packed.statistics.left_out
        for window in found:
            assert all(x < 7 for part in window.parts for x in part.x)

    def test_removed_events_are_counted_as_left_out(self):
        cutter = WindowCutter(50 * MS, 50 * MS, event_filter=FilterChain(['roi=0,0,4,1']))
        chunk = self.chunk([0, 1, 60_000], [3, 4, 5], left_out={'invalid': 2})
        (window,) = cut_all(cutter, [chunk])
        assert times_of(window) == [0]
        assert cutter.statistics.left_out == {'invalid': 2, 'region_of_interest': 2}
        assert (cutter.statistics.events, cutter.statistics.dropped_events) == (3, 4)

    def test_a_change_holds_for_the_next_events_and_goes_on_counting(self):
        cutter = WindowCutter(50 * MS, 50 * MS, event_filter=FilterChain(['roi=0,0,4,1']))
        cut_all(cutter, [self.chunk([0, 1], [7, 1])])
        cutter.set_filter(FilterChain(['roi=4,0,4,1', 'flip=horizontal']))
        (window,) = cut_all(cutter, [self.chunk([2, 3, 60_000], [7, 1, 1])])
        assert [(int(x), int(t)) for p in window.parts for x, t in zip(p.x, p.t)] == [
            (1, 1),
            (0, 2),
        ]
        assert cutter.statistics.left_out == {'region_of_interest': 3}
        assert window.reset == 'start'

    def test_late_events_are_filtered_too(self):
        cutter = WindowCutter(50 * MS, 50 * MS, event_filter=FilterChain(['roi=0,0,4,1']))
        chunks = [self.chunk([0, 1000], [1, 1]), self.chunk([900, 950, 60_000], [2, 6, 1])]
        (window,) = cut_all(cutter, chunks)
        assert times_of(window) == [0, 900, 1000]
        assert cutter.statistics.left_out == {'region_of_interest': 1}

    @pytest.mark.parametrize(('restarts', 'removed'), [(0, 1), (1, 2)])
    def test_it_forgets_when_the_stream_restarts(self, restarts, removed):
        chain = FilterChain(['background-activity=1s'])
        cutter = WindowCutter(50 * MS, 50 * MS, event_filter=chain)
        cut_all(cutter, [self.chunk([0, 10], [1, 1])])
        for _ in range(restarts):
            cutter.restart('service')
        cut_all(cutter, [self.chunk([20], [1])])
        assert cutter.statistics.left_out == {'background_activity': removed}

    def test_a_chain_may_be_given_to_several(self):
        chain = FilterChain(['background-activity=1s'])
        one, other = (WindowCutter(50 * MS, 50 * MS, event_filter=chain) for _ in range(2))
        cut_all(one, [self.chunk([0, 10], [1, 1])])
        other.set_filter(chain)
        cut_all(other, [self.chunk([0, 20], [6, 6])])
        cut_all(one, [self.chunk([30], [1])])
        found = one.statistics.left_out, other.statistics.left_out
        assert found == ({'background_activity': 1}, {'background_activity': 1})
        assert one.event_filter.texts == chain.texts and not chain.removed

    def test_one_that_does_not_fit_the_sensor_is_an_error_for_every_chunk(self):
        cutter = WindowCutter(50 * MS, 50 * MS, event_filter=FilterChain(['roi=0,0,9,1']))
        chunk = self.chunk([0, 60_000], [1, 1])
        for _ in range(2):
            with pytest.raises(EventFormatError, match=facts('roi=0,0,9,1', '8x1')):
                cutter.cut(chunk)
        cutter.set_filter(FilterChain(['roi=0,0,8,1']))
        assert len(cut_all(cutter, [chunk])) == 1


HOUR_US = 3_600_000_000


def test_a_long_silence_is_no_thousands_of_windows_and_keeps_the_grid():
    """A silence shorter than ``max_gap_us``, which an operator may set to an hour."""
    silence = 50 * 60 * 1_000_000
    before = np.arange(0, 200 * MS, MS)
    after = silence + 13 + np.arange(0, 200 * MS, MS)
    cutter = WindowCutter(50 * MS, 50 * MS, HOUR_US)
    found = cut_all(cutter, [chunk_at(before), chunk_at(after)])
    assert len(found) < windows.MAX_EMPTY_WINDOWS + 10
    assert sum(not len(window) for window in found) == windows.MAX_EMPTY_WINDOWS
    assert all(window.t_start % (50 * MS) == 0 for window in found)  # the grid of before
    assert [window.reset for window in found] == ['start'] + [None] * (len(found) - 1)
    all_windows = (found[-1].t_end - found[0].t_start) // (50 * MS)
    assert cutter.statistics.skipped_windows == all_windows - len(found)
    # Nothing but empty windows is skipped
    in_windows = {t for window in found for t in times_of(window)}
    assert in_windows == {int(t) for t in [*before, *after] if t <= found[-1].t_end}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 900_000), min_size=2, max_size=80),
    st.sampled_from([(50 * MS, 50 * MS), (50 * MS, 10 * MS), (20 * MS, 50 * MS)]),
    st.integers(1, 80),
)
def test_a_silence_is_cut_short_at_the_same_windows_whatever_the_messages(steps, timing, cut_at):
    times = np.cumsum(steps)

    def cut(chunks):
        cutter = WindowCutter(*timing, HOUR_US)
        made = [(w.t_start, times_of(w)) for w in cut_all(cutter, chunks)]
        return made, cutter.statistics.skipped_windows

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, 'MAX_EMPTY_WINDOWS', 5)
        short, skipped = cut([chunk_at(times)])
        assert cut([chunk_at(times[:cut_at]), chunk_at(times[cut_at:])]) == (short, skipped)
    whole, none = cut([chunk_at(times)])
    assert none == 0 and len(whole) - len(short) == skipped
    left = iter(whole)
    assert all(window in left for window in short)  # in order
    assert [w for w in whole if w[1]] == [w for w in short if w[1]]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 3_000_000), min_size=1, max_size=300),
    st.integers(1, 40),
    st.sampled_from([1_000_000, HOUR_US]),
)
def test_a_message_completes_no_more_windows_than_it_may(steps, most, max_gap_us):
    duration, stride = 50 * MS, 50 * MS
    cutter = WindowCutter(duration, stride, max_gap_us)
    cut_all(cutter, [chunk_at(np.arange(0, 120 * MS, MS))])  # two windows, and 20 ms
    times = 120 * MS + np.cumsum(steps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, 'MAX_EMPTY_WINDOWS', 5)
        found = list(cutter.cut(chunk_at(times, ordered=True, lost_packets=3), most))
    # Those of the message, the one that was begun, and those of the silence before it
    assert len(found) <= most + 1 + 1 + 5
    statistics = cutter.statistics
    left_out = statistics.left_out[windows.LONG_MESSAGE]
    assert statistics.events == 120 + len(times)  # none goes unseen
    assert statistics.lost_packets == 3
    if times[-1] - times[0] <= most * stride:
        assert left_out == 0


def test_one_message_over_hours_is_cut_to_its_last_seconds_and_the_stream_goes_on():
    cutter = WindowCutter(50 * MS, 50 * MS)
    cut_all(cutter, [chunk_at(np.arange(0, 100 * MS, MS))])
    wrong = 100 * MS + np.arange(10_000) * 990 * MS
    found = list(cutter.cut(chunk_at(wrong), 1000))
    assert 0 < len(found) <= 1001
    assert found[-1].t_end > wrong[-1] - 20_000 * MS  # the others may be strays yet
    assert [window.reset for window in found if window.reset] == ['gap']
    assert cutter.statistics.left_out[windows.LONG_MESSAGE] > 9000
    later = int(wrong[-1]) + np.arange(0, 500 * MS, MS)
    assert len(list(cutter.cut(chunk_at(later), 1000))) >= 9
    assert cutter.statistics.resets == {'start': 1, 'gap': 1}


@pytest.mark.parametrize('name', ['duration_us', 'stride_us', 'max_gap_us'])
def test_impossible_timing_is_refused(name):
    timing = {'duration_us': 1, 'stride_us': 1, 'max_gap_us': 1, name: 0}
    with pytest.raises(ValueError, match=facts(name, 0)):
        WindowCutter(**timing)
