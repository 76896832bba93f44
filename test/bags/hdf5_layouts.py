# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Small HDF5 files in the layouts of several tools."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
import re
from typing import Any, TYPE_CHECKING

from bags import event_files
from bags.recordings import random_events
import numpy as np

if TYPE_CHECKING:
    import h5py

SMALL = random_events(2000, seed=3, span_us=500_000)
SECONDS = SMALL['t'] / 1e6


def fill_v2e(file: h5py.File) -> None:
    rows = event_files.table(SMALL, dtype='u4')
    file.create_dataset('events', data=rows, chunks=(300, 4), maxshape=(None, 4), compression=4)


def fill_mvsec(file: h5py.File) -> None:
    columns = {**SMALL, 't': 1.5e9 + SECONDS, 'p': 2.0 * SMALL['p'] - 1}
    file['davis/left/events'] = event_files.table(columns, 'xytp', 'f8')
    file['davis/left/imu'] = np.zeros((20, 6))
    file['calib/T_cam'] = np.eye(4)


def fill_e2vid(file: h5py.File) -> None:
    for name, values in {**SMALL, 't': SECONDS, 'p': SMALL['p'] > 0}.items():
        file[f'events/{name}s'] = values
    file['images/image000'] = np.zeros((48, 64), np.uint8)
    file.attrs['sensor_resolution'] = [48, 64]


def fill_rvt(file: h5py.File) -> None:
    for name, values in SMALL.items():
        file[f'events/{name}'] = values
    file['events/height'], file['events/width'] = 48, 64


def fill_attributes(file: h5py.File) -> None:
    fill_rvt(file)
    for side in ('height', 'width'):
        file['events'].attrs[side] = file[f'events/{side}'][()]
        del file[f'events/{side}']


def fill_compound(file: h5py.File) -> None:
    file['events'] = event_files.structured(SMALL)


def fill_generic(file: h5py.File) -> None:
    columns = {'pos_x': 'x', 'pos_y': 'y', 'polarity': 'p', 'time': 't'}
    for name, field in columns.items():
        file[f'a/camera/{name}'] = SMALL[field] * (1000 if name == 'time' else 1)
    file['a/camera/time'].attrs['unit'] = 'ns'


def fill_metavision(file: h5py.File) -> None:
    file.create_dataset('CD/events', data=event_files.structured(SMALL), chunks=(500,))
    file.attrs['geometry'] = '64x48'


def fill_m3ed(file: h5py.File) -> None:
    import hdf5plugin

    for name, values in SMALL.items():
        file.create_dataset(
            f'prophesee/left/{name}', data=values, chunks=(500,), **hdf5plugin.Blosc(cname='zstd')
        )
    file['prophesee/left/calib/resolution'] = [64, 48]


FILLS = (
    *(fill_v2e, fill_mvsec, fill_e2vid, fill_rvt, fill_attributes, fill_compound, fill_generic),
    *(fill_metavision, fill_m3ed),
)

#: Versions of the format; most structures of the newer ones have a checksum.
_VERSIONS: tuple[dict[str, Any], ...] = ({'libver': 'latest'}, {'track_order': True})


def write_every_layout(folder: Path) -> list[Path]:
    """Write a file of each layout, and one of each version of the format."""
    import h5py

    kinds: list[tuple[Callable[[h5py.File], None], dict[str, Any]]]
    kinds = [(fill, {}) for fill in FILLS]
    kinds += [(fill_metavision, options) for options in _VERSIONS]
    paths = [folder / f'{number}.h5' for number in range(len(kinds))]
    for path, (fill, options) in zip(paths, kinds, strict=True):
        with h5py.File(path, 'w', **options) as file:
            fill(file)
    return paths


#: Signatures of structures, and what is in headers of objects: messages and names of attributes.
_STRUCTURES = re.compile(
    rb'TREE|SNOD|HEAP|GCOL|OHDR|OCHK|FRHP|FHDB|BTHD|BTLF|FAHD|EAHD|\x89HDF|geometry|unit|height'
    rb'|sensor_resolution|\x01\x00[\x01-\x20]\x00\x01\x00\x00\x00'
)


def find_structures(content: bytes) -> Iterator[int]:
    """Yield the places of what describes the values of a file."""
    for found in _STRUCTURES.finditer(content):
        yield max(0, found.start() - 8)
