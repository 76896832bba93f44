// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* Convolutions 3x3 of stride 1 by 36 products of 6x6 tiles: F(4x4, 3x3) of A. Lavin and S. Gray, "Fast Algorithms for
 * Convolutional Neural Networks", CVPR 2016. A quarter of the arithmetic; its rounding is kept out of the recurrent part.
 */
#ifndef SAST_ROS_ENGINE_WINOGRAD_H
#define SAST_ROS_ENGINE_WINOGRAD_H

#include "engine.h"
#include "product.h"
#include "vector.h"

INLINE void transform_in(const vec d[6], vec out[6]) {
  const vec two = splat(2.0f), four = splat(4.0f), five = splat(-5.0f);
  out[0] = fused(four, d[0], fused(five, d[2], d[4]));
  out[1] = fused(-four, d[1] + d[2], d[3] + d[4]);
  out[2] = fused(four, d[1] - d[2], d[4] - d[3]);
  out[3] = fused(two, d[3] - d[1], d[4] - d[2]);
  out[4] = fused(-two, d[3] - d[1], d[4] - d[2]);
  out[5] = fused(four, d[1], fused(five, d[3], d[5]));
}

INLINE void transform_out(const vec d[6], vec out[4]) {
  const vec sum = d[1] + d[2], difference = d[1] - d[2], far_sum = d[3] + d[4], far_difference = d[3] - d[4];
  out[0] = d[0] + sum + far_sum;
  out[1] = fused(splat(2.0f), far_difference, difference);
  out[2] = fused(splat(4.0f), far_sum, sum);
  out[3] = fused(splat(8.0f), far_difference, difference) + d[5];
}

enum { TILES_TAKEN = 8 };

/* Tiles of an operation: all of the map, or those of a list. */
INLINE int64_t tiles_of(const struct sast_op *op) {
  return op->index ? op->count[0] : (op->height + 3) / 4 * ((op->width + 3) / 4);
}

/* Tiles of a map a[height][width][columns] with a border of zeros: y[36][tiles][columns]. */
static void winograd_in_work(const struct sast_op *op, const struct sast_step *step, _Atomic int64_t *taken) {
  const int64_t across = (op->width + 3) / 4, tiles = tiles_of(op);
  const float *const map = resolve(step, op->a);
  for (int64_t first; (first = TILES_TAKEN * (*taken)++) < tiles;) {
    for (int64_t i = first; i < smaller(first + TILES_TAKEN, tiles); ++i) {
      const int64_t tile = op->index ? op->index[i] : i;
      const int64_t top = tile / across * 4 - 1, left = tile % across * 4 - 1;
      for (int64_t n = 0; n < op->columns; n += LANES) {
        vec half[6][6];
        for (int64_t x = 0; x < 6; ++x) {
          vec column[6], out[6];
          for (int64_t y = 0; y < 6; ++y) {
            const int64_t row = top + y, at = left + x;
            const int inside = row >= 0 && row < op->height && at >= 0 && at < op->width;
            column[y] = inside ? load(map + (row * op->width + at) * op->a_stride + n) : splat(0.0f);
          }
          transform_in(column, out);
          for (int64_t y = 0; y < 6; ++y) {
            half[y][x] = out[y];
          }
        }
        float *target = op->y + i * op->columns + n;
        for (int64_t y = 0; y < 6; ++y) {
          vec out[6];
          transform_in(half[y], out);
          for (int64_t x = 0; x < 6; ++x, target += op->y_batch) {
            store(target, out[x]);
          }
        }
      }
    }
  }
}

/* Tiles a[36][tiles][columns] to the map y[height][width][columns], with bias and SiLU. */
static void winograd_out_work(const struct sast_op *op, _Atomic int64_t *taken) {
  const int64_t across = (op->width + 3) / 4, tiles = tiles_of(op);
  for (int64_t first; (first = TILES_TAKEN * (*taken)++) < tiles;) {
    for (int64_t i = first; i < smaller(first + TILES_TAKEN, tiles); ++i) {
      const int64_t tile = op->index ? op->index[i] : i;
      const int64_t top = tile / across * 4, left = tile % across * 4;
      for (int64_t n = 0; n < op->columns; n += LANES) {
        const float *const source = op->a + i * op->columns + n;
        vec half[4][6];
        for (int64_t x = 0; x < 6; ++x) {
          vec column[6], out[4];
          for (int64_t y = 0; y < 6; ++y) {
            column[y] = load(source + (6 * y + x) * op->a_batch);
          }
          transform_out(column, out);
          for (int64_t y = 0; y < 4; ++y) {
            half[y][x] = out[y];
          }
        }
        const vec bias = load(op->bias + n);
        for (int64_t y = 0; y < smaller(4, op->height - top); ++y) {
          vec out[4];
          transform_out(half[y], out);
          for (int64_t x = 0; x < smaller(4, op->width - left); ++x) {
            store(op->y + ((top + y) * op->width + left + x) * op->y_stride + n, silu(out[x] + bias));
          }
        }
      }
    }
  }
}

/* List the tiles that have a cell whose objectness, the fifth column of a, reaches that of the step: the score of the
 * others is below the threshold whatever their class. The first convolution is needed around them too.
 */
static void mark_work(const struct sast_op *op, const struct sast_step *step, _Atomic int64_t *taken) {
  if ((*taken)++) {
    return;
  }
  const int64_t down = (op->height + 3) / 4, across = (op->width + 3) / 4;
  const float *const cells = resolve(step, op->a), limit = (float)step->objectness;
  memset(op->mask, 0, (size_t)(down * across));
  for (int64_t y = 0; y < op->height; ++y) {
    for (int64_t x = 0; x < op->width; ++x) {
      /* NaN counts, so that it shows in the output */
      op->mask[y / 4 * across + x / 4] |= !(cells[(y * op->width + x) * op->a_stride + 4] < limit);
    }
  }
  op->count[0] = op->around_count[0] = 0;
  for (int64_t i = 0; i < down; ++i) {
    for (int64_t j = 0; j < across; ++j) {
      int near = 0;
      for (int64_t y = i ? i - 1 : 0; y < smaller(i + 2, down); ++y) {
        for (int64_t x = j ? j - 1 : 0; x < smaller(j + 2, across); ++x) {
          near |= op->mask[y * across + x];
        }
      }
      if (op->mask[i * across + j]) {
        op->index[op->count[0]++] = (int32_t)(i * across + j);
      }
      if (near) {
        op->around[op->around_count[0]++] = (int32_t)(i * across + j);
      }
    }
  }
}

/* Logits of the classes, from column 5 of y on: b[columns][inner] times a, where the tile is marked, else low. */
static void classes_work(const struct sast_op *op, const struct sast_step *step, _Atomic int64_t *taken) {
  const int64_t across = (op->width + 3) / 4;
  float *const y = resolve(step, op->y);
  for (int64_t row; (row = (*taken)++) < op->height;) {
    for (int64_t x = 0; x < op->width; ++x) {
      const int64_t cell = row * op->width + x;
      float *const logits = y + cell * op->y_stride + 5;
      for (int64_t n = 0; n < op->columns; ++n) {
        logits[n] = -100.0f;
      }
      if (!op->mask[row / 4 * across + x / 4]) {
        continue;
      }
      for (int64_t n = 0; n < op->columns; ++n) {
        wide sum = wide_zero();
        for (int64_t k = 0; k < op->inner; k += WIDE) {
          for (int v = 0; v < WIDE_VECTORS; ++v) {
            const int64_t at = k + v * LANES;
            sum.part[v] = fused(load(op->a + cell * op->a_stride + at), load(op->b + n * op->inner + at), sum.part[v]);
          }
        }
        logits[n] = total(sum) + op->bias[n];
      }
    }
  }
}

#endif
