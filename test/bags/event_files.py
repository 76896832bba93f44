# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Small files of events in every format without messages, made on the spot."""

from __future__ import annotations

from collections.abc import Callable
import gzip
from pathlib import Path
import struct
import zipfile

from bags.recordings import HEIGHT, WIDTH
import lz4.frame
import numpy as np
import zstandard

Events = dict[str, np.ndarray]

_EVENT = np.dtype(
    {
        'names': ['t', 'x', 'y', 'p'],
        'formats': ['<i8', '<i2', '<i2', '?'],
        'offsets': [0, 8, 10, 12],
        'itemsize': 16,
    }
)

#: ``IOHeader.compression`` by name, and what compresses a packet.
COMPRESSIONS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    'none': (0, bytes),
    'lz4': (1, lz4.frame.compress),
    'lz4 high': (2, lambda data: lz4.frame.compress(data, compression_level=9)),
    'zstd': (3, zstandard.compress),
    'zstd high': (4, lambda data: zstandard.compress(data, 15)),
}

_STREAM = """<node name="{number}"><attr key="originalOutputName">{name}</attr>
<attr key="typeIdentifier">{kind}</attr><node name="info"><attr key="source">{source}</attr>
<attr key="sizeX">{width}</attr><attr key="sizeY">{height}</attr></node></node>"""


def flatbuffer(
    identifier: bytes, fields: list[bytes], vector: bytes = b'', count: int = 0
) -> bytes:
    """Return a root table with a size before it; its last field refers to the vector."""
    fields = [*fields, b'\0\0\0\0']
    offsets, at = [], 4
    for field in fields:
        offsets.append(at)
        at += len(field)
    table = struct.pack(f'<HH{len(fields)}H', 4 + 2 * len(fields), at, *offsets)
    table += b'\0' * (-len(table) % 4)
    fields[-1] = struct.pack('<I', at - offsets[-1])
    body = struct.pack('<I4s', 8 + len(table), identifier) + table
    body += struct.pack('<i', len(table)) + b''.join(fields) + struct.pack('<I', count) + vector
    return struct.pack('<I', len(body)) + body


def _packet_table(places: list[int]) -> bytes:
    """Return the flatbuffer ``FileDataTable``, of which each entry has its first field only."""
    count = len(places)
    # Offsets of the entries, the fields of all entries, the entries
    vector = b''.join(struct.pack('<I', 4 * (count - i) + 8 + 12 * i) for i in range(count))
    vector += struct.pack('<4H', 6, 12, 4, 0)
    vector += b''.join(struct.pack('<iq', 8 + 12 * i, place) for i, place in enumerate(places))
    return flatbuffer(b'FTAB', [], vector, count)


def event_packet(events: Events) -> bytes:
    """Return the flatbuffer ``EventPacket``."""
    structs = np.zeros(len(events['t']), _EVENT)
    for name in 'xypt':
        structs[name] = events[name]
    return flatbuffer(b'EVTS', [], structs.tobytes(), len(structs))


def aedat4_header(
    streams: list[tuple[int, str, str, str]], compression: int, end: int = -1, xml: str = ''
) -> bytes:
    """Return magic and ``IOHeader`` for streams of (number, kind, name, source)."""
    xml = xml or '<dv><node name="outInfo">{}</node></dv>'.format(
        ''.join(
            _STREAM.format(
                number=number, kind=kind, name=name, source=source, width=WIDTH, height=HEIGHT
            )
            for number, kind, name, source in streams
        )
    )
    fields = [struct.pack('<i', compression), struct.pack('<q', end)]
    header = flatbuffer(b'IOHE', fields, xml.encode(), len(xml.encode()))
    return b'#!AER-DAT4.0\r\n' + header


def aedat4(
    events: Events,
    compression: str = 'none',
    packet: int = 50,
    streams: tuple[tuple[int, str, str, str], ...] = ((0, 'EVTS', 'events', 'davis'),),
    table: bool = True,
) -> bytes:
    """Return a file whose streams of events all hold the events; others have a packet each."""
    code, compress = COMPRESSIONS[compression]
    content, places = bytearray(), []
    for low in range(0, len(events['t']), packet):
        part = {name: values[slice(low, low + packet)] for name, values in events.items()}
        for number, kind, *_ in streams:
            data = event_packet(part) if kind == 'EVTS' else flatbuffer(kind.encode(), [])
            data = compress(data)
            places.append(len(content) + 8)
            content += struct.pack('<ii', number, len(data)) + data
    size = len(aedat4_header(list(streams), code))
    end = size + len(content) if table else -1
    content = aedat4_header(list(streams), code, end) + content
    return content + compress(_packet_table([size + place for place in places])) * table


def event_stream(events: Events, kind: int = 1, version: int = 2) -> bytes:
    """Return an Event Stream file."""
    content = bytearray(b'Event Stream' + bytes([version, 0, 0, kind]))
    content += struct.pack('<HH', WIDTH, HEIGHT)
    last = 0
    for x, y, p, t in zip(*(events[name].tolist() for name in 'xypt'), strict=True):
        overflows, rest = divmod(t - last, 127)
        content += b'\xff' * overflows
        content += struct.pack('<BHH', rest << 1 | p, x, HEIGHT - 1 - y)
        last = t
    return bytes(content)


def text(events: Events, line: str = '{t} {x} {y} {p}\n', head: str = '') -> bytes:
    """Return a text with a line for each event."""
    names = ('x', 'y', 'p', 't')
    rows = zip(*(events[name].tolist() for name in names), strict=True)
    lines = [
        line.format(
            **dict(zip(names, row, strict=True)),
            s=row[3] / 1e6,
            sign=2 * row[2] - 1,
            truth=bool(row[2]),
        )
        for row in rows
    ]
    return (head + ''.join(lines)).encode()


def table(events: Events, order: str = 'txyp', dtype: str = 'i8') -> np.ndarray:
    """Return the events as ``[N, 4]``."""
    return np.stack([events[name] for name in order], 1).astype(dtype)


def structured(events: Events) -> np.ndarray:
    """Return the events as a structured array with other names and byte orders."""
    fields = [('x', '<u2'), ('y', '>u2'), ('polarity', '?'), ('timestamp', '<i8')]
    rows = np.zeros(len(events['t']), fields)
    for (name, _), values in zip(fields, (events[each] for each in 'xypt'), strict=True):
        rows[name] = values
    return rows


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    """Write an archive."""
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_every_format(folder: Path, events: Events) -> list[Path]:
    """Write the events once in each format, HDF5 aside."""
    plain = text(events)
    for name, content in {
        'lz4.aedat4': aedat4(events, 'lz4'),
        'plain.aedat4': aedat4(events),
        'zstd.aedat4': aedat4(events, 'zstd', table=False),
        'dvs.es': event_stream(events),
        'plain.txt': plain,
        'header.csv': text(events, '{x},{y},{p},{t}\r\n', 'x,y,p,t_us\r\n'),
        'packed.txt.gz': gzip.compress(plain),
    }.items():
        (folder / name).write_bytes(content)
    write_zip(folder / 'packed.zip', {'data/events.txt': plain})
    np.save(folder / 'table.npy', table(events))
    np.save(folder / 'columns.npy', np.asfortranarray(table(events)))
    np.save(folder / 'structured.npy', structured(events))
    np.savez(folder / 'columns.npz', **events, width=WIDTH, height=HEIGHT)
    np.savez_compressed(folder / 'packed.npz', events=table(events))
    return sorted(path for path in folder.iterdir() if path.is_file())
