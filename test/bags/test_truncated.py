# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Recordings that were cut off: what is whole is read, what is missing is said."""

from __future__ import annotations

from pathlib import Path
import re
import shutil
import sqlite3

from bags.recordings import (
    event_messages,
    EVENT_PACKET,
    is_truncated,
    read,
    TOPIC,
    write_recording,
    write_rosbag1,
    write_rosbag2,
)
from events import encoders
from facts import facts
import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Rosbag1Writer
from rosbags.rosbag2 import CompressionMode
from sast_ros.bags import open_recording, RecordingError

KINDS = ('sqlite3', 'mcap', 'rosbag1')
MESSAGES = 150
EVENTS = 3000


def bag_file(folder: Path, kind: str, messages: list) -> Path:
    """Write a bag of several chunks or pages and return its only file."""
    path = write_recording(folder, kind, {TOPIC: (EVENT_PACKET, messages)})
    if path.is_dir():
        (path / 'metadata.yaml').unlink()
        (path,) = path.iterdir()
    return path


@pytest.fixture(scope='module')
def messages() -> list:
    return event_messages(EVENT_PACKET, messages=MESSAGES, events=EVENTS)


@pytest.mark.parametrize('kind', KINDS)
def test_bag_cut_anywhere_gives_its_first_messages_and_says_so(tmp_path, kind, messages):
    path = bag_file(tmp_path, kind, messages)
    content = path.read_bytes()
    counts = []
    for size in np.linspace(0, len(content) - 1, 20).astype(int):
        path.write_bytes(content[:size])
        try:
            read_back, missing = read(path)
        except RecordingError as error:
            assert path.name in str(error)
            counts.append(0)
            continue
        assert read_back == messages[: len(read_back)]
        assert re.search(facts(path.name, len(read_back)), missing)
        counts.append(len(read_back))
    assert counts == sorted(counts), counts
    assert counts[10] > 0, 'nothing was read of one half of the recording'
    assert counts[-1] >= MESSAGES - 6


@pytest.mark.parametrize('kind', KINDS)
def test_whole_bag_misses_nothing(tmp_path, kind, messages):
    assert read(bag_file(tmp_path, kind, messages)) == (messages, '')


def test_cut_mcap_that_is_compressed_inside_is_read(tmp_path, messages):
    folder = write_rosbag2(
        tmp_path / 'bag', {TOPIC: (EVENT_PACKET, messages)}, 'mcap', CompressionMode.STORAGE
    )
    path = folder / 'bag.mcap'
    path.write_bytes(path.read_bytes()[:-1000])
    read_back, missing = read(path)
    assert len(read_back) > 0
    assert read_back == messages[: len(read_back)]
    assert re.search(facts('bag.mcap', len(read_back)), missing)


@pytest.mark.parametrize('compression', ['none', 'lz4', 'bz2'])
def test_rosbag1_that_was_never_closed_is_read(tmp_path, compression, messages):
    source = write_rosbag1(tmp_path / 'whole.bag', {TOPIC: (EVENT_PACKET, messages[:5])})
    if compression != 'none':
        source = tmp_path / 'compressed.bag'
        writer = Rosbag1Writer(source)
        writer.set_compression(Rosbag1Writer.CompressionFormat[compression.upper()])
        with writer, open_recording(tmp_path / 'whole.bag') as whole:
            from sast_ros.bags.definitions import message_types

            connection = writer.add_connection(TOPIC, EVENT_PACKET, typestore=message_types())
            for time_ns, raw in whole.messages():
                writer.write(
                    connection, time_ns, bytes(message_types().cdr_to_ros1(raw, EVENT_PACKET))
                )
    content = source.read_bytes()
    at = content.index(b'index_pos=') + len(b'index_pos=')
    behind = at + 8
    path = tmp_path / 'drive.bag'
    path.write_bytes(content[:at] + content[at:].replace(content[at:behind], bytes(8), 1))
    read_back, missing = read(path)
    assert read_back == messages[:5]
    assert re.search(facts('drive.bag', 5), missing)


@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_split_bag_says_which_of_its_files_is_gone(tmp_path, storage, messages):
    suffix = '.db3' if storage == 'sqlite3' else '.mcap'
    folder = write_rosbag2(tmp_path / 'bag_0', {TOPIC: (EVENT_PACKET, messages[:5])}, storage)
    other = write_rosbag2(tmp_path / 'bag_1', {TOPIC: (EVENT_PACKET, messages[5:9])}, storage)
    metadata = folder / 'metadata.yaml'
    listed = f'- bag_0{suffix}'
    text = metadata.read_text()
    assert listed in text
    text = text.replace(listed, f'{listed}\n  {listed.replace("_0", "_1")}', 1)
    metadata.write_text(text.replace('message_count: 5', 'message_count: 9'))
    read_back, missing = read(folder)
    assert read_back == messages[:5]
    assert re.search(facts(f'bag_1{suffix}', 'metadata.yaml'), missing)
    assert is_truncated(folder)
    shutil.copy(other / f'bag_1{suffix}', folder)
    assert read(folder) == (messages[:9], '')
    assert not is_truncated(folder)
    (folder / f'bag_1{suffix}').write_bytes(b'')  # all that a full disk has left of it
    read_back, missing = read(folder)
    assert read_back == messages[:5]
    assert re.search(facts(f'bag_1{suffix}'), missing)
    assert is_truncated(folder)


@pytest.mark.parametrize('mode', [CompressionMode.FILE, CompressionMode.MESSAGE])
@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_compressed_bag_needs_no_metadata(tmp_path, storage, mode, messages):
    folder = write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_PACKET, messages[:9])}, storage, mode)
    (folder / 'metadata.yaml').unlink()
    (file,) = folder.iterdir()
    assert read(folder) == read(file) == (messages[:9], '')


def test_compressed_file_that_was_cut_is_read_as_far_as_it_goes(tmp_path, messages):
    folder = write_rosbag2(
        tmp_path / 'bag', {TOPIC: (EVENT_PACKET, messages)}, 'mcap', CompressionMode.FILE
    )
    (path,) = folder.glob('*.zstd')
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    read_back, missing = read(folder)
    assert len(read_back) > 0
    assert read_back == messages[: len(read_back)]
    assert re.search(facts(path.name, len(read_back)), missing)


def test_log_of_a_killed_recorder_is_not_passed_over_in_silence(tmp_path, messages):
    folder = write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_PACKET, messages[:5])})
    with sqlite3.connect(folder / 'bag.db3') as database:
        database.execute('PRAGMA journal_mode = WAL')
        database.execute("INSERT INTO messages VALUES (99, 1, 1, x'00')")
        database.commit()
        # Copied while it is open, as a killed process leaves it
        shutil.copytree(folder, tmp_path / 'killed')
    database.close()
    read_back, missing = read(tmp_path / 'killed')
    assert read_back == messages[:5]
    assert re.search(facts('bag.db3-wal', 'wal_checkpoint'), missing)


@pytest.mark.parametrize('name', ['drive.raw', 'drive.dat'])
def test_cut_prophesee_file_gives_its_whole_events(tmp_path, name):
    events = encoders.random_events(60_000, 1280, 720, span=500_000)
    if name.endswith('.raw'):
        header = b'% evt 3.0\n% geometry 1280x720\n'
        body = encoders.words16(*encoders.Evt3.stream(*events))
    else:
        header = b'% Version 2\n% Width 1280\n% Height 720\n\x0c\x08'
        body = encoders.dat(*events)
    (tmp_path / name).write_bytes(header + body[:200_003])
    with open_recording(tmp_path / name) as recording:
        chunks = list(recording)
        assert re.search(facts(name), recording.missing)
    count = sum(map(len, chunks))
    assert count > 20_000
    for field, values in zip('xypt', events, strict=True):
        read_back = np.concatenate([getattr(chunk, field) for chunk in chunks])
        np.testing.assert_array_equal(read_back, values[:count])
