# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Compiled loops: declared once, and called with nothing but what they declare."""

from __future__ import annotations

import ctypes
from pathlib import Path
import re
import shutil

import numpy as np
import pytest
from sast_ros import kernels
from sast_ros.errors import MissingPackageError
from sast_ros.kernels import library, load_library
import torch

FOLDER = Path(kernels.__file__).parent


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of header and extension."""
    for path in (FOLDER / 'kernels.h', *FOLDER.glob('_kernels*.so')):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_every_function_of_the_sources_is_declared():
    sources = '\n'.join(path.read_text() for path in sorted(FOLDER.rglob('*.c')))
    defined = re.findall(r'^\w+ (sast_\w+)\(', sources, re.MULTILINE)
    declared = re.findall(r'^\w+ (sast_\w+)\(', (FOLDER / 'kernels.h').read_text(), re.MULTILINE)
    assert sorted(defined) == sorted(declared)
    for name in declared:
        assert getattr(library, name).argtypes is not None


def test_types_are_those_of_the_header():
    assert library.sast_evt3_count.restype is ctypes.c_int64
    assert library.sast_evt3_count.argtypes[1] is ctypes.c_int64
    assert library.sast_mono.restype is None
    assert library.sast_nms.argtypes[3] is ctypes.c_float


def test_missing_extension_is_one_error_that_names_the_folder(copy):
    for path in copy.glob('_kernels*'):
        path.unlink()
    with pytest.raises(MissingPackageError, match=re.escape(str(copy))):
        load_library(copy)


def test_extension_of_other_sources_is_one_error_that_names_all_that_it_lacks(copy):
    with (copy / 'kernels.h').open('a') as header:
        header.write('void sast_newer(int64_t n);\nvoid sast_newest(const float *x);\n')
    with pytest.raises(MissingPackageError, match='sast_newer, sast_newest'):
        load_library(copy)


@pytest.mark.parametrize(
    'words',
    [np.zeros(4, np.int32), np.zeros((4, 2), np.uint8)[:, 0], torch.zeros(4), [0, 1, 2]],
    ids=['another type', 'not contiguous', 'tensor of another type', 'list'],
)
def test_array_of_another_kind_is_refused(words):
    with pytest.raises(ctypes.ArgumentError):
        library.sast_evt3_count(words, 2)


def test_read_only_arrays_are_read_and_not_written():
    records = np.arange(8, dtype=np.uint8)
    arrays = [np.zeros(1, dtype) for dtype in (np.uint16, np.uint16, np.uint8, np.int64)]
    for array in (records, arrays[3]):
        array.flags.writeable = False
    with pytest.raises(ctypes.ArgumentError, match='read-only'):
        library.sast_dat(records, 1, 2, np.zeros(4, np.int64), *arrays)
    assert arrays[3].tolist() == [0]
    arrays[3] = np.zeros(1, np.int64)
    library.sast_dat(records, 1, 2, np.zeros(4, np.int64), *arrays)
    assert arrays[3].tolist() == [0x03020100]


#: Two words of EVT 3.0 that are an event each.
_WORDS = [1, 0x20, 2, 0x20]


@pytest.mark.parametrize(
    'words', [np.array(_WORDS, np.uint8), torch.tensor(_WORDS, dtype=torch.uint8), bytes(_WORDS)]
)
def test_arrays_tensors_and_bytes_are_passed_as_they_are(words):
    assert library.sast_evt3_count(words, 2) == 2
    assert library.sast_evt3_count(words, 0) == 0


def test_empty_array_is_an_array():
    assert library.sast_evt3_count(np.empty(0, np.uint8), 0) == 0
