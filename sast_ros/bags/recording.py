"""What every recording offers, whatever file format it is kept in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sast_ros.events import EventChunk


class RecordingError(ValueError):
    """
    A recording that cannot be read, or that does not say which of its topics is meant.

    The text names the file and says what is wrong and what to do.
    """


@dataclass(frozen=True, slots=True)
class EventTopic:
    """
    A topic of a recording that carries events.

    Parameters
    ----------
    name: topic name, for example ``'/event_camera/events'``.
    type: message type in ROS 2 spelling, for example ``'event_camera_msgs/msg/EventPacket'``.
    message_count: number of messages on the topic.

    """

    name: str
    type: str  # noqa: A003 - a field of the public interface
    message_count: int


class Recording(ABC):
    """
    Events of one camera in a file.

    Iterating yields them as ``EventChunk`` in the order of their arrival. Memory does not grow
    with the length of the recording. Every iteration begins anew at the start, with a new decoder.
    A recording is a context manager; leaving it closes the files.

    Attributes
    ----------
    path: the file or folder that was opened.
    format: ``'rosbag2'``, ``'rosbag1'``, ``'prophesee-raw'`` or ``'prophesee-dat'``.
    topics: topics that carry events; empty for Prophesee files.
    topic: name of the topic that is read; ``''`` for Prophesee files.
    type: message type of that topic; for Prophesee files the name of the encoding.
    sensor_size: ``(height, width)`` in pixels, ``None`` where only the consumer can know.
    message_count: messages on the topic, ``None`` where the format has no messages.
    byte_size: size of all files together in bytes.
    duration: seconds between first and last message, ``None`` where it is known only after
        reading.
    progress: ``(done, total, unit)`` of the iteration under way, with unit ``'messages'`` or
        ``'bytes'``.

    """

    path: Path
    format: str  # noqa: A003 - an attribute of the public interface
    topics: tuple[EventTopic, ...] = ()
    topic: str = ''
    type: str = ''  # noqa: A003 - an attribute of the public interface
    message_count: int | None = None
    byte_size: int = 0
    duration: float | None = None
    progress: tuple[int, int, str] = (0, 0, '')

    @property
    @abstractmethod
    def sensor_size(self) -> tuple[int, int] | None:
        """Sensor size as ``(height, width)`` in pixels, or ``None``."""

    @abstractmethod
    def __iter__(self) -> Iterator[EventChunk]:
        """
        Yield the events from the start of the recording.

        Raises
        ------
        RecordingError: the file is damaged; the text names the place.

        """

    def messages(self) -> Iterator[tuple[int, bytes]]:
        """
        Yield ``(receive time in ns, serialised ROS 2 message)`` of the topic, fit to be published.

        Raises
        ------
        RecordingError: the recording holds no ROS messages, or the file is damaged.

        """
        raise RecordingError(
            f'{self.path} holds no ROS messages; only ROS bags can be played into a topic'
        )

    def close(self) -> None:  # noqa: B027 - a recording without open files has nothing to close
        """Close the files."""

    def __enter__(self) -> Recording:
        """Return the recording itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the files."""
        self.close()
