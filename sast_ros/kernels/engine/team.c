// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* A team of threads that carries out the operations of a network, and the choice of the instruction set.
 *
 * The threads are those of the OpenMP library that PyTorch has loaded: a second pool would wait for its cores while the
 * first spins. A step is one parallel region, with a barrier between operations.
 */
#if defined(__linux__)
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <sched.h>
#endif

#include "../kernels.h"
#include "engine.h"

#include <stddef.h>
#include <string.h>
#include <time.h>

enum { LINE = 64, MAX_TRACKED_THREADS = 64 };

/* Where a thread runs, in a line of the cache of its own. */
struct thread_core {
  _Alignas(LINE) _Atomic int core;
};

/* Work at hand. */
struct job {
  const struct sast_isa *isa;
  const struct sast_op *ops;
  int64_t count;
  const struct sast_step *step;
  float *scratch;
  int64_t scratch_each;
  _Atomic int64_t *taken; /* a line of the cache for each operation */
  int64_t *nanoseconds;
  int64_t threads; /* that take part */
  struct thread_core cores[MAX_TRACKED_THREADS];
};

/* What compilers call for `omp parallel` and `omp barrier`; `found` is set last, for who reads it in another thread. */
static struct {
  void (*parallel)(void (*function)(void *), void *data, unsigned threads, unsigned flags);
  void (*barrier)(void);
  int (*thread)(void);
  int (*threads)(void);
  _Atomic int found;
} openmp;

#if defined(__linux__)
/* The path of an OpenMP library. */
struct openmp_library {
  char path[4096]; /* empty: none is loaded */
  int of_torch;
};

/* Whether a file is an OpenMP library; wheels add a hash to its name: libgomp-d22c30c5.so.1.0.0. */
static int is_openmp(const char *path) {
  static const char *const names[] = {"libgomp", "libiomp5", "libomp"};
  const char *const slash = strrchr(path, '/'), *const file = slash ? slash + 1 : path;
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    const size_t length = strlen(names[i]);
    if (!strncmp(file, names[i], length) && (file[length] == '.' || file[length] == '-')) {
      return 1;
    }
  }
  return 0;
}

/* Keep the first OpenMP library, or the first of PyTorch: other packages may have loaded their own. */
static int note_openmp(struct dl_phdr_info *loaded, size_t size, void *data) {
  struct openmp_library *const found = data;
  const char *const path = loaded->dlpi_name;
  const int of_torch = strstr(path, "/torch/lib/") || strstr(path, "/torch.libs/");
  (void)size;
  if (is_openmp(path) && strlen(path) < sizeof found->path && (!*found->path || of_torch > found->of_torch)) {
    strcpy(found->path, path);
    found->of_torch = of_torch;
  }
  return 0;
}

/* Whether an OpenMP library is loaded; none is loaded by this. */
static int find_openmp(void) {
  if (openmp.found) {
    return 1;
  }
  struct openmp_library found = {{0}, 0};
  dl_iterate_phdr(note_openmp, &found);
  void *const library = *found.path ? dlopen(found.path, RTLD_LAZY | RTLD_NOLOAD) : NULL;
  if (library) {
    *(void **)&openmp.parallel = dlsym(library, "GOMP_parallel");
    *(void **)&openmp.barrier = dlsym(library, "GOMP_barrier");
    *(void **)&openmp.thread = dlsym(library, "omp_get_thread_num");
    *(void **)&openmp.threads = dlsym(library, "omp_get_num_threads");
    openmp.found = openmp.parallel && openmp.barrier && openmp.thread && openmp.threads;
  }
  return openmp.found;
}
#else
static int find_openmp(void) { return 0; }
#endif

/* Let numbers too small for the normal format be zero: they take a hundred times as long on some processors. */
static uint64_t flush_denormals(void) {
#if defined(__x86_64__)
  const uint32_t before = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(before | 0x8040);
  return before;
#elif defined(__aarch64__)
  uint64_t before;
  __asm__ __volatile__("mrs %0, fpcr" : "=r"(before));
  __asm__ __volatile__("msr fpcr, %0" : : "r"(before | (UINT64_C(1) << 24)));
  return before;
#else
  return 0;
#endif
}

static void restore_denormals(uint64_t before) {
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr((uint32_t)before);
#elif defined(__aarch64__)
  __asm__ __volatile__("msr fpcr, %0" : : "r"(before));
#else
  (void)before;
#endif
}

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

#if defined(__linux__)
/* Let the threads that were just woken run: they may wait for the core of this one, which they then leave. */
static void let_others_begin(struct job *job) {
  job->cores[0].core = sched_getcpu();
  sched_yield();
}

/* Leave the core of a thread before this one. After a rest, Linux often wakes a thread on the core of the one that woke
 * it, where the two take turns at every barrier instead of working side by side.
 */
static void leave_shared_core(struct job *job, int64_t thread, int64_t threads) {
  const int core = sched_getcpu();
  int64_t other = 0;
  while (other < thread && job->cores[other].core != core) {
    ++other;
  }
  cpu_set_t allowed;
  if (other < thread && sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    cpu_set_t free = allowed;
    for (int64_t i = 0; i < threads; ++i) {
      if (i != thread && job->cores[i].core >= 0) {
        CPU_CLR(job->cores[i].core, &free);
      }
    }
    if (CPU_COUNT(&free) && sched_setaffinity(0, sizeof free, &free) == 0) {
      sched_setaffinity(0, sizeof allowed, &allowed);
    }
  }
  job->cores[thread].core = sched_getcpu();
}
#else
static void let_others_begin(struct job *job) { (void)job; }
static void leave_shared_core(struct job *job, int64_t thread, int64_t threads) {
  (void)job, (void)thread, (void)threads;
}
#endif

static void work_as(struct job *job, int64_t thread, int64_t threads) {
  float *const scratch = job->scratch + thread * job->scratch_each;
  const int timed = job->nanoseconds && thread == 0;
  const uint64_t denormals = flush_denormals();
  int64_t before = timed ? now() : 0;
  for (int64_t i = 0; i < job->count; ++i) {
    if (threads > 1 && !job->ops[i].joined) {
      if (i) {
        openmp.barrier();
      }
      if (threads <= MAX_TRACKED_THREADS) {
        leave_shared_core(job, thread, threads);
      }
    }
    job->isa->work(&job->ops[i], job->step, job->taken + i * (LINE / (int64_t)sizeof(int64_t)), scratch);
    if (timed) {
      const int64_t after = now();
      job->nanoseconds[i] += after - before;
      before = after;
    }
  }
  restore_denormals(denormals);
}

static void take_part(void *data) {
  struct job *const job = data;
  const int64_t thread = openmp.thread(), threads = openmp.threads();
  if (thread == 0) {
    job->threads = threads;
    let_others_begin(job);
  }
  work_as(job, thread, threads);
}

static const struct sast_isa *const INSTRUCTION_SETS[] = {
#if defined(__aarch64__)
    &sast_isa_neon,
#else
    &sast_isa_baseline,
#endif
#if defined(__x86_64__)
    &sast_isa_avx2,
    &sast_isa_avx512,
#endif
};

/* Number of instruction sets that this processor has, from the most common to the fastest. */
int32_t sast_instruction_sets(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    const int wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return wide ? 3 : 2;
  }
#endif
  return 1;
}

/* Whether an instruction set has products of bfloat16 on this processor. */
int32_t sast_has_bfloat16(int32_t set) {
#if defined(__x86_64__)
  return INSTRUCTION_SETS[set] == &sast_isa_avx512 && __builtin_cpu_supports("avx512bf16");
#else
  return (void)set, 0;
#endif
}

/* Name of an instruction set, with its end; name: uint8[16]. */
void sast_instruction_set_name(int32_t set, uint8_t *name) { strncpy((char *)name, INSTRUCTION_SETS[set]->name, 16); }

/* Columns of a panel of packed weights. */
int64_t sast_panel(int32_t set) { return INSTRUCTION_SETS[set]->panel; }

/* Floats that each thread needs for these operations. */
int64_t sast_network_scratch(int32_t set, const struct sast_op *ops, int64_t count) {
  int64_t most = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t needed = INSTRUCTION_SETS[set]->scratch(&ops[i]);
    most = needed > most ? needed : most;
  }
  return (most + LINE - 1) / LINE * LINE;
}

/* Advance by one window with up to so many threads; return how many took part.
 *
 * scratch: float32[threads][scratch_each]; taken: int64[count][8]; nanoseconds: int64[count] or null, to which the time
 * of each operation is added.
 */
int64_t sast_network_run(int32_t set, const struct sast_op *ops, int64_t count, const struct sast_step *step,
                         int64_t threads, float *scratch, int64_t scratch_each, int64_t *taken, int64_t *nanoseconds) {
  struct job job = {INSTRUCTION_SETS[set],    ops,         count, step, scratch, scratch_each,
                    (_Atomic int64_t *)taken, nanoseconds, 1,     {{0}}};
  memset(taken, 0, (size_t)count * LINE);
  for (int i = 0; i < MAX_TRACKED_THREADS; ++i) {
    job.cores[i].core = -1;
  }
  if (threads > 1 && find_openmp()) {
    openmp.parallel(take_part, &job, (unsigned)threads, 0);
  } else {
    work_as(&job, 0, 1);
  }
  return job.threads;
}
