# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Readers of recordings as targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
import gzip
import io
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
import zipfile

from bags import event_files, recordings
from events import encoders
from fuzz.engine import check_chunk, Input
from fuzz.messages import ENCODINGS, PayloadGenerator
from fuzz.mutation import mutate
from sast_ros.bags import open_recording
from sast_ros.errors import SastError

_EVENTS = recordings.random_events(60)


class FileTarget:
    """
    Reader of files of one kind: valid ones, changed.

    Parameters
    ----------
    name : str
        End of the file names; another text behind a space is the variant.
    make : callable
        Writes valid files to a folder and returns their paths.
    text : bool
        Whether the format is (partly) text.
    share : float
        See ``Target``.
    pack : callable
        Compresses the contents of a file.

    """

    errors = SastError
    seconds = 0.2

    def __init__(
        self,
        name: str,
        make: Callable[[Path], Sequence[Path]],
        *,
        text: bool = False,
        share: float = 0.05,
        pack: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self.name = name
        self._pack = pack
        self.share = share
        self._make = make
        self._text = text
        self._folder = TemporaryDirectory(prefix='fuzz')
        self._path = Path(self._folder.name) / f'recording{name.split(" ")[0]}'

    @cached_property
    def files(self) -> list[bytes]:
        """Contents of valid files."""
        with TemporaryDirectory(prefix='fuzz') as folder:
            return [path.read_bytes() for path in self._make(Path(folder))]

    def valid(self) -> list[Input]:
        """Return the valid files."""
        return [Input(self._pack(content)) for content in self.files]

    def session(self, random: Random) -> list[Input]:
        """Return one file, changed before or after it was compressed."""
        content = random.choice(self.files)
        if random.random() < 0.3:
            return [Input(mutate(random, self._pack(content), text=self._text))]
        return [Input(self._pack(mutate(random, content, self.files, text=self._text)))]

    def start(self) -> Callable[[Input], int]:
        """Return a function that writes and reads the file."""

        def execute(item: Input) -> int:
            self._path.unlink(missing_ok=True)
            self._path.write_bytes(item.data)
            return self.read(self._path, item.events)

        return execute

    def read(self, path: Path, events: int | None) -> int:
        """Read the whole file and return the number of events."""
        total = left_out = 0
        with open_recording(path) as recording:
            for chunk in recording:
                total += check_chunk(chunk, None)
                left_out += chunk.dropped
        if events is not None:
            assert total + left_out == events, f'{total} events, {left_out} left out of {events}'
        return total


class PropheseeTarget(FileTarget):
    """.raw and .dat: headers of all ages and words of an encoding, whose events are counted."""

    def __init__(self, suffix: str, encoding: str, heads: Sequence[bytes]) -> None:
        super().__init__(f'{suffix} {encoding}', lambda folder: (), text=True, share=0.1)
        self._heads = heads
        self._payloads = None if encoding == 'dat' else PayloadGenerator(encoding)
        if self._payloads:
            self._streams = self._payloads.streams
        else:
            self._streams = [encoders.dat(*encoders.random_events(400, 64, 48, span=9000))]

    @cached_property
    def files(self) -> list[bytes]:
        """Contents of valid files."""
        return [head + stream for head in self._heads for stream in self._streams]

    def valid(self) -> list[Input]:
        """Return the valid files with the number of their events."""
        return [
            Input(head + stream, self._count(stream))
            for head in self._heads
            for stream in self._streams
        ]

    def _count(self, payload: bytes) -> int | None:
        if self._payloads:
            return self._payloads.count(payload)
        return None if len(payload) % 8 else len(payload) // 8

    def session(self, random: Random) -> list[Input]:
        """Return one file, changed in its header or in its words."""
        head = random.choice(self._heads)
        if self._payloads:
            payload = b''.join(self._payloads(random) for _ in range(random.choice((1, 1, 3))))
        else:
            payload = mutate(random, random.choice(self._streams))
        if random.random() < 0.4:
            return [Input(mutate(random, head, self._heads, text=True) + payload)]
        return [Input(head + payload, self._count(payload))]


def _zip(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return packed.getvalue()


_RAW_HEADS = {
    'evt3': (
        b'% format EVT3;height=48;width=64\n% end\n',
        b'% evt 3.0\n% geometry 64x48\n% end\n',
    ),
    'evt2': (b'% evt 2.0\r\n% sensor_name IMX636\r\n% end\r\n',),
    'evt21': (b'% format EVT21;endianness=little;height=48;width=64\n% end\n',),
    'evt21;endianness=legacy': (b'% evt 2.1\n% system_ID 49\n% sensor_generation 4.2\n% end\n',),
}
_DAT_HEADS = (
    b'% Version 2\n% Width 64\n% Height 48\n% end\n\x0c\x08',
    b'% Data file containing CD events.\n% Version 2\n% Date 2020-1-1 10:10:10\n\x00\x08',
)


def file_targets() -> list[FileTarget]:
    """Return all targets of this module."""
    prophesee = [
        PropheseeTarget('.raw', encoding, heads) for encoding, heads in _RAW_HEADS.items()
    ]
    assert set(_RAW_HEADS) <= set(ENCODINGS)

    def written(folder: Path, suffix: str) -> list[Path]:
        paths = event_files.write_every_format(folder, _EVENTS)
        return [path for path in paths if path.name.endswith(suffix)]

    def by_suffix(suffix: str, **options: Any) -> FileTarget:
        return FileTarget(suffix, partial(written, suffix=suffix), **options)

    return [
        *prophesee,
        PropheseeTarget('.dat', 'dat', _DAT_HEADS),
        by_suffix('.aedat4', text=True),
        by_suffix('.es'),
        by_suffix('.txt', text=True),
        by_suffix('.csv', text=True),
        FileTarget('.txt.gz', partial(written, suffix='.txt'), text=True, pack=gzip.compress),
        FileTarget(
            '.zip', partial(written, suffix='.txt'), text=True, pack=partial(_zip, 'events.txt')
        ),
        by_suffix('.npy', text=True),
        by_suffix('.npz', text=True),
        FileTarget(
            '.npz array',
            partial(written, suffix='.npy'),
            text=True,
            pack=partial(_zip, 'events.npy'),
        ),
    ]
