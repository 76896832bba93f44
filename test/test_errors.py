# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The errors that a user can correct say how."""

from __future__ import annotations

from pathlib import Path
import re
import runpy
import shlex
import sys
from typing import Any

import pytest
from sast_ros.errors import (
    DISTRIBUTIONS,
    EXTRAS,
    format_error,
    install_command,
    is_expected,
    REQUIRED,
)
from workspace import REPOSITORY


@pytest.fixture
def extras(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Return the names of the distributions of every extra of setup.py, '' for none."""
    given: dict[str, Any] = {}
    monkeypatch.setattr('setuptools.setup', lambda **options: given.update(options))
    monkeypatch.chdir(REPOSITORY)
    runpy.run_path('setup.py')
    groups = {'': given['install_requires'], **given['extras_require']}
    return {
        extra: {re.split('[<>=]', name)[0] for name in names} for extra, names in groups.items()
    }


def test_dependencies_are_those_of_the_package(extras: dict[str, set[str]]) -> None:
    imported = {'': REQUIRED, **EXTRAS}
    assert extras == {
        extra: {DISTRIBUTIONS.get(name, name) for name in names}
        for extra, names in imported.items()
    }


@pytest.mark.parametrize('name', REQUIRED)
def test_a_package_that_all_need_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    error = ModuleNotFoundError('no', name=name)
    assert is_expected(error)
    assert format_error(error).endswith(f'-m pip install {name}')
    # After "colcon build" with the Python of Ubuntu 24.04
    monkeypatch.setattr(sys, 'prefix', sys.base_prefix)
    monkeypatch.setattr('sysconfig.get_path', lambda _: str(tmp_path))
    (tmp_path / 'EXTERNALLY-MANAGED').touch()
    text = format_error(error)
    assert 'pip install' not in text and 'with_ros.md' in text


def test_a_part_of_torch_that_is_not_there_is_not_torch() -> None:
    assert not is_expected(ModuleNotFoundError('no', name='torch.part'))


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
