/* Layers that move or add values: a pass over the data each, one row of one block of channels a unit of work. */
#ifndef P2R_SIMPLE_H
#define P2R_SIMPLE_H
#include "base.h"

typedef struct {
    const p2r_layer *layer;
    const p2r_call *call;
    partial_stats partial;
} row_job;

/* Which row of which block of which image a unit is. */
typedef struct {
    int image, block, y;
    float *out;
} row_unit;

INLINE row_unit row_of_unit(const row_job *job, int unit) {
    const p2r_layer *layer = job->layer;
    int n = blocks(layer->channels), y = unit % layer->height, plane = unit / layer->height;
    float *out = floats(job->call, layer->out) + (int64_t)unit * layer->width * B;
    return (row_unit){plane / n, plane % n, y, out};
}

static void run_rows(const p2r_layer *layer, const p2r_call *call, p2r_work work) {
    row_job job = {layer, call, {0}};
    p2r_parallel(call->threads, layer->batch * blocks(layer->channels) * layer->height, work, &job);
}

/* The sum of all operands; options[0]: the first less the others. */
static void sum_row(void *context, int unit, int worker) {
    const row_job *job = context;
    row_unit u = row_of_unit(job, unit);
    int width = job->layer->width;
    (void)worker;
    for (int i = 0; i < job->layer->n_in; i++) {
        plane p = plane_of(job->call, &job->layer->in[i], u.image, u.block);
        const float *row = p.data + (int64_t)u.y * width * B;
        if (i == 0) for (int x = 0; x < width; x++) v_store(u.out + x * B, seen(&p, row + x * B));
        else if (job->layer->options[0])
            for (int x = 0; x < width; x++) v_store(u.out + x * B, v_sub(v_load(u.out + x * B), seen(&p, row + x * B)));
        else
            for (int x = 0; x < width; x++) v_store(u.out + x * B, v_add(v_load(u.out + x * B), seen(&p, row + x * B)));
    }
}

/* Channels come from wherever they lie in the operands. */
static void concat_row(void *context, int unit, int worker) {
    const row_job *job = context;
    row_unit u = row_of_unit(job, unit);
    int width = job->layer->width, first = 0;
    (void)worker;
    memset(u.out, 0, sizeof(float) * width * B);
    for (int i = 0; i < job->layer->n_in; first += job->layer->in[i++].channels) {
        int channels = job->layer->in[i].channels, shift = u.block * B - first; /* channel of lane 0 in the operand */
        for (int b = max_int(0, shift) / B; b < blocks(channels) && b * B < shift + B; b++) {
            plane p = plane_of(job->call, &job->layer->in[i], u.image, b);
            const float *row = p.data + (int64_t)u.y * width * B;
            int from = max_int(b * B, shift), to = min_int(min_int(b * B + B, channels), shift + B);
            for (int x = 0; x < width; x++) {
                float values[B];
                v_store(values, seen(&p, row + x * B));
                for (int c = from; c < to; c++) u.out[x * B + c - shift] = values[c - b * B];
            }
        }
    }
}

static void pool_row(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_layer *layer = job->layer;
    row_unit u = row_of_unit(job, unit);
    plane p = plane_of(job->call, layer->in, u.image, u.block);
    int top = u.y * layer->stride[0] - layer->pad[0];
    int y0 = max_int(0, top), y1 = min_int(p.height, top + layer->kernel[0]);
    (void)worker;
    for (int x = 0; x < layer->width; x++) {
        int left = x * layer->stride[1] - layer->pad[1];
        int x0 = max_int(0, left), x1 = min_int(p.width, left + layer->kernel[1]);
        if (y0 >= y1 || x0 >= x1) {
            v_store(u.out + x * B, v_zero());
            continue;
        }
        int is_mean = layer->kind == P2R_AVERAGE_POOL;
        vec value = is_mean ? v_zero() : seen(&p, p.data + ((int64_t)y0 * p.width + x0) * B);
        for (int i = y0; i < y1; i++)
            for (int j = x0; j < x1; j++) {
                vec v = seen(&p, p.data + ((int64_t)i * p.width + j) * B);
                value = is_mean ? v_add(value, v) : v_max(value, v);
            }
        if (is_mean) value = v_div(value, v_set((float)((y1 - y0) * (x1 - x0))));
        v_store(u.out + x * B, value);
    }
}

static void depth_to_space_row(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_layer *layer = job->layer;
    row_unit u = row_of_unit(job, unit);
    int side = layer->options[0], source_y = u.y / side, width = layer->in->width;
    (void)worker;
    memset(u.out, 0, sizeof(float) * layer->width * B);
    for (int lane = 0; lane < min_int(B, layer->channels - u.block * B); lane++)
        for (int j = 0; j < side; j++) {
            int channel = ((u.block * B + lane) * side + u.y % side) * side + j;
            plane p = plane_of(job->call, layer->in, u.image, channel / B);
            const float *row = p.data + (int64_t)source_y * width * B;
            for (int x = 0; x < width; x++) {
                float values[B];
                v_store(values, seen(&p, row + x * B));
                u.out[(x * side + j) * B + lane] = values[channel % B];
            }
        }
}

/* Where output i of an axis that is enlarged `scale` times lies: `t` of the way from input a to b. */
typedef struct {
    int a, b;
    float t;
} between;

INLINE between enlarged(int i, int scale, int side) { /* linear, between pixels' centres */
    int at = max_int(0, 2 * i + 1 - scale), a = at / (2 * scale);
    return (between){a, min_int(a + 1, side - 1), (float)(at % (2 * scale)) / (float)(2 * scale)};
}
INLINE between nearest(int i, int scale) { return (between){i / scale, i / scale, 0}; }

/* options[1] times the size; options[0]: linear, between pixels' centres, else the nearest pixel. */
static void upsample_row(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_layer *layer = job->layer;
    row_unit u = row_of_unit(job, unit);
    plane p = plane_of(job->call, layer->in, u.image, u.block);
    int is_linear = layer->options[0], scale = layer->options[1];
    between v = is_linear ? enlarged(u.y, scale, p.height) : nearest(u.y, scale);
    const float *upper = p.data + (int64_t)v.a * p.width * B, *lower = p.data + (int64_t)v.b * p.width * B;
    vec down = v_set(v.t), up = v_set(1 - v.t);
    (void)worker;
    for (int x = 0; x < layer->width; x++) {
        between h = is_linear ? enlarged(x, scale, p.width) : nearest(x, scale);
        vec value = seen(&p, upper + h.a * B);
        if (is_linear) {
            vec right = v_set(h.t), left = v_set(1 - h.t);
            vec a = v_fma(value, left, v_mul(seen(&p, upper + h.b * B), right));
            vec b = v_fma(seen(&p, lower + h.a * B), left, v_mul(seen(&p, lower + h.b * B), right));
            value = v_fma(a, up, v_mul(b, down));
        }
        v_store(u.out + x * B, value);
    }
}

/* Statistics of an operand that no convolution wrote; a unit is one block of one image. */
static void stats_block(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_operand *x = job->layer->in;
    int n = blocks(x->channels);
    plane p = plane_of(job->call, x, unit / n, unit % n);
    double *out = (double *)(job->call->arena + job->layer->stats) + (int64_t)unit * B * 2, count = 0;
    (void)worker;
    memset(out, 0, sizeof(double) * 2 * B);
    for (int y = 0; y < x->height; y++)
        for (int left = 0; left < x->width; left += 256) {
            const float *at = p.data + ((int64_t)y * x->width + left) * B;
            int columns = min_int(256, x->width - left);
            run_stats s;
            stats_begin(&s, seen(&p, at));
            for (int i = 0; i < columns; i++) stats_add(&s, seen(&p, at + i * B));
            stats_end(&s, count, out);
            count += columns;
        }
    for (int i = 0; i < B; i++) out[2 * i + 1] /= count;
}

static void stats_run(const p2r_layer *layer, const p2r_call *call) {
    row_job job = {layer, call, {0}};
    p2r_parallel(call->threads, layer->batch * blocks(layer->in->channels), stats_block, &job);
}

INLINE float float_at(const void *floats, int i) {
    float value;
    memcpy(&value, (const char *)floats + (size_t)i * 4, 4);
    return value;
}

/* Scale and shift from statistics, epsilon and gain and bias. options[0]: of the whole batch; options[1]: from gain
 * and bias alone. Lanes beyond the channels become 0. */
static void norm_run(const p2r_layer *layer, const p2r_call *call) {
    int lanes = blocks(layer->channels) * B, n = layer->batch;
    float *scale = floats(call, layer->out), *shift = scale + (int64_t)n * lanes;
    const double *stats = layer->options[1] ? NULL : (const double *)(call->arena + layer->stats);
    memset(scale, 0, sizeof(float) * 2 * n * lanes);
    for (int c = 0; c < layer->channels; c++) {
        double gain = layer->gain ? float_at(layer->gain, c) : 1, bias = layer->bias ? float_at(layer->bias, c) : 0;
        double all_mean = 0, all_variance = 0;
        for (int i = 0; stats && i < n; i++) all_mean += stats[((int64_t)i * lanes + c) * 2] / n;
        for (int i = 0; stats && i < n; i++) {
            const double *at = stats + ((int64_t)i * lanes + c) * 2;
            all_variance += (at[1] + (at[0] - all_mean) * (at[0] - all_mean)) / n;
        }
        for (int i = 0; i < n; i++) {
            const double *at = stats ? stats + ((int64_t)i * lanes + c) * 2 : NULL;
            double mean = !stats ? 0 : layer->options[0] ? all_mean : at[0];
            double factor = !stats ? gain : gain / sqrt((layer->options[0] ? all_variance : at[1]) + (double)layer->scale);
            scale[(int64_t)i * lanes + c] = (float)factor;
            shift[(int64_t)i * lanes + c] = (float)(bias - mean * factor);
        }
    }
}

#endif
