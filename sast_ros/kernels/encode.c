// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* Structures of arrays to EVT 3.0 (layout: docs.prophesee.ai, "EVT 3.0 Format") and to text. */
#include "kernels.h"

/* A decoder believes steps of TIME_HIGH up to a quarter of the period, in units of 4096 us. */
#define MAX_HIGH_STEP 1024

struct words {
  uint16_t *at;
  int64_t capacity, count;
};

static inline void put(struct words *out, uint32_t type, int64_t value) {
  if (out->count < out->capacity)
    out->at[out->count] = (uint16_t)(type << 12 | (uint32_t)value);
  ++out->count;
}

/* Write EVT 3.0 words, which begin with time and row; a row or time that does not change is not repeated. Where time
 * jumps, further TIME_HIGH words lead to the next event. `previous` is the time of the event before, of the first one
 * if there is none. Returns how many words there are, of which those below `capacity` are written, or -1 where a jump
 * is larger than `limit` us. */
int64_t sast_evt3_words(const uint16_t *restrict x, const uint16_t *restrict y, const uint8_t *restrict p,
                        const int64_t *restrict t, int64_t count, int64_t previous, int64_t limit, int64_t capacity,
                        uint16_t *restrict words) {
  struct words out = {words, capacity, 0};
  int64_t high = previous >> 12;
  int32_t low = -1, row = -1;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t now = t[i] >> 12;
    if (now != high || i == 0) {
      if (now - high > limit >> 12 || high - now > limit >> 12)
        return -1;
      while (now - high > MAX_HIGH_STEP || high - now > MAX_HIGH_STEP) {
        high += now > high ? MAX_HIGH_STEP : -MAX_HIGH_STEP;
        put(&out, 0x8, high & 0xFFF);
      }
      high = now;
      low = -1;
      put(&out, 0x8, high & 0xFFF);
    }
    if (low != (t[i] & 0xFFF)) {
      low = t[i] & 0xFFF;
      put(&out, 0x6, low);
    }
    if (row != y[i]) {
      row = y[i];
      put(&out, 0x0, row);
    }
    put(&out, 0x2, (uint32_t)p[i] << 11 | x[i]);
  }
  return out.count;
}

static uint8_t *append_number(uint8_t *at, uint64_t number) {
  uint8_t digits[20];
  int n = 0;
  do
    digits[n++] = (uint8_t)('0' + number % 10);
  while (number /= 10);
  while (n)
    *at++ = digits[--n];
  return at;
}

/* Write a line "t x y p" for every event, at most 40 bytes; returns the number of bytes. */
int64_t sast_text_lines(const uint16_t *x, const uint16_t *y, const uint8_t *p, const int64_t *t, int64_t count,
                        int32_t separator, uint8_t *text) {
  uint8_t *at = text;
  for (int64_t i = 0; i < count; ++i) {
    if (t[i] < 0)
      *at++ = '-';
    at = append_number(at, t[i] < 0 ? -(uint64_t)t[i] : (uint64_t)t[i]);
    *at++ = (uint8_t)separator;
    at = append_number(at, x[i]);
    *at++ = (uint8_t)separator;
    at = append_number(at, y[i]);
    *at++ = (uint8_t)separator;
    *at++ = (uint8_t)('0' + p[i]);
    *at++ = '\n';
  }
  return at - text;
}
