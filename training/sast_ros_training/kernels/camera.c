// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* The event camera of the simulation.
 *
 * Coordinates of an event are uint16, its time counts microseconds since the last picture (1 to span, at most 2^20).
 */

#include "kernels.h"
#include "multiversion.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* no-trapping-math lets gcc turn the branches of the vectorised loops into selections. Without fp-contract=off
 * the instruction sets would round differently, and a seed would not give the same bytes on every machine. */
#pragma GCC optimize("no-trapping-math,fp-contract=off")

#define BLOCK 128
/* Maximum events of one pixel between two pictures: at the lowest threshold a contrast of over 1 : 600. */
#define MAX_EVENTS 64

/* Before sorting: key = time << 2 | caused by the scene << 1 | polarity. */
struct event {
  uint32_t key;
  uint16_t x, y;
};

/* Natural logarithm of a positive, normal number: 2 artanh((m - 1) / (m + 1)) of the mantissa, to 1e-7. */
static inline float logarithm(float value) {
  int32_t bits;
  memcpy(&bits, &value, sizeof bits);
  const int32_t exponent = (bits - 0x3F3504F3) >> 23; /* so that the mantissa lies in [sqrt(1/2), sqrt(2)) */
  bits -= (int32_t)((uint32_t)exponent << 23);
  float mantissa;
  memcpy(&mantissa, &bits, sizeof mantissa);
  const float s = (mantissa - 1.0f) / (mantissa + 1.0f), s2 = s * s;
  const float series = 2.0f + s2 * (2.0f / 3 + s2 * (2.0f / 5 + s2 * (2.0f / 7)));
  return (float)exponent * 0.69314718f + s * series;
}

/* SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
static inline uint64_t draw(uint64_t *state) {
  uint64_t z = (*state += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

/* The whole microsecond that a time falls into: rounded up, at least 1. */
static inline uint32_t microsecond(double time) {
  const uint32_t whole = (uint32_t)time;
  return whole + (whole < time || whole == 0);
}

/* out[count]: log(luminance + dark); what is negative or no number counts as 0. */
MULTIVERSIONED
void sast_camera_log(const float *luminance, int64_t count, float dark, float *out) {
  for (int64_t i = 0; i < count; ++i) {
    out[i] = logarithm((luminance[i] > 0.0f ? luminance[i] : 0.0f) + dark);
  }
}

/* What a lens that is not quite sharp makes of a picture: each pixel keeps the share `centre` of its light in a row and
 * in a column and gives the rest to its two neighbours there; the border repeats. rows: float[3 * width] to work in. */
MULTIVERSIONED
void sast_camera_blur(const float *restrict in, int64_t height, int64_t width, float centre, float *restrict rows,
                      float *restrict out) {
  const float side = (1.0f - centre) * 0.5f;
  for (int64_t y = -1; y <= height; ++y) {
    if (y < height) { /* the row below, blurred sideways */
      const int64_t source = y + 1 < height ? y + 1 : height - 1;
      const float *line = in + source * width;
      float *row = rows + ((y + 1) % 3) * width;
      for (int64_t x = 1; x + 1 < width; ++x)
        row[x] = centre * line[x] + side * (line[x - 1] + line[x + 1]);
      row[0] = centre * line[0] + side * (line[0] + line[width > 1]);
      if (width > 1)
        row[width - 1] = centre * line[width - 1] + side * (line[width - 2] + line[width - 1]);
    }
    if (y >= 0 && y < height) {
      const float *above = rows + ((y > 0 ? y - 1 : 0) % 3) * width;
      const float *here = rows + (y % 3) * width, *below = rows + ((y + 1) % 3) * width;
      for (int64_t x = 0; x < width; ++x)
        out[y * width + x] = centre * here[x] + side * (above[x] + below[x]);
    }
  }
}

/* Photoreceptors of a block of pixels, and which of them need a look: flag[i] = 1 where the filtered intensity has left
 * the dead zone, or where the pixel is held (its level is NaN and fails every comparison). Returns whether any does.
 * rate, floor: cutoff in radians per step at luminance 1, and its minimum.
 */
MULTIVERSIONED
static int filter_block(const float *restrict luminance, const float *restrict before, float *restrict level,
                        const float *restrict on, const float *restrict off, int64_t count, float dark, float rate,
                        float floor, float drift, float *restrict after, uint8_t *restrict flag) {
  uint8_t any = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float light = luminance[i] > 0.0f ? luminance[i] : 0.0f;
    const float wanted = logarithm(light + dark);
    const float proportional = rate * light;
    const float k = proportional > floor ? proportional : floor;
    /* 1 - exp(-k), to 0.025, without an exponential. */
    const float share = 1.0f - 1.0f / (1.0f + k * (1.0f + k * (0.5f + k * (1.0f / 6))));
    const float now = before[i] + share * (wanted - before[i]);
    const float centre = level[i] - drift;
    after[i] = now;
    level[i] = centre;
    const uint8_t quiet = (uint8_t)((now < centre + on[i]) & (now > centre - off[i]));
    flag[i] = quiet ^ 1;
    any |= quiet ^ 1;
  }
  return any;
}

/* Events of one pixel whose photoreceptor goes in a straight line from begin to end; returns the new count.
 *
 * The drift of the level is added to the photoreceptor instead, so that the level stands still meanwhile.
 */
static int64_t fire(float begin, float end, float drift, float on, float off, int32_t span, float refractory,
                    float *level, float *hold, uint16_t x, uint16_t y, struct event *events, int64_t count) {
  const float change = end + drift - begin, length = (float)span;
  float centre = *level + drift, from = 0.0f;
  if (*hold > 0.0f) {
    if (*hold >= length) {
      *hold -= length;
      return count;
    }
    from = *hold;
    *hold = 0.0f;
    centre = begin + change * (from / length);
  }
  for (int n = 0;; ++n) {
    const float rise = begin + change - centre;
    const int polarity = rise >= on;
    if (!polarity && !(rise <= -off)) {
      break;
    }
    if (n == MAX_EVENTS) {
      centre = begin + change;
      break;
    }
    const float border = polarity ? centre + on : centre - off;
    float when = change != 0.0f ? (border - begin) / change * length : from;
    when = when > from ? when : from;
    when = when < length ? when : length;
    const uint32_t t = microsecond(when);
    /* What the drift has done for the greater part is no event of the scene. */
    const uint32_t scene = !(polarity && end - begin <= drift);
    events[count].key = t << 2 | scene << 1 | (uint32_t)polarity;
    events[count].x = x;
    events[count].y = y;
    ++count;
    if (refractory > 0.0f) {
      from = when + refractory;
      if (from >= length) {
        *hold = from - length;
        if (*hold > 0.0f) {
          *level = NAN;
          return count;
        }
        from = length;
      }
      centre = begin + change * (from / length);
    } else {
      from = when;
      centre = border;
    }
  }
  *level = centre - drift;
  return count;
}

/* Advance the rows from `row` on by `span` microseconds to the given picture float32[height][width].
 *
 * State of every pixel: photoreceptor and level (log intensity; NaN while held), hold (microseconds left). Events are
 * appended behind events[*count]; fewer than `capacity` fit. Returns the row to go on with once there is more room for
 * events, or height. It may stop with less than 64 * width of room.
 */
int64_t sast_camera_advance(const float *luminance, int64_t height, int64_t width, int64_t row, float dark, float rate,
                            float floor, float drift, int32_t span, float refractory, const float *on, const float *off,
                            float *photoreceptor, float *level, float *hold, struct event *events, int64_t *count,
                            int64_t capacity) {
  float after[BLOCK];
  uint8_t flag[BLOCK];
  int64_t n = *count;
  for (; row < height && capacity - n >= MAX_EVENTS * width; ++row) {
    for (int64_t x = 0; x < width; x += BLOCK) {
      const int64_t first = row * width + x, size = width - x < BLOCK ? width - x : BLOCK;
      float *const before = photoreceptor + first;
      if (filter_block(luminance + first, before, level + first, on + first, off + first, size, dark, rate, floor,
                       drift, after, flag)) {
        for (int64_t i = 0; i < size; ++i) {
          uint64_t eight;
          if (i + 8 <= size && (memcpy(&eight, flag + i, 8), eight == 0)) {
            i += 7;
            continue;
          }
          if (flag[i]) {
            const int64_t k = first + i;
            n = fire(before[i], after[i], drift, on[k], off[k], span, refractory, level + k, hold + k,
                     (uint16_t)(x + i), (uint16_t)row, events, n);
          }
        }
      }
      memcpy(before, after, (size_t)size * sizeof(float));
    }
  }
  *count = n;
  return row;
}

/* Tables to draw pixels in proportion to their rate: take pixel i with share[i], else other[i] (M. D. Vose: A linear
 * algorithm for generating random numbers with a given distribution, 1991). scaled[count]: rates with mean 1, used up.
 * order[count]: scratch. */
void sast_camera_noise_tables(double *scaled, int32_t count, float *share, int32_t *other, int32_t *order) {
  int32_t small = 0, large = count; /* the rates below 1 lie at the front of order, the others at its end */
  for (int32_t i = 0; i < count; ++i) {
    order[scaled[i] < 1.0 ? small++ : --large] = i;
    share[i] = 1.0f;
    other[i] = i;
  }
  while (small > 0 && large < count) {
    const int32_t low = order[--small], high = order[large];
    share[low] = (float)scaled[low];
    other[low] = high;
    scaled[high] -= 1.0 - scaled[low];
    if (scaled[high] < 1.0) {
      ++large;
      order[small++] = high;
    }
  }
}

/* Natural exponential of -20 to 20, to 1e-6: a power of two and a series of the rest. */
static inline float exponential(float value) {
  const float scaled = value * 1.44269504f;
  const int32_t whole = (int32_t)(scaled + (scaled < 0.0f ? -0.5f : 0.5f));
  const float r = (scaled - (float)whole) * 0.69314718f;
  const float series = 1.0f + r * (1.0f + r * (0.5f + r * (1.0f / 6 + r * (1.0f / 24 + r * (1.0f / 120)))));
  const int32_t bits = (whole + 127) * (1 << 23);
  float power;
  memcpy(&power, &bits, sizeof power);
  return power * series;
}

/* How much noisier than at log intensity 0 a pixel is: its intensity to the power of -slope. */
static inline float noisiness(float photoreceptor, float slope) {
  const float power = -slope * photoreceptor;
  return exponential(power < -20.0f ? -20.0f : power > 20.0f ? 20.0f : power);
}

/* Mean noisiness of the pixels. */
double sast_camera_noisiness(const float *photoreceptor, int64_t pixels, float slope) {
  double sum = 0.0;
  for (int64_t i = 0; i < pixels; ++i)
    sum += noisiness(photoreceptor[i], slope);
  return sum / (double)pixels;
}

/* Append the background events of one Poisson process over all pixels, `interval` microseconds apart in the mean.
 *
 * on_share[pixel]: share of ON events in 1/255. slope, scale: with a slope above 0, only so many of them are taken as
 * is the noisiness times `scale` of their pixel (more than 1 counts as 1). state: of the random numbers. *next: time of
 * the next event since the last picture; if on return it is still within the span, there was no room for all, and the
 * call is to be repeated.
 */
void sast_camera_noise(const float *share, const int32_t *other, const uint8_t *on_share, const float *photoreceptor,
                       int64_t pixels, int64_t width, double interval, float slope, float scale, int32_t span,
                       uint64_t *state, double *next, struct event *events, int64_t *count, int64_t capacity) {
  int64_t n = *count;
  double when = *next;
  while (when <= span && n < capacity) {
    const uint64_t place = draw(state), luck = draw(state);
    int64_t pixel = (int64_t)(((place >> 32) * (uint64_t)pixels) >> 32);
    if ((float)(place & 0xFFFFFF) * 0x1p-24f >= share[pixel]) {
      pixel = other[pixel];
    }
    const uint32_t polarity = luck % 255 < on_share[pixel];
    events[n].key = microsecond(when) << 2 | polarity;
    events[n].x = (uint16_t)(pixel % width);
    events[n].y = (uint16_t)(pixel / width);
    n += slope <= 0.0f || (float)(draw(state) >> 40) * 0x1p-24f < scale * noisiness(photoreceptor[pixel], slope);
    when -= interval * logarithm(((float)(luck >> 40) + 0.5f) * 0x1p-24f);
  }
  *count = n;
  *next = when;
}

/* of_row[rows]: how many of the events first..end of each row are kept: all of `start` and the rows behind it, around
 * the sensor, until there are `most`. */
static void choose_rows(const uint16_t *y, int64_t first, int64_t end, int64_t start, int64_t most, int64_t *of_row,
                        int64_t rows) {
  memset(of_row, 0, (size_t)rows * sizeof *of_row);
  for (int64_t i = first; i < end; ++i)
    ++of_row[y[i]];
  for (int64_t k = 0; k < rows; ++k) {
    int64_t *const row = of_row + (start + k) % rows;
    *row = *row < most ? *row : most;
    most -= *row;
  }
}

/* Put events in order of time into x, y, p, t (count elements each); returns how many are left.
 *
 * start: time of the last picture. limit: events per microsecond, 0 for none; of the events of a millisecond (or the
 * part of it that lies in the span) that has more, evenly spaced ones are kept, with a random first one; or, with rows
 * above 0 (the height of the sensor; of_row[rows]: scratch), those of as many whole rows from a random one on.
 * table[span + 2]: scratch. owners_now, owners_before: uint8[height][width]; by_owner[256] counts the kept events that
 * the scene caused for the owner of their pixel.
 */
int64_t sast_camera_sort(const struct event *events, int64_t count, int64_t start, int32_t span, double limit,
                         int64_t *of_row, int64_t rows, uint64_t *state, int32_t *table, const uint8_t *owners_now,
                         const uint8_t *owners_before, int64_t width, int64_t *by_owner, uint16_t *x, uint16_t *y,
                         uint8_t *p, int64_t *t) {
  memset(table, 0, ((size_t)span + 2) * sizeof *table);
  for (int64_t i = 0; i < count; ++i) {
    ++table[(events[i].key >> 2) + 1];
  }
  for (int32_t k = 1; k <= span; ++k) { /* table[k]: place of the first event of microsecond k */
    table[k + 1] += table[k];
  }
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t key = events[i].key;
    const int32_t place = table[key >> 2]++;
    x[place] = events[i].x;
    y[place] = events[i].y;
    p[place] = (uint8_t)(key & 3);
    t[place] = start + (key >> 2);
  }
  int64_t kept = 0, i = 0;
  while (i < count) {
    int64_t end = count;
    double phase = 0.0, pace = 1.0;
    int by_rows = 0;
    if (limit > 0.0) {
      const int64_t millisecond = t[i] / 1000 * 1000;
      const int64_t from = millisecond > start ? millisecond : start + 1;
      const int64_t to = millisecond + 1000 < start + span + 1 ? millisecond + 1000 : start + span + 1;
      end = table[to - 1 - start]; /* scattering has moved every entry to the end of its microsecond */
      const double most = limit * (double)(to - from);
      if ((double)(end - i) > most) {
        phase = (double)(draw(state) >> 11) * 0x1p-53;
        by_rows = rows > 0;
        if (by_rows) {
          choose_rows(y, i, end, (int64_t)(phase * (double)rows), (int64_t)most, of_row, rows);
        } else {
          pace = most / (double)(end - i);
        }
      }
    }
    for (int64_t first = i, step = 0; i < end; ++i) {
      if (pace < 1.0) {
        const int64_t next = (int64_t)(phase + (double)(i - first + 1) * pace);
        if (next == step) {
          continue;
        }
        step = next;
      } else if (by_rows && of_row[y[i]]-- <= 0) {
        continue;
      }
      const uint8_t kind = p[i];
      if (kind & 2) {
        const int64_t pixel = (int64_t)y[i] * width + x[i];
        ++by_owner[owners_now[pixel] ? owners_now[pixel] : owners_before[pixel]];
      }
      x[kept] = x[i];
      y[kept] = y[i];
      p[kept] = kind & 1;
      t[kept] = t[i];
      ++kept;
    }
  }
  return kept;
}
