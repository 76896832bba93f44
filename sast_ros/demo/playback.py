# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A recording as it is played: its messages, stamped anew, and how much they hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from sast_ros.bags import Recording, RecordingError
from sast_ros.defaults import WINDOW_MS
from sast_ros.events import EventChunk, EventFormatError, open_decoder
from sast_ros.events.shift import shift_time
from sast_ros.windows import WindowCutter

#: Duration and stride of the windows of the node.
WINDOW_US = round(1000 * WINDOW_MS)


@dataclass(frozen=True)
class Content:
    """What a node should receive of a recording and make of it; times as in the recording."""

    messages: int
    events: int
    windows: int
    start_us: int
    end_us: int

    @property
    def seconds(self) -> float:
        """Time from the first to the last event."""
        return (self.end_us - self.start_us) / 1e6


@dataclass(frozen=True)
class Playback:
    """
    A recording, or its first part, that is played.

    Attributes
    ----------
    recording : Recording
        The recording.
    seconds : float or None
        Messages from this time after the first one on are left out; ``None`` plays all.

    """

    recording: Recording
    seconds: float | None = None

    def messages(self, shift_ns: int = 0) -> Iterator[tuple[int, bytes]]:
        """
        Yield time in nanoseconds and serialised message, both moved by ``shift_ns``.

        The time is that at which the message was received, on the clock of its stamp.
        """
        recording, end_ns = self.recording, None
        for logged_ns, raw in recording.messages():
            if end_ns is None and self.seconds is not None:
                end_ns = logged_ns + round(1e9 * self.seconds)
            if end_ns is not None and logged_ns >= end_ns:
                return
            moved = shift_time(raw, recording.message_type, shift_ns)
            yield logged_ns - recording.log_offset_ns + shift_ns, moved

    def chunks(self, shift_ns: int = 0) -> Iterator[EventChunk]:
        """Yield the events of every message, as the node decodes them."""
        decode = open_decoder(self.recording.message_type)
        count = 0
        try:
            for _, raw in self.messages(shift_ns):
                yield decode(raw)
                count += 1
        except EventFormatError as error:
            raise RecordingError(
                f'{self.recording.path}: message {count} is damaged: {error}'
            ) from error

    @cached_property
    def content(self) -> Content:
        """How much there is; RecordingError where the recording is damaged or empty."""
        cutter = WindowCutter(WINDOW_US, WINDOW_US)
        messages, first, last = 0, None, 0
        for chunk in self.chunks():
            messages += 1
            if len(chunk):
                first, last = int(chunk.t[0]) if first is None else first, int(chunk.t[-1])
            for _ in cutter.cut(chunk):
                pass
        if first is None:
            raise RecordingError(f'{self.recording.path} holds no events that can be played')
        counts = cutter.statistics
        # Messages made of other formats count time with the 24 bits of EVT 3.0
        start = next(int(chunk.t[0]) for chunk in self.recording if len(chunk))
        return Content(messages, counts.events, counts.windows, start, start + last - first)
