// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* Prophesee EVT 2.0, 2.1 and 3.0 to structures of arrays (layouts: docs.prophesee.ai, "Event encoding formats").
 *
 * Time and place of an event are spread over several words, whose state goes on from payload to payload. A loop
 * stores an event for every word and moves on only where the word is one: branches on the kinds of words, which no
 * processor predicts, would take most of the time. Arrays therefore have room for EVT_ROOM events more than there are.
 */
#include "bytes.h"
#include "kernels.h"
#include "multiversion.h"

#define EVT3_PERIOD ((int64_t)1 << 24)
#define EVT2_PERIOD ((int64_t)1 << 34)
#define EVT_ROOM 8

/* A TIME_HIGH further from the last one, in microseconds, is believed only when the next one follows it. */
#define MAX_TIME_STEP ((int64_t)1 << 22)

enum { KNOWN_HIGH = 1, KNOWN_LOW = 2, KNOWN_ROW = 4, KNOWN_BASE = 8 };

/* int64[11] on the side of Python. */
struct evt_state {
  int64_t high;    /* continuing time of the last TIME_HIGH, in microseconds */
  int64_t anchor;  /* the last one that is believed, from which the next one is continued */
  int64_t known;   /* parts received since the last loss: KNOWN_* */
  int64_t started; /* 0: no TIME_HIGH has been received; 1: one, which may be wrong; 2: others have followed */
  int64_t time;    /* of the next event */
  int64_t row, base, polarity;
  int64_t unplaced; /* events that cannot be placed because a part is missing */
  int64_t triggers; /* external triggers */
  int64_t previous; /* `high` before its last change */
};

/* Take a TIME_HIGH. `t` are the times of the `n` events of the payload so far, *since the first of them behind the last
 * change of TIME_HIGH; `step_us` is the unit of TIME_HIGH, 0 where that is too short for many events to depend on it. */
static void time_high(struct evt_state *s, int64_t low, int64_t period, int64_t step_us, int64_t *t, int64_t n,
                      int64_t *since) {
  const int64_t last = s->high;
  if (!s->started) {
    s->high = s->anchor = s->previous = low;
    s->started = 1;
  } else {
    int64_t high = unwrap(s->anchor, low, period);
    const int64_t step = high - s->anchor, follow = unwrap(s->high, low, period) - s->high;
    if (step >= -MAX_TIME_STEP && step <= MAX_TIME_STEP) {
      s->anchor = high;
      s->started = 2;
    } else if (s->high != s->anchor && follow >= -MAX_TIME_STEP && follow <= MAX_TIME_STEP) {
      high = s->anchor = s->high + follow;
      s->started = 2;
    } else if (s->started == 1 && s->known & KNOWN_HIGH) {
      high = low;
    }
    s->high = high;
    if (high != last) {
      const int64_t before = s->previous, went = last - before;
      s->previous = last;
      /* Where the values around it leave room for one, a value out of the sequence is a transmission error, and its
       * events belong between its neighbours. Sensors step back by one. */
      if (step_us && high - before == 2 * step_us && went != 0 && went != step_us && went != -step_us) {
        s->previous = before + step_us;
        for (int64_t i = *since; i < n; ++i)
          t[i] += s->previous - last;
      }
      *since = n;
    }
  }
  s->time = s->high;
  s->known |= KNOWN_HIGH;
}

/* ---------------------------------------------------------------- groups of pixels in a row */

typedef uint16_t u16x4 __attribute__((vector_size(8)));
typedef int64_t i64x4 __attribute__((vector_size(32)));

#define N(a, b, c, d) {a, b, c, d}
static const u16x4 PLACES[16] = {
    N(0, 0, 0, 0), N(0, 0, 0, 0), N(1, 0, 0, 0), N(0, 1, 0, 0), N(2, 0, 0, 0), N(0, 2, 0, 0),
    N(1, 2, 0, 0), N(0, 1, 2, 0), N(3, 0, 0, 0), N(0, 3, 0, 0), N(1, 3, 0, 0), N(0, 1, 3, 0),
    N(2, 3, 0, 0), N(0, 2, 3, 0), N(1, 2, 3, 0), N(0, 1, 2, 3),
};
static const uint8_t BITS[16] = {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4};

/* Store an event for every bit set in `valid`, the lowest at `column`; returns how many. */
static inline int64_t expand(uint32_t valid, uint32_t column, uint32_t row, uint32_t polarity, int64_t time,
                             uint16_t *x, uint16_t *y, uint8_t *p, int64_t *t) {
  const u16x4 rows = {(uint16_t)row, (uint16_t)row, (uint16_t)row, (uint16_t)row};
  const uint32_t polarities = polarity * 0x01010101u;
  const i64x4 times = {time, time, time, time};
  int64_t n = 0;
  for (; valid; valid >>= 4, column += 4) {
    const u16x4 columns = PLACES[valid & 15] + (uint16_t)column;
    memcpy(x + n, &columns, sizeof columns);
    memcpy(y + n, &rows, sizeof rows);
    memcpy(p + n, &polarities, sizeof polarities);
    memcpy(t + n, &times, sizeof times);
    n += BITS[valid & 15];
  }
  return n;
}

/* ---------------------------------------------------------------- EVT 3.0 */

/* Number of events in the words, unplaced ones included. */
MULTIVERSIONED
int64_t sast_evt3_count(const uint8_t *restrict words, int64_t count) {
  int64_t n = 0;
  while (count > 0) {
    const int64_t block = count < 4096 ? count : 4096;
    uint16_t sum = 0; /* at most 4096 * 12 */
    for (int64_t i = 0; i < block; ++i) {
      const uint16_t word = load16(words + 2 * i), type = word >> 12;
      uint16_t bits = (uint16_t)(word & (type == 0x4 ? 0xFFF : type == 0x5 ? 0xFF : 0));
      bits = (uint16_t)(bits - ((bits >> 1) & 0x5555));
      bits = (uint16_t)((bits & 0x3333) + ((bits >> 2) & 0x3333));
      bits = (uint16_t)((bits + (bits >> 4)) & 0x0F0F);
      sum = (uint16_t)(sum + (type == 0x2) + ((bits + (bits >> 8)) & 0x1F));
    }
    n += sum;
    words += 2 * block;
    count -= block;
  }
  return n;
}

typedef uint8_t u8x16 __attribute__((vector_size(16)));
typedef uint16_t u16x8 __attribute__((vector_size(16)));
typedef int64_t i64x8 __attribute__((vector_size(64)));

/* Bytes of the 16-bit lanes whose bit is set in the index, moved to the front. */
static u8x16 FRONT[256];

__attribute__((constructor)) static void fill_front(void) {
  for (int mask = 0; mask < 256; ++mask)
    for (int lane = 0, n = 0; lane < 8; ++lane)
      if (mask >> lane & 1) {
        FRONT[mask][2 * n] = (uint8_t)(2 * lane);
        FRONT[mask][2 * n++ + 1] = (uint8_t)(2 * lane + 1);
      }
}

static inline u16x8 to_front(u16x8 lanes, uint32_t mask) { return (u16x8)__builtin_shuffle((u8x16)lanes, FRONT[mask]); }

/* Each lane takes the value of the last lane up to it that is `set` (all bits), or `before`. */
static inline u16x8 fill_forward(u16x8 value, u16x8 set, uint16_t before) {
  const u16x8 zero = {0};
  value &= set;
#define STEP(...)                                                                                                      \
  value |= __builtin_shuffle(zero, value, (u16x8){__VA_ARGS__}) & ~set;                                                \
  set |= __builtin_shuffle(zero, set, (u16x8){__VA_ARGS__});
  STEP(0, 8, 9, 10, 11, 12, 13, 14)
  STEP(0, 0, 8, 9, 10, 11, 12, 13)
  STEP(0, 0, 0, 0, 8, 9, 10, 11)
#undef STEP
  return value | (before & ~set);
}

static inline uint32_t lane_bits(u16x8 set) {
  const u16x8 bits = set & (u16x8){1, 2, 4, 8, 16, 32, 64, 128};
  uint64_t halves[2];
  memcpy(halves, &bits, sizeof halves);
  return (uint32_t)((halves[0] + halves[1]) * 0x0001000100010001u >> 48);
}

/* Decode whole blocks of eight words up to one with groups of pixels, a trigger or a new TIME_HIGH; the state must be
 * complete. Returns the number of words; *n counts events. */
MULTIVERSIONED
static int64_t evt3_blocks(const uint8_t *restrict words, int64_t count, struct evt_state *restrict state,
                           uint16_t *restrict x, uint16_t *restrict y, uint8_t *restrict p, int64_t *restrict t,
                           int64_t *events) {
  const int64_t high = state->high;
  /* Sensors repeat TIME_HIGH every 16 us; the first repetition confirms it */
  const uint16_t same_high = high == state->anchor && state->started == 2 ? 0x8000u | (high >> 12 & 0xFFF) : 0;
  uint16_t row = (uint16_t)state->row, low = state->time & 0xFFF;
  int64_t i = 0, n = *events;
  for (; i + 8 <= count; i += 8) {
    u16x8 word;
    memcpy(&word, words + 2 * i, sizeof word);
    const u16x8 type = word >> 12;
    const u16x8 special = (u16x8)(type == 0x4) | (u16x8)(type == 0x5) | (u16x8)(type == 0x3) | (u16x8)(type == 0xA) |
                          ((u16x8)(type == 0x8) & (u16x8)(word != same_high));
    const u16x8 is_low = (u16x8)(type == 0x6);
    if (lane_bits(special))
      break;
    const u16x8 rows = fill_forward(word & 0x7FF, (u16x8)(type == 0x0), row);
    const u16x8 lows = fill_forward(word & 0xFFF & is_low, is_low | (u16x8)(type == 0x8), low);
    const uint32_t mask = lane_bits((u16x8)(type == 0x2));
    const u16x8 pixels = to_front(word, mask), columns = pixels & 0x7FF, placed = to_front(rows, mask);
    const u16x8 times = to_front(lows, mask);
    const i64x8 full = __builtin_convertvector(times, i64x8) | high;
    typedef uint8_t u8x8 __attribute__((vector_size(8)));
    const u8x8 polarities = __builtin_convertvector(pixels >> 11 & 1, u8x8);
    memcpy(x + n, &columns, sizeof columns);
    memcpy(y + n, &placed, sizeof placed);
    memcpy(p + n, &polarities, sizeof polarities);
    memcpy(t + n, &full, sizeof full);
    n += __builtin_popcount(mask);
    row = rows[7];
    low = lows[7];
  }
  state->row = row;
  state->time = high | low;
  *events = n;
  return i;
}

/* Decode the words; returns the number of events. */
int64_t sast_evt3(const uint8_t *restrict words, int64_t count, struct evt_state *restrict state, uint16_t *restrict x,
                  uint16_t *restrict y, uint8_t *restrict p, int64_t *restrict t) {
  const int64_t ready = KNOWN_HIGH | KNOWN_LOW | KNOWN_ROW;
  int64_t n = 0, i = 0, next = 0, since = 0;
  while (i < count) {
    if (i >= next && (state->known & ready) == ready) {
      i += evt3_blocks(words + 2 * i, count - i, state, x, y, p, t, &n);
      next = i + 8; /* the next block is not one of these */
      if (i == count)
        break;
    }
    const uint32_t word = load16(words + 2 * i++), type = word >> 12;
    switch (type) {
      case 0x0:
        state->row = word & 0x7FF;
        state->known |= KNOWN_ROW;
        break;
      case 0x2:
        if ((state->known & ready) != ready) {
          ++state->unplaced;
          break;
        }
        x[n] = word & 0x7FF;
        y[n] = (uint16_t)state->row;
        p[n] = word >> 11 & 1;
        t[n++] = state->time;
        break;
      case 0x3:
        state->base = word & 0x7FF;
        state->polarity = word >> 11 & 1;
        state->known |= KNOWN_BASE;
        break;
      case 0x4:
      case 0x5: {
        const uint32_t valid = word & (type == 0x4 ? 0xFFFu : 0xFFu);
        if ((state->known & (ready | KNOWN_BASE)) == (ready | KNOWN_BASE))
          n += expand(valid, (uint32_t)state->base, (uint32_t)state->row, (uint32_t)state->polarity, state->time, x + n,
                      y + n, p + n, t + n);
        else
          state->unplaced += __builtin_popcount(valid);
        state->base += type == 0x4 ? 12 : 8;
        break;
      }
      case 0x6: /* belongs to the TIME_HIGH before it */
        if (state->known & KNOWN_HIGH) {
          state->time = state->high | (word & 0xFFF);
          state->known |= KNOWN_LOW;
        }
        break;
      case 0x8:
        time_high(state, (int64_t)(word & 0xFFF) << 12, EVT3_PERIOD, 1 << 12, t, n, &since);
        break;
      case 0xA:
        ++state->triggers;
        break;
      default: /* CONTINUED, OTHERS and reserved words carry no pixel */
        break;
    }
  }
  return n;
}

/* ---------------------------------------------------------------- EVT 2.0, EVT 2.1 */

/* Arrays have room for one event a word and EVT_ROOM more. Returns the number of events. */
int64_t sast_evt2(const uint8_t *restrict words, int64_t count, struct evt_state *restrict shared, uint16_t *restrict x,
                  uint16_t *restrict y, uint8_t *restrict p, int64_t *restrict t) {
  struct evt_state s = *shared;
  int64_t n = 0, since = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t word = load32(words + 4 * i), type = word >> 28;
    if (type == 0x8) {
      time_high(&s, (int64_t)(word & 0xFFFFFFF) << 6, EVT2_PERIOD, 0, t, n, &since);
      continue;
    }
    const uint32_t event = type <= 1, placed = event & (uint32_t)s.known & KNOWN_HIGH;
    x[n] = word >> 11 & 0x7FF;
    y[n] = word & 0x7FF;
    p[n] = (uint8_t)type;
    t[n] = s.time + (word >> 22 & 0x3F);
    n += placed;
    s.unplaced += event ^ placed;
    s.triggers += type == 0xA;
  }
  *shared = s;
  return n;
}

static inline uint64_t evt21_word(const uint8_t *at, int32_t high_first) {
  const uint64_t word = load64(at);
  return high_first ? word << 32 | word >> 32 : word;
}

/* Number of events in the words, unplaced ones included. */
int64_t sast_evt21_count(const uint8_t *words, int64_t count, int32_t high_first) {
  int64_t n = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t word = evt21_word(words + 8 * i, high_first);
    if (word >> 60 <= 1)
      n += __builtin_popcount((uint32_t)word);
  }
  return n;
}

/* Arrays have room for sast_evt21_count events and EVT_ROOM more. Returns the number of events. */
int64_t sast_evt21(const uint8_t *restrict words, int64_t count, int32_t high_first, struct evt_state *restrict shared,
                   uint16_t *restrict x, uint16_t *restrict y, uint8_t *restrict p, int64_t *restrict t) {
  struct evt_state s = *shared;
  int64_t n = 0, since = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t word = evt21_word(words + 8 * i, high_first);
    const uint32_t type = (uint32_t)(word >> 60), valid = (uint32_t)word;
    if (type == 0x8)
      time_high(&s, (int64_t)(word >> 32 & 0xFFFFFFF) << 6, EVT2_PERIOD, 0, t, n, &since);
    else if (type > 1)
      s.triggers += type == 0xA;
    else if (s.known & KNOWN_HIGH)
      n += expand(valid, word >> 43 & 0x7FF, word >> 32 & 0x7FF, type, s.time + (int64_t)(word >> 54 & 0x3F), x + n,
                  y + n, p + n, t + n);
    else
      s.unplaced += __builtin_popcount(valid);
  }
  *shared = s;
  return n;
}
