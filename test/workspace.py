# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Build this repository with colcon, as on a ROS installation."""

from __future__ import annotations

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
    Build a package below ``folder`` and return its installation prefix.

    Skip where there is no colcon.
    """
    pytest.importorskip('colcon_core', reason='colcon is not installed')
    result = subprocess.run(
        [
            *(sys.executable, '-m', 'colcon', '--log-base', str(folder / 'log'), 'build'),
            *('--base-paths', str(REPOSITORY), str(REPOSITORY / 'training')),
            *('--packages-up-to', package),
            *(
                '--build-base',
                str(folder / 'build'),
                '--install-base',
                str(folder / 'install'),
                *options,
            ),
        ],
        cwd=folder,
        env=without_coverage(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / 'install' / package
