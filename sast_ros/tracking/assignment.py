# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which rows and columns of a table belong together."""

from __future__ import annotations

import numpy as np
from sast_ros.kernels import library


def assign(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the pairs of rows and columns, each at most once, whose weights have the largest sum.

    Parameters
    ----------
    weights : float64[N, M]
        From 0; a pair of weight 0 is none.

    Returns
    -------
    int64[K], int64[K]
        Rows, and their columns, sorted by column or by row, whichever are more.

    Raises
    ------
    ValueError
        A weight is not finite.

    """
    tall = weights.shape[0] > weights.shape[1]
    table = np.ascontiguousarray(weights.T if tall else weights, np.float64)
    rows, columns = table.shape
    size = rows + 2 * columns
    row_of = np.empty(columns, np.int64)
    if library.sast_assign(table, rows, columns, np.empty(size), np.empty(size, np.int64), row_of):
        raise ValueError('a weight of an assignment is not finite')
    column = (row_of >= 0).nonzero()[0]
    row = row_of[column]
    chosen = table[row, column] > 0
    row, column = row[chosen], column[chosen]
    return (column, row) if tall else (row, column)
