# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Bounds-checked reading of one CDR message (OMG CDR, XCDR1, little-endian), field by field."""

from __future__ import annotations

import struct

from sast_ros.events.chunk import (
    EventFormatError,
    MAX_SENSOR_SIDE,
    refuse_sensor_size,
    SIZE_ADVICE,
)

#: Alignment counts from the first byte after the encapsulation header.
ORIGIN = 4

#: Writers may pad a message to a multiple of 4 (RTPS) or 8 bytes.
MAX_PADDING = 7

_REFUSED = {
    0x0000: 'big-endian CDR',
    0x0002: 'a big-endian parameter list (PL_CDR)',
    0x0003: 'a parameter list (PL_CDR)',
    0x0006: 'big-endian XCDR2',
    0x0007: 'XCDR2',
    0x0008: 'big-endian XCDR2',
    0x0009: 'XCDR2',
    0x000A: 'big-endian XCDR2',
    0x000B: 'XCDR2',
}

_STAMP = struct.Struct('<iI')
_U32 = struct.Struct('<I')
_SIZE = struct.Struct('<II')


class Cursor:
    """
    Position in one serialised message.

    Parameters
    ----------
    raw : bytes-like
        The message with its 4-byte encapsulation header.
    message_type : str
        Name for error messages.

    Raises
    ------
    EventFormatError
        No encapsulation header, or one that is not little-endian plain CDR.

    """

    __slots__ = ('data', 'message_type', 'offset', 'size')

    def __init__(self, raw: bytes | bytearray | memoryview, message_type: str) -> None:
        # C functions take bytes as they are
        self.data = raw if isinstance(raw, bytes) else bytes(raw)
        self.message_type = message_type
        self.size = len(self.data)
        self.offset = ORIGIN
        if self.size < ORIGIN:
            raise self.error(
                'encapsulation', 0, f'the message ends after {self.size} of its 4 bytes'
            )
        if self.data[0] != 0 or self.data[1] != 1:
            kind = int.from_bytes(self.data[:2], 'big')
            what = _REFUSED.get(kind, f'unknown representation 0x{kind:04x}')
            raise self.error(
                'encapsulation',
                0,
                f'the message is {what}; only little-endian CDR (0x0001) is read',
            )

    def error(self, field: str, offset: int | None, what: str) -> EventFormatError:
        """Return the error that names this field and byte offset."""
        where = '' if offset is None else f' at byte {offset}'
        return EventFormatError(
            f'{self.message_type}: field {field}{where}: {what}', field=field, offset=offset
        )

    def align(self, alignment: int) -> None:
        """Advance to the next multiple of the alignment."""
        self.offset += (ORIGIN - self.offset) % alignment

    def read(self, layout: struct.Struct, alignment: int, *fields: str) -> tuple:
        """Read the fields of the layout; their names are for errors."""
        self.align(alignment)
        start = self.offset
        if start + layout.size > self.size:
            raise self._truncated(layout, fields)
        self.offset = start + layout.size
        return layout.unpack_from(self.data, start)

    def _truncated(self, layout: struct.Struct, fields: tuple[str, ...]) -> EventFormatError:
        offset = self.offset
        at = 0
        for kind in layout.format.lstrip('<')[:-1]:
            width = struct.calcsize('<' + kind)
            if offset + width > self.size:
                break
            offset += width
            at += 1
        return self.error(
            fields[at],
            offset,
            f'the message ends at byte {self.size}, before the end of this field',
        )

    def string(self, field: str) -> str:
        """Read a string: its length with the final NUL, then the bytes."""
        (length,) = self.read(_U32, 4, field)
        start = self.offset
        if length == 0:  # not CDR, but some writers write an empty string so
            return ''
        end = start + length
        if end > self.size:
            raise self.error(
                field,
                start - 4,
                f'a string of {length} bytes does not fit in the remaining {self.size - start}',
            )
        self.offset = end
        text = self.data[start:end]
        if text[-1] != 0 or text.find(0) != length - 1:
            raise self.error(
                field, start, 'the string has no NUL byte at its end, or one before it'
            )
        try:
            return text[:-1].decode()
        except UnicodeDecodeError as problem:
            raise self.error(field, start + problem.start, 'the string is not UTF-8') from None

    def header(self) -> tuple[int, str]:
        """Read std_msgs/Header: stamp in nanoseconds and frame_id."""
        at = self.offset
        seconds, nanoseconds = self.read(_STAMP, 4, 'header.stamp.sec', 'header.stamp.nanosec')
        if nanoseconds >= 1_000_000_000:
            raise self.error(
                'header.stamp.nanosec', at + 4, f'{nanoseconds} is not below one second'
            )
        return seconds * 1_000_000_000 + nanoseconds, self.string('header.frame_id')

    def sensor_size(self, *, checked: bool = True) -> tuple[int, int]:
        """Read height and width in pixels, 0 = unknown."""
        height, width = self.read(_SIZE, 4, 'height', 'width')
        reason = refuse_sensor_size(height, width) if checked and (height or width) else ''
        if reason:
            wrong_width = width > MAX_SENSOR_SIDE >= height or (height and not width)
            field, back = ('width', 4) if wrong_width else ('height', 8)
            raise self.error(
                field,
                self.offset - back,
                f'{width}x{height} pixels are no sensor: {reason}; {SIZE_ADVICE}',
            )
        return height, width

    def sequence(self, field: str, stride: int, *, unpadded: int = 0) -> tuple[int, int]:
        """
        Read the length of a sequence, skip it, and return its offset and number of elements.

        The last element is ``unpadded`` bytes shorter than ``stride``. The length is checked
        against the size of the message, so that nothing is allocated for a wrong number.
        """
        (count,) = self.read(_U32, 4, field)
        start = self.offset
        needed = count * stride - unpadded if count else 0
        if needed > self.size - start:
            raise self.error(
                field,
                start - 4,
                f'{count} elements need {needed} bytes but only {self.size - start} are left; the '
                'message is truncated',
            )
        self.offset = start + needed
        return start, count

    def finish(self, field: str) -> None:
        """Check that nothing but padding follows the last field."""
        if self.size - self.offset > MAX_PADDING:
            raise self.error(
                field,
                self.offset,
                f'{self.size - self.offset} bytes follow the last field; the count is too small',
            )

    def check_share(self, field: str, offset: int | None, invalid: int, count: int) -> None:
        """Refuse a message most of whose elements are invalid: it is none of this kind."""
        if 2 * invalid > count:
            raise self.error(
                field,
                offset,
                f'{invalid} of {count} events have impossible values; the message is corrupt',
            )
