# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Every source file has its licence and passes ament's linters of Python with their defaults."""

from __future__ import annotations

from importlib import metadata
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys

import pytest
from workspace import without_coverage
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent

# What ament_flake8 depends on. Plugins that are not there would leave out their rules in silence.
PLUGINS = (
    'flake8-blind-except',
    'flake8-builtins',
    'flake8-class-newline',
    'flake8-comprehensions',
    'flake8-deprecated',
    'flake8-docstrings',
    'flake8-import-order',
    'flake8-quotes',
)

# ament_flake8/configuration/ament_flake8.ini and ament_pep257/main.py. The plugin of docstrings is
# pydocstyle: with all of its conventions it finds what ament_pep257 would, in the same run.
FLAKE8 = (
    '--docstring-convention=all',
    '--extend-ignore=B902,C816,D100,D101,D102,D103,D104,D105,D106,D107,D203,D212,D404,I202',
    '--import-order-style=google',
    '--max-line-length=99',
)

HEADER = '{0} Copyright 2026 sast_ros maintainers\n{0} SPDX-License-Identifier: Apache-2.0\n'
SOURCES = {'.py': '#', '.sh': '#', '.c': '//', '.h': '//', '.cpp': '//'}


def tracked(*patterns: str) -> list[str]:
    """Return the files that git tracks, empty ones left out."""
    if shutil.which('git') is None or not (REPOSITORY / '.git').exists():
        pytest.skip('only git knows which files belong to the repository, and it is not here')
    listed = subprocess.run(
        ['git', 'ls-files', '-z', '--', *patterns],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split('\0')
    paths = (REPOSITORY / name for name in listed if name)
    return [
        str(path.relative_to(REPOSITORY))
        for path in paths
        if path.exists() and path.stat().st_size
    ]


def output(*command: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, '-m', *command],
        cwd=REPOSITORY,
        env={**without_coverage(), **variables},
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def test_every_source_file_names_copyright_and_licence():
    files = tracked(*(f'*{suffix}' for suffix in SOURCES))
    assert files
    for name in files:
        text = (REPOSITORY / name).read_text(encoding='utf-8')
        header = HEADER.format(SOURCES[Path(name).suffix])
        assert re.sub(r'\A#(!| noqa:).*\n', '', text).startswith(header), name


def test_ament_copyright_finds_nothing(tmp_path):
    """Its templates have no SPDX identifier; one more comes in by its entry point for licences."""
    pytest.importorskip('ament_copyright', reason='ament_copyright is not installed')
    (tmp_path / 'spdx.py').write_text(
        'from ament_copyright.licenses import apache2\n'
        "line = '{copyright}\\nSPDX-License-Identifier: Apache-2.0'\n"
        'apache2_spdx = apache2._replace(file_headers=[line])\n'
    )
    plugin = tmp_path / 'spdx-1.dist-info'
    plugin.mkdir()
    (plugin / 'METADATA').write_text('Metadata-Version: 2.1\nName: spdx\nVersion: 1\n')
    (plugin / 'entry_points.txt').write_text(
        '[ament_copyright.license]\napache2_spdx = spdx:apache2_spdx\n'
    )
    files = tracked('LICENSE', 'CONTRIBUTING.md', '*.py', '*.c', '*.h', '*.cpp')
    path = f'{tmp_path}{os.pathsep}{os.environ.get("PYTHONPATH", "")}'
    found = output('ament_copyright.main', *files, PYTHONPATH=path)
    assert found == f'No problems found, checked {len(files)} files\n'


def test_flake8_and_pep257_find_nothing():
    pytest.importorskip('flake8', reason='flake8 is not installed')
    names = (found.metadata['Name'] for found in metadata.distributions())
    installed = {name.lower().replace('_', '-') for name in names if name}
    missing = [name for name in PLUGINS if name not in installed]
    if missing:
        pytest.skip(f'not installed: {", ".join(missing)}')
    assert output('flake8', '--isolated', *FLAKE8, *tracked('*.py')) == ''


def test_no_file_has_what_a_merge_could_not_decide():
    marks = subprocess.run(
        ['git', 'grep', '-IlE', r'^(<{7} |>{7} )'], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert (marks.returncode, marks.stdout) == (1, '')


def test_workflows_run_targets_that_exist_on_the_pythons_that_are_supported():
    workflow = (REPOSITORY / '.github' / 'workflows' / 'ci.yml').read_text(encoding='utf-8')
    makefile = (REPOSITORY / 'Makefile').read_text(encoding='utf-8')
    targets = set(re.findall(r'run: make (\w+)', workflow))
    assert {'lint', 'docs', 'test'} <= targets
    assert targets <= set(re.findall(r'^(\w+):', makefile, flags=re.MULTILINE))
    set_up = (REPOSITORY / 'tools' / 'set_up.py').read_text(encoding='utf-8')
    limits = re.search(r'MIN_PYTHON, MAX_PYTHON = \(3, (\d+)\), \(3, (\d+)\)', set_up).groups()
    tested = yaml.safe_load(workflow)['jobs']['test']['strategy']['matrix']['python']
    assert {f'3.{minor}' for minor in limits} <= set(tested)
