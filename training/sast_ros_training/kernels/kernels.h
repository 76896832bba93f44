// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* Every function that Python calls, declared once: see sast_ros/kernels/kernels.h. */
#ifndef SAST_ROS_TRAINING_KERNELS_H
#define SAST_ROS_TRAINING_KERNELS_H

#include <stdint.h>

/* camera.c */
struct event;
void sast_camera_log(const float *luminance, int64_t count, float dark, float *out);
void sast_camera_blur(const float *in, int64_t height, int64_t width, float centre, float *rows, float *out);
int64_t sast_camera_advance(const float *luminance, int64_t height, int64_t width, int64_t row, float dark, float rate,
                            float floor, float drift, int32_t span, float refractory, const float *on, const float *off,
                            float *photoreceptor, float *level, float *hold, struct event *events, int64_t *count,
                            int64_t capacity);
void sast_camera_noise_tables(double *scaled, int32_t count, float *share, int32_t *other, int32_t *order);
double sast_camera_noisiness(const float *photoreceptor, int64_t pixels, float slope);
void sast_camera_noise(const float *share, const int32_t *other, const uint8_t *on_share, const float *photoreceptor,
                       int64_t pixels, int64_t width, double interval, float slope, float scale, int32_t span,
                       uint64_t *state, double *next, struct event *events, int64_t *count, int64_t capacity);
int64_t sast_camera_sort(const struct event *events, int64_t count, int64_t start, int32_t span, double limit,
                         int64_t *of_row, int64_t rows, uint64_t *state, int32_t *table, const uint8_t *owners_now,
                         const uint8_t *owners_before, int64_t width, int64_t *by_owner, uint16_t *x, uint16_t *y,
                         uint8_t *p, int64_t *t);

/* render.c */
struct picture;
int32_t sast_render_draw(struct picture *p, int64_t vertex_count, const int32_t *triangles, int64_t triangle_count,
                         const float *albedo, const float *emission, const int16_t *texture, const float *uv,
                         int32_t owner);
int32_t sast_render_shade(struct picture *p, int64_t vertex_count, const int32_t *triangles, int64_t triangle_count);
void sast_render_clear(struct picture *p, float sky);
void sast_render_finish(struct picture *p);
void sast_render_keep(struct picture *p);
void sast_render_restore(struct picture *p);
void sast_render_visible(const struct picture *p, int64_t *counts);
int64_t sast_render_covered(struct picture *p, int64_t vertex_count, const int32_t *triangles, int64_t triangle_count);
int32_t sast_render_box(struct picture *p, int64_t vertex_count, double *box);

/* sparse.c */
int64_t sast_scatter_counts(const uint32_t *index, const uint8_t *count, int64_t entries, int32_t channels,
                            int32_t height, int32_t width, const int32_t *row, const int32_t *column, int32_t shift,
                            int64_t planes, int64_t plane_height, int64_t plane_width, uint8_t *cells);

#endif
