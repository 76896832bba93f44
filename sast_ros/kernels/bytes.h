// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
#ifndef SAST_ROS_BYTES_H
#define SAST_ROS_BYTES_H

/* Little-endian integers at any address. */

#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the decoders read little-endian data with plain loads"
#endif

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

/* Smallest time congruent to `low` modulo `period` (a power of two) within half a period of `near`. */
static inline int64_t unwrap(int64_t near, int64_t low, int64_t period) {
  int64_t step = (low - near) & (period - 1);
  if (step >= period / 2)
    step -= period;
  return near + step;
}

/* A counter of limited range, continued over its roll-overs; int64[CLOCK_SIZE] on the side of Python, zeros at the
 * start. */
struct clock {
  int64_t anchor; /* the last time that is believed, from which the next one is continued */
  int64_t last;   /* the last time elsewhere */
  int64_t away;   /* times in a row that are elsewhere, each near the one before */
  int64_t known;  /* CLOCK_* */
};

enum { CLOCK_BEGINS = 0, CLOCK_HAS_ONE_TIME = 1, CLOCK_RUNS = 2 };

/* A time further from the last one than this part of the period is believed when so many in a row are at its place:
 * nearly never in random data, and before the clock could go round in a stream of few events. */
#define CLOCK_NEAR 16
#define CLOCK_MOVED 4

static inline int is_near(int64_t time, int64_t other, int64_t period) {
  return (uint64_t)(time - other + period / CLOCK_NEAR) <= 2 * (uint64_t)(period / CLOCK_NEAR);
}

/* Continue the clock by a count that is not near the last one: a flipped bit, a silence, or its start. By value, so that
 * loops keep the clock in registers. */
static __attribute__((noinline)) struct clock clock_jump(struct clock c, int64_t low, int64_t period) {
  const int64_t follow = unwrap(c.last, low, period);
  if (c.known == CLOCK_BEGINS) {
    c.anchor = c.last = low;
    c.known = CLOCK_HAS_ONE_TIME;
  } else if (c.away && is_near(follow, c.last, period)) {
    c.last = follow;
    if (++c.away == CLOCK_MOVED) {
      c.anchor = follow;
      c.away = 0;
      c.known = CLOCK_RUNS;
    }
  } else {
    c.away = 1;
    /* Where only one time is known, it may be the wrong one */
    c.last = c.known == CLOCK_HAS_ONE_TIME ? low : unwrap(c.anchor, low, period);
  }
  return c;
}

/* Return the time of the next count, `low` modulo the period. A count with a flipped bit changes nothing for those
 * behind it. */
static inline int64_t clock_next(struct clock *c, int64_t low, int64_t period) {
  const int64_t time = unwrap(c->anchor, low, period);
  if (c->known == CLOCK_BEGINS || !is_near(time, c->anchor, period)) {
    *c = clock_jump(*c, low, period);
    return c->last;
  }
  c->known = CLOCK_RUNS;
  c->away = 0;
  return c->anchor = time;
}

#endif
