// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
#if defined(__x86_64__)
#pragma GCC target("avx2,fma")
#define SAST_AVX2
#define SAST_ISA avx2
#include "instruction_set.h"
#endif
