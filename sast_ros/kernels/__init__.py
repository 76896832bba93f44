"""
Compiled inner loops (C), loaded with ctypes so that every call releases the interpreter lock.

The shared library is an ordinary setuptools extension: ``colcon build``, ``pip install`` and the
Makefile build it from the ``*.c`` files of this folder. Only pointers to contiguous numpy arrays
and plain integers cross the border; every function bounds-checks its input and reports the first
offending position instead of reading or writing out of range.
"""

from __future__ import annotations

import ctypes
from importlib import machinery
from pathlib import Path

import numpy as np
from sast_ros.errors import MissingPackageError


def load_library(folder: Path) -> ctypes.CDLL:
    """Load the extension ``_kernels`` of a package from its folder."""
    for suffix in machinery.EXTENSION_SUFFIXES:
        library = folder / f'_kernels{suffix}'
        if library.exists():
            return ctypes.CDLL(str(library))
    raise MissingPackageError(
        f'the compiled part of {folder.parent.name} is missing: no _kernels extension in '
        f'{folder}; build it with "make setup", "pip install ." or "colcon build"'
    )


library = load_library(Path(__file__).parent)


def pointer(array: np.ndarray) -> int:
    """Address of the first element of a C-contiguous array, for a ``ctypes.c_void_p``."""
    if not array.flags.c_contiguous:
        raise ValueError('a kernel was given an array that is not C-contiguous')
    return array.ctypes.data
