# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Prophesee files: .raw in EVT 3.0, and .dat."""

from __future__ import annotations

from pathlib import Path
import shutil
import tempfile

import numpy as np
from sast_ros.bags.writers.base import BatchWriter
from sast_ros.errors import SettingError
from sast_ros.events import EventChunk
from sast_ros.events.encoders import encode_evt3, EVT3_MAX_SIDE, EVT3_PERIOD_US
from sast_ros.events.prophesee_header import clock_line

_DAT_PERIOD_US = 1 << 32

#: A time of DAT that is further from the last one is not believed at once (kernels/bytes.h).
_MAX_DAT_STEP_US = _DAT_PERIOD_US // 16

#: Jumps of the clock that fit in the header of a file.
_MAX_JUMPS = 1000


class RawWriter(BatchWriter):
    """
    Write ``.raw`` in EVT 3.0.

    Its clock has 24 bits. Where the first event comes later, the header has its time in a line
    that only ``sast_ros`` reads (``prophesee_header.CLOCK_FIELD``); other readers begin in the
    first 16.8 s. Jumps of time are encoded as steps of TIME_HIGH.
    """

    name = 'EVT 3.0'
    max_side = EVT3_MAX_SIDE

    _previous_us: int | None = None

    def _append(self, x: np.ndarray, y: np.ndarray, p: np.ndarray, t: np.ndarray) -> None:
        if self._previous_us is None:
            self._begin(int(t[0]))
        self._stream.write(encode_evt3(EventChunk(x, y, p, t, checked=True), self._previous_us))
        self._previous_us = int(t[-1])

    def _finish(self) -> None:
        super()._finish()
        if self._previous_us is None:
            self._begin(0)

    def _begin(self, first_us: int) -> None:
        size = f';height={self.height};width={self.width}' if self.width else ''
        geometry = f'% geometry {self.width}x{self.height}\n' if self.width else ''
        clock = '' if 0 <= first_us < EVT3_PERIOD_US else clock_line([(0, first_us)])
        self._stream.write(f'% evt 3.0\n% format EVT3{size}\n{geometry}{clock}% end\n'.encode())


class DatWriter(BatchWriter):
    """
    Write ``.dat``, version 2.

    Its clock has 32 bits (71.6 minutes). Where the first event comes later, and where time jumps
    by a sixteenth of that or more, the header has number and time of the event in a line that only
    ``sast_ros`` reads (``prophesee_header.CLOCK_FIELD``).
    """

    name = 'DAT'
    max_side = 1 << 14

    def __init__(
        self, path: Path, sensor_size: tuple[int, int] | None, *, force: bool = False
    ) -> None:
        super().__init__(path, sensor_size, force=force)
        self._points: list[tuple[int, int]] = []
        self._written = 0
        self._previous_us: int | None = None

    def _append(self, x: np.ndarray, y: np.ndarray, p: np.ndarray, t: np.ndarray) -> None:
        if self._previous_us is None:
            self._previous_us = int(t[0])
            if not 0 <= t[0] < _DAT_PERIOD_US:
                self._points.append((0, self._previous_us))
            self._begin()
        steps = np.diff(t, prepend=self._previous_us)
        far = np.flatnonzero(np.abs(steps) >= _MAX_DAT_STEP_US)
        self._points += [(self._written + index, int(t[index])) for index in far.tolist()]
        if len(self._points) > _MAX_JUMPS:
            raise SettingError(
                f'{self.path}: time jumps by more than four minutes more than {_MAX_JUMPS} times, '
                'which DAT cannot hold; choose another format'
            )
        words = np.empty((len(t), 2), '<u4')
        words[:, 0] = t & (_DAT_PERIOD_US - 1)
        words[:, 1] = x | y.astype(np.uint32) << 14 | p.astype(np.uint32) << 28
        self._stream.write(words.tobytes())
        self._written += len(t)
        self._previous_us = int(t[-1])

    def _finish(self) -> None:
        super()._finish()
        if self._previous_us is None:
            self._begin()
        elif len(self._points) > self._points_in_header:
            # The jumps are known now: the file is written anew behind its new header
            with tempfile.TemporaryFile(dir=self.path.parent) as body:
                self._stream.seek(self._body)
                shutil.copyfileobj(self._stream, body)
                body.seek(0)
                self._stream.seek(0)
                self._stream.truncate()
                self._begin()
                shutil.copyfileobj(body, self._stream)

    def _begin(self) -> None:
        size = f'% Width {self.width}\n% Height {self.height}\n' if self.width else ''
        header = f'% Data file of CD events\n% Version 2\n{size}{clock_line(self._points)}% end\n'
        self._stream.write(header.encode() + bytes((0x0C, 8)))  # CD events of 8 bytes
        self._body, self._points_in_header = self._stream.tell(), len(self._points)
