// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* Filters of events: each sets keep[i] to 0 or 1 and returns the number of events to keep; sast_compact copies those.
 *
 * The caller has checked that all events are inside the sensor. Maps of a sensor have a border of one pixel, so that
 * every pixel has eight neighbours: (height + 2) x (width + 2) cells. Differences of times are unsigned: whatever the
 * times are, nothing overflows. */

#include "kernels.h"
#include "multiversion.h"

#include <string.h>

/* Copy the events with keep[i] == 1; the arrays on the right hold one more event than that. */
void sast_compact(const uint16_t *x, const uint16_t *y, const uint8_t *p, const int64_t *t, const uint8_t *keep,
                  int64_t count, uint16_t *kept_x, uint16_t *kept_y, uint8_t *kept_p, int64_t *kept_t) {
  int64_t n = 0;
  for (int64_t i = 0; i < count; ++i) {
    kept_x[n] = x[i];
    kept_y[n] = y[i];
    kept_p[n] = p[i];
    kept_t[n] = t[i];
    n += keep[i];
  }
}

/* Keep the events at pixels whose cell of mask[height][width] is 1; the others are 0. */
int64_t sast_filter_mask(const uint16_t *x, const uint16_t *y, int64_t count, const uint8_t *mask, int32_t width,
                         uint8_t *keep) {
  int64_t kept = 0;
  for (int64_t i = 0; i < count; ++i) {
    keep[i] = mask[(int64_t)y[i] * width + x[i]];
    kept += keep[i];
  }
  return kept;
}

static inline uint64_t latest(const uint64_t *three) {
  const uint64_t a = three[-1] > three[0] ? three[-1] : three[0];
  return three[1] > a ? three[1] : a;
}

/* Keep the events within span microseconds after another one at the same pixel or at one of its neighbours.
 *
 * begin: time of the first event of the stream, which earlier events count with. last: map of the times of the latest
 * events, as t - begin + span + 1; 0 at pixels without any, which is longer ago than span at every time.
 */
int64_t sast_filter_background(const uint16_t *x, const uint16_t *y, const int64_t *t, int64_t count, int64_t begin,
                               int64_t span, int32_t width, uint64_t *last, uint8_t *keep) {
  const int64_t row = (int64_t)width + 2;
  int64_t kept = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint64_t *const cell = last + (y[i] + 1) * row + x[i] + 1;
    const uint64_t earliest = t[i] > begin ? (uint64_t)t[i] - (uint64_t)begin + 1 : 1;
    const uint64_t now = earliest + (uint64_t)span;
    const uint64_t above = latest(cell - row), own = latest(cell), below = latest(cell + row);
    uint64_t newest = above > own ? above : own;
    newest = below > newest ? below : newest;
    keep[i] = newest >= earliest;
    kept += keep[i];
    *cell = *cell > now ? *cell : now;
  }
  return kept;
}

/* Whether at most one of the eight neighbours has more than a quarter of the events of a pixel. */
static inline int is_isolated(const uint16_t *counts, int64_t row) {
  const uint16_t *const around[] = {counts - row - 1, counts - row,     counts - row + 1, counts - 1,
                                    counts + 1,       counts + row - 1, counts + row,     counts + row + 1};
  int rivals = 0;
  for (int k = 0; k < 8; ++k) {
    rivals += 4 * (int32_t)*around[k] > *counts;
  }
  return rivals <= 1;
}

/* Cells of the maps that are skipped together where nothing happens, which is nearly everywhere. */
#define BLOCK 64

MULTIVERSIONED static int is_active(const uint16_t *counts, const uint8_t *hot, int64_t cells) {
  int any = 0;
  for (int64_t i = 0; i < cells; ++i) {
    any |= counts[i] | hot[i];
  }
  return any;
}

/* End a period: find hot pixels, release those that were quiet for a number of periods, and clear the counts. */
static void end_period(uint16_t *counts, uint8_t *hot, int32_t width, int32_t height, int32_t minimum,
                       int32_t periods) {
  const int64_t row = (int64_t)width + 2, cells = row * ((int64_t)height + 2);
  /* The border has no events; without its rows, every cell has eight neighbours */
  for (int64_t block = row; block < cells - row; block += BLOCK) {
    const int64_t end = block + BLOCK < cells - row ? block + BLOCK : cells - row;
    if (!is_active(counts + block, hot + block, end - block)) {
      continue;
    }
    for (int64_t i = block; i < end; ++i) {
      if (counts[i] >= minimum && is_isolated(counts + i, row)) {
        hot[i] = (uint8_t)periods;
      } else if (hot[i]) {
        hot[i] = (uint8_t)(2 * counts[i] >= minimum ? periods : hot[i] - 1);
      }
    }
  }
  memset(counts, 0, (size_t)cells * sizeof *counts);
}

/* Remove the events of hot pixels: see HotPixelFilter of events/filters/noise.py for the rule.
 *
 * begin: start of the current period of that many microseconds. counts: map of the events in it, up to 65535.
 * hot: map of the periods without activity until a hot pixel is one no longer, 0 at all others.
 */
int64_t sast_filter_hot_pixel(const uint16_t *x, const uint16_t *y, const int64_t *t, int64_t count, int64_t period,
                              int32_t minimum, int32_t periods, int32_t width, int32_t height, int64_t *begin,
                              uint16_t *counts, uint8_t *hot, uint8_t *keep) {
  const int64_t row = (int64_t)width + 2;
  int64_t kept = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t since = (int64_t)((uint64_t)t[i] - (uint64_t)*begin);
    if (since >= period) {
      /* The first is the one that ends; the others are empty, and after some of them nothing changes */
      const int64_t ended = since / period;
      for (int64_t k = 0; k < ended && k <= periods; ++k) {
        end_period(counts, hot, width, height, minimum, periods);
      }
      *begin = (int64_t)((uint64_t)*begin + (uint64_t)(ended * period));
    }
    const int64_t cell = (y[i] + 1) * row + x[i] + 1;
    counts[cell] = (uint16_t)(counts[cell] + (counts[cell] != UINT16_MAX));
    keep[i] = !hot[cell];
    kept += keep[i];
  }
  return kept;
}
