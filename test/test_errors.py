# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The errors that a user can correct say how."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from typing import Any

import pytest
from sast_ros.errors import DISTRIBUTIONS, EXTRAS, format_error, install_command
from workspace import REPOSITORY


@pytest.fixture
def extras(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Return the names of the distributions of every extra of setup.py."""
    given: dict[str, Any] = {}
    monkeypatch.setattr('setuptools.setup', lambda **options: given.update(options))
    monkeypatch.chdir(REPOSITORY)
    runpy.run_path('setup.py')
    return {
        extra: {re.split('[<>=]', name)[0] for name in names}
        for extra, names in given['extras_require'].items()
    }


def test_optional_dependencies_are_those_of_the_package(extras: dict[str, set[str]]) -> None:
    assert extras == {
        extra: {DISTRIBUTIONS.get(name, name) for name in names} for extra, names in EXTRAS.items()
    }


def test_a_missing_package_is_named_with_what_its_extra_lacks_besides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, 'aiohttp', None)
    monkeypatch.setitem(sys.modules, 'PIL', None)
    text = format_error(ModuleNotFoundError('no', name='aiohttp.web'))
    assert text.startswith('aiohttp is not installed')
    command = [sys.executable, '-m', 'pip', 'install', 'aiohttp', 'pillow']
    assert text.endswith(shlex.join(command))


@pytest.mark.parametrize('module', sorted({name for names in EXTRAS.values() for name in names}))
def test_no_command_installs_this_package_from_pypi(module: str) -> None:
    command = install_command(module)
    assert DISTRIBUTIONS.get(module, module) in command.split()
    assert 'sast' not in command.partition('pip install')[2]
