# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Processor of this process, and settings of a process that runs the network."""

from __future__ import annotations

import ctypes
import os


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def limit_spinning() -> None:
    """
    Limit how long threads of the network spin while they wait for each other.

    Call it before torch is imported. Where all cores are busy, a spinning thread prevents the one
    that it waits for from running: on 2 busy cores a step of 60 ms took 500 ms.
    """
    os.environ.setdefault('GOMP_SPINCOUNT', '10000')


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
