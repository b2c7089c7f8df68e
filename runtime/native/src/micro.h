/* The innermost loop: `rows` neighbouring pixels × `panel` vectors of output channels,
 *     out[m][v] (+)= sum over blocks b, taps t, channels j of a[b][t][m][j] * w[b][t][j][v].
 * The accumulators fill the registers, a weight vector is used for all rows, a pixel's value for all vectors. */
#ifndef P2R_MICRO_H
#define P2R_MICRO_H
#include "base.h"

enum { PANEL = 2, MAX_TAPS = 256, LINE = 16 /* floats of a cache line */ };

typedef struct {
    const float *a;        /* first pixel of the first block */
    int64_t block;         /* floats from a block of channels to the next */
    const int64_t *taps;   /* floats from `a` to each tap's pixel */
    int n_taps, n_blocks;
    int last;              /* channels of the last block */
    const float *w;
    const float *bias;     /* begins the sums; NULL for 0 */
    float *out;
    int64_t row, vector;   /* floats between output pixels, and between output vectors */
    int adds;              /* to what is in `out` */
    int64_t ahead;         /* floats from a tap's pixels to those that will be read a little later */
    const float *next;     /* weights that are read after these, and that no cache of the core has yet; or NULL */
    int next_lines;        /* of them to fetch in the time of one tap */
} product;

#define MULTIPLY(J)                                                                                     \
    do {                                                                                                \
        vec y[PANEL];                                                                                   \
        UNROLL for (int v = 0; v < panel; v++) y[v] = v_load(w + v * B);                                \
        UNROLL for (int m = 0; m < rows; m++) {                                                         \
            vec x = v_set(at[m * B + (J)]);                                                             \
            UNROLL for (int v = 0; v < panel; v++) sums[m][v] = v_fma(x, y[v], sums[m][v]);             \
        }                                                                                               \
        w += panel * B;                                                                                 \
    } while (0)

INLINE void multiply(const int rows, const int panel, const product *p) {
    vec sums[ROWS][PANEL];
    UNROLL for (int m = 0; m < rows; m++) UNROLL for (int v = 0; v < panel; v++)
        sums[m][v] = p->adds ? v_load(p->out + m * p->row + v * p->vector) : p->bias ? v_load(p->bias + v * B) : v_zero();
    const float *a = p->a, *w = p->w, *next = p->next;
    if (p->adds) UNROLL for (int m = 0; m < rows; m++) UNROLL for (int v = 0; v < panel; v++)
        v_prefetch(p->out + (rows + m) * p->row + v * p->vector); /* of the next group of pixels */
    int full = p->last == B ? p->n_blocks : p->n_blocks - 1;
    for (int b = 0; b < full; b++, a += p->block)
        for (int t = 0; t < p->n_taps; t++) {
            const float *at = a + p->taps[t];
            UNROLL for (int m = 0; m < rows; m++) v_prefetch(at + p->ahead + m * B);
            for (int i = 0; i < p->next_lines; i++, next += LINE) v_prefetch_far(next);
            _Pragma("GCC unroll 4") for (int j = 0; j < B; j++) MULTIPLY(j);
        }
    if (full < p->n_blocks)
        for (int t = 0; t < p->n_taps; t++) {
            const float *at = a + p->taps[t];
            for (int j = 0; j < p->last; j++) MULTIPLY(j);
        }
    UNROLL for (int m = 0; m < rows; m++) UNROLL for (int v = 0; v < panel; v++)
        v_store(p->out + m * p->row + v * p->vector, sums[m][v]);
}
#undef MULTIPLY

#define FORM(rows, panel) static void multiply_##rows##_##panel(const product *p) { multiply(rows, panel, p); }
#define FORMS(rows) FORM(rows, 1) FORM(rows, 2)
FORMS(1) FORMS(2) FORMS(3) FORMS(4)
#if defined(P2R_ISA_AVX2) || defined(P2R_ISA_AVX512) || defined(P2R_ISA_NEON)
FORMS(5) FORMS(6)
#endif
#if defined(P2R_ISA_AVX512) || defined(P2R_ISA_NEON)
FORMS(7) FORMS(8)
#endif
#if defined(P2R_ISA_AVX512)
FORMS(9) FORMS(10) FORMS(11) FORMS(12)
#endif
#undef FORMS
#undef FORM
#define PAIR(rows) {multiply_##rows##_1, multiply_##rows##_2}
static void (*const multiply_forms[ROWS][PANEL])(const product *) = {
    PAIR(1), PAIR(2), PAIR(3), PAIR(4),
#if defined(P2R_ISA_AVX2) || defined(P2R_ISA_AVX512) || defined(P2R_ISA_NEON)
    PAIR(5), PAIR(6),
#endif
#if defined(P2R_ISA_AVX512) || defined(P2R_ISA_NEON)
    PAIR(7), PAIR(8),
#endif
#if defined(P2R_ISA_AVX512)
    PAIR(9), PAIR(10), PAIR(11), PAIR(12),
#endif
};
#undef PAIR

/* `count` pixels in nearly equal groups of at most ROWS; `a` and `out` move along. */
static void multiply_pixels(product p, int count, int panel) {
    int groups = ceil_div(count, ROWS);
    const float *a = p.a;
    float *out = p.out;
    for (int g = 0; g < groups; g++) {
        int from = part(count, groups, g), rows = part(count, groups, g + 1) - from;
        p.a = a + (int64_t)from * B;
        p.out = out + from * p.row;
        multiply_forms[rows - 1][panel - 1](&p);
    }
}

#endif
