# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
AEDAT 4.0 files of iniVation as recordings.

The file is the line ``#!AER-DAT4.0``, a header (flatbuffer ``IOHeader`` with a description of the
streams in XML), packets of all streams, each compressed on its own, and a table of the packets
(docs.inivation.com, "AEDAT 4.0").
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
import struct
from typing import BinaryIO
from xml.etree import ElementTree

import numpy as np
from sast_ros.bags.blocks import BlockRecording, Columns
from sast_ros.bags.compression import decompress, ExpansionError, max_size
from sast_ros.bags.errors import RecordingError
from sast_ros.bags.flatbuffer import FlatbufferError, Table
from sast_ros.bags.recording import EventTopic
from sast_ros.errors import SettingError
from sast_ros.events._native import empty_events
from sast_ros.kernels import library

AEDAT4_SUFFIXES = ('.aedat4',)

_MAGIC = b'#!AER-DAT4.0\r\n'

#: Values of ``IOHeader.compression``.
_NONE, _LZ4, _LZ4_HIGH, _ZSTD, _ZSTD_HIGH = range(5)

#: The same for ``decompress``.
_METHODS = ('none', 'lz4', 'lz4', 'zstd', 'zstd')

#: Bytes of a decompressed packet, 8 million events, and of a buffer.
_MAX_PACKET, _PART = 1 << 27, 1 << 20

#: Bytes of the header; usual are a few thousand.
_MAX_HEADER = 1 << 20

#: Bytes of a struct ``Event``.
_EVENT = 16

#: Least events of a block, except for the last one.
_BLOCK = 1 << 17


@dataclass(frozen=True, slots=True)
class _Stream:
    """A stream of the file: its number in the packets, and what the header states of it."""

    number: int
    kind: str
    name: str
    source: str
    width: int
    height: int


class Aedat4Recording(BlockRecording):
    """
    Events of one camera in an ``.aedat4`` file; time is that of the file, since 1970 as a rule.

    Packets that are damaged are left out, and ``missing`` counts them.

    Parameters
    ----------
    path : Path
        The file.
    topic : str, optional
        Stream of events, for example ``'/events'``; by default the only one.

    Raises
    ------
    RecordingError
        A damaged header, no stream of events, or several of them.

    """

    def __init__(self, path: Path, topic: str | None = None) -> None:
        self.path = path
        self.format = 'aedat4'
        self.byte_size = path.stat().st_size
        with path.open('rb') as file:
            header = self._read_header(file)
            self._start = file.tell()
        try:
            self._compression = header.integer(0, '<i', 0)
            self._table = header.integer(1, '<q', -1)
            self._streams = _read_streams(header.string(2))
        except (FlatbufferError, ElementTree.ParseError, ValueError) as error:
            raise self._damaged(f'its header is damaged ({error})') from error
        if not _NONE <= self._compression <= _ZSTD_HIGH:
            raise RecordingError(
                f'{path} has the unknown compression {self._compression}; export it again with '
                'lz4, zstd or none'
            )
        # The table follows the packets, unless the recorder was killed
        inside = self._start <= self._table <= self.byte_size
        self._end = self._table if inside else self.byte_size
        self.progress = (0, self._end, 'bytes')
        self._cut = self._table > self.byte_size
        self._select(topic)

    def _damaged(self, reason: str) -> RecordingError:
        return RecordingError(f'{self.path} cannot be read: {reason}; copy it again')

    def _read_header(self, file: BinaryIO) -> Table:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise RecordingError(
                f'{self.path} is no AEDAT 4.0 file; convert older versions with the software of '
                'the camera'
            )
        prefix = file.read(4)
        size = int.from_bytes(prefix, 'little')
        if size > _MAX_HEADER:
            raise self._damaged(f'its header states {size} bytes')
        if len(prefix) < 4 or size > self.byte_size - file.tell():
            raise self._damaged('it is truncated in its header')
        try:
            return Table.root(prefix + file.read(size), b'IOHE')
        except FlatbufferError as error:
            raise self._damaged(f'its header is damaged ({error})') from error

    def _select(self, wanted: str | None) -> None:
        """Choose the stream to read."""
        streams = [each for each in self._streams.values() if each.kind == 'EVTS']
        names = _topic_names(streams)
        self.topics = tuple(EventTopic(name, 'EVTS', 0) for name in names)
        listing = ', '.join(names)
        if not streams:
            held = ', '.join(sorted({each.kind for each in self._streams.values()})) or 'none'
            raise RecordingError(
                f'{self.path} has no stream of events (streams: {held}); record with events'
            )
        if wanted is not None:
            chosen = [name for name in names if name.strip('/') == wanted.strip('/')]
            if not chosen:
                raise RecordingError(
                    f'{self.path} has no stream {wanted} with events; choose with --topic: '
                    f'{listing}'
                )
        elif len(names) > 1:
            raise RecordingError(
                f'{self.path} has {len(names)} streams of events; choose with --topic, once for '
                f'each camera: {listing}'
            )
        else:
            chosen = names
        self.topic, self.type = chosen[0], 'EVTS'
        self._stream = streams[names.index(chosen[0])]

    @property
    def sensor_size(self) -> tuple[int, int] | None:
        """Sensor size ``(height, width)`` from the header."""
        size = self._stream.height, self._stream.width
        return size if all(side > 0 for side in size) else None

    @property
    def truncated(self) -> bool:
        """Whether the file ends early; one with damaged packets does not."""
        return self._cut

    def _blocks(self) -> Iterator[Columns]:
        """Yield the events of many packets at a time."""
        self.progress, self.missing = (0, self._end, 'bytes'), ''
        packets, size = [], 0
        try:
            for events in self._packets():
                packets.append(events)
                size += len(events)
                if size >= _BLOCK * _EVENT:
                    yield from _convert(packets)
                    packets, size = [], 0
        except (RecordingError, OSError):
            yield from _convert(packets)
            raise
        yield from _convert(packets)

    def _packets(self) -> Iterator[np.ndarray]:
        """Yield the structs ``Event`` of each packet of the stream, as bytes."""
        self._damaged_at, self._cut = None, self._table > self.byte_size
        bad = readable = compressed = expanded = 0
        refused: ExpansionError | None = None
        with self.path.open('rb', buffering=_PART) as file:
            for at, number, size in self._places(file):
                if number == self._stream.number:
                    try:
                        events = self._read_packet(file.read(size))
                    except (FlatbufferError, ExpansionError) as error:
                        self._damaged_at = at
                        bad += 1
                        refused = error if isinstance(error, ExpansionError) else refused
                    else:
                        readable += 1
                        compressed, expanded = compressed + size, expanded + len(events)
                        if expanded > (limit := max_size(compressed)):
                            excess = ExpansionError(compressed, limit)
                            raise RecordingError(f'{self.path}: {excess}') from excess
                        yield events
                self.progress = (at, self._end, 'bytes')
        self.progress = (self._end, self._end, 'bytes')
        if bad and not readable:
            reason = f'none of its {bad} packets of events can be read'
            raise self._damaged(f'{reason} ({refused})' if refused else reason) from refused
        missing = [f'{self.path.name} is truncated'] if self._cut else []
        if self._damaged_at is not None:
            missing.append(
                f'{self.path.name} is damaged at byte {self._damaged_at}; {readable} packets of '
                'events can be read'
            )
        if refused is not None:
            missing.append(f'in a packet, {refused}')
        self.missing = '; '.join(missing)

    def _places(self, file: BinaryIO) -> Iterator[tuple[int, int, int]]:
        """
        Yield the place, stream and size of each packet, with the file at its content.

        From the first damage on only the places that the table lists are believed, if there is
        one.
        """
        at, listed = self._start, None
        while at + 8 <= self._end:
            if self._damaged_at is not None and listed is None:
                listed = self._read_table()
            if listed:
                following = bisect_left(listed, at)
                if following == len(listed):
                    return
                at = listed[following]
            file.seek(at)
            number, size = struct.unpack('<ii', file.read(8))
            # Not of 0 bytes: those are no packets but the zeros of a file that was not written
            if number in self._streams and 0 < size <= self._end - at - 8:
                yield at, number, size
                at += 8 + size
            elif number in self._streams and size > 0 and self._end == self.byte_size:
                self._cut = True
                return
            else:
                self._damaged_at = at
                listed = self._read_table() if listed is None else listed
                if not listed:
                    return
                at += 1
        self._cut |= at < self._end

    def _read_table(self) -> list[int]:
        """Return where the packets are by the table at the end, nothing if there is none."""
        if not self._start <= self._table < self.byte_size:
            return []
        with self.path.open('rb') as file:
            file.seek(self._table)
            content = file.read()
        try:
            # The place of a packet is that of its content
            entries = Table.root(_decompress(content, self._compression), b'FTAB').tables(0)
            places = sorted(entry.integer(0, '<q', 0) - 8 for entry in entries)
        except (FlatbufferError, ExpansionError):
            return []
        inside = all(self._start <= place <= self._end - 8 for place in places)
        return places if inside else []

    def _read_packet(self, content: bytes) -> np.ndarray:
        """Return the structs ``Event`` of a packet, as bytes."""
        packet = Table.root(_decompress(content, self._compression), b'EVTS')
        at, count = packet.vector(0, _EVENT)
        return np.frombuffer(packet.buffer, np.uint8, count * _EVENT, at)


def _convert(packets: list[np.ndarray]) -> Iterator[Columns]:
    """Yield the events of packets in blocks of at most ``8 * _BLOCK``."""
    data = packets[0] if len(packets) == 1 else np.concatenate([np.empty(0, np.uint8), *packets])
    step = 8 * _BLOCK * _EVENT
    for low in range(0, len(data), step):
        part = data[slice(low, low + step)]
        count = len(part) // _EVENT
        x, y, p, t = block = empty_events(count)
        library.sast_aedat4(part, count, *block)
        yield x, y, p, t


def _topic_names(streams: list[_Stream]) -> list[str]:
    """Return the names of streams: with the camera, or their number, where they are not unique."""
    choices = (
        [f'/{each.name}' for each in streams],
        [f'/{each.source}/{each.name}' for each in streams],
    )
    numbers = [f'/{each.number}' for each in streams]
    return next((names for names in choices if len(set(names)) == len(names)), numbers)


def _read_streams(text: str) -> dict[int, _Stream]:
    """Return the streams that the XML of the header describes, by their number."""
    if '<!' in text:  # neither entities nor document types belong here
        raise FlatbufferError('its XML has a declaration')
    streams = {}
    for node in ElementTree.fromstring(text).findall("./node[@name='outInfo']/node"):
        values = {attr.get('key', ''): attr.text or '' for attr in node.iter('attr')}
        number = int(node.get('name', ''))
        width, height = (
            int(side) if (side := values.get(key, '')).isdecimal() and len(side) < 6 else 0
            for key in ('sizeX', 'sizeY')
        )
        streams[number] = _Stream(
            number,
            values.get('typeIdentifier', ''),
            values.get('originalOutputName') or str(number),
            values.get('source', ''),
            width,
            height,
        )
    return streams


def _decompress(content: bytes, compression: int) -> bytes:
    """Return the content of a packet."""
    try:
        return bytes(decompress(content, _METHODS[compression], _MAX_PACKET))
    except (ExpansionError, SettingError, MemoryError):
        raise
    except Exception as error:  # of the library of the compression
        raise FlatbufferError(str(error) or type(error).__name__) from error
