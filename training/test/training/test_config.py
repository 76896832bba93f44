"""The training configuration says what is wrong with itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from sast_ros_training.training.config import load_config, parse_config
from sast_ros_training.training.errors import TrainingConfigError
import yaml

FOLDER = Path(__file__).resolve().parents[2] / 'config'


def test_the_default_names_and_explains_every_key():
    text = (FOLDER / 'default.yaml').read_text()

    def keys(content, prefix=''):
        for name, value in content.items():
            yield f'{prefix}{name}'
            if isinstance(value, dict) and name != 'geometries':
                yield from keys(value, f'{prefix}{name}.')

    assert list(keys(yaml.safe_load(text))) == list(keys(parse_config({}, 'x').as_dict()))
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.strip() and not line.strip().startswith('#') and '#' not in line:
            assert lines[number].rstrip().endswith(':') or lines[number - 1].strip(), line


def test_what_it_says_comes_back():
    config = load_config(FOLDER / 'smoke.yaml')
    assert config.optimizer.max_steps == 20
    assert parse_config(yaml.safe_load(yaml.safe_dump(config.as_dict())), 'x') == config


def test_the_parts_of_the_recipe_go_on_with_other_drives_in_the_same_folder():
    names = ('default', 'long_drives', 'noisy_drives', 'model_drives', 'static_drives')
    parts = [load_config(FOLDER / f'{name}.yaml') for name in names]
    trained, judged = set(), set()
    for part in parts:
        assert part.data.cache == parts[0].data.cache
        assert part.network() == parts[0].network()
        drives = part.data.simulation
        seeds = set(range(drives.seed, drives.seed + drives.sequences))
        assert not trained & seeds
        trained |= seeds
        first = drives.validation_seed
        judged |= set(range(first, first + drives.validation_sequences))
    assert not trained & judged
    last = load_config(FOLDER / 'sharp_selection.yaml')
    assert last.data.kind == 'cache' and last.data.cache == parts[0].data.cache
    assert last.network() == parts[0].network()
    parts.append(last)
    assert len({part.seed for part in parts}) == len(parts)


@pytest.mark.parametrize(
    'content, complaint',
    [
        ({'optimiser': {}}, 'optimiser is no key'),
        ({'optimizer': {'steps': 3}}, 'optimizer.steps is no key .* max_steps'),
        ({'optimizer': {'max_steps': 3.5}}, 'optimizer.max_steps is 3.5; it must be a whole'),
        ({'optimizer': {'max_steps': True}}, 'optimizer.max_steps is True'),
        ({'optimizer': {'max_steps': 0}}, 'optimizer.max_steps is 0; it must be at least 1'),
        ({'optimizer': {'learning_rate': 'fast'}}, "learning_rate is 'fast'; it must be a number"),
        ({'optimizer': 3}, 'optimizer must be a mapping'),
        ({'augmentation': {'flip': 1.5}}, 'augmentation.flip is 1.5; it must be 0 to 1'),
        ({'augmentation': {'zoom_in': 0.8}}, 'zoom_in and augmentation.zoom_out'),
        ({'hardware': {'precision': 'fp8'}}, 'hardware.precision .* one of bf16, fp32'),
        ({'model': {'classes': 'car'}}, "model.classes is 'car'; it must be a list"),
        ({'model': {'classes': ['car', 'car']}}, 'model.classes'),
        ({'data': {'kind': 'rvt'}}, 'data.source is missing'),
        ({'data': {'simulation': {'geometries': {'gen1': 'all'}}}}, 'geometries.gen1'),
        ({'data': {'simulation': {'geometries': {}}}}, 'geometries'),
        ({'data': {'simulation': {'sequences': 3}}}, 'start_with'),
        ({'streams': {'random_windows': [1, 9]}}, 'streams.random_windows'),
        ({'streams': {'random_windows': [1, 2, 3]}}, 'random_windows .* a list of 2'),
        ([], 'the whole file must be a mapping'),
    ],
)
def test_a_mistake_is_named_by_its_key(content, complaint):
    with pytest.raises(TrainingConfigError, match=f'^mine.yaml: .*{complaint}'):
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
    with pytest.raises(TrainingConfigError, match='no YAML'):
        load_config(tmp_path / 'bad.yaml')
