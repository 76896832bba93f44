// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* Fuzz the loops that decode, without Python: millions of inputs a minute under sanitizers (make fuzz).
 *
 *     loops EXECUTIONS SEED [LOOP [SESSION]]
 *
 * Inputs and results are allocated with exactly the size that the declaration of the loop asks for, so that
 * AddressSanitizer finds every access outside. A session is a few inputs with one state; loop, seed and number of the
 * session in work are printed where a sanitizer ends the process.
 */
#include "../../sast_ros/kernels/kernels.h"

#include <inttypes.h>
#include <sanitizer/common_interface_defs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_WORDS 4096
#define ROOM 8
enum { KNOWN = 2, UNPLACED = 8, STATE = 16 }; /* of struct evt_state; its size is less */

static const char *loop_name;
static int64_t seed, session;

static void print_position(void) {
  fprintf(stderr, "loop %s, seed %" PRId64 ", session %" PRId64 "\n", loop_name, seed, session);
}

static void require(int holds, const char *rule) {
  if (holds)
    return;
  fprintf(stderr, "broken promise: %s\n", rule);
  print_position();
  exit(3);
}

/* ---------------------------------------------------------------- random numbers (xorshift64*) */

static uint64_t random_state;

static uint64_t next64(void) {
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return random_state * 0x2545F4914F6CDD1DULL;
}

static uint32_t below(uint32_t limit) { return (uint32_t)((next64() >> 32) * limit >> 32); }

static void begin_session(uint64_t salt) {
  random_state = (uint64_t)seed * 0x9E3779B97F4A7C15ULL ^ salt << 48 ^ (uint64_t)session;
  for (int i = 0; i < 8; ++i)
    random_state = next64() | (random_state == 0);
}

static void *exactly(size_t size) {
  void *memory = malloc(size);
  if (memory == NULL)
    abort();
  return memory;
}

/* ---------------------------------------------------------------- inputs */

/* Words of `size` bytes whose upper 4 bits, in byte `kind_at`, are mostly one of `kinds`. */
static uint8_t *make_words(int64_t *count, int size, int kind_at, const char *kinds) {
  static const uint16_t LENGTHS[12] = {0, 1, 2, 3, 7, 8, 9, 16, 40, 100, 400, MAX_WORDS};
  const uint32_t roll = below(100);
  *count = LENGTHS[below(roll < 90 ? 10 : 12)] + below(3);
  if (*count > MAX_WORDS)
    *count = MAX_WORDS;
  uint8_t *words = exactly((size_t)(*count * size));
  for (int64_t i = 0; i < *count * size; ++i)
    words[i] = (uint8_t)(next64() >> 56);
  if (kinds == NULL || roll < 10)
    return words;
  const size_t kind_count = strlen(kinds);
  const uint32_t repeated = below(8);
  for (int64_t i = 0; i < *count; ++i) {
    const char kind = kinds[below((uint32_t)kind_count)];
    uint8_t *at = words + i * size + kind_at;
    *at = (uint8_t)((kind <= '9' ? kind - '0' : kind - 'A' + 10) << 4 | (*at & 15));
    if (i && repeated == 0) /* one word again and again */
      memcpy(words + i * size, words + (i - 1) * size, (size_t)size);
    else if (i && repeated == 1) /* dense vectors */
      memset(words + i * size, 0xFF, (size_t)(size - 1));
  }
  return words;
}

static uint8_t *make_bytes(int64_t length) {
  uint8_t *bytes = exactly((size_t)length);
  const uint32_t high = below(3);
  for (int64_t i = 0; i < length; ++i)
    bytes[i] = (uint8_t)(high == 0 && below(3) ? 0xFD + below(3) : next64() >> 56);
  return bytes;
}

/* ---------------------------------------------------------------- results */

struct events {
  int64_t capacity;
  uint16_t *x, *y;
  uint8_t *p;
  int64_t *t;
};

static struct events make_events(int64_t capacity) {
  const size_t n = (size_t)capacity;
  return (struct events){capacity, exactly(2 * n), exactly(2 * n), exactly(n), exactly(8 * n)};
}

static int64_t total_events;

/* What every decoder ends with, and its promises. */
static void check_events(struct events e, int64_t count) {
  static const uint32_t SIDES[6] = {1, 48, 640, 1280, 2048, 8192};
  const uint32_t width = SIDES[below(6)], height = SIDES[below(6)];
  int64_t result[4], behind = 0;
  require(count >= 0 && count <= e.capacity, "no more events than there is room for");
  const int64_t kept = sast_check_events(e.x, e.y, e.p, e.t, count, width, height, result);
  require(kept >= 0 && result[0] >= 0 && result[1] >= 0 && kept + result[0] + result[1] == count, "counts add up");
  for (int64_t i = 0; i < kept; ++i) {
    require(e.x[i] < width && e.y[i] < height && e.p[i] <= 1, "valid events");
    behind |= i && e.t[i] < e.t[i - 1];
  }
  require((result[2] > 0) == behind, "steps back of time are found");
  total_events += count;
  free(e.x);
  free(e.y);
  free(e.p);
  free(e.t);
}

/* ---------------------------------------------------------------- the loops */

static int64_t state[STATE];

/* Between two packets: as it is, packets lost, or a new stream. */
static struct evt_state *next_state(int64_t packet) {
  const uint32_t roll = below(10);
  if (packet == 0 || roll == 0)
    memset(state, 0, sizeof state);
  if (roll == 1) {
    state[KNOWN] = 0;
    state[0] += below(1000000000);
    state[1] = state[0];
  }
  return (struct evt_state *)state;
}

static int64_t take_unplaced(void) {
  const int64_t unplaced = state[UNPLACED];
  state[UNPLACED] = 0;
  return unplaced;
}

static void fuzz_evt3(int64_t packet) {
  int64_t count, wanted = 0;
  uint8_t *words = make_words(&count, 2, 1, "0222344566688AE7");
  struct evt_state *s = next_state(packet);
  struct events e = make_events(sast_evt3_count(words, count) + ROOM);
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t word = words[2 * i] | words[2 * i + 1] << 8, kind = word >> 12;
    wanted += kind == 2   ? 1
              : kind == 4 ? __builtin_popcount(word & 0xFFF)
              : kind == 5 ? __builtin_popcount(word & 0xFF)
                          : 0;
  }
  const int64_t n = sast_evt3(words, count, s, e.x, e.y, e.p, e.t);
  require(n + take_unplaced() == wanted, "every event of EVT 3.0 is placed or counted");
  check_events(e, n);
  free(words);
}

static void fuzz_evt2(int64_t packet) {
  int64_t count, wanted = 0;
  uint8_t *words = make_words(&count, 4, 3, "01010101888AEF50");
  struct evt_state *s = next_state(packet);
  struct events e = make_events(count + ROOM);
  for (int64_t i = 0; i < count; ++i)
    wanted += words[4 * i + 3] >> 4 < 2;
  const int64_t n = sast_evt2(words, count, s, e.x, e.y, e.p, e.t);
  require(n + take_unplaced() == wanted, "every event of EVT 2.0 is placed or counted");
  check_events(e, n);
  free(words);
}

static void fuzz_evt21(int64_t packet) {
  int64_t count;
  const int32_t high_first = (int32_t)below(2);
  uint8_t *words = make_words(&count, 8, high_first ? 3 : 7, "01010101888AEF50");
  struct evt_state *s = next_state(packet);
  const int64_t wanted = sast_evt21_count(words, count, high_first);
  struct events e = make_events(wanted + ROOM);
  const int64_t n = sast_evt21(words, count, high_first, s, e.x, e.y, e.p, e.t);
  require(n + take_unplaced() == wanted, "every event of EVT 2.1 is placed or counted");
  check_events(e, n);
  free(words);
}

/* A loop whose words stand for themselves: what it gives for random ones. */
#define FUZZ_WORDS(name, size, decoded)                                                                                \
  static void name(int64_t packet) {                                                                                   \
    int64_t count;                                                                                                     \
    (void)packet;                                                                                                      \
    uint8_t *words = make_words(&count, size, 0, NULL);                                                                \
    struct events e = make_events(count);                                                                              \
    check_events(e, decoded);                                                                                          \
    free(words);                                                                                                       \
  }

FUZZ_WORDS(fuzz_libcaer, 8, sast_libcaer(words, count, (int64_t)(next64() >> below(64)) / 1000, e.x, e.y, e.p, e.t))
FUZZ_WORDS(fuzz_mono, 8, (sast_mono(words, count, next64() >> below(64), e.x, e.y, e.p, e.t), count))
FUZZ_WORDS(fuzz_aedat4, 16, (sast_aedat4(words, count, e.x, e.y, e.p, e.t), count))

static void fuzz_libcaer_cmp(int64_t packet) {
  int64_t count, dropped;
  (void)packet;
  uint8_t *words = make_words(&count, 2, 1, "0112233344555510");
  const int64_t wanted = sast_libcaer_cmp_count(words, count), base = (int64_t)(next64() >> below(64)) / 1000;
  if (wanted >= 0) {
    struct events e = make_events(wanted);
    const int64_t n = sast_libcaer_cmp(words, count, base, e.x, e.y, e.p, e.t, &dropped);
    require(n + dropped == wanted, "every event of libcaer_cmp is placed or counted");
    check_events(e, n);
  } else {
    require(-1 - wanted < count && words[2 * (-1 - wanted) + 1] >> 4 > 5, "the undefined word is named");
  }
  free(words);
}

static void fuzz_dat(int64_t packet) {
  static int64_t clock[4];
  int64_t count;
  uint8_t *words = make_words(&count, 8, 7, "0000000111111112");
  struct events e = make_events(count);
  if (packet == 0)
    memset(clock, 0, sizeof clock);
  sast_dat(words, count, 1 + (int32_t)below(2), clock, e.x, e.y, e.p, e.t);
  check_events(e, count);
  free(words);
}

static void fuzz_event_array(int64_t packet) {
  const int64_t count = 1 + below(below(10) ? 40 : 2000), offset = below(64);
  (void)packet;
  uint8_t *message = make_bytes(offset + 16 * count - 3);
  for (int64_t i = 0; i < count; ++i)
    if (below(8)) {
      message[offset + 16 * i + 11] &= 0x3F; /* below one second, mostly */
      message[offset + 16 * i + 12] &= 1;
    }
  struct events e = make_events(count);
  sast_event_array(message, offset, count, e.x, e.y, e.p, e.t);
  check_events(e, count);
  free(message);
}

static void fuzz_event_stream(int64_t packet) {
  static int64_t time;
  const int64_t length = below(below(10) ? 100 : 20000);
  int64_t used = 0;
  uint8_t *bytes = make_bytes(length);
  struct events e = make_events(length / 5);
  if (packet == 0)
    time = 0;
  const int64_t n = sast_event_stream(bytes, length, &time, &used, e.x, e.y, e.p, e.t);
  require(used >= 5 * n && used <= length && length - used < 5, "all bytes but an incomplete event are used");
  check_events(e, n);
  free(bytes);
}

static void fuzz_text(int64_t packet) {
  static const char *const TOKENS[] = {"0",           "1",
                                       "-1",          "12",
                                       "0.5",         ".",
                                       "-",           "+",
                                       "e",           "E-3",
                                       "1e9",         "9e99",
                                       "nan",         "1234567890123456789",
                                       "0.000000001", "true",
                                       "False",       "trux",
                                       "#",           "%",
                                       "\"",          "99999999999999999999999",
                                       "1e-400",      "-0",
                                       "\r",          "1e",
                                       "65535",       "x"};
  static const char BLANKS[] = "    \t,;\n\n\n\n";
  const int32_t columns = (int32_t)(4 + below(3)), shift = (int32_t)below(13) - 6;
  int32_t fields[6] = {0, 1, 2, 3, -1, -1};
  int64_t length = 0, lines = 0, result[5];
  char text[4096];
  (void)packet;
  for (int i = columns - 1; i > 0; --i) {
    const uint32_t j = below((uint32_t)i + 1);
    const int32_t other = fields[j];
    fields[j] = fields[i];
    fields[i] = other;
  }
  const uint32_t size = below(below(4) ? 100 : 4000), wild = below(3);
  int32_t column = 0;
  while (length < size) {
    const char *token = TOKENS[below(wild ? 28 : 3)];
    char blank = BLANKS[below(sizeof BLANKS - 1)];
    if (wild < 2 && below(10)) { /* lines with the right number of columns */
      blank = ++column == columns ? '\n' : ' ';
      column %= columns;
    }
    length += sprintf(text + length, "%s%c", token, blank);
  }
  if (length && text[length - 1] != '\n')
    text[length++] = '\n';
  uint8_t *exact = exactly((size_t)length);
  memcpy(exact, text, (size_t)length);
  for (int64_t i = 0; i < length; ++i)
    lines += exact[i] == '\n';
  int32_t *x = exactly(4 * (size_t)lines), *y = exactly(4 * (size_t)lines), *given = exactly(4 * (size_t)columns);
  memcpy(given, fields, 4 * (size_t)columns);
  struct events e = make_events(lines);
  const int64_t n = sast_text(exact, length, given, columns, shift, x, y, e.p, e.t, result);
  require(n >= 0 && n <= lines && result[0] >= 0 && result[0] <= n, "one event a line");
  require(!result[0] || (result[3] && result[1] >= 0 && result[1] < length && result[2] < lines), "a wrong line");
  for (int64_t i = 0; i < n; ++i) {
    e.x[i] = (uint16_t)x[i];
    e.y[i] = (uint16_t)y[i];
  }
  check_events(e, n);
  free(given);
  free(x);
  free(y);
  free(exact);
}

static const struct {
  const char *name;
  void (*fuzz)(int64_t packet);
  double share;
} LOOPS[] = {
    {"evt3", fuzz_evt3, 2},
    {"evt2", fuzz_evt2, 1},
    {"evt21", fuzz_evt21, 1},
    {"libcaer", fuzz_libcaer, 1},
    {"libcaer_cmp", fuzz_libcaer_cmp, 1},
    {"mono", fuzz_mono, 1},
    {"dat", fuzz_dat, 1},
    {"event_array", fuzz_event_array, 1},
    {"aedat4", fuzz_aedat4, 0.5},
    {"event_stream", fuzz_event_stream, 1},
    {"text", fuzz_text, 1.5},
};

static double processor_time(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int main(int argc, char **argv) {
  const double executions = argc > 1 ? atof(argv[1]) : 1e6;
  double shares = 0;
  seed = argc > 2 ? atoll(argv[2]) : 1;
  __sanitizer_set_death_callback(print_position);
  printf("| loop | executions | million events | slowest, ms |\n|---|---|---|---|\n");
  for (size_t i = 0; i < sizeof LOOPS / sizeof *LOOPS; ++i)
    shares += LOOPS[i].share;
  for (size_t i = 0; i < sizeof LOOPS / sizeof *LOOPS; ++i) {
    int64_t done = 0;
    double slowest = 0;
    if (argc > 3 && strcmp(argv[3], LOOPS[i].name) != 0)
      continue;
    loop_name = LOOPS[i].name;
    total_events = 0;
    const int64_t wanted = (int64_t)(argc > 3 ? executions : executions * LOOPS[i].share / shares);
    for (session = argc > 4 ? atoll(argv[4]) : 0; done < wanted; ++session) {
      begin_session(i + 1);
      const int64_t packets = 1 + below(8);
      for (int64_t packet = 0; packet < packets; ++packet) {
        const double begin = processor_time();
        LOOPS[i].fuzz(packet);
        const double seconds = processor_time() - begin;
        slowest = seconds > slowest ? seconds : slowest;
      }
      done += packets;
    }
    printf("| %s | %" PRId64 " | %.1f | %.1f |\n", loop_name, done, 1e-6 * (double)total_events, 1e3 * slowest);
    fflush(stdout);
  }
  return 0;
}
