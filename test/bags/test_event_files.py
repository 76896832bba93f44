# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Files without messages: aedat4, es, text and arrays, whole and damaged."""

from __future__ import annotations

import builtins
import errno
import gzip
import io
import os
from pathlib import Path
import random
import resource
import struct

from allocation import peak_below
from bags import event_files
from bags.recordings import HEIGHT, random_events, WIDTH
from events import encoders
from facts import facts
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from sast_ros.bags import open_recording, RecordingError, text
from sast_ros.bags.compression import ExpansionError, VARIABLE

COUNT = 120


@pytest.fixture(scope='module')
def events() -> dict[str, np.ndarray]:
    return random_events(COUNT, span_us=30_000)


def read(path: Path, topic: str | None = None) -> tuple[dict[str, np.ndarray], str]:
    """Return the events, and what is missing."""
    with open_recording(path, topic) as recording:
        chunks = list(recording)
        empty = np.zeros(0, int)
        columns = {
            name: np.concatenate([empty, *(getattr(chunk, name) for chunk in chunks)])
            for name in 'xypt'
        }
        return columns, recording.missing


def check(path: Path, events: dict[str, np.ndarray], topic: str | None = None) -> None:
    """Check that the recording holds exactly these events."""
    found, missing = read(path, topic)
    assert missing == ''
    for name in 'xypt':
        np.testing.assert_array_equal(found[name], events[name], err_msg=f'{path.name}: {name}')


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# ------------------------------------------------------------------------------------- whole files


def test_every_format_gives_the_events_twice(tmp_path, events):
    for path in event_files.write_every_format(tmp_path, events):
        with open_recording(path) as recording:
            for _ in range(2):
                t = np.concatenate([chunk.t for chunk in recording])
                np.testing.assert_array_equal(t, events['t'])
            done, total, _ = recording.progress
            assert 0 < done == total
        check(path, events)


@pytest.mark.parametrize('name', ['lz4.aedat4', 'dvs.es', 'columns.npz'])
def test_the_sensor_size_that_a_file_states_is_used(tmp_path, events, name):
    event_files.write_every_format(tmp_path, events)
    with open_recording(tmp_path / name) as recording:
        assert recording.sensor_size == (HEIGHT, WIDTH)


def test_the_ending_decides_in_upper_case_too(tmp_path, events):
    check(write(tmp_path / 'REC.TXT.GZ', gzip.compress(event_files.text(events))), events)
    with pytest.raises(RecordingError, match=facts('a.xyz', '.aedat4', '.es', '.npz', '.csv')):
        open_recording(write(tmp_path / 'a.xyz', b'something'))
    with pytest.raises(RecordingError, match=facts('a.es', '--topic')):
        open_recording(write(tmp_path / 'a.es', b'x'), '/events')


# ------------------------------------------------------------------------------------------ aedat4


@pytest.mark.parametrize('compression', event_files.COMPRESSIONS)
@pytest.mark.parametrize('table', [True, False])
def test_aedat4_in_every_compression(tmp_path, events, compression, table):
    content = event_files.aedat4(events, compression, table=table)
    check(write(tmp_path / 'a.aedat4', content), events)


def test_aedat4_streams_of_other_kinds_are_passed_over(tmp_path, events):
    streams = ((0, 'FRME', 'frames', 'davis'), (3, 'EVTS', 'events', 'davis'))
    content = event_files.aedat4(events, 'lz4', streams=streams)
    check(write(tmp_path / 'a.aedat4', content), events)
    content = event_files.aedat4(events, streams=streams[:1])
    with pytest.raises(RecordingError, match=facts('a.aedat4', 'FRME')):
        open_recording(write(tmp_path / 'a.aedat4', content))


def test_aedat4_one_of_several_cameras_must_be_named(tmp_path, events):
    streams = ((0, 'EVTS', 'events', 'left'), (1, 'EVTS', 'events', 'right'))
    path = write(tmp_path / 'a.aedat4', event_files.aedat4(events, streams=streams))
    with pytest.raises(RecordingError, match=facts('--topic', '/left/events', '/right/events')):
        open_recording(path)
    with pytest.raises(RecordingError, match=facts('/front', '--topic', '/right/events')):
        open_recording(path, '/front')
    check(path, events, '/right/events')


@pytest.mark.parametrize('table', [True, False])
@pytest.mark.parametrize('compression', ['lz4', 'zstd'])
def test_aedat4_damaged_packets_are_left_out_and_told(tmp_path, events, compression, table):
    content = bytearray(event_files.aedat4(events, compression, packet=40, table=table))
    at = content.index({'lz4': b'\x04"M\x18', 'zstd': b'\x28\xb5\x2f\xfd'}[compression])
    content[at] = 0
    found, missing = read(write(tmp_path / 'a.aedat4', bytes(content)))
    np.testing.assert_array_equal(found['t'], events['t'][40:])
    assert f'byte {at - 8}' in missing
    assert '2 packets' in missing


@pytest.mark.parametrize(
    ('field', 'value'),
    [(0, b'\xff' * 4), (0, b'\x50\0\0\0'), (4, b'\xff' * 4), (4, b'\x50\0\0\0'), (4, bytes(4))],
)
def test_aedat4_the_table_tells_where_packets_are_after_damage(tmp_path, events, field, value):
    content = bytearray(event_files.aedat4(events, packet=20))
    size = struct.pack('<i', len(event_files.event_packet(events)) - 16 * (COUNT - 20))
    at = content.index(struct.pack('<i', 0) + size, 20) + field
    second = content.index(struct.pack('<i', 0) + size, at + 8) + field
    content[slice(second, second + 4)] = value
    found, missing = read(write(tmp_path / 'a.aedat4', bytes(content)))
    np.testing.assert_array_equal(found['t'], np.delete(events['t'], slice(20, 40)))
    assert '5 packets' in missing


def test_aedat4_zeros_at_the_end_are_no_packets(tmp_path, events):
    content = event_files.aedat4(events, 'lz4', table=False)
    found, missing = read(write(tmp_path / 'a.aedat4', content + bytes(1 << 10)))
    np.testing.assert_array_equal(found['t'], events['t'])
    assert f'byte {len(content)};' in missing


@pytest.mark.parametrize('compression', ['lz4', 'zstd'])
def test_aedat4_packets_are_not_decompressed_without_bound(tmp_path, compression):
    code, compress = event_files.COMPRESSIONS[compression]
    bomb = compress(struct.pack('<I', 1 << 29) + bytes(1 << 29))
    content = event_files.aedat4_header([(0, 'EVTS', 'events', 'davis')], code)
    content += struct.pack('<ii', 0, len(bomb)) + bomb
    path = write(tmp_path / 'a.aedat4', content)
    del bomb, content
    refused = pytest.raises(RecordingError, match=facts('a.aedat4', VARIABLE))
    with peak_below(1 << 28), refused as caught:
        read(path)
    assert isinstance(caught.value.__cause__, ExpansionError)


def test_aedat4_a_packet_that_expands_costs_itself(tmp_path, events):
    content = event_files.aedat4(events, 'zstd', table=False)
    bomb = event_files.COMPRESSIONS['zstd'][1](bytes(1 << 25))
    found, missing = read(
        write(tmp_path / 'a.aedat4', content + struct.pack('<ii', 0, len(bomb)) + bomb)
    )
    np.testing.assert_array_equal(found['t'], events['t'])
    assert VARIABLE in missing


def test_aedat4_small_packets_do_not_add_up_to_much(tmp_path, monkeypatch):
    events = {name: np.zeros(1_800_000, int) for name in 'xypt'}
    content = event_files.aedat4(events, 'zstd', packet=100_000, table=False)
    path = write(tmp_path / 'a.aedat4', content)
    with open_recording(path) as recording:
        events_before = 0
        with pytest.raises(RecordingError, match=facts('a.aedat4', VARIABLE)):
            for chunk in recording:
                events_before += len(chunk)
    assert 100_000 < events_before <= 1 << 20
    monkeypatch.setenv(VARIABLE, '100000')
    assert len(read(path)[0]['t']) == 1_800_000


@pytest.mark.parametrize(
    'xml',
    ['<dv><!DOCTYPE a></dv>', '<!DOCTYPE a [<!ENTITY b "c">]><dv>&b;</dv>', '<dv', '<dv/>']
    + ['<dv>' + '<a>' * 200_000 + '</a>' * 200_000 + '</dv>'],
)
def test_aedat4_a_header_that_is_no_description_is_refused(tmp_path, xml):
    content = event_files.aedat4_header([], 0, xml=xml)
    with pytest.raises(RecordingError, match=facts('a.aedat4')):
        open_recording(write(tmp_path / 'a.aedat4', content))


# ---------------------------------------------------------------------------------------------- es


def test_es_resets_are_ignored_and_overflows_add_up(tmp_path):
    events = {'x': [1, 2], 'y': [3, 4], 'p': [0, 1], 't': [5, 1_000_000]}
    events = {name: np.array(values) for name, values in events.items()}
    content = event_files.event_stream(events)
    at = content.index(b'\xff')
    content = content[:at] + b'\xfe' * 5 + content[at:]
    check(write(tmp_path / 'a.es', content), events)


@pytest.mark.parametrize(
    ('kind', 'version', 'named'), [(2, 2, 'ATIS'), (4, 2, 'colour'), (9, 2, 9), (1, 1, '1.0.0')]
)
def test_es_other_versions_and_types_are_named(tmp_path, events, kind, version, named):
    content = event_files.event_stream(events, kind, version)
    with pytest.raises(RecordingError, match=facts('a.es', named)):
        open_recording(write(tmp_path / 'a.es', content))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([b'\xfe', b'\xff', bytes(5), b'\x02\x01\0\x01\0']), max_size=80))
def test_es_parts_of_any_order_give_every_event(tmp_path_factory, parts):
    path = tmp_path_factory.mktemp('es') / 'a.es'
    found, missing = read(
        write(path, event_files.event_stream(random_events(0)) + b''.join(parts))
    )
    times, now = [], 0
    for part in parts:
        now += {1: 127 * (part == b'\xff'), 5: part[0] >> 1}[len(part)]
        times += [now] * (len(part) == 5)
    assert found['t'].tolist() == times
    assert missing == ''


# -------------------------------------------------------------------------------------------- text


@pytest.mark.parametrize(
    ('line', 'head'),
    [
        ('{t} {x} {y} {p}\n', ''),
        ('{s:.6f} {x} {y} {p}\n', f'{WIDTH} {HEIGHT}\n'),
        ('{t},{x},{y},{sign}\r\n', '# made by hand\r\n\r\n'),
        ('{x};{y};{truth};{t}\n', 'x;y;polarity;timestamp\n'),
        ('{x}\t{y}\t{p}\t{s:.9e}\n', '# x y p t\n'),
        ('{x:.18e} {y:.18e} {s:.18e} {p:.18e}\n', '# x y t p\n'),
        ('7,{t}000,"{x}","{y}",{p},note\n', 'id,timestamp [ns],x,y,pol,text\n'),
        ('{t}.0 {x} {y} {p}\n', '\ufefftime_us x y p\n'),
        ('{x},{y},{p},{t}\n', ''),
        ('{x} {y} {s:.6f} {p}\n', ''),
    ],
)
def test_text_in_every_usual_layout(tmp_path, events, line, head):
    path = write(tmp_path / 'a.csv', event_files.text(events, line, head))
    check(path, events)
    with open_recording(path) as recording:
        assert recording.sensor_size == ((HEIGHT, WIDTH) if head.startswith(f'{WIDTH} ') else None)


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16-le', 'utf-16-be'])
@pytest.mark.parametrize('end', ['\n', '\r\n', '\r'])
def test_text_of_other_systems(tmp_path, monkeypatch, events, encoding, end):
    monkeypatch.setattr(text, '_BLOCK', 2001)  # characters are cut apart
    content = event_files.text(events, head='t x y p\n').decode().replace('\n', end)
    mark = '\ufeff' if encoding.startswith('utf-16') else ''
    path = write(tmp_path / 'a.txt', (mark + content).encode(encoding))
    check(path, events)
    path.write_bytes(path.read_bytes()[:-7])
    with open_recording(path) as recording:
        assert sum(map(len, recording)) >= len(events['t']) - 2


#: Lines that are no event, and what an error names of them.
BAD_LINES = [
    ('1 2 3', '3 columns'),
    ('1 2 3 1 0', '5 columns'),
    ('1 x 3 1', "'x'"),
    ('1 2 nan 1', "'nan'"),
    ('1 2.5 3 1', "'2.5'"),
    ('1 2 3 maybe', "'maybe'"),
    ('1 2 3 7', "'7'"),
    ('99999999999999999999 2 3 1', "'99999999999999999999'"),
    ('1 2 \x1b[31m 1', r"'\x1b[31m'"),
    ('\0' * 5_000_000, '0'),
]


@pytest.mark.parametrize('place', [0, 1, 100])
@pytest.mark.parametrize('line', [line for line, _ in BAD_LINES])
@pytest.mark.parametrize('head', ['', 't,x,y,p\n'])
def test_text_a_bad_line_costs_itself(tmp_path, events, line, place, head):
    if len(line) > 1 << 21 and (place == 0 or not head):
        line = line[:1000]
    lines = event_files.text(events).decode().splitlines()
    if head or place or any(word.isdecimal() for word in line.split()):
        lines.insert(place, line)
    path = write(tmp_path / 'a.txt', (head + '\n'.join([*lines, ''])).encode())
    with open_recording(path) as recording:
        chunks = list(recording)
        assert recording.missing == ''
    np.testing.assert_array_equal(np.concatenate([chunk.t for chunk in chunks]), events['t'])
    assert sum(chunk.left_out.get('invalid', 0) for chunk in chunks) == len(lines) - COUNT


@pytest.mark.parametrize(('line', 'named'), BAD_LINES[:-1])
def test_text_many_bad_lines_are_an_error_that_names_the_first(tmp_path, events, line, named):
    lines = event_files.text(events).decode().splitlines()
    lines[100:100] = [line, line]
    path = write(tmp_path / 'a.txt', '\n'.join(['# comment', *lines, '']).encode())
    with open_recording(path) as recording:
        count = 0
        with pytest.raises(RecordingError, match=facts('a.txt', 'line 102', named)) as caught:
            for chunk in recording:
                count += len(chunk)
    assert '\x1b' not in str(caught.value)
    assert count == COUNT


@pytest.mark.parametrize('line', ['{p} {x} {y} {t}\n', '{t} {p} {x} {y}\n'])
def test_text_in_another_order_is_an_error(tmp_path, line):
    path = write(tmp_path / 'a.txt', event_files.text(random_events(COUNT, 9000), line))
    with pytest.raises(RecordingError, match=facts('a.txt', 'line 1', 'columns')):
        read(path)


def test_text_a_damaged_value_does_not_decide_about_the_unit(tmp_path, events):
    content = event_files.text(events).replace(b' ', b'.5 ', 1)
    found, _ = read(write(tmp_path / 'a.txt', content))
    np.testing.assert_array_equal(found['t'][1:], events['t'][1:])


@pytest.mark.parametrize(('place', 'bad'), [(-1, 9), (290_000, 2500)])
def test_text_bad_lines_in_one_place_of_a_long_file_cost_themselves(tmp_path, place, bad):
    lines = [b'%d 1 2 1\n' % t for t in range(300_000)]
    lines[place:place] = bad * [b'x 1 2 1\n']
    found, missing = read(write(tmp_path / 'a.txt', b''.join(lines)))
    assert (len(found['t']), missing) == (300_000, '')


@pytest.mark.parametrize('damage', ['zlib', 'crc'])
def test_compressed_text_is_read_up_to_its_damage(tmp_path, damage):
    plain = event_files.text(random_events(20_000, 900_000))
    content = bytearray(gzip.compress(plain))
    at = len(content) // 2 if damage == 'zlib' else len(content) - 8
    end = at + 4
    content[at:end] = bytes(byte ^ 0xFF for byte in content[at:end])
    found, missing = read(write(tmp_path / 'a.txt.gz', bytes(content)))
    assert 'a.txt.gz is damaged' in missing
    assert len(found['t']) > 9000 if damage == 'zlib' else len(found['t']) == 20_000


def test_npz_is_read_up_to_its_damage(tmp_path):
    events = random_events(600_000, 9_000_000)
    np.savez_compressed(tmp_path / 'a.npz', **events)
    content = bytearray((tmp_path / 'a.npz').read_bytes())
    at = content.index(b't.npy') - 100  # the end of the array before
    end = at + 8
    content[at:end] = bytes(byte ^ 0xFF for byte in content[at:end])
    found, missing = read(write(tmp_path / 'a.npz', bytes(content)))
    np.testing.assert_array_equal(found['t'], events['t'][: len(found['t'])])
    assert len(found['t']) >= 1 << 18
    assert 'a.npz is damaged' in missing


@pytest.mark.parametrize('content', [b'\n', b'# comment', b't x y p\n', b'64 48\n\n# end\n'])
def test_text_without_events_has_none(tmp_path, content):
    found, missing = read(write(tmp_path / 'a.txt', content))
    assert (len(found['t']), missing) == (0, '')


def test_text_that_is_none_is_refused(tmp_path):
    for content in (
        b'PK\x03\x04',
        b'<html>\n',
        b'1 2 3 4 5\n',
        b'\0' * (3 << 20),
        b'# comment\n' * 30_000 + b'0.5 1 2 1\n',
    ):
        with pytest.raises(RecordingError, match=facts('a.txt')):
            read(write(tmp_path / 'a.txt', content))


def test_text_an_archive_must_hold_one_text(tmp_path, events):
    content = event_files.text(events)
    for members in ({}, {'a.txt': content, 'b.csv': content}):
        path = event_files.write_zip(tmp_path / 'a.zip', members)
        with pytest.raises(RecordingError, match=facts('a.zip', f'{len(members)} text files')):
            open_recording(path)
    members = {'a/events.txt': content, '__MACOSX/a/events.txt': b'', 'readme.md': b''}
    check(event_files.write_zip(tmp_path / 'a.zip', members), events)


def test_text_that_decompresses_to_much_takes_little_memory(tmp_path):
    long_line = write(tmp_path / 'a.txt.gz', gzip.compress(bytes(1 << 26)))
    comments = write(
        tmp_path / 'b.txt.gz', gzip.compress(b'1 2 3 1\n' + b'# nothing\n' * (1 << 22))
    )
    with peak_below(1 << 26):
        with pytest.raises(RecordingError, match=facts('a.txt.gz')):
            read(long_line)
        assert read(comments)[0]['t'].tolist() == [1]


@settings(max_examples=200, deadline=None)
@given(
    st.integers(-(2**30), 2**30),
    st.integers(0, 12),
    st.sampled_from(['{}', '+{}', '{}e0', '00{}', '{}E+00']),
)
def test_text_times_are_those_of_exact_arithmetic(tmp_path_factory, number, places, form):
    """Seconds are rounded to the nearest microsecond."""
    digits = f'{abs(number):0{places + 1}d}'
    value = f'{digits[: len(digits) - places]}.{digits[len(digits) - places :]}'
    written = form.format(value) if number >= 0 else f'-{value}'
    path = tmp_path_factory.mktemp('text') / 'a.txt'
    found, _ = read(write(path, f'{written} 1 2 1\n'.encode()))
    (t,) = found['t'].tolist()
    assert 2 * abs(t * 10**places - number * 10**6) <= 10**places


# ------------------------------------------------------------------------------------------ arrays


def npy(descr: str, shape: tuple[int, ...], content: bytes, fortran: bool = False) -> bytes:
    """Return a ``.npy`` file whose header states what it likes."""
    header = str({'descr': descr, 'fortran_order': fortran, 'shape': shape}).encode()
    return b'\x93NUMPY\x01\0' + struct.pack('<H', len(header)) + header + content


def test_npy_the_size_of_the_file_counts_not_its_header(tmp_path, events):
    content = event_files.table(events).tobytes()
    found, missing = read(write(tmp_path / 'a.npy', npy('<i8', (10**12, 4), content)))
    np.testing.assert_array_equal(found['x'], events['x'])
    assert f'{COUNT} of its 1000000000000' in missing
    path = write(tmp_path / 'a.npy', npy('<i8', (10**12, 4), content, fortran=True))
    assert read(path)[1]


@pytest.mark.parametrize(
    ('content', 'named'),
    [
        (npy('|O', (3, 4), b'cos\nsystem\n(S"true"\ntR.' * 9), 'objects'),
        (npy('<i8', (10, 3), bytes(240)), '(10, 3)'),
        (npy('<c16', (10, 4), bytes(640)), 'complex128'),
        (npy('<i8', (-1, 4), bytes(64)), '-1'),
        (b'\x93NUMPY\x01\0\x28\x23' + b'(' * 9000, 'header'),
        (b'version https://git-lfs', 'git-lfs'),
        (b'', 'empty'),
        (b'some text', 'header'),
    ],
)
def test_npy_other_content_is_refused(tmp_path, content, named):
    with pytest.raises(RecordingError, match=facts('a.npy', named)):
        read(write(tmp_path / 'a.npy', content))


def test_npz_the_arrays_must_be_columns_of_one_length(tmp_path, events):
    np.savez(tmp_path / 'a.npz', **{**events, 't': events['t'][1:]})
    with pytest.raises(RecordingError, match=facts('a.npz', COUNT, COUNT - 1)):
        open_recording(tmp_path / 'a.npz')
    np.savez(tmp_path / 'a.npz', a=event_files.table(events), b=event_files.table(events))
    with pytest.raises(RecordingError, match=facts('a.npz', "'a'", "'b'")):
        open_recording(tmp_path / 'a.npz')
    np.savez(tmp_path / 'a.npz', **{**events, 'p': events['p'].astype(str)})
    with pytest.raises(RecordingError, match=facts('a.npz', 'p', '<U')):
        open_recording(tmp_path / 'a.npz')


# ------------------------------------------------------------------------------------------ damage


def survives(path: Path, content: bytes, events: dict[str, np.ndarray], cut: bool) -> None:
    """Check that a damaged file gives events or a RecordingError, and nothing else."""
    try:
        found, missing = read(write(path, content))
    except RecordingError as error:
        assert str(path) in str(error)
        assert '\n' not in str(error)
        return
    if cut:
        count = len(found['t'])
        assert count == COUNT or missing or path.suffix in ('.txt', '.csv', '.es')
        np.testing.assert_array_equal(found['x'][: count - 1], events['x'][: max(0, count - 1)])


class FailingFile(io.BufferedReader):
    """A file on a disk that fails after some bytes."""

    def read(self, size: int = -1) -> bytes:
        """Return at most that many bytes, or raise the error of the disk."""
        if self.tell() > FailingFile.end:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(min(size, 1 << 12) if size >= 0 else size)

    read1 = read
    end = 0


@pytest.mark.parametrize('name', ['plain.aedat4', 'dvs.es', 'plain.txt', 'a.dat'])
def test_error_of_the_disk_is_named_after_the_events_before(tmp_path, monkeypatch, name):
    events = random_events(3000, span_us=900_000)
    event_files.write_every_format(tmp_path, events)
    (tmp_path / 'a.dat').write_bytes(
        b'% Version 2\n\x0c\x08' + encoders.dat(*(events[key] for key in 'xypt'))
    )
    count = 0
    with open_recording(tmp_path / name) as recording:
        size = recording.byte_size

        def open_failing(path, *arguments, **options):
            return FailingFile(io.FileIO(path))

        monkeypatch.setattr(FailingFile, 'end', size // 2)
        monkeypatch.setattr(Path, 'open', open_failing)
        monkeypatch.setattr(builtins, 'open', open_failing)
        with pytest.raises(RecordingError, match=facts(name, os.strerror(errno.EIO))):
            for chunk in recording:
                count += len(chunk)
    monkeypatch.undo()
    assert count > 900


def test_files_cut_anywhere_give_the_events_before(tmp_path, events):
    (tmp_path / 'cut').mkdir()
    for path in event_files.write_every_format(tmp_path, events):
        content = path.read_bytes()
        for end in [*range(1, len(content), 1 + len(content) // 80), len(content) - 1]:
            survives(tmp_path / 'cut' / path.name, content[:end], events, cut=True)


def test_changed_bytes_give_events_or_an_error(tmp_path, events):
    (tmp_path / 'bad').mkdir()
    chance = random.Random(0)
    for path in event_files.write_every_format(tmp_path, events):
        content = path.read_bytes()
        for _ in range(40):
            changed = bytearray(content)
            for _ in range(chance.choice((1, 1, 2, 5))):
                at = chance.randrange(len(changed))
                size = chance.choice((1, 2, 4, 8))
                changed[slice(at, at + size)] = chance.choice(
                    (b'\xff' * size, bytes(size), chance.randbytes(size), b'', b'7' * size)
                )
            survives(tmp_path / 'bad' / path.name, bytes(changed), events, cut=False)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 << 20
