# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""From every format to every other and back: the same events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
import os
from pathlib import Path
import subprocess
import sys

from allocation import peak_below
import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest
from sast_ros.bags import open_recording, Recording, RecordingError
from sast_ros.bags.mcap_topic import StreamClock
from sast_ros.bags.transcode import transcode
from sast_ros.bags.writers import open_writer, WRITERS
from sast_ros.errors import SettingError
from sast_ros.events import EventChunk
from sast_ros.events.encoders import PACKET_US
from sast_ros.events.order import in_order

#: Every format that is written, by the name of the file; mcap with both messages.
FORMATS = ('packets.mcap', 'arrays.mcap', 'x.raw', 'x.dat', 'x.h5', 'x.npz', 'x.csv', 'x.txt')
WIDTH, HEIGHT = 1280, 720


@pytest.fixture(autouse=True)
def hdf5_where_it_is_written(request: pytest.FixtureRequest) -> None:
    """Skip the tests of HDF5 where it cannot be written."""
    parameters = getattr(request.node, 'callspec', None)
    names = [str(value) for value in parameters.params.values()] if parameters else []
    if any(name.endswith(('.h5', '.hdf5')) for name in names):
        pytest.importorskip('h5py', reason='h5py is not installed')


class Memory(Recording):
    """Chunks of events as a recording."""

    format = 'memory'  # noqa: A003 - an attribute of the interface
    sensor_size: tuple[int, int] | None = (HEIGHT, WIDTH)

    def __init__(self, *chunks: EventChunk) -> None:
        self.path = Path('memory')
        self._chunks = chunks

    def __iter__(self) -> Iterator[EventChunk]:
        return in_order(self._chunks)


def write(recording: Recording, path: Path, **options: object) -> Path:
    """Transcode into a file; the name tells the message of .mcap."""
    message = 'EventArray' if path.name.startswith('arrays') else 'EventPacket'
    transcode(recording, path, message=message, force=True, **options)
    return path


def convert(source: Path, target: Path) -> Path:
    with open_recording(source) as recording:
        return write(recording, target)


def read(path: Path) -> tuple[tuple[int, int] | None, list[np.ndarray]]:
    """Return the size of the sensor and x, y, p, t of all events."""
    with open_recording(path) as recording:
        return recording.sensor_size, joined(list(recording))


def joined(chunks: list[EventChunk]) -> list[np.ndarray]:
    empty = EventChunk(*np.empty((4, 0), np.int64))
    return [
        np.concatenate([getattr(chunk, name) for chunk in [empty, *chunks]]) for name in 'xypt'
    ]


def assert_same(first: list[np.ndarray], second: list[np.ndarray]) -> None:
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


# Where clocks of 12, 24 and 32 bits and the jumps that decoders follow have their limits
_LIMITS = [1 << bits for bits in (12, 22, 23, 24, 25, 31, 32, 33)]
_STARTS = st.sampled_from(
    [0, 7, (1 << 24) - 9, 1 << 24, (1 << 32) - 9, 1 << 32, 3 << 40, 1_700_000_000_123_456]
)
_GAPS = st.one_of(
    st.integers(0, 10**8),
    st.integers(-(10**8), -(10**6)),
    st.sampled_from([limit + step for limit in _LIMITS for step in (-1, 0, 1)]),
    st.sampled_from([step - limit for limit in _LIMITS[1:] for step in (-1, 0, 1)]),
)


@dataclass
class Stream:
    """Bursts of events with silences and restarts between them; few events, or none."""

    start: int
    gaps: list[int]
    few: int
    seed: int

    def recording(self) -> Memory:
        """Return the events in chunks that end anywhere."""
        random = np.random.default_rng(self.seed)
        # So many, and so long, that a burst is believed, unless it is alone
        count = 400 if self.gaps else self.few
        times, begin = [], self.start
        for gap in [*self.gaps, 0]:
            times.append(begin + np.sort(random.integers(0, 15_000, count)))
            begin += 15_000 + (gap if begin + gap >= 0 else -gap)
        t = np.concatenate(times)
        x = random.choice([0, 1, 639, WIDTH - 1], len(t))
        y = random.choice([0, 1, 359, HEIGHT - 1], len(t))
        p = random.integers(0, 2, len(t))
        # The times of a chunk do not decrease
        borders = [*(np.flatnonzero(np.diff(t) < 0) + 1), *random.integers(0, len(t) + 1, 4)]
        cuts = sorted({0, *borders, len(t)})
        return Memory(*(EventChunk(x[a:b], y[a:b], p[a:b], t[a:b]) for a, b in pairwise(cuts)))


STREAMS = st.builds(
    Stream,
    _STARTS,
    st.lists(_GAPS, max_size=3),
    st.sampled_from([0, 1, 2, 400]),
    st.integers(0, 99),
)


def for_streams(count: int, *names: str) -> Callable[[Callable[[Stream], None]], None]:
    """Return what checks a function on so many streams, on fewer where a process reads each."""
    fewer = 4 if any(name.endswith('.h5') for name in names) else 1
    settings = hypothesis.settings(max_examples=count // fewer)
    return lambda check: settings(hypothesis.given(STREAMS)(check))()


@pytest.mark.parametrize('name', FORMATS)
def test_a_file_holds_the_very_events(tmp_path: Path, name: str) -> None:
    @for_streams(60, name)
    def check(stream: Stream) -> None:
        path = write(stream.recording(), tmp_path / name)
        size, events = read(path)
        assert size == (HEIGHT, WIDTH)
        assert_same(events, joined(list(stream.recording())))


# A reader does not know who wrote: each format once on either side is enough
@pytest.mark.parametrize(('one', 'other'), list(zip(FORMATS, FORMATS[1:] + FORMATS[:1])))
def test_from_one_format_to_another_and_back(tmp_path: Path, one: str, other: str) -> None:
    @for_streams(8, one, other)
    def check(stream: Stream) -> None:
        here = write(stream.recording(), tmp_path / one)
        there = convert(here, tmp_path / other.replace('.', '_there.'))
        back = convert(there, tmp_path / one.replace('.', '_back.'))
        size, events = read(back)
        assert size == (HEIGHT, WIDTH)
        assert_same(events, joined(list(stream.recording())))
        if not one.endswith('mcap'):
            assert back.read_bytes() == here.read_bytes()


@pytest.mark.parametrize('name', FORMATS)
@pytest.mark.parametrize(
    'source',
    [
        'codecs_edge_cases/test_data_evt3_trigger',
        'codecs_edge_cases/test_data_libcaer_rollover',
        'codecs_edge_cases/test_data_mono_cd',
        'ecp_evt3_vga/test_events_1.bag',
        'faery_imx636/imx636_evt3.raw',
    ],
)
def test_real_recordings_go_to_every_format_and_back(
    shared: Path, tmp_path: Path, source: str, name: str
) -> None:
    original = shared / 'data' / source
    size, events = read(original)
    there = convert(original, tmp_path / name)
    back = convert(there, tmp_path / 'packets_back.mcap')
    for path in (there, back):
        found = read(path)
        assert found[0] == size
        assert_same(found[1], events)


@pytest.mark.parametrize('name', ['packets.mcap', 'arrays.mcap'])
def test_messages_keep_stamp_frame_and_clock(shared: Path, tmp_path: Path, name: str) -> None:
    source = shared / 'data/ecp_evt3_vga/test_events_1'
    with open_recording(source) as recording:
        expected = [chunk for chunk in recording if len(chunk)]
    there = convert(source, tmp_path / name)
    back = convert(there, tmp_path / 'packets_back.mcap')
    for path in (there, back):
        with open_recording(path) as recording:
            assert recording.topic == '/event_camera/events'
            found = list(recording)
        for a, b in zip(expected, found, strict=True):
            assert_same(joined([a]), joined([b]))
            assert (a.stamp_ns, a.frame_id, a.clock) == (b.stamp_ns, b.frame_id, b.clock)
            assert (a.width, a.height) == (b.width, b.height)


def stamped(t: list[int], stamp_ns: int, clock: str = 'sensor') -> EventChunk:
    ones = np.ones(len(t), np.int64)
    return EventChunk(ones, ones, ones, np.array(t), 0, 0, clock, stamp_ns, 'front')


def test_events_of_arrays_are_in_ros_time_for_other_readers(tmp_path: Path) -> None:
    """The sensor counts from 7 s, ROS from 1.7e9 s; the recording that is read counts from 7 s."""
    begin_ns = 1_700_000_000 * 10**9
    chunks = [stamped([7_000_000, 7_000_500], begin_ns), stamped([8_000_000], begin_ns + 10**9)]
    path = write(Memory(*chunks), tmp_path / 'arrays.mcap')
    with open_recording(path) as recording:
        messages = [raw for _, raw in recording.messages()]
        found = list(recording)
    assert [chunk.t.tolist() for chunk in found] == [chunk.t.tolist() for chunk in chunks]
    assert {chunk.clock for chunk in found} == {'sensor'}
    from sast_ros.bags.definitions import message_types

    first = message_types().deserialize_cdr(messages[0], 'dvs_msgs/msg/EventArray')
    assert [(event.ts.sec, event.ts.nanosec) for event in first.events] == [
        (1_700_000_000, 0),
        (1_700_000_000, 500_000),
    ]


@pytest.mark.parametrize('name', ['packets.mcap', 'arrays.mcap'])
def test_ros_time_stays_ros_time(tmp_path: Path, name: str) -> None:
    begin_us = 1_700_000_000 * 10**6
    chunk = stamped([begin_us, begin_us + 3], 1000 * begin_us + 77, 'ros')
    with open_recording(write(Memory(chunk), tmp_path / name)) as recording:
        (found,) = recording
    assert (found.t.tolist(), found.clock) == (chunk.t.tolist(), 'ros')
    assert (found.stamp_ns, found.frame_id) == (1000 * begin_us + 77, 'front')


def test_events_without_messages_are_cut_and_stamped_as_a_driver_does(tmp_path: Path) -> None:
    t = np.array([5, 1000, PACKET_US, PACKET_US + 7])
    ones = np.ones(4, np.int64)
    path = write(Memory(EventChunk(ones, ones, ones, t)), tmp_path / 'packets.mcap')
    with open_recording(path) as recording:
        assert [chunk.stamp_ns for chunk in recording] == [5_000, 1000 * PACKET_US]
        assert [time for time, _ in recording.messages()] == [1_000_000, 1000 * (PACKET_US + 7)]


@pytest.mark.parametrize('starts', [(5, 40), (1, 4), (40, 5, 90)])
@pytest.mark.parametrize('name', ['packets', 'arrays'])
def test_files_in_one_folder_have_each_their_clock(
    tmp_path: Path, name: str, starts: tuple[int, ...]
) -> None:
    times = [10**6 * start + np.arange(0, 2_000_000, 1000) for start in starts]
    for number, t in enumerate(times):
        ones = np.ones(len(t), np.int64)
        write(Memory(EventChunk(ones, ones, ones, t)), tmp_path / f'{name}_{number}.mcap')
    with open_recording(tmp_path) as recording:
        chunks = list(recording)
    np.testing.assert_array_equal(joined(chunks)[3], np.sort(np.concatenate(times)))
    assert not any(chunk.discontinuity for chunk in chunks)


@pytest.mark.parametrize('end', [-1, -9, -37, -100])
def test_messages_without_their_end_keep_their_clock(tmp_path: Path, end: int) -> None:
    t = (5 << 24) + np.arange(0, 100_000, 10)
    ones = np.ones(len(t), np.int64)
    path = write(Memory(EventChunk(ones, ones, ones, t)), tmp_path / 'packets.mcap')
    path.write_bytes(path.read_bytes()[:end])
    np.testing.assert_array_equal(read(path)[1][3], t)


@pytest.mark.parametrize('offset', ['1e3', '9' * 19, '', '--1'])
def test_a_clock_that_is_not_ours_is_ignored(tmp_path: Path, offset: str) -> None:
    t = (5 << 24) + np.arange(100)
    ones = np.ones(len(t), np.int64)
    with pytest.MonkeyPatch.context() as patch:
        metadata = {'sast_ros_clock': 'ros', 'sast_ros_time_offset_us': offset}
        patch.setattr(StreamClock, 'metadata', lambda clock: metadata)
        path = write(Memory(EventChunk(ones, ones, ones, t)), tmp_path / 'packets.mcap')
    assert read(path)[1][3].tolist() == list(range(100))


@pytest.mark.parametrize('entry', ['x', '0', '0:x', '1:2:3', '5:0 5:1', '-1:0', f'0:{1 << 63}'])
@pytest.mark.parametrize('name', ['x.raw', 'x.dat'])
def test_a_header_line_of_ours_that_is_damaged_is_refused(
    tmp_path: Path, name: str, entry: str
) -> None:
    t = (1 << 40) + np.arange(100)
    ones = np.ones(len(t), np.int64)
    path = write(Memory(EventChunk(ones, ones, ones, t)), tmp_path / name)
    content = path.read_bytes()
    line = b'sast_ros_clock 0:%d\n' % t[0]
    assert line in content
    path.write_bytes(content.replace(line, f'sast_ros_clock {entry}\n'.encode()))
    with pytest.raises(RecordingError, match='sast_ros_clock'):
        open_recording(path)


# ------------------------------------------------------------------------ what others make of it


def test_raw_without_our_header_line_is_the_same_but_for_the_period(tmp_path: Path) -> None:
    """Readers that skip the line begin in the first period, and lose no roll-over after it."""
    t = (5 << 24) + np.array([100, 1 << 24, (1 << 26) + 3])
    ones = np.ones(3, np.int64)
    path = write(Memory(EventChunk(ones, ones, ones, t)), tmp_path / 'x.raw')
    lines = path.read_bytes().split(b'\n')
    assert [line for line in lines if b'sast_ros' in line] == [b'%% sast_ros_clock 0:%d' % t[0]]
    (tmp_path / 'y.raw').write_bytes(b'\n'.join(line for line in lines if b'sast_ros' not in line))
    assert read(tmp_path / 'y.raw')[1][3].tolist() == (t - (5 << 24)).tolist()


@pytest.mark.parametrize('name', ['x.raw', 'x.dat'])
def test_files_whose_clock_suffices_have_no_line_of_ours(tmp_path: Path, name: str) -> None:
    t = np.array([100, 1 << 24, 3 << 24])
    ones = np.ones(3, np.int64)
    path = write(Memory(EventChunk(ones, ones, ones, t)), tmp_path / name)
    assert b'sast_ros' not in path.read_bytes()


def test_hdf5_needs_no_plugin(tmp_path: Path) -> None:
    """Of h5py alone: the compression is that of every HDF5 library."""
    h5py = pytest.importorskip('h5py')
    t = np.arange(100_000)
    zeros = np.zeros(len(t), np.int64)
    path = write(Memory(EventChunk(t % WIDTH, zeros, t % 2, t)), tmp_path / 'x.h5')
    with h5py.File(path) as file:
        assert set(file['events']) == {'x', 'y', 'p', 't', 'width', 'height'}
        assert {file['events'][name].compression for name in 'xypt'} == {'gzip'}
        assert (file['events/width'][()], file['events/height'][()]) == (WIDTH, HEIGHT)
        np.testing.assert_array_equal(file['events/t'], t)
        np.testing.assert_array_equal(file['events/x'], t % WIDTH)


def test_npz_is_read_by_numpy(tmp_path: Path) -> None:
    t = np.arange(100_000)
    zeros = np.zeros(len(t), np.int64)
    path = write(Memory(EventChunk(t % WIDTH, zeros, t % 2, t)), tmp_path / 'x.npz')
    with np.load(path) as arrays:
        assert (int(arrays['width']), int(arrays['height'])) == (WIDTH, HEIGHT)
        assert [str(arrays[name].dtype) for name in 'xypt'] == [
            'uint16',
            'uint16',
            'uint8',
            'int64',
        ]
        np.testing.assert_array_equal(arrays['t'], t)
        np.testing.assert_array_equal(arrays['x'], t % WIDTH)


# --------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ('name', 'size'),
    [('x.raw', (720, 2049)), ('packets.mcap', (2049, 4)), ('x.dat', (4, (1 << 14) + 1))],
)
def test_a_sensor_larger_than_the_format_is_refused(
    tmp_path: Path, name: str, size: tuple[int, int]
) -> None:
    recording = Memory()
    recording.sensor_size = size
    with pytest.raises(SettingError, match=str(max(size) - 1)):
        write(recording, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_coordinates_larger_than_the_format_are_refused_where_the_size_is_unknown(
    tmp_path: Path,
) -> None:
    chunk = EventChunk(*(np.array([value]) for value in (2048, 0, 1, 0)))
    with pytest.raises(SettingError, match='2048'), open_writer(tmp_path / 'x.raw', None) as raw:
        raw.write(chunk)
    assert list(tmp_path.iterdir()) == []


def test_messages_need_a_size(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match='--sensor-size'):
        open_writer(tmp_path / 'x.mcap', None)


@pytest.mark.parametrize('name', FORMATS)
def test_a_file_is_replaced_only_by_force(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text('mine')
    with pytest.raises(SettingError, match='--force'):
        transcode(Memory(), path)
    assert path.read_text() == 'mine'
    transcode(Memory(), path, force=True)
    assert read(path)[0] == (HEIGHT, WIDTH)
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / 'x.raw'
    with open_writer(path, (HEIGHT, WIDTH)) as writer:
        path.write_text('mine')
        with pytest.raises(SettingError, match='exists'):
            writer.finish()
    assert path.read_text() == 'mine'
    assert [each.name for each in tmp_path.iterdir()] == ['x.raw']


class Failing(Memory):
    """A source that cannot be read to its end."""

    def __iter__(self) -> Iterator[EventChunk]:
        yield stamped(list(range(100_000)), 0)
        raise OSError(5, 'Input/output error', 'source')


@pytest.mark.parametrize('name', FORMATS)
def test_a_failure_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError, match='source'):
        write(Failing(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('suffix', WRITERS)
def test_a_full_disk_names_the_file(tmp_path: Path, suffix: str) -> None:
    """The limit of the size of a file stands for the disk: the system refuses to write."""
    t = np.arange(400_000)
    random = np.random.default_rng(0)
    x, y, p = (random.integers(0, side, len(t)) for side in (WIDTH, HEIGHT, 2))
    source = write(Memory(EventChunk(x, y, p, t)), tmp_path / 'source.dat')
    target = tmp_path / f'target{suffix}'
    program = (
        'import resource, sys; from sast_ros.cli import main; '
        'resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)); '
        'sys.exit(main(["transcode", *sys.argv[1:]]))'
    )
    done = subprocess.run(
        [sys.executable, '-c', program, source, target],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    assert error.startswith(f'sast-ros: {target}: ') and 'too large' in error
    assert 'Traceback' not in done.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == ['source.dat']


class Long(Memory):
    """Three million events, which are made when they are read."""

    def __iter__(self) -> Iterator[EventChunk]:
        random = np.random.default_rng(0)
        for begin in range(0, 3_000_000, 100_000):
            t = begin + np.arange(100_000)
            x, y = random.integers(0, 640, (2, 100_000), np.uint16)
            yield EventChunk(x, y, (t & 1).astype(np.uint8), t)


@pytest.mark.parametrize('suffix', WRITERS)
def test_memory_does_not_grow(tmp_path: Path, suffix: str) -> None:
    write(Memory(), tmp_path / f'first{suffix}')  # imports
    with peak_below(20 << 20):  # the events take 39 MB
        write(Long(), tmp_path / f'x{suffix}')
    assert len(read(tmp_path / f'x{suffix}')[1][3]) == 3_000_000


def test_links_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('secrets.token_hex', lambda count: '0' * 2 * count)
    victim = tmp_path / 'victim'
    victim.write_text('mine')
    os.symlink(victim, tmp_path / 'x.raw.00000000.part')
    with pytest.raises(FileExistsError):
        open_writer(tmp_path / 'x.raw', None)
    assert victim.read_text() == 'mine'
