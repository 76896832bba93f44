"""
Prophesee recordings on disk as streams of EventChunks in constant memory.

They are .raw (EVT 2.0, 2.1, 3.0) and .dat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import os
from typing import BinaryIO, Protocol

import numpy as np
from sast_ros.events import _native
from sast_ros.events.chunk import EventChunk, EventFormatError, MAX_SENSOR_SIDE
from sast_ros.events.codecs import open_payload_decoder

#: Bytes read at a time: 50 000 to 100 000 events of usual density.
BLOCK = 1 << 18

#: Events of one chunk at most; vectors of dense scenes put more into a block.
CHUNK = 100_000

_MAX_HEADER = 1 << 16
_WORDS = {'evt2': 4, 'evt21': 8, 'evt21;endianness=legacy': 8, 'evt3': 2}

#: Sensor (height, width) by what older headers tell: a name, or the generation. docs.prophesee.ai,
#: "Sensors".
_SENSORS = {
    'imx636': (720, 1280),
    'genx320': (320, 320),
    'gen4': (720, 1280),
    'gen3': (480, 640),
    '4': (720, 1280),
    '3': (480, 640),
}

#: DAT event types that hold x, y, polarity: Event2D of Gen1 data sets, and CD.
_DAT_TYPES = (0, 12)
_DAT_EVENT = 8


class PropheseeFile(Protocol):
    """
    An opened recording: iterate over it (again and again, each time from the beginning).

    Iterating raises EventFormatError where the file is damaged, after all events before the
    damage.
    """

    width: int
    height: int
    encoding: str
    #: Bytes of the file that the iteration under way has read, for a progress bar.
    position: int

    def __iter__(self) -> Iterator[EventChunk]:
        """Yield the events in order, at most CHUNK at a time."""


def open_prophesee_file(path: str | os.PathLike[str]) -> PropheseeFile:
    """
    Open a .raw or .dat recording; which of the two it is, the extension says.

    Raises
    ------
    EventFormatError: unknown extension, no header, or a header without a known event format.
    OSError: the file cannot be read.

    """
    name = os.fspath(path)
    reader = _READERS.get(os.path.splitext(name)[1].lower())
    if reader is None:
        raise EventFormatError(
            f'{name}: not a Prophesee recording by its name; .raw and .dat are read'
        )
    return reader(name)


def _read_header(file: BinaryIO, name: str) -> dict[str, str]:
    """
    Read the lines that begin with ``%`` and leave the file at the first byte behind them.

    Binary data may begin with the same byte, so a header line must also be text; newer headers end
    with ``% end``.
    """
    head = file.read(_MAX_HEADER)
    fields: dict[str, str] = {}
    at = 0
    while head.startswith(b'%', at):
        end = head.find(b'\n', at)
        line = head[at:end].rstrip(b'\r') if end >= 0 else b'\0'
        if not all(byte >= 0x20 or byte == 0x09 for byte in line):
            break
        key, _, value = line[1:].decode('latin-1').strip().partition(' ')
        at = end + 1
        if key == 'end':
            break
        fields.setdefault(key.lower(), value.strip())
    if at == 0:
        raise EventFormatError(
            f'{name}: no header line beginning with "%" at byte 0; the file is no Prophesee '
            'recording, or was cut',
            field='header',
            offset=0,
        )
    file.seek(at)
    return fields


def _side(name: str, field: str, text: str) -> int:
    """Read a sensor side in pixels from a header."""
    try:
        side = int(text)
    except ValueError:
        side = -1
    if not 0 < side <= MAX_SENSOR_SIDE:
        raise EventFormatError(
            f'{name}: header field {field} gives {text!r} pixels; expected 1 to {MAX_SENSOR_SIDE}',
            field=field,
        )
    return side


class RawFile:
    """
    Prophesee .raw: a text header, then the sensor's words as they came.

    Parameters
    ----------
    name: path of the file.

    Attributes
    ----------
    width, height: sensor size in pixels, 0 if the header does not tell.
    encoding: name of the codec.

    """

    def __init__(self, name: str) -> None:
        self._name = name
        with open(name, 'rb') as file:
            header = _read_header(file, name)
            self._start = file.tell()
        kind, options = _raw_format(name, header)
        self.height, self.width = _raw_geometry(name, header, options)
        self.encoding = kind
        self.position = 0

    def __iter__(self) -> Iterator[EventChunk]:
        """Decode block by block; time is the sensor's clock in microseconds."""
        decode = open_payload_decoder(self.encoding, self.height, self.width)
        word = _WORDS[self.encoding]
        with open(self._name, 'rb') as file:
            at = self._start
            file.seek(at)
            while block := file.read(BLOCK):
                rest = len(block) % word
                try:
                    events = decode(block[: len(block) - rest])
                except EventFormatError as problem:
                    raise EventFormatError(
                        f'{self._name}: damaged between bytes {at} and {at + len(block)}: '
                        f'{problem}',
                        field=problem.field,
                        offset=at,
                    ) from None
                self.position = at + len(block)
                yield from _chunks(events, self.width, self.height)
                at += len(block)
                if rest:
                    raise _cut(self._name, at, rest, word)


class DatFile:
    """
    Prophesee .dat: a text header, type and size of an event in a byte each, then 8-byte events.

    An event is {uint32 microseconds; x 14 bits, y 14 bits, polarity 4 bits}, in version 1 {x 9, y
    8, polarity 1}. Time rolls over after 71.6 minutes and is continued.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        with open(name, 'rb') as file:
            header = _read_header(file, name)
            at = file.tell()
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
                f'{name}: DAT version {self._version!r}; 1 and 2 are read', field='version'
            )
        self._start = at + 2
        self.encoding = 'dat'
        self.position = 0
        self.width, self.height = (
            _side(name, key, header[key]) if key in header else 0 for key in ('width', 'height')
        )

    def __iter__(self) -> Iterator[EventChunk]:
        """Decode block by block; time is the file's clock in microseconds."""
        last = np.full(1, -1, np.int64)
        with open(self._name, 'rb') as file:
            at = self._start
            file.seek(at)
            while block := file.read(BLOCK * 2):
                count, rest = divmod(len(block), _DAT_EVENT)
                x, y, p, t = arrays = _native.empty_events(count)
                bad = _native.dat(
                    block,
                    count,
                    int(self._version),
                    _native.address(last),
                    *_native.addresses(arrays),
                )
                if bad != _native.OK:
                    raise EventFormatError(
                        f'{self._name}: polarity at byte {at + bad * _DAT_EVENT} is {p[bad]}; it '
                        'must be 0 or 1',
                        field='polarity',
                        offset=at + bad * _DAT_EVENT,
                    )
                outside = _native.find_outside(x, y, self.width, self.height)
                if outside:
                    problem = _native.outside_error(
                        self._name, outside, x, y, self.width, self.height
                    )
                    raise EventFormatError(
                        f'{problem} (block at byte {at})',
                        field=outside[1],
                        offset=at + outside[0] * _DAT_EVENT,
                    )
                self.position = at + len(block)
                yield from _chunks(_native.settle(x, y, p, t), self.width, self.height)
                at += len(block)
                if rest:
                    raise _cut(self._name, at, rest, _DAT_EVENT)


_READERS: dict[str, Callable[[str], PropheseeFile]] = {'.raw': RawFile, '.dat': DatFile}


def _raw_format(name: str, header: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Codec name and options, from ``% format EVT3;height=720;width=1280`` or ``% evt 3.0``."""
    text = header.get('format') or header.get('evt', '')
    kind, *settings = text.replace(' ', '').lower().split(';')
    options = dict(setting.partition('=')[::2] for setting in settings)
    kind = {
        'evt2': 'evt2',
        '2.0': 'evt2',
        'evt21': 'evt21',
        '2.1': 'evt21',
        'evt3': 'evt3',
        '3.0': 'evt3',
    }.get(kind, '')
    if not kind:
        raise EventFormatError(
            f'{name}: the header gives the event format {text!r}; EVT2, EVT21 and EVT3 are read',
            field='format',
        )
    if kind == 'evt21':
        # IMX636 and its forerunners send the upper half of a word first, GenX320 does not
        # (docs.prophesee.ai, EVT 2.1); older headers do not say which, but name the sensor.
        endianness = options.get('endianness') or header.get('endianness')
        if endianness is None:
            endianness = (
                'legacy' if header.get('sensor_generation', '').startswith('4') else 'little'
            )
        if endianness not in ('little', 'legacy'):
            raise EventFormatError(
                f'{name}: the header gives the byte order {endianness!r}', field='endianness'
            )
        if endianness == 'legacy':
            kind = 'evt21;endianness=legacy'
    return kind, options


def _raw_geometry(name: str, header: dict[str, str], options: dict[str, str]) -> tuple[int, int]:
    """
    Sensor (height, width) as the header tells it.

    By ``% geometry 1280x720``, the options of the format, or the sensor's name.
    """
    found = set()
    if 'geometry' in header:
        width, _, height = header['geometry'].lower().partition('x')
        found.add((_side(name, 'geometry', height), _side(name, 'geometry', width)))
    if 'height' in options and 'width' in options:
        found.add(
            (_side(name, 'format', options['height']), _side(name, 'format', options['width']))
        )
    if len(found) > 1:
        raise EventFormatError(
            f'{name}: the header gives two sensor sizes: {found}', field='geometry'
        )
    if found:
        return found.pop()
    for text in (
        header.get('sensor_name', ''),
        header.get('plugin_name', ''),
        header.get('sensor_generation', ''),
    ):
        for sensor, size in _SENSORS.items():
            if text.lower().startswith(sensor) if sensor.isdigit() else sensor in text.lower():
                return size
    return 0, 0


def _chunks(events: _native.DecodedEvents, width: int, height: int) -> Iterator[EventChunk]:
    """Cut the events of a block into chunks; counts go with the first."""
    x, y, p, t, clamped, dropped, restarted = events
    for start in range(0, max(len(t), int(dropped > 0)), CHUNK):
        part = slice(start, start + CHUNK)
        first = start == 0
        yield EventChunk(
            x[part],
            y[part],
            p[part],
            t[part],
            width=width,
            height=height,
            clamped=clamped if first else 0,
            dropped=dropped if first else 0,
            discontinuity=restarted and first,
            checked=True,
        )


def _cut(name: str, size: int, rest: int, word: int) -> EventFormatError:
    return EventFormatError(
        f'{name}: the file ends at byte {size} with {rest} of the {word} bytes of a word; it was '
        'cut short, all events before have been read',
        field='events',
        offset=size - rest,
    )
