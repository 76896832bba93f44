#ifndef SAST_ROS_ELEMENTARY_H
#define SAST_ROS_ELEMENTARY_H

/* Sixteen floats at a time, for loops that also add up along the vector; any instruction set can run them. */

#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi" /* every function below is inlined */
#endif

#define INLINED static inline __attribute__((always_inline, unused))

typedef float v16 __attribute__((vector_size(64)));
typedef int32_t i16 __attribute__((vector_size(64)));
typedef uint32_t u16 __attribute__((vector_size(64)));
typedef uint16_t h16 __attribute__((vector_size(32)));

INLINED v16 load(const float *p) {
  v16 x;
  memcpy(&x, p, sizeof x);
  return x;
}

INLINED void store(float *p, v16 x) { memcpy(p, &x, sizeof x); }

/* Sixteen elements from place i on of an array of floats or, with half, of bfloat16. */
INLINED v16 get(const void *p, int64_t i, int half) {
  if (!half) {
    return load((const float *)p + i);
  }
  h16 bits;
  memcpy(&bits, (const uint16_t *)p + i, sizeof bits);
  return (v16)(__builtin_convertvector(bits, u16) << 16);
}

/* The same for storing; rounds to the nearest even bfloat16. */
INLINED void put(void *p, int64_t i, int half, v16 x) {
  if (!half) {
    store((float *)p + i, x);
    return;
  }
  u16 bits = (u16)x;
  bits += 0x7fff + ((bits >> 16) & 1);
  const h16 rounded = __builtin_convertvector(bits >> 16, h16);
  memcpy((uint16_t *)p + i, &rounded, sizeof rounded);
}

INLINED v16 choose(i16 condition, v16 yes, v16 no) {
  return (v16)((condition & (i16)yes) | (~condition & (i16)no));
}

INLINED float total(v16 x) {
  float sums[16];
  memcpy(sums, &x, sizeof sums);
  for (int n = 8; n; n /= 2) {
    for (int k = 0; k < n; ++k) {
      sums[k] += sums[k + n];
    }
  }
  return sums[0];
}

/* e^x as exponential() of network.c. */
INLINED v16 exponential16(v16 x) {
  const v16 zero = {0};
  x = choose(x > 88.0f, zero + 88.0f, x);
  x = choose(x < -87.0f, zero - 87.0f, x);
  const v16 nearest = (x * 1.44269504088896341f + 12582912.0f) - 12582912.0f;
  const i16 k = __builtin_convertvector(nearest, i16);
  const v16 r = (x - nearest * 0.693359375f) + nearest * 2.12194440e-4f;
  v16 p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return (p * r * r + r + 1.0f) * (v16)((k + 127) << 23);
}

INLINED v16 sigmoid16(v16 x) { return 1.0f / (1.0f + exponential16(-x)); }

INLINED v16 tangent16(v16 x) { return 2.0f / (1.0f + exponential16(-2.0f * x)) - 1.0f; }

#endif
