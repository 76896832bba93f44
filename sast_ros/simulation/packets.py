"""Events to ``event_camera_msgs/EventPacket`` in CDR, as a Prophesee driver sends them."""

from __future__ import annotations

import struct

import numpy as np
from sast_ros.events.chunk import EventChunk

# Types of EVT 3.0 words (bits 12 to 15); the other bits hold the value.
_ADDRESS_Y, _ADDRESS_X, _TIME_LOW, _TIME_HIGH = 0x0000, 0x2000, 0x6000, 0x8000


class EventPacketEncoder:
    """
    Makes one message of every chunk; counts the messages in ``seq``.

    Parameters
    ----------
    width, height: sensor size in pixels, at most 2048 each (11 bits in EVT 3.0).
    frame_id: ``header.frame_id`` of the messages.

    """

    def __init__(self, width: int, height: int, frame_id: str) -> None:
        if not (0 < width <= 2048 and 0 < height <= 2048):
            raise ValueError(
                f'EVT 3.0 has no room for a sensor of {width}x{height} pixels; each side is 1 to '
                '2048'
            )
        self._width, self._height = width, height
        self._frame_id = frame_id
        self._sequence = 0

    def __call__(self, chunk: EventChunk, stamp_ns: int) -> bytes:
        """Return the message, CDR little-endian, with this ``header.stamp`` (ns of ROS time)."""
        payload = encode_evt3(chunk)
        message = bytearray(struct.pack('<4xiI', stamp_ns // 10**9, stamp_ns % 10**9))
        message[1] = 1  # little-endian
        _append_string(message, self._frame_id)
        _append(message, 4, '<II', self._height, self._width)
        _append(message, 8, '<QQ', self._sequence, 0)
        _append_string(message, 'evt3')
        _append(message, 1, '<?', False)
        _append(message, 4, '<I', len(payload))
        message += payload
        self._sequence += 1
        return bytes(message)


def encode_evt3(chunk: EventChunk) -> bytes:
    """
    Return the events as EVT 3.0 words.

    A decoder can enter them without having seen what came before. Time is taken modulo 2**24 us,
    as the sensor counts it; a row or time that does not change is not repeated.
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


def _append(message: bytearray, alignment: int, layout: str, *values: int) -> None:
    # Alignment counts from behind the encapsulation header
    message += bytes(-(len(message) - 4) % alignment)
    message += struct.pack(layout, *values)


def _append_string(message: bytearray, text: str) -> None:
    data = text.encode() + b'\0'
    _append(message, 4, '<I', len(data))
    message += data
