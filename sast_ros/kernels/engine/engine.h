// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* The network as a list of operations that a team of threads carries out one after the other.
 *
 * sast_ros/model/inference/program.py makes the list for a network and an input size; it reads the structures and the
 * enumerations from this file, so a member has eight bytes.
 */
#ifndef SAST_ROS_ENGINE_ENGINE_H
#define SAST_ROS_ENGINE_ENGINE_H

#include <stdint.h>

/* What an operation does. */
enum sast_kind {
  SAST_OCCUPANCY = 0, /* find and count the occupied cells of the histogram */
  SAST_GAIN = 1,      /* density to gate and scale of the scores */
  SAST_STEM = 2,      /* 7x7 convolution of stride 4 of the events, layer norm, position */
  SAST_PRODUCT = 3,   /* matrix product of rows, of pairs of rows, or of 3x3 neighbourhoods */
  SAST_SELECT = 4,    /* scores to selected tokens */
  SAST_NORM = 5,      /* layer norm of all rows, in place */
  SAST_GATHER = 6,    /* layer norm of the selected rows */
  SAST_ATTEND = 7,    /* attention among the tokens of a window */
  SAST_CONTEXT = 8,   /* context broadcasting */
  SAST_WINOGRAD_IN = 9,
  SAST_WINOGRAD_OUT = 10,
  SAST_MARK = 11,   /* tiles whose classes matter */
  SAST_CLASSES = 12 /* predictions of the classes where they matter */
};

/* Where the rows of a product come from. */
enum sast_source {
  SAST_ROWS = 0, /* a[m] */
  SAST_PAIR = 1, /* a[m] and a2[m] one after the other */
  SAST_CONV = 2  /* the 3x3 neighbourhood of output pixel m in the map a */
};

/* What happens to the result of a product. */
enum sast_epilogue {
  SAST_PLAIN = 0,
  SAST_BIAS = 1,
  SAST_SILU = 2,
  SAST_RESIDUAL = 3,       /* + extra[m] */
  SAST_UPSAMPLED_SILU = 4, /* + extra at half the resolution, then SiLU */
  SAST_GEGLU = 5,          /* sixteen values, sixteen gates, ... */
  SAST_LSTM = 6,           /* sixteen each of forget, input, output, candidate, ... */
  SAST_NORM_POSITION = 7,  /* layer norm, + extra[m] */
  SAST_SCORE = 8           /* weight y by the scores, sum these up, layer norm */
};

/* One operation. An address below SAST_SLOTS is the number of an address of struct sast_step. */
enum { SAST_SLOTS = 32 };

struct sast_op {
  int64_t kind;
  int64_t joined;   /* 1: does not wait until the operations before are done */
  int64_t source;   /* enum sast_source */
  int64_t epilogue; /* enum sast_epilogue */
  int64_t rows;     /* of the result; tokens */
  int64_t inner;    /* channels of a row of a */
  int64_t columns;  /* of the result; channels */
  int64_t batch;    /* so many products */
  const float *a;
  const float *a2;
  int64_t a_stride; /* floats from one row to the next */
  int64_t a_batch;  /* floats from one product to the next */
  const float *b;   /* packed: [columns / panel][inner][panel] */
  int64_t half;     /* 1: a float of b holds two bfloat16 of a column, [columns / panel][inner / 2][panel] */
  int64_t b_batch;
  const float *bias;
  float *y;
  int64_t y_stride;
  int64_t y_batch;
  const float *extra;
  int64_t extra_stride;
  float *y2; /* cell of the LSTM; scores */
  const float *gamma;
  const float *beta;
  float *gate;
  float *scale;
  int32_t *index;  /* row of the map of each selected row; number of each marked tile */
  int64_t *count;  /* selected rows, used in the place of rows, then the selected windows; marked tiles */
  int32_t *around; /* tiles that the marked ones look at */
  int64_t *around_count;
  int32_t *first; /* first selected row of each selected window, and the end */
  uint8_t *mask;  /* selected tokens, partition by partition */
  int32_t *order; /* token of the map at each place of the partitions */
  int64_t height; /* of the input map */
  int64_t width;
  int64_t out_height;
  int64_t out_width;
  int64_t step;      /* stride of a convolution */
  int64_t replicate; /* its border: 1 replicated, 0 zeros */
  int64_t channels;  /* of the histogram */
  int64_t windows;   /* partitions of the map */
  int64_t tokens;    /* of a partition */
  int64_t heads;
  int64_t head_channels;
  uint8_t *occupied;     /* [channels][height][width / 64]: which words of eight cells are not empty */
  int32_t *counts;       /* occupied cells, [4][channels] */
  const float *controls; /* exponentials of to_controls, [columns][channels] */
};

/* What changes from step to step. */
struct sast_step {
  const uint8_t *histogram; /* [channels][height][width] */
  int64_t height;
  int64_t width;
  double amp;
  double bounce;
  int64_t dense;     /* 1: everything is selected */
  double objectness; /* classes matter from this logit on */
  void *slot[32];    /* SAST_SLOTS */
};

/* One instruction set. */
struct sast_isa {
  const char *name;
  int64_t panel; /* columns of a panel of packed weights */
  /* Floats that a thread needs for an operation. */
  int64_t (*scratch)(const struct sast_op *op);
  /* Take pieces of an operation until none is left; taken counts those of all threads. */
  void (*work)(const struct sast_op *op, const struct sast_step *step, _Atomic int64_t *taken, float *scratch);
};

#if defined(__aarch64__)
extern const struct sast_isa sast_isa_neon;
#else
extern const struct sast_isa sast_isa_baseline;
#endif
#if defined(__x86_64__)
extern const struct sast_isa sast_isa_avx2, sast_isa_avx512;
#endif

#endif
