/* Linear layers between a vector and a map, and vectors from the engine's inputs. Weights [K][C·H·W] are read once, as
 * the file has them: there is too little arithmetic to pay for packing. */
#ifndef P2R_LINEAR_H
#define P2R_LINEAR_H
#include "simple.h"

/* Values of the engine's input [N][C] as a vector; a unit is one block of one image. */
static void from_floats_block(void *context, int unit, int worker) {
    const row_job *job = context;
    row_unit u = row_of_unit(job, unit);
    const char *data = job->call->buffers[job->layer->buffers[0]].data;
    int c = job->layer->channels, first = u.block * B;
    (void)worker;
    memset(u.out, 0, sizeof(float) * B);
    memcpy(u.out, data + ((size_t)u.image * c + first) * 4, sizeof(float) * min_int(B, c - first));
}

/* `n` floats of the file to whole vectors, with zeros behind them. */
INLINE vec load_few(const char *at, int n) {
    float few[B] = {0};
    if (n >= B) return v_load((const float *)(const void *)at);
    memcpy(few, at, sizeof(float) * n);
    return v_load(few);
}

/* Flat values of one block of channels of a map: [count][H·W], padded to whole vectors. */
INLINE int block_floats(const p2r_operand *x) { return ceil_div(B * x->height * x->width, B) * B; }

/* One block of one image of the input, as the weights have it, to the scratch. */
static void flatten_block(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_operand *x = job->layer->in;
    int n = blocks(x->channels), block = unit % n, pixels = x->height * x->width;
    plane p = plane_of(job->call, x, unit / n, block);
    float *out = floats(job->call, job->layer->scratch) + (int64_t)unit * pixels * B;
    (void)worker;
    for (int i = 0; i < pixels; i++) {
        float values[B];
        v_store(values, seen(&p, p.data + (int64_t)i * B));
        for (int c = 0; c < B; c++) out[(int64_t)c * pixels + i] = block * B + c < x->channels ? values[c] : 0;
    }
}

INLINE float sum_of(vec v) {
    float values[B], total = 0;
    v_store(values, v);
    for (int i = 0; i < B; i++) total += values[i];
    return total;
}

/* One output of every image: the product of a row of weights with each flat input. */
static void contract_row(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_layer *layer = job->layer;
    const p2r_operand *x = layer->in;
    int64_t inputs = (int64_t)x->channels * x->height * x->width, padded = (int64_t)blocks(x->channels) * B * x->height * x->width;
    const char *row = (const char *)layer->weights->data + (int64_t)unit * layer->weights->row * 4;
    int lanes = blocks(layer->channels) * B;
    (void)worker;
    for (int image = 0; image < layer->batch; image++) {
        const float *flat = floats(job->call, layer->scratch) + image * padded;
        vec sums[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
        int64_t i = 0;
        for (; i + 4 * B <= inputs; i += 4 * B) UNROLL for (int j = 0; j < 4; j++)
            sums[j] = v_fma(v_load(flat + i + j * B), v_load((const float *)(const void *)(row + (i + j * B) * 4)), sums[j]);
        for (; i < inputs; i += B) {
            int n = (int)(inputs - i < B ? inputs - i : B);
            sums[0] = v_fma(load_few((const char *)(flat + i), n), load_few(row + i * 4, n), sums[0]);
        }
        float total = sum_of(v_add(v_add(sums[0], sums[1]), v_add(sums[2], sums[3])));
        floats(job->call, layer->out)[(int64_t)image * lanes + unit] = total + (layer->bias ? float_at(layer->bias, unit) : 0);
    }
}

static int64_t contract_scratch(const p2r_layer *layer) {
    const p2r_operand *x = layer->in;
    return round_up((int64_t)layer->batch * blocks(x->channels) * B * x->height * x->width * 4);
}

static void contract_run(const p2r_layer *layer, const p2r_call *call) {
    row_job job = {layer, call, {0}};
    memset(floats(call, layer->out), 0, sizeof(float) * layer->batch * blocks(layer->channels) * B);
    p2r_parallel(call->threads, layer->batch * blocks(layer->in->channels), flatten_block, &job);
    p2r_parallel(call->threads, layer->channels, contract_row, &job);
}

/* One block of output channels of every image: sums of rows of weights, made flat in the scratch. */
static void expand_block(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_layer *layer = job->layer;
    const p2r_operand *x = layer->in;
    int pixels = layer->height * layer->width, count = min_int(B, layer->channels - unit * B), many = count * pixels;
    int64_t first = (int64_t)unit * B * pixels, row = layer->weights->row;
    const char *weights = (const char *)layer->weights->data + first * 4;
    float *flat = floats(job->call, layer->scratch) + (int64_t)worker * pixels * B;
    for (int image = 0; image < layer->batch; image++) {
        memset(flat, 0, sizeof(float) * pixels * B);
        if (layer->bias) memcpy(flat, (const char *)layer->bias + first * 4, sizeof(float) * many);
        for (int k = 0; k < x->channels; k += 4) { /* four rows a pass: `flat` is in the first cache */
            int rows = min_int(4, x->channels - k);
            vec factors[4];
            for (int j = 0; j < 4; j++) {
                int c = min_int(k + j, x->channels - 1);
                plane p = plane_of(job->call, x, image, c / B);
                float values[B];
                v_store(values, seen(&p, p.data));
                factors[j] = v_set(j < rows ? values[c % B] : 0);
            }
            const char *at = weights + k * row * 4;
            for (int i = 0; i < many; i += B) {
                int n = min_int(B, many - i);
                vec sum = v_load(flat + i);
                if (rows == 4 && n == B) UNROLL for (int j = 0; j < 4; j++)
                    sum = v_fma(factors[j], v_load((const float *)(const void *)(at + (j * row + i) * 4)), sum);
                else for (int j = 0; j < rows; j++) sum = v_fma(factors[j], load_few(at + (j * row + i) * 4, n), sum);
                v_store(flat + i, sum);
            }
        }
        float *out = floats(job->call, layer->out) + ((int64_t)image * blocks(layer->channels) + unit) * pixels * B;
        for (int i = 0; i < pixels; i++)
            for (int c = 0; c < B; c++) out[(int64_t)i * B + c] = c < count ? flat[c * pixels + i] : 0;
    }
}

static int64_t expand_scratch(const p2r_layer *layer, int threads) {
    return round_up((int64_t)threads * layer->height * layer->width * B * 4);
}

static void expand_run(const p2r_layer *layer, const p2r_call *call) {
    row_job job = {layer, call, {0}};
    p2r_parallel(call->threads, blocks(layer->channels), expand_block, &job);
}

#endif
