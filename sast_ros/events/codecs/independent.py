# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Base of the encodings whose packets do not depend on each other."""

from __future__ import annotations

from abc import ABC, abstractmethod

from sast_ros.events import _native
from sast_ros.events._native import DecodedEvents, EventArrays
from sast_ros.events.chunk import EventFormatError


class IndependentPackets(ABC):
    """
    Codec without a state.

    Parameters
    ----------
    height, width : int
        Sensor size in pixels, 0 if unknown.

    """

    name: str
    word_size: int

    def __init__(self, height: int, width: int) -> None:
        self._height, self._width = height, width

    def reset(self) -> None:  # noqa: B027 - complete as it is
        """Do nothing."""

    def resynchronise(self, elapsed_us: int = 0) -> None:  # noqa: B027 - complete as it is
        """Do nothing."""

    def __call__(self, payload: bytes, time_base_ns: int = 0) -> DecodedEvents:
        """
        Decode one payload.

        Raises
        ------
        EventFormatError
            An incomplete word, or an event outside the sensor.

        """
        if len(payload) % self.word_size:
            raise EventFormatError(
                f'{self.name} payload of {len(payload)} bytes: words have {self.word_size} bytes; '
                'the packet was cut',
                field='events',
            )
        arrays, dropped = self._events(payload, len(payload) // self.word_size, time_base_ns)
        x, y, p, t = arrays
        outside = _native.find_outside(x, y, self._width, self._height)
        if outside:
            raise _native.outside_error(self.name, outside, x, y, self._width, self._height)
        return _native.settle(x, y, p, t, dropped=dropped)

    @abstractmethod
    def _events(self, payload: bytes, words: int, time_base_ns: int) -> tuple[EventArrays, int]:
        """Return x, y, p, t of the events in a payload and how many were dropped."""
