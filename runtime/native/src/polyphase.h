/* A strided convolution as a sum of convolutions of stride 1, one for each phase of its input; a transposed one as
 * several of them, one for each phase of its output. Winograd's F(4, 3) does those of at most three taps an axis; where
 * a phase has fewer, its outer weights are 0 and so are whole places of the transformed kernel: the first where weight 0
 * is, the last where weight 2 is. They are left out: a 4×4 kernel of stride 2 takes 100 products, not 256. */
#ifndef P2R_POLYPHASE_H
#define P2R_POLYPHASE_H
#include "pack.h"

enum { PLACES = 36, MAX_STRIDE = 2, MAX_PHASES_OF_TILES = MAX_STRIDE * MAX_STRIDE, ALL_PLACES = 63 };

typedef struct {
    int begin;                   /* pixels from an output's place in the input to the first of the three taps */
    int places;                  /* bit i: place i of 6 is not 0 */
    int8_t position[3];          /* in the kernel, of each of the three taps; -1 for a tap that is missing */
} axis_phase;

typedef struct {
    int inputs, outputs;         /* phases: one of both is 1 */
    int sides[2];                /* of either, along each axis */
    axis_phase axis[2][MAX_STRIDE];
    int n_places, n_taps;        /* of all phases together */
} polyphase;

INLINE int floor_div(int a, int b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }
INLINE int places_of(int has_first, int has_last) { /* whether there are weights 0 and 2; 1 there is always */
    return (has_first ? 1 : 0) | 30 | (has_last ? 32 : 0);
}

/* The phase that each kernel position belongs to, and where it reads in it. */
static void axis_taps_of(const p2r_layer *layer, int axis, int *phase, int *at) {
    int stride = layer->stride[axis], pad = layer->pad[axis];
    for (int k = 0; k < layer->kernel[axis]; k++) {
        if (layer->kind == P2R_CONV_TRANSPOSE) {
            phase[k] = k - pad - floor_div(k - pad, stride) * stride;
            at[k] = (phase[k] + pad - k) / stride;
        } else {
            int away = stride == 1 ? k : k - pad; /* any padding of a dilated kernel moves the whole tile */
            at[k] = floor_div(away, stride);
            phase[k] = away - at[k] * stride;
        }
    }
}

/* Whether every phase reads the pixel `at`, which is then the middle tap's. */
static int reads(const int *phase, const int *at, int kernel, int stride, int middle) {
    int seen = 0;
    for (int k = 0; k < kernel; k++) seen |= at[k] == middle ? 1 << phase[k] : 0;
    return seen == (1 << stride) - 1;
}

/* Phases of one axis; 0 where F(4, 3) cannot do them. */
static int axis_phases(const p2r_layer *layer, int axis, axis_phase *out) {
    int stride = layer->stride[axis], transposed = layer->kind == P2R_CONV_TRANSPOSE, kernel = layer->kernel[axis];
    int low[MAX_STRIDE], high[MAX_STRIDE], at[3 * MAX_STRIDE], phase[3 * MAX_STRIDE], apart = layer->dilation[axis];
    if (stride > MAX_STRIDE || kernel > 3 * stride || (apart > 1 && (stride > 1 || transposed))) return 0;
    axis_taps_of(layer, axis, phase, at);
    for (int p = 0; p < stride; p++) low[p] = INT16_MAX, high[p] = INT16_MIN;
    for (int k = 0; k < kernel; k++) {
        int p = transposed ? 0 : phase[k]; /* phases of an output read the same transformed input */
        low[p] = min_int(low[p], at[k]);
        high[p] = max_int(high[p], at[k]);
    }
    for (int p = 0; p < stride; p++) {
        int shared = transposed ? 0 : p, range = high[shared] - low[shared], from = low[shared] - 1;
        if (range < 0 || range > 2) return 0;
        if (range == 2 || (transposed && !reads(phase, at, kernel, stride, low[0]))) from++;
        if (transposed && !reads(phase, at, kernel, stride, from + 1)) return 0;
        memset(out[p].position, -1, sizeof out[p].position);
        for (int k = 0; k < kernel; k++)
            if (phase[k] == p) out[p].position[at[k] - from] = (int8_t)k;
        out[p].places = places_of(out[p].position[0] >= 0, out[p].position[2] >= 0);
        out[p].begin = transposed ? from : stride == 1 ? from * apart - layer->pad[axis] : from * stride + p;
    }
    return 1;
}

/* Whether a phase has the tap: the one in the middle always. */
INLINE int has_tap(int places, int tap) { return tap == 1 ? 1 : places >> (tap ? 5 : 0) & 1; }

INLINE int count_bits(int bits) {
    int n = 0;
    for (; bits; bits &= bits - 1) n++;
    return n;
}

/* 0 where F(4, 3) cannot do the layer. */
static int polyphase_of(const p2r_layer *layer, polyphase *p) {
    int transposed = layer->kind == P2R_CONV_TRANSPOSE, taps[2] = {0, 0}, places[2] = {0, 0};
    for (int axis = 0; axis < 2; axis++) {
        if (!axis_phases(layer, axis, p->axis[axis])) return 0;
        p->sides[axis] = layer->stride[axis];
        for (int i = 0; i < p->sides[axis]; i++) places[axis] += count_bits(p->axis[axis][i].places);
        taps[axis] = layer->kernel[axis];
    }
    int phases = p->sides[0] * p->sides[1];
    p->inputs = transposed ? 1 : phases;
    p->outputs = transposed ? phases : 1;
    p->n_places = places[0] * places[1];
    p->n_taps = taps[0] * taps[1];
    return 1;
}

INLINE const axis_phase *phase_of(const polyphase *p, int axis, int phase) {
    return &p->axis[axis][axis ? phase % p->sides[1] : phase / p->sides[1]];
}

INLINE int has_place(const polyphase *p, int phase, int place) {
    return phase_of(p, 0, phase)->places >> place / 6 & phase_of(p, 1, phase)->places >> place % 6 & 1;
}

/* Of all phases together. */
INLINE int all_places(const polyphase *p, int axis) {
    int bits = 0;
    for (int i = 0; i < p->sides[axis]; i++) bits |= p->axis[axis][i].places;
    return bits;
}

#endif
