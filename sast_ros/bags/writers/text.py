# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Text with one event a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sast_ros.bags.writers.base import BATCH, BatchWriter
from sast_ros.kernels import library

#: Bytes of the longest line.
_LINE = 40


class TextWriter(BatchWriter):
    """
    Write ``.csv`` (separated by commas) or ``.txt`` (by blanks) with ``t_us x y p``.

    The first line is a comment with the size of the sensor. Times are whole microseconds. In
    ``.txt`` the names of the columns are a comment too.
    """

    name = 'text'

    def __init__(
        self, path: Path, sensor_size: tuple[int, int] | None, *, force: bool = False
    ) -> None:
        super().__init__(path, sensor_size, force=force)
        comma = path.suffix.lower() == '.csv'
        size = f'# width {self.width}, height {self.height}\n' if self.width else ''
        names = 't_us,x,y,p\n' if comma else '# t_us x y p\n'
        self._separator = ord(',' if comma else ' ')
        self._text = np.empty(_LINE * BATCH, np.uint8)
        self._stream.write((size + names).encode())

    def _append(self, x: np.ndarray, y: np.ndarray, p: np.ndarray, t: np.ndarray) -> None:
        text = self._text
        length = library.sast_text_lines(x, y, p, t, len(t), self._separator, text)
        self._stream.write(text[:length].data)
