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
 * the one of float f is stored at out + places[f], unless that is negative. */
static void pack_run(const char *data, int64_t row, int outputs, int n, const int32_t *places, float *out) {
    for (int f = 0; f < n; f += B) {
        vec lanes[B];
        int from = n >= B ? min_int(f, n - B) : 0; /* the last ones overlap rather than read beyond the end */
        for (int k = 0; k < B; k++) {
            float few[B] = {0};
            const char *at = data + ((int64_t)k * row + from) * 4;
            if (k >= outputs) lanes[k] = v_zero();
            else if (n >= B) lanes[k] = v_load((const float *)(const void *)at);
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

/* Packs weights of `n_blocks` blocks of operand `operand` from block `block`, for `panel` vectors of output channels
 * from k0 on: [block][tap][channel][panel * B]. `order[t]` is the tap that kernel position t is, or -1. */
static void pack_weights(const p2r_layer *layer, int operand, int block, int n_blocks, int k0, int panel,
                         const int16_t *order, int n_taps, float *out) {
    int positions = layer->kernel[0] * layer->kernel[1], channels = layer->in[operand].channels;
    int32_t places[B * MAX_TAPS];
    for (int b = block; b < block + n_blocks; b++) {
        int first = b * B, end = min_int(channels, first + B), count = end - first, stride = panel * B;
        for (int c = 0; c < count; c++)
            for (int t = 0; t < positions; t++)
                places[c * positions + t] = order[t] < 0 ? -1 : (order[t] * count + c) * stride;
        for (int i = 0; i < layer->n_weights; i++) {
            const p2r_weights *w = &layer->weights[i];
            int from = max_int(first, w->first), to = min_int(end, w->first + w->channels);
            if (w->operand != operand || from >= to) continue;
            for (int v = 0; v < panel; v++) {
                int k = k0 + v * B, outputs = min_int(B, layer->channels - k);
                const char *data = (const char *)w->data + ((int64_t)k * w->row + (from - w->first) * w->column) * 4;
                const int32_t *at = places + (from - first) * positions;
                if (outputs <= 0) outputs = 0, data = w->data;
                if (w->column == positions) pack_run(data, w->row, outputs, (to - from) * positions, at, out + v * B);
                else for (int c = from; c < to; c++, data += w->column * 4, at += positions)
                    pack_run(data, w->row, outputs, positions, at, out + v * B);
            }
        }
        out += (int64_t)count * n_taps * stride;
    }
}

/* The bias with zeros behind it, for whole vectors. */
static void pack_bias(const p2r_layer *layer, float *out) {
    memset(out, 0, sizeof(float) * blocks(layer->channels) * B);
    if (layer->bias) memcpy(out, layer->bias, sizeof(float) * layer->channels);
}

#endif
