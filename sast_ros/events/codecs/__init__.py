# noqa: A005 - imported as sast_ros.events.codecs only
# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Payloads of event_camera_msgs/EventPacket and of Prophesee RAW files: one class per encoding.

A codec is called with the payload of one packet (bytes, in order) and the packet's ``time_base``
in nanoseconds and returns ``DecodedEvents``. It keeps the state that the encoding spreads over
packets. A payload that it refuses leaves it as after ``resynchronise``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from sast_ros.events._native import DecodedEvents
from sast_ros.events.chunk import EventFormatError
from sast_ros.events.codecs import evt
from sast_ros.events.codecs.libcaer import Libcaer, LibcaerCompressed
from sast_ros.events.codecs.mono import Mono


class PayloadDecoder(Protocol):
    """Decoder of the payloads of one stream."""

    @property
    def clock(self) -> Literal['sensor', 'ros']:
        """Clock of the times."""

    @property
    def period_us(self) -> int:
        """Microseconds after which times are ambiguous where a stream begins; 0 if never."""

    def __call__(
        self, payload: bytes, time_base_ns: int = 0, size: tuple[int, int] | None = None
    ) -> DecodedEvents:
        """Return the events of one payload; ``size`` is (width, height) in pixels, if known."""

    def resynchronise(self, elapsed_us: int = 0) -> None:
        """Continue after lost packets, ``elapsed_us`` of host time after the last received."""

    def reset(self) -> None:
        """Begin another stream."""


#: Encodings by the names that drivers and RAW headers use.
ENCODINGS: dict[str, Callable[[], PayloadDecoder]] = {
    'evt3': evt.Evt3,
    'evt2': evt.Evt2,
    'evt21': evt.Evt21,
    'evt21;endianness=legacy': lambda: evt.Evt21(high_word_first=True),
    'mono': Mono,
    'libcaer': Libcaer,
    'libcaer_cmp': LibcaerCompressed,
}

#: Other names of the same encodings.
SPELLINGS = {
    'evt4.0': 'evt4',
    'evt3.0': 'evt3',
    'evt2.0': 'evt2',
    'evt2.1': 'evt21',
    'evt2_1': 'evt21',
    'evt2.1;endianness=legacy': 'evt21;endianness=legacy',
    'evt21;endianness=little': 'evt21',
}

#: Encodings that cameras have but that nobody describes, and what to do about them.
UNSUPPORTED = {'evt4': 'EVT 4.0 is not supported; let the camera send EVT 3.0, 2.1 or 2.0'}


def open_payload_decoder(encoding: str) -> PayloadDecoder:
    """
    Return a new codec for the encoding.

    Raises
    ------
    EventFormatError
        Unknown or unsupported encoding.

    """
    name = encoding.lower()
    name = SPELLINGS.get(name, name)
    make = ENCODINGS.get(name)
    if make is None:
        known = f'known: {", ".join(sorted(ENCODINGS))}'
        raise EventFormatError(
            f'unknown event encoding {encoding!r}; {UNSUPPORTED.get(name, known)}',
            field='encoding',
        )
    return make()
