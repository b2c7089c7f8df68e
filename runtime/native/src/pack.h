/* Copies into the order in which the innermost loop reads: patches of an operand, and panels of weights. */
#ifndef P2R_PACK_H
#define P2R_PACK_H
#include "micro.h"

/* Pixels x0, x0 + step, … of one row of an operand; NULL is a row of zeros. */
static void pack_row(const plane *p, const float *row, int x0, int step, int n, int is_reflected, float *out) {
    int first = x0 < 0 ? min_int(n, ceil_div(-x0, step)) : 0;
    int end = row ? max_int(first, min_int(n, x0 < p->width ? ceil_div(p->width - x0, step) : 0)) : 0;
    if (!row) first = 0;
    for (int i = 0; i < n; i++) {
        if (i == first && i < end) {
            const float *at = row + (int64_t)(x0 + i * step) * B;
            int64_t move = (int64_t)step * B;
            if (is_plain(p)) for (; i < end; i++, at += move) v_store(out + (int64_t)i * B, v_load(at));
            else if (p->act == P2R_LEAKY)
                for (; i < end; i++, at += move)
                    v_store(out + (int64_t)i * B, activated(v_fma(v_load(at), p->scale, p->shift), P2R_LEAKY, p->alpha));
            else for (; i < end; i++, at += move) v_store(out + (int64_t)i * B, seen(p, at));
            if (i == n) break;
        }
        int inside = row && is_reflected;
        v_store(out + (int64_t)i * B, inside ? seen(p, row + (int64_t)reflected(x0 + i * step, p->width) * B) : v_zero());
    }
}

/* The row y of a plane, or NULL where zeros are. */
INLINE const float *row_of(const plane *p, int y, int is_reflected) {
    if (y < 0 || y >= p->height) {
        if (!is_reflected) return NULL;
        y = reflected(y, p->height);
    }
    return p->data + (int64_t)y * p->width * B;
}

/* Runs of `n` neighbouring floats of up to B output channels, `row` floats apart, become vectors of output channels:
 * the one of float f is stored at out + places[f], unless that is negative. Nothing from `end` on is read. The run that
 * lies `ahead` floats on is fetched meanwhile, where runs are too short for the processor to foresee it; 0 is none. */
static void pack_run(const char *data, const char *end, int64_t row, int outputs, int n, int64_t ahead,
                     const int32_t *places, float *out) {
    for (int f = 0; f < n; f += B) {
        vec lanes[B];
        int from = n >= B ? min_int(f, n - B) : 0; /* the last ones overlap rather than read beyond the end */
        for (int k = 0; k < B; k++) {
            float few[B] = {0};
            const char *at = data + ((int64_t)k * row + from) * 4;
            if (ahead) v_prefetch((const float *)(const void *)(at + ahead * 4));
            if (k >= outputs) lanes[k] = v_zero();
            else if (at + B * 4 <= end) lanes[k] = v_load((const float *)(const void *)at);
            else {
                memcpy(few, at, (size_t)n * 4);
                lanes[k] = v_load(few);
            }
        }
        v_transpose(lanes);
        for (int i = 0; i < min_int(B, n); i++)
            if (places[from + i] >= 0) v_store(out + places[from + i], lanes[i]);
    }
}

/* Where each position of a kernel goes: to tap `tap` of `taps` of a phase, before whose taps lie `before` others. */
typedef struct {
    int16_t before[MAX_TAPS], tap[MAX_TAPS], taps[MAX_TAPS];
} tap_order;

/* Packs weights of `n_blocks` blocks of operand `operand` from block `block`, for `panel` vectors of output channels
 * from k0 on: [phase][channel block][tap][channel][panel * B]. They are the channels from `first` on of `total`. */
static void pack_weights(const p2r_layer *layer, int operand, int block, int n_blocks, int k0, int panel,
                         const tap_order *order, int first, int total, float *out) {
    int positions = layer->kernel[0] * layer->kernel[1], channels = layer->in[operand].channels, stride = panel * B;
    int32_t places[B * MAX_TAPS];
    for (int b = block; b < block + n_blocks; b++) {
        int low = b * B, high = min_int(channels, low + B), count = high - low, at = first + low - block * B;
        for (int c = 0; c < count; c++)
            for (int t = 0; t < positions; t++)
                places[c * positions + t] = order->tap[t] < 0 ? -1 : (order->before[t] * total + at * order->taps[t] +
                                                                      order->tap[t] * count + c) * stride;
        for (int i = 0; i < layer->n_weights; i++) {
            const p2r_weights *w = &layer->weights[i];
            int from = max_int(low, w->first), to = min_int(high, w->first + w->channels);
            if (w->operand != operand || from >= to) continue;
            const char *start = w->data;
            const char *end = start + ((layer->channels - 1) * w->row + (w->channels - 1) * w->column + positions) * 4;
            for (int v = 0; v < panel; v++) {
                int k = k0 + v * B, outputs = max_int(0, min_int(B, layer->channels - k));
                const char *data = start + ((outputs ? k : 0) * w->row + (from - w->first) * w->column) * 4;
                const int32_t *to_place = places + (from - low) * positions;
                if (w->column == positions)
                    pack_run(data, end, w->row, outputs, (to - from) * positions, 0, to_place, out + v * B);
                else for (int c = from; c < to; c++, data += w->column * 4, to_place += positions)
                    pack_run(data, end, w->row, outputs, positions, 2 * w->column, to_place, out + v * B);
            }
        }
    }
}

/* The bias with zeros behind it, for whole vectors. */
static void pack_bias(const p2r_layer *layer, float *out) {
    memset(out, 0, sizeof(float) * blocks(layer->channels) * B);
    if (layer->bias) memcpy(out, layer->bias, sizeof(float) * layer->channels);
}

#endif
