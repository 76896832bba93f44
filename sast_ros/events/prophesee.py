# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Prophesee files, .raw (EVT 2.0, 2.1, 3.0) and .dat, as EventChunks in constant memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import pairwise
import os
from typing import BinaryIO

import numpy as np
from sast_ros.events import _native
from sast_ros.events.chunk import EventChunk, EventFormatError
from sast_ros.events.codecs import open_payload_decoder
from sast_ros.events.encoders import EVT3_PERIOD_US
from sast_ros.events.order import in_order, sort_blocks
from sast_ros.events.prophesee_header import (
    raw_format,
    raw_sensor_size,
    read_clock,
    read_header,
    read_side,
    shown,
)
from sast_ros.kernels import library

#: Bytes read at a time: 50 000 to 100 000 events of usual density.
BLOCK = 1 << 18

_WORD_SIZES = {'evt2': 4, 'evt21': 8, 'evt21;endianness=legacy': 8, 'evt3': 2, 'dat': 8}

#: DAT event types that hold x, y, polarity: Event2D of Gen1 data sets, and CD.
_DAT_TYPES = (0, 12)
_DAT_EVENT = 8

#: Decodes a block of whole words.
_BlockDecoder = Callable[[bytes], _native.DecodedEvents]


class TruncatedFileError(EventFormatError):
    """A file that ends within a word; all events before it were yielded."""


class PropheseeFile(ABC):
    """
    Prophesee recording; every iteration begins at its start.

    Iterating raises EventFormatError where the file is damaged, after all events before the
    damage.

    Attributes
    ----------
    width, height : int
        Sensor size in pixels, 0 if unknown.
    encoding : str
        Name of the codec, or ``'dat'``.
    position : int
        Bytes that the current iteration has read, for a progress bar.

    """

    width: int
    height: int
    encoding: str
    _block = BLOCK

    def __init__(self, name: str) -> None:
        self._name = name
        self.position = 0
        with open(name, 'rb') as file:
            header = read_header(file, name)
            self._clock = read_clock(name, header)
            self._read_format(header, file)
            self._start = file.tell()

    def __iter__(self) -> Iterator[EventChunk]:
        """Yield the events in the order of time, without strays; time is in microseconds."""
        return in_order(sort_blocks(self._blocks(), self.width, self.height, self._name))

    def _blocks(self) -> Iterator[_native.DecodedEvents]:
        decode = self._open_decoder()
        word = _WORD_SIZES[self.encoding]
        with open(self._name, 'rb') as file:
            at = self._start
            file.seek(at)
            while block := file.read(self._block):
                rest = len(block) % word
                at += len(block)
                self.position = at
                yield decode(block[: len(block) - rest])
                if rest:
                    raise TruncatedFileError(
                        f'{self._name}: the file ends at byte {at} with {rest} of the {word} '
                        'bytes of a word; it was cut short, all events before have been read',
                        field='events',
                        offset=at - rest,
                    )

    @abstractmethod
    def _read_format(self, header: dict[str, str], file: BinaryIO) -> None:
        """Set encoding and sensor size, and leave the file at the first event."""

    @abstractmethod
    def _open_decoder(self) -> _BlockDecoder:
        """Return a new decoder of blocks."""


class RawFile(PropheseeFile):
    """Prophesee .raw: a text header, then the words of the sensor."""

    def _read_format(self, header: dict[str, str], file: BinaryIO) -> None:
        self.encoding, options = raw_format(self._name, header)
        self.height, self.width = raw_sensor_size(self._name, header, options)

    def _open_decoder(self) -> _BlockDecoder:
        codec = open_payload_decoder(self.encoding)
        if not self._clock:
            return codec
        # The words give the first time modulo the period of the clock
        offset = self._clock[0][1] // EVT3_PERIOD_US * EVT3_PERIOD_US

        def decode(block: bytes) -> _native.DecodedEvents:
            events = codec(block)
            return events._replace(t=events.t + offset)

        return decode


class DatFile(PropheseeFile):
    """
    Prophesee .dat: a text header, type and size of an event in a byte each, then 8-byte events.

    An event is {uint32 microseconds; x 14 bits, y 14 bits, polarity 4 bits}, in version 1 {x 9, y
    8, polarity 1}. Time rolls over after 71.6 minutes and is continued, past times with
    flipped bits.
    """

    encoding = 'dat'
    _block = 2 * BLOCK

    def _read_format(self, header: dict[str, str], file: BinaryIO) -> None:
        name, at = self._name, file.tell()
        kind = file.read(2)
        if len(kind) < 2:
            raise EventFormatError(
                f'{name}: cut at byte {at}, before type and size of an event', offset=at
            )
        if kind[0] not in _DAT_TYPES or kind[1] != _DAT_EVENT:
            raise EventFormatError(
                f'{name}: events of type {kind[0]} with {kind[1]} bytes at byte {at}; '
                f'only pixel events (type 0 or 12, {_DAT_EVENT} bytes) are read',
                field='event type',
                offset=at,
            )
        self._version = header.get('version', '2')
        if self._version not in ('1', '2'):
            raise EventFormatError(
                f'{name}: DAT version {shown(self._version)}; 1 and 2 are read', field='version'
            )
        self.width, self.height = (
            read_side(name, key, header[key]) if key in header else 0
            for key in ('width', 'height')
        )

    def _open_decoder(self) -> _BlockDecoder:
        clock = np.zeros(_native.CLOCK_SIZE, np.int64)
        version, points, done = int(self._version), dict(self._clock), 0

        def decode(block: bytes) -> _native.DecodedEvents:
            nonlocal done
            count = len(block) // _DAT_EVENT
            arrays = _native.empty_events(count)
            inside = [index - done for index in points if done < index < done + count]
            for low, high in pairwise([0, *inside, count]):
                if done + low in points:
                    clock[:] = _native.clock_at(points[done + low])
                begin, end = low * _DAT_EVENT, high * _DAT_EVENT
                part = (array[low:high] for array in arrays)
                library.sast_dat(block[begin:end], high - low, version, clock, *part)
            done += count
            return _native.DecodedEvents(*arrays)

        return decode


def open_prophesee_file(path: str | os.PathLike[str]) -> PropheseeFile:
    """
    Open a .raw or .dat recording; its extension selects the format.

    Raises
    ------
    EventFormatError
        Unknown extension, no header, or a header without a known event format.
    OSError
        The file cannot be read.

    """
    name = os.fspath(path)
    extension = os.path.splitext(name)[1].lower()
    if extension not in ('.raw', '.dat'):
        raise EventFormatError(
            f'{name}: not a Prophesee recording by its name; .raw and .dat are read'
        )
    return RawFile(name) if extension == '.raw' else DatFile(name)
