// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
/* Triangles to a picture: the loops of simulation/renderer.py.
 *
 * The picture has four samples a pixel on a rotated grid: a sample row for every quarter of a pixel, and in each a sample
 * per column, at the offsets `sample_x`. So near-vertical and near-horizontal edges both move through a pixel in four
 * steps. A sample holds the inverse depth (1/z, 0 = nothing drawn) and the number of the triangle it shows; the triangle's
 * record holds what shading needs, as planes over the picture. Shading comes last and once per pixel and triangle.
 *
 * The arithmetic must not depend on the instruction set: no contraction to fused multiply-add, no reassociation. Geometry
 * is computed in double precision, what is done per sample or per pixel in single precision.
 */
#include "kernels.h"
#include "multiversion.h"

#include <math.h>
#include <string.h>

#pragma GCC optimize("no-trapping-math", "fp-contract=off")
#define INLINED static inline __attribute__((always_inline))

#define NEAR 0.1           /* metres; nearer than that is clipped away */
#define LANES 16           /* samples or pixels handled together; rows are padded to a multiple */
#define SHADOW 0x80000000u /* bit of a sample's triangle number: the sun does not reach it */
#define NUMBER 0x7fffffffu
#define GROUND_TOLERANCE 0.03 /* metres from z = 0 within which a surface receives ground shadows */
#define ROWS 8                /* sample rows, or triangles, handled together; what goes beyond the last is not used */
#define PIECES 64             /* triangles prepared together; a multiple of ROWS */
#define LOOKUPS 512           /* texture look-ups done together at most; a multiple of LANES */

static const double sample_x[4] = {0.375, 0.875, 0.125, 0.625};

/* A texture, repeated to a square of side 2^log_size; a unit of u and v is `tile` texels. Its mip levels lie one behind the other in the picture's `texels` from `base`, the
 * coarsest first. A texel is two halves, this row's value and, above it, the next row's; each row has its first texel once
 * more at its end, so that one load of two texels finds four neighbours. Values are to be multiplied with `scale`. */
struct texture {
  int32_t log_size, base;
  float scale, tile[2];
};

/* A drawn triangle. Planes are (value at the picture's origin, per column, per row); u and v are in texels of level 0 and
 * divided by z. */
struct record {
  float w[3], w_low;
  float u[3], lit;
  float v[3], shadowed;
  int32_t texture; /* -1: none */
  int32_t unused[3];
};
_Static_assert(sizeof(struct record) == 64 && sizeof(struct texture) == 20, "renderer.py allocates them");

/* Mirrors _Picture in renderer.py. */
struct picture {
  int64_t height, width, stride, blocks; /* stride: samples a row; blocks: stride / LANES */
  double focal;
  double camera[12]; /* world to camera, row-major 3 x 4 */
  double body[12];   /* body to world, of the vertices */
  double sun[3];
  double sun_strength, ambient;
  int64_t count, kept_count; /* records in use */
  float *depth;
  uint32_t *numbers;
  float *kept_depth;
  uint32_t *kept_numbers;
  struct record *records;
  uint8_t *owners;  /* of each record */
  uint8_t *touched; /* [height][blocks] of the picture: drawn to since restore */
  uint8_t *stale;   /* [height][blocks] of the output: shows something else than the kept background */
  float *luminance;
  uint8_t *shown; /* owner per pixel */
  float *kept_luminance;
  uint8_t *kept_shown;
  const struct texture *textures;
  const uint32_t *texels;
  const double *sample_columns; /* [4 height + ROWS] sample_x of each sample row */
  int32_t *first, *end;         /* [4 height + ROWS] scratch: columns of the span in each sample row */
  float *base;                  /* [4 height + ROWS] scratch: inverse depth at column 0 of each sample row */
  const float *vertices;        /* [vertices][3] in body coordinates, of what is to be drawn */
  double *points;               /* [6][vertices] scratch: struct points */
  uint8_t *kind;                /* [stride + 1] scratch */
  uint64_t *cover;              /* [4 height][stride / 64 + 1] scratch, all zero between calls */
};

/* ---------------------------------------------------------------- vertices */

INLINED int outside(const int32_t *triangles, int64_t triangle_count, int64_t vertex_count) {
  uint32_t highest = 0;
  for (int64_t i = 0; i < 3 * triangle_count; ++i)
    highest = (uint32_t)triangles[i] > highest ? (uint32_t)triangles[i] : highest;
  return triangle_count > 0 && (int64_t)highest >= vertex_count;
}

/* Vertices in the camera (x, y, z) and on the picture; column, row and inverse (1/z) are of use only where z > NEAR. */
struct points {
  double *x, *y, *z, *column, *row, *inverse;
};

/* Model vertices to camera and picture. With `shadow` they are first moved along the sun to z = 0. */
INLINED struct points project(const struct picture *p, int64_t count, int shadow) {
  const float *restrict vertices = p->vertices;
  const double *body = p->body;
  double *restrict x = p->points, *restrict y = x + count, *restrict z = y + count;
  double *restrict column = z + count, *restrict row = column + count, *restrict inverse = row + count;
  const double *c = p->camera;
  const double along_x = shadow ? p->sun[0] / p->sun[2] : 0, along_y = shadow ? p->sun[1] / p->sun[2] : 0;
  const double keep_z = shadow ? 0 : 1;
  const double focal = p->focal, centre_x = 0.5 * (double)p->width, centre_y = 0.5 * (double)p->height;
  for (int64_t i = 0; i < count; ++i) {
    const double a = vertices[3 * i], b = vertices[3 * i + 1], d = vertices[3 * i + 2];
    double wx = body[0] * a + body[1] * b + body[2] * d + body[3];
    double wy = body[4] * a + body[5] * b + body[6] * d + body[7];
    double wz = body[8] * a + body[9] * b + body[10] * d + body[11];
    wx -= along_x * wz;
    wy -= along_y * wz;
    wz *= keep_z;
    x[i] = c[0] * wx + c[1] * wy + c[2] * wz + c[3];
    y[i] = c[4] * wx + c[5] * wy + c[6] * wz + c[7];
    z[i] = c[8] * wx + c[9] * wy + c[10] * wz + c[11];
    inverse[i] = 1 / z[i];
    column[i] = centre_x + focal * x[i] * inverse[i];
    row[i] = centre_y + focal * y[i] * inverse[i];
  }
  const struct points points = {x, y, z, column, row, inverse};
  return points;
}

/* Position on the picture where the edge from vertex `in` to vertex `out` meets the near plane. */
INLINED void cut(const struct picture *p, const struct points *q, int64_t in, int64_t out, double *column,
                 double *row) {
  const double t = (NEAR - q->z[in]) / (q->z[out] - q->z[in]);
  *column = 0.5 * (double)p->width + p->focal * (q->x[in] + t * (q->x[out] - q->x[in])) / NEAR;
  *row = 0.5 * (double)p->height + p->focal * (q->y[in] + t * (q->y[out] - q->y[in])) / NEAR;
}

/* The part of a triangle ahead of the near plane: 0, 3 or 4 positions on the picture. An edge is cut from its inner to its
 * outer end, whichever way the triangle runs, so that neighbours meet exactly. */
INLINED int clip(const struct picture *p, const struct points *q, const int32_t *v, double *columns, double *rows) {
  int n = 0;
  for (int i = 0; i < 3; ++i) {
    const int32_t a = v[i], b = v[i == 2 ? 0 : i + 1];
    const int a_in = q->z[a] > NEAR, b_in = q->z[b] > NEAR;
    if (a_in) {
      columns[n] = q->column[a];
      rows[n++] = q->row[a];
    }
    if (a_in != b_in) {
      cut(p, q, a_in ? a : b, a_in ? b : a, &columns[n], &rows[n]);
      ++n;
    }
  }
  return n;
}

/* ---------------------------------------------------------------- coverage */

INLINED int32_t clamped_ceil(double value, double high) {
  value = value > 0 ? value : 0; /* also of not-a-number */
  value = value < high ? value : high;
  const int32_t whole = (int32_t)value;
  return whole + (value > (double)whole);
}

/* Triangles on the picture, PIECES at a time: those ahead of the near plane and what clipping left of others. */
struct pieces {
  int64_t count;
  int32_t triangle[PIECES];
  /* Corners, and after outline() from top to bottom: a, b, c. */
  double ax[PIECES], ay[PIECES], bx[PIECES], by[PIECES], cx[PIECES], cy[PIECES];
  /* Columns per row of the edges a-c, a-b and b-c. */
  double full[PIECES], upper[PIECES], lower[PIECES];
  /* Sample rows [top, bottom), none if no sample is covered; edge b-c begins in row middle. */
  int32_t top[PIECES], middle[PIECES], bottom[PIECES], full_is_left[PIECES];
};

INLINED void add_piece(struct pieces *s, int64_t triangle, const double *x, const double *y, int second) {
  const int64_t i = s->count++;
  s->triangle[i] = (int32_t)triangle;
  s->ax[i] = x[0];
  s->ay[i] = y[0];
  s->bx[i] = x[1 + second];
  s->by[i] = y[1 + second];
  s->cx[i] = x[2 + second];
  s->cy[i] = y[2 + second];
}

/* Next pieces from triangle `t` on; returns the triangle after them. The two of a clipped triangle stay together. */
INLINED int64_t collect(const struct picture *p, const struct points *q, const int32_t *triangles, int64_t t,
                        int64_t count, struct pieces *s) {
  s->count = 0;
  for (; t < count && s->count < PIECES - 1; ++t) {
    double x[4], y[4];
    const int n = clip(p, q, triangles + 3 * t, x, y);
    if (n >= 3)
      add_piece(s, t, x, y, 0);
    if (n == 4)
      add_piece(s, t, x, y, 1);
  }
  return t;
}

INLINED void swap_where(int64_t mask, double *a, double *b) {
  int64_t i, j;
  memcpy(&i, a, sizeof i);
  memcpy(&j, b, sizeof j);
  const int64_t change = (i ^ j) & mask;
  i ^= change;
  j ^= change;
  memcpy(a, &i, sizeof i);
  memcpy(b, &j, sizeof j);
}

/* Put the upper of two corners first, of two at the same height the left one. */
INLINED void sort(double *ax, double *ay, double *bx, double *by) {
  const int64_t mask = -(int64_t)((*ay > *by) | ((*ay == *by) & (*ax > *bx)));
  swap_where(mask, ax, bx);
  swap_where(mask, ay, by);
}

/* Edges run from their upper end, whichever way the triangle runs, so that triangles with a common edge leave no gap and
 * share no sample. */
INLINED void outline(const struct picture *p, struct pieces *restrict s) {
  const double rows = 4.0 * (double)p->height, width = (double)p->width;
  for (int64_t i = s->count; i % ROWS; ++i)
    s->ax[i] = s->ay[i] = s->bx[i] = s->by[i] = s->cx[i] = s->cy[i] = 0;
  for (int64_t start = 0; start < s->count; start += ROWS)
    for (int64_t i = start; i < start + ROWS; ++i) {
      double ax = s->ax[i], ay = s->ay[i], bx = s->bx[i], by = s->by[i], cx = s->cx[i], cy = s->cy[i];
      sort(&ax, &ay, &bx, &by);
      sort(&bx, &by, &cx, &cy);
      sort(&ax, &ay, &bx, &by);
      double low = ax < bx ? ax : bx, high = ax < bx ? bx : ax;
      low = low < cx ? low : cx;
      high = high > cx ? high : cx;
      const int32_t top = clamped_ceil(4 * ay - 0.5, rows), bottom = clamped_ceil(4 * cy - 0.5, rows);
      const int seen = clamped_ceil(low - 0.875, width) < clamped_ceil(high - 0.125, width);
      const double full = (cx - ax) / (cy - ay);
      s->ax[i] = ax, s->ay[i] = ay, s->bx[i] = bx, s->by[i] = by, s->cx[i] = cx, s->cy[i] = cy;
      s->full[i] = full;
      s->upper[i] = (bx - ax) / (by - ay);
      s->lower[i] = (cx - bx) / (cy - by);
      s->top[i] = top;
      s->middle[i] = clamped_ceil(4 * by - 0.5, rows);
      s->bottom[i] = bottom & -seen;
      s->full_is_left[i] = ax + (by - ay) * full < bx;
    }
}

/* Forget the pieces that cover no sample. */
INLINED void leave_seen(struct pieces *s) {
  int64_t seen = 0;
  for (int64_t i = 0; i < s->count; ++i) {
    double *const values[] = {s->ax, s->ay, s->bx, s->by, s->cx, s->cy, s->full, s->upper, s->lower};
    int32_t *const numbers[] = {s->triangle, s->top, s->middle, s->bottom, s->full_is_left};
    for (size_t k = 0; k < sizeof values / sizeof *values; ++k)
      values[k][seen] = values[k][i];
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; ++k)
      numbers[k][seen] = numbers[k][i];
    seen += s->top[i] < s->bottom[i];
  }
  s->count = seen;
}

/* Columns [first, end) that piece i covers in each of its sample rows, and the plane w at column 0 of the row. A sample on
 * an edge belongs to the triangle on the right. */
INLINED void spans(const struct picture *p, const struct pieces *s, int64_t i, const double *w) {
  const double width = (double)p->width;
  const double ax = s->ax[i], ay = s->ay[i], bx = s->bx[i], by = s->by[i];
  const double full = s->full[i], upper = s->upper[i], lower = s->lower[i];
  const double w0 = w[0], w1 = w[1], w2 = w[2];
  const int32_t middle = s->middle[i], bottom = s->bottom[i];
  const double *restrict column = p->sample_columns;
  int32_t *restrict first = s->full_is_left[i] ? p->first : p->end, *restrict end =
                                                                        s->full_is_left[i] ? p->end : p->first;
  float *restrict base = p->base;
  for (int32_t from = s->top[i]; from < bottom; from += ROWS)
    for (int32_t j = from; j < from + ROWS; ++j) {
      const double y = 0.25 * j + 0.125;
      const double x0 = j < middle ? ax : bx, y0 = j < middle ? ay : by, slope = j < middle ? upper : lower;
      first[j] = clamped_ceil(ax + (y - ay) * full - column[j], width);
      end[j] = clamped_ceil(x0 + (y - y0) * slope - column[j], width);
      base[j] = (float)(w0 + w2 * y + w1 * column[j]);
    }
}

/* Pixels of the picture that were drawn to. */
struct area {
  double left, top, right, bottom;
};

static const struct area nowhere = {1e30, 1e30, -1e30, -1e30};

INLINED void widen(struct area *area, double x, double y) {
  area->left = x < area->left ? x : area->left;
  area->right = x > area->right ? x : area->right;
  area->top = y < area->top ? y : area->top;
  area->bottom = y > area->bottom ? y : area->bottom;
}

/* Widen by piece i, whose corners are in order from top to bottom. */
INLINED void widen_by(struct area *area, const struct pieces *s, int64_t i) {
  const double low = s->ax[i] < s->bx[i] ? s->ax[i] : s->bx[i], high = s->ax[i] < s->bx[i] ? s->bx[i] : s->ax[i];
  widen(area, low < s->cx[i] ? low : s->cx[i], s->ay[i]);
  widen(area, high > s->cx[i] ? high : s->cx[i], s->cy[i]);
}

static void touch(const struct picture *p, const struct area *area) {
  const int32_t top = clamped_ceil(area->top - 1, (double)p->height),
                bottom = clamped_ceil(area->bottom, (double)p->height);
  const int32_t left = clamped_ceil(area->left - 1, (double)p->width),
                right = clamped_ceil(area->right, (double)p->width);
  if (left >= right)
    return;
  const int32_t block = left / LANES, blocks = (right - 1) / LANES + 1 - block;
  for (int32_t y = top; y < bottom; ++y)
    memset(p->touched + y * p->blocks + block, 1, (size_t)blocks);
}

/* ---------------------------------------------------------------- drawing */

/* What shading and hiding need to know of the triangles of pieces. */
struct surfaces {
  double x[3][PIECES], y[3][PIECES], z[3][PIECES]; /* corners in the camera */
  double high[3][PIECES];                          /* inverse depth of the corners, at most that of the near plane */
  double w[3][PIECES];                             /* plane of the inverse depth */
  double volume[PIECES];                           /* six times that of the tetrahedron with the eye */
  double square[PIECES], along_sun[PIECES];        /* of the normal: squared length, product with the sun's direction */
  float w_low[PIECES], w_high[PIECES];
};

/* A plane over the picture from its values along the ray ((column - centre) / focal, (row - centre) / focal, 1). */
INLINED void plane(const struct picture *p, double x, double y, double z, double *w0, double *w1, double *w2) {
  const double per_pixel = 1 / p->focal;
  *w1 = x * per_pixel;
  *w2 = y * per_pixel;
  *w0 = z - *w1 * (0.5 * (double)p->width) - *w2 * (0.5 * (double)p->height);
}

INLINED void measure(const struct picture *p, const struct points *q, const int32_t *triangles, const struct pieces *s,
                     const double *sun, struct surfaces *restrict f) {
  const double sun_x = sun[0], sun_y = sun[1], sun_z = sun[2];
  const int64_t count = (s->count + ROWS - 1) / ROWS * ROWS;
  for (int64_t i = 0; i < count; ++i)
    for (int k = 0; k < 3; ++k) {
      const int32_t v = triangles[3 * (int64_t)s->triangle[i < s->count ? i : 0] + k];
      f->x[k][i] = q->x[v];
      f->y[k][i] = q->y[v];
      f->z[k][i] = q->z[v];
      f->high[k][i] = q->z[v] > NEAR ? q->inverse[v] : 1 / NEAR;
    }
  for (int64_t start = 0; start < count; start += ROWS)
    for (int64_t i = start; i < start + ROWS; ++i) {
      const double x0 = f->x[0][i], x1 = f->x[1][i], x2 = f->x[2][i], y0 = f->y[0][i], y1 = f->y[1][i], y2 = f->y[2][i];
      const double z0 = f->z[0][i], z1 = f->z[1][i], z2 = f->z[2][i];
      const double ax = x1 - x0, ay = y1 - y0, az = z1 - z0, bx = x2 - x0, by = y2 - y0, bz = z2 - z0;
      const double nx = ay * bz - az * by, ny = az * bx - ax * bz, nz = ax * by - ay * bx;
      const double volume = nx * x0 + ny * y0 + nz * z0;
      const double scale = 1 / volume;
      double w0, w1, w2;
      plane(p, nx * scale, ny * scale, nz * scale, &w0, &w1, &w2);
      f->w[0][i] = w0;
      f->w[1][i] = w1;
      f->w[2][i] = w2;
      f->volume[i] = volume;
      f->square[i] = nx * nx + ny * ny + nz * nz;
      f->along_sun[i] = nx * sun_x + ny * sun_y + nz * sun_z;
      double low = f->high[0][i], high = low;
      low = low < f->high[1][i] ? low : f->high[1][i];
      high = high > f->high[1][i] ? high : f->high[1][i];
      low = low < f->high[2][i] ? low : f->high[2][i];
      high = high > f->high[2][i] ? high : f->high[2][i];
      f->w_low[i] = (float)low;
      f->w_high[i] = (float)high;
    }
}

INLINED double inside(double value, double high) { return value < 0 ? 0 : value > high ? high : value; }

/* Planes of the texture coordinates, in texels, over z. Whole tiles are taken off so that they are small where the triangle
 * is nearest: single precision is spent there. `uv` holds u and v of the three corners. */
INLINED void texture_planes(const struct picture *p, const struct pieces *s, const struct surfaces *f, int64_t i,
                            const float *uv, const float *tile, struct record *record) {
  const double w0 = f->w[0][i], w1 = f->w[1][i], w2 = f->w[2][i], scale = 1 / f->volume[i];
  struct area extent = nowhere;
  widen_by(&extent, s, i);
  const double column = inside(w1 > 0 ? extent.right : extent.left, (double)p->width);
  const double row = inside(w2 > 0 ? extent.bottom : extent.top, (double)p->height);
  const double nearest = w0 + w1 * column + w2 * row;
  for (int axis = 0; axis < 2; ++axis) {
    double x = 0, y = 0, z = 0, u[3];
    for (int k = 0; k < 3; ++k) {
      const int l = k == 2 ? 0 : k + 1, m = k == 0 ? 2 : k - 1;
      const double value = uv[2 * k + axis] * scale;
      x += value * (f->y[l][i] * f->z[m][i] - f->z[l][i] * f->y[m][i]);
      y += value * (f->z[l][i] * f->x[m][i] - f->x[l][i] * f->z[m][i]);
      z += value * (f->x[l][i] * f->y[m][i] - f->y[l][i] * f->x[m][i]);
    }
    plane(p, x, y, z, &u[0], &u[1], &u[2]);
    const double there = (u[0] + u[1] * column + u[2] * row) / nearest;
    const double tiles = there > -1e9 && there < 1e9 ? floor(there) : 0;
    float *out = axis ? record->v : record->u;
    for (int k = 0; k < 3; ++k)
      out[k] = (float)((u[k] - tiles * f->w[k][i]) * tile[axis]);
  }
}

static const int32_t lane[LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* Samples of one sample row that the triangle hides get its depth and number. */
INLINED void paint(float *restrict depth, uint32_t *restrict numbers, int32_t first, int32_t end, float base,
                   float step, float low, float high, uint32_t number) {
  for (int32_t x = first; x < end; x += LANES)
    for (int k = 0; k < LANES; ++k) {
      float w = base + step * (float)(x + lane[k]);
      w = w > low ? w : low;
      w = w < high ? w : high;
      const int win = (w > depth[x + k]) & (lane[k] < end - x);
      depth[x + k] = win ? w : depth[x + k];
      numbers[x + k] = win ? number : numbers[x + k];
    }
}

/* Draw triangles of p->vertices; `texture` indexes p->textures. There must be room for `triangle_count` more records.
 * Returns 0, like the functions below, if a triangle has a corner that is not a vertex. */
MULTIVERSIONED
int32_t sast_render_draw(struct picture *p, int64_t vertex_count, const int32_t *triangles, int64_t triangle_count,
                         const float *albedo, const float *emission, const int16_t *texture, const float *uv,
                         int32_t owner) {
  if (outside(triangles, triangle_count, vertex_count))
    return 0;
  const struct points q = project(p, vertex_count, 0);
  const int64_t stride = p->stride;
  const int32_t *const first = p->first, *const end = p->end;
  const float *const base = p->base;
  struct area area = nowhere;
  struct pieces s;
  struct surfaces f;
  double sun[3];
  for (int i = 0; i < 3; ++i)
    sun[i] = p->camera[4 * i] * p->sun[0] + p->camera[4 * i + 1] * p->sun[1] + p->camera[4 * i + 2] * p->sun[2];
  for (int64_t next = 0; next < triangle_count;) {
    next = collect(p, &q, triangles, next, triangle_count, &s);
    outline(p, &s);
    leave_seen(&s);
    measure(p, &q, triangles, &s, sun, &f);
    int64_t known = -1; /* triangle of the last record */
    for (int64_t i = 0; i < s.count; ++i) {
      if (!(fabs(f.volume[i]) > 1e-15)) /* seen edge-on */
        continue;
      const int64_t t = s.triangle[i];
      const double w[3] = {f.w[0][i], f.w[1][i], f.w[2][i]};
      const uint32_t number = (uint32_t)(p->count - (t == known));
      const float step = (float)w[1], low = f.w_low[i], high = f.w_high[i];
      spans(p, &s, i, w);
      int drawn = 0;
      float *depth = p->depth + s.top[i] * stride;
      uint32_t *numbers = p->numbers + s.top[i] * stride;
      for (int32_t j = s.top[i]; j < s.bottom[i]; ++j, depth += stride, numbers += stride)
        if (first[j] < end[j]) {
          paint(depth, numbers, first[j], end[j], base[j], step, low, high, number);
          drawn = 1;
        }
      if (!drawn)
        continue;
      widen_by(&area, &s, i);
      if (t == known)
        continue;
      known = t;
      struct record *record = &p->records[number];
      for (int k = 0; k < 3; ++k)
        record->w[k] = (float)w[k];
      record->w_low = low;
      /* The normal is turned to the viewer. */
      const double cosine = f.along_sun[i] / (f.volume[i] > 0 ? -sqrt(f.square[i]) : sqrt(f.square[i]));
      record->lit = (float)(albedo[t] * (p->ambient + p->sun_strength * (cosine > 0 ? cosine : 0)) + emission[t]);
      record->shadowed = (float)(albedo[t] * p->ambient + emission[t]);
      record->texture = texture[t];
      if (texture[t] >= 0)
        texture_planes(p, &s, &f, i, uv + 6 * t, p->textures[texture[t]].tile, record);
      p->owners[p->count++] = (uint8_t)owner;
    }
  }
  touch(p, &area);
  return 1;
}

/* Samples of one sample row that show the ground. */
INLINED void darken(const float *restrict depth, uint32_t *restrict numbers, int32_t first, int32_t end, float base,
                    float step, float slack) {
  for (int32_t x = first; x < end; x += LANES)
    for (int k = 0; k < LANES; ++k) {
      const float d = depth[x + k];
      const int on = (fabsf(d - (base + step * (float)(x + lane[k]))) <= slack * d) & (d > 0) & (lane[k] < end - x);
      numbers[x + k] |= on ? SHADOW : 0;
    }
}

/* Set the shadow bit of samples that show the plane z = 0 where the triangles, moved along the sun, lie. */
MULTIVERSIONED
int32_t sast_render_shade(struct picture *p, int64_t vertex_count, const int32_t *triangles, int64_t triangle_count) {
  if (outside(triangles, triangle_count, vertex_count))
    return 0;
  const struct points q = project(p, vertex_count, 1);
  const int64_t stride = p->stride;
  const int32_t *const first = p->first, *const end = p->end;
  const float *const base = p->base;
  struct area area = nowhere;
  struct pieces s;
  const double *c = p->camera;
  const double height = -(c[2] * c[3] + c[6] * c[7] + c[10] * c[11]);
  if (!(fabs(height) > 1e-6))
    return 1;
  double w[3];
  plane(p, c[2] / -height, c[6] / -height, c[10] / -height, &w[0], &w[1], &w[2]);
  /* A surface at inverse depth d in a ray that meets the ground at g is height * (1 - g / d) above it. */
  const float step = (float)w[1], slack = (float)(GROUND_TOLERANCE / fabs(height));
  for (int64_t next = 0; next < triangle_count;) {
    next = collect(p, &q, triangles, next, triangle_count, &s);
    outline(p, &s);
    for (int64_t i = 0; i < s.count; ++i) {
      if (s.top[i] >= s.bottom[i])
        continue;
      widen_by(&area, &s, i);
      spans(p, &s, i, w);
      for (int32_t j = s.top[i]; j < s.bottom[i]; ++j)
        darken(p->depth + j * stride, p->numbers + j * stride, first[j], end[j], base[j], step, slack);
    }
  }
  touch(p, &area);
  return 1;
}

/* ---------------------------------------------------------------- the picture */

/* An empty picture of luminance `sky`. */
void sast_render_clear(struct picture *p, float sky) {
  const size_t samples = (size_t)(4 * p->height * p->stride);
  memset(p->depth, 0, samples * sizeof *p->depth);
  memset(p->numbers, 0, samples * sizeof *p->numbers);
  memset(p->touched, 1, (size_t)(p->height * p->blocks));
  memset(&p->records[0], 0, sizeof p->records[0]);
  p->records[0].lit = p->records[0].shadowed = sky;
  p->records[0].texture = -1;
  p->owners[0] = 0;
  p->count = 1;
}

/* Textured pixels, and parts of pixels that one textured triangle covers, to be looked up together. */
struct lookups {
  int64_t count;
  float u[LOOKUPS], v[LOOKUPS];             /* texels of level 0 */
  float footprint[LOOKUPS];                 /* square of the texels from this pixel to the next */
  float weight[LOOKUPS];                    /* what the texel is multiplied with */
  int32_t base[LOOKUPS], log_size[LOOKUPS]; /* of the texture */
  int32_t pixel[LOOKUPS];
};

INLINED float bounded(float value) {
  value = value > -1e9f ? value : -1e9f; /* also of not-a-number */
  return value < 1e9f ? value : 1e9f;
}

/* Texture coordinates and footprint at a point of the picture. */
INLINED void locate(const struct record *r, float x, float y, float *u, float *v, float *footprint) {
  float w = r->w[0] + r->w[1] * x + r->w[2] * y;
  w = w > r->w_low ? w : r->w_low;
  const float z = 1 / w;
  *u = bounded((r->u[0] + r->u[1] * x + r->u[2] * y) * z);
  *v = bounded((r->v[0] + r->v[1] * x + r->v[2] * y) * z);
  const float ux = (r->u[1] - *u * r->w[1]) * z, uy = (r->u[2] - *u * r->w[2]) * z;
  const float vx = (r->v[1] - *v * r->w[1]) * z, vy = (r->v[2] - *v * r->w[2]) * z;
  const float across = ux * ux + vx * vx, down = uy * uy + vy * vy;
  *footprint = across > down ? across : down;
}

/* Bilinear look-up in one mip level: the position in p->texels of the four texels around, and the weights in them. */
INLINED void place(float u, float v, int32_t base, int32_t log_size, int32_t level, int32_t *at, float *right,
                   float *below) {
  const int32_t log_side = log_size - level, mask = (1 << log_side) - 1, bits = (127 - level) << 23;
  float scale;
  memcpy(&scale, &bits, sizeof scale);
  u = u * scale - 0.5f;
  v = v * scale - 0.5f;
  const float left = floorf(u), top = floorf(v);
  *right = u - left;
  *below = v - top;
  const int32_t column = (int32_t)left & mask, row = (int32_t)top & mask;
  /* Level of side 2^n begins behind those of sides 1 .. 2^(n - 1), which have (4^n - 1) / 3 + 2^n - 1 texels. */
  *at = base + (0x55555555 & ((1 << 2 * log_side) - 1)) + mask + (row << log_side) + row + column;
}

INLINED float blend(uint64_t four, float right, float below) {
  const float a = (float)(int32_t)(four & 0xffff), c = (float)(int32_t)(four >> 16 & 0xffff);
  const float b = (float)(int32_t)(four >> 32 & 0xffff), d = (float)(int32_t)(four >> 48);
  const float upper = a + right * (b - a), lower = c + right * (d - c);
  return upper + below * (lower - upper);
}

/* Add the look-ups to their pixels. The mip level is log2 of the footprint, linear between powers of two: continuous, and
 * so coarse that the texture does not alias in either direction. */
INLINED void look_up(const struct picture *p, struct lookups *l) {
  int32_t at[2][LOOKUPS];
  float right[2][LOOKUPS], below[2][LOOKUPS], part[LOOKUPS], value[LOOKUPS];
  uint64_t four[2][LOOKUPS];
  const int64_t count = l->count;
  for (int64_t k = count; k % LANES; ++k) {
    l->u[k] = l->v[k] = l->footprint[k] = l->weight[k] = 0;
    l->base[k] = l->log_size[k] = 0;
  }
  for (int64_t start = 0; start < count; start += LANES)
    for (int64_t k = start; k < start + LANES; ++k) {
      int32_t bits;
      memcpy(&bits, l->footprint + k, sizeof bits);
      const float coarsest = (float)l->log_size[k];
      float level = (float)(bits - (127 << 23)) * (0.5f / (1 << 23));
      level = level > 0 ? level : 0;
      level = level < coarsest ? level : coarsest;
      const int32_t fine = (int32_t)level, coarse = fine < l->log_size[k] ? fine + 1 : fine;
      part[k] = level - (float)fine;
      place(l->u[k], l->v[k], l->base[k], l->log_size[k], fine, at[0] + k, right[0] + k, below[0] + k);
      place(l->u[k], l->v[k], l->base[k], l->log_size[k], coarse, at[1] + k, right[1] + k, below[1] + k);
    }
  for (int64_t k = 0; k < count; ++k) {
    memcpy(four[0] + k, p->texels + at[0][k], sizeof four[0][k]);
    memcpy(four[1] + k, p->texels + at[1][k], sizeof four[1][k]);
  }
  for (int64_t k = count; k % LANES; ++k)
    four[0][k] = four[1][k] = 0;
  for (int64_t start = 0; start < count; start += LANES)
    for (int64_t k = start; k < start + LANES; ++k) {
      const float fine = blend(four[0][k], right[0][k], below[0][k]),
                  coarse = blend(four[1][k], right[1][k], below[1][k]);
      value[k] = l->weight[k] * (fine + part[k] * (coarse - fine));
    }
  for (int64_t k = 0; k < count; ++k)
    p->luminance[l->pixel[k]] += value[k];
  l->count = 0;
}

/* `count` pixels from column x of row y that show one textured triangle alone. */
INLINED void add_run(const struct picture *p, struct lookups *l, uint32_t number, int64_t x, int64_t y, int64_t count) {
  const struct record record = p->records[number & NUMBER];
  const struct texture texture = p->textures[record.texture];
  const float weight = texture.scale * (number & SHADOW ? record.shadowed : record.lit);
  const int32_t pixel = (int32_t)(y * p->width + x);
  for (int64_t start = 0; start < count; start += LANES) {
    if (l->count > LOOKUPS - LANES)
      look_up(p, l);
    const int64_t at = l->count;
    for (int k = 0; k < LANES; ++k) {
      locate(&record, (float)((int32_t)(x + start) + lane[k]) + 0.5f, (float)y + 0.5f, l->u + at + k, l->v + at + k,
             l->footprint + at + k);
      l->weight[at + k] = weight;
      l->base[at + k] = texture.base;
      l->log_size[at + k] = texture.log_size;
      l->pixel[at + k] = pixel + (int32_t)start + lane[k];
    }
    l->count += count - start < LANES ? count - start : LANES;
  }
}

/* The part of a pixel that one triangle covers around (x, y). */
INLINED void add_part(const struct picture *p, struct lookups *l, uint32_t number, float x, float y, float share,
                      int64_t pixel) {
  const struct record *record = &p->records[number & NUMBER];
  const float light = share * (number & SHADOW ? record->shadowed : record->lit);
  if (record->texture < 0) {
    p->luminance[pixel] += light;
    return;
  }
  if (l->count > LOOKUPS - LANES)
    look_up(p, l);
  const struct texture *texture = &p->textures[record->texture];
  const int64_t at = l->count++;
  locate(record, x, y, l->u + at, l->v + at, l->footprint + at);
  l->weight[at] = texture->scale * light;
  l->base[at] = texture->base;
  l->log_size[at] = texture->log_size;
  l->pixel[at] = (int32_t)pixel;
}

/* Luminance and owner of the pixels [from, to) of row y; what is textured is added by look_up. */
INLINED void resolve(const struct picture *p, struct lookups *lookups, int64_t y, int64_t from, int64_t to) {
  const uint32_t *restrict r0 = p->numbers + 4 * y * p->stride, *restrict r1 = r0 + p->stride,
                           *restrict r2 = r1 + p->stride;
  const uint32_t *restrict r3 = r2 + p->stride;
  uint8_t *restrict kind = p->kind; /* 0: several triangles; 1: one; 2: one, that of the pixel to the left */
  float *out = p->luminance + y * p->width;
  uint8_t *shown = p->shown + y * p->width;
  kind[from] = (r0[from] == r1[from]) & (r0[from] == r2[from]) & (r0[from] == r3[from]);
  for (int64_t x = from + 1; x < to; ++x) {
    const int one = (r0[x] == r1[x]) & (r0[x] == r2[x]) & (r0[x] == r3[x]);
    const int same =
        (r0[x - 1] == r0[x]) & (r0[x - 1] == r1[x - 1]) & (r0[x - 1] == r2[x - 1]) & (r0[x - 1] == r3[x - 1]);
    kind[x] = (uint8_t)(one + (one & same));
  }
  kind[to] = 0;
  for (int64_t x = from; x < to;) {
    if (kind[x]) {
      const uint32_t number = r0[x];
      int64_t end = x + 1;
      while (kind[end] == 2)
        ++end;
      const struct record *record = &p->records[number & NUMBER];
      const int plain = record->texture < 0;
      const float light = !plain ? 0 : number & SHADOW ? record->shadowed : record->lit;
      const uint8_t owner = p->owners[number & NUMBER];
      for (int64_t k = x; k < end; ++k) {
        out[k] = light;
        shown[k] = owner;
      }
      if (!plain)
        add_run(p, lookups, number, x, y, end - x);
      x = end;
      continue;
    }
    const uint32_t n[4] = {r0[x], r1[x], r2[x], r3[x]};
    uint8_t owner = 0;
    out[x] = 0;
    for (int s = 0; s < 4; ++s) {
      const uint8_t here = p->owners[n[s] & NUMBER];
      owner = here > owner ? here : owner;
      int samples = 0, before = 0;
      float dx = 0, dy = 0;
      for (int k = 0; k < 4; ++k)
        if (n[k] == n[s]) {
          before |= k < s;
          ++samples;
          dx += (float)sample_x[k];
          dy += 0.25f * (float)k + 0.125f;
        }
      if (!before)
        add_part(p, lookups, n[s], (float)x + dx / (float)samples, (float)y + dy / (float)samples,
                 0.25f * (float)samples, y * p->width + x);
    }
    shown[x] = owner;
    ++x;
  }
}

/* Bring luminance and owners up to date. */
MULTIVERSIONED
void sast_render_finish(struct picture *p) {
  struct lookups lookups;
  lookups.count = 0;
  for (int64_t y = 0; y < p->height; ++y) {
    const uint8_t *touched = p->touched + y * p->blocks;
    uint8_t *stale = p->stale + y * p->blocks;
    for (int64_t b = 0; b < p->blocks;) {
      const int64_t from = b * LANES;
      const int draw = touched[b], copy = stale[b] && !draw;
      for (; b < p->blocks && touched[b] == draw && (stale[b] && !draw) == copy; ++b)
        stale[b] = (uint8_t)draw;
      const int64_t to = b * LANES < p->width ? b * LANES : p->width;
      if (draw) {
        resolve(p, &lookups, y, from, to);
      } else if (copy) {
        memcpy(p->luminance + y * p->width + from, p->kept_luminance + y * p->width + from,
               (size_t)(to - from) * sizeof(float));
        memcpy(p->shown + y * p->width + from, p->kept_shown + y * p->width + from, (size_t)(to - from));
      }
    }
  }
  look_up(p, &lookups);
}

/* Make the picture so far the background. */
void sast_render_keep(struct picture *p) {
  sast_render_finish(p);
  const size_t samples = (size_t)(4 * p->height * p->stride), pixels = (size_t)(p->height * p->width);
  memcpy(p->kept_depth, p->depth, samples * sizeof *p->depth);
  memcpy(p->kept_numbers, p->numbers, samples * sizeof *p->numbers);
  memcpy(p->kept_luminance, p->luminance, pixels * sizeof *p->luminance);
  memcpy(p->kept_shown, p->shown, pixels);
  memset(p->touched, 0, (size_t)(p->height * p->blocks));
  memset(p->stale, 0, (size_t)(p->height * p->blocks));
  p->kept_count = p->count;
}

/* Back to the background. */
void sast_render_restore(struct picture *p) {
  for (int64_t y = 0; y < p->height; ++y) {
    uint8_t *touched = p->touched + y * p->blocks;
    for (int64_t b = 0; b < p->blocks;) {
      if (!touched[b]) {
        ++b;
        continue;
      }
      const int64_t start = b;
      for (; b < p->blocks && touched[b]; ++b)
        touched[b] = 0;
      const size_t bytes = (size_t)(b - start) * LANES * 4;
      for (int64_t j = 4 * y; j < 4 * y + 4; ++j) {
        memcpy(p->depth + j * p->stride + start * LANES, p->kept_depth + j * p->stride + start * LANES, bytes);
        memcpy(p->numbers + j * p->stride + start * LANES, p->kept_numbers + j * p->stride + start * LANES, bytes);
      }
    }
  }
  p->count = p->kept_count;
}

/* ---------------------------------------------------------------- questions */

/* Samples per owner, counts[256]. */
void sast_render_visible(const struct picture *p, int64_t *counts) {
  memset(counts, 0, 256 * sizeof *counts);
  for (int64_t j = 0; j < 4 * p->height; ++j) {
    const uint32_t *row = p->numbers + j * p->stride;
    for (int64_t x = 0; x < p->width; ++x)
      ++counts[p->owners[row[x] & NUMBER]];
  }
}

/* Samples that the triangles cover in the frame; -1 if a corner is not a vertex. */
MULTIVERSIONED
int64_t sast_render_covered(struct picture *p, int64_t vertex_count, const int32_t *triangles, int64_t triangle_count) {
  if (outside(triangles, triangle_count, vertex_count))
    return -1;
  const struct points q = project(p, vertex_count, 0);
  const double none[3] = {0, 0, 0};
  const int64_t words = p->stride / 64 + 1;
  int32_t top = 4 * (int32_t)p->height, bottom = 0;
  int64_t samples = 0;
  struct pieces s;
  for (int64_t next = 0; next < triangle_count;) {
    next = collect(p, &q, triangles, next, triangle_count, &s);
    outline(p, &s);
    for (int64_t i = 0; i < s.count; ++i) {
      if (s.top[i] >= s.bottom[i])
        continue;
      spans(p, &s, i, none);
      top = s.top[i] < top ? s.top[i] : top;
      bottom = s.bottom[i] > bottom ? s.bottom[i] : bottom;
      for (int32_t j = s.top[i]; j < s.bottom[i]; ++j)
        for (int32_t k = p->first[j], end = p->end[j]; k < end; ++k)
          p->cover[j * words + k / 64] |= (uint64_t)1 << (k % 64);
    }
  }
  for (int64_t i = top * words; i < bottom * words; ++i) {
    samples += __builtin_popcountll(p->cover[i]);
    p->cover[i] = 0;
  }
  return samples;
}

/* Furthest (sign 1) or least (-1) value at the near plane of the hull of the points (z, values). Begins with the line through
 * a point ahead of the plane and one behind, and turns it around the hull: the point furthest beyond it takes the place of
 * the end on its own side. */
static double hull_at_near(const double *z, const double *values, int64_t count, int64_t ahead, int64_t behind,
                           double sign) {
  double at = 0;
  for (int64_t turn = 0; turn <= count; ++turn) {
    const double slope = (values[behind] - values[ahead]) / (z[behind] - z[ahead]);
    at = values[ahead] + (NEAR - z[ahead]) * slope;
    double most = 1e-9;
    int64_t beyond = -1;
    for (int64_t i = 0; i < count; ++i) {
      const double over = sign * (values[i] - at - (z[i] - NEAR) * slope);
      if (over > most) {
        most = over;
        beyond = i;
      }
    }
    if (beyond < 0)
      break;
    if (z[beyond] > NEAR)
      ahead = beyond;
    else
      behind = beyond;
  }
  return at;
}

/* Extent (left, top, right, bottom) of the hull of the vertices ahead of the near plane; returns 0 if there is none. */
MULTIVERSIONED
int32_t sast_render_box(struct picture *p, int64_t vertex_count, double *box) {
  const struct points q = project(p, vertex_count, 0);
  struct area area = nowhere;
  int64_t ahead = -1, behind = -1;
  for (int64_t i = 0; i < vertex_count; ++i)
    if (q.z[i] > NEAR) {
      widen(&area, q.column[i], q.row[i]);
      ahead = i;
    } else {
      behind = i;
    }
  if (ahead >= 0 && behind >= 0) {
    for (int side = 0; side < 2; ++side) {
      const double sign = side ? 1 : -1, scale = p->focal / NEAR;
      const double column = 0.5 * (double)p->width + scale * hull_at_near(q.z, q.x, vertex_count, ahead, behind, sign);
      const double row = 0.5 * (double)p->height + scale * hull_at_near(q.z, q.y, vertex_count, ahead, behind, sign);
      widen(&area, column, row);
    }
  }
  box[0] = area.left;
  box[1] = area.top;
  box[2] = area.right;
  box[3] = area.bottom;
  return ahead >= 0;
}
