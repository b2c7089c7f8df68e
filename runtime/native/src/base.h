/* What all kernels share: reading an operand, and the statistics of what a layer writes. */
#ifndef P2R_BASE_H
#define P2R_BASE_H
#include "pix2rt.h"
#include "vec.h"

INLINE int min_int(int a, int b) { return a < b ? a : b; }
INLINE int max_int(int a, int b) { return a > b ? a : b; }
INLINE int ceil_div(int a, int b) { return (a + b - 1) / b; }
INLINE int blocks(int channels) { return ceil_div(channels, B); }
INLINE int64_t round_up(int64_t bytes) { return (bytes + 255) / 256 * 256; }
/* Part i of n nearly equal parts of `total` begins here. */
INLINE int part(int total, int n, int i) { return (int)((int64_t)total * i / n); }
/* Mirrored at the edge pixels; columns that only fill up a patch may lie farther out, where any pixel will do. */
INLINE int reflected(int i, int n) {
    int r = i < 0 ? -i : i >= n ? 2 * n - 2 - i : i;
    return r < 0 ? 0 : r >= n ? n - 1 : r;
}
INLINE float *floats(const p2r_call *call, int64_t offset) { return (float *)(call->arena + offset); }

/* One block of channels of one image of an operand. */
typedef struct {
    const float *data;
    vec scale, shift, alpha;
    int height, width, is_scaled, act;
} plane;

INLINE plane plane_of(const p2r_call *call, const p2r_operand *x, int image, int block) {
    plane p;
    size_t index = (size_t)image * blocks(x->channels) + block;
    p.data = floats(call, x->data) + index * x->height * x->width * B;
    p.height = x->height;
    p.width = x->width;
    p.act = x->act;
    p.alpha = v_set(x->alpha);
    p.is_scaled = x->scale >= 0;
    p.scale = p.is_scaled ? v_load(floats(call, x->scale) + index * B) : v_set(1.0f);
    p.shift = p.is_scaled ? v_load(floats(call, x->shift) + index * B) : v_zero();
    return p;
}

INLINE int is_plain(const plane *p) { return !p->is_scaled && p->act == P2R_PLAIN; }

INLINE vec activated(vec v, int act, vec alpha) {
    if (act == P2R_LEAKY) return v_fma(v_min(v, v_zero()), alpha, v_max(v, v_zero()));
    return act == P2R_TANH ? v_tanh(v) : v;
}

INLINE vec seen(const plane *p, const float *at) {
    return activated(v_fma(v_load(at), p->scale, p->shift), p->act, p->alpha);
}

INLINE int total_blocks(const p2r_layer *layer) {
    int n = 0;
    for (int i = 0; i < layer->n_in; i++) n += blocks(layer->in[i].channels);
    return n;
}

INLINE int total_channels(const p2r_layer *layer) {
    int n = 0;
    for (int i = 0; i < layer->n_in; i++) n += layer->in[i].channels;
    return n;
}

/* Mean and squared deviations of the values of B channels. Values are summed as differences from the first of a run,
 * so that a mean far from 0 costs no digits; runs are joined in double (Chan's formula). */
typedef struct {
    vec pivot, sum, squares;
    int count;
} run_stats;

INLINE void stats_begin(run_stats *s, vec first) {
    s->pivot = first;
    s->sum = s->squares = v_zero();
    s->count = 0;
}

INLINE void stats_add(run_stats *s, vec value) {
    vec d = v_sub(value, s->pivot);
    s->sum = v_add(s->sum, d);
    s->squares = v_fma(d, d, s->squares);
    s->count++;
}

/* Where one unit of work leaves its statistics: [count][mean, deviations of each of `lanes`]. */
INLINE void moments_join(double *into, double count, double more, double mean, double deviations) {
    if (more <= 0) return;
    double total = count + more, delta = mean - into[0];
    into[0] += delta * more / total;
    into[1] += deviations + delta * delta * count * more / total;
}

static void stats_end(const run_stats *s, double count, double *moments /* [B][2] */) {
    float pivot[B], sum[B], squares[B];
    v_store(pivot, s->pivot);
    v_store(sum, s->sum);
    v_store(squares, s->squares);
    for (int i = 0; i < B; i++) {
        double mean = (double)sum[i] / s->count, rest = (double)squares[i] - mean * sum[i];
        moments_join(moments + 2 * i, count, s->count, (double)pivot[i] + mean, rest > 0 ? rest : 0);
    }
}

/* Statistics of `units` parts of every image, which become those of the layer in a fixed order, whoever made them. */
typedef struct {
    double *parts; /* [N][units][1 + 2 · lanes] */
    int units, lanes;
} partial_stats;

INLINE int64_t partial_bytes(const p2r_layer *layer, int units) {
    int lanes = blocks(layer->channels) * B;
    return layer->stats < 0 ? 0 : round_up((int64_t)layer->batch * units * (1 + 2 * lanes) * 8);
}

INLINE double *partial_of(const partial_stats *s, int image, int unit) {
    return s->parts + ((size_t)image * s->units + unit) * (1 + 2 * s->lanes);
}

/* Adds a run of block `block` to a unit; the caller counts `partial[0]` up when all blocks have it. */
INLINE void partial_add(double *partial, int block, double before, const run_stats *s) {
    stats_end(s, before, partial + 1 + 2 * B * block);
}

typedef struct {
    const p2r_layer *layer;
    const p2r_call *call;
    partial_stats partial;
} finish_job;

static void finish_unit(void *context, int unit, int worker) {
    const finish_job *job = context;
    int lanes = job->partial.lanes, image = unit / (lanes / B), block = unit % (lanes / B);
    double *out = (double *)(job->call->arena + job->layer->stats) + ((size_t)image * lanes + block * B) * 2;
    double count = 0;
    (void)worker;
    memset(out, 0, sizeof(double) * 2 * B);
    for (int u = 0; u < job->partial.units; u++) {
        const double *p = partial_of(&job->partial, image, u), *moments = p + 1 + 2 * B * block;
        for (int i = 0; i < B; i++) moments_join(out + 2 * i, count, p[0], moments[2 * i], moments[2 * i + 1]);
        count += p[0];
    }
    for (int i = 0; i < B; i++) out[2 * i + 1] /= count;
}

static void finish_stats(const p2r_layer *layer, const p2r_call *call, const partial_stats *partial) {
    if (layer->stats < 0) return;
    finish_job job = {layer, call, *partial};
    p2r_parallel(call->threads, layer->batch * partial->lanes / B, finish_unit, &job);
}

/* Adds to `moments` rows of one block of an output that was just written. */
static void stats_of_rows(const float *data, int width, int rows, int64_t row, double before, double *partial,
                          int block) {
    double count = before;
    for (int y = 0; y < rows; y++, data += row)
        for (int x = 0; x < width; x += 256) {
            run_stats s;
            int end = min_int(width, x + 256);
            stats_begin(&s, v_load(data + (int64_t)x * B));
            for (int i = x; i < end; i++) stats_add(&s, v_load(data + (int64_t)i * B));
            partial_add(partial, block, count, &s);
            count += end - x;
        }
}

#endif
