# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Weights to start from, of any training and any classes."""

from __future__ import annotations

from pathlib import Path

import pytest
from sast_ros.detector import StreamingDetector
from sast_ros.model import CheckpointError, save_model, untrained_model
from sast_ros_training.training.checkpoint import CHECKPOINT_KEY
from sast_ros_training.training.config_file import parse_config
from sast_ros_training.training.errors import TrainingConfigError
from sast_ros_training.training.initial import initial_model
import torch
from torch.torch_version import TorchVersion

HEADS = tuple(f'yolox_head.cls_preds.{level}' for level in range(3))


def start(*init, **model):
    said: list[str] = []
    found = initial_model(parse_config({'model': model}, 'test'), init, said.append)
    return found, ' '.join(said)


@pytest.fixture(scope='module')
def published():
    """Stands for official weights: car and pedestrian."""
    return untrained_model('gen1-tiny', seed=7)


def assert_taken_over(model, source, classes) -> None:
    given, state = source.state_dict(), model.state_dict()
    for name, value in state.items():
        if name.rpartition('.')[0] not in HEADS:
            assert torch.equal(value, given[name]), name
            continue
        for index, label in enumerate(model.config.classes):
            if label in classes:
                expected = given[name][source.config.classes.index(label)]
                assert torch.equal(value[index], expected), (name, label)


def test_random_weights_depend_on_the_seed_and_have_the_layer_scale():
    model, said = start()
    assert said == ''
    assert torch.equal(
        model.backbone.stages[0].att_blocks[0].att.win_attn.ls1.gamma, torch.full((32,), 0.1)
    )
    assert model.config.classes == ('pedestrian', 'two-wheeler', 'car')


def test_classes_of_equal_names_are_copied_and_the_others_are_new(tmp_path, published):
    save_model(published, tmp_path / 'a.safetensors')
    model, said = start(tmp_path / 'a.safetensors')
    assert 'predictors copied for pedestrian, car, new for two-wheeler' in said
    assert_taken_over(model, published, ('pedestrian', 'car'))


def test_weights_that_would_stay_random_are_refused(tmp_path, published):
    def begin(*init, trained):
        config = parse_config({'optimizer': {'trained': trained}}, 'test')
        return initial_model(config, init, lambda sentence: None)

    save_model(published, tmp_path / 'a.safetensors')
    with pytest.raises(TrainingConfigError, match=r'no yolox_head\.cls_preds\.0\.weight.*add'):
        begin(tmp_path / 'a.safetensors', trained=['fpn.*'])  # of which two-wheeler is new
    begin(tmp_path / 'a.safetensors', trained=['yolox_head.cls_preds.*'])
    begin(Path('default'), trained=['fpn.*'])
    with pytest.raises(TrainingConfigError, match=r'no backbone.*random.*--init'):
        begin(trained=['fpn.*', 'yolox_head.*'])


def test_classes_of_another_spelling_are_copied(tmp_path, published):
    save_model(published, tmp_path / 'a.safetensors')
    model, said = start(tmp_path / 'a.safetensors', classes=['Person', 'dog', 'Car'])
    assert 'copied for Person, Car, new for dog' in said
    for name, value in model.state_dict().items():
        if name.startswith('yolox_head.cls_preds.'):
            given = published.state_dict()[name]
            assert torch.equal(value[0], given[1]) and torch.equal(value[2], given[0])


def test_an_official_checkpoint_will_do(tmp_path, published):
    state = {f'mdl.{name}': value for name, value in published.state_dict().items()}
    torch.save({'state_dict': state}, tmp_path / 'official.ckpt')
    model, said = start(tmp_path / 'official.ckpt')
    assert 'new for two-wheeler' in said
    assert_taken_over(model, published, ('pedestrian', 'car'))


def test_a_checkpoint_of_a_training_gives_its_average(tmp_path, published):
    kept = {'average': {'model': published.state_dict()}, 'model': published.config.as_dict()}
    content = {'state_dict': {}, 'global_step': 9, CHECKPOINT_KEY: {**kept, 'best': 0.5}}
    torch.save(content, tmp_path / 'last.ckpt')
    model, said = start(tmp_path / 'last.ckpt', classes=['car', 'pedestrian'])
    assert said.endswith('predictors copied for car, pedestrian')
    assert_taken_over(model, published, ('car', 'pedestrian'))


def test_a_checkpoint_is_not_read_where_that_executes_code(tmp_path, monkeypatch):
    torch.save({}, tmp_path / 'last.ckpt')
    monkeypatch.setattr(torch, '__version__', TorchVersion('2.5.1'))
    with pytest.raises(CheckpointError, match=r'last\.ckpt: .*2\.5\.1.*CVE.*2\.6'):
        start(tmp_path / 'last.ckpt')


def test_of_several_weights_it_is_the_mean(tmp_path, published):
    seeds = (7, 8, 9)
    models = [untrained_model('gen1-tiny', seed=seed) for seed in seeds]
    paths = [tmp_path / f'{seed}.safetensors' for seed in seeds]
    for model, path in zip(models, paths):
        save_model(model, path)
    mean, said = start(*paths)
    assert all(str(path) in said for path in paths)
    states = [model.state_dict() for model in models]
    given = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    for name, value in mean.state_dict().items():
        if name.rpartition('.')[0] not in HEADS and value.is_floating_point():
            torch.testing.assert_close(value, given[name].mean(dim=0))
    for name in (f'{head}.weight' for head in HEADS):
        torch.testing.assert_close(mean.state_dict()[name][2], given[name].mean(dim=0)[0])  # car


def test_weights_of_different_classes_have_no_mean(tmp_path, published):
    save_model(published, tmp_path / 'a.safetensors')
    other = untrained_model('gen1-tiny', classes=('car', 'cyclist'))
    save_model(other, tmp_path / 'b.safetensors')
    with pytest.raises(TrainingConfigError, match=r'b\.safetensors.* car, cyclist, but .*a\.'):
        start(tmp_path / 'a.safetensors', tmp_path / 'b.safetensors')


def test_weights_of_different_networks_have_no_mean(tmp_path, published):
    save_model(published, tmp_path / 'a.safetensors')
    save_model(untrained_model('gen1-small'), tmp_path / 'b.safetensors')
    with pytest.raises(TrainingConfigError, match=r'b\.safetensors: is a gen1-small, whose .*a'):
        start(tmp_path / 'a.safetensors', tmp_path / 'b.safetensors')


def test_contrast_lets_stage_1_select_fewer_tokens_of_the_same_scores(tmp_path, published):
    save_model(published, tmp_path / 'a.safetensors')
    random = torch.Generator().manual_seed(3)
    histogram = torch.zeros(1, 20, 240, 304, dtype=torch.uint8)
    histogram[..., 80:200, 60:220] = torch.randint(0, 3, (120, 160), generator=random).byte()
    kept = []
    for contrast in (1.0, 15.0):
        model, _ = start(tmp_path / 'a.safetensors', contrast=contrast)
        detector = StreamingDetector(model)
        kept.append([stage.tokens for stage in detector.step(histogram[0]).kept])
    assert 0 < kept[1][0] < 0.7 * kept[0][0]
    controls = 'backbone.stages.0.att_blocks.0.att.to_controls.weight'
    for name, value in model.state_dict().items():
        if name.rpartition('.')[0] not in HEADS and name != controls:
            assert torch.equal(value, published.state_dict()[name]), name


def test_another_network_and_another_file_are_refused(tmp_path, published):
    save_model(untrained_model('gen1-small'), tmp_path / 'small.safetensors')
    with pytest.raises(TrainingConfigError, match='is a gen1-small'):
        start(tmp_path / 'small.safetensors')
    with pytest.raises(CheckpointError, match='neither'):
        start(tmp_path / 'weights.bin')
    with pytest.raises(CheckpointError, match='no such file'):
        start(tmp_path / 'none.ckpt')
