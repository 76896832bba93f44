// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* What every processor of the architecture has: SSE2 on x86-64, NEON on aarch64. */
#if defined(__aarch64__)
#define SAST_ISA neon
#else
#define SAST_ISA baseline
#endif
#include "instruction_set.h"
