"""Jobs as tasks of Ray, on one machine or many; ``pip install 'sast_ros[fleet]'``."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
import logging
import os
import re
import signal
import socket
from typing import Any

from sast_ros.errors import MissingPackageError
from sast_ros.evaluation.fleet import attempt, died, FleetError, Outcome, outcome

#: Address for a cluster on this machine alone, which ends with the command.
LOCAL = 'local'

_PATIENCE_S = 10.0

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
) -> Iterator[Outcome]:
    """
    Do jobs as tasks of a Ray cluster and yield how each ended, in the order of their ends.

    Tasks that run are cancelled when the iterator is closed or this process ends.

    Parameters
    ----------
    function:
        does a job; it must be importable on every node.
    jobs:
        its arguments.
    address:
        of the cluster: ``'auto'``, ``'HOST:PORT'``, ``'ray://HOST:PORT'``, or ``'local'`` for one
        on this machine that ends with the jobs.
    cpus, gpus:
        what a job takes; fractions of a GPU are allowed.
    at_once:
        how many jobs at the same time at most; ``None`` for as many as there is room for.
    retries:
        how often a job is tried again whose process or node died. It is this loop that tries
        again: Ray would without limit where memory was lacking.

    Raises
    ------
    ImportError: Ray is not installed.
    FleetError: no such cluster, none of its nodes is large enough, or the function raised
        something else than ``JobError``.

    """
    ray = _import_ray()
    from ray.exceptions import NodeDiedError, OutOfMemoryError, RayError, WorkerCrashedError

    _connect(ray, address)
    try:
        _check_room(ray, address, cpus, gpus)
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(attempt)
        waiting = deque((index, 1) for index in range(len(jobs)))
        running: dict[Future, tuple[int, int]] = {}
        while waiting or running:
            while waiting and len(running) < (at_once or len(jobs)):
                index, count = waiting.popleft()
                running[task.remote(function, jobs[index]).future()] = index, count
            # Not ray.wait: that makes exit code 1 of every signal
            ready = next(iter(wait(running, return_when=FIRST_COMPLETED).done))
            index, count = running.pop(ready)
            try:
                answer = ready.result()
            except (WorkerCrashedError, NodeDiedError, OutOfMemoryError):
                if count <= retries:
                    waiting.appendleft((index, count + 1))
                else:
                    yield Outcome(index, reason=died(count))
                continue
            except RayError as error:
                raise FleetError(f'Ray could not run the task: {_last_line(error)}') from error
            yield outcome(index, *answer)
    finally:
        ray.shutdown()


def _import_ray() -> Any:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise MissingPackageError(
            "Ray is not installed; take --workers, or: pip install 'sast_ros[fleet]'"
        ) from error
    return ray


def _connect(ray: Any, address: str) -> None:
    if found := re.fullmatch(r'(?:ray://)?(.+):(\d+)', address):
        # Ray would try it for minutes
        try:
            socket.create_connection((found[1].strip('[]'), int(found[2])), _PATIENCE_S).close()
        except (OSError, OverflowError) as error:
            raise FleetError(
                f'no Ray cluster at {address} ({error}); start one with "ray start --head", or '
                f'take --ray-address {LOCAL}'
            ) from error
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False if address == LOCAL else None,
        )
    except Exception as error:  # of many types, some of gRPC
        advice = (
            'look into the logs of Ray'
            if address == LOCAL
            else f'start one with "ray start --head", or take --ray-address {LOCAL}'
        )
        reason = ' '.join(str(error).split()).rstrip('.') or type(error).__name__
        raise FleetError(f'no Ray cluster at {address} ({reason}); {advice}') from error
    finally:
        # Ray has its own, which ends this process without a word
        if signal.getsignal(signal.SIGTERM) is not before:
            signal.signal(signal.SIGTERM, before)


def _check_room(ray: Any, address: str, cpus: float, gpus: float) -> None:
    """Refuse tasks for which no node is large enough; Ray would wait for one for ever."""
    nodes = [node['Resources'] for node in ray.nodes() if node['Alive']]
    if not any(node.get('CPU', 0) >= cpus and node.get('GPU', 0) >= gpus for node in nodes):
        raise FleetError(
            f'no node of the Ray cluster at {address} has {cpus:g} CPUs and {gpus:g} GPUs for a '
            'recording; ask for less with --threads and --gpus-per-recording'
        )


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
