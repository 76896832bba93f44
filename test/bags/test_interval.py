# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Parts of a recording, by time since its first event."""

from __future__ import annotations

from bags.recordings import EVENT_ARRAY, event_messages, EVENT_PACKET, TOPIC, write_rosbag2
from facts import facts
import numpy as np
import pytest
from sast_ros.bags import open_recording, RecordingError
from sast_ros.bags.interval import iter_interval
from sast_ros.events import EventChunk


def chunk(*times: int, **options: object) -> EventChunk:
    zeros = np.zeros(len(times), np.uint16)
    return EventChunk(zeros, zeros, zeros, np.array(times), **options)


def cut(chunks: list, start: float, end: float | None = None) -> list:
    return [part.t.tolist() for part in iter_interval(chunks, start, end, 'drive.mcap')]


STREAM = [
    chunk(500_000, 600_000, 700_000),
    chunk(700_000, 900_000),
    chunk(900_000, 1_500_000, 1_500_001),
]


@pytest.mark.parametrize(
    ('start', 'end', 'times'),
    [
        (0, None, [part.t.tolist() for part in STREAM]),
        (0.2, None, [[700_000], [700_000, 900_000], [900_000, 1_500_000, 1_500_001]]),
        (0, 0.4, [[500_000, 600_000, 700_000], [700_000]]),
        (0.1, 0.2, [[600_000]]),
        (1, None, [[1_500_000, 1_500_001]]),
        (0.5, 99, [[1_500_000, 1_500_001]]),
    ],
)
def test_time_counts_from_the_first_event_and_the_end_is_left_out(start, end, times):
    assert cut(STREAM, start, end) == times


def test_parts_that_follow_each_other_hold_every_event_once():
    whole = [t for part in cut(STREAM, 0) for t in part]
    borders = [0, 0.1, 0.2, 0.4, 1, None]
    parts = [cut(STREAM, start, end) for start, end in zip(borders, borders[1:])]
    assert [t for part in parts for piece in part for t in piece] == whole


@pytest.mark.parametrize(
    ('start', 'end', 'named'), [(1.1, None, ['1.000', 1.1]), (0.5, 0.9, [0.5, 0.9])]
)
def test_interval_without_events_is_an_error_that_says_why(start, end, named):
    with pytest.raises(RecordingError, match=facts('drive.mcap', *named)):
        cut(STREAM, start, end)


@pytest.mark.parametrize(
    ('start', 'end', 'named'),
    [
        (-1, None, [-1]),
        (2, 2, [2]),
        (2, 1, [2, 1]),
        (float('nan'), None, ['nan']),
        (0, float('nan'), ['nan']),
    ],
)
def test_impossible_interval_is_refused(start, end, named):
    with pytest.raises(ValueError, match=facts(*named)):
        cut(STREAM, start, end)


def test_time_goes_on_where_the_clock_jumps_back():
    again = {'discontinuity': True}
    looped = [chunk(0, 1_000_000), chunk(0, 1_000_000, **again), chunk(5, 900_000, **again)]
    assert cut(looped, 1.5) == [[1_000_000], [5, 900_000]]
    assert cut(looped, 0.5, 1.5) == [[1_000_000], [0]]


def test_late_event_counts_as_one_of_the_time_that_was_reached():
    late = [chunk(0, 1_000_000), chunk(999_990, 1_000_010)]
    assert cut(late, 1) == [[1_000_000], [999_990, 1_000_010]]
    assert cut(late, 0, 1) == [[0]]


def test_nothing_behind_the_end_is_read():
    def stream():
        yield STREAM[0]
        yield STREAM[1]
        raise AssertionError('read on')

    assert cut(stream(), 0, 0.4) == [[500_000, 600_000, 700_000], [700_000]]


def test_ros_stamp_moves_with_the_first_event_that_is_left():
    (part,) = iter_interval([chunk(0, 1000, 2000, stamp_ns=7_000_000)], 0.001, None, '')
    assert (part.t.tolist(), part.stamp_ns) == ([1000, 2000], 8_000_000)


def test_counts_go_with_the_first_events_of_a_chunk():
    counted = [chunk(0, 10), chunk(20, 30, reordered=1, left_out={'invalid': 2}, lost_packets=3)]
    first, second = iter_interval(counted, 0, 30e-6, '')
    assert (second.t.tolist(), second.reordered, second.dropped) == ([20], 1, 2)
    (rest,) = iter_interval(counted, 30e-6, None, '')
    assert (rest.reordered, rest.dropped, rest.lost_packets) == (0, 0, 0)


@pytest.mark.parametrize('type_name', [EVENT_ARRAY, EVENT_PACKET])
def test_recording_between_two_times(tmp_path, type_name):
    messages = event_messages(type_name, messages=20, period_ns=10_000_000)
    path = write_rosbag2(tmp_path / 'bag', {TOPIC: (type_name, messages)})
    with open_recording(path) as recording:
        whole = np.concatenate([chunk.t for chunk in recording])
        part = np.concatenate([chunk.t for chunk in recording.between(0.055, 0.1234)])
    since = whole - whole[0]
    np.testing.assert_array_equal(part, whole[(since >= 55_000) & (since < 123_400)])
