/* 3×3 convolutions of stride 1 by Winograd's F(4×4, 3×3): a tile of 6×6 inputs gives 4×4 outputs with 36 products a pair
 * of channels instead of 144. With dilation d, the d² grids of pixels d apart are convolutions of their own.
 *
 * Each of the 36 places of a transformed tile is one matrix product, tiles × channels by channels × outputs. Their
 * streams lie 64 bytes beyond a multiple of a large power of two, for otherwise they would fall on the same cache lines.
 * Wide: transformed weights fit the cache; a unit is a group of tiles. Deep: the transformed input is kept; a unit is
 * a few panels of outputs, whose weights are transformed a piece at a time: all of them would be four times the file. */
#ifndef P2R_WINOGRAD_H
#define P2R_WINOGRAD_H
#include "pack.h"

enum { PLACES = 36, DEEP_PANELS = 2, DEEP_BLOCKS = 256 / B, FEW_BLOCKS = 96 / B, APART = 16, AHEAD = 4 };

typedef struct {
    const p2r_layer *layer;
    const p2r_call *call;
    int is_deep, n_blocks, n_out, tiles, group, groups; /* tiles: of an image; of a unit */
    int outputs, chunk;                                 /* vectors of a unit; blocks that are multiplied together */
    int first, count;                                   /* the tiles that a deep pass is at */
    int64_t v_place, m_place, u_place, v_size, m_size, u_size;
    int32_t *corners;                                   /* of tiles: y, x of output */
    float *bias, *v, *m, *u, *packed;
    partial_stats partial;
} winograd_job;

INLINE void input_line(const vec *d, int s, vec *o, int os) {
    vec d0 = d[0], d1 = d[s], d2 = d[2 * s], d3 = d[3 * s], d4 = d[4 * s], d5 = d[5 * s], c4 = v_set(4), c5 = v_set(5);
    vec p = v_fma(v_set(-4), d2, d4), q = v_fma(v_set(-4), d1, d3), r = v_sub(d4, d2), t = v_mul(v_set(2), v_sub(d3, d1));
    o[0] = v_fma(c4, d0, v_fma(v_set(-5), d2, d4));
    o[os] = v_add(p, q);
    o[2 * os] = v_sub(p, q);
    o[3 * os] = v_add(r, t);
    o[4 * os] = v_sub(r, t);
    o[5 * os] = v_fma(c4, d1, v_sub(d5, v_mul(c5, d3)));
}

INLINE void output_line(vec m0, vec m1, vec m2, vec m3, vec m4, vec m5, vec *o, int os) {
    vec a = v_add(m1, m2), b = v_sub(m1, m2), c = v_add(m3, m4), d = v_sub(m3, m4);
    o[0] = v_add(m0, v_add(a, c));
    o[os] = v_fma(v_set(2), d, b);
    o[2 * os] = v_fma(v_set(4), c, a);
    o[3 * os] = v_add(v_fma(v_set(8), d, b), m5);
}

INLINE void weight_line(vec g0, vec g1, vec g2, vec *o, int os) {
    vec s = v_mul(v_add(g0, g2), v_set(-1.0f / 6)), h = v_mul(g1, v_set(1.0f / 6));
    vec e = v_fma(g0, v_set(1.0f / 24), v_mul(g2, v_set(1.0f / 6))), f = v_mul(g1, v_set(1.0f / 12));
    o[0] = v_mul(g0, v_set(0.25f));
    o[os] = v_sub(s, h);
    o[2 * os] = v_add(s, h);
    o[3 * os] = v_add(e, f);
    o[4 * os] = v_sub(e, f);
    o[5 * os] = g2;
}

/* The tile whose first output is (y, x), transformed, to `out`, `place` floats between places. */
INLINE void input_tile(const p2r_layer *layer, const plane *p, int y, int x, float *out, int64_t place) {
    int dy = layer->dilation[0], dx = layer->dilation[1], top = y - layer->pad[0], left = x - layer->pad[1];
    vec d[PLACES], t[PLACES];
    if (top >= 0 && left >= 0 && top + 5 * dy < p->height && left + 5 * dx < p->width) {
        for (int i = 0; i < 6; i++) {
            const float *row = p->data + ((int64_t)(top + i * dy) * p->width + left) * B;
            UNROLL for (int j = 0; j < 6; j++) d[i * 6 + j] = v_load(row + (int64_t)j * dx * B);
            UNROLL for (int j = 0; j < 4; j++) v_prefetch(row + (int64_t)(j + 14) * B); /* two tiles on */
        }
        if (p->is_scaled) for (int i = 0; i < PLACES; i++) d[i] = v_fma(d[i], p->scale, p->shift);
        if (p->act != P2R_PLAIN) for (int i = 0; i < PLACES; i++) d[i] = activated(d[i], p->act, p->alpha);
    } else
        for (int i = 0; i < 6; i++) {
            const float *row = row_of(p, top + i * dy, layer->is_reflected);
            for (int j = 0; j < 6; j++) {
                int at = left + j * dx;
                if (layer->is_reflected) at = reflected(at, p->width);
                d[i * 6 + j] = row && at >= 0 && at < p->width ? seen(p, row + (int64_t)at * B) : v_zero();
            }
        }
    UNROLL for (int j = 0; j < 6; j++) input_line(d + j, 6, t + j, 6);
    UNROLL for (int i = 0; i < 6; i++) input_line(t + i * 6, 1, d + i * 6, 1);
    UNROLL for (int i = 0; i < PLACES; i++) v_store(out + i * place, d[i]);
}

/* 3×3 weights of one vector of outputs, [9], `from` floats apart, transformed. */
INLINE void weight_tile(const float *in, int from, float *out, int64_t place) {
    vec t[18], o[PLACES];
    UNROLL for (int j = 0; j < 3; j++)
        weight_line(v_load(in + j * from), v_load(in + (3 + j) * from), v_load(in + (6 + j) * from), t + j, 3);
    UNROLL for (int i = 0; i < 6; i++) weight_line(t[i * 3], t[i * 3 + 1], t[i * 3 + 2], o + i * 6, 1);
    UNROLL for (int i = 0; i < PLACES; i++) v_store(out + i * place, o[i]);
}

/* Outputs of one tile and vector, to the image where they lie in it, and into the statistics. */
INLINE void output_tile(const p2r_layer *layer, const float *m, int64_t place, vec bias, float *plane, int y, int x,
                        run_stats *stats) {
    vec t[24], o[16];
    UNROLL for (int j = 0; j < 6; j++)
        output_line(v_load(m + j * place), v_load(m + (6 + j) * place), v_load(m + (12 + j) * place),
                    v_load(m + (18 + j) * place), v_load(m + (24 + j) * place), v_load(m + (30 + j) * place), t + j, 6);
    UNROLL for (int i = 0; i < 4; i++)
        output_line(t[i * 6], t[i * 6 + 1], t[i * 6 + 2], t[i * 6 + 3], t[i * 6 + 4], t[i * 6 + 5], o + i * 4, 1);
    int dy = layer->dilation[0], dx = layer->dilation[1];
    int rows = min_int(4, ceil_div(layer->height - y, dy)), columns = min_int(4, ceil_div(layer->width - x, dx));
    if (stats->count == 0) stats_begin(stats, v_add(o[0], bias));
    float *corner = plane + ((int64_t)y * layer->width + x) * B;
    if (rows == 4 && columns == 4) { /* nearly always: with constant bounds the outputs stay in registers */
        UNROLL for (int i = 0; i < 4; i++) UNROLL for (int j = 0; j < 4; j++) {
            vec v = v_add(o[i * 4 + j], bias);
            v_store(corner + ((int64_t)i * dy * layer->width + j * dx) * B, v);
            stats_add(stats, v);
        }
        return;
    }
    for (int i = 0; i < rows; i++) {
        float *at = corner + (int64_t)i * dy * layer->width * B;
        for (int j = 0; j < columns; j++) {
            vec v = v_add(o[i * 4 + j], bias);
            v_store(at + (int64_t)j * dx * B, v);
            stats_add(stats, v);
        }
    }
}

static int lattice_tiles(const p2r_layer *layer, int axis) { /* along one axis, of all its grids */
    int side = axis ? layer->width : layer->height, n = 0;
    for (int p = 0; p < min_int(layer->dilation[axis], side); p++)
        n += ceil_div(ceil_div(side - p, layer->dilation[axis]), 4);
    return n;
}

INLINE int winograd_fits(const p2r_layer *layer) {
    return layer->kind == P2R_CONV && layer->kernel[0] == 3 && layer->kernel[1] == 3 && layer->stride[0] == 1 &&
           layer->stride[1] == 1;
}

/* Estimated cycles of both ways, from products a cycle and what a transform or a packed weight takes. */
static int winograd_pays(const p2r_layer *layer) {
    double c = 0, k = blocks(layer->channels), pixels = (double)layer->height * layer->width;
    double tiles = (double)lattice_tiles(layer, 0) * lattice_tiles(layer, 1);
    for (int i = 0; i < layer->n_in; i++) c += blocks(layer->in[i].channels) * B;
    double passes = ceil(tiles / 128), direct = pixels * 9 * c * k / 1.6 + c * k * 25 + pixels * c / B * 4;
    return tiles * 36 * c * k / 1.3 + tiles * (c / B * 110 + k * 80) + c * k * 90 * passes < direct;
}

static int64_t winograd_setup(const p2r_layer *layer, const p2r_call *call, int threads, winograd_job *job) {
    job->layer = layer;
    job->call = call;
    job->n_out = blocks(layer->channels);
    job->n_blocks = 0;
    for (int i = 0; i < layer->n_in; i++) job->n_blocks += blocks(layer->in[i].channels);
    job->tiles = lattice_tiles(layer, 0) * lattice_tiles(layer, 1);
    int64_t c = (int64_t)job->n_blocks * B, panels = ceil_div(job->n_out, PANEL);
    job->is_deep = PLACES * c * panels * PANEL * B * 4 > 4 << 20 || job->tiles < 3 * ROWS;
    /* With few tiles a transformed weight is used but once or twice: then it must not leave the second cache. */
    int is_small = job->tiles <= 3 * ROWS;
    job->outputs = is_small || job->n_out < 8 * DEEP_PANELS * PANEL ? PANEL : DEEP_PANELS * PANEL;
    if (!job->is_deep) job->outputs = (int)panels * PANEL;
    int fitting = (int)((512 << 10) / (PLACES * 4 * (c + job->outputs * B))) / ROWS * ROWS;
    job->chunk = job->is_deep ? min_int(job->n_blocks, is_small ? FEW_BLOCKS : DEEP_BLOCKS) : job->n_blocks;
    job->group = min_int(job->tiles, job->is_deep ? 128 : max_int(2 * ROWS, fitting));
    job->groups = ceil_div(job->tiles, job->group);
    job->group = ceil_div(job->tiles, job->groups);
    job->v_place = job->group * c + APART;
    job->m_place = (int64_t)job->group * job->outputs * B + APART;
    job->u_place = (int64_t)job->chunk * B * job->outputs * B + APART;
    job->v_size = PLACES * job->v_place;
    job->m_size = PLACES * job->m_place;
    job->u_size = PLACES * job->u_place;
    int64_t bytes[] = {(int64_t)job->tiles * 8, job->n_out * B * 4, job->v_size * 4 * (job->is_deep ? 1 : threads),
                       job->m_size * 4 * threads, job->u_size * 4 * (job->is_deep ? threads : 1),
                       9 * B * PANEL * B * 4 * (int64_t)threads};
    void **places[] = {(void **)&job->corners, (void **)&job->bias, (void **)&job->v, (void **)&job->m,
                       (void **)&job->u, (void **)&job->packed};
    int64_t total = 0;
    for (int i = 0; i < 6; i++) {
        if (call) *places[i] = call->arena + layer->scratch + total;
        total += round_up(bytes[i]);
    }
    if (call) job->partial = (partial_stats){(double *)(call->arena + layer->scratch + total), job->groups, job->n_out * B};
    return total + partial_bytes(layer, job->groups);
}

static void list_corners(const p2r_layer *layer, int32_t *out) {
    for (int py = 0; py < min_int(layer->dilation[0], layer->height); py++)
        for (int y = py; y < layer->height; y += 4 * layer->dilation[0])
            for (int px = 0; px < min_int(layer->dilation[1], layer->width); px++)
                for (int x = px; x < layer->width; x += 4 * layer->dilation[1], out += 2) out[0] = y, out[1] = x;
}

/* Transforms one block of channels of `count` tiles from tile `first` on, in the order of the products. */
static void transform_block(const winograd_job *job, int image, int block, int first, int count, float *v) {
    const p2r_layer *layer = job->layer;
    int operand = 0, b = block, groups = ceil_div(count, ROWS);
    while (b >= blocks(layer->in[operand].channels)) b -= blocks(layer->in[operand++].channels);
    plane p = plane_of(job->call, &layer->in[operand], image, b);
    int start = block / job->chunk * job->chunk, chunk = min_int(job->chunk, job->n_blocks - start);
    v += (int64_t)start * count * B;
    for (int g = 0; g < groups; g++) {
        int from = part(count, groups, g), rows = part(count, groups, g + 1) - from;
        float *out = v + ((int64_t)from * chunk + (int64_t)(block - start) * rows) * B;
        for (int t = 0; t < rows; t++) {
            const int32_t *corner = job->corners + 2 * (first + from + t);
            input_tile(layer, &p, corner[0], corner[1], out + t * B, job->v_place);
        }
    }
}

/* Transforms weights of blocks `from` … `to` for `panel` vectors from block `k` of outputs on. */
static void transform_weights(const winograd_job *job, int from, int to, int k, int panel, float *packed, float *u) {
    const p2r_layer *layer = job->layer;
    static const tap_order order = {{0}, {0, 1, 2, 3, 4, 5, 6, 7, 8}, {9, 9, 9, 9, 9, 9, 9, 9, 9}};
    int operand = 0, first = 0;
    for (int block = from; block < to; block++) {
        while (block - first >= blocks(layer->in[operand].channels)) first += blocks(layer->in[operand++].channels);
        int channels = min_int(B, layer->in[operand].channels - (block - first) * B);
        pack_weights(layer, operand, block - first, 1, k * B, panel, &order, 0, channels, packed);
        for (int c = 0; c < B; c++)
            for (int v = 0; v < panel; v++, u += B) {
                if (c < channels) weight_tile(packed + (c * panel + v) * B, channels * panel * B, u, job->u_place);
                else for (int i = 0; i < PLACES; i++) v_store(u + i * job->u_place, v_zero());
            }
    }
}

/* The 36 products for `count` tiles: blocks `from` … `to` of the input, panels of `outputs` vectors. */
static void multiply_places(const winograd_job *job, int count, int from, int to, int outputs, const float *v,
                            const float *u, float *m) {
    static const int64_t taps[1] = {0};
    int groups = ceil_div(count, ROWS);
    for (int place = 0; place < PLACES; place++)
        for (int k = 0; k < outputs; k += PANEL) {
            int panel = min_int(PANEL, outputs - k);
            for (int g = 0; g < groups; g++) {
                int t = part(count, groups, g), rows = part(count, groups, g + 1) - t;
                const float *a = v + place * job->v_place + ((int64_t)from * count + (int64_t)t * (to - from)) * B;
                product p = {a, (int64_t)rows * B, taps, 1, to - from, B,
                             u + place * job->u_place + (int64_t)k * (to - from) * B * B, NULL,
                             m + place * job->m_place + ((int64_t)t * job->outputs + k) * B,
                             (int64_t)job->outputs * B, B, from > 0, (int64_t)AHEAD * rows * B};
                multiply_forms[rows - 1][panel - 1](&p);
            }
        }
}

/* Outputs of `count` tiles and `outputs` vectors from block `k` on. */
static void put_tiles(const winograd_job *job, int image, int group, int first, int count, int k, int outputs,
                      const float *m) {
    const p2r_layer *layer = job->layer;
    int64_t area = (int64_t)layer->height * layer->width * B;
    for (int o = 0; o < outputs; o++) {
        float *plane = floats(job->call, layer->out) + ((int64_t)image * job->n_out + k + o) * area;
        run_stats stats = {v_zero(), v_zero(), v_zero(), 0};
        for (int t = 0; t < count; t++) {
            const int32_t *corner = job->corners + 2 * (first + t);
            output_tile(layer, m + ((int64_t)t * job->outputs + o) * B, job->m_place, v_load(job->bias + (k + o) * B), plane,
                        corner[0], corner[1], &stats);
        }
        if (layer->stats < 0) continue;
        double *partial = partial_of(&job->partial, image, group);
        memset(partial + 1 + 2 * B * (k + o), 0, sizeof(double) * 2 * B);
        partial_add(partial, k + o, 0, &stats);
    }
}

static void count_pixels(const winograd_job *job) { /* of every unit, for the statistics */
    const p2r_layer *layer = job->layer;
    for (int image = 0; image < layer->batch && layer->stats >= 0; image++)
        for (int g = 0; g < job->groups; g++) {
            double n = 0;
            for (int t = part(job->tiles, job->groups, g); t < part(job->tiles, job->groups, g + 1); t++)
                n += (double)min_int(4, ceil_div(layer->height - job->corners[2 * t], layer->dilation[0])) *
                     min_int(4, ceil_div(layer->width - job->corners[2 * t + 1], layer->dilation[1]));
            partial_of(&job->partial, image, g)[0] = n;
        }
}

static void winograd_wide_unit(void *context, int unit, int worker) {
    const winograd_job *job = context;
    int image = unit / job->groups, g = unit % job->groups, first = part(job->tiles, job->groups, g);
    int count = part(job->tiles, job->groups, g + 1) - first;
    float *v = job->v + worker * job->v_size, *m = job->m + worker * job->m_size;
    for (int b = 0; b < job->n_blocks; b++) transform_block(job, image, b, first, count, v);
    multiply_places(job, count, 0, job->n_blocks, job->n_out, v, job->u, m);
    put_tiles(job, image, g, first, count, 0, job->n_out, m);
}

static void winograd_wide_weights(void *context, int unit, int worker) { /* one block of one panel */
    const winograd_job *job = context;
    int k = unit / job->n_blocks * PANEL, b = unit % job->n_blocks, panel = min_int(PANEL, job->n_out - k);
    transform_weights(job, b, b + 1, k, panel, job->packed + worker * 9 * B * PANEL * B,
                      job->u + ((int64_t)k * job->n_blocks + (int64_t)b * panel) * B * B);
}

typedef struct {
    const winograd_job *job;
    int image, group, first, count;
} winograd_pass;

static void winograd_deep_input(void *context, int unit, int worker) {
    const winograd_pass *pass = context;
    (void)worker;
    transform_block(pass->job, pass->image, unit, pass->first, pass->count, pass->job->v);
}

static void winograd_deep_unit(void *context, int unit, int worker) {
    const winograd_pass *pass = context;
    const winograd_job *job = pass->job;
    int k = unit * job->outputs, outputs = min_int(job->outputs, job->n_out - k);
    float *m = job->m + worker * job->m_size, *u = job->u + worker * job->u_size;
    float *packed = job->packed + worker * 9 * B * PANEL * B;
    for (int from = 0; from < job->n_blocks; from += job->chunk) {
        int to = min_int(job->n_blocks, from + job->chunk);
        for (int o = 0; o < outputs; o += PANEL)
            transform_weights(job, from, to, k + o, min_int(PANEL, outputs - o), packed, u + (int64_t)o * (to - from) * B * B);
        multiply_places(job, pass->count, from, to, outputs, job->v, u, m);
    }
    put_tiles(job, pass->image, pass->group, pass->first, pass->count, k, outputs, m);
}

static int64_t winograd_scratch(const p2r_layer *layer, int threads) {
    winograd_job job;
    return winograd_setup(layer, NULL, threads, &job);
}

static void winograd_run(const p2r_layer *layer, const p2r_call *call) {
    winograd_job job;
    winograd_setup(layer, call, call->threads, &job);
    list_corners(layer, job.corners);
    pack_bias(layer, job.bias);
    count_pixels(&job);
    if (!job.is_deep) {
        p2r_parallel(call->threads, ceil_div(job.n_out, PANEL) * job.n_blocks, winograd_wide_weights, &job);
        p2r_parallel(call->threads, layer->batch * job.groups, winograd_wide_unit, &job);
    }
    for (int unit = 0; job.is_deep && unit < layer->batch * job.groups; unit++) {
        int g = unit % job.groups, first = part(job.tiles, job.groups, g);
        winograd_pass pass = {&job, unit / job.groups, g, first, part(job.tiles, job.groups, g + 1) - first};
        p2r_parallel(call->threads, job.n_blocks, winograd_deep_input, &pass);
        p2r_parallel(call->threads, ceil_div(job.n_out, job.outputs), winograd_deep_unit, &pass);
    }
    finish_stats(layer, call, &job.partial);
}

#endif
