# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What every filter of events is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from sast_ros.errors import SettingError
from sast_ros.events._native import EventArrays
from sast_ros.events.chunk import EventFormatError
from sast_ros.kernels import library


class FilterSizeError(EventFormatError, SettingError):
    """
    A filter does not fit the size of the sensor.

    It cannot be known which of both is wrong: the setting, or a size that a message states. Who
    reads messages counts it as a message that is left out.
    """


class EventFilter(ABC):
    """
    One filter with its state.

    Attributes
    ----------
    form : str
        How it is written.
    reason : str
        Name under which the events that it removes are counted; empty if it removes none.
    text : str
        The filter as the user wrote it.

    """

    form: ClassVar[str]
    reason: ClassVar[str] = ''

    def __init__(self, text: str) -> None:
        self.text = text

    @property
    def identity(self) -> str:
        """The filter as a text that is the same if and only if it does the same."""
        return self.text

    def check(self, height: int, width: int) -> None:  # noqa: B027 - most fit every sensor
        """
        Check that the filter fits a sensor of this size.

        Raises
        ------
        FilterSizeError
            It does not.

        """

    @abstractmethod
    def begin(self, height: int, width: int) -> None:
        """Begin a stream of a sensor of this size, which was checked."""

    @abstractmethod
    def __call__(self, events: EventArrays) -> EventArrays:
        """Return the events to keep; there are any, and all are inside the sensor."""


def compact(events: EventArrays, keep: np.ndarray, kept: int) -> EventArrays:
    """Return the events with ``keep`` 1; the arrays themselves if these are all."""
    count = len(keep)
    if kept == count:
        return events
    # Not empty_events: that limits messages, and a chunk may be a whole recording
    x, y, p, t = (np.empty(kept + 1, values.dtype) for values in events)
    library.sast_compact(*events, keep, count, x, y, p, t)
    return x[:kept], y[:kept], p[:kept], t[:kept]
