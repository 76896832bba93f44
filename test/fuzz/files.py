# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Readers of recordings, labels, detections and weights as targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
import gzip
import importlib.util
import io
import json
from pathlib import Path
from random import Random
import resource
from tempfile import TemporaryDirectory
import time
from typing import Any
import zipfile

from bags import event_files, hdf5_layouts, recordings
from events import encoders
from fuzz.engine import check_chunk, Input
from fuzz.messages import ENCODINGS, PayloadGenerator
from fuzz.mutation import mutate
import numpy as np
from rosbags.rosbag2 import CompressionMode
from sast_ros.bags import open_recording
from sast_ros.errors import SastError
from sast_ros.evaluation.detections import read_detections
from sast_ros.evaluation.labels import read_labels
from sast_ros.labels import BOX_DTYPE
import zstandard

_EVENTS = recordings.random_events(60)

#: Seconds, also on a busy machine, and memory of the process that reads an HDF5 file.
_MAX_HDF5_SECONDS, _MAX_HDF5_BYTES = 120, 1 << 29


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


class Hdf5Target(FileTarget):
    """HDF5: attributes, headers, trees and pieces, which a library reads in its own process."""

    def __init__(self) -> None:
        super().__init__('.h5', hdf5_layouts.write_every_layout, share=0.004)

    def session(self, random: Random) -> list[Input]:
        """Return one file, changed mostly where it describes itself."""
        if random.random() < 0.3:
            return super().session(random)
        content = random.choice(self.files)
        places = list(hdf5_layouts.find_structures(content))
        changed = bytearray(content)
        for _ in range(random.choice((1, 1, 2, 4))):
            at = random.choice(places)
            part = slice(at, at + random.choice((32, 128, 1024)))
            size = len(changed[part])
            changed[part] = mutate(random, changed[part])[:size].ljust(size, b'\0')
        return [Input(bytes(changed))]

    def read(self, path: Path, events: int | None) -> int:
        """Read the file; the process of the library must end in time and stay small."""
        begin, before = time.monotonic(), _most_resident(resource.RUSAGE_CHILDREN)
        try:
            return super().read(path, events)
        finally:
            seconds = time.monotonic() - begin
            assert seconds < _MAX_HDF5_SECONDS, f'{seconds:.1f} s'
            memory = _most_resident(resource.RUSAGE_CHILDREN)
            # As large as before: of another child of this process. Until it runs its program, a
            # child has the memory of this process.
            limit = max(_MAX_HDF5_BYTES, _most_resident(resource.RUSAGE_SELF))
            assert memory == before or memory <= limit, f'{memory} bytes of the library'


def _most_resident(who: int) -> int:
    """Return the most resident memory of this process or of one of its ended children, bytes."""
    return 1024 * resource.getrusage(who).ru_maxrss


class LabelTarget(FileTarget):
    """Labels or detections."""

    def __init__(
        self, name: str, make: Callable[[Path], Sequence[Path]], *, detections: bool = False
    ) -> None:
        super().__init__(name, make, text=True, share=0.05)
        self._detections = detections

    def read(self, path: Path, events: int | None) -> int:
        """Read the file and return the number of boxes."""
        if self._detections:
            boxes = read_detections(path).boxes
        else:
            boxes = read_labels(path, 'recording', classes=('a', 'b', 'c', 'd')).boxes
        assert boxes.dtype == BOX_DTYPE and boxes.ndim == 1
        assert (boxes['t'][1:] >= boxes['t'][:-1]).all()
        for name in ('x', 'y', 'w', 'h'):
            assert np.isfinite(boxes[name]).all()
        return len(boxes)


class WeightsTarget(FileTarget):
    """Weights: the header of a file, and a few of its tensors, changed."""

    def __init__(self) -> None:
        super().__init__('.safetensors', self._save, text=True, share=0.0003)
        self.seconds = 5.0

    def _save(self, folder: Path) -> list[Path]:
        from sast_ros.model import save_model, untrained_model

        path = folder / 'model.safetensors'
        save_model(untrained_model('gen1-tiny'), path, half=True)
        return [path]

    def session(self, random: Random) -> list[Input]:
        """Return one file."""
        (content,) = self.files
        end = 8 + int.from_bytes(content[:8], 'little')
        if random.random() < 0.5:  # what is unchanged goes on to the network
            header = json.loads(content[8:end])
            config = json.loads(header['__metadata__']['sast_ros.config'])
            name = random.choice(sorted(config))
            config[name] = random.choice(
                (
                    0,
                    -1,
                    1,
                    7,
                    10**6,
                    10**12,
                    1.5,
                    float('inf'),
                    '',
                    'x',
                    None,
                    [],
                    [0, 0],
                    {},
                    True,
                )
            )
            header['__metadata__']['sast_ros.config'] = json.dumps(config)
            text = json.dumps(header).encode()
            return [Input(len(text).to_bytes(8, 'little') + text + content[end:])]
        return [Input(mutate(random, content[:end], text=True) + content[end:])]

    def read(self, path: Path, events: int | None) -> int:
        """Load the weights and return the number of parameters."""
        from sast_ros.model import load_model

        return sum(parameter.numel() for parameter in load_model(path).parameters())


def _bags(suffix: str, folder: Path) -> list[Path]:
    """Write bags with one topic: both kinds of messages, compressed in every way."""
    kind = {'.mcap': 'mcap', '.db3': 'sqlite3', '.bag': 'rosbag1'}[suffix]
    paths = []
    for number, type_name in enumerate((recordings.EVENT_ARRAY, recordings.EVENT_PACKET)):
        messages = recordings.event_messages(type_name, messages=4, events=8)
        topics = {recordings.TOPIC: (type_name, messages)}
        home = folder / str(number)
        home.mkdir()
        path = recordings.write_recording(home, kind, topics)
        paths += [path] if path.is_file() else sorted(path.glob(f'*{suffix}'))
    if suffix == '.mcap':
        paths += recordings.write_rosbag2(
            folder / 'compressed', topics, 'mcap', CompressionMode.STORAGE
        ).glob('*.mcap')
    if suffix != '.bag':
        paths += recordings.write_rosbag2(
            folder / 'messages', topics, kind, CompressionMode.MESSAGE
        ).glob(f'*{suffix}')
    return paths


def _zip(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return packed.getvalue()


def _boxes(folder: Path) -> list[Path]:
    boxes = np.zeros(20, BOX_DTYPE)
    boxes['t'] = np.arange(20) // 3 * 50_000
    boxes['class_id'] = np.arange(20) % 3
    for name in ('x', 'y', 'w', 'h'):
        boxes[name] = np.arange(1, 21)
    older = boxes.view(np.recarray).astype(
        [('ts', '<u8')] + [(name, BOX_DTYPE[name]) for name in BOX_DTYPE.names[1:]]
    )
    paths = [folder / 'boxes.npy', folder / 'older.npy']
    for path, rows in zip(paths, (boxes, older)):
        np.save(path, rows)
    return paths


def _coco(folder: Path) -> list[Path]:
    images = [{'id': index, 't': 50_000 * index} for index in range(4)]
    content = {
        'images': images,
        'annotations': [
            {
                'id': index,
                'image_id': index % 4,
                'category_id': 1 + index % 2,
                'bbox': [1, 2, 3, 4],
            }
            for index in range(8)
        ],
        'categories': [{'id': 1, 'name': 'car'}, {'id': 2, 'name': 'pedestrian'}],
    }
    path = folder / 'labels.json'
    path.write_text(json.dumps(content))
    return [path]


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
        *(FileTarget(suffix, partial(_bags, suffix)) for suffix in ('.mcap', '.db3', '.bag')),
        FileTarget('.mcap.zstd', partial(_bags, '.mcap'), pack=zstandard.compress),
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
        *([Hdf5Target()] if all(map(importlib.util.find_spec, ('h5py', 'hdf5plugin'))) else []),
        LabelTarget('.npy labels', _boxes),
        LabelTarget('.json labels', _coco),
        LabelTarget('.npy detections', _boxes, detections=True),
        WeightsTarget(),
    ]
