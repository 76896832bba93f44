# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Point the CMake export files of the ROS wheels at this machine's Python and numpy headers.

The ``*_rosidl_generator_pyExport.cmake`` files contain folders of the machine on which the wheels
were built, such as ``/opt/python/cp311-cp311/include/python3.11``. CMake refuses to build a
message package against folders that do not exist. The files are rewritten in place; a second run
changes nothing.
"""

from __future__ import annotations

from pathlib import Path
import re
import sys
import sysconfig

# The wheels are built in the manylinux container with its interpreters /opt/python/<tag>-<abi>.
BUILD_MACHINE_PYTHON = re.compile(r'/opt/python/[\w-]+/include/python3[\w.]*')
BUILD_MACHINE_NUMPY = re.compile(
    r'/opt/python/[\w-]+/lib/python3[\w.]*/site-packages/numpy/_?core/include'
)


def fix(prefix: Path, python_include: str, numpy_include: str) -> list[Path]:
    """Rewrite the export files below ``prefix/share`` and return those that changed."""
    changed = []
    for path in sorted(prefix.glob('share/*/cmake/*.cmake')):
        text = path.read_text()
        fixed = BUILD_MACHINE_NUMPY.sub(lambda _: numpy_include, text)
        fixed = BUILD_MACHINE_PYTHON.sub(lambda _: python_include, fixed)
        if fixed != text:
            path.write_text(fixed)
            changed.append(path)
    return changed


def main() -> None:
    """Fix the files below the prefix of this interpreter."""
    import numpy

    changed = fix(Path(sys.prefix), sysconfig.get_path('include'), numpy.get_include())
    for path in changed:
        print(f'fixed {path}')
    print(f'{len(changed)} CMake files fixed')


if __name__ == '__main__':
    main()
