# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Events to messages in CDR: EventPacket as a Prophesee driver sends it, and EventArray."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
import struct

import numpy as np
from sast_ros.errors import SettingError
from sast_ros.events.chunk import EventChunk

#: A driver sends a message this often, in microseconds of sensor time.
PACKET_US = 4_000

# Types of EVT 3.0 words (bits 12 to 15); the other bits hold the value.
_ADDRESS_Y, _ADDRESS_X, _TIME_LOW, _TIME_HIGH = 0x0000, 0x2000, 0x6000, 0x8000


def cut_packets(chunk: EventChunk) -> Iterator[EventChunk]:
    """Yield the events as a driver sends them, cut at the multiples of 4 ms; none is empty."""
    if not len(chunk):
        return
    first, last = int(chunk.t[0]) // PACKET_US, int(chunk.t[-1]) // PACKET_US
    edges = np.searchsorted(chunk.t, PACKET_US * np.arange(first, last + 2)).tolist()
    for start, end in pairwise(edges):
        if start < end:
            yield chunk[start:end]


class EventPacketEncoder:
    """
    Encode every chunk as one EventPacket in EVT 3.0; ``seq`` counts the messages.

    Parameters
    ----------
    width, height : int
        Sensor size in pixels, at most 2048 each (11 bits in EVT 3.0).
    frame_id : str
        ``header.frame_id`` of the messages.

    """

    def __init__(self, width: int, height: int, frame_id: str) -> None:
        if not (0 < width <= 2048 and 0 < height <= 2048):
            raise SettingError(
                f'EVT 3.0 cannot encode a sensor of {width}x{height} pixels; each side must be 1 '
                'to 2048'
            )
        self._width, self._height = width, height
        self._frame_id = frame_id
        self._sequence = 0

    def __call__(self, chunk: EventChunk, stamp_ns: int) -> bytes:
        """Return the message, CDR little-endian, with this ``header.stamp`` (ns of ROS time)."""
        payload = encode_evt3(chunk)
        message = _begin(stamp_ns, self._frame_id)
        _append(message, 4, '<II', self._height, self._width)
        _append(message, 8, '<QQ', self._sequence, 0)
        _append_string(message, 'evt3')
        _append(message, 1, '<?', False)
        _append(message, 4, '<I', len(payload))
        message += payload
        self._sequence += 1
        return bytes(message)


class EventArrayEncoder:
    """
    Encode every chunk as one ``dvs_msgs/EventArray``; times of the events are ROS time.

    Parameters
    ----------
    width, height : int
        Sensor size in pixels.
    frame_id : str
        ``header.frame_id`` of the messages.

    """

    def __init__(self, width: int, height: int, frame_id: str) -> None:
        self._width, self._height = width, height
        self._frame_id = frame_id

    def __call__(self, chunk: EventChunk, stamp_ns: int) -> bytes:
        """Return the message; the first event happens at ``stamp_ns``, the others after it."""
        message = _begin(stamp_ns, self._frame_id)
        _append(message, 4, '<III', self._height, self._width, len(chunk))
        times = stamp_ns + 1000 * (chunk.t - chunk.t[0]) if len(chunk) else chunk.t
        events = np.zeros(len(chunk), _EVENT)
        events['x'], events['y'], events['p'] = chunk.x, chunk.y, chunk.p
        events['sec'], events['nsec'] = times // 10**9, times % 10**9
        if len(chunk):
            array = bytearray(events.tobytes()[2:-1])
            array[:4] = struct.pack('<HH', chunk.x[0], chunk.y[0])  # nothing to align before it
            message += array
        return bytes(message)


#: Every event of an EventArray but the first: x is aligned to 2 bytes, the time to 4.
_EVENT = np.dtype(
    {
        'names': ['x', 'y', 'sec', 'nsec', 'p'],
        'formats': ['<u2', '<u2', '<i4', '<u4', 'u1'],
        'offsets': [0, 2, 6, 10, 14],
        'itemsize': 16,
    }
)


def encode_evt3(chunk: EventChunk) -> bytes:
    """
    Return the events as EVT 3.0 words, which do not depend on earlier ones.

    Time is taken modulo 2**24 us, as the sensor counts it; a row or time that does not change is
    not repeated.
    """
    if len(chunk) == 0:
        return b''
    t = chunk.t & 0xFFFFFF
    high, low, y = t >> 12, t & 0xFFF, chunk.y
    words = np.empty((len(chunk), 4), '<u2')
    words[:, 0] = _TIME_HIGH | high
    words[:, 1] = _TIME_LOW | low
    words[:, 2] = _ADDRESS_Y | y
    words[:, 3] = _ADDRESS_X | (chunk.p.astype(np.uint16) << 11) | chunk.x
    needed = np.ones(words.shape, bool)
    needed[1:, 0] = high[1:] != high[:-1]
    needed[1:, 1] = (low[1:] != low[:-1]) | needed[1:, 0]
    needed[1:, 2] = y[1:] != y[:-1]
    return words[needed].tobytes()


def _begin(stamp_ns: int, frame_id: str) -> bytearray:
    message = bytearray(struct.pack('<4xiI', stamp_ns // 10**9, stamp_ns % 10**9))
    message[1] = 1  # little-endian
    _append_string(message, frame_id)
    return message


def _append(message: bytearray, alignment: int, layout: str, *values: int) -> None:
    # Alignment counts from the end of the encapsulation header
    message += bytes(-(len(message) - 4) % alignment)
    message += struct.pack(layout, *values)


def _append_string(message: bytearray, text: str) -> None:
    data = text.encode() + b'\0'
    _append(message, 4, '<I', len(data))
    message += data
