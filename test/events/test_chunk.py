# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""EventChunk: what it accepts, refuses and gives back; and what its package may import."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sast_ros.events import EventChunk, EventFormatError

GOOD = {'x': [1, 2, 3], 'y': [4, 5, 6], 'p': [0, 1, 0], 't': [7, 7, 9]}


def chunk(**changes: object) -> EventChunk:
    arrays = {name: np.asarray(changes.pop(name, values)) for name, values in GOOD.items()}
    return EventChunk(**arrays, **changes)


def test_values_are_kept_in_the_exact_types() -> None:
    made = chunk(p=np.array([False, True, False]), t=np.array([7.0, 7.0, 9.0]))
    for name, dtype in (('x', np.uint16), ('y', np.uint16), ('p', np.uint8), ('t', np.int64)):
        assert getattr(made, name).dtype == dtype
        assert getattr(made, name).tolist() == GOOD[name]
    assert len(made) == 3


def test_a_part_is_a_view_with_the_same_origin() -> None:
    made = chunk(
        width=10,
        height=10,
        clock='ros',
        stamp_ns=5,
        frame_id='camera',
        reordered=2,
        discontinuity=True,
    )
    part = made[1:]
    assert np.shares_memory(part.t, made.t)
    assert part.x.tolist() == [2, 3]
    assert (part.width, part.height, part.clock, part.stamp_ns, part.frame_id) == (
        10,
        10,
        'ros',
        5,
        'camera',
    )
    assert (part.reordered, part.discontinuity) == (0, False)


@pytest.mark.parametrize('index', [0, slice(0, 3, 2)])
def test_only_contiguous_parts_are_taken(index: object) -> None:
    with pytest.raises(TypeError):
        chunk()[index]


def test_no_events_are_a_chunk() -> None:
    assert len(EventChunk(*([],) * 4)) == 0


@pytest.mark.parametrize(
    ('changes', 'field', 'offset'),
    [
        ({'x': [1, 2]}, 'x', None),
        ({'p': [0, 1, 2]}, 'p', 2),
        ({'p': [0, -1, 1]}, 'p', None),
        ({'t': [7, 9, 8]}, 't', 2),
        ({'t': [7, 8, 8.5]}, 't', None),
        ({'t': [7, 8, 1_700_000_000 * 10**9]}, 't', 2),  # nanoseconds
        ({'t': [-(2**62), 0, 2**62]}, 't', 0),
        ({'x': [1, 70_000, 2]}, 'x', None),
        ({'x': [1, 2, np.nan]}, 'x', None),
        ({'y': [[4, 5, 6]]}, 'y', None),
        ({'y': ['a', 'b', 'c']}, 'y', None),
        ({'width': 3}, 'x', 2),
        ({'height': 5}, 'y', 1),
    ],
)
def test_what_is_wrong_is_named(
    changes: dict[str, object], field: str, offset: int | None
) -> None:
    with pytest.raises(EventFormatError) as caught:
        chunk(**changes)
    assert caught.value.field == field
    if offset is not None:
        assert caught.value.offset == offset


def test_reading_events_needs_neither_torch_nor_ros() -> None:
    code = 'import sys, sast_ros.events; print(sorted({"torch", "rclpy"} & set(sys.modules)))'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'
