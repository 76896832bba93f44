"""
Set up .venv: ROS 2 Jazzy from wheels, torch, the interface packages of msg/ and sast_ros itself.

Run through ``make setup`` by the machine's own Python; needs nothing but the standard library.
Each step runs only if its inputs changed since it last succeeded, or if a step before it ran. The
details go into .venv/set_up/log.txt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import fcntl
import hashlib
import importlib.util
import os
from pathlib import Path
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
OLDEST, NEWEST = (3, 10), (3, 13)

# Variables of a sourced ROS installation, another environment or the user's pip that would reach
# into .venv.
FOREIGN = (
    'AMENT_PREFIX_PATH',
    'CMAKE_PREFIX_PATH',
    'COLCON_PREFIX_PATH',
    'LD_LIBRARY_PATH',
    'PIP_PREFIX',
    'PIP_TARGET',
    'PIP_USER',
    'PYTHONHOME',
    'PYTHONPATH',
    'ROS_DISTRO',
    'ROS_PYTHON_VERSION',
    'ROS_VERSION',
    'VIRTUAL_ENV',
)


class SetUpError(Exception):
    """A step that failed; the text says what to do."""


@dataclass(frozen=True)
class Step:
    """
    One step of the set-up.

    Parameters
    ----------
    name: what it makes, as shown to the user.
    inputs: files whose content decides whether the step has to run again.
    facts: further text that decides the same, such as the version of Python.
    action: does the work; its output goes into the log.
    made: tells whether what the step makes is still there.
    advice: what to do if it fails.

    """

    name: str
    inputs: list[Path]
    facts: str
    action: Callable[[], None]
    made: Callable[[], bool]
    advice: str


def missing_tools() -> list[str]:
    """
    One line for each tool that this machine lacks.

    It names the Debian and Ubuntu package that brings it.
    """
    missing = []
    for tool, package in (('gcc', 'gcc'), ('g++', 'g++'), ('cmake', 'cmake'), ('make', 'make')):
        if shutil.which(tool) is None:
            missing.append(f'missing tool: {tool}; install it with: apt install {package}')
    if importlib.util.find_spec('venv') is None or importlib.util.find_spec('ensurepip') is None:
        missing.append(
            'missing tool: the venv module of Python; install it with: apt install python3-venv'
        )
    if not Path(sysconfig.get_path('include'), 'Python.h').exists():
        missing.append(
            'missing tool: the header files of Python; install them with: apt install python3-dev'
        )
    return missing


def environment() -> dict[str, str]:
    """Environment of every step: .venv first, nothing of another installation."""
    clean = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    clean.update(
        PATH=f'{VENV / "bin"}{os.pathsep}{os.environ.get("PATH", os.defpath)}',
        AMENT_PREFIX_PATH=str(VENV),
        CMAKE_PREFIX_PATH=str(VENV),
        PIP_DISABLE_PIP_VERSION_CHECK='1',
        PIP_NO_INPUT='1',
        PYTHONNOUSERSITE='1',
    )
    return clean


def run(*command: str | Path) -> None:
    """Run a command in the repository, its output into the log."""
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
    """Make an empty .venv, or keep one that works."""
    if usable_venv():
        return
    shutil.rmtree(VENV, ignore_errors=True)
    STATE.mkdir(parents=True)
    run(sys.executable, '-m', 'venv', VENV)


def usable_venv() -> bool:
    """Tell whether .venv holds a Python with wheels and pip, made where it now lies."""
    configuration = VENV / 'pyvenv.cfg'
    if (STATE / 'unfinished').exists() or not configuration.exists() or not PYTHON.exists():
        return False
    program = f'import pip, sys; sys.exit(not {OLDEST} <= sys.version_info[:2] <= {NEWEST})'
    works = (
        subprocess.run([PYTHON, '-c', program], env=environment(), capture_output=True).returncode
        == 0
    )
    # The commands in bin/ begin with the path of the interpreter that they were made for.
    launcher = VENV / 'bin' / 'pip'
    return works and launcher.exists() and str(VENV) in launcher.read_text(errors='replace')[:1000]


def install_packages() -> None:
    """Install the pinned wheels."""
    # A process that is killed while pip copies files leaves packages that look installed and are
    # not; then .venv is made anew. An error of pip itself (no network, no such version) comes
    # before it copies anything.
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
    """Build the packages of msg/ into .venv itself, so that nothing needs to be sourced."""
    build = STATE / 'build'
    shutil.rmtree(build, ignore_errors=True)
    run(
        *(VENV / 'bin' / 'colcon', '--log-base', STATE / 'colcon', 'build', '--base-paths', 'msg'),
        *('--build-base', build, '--install-base', VENV, '--merge-install'),
        *('--cmake-args', f'-DPython3_EXECUTABLE={PYTHON}', '-DBUILD_TESTING=OFF'),
    )
    shutil.rmtree(build, ignore_errors=True)


def install_sast_ros() -> None:
    """Install both packages in place and compile their C extensions."""
    packages = [option for folder in PACKAGES for option in ('--editable', folder)]
    run(PYTHON, '-m', 'pip', 'install', '--no-deps', '--no-build-isolation', *packages)


def steps() -> list[Step]:
    """List the steps in order; each counts as changed when one before it ran."""
    message_files = [path for path in (REPOSITORY / 'msg').rglob('*') if path.is_file()]
    kernels = [
        path
        for folder in PACKAGES.values()
        for path in (REPOSITORY / folder / 'kernels').glob('*')
        if path.suffix in ('.c', '.h')
    ]
    # The version and the flags of the compiler are not inputs: a new compiler makes the same
    # extension.
    package_files = [
        REPOSITORY / folder / name
        for folder in PACKAGES
        for name in ('setup.py', 'setup.cfg', 'pyproject.toml', 'package.xml')
    ]
    network = 'Check that pip can reach its package index, then run the same command again.'
    return [
        Step(
            'virtual environment',
            [],
            str(VENV),
            make_venv,
            usable_venv,
            'Check that python3 -m venv works and that the disk is not full, then run the same '
            'command again.',
        ),
        Step(
            'ROS 2 Jazzy, torch and tools (pip)',
            [REPOSITORY / 'tools' / 'requirements.txt', REPOSITORY / 'constraints.txt'],
            '',
            install_packages,
            lambda: not (STATE / 'unfinished').exists(),
            network,
        ),
        Step(
            'CMake files of the wheels',
            [REPOSITORY / 'tools' / 'fix_cmake_paths.py'],
            '',
            fix_cmake_paths,
            lambda: True,
            'Run "make clean" and the same command again.',
        ),
        Step(
            'interface packages (colcon)',
            message_files,
            '',
            build_interfaces,
            lambda: all(
                (VENV / 'share' / path.parent.name).exists()
                for path in (REPOSITORY / 'msg').glob('*/package.xml')
            ),
            'If the log names a compiler or CMake error in a system tool, repair that tool; '
            'otherwise run "make clean" '
            'and the same command again.',
        ),
        Step(
            'sast_ros, sast_ros_training and their C extensions',
            [*package_files, *kernels],
            '',
            install_sast_ros,
            lambda: (
                (VENV / 'bin' / 'sast-ros').exists()
                and all(
                    any((REPOSITORY / folder / 'kernels').glob('_kernels*.so'))
                    for folder in PACKAGES.values()
                )
            ),
            'The log names the file and line that does not compile.',
        ),
    ]


def digest(step: Step, before: str) -> str:
    """Fingerprint of everything that decides whether ``step`` must run again."""
    fingerprint = hashlib.sha256(f'{before}\n{step.name}\n{step.facts}\n'.encode())
    for path in sorted(step.inputs):
        content = path.read_bytes()
        fingerprint.update(f'{path.relative_to(REPOSITORY)} {len(content)}\n'.encode())
        fingerprint.update(content)
    return fingerprint.hexdigest()


@contextmanager
def only_one() -> Iterator[None]:
    """Let a second set-up of the same tree wait for the first."""
    with Path(__file__).open() as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print('set-up: another set-up of this folder is running; waiting for it', flush=True)
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def log_tail(lines: int = 15) -> str:
    """Return the end of the log."""
    text = LOG.read_text(errors='replace') if LOG.exists() else ''
    return '\n'.join('    ' + line[:200] for line in text.splitlines()[-lines:])


def set_up() -> None:
    """Run the steps that have to run."""
    before = ''
    todo = steps()
    started = False
    for number, step in enumerate(todo, start=1):
        stamp = STATE / f'{number}.done'
        fingerprint = digest(step, before)
        before = fingerprint
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


def main() -> int:
    """Check the machine, then set up."""
    version = sys.version_info[:2]
    if not OLDEST <= version <= NEWEST:
        print(
            f'sast_ros needs Python 3.10 to 3.13, but {sys.executable} is '
            f'{version[0]}.{version[1]}; '
            'name another one, for example: make setup PYTHON=python3.12',
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
