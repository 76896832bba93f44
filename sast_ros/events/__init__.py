# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Event messages and files to numpy.

``open_decoder`` reads messages from their serialised bytes, ``open_prophesee_file`` files. Nothing
here imports ROS or torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sast_ros.events._native import max_message_events
from sast_ros.events.chunk import EventChunk, EventFormatError
from sast_ros.events.event_array import EVENT_ARRAY_TYPES, EventArrayDecoder
from sast_ros.events.event_packet import EventPacketDecoder
from sast_ros.events.point_cloud import POINT_CLOUD, PointCloudDecoder
from sast_ros.events.prophesee import open_prophesee_file, PropheseeFile, TruncatedFileError
from sast_ros.events.sequence import ArrivalOrder, MessageOrder, PacketOrder

__all__ = [
    'EVENT_TYPES',
    'POINT_CLOUD',
    'EventChunk',
    'EventDecoder',
    'EventFormatError',
    'MessageOrder',
    'PropheseeFile',
    'TruncatedFileError',
    'open_decoder',
    'open_message_order',
    'open_prophesee_file',
]


class EventDecoder(Protocol):
    """
    Decoder of the messages of one topic.

    Attributes
    ----------
    stated_size : tuple of int
        Sensor size (height, width) in pixels that the last message states, zeros for none; that of
        its events is another one where ``sensor_size`` is given.

    """

    stated_size: tuple[int, int]

    def __call__(self, raw: bytes | bytearray | memoryview) -> EventChunk:
        """
        Return the events of one serialised message.

        Raises
        ------
        EventFormatError
            Its bytes do not fit the message type, or its encoding is not supported; the text names
            field and offset. The decoder can go on with the next message.

        """

    def reset(self) -> None:
        """Begin another stream."""


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

    Use one decoder for each topic: it keeps the state of formats that spread it over messages.

    Parameters
    ----------
    type_name : str
        One of ``EVENT_TYPES``; ``pkg/Type`` is accepted for ``pkg/msg/Type``.
    **options : object
        Keyword arguments of the decoder: ``sensor_size``, a (height, width) in pixels that is
        taken instead of what messages state, and those of ``PointCloudDecoder``.

    Raises
    ------
    EventFormatError
        A type that carries no events.
    TypeError
        An option that this type does not have.
    SettingError
        An option, or SAST_ROS_MAX_MESSAGE_EVENTS, has an impossible value.

    """
    max_message_events()  # an impossible value is no matter of the first message
    name = type_name.replace('/', '/msg/') if type_name.count('/') == 1 else type_name
    make = _DECODERS.get(name)
    if make is None:
        known = ', '.join(_DECODERS)
        raise EventFormatError(
            f'no events are read from messages of type {type_name!r}; event types are {known}'
        )
    return make(name, **options)


def open_message_order(
    type_name: str, on_refused: Callable[[EventFormatError], None]
) -> MessageOrder:
    """
    Return what puts the messages of one topic in order before they are decoded.

    Parameters
    ----------
    type_name : str
        One of ``EVENT_TYPES``.
    on_refused : callable
        Called with an ``EventFormatError`` for each message that is left out.

    """
    if _DECODERS.get(type_name) is EventPacketDecoder:
        return PacketOrder(type_name, on_refused)
    return ArrivalOrder(type_name, on_refused)
