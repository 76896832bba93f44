# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Decompression with a bound.

A few kilobytes of zstd, lz4 or bz2 may state gigabytes. Recordings of events expand to 2 to 10
times their compressed size, so compressed data is given ``MAX_EXPANSION`` times its size, and at
least 16 MiB. Whoever has a recording that expands further (images of one colour, for example)
raises the factor by the environment variable ``SAST_ROS_MAX_EXPANSION``.
"""

from __future__ import annotations

import bz2
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
import os
from pathlib import Path

from lz4.frame import LZ4FrameDecompressor
from sast_ros.errors import SettingError
import zstandard

#: Default of the largest ratio of decompressed to compressed size.
MAX_EXPANSION = 32

#: Environment variable that replaces it.
VARIABLE = 'SAST_ROS_MAX_EXPANSION'

#: Any data may expand to this many bytes.
_FLOOR = 1 << 24

#: Compressed bytes that are decompressed at once: zstd expands them to at most 32 MiB.
_BLOCK = 1 << 10

#: Bytes to which lz4 decompresses at once.
_LZ4_BLOCK = 1 << 20

#: Frames of one chunk that are read; writers make one.
_FRAMES = 64

Buffer = bytes | memoryview

#: First bytes of a zstd frame.
ZSTD_MAGIC = zstandard.FRAME_HEADER


class ExpansionError(Exception):
    """Compressed data that expands beyond the limit."""

    def __init__(self, compressed: int, limit: int) -> None:
        super().__init__(
            f'{compressed} compressed bytes expand to more than {limit}; if the recording can be '
            f'trusted, set {VARIABLE} above {max_expansion():g}'
        )


def max_expansion() -> float:
    """
    Return the largest allowed ratio of decompressed to compressed size.

    Raises
    ------
    SettingError
        The environment variable is not a number of at least 1.

    """
    text = os.environ.get(VARIABLE, '')
    try:
        value = float(text or MAX_EXPANSION)
        if not 1 <= value < float('inf'):
            raise ValueError
    except ValueError as error:
        raise SettingError(
            f'{VARIABLE}={text} is no number of at least 1; set {MAX_EXPANSION}'
        ) from error
    return value


def max_size(compressed: int) -> int:
    """Return the number of bytes to which so many compressed bytes may expand."""
    return max(_FLOOR, int(compressed * max_expansion()))


def decompress(data: Buffer, method: str, most: int | None = None) -> Buffer:
    """
    Decompress a chunk or a message.

    Parameters
    ----------
    data : bytes or memoryview
        Compressed data, one or more frames.
    method : str
        ``'zstd'``, ``'lz4'`` (frames), ``'bz2'``, or ``''`` and ``'none'`` for plain data.
    most : int, optional
        Bytes to which such data may expand, whatever its size is.

    Raises
    ------
    ExpansionError
        The data expands beyond ``max_size``, or ``most``.
    ValueError
        An unknown method, or incomplete data.
    Exception
        What the library of the method raises for damaged data.

    """
    if method in ('', 'none'):
        return data
    if method not in _METHODS:
        raise ValueError(f'unknown compression {method!r}')
    limit = max_size(len(data))
    limit = limit if most is None else min(limit, most)
    parts: list[bytes] = []
    total, rest = 0, data
    while total <= limit and len(parts) < _FRAMES and (rest or not parts):
        part, rest = _METHODS[method](rest, limit - total)
        parts.append(part)
        total += len(part)
    if total > limit:
        raise ExpansionError(len(data), limit)
    return parts[0] if len(parts) == 1 else b''.join(parts)


def _zstd(data: Buffer, limit: int) -> tuple[bytes, bytes]:
    # Of a frame that states its size, zstandard allocates that size
    size = zstandard.get_frame_parameters(data).content_size
    if size not in (zstandard.CONTENTSIZE_UNKNOWN, zstandard.CONTENTSIZE_ERROR):
        if size > limit:
            raise ExpansionError(len(data), limit)
        try:
            return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False), b''
        except zstandard.ZstdError:
            pass  # several frames, or damage
    source = BytesIO(data)
    blocks = iter(lambda: source.read(_BLOCK), b'')
    parts: list[bytes] = []
    total = 0
    for part in _zstd_frames(blocks):
        parts.append(part)
        total += len(part)
        if total > limit:
            break
    return b''.join(parts), b''


def _zstd_frames(blocks: Iterable[Buffer]) -> Iterator[bytes]:
    """Decompress blocks of one or more frames; raise ``EOFError`` where the last one is cut."""
    frame, whole = zstandard.ZstdDecompressor().decompressobj(), False
    for block in blocks:
        rest = block
        while rest:
            if whole:
                frame = zstandard.ZstdDecompressor().decompressobj()
            yield frame.decompress(rest)
            rest, whole = frame.unused_data, frame.eof
    if not whole:
        raise EOFError('incomplete zstd frame')


def _lz4(data: Buffer, limit: int) -> tuple[bytes, bytes]:
    frame = LZ4FrameDecompressor()
    blocks: list[bytes] = []
    total, given = 0, data
    while not frame.eof and total <= limit:
        block = frame.decompress(given, min(limit + 1 - total, _LZ4_BLOCK))
        given = b''
        if not block and frame.needs_input:
            break
        blocks.append(block)
        total += len(block)
    if not frame.eof and total <= limit:
        raise ValueError('incomplete lz4 frame')
    return b''.join(blocks), frame.unused_data or b''


def _bz2(data: Buffer, limit: int) -> tuple[bytes, bytes]:
    stream = bz2.BZ2Decompressor()
    part = stream.decompress(data, limit + 1)
    if not stream.eof and len(part) <= limit:
        raise ValueError('incomplete bz2 stream')
    return part, stream.unused_data


def decompress_file(source: Path, target: Path) -> bool:
    """
    Decompress a zstd file, which may be truncated; return whether it is complete.

    Raises
    ------
    ExpansionError
        The file expands beyond ``max_size``.
    zstandard.ZstdError
        The file is damaged.

    """
    size = source.stat().st_size
    limit, total = max_size(size), 0
    with source.open('rb') as compressed, target.open('wb') as plain:
        try:
            for part in _zstd_frames(iter(lambda: compressed.read(_BLOCK), b'')):
                total += plain.write(part)
                if total > limit:
                    raise ExpansionError(size, limit)
        except EOFError:
            return False
    return True


_METHODS: dict[str, Callable[[Buffer, int], tuple[bytes, bytes]]] = {
    'zstd': _zstd,
    'lz4': _lz4,
    'bz2': _bz2,
}
