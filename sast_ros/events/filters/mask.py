# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Pictures that say which pixels count."""

from __future__ import annotations

import os
from pathlib import Path
import tokenize

import numpy as np
from sast_ros.errors import SettingError
from sast_ros.events.chunk import refuse_sensor_size
from sast_ros.npy import check_npy_header

#: What NumPy and Pillow raise for damaged files.
_DAMAGE = (
    *(OSError, ValueError, SyntaxError, EOFError, OverflowError, tokenize.TokenError),
    *(MemoryError, RecursionError),  # of headers that are nested deeply
)


def read_mask(path: str | os.PathLike) -> np.ndarray:
    """
    Return uint8[height, width] of a PNG, PBM, PGM, PPM or .npy picture: 1 unless it is black.

    Pixels that are entirely transparent count as black; NaN counts as not black.

    Raises
    ------
    SettingError
        There is no such picture, or it is damaged or has no usable size.

    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for its writer
            raise ValueError('it is no file')
        values = _read_array(path) if path.suffix.lower() == '.npy' else _read_picture(path)
    except _DAMAGE as error:
        text = getattr(error, 'strerror', None) or str(error) or type(error).__name__
        reason = ' '.join(text.split())
        raise SettingError(
            f'mask {path} cannot be read as a PNG, PGM or .npy picture: {reason}'
        ) from error
    return np.ascontiguousarray(values, np.uint8)


def _read_array(path: Path) -> np.ndarray:
    with path.open('rb') as file:
        check_npy_header(file, path.stat().st_size)
    # Mapped, since a damaged header may name any size
    values = np.lib.format.open_memmap(path, mode='r')
    if values.ndim != 2 or values.dtype.kind not in 'biuf':
        raise ValueError('it is not one array of numbers with two dimensions')
    _check_size(*values.shape[::-1])
    return values != 0


def _read_picture(path: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path, formats=('PNG', 'PPM')) as image:
            _check_size(*image.size)
            if image.mode.startswith(('I', 'F')):  # conversion would cut off the lower byte
                return np.asarray(image) != 0
            pixels = np.asarray(image.convert('RGBA'))
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
    return (pixels[..., :3] != 0).any(axis=2) & (pixels[..., 3] != 0)


def _check_size(width: int, height: int) -> None:
    reason = refuse_sensor_size(height, width)
    if reason:
        raise ValueError(f'it has {width}x{height} pixels; {reason}')
