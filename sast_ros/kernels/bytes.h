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

#endif
