# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the token selection runs, and compares what it says it compares."""

from __future__ import annotations

import json
import sys

import pytest
from sast_ros.model import untrained_model
from sast_ros_training.training.cache import CachedSequence, list_sequences
import selection_accuracy
import sparsity
import torch


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_script_measures_sequences_of_a_cache(cache, tmp_path, monkeypatch, threads):
    written = {name: tmp_path / name for name in ('result.json', 'plot.png', 'scenes.png')}
    options = [f'--{path.stem.replace("result", "json")}={path}' for path in written.values()]
    monkeypatch.setattr(
        sys,
        'argv',
        ['sparsity.py', '--model=default', '--drives=1', f'--cache={cache / "train"}', *options],
    )
    sparsity.main()
    assert all(path.stat().st_size for path in written.values())
    result = json.loads(written['result.json'].read_text())
    assert (result['sequences'], result['windows'], result['trained']) == (1, 12, True)
    assert sum(row['windows'] for row in result['by_density']) == 12
    for row in result['accuracy']:
        assert 0 < row['attention_ms']['mean'] < row['step_ms']['mean'], row['selection']


def test_script_compares_selections_by_the_tokens_that_they_keep(
    cache, tmp_path, monkeypatch, threads
):
    written = {name: tmp_path / name for name in ('result.json', 'plot.png')}
    options = [f'--{path.stem.replace("result", "json")}={path}' for path in written.values()]
    arguments = ['--drives=1', f'--cache={cache / "train"}', '--factors', '1', '1000', *options]
    monkeypatch.setattr(sys, 'argv', ['selection_accuracy.py', *arguments])
    selection_accuracy.main()
    assert all(path.stat().st_size for path in written.values())
    result = json.loads(written['result.json'].read_text())
    kept = {(p['selection'], p['factor']): p['kept'] for p in result['points']}
    assert kept['scored', 1000] < 0.5 * kept['scored', 1] < kept['dense', None] == 1
    assert kept['random', 1000] == kept['scored', 1000]
    assert set(result['bars']) == set(selection_accuracy.BARS)


def test_drives_are_simulated_where_there_is_no_cache(tmp_path):
    sparsity.simulate(tmp_path, untrained_model('gen1-tiny'), drives=2, seconds=0.1)
    paths = list_sequences(tmp_path)
    assert [len(CachedSequence(path)) for path in paths] == [2, 2]


def test_random_selection_has_as_many_tokens_in_as_many_partitions():
    random = torch.Generator().manual_seed(0)
    mask = torch.rand(2, 20, 16, generator=random) < torch.rand(2, 20, 1, generator=random)
    drawn = sparsity.shuffled(mask, random)
    assert not torch.equal(drawn, mask)
    for one, other in zip(mask, drawn):
        assert sorted(one.sum(dim=1).tolist()) == sorted(other.sum(dim=1).tolist())
