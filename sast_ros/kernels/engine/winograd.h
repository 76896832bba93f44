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

/* Rows of tiles of a map a[height][width][columns] with a border of zeros: y[36][tiles][columns]. */
static void winograd_in_work(const struct sast_op *op, const struct sast_step *step, _Atomic int64_t *taken) {
  const int64_t down = (op->height + 3) / 4, across = (op->width + 3) / 4;
  const float *const map = resolve(step, op->a);
  for (int64_t i; (i = (*taken)++) < down;) {
    for (int64_t j = 0; j < across; ++j) {
      const int64_t top = 4 * i - 1, left = 4 * j - 1;
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
        float *target = op->y + (i * across + j) * op->columns + n;
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

/* Rows of tiles a[36][tiles][columns] to the map y[height][width][columns], with bias and SiLU. */
static void winograd_out_work(const struct sast_op *op, _Atomic int64_t *taken) {
  const int64_t down = (op->height + 3) / 4, across = (op->width + 3) / 4;
  for (int64_t i; (i = (*taken)++) < down;) {
    for (int64_t j = 0; j < across; ++j) {
      for (int64_t n = 0; n < op->columns; n += LANES) {
        const float *const source = op->a + (i * across + j) * op->columns + n;
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
        for (int64_t y = 0; y < smaller(4, op->height - 4 * i); ++y) {
          vec out[4];
          transform_out(half[y], out);
          for (int64_t x = 0; x < smaller(4, op->width - 4 * j); ++x) {
            store(op->y + ((4 * i + y) * op->width + 4 * j + x) * op->y_stride + n, silu(out[x] + bias));
          }
        }
      }
    }
  }
}

#endif
