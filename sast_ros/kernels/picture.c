// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* Picture of a window's events: count per pixel and polarity, then colour. */

#include "kernels.h"

#include <string.h>

/* Add n events to the cells, one byte per pixel: bits 0-3 the number of ON events, bits 4-7 that of OFF events, each
 * stopping at 15. Events outside width x height are left out; their number is returned. */
int64_t sast_picture_count(const uint16_t *x, const uint16_t *y, const uint8_t *p, int64_t n, int32_t width,
                           int32_t height, uint8_t *cells) {
  int64_t outside = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (x[i] >= width || y[i] >= height) {
      ++outside;
      continue;
    }
    uint8_t *cell = cells + (int64_t)y[i] * width + x[i];
    const int on = p[i] != 0;
    const uint8_t mask = on ? 0x0F : 0xF0;
    if ((*cell & mask) != mask) {
      *cell = (uint8_t)(*cell + (on ? 0x01 : 0x10));
    }
  }
  return outside;
}

/* Colour the cells into rgb[height * scale][width * scale][3]; scale >= 1. The table has 256 RGB triples for each of
 * the values (0, 1, 2) of kinds[][columns], of which each is that of side x side cells; kinds may be null for zeros. */
void sast_picture_colour(const uint8_t *cells, int32_t width, int32_t height, int32_t scale, const uint8_t *table,
                         const uint8_t *kinds, int32_t columns, int32_t side, uint8_t *rgb) {
  const int64_t stride = (int64_t)width * scale * 3;
  for (int32_t row = 0; row < height; ++row) {
    uint8_t *line = rgb + (int64_t)row * scale * stride;
    uint8_t *out = line;
    const uint8_t *kind = kinds ? kinds + (int64_t)(row / side) * columns : 0;
    for (int32_t column = 0; column < width;) {
      const uint8_t *colours = kind ? table + 3 * 256 * *kind++ : table;
      const int32_t end = kind && width - column > side ? column + side : width;
      for (; column < end; ++column) {
        const uint8_t *colour = colours + 3 * cells[(int64_t)row * width + column];
        for (int32_t k = 0; k < scale; ++k) {
          out[0] = colour[0];
          out[1] = colour[1];
          out[2] = colour[2];
          out += 3;
        }
      }
    }
    for (int32_t k = 1; k < scale; ++k) {
      memcpy(line + k * stride, line, (size_t)stride);
    }
  }
}
