// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* Events of AEDAT 4.0 and Event Stream files, and of text, to structures of arrays. */
#include "bytes.h"
#include "kernels.h"
#include "multiversion.h"
#include <stddef.h>

/* ---------------------------------------------------------------- AEDAT 4.0 */

/* Structs Event of the flatbuffer EventPacket: {int64 t; int16 x, y; bool on; 3 bytes of padding}. */
MULTIVERSIONED
void sast_aedat4(const uint8_t *restrict events, int64_t count, uint16_t *restrict x, uint16_t *restrict y,
                 uint8_t *restrict p, int64_t *restrict t) {
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t rest = load64(events + 16 * i + 8);
    t[i] = (int64_t)load64(events + 16 * i);
    x[i] = (uint16_t)rest;
    y[i] = (uint16_t)(rest >> 16);
    p[i] = (rest >> 32 & 0xFF) != 0;
  }
}

/* ---------------------------------------------------------------- Event Stream */

enum { ES_EVENT = 5, ES_RESET = 0xFE, ES_OVERFLOW = 0xFF, ES_PERIOD = 0x7F };

/* DVS events of Event Stream 2. `time` goes on from call to call; `used` is set to the bytes before an incomplete
 * event at the end. Returns the number of events. */
int64_t sast_event_stream(const uint8_t *restrict bytes, int64_t length, int64_t *time, int64_t *used,
                          uint16_t *restrict x, uint16_t *restrict y, uint8_t *restrict p, int64_t *restrict t) {
  int64_t n = 0, i = 0, now = *time;
  while (i < length) {
    const uint8_t first = bytes[i];
    if (first >= ES_RESET) {
      now += first == ES_OVERFLOW ? ES_PERIOD : 0;
      ++i;
      continue;
    }
    if (length - i < ES_EVENT)
      break;
    now += first >> 1;
    p[n] = first & 1;
    x[n] = load16(bytes + i + 1);
    y[n] = load16(bytes + i + 3);
    t[n++] = now;
    i += ES_EVENT;
  }
  *time = now;
  *used = i;
  return n;
}

/* ---------------------------------------------------------------- text */

enum { X, Y, P, T, SKIPPED = -1 };
enum { TEXT_OK, TEXT_NO_NUMBER, TEXT_TOO_FEW, TEXT_TOO_MANY, TEXT_FRACTION, TEXT_RANGE, TEXT_POLARITY };

/* Polarity of an event that is none. */
#define INVALID 2

#define MAX_TIME ((uint64_t)1 << 62)

static const uint64_t POWERS[20] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,
                                    1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19};

/* sign * mantissa * 10^exponent */
struct decimal {
  uint64_t mantissa;
  int64_t exponent;
  int negative;
};

static inline int is_digit(uint8_t c) { return (uint8_t)(c - '0') < 10; }

static inline int is_blank(uint8_t c) { return c == ' ' || c == '\t' || c == ',' || c == ';' || c == '\r' || c == '"'; }

/* Read a number; returns the byte after it, NULL if there is none. Digits after the 18th do not count. */
static const uint8_t *read_decimal(const uint8_t *s, struct decimal *value) {
  uint64_t mantissa = 0;
  int64_t exponent = 0, digits = 0;
  value->negative = *s == '-';
  s += *s == '-' || *s == '+';
  for (; is_digit(*s); ++s, ++digits) {
    if (mantissa < POWERS[17])
      mantissa = mantissa * 10 + (uint64_t)(*s - '0');
    else
      ++exponent;
  }
  if (*s == '.') {
    for (++s; is_digit(*s); ++s, ++digits) {
      if (mantissa < POWERS[17]) {
        mantissa = mantissa * 10 + (uint64_t)(*s - '0');
        --exponent;
      }
    }
  }
  if (digits == 0)
    return NULL;
  if (*s == 'e' || *s == 'E') {
    const int down = s[1] == '-';
    int64_t power = 0;
    s += s[1] == '-' || s[1] == '+' ? 2 : 1;
    if (!is_digit(*s))
      return NULL;
    for (; is_digit(*s); ++s)
      if (power < 100000)
        power = power * 10 + (*s - '0');
    exponent += down ? -power : power;
  }
  value->mantissa = mantissa;
  value->exponent = exponent;
  return s;
}

/* Whole value of a decimal, -1 for what is below 0 or above 32 bits; *whole is set to 0 if it has a fraction. */
static int32_t whole_number(const struct decimal *value, int *whole) {
  uint64_t number = value->mantissa;
  *whole = 1;
  if (number == 0)
    return 0;
  if (value->exponent < 0) {
    const uint64_t power = value->exponent < -19 ? 0 : POWERS[-value->exponent];
    if (power == 0 || number % power) {
      *whole = 0;
      return 0;
    }
    number /= power;
  } else if (value->exponent > 0) {
    if (value->exponent > 9 || number > INT32_MAX)
      return -1;
    number *= POWERS[value->exponent];
  }
  return value->negative || number > INT32_MAX ? -1 : (int32_t)number;
}

/* Value * 10^shift, to the nearest integer where the shift is positive, else downwards; returns 0 out of range. */
static int scale_time(const struct decimal *value, int32_t shift, int64_t *time) {
  const int64_t exponent = value->exponent + shift;
  uint64_t number = value->mantissa;
  if (number != 0 && exponent > 0) {
    if (exponent > 19 || number > MAX_TIME / POWERS[exponent])
      return 0;
    number *= POWERS[exponent];
  } else if (exponent < 0) {
    const uint64_t power = exponent < -19 ? 0 : POWERS[-exponent];
    const int up = shift > 0 || (shift < 0 && value->negative);
    const uint64_t add = !up ? 0 : shift > 0 ? power / 2 : power - 1;
    number = power ? (number + add) / power : shift < 0 && value->negative && number;
  }
  if (number > MAX_TIME)
    return 0;
  *time = value->negative ? -(int64_t)number : (int64_t)number;
  return 1;
}

/* Polarity 0 or 1 of -1, 0, 1, true and false. */
static const uint8_t *read_polarity(const uint8_t *s, uint8_t *polarity, int *error) {
  static const char *const WORDS[2] = {"false", "true"};
  struct decimal value;
  int whole;
  for (int word = 0; word < 2; ++word) {
    const char *name = WORDS[word];
    int64_t i = 0;
    while (name[i] && (s[i] | 0x20) == (uint8_t)name[i])
      ++i;
    if (!name[i]) {
      *polarity = (uint8_t)word;
      return s + i;
    }
  }
  s = read_decimal(s, &value);
  if (s == NULL)
    return NULL;
  const int negative = value.negative;
  value.negative = 0;
  const int32_t number = whole_number(&value, &whole);
  if (!whole)
    *error = TEXT_FRACTION;
  else if (number != 0 && number != 1)
    *error = TEXT_POLARITY;
  *polarity = number == 1 && !negative;
  return s;
}

/* Read one field; returns the byte after it. */
static const uint8_t *read_field(const uint8_t *s, int32_t field, int32_t shift, int32_t *x, int32_t *y, uint8_t *p,
                                 int64_t *t, int *error) {
  struct decimal value;
  if (field == SKIPPED) {
    while (*s != '\n' && !is_blank(*s))
      ++s;
    return s;
  }
  const uint8_t *end = field == P ? read_polarity(s, p, error) : read_decimal(s, &value);
  if (end == NULL || (*end != '\n' && !is_blank(*end))) {
    *error = TEXT_NO_NUMBER;
    return s;
  }
  if (field == T) {
    if (!scale_time(&value, shift, t))
      *error = TEXT_RANGE;
  } else if (field != P) {
    int whole;
    *(field == X ? x : y) = whole_number(&value, &whole);
    if (!whole)
      *error = TEXT_FRACTION;
  }
  return end;
}

/* Read the columns of one line; returns the byte after what was read of it. Sets `column` to the number of columns. */
static const uint8_t *read_line(const uint8_t *s, const int32_t *fields, int64_t columns, int32_t shift, int32_t *x,
                                int32_t *y, uint8_t *p, int64_t *t, int64_t *column, int *error) {
  while (is_blank(*s))
    ++s;
  if (*s == '#' || *s == '%')
    return s;
  while (*s != '\n') {
    if (*column == columns) {
      *error = TEXT_TOO_MANY;
      return s;
    }
    s = read_field(s, fields[*column], shift, x, y, p, t, error);
    if (*error != TEXT_OK)
      return s;
    ++*column;
    while (is_blank(*s))
      ++s;
  }
  if (*column > 0 && *column < columns)
    *error = TEXT_TOO_FEW;
  return s;
}

/* Events of whole lines of text, the last byte of which is a line feed: one event a line, but for blank lines and
 * those that begin with # or %. `fields` has the field of each column, X to T or SKIPPED; times are multiplied by
 * 10^shift. There is room for one event a line. A wrong line is an event with the polarity INVALID. Sets result to
 * {wrong lines, and of the first of them: its byte, its number from 0, error (TEXT_*), column of the error}, and
 * returns the number of events. */
int64_t sast_text(const uint8_t *text, int64_t length, const int32_t *fields, int64_t columns, int32_t shift,
                  int32_t *x, int32_t *y, uint8_t *p, int64_t *t, int64_t *result) {
  const uint8_t *s = text, *const end = text + length;
  int64_t n = 0, wrong = 0;
  for (int64_t line = 0; s < end; ++line) {
    const uint8_t *const start = s;
    int64_t column = 0;
    int error = TEXT_OK;
    s = read_line(s, fields, columns, shift, x + n, y + n, p + n, t + n, &column, &error);
    while (*s != '\n')
      ++s;
    ++s;
    if (error != TEXT_OK) {
      if (wrong++ == 0) {
        result[1] = start - text;
        result[2] = line;
        result[3] = error;
        result[4] = column;
      }
      x[n] = y[n] = 0;
      p[n] = INVALID;
      t[n] = 0;
      ++n;
    } else {
      n += column > 0;
    }
  }
  result[0] = wrong;
  return n;
}
