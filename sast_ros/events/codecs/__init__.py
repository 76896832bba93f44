"""
Payloads of event_camera_msgs/EventPacket and of Prophesee RAW files: one class per encoding.

A codec is called with the payload of one packet (bytes, in order) and the packet's ``time_base``
in nanoseconds and returns ``DecodedEvents``. It keeps what the encoding spreads over packets:
``resynchronise`` tells it that packets are missing, ``reset`` that another stream begins. A
payload that it refuses leaves it as after ``resynchronise``.
"""  # noqa: A005 - imported as sast_ros.events.codecs only

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from sast_ros.events._native import DecodedEvents
from sast_ros.events.chunk import EventFormatError
from sast_ros.events.codecs.evt2 import Evt2, Evt21
from sast_ros.events.codecs.evt3 import Evt3
from sast_ros.events.codecs.libcaer import Libcaer, LibcaerCompressed
from sast_ros.events.codecs.mono import Mono


class PayloadDecoder(Protocol):
    """What every codec does."""

    @property
    def clock(self) -> Literal['sensor', 'ros']:
        """Which clock the times are on."""

    def __call__(self, payload: bytes, time_base_ns: int = 0) -> DecodedEvents:
        """Decode one payload."""

    def resynchronise(self, elapsed_us: int = 0) -> None:
        """
        Go on after lost packets.

        ``elapsed_us`` of host time have passed since the last one that arrived.
        """

    def reset(self) -> None:
        """Begin another stream."""


#: Encodings by the names that drivers and RAW headers use.
ENCODINGS: dict[str, Callable[[int, int], PayloadDecoder]] = {
    'evt3': Evt3,
    'evt2': Evt2,
    'evt21': Evt21,
    'evt21;endianness=legacy': lambda height, width: Evt21(height, width, high_word_first=True),
    'mono': Mono,
    'libcaer': Libcaer,
    'libcaer_cmp': LibcaerCompressed,
}

#: Other spellings of the same encodings.
SPELLINGS = {
    'evt3.0': 'evt3',
    'evt2.0': 'evt2',
    'evt2.1': 'evt21',
    'evt2_1': 'evt21',
    'evt2.1;endianness=legacy': 'evt21;endianness=legacy',
    'evt21;endianness=little': 'evt21',
}


def open_payload_decoder(encoding: str, height: int, width: int) -> PayloadDecoder:
    """
    Return a new codec for the encoding and the sensor size in pixels.

    A size of 0 is unknown: coordinates are not checked.

    Raises
    ------
    EventFormatError: unknown encoding.

    """
    name = encoding.lower()
    make = ENCODINGS.get(SPELLINGS.get(name, name))
    if make is None:
        known = ', '.join(sorted(ENCODINGS))
        raise EventFormatError(
            f'unknown event encoding {encoding!r}; known are {known}', field='encoding'
        )
    return make(height, width)
