// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* One matrix product for all layers: rows, pairs of rows or 3x3 neighbourhoods times packed weights; what follows a layer
 * is done on the tile while it is in the cache.
 */
#ifndef SAST_ROS_ENGINE_PRODUCT_H
#define SAST_ROS_ENGINE_PRODUCT_H

#include "engine.h"
#include "vector.h"

enum {
  INNER_BLOCK = 256,                    /* so much of a panel stays in the first cache */
  SMALL_WEIGHTS = 65536,                /* floats that stay in the second cache */
  TILE_HEIGHT = 24,                     /* of a tile; a multiple of TILE_ROWS */
  TILE_WIDTH = 64,                      /* of a tile; a multiple of PANEL and of four times WIDE */
  SMALL_WIDTH = LANES == 16 ? 64 : 128, /* of a tile of small weights */
  SHORT_PAIR = 128                      /* channels up to which the two rows of a pair are copied beside each other */
};

INLINE int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }
INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* c[rows][PANEL] = (add: c +) a[rows][inner] * b[inner][PANEL]; rows is a constant where this is inlined. */
INLINE void tile_rows(const int rows, const float *a, int64_t a_stride, const float *b, int64_t b_stride, int64_t inner,
                      float *c, int64_t c_stride, int add, const int half) {
  vec sum[TILE_ROWS][PANEL_VECTORS];
  const float *third[(TILE_ROWS + 2) / 3]; /* every third row: the others are one and two strides away */
#pragma GCC unroll 12
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < PANEL_VECTORS; ++v) {
      sum[i][v] = add ? load(c + i * c_stride + v * LANES) : splat(0.0f);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < (rows + 2) / 3; ++i) {
    third[i] = a + 3 * i * a_stride;
  }
  for (int64_t k = 0; k < inner; ++k) {
    vec column[PANEL_VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < PANEL_VECTORS; ++v) {
      column[v] = load(b + v * LANES);
    }
    b += b_stride;
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i) {
      const vec value = splat(third[i / 3][i % 3 * a_stride]);
#pragma GCC unroll 4
      for (int v = 0; v < PANEL_VECTORS; ++v) {
        sum[i][v] = fused_words(value, column[v], sum[i][v], half);
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < (rows + 2) / 3; ++i) {
      ++third[i];
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < PANEL_VECTORS; ++v) {
      store(c + i * c_stride + v * LANES, sum[i][v]);
    }
  }
}

#define SAST_TILE(ROWS)                                                                                                \
  static __attribute__((noinline)) void tile_##ROWS(const float *a, int64_t a_stride, const float *b,                  \
                                                    int64_t b_stride, int64_t inner, float *c, int64_t c_stride,       \
                                                    int add, int half) {                                               \
    if (HALF && half) {                                                                                                \
      tile_rows(ROWS, a, a_stride, b, b_stride, inner, c, c_stride, add, 1);                                           \
    } else {                                                                                                           \
      tile_rows(ROWS, a, a_stride, b, b_stride, inner, c, c_stride, add, 0);                                           \
    }                                                                                                                  \
  }
SAST_TILE(1)
SAST_TILE(2)
SAST_TILE(3)
SAST_TILE(4)
SAST_TILE(5)
SAST_TILE(6)
#if defined(SAST_AVX512)
SAST_TILE(7)
SAST_TILE(8)
SAST_TILE(9)
SAST_TILE(10)
SAST_TILE(11)
SAST_TILE(12)
#endif

typedef void (*tile_function)(const float *, int64_t, const float *, int64_t, int64_t, float *, int64_t, int, int);
static const tile_function TILES[TILE_ROWS] = {
    tile_1, tile_2, tile_3, tile_4,  tile_5,  tile_6,
#if defined(SAST_AVX512)
    tile_7, tile_8, tile_9, tile_10, tile_11, tile_12,
#endif
};

/* c[rows][PANEL] of any number of rows: blocks of about the same height. */
INLINE void multiply_panel(const float *a, int64_t a_stride, int64_t rows, const float *b, int64_t b_stride,
                           int64_t inner, float *c, int64_t c_stride, int add, int half) {
  const int64_t blocks = (rows + TILE_ROWS - 1) / TILE_ROWS;
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t first = rows * i / blocks, past = rows * (i + 1) / blocks;
    TILES[past - first - 1](a + first * a_stride, a_stride, b, b_stride, inner, c + first * c_stride, c_stride, add,
                            half);
  }
}

/* An address of an operation, which may be a slot of the step. */
INLINE void *resolve(const struct sast_step *step, const void *address) {
  return (uintptr_t)address < SAST_SLOTS ? step->slot[(uintptr_t)address] : (void *)(uintptr_t)address;
}

/* How a product is cut into tiles. No result depends on it, nor on the number of threads. */
struct tiling {
  int64_t rows, columns; /* of a tile */
  int64_t row_blocks, column_blocks;
  int down; /* one tile below the other: the weights are large */
};

static struct tiling tiling_of(const struct sast_op *op, int64_t rows) {
  const int whole = op->epilogue == SAST_NORM_POSITION || op->epilogue == SAST_SCORE;
  const int64_t columns = round_up(op->columns, PANEL);
  const int64_t inner = op->inner * (op->source == SAST_CONV ? 9 : op->source == SAST_PAIR ? 2 : 1);
  struct tiling tiling;
  tiling.down = inner * columns > SMALL_WEIGHTS;
  tiling.row_blocks = (rows + TILE_HEIGHT - 1) / TILE_HEIGHT;
  tiling.rows = tiling.row_blocks ? round_up((rows + tiling.row_blocks - 1) / tiling.row_blocks, TILE_ROWS) : 0;
  tiling.columns = whole ? columns : smaller(columns, tiling.down ? TILE_WIDTH : SMALL_WIDTH);
  tiling.column_blocks = (columns + tiling.columns - 1) / tiling.columns;
  return tiling;
}

INLINE int64_t rows_of(const struct sast_op *op) { return op->count ? op->count[0] : op->rows; }

/* Floats of a product's tile, and of its rows where these are copied. */
static int64_t product_scratch(const struct sast_op *op) {
  const struct tiling tiling = tiling_of(op, op->rows);
  const int64_t parts = op->source == SAST_CONV ? 9 : op->source == SAST_PAIR ? 2 : op->half;
  return (TILE_HEIGHT + TILE_ROWS) * (tiling.columns + op->inner * parts);
}

/* Copy the 3x3 neighbourhoods of the output pixels first to past - 1. */
static void copy_neighbourhoods(const struct sast_op *op, const float *map, int64_t first, int64_t past, float *out) {
  const int half = HALF && op->half;
  const int64_t words = half ? op->inner / 2 : op->inner;
  for (int64_t m = first; m < past; ++m) {
    const int64_t top = m / op->out_width * op->step - 1, left = m % op->out_width * op->step - 1;
    for (int64_t tap = 0; tap < 9; ++tap, out += words) {
      int64_t y = top + tap / 3, x = left + tap % 3;
      if (op->replicate) {
        y = y < 0 ? 0 : smaller(y, op->height - 1);
        x = x < 0 ? 0 : smaller(x, op->width - 1);
      } else if (y < 0 || x < 0 || y >= op->height || x >= op->width) {
        memset(out, 0, (size_t)words * sizeof(float));
        continue;
      }
      take(out, map + (y * op->width + x) * op->a_stride, op->inner, half);
    }
  }
}

/* One row of a tile, columns n to past - 1, to where it belongs. */
INLINE void finish_row(const struct sast_op *op, const struct sast_step *step, int64_t batch, int64_t m,
                       const float *tile, int64_t n, int64_t past) {
  const int64_t row = op->index ? op->index[m] : m;
  float *const y = (float *)resolve(step, op->y) + batch * op->y_batch + row * op->y_stride;
  const float *const bias = op->bias, *extra = resolve(step, op->extra);
  switch (op->epilogue) {
    case SAST_PLAIN:
      memcpy(y + n, tile, (size_t)(past - n) * sizeof(float));
      break;
    case SAST_BIAS:
      if ((past - n) % WIDE) { /* the predictions of the head */
        for (int64_t c = n; c < past; ++c) {
          y[c] = tile[c - n] + bias[c];
        }
        break;
      }
      for (int64_t c = n; c < past; c += LANES) {
        store(y + c, load(tile + c - n) + load(bias + c));
      }
      break;
    case SAST_SILU:
      for (int64_t c = n; c < past; c += LANES) {
        store(y + c, silu(load(tile + c - n) + load(bias + c)));
      }
      break;
    case SAST_RESIDUAL:
      extra += m * op->extra_stride;
      for (int64_t c = n; c < past; c += LANES) {
        store(y + c, load(tile + c - n) + load(bias + c) + load(extra + c));
      }
      break;
    case SAST_UPSAMPLED_SILU:
      extra += (m / op->out_width / 2 * (op->out_width / 2) + m % op->out_width / 2) * op->extra_stride;
      for (int64_t c = n; c < past; c += LANES) {
        store(y + c, silu(load(tile + c - n) + load(bias + c) + load(extra + c)));
      }
      break;
    case SAST_GEGLU:
      for (int64_t c = n; c < past; c += 2 * WIDE) {
        for (int i = 0; i < WIDE; i += LANES) {
          const vec value = load(tile + c - n + i) + load(bias + c + i);
          const vec gate = load(tile + c - n + WIDE + i) + load(bias + c + WIDE + i);
          store(y + c / 2 + i, value * gelu(gate));
        }
      }
      break;
    case SAST_LSTM: {
      float *const cell = (float *)resolve(step, op->y2) + m * op->y_stride;
      extra += m * op->y_stride;
      for (int64_t c = n; c < past; c += 4 * WIDE) {
        const float *const gates = tile + c - n, *const bias_of = bias + c;
        for (int i = 0; i < WIDE; i += LANES) {
          const vec forget = decay(load(gates + i) + load(bias_of + i));
          const vec enter = decay(load(gates + WIDE + i) + load(bias_of + WIDE + i));
          const vec leave = decay(load(gates + 2 * WIDE + i) + load(bias_of + 2 * WIDE + i));
          const vec candidate = decay(2.0f * (load(gates + 3 * WIDE + i) + load(bias_of + 3 * WIDE + i)));
          /* sigmoid(f) c + sigmoid(i) tanh(g), then sigmoid(o) tanh(c), with one division each */
          const vec entry = (1.0f + enter) * (1.0f + candidate);
          const vec value =
              fused(load(extra + c / 4 + i), entry, (1.0f - candidate) * (1.0f + forget)) / ((1.0f + forget) * entry);
          const vec both = decay(2.0f * value);
          store(cell + c / 4 + i, value);
          store(y + c / 4 + i, (1.0f - both) / ((1.0f + leave) * (1.0f + both)));
        }
      }
      break;
    }
    case SAST_NORM_POSITION:
      norm_with_position(tile, op->columns, op->gamma, op->beta, extra + m * op->columns, y);
      break;
    case SAST_SCORE: {
      wide sum = wide_zero();
      for (int64_t c = 0; c < op->columns; c += WIDE) {
        for (int i = 0; i < WIDE_VECTORS; ++i) {
          const int64_t at = c + i * LANES;
          const vec score = at_least(load(tile + at) + load(bias + at), 0.0f);
          store(y + at, load(y + at) * (load(op->gate + at) * sigmoid(score)));
          sum.part[i] = fused(score, load(op->scale + at), sum.part[i]);
        }
      }
      op->y2[m] = total(sum);
      layer_norm(y, op->columns, op->gamma, op->beta, y);
      break;
    }
  }
}

static void product_tile(const struct sast_op *op, const struct sast_step *step, int64_t batch, int64_t first,
                         int64_t past, int64_t n, int64_t n_past, float *scratch) {
  const int64_t rows = past - first, columns = n_past - n;
  const float *a[2] = {(const float *)resolve(step, op->a) + batch * op->a_batch, NULL};
  const int half = HALF && op->half;
  int64_t a_stride = op->a_stride, inner = half ? op->inner / 2 : op->inner, parts = op->source == SAST_PAIR ? 2 : 1;
  const int plain = op->epilogue == SAST_PLAIN && op->columns % PANEL == 0; /* needs no tile */
  float *const y = (float *)resolve(step, op->y) + batch * op->y_batch + first * op->y_stride + n;
  float *const tile = plain ? y : scratch;
  const int64_t tile_stride = plain ? op->y_stride : columns;
  float *const taken = scratch + TILE_HEIGHT * columns;
  if (op->source == SAST_CONV) {
    copy_neighbourhoods(op, a[0], first, past, taken);
    a[0] = taken;
    a_stride = inner *= 9;
  } else {
    a[0] += first * a_stride;
    if (parts == 2) {
      a[1] = (const float *)resolve(step, op->a2) + first * a_stride;
    }
    if (half || (parts == 2 && inner <= SHORT_PAIR)) {
      for (int64_t m = 0; m < rows * parts; ++m) {
        take(taken + m * inner, a[m % parts] + m / parts * a_stride, op->inner, half);
      }
      a[0] = taken;
      a_stride = inner *= parts;
      parts = 1;
    }
  }
  for (int64_t p = 0; p < columns; p += PANEL) {
    const float *panel = op->b + batch * op->b_batch + (n + p) * inner * parts;
    for (int64_t part = 0; part < parts; ++part) {
      for (int64_t k = 0; k < inner; k += INNER_BLOCK) {
        const int64_t block = smaller(inner - k, INNER_BLOCK);
        multiply_panel(a[part] + k, a_stride, rows, panel, PANEL, block, tile + p, tile_stride, part || k, half);
        panel += block * PANEL;
      }
    }
  }
  for (int64_t m = 0; m < rows && !plain; ++m) {
    finish_row(op, step, batch, first + m, tile + m * columns, n, smaller(n_past, op->columns));
  }
}

static void product_work(const struct sast_op *op, const struct sast_step *step, _Atomic int64_t *taken,
                         float *scratch) {
  const int64_t rows = rows_of(op), columns = round_up(op->columns, PANEL);
  const struct tiling tiling = tiling_of(op, rows);
  const int64_t tiles = tiling.row_blocks * tiling.column_blocks, all = tiles * op->batch;
  for (int64_t i; (i = (*taken)++) < all;) {
    const int64_t tile = i % tiles;
    const int64_t row = tiling.down ? tile % tiling.row_blocks : tile / tiling.column_blocks;
    const int64_t column = tiling.down ? tile / tiling.row_blocks : tile % tiling.column_blocks;
    const int64_t first = row * tiling.rows, n = column * tiling.columns;
    const int64_t past = smaller(first + tiling.rows, rows);
    if (first < past) {
      product_tile(op, step, i / tiles, first, past, n, smaller(n + tiling.columns, columns), scratch);
    }
  }
}

#endif
