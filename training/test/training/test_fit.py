"""A training goes on after any kill as if nothing had happened."""

from __future__ import annotations

import json
import os
from pathlib import Path
import signal
import subprocess
import sys

import pytest
from sast_ros.cli import main
from sast_ros.model import load_model
from sast_ros_training.training.config import parse_config
from sast_ros_training.training.errors import TrainingConfigError, TrainingDataError
from sast_ros_training.training.fit import train
from sast_ros_training.training.module import CHECKPOINT_KEY, one_cycle
import torch
import yaml

STEPS = 5


def settings(cache: Path, **sections) -> dict:
    return {
        'data': {'kind': 'cache', 'cache': str(cache)},
        'streams': {'streams': 2, 'random_windows': [2, 4]},
        'optimizer': {'max_steps': STEPS},
        'hardware': {'devices': 1, 'accelerator': 'cpu'},
        'checkpoint': {'every_steps': 2},
        'validation': {'every_steps': 100, 'sequences': 1, 'batch_norm_windows': 20},
        'log_every': 1,
        **sections,
    }


class Killed(Exception):
    """Stands for a kill: nothing of the training gets to say goodbye."""


def run(cache: Path, out: Path, stop: int | None = None, **sections):
    """Train; return the losses by step and what was said."""
    losses, said = {}, []

    def report(step: int, total: int, values: dict[str, float]) -> None:
        losses[step] = values['loss']
        if step == stop:
            raise Killed

    config = parse_config(settings(cache, **sections), 'test')
    try:
        train(config, out, say=said.append, report=report)
    except Killed:
        assert stop is not None
    return losses, said


def content(out: Path) -> dict:
    return torch.load(out / 'last.ckpt', weights_only=True)


def differences(a, b, where: str = '') -> list[str]:
    if isinstance(a, torch.Tensor):
        return [] if torch.equal(a, b) else [where]
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        return [d for key in a for d in differences(a[key], b[key], f'{where}.{key}')]
    if isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        return [d for i, _ in enumerate(a) for d in differences(a[i], b[i], f'{where}[{i}]')]
    return [] if a == b else [where]


@pytest.fixture(scope='module')
def whole(cache, tmp_path_factory):
    """Return folder and losses of a training that nobody disturbed."""
    out = tmp_path_factory.mktemp('whole')
    return out, run(cache, out)[0]


def test_a_killed_training_goes_on_bit_for_bit(cache, whole, tmp_path):
    out, losses = whole
    before, _ = run(cache, tmp_path, stop=3)
    after, said = run(cache, tmp_path)
    assert said[0] == f'goes on from {tmp_path / "last.ckpt"}'
    assert sorted(before) == [1, 2, 3]
    assert sorted(after) == [3, 4, 5]  # the checkpoint is of step 2
    assert {**before, **after} == losses
    expected, found = content(out), content(tmp_path)
    for part in ('state_dict', 'optimizer_states', CHECKPOINT_KEY):
        assert differences(expected[part], found[part], part) == []
    a, b = (load_model(folder / 'model.safetensors') for folder in (out, tmp_path))
    assert differences(a.state_dict(), b.state_dict()) == []


def test_what_a_training_leaves(whole):
    out, losses = whole
    names = {path.name for path in out.iterdir()}
    assert names == {'config.yaml', 'curves', 'last.ckpt', 'model.safetensors', 'validation.json'}
    assert parse_config(yaml.safe_load((out / 'config.yaml').read_text()), 'x').log_every == 1
    model = load_model(out / 'model.safetensors')
    assert model.config.classes == ('pedestrian', 'two-wheeler', 'car')
    assert not model.training
    found = json.loads((out / 'validation.json').read_text())
    assert found['step'] == STEPS and found['sequences'] == 2
    assert set(found['by_motion']) == {'static', 'pan'}
    assert sum(row['windows'] for row in found['sparsity']) == 24
    assert all(len(row['kept_tokens']) == 4 for row in found['sparsity'])
    assert sorted(losses) == [1, 2, 3, 4, 5]


def test_the_exported_weights_are_the_average(whole):
    out, _ = whole
    average = content(out)[CHECKPOINT_KEY]['average']['model']
    exported = load_model(out / 'model.safetensors').state_dict()
    for name, value in average.items():
        if value.is_floating_point():
            assert torch.equal(exported[name], value.half().float()), name


def test_a_finished_training_does_nothing_more_and_can_have_another_cycle(cache, whole, tmp_path):
    (tmp_path / 'last.ckpt').write_bytes((whole[0] / 'last.ckpt').read_bytes())
    assert run(cache, tmp_path)[0] == {}
    rates = {}
    config = parse_config(settings(cache, optimizer={'max_steps': STEPS + 3}), 'test')

    def report(step: int, total: int, values: dict[str, float]) -> None:
        rates[step] = values['learning_rate']

    train(config, tmp_path, report=report)
    warmup = config.optimizer.warmup
    expected = {STEPS + 1 + i: 1e-3 * one_cycle(i / 3, warmup) for i in range(3)}
    assert rates == pytest.approx(expected)


def test_going_on_with_another_network_is_refused(cache, whole, tmp_path):
    (tmp_path / 'last.ckpt').write_bytes((whole[0] / 'last.ckpt').read_bytes())
    with pytest.raises(TrainingConfigError, match='another network .*classes'):
        run(cache, tmp_path, model={'classes': ['car']})
    (tmp_path / 'last.ckpt').write_bytes(b'nothing')
    with pytest.raises(TrainingConfigError, match='no intact checkpoint'):
        run(cache, tmp_path)


def test_an_empty_cache_is_refused(tmp_path):
    with pytest.raises(TrainingDataError, match='holds no sequences'):
        run(tmp_path / 'none', tmp_path / 'out')


def test_the_learning_rate_rises_and_falls_to_zero():
    rates = [one_cycle(step / 1000, 0.1) for step in range(1001)]
    assert rates[100] == max(rates) == 1
    assert rates[1000] == pytest.approx(0)
    assert all(a < b for a, b in zip(rates[40:100], rates[41:101]))
    assert all(a > b for a, b in zip(rates[100:], rates[101:]))


def test_a_simulated_training_in_two_processes_survives_a_kill(tmp_path):
    """The command, killed with SIGKILL, ends all of its processes and goes on when repeated."""
    file = Path(__file__).resolve().parents[2] / 'config' / 'smoke.yaml'
    command = [sys.executable, '-m', 'sast_ros', 'train', '--config', str(file)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith('step 15 '):
            running.send_signal(signal.SIGKILL)
            break
    rest = running.stderr.read()  # until the last process has closed it
    running.wait()
    assert 'step 20 ' not in rest
    done = subprocess.run([*command, '--json', '-'], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'goes on from' in done.stderr
    assert 'step 10 of' not in done.stderr  # the checkpoint is of that step
    assert 'step 15 of 20' in done.stderr and 'step 20 of 20' in done.stderr
    assert json.loads(done.stdout)['steps'] == 20
    assert len(list((tmp_path / 'out/train/smoke-cache/train').iterdir())) == 6


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    file = tmp_path / 'a.yaml'
    file.write_text('optimizer: {steps: 3}')
    assert main(['train', '--config', str(file)]) == 1
    assert 'optimizer.steps is no key' in capsys.readouterr().err
    assert 'LOCAL_RANK' not in os.environ
