// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* The operations of a stage that are no matrix products: occupancy, stem, selection, norms and attention. */
#ifndef SAST_ROS_ENGINE_STAGES_H
#define SAST_ROS_ENGINE_STAGES_H

#include "engine.h"
#include "product.h"
#include "vector.h"

enum { NORM_ROWS = 64, STEM_ROWS = 2, STEM_SIDE = 8, ROW_OF_KEYS = PANEL > WIDE ? PANEL : WIDE };

/* Eight cells of a row from x on; cells beyond the row are empty. */
INLINE uint64_t eight_cells(const uint8_t *row, int64_t x, int64_t width) {
  uint64_t word = 0; /* little endian, as all that ROS 2 runs on */
  if (x + 8 <= width) {
    memcpy(&word, row + x, 8);
  } else {
    memcpy(&word, row + x, (size_t)(width - x));
  }
  return word;
}

/* Occupied cells of strides 4, 8, 16 and 32, of rows of bits: bit i of a row is cell i of stride 4. */
static void count_occupied(const uint64_t *cells, int64_t rows, int64_t words, int32_t found[4]) {
  for (int64_t top = 0; top < rows; top += 8) {
    for (int64_t k = 0; k < words; ++k) {
      uint64_t all = 0;
      for (int64_t y = top; y < top + 8; y += 4) {
        uint64_t four = 0;
        for (int64_t i = y; i < y + 4; i += 2) {
          const uint64_t one = cells[i * words + k], other = cells[(i + 1) * words + k], two = one | other;
          found[0] += __builtin_popcountll(one) + __builtin_popcountll(other);
          found[1] += __builtin_popcountll((two | two >> 1) & 0x5555555555555555);
          four |= two;
        }
        four |= four >> 1;
        found[2] += __builtin_popcountll((four | four >> 2) & 0x1111111111111111);
        all |= four;
      }
      all |= all >> 2;
      found[3] += __builtin_popcountll((all | all >> 4) & 0x0101010101010101);
    }
  }
}

static int64_t occupancy_scratch(const struct sast_op *op) {
  return op->height / 4 * ((op->width + 255) / 256) * (int64_t)(sizeof(uint64_t) / sizeof(float));
}

/* Which words of eight cells are not empty, channel by channel, and how many cells of each stride. */
static void occupancy_work(const struct sast_op *op, const struct sast_step *step, _Atomic int64_t *taken,
                           float *scratch) {
  const int64_t lines = (op->width + 63) / 64, words = (op->width + 255) / 256;
  uint64_t *const bits = (uint64_t *)scratch;
  for (int64_t c; (c = (*taken)++) < op->channels;) {
    uint8_t *occupied = op->occupied + c * op->height * lines;
    memset(bits, 0, (size_t)(op->height / 4 * words) * sizeof(uint64_t));
    for (int64_t y = 0; y < step->height; ++y) {
      const uint8_t *const row = step->histogram + (c * step->height + y) * step->width;
      uint64_t *const cells = bits + y / 4 * words;
      for (int64_t line = 0; line < lines; ++line, ++occupied) {
        const int64_t left = 64 * line, past = smaller(left + 64, step->width);
        uint64_t any = 0;
        if (past - left == 64) {
          uint64_t eight[8];
          memcpy(eight, row + left, 64);
          any = (eight[0] | eight[1]) | (eight[2] | eight[3]) | (eight[4] | eight[5]) | (eight[6] | eight[7]);
        } else {
          for (int64_t x = left; x < past; x += 8) {
            any |= eight_cells(row, x, step->width);
          }
        }
        *occupied = 0;
        for (int64_t x = left; any && x < past; x += 8) {
          const uint64_t word = eight_cells(row, x, step->width);
          const uint64_t halves = (uint64_t)((uint32_t)word != 0) | (uint64_t)(word >> 32 != 0) << 1;
          *occupied |= (uint8_t)((word != 0) << (x - left) / 8);
          cells[x / 256] |= halves << x / 4 % 64;
        }
      }
    }
    int32_t found[4] = {0, 0, 0, 0};
    count_occupied(bits, op->height / 4, words, found);
    for (int64_t stride = 0; stride < 4; ++stride) {
      op->counts[stride * op->channels + c] = found[stride];
    }
  }
}

/* Gate and scale of a stage's scores (docs/sast.md 4.4). counts: of the stage; tokens: cells of all channels. */
static void gain_work(const struct sast_op *op, const struct sast_step *step, _Atomic int64_t *taken) {
  if ((*taken)++) {
    return;
  }
  for (int64_t n = 0; n < op->columns; ++n) {
    float gain = 0.0f;
    for (int64_t c = 0; c < op->channels; ++c) {
      const float density = (float)op->counts[c] / (float)op->tokens + 1e-6f;
      gain += density * op->controls[n * op->channels + c];
    }
    const float scale = (float)step->amp / gain;
    op->gate[n] = gain;
    op->scale[n] = isinf(scale) ? 0.0f : scale;
  }
  for (int64_t n = 0; n < op->columns; n += LANES) {
    store(op->gate + n, sigmoid(load(op->gate + n)));
  }
}

/* Add one pixel of a channel to the output rows first to past - 1 that see it.
 *
 * weights: [8][8][columns]; the eighth row and column are for the border, which stands for three replicas of itself.
 */
INLINE void add_pixel(const struct sast_op *op, const float *weights, int64_t y, int64_t x, float count, int64_t first,
                      int64_t past, float *out) {
  const int64_t low = y / 4 < first ? first : y / 4, top = smaller((y + 3) / 4, past - 1);
  const int64_t left = x / 4, right = smaller((x + 3) / 4, op->out_width - 1);
  for (int64_t oy = low; oy <= top; ++oy) {
    const int64_t ky = y == 0 && oy == 0 ? 7 : y - 4 * oy + 3;
    for (int64_t ox = left; ox <= right; ++ox) {
      const int64_t kx = x == 0 && ox == 0 ? 7 : x - 4 * ox + 3;
      const float *const w = weights + (ky * STEM_SIDE + kx) * op->columns;
      float *const o = out + ((oy - first) * op->out_width + ox) * op->columns;
      const vec value = splat(count);
      for (int64_t n = 0; n < op->columns; n += LANES) {
        store(o + n, fused(value, load(w + n), load(o + n)));
      }
    }
  }
}

/* Convolution 7x7 of stride 4 with replicated borders, event by event; then layer norm and position. */
static void stem_work(const struct sast_op *op, const struct sast_step *step, _Atomic int64_t *taken) {
  const int64_t bands = (op->out_height + STEM_ROWS - 1) / STEM_ROWS, lines = (op->width + 63) / 64;
  for (int64_t band; (band = (*taken)++) < bands;) {
    const int64_t first = band * STEM_ROWS, past = smaller(first + STEM_ROWS, op->out_height);
    const int64_t pixels = (past - first) * op->out_width;
    float *const out = (float *)op->y + first * op->out_width * op->columns;
    memset(out, 0, (size_t)(pixels * op->columns) * sizeof(float));
    const int64_t y_first = first ? 4 * first - 3 : 0, y_past = smaller(4 * past, step->height);
    for (int64_t c = 0; c < op->channels; ++c) {
      const float *const weights = op->b + c * STEM_SIDE * STEM_SIDE * op->columns;
      for (int64_t y = y_first; y < y_past; ++y) {
        const uint8_t *const row = step->histogram + (c * step->height + y) * step->width;
        const uint8_t *const occupied = op->occupied + (c * op->height + y) * lines;
        for (int64_t line = 0; line < lines; ++line) {
          for (unsigned int words = occupied[line]; words; words &= words - 1) {
            const int64_t x = 64 * line + 8 * __builtin_ctz(words);
            for (uint64_t word = eight_cells(row, x, step->width); word;) {
              const int k = __builtin_ctzll(word) >> 3;
              add_pixel(op, weights, y, x + k, (float)(word >> (8 * k) & 255), first, past, out);
              word &= ~(255ull << (8 * k));
            }
          }
        }
      }
    }
    const float *const position = op->extra + first * op->out_width * op->columns;
    for (int64_t m = 0; m < pixels; ++m) {
      float *const y = out + m * op->columns;
      norm_with_position(y, op->columns, op->gamma, op->beta, position + m * op->columns, y);
    }
  }
}

/* Exponentials of values - their largest, in place, and their sum; room for a multiple of WIDE. */
static float softmax_terms(float *values, int64_t count) {
  float largest = values[0];
  for (int64_t i = 1; i < count; ++i) {
    largest = values[i] > largest ? values[i] : largest;
  }
  for (int64_t i = count; i % WIDE; ++i) {
    values[i] = -INFINITY;
  }
  wide sum = wide_zero();
  for (int64_t i = 0; i < count; i += WIDE) {
    for (int v = 0; v < WIDE_VECTORS; ++v) {
      const vec term = exponential(load(values + i + v * LANES) - largest);
      store(values + i + v * LANES, term);
      sum.part[v] += term;
    }
  }
  return total(sum);
}

static void select_all(const struct sast_op *op) {
  const int64_t tokens = op->windows * op->tokens;
  memset(op->mask, 1, (size_t)tokens);
  memcpy(op->index, op->order, (size_t)tokens * sizeof(int32_t));
  for (int64_t n = 0; n <= op->windows; ++n) {
    op->first[n] = (int32_t)(n * op->tokens);
  }
  op->count[0] = tokens;
  op->count[1] = op->windows;
}

/* Select windows, and tokens in them, by their scores (docs/sast.md 4.4): what has a softmaxed score not below the
 * uniform one / (1 + bounce). Scores that are not finite select nothing.
 */
static void select_work(const struct sast_op *op, const struct sast_step *step, _Atomic int64_t *taken,
                        float *scratch) {
  if ((*taken)++) {
    return;
  }
  if (step->dense) {
    select_all(op);
    return;
  }
  float *const shares = scratch, *const scores = scratch + round_up(op->windows, WIDE);
  const float window_limit = (float)(1.0 / (double)op->windows / (1.0 + step->bounce));
  const float token_limit = (float)(1.0 / (double)op->tokens / (1.0 + step->bounce));
  int finite = 1;
  for (int64_t n = 0; n < op->windows; ++n) {
    wide sum = wide_zero();
    for (int64_t t = 0; t < op->tokens; t += WIDE) {
      float lanes[WIDE];
      for (int64_t i = 0; i < WIDE; ++i) {
        lanes[i] = t + i < op->tokens ? op->a[op->order[n * op->tokens + t + i]] : 0.0f;
      }
      for (int v = 0; v < WIDE_VECTORS; ++v) {
        sum.part[v] += load(lanes + v * LANES);
      }
    }
    shares[n] = total(sum) / (float)op->tokens;
    finite &= isfinite(shares[n]) != 0;
  }
  memset(op->mask, 0, (size_t)(op->windows * op->tokens));
  int64_t selected = 0, windows = 0;
  op->first[0] = 0;
  const float window_sum = finite ? softmax_terms(shares, op->windows) : 1.0f;
  for (int64_t n = 0; finite && n < op->windows; ++n) {
    if (!(shares[n] / window_sum >= window_limit)) {
      continue;
    }
    const int32_t *const order = op->order + n * op->tokens;
    for (int64_t t = 0; t < op->tokens; ++t) {
      scores[t] = op->a[order[t]];
    }
    const float token_sum = softmax_terms(scores, op->tokens);
    for (int64_t t = 0; t < op->tokens; ++t) {
      if (scores[t] / token_sum >= token_limit) {
        op->mask[n * op->tokens + t] = 1;
        op->index[selected++] = order[t];
      }
    }
    op->first[++windows] = (int32_t)selected;
  }
  op->count[0] = selected;
  op->count[1] = windows;
}

static void norm_work(const struct sast_op *op, _Atomic int64_t *taken) {
  for (int64_t first; (first = NORM_ROWS * (*taken)++) < op->rows;) {
    for (int64_t m = first; m < smaller(first + NORM_ROWS, op->rows); ++m) {
      float *const y = op->y + m * op->columns;
      layer_norm(y, op->columns, op->gamma, op->beta, y);
    }
  }
}

static void gather_work(const struct sast_op *op, _Atomic int64_t *taken) {
  for (int64_t first; (first = NORM_ROWS * (*taken)++) < op->count[0];) {
    for (int64_t i = first; i < smaller(first + NORM_ROWS, op->count[0]); ++i) {
      layer_norm(op->a + op->index[i] * op->columns, op->columns, op->gamma, op->beta, op->y + i * op->columns);
    }
  }
}

/* Attention of one head among count tokens, qkv[count][3 channels]: out[count][columns] of the head. */
static void attend(const struct sast_op *op, const float *qkv, int64_t count, float *out, float *scratch) {
  const int64_t depth = op->head_channels, stride = op->a_stride, width = round_up(count, ROW_OF_KEYS);
  const float scale = 1.0f / sqrtf((float)depth);
  float *const keys = scratch, *const weights = keys + depth * width, *const sums = weights + TILE_ROWS * width;
  for (int64_t j = 0; j < count; ++j) {
    for (int64_t d = 0; d < depth; ++d) {
      keys[d * width + j] = qkv[j * stride + depth + d] * scale;
    }
  }
  for (int64_t d = 0; d < depth; ++d) {
    memset(keys + d * width + count, 0, (size_t)(width - count) * sizeof(float));
  }
  for (int64_t i = 0; i < count; i += TILE_ROWS) {
    const int64_t rows = smaller(count - i, TILE_ROWS);
    for (int64_t j = 0; j < width; j += PANEL) {
      TILES[rows - 1](qkv + i * stride, stride, keys + j, width, depth, weights + j, width, 0, 0);
    }
    float inverse[TILE_ROWS];
    for (int64_t r = 0; r < rows; ++r) {
      inverse[r] = 1.0f / softmax_terms(weights + r * width, count);
    }
    for (int64_t d = 0; d < depth; d += PANEL) {
      TILES[rows - 1](weights, width, qkv + 2 * depth + d, stride, count, sums, PANEL, 0, 0);
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t k = 0; k < smaller(PANEL, depth - d); ++k) {
          out[(i + r) * op->columns + d + k] = sums[r * PANEL + k] * inverse[r];
        }
      }
    }
  }
}

static int64_t attend_scratch(const struct sast_op *op) {
  return (op->head_channels + TILE_ROWS) * round_up(op->tokens, ROW_OF_KEYS) + TILE_ROWS * PANEL;
}

static void attend_work(const struct sast_op *op, _Atomic int64_t *taken, float *scratch) {
  const int64_t windows = op->count[1];
  for (int64_t i; (i = (*taken)++) < windows * op->heads;) {
    const int64_t window = i / op->heads, head = i % op->heads, first = op->first[window];
    const float *const qkv = op->a + first * op->a_stride + head * 3 * op->head_channels;
    float *const out = op->y + first * op->columns + head * op->head_channels;
    attend(op, qkv, op->first[window + 1] - first, out, scratch);
  }
}

/* Mix the mean over all tokens of the map into the selected ones: y[index] = extra + a / 2 + mean(a) / 2. */
static void context_work(const struct sast_op *op, _Atomic int64_t *taken, float *scratch) {
  if ((*taken)++) {
    return;
  }
  memset(scratch, 0, (size_t)op->columns * sizeof(float));
  for (int64_t i = 0; i < op->count[0]; ++i) {
    for (int64_t n = 0; n < op->columns; n += LANES) {
      store(scratch + n, load(scratch + n) + load(op->a + i * op->columns + n));
    }
  }
  const float share = 0.5f / (float)op->rows;
  for (int64_t i = 0; i < op->count[0]; ++i) {
    const int64_t from = i * op->columns, to = op->index[i] * op->columns;
    for (int64_t n = 0; n < op->columns; n += LANES) {
      const vec half = fused(splat(0.5f), load(op->a + from + n), load(op->extra + from + n));
      store(op->y + to + n, fused(splat(share), load(scratch + n), half));
    }
  }
}

#endif
