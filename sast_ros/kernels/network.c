/* What of the network's input and output is faster outside PyTorch. Called through ctypes. */

#include <stdint.h>
#include <string.h>

/* Histogram uint8[channels][height][width] to float32[height + 2 pad][width + 2 pad][channels] with replicated borders.
 *
 * A histogram is nearly empty, so the output is cleared and only its occupied cells are written; eight cells that are
 * all empty are skipped at once.
 */
void sast_network_input(const uint8_t *histogram, int64_t channels, int64_t height, int64_t width, int64_t pad,
                        float *out) {
  const int64_t line = (width + 2 * pad) * channels;
  float *const inside = out + pad * line + pad * channels;
  memset(inside - pad * channels, 0, (size_t)(height * line) * sizeof(float));
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t y = 0; y < height; ++y) {
      const uint8_t *const row = histogram + (c * height + y) * width;
      float *const target = inside + y * line + c;
      int64_t x = 0;
      for (; x + 8 <= width; x += 8) {
        uint64_t word;
        memcpy(&word, row + x, 8);
        if (word == 0) {
          continue;
        }
        for (int64_t k = x; k < x + 8; ++k) {
          if (row[k]) {
            target[k * channels] = row[k];
          }
        }
      }
      for (; x < width; ++x) {
        target[x * channels] = row[x];
      }
    }
  }
  const size_t cell = (size_t)channels * sizeof(float);
  for (int64_t y = 0; y < height; ++y) {
    float *const first = inside + y * line, *const last = first + (width - 1) * channels;
    for (int64_t k = 1; k <= pad; ++k) {
      memcpy(first - k * channels, first, cell);
      memcpy(last + k * channels, last, cell);
    }
  }
  const float *const top = inside - pad * channels, *const bottom = top + (height - 1) * line;
  for (int64_t k = 1; k <= pad; ++k) {
    memcpy(out + (pad - k) * line, top, (size_t)line * sizeof(float));
    memcpy(out + (pad + height - 1 + k) * line, bottom, (size_t)line * sizeof(float));
  }
}

/* Greedy non-maximum suppression: boxes float32[count][4] xyxy, best score first; alive[i] becomes 0 where a better box
 * of the same class that stayed overlaps by more than iou. Single precision throughout, as the published post-processing.
 */
void sast_suppress(const float *boxes, const int64_t *classes, int64_t count, float iou, uint8_t *alive) {
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
