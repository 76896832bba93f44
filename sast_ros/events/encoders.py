# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Events to EVT 3.0, and to messages in CDR: EventPacket as a driver sends it, and EventArray."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
import struct

import numpy as np
from sast_ros.errors import SettingError
from sast_ros.events.chunk import EventChunk
from sast_ros.kernels import library

#: A driver sends a message this often, in microseconds of sensor time.
PACKET_US = 4_000

#: Microseconds after which the clock of EVT 3.0 rolls over.
EVT3_PERIOD_US = 1 << 24

#: Maximum pixels on a side: EVT 3.0 has 11 bits.
EVT3_MAX_SIDE = 2048

#: Longest jump of the clock: 2.2 years, which take 32 MB of TIME_HIGH words.
_MAX_JUMP_US = (1 << 24) * EVT3_PERIOD_US // 4

#: TIME_HIGH words for which there is room in any case.
_FEW_STEPS = 64


def cut_packets(chunk: EventChunk) -> Iterator[EventChunk]:
    """Yield the events as a driver sends them, cut at the multiples of 4 ms; none is empty."""
    if not len(chunk):
        return
    edges = (np.flatnonzero(np.diff(chunk.t // PACKET_US)) + 1).tolist()
    for start, end in pairwise([0, *edges, len(chunk)]):
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
        if not (0 < width <= EVT3_MAX_SIDE and 0 < height <= EVT3_MAX_SIDE):
            raise SettingError(
                f'EVT 3.0 cannot encode a sensor of {width}x{height} pixels; each side must be 1 '
                f'to {EVT3_MAX_SIDE}'
            )
        self._width, self._height = width, height
        self.frame_id = frame_id
        self._sequence = 0
        self._previous_us: int | None = None

    def __call__(self, chunk: EventChunk, stamp_ns: int) -> bytes:
        """Return the message, CDR little-endian, with this ``header.stamp`` (ns of ROS time)."""
        payload = encode_evt3(chunk, self._previous_us)
        if len(chunk):
            self._previous_us = int(chunk.t[-1])
        message = _begin(stamp_ns, self.frame_id)
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
        self.frame_id = frame_id

    def __call__(self, chunk: EventChunk, stamp_ns: int, first_ns: int | None = None) -> bytes:
        """
        Return the message.

        Parameters
        ----------
        chunk : EventChunk
            The events; the times between them are kept.
        stamp_ns : int
            ``header.stamp``, ns of ROS time.
        first_ns : int, optional
            ROS time of the first event, by default ``stamp_ns``.

        """
        message = _begin(stamp_ns, self.frame_id)
        _append(message, 4, '<III', self._height, self._width, len(chunk))
        first_ns = stamp_ns if first_ns is None else first_ns
        if not len(chunk):
            return bytes(message)
        times = first_ns + 1000 * (chunk.t - chunk.t[0])
        _seconds(int(times[0])), _seconds(int(times[-1]))
        events = np.zeros(len(chunk), _EVENT)
        events['x'], events['y'], events['p'] = chunk.x, chunk.y, chunk.p
        events['sec'], events['nsec'] = times // 10**9, times % 10**9
        array = bytearray(events.tobytes()[2:-1])
        array[:4] = struct.pack('<HH', chunk.x[0], chunk.y[0])  # nothing to align before it
        return bytes(message + array)


#: Every event of an EventArray but the first: x is aligned to 2 bytes, the time to 4.
_EVENT = np.dtype(
    {
        'names': ['x', 'y', 'sec', 'nsec', 'p'],
        'formats': ['<u2', '<u2', '<i4', '<u4', 'u1'],
        'offsets': [0, 2, 6, 10, 14],
        'itemsize': 16,
    }
)


def encode_evt3(chunk: EventChunk, previous_us: int | None = None) -> bytes:
    """
    Return the events as EVT 3.0 words, which begin with time and row.

    Time is taken modulo 2**24 us, as the sensor counts it; a row or time that does not change is
    not repeated. Where time jumps by more than a quarter of that, further TIME_HIGH words lead a
    decoder to the next event, so that it loses no roll-over.

    Parameters
    ----------
    chunk : EventChunk
        The events; here time may also step back.
    previous_us : int, optional
        Time of the event before, in microseconds.

    Raises
    ------
    SettingError
        A jump of more than two years.

    """
    if len(chunk) == 0:
        return b''
    first_us = int(chunk.t[0])
    previous_us = first_us if previous_us is None else previous_us
    capacity = 4 * len(chunk) + _FEW_STEPS
    while True:
        words = np.empty(capacity, np.uint16)
        count = library.sast_evt3_words(
            chunk.x,
            chunk.y,
            chunk.p,
            chunk.t,
            len(chunk),
            previous_us,
            _MAX_JUMP_US,
            capacity,
            words,
        )
        if count < 0:
            raise SettingError(
                f'time jumps by more than {_MAX_JUMP_US / 86_400e6:.0f} days, which EVT 3.0 '
                'cannot encode; choose another format, such as .h5, or a part of the recording '
                'with --start and --end'
            )
        if count <= capacity:
            return words[:count].tobytes()
        capacity = count


def _begin(stamp_ns: int, frame_id: str) -> bytearray:
    message = bytearray(struct.pack('<4xiI', _seconds(stamp_ns), stamp_ns % 10**9))
    message[1] = 1  # little-endian
    _append_string(message, frame_id)
    return message


def _seconds(time_ns: int) -> int:
    """Return the seconds of a ROS time, rounded down."""
    seconds = time_ns // 10**9
    if not -(2**31) <= seconds < 2**31:
        raise SettingError(
            f'a time of {seconds} s does not fit the stamps of ROS messages, which have 32 bits; '
            'choose another format, such as .h5'
        )
    return seconds


def _append(message: bytearray, alignment: int, layout: str, *values: int) -> None:
    # Alignment counts from the end of the encapsulation header
    message += bytes(-(len(message) - 4) % alignment)
    message += struct.pack(layout, *values)


def _append_string(message: bytearray, text: str) -> None:
    data = text.encode() + b'\0'
    _append(message, 4, '<I', len(data))
    message += data
