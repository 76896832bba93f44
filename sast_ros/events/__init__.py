"""
Event messages and files to numpy.

``open_decoder`` is the only door for messages, ``open_prophesee_file`` for files. Nothing here
imports ROS or torch; messages are read from their serialised bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sast_ros.events.chunk import EventChunk, EventFormatError
from sast_ros.events.event_array import EVENT_ARRAY_TYPES, EventArrayDecoder
from sast_ros.events.event_packet import EventPacketDecoder
from sast_ros.events.point_cloud import POINT_CLOUD, PointCloudDecoder
from sast_ros.events.prophesee import open_prophesee_file, PropheseeFile

__all__ = [
    'EVENT_TYPES',
    'POINT_CLOUD',
    'EventChunk',
    'EventDecoder',
    'EventFormatError',
    'PropheseeFile',
    'open_decoder',
    'open_prophesee_file',
]


class EventDecoder(Protocol):
    """What every message decoder does: bytes of one message in, its events out."""

    def __call__(self, raw: bytes | bytearray | memoryview) -> EventChunk:
        """Decode one message."""

    def reset(self) -> None:
        """Forget stream state."""


#: Decoders by message type, the preferred ones of a topic with several types first.
#: event_array_msgs is what event_camera_msgs was called in its first releases.
_DECODERS: dict[str, Callable[..., EventDecoder]] = {
    'event_camera_msgs/msg/EventPacket': EventPacketDecoder,
    **dict.fromkeys(EVENT_ARRAY_TYPES, EventArrayDecoder),
    'event_array_msgs/msg/EventArray': EventPacketDecoder,
    POINT_CLOUD: PointCloudDecoder,
}

#: Message types that carry events, in this order of preference.
EVENT_TYPES = tuple(_DECODERS)


def open_decoder(type_name: str, **options: object) -> EventDecoder:
    """
    Return a decoder for serialised messages of this type.

    ``pkg/Type`` is accepted for ``pkg/msg/Type``.

    One decoder serves one topic: formats that spread their state over messages keep it in the
    decoder.

    Raises
    ------
    EventFormatError: a type that carries no events.
    TypeError: an option that this type does not have.

    """
    name = type_name
    if name.count('/') == 1:
        name = name.replace('/', '/msg/')
    make = _DECODERS.get(name)
    if make is None:
        known = ', '.join(_DECODERS)
        raise EventFormatError(
            f'no events are read from messages of type {type_name!r}; known are {known}'
        )
    return make(name, **options)
