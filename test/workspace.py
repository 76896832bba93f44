# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Build this repository with colcon, as on a ROS installation."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
import subprocess
import sys

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def without_coverage() -> dict[str, str]:
    """
    Return the environment for processes that run no line of this repository's packages.

    They run an installed copy, or linters.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith('COV')}


def colcon_build(folder: Path, *options: str, package: str = 'sast_ros') -> Path:
    """
    Build a package, install it below ``folder``, a temporary one of pytest, and return its prefix.

    The compiled loops are those of the first build of the session, whichever test and process made
    it. Skip where there is no colcon.
    """
    pytest.importorskip('colcon_core', reason='colcon is not installed')
    session = next(path for path in folder.parents if not path.name.startswith('popen-'))
    build = session / 'colcon_build'
    build.mkdir(exist_ok=True)
    with (build / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Else colcon takes this installation for another of the same place, and --symlink-install
        # removes what is not there
        for installed in build.glob('*/install.log'):
            installed.unlink()
        result = subprocess.run(
            [
                *(sys.executable, '-m', 'colcon', '--log-base', str(folder / 'log'), 'build'),
                *('--base-paths', str(REPOSITORY), str(REPOSITORY / 'training')),
                *('--packages-up-to', package, '--build-base', str(build)),
                *('--install-base', str(folder / 'install'), *options),
            ],
            cwd=folder,
            env=without_coverage(),
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / 'install' / package
