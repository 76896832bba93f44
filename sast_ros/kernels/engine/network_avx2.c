// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define SAST_AVX2
#define SAST_ISA avx2
#include "instruction_set.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
