/* Masks and weights: maps of one channel without lanes, floats [N][H][W]. `mask` is what a layer reads, of the size
 * `source`, `mask_out` what it writes, of the layer's own. What is above 0 counts as set. */
#ifndef P2R_MASK_H
#define P2R_MASK_H
#include "simple.h"

INLINE const float *mask_row(const row_job *job, int image, int y) {
    const p2r_layer *layer = job->layer;
    return floats(job->call, layer->mask) + ((int64_t)image * layer->source[0] + y) * layer->source[1];
}

INLINE float *mask_out_row(const row_job *job, int unit) {
    return floats(job->call, job->layer->mask_out) + (int64_t)unit * job->layer->width;
}

static void mask_from_bytes_row(void *context, int unit, int worker) {
    const row_job *job = context;
    int width = job->layer->width;
    const uint8_t *in = (const uint8_t *)job->call->buffers[job->layer->buffers[0]].data + (int64_t)unit * width;
    float *out = mask_out_row(job, unit);
    (void)worker;
    for (int x = 0; x < width; x++) out[x] = in[x] ? 1.0f : 0.0f;
}

/* The only channel of a value, as a mask. */
static void to_mask_row(void *context, int unit, int worker) {
    const row_job *job = context;
    int height = job->layer->height, width = job->layer->width;
    plane p = plane_of(job->call, job->layer->in, unit / height, 0);
    const float *row = p.data + (int64_t)(unit % height) * width * B;
    float *out = mask_out_row(job, unit);
    (void)worker;
    for (int x = 0; x < width; x++) {
        float values[B];
        v_store(values, seen(&p, row + (int64_t)x * B));
        out[x] = values[0];
    }
}

/* A mask as the only channel of a value. */
static void from_mask_row(void *context, int unit, int worker) {
    const row_job *job = context;
    int height = job->layer->height, width = job->layer->width;
    const float *in = mask_row(job, unit / height, unit % height);
    float *out = floats(job->call, job->layer->out) + (int64_t)unit * width * B;
    (void)worker;
    for (int x = 0; x < width; x++) {
        float values[B] = {in[x]};
        v_store(out + (int64_t)x * B, v_load(values));
    }
}

/* options[0]: the mean of a window, else the largest; padding does not count. */
static void mask_pool_row(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_layer *layer = job->layer;
    int image = unit / layer->height, top = unit % layer->height * layer->stride[0] - layer->pad[0];
    int y0 = max_int(0, top), y1 = min_int(layer->source[0], top + layer->kernel[0]);
    float *out = mask_out_row(job, unit);
    (void)worker;
    for (int x = 0; x < layer->width; x++) {
        int left = x * layer->stride[1] - layer->pad[1];
        int x0 = max_int(0, left), x1 = min_int(layer->source[1], left + layer->kernel[1]);
        float sum = 0.0f, most = -INFINITY;
        for (int i = y0; i < y1; i++) {
            const float *row = mask_row(job, image, i);
            for (int j = x0; j < x1; j++) {
                sum += row[j];
                most = row[j] > most ? row[j] : most;
            }
        }
        int count = max_int(0, y1 - y0) * max_int(0, x1 - x0);
        out[x] = count == 0 ? 0.0f : layer->options[0] ? sum / (float)count : most;
    }
}

/* options: see upsample_row. */
static void mask_upsample_row(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_layer *layer = job->layer;
    int scale = layer->options[1], image = unit / layer->height, y = unit % layer->height;
    between v = layer->options[0] ? enlarged(y, scale, layer->source[0]) : nearest(y, scale);
    const float *upper = mask_row(job, image, v.a), *lower = mask_row(job, image, v.b);
    float *out = mask_out_row(job, unit);
    (void)worker;
    for (int x = 0; x < layer->width; x++) {
        between h = layer->options[0] ? enlarged(x, scale, layer->source[1]) : nearest(x, scale);
        float above = upper[h.a] + (upper[h.b] - upper[h.a]) * h.t, below = lower[h.a] + (lower[h.b] - lower[h.a]) * h.t;
        out[x] = above + (below - above) * v.t;
    }
}

/* Mask, then a value for where it is set and one for where it is not. */
static void select_row(void *context, int unit, int worker) {
    const row_job *job = context;
    row_unit u = row_of_unit(job, unit);
    plane inside = plane_of(job->call, &job->layer->in[0], u.image, u.block);
    plane outside = plane_of(job->call, &job->layer->in[1], u.image, u.block);
    int64_t first = (int64_t)u.y * job->layer->width * B;
    const float *mask = mask_row(job, u.image, u.y);
    (void)worker;
    for (int x = 0; x < job->layer->width; x++) {
        int64_t at = first + (int64_t)x * B;
        v_store(u.out + (int64_t)x * B, mask[x] > 0 ? seen(&inside, inside.data + at) : seen(&outside, outside.data + at));
    }
}

/* first + weight · (second - first); options[0]: 2 for the square of the weight. */
static void blend_row(void *context, int unit, int worker) {
    const row_job *job = context;
    row_unit u = row_of_unit(job, unit);
    plane first = plane_of(job->call, &job->layer->in[0], u.image, u.block);
    plane second = plane_of(job->call, &job->layer->in[1], u.image, u.block);
    int64_t begin = (int64_t)u.y * job->layer->width * B;
    const float *weight = mask_row(job, u.image, u.y);
    int squares = job->layer->options[0] == 2;
    (void)worker;
    for (int x = 0; x < job->layer->width; x++) {
        int64_t at = begin + (int64_t)x * B;
        vec a = seen(&first, first.data + at), b = seen(&second, second.data + at);
        vec w = v_set(squares ? weight[x] * weight[x] : weight[x]);
        v_store(u.out + (int64_t)x * B, v_fma(w, v_sub(b, a), a));
    }
}

static void mask_run(const p2r_layer *layer, const p2r_call *call, p2r_work work) { /* a row of one image a unit */
    row_job job = {layer, call, {0}};
    p2r_parallel(call->threads, layer->batch * layer->height, work, &job);
}

#endif
