# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Prophesee recordings on disk: .raw and .dat."""

from __future__ import annotations

from pathlib import Path
import struct

from allocation import peak_below
from events import encoders
from events.encoders import Evt3, random_events, words16
from facts import facts
import numpy as np
import pytest
from sast_ros.events import EventChunk, EventFormatError, open_prophesee_file
from sast_ros.events.order import CHUNK


def joined(chunks: list[EventChunk]) -> tuple[np.ndarray, ...]:
    return tuple(np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in 'xypt')


def write(folder: Path, name: str, header: list[str], body: bytes) -> Path:
    path = folder / name
    path.write_bytes(''.join(f'% {line}\n' for line in header).encode() + body)
    return path


def write_events(folder: Path, name: str, events: encoders.Events, missing: int = 0) -> Path:
    """Write a .raw or .dat file of a 64x48 sensor, without so many bytes of its end."""
    if name.endswith('dat'):
        header = ['Version 2', 'Width 64', 'Height 48']
        body = b'\x0c\x08' + encoders.dat(*events)
    else:
        header, body = ['evt 2.0', 'geometry 64x48'], encoders.evt2(*events)
    return write(folder, name, header, body[: len(body) - missing])


def test_raw_and_dat_of_one_recording_hold_the_same_events(shared: Path) -> None:
    folder = shared / 'data/faery_imx636'
    raw, dat = (
        open_prophesee_file(folder / 'imx636_evt3.raw'),
        open_prophesee_file(folder / 'imx636_cd.dat'),
    )
    assert (raw.width, raw.height) == (dat.width, dat.height) == (1280, 720)
    from_raw, from_dat = joined(list(raw)), joined(list(dat))
    assert len(from_raw[3]) == 1_218_618
    for a, b in zip(from_raw[:3], from_dat[:3], strict=True):
        np.testing.assert_array_equal(a, b)
    assert set((from_raw[3] - from_dat[3]).tolist()) == {11_194_368}
    assert (from_raw[3][0], from_dat[3][0]) == (11_200_224, 5856)


def test_reading_takes_constant_memory_and_starts_anew_each_time(tmp_path: Path) -> None:
    events = random_events(1_200_000, 1280, 720, span=10_000_000)
    header = ['Version 2', 'Width 1280', 'Height 720']
    recording = open_prophesee_file(
        write(tmp_path, 'long.dat', header, b'\x0c\x08' + encoders.dat(*events))
    )
    with peak_below(8 << 20):  # the file has 9.6 MB, its events 15.6 MB
        counts = [len(chunk) for chunk in recording]
    assert sum(counts) == 1_200_000
    assert max(counts) <= CHUNK
    assert [len(chunk) for chunk in recording] == counts


@pytest.mark.parametrize(
    ('header', 'encode'),
    [
        (['format EVT3;height=48;width=64', 'end'], 'evt3'),
        (['evt 3.0', 'geometry 64x48', 'integrator_name Prophesee'], 'evt3'),
        (['format EVT2', 'geometry 64x48', 'end'], 'evt2'),
        (['evt 2.0', 'geometry 64x48'], 'evt2'),
        (['format EVT21;endianness=little;height=48;width=64'], 'evt21'),
        (['format EVT21;height=48;width=64', 'sensor_name GenX320', 'end'], 'evt21'),
        (['format EVT21;endianness=legacy;height=48;width=64'], 'legacy'),
        (['format EVT21;height=48;width=64', 'endianness legacy'], 'legacy'),
        (['evt 2.1', 'geometry 64x48', 'sensor_generation 4.2'], 'legacy'),
    ],
)
def test_formats_by_any_header(tmp_path: Path, header: list[str], encode: str) -> None:
    x, y, p, t = random_events(20_000, 64, 48, start=10_000_000, span=9_000_000)
    body = {
        'evt3': lambda: words16(*Evt3.stream(x, y, p, t)),
        'evt2': lambda: encoders.evt2(x, y, p, t),
        'evt21': lambda: encoders.evt21(x, y, p, t),
        'legacy': lambda: encoders.evt21(x, y, p, t, legacy=True),
    }[encode]()
    recording = open_prophesee_file(write(tmp_path, 'some.raw', header, body))
    assert (recording.width, recording.height) == (64, 48)
    for have, want in zip(joined(list(recording)), (x, y, p, t), strict=True):
        np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize(
    ('line', 'size'),
    [
        ('plugin_name hal_plugin_gen31_fx3', (640, 480)),
        ('plugin_name hal_plugin_imx636_evk4', (1280, 720)),
        ('sensor_generation 4.1', (1280, 720)),
        ('sensor_generation 3.1', (640, 480)),
        ('sensor_name GenX320', (320, 320)),
        ('date 2020-01-01', (0, 0)),
    ],
)
def test_sensor_size_by_the_sensor(tmp_path: Path, line: str, size: tuple[int, int]) -> None:
    recording = open_prophesee_file(write(tmp_path, 'some.raw', ['evt 2.0', line], b''))
    assert (recording.width, recording.height) == size
    assert list(recording) == []


def test_dense_vectors_make_chunks_of_bounded_size(tmp_path: Path) -> None:
    rows = [Evt3.high(0), Evt3.low(0)]
    for row in range(480):
        rows += [Evt3.y(row), Evt3.base(0, 1), *[0x4FFF] * 53]
    path = write(tmp_path, 'dense.raw', ['evt 3.0', 'geometry 640x480'], words16(*rows))
    counts = [len(chunk) for chunk in open_prophesee_file(path)]
    assert sum(counts) == 480 * 53 * 12
    assert max(counts) == CHUNK


def test_a_binary_body_that_looks_like_a_header_line_is_no_header(tmp_path: Path) -> None:
    words = [0x2025, *[Evt3.high(0), Evt3.low(0), Evt3.y(1), Evt3.x(2)] * 10]  # 0x25 0x20 are '% '
    path = write(tmp_path, 'odd.raw', ['evt 3.0', 'geometry 64x48'], words16(*words))
    chunks = list(open_prophesee_file(path))
    assert sum(map(len, chunks)) == 10
    assert chunks[0].dropped == 1


@pytest.mark.parametrize(
    ('name', 'content', 'field', 'named'),
    [
        ('a.raw', b'', 'header', [0]),
        ('a.raw', b'\0\1\2\3', 'header', [0]),
        ('a.raw', b'% evt 4.0\n', 'format', ['4.0']),
        ('a.raw', b'% date today\n', 'format', ['EVT3']),
        ('a.raw', b'% format HISTO3D;height=320;width=320\n', 'format', ['HISTO3D', 'EVT3']),
        ('a.raw', b'% evt 3.0\n% geometry 640\n', 'geometry', []),
        ('a.raw', b'% evt 3.0\n% geometry 0x480\n', 'geometry', [0]),
        ('a.raw', b'% evt 3.0\n% geometry 640x99999\n', 'geometry', [99999]),
        (
            'a.raw',
            b'% format EVT3;height=720;width=1280\n% geometry 640x480\n',
            'geometry',
            [640, 480, 1280, 720],
        ),
        ('a.raw', b'% format EVT4;height=720;width=1280\n', 'format', ['EVT 4.0', 'EVT 3.0']),
        ('a.raw', b'% evt 4.0\n', 'format', ['EVT 4.0', 'EVT 3.0']),
        ('a.raw', b'% format EVT21;endianness=middle\n', 'endianness', ['middle']),
        ('a.dat', b'', 'header', [0]),
        ('a.dat', b'% Version 2\n', '', [12]),
        ('a.dat', b'% Version 2\n\x0e\x08', 'event type', [14]),
        ('a.dat', b'% Version 2\n\x0c\x10', 'event type', [16]),
        ('a.dat', b'% Version 3\n\x0c\x08', 'version', [3]),
        ('a.dat', b'% Width -4\n\x0c\x08', 'width', [-4]),
        ('a.txt', b'', '', ['.raw', '.dat']),
    ],
)
def test_what_cannot_be_opened_is_named(
    tmp_path: Path, name: str, content: bytes, field: str, named: list[object]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(EventFormatError, match=facts(name, *named)) as caught:
        open_prophesee_file(path)
    assert caught.value.field == field


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_prophesee_file(tmp_path / 'none.raw')


@pytest.mark.parametrize('name', ['cut.raw', 'cut.dat'])
def test_a_file_cut_short_gives_all_it_has_and_then_the_error(tmp_path: Path, name: str) -> None:
    x, y, p, t = random_events(100, 64, 48)
    path = write_events(tmp_path, name, (x, y, p, t), missing=3 if name.endswith('dat') else 1)
    chunks = iter(open_prophesee_file(path))
    assert len(next(chunks)) == 99
    with pytest.raises(EventFormatError, match=facts(name)) as caught:
        next(chunks)
    whole_events = path.stat().st_size - (5 if name.endswith('dat') else 3)
    assert (caught.value.field, caught.value.offset) == ('events', whole_events)


@pytest.mark.parametrize('name', ['bad.raw', 'bad.dat'])
def test_an_event_outside_the_sensor_is_left_out(tmp_path: Path, name: str) -> None:
    x, y, p, t = random_events(100, 64, 48)
    x[50] = 64
    path = write_events(tmp_path, name, (x, y, p, t))
    (chunk,) = open_prophesee_file(path)
    assert chunk.left_out == {'outside_sensor': 1}
    np.testing.assert_array_equal(chunk.y, np.delete(y, 50))


def test_dat_time_continues_over_the_roll_over(tmp_path: Path) -> None:
    x, y, p, t = random_events(1000, 304, 240, start=(1 << 32) - 500, span=1000)
    body = b'\x00\x08' + encoders.dat(x, y, p, t)
    path = write(
        tmp_path,
        'gen1.dat',
        ['Data file containing Event2D events.', 'Version 2', 'Height 240', 'Width 304'],
        body,
    )
    for have, want in zip(joined(list(open_prophesee_file(path))), (x, y, p, t), strict=True):
        np.testing.assert_array_equal(have, want)


def test_dat_version_1_has_its_own_layout(tmp_path: Path) -> None:
    x, y, p, t = random_events(100, 304, 240)
    made = np.empty((100, 2), '<u4')
    made[:, 0] = t
    made[:, 1] = x.astype('<u4') | y.astype('<u4') << 9 | p.astype('<u4') << 17
    path = write(tmp_path, 'old.dat', ['Version 1'], b'\x00\x08' + made.tobytes())
    for have, want in zip(joined(list(open_prophesee_file(path))), (x, y, p, t), strict=True):
        np.testing.assert_array_equal(have, want)


def test_dat_event_of_another_polarity_is_left_out(tmp_path: Path) -> None:
    body = b'\x0c\x08' + struct.pack('<6I', 0, 0, 1, 2 << 28, 2, 1 << 28)
    path = write(tmp_path, 'odd.dat', ['Version 2'], body)
    (chunk,) = open_prophesee_file(path)
    assert (chunk.t.tolist(), chunk.left_out) == ([0, 2], {'invalid': 1})


@pytest.mark.parametrize(
    ('lines', 'length'),
    [(2, 90), (1000, 90), (3000, 90), (1, 65_500), (1, 65_536), (2, 100_000), (1, 1_000_000)],
)
def test_long_headers_are_read_whole(tmp_path, lines, length):
    events = encoders.random_events(500, 640, 480, span=10_000)
    words = encoders.words16(*encoders.Evt3.stream(*events))
    comment = b'% comment ' + b'x' * length + b'\n'
    header = b'% evt 3.0\n' + comment * lines + b'% geometry 640x480\n% end\n'
    (tmp_path / 'a.raw').write_bytes(header + words)
    file = open_prophesee_file(tmp_path / 'a.raw')
    assert (file.width, file.height) == (640, 480)
    assert sum(map(len, file)) == 500


@pytest.mark.parametrize(
    'header',
    [(b'% ' + b'x' * 90 + b'\n') * 20_000, b'% ' + b'x' * 100_000, b'% ' + b'x' * (1 << 20)],
)
def test_a_header_without_end_is_refused(tmp_path, header):
    (tmp_path / 'a.raw').write_bytes(b'% evt 3.0\n' + header + bytes(64))
    with pytest.raises(EventFormatError, match=r'a\.raw.*header'):
        open_prophesee_file(tmp_path / 'a.raw')
