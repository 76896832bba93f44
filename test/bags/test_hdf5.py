# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""HDF5 files as the public data sets have them."""

from __future__ import annotations

from pathlib import Path
import random
import struct
import sys
import zlib

from bags import hdf5_layouts
from bags.hdf5_layouts import fill_compound, fill_rvt, fill_v2e, SMALL
from bags.recordings import random_events
from facts import facts
import numpy as np
import pytest
from sast_ros.bags import open_recording, RecordingError
import zstandard

h5py = pytest.importorskip('h5py', reason='h5py is not installed')
hdf5plugin = pytest.importorskip('hdf5plugin', reason='hdf5plugin is not installed')

COUNT = 300_000
OFFSET = 51_648_000_000


@pytest.fixture(scope='module')
def events() -> dict[str, np.ndarray]:
    return random_events(COUNT, span_us=4_000_000)


def write_columns(group, events: dict[str, np.ndarray], times: str = 'u4') -> None:
    for name, dtype in (('x', 'u2'), ('y', 'u2'), ('p', 'u1'), ('t', times)):
        group.create_dataset(
            name,
            data=events[name].astype(dtype),
            chunks=(20_000,),
            **hdf5plugin.Blosc(cname='zstd'),
        )


def write(path: Path, layout: str, events: dict[str, np.ndarray]) -> Path:
    with h5py.File(path, 'w') as file:
        if layout == 'dsec':
            write_columns(file.create_group('events'), events)
            file['t_offset'] = np.int64(OFFSET)
            file['ms_to_idx'] = np.searchsorted(events['t'], np.arange(0, 4_000_000, 1000))
        elif layout == 'm3ed':
            for side in ('left', 'right'):
                group = file.create_group(f'prophesee/{side}')
                write_columns(group, events, 'i8')
                group['calib/resolution'] = [1280, 720]
        else:
            table = np.zeros(COUNT, [('x', 'u2'), ('y', 'u2'), ('p', 'i2'), ('t', 'i8')])
            for name in 'xypt':
                table[name] = events[name]
            file.create_dataset('CD/events', data=table, chunks=(1 << 14,), compression='gzip')
            file.attrs['geometry'] = '640x480'
    return path


@pytest.mark.parametrize(
    ('layout', 'topic', 'size', 'offset'),
    [
        ('dsec', '/events', (480, 640), OFFSET),
        ('m3ed', '/prophesee/right', (720, 1280), 0),
        ('metavision', '/CD', (480, 640), 0),
    ],
)
def test_events_come_out_as_they_went_in(tmp_path, events, layout, topic, size, offset):
    path = write(tmp_path / 'events.h5', layout, events)
    with open_recording(path, topic if layout == 'm3ed' else None) as recording:
        assert (recording.format, recording.type, recording.topic) == ('hdf5', layout, topic)
        assert recording.sensor_size == size
        for _ in range(2):
            chunks = list(recording)
            assert len(chunks) > 1, 'a whole file in one chunk is not constant memory'
            for name in 'xyp':
                read = np.concatenate([getattr(chunk, name) for chunk in chunks])
                np.testing.assert_array_equal(read, events[name])
            t = np.concatenate([chunk.t for chunk in chunks])
            np.testing.assert_array_equal(t, events['t'] + offset)
            assert recording.progress == (COUNT, COUNT, 'events')


def test_one_of_several_cameras_must_be_named(tmp_path, events):
    path = write(tmp_path / 'data.h5', 'm3ed', events)
    with pytest.raises(
        RecordingError,
        match=facts('data.h5', '--topic', '/prophesee/left', '/prophesee/right', COUNT),
    ):
        open_recording(path)
    with pytest.raises(RecordingError, match=facts('/ovc', '--topic', '/prophesee/right')):
        open_recording(path, '/ovc')


def test_times_that_step_back_are_put_in_order(tmp_path, events):
    t = events['t'].astype(np.int64)
    t[1000] -= min(50, t[1000])
    t[200_000:] -= 2_000_000
    path = write(tmp_path / 'events.h5', 'dsec', {**events, 't': t})
    with open_recording(path) as recording:
        chunks = list(recording)
    assert sum(map(len, chunks)) == COUNT
    assert [chunk.discontinuity for chunk in chunks].count(True) == 1
    assert sum(chunk.reordered for chunk in chunks) == 1


def test_other_files_are_refused_by_name(tmp_path, events):
    path = tmp_path / 'events.h5'
    path.write_bytes(b'no recording at all')
    with pytest.raises(RecordingError, match=facts('events.h5', 'HDF5')):
        open_recording(path)
    write(path, 'dsec', events)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(RecordingError, match=facts('events.h5', 'HDF5', 'truncated')):
        open_recording(path)
    with h5py.File(path, 'w') as file:
        file['frames'] = [1]
    with pytest.raises(RecordingError, match=facts('frames', 'DSEC', 'M3ED', 'Metavision')):
        open_recording(path)
    with h5py.File(path, 'w') as file:
        file['events/t'] = [1]
        file['events/x'] = [1]
    with pytest.raises(RecordingError, match=facts('events.h5')):
        open_recording(path)


@pytest.mark.parametrize(('code', 'named'), [(0x8ECF, ['ECF', 'hdf5_ecf']), (40_000, [40_000])])
def test_compression_that_is_not_installed_is_named(tmp_path, code, named):
    if h5py.h5z.filter_avail(code):
        pytest.skip(f'filter {code} is installed')
    path = tmp_path / 'events.hdf5'
    with h5py.File(path, 'w') as file:
        table = np.zeros(10, [('x', 'u2'), ('y', 'u2'), ('p', 'i2'), ('t', 'i8')])
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((10,))
        properties.set_filter(code, h5py.h5z.FLAG_OPTIONAL, ())
        kind = h5py.h5t.py_create(table.dtype)
        space = h5py.h5s.create_simple((10,))
        group = file.create_group('CD')
        h5py.h5d.create(group.id, b'events', kind, space, properties)
    with pytest.raises(RecordingError, match=facts('events.hdf5', 'HDF5_PLUGIN_PATH', *named)):
        open_recording(path)


@pytest.mark.parametrize('name', ['h5py', 'hdf5plugin'])
def test_without_the_extra_the_error_says_what_to_install(tmp_path, events, monkeypatch, name):
    path = write(tmp_path / 'events.h5', 'dsec', events)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        RecordingError, match=facts('events.h5', name, 'pip install h5py hdf5plugin')
    ):
        open_recording(path)


# --------------------------------------------------------------------------------- further layouts


@pytest.mark.parametrize(
    ('fill', 'topic', 'kind', 'size', 'start'),
    [
        (fill_v2e, '/events', 'table', None, 0),
        (hdf5_layouts.fill_mvsec, '/davis/left/events', 'table', None, 1_500_000_000_000_000),
        (hdf5_layouts.fill_e2vid, '/events', 'columns', (48, 64), 0),
        (fill_rvt, '/events', 'columns', (48, 64), 0),
        (hdf5_layouts.fill_attributes, '/events', 'columns', (48, 64), 0),
        (fill_compound, '/events', 'compound', None, 0),
        (hdf5_layouts.fill_generic, '/a/camera', 'columns', None, 0),
    ],
)
def test_columns_of_other_tools_are_found(tmp_path, fill, topic, kind, size, start):
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        fill(file)
    with open_recording(tmp_path / 'a.h5') as recording:
        assert (recording.topic, recording.type, recording.sensor_size) == (topic, kind, size)
        chunks = list(recording)
    for name in 'xypt':
        read = np.concatenate([getattr(chunk, name) for chunk in chunks])
        np.testing.assert_array_equal(read, SMALL[name] + (start if name == 't' else 0))


@pytest.mark.parametrize('place', ['external link', 'virtual', 'external storage', 'soft link'])
def test_nothing_is_read_from_other_files(tmp_path, place):
    with h5py.File(tmp_path / 'other.h5', 'w') as file:
        file['t'] = SMALL['t']
    (tmp_path / 'raw').write_bytes(SMALL['t'].tobytes())
    shape, dtype = SMALL['t'].shape, SMALL['t'].dtype
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        fill_rvt(file)
        del file['events/t']
        if place == 'virtual':
            layout = h5py.VirtualLayout(shape, dtype)
            layout[:] = h5py.VirtualSource(tmp_path / 'other.h5', 't', shape)
            file['events'].create_virtual_dataset('t', layout)
        elif place == 'external storage':
            files = [(tmp_path / 'raw', 0, h5py.h5f.UNLIMITED)]
            file['events'].create_dataset('t', shape, dtype, external=files)
        else:
            file['link' if place == 'soft link' else 'events/t'] = h5py.ExternalLink(
                tmp_path / 'other.h5', '/t'
            )
            if place == 'soft link':
                file['events/t'] = h5py.SoftLink('/link')
    with pytest.raises(RecordingError, match=facts('a.h5', 'the file itself')):
        open_recording(tmp_path / 'a.h5')


@pytest.mark.parametrize(
    ('values', 'named'),
    [
        (SMALL['t'][1:], 1999),
        (np.stack([SMALL['t']] * 2, 1), '(2000, 2)'),
        (3, '()'),
        (SMALL['t'].astype('S8'), '|S8'),
        (SMALL['t'] * 1j, 'complex128'),
        (np.full(2000, np.nan), 'nan'),
        (np.full(2000, np.inf), 'inf'),
    ],
)
def test_columns_that_are_none_are_refused_in_a_sentence(tmp_path, values, named):
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        fill_rvt(file)
        del file['events/t']
        file['events/t'] = values
    with pytest.raises(RecordingError, match=facts('a.h5', '/events', 't', named)):
        list(open_recording(tmp_path / 'a.h5'))


@pytest.mark.parametrize('chunks', [None, (100,)])
def test_what_a_file_promises_and_does_not_hold_takes_no_time(tmp_path, chunks):
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        for name, values in SMALL.items():
            shape = (10**12,)
            dataset = file.create_dataset(f'events/{name}', shape, values.dtype, chunks=chunks)
            if chunks:
                dataset[:2000] = values
    with open_recording(tmp_path / 'a.h5') as recording:
        assert sum(map(len, recording)) == (2000 if chunks else 0)
        assert str(10**12) in recording.missing


def test_pieces_that_need_much_memory_are_refused(tmp_path):
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        for name in SMALL:
            file.create_dataset(f'events/{name}', (10**9,), 'u4', chunks=(10**9,), compression=4)
    with pytest.raises(RecordingError, match=facts('a.h5', 'MiB', 'h5repack')):
        open_recording(tmp_path / 'a.h5')


def test_changed_bytes_give_events_or_an_error(tmp_path):
    chance = random.Random(0)
    path = tmp_path / 'a.h5'
    for fill in (fill_rvt, fill_v2e, fill_compound):
        with h5py.File(path, 'w') as file:
            fill(file)
        content = path.read_bytes()
        for _ in range(8):  # each in a process of its own
            changed = bytearray(content)
            for _ in range(chance.choice((1, 3))):
                at = chance.randrange(min(len(changed), 8000))
                part = slice(at, at + 4)
                changed[part] = chance.choice((b'\xff' * 4, bytes(4), chance.randbytes(4)))
            end = chance.choice((len(changed), chance.randrange(1, 9000)))
            path.write_bytes(changed[:end])
            try:
                with open_recording(path) as recording:
                    list(recording)
            except RecordingError as error:
                assert 'a.h5' in str(error)


@pytest.mark.parametrize('kind', ['gzip', 'zstd', 'lz4', 'blosc'])
def test_pieces_that_decompress_to_more_than_a_piece_are_refused(tmp_path, kind):
    bomb, options = {
        'gzip': (zlib.compress(bytes(1 << 27), 9), {'compression': 4}),
        'zstd': (zstandard.compress(bytes(1 << 27)), hdf5plugin.Zstd()),
        'lz4': (struct.pack('>QII', 1 << 40, 1 << 30, 4) + bytes(4), hdf5plugin.LZ4()),
        'blosc': (struct.pack('<4BIII', 2, 1, 1, 4, 1 << 30, 1 << 30, 99), hdf5plugin.Blosc()),
    }[kind]
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        for name in SMALL:
            dataset = file.create_dataset(f'events/{name}', (100,), 'u4', chunks=(100,), **options)
            dataset.id.write_direct_chunk((0,), bomb)
    with pytest.raises(RecordingError, match=facts('a.h5', '/events/x', 400)):
        open_recording(tmp_path / 'a.h5')


@pytest.mark.parametrize(
    'options', [{'compression': 'gzip'}, hdf5plugin.Blosc(), hdf5plugin.LZ4()]
)
@pytest.mark.parametrize('bad', [[0], [8], [0, 1, 2, 3, 9]])
def test_damaged_pieces_cost_their_events(tmp_path, options, bad):
    events, path = random_events(20_000, span_us=900_000), tmp_path / 'a.h5'
    with h5py.File(path, 'w') as file:
        for name, size in zip('xypt', (2000, 2000, 2000, 1000)):
            file.create_dataset(f'events/{name}', data=events[name], chunks=(size,), **options)
        pieces = [file['events/x'].id.get_chunk_info(index) for index in bad]
    content = bytearray(path.read_bytes())
    for piece in pieces:
        start, end = piece.byte_offset, piece.byte_offset + 40
        content[start:end] = b'\xff' * 40
    path.write_bytes(content)
    kept = np.isin(np.arange(20_000) // 2000, bad, invert=True)
    with open_recording(path) as recording:
        for _ in range(2):
            chunks = list(recording)
            for name in 'xypt':
                read = np.concatenate([getattr(chunk, name) for chunk in chunks])
                np.testing.assert_array_equal(read, events[name][kept])
            assert f'{2000 * len(bad)} of its 20000 events' in recording.missing
            assert f'events {2000 * bad[0]} to' in recording.missing


@pytest.mark.parametrize('fill', [fill_v2e, fill_compound])
def test_damaged_pieces_of_a_table_cost_their_events(tmp_path, fill):
    path = tmp_path / 'a.h5'
    with h5py.File(path, 'w') as file:
        fill(file)
        name = next(name for name in file if isinstance(file[name], h5py.Dataset))
        rows = file[name][:]
        del file[name]
        data = file.create_dataset(name, data=rows, chunks=(500, *rows.shape[1:]), compression=1)
        piece = data.id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    start, end = piece.byte_offset, piece.byte_offset + 40
    content[start:end] = b'\xff' * 40
    path.write_bytes(content)
    with open_recording(path) as recording:
        t = np.concatenate([chunk.t for chunk in recording])
        np.testing.assert_array_equal(t, SMALL['t'][500:])
        assert '500 of its 2000' in recording.missing
        assert not recording.truncated


@pytest.mark.parametrize(
    'options',
    [
        {'compression': 9, 'shuffle': True, 'fletcher32': True},
        {'compression': 'lzf'},
        hdf5plugin.Blosc2(),
        hdf5plugin.LZ4(),
        hdf5plugin.Zstd(),
        hdf5plugin.Bitshuffle(),
    ],
)
def test_every_usual_compression_is_read(tmp_path, options):
    with h5py.File(tmp_path / 'a.h5', 'w', userblock_size=512) as file:
        for name, values in SMALL.items():
            file.create_dataset(f'events/{name}', data=values, chunks=(300,), **options)
    with open_recording(tmp_path / 'a.h5') as recording:
        t = np.concatenate([chunk.t for chunk in recording])
    np.testing.assert_array_equal(t, SMALL['t'])
