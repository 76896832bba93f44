/* Forward and backward passes of what lies between the matrix products of a training step. Called through ctypes.
 *
 * Rows are tokens; the number of channels is a multiple of 16 and at most MOST_CHANNELS. Arrays called half are
 * bfloat16 if the argument half is not 0, and float32 otherwise; all others are float32.
 */

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-trapping-math", "fp-contract=fast")
#endif

#include "elementary.h"
#include "multiversion.h"

#include <stdlib.h>

#define MOST_CHANNELS 4096
#define BLOCK 256 /* rows that are summed up before they are added to a total: keeps rounding errors small */

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

INLINED void add_up(float *totals, float *parts, int64_t channels) {
  for (int64_t i = 0; i < channels; ++i) {
    totals[i] += parts[i];
    parts[i] = 0;
  }
}

/* Convolution of a nearly empty uint8[batch][channels][height][width] with kernels of 2 factor - 1 at a stride of factor
 * over replicated borders: only occupied cells cost anything. weight: [2 factor - 1][2 factor - 1][channels][outputs];
 * map: [batch][height / factor][width / factor][outputs]. Forward adds to the map, backward to the weight.
 */
INLINED void stem(const uint8_t *histogram, int64_t batch, int64_t channels, int64_t height, int64_t width, int64_t factor,
                  int64_t outputs, float *weight, float *map, int backward) {
  const int64_t pad = factor - 1, size = 2 * factor - 1, rows = height / factor, columns = width / factor;
  for (int64_t plane = 0; plane < batch * channels; ++plane) {
    float *const image = map + plane / channels * rows * columns * outputs;
    float *const kernel = weight + plane % channels * outputs;
    for (int64_t y = 0; y < height; ++y) {
      const uint8_t *const row = histogram + (plane * height + y) * width;
      for (int64_t start = 0; start < width; start += 8) {
        uint64_t word;
        memcpy(&word, row + start, 8);
        if (word == 0) {
          continue;
        }
        for (int64_t x = start; x < start + 8; ++x) {
          if (!row[x]) {
            continue;
          }
          const float value = row[x];
          /* Places of this cell in the padded map: several for those at the border. */
          const int64_t top = y == 0 ? 0 : y + pad, bottom = y + pad + (y == height - 1 ? pad : 0);
          const int64_t left = x == 0 ? 0 : x + pad, right = x + pad + (x == width - 1 ? pad : 0);
          for (int64_t py = top; py <= bottom; ++py) {
            for (int64_t oy = least(py / factor, rows - 1); oy >= 0 && py - oy * factor < size; --oy) {
              for (int64_t px = left; px <= right; ++px) {
                for (int64_t ox = least(px / factor, columns - 1); ox >= 0 && px - ox * factor < size; --ox) {
                  float *const w = kernel + ((py - oy * factor) * size + px - ox * factor) * channels * outputs;
                  float *const m = image + (oy * columns + ox) * outputs;
                  for (int64_t i = 0; i < outputs; i += 16) {
                    if (backward) {
                      store(w + i, load(w + i) + value * load(m + i));
                    } else {
                      store(m + i, load(m + i) + value * load(w + i));
                    }
                  }
                }
              }
            }
          }
        }
      }
    }
  }
}

MULTIVERSIONED
void sast_stem_forward(const uint8_t *histogram, int64_t batch, int64_t channels, int64_t height, int64_t width,
                       int64_t factor, int64_t outputs, float *weight, float *map) {
  stem(histogram, batch, channels, height, width, factor, outputs, weight, map, 0);
}

MULTIVERSIONED
void sast_stem_backward(const uint8_t *histogram, int64_t batch, int64_t channels, int64_t height, int64_t width,
                        int64_t factor, int64_t outputs, float *weight, float *map) {
  stem(histogram, batch, channels, height, width, factor, outputs, weight, map, 1);
}

/* [batch][height][width][channels] to half [batch][height + 2][width + 2][channels] with replicated borders. */
MULTIVERSIONED
void sast_pad_forward(const float *map, int64_t batch, int64_t height, int64_t width, int64_t channels, int64_t half,
                      void *out) {
  for (int64_t line = 0; line < batch * (height + 2); ++line) {
    const int64_t image = line / (height + 2), y = line % (height + 2) - 1;
    const int64_t row = (image * height + (y < 0 ? 0 : y >= height ? height - 1 : y)) * width;
    for (int64_t px = 0; px < width + 2; ++px) {
      const int64_t x = px == 0 ? 0 : px > width ? width - 1 : px - 1;
      const int64_t from = (row + x) * channels, to = (line * (width + 2) + px) * channels;
      for (int64_t i = 0; i < channels; i += 16) {
        put(out, to + i, (int)half, load(map + from + i));
      }
    }
  }
}

/* Gradient of the map from the gradient of the padded one. */
MULTIVERSIONED
void sast_pad_backward(const void *padded, int64_t batch, int64_t height, int64_t width, int64_t channels, int64_t half,
                       float *out) {
  for (int64_t line = 0; line < batch * height; ++line) {
    const int64_t image = line / height, y = line % height;
    for (int64_t x = 0; x < width; ++x) {
      for (int64_t i = 0; i < channels; i += 16) {
        v16 sum = {0};
        for (int64_t py = y == 0 ? 0 : y + 1; py <= y + 1 + (y == height - 1); ++py) {
          for (int64_t px = x == 0 ? 0 : x + 1; px <= x + 1 + (x == width - 1); ++px) {
            sum += get(padded, ((image * (height + 2) + py) * (width + 2) + px) * channels + i, (int)half);
          }
        }
        store(out + (line * width + x) * channels + i, sum);
      }
    }
  }
}

/* Mean and 1 / standard deviation of a row. */
INLINED void moments(const float *x, int64_t channels, float *statistics) {
  v16 sum = {0};
  for (int64_t i = 0; i < channels; i += 16) {
    sum += load(x + i);
  }
  const float mean = total(sum) / (float)channels;
  v16 squares = {0};
  for (int64_t i = 0; i < channels; i += 16) {
    const v16 d = load(x + i) - mean;
    squares += d * d;
  }
  statistics[0] = mean;
  statistics[1] = 1.0f / __builtin_sqrtf(total(squares) / (float)channels + 1e-5f);
}

/* Layer norm; position: [period][channels] is added, row by row, unless it is null. */
MULTIVERSIONED
void sast_norm_forward(const float *x, const float *weight, const float *bias, const float *position, int64_t period,
                       int64_t rows, int64_t channels, float *out, float *statistics) {
  for (int64_t row = 0; row < rows; ++row) {
    const float *const from = x + row * channels;
    float *const to = out + row * channels;
    moments(from, channels, statistics + 2 * row);
    const float mean = statistics[2 * row], scale = statistics[2 * row + 1];
    for (int64_t i = 0; i < channels; i += 16) {
      v16 y = (load(from + i) - mean) * scale * load(weight + i) + load(bias + i);
      if (position) {
        y += load(position + row % period * channels + i);
      }
      store(to + i, y);
    }
  }
}

/* What a layer norm's gradient needs of one row: means of dy w and of dy w x^. */
INLINED void gradient_means(const float *dy, const float *x, const float *weight, int64_t channels, float mean, float scale,
                            float *means) {
  v16 first = {0}, second = {0};
  for (int64_t i = 0; i < channels; i += 16) {
    const v16 g = load(dy + i) * load(weight + i);
    first += g;
    second += g * ((load(x + i) - mean) * scale);
  }
  means[0] = total(first) / (float)channels;
  means[1] = total(second) / (float)channels;
}

/* dy and, unless null, the half extra are added up to the gradient of the result; dweight and dbias are added to. */
MULTIVERSIONED
void sast_norm_backward(const float *dy, const void *extra, int64_t half, const float *x, const float *statistics,
                        const float *weight, int64_t rows, int64_t channels, float *dx, float *dweight, float *dbias) {
  float parts[2 * MOST_CHANNELS] = {0}, gradient[MOST_CHANNELS];
  float *const dw = parts, *const db = parts + channels;
  for (int64_t row = 0; row < rows; ++row) {
    const float *const from = x + row * channels;
    const float mean = statistics[2 * row], scale = statistics[2 * row + 1];
    for (int64_t i = 0; i < channels; i += 16) {
      v16 g = load(dy + row * channels + i);
      if (extra) {
        g += get(extra, row * channels + i, (int)half);
      }
      store(gradient + i, g);
      store(dw + i, load(dw + i) + g * ((load(from + i) - mean) * scale));
      store(db + i, load(db + i) + g);
    }
    float means[2];
    gradient_means(gradient, from, weight, channels, mean, scale, means);
    for (int64_t i = 0; i < channels; i += 16) {
      const v16 g = load(gradient + i) * load(weight + i);
      store(dx + row * channels + i, scale * (g - means[0] - (load(from + i) - mean) * scale * means[1]));
    }
    if (row % BLOCK == BLOCK - 1 || row == rows - 1) {
      add_up(dweight, dw, channels);
      add_up(dbias, db, channels);
    }
  }
}

/* x gate sigmoid(relu(raw)), its layer norm, and the scores: sums of relu(raw) scale.
 *
 * x, raw, out: [batch][tokens][channels]; gate, scale: [batch][channels]; scores: [batch][tokens].
 */
MULTIVERSIONED
void sast_weigh_forward(const float *x, const float *raw, const float *gate, const float *scale, const float *weight,
                        const float *bias, int64_t batch, int64_t tokens, int64_t channels, float *out, float *statistics,
                        float *scores) {
  for (int64_t row = 0; row < batch * tokens; ++row) {
    const int64_t sample = row / tokens * channels, at = row * channels;
    float weighted[MOST_CHANNELS];
    v16 score = {0};
    for (int64_t i = 0; i < channels; i += 16) {
      v16 positive = load(raw + at + i);
      positive = choose(positive > 0.0f, positive, positive - positive);
      score += positive * load(scale + sample + i);
      store(weighted + i, load(x + at + i) * load(gate + sample + i) * sigmoid16(positive));
    }
    scores[row] = total(score);
    moments(weighted, channels, statistics + 2 * row);
    const float mean = statistics[2 * row], inverse = statistics[2 * row + 1];
    for (int64_t i = 0; i < channels; i += 16) {
      store(out + at + i, (load(weighted + i) - mean) * inverse * load(weight + i) + load(bias + i));
    }
  }
}

/* Gradients of sast_weigh_forward; draw and copy, which gets x, are half; dgate: [batch][channels]; dgate, dweight, dbias
 * are added to.
 */
MULTIVERSIONED
void sast_weigh_backward(const float *dy, const float *x, const float *raw, const float *gate, const float *statistics,
                         const float *weight, int64_t batch, int64_t tokens, int64_t channels, int64_t half, float *dx,
                         void *draw, void *copy, float *dgate, float *dweight, float *dbias) {
  float parts[3 * MOST_CHANNELS] = {0}, weighted[MOST_CHANNELS], strength[MOST_CHANNELS];
  float *const dw = parts, *const db = parts + channels, *const dg = parts + 2 * channels;
  for (int64_t row = 0; row < batch * tokens; ++row) {
    const int64_t sample = row / tokens * channels, at = row * channels;
    const float mean = statistics[2 * row], scale = statistics[2 * row + 1];
    for (int64_t i = 0; i < channels; i += 16) {
      v16 positive = load(raw + at + i);
      positive = choose(positive > 0.0f, positive, positive - positive);
      const v16 s = sigmoid16(positive), value = load(x + at + i) * load(gate + sample + i) * s, g = load(dy + at + i);
      store(strength + i, s);
      store(weighted + i, value);
      store(dw + i, load(dw + i) + g * ((value - mean) * scale));
      store(db + i, load(db + i) + g);
    }
    float means[2];
    gradient_means(dy + at, weighted, weight, channels, mean, scale, means);
    for (int64_t i = 0; i < channels; i += 16) {
      const v16 g = load(dy + at + i) * load(weight + i), s = load(strength + i);
      const v16 d = scale * (g - means[0] - (load(weighted + i) - mean) * scale * means[1]);
      const v16 gated = d * load(gate + sample + i), value = load(x + at + i), r = load(raw + at + i);
      store(dx + at + i, gated * s);
      put(draw, at + i, (int)half, choose(r > 0.0f, gated * value * s * (1.0f - s), r - r));
      put(copy, at + i, (int)half, value);
      store(dg + i, load(dg + i) + d * s * value);
    }
    const int last = row % tokens == tokens - 1;
    if (row % BLOCK == BLOCK - 1 || last) {
      add_up(dweight, dw, channels);
      add_up(dbias, db, channels);
      add_up(dgate + sample, dg, channels);
    }
  }
}

/* Which tokens are selected (see selection.select): order: [windows][size] token of each place. mask: [batch][windows]
 * [size]. chosen gets the selected tokens (row of the map of the whole batch), ordered by window; starts gets the first
 * of every window that has some, and their number at the end. Returns the number of such windows.
 */
int64_t sast_select(const float *scores, const int64_t *order, int64_t batch, int64_t windows, int64_t size, float bounce,
                    uint8_t *mask, int32_t *chosen, int32_t *starts) {
  const float least_window = (1.0f / (float)windows) / (1.0f + bounce), least_token = (1.0f / (float)size) / (1.0f + bounce);
  float *const share = malloc((size_t)(windows + size) * sizeof(float)), *const token = share + windows;
  if (!share) {
    return -1;
  }
  int64_t used = 0;
  int32_t count = 0;
  memset(mask, 0, (size_t)(batch * windows * size));
  for (int64_t sample = 0; sample < batch; ++sample) {
    const float *const score = scores + sample * windows * size;
    float best = -1e30f, sum = 0;
    for (int64_t w = 0; w < windows; ++w) {
      float add = 0;
      for (int64_t t = 0; t < size; ++t) {
        add += score[order[w * size + t]];
      }
      share[w] = add / (float)size;
      best = share[w] > best ? share[w] : best;
    }
    for (int64_t w = 0; w < windows; ++w) {
      sum += share[w] = __builtin_expf(share[w] - best);
    }
    for (int64_t w = 0; w < windows; ++w) {
      if (!(share[w] / sum >= least_window)) {
        continue;
      }
      float highest = -1e30f, whole = 0;
      for (int64_t t = 0; t < size; ++t) {
        token[t] = score[order[w * size + t]];
        highest = token[t] > highest ? token[t] : highest;
      }
      for (int64_t t = 0; t < size; ++t) {
        whole += token[t] = __builtin_expf(token[t] - highest);
      }
      const int32_t before = count;
      for (int64_t t = 0; t < size; ++t) {
        if (token[t] / whole >= least_token) {
          mask[(sample * windows + w) * size + t] = 1;
          chosen[count++] = (int32_t)(sample * windows * size + order[w * size + t]);
        }
      }
      if (count > before) {
        starts[used++] = before;
      }
    }
  }
  starts[used] = count;
  free(share);
  return used;
}

/* The selected rows of a map, normed: half out, half normed (before weight and bias), deviations: 1 / standard deviation
 * of each row. Rows from count on become 0.
 */
MULTIVERSIONED
void sast_gather_forward(const float *map, const int32_t *chosen, int64_t count, int64_t rows, int64_t channels,
                         const float *weight, const float *bias, int64_t half, void *out, void *normed, float *deviations) {
  for (int64_t row = 0; row < rows; ++row) {
    float statistics[2] = {0, 0};
    const float *const from = map + (row < count ? chosen[row] : 0) * channels;
    if (row < count) {
      moments(from, channels, statistics);
    }
    deviations[row] = statistics[1];
    for (int64_t i = 0; i < channels; i += 16) {
      v16 x = {0}, y = {0};
      if (row < count) {
        x = (load(from + i) - statistics[0]) * statistics[1];
        y = x * load(weight + i) + load(bias + i);
      }
      put(normed, row * channels + i, (int)half, x);
      put(out, row * channels + i, (int)half, y);
    }
  }
}

/* From the half gradient of the selected rows to their rows of dmap, which are overwritten; dweight, dbias are added to. */
MULTIVERSIONED
void sast_gather_backward(const void *dy, const int32_t *chosen, int64_t count, int64_t channels, const void *normed,
                          const float *deviations, const float *weight, int64_t half, float *dmap, float *dweight,
                          float *dbias) {
  float parts[2 * MOST_CHANNELS] = {0};
  float *const dw = parts, *const db = parts + channels;
  for (int64_t row = 0; row < count; ++row) {
    v16 first = {0}, second = {0};
    for (int64_t i = 0; i < channels; i += 16) {
      const v16 g = get(dy, row * channels + i, (int)half), x = get(normed, row * channels + i, (int)half);
      const v16 weighted = g * load(weight + i);
      first += weighted;
      second += weighted * x;
      store(dw + i, load(dw + i) + g * x);
      store(db + i, load(db + i) + g);
    }
    const float mean = total(first) / (float)channels, slope = total(second) / (float)channels;
    for (int64_t i = 0; i < channels; i += 16) {
      const v16 g = get(dy, row * channels + i, (int)half) * load(weight + i);
      const v16 x = get(normed, row * channels + i, (int)half);
      store(dmap + chosen[row] * channels + i, deviations[row] * (g - mean - x * slope));
    }
    if (row % BLOCK == BLOCK - 1 || row == count - 1) {
      add_up(dweight, dw, channels);
      add_up(dbias, db, channels);
    }
  }
}

/* out[chosen] = first + second + bias on a copy of map; first, second: half; out: half if out_half. */
MULTIVERSIONED
void sast_scatter_forward(const float *map, int64_t tokens, const int32_t *chosen, int64_t count, int64_t channels,
                          const void *first, const void *second, const float *bias, int64_t half, int64_t out_half,
                          void *out) {
  for (int64_t i = 0; i < tokens * channels; i += 16) {
    put(out, i, (int)out_half, load(map + i));
  }
  for (int64_t row = 0; row < count; ++row) {
    for (int64_t i = 0; i < channels; i += 16) {
      const int64_t at = row * channels + i;
      const v16 sum = get(first, at, (int)half) + get(second, at, (int)half) + load(bias + i);
      put(out, chosen[row] * channels + i, (int)out_half, sum);
    }
  }
}

/* dmap = dout, and its selected rows as half (rows from count on 0); dout: rows of stride, half if out_half. */
MULTIVERSIONED
void sast_scatter_backward(const void *dout, int64_t tokens, int64_t stride, const int32_t *chosen, int64_t count,
                           int64_t rows, int64_t channels, int64_t half, int64_t out_half, float *dmap, void *selected) {
  for (int64_t row = 0; row < tokens; ++row) {
    for (int64_t i = 0; i < channels; i += 16) {
      store(dmap + row * channels + i, get(dout, row * stride + i, (int)out_half));
    }
  }
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < channels; i += 16) {
      v16 g = {0};
      if (row < count) {
        g = get(dout, chosen[row] * stride + i, (int)out_half);
      }
      put(selected, row * channels + i, (int)half, g);
    }
  }
}

/* half out = half first + half second + bias. */
MULTIVERSIONED
void sast_add_rows(const void *first, const void *second, const float *bias, int64_t rows, int64_t channels, int64_t half,
                   void *out) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < channels; i += 16) {
      const int64_t at = row * channels + i;
      put(out, at, (int)half, get(first, at, (int)half) + get(second, at, (int)half) + load(bias + i));
    }
  }
}

/* Sum over the rows of a half array. */
MULTIVERSIONED
void sast_sum_rows(const void *x, int64_t rows, int64_t channels, int64_t half, float *out) {
  float parts[MOST_CHANNELS] = {0};
  memset(out, 0, (size_t)channels * sizeof(float));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < channels; i += 16) {
      store(parts + i, load(parts + i) + get(x, row * channels + i, (int)half));
    }
    if (row % BLOCK == BLOCK - 1 || row == rows - 1) {
      add_up(out, parts, channels);
    }
  }
}

/* Normal distribution up to x, and its density, to 1e-7 (Abramowitz and Stegun 7.1.26). */
INLINED void normal(v16 x, v16 *below, v16 *density) {
  const v16 size = choose(x < 0.0f, -x, x) * 0.70710678118654752f;
  const v16 t = 1.0f / (1.0f + 0.3275911f * size), e = exponential16(-size * size);
  v16 p = t * 1.061405429f - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const v16 beyond = 0.5f * p * t * e;
  *below = choose(x < 0.0f, beyond, 1.0f - beyond);
  *density = 0.39894228040143268f * e;
}

/* half in: [rows][2 inner] value and gate to half out: [rows][inner] value gelu(gate). */
MULTIVERSIONED
void sast_gate_forward(const void *in, int64_t rows, int64_t inner, int64_t half, void *out) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < inner; i += 16) {
      const v16 value = get(in, 2 * row * inner + i, (int)half), gate = get(in, (2 * row + 1) * inner + i, (int)half);
      v16 below, density;
      normal(gate, &below, &density);
      put(out, row * inner + i, (int)half, value * gate * below);
    }
  }
}

MULTIVERSIONED
void sast_gate_backward(const void *dout, const void *in, int64_t rows, int64_t inner, int64_t half, void *din) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < inner; i += 16) {
      const v16 value = get(in, 2 * row * inner + i, (int)half), gate = get(in, (2 * row + 1) * inner + i, (int)half);
      const v16 g = get(dout, row * inner + i, (int)half);
      v16 below, density;
      normal(gate, &below, &density);
      put(din, 2 * row * inner + i, (int)half, g * gate * below);
      put(din, (2 * row + 1) * inner + i, (int)half, g * value * (below + gate * density));
    }
  }
}

/* LSTM cell: half gates: [rows][4 channels] (forget, input, output, candidate); previous may be null for zeros. */
MULTIVERSIONED
void sast_cell_forward(const void *gates, const float *previous, int64_t rows, int64_t channels, int64_t half, float *hidden,
                       float *cell) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < channels; i += 16) {
      const int64_t gate = 4 * row * channels + i, at = row * channels + i;
      v16 value = sigmoid16(get(gates, gate + channels, (int)half)) * tangent16(get(gates, gate + 3 * channels, (int)half));
      if (previous) {
        value += sigmoid16(get(gates, gate, (int)half)) * load(previous + at);
      }
      store(cell + at, value);
      store(hidden + at, sigmoid16(get(gates, gate + 2 * channels, (int)half)) * tangent16(value));
    }
  }
}

/* dhidden may have a second part, the half dnext: rows of 2 channels whose second halves count; dcell is overwritten by
 * the gradient of the previous cell. Null stands for zeros (previous, dnext).
 */
MULTIVERSIONED
void sast_cell_backward(const void *gates, const float *previous, const float *cell, const float *dhidden, const void *dnext,
                        int64_t rows, int64_t channels, int64_t half, float *dcell, void *dgates) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < channels; i += 16) {
      const int64_t gate = 4 * row * channels + i, at = row * channels + i;
      const v16 forget = sigmoid16(get(gates, gate, (int)half)), enter = sigmoid16(get(gates, gate + channels, (int)half));
      const v16 leave = sigmoid16(get(gates, gate + 2 * channels, (int)half));
      const v16 candidate = tangent16(get(gates, gate + 3 * channels, (int)half)), t = tangent16(load(cell + at));
      v16 dh = load(dhidden + at), before = {0};
      if (dnext) {
        dh += get(dnext, (2 * row + 1) * channels + i, (int)half);
      }
      if (previous) {
        before = load(previous + at);
      }
      const v16 dc = load(dcell + at) + dh * leave * (1.0f - t * t);
      put(dgates, gate, (int)half, dc * before * forget * (1.0f - forget));
      put(dgates, gate + channels, (int)half, dc * candidate * enter * (1.0f - enter));
      put(dgates, gate + 2 * channels, (int)half, dh * t * leave * (1.0f - leave));
      put(dgates, gate + 3 * channels, (int)half, dc * enter * (1.0f - candidate * candidate));
      store(dcell + at, dc * forget);
    }
  }
}

/* half out: [rows][2 channels] = half x beside hidden (null for zeros). */
MULTIVERSIONED
void sast_join(const void *x, const float *hidden, int64_t rows, int64_t channels, int64_t half, void *out) {
  const v16 zero = {0};
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < channels; i += 16) {
      put(out, 2 * row * channels + i, (int)half, get(x, row * channels + i, (int)half));
      put(out, (2 * row + 1) * channels + i, (int)half, hidden ? load(hidden + row * channels + i) : zero);
    }
  }
}

/* c = a b: [m][n] from [m][k] (strides ai, ak) and [k][n]; m a multiple of 8, n and row lengths of 16. */
INLINED void product(const float *a, int64_t ai, int64_t ak, const float *b, int64_t bk, float *c, int64_t ci, int64_t m,
                     int64_t n, int64_t k) {
  for (int64_t j = 0; j < n;) {
    if (n - j >= 32) {
      for (int64_t i = 0; i < m; i += 8) {
        v16 left[8] = {{0}}, right[8] = {{0}};
        for (int64_t s = 0; s < k; ++s) {
          const v16 first = load(b + s * bk + j), second = load(b + s * bk + j + 16);
#pragma GCC unroll 8
          for (int r = 0; r < 8; ++r) {
            const float factor = a[(i + r) * ai + s * ak];
            left[r] += factor * first;
            right[r] += factor * second;
          }
        }
#pragma GCC unroll 8
        for (int r = 0; r < 8; ++r) {
          store(c + (i + r) * ci + j, left[r]);
          store(c + (i + r) * ci + j + 16, right[r]);
        }
      }
      j += 32;
    } else {
      for (int64_t i = 0; i < m; i += 8) {
        v16 sum[8] = {{0}};
        for (int64_t s = 0; s < k; ++s) {
          const v16 first = load(b + s * bk + j);
#pragma GCC unroll 8
          for (int r = 0; r < 8; ++r) {
            sum[r] += a[(i + r) * ai + s * ak] * first;
          }
        }
#pragma GCC unroll 8
        for (int r = 0; r < 8; ++r) {
          store(c + (i + r) * ci + j, sum[r]);
        }
      }
      j += 16;
    }
  }
}

/* Rows of one part of a head: to [rows][size], or transposed to [size][wide]; what is beyond count is 0. */
INLINED void unpack(const void *from, int64_t start, int64_t stride, int64_t count, int64_t wide, int64_t size, int half,
                    float *to, float *transposed) {
  for (int64_t row = 0; row < wide; ++row) {
    for (int64_t i = 0; i < size; i += 16) {
      v16 x = {0};
      if (row < count) {
        x = get(from, start + row * stride + i, half);
      }
      if (to) {
        store(to + row * size + i, x);
      }
      if (transposed) {
        float values[16];
        store(values, x);
        for (int k = 0; k < 16; ++k) {
          transposed[(i + k) * wide + row] = values[k];
        }
      }
    }
  }
}

/* Softmax of the first count columns of each row, times scale before. */
INLINED void softmax(float *rows, int64_t count, int64_t wide, float scale) {
  for (int64_t i = 0; i < count; ++i) {
    float *const row = rows + i * wide;
    for (int64_t k = count; k < wide; ++k) {
      row[k] = row[0];
    }
    v16 most = load(row);
    for (int64_t k = 16; k < wide; k += 16) {
      const v16 x = load(row + k);
      most = choose(x > most, x, most);
    }
    float highest = most[0];
    for (int k = 1; k < 16; ++k) {
      highest = most[k] > highest ? most[k] : highest;
    }
    for (int64_t k = 0; k < wide; k += 16) {
      store(row + k, exponential16((load(row + k) - highest) * scale));
    }
    for (int64_t k = count; k < wide; ++k) {
      row[k] = 0;
    }
    v16 sum = {0};
    for (int64_t k = 0; k < wide; k += 16) {
      sum += load(row + k);
    }
    const float share = 1.0f / total(sum);
    for (int64_t k = 0; k < wide; k += 16) {
      store(row + k, load(row + k) * share);
    }
  }
}

/* Attention of the rows of each window among themselves: half qkv: [rows][heads][q, k, v][size] to half out: [rows]
 * [heads][size]. starts: first row of each window, and the number of rows at the end; longest: most rows of a window;
 * size: a multiple of 16. With dout, the half dqkv is written instead. Returns -1 without memory.
 */
INLINED int64_t attention(const void *qkv, const int32_t *starts, int64_t windows, int64_t longest, int64_t heads,
                          int64_t size, int half, void *out, const void *dout, void *dqkv) {
  const int64_t most = (longest + 15) / 16 * 16, strip = most * size, channels = heads * size;
  float *const scratch = malloc((size_t)(8 * strip + 2 * most * most) * sizeof(float));
  if (!scratch) {
    return -1;
  }
  float *const q = scratch, *const k = q + strip, *const kt = k + strip, *const v = kt + strip, *const vt = v + strip;
  float *const o = vt + strip, *const result = o + strip;
  float *const share = result + 2 * strip, *const change = share + most * most;
  const float scale = 1.0f / __builtin_sqrtf((float)size);
  for (int64_t window = 0; window < windows; ++window) {
    const int64_t start = starts[window], count = starts[window + 1] - start;
    const int64_t wide = (count + 15) / 16 * 16, tall = (count + 7) / 8 * 8;
    for (int64_t head = 0; head < heads; ++head) {
      const int64_t from = start * 3 * channels + head * 3 * size, stride = 3 * channels;
      unpack(qkv, from, stride, count, wide, size, half, q, 0);
      unpack(qkv, from + size, stride, count, wide, size, half, dout ? k : 0, kt);
      unpack(qkv, from + 2 * size, stride, count, wide, size, half, dout ? 0 : v, dout ? vt : 0);
      product(q, size, 1, kt, wide, share, wide, tall, wide, size);
      softmax(share, count, wide, scale);
      if (!dout) {
        product(share, wide, 1, v, size, result, size, tall, size, count);
        for (int64_t row = 0; row < count; ++row) {
          for (int64_t i = 0; i < size; i += 16) {
            put(out, (start + row) * channels + head * size + i, half, load(result + row * size + i));
          }
        }
        continue;
      }
      unpack(dout, start * channels + head * size, channels, count, wide, size, half, o, 0);
      product(share, 1, wide, o, size, result, size, tall, size, count);
      for (int64_t row = 0; row < count; ++row) {
        for (int64_t i = 0; i < size; i += 16) {
          put(dqkv, from + row * stride + 2 * size + i, half, load(result + row * size + i));
        }
      }
      product(o, size, 1, vt, wide, change, wide, tall, wide, size);
      for (int64_t row = 0; row < count; ++row) {
        float *const d = change + row * wide, *const p = share + row * wide;
        v16 sum = {0};
        for (int64_t i = 0; i < wide; i += 16) {
          sum += load(d + i) * load(p + i);
        }
        const float mean = total(sum);
        for (int64_t i = 0; i < wide; i += 16) {
          store(d + i, (load(d + i) - mean) * load(p + i) * scale);
        }
      }
      product(change, wide, 1, k, size, result, size, tall, size, count);
      for (int64_t row = 0; row < count; ++row) {
        for (int64_t i = 0; i < size; i += 16) {
          put(dqkv, from + row * stride + i, half, load(result + row * size + i));
        }
      }
      product(change, 1, wide, q, size, result, size, tall, size, count);
      for (int64_t row = 0; row < count; ++row) {
        for (int64_t i = 0; i < size; i += 16) {
          put(dqkv, from + row * stride + size + i, half, load(result + row * size + i));
        }
      }
    }
  }
  free(scratch);
  return 0;
}

MULTIVERSIONED
int64_t sast_attention_forward(const void *qkv, const int32_t *starts, int64_t windows, int64_t longest, int64_t heads,
                               int64_t size, int64_t half, void *out) {
  return half ? attention(qkv, starts, windows, longest, heads, size, 1, out, 0, 0)
              : attention(qkv, starts, windows, longest, heads, size, 0, out, 0, 0);
}

MULTIVERSIONED
int64_t sast_attention_backward(const void *qkv, const int32_t *starts, int64_t windows, int64_t longest, int64_t heads,
                                int64_t size, int64_t half, const void *dout, void *dqkv) {
  return half ? attention(qkv, starts, windows, longest, heads, size, 1, 0, dout, dqkv)
              : attention(qkv, starts, windows, longest, heads, size, 0, 0, dout, dqkv);
}

/* Sums of the columns of a half array and of their squares: sums: double[2][channels]. */
MULTIVERSIONED
void sast_batch_sums(const void *x, int64_t rows, int64_t channels, int64_t half, double *sums) {
  float parts[2 * MOST_CHANNELS] = {0};
  memset(sums, 0, (size_t)(2 * channels) * sizeof(double));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < channels; i += 16) {
      const v16 value = get(x, row * channels + i, (int)half);
      store(parts + i, load(parts + i) + value);
      store(parts + channels + i, load(parts + channels + i) + value * value);
    }
    if (row % BLOCK == BLOCK - 1 || row == rows - 1) {
      for (int64_t i = 0; i < 2 * channels; ++i) {
        sums[i] += parts[i];
        parts[i] = 0;
      }
    }
  }
}

/* SiLU of x scale + shift; x, out: half [rows][channels]. */
MULTIVERSIONED
void sast_activate_forward(const void *x, const float *scale, const float *shift, int64_t rows, int64_t channels,
                           int64_t half, void *out) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < channels; i += 16) {
      const v16 z = get(x, row * channels + i, (int)half) * load(scale + i) + load(shift + i);
      put(out, row * channels + i, (int)half, z * sigmoid16(z));
    }
  }
}

/* Gradient through SiLU and batch norm, whose statistics depend on x: scale = weight deviation, shift = bias - mean scale;
 * deviations: 1 / standard deviation. dx: half; dweight, dbias are overwritten.
 */
MULTIVERSIONED
void sast_activate_backward(const void *dy, const void *x, const float *scale, const float *shift, const float *means,
                            const float *deviations, int64_t rows, int64_t channels, int64_t half, void *dx, float *dweight,
                            float *dbias) {
  float parts[2 * MOST_CHANNELS] = {0};
  float *const dw = parts, *const db = parts + channels;
  memset(dweight, 0, (size_t)channels * sizeof(float));
  memset(dbias, 0, (size_t)channels * sizeof(float));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < channels; i += 16) {
      const int64_t at = row * channels + i;
      const v16 value = get(x, at, (int)half), z = value * load(scale + i) + load(shift + i), s = sigmoid16(z);
      const v16 dz = get(dy, at, (int)half) * s * (1.0f + z * (1.0f - s));
      put(dx, at, (int)half, dz);
      store(db + i, load(db + i) + dz);
      store(dw + i, load(dw + i) + dz * ((value - load(means + i)) * load(deviations + i)));
    }
    if (row % BLOCK == BLOCK - 1 || row == rows - 1) {
      add_up(dweight, dw, channels);
      add_up(dbias, db, channels);
    }
  }
  const float share = 1.0f / (float)rows;
  for (int64_t i = 0; i < channels; i += 16) {
    /* dx = scale dz + x first + second */
    const v16 first = -load(scale + i) * load(dweight + i) * share * load(deviations + i);
    store(parts + i, first);
    store(parts + channels + i, -load(scale + i) * load(dbias + i) * share - first * load(means + i));
  }
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < channels; i += 16) {
      const int64_t at = row * channels + i;
      put(dx, at, (int)half, get(dx, at, (int)half) * load(scale + i) + get(x, at, (int)half) * load(parts + i) +
                                 load(parts + channels + i));
    }
  }
}
