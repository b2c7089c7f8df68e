/* The first convolution of a label map, without its one-hot form: weights are looked up and added.
 *
 * A pixel's code is its class, plus `classes` where an instance's edge is; class label_nc stands for none, whose weights
 * are 0. Codes are int16 [N][H][W]. Pooled ones are followed by lists, uint32 [N][H][W][slots]: code | count << 16 for
 * the codes in the window of a pixel whose own code is MIXED; a count of 0 ends a list. */
#ifndef P2R_STEM_H
#define P2R_STEM_H
#include "geometry.h"
#include "pack.h"
#include "simple.h"

enum { MIXED = -1, BAND = 8, WIDEST = 4 };
enum { LABEL_NC, HAS_EDGES, ADDS, SLOTS }; /* of layer->options */

INLINE int class_count(const p2r_layer *layer) { return layer->options[LABEL_NC] + 1; }
INLINE int code_count(const p2r_layer *layer) { return class_count(layer) * (layer->options[HAS_EDGES] ? 2 : 1); }
/* Lists begin where whole words do. */
INLINE int64_t codes_bytes(int64_t pixels) { return (pixels * 2 + 3) / 4 * 4; }

static void codes_row(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_layer *layer = job->layer;
    int w = layer->width, h = layer->height, y = unit % h, classes = class_count(layer);
    const uint8_t *labels = (const uint8_t *)job->call->buffers[layer->buffers[0]].data + (int64_t)unit * w;
    int16_t *out = (int16_t *)(job->call->arena + layer->codes_out) + (int64_t)unit * w;
    (void)worker;
    for (int x = 0; x < w; x++) out[x] = (int16_t)min_int(labels[x], classes - 1);
    if (!layer->options[HAS_EDGES]) return;
    const int32_t *ids = (const int32_t *)job->call->buffers[layer->buffers[1]].data + (int64_t)unit * w;
    const int32_t *above = y > 0 ? ids - w : ids, *below = y < h - 1 ? ids + w : ids;
    for (int x = 0; x < w; x++) {
        int id = ids[x], left = ids[max_int(x - 1, 0)], right = ids[min_int(x + 1, w - 1)];
        if (left != id || right != id || above[x] != id || below[x] != id) out[x] = (int16_t)(out[x] + classes);
    }
}

static void pool_codes_row(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_layer *layer = job->layer;
    int w = layer->width, h = layer->height, y = unit % h, image = unit / h;
    int in_h = layer->source[0], in_w = layer->source[1], slots = layer->options[SLOTS];
    const int16_t *codes = (const int16_t *)(job->call->arena + layer->codes) + (int64_t)image * in_h * in_w;
    int16_t *out = (int16_t *)(job->call->arena + layer->codes_out) + (int64_t)unit * w;
    uint32_t *lists = (uint32_t *)(job->call->arena + layer->codes_out + codes_bytes((int64_t)layer->batch * h * w)) +
                      (int64_t)unit * w * slots;
    int top = y * layer->stride[0] - layer->pad[0], y0 = max_int(top, 0), y1 = min_int(top + layer->kernel[0], in_h);
    (void)worker;
    for (int x = 0; x < w; x++, lists += slots) {
        int left = x * layer->stride[1] - layer->pad[1], x0 = max_int(left, 0), x1 = min_int(left + layer->kernel[1], in_w);
        int n = 0;
        for (int i = y0; i < y1; i++)
            for (int j = x0; j < x1; j++) {
                uint32_t code = (uint32_t)codes[(int64_t)i * in_w + j];
                int at = 0;
                while (at < n && (lists[at] & 0xffff) != code) at++;
                if (at == n) lists[n++] = code;
                lists[at] += 1u << 16;
            }
        if (n < slots) lists[n] = 0;
        out[x] = n == 1 ? (int16_t)(lists[0] & 0xffff) : n == 0 ? (int16_t)(class_count(layer) - 1) : MIXED;
    }
}

typedef struct {
    const p2r_layer *layer;
    const p2r_call *call;
    int lanes, taps, bands, reach; /* reach: pixels that a kernel spans along a row */
    float *bias;
    float *places, *rows, *whole;  /* sums of weights: [tap][code][lanes], [kernel row][code][lanes], [code][lanes] */
    int16_t *lines;                /* of workers: padded rows of codes, and the code of each row of a window */
    int64_t line_size;
    partial_stats partial;
} stem_job;

INLINE int line_width(const stem_job *job) {
    const p2r_layer *layer = job->layer;
    return (layer->width - 1) * layer->stride[1] + job->reach;
}
INLINE int band_rows(const stem_job *job, int rows) { /* source rows of a band */
    const p2r_layer *layer = job->layer;
    return (rows - 1) * layer->stride[0] + (layer->kernel[0] - 1) * layer->dilation[0] + 1;
}

static int64_t stem_setup(const p2r_layer *layer, const p2r_call *call, int threads, stem_job *job) {
    if ((int64_t)layer->kernel[0] * layer->kernel[1] > POSITIONS) return -1;
    job->layer = layer;
    job->call = call;
    job->lanes = blocks(layer->channels) * B;
    job->taps = layer->kernel[0] * layer->kernel[1];
    job->bands = ceil_div(layer->height, BAND);
    job->reach = (layer->kernel[1] - 1) * layer->dilation[1] + 1;
    job->line_size = (int64_t)band_rows(job, BAND) * (line_width(job) + layer->width);
    int64_t table = (int64_t)code_count(layer) * job->lanes * 4;
    int64_t bytes[] = {job->lanes * 4, table * job->taps, table * layer->kernel[0], table, job->line_size * 2 * threads};
    void **places[] = {(void **)&job->bias, (void **)&job->places, (void **)&job->rows, (void **)&job->whole,
                       (void **)&job->lines};
    int64_t total = 0;
    for (int i = 0; i < 5; i++) {
        if (call) *places[i] = call->arena + layer->scratch + total;
        total += round_up(bytes[i]);
    }
    if (call) job->partial = (partial_stats){(double *)(call->arena + layer->scratch + total), job->bands, job->lanes};
    return total + partial_bytes(layer, job->bands);
}

INLINE float weight_of(const p2r_layer *layer, int k, int c, int t) {
    for (int i = 0; i < layer->n_weights; i++) {
        const p2r_weights *w = &layer->weights[i];
        if (c >= w->first && c < w->first + w->channels)
            return float_at((const char *)w->data + ((int64_t)k * w->row + (c - w->first) * w->column + t) * 4, 0);
    }
    return 0;
}

static void stem_tables(void *context, int unit, int worker) { /* of one code */
    const stem_job *job = context;
    const p2r_layer *layer = job->layer;
    int classes = class_count(layer), label = unit % classes, codes = code_count(layer), lanes = job->lanes;
    float *whole = job->whole + (int64_t)unit * lanes;
    (void)worker;
    memset(whole, 0, sizeof(float) * lanes);
    for (int i = 0; i < layer->kernel[0]; i++) {
        float *row = job->rows + ((int64_t)i * codes + unit) * lanes;
        memset(row, 0, sizeof(float) * lanes);
        for (int t = i * layer->kernel[1]; t < (i + 1) * layer->kernel[1]; t++) {
            float *place = job->places + ((int64_t)t * codes + unit) * lanes;
            for (int k = 0; k < lanes; k++) {
                int is_real = k < layer->channels;
                place[k] = is_real && label < classes - 1 ? weight_of(layer, k, label, t) : 0;
                if (is_real && unit >= classes) place[k] += weight_of(layer, k, classes - 1, t);
                row[k] += place[k];
            }
        }
        for (int k = 0; k < lanes; k++) whole[k] += row[k];
    }
}

/* A row of codes with its padding, and the code of every output's row of the
 * window, MIXED where it has more than one. */
static void stem_line(const stem_job *job, int image, int y, int16_t *line, int16_t *uniform) {
    const p2r_layer *layer = job->layer;
    int h = layer->source[0], w = layer->source[1], n = line_width(job), none = class_count(layer) - 1, run = 0;
    const int16_t *codes = (const int16_t *)(job->call->arena + layer->codes) + (int64_t)image * h * w;
    if (layer->is_reflected) y = reflected(y, h);
    int is_inside = y >= 0 && y < h;
    for (int i = 0, next = job->reach - 1, out = 0; i < n; i++) {
        int x = i - layer->pad[1];
        if (layer->is_reflected) x = reflected(x, w);
        line[i] = (int16_t)(is_inside && x >= 0 && x < w ? codes[(int64_t)y * w + x] : none);
        run = i && line[i] == line[i - 1] ? run + 1 : 1;
        if (i < next) continue;
        uniform[out++] = run >= job->reach ? line[i] : MIXED;
        next += layer->stride[1];
    }
}

/* Adds to `sums` a mixed pixel's list of codes at one tap. */
INLINE void add_list(const stem_job *job, const uint32_t *list, const float *table, const int count, vec *sums) {
    int slots = job->layer->options[SLOTS];
    float total = 0;
    for (int i = 0; i < slots && list[i] >> 16; i++) total += (float)(list[i] >> 16);
    for (int i = 0; i < slots && list[i] >> 16; i++) {
        const float *at = table + (int64_t)(list[i] & 0xffff) * job->lanes;
        vec share = v_set((float)(list[i] >> 16) / total);
        UNROLL for (int v = 0; v < count; v++) sums[v] = v_fma(v_load(at + v * B), share, sums[v]);
    }
}

typedef struct {
    const int16_t *line, *uniform; /* of the window's first row; `step` rows apart */
    int64_t line_step, uniform_step;
    const uint32_t *lists;         /* of the image */
    int y;                         /* source row of the window's first row */
} window;

/* `count` vectors from vector `first` on of the output at column x. */
INLINE void stem_pixel(const stem_job *job, const window *win, int x, int first, const int count, vec *sums) {
    const p2r_layer *layer = job->layer;
    int kh = layer->kernel[0], kw = layer->kernel[1], codes = code_count(layer), same = win->uniform[x];
    for (int i = 1; i < kh && same != MIXED; i++)
        if (win->uniform[i * win->uniform_step + x] != same) same = MIXED;
    UNROLL for (int v = 0; v < count; v++) sums[v] = v_load(job->bias + (first + v) * B);
    if (same != MIXED) {
        const float *at = job->whole + (int64_t)same * job->lanes + first * B;
        UNROLL for (int v = 0; v < count; v++) sums[v] = v_add(sums[v], v_load(at + v * B));
        return;
    }
    for (int i = 0; i < kh; i++) {
        int code = win->uniform[i * win->uniform_step + x];
        if (code != MIXED) {
            const float *at = job->rows + ((int64_t)i * codes + code) * job->lanes + first * B;
            UNROLL for (int v = 0; v < count; v++) sums[v] = v_add(sums[v], v_load(at + v * B));
            continue;
        }
        const int16_t *line = win->line + i * win->line_step + x * layer->stride[1];
        for (int j = 0; j < kw; j++) {
            const float *table = job->places + (int64_t)(i * kw + j) * codes * job->lanes + first * B;
            code = line[j * layer->dilation[1]];
            if (code == MIXED) {
                int sy = win->y + i * layer->dilation[0], sx = x * layer->stride[1] + j * layer->dilation[1] - layer->pad[1];
                if (layer->is_reflected) sy = reflected(sy, layer->source[0]), sx = reflected(sx, layer->source[1]);
                add_list(job, win->lists + ((int64_t)sy * layer->source[1] + sx) * layer->options[SLOTS], table, count, sums);
                continue;
            }
            const float *at = table + (int64_t)code * job->lanes;
            UNROLL for (int v = 0; v < count; v++) sums[v] = v_add(sums[v], v_load(at + v * B));
        }
    }
}

INLINE void stem_row(const stem_job *job, const window *win, float *out, int64_t area, int first, const int count,
                     double before, double *partial) {
    const p2r_layer *layer = job->layer;
    run_stats stats[WIDEST];
    for (int x = 0; x < layer->width; x++) {
        vec sums[WIDEST];
        stem_pixel(job, win, x, first, count, sums);
        UNROLL for (int v = 0; v < count; v++) {
            float *at = out + v * area + (int64_t)x * B;
            if (layer->options[ADDS]) sums[v] = v_add(sums[v], v_load(at));
            v_store(at, sums[v]);
            if (x == 0) stats_begin(&stats[v], sums[v]);
            stats_add(&stats[v], sums[v]);
        }
    }
    if (partial) for (int v = 0; v < count; v++) partial_add(partial, first + v, before, &stats[v]);
}

static void stem_band(void *context, int unit, int worker) {
    const stem_job *job = context;
    const p2r_layer *layer = job->layer;
    int image = unit / job->bands, band = unit % job->bands, y0 = band * BAND, rows = min_int(BAND, layer->height - y0);
    int n = line_width(job), top = y0 * layer->stride[0] - layer->pad[0], vectors = job->lanes / B;
    int16_t *lines = job->lines + worker * job->line_size, *uniform = lines + (int64_t)band_rows(job, BAND) * n;
    int64_t area = (int64_t)layer->height * layer->width * B;
    double *partial = layer->stats < 0 ? NULL : partial_of(&job->partial, image, band);
    if (partial) memset(partial, 0, sizeof(double) * (1 + 2 * job->lanes));
    for (int i = 0; i < band_rows(job, rows); i++)
        stem_line(job, image, top + i, lines + (int64_t)i * n, uniform + (int64_t)i * layer->width);
    const char *lists = job->call->arena + layer->codes + codes_bytes((int64_t)layer->batch * layer->source[0] * layer->source[1]);
    for (int y = 0; y < rows; y++) {
        window win = {lines + (int64_t)y * layer->stride[0] * n, uniform + (int64_t)y * layer->stride[0] * layer->width,
                      (int64_t)layer->dilation[0] * n, (int64_t)layer->dilation[0] * layer->width,
                      (const uint32_t *)(const void *)lists +
                          (int64_t)image * layer->source[0] * layer->source[1] * layer->options[SLOTS],
                      top + y * layer->stride[0]};
        float *out = floats(job->call, layer->out) + (int64_t)image * vectors * area + (int64_t)(y0 + y) * layer->width * B;
        double before = (double)y * layer->width;
        for (int v = 0; v < vectors;) {
            int left = vectors - v;
            if (left >= 4) stem_row(job, &win, out + v * area, area, v, 4, before, partial), v += 4;
            else if (left >= 2) stem_row(job, &win, out + v * area, area, v, 2, before, partial), v += 2;
            else stem_row(job, &win, out + v * area, area, v, 1, before, partial), v += 1;
        }
    }
    if (partial) partial[0] = (double)rows * layer->width;
}

static int64_t stem_scratch(const p2r_layer *layer, int threads) {
    stem_job job;
    return stem_setup(layer, NULL, threads, &job);
}

static void stem_run(const p2r_layer *layer, const p2r_call *call) {
    stem_job job;
    stem_setup(layer, call, call->threads, &job);
    pack_bias(layer, job.bias);
    p2r_parallel(call->threads, code_count(layer), stem_tables, &job);
    p2r_parallel(call->threads, layer->batch * job.bands, stem_band, &job);
    finish_stats(layer, call, &job.partial);
}

/* Codes as one-hot classes and an edge, for layers that are no convolution. */
static void label_features_row(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_layer *layer = job->layer;
    row_unit u = row_of_unit(job, unit);
    int w = layer->width, classes = class_count(layer);
    const int16_t *codes = (const int16_t *)(job->call->arena + layer->codes) + ((int64_t)u.image * layer->height + u.y) * w;
    (void)worker;
    memset(u.out, 0, sizeof(float) * w * B);
    for (int x = 0; x < w; x++) {
        int label = codes[x] % classes - u.block * B, edge = classes - 1 - u.block * B;
        if (codes[x] % classes < classes - 1 && label >= 0 && label < B) u.out[x * B + label] = 1;
        if (codes[x] >= classes && edge >= 0 && edge < B) u.out[x * B + edge] = 1;
    }
}

/* Each pixel's row of its instance in styles f32 [N][K][F]; options[0] is K. An id that has none: 0. */
static void style_features_row(void *context, int unit, int worker) {
    const row_job *job = context;
    const p2r_layer *layer = job->layer;
    row_unit u = row_of_unit(job, unit);
    int w = layer->width, count = min_int(B, layer->channels - u.block * B), k = layer->options[0];
    const int32_t *ids = (const int32_t *)job->call->buffers[layer->buffers[0]].data +
                         ((int64_t)u.image * layer->height + u.y) * w;
    const float *styles = (const float *)job->call->buffers[layer->buffers[1]].data + (int64_t)u.image * k * layer->channels;
    (void)worker;
    memset(u.out, 0, sizeof(float) * w * B);
    for (int x = 0; x < w; x++)
        if (ids[x] >= 0 && ids[x] < k)
            memcpy(u.out + x * B, styles + (int64_t)ids[x] * layer->channels + u.block * B, sizeof(float) * count);
}

static void codes_run(const p2r_layer *layer, const p2r_call *call) {
    row_job job = {layer, call, {0}};
    p2r_parallel(call->threads, layer->batch * layer->height, layer->kind == P2R_CODES ? codes_row : pool_codes_row, &job);
}

#endif
