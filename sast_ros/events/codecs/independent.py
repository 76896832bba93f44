# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Base of the encodings whose packets do not depend on each other."""

from __future__ import annotations

from abc import ABC, abstractmethod

from sast_ros.events._native import DecodedEvents
from sast_ros.events.chunk import EventFormatError


class IndependentPackets(ABC):
    """Codec without a state."""

    name: str
    word_size: int
    period_us = 0  # no roll-over: every packet has its base

    def reset(self) -> None:  # noqa: B027 - complete as it is
        """Do nothing."""

    def resynchronise(self, elapsed_us: int = 0) -> None:  # noqa: B027 - complete as it is
        """Do nothing."""

    def __call__(
        self, payload: bytes, time_base_ns: int = 0, size: tuple[int, int] | None = None
    ) -> DecodedEvents:
        """
        Decode one payload.

        Raises
        ------
        EventFormatError
            An incomplete word, or one that the encoding does not have.

        """
        if len(payload) % self.word_size:
            raise EventFormatError(
                f'{self.name} payload of {len(payload)} bytes: words have {self.word_size} bytes; '
                'the packet was cut',
                field='events',
            )
        return self._events(payload, len(payload) // self.word_size, time_base_ns)

    @abstractmethod
    def _events(self, payload: bytes, words: int, time_base_ns: int) -> DecodedEvents:
        """Return the events in a payload."""
