# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Recordings in: every format, every trap, every kind of damage."""

from __future__ import annotations

from pathlib import Path
import re
import shutil
import sqlite3
import struct

from bags.recordings import (
    EVENT_ARRAY,
    event_array,
    event_messages,
    EVENT_PACKET,
    HEIGHT,
    random_events,
    START_NS,
    text_messages,
    TOPIC,
    WIDTH,
    write_recording,
    write_rosbag2,
)
from facts import facts
import numpy as np
import pytest
from rosbags.rosbag2 import CompressionMode
from sast_ros.bags import open_recording, RecordingError
from sast_ros.bags.definitions import DEFINITIONS, message_types
from sast_ros.bags.rosbag import ros1_to_cdr
from sast_ros.events import open_decoder

KINDS = ('sqlite3', 'mcap', 'rosbag1')
REPOSITORY = Path(__file__).resolve().parents[2]


def read_all(path: Path, topic: str | None = None) -> dict[str, np.ndarray]:
    with open_recording(path, topic) as recording:
        chunks = list(recording)
    return {name: np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in 'xypt'}


def rewrite_metadata(folder: Path, change: dict[str, str]) -> None:
    """Replace whole lines of metadata.yaml, given by how they begin."""
    lines = []
    for line in (folder / 'metadata.yaml').read_text().splitlines():
        key = line.strip().split(':')[0]
        lines.append(
            line[: len(line) - len(line.lstrip())] + change[key] if key in change else line
        )
    (folder / 'metadata.yaml').write_text('\n'.join(lines))


# --------------------------------------------------------------------------------- real recordings


@pytest.mark.parametrize(
    'form', ['test_events_1', 'test_events_1/test_events_1.db3', 'test_events_1.bag']
)
def test_real_recording_holds_exactly_the_published_events(shared, form):
    path = shared / 'data' / 'ecp_evt3_vga' / form
    with open_recording(path) as recording:
        assert (recording.topic, recording.type) == (TOPIC, EVENT_PACKET)
        assert recording.message_count == 517
        assert recording.sensor_size == (480, 640)
        assert recording.byte_size > 2_000_000
    events = read_all(path)
    assert np.bincount(events['p']).tolist() == [218_291, 125_183]
    assert events['t'][0] == 7_139_845


def test_rosbag1_and_rosbag2_form_hold_the_same_messages(shared):
    folder = shared / 'data' / 'ecp_evt3_vga'
    with (
        open_recording(folder / 'test_events_1') as two,
        open_recording(folder / 'test_events_1.bag') as one,
    ):
        first, second = list(two.messages()), list(one.messages())
    assert len(first) == 517
    assert [raw for _, raw in first] == [raw for _, raw in second]
    assert [time for time, _ in first] == pytest.approx([time for time, _ in second], abs=1000)


def test_prophesee_raw_and_dat_hold_the_same_events(shared):
    folder = shared / 'data' / 'faery_imx636'
    raw, dat = read_all(folder / 'imx636_evt3.raw'), read_all(folder / 'imx636_cd.dat')
    assert len(raw['t']) == len(dat['t']) == 1_218_618
    for name in 'xyp':
        np.testing.assert_array_equal(raw[name], dat[name])
    np.testing.assert_array_equal(raw['t'] - raw['t'][0], dat['t'] - dat['t'][0])


@pytest.mark.parametrize('name', ['imx636_evt3.raw', 'imx636_cd.dat'])
def test_prophesee_recording_tells_its_size_and_its_progress(shared, name):
    path = shared / 'data' / 'faery_imx636' / name
    with open_recording(path) as recording:
        assert recording.sensor_size == (720, 1280)
        assert recording.topics == ()
        assert recording.message_count is None
        assert recording.byte_size == path.stat().st_size
        seen = [recording.progress for _ in recording]
    assert len(seen) > 10, 'a whole file in one chunk is not constant memory'
    assert all(unit == 'bytes' and total == recording.byte_size for _, total, unit in seen)
    done = [step[0] for step in seen]
    assert done == sorted(done)
    assert done[-1] == recording.byte_size


@pytest.mark.parametrize(
    ('name', 'events'),
    [('test_data_evt3_trigger', 82_469), ('test_data_libcaer_rollover', 334_331)],
)
def test_other_encodings_are_read_from_bags(shared, name, events):
    assert len(read_all(shared / 'data' / 'codecs_edge_cases' / name)['t']) == events


def test_packets_under_the_former_name_of_the_message_are_read(shared):
    with open_recording(shared / 'data' / 'codecs_edge_cases' / 'test_data_mono_cd') as recording:
        assert recording.type == 'event_array_msgs/msg/EventArray'
        assert len(list(recording)) == 2


# -------------------------------------------------------------------------------- every bag format


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('type_name', [EVENT_ARRAY, EVENT_PACKET])
def test_events_come_out_of_a_bag_as_they_went_in(tmp_path, kind, type_name):
    messages = event_messages(type_name)
    path = write_recording(tmp_path, kind, {TOPIC: (type_name, messages)})
    with open_recording(path) as recording:
        assert recording.type == type_name
        assert recording.message_count == 10
        assert recording.sensor_size == (HEIGHT, WIDTH)
        assert list(recording.messages()) == messages
        assert [topic.name for topic in recording.topics] == [TOPIC]
    events = read_all(path)
    for index in range(10):
        written = random_events(20, seed=index)
        part = slice(20 * index, 20 * index + 20)
        for name in 'xyp':
            np.testing.assert_array_equal(events[name][part], written[name])
        np.testing.assert_array_equal(
            events['t'][part], START_NS // 1000 + 1000 * index + written['t']
        )


def test_recording_can_be_read_again(tmp_path):
    path = write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_PACKET, event_messages(EVENT_PACKET))})
    with open_recording(path) as recording:
        first = [chunk.t.tolist() for chunk in recording]
        next(iter(recording))  # an iteration that is given up does not disturb the next one
        assert recording.progress == (1, 10, 'messages')
        assert [chunk.t.tolist() for chunk in recording] == first
        assert recording.progress == (10, 10, 'messages')


@pytest.mark.parametrize('count', [0, 1, 2, 5000])
def test_ros1_event_arrays_are_converted_to_exactly_the_ros2_bytes(count):
    raw = event_array(random_events(count, seed=count), START_NS)
    ros1 = bytes(message_types().cdr_to_ros1(raw, EVENT_ARRAY))
    assert ros1_to_cdr(ros1, EVENT_ARRAY) == raw
    assert bytes(message_types().ros1_to_cdr(ros1, EVENT_ARRAY)) == raw


@pytest.mark.parametrize('mode', [CompressionMode.FILE, CompressionMode.MESSAGE])
@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_compressed_bags_are_read(tmp_path, storage, mode):
    messages = event_messages(EVENT_PACKET)
    path = write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_PACKET, messages)}, storage, mode)
    with open_recording(path) as recording:
        assert list(recording.messages()) == messages


@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_files_of_a_split_bag_follow_each_other_in_time(tmp_path, storage):
    messages = event_messages(EVENT_PACKET)
    suffix = '.db3' if storage == 'sqlite3' else '.mcap'
    whole = tmp_path / 'bag'
    whole.mkdir()
    # Names as rosbag2 gives them: _10 sorts before _9 by the alphabet.
    for name, part in (('bag_9', messages[:5]), ('bag_10', messages[5:])):
        piece = write_rosbag2(tmp_path / name, {TOPIC: (EVENT_PACKET, part)}, storage)
        shutil.move(piece / f'{name}{suffix}', whole)
    with open_recording(whole) as recording:
        assert recording.message_count == 10
        assert list(recording.messages()) == messages


@pytest.mark.parametrize(
    'trap',
    ['no identifier, no files', 'missing', 'empty', 'not yaml', 'no topics', 'wrong identifier'],
)
@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_useless_metadata_does_not_matter(tmp_path, storage, trap):
    messages = event_messages(EVENT_PACKET)
    folder = write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_PACKET, messages)}, storage)
    metadata = folder / 'metadata.yaml'
    if trap == 'no identifier, no files':
        text = metadata.read_text()
        files, behind = text.index('  files:'), text.index('  message_count:')
        metadata.write_text(text[:files] + '  files: []\n' + text[behind:])
        rewrite_metadata(folder, {'storage_identifier': "storage_identifier: ''"})
    elif trap == 'missing':
        metadata.unlink()
    elif trap == 'empty':
        metadata.write_text('')
    elif trap == 'not yaml':
        metadata.write_bytes(b'{\xff: [')
    elif trap == 'no topics':
        metadata.write_text(
            'rosbag2_bagfile_information:\n  version: 9\n  relative_file_paths: []\n'
        )
    elif trap == 'wrong identifier':
        rewrite_metadata(folder, {'storage_identifier': 'storage_identifier: cassette'})
    with open_recording(folder) as recording:
        assert list(recording.messages()) == messages


# ------------------------------------------------------------------------------------ topic choice


def test_other_topics_are_left_out(tmp_path):
    messages = event_messages(EVENT_ARRAY)
    for kind in KINDS:
        (tmp_path / kind).mkdir()
        topics = {
            '/chatter': ('std_msgs/msg/String', text_messages()),
            TOPIC: (EVENT_ARRAY, messages),
        }
        with open_recording(write_recording(tmp_path / kind, kind, topics)) as recording:
            assert list(recording.messages()) == messages


@pytest.mark.parametrize('kind', KINDS)
def test_one_of_several_event_topics_must_be_named(tmp_path, kind):
    left, right = event_messages(EVENT_PACKET, messages=3), event_messages(EVENT_ARRAY, messages=4)
    path = write_recording(
        tmp_path, kind, {'/left': (EVENT_PACKET, left), '/right': (EVENT_ARRAY, right)}
    )
    with pytest.raises(
        RecordingError, match=facts('--topic', '/left', EVENT_PACKET, 3, '/right', EVENT_ARRAY, 4)
    ):
        open_recording(path)
    with open_recording(path, '/right') as recording:
        assert recording.type == EVENT_ARRAY
        assert list(recording.messages()) == right
    with open_recording(path, 'left') as recording:  # as rosbag1 users write it
        assert list(recording.messages()) == left


def test_topic_that_was_never_published_is_no_candidate(tmp_path):
    messages = event_messages(EVENT_PACKET)
    path = write_rosbag2(
        tmp_path / 'bag', {'/a': (EVENT_PACKET, []), '/b': (EVENT_PACKET, messages)}
    )
    with open_recording(path) as recording:
        assert recording.topic == '/b'


def test_point_clouds_are_events_only_where_nothing_else_is_or_by_name(tmp_path):
    cloud = 'sensor_msgs/msg/PointCloud2'
    both = write_rosbag2(
        tmp_path / 'both',
        {'/lidar': (cloud, []), TOPIC: (EVENT_PACKET, event_messages(EVENT_PACKET))},
    )
    with open_recording(both) as recording:
        assert recording.topic == TOPIC
        assert [topic.name for topic in recording.topics] == [TOPIC, '/lidar']
    with open_recording(both, '/lidar') as recording:
        assert recording.type == cloud
    with open_recording(write_rosbag2(tmp_path / 'one', {'/lidar': (cloud, [])})) as recording:
        assert recording.topic == '/lidar'


@pytest.mark.parametrize('kind', KINDS)
def test_wrong_topic_is_answered_with_the_right_ones(tmp_path, kind):
    topics = {
        '/chatter': ('std_msgs/msg/String', text_messages()),
        TOPIC: (EVENT_PACKET, event_messages(EVENT_PACKET)),
    }
    path = write_recording(tmp_path, kind, topics)
    with pytest.raises(RecordingError, match=facts('/events', '--topic', TOPIC)):
        open_recording(path, '/events')
    with pytest.raises(
        RecordingError, match=facts('/chatter', 'std_msgs/msg/String', '--topic', TOPIC)
    ):
        open_recording(path, '/chatter')


@pytest.mark.parametrize('kind', KINDS)
def test_bag_without_events_lists_what_it_holds(tmp_path, kind):
    path = write_recording(tmp_path, kind, {'/chatter': ('std_msgs/msg/String', text_messages())})
    with pytest.raises(
        RecordingError, match=facts(EVENT_ARRAY, EVENT_PACKET, '/chatter', 'std_msgs/msg/String')
    ):
        open_recording(path)
    with pytest.raises(
        RecordingError, match=facts('/chatter', 'std_msgs/msg/String', EVENT_PACKET)
    ):
        open_recording(path, '/chatter')


@pytest.mark.parametrize('kind', KINDS)
def test_empty_bag_is_said_to_be_empty(tmp_path, kind):
    path = write_recording(tmp_path, kind, {})
    with pytest.raises(RecordingError, match=facts(path.name)):
        open_recording(path)


@pytest.mark.parametrize('kind', KINDS)
def test_topic_without_messages_has_no_events(tmp_path, kind):
    path = write_recording(tmp_path, kind, {TOPIC: (EVENT_PACKET, [])})
    with open_recording(path, TOPIC) as recording:
        assert recording.message_count == 0
        assert recording.sensor_size is None
        assert list(recording) == []


# ------------------------------------------------------------------------------------------ damage


def test_what_is_no_recording_is_refused_by_name(tmp_path):
    with pytest.raises(RecordingError, match=facts('nowhere')):
        open_recording(tmp_path / 'nowhere')
    (tmp_path / 'movie.mp4').write_bytes(b'x')
    with pytest.raises(RecordingError, match=facts('movie.mp4', '.raw', '.dat')):
        open_recording(tmp_path / 'movie.mp4')
    (tmp_path / 'folder').mkdir()
    with pytest.raises(RecordingError, match=facts('folder', '.db3', '.mcap')):
        open_recording(tmp_path / 'folder')


@pytest.mark.parametrize('suffix', ['.db3', '.mcap', '.bag', '.raw', '.dat'])
@pytest.mark.parametrize('content', [b'', b'\0' * 100, b'no recording at all\n' * 50, b'% end'])
def test_file_of_other_content_is_refused(tmp_path, suffix, content):
    path = tmp_path / f'odd{suffix}'
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=facts(path.name)), open_recording(path) as recording:
        assert sum(map(len, recording)) == 0
        # Bytes without a header may be events of a raw file
        raise RecordingError(f'{path} opened without events')


@pytest.mark.parametrize('kind', KINDS)
def test_flipped_bytes_never_raise_anything_else(tmp_path, kind):
    path = write_recording(
        tmp_path, kind, {TOPIC: (EVENT_ARRAY, event_messages(EVENT_ARRAY, messages=5))}
    )
    if path.is_dir():
        (path,) = (file for file in path.iterdir() if file.suffix != '.yaml')
    content = np.frombuffer(path.read_bytes(), np.uint8)
    random = np.random.default_rng(0)
    for _ in range(40):
        damaged = content.copy()
        damaged[random.integers(0, len(content), 20)] ^= 0xFF
        path.write_bytes(damaged.tobytes())
        try:
            with open_recording(path) as recording:
                for _ in recording:
                    pass
        except RecordingError:
            pass


@pytest.mark.parametrize('kind', KINDS)
def test_damaged_message_costs_itself_and_is_named(tmp_path, kind):
    messages = event_messages(EVENT_PACKET)
    time, raw = messages[4]
    messages[4] = (time, raw.replace(b'mono\0', b'evt9\0'))
    path = write_recording(tmp_path, kind, {TOPIC: (EVENT_PACKET, messages)})
    with open_recording(path) as recording:
        assert len(list(recording)) == len(messages) - 1
        assert recording.refused == 1
        assert re.search(facts(1, 4, TOPIC, 'evt9'), recording.warnings[0])


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('damaged', [6, 12])
def test_recording_of_damaged_messages_is_refused(tmp_path, kind, damaged):
    messages = event_messages(EVENT_PACKET, messages=12)
    for index in range(damaged):
        time, raw = messages[index]
        messages[index] = (time, raw.replace(b'mono\0', b'evt9\0'))
    path = write_recording(tmp_path, kind, {TOPIC: (EVENT_PACKET, messages)})
    with open_recording(path) as recording:
        if damaged == 6:
            assert len(list(recording)) == 6
        else:
            with pytest.raises(RecordingError, match=facts(path.name, 12, TOPIC, 'evt9')):
                list(recording)


@pytest.mark.parametrize('before', ['trigger', 'size 0', 'damaged'])
def test_size_of_the_sensor_is_what_a_message_states_first(tmp_path, before):
    messages = event_messages(EVENT_PACKET, messages=12)
    change = {
        'trigger': (b'\x05\0\0\0mono\0\0\0\0', b'\x08\0\0\0trigger\0' + bytes(4)),
        'size 0': (struct.pack('<II', HEIGHT, WIDTH), bytes(8)),
        'damaged': (b'mono', b'evt9'),
    }[before]
    for index in range(3):
        time, raw = messages[index]
        assert raw.count(change[0]) == 1
        messages[index] = time, raw.replace(*change)
    path = write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_PACKET, messages)})
    with open_recording(path) as recording:
        assert recording.sensor_size == (HEIGHT, WIDTH)
        assert sum(map(len, recording)) == 20 * (9 + 3 * (before == 'size 0'))


@pytest.mark.parametrize(('height', 'width'), [(0, 304), (240, 0), (1, 8192), (9000, 9000)])
def test_message_of_an_impossible_sensor_costs_itself(tmp_path, height, width):
    messages = event_messages(EVENT_PACKET, messages=12)
    time, raw = messages[3]
    size = struct.pack('<II', HEIGHT, WIDTH)
    assert raw.count(size) == 1
    messages[3] = (time, raw.replace(size, struct.pack('<II', height, width)))
    path = write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_PACKET, messages)})
    with open_recording(path) as recording:
        assert len(list(recording)) == 11
        assert re.search(facts(3, f'{width}x{height}'), recording.first_refused)


@pytest.mark.parametrize('bit', [51, 55, 62, 63])
def test_times_that_no_stamp_holds_are_left_out(tmp_path, bit):
    """One flipped bit of time_base."""
    messages = event_messages(EVENT_PACKET, messages=12)
    time, raw = messages[3]
    at = raw.index(b'mono\0') - 12  # time_base and the length of the string are before it
    flipped = bytearray(raw)
    flipped[at + bit // 8] ^= 1 << bit % 8
    messages[3] = (time, bytes(flipped))
    path = write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_PACKET, messages)})
    with open_recording(path) as recording:
        chunks = list(recording)
    left_out = sum(chunk.dropped for chunk in chunks)
    assert left_out == len(open_decoder(EVENT_PACKET)(raw))
    assert not any(chunk.discontinuity for chunk in chunks)


def test_database_without_messages_table_is_refused(tmp_path):
    path = tmp_path / 'other.db3'
    with sqlite3.connect(path) as database:
        database.execute('CREATE TABLE cassettes(id INTEGER)')
    database.close()
    with pytest.raises(RecordingError, match=facts('other.db3')):
        open_recording(path)


def test_prophesee_file_has_no_topics(tmp_path):
    path = tmp_path / 'drive.dat'
    path.write_bytes(b'% Version 2\n\x0c\x08' + bytes(80))
    with pytest.raises(RecordingError, match=facts('drive.dat', '--topic')):
        open_recording(path, TOPIC)
    with (
        open_recording(path) as recording,
        pytest.raises(RecordingError, match=facts('drive.dat', 'sensor')),
    ):
        next(recording.messages())


# ------------------------------------------------------------------------------------- definitions


def test_definitions_have_the_fields_of_the_interface_packages():
    def fields(text: str) -> list[str]:
        return [
            line
            for line in (' '.join(line.split('#')[0].split()) for line in text.splitlines())
            if line
        ]

    compared = 0
    for name, text in DEFINITIONS.items():
        package, _, message = name.split('/')
        file = REPOSITORY / 'msg' / package / 'msg' / f'{message}.msg'
        if file.is_file():
            assert fields(text) == fields(file.read_text()), name
            compared += 1
    assert compared >= 10


def test_event_packet_has_the_type_hash_of_the_real_driver():
    assert (
        message_types().hash_rihs01(EVENT_PACKET)
        == 'RIHS01_d6fa176260b1f37e5a40845305315e150a0f18191241eb64f407442aa29844aa'
    )
