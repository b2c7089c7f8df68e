/* Winograd's F(4×4, 3×3) of one tile and one vector of channels: the transforms of 6×6 inputs, of 3×3 weights, and of 36
 * products to 4×4 outputs (Lavin and Gray, arXiv:1509.09308). */
#ifndef P2R_TILES_H
#define P2R_TILES_H
#include "polyphase.h"

INLINE void input_line(const vec *d, int s, vec *o, int os) {
    vec d0 = d[0], d1 = d[s], d2 = d[2 * s], d3 = d[3 * s], d4 = d[4 * s], d5 = d[5 * s], c4 = v_set(4), c5 = v_set(5);
    vec p = v_fma(v_set(-4), d2, d4), q = v_fma(v_set(-4), d1, d3), r = v_sub(d4, d2), t = v_mul(v_set(2), v_sub(d3, d1));
    o[0] = v_fma(c4, d0, v_fma(v_set(-5), d2, d4));
    o[os] = v_add(p, q);
    o[2 * os] = v_sub(p, q);
    o[3 * os] = v_add(r, t);
    o[4 * os] = v_sub(r, t);
    o[5 * os] = v_fma(c4, d1, v_sub(d5, v_mul(c5, d3)));
}

INLINE void output_line(vec m0, vec m1, vec m2, vec m3, vec m4, vec m5, vec *o, int os) {
    vec a = v_add(m1, m2), b = v_sub(m1, m2), c = v_add(m3, m4), d = v_sub(m3, m4);
    o[0] = v_add(m0, v_add(a, c));
    o[os] = v_fma(v_set(2), d, b);
    o[2 * os] = v_fma(v_set(4), c, a);
    o[3 * os] = v_add(v_fma(v_set(8), d, b), m5);
}

/* Weights 0 and 2 may be missing, and with them the first or the last place. */
INLINE void weight_line(const int places, vec g0, vec g1, vec g2, vec *o, int os) {
    const int has_first = places & 1, has_last = places >> 5 & 1;
    vec sixth = v_set(1.0f / 6), h = v_mul(g1, sixth), f = v_mul(g1, v_set(1.0f / 12));
    vec outer = has_first && has_last ? v_add(g0, g2) : has_first ? g0 : g2;
    vec far = has_first && has_last ? v_fma(g0, v_set(1.0f / 24), v_mul(g2, sixth))
              : has_first           ? v_mul(g0, v_set(1.0f / 24))
                                    : v_mul(g2, sixth);
    vec s = v_mul(outer, v_set(-1.0f / 6));
    if (has_first) o[0] = v_mul(g0, v_set(0.25f));
    if (has_first || has_last) {
        o[os] = v_sub(s, h);
        o[2 * os] = v_add(s, h);
        o[3 * os] = v_add(far, f);
        o[4 * os] = v_sub(far, f);
    } else {
        o[os] = v_sub(v_zero(), h);
        o[2 * os] = h;
        o[3 * os] = f;
        o[4 * os] = v_sub(v_zero(), f);
    }
    if (has_last) o[5 * os] = g2;
}

/* A tile of pixels `dy` and `dx` apart from (top, left) on, transformed, to `out`, `place` floats between places; only
 * the places that `rows` and `columns` have a bit for. */
INLINE void input_tile(const plane *p, int is_reflected, int top, int left, int dy, int dx, int rows, int columns,
                       float *out, int64_t place) {
    vec d[PLACES], t[PLACES];
    if (top >= 0 && left >= 0 && top + 5 * dy < p->height && left + 5 * dx < p->width) {
        for (int i = 0; i < 6; i++) {
            const float *row = p->data + ((int64_t)(top + i * dy) * p->width + left) * B;
            UNROLL for (int j = 0; j < 6; j++) d[i * 6 + j] = v_load(row + (int64_t)j * dx * B);
            UNROLL for (int j = 0; j < 4; j++) v_prefetch(row + (int64_t)(j + 14) * B); /* two tiles on */
        }
        if (p->is_scaled) for (int i = 0; i < PLACES; i++) d[i] = v_fma(d[i], p->scale, p->shift);
        if (p->act != P2R_PLAIN) for (int i = 0; i < PLACES; i++) d[i] = activated(d[i], p->act, p->alpha);
    } else
        for (int i = 0; i < 6; i++) {
            const float *row = row_of(p, top + i * dy, is_reflected);
            for (int j = 0; j < 6; j++) {
                int at = left + j * dx;
                if (is_reflected) at = reflected(at, p->width);
                d[i * 6 + j] = row && at >= 0 && at < p->width ? seen(p, row + (int64_t)at * B) : v_zero();
            }
        }
    UNROLL for (int j = 0; j < 6; j++) input_line(d + j, 6, t + j, 6);
    UNROLL for (int i = 0; i < 6; i++) input_line(t + i * 6, 1, d + i * 6, 1);
    if ((rows & columns) == ALL_PLACES) UNROLL for (int i = 0; i < PLACES; i++) v_store(out + i * place, d[i]);
    else UNROLL for (int i = 0; i < 6; i++)
        if (rows >> i & 1) UNROLL for (int j = 0; j < 6; j++)
            if (columns >> j & 1) v_store(out + (i * 6 + j) * place, d[i * 6 + j]);
}

/* Weights of one vector of outputs in a phase, transformed. Those of the kernel's positions lie `apart` floats apart. */
INLINE void weight_tile_of(const int rows, const int columns, const axis_phase *y, const axis_phase *x, int width,
                           const float *in, int apart, float *out, int64_t place) {
    vec g[9], t[18], o[PLACES];
    UNROLL for (int i = 0; i < 3; i++) UNROLL for (int j = 0; j < 3; j++)
        g[i * 3 + j] = has_tap(rows, i) && has_tap(columns, j) ? v_load(in + (y->position[i] * width + x->position[j]) * apart)
                                                               : v_zero();
    UNROLL for (int j = 0; j < 3; j++)
        if (has_tap(columns, j)) weight_line(rows, g[j], g[3 + j], g[6 + j], t + j, 3);
        else UNROLL for (int i = 0; i < 6; i++) t[i * 3 + j] = v_zero();
    UNROLL for (int i = 0; i < 6; i++)
        if (rows >> i & 1) weight_line(columns, t[i * 3], t[i * 3 + 1], t[i * 3 + 2], o + i * 6, 1);
    UNROLL for (int i = 0; i < 6; i++) UNROLL for (int j = 0; j < 6; j++)
        if (rows >> i & columns >> j & 1) v_store(out + (i * 6 + j) * place, o[i * 6 + j]);
}

#define FORM(rows, columns)                                                                                              \
    static void weight_tile_##rows##_##columns(const axis_phase *y, const axis_phase *x, int width, const float *in,      \
                                               int apart, float *out, int64_t place) {                                   \
        weight_tile_of(30 | ((rows) & 1) | (((rows) & 2) << 4), 30 | ((columns) & 1) | (((columns) & 2) << 4), y, x, width, in, \
                       apart, out, place);                                                                               \
    }
#define FORMS(rows) FORM(rows, 0) FORM(rows, 1) FORM(rows, 2) FORM(rows, 3)
FORMS(0) FORMS(1) FORMS(2) FORMS(3)
#undef FORMS
#undef FORM
#define FORMS(rows) {weight_tile_##rows##_0, weight_tile_##rows##_1, weight_tile_##rows##_2, weight_tile_##rows##_3}
typedef void (*weight_tile)(const axis_phase *, const axis_phase *, int, const float *, int, float *, int64_t);
static const weight_tile weight_tiles[4][4] = {FORMS(0), FORMS(1), FORMS(2), FORMS(3)};
#undef FORMS
/* Which of the outer weights a phase has: bit 0 for the first, bit 1 for the last. */
INLINE int outer_weights(int places) { return (places & 1) | (places >> 4 & 2); }

/* Outputs of one tile and vector, `dy` and `dx` apart from (y, x) on, to the image where they lie in it, and into the
 * statistics. `uses_rows` and `uses_columns` have bits for places; others are 0. */
INLINE void output_tile(const p2r_layer *layer, const float *m, int64_t place, int uses_rows, int uses_columns, vec bias,
                        float *plane, int y, int x, int dy, int dx, run_stats *stats) {
    vec t[24], o[16];
    UNROLL for (int j = 0; j < 6; j++) {
        vec c[6];
        UNROLL for (int i = 0; i < 6; i++)
            c[i] = uses_rows >> i & uses_columns >> j & 1 ? v_load(m + (i * 6 + j) * place) : v_zero();
        output_line(c[0], c[1], c[2], c[3], c[4], c[5], t + j, 6);
    }
    UNROLL for (int i = 0; i < 4; i++)
        output_line(t[i * 6], t[i * 6 + 1], t[i * 6 + 2], t[i * 6 + 3], t[i * 6 + 4], t[i * 6 + 5], o + i * 4, 1);
    int rows = min_int(4, ceil_div(layer->height - y, dy)), columns = min_int(4, ceil_div(layer->width - x, dx));
    if (stats->count == 0) stats_begin(stats, v_add(o[0], bias));
    float *corner = plane + ((int64_t)y * layer->width + x) * B;
    if (rows == 4 && columns == 4) { /* nearly always: with constant bounds the outputs stay in registers */
        UNROLL for (int i = 0; i < 4; i++) UNROLL for (int j = 0; j < 4; j++) {
            vec v = v_add(o[i * 4 + j], bias);
            v_store(corner + ((int64_t)i * dy * layer->width + j * dx) * B, v);
            stats_add(stats, v);
        }
        return;
    }
    for (int i = 0; i < rows; i++) {
        float *at = corner + (int64_t)i * dy * layer->width * B;
        for (int j = 0; j < columns; j++) {
            vec v = v_add(o[i * 4 + j], bias);
            v_store(at + (int64_t)j * dx * B, v);
            stats_add(stats, v);
        }
    }
}

#endif
