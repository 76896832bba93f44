// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* Event messages to structures of arrays: the loops of sast_ros/events.
 *
 * Conventions. All integers on the wire are little-endian, and so is every machine this is built for (checked below).
 * Input may start at any address. Nothing is read or written outside the lengths given.
 */
#include "bytes.h"
#include "kernels.h"
#include "multiversion.h"

#include <stddef.h>
#include <string.h>

#define INVALID 2 /* polarity of an event with a value that its format does not allow */
#define SECOND 1000000000u
#define MAX_TIME ((int64_t)INT32_MAX * 1000000) /* microseconds */

/* ---------------------------------------------------------------- dvs_msgs/EventArray */

/* Event k >= 1 starts at 16 k - 2, in the padding of the one before, and has x at 0, y at 2, sec at 6, nanosec at 10 and
 * polarity at 14 from there. `records` is the start of the first of `count` such events. */
MULTIVERSIONED
static void event_records(const uint8_t *restrict records, int64_t count, uint16_t *restrict x, uint16_t *restrict y,
                          uint8_t *restrict p, int64_t *restrict t) {
  for (int64_t i = 0; i < count; ++i) {
    const uint8_t *record = records + 16 * i;
    const uint32_t xy = load32(record);
    const int32_t seconds = (int32_t)load32(record + 6);
    const uint32_t nanoseconds = load32(record + 10);
    const uint32_t polarity = record[14];
    x[i] = (uint16_t)(xy & 0xFFFF);
    y[i] = (uint16_t)(xy >> 16);
    p[i] = (uint8_t)((polarity > 1) | (nanoseconds >= SECOND) ? INVALID : polarity);
    t[i] = (int64_t)seconds * 1000000 + (int64_t)(nanoseconds / 1000);
  }
}

/* Decode the `count` >= 1 events that start `offset` bytes into the message (16 count - 3 bytes). An event whose
 * polarity is neither 0 nor 1, or whose nanoseconds are a second or more, has the polarity INVALID. */
void sast_event_array(const uint8_t *message, int64_t offset, int64_t count, uint16_t *x, uint16_t *y, uint8_t *p,
                      int64_t *t) {
  const uint8_t *events = message + offset;
  /* The first event is the only one whose x and y are not in the padding of the one before. */
  const uint32_t nanoseconds = load32(events + 8);
  x[0] = load16(events);
  y[0] = load16(events + 2);
  p[0] = events[12] > 1 || nanoseconds >= SECOND ? INVALID : events[12];
  t[0] = (int64_t)(int32_t)load32(events + 4) * 1000000 + nanoseconds / 1000;
  event_records(events + 14, count - 1, x + 1, y + 1, p + 1, t + 1);
}

/* ---------------------------------------------------------------- what every decoder ends with */

/* Whether a time is beyond what builtin_interfaces/Time holds. */
static inline int64_t impossible_time(int64_t t) { return (uint64_t)t + (uint64_t)MAX_TIME > 2 * (uint64_t)MAX_TIME; }

MULTIVERSIONED
static uint32_t any_invalid(const uint16_t *restrict x, const uint16_t *restrict y, const uint8_t *restrict p,
                            const int64_t *restrict t, int64_t count, uint32_t width, uint32_t height) {
  uint32_t bad = 0;
  int64_t bad_time = 0;
  for (int64_t i = 0; i < count; ++i)
    bad |= (x[i] >= width) | (y[i] >= height) | (p[i] > 1);
  for (int64_t i = 0; i < count; ++i)
    bad_time |= impossible_time(t[i]);
  return bad | (uint32_t)bad_time;
}

MULTIVERSIONED
static uint32_t steps_back(const int64_t *restrict t, int64_t count) {
  uint32_t bad = 0;
  for (int64_t i = 1; i < count; ++i)
    bad |= t[i] < t[i - 1];
  return bad;
}

/* Remove in place the events outside width x height (result[0] of them) and those with an impossible time or a polarity
 * that is neither 0 nor 1 (result[1]), and count how many of the others are behind a later one (result[2]; the longest distance in result[3]).
 * Returns the number of events that remain. */
int64_t sast_check_events(uint16_t *x, uint16_t *y, uint8_t *p, int64_t *t, int64_t count, uint32_t width,
                          uint32_t height, int64_t *result) {
  int64_t n = count;
  result[0] = result[1] = result[2] = result[3] = 0;
  if (any_invalid(x, y, p, t, count, width, height)) {
    n = 0;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t invalid = (p[i] > 1) | impossible_time(t[i]),
                    outside = !invalid && (x[i] >= width || y[i] >= height);
      result[0] += outside;
      result[1] += invalid;
      x[n] = x[i];
      y[n] = y[i];
      p[n] = p[i];
      t[n] = t[i];
      n += !(outside | invalid);
    }
  }
  if (!steps_back(t, n))
    return n;
  int64_t maximum = t[0];
  for (int64_t i = 1; i < n; ++i)
    if (t[i] < maximum) {
      ++result[2];
      result[3] = maximum - t[i] > result[3] ? maximum - t[i] : result[3];
    } else {
      maximum = t[i];
    }
  return n;
}

/* ---------------------------------------------------------------- mono, libcaer, libcaer_cmp, DAT */

MULTIVERSIONED
void sast_mono(const uint8_t *words, int64_t count, uint64_t time_base, uint16_t *restrict x, uint16_t *restrict y,
               uint8_t *restrict p, int64_t *restrict t) {
  /* (base + dt) / 1000 in 32 bits: the quotient of the base is taken once, its remainder joins dt. */
  const int64_t base = (int64_t)(time_base / 1000);
  const uint64_t rest = time_base % 1000;
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t word = load64(words + 8 * i);
    x[i] = (uint16_t)(word >> 32);
    y[i] = (uint16_t)((word >> 48) & 0x7FFF);
    p[i] = (uint8_t)(word >> 63);
    t[i] = base + (int64_t)(((word & 0xFFFFFFFF) + rest) / 1000);
  }
}

/* The camera's 31-bit microseconds may go round within the message. Events that a filter marked invalid (bit 0 clear)
 * are skipped. Returns the number of events. */
int64_t sast_libcaer(const uint8_t *words, int64_t count, int64_t base, uint16_t *x, uint16_t *y, uint8_t *p,
                     int64_t *t) {
  struct clock clock = {0};
  int64_t n = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t data = load32(words + 8 * i);
    const int64_t low = (int64_t)(load32(words + 8 * i + 4) & 0x7FFFFFFF);
    const int64_t time = clock_next(&clock, low, (int64_t)1 << 31);
    x[n] = (uint16_t)(data >> 17);
    y[n] = (uint16_t)((data >> 2) & 0x7FFF);
    p[n] = (uint8_t)((data >> 1) & 1);
    t[n] = base + time;
    n += data & 1;
  }
  return n;
}

/* Number of events in the words, or -1 - index of a word of undefined type. */
int64_t sast_libcaer_cmp_count(const uint8_t *words, int64_t count) {
  int64_t n = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t word = load16(words + 2 * i);
    if (word >> 12 == 3)
      ++n;
    else if (word >> 12 == 5)
      n += __builtin_popcount(word & 0xFF);
    else if (word >> 12 > 5)
      return -1 - i;
  }
  return n;
}

/* Arrays have room for sast_libcaer_cmp_count events. The state begins anew in every message, except that the encoder
 * of the driver gives the column of the first event only. Returns the number of events; *dropped counts those before
 * the first column or without a vector base. */
int64_t sast_libcaer_cmp(const uint8_t *words, int64_t count, int64_t base, uint16_t *x, uint16_t *y, uint8_t *p,
                         int64_t *t, int64_t *dropped) {
  struct clock clock = {.known = CLOCK_RUNS}; /* a message begins at its time_base */
  int64_t n = 0, high = 0, low = 0;
  int32_t column = -1, row = -1;
  uint32_t polarity = 0;
  *dropped = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t word = load16(words + 2 * i);
    switch (word >> 12) {
      case 0:
        /* 24 bits relative to the message's time_base go round in messages longer than 16.777 s. */
        high = clock_next(&clock, (int64_t)(word & 0xFFF) << 12, (int64_t)1 << 24);
        break;
      case 1:
        low = word & 0xFFF;
        break;
      case 2:
        column = (int32_t)(word & 0x7FF);
        break;
      case 3:
        if (column < 0) {
          ++*dropped;
          break;
        }
        x[n] = (uint16_t)column;
        y[n] = word & 0x7FF;
        p[n] = (word >> 11) & 1;
        t[n] = base + (high | low);
        ++n;
        break;
      case 4:
        row = (int32_t)(word & 0x7FF);
        polarity = (word >> 11) & 1;
        break;
      case 5: {
        uint32_t valid = word & 0xFF;
        if (column < 0 || row < 0) {
          *dropped += __builtin_popcount(valid);
          break;
        }
        for (; valid; valid &= valid - 1) {
          x[n] = (uint16_t)column;
          y[n] = (uint16_t)(row + __builtin_ctz(valid));
          p[n] = (uint8_t)polarity;
          t[n] = base + (high | low);
          ++n;
        }
        row += 8;
        break;
      }
      default:
        break;
    }
  }
  return n;
}

/* Prophesee DAT: {uint32 time, x:14 y:14 polarity:4}, in version 1 {uint32 time, x:9 y:8 polarity:1}. `clock` is a
 * struct clock. */
void sast_dat(const uint8_t *records, int64_t count, int32_t version, int64_t *clock, uint16_t *x, uint16_t *y,
              uint8_t *p, int64_t *t) {
  const uint32_t x_mask = version == 1 ? 0x1FF : 0x3FFF, y_mask = version == 1 ? 0xFF : 0x3FFF;
  const uint32_t p_mask = version == 1 ? 0x1 : 0xF;
  const uint32_t y_shift = version == 1 ? 9 : 14, p_shift = version == 1 ? 17 : 28;
  struct clock c;
  memcpy(&c, clock, sizeof c);
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t low = load32(records + 8 * i), data = load32(records + 8 * i + 4);
    x[i] = (uint16_t)(data & x_mask);
    y[i] = (uint16_t)((data >> y_shift) & y_mask);
    p[i] = (uint8_t)((data >> p_shift) & p_mask);
    t[i] = clock_next(&c, low, (int64_t)1 << 32);
  }
  memcpy(clock, &c, sizeof c);
}

/* Continue counts of 32 bits; `clock` is a struct clock. */
void sast_continue_counts(const int64_t *counts, int64_t count, int64_t *clock, int64_t *times) {
  struct clock c;
  memcpy(&c, clock, sizeof c);
  for (int64_t i = 0; i < count; ++i)
    times[i] = clock_next(&c, counts[i], (int64_t)1 << 32);
  memcpy(clock, &c, sizeof c);
}
