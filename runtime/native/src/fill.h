/* A hole filled smoothly: colours spread into it from its border, coarse to fine (SmoothFill in program_holes.py).
 *
 * Level 0 is the image, each further one has half its sides. Pull: the mean of known values, weighted by their share.
 * Spread, at the coarsest: cells without a value take the mean of neighbours that have one. Push: what lacks is taken
 * from the coarser level. options: levels, spread; `scale` is the least share that counts. */
#ifndef P2R_FILL_H
#define P2R_FILL_H
#include "mask.h"

enum { MAX_LEVELS = 8 };

typedef struct {
    row_job rows;
    int levels, blocks, level; /* level: the one a pass is at */
    float *values[MAX_LEVELS + 1], *shares[MAX_LEVELS + 1];
    float *other, *reached, *other_reached; /* of the coarsest level */
} fill_job;

INLINE int side_at(const fill_job *job, int axis, int level) {
    return (axis ? job->rows.layer->width : job->rows.layer->height) >> level;
}

static int64_t fill_setup(const p2r_layer *layer, const p2r_call *call, fill_job *job) {
    job->rows = (row_job){layer, call, {0}};
    job->levels = layer->options[0];
    job->blocks = blocks(layer->channels);
    char *at = call ? call->arena + layer->scratch : NULL, *start = at;
    int64_t total = 0, n = layer->batch, planes = n * job->blocks;
    for (int l = 1; l <= job->levels; l++) {
        int64_t pixels = (int64_t)side_at(job, 0, l) * side_at(job, 1, l);
        float **places[] = {&job->values[l], &job->shares[l], &job->other, &job->reached, &job->other_reached};
        int64_t sizes[] = {planes * pixels * B, n * pixels, planes * pixels * B, planes * pixels, planes * pixels};
        for (int i = 0; i < (l < job->levels ? 2 : 5); i++) {
            if (at) *places[i] = (float *)(start + total);
            total += round_up(sizes[i] * 4);
        }
    }
    return total;
}

static void share_row(void *context, int unit, int worker) { /* of one image */
    const fill_job *job = context;
    int l = job->level, height = side_at(job, 0, l), width = side_at(job, 1, l), image = unit / height, y = unit % height;
    const float *in = l > 1 ? job->shares[l - 1] + ((int64_t)image * height + y) * 4 * width
                            : mask_row(&job->rows, image, 2 * y);
    float *out = job->shares[l] + (int64_t)unit * width;
    (void)worker;
    for (int x = 0; x < width; x++, in += 2) {
        float sum = in[0] + in[1] + in[2 * width] + in[2 * width + 1];
        out[x] = l > 1 ? 0.25f * sum : 1.0f - 0.25f * sum;
    }
}

static void pull_row(void *context, int unit, int worker) { /* of one block of one image */
    const fill_job *job = context;
    int l = job->level, height = side_at(job, 0, l), width = side_at(job, 1, l), index = unit / height, y = unit % height;
    int64_t row = (int64_t)2 * width * B;
    float *out = job->values[l] + (int64_t)unit * width * B;
    vec quarter = v_set(0.25f);
    (void)worker;
    if (l > 1) {
        const float *in = job->values[l - 1] + (int64_t)unit * 2 * row;
        for (int x = 0; x < width; x++, in += 2 * B)
            v_store(out + (int64_t)x * B, v_mul(quarter, v_add(v_add(v_load(in), v_load(in + B)),
                                                               v_add(v_load(in + row), v_load(in + row + B)))));
        return;
    }
    plane p = plane_of(job->rows.call, job->rows.layer->in, index / job->blocks, index % job->blocks);
    const float *in = p.data + (int64_t)y * 2 * row, *mask = mask_row(&job->rows, index / job->blocks, 2 * y);
    for (int x = 0; x < width; x++) {
        vec sum = v_zero();
        for (int i = 0; i < 4; i++) {
            int64_t at = (i / 2) * 2 * (int64_t)width + 2 * x + i % 2;
            if (!(mask[at] > 0)) sum = v_add(sum, seen(&p, in + at * B));
        }
        v_store(out + (int64_t)x * B, v_mul(quarter, sum));
    }
}

/* One pass over the cells of one block of one image; returns whether any cell was without a value. */
static int spread_once(int height, int width, float least, const float *in, const float *known, float *out, float *now) {
    int lacks = 0;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            int64_t at = (int64_t)y * width + x;
            now[at] = known[at];
            v_store(out + at * B, v_load(in + at * B));
            if (known[at] > 0) continue;
            vec sum = v_zero();
            float share = 0;
            for (int i = max_int(0, y - 1); i <= min_int(height - 1, y + 1); i++)
                for (int j = max_int(0, x - 1); j <= min_int(width - 1, x + 1); j++) {
                    int64_t from = (int64_t)i * width + j;
                    if (!(known[from] > 0)) continue;
                    sum = v_add(sum, v_load(in + from * B));
                    share += 1.0f;
                }
            share /= 9.0f;
            v_store(out + at * B, v_mul(v_mul(sum, v_set(1.0f / 9.0f)), v_set(1.0f / (share > least ? share : least))));
            now[at] = share > 0 ? 1.0f : 0.0f;
            lacks = 1;
        }
    return lacks;
}

static void spread_unit(void *context, int unit, int worker) { /* one block of one image */
    const fill_job *job = context;
    const p2r_layer *layer = job->rows.layer;
    int l = job->levels, height = side_at(job, 0, l), width = side_at(job, 1, l);
    int64_t pixels = (int64_t)height * width;
    float *values = job->values[l] + unit * pixels * B, *other = job->other + unit * pixels * B;
    float *known = job->reached + unit * pixels, *now = job->other_reached + unit * pixels, *out = values;
    const float *shares = job->shares[l] + unit / job->blocks * pixels;
    (void)worker;
    for (int64_t i = 0; i < pixels; i++) {
        float share = shares[i];
        known[i] = share > layer->scale ? 1.0f : 0.0f;
        v_store(values + i * B, v_div(v_load(values + i * B), v_set(share > layer->scale ? share : layer->scale)));
    }
    for (int i = 0; i < layer->options[1]; i++) {
        if (!spread_once(height, width, layer->scale, values, known, other, now)) break;
        float *swap = values;
        values = other, other = swap, swap = known, known = now, now = swap;
    }
    if (values != out) memcpy(out, values, sizeof(float) * pixels * B);
}

/* A row of one block of level `level`: its own values, and what they lack of the coarser level, enlarged. */
static void push_row(void *context, int unit, int worker) {
    const fill_job *job = context;
    int l = job->level, height = side_at(job, 0, l), width = side_at(job, 1, l), index = unit / height, y = unit % height;
    int image = index / job->blocks;
    int64_t coarse = (int64_t)(width / 2) * B;
    between v = enlarged(y, 2, height / 2);
    const float *below = job->values[l + 1] + ((int64_t)index * (height / 2)) * coarse;
    const float *a = below + v.a * coarse, *b = below + v.b * coarse;
    const float *shares = l ? job->shares[l] + ((int64_t)image * height + y) * width : mask_row(&job->rows, image, y);
    float *out = (l ? job->values[l] : floats(job->rows.call, job->rows.layer->out)) + (int64_t)unit * width * B;
    plane p = plane_of(job->rows.call, job->rows.layer->in, image, index % job->blocks);
    const float *in = p.data + (int64_t)y * width * B;
    vec t = v_set(v.t);
    (void)worker;
    for (int x = 0; x < width; x++) {
        float lack = l ? 1.0f - shares[x] : shares[x];
        vec own = l ? v_load(out + (int64_t)x * B) : lack > 0 ? v_zero() : seen(&p, in + (int64_t)x * B);
        if (lack != 0) {
            between h = enlarged(x, 2, width / 2);
            vec s = v_set(h.t), c = v_load(a + h.a * B), d = v_load(b + h.a * B);
            c = v_fma(v_sub(v_load(a + h.b * B), c), s, c);
            d = v_fma(v_sub(v_load(b + h.b * B), d), s, d);
            own = v_fma(v_set(lack), v_fma(v_sub(d, c), t, c), own);
        }
        v_store(out + (int64_t)x * B, own);
    }
}

static int64_t fill_scratch(const p2r_layer *layer) {
    fill_job job;
    if (layer->options[0] < 1 || layer->options[0] > MAX_LEVELS) return -1;
    return fill_setup(layer, NULL, &job);
}

static void fill_run(const p2r_layer *layer, const p2r_call *call) {
    fill_job job;
    fill_setup(layer, call, &job);
    for (job.level = 1; job.level <= job.levels; job.level++) {
        p2r_parallel(call->threads, layer->batch * side_at(&job, 0, job.level), share_row, &job);
        p2r_parallel(call->threads, layer->batch * job.blocks * side_at(&job, 0, job.level), pull_row, &job);
    }
    p2r_parallel(call->threads, layer->batch * job.blocks, spread_unit, &job);
    for (job.level = job.levels - 1; job.level >= 0; job.level--)
        p2r_parallel(call->threads, layer->batch * job.blocks * side_at(&job, 0, job.level), push_row, &job);
}

#endif
