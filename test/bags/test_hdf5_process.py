# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The process in which the HDF5 library reads a file, and what damaged files do to it."""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
import resource
import select
import signal
import struct
import subprocess
import sys
import threading

from bags import hdf5_layouts
from bags.hdf5_layouts import SMALL
from facts import facts
import numpy as np
import pytest
from sast_ros.bags import hdf5_process, open_recording, RecordingError

h5py = pytest.importorskip('h5py', reason='h5py is not installed')
pytest.importorskip('hdf5plugin', reason='hdf5plugin is not installed')

COUNT = 400_000


def write(path: Path, fill: Callable = hdf5_layouts.fill_metavision) -> Path:
    with h5py.File(path, 'w') as file:
        fill(file)
    return path


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """Write a recording of several blocks, in pieces that are compressed."""
    with h5py.File(tmp_path / 'long.h5', 'w') as file:
        for name, values in (('x', 1), ('y', 2), ('p', 1), ('t', np.arange(COUNT))):
            values = np.broadcast_to(values, COUNT)
            file.create_dataset(f'events/{name}', data=values, chunks=(10_000,), compression=1)
    return tmp_path / 'long.h5'


@pytest.fixture
def hanging(tmp_path: Path) -> Path:
    """
    Write a file on which the library walks in circles.

    The free space of a heap of strings, among them the attribute ``geometry``, is too short.
    """
    path = write(tmp_path / 'hanging.h5')
    content = bytearray(path.read_bytes())
    heap = content.index(b'GCOL')
    free = content.index(struct.pack('<HHIQ', 0, 0, 0, 4096 - 40), heap)
    struct.pack_into('<Q', content, free + 8, 216)
    path.write_bytes(content)
    return path


def process_of(recording: object) -> int:
    return recording._reader._process.pid


def wait_for_end(pid: int) -> bool:
    """Return whether a process is gone, now or within ten seconds."""
    try:
        file = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([file], [], [], 10)[0])
    finally:
        os.close(file)


def test_a_file_on_which_the_library_hangs_is_one_sentence(hanging, monkeypatch):
    monkeypatch.setattr(hdf5_process, '_SECONDS', 1)
    monkeypatch.setattr(hdf5_process, '_PATIENCE', 1000)  # the system ends it
    with pytest.raises(RecordingError, match=facts('hanging.h5', 'no end', '2 s of processor')):
        open_recording(hanging)


def test_a_child_that_waits_without_an_end_is_one_sentence(long, monkeypatch):
    with open_recording(long) as recording:
        os.kill(process_of(recording), signal.SIGSTOP)
        monkeypatch.setattr(hdf5_process, '_PATIENCE', 0)
        with pytest.raises(RecordingError, match=facts('long.h5', 'no end', 'copy it')):
            list(recording)
        assert wait_for_end(process_of(recording))


def _data_size(pid: int) -> int:
    lines = Path(f'/proc/{pid}/status').read_text().split('\n')
    return 1024 * int(next(line for line in lines if line.startswith('VmData:')).split()[1])


@pytest.mark.skipif(not hasattr(resource, 'prlimit'), reason='of Linux')
def test_memory_beyond_the_limit_is_one_sentence(long):
    with open_recording(long) as recording:
        pid = process_of(recording)
        soft, hard = resource.prlimit(pid, resource.RLIMIT_DATA)
        assert 0 < soft - _data_size(pid) < 1 << 28
        resource.prlimit(pid, resource.RLIMIT_DATA, (1 << 20, hard))
        with pytest.raises(RecordingError, match=facts('long.h5', 'damaged')):
            list(recording)


def test_memory_that_a_small_file_only_states_is_not_taken(tmp_path):
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        for name in SMALL:
            shape = (1 << 22,)  # of 8 bytes
            file.create_dataset(f'events/{name}', shape, 'i8', chunks=shape)
    assert (tmp_path / 'a.h5').stat().st_size < 1 << 16
    with pytest.raises(RecordingError, match=facts('a.h5', '32 MiB', '16 MiB', 'h5repack')):
        open_recording(tmp_path / 'a.h5')


def test_a_crash_of_the_library_is_one_sentence(long):
    with open_recording(long) as recording:
        os.kill(process_of(recording), signal.SIGSEGV)
        for _ in range(2):
            with pytest.raises(RecordingError, match=facts('long.h5', 'SIGSEGV', 'copy it')):
                list(recording)


def test_iterations_do_not_disturb_each_other(long):
    with open_recording(long) as recording:
        pairs = list(zip(recording, recording, strict=True))
        for first, second in pairs:
            np.testing.assert_array_equal(first.t, second.t)
        assert sum(len(first) for first, _ in pairs) == COUNT
        next(iter(recording))
        assert sum(map(len, recording)) == COUNT


def test_events_stay_as_they_are_while_others_are_read(long):
    with open_recording(long) as recording:
        chunks = list(recording)
    assert len(chunks) > 2
    np.testing.assert_array_equal(np.concatenate([chunk.t for chunk in chunks]), np.arange(COUNT))


def test_recordings_are_read_in_threads(tmp_path, long):
    small = write(tmp_path / 'small.h5')
    counts = {}

    def count(path: Path) -> None:
        with open_recording(path) as recording:
            counts[path] = sum(map(len, recording))

    threads = [threading.Thread(target=count, args=(path,)) for path in (small, long)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == {small: len(SMALL['t']), long: COUNT}


def test_no_process_stays_behind(long):
    recording = open_recording(long)
    pids = [process_of(recording)]
    recording.close()
    with pytest.raises(RecordingError, match=facts('long.h5', 'closed')):
        list(recording)
    dropped = open_recording(long)
    pids.append(process_of(dropped))
    next(iter(dropped))
    del dropped
    with pytest.raises(RecordingError):
        open_recording(long, '/nothing')
    assert all(map(wait_for_end, pids))
    assert not Path(f'/proc/self/task/{os.getpid()}/children').read_text().split()


_READER = """
import sys
from sast_ros.bags import open_recording

recording = open_recording(sys.argv[1])
print(recording._reader._process.pid, flush=True)
while True:
    for chunk in recording:
        pass
"""


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_process_ends_with_its_parent(long, number):
    with subprocess.Popen(
        [sys.executable, '-c', _READER, long],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        child = int(parent.stdout.readline())
        parent.send_signal(number)
        try:
            assert parent.wait(60)
        finally:
            parent.kill()
    assert wait_for_end(child)


_WITHOUT_STREAMS = """
import os
import sys
from sast_ros.bags import open_recording

for number in range(3):
    os.close(number)
with open_recording(sys.argv[1]) as recording:
    count = sum(map(len, recording))
with open(sys.argv[2], 'w') as file:
    file.write(str(count))
"""


def test_standard_streams_may_be_closed(tmp_path, long):
    result = tmp_path / 'count'
    subprocess.run([sys.executable, '-c', _WITHOUT_STREAMS, long, result], check=True)
    assert int(result.read_text()) == COUNT


def test_modules_in_the_working_directory_are_not_run(tmp_path, long, monkeypatch):
    """A folder of recordings of others may hold any file."""
    for name in ('h5py', 'hdf5plugin', 'json', 'numpy', 'sast_ros'):
        (tmp_path / f'{name}.py').write_text('raise SystemExit')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', [os.path.abspath(each) for each in sys.path if each])
    with open_recording(long) as recording:
        assert sum(map(len, recording)) == COUNT


def test_a_library_that_cannot_be_imported_is_named(tmp_path, long, monkeypatch):
    (tmp_path / 'hdf5plugin.py').write_text("raise ImportError('libc of another system')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        RecordingError, match=facts('long.h5', 'libc of another system', 'hdf5plugin')
    ):
        open_recording(long)
