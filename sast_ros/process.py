"""Settings of a process that runs the network; for programs, never for the library."""

from __future__ import annotations

import ctypes
import os


def limit_spinning() -> None:
    """
    Limit how long threads of the network spin while they wait for each other.

    To be called before torch is imported. Where all cores are busy, a spinning thread keeps the
    one that it waits for from running: on 2 busy cores a step of 60 ms took 500 ms.
    """
    os.environ.setdefault('GOMP_SPINCOUNT', '10000')


def keep_heap() -> None:
    """
    Let the C library keep freed memory.

    Otherwise it returns it to the system after every large array. A step allocates and frees tens
    of megabytes; getting them anew each time costs page faults (part of what
    benchmarks/step_time.py calls plain). Without glibc it does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is not None:
        trim_threshold, mmap_threshold, limit = -1, -3, 1 << 30
        mallopt(trim_threshold, limit)
        mallopt(mmap_threshold, limit)
