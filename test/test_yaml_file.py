# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""YAML files of others are read, whatever they hold, in bounded time and memory."""

from __future__ import annotations

from pathlib import Path
import tempfile
import time

from facts import facts
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest
from sast_ros.bags.metadata import Metadata, read_metadata
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.labels import FrameClock, read_labels
from sast_ros.yaml_file import read_yaml
import yaml

LAUGHS = '\n'.join(
    ['a0: &a0 [x, x]', *(f'a{n}: &a{n} [{", ".join([f"*a{n - 1}"] * 10)}]' for n in range(1, 30))]
)

#: Texts that read_yaml refuses, and why.
HOSTILE = {
    'aliases': (f'{LAUGHS}\nnames: *a29', 'aliases'),
    'aliases in keys': (f'{LAUGHS}\n? *a29\n: x', 'aliases'),
    'long text, many aliases': (f'names: [&a "{"x" * 9000}"{", *a" * 9000}]', 'aliases'),
    'alias of itself': ('names: &a [*a]', 'stands for what it is in'),
    'alias of nothing': ('names: *a', 'for nothing'),
    'lists': ('names: ' + '[' * 100_000, 'nested'),
    'block lists': ('- ' * 100_000, 'nested'),
    'mappings': ('{a: ' * 100_000, 'nested'),
    'keys': ('? ' * 100_000, 'nested'),
    'number': ('names: 1' + ':59' * 200_000, 'quotation'),
    'quoted number': (f'names: !!int "1{":59" * 200_000}"', 'quotation'),
    'long': ('names: ["' + 'x' * (1 << 24) + '"]', 'characters'),
    'tag of a number': ('names: !!int x', 'int'),
    'tag of a date': ('names: !!timestamp x', 'tag'),
    'tag of a program': ('names: !!python/object/apply:os.getcwd []', 'no YAML'),
    'date': ('names: 2001-99-99', 'month'),
    'two documents': ('names: [a]\n---\nnames: [b]', 'no YAML'),
    'key of a list': ('{[a]: b}', 'no YAML'),
    'no text': ('names: \x00', 'no YAML'),
}


@pytest.mark.parametrize(('text', 'reason'), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused_at_once(tmp_path: Path, text: str, reason: str) -> None:
    labels, bag = tmp_path / 'labels', tmp_path / 'bag'
    labels.mkdir()
    bag.mkdir()
    path = labels / 'data.yaml'
    path.write_text(text)
    (bag / 'metadata.yaml').write_text(text)
    (labels / '1.txt').write_text('0 .5 .5 .1 .1')
    begin = time.process_time()
    with pytest.raises(ValueError, match=reason):
        read_yaml(path)
    assert time.process_time() - begin < 5
    assert read_metadata(bag) == Metadata()
    with pytest.raises(EvaluationError, match=facts('data.yaml', '--label-classes')) as caught:
        read_labels(labels, 'a', None, (240, 304), frames=FrameClock(20))
    assert len(str(caught.value)) < 600


_TEXTS = st.text('ab01 ~:-#&*[]{}.!%|>\'"\n\u00e9')
_VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXTS
_DOCUMENTS = st.recursive(
    _VALUES, lambda inner: st.lists(inner) | st.dictionaries(_TEXTS, inner), max_leaves=30
)


@settings(deadline=None)
@given(_DOCUMENTS, st.booleans())
def test_other_documents_are_read(document: object, twice: bool) -> None:
    content = [document, document] if twice else document  # lists and mappings become aliases
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'a.yaml'
        path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding='utf-8')
        assert read_yaml(path) == content
