# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Jobs as tasks of Ray (an optional dependency), on one machine or many."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
import logging
import os
import re
import secrets
import signal
import socket
import sys
from typing import Any

from sast_ros.evaluation.batch.jobs import attempt, BatchError, JobResult, supervise

#: Address of a cluster on this machine alone, which ends with the command.
LOCAL = 'local'

_TIMEOUT_S = 10.0

#: What Ray reads when it is imported. Without the regular expression it prints the death of a
#: process on standard output, in the middle of the results.
_ENVIRONMENT = {
    'RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO': '0',
    'RAY_DEDUP_LOGS_SKIP_REGEX': '.*',
    'RAY_USAGE_STATS_ENABLED': '0',
}


def run_on_ray(
    function: Callable[[Any], Any],
    jobs: Sequence[Any],
    address: str,
    *,
    cpus: float = 1,
    gpus: float = 0,
    at_once: int | None = None,
    retries: int = 2,
) -> Generator[JobResult, None, None]:
    """
    Run jobs as tasks of a Ray cluster and yield their results in the order in which they end.

    Tasks are cancelled when the iterator is closed or this process ends.

    Parameters
    ----------
    function : callable
        Runs a job; it must be importable on every node.
    jobs : sequence
        The arguments of the function.
    address : str
        Address of the cluster: ``'auto'``, ``'HOST:PORT'``, ``'ray://HOST:PORT'``, or ``'local'``
        for one on this machine that ends with the jobs.
    cpus, gpus : float
        Resources of a job; fractions of a GPU are allowed.
    at_once : int, optional
        Maximum number of jobs at the same time; by default as many as the cluster has room for.
    retries : int
        How often a job is repeated whose process or node died. Ray itself would repeat it without
        limit after a lack of memory.

    Raises
    ------
    BatchError
        If there is no such cluster, none of its nodes is large enough, or the function raised it.

    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if address == LOCAL:
        _require_token()
    import ray
    from ray.exceptions import NodeDiedError, OutOfMemoryError, RayError, WorkerCrashedError

    _connect(ray, address)
    try:
        _check_room(ray, address, cpus, gpus)
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(attempt)
        yield from supervise(
            lambda index: task.remote(function, index, jobs[index]).future(),
            len(jobs),
            at_once or len(jobs),
            retries,
            (WorkerCrashedError, NodeDiedError, OutOfMemoryError),
        )
    except RayError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise BatchError(f'Ray could not run the task: {lines[-1].strip()}') from error
    finally:
        ray.shutdown()


def _require_token() -> None:
    """
    Let a cluster that is started here refuse whoever does not know a token made for it.

    Ray listens on every interface, and runs what its clients send. The processes of the cluster
    inherit the token by the environment; Ray itself would write one into the home folder
    (https://docs.ray.io/en/latest/ray-security/token-auth.html).

    Raises
    ------
    BatchError
        Ray has been imported, which is when it reads the mode, without one.

    """
    if 'ray' in sys.modules and os.environ.get('RAY_AUTH_MODE') != 'token':
        raise BatchError(
            'Ray was imported before its cluster could be given a token; set RAY_AUTH_MODE=token '
            'in the environment of this program'
        )
    os.environ['RAY_AUTH_MODE'] = 'token'
    os.environ.setdefault('RAY_AUTH_TOKEN', secrets.token_hex(32))


def _check_room(ray: Any, address: str, cpus: float, gpus: float) -> None:
    """Raise an error if no node is large enough; Ray would wait for one for ever."""
    nodes = [node['Resources'] for node in ray.nodes() if node['Alive']]
    if not any(node.get('CPU', 0) >= cpus and node.get('GPU', 0) >= gpus for node in nodes):
        raise BatchError(
            f'no node of the Ray cluster at {address} has {cpus:g} CPUs and {gpus:g} GPUs for a '
            'recording; ask for less with --threads and --gpus-per-recording'
        )


def _connect(ray: Any, address: str) -> None:
    advice = f'start one with "ray start --head", or use --ray-address {LOCAL}'
    if found := re.fullmatch(r'(?:ray://)?(.+):(\d+)', address):
        try:  # Ray itself would try for minutes
            socket.create_connection((found[1].strip('[]'), int(found[2])), _TIMEOUT_S).close()
        except (OSError, OverflowError) as error:
            raise BatchError(f'no Ray cluster at {address} ({error}); {advice}') from error
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False if address == LOCAL else None,
        )
    except Exception as error:  # of many types, some of gRPC
        advice = 'look into the logs of Ray' if address == LOCAL else advice
        reason = ' '.join(str(error).split()).rstrip('.') or type(error).__name__
        raise BatchError(f'no Ray cluster at {address} ({reason}); {advice}') from error
    finally:
        # The handler of Ray ends this process without cleaning up
        if signal.getsignal(signal.SIGTERM) is not before:
            signal.signal(signal.SIGTERM, before)
