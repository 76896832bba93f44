# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How an HDF5 file stores a data set: in this file, whole, and in pieces of bounded memory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any
import zlib

import numpy as np
from sast_ros.bags.compression import max_size
from sast_ros.bags.errors import RecordingError
import zstandard

#: Bytes of a piece that is compressed on its own: HDF5 allocates it on the word of the file. In
#: small files the limit is that of all compressed data (``SAST_ROS_MAX_EXPANSION``).
_MAX_PIECE = 1 << 28

#: Numbers of filters: those of HDF5, and of its registry. ECF is that of Prophesee.
_DEFLATE, _FLETCHER32, _BLOSC, _LZ4, _BITSHUFFLE, _ZSTD = 1, 3, 32001, 32004, 32008, 32015
_ECF = 0x8ECF

#: The largest ratio of deflate, and the bytes up to which it is not checked.
_MAX_RATIO, _SMALL = 1032, 1 << 26


def piece_size(dataset: Any) -> int:
    """Return the bytes of a piece that is compressed on its own; 0 if there are none."""
    return dataset.dtype.itemsize * int(np.prod(dataset.chunks or (0,), dtype=object))


def max_piece(path: Path) -> int:
    """Return the bytes that a piece of this file may have."""
    return min(_MAX_PIECE, max_size(path.stat().st_size))


def check_place(path: Path, place: str, dataset: Any) -> None:
    """Raise RecordingError if the values may lie in other files, or need much memory at once."""
    if dataset.is_virtual or dataset.external:
        kind = 'a virtual data set' if dataset.is_virtual else 'stored outside the file'
        raise RecordingError(
            f'{place} is {kind}; only values of the file itself are read, so copy them into it '
            '(h5repack)'
        )
    size = piece_size(dataset)
    limit = max_piece(path)
    if size > limit:
        raise RecordingError(
            f'{place} is stored in pieces of {size / 2**20:.0f} MiB, more than the '
            f'{limit >> 20} MiB that are read at once of a file of this size; store it in smaller '
            'ones (h5repack -l CHUNK=100000)'
        )


def stored_rows(dataset: Any) -> int:
    """Return the number of rows from the first one on that the file holds values for."""
    rows = len(dataset)
    if rows == 0 or dataset.shape[-1] == 0:
        return 0
    if not dataset.chunks:
        stored = dataset.id.get_storage_size()
        compact = dataset.id.get_create_plist().get_layout() == 0
        return rows if compact else min(rows, stored // (dataset.nbytes // rows))
    step, number = dataset.chunks[0], dataset.id.get_num_chunks()
    if number * step >= rows and dataset.chunks[1:] == dataset.shape[1:]:
        return rows
    wanted = int(np.prod([-(-n // k) for n, k in zip(dataset.shape[1:], dataset.chunks[1:])]))
    if number >= -(-rows // step) * wanted:
        return rows
    found: Counter[int] = Counter()
    dataset.id.chunk_iter(lambda piece: found.update((piece.chunk_offset[0],)))
    end = 0
    while found[end] >= wanted:
        end += step
    return min(rows, end)


def check_pieces(path: Path, dataset: Any) -> None:
    """Raise RecordingError if a compressed piece has more content than a piece has."""
    if oversized_pieces(path, dataset):
        raise RecordingError(
            f'{path}: {oversized(dataset)}; the file is damaged, so copy it again'
        )


def oversized(dataset: Any) -> str:
    """Return what is wrong with ``oversized_pieces``, a clause."""
    return f'a piece of {dataset.name} decompresses to more than its {piece_size(dataset)} bytes'


def oversized_pieces(path: Path, dataset: Any) -> list[int]:
    """
    Return the first row of each compressed piece that has more content than a piece has.

    The filters would allocate what its compressed data state, or whatever comes out of it.
    """
    if not dataset.chunks:
        return []
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(index)[0] for index in range(properties.get_nfilters())]
    while filters and filters[-1] == _FLETCHER32:
        filters.pop()
    if not filters or filters[-1] not in (_DEFLATE, _BLOSC, _LZ4, _BITSHUFFLE, _ZSTD):
        return []
    code, skipped = filters[-1], 1 << len(filters) - 1
    limit = piece_size(dataset)
    small = max(_SMALL, 4 * path.stat().st_size)
    found: list[int] = []
    with path.open('rb') as file:

        def check(piece: Any) -> None:
            if piece.filter_mask & skipped:
                return
            if code == _DEFLATE and piece.size * _MAX_RATIO <= small:
                return
            file.seek(piece.byte_offset)
            data = file.read(piece.size if code == _DEFLATE else 32)
            if _content_size(code, data, limit) > limit:
                found.append(piece.chunk_offset[0])

        dataset.id.chunk_iter(check)
    return found


def _content_size(code: int, data: bytes, limit: int) -> int:
    """Return the bytes of a compressed piece, those up to little more than the limit."""
    if code == _DEFLATE:
        try:
            return len(zlib.decompressobj().decompress(data, limit + 1))
        except zlib.error:
            return 0  # HDF5 tells
    if code == _ZSTD:
        try:
            return zstandard.frame_content_size(data)
        except zstandard.ZstdError:
            return 0
    return (
        int.from_bytes(data[4:8], 'little') if code == _BLOSC else int.from_bytes(data[:8], 'big')
    )


def check_filters(path: Path, column: Any) -> None:
    """Raise RecordingError if a compression of the file is not installed."""
    from h5py import h5z

    properties = column.id.get_create_plist()
    for index in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(index)
        if h5z.filter_avail(code):
            continue
        if code == _ECF:
            raise RecordingError(
                f'{path} is compressed with ECF of Prophesee, which is not installed; build the '
                'plugin from github.com/prophesee-ai/hdf5_ecf and set HDF5_PLUGIN_PATH to its '
                'folder, or export the recording as .raw'
            )
        raise RecordingError(
            f'{path} is compressed with the HDF5 filter {code} '
            f'({name.decode("latin-1") or "no name"}), which is not installed; install its plugin '
            'and set HDF5_PLUGIN_PATH to the folder'
        )
