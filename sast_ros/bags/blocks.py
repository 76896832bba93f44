# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Recordings without messages: blocks of events in the order of the file."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
from sast_ros.bags.errors import RecordingError, system_problem
from sast_ros.bags.recording import Recording
from sast_ros.events import EventChunk, EventFormatError
from sast_ros.events._native import DecodedEvents, INVALID_POLARITY, pixels
from sast_ros.events.chunk import refuse_sensor_size
from sast_ros.events.order import in_order, sort_blocks

#: Columns x, y, p, t of some events.
Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class BlockRecording(Recording):
    """Events of one camera in a file without messages."""

    @abstractmethod
    def _blocks(self) -> Iterator[Columns]:
        """
        Yield columns x, y, p, t of equal length, in the order of the file.

        x, y and p may have any integer type, p is 0 or 1, t is ``int64`` microseconds. The values
        need not be valid or sorted.

        Raises
        ------
        RecordingError
            The file is damaged, after all events before the damage.

        """

    def __iter__(self) -> Iterator[EventChunk]:
        """Yield the events in the order of time, without strays."""
        height, width = self.given_size or self.sensor_size or (0, 0)
        reason = refuse_sensor_size(height, width) if height or width else ''
        if reason:
            raise RecordingError(
                f'{self.path} states a sensor of {str(width)[:9]}x{str(height)[:9]} pixels, but '
                f'{reason}; correct the file or copy it again'
            )
        blocks = (_decoded(*columns) for columns in self._blocks())
        try:
            yield from in_order(sort_blocks(blocks, width, height, str(self.path)))
        except EventFormatError as error:
            raise RecordingError(str(error)) from error
        except OSError as error:
            reason = system_problem(error) or f'it cannot be read ({error}); copy it again'
            raise RecordingError(f'{self.path}: {reason}') from error


def _decoded(x: np.ndarray, y: np.ndarray, p: np.ndarray, t: np.ndarray) -> DecodedEvents:
    if p.dtype in (np.bool_, np.uint8):  # above 1 is invalid already
        polarity = p.astype(np.uint8)
    else:
        polarity = np.where((p == 0) | (p == 1), p, INVALID_POLARITY).astype(np.uint8)
    return DecodedEvents(pixels(x), pixels(y), polarity, np.array(t, np.int64))
