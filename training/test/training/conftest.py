# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A small cache for all tests of the training."""

from __future__ import annotations

from pathlib import Path

from moving_boxes import write_cache
import pytest


@pytest.fixture(scope='session')
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six sequences to train on, two to validate with."""
    return write_cache(tmp_path_factory.mktemp('cache'))
