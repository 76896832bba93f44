# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""HDF5 files as the public data sets have them."""

from __future__ import annotations

from pathlib import Path
import sys

from bags.recordings import random_events
from facts import facts
import numpy as np
import pytest
from sast_ros.bags import open_recording, RecordingError

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
        assert recording.duration == pytest.approx(4, abs=0.001)
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
    with h5py.File(path, 'w') as file:
        write_columns(file.create_group('events'), events, 'f8')
    with pytest.raises(RecordingError, match=facts('events.h5', 'float64')):
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
