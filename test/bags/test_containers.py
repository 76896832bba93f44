# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Bags with parts left out, added or false: all messages are read, and what differs is said."""

from __future__ import annotations

import bz2
from contextlib import ExitStack
import errno
from itertools import chain, combinations, islice
import os
from pathlib import Path
import re
import resource
import shutil
import sqlite3
import struct
import time

from allocation import peak_below
from bags.recordings import (
    EVENT_ARRAY,
    event_messages,
    EVENT_PACKET,
    HEIGHT,
    is_truncated,
    read,
    START_NS,
    text_messages,
    TOPIC,
    WIDTH,
    write_recording,
    write_rosbag1,
    write_rosbag2,
)
from facts import facts
import lz4.frame
from mcap.opcode import Opcode
from mcap.writer import CompressionType, IndexType, Writer
import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Rosbag1Writer
from sast_ros.bags import open_recording, RecordingError
from sast_ros.bags.compression import decompress, ExpansionError, VARIABLE
from sast_ros.bags.definitions import message_types
from sast_ros.bags.mcap_file import McapFile
from sast_ros.errors import SettingError
import zstandard

MAGIC = b'\x89MCAP0\r\n'

#: Records without which an mcap file is valid.
OPTIONAL = (
    Opcode.HEADER,
    Opcode.MESSAGE_INDEX,
    Opcode.CHUNK_INDEX,
    Opcode.STATISTICS,
    Opcode.SUMMARY_OFFSET,
    Opcode.DATA_END,
    Opcode.FOOTER,
)


@pytest.fixture(scope='module')
def messages() -> list:
    return event_messages(EVENT_PACKET, messages=60, events=50)


def write_mcap(
    path: Path,
    messages: list,
    *,
    kind: str = EVENT_PACKET,
    encoding: str = 'cdr',
    schema_encoding: str = 'ros2msg',
    profile: str = 'ros2',
    topic: str = TOPIC,
    **options,
) -> Path:
    """Write messages by the writer of the format's authors, 3 kB a chunk."""
    with path.open('wb') as file:
        writer = Writer(file, **{'chunk_size': 3000, **options})
        writer.start(profile=profile, library='test')
        schema = writer.register_schema(kind, schema_encoding, b'')
        channel = writer.register_channel(topic, encoding, schema)
        for time_ns, raw in messages:
            writer.add_message(channel, time_ns, raw, time_ns)
        writer.finish()
    return path


def split(content: bytes | bytearray) -> list[tuple[int, bytes]]:
    """Return operation code and content of the records of an mcap file."""
    records, at = [], len(MAGIC)
    while at < len(content) - len(MAGIC):
        code, size = struct.unpack_from('<BQ', content, at)
        at += 9
        end = at + size
        records.append((code, content[at:end]))
        at = end
    return records


def join(records: list[tuple[int, bytes]], *, end: bytes = MAGIC) -> bytes:
    return MAGIC + b''.join(struct.pack('<BQ', code, len(c)) + c for code, c in records) + end


# -------------------------------------------------------------------------------------------- mcap


@pytest.mark.parametrize('compression', list(CompressionType))
@pytest.mark.parametrize(
    'options',
    [
        {'index_types': IndexType.NONE},
        {'index_types': IndexType.CHUNK},
        {'index_types': IndexType.MESSAGE},
        {'repeat_channels': False},
        {'repeat_schemas': False},
        {'use_statistics': False},
        {'use_summary_offsets': False},
        {'use_chunking': False},
        {'use_chunking': False, 'use_statistics': False, 'repeat_channels': False},
        {'enable_crcs': False},
    ],
    ids=str,
)
def test_mcap_is_read_whatever_its_writer_leaves_out(tmp_path, messages, options, compression):
    path = write_mcap(tmp_path / 'a.mcap', messages, compression=compression, **options)
    assert read(path) == (messages, '')


@pytest.mark.parametrize(
    'left_out', list(chain.from_iterable(combinations(OPTIONAL, n) for n in range(8))), ids=str
)
def test_mcap_without_optional_records_gives_all_messages(tmp_path, messages, left_out):
    path = write_mcap(tmp_path / 'a.mcap', messages)
    records = [one for one in split(path.read_bytes()) if one[0] not in left_out]
    path.write_bytes(join(records))  # the offsets of the summary are false now
    read_back, missing = read(path)
    assert read_back == messages
    assert not re.search(r'damaged', missing)


@pytest.mark.parametrize('kept', [Opcode.CHUNK_INDEX, Opcode.MESSAGE_INDEX, Opcode.CHUNK])
def test_index_of_some_chunks_does_not_lose_the_others(tmp_path, messages, kept):
    path = write_mcap(tmp_path / 'a.mcap', messages)
    records = split(path.read_bytes())
    first = next(index for index, (code, _) in enumerate(records) if code == kept)
    del records[first]
    path.write_bytes(join(records))
    read_back, missing = read(path)
    if kept == Opcode.CHUNK:
        assert list(reversed(messages))[: len(read_back)] == read_back[::-1]
        assert 0 < len(read_back) < 60
        assert re.search(facts('a.mcap', len(read_back), 60), missing)
    else:
        assert (read_back, missing) == (messages, '')


@pytest.mark.parametrize('stated', [0, 30, 90])
def test_false_statistics_are_named_with_both_numbers(tmp_path, messages, stated):
    path = write_mcap(tmp_path / 'a.mcap', messages)
    records = [
        (
            code,
            struct.pack('<Q', stated) + content[8:-8] + struct.pack('<Q', stated)
            if code == Opcode.STATISTICS
            else content,
        )
        for code, content in split(path.read_bytes())
    ]
    path.write_bytes(join(records))
    read_back, missing = read(path)
    assert read_back == messages
    assert re.search(facts('a.mcap', stated, 60), missing)


@pytest.mark.parametrize('profile', ['', 'ros1', 'px4', 'ros2'])
def test_profile_of_mcap_does_not_matter(tmp_path, messages, profile):
    assert read(write_mcap(tmp_path / 'a.mcap', messages, profile=profile)) == (messages, '')


def test_mcap_that_grows_gives_what_is_complete(tmp_path, messages):
    content = write_mcap(tmp_path / 'whole.mcap', messages, chunk_size=9000).read_bytes()
    path = tmp_path / 'a.mcap'
    path.write_bytes(content[: len(content) // 2])
    with open_recording(path) as recording:
        stream = recording.messages()
        count = recording.message_count
        assert 10 < count < 50
        assert re.search(facts('a.mcap', 'recorded', count), recording.missing)
        first = next(stream)
        path.write_bytes(content)
        assert [first, *stream] == messages[:count]
    assert read(path) == (messages, '')


def test_mcap_is_read_in_the_order_of_its_times(tmp_path):
    messages = event_messages(EVENT_PACKET, messages=200, events=5)
    shuffled = [messages[i] for i in np.random.default_rng(0).permutation(200)]
    for options in ({}, {'use_chunking': False}, {'index_types': IndexType.NONE}):
        path = write_mcap(tmp_path / 'a.mcap', shuffled, chunk_size=500, **options)
        assert read(path) == (messages, '')


def test_channels_of_one_topic_are_one_topic(tmp_path, messages):
    path = tmp_path / 'a.mcap'
    with path.open('wb') as file:
        writer = Writer(file, chunk_size=3000, repeat_channels=False, repeat_schemas=False)
        writer.start()
        bare = writer.register_channel('/bare', 'cdr', 0)
        writer.add_message(bare, START_NS, b'\0\1\0\0text', START_NS)
        schema = writer.register_schema(EVENT_PACKET, 'ros2msg', b'')
        for index, (time_ns, raw) in enumerate(messages):
            if index % 20 == 0:  # most are declared behind the first chunk
                channel = writer.register_channel(TOPIC, 'cdr', schema, {'part': str(index)})
            writer.add_message(channel, time_ns, raw, time_ns)
        writer.finish()
    assert read(path) == (messages, '')
    with pytest.raises(RecordingError, match=facts('/bare', TOPIC, 'unknown')):
        open_recording(path, '/bare')


@pytest.mark.parametrize('kind', [EVENT_PACKET, EVENT_ARRAY])
@pytest.mark.parametrize('encoding', ['ros1', ''])
def test_messages_of_ros1_in_mcap_are_converted(tmp_path, kind, encoding):
    messages = event_messages(kind, messages=12)
    store = message_types()
    converted = [(t, bytes(store.cdr_to_ros1(raw, kind))) for t, raw in messages]
    path = write_mcap(
        tmp_path / 'a.mcap',
        converted,
        kind=kind.replace('/msg/', '/'),
        encoding=encoding,
        schema_encoding='ros1msg',
        profile='ros1',
    )
    assert read(path) == (messages, '')


@pytest.mark.parametrize('use_statistics', [True, False])
def test_damaged_chunk_costs_its_messages_only(tmp_path, messages, use_statistics):
    path = write_mcap(tmp_path / 'a.mcap', messages, use_statistics=use_statistics)
    records = split(path.read_bytes())
    chunks = [index for index, (code, _) in enumerate(records) if code == Opcode.CHUNK]
    code, content = records[chunks[3]]
    records[chunks[3]] = code, content[:-5] + b'false'
    path.write_bytes(join(records))
    read_back, missing = read(path)
    assert 40 < len(read_back) < 60
    assert set(read_back) < set(messages)
    assert re.search(facts('a.mcap', 'damaged', len(read_back)), missing)
    for index in chunks:
        records[index] = code, records[index][1][:-5] + b'false'
    path.write_bytes(join(records))
    with pytest.raises(RecordingError, match=facts('a.mcap', 'damaged')):
        read(path)


def test_index_of_chunks_leads_past_damage_between_records(tmp_path, messages):
    path = write_mcap(tmp_path / 'a.mcap', messages)
    content = bytearray(path.read_bytes())
    offset = len(MAGIC)
    for code, record in split(content):
        if code == Opcode.MESSAGE_INDEX:
            break
        offset += 9 + len(record)
    content[offset] = 0
    path.write_bytes(content)
    read_back, missing = read(path)
    assert read_back == messages
    assert re.search(facts('a.mcap', offset), missing)


# ------------------------------------------------------------------------------------------ sqlite


@pytest.mark.parametrize('tables', [True, False])
def test_database_with_everything_in_its_log_is_refused_with_the_hint(tmp_path, messages, tables):
    path = tmp_path / 'a.db3'
    whole = write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_PACKET, messages)}) / 'bag.db3'
    with sqlite3.connect(path) as database:
        database.execute('PRAGMA journal_mode = WAL')
        with sqlite3.connect(whole) as source:
            dump = list(source.iterdump())
        source.close()
        for statement in dump:
            if not tables or 'INSERT INTO "messages"' not in statement:
                database.execute(statement)
        database.commit()
        if tables:
            database.execute('PRAGMA wal_checkpoint(TRUNCATE)')
            for statement in dump:
                if 'INSERT INTO "messages"' in statement:
                    database.execute(statement)
            database.commit()
        copy = tmp_path / 'copy' / 'a.db3'
        copy.parent.mkdir()
        for suffix in ('', '-wal'):
            shutil.copy(f'{path}{suffix}', f'{copy}{suffix}')
    database.close()
    for name in (copy, copy.parent):
        with pytest.raises(RecordingError, match=facts('a.db3-wal', 'wal_checkpoint')):
            open_recording(name)
    copy.with_name('a.db3-wal').write_bytes(b'')
    with (
        pytest.raises(RecordingError, match=facts('a.db3')) if not tables else open_recording(copy)
    ):
        open_recording(copy)


@pytest.mark.parametrize('name', ['a#b', 'a?b', '100%25 é'])
def test_any_name_of_a_file_is_opened(tmp_path, messages, name):
    for kind in ('sqlite3', 'mcap'):
        folder = write_rosbag2(tmp_path / kind, {TOPIC: (EVENT_PACKET, messages)}, kind)
        (folder / 'metadata.yaml').unlink()
        (file,) = folder.iterdir()
        folder = folder.rename(tmp_path / f'{name}_{kind}')
        (folder / file.name).rename(folder / f'{name}{file.suffix}')
        assert read(folder) == (messages, '')


def create_tables(database: sqlite3.Connection, data: str) -> None:
    """Create the tables of rosbag2 with one topic; ``data``: type of the messages."""
    database.executescript(
        f"""
        CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT,
                            serialization_format TEXT);
        INSERT INTO topics VALUES (1, '/a', '{EVENT_PACKET}', 'cdr');
        CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER,
                              data {data});
        """
    )


def test_computed_tables_are_refused(tmp_path):
    path = tmp_path / 'a.db3'
    with sqlite3.connect(path) as database:
        create_tables(database, 'BLOB GENERATED ALWAYS AS (zeroblob(500000000))')
        database.execute('INSERT INTO messages(topic_id, timestamp) VALUES (1, 1)')
    database.close()
    with pytest.raises(RecordingError, match=facts('a.db3', 'messages', 'computed')):
        open_recording(path)


def test_pages_that_refer_to_each_other_do_not_hang(tmp_path):
    path = tmp_path / 'a.db3'
    with sqlite3.connect(path) as database:
        database.execute('PRAGMA page_size = 512')
        create_tables(database, 'BLOB')
        rows = ((index, bytes(4)) for index in range(20_000))
        database.executemany(
            'INSERT INTO messages(topic_id, timestamp, data) VALUES (1, ?, ?)', rows
        )
    database.close()
    content = bytearray(path.read_bytes())
    interior = [at for at in range(512, len(content), 512) if content[at] == 5]
    assert len(interior) > 10
    # Every child of a page is the next one: 70 ** 10 rows
    for at, child in zip(interior, interior[1:]):
        (cells,) = struct.unpack_from('>H', content, at + 3)
        places = [at + 8]
        places += [at + p for p in struct.unpack_from(f'>{cells}H', content, at + 12)]
        for place in places:
            struct.pack_into('>I', content, place, child // 512 + 1)
    path.write_bytes(content)
    began = time.process_time()
    with pytest.raises(RecordingError, match=facts('a.db3')):
        read(path)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(('count', 'events'), [(120, 5), (60, 50), (12, 3000)])
@pytest.mark.parametrize('indexed', [True, False])
def test_damaged_page_costs_its_messages_and_without_index_those_behind_it(
    tmp_path, count, events, indexed
):
    messages = event_messages(EVENT_PACKET, messages=count, events=events)
    path = write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_PACKET, messages)}) / 'bag.db3'
    (tmp_path / 'bag' / 'metadata.yaml').unlink()
    with sqlite3.connect(path) as database:
        names = database.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE INDEX%'")
        for (name,) in names.fetchall() if not indexed else ():
            database.execute(f'DROP INDEX {name}')
        (size,) = database.execute('PRAGMA page_size').fetchone()
    database.close()
    of_a_page = 1 + size * count // sum(len(raw) for _, raw in messages)
    content = path.read_bytes()
    counts, refused = set(), 0
    for at in range(0, len(content), size):
        path.write_bytes(content[:at] + bytes(size) + content[at:][size:])
        try:
            with open_recording(path) as recording:
                found = list(recording.messages())
                missing, truncated = recording.missing, recording.truncated
        except RecordingError as error:
            assert re.search(facts('bag.db3', 'damaged'), str(error))
            refused += 1
            continue
        times = {time for time, _ in found}
        expected = [message for message in messages if message[0] in times]
        # Of the last page of a large message, sqlite does not notice that it is damaged
        assert sum(a != b for a, b in zip(found, expected, strict=True)) <= (events == 3000)
        assert truncated == bool(missing)
        if len(found) < count:
            assert re.search(facts('bag.db3', 'damaged'), missing)
            assert not indexed or re.search(facts(len(found), count), missing)
        # Without the index, a damaged page of the table ends it, but not one of a large message
        assert len(found) >= count - of_a_page or not indexed
        counts.add(len(found))
    # Where the tables are described, their roots, the first messages
    assert refused <= 16
    assert len(counts) >= (2 if indexed or events == 3000 else 4)
    path.write_bytes(content[: len(content) * 7 // 10].ljust(len(content), b'\0'))
    assert 0 < len(read(path)[0]) < count


@pytest.mark.parametrize('indexed', [True, False])
@pytest.mark.parametrize(
    'change', ["timestamp = 'soon'", 'timestamp = NULL', "data = 'text'", "data = x'ff' || ''"]
)
def test_message_without_time_or_content_costs_itself(tmp_path, messages, change, indexed):
    path = write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_PACKET, messages)}) / 'bag.db3'
    with sqlite3.connect(path) as database:
        create = "SELECT sql FROM sqlite_master WHERE name = 'messages'"
        ((table,),) = database.execute(create).fetchall()
        database.execute('ALTER TABLE messages RENAME TO old')
        database.execute(table.replace('NOT NULL', ''))
        database.execute('INSERT INTO messages SELECT * FROM old')
        database.execute('DROP TABLE old')
        if indexed:
            database.execute('CREATE INDEX timestamp_idx ON messages (timestamp)')
        database.execute(f'UPDATE messages SET {change} WHERE id = 3')
    database.close()
    read_back, missing = read(path)
    assert read_back == messages[:2] + messages[3:]
    assert re.search(facts('bag.db3', 'damaged', len(messages) - 1, len(messages)), missing)


# ----------------------------------------------------------------------------------------- rosbag1


def split_rosbag1(content: bytes) -> list[tuple[int, bytes]]:
    """Return operation code and bytes of the records of a rosbag1 file."""
    records, at = [], 13
    while at < len(content):
        (length,) = struct.unpack_from('<I', content, at)
        begin, data = at, at + 4 + length
        at = data + 4 + struct.unpack_from('<I', content, data)[0]
        record = content[begin:at]
        records.append((record[record.index(b'op=') + 3], record))
    return records


@pytest.mark.parametrize(
    'left_out', list(chain.from_iterable(combinations((4, 6, 7), n) for n in range(4))), ids=str
)
@pytest.mark.parametrize('position', [None, 0, 1 << 60])
def test_rosbag1_without_parts_of_its_index_gives_all_messages(
    tmp_path, messages, left_out, position
):
    path = write_rosbag1(tmp_path / 'a.bag', {TOPIC: (EVENT_PACKET, messages)})
    content = path.read_bytes()
    records = [record for code, record in split_rosbag1(content) if code not in left_out]
    if position is not None:
        at = records[0].index(b'index_pos=') + 10
        records[0] = records[0][:at] + struct.pack('<Q', position) + records[0][at:][8:]
    path.write_bytes(content[:13] + b''.join(records))
    read_back, _ = read(path)
    assert read_back == messages


@pytest.mark.parametrize('kind', ['mcap', 'rosbag1'])
def test_bag_is_not_read_by_its_index(tmp_path, messages, kind):
    path = write_recording(tmp_path, kind, {TOPIC: (EVENT_PACKET, messages)})
    if kind == 'mcap':
        (path,) = path.glob('*.mcap')
    content = path.read_bytes()
    time_ns = messages[-1][0]
    stored = (
        struct.pack('<II', *divmod(time_ns, 10**9))
        if kind == 'rosbag1'
        else struct.pack('<Q', time_ns)
    )
    low = content.rindex(messages[-1][1][-40:])
    # Times and offsets of the index, behind the messages, are all false
    path.write_bytes(content[:low] + content[low:].replace(stored, bytes(8)))
    assert read(path)[0] == messages


# ----------------------------------------------------------------------------------------- folders


def folder_of(tmp_path: Path, storage: str, messages: list, files: int = 1) -> Path:
    """Write a folder ``bag`` with the files ``bag_0``, ``bag_1``, ... and true metadata."""
    suffix = '.db3' if storage == 'sqlite3' else '.mcap'
    folder = tmp_path / 'bag'
    folder.mkdir()
    share = len(messages) // files
    for index in range(files):
        low, high = index * share, (index + 1) * share
        part = messages[low:high]
        piece = write_rosbag2(tmp_path / f'bag_{index}', {TOPIC: (EVENT_PACKET, part)}, storage)
        shutil.move(piece / f'bag_{index}{suffix}', folder)
    listed = f'- bag_0{suffix}'
    text = (tmp_path / 'bag_0' / 'metadata.yaml').read_text()
    assert listed in text
    text = text.replace(listed, '\n  '.join(f'- bag_{index}{suffix}' for index in range(files)), 1)
    text = text.replace(f'message_count: {share}', f'message_count: {len(messages)}')
    (folder / 'metadata.yaml').write_text(text)
    return folder


@pytest.mark.parametrize(
    'nested',
    ['[' * 100_000, '[' * 100_000 + ']' * 100_000, '- ' * 100_000, '? ' * 100_000]
    + ['{a: ' * 100_000],
    ids=['open', 'lists', 'block lists', 'keys', 'mappings'],
)
def test_metadata_nested_deeply_counts_as_missing(tmp_path, messages, nested):
    folder = folder_of(tmp_path, 'mcap', messages)
    (folder / 'metadata.yaml').write_text(f'rosbag2_bagfile_information:\n  a: {nested}')
    assert read(folder) == (messages, '')


def compress(path: Path, suffix: str) -> Path:
    target = path.with_name(path.name + suffix)
    target.write_bytes(zstandard.ZstdCompressor().compress(path.read_bytes()))
    return target


@pytest.mark.parametrize('suffix', ['.zst', '.zstd', '.ZST'])
@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
@pytest.mark.parametrize('has_metadata', [True, False])
def test_file_beside_its_compressed_twin_counts_once(
    tmp_path, messages, storage, suffix, has_metadata
):
    folder = folder_of(tmp_path, storage, messages, files=2)
    if not has_metadata:
        (folder / 'metadata.yaml').unlink()
    plain = min(folder.glob('bag_0*'))
    twin = compress(plain, suffix)
    read_back, missing = read(folder)
    assert read_back == messages
    assert re.search(facts(twin.name, plain.name), missing)
    plain.write_bytes(plain.read_bytes()[: plain.stat().st_size // 2])  # of an interrupted zstd -d
    read_back, missing = read(folder)
    assert read_back == messages
    assert re.search(facts(twin.name, plain.name), missing)
    assert not is_truncated(folder)
    plain.unlink()
    assert read(folder) == (messages, '')


@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
@pytest.mark.parametrize('has_metadata', [True, False])
def test_cut_file_beside_its_recovered_copy_counts_once(tmp_path, messages, storage, has_metadata):
    folder = folder_of(tmp_path, storage, messages)
    if not has_metadata:
        (folder / 'metadata.yaml').unlink()
    (cut,) = folder.glob('bag_0*')
    shutil.copy(cut, cut.with_stem('bag_0_recovered'))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 3 // 4])
    read_back, missing = read(folder)
    assert read_back == messages
    assert re.search(facts(cut.name), missing)
    if storage == 'sqlite3':  # of the other nothing can be read, so what it held is not known
        assert not is_truncated(folder)
        assert is_truncated(cut)


@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_only_files_that_metadata_lists_are_read(tmp_path, messages, storage):
    folder = folder_of(tmp_path, storage, messages, files=2)
    other = write_rosbag2(
        tmp_path / 'other',
        {TOPIC: (EVENT_PACKET, event_messages(EVENT_PACKET, messages=70, events=3)[65:])},
        storage,
    )
    (file,) = (path for path in other.iterdir() if path.suffix != '.yaml')
    shutil.copy(file, folder)
    damaged = (folder / file.name).with_stem('damaged')
    damaged.write_bytes(file.read_bytes()[:50])
    read_back, missing = read(folder)
    assert read_back == messages
    assert re.search(facts(file.name, damaged.name, 'metadata.yaml'), missing)
    assert not is_truncated(folder)


@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_renamed_files_are_read(tmp_path, messages, storage):
    folder = folder_of(tmp_path, storage, messages, files=3)
    for file in list(folder.glob('bag_*')):
        file.rename(file.with_stem(f'renamed_{file.stem}'))
    assert read(folder) == (messages, '')


@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_bag_may_have_more_files_than_a_process_may_open(tmp_path, messages, storage):
    messages = messages[:40]
    folder = folder_of(tmp_path, storage, messages, files=40)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, before[1]))
    try:
        assert read(folder) == (messages, '')
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def let_system_fail(monkeypatch, error):
    """Raise an error wherever the file bag_1 is read, in a database behind the third row."""
    whole, connect = McapFile._read, sqlite3.connect

    def read(file, at, size):
        if file.path.name == 'bag_1.mcap':
            raise error
        return whole(file, at, size)

    def first(rows):
        yield from islice(rows, 3)
        raise error

    class Connection(sqlite3.Connection):
        """Fails behind the third message."""

        def execute(self, statement, *values):
            rows = super().execute(statement, *values)
            return first(rows) if 'FROM messages' in statement else rows

    def fail(place, **options):
        factory = Connection if 'bag_1.db3' in place else sqlite3.Connection
        return connect(place, factory=factory, **options)

    monkeypatch.setattr(McapFile, '_read', read)
    monkeypatch.setattr(sqlite3, 'connect', fail)


@pytest.mark.parametrize(
    ('storage', 'error'),
    [
        *(('mcap', OSError(n, os.strerror(n))) for n in (errno.EMFILE, errno.EIO, errno.ESTALE)),
        ('sqlite3', sqlite3.OperationalError('disk I/O error')),
        ('sqlite3', sqlite3.OperationalError('unable to open database file')),
    ],
    ids=str,
)
@pytest.mark.parametrize('when', ['opened', 'read'])
@pytest.mark.parametrize('truncated', [False, True])
def test_error_of_the_system_is_no_damage(
    tmp_path, messages, monkeypatch, storage, error, when, truncated
):
    folder = folder_of(tmp_path, storage, messages, files=2)
    if truncated:
        (file,) = folder.glob('bag_1.*')
        os.truncate(file, file.stat().st_size * 9 // 10)
    said = facts('bag_1.', getattr(error, 'strerror', str(error)))
    with ExitStack() as stack:
        if when == 'read':
            recording = stack.enter_context(open_recording(folder))
            assert bool(recording.missing) == truncated
        let_system_fail(monkeypatch, error)
        with pytest.raises(RecordingError, match=said) as raised:
            if when == 'read':
                list(recording.messages())
            else:
                open_recording(folder)
    assert 'damaged' not in str(raised.value)


@pytest.mark.parametrize('stated', [3, 90])
@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_other_number_in_metadata_is_named(tmp_path, messages, storage, stated):
    folder = folder_of(tmp_path, storage, messages)
    text = (folder / 'metadata.yaml').read_text()
    (folder / 'metadata.yaml').write_text(
        text.replace('message_count: 60', f'message_count: {stated}')
    )
    read_back, missing = read(folder)
    assert read_back == messages
    assert re.search(facts('metadata.yaml', TOPIC, 60, stated), missing)


@pytest.mark.parametrize(
    'text',
    [
        'rosbag2_bagfile_information: 3',
        'rosbag2_bagfile_information: {relative_file_paths: 7, topics_with_message_count: x}',
        'rosbag2_bagfile_information: {relative_file_paths: [1, {}, null, ""]}',
        'rosbag2_bagfile_information: {relative_file_paths: [/etc/passwd, ../../secret.mcap]}',
        'rosbag2_bagfile_information:\n  topics_with_message_count: [1, {message_count: 3}]',
        '[' * 5000,
        '- \x00',
    ],
    ids=range(7),
)
def test_odd_metadata_does_not_matter(tmp_path, messages, text):
    folder = folder_of(tmp_path, 'mcap', messages)
    (folder / 'metadata.yaml').write_text(text)
    read_back, missing = read(folder)
    assert read_back == messages
    assert '/etc' not in missing
    assert '..' not in missing


# ------------------------------------------------------------------------------- names and content


@pytest.mark.parametrize('ending', ['', '.zst', '.zstd', '.ZSTD'])
@pytest.mark.parametrize(
    ('kind', 'name'),
    [
        ('rosbag1', 'a.bag'),
        ('rosbag1', 'a.BAG'),
        ('rosbag1', 'a.bag.active'),
        ('mcap', 'a.MCAP'),
        ('mcap', 'a.mcap'),
        ('sqlite3', 'a.db3'),
        ('sqlite3', 'a.Db3'),
    ],
)
def test_endings_of_bags_are_known(tmp_path, messages, kind, name, ending):
    source = write_recording(tmp_path, kind, {TOPIC: (EVENT_PACKET, messages)})
    if source.is_dir():
        (source,) = (file for file in source.iterdir() if file.suffix != '.yaml')
    path = source.rename(tmp_path / name)
    if ending:
        path = compress(path, ending)
    assert read(path) == (messages, '')
    with open_recording(path) as recording:
        assert recording.format == ('rosbag1' if kind == 'rosbag1' else 'rosbag2')


CONTENT = {
    'git lfs pull': b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n',
    'HTML': b'\xef\xbb\xbf\n <!DOCTYPE html>\n<html><body>404</body></html>',
    'empty': b'',
}


@pytest.mark.parametrize(
    'name',
    ['a.bag', 'a.db3', 'a.mcap', 'a.mcap.zst', 'a.raw', 'a.dat', 'a.h5', 'a.aedat4', 'a.es']
    + ['a.txt', 'a.csv', 'a.txt.gz', 'a.npy', 'a.npz'],
)
@pytest.mark.parametrize('word', CONTENT)
def test_what_is_no_recording_is_named_for_what_it_is(tmp_path, name, word):
    path = tmp_path / name
    path.write_bytes(CONTENT[word])
    with pytest.raises(RecordingError, match=facts(name, word)):
        open_recording(path)


@pytest.mark.parametrize(
    ('name', 'named'),
    [
        ('a.mcap.gz', 'gunzip a.mcap.gz'),
        ('a.MCAP.LZ4', 'lz4 -d a.MCAP.LZ4 a.MCAP'),
        ('a.bag.gz', 'gunzip'),
        ('a.bag.active.bz2', 'bunzip2'),
        ('a.db3.xz', 'unxz'),
        ('a.raw.zst', 'zstd -d a.raw.zst -o a.raw'),
        ('a.h5.gz', 'gunzip'),
        ('a.npy.zstd', 'zstd -d'),
        ('a.csv.bz2', 'bunzip2'),
        ('my run.aedat4.gz', "gunzip 'my run.aedat4.gz'"),
    ],
)
def test_compressed_recordings_that_are_not_read_are_named(tmp_path, name, named):
    path = tmp_path / name
    path.write_bytes(b'content')
    for place in (path, tmp_path) if '.mcap' in name.lower() else (path,):
        with pytest.raises(RecordingError, match=facts(name, 'compressed', named)):
            open_recording(place)
    path.write_bytes(CONTENT['git lfs pull'])
    with pytest.raises(RecordingError, match=facts(name, 'git lfs pull')):
        open_recording(path)
    with pytest.raises(RecordingError, match=facts('a.gz', 'aedat4')):
        path.rename(tmp_path / 'a.gz')
        open_recording(tmp_path / 'a.gz')


def test_pointers_in_a_folder_are_named(tmp_path, messages):
    folder = folder_of(tmp_path, 'mcap', messages, files=2)
    first, second = sorted(folder.glob('bag_*'))
    second.write_bytes(CONTENT['git lfs pull'])
    read_back, missing = read(folder)
    assert read_back == messages[:30]
    assert re.search(facts(second.name, 'git lfs pull'), missing)
    first.write_bytes(CONTENT['git lfs pull'])
    with pytest.raises(RecordingError, match=facts(first.name, 'git lfs pull')):
        open_recording(folder)


# --------------------------------------------------------------------------------------- expansion

ZEROS = 1 << 27


def compress_zeros(method: str, *, stated: bool = True) -> bytes:
    zeros = bytes(ZEROS)
    if method == 'lz4':
        return lz4.frame.compress(zeros)
    if method == 'bz2':
        return bz2.compress(zeros)
    if stated:
        return zstandard.ZstdCompressor().compress(zeros)
    stream = zstandard.ZstdCompressor().compressobj()
    return stream.compress(zeros) + stream.flush()


def assert_refused(call, limit: int) -> None:
    """Assert that a call is refused before Python allocates so many bytes."""
    with peak_below(limit), pytest.raises((RecordingError, ExpansionError), match=facts(VARIABLE)):
        call()


@pytest.mark.parametrize(
    ('method', 'stated'), [('zstd', True), ('zstd', False), ('lz4', True), ('bz2', True)]
)
def test_data_that_expands_beyond_the_limit_is_refused(method, stated, monkeypatch):
    data = compress_zeros(method, stated=stated)
    assert_refused(lambda: decompress(data, method), 1 << 26)
    monkeypatch.setenv(VARIABLE, str(ZEROS))
    assert len(decompress(data, method)) == ZEROS


@pytest.mark.parametrize('size', [0, 1, 10**5, 3 * 10**6])
@pytest.mark.parametrize('method', ['zstd', 'lz4', 'bz2'])
def test_decompressed_data_is_the_original(method, size):
    data = np.random.default_rng(size).integers(0, 9, size).astype(np.uint8).tobytes()
    code = {
        'zstd': zstandard.ZstdCompressor().compress,
        'lz4': lz4.frame.compress,
        'bz2': bz2.compress,
    }[method](data)
    assert decompress(code, method) == data
    assert decompress(memoryview(code + code), method) == data + data
    if size:
        with pytest.raises((ValueError, EOFError, zstandard.ZstdError)):
            decompress(code[: len(code) // 2], method)


@pytest.mark.parametrize('method', ['zstd', 'lz4'])
@pytest.mark.parametrize('indexed', [True, False])
def test_chunk_of_mcap_that_expands_is_refused(tmp_path, messages, method, indexed):
    path = write_mcap(tmp_path / 'a.mcap', messages, use_statistics=indexed)
    data = compress_zeros(method)
    chunk = struct.pack('<QQQII', 0, 2**60, ZEROS, 0, len(method)) + method.encode()
    chunk += struct.pack('<Q', len(data)) + data
    records = split(path.read_bytes())
    end = next(index for index, (code, _) in enumerate(records) if code == Opcode.DATA_END)
    path.write_bytes(join([*records[:end], (Opcode.CHUNK, chunk), *records[end:]]))
    assert_refused(lambda: read(path), 1 << 26)


@pytest.mark.parametrize('method', ['bz2', 'lz4'])
def test_chunk_of_rosbag1_that_expands_is_refused(tmp_path, messages, method):
    path = write_rosbag1(tmp_path / 'a.bag', {TOPIC: (EVENT_PACKET, messages)})
    fields = b''.join(
        struct.pack('<I', len(field)) + field
        for field in (b'op=\5', b'compression=' + method.encode(), b'size=' + bytes(4))
    )
    data = compress_zeros(method)
    chunk = struct.pack('<I', len(fields)) + fields + struct.pack('<I', len(data)) + data
    path.write_bytes(path.read_bytes() + chunk)
    assert_refused(lambda: read(path), 1 << 26)


@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_message_that_expands_is_refused(tmp_path, storage):
    message = (START_NS, compress_zeros('zstd'))
    folder = write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_PACKET, [message])}, storage)
    assert_refused(lambda: read(folder), 1 << 26)


@pytest.mark.parametrize('name', ['a.mcap.zst', 'a.db3.zstd', 'a.bag.zst'])
def test_file_that_expands_is_refused_and_leaves_nothing(tmp_path, monkeypatch, name):
    (tmp_path / 'temporary').mkdir()
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path / 'temporary'))
    (tmp_path / name).write_bytes(compress_zeros('zstd', stated=False))
    assert_refused(lambda: read(tmp_path / name), 1 << 28)
    assert not list((tmp_path / 'temporary').iterdir())


def test_wrong_limit_is_named(tmp_path, messages, monkeypatch):
    path = write_mcap(tmp_path / 'a.mcap', messages)
    for value in ('many', '0', 'nan', 'inf', '-3'):
        monkeypatch.setenv(VARIABLE, value)
        with pytest.raises(SettingError, match=facts(VARIABLE)):
            open_recording(path)


# -------------------------------------------------------------------------------- damaged messages


def write_stored(folder: Path, container: str, kind: str, damaged: range) -> Path:
    """Write twelve messages that are to be converted, some of them cut."""
    messages = event_messages(kind, messages=12)
    store = message_types()
    for index, (time_ns, raw) in enumerate(messages):
        if container == 'compressed':
            raw = zstandard.ZstdCompressor().compress(raw)
        else:
            raw = bytes(store.cdr_to_ros1(raw, kind))
        messages[index] = time_ns, raw[:-5] if index in damaged else raw
    if container == 'compressed':
        return write_rosbag2(folder / 'bag', {TOPIC: (kind, messages)})
    if container == 'mcap':
        return write_mcap(folder / 'a.mcap', messages, kind=kind, encoding='ros1')
    with Rosbag1Writer(folder / 'a.bag') as writer:
        connection = writer.add_connection(TOPIC, kind, typestore=store)
        for time_ns, raw in messages:
            writer.write(connection, time_ns, raw)
    return folder / 'a.bag'


@pytest.mark.parametrize('first', [0, 4])
@pytest.mark.parametrize('kind', [EVENT_PACKET, EVENT_ARRAY])
@pytest.mark.parametrize('container', ['rosbag1', 'mcap', 'compressed'])
def test_message_that_cannot_be_converted_costs_itself(tmp_path, container, kind, first):
    path = write_stored(tmp_path, container, kind, range(first, first + 2))
    with open_recording(path) as recording:
        assert recording.sensor_size == (HEIGHT, WIDTH)
        assert sum(map(len, recording)) == 10 * 20
        assert recording.refused == 2
        assert not recording.truncated
        assert re.search(facts(2, first, TOPIC, kind), recording.warnings[0])
        expected = event_messages(kind, messages=12)
        del expected[first], expected[first]
        assert list(recording.messages()) == expected
        assert recording.refused == 2


@pytest.mark.parametrize('container', ['rosbag1', 'mcap', 'compressed'])
def test_bag_of_messages_that_cannot_be_converted_is_refused(tmp_path, container):
    path = write_stored(tmp_path, container, EVENT_ARRAY, range(7))
    with open_recording(path) as recording, pytest.raises(RecordingError, match=facts(7, 12)):
        list(recording)


# ----------------------------------------------------------------------------------- damaged bytes


def mutate(content: bytes, random: np.random.Generator) -> bytes:
    """Change a file as disks, networks and attackers do."""
    data = bytearray(content)
    for _ in range(random.integers(1, 4)):
        at = int(random.integers(0, max(1, len(data))))
        kind = random.integers(0, 6)
        if kind == 0 and data:
            data[at] ^= 1 << int(random.integers(0, 8))
        elif kind == 1:
            size = int(random.choice([1, 2, 4, 8]))
            end = at + size
            data[at:end] = random.integers(0, 256, size).astype(np.uint8).tobytes()
        elif kind == 2:
            value = (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 64) - 1)[random.integers(0, 6)]
            size = 4 if value < 1 << 32 else 8
            end = at + size
            data[at:end] = value.to_bytes(size, 'little')
        elif kind == 3:
            end = at + int(random.integers(1, 64))
            del data[at:end]
        elif kind == 4:
            source = int(random.integers(0, max(1, len(data))))
            data[at:at] = data[source:][: int(random.integers(1, 200))]
        else:
            del data[at:]
    return bytes(data)


def small_files(tmp_path: Path) -> dict[str, bytes]:
    """Return a small file of every kind of bag."""
    messages = event_messages(EVENT_PACKET, messages=6, events=8)
    topics = {'/text': ('std_msgs/msg/String', text_messages(1)), TOPIC: (EVENT_PACKET, messages)}
    array = event_messages(EVENT_ARRAY, messages=3, events=5)
    store = message_types()
    ros1 = [(t, bytes(store.cdr_to_ros1(raw, EVENT_ARRAY))) for t, raw in array]
    files = {}
    for name, options in {
        'zstd.mcap': {'compression': CompressionType.ZSTD},
        'lz4.mcap': {'compression': CompressionType.LZ4, 'index_types': IndexType.NONE},
        'plain.mcap': {'compression': CompressionType.NONE, 'enable_crcs': False},
        'scanned.mcap': {'enable_crcs': False, 'use_statistics': False},
        'unchunked.mcap': {'use_chunking': False},
    }.items():
        path = write_mcap(tmp_path / name, messages, chunk_size=600, **options)
        files[name] = path.read_bytes()
    path = write_mcap(
        tmp_path / 'ros1.mcap', ros1, kind=EVENT_ARRAY, encoding='ros1', profile='ros1'
    )
    files['ros1.mcap'] = path.read_bytes()
    files['a.bag'] = write_rosbag1(tmp_path / 'a.bag', topics).read_bytes()
    files['a.db3'] = (write_rosbag2(tmp_path / 'a', topics) / 'a.db3').read_bytes()
    files['a.mcap.zst'] = zstandard.ZstdCompressor().compress(files['plain.mcap'])
    return files


def test_no_change_of_a_file_raises_anything_else_or_takes_long(tmp_path):
    random = np.random.default_rng(14)
    for name, content in small_files(tmp_path).items():
        path = tmp_path / f'fuzzed_{name}'
        for number in range(60):
            changed = mutate(content, random)
            path.write_bytes(changed)
            began = time.process_time()
            try:
                with open_recording(path) as recording:
                    for _ in recording:
                        pass
                    assert isinstance(recording.missing, str)
            except RecordingError as error:
                assert str(tmp_path) in str(error) or name in str(error)
            assert time.process_time() - began < 1, (name, number)


@pytest.mark.parametrize('name', ['events.csv', 'events.raw', 'events.mcap', 'events.h5'])
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(RecordingError, match='is a pipe or device') as caught:
        open_recording(tmp_path / name)
    assert name in str(caught.value)
