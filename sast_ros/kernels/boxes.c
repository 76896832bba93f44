// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* Boxes of the network's output. */

#include "kernels.h"

#include <math.h>
#include <string.h>

/* Greedy non-maximum suppression: boxes float32[count][4] xyxy, best score first; alive[i] becomes 0 where a better box
 * of the same class that stayed overlaps by more than iou. Single precision throughout, as the published post-processing.
 */
void sast_nms(const float *boxes, const int64_t *classes, int64_t count, float iou, uint8_t *alive) {
  for (int64_t i = 0; i < count; ++i) {
    if (!alive[i]) {
      continue;
    }
    const float *const a = boxes + 4 * i;
    const float area = (a[2] - a[0]) * (a[3] - a[1]);
    for (int64_t k = i + 1; k < count; ++k) {
      const float *const b = boxes + 4 * k;
      const float left = a[0] > b[0] ? a[0] : b[0], right = a[2] < b[2] ? a[2] : b[2];
      const float top = a[1] > b[1] ? a[1] : b[1], bottom = a[3] < b[3] ? a[3] : b[3];
      if (right <= left || bottom <= top || classes[k] != classes[i]) {
        continue;
      }
      const float overlap = (right - left) * (bottom - top);
      if (overlap > iou * (area + (b[2] - b[0]) * (b[3] - b[1]) - overlap)) {
        alive[k] = 0;
      }
    }
  }
}

/* Candidates of the network's output float32[anchors][5 + classes], tx, ty, tw, th, probabilities of objectness and
 * classes, in raster order at the strides 8, 16 and 32 of an input of height x width (docs/sast.md 7, 8).
 *
 * A box is decoded only where its score, objectness x largest class probability, reaches the threshold: rows
 * float32[anchors][6] get its corners, objectness and class probability, classes int64[anchors] its class. Returns the
 * number of candidates, or -1 if a value of the output is not finite.
 */
int64_t sast_candidates(const float *head, int64_t height, int64_t width, int64_t columns, float threshold, float *rows,
                        int64_t *classes) {
  int64_t found = 0;
  const float *at = head;
  for (int64_t stride = 8; stride <= 32; stride *= 2) {
    for (int64_t y = 0; y < height / stride; ++y) {
      for (int64_t x = 0; x < width / stride; ++x, at += columns) {
        float sum = 0.0f;
        int64_t best = 5;
        for (int64_t k = 0; k < columns; ++k) {
          sum += at[k] * 0.0f; /* NaN if one is not finite */
        }
        for (int64_t k = 6; k < columns; ++k) {
          best = at[k] > at[best] ? k : best;
        }
        if (sum != 0.0f) {
          return -1;
        }
        const float objectness = at[4], probability = at[best];
        if (!(objectness * probability >= threshold)) {
          continue;
        }
        const float side = (float)stride;
        const float cx = (at[0] + (float)x) * side, cy = (at[1] + (float)y) * side;
        const float w = expf(at[2]) * side / 2, h = expf(at[3]) * side / 2;
        const float row[6] = {cx - w, cy - h, cx + w, cy + h, objectness, probability};
        memcpy(rows + 6 * found, row, sizeof row);
        classes[found++] = best - 5;
      }
    }
  }
  return found;
}
