// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* Every function that Python calls, declared once: the compiler checks the definitions against this file, and
 * sast_ros/kernels/__init__.py reads it for the types of the arguments. */
#ifndef SAST_ROS_KERNELS_H
#define SAST_ROS_KERNELS_H

#include <stdint.h>

/* decode.c */
void sast_event_array(const uint8_t *message, int64_t offset, int64_t count, uint16_t *x, uint16_t *y, uint8_t *p,
                      int64_t *t);
int64_t sast_check_events(uint16_t *x, uint16_t *y, uint8_t *p, int64_t *t, int64_t count, uint32_t width,
                          uint32_t height, int64_t *result);
void sast_mono(const uint8_t *words, int64_t count, uint64_t time_base, uint16_t *x, uint16_t *y, uint8_t *p,
               int64_t *t);
int64_t sast_libcaer(const uint8_t *words, int64_t count, int64_t base, uint16_t *x, uint16_t *y, uint8_t *p,
                     int64_t *t);
int64_t sast_libcaer_cmp_count(const uint8_t *words, int64_t count);
int64_t sast_libcaer_cmp(const uint8_t *words, int64_t count, int64_t base, uint16_t *x, uint16_t *y, uint8_t *p,
                         int64_t *t, int64_t *dropped);
void sast_dat(const uint8_t *records, int64_t count, int32_t version, int64_t *clock, uint16_t *x, uint16_t *y,
              uint8_t *p, int64_t *t);
void sast_continue_counts(const int64_t *counts, int64_t count, int64_t *clock, int64_t *times);

/* evt.c */
struct evt_state;
int64_t sast_evt3_count(const uint8_t *words, int64_t count);
int64_t sast_evt3(const uint8_t *words, int64_t count, struct evt_state *state, uint16_t *x, uint16_t *y, uint8_t *p,
                  int64_t *t);
int64_t sast_evt2(const uint8_t *words, int64_t count, struct evt_state *state, uint16_t *x, uint16_t *y, uint8_t *p,
                  int64_t *t);
int64_t sast_evt21_count(const uint8_t *words, int64_t count, int32_t high_first);
int64_t sast_evt21(const uint8_t *words, int64_t count, int32_t high_first, struct evt_state *state, uint16_t *x,
                   uint16_t *y, uint8_t *p, int64_t *t);

/* files.c */
void sast_aedat4(const uint8_t *events, int64_t count, uint16_t *x, uint16_t *y, uint8_t *p, int64_t *t);
int64_t sast_event_stream(const uint8_t *bytes, int64_t length, int64_t *time, int64_t *used, uint16_t *x, uint16_t *y,
                          uint8_t *p, int64_t *t);
int64_t sast_text(const uint8_t *text, int64_t length, const int32_t *fields, int64_t columns, int32_t shift,
                  int32_t *x, int32_t *y, uint8_t *p, int64_t *t, int64_t *result);

/* filters.c */
void sast_compact(const uint16_t *x, const uint16_t *y, const uint8_t *p, const int64_t *t, const uint8_t *keep,
                  int64_t count, uint16_t *kept_x, uint16_t *kept_y, uint8_t *kept_p, int64_t *kept_t);
int64_t sast_filter_mask(const uint16_t *x, const uint16_t *y, int64_t count, const uint8_t *mask, int32_t width,
                         uint8_t *keep);
int64_t sast_filter_background(const uint16_t *x, const uint16_t *y, const int64_t *t, int64_t count, int64_t begin,
                               int64_t span, int32_t width, uint64_t *last, uint8_t *keep);
int64_t sast_filter_hot_pixel(const uint16_t *x, const uint16_t *y, const int64_t *t, int64_t count, int64_t period,
                              int32_t minimum, int32_t periods, int32_t width, int32_t height, int64_t *begin,
                              uint16_t *counts, uint8_t *hot, uint8_t *keep);

/* encode.c */
int64_t sast_evt3_words(const uint16_t *x, const uint16_t *y, const uint8_t *p, const int64_t *t, int64_t count,
                        int64_t previous, int64_t limit, int64_t capacity, uint16_t *words);
int64_t sast_text_lines(const uint16_t *x, const uint16_t *y, const uint8_t *p, const int64_t *t, int64_t count,
                        int32_t separator, uint8_t *text);

/* histogram.c */
int64_t sast_histogram_add(const uint16_t *x, const uint16_t *y, const uint8_t *p, const int64_t *t, int64_t count,
                           int64_t t0, const int64_t *edges, int32_t bins, const int32_t *column, int32_t width,
                           const int32_t *row, int32_t height, int64_t columns, int64_t rows, int32_t saturate,
                           uint8_t *cells);

/* boxes.c */
int64_t sast_candidates(const float *head, int64_t height, int64_t width, int64_t columns, float threshold, float *rows,
                        int64_t *classes);
void sast_nms(const float *boxes, const int64_t *classes, int64_t count, float iou, uint8_t *alive);

/* assign.c */
int64_t sast_assign(const double *weights, int64_t rows, int64_t columns, double *values, int64_t *links,
                    int64_t *row_of);

/* engine/team.c */
struct sast_op;
struct sast_step;
int32_t sast_instruction_sets(void);
int32_t sast_has_bfloat16(int32_t set);
void sast_instruction_set_name(int32_t set, uint8_t *name);
int64_t sast_panel(int32_t set);
int64_t sast_network_scratch(int32_t set, const struct sast_op *ops, int64_t count);
int64_t sast_network_run(int32_t set, const struct sast_op *ops, int64_t count, const struct sast_step *step,
                         int64_t threads, float *scratch, int64_t scratch_each, int64_t *taken, int64_t *nanoseconds);

/* picture.c */
int64_t sast_picture_count(const uint16_t *x, const uint16_t *y, const uint8_t *p, int64_t n, int32_t width,
                           int32_t height, uint8_t *cells);
void sast_picture_colour(const uint8_t *cells, int32_t width, int32_t height, int32_t scale, const uint8_t *table,
                         const uint8_t *kinds, int32_t columns, int32_t side, uint8_t *rgb);

#endif
