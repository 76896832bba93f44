# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Headers of ``.npy`` files, before NumPy believes them."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np


def check_npy_header(file: BinaryIO, size: int) -> tuple[int, int]:
    """
    Return the version of a ``.npy`` file, and leave the file behind it.

    NumPy allocates the length of the header that a file of version 2 or 3 states.

    Parameters
    ----------
    file : BinaryIO
        At its beginning; must be seekable.
    size : int
        Bytes of the file.

    Raises
    ------
    ValueError
        No ``.npy`` file, or the header would be longer than the file.

    """
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        length = int.from_bytes(file.read(4), 'little')
        if length > size:
            raise ValueError(f'a header of {length} bytes')
        file.seek(-4, 1)
    return version
