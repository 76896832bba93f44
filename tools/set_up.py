# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Set up .venv: ROS 2 Jazzy from wheels, torch, the interface packages of msg/ and sast_ros itself.

``make setup`` runs it with the system's Python; it needs only the standard library. Each step runs
only if its inputs changed since it last succeeded, or if an earlier step ran. Output is written to
.venv/set_up/log.txt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
import fcntl
import hashlib
import importlib.util
import os
from pathlib import Path
import platform
import shutil
import subprocess
import sys
import sysconfig
import time

REPOSITORY = Path(__file__).resolve().parent.parent
VENV = REPOSITORY / '.venv'
STATE = VENV / 'set_up'
PYTHON = VENV / 'bin' / 'python'
LOG = STATE / 'log.txt'

# Folder of each package, and where its Python code is.
PACKAGES = {'.': 'sast_ros', 'training': 'training/sast_ros_training'}

# ROS 2 Jazzy and torch have wheels for these.
MIN_PYTHON, MAX_PYTHON = (3, 10), (3, 13)

# Variables of a sourced ROS installation, another environment or the user's pip and colcon that
# would reach into .venv.
FOREIGN = (
    'AMENT_PREFIX_PATH',
    'CMAKE_PREFIX_PATH',
    'COLCON_DEFAULTS_FILE',
    'COLCON_PREFIX_PATH',
    'LD_LIBRARY_PATH',
    'PIP_PREFIX',
    'PIP_TARGET',
    'PYTHONHOME',
    'PYTHONPATH',
    'ROS_DISTRO',
    'ROS_PYTHON_VERSION',
    'ROS_VERSION',
    'VIRTUAL_ENV',
)


class SetUpError(Exception):
    """A step that failed."""


@dataclass(frozen=True)
class Step:
    """
    One step of the set-up.

    Attributes
    ----------
    name : str
        What it makes, as shown to the user.
    action : callable
        Does the work; its output goes into the log.
    advice : str
        What to do if it fails.
    inputs : list of Path
        The step runs again if the content of these files changes.
    made : callable
        Returns whether the result of the step still exists.

    """

    name: str
    action: Callable[[], None]
    advice: str
    inputs: list[Path] = field(default_factory=list)
    made: Callable[[], bool] = lambda: True


def refuse_machine(machine: str) -> str:
    """Return what to do on a kind of machine that ROS 2 has no wheels for; empty on x86-64."""
    if machine in ('x86_64', 'AMD64'):
        return ''
    return (
        f'ROS 2 has wheels for x86-64 only, and this machine is {machine}: install ROS 2 with apt '
        'and build with colcon (docs/get_started/with_ros.md), or try "sast-ros replay example" '
        'without ROS (docs/get_started/without_ros.md)'
    )


def missing_tools() -> list[str]:
    """Return one line for each missing tool, with the Debian and Ubuntu package that has it."""
    missing = [
        (tool, tool) for tool in ('gcc', 'g++', 'cmake', 'make') if shutil.which(tool) is None
    ]
    if importlib.util.find_spec('venv') is None or importlib.util.find_spec('ensurepip') is None:
        missing.append(('the venv module of Python', 'python3-venv'))
    if not Path(sysconfig.get_path('include'), 'Python.h').exists():
        missing.append(('the header files of Python', 'python3-dev'))
    return [
        f'missing tool: {tool}; install it with: apt install {package}'
        for tool, package in missing
    ]


def environment() -> dict[str, str]:
    """Return the environment of every step: .venv first, no other installation."""
    clean = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    clean.update(
        PATH=f'{VENV / "bin"}{os.pathsep}{os.environ.get("PATH", os.defpath)}',
        AMENT_PREFIX_PATH=str(VENV),
        CMAKE_PREFIX_PATH=str(VENV),
        # Not ~/.colcon/defaults.yaml, whose symlink-install would link to what is deleted
        COLCON_HOME=str(STATE),
        PIP_DISABLE_PIP_VERSION_CHECK='1',
        PIP_NO_INPUT='1',
        PIP_USER='0',  # nor 'user = true' of a pip.conf
        PYTHONNOUSERSITE='1',
    )
    return clean


def run(*command: str | Path) -> None:
    """Run a command in the repository, with its output in the log."""
    with LOG.open('a') as log:
        log.write(f'\n$ {" ".join(str(part) for part in command)}\n')
        log.flush()
        result = subprocess.run(
            [str(part) for part in command],
            cwd=REPOSITORY,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    if result.returncode:
        raise SetUpError(f'{Path(command[0]).name} ended with {result.returncode}')


def make_venv() -> None:
    """Create an empty .venv, or keep one that works."""
    if usable_venv():
        return
    shutil.rmtree(VENV, ignore_errors=True)
    STATE.mkdir(parents=True)
    run(sys.executable, '-m', 'venv', VENV)


def usable_venv() -> bool:
    """Return whether .venv has a Python with wheels and pip and was not moved."""
    configuration = VENV / 'pyvenv.cfg'
    if (STATE / 'unfinished').exists() or not configuration.exists() or not PYTHON.exists():
        return False
    program = (
        f'import pip, sys; sys.exit(not {MIN_PYTHON} <= sys.version_info[:2] <= {MAX_PYTHON})'
    )
    if subprocess.run([PYTHON, '-c', program], env=environment(), capture_output=True).returncode:
        return False
    # The commands in bin/ begin with the path of their interpreter.
    launcher = VENV / 'bin' / 'pip'
    return launcher.exists() and str(VENV) in launcher.read_text(errors='replace')[:1000]


def install_packages() -> None:
    """Install the pinned wheels."""
    # If pip is killed while it copies files, packages look installed and are not; then .venv is
    # created again. pip reports its own errors (no network, no such version) before it copies.
    unfinished = STATE / 'unfinished'
    unfinished.touch()
    try:
        run(
            PYTHON, '-m', 'pip', 'install', '-r', 'tools/requirements.txt', '-c', 'constraints.txt'
        )
    except SetUpError:
        unfinished.unlink()
        raise
    unfinished.unlink()


def fix_cmake_paths() -> None:
    """Point the wheels' CMake files at this machine's headers."""
    run(PYTHON, 'tools/fix_cmake_paths.py')


def build_interfaces() -> None:
    """Build the packages of msg/ into .venv, so that nothing needs to be sourced."""
    build = STATE / 'build'
    shutil.rmtree(build, ignore_errors=True)
    run(
        *(VENV / 'bin' / 'colcon', '--log-base', STATE / 'colcon', 'build', '--base-paths', 'msg'),
        *('--build-base', build, '--install-base', VENV, '--merge-install'),
        *('--cmake-args', f'-DPython3_EXECUTABLE={PYTHON}', '-DBUILD_TESTING=OFF'),
    )
    shutil.rmtree(build, ignore_errors=True)


def interfaces_exist() -> bool:
    """Return whether every package of msg/ is installed."""
    packages = (REPOSITORY / 'msg').glob('*/package.xml')
    return all((VENV / 'share' / path.parent.name).exists() for path in packages)


def install_sast_ros() -> None:
    """Install both packages in place and compile their C extensions."""
    packages = [option for folder in PACKAGES for option in ('--editable', folder)]
    run(PYTHON, '-m', 'pip', 'install', '--no-deps', '--no-build-isolation', *packages)


def commands_exist() -> bool:
    """Return whether both packages are installed and compiled."""
    kernels = [REPOSITORY / folder / 'kernels' for folder in PACKAGES.values()]
    compiled = all(any(folder.glob('_kernels*.so')) for folder in kernels)
    return compiled and (VENV / 'bin' / 'sast-ros').exists()


def steps() -> list[Step]:
    """Return the steps in order; each runs again when one before it ran."""
    # A new compiler makes the same extension: its version and flags are no inputs.
    names = ('setup.py', 'setup.cfg', 'pyproject.toml', 'package.xml')
    sources = [REPOSITORY / folder / name for folder in PACKAGES for name in names]
    for folder in PACKAGES.values():
        sources += (REPOSITORY / folder / 'kernels').rglob('*.[ch]')
    return [
        Step(
            'virtual environment',
            make_venv,
            'Check that python3 -m venv works and that the disk is not full, then run the same '
            'command again.',
            made=usable_venv,
        ),
        Step(
            'ROS 2 Jazzy, torch and tools (pip)',
            install_packages,
            'Check that pip can reach its package index, then run the same command again.',
            [REPOSITORY / 'tools' / 'requirements.txt', REPOSITORY / 'constraints.txt'],
            lambda: not (STATE / 'unfinished').exists(),
        ),
        Step(
            'CMake files of the wheels',
            fix_cmake_paths,
            'Run "make clean" and the same command again.',
            [REPOSITORY / 'tools' / 'fix_cmake_paths.py'],
        ),
        Step(
            'interface packages (colcon)',
            build_interfaces,
            'If the log names a compiler or CMake error in a system tool, repair that tool; '
            'otherwise run "make clean" and the same command again.',
            [path for path in (REPOSITORY / 'msg').rglob('*') if path.is_file()],
            interfaces_exist,
        ),
        Step(
            'sast_ros, sast_ros_training and their C extensions',
            install_sast_ros,
            'The log names the file and line that does not compile.',
            sources,
            commands_exist,
        ),
    ]


def digest(step: Step, before: str) -> str:
    """Return the hash of everything that requires ``step`` to run again."""
    fingerprint = hashlib.sha256(f'{before}\n{step.name}\n{VENV}\n'.encode())
    for path in sorted(step.inputs):
        content = path.read_bytes()
        fingerprint.update(f'{path.relative_to(REPOSITORY)} {len(content)}\n'.encode())
        fingerprint.update(content)
    return fingerprint.hexdigest()


@contextmanager
def only_one() -> Iterator[None]:
    """Wait while another process sets up the same tree."""
    with Path(__file__).open() as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print('set-up: another set-up of this folder is running; waiting for it', flush=True)
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def log_tail() -> str:
    """Return the end of the log."""
    text = LOG.read_text(errors='replace') if LOG.exists() else ''
    return '\n'.join('    ' + line[:200] for line in text.splitlines()[-15:])


def set_up() -> None:
    """Run the steps whose inputs or results changed."""
    before = ''
    todo = steps()
    started = False
    for number, step in enumerate(todo, start=1):
        stamp = STATE / f'{number}.done'
        before = fingerprint = digest(step, before)
        if stamp.exists() and stamp.read_text() == fingerprint and step.made():
            continue
        print(f'set-up {number}/{len(todo)}: {step.name} ...', end='', flush=True)
        begin = time.monotonic()
        STATE.mkdir(parents=True, exist_ok=True)
        if not started:
            LOG.unlink(missing_ok=True)
            started = True
        for later in range(number, len(todo) + 1):
            (STATE / f'{later}.done').unlink(missing_ok=True)
        try:
            step.action()
        except SetUpError as error:
            raise SetUpError(
                f'set-up failed at "{step.name}": {error}. The end of '
                f'{LOG.relative_to(REPOSITORY)}:\n'
                f'{log_tail()}\n{step.advice}'
            ) from None
        finally:
            print(f' {time.monotonic() - begin:.1f} s', flush=True)
        stamp.write_text(fingerprint)


def main(machine: str = '') -> int:
    """Check the machine (this one, unless another is named), then set up."""
    if reason := refuse_machine(machine or platform.machine()):
        print(reason, file=sys.stderr)
        return 1
    version = sys.version_info[:2]
    if not MIN_PYTHON <= version <= MAX_PYTHON:
        print(
            f'sast_ros needs Python 3.10 to 3.13, but {sys.executable} is '
            f'{version[0]}.{version[1]}; use another: make setup PYTHON=python3.12',
            file=sys.stderr,
        )
        return 1
    missing = missing_tools()
    if missing:
        print('\n'.join(missing), file=sys.stderr)
        return 1
    try:
        with only_one():
            set_up()
    except SetUpError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nset-up interrupted; the same command continues it', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
