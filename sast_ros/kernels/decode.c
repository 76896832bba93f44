// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* Event messages to structures of arrays: the loops of sast_ros/events.
 *
 * Conventions. All integers on the wire are little-endian, and so is every machine this is built for (checked below).
 * Input may start at any address. A function that can fail returns the index of the first offending event or word and
 * names the field in check->field; OK (-1) otherwise. Nothing is read or written outside the lengths given.
 */
#include "kernels.h"
#include "multiversion.h"

#include <stddef.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "decode.c reads little-endian data with plain loads"
#endif

#define OK (-1)
#define BLOCK 1024 /* events per block: all arrays of a block stay in the first-level cache */

/* Names of fields, in the order of FIELDS in sast_ros/events/_native.py. */
enum { FIELD_X, FIELD_Y, FIELD_POLARITY, FIELD_NANOSEC };

/* What a pass found out about its events beside the result. */
struct check {
  int32_t field;     /* of the first offending event */
  int32_t unordered; /* not 0 if time ever steps back */
};

static inline uint16_t load16(const uint8_t *p) {
  uint16_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

static inline uint32_t load32(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

static inline uint64_t load64(const uint8_t *p) {
  uint64_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

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

/* Smallest time congruent to `low` modulo `period` (a power of two) within half a period of `near`. */
static inline int64_t unwrap(int64_t near, int64_t low, int64_t period) {
  int64_t step = (low - near) & (period - 1);
  if (step >= period / 2)
    step -= period;
  return near + step;
}

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

/* State of a stream of words whose time is spread over several of them (EVT 2.0, 2.1, 3.0). */
struct word_state {
  int64_t high;    /* continuing time of the last TIME_HIGH, in microseconds */
  int64_t known;   /* parts of the state received since the last loss: KNOWN_* */
  int64_t dropped; /* events that could not be placed because a part was missing */
  int64_t started; /* a TIME_HIGH has ever been received: `high` anchors the next one */
};

enum { KNOWN_HIGH = 1, KNOWN_LOW = 2, KNOWN_ROW = 4, KNOWN_BASE = 8 };

static inline void time_high(struct word_state *state, int64_t high, int64_t period) {
  state->high = state->started ? unwrap(state->high, high, period) : high;
  state->started = 1;
  state->known |= KNOWN_HIGH;
}

/* ---------------------------------------------------------------- EVT 3.0 (events themselves come from PyPI evt3) */

#define EVT3_PERIOD ((int64_t)1 << 24)
#define EVT3_IGNORED 0xE000u /* type OTHERS: every decoder skips it */

struct evt3_summary {
  uint32_t lowest, highest; /* of the TIME_HIGH words, and of the value given */
  uint32_t vectors;         /* not 0 if there are vectors */
};

/* What the words can do to a synchronised stream, without a branch for each of them. */
MULTIVERSIONED
static struct evt3_summary evt3_summarise(const uint8_t *restrict words, int64_t count, uint32_t time) {
  uint16_t lowest = (uint16_t)time, highest = (uint16_t)time, vectors = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint16_t word = load16(words + 2 * i);
    const uint16_t type = word >> 12, value = word & 0xFFF;
    const uint16_t low = type == 0x8 ? value : (uint16_t)0xFFF, high = type == 0x8 ? value : (uint16_t)0;
    lowest = low < lowest ? low : lowest;
    highest = high > highest ? high : highest;
    vectors |= (uint16_t)((type == 0x4) | (type == 0x5));
  }
  return (struct evt3_summary){lowest, highest, vectors};
}

/* Usual case of sast_evt3_scan: synchronised, no change of period. Returns 0, the state untouched, if it is not that. */
static int32_t evt3_plain(const uint8_t *words, int64_t start, int64_t count, struct word_state *state) {
  const int64_t ready = KNOWN_HIGH | KNOWN_LOW | KNOWN_ROW;
  const uint32_t time = (uint32_t)(state->high >> 12) & 0xFFF;
  if ((state->known & ready) != ready)
    return 0;
  const struct evt3_summary seen = evt3_summarise(words + 2 * start, count - start, time);
  if (seen.highest - seen.lowest >= 2048 || (seen.vectors && !(state->known & KNOWN_BASE)))
    return 0;
  for (int64_t i = count - 1; i >= start; --i) {
    const uint32_t word = load16(words + 2 * i);
    if (word >> 12 == 0x8) {
      state->high = (state->high & ~(EVT3_PERIOD - 1)) | (int64_t)(word & 0xFFF) << 12;
      break;
    }
  }
  return 1;
}

/* Follow the state through words [start, count). Stops in front of a TIME_HIGH, other than the one at `start`, that
 * leaves the 16.777 s period, and returns that index; `count` if there is none. Without `clean`, returns OK (-1) with
 * the state untouched when an event cannot be placed; with `clean` (a copy of the words) blanks it there. */
int64_t sast_evt3_scan(const uint8_t *words, int64_t start, int64_t count, struct word_state *shared, uint16_t *clean) {
  const int64_t ready = KNOWN_HIGH | KNOWN_LOW | KNOWN_ROW;
  int64_t i = start;
  if (start == 0 && evt3_plain(words, start, count, shared)) /* looks at all words: only once for a payload */
    return count;
  struct word_state state = *shared;
  for (; i < count; ++i) {
    const uint32_t word = load16(words + 2 * i);
    switch (word >> 12) {
      case 0x0:
        state.known |= KNOWN_ROW;
        break;
      case 0x6:
        if (state.known & KNOWN_HIGH) /* a TIME_LOW belongs to the TIME_HIGH before it */
          state.known |= KNOWN_LOW;
        break;
      case 0x3:
        state.known |= KNOWN_BASE;
        break;
      case 0x8: {
        struct word_state next = state;
        time_high(&next, (int64_t)(word & 0xFFF) << 12, EVT3_PERIOD);
        if (i > start && next.high >> 24 != state.high >> 24 && (state.known & KNOWN_HIGH)) {
          *shared = state;
          return i;
        }
        state = next;
        break;
      }
      case 0x2:
      case 0x4:
      case 0x5: {
        const int64_t needed = word >> 12 == 0x2 ? ready : ready | KNOWN_BASE;
        if ((state.known & needed) == needed)
          break;
        if (!clean)
          return OK;
        clean[i] = EVT3_IGNORED;
        state.dropped += word >> 12 == 0x2 ? 1 : __builtin_popcount(word & (word >> 12 == 0x4 ? 0xFFFu : 0xFFu));
        break;
      }
      default:
        break;
    }
  }
  *shared = state;
  return count;
}

MULTIVERSIONED
static void add_period(int64_t *t, int64_t count, int64_t period_start) {
  for (int64_t i = 0; i < count; ++i)
    t[i] = (t[i] & (EVT3_PERIOD - 1)) + period_start;
}

/* Put decoded events into the period that began at `period_start` and check them. Returns as sast_outside. */
int64_t sast_evt3_finish(const uint16_t *x, const uint16_t *y, int64_t *t, int64_t count, int64_t period_start,
                         uint32_t width, uint32_t height, struct check *check) {
  add_period(t, count, period_start);
  check->unordered = (int32_t)steps_back(t, count);
  return sast_outside(x, y, count, width, height, check);
}

/* ---------------------------------------------------------------- EVT 2.0, EVT 2.1 */

#define EVT2_PERIOD ((int64_t)1 << 34)

/* Arrays have room for one event a word. Returns the number of events. */
int64_t sast_evt2(const uint8_t *words, int64_t count, struct word_state *state, uint16_t *x, uint16_t *y, uint8_t *p,
                  int64_t *t) {
  int64_t n = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t word = load32(words + 4 * i);
    switch (word >> 28) {
      case 0x0:
      case 0x1:
        if (!(state->known & KNOWN_HIGH)) {
          ++state->dropped;
          break;
        }
        x[n] = (word >> 11) & 0x7FF;
        y[n] = word & 0x7FF;
        p[n] = (uint8_t)(word >> 28);
        t[n] = state->high + ((word >> 22) & 0x3F);
        ++n;
        break;
      case 0x8:
        time_high(state, (int64_t)(word & 0xFFFFFFF) << 6, EVT2_PERIOD);
        break;
      default: /* triggers, OTHERS, CONTINUED and reserved words carry no pixel */
        break;
    }
  }
  return n;
}

static inline uint64_t evt21_word(const uint8_t *at, int32_t high_first) {
  const uint64_t word = load64(at);
  return high_first ? word << 32 | word >> 32 : word;
}

/* Number of events in the words, those without a known time included. */
int64_t sast_evt21_count(const uint8_t *words, int64_t count, int32_t high_first) {
  int64_t n = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t word = evt21_word(words + 8 * i, high_first);
    if (word >> 60 <= 1)
      n += __builtin_popcount((uint32_t)word);
  }
  return n;
}

/* Arrays have room for sast_evt21_count events. Returns the number of events. */
int64_t sast_evt21(const uint8_t *words, int64_t count, int32_t high_first, struct word_state *state, uint16_t *x,
                   uint16_t *y, uint8_t *p, int64_t *t) {
  int64_t n = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t word = evt21_word(words + 8 * i, high_first);
    const uint32_t type = (uint32_t)(word >> 60);
    uint32_t valid = (uint32_t)word;
    if (type == 0x8) {
      time_high(state, (int64_t)((word >> 32) & 0xFFFFFFF) << 6, EVT2_PERIOD);
    } else if (type <= 1) {
      const int64_t time = state->high + (int64_t)((word >> 54) & 0x3F);
      const uint32_t column = (word >> 43) & 0x7FF, row = (word >> 32) & 0x7FF;
      if (!(state->known & KNOWN_HIGH)) {
        state->dropped += __builtin_popcount(valid);
        continue;
      }
      for (; valid; valid &= valid - 1) {
        x[n] = (uint16_t)(column + (uint32_t)__builtin_ctz(valid));
        y[n] = (uint16_t)row;
        p[n] = (uint8_t)type;
        t[n] = time;
        ++n;
      }
    }
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
