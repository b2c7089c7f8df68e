/* A step of the search for ẑ: gradients of activations, both losses with their gradients, and descent with momentum. */
#ifndef P2R_SEARCH_H
#define P2R_SEARCH_H
#include "linear.h"

INLINE float number_of(const p2r_call *call, int buffer) { return float_at(call->buffers[buffer].data, 0); }

/* What went in, the gradient by what came out; scale: the slope below 0. options[0]: a tanh, whose result is given. */
static void act_gradient_row(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_layer *layer = job->layer;
    row_unit u = row_of_unit(job, unit);
    plane x = plane_of(job->call, &layer->in[0], u.image, u.block), g = plane_of(job->call, &layer->in[1], u.image, u.block);
    const float *values = x.data + (int64_t)u.y * layer->width * B, *gradients = g.data + (int64_t)u.y * layer->width * B;
    (void)worker;
    for (int i = 0; i < layer->width * B; i += B) {
        vec at = seen(&x, values + i), by = seen(&g, gradients + i);
        if (layer->options[0]) v_store(u.out + i, v_mul(by, v_fma(v_sub(v_zero(), at), at, v_set(1))));
        else v_store(u.out + i, v_if_positive(at, by, v_mul(by, v_set(layer->scale))));
    }
}

/* Sums of one row of one image, or of all: M·d(y), M·d(image), and M·d(y)·log(d(y) / d(image)). */
typedef struct {
    double wanted, made, ratio;
} contextual_sums;

typedef struct {
    const uint8_t *observed, *known;
    float slope, offset;
} contextual_input;

INLINE contextual_input contextual_of(const row_job *job) {
    const p2r_buffer *buffers = job->call->buffers;
    const p2r_layer *layer = job->layer;
    return (contextual_input){buffers[layer->buffers[0]].data, buffers[layer->buffers[1]].data, layer->scale, layer->shift};
}
INLINE float darkness(const contextual_input *in, float x) { return (1.0f - x) * in->slope + in->offset; }
INLINE float observed_at(const contextual_input *in, int64_t i) { return darkness(in, (float)in->observed[i] * (1 / 127.5f) - 1.0f); }

static void contextual_sums_row(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_layer *layer = job->layer;
    const p2r_operand *x = layer->in;
    int image = unit / x->height, y = unit % x->height, c = x->channels;
    contextual_input in = contextual_of(job);
    contextual_sums sums = {0, 0, 0};
    (void)worker;
    for (int block = 0; block < blocks(c); block++) {
        plane p = plane_of(job->call, x, image, block);
        for (int i = 0; i < x->width; i++) {
            int64_t pixel = (int64_t)y * x->width + i;
            float weight = (float)in.known[pixel] * (1 / 255.0f), values[B];
            if (weight == 0) continue;
            v_store(values, seen(&p, p.data + pixel * B));
            for (int k = 0; k < min_int(B, c - block * B); k++) {
                float wanted = observed_at(&in, pixel * c + block * B + k), made = darkness(&in, values[k]);
                sums.wanted += wanted * weight;
                sums.made += made * weight;
                if (!layer->options[0]) sums.ratio += (double)(wanted * weight) * logf(wanted / made);
            }
        }
    }
    ((contextual_sums *)(job->call->arena + layer->scratch))[unit] = sums;
}

INLINE contextual_sums contextual_total(const row_job *job, int image) {
    const contextual_sums *rows = (const contextual_sums *)(job->call->arena + job->layer->scratch);
    contextual_sums total = {0, 0, 0};
    int height = job->layer->in->height;
    for (int y = 0; y < height; y++) {
        const contextual_sums *row = rows + (int64_t)image * height + y;
        total.wanted += row->wanted;
        total.made += row->made;
        total.ratio += row->ratio;
    }
    return total;
}

static void contextual_gradient_row(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_layer *layer = job->layer;
    row_unit u = row_of_unit(job, unit);
    plane p = plane_of(job->call, layer->in, u.image, u.block);
    contextual_input in = contextual_of(job);
    contextual_sums total = contextual_total(job, u.image);
    float by_wanted = (float)(1 / total.wanted), by_made = (float)(1 / total.made);
    int c = layer->channels, first = u.block * B;
    (void)worker;
    for (int i = 0; i < layer->width; i++) {
        int64_t pixel = (int64_t)u.y * layer->width + i;
        float weight = (float)in.known[pixel] * (1 / 255.0f), values[B], out[B] = {0};
        if (weight != 0) {
            v_store(values, seen(&p, p.data + pixel * B));
            for (int k = 0; k < min_int(B, c - first); k++) {
                float share = observed_at(&in, pixel * c + first + k) * by_wanted;
                out[k] = in.slope * weight * (share / darkness(&in, values[k]) - by_made);
            }
        }
        v_store(u.out + (int64_t)i * B, v_load(out));
    }
}

static int64_t contextual_scratch(const p2r_layer *layer) {
    return round_up((int64_t)layer->batch * layer->in->height * (int64_t)sizeof(contextual_sums));
}

/* scale: slope; shift: offset; buffers: observed, known mask. options[0]: the gradient, else the loss. */
static void contextual_run(const p2r_layer *layer, const p2r_call *call) {
    row_job job = {layer, call, {0}};
    p2r_parallel(call->threads, layer->batch * layer->in->height, contextual_sums_row, &job);
    if (layer->options[0]) {
        run_rows(layer, call, contextual_gradient_row);
        return;
    }
    for (int image = 0; image < layer->batch; image++) {
        contextual_sums total = contextual_total(&job, image);
        float *out = floats(call, layer->out) + (int64_t)image * B;
        memset(out, 0, sizeof(float) * B);
        out[0] = (float)(total.ratio / total.wanted + log(total.made) - log(total.wanted));
    }
}

/* −softplus of a score; options[0]: its gradient times the number in buffers[0]. A unit is one image. */
static void perceptual_image(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_layer *layer = job->layer;
    plane p = plane_of(job->call, layer->in, unit, 0);
    float values[B], *out = floats(job->call, layer->out) + (int64_t)unit * B;
    (void)worker;
    v_store(values, seen(&p, p.data));
    double x = values[0];
    memset(out, 0, sizeof(float) * B);
    if (layer->options[0]) out[0] = (float)(-number_of(job->call, layer->buffers[0]) / (1 + exp(-x)));
    else out[0] = (float)-(x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)));
}

/* Velocity, gradient; buffers: momentum, learning rate. */
static void momentum_row(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_layer *layer = job->layer;
    row_unit u = row_of_unit(job, unit);
    plane v = plane_of(job->call, &layer->in[0], u.image, u.block), g = plane_of(job->call, &layer->in[1], u.image, u.block);
    vec kept = v_set(number_of(job->call, layer->buffers[0])), rate = v_set(number_of(job->call, layer->buffers[1]));
    (void)worker;
    v_store(u.out, v_sub(v_mul(kept, seen(&v, v.data)), v_mul(rate, seen(&g, g.data))));
}

/* z, velocity; buffers: the limit. */
static void bounded_sum_row(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_layer *layer = job->layer;
    row_unit u = row_of_unit(job, unit);
    plane z = plane_of(job->call, &layer->in[0], u.image, u.block), v = plane_of(job->call, &layer->in[1], u.image, u.block);
    float limit = number_of(job->call, layer->buffers[0]);
    (void)worker;
    v_store(u.out, v_min(v_max(v_add(seen(&z, z.data), seen(&v, v.data)), v_set(-limit)), v_set(limit)));
}

#endif
