# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Weights on disk: strict, safe, and every difference named."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
import zipfile

from facts import facts
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file
from sast_ros.model import (
    add_calibration,
    build_model,
    bundled_model_names,
    CheckpointError,
    convert_checkpoint,
    load_model,
    save_model,
    untrained_model,
)
from sast_ros.model.attention import ALIASES
import torch
from torch.torch_version import TorchVersion
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ATTENTION = 'backbone.stages.0.att_blocks.0.att.win_attn.'


@pytest.fixture(scope='module')
def model():
    return untrained_model('gen1-tiny', seed=3)


def official_state(model, prefix: str = 'mdl.') -> dict[str, torch.Tensor]:
    """As the authors' training saves it: prefix, aliases and counters."""
    state = {prefix + name: value.clone() for name, value in model.state_dict().items()}
    for name in [n for n in state if '_attn.' in n]:
        for alias, target in ALIASES.items():
            if name.endswith('_attn.' + target):
                state[name.removesuffix(target) + alias] = state[name].clone()
    return state


@pytest.fixture
def checkpoint(tmp_path, model):
    def write(state=None, **extra):
        path = tmp_path / 'official.ckpt'
        torch.save(
            {'state_dict': official_state(model) if state is None else state, 'epoch': 3, **extra},
            path,
        )
        return path

    return write


def test_official_checkpoint_becomes_safetensors_with_configuration_and_digest(
    tmp_path, model, checkpoint
):
    target = tmp_path / 'model.safetensors'
    result = convert_checkpoint(checkpoint(), target)
    assert result.config.name == 'gen1-tiny'
    assert result.parameters == 4_463_285
    with safe_open(target, framework='pt') as file:
        metadata = file.metadata()
        stored = set(file.keys())
    assert json.loads(metadata['sast_ros.config'])['classes'] == ['car', 'pedestrian']
    assert len(metadata['sast_ros.sha256']) == len(metadata['sast_ros.source_sha256']) == 64
    assert not any('sub_layers' in name for name in stored)
    loaded = load_model(target)
    assert not loaded.training
    assert loaded.config == model.config
    expected = model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in loaded.state_dict().items())


@pytest.mark.parametrize('name', ['official.ckpt', 'weights', 'm.safetensors.bak'])
def test_files_of_weights_have_their_ending(tmp_path, model, checkpoint, name):
    source = checkpoint()
    content = source.read_bytes()
    for write in (
        lambda path: convert_checkpoint(source, path),
        lambda path: save_model(model, path),
        lambda path: add_calibration('default', path, None),
    ):
        with pytest.raises(CheckpointError, match=facts(name, '.safetensors')):
            write(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ['official.ckpt']
    assert source.read_bytes() == content


def test_state_dict_without_the_prefix_converts_too(tmp_path, model, checkpoint):
    path = tmp_path / 'bare.pt'
    torch.save(official_state(model, prefix=''), path)
    assert convert_checkpoint(path, tmp_path / 'm.safetensors').config.name == 'gen1-tiny'


def test_all_differences_are_listed_at_once(tmp_path, model, checkpoint):
    state = official_state(model)
    del state['mdl.fpn.reduce_conv1.conv.weight']
    state['mdl.surprise'] = torch.zeros(1)
    state['mdl.yolox_head.reg_preds.0.bias'] = torch.zeros(7)
    wrong = ['fpn.reduce_conv1.conv.weight', 'surprise', 'yolox_head.reg_preds.0.bias']
    with pytest.raises(CheckpointError, match=facts(3, *wrong, '[7]', '[4]')):
        convert_checkpoint(checkpoint(state), tmp_path / 'm.safetensors')
    assert not (tmp_path / 'm.safetensors').exists()


WEIGHT = 'fpn.reduce_conv1.conv.weight'
ODD = {
    'sparse': lambda value: value.to_sparse(),
    'nested': lambda value: torch.nested.nested_tensor(list(value)),
    'quantized': lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8),
    'without values': lambda value: value.to('meta'),
    'complex64': lambda value: value.to(torch.complex64),
    'bool': lambda value: value > 0,
    'integer': lambda value: value.to(torch.int32),
}


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('kind', ODD)
def test_tensors_of_another_kind_are_refused(tmp_path, model, checkpoint, kind):
    state = official_state(model)
    state[f'mdl.{WEIGHT}'] = ODD[kind](state[f'mdl.{WEIGHT}'])
    with pytest.raises(CheckpointError, match=facts(WEIGHT, kind)):
        convert_checkpoint(checkpoint(state), tmp_path / 'm.safetensors')


def test_alias_that_contradicts_is_refused(tmp_path, model, checkpoint):
    state = official_state(model)
    state['mdl.' + ATTENTION + 'sub_layers.2.bias'] += 1
    with pytest.raises(CheckpointError, match=facts('sub_layers.2.bias', 'norm2.bias')):
        convert_checkpoint(checkpoint(state), tmp_path / 'm.safetensors')


def test_alias_of_nothing_is_refused(tmp_path, model, checkpoint):
    state = official_state(model)
    state['mdl.elsewhere_attn.sub_layers.2.bias'] = torch.zeros(32)
    with pytest.raises(CheckpointError, match='elsewhere'):
        convert_checkpoint(checkpoint(state), tmp_path / 'm.safetensors')


def test_weights_that_are_not_finite_are_refused(tmp_path, model, checkpoint):
    state = official_state(model)
    state['mdl.fpn.reduce_conv1.conv.weight'][0] = float('nan')
    with pytest.raises(CheckpointError, match=facts('fpn.reduce_conv1.conv.weight')):
        convert_checkpoint(checkpoint(state), tmp_path / 'm.safetensors')


class Payload:
    """Would run code when unpickled."""

    def __reduce__(self):
        return (print, ('unpickled!',))


def test_objects_are_never_unpickled(tmp_path, model, checkpoint, capsys):
    with pytest.raises(CheckpointError, match=facts('official.ckpt', 'torch.save')):
        convert_checkpoint(checkpoint(extra=Payload()), tmp_path / 'm.safetensors')
    assert 'unpickled!' not in capsys.readouterr().out


@pytest.mark.parametrize('version', ['1.13.1', '2.4.0', '2.5.1+cu124', '2.6.0a0'])
def test_no_checkpoint_is_unpickled_where_that_executes_code(
    tmp_path, monkeypatch, checkpoint, version
):
    path = checkpoint()
    monkeypatch.setattr(torch, '__version__', TorchVersion(version))
    with pytest.raises(CheckpointError, match=facts('official.ckpt', version, '2.6', 'CVE')):
        convert_checkpoint(path, tmp_path / 'm.safetensors')
    assert not (tmp_path / 'm.safetensors').exists()


@pytest.mark.parametrize('version', ['2.6.0', '2.10.0', '3.0.0+cpu'])
def test_later_versions_read_checkpoints(tmp_path, monkeypatch, checkpoint, version):
    path = checkpoint()
    monkeypatch.setattr(torch, '__version__', TorchVersion(version))
    convert_checkpoint(path, tmp_path / 'm.safetensors')


def zip_file(**members: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.mark.parametrize(
    'content, wanted',
    [
        (b'', ['empty']),
        (b'version https://git-lfs.github.com/spec/v1\noid sha256:0\n', ['git lfs pull']),
        (b'\n<!DOCTYPE html><html><body>Sign in</body></html>', ['web page']),
        (b'<html><head>', ['web page']),
        (b'\xef\xbb\xbf\r\n<!-- mirror --><html>', ['web page']),
        ('<!DOCTYPE html>'.encode('utf-16-le'), ['web page']),
        ('<!DOCTYPE html>'.encode('utf-16'), ['web page']),
        (b'\x1f\x8b\x08\0\0\0\0\0', ['PyTorch']),
        (zip_file(readme='x'), ['zip archive', 'readme']),
        (zip_file(), ['zip archive']),
        (zip_file(readme='x').replace(b'PK\1\2', b'PK\0\0'), ['damaged zip archive']),
        (save({'a': torch.zeros(3)}), ['safetensors', '--model']),
        (b'{"a": 1}', ['PyTorch']),
        (b'\x89PNG\r\n\x1a\n', ['PyTorch']),
        (b'\x80\x02garbage', ['damaged']),
        (b'\x80', ['download']),
        (zip_file(**{'x/data.pkl': 'garbage', 'x/version': '3'}), ['download']),
    ],
)
def test_files_of_another_kind_are_named_for_what_they_are(tmp_path, content, wanted):
    path = tmp_path / 'sast.ckpt'
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=facts('sast.ckpt', *wanted)) as caught:
        convert_checkpoint(path, tmp_path / 'm.safetensors')
    assert 'weights_only' not in str(caught.value)
    assert not (tmp_path / 'm.safetensors').exists()


@pytest.mark.parametrize(
    ('content', 'wanted'),
    [
        (b'', ['empty']),
        (b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n', ['git lfs pull']),
        (b'<!DOCTYPE html><html>login</html>', ['HTML']),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', ['web page']),
    ],
)
def test_what_stands_for_weights_is_named_for_what_it_is(tmp_path, content, wanted):
    path = tmp_path / 'sast.safetensors'
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=facts('sast.safetensors', *wanted)):
        load_model(path)


def saved(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def test_names_in_an_archive_do_not_fill_the_screen(tmp_path):
    path = tmp_path / 'sast.ckpt'
    path.write_bytes(zip_file(**{'n' * 60_000: 'x'}))
    with pytest.raises(CheckpointError, match='zip archive') as caught:
        convert_checkpoint(path, tmp_path / 'm.safetensors')
    assert len(str(caught.value)) < 400


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    content=st.sampled_from(
        [
            zip_file(readme='x'),
            zip_file(),
            zip_file(**{'x/data.pkl': 'garbage'}),
            saved({'a': torch.zeros(3)}),
            b'\x1f\x8b\x08\0',
        ]
    ),
    changes=st.lists(st.tuples(st.integers(1, 120), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, 20),
)
def test_damaged_files_of_another_kind_are_refused_in_a_sentence(
    tmp_path_factory, content, changes, cut
):
    """Mostly in the directory of an archive, which lies at its end."""
    changed = bytearray(content)
    for back, value in changes:
        if back <= len(changed):
            changed[-back] = value
    folder = tmp_path_factory.getbasetemp()
    path = folder / 'damaged.ckpt'
    path.write_bytes(changed[: len(changed) - cut])
    with pytest.raises(CheckpointError, match='damaged.ckpt') as caught:
        convert_checkpoint(path, folder / 'damaged.safetensors')
    assert 'weights_only' not in str(caught.value)


@pytest.mark.parametrize('seed', range(20))
def test_damaged_checkpoints_are_refused_without_unsafe_advice(tmp_path, seed, model, checkpoint):
    path = checkpoint()
    content = bytearray(path.read_bytes())
    random = np.random.default_rng(seed)
    if seed % 2:
        end = int(random.integers(1, len(content)))
        del content[end:]
    else:
        start = content.index(b'data.pkl') + 16
        for at in random.integers(start, start + 2000, 40):
            content[at] = random.integers(256)
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match='official.ckpt') as caught:
        convert_checkpoint(path, tmp_path / 'm.safetensors')
    assert 'weights_only' not in str(caught.value)


@pytest.mark.parametrize('content', [b'', b'not a checkpoint', b'PK\x03\x04 cut off'])
def test_file_that_is_no_checkpoint_is_named(tmp_path, content):
    path = tmp_path / 'broken.ckpt'
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match='broken.ckpt'):
        convert_checkpoint(path, tmp_path / 'm.safetensors')


def test_other_networks_are_recognised_as_such(tmp_path):
    path = tmp_path / 'other.ckpt'
    torch.save({'state_dict': {'layer.weight': torch.zeros(3)}}, path)
    with pytest.raises(
        CheckpointError, match=facts('other.ckpt', 'yolox_head.cls_preds.0.weight')
    ):
        convert_checkpoint(path, tmp_path / 'm.safetensors')
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match=facts('other.ckpt', 'state_dict')):
        convert_checkpoint(path, tmp_path / 'm.safetensors')


def test_other_number_of_classes_needs_their_names(tmp_path):
    classes = ('car', 'pedestrian', 'dog', 'cat')
    path = tmp_path / 'four.ckpt'
    torch.save({'state_dict': official_state(build_model('gen1-tiny', classes=classes))}, path)
    with pytest.raises(CheckpointError, match='--name'):
        convert_checkpoint(path, tmp_path / 'm.safetensors')
    with pytest.raises(CheckpointError, match='--classes'):
        convert_checkpoint(path, tmp_path / 'm.safetensors', name='gen1-tiny')
    convert_checkpoint(path, tmp_path / 'm.safetensors', name='gen1-tiny', classes=classes)
    assert load_model(tmp_path / 'm.safetensors').config.classes == classes


def test_other_classes_are_no_sign_of_the_data_set(tmp_path):
    classes = ('van', 'bus', 'tram')
    path, target = tmp_path / 'three.ckpt', tmp_path / 'm.safetensors'
    torch.save({'state_dict': official_state(build_model('gen1-tiny', classes=classes))}, path)
    with pytest.raises(CheckpointError, match=facts('gen1-tiny', '1mpx-tiny', '--name')):
        convert_checkpoint(path, target, classes=classes)
    for name in ('gen1-tiny', '1mpx-tiny'):
        assert convert_checkpoint(path, target, name=name, classes=classes).config.name == name


def test_half_precision_file_loads_as_float32(tmp_path, model):
    save_model(model, tmp_path / 'half.safetensors', half=True)
    loaded = load_model(tmp_path / 'half.safetensors')
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert (tmp_path / 'half.safetensors').stat().st_size < 10_000_000


def test_weights_beyond_half_precision_are_refused_before_they_are_written(tmp_path):
    model = untrained_model('gen1-tiny')
    name, value = next(iter(model.named_parameters()))
    value.data.view(-1)[0] = 1e5
    with pytest.raises(CheckpointError, match=facts('half.safetensors', name, '--half')):
        save_model(model, tmp_path / 'half.safetensors', half=True)
    assert not list(tmp_path.iterdir())
    save_model(model, tmp_path / 'full.safetensors')


def test_changed_tensor_is_noticed_by_the_digest(tmp_path, model):
    path = tmp_path / 'm.safetensors'
    save_model(model, path)
    with safe_open(path, framework='pt') as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensors['fpn.reduce_conv1.conv.weight'][0, 0] += 1e-3
    save_file(tensors, path, metadata)
    with pytest.raises(CheckpointError, match='SHA-256'):
        load_model(path)


def with_configuration(path, digest: bool, **changes) -> None:
    """Change the configuration block of a file, with or without its digest (older files)."""
    with safe_open(path, framework='pt') as file:
        metadata = file.metadata()
    config = json.loads(metadata['sast_ros.config'])
    metadata['sast_ros.config'] = json.dumps({**config, **changes})
    if not digest:
        del metadata['sast_ros.config_sha256']
    save_file(load_file(path), path, metadata)


@pytest.mark.parametrize('changes', [{'amp': 1.0}, {'classes': ['a', 'b']}, {'downsample': 2}])
def test_a_changed_configuration_is_noticed_by_the_digest(tmp_path, model, changes):
    path = tmp_path / 'm.safetensors'
    save_model(model, path)
    with_configuration(path, True, **changes)
    with pytest.raises(CheckpointError, match=facts('m.safetensors', 'configuration', 'SHA-256')):
        load_model(path)


def test_files_of_earlier_versions_load(tmp_path, model):
    path = tmp_path / 'm.safetensors'
    save_model(model, path)
    with_configuration(path, False)
    assert load_model(path).config == model.config


@pytest.mark.parametrize(
    'changes',
    [
        {'amp': -1},
        {'amp': 0},
        {'amp': float('nan')},
        {'amp': '1'},
        {'bounce': -1e-9},
        {'bounce': float('inf')},
        {'downsample': 0},
        {'downsample': 1.5},
        {'downsample': True},
        {'embed_dim': 10**6},
        {'embed_dim': 0},
        {'embed_dim': -32},
        {'embed_dim': 1024},
        {'embed_dim': 64},
        {'dim_head': 0},
        {'fpn_depth': 1e9},
        {'fpn_depth': None},
        {'bins': 10**9},
        {'bins': 11},
        {'bins': 0},
        {'partition_split': 0},
        {'partition_split': 10**6},
        {'partition_size': [0, 1]},
        {'partition_size': [1]},
        {'partition_size': 'ab'},
        {'frame': [0, 304]},
        {'frame': [10**9, 10**9]},
        {'frame': 5},
        {'classes': []},
        {'classes': 'ab'},
        {'classes': [1, 2]},
        {'classes': ['a', '']},
        {'name': 5},
        {'window_ms': 0},
        {'stride_ms': -1},
        {'layer_scale': [1]},
        {'context_broadcasting': 1},
        {'selection': 5},
        {'colour': 'red'},
    ],
)
def test_an_impossible_configuration_is_refused(tmp_path, model, changes):
    path = tmp_path / 'm.safetensors'
    save_model(model, path)
    with_configuration(path, False, **changes)
    with pytest.raises(CheckpointError, match=facts('m.safetensors', 'configuration')):
        load_model(path)


class LargestTensor(TorchDispatchMode):
    """Notes the bytes of the largest tensor that takes memory."""

    size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: D105
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor) and value.device.type != 'meta':
                self.size = max(self.size, value.numel() * value.element_size())
        return result


@pytest.mark.parametrize('tensors', [{}, {'a': torch.zeros(3)}])
@pytest.mark.parametrize(
    'changes',
    [
        {'embed_dim': 128},
        {'embed_dim': 1024, 'dim_head': 1024},
        {'bins': 127},
        {'fpn_depth': 8},
        {'classes': [str(number) for number in range(100_000)]},
    ],
)
def test_no_memory_is_taken_on_the_word_of_a_configuration(tmp_path, model, tensors, changes):
    path = tmp_path / 'm.safetensors'
    digest = hashlib.sha256()
    for name, value in tensors.items():
        digest.update(f'{name} {value.dtype} {tuple(value.shape)}\n'.encode())
        digest.update(value.numpy().tobytes())
    config = json.dumps({**model.config.as_dict(), **changes})
    header = {'sast_ros.config': config, 'sast_ros.sha256': digest.hexdigest()}
    save_file(tensors, path, header)
    with LargestTensor() as largest, pytest.raises(CheckpointError, match='missing: '):
        load_model(path)
    assert largest.size < 10_000


def test_file_without_configuration_is_recognised_by_its_shapes(tmp_path):
    path = tmp_path / 'plain.safetensors'
    tensors = {
        n: v
        for n, v in untrained_model('1mpx-small').state_dict().items()
        if 'num_batches' not in n
    }
    save_file(tensors, path)
    assert load_model(path).config.name == '1mpx-small'


def test_options_that_weights_do_not_decide_can_be_overridden(tmp_path, model):
    path = tmp_path / 'm.safetensors'
    save_model(model, path)
    assert load_model(path, amp=1e-3, partition_size=(4, 5)).config.amp == 1e-3
    with pytest.raises(ValueError, match='colour'):
        load_model(path, colour='red')


@pytest.mark.parametrize('content', [b'', b'\x08\0\0\0\0\0\0\0{}      ', b'garbage' * 10])
def test_file_that_is_no_safetensors_is_named(tmp_path, content):
    path = tmp_path / 'broken.safetensors'
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match='broken.safetensors'):
        load_model(path)


def test_bundled_networks_are_found_by_name(tmp_path, model, monkeypatch):
    monkeypatch.setattr('sast_ros.model.checkpoint._BUNDLED', tmp_path)
    assert bundled_model_names() == ()
    with pytest.raises(CheckpointError, match=facts('default', 'sast-ros convert')):
        load_model('default')
    save_model(model, tmp_path / 'default.safetensors')
    assert bundled_model_names() == ('default',)
    assert load_model('default', amp=1e-3).config.amp == 1e-3


def test_the_bundled_network_is_small_and_comes_with_a_card():
    folder = Path(__file__).resolve().parents[2] / 'sast_ros' / 'model' / 'weights'
    assert (folder / 'MODEL_CARD.md').is_file()
    assert (folder / 'default.safetensors').stat().st_size < 12_000_000
    config = load_model('default').config
    assert config.name == 'gen1-tiny'
    assert config.classes == ('pedestrian', 'two-wheeler', 'car')


def test_missing_file_says_what_to_give(tmp_path):
    with pytest.raises(CheckpointError, match='sast-ros convert'):
        load_model(tmp_path / 'none.safetensors')
