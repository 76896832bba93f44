# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The assignment of the largest sum."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from sast_ros.tracking.assignment import assign


def best_sum(weights: np.ndarray) -> float:
    """Return the largest sum by trying all assignments."""
    table = weights if weights.shape[0] <= weights.shape[1] else weights.T
    rows, columns = table.shape
    return max(
        sum(table[row, column] for row, column in enumerate(chosen))
        for chosen in permutations(range(columns), rows)
    )


@pytest.mark.parametrize('shape', [(1, 1), (1, 5), (5, 1), (3, 3), (4, 6), (6, 4), (5, 5), (7, 7)])
def test_no_assignment_has_a_larger_sum(shape):
    random = np.random.default_rng(sum(shape))
    for share in (0.0, 0.5, 0.9) * 3:
        weights = random.random(shape) * (random.random(shape) >= share)
        rows, columns = assign(weights)
        assert len(set(rows.tolist())) == len(rows) == len(set(columns.tolist()))
        assert (weights[rows, columns] > 0).all()
        assert weights[rows, columns].sum() == pytest.approx(best_sum(weights))


def test_whole_weights_with_many_equal_sums():
    random = np.random.default_rng(0)
    for _ in range(20):
        weights = random.integers(0, 3, (5, 6)).astype(float)
        rows, columns = assign(weights)
        assert weights[rows, columns].sum() == best_sum(weights)


def test_a_large_table_is_solved_exactly():
    """Hidden pairs of weight 2 among weights below 1: no other pair can be better."""
    random = np.random.default_rng(1)
    hidden = random.permutation(200)
    weights = random.random((200, 200))
    weights[np.arange(200), hidden] = 2
    rows, columns = assign(weights)
    assert (hidden[rows] == columns).all() and len(rows) == 200


@pytest.mark.parametrize('shape', [(0, 0), (0, 3), (3, 0)])
def test_nothing_is_paired_with_nothing(shape):
    rows, columns = assign(np.ones(shape))
    assert len(rows) == len(columns) == 0


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(value):
    weights = np.ones((2, 3))
    weights[1] = value
    if value == -np.inf:
        weights[0] = value
    with pytest.raises(ValueError, match='finite'):
        assign(weights)
