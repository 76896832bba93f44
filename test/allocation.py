# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What code allocates at most."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import tracemalloc


@contextlib.contextmanager
def peak_below(limit: int) -> Iterator[None]:
    """Assert that Python and numpy hold fewer bytes at any time of a ``with`` block."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < limit
