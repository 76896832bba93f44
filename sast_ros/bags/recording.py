# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The interface of every recording, whatever its file format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sast_ros.bags.errors import RecordingError
from sast_ros.bags.interval import iter_interval
from sast_ros.events import EventChunk
from sast_ros.events.encoders import cut_packets, EventPacketEncoder

#: ``header.frame_id`` of messages that are made of events without one.
FRAME_ID = 'event_camera'


@dataclass(frozen=True, slots=True)
class EventTopic:
    """
    A topic of a recording that carries events.

    Attributes
    ----------
    name : str
        Topic name, for example ``'/event_camera/events'``.
    type : str
        Message type in ROS 2 spelling, for example ``'event_camera_msgs/msg/EventPacket'``.
    message_count : int
        Number of messages on the topic.

    """

    name: str
    type: str  # noqa: A003 - a field of the public interface
    message_count: int


class Recording(ABC):
    """
    Events of one camera in a file.

    Iterating yields them as ``EventChunk`` in the order of their arrival, from the start each
    time. Memory does not grow with the length of the recording. A recording is a context manager;
    leaving it closes the files.

    Attributes
    ----------
    path : Path
        The file or folder that was opened.
    format : str
        ``'rosbag2'``, ``'rosbag1'``, ``'prophesee-raw'``, ``'prophesee-dat'``, ``'aedat4'``,
        ``'es'``, ``'hdf5'``, ``'text'``, ``'npy'`` or ``'npz'``.
    topics : tuple of EventTopic
        Topics (in HDF5 groups, in AEDAT streams) that carry events; empty for other files.
    topic : str
        Name of the topic that is read; empty for files without topics.
    type : str
        Message type of that topic; for other files the encoding or layout.
    message_type : str
        Type of what ``messages`` yields.
    message_count : int or None
        Messages on the topic, ``None`` where the format has no messages.
    byte_size : int
        Size of all files together.
    progress : tuple
        ``(done, total, unit)`` of the current iteration; unit ``'messages'``, ``'bytes'`` or
        ``'events'``.
    given_size : tuple of int or None
        Sensor size (height, width) in pixels that the user gives, to be set before reading: it is
        taken instead of what the recording states.
    time_unit : {'auto', 's', 'ms', 'us', 'ns'}
        Unit of the times in PointCloud2, to be set before reading.
    missing : str
        What is missing of the recording (truncated or damaged files), contradicts it (numbers of
        messages) or was left out (copies), a sentence without its full stop; empty if the
        recording is complete. Final when an iteration has ended.
    refused : int
        Messages of the current iteration that could not be read and were left out.
    first_refused : str
        Which was the first of them, and why.

    """

    path: Path
    format: str  # noqa: A003 - an attribute of the public interface
    topics: tuple[EventTopic, ...] = ()
    topic: str = ''
    type: str = ''  # noqa: A003 - an attribute of the public interface
    message_type: str = 'event_camera_msgs/msg/EventPacket'
    message_count: int | None = None
    byte_size: int = 0
    progress: tuple[int, int, str] = (0, 0, '')
    given_size: tuple[int, int] | None = None
    time_unit: str = 'auto'
    missing: str = ''
    refused: int = 0
    first_refused: str = ''

    @property
    def truncated(self) -> bool:
        """Whether the recording ends early; final when an iteration has ended."""
        return bool(self.missing)

    @property
    def warnings(self) -> list[str]:
        """What is wrong with the recording, in sentences; final when an iteration has ended."""
        found = [f'Check the recording: {self.missing}.'] if self.missing else []
        if self.refused:
            found.append(
                f'{self.refused} messages could not be read; the first: {self.first_refused}.'
            )
        given, stated = self.given_size, self.sensor_size
        if given and stated and given != stated:
            found.append(
                f'The recording states a sensor of {stated[1]}x{stated[0]} pixels; '
                f'{given[1]}x{given[0]}, as given, are taken.'
            )
        return found

    def summary(self) -> dict[str, Any]:
        """Return what was read, and how far, as summaries begin; final as ``warnings``."""
        return {
            'recording': self.path.name,
            'format': self.format,
            'topic': self.topic,
            'type': self.type,
            'truncated': self.truncated,
            'warnings': self.warnings,
            'refused_messages': self.refused,
        }

    @property
    def log_offset_ns(self) -> int:
        """Nanoseconds to add to stamps of the events for the clock that orders the messages."""
        return 0

    @property
    @abstractmethod
    def sensor_size(self) -> tuple[int, int] | None:
        """Sensor size ``(height, width)`` in pixels that the recording states, or ``None``."""

    @abstractmethod
    def __iter__(self) -> Iterator[EventChunk]:
        """
        Yield the events from the start of the recording.

        Raises
        ------
        RecordingError
            The file is damaged, states an impossible sensor, or most of its messages cannot be
            read; the text names the place.

        """

    def between(self, start: float, end: float | None = None) -> Iterator[EventChunk]:
        """
        Yield the events of the half-open interval [start, end).

        Parameters
        ----------
        start : float
            Seconds since the first event of the recording; see ``sast_ros.bags.interval``.
        end : float, optional
            The same; ``None`` for no end.

        Raises
        ------
        SettingError
            An impossible interval.
        RecordingError
            The file is damaged, or it has no events in the interval.

        """
        return iter_interval(self, start, end, str(self.path))

    def messages(self) -> Iterator[tuple[int, bytes]]:
        """
        Yield ``(receive time in ns, serialised ROS 2 message)`` of the topic, fit to be published.

        A recording without ROS messages is encoded as a driver sends its events: EventPackets in
        EVT 3.0, on the clock of the recording.

        Raises
        ------
        RecordingError
            The file is damaged, or it does not state the size of the sensor, which messages need.
        SettingError
            The sensor is too large for EVT 3.0.

        """
        size = self.given_size or self.sensor_size
        if size is None:
            raise RecordingError(
                f'{self.path} does not state the size of its sensor, which ROS messages need; '
                'give it: --sensor-size of sast-ros, height and width of the player'
            )
        height, width = size
        encode = EventPacketEncoder(width, height, FRAME_ID)
        for chunk in self:
            for packet in cut_packets(chunk):
                # Stamped when the first data of the message came, received when the last did
                yield 1000 * int(packet.t[-1]), encode(packet, 1000 * int(packet.t[0]))

    def close(self) -> None:  # noqa: B027 - a recording without open files has nothing to close
        """Close the files."""

    def __enter__(self) -> Recording:
        """Return the recording itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the files."""
        self.close()
