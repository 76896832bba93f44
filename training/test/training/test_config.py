# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The training configuration names its mistakes."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest
from sast_ros_training.training.config import TrainingConfig
from sast_ros_training.training.config_file import load_config, parse_config, parse_curriculum
from sast_ros_training.training.errors import TrainingConfigError
import yaml

FOLDER = Path(__file__).resolve().parents[2] / 'config'


def test_the_default_names_and_explains_every_key():
    text = (FOLDER / 'default.yaml').read_text()
    content = yaml.safe_load(text)
    assert content.pop('curriculum')
    assert parse_config(content, 'x') == TrainingConfig()

    def keys(content, prefix=''):
        for name, value in content.items():
            yield f'{prefix}{name}'
            if isinstance(value, dict) and not {'gen1', 'near', '50/50'} & value.keys():
                yield from keys(value, f'{prefix}{name}.')

    assert list(keys(content)) == list(keys(TrainingConfig().as_dict()))
    lines = text[: text.index('\ncurriculum:')].splitlines()
    for number, line in enumerate(lines):
        if line.strip() and not line.strip().startswith('#') and '#' not in line:
            assert lines[number].rstrip().endswith(':') or lines[number - 1].strip(), line


def test_what_it_writes_comes_back():
    for part in load_config(FOLDER / 'default.yaml'):
        written = yaml.safe_dump(part.config.as_dict())
        assert parse_config(yaml.safe_load(written), 'x') == part.config


def test_the_parts_of_the_recipe_go_on_with_other_sequences():
    parts = load_config(FOLDER / 'default.yaml')
    assert len(parts) == 24
    trained, held_out = set(), set()
    for part in parts:
        if part.config.data.kind == 'cache':
            continue
        simulation = part.config.data.simulation
        seeds = set(range(simulation.seed, simulation.seed + simulation.sequences))
        assert not trained & seeds
        trained |= seeds
        first = simulation.validation_seed
        held_out |= set(range(first, first + simulation.validation_sequences))
    assert not trained & held_out
    assert len({part.config.seed for part in parts}) == len(parts)
    assert [part.init for part in parts[:2]] == [(), (parts[0].name,)]
    # Those from the seventh on leave out the sequences of the others
    caches = [part.config.data.cache for part in parts]
    assert [len(list(same)) for _, same in groupby(caches)] == [6, 2, 6, 3, 5, 2]
    assert len(set(caches)) == 6
    assert parts[5].init == (parts[3].name, parts[4].name)


@pytest.mark.parametrize(
    'text',
    ['[' * 5000, '- ' * 5000, 'data: 2020-13-45', 'seed: ' + '9' * 6000, '{[1]: 2}', 'a\0']
    + ['\n'.join(['a0: &a0 x', *(f'a{n}: &a{n} [{f"*a{n - 1}, " * 9}]' for n in range(1, 30))])],
)
def test_a_file_that_is_no_yaml_is_refused(tmp_path, text):
    path = tmp_path / 'config.yaml'
    path.write_text(text)
    with pytest.raises(TrainingConfigError, match='is not a YAML file'):
        load_config(path)


@pytest.mark.parametrize('key', ['data', 'seed', 'curriculum'])
def test_long_values_are_shown_in_part(tmp_path, key):
    lists = ['&a0 [x, x, x, x, x, x, x, x, x, x]']
    lists += [f'&a{n} [{", ".join([f"*a{n - 1}"] * 10)}]' for n in range(1, 5)]
    path = tmp_path / 'config.yaml'
    path.write_text(f'{key}: {{a: [{", ".join(lists)}]}}')
    with pytest.raises(TrainingConfigError) as caught:
        load_config(path)
    assert key in str(caught.value) and len(str(caught.value)) < 1000


def test_a_number_beyond_those_of_floats_is_refused():
    with pytest.raises(TrainingConfigError, match=r'data\.stride_ms'):
        parse_config({'data': {'stride_ms': 10**400}}, 'x')


def test_a_part_differs_where_it_says_so():
    parts = parse_curriculum(
        {
            'data': {'simulation': {'geometries': {'gen1': 1}, 'seed': 7}},
            'optimizer': {'max_steps': 5},
            'curriculum': [
                {'name': 'a'},
                {'name': 'b', 'data': {'simulation': {'geometries': {'vga': 1}}}},
                {'name': 'c', 'init': ['a', 'b'], 'model': {'contrast': 3}},
            ],
        },
        'x',
    )
    assert [(part.name, part.init) for part in parts] == [
        ('a', ()), ('b', ('a',)), ('c', ('a', 'b')),
    ]  # fmt: skip
    assert [list(part.config.data.simulation.geometries) for part in parts] == [
        ['gen1'], ['vga'], ['gen1'],
    ]  # fmt: skip
    assert [part.config.model.contrast for part in parts] == [1, 1, 3]
    assert {part.config.data.simulation.seed for part in parts} == {7}
    assert {part.config.optimizer.max_steps for part in parts} == {5}


def test_weights_to_train_that_there_are_not_are_named():
    with pytest.raises(TrainingConfigError, match=r"trained has 'head\.\*'.*yolox_head\.\*"):
        parse_config({'optimizer': {'trained': ['fpn.*', 'head.*']}}, 'x')
    assert parse_config({'optimizer': {'trained': ['fpn.*']}}, 'x').optimizer.trained == ('fpn.*',)


def test_weights_to_train_are_judged_whatever_the_classes():
    content = {'optimizer': {'trained': ['head.*']}, 'model': {'classes': []}}
    with pytest.raises(TrainingConfigError, match=r'model\.classes is \[\]'):
        parse_config(content, 'x')


def test_a_loss_on_scores_that_are_not_trained_is_refused():
    content = {'optimizer': {'trained': ['fpn.*']}, 'selection': {'loss_weight': 1}}
    with pytest.raises(TrainingConfigError, match=r'selection\.loss_weight is 1, .*; set it to 0'):
        parse_config(content, 'x')


def test_without_curriculum_the_whole_is_one_part():
    (part,) = parse_curriculum({'seed': 3}, 'x')
    assert (part.name, part.init, part.config.seed) == ('', (), 3)


@pytest.mark.parametrize(
    'curriculum, facts',
    [
        ([], r'curriculum is \[\]'),
        ({'name': 'a'}, 'curriculum is .* list of parts'),
        ([3], r'curriculum\[0\]: name is None'),
        ([{'name': 'a/b'}], "name is 'a/b'"),
        ([{'name': 'a'}, {'name': 'a'}], r"curriculum\[1\]: name is 'a'"),
        ([{'name': 'a', 'init': ['b']}, {'name': 'b'}], r"curriculum\[0\]: init is \['b'\]"),
        ([{'name': 'a'}, {'name': 'b', 'init': 'a'}], "init is 'a'"),
        ([{'name': 'a', 'seed': -1}], r'a: seed is -1; .* 0 to 1e\+15'),
        ([{'name': 'a', 'curriculum': []}], 'a: curriculum is not a key'),
        ([{'name': 'a', 'streams': {'windows': 9}}], r'a: streams.random_windows is \[8, 24\]'),
        ([{'name': 'a', 'model': {'classes': ['car']}}], 'a changes the network'),
        ([{'name': 'a', 'hardware': {'devices': 1}}], 'a changes .* the hardware'),
    ],
)
def test_a_mistake_in_a_curriculum_is_named_by_its_part(curriculum, facts):
    with pytest.raises(TrainingConfigError, match=f'^mine.yaml: .*{facts}'):
        parse_curriculum({'curriculum': curriculum}, 'mine.yaml')


@pytest.mark.parametrize(
    'content, facts',
    [
        ({'optimiser': {}}, 'optimiser .* optimizer'),
        ({'optimizer': {'steps': 3}}, 'optimizer.steps .* max_steps'),
        ({'optimizer': {'max_steps': 3.5}}, 'optimizer.max_steps is 3.5; .* whole'),
        ({'optimizer': {'max_steps': True}}, 'optimizer.max_steps is True'),
        ({'optimizer': {'max_steps': 0}}, 'optimizer.max_steps is 0; .* at least 1'),
        ({'optimizer': {'learning_rate': 'fast'}}, "learning_rate is 'fast'; .* a number"),
        ({'optimizer': 3}, 'optimizer is 3; .* mapping'),
        ({'augmentation': {'flip': 1.5}}, 'augmentation.flip is 1.5; .* 0 to 1'),
        ({'augmentation': {'noise_least_hz': 20}}, 'noise_most_hz'),
        ({'augmentation': {'zoom_in': 0.8}}, 'zoom_in and augmentation.zoom_out'),
        ({'hardware': {'precision': 'fp8'}}, "hardware.precision is 'fp8'; .* auto, bf16, fp32"),
        ({'model': {'classes': 'car'}}, "model.classes is 'car'; .* list"),
        ({'model': {'classes': ['car', 'car']}}, 'model.classes'),
        ({'data': {'kind': 'rvt'}}, 'data.source'),
        ({'data': {'simulation': {'geometries': {'gen1': 'all'}}}}, 'geometries is .*all'),
        ({'data': {'simulation': {'geometries': {}}}}, 'geometries'),
        ({'data': {'simulation': {'scenes': {'near': -1}}}}, 'scenes is .*-1'),
        ({'data': {'simulation': {'sequences': 3}}}, 'start_with'),
        ({'streams': {'random_windows': [1, 9]}}, 'streams.random_windows'),
        ({'streams': {'random_windows': [1, 2, 3]}}, 'random_windows .* 2 whole numbers'),
        ({'seed': 10**20}, r'seed is 1.* 0 to 1e\+15'),
        ({'hardware': {'threads': 10**20}}, 'hardware.threads is 1.* 0 to 256'),
        ({'hardware': {'devices': 10**20}}, 'hardware.devices is 1.* 1 to 1024'),
        ({'data': {'simulation': {'workers': 10**20}}}, 'workers is 1.* 0 to 1024'),
        ({'data': {'simulation': {'seconds': float('inf')}}}, 'seconds is inf.* 0.1 to 86400'),
        ([], 'the whole file is .* mapping'),
    ],
)
def test_a_mistake_is_named_by_its_key(content, facts):
    with pytest.raises(TrainingConfigError, match=f'^mine.yaml: .*{facts}'):
        parse_config(content, 'mine.yaml')


def test_numbers_as_yaml_reads_them_are_numbers():
    assert parse_config({'optimizer': {'learning_rate': '1e-3'}}, 'x').optimizer.learning_rate == (
        1e-3
    )
    assert parse_config({'optimizer': {'gradient_clip': 5}}, 'x').optimizer.gradient_clip == 5.0


def test_a_file_that_is_missing_or_no_yaml_is_refused(tmp_path):
    with pytest.raises(TrainingConfigError, match='default.yaml'):
        load_config(tmp_path / 'none.yaml')
    (tmp_path / 'bad.yaml').write_text('a: [')
    with pytest.raises(TrainingConfigError, match='bad.yaml'):
        load_config(tmp_path / 'bad.yaml')
