// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* What of the network's input and output is faster outside PyTorch. */

#include "kernels.h"
#include "multiversion.h"

#include <string.h>

/* Lets compilers turn the branches of the vectorised loops below into selections; no result changes. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-trapping-math")
#endif

/* Histogram uint8[channels][height][width] to float32[height + 2 pad][width + 2 pad][channels] with replicated borders.
 *
 * A histogram is nearly empty, so the output is cleared and only its occupied cells are written; eight cells that are
 * all empty are skipped at once.
 */
void sast_stem_input(const uint8_t *histogram, int64_t channels, int64_t height, int64_t width, int64_t pad,
                     float *out) {
  const int64_t line = (width + 2 * pad) * channels;
  float *const inside = out + pad * line + pad * channels;
  memset(inside - pad * channels, 0, (size_t)(height * line) * sizeof(float));
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t y = 0; y < height; ++y) {
      const uint8_t *const row = histogram + (c * height + y) * width;
      float *const target = inside + y * line + c;
      int64_t x = 0;
      for (; x + 8 <= width; x += 8) {
        uint64_t word;
        memcpy(&word, row + x, 8);
        if (word == 0) {
          continue;
        }
        for (int64_t k = x; k < x + 8; ++k) {
          if (row[k]) {
            target[k * channels] = row[k];
          }
        }
      }
      for (; x < width; ++x) {
        target[x * channels] = row[x];
      }
    }
  }
  const size_t cell = (size_t)channels * sizeof(float);
  for (int64_t y = 0; y < height; ++y) {
    float *const first = inside + y * line, *const last = first + (width - 1) * channels;
    for (int64_t k = 1; k <= pad; ++k) {
      memcpy(first - k * channels, first, cell);
      memcpy(last + k * channels, last, cell);
    }
  }
  const float *const top = inside - pad * channels, *const bottom = top + (height - 1) * line;
  for (int64_t k = 1; k <= pad; ++k) {
    memcpy(out + (pad - k) * line, top, (size_t)line * sizeof(float));
    memcpy(out + (pad + height - 1 + k) * line, bottom, (size_t)line * sizeof(float));
  }
}

/* Greedy non-maximum suppression: boxes float32[count][4] xyxy, best score first; alive[i] becomes 0 where a better box
 * of the same class that stayed overlaps by more than iou. Single precision throughout, as the published post-processing.
 */
void sast_nms(const float *boxes, const int64_t *classes, int64_t count, float iou, uint8_t *alive) {
  for (int64_t i = 0; i < count; ++i) {
    if (!alive[i]) {
      continue;
    }
    const float *const a = boxes + 4 * i;
    const float area = (a[2] - a[0]) * (a[3] - a[1]);
    for (int64_t k = i + 1; k < count; ++k) {
      const float *const b = boxes + 4 * k;
      const float left = a[0] > b[0] ? a[0] : b[0], right = a[2] < b[2] ? a[2] : b[2];
      const float top = a[1] > b[1] ? a[1] : b[1], bottom = a[3] < b[3] ? a[3] : b[3];
      if (right <= left || bottom <= top || classes[k] != classes[i]) {
        continue;
      }
      const float overlap = (right - left) * (bottom - top);
      if (overlap > iou * (area + (b[2] - b[0]) * (b[3] - b[1]) - overlap)) {
        alive[k] = 0;
      }
    }
  }
}

/* e^x to about one unit in the last place, in operations that compilers vectorise (range reduction and polynomial of the
 * Cephes library's method).
 */
static inline __attribute__((always_inline)) float exponential(float x) {
  x = x > 88.0f ? 88.0f : x;
  x = x < -87.0f ? -87.0f : x;
  const float nearest = (x * 1.44269504088896341f + 12582912.0f) - 12582912.0f; /* rounds to an integer */
  const int32_t k = (int32_t)nearest;
  const float r = (x - nearest * 0.693359375f) + nearest * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  union {
    int32_t bits;
    float value;
  } power;
  power.bits = (k + 127) << 23;
  return (p * r * r + r + 1.0f) * power.value;
}

static inline __attribute__((always_inline)) float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

static inline __attribute__((always_inline)) float tangent(float x) {
  return 2.0f / (1.0f + exponential(-2.0f * x)) - 1.0f;
}

/* LSTM cell: gates float32[tokens][4 channels] (forget, input, output, candidate) and the previous cell give the new
 * hidden state and cell, float32[tokens][channels] each.
 */
MULTIVERSIONED
void sast_lstm_cell(const float *restrict gates, const float *restrict previous, int64_t tokens, int64_t channels,
                    float *restrict hidden, float *restrict cell) {
  for (int64_t token = 0; token < tokens; ++token) {
    const float *const forget = gates + 4 * token * channels, *const enter = forget + channels;
    const float *const leave = enter + channels, *const candidate = leave + channels;
    const float *const before = previous + token * channels;
    float *const h = hidden + token * channels, *const c = cell + token * channels;
    for (int64_t i = 0; i < channels; ++i) {
      const float value = sigmoid(forget[i]) * before[i] + sigmoid(enter[i]) * tangent(candidate[i]);
      c[i] = value;
      h[i] = sigmoid(leave[i]) * tangent(value);
    }
  }
}

/* Weight tokens by their scores, in place: x *= gate * sigmoid(relu(raw)), and sum up the scaled scores of each token.
 *
 * x, raw: float32[tokens][channels]; gate, scale: float32[channels]; scores: float32[tokens].
 */
MULTIVERSIONED
void sast_score_tokens(float *restrict x, const float *restrict raw, const float *restrict gate,
                       const float *restrict scale, int64_t tokens, int64_t channels, float *restrict scores) {
  for (int64_t token = 0; token < tokens; ++token) {
    float *const value = x + token * channels;
    const float *const score = raw + token * channels;
    float sums[8] = {0};
    for (int64_t i = 0; i < channels; ++i) {
      const float positive = score[i] < 0 ? 0 : score[i]; /* NaN stays NaN */
      value[i] *= gate[i] * sigmoid(positive);
    }
    for (int64_t i = 0; i + 8 <= channels; i += 8) {
      for (int64_t k = 0; k < 8; ++k) {
        sums[k] += (score[i + k] < 0 ? 0 : score[i + k]) * scale[i + k];
      }
    }
    for (int64_t i = channels / 8 * 8; i < channels; ++i) {
      sums[0] += (score[i] < 0 ? 0 : score[i]) * scale[i];
    }
    scores[token] = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  }
}

/* Number of occupied cells of strides 4, 8, 16 and 32 in every channel of a histogram uint8[channels][height][width]
 * whose sides are multiples of 32: counts int32[4][channels].
 */
void sast_count_occupied(const uint8_t *histogram, int64_t channels, int64_t height, int64_t width, int32_t *counts) {
  for (int64_t c = 0; c < channels; ++c) {
    int32_t found[4] = {0, 0, 0, 0};
    for (int64_t top = 0; top < height; top += 32) {
      for (int64_t left = 0; left < width; left += 32) {
        /* Occupied 4x4 cells of this 32x32 block as an 8x8 bit map, one byte a row. */
        uint8_t rows[8];
        for (int64_t i = 0; i < 8; ++i) {
          uint64_t words[4] = {0, 0, 0, 0};
          for (int64_t y = 0; y < 4; ++y) {
            uint64_t line[4];
            memcpy(line, histogram + (c * height + top + 4 * i + y) * width + left, 32);
            for (int64_t k = 0; k < 4; ++k) {
              words[k] |= line[k];
            }
          }
          uint8_t row = 0;
          for (int64_t k = 0; k < 4; ++k) {
            uint32_t halves[2];
            memcpy(halves, &words[k], 8);
            row |= (uint8_t)((halves[0] != 0) << (2 * k) | (halves[1] != 0) << (2 * k + 1));
          }
          rows[i] = row;
        }
        uint8_t any = 0;
        for (int64_t i = 0; i < 8; ++i) {
          for (uint8_t bits = rows[i]; bits; bits &= (uint8_t)(bits - 1)) {
            ++found[0];
          }
          any |= rows[i];
        }
        for (int64_t size = 2; size <= 4; size *= 2) {
          for (int64_t i = 0; i < 8; i += size) {
            uint8_t row = 0;
            for (int64_t k = 0; k < size; ++k) {
              row |= rows[i + k];
            }
            for (int64_t j = 0; j < 8; j += size) {
              found[size / 2] += (row >> j & ((1 << size) - 1)) != 0;
            }
          }
        }
        found[3] += any != 0;
      }
    }
    for (int64_t stride = 0; stride < 4; ++stride) {
      counts[stride * channels + c] = found[stride];
    }
  }
}
