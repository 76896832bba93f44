// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
#ifndef SAST_ROS_MULTIVERSION_H
#define SAST_ROS_MULTIVERSION_H

#include <stdint.h> /* defines __GLIBC__ */

/* Loops that gcc vectorises are built for several instruction sets and chosen when the library is loaded. */
#if defined(__x86_64__) && defined(__GLIBC__)
#if __GNUC__ >= 12
#define MULTIVERSIONED __attribute__((target_clones("default", "avx2", "arch=x86-64-v4")))
#else
#define MULTIVERSIONED __attribute__((target_clones("default", "avx2")))
#endif
#else
#define MULTIVERSIONED
#endif

#endif
