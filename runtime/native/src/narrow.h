/* Convolutions to few channels, such as a picture's three: vectors of outputs would be mostly empty. Here the lanes are
 * input channels, and a pixel's sums are added up at the end. Lanes beyond the input's channels have weights of 0. */
#ifndef P2R_NARROW_H
#define P2R_NARROW_H
#include "geometry.h"

enum { NARROW = 4 }; /* channels at most, and half a vector */

INLINE int is_narrow(const p2r_layer *layer) { return layer->channels <= min_int(NARROW, B / 2); }

/* Weights as [phase][channel block][tap][output][B]. */
static void narrow_weights(const p2r_layer *layer, const geometry *g, float *out) {
    int n_blocks = total_blocks(layer), outputs = layer->channels, positions = layer->kernel[0] * layer->kernel[1];
    memset(out, 0, sizeof(float) * g->first_tap[g->n_phases] * n_blocks * outputs * B);
    for (int i = 0; i < layer->n_weights; i++) {
        const p2r_weights *w = &layer->weights[i];
        int before = 0;
        for (int o = 0; o < w->operand; o++) before += blocks(layer->in[o].channels);
        for (int c = w->first; c < w->first + w->channels; c++)
            for (int t = 0; t < positions; t++) {
                if (g->order.tap[t] < 0) continue;
                int64_t at = (int64_t)g->order.before[t] * n_blocks + (int64_t)(before + c / B) * g->order.taps[t] + g->order.tap[t];
                for (int k = 0; k < outputs; k++)
                    memcpy(out + (at * outputs + k) * B + c % B,
                           (const float *)w->data + k * w->row + (c - w->first) * w->column + t, sizeof(float));
            }
    }
}

/* `pixels` neighbours × `outputs`: sums of all lanes, [pixels * outputs]. */
INLINE void narrow_sums(const int pixels, const int outputs, const product *p, float *sums) {
    vec s[NARROW * NARROW + B] = {0};
    const float *a = p->a, *w = p->w;
    UNROLL for (int i = 0; i < pixels * outputs; i++) s[i] = v_zero();
    for (int b = 0; b < p->n_blocks; b++, a += p->block)
        for (int t = 0; t < p->n_taps; t++, w += outputs * B) {
            const float *at = a + p->taps[t];
            vec y[NARROW];
            UNROLL for (int k = 0; k < outputs; k++) y[k] = v_load(w + k * B);
            UNROLL for (int m = 0; m < pixels; m++) {
                vec x = v_load(at + m * B);
                UNROLL for (int k = 0; k < outputs; k++) s[m * outputs + k] = v_fma(x, y[k], s[m * outputs + k]);
            }
        }
    for (int i = 0; i < pixels * outputs; i += B) {
        vec lanes[B], total = v_zero();
        UNROLL for (int j = 0; j < B; j++) lanes[j] = i + j < pixels * outputs ? s[i + j] : v_zero();
        v_transpose(lanes);
        UNROLL for (int j = 0; j < B; j++) total = v_add(total, lanes[j]);
        v_store(sums + i, total);
    }
}

enum { NARROW_1 = B, NARROW_2 = B >= 16 ? 8 : 4, NARROW_3 = B >= 16 ? 5 : B >= 8 ? 4 : 1, NARROW_4 = B >= 16 ? 4 : 2 };
#define FORM(outputs)                                                                                              \
    static void narrow_one_##outputs(const product *p, float *sums) { narrow_sums(1, outputs, p, sums); }          \
    static void narrow_some_##outputs(const product *p, float *sums) { narrow_sums(NARROW_##outputs, outputs, p, sums); }
FORM(1) FORM(2) FORM(3) FORM(4)
#undef FORM
static void (*const narrow_forms[NARROW][2])(const product *, float *) = {{narrow_one_1, narrow_some_1},
                                                                          {narrow_one_2, narrow_some_2},
                                                                          {narrow_one_3, narrow_some_3},
                                                                          {narrow_one_4, narrow_some_4}};

/* `count` neighbouring pixels; the last group overlaps the one before it. */
static void narrow_pixels(product p, int count, int outputs) {
    static const int some[NARROW] = {NARROW_1, NARROW_2, NARROW_3, NARROW_4};
    const float *a = p.a;
    int group = count >= some[outputs - 1] ? some[outputs - 1] : 1;
    for (int from = 0; from < count; from += group) {
        float sums[2 * B];
        from = min_int(from, count - group);
        p.a = a + (int64_t)from * B;
        narrow_forms[outputs - 1][group > 1](&p, sums);
        for (int m = 0; m < group; m++) {
            float *out = p.out + (from + m) * p.row;
            v_store(out, v_load(p.bias));
            for (int k = 0; k < outputs; k++) out[k] += sums[m * outputs + k];
        }
    }
}

#endif
