# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Tables of flatbuffers, every access within their bounds.

The encoding: flatbuffers.dev, "Internals".
"""

from __future__ import annotations

import struct


class FlatbufferError(Exception):
    """A flatbuffer that is no such, or whose parts lie outside it."""


class Table:
    """
    A table of a flatbuffer.

    Parameters
    ----------
    buffer : bytes
        The flatbuffer, with its size (uint32) before it.
    at : int
        Where the table is.

    Raises
    ------
    FlatbufferError
        Here and in every method: a part lies outside the buffer.

    """

    def __init__(self, buffer: bytes, at: int) -> None:
        self.buffer = buffer
        self._at = at
        fields = at - self._read('<i', at)
        size = self._read('<H', fields) // 2
        self._fields = [self._read('<H', fields + 2 * index) for index in range(2, size)]

    @classmethod
    def root(cls, buffer: bytes, identifier: bytes) -> Table:
        """Return the root table of a flatbuffer with this identifier (4 bytes)."""
        if buffer[8:12] != identifier:
            raise FlatbufferError(f'not of type {identifier.decode()}')
        return cls(buffer, 4 + int.from_bytes(buffer[4:8], 'little'))

    def _read(self, code: str, at: int) -> int:
        if at < 4:
            raise FlatbufferError(f'byte {at} lies outside')
        try:
            return int(struct.unpack_from(code, self.buffer, at)[0])
        except struct.error as error:
            raise FlatbufferError(f'byte {at} lies outside') from error

    def _find(self, field: int) -> int:
        """Return where a field is, 0 if the table does not hold it."""
        offset = self._fields[field] if field < len(self._fields) else 0
        return self._at + offset if offset else 0

    def integer(self, field: int, code: str, default: int) -> int:
        """Return a field of the table itself, of this code of ``struct``."""
        at = self._find(field)
        return self._read(code, at) if at else default

    def vector(self, field: int, size: int) -> tuple[int, int]:
        """Return the first byte of a vector and its number of elements of this size."""
        at = self._find(field)
        if not at:
            return 0, 0
        at += self._read('<I', at)
        count = self._read('<I', at)
        if count * size > len(self.buffer) - at - 4:
            raise FlatbufferError(f'{count} elements at byte {at} lie outside')
        return at + 4, count

    def tables(self, field: int) -> list[Table]:
        """Return the tables of a vector."""
        at, count = self.vector(field, 4)
        places = range(at, at + 4 * count, 4)
        return [Table(self.buffer, place + self._read('<I', place)) for place in places]

    def string(self, field: int) -> str:
        """Return a string."""
        at, count = self.vector(field, 1)
        return self.buffer[slice(at, at + count)].decode()
