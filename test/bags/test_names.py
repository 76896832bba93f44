# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The name of a recording keeps its dots and loses the suffixes of its format."""

from __future__ import annotations

from hypothesis import given, strategies
import pytest
from sast_ros.bags.names import recording_stem

SUFFIXES = [
    *('', '.mcap', '.mcap.zstd', '.mcap.zst', '.db3', '.db3.zstd', '.bag', '.BAG', '.bag.active'),
    *('.raw', '.dat', '.dat.h5', '.raw.hdf5', '.h5', '.aedat4', '.es', '.npz', '.npy', '.zip'),
    *('.txt', '.txt.gz', '.csv', '.csv.gz'),
]


@pytest.mark.parametrize('suffix', SUFFIXES)
@given(name=strategies.from_regex(r'[A-Za-z0-9_]{1,8}(\.[0-9]{1,3}){0,3}', fullmatch=True))
def test_only_known_suffixes_are_taken_off(suffix, name):
    assert recording_stem(f'some.mcap/folder/{name}{suffix}') == name


def test_unknown_suffixes_and_bare_suffixes_are_names():
    assert recording_stem('drive.final') == 'drive.final'
    assert recording_stem('drive.h5.mcap') == 'drive.h5'
    assert recording_stem('.mcap') == '.mcap'
