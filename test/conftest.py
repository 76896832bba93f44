# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Fixtures shared by all tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
import itertools
import os
from pathlib import Path
import signal

import hypothesis
import pytest
from sast_ros.demo.processes import claimed_domain
from sast_ros.process import available_cores, limit_spinning

# With pytest-xdist (`make test`) tests run in several processes, the workers.
WORKERS = int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', 1))
WORKER = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw'))
SESSION = os.getppid() if 'PYTEST_XDIST_WORKER' in os.environ else os.getpid()

# Before torch is imported: its threads shall not spin while the processes of other tests need the
# processor, and workers share the cores.
limit_spinning()
if WORKERS > 1:
    os.environ.setdefault('OMP_NUM_THREADS', str(max(available_cores() // WORKERS, 1)))

# A shell lets what it starts in the background ignore SIGINT, and so would what tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile(
    'busy machine', deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile('busy machine')

REPOSITORY = Path(__file__).resolve().parent.parent

# Every test that opens ROS topics holds a domain of its own, and the next one another, so that no
# two ever hear each other. The process id spreads parallel sessions, the number their workers.
_domains = itertools.count(SESSION + 100 * WORKER // WORKERS)


@pytest.fixture(scope='session')
def data_folder() -> Path:
    """Return the folder of the committed fixtures (test/data/README.md)."""
    return REPOSITORY / 'test' / 'data'


@pytest.fixture(scope='session')
def shared() -> Path:
    """
    Return the folder with real recordings and full parity fixtures beside the repository.

    The test skips without it: both are too large for the repository.
    """
    folder = Path(os.environ.get('SAST_ROS_SHARED', REPOSITORY.parent / 'shared'))
    if not (folder / 'parity').is_dir():
        pytest.skip(f'no {folder}, which holds the real recordings and the full parity fixtures')
    return folder


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Return a function that sets the number of threads of PyTorch until the test ends."""
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(scope='session')
def sure_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a file that passes for trained weights: random ones that are sure of many cars."""
    from sast_ros.model import save_model, untrained_model

    model = untrained_model('gen1-tiny', classes=('pedestrian', 'two-wheeler', 'car'))
    head = model.yolox_head
    for objectness, classes, boxes in zip(head.obj_preds, head.cls_preds, head.reg_preds):
        objectness.bias.data.fill_(3)
        classes.bias.data[2] = 3
        boxes.bias.data[2:] = 1  # log of the size in cells: large enough to count
    path = tmp_path_factory.mktemp('weights') / 'sure.safetensors'
    save_model(model, path, half=True)
    return path


@pytest.fixture(scope='session')
def next_domain() -> Callable[[], AbstractContextManager[str]]:
    """
    Hand out a ROS_DOMAIN_ID that nothing else on this machine uses while its context lasts.

    It is for fixtures that outlive a test.
    """
    return lambda: claimed_domain(next(_domains))


@pytest.fixture
def ros_domain(
    monkeypatch: pytest.MonkeyPatch, next_domain: Callable[[], AbstractContextManager[str]]
) -> Iterator[str]:
    """
    Set a ROS_DOMAIN_ID that nothing else on this machine uses.

    It holds for this process and those it starts.
    """
    with next_domain() as domain:
        monkeypatch.setenv('ROS_DOMAIN_ID', domain)
        yield domain
