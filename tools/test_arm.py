# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Run tests on aarch64: ``python3 tools/test_arm.py test/events test/test_windows.py``.

On x86-64 Debian or Ubuntu, qemu emulates a Cortex-A76 in user mode; on aarch64 itself nothing is
emulated. All is below .arm: Debian's Python, torch and the other wheels (about 1 GB, installed
once), and a copy of this repository, in which ``setup.py`` compiles both packages. The emulated
interpreter starts the native cross-compiler, so sources and flags are those of every other build.

ARM_SOURCES names a file with sources of apt for arm64 where those of the system have none: Ubuntu
has other servers for it than for x86-64. SAST_ROS_SHARED works as for ``make test``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
import hashlib
import os
from pathlib import Path
import platform
import shutil
import subprocess
import sys

REPOSITORY = Path(__file__).resolve().parent.parent
ARM = REPOSITORY / '.arm'
ROOT, SITE, TREE, LOG = ARM / 'root', ARM / 'site', ARM / 'tree', ARM / 'log.txt'

#: Without the scalable vectors of qemu's default, for which it raises false floating-point flags.
PROCESSOR = 'cortex-a76'
#: Its identity, revision r4p1, as Linux has it: without it oneDNN writes to standard error.
IDENTITY = ('sys/devices/system/cpu/cpu0/regs/identification/midr_el1', '0x00000000414fd0b1\n')

# Tools, and the packages of Debian and Ubuntu that have them.
EMULATOR = {
    'qemu-aarch64-static': 'qemu-user-static',
    'aarch64-linux-gnu-gcc': 'gcc-aarch64-linux-gnu libc6-dev-arm64-cross',
    'apt-get': 'apt',
    'dpkg': 'dpkg',
}
NATIVE = {'gcc': 'gcc libc6-dev', 'pip3': 'python3-pip'}

DEBIAN_PACKAGES = ('libgomp1', 'libstdc++6', 'python3', 'python3-pip')
WHEELS = (
    *('av', 'h5py', 'hdf5plugin', 'hypothesis', 'lz4', 'mcap', 'numpy', 'pillow', 'pytest'),
    *('pyyaml', 'rich', 'rosbags', 'safetensors', 'setuptools', 'torch', 'zstandard'),
)
VERSIONS = (REPOSITORY / 'constraints.txt', REPOSITORY / 'tools' / 'requirements.txt')

# Of the working tree, what nothing is built from.
UNUSED = {'__pycache__', 'build', 'install', 'log', 'out'}


class ArmError(Exception):
    """What cannot be done, and what to do."""


def missing_tools(emulated: bool) -> list[str]:
    """Return the packages of Debian and Ubuntu that have the tools that are missing."""
    tools = EMULATOR if emulated else NATIVE
    return [packages for tool, packages in tools.items() if shutil.which(tool) is None]


def environment() -> dict[str, str]:
    """Return the environment of the interpreter: the copy and the wheels, nothing else."""
    foreign = ('PYTHON', 'AMENT_', 'ROS_', 'LD_', 'PIP_TARGET', 'PIP_PREFIX', 'PIP_USER')
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {
        **kept,
        'PIP_DISABLE_PIP_VERSION_CHECK': '1',
        'PIP_ROOT_USER_ACTION': 'ignore',
        'PYTHONNOUSERSITE': '1',
        'PYTHONPATH': os.pathsep.join(map(str, (TREE, TREE / 'training', SITE))),
        'PYTHONPYCACHEPREFIX': str(ARM / 'pycache'),
    }


def run(*command: str | Path, folder: Path = REPOSITORY) -> None:
    """Run a command with its output in the log."""
    with LOG.open('a') as log:
        log.write(f'\n$ {" ".join(map(str, command))}\n')
        log.flush()
        result = subprocess.run(
            list(map(str, command)),
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    if result.returncode:
        tail = '\n'.join(LOG.read_text(errors='replace').splitlines()[-15:])
        raise ArmError(f'{tail}\n{Path(command[0]).name} ended with {result.returncode}')


def once(name: str, title: str, inputs: Iterable[Path], action: Callable[[], None]) -> None:
    """Do what has not been done with these inputs yet."""
    fingerprint = hashlib.sha256(f'{ARM} {DEBIAN_PACKAGES} {IDENTITY} {WHEELS}\n'.encode())
    for path in sorted(inputs):
        fingerprint.update(path.name.encode() + path.read_bytes())
    stamp = ARM / f'{name}.done'
    if stamp.exists() and stamp.read_text() == fingerprint.hexdigest():
        return
    stamp.unlink(missing_ok=True)
    print(f'test-arm: {title} ...', flush=True)
    action()
    stamp.write_text(fingerprint.hexdigest())


def install_python() -> None:
    """Unpack Debian's Python for arm64 into ROOT, beside the package manager of this machine."""
    shutil.rmtree(ROOT, ignore_errors=True)
    state, cache = ARM / 'apt', ARM / 'apt' / 'cache'
    for folder in (state / 'lists' / 'partial', cache / 'archives' / 'partial', state / 'dpkg'):
        folder.mkdir(parents=True, exist_ok=True)
    status = state / 'dpkg' / 'status'
    status.touch()
    options = {
        'APT::Architecture': 'arm64',
        'APT::Architectures': 'arm64',
        'APT::Install-Recommends': '0',
        'APT::Sandbox::User': 'root',
        'Debug::NoLocking': '1',
        'Dir::Cache': cache,
        'Dir::State': state,
        'Dir::State::status': status,
    }
    if sources := os.environ.get('ARM_SOURCES'):
        options |= {'Dir::Etc::SourceList': Path(sources).resolve(), 'Dir::Etc::SourceParts': '-'}
    apt = ['apt-get', '-q', *(f'-o{name}={value}' for name, value in options.items())]
    try:
        run(*apt, 'update')
        run(*apt, 'install', '--yes', '--download-only', *DEBIAN_PACKAGES)
    except ArmError as error:
        raise ArmError(
            f'{error}: apt found no packages for arm64; name a file with sources that have them '
            '(on Ubuntu those of its ports): make test-arm ARM_SOURCES=FILE'
        ) from None
    for name in ('bin', 'lib', 'sbin'):  # as the package base-files has it
        (ROOT / 'usr' / name).mkdir(parents=True)
        (ROOT / name).symlink_to(f'usr/{name}')
    for package in sorted((cache / 'archives').glob('*.deb')):
        run('dpkg', '--extract', package, ROOT)
    identity = ROOT / IDENTITY[0]
    identity.parent.mkdir(parents=True)
    identity.write_text(IDENTITY[1])
    shutil.rmtree(cache)


def write_launcher() -> Path:
    """
    Return a program that is the emulated interpreter.

    The interpreter takes it for itself (``-0``), so that processes that tests start by
    ``sys.executable`` are emulated as well.
    """
    launcher = ARM / 'python3'
    launcher.write_text(
        '#!/bin/sh\n'
        f"exec env 'PYTHONHOME={ROOT}/usr' qemu-aarch64-static -cpu ${{ARM_CPU:-{PROCESSOR}}} "
        f"-L '{ROOT}' -0 '{launcher}' '{ROOT}/usr/bin/python3' \"$@\"\n"
    )
    launcher.chmod(0o755)
    return launcher


def install_wheels(python: Path) -> None:
    """Install the wheels of the pinned versions by the interpreter that they are for."""
    shutil.rmtree(SITE, ignore_errors=True)
    constraints = [word for path in VERSIONS for word in ('--constraint', path)]
    only_wheels = ('--only-binary', ':all:', '--no-compile', '--target', SITE)
    run(python, '-m', 'pip', 'install', *only_wheels, *constraints, *WHEELS)


def sources() -> Iterator[Path]:
    """Yield the files of the working tree that packages and tests consist of."""
    for folder, folders, files in os.walk(REPOSITORY):
        folders[:] = [name for name in folders if name not in UNUSED and not name.startswith('.')]
        for name in files:
            if not name.endswith(('.so', '.pyc')):
                yield Path(folder, name)


def copy_tree() -> None:
    """Bring the copy of the repository up to date."""
    copies = set()
    for path in sources():
        target = TREE / path.relative_to(REPOSITORY)
        copies.add(target)
        state = path.stat()
        if target.exists():
            copied = target.stat()
            if (copied.st_size, copied.st_mtime_ns) == (state.st_size, state.st_mtime_ns):
                continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    for path in TREE.rglob('*'):
        unknown = path.is_file() and path not in copies and path.suffix != '.so'
        if unknown and 'build' not in path.relative_to(TREE).parts:
            path.unlink()


def build(python: Path) -> None:
    """Compile the extensions of both packages in the copy."""
    for folder in (TREE, TREE / 'training'):
        run(python, 'setup.py', 'build_ext', '--inplace', '--force', folder=folder)


def test(python: Path, tests: list[str]) -> int:
    """Run pytest in the copy and return its exit code."""
    program = (
        'import importlib.metadata, platform; '
        'print("test-arm:", platform.machine(), "Python", platform.python_version(), "torch", '
        'importlib.metadata.version("torch"), flush=True)'
    )
    subprocess.run([python, '-c', program], env=environment(), check=True)
    command = [python, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', *tests]
    return subprocess.run(command, cwd=TREE, env=environment()).returncode


def main(tests: list[str]) -> int:
    """Install what is missing, build and test."""
    emulated = platform.machine() != 'aarch64'
    if missing := missing_tools(emulated):
        print(f'test-arm needs: apt install {" ".join(missing)}', file=sys.stderr)
        return 1
    ARM.mkdir(exist_ok=True)
    LOG.unlink(missing_ok=True)
    os.environ.setdefault('SAST_ROS_SHARED', str(ARM / 'shared'))
    try:
        python = Path(sys.executable)
        if emulated:
            once('python', 'Python for aarch64 (apt)', [], install_python)
            python = write_launcher()
        once('wheels', 'torch and other wheels (pip)', VERSIONS, lambda: install_wheels(python))
        copy_tree()
        compiled = [path for path in sources() if path.suffix in ('.c', '.h')]
        setups = [REPOSITORY / 'setup.py', REPOSITORY / 'training' / 'setup.py']
        inputs = [*compiled, *setups]
        once('kernels', 'compiled loops (setup.py)', inputs, lambda: build(python))
    except ArmError as error:
        print(f'test-arm: {error}', file=sys.stderr)
        return 1
    return test(python, tests)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
