# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""README and documentation are true: tables, commands, links and paths are checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import re
import shlex
import subprocess
import sys

import pytest
from sast_ros.cli import main
from sast_ros.model import CONFIGS, SAST
from sast_ros.pipeline import sensor_geometry
import torch
from workspace import without_coverage

REPOSITORY = Path(__file__).resolve().parent.parent
DOCS = REPOSITORY / 'docs'
CARD = REPOSITORY / 'sast_ros' / 'model' / 'weights' / 'MODEL_CARD.md'
PAGES = sorted(
    page
    for folder in ('', 'docs/**/', 'test/**/', 'training/**/')
    for page in REPOSITORY.glob(f'{folder}*.md')
)

#: What stands in for a name that the reader chooses.
_PLACEHOLDER = re.compile(r'[<>*$~]|NAME|FILE|DIR|my_|/path/')


def text(name: str) -> str:
    """Return a page."""
    return (REPOSITORY / name).read_text(encoding='utf-8')


def section(page: str, heading: str) -> str:
    """Return what stands below a heading, up to the next one of any level."""
    return re.split(r'^#+ ', text(page).split(f'# {heading}\n', 1)[1], flags=re.MULTILINE)[0]


def first_cells(table: str) -> list[str]:
    """Return the names in code marks of the first column of a table."""
    rows = [line for line in table.splitlines() if line.startswith('| `')]
    return [name for row in rows for name in re.findall(r'`([^`]+)`', row.split(' | ')[0])]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub and MyST give to the headings of a page."""
    headings = re.findall(r'^#+ (.+)$', page.read_text(encoding='utf-8'), flags=re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', each.lower()).replace(' ', '-') for each in headings}


def commands(program: str) -> Iterator[tuple[str, list[str]]]:
    """Yield page and words of every command line of a program in the code blocks."""
    for page in PAGES:
        for block in re.findall(r'^```sh\n(.*?)^```', page.read_text(), re.M | re.S):
            for line in block.splitlines():
                words = shlex.split(line, comments=True)
                if words and words[0].rpartition('/')[2] == program:
                    yield page.name, words


def test_readme_is_one_page():
    readme = text('README.md')
    assert 'event-camera object detection' in readme.splitlines()[0]
    assert len(readme.split()) < 900


@pytest.mark.parametrize('page', [*PAGES, CARD], ids=lambda page: page.name)
def test_linked_files_and_anchors_exist(page):
    missing = []
    for link in re.findall(r'\]\(([^)\s]+)\)', page.read_text(encoding='utf-8')):
        if '://' in link or link.startswith('mailto:'):
            continue
        path, _, anchor = link.partition('#')
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            missing.append(link)
    assert missing == []


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_named_files_exist(page):
    tops = {path.name for path in REPOSITORY.iterdir()} - {'out', '.venv'}
    source = page.read_text(encoding='utf-8')
    code = re.findall(r'^```sh\n(.*?)^```', source, re.M | re.S)
    code += re.findall(r'`([^`\n]+)`', re.sub(r'^```.*?^```', '', source, flags=re.M | re.S))
    named = {word.rstrip('.,:;') for part in code for word in re.split(r'[\s=]+', part)}
    missing = [
        word
        for word in named
        if '/' in word
        and word.split('/')[0] in tops
        and not _PLACEHOLDER.search(word)
        and not (REPOSITORY / word).exists()
    ]
    assert missing == []


def test_commands_and_their_options_exist(capsys):
    found = list(commands('sast-ros'))
    assert len(found) >= 15
    for page, words in found:
        assert main([words[1], '--help']) == 0, page
        shown = capsys.readouterr().out
        for option in (word for word in words if word.startswith('--')):
            assert option in shown, (page, words)


def test_make_targets_exist():
    targets = set(re.findall(r'^([\w-]+):', text('Makefile'), flags=re.MULTILINE))
    assert {words[1] for _, words in commands('make')} <= targets


def test_parameter_table_is_that_of_the_node():
    parameters = pytest.importorskip('sast_ros.ros.parameter_documents')
    table = text('docs/node.md').split('<!-- parameters:', 1)[1].split('-->', 1)[1]
    table = table.split('<!-- end of parameters', 1)[0]
    assert table.strip() == parameters.markdown_table().strip()


def test_launch_arguments_are_those_of_the_launch_file():
    source = text('launch/detector.launch.py')
    declared = re.findall(r"^    '(\w+)': \(", source, flags=re.MULTILINE)
    sentence = text('docs/get_started/with_ros.md').split('Launch arguments:', 1)[1]
    assert re.findall(r'`(\w+)`', sentence.split('.', 1)[0]) == declared


def test_extras_are_those_of_the_package():
    source = text('setup.py').split('extras_require={', 1)[1].split('}', 1)[0]
    page = text('docs/get_started/with_ros.md')
    assert re.findall(r'the extra `(\w+)`', page) == re.findall(r"'(\w+)': ", source)


def test_sensor_table_is_what_the_pipeline_does():
    page = text('docs/how_to/weights.md')
    rows = re.findall(r'^\| (\d+)x(\d+) \| (.+?) \| (.+?) \|$', page, flags=re.MULTILINE)
    assert len(rows) == 4
    for width, height, *cells in rows:
        for name, cell in zip(('gen1-tiny', '1mpx-tiny'), cells):
            geometry = sensor_geometry(CONFIGS[name], (int(height), int(width)))
            d, (rows_, columns) = geometry.downsample, geometry.input_size
            kept = 'every pixel' if d == 1 else f'1 of {d}x{d}'
            assert cell == f'{kept}, input {columns}x{rows_}'


@pytest.mark.parametrize('size', ('tiny', 'small', 'base', 'large'))
def test_numbers_of_parameters_are_those_of_the_networks(size):
    rows = dict(
        re.findall(r'^\| (backbone|PAFPN|head, \w+) \| (.+) \|$', text('docs/sast.md'), re.M)
    )
    column = ('tiny', 'small', 'base', 'large').index(size)
    counts = {part: int(row.split(' | ')[column]) for part, row in rows.items()}
    for dataset in ('gen1', '1mpx'):
        with torch.device('meta'):
            model = SAST(CONFIGS[f'{dataset}-{size}'])
        for part, name in (
            (model.backbone, 'backbone'),
            (model.fpn, 'PAFPN'),
            (model.yolox_head, f'head, {dataset}'),
        ):
            assert sum(p.numel() for p in part.parameters()) == counts[name]


def test_rules_are_where_the_architecture_page_says():
    rows = re.findall(r'\]\(\.\./(\S+\.py)\) \| `(\w+)` \|$', text('docs/architecture.md'), re.M)
    assert len(rows) >= 20
    for path, name in rows:
        defined = rf'^(class |def |){name}\b(\(|:| =)'
        assert re.search(defined, text(path), flags=re.MULTILINE), (path, name)


def test_cited_sections_of_the_network_description_exist():
    headings = set(re.findall(r'^#+ (\d[\d.]*\d|\d)', text('docs/sast.md'), flags=re.MULTILINE))
    cited = {}
    for folder in ('sast_ros', 'training', 'test', 'benchmarks'):
        for path in (REPOSITORY / folder).rglob('*.py'):
            for number in re.findall(r'docs/sast\.md (\d+(?:\.\d+)*)', path.read_text()):
                cited[number] = path
    assert {number: path for number, path in cited.items() if number not in headings} == {}


def test_diagnostics_keys_are_those_of_the_node():
    source = text('sast_ros/ros/diagnostics.py') + text('sast_ros/ros/camera.py')
    for key in first_cells(section('docs/reliability.md', 'Diagnostics')):
        written = key.replace('REASON', '{reason}').replace(' N ', ' {stage} ')
        assert f"'{written}'" in source, key


def test_summary_keys_are_those_of_a_replay():
    documented = first_cells(section('docs/reliability.md', 'Summary of a replay'))
    keys = []
    for name, begin in (
        ('sast_ros/bags/recording.py', 'def summary'),
        ('sast_ros/replay.py', '**summary,'),
    ):
        written = text(name).split(begin, 1)[1].split('}\n', 1)[0]
        keys += re.findall(r"^ +'(\w+)':", written, flags=re.MULTILINE)
    assert sorted(documented) == sorted(keys)


def test_reset_reasons_are_those_of_the_code():
    documented = first_cells(section('docs/reliability.md', 'Resets of the recurrent state'))
    sources = ''.join(path.read_text() for path in (REPOSITORY / 'sast_ros').rglob('*.py'))
    reasons = set(re.findall(r"(?:restart|reset)\('(\w+)'\)", sources)) - {'end'}
    assert set(documented) == reasons


def test_documentation_builds_without_warnings(tmp_path):
    pytest.importorskip('sphinx')
    command = [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-b', 'html']
    done = subprocess.run(
        [*command, '-d', tmp_path / 'trees', DOCS, tmp_path / 'html'],
        env=without_coverage(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'html' / 'index.html').is_file()
