// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* What AVX512-BF16 adds is used only by products in half precision, which Python asks for where the processor has it. */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
#define SAST_AVX512
#define SAST_ISA avx512
#include "instruction_set.h"
#endif
