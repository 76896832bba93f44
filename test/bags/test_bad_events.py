# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""One bad event costs one event, in every format: the windows are those of the clean stream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from events import encoders
import numpy as np
import pytest
from sast_ros.bags import open_recording
from sast_ros.bags.mcap_topic import McapTopic
from sast_ros.windows import StreamStatistics, WindowCutter

WIDTH, HEIGHT, COUNT = 304, 240, 20_000
STAMP_NS = 1_700_000_000 * 10**9

#: Events of a message.
MESSAGE = 600

Columns = list[np.ndarray]


def clean(seed: int, start: int = 10**9) -> Columns:
    random = np.random.default_rng(seed)
    t = np.sort(random.integers(start, start + 600_000, COUNT))
    columns = [random.integers(0, side, COUNT) for side in (WIDTH, HEIGHT, 2)]
    return [*columns, t]


def with_strays(columns: Columns, seed: int) -> tuple[Columns, int]:
    """Return the stream with one to five events of another time, and their number."""
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 6))
    at = np.sort(random.integers(500, COUNT - 500, count))
    far = random.choice([-99_000, 99_000, 5_000_000, -3_000_000], count)
    values = [*(random.integers(0, side, count) for side in (WIDTH, HEIGHT, 2))]
    values.append(columns[3][at] + far)
    return [np.insert(old, at, new) for old, new in zip(columns, values, strict=True)], count


def with_outsiders(columns: Columns, seed: int) -> tuple[Columns, int]:
    """Return the stream with one to five events outside the sensor, and their number."""
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 6))
    at = np.sort(random.integers(500, COUNT - 500, count))
    values = [np.full(count, WIDTH + 50), np.zeros(count, int), np.zeros(count, int)]
    values.append(columns[3][at])
    return [np.insert(old, at, new) for old, new in zip(columns, values, strict=True)], count


# ------------------------------------------------------------------------------------- formats


def prophesee(header: str, encode: Callable[..., bytes]) -> Callable[[Path, Columns], Path]:
    def write(folder: Path, columns: Columns) -> Path:
        path = folder / ('a.dat' if 'Version' in header else 'a.raw')
        path.write_bytes(header.encode() + encode(*columns))
        return path

    return write


def bag(type_name: str, encode: Callable[[Columns, int], bytes]) -> Callable[..., Path]:
    def write(folder: Path, columns: Columns) -> Path:
        with (folder / 'a.mcap').open('wb') as stream:
            topic = McapTopic(stream, '/events', type_name)
            for number, low in enumerate(range(0, len(columns[3]), MESSAGE)):
                part = slice(low, low + MESSAGE)
                topic.write(encode([column[part] for column in columns], number), STAMP_NS)
            topic.finish()
        return folder / 'a.mcap'

    return write


def packets(encoding: str, encode: Callable[..., bytes]) -> Callable[..., Path]:
    def message(columns: Columns, number: int) -> bytes:
        x, y, p, t = columns
        base = {'mono': int(t.min()), 'libcaer_cmp': 10**9}.get(encoding, 0)
        payload = encode(x, y, p, (t - base) * (1000 if encoding == 'mono' else 1))
        return encoders.event_packet(
            payload,
            encoding,
            width=WIDTH,
            height=HEIGHT,
            seq=number,
            time_base=1000 * base,
            stamp_ns=STAMP_NS + number * 10**7,
        )

    return bag('event_camera_msgs/msg/EventPacket', message)


def array_message(columns: Columns, number: int) -> bytes:
    x, y, p, t = columns
    return encoders.event_array(x, y, p, 1000 * t, width=WIDTH, height=HEIGHT)


def cloud_message(columns: Columns, number: int) -> bytes:
    events = [*columns[:3], columns[3] & 0xFFFFFFFF]
    kinds = {'x': '<u2', 'y': '<u2', 'p': 'u1', 't': '<u4'}
    points = encoders.points(events, **kinds)
    return encoders.point_cloud(points, stamp_ns=STAMP_NS + number * 10**7)


def hdf5(folder: Path, columns: Columns) -> Path:
    h5py = pytest.importorskip('h5py')
    with h5py.File(folder / 'a.h5', 'w') as file:
        for name, column in zip('xypt', columns, strict=True):
            file[f'events/{name}'] = column
        file['events/width'], file['events/height'] = WIDTH, HEIGHT
    return folder / 'a.h5'


def npz(folder: Path, columns: Columns) -> Path:
    named = dict(zip('xypt', columns, strict=True))
    np.savez(folder / 'a.npz', width=WIDTH, height=HEIGHT, **named)
    return folder / 'a.npz'


def text(folder: Path, columns: Columns) -> Path:
    x, y, p, t = columns
    np.savetxt(
        folder / 'a.csv', np.stack([t, x, y, p], 1), '%d', header=f'{WIDTH} {HEIGHT}', comments=''
    )
    return folder / 'a.csv'


def evt3(*columns: np.ndarray) -> bytes:
    return encoders.words16(*encoders.Evt3.stream(*columns))


GEOMETRY = f'% geometry {WIDTH}x{HEIGHT}\n'
DAT = f'% Version 2\n% Width {WIDTH}\n% Height {HEIGHT}\n\x0c\x08'

FORMATS = {
    'raw evt3': prophesee(f'% evt 3.0\n{GEOMETRY}', evt3),
    'raw evt2': prophesee(f'% evt 2.0\n{GEOMETRY}', encoders.evt2),
    'raw evt21': prophesee(f'% evt 2.1\n{GEOMETRY}', encoders.evt21),
    'dat': prophesee(DAT, encoders.dat),
    'hdf5': hdf5,
    'npz': npz,
    'text': text,
    'EventArray': bag('dvs_msgs/msg/EventArray', array_message),
    'evt3': packets('evt3', evt3),
    'evt2': packets('evt2', encoders.evt2),
    'evt21': packets('evt21', encoders.evt21),
    'libcaer': packets('libcaer', encoders.libcaer),
    'libcaer_cmp': packets('libcaer_cmp', encoders.libcaer_cmp),
    'mono': packets('mono', encoders.mono),
    'PointCloud2': bag('sensor_msgs/msg/PointCloud2', cloud_message),
}

#: Formats whose clock goes round, with its bits and a first time with the highest of them.
CLOCKS = {
    'dat': (32, 3_500_000_000),
    'libcaer': (31, 2_000_000_000),
    'libcaer_cmp': (24, 10**9),
    'PointCloud2': (32, 3_500_000_000),
    'raw evt3': (24, 10_000_000),
    'raw evt2': (34, 10_000_000_000),
}


def windows_of(path: Path) -> tuple[list[tuple], int, StreamStatistics]:
    cutter = WindowCutter(50_000, 50_000)
    found, restarts = [], 0
    with open_recording(path) as recording:
        if path.suffix == '.mcap' and recording.sensor_size is None:
            recording.given_size = HEIGHT, WIDTH
        for chunk in recording:
            restarts += chunk.discontinuity
            found += cutter.cut(chunk)
    found += cutter.finish()
    rows = []
    for window in found:
        columns = [
            np.concatenate([getattr(part, name) for part in window.parts]) for name in 'xypt'
        ]
        by_time = np.lexsort(columns)  # equal times in one order
        rows.append((window.t_start, *(column[by_time].tolist() for column in columns)))
    return rows, restarts, cutter.statistics


@pytest.mark.parametrize('name', FORMATS)
@pytest.mark.parametrize(
    ('spoil', 'reason'), [(with_strays, 'stray_time'), (with_outsiders, 'outside_sensor')]
)
def test_bad_events_cost_themselves(tmp_path, name, spoil, reason):
    for seed in (1, 2):
        columns = clean(seed)
        expected, _, _ = windows_of(FORMATS[name](tmp_path, columns))
        spoiled, count = spoil(columns, seed)
        if name == 'mono' and np.ptp(spoiled[3]) > 4_000_000:
            spoiled[3] = np.clip(spoiled[3], 10**9 - 10**6, 10**9 + 3 * 10**6)  # 32 bits of ns
        found, restarts, statistics = windows_of(FORMATS[name](tmp_path, spoiled))
        assert found == expected
        assert restarts == 0
        assert statistics.events == COUNT
        assert statistics.left_out == {reason: count}


@pytest.mark.parametrize('far', [-5_000_000, -2_000_000, -99_000, 99_000, 2_000_000, 5_000_000])
@pytest.mark.parametrize('index', [0, -1])
@pytest.mark.parametrize('name', FORMATS)
def test_a_stray_at_the_beginning_or_end_costs_itself(tmp_path, name, index, far):
    columns = clean(1)
    expected, _, _ = windows_of(FORMATS[name](tmp_path, [np.delete(c, index) for c in columns]))
    if name == 'mono' and far > 0:
        far = min(far, 3_000_000)  # 32 bits of ns
    elif name == 'mono' and far < 0:
        far = max(far, -3_000_000)
    columns[3][index] += far
    found, restarts, statistics = windows_of(FORMATS[name](tmp_path, columns))
    assert found == expected
    assert restarts == 0
    assert statistics.resets == {'start': 1}
    assert statistics.events == COUNT - 1
    assert statistics.left_out == {'stray_time': 1}


@pytest.mark.parametrize('index', [0, 5000, -1])
@pytest.mark.parametrize('name', CLOCKS)
def test_a_flipped_bit_of_a_time_costs_its_event(tmp_path, name, index):
    bits, start = CLOCKS[name]
    columns = clean(1, start)
    without = [np.delete(column, index) for column in columns]
    expected, _, _ = windows_of(FORMATS[name](tmp_path, without))
    for bit in range(bits):
        spoiled = [*columns[:3], columns[3].copy()]
        spoiled[3][index] ^= 1 << bit
        found, restarts, statistics = windows_of(FORMATS[name](tmp_path, spoiled))
        assert restarts == 0
        assert statistics.resets == {'start': 1}
        if bit > 16:  # more than 100 ms away
            assert found == expected
            assert statistics.left_out == {'stray_time': 1}
        assert statistics.events + statistics.left_out.total() == COUNT
        assert statistics.left_out.total() <= 1


@pytest.mark.parametrize('name', ['dat', 'libcaer', 'PointCloud2'])
def test_random_times_in_a_row_cost_themselves(tmp_path, name):
    columns = clean(1, CLOCKS[name][1])
    for seed in range(8):
        random = np.random.default_rng(seed)
        spoiled = [*columns[:3], columns[3].copy()]
        spoiled[3][5000:5064] = random.integers(0, 1 << 32, 64)
        _, restarts, statistics = windows_of(FORMATS[name](tmp_path, spoiled))
        assert restarts == 0
        assert statistics.resets == {'start': 1}
        assert statistics.events >= COUNT - 64
