/* Engine inputs and outputs: images of bytes [N][H][W][C], floats [N][C][H][W]. */
#ifndef P2R_BYTES_H
#define P2R_BYTES_H
#include "simple.h"

static void from_bytes_row(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_layer *layer = job->layer;
    row_unit u = row_of_unit(job, unit);
    const uint8_t *image = job->call->buffers[layer->buffers[0]].data;
    int c = layer->channels, first = u.block * B, count = min_int(B, c - first);
    const uint8_t *at = image + ((int64_t)(u.image * (int64_t)layer->height + u.y) * layer->width) * c + first;
    (void)worker;
    memset(u.out, 0, sizeof(float) * layer->width * B);
    for (int x = 0; x < layer->width; x++, at += c)
        for (int i = 0; i < count; i++) u.out[x * B + i] = (float)at[i] * layer->scale + layer->shift;
}

INLINE uint8_t byte_of(float v) { return (uint8_t)(v > 0.0f ? v < 255.0f ? v : 255.0f : 0.0f); } /* NaN: 0 */

static void to_bytes_row(void *context, int unit, int worker) { /* a row of one image, all channels */
    const row_job *job = context;
    const p2r_layer *layer = job->layer;
    const p2r_operand *x = layer->in;
    int image = unit / x->height, y = unit % x->height, c = x->channels;
    uint8_t *out = (uint8_t *)job->call->buffers[layer->buffers[0]].data + (int64_t)unit * x->width * c;
    vec scale = v_set(layer->scale), shift = v_set(layer->shift);
    (void)worker;
    for (int b = 0; b < blocks(c); b++) {
        plane p = plane_of(job->call, x, image, b);
        const float *row = p.data + (int64_t)y * x->width * B;
        int count = min_int(B, c - b * B);
        for (int i = 0; i < x->width; i++) {
            float values[B];
            v_store(values, v_fma(seen(&p, row + i * B), scale, shift));
            for (int k = 0; k < count; k++) out[(int64_t)i * c + b * B + k] = byte_of(values[k]);
        }
    }
}

static void to_floats_row(void *context, int unit, int worker) { /* a row of one block of channels */
    const row_job *job = context;
    const p2r_operand *x = job->layer->in;
    int n = blocks(x->channels), y = unit % x->height, block = unit / x->height % n, image = unit / x->height / n;
    plane p = plane_of(job->call, x, image, block);
    float *out = (float *)job->call->buffers[job->layer->buffers[0]].data;
    (void)worker;
    for (int i = 0; i < x->width; i++) {
        float values[B];
        v_store(values, seen(&p, p.data + ((int64_t)y * x->width + i) * B));
        for (int k = 0; k < min_int(B, x->channels - block * B); k++)
            out[(((int64_t)image * x->channels + block * B + k) * x->height + y) * x->width + i] = values[k];
    }
}

/* A row of one image: where the mask of bytes is not 0 the operand, elsewhere the image; buffers: out, image, mask. */
static void paste_bytes_row(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_layer *layer = job->layer;
    const p2r_operand *x = layer->in;
    const p2r_buffer *buffers = job->call->buffers;
    int image = unit / x->height, y = unit % x->height, c = x->channels;
    int64_t first = (int64_t)unit * x->width;
    uint8_t *out = (uint8_t *)buffers[layer->buffers[0]].data + first * c;
    const uint8_t *mask = (const uint8_t *)buffers[layer->buffers[2]].data + first;
    vec scale = v_set(layer->scale), shift = v_set(layer->shift);
    (void)worker;
    memcpy(out, (const uint8_t *)buffers[layer->buffers[1]].data + first * c, (size_t)x->width * c);
    for (int b = 0; b < blocks(c); b++) {
        plane p = plane_of(job->call, x, image, b);
        const float *row = p.data + (int64_t)y * x->width * B;
        int count = min_int(B, c - b * B);
        for (int i = 0; i < x->width; i++) {
            if (!mask[i]) continue;
            float values[B];
            v_store(values, v_fma(seen(&p, row + (int64_t)i * B), scale, shift));
            for (int k = 0; k < count; k++) out[(int64_t)i * c + b * B + k] = byte_of(values[k]);
        }
    }
}

static void to_match_run(const p2r_layer *layer, const p2r_call *call) {
    size_t bytes = (size_t)layer->batch * layer->source[0] * layer->source[1] * 4;
    memcpy(call->buffers[layer->buffers[0]].data, call->arena + layer->codes, bytes);
}

static void bytes_run(const p2r_layer *layer, const p2r_call *call) {
    row_job job = {layer, call, {0}};
    const p2r_operand *x = layer->in;
    if (layer->kind == P2R_FROM_BYTES) run_rows(layer, call, from_bytes_row);
    else if (layer->kind == P2R_TO_BYTES) p2r_parallel(call->threads, layer->batch * x->height, to_bytes_row, &job);
    else if (layer->kind == P2R_PASTE_BYTES) p2r_parallel(call->threads, layer->batch * x->height, paste_bytes_row, &job);
    else p2r_parallel(call->threads, layer->batch * blocks(x->channels) * x->height, to_floats_row, &job);
}

#endif
