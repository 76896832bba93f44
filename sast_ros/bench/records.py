# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
File of messages for the publisher process.

Records of ``uint64`` nanoseconds since the first one, ``uint32`` length, and the bytes of the
serialised message; little-endian.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
import struct

_RECORD = struct.Struct('<QI')


def write_records(path: Path, records: Iterable[tuple[int, bytes]]) -> None:
    """Write (nanoseconds since the first message, message)."""
    with path.open('wb') as stream:
        for after_ns, message in records:
            stream.write(_RECORD.pack(after_ns, len(message)))
            stream.write(message)


def read_records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (nanoseconds since the first message, message)."""
    content = path.read_bytes()
    at = 0
    while at < len(content):
        after_ns, length = _RECORD.unpack_from(content, at)
        at += _RECORD.size
        end = at + length
        yield after_ns, content[at:end]
        at = end
