# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A training goes on after any kill as if nothing had happened."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys

from lightning.pytorch import Trainer
from moving_boxes import CLASSES, write_cache
import numpy as np
import pytest
from sast_ros.cli import main
from sast_ros.detector import StreamingDetector
from sast_ros.example import recording_path
from sast_ros.labels import LABEL_DTYPE
from sast_ros.model import add_calibration, Calibration, CONFIGS, load_model, SAST
from sast_ros.model.config import vary
from sast_ros_training.training import fit, module
from sast_ros_training.training.averages import WeightAverage
from sast_ros_training.training.cache import (
    CachedSequence,
    list_sequences,
    SequenceInfo,
    SequenceWriter,
)
from sast_ros_training.training.checkpoint import CHECKPOINT_KEY, LAST
from sast_ros_training.training.config_file import parse_config, parse_curriculum
from sast_ros_training.training.errors import (
    TrainingConfigError,
    TrainingDataError,
    TrainingDivergedError,
    TrainingProcessError,
)
from sast_ros_training.training.fit import train
from sast_ros_training.training.module import one_cycle
from sast_ros_training.training.validation import calibrate_scores, run_sequence, summarise
import torch
from torch.utils.data import get_worker_info
import yaml

STEPS = 5

#: Of the small network of these tests: 2.5 times as fast with all that surrounds it.
SMALL = {'embed_dim': 16, 'dim_head': 16, 'frame': (96, 128)}

#: A part from random weights, one from its average, one from the mean of both.
CURRICULUM = [
    {'name': 'a', 'optimizer': {'max_steps': 3}},
    {
        'name': 'b',
        'optimizer': {'max_steps': 3},
        'streams': {'windows': 3},
        'selection': {'loss_weight': 1, 'dense_share': 0.3, 'budget_share': 0.3},
        'seed': 2,
    },
    {'name': 'c', 'optimizer': {'max_steps': 2}, 'init': ['a', 'b'], 'model': {'contrast': 15}},
]


def settings(cache: Path, **sections) -> dict:
    return {
        'data': {'kind': 'cache', 'cache': str(cache)},
        'streams': {'streams': 2, 'random_windows': [3, 4]},
        'optimizer': {'max_steps': STEPS},
        'hardware': {'devices': 1, 'accelerator': 'cpu'},
        'checkpoint': {'every_steps': 2},
        'validation': {'every_steps': 100, 'sequences': 1, 'batch_norm_windows': 6},
        'log_every': 1,
        **sections,
    }


class Killed(Exception):
    """Stands for a kill: nothing of the training runs any further."""


def run(cache: Path, out: Path, stop: tuple[str, int] | None = None, init=(), **sections):
    """
    Train; return the losses by part and step, and what was logged.

    ``stop``: part and step behind which it is killed, 0 before the part begins.
    """
    part, losses, logged = '', {}, []

    def log(sentence: str) -> None:
        nonlocal part
        logged.append(sentence)
        if sentence.startswith('part '):
            part = sentence.split(': ')[1]
            report(0, 0, {})

    def report(step: int, total: int, values: dict[str, float]) -> None:
        if step:
            losses[part, step] = values['loss']
        if (part, step) == stop:
            raise Killed

    try:
        parts = parse_curriculum(settings(cache, **sections), 'x')
        train(parts, out, init=init, log=log, report=report)
    except Killed:
        assert stop is not None
    return losses, logged


def content(out: Path) -> dict:
    return torch.load(out / LAST, weights_only=True)


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
def small_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp('small'), size=SMALL['frame'])


def shrink_network(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(CONFIGS, 'gen1-tiny', vary(CONFIGS['gen1-tiny'], **SMALL))


@pytest.fixture
def cache(small_cache, monkeypatch) -> Path:
    """Let this process train the small network; return a cache for it."""
    shrink_network(monkeypatch)
    return small_cache


@pytest.fixture(scope='module')
def whole(small_cache, tmp_path_factory) -> tuple[Path, dict]:
    """Return folder and losses of a training of the small network, not interrupted."""
    out = tmp_path_factory.mktemp('whole')
    with pytest.MonkeyPatch.context() as patch:
        shrink_network(patch)
        return out, run(small_cache, out)[0]


def assert_same_training(folder: Path, other: Path) -> None:
    expected, found = content(folder), content(other)
    for key in ('state_dict', 'optimizer_states', CHECKPOINT_KEY):
        assert differences(expected[key], found[key], key) == []
    a, b = (load_model(out / 'model.safetensors') for out in (folder, other))
    assert differences(a.state_dict(), b.state_dict()) == []


def test_a_killed_training_goes_on_bit_for_bit(cache, whole, tmp_path):
    out, losses = whole
    before, _ = run(cache, tmp_path, stop=('', 3))
    after, logged = run(cache, tmp_path)
    assert str(tmp_path / LAST) in logged[0]
    assert [step for _, step in before] == [1, 2, 3]
    assert [step for _, step in after] == [3, 4, 5]  # the checkpoint is of step 2
    assert {**before, **after} == losses
    assert_same_training(out, tmp_path)


def test_a_killed_curriculum_goes_on_bit_for_bit(cache, tmp_path):
    """Killed in the first part, between parts, and in the second part."""
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    losses, _ = run(cache, whole, curriculum=CURRICULUM)
    found = {}
    for stop in (('a', 3), ('b', 0), ('b', 3), None):
        found.update(run(cache, killed, stop, curriculum=CURRICULUM)[0])
    assert list(found) == [(p['name'], i + 1) for p in CURRICULUM for i in range(3)][:8]
    assert found == losses
    for part in CURRICULUM:
        assert_same_training(whole / part['name'], killed / part['name'])
    last = load_model(killed / 'c' / 'model.safetensors').state_dict()
    assert differences(load_model(killed / 'model.safetensors').state_dict(), last) == []
    assert run(cache, killed, curriculum=CURRICULUM)[0] == {}


HEAD = ['fpn.bu_conv1.*', 'yolox_head.*']


def test_weights_that_are_not_trained_stay_to_the_last_bit_and_so_do_statistics(cache, tmp_path):
    parts = [
        {'name': 'a', 'optimizer': {'max_steps': 1}},
        {
            'name': 'b',
            'optimizer': {'max_steps': 3, 'trained': HEAD, 'learning_rate': 0.01},
            'loss': {'score_weight': 0.5},
            'checkpoint': {'export': 'fp32'},
        },
    ]
    noted = []
    train(
        parse_curriculum(settings(cache, curriculum=parts), 'x'),
        tmp_path,
        report=lambda step, total, values: noted.append(values),
    )
    assert ['scores' in values for values in noted] == [False, True, True, True]
    began = content(tmp_path / 'a')[CHECKPOINT_KEY]['average']['model']
    model = load_model(tmp_path / 'model.safetensors')
    ended = model.state_dict()
    changed = {name for name in ended if not torch.equal(began[name], ended[name])}
    trained = [name for name, _ in model.named_parameters()]
    trained = {name for name in trained if name.startswith(('fpn.bu_conv1.', 'yolox_head.'))}
    changed = {name for name in changed if not name.endswith('num_batches_tracked')}
    # No object is small enough for the anchors of this one
    assert changed | {'yolox_head.reg_preds.0.bias'} == trained


def test_a_training_of_some_weights_goes_on_bit_for_bit(cache, tmp_path):
    chosen = {'max_steps': STEPS, 'trained': HEAD}
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    run(cache, tmp_path / 'begin', optimizer={'max_steps': 1})
    init = [tmp_path / 'begin' / 'model.safetensors']
    losses, _ = run(cache, whole, init=init, optimizer=chosen)
    before, _ = run(cache, killed, stop=('', 3), init=init, optimizer=chosen)
    with pytest.raises(TrainingConfigError, match=r'trained is \[\], but was .*fpn.* step 2;'):
        run(cache, killed)
    assert {**before, **run(cache, killed, optimizer=chosen)[0]} == losses
    assert_same_training(whole, killed)


def test_a_mistake_in_a_later_part_is_found_before_the_first_is_trained(cache, tmp_path):
    flying = {'kind': 'simulation', 'simulation': {'motion': 'flying'}}
    with pytest.raises(TrainingConfigError, match='flying'):
        run(cache, tmp_path, curriculum=[{'name': 'a'}, {'name': 'b', 'data': flying}])
    assert not (tmp_path / 'a').exists()


def test_weights_that_a_later_part_cannot_begin_with_are_found_before_the_first(cache, tmp_path):
    random = {'name': 'b', 'init': [], 'optimizer': {'max_steps': 1, 'trained': HEAD}}
    with pytest.raises(TrainingConfigError, match='starts at random and would stay so'):
        run(cache, tmp_path, curriculum=[{'name': 'a', 'optimizer': {'max_steps': 1}}, random])
    assert not (tmp_path / 'a').exists()


def test_parts_behind_one_that_is_trained_on_begin_anew(cache, tmp_path):
    parts = [{'name': name, 'optimizer': {'max_steps': 1}} for name in 'ab']
    run(cache, tmp_path, curriculum=parts)
    parts[0]['optimizer'] = {'max_steps': 2}
    losses, _ = run(cache, tmp_path, curriculum=parts)
    assert list(losses) == [('a', 2), ('b', 1)]


def test_parts_behind_one_that_is_trained_on_begin_anew_after_a_kill_between(cache, tmp_path):
    parts = [{'name': name, 'optimizer': {'max_steps': 1}} for name in 'ab']
    run(cache, tmp_path, curriculum=parts)
    parts[0]['optimizer'] = {'max_steps': 2}
    assert list(run(cache, tmp_path, ('b', 0), curriculum=parts)[0]) == [('a', 2)]
    assert list(run(cache, tmp_path, curriculum=parts)[0]) == [('b', 1)]


def test_a_checkpoint_to_begin_with_is_not_removed(cache, tmp_path):
    last = tmp_path / 'b' / LAST
    last.parent.mkdir()
    last.touch()
    parts = parse_curriculum(settings(cache, curriculum=[{'name': 'a'}, {'name': 'b'}]), 'x')
    with pytest.raises(TrainingConfigError, match=rf'{last}: is given as --init'):
        train(parts, tmp_path, init=[last], resume=False)
    assert last.exists()


def test_a_training_that_was_stopped_is_not_finished_by_fewer_steps(cache, tmp_path):
    run(cache, tmp_path, stop=('', 3))
    assert not (tmp_path / 'model.safetensors').exists()
    with pytest.raises(TrainingConfigError, match=rf'{LAST}: is of step 2 of 5.* more than 2'):
        run(cache, tmp_path, optimizer={'max_steps': 2})
    assert list(run(cache, tmp_path, optimizer={'max_steps': 3})[0]) == [('', 3)]
    assert (tmp_path / 'model.safetensors').is_file()


def test_a_training_can_begin_anew_with_its_own_weights(cache, whole, tmp_path):
    (tmp_path / LAST).write_bytes((whole[0] / LAST).read_bytes())
    steps = []
    train(
        parse_curriculum(settings(cache, optimizer={'max_steps': 1}), 'x'),
        tmp_path,
        init=[tmp_path / LAST],
        resume=False,
        report=lambda step, total, values: steps.append(step),
    )
    assert steps == [1] == [content(tmp_path)['global_step']]


def test_what_a_training_leaves(whole):
    out, losses = whole
    names = {path.name for path in out.iterdir()}
    assert names == {'config.yaml', 'curves', LAST, 'model.safetensors', 'validation.json'}
    assert parse_config(yaml.safe_load((out / 'config.yaml').read_text()), 'x').log_every == 1
    model = load_model(out / 'model.safetensors')
    assert model.config.classes == ('pedestrian', 'two-wheeler', 'car')
    assert not model.training
    found = json.loads((out / 'validation.json').read_text())
    assert found['step'] == STEPS and found['sequences'] == 2
    assert set(found['by_motion']) == {'static', 'pan'}
    assert found['by_windows'] == {'50/50': found['all']}
    assert sum(row['windows'] for row in found['sparsity']) == 24
    assert all(len(row['kept_tokens']) == 4 for row in found['sparsity'])
    assert list(losses) == [('', step) for step in range(1, STEPS + 1)]


def decide_map(monkeypatch, decide):
    """Validate as ever, but let ``decide`` give the mAP of so many sequences."""

    def decided(results, classes):
        results = list(results)
        found = summarise(results, classes)
        found['all']['ap'] = decide(len(results))
        return found

    monkeypatch.setattr(module, 'summarise', decided)


@pytest.mark.parametrize(
    ('of_all', 'of_one', 'exported'),
    [
        (0.3, [0.2, 0.6, 0.7], [2, 4, 5]),  # the rest is harder
        (0.9, [0.2, 0.6, 0.5], [2, 4]),  # the rest is easier
        (0.9, [0.6, 0.2, 0.5], [2]),
    ],
)
def test_the_best_weights_are_the_best_on_the_same_sequences(
    cache, tmp_path, monkeypatch, of_all, of_one, exported
):
    """The last validation takes both held-out sequences, those of steps 2 and 4 one of them."""
    given, steps = {1: iter(of_one), 2: iter([of_all])}, []

    export = module.DetectionTraining.export

    def watch(training, path):
        assert not (tmp_path / 'validation.json').exists()
        steps.append(training.global_step)
        export(training, path)

    decide_map(monkeypatch, lambda count: next(given[count]))
    monkeypatch.setattr(module.DetectionTraining, 'export', watch)
    run(cache, tmp_path, validation={'every_steps': 2, 'sequences': 1, 'batch_norm_windows': 6})
    assert steps == exported
    found = json.loads((tmp_path / 'validation.json').read_text())
    assert found['step'] == exported[-1]
    assert found['sequences'] == (2 if found['step'] == STEPS else 1)
    assert content(tmp_path)[CHECKPOINT_KEY]['best'] == max(of_one)


def test_weights_are_not_compared_on_other_sequences_than_before(cache, tmp_path, monkeypatch):
    decide_map(monkeypatch, {1: 0.8, 2: 0.4}.get)
    validation = {'every_steps': 2, 'sequences': 1, 'batch_norm_windows': 0}
    run(cache, tmp_path, stop=('', 5), validation=validation)
    assert json.loads((tmp_path / 'validation.json').read_text())['step'] == 4
    run(cache, tmp_path, validation={**validation, 'sequences': 2})
    found = json.loads((tmp_path / 'validation.json').read_text())
    assert (found['step'], found['all']['ap']) == (STEPS, 0.4)


def test_a_validation_of_other_weights_is_not_left_beside_those_of_the_last_part(cache, tmp_path):
    parts = [{'name': 'a', 'optimizer': {'max_steps': 1}}]
    run(cache, tmp_path, curriculum=parts)
    assert (tmp_path / 'validation.json').is_file()
    (tmp_path / 'a' / 'validation.json').unlink()
    run(cache, tmp_path, curriculum=parts)
    assert not (tmp_path / 'validation.json').exists()


@pytest.mark.parametrize('downsample', [1, 2, 4])
def test_validation_leaves_out_objects_by_their_cells(tmp_path, downsample):
    """Whatever the sensor, as training does: of these cars one has 9 cells, the other 10."""
    size = 240 * downsample, 304 * downsample
    info = SequenceInfo('test', CLASSES, size, downsample, (20, 240, 304))
    writer, labels = SequenceWriter(info), np.zeros(2, LABEL_DTYPE)
    labels['h'], labels['w'] = 40 * downsample, [9 * downsample, 10 * downsample]
    labels['x'], labels['class_id'], labels['visibility'] = [0, 99], 2, 1
    labels['seen'] = True
    writer.add(np.zeros(info.shape, np.uint8), 600_000, 0, labels)
    writer.write(tmp_path / 'a.safetensors')
    detector = StreamingDetector(load_model('default'), 0.99)
    result = run_sequence(detector, CachedSequence(tmp_path / 'a.safetensors'))
    assert summarise([result], CLASSES)['all']['labels']['car'] == 1


def test_weights_are_exported_with_the_calibration_of_their_validation(tmp_path):
    cache, weights = tmp_path / 'cache', tmp_path / 'default.safetensors'
    for folder in ('train', 'val'):
        shutil.copytree(recording_path('example').parent, tmp_path / 'source' / folder)
    add_calibration('default', weights, Calibration(1.0, 1.0, (5.0,) * 3))
    parts = parse_curriculum(
        settings(
            cache,
            data={
                'kind': 'bags',
                'source': str(tmp_path / 'source'),
                'source_classes': ['pedestrian', 'two-wheeler', 'car'],
                'cache': str(cache),
            },
            optimizer={'max_steps': 1, 'learning_rate': 1e-8},
            validation={'batch_norm_windows': 0},
        ),
        'x',
    )
    train(parts, tmp_path, init=[weights])
    model = load_model(tmp_path / 'model.safetensors')
    found = json.loads((tmp_path / 'validation.json').read_text())
    assert found['calibration'] == model.calibration.as_dict()
    # It is fitted to the scores of the network, without the calibration of the first weights
    raw = load_model('default')
    raw.calibration = None
    detector = StreamingDetector(raw, 0.01, max_detections=100)
    (path,) = list_sequences(cache / 'validation')
    expected = calibrate_scores(
        [run_sequence(detector, CachedSequence(path))], model.config.classes
    )
    np.testing.assert_allclose(model.calibration.offsets, expected.offsets, atol=0.5)
    assert model.calibration.low == pytest.approx(expected.low, abs=0.25)
    assert model.calibration.high == pytest.approx(expected.high, abs=0.25)


def test_the_exported_weights_are_the_average(whole):
    out, _ = whole
    average = content(out)[CHECKPOINT_KEY]['average']['model']
    exported = load_model(out / 'model.safetensors').state_dict()
    for name, value in average.items():
        if value.is_floating_point():
            assert torch.equal(exported[name], value.half().float()), name


@pytest.mark.parametrize('native', [False, True])
def test_precision_follows_the_processor(cache, tmp_path, monkeypatch, native):
    monkeypatch.setattr(fit, 'has_native_bfloat16', lambda device_type: native)
    used = []
    forward = SAST.forward_windows

    def spy(*arguments):
        used.append(torch.is_autocast_enabled('cpu'))
        return forward(*arguments)

    monkeypatch.setattr(SAST, 'forward_windows', spy)
    _, logged = run(cache, tmp_path, optimizer={'max_steps': 1})
    assert used[0] == native
    assert any(f'precision {"bf16" if native else "fp32"}' in line for line in logged)


def test_the_configuration_decides_the_processes_in_a_job_of_a_cluster_too(tmp_path, monkeypatch):
    for name in ('NTASKS', 'NTASKS_PER_NODE', 'NNODES', 'JOB_ID'):
        monkeypatch.setenv(f'SLURM_{name}', '1')
    monkeypatch.setenv('SLURM_JOB_NAME', 'train')
    for name in ('PROCID', 'LOCALID', 'NODEID'):
        monkeypatch.setenv(f'SLURM_{name}', '0')
    config = parse_config(settings(tmp_path, hardware={'devices': 2, 'accelerator': 'cpu'}), 'x')
    logger = fit.TensorBoardLogger(tmp_path)
    trainer = fit._trainer(config, logger, fit.TrainingCallback(config, tmp_path, id, id), id)
    environment = trainer.strategy.cluster_environment
    assert trainer.strategy.num_processes == 2 and not environment.creates_processes_externally


def test_a_finished_training_does_nothing_more_and_can_have_another_cycle(cache, whole, tmp_path):
    (tmp_path / LAST).write_bytes((whole[0] / LAST).read_bytes())
    assert run(cache, tmp_path)[0] == {}
    rates = {}
    parts = parse_curriculum(settings(cache, optimizer={'max_steps': STEPS + 3}), 'test')

    def report(step: int, total: int, values: dict[str, float]) -> None:
        rates[step] = values['learning_rate']

    train(parts, tmp_path, report=report)
    warmup = parts[0].config.optimizer.warmup
    expected = {STEPS + 1 + i: 1e-3 * one_cycle(i / 3, warmup) for i in range(3)}
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize('content', [b'', b'{"step": 1', b'\xff', b'[' * 100_000])
def test_a_damaged_validation_of_a_finished_training_is_named(cache, whole, tmp_path, content):
    (tmp_path / LAST).write_bytes((whole[0] / LAST).read_bytes())
    (tmp_path / 'validation.json').write_bytes(content)
    with pytest.raises(TrainingDataError, match=r'validation\.json.*delete it'):
        run(cache, tmp_path)


def test_going_on_with_another_network_is_refused(cache, whole, tmp_path):
    (tmp_path / LAST).write_bytes((whole[0] / LAST).read_bytes())
    with pytest.raises(TrainingConfigError, match='classes'):
        run(cache, tmp_path, model={'classes': ['car']})
    (tmp_path / LAST).write_bytes(b'nothing')
    with pytest.raises(TrainingConfigError, match=LAST):
        run(cache, tmp_path)


def test_an_empty_cache_is_refused(tmp_path):
    with pytest.raises(TrainingDataError, match='none'):
        run(tmp_path / 'none', tmp_path / 'out')


def test_the_learning_rate_rises_and_falls_to_zero():
    rates = [one_cycle(step / 1000, 0.1) for step in range(1001)]
    assert rates[100] == max(rates) == 1
    assert rates[1000] == pytest.approx(0)
    assert all(a < b for a, b in zip(rates[40:100], rates[41:101]))
    assert all(a > b for a, b in zip(rates[100:], rates[101:]))


def test_a_simulated_curriculum_in_two_processes_survives_a_kill(tmp_path):
    """The command, killed with SIGKILL, ends all of its processes and goes on when repeated."""
    file = Path(__file__).resolve().parents[2] / 'config' / 'smoke.yaml'
    command = [sys.executable, '-m', 'sast_ros', 'train', '--config', str(file)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert running.stderr is not None
    before = []
    for line in running.stderr:
        before.append(line)
        if line.startswith('part 2 of 2'):
            running.send_signal(signal.SIGKILL)
            break
    rest = running.stderr.read()  # until the last process has closed it
    running.wait()
    assert [line for line in before if line.startswith('step 4 of 4')]
    assert 'step 4 of 4' not in rest
    done = subprocess.run([*command, '--json', '-'], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'part 1 of 2' not in done.stderr
    assert done.stderr.count('step 4 of 4') == 1
    assert json.loads(done.stdout)['steps'] == 8
    out = tmp_path / 'out/train'
    assert len(list((out / 'smoke-cache/train').iterdir())) == 5
    assert (out / 'smoke/model.safetensors').read_bytes() == (
        out / 'smoke/second/model.safetensors'
    ).read_bytes()


@pytest.mark.parametrize(('end', 'code'), [('kill', 1), ('interrupt', 130), ('terminate', 143)])
def test_a_training_in_two_processes_ends_whichever_is_ended(cache, tmp_path, end, code):
    file = tmp_path / 'two.yaml'
    endless = {'optimizer': {'max_steps': 1000}, 'hardware': {'devices': 2, 'accelerator': 'cpu'}}
    file.write_text(yaml.safe_dump(settings(cache, **endless)))
    command = [sys.executable, '-m', 'sast_ros', 'train', '--config', str(file)]
    running = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True
    )
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith('step'):
            tasks = Path(f'/proc/{running.pid}/task').iterdir()
            children = ' '.join((task / 'children').read_text() for task in tasks).split()
            if end == 'kill':
                os.kill(int(children[-1]), signal.SIGKILL)
            elif end == 'interrupt':
                os.killpg(running.pid, signal.SIGINT)  # ^C
            else:
                running.terminate()
            break
    rest = running.stderr.read()  # until the last process has closed it
    assert running.wait() == code, rest
    assert ('another process of this training has ended' in rest) == (end == 'kill')
    assert rest.count('interrupted') == (end == 'interrupt')
    assert 'report it' not in rest


def test_sigterm_is_what_the_program_makes_of_it(cache, tmp_path):
    """Lightning's own handler waits for ever for processes that wait for this one."""

    def leave(*_) -> None:
        sys.exit(143)

    def report(*_) -> None:
        assert signal.getsignal(signal.SIGTERM) is leave
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        with pytest.raises(SystemExit) as found:
            train(parse_curriculum(settings(cache), 'x'), tmp_path, report=report)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert found.value.code == 143


def test_the_command_names_the_mistake(tmp_path, capsys):
    file = tmp_path / 'a.yaml'
    file.write_text('optimizer: {steps: 3}')
    assert main(['train', '--config', str(file)]) == 1
    assert 'optimizer.steps' in capsys.readouterr().err
    assert 'LOCAL_RANK' not in os.environ


def spoil(monkeypatch, *calls: int) -> None:
    """Make the loss of these steps infinite or not a number, whatever is in the weights."""
    real, count = module.detection_loss, 0

    def detection_loss(*arguments):
        nonlocal count
        count += 1
        loss = real(*arguments)
        if count in calls:
            loss.total = loss.total * (math.nan if count % 2 else math.inf)
        return loss

    monkeypatch.setattr(module, 'detection_loss', detection_loss)


@pytest.mark.parametrize('step', [2, 3])
def test_a_step_without_finite_gradients_leaves_the_weights_as_they_are(
    cache, tmp_path, monkeypatch, step
):
    spoil(monkeypatch, step)
    weights, skipped = [], []
    update = WeightAverage.update

    def watch(average: WeightAverage, model: SAST) -> None:
        weights.append({name: value.clone() for name, value in model.named_parameters()})
        update(average, model)

    def report(done: int, total: int, values: dict[str, float]) -> None:
        skipped.append(values.get('skipped', 0))

    monkeypatch.setattr(WeightAverage, 'update', watch)
    train(parse_curriculum(settings(cache), 'x'), tmp_path, report=report)
    changed = [differences(before, after) != [] for before, after in zip(weights, weights[1:])]
    assert changed == [number != step for number in range(2, STEPS + 1)]
    assert skipped == [int(number == step) for number in range(1, STEPS + 1)]
    state = content(tmp_path)['state_dict']
    assert all(bool(value.isfinite().all()) for value in state.values())


def test_a_training_without_finite_gradients_ends(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(module, '_MOST_SKIPPED', 3)
    spoil(monkeypatch, *range(2, 20))
    with pytest.raises(TrainingDivergedError, match=r'step 3: .* lower optimizer.learning_rate'):
        run(cache, tmp_path)


def test_a_gpu_that_is_too_small_is_a_matter_of_the_configuration(cache, tmp_path, monkeypatch):
    def detection_loss(*arguments):
        raise torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB. GPU 0')

    monkeypatch.setattr(module, 'detection_loss', detection_loss)
    with pytest.raises(TrainingConfigError, match=r'memory.*streams\.streams'):
        train(parse_curriculum(settings(cache), 'x'), tmp_path)


def test_a_killed_process_that_makes_batches_is_told(cache, tmp_path, monkeypatch):
    """As for want of shared memory in a container; a GPU has such processes."""

    class Killing(module.StreamLoader):
        """Its process is killed as the kernel kills it."""

        def __init__(self, *arguments) -> None:
            super().__init__(*arguments[:4], processes=1)

        def next_batch(self, chosen=slice(None)):
            if get_worker_info() is not None:
                os.kill(os.getpid(), signal.SIGBUS)
            return super().next_batch(chosen)

    monkeypatch.setattr(module, 'StreamLoader', Killing)
    with pytest.raises(TrainingProcessError, match='shm-size'):
        train(parse_curriculum(settings(cache), 'x'), tmp_path)


def test_a_full_disk_is_named_and_leaves_no_part_of_a_checkpoint(cache, tmp_path, monkeypatch):
    def save(trainer: Trainer, path: Path) -> None:
        path.write_bytes(b'the first bytes')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # writing has no name of a file

    monkeypatch.setattr(Trainer, 'save_checkpoint', save)
    with pytest.raises(OSError, match=LAST):
        run(cache, tmp_path)
    assert not list(tmp_path.glob('*.part'))
