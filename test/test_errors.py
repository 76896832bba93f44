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
from sast_ros import doctor
from sast_ros.errors import (
    DISTRIBUTIONS,
    EXTRAS,
    format_error,
    install_command,
    is_expected,
    REQUIRED,
    SastError,
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


def close_to_pip(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make this the Python of Ubuntu 24.04, which "colcon build" has built with."""
    monkeypatch.setattr(sys, 'prefix', sys.base_prefix)
    monkeypatch.setattr('sysconfig.get_path', lambda _: str(folder))
    (folder / 'EXTERNALLY-MANAGED').touch()


@pytest.mark.parametrize('name', REQUIRED)
def test_a_package_that_all_need_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    error = ModuleNotFoundError('no', name=name)
    assert is_expected(error)
    assert format_error(error).endswith(f'-m pip install {name}')
    close_to_pip(monkeypatch, tmp_path)
    text = format_error(error)
    assert 'pip install' not in text and 'with_ros.md' in text


def test_where_pip_refuses_all_advice_to_use_it_names_a_virtual_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, '_GROUPS', {'': doctor._recordings})
    monkeypatch.setitem(sys.modules, 'mcap', None)
    error, other = SastError('a video needs PyAV; pip install av'), SastError('no such file')

    def advice() -> str:
        return next(check.advice for check in doctor.examine() if check.name == 'mcap')

    assert 'virtual environment' not in format_error(error) + advice()
    close_to_pip(monkeypatch, tmp_path)
    for text in (format_error(error), advice()):
        assert 'pip install' in text
        assert 'virtual environment' in text and 'with_ros.md' in text
    assert format_error(other) == 'no such file'


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
