// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* Sparse histograms of the training cache. Every function checks its input. */

#include "kernels.h"

/* Whether the spans first[2 * i] .. first[2 * i + 1] - 1 lie within 0 .. limit - 1. */
static int within(const int32_t *spans, int32_t count, int64_t limit) {
  for (int64_t i = 0; i < count; ++i) {
    if (spans[2 * i] < 0 || spans[2 * i + 1] > limit) {
      return 0;
    }
  }
  return 1;
}

/* Write a sparse histogram into dense uint8 planes; where several cells meet, the largest count stays.
 *
 * index[entries]: flat position in channels x height x width; count[entries]: its value. A source row y goes to the
 * output rows row[2 * y] .. row[2 * y + 1] - 1 (none if they are equal), a column likewise. A source channel goes to
 * (channel + shift) % channels. cells: planes x plane_height x plane_width, zeros before.
 * Returns -1; the first entry whose index lies outside the source; or -2, with nothing written, where a size is below
 * 1, the source has more channels than there are planes, or a row or column goes outside the planes.
 */
int64_t sast_scatter_counts(const uint32_t *index, const uint8_t *count, int64_t entries, int32_t channels,
                            int32_t height, int32_t width, const int32_t *row, const int32_t *column, int32_t shift,
                            int64_t planes, int64_t plane_height, int64_t plane_width, uint8_t *cells) {
  if (channels < 1 || height < 1 || width < 1 || shift < 0 || channels > planes || !within(row, height, plane_height) ||
      !within(column, width, plane_width)) {
    return -2;
  }
  const uint32_t columns = (uint32_t)width, rows = (uint32_t)height;
  const uint64_t size = (uint64_t)channels * rows * columns;
  for (int64_t i = 0; i < entries; ++i) {
    if (index[i] >= size) {
      return i;
    }
    const uint32_t line = index[i] / columns, x = index[i] - line * columns;
    const uint32_t plane = line / rows, y = line - plane * rows;
    const int32_t left = column[2 * x], right = column[2 * x + 1];
    const int64_t channel = ((int64_t)plane + shift) % channels;
    for (int32_t r = row[2 * y]; r < row[2 * y + 1]; ++r) {
      uint8_t *const target = cells + (channel * plane_height + r) * plane_width;
      for (int32_t c = left; c < right; ++c) {
        if (target[c] < count[i]) {
          target[c] = count[i];
        }
      }
    }
  }
  return -1;
}
