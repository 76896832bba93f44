# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Text headers of Prophesee files, of all ages."""

from __future__ import annotations

import re
from typing import BinaryIO

from sast_ros.events.chunk import EventFormatError, MAX_SENSOR_SIDE, refuse_sensor_size
from sast_ros.events.codecs import SPELLINGS, UNSUPPORTED

#: Longest header, bytes; usual ones have a few hundred.
_MAX_HEADER = 1 << 20

#: Binary data that begins like a header line has no text of this length, bytes.
_MAX_TEXT = 1 << 16

#: Bytes that no header line has: control characters other than tab and the ends of lines.
_BINARY = re.compile(rb'[\x00-\x08\n-\x1f]')

#: Characters of a header field in an error.
_MAX_SHOWN = 60

#: Header field of files that sast_ros writes, where the clock of the format is too short:
#: ``% sast_ros_clock INDEX:TIME INDEX:TIME ...``, times in microseconds of the events with these
#: numbers, from which the clock of the file is continued. Other readers skip it.
CLOCK_FIELD = 'sast_ros_clock'

_MAX_TIME = 1 << 62

#: Sensor (height, width) by its name, or by the generation in older headers. docs.prophesee.ai,
#: "Sensors".
_SENSORS = {
    'imx636': (720, 1280),
    'genx320': (320, 320),
    'gen4': (720, 1280),
    'gen3': (480, 640),
    '4': (720, 1280),
    '3': (480, 640),
}


def read_header(file: BinaryIO, name: str) -> dict[str, str]:
    """
    Read the lines that begin with ``%`` and leave the file at the first byte after them.

    Binary data may begin with the same byte, so a header line must also be text; newer headers end
    with ``% end``.
    """
    fields: dict[str, str] = {}
    at = 0
    while (line := file.readline(_MAX_HEADER + 1 - at)).startswith(b'%'):
        text = line.removesuffix(b'\n').rstrip(b'\r')
        binary = _BINARY.search(text)
        if binary and binary.start() < _MAX_TEXT:
            break
        at += len(line)
        if binary or at > _MAX_HEADER:
            raise EventFormatError(
                f'{name}: the header does not end within {_MAX_HEADER} bytes, or ends in binary '
                'data; the file is no Prophesee recording, or damaged',
                field='header',
                offset=at,
            )
        if not line.endswith(b'\n'):  # the file ends in it
            at -= len(line)
            break
        key, _, value = text[1:].decode('latin-1').strip().partition(' ')
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


def shown(text: str) -> str:
    """Return a text of a file as an error shows it."""
    return repr(text if len(text) <= _MAX_SHOWN else f'{text[:_MAX_SHOWN]}...')


def read_side(name: str, field: str, text: str) -> int:
    """Read a sensor side in pixels from a header."""
    try:
        side = int(text)
    except ValueError:
        side = -1
    if not 0 < side <= MAX_SENSOR_SIDE:
        raise EventFormatError(
            f'{name}: header field {field} is {shown(text)} pixels; expected 1 to '
            f'{MAX_SENSOR_SIDE}',
            field=field,
        )
    return side


def read_clock(name: str, header: dict[str, str]) -> list[tuple[int, int]]:
    """
    Return number and time in us of the events that ``CLOCK_FIELD`` gives, in this order.

    Raises
    ------
    EventFormatError
        The field is not as this package writes it.

    """
    points: list[tuple[int, int]] = []
    for text in header.get(CLOCK_FIELD, '').split():
        try:
            index, time = map(int, text.split(':'))
        except ValueError:
            index, time = -1, 0
        if index <= (points[-1][0] if points else -1) or abs(time) > _MAX_TIME:
            raise EventFormatError(
                f'{name}: header field {CLOCK_FIELD} has the entry {shown(text)}; expected '
                'growing INDEX:TIME',
                field=CLOCK_FIELD,
            )
        points.append((index, time))
    return points


def clock_line(points: list[tuple[int, int]]) -> str:
    """Return the header line for number and time of some events, empty for none."""
    entries = ''.join(f' {index}:{time}' for index, time in points)
    return f'% {CLOCK_FIELD}{entries}\n' if points else ''


def raw_format(name: str, header: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Return codec and options of ``% format EVT3;height=720;width=1280`` or ``% evt 3.0``."""
    text = header.get('format') or header.get('evt', '')
    kind, *settings = text.replace(' ', '').lower().split(';')
    options = dict(setting.partition('=')[::2] for setting in settings)
    kind = SPELLINGS.get(f'evt{kind}', kind)
    if kind not in ('evt2', 'evt21', 'evt3'):
        known = UNSUPPORTED.get(kind, 'EVT2, EVT21 and EVT3 are read')
        raise EventFormatError(
            f'{name}: unknown event format {shown(text)} in the header; {known}', field='format'
        )
    if kind != 'evt21':
        return kind, options
    # IMX636 and its forerunners send the upper half of a word first, GenX320 does not
    # (docs.prophesee.ai, EVT 2.1); older headers have no endianness, but the sensor.
    endianness = options.get('endianness') or header.get('endianness')
    if endianness is None:
        older = header.get('sensor_generation', '').startswith('4')
        endianness = 'legacy' if older else 'little'
    if endianness not in ('little', 'legacy'):
        raise EventFormatError(
            f'{name}: unknown byte order {shown(endianness)} in the header', field='endianness'
        )
    return ('evt21;endianness=legacy' if endianness == 'legacy' else kind), options


def raw_sensor_size(name: str, header: dict[str, str], options: dict[str, str]) -> tuple[int, int]:
    """Return (height, width) by ``% geometry 1280x720``, options or sensor, 0 if unknown."""
    found = set()
    if 'geometry' in header:
        width, _, height = header['geometry'].lower().partition('x')
        found.add((read_side(name, 'geometry', height), read_side(name, 'geometry', width)))
    if 'height' in options and 'width' in options:
        height, width = (options[key] for key in ('height', 'width'))
        found.add((read_side(name, 'format', height), read_side(name, 'format', width)))
    if len(found) > 1:
        raise EventFormatError(
            f'{name}: the header has two sensor sizes: {found}', field='geometry'
        )
    if found:
        size = found.pop()
        reason = refuse_sensor_size(*size)
        if reason:
            raise EventFormatError(
                f'{name}: the header has a sensor of {size[1]}x{size[0]} pixels: {reason}',
                field='geometry',
            )
        return size
    for key in ('sensor_name', 'plugin_name', 'sensor_generation'):
        text = header.get(key, '').lower()
        for sensor, known in _SENSORS.items():
            if text.startswith(sensor) if sensor.isdigit() else sensor in text:
                return known
    return 0, 0
