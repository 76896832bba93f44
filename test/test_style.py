"""The Python files pass ament_flake8 and ament_pep257 of ROS 2 Jazzy with their defaults."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
import shutil
import subprocess
import sys

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PARTS = ('sast_ros', 'launch', 'test', 'benchmarks', 'docs', 'examples', 'tools', 'setup.py')

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

# ament_flake8/configuration/ament_flake8.ini and ament_pep257/main.py.
FLAKE8 = (
    '--extend-ignore=B902,C816,D100,D101,D102,D103,D104,D105,D106,D107,D203,D212,D404,I202',
    '--import-order-style=google',
    '--max-line-length=99',
)
PEP257 = ('--ignore=D100,D101,D102,D103,D104,D105,D106,D107,D203,D212,D404',)


@pytest.fixture(scope='module')
def files() -> list[str]:
    """Return the Python files that git tracks."""
    if shutil.which('git') is None or not (REPOSITORY / '.git').exists():
        pytest.skip('only git knows which files belong to the repository, and it is not here')
    listed = subprocess.run(
        ['git', 'ls-files', '-z', '--', *PARTS],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split('\0')
    return [name for name in listed if name.endswith('.py') and (REPOSITORY / name).exists()]


def complaints(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, '-m', *command], cwd=REPOSITORY, capture_output=True, text=True
    )
    return done.stdout + done.stderr


def test_flake8_has_no_complaint(files):
    pytest.importorskip('flake8', reason='flake8 is not installed')
    names = (found.metadata['Name'] for found in metadata.distributions())
    installed = {name.lower().replace('_', '-') for name in names if name}
    missing = [name for name in PLUGINS if name not in installed]
    if missing:
        pytest.skip(f'not installed: {", ".join(missing)}')
    assert complaints('flake8', '--isolated', *FLAKE8, *files) == ''


def test_pep257_has_no_complaint(files):
    pytest.importorskip('pydocstyle', reason='pydocstyle is not installed')
    assert complaints('pydocstyle', *PEP257, *files) == ''
