// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* Events to stacked histogram. Every function checks its input. */

#include "kernels.h"

/* Whether no entry of a map goes beyond limit - 1. */
static int within(const int32_t *map, int32_t count, int64_t limit) {
  const int32_t last = limit > INT32_MAX ? INT32_MAX : (int32_t)(limit - 1);
  int32_t beyond = 0;
  for (int32_t i = 0; i < count; ++i) {
    beyond |= map[i] > last;
  }
  return !beyond;
}

/* Add events to a histogram of 2 * bins planes of rows x columns uint8 cells.
 *
 * column[x], row[y]: output column and row of a sensor pixel, or -1 if the pixel is left out (down-sampling); they have
 * width and height entries. edges[k], k = 0..bins-2: smallest time (same origin as t - t0) of bin k + 1. Times must not
 * decrease. saturate > 0: a cell stops at that value; saturate == 0: it wraps round at 256 (the caller clamps it).
 * Returns -1; the index of the first event outside the sensor or with a polarity other than 0 and 1; or -2, with nothing
 * counted, where a map goes outside the cells.
 */
int64_t sast_histogram_add(const uint16_t *x, const uint16_t *y, const uint8_t *p, const int64_t *t, int64_t count,
                           int64_t t0, const int64_t *edges, int32_t bins, const int32_t *column, int32_t width,
                           const int32_t *row, int32_t height, int64_t columns, int64_t rows, int32_t saturate,
                           uint8_t *cells) {
  if (!within(column, width, columns) || !within(row, height, rows)) {
    return -2;
  }
  const int64_t plane = rows * columns;
  int64_t i = 0;
  for (int32_t bin = 0; bin < bins && i < count; ++bin) {
    /* Times do not decrease, so the events of one bin are one run: no division per event. */
    int64_t end = count;
    if (bin < bins - 1) {
      int64_t low = i, high = count;
      const int64_t limit = t0 + edges[bin];
      while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (t[middle] < limit) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      end = low;
    }
    uint8_t *const off = cells + bin * plane;
    const int64_t on = (int64_t)bins * plane;
    if (saturate > 0) {
      for (; i < end; ++i) {
        if (x[i] >= width || y[i] >= height || p[i] > 1) {
          return i;
        }
        const int32_t c = column[x[i]], r = row[y[i]];
        if ((c | r) < 0) {
          continue;
        }
        uint8_t *const cell = off + p[i] * on + r * columns + c;
        *cell = (uint8_t)(*cell + (*cell < saturate));
      }
    } else {
      for (; i < end; ++i) {
        if (x[i] >= width || y[i] >= height || p[i] > 1) {
          return i;
        }
        const int32_t c = column[x[i]], r = row[y[i]];
        if ((c | r) < 0) {
          continue;
        }
        ++off[p[i] * on + r * columns + c];
      }
    }
  }
  return -1;
}
