# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Processor of this process, and settings of a process that runs the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import ctypes
import gc
import ipaddress
import os
from pathlib import Path
import platform
import re
import signal
import socket
import sys
import threading
from types import FrameType
from typing import Any

from sast_ros.errors import SettingError

#: Environment variable that names a slower instruction set for the compiled loops of the network
#: than the processor has.
INSTRUCTION_SET = 'SAST_ROS_INSTRUCTION_SET'

#: CPU threads of the network where nothing else is set; more gain little.
MAX_THREADS = 4

#: More resident memory than before that ``HeapWatch`` leaves in the heap, bytes, and the most
#: calls between two trials to return it.
HEAP_SLACK = 32 << 20
_MAX_PATIENCE = 10

#: Extensions of processors on which the speed of the network depends, as Linux names them.
_EXTENSIONS = (
    *('avx2', 'fma', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_tile', 'amx_bf16'),
    *('asimd', 'asimdhp', 'asimddp', 'sve', 'bf16'),
)

#: Instruction sets that a process can be held to: the extension that the processor must have, and
#: the environment by which the compiled engine, PyTorch, oneDNN and MKL keep to them.
_HELD: dict[str, tuple[str, dict[str, str]]] = {
    'avx512': ('avx512f', {}),
    'avx2': (
        'avx2',
        {
            'ATEN_CPU_CAPABILITY': 'avx2',
            'ONEDNN_MAX_CPU_ISA': 'AVX2',
            'MKL_ENABLE_INSTRUCTIONS': 'AVX2',
        },
    ),
    'baseline': (
        '',
        {
            'ATEN_CPU_CAPABILITY': 'default',
            'ONEDNN_MAX_CPU_ISA': 'SSE41',
            'MKL_ENABLE_INSTRUCTIONS': 'SSE4_2',
        },
    ),
    'neon': ('asimd', {}),
}
INSTRUCTION_SETS = tuple(_HELD)

#: Becomes a command that ends with the process of a number. A shell starts jobs in the background
#: with interruption ignored, which children inherit. PR_SET_PDEATHSIG is 1.
_TIED = """
import ctypes, os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
ctypes.CDLL(None).prctl(1, signal.SIGINT)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


def processor_name() -> str:
    """Return the model of the processor, or of the board where that says more."""
    found = re.search(r'^model name\s*:\s*(\S.*)$', _read('/proc/cpuinfo'), re.MULTILINE)
    board = _read('/proc/device-tree/model').strip('\0\n ')
    return found.group(1) if found else board or platform.processor() or platform.machine()


def processor_extensions() -> tuple[str, ...]:
    """Return those extensions of the processor on which the speed of the network depends."""
    found = re.search(r'^(?:flags|Features)\s*:(.*)$', _read('/proc/cpuinfo'), re.MULTILINE)
    present = set(found.group(1).split()) if found else set()
    return tuple(name for name in _EXTENSIONS if name in present)


def hold_to_instruction_set(name: str) -> None:
    """
    Let the network use no more than an instruction set of the processor.

    It sets the environment of this process and its children; call it before torch is imported.

    Parameters
    ----------
    name : str
        One of ``INSTRUCTION_SETS``.

    Raises
    ------
    SettingError
        The processor does not have it, or torch has been imported.

    """
    extension, environment = _HELD[name]
    present = processor_extensions()
    if extension and extension not in present:
        raise SettingError(
            f'the processor {processor_name()} does not have {name}; it has '
            f'{", ".join(present) or "none of the extensions that are known"}'
        )
    if 'torch' in sys.modules:
        raise SettingError(
            f'PyTorch is loaded and cannot be held to {name} any more; choose the instruction set '
            'at the start of the process'
        )
    os.environ.update({**environment, INSTRUCTION_SET: name})


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors='replace')
    except OSError:
        return ''


def memory_bytes() -> int:
    """Return the size of the main memory."""
    return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')


def network_threads() -> int:
    """Return the default number of CPU threads: all cores but one, which receives the events."""
    return min(max(available_cores() - 1, 1), MAX_THREADS)


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def paused_collector() -> Iterator[None]:
    """
    Import and load without garbage collections, and leave what there is out of later ones.

    PyTorch brings 170 000 objects that stay. A full collection examines them all and stops every
    thread for about a tenth of a second; while they are made there are several.
    """
    if gc.get_freeze_count():  # of an earlier time
        gc.unfreeze()
        gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def limit_spinning() -> None:
    """
    Limit how long threads of the network spin while they wait for each other.

    Call it before torch is imported. Where all cores are busy, a spinning thread prevents the one
    that it waits for from running: on 2 busy cores a step of 60 ms took 500 ms.
    """
    os.environ.setdefault('GOMP_SPINCOUNT', '10000')


def return_heap() -> None:
    """Return freed memory to the system once, as after loading a model; see ``keep_heap``."""
    malloc_trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if malloc_trim is not None:
        malloc_trim(0)


def resident_bytes() -> int:
    """Return the resident memory of this process (Linux), 0 where it is unknown."""
    pages = _read('/proc/self/statm').split()[1:2]
    return int(pages[0]) * os.sysconf('SC_PAGE_SIZE') if pages else 0


class HeapWatch:
    """
    Return what a burst of events has left in the heap, which ``keep_heap`` keeps.

    ``poll`` compares the resident memory with the lowest since memory was returned. Where it is
    higher every time, it is in use and not left over, and its return, which costs some
    milliseconds, is tried less and less often.
    """

    def __init__(self) -> None:
        self._low = resident_bytes()
        self._polls, self._patience = 0, 1

    def poll(self) -> None:
        """Return memory if there is much more than before; call it once a second or so."""
        resident = resident_bytes()
        if resident - self._low < HEAP_SLACK:
            self._low = min(self._low, resident)
            self._polls, self._patience = 0, 1
            return
        self._polls += 1
        if self._polls >= self._patience:
            return_heap()
            self._low = resident_bytes()
            self._polls, self._patience = 0, min(2 * self._patience, _MAX_PATIENCE)


def keep_heap() -> None:
    """
    Let the C library keep freed memory instead of returning it after every large array.

    A step allocates and frees tens of megabytes, which would cost page faults each time (part of
    what benchmarks/step_time.py calls plain). Without glibc it does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is not None:
        trim_threshold, mmap_threshold, limit = -1, -3, 1 << 30
        mallopt(trim_threshold, limit)
        mallopt(mmap_threshold, limit)


def tied_command(command: Sequence[str]) -> list[str]:
    """
    Return a command that is interrupted when this process is gone, even killed (Linux).

    Its first word must be a path. The new process arranges it itself: between fork and exec, where
    ``preexec_fn`` runs, a process whose parent has threads may hang.
    """
    if sys.platform != 'linux':
        return list(command)
    return [sys.executable, '-I', '-S', '-c', _TIED, str(os.getpid()), *command]


def end_with_parent(parent: int) -> None:
    """End this process as soon as its parent, of this process id, has ended in any way."""

    def watch() -> None:
        pause = threading.Event()
        while os.getppid() == parent:
            pause.wait(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def handled_signals(
    handler: Callable[[int, FrameType | None], None], *signals: signal.Signals
) -> Iterator[None]:
    """Let a function handle signals while a ``with`` block lasts; ignored ones stay ignored."""
    before: dict[signal.Signals, Any] = {}
    try:
        with contextlib.suppress(ValueError):  # only the main thread may set handlers
            for number in signals:
                if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
                    before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def is_interruption(error: BaseException) -> bool:
    """Return whether an error is an interruption, of which ctypes may make one of its own."""
    return isinstance(error, KeyboardInterrupt) or (
        isinstance(error, ctypes.ArgumentError) and 'KeyboardInterrupt' in str(error)
    )


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address: localhost or such a number."""
    if host == 'localhost':
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def reachable_host(host: str) -> str:
    """Return an address as it stands in a URL; of one that stands for all, the machine's name."""
    try:
        address = ipaddress.ip_address(host or '0.0.0.0')  # noqa: S104 - nothing is bound to it
    except ValueError:
        return host
    if address.is_unspecified:
        return socket.gethostname()
    return f'[{host}]' if address.version == 6 else host
