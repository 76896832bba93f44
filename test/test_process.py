# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Settings of a process, and what it knows of its processor."""

from __future__ import annotations

from collections.abc import Iterator
import gc
import socket
import subprocess
import sys
import weakref

import pytest
from sast_ros import process
from sast_ros.process import (
    network_threads,
    paused_collector,
    processor_extensions,
    processor_name,
    reachable_host,
)


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Leave no object out of the collections of other tests."""
    yield
    gc.unfreeze()


class Ring:
    """An object that only the garbage collector can free."""

    def __init__(self) -> None:
        self.itself = self


def test_nothing_is_collected_while_a_model_is_loaded() -> None:
    with paused_collector():
        assert not gc.isenabled()
        kept = Ring()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 1000
    assert not any(one is kept for one in gc.get_objects())


def test_the_collector_works_again_after_an_error() -> None:
    with pytest.raises(ValueError, match='weights'), paused_collector():
        raise ValueError('weights')
    assert gc.isenabled()


def test_what_an_earlier_model_left_is_collected_before_the_next() -> None:
    with paused_collector():
        ring = Ring()
    watch = weakref.ref(ring)
    del ring
    gc.collect()
    assert watch() is not None
    with paused_collector():
        assert watch() is None


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with paused_collector():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize(('cores', 'threads'), [(1, 1), (2, 1), (3, 2), (5, 4), (64, 4)])
def test_the_network_leaves_a_core_to_the_events(
    cores: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, 'available_cores', lambda: cores)
    assert network_threads() == threads


def test_the_processor_is_read_from_what_linux_says(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        '/proc/cpuinfo': 'processor\t: 0\nmodel name\t: A Chip @ 2 GHz\nflags\t\t: fma sse avx2\n'
    }
    monkeypatch.setattr(process, '_read', lambda path: files.get(path, ''))
    assert processor_name() == 'A Chip @ 2 GHz'
    assert processor_extensions() == ('avx2', 'fma')
    files['/proc/cpuinfo'] = 'processor\t: 0\nFeatures\t: fp asimd asimdhp\nCPU part\t: 0xd42\n'
    files['/proc/device-tree/model'] = 'NVIDIA Jetson Orin Nano\0'
    assert processor_name() == 'NVIDIA Jetson Orin Nano'
    assert processor_extensions() == ('asimd', 'asimdhp')
    files.clear()
    assert processor_name()
    assert processor_extensions() == ()


def test_a_detector_needs_no_more_modules_of_pytorch_than_pytorch_itself() -> None:
    """Symbolic shapes alone would cost half a second and 40 MB."""
    program = (
        'import sys, torch\n'
        'before = set(sys.modules)\n'
        'from sast_ros.detector import StreamingDetector\n'
        'from sast_ros.model import load_model\n'
        'detector = StreamingDetector(load_model("default"))\n'
        'detector.step(torch.ones(20, 240, 304, dtype=torch.uint8))\n'
        'heavy = "sympy", "torch._dynamo", "torch._inductor", "torch.utils.cpp_extension"\n'
        'print([name for name in heavy if name in set(sys.modules) - before])\n'
    )
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.stdout == '[]\n', done.stderr


@pytest.mark.skipif(process.resident_bytes() == 0, reason='the resident memory is not known')
def test_what_a_burst_leaves_in_the_heap_is_returned() -> None:
    """In a process of its own: the setting of the heap stays."""
    program = """
import numpy as np
from sast_ros.process import HeapWatch, keep_heap, resident_bytes

keep_heap()
watch = HeapWatch()
before = resident_bytes()
arrays = [np.ones(50_000, np.uint8) for _ in range(4000)]
kept = arrays[::500]
del arrays
left = resident_bytes() - before
watch.poll()
print(left, resident_bytes() - before, len(kept))
"""
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, check=True)
    left, after, _ = map(int, done.stdout.split())
    assert left > 150e6  # as it would stay
    assert after < 30e6


def test_memory_that_is_in_use_is_returned_less_and_less_often(monkeypatch) -> None:
    resident, returned = [100 << 20], []

    def return_heap() -> None:
        returned.append(poll)
        resident[0] = 100 << 20

    monkeypatch.setattr(process, 'resident_bytes', lambda: resident[0])
    monkeypatch.setattr(process, 'return_heap', return_heap)
    watch = process.HeapWatch()
    for number in range(50):
        poll, resident[0] = number, 200 << 20  # again
        watch.poll()
    assert returned == [0, 2, 6, 14, 24, 34, 44]
    resident[0] = 100 << 20
    watch.poll()  # after all it was left over
    resident[0], poll = 200 << 20, 60
    watch.poll()
    assert returned[-1] == 60


@pytest.mark.parametrize(
    ('host', 'shown'),
    [
        *(('0.0.0.0', None), ('::', None), ('', None)),
        *(('127.0.0.1', '127.0.0.1'), ('::1', '[::1]'), ('robot.local', 'robot.local')),
    ],
)
def test_an_address_is_printed_as_another_machine_can_use_it(host, shown) -> None:
    assert reachable_host(host) == (shown or socket.gethostname())
