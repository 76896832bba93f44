# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Jobs of a batch: a module of its own, so that other processes can import it."""

from __future__ import annotations

import os
from pathlib import Path
import select
import signal

from sast_ros.errors import SastError
from sast_ros.evaluation.batch.jobs import BatchError


def work(job: str | int | Path) -> tuple[object, int]:
    """Return the job and the process, or do what the job says."""
    if job == 'bad':
        raise SastError('a bad job')
    if job == 'bug':
        raise KeyError('a bug')
    if job == 'no device':
        raise BatchError('there is no such device')
    if job == 'deadly':
        _die()
    if job == 'endless':
        while True:
            select.select([], [], [], 1)
    if isinstance(job, Path):
        with job.open('a') as log:
            log.write(f'{os.getpid()}\n')
        if len(job.read_text().split()) == 1:
            _die()
    return job, os.getpid()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
