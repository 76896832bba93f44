# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The set-up: what it repairs, when it runs a step again, and what it says on a bare machine."""

from __future__ import annotations

import importlib.util
from pathlib import Path
import shutil
import subprocess
import sys
from types import ModuleType

import pytest
from workspace import REPOSITORY


def load_tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        f'tools_{name}', REPOSITORY / 'tools' / f'{name}.py'
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def set_up(tmp_path, monkeypatch) -> ModuleType:
    """Load the set-up for an empty repository in a temporary folder."""
    module = load_tool('set_up')
    venv = tmp_path / '.venv'
    for name, path in (('REPOSITORY', tmp_path), ('VENV', venv), ('STATE', venv / 'set_up')):
        monkeypatch.setattr(module, name, path)
    monkeypatch.setattr(module, 'LOG', venv / 'set_up' / 'log.txt')
    return module


def test_cmake_files_of_the_wheels_are_pointed_at_this_machine_once(tmp_path):
    fix = load_tool('fix_cmake_paths').fix
    file = (
        tmp_path
        / 'share'
        / 'some_msgs'
        / 'cmake'
        / 'export_some_msgs__rosidl_generator_pyExport.cmake'
    )
    file.parent.mkdir(parents=True)
    build_machine = '/opt/python/cp312-cp312'
    file.write_text(
        f'INCLUDES "{build_machine}/include/python3.12;'
        f'{build_machine}/lib/python3.12/site-packages/numpy/_core/include"\n'
        f'REMARK {build_machine}\n'
    )
    assert fix(tmp_path, '/here/include', '/here/numpy') == [file]
    assert file.read_text() == f'INCLUDES "/here/include;/here/numpy"\nREMARK {build_machine}\n'
    assert fix(tmp_path, '/here/include', '/here/numpy') == []


def counted_steps(set_up: ModuleType, runs: list[str], files: list[Path]) -> list:
    def action(name: str):
        return lambda: runs.append(name)

    return [
        set_up.Step(name, action(name), 'advice', [path])
        for name, path in zip(('first', 'second'), files, strict=True)
    ]


def test_a_step_runs_again_only_if_its_inputs_or_a_step_before_it_changed(
    set_up, tmp_path, monkeypatch
):
    runs: list[str] = []
    files = [tmp_path / 'a', tmp_path / 'b']
    for file in files:
        file.write_text('one')
    monkeypatch.setattr(set_up, 'steps', lambda: counted_steps(set_up, runs, files))
    set_up.set_up()
    assert runs == ['first', 'second']
    set_up.set_up()
    assert runs == ['first', 'second']
    files[1].write_text('two')
    set_up.set_up()
    assert runs == ['first', 'second', 'second']
    files[0].write_text('two')
    set_up.set_up()
    assert runs == ['first', 'second', 'second', 'first', 'second']


def test_a_step_that_failed_runs_again_and_says_what_to_do(set_up, tmp_path, monkeypatch):
    broken = tmp_path / 'broken'
    broken.touch()

    def action() -> None:
        code = 'import sys; print("the reason"); sys.exit(3)' if broken.exists() else 'pass'
        set_up.run(sys.executable, '-c', code)

    monkeypatch.setattr(set_up, 'steps', lambda: [set_up.Step('fragile', action, 'Repair it.')])
    with pytest.raises(
        set_up.SetUpError, match='(?s)"fragile".*ended with 3.*the reason.*Repair it[.]'
    ):
        set_up.set_up()
    broken.unlink()
    set_up.set_up()
    assert (tmp_path / '.venv' / 'set_up' / '1.done').exists()


def test_packages_that_were_half_installed_make_a_new_environment(set_up, tmp_path):
    (tmp_path / '.venv' / 'set_up').mkdir(parents=True)
    (tmp_path / '.venv' / 'set_up' / 'unfinished').touch()
    assert not set_up.usable_venv()


def test_missing_tools_are_named_with_their_package(set_up, tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    text = '\n'.join(set_up.missing_tools())
    for tool in ('gcc', 'g++', 'cmake', 'make'):
        assert f'missing tool: {tool}; install it with: apt install {tool}' in text


@pytest.mark.parametrize('machine', ['aarch64', 'armv7l', 'riscv64'])
def test_a_machine_without_wheels_of_ros_is_told_what_to_do(set_up, tmp_path, capsys, machine):
    assert set_up.main(machine) == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    for fact in (machine, 'x86-64', 'colcon', 'with_ros.md', 'sast-ros replay example'):
        assert fact in sentence
    assert not list(tmp_path.iterdir())
    assert not set_up.refuse_machine('x86_64')


def test_variables_of_a_sourced_ros_installation_do_not_reach_the_set_up(set_up, monkeypatch):
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    monkeypatch.setenv('PYTHONPATH', '/somewhere/else')
    monkeypatch.setenv('AMENT_PREFIX_PATH', '/somewhere/else')
    environment = set_up.environment()
    assert 'ROS_DISTRO' not in environment
    assert 'PYTHONPATH' not in environment
    assert environment['AMENT_PREFIX_PATH'] == str(set_up.VENV)


def test_defaults_of_the_users_colcon_do_not_reach_the_set_up(set_up, tmp_path, monkeypatch):
    pytest.importorskip('colcon_defaults', reason='colcon is not installed')
    monkeypatch.setenv('HOME', str(tmp_path))
    for folder in ('.colcon', 'other'):
        file = tmp_path / folder / 'defaults.yaml'
        file.parent.mkdir()
        file.write_text('list: {names-only: true}\n')
    monkeypatch.setenv('COLCON_DEFAULTS_FILE', str(file))
    set_up.STATE.mkdir(parents=True)
    set_up.run(
        *(sys.executable, '-m', 'colcon', '--log-base', str(tmp_path / 'log'), 'list'),
        *('--base-paths', str(REPOSITORY / 'msg' / 'dvs_msgs')),
    )
    assert len(set_up.LOG.read_text().splitlines()[-1].split('\t')) == 3  # name, path, type


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason='pip refuses in environments only')
def test_a_pip_that_installs_for_the_user_installs_into_the_environment(
    set_up, tmp_path, monkeypatch
):
    (tmp_path / 'pip.conf').write_text('[global]\nuser = true\n')
    monkeypatch.setenv('PIP_CONFIG_FILE', str(tmp_path / 'pip.conf'))
    set_up.STATE.mkdir(parents=True)
    set_up.run(sys.executable, '-m', 'pip', 'install', '--no-index', '--dry-run', 'pip')


def test_make_without_a_target_explains_itself():
    shown = subprocess.run(
        ['make', '-s', '-C', str(REPOSITORY)], capture_output=True, text=True, check=True
    ).stdout
    for target in ('demo', 'test', 'setup', 'lint', 'clean'):
        assert f'make {target}' in shown


def test_make_runs_in_a_folder_with_a_space_in_its_name(tmp_path):
    folder = tmp_path / 'my robot'
    command = folder / '.venv' / 'bin' / 'sast-ros'
    command.parent.mkdir(parents=True)
    command.write_text('#!/bin/sh\necho "$AMENT_PREFIX_PATH"\n')
    command.chmod(0o755)
    shutil.copy(REPOSITORY / 'Makefile', folder)
    shown = subprocess.run(
        ['make', '-s', '--no-print-directory', '--old-file=setup', 'demo'],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert (shown.stdout, shown.stderr) == (f'{folder}/.venv\n', '')
