# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Topics in an mcap file, described so that any reader of rosbag2 understands it."""

from __future__ import annotations

from collections.abc import Mapping
import copy
from dataclasses import dataclass, replace
import re
from typing import BinaryIO, Literal

from mcap.writer import Writer
from sast_ros.bags.definitions import message_types
from sast_ros.events.chunk import EventChunk

_CLOCK_KEY, _OFFSET_KEY = 'sast_ros_clock', 'sast_ros_time_offset_us'


@dataclass(frozen=True, slots=True)
class StreamClock:
    """
    How times of the events in messages relate to those of the recording that they come from.

    It is kept in the metadata of the channel, which other readers of mcap ignore: EVT 3.0 has 24
    bits of time, and an EventArray is in ROS time where the sensor has a clock of its own.

    Attributes
    ----------
    clock : {'sensor', 'ros'}
        ``EventChunk.clock`` of the recording.
    offset_us : int
        Microseconds to add to the times of the messages.

    """

    clock: Literal['sensor', 'ros']
    offset_us: int

    def apply(self, chunk: EventChunk) -> EventChunk:
        """Return the events with their times in the recording."""
        return replace(
            chunk,
            t=chunk.t + self.offset_us,
            epoch_us=chunk.epoch_us - self.offset_us,  # as who receives the messages
            clock=self.clock,
            checked=True,
        )

    def metadata(self) -> dict[str, str]:
        """Return the metadata of a channel."""
        return {_CLOCK_KEY: self.clock, _OFFSET_KEY: str(self.offset_us)}


def read_clock(metadata: Mapping[str, str]) -> StreamClock | None:
    """Return the clock in the metadata of a channel, ``None`` in all but those of McapTopic."""
    offset = metadata.get(_OFFSET_KEY, '')
    if re.fullmatch(r'-?[0-9]{1,18}', offset) is None:
        return None
    return StreamClock('ros' if metadata.get(_CLOCK_KEY) == 'ros' else 'sensor', int(offset))


class LogClock:
    """
    Times of receipt in a file, by which readers sort: they continue where time jumps back.

    None is before 1970, because mcap has no such time.
    """

    def __init__(self) -> None:
        self._last_ns = self._shift_ns = 0

    def is_behind(self, time_ns: int) -> bool:
        """Return whether a time is before the last one."""
        return time_ns + self._shift_ns < self._last_ns

    def restart(self, begin_ns: int) -> None:
        """Begin a new stream, at the last time at the earliest."""
        self._shift_ns += max(0, self._last_ns - begin_ns - self._shift_ns)

    def advance(self, time_ns: int) -> int:
        """Return the time of receipt of the next message."""
        self._last_ns = max(self._last_ns, time_ns + self._shift_ns)
        return self._last_ns


class McapTopic:
    """
    Write the messages of one topic.

    Parameters
    ----------
    stream : BinaryIO
        Output; it stays open.
    topic : str
        Name of the topic.
    type_name : str
        Message type in ROS 2 spelling, one of ``message_types``.
    clock : StreamClock, optional
        Clock of the events in the messages.

    """

    def __init__(
        self, stream: BinaryIO, topic: str, type_name: str, clock: StreamClock | None = None
    ) -> None:
        self._writer = Writer(stream)
        self._writer.start(profile='ros2', library='sast_ros')
        self._begin(topic, type_name, clock)

    def beside(self, topic: str, type_name: str) -> McapTopic:
        """Return another topic of the same file, which ``finish`` of this one completes."""
        other = copy.copy(self)
        other._begin(topic, type_name, None)
        return other

    def _begin(self, topic: str, type_name: str, clock: StreamClock | None) -> None:
        self._count = 0
        types = message_types()
        definition, _ = types.generate_msgdef(type_name, ros_version=2)
        schema = self._writer.register_schema(type_name, 'ros2msg', definition.encode())
        metadata = {'offered_qos_profiles': '', 'topic_type_hash': types.hash_rihs01(type_name)}
        metadata |= clock.metadata() if clock else {}
        self._channel = self._writer.register_channel(topic, 'cdr', schema, metadata)

    def write(self, message: bytes, time_ns: int) -> None:
        """Append a serialised message, logged and published at that time, numbered in order."""
        self._writer.add_message(self._channel, time_ns, message, time_ns, self._count)
        self._count += 1

    def finish(self) -> None:
        """Complete the file."""
        self._writer.finish()
