# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Text files with one event a line as recordings, also compressed (``.gz``, ``.zip``).

Columns are separated by blanks, tabs, commas or semicolons. The first lines may be comments (``#``
or ``%``), the size of the sensor (``width height``, as in the data sets of E2VID, or the comment
``# width 640, height 480``) and a header with the names of the columns. ``columns.py`` has the
rules of names, units and polarities.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
import gzip
from pathlib import Path
import re
from typing import Any, BinaryIO
import zipfile
import zlib

import numpy as np
from sast_ros.bags import columns
from sast_ros.bags.blocks import BlockRecording, Columns
from sast_ros.bags.errors import is_of_system, RecordingError, system_problem
from sast_ros.events._native import INVALID_POLARITY
from sast_ros.kernels import library

TEXT_SUFFIXES = ('.txt', '.csv', '.txt.gz', '.csv.gz', '.zip')

#: Bytes read at a time; the longest line.
_BLOCK = 1 << 21

#: Bytes of the first lines, which decide about columns and units.
_HEAD = 1 << 18

_COMMENTS = ('#', '%')

#: Names of the one file of an archive.
_IN_ARCHIVE = ('.txt', '.csv')

_DAMAGES = (OSError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error)

_SEPARATORS = re.compile(r'[\s,;"]+')
# Digits belong to one part of a pattern only: the time would grow with the square of their number
_NUMBER = re.compile(r'[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?', re.ASCII)
_SIZE = re.compile(r'width\W+([1-9]\d{0,5})\W+height\W+([1-9]\d{0,5})')
_INTEGER = re.compile(r'[+-]?\d+', re.ASCII)
_TRUTH = {'false': '0', 'true': '1'}

#: Numbers of the fields and of skipped columns, and reasons, as in kernels/files.c.
_FIELDS = {'x': 0, 'y': 1, 'p': 2, 't': 3, '': -1}
_TOO_FEW, _TOO_MANY = 2, 3
_REASONS = {
    1: 'is no number',
    4: 'is no whole number',
    5: 'is no time that fits 64 bits',
    6: 'is no polarity',
}

#: Bytes that are kept of a line that is longer than any, such as a hole of zeros.
_KEPT = 64


@dataclass(slots=True)
class _Layout:
    """
    What the first lines say of the others.

    Attributes
    ----------
    skipped : int
        Lines before the events.
    fields : tuple of str
        Field of each column, ``''`` for those that are not read.
    unit : str
        Unit of the times.
    size : tuple of int, optional
        Height and width of the sensor.

    """

    skipped: int = 0
    fields: tuple[str, ...] = ()
    unit: str = 'us'
    size: tuple[int, int] | None = None


class TextRecording(BlockRecording):
    """
    Events of a text file, time as in the file.

    Parameters
    ----------
    path : Path
        ``.txt`` or ``.csv``, the same with ``.gz``, or a ``.zip`` with one of them.

    Raises
    ------
    RecordingError
        The first line with an event has other columns, or the archive holds no or several files.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.format = 'text'
        self.byte_size = path.stat().st_size
        self.progress = (0, self.byte_size, 'bytes')
        self._layout = self._read_layout()
        self.type = ' '.join(field or '-' for field in self._layout.fields)

    @property
    def sensor_size(self) -> tuple[int, int] | None:
        """Sensor size ``(height, width)`` if the first line states it."""
        return self._layout.size

    def _blocks(self) -> Iterator[Columns]:
        """Yield the events of many lines at a time."""
        self.progress, self.missing = (0, self.byte_size, 'bytes'), ''
        line, count = 0, columns.RowCount()
        parts = self._whole_lines()
        for text, last in parts:
            if line < self._layout.skipped:  # all of them are in the first part
                line = self._layout.skipped
                text = text.split(b'\n', line)[line]
            block, (wrong, *first) = self._parse(text)
            if wrong and last:
                self.missing = f'{self.path.name} is truncated: its last line is incomplete'
                return
            if count.add(len(block[3]), wrong):
                for _ in parts:
                    pass  # the end of what is compressed tells whether it is damaged
                whole = int(np.argmax(block[2] == INVALID_POLARITY))
                if 'damaged' in self.missing and count.rows - len(block[3]) + whole:
                    x, y, p, t = (column[:whole] for column in block)
                    yield x, y, p, t
                    return
                yield block
                raise self._wrong_line(count, text, line, *first)
            yield block
            line += text.count(b'\n')

    def _parse(self, text: bytes) -> tuple[Columns, list[int]]:
        """Return the events of whole lines, how many are wrong, and where and why the first is."""
        layout, count = self._layout, text.count(b'\n')
        x, y = np.empty((2, count + 1), np.int32)
        p, t = np.empty(count + 1, np.uint8), np.empty(count + 1, np.int64)
        fields = np.array([_FIELDS[field] for field in layout.fields], np.int32)
        shift, result = columns.UNITS[layout.unit], np.zeros(5, np.int64)
        n = library.sast_text(text, len(text), fields, len(fields), shift, x, y, p, t, result)
        return (x[:n], y[:n], p[:n], t[:n]), result.tolist()

    def _wrong_line(
        self,
        count: columns.RowCount,
        text: bytes,
        before: int,
        start: int,
        number: int,
        reason: int,
        column: int,
    ) -> RecordingError:
        end = text.index(b'\n', start)
        line = text[start:end].decode('latin-1')
        words = [word for word in _SEPARATORS.split(line) if word]
        wanted = self._layout.fields
        if reason in (_TOO_FEW, _TOO_MANY):
            what = f'has {len(words)} columns instead of {len(wanted)}'
        else:
            word = words[column] if column < len(words) else ''
            what = f'has {word[:40]!r} for {wanted[column]}, which {_REASONS[reason]}'
        return RecordingError(
            f'{self.path}: {count.wrong} of the first {count.rows} lines cannot be read, among '
            f'them line {before + number + 1}, which {what} ({line[:60]!r}); give one event a '
            'line, with the names of the columns in the first line'
        )

    def _whole_lines(self) -> Iterator[tuple[bytes, bool]]:
        """Yield parts of the text that end with a line, and whether it is the unended last one."""
        rest, found = b'', False
        for part in _plain(self._parts()):
            end = part.rfind(b'\n') + 1
            if end:
                yield rest + part[:end], False
                rest, found = part[end:], True
            else:
                rest += part
            if len(rest) > _BLOCK and not found:
                raise RecordingError(
                    f'{self.path} has a line of more than {_BLOCK} bytes; name a text file with '
                    'one event a line'
                )
            rest = rest if len(rest) <= _BLOCK else rest[:_KEPT]
        if rest and not self.missing:
            yield rest + b'\n', True

    def _parts(self) -> Iterator[bytes]:
        """Yield the text in parts of at most ``2 * _BLOCK`` bytes."""
        with ExitStack() as stack:
            file = stack.enter_context(self.path.open('rb'))
            damage: Exception | None = None
            pieces, size, found = [], 0, False
            try:
                text = self._open_text(file, stack)
                # read() would lose what lies before the end of a truncated file
                while piece := text.read1(_BLOCK):
                    pieces.append(piece)
                    size += len(piece)
                    found = True
                    if size >= _BLOCK:
                        self.progress = (min(file.tell(), self.byte_size), self.byte_size, 'bytes')
                        yield b''.join(pieces)
                        pieces, size = [], 0
            except RecordingError:
                raise
            except EOFError:
                self.missing = f'{self.path.name} is truncated'
            except _DAMAGES as error:
                damage = error
                if found and not is_of_system(error):
                    self.missing = (
                        f'{self.path.name} is damaged; from there on it cannot be decompressed '
                        f'({error})'
                    )
            self.progress = (self.byte_size, self.byte_size, 'bytes')
            if pieces:
                yield b''.join(pieces)
            if damage is not None and not self.missing:
                reason = system_problem(damage) or (
                    f'it cannot be decompressed ({damage}); copy it again'
                )
                raise RecordingError(f'{self.path}: {reason}') from damage

    def _open_text(self, file: BinaryIO, stack: ExitStack) -> Any:
        """Return the stream of the decompressed text."""
        suffix = self.path.suffix.lower()
        if suffix == '.gz':
            return stack.enter_context(gzip.GzipFile(fileobj=file))
        if suffix != '.zip':
            return file
        archive = stack.enter_context(zipfile.ZipFile(file))
        texts = [
            entry
            for entry in archive.infolist()
            if entry.filename.lower().endswith(_IN_ARCHIVE)
            and not entry.filename.startswith('__MACOSX')
        ]
        if len(texts) != 1:
            raise RecordingError(
                f'{self.path} holds {len(texts)} text files (.txt, .csv); unpack it and name one'
            )
        if texts[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise RecordingError(
                f'{self.path} is not compressed with deflate, as usual; unpack it and name the '
                'text file'
            )
        return stack.enter_context(archive.open(texts[0]))

    def _read_layout(self) -> _Layout:
        """Read the lines before the events, and the first events."""
        text, _ = next(self._whole_lines(), (b'', True))
        head = text[:_HEAD].rpartition(b'\n')[0] if len(text) > _HEAD else text
        lines = head.decode('latin-1').split('\n')
        layout = _Layout()
        names = self._read_header(lines, layout)
        del lines[: layout.skipped]
        rows = [words for line in lines if (words := _words(line))]
        rows = [words for words in rows[: columns.SAMPLE] if not words[0].startswith(_COMMENTS)]
        if not rows and len(text) > _HEAD:
            raise RecordingError(
                f'{self.path} has no events in its first {_HEAD >> 10} KiB; name a text file with '
                'one event a line'
            )
        if not rows:
            layout.fields = tuple(columns.ORDERS[0])
            return layout
        # Single lines may be damaged
        ((width, _),) = Counter(map(len, rows)).most_common(1)
        found = columns.find_fields(names) if len(names) == width else {}
        if found:
            layout.fields = tuple(
                next((field for field in found if found[field] == name), '') for name in names
            )
        elif width == len(columns.FIELDS):
            layout.fields = tuple(columns.column_order(_values(rows, range(width), width)))
        else:
            raise RecordingError(
                f'{self.path}: line {layout.skipped + 1} has {width} columns; give t x y p, or a '
                'first line with their names'
            )
        column = layout.fields.index('t')
        times = _values(rows, [column], width)[:, 0]
        written = [row[column] for row in rows if len(row) == width and _is_value(row[column])]
        if all(map(_INTEGER.fullmatch, written)):
            times = np.clip(times, -(2.0**62), 2.0**62).astype(np.int64)
        named = columns.name_unit(found['t']) if found else None
        layout.unit = named or columns.time_unit(times)
        return layout

    def _read_header(self, lines: list[str], layout: _Layout) -> list[str]:
        """Find the first event; return the names of the columns before it, if there are any."""
        names: list[str] = []
        damaged: int | None = None
        for index, line in enumerate(lines):
            layout.skipped = index
            words = _words(line)
            if not words:
                continue
            given = _header_names(line)
            if line.lstrip().startswith(_COMMENTS):
                names = given if columns.find_fields(given) else names
                stated = _SIZE.search(line)
                layout.size = (int(stated[2]), int(stated[1])) if stated else layout.size
            elif len(words) == 2 and all(word.isdecimal() for word in words):
                width, height = (int(word[:6]) for word in words)
                layout.size = (height, width) if width and height else None
            elif all(_is_value(word) for word in words) or names:
                if damaged is not None and not names:
                    layout.skipped = damaged
                return names
            elif columns.find_fields(given):
                names = given
            elif damaged is None and any(_is_value(word) for word in words):
                damaged = index  # an event, or a title
            else:
                raise RecordingError(
                    f'{self.path}: line {index + 1} ({line[:60]!r}) is neither an event (t x y p) '
                    'nor the names of the columns; name a text file with one event a line'
                )
        layout.skipped = len(lines) - 1  # the last one is empty, or has no events either
        return names


def _plain(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the parts of a text with line feeds, in UTF-8 if it has a byte order mark."""
    decoder, ends_in_cr = None, False
    for number, part in enumerate(parts):
        if number == 0 and part.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            decoder = codecs.getincrementaldecoder('utf-16')('replace')
        if decoder is not None:
            part = decoder.decode(part).encode(errors='replace')
        if number == 0:
            part = part.removeprefix(codecs.BOM_UTF8)
            ends_in_cr = b'\n' not in part and b'\r' in part
        yield part.replace(b'\r', b'\n') if ends_in_cr else part


def _words(line: str) -> list[str]:
    return [word for word in _SEPARATORS.split(line) if word]


def _header_names(line: str) -> list[str]:
    """Return the words of a header, which may have units after blanks."""
    text = line.strip().lstrip('#% ').replace('"', '')
    separated = re.split(r'[,;\t]', text)
    return [name.strip() for name in separated] if len(separated) > 1 else text.split()


def _is_value(word: str) -> bool:
    return _NUMBER.fullmatch(word) is not None or word.lower() in _TRUTH


def _values(rows: list[list[str]], indices: Iterable[int], width: int) -> np.ndarray:
    """Return columns of those rows that are whole and hold numbers."""
    whole = [row for row in rows if len(row) == width]
    chosen = [[row[index] for index in indices] for row in whole]
    return np.array(
        [
            [_TRUTH.get(word.lower(), word) for word in words]
            for words in chosen
            if all(map(_is_value, words))
        ],
        np.float64,
    ).reshape(-1, len(list(indices)))
