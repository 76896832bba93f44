// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* Vectors of the instruction set that a source is compiled for, in extensions of gcc.
 *
 * Whatever is summed up over channels or tokens is summed in sixteen lanes and folded in one order, however many lanes a
 * register has, and products are fused with sums where it is written, nowhere else (-ffp-contract=off): all instruction
 * sets with a fused multiply-add give the same bits.
 */
#ifndef SAST_ROS_ENGINE_VECTOR_H
#define SAST_ROS_ENGINE_VECTOR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/* LANES of a register; PANEL_VECTORS x TILE_ROWS accumulators fill the registers of the matrix product. */
#if defined(SAST_AVX512)
enum { LANES = 16, PANEL_VECTORS = 2, TILE_ROWS = 12 };
#elif defined(SAST_AVX2)
enum { LANES = 8, PANEL_VECTORS = 2, TILE_ROWS = 6 };
#elif defined(__aarch64__)
enum { LANES = 4, PANEL_VECTORS = 4, TILE_ROWS = 6 };
#else
enum { LANES = 4, PANEL_VECTORS = 2, TILE_ROWS = 6 };
#endif

enum {
  PANEL = LANES * PANEL_VECTORS, /* columns of a panel of packed weights */
  WIDE = 16,                     /* channels come in multiples of so many */
  WIDE_VECTORS = WIDE / LANES
};

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE vec load(const float *at) { return *(const vec *)at; }
INLINE void store(float *at, vec value) { *(vec *)at = value; }
#if defined(SAST_AVX512)
INLINE vec splat(float value) { return (vec)_mm512_set1_ps(value); } /* bits of any meaning */
#else
INLINE vec splat(float value) { return value - (vec){0}; }
#endif
INLINE vec choose(ivec mask, vec yes, vec no) { return (vec)((mask & (ivec)yes) | (~mask & (ivec)no)); }

/* a b + c, rounded once where the processor can. */
#if defined(SAST_AVX512)
INLINE vec fused(vec a, vec b, vec c) { return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
#elif defined(SAST_AVX2)
INLINE vec fused(vec a, vec b, vec c) { return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
#elif defined(__aarch64__)
INLINE vec fused(vec a, vec b, vec c) { return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
#else
INLINE vec fused(vec a, vec b, vec c) { return a * b + c; }
#endif

/* Rows of a product: as they are or, where half is set, rounded to bfloat16, two in the place of a float. */
#if defined(SAST_AVX512)
enum { HALF = 1 };
INLINE vec fused_words(vec a, vec b, vec c, const int half) {
  return half ? (vec)_mm512_dpbf16_ps((__m512)c, (__m512bh)a, (__m512bh)b) : fused(a, b, c);
}
INLINE void take(float *to, const float *from, int64_t count, const int half) {
  if (!half) {
    memcpy(to, from, (size_t)count * sizeof(float));
    return;
  }
  int64_t k = 0;
  for (; k + 2 * LANES <= count; k += 2 * LANES, to += LANES) {
    store(to, (vec)_mm512_cvtne2ps_pbh((__m512)load(from + k + LANES), (__m512)load(from + k)));
  }
  if (k < count) { /* channels come in multiples of LANES */
    const __m256bh last = _mm512_cvtneps_pbh((__m512)load(from + k));
    memcpy(to, &last, sizeof last);
  }
}
#else
enum { HALF = 0 };
INLINE vec fused_words(vec a, vec b, vec c, const int half) { return (void)half, fused(a, b, c); }
INLINE void take(float *to, const float *from, int64_t count, const int half) {
  (void)half;
  memcpy(to, from, (size_t)count * sizeof(float));
}
#endif

/* Limits keep NaN, so that damaged weights show in the output. */
#if defined(SAST_AVX512)
INLINE vec at_most(vec x, float limit) { return (vec)_mm512_min_ps((__m512)splat(limit), (__m512)x); }
INLINE vec at_least(vec x, float limit) { return (vec)_mm512_max_ps((__m512)splat(limit), (__m512)x); }
#elif defined(SAST_AVX2)
INLINE vec at_most(vec x, float limit) { return (vec)_mm256_min_ps((__m256)splat(limit), (__m256)x); }
INLINE vec at_least(vec x, float limit) { return (vec)_mm256_max_ps((__m256)splat(limit), (__m256)x); }
#elif defined(__x86_64__)
INLINE vec at_most(vec x, float limit) { return (vec)_mm_min_ps((__m128)splat(limit), (__m128)x); }
INLINE vec at_least(vec x, float limit) { return (vec)_mm_max_ps((__m128)splat(limit), (__m128)x); }
#else
INLINE vec at_most(vec x, float limit) { return choose(x > splat(limit), splat(limit), x); }
INLINE vec at_least(vec x, float limit) { return choose(x < splat(limit), splat(limit), x); }
#endif

/* e^x to about one unit in the last place, for x from -87 to 88 (range reduction and polynomial of the Cephes library's
 * method).
 */
INLINE vec exponential_within(vec x) {
  const vec magic = splat(12582912.0f);
  const vec shifted = fused(x, splat(1.44269504088896341f), magic); /* the nearest integer is in its lowest bits */
  const vec nearest = shifted - magic;
  const vec r = fused(nearest, splat(2.12194440e-4f), fused(nearest, splat(-0.693359375f), x));
  vec p = splat(1.9875691500e-4f);
  p = fused(p, r, splat(1.3981999507e-3f));
  p = fused(p, r, splat(8.3334519073e-3f));
  p = fused(p, r, splat(4.1665795894e-2f));
  p = fused(p, r, splat(1.6666665459e-1f));
  p = fused(p, r, splat(5.0000001201e-1f));
  const ivec power = ((ivec)shifted << 23) + 0x3f800000;
  return (fused(p * r, r, r) + 1.0f) * (vec)power;
}

INLINE vec exponential(vec x) { return exponential_within(at_least(at_most(x, 88.0f), -87.0f)); }

/* e^-x where three of them are multiplied: limited so that the product stays finite; beyond, 1 / (1 + e^-x) is 0 to
 * twelve digits.
 */
INLINE vec decay(vec x) { return exponential_within(at_least(at_most(-x, 28.0f), -87.0f)); }
INLINE vec sigmoid(vec x) { return 1.0f / (1.0f + exponential(-x)); }
INLINE vec silu(vec x) { return x / (1.0f + exponential(-x)); }

/* Exact GELU, by the error function of Abramowitz and Stegun 7.1.26 (error below 2e-7). */
INLINE vec gelu(vec x) {
  const vec z = x * 0.70710678118654752f;
  const ivec negative = z < splat(0.0f);
  const vec a = choose(negative, -z, z), t = 1.0f / fused(a, splat(0.3275911f), splat(1.0f));
  vec p = fused(t, splat(1.061405429f), splat(-1.453152027f));
  p = fused(p, t, splat(1.421413741f));
  p = fused(p, t, splat(-0.284496736f));
  p = fused(p, t, splat(0.254829592f));
  const vec erf_of_a = 1.0f - p * t * exponential(-a * a);
  return 0.5f * x * (1.0f + choose(negative, -erf_of_a, erf_of_a));
}

/* Sixteen lanes. */
typedef struct {
  vec part[WIDE_VECTORS];
} wide;

INLINE wide wide_zero(void) {
  wide sum;
  for (int i = 0; i < WIDE_VECTORS; ++i) {
    sum.part[i] = splat(0.0f);
  }
  return sum;
}

/* Sum of the lanes: lane i with i + 8, then with i + 4, with i + 2 and with i + 1. */
INLINE float total(wide sum) {
#if defined(SAST_AVX512)
  const vec s = sum.part[0];
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256((__m512)s), _mm512_extractf32x8_ps((__m512)s, 1));
  const __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
#elif defined(SAST_AVX2)
  const __m256 half = (__m256)(sum.part[0] + sum.part[1]);
  const __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
#else
  const vec quarter = (sum.part[0] + sum.part[2]) + (sum.part[1] + sum.part[3]);
#endif
  return (quarter[0] + quarter[2]) + (quarter[1] + quarter[3]);
}

/* Layer norm of a row, epsilon 1e-5; out may be x. */
INLINE void layer_norm(const float *x, int64_t channels, const float *gamma, const float *beta, float *out) {
  wide sum = wide_zero(), squares = wide_zero();
  for (int64_t c = 0; c < channels; c += WIDE) {
    for (int i = 0; i < WIDE_VECTORS; ++i) {
      sum.part[i] += load(x + c + i * LANES);
    }
  }
  const float mean = total(sum) / (float)channels;
  for (int64_t c = 0; c < channels; c += WIDE) {
    for (int i = 0; i < WIDE_VECTORS; ++i) {
      const vec apart = load(x + c + i * LANES) - mean;
      squares.part[i] = fused(apart, apart, squares.part[i]);
    }
  }
  const float scale = 1.0f / sqrtf(total(squares) / (float)channels + 1e-5f);
  for (int64_t c = 0; c < channels; c += LANES) {
    store(out + c, fused((load(x + c) - mean) * scale, load(gamma + c), load(beta + c)));
  }
}

/* Layer norm of a row, + position; out may be x. */
INLINE void norm_with_position(const float *x, int64_t channels, const float *gamma, const float *beta,
                               const float *position, float *out) {
  layer_norm(x, channels, gamma, beta, out);
  for (int64_t c = 0; c < channels; c += LANES) {
    store(out + c, load(out + c) + load(position + c));
  }
}

#endif
