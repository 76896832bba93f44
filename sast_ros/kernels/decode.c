// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* Event messages to structures of arrays: the loops of sast_ros/events.
 *
 * Conventions. All integers on the wire are little-endian, and so is every machine this is built for (checked below).
 * Input may start at any address. A function that can fail returns the index of the first offending event or word and
 * names the field in check->field; OK (-1) otherwise. Nothing is read or written outside the lengths given.
 */
#include "bytes.h"
#include "kernels.h"
#include "multiversion.h"

#include <stddef.h>
#include <string.h>

#define OK (-1)
#define BLOCK 1024 /* events per block: all arrays of a block stay in the first-level cache */

/* Names of fields, in the order of FIELDS in sast_ros/events/_native.py. */
enum { FIELD_X, FIELD_Y, FIELD_POLARITY, FIELD_NANOSEC };

/* What a pass found out about its events beside the result. */
struct check {
  int32_t field;     /* of the first offending event */
  int32_t unordered; /* not 0 if time ever steps back */
};

/* ---------------------------------------------------------------- dvs_msgs/EventArray */

/* Event k >= 1 starts at 16 k - 2, in the padding of the one before, and has x at 0, y at 2, sec at 6, nanosec at 10 and
 * polarity at 14 from there. `records` is the start of the first of `count` such events. Returns the OR of all
 * violations, so that the loop has no branch. */
MULTIVERSIONED
static uint32_t event_records(const uint8_t *restrict records, int64_t count, uint32_t width, uint32_t height,
                              uint16_t *restrict x, uint16_t *restrict y, uint8_t *restrict p, int64_t *restrict t) {
  uint32_t bad = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint8_t *record = records + 16 * i;
    const uint32_t xy = load32(record);
    const uint32_t column = xy & 0xFFFF, row = xy >> 16;
    const int32_t seconds = (int32_t)load32(record + 6);
    const uint32_t nanoseconds = load32(record + 10);
    const uint32_t polarity = record[14];
    x[i] = (uint16_t)column;
    y[i] = (uint16_t)row;
    p[i] = (uint8_t)polarity;
    t[i] = (int64_t)seconds * 1000000 + (int64_t)(nanoseconds / 1000);
    bad |= (column >= width) | (row >= height) | (polarity > 1) | (nanoseconds >= 1000000000u);
  }
  return bad;
}

MULTIVERSIONED
static uint32_t steps_back(const int64_t *restrict t, int64_t count) {
  uint32_t bad = 0;
  for (int64_t i = 1; i < count; ++i)
    bad |= t[i] < t[i - 1];
  return bad;
}

static int64_t event_violation(uint32_t column, uint32_t row, uint32_t polarity, uint32_t nanoseconds, uint32_t width,
                               uint32_t height, int32_t *field) {
  if (column >= width)
    *field = FIELD_X;
  else if (row >= height)
    *field = FIELD_Y;
  else if (nanoseconds >= 1000000000u)
    *field = FIELD_NANOSEC;
  else if (polarity > 1)
    *field = FIELD_POLARITY;
  else
    return 0;
  return 1;
}

/* Decode the `count` >= 1 events that start `offset` bytes into the message (16 count - 3 bytes). Coordinates must be below width and
 * height. */
int64_t sast_event_array(const uint8_t *message, int64_t offset, int64_t count, uint32_t width, uint32_t height,
                         uint16_t *x, uint16_t *y, uint8_t *p, int64_t *t, struct check *check) {
  const uint8_t *events = message + offset;
  uint32_t back = 0, bad;
  /* The first event is the only one whose x and y are not in the padding of the one before. */
  const uint32_t first_x = load16(events), first_y = load16(events + 2);
  const uint32_t first_nanosec = load32(events + 8);
  x[0] = (uint16_t)first_x;
  y[0] = (uint16_t)first_y;
  p[0] = events[12];
  t[0] = (int64_t)(int32_t)load32(events + 4) * 1000000 + first_nanosec / 1000;
  if (event_violation(first_x, first_y, events[12], first_nanosec, width, height, &check->field))
    return 0;
  for (int64_t start = 1; start < count; start += BLOCK) {
    const int64_t n = count - start < BLOCK ? count - start : BLOCK;
    const uint8_t *records = events + 16 * start - 2;
    bad = event_records(records, n, width, height, x + start, y + start, p + start, t + start);
    if (bad)
      for (int64_t i = 0; i < n; ++i) {
        const uint8_t *record = records + 16 * i;
        if (event_violation(load16(record), load16(record + 2), record[14], load32(record + 10), width, height,
                            &check->field))
          return start + i;
      }
    back |= steps_back(t + start - 1, n + 1);
  }
  check->unordered = (int32_t)back;
  return OK;
}

/* ---------------------------------------------------------------- time */

/* Make `t` non-decreasing in place. A step back of at most `limit` raises the event to the running maximum; a longer one
 * begins the stream anew. result[0] = events before the last long step back, result[1] = events raised after it. */
void sast_settle_time(int64_t *t, int64_t count, int64_t limit, int64_t *result) {
  int64_t start = 0, raised = 0, maximum = count ? t[0] : 0;
  for (int64_t i = 1; i < count; ++i) {
    if (t[i] >= maximum) {
      maximum = t[i];
    } else if (maximum - t[i] <= limit) {
      t[i] = maximum;
      ++raised;
    } else {
      start = i;
      raised = 0;
      maximum = t[i];
    }
  }
  result[0] = start;
  result[1] = raised;
}

int64_t sast_steps_back(const int64_t *t, int64_t count) { return steps_back(t, count); }

MULTIVERSIONED
static uint32_t outside(const uint16_t *restrict x, const uint16_t *restrict y, int64_t count, uint32_t width,
                        uint32_t height) {
  uint32_t bad = 0;
  for (int64_t i = 0; i < count; ++i)
    bad |= (x[i] >= width) | (y[i] >= height);
  return bad;
}

/* Index of the first event outside width x height, or OK. */
int64_t sast_outside(const uint16_t *x, const uint16_t *y, int64_t count, uint32_t width, uint32_t height,
                     struct check *check) {
  if (!outside(x, y, count, width, height))
    return OK;
  for (int64_t i = 0; i < count; ++i)
    if (x[i] >= width || y[i] >= height) {
      check->field = x[i] >= width ? FIELD_X : FIELD_Y;
      return i;
    }
  return OK;
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

/* The camera's 31-bit microseconds go round within the message where they fall by more than half their range.
 * Events that a filter marked invalid (bit 0 clear) are skipped. Returns the number of events. */
int64_t sast_libcaer(const uint8_t *words, int64_t count, int64_t base, uint16_t *x, uint16_t *y, uint8_t *p,
                     int64_t *t) {
  int64_t n = 0, time = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t data = load32(words + 8 * i);
    const int64_t low = (int64_t)(load32(words + 8 * i + 4) & 0x7FFFFFFF);
    time = i ? unwrap(time, low, (int64_t)1 << 31) : low;
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
  int64_t n = 0, high = 0, low = 0;
  int32_t column = -1, row = -1;
  uint32_t polarity = 0;
  *dropped = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t word = load16(words + 2 * i);
    switch (word >> 12) {
      case 0:
        /* 24 bits relative to the message's time_base go round in messages longer than 16.777 s. */
        high = unwrap(high, (int64_t)(word & 0xFFF) << 12, (int64_t)1 << 24);
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

/* Prophesee DAT: {uint32 time, x:14 y:14 polarity:4}, in version 1 {uint32 time, x:9 y:8 polarity:1}. *last is the
 * continuing time of the event before, -1 at the start. Returns the index of the first event whose polarity is neither
 * 0 nor 1, or OK. */
int64_t sast_dat(const uint8_t *records, int64_t count, int32_t version, int64_t *last, uint16_t *x, uint16_t *y,
                 uint8_t *p, int64_t *t) {
  const uint32_t x_mask = version == 1 ? 0x1FF : 0x3FFF, y_mask = version == 1 ? 0xFF : 0x3FFF;
  const uint32_t p_mask = version == 1 ? 0x1 : 0xF;
  const uint32_t y_shift = version == 1 ? 9 : 14, p_shift = version == 1 ? 17 : 28;
  int64_t time = *last, bad = OK;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t low = load32(records + 8 * i), data = load32(records + 8 * i + 4);
    time = *last < 0 && i == 0 ? (int64_t)low : unwrap(time, low, (int64_t)1 << 32);
    x[i] = (uint16_t)(data & x_mask);
    y[i] = (uint16_t)((data >> y_shift) & y_mask);
    p[i] = (uint8_t)((data >> p_shift) & p_mask);
    t[i] = time;
    if (p[i] > 1 && bad == OK)
      bad = i;
  }
  *last = time;
  return bad;
}
