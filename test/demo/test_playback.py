# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What is sent of a recording, at which times."""

from __future__ import annotations

from pathlib import Path

from bags.recordings import (
    EVENT_ARRAY,
    event_array,
    event_messages,
    EVENT_PACKET,
    random_chunk,
    START_NS,
    TOPIC,
    write_dat,
    write_recording,
)
from facts import facts
import numpy as np
import pytest
from sast_ros.bags import open_recording, RecordingError
from sast_ros.demo.playback import Playback
from sast_ros.events.encoders import EventPacketEncoder
from sast_ros.example import recording_path
from sast_ros.labels import BOX_DTYPE

HOUR_NS = 3600 * 10**9


@pytest.mark.parametrize('kind', ['mcap', 'rosbag1'])
@pytest.mark.parametrize('type_name', [EVENT_PACKET, EVENT_ARRAY])
def test_messages_are_those_of_the_bag_at_another_time(
    tmp_path: Path, kind: str, type_name: str
) -> None:
    messages = event_messages(type_name)
    with open_recording(write_recording(tmp_path, kind, {TOPIC: (type_name, messages)})) as bag:
        playback = Playback(bag)
        assert list(playback.messages()) == messages
        moved = list(playback.messages(HOUR_NS))
        assert [time_ns for time_ns, _ in moved] == [at + HOUR_NS for at, _ in messages]
        for now, before in zip(playback.chunks(HOUR_NS), bag, strict=True):
            assert now.stamp_ns == before.stamp_ns + HOUR_NS
            np.testing.assert_array_equal(now.t, before.t + HOUR_NS // 1000)
            np.testing.assert_array_equal(now.x, before.x)


def test_only_the_first_seconds_are_played(tmp_path: Path) -> None:
    messages = event_messages(EVENT_PACKET)  # one every millisecond
    with open_recording(write_recording(tmp_path, 'mcap', {TOPIC: (EVENT_PACKET, messages)})) as b:
        assert list(Playback(b, 0.004).messages()) == messages[:4]
        assert Playback(b, 0.004).content.messages == 4


def test_times_are_on_the_clock_of_the_stamps_where_the_recorder_had_another(
    tmp_path: Path,
) -> None:
    messages = [(at + HOUR_NS, raw) for at, raw in event_messages(EVENT_ARRAY)]
    with open_recording(write_recording(tmp_path, 'mcap', {TOPIC: (EVENT_ARRAY, messages)})) as b:
        first, _ = next(Playback(b).messages())
    assert abs(first - START_NS) < 10**7


def test_a_file_without_messages_is_sent_as_a_driver_would(tmp_path: Path) -> None:
    """Also one whose clock has run longer than the 24 bits of EVT 3.0."""
    chunk = random_chunk(40_000_000, 260_000)
    with open_recording(write_dat(tmp_path / 'drive.dat', chunk)) as recording:
        playback = Playback(recording)
        assert recording.message_type == EVENT_PACKET
        messages = list(playback.messages(HOUR_NS))
        decoded = list(playback.chunks(HOUR_NS))
        content = playback.content
    assert 60 <= len(messages) <= 66  # one every 4 ms
    offset = int(decoded[0].t[0]) - int(chunk.t[0])
    for name in ('x', 'y', 'p', 't'):
        played = np.concatenate([getattr(part, name) for part in decoded])
        np.testing.assert_array_equal(played, getattr(chunk, name) + offset * (name == 't'))
    for (time_ns, _), part in zip(messages, decoded, strict=True):
        assert part.stamp_ns == HOUR_NS + 1000 * (int(part.t[0]) - offset)
        assert time_ns == HOUR_NS + 1000 * (int(part.t[-1]) - offset)
        assert part.frame_id == 'event_camera'
    assert (content.messages, content.events, content.windows) == (len(messages), 2000, 5)
    assert (content.start_us, content.end_us) == (chunk.t[0], chunk.t[-1])
    assert content.seconds == pytest.approx(0.26, abs=0.001)


def test_a_damaged_message_is_an_error_that_names_it(tmp_path: Path) -> None:
    messages = event_messages(EVENT_PACKET)
    messages[3] = (messages[3][0], messages[3][1][:50])
    path = write_recording(tmp_path, 'mcap', {TOPIC: (EVENT_PACKET, messages)})
    with (
        open_recording(path) as recording,
        pytest.raises(RecordingError, match=facts('message 3', 'time_base')),
    ):
        _ = Playback(recording).content


def test_a_recording_without_events_is_an_error(tmp_path: Path) -> None:
    nothing = {name: np.zeros(0, np.uint16) for name in 'xypt'}
    messages = [(START_NS, event_array(nothing, START_NS))]
    path = write_recording(tmp_path, 'mcap', {TOPIC: (EVENT_ARRAY, messages)})
    with (
        open_recording(path) as recording,
        pytest.raises(RecordingError, match=facts('no events')),
    ):
        _ = Playback(recording).content


def test_the_bundled_recording_is_named_by_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_recording('example') as recording:
        assert recording.path.is_absolute()
        assert recording.sensor_size == (240, 304)
        content = Playback(recording).content
    labels = np.load(recording.path.with_name('example_bbox.npy'))
    assert (content.start_us, content.windows) == (0, 120)
    assert labels.dtype == BOX_DTYPE
    assert set(labels['t']) == {50_000 * (index + 1) for index in range(120)}
    assert sorted(set(labels['class_id'])) == [0, 1, 2]
    assert sum(file.stat().st_size for file in recording.path.parent.glob('*.*')) < 1.25e6


def test_a_file_of_that_name_in_the_working_folder_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'example').mkdir()
    assert recording_path('example') == Path('example')
    assert recording_path(tmp_path / 'example.mcap') == tmp_path / 'example.mcap'


def test_messages_made_of_a_file_are_numbered(tmp_path: Path) -> None:
    chunk = random_chunk(0, 20_000)
    with open_recording(write_dat(tmp_path / 'drive.dat', chunk)) as recording:
        made = [raw for _, raw in recording.messages()]
    encode = EventPacketEncoder(304, 240, 'event_camera')
    edges = np.searchsorted(chunk.t, np.arange(0, 24_000, 4000))
    for raw, start, end in zip(made, edges[:-1], edges[1:], strict=True):
        assert raw == encode(chunk[start:end], 1000 * int(chunk.t[start]))
