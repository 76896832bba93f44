// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* Everything once more for one instruction set; SAST_ISA is its name. */
#include "product.h"
#include "stages.h"
#include "winograd.h"

static int64_t scratch_of(const struct sast_op *op) {
  switch (op->kind) {
    case SAST_OCCUPANCY:
      return occupancy_scratch(op);
    case SAST_PRODUCT:
      return product_scratch(op);
    case SAST_SELECT:
      return round_up(op->windows, WIDE) + round_up(op->tokens, WIDE);
    case SAST_ATTEND:
      return attend_scratch(op);
    case SAST_CONTEXT:
      return op->columns;
    default:
      return 0;
  }
}

static void work(const struct sast_op *op, const struct sast_step *step, _Atomic int64_t *taken, float *scratch) {
  switch (op->kind) {
    case SAST_OCCUPANCY:
      occupancy_work(op, step, taken, scratch);
      break;
    case SAST_GAIN:
      gain_work(op, step, taken);
      break;
    case SAST_STEM:
      stem_work(op, step, taken);
      break;
    case SAST_PRODUCT:
      product_work(op, step, taken, scratch);
      break;
    case SAST_SELECT:
      select_work(op, step, taken, scratch);
      break;
    case SAST_NORM:
      norm_work(op, taken);
      break;
    case SAST_GATHER:
      gather_work(op, taken);
      break;
    case SAST_ATTEND:
      attend_work(op, taken, scratch);
      break;
    case SAST_CONTEXT:
      context_work(op, taken, scratch);
      break;
    case SAST_WINOGRAD_IN:
      winograd_in_work(op, step, taken);
      break;
    case SAST_WINOGRAD_OUT:
      winograd_out_work(op, taken);
      break;
    case SAST_MARK:
      mark_work(op, step, taken);
      break;
    case SAST_CLASSES:
      classes_work(op, step, taken);
      break;
  }
}

#define SAST_TEXT_OF(name) #name
#define SAST_TEXT(name) SAST_TEXT_OF(name)
#define SAST_JOIN_OF(a, b) a##b
#define SAST_JOIN(a, b) SAST_JOIN_OF(a, b)

const struct sast_isa SAST_JOIN(sast_isa_, SAST_ISA) = {SAST_TEXT(SAST_ISA), PANEL, scratch_of, work};
