# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The same recordings on a Ray cluster of two nodes, both on this machine."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import signal
import socket
import subprocess
import sys
from typing import Any

from evaluation.commands import Command, summaries, without_inputs
from facts import facts
from program import is_gone, wait_for
import pytest
from sast_ros.cli import main
from sast_ros.evaluation.batch.jobs import BatchError
from sast_ros.evaluation.batch.ray_cluster import LOCAL, run_on_ray

pytest.importorskip('ray', reason='Ray is not installed')


@pytest.fixture(scope='module')
def cluster() -> Iterator[Any]:
    """Start two nodes, each with room for one recording."""
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
    from ray.cluster_utils import Cluster

    memory = 100 << 20
    started = Cluster(
        initialize_head=True,
        head_node_args={'num_cpus': 1, 'object_store_memory': memory, 'include_dashboard': False},
    )
    started.add_node(num_cpus=1, object_store_memory=memory)
    yield started
    started.shutdown()


def working(cluster: Any) -> list[int]:
    """Return the processes of all nodes that replay a recording now, the newest node first."""
    found = []
    for node in reversed(cluster.list_all_nodes()):
        raylet = node.all_processes['raylet'][0].process.pid
        for pid in Path(f'/proc/{raylet}/task/{raylet}/children').read_text().split():
            try:
                title = Path(f'/proc/{pid}/cmdline').read_bytes()
            except OSError:
                continue
            if title.startswith(b'ray::attempt'):  # the task; others are idle or of Ray itself
                found.append(int(pid))
    return found


def test_a_cluster_gives_the_metrics_of_one_process(cluster, batch, tmp_path):
    """One of its processes is killed half-way, and one of the recordings is corrupt."""
    bags, out, target = batch.bags, tmp_path / 'out', tmp_path / 'metrics.json'
    arguments = ['--out', out, '--json', target, '--ray-address', cluster.address]
    command = batch.command(*arguments, bags=[*bags[:7], batch.corrupt, *bags[7:]])
    with Command(command, tmp_path / 'log') as running:
        running.until(lambda: len(summaries(out)) >= len(bags) // 2)
        victim = running.until(lambda: working(cluster))[0]
        os.kill(victim, signal.SIGKILL)
        assert running.wait() == 1
    assert is_gone(victim)
    batch.check(target, bags)
    said = [line for line in running.log.read_text().splitlines() if line.startswith('sast-ros')]
    assert len(said) == 1
    # Nothing of what Ray says about the process that died
    assert 'raylet' not in running.log.read_text()


def test_a_command_that_was_killed_goes_on_where_it_was(cluster, batch, tmp_path):
    bags, out = batch.bags[:12], tmp_path / 'out'
    arguments = ['--out', out, '--ray-address', cluster.address]
    command = batch.command(*arguments, bags=bags)
    with Command(command, tmp_path / 'log') as running:
        running.until(lambda: len(summaries(out)) >= len(bags) // 2)
        running.process.kill()
        running.wait()
    target = tmp_path / 'metrics.json'
    before = summaries(out)
    assert len(before) >= len(bags) // 2
    with Command([*command, '--json', str(target)], tmp_path / 'log') as running:
        assert running.wait() == 0
    after = summaries(out)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(bags)
    assert 'recordings were replayed before' in running.log.read_text()
    assert without_inputs(target) == batch.metrics(bags, tmp_path / 'serial.json')


def test_a_command_that_is_ended_leaves_no_task_behind(cluster, batch, tmp_path):
    out = tmp_path / 'out'
    command = batch.command('--out', out, '--ray-address', cluster.address, bags=batch.bags[:12])
    with Command(command, tmp_path / 'log') as running:
        running.until(lambda: summaries(out))
        running.process.terminate()
        assert running.wait() == 143
    wait_for(lambda: not working(cluster))
    assert len(summaries(out)) < 12
    assert 'Traceback' not in running.log.read_text()


def test_a_task_that_no_node_has_room_for_is_one_sentence(cluster, batch, tmp_path):
    arguments = ['--out', tmp_path, '--ray-address', cluster.address, '--gpus-per-recording', 0.5]
    with Command(batch.command(*arguments, bags=batch.bags[:2]), tmp_path / 'log') as running:
        assert running.wait() == 1
    assert 'has 1 CPUs and 0.5 GPUs for a recording' in running.log.read_text()


def test_a_cluster_that_is_not_there_is_one_sentence(batch, tmp_path, capsys):
    with socket.socket() as unused:
        unused.bind(('127.0.0.1', 0))
        address = f'127.0.0.1:{unused.getsockname()[1]}'
        for name in (address, f'ray://{address}'):
            command = batch.command('--out', tmp_path, '--ray-address', name, bags=batch.bags[:2])
            assert main(command) == 1
            (sentence,) = capsys.readouterr().err.strip().splitlines()
            assert f'no Ray cluster at {name}' in sentence
            assert 'ray start --head' in sentence


# A cluster of the command itself: what a stranger is told by the port on which it is controlled,
# without a token and with the right one.
TRY_TO_CONNECT = """
import os, grpc
from sast_ros.evaluation.batch.ray_cluster import LOCAL, run_on_ray

results = run_on_ray(abs, [-1], LOCAL)
assert next(results).value == 1
import ray

port = ray.get_runtime_context().gcs_address.rpartition(':')[2]
with grpc.insecure_channel(f'127.0.0.1:{port}') as channel:
    nodes = channel.unary_unary('/ray.rpc.NodeInfoGcsService/GetAllNodeInfo')
    for token in ('', os.environ['RAY_AUTH_TOKEN']):
        try:
            nodes(b'', timeout=20, metadata=[('authorization', f'Bearer {token}')])
            print('answered')
        except grpc.RpcError as error:
            print(error.code().name)
results.close()
"""


def test_a_cluster_of_the_command_refuses_whoever_has_no_token(tmp_path, monkeypatch):
    pytest.importorskip('grpc', reason='no gRPC to connect with')
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('RAY_AUTH_MODE', 'disabled')
    done = subprocess.run(
        [sys.executable, '-c', TRY_TO_CONNECT], capture_output=True, text=True, timeout=240
    )
    assert done.stdout.split() == ['UNAUTHENTICATED', 'answered'], done.stderr
    assert not (tmp_path / '.ray').exists()  # where Ray itself would keep a token


def test_a_cluster_without_a_token_is_not_started(monkeypatch):
    import ray  # noqa: F401  (which reads the environment)

    monkeypatch.setenv('RAY_AUTH_MODE', 'disabled')
    with pytest.raises(BatchError, match=facts('RAY_AUTH_MODE=token')):
        next(run_on_ray(abs, [-1], LOCAL))
