// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* Pairs of rows and columns. */

#include "kernels.h"

#include <math.h>

/* The assignment of the largest sum: weights double[rows][columns], finite, rows <= columns; every row gets a column of
 * its own, and row_of int64[columns] the row of each column, -1 for none.
 *
 * Shortest augmenting paths with potentials, row by row (D. F. Crouse, "On implementing 2D rectangular assignment
 * algorithms", IEEE Transactions on Aerospace and Electronic Systems 52(4), 2016), in O(rows^2 columns). Of equal sums the
 * same one is found everywhere. Scratch: values double[rows + 2 columns], links int64[rows + 2 columns]. Returns 0, or -1
 * if a weight is not finite.
 */
int64_t sast_assign(const double *weights, int64_t rows, int64_t columns, double *values, int64_t *links,
                    int64_t *row_of) {
  double *const u = values, *const v = u + rows, *const length = v + columns;
  int64_t *const column_of = links, *const before = column_of + rows, *const seen = before + columns;
  double sum = 0.0;
  for (int64_t k = 0; k < rows * columns; ++k) {
    sum += weights[k] * 0.0; /* NaN if one is not finite */
  }
  if (sum != 0.0) {
    return -1;
  }
  for (int64_t i = 0; i < rows; ++i) {
    u[i] = 0.0;
    column_of[i] = -1;
  }
  for (int64_t j = 0; j < columns; ++j) {
    v[j] = 0.0;
    row_of[j] = -1;
  }
  for (int64_t first = 0; first < rows; ++first) {
    for (int64_t j = 0; j < columns; ++j) {
      length[j] = INFINITY;
      seen[j] = 0;
    }
    double shortest = 0.0;
    int64_t end = -1;
    for (int64_t i = first; end < 0;) { /* the shortest path from this row to a free column */
      double lowest = INFINITY;
      int64_t nearest = -1;
      for (int64_t j = 0; j < columns; ++j) {
        if (seen[j]) {
          continue;
        }
        const double through = shortest - weights[i * columns + j] - u[i] - v[j];
        if (through < length[j]) {
          length[j] = through;
          before[j] = i;
        }
        if (nearest < 0 || length[j] < lowest || (length[j] == lowest && row_of[j] < 0 && row_of[nearest] >= 0)) {
          lowest = length[j];
          nearest = j;
        }
      }
      shortest = lowest;
      seen[nearest] = 1;
      if (row_of[nearest] < 0) {
        end = nearest;
      } else {
        i = row_of[nearest];
      }
    }
    u[first] += shortest;
    for (int64_t j = 0; j < columns; ++j) {
      if (seen[j] && j != end) {
        u[row_of[j]] += shortest - length[j];
        v[j] -= shortest - length[j];
      }
    }
    for (int64_t j = end, i = -1; i != first;) { /* the path changes who is paired */
      i = before[j];
      const int64_t next = column_of[i];
      row_of[j] = i;
      column_of[i] = j;
      j = next;
    }
  }
  return 0;
}
