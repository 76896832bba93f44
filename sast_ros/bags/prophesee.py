# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Prophesee files, .raw (EVT 2.0, 2.1, 3.0) and .dat, as recordings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sast_ros.bags.errors import RecordingError, system_problem
from sast_ros.bags.recording import Recording
from sast_ros.events import EventChunk, EventFormatError, open_prophesee_file, TruncatedFileError

PROPHESEE_SUFFIXES = ('.raw', '.dat')


class PropheseeRecording(Recording):
    """
    Events of a Prophesee ``.raw`` or ``.dat`` file; time is the camera's own clock.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    RecordingError
        The header is incomplete, or the file is of another kind.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.format = f'prophesee-{path.suffix[1:].lower()}'
        try:
            self._file = open_prophesee_file(path)
        except (EventFormatError, OSError) as error:
            raise _damaged(path, error) from error
        self._stated = (self._file.height, self._file.width)
        self.type = self._file.encoding
        self.byte_size = path.stat().st_size
        self.progress = (0, self.byte_size, 'bytes')

    @property
    def sensor_size(self) -> tuple[int, int] | None:
        """Sensor size as ``(height, width)`` from the header of the file."""
        return self._stated if all(self._stated) else None

    def __iter__(self) -> Iterator[EventChunk]:
        """Yield the events in runs of bounded size."""
        self.progress = (0, self.byte_size, 'bytes')
        self._file.height, self._file.width = self.given_size or self._stated
        try:
            for chunk in self._file:
                self.progress = (self._file.position, self.byte_size, 'bytes')
                yield chunk
        except TruncatedFileError:
            self.missing = f'{self.path.name} is truncated: its last event is incomplete'
        except (EventFormatError, OSError) as error:
            raise _damaged(self.path, error) from error


def _damaged(path: Path, error: Exception) -> RecordingError:
    if problem := system_problem(error):
        return RecordingError(f'{path}: {problem}')
    reason = str(error).removeprefix(f'{path}: ')
    return RecordingError(
        f'{path} cannot be read: {reason}; copy it again, or name another recording'
    )
